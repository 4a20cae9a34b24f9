"""The driver's errors in the gateway's words; no SQL and no value in any message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import ConfigurationError, Conflict, SchemaMismatch, StoreUnavailable


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into the gateway's; no SQL and no value in any message."""
    try:
        yield
    except IntegrityError:
        raise Conflict("what is stored already forbids this change") from None
    except PoolTimeout:
        raise StoreUnavailable("every database connection is in use") from None
    except DBAPIError as error:
        known = _known_error(error)
        if known is None:
            raise
        raise known from error


# Words in a driver's message -> what they mean to an operator. SQLite has only its messages to go by.
_DAMAGED: Final = ("file is not a database", "malformed", "unsupported file format")
_NO_TABLE: Final = ("no such table", "no such column", "has no column named")
_REFUSED: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
)  # while PostgreSQL is connected to
_UNAVAILABLE: Final = {
    "locked": "another process holds the database's write lock",
    "is full": "the disk is full",
    "readonly": "the database is read-only",
    "read-only": "the database is read-only",
    "unable to open": "the database file cannot be opened",
    "disk I/O error": "the disk reports an error",
}


def _known_error(error: DBAPIError) -> Exception | None:
    said = str(error.orig)
    if any(word in said for word in _DAMAGED):
        return damaged()
    if any(word in said for word in _NO_TABLE) or type(error.orig).__name__ in (
        "UndefinedTable",
        "UndefinedColumn",
    ):
        return SchemaMismatch(
            "the database lacks a table or column of this version: run `gateway db upgrade`"
        )
    if isinstance(error, OperationalError) and any(word in said for word in _REFUSED):
        return ConfigurationError(
            "PostgreSQL refuses the connection: check user, password and database name in GATEWAY_DATABASE_URL"
        )
    for word, meaning in _UNAVAILABLE.items():
        if word in said:
            return StoreUnavailable(meaning)
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return StoreUnavailable(f"the database does not take this now ({type(error.orig).__name__})")
    return None


def damaged() -> ConfigurationError:
    """Return the refusal of a file whose structure is broken (R53)."""
    return ConfigurationError(
        "the database file is damaged or is no SQLite database; nothing was changed: restore a backup, "
        "or point GATEWAY_DATABASE_URL (database_url) at another file"
    )
