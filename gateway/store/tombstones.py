"""What deleted calls leave behind, for as long as somebody outside may still speak of them.

A repeated request with a deleted call's idempotency key must not ring the person again (R9), and a late webhook about
its leg must not make a new call. Nothing about people is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select, tuple_

from gateway.store.engine import Reader, Tx, Values
from gateway.store.statements import insert_new
from gateway.store.tables import tombstone

_c = tombstone.c
_ADD: Final = insert_new(tombstone)
_HAS: Final = (
    select(_c.name)
    .where(
        _c.kind == bindparam("kind"),
        _c.owner == bindparam("owner"),
        _c.name.in_(bindparam("names", expanding=True)),
    )
    .limit(1)
)
_OLD: Final = (
    select(_c.kind, _c.owner, _c.name)
    .where(_c.deleted_at < bindparam("before"))
    .order_by(_c.deleted_at)
    .limit(bindparam("most"))
)
_PURGE: Final = delete(tombstone).where(tuple_(_c.kind, _c.owner, _c.name).in_(_OLD))


def bury_keys(tx: Tx, workspace_id: str, idempotency_keys: Iterable[str], at: datetime) -> None:
    """Remember the idempotency keys of deleted calls."""
    _bury(tx, [_stone("key", workspace_id, key, at) for key in idempotency_keys])


def bury_legs(tx: Tx, legs: Iterable[tuple[str, str]], at: datetime) -> None:
    """Remember the legs, (credential id, leg id), of deleted calls."""
    _bury(tx, [_stone("leg", credential_id, leg_id, at) for credential_id, leg_id in legs])


def is_spent_key(source: Reader, workspace_id: str, idempotency_key: str) -> bool:
    """Return whether a deleted call was placed with this key."""
    values = {"kind": "key", "owner": workspace_id, "names": [idempotency_key]}
    return source.one(_HAS, values) is not None


def is_deleted_leg(source: Reader, credential_id: str, leg_ids: Sequence[str]) -> bool:
    """Return whether one of these legs of a credential belonged to a call that was deleted."""
    values = {"kind": "leg", "owner": credential_id, "names": [leg_id for leg_id in leg_ids if leg_id]}
    return source.one(_HAS, values) is not None


def purge_tombstones(tx: Tx, before: datetime, *, limit: int = 5000) -> int:
    """Forget calls deleted before `before` (keep at least 7 days, R9); return how many rows, at most `limit`."""
    return tx.write(_PURGE, {"before": before, "most": limit})


def _stone(kind: str, owner: str, name: str, at: datetime) -> Values:
    return {"kind": kind, "owner": owner, "name": name, "deleted_at": at}


def _bury(tx: Tx, stones: list[Values]) -> None:
    for stone in stones:
        tx.write(_ADD, stone)
