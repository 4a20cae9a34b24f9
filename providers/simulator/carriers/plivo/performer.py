"""Carries a Plivo document out on a call, element by element, in scripted time.

Source: Plivo's XML reference (plivo.com/docs, read 2026). An inbound call is answered when the first element runs
that is neither `<PreAnswer>`, a leading `<Wait>` nor a leading `<Hangup reason>` (a reading of the docs,
unconfirmed). How long `<Speak>` and `<Play>` take is invented. Not played: the keys of `<Dial digitsMatch>`, and
`<Play>` does not fetch its file.

A performer stops by itself, at the next thing it waits for, when its call ended or was transferred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from providers.simulator.carriers.plivo import endings, webhooks
from providers.simulator.carriers.plivo.calls import PlivoCall, Recording, StreamRecord, Target
from providers.simulator.carriers.plivo.documents import Element
from providers.simulator.carriers.plivo.endings import Ending
from providers.simulator.clock import Clock
from providers.simulator.exchange import Exchange

PLAY_S: Final = 3.0
SPEAK_S_A_CHARACTER: Final = 0.06
CONFIRM_S: Final = 10
ENDLESS: Final = 10**9

Document = Sequence[Element]


class CallEnds(Exception):
    """The document, or what is wrong with it, ends the call."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.name)
        self.ending = ending


class Stopped(Exception):
    """The call ended or was transferred: nothing of this document is carried out any more."""


class Desk(Protocol):
    """What a performer needs of the carrier."""

    clock: Clock
    exchange: Exchange

    async def fetch(self, call: PlivoCall, kind: str, target: Target, params: webhooks.Params) -> Document:
        """Ask an address for a document; raises CallEnds."""
        ...

    def tell(
        self, call: PlivoCall, hook: str, event: str, target: Target | None, params: webhooks.Params
    ) -> None:
        """Send a webhook whose answer does not matter, in the background."""
        ...

    def finish(self, call: PlivoCall, ending: Ending) -> None:
        """End the call."""
        ...

    def note(self, call: PlivoCall, element: Element) -> None:
        """Journal that an element runs."""
        ...

    def after(self, call: PlivoCall, seconds: float, action: Callable[[], None]) -> None:
        """Do something in `seconds`, if the call lives that long."""
        ...

    def place_b_leg(self, call: PlivoCall, to: str, *, caller_id: str, ring_s: int) -> PlivoCall:
        """Dial another phone for this call."""
        ...

    def record(
        self, call: PlivoCall, *, file_format: str, limit_s: float | None, callback: Target | None
    ) -> Recording:
        """Start a recording; with a limit it stops by itself."""
        ...

    def stop_recording(self, call: PlivoCall, recording: Recording) -> None:
        """Stop it; the callback follows when the file is ready."""
        ...

    def recording_url(self, recording: Recording) -> str:
        """Where the file is, or will be."""
        ...

    def open_stream(
        self, call: PlivoCall, record: StreamRecord, *, extra_headers: str, timeout_s: float
    ) -> asyncio.Task[None]:
        """Connect a media socket and stream until it ends."""
        ...

    def new_stream(self, element: Element) -> StreamRecord:
        """A stream as an element asks for it."""
        ...


class Performer:
    """One document of one call, and the documents it leads to."""

    def __init__(self, desk: Desk, call: PlivoCall) -> None:
        self._desk = desk
        self._call = call
        self._leg = call.leg
        self._stop = call.stop_document
        self._record_on_answer: Element | None = None

    async def run(self, kind: str, target: Target, params: webhooks.Params) -> None:
        """Ask `target` for a document and carry it out to its end, which is the end of the call (4010)."""
        try:
            document: Document | None = await self._fetch(kind, target, params)
            while document is not None:
                document = await self._perform(document)
            self._answer()
            raise CallEnds(endings.DOCUMENT_ENDED)
        except Stopped:
            return
        except CallEnds as end:
            if not self._stop.is_set():
                self._desk.finish(self._call, end.ending)

    async def _perform(self, document: Document) -> Document | None:
        """Run the elements; returns the document that replaces this one, None at the end."""
        for element in document:
            self._check()
            self._before(element)
            self._desk.note(self._call, element)
            replacement = await self._HANDLERS[element.name](self, element)
            if replacement is not None:
                return replacement
        return None

    def _before(self, element: Element) -> None:
        """Answer an inbound call, unless the element leaves it ringing."""
        refuses = element.name == "Hangup" and element["reason"] and not element["schedule"]
        if self._leg.is_answered or element.name in ("PreAnswer", "Wait"):
            return
        if refuses:
            busy = element["reason"] == "busy"
            self._hear("busy_tone")
            raise CallEnds(endings.REFUSED_AS_BUSY if busy else endings.REFUSED)
        self._answer()

    def _answer(self) -> None:
        if self._leg.is_live:
            self._desk.exchange.answer(self._leg)

    # --- simple elements

    async def _speak(self, element: Element) -> None:
        for _ in range(element["loop"] or ENDLESS):
            self._hear("say", element.text)
            await self._pass(max(1.0, SPEAK_S_A_CHARACTER * len(element.text)))

    async def _play(self, element: Element) -> None:
        for _ in range(element["loop"] or ENDLESS):
            self._hear("play", element.text)
            await self._pass(PLAY_S)

    async def _wait(self, element: Element) -> None:
        """Wait for `length`; with `silence` until the party was silent for `minSilence`, with `beep` for the beep."""
        seconds = float(element["length"])
        party, mark = self._leg.party, self._leg.answer_mark
        spoken = 0.0 if mark is None else self._desk.clock.elapsed_s(mark)
        greeting_left_s = max(0.0, party.greeting_s - spoken)
        if element["beep"] != "false" and party.beep:
            seconds = min(seconds, greeting_left_s)
        elif element["silence"]:
            seconds = min(seconds, greeting_left_s + element["minSilence"] / 1000)
        self._hear("silence", seconds)
        await self._pass(seconds)

    async def _hang_up(self, element: Element) -> None:
        if element["schedule"] is None:
            raise CallEnds(endings.DOCUMENT_HUNG_UP)
        ending = endings.SCHEDULED_BY_DOCUMENT
        self._desk.after(self._call, element["schedule"], lambda: self._desk.finish(self._call, ending))

    async def _dtmf(self, element: Element) -> None:
        self._hear("keys", element.text)

    async def _pre_answer(self, element: Element) -> None:
        for child in element.children:
            await self._HANDLERS[child.name](self, child)

    async def _redirect(self, element: Element) -> Document:
        target = self._target("redirect", element.text, element["method"])
        return await self._fetch("redirect", target, webhooks.step_params(self._call))

    async def _get_digits(self, element: Element) -> Document | None:
        for _ in range(element["retries"]):
            await self._pre_answer(element)
            pressed = await self._collect(element)
            if pressed:
                return await self._act(element, webhooks.digits_params(self._call, pressed))
        return None

    async def _collect(self, element: Element) -> str:
        """Keys until the finish key, enough of them, or a pause; a key that is not valid is left out."""
        pressed, pause_s = "", element["timeout"]
        while len(pressed) < element["numDigits"]:
            key = await self._key(pause_s)
            if key is None or key == element["finishOnKey"]:
                break
            if key in element["validDigits"]:
                pressed += key
            pause_s = element["digitTimeout"]
        return pressed

    # --- recording

    async def _record(self, element: Element) -> Document | None:
        if element["startOnDialAnswer"]:
            self._record_on_answer = element
            return None
        if element["recordSession"]:
            recording = self._start_session(element)
            return await self._act(element, self._record_params(recording, ""))
        return await self._take_message(element)

    def _start_session(self, element: Element) -> Recording:
        return self._desk.record(
            self._call,
            file_format=element["fileFormat"],
            limit_s=element["maxLength"],
            callback=_callback(element),
        )

    async def _take_message(self, element: Element) -> Document | None:
        """Record until a key, `timeout` of silence or `maxLength`; a person on the line never falls silent."""
        if element["playBeep"]:
            self._hear("beep")
        limit_s = element["maxLength"]
        if not self._leg.party.says_tone:
            limit_s = min(limit_s, element["timeout"])
        recording = self._desk.record(
            self._call, file_format=element["fileFormat"], limit_s=None, callback=_callback(element)
        )
        pressed = await self._finish_key(element["finishOnKey"], limit_s)
        self._desk.stop_recording(self._call, recording)
        return await self._act(element, self._record_params(recording, pressed))

    async def _finish_key(self, finish_on: str, limit_s: float) -> str:
        mark = self._desk.clock.mark()
        while (left_s := limit_s - self._desk.clock.elapsed_s(mark)) > 0:
            key = await self._key(left_s)
            if key is not None and key in finish_on:
                return key
        return ""

    def _record_params(self, recording: Recording, pressed: str) -> webhooks.Params:
        url = self._desk.recording_url(recording)
        return webhooks.record_action_params(self._call, recording, url, pressed)

    # --- forwarding

    async def _dial(self, element: Element) -> Document | None:
        b_legs = [self._ring(element, child) for child in element.children]
        music = element["dialMusic"]
        self._hear("play", music) if music not in (None, "real") else self._hear("ringback")
        winner = await self._first_answer(element, b_legs)
        if winner is not None:
            await self._talk(element, winner)
        shown = winner or b_legs[-1]
        ending = shown.ending or endings.DOCUMENT_HUNG_UP
        params = webhooks.dial_action_params(
            self._call,
            status="completed" if winner else ending.status,
            rang=any(b_leg.leg.ringing_at for b_leg in b_legs),
            cause=ending.cause,
            b_leg_uuid=winner.uuid if winner else "",
        )
        return await self._act(element, params)

    def _ring(self, element: Element, child: Element) -> PlivoCall:
        b_leg = self._desk.place_b_leg(
            self._call,
            child.text,
            caller_id=element["callerId"] or self._call.from_,
            ring_s=element["timeout"],
        )

        b_leg.on_end.append(lambda: self._dial_event(element, b_leg, "hangup"))
        return b_leg

    async def _first_answer(self, element: Element, b_legs: Sequence[PlivoCall]) -> PlivoCall | None:
        """Wait for the first B leg that answers (and confirms); the others lose the race."""
        waiting = list(b_legs)
        while waiting:
            await self._any_of([_settled(b_leg) for b_leg in waiting], or_else=b_legs)
            answered = [b_leg for b_leg in waiting if b_leg.leg.is_answered and b_leg.leg.is_live]
            waiting = [b_leg for b_leg in waiting if b_leg.leg.is_live and b_leg not in answered]
            for b_leg in answered:
                self._dial_event(element, b_leg, "answer")
                if await self._confirms(element, b_leg):
                    self._drop(other for other in b_legs if other is not b_leg)
                    return b_leg
        return None

    async def _confirms(self, element: Element, b_leg: PlivoCall) -> bool:
        if element["confirmSound"]:
            self._desk.exchange.heard(b_leg.leg, "play", element["confirmSound"])
        if not element["confirmKey"]:
            return b_leg.leg.is_live
        key = await self._key(element["confirmTimeout"] or CONFIRM_S, of=b_leg)
        if key != element["confirmKey"]:
            self._desk.finish(b_leg, endings.NOT_CONFIRMED)
        return b_leg.leg.is_live

    async def _talk(self, element: Element, b_leg: PlivoCall) -> None:
        """Connect the parties until one of them, a star or the time limit ends it."""
        self._desk.exchange.bridge(self._leg, b_leg.leg)
        self._dial_event(element, b_leg, "connected")
        recording = self._start_session(self._record_on_answer) if self._record_on_answer else None
        self._desk.after(b_leg, element["timeLimit"], lambda: self._desk.finish(b_leg, endings.SCHEDULED))
        ends: list[Coroutine[Any, Any, Any]] = [b_leg.leg.ended.wait(), b_leg.taken.wait()]
        if element["hangupOnStar"]:
            ends.append(self._star())
        await self._any_of(ends, or_else=[b_leg])
        if b_leg.leg.is_live and not b_leg.taken.is_set():
            self._desk.finish(b_leg, endings.CALLER_HUNG_UP)
        if recording is not None:
            self._desk.stop_recording(self._call, recording)

    async def _star(self) -> None:
        while await self._leg.party.keys.get() != "*":
            continue

    def _dial_event(self, element: Element, b_leg: PlivoCall, action: str) -> None:
        ending = (b_leg.ending or endings.DOCUMENT_HUNG_UP) if action == "hangup" else None
        params = webhooks.dial_callback_params(self._call, b_leg, action, ending)
        self._desk.tell(self._call, "dial", action, _callback(element), params)

    def _drop(self, b_legs: Any, ending: Ending = endings.LOST_RACE) -> None:
        for b_leg in b_legs:
            if b_leg.leg.is_live and not b_leg.taken.is_set():
                self._desk.finish(b_leg, ending)

    # --- streams

    async def _stream(self, element: Element) -> None:
        """Exclusive with keepCallAlive, until the socket closes; else beside what follows."""
        record = self._desk.new_stream(element)
        task = self._desk.open_stream(
            self._call,
            record,
            extra_headers=element["extraHeaders"],
            timeout_s=element["streamTimeout"],
        )
        if not element["keepCallAlive"]:
            return
        try:
            await self._any_of([_done(task)])
        except Stopped:
            if record.media is not None:
                record.media.close()
            raise

    # --- tools

    async def _act(self, element: Element, params: webhooks.Params) -> Document | None:
        """Ask the `action` address; with `redirect` its document goes on, else nothing about it matters."""
        if not element["action"]:
            return None
        target = self._target("action", element["action"], element["method"])
        if not element["redirect"]:
            self._desk.tell(self._call, "next", "action", target, params)
            return None
        return await self._fetch("action", target, params)

    async def _fetch(self, kind: str, target: Target, params: webhooks.Params) -> Document:
        document = await self._desk.fetch(self._call, kind, target, params)
        self._check()
        return document

    def _target(self, kind: str, url: str, method: str) -> Target:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CallEnds(endings.url_invalid(kind))
        if method not in ("GET", "POST"):
            raise CallEnds(endings.method_invalid(kind))
        return Target(url=url, method=method)

    def _hear(self, *item: Any) -> None:
        self._desk.exchange.heard(self._leg, *item)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    async def _pass(self, seconds: float) -> None:
        """Let scripted time pass; raises Stopped as soon as the document must stop."""
        self._check()
        try:
            await asyncio.wait_for(self._stop.wait(), self._desk.clock.real_s(seconds))
        except TimeoutError:
            return
        raise Stopped

    async def _key(self, within_s: float, *, of: PlivoCall | None = None) -> str | None:
        """The next key the party presses, None when it takes longer."""
        queue = (of or self._call).leg.party.keys
        getter = asyncio.ensure_future(queue.get())
        try:
            await self._any_of([_done(getter)], within_s=within_s)
        finally:
            if not getter.done():
                getter.cancel()
        return getter.result() if getter.done() and not getter.cancelled() else None

    async def _any_of(
        self,
        waits: Sequence[Coroutine[Any, Any, Any]],
        *,
        within_s: float | None = None,
        or_else: Sequence[PlivoCall] = (),
    ) -> None:
        """Wait until one of `waits` is done, or for `within_s`; when stopped, drop the legs in `or_else` first."""
        tasks = [asyncio.ensure_future(wait) for wait in (*waits, self._stop.wait())]
        timeout = None if within_s is None else self._desk.clock.real_s(within_s)
        try:
            await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._stop.is_set():
            self._drop(or_else, endings.CALLER_HUNG_UP)
            raise Stopped

    _HANDLERS: Final[dict[str, Callable[[Performer, Element], Awaitable[Document | None]]]] = {
        "DTMF": _dtmf,
        "Dial": _dial,
        "GetDigits": _get_digits,
        "Hangup": _hang_up,
        "Play": _play,
        "PreAnswer": _pre_answer,
        "Record": _record,
        "Redirect": _redirect,
        "Speak": _speak,
        "Stream": _stream,
        "Wait": _wait,
    }


def _callback(element: Element) -> Target | None:
    url = element["callbackUrl"]
    return None if url is None else Target(url=url, method=element["callbackMethod"])


async def _settled(b_leg: PlivoCall) -> None:
    """Wait until the leg is answered or over."""
    waits = [asyncio.ensure_future(event.wait()) for event in (b_leg.leg.answered, b_leg.leg.ended)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _done(future: asyncio.Future[Any]) -> None:
    """Wait for a future without canceling it."""
    await asyncio.wait([future])
