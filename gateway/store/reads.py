"""Reads of a SQLite file without SQLAlchemy's connection, context and result in between.

Those cost several times what SQLite takes to find a row. So a query is compiled once, and runs on a connection that is
kept open; types and errors stay SQLAlchemy's: a query that cannot be prepared so (a list among its values), and one
that fails, is left to the engine, which says what is wrong. A read can be repeated.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Executable, Row, Select
from sqlalchemy.engine import result_tuple
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler

KEPT: Final = 16  # connections that may wait for the next read; each has a file and a cache of 2 MB at most

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One query, ready to run: its text, its values in order, and what makes a row of what SQLite answers."""

    sql: str
    fixed: Mapping[str, Any]  # values that the query has by itself
    binds: tuple[tuple[str, Convert | None], ...]  # names in order, and how each is written
    results: tuple[tuple[int, Convert], ...]  # columns that are not shown as SQLite keeps them
    row: Callable[[Sequence[Any]], Row[Any]]


class QuickReads:
    """The read connections of one SQLite engine. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans: WeakKeyDictionary[Executable, _Plan | None] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._idle: deque[PoolProxiedConnection] = deque()
        self._is_closed = False

    def read(
        self, statement: Executable, values: Mapping[str, Any] | None, *, first: bool = False
    ) -> list[Row[Any]] | None:
        """Return the rows of a query, at most the first one if so wanted; None: ask the engine."""
        plan = self._plan(statement)
        if plan is None or self._is_closed:
            return None
        given = values or {}
        connection = self._take()
        try:
            found = self._run(plan, given, connection, first)
        except Exception:  # whatever it is, the engine meets it too and says it in its own way
            connection.close()
            return None
        self._give_back(connection)
        return found

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone (R52)."""
        self._idle = deque()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _run(
        self, plan: _Plan, given: Mapping[str, Any], connection: PoolProxiedConnection, first: bool
    ) -> list[Row[Any]]:
        said = {**plan.fixed, **given} if plan.fixed else given
        values = [said[name] if write is None else write(said[name]) for name, write in plan.binds]
        raw: sqlite3.Connection = connection.dbapi_connection  # type: ignore[assignment] # SQLite's, as the engine is
        cursor = raw.execute(plan.sql, values)
        try:
            rows = [cursor.fetchone()] if first else cursor.fetchall()
        finally:
            cursor.close()  # else it would hold on to the state of the database that it saw
        if first and rows[0] is None:
            return []
        if not plan.results:
            return [plan.row(row) for row in rows]
        made = []
        for row in rows:
            shown = list(row)
            for place, convert in plan.results:
                shown[place] = convert(shown[place])
            made.append(plan.row(shown))
        return made

    def _take(self) -> PoolProxiedConnection:
        try:
            return self._idle.pop()
        except IndexError:
            opened = self._engine.raw_connection()
            opened.detach()  # the engine's pool counts it no longer
            return opened

    def _give_back(self, connection: PoolProxiedConnection) -> None:
        if self._is_closed or len(self._idle) >= KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    def _plan(self, statement: Executable) -> _Plan | None:
        try:
            return self._plans[statement]
        except KeyError:
            with self._lock:
                return self._plans.setdefault(statement, _planned(statement, self._engine))


def _planned(statement: Executable, engine: Engine) -> _Plan | None:
    """Return the plan of a query; None for what is no plain query, or changes its text with its values."""
    if not isinstance(statement, Select):
        return None
    dialect = engine.dialect
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    binds = [compiled.binds[name] for name in compiled.positiontup or ()]
    writes = [bind.type.dialect_impl(dialect).bind_processor(dialect) for bind in binds]
    columns = list(statement.selected_columns)
    reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Plan(
        sql=str(compiled),
        fixed={bind.key: bind.effective_value for bind in binds if not bind.required},
        binds=tuple((bind.key, write) for bind, write in zip(binds, writes, strict=True)),
        results=tuple((place, read) for place, read in enumerate(reads) if read is not None),
        row=result_tuple([str(column.key) for column in columns]),
    )
