"""R45: a call whose end is never told is asked about, and closed with what the carrier says, marked `reconciled`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway import Call, CallStatus, EndCause, EndedBy, ProviderUnavailable
from gateway.store import actions, calls
from gateway.store.rows import ActionKind
from providers.simulator import (
    Answer,
    Busy,
    Caller,
    Decline,
    Fault,
    NoAnswer,
    SimCall,
    Unreachable,
    Voicemail,
)
from tests.bench import CALLEE, PROVIDERS, Bench, open_bench
from tests.wires import Clock

FOR_EVER = timedelta(days=3650)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=PROVIDERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Bench]:
    """A gateway that sweeps when the test says so, and never hears of an end."""
    with open_bench(request.param, tmp_path, sweeps=False, speed=20) as opened:
        opened.gw.services.clock = clock
        opened.lose_ends()
        yield opened


def talking(bench: Bench, **settings: object) -> Call:
    """Place a call that is answered and lasts."""
    bench.sim.script(CALLEE, Answer(after_s=0.5))
    call = bench.place(**settings)
    bench.until(lambda: has_event(bench, call, "agent joined"))
    return bench.until(lambda: (c := bench.gw.calls.get(call.id)).status is CallStatus.IN_PROGRESS and c)


def has_event(bench: Bench, call: Call, name: str) -> bool:
    return any(event.name == name for event in bench.gw.calls.events(call.id))


def over(bench: Bench, call: Call) -> SimCall:
    """Wait until it is over at the carrier, all webhooks sent; the gateway does not know."""
    sim_call = bench.sim_call(call)
    bench.sim.wait(sim_call)
    assert not bench.gw.calls.get(call.id).status.is_final, bench.story()
    return sim_call


def reconciled(bench: Bench, call: Call) -> Call:
    call = bench.gw.calls.get(call.id)
    assert call.status.is_final, bench.story()
    assert call.end_reason.reconciled
    assert "reconciled" in [event.source for event in bench.gw.calls.events(call.id)]
    due = calls.due_quiet_calls(bench.gw.services.store, bench.gw.services.clock() + FOR_EVER, 10)
    assert call.id not in [each.id for each in due], "it is never asked about again"
    return call


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        pytest.param(Answer(after_s=1, talk_s=4), CallStatus.COMPLETED, EndCause.HUNG_UP, id="answered"),
        pytest.param(Busy(), CallStatus.BUSY, EndCause.BUSY, id="busy"),
        pytest.param(Decline(), CallStatus.BUSY, None, id="declined"),
        pytest.param(NoAnswer(), CallStatus.NO_ANSWER, EndCause.NO_ANSWER, id="no answer"),
        pytest.param(Unreachable(), CallStatus.FAILED, None, id="unreachable"),
        pytest.param(Voicemail(after_s=1, records_s=4), CallStatus.VOICEMAIL, None, id="voicemail"),
    ],
)
def test_an_outbound_end_that_was_never_told_is_fetched(
    bench: Bench, clock: Clock, script: object, status: CallStatus, why: EndCause | None
) -> None:
    bench.sim.script(CALLEE, script)
    call = bench.place(join_timeout="10s", voicemail_detection="detect")
    over(bench, call)
    bench.gw.sweep()
    assert not bench.gw.calls.get(call.id).status.is_final, "it is not asked about before it is quiet"
    clock.ahead(minutes=6)
    bench.gw.sweep()
    call = reconciled(bench, call)
    assert call.status is status, bench.story()
    assert why in (None, call.end_reason.why)
    kinds = [event.type.value for event in bench.heard]
    assert kinds.count("call.failed" if status is CallStatus.FAILED else "call.ended") == 1
    answered = status in (CallStatus.COMPLETED, CallStatus.VOICEMAIL)
    assert (call.duration_seconds is not None) if answered else (call.duration_seconds == 0)
    before = bench.gw.calls.get(call.id)
    clock.ahead(days=2)
    bench.gw.sweep()
    assert bench.gw.calls.get(call.id).status is before.status


def test_an_inbound_end_that_was_never_told_is_fetched(bench: Bench, clock: Clock) -> None:
    ringing = bench.ring(caller=Caller(talk_s=4, gives_up_after_s=600))
    call = bench.the_call(ringing)
    over(bench, call)
    clock.ahead(minutes=6)
    bench.gw.sweep()
    assert reconciled(bench, call).status is CallStatus.COMPLETED, bench.story()


def test_reconciling_by_hand_asks_at_once(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    call = bench.place()
    over(bench, call)
    [told] = bench.gw.reconcile()
    assert (told.id, told.status) == (call.id, CallStatus.BUSY), bench.story()
    assert reconciled(bench, call) == told
    assert bench.gw.reconcile() == []


def test_reconciling_by_hand_settles_unknown_dials_too(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    bench.sim.faults.webhooks(bench.provider, drop=True, times=10_000)
    bench.sim.faults.api(bench.provider, "dial", Fault.SERVER_ERROR_AFTER)
    call = bench.place()
    bench.sim.wait(lambda: bench.sim.calls()[0].outcome)
    [told] = bench.gw.reconcile()
    assert (told.id, told.status) == (call.id, CallStatus.BUSY), bench.story()
    assert "dial" not in told.context
    assert len(bench.sim.dials()) == 1


def test_a_live_call_is_not_closed(bench: Bench, clock: Clock) -> None:
    call = talking(bench)
    for minutes in (6, 12, 18, 24, 29):
        clock.ahead(minutes=minutes)
        bench.gw.sweep()
        bench.gw.reconcile()
    assert bench.gw.calls.get(call.id).status is CallStatus.IN_PROGRESS, bench.story()
    assert bench.sim_call(call).state == "in_progress"
    assert len(bench.sim.journal.requests(bench.provider, "hang_up")) == 0


def test_a_call_that_was_just_placed_is_not_closed_by_asking(bench: Bench) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = bench.place(join_timeout="2m")
    bench.gw.reconcile()
    assert not bench.gw.calls.get(call.id).status.is_final, bench.story()


def test_a_call_that_outlives_its_maximum_duration_is_ended(bench: Bench, clock: Clock) -> None:
    call = talking(bench, max_duration="10m")
    clock.ahead(minutes=25, seconds=40)
    bench.until(lambda: bench.gw.sweep() and bench.gw.calls.get(call.id).status.is_final)
    call = reconciled(bench, call)
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.US,
        EndCause.MAX_DURATION,
    ), bench.story()
    assert bench.sim_call(call).ended_by == "us"


def test_a_hang_up_without_effect_is_sent_again_but_not_at_every_look(bench: Bench, clock: Clock) -> None:
    call = talking(bench, max_duration="10m")
    bench.sim.faults.api(bench.provider, "hang_up", Fault.SERVER_ERROR_BEFORE, times=1)
    clock.ahead(minutes=26)
    for _ in range(10):
        bench.gw.sweep()
    asked = [
        a for a in actions.list_actions(bench.gw.services.store, call.id) if a.kind is ActionKind.HANG_UP
    ]
    assert len(asked) == 1, bench.story()
    clock.ahead(minutes=28)
    bench.until(lambda: bench.gw.sweep() and bench.gw.calls.get(call.id).status.is_final)
    assert bench.gw.calls.get(call.id).status is CallStatus.COMPLETED


def test_a_call_that_the_carrier_cannot_tell_about_is_closed_as_lost_in_the_end(
    bench: Bench, clock: Clock
) -> None:
    call = talking(bench, max_duration="10m")
    bench.sim.faults.api(bench.provider, "any", Fault.SERVER_ERROR_BEFORE, times=10_000)
    clock.ahead(minutes=24)
    bench.gw.sweep()
    assert bench.gw.calls.get(call.id).status is CallStatus.IN_PROGRESS, bench.story()
    clock.ahead(minutes=26)
    bench.gw.sweep()
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.why, call.end_reason.who) == (
        CallStatus.COMPLETED,
        EndCause.LOST,
        EndedBy.UNKNOWN,
    ), bench.story()
    assert "cannot tell" in bench.gw.calls.events(call.id)[-1].detail


def test_a_call_that_the_carrier_no_longer_knows_is_closed_once_it_has_been_quiet(
    bench: Bench, clock: Clock
) -> None:
    call = talking(bench, max_duration="10m")
    bench.sim.faults.api(bench.provider, "fetch", Fault.STATUS, status=404, times=10_000)
    bench.gw.reconcile()
    assert bench.gw.calls.get(call.id).status is CallStatus.IN_PROGRESS, "its records may lag behind"
    # Telnyx forgets a call ten minutes after its end but keeps its events, which show no end here: it is waited for.
    clock.ahead(minutes=26 if bench.provider == "telnyx" else 6)
    bench.gw.sweep()
    call = bench.gw.calls.get(call.id)
    assert call.status is CallStatus.COMPLETED, bench.story()
    assert (call.end_reason.why, call.end_reason.reconciled) == (EndCause.LOST, True)


def test_a_call_that_was_refused_is_never_asked_about(bench: Bench, clock: Clock) -> None:
    bench.sim.faults.api(bench.provider, "dial", Fault.STATUS, status=400)
    assert bench.place().status is CallStatus.FAILED
    assert calls.due_quiet_calls(bench.gw.services.store, clock() + FOR_EVER, 10) == []


def test_a_hang_up_that_did_not_arrive_is_sent_until_it_does(bench: Bench, clock: Clock) -> None:
    call = talking(bench)
    bench.sim.faults.api(bench.provider, "any", Fault.SERVER_ERROR_BEFORE, times=10)
    with pytest.raises(ProviderUnavailable, match="sent again"):
        bench.gw.hang_up(call.id)
    bench.sim.faults.clear()
    clock.ahead(seconds=2)
    bench.gw.sweep()
    call = bench.ended(call)
    assert (call.status, call.end_reason.who) == (CallStatus.COMPLETED, EndedBy.US), bench.story()


def test_a_call_cancelled_in_the_carriers_queue_ends_cancelled(tmp_path: Path) -> None:
    """Twilio calls nobody back about such a call (its fact sheet); the sweeper asks soon after the hang-up."""
    clock = Clock()
    with open_bench("twilio", tmp_path, sweeps=False) as bench:
        bench.gw.services.clock = clock
        bench.sim.face("twilio").habits.calls_per_second = 0.01
        bench.sim.script(CALLEE, NoAnswer())
        bench.place()
        queued = bench.place("+14155550124")
        assert bench.gw.hang_up(queued.id).status is CallStatus.QUEUED, "accepted, not yet known to be over"
        bench.until(lambda: has_event(bench, queued, "hang-up sent"))
        assert bench.sim_call(queued).truth == "cancelled"
        assert bench.sim.journal.webhooks("twilio", call=bench.sim_call(queued)) == []
        clock.ahead(seconds=4)
        bench.gw.sweep()
        call = reconciled(bench, queued)
        assert (call.status, call.end_reason.who, call.end_reason.why) == (
            CallStatus.CANCELLED,
            EndedBy.US,
            EndCause.CANCELLED,
        ), bench.story()


def test_a_plivo_call_is_asked_about_by_either_of_its_two_ids(tmp_path: Path) -> None:
    clock = Clock()
    with open_bench("plivo", tmp_path, sweeps=False) as bench:
        bench.gw.services.clock = clock
        bench.sim.face("plivo").habits.request_uuid_differs = True
        bench.sim.faults.webhooks("plivo", event="Hangup", drop=True, times=10)
        call = talking(bench)
        assert len(bench.ids(call)) == 2
        bench.gw.hang_up(call.id)
        bench.until(lambda: bench.sim.calls()[0].outcome)
        assert bench.sim.calls()[0].ended_by == "us", bench.story()
        clock.ahead(minutes=6)
        bench.gw.sweep()
        assert reconciled(bench, call).status is CallStatus.COMPLETED
