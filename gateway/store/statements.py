"""Statements that SQLAlchemy spells once for each database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from gateway.store.engine import PerDialect


def insert_new(table: Table) -> PerDialect:
    """Return an insert that changes nothing (0 rows) where any unique constraint stands in the way."""
    return upsert(table, lambda statement: statement.on_conflict_do_nothing())


def upsert(table: Table, finish: Callable[[Any], Executable]) -> PerDialect:
    """Return an insert with its ON CONFLICT part, built by `finish` for each database."""
    return PerDialect(sqlite=finish(sqlite.insert(table)), postgresql=finish(postgresql.insert(table)))
