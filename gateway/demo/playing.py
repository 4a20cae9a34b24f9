"""Plays the scenarios: every call of every carrier at the same time, each in a thread, all watched by one reader.

A `Scene` is one scenario on one carrier. What the gateway says is read from the database, as any other process would;
what really happened is asked of the simulator. The two meet only in `truth.compare`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.demo.scenarios import Scenario, scenarios
from gateway.demo.stage import ECHO, Line, Stage
from gateway.demo.truth import Check, compare
from gateway.errors import GatewayError
from gateway.models import Call, EventRecord
from gateway.status import Direction

if TYPE_CHECKING:
    from providers.simulator import Conversation, Entry, SimCall

log = logging.getLogger(__name__)

SCENE_TIMEOUT_S: Final = 40.0  # one that takes longer is a failure: the whole takes some ten seconds
READ_EVERY_S: Final = 0.15
POLL_S: Final = 0.03
MOST_CALLS: Final = 100
AT_ONCE: Final = 12


class Stopped(Exception):
    """The demo is being stopped."""


class NotInTime(Exception):
    """What a scene waited for did not happen; the message says what."""


class Watch:
    """The latest state of every call, read from the database by one thread. Use as a context manager."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._calls: tuple[Call, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def find(self, matches: Callable[[Call], bool]) -> Call | None:
        """Return the newest call that matches, as last read."""
        return next((call for call in self._calls if matches(call)), None)

    def _run(self) -> None:
        while not self._stop.wait(READ_EVERY_S):
            try:
                self._calls = tuple(self._stage.gateway.calls.list(limit=MOST_CALLS).calls)
            except GatewayError as error:  # busy just now: the next look is soon
                log.warning("the calls could not be read: %s", error)


@dataclass(slots=True, kw_only=True)
class Scene:
    """One scenario on one carrier, while it is played and afterwards. `checks` is filled when it is over."""

    stage: Stage
    watch: Watch
    line: Line
    scenario: Scenario
    index: int
    stopping: threading.Event
    checks: list[Check] = field(default_factory=list)
    is_started: bool = False
    is_over: bool = False
    deadline: float = 0.0
    call_id: str | None = None

    # -- what it is

    @property
    def provider(self) -> str:
        """The carrier."""
        return self.line.provider

    @property
    def agrees(self) -> bool:
        """Everything that was looked at was as it must be."""
        return self.is_over and bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def phone(self) -> str:
        """The other party's number; no other scene uses it."""
        return self.line.phone(self.index)

    @property
    def ours(self) -> str:
        """Our number."""
        return self.line.number(self.scenario.called)

    @property
    def call(self) -> Call | None:
        """The gateway's record, as last read."""
        return self.watch.find(
            lambda call: call.phone_number == self.phone and call.provider == self.provider
        )

    @property
    def exchange_call(self) -> SimCall | None:
        """The exchange's record. Found by its numbers, not by anything the gateway says."""
        ends = {self.phone, self.ours}
        found = (call for call in self.stage.sim.calls(self.provider) if {call.to, call.from_} == ends)
        return next(found, None)

    @property
    def exchange_state(self) -> str:
        """What the exchange knows: the state of a live call, the outcome of an ended one, "" before."""
        call = self.exchange_call
        return call.truth if call else ""

    # -- playing it

    def play(self) -> None:
        """Play it from beginning to end and look at what came of it. Never raises."""
        self.deadline = time.monotonic() + SCENE_TIMEOUT_S
        self.is_started = True
        try:
            self._perform()
        except Stopped:
            return
        except (NotInTime, GatewayError) as error:
            self.checks.append(Check(name="played", ok=False, detail=str(error)))
        except Exception as error:  # a bug in one scene must not take the others' results with it
            log.exception("%s on %s", self.scenario.name, self.provider)
            detail = f"unexpected {type(error).__name__}: {error}"
            self.checks.append(Check(name="played", ok=False, detail=detail))
        self.is_over = True

    def _perform(self) -> None:
        self.scenario.before(self)
        if self.scenario.direction is Direction.OUTBOUND:
            self._place()
        else:
            self.stage.sim.ring(self.ours, self.phone, self.scenario.phone)
        self.scenario.during(self)
        self.wait("the exchange to end the call", self._is_settled)
        self.wait("the gateway to see the end", lambda: self.call is not None and self.call.status.is_final)
        self._judge()

    def _place(self) -> None:
        self.stage.sim.script(self.phone, self.scenario.phone)
        placed = self.stage.gateway.place_call(
            ECHO, self.phone, from_number=self.ours, settings=self.scenario.settings
        )
        self.call_id = placed.id

    def _is_settled(self) -> bool:
        """Whether the call is over and the carrier has reported all there is."""
        call = self.exchange_call
        return call is not None and call.outcome is not None and self.stage.is_settled(call)

    def _judge(self) -> None:
        call, known = self.latest(), self.exchange_call
        assert call is not None
        assert known is not None
        truth, wanted = known.truth, self.scenario.truth
        self.checks = [
            Check(name="scenario", ok=truth == wanted, detail=f"played {wanted}, the exchange saw {truth}"),
            *compare(call, truth, known.ended_by or ""),
            *self.scenario.checks(self),
        ]

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait until it is so. Raises NotInTime, Stopped."""
        while not is_so():
            if time.monotonic() > self.deadline:
                raise NotInTime(f"waited {SCENE_TIMEOUT_S:g} s in vain for {what}")
            if self.stopping.wait(POLL_S):
                raise Stopped

    # -- what a scenario does

    def hang_up(self) -> None:
        """End the call from our side, through the library."""
        assert self.call_id is not None
        self.stage.gateway.hang_up(self.call_id)

    def far_party_hangs_up(self) -> None:
        """The phone at the far end hangs up."""
        call = self.exchange_call
        assert call is not None
        self.stage.sim.hang_up(call)

    def misdeliver(self, *, forge: bool = False, repeat: int = 0, reorder: bool = False) -> None:
        """Arm a fault for the next report: of this call, or of the carrier's next call when there is none yet.

        Some carriers report by a "status" hook, some by "events": what is armed for the other one never fires.
        """
        for hook in ("status", "events"):
            self.stage.sim.faults.webhooks(
                self.provider, hook=hook, call=self.exchange_call, forge=forge, repeat=repeat, reorder=reorder
            )

    # -- what a scenario looks at

    @property
    def conversation(self) -> Conversation | None:
        """The call's media stream, as the agent saw it."""
        call_id = self.call_id or (self.call.id if self.call else "")
        talks = list(self.stage.agent.conversations)
        return next((each for each in talks if each.parameters.get("call_id") == call_id), None)

    @property
    def frames_echoed(self) -> int:
        """Audio frames that the agent has sent back."""
        return self.conversation.frames_out if self.conversation else 0

    @property
    def claim_status(self) -> int | None:
        """HTTP status of the agent's claim; None: it made none."""
        claim = self.conversation.claim if self.conversation else None
        return claim[0] if claim else None

    def heard(self, kind: str) -> list[tuple[Any, ...]]:
        """Return what the phone heard of one kind: "say" or "audio"."""
        call = self.exchange_call
        return [item for item in call.heard if item[0] == kind] if call else []

    def webhooks(self) -> list[Entry]:
        """Return every webhook that the carrier sent for the call, in the order of sending."""
        call = self.exchange_call
        return self.stage.sim.journal.webhooks(self.provider, call) if call else []

    def answers_to(self, fault: str) -> list[int]:
        """Return what the gateway answered to the call's webhooks with this fault."""
        return [entry.data["status"] for entry in self.webhooks() if fault in entry.data["faults"]]

    def swapped_reports(self) -> tuple[str, str] | None:
        """Return the report that was held back and the one that overtook it; None when none did."""
        for held in self._faults("reorder"):
            after = [each.data["event"] for each in self.webhooks() if each.sequence > held.sequence]
            if after and after[0] != held.data["event"]:
                return str(held.data["event"]), str(after[0])
        return None

    def _faults(self, name: str) -> list[Entry]:
        call, entries = self.exchange_call, self.stage.sim.journal.all()
        ours = [each for each in entries if call is not None and each.call_id == call.id]
        return [each for each in ours if each.kind == "fault" and name in each.data.get("faults", ())]

    def latest(self) -> Call | None:
        """Return the gateway's record as it is now."""
        call = self.call
        return self.stage.gateway.calls.get(call.id) if call else None

    def events(self) -> Sequence[EventRecord]:
        """Return the call's timeline."""
        call = self.call
        return self.stage.gateway.calls.events(call.id) if call else ()

    def doubled_events(self) -> list[str]:
        """Return the names of the webhooks that stand in the timeline more than once."""
        told = Counter((e.name, repr(sorted(e.raw.items()))) for e in self.events() if e.source == "webhook")
        return [name for (name, _), count in told.items() if count > 1]


# -- the whole -----------------------------------------------------------------------------------------------------


@contextmanager
def rehearsed(stage: Stage) -> Iterator[tuple[list[Scene], threading.Event]]:
    """Give every scene, ordered as the table is, none of them played, with the event that stops them."""
    stopping = threading.Event()
    with Watch(stage) as watch:
        yield (
            [
                Scene(stage=stage, watch=watch, line=line, scenario=scenario, index=index, stopping=stopping)
                for index, scenario in enumerate(scenarios())
                for line in stage.lines.values()
            ],
            stopping,
        )


def play(scenes: Sequence[Scene], stopping: threading.Event, tell: Callable[[Scene], None]) -> None:
    """Play all scenes; `tell` hears of each one that is over. What must be alone on its carrier comes last."""
    crowd = [scene for scene in scenes if not scene.scenario.alone]
    soloists = [scene for scene in scenes if scene.scenario.alone]
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="demo-scene")
    try:
        for act in (crowd, soloists):
            _play_act(pool, act, tell)
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)


def _play_act(pool: ThreadPoolExecutor, act: Sequence[Scene], tell: Callable[[Scene], None]) -> None:
    running = {pool.submit(scene.play): scene for scene in act}
    pending = set(running)
    while pending:
        done, pending = wait_for(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            tell(running[future])
