"""The account's things as REST resources: applications, numbers, calls, call events; and changes to them.

Source: the vendor's OpenAPI document of 2026-07. Values that nothing here depends on are invented constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from providers.simulator.carriers.telnyx import errors
from providers.simulator.carriers.telnyx.fields import Field, Kind, Table, check_url
from providers.simulator.carriers.telnyx.rest import Document, check_fields, milliseconds
from providers.simulator.carriers.telnyx.state import CallEvent, Customer, record_of
from providers.simulator.exchange import Leg

EVENTS_KEPT_S: Final = 24 * 3600.0
FLAG: Final = Field(kind=Kind.BOOLEAN)
TEXT: Final = Field()
TAGS: Final = Field(kind=Kind.ARRAY)


def check_optional_url(name: str, value: str) -> None:
    """Raise unless the value is a URL or empty, which clears it."""
    if value:
        check_url(name, value)


# --- applications ----------------------------------------

# fmt: off
SITES: Final = (
    "Latency", "Chicago, IL", "Ashburn, VA", "San Jose, CA", "London, UK", "Chennai, IN",
    "Amsterdam, Netherlands", "Toronto, Canada", "Sydney, Australia",
)
# fmt: on
APPLICATION: Final[Table] = {
    "application_name": TEXT,
    "webhook_event_url": Field(check=check_url),
    "webhook_event_failover_url": Field(check=check_optional_url),
    "webhook_api_version": Field(values=("1", "2")),
    "webhook_timeout_secs": Field(kind=Kind.INTEGER, low=0, high=30),
    "active": FLAG,
    "anchorsite_override": Field(values=SITES),
    "dtmf_type": Field(values=("RFC 2833", "Inband", "SIP INFO")),
    "first_command_timeout": FLAG,
    "first_command_timeout_secs": Field(kind=Kind.INTEGER, low=1, high=3600),
    "call_cost_in_webhooks": FLAG,
    "redact_dtmf_debug_logging": FLAG,
    "inbound": Field(kind=Kind.OBJECT),
    "outbound": Field(kind=Kind.OBJECT),
    "tags": TAGS,
}
NESTED: Final[Mapping[str, Table]] = {
    "inbound": {
        "channel_limit": Field(kind=Kind.INTEGER),
        "shaken_stir_enabled": FLAG,
        "sip_subdomain": TEXT,
        "sip_subdomain_receive_settings": Field(values=("only_my_connections", "from_anyone")),
    },
    "outbound": {"channel_limit": Field(kind=Kind.INTEGER), "outbound_voice_profile_id": TEXT},
}
APPLICATION_REQUIRED: Final = ("application_name", "webhook_event_url")  # of a PATCH too


def new_application(application_id: str, name: str, profile_id: str, now: datetime) -> Document:
    """Make an application as the console leaves it for a customer who knows what he does: version 2, a profile."""
    return {
        "record_type": "call_control_application",
        "id": application_id,
        "application_name": name,
        "webhook_event_url": "",
        "webhook_event_failover_url": "",
        "webhook_api_version": "2",
        "webhook_timeout_secs": None,
        "active": True,
        "anchorsite_override": "Latency",
        "dtmf_type": "RFC 2833",
        "first_command_timeout": False,
        "first_command_timeout_secs": 30,
        "call_cost_in_webhooks": False,
        "redact_dtmf_debug_logging": False,
        "inbound": {"channel_limit": None, "shaken_stir_enabled": False, "sip_subdomain": None},
        "outbound": {"channel_limit": None, "outbound_voice_profile_id": profile_id},
        "tags": [],
        "created_at": milliseconds(now),
        "updated_at": milliseconds(now),
    }


def change_application(application: Document, body: Document, now: datetime) -> None:
    """Carry out a PATCH, which needs name and URL again; nested objects are merged (unconfirmed).

    Raises:
        Refused: a field is missing, unknown or wrong.
    """
    check_fields(body, APPLICATION, APPLICATION_REQUIRED)
    for name, table in NESTED.items():
        check_fields(body.get(name) or {}, table)
    for name, value in body.items():
        if name in NESTED:
            application[name] = {**application[name], **(value or {})}
        elif value is not None or name in ("webhook_timeout_secs", "webhook_event_failover_url"):
            application[name] = value
    application["updated_at"] = milliseconds(now)


# --- numbers ----------------------------------------

NUMBER_PATCH: Final[Table] = {
    "id": TEXT,
    "connection_id": TEXT,
    "tags": TAGS,
    "customer_reference": TEXT,
    "billing_group_id": TEXT,
    "hd_voice_enabled": FLAG,
    "address_id": TEXT,
    "external_pin": TEXT,
}


def new_number(number_id: str, number: str, country: str, application: Document, now: datetime) -> Document:
    """Make an active local number attached to an application."""
    bought = milliseconds(now)
    return {
        "record_type": "phone_number",
        "id": number_id,
        "phone_number": number,
        "country_iso_alpha2": country,
        "status": "active",
        "phone_number_type": "local",
        "source_type": "number_order",
        "connection_id": application["id"],
        "connection_name": application["application_name"],
        "tags": [],
        "customer_reference": None,
        "billing_group_id": None,
        "messaging_profile_id": None,
        "messaging_profile_name": None,
        "external_pin": None,
        "emergency_enabled": False,
        "emergency_address_id": None,
        "emergency_status": "disabled",
        "call_forwarding_enabled": False,
        "cnam_listing_enabled": False,
        "caller_id_name_enabled": False,
        "call_recording_enabled": False,
        "t38_fax_gateway_enabled": False,
        "hd_voice_enabled": False,
        "inbound_call_screening": "disabled",
        "deletion_lock_enabled": False,
        "purchased_at": bought,
        "created_at": bought,
        "updated_at": bought,
    }


def change_number(customer: Customer, number: Document, body: Document, now: datetime) -> None:
    """Carry out a PATCH; a null `connection_id` detaches the number (unconfirmed).

    Raises:
        Refused: a field is unknown or wrong, or no application has this id.
    """
    check_fields(body, NUMBER_PATCH)
    if "connection_id" in body:
        connection_id = body["connection_id"] or None
        if connection_id is not None and connection_id not in customer.applications:
            raise errors.bad_value("connection_id", "No connection has this id.")
        number["connection_id"] = connection_id
        application = customer.applications.get(connection_id or "", {})
        number["connection_name"] = application.get("application_name")
    number.update({name: value for name, value in body.items() if name not in ("id", "connection_id")})
    number["updated_at"] = milliseconds(now)


def voice_settings(number: Document) -> Document:
    """Make the voice settings of a number; `connection_id` is shown here but changed elsewhere."""
    return {
        "record_type": "voice_settings",
        "id": number["id"],
        "phone_number": number["phone_number"],
        "connection_id": number["connection_id"] or "",
        "customer_reference": number["customer_reference"] or "",
        "tech_prefix_enabled": False,
        "translated_number": "",
        "usage_payment_method": "pay-per-minute",
        "inbound_call_screening": number["inbound_call_screening"],
        "call_forwarding": {"call_forwarding_enabled": False, "forwards_to": "", "forwarding_type": "always"},
        "call_recording": {
            "inbound_call_recording_enabled": False,
            "inbound_call_recording_format": "wav",
            "inbound_call_recording_channels": "single",
        },
        "cnam_listing": {"cnam_listing_enabled": False, "cnam_listing_details": ""},
        "media_features": {
            "rtp_auto_adjust_enabled": True,
            "accept_any_rtp_packets_enabled": False,
            "t38_fax_gateway_enabled": False,
        },
        "emergency": {
            "emergency_enabled": False,
            "emergency_address_id": "",
            "emergency_status": "disabled",
        },
    }


PAGING: Final = frozenset({"page[number]", "page[size]"})
CURSOR_PAGING: Final = PAGING | {"page[after]", "page[before]", "page[limit]"}
NUMBER_FILTERS: Final = PAGING | {
    "sort",
    "filter[phone_number]",
    "filter[status]",
    "filter[connection_id]",
    "filter[country_iso_alpha2]",
    "filter[tag]",
}
APPLICATION_FILTERS: Final = PAGING | {
    "sort",
    "filter[application_name][contains]",
    "filter[outbound.outbound_voice_profile_id]",
}


def find_numbers(customer: Customer, query: Mapping[str, str]) -> list[Document]:
    """Give the numbers that the filters leave; `filter[phone_number]` is a part of it, at least 3 digits."""
    digits = query.get("filter[phone_number]", "").lstrip("+")
    if digits and (len(digits) < 3 or not digits.isdigit()):
        detail = "At least three digits are needed."
        raise errors.Refused(422, "10015", "Bad Request", detail, parameter="filter[phone_number]")
    equal = {
        name[7:-1]: value
        for name, value in query.items()
        if name in ("filter[status]", "filter[connection_id]", "filter[country_iso_alpha2]")
    }
    tag = query.get("filter[tag]")
    return [
        number
        for number in customer.numbers.values()
        if digits in number["phone_number"]
        and (tag is None or tag in number["tags"])
        and all(number[name] == value for name, value in equal.items())
    ]


def find_applications(customer: Customer, query: Mapping[str, str]) -> list[Document]:
    """Give the applications that the filters leave."""
    part = query.get("filter[application_name][contains]", "").lower()
    profile = query.get("filter[outbound.outbound_voice_profile_id]")
    return [
        application
        for application in customer.applications.values()
        if part in application["application_name"].lower()
        and profile in (None, application["outbound"]["outbound_voice_profile_id"])
    ]


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
EVENT_FILTERS: Final = PAGING | {
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
