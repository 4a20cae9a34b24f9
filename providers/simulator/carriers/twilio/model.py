"""What the simulated Twilio remembers: accounts, numbers, calls, recordings, and the switches of its habits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import phonenumbers

from providers.simulator.carriers.base import Account
from providers.simulator.carriers.twilio.signing import SharedKey
from providers.simulator.exchange import Direction, Leg, LegState, Outcome
from providers.simulator.media import MediaStream

API_VERSION: Final = "2010-04-01"
TRIAL: Final = "Trial"

# Source: Twilio Call resource, field Status. A call that is being dialed is still "queued" over REST.
STATUS_BY_STATE: Final = {
    LegState.QUEUED: "queued",
    LegState.DIALING: "queued",
    LegState.RINGING: "ringing",
    LegState.IN_PROGRESS: "in-progress",
}
# A decline (603) is taken to end as busy, a caller who gives up as no-answer: both unconfirmed.
STATUS_BY_OUTCOME: Final = {
    Outcome.ANSWERED: "completed",
    Outcome.VOICEMAIL: "completed",
    Outcome.BUSY: "busy",
    Outcome.NO_ANSWER: "no-answer",
    Outcome.DECLINED: "busy",
    Outcome.UNREACHABLE: "failed",
    Outcome.CANCELLED: "canceled",
    Outcome.CALLER_GAVE_UP: "no-answer",
    Outcome.REFUSED_BUSY: "busy",
    Outcome.FAILED: "failed",
}


@dataclass(slots=True, kw_only=True)
class Habits:
    """Switches of the simulated Twilio: `sim.face("twilio").habits`.

    Attributes:
        calls_per_second: for each account; more creates are accepted and queued. None: no limit.
        signs_with_port: writes `:443` or `:80` into the URL it signs.
        shared_key: signs with HMAC-SHA256 and this key instead of the Auth Token.
        price_per_minute, price_after_s: what an answered call costs, and when that is known after its end.
        recording_after_s: how long a recording is processed.
        late_amd: an asynchronous verdict still comes after the call has ended.
        ended_is_an_error: hanging up an ended call is refused with 21220; else it is a 200 without effect.
        blocked_countries: prefixes refused with 21215, for example "+234".
        blocked_numbers, invalid_numbers, unreachable_numbers, unverified_numbers: refused with 21216, 21217, 21214,
            21219.
        refused_callers: From numbers refused with 21212 (do-not-originate list).
        hides_inactive_account: a suspended or closed account cannot even read its own Account resource.
        byoc_shows_any_number: a call over a BYOC trunk may show a number that the account neither holds nor verified.
        stir_verstat: of inbound calls; None: the call carried no passport.
        extra_fields: fields added to every webhook, because Twilio adds fields without notice.
    """

    calls_per_second: float | None = 1.0
    signs_with_port: bool = False
    shared_key: SharedKey | None = None
    price_per_minute: float = 0.014
    price_after_s: float = 60.0
    recording_after_s: float = 2.0
    late_amd: bool = False
    ended_is_an_error: bool = True
    blocked_countries: set[str] = field(default_factory=set)
    blocked_numbers: set[str] = field(default_factory=set)
    invalid_numbers: set[str] = field(default_factory=set)
    unreachable_numbers: set[str] = field(default_factory=set)
    unverified_numbers: set[str] = field(default_factory=set)
    refused_callers: set[str] = field(default_factory=set)
    hides_inactive_account: bool = False
    byoc_shows_any_number: bool = True
    stir_verstat: str | None = None
    extra_fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A webhook setting: a URL with its method."""

    url: str
    method: str = "POST"


@dataclass(slots=True, kw_only=True, eq=False)
class TwilioNumber:
    """An IncomingPhoneNumber. `settings` holds what can be updated, by the resource's own field names."""

    sid: str
    number: str
    kind: str
    has_voice: bool
    created_at: datetime
    updated_at: datetime
    settings: dict[str, str | bool | None]


@dataclass(slots=True, kw_only=True, eq=False)
class CallerId:
    """An OutgoingCallerId: a foreign number that the account may show."""

    sid: str
    number: str
    friendly_name: str
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class Validation:
    """A validation request under way: Twilio calls the phone, and the person types the code."""

    call_sid: str
    code: str
    friendly_name: str
    callback: Endpoint | None
    tries: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Thing:
    """A resource of one of the catalog's collections. `parent` is the sid of what it belongs to."""

    sid: str
    key: str
    parent: str | None
    fields: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class TwilioAccount:
    """An account with its keys, numbers, verified caller ids and things. `parent`: of a sub-account."""

    account: Account
    created_at: datetime
    updated_at: datetime
    parent: TwilioAccount | None = None
    api_keys: dict[str, tuple[str, bool]] = field(default_factory=dict, repr=False)
    """SK sid -> (secret, is a main key)."""
    secondary_token: str = field(default="", repr=False)
    numbers: dict[str, TwilioNumber] = field(default_factory=dict)
    """By PN sid; see `hold` and `release`."""
    number_sids: dict[str, str] = field(default_factory=dict)
    caller_ids: dict[str, CallerId] = field(default_factory=dict)
    validations: dict[str, Validation] = field(default_factory=dict)
    """Both by number."""
    things: dict[str, Thing] = field(default_factory=dict)
    """Applications, trunks, lists ... by sid; see `catalog`."""
    mappings: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)
    """(sid, kind) -> the sids tied to it, and since when: the access lists of a SIP domain."""
    forbidden: set[str] = field(default_factory=set)
    """ISO codes of the countries that the account may not call."""
    inherits_permissions: bool = True
    balance: str = "100.00000"
    status: str = "active"
    type: str = "Full"
    next_dial_mark: float = 0.0

    @property
    def sid(self) -> str:
        """`AC...`."""
        return self.account.account_ref

    @property
    def auth_token(self) -> str:
        """The primary token: it authenticates and signs."""
        return self.account.secrets["auth_token"]

    def number(self, e164: str) -> TwilioNumber | None:
        """The number, if the account holds it."""
        sid = self.number_sids.get(e164)
        return self.numbers[sid] if sid else None

    def hold(self, number: TwilioNumber) -> None:
        """The account has the number from now on."""
        self.numbers[number.sid] = number
        self.number_sids[number.number] = number.sid

    def release(self, number: TwilioNumber) -> None:
        """The account has it no longer."""
        del self.numbers[number.sid]
        del self.number_sids[number.number]

    def of_kind(self, key: str, parent: str | None = None) -> list[Thing]:
        """The account's things of a collection, oldest first; of one parent, where given."""
        return [
            thing
            for thing in self.things.values()
            if thing.key == key and (parent is None or thing.parent == parent)
        ]

    def may_call(self, e164: str) -> bool:
        """Whether its geographic permissions allow the country; a sub-account has its parent's."""
        source = self.parent if self.parent and self.inherits_permissions else self
        return country_of(e164) not in source.forbidden

    def may_show(self, e164: str) -> bool:
        """Whether the account holds the number or verified it."""
        return self.number(e164) is not None or e164 in self.caller_ids


def country_of(e164: str) -> str:
    """The ISO code of a number's country; Canada's permission is that of the United States."""
    try:
        parsed = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return ""
    code = parsed.country_code or 0
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(code)
    return permission_of(region)


def permission_of(country: str) -> str:
    """The ISO code of the permission that holds for a country: "United States/Canada" is one."""
    return "US" if country.upper() == "CA" else country.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amd:
    """Machine detection of one leg."""

    until_greeting_end: bool
    timeout_s: float = 30.0
    is_async: bool = False
    callback: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """How to record, and whom to tell."""

    source: str
    channels: int = 1
    track: str = "both"
    callback: Endpoint | None = None
    events: frozenset[str] = frozenset({"completed"})


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """A recording. `duration_s` is whole scripted seconds."""

    sid: str
    call: TwilioCall
    options: RecordingOptions
    started_at: datetime
    mark: float
    status: str = "in-progress"
    duration_s: int | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A complaint in Twilio's debugger. `log`: "0" error, "1" warning."""

    sid: str
    code: int
    log: str
    message: str
    url: str
    method: str
    at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class TwilioCall:
    """One leg as Twilio knows it."""

    leg: Leg
    account: TwilioAccount
    direction: str
    voice: Endpoint | None = None
    twiml: str | None = None
    fallback: Endpoint | None = None
    callback: Endpoint | None = None
    events: frozenset[str] = frozenset({"completed"})
    ring_timeout_s: float = 60.0
    time_limit_s: float = 14400.0
    send_digits: str | None = None
    amd: Amd | None = None
    record: RecordingOptions | None = None
    phone_number_sid: str | None = None
    trunk_sid: str | None = None
    byoc: str | None = None
    refusal: tuple[int, int, str] | None = None
    """Why Twilio itself lets the call fail: SIP code, debugger code and words."""
    queue_time_ms: int = 0
    was_dialed: bool = False
    sequence: int = 0
    answered_by: str | None = None
    price: str | None = None
    updated_at: datetime
    recordings: list[Recording] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    streams: dict[str, MediaStream] = field(default_factory=dict)
    runner: asyncio.Task[None] | None = None

    @property
    def sid(self) -> str:
        """`CA...`."""
        return self.leg.id

    @property
    def status(self) -> str:
        """The call's status over REST and in callbacks."""
        leg = self.leg
        if leg.outcome is None:
            return STATUS_BY_STATE[leg.state]
        if leg.outcome is Outcome.DECLINED and leg.direction is Direction.INBOUND:
            return "no-answer"
        return STATUS_BY_OUTCOME[leg.outcome]
