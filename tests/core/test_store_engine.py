"""The database itself: settings of each connection, transactions, schema, and what is refused."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.errors import ConfigurationError, Conflict, SchemaMismatch, StoreUnavailable
from gateway.store import Store, schema, upkeep
from gateway.store.sqlite import APPLICATION_ID, SQLITE_PRAGMAS
from tests.storekit import T0, put_agent, put_credential

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def sqlite(path: Path) -> Store:
    store = Store.open(f"sqlite:///{path}")
    store.upgrade()
    return store


def opened(path: Path) -> Store:
    return Store.open(f"sqlite:///{path}")


# -- settings of each connection (R48) ------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [True, False])
def test_every_sqlite_connection_has_the_settings_that_keep_a_dial(sqlite: Store, write: bool) -> None:
    held = []
    for _ in range(3):  # three at once, so that the pool makes new ones
        context = sqlite.connection(write=False) if not write else None
        connection = context.__enter__() if context else sqlite._write.connect()  # type: ignore[union-attr]
        held.append((context, connection))
        read = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in SQLITE_PRAGMAS}
        assert read == {"busy_timeout": 5000, "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        if write:
            connection.rollback()
    for context, connection in held:
        context.__exit__(None, None, None) if context else connection.close()
    sqlite.close()


def test_a_write_transaction_takes_the_write_lock_at_once(sqlite: Store, path: Path) -> None:
    with sqlite.transaction():
        other = sqlite3.connect(path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
    sqlite.close()


def test_a_reader_sees_only_what_is_committed_and_never_waits(store: Store) -> None:
    with store.transaction() as tx:
        upkeep.put_meta(tx, "colour", "red")
        assert upkeep.find_meta(store, "colour") is None
        assert upkeep.find_meta(tx, "colour") == "red"
    assert upkeep.find_meta(store, "colour") == "red"


def test_the_read_engine_cannot_write(sqlite: Store) -> None:
    with pytest.raises(StoreUnavailable):
        sqlite.rows(text("DELETE FROM meta"))
    sqlite.close()


# -- transactions ---------------------------------------------------------------------------------------------------


def test_an_exception_inside_a_transaction_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the block is the transaction
        upkeep.put_meta(tx, "colour", "red")
        raise RuntimeError
    assert upkeep.find_meta(store, "colour") is None


def test_a_broken_constraint_is_a_conflict_that_shows_no_value(store: Store) -> None:
    credential = put_credential(store)
    with pytest.raises(Conflict) as caught:
        put_credential(store, key=credential.key)
    assert credential.key not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_locked_by_another_process_is_unavailable_and_nothing_is_half_written(
    sqlite: Store, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="write lock") as caught, sqlite.transaction() as tx:
        upkeep.put_meta(tx, "colour", "red")
    other.execute("ROLLBACK")
    other.close()
    assert caught.value.retry_after_s >= 1
    assert upkeep.find_meta(sqlite, "colour") is None
    with sqlite.transaction() as tx:  # the same connections serve again
        upkeep.put_meta(tx, "colour", "blue")
    sqlite.close()


def test_a_full_database_is_unavailable_keeps_what_it_had_and_goes_on_when_there_is_room(
    sqlite: Store,
) -> None:
    with sqlite.transaction() as tx:
        upkeep.put_meta(tx, "kept", "yes")
    with sqlite.connection(write=False) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    with pytest.raises(StoreUnavailable, match="full"), sqlite.transaction() as tx:  # noqa: PT012 - the same
        tx.write(text(f"PRAGMA max_page_count={pages}"))
        upkeep.put_meta(tx, "big", "x" * 1_000_000)
    assert upkeep.find_meta(sqlite, "kept") == "yes"
    assert upkeep.find_meta(sqlite, "big") is None
    with sqlite.transaction() as tx:
        tx.write(text("PRAGMA max_page_count=1000000"))
        upkeep.put_meta(tx, "big", "x" * 1_000_000)
    sqlite.check_integrity()
    sqlite.close()


def test_a_store_opened_for_reading_refuses_to_write_and_makes_no_file(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"):
        Store.open(f"sqlite:///{path}", read_only=True)
    assert not path.exists()
    opened_for_writing = opened(path)
    opened_for_writing.upgrade()
    reader = Store.open(f"sqlite:///{path}", read_only=True)
    reader.check_schema()
    with pytest.raises(StoreUnavailable, match="reading only"), reader.transaction():
        pass
    reader.close()
    opened_for_writing.close()


def test_a_server_that_is_gone_is_unavailable() -> None:
    pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    with pytest.raises(StoreUnavailable) as caught:
        Store.open("postgresql://someone:canary@127.0.0.1:1/nothing")
    assert "canary" not in str(caught.value)


@pytest.mark.postgres
def test_a_connection_that_breaks_inside_a_transaction_leaves_nothing_and_the_next_one_works(
    postgres_store: Store,
) -> None:
    store = postgres_store
    break_it = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StoreUnavailable), store.transaction() as tx:  # noqa: PT012 - the block is the transaction
        upkeep.put_meta(tx, "broken", "red")
        tx.rows(break_it)
    assert upkeep.find_meta(store, "broken") is None
    with pytest.raises(StoreUnavailable):
        store.rows(break_it)
    with store.transaction() as tx:
        upkeep.put_meta(tx, "mended", "yes")
    assert upkeep.find_meta(store, "mended") == "yes"


@pytest.mark.postgres
def test_a_server_without_that_database_names_the_setting(postgres_store: Store) -> None:
    url = postgres_store.url.set(database="nothing_here").render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match="GATEWAY_DATABASE_URL"):
        Store.open(url)


@pytest.mark.postgres
def test_a_row_held_by_another_worker_is_unavailable_after_the_lock_timeout(postgres_store: Store) -> None:
    from gateway.store import agents

    put_agent(postgres_store, id="held")
    with postgres_store.transaction() as first:
        agents.load_agent_for_update(first, "default", "held")
        with pytest.raises(StoreUnavailable), postgres_store.transaction() as second:  # noqa: PT012
            second.write(text("SET LOCAL lock_timeout = '50ms'"))
            agents.load_agent_for_update(second, "default", "held")


# -- the schema -----------------------------------------------------------------------------------------------------


def test_a_new_database_has_no_schema_until_it_is_upgraded(path: Path) -> None:
    store = opened(path)
    with pytest.raises(SchemaMismatch, match="gateway db upgrade"):
        store.check_schema()
    store.upgrade()
    store.check_schema()
    store.upgrade()  # once more changes nothing
    store.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from gateway.store.tables import metadata

    with store.connection(write=False) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_a_sqlite_database_has_the_partial_indexes_of_the_code(sqlite: Store) -> None:
    """Alembic does not compare their conditions."""
    from sqlalchemy.schema import CreateIndex

    from gateway.store.tables import metadata

    with sqlite.connection(write=False) as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql LIKE '%INDEX%'")
        stored = {name: " ".join(sql.split()) for name, sql in rows}
        wanted = {
            str(index.name): " ".join(str(CreateIndex(index).compile(connection)).split())
            for table in metadata.sorted_tables
            for index in table.indexes
        }
    assert stored == wanted
    sqlite.close()


def test_the_known_revisions_are_the_shipped_migrations() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(schema.alembic_config())
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == schema.REVISIONS


def set_version(path: Path, version: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE gateway_schema SET version_num = ?", [version])
    connection.close()


def test_a_newer_schema_is_refused_and_left_alone(sqlite: Store, path: Path) -> None:
    set_version(path, "9999_future")
    with pytest.raises(SchemaMismatch, match="newer gateway"):
        sqlite.check_schema()
    with pytest.raises(SchemaMismatch, match="newer gateway"):
        sqlite.upgrade()
    sqlite.close()


def test_an_older_schema_names_the_command_that_upgrades_it(
    sqlite: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_version(path, "0000_older")
    monkeypatch.setattr(schema, "REVISIONS", ("0000_older", *schema.REVISIONS))
    with pytest.raises(SchemaMismatch, match="gateway db upgrade"):
        sqlite.check_schema()
    sqlite.close()


def upgrade_in_a_process(url: str) -> None:
    store = Store.open(url)
    store.upgrade()
    store.check_schema()
    store.close()


def test_processes_that_make_the_same_database_at_once_all_succeed(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=upgrade_in_a_process, args=(f"sqlite:///{path}",)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4


# -- files that are refused (R53) -----------------------------------------------------------------------------------


def refuse(path: Path, match: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=match):
        opened(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_untouched(path: Path) -> None:
    path.write_bytes(b"a letter to my mother\n" * 400)
    refuse(path, "damaged")


def test_another_programs_database_is_refused_and_untouched(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    refuse(path, "another program")


def test_an_empty_file_is_refused_because_a_database_may_have_been_there(path: Path) -> None:
    path.touch()
    refuse(path, "empty")


def test_a_truncated_file_is_refused(sqlite: Store, path: Path) -> None:
    sqlite.close()
    path.write_bytes(path.read_bytes()[:60])
    refuse(path, "damaged")


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        opened(tmp_path / "missing" / "gateway.db")


def test_flipped_pages_are_found_by_the_integrity_check(sqlite: Store, path: Path) -> None:
    put_agent(sqlite)
    sqlite.close()
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))
    with pytest.raises(ConfigurationError, match="damaged"):  # noqa: PT012 - whichever comes first
        store = opened(path)
        store.check_schema()
        store.check_integrity()


def test_a_new_file_is_marked_as_ours(sqlite: Store, path: Path) -> None:
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID
    sqlite.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u@h/d", "gateway.db", ""])
def test_a_database_url_that_names_no_lasting_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Store.open(url)


def test_a_database_that_turned_read_only_is_unavailable(sqlite: Store) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"), sqlite.transaction() as tx:  # noqa: PT012
        tx.write(text("PRAGMA query_only=ON"))
        upkeep.put_meta(tx, "colour", "red")
    assert upkeep.find_meta(sqlite, "colour") is None
    sqlite.close()


def test_the_password_is_in_no_name_of_the_database() -> None:
    pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    from gateway.store.engine import _checked_url, _engine

    url = _checked_url("postgresql://u:canary@h/d?password=canary2")
    store = Store(url, _engine(url, "read", False), None)
    assert "canary" not in store.name
    store.close()


# -- processes ------------------------------------------------------------------------------------------------------


def test_a_forked_child_uses_connections_of_its_own(sqlite: Store) -> None:
    with sqlite.transaction() as tx:
        upkeep.put_meta(tx, "colour", "red")
    child = os.fork()
    if child == 0:
        try:
            with sqlite.transaction() as tx:
                upkeep.put_meta(tx, "child", "was here")
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert upkeep.find_meta(sqlite, "child") == "was here"
    sqlite.check_integrity()
    sqlite.close()


def test_importing_the_gateway_does_not_import_the_database_library() -> None:
    code = "import gateway, sys; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_opening_a_database_does_not_import_the_migration_library(path: Path, sqlite: Store) -> None:
    sqlite.close()
    code = (
        "import sys; from gateway.store import Store; s = Store.open(sys.argv[1]); s.check_schema(); "
        "s.close(); sys.exit('alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], cwd=ROOT, check=False)
    assert run.returncode == 0


def test_times_and_texts_come_back_equal_from_both_databases(store: Store) -> None:
    agent = put_agent(store, name="Zoë 🎧 \u202e \x00 \ud800")
    from gateway.store import agents

    found = agents.load_agent(store, agent.workspace_id, agent.id)
    assert found.name == "Zoë 🎧 \u202e \ufffd \ufffd"
    credential = put_credential(store, created_at=T0)
    from gateway.store import credentials

    assert credentials.load_credential(store, credential.id).created_at == T0
