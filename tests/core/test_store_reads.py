"""Quick reads of a SQLite file say what the engine says, to its rows and to its errors."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import StatementError

from gateway.errors import SchemaMismatch
from gateway.store import Store, calls
from gateway.store.engine import _OPEN
from gateway.store.reads import KEPT, QuickReads
from gateway.store.tables import call
from tests.storekit import a_call, put_credential

BY_ID = select(call).where(call.c.id == bindparam("id"))
BY_IDS = select(call).where(call.c.id.in_(bindparam("ids", expanding=True)))
OF_AGENT = select(func.count(), call.c.agent_id).where(call.c.agent_id == "support").group_by(call.c.agent_id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'gateway.db'}")
    opened.upgrade()
    yield opened
    opened.close()


def quick(store: Store) -> QuickReads:
    assert store._quick is not None
    return store._quick


def put(store: Store, **said: object) -> str:
    made = a_call(put_credential(store), **said)
    with store.transaction() as tx:
        calls.insert_call(tx, made)
    return made.id


def test_a_row_is_the_one_that_the_engine_gives(store: Store) -> None:
    values = {"id": put(store, variables={"name": "Zoë \U0001f600"})}
    [row] = quick(store).read(BY_ID, values) or []
    with store.connection(write=False) as connection:
        slow = connection.execute(BY_ID, values).one()
    assert dict(row._mapping) == dict(slow._mapping)
    assert (row.created_at.tzinfo, type(row.is_answered)) == (slow.created_at.tzinfo, bool)
    assert quick(store).read(BY_ID, values, first=True) == [row]
    assert quick(store).read(BY_ID, {"id": "none"}, first=True) == []


def test_values_of_the_statement_itself_are_used(store: Store) -> None:
    put(store)
    [row] = quick(store).read(OF_AGENT, None) or []
    assert tuple(row) == (1, "support")


def test_a_list_among_the_values_is_left_to_the_engine(store: Store) -> None:
    ident = put(store)
    assert quick(store).read(BY_IDS, {"ids": [ident]}) is None
    assert [row.id for row in store.rows(BY_IDS, {"ids": [ident]})] == [ident]


def test_a_missing_value_is_an_error_and_not_null(store: Store) -> None:
    put(store)
    with pytest.raises(StatementError, match="A value is required"):
        store.one(BY_ID, {})


def test_what_fails_is_told_in_the_gateways_words(store: Store, tmp_path: Path) -> None:
    ident = put(store)
    assert store.one(BY_ID, {"id": ident}) is not None
    with sqlite3.connect(tmp_path / "gateway.db", isolation_level=None) as other:
        other.execute("ALTER TABLE call RENAME TO elsewhere")
    other.close()
    with pytest.raises(SchemaMismatch, match="gateway db upgrade"):
        store.one(BY_ID, {"id": ident})


def test_a_read_sees_what_was_committed_before_it_and_holds_nothing_up(store: Store, tmp_path: Path) -> None:
    ident = put(store)
    for sequence in range(3):
        found = calls.load_call(store, ident)
        with store.transaction() as tx:
            changed = calls.save_call(tx, found, expected_version=found.version)
        assert calls.load_call(store, ident).version == changed.version == sequence + 1
    with sqlite3.connect(tmp_path / "gateway.db") as other:
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert busy == 0, "no read is open any more"


def test_so_many_connections_wait_and_none_after_the_close(store: Store) -> None:
    reads = quick(store)
    taken = [reads._take() for _ in range(KEPT + 3)]
    for connection in taken:
        reads._give_back(connection)
    assert len(reads._idle) == KEPT
    held = reads._take()
    store.close()
    reads._give_back(held)
    assert len(reads._idle) == 0


def test_a_forked_child_opens_its_own_connections(store: Store) -> None:
    values = {"id": put(store)}
    assert store.one(BY_ID, values) is not None
    idle = quick(store)._idle[0]
    context = multiprocessing.get_context("fork")
    told, tell = context.Pipe(duplex=False)

    def child() -> None:
        assert store in _OPEN
        mine = store.one(BY_ID, values)
        tell.send(mine is not None and idle not in quick(store)._idle)

    process = context.Process(target=child)
    process.start()
    assert told.poll(30) is True
    assert told.recv() is True
    process.join(30)
    assert process.exitcode == 0
    assert store.one(BY_ID, values) is not None
