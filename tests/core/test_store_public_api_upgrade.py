"""A database of the version before the public API is brought up to it, with the calls that it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.errors import SchemaMismatch
from gateway.store import Store, calls, schema
from tests.clikit import Cli
from tests.storekit import T0

BEFORE = "0001_base"
DAY = T0.replace(hour=0, minute=0, second=0, microsecond=0)
END = {"cause": "hung_up"}
FACTS: dict[str, dict[str, Any]] = {
    "told": {"answered": True, "ends": [END], "duration": {"seconds": 90, "authority": "record"}},
    "computed": {
        "answered": True,
        "answered_at": "2026-03-01T12:00:00+00:00",
        "ended_at": "2026-03-01T12:00:30.400000+00:00",
        "ends": [END],
    },
    "denied": {"answered": True, "ends": [{**END, "proves_answered": False}]},
    "proved": {"ends": [{**END, "proves_answered": True}]},
    "live": {"answered": True},
    "new": {},
    "cheap": {"cost": {"amount": "0.0085", "currency": "USD", "authority": "record"}},
    "odd": {"cost": {"amount": "1E+300", "currency": "USD", "authority": "record"}},
}
FIGURES = {
    "told": (True, 90, None, None),
    "computed": (True, 30, None, None),
    "denied": (False, 0, None, None),
    "proved": (True, 0, None, None),
    "live": (True, None, None, None),
    "new": (False, None, None, None),
    "cheap": (False, None, 8500, "USD"),
    "odd": (False, None, None, None),
}
ROW = """
    INSERT INTO call (id, workspace_id, direction, status, to_number, from_number, settings, variables, context,
                      facts, sequence, version, created_at, updated_at)
    VALUES (:id, 'default', 'outbound', 'completed', '+14155550123', '+14155550100', '{}', '{}', '{}',
            :facts, 1, 1, :at, :at)
"""


def make_before(store: Store) -> None:
    """Make the schema of the version before, as that version did, and a call of each kind."""
    from alembic import command

    at = T0 if not store.is_sqlite else "2026-03-01T12:00:00.123456Z"
    with store.connection(write=True) as connection:
        command.upgrade(schema.alembic_config(connection), BEFORE)
        connection.execute(text("INSERT INTO workspace (id, created_at) VALUES ('default', :at)"), {"at": at})
        for name, facts in FACTS.items():
            connection.execute(text(ROW), {"id": name, "facts": json.dumps(facts), "at": at})


@pytest.fixture
def before(bare_store: Store) -> Store:
    make_before(bare_store)
    return bare_store


def test_an_older_database_is_refused_until_it_is_upgraded_and_keeps_its_calls(before: Store) -> None:
    with pytest.raises(SchemaMismatch, match="gateway db upgrade"):
        before.check_schema()
    before.upgrade()
    before.check_schema()
    assert {call.id for call in calls.list_calls(before, "default").calls} == set(FACTS)
    columns = "id, is_answered, talk_s, cost_micros, cost_currency"
    rows = before.rows(text(f"SELECT {columns} FROM call"))
    assert {row[0]: (bool(row[1]), *row[2:]) for row in rows} == FIGURES
    total = calls.call_stats(before, "default", DAY, DAY.replace(day=2)).total
    assert (total.calls, total.answered, total.talk_s) == (8, 4, 120)
    before.upgrade()  # once more changes nothing


def test_an_upgraded_database_has_exactly_the_schema_of_a_new_one(before: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from gateway.store.tables import metadata

    before.upgrade()
    with before.connection(write=False) as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_an_upgrade_that_fails_leaves_the_older_database_as_it_was(before: Store) -> None:
    """A table that somebody made by hand stands in the way, after half of the changes."""
    with before.transaction() as tx:
        tx.write(text("CREATE TABLE delivery (x INTEGER)"))
    with pytest.raises(Exception, match=r"delivery|database"):
        before.upgrade()
    with before.connection(write=False) as connection:
        assert connection.execute(schema._VERSION).scalar() == BEFORE
    with before.transaction() as tx:
        tx.write(text("DROP TABLE delivery"))
    before.upgrade()
    before.check_schema()


def test_the_command_upgrades_an_older_database(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    store = Store.open(cli.database_url)
    make_before(store)
    store.close()
    assert cli.ok("db", "upgrade").out
    listed = cli.ok("calls", "list", "--json").document["data"]
    assert {call["id"] for call in listed} == set(FACTS)


def test_a_call_whose_facts_are_damaged_does_not_keep_the_others_from_being_upgraded(before: Store) -> None:
    with before.transaction() as tx:
        tx.write(text("UPDATE call SET facts = 'torn' WHERE id = 'told'"))
    before.upgrade()
    assert calls.load_call(before, "computed").duration_seconds == 30
    with pytest.raises(SchemaMismatch, match="damaged"):
        calls.load_call(before, "told")
