"""The database: two engines, transactions, and errors in the gateway's words.

Writes run in one engine whose transactions begin with BEGIN IMMEDIATE on SQLite, so that two writers wait for each
other instead of failing half-way (a deferred transaction that reads, then writes, fails with "database is locked"
whatever the busy timeout is). Reads run in a second engine in autocommit. No transaction stays open across an HTTP
request. SQLite keeps WAL, synchronous FULL (a lowered setting could forget a dial on power loss), foreign keys and a
busy timeout of 5 s, and each connection is checked for them (R48).
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, Executable, Row, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import ConfigurationError, MissingExtra, StoreUnavailable
from gateway.settings import mask_database_url
from gateway.store.failures import damaged, translated
from gateway.store.reads import QuickReads
from gateway.store.sqlite import BUSY_TIMEOUT_S, OLDEST_SQLITE, check_file, prepare_sqlite

POOL_TIMEOUT_S: Final = 2  # R57: a queue for connections ends with 503 within 2 s


@dataclass(frozen=True, slots=True, kw_only=True)
class PerDialect:
    """One statement in the two spellings that SQLAlchemy has for it (insert ... on conflict)."""

    sqlite: Executable
    postgresql: Executable


Statement = Executable | PerDialect
Values = Mapping[str, Any]


class Reader(Protocol):
    """What a query needs: a `Store` (reads by itself) or a `Tx` (reads inside a transaction)."""

    def rows(self, statement: Statement, values: Values | None = None) -> Sequence[Row[Any]]:
        """Return all rows."""

    def one(self, statement: Statement, values: Values | None = None) -> Row[Any] | None:
        """Return the first row, or None."""


class Tx:
    """One open write transaction; made by `Store.transaction()`, dead after it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def rows(self, statement: Statement, values: Values | None = None) -> Sequence[Row[Any]]:
        """Return all rows of a query, or of a statement with RETURNING."""
        return self._connection.execute(_spelled(statement, self._dialect), values).all()

    def one(self, statement: Statement, values: Values | None = None) -> Row[Any] | None:
        """Return the first row, or None."""
        return self._connection.execute(_spelled(statement, self._dialect), values).first()

    def write(self, statement: Statement, values: Values | Sequence[Values] | None = None) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(_spelled(statement, self._dialect), values).rowcount


class Store:
    """A database of the gateway. Thread-safe; made by `Store.open`."""

    def __init__(self, url: URL, read: Engine, write: Engine | None) -> None:
        self.url = url
        self._read = read
        self._write = write
        self._quick = QuickReads(read) if self.is_sqlite else None
        _OPEN.add(self)

    @classmethod
    def open(cls, database_url: str, *, read_only: bool = False) -> Store:
        """Open a database; the schema is another question (`check_schema`, `upgrade`).

        Args:
            database_url: `sqlite:///path` or `postgresql://user:password@host/name`.
            read_only: never create or change anything.

        Raises:
            ConfigurationError: not such a URL; the file is damaged or belongs to another program.
            MissingExtra: PostgreSQL without its driver.
            StoreUnavailable: the database cannot be reached now.
        """
        url = _checked_url(database_url)
        if url.get_backend_name() == "sqlite":
            check_file(Path(url.database or ""), read_only=read_only)
        store = cls(url, _engine(url, "read", read_only), None if read_only else _engine(url, "write", False))
        try:
            store.ping()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def name(self) -> str:
        """The database's address without its password."""
        return mask_database_url(self.url.render_as_string(hide_password=True))

    @property
    def is_sqlite(self) -> bool:
        """True for a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def folder(self) -> Path | None:
        """The folder of a SQLite file, whose disk must not fill up; None for a database server."""
        return Path(self.url.database or ".").resolve().parent if self.is_sqlite else None

    def rows(self, statement: Statement, values: Values | None = None) -> Sequence[Row[Any]]:
        """Return all rows of a query, read in autocommit. Raises StoreUnavailable."""
        found = self._quickly(statement, values)
        if found is not None:
            return found
        with translated(), self._read.connect() as connection:
            return connection.execute(_spelled(statement, self._read.dialect.name), values).all()

    def one(self, statement: Statement, values: Values | None = None) -> Row[Any] | None:
        """Return the first row, or None. Raises StoreUnavailable."""
        found = self._quickly(statement, values, first=True)
        if found is not None:
            return found[0] if found else None
        with translated(), self._read.connect() as connection:
            return connection.execute(_spelled(statement, self._read.dialect.name), values).first()

    def _quickly(
        self, statement: Statement, values: Values | None, *, first: bool = False
    ) -> list[Row[Any]] | None:
        if self._quick is None:
            return None
        return self._quick.read(_spelled(statement, "sqlite"), values, first=first)

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Open a write transaction: committed when the block ends, rolled back when it raises.

        Keep it short: never across an HTTP request.

        Raises:
            StoreUnavailable: locked, full, read-only or gone; nothing was half written. When the connection broke
                during COMMIT itself, all or nothing of it is stored: read the key to know which (R54).
        """
        if self._write is None:
            raise StoreUnavailable("the database was opened for reading only")
        with translated(), self._write.begin() as connection:
            yield Tx(connection)

    def ping(self) -> None:
        """Read from the database. Raises StoreUnavailable, or ConfigurationError for a damaged or foreign file."""
        with translated(), self._read.connect() as connection:
            connection.exec_driver_sql("SELECT 1 FROM sqlite_master" if self.is_sqlite else "SELECT 1")

    def check_schema(self) -> None:
        """Check that the database has exactly the schema of this gateway.

        Raises:
            SchemaMismatch: empty or older (run `gateway db upgrade`), or newer (install a newer gateway).
            ConfigurationError: another program's database.
        """
        from gateway.store.schema import check_schema

        check_schema(self)

    def upgrade(self) -> None:
        """Bring an empty or older database to this gateway's schema, whole or not at all.

        Raises:
            SchemaMismatch: the schema is newer than this gateway. ConfigurationError: another program's database.
            StoreUnavailable: cannot be written now.
        """
        from gateway.store.schema import upgrade

        upgrade(self)

    def create(self) -> None:
        """Make the schema in an empty database; check it in any other. Raises as `check_schema` and `upgrade`."""
        from gateway.store.schema import create

        create(self)

    def check_integrity(self) -> None:
        """Read the whole database and check its structure; slow on large files. Raises ConfigurationError (R53)."""
        if not self.is_sqlite:
            return
        with translated(), self._read.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if found != "ok":
            raise damaged()

    @contextmanager
    def connection(self, *, write: bool) -> Iterator[Connection]:
        """Open a bare connection, for `schema` only; `write`: in a write transaction, else in autocommit."""
        engine = self._write if write else self._read
        if engine is None:
            raise StoreUnavailable("the database was opened for reading only")
        with translated(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        if self._quick is not None:
            self._quick.close()
        for engine in (self._read, self._write):
            if engine is not None:
                engine.dispose()
        _OPEN.discard(self)


# -- engines --------------------------------------------------------------------------------------------------------


def _spelled(statement: Statement, dialect: str) -> Executable:
    if not isinstance(statement, PerDialect):
        return statement
    return statement.sqlite if dialect == "sqlite" else statement.postgresql


def _checked_url(database_url: str) -> URL:
    hint = "give sqlite:///path/to/gateway.db or postgresql://user:password@host/name"
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"database_url is not a database URL: {hint}") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigurationError(f"database_url names no file: {hint}")
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        return url.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            raise MissingExtra("PostgreSQL", "postgres")
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(f"database_url names {backend[:40]!r}, which is not supported: {hint}")


def _engine(url: URL, role: str, read_only: bool) -> Engine:
    common: dict[str, Any] = {
        "pool_timeout": POOL_TIMEOUT_S,
        "hide_parameters": True,
        # Without it, an insert on PostgreSQL does not tell whether it inserted.
        "execution_options": {"preserve_rowcount": True},
    }
    if role == "read":
        common["isolation_level"] = "AUTOCOMMIT"
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_size=5, max_overflow=10, connect_args=_POSTGRESQL_ARGUMENTS, **common)
    if read_only:
        file = Path(url.database or "").absolute().as_uri()
        url = url.set(database=file, query={"mode": "ro", "uri": "true"})
    # A waiting SQLite writer holds its connection, so there may be as many as there are threads.
    timeout = {"timeout": BUSY_TIMEOUT_S}
    engine = create_engine(url, pool_size=8, max_overflow=56, connect_args=timeout, **common)
    _listen(engine, role, read_only)
    return engine


# A peer that vanished is noticed within 10 s instead of TCP's quarter of an hour.
_POSTGRESQL_ARGUMENTS: Final = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s -c synchronous_commit=on",
}


def _listen(engine: Engine, role: str, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # pysqlite's own transactions begin deferred, and late
        prepare_sqlite(connection, read_only=read_only)
        if role == "read":
            connection.execute("PRAGMA query_only=ON")

    if role == "write":

        @event.listens_for(engine, "begin")
        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")


# -- fork -----------------------------------------------------------------------------------------------------------

_OPEN: weakref.WeakSet[Store] = weakref.WeakSet()


def _forget_connections(stores: Iterable[Store] | None = None) -> None:
    """In a forked child: leave the parent's connections alone and open own ones (R52)."""
    for store in list(_OPEN if stores is None else stores):
        if store._quick is not None:
            store._quick.forget()
        for engine in (store._read, store._write):
            if engine is not None:
                engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
