"""Numbers to buy and verified caller IDs, as Twilio's REST API lists them. Pure.

Source: Twilio docs "AvailablePhoneNumber resource" (https://www.twilio.com/docs/phone-numbers/api), "OutgoingCallerId
resource" and "Pricing: Phone Numbers" (https://www.twilio.com/docs/phone-numbers/pricing), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.adapting import check_query, read_price
from gateway.byoc import AvailableNumber, CallerId, NumberQuery
from gateway.errors import ValidationError
from gateway.numbers import read_party
from providers.twilio.calls import is_sid
from providers.twilio.numbers import has_voice

_WITH_AREA_CODES: Final = frozenset({"US", "CA"})

# Our kind of number -> how the price list writes it.
_PRICED_AS: Final[Mapping[str, str]] = {
    "local": "local",
    "mobile": "mobile",
    "national": "national",
    "toll_free": "toll free",
}


def search_params(query: NumberQuery) -> dict[str, Any]:
    """Return the filters of a search for voice numbers.

    Raises:
        ValidationError: names the field and what is accepted.
    """
    check_query(query)
    if query.area_code is not None and query.country not in _WITH_AREA_CODES:
        raise ValidationError("area_code", "twilio knows area codes in US and CA only: use contains")
    params: dict[str, Any] = {"voice_enabled": True, "limit": query.limit, "page_size": query.limit}
    if query.area_code is not None:
        params["area_code"] = int(query.area_code)
    if query.contains is not None:
        params["contains"] = query.contains
    return params


def read_prices(listed: Any, currency: Any) -> tuple[Mapping[str, Decimal], str | None]:
    """Return the monthly price of each kind of number as the price list words it, and the currency."""
    prices: dict[str, Decimal] = {}
    for item in listed if isinstance(listed, list) else []:
        price = read_price(item.get("current_price")) if isinstance(item, Mapping) else None
        if price is not None:
            prices[str(item.get("number_type"))] = price
    return prices, currency.upper() if isinstance(currency, str) and currency else None


def read_available(
    items: Iterable[Any], query: NumberQuery, prices: tuple[Mapping[str, Decimal], str | None]
) -> list[AvailableNumber]:
    """Return the numbers of a search, each with its monthly price. Twilio takes no price for setting up."""
    monthly, currency = prices
    found = []
    for item in items:
        e164 = read_party(item.phone_number)
        demanded = str(item.address_requirements or "none")
        if e164.startswith("+"):
            found.append(
                AvailableNumber(
                    e164=e164,
                    kind=query.kind,
                    country=str(item.iso_country or query.country)[:2],
                    locality=str(item.locality or "")[:100],
                    region=str(item.region or "")[:100],
                    monthly_price=monthly.get(_PRICED_AS[query.kind]),
                    currency=currency,
                    has_voice=has_voice(item.capabilities or {}),
                    restriction="" if demanded == "none" else f"needs an address: {demanded[:20]}",
                )
            )
    return found


def read_caller_id(item: Any) -> CallerId | None:
    """Return a verified number, or None for an item that is none."""
    e164 = read_party(item.phone_number)
    if not e164.startswith("+") or not is_sid("PN", item.sid):
        return None
    return CallerId(e164=e164, carrier_ref=item.sid, name=str(item.friendly_name or "")[:100])
