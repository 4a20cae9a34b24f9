"""Calls, their legs, their pages; dial attempts; events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.errors import Conflict, NotFound, ValidationError
from gateway.models import Attempt, AttemptState, Call, CallSettings, EventOutcome
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    CallStatus,
    CarrierWords,
    Cost,
    Direction,
    EndCause,
    EndedBy,
    EndReport,
    MachineVerdict,
    resolve,
)
from gateway.store import Store, attempts, calls, events
from tests.storekit import (
    CALLEE,
    CALLER,
    SECOND,
    T0,
    a_call,
    an_attempt,
    an_event,
    put_agent,
    put_attempt,
    put_call,
    put_credential,
    put_event,
)

OTHER = "another-tenant"
FACTS = CallFacts(
    ringing=True,
    answered=True,
    answered_at=T0 + 5 * SECOND,
    ended_at=T0 + 65 * SECOND,
    ends=(
        EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, words=CarrierWords(status="completed")),
    ),
    verdicts=(MachineVerdict(answered_by=AnsweredBy.HUMAN, at=T0 + 6 * SECOND, word="human"),),
    cost=Cost(amount=Decimal("0.0085"), currency="USD", authority=Authority.RECORD),
)


# -- one call -------------------------------------------------------------------------------------------------------


def test_a_call_comes_back_equal(store: Store) -> None:
    credential = put_credential(store)
    settled = resolve(FACTS, Direction.OUTBOUND)
    call = put_call(
        store,
        credential,
        status=settled.status,
        leg_id="CA1",
        settings=CallSettings(join_timeout="20s", greeting="Hi"),
        variables={"first_name": "Zoë"},
        context={"order": {"id": 7, "paid": True}, "dial": "unconfirmed"},
        facts=FACTS,
        end_reason=settled.end_reason,
        idempotency_key="k1",
        sequence=4,
    )
    assert calls.load_call(store, call.id) == call
    with pytest.raises(NotFound):
        calls.load_call(store, call.id, workspace_id=OTHER)
    with pytest.raises(NotFound):
        calls.load_call(store, "missing")


def test_a_saved_call_comes_back_with_its_new_version(store: Store) -> None:
    call = put_call(store, put_credential(store))
    changed = replace(call, status=CallStatus.COMPLETED, facts=FACTS, sequence=1, updated_at=T0 + SECOND)
    with store.transaction() as tx:
        held = calls.load_call_for_update(tx, call.id)
        saved = calls.save_call(tx, changed, expected_version=held.version)
    assert saved == replace(changed, version=1)
    assert calls.load_call(store, call.id) == saved


def test_a_stale_writer_changes_nothing(store: Store) -> None:
    call = put_call(store)
    with store.transaction() as tx:
        calls.save_call(tx, replace(call, status=CallStatus.RINGING), expected_version=0)
    with pytest.raises(Conflict, match="load it again"), store.transaction() as tx:
        calls.save_call(tx, replace(call, status=CallStatus.FAILED), expected_version=0)
    assert calls.load_call(store, call.id).status is CallStatus.RINGING


def test_what_identifies_a_call_is_not_changed_by_saving_it(store: Store) -> None:
    call = put_call(store, idempotency_key="k1")
    with store.transaction() as tx:
        calls.save_call(tx, replace(call, idempotency_key="k2", created_at=T0 + SECOND), expected_version=0)
    found = calls.load_call(store, call.id)
    assert (found.idempotency_key, found.created_at) == ("k1", T0)


def test_an_idempotency_key_finds_its_call_and_the_fingerprint_of_its_request(store: Store) -> None:
    call = a_call(idempotency_key="k1")
    put_agent(store)
    with store.transaction() as tx:
        calls.insert_call(tx, call, fingerprint="abc")
    assert calls.find_by_idempotency_key(store, "default", "k1") == (call, "abc")
    assert calls.find_by_idempotency_key(store, OTHER, "k1") is None
    assert calls.find_by_idempotency_key(store, "default", "k2") is None


def test_a_workspace_uses_an_idempotency_key_once_and_another_may_use_it_too(store: Store) -> None:
    put_agent(store)
    put_agent(store, workspace_id=OTHER)
    put_call(store, idempotency_key="k1")
    with pytest.raises(Conflict):
        put_call(store, idempotency_key="k1")
    put_call(store, idempotency_key="k1", workspace_id=OTHER)
    put_call(store)
    put_call(store)  # any number of calls without a key


def test_of_many_calls_with_one_key_at_once_exactly_one_is_stored(store: Store) -> None:
    put_agent(store)
    won: list[str] = []

    def place(_: int) -> None:
        with suppress(Conflict):
            won.append(put_call(store, idempotency_key="k1").id)

    in_threads(place, 12)
    found = calls.find_by_idempotency_key(store, "default", "k1")
    assert found is not None
    assert won == [found[0].id]


def test_live_calls_of_an_agent_are_counted(store: Store) -> None:
    live = [
        put_call(store, status=s) for s in (CallStatus.QUEUED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
    ]
    for status in CallStatus:
        if status.is_final:
            put_call(store, status=status)
    put_call(store, agent_id="sales")
    assert calls.count_live_calls(store, "default", "support") == 3
    assert calls.count_live_calls(store, "default", "support", except_call_id=live[0].id) == 2
    assert calls.count_live_calls(store, OTHER, "support") == 0


# -- legs -----------------------------------------------------------------------------------------------------------


def test_every_id_of_a_leg_finds_its_call(store: Store) -> None:
    credential, other = put_credential(store), put_credential(store)
    call = put_call(store, credential)
    with store.transaction() as tx:
        assert calls.bind_legs(tx, call.id, credential.id, ["v3:abc", "uuid-1", "", "v3:abc"]) is None
        assert calls.find_call_by_leg(tx, credential.id, ["uuid-1"]) == call
    assert calls.find_call_by_leg(store, credential.id, ["nothing", "v3:abc"]) == call
    assert calls.find_call_by_leg(store, other.id, ["v3:abc"]) is None
    assert calls.find_call_by_leg(store, credential.id, []) is None
    assert sorted(calls.list_legs(store, call.id)) == ["uuid-1", "v3:abc"]


def test_an_id_stays_with_the_call_that_had_it_first(store: Store) -> None:
    credential = put_credential(store)
    first, second = put_call(store, credential), put_call(store, credential)
    with store.transaction() as tx:
        calls.bind_legs(tx, first.id, credential.id, ["CA1"])
        assert calls.bind_legs(tx, second.id, credential.id, ["CA1", "CA2"]) == first.id
        assert calls.bind_legs(tx, first.id, credential.id, ["CA1"]) is None
    found = calls.find_call_by_leg(store, credential.id, ["CA1"])
    assert found is not None
    assert found.id == first.id


def test_one_leg_is_not_two_calls(store: Store) -> None:
    credential = put_credential(store)
    put_call(store, credential, leg_id="CA1")
    with pytest.raises(Conflict):
        put_call(store, credential, leg_id="CA1")


# -- what the sweeper asks about ------------------------------------------------------------------------------------


def test_a_quiet_call_is_due_from_its_time_on_the_most_overdue_first(store: Store) -> None:
    first, second = put_call(store), put_call(store)
    put_call(store)  # never
    with store.transaction() as tx:
        calls.schedule_look(tx, first.id, T0 + 20 * SECOND)
        calls.schedule_look(tx, second.id, T0 + 10 * SECOND)
    due = [c.id for c in calls.due_quiet_calls(store, T0 + 20 * SECOND, 10)]
    assert due == [second.id, first.id]
    assert [c.id for c in calls.due_quiet_calls(store, T0 + 19 * SECOND, 10)] == [second.id]
    assert len(calls.due_quiet_calls(store, T0 + 20 * SECOND, 1)) == 1
    with store.transaction() as tx:
        calls.schedule_look(tx, second.id, None)
    assert [c.id for c in calls.due_quiet_calls(store, T0 + 20 * SECOND, 10)] == [first.id]


def test_the_next_look_can_be_set_when_a_call_is_stored_or_saved(store: Store) -> None:
    call = a_call()
    put_agent(store)
    with store.transaction() as tx:
        calls.insert_call(tx, call, next_look_at=T0)
    assert len(calls.due_quiet_calls(store, T0, 10)) == 1
    with store.transaction() as tx:
        saved = calls.save_call(tx, call, expected_version=0)  # left out: stays
    assert len(calls.due_quiet_calls(store, T0, 10)) == 1
    with store.transaction() as tx:
        saved = calls.save_call(tx, saved, expected_version=1, next_look_at=None, cost_look_at=T0 + SECOND)
    assert calls.due_quiet_calls(store, T0, 10) == []
    assert [look.call for look in calls.due_cost_looks(store, T0 + SECOND, 10)] == [saved]
    with store.transaction() as tx:
        calls.save_call(tx, saved, expected_version=2, cost_look_at=None)
    assert calls.due_cost_looks(store, T0 + SECOND, 10) == []


def test_looks_for_the_cost_are_counted(store: Store) -> None:
    call = put_call(store)
    for looks in (1, 2):
        with store.transaction() as tx:
            calls.schedule_cost_look(tx, call.id, T0)
        (look,) = calls.due_cost_looks(store, T0, 10)
        assert (look.call.id, look.looks) == (call.id, looks)
    with store.transaction() as tx:
        calls.schedule_cost_look(tx, call.id, None)
    assert calls.due_cost_looks(store, T0, 10) == []


# -- pages ----------------------------------------------------------------------------------------------------------


def many(store: Store) -> list[Call]:
    """Thirty calls, newest first; pairs share their time so that the id decides."""
    kinds = [
        (CallStatus.COMPLETED, Direction.OUTBOUND, "support"),
        (CallStatus.BUSY, Direction.INBOUND, "sales"),
        (CallStatus.QUEUED, Direction.OUTBOUND, "sales"),
    ]
    made = []
    for i in range(30):
        status, direction, agent = kinds[i % 3]
        at = T0 + (i // 2) * SECOND
        made.append(
            put_call(store, status=status, direction=direction, agent_id=agent, created_at=at, updated_at=at)
        )
    put_agent(store, workspace_id=OTHER)
    put_call(store, workspace_id=OTHER)
    return sorted(made, key=lambda c: (c.created_at, c.id), reverse=True)


FILTERS: dict[str, tuple[dict[str, object], Callable[[Call], bool]]] = {
    "none": ({}, lambda c: True),
    "status": ({"status": CallStatus.BUSY}, lambda c: c.status is CallStatus.BUSY),
    "direction": ({"direction": Direction.OUTBOUND}, lambda c: c.direction is Direction.OUTBOUND),
    "agent": ({"agent_id": "sales"}, lambda c: c.agent_id == "sales"),
    "after": ({"created_after": T0 + 5 * SECOND}, lambda c: c.created_at > T0 + 5 * SECOND),
    "before": ({"created_before": T0 + 5 * SECOND}, lambda c: c.created_at < T0 + 5 * SECOND),
    "several": (
        {"status": CallStatus.QUEUED, "agent_id": "sales", "created_after": T0 + 2 * SECOND},
        lambda c: c.status is CallStatus.QUEUED and c.created_at > T0 + 2 * SECOND,
    ),
    "nothing": ({"agent_id": "nobody"}, lambda c: False),
}


def test_pages_by_cursor_are_the_whole_list_once_under_every_filter(store: Store) -> None:
    everything = many(store)
    for filters, keeps in FILTERS.values():
        wanted = [call.id for call in everything if keeps(call)]
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            page = calls.list_calls(store, "default", limit=4, cursor=cursor, **filters)  # type: ignore[arg-type]
            found += [call.id for call in page.calls]
            cursor, pages = page.next_cursor, pages + 1
        assert found == wanted
        assert pages == max(1, -(-len(wanted) // 4))
        assert calls.count_calls(store, "default", **filters) == len(wanted)  # type: ignore[arg-type]


def test_pages_by_offset_are_parts_of_the_same_list(store: Store) -> None:
    everything = many(store)
    page = calls.list_calls(store, "default", limit=10, offset=10)
    assert list(page.calls) == everything[10:20]
    assert page.next_cursor is not None
    assert (
        list(calls.list_calls(store, "default", limit=10, cursor=page.next_cursor).calls) == everything[20:]
    )
    assert calls.list_calls(store, "default", limit=10, offset=30).calls == ()


def test_a_call_that_comes_in_between_moves_no_page(store: Store) -> None:
    everything = many(store)
    page = calls.list_calls(store, "default", limit=10)
    put_call(store, created_at=T0 + 999 * SECOND)
    following = calls.list_calls(store, "default", limit=10, cursor=page.next_cursor)
    assert list(following.calls) == everything[10:20]


def test_a_count_stops_at_its_cap(store: Store) -> None:
    many(store)
    assert calls.count_calls(store, "default", cap=7) == 7


@pytest.mark.parametrize("cursor", ["", "x", "ÿ", "e30", "W10", "bnVsbA", "WyJ4IiwieSIsInoiXQ", "A" * 5000])
def test_a_forged_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(ValidationError, match="cursor"):
        calls.list_calls(store, "default", cursor=cursor)


def test_a_cursor_of_other_filters_or_another_workspace_is_refused(store: Store) -> None:
    many(store)
    cursor = calls.list_calls(store, "default", limit=4).next_cursor
    with pytest.raises(ValidationError, match="other filters"):
        calls.list_calls(store, "default", status=CallStatus.BUSY, cursor=cursor)
    with pytest.raises(ValidationError, match="other filters"):
        calls.list_calls(store, OTHER, cursor=cursor)


def test_hostile_text_in_a_filter_finds_nothing_and_breaks_nothing(store: Store) -> None:
    put_call(store)
    for hostile in ("' OR 1=1 --", "\x00", "\ud800", '"; DROP TABLE call; --', "%", "🎧" * 500):
        assert calls.list_calls(store, "default", agent_id=hostile).calls == ()
    assert calls.count_calls(store, "default") == 1


# -- attempts -------------------------------------------------------------------------------------------------------


def test_an_attempt_comes_back_by_id_token_and_call(store: Store) -> None:
    call = put_call(store, put_credential(store))
    attempt = put_attempt(store, call)
    assert attempts.load_attempt(store, attempt.id) == attempt
    assert attempts.load_attempt_by_token(store, attempt.token) == attempt
    assert attempts.load_attempt_by_token(store, "0" * 32) is None
    assert attempts.list_attempts(store, call.id) == [attempt]
    assert attempts.latest_attempt(store, call.id) == attempt
    assert attempts.latest_attempt(store, "missing") is None
    with store.transaction() as tx:
        assert attempts.load_attempt_by_token(tx, attempt.token) == attempt
        assert attempts.load_attempt_for_update(tx, attempt.id) == attempt
    with pytest.raises(NotFound):
        attempts.load_attempt(store, "missing")


@pytest.mark.parametrize("state", [AttemptState.DIALING, AttemptState.UNKNOWN])
def test_a_person_is_dialed_once_at_a_time(store: Store, state: AttemptState) -> None:
    credential = put_credential(store)
    first, second = put_call(store, credential), put_call(store, credential)
    put_attempt(store, first, state=state)
    with pytest.raises(Conflict, match=rf"{first.id} is already dialing …0123.*{state}"):
        put_attempt(store, second)
    assert CALLEE not in str(attempts.list_attempts(store, second.id))


def test_another_person_number_or_credential_does_not_wait(store: Store) -> None:
    credential, other = put_credential(store), put_credential(store)
    put_attempt(store, put_call(store, credential))
    put_attempt(store, put_call(store, credential, to="+14155550124"))
    put_attempt(store, put_call(store, credential, from_number="+14155550101"))
    put_attempt(store, put_call(store, other))
    assert len(attempts.open_attempts(store)) == 4
    assert len(attempts.open_attempts(store, limit=3)) == 3


@pytest.mark.parametrize("state", [s for s in AttemptState if not s.is_open])
def test_a_settled_attempt_lets_the_next_dial_through(store: Store, state: AttemptState) -> None:
    credential = put_credential(store)
    attempt = put_attempt(store, put_call(store, credential))
    with store.transaction() as tx:
        attempts.save_attempt(tx, replace(attempt, state=state, settled_at=T0), expected_version=0)
    put_attempt(store, put_call(store, credential))


def test_of_many_dials_to_one_person_at_once_exactly_one_is_stored(store: Store) -> None:
    credential = put_credential(store)
    waiting = [put_call(store, credential) for _ in range(12)]
    won: list[str] = []

    def dial(i: int) -> None:
        with suppress(Conflict):
            won.append(put_attempt(store, waiting[i]).call_id)

    in_threads(dial, 12)
    assert [a.call_id for a in attempts.open_attempts(store)] == won
    assert len(won) == 1


def test_a_saved_attempt_keeps_what_was_learned(store: Store) -> None:
    attempt = put_attempt(store, put_call(store, put_credential(store)))
    learned = replace(
        attempt,
        state=AttemptState.UNKNOWN,
        message="timeout",
        vendor_code="20001",
        http_status=503,
        lease_until=None,
        next_look_at=T0 + 5 * SECOND,
        looks=2,
        clean_looks=1,
        first_clean_look_at=T0,
    )
    with store.transaction() as tx:
        saved = attempts.save_attempt(tx, learned, expected_version=0)
    assert saved == replace(learned, version=1)
    assert attempts.load_attempt(store, attempt.id) == saved


def test_a_worker_whose_lease_ran_out_cannot_write_its_result(store: Store) -> None:
    attempt = put_attempt(store, put_call(store, put_credential(store)), lease_until=T0)
    with store.transaction() as tx:
        (expired,) = attempts.expire_leases(tx, T0)
    assert (expired.state, expired.version, expired.next_look_at) == (AttemptState.UNKNOWN, 1, T0)
    with pytest.raises(Conflict), store.transaction() as tx:
        attempts.save_attempt(tx, replace(attempt, state=AttemptState.NOT_SENT), expected_version=0)
    assert attempts.load_attempt(store, attempt.id) == expired


def test_only_a_dial_past_its_lease_becomes_unknown(store: Store) -> None:
    credential = put_credential(store)
    put_attempt(store, put_call(store, credential), lease_until=T0 + SECOND)
    put_attempt(store, put_call(store, credential, to="+14155550124"), state=AttemptState.UNKNOWN)
    with store.transaction() as tx:
        assert attempts.expire_leases(tx, T0) == []
        assert len(attempts.expire_leases(tx, T0 + SECOND)) == 1
        assert attempts.expire_leases(tx, T0 + SECOND) == []


def test_unknown_attempts_are_due_the_most_overdue_first(store: Store) -> None:
    credential = put_credential(store)

    def unknown(i: int) -> Attempt:
        call = put_call(store, credential, to=f"+1415555012{i}")
        return put_attempt(store, call, state=AttemptState.UNKNOWN, next_look_at=T0 + (9 - i) * SECOND)

    made = [unknown(i) for i in range(3)]
    put_attempt(store, put_call(store, credential, to="+14155550129"), next_look_at=T0)  # dialing
    due = attempts.due_unknown_attempts(store, T0 + 8 * SECOND, 10)
    assert [a.id for a in due] == [made[2].id, made[1].id]
    assert len(attempts.due_unknown_attempts(store, T0 + timedelta(hours=1), 1)) == 1


def test_the_attempts_of_a_call_are_numbered(store: Store) -> None:
    call = put_call(store, put_credential(store))
    first = put_attempt(store, call, state=AttemptState.NOT_SENT)
    second = put_attempt(store, call, number=2)
    assert attempts.list_attempts(store, call.id) == [first, second]
    assert attempts.latest_attempt(store, call.id) == second
    with pytest.raises(Conflict), store.transaction() as tx:
        attempts.insert_attempt(tx, an_attempt(call, number=2, state=AttemptState.REJECTED))


# -- events ---------------------------------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_arrived(store: Store) -> None:
    call = put_call(store, put_credential(store))
    event = put_event(
        store,
        call,
        event_id="e1",
        detail="applied to the call",
        status_after=CallStatus.RINGING,
        outcome=EventOutcome.NOTHING_NEW,
        raw={"CallSid": "CA1", "nested": {"list": [1, "two", None]}},
    )
    assert events.list_events(store, call.id) == [event]


def test_an_event_is_kept_once_for_its_credential(store: Store) -> None:
    credential, other = put_credential(store), put_credential(store)
    call, foreign = put_call(store, credential), put_call(store, other)

    def add(to: Call, event_id: str | None) -> bool:
        with store.transaction() as tx:
            return events.add_event(
                tx, an_event(to), workspace_id="default", credential_id=to.credential_id, event_id=event_id
            )

    assert add(call, "e1")
    assert not add(call, "e1")
    assert add(call, "e2")
    assert add(foreign, "e1")  # another account's event of the same name
    assert add(call, None)
    assert add(call, None)  # what the gateway did itself has no such key
    assert len(events.list_events(store, call.id)) == 4


def test_one_event_at_many_workers_at_once_is_kept_once(store: Store) -> None:
    call = put_call(store, put_credential(store))
    kept: list[bool] = []

    def add(_: int) -> None:
        with store.transaction() as tx:
            kept.append(
                events.add_event(
                    tx,
                    an_event(call),
                    workspace_id="default",
                    credential_id=call.credential_id,
                    event_id="e1",
                )
            )

    in_threads(add, 10)
    assert sorted(kept) == [False] * 9 + [True]


def test_events_are_listed_and_followed_in_the_order_they_were_stored(store: Store) -> None:
    call, other = put_call(store), put_call(store)
    assert events.latest_event_id(store) is None
    made = [put_event(store, call if i % 2 else other, occurred_at=T0 - i * SECOND) for i in range(6)]
    assert events.list_events(store, call.id) == made[1::2]
    assert events.list_events(store, call.id, after_id=made[1].id) == made[3::2]
    assert events.list_events(store, call.id, limit=1) == [made[1]]
    assert events.tail_events(store, "default") == made
    assert events.tail_events(store, "default", after_id=made[2].id, limit=2) == made[3:5]
    assert events.tail_events(store, OTHER) == []
    assert events.latest_event_id(store) == made[-1].id


def test_a_calls_facts_can_be_made_again_from_its_events(store: Store) -> None:
    call = put_call(store, put_credential(store))
    parts = [CallFacts(ringing=True), CallFacts(answered=True, answered_at=T0), FACTS]
    with store.transaction() as tx:
        for i, facts in enumerate(parts):
            events.add_event(
                tx,
                an_event(call),
                workspace_id="default",
                credential_id=call.credential_id,
                event_id=str(i),
                facts=facts,
            )
        events.add_event(tx, an_event(call), workspace_id="default", credential_id=None, event_id=None)
    assert events.list_event_facts(store, call.id) == parts


def test_an_event_that_belongs_to_no_call_is_kept_too(store: Store) -> None:
    credential = put_credential(store)
    event = an_event(None, outcome=EventOutcome.REFUSED)
    with store.transaction() as tx:
        assert events.add_event(tx, event, workspace_id="default", credential_id=credential.id, event_id="e1")
    assert events.tail_events(store, "default") == [event]


def test_numbers_of_the_parties_are_kept_as_they_are(store: Store) -> None:
    call = put_call(store, to="sip:a@b.example", from_number="anonymous")
    found = calls.load_call(store, call.id)
    assert (found.to, found.from_number, found.phone_number) == (
        "sip:a@b.example",
        "anonymous",
        "sip:a@b.example",
    )
    assert CALLER not in (found.to, found.from_number)


def in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
