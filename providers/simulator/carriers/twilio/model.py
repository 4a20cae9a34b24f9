"""What the simulated Twilio remembers: accounts, numbers, calls, recordings, and the switches of its habits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from providers.simulator.carriers.base import Account
from providers.simulator.carriers.twilio.signing import SharedKey
from providers.simulator.exchange import Direction, Leg, LegState, Outcome
from providers.simulator.media import MediaStream

API_VERSION: Final = "2010-04-01"

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
class TwilioAccount:
    """An account with its keys, numbers and verified caller ids."""

    account: Account
    created_at: datetime
    api_keys: dict[str, tuple[str, bool]] = field(default_factory=dict, repr=False)
    """SK sid -> (secret, is a main key)."""
    numbers: dict[str, TwilioNumber] = field(default_factory=dict)
    """By PN sid; see `hold` and `release`."""
    number_sids: dict[str, str] = field(default_factory=dict)
    caller_ids: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Verified number -> (PN sid, when)."""
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

    def may_show(self, e164: str) -> bool:
        """Whether the account holds the number or verified it."""
        return self.number(e164) is not None or e164 in self.caller_ids


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
