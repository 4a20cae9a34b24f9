"""R42, R44: a call is a function of the set of its reports, in any order, any number of times, some of them lost.

The reports are real: each carrier plays every way a call can go once, through SDK, server and store, and what its
webhooks told is read back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway import Agent, Call, CallStatus, NextAgent, Reject, Say, Stream
from gateway.folding import fold
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    CarrierWords,
    Cost,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    EndReport,
    MachineVerdict,
    Recording,
    RejectAs,
    resolve,
)
from gateway.store import events
from providers.simulator import Answer, Busy, Caller, Decline, NoAnswer, Unreachable, Voicemail
from tests.bench import PROVIDERS, UNASSIGNED, Bench, open_bench

NOWHERE = "ws://127.0.0.1:9/media"


# -- what the carriers really send ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """One call as it ended: what each report added, and what we contributed ourselves."""

    name: str
    call: Call
    reports: tuple[CallFacts, ...]

    @property
    def blank(self) -> Call:
        """The call before its first report, with what only we know."""
        ours = CallFacts(
            rejected_as=self.call.facts.rejected_as,
            ends_by_itself=self.call.facts.ends_by_itself,
            hangup_requested=self.call.facts.hangup_requested,
        )
        return replace(
            self.call,
            facts=ours,
            status=CallStatus.QUEUED,
            end_reason=None,
            sequence=0,
            updated_at=self.call.created_at,
        )


OUTBOUND: dict[str, tuple[object, dict[str, Any]]] = {
    "answered": (Answer(after_s=2, talk_s=6), {}),
    "busy": (Busy(), {}),
    "declined": (Decline(), {}),
    "no answer": (NoAnswer(), {"join_timeout": "8s"}),
    "unreachable": (Unreachable(), {}),
    "cut off": (Answer(after_s=2), {"max_duration": "30s"}),
    "recorded": (Answer(after_s=2, talk_s=6), {"recording_enabled": True}),
    "human": (Answer(after_s=2, talk_s=8), {"voicemail_detection": "detect"}),
    "voicemail": (Voicemail(after_s=2, greeting_s=3, records_s=5), {"voicemail_detection": "detect"}),
    "left": (
        Voicemail(after_s=2, greeting_s=3),
        {"voicemail_detection": "detect", "on_voicemail": "leave_message", "voicemail_message": "Call us."},
    ),
    "machine": (
        Voicemail(after_s=2, greeting_s=30),
        {"voicemail_detection": "detect", "on_voicemail": "hang_up"},
    ),
    "cancelled": (NoAnswer(), {"join_timeout": "60s"}),
    "ended by us": (Answer(after_s=2), {}),
}
STATUSES = {
    "answered": "completed",
    "busy": "busy",
    "declined": "busy",
    "no answer": "no_answer",
    "unreachable": "failed",
    "cut off": "completed",
    "recorded": "completed",
    "human": "completed",
    "voicemail": "voicemail",
    "left": "voicemail",
    "machine": "voicemail",
    "cancelled": "cancelled",
    "ended by us": "completed",
    "inbound": "completed",
    "inbound down": "completed",
    "inbound unassigned": "completed",
    "inbound refused": "busy",
}


def play(bench: Bench) -> dict[str, Call]:
    """Play everything at once; return the calls."""
    found: dict[str, Call] = {}
    for n, (name, (script, said)) in enumerate(OUTBOUND.items()):
        to = f"+1415555{200 + n:04}"
        bench.sim.script(to, script)
        found[name] = bench.place(to, **said)
    patient = Caller(gives_up_after_s=600)
    taken = serve(
        bench, Agent(id="shut", connect=Stream(bench.agent.url), fallback=(Reject(),), max_concurrent_calls=1)
    )
    down = serve(
        bench, Agent(id="down", connect=Stream(NOWHERE), fallback=(Say("Please hold."), NextAgent("nobody")))
    )
    ringing = bench.ring(taken, "+12125550300", patient)
    found["inbound"] = bench.the_call(ringing)
    bench.until(lambda: bench.gw.calls.get(found["inbound"].id).status is CallStatus.IN_PROGRESS)
    others = {"inbound refused": taken, "inbound down": down, "inbound unassigned": UNASSIGNED}
    for n, (name, number) in enumerate(others.items()):
        found[name] = bench.the_call(bench.ring(number, f"+1212555{301 + n:04}", patient))
    for name, wanted in (("cancelled", CallStatus.RINGING), ("ended by us", CallStatus.IN_PROGRESS)):
        bench.until(lambda n=name, w=wanted: bench.gw.calls.get(found[n].id).status is w)
        bench.gw.hang_up(found[name].id)
    bench.ended(found["inbound refused"])
    bench.sim.hang_up(ringing)
    return {name: bench.ended(call, timeout_s=40) for name, call in found.items()}


def serve(bench: Bench, agent: Agent) -> str:
    """Add a number whose calls the agent takes; return it."""
    number = f"+1415555{110 + len(bench.gw.numbers.list()):04}"
    bench.gw.numbers.add(number, credential=bench.credential.id)
    bench.sim.add_number(bench.account, number)
    if bench.provider != "telnyx":
        urls = bench.gw.credentials.webhooks(bench.credential)
        bench.sim.configure_number(
            number, voice_url=urls["answer"], status_url=urls["status"], fallback_url=urls["fallback"]
        )
    bench.gw.agents.put(agent)
    bench.gw.numbers.assign(number, configure=False, agent=agent.id, inbound=True)
    return number


@pytest.fixture(scope="module", params=PROVIDERS)
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Recorded]]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with open_bench(request.param, folder, speed=10) as bench:
        played = play(bench)
        bench.settled()
        store = bench.gw.services.store
        latest = {name: bench.gw.calls.get(call.id) for name, call in played.items()}
        yield [
            Recorded(name, call, tuple(events.list_event_facts(store, call.id)))
            for name, call in latest.items()
        ]


def is_disposable(report: CallFacts) -> bool:
    """Neither an end nor a verdict: its loss may cost a time, never the outcome."""
    return not report.ends and not report.verdicts


def outcome(call: Call) -> tuple[Any, ...]:
    """What must not depend on order, repetition and loss. Times may."""
    reason = call.end_reason
    assert reason is not None, "it ended"
    return call.status, reason.who, reason.why, reason.retry, reason.carrier, reason.contradictory


def folded(one: Recorded, reports: list[CallFacts]) -> tuple[Call, list[CallStatus]]:
    """Fold reports into the blank call, a second apart; return it with every status that it had."""
    call, at, statuses = one.blank, one.call.created_at, [CallStatus.QUEUED]
    for report in reports:
        at += timedelta(seconds=1)
        call = fold(call, report, at)
        if call.status is not statuses[-1]:
            statuses.append(call.status)
    return call, statuses


def assert_only_a_late_verdict_changes_an_end(statuses: list[CallStatus]) -> None:
    for before, after in pairwise(statuses):
        if before.is_final:
            assert (before, after) == (CallStatus.COMPLETED, CallStatus.VOICEMAIL), statuses


def test_every_way_was_played_and_ended_as_it_must(recorded: list[Recorded]) -> None:
    assert {one.name: one.call.status.value for one in recorded} == STATUSES
    for one in recorded:
        assert any(report.ends for report in one.reports), one.name
        assert not one.call.end_reason.contradictory, one.name


def check_in_any_order(one: Recorded, order: list[CallFacts]) -> None:
    call, statuses = folded(one, order)
    assert outcome(call) == outcome(one.call), (one.name, statuses)
    assert_only_a_late_verdict_changes_an_end(statuses)


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_reports_in_any_order_repeated_or_lost_give_the_same_call(
    recorded: list[Recorded], data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from(recorded), label="call")
    lost = data.draw(st.sets(st.sampled_from(range(len(one.reports)))), label="lost")
    kept = [report for n, report in enumerate(one.reports) if n not in lost or not is_disposable(report)]
    again = data.draw(st.lists(st.sampled_from(kept), max_size=6), label="repeats")
    check_in_any_order(one, data.draw(st.permutations([*kept, *again]), label="order"))


@pytest.mark.proof
def test_a_hundred_thousand_orders_of_each_carriers_reports_give_the_same_calls(
    recorded: list[Recorded],
) -> None:
    chance = random.Random(42)
    for _ in range(100_000):
        one = chance.choice(recorded)
        kept = [report for report in one.reports if chance.random() < 0.7 or not is_disposable(report)]
        order = [*kept, *chance.choices(kept, k=chance.randrange(4))]
        chance.shuffle(order)
        check_in_any_order(one, order)


def test_a_second_round_of_all_reports_changes_nothing_at_all(recorded: list[Recorded]) -> None:
    for one in recorded:
        call, _ = folded(one, list(one.reports))
        for report in (*one.reports, *reversed(one.reports)):
            assert fold(call, report, call.updated_at + timedelta(days=1)) is call, one.name


def test_each_report_alone_after_the_end_is_nothing_new_or_enrichment(recorded: list[Recorded]) -> None:
    """R44: when the end came first, everything that follows leaves the status, except a verdict."""
    for one in recorded:
        ends = [report for report in one.reports if report.ends]
        rest = [report for report in one.reports if not report.ends]
        call, statuses = folded(one, [*ends, *rest])
        assert_only_a_late_verdict_changes_an_end(statuses)
        assert outcome(call) == outcome(one.call), one.name


# -- any facts at all: merging is a join ---------------------------------------------------------------------------

WORDS = st.sampled_from(["", "a", "b"])
TIMES = st.integers(0, 3).map(lambda s: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=s))
MAYBE_TIMES = st.none() | TIMES
ENDS = st.builds(
    EndReport,
    cause=st.sampled_from(EndCause),
    ended_by=st.sampled_from(EndedBy),
    proves_answered=st.sampled_from([True, False, None]),
    words=st.builds(CarrierWords, status=WORDS, cause=WORDS, source=WORDS, sip_code=WORDS, text=WORDS),
    reconciled=st.booleans(),
)
VERDICTS = st.builds(
    MachineVerdict, answered_by=st.sampled_from(AnsweredBy), is_detection=st.booleans(), at=TIMES, word=WORDS
)
RECORDINGS = st.builds(
    Recording,
    ref=st.sampled_from(["R1", "R2"]),
    duration_s=st.none() | st.integers(0, 3),
    channels=st.none() | st.sampled_from([1, 2]),
    url=st.none() | WORDS,
    is_message=st.booleans(),
)
AMOUNTS = st.sampled_from([Decimal("0"), Decimal("0.01"), Decimal("0.010"), Decimal("2")])
# What one report adds; `merge` with nothing brings it into the form in which a call keeps its facts.
FACTS = st.builds(
    CallFacts,
    ringing=st.booleans(),
    answered=st.booleans(),
    answered_at=MAYBE_TIMES,
    ended_at=MAYBE_TIMES,
    ends=st.lists(ENDS, max_size=2).map(tuple),
    verdicts=st.lists(VERDICTS, max_size=2).map(tuple),
    greeting_over=st.booleans(),
    duration=st.none() | st.builds(Duration, seconds=st.integers(0, 3), authority=st.sampled_from(Authority)),
    cost=st.none()
    | st.builds(
        Cost, amount=AMOUNTS, currency=st.sampled_from(["EUR", "USD"]), authority=st.sampled_from(Authority)
    ),
    recordings=st.lists(RECORDINGS, max_size=2).map(tuple),
    attestation=st.sampled_from([None, "A", "B", "C", "failed"]),
    rejected_as=st.none() | st.sampled_from(RejectAs),
    ends_by_itself=st.booleans(),
    hangup_requested=st.none() | st.sampled_from(EndCause),
).map(CallFacts().merge)


def a_verdict(is_detection: bool) -> CallFacts:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return CallFacts(
        verdicts=(MachineVerdict(answered_by=AnsweredBy.UNKNOWN, is_detection=is_detection, at=at),)
    )


@given(FACTS, FACTS)
@example(a_verdict(True), a_verdict(False))
@settings(max_examples=150, deadline=None)
def test_merging_does_not_depend_on_the_order(a: CallFacts, b: CallFacts) -> None:
    assert a.merge(b) == b.merge(a)


@given(FACTS, FACTS, FACTS)
@settings(max_examples=150, deadline=None)
def test_merging_does_not_depend_on_the_grouping(a: CallFacts, b: CallFacts, c: CallFacts) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(FACTS, FACTS)
@settings(max_examples=150, deadline=None)
def test_what_is_known_is_not_known_better_by_hearing_it_again(a: CallFacts, b: CallFacts) -> None:
    assert a.merge(a) == a == a.merge(CallFacts())
    both = a.merge(b)
    assert both.merge(a) == both.merge(b) == both


@given(FACTS, st.sampled_from(Direction))
@settings(max_examples=150, deadline=None)
def test_any_facts_mean_one_status_with_a_reason_exactly_when_it_is_final(
    facts: CallFacts, direction: Direction
) -> None:
    found = resolve(facts, direction)
    assert found.status.is_final is (found.end_reason is not None) is bool(facts.ends)


@given(st.lists(FACTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_reports_fold_to_one_status_in_any_order(reports: list[CallFacts], chance: Any) -> None:
    def resolved(order: list[CallFacts]) -> Any:
        known = CallFacts()
        for report in order:
            known = known.merge(report)
        return resolve(known, Direction.OUTBOUND)

    shuffled = [*reports, *reports]
    chance.shuffle(shuffled)
    assert resolved(shuffled) == resolved(reports)
