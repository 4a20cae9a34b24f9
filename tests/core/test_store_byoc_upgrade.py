"""A database of the version before accounts were set up at their carriers is brought up to it, with what it holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, insert, inspect, text

from gateway.ids import new_token
from gateway.models import Number, NumberKind, SetupState
from gateway.status import Direction
from gateway.store import Store, attempts, calls, credentials, endpoints, numbers, operations, schema
from gateway.store.tables import metadata
from tests.storekit import CALLEE, CALLER, T0

BEFORE = "0003_numbers_in_events"
OTHER = "+14155550101"
KEY, TOKEN = new_token(), new_token()
TEXT_OF: dict[str, Any] = {"credential_id": "c1", "workspace_id": "default", "agent_id": "support"}
# Each table's row, by what matters; `fill` adds what else the table wants.
ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("workspace", {"id": "default"}),
    ("credential", {"id": "c1", "provider": "plivo", "name": "main", "key": KEY, "sealed": "sealed text"}),
    ("agent", {"id": "support", "connect": '{"kind": "sip", "uri": "sip:a@b.example"}', "fallback": "[]"}),
    ("number", {"id": "n1", "e164": CALLER, "provider": "plivo", "carrier_ref": "14155550100"}),
    ("number", {"id": "n2", "e164": OTHER, "provider": "plivo"}),
    ("assignment", {"number_id": "n1", "direction": "inbound"}),
    ("assignment", {"number_id": "n1", "direction": "outbound"}),
    ("call", {"id": "call", "direction": "outbound", "status": "queued", "to_number": CALLEE, "facts": "{}"}),
    ("attempt", {"id": "a1", "call_id": "call", "provider": "plivo", "state": "unknown", "token": TOKEN}),
    ("webhook_endpoint", {"id": "e1", "url": "https://93.184.216.34/x", "include_numbers": True}),
)


@pytest.fixture
def before(bare_store: Store) -> Store:
    """The database as that version made it, with a row in each table that is changed, and in those beside it."""
    from alembic import command

    at = T0 if not bare_store.is_sqlite else "2026-03-01T12:00:00.123456Z"
    with bare_store.connection(write=True) as connection:
        command.upgrade(schema.alembic_config(connection), BEFORE)
        for name, said in ROWS:
            table = Table(name, MetaData(), autoload_with=connection)
            connection.execute(insert(table), fill(table, said, at))
    return bare_store


def fill(table: Table, said: dict[str, Any], at: datetime | str) -> dict[str, Any]:
    """Return a whole row: what is said, and something fit for each column that must not be empty."""
    row = dict(said)
    for column in table.columns:
        if column.name in row or column.nullable or column.server_default is not None:
            continue
        if column.name in TEXT_OF:
            row[column.name] = TEXT_OF[column.name]
        elif column.name.endswith("_at"):
            row[column.name] = at
        elif column.name in ("settings", "variables", "context"):
            row[column.name] = "{}"
        elif column.name in ("events", "event_types", "types"):
            row[column.name] = "[]"
        elif column.name == "from_number":
            row[column.name] = CALLER
        elif column.name == "caller_id_strategy":
            row[column.name] = "first"
        elif column.type.python_type is str:
            row[column.name] = CALLEE if column.name == "to_number" else column.name
        elif not (column.primary_key and column.type.python_type is int):
            row[column.name] = column.type.python_type(1)
    return row


def test_what_was_there_is_there_afterwards_and_nothing_of_it_is_ours_to_watch(before: Store) -> None:
    before.upgrade()
    before.check_schema()
    found = credentials.load_sealed_credential(before, "c1")
    known = found.credential
    assert (known.key, known.name, found.sealed) == (KEY, "main", "sealed text")
    assert (known.application_ref, known.application_before, known.application_is_ours) == (None, None, False)
    listed = {each.e164: each for each in numbers.list_numbers(before, "default")}
    assert set(listed) == {CALLER, OTHER}
    assert all(is_untouched(each) for each in listed.values())
    assert listed[CALLER].carrier_ref == "14155550100"
    assert numbers.watched_numbers(before, "default") == [listed[CALLER]]
    served = {(each.agent_id, each.direction) for each in numbers.list_assignments(before, "default")}
    assert served == {("support", Direction.INBOUND), ("support", Direction.OUTBOUND)}
    assert calls.load_call(before, "call").to == CALLEE
    waiting = attempts.load_attempt_by_token(before, TOKEN)
    assert waiting is not None
    assert (waiting.state, waiting.to, waiting.trunk_ref) == ("unknown", CALLEE, None)
    assert endpoints.load_endpoint(before, "default", "e1").include_numbers is True
    assert operations.list_operations(before, "default", also_ended=True) == []
    before.upgrade()  # once more changes nothing


def is_untouched(number: Number) -> bool:
    return (number.kind, number.setup_state, number.is_drifted, number.trunk_ref, number.next_check_at) == (
        NumberKind.OWNED,
        SetupState.NONE,
        False,
        None,
        None,
    )


def test_an_upgraded_database_has_exactly_the_schema_of_a_new_one(before: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    before.upgrade()
    with before.connection(write=False) as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_an_upgrade_that_fails_leaves_the_older_database_as_it_was(before: Store) -> None:
    """A table that somebody made by hand stands in the way, after half of the changes."""
    with before.transaction() as tx:
        tx.write(text("CREATE TABLE operation (x INTEGER)"))
    with pytest.raises(Exception, match=r"operation|database"):
        before.upgrade()
    with before.connection(write=False) as connection:
        assert connection.execute(schema._VERSION).scalar() == BEFORE
        assert "sip_link" not in inspect(connection).get_table_names()
        assert "setup_state" not in {each["name"] for each in inspect(connection).get_columns("number")}
    with before.transaction() as tx:
        tx.write(text("DROP TABLE operation"))
    before.upgrade()
    before.check_schema()
