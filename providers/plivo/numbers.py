"""The account and its numbers, as Plivo's REST API lists them. Pure.

Source: Plivo's API reference, resources Account and Number (plivo.com/docs, read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from gateway.byoc import CarrierNumber
from gateway.errors import ProviderUnavailable
from gateway.interface import AccountInfo
from providers.plivo.calls import CURRENCY, NAME, text_of

PAGE: Final = 20  # the largest page Plivo gives

_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_CURSOR: Final = re.compile(r"[!-~]{1,2000}", re.ASCII)

# What a number points at now. `application` is the URI of an application or of a trunk, or null.
_SETTINGS: Final = ("application", "sub_account", "alias", "active", "compliance_status")


def read_account(reply: Mapping[str, Any], auth_id: str) -> AccountInfo:
    """Read the account resource. Plivo has no state of an account: one that answers is active."""
    kind = "trial" if text_of(reply, "account_type") == "developer" else "main"
    balance = text_of(reply, "cash_credits")
    return AccountInfo(
        account_ref=auth_id,
        name=text_of(reply, "name")[:200],
        status="active",
        kind="sub_account" if auth_id.startswith("SA") else kind,
        balance=balance or None,
        currency=CURRENCY if balance else None,
    )


def read_number(item: Mapping[str, Any]) -> CarrierNumber | None:
    """Read one number; None for one that is not E.164 (a short code), which no call can come from."""
    digits = text_of(item, "number").removeprefix("+")
    if _DIGITS.fullmatch(digits) is None:
        return None
    return CarrierNumber(
        e164=f"+{digits}",
        carrier_ref=digits,
        has_voice=item.get("voice_enabled") is True,
        settings={name: item.get(name) for name in _SETTINGS},
    )


def next_page(reply: Mapping[str, Any], page: Mapping[str, Any], length: int) -> dict[str, Any] | None:
    """Return the parameters of the page after `page`, or None at the end.

    `meta.next` carries a cursor or an offset; a cursor goes alone, because an offset beside it would hold the list at
    its start. The lists of live and queued ids may have no `meta`: there a full page is followed by another.

    Raises:
        ProviderUnavailable: the link to the next page cannot be read, so the list would be cut.
    """
    rest = {name: value for name, value in page.items() if name not in ("offset", "cursor")}
    meta = reply.get("meta")
    if not isinstance(meta, Mapping):
        return {**rest, "offset": page.get("offset", 0) + PAGE} if length >= PAGE else None
    link = text_of(meta, "next")
    if not link:
        return None
    query = _query_of(link)
    cursor, offset = query.get("cursor", ""), query.get("offset", "")
    if _CURSOR.fullmatch(cursor):
        return {**rest, "cursor": cursor}
    if re.fullmatch(r"[0-9]{1,9}", offset, re.ASCII) and int(offset) > page.get("offset", 0):
        return {**rest, "offset": int(offset)}
    raise ProviderUnavailable("the link to the next page cannot be read", provider=NAME)


def _query_of(url: str) -> dict[str, str]:
    try:
        query = parse_qs(urlsplit(url).query)
    except ValueError:
        return {}
    return {name: values[0] for name, values in query.items()}
