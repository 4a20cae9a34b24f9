"""Runs TwiML on a call: verbs top to bottom, documents asked for as control moves, a hang-up after the last verb.

Source: Twilio TwiML reference. Where it is silent the choice is written at the verb.
"""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET  # parsed and checked by documents.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from providers.simulator.carriers.twilio import forwarding, streaming
from providers.simulator.carriers.twilio.documents import BadDocument, parse, read_answer, text_of
from providers.simulator.carriers.twilio.model import Endpoint, RecordingOptions, TwilioCall
from providers.simulator.carriers.twilio.steps import Ask, CallOver, Inline, Step
from providers.simulator.carriers.twilio.webhooks import voice_fields
from providers.simulator.exchange import Direction, EndedBy
from providers.simulator.journal import Kind

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.face import Face

DOCUMENT_LIMIT: Final = 200
SECONDS_PER_WORD: Final = 0.4
PLAY_S: Final = 3.0
FOR_EVER: Final = 1000
APPLICATION_ERROR: Final = "We are sorry, an application error has occurred. Goodbye."


class Executor:
    """Runs one call's documents.

    Args:
        hangs_up: False for a whisper to a dialed party: the call goes on after the last verb.
    """

    def __init__(self, face: Face, call: TwilioCall, *, hangs_up: bool = True) -> None:
        self.face = face
        self.call = call
        self.leg = call.leg
        self.exchange = face.core.exchange
        self.clock = face.core.clock
        self._hangs_up = hangs_up
        self.here = Endpoint(url="")
        self._verbs: dict[str, Callable[[ET.Element], Awaitable[Step]]] = {
            "Say": self._say,
            "Play": self._play,
            "Pause": self._pause,
            "Hangup": self._hangup,
            "Reject": self._reject,
            "Redirect": self._redirect,
            "Record": self._record,
            "Gather": self._gather,
            "Dial": lambda verb: forwarding.dial(self, verb),
            "Connect": lambda verb: streaming.connect(self, verb),
            "Start": lambda verb: streaming.start(self, verb),
            "Stop": lambda verb: streaming.stop(self, verb),
        }

    async def run(self, step: Step) -> None:
        """From the first document to the end of the call."""
        try:
            for _ in range(DOCUMENT_LIMIT):
                if step is None:
                    break
                step = await self._next(step)
            if self._hangs_up:
                self.answer()
                self.exchange.end(self.leg, EndedBy.US)
        except CallOver:
            return
        except BadDocument:
            self._apologize()

    async def whisper(self, child: TwilioCall, step: Step) -> None:
        """A document for a dialed party alone, before it is connected."""
        await Executor(self.face, child, hangs_up=False).run(step)

    # -- documents

    async def _next(self, step: Ask | Inline) -> Step:
        """Runs the step's document. When that cannot be had or used the fallback is next, or BadDocument raised."""
        try:
            return await self._execute(await self._obtain(step))
        except BadDocument as error:
            failed = step.endpoint if isinstance(step, Ask) else self.here
            self.face.complain(self.call, error.code, str(error), failed)
            if not self.leg.is_live:
                raise CallOver from None
            fallback = self.call.fallback
            if fallback is None or (isinstance(step, Ask) and step.hook == "fallback"):
                raise
            extra = {"ErrorCode": str(error.code), "ErrorUrl": failed.url.split("#")[0]}
            return Ask(endpoint=fallback, hook="fallback", event="fallback", extra=extra)

    async def _obtain(self, step: Ask | Inline) -> ET.Element:
        if isinstance(step, Inline):
            return self._noted(parse(step.twiml), "(inline)", step.twiml)
        self.here = Endpoint(url=step.endpoint.url, method=step.endpoint.method)
        fields = {**voice_fields(self.call, self.face.habits), **step.extra}
        answer = await self.face.sender.send(
            self.call, step.endpoint, fields, hook=step.hook, event=step.event
        )
        url = step.endpoint.url.split("#")[0]
        return self._noted(read_answer(answer), url, answer.body.decode("utf-8", "replace"))

    def _noted(self, document: ET.Element, url: str, text: str) -> ET.Element:
        verbs = [verb.tag for verb in document]
        self.face.core.journal.add(
            Kind.DOCUMENT,
            "twilio",
            self.leg.root.id,
            call_sid=self.call.sid,
            url=url,
            verbs=verbs,
            document=text,
        )
        return document

    async def _execute(self, document: ET.Element) -> Step:
        for index, verb in enumerate(document):
            if not self.leg.is_live:
                raise CallOver
            if verb.tag == "Reject" and index > 0:
                raise BadDocument(12200, "<Reject> must be the first verb")
            step = await self._verbs[verb.tag](verb)
            if step is not None:
                return step
        return None

    def _apologize(self) -> None:
        """No document could be used: the caller is told, and the call ends."""
        if not self.leg.is_live:
            return
        self.exchange.answer(self.leg)
        self.exchange.heard(self.leg, "say", APPLICATION_ERROR)
        self.exchange.end(self.leg, EndedBy.CARRIER)

    def link(self, element: ET.Element, name: str, method_name: str = "method") -> Endpoint | None:
        """The URL in an attribute, relative to the document, with its method."""
        url = element.get(name)
        return (
            Endpoint(url=urljoin(self.here.url, url), method=element.get(method_name, "POST"))
            if url
            else None
        )

    async def after(self, action: Endpoint | None, event: str, fields: Mapping[str, str]) -> Step:
        """Control moves to the action. Of an ended call the action is still told, and its answer ignored.

        That Twilio asks the action of <Dial>, <Record> and <Connect> after a hang-up, too, is unconfirmed.
        """
        if action is None:
            if not self.leg.is_live:
                raise CallOver
            return None
        ask = Ask(endpoint=action, hook="next", event=event, extra=fields)
        if self.leg.is_live:
            return ask
        told = {**voice_fields(self.call, self.face.habits), **fields}
        await self.face.sender.send(self.call, action, told, hook="next", event=event)
        raise CallOver

    # -- time and keys

    async def _sleep(self, seconds: float) -> None:
        """Scripted seconds; raises CallOver when the call ends in them."""
        try:
            await asyncio.wait_for(self.leg.ended.wait(), self.clock.real_s(seconds))
        except TimeoutError:
            return
        raise CallOver

    async def _key(self, within_s: float) -> str | None:
        """The next key pressed, None when none came in time; raises CallOver."""
        key = asyncio.create_task(self.leg.party.keys.get())
        over = asyncio.create_task(self.leg.ended.wait())
        try:
            await asyncio.wait(
                (key, over), timeout=self.clock.real_s(within_s), return_when=asyncio.FIRST_COMPLETED
            )
            if key.done():
                return key.result()
            if over.done():
                raise CallOver
            return None
        finally:
            key.cancel()
            over.cancel()

    def answer(self) -> None:
        """Verbs that are heard pick an inbound call up."""
        if not self.leg.is_live:
            raise CallOver
        self.exchange.answer(self.leg)

    # -- verbs that are heard

    async def _say(self, verb: ET.Element) -> Step:
        self.answer()
        text = text_of(verb)
        for _ in range(_loops(verb)):
            self.exchange.heard(self.leg, "say", text)
            await self._sleep(len(text.split()) * SECONDS_PER_WORD)
        return None

    async def _play(self, verb: ET.Element) -> Step:
        self.answer()
        digits = verb.get("digits")
        for _ in range(_loops(verb)):
            if digits:
                self.exchange.heard(self.leg, "keys", digits)
            else:
                self.exchange.heard(self.leg, "play", urljoin(self.here.url, text_of(verb)))
            await self._sleep(PLAY_S)
        return None

    async def _pause(self, verb: ET.Element) -> Step:
        """Does not answer an inbound call."""
        seconds = float(verb.get("length", "1"))
        if self.leg.is_answered:
            self.exchange.heard(self.leg, "silence", seconds)
        await self._sleep(seconds)
        return None

    async def _hangup(self, _verb: ET.Element) -> Step:
        """As the first verb it does not keep the call from being answered (and billed)."""
        self.answer()
        self.exchange.end(self.leg, EndedBy.US)
        raise CallOver

    async def _reject(self, verb: ET.Element) -> Step:
        """Not answered, not billed: status `busy` or `no-answer`."""
        if self.leg.is_answered or self.leg.direction is not Direction.INBOUND:
            raise BadDocument(12200, "<Reject> is for inbound calls that were not answered")
        is_busy = verb.get("reason") == "busy"
        self.exchange.heard(
            self.leg, *(("busy_tone",) if is_busy else ("say", "The number is not in service."))
        )
        self.exchange.end(self.leg, EndedBy.US, self.face.rejection(is_busy))
        raise CallOver

    async def _redirect(self, verb: ET.Element) -> Step:
        url = urljoin(self.here.url, text_of(verb))
        return Ask(
            endpoint=Endpoint(url=url, method=verb.get("method", "POST")), hook="next", event="redirect"
        )

    # -- <Gather> and <Record>

    async def _gather(self, verb: ET.Element) -> Step:
        """Keys only: the simulated person says nothing that speech recognition would understand."""
        self.answer()
        for prompt in verb:
            await self._verbs[prompt.tag](prompt)
        digits, finished = await self._digits(verb)
        if not digits and verb.get("actionOnEmptyResult") != "true":
            return None
        fields = {"Digits": digits} | ({"FinishedOnKey": finished} if finished else {})
        action = self.link(verb, "action") or Endpoint(url=self.here.url, method=verb.get("method", "POST"))
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
        self.answer()
        if verb.get("playBeep", "true") == "true":
            self.exchange.heard(self.leg, "beep")
        options = self.recording_options(verb, "RecordVerb")
        recording = self.face.start_recording(self.call, options)
        try:
            digits = await self._record_until(verb)
        except CallOver:
            digits = "hangup"
        finally:
            self.face.finish_recording(recording)
        fields = {
            "RecordingUrl": self.face.media_url(recording),
            "RecordingSid": recording.sid,
            "RecordingDuration": str(recording.duration_s or 0),
            "Digits": digits,
        }
        action = self.link(verb, "action") or Endpoint(url=self.here.url, method=verb.get("method", "POST"))
        return await self.after(action, "record", fields)

    async def _record_until(self, verb: ET.Element) -> str:
        longest_s = float(verb.get("maxLength", "3600"))
        silence_s = float(verb.get("timeout", "5"))
        keys = verb.get("finishOnKey", "1234567890*#")
        left_s = longest_s if self.leg.party.says_tone else min(longest_s, silence_s)
        mark = self.clock.mark()
        while (spare_s := left_s - self.clock.elapsed_s(mark)) > 0:
            key = await self._key(spare_s)
            if key is not None and key in keys:
                return key
        return ""

    def recording_options(self, verb: ET.Element, source: str, channels: int = 1) -> RecordingOptions:
        """From the attributes of <Record>, <Dial> or <Recording>."""
        track = verb.get("recordingTrack") or verb.get("track") or "both"
        return RecordingOptions(
            source=source,
            channels=channels,
            track="inbound" if source == "RecordVerb" else track,
            callback=self.link(verb, "recordingStatusCallback", "recordingStatusCallbackMethod"),
            events=frozenset(verb.get("recordingStatusCallbackEvent", "completed").split()),
        )


def _loops(verb: ET.Element) -> int:
    return int(verb.get("loop", "1")) or FOR_EVER
