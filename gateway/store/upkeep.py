"""Leases for background work, words that no table lists (R39), and small facts about this database."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, or_, select

from gateway.store.codec import clean_text
from gateway.store.engine import Reader, Tx
from gateway.store.rows import UnmappedCount
from gateway.store.statements import upsert
from gateway.store.tables import lease, meta, unmapped_word

_TAKE: Final = upsert(
    lease,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": statement.excluded.owner, "until": statement.excluded.until},
        where=or_(lease.c.until <= bindparam("now"), lease.c.owner == statement.excluded.owner),
    ),
)
_RELEASE: Final = delete(lease).where(lease.c.name == bindparam("name"), lease.c.owner == bindparam("owner"))
_HELD: Final = select(lease.c.name).where(
    lease.c.name == bindparam("name"), lease.c.until > bindparam("now", type_=lease.c.until.type)
)
_PUT_META: Final = upsert(
    meta,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": statement.excluded.value}
    ),
)
_META: Final = select(meta.c.value).where(meta.c.name == bindparam("name"))
_COUNT_WORD: Final = upsert(
    unmapped_word,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["provider", "table_name", "word"],
        set_={"count": unmapped_word.c.count + 1, "last_seen_at": statement.excluded.last_seen_at},
    ),
)
_WORDS: Final = select(unmapped_word).order_by(unmapped_word.c.count.desc(), unmapped_word.c.word)


def take_lease(tx: Tx, name: str, owner: str, until: datetime, now: datetime) -> bool:
    """Take a lease, or keep one's own longer; return False while somebody else holds it."""
    return bool(tx.write(_TAKE, {"name": name, "owner": owner, "until": until, "now": now}))


def release_lease(tx: Tx, name: str, owner: str) -> None:
    """Give a lease back; nothing happens when it is another's by now."""
    tx.write(_RELEASE, {"name": name, "owner": owner})


def is_leased(source: Reader, name: str, now: datetime) -> bool:
    """Return whether somebody holds the lease now."""
    return source.one(_HELD, {"name": name, "now": now}) is not None


def put_meta(tx: Tx, name: str, value: str) -> None:
    """Keep a small fact about this database."""
    tx.write(_PUT_META, {"name": name, "value": value})


def find_meta(source: Reader, name: str) -> str | None:
    """Return a small fact about this database, or None."""
    row = source.one(_META, {"name": name})
    return None if row is None else str(row.value)


def count_unmapped(tx: Tx, provider: str, table: str, word: str, at: datetime) -> None:
    """Count a carrier's word that no table of ours lists."""
    tx.write(
        _COUNT_WORD,
        {
            "provider": provider,
            "table_name": table,
            "word": clean_text(word, 200),
            "count": 1,
            "first_seen_at": at,
            "last_seen_at": at,
        },
    )


def list_unmapped(source: Reader) -> list[UnmappedCount]:
    """Return the words not in any table, the most frequent first."""
    return [
        UnmappedCount(
            provider=row.provider,
            table=row.table_name,
            word=row.word,
            count=row._mapping["count"],  # Row.count is the tuple's method
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
        )
        for row in source.rows(_WORDS)
    ]
