"""Numbers to buy, orders of them, and verified caller IDs, as Telnyx's REST API lists them. Pure.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, operations
ListAvailablePhoneNumbers, CreateNumberOrder, CreateVerifiedNumber), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.adapting import check_query, read_price
from gateway.byoc import AvailableNumber, CallerId, NumberQuery
from gateway.numbers import read_party


def search_filter(query: NumberQuery) -> dict[str, Any]:
    """Return the filter of a search for voice numbers. Raises ValidationError."""
    check_query(query)
    asked: dict[str, Any] = {
        "country_code": query.country,
        "phone_number_type": query.kind,
        "features": ["voice"],
        "limit": query.limit,
        "exclude_held_numbers": True,
    }
    if query.area_code is not None:
        asked["national_destination_code"] = query.area_code
    if query.contains is not None:
        asked["phone_number"] = {"contains": query.contains}
    return asked


def read_available(items: Iterable[Mapping[str, Any]], query: NumberQuery) -> list[AvailableNumber]:
    """Return the numbers of a search, with their prices."""
    found = []
    for item in items:
        e164, costs = read_party(_text(item.get("phone_number"))), item.get("cost_information")
        priced = costs if isinstance(costs, Mapping) else {}
        features = item.get("features")
        named = {_text(each.get("name")) for each in features or [] if isinstance(each, Mapping)}
        if e164.startswith("+"):
            found.append(
                AvailableNumber(
                    e164=e164,
                    kind=query.kind,
                    country=query.country,
                    locality=_region(item, "location") or _region(item, "rate_center"),
                    region=_region(item, "state"),
                    monthly_price=read_price(priced.get("monthly_cost")),
                    setup_price=read_price(priced.get("upfront_cost")),
                    currency=_text(priced.get("currency"))[:3] or None,
                    has_voice=not named or "voice" in named,
                )
            )
    return found


def _region(item: Mapping[str, Any], kind: str) -> str:
    regions = item.get("region_information")
    for region in regions if isinstance(regions, list) else []:
        if isinstance(region, Mapping) and region.get("region_type") == kind:
            return _text(region.get("region_name"))[:100]
    return ""


def order_params(e164: str, reference: str) -> dict[str, Any]:
    """Return the order of one number. There is no idempotency key: `customer_reference` finds the order again."""
    return {"phone_numbers": [{"phone_number": e164}], "customer_reference": reference}


def read_caller_id(item: Mapping[str, Any]) -> CallerId | None:
    """Return a verified number; None for an item that is none, or not verified yet."""
    e164 = read_party(_text(item.get("phone_number")))
    if not e164.startswith("+") or not item.get("verified_at"):
        return None
    return CallerId(e164=e164, carrier_ref=e164)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
