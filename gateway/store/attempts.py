"""Attempts: one dial request each (reliability protocol: written before it is sent, never sent twice)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, literal_column, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import Attempt, AttemptState
from gateway.store.codec import clean_text
from gateway.store.engine import Reader, Tx
from gateway.store.statements import insert_new
from gateway.store.tables import attempt

_c = attempt.c
_OPEN: Final[list[Any]] = [literal_column(f"'{state.value}'") for state in AttemptState if state.is_open]
_INSERT: Final = insert_new(attempt)
_BY_ID: Final = select(attempt).where(_c.id == bindparam("id"))
_LOCK: Final = _BY_ID.with_for_update()
_BY_TOKEN: Final = select(attempt).where(_c.token == bindparam("token"))
_LOCK_BY_TOKEN: Final = _BY_TOKEN.with_for_update()
_OF_CALL: Final = select(attempt).where(_c.call_id == bindparam("call_id")).order_by(_c.number)
_LATEST: Final = select(attempt).where(_c.call_id == bindparam("call_id")).order_by(_c.number.desc()).limit(1)
_OPEN_TO: Final = select(attempt).where(
    _c.credential_id == bindparam("credential_id"),
    _c.from_number == bindparam("from_number"),
    _c.to_number == bindparam("to_number"),
    _c.state.in_(_OPEN),
)
_WRITTEN: Final = (
    "state",
    "leg_id",
    "message",
    "vendor_code",
    "http_status",
    "version",
    "lease_until",
    "next_look_at",
    "looks",
    "clean_looks",
    "first_clean_look_at",
    "settled_at",
)
_SAVE: Final = (
    update(attempt)
    .where(_c.id == bindparam("attempt_id"), _c.version == bindparam("expected_version"))
    .values({name: bindparam(f"new_{name}") for name in _WRITTEN})
)
_EXPIRE: Final = (
    update(attempt)
    .where(_c.state == literal_column("'dialing'"), _c.lease_until <= bindparam("now"))
    .values(
        state=AttemptState.UNKNOWN.value,
        version=_c.version + 1,
        lease_until=None,
        next_look_at=bindparam("look_at", type_=_c.next_look_at.type),
    )
    .returning(attempt)
)
_UNKNOWN_DUE: Final = (
    select(attempt)
    .where(_c.state == literal_column("'unknown'"), _c.next_look_at <= bindparam("now"))
    .order_by(_c.next_look_at)
    .limit(bindparam("most"))
)
_OPEN_ALL: Final = (
    select(attempt).where(_c.state.in_(_OPEN)).order_by(_c.created_at, _c.id).limit(bindparam("most"))
)


def insert_attempt(tx: Tx, new: Attempt) -> None:
    """Add an attempt; only after the commit may a byte leave.

    Raises:
        Conflict: a dial to the same person with the same caller ID and credential is open: it rings, or may ring.
    """
    if tx.write(_INSERT, {**_row(new), "version": new.version}):
        return
    values = {"credential_id": new.credential_id, "from_number": new.from_number, "to_number": new.to}
    standing = tx.one(_OPEN_TO, values)
    if standing is None:
        raise Conflict("the call has an attempt of this number already")
    raise Conflict(
        f"call {standing.call_id} is already dialing …{new.to[-4:]} from this number ({standing.state}): "
        "wait until it is settled"
    )


def load_attempt(source: Reader, attempt_id: str) -> Attempt:
    """Return an attempt. Raises NotFound."""
    row = source.one(_BY_ID, {"id": attempt_id})
    if row is None:
        raise NotFound("attempt", attempt_id)
    return _attempt(row)


def load_attempt_for_update(tx: Tx, attempt_id: str) -> Attempt:
    """Return an attempt and hold it until the transaction ends. Raises NotFound."""
    row = tx.one(_LOCK, {"id": attempt_id})
    if row is None:
        raise NotFound("attempt", attempt_id)
    return _attempt(row)


def latest_attempt(source: Reader, call_id: str) -> Attempt | None:
    """Return a call's last attempt, or None when it had none."""
    row = source.one(_LATEST, {"call_id": call_id})
    return None if row is None else _attempt(row)


def load_attempt_by_token(source: Reader, token: str) -> Attempt | None:
    """Return the attempt of a token, or None; inside a transaction it is held until the end."""
    row = source.one(_LOCK_BY_TOKEN if isinstance(source, Tx) else _BY_TOKEN, {"token": token})
    return None if row is None else _attempt(row)


def save_attempt(tx: Tx, changed: Attempt, *, expected_version: int) -> Attempt:
    """Store what is known of an attempt now and return it with its new version.

    Raises:
        Conflict: somebody else changed it since `expected_version` (a lease that ran out): nothing was stored (R10).
    """
    saved = replace(changed, version=expected_version + 1)
    values = {f"new_{name}": value for name, value in _row(saved).items() if name in _WRITTEN}
    if not tx.write(_SAVE, {**values, "attempt_id": saved.id, "expected_version": expected_version}):
        raise Conflict(f"attempt {saved.id} was changed by somebody else: load it again")
    return saved


def expire_leases(tx: Tx, now: datetime) -> list[Attempt]:
    """Turn every dial whose worker did not come back in time into an unknown one, to be looked for at once.

    Never back to "ready": the phone may be ringing (protocol, step 11).
    """
    return [_attempt(row) for row in tx.rows(_EXPIRE, {"now": now, "look_at": now})]


def due_unknown_attempts(source: Reader, now: datetime, limit: int) -> list[Attempt]:
    """Return the attempts of unknown outcome that are to be looked for now, the most overdue first."""
    return [_attempt(row) for row in source.rows(_UNKNOWN_DUE, {"now": now, "most": limit})]


def list_attempts(source: Reader, call_id: str) -> list[Attempt]:
    """Return a call's attempts, the first one first."""
    return [_attempt(row) for row in source.rows(_OF_CALL, {"call_id": call_id})]


def open_attempts(source: Reader, *, limit: int = 1000) -> list[Attempt]:
    """Return the attempts that are dialing or of unknown outcome, oldest first: what `doctor` shows."""
    return [_attempt(row) for row in source.rows(_OPEN_ALL, {"most": limit})]


def _row(value: Attempt) -> dict[str, Any]:
    return {
        "id": value.id,
        "workspace_id": value.workspace_id,
        "call_id": value.call_id,
        "credential_id": value.credential_id,
        "provider": value.provider,
        "to_number": value.to,
        "from_number": value.from_number,
        "token": value.token,
        "command_id": value.command_id,
        "state": value.state.value,
        "number": value.number,
        "leg_id": value.leg_id,
        "message": None if value.message is None else clean_text(value.message, 1000),
        "vendor_code": None if value.vendor_code is None else clean_text(value.vendor_code, 100),
        "http_status": value.http_status,
        "version": value.version,
        "lease_until": value.lease_until,
        "next_look_at": value.next_look_at,
        "looks": value.looks,
        "clean_looks": value.clean_looks,
        "first_clean_look_at": value.first_clean_look_at,
        "created_at": value.created_at,
        "settled_at": value.settled_at,
        "trunk_ref": value.trunk_ref,
    }


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        workspace_id=row.workspace_id,
        call_id=row.call_id,
        credential_id=row.credential_id,
        provider=row.provider,
        to=row.to_number,
        from_number=row.from_number,
        token=row.token,
        command_id=row.command_id,
        state=AttemptState(row.state),
        number=row.number,
        leg_id=row.leg_id,
        message=row.message,
        vendor_code=row.vendor_code,
        http_status=row.http_status,
        version=row.version,
        lease_until=row.lease_until,
        next_look_at=row.next_look_at,
        looks=row.looks,
        clean_looks=row.clean_looks,
        first_clean_look_at=row.first_clean_look_at,
        created_at=row.created_at,
        settled_at=row.settled_at,
        trunk_ref=row.trunk_ref,
    )
