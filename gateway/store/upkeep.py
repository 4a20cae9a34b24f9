"""Leases for background work, and small facts about this database."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, or_, select

from gateway.store.engine import Reader, Tx
from gateway.store.statements import upsert
from gateway.store.tables import lease, meta

_TAKE: Final = upsert(
    lease,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": statement.excluded.owner, "until": statement.excluded.until},
        where=or_(lease.c.until <= bindparam("now"), lease.c.owner == statement.excluded.owner),
    ),
)
_RELEASE: Final = delete(lease).where(lease.c.name == bindparam("name"), lease.c.owner == bindparam("owner"))
_PUT_META: Final = upsert(
    meta,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": statement.excluded.value}
    ),
)
_META: Final = select(meta.c.value).where(meta.c.name == bindparam("name"))


def take_lease(tx: Tx, name: str, owner: str, until: datetime, now: datetime) -> bool:
    """Take a lease, or keep one's own longer; return False while somebody else holds it."""
    return bool(tx.write(_TAKE, {"name": name, "owner": owner, "until": until, "now": now}))


def release_lease(tx: Tx, name: str, owner: str) -> None:
    """Give a lease back; nothing happens when it is another's by now."""
    tx.write(_RELEASE, {"name": name, "owner": owner})


def put_meta(tx: Tx, name: str, value: str) -> None:
    """Keep a small fact about this database."""
    tx.write(_PUT_META, {"name": name, "value": value})


def find_meta(source: Reader, name: str) -> str | None:
    """Return a small fact about this database, or None."""
    row = source.one(_META, {"name": name})
    return None if row is None else str(row.value)
