"""What changed about a call, told to the outside: written to the outbox in the transaction that made the change (R46).

`publish` is called wherever a call is saved. It returns the same events for the embedding program in process, to be
fired after the commit. `publish_number_drifted` tells of a number whose settings at the carrier are no longer ours.

The outbox keeps whole phone numbers; `masked_payload` is what an endpoint gets that did not ask for them (R67). It
hides them where the gateway itself writes them; an app's own `variables` and `context` are the app's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.byoc import Difference
from gateway.ids import new_id
from gateway.models import AnalysisSummary, Call, Number
from gateway.notifying import EventType, GatewayEvent, changes
from gateway.numbers import ANONYMOUS, mask, mask_text
from gateway.showing import call_document, drift_document, number_document, time_text
from gateway.store import Tx, analyses, numbers, outbox
from gateway.store.rows import Notification

LARGEST_PAYLOAD: Final = 20_000  # bytes (R67)
# What an event over that size loses, in this order, until it fits; then the rest from its end, but for what is kept.
LEFT_OUT_FIRST: Final = (
    "variables",
    "context",
    "summary",
    "call_settings",
    "end_reason",
    "failure_reason",
    "outcome",
)
_ALWAYS_KEPT: Final = frozenset({"id", "status", "direction", "created_at", "updated_at", "sequence"})
_MOST_DIFFERENCES: Final = 50
_NUMBERS: Final = frozenset({"phone_number", "from_number", "to", "e164"})
_TEXTS: Final = frozenset(
    {"failure_reason", "text", "wanted", "found", "advice", "pointed_at"}
)  # a carrier's words may hold one
_OF_THE_APP: Final = frozenset({"variables", "context", "call_settings"})


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


def publish_number_drifted(tx: Tx, number: Number, differences: Sequence[Difference], at: datetime) -> str:
    """Write `number.drifted` to the outbox: the number with whom it serves, and what differs at the carrier.

    Returns:
        the event's id. It has no sequence: its `timestamp` says when the carrier was asked.
    """
    assignments = numbers.list_assignments(tx, number.workspace_id, number_id=number.id)
    data = {**number_document(number, assignments), "drift": []}
    shown = [drift_document(each) for each in differences[:_MOST_DIFFERENCES]]
    kind, text = EventType.NUMBER_DRIFTED.value, ""
    while not text or (not _fits(text) and shown):
        some = {"left_out": ["drift"]} if len(shown) < len(differences) else {}
        text = _dumped(kind, at, {**data, "drift": shown, **some})
        shown = shown[:-1]
    event = Notification(
        id=_new_event_id(),
        workspace_id=number.workspace_id,
        call_id=None,
        type=kind,
        sequence=0,
        payload=text,
        created_at=at,
    )
    outbox.add_notification(tx, event)
    return event.id


def _notification(event: GatewayEvent, analysis: AnalysisSummary | None) -> Notification:
    call = event.call
    document = {**call_document(call, analysis), "sequence": event.sequence}
    return Notification(
        id=_new_event_id(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        type=event.type.value,
        sequence=event.sequence,
        payload=payload_text(event.type.value, event.occurred_at, document),
        created_at=event.occurred_at,
    )


def payload_text(kind: str, at: datetime, document: Mapping[str, Any]) -> str:
    """Return the JSON text of an event, as Standard Webhooks shapes it: `type`, `timestamp`, `data`.

    An event over 20 kB loses fields that the receiver can fetch, one by one; `data.left_out` names them.
    """
    text, data = _dumped(kind, at, document), dict(document)
    rest = [name for name in reversed(data) if name not in {*LEFT_OUT_FIRST, *_ALWAYS_KEPT}]
    left_out: list[str] = []
    for name in (*LEFT_OUT_FIRST, *rest):
        if _fits(text):
            break
        if data.get(name):
            del data[name]
            left_out.append(name)
            text = _dumped(kind, at, {**data, "left_out": left_out})
    return text


def masked_payload(payload: str) -> str:
    """Return an event's JSON text with the last four digits of each phone number."""
    event = json.loads(payload)
    return _as_text({**event, "data": _masked("data", event.get("data"))})


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key in _OF_THE_APP else _masked(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(name, item) for item in value]
    if not isinstance(value, str) or value == ANONYMOUS:
        return value
    return mask(value) if name in _NUMBERS else mask_text(value) if name in _TEXTS else value


def _dumped(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    return _as_text({"type": kind, "timestamp": time_text(at), "data": data})


def _as_text(event: Mapping[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"))


def _fits(text: str) -> bool:
    return len(text.encode()) <= LARGEST_PAYLOAD


def _new_event_id() -> str:
    return "evt_" + new_id().replace("-", "")
