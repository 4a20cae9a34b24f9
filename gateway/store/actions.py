"""Actions: durable commands to carriers that follow on a committed change.

A worker claims what is due under a lease, does it and finishes it. A worker that died leaves its claim to the next
one when the lease is over; the count of tries tells a claim from an older one, so a late worker changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, bindparam, case, func, literal_column, null, or_, select, update

from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.rows import Action, ActionKind, ActionState
from gateway.store.tables import action

_c = action.c
_PENDING: Final = _c.state == literal_column("'pending'")
_INSERT: Final = action.insert()
_DUE: Final = (
    select(_c.id)
    .where(
        _PENDING,
        _c.due_at <= bindparam("now"),
        or_(_c.lease_until.is_(None), _c.lease_until <= bindparam("now")),
    )
    .order_by(_c.due_at, _c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(action)
    .where(_c.id.in_(bindparam("ids", expanding=True)))
    .values(lease_until=bindparam("until"), tries=_c.tries + 1)
    .returning(action)
)
_MINE: Final = update(action).where(_c.id == bindparam("of_id"), _c.tries == bindparam("of_tries"), _PENDING)
_FINISH: Final = _MINE.values(state=ActionState.DONE.value, lease_until=null(), last_error=null())
_RETRY: Final = _MINE.values(
    due_at=bindparam("new_due_at"), lease_until=null(), last_error=bindparam("new_error")
)
_GIVE_UP: Final = _MINE.values(
    state=ActionState.FAILED.value, lease_until=null(), last_error=bindparam("new_error")
)
_DROP: Final = (
    update(action)
    .where(_c.call_id == bindparam("of_call"), _c.kind.in_(bindparam("kinds", expanding=True)), _PENDING)
    .values(state=ActionState.FAILED.value, lease_until=null(), last_error=bindparam("new_error"))
)
_HASTEN: Final = (
    update(action)
    .where(_c.call_id == bindparam("of_call"), _c.kind == bindparam("of_kind"), _PENDING)
    .where(_c.lease_until.is_(None), _c.due_at > bindparam("new_due_at"))
    .values(due_at=bindparam("new_due_at"))
)
_READY_AT: Final = case(
    (or_(_c.lease_until.is_(None), _c.lease_until < _c.due_at), _c.due_at), else_=_c.lease_until
)
_NEXT: Final = select(func.min(_READY_AT)).where(_PENDING)
_OF_CALL: Final = select(action).where(_c.call_id == bindparam("call_id")).order_by(_c.created_at, _c.id)


def insert_action(tx: Tx, new: Action) -> None:
    """Add an action."""
    tx.write(
        _INSERT,
        {
            "id": new.id,
            "workspace_id": new.workspace_id,
            "call_id": new.call_id,
            "credential_id": new.credential_id,
            "kind": new.kind.value,
            "payload": write_json(new.payload),
            "state": new.state.value,
            "due_at": new.due_at,
            "lease_until": new.lease_until,
            "tries": new.tries,
            "last_error": new.last_error,
            "created_at": new.created_at,
        },
    )


def claim_actions(tx: Tx, now: datetime, limit: int, lease_s: float) -> list[Action]:
    """Claim what is due, the most overdue first: nobody else gets it for `lease_s` seconds."""
    ids = [row.id for row in tx.rows(_DUE, {"now": now, "most": limit})]
    if not ids:
        return []
    claimed = tx.rows(_CLAIM, {"ids": ids, "until": now + timedelta(seconds=lease_s)})
    return sorted((_action(row) for row in claimed), key=lambda found: (found.due_at, found.id))


def finish_action(tx: Tx, claimed: Action) -> bool:
    """Mark a claimed action as done; return False when another worker has claimed it since."""
    return bool(tx.write(_FINISH, _claim_of(claimed)))


def fail_action(tx: Tx, claimed: Action, error: str, *, retry_at: datetime | None) -> bool:
    """Note that a claimed action failed: try again at `retry_at`, or never (None).

    Returns:
        False when another worker has claimed it since; nothing was changed.
    """
    values = {**_claim_of(claimed), "new_error": clean_text(error, 500)}
    if retry_at is None:
        return bool(tx.write(_GIVE_UP, values))
    return bool(tx.write(_RETRY, {**values, "new_due_at": retry_at}))


def drop_actions(tx: Tx, call_id: str, kinds: tuple[ActionKind, ...], reason: str) -> int:
    """Give up a call's pending actions of these kinds; return how many."""
    values = {
        "of_call": call_id,
        "kinds": [kind.value for kind in kinds],
        "new_error": clean_text(reason, 500),
    }
    return tx.write(_DROP, values)


def hasten_actions(tx: Tx, call_id: str, kind: ActionKind, at: datetime) -> int:
    """Make a call's pending actions of a kind due at `at`, those that nobody is at; return how many were due later."""
    return tx.write(_HASTEN, {"of_call": call_id, "of_kind": kind.value, "new_due_at": at})


def next_due(source: Reader) -> datetime | None:
    """Return when the next action becomes claimable (its time, or the end of the lease on it); None: there is none."""
    found: datetime | None = source.rows(_NEXT)[0][0]
    return found


def list_actions(source: Reader, call_id: str) -> list[Action]:
    """Return a call's actions, oldest first."""
    return [_action(row) for row in source.rows(_OF_CALL, {"call_id": call_id})]


def _claim_of(claimed: Action) -> dict[str, Any]:
    return {"of_id": claimed.id, "of_tries": claimed.tries}


def _action(row: Row[Any]) -> Action:
    return Action(
        id=row.id,
        workspace_id=row.workspace_id,
        call_id=row.call_id,
        credential_id=row.credential_id,
        kind=ActionKind(row.kind),
        payload=read_json(row.payload),
        state=ActionState(row.state),
        due_at=row.due_at,
        lease_until=row.lease_until,
        tries=row.tries,
        last_error=row.last_error,
        created_at=row.created_at,
    )
