"""The switch: legs, parties and what really happened to them, whatever any carrier says about it.

A carrier face uses it like this::

    leg = exchange.create(leg_id, provider=..., account_ref=..., direction=Direction.OUTBOUND, to=..., from_=...)
    exchange.dial(leg, ring_timeout_s=60)      # runs the callee's script; the face gets on_leg_event(leg, event)
    exchange.end(leg, EndedBy.US)              # hang up in any state; what that means is the leg's `outcome`
    exchange.answer(leg)                       # inbound: our side picks up
    exchange.bridge(leg, child)                # two parties hear each other; `unbridge` parts them
    await exchange.detect(leg, until_greeting_end=True, timeout_s=30)       # machine detection

Events are delivered synchronously and in order, inside the simulator's loop: a face that must wait spawns a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from providers.simulator.clock import Clock
from providers.simulator.journal import Journal, Kind
from providers.simulator.scripts import (
    Answer,
    Busy,
    CalleeScript,
    Caller,
    CallerScript,
    Decline,
    HangUpWhileRinging,
    NoAnswer,
    Unreachable,
    Verdict,
    Voicemail,
)

KEY_GAP_S = 0.2


class Direction(StrEnum):
    """As the carrier's customer sees it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class LegState(StrEnum):
    """Where a leg is."""

    QUEUED = "queued"
    DIALING = "dialing"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    ENDED = "ended"


class LegEvent(StrEnum):
    """What a face is told about its leg."""

    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class EndedBy(StrEnum):
    """Who ended the leg: the phone at the far end, the carrier's customer, or the carrier itself."""

    PARTY = "party"
    US = "us"
    CARRIER = "carrier"


class Outcome(StrEnum):
    """What really happened, in plain words."""

    ANSWERED = "answered"
    VOICEMAIL = "voicemail"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    CALLER_GAVE_UP = "caller_gave_up"
    REFUSED_BUSY = "refused_busy"
    FAILED = "failed"


SIP_CODES: Final[dict[Outcome, int]] = {
    Outcome.ANSWERED: 200,
    Outcome.VOICEMAIL: 200,
    Outcome.BUSY: 486,
    Outcome.NO_ANSWER: 487,
    Outcome.DECLINED: 603,
    Outcome.UNREACHABLE: 404,
    Outcome.CANCELLED: 487,
    Outcome.CALLER_GAVE_UP: 487,
    Outcome.REFUSED_BUSY: 486,
    Outcome.FAILED: 503,
}
"""The final SIP answer of the far end; `Leg.sip_code` may be more exact."""


@dataclass(slots=True, kw_only=True, eq=False)
class Party:
    """A phone at the far end of a leg. `keys` fills with what the person presses once connected."""

    address: str
    verdict: Verdict = "human"
    says_tone: bool = True
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    keys: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    recognized_after_s: float = 1.5
    beep: bool = False
    greeting_s: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class Leg:
    """One connection between a carrier and a phone. Faces read it; only the exchange writes it.

    `notes` is the face's own scratch space for the leg. Times are real UTC, `duration_s` scripted seconds.
    """

    id: str
    provider: str
    account_ref: str
    direction: Direction
    to: str
    from_: str
    party: Party
    created_at: datetime
    parent: Leg | None = None
    children: list[Leg] = field(default_factory=list)
    state: LegState = LegState.QUEUED
    outcome: Outcome | None = None
    ended_by: EndedBy | None = None
    sip_code: int | None = None
    dialed_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float = 0.0
    bridged_to: Leg | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer_mark: float | None = None
    script_task: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        """Not ended."""
        return self.state is not LegState.ENDED

    @property
    def is_answered(self) -> bool:
        """Was ever answered."""
        return self.answered_at is not None

    @property
    def root(self) -> Leg:
        """The leg that led to this one, or itself."""
        return self if self.parent is None else self.parent.root


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What machine detection found. `at_ms` is scripted time since the answer."""

    verdict: Verdict
    greeting_ended: bool
    beep: bool
    at_ms: int


Listener = Callable[[Leg, LegEvent], None]


class Exchange:
    """Runs the scripts and keeps the truth. All methods run in the simulator's loop."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._scripts: dict[str, CalleeScript] = {}
        self._listeners: dict[str, Listener] = {}
        self._legs: dict[str, Leg] = {}
        self._scripts_running: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stops every script."""
        for task in self._scripts_running:
            task.cancel()
        await asyncio.gather(*self._scripts_running, return_exceptions=True)

    # -- set-up

    def listen(self, provider: str, listener: Listener) -> None:
        """Who is told of the events of a carrier's legs."""
        self._listeners[provider] = listener

    def script(self, address: str, script: CalleeScript) -> None:
        """What the phone with this number or SIP URI does."""
        self._scripts[address_key(address)] = script

    def script_of(self, address: str) -> CalleeScript:
        """The script of an address; unscripted ones answer."""
        return self._scripts.get(address_key(address), Answer())

    def leg(self, leg_id: str) -> Leg | None:
        """The leg with this id, or None."""
        return self._legs.get(leg_id)

    def legs(self, provider: str | None = None, account_ref: str | None = None) -> list[Leg]:
        """Every leg, oldest first."""
        return [
            leg
            for leg in list(self._legs.values())
            if provider in (None, leg.provider) and account_ref in (None, leg.account_ref)
        ]

    # -- a leg's life

    def create(
        self,
        leg_id: str,
        *,
        provider: str,
        account_ref: str,
        direction: Direction,
        to: str,
        from_: str,
        parent: Leg | None = None,
    ) -> Leg:
        """A new leg, queued. The far party is the callee of an outbound leg and the caller of an inbound one."""
        address = to if direction is Direction.OUTBOUND else from_
        leg = Leg(
            id=leg_id,
            provider=provider,
            account_ref=account_ref,
            direction=direction,
            to=to,
            from_=from_,
            party=Party(address=address),
            created_at=self._clock.now(),
            parent=parent,
        )
        self._legs[leg_id] = leg
        if parent is not None:
            parent.children.append(leg)
        self._note(leg, "queued")
        return leg

    def dial(self, leg: Leg, *, ring_timeout_s: float) -> None:
        """Calls the callee: its script runs from now on, and rings for `ring_timeout_s` at most."""
        if leg.state is not LegState.QUEUED:
            return
        leg.dialed_at = self._clock.now()
        self._to(leg, LegState.DIALING, LegEvent.DIALING)
        script = self.script_of(leg.to)
        self._start(leg, self._callee(leg, script, ring_timeout_s))

    def call_in(self, leg: Leg, script: CallerScript) -> None:
        """A caller rings an inbound leg: it rings at once, until answered, refused or given up."""
        leg.dialed_at = self._clock.now()
        self._ring(leg)
        self._start(leg, self._caller(leg, script))

    def answer(self, leg: Leg) -> None:
        """The leg is answered: by the callee's script, or by us when it is inbound. A repeat changes nothing."""
        if leg.is_answered or not leg.is_live:
            return
        leg.answered_at = self._clock.now()
        leg.answer_mark = self._clock.mark()
        self._to(leg, LegState.IN_PROGRESS, None)
        leg.answered.set()
        self._tell(leg, LegEvent.ANSWERED)

    def end(self, leg: Leg, by: EndedBy, outcome: Outcome | None = None, sip_code: int | None = None) -> None:
        """Ends the leg in whatever state it is. A repeat changes nothing.

        Args:
            outcome: of a leg that was never answered; None: cancelled by us when outbound, declined by us when
                inbound, else failed. An answered leg's outcome is answered or voicemail, whatever is said here.
        """
        if not leg.is_live:
            return
        leg.outcome = self._outcome(leg, by, outcome)
        leg.ended_by = by
        leg.sip_code = sip_code or SIP_CODES[leg.outcome]
        leg.ended_at = self._clock.now()
        if leg.answer_mark is not None:
            leg.duration_s = self._clock.elapsed_s(leg.answer_mark)
        task, leg.script_task = leg.script_task, None
        if task is not None and task is not _current_task():
            task.cancel()
        self.unbridge(leg)
        leg.state = LegState.ENDED
        leg.ended.set()
        self._note(leg, "ended", outcome=str(leg.outcome), by=str(by), duration_s=round(leg.duration_s, 2))
        self._tell(leg, LegEvent.ENDED)

    def bridge(self, first: Leg, second: Leg) -> None:
        """Connects two answered legs: each party hears the other."""
        first.bridged_to, second.bridged_to = second, first
        self.heard(first, "connected_to", second.party.address)
        self.heard(second, "connected_to", first.party.address)

    def unbridge(self, leg: Leg) -> Leg | None:
        """Parts a leg from its peer and returns the peer."""
        peer, leg.bridged_to = leg.bridged_to, None
        if peer is not None:
            peer.bridged_to = None
        return peer

    def heard(self, leg: Leg, *item: Any) -> None:
        """The far party of the leg heard this: ("say", text), ("play", url), ("audio", n_bytes, is_echo) ..."""
        leg.party.heard.append(item)
        self._journal.add(
            Kind.HEARD, leg.provider, leg.root.id, leg_id=leg.id, party=leg.party.address, item=list(item)
        )

    async def detect(self, leg: Leg, *, until_greeting_end: bool, timeout_s: float) -> Detection:
        """What machine detection says about the answered party, when it says it.

        A human is recognized after the script's own time; a machine then, or with `until_greeting_end` at the end of
        its greeting. Whatever takes longer than `timeout_s` is "not_sure". Time counts from the answer.
        """
        party = leg.party
        is_machine = party.greeting_s > 0
        ready_s = party.recognized_after_s
        waits_for_greeting = until_greeting_end and is_machine and party.verdict == "machine"
        if waits_for_greeting:
            ready_s = max(ready_s, party.greeting_s)
        late = ready_s > timeout_s
        ready_s = min(ready_s, timeout_s)
        mark = leg.answer_mark if leg.answer_mark is not None else self._clock.mark()
        await self._clock.sleep(ready_s - self._clock.elapsed_s(mark))
        ended = waits_for_greeting and not late
        verdict: Verdict = "not_sure" if late else party.verdict
        return Detection(
            verdict=verdict, greeting_ended=ended, beep=ended and party.beep, at_ms=round(ready_s * 1000)
        )

    # -- scripts

    def _start(self, leg: Leg, script: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(script)
        leg.script_task = task
        self._scripts_running.add(task)
        task.add_done_callback(lambda done: self._finished(leg, done))

    def _finished(self, leg: Leg, task: asyncio.Task[None]) -> None:
        self._scripts_running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._journal.add(Kind.ERROR, leg.provider, leg.root.id, error=f"{type(error).__name__}: {error}")

    async def _callee(self, leg: Leg, script: CalleeScript, ring_timeout_s: float) -> None:
        match script:
            case Busy():
                await self._clock.sleep(script.after_s)
                self.end(leg, EndedBy.PARTY, Outcome.BUSY)
            case Unreachable():
                await self._clock.sleep(script.after_s)
                self.end(leg, EndedBy.CARRIER, Outcome.UNREACHABLE, script.sip_code)
            case NoAnswer():
                self._ring(leg)
                own_s = ring_timeout_s if script.rings_s is None else min(script.rings_s, ring_timeout_s)
                await self._ring_out(leg, own_s)
            case Decline():
                if await self._rings_for(leg, script.after_s, ring_timeout_s):
                    self.end(leg, EndedBy.PARTY, Outcome.DECLINED)
            case Answer():
                if await self._rings_for(leg, script.after_s, ring_timeout_s):
                    await self._person(
                        leg, script.keys, script.talk_s, script.says_tone, script.recognized_after_s
                    )
            case Voicemail():
                if await self._rings_for(leg, script.after_s, ring_timeout_s):
                    await self._machine(leg, script)

    async def _caller(self, leg: Leg, script: CallerScript) -> None:
        patience_s = script.after_s if isinstance(script, HangUpWhileRinging) else script.gives_up_after_s
        try:
            await asyncio.wait_for(leg.answered.wait(), self._clock.real_s(patience_s))
        except TimeoutError:
            self.end(leg, EndedBy.PARTY, Outcome.CALLER_GAVE_UP)
            return
        if isinstance(script, Caller):
            leg.party.says_tone = script.says_tone
            await self._talk(leg, script.keys, script.talk_s)

    async def _rings_for(self, leg: Leg, after_s: float, ring_timeout_s: float) -> bool:
        """Rings; False when the dial's own timeout came first (the leg has ended then)."""
        self._ring(leg)
        if after_s >= ring_timeout_s:
            await self._ring_out(leg, ring_timeout_s)
            return False
        await self._clock.sleep(after_s)
        return True

    async def _ring_out(self, leg: Leg, after_s: float) -> None:
        await self._clock.sleep(after_s)
        self.end(leg, EndedBy.CARRIER, Outcome.NO_ANSWER)

    async def _person(
        self, leg: Leg, keys: str, talk_s: float | None, says_tone: bool, recognized_after_s: float
    ) -> None:
        leg.party.says_tone = says_tone
        leg.party.recognized_after_s = recognized_after_s
        self.answer(leg)
        await self._talk(leg, keys, talk_s)

    async def _machine(self, leg: Leg, script: Voicemail) -> None:
        party = leg.party
        party.verdict, party.beep, party.says_tone = script.verdict, script.beep, True
        party.greeting_s, party.recognized_after_s = script.greeting_s, script.recognized_after_s
        self.answer(leg)
        await self._clock.sleep(script.greeting_s)
        self._note(leg, "greeting_ended", beep=script.beep)
        await self._clock.sleep(script.records_s)
        self.end(leg, EndedBy.PARTY)

    async def _talk(self, leg: Leg, keys: str, talk_s: float | None) -> None:
        mark = self._clock.mark()
        for key in keys:
            await self._clock.sleep(KEY_GAP_S)
            leg.party.keys.put_nowait(key)
        if talk_s is not None:
            await self._clock.sleep(talk_s - self._clock.elapsed_s(mark))
            self.end(leg, EndedBy.PARTY)

    # -- keeping the truth

    def _ring(self, leg: Leg) -> None:
        leg.ringing_at = self._clock.now()
        self._to(leg, LegState.RINGING, LegEvent.RINGING)

    def _outcome(self, leg: Leg, by: EndedBy, outcome: Outcome | None) -> Outcome:
        if leg.is_answered:
            return (
                Outcome.VOICEMAIL
                if leg.party.verdict != "human" and leg.party.greeting_s
                else Outcome.ANSWERED
            )
        if outcome is not None:
            return outcome
        if by is EndedBy.US:
            return Outcome.CANCELLED if leg.direction is Direction.OUTBOUND else Outcome.DECLINED
        return Outcome.FAILED

    def _to(self, leg: Leg, state: LegState, event: LegEvent | None) -> None:
        leg.state = state
        self._note(leg, str(state))
        if event is not None:
            self._tell(leg, event)

    def _tell(self, leg: Leg, event: LegEvent) -> None:
        listener = self._listeners.get(leg.provider)
        if listener is not None:
            listener(leg, event)

    def _note(self, leg: Leg, what: str, **data: Any) -> None:
        self._journal.add(Kind.EXCHANGE, leg.provider, leg.root.id, leg_id=leg.id, what=what, **data)


def truth_of(leg: Leg) -> str:
    """The leg's outcome, or where it is while it lives: "queued", "ringing", "in_progress"."""
    if leg.outcome is not None:
        return str(leg.outcome)
    return "queued" if leg.state is LegState.DIALING else str(leg.state)


def address_key(address: str) -> str:
    """A number as it is; a SIP URI without its parameters and headers, lower case."""
    if address.lower().startswith(("sip:", "sips:")):
        return address.split(";")[0].split("?")[0].lower()
    return address


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
