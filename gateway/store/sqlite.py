"""What SQLite needs beside its URL: which files are refused, and the settings of each connection (R48, R52, R53)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError
from gateway.store.failures import damaged

BUSY_TIMEOUT_S: Final = 5
SQLITE_PRAGMAS: Final[Mapping[str, str | int]] = {
    "busy_timeout": BUSY_TIMEOUT_S * 1000,
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
}
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
APPLICATION_ID: Final = 0x54474154  # "TGAT": in the header of our files from their first page on
OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING


def check_file(path: Path, *, read_only: bool) -> None:
    """Refuse a file that SQLite would take for new although something was there (R53)."""
    if not path.exists():
        if read_only:
            raise ConfigurationError(f"there is no database {path}: run `gateway db upgrade` to make one")
        if not path.parent.is_dir():
            raise ConfigurationError(
                f"there is no folder {path.parent} for the database: make it, or change database_url"
            )
        return
    if not path.is_file():
        raise ConfigurationError(f"{path} is not a file: change database_url")
    head = _first_bytes(path)
    if not head:
        raise ConfigurationError(
            f"{path} exists and is empty: if it was a database, restore its backup; if not, delete it and start again"
        )
    if not head.startswith(_SQLITE_MAGIC) or len(head) < 100:
        raise damaged()
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise ConfigurationError(
            f"{path} is another program's database; nothing was changed: point GATEWAY_DATABASE_URL "
            "(database_url) at another file"
        )


def _first_bytes(path: Path) -> bytes:
    """Return the file's header; wait for it: a file that another process makes now is empty until its first page."""
    try:
        for _ in range(20):
            with path.open("rb") as file:
                head = file.read(100)
            if head:
                return head
            time.sleep(0.05)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    return b""


def prepare_sqlite(connection: sqlite3.Connection, *, read_only: bool = False) -> None:
    """Set the connection's pragmas and read them back (R48).

    Raises:
        ConfigurationError: one did not take: a network file system has no WAL.
    """
    for name in ("busy_timeout", "synchronous", "foreign_keys"):
        connection.execute(f"PRAGMA {name}={SQLITE_PRAGMAS[name]}")
    if not read_only:
        _begin_file(connection)
    for name, wanted in SQLITE_PRAGMAS.items():
        if connection.execute(f"PRAGMA {name}").fetchone()[0] != wanted:
            raise ConfigurationError(
                f"SQLite does not take {name}={wanted} here: put the database on a local disk (a network file "
                "system cannot keep it safe), or use PostgreSQL"
            )


def _begin_file(connection: sqlite3.Connection) -> None:
    """Mark a new file as ours and switch it to WAL; nothing to do for a file that has both.

    SQLite does not wait for the lock when the journal mode changes: two first openers would collide.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
