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
from gateway.models import WebhookEndpoint
from gateway.status import CallStatus, Direction
from gateway.store import (
    Reader,
    Store,
    Tx,
    actions,
    agents,
    analyses,
    api_keys,
    attempts,
    calls,
    credentials,
    endpoints,
    events,
    numbers,
    outbox,
    rates,
    steps,
    tombstones,
    webhooks,
)
from gateway.store.paging import write_cursor
from gateway.store.rows import DeliveryState, Notification
from tests.storekit import T0

LATER = T0.replace(year=2027)
ENDPOINT = WebhookEndpoint(
    id="endpoint", workspace_id="default", url="https://a.example", created_at=T0, updated_at=T0
)
EVENT = Notification(
    id="evt_1",
    workspace_id="default",
    call_id=None,
    type="call.ended",
    sequence=1,
    payload="{}",
    created_at=T0,
)


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
    "ix_call_agent_status": {"agent_id": "support", "status": CallStatus.BUSY},
    "ix_call_agent_direction": {"agent_id": "support", "direction": Direction.INBOUND},
    "ix_call_direction_status": {"direction": Direction.INBOUND, "status": CallStatus.BUSY},
    "ix_call_all": {"agent_id": "support", "direction": Direction.INBOUND, "status": CallStatus.BUSY},
}
BOUNDS: list[dict[str, Any]] = [
    {},
    {"created_after": T0},
    {"created_before": LATER},
    {"created_after": T0, "created_before": LATER},
]


@pytest.mark.parametrize("index", PAGES)
@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: " ".join(bounds) or "always")
def test_a_page_of_calls_is_read_in_order_from_its_filters_index(
    store: Store, path: Path, index: str, bounds: dict[str, Any]
) -> None:
    filters = {**PAGES[index], **bounds}
    cursor = write_cursor(T0, "x", calls._filters(*_six(filters)))
    for said in ({}, {"cursor": cursor}):
        found = plans(store, path, lambda tx, said=said: calls.list_calls(tx, "default", **filters, **said))
        assert len(found) == 1
        assert found[0].startswith(f"SEARCH call USING INDEX {index} (")
        is_bounded = bool(said) or "created_before" in bounds
        assert found[0].count("<") == is_bounded


@pytest.mark.parametrize("index", PAGES)
@pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: " ".join(bounds) or "always")
def test_calls_are_counted_in_their_filters_index_alone(
    store: Store, path: Path, index: str, bounds: dict[str, Any]
) -> None:
    filters = {**PAGES[index], **bounds}
    found = plans(store, path, lambda tx: calls.count_calls(tx, "default", **filters))
    (searched,) = (line for line in found if "call" in line)
    assert searched.startswith("SEARCH call USING COVERING INDEX ix_call_")
    assert searched.count("=?") == 1 + len(PAGES[index])


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
    "(prefix=?)": lambda tx: api_keys.find_key_by_prefix(tx, "gwk_12345678"),
    "INDEX ix_api_key_workspace ": lambda tx: api_keys.list_keys(tx, "default"),
    "INDEX ix_webhook_endpoint_workspace ": lambda tx: endpoints.list_endpoints(tx, "default"),
    "autoindex_call_analysis_1 (call_id=?)": lambda tx: analyses.analyses_of(tx, ["x", "y"]),
    "autoindex_rate_count_1 (key=? AND window_start=?)": lambda tx: rates.window_counts(tx, "k", 60, T0),
    "INDEX ix_rate_count_window ": lambda tx: rates.purge_counts(tx, T0),
    "autoindex_tombstone_1 (kind=? AND owner=? AND name=?)": lambda tx: tombstones.is_deleted_leg(
        tx, "c", ["x"]
    ),
    "INDEX ix_tombstone_deleted ": lambda tx: tombstones.purge_tombstones(tx, T0),
    "INDEX ix_notification_page ": lambda tx: outbox.list_notifications(tx, "default"),
    "INDEX ix_notification_created ": lambda tx: outbox.purge_outbox(tx, T0),
    "autoindex_delivery_2 (notification_id=?)": lambda tx: outbox.purge_outbox(tx, T0),
    "INDEX ix_call_page (workspace_id=? AND created_at>? AND created_at<?)": lambda tx: calls.call_stats(
        tx, "default", T0, LATER
    ),
}


@pytest.mark.parametrize("index", LOOK_UPS)
def test_a_look_up_takes_its_index_and_reads_no_whole_table(store: Store, path: Path, index: str) -> None:
    found = plans(store, path, LOOK_UPS[index])
    assert any(index in line for line in found), found
    harmless = ("CONSTANT ROW", "SCAN sums")  # what the statement itself made, once
    assert not [
        line for line in found if line.startswith("SCAN") and not any(word in line for word in harmless)
    ], found


DELIVERIES: dict[str, dict[str, Any]] = {
    "ix_delivery_page": {},
    "ix_delivery_state": {"state": DeliveryState.DEAD},
    "ix_delivery_endpoint": {"endpoint_id": "endpoint"},
    "ix_delivery_endpoint_state": {"endpoint_id": "endpoint", "state": DeliveryState.DEAD},
}


@pytest.mark.parametrize("index", DELIVERIES)
def test_a_page_of_deliveries_is_read_in_order_from_its_filters_index(
    store: Store, path: Path, index: str
) -> None:
    filters = DELIVERIES[index]
    with store.transaction() as tx:
        endpoints.insert_endpoint(tx, ENDPOINT, sealed="sealed")
    named = {name: value for name, value in filters.items() if name != "workspace_id"}
    cursor = write_cursor(T0, "x", named if "endpoint_id" in named else {"workspace_id": "default", **named})
    for said in ({}, {"cursor": cursor}):
        found = plans(
            store, path, lambda tx, said=said: outbox.list_deliveries(tx, "default", **filters, **said)
        )
        assert found[-1].startswith(f"SEARCH delivery USING INDEX {index} (")
        assert "id<?" in found[-1] if said else "id<?" not in found[-1]


def test_a_claim_looks_into_the_indexes_of_what_is_pending(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        endpoints.insert_endpoint(tx, ENDPOINT, sealed="sealed")
        outbox.add_notification(tx, EVENT)
    found = plans(store, path, lambda tx: outbox.claim_deliveries(tx, T0, 10, 30, 5))
    first = "SCAN delivery USING INDEX ix_delivery_pending"  # with LIMIT 1: its first entry
    scans = [
        line
        for line in found
        if line.startswith("SCAN") and line not in ("SCAN CONSTANT ROW", "SCAN waiting")
    ]
    assert scans == [first], found
    assert not [line for line in found if line.startswith("SEARCH delivery") and "INDEX" not in line], found
    assert any("INDEX ix_delivery_pending (endpoint_id>?" in line for line in found), found
    assert any("INDEX ix_delivery_pending (endpoint_id=? AND due_at<?" in line for line in found), found
    assert any("INDEX ix_delivery_leased (endpoint_id=? AND lease_until>?" in line for line in found), found


def test_deleting_a_call_reads_no_whole_table(store: Store, path: Path) -> None:
    """The statements of the delete itself, and what the foreign keys look up: each has an index of its own."""
    found = plans(store, path, lambda tx: calls.delete_calls(tx, "default", ["x"], at=T0))
    assert not [line for line in found if line.startswith("SCAN")], found
    with sqlite3.connect(path) as plain:
        referring = {
            (table, row[3])
            for (table,) in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for row in plain.execute(f"PRAGMA foreign_key_list({table})")
            if row[2] in ("call", "notification", "webhook_endpoint")
        }
        plans_of = {
            (table, column): plain.execute(
                f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = ?", ["x"]
            ).fetchone()[3]
            for table, column in referring
        }
    plain.close()
    assert len(plans_of) >= 8
    assert not [plan for plan in plans_of.values() if plan.startswith("SCAN")], plans_of


def test_readers_are_stores_and_transactions(store: Store) -> None:
    def ask(source: Reader) -> object:
        return agents.find_agent(source, "default", "nobody")

    with store.transaction() as tx:
        assert ask(tx) is ask(store) is None
