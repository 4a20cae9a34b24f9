"""Numbers to buy, orders of them, and verified caller IDs, as Plivo's REST API lists them. Pure.

Source: Plivo's API reference, resources PhoneNumber and VerifiedCallerId (plivo.com/docs, read 2026-11). Unconfirmed:
that `pattern` means the digits behind the country code, from the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.adapting import check_query, read_price
from gateway.byoc import AvailableNumber, CallerId, NumberQuery, OrderState
from gateway.errors import ProviderUnavailable, RequestRefused, ValidationError
from gateway.numbers import read_party
from providers.plivo.calls import CURRENCY, NAME, text_of

# Our kind of number -> Plivo's.
_TYPES: Final[Mapping[str, str]] = {
    "local": "local",
    "mobile": "mobile",
    "national": "national",
    "toll_free": "tollfree",
}
_CODE: Final = re.compile(r"[0-9]{4,10}", re.ASCII)


def search_params(query: NumberQuery) -> dict[str, str]:
    """Return the filters of a search for voice numbers.

    Raises:
        ValidationError: names the field and what is accepted.
    """
    check_query(query)
    if query.contains is not None:
        raise ValidationError("contains", "plivo finds numbers by how they begin: use area_code")
    params = {"country_iso": query.country, "type": _TYPES[query.kind], "services": "voice"}
    return params | ({"pattern": query.area_code} if query.area_code else {})


def read_available(item: Mapping[str, Any], query: NumberQuery) -> AvailableNumber | None:
    """Return one number of a search with its prices, or None for an item that is none."""
    e164 = read_party(text_of(item, "number"))
    if not e164.startswith("+"):
        return None
    restriction = text_of(item, "restriction_text") or text_of(item, "restriction")
    return AvailableNumber(
        e164=e164,
        kind=query.kind,
        country=query.country,
        locality=text_of(item, "city")[:100],
        region=text_of(item, "region")[:100],
        monthly_price=read_price(item.get("monthly_rental_rate")),
        setup_price=read_price(item.get("setup_rate")),
        currency=CURRENCY,
        has_voice=item.get("voice_enabled") is True,
        restriction=restriction[:200],
    )


def read_order(reply: Mapping[str, Any]) -> OrderState:
    """Return what became of an order of one number.

    Raises:
        RequestRefused: it failed. ProviderUnavailable: the answer says nothing of it.
    """
    numbers = reply.get("numbers")
    first = numbers[0] if isinstance(numbers, list) and numbers else None
    status = text_of(first, "status").lower() if isinstance(first, Mapping) else ""
    if status == "success":
        return OrderState.BOUGHT
    if status == "pending":
        return OrderState.PENDING
    if status.startswith("fail"):
        raise RequestRefused("the order of the number failed", provider=NAME)
    raise ProviderUnavailable("an answer without an order", provider=NAME)


def checked_code(code: str | None) -> str:
    """Return the digits that a phone got. Raises ValidationError."""
    if code is None or _CODE.fullmatch(code) is None:
        raise ValidationError("code", "give the digits that the phone got")
    return code


def read_caller_id(item: Mapping[str, Any]) -> CallerId | None:
    """Return a verified number, or None for an item that is none."""
    e164 = read_party(text_of(item, "phone_number"))
    if not e164.startswith("+"):
        return None
    return CallerId(e164=e164, carrier_ref=e164.removeprefix("+"), name=text_of(item, "alias")[:100])
