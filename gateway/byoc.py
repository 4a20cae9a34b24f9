"""Values that cross the border when an account's numbers are set up: what a number points at, and what it should.

Here: frozen values, carrier-neutral. A carrier's own settings travel *verbatim* in `CarrierNumber.settings` and
`CarrierApplication.settings`: the core keeps them before any change and hands them back to restore them; only the
adapter reads them. Not here: any decision (`gateway.provisioning`) or any network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierNumber:
    """A number as the carrier lists it.

    `settings`: what it points at now, in the carrier's own names and values; kept before any change.
    `kind`: "local", "mobile", "toll_free", "national", or "" where the carrier does not say.
    `needs_address`: the carrier demands an (emergency) address that the number does not have.
    `is_ordered`: the carrier lists it already, but is still working on its order.
    """

    e164: str = field(repr=False)
    carrier_ref: str
    has_voice: bool
    settings: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False)
    kind: str = ""
    needs_address: bool = False
    is_ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierApplication:
    """What several numbers point at together, where a carrier has that: its id, name and verbatim settings."""

    ref: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupUrls:
    """Our absolute URLs of one credential, without retry settings: those are the adapter's to add."""

    answer: str = field(repr=False)
    status: str = field(repr=False)
    fallback: str = field(repr=False)
    events: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRequest:
    """The application that a credential's numbers are to point at.

    `name`: ours, unique per credential; an application of that name that exists is taken, never doubled.
    `ref`: the application made or named before; None: look by name, else make one.
    `outbound_profile`: the carrier's object that outbound calls are billed by, where it has one; None: keep what the
    application has, else take the only one there is.
    """

    name: str
    urls: SetupUrls
    ref: str | None = None
    outbound_profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberSetup:
    """What a number should point at: our URLs, by way of `application_ref` where the carrier has applications."""

    urls: SetupUrls
    application_ref: str | None = None


class TargetKind(StrEnum):
    """What a number can point at."""

    NOTHING = "nothing"
    URL = "url"
    APPLICATION = "application"
    TRUNK = "trunk"
    OTHER = "other"  # forwarding, a bot, a queue: whatever the carrier has besides


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an inbound call of a number goes now.

    `text`: one line for a person, in the carrier's words. `urls`: every URL that the carrier would ask, the first
    choice first; empty where it asks none.
    """

    kind: TargetKind
    text: str
    urls: tuple[str, ...] = ()


class Place(StrEnum):
    """On what a setting is: it decides what one repair mends."""

    NUMBER = "number"
    APPLICATION = "application"
    ACCOUNT = "account"
    LINK = "link"  # to another SIP carrier


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting at the carrier that is not what we set.

    `setting`: the carrier's own name of it ("voice_url", "webhook_api_version"). `wanted`, `found`: as text; "" for
    nothing. `is_repairable`: one of our writes can mend it; else `advice` says what the person must do.
    """

    place: Place
    setting: str
    wanted: str
    found: str
    is_repairable: bool = True
    advice: str = ""


# -- search and buy -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberQuery:
    """What to look for in the carrier's inventory.

    `country`: ISO 3166 alpha-2. `kind`: "local", "mobile", "toll_free" or "national". `area_code`: national digits.
    `contains`: 2-16 digits that the national number contains. `limit`: 1-100.
    """

    country: str
    kind: str = "local"
    area_code: str | None = None
    contains: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableNumber:
    """A number that can be bought. Prices: per month and once, in `currency`; None: the carrier does not say."""

    e164: str
    kind: str
    country: str
    locality: str = ""
    region: str = ""
    monthly_price: Decimal | None = None
    setup_price: Decimal | None = None
    currency: str | None = None
    has_voice: bool = True
    restriction: str = ""  # what the carrier demands first: an address, documents


class OrderState(StrEnum):
    """What became of an order of a number."""

    BOUGHT = "bought"
    PENDING = "pending"  # ordered; the carrier is still working on it


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberOrder:
    """An order of a number. `number` is there once it is BOUGHT; `order_ref` where the carrier names orders."""

    state: OrderState
    number: CarrierNumber | None = None
    order_ref: str | None = None


# -- verified caller IDs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerId:
    """A foreign number that the carrier lets the account show: outbound only."""

    e164: str = field(repr=False)
    carrier_ref: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdVerification:
    """A verification that was begun.

    `code_to_type`: the digits that the person types when the carrier calls; None: the carrier sends a code to the
    phone, to be handed to `confirm_caller_id` with `verification_ref`, where the carrier names verifications.
    """

    verification_ref: str | None
    code_to_type: str | None = field(default=None, repr=False)


# -- SIP: numbers that stay with another carrier ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SipRequest:
    """A link to the person's own SIP carrier.

    `name`: ours, letters, digits and dashes; what exists under that name is taken, never doubled.
    `numbers`: E.164 numbers that stay with that carrier. `carrier_host`: "sbc.carrier.example:5060", where outbound
    calls go; None: inbound only. `carrier_ips`: IPv4 addresses that its calls come from. `username`, `password`: what
    its calls authenticate with instead, where addresses are not known. `refs`: what was made before, by name.
    """

    name: str
    urls: SetupUrls
    numbers: tuple[str, ...] = field(default=(), repr=False)
    carrier_host: str | None = None
    carrier_ips: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    application_ref: str | None = None
    refs: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipTrunk:
    """What stands at the carrier for a `SipRequest`.

    `refs`: the carrier's ids of what was made or found, by our name of each ("byoc_trunk", "sip_domain" ...).
    `trunk_ref`: what a dial must name to go by this link; None: the carrier has no such thing.
    `instructions`: (label, value) lines that the person enters at their SIP carrier, word for word.
    """

    refs: Mapping[str, str]
    trunk_ref: str | None
    instructions: tuple[tuple[str, str], ...] = field(repr=False)


class SipStays(StrEnum):
    """What of an account stays when a number of a SIP link goes: each with all that follows it."""

    LINK = "link"  # it has other numbers
    OTHER_LINKS = "other_links"  # which share what is on the application
    APPLICATION = "application"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipRemoval:
    """Numbers of a link that go, and the link with them unless it `stays`. Else as in `SipRequest`."""

    name: str
    numbers: tuple[str, ...] = field(default=(), repr=False)
    username: str | None = None
    application_ref: str | None = None
    refs: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    stays: SipStays = SipStays.NOTHING
