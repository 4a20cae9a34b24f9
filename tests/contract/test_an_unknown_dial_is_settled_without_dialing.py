"""R6, R7, R8: an unknown dial is listened for and looked for, each carrier by its own rules, and never dialed again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import Call, CallStatus, Conflict, EndCause, EndedBy, RetryAdvice
from gateway.models import Attempt, AttemptState
from gateway.store import calls
from gateway.transport import HttpRequest, HttpResponse, OutcomeUnknown
from providers.simulator import Answer, Busy, Fault, NoAnswer, SimCall
from tests.bench import CALLEE, PROVIDERS, Bench, open_bench
from tests.wires import Clock, Send, Wire

SOMEBODY_ELSE = "+14155550124"
LOOKS_S = (6, 16, 61, 301, 901, 3601, 21_601, 86_401)  # a second behind the protocol's rounds

Opened = Callable[..., AbstractContextManager[Bench]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=PROVIDERS)
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Opened:
    """Opens a gateway that sweeps when the test says so, by a clock that the test puts forward."""

    @contextmanager
    def steered(wire: Wire | None = None, **settings: object) -> Iterator[Bench]:
        with open_bench(request.param, tmp_path, sweeps=False, wire=wire, **settings) as bench:
            bench.gw.services.clock = clock
            if request.param == "twilio":
                bench.sim.face("twilio").habits.calls_per_second = None
            yield bench

    return steered


@pytest.fixture
def bench(opened: Opened) -> Iterator[Bench]:
    with opened() as bench:
        yield bench


def nothing_is_heard(bench: Bench) -> None:
    bench.sim.faults.webhooks(bench.provider, drop=True, times=10_000)


def place_unknown(bench: Bench, fault: Fault) -> Call:
    """Place a call whose answer is lost; no webhook comes either."""
    nothing_is_heard(bench)
    bench.sim.faults.api(bench.provider, "dial", fault)
    call = bench.place()
    assert call.context["dial"] == "unconfirmed"
    return call


def attempt_of(bench: Bench, call: Call) -> Attempt:
    [attempt] = bench.gw.calls.attempts(call.id)
    return attempt


def cancelled(bench: Bench) -> list[SimCall]:
    return [each for each in bench.sim.calls() if each.truth == "cancelled"]


# -- placed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault.SERVER_ERROR_AFTER, Fault.RESET_AFTER, Fault.GARBAGE, Fault.EMPTY, Fault.NO_ID]
)
def test_a_placed_call_is_found_while_it_rings_and_its_end_lands(
    bench: Bench, clock: Clock, fault: Fault
) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = place_unknown(bench, fault)
    clock.ahead(seconds=6)
    bench.gw.sweep()
    [ringing] = bench.sim.calls()
    attempt, call = attempt_of(bench, call), bench.gw.calls.get(call.id)
    assert (attempt.state, attempt.looks) == (AttemptState.ACCEPTED, 1), bench.story()
    assert call.leg_id == attempt.leg_id
    assert ringing.id in bench.ids(call)
    assert "dial" not in call.context
    assert not call.status.is_final, bench.story()
    bench.sim.faults.clear()
    bench.sim.hang_up(ringing)
    call = bench.ended(call)
    assert call.status in (CallStatus.NO_ANSWER, CallStatus.BUSY, CallStatus.CANCELLED), bench.story()
    assert len(bench.sim.dials()) == 1


def test_a_placed_call_that_is_over_already_is_found_with_its_end(bench: Bench, clock: Clock) -> None:
    bench.sim.script(CALLEE, Busy(after_s=0.1))
    call = place_unknown(bench, Fault.SERVER_ERROR_AFTER)
    bench.sim.wait(lambda: bench.sim.calls()[0].outcome)
    clock.ahead(seconds=6)
    bench.until(lambda: bench.gw.sweep().total and bench.gw.calls.get(call.id).status.is_final)
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.why) == (CallStatus.BUSY, EndCause.BUSY), bench.story()
    assert call.end_reason.reconciled
    assert attempt_of(bench, call).state is AttemptState.ACCEPTED
    assert [event.type.value for event in bench.heard if event.type.value != "call.updated"] == ["call.ended"]
    assert len(bench.sim.dials()) == 1


def test_the_calls_of_others_are_not_taken_for_it(bench: Bench, clock: Clock) -> None:
    """An earlier call between the same two numbers, in the same two minutes, belongs to its own attempt."""
    bench.sim.script(CALLEE, Busy(after_s=0.1))
    first = bench.ended(bench.place())
    call = place_unknown(bench, Fault.SERVER_ERROR_BEFORE)
    for seconds in LOOKS_S[:3]:
        clock.ahead(seconds=seconds)
        bench.gw.sweep()
    assert attempt_of(bench, call).state is AttemptState.UNKNOWN, bench.story()
    assert bench.ids(bench.gw.calls.get(call.id)) == []
    assert bench.gw.calls.get(first.id).status is CallStatus.BUSY


# -- not placed ------------------------------------------------------------------------------------------------------


def test_no_trace_in_three_clean_looks_over_ten_minutes_settles_it(bench: Bench, clock: Clock) -> None:
    call = place_unknown(bench, Fault.SERVER_ERROR_BEFORE)
    for looks, seconds in enumerate(LOOKS_S[:4], start=1):
        clock.ahead(seconds=seconds)
        bench.gw.sweep()
        bench.gw.sweep()
        attempt = attempt_of(bench, call)
        assert (attempt.state, attempt.looks, attempt.clean_looks) == (AttemptState.UNKNOWN, looks, looks)
        assert bench.gw.calls.get(call.id).context == {"dial": "unconfirmed"}
    clock.ahead(seconds=LOOKS_S[4])
    bench.gw.sweep()
    assert attempt_of(bench, call).state is AttemptState.NOT_PLACED_PROBABLE
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.NOT_PLACED)
    assert call.end_reason.retry is RetryAdvice.ASK
    assert call.context["dial"] == "not_placed_probable"
    clock.ahead(days=3)
    for _ in range(3):
        bench.gw.sweep()
    assert bench.gw.calls.get(call.id) == call
    assert len(bench.sim.dials()) == 1, "never dialed again by itself"


def test_only_the_app_may_dial_again_after_it_is_settled(bench: Bench, clock: Clock) -> None:
    call = place_unknown(bench, Fault.SERVER_ERROR_BEFORE)
    with pytest.raises(Conflict, match=call.id):
        bench.place()
    nothing_is_heard(bench)
    assert bench.place(SOMEBODY_ELSE).leg_id, "another person is not in the way"
    for seconds in LOOKS_S[:5]:
        clock.ahead(seconds=seconds)
        bench.gw.sweep()
    assert bench.gw.calls.get(call.id).status is CallStatus.FAILED
    assert bench.place().leg_id


def test_the_same_key_returns_the_same_call_and_dials_nothing(bench: Bench, clock: Clock) -> None:
    nothing_is_heard(bench)
    bench.sim.faults.api(bench.provider, "dial", Fault.SERVER_ERROR_AFTER)
    first = bench.gw.place_call("echo", CALLEE, idempotency_key="one")
    again = bench.gw.place_call("echo", CALLEE, idempotency_key="one")
    assert again == first
    clock.ahead(seconds=6)
    bench.gw.sweep()
    assert bench.gw.place_call("echo", CALLEE, idempotency_key="one").id == first.id
    assert len(bench.sim.dials()) == 1


def test_a_carrier_that_cannot_be_asked_leaves_it_indeterminate_after_a_day(
    bench: Bench, clock: Clock
) -> None:
    call = place_unknown(bench, Fault.SERVER_ERROR_AFTER)
    bench.sim.faults.api(bench.provider, "any", Fault.SERVER_ERROR_BEFORE, times=10_000)
    for seconds in LOOKS_S[:-1]:
        clock.ahead(seconds=seconds)
        bench.gw.sweep()
        attempt = attempt_of(bench, call)
        assert (attempt.state, attempt.clean_looks) == (AttemptState.UNKNOWN, 0), bench.story()
    clock.ahead(seconds=LOOKS_S[-1])
    bench.gw.sweep()
    assert attempt_of(bench, call).state is AttemptState.INDETERMINATE
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.INDETERMINATE)
    assert call.context["dial"] == "indeterminate"
    assert len(bench.sim.dials()) == 1


def test_a_call_that_shows_up_after_it_was_given_up_is_ended(bench: Bench, clock: Clock) -> None:
    bench.sim.script(CALLEE, Answer(after_s=12))
    call = place_unknown(bench, Fault.SERVER_ERROR_AFTER)
    bench.sim.faults.api(bench.provider, "any", Fault.SERVER_ERROR_BEFORE, times=10_000)
    clock.ahead(seconds=LOOKS_S[-1])
    bench.gw.sweep()
    assert attempt_of(bench, call).state is AttemptState.INDETERMINATE
    given_up = bench.gw.calls.get(call.id)
    clock.ahead()
    bench.sim.faults.clear()
    [late] = bench.sim.calls()
    bench.sim.wait(late)
    assert late.ended_by == "us", bench.story()
    assert not bench.agent.conversations
    assert bench.gw.calls.get(call.id).status is given_up.status


# -- webhooks ---------------------------------------------------------------------------------------------------------


def lost(_answer: HttpResponse) -> HttpResponse:
    raise OutcomeUnknown("reset")


def refused(answer: HttpResponse) -> HttpResponse:
    return replace(answer, status=400, body=b'{"code": 1, "message": "no", "api_id": "1", "error": "no"}')


def failing(answer: HttpResponse) -> HttpResponse:
    return replace(answer, status=500, body=b"")


@pytest.mark.parametrize("then", [lambda answer: answer, lost, refused, failing])
def test_a_webhook_before_the_answer_proves_the_dial(
    opened: Opened, then: Callable[[HttpResponse], HttpResponse]
) -> None:
    """R7: whatever the answer says afterwards, or whether it comes at all."""
    wire = Wire()
    with opened(wire) as bench:
        bench.sim.script(CALLEE, NoAnswer())

        def heard_first(request: HttpRequest, send: Send) -> HttpResponse:
            answer = send(request)
            bench.until(lambda: bench.gw.calls.list().calls[0].leg_id)
            return then(answer)

        wire.around_dial = heard_first
        call = bench.place()
        [ringing] = bench.sim.calls()
        assert attempt_of(bench, call).state is AttemptState.ACCEPTED, bench.story()
        assert ringing.id in bench.ids(call)
        assert "dial" not in call.context
        assert not call.status.is_final
        assert not cancelled(bench)
        bench.sim.hang_up(ringing)
        bench.ended(call)
        assert len(bench.gw.calls.list().calls) == 1


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.3])
def test_a_webhook_around_the_answer_makes_no_second_call(bench: Bench, delay_s: float) -> None:
    bench.sim.script(CALLEE, Busy(after_s=0.5))
    if bench.provider == "telnyx":
        bench.sim.face("telnyx").habits.answers_dial_last = delay_s == 0
    if delay_s:
        bench.sim.faults.webhooks(bench.provider, delay_s=delay_s, times=1)
    call = bench.ended(bench.place())
    assert call.status is CallStatus.BUSY, bench.story()
    assert len(bench.gw.calls.list().calls) == len(bench.sim.calls()) == 1
    assert attempt_of(bench, call).state is AttemptState.ACCEPTED


def test_the_first_webhook_settles_an_unknown_dial(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=5, talk_s=2))
    call = place_unknown(bench, Fault.RESET_AFTER)
    bench.sim.faults.clear()
    call = bench.ended(call)
    assert call.status is CallStatus.COMPLETED, bench.story()
    assert "dial" not in call.context
    assert attempt_of(bench, call).state is AttemptState.ACCEPTED
    assert len(bench.agent.conversations) == 1


def test_the_fallback_request_settles_it_where_nothing_else_gets_through(bench: Bench) -> None:
    if bench.provider == "telnyx":
        pytest.skip("a command carrier asks for no document")
    for hook in ("status", "answer"):
        bench.sim.faults.webhooks(bench.provider, hook=hook, drop=True, times=10_000)
    bench.sim.faults.api(bench.provider, "dial", Fault.SERVER_ERROR_AFTER)
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=600))
    call = bench.place()
    bench.until(lambda: attempt_of(bench, call).state is AttemptState.ACCEPTED)
    assert bench.ids(call) == [bench.sim.calls()[0].id]


# -- two legs for one dial --------------------------------------------------------------------------------------------


def sent_twice(pause_s: float = 0.0) -> Callable[[HttpRequest, Send], HttpResponse]:
    """A proxy on the way that repeats a POST; a command id would be remembered, so its window has passed."""

    def around(request: HttpRequest, send: Send) -> HttpResponse:
        answer = send(request)
        time.sleep(pause_s)
        if b"command_id" in request.body:
            body = {**json.loads(request.body), "command_id": "00000000-0000-4000-8000-000000000000"}
            request = replace(request, body=json.dumps(body).encode())
        send(request)
        return answer

    return around


def test_a_second_leg_is_ended_at_its_first_word(opened: Opened) -> None:
    with opened(Wire(around_dial=sent_twice())) as bench:
        bench.sim.script(CALLEE, NoAnswer())
        call = bench.place()
        first, second = bench.sim.calls()
        bench.until(lambda: cancelled(bench))
        bench.sim.wait(cancelled(bench)[0])
        [kept] = [each for each in (first, second) if each not in cancelled(bench)]
        call = bench.gw.calls.get(call.id)
        assert kept.id in bench.ids(call), bench.story()
        assert not call.status.is_final
        assert any(
            "second leg" in event.detail and event.outcome.value == "refused"
            for event in bench.gw.calls.events(call.id)
        )
        bench.sim.hang_up(kept)
        bench.ended(call)


def test_of_two_legs_that_are_found_the_newer_one_is_ended(opened: Opened, clock: Clock) -> None:
    wire = Wire()
    twice = sent_twice(pause_s=1.1)  # Twilio tells times in whole seconds

    def and_lost(request: HttpRequest, send: Send) -> HttpResponse:
        return lost(twice(request, send))

    wire.around_dial = and_lost
    with opened(wire) as bench:
        bench.sim.script(CALLEE, NoAnswer())
        nothing_is_heard(bench)
        call = bench.place(join_timeout="2m")
        older, newer = bench.sim.calls()
        clock.ahead(seconds=6)
        bench.gw.sweep()
        bench.sim.wait(newer)
        assert cancelled(bench) == [newer], bench.story()
        assert older.id in bench.ids(bench.gw.calls.get(call.id))
        assert attempt_of(bench, call).state is AttemptState.ACCEPTED


def test_an_answer_that_names_another_leg_than_the_webhook_has_that_leg_ended(opened: Opened) -> None:
    wire = Wire()
    with opened(wire) as bench:
        bench.sim.script(CALLEE, NoAnswer())

        def answered_by_the_repeat(request: HttpRequest, send: Send) -> HttpResponse:
            send(request)
            bench.until(lambda: bench.gw.calls.list().calls[0].leg_id)
            nothing_is_heard(bench)
            answers: list[HttpResponse] = []
            sent_twice()(request, lambda one: answers.append(send(one)) or answers[-1])
            return answers[-1]

        wire.around_dial = answered_by_the_repeat
        call = bench.place()
        last = bench.sim.calls()[-1]
        bench.until(lambda: last.truth == "cancelled")
        first = bench.sim.calls()[0]
        assert first.truth != "cancelled", bench.story()
        assert first.id in bench.ids(call)
        assert last.id not in bench.ids(call)


# -- hanging up what is not known -------------------------------------------------------------------------------------


def test_a_call_cancelled_while_unknown_is_ended_once_it_is_found(bench: Bench, clock: Clock) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = place_unknown(bench, Fault.SERVER_ERROR_AFTER)
    assert not bench.gw.hang_up(call.id).status.is_final, "nothing can be ended yet"
    clock.ahead(seconds=6)
    bench.gw.sweep()
    bench.sim.wait(bench.sim.calls()[0])
    assert cancelled(bench), bench.story()
    clock.ahead(seconds=30)
    bench.until(lambda: bench.gw.sweep().total and bench.gw.calls.get(call.id).status.is_final)
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.who) == (CallStatus.CANCELLED, EndedBy.US), bench.story()


def test_a_call_cancelled_while_its_post_is_under_way_is_ended_at_the_answer(opened: Opened) -> None:
    wire = Wire()
    with opened(wire) as bench:
        bench.sim.script(CALLEE, NoAnswer())

        def cancelled_meanwhile(request: HttpRequest, send: Send) -> HttpResponse:
            bench.gw.hang_up(bench.gw.calls.list().calls[0].id)
            return send(request)

        wire.around_dial = cancelled_meanwhile
        call = bench.ended(bench.place())
        assert (call.status, call.end_reason.who, call.end_reason.why) == (
            CallStatus.CANCELLED,
            EndedBy.US,
            EndCause.CANCELLED,
        ), bench.story()


def test_what_the_sweeper_looked_for_is_told(bench: Bench, clock: Clock) -> None:
    call = place_unknown(bench, Fault.SERVER_ERROR_BEFORE)
    clock.ahead(seconds=6)
    bench.gw.sweep()
    names = [event.name for event in bench.gw.calls.events(call.id)]
    assert names == ["dial requested", "dial outcome unknown", "looked for at the carrier"]
    assert calls.due_quiet_calls(bench.gw.services.store, clock(), 10) == [], "it has no leg to ask about"
