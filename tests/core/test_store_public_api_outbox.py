"""The outbox: events are written with their change, claimed by one worker, and none that hangs holds up the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.errors import Conflict, NotFound, ValidationError
from gateway.ids import new_id
from gateway.models import WebhookEndpoint
from gateway.store import Store, endpoints, outbox
from gateway.store.rows import ClaimedDelivery, Delivery, DeliveryPage, DeliveryState, Notification
from gateway.store.workspaces import ensure_workspace
from tests.storekit import SECOND, T0, put_call

OTHER = "another-tenant"
LEASE_S = 30
DAY = timedelta(days=1)


def put_endpoint(store: Store, *event_types: str, workspace_id: str = "default") -> WebhookEndpoint:
    endpoint = WebhookEndpoint(
        id=new_id(),
        workspace_id=workspace_id,
        url="https://hooks.example.com/gateway",
        event_types=event_types,
        created_at=T0,
        updated_at=T0,
    )
    with store.transaction() as tx:
        endpoints.insert_endpoint(tx, endpoint, sealed="sealed")
    return endpoint


def change(store: Store, endpoint: WebhookEndpoint, **said: object) -> None:
    with store.transaction() as tx:
        endpoints.save_endpoint(tx, replace(endpoint, **said))  # type: ignore[arg-type]


def an_event(**said: object) -> Notification:
    made = Notification(
        id="evt_" + new_id().replace("-", ""),
        workspace_id="default",
        call_id=None,
        type="call.ended",
        sequence=3,
        payload='{"type":"call.ended","data":{"name":"ä 🙂"}}',
        created_at=T0,
    )
    return replace(made, **said)  # type: ignore[arg-type]


def tell(store: Store, count: int = 1, **said: object) -> list[Notification]:
    made = [an_event(**said) for _ in range(count)]
    with store.transaction() as tx:
        ensure_workspace(tx, made[0].workspace_id, T0)
        for event in made:
            outbox.add_notification(tx, event)
    return made


def claim(store: Store, at: datetime = T0, *, limit: int = 100, cap: int = 10) -> list[ClaimedDelivery]:
    with store.transaction() as tx:
        return outbox.claim_deliveries(tx, at, limit, LEASE_S, cap)


def claim_one(store: Store, at: datetime = T0) -> Delivery:
    (claimed,) = claim(store, at)
    return claimed.delivery


def do(store: Store, work: Callable[..., bool], delivery: Delivery, **said: object) -> bool:
    with store.transaction() as tx:
        return work(tx, delivery, **said)


def finish(store: Store, delivery: Delivery, at: datetime = T0) -> bool:
    return do(store, outbox.finish_delivery, delivery, at=at, status=204)


def bury(store: Store, delivery: Delivery, at: datetime = T0) -> bool:
    return do(store, outbox.bury_delivery, delivery, at=at, status=500, error="500 Internal Server Error")


def the_delivery(store: Store) -> Delivery:
    (found,) = outbox.list_deliveries(store, "default").deliveries
    return found


# -- writing (R46, R68) ---------------------------------------------------------------------------------------------


def test_an_event_comes_back_equal_to_the_byte(store: Store) -> None:
    call = put_call(store)
    (event,) = tell(store, call_id=call.id)
    assert outbox.find_notification(store, "default", event.id) == event
    assert outbox.find_notification(store, OTHER, event.id) is None
    assert outbox.find_notification(store, "default", "evt_missing") is None
    assert "ä" not in repr(event)


def test_events_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    told = sorted(tell(store, 5), key=lambda event: event.id)
    assert outbox.list_notifications(store, "default", limit=2) == told[:2]
    assert outbox.list_notifications(store, "default", after=told[1].id) == told[2:]
    assert outbox.list_notifications(store, OTHER) == []


def test_an_event_goes_to_the_enabled_endpoints_of_its_workspace_that_want_its_type(store: Store) -> None:
    everything = put_endpoint(store)
    ended = put_endpoint(store, "call.failed", "call.ended")
    put_endpoint(store, "call.failed")
    put_endpoint(store, workspace_id=OTHER)
    change(store, put_endpoint(store), is_enabled=False)
    with store.transaction() as tx:
        assert outbox.add_notification(tx, an_event()) == 2
    assert {claimed.delivery.endpoint_id for claimed in claim(store)} == {everything.id, ended.id}


def test_an_event_that_was_written_before_is_not_delivered_twice(store: Store) -> None:
    put_endpoint(store)
    (event,) = tell(store)
    with store.transaction() as tx:
        assert outbox.add_notification(tx, event) == 0
    assert len(claim(store)) == 1


def test_what_is_rolled_back_leaves_no_event_and_no_delivery(store: Store) -> None:
    put_endpoint(store)
    with suppress(RuntimeError), store.transaction() as tx:
        outbox.add_notification(tx, an_event())
        raise RuntimeError
    assert outbox.list_notifications(store, "default") == []
    assert claim(store) == []


# -- claiming (R62) -------------------------------------------------------------------------------------------------


def test_a_claim_brings_what_is_to_be_sent_and_keeps_others_away_until_the_lease_ends(store: Store) -> None:
    endpoint = put_endpoint(store)
    (event,) = tell(store)
    (mine,) = claim(store)
    assert mine.notification == event
    assert mine.delivery.endpoint_id == endpoint.id
    assert mine.delivery.attempts == 1
    assert mine.delivery.lease_until == mine.delivery.due_at == T0 + LEASE_S * SECOND
    assert claim(store, T0 + (LEASE_S - 1) * SECOND) == []
    (theirs,) = claim(store, T0 + LEASE_S * SECOND)
    assert (theirs.delivery.attempts, theirs.notification.id) == (2, event.id)


def test_the_outcome_of_a_claim_that_ran_out_changes_nothing(store: Store) -> None:
    put_endpoint(store)
    tell(store)
    late = claim_one(store)
    mine = claim_one(store, T0 + LEASE_S * SECOND)
    assert not finish(store, late)
    assert not bury(store, late)
    assert not do(store, outbox.retry_delivery, late, due_at=T0, status=None, error="x")
    assert not do(store, outbox.drop_delivery, late, at=T0, reason="x")
    assert finish(store, mine)
    assert not finish(store, mine)


def test_each_outcome_is_kept_with_the_answer(store: Store) -> None:
    put_endpoint(store)
    tell(store)
    claimed = claim_one(store)
    assert do(
        store,
        outbox.retry_delivery,
        claimed,
        due_at=T0 + 5 * SECOND,
        status=None,
        error="timeout\x00" + "x" * 999,
    )
    found = the_delivery(store)
    assert (found.state, found.attempts, found.due_at, found.lease_until) == (
        DeliveryState.PENDING,
        1,
        T0 + 5 * SECOND,
        None,
    )
    assert found.last_error is not None
    assert (found.last_error[:8], len(found.last_error)) == ("timeout\ufffd", 500)
    assert claim(store, T0 + 4 * SECOND) == []
    again = claim_one(store, T0 + 5 * SECOND)
    assert finish(store, again, T0 + 6 * SECOND)
    found = the_delivery(store)
    assert (found.state, found.last_status, found.last_error, found.finished_at) == (
        DeliveryState.DELIVERED,
        204,
        None,
        T0 + 6 * SECOND,
    )


def test_what_is_delivered_dead_or_dropped_is_not_claimed_again(store: Store) -> None:
    put_endpoint(store)
    tell(store, 3)
    delivered, dead, dropped = (claimed.delivery for claimed in claim(store))
    assert finish(store, delivered)
    assert bury(store, dead)
    assert do(store, outbox.drop_delivery, dropped, at=T0, reason="the endpoint was removed")
    assert claim(store, T0 + DAY) == []
    states = {found.id: found.state for found in outbox.list_deliveries(store, "default").deliveries}
    assert states == {
        delivered.id: DeliveryState.DELIVERED,
        dead.id: DeliveryState.DEAD,
        dropped.id: DeliveryState.DROPPED,
    }


def test_of_many_workers_each_delivery_goes_to_one_and_no_endpoint_gets_more_than_its_cap(
    store: Store,
) -> None:
    for _ in range(4):
        put_endpoint(store)
    tell(store, 12)
    taken: list[ClaimedDelivery] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                taken.extend(claim(store, limit=7, cap=3))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    ids = [each.delivery.id for each in taken]
    assert len(ids) == len(set(ids))
    assert Counter(each.delivery.endpoint_id for each in taken).most_common(1)[0][1] <= 3
    taken.extend(claim(store, cap=3))  # whoever was passed over because another worker held it
    assert sorted(Counter(each.delivery.endpoint_id for each in taken).values()) == [3, 3, 3, 3]


# -- isolation (R63) ------------------------------------------------------------------------------------------------


def test_an_endpoint_that_hangs_holds_only_its_own_places(store: Store) -> None:
    hanging, healthy = put_endpoint(store, "call.ended"), put_endpoint(store, "call.failed")
    tell(store, 50)
    tell(store, type="call.failed", created_at=T0 + SECOND)
    first = claim(store, T0 + SECOND, limit=5, cap=5)
    assert {claimed.delivery.endpoint_id for claimed in first} == {hanging.id}
    (second,) = claim(store, T0 + SECOND, limit=5, cap=5)
    assert second.delivery.endpoint_id == healthy.id
    assert finish(store, first[0].delivery)
    (next_one,) = claim(store, T0 + SECOND, cap=5)
    assert next_one.delivery.endpoint_id == hanging.id


def test_the_endpoint_that_waited_longest_comes_first_and_its_oldest_events_first(store: Store) -> None:
    late, early = put_endpoint(store, "b"), put_endpoint(store, "a")
    tell(store, type="b", created_at=T0 + 2 * SECOND)
    third = tell(store, type="a", created_at=T0 + 3 * SECOND)
    first = tell(store, type="a", created_at=T0 + SECOND)
    found = claim(store, T0 + 5 * SECOND)
    assert [claimed.delivery.endpoint_id for claimed in found] == [early.id, early.id, late.id]
    assert [claimed.notification for claimed in found[:2]] == [*first, *third]


def test_a_paused_endpoint_gets_nothing_until_its_pause_is_over(store: Store) -> None:
    endpoint = put_endpoint(store)
    tell(store)
    with store.transaction() as tx:
        endpoints.pause_endpoint(tx, endpoint.id, T0 + 60 * SECOND)
    assert claim(store, T0 + 59 * SECOND) == []
    assert outbox.next_due(store, T0, 10) == T0 + 60 * SECOND
    assert len(claim(store, T0 + 60 * SECOND)) == 1


def test_what_waits_for_a_disabled_endpoint_is_sent_when_it_is_enabled_again(store: Store) -> None:
    endpoint = put_endpoint(store)
    tell(store, 2)
    with store.transaction() as tx:
        endpoints.disable_endpoint(tx, endpoint.id, "five days of failures", at=T0)
    tell(store)  # nobody is to hear of it
    assert claim(store, T0 + DAY) == []
    assert outbox.next_due(store, T0 + DAY, 10) is None
    change(store, endpoint, is_enabled=True)
    assert len(claim(store, T0 + 10 * DAY)) == 2


def test_what_was_to_go_to_a_removed_endpoint_is_gone(store: Store) -> None:
    endpoint = put_endpoint(store)
    tell(store, 2)
    mine = claim(store, limit=1)[0].delivery
    with store.transaction() as tx:
        endpoints.remove_endpoint(tx, "default", endpoint.id)
    assert not finish(store, mine)
    assert claim(store, T0 + DAY) == []
    assert outbox.list_deliveries(store, "default").deliveries == ()


# -- when to look again ---------------------------------------------------------------------------------------------


def test_the_next_look_is_when_something_can_be_claimed(store: Store) -> None:
    assert outbox.next_due(store, T0, 1) is None
    put_endpoint(store)
    tell(store, 2, created_at=T0 + SECOND)
    assert outbox.next_due(store, T0, 1) == T0 + SECOND
    mine = claim(store, T0 + SECOND, limit=1)[0].delivery
    assert outbox.next_due(store, T0 + SECOND, 1) is None  # its one place is taken
    assert outbox.next_due(store, T0 + SECOND, 2) == T0 + SECOND
    assert do(store, outbox.retry_delivery, mine, due_at=T0 + 9 * SECOND, status=500, error="x")
    other = claim(store, T0 + SECOND)[0].delivery
    assert finish(store, other)
    assert outbox.next_due(store, T0 + SECOND, 1) == T0 + 9 * SECOND


def test_a_claim_that_ran_out_is_due_again(store: Store) -> None:
    put_endpoint(store)
    tell(store)
    claim(store)
    assert outbox.next_due(store, T0 + LEASE_S * SECOND, 1) == T0 + LEASE_S * SECOND


# -- lists ----------------------------------------------------------------------------------------------------------


def pages(read: Callable[[str | None], DeliveryPage]) -> list[Delivery]:
    found: list[Delivery] = []
    cursor: str | None = None
    for _ in range(100):
        page = read(cursor)
        found.extend(page.deliveries)
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("no end")


def test_deliveries_page_newest_first_by_state_and_endpoint(store: Store) -> None:
    first, second = put_endpoint(store), put_endpoint(store)
    put_endpoint(store, workspace_id=OTHER)
    tell(store, 7)
    tell(store, workspace_id=OTHER)
    for claimed in claim(store, limit=5):
        assert bury(store, claimed.delivery)

    def listed(**said: object) -> list[Delivery]:
        return pages(
            lambda cursor: outbox.list_deliveries(store, "default", limit=3, cursor=cursor, **said)  # type: ignore[arg-type]
        )

    everything = listed()
    assert [found.id for found in everything] == sorted((found.id for found in everything), reverse=True)
    assert (len(everything), {found.workspace_id for found in everything}) == (14, {"default"})
    dead = [found for found in everything if found.state is DeliveryState.DEAD]
    assert listed(state=DeliveryState.DEAD) == dead
    assert len(dead) == 5
    for endpoint in (first, second):
        mine = [found for found in everything if found.endpoint_id == endpoint.id]
        assert listed(endpoint_id=endpoint.id) == mine
        assert listed(endpoint_id=endpoint.id, state=DeliveryState.DEAD) == [
            found for found in mine if found.state is DeliveryState.DEAD
        ]


def test_deliveries_of_another_workspace_are_not_found(store: Store) -> None:
    theirs = put_endpoint(store, workspace_id=OTHER)
    tell(store, workspace_id=OTHER)
    (claimed,) = claim(store)
    with pytest.raises(NotFound):
        outbox.list_deliveries(store, "default", endpoint_id=theirs.id)
    with pytest.raises(NotFound):
        outbox.load_delivery(store, "default", claimed.delivery.id)
    assert outbox.load_delivery(store, OTHER, claimed.delivery.id) == claimed.delivery


def test_a_cursor_of_another_list_is_refused(store: Store) -> None:
    put_endpoint(store)
    tell(store, 2)
    page = outbox.list_deliveries(store, "default", limit=1)
    assert page.next_cursor is not None
    with pytest.raises(ValidationError, match="cursor"):
        outbox.list_deliveries(store, "default", state=DeliveryState.DEAD, cursor=page.next_cursor)
    with pytest.raises(ValidationError, match="cursor"):
        outbox.list_deliveries(store, "default", cursor="forged")


# -- replay (R65) ---------------------------------------------------------------------------------------------------


def replay(store: Store, delivery_id: str, at: datetime = T0, workspace_id: str = "default") -> Delivery:
    with store.transaction() as tx:
        return outbox.replay_delivery(tx, workspace_id, delivery_id, at)


def test_a_dead_delivery_is_replayed_from_its_first_attempt_with_the_same_event(store: Store) -> None:
    put_endpoint(store)
    (event,) = tell(store)
    dead = claim_one(store)
    assert bury(store, dead)
    again = replay(store, dead.id, T0 + DAY)
    assert (again.state, again.attempts, again.due_at, again.finished_at) == (
        DeliveryState.PENDING,
        0,
        T0 + DAY,
        None,
    )
    (claimed,) = claim(store, T0 + DAY)
    assert (claimed.notification, claimed.delivery.attempts) == (event, 1)


def test_only_what_is_being_sent_right_now_is_not_replayed(store: Store) -> None:
    put_endpoint(store)
    tell(store)
    mine = claim_one(store)
    with pytest.raises(Conflict):
        replay(store, mine.id)
    assert do(store, outbox.retry_delivery, mine, due_at=T0 + DAY, status=None, error="x")
    assert replay(store, mine.id).due_at == T0
    assert finish(store, claim_one(store))
    assert replay(store, mine.id).state is DeliveryState.PENDING
    with pytest.raises(NotFound):
        replay(store, mine.id, workspace_id=OTHER)
    with pytest.raises(NotFound):
        replay(store, "missing")


def test_an_event_is_replayed_to_every_endpoint_that_it_went_to(store: Store) -> None:
    put_endpoint(store)
    put_endpoint(store)
    (event,) = tell(store)
    sent, _under_way = (claimed.delivery for claimed in claim(store))
    assert finish(store, sent)
    with store.transaction() as tx:
        assert outbox.replay_notification(tx, "default", event.id, T0) == 1
        with pytest.raises(NotFound):
            outbox.replay_notification(tx, OTHER, event.id, T0)
    assert claim_one(store).id == sent.id


def test_a_thousand_dead_events_are_replayed_and_none_is_missing(store: Store) -> None:
    endpoint = put_endpoint(store)
    told = tell(store, 1000)
    for _ in range(10):
        with store.transaction() as tx:
            for claimed in outbox.claim_deliveries(tx, T0, 100, LEASE_S, 100):
                outbox.bury_delivery(tx, claimed.delivery, at=T0, status=None, error="refused")
    with store.transaction() as tx:
        counts = [outbox.replay_deliveries(tx, "default", T0 + DAY, limit=400) for _ in range(4)]
    assert counts == [400, 400, 200, 0]
    again: set[str] = set()
    for _ in range(10):
        with store.transaction() as tx:
            for claimed in outbox.claim_deliveries(tx, T0 + DAY, 100, LEASE_S, 100):
                again.add(claimed.notification.id)
                outbox.finish_delivery(tx, claimed.delivery, at=T0, status=200)
    assert again == {event.id for event in told}
    assert len(outbox.list_deliveries(store, "default", endpoint_id=endpoint.id, limit=1).deliveries) == 1


def test_a_range_of_dead_deliveries_is_replayed(store: Store) -> None:
    first, second = put_endpoint(store), put_endpoint(store)
    for hour in range(3):
        tell(store, created_at=T0 + hour * timedelta(hours=1))
    for claimed in claim(store, T0 + DAY):
        assert bury(store, claimed.delivery)
    theirs = put_endpoint(store, workspace_id=OTHER)
    since, until = T0 + timedelta(hours=1), T0 + timedelta(hours=2)
    with store.transaction() as tx:
        assert (
            outbox.replay_deliveries(tx, "default", T0, endpoint_id=first.id, since=since, until=until) == 1
        )
        assert outbox.replay_deliveries(tx, "default", T0, endpoint_id=first.id, since=until) == 1
        assert outbox.replay_deliveries(tx, "default", T0, until=until) == 3
        assert outbox.replay_deliveries(tx, OTHER, T0) == 0
        with pytest.raises(NotFound):
            outbox.replay_deliveries(tx, "default", T0, endpoint_id=theirs.id)
    dead = outbox.list_deliveries(store, "default", state=DeliveryState.DEAD).deliveries
    assert [found.endpoint_id for found in dead] == [second.id]


# -- retention ------------------------------------------------------------------------------------------------------


def purge(store: Store, before: datetime, limit: int = 1000) -> int:
    with store.transaction() as tx:
        return outbox.purge_outbox(tx, before, limit=limit)


def test_old_events_are_forgotten_with_their_deliveries_a_few_at_a_time(store: Store) -> None:
    put_endpoint(store)
    tell(store, 5)
    for claimed in claim(store):
        assert finish(store, claimed.delivery)
    assert purge(store, T0) == 0
    assert [purge(store, T0 + SECOND, 3), purge(store, T0 + SECOND, 3), purge(store, T0 + SECOND, 3)] == [
        3,
        2,
        0,
    ]
    assert outbox.list_deliveries(store, "default").deliveries == ()


def test_an_event_is_kept_while_a_delivery_of_it_is_young_or_still_to_be_sent(store: Store) -> None:
    endpoint = put_endpoint(store)
    waiting, dead = tell(store), tell(store)
    for claimed in claim(store):
        if claimed.notification in dead:
            assert bury(store, claimed.delivery, T0 + DAY)
    assert purge(store, T0 + DAY) == 0
    assert purge(store, T0 + DAY + SECOND) == 1
    assert outbox.list_notifications(store, "default") == waiting
    with store.transaction() as tx:
        endpoints.disable_endpoint(tx, endpoint.id, "by hand", at=T0)
    assert purge(store, T0 + DAY) == 1
