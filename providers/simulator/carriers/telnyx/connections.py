"""SIP connections, and the addresses that belong to them: how another SIP carrier or a PBX is linked.

Source: the vendor's OpenAPI document of 2026-07. Kept and shown, not played: no SIP is spoken, so that a number at a
connection is not answered. A field beside those that are listed here is refused by name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from providers.simulator.api import ApiAnswer, json_answer
from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import errors, rest
from providers.simulator.carriers.telnyx.applications import (
    FLAG,
    OBJECT,
    TEXT,
    WHOLE,
    check_optional_url,
    check_subdomain,
    check_tags,
)
from providers.simulator.carriers.telnyx.asked import Asked, Handler, Row, one
from providers.simulator.carriers.telnyx.fields import Field, Kind, Table
from providers.simulator.carriers.telnyx.rest import Document, check_fields, milliseconds
from providers.simulator.carriers.telnyx.state import Customer, numeric_id

USER_NAME: Final = re.compile(r"[A-Za-z0-9]{4,32}")
HOST: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")


def check_user_name(name: str, value: str) -> None:
    """Raise unless the value is 4 to 32 letters or digits."""
    if not USER_NAME.fullmatch(value):
        raise errors.bad_value(name, "The user name must be 4 to 32 letters or digits.")


def check_password(name: str, value: str) -> None:
    """Raise unless the value has 8 to 128 characters."""
    if not 8 <= len(value) <= 128:
        raise errors.bad_value(name, "The password must have 8 to 128 characters.")


def check_ip(name: str, value: str) -> None:
    """Raise unless the value is an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        raise errors.bad_value(name, "The value must be an IP address.") from error


def check_host(name: str, value: str) -> None:
    """Raise unless the value is a host name of two labels at least."""
    if not HOST.fullmatch(value):
        raise errors.bad_value(name, "The value must be a fully qualified domain name.")


# fmt: off
SITES: Final = (
    "Latency", "Chicago, IL", "Ashburn, VA", "San Jose, CA", "Sydney, Australia", "Amsterdam, Netherlands",
    "London, UK", "Toronto, Canada", "Vancouver, Canada", "Frankfurt, Germany",
)
# fmt: on
CONNECTION: Final[Table] = {
    "connection_name": TEXT,
    "active": FLAG,
    "anchorsite_override": Field(values=SITES),
    "dtmf_type": Field(values=("RFC 2833", "Inband", "SIP INFO")),
    "encrypted_media": Field(values=("SRTP",)),
    "webhook_event_url": Field(check=check_optional_url),
    "webhook_event_failover_url": Field(check=check_optional_url),
    "webhook_api_version": Field(values=("1", "2")),
    "webhook_timeout_secs": Field(kind=Kind.INTEGER, low=0, high=30),
    "call_cost_in_webhooks": FLAG,
    "tags": Field(kind=Kind.ARRAY, check=check_tags),
    "inbound": OBJECT,
    "outbound": OBJECT,
}
TRUNK: Final[Table] = {**CONNECTION, "transport_protocol": Field(values=("UDP", "TCP", "TLS"))}
CREDENTIAL: Final[Table] = {
    **CONNECTION,
    "webhook_api_version": Field(values=("1", "2", "texml")),
    "user_name": Field(check=check_user_name),
    "password": Field(check=check_password),
    "sip_uri_calling_preference": Field(values=("disabled", "unrestricted", "internal")),
}
INBOUND: Final[Table] = {
    "ani_number_format": Field(values=("+E.164", "E.164", "+E.164-national", "E.164-national")),
    "dnis_number_format": Field(values=("+e164", "e164", "national", "sip_username")),
    "codecs": Field(kind=Kind.ARRAY, check=check_tags),
    "channel_limit": WHOLE,
    "shaken_stir_enabled": FLAG,
    "timeout_1xx_secs": Field(kind=Kind.INTEGER, low=1, high=120),
    "timeout_2xx_secs": Field(kind=Kind.INTEGER, low=1, high=600),
}
TRUNK_INBOUND: Final[Table] = {
    **INBOUND,
    "sip_region": Field(values=("US", "Europe", "Australia")),
    "sip_subdomain": Field(check=check_subdomain),
    "sip_subdomain_receive_settings": Field(values=("only_my_connections", "from_anyone")),
}
OUTBOUND: Final[Table] = {
    "outbound_voice_profile_id": TEXT,
    "channel_limit": WHOLE,
    "ani_override": TEXT,
    "ani_override_type": Field(values=("always", "normal", "emergency")),
    "call_parking_enabled": FLAG,
    "localization": TEXT,
}
DEFAULTS: Final[Mapping[str, Any]] = {
    "active": True,
    "anchorsite_override": "Latency",
    "dtmf_type": "RFC 2833",
    "encrypted_media": None,
    "webhook_event_url": "",
    "webhook_event_failover_url": "",
    "webhook_api_version": "1",
    "webhook_timeout_secs": None,
    "call_cost_in_webhooks": False,
    "tags": [],
    "inbound": {
        "ani_number_format": "E.164-national",
        "dnis_number_format": "e164",
        "codecs": ["G722", "G711U", "G711A"],
        "shaken_stir_enabled": False,
        "timeout_1xx_secs": 3,
        "timeout_2xx_secs": 90,
    },
    "outbound": {"ani_override": "", "ani_override_type": "always", "call_parking_enabled": False},
}
IP: Final[Table] = {
    "connection_id": TEXT,
    "ip_address": Field(check=check_ip),
    "port": Field(kind=Kind.INTEGER, low=1, high=65535),
}
FQDN: Final[Table] = {
    "connection_id": TEXT,
    "fqdn": Field(check=check_host),
    "dns_record_type": Field(values=("a", "srv")),
    "port": Field(kind=Kind.INTEGER, low=1, high=65535),
}


@dataclass(frozen=True, slots=True)
class Collection:
    """One resource with its five methods; `nested` are the tables of the objects in it."""

    name: str
    record_type: str
    what: str
    table: Table
    required: tuple[str, ...]
    filters: frozenset[str]
    nested: Mapping[str, Table]

    @property
    def is_connection(self) -> bool:
        """Whether numbers can be attached to it."""
        return bool(self.nested)


NAME_FILTER: Final = "filter[connection_name][contains]"
FILTERS: Final = rest.PAGING | {"sort", NAME_FILTER, "filter[fqdn]", "filter[outbound_voice_profile_id]"}
SORTS: Final = {"created_at": "created_at", "connection_name": "connection_name", "active": "active"}
PAGE: Final = 250
_TRUNK_NESTED: Final = {"inbound": TRUNK_INBOUND, "outbound": OUTBOUND}
# fmt: off
COLLECTIONS: Final = (
    Collection("ip_connections", "ip_connection", "IP connection", TRUNK, (), FILTERS, _TRUNK_NESTED),
    Collection("fqdn_connections", "fqdn_connection", "FQDN connection", TRUNK, ("connection_name",), FILTERS,
               _TRUNK_NESTED),
    Collection("credential_connections", "credential_connection", "credential connection", CREDENTIAL,
               ("user_name", "password", "connection_name"), FILTERS, {"inbound": INBOUND, "outbound": OUTBOUND}),
    Collection("ips", "ip", "IP", IP, ("ip_address",),
               rest.PAGING | {"filter[connection_id]", "filter[ip_address]", "filter[port]"}, {}),
    Collection("fqdns", "fqdn", "FQDN", FQDN, ("fqdn", "dns_record_type", "connection_id"),
               rest.PAGING | {f"filter[{name}]" for name in FQDN}, {}),
)
# fmt: on


class Connections:
    """The five collections, and `/connections`, which lists all that numbers can be attached to."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def rows(self) -> tuple[Row, ...]:
        """Give the routes."""
        check = "/v2/credential_connections/{id}/actions/check_registration_status"
        return (
            ("GET", "/v2/connections", "trunks", self._list_all),
            ("GET", "/v2/connections/{id}", "trunks", self._fetch_any),
            ("POST", check, "trunks", self._registration),
            *(row for collection in COLLECTIONS for row in self._rows_of(collection)),
        )

    def _rows_of(self, collection: Collection) -> tuple[Row, ...]:
        def bound(method: Any) -> Handler:
            async def handle(asked: Asked) -> ApiAnswer:
                answer: ApiAnswer = method(collection, asked)
                return answer

            return handle

        path = f"/v2/{collection.name}"
        return (
            ("GET", path, "trunks", bound(self._list)),
            ("POST", path, "trunks", bound(self._create)),
            ("GET", f"{path}/{{id}}", "trunks", bound(self._fetch)),
            ("PATCH", f"{path}/{{id}}", "trunks", bound(self._change)),
            ("DELETE", f"{path}/{{id}}", "trunks", bound(self._delete)),
        )

    def _check(self, collection: Collection, customer: Customer, body: Document, *, is_new: bool) -> None:
        required = collection.required if is_new or not collection.is_connection else ()
        check_fields(body, collection.table, required)
        for name, table in collection.nested.items():
            rest.check_nested(name, body, table)
        profile_id = (body.get("outbound") or {}).get("outbound_voice_profile_id")
        if profile_id and profile_id not in customer.profiles:
            raise errors.bad_value(
                "outbound/outbound_voice_profile_id", "No outbound voice profile has this id."
            )
        connection_id = body.get("connection_id")
        if connection_id and connection_id not in customer.trunks:
            raise errors.bad_value("connection_id", "No connection has this id.")

    def _write(self, collection: Collection, found: Document, body: Document) -> None:
        for name, value in body.items():
            if name in collection.nested:
                found[name] = {**found[name], **(value or {})}
            elif value is not None or name in ("webhook_timeout_secs", "encrypted_media"):
                found[name] = value
        found["updated_at"] = milliseconds(self._core.clock.now())

    def _list(self, collection: Collection, asked: Asked) -> ApiAnswer:
        query = asked.query
        rest.check_query(query, collection.filters)
        if collection.is_connection:
            return json_answer(_connection_page(asked, _kept(asked.customer, collection)))
        found = [
            each
            for each in _kept(asked.customer, collection).values()
            if all(
                str(each[name[7:-1]]) == value for name, value in query.items() if name.startswith("filter")
            )
        ]
        return json_answer(rest.listed(found, query, PAGE))

    def _create(self, collection: Collection, asked: Asked) -> ApiAnswer:
        self._check(collection, asked.customer, asked.body, is_new=True)
        user_name = asked.body.get("user_name")
        if user_name and any(each.get("user_name") == user_name for each in asked.customer.trunks.values()):
            raise errors.bad_value("user_name", "The user name is already in use.")
        now = milliseconds(self._core.clock.now())
        made: Document = {"record_type": collection.record_type, "id": numeric_id(self._core.random)}
        if collection.is_connection:
            made |= {"connection_name": "", **deepcopy(dict(DEFAULTS))}
        else:
            made |= {"connection_id": "", "port": 5060}
        made["created_at"] = now
        self._write(collection, made, asked.body)
        _whole(asked.customer, collection)[made["id"]] = made
        return json_answer({"data": made}, 201)

    def _fetch(self, collection: Collection, asked: Asked) -> ApiAnswer:
        return json_answer({"data": one(_kept(asked.customer, collection), asked, collection.what)})

    def _change(self, collection: Collection, asked: Asked) -> ApiAnswer:
        found = one(_kept(asked.customer, collection), asked, collection.what)
        self._check(collection, asked.customer, asked.body, is_new=False)
        self._write(collection, found, asked.body)
        return json_answer({"data": found})

    def _delete(self, collection: Collection, asked: Asked) -> ApiAnswer:
        found = one(_kept(asked.customer, collection), asked, collection.what)
        del _whole(asked.customer, collection)[found["id"]]
        if collection.is_connection:
            asked.customer.detach(found["id"])
        return json_answer({"data": found})

    # --- all kinds ----------------------------------------

    async def _list_all(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, FILTERS)
        return json_answer(_connection_page(asked, _all(asked.customer)))

    async def _fetch_any(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": one(_all(asked.customer), asked, "connection")})

    async def _registration(self, asked: Asked) -> ApiAnswer:
        found = one(asked.customer.trunks, asked, "credential connection")
        if found["record_type"] != "credential_connection":
            raise errors.not_found("credential connection")
        status = {"record_type": "registration_status", "status": "Not Registered"}
        return json_answer({"data": {**status, "sip_username": found["user_name"]}})


def _whole(customer: Customer, collection: Collection) -> dict[str, Document]:
    return customer.trunks if collection.is_connection else customer.addresses


def _kept(customer: Customer, collection: Collection) -> dict[str, Document]:
    """Give the documents of one kind by id."""
    whole = _whole(customer, collection)
    return {key: each for key, each in whole.items() if each["record_type"] == collection.record_type}


def _connection_page(asked: Asked, connections: Mapping[str, Document]) -> Document:
    query = asked.query
    part = rest.contains(query, NAME_FILTER, 3)
    profile = query.get("filter[outbound_voice_profile_id]")
    hosts = {each["connection_id"]: each.get("fqdn") for each in asked.customer.addresses.values()}
    found = [
        each
        for each in connections.values()
        if part in each["connection_name"].lower()
        and profile in (None, _profile_id(each))
        and query.get("filter[fqdn]") in (None, hosts.get(each["id"]))
    ]
    return rest.listed(rest.ordered(found, query, SORTS), query, PAGE)


def _profile_id(connection: Document) -> str | None:
    outbound = connection.get("outbound") or connection
    found: str | None = outbound.get("outbound_voice_profile_id")
    return found


def _all(customer: Customer) -> dict[str, Document]:
    """Give every connection as `/connections` shows it."""
    return {
        found["id"]: {
            "record_type": found["record_type"],
            "id": found["id"],
            "connection_name": found.get("connection_name", found.get("application_name")),
            "active": found["active"],
            "anchorsite_override": "Latency",
            "outbound_voice_profile_id": _profile_id(found) or "",
            "tags": found["tags"],
            "webhook_api_version": found["webhook_api_version"],
            "webhook_event_url": found["webhook_event_url"],
            "webhook_event_failover_url": found["webhook_event_failover_url"],
            "created_at": found["created_at"],
            "updated_at": found["updated_at"],
        }
        for found in (*customer.applications.values(), *customer.trunks.values())
    }
