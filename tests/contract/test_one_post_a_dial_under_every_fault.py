"""R2, R3: whatever meets a dial, the carrier gets one POST, and its outcome class is the one that is proven.

The two exceptions are documented: a POST that never left this machine, and Twilio's own 429, which says that the call
was not processed. Webhooks are dropped here, so that only the POST's own answer counts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import CallStatus, Conflict, EndCause, EndedBy
from gateway.models import AttemptState
from gateway.transport import HttpRequest, HttpResponse, NotSent
from providers.simulator import Busy, Fault
from tests.bench import PROVIDERS, Bench, open_bench
from tests.kills import people
from tests.wires import Send, Wire

A_SHORT_WHILE_S = 0.4

STRANGERS = people()


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


@pytest.fixture(scope="module", params=PROVIDERS)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wire: Wire
) -> Iterator[Bench]:
    with open_bench(request.param, tmp_path_factory.mktemp("db"), sweeps=False, wire=wire) as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench, wire: Wire) -> Iterator[Bench]:
    """A gateway whose carrier sends no webhook and whose sweeper rests; nothing that a test changed is left."""
    opened.sim.faults.webhooks(opened.provider, drop=True, times=10_000)
    opened.heard.clear()
    yield opened
    opened.sim.faults.clear()
    wire.bend()


@pytest.fixture
def person(bench: Bench) -> str:
    """Somebody whom no other test calls."""
    stranger = next(STRANGERS)
    bench.sim.script(stranger, Busy(after_s=0.1))
    return stranger


def dials_of(bench: Bench, person: str) -> list[dict[str, str]]:
    """What the carrier was asked to do for one person."""
    asked = [entry.data["parameters"] for entry in bench.sim.dials()]
    return [each for each in asked if person[1:] in str(each.get("To", each.get("to")))]


def after(fault: Fault, status: int = 503, retry_after_s: int | None = None) -> object:
    return pytest.param(fault, status, retry_after_s, id=f"{fault}-{status}-{retry_after_s}")


UNKNOWN = [
    *(after(Fault.SERVER_ERROR_BEFORE, status) for status in (500, 502, 503, 504)),
    *(after(Fault.SERVER_ERROR_AFTER, status) for status in (500, 502, 503, 504)),
    after(Fault.SERVER_ERROR_BEFORE, 503, 1),
    after(Fault.RATE_LIMITED_FOREIGN),
    after(Fault.RATE_LIMITED_FOREIGN, 429, 1),
    after(Fault.CONFLICT),
    *(after(Fault.STATUS, status) for status in (408, 409, 425)),
    after(Fault.RESET_BEFORE),
    after(Fault.RESET_AFTER),
    after(Fault.GARBAGE),
    after(Fault.EMPTY),
    after(Fault.WRONG_TYPE),
    after(Fault.NO_ID),
    after(Fault.REDIRECT),
]


@pytest.mark.parametrize(("fault", "status", "retry_after_s"), UNKNOWN)
def test_a_dial_without_a_clear_answer_is_unknown(
    bench: Bench, person: str, fault: Fault, status: int, retry_after_s: int | None
) -> None:
    bench.sim.faults.api(bench.provider, "dial", fault, status=status, retry_after_s=retry_after_s)
    is_unknown_after_one_post(bench, person)


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.HANG_AFTER, Fault.DRIP])
def test_a_dial_whose_answer_does_not_come_in_time_is_unknown(
    bench: Bench, person: str, wire: Wire, fault: Fault
) -> None:
    wire.bend(total_timeout_s=A_SHORT_WHILE_S)
    bench.sim.faults.api(bench.provider, "dial", fault)
    is_unknown_after_one_post(bench, person)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 407, 413, 422, 429])
def test_a_proxys_refusal_of_a_placed_call_proves_nothing(
    bench: Bench, person: str, wire: Wire, status: int
) -> None:
    def swallowed(request: HttpRequest, send: Send) -> HttpResponse:
        page = b"<html><body><h1>Request blocked</h1></body></html>"
        return replace(send(request), status=status, headers=(("Content-Type", "text/html"),), body=page)

    wire.bend(around_dial=swallowed)
    is_unknown_after_one_post(bench, person)
    assert calls_to(bench, person) == 1, "it rings"


def is_unknown_after_one_post(bench: Bench, person: str) -> None:
    call = bench.place(person)
    assert len(dials_of(bench, person)) == 1
    [attempt] = bench.gw.calls.attempts(call.id)
    assert attempt.state is AttemptState.UNKNOWN, attempt
    assert (call.status, call.leg_id, call.end_reason) == (CallStatus.QUEUED, None, None)
    assert dict(call.context) == {"dial": "unconfirmed"}
    assert bench.gw.calls.get(call.id) == call
    with pytest.raises(Conflict, match=f"already dialing …{person[-4:]}"):
        bench.place(person)
    assert len(dials_of(bench, person)) == 1, "nobody is rung while it is not known whether their phone rings"


def calls_to(bench: Bench, person: str) -> int:
    return len([call for call in bench.sim.calls() if call.to == person])


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_the_carriers_own_refusal_is_believed(bench: Bench, person: str, status: int) -> None:
    bench.sim.faults.api(bench.provider, "dial", Fault.STATUS, status=status)
    call = bench.place(person)
    assert len(dials_of(bench, person)) == 1
    [attempt] = bench.gw.calls.attempts(call.id)
    assert (attempt.state, attempt.http_status) == (AttemptState.REJECTED, status)
    assert (call.status, call.end_reason.who) == (CallStatus.FAILED, EndedBy.CARRIER)
    assert "dial" not in call.context
    assert call.context["last_error"]["http_status"] == status
    assert [event.type.value for event in bench.heard if event.call.id == call.id] == ["call.failed"]
    assert bench.place(person).leg_id is not None, "nothing rings: the person may be called again"


def test_a_429_of_the_carriers_own_is_tried_again_only_where_it_says_that_nothing_was_done(
    bench: Bench, person: str
) -> None:
    bench.sim.faults.api(bench.provider, "dial", Fault.RATE_LIMITED, retry_after_s=0)
    if bench.provider != "twilio":
        is_unknown_after_one_post(bench, person)
        return
    call = bench.place(person)
    states = [attempt.state for attempt in bench.gw.calls.attempts(call.id)]
    assert states == [AttemptState.NOT_SENT, AttemptState.ACCEPTED]
    first, second = dials_of(bench, person)
    assert first["Url"] != second["Url"], "each try has its own token"
    assert calls_to(bench, person) == 1


def test_twilios_429_is_tried_three_times_at_most(tmp_path: Path) -> None:
    pauses: list[float] = []
    with open_bench("twilio", tmp_path, sweeps=False) as bench:
        bench.gw.services.sleep = pauses.append
        bench.sim.faults.api("twilio", "dial", Fault.RATE_LIMITED, times=10, retry_after_s=3)
        call = bench.place()
        assert len(bench.sim.dials()) == 3
        assert pauses == [3.0, 3.0], "as long as the carrier asked for"
        assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.NOT_SENT)
        assert [a.state for a in bench.gw.calls.attempts(call.id)] == [AttemptState.NOT_SENT] * 3


def test_a_dial_that_cannot_leave_is_tried_three_times_and_has_failed(
    bench: Bench, person: str, wire: Wire
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        wire.bend(base_url=f"http://127.0.0.1:{closing.getsockname()[1]}")
    call = bench.place(person)
    attempts = bench.gw.calls.attempts(call.id)
    assert [(a.number, a.state) for a in attempts] == [(n, AttemptState.NOT_SENT) for n in (1, 2, 3)]
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.FAILED,
        EndedBy.US,
        EndCause.NOT_SENT,
    )
    assert dials_of(bench, person) == []
    assert len({a.token for a in attempts}) == len({a.command_id for a in attempts}) == 3


def test_a_dial_that_leaves_at_the_second_try_is_placed_once(bench: Bench, person: str, wire: Wire) -> None:
    def absent_at_first(request: HttpRequest, send: Send) -> HttpResponse:
        wire.bend()
        raise NotSent("no route to the host")

    wire.bend(around_dial=absent_at_first)
    call = bench.place(person)
    states = [attempt.state for attempt in bench.gw.calls.attempts(call.id)]
    assert states == [AttemptState.NOT_SENT, AttemptState.ACCEPTED]
    assert len(dials_of(bench, person)) == calls_to(bench, person) == 1
    assert call.leg_id in [sim_call.id for sim_call in bench.sim.calls()]
