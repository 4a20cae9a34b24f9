"""Counts of requests in windows of time, shared by all workers (R82)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select, tuple_

from gateway.store.codec import clean_text
from gateway.store.engine import Reader, Tx
from gateway.store.statements import upsert
from gateway.store.tables import rate_count

_c = rate_count.c
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HIT: Final = upsert(
    rate_count,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["key", "window_start"], set_={"count": _c["count"] + statement.excluded["count"]}
    ).returning(_c["count"].label("hits")),
)
_COUNTS: Final = select(_c.window_start, _c["count"].label("hits")).where(
    _c.key == bindparam("key"), _c.window_start.in_(bindparam("starts", expanding=True))
)
_OLD: Final = (
    select(_c.key, _c.window_start)
    .where(_c.window_start < bindparam("before"))
    .order_by(_c.window_start)
    .limit(bindparam("most"))
)
_PURGE: Final = delete(rate_count).where(tuple_(_c.key, _c.window_start).in_(_OLD))


def count_hit(tx: Tx, key: str, window_s: int, now: datetime, *, hits: int = 1) -> int:
    """Count `hits` in the window of `window_s` seconds that `now` is in; return the window's count with them.

    Windows begin at whole multiples of their length since 1970, the same for every worker. `key` names who is limited
    by which limit: keys of windows of different length must differ.
    """
    values = {"key": clean_text(key, 200), "window_start": window_start(window_s, now), "count": hits}
    return int(tx.rows(_HIT, values)[0].hits)


def window_counts(source: Reader, key: str, window_s: int, now: datetime) -> tuple[int, int]:
    """Return the counts of the window before and of the window that `now` is in."""
    current = window_start(window_s, now)
    previous = current - timedelta(seconds=window_s)
    found = source.rows(_COUNTS, {"key": clean_text(key, 200), "starts": [previous, current]})
    counts = {row.window_start: int(row.hits) for row in found}
    return counts.get(previous, 0), counts.get(current, 0)


def window_start(window_s: int, now: datetime) -> datetime:
    """Return when the window began that `now` is in."""
    length = timedelta(seconds=window_s)
    return now - (now - _EPOCH) % length


def purge_counts(tx: Tx, before: datetime, *, limit: int = 5000) -> int:
    """Forget windows that began before `before` (keep two lengths of the longest); return how many, at most `limit`."""
    return tx.write(_PURGE, {"before": before, "most": limit})
