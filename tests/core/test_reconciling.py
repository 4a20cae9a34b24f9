"""Asking the carrier: how often, what counts as an answer, and what one broken adapter does to the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from gateway import Call, CallStatus, EndCause, EndedBy, Gateway, ProviderUnavailable, acting
from gateway.background import Background
from gateway.interface import CallEvent, CallSnapshot, DialQuery, FoundCall, FoundCalls, LegRef
from gateway.models import Attempt, AttemptState
from gateway.reconciling import LOOKS
from gateway.status import CallFacts, EndReport
from gateway.store import Store, actions, attempts, calls, tombstones
from gateway.store.tables import number
from tests.stubs import CALLEE, LEG, REFUSED, UNKNOWN, StubCarrier, stub_gateway
from tests.wires import Clock

NEXT_LEG = "CA" + "2" * 32
SECOND = timedelta(seconds=1)


@pytest.fixture
def carrier() -> StubCarrier:
    return StubCarrier()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gw(store: Store, carrier: StubCarrier, clock: Clock) -> Gateway:
    return stub_gateway(store, carrier, clock)


def place_unknown(gw: Gateway, carrier: StubCarrier, to: str = CALLEE) -> Call:
    carrier.on_dial = lambda _: UNKNOWN
    return gw.place_call("desk", to)


def attempt_of(gw: Gateway, call: Call) -> Attempt:
    return gw.calls.attempts(call.id)[-1]


def found(*calls: FoundCall, is_complete: bool = True) -> FoundCalls:
    return FoundCalls(calls=calls, is_complete=is_complete)


def an_end(cause: EndCause) -> CallSnapshot:
    end = EndReport(cause=cause, ended_by=EndedBy.CALLEE, proves_answered=False, reconciled=True)
    event = CallEvent(
        provider="twilio", leg_id=LEG, name="fetched", facts=CallFacts(ends=(end,)), event_id="1"
    )
    return CallSnapshot(is_known=True, is_live=False, events=(event,))


# -- unknown dials ----------------------------------------------------------------------------------------------------


def test_it_is_looked_for_at_the_protocols_times_and_once_each(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    carrier.on_find = lambda _: found(is_complete=False)
    call = place_unknown(gw, carrier)
    for round_, after in enumerate(LOOKS[:-1], start=1):
        clock.ahead(seconds=after.total_seconds() - 1)
        gw.sweep()
        assert attempt_of(gw, call).looks == round_ - 1, after
        clock.ahead(seconds=after.total_seconds() + 1)
        gw.sweep()
        gw.sweep()
        assert attempt_of(gw, call).looks == round_, after
    clock.ahead(days=1, seconds=1)
    gw.sweep()
    assert attempt_of(gw, call).state is AttemptState.INDETERMINATE


def test_the_query_names_both_numbers_the_token_and_the_window(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    asked: list[DialQuery] = []
    carrier.on_find = lambda query: asked.append(query) or found()
    call = place_unknown(gw, carrier)
    clock.ahead(seconds=6)
    gw.sweep()
    [query], attempt = asked, attempt_of(gw, call)
    assert (query.to, query.caller_id, query.attempt_token) == (CALLEE, call.from_number, attempt.token)
    assert query.created_from == attempt.created_at - 120 * SECOND
    assert query.created_until == attempt.created_at + 135 * SECOND


def test_the_query_names_the_trunk_that_was_dialed_by_whatever_the_number_goes_by_now(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def go_by(trunk_ref: str | None) -> None:
        with gw.services.store.transaction() as tx:
            tx.write(update(number).values(trunk_ref=trunk_ref))

    asked: list[DialQuery] = []
    carrier.on_find = lambda query: asked.append(query) or found()
    go_by("BY1")
    call = place_unknown(gw, carrier)
    go_by(None)
    clock.ahead(seconds=6)
    gw.sweep()
    assert [each.trunk_ref for each in (*carrier.dials, attempt_of(gw, call), *asked)] == ["BY1"] * 3


def test_an_incomplete_look_is_no_proof(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    call = place_unknown(gw, carrier)
    for seconds in (6, 16):
        clock.ahead(seconds=seconds)
        gw.sweep()
    carrier.on_find = lambda _: found(is_complete=False)
    for seconds in (61, 301, 901, 3601):
        clock.ahead(seconds=seconds)
        gw.sweep()
    attempt = attempt_of(gw, call)
    assert (attempt.state, attempt.looks, attempt.clean_looks) == (AttemptState.UNKNOWN, 6, 2)
    carrier.on_find = lambda _: found()
    clock.ahead(seconds=21_601)
    gw.sweep()
    assert attempt_of(gw, call).state is AttemptState.NOT_PLACED_PROBABLE


def test_three_looks_in_a_row_by_hand_settle_nothing(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    call = place_unknown(gw, carrier)
    for seconds in range(10):
        clock.ahead(seconds=seconds)
        gw.reconcile()
    assert attempt_of(gw, call).clean_looks == 10
    assert attempt_of(gw, call).state is AttemptState.UNKNOWN


def test_without_the_token_a_call_of_a_shared_account_is_not_ours(
    store: Store, carrier: StubCarrier, clock: Clock
) -> None:
    gw = stub_gateway(store, carrier, clock, exclusive=False)
    call = place_unknown(gw, carrier)
    carrier.on_find = lambda _: found(FoundCall(leg_id=LEG, created_at=clock()))
    clock.ahead(seconds=6)
    gw.sweep()
    assert attempt_of(gw, call).state is AttemptState.UNKNOWN
    carrier.on_find = lambda _: found(FoundCall(leg_id=LEG, has_our_token=True))
    clock.ahead(seconds=16)
    gw.sweep()
    assert attempt_of(gw, call).state is AttemptState.ACCEPTED
    assert calls.list_legs(store, call.id) == [LEG]


def test_the_token_outweighs_whatever_else_is_found(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    call = place_unknown(gw, carrier)
    older = FoundCall(leg_id=NEXT_LEG, created_at=clock() - 60 * SECOND)
    carrier.on_find = lambda _: found(older, FoundCall(leg_id=LEG, has_our_token=True))
    clock.ahead(seconds=6)
    gw.sweep()
    assert calls.list_legs(gw.services.store, call.id) == [LEG]
    assert carrier.hung_up == [], "the other one is somebody else's call"


def test_a_leg_of_another_call_is_not_taken(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    first = gw.place_call("desk", CALLEE)
    call = place_unknown(gw, carrier)
    assert first.leg_id
    carrier.on_find = lambda _: found(FoundCall(leg_id=first.leg_id or "", created_at=clock()))
    clock.ahead(seconds=6)
    gw.sweep()
    assert attempt_of(gw, call).state is AttemptState.UNKNOWN
    assert calls.list_legs(gw.services.store, call.id) == []


def test_every_leg_but_the_oldest_is_ended(gw: Gateway, carrier: StubCarrier, clock: Clock) -> None:
    call = place_unknown(gw, carrier)
    newer = FoundCall(leg_id=LEG, has_our_token=True, created_at=clock())
    older = replace(newer, leg_id=NEXT_LEG, created_at=clock() - SECOND)
    carrier.on_find = lambda _: found(newer, older)
    clock.ahead(seconds=6)
    gw.sweep()
    assert calls.list_legs(gw.services.store, call.id) == [NEXT_LEG]
    assert [ref.leg_id for ref in carrier.hung_up] == [LEG]


# -- quiet calls ------------------------------------------------------------------------------------------------------


def test_a_call_that_a_carrier_does_not_know_yet_is_not_lost(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    """Records lag behind: "not found" right after a dial means nothing."""
    carrier.on_fetch = lambda _: CallSnapshot(is_known=False)
    call = gw.place_call("desk", CALLEE)
    gw.reconcile()
    assert gw.calls.get(call.id).status is CallStatus.QUEUED
    clock.ahead(minutes=3)
    gw.reconcile()
    assert gw.calls.get(call.id).end_reason.why is EndCause.LOST


def test_a_hang_up_that_takes_effect_slowly_is_not_repeated_at_every_look(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    call = gw.place_call("desk", CALLEE)
    start_s = (call.settings.join_timeout_s or 0) + (call.settings.max_duration_s or 0) + 900 + 1
    for seconds in range(0, 60, 4):
        clock.ahead(seconds=start_s + seconds)
        gw.sweep()
    assert len(carrier.hung_up) == 1
    assert len(carrier.fetched) > 1
    clock.ahead(seconds=start_s + 130)
    gw.sweep()
    assert len(carrier.hung_up) == 2
    carrier.on_fetch = lambda _: an_end(EndCause.HUNG_UP)
    clock.ahead(seconds=start_s + 200)
    gw.sweep()
    assert gw.calls.get(call.id).status.is_final


def test_an_adapter_that_breaks_over_one_call_does_not_keep_the_others_open(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    broken, fine = gw.place_call("desk", CALLEE), gw.place_call("desk", "+14155550124")

    def fetch(ref: LegRef) -> CallSnapshot:
        if ref.leg_id == broken.leg_id:
            raise KeyError("a bug")
        return an_end(EndCause.BUSY)

    carrier.on_fetch = fetch
    clock.ahead(minutes=5)
    swept = gw.sweep()
    assert swept.failures == 1
    assert gw.calls.get(fine.id).status is CallStatus.BUSY
    assert not gw.calls.get(broken.id).status.is_final


def test_a_carrier_that_does_not_answer_is_asked_again_within_a_minute(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def down(_: LegRef) -> CallSnapshot:
        raise ProviderUnavailable("no answer", provider="twilio")

    carrier.on_fetch = down
    call = gw.place_call("desk", CALLEE)
    clock.ahead(minutes=5)
    gw.sweep()
    gw.sweep()
    assert len(carrier.fetched) == 1
    carrier.on_fetch = lambda _: an_end(EndCause.BUSY)
    clock.ahead(minutes=6, seconds=1)
    gw.sweep()
    assert gw.calls.get(call.id).status is CallStatus.BUSY


def test_a_call_without_a_leg_is_never_asked_about_and_its_dial_is_looked_for(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    call = place_unknown(gw, carrier)
    clock.ahead(minutes=20)
    gw.sweep()
    gw.reconcile()
    assert carrier.fetched == []
    assert attempt_of(gw, call).looks >= 2


def test_sweeping_an_idle_gateway_asks_nothing(gw: Gateway, carrier: StubCarrier) -> None:
    assert gw.sweep().total == 0
    assert attempts.open_attempts(gw.services.store) == []
    assert actions.next_due(gw.services.store) is None
    assert gw.reconcile() == []


# -- what is forgotten ------------------------------------------------------------------------------------------------


def test_a_deleted_call_is_remembered_for_thirty_days(
    gw: Gateway, carrier: StubCarrier, clock: Clock
) -> None:
    def spent() -> bool:
        return tombstones.is_spent_key(gw.services.store, "default", "key-1")

    carrier.on_dial = lambda _: REFUSED
    call = gw.place_call("desk", CALLEE, idempotency_key="key-1")
    gw.calls.delete(call.id)
    clock.ahead(days=29)
    gw.sweep()
    assert spent()
    clock.ahead(days=31)
    gw.sweep()
    assert not spent()


# -- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [1, 30])
def test_what_was_asked_for_just_before_a_stop_is_done(
    gw: Gateway, carrier: StubCarrier, clock: Clock, many: int
) -> None:
    """More than there are workers too: each is handed out as soon as one is free."""
    asked = [gw.place_call("desk", f"+1415555{1000 + n}") for n in range(many)]
    for _ in range(3):
        carrier.hung_up.clear()
        background = Background(gw.services)
        with gw.services.store.transaction() as tx:
            for call in asked:
                acting.request_hang_up(tx, call, None, clock())
        background.wake()
        background.stop()
        assert {ref.leg_id for ref in carrier.hung_up} == {call.leg_id for call in asked}
        assert actions.next_due(gw.services.store) is None
