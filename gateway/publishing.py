"""What changed about a call, told to the outside: written to the outbox in the transaction that made the change (R46).

`publish` is called wherever a call is saved. It returns the same events for the embedding program in process, to be
fired after the commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.ids import new_id
from gateway.models import AnalysisSummary, Call
from gateway.notifying import GatewayEvent, changes
from gateway.showing import call_document, time_text
from gateway.store import Tx, analyses, outbox
from gateway.store.rows import Notification

LARGEST_PAYLOAD: Final = 20_000  # bytes (R67)
_LEFT_OUT_WHEN_LARGE: Final = ("variables", "context", "call_settings", "summary")


def publish(tx: Tx, before: Call | None, after: Call, at: datetime) -> list[GatewayEvent]:
    """Write the events that turn `before` into `after` to the outbox and return them, to be fired after the commit."""
    events = changes(before, after, at)
    announce(tx, events)
    return events


def announce(tx: Tx, events: Sequence[GatewayEvent]) -> None:
    """Write events to the outbox, with what is known of their calls by now."""
    found = analyses.analyses_of(tx, {event.call.id for event in events})
    for event in events:
        outbox.add_notification(tx, _notification(event, found.get(event.call.id)))


def _notification(event: GatewayEvent, analysis: AnalysisSummary | None) -> Notification:
    call = event.call
    document = {**call_document(call, analysis), "sequence": event.sequence}
    return Notification(
        id="evt_" + new_id().replace("-", ""),
        workspace_id=call.workspace_id,
        call_id=call.id,
        type=event.type.value,
        sequence=event.sequence,
        payload=payload_text(event.type.value, event.occurred_at, document),
        created_at=event.occurred_at,
    )


def payload_text(kind: str, at: datetime, document: Mapping[str, Any]) -> str:
    """Return the JSON text of an event, as Standard Webhooks shapes it: `type`, `timestamp`, `data`.

    An event over 20 kB loses the fields that the receiver can fetch; `data.left_out` names them.
    """
    text = _dumped(kind, at, document)
    if len(text.encode()) <= LARGEST_PAYLOAD:
        return text
    kept = {key: value for key, value in document.items() if key not in _LEFT_OUT_WHEN_LARGE}
    return _dumped(kind, at, {**kept, "left_out": list(_LEFT_OUT_WHEN_LARGE)})


def _dumped(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": time_text(at), "data": data}, separators=(",", ":"))
