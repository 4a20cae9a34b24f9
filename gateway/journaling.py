"""The call's own event log: what we did ourselves, kept beside what the carrier reported."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.ids import new_id
from gateway.models import Call, EventOutcome, EventRecord
from gateway.store import Tx, events


def note(
    tx: Tx,
    call: Call,
    name: str,
    at: datetime,
    *,
    detail: str = "",
    outcome: EventOutcome = EventOutcome.APPLIED,
    raw: Mapping[str, Any] | None = None,
) -> None:
    """Add something that the gateway did, or decided, to the call's timeline."""
    record = EventRecord(
        id=new_id(),
        call_id=call.id,
        provider=call.provider or "",
        name=name,
        source="gateway",
        outcome=outcome,
        detail=detail,
        status_after=call.status,
        occurred_at=at,
        received_at=at,
        raw=raw or {},
    )
    events.add_event(
        tx, record, workspace_id=call.workspace_id, credential_id=call.credential_id, event_id=record.id
    )
