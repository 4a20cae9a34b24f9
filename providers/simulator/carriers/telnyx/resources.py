"""Calls and call events as REST resources.

Source: the vendor's OpenAPI document of 2026-07. Values that nothing here depends on are invented constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from providers.simulator.carriers.telnyx import errors, rest
from providers.simulator.carriers.telnyx.rest import Document, milliseconds
from providers.simulator.carriers.telnyx.state import CallEvent, Customer, record_of
from providers.simulator.exchange import Leg

EVENTS_KEPT_S: Final = 24 * 3600.0
CURSOR_PAGING: Final = rest.PAGING | {"page[after]", "page[before]", "page[limit]"}


# --- calls ----------------------------------------


def dialed(leg: Leg, extra: Mapping[str, Any]) -> Document:
    """Make the answer to a dial: `is_alive` is always false, it says nothing about the call."""
    return {**_ids(leg), "is_alive": False, **_state(leg), **extra}


def call_status(leg: Leg, duration_s: float) -> Document:
    """Make the status of a call: no cause, no numbers, and a state word neither."""
    document = {**_ids(leg), "is_alive": leg.is_live, "call_duration": int(duration_s), **_state(leg)}
    document["start_time"] = milliseconds(leg.dialed_at or leg.created_at)
    if leg.ended_at is not None:
        document["end_time"] = milliseconds(leg.ended_at)
    return document


def active_call(leg: Leg, duration_s: float) -> Document:
    """Make one line of the active calls of a connection."""
    state = record_of(leg).client_state or ""
    return {**_ids(leg), "client_state": state, "call_duration": int(duration_s)}


def _ids(leg: Leg) -> Document:
    record = record_of(leg)
    return {
        "record_type": "call",
        "call_control_id": leg.id,
        "call_leg_id": record.call_leg_id,
        "call_session_id": record.call_session_id,
    }


def _state(leg: Leg) -> Document:
    state = record_of(leg).client_state
    return {} if state is None else {"client_state": state}


# --- call events ----------------------------------------

COMPARISONS: Final = ("eq", "gt", "gte", "lt", "lte")
EVENT_FILTERS: Final = rest.PAGING | {
    *(f"filter[occurred_at][{word}]" for word in COMPARISONS),
    *(
        f"filter[{name}]"
        for name in (
            "leg_id",
            "application_session_id",
            "connection_id",
            "product",
            "from",
            "to",
            "name",
            "type",
            "failed",
            "status",
        )
    ),
}
EVENT_ENUMS: Final = {
    "filter[product]": ("call_control", "fax", "texml"),
    "filter[type]": ("command", "webhook"),
    "filter[failed]": ("true", "false"),
    "filter[status]": ("init", "in_progress", "completed"),
}


def find_events(customer: Customer, query: Mapping[str, str], now_mark: float) -> list[CallEvent]:
    """Give the events that the filters leave, newest first; without a leg or session only the last 24 hours.

    Raises:
        Refused: a value is not one the filter takes, or there are two `occurred_at` filters.
    """
    _check_event_query(query)
    scoped = "filter[leg_id]" in query or "filter[application_session_id]" in query
    return [
        event
        for event in reversed(customer.events)
        if (scoped or now_mark - event.mark <= EVENTS_KEPT_S) and _matches(event, query)
    ]


def _check_event_query(query: Mapping[str, str]) -> None:
    for name, values in EVENT_ENUMS.items():
        if name in query and query[name] not in values:
            listed = ", ".join(values)
            detail = f"The value must be one of: {listed}."
            raise errors.Refused(422, "10032", "Invalid enumerated value", detail, parameter=name)
    times = [name for name in query if name.startswith("filter[occurred_at]")]
    if len(times) > 1:
        detail = "Only one occurred_at filter can be given."
        raise errors.Refused(422, "10015", "Bad Request", detail, parameter=times[1])
    for name in times:
        _moment(name, query[name])


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        detail = "The value is not an ISO 8601 time."
        raise errors.Refused(422, "10015", "Bad Request", detail, parameter=name) from error
    if moment.tzinfo is None:
        raise errors.Refused(422, "10015", "Bad Request", "The time has no zone.", parameter=name)
    return moment


def _matches(event: CallEvent, query: Mapping[str, str]) -> bool:
    values = {
        "filter[leg_id]": event.record.call_leg_id,
        "filter[application_session_id]": event.record.call_session_id,
        "filter[connection_id]": event.record.connection_id,
        "filter[product]": "call_control",
        "filter[from]": event.leg.from_,
        "filter[to]": event.leg.to,
        "filter[name]": event.name,
        "filter[type]": event.type,
        "filter[failed]": "true" if event.metadata["status"] == "failed" else "false",
        "filter[status]": "completed",
    }
    return all(query[name] == value for name, value in values.items() if name in query) and all(
        _at(event, word, _moment(word, query[f"filter[occurred_at][{word}]"]))
        for word in COMPARISONS
        if f"filter[occurred_at][{word}]" in query
    )


def _at(event: CallEvent, word: str, moment: datetime) -> bool:
    later, same = event.at > moment, event.at == moment
    return {"eq": same, "gt": later, "gte": later or same, "lt": not later and not same, "lte": not later}[
        word
    ]


def event_documents(events: Iterable[CallEvent]) -> list[Document]:
    """Make the lines of `call_events`; the inside of `metadata` is from the documentation pages."""
    return [
        {
            "record_type": "call_event",
            "type": event.type,
            "name": event.name,
            "call_leg_id": event.record.call_leg_id,
            "call_session_id": event.record.call_session_id,
            "event_timestamp": milliseconds(event.at),
            "metadata": event.metadata,
        }
        for event in events
    ]
