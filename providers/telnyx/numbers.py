"""The account and its numbers: as Telnyx's REST API lists them, what a number points at, what it should. Pure.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, operations
GetUserBalance, ListPhoneNumbers, UpdatePhoneNumber, RetrieveConnection), read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.adapting import differing, shown_url
from gateway.byoc import CarrierApplication, CarrierNumber, Difference, NumberSetup, Place, Target, TargetKind
from gateway.errors import ValidationError
from gateway.interface import AccountInfo
from gateway.numbers import mask, read_party

PAGE_SIZE: Final = 250
_MAX_PAGES: Final = 400

# Source: schema PhoneNumberDetailed, field status: of its twelve words only this one means that calls arrive.
_USABLE: Final = "active"
_ON_ORDER: Final = ("purchase-pending", "provision-pending")

# What a number points at now; kept verbatim before any change.
_KEPT: Final = (
    "connection_id",
    "connection_name",
    "status",
    "call_forwarding_enabled",
    "inbound_call_screening",
    "tags",
)

_IDENT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_AMOUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def read_account(data: Mapping[str, Any], account_ref: str) -> AccountInfo:
    """Return the account as `/balance` shows it. A key that may read it works; Telnyx gives it no name.

    Whether calls are allowed is not told: that hangs on the outbound voice profile (`account_differences`).
    """
    return AccountInfo(
        account_ref=account_ref,
        name="",
        status="active",
        kind="main",
        balance=_matching(_AMOUNT, data.get("balance")),
        currency=_matching(_CURRENCY, data.get("currency")),
    )


NO_BILLING_NOTE: Final = (
    "This API key has no billing rights: the balance and the account's state are not known."
)


def is_id(value: object) -> bool:
    """True for an id that may stand in a path (R91)."""
    return isinstance(value, str) and _IDENT.fullmatch(value) is not None


def checked_id(ident: str, field: str) -> str:
    """Return an id of a number, application or profile, fit to stand in a path (R91). Raises ValidationError."""
    if not is_id(ident):
        raise ValidationError(field, "not an id of telnyx: give letters, digits, - and _")
    return ident


def read_number(item: Mapping[str, Any], voice: Mapping[str, Any] | None = None) -> CarrierNumber | None:
    """Return one number of the list, or None when the item holds no number.

    `voice`: its voice settings, which alone tell where calls are forwarded to.
    """
    e164, ident = read_party(_text(item.get("phone_number"))), _text(item.get("id"))
    if not e164.startswith("+") or not ident:
        return None
    settings = {name: item[name] for name in _KEPT if name in item}
    if voice is not None:
        settings["call_forwarding"] = voice.get("call_forwarding")
    return CarrierNumber(
        e164=e164,
        carrier_ref=ident,
        has_voice=item.get("status") == _USABLE,
        settings=settings,
        kind=_text(item.get("phone_number_type"))[:20],
        is_ordered=item.get("status") in _ON_ORDER,
    )


# -- what a number points at --------------------------------------------------------------------------------------


def connection_of(number: CarrierNumber) -> str:
    """Return the id of the application or connection that a number points at, "" for none."""
    return _text(number.settings.get("connection_id"))


def forwarded_to(number: CarrierNumber) -> str:
    """Return the number that calls are forwarded to past any application, "" for none or not known.

    Both must be set: `call_forwarding_enabled` is true by default.
    """
    forwarding = number.settings.get("call_forwarding")
    if not isinstance(forwarding, Mapping) or forwarding.get("call_forwarding_enabled") is not True:
        return ""
    return _text(forwarding.get("forwards_to"))


def target_of(
    number: CarrierNumber, application: CarrierApplication | None, connection: Mapping[str, Any] | None
) -> Target:
    """Return where inbound calls go: to the forward, else to the Call Control application, else to a connection."""
    ident, forwarded = connection_of(number), forwarded_to(number)
    if forwarded:
        return Target(kind=TargetKind.OTHER, text=f"call forwarding to {mask(forwarded)}")
    if not ident:
        return Target(kind=TargetKind.NOTHING, text="nothing")
    if application is not None:
        urls = _urls(application.settings)
        shown = f" at {shown_url(urls[0])}" if urls else ""
        return Target(
            kind=TargetKind.APPLICATION,
            text=f"Call Control application {application.name!r} ({ident}){shown}",
            urls=urls,
        )
    told = connection or {}
    kind, name = _text(told.get("record_type")), _text(told.get("connection_name"))[:100]
    is_trunk = kind.endswith("connection") or not kind
    return Target(
        kind=TargetKind.TRUNK if is_trunk else TargetKind.OTHER,
        text=f"{(kind or 'connection').replace('_', ' ')} {name!r} ({ident})"
        if name
        else f"connection {ident}",
        urls=_urls(told),
    )


def _urls(settings: Mapping[str, Any]) -> tuple[str, ...]:
    found = (settings.get(name) for name in ("webhook_event_url", "webhook_event_failover_url"))
    return tuple(url for url in found if isinstance(url, str) and url)


# -- what it should point at --------------------------------------------------------------------------------------


def is_ours(number: CarrierNumber, setup: NumberSetup) -> bool:
    """True when the number points at our application. A forward besides is a difference, not another owner."""
    return bool(setup.application_ref) and connection_of(number) == setup.application_ref


def differences(number: CarrierNumber, setup: NumberSetup) -> tuple[Difference, ...]:
    """Return what of the number is not ours: its application; and, not for us to change, its forward and its state."""
    found = list(
        differing(
            Place.NUMBER, {"connection_id": setup.application_ref}, {"connection_id": connection_of(number)}
        )
    )
    forwarded = forwarded_to(number)
    if forwarded:
        found.append(
            Difference(
                place=Place.NUMBER,
                setting="call_forwarding",
                wanted="",
                found=mask(forwarded),
                is_repairable=False,
                advice="Calls are forwarded past the gateway: switch call forwarding of the number off in the portal.",
            )
        )
    status = _text(number.settings.get("status"))
    if status != _USABLE:
        found.append(
            Difference(
                place=Place.NUMBER,
                setting="status",
                wanted=_USABLE,
                found=status,
                is_repairable=False,
                advice="No calls arrive at this number: see its state in the portal, Numbers.",
            )
        )
    return tuple(found)


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
