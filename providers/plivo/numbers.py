"""The account and its numbers: as Plivo's REST API lists them, what a number points at, what it should. Pure.

Source: Plivo's API reference, resources Account and Number (plivo.com/docs, read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from gateway.adapting import differing, shown_url
from gateway.byoc import CarrierApplication, CarrierNumber, Difference, NumberSetup, Place, Target, TargetKind
from gateway.errors import ProviderUnavailable, ValidationError
from gateway.interface import AccountInfo
from providers.plivo.calls import CURRENCY, NAME, text_of

PAGE: Final = 20  # the largest page Plivo gives

_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_CURSOR: Final = re.compile(r"[!-~]{1,2000}", re.ASCII)

_IDENT: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_AMOUNT: Final = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,10})?", re.ASCII)

# What a number points at now. `application` is the URI of an application or of a trunk, or null.
_SETTINGS: Final = ("application", "sub_account", "alias", "active", "compliance_status")
_URI: Final = re.compile(
    r"(?:https?://[^/]+)?/v1/Account/[A-Z0-9]{20}/(Application|Zentrunk/Trunk)/([A-Za-z0-9-]{1,64})/?"
)
_APPLICATION: Final = "Application"

# Plivo's kind of number -> ours.
KINDS: Final[Mapping[str, str]] = {
    "local": "local",
    "fixed": "local",
    "mobile": "mobile",
    "national": "national",
    "tollfree": "toll_free",
}

TRIAL_NOTE: Final = "A trial account calls verified numbers only: add credit in the Plivo console."
SUB_ACCOUNT_NOTE: Final = "A sub-account may not read its account: the balance and the state are not known."


def read_account(reply: Mapping[str, Any], auth_id: str) -> AccountInfo:
    """Read the account resource. Plivo has no state of an account: one that answers is active."""
    kind = "trial" if text_of(reply, "account_type") == "developer" else "main"  # Plivo's words for the two
    balance = text_of(reply, "cash_credits")
    return AccountInfo(
        account_ref=auth_id,
        name=text_of(reply, "name")[:200],
        status="active",
        kind="sub_account" if auth_id.startswith("SA") else kind,
        balance=balance or None,
        currency=CURRENCY if balance else None,
        notes=(TRIAL_NOTE,) if kind == "trial" else (),
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
        kind=KINDS.get(text_of(item, "number_type"), ""),
    )


def is_id(value: object) -> bool:
    """True for an id that may stand in a path (R91)."""
    return isinstance(value, str) and _IDENT.fullmatch(value) is not None


def checked_id(ident: str, field: str) -> str:
    """Return an id of an application, trunk, carrier or login, fit to stand in a path (R91). Raises ValidationError."""
    if not is_id(ident):
        raise ValidationError(field, "not an id of plivo: give letters, digits and -")
    return ident


def checked_digits(carrier_ref: str) -> str:
    """Return a number as Plivo's paths name it, without a plus (R91). Raises ValidationError."""
    if not isinstance(carrier_ref, str) or _DIGITS.fullmatch(carrier_ref) is None:
        raise ValidationError("number", "not a number of plivo: give its digits with the country code")
    return carrier_ref


# -- what a number points at --------------------------------------------------------------------------------------


def link_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return kind ("Application", "Zentrunk/Trunk") and id of what a number points at, two empty texts for nothing.

    A link of another form is returned as a whole, with the kind "": it can be shown, but not be restored.
    """
    uri = settings.get("application")
    if not isinstance(uri, str) or not uri:
        return "", ""
    match = _URI.fullmatch(uri)
    return (match[1], match[2]) if match else ("", uri[:200])


def application_of(number: CarrierNumber) -> str:
    """Return the id of the application that a number points at, "" for a trunk or nothing."""
    kind, ident = link_of(number.settings)
    return ident if kind == _APPLICATION else ""


def target_of(number: CarrierNumber, application: CarrierApplication | None) -> Target:
    """Return where inbound calls go: to an application (read where we may), to a trunk, to nothing."""
    kind, ident = link_of(number.settings)
    if not ident:
        return Target(kind=TargetKind.NOTHING, text="nothing")
    if kind != _APPLICATION:
        is_trunk = bool(kind)
        text = f"SIP trunk {ident}" if is_trunk else f"{ident}"
        return Target(kind=TargetKind.TRUNK if is_trunk else TargetKind.OTHER, text=text)
    if application is None:
        return Target(kind=TargetKind.APPLICATION, text=f"application {ident}")
    named = (application.settings.get(name) for name in ("answer_url", "fallback_answer_url"))
    urls = tuple(url for url in named if isinstance(url, str) and url)
    shown = f" at {shown_url(urls[0])}" if urls else ""
    return Target(
        kind=TargetKind.APPLICATION, text=f"application {application.name!r} ({ident}){shown}", urls=urls
    )


# -- what it should point at --------------------------------------------------------------------------------------


def restore_ref(settings: Mapping[str, Any]) -> str:
    """Return the `app_id` that brings back what a number pointed at: an application's or a trunk's, "" for nothing.

    Raises:
        ValidationError: it was a link that Plivo's documentation does not know.
    """
    kind, ident = link_of(settings)
    if ident and not kind:
        raise ValidationError("settings", f"plivo cannot be told to point a number at {ident[:100]!r} again")
    return ident


def is_ours(number: CarrierNumber, setup: NumberSetup) -> bool:
    """True when the number points at our application."""
    return bool(setup.application_ref) and application_of(number) == setup.application_ref


def differences(number: CarrierNumber, setup: NumberSetup) -> tuple[Difference, ...]:
    """Return what of the number is not ours: its application; and, not for us to change, its state."""
    found = list(
        differing(Place.NUMBER, {"app_id": setup.application_ref}, {"app_id": link_of(number.settings)[1]})
    )
    compliance = number.settings.get("compliance_status")
    for setting, is_wrong, wanted, held, advice in (
        (
            "voice_enabled",
            not number.has_voice,
            "true",
            "false",
            "This number takes no calls: use another one.",
        ),
        (
            "active",
            number.settings.get("active") is False,
            "true",
            "false",
            "The number is switched off at Plivo: see its console, Phone Numbers.",
        ),
        (
            "compliance_status",
            bool(compliance) and compliance != "accepted",
            "accepted",
            str(compliance),
            "Plivo demands documents for this number: hand them in, in its console, under Compliance.",
        ),
    ):
        if is_wrong:
            found.append(
                Difference(
                    place=Place.NUMBER,
                    setting=setting,
                    wanted=wanted,
                    found=held[:40],
                    is_repairable=False,
                    advice=advice,
                )
            )
    return tuple(found)


def account_differences(reply: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what a prepaid account without credit lacks. Plivo's API tells no geo permissions."""
    credit = text_of(reply, "cash_credits")
    is_spent = _AMOUNT.fullmatch(credit) is not None and Decimal(credit) <= 0
    if text_of(reply, "billing_mode") != "prepaid" or not is_spent:
        return ()
    return (
        Difference(
            place=Place.ACCOUNT,
            setting="cash_credits",
            wanted="more than 0",
            found=credit,
            is_repairable=False,
            advice="The account has no credit left, so nothing can be dialed: add credit in the Plivo console.",
        ),
    )


# -- lists ------------------------------------------------------------------------------------------------------------


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
