"""How one report changes a call: it adds, it never takes away, and what cannot be true is left out."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.folding import fold
from gateway.models import Call
from gateway.status import (
    Authority,
    CallFacts,
    CallStatus,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    EndReport,
)
from tests.storekit import T0, a_call

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
END = EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, proves_answered=True)


def folded(*reports: tuple[CallFacts, datetime], call: Call | None = None) -> Call:
    found = call or a_call()
    for facts, at in reports:
        found = fold(found, facts, at)
    return found


def test_a_report_moves_the_call_and_counts_one_change() -> None:
    before = a_call()
    after = fold(before, CallFacts(ringing=True), T0 + SECOND)
    assert (after.status, after.sequence, after.updated_at) == (CallStatus.RINGING, 1, T0 + SECOND)
    assert (before.status, before.sequence) == (CallStatus.QUEUED, 0)


def test_a_report_that_tells_nothing_new_leaves_the_very_same_call() -> None:
    once = fold(a_call(), CallFacts(ringing=True), T0)
    assert fold(once, CallFacts(ringing=True), T0 + SECOND) is once
    assert fold(once, CallFacts(), T0 + SECOND) is once


def test_a_repeat_of_an_end_without_a_time_does_not_move_the_end() -> None:
    report = CallFacts(answered=True, ends=(END,))
    once = fold(a_call(), report, T0 + SECOND)
    assert fold(once, report, T0 + HOUR) is once
    assert once.ended_at == T0 + SECOND


def test_what_the_carrier_does_not_time_is_timed_by_us() -> None:
    call = folded((CallFacts(answered=True), T0 + SECOND), (CallFacts(ends=(END,)), T0 + 61 * SECOND))
    assert (call.started_at, call.ended_at) == (T0 + SECOND, T0 + 61 * SECOND)
    assert call.duration_seconds == 60


def test_the_carriers_own_times_count() -> None:
    call = folded(
        (CallFacts(answered=True, answered_at=T0 + 2 * SECOND), T0 + 5 * SECOND),
        (CallFacts(ends=(END,), ended_at=T0 + 32 * SECOND), T0 + 40 * SECOND),
    )
    assert (call.started_at, call.ended_at, call.duration_seconds) == (
        T0 + 2 * SECOND,
        T0 + 32 * SECOND,
        30,
    )


# R47: what cannot be true is dropped; the report itself still counts.


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(T0 - 2 * HOUR, id="before the call was made"),
        pytest.param(T0 + 2 * HOUR, id="in the future"),
        pytest.param(datetime.min.replace(tzinfo=T0.tzinfo), id="the year 1"),
        pytest.param(datetime.max.replace(tzinfo=T0.tzinfo), id="the year 9999"),
    ],
)
def test_a_time_that_cannot_be_is_replaced_by_ours(moment: datetime) -> None:
    at = T0 + SECOND
    answered = fold(a_call(), CallFacts(answered=True, answered_at=moment), at)
    assert (answered.status, answered.started_at) == (CallStatus.IN_PROGRESS, at)
    ended = fold(answered, CallFacts(ends=(END,), ended_at=moment), at + SECOND)
    assert (ended.status, ended.ended_at) == (CallStatus.COMPLETED, at + SECOND)


def test_clocks_may_differ_by_less_than_an_hour() -> None:
    early = T0 - 59 * timedelta(minutes=1)
    assert fold(a_call(), CallFacts(answered=True, answered_at=early), T0).started_at == early


@pytest.mark.parametrize("seconds", [-1, -(10**9), 7 * 86_400 + 1, 10**9])
def test_a_duration_that_cannot_be_is_dropped(seconds: int) -> None:
    wrong = Duration(seconds=seconds, authority=Authority.RECORD)
    call = folded((CallFacts(answered=True), T0), (CallFacts(ends=(END,), duration=wrong), T0 + 30 * SECOND))
    assert call.facts.duration is None
    assert call.duration_seconds == 30


@pytest.mark.parametrize("seconds", [0, 7 * 86_400])
def test_a_duration_at_the_edge_is_kept(seconds: int) -> None:
    told = Duration(seconds=seconds, authority=Authority.REPORTED)
    assert fold(a_call(), CallFacts(ends=(END,), duration=told), T0).duration_seconds == seconds


def test_only_a_report_of_a_final_end_gives_an_end_time() -> None:
    call = fold(a_call(), CallFacts(ended_at=T0 + SECOND), T0 + SECOND)
    assert (call.status, call.ended_at, call.duration_seconds) == (CallStatus.QUEUED, None, None)


def test_after_the_end_only_a_machine_verdict_changes_the_status() -> None:
    call = folded((CallFacts(answered=True, ends=(END,)), T0))
    for late in (CallFacts(ringing=True), CallFacts(answered=True), CallFacts(answered=True, answered_at=T0)):
        assert fold(call, late, T0 + SECOND).status is CallStatus.COMPLETED


def test_an_inbound_call_is_told_by_its_own_direction() -> None:
    end = EndReport(cause=EndCause.HUNG_UP)
    call = fold(a_call(direction=Direction.INBOUND), CallFacts(ends=(end,)), T0)
    assert call.end_reason is not None
    assert (call.status, call.end_reason.why) == (CallStatus.CANCELLED, EndCause.ABANDONED)
