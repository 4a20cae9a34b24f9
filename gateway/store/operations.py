"""Long work: what is to be done, how far it is, and what was done with each number.

A claim puts off `due_at` and counts `tries`: of two workers only the one that claimed last can write, and the work of
one that died is due again when its claim ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Boolean, Row, bindparam, delete, func, insert, or_, select, update

from gateway.errors import NotFound
from gateway.models import Operation, OperationKind, OperationResult, OperationState
from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.tables import operation, operation_result
from gateway.store.workspaces import ensure_workspace

_o, _r = operation.c, operation_result.c
_INSERT: Final = insert(operation)
_BY_ID: Final = select(operation).where(_o.id == bindparam("id"))
_DUE: Final = (
    select(operation)
    .where(_o.state == OperationState.PENDING.value, _o.due_at <= bindparam("now", type_=_o.due_at.type))
    .order_by(_o.due_at, _o.id)
    .limit(1)
)
_CLAIM: Final = (
    update(operation)
    .where(
        _o.id == bindparam("of_id"),
        _o.state == OperationState.PENDING.value,
        _o.tries == bindparam("old_tries"),
    )
    .values(tries=_o.tries + 1, due_at=bindparam("until"))
)
_CLAIMED: Final = update(operation).where(
    _o.id == bindparam("of_id"),
    _o.tries == bindparam("claim"),
    _o.state == OperationState.PENDING.value,
)
_PROGRESS: Final = _CLAIMED.values(
    {name: bindparam(f"new_{name}") for name in ("done", "total", "due_at", "updated_at")}
)
_FINISH: Final = _CLAIMED.values(
    state=bindparam("new_state"),
    last_error=bindparam("error"),
    updated_at=bindparam("at"),
    finished_at=bindparam("at"),
)
_ADD_RESULT: Final = insert(operation_result)
_LAST_POSITION: Final = select(func.coalesce(func.max(_r.position), 0).label("last")).where(
    _r.operation_id == bindparam("operation_id")
)
_RESULTS: Final = (
    select(operation_result)
    .where(_r.operation_id == bindparam("operation_id"), _r.position > bindparam("after"))
    .order_by(_r.position)
    .limit(bindparam("at_most"))
)
_LISTED: Final = (
    select(operation)
    .where(
        _o.workspace_id == bindparam("workspace_id"),
        or_(bindparam("also_ended", type_=Boolean), _o.state == OperationState.PENDING.value),
    )
    .order_by(_o.created_at.desc(), _o.id.desc())
    .limit(bindparam("at_most"))
)
_OLD: Final = (
    select(_o.id)
    .where(_o.finished_at < bindparam("before", type_=_o.finished_at.type))
    .order_by(_o.finished_at)
    .limit(bindparam("at_most"))
)
_PURGE: Final = delete(operation).where(_o.id.in_(_OLD))
_SUBJECTS: Final = select(_r.subject).where(_r.operation_id == bindparam("operation_id"))


def insert_operation(tx: Tx, new: Operation) -> None:
    """Add an operation, to be claimed from `due_at` on."""
    ensure_workspace(tx, new.workspace_id, new.created_at)
    names = ("id", "workspace_id", "done", "total", "tries", "due_at", "created_at", "updated_at")
    values = {name: getattr(new, name) for name in names}
    words = {"kind": new.kind.value, "state": new.state.value, "payload": write_json(dict(new.payload))}
    tx.write(_INSERT, {**values, **words})


def load_operation(source: Reader, operation_id: str, *, workspace_id: str | None = None) -> Operation:
    """Return an operation. Raises NotFound, also for another workspace's."""
    row = source.one(_BY_ID, {"id": operation_id})
    if row is None or workspace_id not in (None, row.workspace_id):
        raise NotFound("operation", operation_id)
    return _operation(row)


def list_operations(
    source: Reader, workspace_id: str, *, also_ended: bool = False, limit: int = 100
) -> list[Operation]:
    """Return the workspace's operations that are not over, or all of them, the newest first."""
    values = {"workspace_id": workspace_id, "also_ended": also_ended, "at_most": limit}
    return [_operation(row) for row in source.rows(_LISTED, values)]


def purge_operations(tx: Tx, before: datetime, *, limit: int = 20) -> int:
    """Forget operations that ended before `before`, with their results; return how many, at most `limit`."""
    return tx.write(_PURGE, {"before": before, "at_most": limit})


def claim_operation(tx: Tx, operation_id: str, *, now: datetime, until: datetime) -> Operation | None:
    """Claim one operation; return it as claimed, or None when it is over, or another worker is at it."""
    found = load_operation(tx, operation_id)
    return None if found.due_at > now else _claim(tx, found, until)


def claim_due_operation(tx: Tx, *, now: datetime, until: datetime) -> Operation | None:
    """Claim the operation that has been due longest, or return None."""
    row = tx.one(_DUE, {"now": now})
    return None if row is None else _claim(tx, _operation(row), until)


def _claim(tx: Tx, found: Operation, until: datetime) -> Operation | None:
    values = {"of_id": found.id, "old_tries": found.tries, "until": until}
    return load_operation(tx, found.id) if tx.write(_CLAIM, values) else None


def save_progress(
    tx: Tx,
    claimed: Operation,
    results: Sequence[OperationResult],
    *,
    done: int,
    total: int | None,
    at: datetime,
    until: datetime,
) -> bool:
    """Write what was done and keep the claim longer; return False when the claim is another worker's by now."""
    values = {"of_id": claimed.id, "claim": claimed.tries, "new_done": done, "new_total": total}
    if not tx.write(_PROGRESS, {**values, "new_due_at": until, "new_updated_at": at}):
        return False
    last = tx.rows(_LAST_POSITION, {"operation_id": claimed.id})[0].last
    for position, each in enumerate(results, start=last + 1):
        row = {"operation_id": claimed.id, "position": position, "subject": clean_text(each.subject, 200)}
        tx.write(_ADD_RESULT, {**row, "verdict": each.verdict, "detail": clean_text(each.detail, 2000)})
    return True


def finish_operation(
    tx: Tx, claimed: Operation, state: OperationState, *, at: datetime, error: str | None = None
) -> bool:
    """End an operation; return False when the claim is another worker's by now."""
    values = {"of_id": claimed.id, "claim": claimed.tries, "new_state": state.value, "at": at}
    return bool(tx.write(_FINISH, {**values, "error": None if error is None else clean_text(error, 2000)}))


def list_results(
    source: Reader, operation_id: str, *, after: int = 0, limit: int = 1000
) -> list[tuple[int, OperationResult]]:
    """Return what was done, in order, each with its position from 1 on."""
    values = {"operation_id": operation_id, "after": after, "at_most": limit}
    return [
        (row.position, OperationResult(subject=row.subject, verdict=row.verdict, detail=row.detail))
        for row in source.rows(_RESULTS, values)
    ]


def result_subjects(source: Reader, operation_id: str) -> frozenset[str]:
    """Return the numbers that the operation is through with."""
    return frozenset(row.subject for row in source.rows(_SUBJECTS, {"operation_id": operation_id}))


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        id=row.id,
        workspace_id=row.workspace_id,
        kind=OperationKind(row.kind),
        payload=read_json(row.payload),
        state=OperationState(row.state),
        done=row.done,
        total=row.total,
        tries=row.tries,
        due_at=row.due_at,
        last_error=row.last_error,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
