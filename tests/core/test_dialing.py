"""Placing a call, with a carrier of our own making: the order of work, races, backoff, and what is stored meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import (
    Agent,
    Call,
    CallerIdRefused,
    CallSettings,
    CallStatus,
    ConfigurationError,
    Conflict,
    EndCause,
    EndedBy,
    Gateway,
    MissingExtra,
    NotFound,
    StoreUnavailable,
    Stream,
    ValidationError,
)
from gateway.dialing import LEASE, settle
from gateway.interface import DialOutcome, DialRequest
from gateway.models import AttemptState
from gateway.reconciling import recover
from gateway.settings import load_settings
from gateway.store import Store, Tx, attempts, calls
from gateway.store import actions as stored_actions
from tests.stubs import (
    CALLEE,
    LEG,
    NOT_SENT,
    OTHER,
    OURS,
    REFUSED,
    SECRETS,
    UNKNOWN,
    StubCarrier,
    accepted,
    stub_gateway,
)
from tests.wires import Clock


@pytest.fixture
def carrier() -> StubCarrier:
    return StubCarrier()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gw(store: Store, carrier: StubCarrier, clock: Clock) -> Gateway:
    return stub_gateway(store, carrier, clock)


def states(gw: Gateway, call: Call) -> list[AttemptState]:
    return [attempt.state for attempt in gw.calls.attempts(call.id)]


def open_legs(gw: Gateway, call: Call) -> list[str]:
    return [a.payload["leg_id"] for a in stored_actions.list_actions(gw.services.store, call.id)]


# -- the order of work ------------------------------------------------------------------------------------------------


def test_the_attempt_is_committed_before_a_byte_leaves(
    gw: Gateway, carrier: StubCarrier, database_url: str
) -> None:
    """Seen from another connection, while the POST is under way."""
    seen: list[tuple[Any, ...]] = []

    def look(request: DialRequest) -> DialOutcome:
        other = Store.open(database_url, read_only=True)
        try:
            attempt = attempts.load_attempt_by_token(other, request.attempt_token)
            assert attempt is not None
            call = calls.load_call(other, attempt.call_id)
            seen.append((attempt.state, attempt.command_id, attempt.lease_until, call.status, call.to))
        finally:
            other.close()
        return accepted()

    carrier.on_dial = look
    call = gw.place_call("desk", CALLEE)
    [request] = carrier.dials
    [(state, command_id, lease_until, status, to)] = seen
    assert (state, status, to) == (AttemptState.DIALING, CallStatus.QUEUED, CALLEE)
    assert command_id == request.command_id
    assert lease_until == call.created_at + LEASE
    assert states(gw, call) == [AttemptState.ACCEPTED]
    assert call.leg_id == LEG


def test_no_transaction_is_open_while_the_post_is_under_way(gw: Gateway, carrier: StubCarrier) -> None:
    def write_meanwhile(_: DialRequest) -> DialOutcome:
        with ThreadPoolExecutor(1) as other:
            other.submit(
                gw.agents.put, Agent(id="other", connect=Stream("wss://agents.example.com/2"))
            ).result(3)
        return accepted()

    carrier.on_dial = write_meanwhile
    assert gw.place_call("desk", CALLEE).leg_id == LEG


def test_what_is_refused_leaves_nothing_behind(gw: Gateway, carrier: StubCarrier) -> None:
    carrier.refuses = ValidationError("join_timeout", "twilio takes 1 to 600 s")
    with pytest.raises(ValidationError, match="1 to 600"):
        gw.place_call("desk", CALLEE)
    carrier.refuses = None
    with pytest.raises(NotFound):
        gw.place_call("nobody", CALLEE)
    with pytest.raises(CallerIdRefused):
        gw.place_call("desk", CALLEE, from_number=OTHER)
    with pytest.raises(ValidationError):
        gw.place_call("desk", OURS, from_number=OURS)
    with pytest.raises(ValidationError):
        gw.place_call("desk", CALLEE, idempotency_key="")
    assert carrier.dials == []
    assert gw.calls.list().calls == ()


def test_the_token_is_in_every_callback_and_new_for_every_attempt(gw: Gateway, carrier: StubCarrier) -> None:
    outcomes = iter([NOT_SENT, NOT_SENT, accepted()])
    carrier.on_dial = lambda _: next(outcomes)
    call = gw.place_call("desk", CALLEE, settings=CallSettings(max_duration="5m"))
    assert len({request.attempt_token for request in carrier.dials}) == 3
    assert len({request.command_id for request in carrier.dials}) == 3
    for request, attempt in zip(carrier.dials, gw.calls.attempts(call.id), strict=True):
        urls = request.urls
        for url in (urls.answer, urls.status, urls.amd, urls.recording, urls.fallback, urls.events):
            assert url.startswith("https://gw.example.com/voice/")
            assert url.endswith("/" + attempt.token)
        assert len(attempt.token) == 32
        assert (request.call_id, request.max_duration_s, request.caller_id) == (call.id, 300, OURS)


# -- outcomes ---------------------------------------------------------------------------------------------------------


def test_a_dial_that_was_not_sent_is_tried_three_times_with_pauses(gw: Gateway, carrier: StubCarrier) -> None:
    pauses: list[float] = []
    gw.services.sleep = pauses.append
    carrier.on_dial = lambda _: NOT_SENT
    call = gw.place_call("desk", CALLEE)
    assert states(gw, call) == [AttemptState.NOT_SENT] * 3
    assert pauses == [1.0, 2.0]
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.FAILED,
        EndedBy.US,
        EndCause.NOT_SENT,
    )
    assert call.context["last_error"]["message"] == "nobody listens"


@pytest.mark.parametrize(("asked_s", "pause_s"), [(3.0, 3.0), (0.2, 1.0), (3600.0, 10.0)])
def test_a_carrier_that_names_a_pause_gets_it_within_the_lease(
    gw: Gateway, carrier: StubCarrier, asked_s: float, pause_s: float
) -> None:
    pauses: list[float] = []
    gw.services.sleep = pauses.append
    outcomes = iter([replace(NOT_SENT, retry_after_s=asked_s), accepted()])
    carrier.on_dial = lambda _: next(outcomes)
    assert gw.place_call("desk", CALLEE).leg_id == LEG
    assert pauses == [pause_s]


def test_a_call_hung_up_between_two_tries_is_cancelled_and_not_dialed_again(
    gw: Gateway, carrier: StubCarrier
) -> None:
    def hang_up(_: float) -> None:
        gw.hang_up(gw.calls.list().calls[0].id)

    gw.services.sleep = hang_up
    carrier.on_dial = lambda _: NOT_SENT
    call = gw.place_call("desk", CALLEE)
    assert len(carrier.dials) == 1
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.CANCELLED,
        EndedBy.US,
        EndCause.CANCELLED,
    )
    assert states(gw, call) == [AttemptState.NOT_SENT, AttemptState.NOT_SENT]


def test_a_call_hung_up_while_its_post_is_under_way_is_ended_at_the_answer(
    gw: Gateway, carrier: StubCarrier
) -> None:
    def hung_up(_: DialRequest) -> DialOutcome:
        gw.hang_up(gw.calls.list().calls[0].id)
        return accepted()

    carrier.on_dial = hung_up
    call = gw.place_call("desk", CALLEE)
    assert call.facts.hangup_requested is EndCause.CANCELLED
    assert open_legs(gw, call) == [LEG]


def test_a_refusal_is_final_and_says_why(gw: Gateway, carrier: StubCarrier) -> None:
    carrier.on_dial = lambda _: REFUSED
    call = gw.place_call("desk", CALLEE)
    assert len(carrier.dials) == 1
    assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.ACCOUNT)
    assert call.context["last_error"] == {"message": "suspended", "code": "20005", "http_status": 403}
    assert states(gw, call) == [AttemptState.REJECTED]


def test_an_adapter_that_raises_is_unknown_not_unsent(
    gw: Gateway, carrier: StubCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: DialRequest) -> DialOutcome:
        raise KeyError("secret-token")

    carrier.on_dial = broken
    with caplog.at_level(logging.DEBUG):
        call = gw.place_call("desk", CALLEE)
    assert call.context["dial"] == "unconfirmed"
    assert states(gw, call) == [AttemptState.UNKNOWN]
    assert len(carrier.dials) == 1
    assert "KeyError" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_missing_library_is_one_clear_error_before_anything_is_stored(
    gw: Gateway, carrier: StubCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtra("twilio", "twilio")

    monkeypatch.setattr(carrier, "prepare", missing)
    with pytest.raises(MissingExtra, match="twilio"):
        gw.place_call("desk", CALLEE)
    assert gw.calls.list().calls == ()
    assert carrier.dials == []


def test_a_library_that_breaks_while_dialing_leaves_nothing_open(gw: Gateway, carrier: StubCarrier) -> None:
    def missing(_: DialRequest) -> DialOutcome:
        raise MissingExtra("twilio", "twilio")

    carrier.on_dial = missing
    with pytest.raises(ConfigurationError, match="twilio"):
        gw.place_call("desk", CALLEE)
    [call] = gw.calls.list().calls
    assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.NOT_SENT)
    assert len(carrier.dials) == 1
    carrier.on_dial = lambda _: accepted()
    assert gw.place_call("desk", CALLEE).leg_id == LEG, "nobody is in the way"


class Unwritable:
    """The store, until it takes no more writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        if self.is_full:
            raise StoreUnavailable("the disk is full")
        with self._store.transaction() as tx:
            yield tx


def test_a_dial_whose_outcome_cannot_be_stored_is_not_reported_as_unsent(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    """StoreUnavailable says that nothing was sent: who hears it dials again."""
    store = Unwritable(gw.services.store)
    gw.services.store = store  # type: ignore[assignment]

    def then_full(_: DialRequest) -> DialOutcome:
        store.is_full = True
        return accepted()

    carrier.on_dial = then_full
    call = gw.place_call("desk", CALLEE, idempotency_key="k")
    assert (call.status, call.context["dial"]) == (CallStatus.QUEUED, "unconfirmed")
    store.is_full = False
    assert states(gw, call) == [AttemptState.DIALING]
    assert gw.place_call("desk", CALLEE, idempotency_key="k").id == call.id
    with pytest.raises(Conflict):
        gw.place_call("desk", CALLEE)
    clock.ahead(seconds=31)
    assert recover(gw.services) == 1
    assert states(gw, call) == [AttemptState.UNKNOWN]
    assert gw.calls.get(call.id).context["dial"] == "unconfirmed"
    assert len(carrier.dials) == 1


def test_a_store_that_is_full_from_the_start_lets_nothing_leave(gw: Gateway, carrier: StubCarrier) -> None:
    store = Unwritable(gw.services.store)
    store.is_full = True
    gw.services.store = store  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        gw.place_call("desk", CALLEE)
    assert carrier.dials == []


# -- leases (R10, R11) ------------------------------------------------------------------------------------------------


def test_an_answer_after_the_lease_still_counts(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    """The worker stood still for longer than its lease; another took the dial for unknown meanwhile."""

    def taken_over(_: DialRequest) -> DialOutcome:
        clock.ahead(seconds=31)
        assert recover(gw.services) == 1
        return accepted()

    carrier.on_dial = taken_over
    call = gw.place_call("desk", CALLEE)
    assert states(gw, call) == [AttemptState.ACCEPTED]
    assert "dial" not in call.context
    assert call.leg_id == LEG


def test_proof_that_nothing_was_sent_counts_after_the_lease_but_nobody_dials_again(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def taken_over(_: DialRequest) -> DialOutcome:
        clock.ahead(seconds=31)
        recover(gw.services)
        return NOT_SENT

    carrier.on_dial = taken_over
    call = gw.place_call("desk", CALLEE)
    assert states(gw, call) == [AttemptState.NOT_SENT]
    assert call.status is CallStatus.FAILED
    assert "dial" not in call.context
    assert len(carrier.dials) == 1


def test_a_worker_whose_lease_ran_out_before_its_post_does_not_send_it(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def stand_still(_: float) -> None:
        clock.ahead(minutes=20)
        recover(gw.services)

    gw.services.sleep = stand_still
    carrier.on_dial = lambda _: NOT_SENT
    call = gw.place_call("desk", CALLEE)
    assert len(carrier.dials) == 1
    assert states(gw, call) == [AttemptState.NOT_SENT, AttemptState.NOT_SENT]
    assert call.status is CallStatus.FAILED


def test_an_answer_to_a_dial_that_was_given_up_has_its_leg_ended(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def given_up(request: DialRequest) -> DialOutcome:
        attempt = attempts.load_attempt_by_token(gw.services.store, request.attempt_token)
        assert attempt is not None
        settle(gw.services, attempt.id, UNKNOWN)
        with gw.services.store.transaction() as tx:
            held = attempts.load_attempt_for_update(tx, attempt.id)
            gone = replace(held, state=AttemptState.INDETERMINATE, next_look_at=None)
            attempts.save_attempt(tx, gone, expected_version=held.version)
        return accepted()

    carrier.on_dial = given_up
    call = gw.place_call("desk", CALLEE)
    assert states(gw, call) == [AttemptState.INDETERMINATE]
    assert open_legs(gw, call) == [LEG], "it is hung up"
    assert calls.list_legs(gw.services.store, call.id) == []


@pytest.mark.parametrize("late", [UNKNOWN, NOT_SENT, REFUSED], ids=lambda outcome: outcome.result.value)
def test_no_later_outcome_undoes_an_accepted_dial(
    gw: Gateway, carrier: StubCarrier, late: DialOutcome
) -> None:
    call = gw.place_call("desk", CALLEE)
    [attempt] = gw.calls.attempts(call.id)
    after = settle(gw.services, attempt.id, late)
    assert states(gw, call) == [AttemptState.ACCEPTED]
    assert (after.status, after.leg_id) == (CallStatus.QUEUED, call.leg_id)


@pytest.mark.parametrize("seconds", [-86_400, 86_400], ids=["back", "forward"])
def test_a_clock_that_jumps_during_the_dial_makes_no_second_one(
    gw: Gateway, carrier: StubCarrier, clock: Clock, seconds: int
) -> None:
    def jump(_: DialRequest) -> DialOutcome:
        clock.ahead(seconds=seconds)
        recover(gw.services)
        return accepted()

    carrier.on_dial = jump
    call = gw.place_call("desk", CALLEE)
    assert states(gw, call) == [AttemptState.ACCEPTED]
    recover(gw.services)
    assert len(carrier.dials) == 1


# -- races ------------------------------------------------------------------------------------------------------------


def raced(threads: int, work: Callable[[int], object]) -> list[object]:
    """Do `work` in many threads at once; return each one's result or error."""
    gate = threading.Barrier(threads)

    def one(index: int) -> object:
        gate.wait(10)
        try:
            return work(index)
        except (Conflict, ValidationError) as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))


def test_one_key_is_one_call_whoever_wins(gw: Gateway, carrier: StubCarrier) -> None:
    for number in range(5):
        to = f"+141555501{number + 30}"
        got = raced(8, lambda _, to=to: gw.place_call("desk", to, idempotency_key=f"key {to}"))
        assert all(isinstance(call, Call) for call in got), got
        assert len({call.id for call in got}) == 1
    assert len(carrier.dials) == 5


def test_one_key_with_two_bodies_is_a_conflict(gw: Gateway, carrier: StubCarrier) -> None:
    got = raced(6, lambda index: gw.place_call("desk", f"+1415555012{index % 2}", idempotency_key="the same"))
    placed = {each.id for each in got if isinstance(each, Call)}
    refused = [each for each in got if isinstance(each, Conflict)]
    assert len(placed) == 1
    assert len(refused) == 3
    assert "another body" in str(refused[0])
    assert len(carrier.dials) == 1


def test_keys_of_two_workspaces_do_not_meet(gw: Gateway) -> None:
    gw.place_call("desk", CALLEE, idempotency_key="k")
    with pytest.raises(NotFound):
        gw.place_call("desk", CALLEE, idempotency_key="k", workspace_id="other")


def test_one_person_is_dialed_by_one_of_many(gw: Gateway, carrier: StubCarrier) -> None:
    carrier.on_dial = lambda _: UNKNOWN
    got = raced(8, lambda _: gw.place_call("desk", CALLEE))
    assert len([each for each in got if isinstance(each, Call)]) == 1
    assert len([each for each in got if isinstance(each, Conflict)]) == 7
    assert len(carrier.dials) == 1
    assert len(gw.calls.list().calls) == 1, "a refused call leaves nothing behind"


def test_an_agent_takes_as_many_calls_as_it_may(gw: Gateway, carrier: StubCarrier) -> None:
    gw.agents.put(replace(gw.agents.get("desk"), max_concurrent_calls=3))
    got = raced(8, lambda index: gw.place_call("desk", f"+1415555013{index}"))
    assert len([each for each in got if isinstance(each, Call)]) == 3
    refused = [each for each in got if isinstance(each, Conflict)]
    assert len(refused) == 5
    assert "limit of 3" in str(refused[0])
    assert len(carrier.dials) == 3


def test_an_ended_call_makes_room(gw: Gateway, carrier: StubCarrier) -> None:
    gw.agents.put(replace(gw.agents.get("desk"), max_concurrent_calls=1))
    carrier.on_dial = lambda _: REFUSED
    gw.place_call("desk", CALLEE)
    carrier.on_dial = lambda _: accepted()
    gw.place_call("desk", CALLEE)
    with pytest.raises(Conflict, match="limit of 1"):
        gw.place_call("desk", "+14155550124")


# -- after a crash (step 11) ------------------------------------------------------------------------------------------


def test_a_dial_under_way_is_left_alone_while_its_lease_runs(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def half_way(_: DialRequest) -> DialOutcome:
        clock.ahead(seconds=29)
        assert recover(gw.services) == 0
        return accepted()

    carrier.on_dial = half_way
    assert gw.place_call("desk", CALLEE).leg_id == LEG


def test_a_dial_whose_process_died_comes_back_as_unknown_and_is_looked_for_at_once(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    class Killed(BaseException):
        """Stands in for SIGKILL."""

    def die(_: DialRequest) -> DialOutcome:
        raise Killed

    carrier.on_dial = die
    with pytest.raises(Killed):
        gw.place_call("desk", CALLEE)
    [call] = gw.calls.list().calls
    assert states(gw, call) == [AttemptState.DIALING]
    clock.ahead(seconds=31)
    assert recover(gw.services) == 1
    assert recover(gw.services) == 0
    assert states(gw, call) == [AttemptState.UNKNOWN]
    due = attempts.due_unknown_attempts(gw.services.store, clock() + timedelta(seconds=1), 10)
    assert [attempt.call_id for attempt in due] == [call.id]
    assert len(carrier.dials) == 1


def test_a_database_on_disk_keeps_the_attempt_through_a_restart(tmp_path: Path, carrier: StubCarrier) -> None:
    settings = load_settings(
        env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}", public_url="https://gw.example.com"
    )
    with Gateway.open(settings, background=False) as gateway:
        gateway.services.open_provider = carrier.open
        credential = gateway.credentials.add("twilio", check=False, **SECRETS)
        gateway.numbers.add(OURS, credential=credential.id)
        gateway.agents.put(Agent(id="desk", connect=Stream("wss://agents.example.com/media")))
        gateway.numbers.assign(OURS, configure=False, agent="desk", outbound=True)
        carrier.on_dial = lambda _: UNKNOWN
        call = gateway.place_call("desk", CALLEE)
    with Gateway.open(settings, background=False) as gateway:
        gateway.services.open_provider = carrier.open
        assert states(gateway, call) == [AttemptState.UNKNOWN]
        with pytest.raises(Conflict):
            gateway.place_call("desk", CALLEE)
        assert len(carrier.dials) == 1
