"""The outbox: events to the outside, written with the change they tell of (R46), and their deliveries.

A delivery is claimed for the time of a lease, sent outside of any transaction, and its outcome written; a claim that
ran out is claimed again, so a crash repeats an event and never loses one (R62). Claims go endpoint by endpoint, each
with a cap of its own: however much waits for one that hangs, the others' events are found at once (R63).

While a delivery is claimed its `due_at` is the end of the lease, so that one index tells what can be claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from gateway.errors import Conflict, NotFound
from gateway.ids import new_id
from gateway.store.codec import clean_text, read_json
from gateway.store.endpoints import load_endpoint
from gateway.store.engine import Reader, Tx
from gateway.store.paging import read_cursor, write_cursor
from gateway.store.rows import ClaimedDelivery, Delivery, DeliveryPage, DeliveryState, Notification
from gateway.store.statements import insert_new
from gateway.store.tables import delivery, notification, webhook_endpoint

_n, _d, _e = notification.c, delivery.c, webhook_endpoint.c
_PENDING: Final = _d.state == literal_column("'pending'")
_NOW: Final = bindparam("now", type_=_d.due_at.type)

# -- writing --------------------------------------------------------------------------------------------------------

_ADD: Final = insert_new(notification)
_SUBSCRIBERS: Final = select(_e.id, _e.event_types).where(
    _e.workspace_id == bindparam("workspace_id"),
    _e.is_enabled,
    or_(_e.event_types == literal_column("'[]'"), _e.event_types.like(bindparam("holding_it"))),
)
_ADD_DELIVERY: Final = insert(delivery)
_EVENT: Final = select(notification).where(_n.id == bindparam("id"))
_LATEST: Final = (
    select(_n.id).where(_n.workspace_id == bindparam("workspace_id")).order_by(_n.id.desc()).limit(1)
)
_EVENTS: Final = (
    select(notification)
    .where(_n.workspace_id == bindparam("workspace_id"), _n.id > bindparam("after"))
    .order_by(_n.id)
    .limit(bindparam("most"))
)


def add_notification(tx: Tx, new: Notification) -> int:
    """Write an event, and a delivery for each enabled endpoint of its workspace that subscribed to its type (R68).

    Returns:
        how many deliveries were written; 0 also when the event was written before.
    """
    values = {
        "id": new.id,
        "workspace_id": new.workspace_id,
        "call_id": new.call_id,
        "type": new.type,
        "sequence": new.sequence,
        "created_at": new.created_at,
        "payload": new.payload,
    }
    if not tx.write(_ADD, values):
        return 0
    likely = tx.rows(_SUBSCRIBERS, {"workspace_id": new.workspace_id, "holding_it": f'%"{new.type}"%'})
    wanted = [row.id for row in likely if new.type in (read_json(row.event_types) or [new.type])]
    if wanted:
        tx.write(_ADD_DELIVERY, [_new_delivery(new, endpoint_id) for endpoint_id in wanted])
    return len(wanted)


def find_notification(source: Reader, workspace_id: str, notification_id: str) -> Notification | None:
    """Return an event of the workspace, or None."""
    row = source.one(_EVENT, {"id": notification_id})
    return None if row is None or row.workspace_id != workspace_id else _notification(row)


def latest_notification_id(source: Reader, workspace_id: str) -> str:
    """Return the id of the workspace's last event, from which a listener starts; "" when there is none."""
    row = source.one(_LATEST, {"workspace_id": workspace_id})
    return "" if row is None else str(row.id)


def list_notifications(
    source: Reader, workspace_id: str, *, after: str = "", limit: int = 100
) -> list[Notification]:
    """Return the workspace's events after the one of id `after`, oldest first.

    Their ids sort by when they were made, not by when they were committed: a reader that follows them may miss one
    that was committed late, unless it looks a few seconds back.
    """
    values = {"workspace_id": workspace_id, "after": after, "most": limit}
    return [_notification(row) for row in source.rows(_EVENTS, values)]


def _new_delivery(new: Notification, endpoint_id: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "notification_id": new.id,
        "endpoint_id": endpoint_id,
        "workspace_id": new.workspace_id,
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "due_at": new.created_at,
        "lease_until": None,
        "last_status": None,
        "last_error": None,
        "created_at": new.created_at,
        "finished_at": None,
    }


# -- claiming -------------------------------------------------------------------------------------------------------


def _first_waiting(*conditions: Any) -> Select[Any]:
    """The order is that of the index of what is pending: the planner takes no other."""
    found = select(_d.endpoint_id).where(_PENDING, *conditions)
    return found.order_by(_d.endpoint_id, _d.due_at, _d.id).limit(1)


def _waiting() -> CTE:
    """The endpoints for which something is pending, by one look into the index per endpoint."""
    first = _first_waiting().scalar_subquery()
    waiting = select(first.label("endpoint_id")).cte("waiting", recursive=True)
    following = _first_waiting(_d.endpoint_id > waiting.c.endpoint_id).scalar_subquery()
    return waiting.union_all(select(following).where(waiting.c.endpoint_id.is_not(None)))


def _of_endpoint(value: Any, *conditions: Any) -> ScalarSelect[Any]:
    found = select(value).where(_d.endpoint_id == _e.id, _PENDING, *conditions)
    return found.select_from(delivery).correlate(webhook_endpoint).scalar_subquery()


_WAITING: Final = _waiting()
_FIRST_DUE: Final = _of_endpoint(func.min(_d.due_at))
_IN_FLIGHT: Final = _of_endpoint(func.count(), _d.lease_until > _NOW)
_OPEN: Final[Select[Any]] = (
    select(_e.id)
    .join(_WAITING, _WAITING.c.endpoint_id == _e.id)
    .where(_e.is_enabled, bindparam("cap") > _IN_FLIGHT)
)
_CANDIDATES: Final = (
    _OPEN.where(_FIRST_DUE <= _NOW, or_(_e.paused_until.is_(None), _e.paused_until <= _NOW))
    .order_by(_FIRST_DUE)
    .limit(bindparam("most"))
)
# Two workers cannot both count the same free places: the second passes over endpoints that the first holds.
_HOLD: Final = (
    select(_e.id)
    .where(_e.id.in_(bindparam("ids", expanding=True)), _e.is_enabled)
    .with_for_update(key_share=True, skip_locked=True)
)
_TAKEN: Final = (
    select(_d.endpoint_id, func.count().label("taken"))
    .where(_d.endpoint_id.in_(bindparam("ids", expanding=True)), _PENDING, _d.lease_until > _NOW)
    .group_by(_d.endpoint_id)
)
_DUE: Final = (
    select(_d.id)
    .where(_d.endpoint_id == bindparam("endpoint_id"), _PENDING, _d.due_at <= _NOW)
    .order_by(_d.due_at, _d.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(delivery)
    .where(_d.id.in_(bindparam("ids", expanding=True)))
    .values(lease_until=bindparam("until"), due_at=bindparam("until"), attempts=_d.attempts + 1)
    .returning(delivery)
)
_OF_IDS: Final = select(notification).where(_n.id.in_(bindparam("ids", expanding=True)))
_READY_AT: Final = case(
    (_e.paused_until > _FIRST_DUE, _e.paused_until),
    else_=_FIRST_DUE,
)
_NEXT: Final = _OPEN.with_only_columns(func.min(_READY_AT))


def claim_deliveries(
    tx: Tx, now: datetime, limit: int, lease_s: float, per_endpoint_cap: int
) -> list[ClaimedDelivery]:
    """Claim deliveries that are due: nobody else gets them for `lease_s` seconds.

    Of one endpoint at most `per_endpoint_cap` are claimed at once by all workers together; disabled and paused
    endpoints are passed over. The endpoints that waited longest come first, and of each the longest due.
    """
    found = tx.rows(_CANDIDATES, {"now": now, "cap": per_endpoint_cap, "most": limit})
    held = {row.id for row in tx.rows(_HOLD, {"ids": [row.id for row in found]})} if found else set()
    order = [row.id for row in found if row.id in held]
    ids = _due_of(tx, order, now, limit, per_endpoint_cap)
    if not ids:
        return []
    rows = tx.rows(_CLAIM, {"ids": ids, "until": now + timedelta(seconds=lease_s)})
    claimed = {row.id: _delivery(row) for row in rows}
    wanted = list({each.notification_id for each in claimed.values()})
    events = {row.id: _notification(row) for row in tx.rows(_OF_IDS, {"ids": wanted})}
    ordered = (claimed[each] for each in ids if each in claimed)
    return [ClaimedDelivery(delivery=each, notification=events[each.notification_id]) for each in ordered]


def _due_of(tx: Tx, endpoint_ids: Sequence[str], now: datetime, limit: int, cap: int) -> list[str]:
    if not endpoint_ids:
        return []
    taken = {row.endpoint_id: row.taken for row in tx.rows(_TAKEN, {"ids": list(endpoint_ids), "now": now})}
    ids: list[str] = []
    for endpoint_id in endpoint_ids:
        room = min(cap - taken.get(endpoint_id, 0), limit - len(ids))
        if room > 0:
            values = {"endpoint_id": endpoint_id, "now": now, "most": room}
            ids.extend(row.id for row in tx.rows(_DUE, values))
    return ids


def next_due(source: Reader, now: datetime, per_endpoint_cap: int) -> datetime | None:
    """Return when the next delivery can be claimed, or None while there is none.

    Endpoints that have `per_endpoint_cap` deliveries under way do not count: they are next when one of these ends.
    """
    found: datetime | None = source.rows(_NEXT, {"now": now, "cap": per_endpoint_cap})[0][0]
    return found


# -- outcomes -------------------------------------------------------------------------------------------------------

_MINE: Final = (
    update(delivery)
    .where(_d.id == bindparam("of_id"), _d.attempts == bindparam("of_attempts"), _PENDING)
    .values(lease_until=null(), last_status=bindparam("new_status"), last_error=bindparam("new_error"))
)
_RETRY: Final = _MINE.values(due_at=bindparam("new_due_at"))
_END: Final = _MINE.values(state=bindparam("new_state"), finished_at=bindparam("at"))


def finish_delivery(tx: Tx, claimed: Delivery, *, at: datetime, status: int) -> bool:
    """Note that the endpoint took a claimed delivery; False when another worker has claimed it since."""
    return _end(tx, claimed, DeliveryState.DELIVERED, at, status, None)


def retry_delivery(tx: Tx, claimed: Delivery, *, due_at: datetime, status: int | None, error: str) -> bool:
    """Note that a claimed delivery failed and is tried again at `due_at`; False as in `finish_delivery`."""
    return bool(tx.write(_RETRY, {**_outcome(claimed, status, error), "new_due_at": due_at}))


def bury_delivery(tx: Tx, claimed: Delivery, *, at: datetime, status: int | None, error: str) -> bool:
    """Note that a claimed delivery failed for the last time; it can be replayed. False as in `finish_delivery`."""
    return _end(tx, claimed, DeliveryState.DEAD, at, status, error)


def drop_delivery(tx: Tx, claimed: Delivery, *, at: datetime, reason: str) -> bool:
    """Note that a claimed delivery must not be sent; False as in `finish_delivery`."""
    return _end(tx, claimed, DeliveryState.DROPPED, at, None, reason)


def _end(
    tx: Tx, claimed: Delivery, state: DeliveryState, at: datetime, status: int | None, error: str | None
) -> bool:
    values = {**_outcome(claimed, status, error), "new_state": state.value, "at": at}
    return bool(tx.write(_END, values))


def _outcome(claimed: Delivery, status: int | None, error: str | None) -> dict[str, Any]:
    return {
        "of_id": claimed.id,
        "of_attempts": claimed.attempts,
        "new_status": status,
        "new_error": None if error is None else clean_text(error, 500),
    }


# -- lists, replay, retention ---------------------------------------------------------------------------------------

_CONDITIONS: Final[dict[str, Any]] = {
    "workspace_id": _d.workspace_id == bindparam("workspace_id"),
    "endpoint_id": _d.endpoint_id == bindparam("endpoint_id"),
    "state": _d.state == bindparam("state"),
    "since": _d.created_at >= bindparam("since"),
    "until": _d.created_at < bindparam("until"),
    "before": _d.id < bindparam("before"),
}
_ONE: Final = select(delivery).where(_d.id == bindparam("id"))
_LOCK: Final = _ONE.with_for_update()
_OF_EVENT: Final = (
    select(delivery)
    .where(_d.notification_id == bindparam("notification_id"))
    .order_by(_d.id)
    .with_for_update()
)
_REPLAY: Final = (
    update(delivery)
    .where(_d.id.in_(bindparam("ids", expanding=True)))
    .values(
        state=DeliveryState.PENDING.value,
        attempts=0,
        due_at=bindparam("at"),
        lease_until=null(),
        finished_at=null(),
    )
)
_PURGE: Final = delete(notification).where(
    _n.id.in_(
        select(_n.id)
        .where(
            _n.created_at < bindparam("before"),
            ~exists()
            .select_from(delivery.join(webhook_endpoint))
            .where(
                _d.notification_id == _n.id,
                or_(_d.finished_at >= bindparam("before"), and_(_PENDING, _e.is_enabled)),
            ),
        )
        .order_by(_n.created_at)
        .limit(bindparam("most"))
    )
)


def list_deliveries(
    source: Reader,
    workspace_id: str,
    *,
    state: DeliveryState | None = None,
    endpoint_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> DeliveryPage:
    """Return one page of deliveries, newest first.

    Raises:
        NotFound: the workspace has no such endpoint.
        ValidationError: the cursor is not one of ours, or belongs to other filters.
    """
    filters = _filters(source, workspace_id, state, endpoint_id)
    values = {**filters, "most": limit + 1}
    if cursor is not None:
        values["before"] = read_cursor(cursor, filters)[1]
    rows = source.rows(_page(frozenset(values)), values)
    found = tuple(_delivery(row) for row in rows[:limit])
    more = len(rows) > limit and found
    return DeliveryPage(
        deliveries=found,
        next_cursor=write_cursor(found[-1].created_at, found[-1].id, filters) if more else None,
    )


def load_delivery(source: Reader, workspace_id: str, delivery_id: str) -> Delivery:
    """Return a delivery. Raises NotFound, also for another workspace's."""
    row = source.one(_LOCK if isinstance(source, Tx) else _ONE, {"id": delivery_id})
    if row is None or row.workspace_id != workspace_id:
        raise NotFound("delivery", delivery_id)
    return _delivery(row)


def replay_delivery(tx: Tx, workspace_id: str, delivery_id: str, now: datetime) -> Delivery:
    """Send a delivery again, from its first attempt on, whatever became of it. An event keeps its id.

    Raises:
        NotFound: no such delivery. Conflict: it is being sent right now.
    """
    found = load_delivery(tx, workspace_id, delivery_id)
    if _is_under_way(found, now):
        raise Conflict(f"delivery {delivery_id} is being sent right now")
    tx.write(_REPLAY, {"ids": [found.id], "at": now})
    return load_delivery(tx, workspace_id, delivery_id)


def replay_notification(tx: Tx, workspace_id: str, notification_id: str, now: datetime) -> int:
    """Send an event again to every endpoint that it went to; return to how many. Raises NotFound."""
    if find_notification(tx, workspace_id, notification_id) is None:
        raise NotFound("event", notification_id)
    found = [_delivery(row) for row in tx.rows(_OF_EVENT, {"notification_id": notification_id})]
    ids = [each.id for each in found if not _is_under_way(each, now)]
    return tx.write(_REPLAY, {"ids": ids, "at": now}) if ids else 0


def replay_deliveries(
    tx: Tx,
    workspace_id: str,
    now: datetime,
    *,
    endpoint_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> int:
    """Send dead deliveries again, oldest first; return how many: at most `limit`, so repeat until it is less.

    Args:
        since: of events from then on. until: of events before then.

    Raises:
        NotFound: the workspace has no such endpoint.
    """
    values = {**_filters(tx, workspace_id, DeliveryState.DEAD, endpoint_id), "since": since, "until": until}
    given = {name: value for name, value in values.items() if value is not None}
    ids = [row.id for row in tx.rows(_replayable(frozenset(given)), {**given, "most": limit})]
    return tx.write(_REPLAY, {"ids": ids, "at": now}) if ids else 0


def purge_outbox(tx: Tx, before: datetime, *, limit: int = 1000) -> int:
    """Forget events older than `before` (keep at least 30 days, R65), with their deliveries.

    An event stays while a delivery of it is to be sent, or ended only after `before`. What waits for an endpoint that
    is still disabled is forgotten too.

    Returns:
        how many events, at most `limit`.
    """
    return tx.write(_PURGE, {"before": before, "most": limit})


def _filters(
    source: Reader, workspace_id: str, state: DeliveryState | None, endpoint_id: str | None
) -> dict[str, Any]:
    """An endpoint's deliveries are its workspace's: with one condition less there is one fitting index."""
    if endpoint_id is not None:
        load_endpoint(source, workspace_id, endpoint_id)
    given = {
        "workspace_id": workspace_id if endpoint_id is None else None,
        "endpoint_id": endpoint_id,
        "state": None if state is None else state.value,
    }
    return {name: value for name, value in given.items() if value is not None}


@cache
def _page(names: frozenset[str]) -> Select[Any]:
    page = select(delivery).where(*(_CONDITIONS[name] for name in sorted(names & _CONDITIONS.keys())))
    return page.order_by(_d.id.desc()).limit(bindparam("most"))


@cache
def _replayable(names: frozenset[str]) -> Select[Any]:
    found = select(_d.id).where(*(_CONDITIONS[name] for name in sorted(names)))
    return found.order_by(_d.id).limit(bindparam("most")).with_for_update(skip_locked=True)


def _is_under_way(found: Delivery, now: datetime) -> bool:
    return found.state is DeliveryState.PENDING and found.lease_until is not None and found.lease_until > now


# -- rows -----------------------------------------------------------------------------------------------------------


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        notification_id=row.notification_id,
        endpoint_id=row.endpoint_id,
        workspace_id=row.workspace_id,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due_at=row.due_at,
        lease_until=row.lease_until,
        last_status=row.last_status,
        last_error=row.last_error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        workspace_id=row.workspace_id,
        call_id=row.call_id,
        type=row.type,
        sequence=row.sequence,
        payload=row.payload,
        created_at=row.created_at,
    )
