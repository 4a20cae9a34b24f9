"""The account and its numbers: as Twilio's REST API lists them, what a number points at, what it should. Pure.

Source: Twilio docs "Account resource" (https://www.twilio.com/docs/iam/api/account) and "IncomingPhoneNumber resource"
(https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway.adapting import bare_url, differing, shown_url
from gateway.byoc import CarrierNumber, Difference, NumberSetup, Place, Target, TargetKind
from gateway.interface import AccountInfo
from providers.twilio.calls import with_retries
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


# Source: OpenAPI file, enumeration incoming_phone_number_enum_address_requirement, without "none".
_DEMANDS_ADDRESS: Final = frozenset({"any", "local", "foreign"})

KEY_NOTE: Final = "A Twilio API key cannot verify webhooks: give the auth token too, or a shared key."
STANDARD_KEY_NOTE: Final = "This API key may not read the account: its status and balance are not known."
TRIAL_NOTE: Final = "A trial account calls verified numbers only: upgrade it in the Twilio console."


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


class RestBalance(Protocol):
    """What we read of the library's balance object."""

    balance: str | None
    currency: str | None


def read_account(
    account: RestAccount, account_sid: str, balance: RestBalance | None = None, notes: tuple[str, ...] = ()
) -> AccountInfo:
    """Return what the account resource tells, with the balance, which sub-accounts do not have.

    Whether calls are allowed is told only by the status: an account that is not active makes none.
    """
    status = str(account.status or "")
    owner = account.owner_account_sid or account_sid
    kind = "trial" if account.type == TRIAL else "sub_account" if owner != account_sid else "main"
    return AccountInfo(
        account_ref=account_sid,
        name=str(account.friendly_name or "")[:200],
        status=status if status in ACCOUNT_STATUS else "unknown",
        kind=kind,
        balance=(balance.balance or None) if balance else None,
        currency=(balance.currency or None) if balance else None,
        voice_allowed=status == "active" if status in ACCOUNT_STATUS else None,
        notes=(*notes, TRIAL_NOTE) if kind == "trial" else notes,
    )


def read_number(number: RestNumber) -> CarrierNumber:
    """Return a number as Twilio lists it. Only `capabilities.voice: true` makes it a voice number."""
    capabilities = number.capabilities or {}
    demanded, address = getattr(number, "address_requirements", None), getattr(number, "address_sid", None)
    return CarrierNumber(
        e164=str(number.phone_number or ""),
        carrier_ref=str(number.sid or ""),
        has_voice=has_voice(capabilities),
        settings={name: _text(getattr(number, name, None)) for name in SETTINGS},
        kind=_text(getattr(number, "type", None)).replace("-", "_")[:20],
        needs_address=demanded in _DEMANDS_ADDRESS and not address,
    )


def has_voice(capabilities: Any) -> bool:
    """The library gives the capabilities as an object or a mapping, by its version."""
    if isinstance(capabilities, Mapping):
        return capabilities.get("voice") is True
    return getattr(capabilities, "voice", None) is True


def _text(value: object) -> str:
    return "" if value is None else str(value)


# -- what a number points at --------------------------------------------------------------------------------------


class RestApplication(Protocol):
    """What we read of the library's application object."""

    friendly_name: str | None
    voice_url: str | None
    voice_fallback_url: str | None


def target_of(settings: Mapping[str, Any], application: RestApplication | None = None) -> Target:
    """Return where an inbound call goes, in Twilio's order; `application` is what `voice_application_sid` names."""
    trunk, app = settings.get("trunk_sid"), settings.get("voice_application_sid")
    if trunk:
        return Target(kind=TargetKind.TRUNK, text=f"elastic SIP trunk {trunk}")
    if app:
        name = _text(application.friendly_name)[:64] if application else ""
        urls = _urls(application.voice_url, application.voice_fallback_url) if application else ()
        return Target(
            kind=TargetKind.APPLICATION, text=f"TwiML application {app} {name!r}" if name else app, urls=urls
        )
    urls = _urls(settings.get("voice_url"), settings.get("voice_fallback_url"))
    if not urls:
        return Target(kind=TargetKind.NOTHING, text="nothing")
    return Target(kind=TargetKind.URL, text=f"voice URL {shown_url(urls[0])}", urls=urls)


def _urls(*found: Any) -> tuple[str, ...]:
    return tuple(str(url) for url in found if url)


# -- what it should point at --------------------------------------------------------------------------------------


def setup_params(setup: NumberSetup) -> dict[str, str]:
    """Return the settings of a number of ours, which are also the arguments of the library's `update`.

    Empty texts clear the trunk and the application, which would be asked first: the library drops None. That an empty
    text clears them is unconfirmed; what stands is read back after every write.
    """
    urls = setup.urls
    return {
        "trunk_sid": "",
        "voice_application_sid": "",
        "voice_url": with_retries(urls.answer),
        "voice_method": "POST",
        "voice_fallback_url": with_retries(urls.fallback),
        "voice_fallback_method": "POST",
        "status_callback": with_retries(urls.status),
        "status_callback_method": "POST",
    }


def restore_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of the library's `update` that bring settings back, exactly as they were.

    Setting a trunk deletes the application and the other way round, so only the one that was there is named.
    """
    params = {name: _text(settings.get(name)) for name in SETTINGS if name in settings}
    del_other = {"trunk_sid": "voice_application_sid", "voice_application_sid": "trunk_sid"}
    for kept, other in del_other.items():
        if params.get(kept):
            params.pop(other, None)
            break
    for name in ("friendly_name", "voice_receive_mode"):  # never changed by us
        params.pop(name, None)
    for name in ("voice_method", "voice_fallback_method", "status_callback_method"):
        if not params.get(name):
            params.pop(name, None)
    return params


def is_ours(number: CarrierNumber, setup: NumberSetup) -> bool:
    """True when no trunk and no application comes before the voice URL, and it is ours, whatever its retry settings."""
    settings = number.settings
    is_first = not settings.get("trunk_sid") and not settings.get("voice_application_sid")
    return is_first and bare_url(_text(settings.get("voice_url"))) == setup.urls.answer


def differences(number: CarrierNumber, setup: NumberSetup) -> tuple[Difference, ...]:
    """Return each setting that is not what `setup_params` writes, retry settings included."""
    found = list(differing(Place.NUMBER, setup_params(setup), number.settings))
    if number.settings.get("voice_receive_mode") == "fax":
        found.append(
            _unrepairable(
                "voice_receive_mode", "voice", "fax", "Set the number to receive voice calls, not fax."
            )
        )
    if not number.has_voice:
        found.append(
            _unrepairable(
                "capabilities.voice", "true", "false", "This number takes no calls: use another one."
            )
        )
    if number.needs_address:
        found.append(
            _unrepairable(
                "address_sid",
                "an address",
                "",
                "Twilio demands an address for this number: add one in its console, under Regulatory Compliance.",
            )
        )
    return tuple(found)


def _unrepairable(setting: str, wanted: str, found: str, advice: str) -> Difference:
    return Difference(
        place=Place.NUMBER, setting=setting, wanted=wanted, found=found, is_repairable=False, advice=advice
    )


def account_status_difference(status: str) -> tuple[Difference, ...]:
    """Return what an account that is not active lacks."""
    if status == "active":
        return ()
    advice = "Twilio has suspended or closed the account: see its console, Billing or Trust Hub."
    return (
        Difference(
            place=Place.ACCOUNT,
            setting="status",
            wanted="active",
            found=status[:40],
            is_repairable=False,
            advice=advice,
        ),
    )


def country_difference(country: str, low_risk_enabled: object) -> tuple[Difference, ...]:
    """Return what a country whose ordinary numbers may not be called lacks (geo permissions)."""
    if low_risk_enabled is not False:
        return ()
    return (
        Difference(
            place=Place.ACCOUNT,
            setting=f"low_risk_numbers_enabled {country}",
            wanted="true",
            found="false",
            is_repairable=False,
            advice=f"Allow calls to {country} in the Twilio console: Voice, Settings, Geo permissions.",
        ),
    )
