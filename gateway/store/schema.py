"""Which schema a database has, and how it gets the one of this gateway.

The version is a row of our own version table (named so that an embedding program's Alembic does not meet it). Reading
it needs no Alembic; only an upgrade imports it. An upgrade is one transaction on both databases: a process that is
killed in it leaves the schema as it was (R56), and of two that upgrade at once the second finds nothing to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, column, select, table, text
from sqlalchemy import inspect as inspect_database

from gateway.errors import ConfigurationError, SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

    from gateway.store.engine import Store

VERSION_TABLE: Final = "gateway_schema"
REVISIONS: Final = (
    "0001_base",
    "0002_public_api",
    "0003_numbers_in_events",
    "0004_byoc",
)  # oldest first; a test holds them equal to the folder of migrations
HEAD: Final = REVISIONS[-1]
_VERSION: Final[Select[Any]] = select(column("version_num")).select_from(table(VERSION_TABLE))
_UPGRADE_LOCK: Final = text("SELECT pg_advisory_xact_lock(1413955924)")  # one upgrade at a time


def check_schema(store: Store) -> None:
    """Raise SchemaMismatch unless the database has exactly this gateway's schema; see `Store.check_schema`."""
    with store.connection(write=False) as connection:
        found = _version(connection)
    if found == HEAD:
        return
    if found is None:
        raise SchemaMismatch(f"{store.name} has no tables yet: run `gateway db upgrade`")
    _refuse_unknown(store, found)
    raise SchemaMismatch(
        f"{store.name} has the older schema {found!r}, this gateway needs {HEAD!r}: run `gateway db upgrade`"
    )


def create(store: Store) -> None:
    """Make the schema in an empty database; leave any other as it is; see `Store.create`."""
    with store.connection(write=False) as connection:
        is_empty = _version(connection) is None
    if is_empty:
        upgrade(store)
    check_schema(store)


def upgrade(store: Store) -> None:
    """Bring the database to this gateway's schema; see `Store.upgrade`."""
    with store.connection(write=False) as connection:
        if _version(connection) == HEAD:
            return
    with store.connection(write=True) as connection:
        if not store.is_sqlite:
            connection.execute(_UPGRADE_LOCK)
        found = _version(connection)
        if found == HEAD:
            return  # another process was faster
        if found is not None:
            _refuse_unknown(store, found)
        _migrate(connection)


def _version(connection: Connection) -> str | None:
    """Return the database's schema version, None for an empty one. Raises ConfigurationError for a foreign one."""
    present = set(inspect_database(connection).get_table_names())
    if VERSION_TABLE in present:
        found = connection.execute(_VERSION).scalar()
        return None if found is None else str(found)
    from gateway.store.tables import metadata

    ours = sorted(present & metadata.tables.keys())
    if ours:
        raise ConfigurationError(
            f"the database has tables of another program ({', '.join(ours[:3])}); nothing was changed: give the "
            "gateway a database of its own"
        )
    return None


def _refuse_unknown(store: Store, found: str) -> None:
    if found not in REVISIONS:
        raise SchemaMismatch(
            f"{store.name} has the schema {found[:40]!r}, which this gateway does not know: a newer gateway made it; "
            f"install that version (this one knows up to {HEAD!r})"
        )


def _migrate(connection: Connection) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection | None = None) -> Config:
    """Return the configuration that Alembic needs; its own command line is not used."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
