"""The account and its numbers, as Telnyx's REST API lists them. Pure.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, operations
GetUserBalance and ListPhoneNumbers), read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.byoc import CarrierNumber
from gateway.interface import AccountInfo
from gateway.numbers import read_party

PAGE_SIZE: Final = 250
_MAX_PAGES: Final = 400

# Source: schema PhoneNumberDetailed, field status: of its twelve words only this one means that calls arrive.
_USABLE: Final = "active"

# What a number points at now; kept verbatim before any change.
_KEPT: Final = (
    "connection_id",
    "connection_name",
    "status",
    "call_forwarding_enabled",
    "inbound_call_screening",
    "tags",
)

_AMOUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def read_account(data: Mapping[str, Any], account_ref: str) -> AccountInfo:
    """Return the account as `/balance` shows it. A key that may read it works; Telnyx gives it no name."""
    return AccountInfo(
        account_ref=account_ref,
        name="",
        status="active",
        kind="main",
        balance=_matching(_AMOUNT, data.get("balance")),
        currency=_matching(_CURRENCY, data.get("currency")),
    )


def read_number(item: Mapping[str, Any]) -> CarrierNumber | None:
    """Return one number of the list, or None when the item holds no number."""
    e164, ident = read_party(_text(item.get("phone_number"))), _text(item.get("id"))
    if not e164.startswith("+") or not ident:
        return None
    settings = {name: item[name] for name in _KEPT if name in item}
    return CarrierNumber(
        e164=e164, carrier_ref=ident, has_voice=item.get("status") == _USABLE, settings=settings
    )


def items_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a list answer."""
    data = document.get("data")
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def has_next_page(document: Mapping[str, Any], page: int, count: int) -> bool:
    """True when `page` (from 1, with `count` items) is not the last of a numbered list."""
    meta = document.get("meta")
    total = meta.get("total_pages") if isinstance(meta, dict) else None
    if isinstance(total, int):
        return page < min(total, _MAX_PAGES)
    return count >= PAGE_SIZE and page < _MAX_PAGES


def next_cursor(document: Mapping[str, Any]) -> str | None:
    """Return the cursor behind this page of a cursor list, or None at its end."""
    meta = document.get("meta")
    if not isinstance(meta, dict) or not items_of(document):
        return None
    cursors = meta.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    if "next" in meta and not meta["next"]:
        return None
    return after if isinstance(after, str) and after else None


def _matching(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
