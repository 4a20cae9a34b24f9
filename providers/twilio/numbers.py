"""The account and its numbers, as Twilio's REST API lists them. Pure.

Source: Twilio docs "Account resource" (https://www.twilio.com/docs/iam/api/account) and "IncomingPhoneNumber resource"
(https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway.byoc import CarrierNumber
from gateway.interface import AccountInfo
from providers.twilio.vocabulary import ACCOUNT_STATUS, TRIAL

# What decides where an inbound call goes, in Twilio's order: trunk, then application, then voice URL. Kept before any
# change, so that it can be restored.
SETTINGS: Final = (
    "friendly_name",
    "trunk_sid",
    "voice_application_sid",
    "voice_url",
    "voice_method",
    "voice_fallback_url",
    "voice_fallback_method",
    "status_callback",
    "status_callback_method",
    "voice_receive_mode",
)


class RestAccount(Protocol):
    """What we read of the library's account object. It also holds the auth token: never log it."""

    sid: str | None
    owner_account_sid: str | None
    friendly_name: str | None
    status: str | None
    type: str | None


class RestNumber(Protocol):
    """What we read of the library's number object, besides `SETTINGS`."""

    sid: str | None
    phone_number: str | None
    capabilities: Mapping[str, Any] | None


def read_account(account: RestAccount, account_sid: str) -> AccountInfo:
    """Return what the account resource tells."""
    status = str(account.status or "")
    owner = account.owner_account_sid or account_sid
    kind = "trial" if account.type == TRIAL else "sub_account" if owner != account_sid else "main"
    return AccountInfo(
        account_ref=account_sid,
        name=str(account.friendly_name or "")[:200],
        status=status if status in ACCOUNT_STATUS else "unknown",
        kind=kind,
    )


def read_number(number: RestNumber) -> CarrierNumber:
    """Return a number as Twilio lists it. Only `capabilities.voice: true` makes it a voice number."""
    capabilities = number.capabilities or {}
    return CarrierNumber(
        e164=str(number.phone_number or ""),
        carrier_ref=str(number.sid or ""),
        has_voice=_flag(capabilities, "voice"),
        settings={name: _text(getattr(number, name, None)) for name in SETTINGS},
    )


def _flag(capabilities: Any, name: str) -> bool:
    """The library gives the capabilities as an object or a mapping, by its version."""
    value = capabilities.get(name) if isinstance(capabilities, Mapping) else getattr(capabilities, name, None)
    return value is True


def _text(value: object) -> str:
    return "" if value is None else str(value)
