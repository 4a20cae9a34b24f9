"""Call Control applications and outbound voice profiles: where calls are told of, and where they may go.

Source: the vendor's OpenAPI document of 2026-07. That nested objects of a PATCH are merged, that numbers lose an
application that is deleted, and that a profile in use can be deleted, is unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from providers.simulator.api import ApiAnswer, json_answer
from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import errors, rest
from providers.simulator.carriers.telnyx.asked import Asked, Row, one
from providers.simulator.carriers.telnyx.fields import Field, Kind, Table, check_url
from providers.simulator.carriers.telnyx.rest import Document, Profile, check_fields, milliseconds
from providers.simulator.carriers.telnyx.state import Customer, numeric_id

FLAG: Final = Field(kind=Kind.BOOLEAN)
TEXT: Final = Field()
WHOLE: Final = Field(kind=Kind.INTEGER)
TAGS: Final = Field(kind=Kind.ARRAY)
OBJECT: Final = Field(kind=Kind.OBJECT)
SUBDOMAIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
COUNTRY: Final = re.compile(r"[A-Z]{2}")
MONEY: Final = re.compile(r"[0-9]+(\.[0-9]{1,4})?")


def check_optional_url(name: str, value: str) -> None:
    """Raise unless the value is a URL or empty, which clears it."""
    if value:
        check_url(name, value)


def check_subdomain(name: str, value: str) -> None:
    """Raise unless the value is one label of a host name, or empty, which clears it."""
    if value and not SUBDOMAIN.fullmatch(value):
        raise errors.bad_value(name, "A sub-domain is letters, digits and dashes.")


def check_tags(name: str, value: list[Any]) -> None:
    """Raise unless this is a list of texts."""
    if not all(isinstance(tag, str) for tag in value):
        raise errors.wrong_type(name, "string")


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
    "inbound": OBJECT,
    "outbound": OBJECT,
    "tags": Field(kind=Kind.ARRAY, check=check_tags),
}
NESTED: Final[Mapping[str, Table]] = {
    "inbound": {
        "channel_limit": WHOLE,
        "shaken_stir_enabled": FLAG,
        "sip_subdomain": Field(check=check_subdomain),
        "sip_subdomain_receive_settings": Field(values=("only_my_connections", "from_anyone")),
    },
    "outbound": {"channel_limit": WHOLE, "outbound_voice_profile_id": TEXT},
}
APPLICATION_REQUIRED: Final = ("application_name", "webhook_event_url")  # of a PATCH too
CLEARED_BY_NULL: Final = ("webhook_timeout_secs", "webhook_event_failover_url")

RECORDING: Final[Table] = {
    "call_recording_type": Field(values=("all", "none", "by_caller_phone_number")),
    "call_recording_caller_phone_numbers": TAGS,
    "call_recording_channels": Field(values=("single", "dual")),
    "call_recording_format": Field(values=("wav", "mp3")),
}


def check_countries(name: str, value: list[Any]) -> None:
    """Raise unless this is a list of alpha-2 country codes."""
    for code in value:
        if not isinstance(code, str) or not COUNTRY.fullmatch(code):
            raise errors.bad_value(name, "Destinations are alpha-2 country codes.")


def check_money(name: str, value: str) -> None:
    """Raise unless this is an amount as text."""
    if not MONEY.fullmatch(value):
        raise errors.bad_value(name, "The value must be an amount of money.")


def check_profile_name(name: str, value: str) -> None:
    """Raise below three characters."""
    if len(value) < 3:
        raise errors.bad_value(name, "The name must have at least 3 characters.")


PROFILE: Final[Table] = {
    "name": Field(check=check_profile_name),
    "enabled": FLAG,
    "service_plan": Field(values=("global",)),
    "traffic_type": Field(values=("conversational",)),
    "usage_payment_method": Field(values=("rate-deck",)),
    "whitelisted_destinations": Field(kind=Kind.ARRAY, check=check_countries),
    "concurrent_call_limit": WHOLE,
    "daily_spend_limit": Field(check=check_money),
    "daily_spend_limit_enabled": FLAG,
    "max_destination_rate": Field(kind=Kind.ANY),
    "call_recording": OBJECT,
    "billing_group_id": TEXT,
    "tags": Field(kind=Kind.ARRAY, check=check_tags),
}

APPLICATION_FILTERS: Final = rest.PAGING | {
    "sort",
    "filter[application_name][contains]",
    "filter[outbound.outbound_voice_profile_id]",
}
APPLICATION_SORTS: Final = {
    "created_at": "created_at",
    "connection_name": "application_name",
    "active": "active",
}
PROFILE_FILTERS: Final = rest.PAGING | {"sort", "filter[name][contains]"}
PROFILE_SORTS: Final = {
    sign + name: sign + name
    for sign in ("", "-")
    for name in ("enabled", "created_at", "name", "service_plan", "traffic_type", "usage_payment_method")
}
CONTAINS_MIN: Final = 3


def new_application(application_id: str, name: str, now: datetime) -> Document:
    """Make an application with every default of the API: webhooks of version 1, no URL, no profile."""
    return {
        "record_type": "call_control_application",
        "id": application_id,
        "application_name": name,
        "webhook_event_url": "",
        "webhook_event_failover_url": "",
        "webhook_api_version": "1",
        "webhook_timeout_secs": None,
        "active": True,
        "anchorsite_override": "Latency",
        "dtmf_type": "RFC 2833",
        "first_command_timeout": False,
        "first_command_timeout_secs": 30,
        "call_cost_in_webhooks": False,
        "redact_dtmf_debug_logging": False,
        "inbound": {
            "channel_limit": None,
            "shaken_stir_enabled": False,
            "sip_subdomain": None,
            "sip_subdomain_receive_settings": "from_anyone",
        },
        "outbound": {"channel_limit": None, "outbound_voice_profile_id": None},
        "tags": [],
        "created_at": milliseconds(now),
        "updated_at": milliseconds(now),
    }


def new_profile(profile_id: str, name: str, now: datetime) -> Document:
    """Make a profile with the defaults of the API: calls to the United States and Canada only."""
    return {
        "record_type": "outbound_voice_profile",
        "id": profile_id,
        "name": name,
        "connections_count": 0,
        "traffic_type": "conversational",
        "service_plan": "global",
        "concurrent_call_limit": None,
        "enabled": True,
        "tags": [],
        "usage_payment_method": "rate-deck",
        "whitelisted_destinations": ["US", "CA"],
        "daily_spend_limit": "100.00",
        "daily_spend_limit_enabled": False,
        "billing_group_id": None,
        "call_recording": {
            "call_recording_type": "none",
            "call_recording_caller_phone_numbers": [],
            "call_recording_channels": "single",
            "call_recording_format": "wav",
        },
        "created_at": milliseconds(now),
        "updated_at": milliseconds(now),
    }


def profile_of(customer: Customer, application: Document) -> Profile | None:
    """Give what the application's profile lets calls do; None without one."""
    profile = customer.profiles.get(application["outbound"]["outbound_voice_profile_id"] or "")
    if profile is None:
        return None
    return Profile(
        id=profile["id"],
        enabled=profile["enabled"],
        countries=tuple(profile["whitelisted_destinations"]),
        channel_limit=profile["concurrent_call_limit"],
    )


class Applications:
    """The two resources of every customer. `customers` are all of the carrier's: sub-domains are unique among them."""

    def __init__(self, core: Core, customers: Mapping[str, Customer]) -> None:
        self._core = core
        self._customers = customers

    def rows(self) -> tuple[Row, ...]:
        """Give the routes."""
        app, profile = "/v2/call_control_applications", "/v2/outbound_voice_profiles"
        return (
            ("GET", app, "numbers", self._list),
            ("POST", app, "application_write", self._create),
            ("GET", f"{app}/{{id}}", "numbers", self._fetch),
            ("PATCH", f"{app}/{{id}}", "application_write", self._change),
            ("DELETE", f"{app}/{{id}}", "application_write", self._delete),
            ("GET", profile, "account", self._list_profiles),
            ("POST", profile, "account", self._create_profile),
            ("GET", f"{profile}/{{id}}", "account", self._fetch_profile),
            ("PATCH", f"{profile}/{{id}}", "account", self._change_profile),
            ("DELETE", f"{profile}/{{id}}", "account", self._delete_profile),
        )

    # --- applications ----------------------------------------

    def write(self, customer: Customer, application: Document, body: Mapping[str, Any]) -> None:
        """Write checked fields into an application; the names of numbers that point at it follow."""
        for name, value in body.items():
            if name in NESTED:
                application[name] = {**application[name], **(value or {})}
            elif value is not None or name in CLEARED_BY_NULL:
                application[name] = value
        application["updated_at"] = milliseconds(self._core.clock.now())
        if "application_name" in body:
            for number in customer.numbers.values():
                if number["connection_id"] == application["id"]:
                    number["connection_name"] = application["application_name"]

    def remove(self, customer: Customer, application: Document) -> None:
        """Delete an application; its numbers point at nothing then. Calls under way keep it."""
        del customer.applications[application["id"]]
        customer.detach(application["id"])

    def holder_of(self, subdomain: str) -> tuple[Customer, Document] | None:
        """Give the application that calls to `<anything>@<subdomain>.sip.telnyx.com` reach."""
        for customer in self._customers.values():
            for application in customer.applications.values():
                if (application["inbound"]["sip_subdomain"] or "").lower() == subdomain.lower():
                    return customer, application
        return None

    def _checked(self, asked: Asked, own_id: str | None) -> Document:
        body = asked.body
        check_fields(body, APPLICATION, APPLICATION_REQUIRED)
        for name, table in NESTED.items():
            rest.check_nested(name, body, table)
        profile_id = (body.get("outbound") or {}).get("outbound_voice_profile_id")
        if profile_id and profile_id not in asked.customer.profiles:
            detail = "No outbound voice profile has this id."
            raise errors.bad_value("outbound/outbound_voice_profile_id", detail)
        subdomain = (body.get("inbound") or {}).get("sip_subdomain")
        taken = self.holder_of(subdomain) if subdomain else None
        if taken is not None and taken[1]["id"] != own_id:
            raise errors.bad_value("inbound/sip_subdomain", "The sub-domain is already in use.")
        return body

    async def _list(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, APPLICATION_FILTERS)
        part = rest.contains(asked.query, "filter[application_name][contains]", CONTAINS_MIN)
        profile = asked.query.get("filter[outbound.outbound_voice_profile_id]")
        found = [
            application
            for application in asked.customer.applications.values()
            if part in application["application_name"].lower()
            and profile in (None, application["outbound"]["outbound_voice_profile_id"])
        ]
        return json_answer(rest.listed(rest.ordered(found, asked.query, APPLICATION_SORTS), asked.query))

    async def _create(self, asked: Asked) -> ApiAnswer:
        body = self._checked(asked, None)
        made = new_application(
            numeric_id(self._core.random), body["application_name"], self._core.clock.now()
        )
        self.write(asked.customer, made, body)
        asked.customer.applications[made["id"]] = made
        return json_answer({"data": made}, 201)

    async def _fetch(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": one(asked.customer.applications, asked, "application")})

    async def _change(self, asked: Asked) -> ApiAnswer:
        application = one(asked.customer.applications, asked, "application")
        self.write(asked.customer, application, self._checked(asked, application["id"]))
        return json_answer({"data": application})

    async def _delete(self, asked: Asked) -> ApiAnswer:
        application = one(asked.customer.applications, asked, "application")
        self.remove(asked.customer, application)
        return json_answer({"data": application})

    # --- profiles ----------------------------------------

    def _profile_document(self, customer: Customer, profile: Document) -> Document:
        count = sum(
            application["outbound"]["outbound_voice_profile_id"] == profile["id"]
            for application in customer.applications.values()
        )
        return {**profile, "connections_count": count}

    def _write_profile(self, asked: Asked, profile: Document) -> ApiAnswer:
        body = asked.body
        rate = body.get("max_destination_rate")
        if isinstance(rate, bool) or not isinstance(rate, int | float | None):
            raise errors.wrong_type("max_destination_rate", "number")
        for name, value in body.items():
            if name == "call_recording":
                profile[name] = {**profile[name], **(value or {})}
            elif value is not None or name in ("concurrent_call_limit", "billing_group_id"):
                profile[name] = value
        profile["updated_at"] = milliseconds(self._core.clock.now())
        asked.customer.profiles[profile["id"]] = profile
        return json_answer({"data": self._profile_document(asked.customer, profile)})

    async def _list_profiles(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, PROFILE_FILTERS)
        part = rest.contains(asked.query, "filter[name][contains]", 0)
        found = [each for each in asked.customer.profiles.values() if part in each["name"].lower()]
        rows = rest.ordered(found, {"sort": "-created_at", **asked.query}, PROFILE_SORTS)
        page = rest.listed(rows, asked.query)
        page["data"] = [self._profile_document(asked.customer, profile) for profile in page["data"]]
        return json_answer(page)

    async def _create_profile(self, asked: Asked) -> ApiAnswer:
        check_profile(asked.body)
        made = new_profile(numeric_id(self._core.random), asked.body["name"], self._core.clock.now())
        return self._write_profile(asked, made)

    async def _fetch_profile(self, asked: Asked) -> ApiAnswer:
        profile = one(asked.customer.profiles, asked, "outbound voice profile")
        return json_answer({"data": self._profile_document(asked.customer, profile)})

    async def _change_profile(self, asked: Asked) -> ApiAnswer:
        profile = one(asked.customer.profiles, asked, "outbound voice profile")
        check_profile(asked.body)
        return self._write_profile(asked, profile)

    async def _delete_profile(self, asked: Asked) -> ApiAnswer:
        profile = one(asked.customer.profiles, asked, "outbound voice profile")
        shown = self._profile_document(asked.customer, profile)
        del asked.customer.profiles[profile["id"]]
        return json_answer({"data": shown})


def check_profile(body: Document) -> None:
    """Raise unless this is a profile in form; a PATCH needs the name too."""
    check_fields(body, PROFILE, ("name",))
    rest.check_nested("call_recording", body, RECORDING)
