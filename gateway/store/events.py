"""Events: what carriers reported about calls, as it arrived, and what became of it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, select

from gateway.models import EventOutcome, EventRecord
from gateway.status import CallFacts, CallStatus
from gateway.store.codec import clean_text, read_facts, read_json, write_facts, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.statements import insert_new
from gateway.store.tables import call_event

_c = call_event.c
_ADD: Final = insert_new(call_event)
_AFTER: Final = (
    select(func.coalesce(func.max(_c.position), 0)).where(_c.id == bindparam("after_id")).scalar_subquery()
)


def _listed(of: Any) -> Select[Any]:
    return select(call_event).where(of, _c.position > _AFTER).order_by(_c.position).limit(bindparam("most"))


_OF_CALL: Final = _listed(_c.call_id == bindparam("call_id"))
_OF_WORKSPACE: Final = _listed(_c.workspace_id == bindparam("workspace_id"))
_FACTS: Final = (
    select(_c.facts).where(_c.call_id == bindparam("call_id"), _c.facts.is_not(None)).order_by(_c.position)
)
_LATEST: Final = select(_c.id).order_by(_c.position.desc()).limit(1)


def add_event(
    tx: Tx,
    record: EventRecord,
    *,
    workspace_id: str,
    credential_id: str | None,
    event_id: str | None,
    facts: CallFacts | None = None,
) -> bool:
    """Keep an event; return False, and keep nothing, when the credential's event is known already.

    Args:
        event_id: the adapter's dedupe key; None for what the gateway did itself, which is always kept.
        facts: what the event added, so that a call's facts can be made again from its events.
    """
    values = {
        "id": record.id,
        "workspace_id": workspace_id,
        "call_id": record.call_id,
        "credential_id": credential_id,
        "event_id": None if event_id is None else clean_text(event_id, 500),
        "provider": record.provider,
        "name": clean_text(record.name, 200),
        "source": record.source,
        "outcome": record.outcome.value,
        "detail": clean_text(record.detail, 1000),
        "status_after": None if record.status_after is None else record.status_after.value,
        "occurred_at": record.occurred_at,
        "received_at": record.received_at,
        "facts": None if facts is None else write_facts(facts),
        "raw": write_json(record.raw),
    }
    return bool(tx.write(_ADD, values))


def list_events(
    source: Reader, call_id: str, *, after_id: str | None = None, limit: int = 1000
) -> list[EventRecord]:
    """Return a call's events in the order in which they were stored, those after `after_id` only."""
    values = {"call_id": call_id, "after_id": after_id or "", "most": limit}
    return [_event(row) for row in source.rows(_OF_CALL, values)]


def tail_events(
    source: Reader, workspace_id: str, *, after_id: str | None = None, limit: int = 500
) -> list[EventRecord]:
    """Return the workspace's events of every call, in the order in which they were stored, after `after_id`."""
    values = {"workspace_id": workspace_id, "after_id": after_id or "", "most": limit}
    return [_event(row) for row in source.rows(_OF_WORKSPACE, values)]


def latest_event_id(source: Reader) -> str | None:
    """Return the id of the last event of any workspace, from which a tail starts; None when there is none."""
    row = source.one(_LATEST)
    return None if row is None else str(row.id)


def list_event_facts(source: Reader, call_id: str) -> list[CallFacts]:
    """Return what each of a call's events added."""
    return [read_facts(row.facts) for row in source.rows(_FACTS, {"call_id": call_id})]


def _event(row: Row[Any]) -> EventRecord:
    return EventRecord(
        id=row.id,
        call_id=row.call_id,
        provider=row.provider,
        name=row.name,
        source=row.source,
        outcome=EventOutcome(row.outcome),
        detail=row.detail,
        status_after=None if row.status_after is None else CallStatus(row.status_after),
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        raw=read_json(row.raw),
    )
