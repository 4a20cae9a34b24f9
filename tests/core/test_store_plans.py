"""Queries that stay cheap however many calls there are: SQLite's own plan says which index each takes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from gateway.errors import GatewayError
from gateway.status import CallStatus, Direction
from gateway.store import (
    Reader,
    Store,
    Tx,
    actions,
    agents,
    attempts,
    calls,
    credentials,
    events,
    numbers,
    steps,
    webhooks,
)
from gateway.store.paging import write_cursor
from tests.storekit import T0

LATER = T0.replace(year=2027)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{path}")
    opened.upgrade()
    yield opened
    opened.close()


def plans(store: Store, path: Path, work: Callable[[Any], object]) -> list[str]:
    """Run `work` in a transaction and return the plan of every statement that it ran."""
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _cur: object, statement: str, values: Any, *_rest: object) -> None:
        ran.append((statement, values))

    engine = store._write
    assert engine is not None
    with suppress(GatewayError), store.transaction() as tx:
        event.listen(engine, "before_cursor_execute", note)
        try:
            work(tx)
        finally:
            event.remove(engine, "before_cursor_execute", note)
    plain = sqlite3.connect(path)
    found = [row[3] for sql, values in ran for row in plain.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    plain.close()
    return found


PAGES: dict[str, dict[str, Any]] = {
    "ix_call_page": {},
    "ix_call_status": {"status": CallStatus.BUSY},
    "ix_call_agent": {"agent_id": "support"},
    "ix_call_direction": {"direction": Direction.INBOUND},
}


@pytest.mark.parametrize("index", PAGES)
@pytest.mark.parametrize("bounds", [{}, {"created_after": T0, "created_before": LATER}])
def test_a_page_of_calls_is_read_in_order_from_its_filters_index(
    store: Store, path: Path, index: str, bounds: dict[str, Any]
) -> None:
    filters = {**PAGES[index], **bounds}
    cursor = write_cursor(T0, "x", calls._filters(*_six(filters)))
    for said in ({}, {"cursor": cursor}):
        found = plans(store, path, lambda tx, said=said: calls.list_calls(tx, "default", **filters, **said))
        assert len(found) == 1
        assert found[0].startswith(f"SEARCH call USING INDEX {index} (")


def _six(filters: dict[str, Any]) -> tuple[Any, ...]:
    names = ("status", "direction", "agent_id", "created_after", "created_before")
    return ("default", *(filters.get(name) for name in names))


LOOK_UPS: dict[str, Callable[[Tx], object]] = {
    "INDEX ix_call_agent_status ": lambda tx: calls.count_live_calls(tx, "default", "support"),
    "INDEX ix_call_look ": lambda tx: calls.due_quiet_calls(tx, T0, 10),
    "INDEX ix_call_cost_look ": lambda tx: calls.due_cost_looks(tx, T0, 10),
    "autoindex_call_1 (id=?)": lambda tx: calls.load_call(tx, "x"),
    "autoindex_call_leg_1 (credential_id=? AND leg_id=?)": lambda tx: calls.find_call_by_leg(
        tx, "c", ["x", "y"]
    ),
    "(workspace_id=? AND idempotency_key=?)": lambda tx: calls.find_by_idempotency_key(tx, "default", "k"),
    "INDEX ix_attempt_lease ": lambda tx: attempts.expire_leases(tx, T0),
    "INDEX ix_attempt_look ": lambda tx: attempts.due_unknown_attempts(tx, T0, 10),
    "(token=?)": lambda tx: attempts.load_attempt_by_token(tx, "x"),
    "autoindex_attempt_2 (call_id=?)": lambda tx: attempts.latest_attempt(tx, "x"),
    "INDEX ix_call_event_call ": lambda tx: events.list_events(tx, "x"),
    "autoindex_step_1 (token=?)": lambda tx: steps.load_step_by_token(tx, "x"),
    "(stream_token_hash=?)": lambda tx: steps.claim_stream(tx, "h", T0),
    "autoindex_step_2 (call_id=?)": lambda tx: steps.current_step(tx, "x"),
    "INDEX ix_step_join ": lambda tx: steps.due_joins(tx, T0, 10),
    "INDEX ix_action_due ": lambda tx: actions.claim_actions(tx, T0, 10, 30),
    "INDEX ix_seen_webhook_received ": lambda tx: webhooks.purge_seen(tx, T0),
    "(key=?)": lambda tx: credentials.load_credential_by_key(tx, "k"),
    "(credential_id=? AND e164=?)": lambda tx: numbers.inbound_agent(tx, "c", "+14155550100"),
    "INDEX ix_number_e164 ": lambda tx: numbers.holders_of(tx, "+14155550100"),
    "INDEX ix_assignment_agent ": lambda tx: numbers.outbound_numbers(tx, "default", "support"),
    "(workspace_id=? AND id=?)": lambda tx: agents.find_agent(tx, "default", "support"),
}


@pytest.mark.parametrize("index", LOOK_UPS)
def test_a_look_up_takes_its_index_and_reads_no_whole_table(store: Store, path: Path, index: str) -> None:
    found = plans(store, path, LOOK_UPS[index])
    assert any(index in line for line in found), found
    assert not [line for line in found if line.startswith("SCAN") and "CONSTANT ROW" not in line], found


def test_readers_are_stores_and_transactions(store: Store) -> None:
    def ask(source: Reader) -> object:
        return agents.find_agent(source, "default", "nobody")

    with store.transaction() as tx:
        assert ask(tx) is ask(store) is None
