"""Plays to a leg what `speak` and `playback_start` ask for, one after the other, in scripted time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import webhooks
from providers.simulator.carriers.telnyx.outbox import Outbox
from providers.simulator.carriers.telnyx.plans import PLAYBACK_S, repeats, speech_s, spoken_text
from providers.simulator.carriers.telnyx.rest import Document
from providers.simulator.carriers.telnyx.state import view
from providers.simulator.exchange import Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A text to speak or a file to play: `request` are the fields of the command."""

    request: Document = field(repr=False)
    listeners: tuple[Leg, ...]
    text: str | None = None

    @property
    def length_s(self) -> float:
        """Tell how long one repetition takes; a file's true length is not looked up."""
        return PLAYBACK_S if self.text is None else speech_s(self.text)

    @property
    def file(self) -> str:
        """Name what is played when it is no text."""
        return str(self.request.get("audio_url") or self.request.get("media_name") or "playback_content")


def speech(body: Document, listeners: tuple[Leg, ...]) -> Sound:
    """Make the sound of a `speak`."""
    text = spoken_text(body["payload"], body.get("payload_type") or "text")
    return Sound(request=body, listeners=listeners, text=text)


class Player:
    """The queue of one leg. `stop` is what ends a sound early: a command, or the end of the call."""

    def __init__(self, core: Core, outbox: Outbox, leg: Leg) -> None:
        self._core = core
        self._outbox = outbox
        self._leg = leg
        self._queue: deque[Sound] = deque()
        self._stopped: asyncio.Event | None = None
        self._why = ""

    @property
    def is_playing(self) -> bool:
        """Whether a sound is being played or waits for its turn."""
        return self._stopped is not None

    def play(self, sound: Sound) -> None:
        """Play now, or after what is queued already."""
        self._queue.append(sound)
        if self._stopped is None:
            self._stopped = asyncio.Event()
            self._core.spawn(self._run(), call_id=self._leg.root.id)

    def stop(self, *, everything: bool, why: str = "cancelled") -> None:
        """End the current sound, and with `everything` throw the queue away."""
        if everything:
            self._queue.clear()
        if self._stopped is not None:
            self._why = why
            self._stopped.set()

    async def _run(self) -> None:
        try:
            while self._queue:
                self._stopped = asyncio.Event()
                await self._play(self._queue.popleft(), self._stopped)
        finally:
            self._stopped = None

    async def _play(self, sound: Sound, stopped: asyncio.Event) -> None:
        self._report_start(sound)
        left = repeats(sound.request.get("loop"))
        while left is None or left > 0:
            mark = self._core.clock.mark()
            interrupted = await self._wait(sound.length_s, stopped)
            played_s = self._core.clock.elapsed_s(mark) if interrupted else sound.length_s
            self._hear(sound, min(1.0, played_s / sound.length_s))
            if interrupted:
                break
            left = None if left is None else left - 1
        self._report_end(sound, self._why if stopped.is_set() else "completed")

    async def _wait(self, length_s: float, stopped: asyncio.Event) -> bool:
        """Wait for the end of a repetition; True if it was stopped before."""
        try:
            await asyncio.wait_for(stopped.wait(), self._core.clock.real_s(length_s))
        except TimeoutError:
            return False
        return True

    def _hear(self, sound: Sound, share: float) -> None:
        """Note what was heard: of a speech cut short, the part that was spoken."""
        for listener in sound.listeners:
            if sound.text is None:
                self._core.exchange.heard(listener, "play", sound.file)
            elif spoken := sound.text[: round(len(sound.text) * share)]:
                self._core.exchange.heard(listener, "say", spoken)

    def _report_start(self, sound: Sound) -> None:
        if sound.text is None:
            payload = webhooks.playback_started(view(self._leg), sound.request)
            self._outbox.send(self._leg, "call.playback.started", payload)
        else:
            self._outbox.send(self._leg, "call.speak.started", webhooks.speak_started(view(self._leg)))

    def _report_end(self, sound: Sound, status: str) -> None:
        if sound.text is None:
            payload = webhooks.playback_ended(view(self._leg), sound.request, status, "")
            self._outbox.send(self._leg, "call.playback.ended", payload)
            return
        # `call.speak.ended` has no word for a speech that a command stopped; `completed` is a choice.
        spoken = "call_hangup" if status == "call_hangup" else "completed"
        self._outbox.send(self._leg, "call.speak.ended", webhooks.speak_ended(view(self._leg), spoken))


def targets(leg: Leg, peer: Leg | None, target_legs: str | None) -> tuple[Leg, ...]:
    """Tell who hears a sound: the leg, the one it is bridged with, or both."""
    choose: dict[str, Callable[[], tuple[Leg | None, ...]]] = {
        "self": lambda: (leg,),
        "opposite": lambda: (peer,),
        "both": lambda: (leg, peer),
    }
    return tuple(found for found in choose[target_legs or "self"]() if found is not None)
