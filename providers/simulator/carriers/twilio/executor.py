"""Runs TwiML on a call: verbs top to bottom, documents asked for as control moves, a hang-up after the last verb.

Source: Twilio TwiML reference. Where it is silent the choice is written at the verb.
"""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET  # parsed and checked by documents.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from providers.simulator.carriers.twilio.checks import E164
from providers.simulator.carriers.twilio.documents import BadDocument, parse, read_answer, text_of
from providers.simulator.carriers.twilio.frames import TwilioFrames
from providers.simulator.carriers.twilio.model import Amd, Endpoint, RecordingOptions, TwilioCall
from providers.simulator.carriers.twilio.signing import signature
from providers.simulator.carriers.twilio.webhooks import stream_fields, voice_fields, whole_seconds
from providers.simulator.exchange import Direction, EndedBy
from providers.simulator.journal import Kind
from providers.simulator.media import StreamEnd, StreamRefused

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.face import Face

DOCUMENT_LIMIT: Final = 200
SECONDS_PER_WORD: Final = 0.4
PLAY_S: Final = 3.0
FOR_EVER: Final = 1000
APPLICATION_ERROR: Final = "We are sorry, an application error has occurred. Goodbye."
ENCODED_STATUS: Final = ("busy", "no-answer", "failed", "canceled")
TRACKS: Final = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}


class CallOver(Exception):
    """The call ended while a verb ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The next document is at this endpoint."""

    endpoint: Endpoint
    hook: str
    event: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """The next document is this text."""

    twiml: str


Step = Ask | Inline | None


class Executor:
    """Runs one call's documents.

    Args:
        hangs_up: False for a whisper to a dialed party: the call goes on after the last verb.
    """

    def __init__(self, face: Face, call: TwilioCall, *, hangs_up: bool = True) -> None:
        self._face = face
        self._call = call
        self._leg = call.leg
        self._exchange = face.core.exchange
        self._clock = face.core.clock
        self._hangs_up = hangs_up
        self._here = Endpoint(url="")
        self._verbs: dict[str, Callable[[ET.Element], Awaitable[Step]]] = {
            "Say": self._say,
            "Play": self._play,
            "Pause": self._pause,
            "Hangup": self._hangup,
            "Reject": self._reject,
            "Redirect": self._redirect,
            "Dial": self._dial,
            "Connect": self._connect,
            "Start": self._start,
            "Stop": self._stop,
            "Record": self._record,
            "Gather": self._gather,
        }

    async def run(self, step: Step) -> None:
        """From the first document to the end of the call."""
        try:
            for _ in range(DOCUMENT_LIMIT):
                if step is None:
                    break
                document = await self._document(step)
                step = await self._execute(document)
            if self._hangs_up:
                self._answer()
                self._exchange.end(self._leg, EndedBy.US)
        except CallOver:
            return
        except BadDocument:
            self._apologize()

    # -- documents

    async def _document(self, step: Ask | Inline) -> ET.Element:
        """The step's document, or the fallback's; raises BadDocument when neither can be used."""
        try:
            return await self._obtain(step)
        except BadDocument as error:
            failed = step.endpoint if isinstance(step, Ask) else self._here
            self._face.complain(self._call, error.code, str(error), failed)
            if not self._leg.is_live:
                raise CallOver from None
            fallback = self._call.fallback
            if fallback is None or (isinstance(step, Ask) and step.hook == "fallback"):
                raise
            extra = {"ErrorCode": str(error.code), "ErrorUrl": failed.url.split("#")[0]}
            return await self._document(
                Ask(endpoint=fallback, hook="fallback", event="fallback", extra=extra)
            )

    async def _obtain(self, step: Ask | Inline) -> ET.Element:
        if isinstance(step, Inline):
            return parse(step.twiml)
        self._here = Endpoint(url=step.endpoint.url, method=step.endpoint.method)
        fields = {**voice_fields(self._call, self._face.habits), **step.extra}
        answer = await self._face.sender.send(
            self._call, step.endpoint, fields, hook=step.hook, event=step.event
        )
        document = read_answer(answer)
        self._face.core.journal.add(
            Kind.DOCUMENT,
            "twilio",
            self._leg.root.id,
            call_sid=self._call.sid,
            url=step.endpoint.url.split("#")[0],
            verbs=[verb.tag for verb in document],
            document=answer.body.decode("utf-8", "replace"),
        )
        return document

    async def _execute(self, document: ET.Element) -> Step:
        for index, verb in enumerate(document):
            if not self._leg.is_live:
                raise CallOver
            if verb.tag == "Reject" and index > 0:
                self._face.complain(self._call, 12200, "<Reject> must be the first verb", self._here)
                raise BadDocument(12200, "<Reject> must be the first verb")
            step = await self._verbs[verb.tag](verb)
            if step is not None:
                return step
        return None

    def _apologize(self) -> None:
        """No document could be used: the caller is told, and the call ends."""
        if not self._leg.is_live:
            return
        self._exchange.answer(self._leg)
        self._exchange.heard(self._leg, "say", APPLICATION_ERROR)
        self._exchange.end(self._leg, EndedBy.CARRIER)

    def _link(self, element: ET.Element, name: str, method_name: str = "method") -> Endpoint | None:
        url = element.get(name)
        return (
            Endpoint(url=urljoin(self._here.url, url), method=element.get(method_name, "POST"))
            if url
            else None
        )

    async def _after(self, action: Endpoint | None, event: str, fields: Mapping[str, str]) -> Step:
        """Control moves to the action. Of an ended call the action is still told, and its answer ignored.

        That Twilio asks the action of <Dial>, <Record> and <Connect> after a hang-up, too, is unconfirmed.
        """
        if action is None:
            if not self._leg.is_live:
                raise CallOver
            return None
        ask = Ask(endpoint=action, hook="next", event=event, extra=fields)
        if self._leg.is_live:
            return ask
        told = {**voice_fields(self._call, self._face.habits), **fields}
        await self._face.sender.send(self._call, action, told, hook="next", event=event)
        raise CallOver

    # -- time and keys

    async def _sleep(self, seconds: float) -> None:
        """Scripted seconds; raises CallOver when the call ends in them."""
        try:
            await asyncio.wait_for(self._leg.ended.wait(), self._clock.real_s(seconds))
        except TimeoutError:
            return
        raise CallOver

    async def _key(self, within_s: float) -> str | None:
        """The next key pressed, None when none came in time; raises CallOver."""
        key = asyncio.create_task(self._leg.party.keys.get())
        over = asyncio.create_task(self._leg.ended.wait())
        try:
            await asyncio.wait(
                (key, over), timeout=self._clock.real_s(within_s), return_when=asyncio.FIRST_COMPLETED
            )
            if key.done():
                return key.result()
            if over.done():
                raise CallOver
            return None
        finally:
            key.cancel()
            over.cancel()

    def _answer(self) -> None:
        """Verbs that are heard pick an inbound call up."""
        if not self._leg.is_live:
            raise CallOver
        self._exchange.answer(self._leg)

    # -- verbs that are heard

    async def _say(self, verb: ET.Element) -> Step:
        self._answer()
        text = text_of(verb)
        for _ in range(_loops(verb)):
            self._exchange.heard(self._leg, "say", text)
            await self._sleep(len(text.split()) * SECONDS_PER_WORD)
        return None

    async def _play(self, verb: ET.Element) -> Step:
        self._answer()
        digits = verb.get("digits")
        for _ in range(_loops(verb)):
            if digits:
                self._exchange.heard(self._leg, "keys", digits)
            else:
                self._exchange.heard(self._leg, "play", urljoin(self._here.url, text_of(verb)))
            await self._sleep(PLAY_S)
        return None

    async def _pause(self, verb: ET.Element) -> Step:
        """Does not answer an inbound call."""
        seconds = float(verb.get("length", "1"))
        if self._leg.is_answered:
            self._exchange.heard(self._leg, "silence", seconds)
        await self._sleep(seconds)
        return None

    async def _hangup(self, _verb: ET.Element) -> Step:
        """As the first verb it does not keep the call from being answered (and billed)."""
        self._answer()
        self._exchange.end(self._leg, EndedBy.US)
        raise CallOver

    async def _reject(self, verb: ET.Element) -> Step:
        """Not answered, not billed: status `busy` or `no-answer`."""
        if self._leg.is_answered or self._leg.direction is not Direction.INBOUND:
            raise BadDocument(12200, "<Reject> is for inbound calls that were not answered")
        is_busy = verb.get("reason") == "busy"
        self._exchange.heard(
            self._leg, *(("busy_tone",) if is_busy else ("say", "The number is not in service."))
        )
        self._exchange.end(self._leg, EndedBy.US, self._face.rejection(is_busy))
        raise CallOver

    async def _redirect(self, verb: ET.Element) -> Step:
        url = urljoin(self._here.url, text_of(verb))
        return Ask(
            endpoint=Endpoint(url=url, method=verb.get("method", "POST")), hook="next", event="redirect"
        )

    # -- <Gather> and <Record>

    async def _gather(self, verb: ET.Element) -> Step:
        """Keys only: the simulated person says nothing that speech recognition would understand."""
        self._answer()
        for prompt in verb:
            await self._verbs[prompt.tag](prompt)
        digits, finished = await self._digits(verb)
        if not digits and verb.get("actionOnEmptyResult") != "true":
            return None
        fields = {"Digits": digits} | ({"FinishedOnKey": finished} if finished else {})
        action = self._link(verb, "action") or Endpoint(url=self._here.url, method=verb.get("method", "POST"))
        return Ask(endpoint=action, hook="next", event="gather", extra=fields)

    async def _digits(self, verb: ET.Element) -> tuple[str, str | None]:
        within_s, wanted = float(verb.get("timeout", "5")), int(verb.get("numDigits", "1000"))
        last, digits = verb.get("finishOnKey", "#"), ""
        while len(digits) < wanted:
            key = await self._key(within_s)
            if key is None:
                return digits, None
            if key == last:
                return digits, key
            digits += key
        return digits, None

    async def _record(self, verb: ET.Element) -> Step:
        """Ends by a key, the longest time, a hang-up, or the silence of a party that says nothing."""
        self._answer()
        if verb.get("playBeep", "true") == "true":
            self._exchange.heard(self._leg, "beep")
        options = self._recording_options(verb, "RecordVerb")
        recording = self._face.start_recording(self._call, options)
        try:
            digits = await self._record_until(verb)
        except CallOver:
            digits = "hangup"
        self._face.finish_recording(recording)
        fields = {
            "RecordingUrl": self._face.media_url(recording),
            "RecordingSid": recording.sid,
            "RecordingDuration": str(recording.duration_s or 0),
            "Digits": digits,
        }
        action = self._link(verb, "action") or Endpoint(url=self._here.url, method=verb.get("method", "POST"))
        return await self._after(action, "record", fields)

    async def _record_until(self, verb: ET.Element) -> str:
        longest_s = float(verb.get("maxLength", "3600"))
        silence_s = float(verb.get("timeout", "5"))
        keys = verb.get("finishOnKey", "1234567890*#")
        left_s = longest_s if self._leg.party.says_tone else min(longest_s, silence_s)
        mark = self._clock.mark()
        while (spare_s := left_s - self._clock.elapsed_s(mark)) > 0:
            key = await self._key(spare_s)
            if key is not None and key in keys:
                return key
        return ""

    def _recording_options(self, verb: ET.Element, source: str, channels: int = 1) -> RecordingOptions:
        track = verb.get("recordingTrack") or verb.get("track") or "both"
        return RecordingOptions(
            source=source,
            channels=channels,
            track="inbound" if source == "RecordVerb" else track,
            callback=self._link(verb, "recordingStatusCallback", "recordingStatusCallbackMethod"),
            events=frozenset(verb.get("recordingStatusCallbackEvent", "completed").split()),
        )

    # -- <Start>, <Stop>, <Connect>

    async def _start(self, verb: ET.Element) -> Step:
        noun = verb[0]
        if noun.tag == "Recording":
            channels = 2 if noun.get("channels", "dual") == "dual" else 1
            options = self._recording_options(noun, "StartCallRecordingAPI", channels)
            self._face.start_recording(self._call, options)
        else:
            self._face.core.spawn(self._fork(noun), call_id=self._leg.root.id)
        return None

    async def _fork(self, noun: ET.Element) -> None:
        await self._stream(noun, is_bidirectional=False)

    async def _stop(self, verb: ET.Element) -> Step:
        noun = verb[0]
        if noun.tag == "Recording":
            for recording in list(self._call.recordings):
                self._face.finish_recording(recording)
            return None
        stream = self._call.streams.get(noun.get("name", ""))
        if stream is not None:
            stream.close()
        return None

    async def _connect(self, verb: ET.Element) -> Step:
        """Blocks until the agent closes the socket (or never opened it); then the action, or the next verb."""
        self._answer()
        noun = verb[0]
        await self._stream(noun, is_bidirectional=True)
        return await self._after(self._link(verb, "action"), "connect", {})

    async def _stream(self, noun: ET.Element, *, is_bidirectional: bool) -> StreamEnd | None:
        sid = "MZ" + self._face.core.hex(32)
        name, url = noun.get("name", sid), noun.get("url", "")
        tracks = TRACKS[noun.get("track", "inbound_track")]
        codec = TwilioFrames(
            stream_sid=sid,
            account_sid=self._call.account.sid,
            call_sid=self._call.sid,
            parameters={item.get("name", ""): item.get("value", "") for item in noun.findall("Parameter")},
            tracks=tracks,
            is_bidirectional=is_bidirectional,
        )
        # The header is documented for ConversationRelay; for Media Streams it is unconfirmed.
        headers = {"X-Twilio-Signature": signature(self._call.account.auth_token, url, [])}
        stream = self._face.core.open_stream(
            self._leg, url, codec, headers=headers, uses_party=is_bidirectional
        )
        callback = self._link(noun, "statusCallback", "statusCallbackMethod")
        try:
            await stream.connect()
        except StreamRefused as refused:
            code = 31901 if refused.kind == "timeout" else 31920
            self._face.complain(self._call, code, str(refused), Endpoint(url=url, method="GET"))
            self._tell_stream(callback, sid, name, "stream-error", str(refused))
            return None
        self._tell_stream(callback, sid, name, "stream-started")
        self._call.streams[name] = stream
        running = asyncio.create_task(stream.run())
        try:
            end = await asyncio.shield(running)
        except asyncio.CancelledError:
            stream.close()
            await running
            raise
        finally:
            self._call.streams.pop(name, None)
        if end.by == "error":
            self._face.complain(self._call, 31951, end.reason or "", Endpoint(url=url, method="GET"))
            self._tell_stream(callback, sid, name, "stream-error", end.reason)
        self._tell_stream(callback, sid, name, "stream-stopped")
        return end

    def _tell_stream(
        self, callback: Endpoint | None, sid: str, name: str, event: str, error: str | None = None
    ) -> None:
        if callback is not None:
            fields = stream_fields(self._call, sid, name, event, self._clock.now(), error)
            self._face.tell(self._call, callback, fields, hook="stream", event=event)

    # -- <Dial>

    async def _dial(self, verb: ET.Element) -> Step:
        if verb.get("answerOnBridge") != "true":
            self._answer()
        children = self._children(verb)
        try:
            winner = await self._first_answer(children)
            if winner is not None:
                await self._talk(verb, winner)
        finally:
            for child in children:
                self._exchange.end(child.leg, EndedBy.US)
        return await self._after(self._link(verb, "action"), "dial", _dial_fields(children, winner))

    def _children(self, verb: ET.Element) -> list[TwilioCall]:
        """A leg for each noun, all ringing at once; none when the caller id may not be shown."""
        targets = list(verb) or [_number(text_of(verb))]
        from_ = verb.get("callerId", self._leg.from_)
        is_own = from_ in (self._leg.from_, self._leg.to) or self._call.account.may_show(from_)
        if not is_own and any(target.tag == "Number" for target in targets):
            self._face.complain(self._call, 13214, "<Dial> callerId is not allowed", self._here)
            return []
        children = []
        for target in targets:
            address = _address(target)
            if target.tag == "Number" and not E164.fullmatch(address):
                self._face.complain(self._call, 13223, "<Dial> needs an E.164 number", self._here)
                continue
            children.append(self._child(target, address, from_, float(verb.get("timeout", "30"))))
        if children:
            self._exchange.heard(self._leg, "ringback")
        return children

    def _child(self, target: ET.Element, address: str, from_: str, timeout_s: float) -> TwilioCall:
        events = frozenset(target.get("statusCallbackEvent", "completed").split())
        child = self._face.new_child(self._call, address, from_)
        child.callback, child.events = self._link(target, "statusCallback", "statusCallbackMethod"), events
        child.voice = self._link(target, "url")
        child.send_digits = target.get("sendDigits")
        if target.get("machineDetection"):
            child.amd = Amd(
                until_greeting_end=target.get("machineDetection") == "DetectMessageEnd",
                timeout_s=float(target.get("machineDetectionTimeout", "30")),
                is_async=True,
                callback=self._link(target, "amdStatusCallback", "amdStatusCallbackMethod"),
            )
        self._exchange.dial(child.leg, ring_timeout_s=timeout_s)
        return child

    async def _first_answer(self, children: Sequence[TwilioCall]) -> TwilioCall | None:
        """The first party to pick up; None when nobody did or the caller left."""
        while self._leg.is_live:
            answered = [child for child in children if child.leg.is_answered and child.leg.is_live]
            if answered:
                for child in children:
                    if child is not answered[0]:
                        self._exchange.end(child.leg, EndedBy.US)
                return answered[0]
            waiting = [child.leg for child in children if child.leg.is_live]
            if not waiting:
                return None
            await any_of(self._leg.ended, *(event for leg in waiting for event in (leg.answered, leg.ended)))
        return None

    async def _talk(self, verb: ET.Element, child: TwilioCall) -> None:
        if child.voice is not None:
            whisper = Executor(self._face, child, hangs_up=False)
            await whisper.run(Ask(endpoint=child.voice, hook="next", event="whisper"))
        if not (self._leg.is_live and child.leg.is_live):
            return
        self._exchange.answer(self._leg)
        self._exchange.bridge(self._leg, child.leg)
        mode = verb.get("record", "do-not-record")
        recording = None
        if mode not in ("do-not-record", "false"):
            channels = 2 if mode.endswith("-dual") else 1
            recording = self._face.start_recording(
                self._call, self._recording_options(verb, "DialVerb", channels)
            )
        limit_s = float(verb.get("timeLimit", "14400"))
        await any_of(self._leg.ended, child.leg.ended, timeout_s=self._clock.real_s(limit_s))
        self._exchange.end(child.leg, EndedBy.US)
        if recording is not None:
            self._face.finish_recording(recording)


async def any_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Until one of the events is set, or the time is over."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _loops(verb: ET.Element) -> int:
    return int(verb.get("loop", "1")) or FOR_EVER


def _number(text: str) -> ET.Element:
    """`<Dial>+1415...</Dial>` is short for a <Number>."""
    noun = ET.Element("Number")
    noun.text = text
    return noun


def _address(noun: ET.Element) -> str:
    inner = noun.find("Identity") if noun.tag == "Client" else noun.find("Uri")
    text = text_of(inner if inner is not None else noun)
    return f"client:{text}" if noun.tag == "Client" else text


def _dial_fields(children: Sequence[TwilioCall], winner: TwilioCall | None) -> dict[str, str]:
    """What the action of <Dial> is told: of the party that answered, else of the one that got furthest."""
    if not children:
        return {"DialCallStatus": "failed", "DialBridged": "false"}
    shown = winner or min(children, key=lambda child: ENCODED_STATUS.index(child.status))
    fields = {
        "DialCallStatus": "completed" if winner else shown.status,
        "DialCallSid": shown.sid,
        "DialBridged": "true" if winner else "false",
    }
    if winner:
        fields["DialCallDuration"] = str(whole_seconds(shown.leg.duration_s))
    if shown.leg.to.startswith("sip"):
        fields |= {"DialSipCallId": shown.sid[2:], "DialSipResponseCode": str(shown.leg.sip_code or 0)}
    return fields
