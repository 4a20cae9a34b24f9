"""The numbers of an account: held, searched, ordered, and foreign ones verified as caller ids.

Source: the vendor's OpenAPI document of 2026-07. A null or empty `connection_id` detaches a number, a number that is
on order is listed as `purchase-pending`, and what refuses an order: unconfirmed. Prices are the inventory's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from providers.simulator.api import ApiAnswer, json_answer
from providers.simulator.carriers.base import CarrierFace, Offer
from providers.simulator.carriers.telnyx import errors, rest
from providers.simulator.carriers.telnyx.applications import FLAG, OBJECT, TAGS, TEXT, check_tags
from providers.simulator.carriers.telnyx.asked import Asked, Row, one
from providers.simulator.carriers.telnyx.fields import E164, Field, Kind, Table
from providers.simulator.carriers.telnyx.rest import Document, check_fields, milliseconds
from providers.simulator.carriers.telnyx.state import Customer, Habits, numeric_id, uuid4_like

if TYPE_CHECKING:
    from collections.abc import Callable

PAYMENT_METHODS: Final = ("pay-per-minute", "channel")
NUMBER_PATCH: Final[Table] = {
    "id": TEXT,
    "connection_id": TEXT,
    "tags": Field(kind=Kind.ARRAY, check=check_tags),
    "customer_reference": TEXT,
    "billing_group_id": TEXT,
    "hd_voice_enabled": FLAG,
    "address_id": TEXT,
    "external_pin": TEXT,
}
VOICE_PATCH: Final[Table] = {
    "tech_prefix_enabled": FLAG,
    "translated_number": TEXT,
    "caller_id_name_enabled": FLAG,
    "usage_payment_method": Field(values=PAYMENT_METHODS),
    "inbound_call_screening": Field(values=("disabled", "reject_calls", "flag_calls")),
    "call_forwarding": OBJECT,
    "call_recording": OBJECT,
    "cnam_listing": OBJECT,
    "media_features": OBJECT,
}
VOICE_NESTED: Final[Mapping[str, Table]] = {
    "call_forwarding": {
        "call_forwarding_enabled": FLAG,
        "forwards_to": TEXT,
        "forwarding_type": Field(values=("always", "on-failure")),
    },
    "call_recording": {
        "inbound_call_recording_enabled": FLAG,
        "inbound_call_recording_format": Field(values=("wav", "mp3")),
        "inbound_call_recording_channels": Field(values=("single", "dual")),
    },
    "cnam_listing": {"cnam_listing_enabled": FLAG, "cnam_listing_details": TEXT},
    "media_features": {
        "rtp_auto_adjust_enabled": FLAG,
        "accept_any_rtp_packets_enabled": FLAG,
        "t38_fax_gateway_enabled": FLAG,
    },
}
VOICE_DEFAULTS: Final[Mapping[str, Any]] = {
    "tech_prefix_enabled": False,
    "translated_number": "",
    "usage_payment_method": "pay-per-minute",
    "call_forwarding": {"call_forwarding_enabled": True, "forwards_to": "", "forwarding_type": "always"},
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
}

# fmt: off
STATUSES: Final = (
    "purchase-pending", "purchase-failed", "port-pending", "port-failed", "active", "deleted", "emergency-only",
    "ported-out", "port-out-pending", "requirement-info-pending", "requirement-info-under-review",
    "requirement-info-exception", "provision-pending",
)
KINDS: Final = ("local", "national", "toll_free", "mobile", "shared_cost")
FEATURES: Final = ("sms", "mms", "voice", "fax", "emergency", "hd_voice", "international_sms", "local_calling")
# fmt: on
NAME_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda name, part: part in name,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "eq": str.__eq__,
}
EQUAL_FILTERS: Final = {
    "filter[connection_id]": "connection_id",
    "filter[customer_reference]": "customer_reference",
    "filter[billing_group_id]": "billing_group_id",
    "filter[emergency_address_id]": "emergency_address_id",
    "filter[number_type][eq]": "phone_number_type",
    "filter[status]": "status",
}
NUMBER_FILTERS: Final = (
    rest.PAGING
    | {
        "sort",
        "filter[phone_number]",
        "filter[country_iso_alpha2]",
        "filter[country_iso_alpha2][]",
        "filter[tag]",
        "filter[without_tags]",
        "filter[source]",
        "filter[voice.usage_payment_method]",
    }
    | {f"filter[voice.connection_name][{word}]" for word in NAME_TESTS}
    | EQUAL_FILTERS.keys()
)
NUMBER_SORTS: Final = {
    "purchased_at": "purchased_at",
    "phone_number": "phone_number",
    "connection_name": "connection_name",
    "usage_payment_method": "phone_number",  # kept with the voice settings; all alike here
}
SOURCES: Final = {"purchased": "number_order", "ported": "port_request"}


def new_number(number_id: str, number: str, country: str, kind: str, now: datetime) -> Document:
    """Make an active number attached to nothing."""
    bought = milliseconds(now)
    return {
        "record_type": "phone_number",
        "id": number_id,
        "phone_number": number,
        "country_iso_alpha2": country,
        "status": "active",
        "phone_number_type": kind,
        "source_type": "number_order",
        "connection_id": None,
        "connection_name": None,
        "tags": [],
        "customer_reference": None,
        "billing_group_id": None,
        "messaging_profile_id": None,
        "messaging_profile_name": None,
        "external_pin": None,
        "emergency_enabled": False,
        "emergency_address_id": None,
        "emergency_status": "disabled",
        "call_forwarding_enabled": True,
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


def attach(customer: Customer, number: Document, connection_id: str | None) -> None:
    """Point a number at a connection of any kind, or at nothing.

    Raises:
        Refused: the account has no such connection.
    """
    connection = customer.connection(connection_id) if connection_id else None
    if connection_id and connection is None:
        raise errors.bad_value("connection_id", "No connection has this id.")
    number["connection_id"] = connection_id or None
    names = connection or {}
    number["connection_name"] = names.get("application_name") or names.get("connection_name")


def write(customer: Customer, number: Document, body: Mapping[str, Any], now: datetime) -> None:
    """Write the fields of a PATCH, or of the console, into a number. Raises Refused."""
    if "connection_id" in body:
        attach(customer, number, body["connection_id"])
    number.update({name: value for name, value in body.items() if name not in ("id", "connection_id")})
    number["updated_at"] = milliseconds(now)


def write_voice(customer: Customer, number: Document, body: Mapping[str, Any], now: datetime) -> None:
    """Write voice settings; the number itself shows some of them."""
    kept = customer.voice.setdefault(number["id"], {})
    for name, value in body.items():
        if value is None:
            continue
        if name in VOICE_NESTED:
            kept[name] = {**VOICE_DEFAULTS[name], **kept.get(name, {}), **value}
        elif name in ("inbound_call_screening", "caller_id_name_enabled"):
            number[name] = value
        else:
            kept[name] = value
    shown = voice_settings(customer, number)
    number["call_forwarding_enabled"] = shown["call_forwarding"]["call_forwarding_enabled"]
    number["call_recording_enabled"] = shown["call_recording"]["inbound_call_recording_enabled"]
    number["cnam_listing_enabled"] = shown["cnam_listing"]["cnam_listing_enabled"]
    number["t38_fax_gateway_enabled"] = shown["media_features"]["t38_fax_gateway_enabled"]
    number["updated_at"] = milliseconds(now)


def voice_settings(customer: Customer, number: Document) -> Document:
    """Make the voice settings of a number; `connection_id` is shown here but changed elsewhere."""
    return {
        "record_type": "voice_settings",
        "id": number["id"],
        "phone_number": number["phone_number"],
        "connection_id": number["connection_id"] or "",
        "customer_reference": number["customer_reference"] or "",
        "inbound_call_screening": number["inbound_call_screening"],
        **VOICE_DEFAULTS,
        **customer.voice.get(number["id"], {}),
        "emergency": {
            "emergency_enabled": number["emergency_enabled"],
            "emergency_address_id": number["emergency_address_id"] or "",
            "emergency_status": number["emergency_status"],
        },
    }


def forwards_to(customer: Customer, number: Document) -> str | None:
    """Give where calls of the number are forwarded to, past its application; None: nowhere."""
    forwarding = voice_settings(customer, number)["call_forwarding"]
    return (forwarding["call_forwarding_enabled"] and forwarding["forwards_to"]) or None


def check_voice(body: Document) -> None:
    """Raise unless this is a PATCH of voice settings in form."""
    check_fields(body, VOICE_PATCH)
    for name, table in VOICE_NESTED.items():
        rest.check_nested(name, body, table)


def find_numbers(customer: Customer, query: Mapping[str, str]) -> list[Document]:
    """Give the numbers that the filters leave; `filter[phone_number]` is a part of it, at least 3 digits.

    Raises:
        Refused: an unknown filter, or a value that it does not take.
    """
    rest.check_query(query, NUMBER_FILTERS)
    rest.check_choice(query, "filter[status]", STATUSES)
    rest.check_choice(query, "filter[number_type][eq]", KINDS)
    without_tags = rest.check_choice(query, "filter[without_tags]", ("true", "false")) == "true"
    source = SOURCES.get(rest.check_choice(query, "filter[source]", tuple(SOURCES)) or "")
    method = rest.check_choice(query, "filter[voice.usage_payment_method]", PAYMENT_METHODS)
    digits = query.get("filter[phone_number]", "").lstrip("+")
    if digits and (len(digits) < 3 or not digits.isdigit()):
        detail = "At least three digits are needed."
        raise errors.Refused(422, "10015", "Bad Request", detail, parameter="filter[phone_number]")
    equal = {field: query[name] for name, field in EQUAL_FILTERS.items() if name in query}
    named = {
        word: query[f"filter[voice.connection_name][{word}]"].lower()
        for word in NAME_TESTS
        if f"filter[voice.connection_name][{word}]" in query
    }
    countries = rest.several(query, "filter[country_iso_alpha2]")
    tag = query.get("filter[tag]")
    return [
        number
        for number in customer.numbers.values()
        if digits in number["phone_number"]
        and (tag is None or tag in number["tags"])
        and not (without_tags and number["tags"])
        and source in (None, number["source_type"])
        and (not countries or number["country_iso_alpha2"] in countries)
        and all(number[field] == value for field, value in equal.items())
        and all(
            NAME_TESTS[word]((number["connection_name"] or "").lower(), value)
            for word, value in named.items()
        )
        and (method is None or voice_settings(customer, number)["usage_payment_method"] == method)
    ]


# --- the inventory ----------------------------------------

SEARCH_FILTERS: Final = frozenset(
    {
        "filter[country_code]",
        "filter[phone_number_type]",
        "filter[features]",
        "filter[features][]",
        "filter[national_destination_code]",
        "filter[locality]",
        "filter[administrative_area]",
        "filter[rate_center]",
        "filter[phone_number][starts_with]",
        "filter[phone_number][ends_with]",
        "filter[phone_number][contains]",
        "filter[limit]",
        "filter[best_effort]",
        "filter[quickship]",
        "filter[reservable]",
        "filter[exclude_held_numbers]",
    }
)
SEARCH_LIMIT: Final = 100  # without `filter[limit]`; invented
SEARCH_LIMIT_MAX: Final = 9999
ORDER: Final[Table] = {
    "phone_numbers": Field(kind=Kind.ARRAY),
    "connection_id": TEXT,
    "messaging_profile_id": TEXT,
    "billing_group_id": TEXT,
    "customer_reference": TEXT,
}
ORDERED_NUMBER: Final[Table] = {"phone_number": TEXT, "requirement_group_id": TEXT, "bundle_id": TEXT}
ORDER_FILTERS: Final = rest.PAGING | {
    "filter[status]",
    "filter[customer_reference]",
    "filter[phone_numbers_count]",
    "filter[requirements_met]",
    "filter[created_at][gt]",
    "filter[created_at][lt]",
}
ORDER_STATUSES: Final = ("pending", "success", "failure")
SHOWN_IN_LISTS: Final = ("id", "phone_number")
VERIFY: Final[Table] = {
    "phone_number": TEXT,
    "verification_method": Field(values=("sms", "call")),
    "extension": TEXT,
}
EXTENSION: Final = re.compile(r"[0-9A-D*#wW]{0,50}")
VERIFIED_PAGE: Final = 25


def find_offers(offers: list[Offer], query: Mapping[str, str]) -> list[Offer]:
    """Give the offers that the filters leave, `filter[limit]` of them at most.

    Raises:
        Refused: an unknown filter, or a value that it does not take.
    """
    rest.check_query(query, SEARCH_FILTERS)
    kind = rest.check_choice(query, "filter[phone_number_type]", KINDS)
    for name in ("best_effort", "quickship", "reservable", "exclude_held_numbers"):
        rest.check_choice(query, f"filter[{name}]", ("true", "false"))
    features = rest.several(query, "filter[features]")
    for feature in features:
        if feature not in FEATURES:
            detail = f"The value must be one of: {', '.join(sorted(FEATURES))}."
            raise errors.Refused(
                422, "10032", "Invalid enumerated value", detail, parameter="filter[features]"
            )
    country = query.get("filter[country_code]")
    if country is not None and not re.fullmatch(r"[A-Z]{2}", country):
        raise errors.bad_parameter("filter[country_code]", "The value must be an alpha-2 country code.")
    for name in ("national_destination_code", *(f"phone_number][{word}" for word in NAME_TESTS)):
        value = query.get(f"filter[{name}]")
        if value is not None and not value.removeprefix("+").isdigit():
            raise errors.bad_parameter(f"filter[{name}]", "The value must be digits.")
    limit = rest.whole(query, "filter[limit]", SEARCH_LIMIT, SEARCH_LIMIT_MAX)
    area = query.get("filter[national_destination_code]", "")
    found = [
        offer
        for offer in offers
        if country in (None, offer.country)
        and kind in (None, offer.kind)
        and features <= set(_features(offer))
        and _national(offer.number).startswith(area)
        and _same(query, "filter[locality]", offer.locality)
        and _same(query, "filter[administrative_area]", offer.region)
        and _same(query, "filter[rate_center]", offer.locality)
        and all(
            test(_national(offer.number), query[f"filter[phone_number][{word}]"].removeprefix("+"))
            or test(offer.number.removeprefix("+"), query[f"filter[phone_number][{word}]"].removeprefix("+"))
            for word, test in NAME_TESTS.items()
            if f"filter[phone_number][{word}]" in query
        )
    ]
    return found[:limit]


def _features(offer: Offer) -> list[str]:
    return [
        *(["voice", "emergency", "hd_voice"] if offer.voice else []),
        *(["sms", "mms"] if offer.sms else []),
    ]


def _national(number: str) -> str:
    """Cut the country code off, where it is known by its length here; else the digits."""
    digits = number.removeprefix("+")
    return digits[1:] if digits.startswith("1") else digits[2:]


def _same(query: Mapping[str, str], name: str, value: str | None) -> bool:
    return name not in query or query[name].lower() == (value or "").lower()


def offered(offer: Offer) -> Document:
    """Make one line of a search."""
    regions = {"country_code": offer.country, "rate_center": offer.locality, "state": offer.region}
    return {
        "record_type": "available_phone_number",
        "phone_number": offer.number,
        "vanity_format": "",
        "best_effort": False,
        "quickship": True,
        "reservable": True,
        "region_information": [
            {"region_type": kind, "region_name": name} for kind, name in regions.items() if name
        ],
        "cost_information": {
            "upfront_cost": offer.setup,
            "monthly_cost": offer.monthly,
            "currency": "USD",
        },
        "features": [{"name": name} for name in _features(offer)],
    }


class Numbers:
    """The resources around numbers. `carrier` has the inventory."""

    def __init__(self, carrier: CarrierFace, habits: Habits) -> None:
        self._carrier = carrier
        self._core = carrier.core
        self._habits = habits

    def rows(self) -> tuple[Row, ...]:
        """Give the routes."""
        number, verified = "/v2/phone_numbers/{id}", "/v2/verified_numbers"
        return (
            ("GET", "/v2/phone_numbers", "numbers", self._list),
            ("POST", "/v2/phone_numbers/actions/verify_ownership", "numbers", self._verify_ownership),
            ("GET", number, "numbers", self._fetch),
            ("PATCH", number, "number_write", self._change),
            ("DELETE", number, "release", self._release),
            ("GET", f"{number}/voice", "numbers", self._fetch_voice),
            ("PATCH", f"{number}/voice", "number_write", self._change_voice),
            ("GET", "/v2/available_phone_numbers", "search", self._search),
            ("GET", "/v2/number_orders", "buy", self._list_orders),
            ("POST", "/v2/number_orders", "buy", self._order),
            ("GET", "/v2/number_orders/{id}", "buy", self._fetch_order),
            ("GET", verified, "caller_ids", self._list_verified),
            ("POST", verified, "caller_ids", self._start_verification),
            ("GET", f"{verified}/{{id}}", "caller_ids", self._fetch_verified),
            ("DELETE", f"{verified}/{{id}}", "caller_ids", self._delete_verified),
            ("POST", f"{verified}/{{id}}/actions/verify", "caller_ids", self._verify),
        )

    # --- held numbers ----------------------------------------

    async def _list(self, asked: Asked) -> ApiAnswer:
        query = {name: value for name, value in asked.query.items() if name != HANDLE_ERRORS}
        rest.check_choice(asked.query, HANDLE_ERRORS, ("true", "false"))
        found = rest.ordered(find_numbers(asked.customer, query), query, NUMBER_SORTS)
        return json_answer(rest.listed(found, query))

    async def _fetch(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": one(asked.customer.numbers, asked, "phone number")})

    async def _change(self, asked: Asked) -> ApiAnswer:
        number = one(asked.customer.numbers, asked, "phone number")
        check_fields(asked.body, NUMBER_PATCH)
        write(asked.customer, number, asked.body, self._core.clock.now())
        return json_answer({"data": number})

    async def _release(self, asked: Asked) -> ApiAnswer:
        number = one(asked.customer.numbers, asked, "phone number")
        asked.customer.drop_number(number)
        shown = {
            name: value
            for name, value in {**number, "status": "deleted"}.items()
            if name in DELETED and value is not None
        }
        return json_answer({"data": shown})

    async def _fetch_voice(self, asked: Asked) -> ApiAnswer:
        number = one(asked.customer.numbers, asked, "phone number")
        return json_answer({"data": voice_settings(asked.customer, number)})

    async def _change_voice(self, asked: Asked) -> ApiAnswer:
        number = one(asked.customer.numbers, asked, "phone number")
        check_voice(asked.body)
        write_voice(asked.customer, number, asked.body, self._core.clock.now())
        return json_answer({"data": voice_settings(asked.customer, number)})

    async def _verify_ownership(self, asked: Asked) -> ApiAnswer:
        check_fields(asked.body, {"phone_numbers": TAGS}, ("phone_numbers",))
        held = {number["phone_number"]: number["id"] for number in asked.customer.numbers.values()}
        wanted = asked.body["phone_numbers"]
        found = [{"number_val_e164": each, "id": held[each]} for each in wanted if each in held]
        missing = [each for each in wanted if each not in held]
        document = {"found": found, "not_found": missing, "record_type": "number_ownership"}
        return json_answer({"data": document})

    # --- search and buy ----------------------------------------

    async def _search(self, asked: Asked) -> ApiAnswer:
        found = find_offers(self._carrier.offers(asked.customer.account), asked.query)
        meta = {"total_results": len(found), "best_effort_results": 0}
        return json_answer({"data": [offered(offer) for offer in found], "meta": meta, "metadata": meta})

    async def _order(self, asked: Asked) -> ApiAnswer:
        """Order numbers: each is the account's at once, and active when the order is through."""
        customer, body = asked.customer, asked.body
        check_fields(body, ORDER, ("phone_numbers",))
        if not body["phone_numbers"]:
            raise errors.missing("phone_numbers")
        connection_id = body.get("connection_id")
        if connection_id and customer.connection(connection_id) is None:
            raise errors.bad_value("connection_id", "No connection has this id.")
        offers = [self._offer(customer, index, line) for index, line in enumerate(body["phone_numbers"])]
        now = self._core.clock.now()
        lines = []
        for offer in offers:
            del self._carrier.inventory[offer.number]
            number = new_number(numeric_id(self._core.random), offer.number, offer.country, offer.kind, now)
            number["status"] = "purchase-pending"
            number["customer_reference"] = body.get("customer_reference")
            attach(customer, number, connection_id)
            customer.numbers[number["id"]] = number
            lines.append((offer, number))
        order = self._order_document(body, offers, now)
        customer.orders[order["id"]] = order
        if self._habits.order_takes_s:
            self._core.spawn(self._fulfil_later(order, lines), keeps_open=False)
        else:
            self._fulfil(order, lines)
        return json_answer({"data": order})

    def _offer(self, customer: Customer, index: int, line: Any) -> Offer:
        pointer = f"phone_numbers/{index}/phone_number"
        if not isinstance(line, dict):
            raise errors.wrong_type(f"phone_numbers/{index}", "object")
        check_fields(line, ORDERED_NUMBER, ("phone_number",))
        if not E164.fullmatch(line["phone_number"]):
            raise errors.not_e164(pointer)
        for offer in self._carrier.offers(customer.account):
            if offer.number == line["phone_number"]:
                if offer.needs_address and not line.get("requirement_group_id"):
                    raise errors.bad_value(pointer, "The number needs a requirement group.")
                return offer
        raise errors.bad_value(pointer, "The number is not available.")

    def _order_document(self, body: Document, offers: list[Offer], now: datetime) -> Document:
        return {
            "record_type": "number_order",
            "id": uuid4_like(self._core.random),
            "phone_numbers": [
                {
                    "record_type": "number_order_phone_number",
                    "id": uuid4_like(self._core.random),
                    "phone_number": offer.number,
                    "country_code": offer.country,
                    "country_iso_alpha2": offer.country,
                    "phone_number_type": offer.kind,
                    "regulatory_requirements": [],
                    "requirements_met": True,
                    "requirements_status": "approved",
                    "status": "pending",
                }
                for offer in offers
            ],
            "phone_numbers_count": len(offers),
            "requirements_met": True,
            "status": "pending",
            "sub_number_orders_ids": [uuid4_like(self._core.random)],
            "customer_reference": body.get("customer_reference") or "",
            "connection_id": body.get("connection_id") or "",
            "messaging_profile_id": body.get("messaging_profile_id") or "",
            "billing_group_id": body.get("billing_group_id") or "",
            "created_at": milliseconds(now),
            "updated_at": milliseconds(now),
        }

    async def _fulfil_later(self, order: Document, lines: list[tuple[Offer, Document]]) -> None:
        await self._core.clock.sleep(self._habits.order_takes_s)
        self._fulfil(order, lines)

    def _fulfil(self, order: Document, lines: list[tuple[Offer, Document]]) -> None:
        """The whole order succeeds or fails; a failed one leaves numbers as `purchase-failed`."""
        fails = self._habits.orders_fail
        for _, number in lines:
            number["status"] = "purchase-failed" if fails else "active"
        order["status"] = "failure" if fails else "success"
        for line in order["phone_numbers"]:
            line["status"] = order["status"]
        order["updated_at"] = milliseconds(self._core.clock.now())

    async def _list_orders(self, asked: Asked) -> ApiAnswer:
        query = asked.query
        rest.check_query(query, ORDER_FILTERS)
        status = rest.check_choice(query, "filter[status]", ORDER_STATUSES)
        met = rest.check_choice(query, "filter[requirements_met]", ("true", "false"))
        reference, count = (
            query.get("filter[customer_reference]"),
            query.get("filter[phone_numbers_count]"),
        )
        after, before = query.get("filter[created_at][gt]", ""), query.get("filter[created_at][lt]", "~")
        found = [
            _listed_order(order)
            for order in reversed(asked.customer.orders.values())
            if status in (None, order["status"])
            and reference in (None, order["customer_reference"])
            and count in (None, str(order["phone_numbers_count"]))
            and met != "false"
            and after < order["created_at"] < before
        ]
        return json_answer(rest.listed(found, query))

    async def _fetch_order(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": one(asked.customer.orders, asked, "number order")})

    # --- verified numbers ----------------------------------------

    def _verified(self, customer: Customer, number: str) -> Document:
        at = customer.verified_at.get(number, customer.opened_at)
        return {"record_type": "verified_number", "phone_number": number, "verified_at": milliseconds(at)}

    async def _list_verified(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, rest.PAGING)
        customer = asked.customer
        rows = [self._verified(customer, number) for number in sorted(customer.account.verified_caller_ids)]
        return json_answer(rest.listed(rows, asked.query, VERIFIED_PAGE))

    async def _start_verification(self, asked: Asked) -> ApiAnswer:
        body = asked.body
        check_fields(body, VERIFY, ("phone_number", "verification_method"))
        number, extension = body["phone_number"], body.get("extension") or ""
        if not E164.fullmatch(number):
            raise errors.not_e164("phone_number")
        if not EXTENSION.fullmatch(extension):
            raise errors.bad_digits("extension")
        if extension and body["verification_method"] == "sms":
            raise errors.bad_value("extension", "An extension can only be called.")
        if number in asked.customer.account.verified_caller_ids:
            raise errors.bad_value("phone_number", "The number is already verified.")
        asked.customer.codes[number] = f"{self._core.random.randrange(10**6):06}"
        answer = {"phone_number": number, "verification_method": body["verification_method"]}
        return json_answer(answer)  # without an envelope, unlike every other resource

    async def _verify(self, asked: Asked) -> ApiAnswer:
        number, customer = asked.parts["id"], asked.customer
        check_fields(asked.body, {"verification_code": TEXT}, ("verification_code",))
        code = customer.codes.get(number)
        if code is None:
            raise errors.not_found("verified number")
        if asked.body["verification_code"] != code:
            raise errors.bad_value("verification_code", "The verification code is not right.")
        del customer.codes[number]
        customer.account.verified_caller_ids.add(number)
        customer.verified_at[number] = self._core.clock.now()
        return json_answer({"data": self._verified(customer, number)})

    def _known(self, asked: Asked) -> str:
        number = asked.parts["id"]
        if number not in asked.customer.account.verified_caller_ids:
            raise errors.not_found("verified number")
        return number

    async def _fetch_verified(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": self._verified(asked.customer, self._known(asked))})

    async def _delete_verified(self, asked: Asked) -> ApiAnswer:
        number = self._known(asked)
        shown = self._verified(asked.customer, number)
        asked.customer.account.verified_caller_ids.remove(number)
        return json_answer({"data": shown})


HANDLE_ERRORS: Final = "handle_messaging_profile_error"
# fmt: off
DELETED: Final = frozenset({  # what the answer to a DELETE shows: less than a GET
    "id", "record_type", "phone_number", "status", "tags", "external_pin", "connection_id", "connection_name",
    "customer_reference", "messaging_profile_id", "messaging_profile_name", "billing_group_id",
    "emergency_enabled", "emergency_address_id", "call_forwarding_enabled", "cnam_listing_enabled",
    "caller_id_name_enabled", "call_recording_enabled", "t38_fax_gateway_enabled", "phone_number_type",
    "purchased_at", "created_at", "updated_at", "hd_voice_enabled", "deletion_lock_enabled",
})
# fmt: on


def _listed_order(order: Document) -> Document:
    """Cut an order's numbers down to what a list shows of them."""
    lines = [{name: line[name] for name in SHOWN_IN_LISTS} for line in order["phone_numbers"]]
    return {**order, "phone_numbers": lines}
