"""The things the gateway knows, as frozen values.

Every row belongs to a workspace (a tenant of the embedding platform; "default" when there are none). Times are aware
UTC. Numbers are E.164 text. Nothing here talks to a database, a carrier or the web.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from gateway.byoc import Difference
from gateway.durations import format_duration, parse_duration
from gateway.errors import ValidationError
from gateway.instructions import Connection, FallbackStep
from gateway.status import CallFacts, CallStatus, Cost, Direction, EndReason, Recording, was_answered

DEFAULT_WORKSPACE: Final = "default"
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _set_enum(owner: object, name: str, kind: type[StrEnum]) -> None:
    value = getattr(owner, name)
    if value is None:
        return
    try:
        object.__setattr__(owner, name, kind(value))
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise ValidationError(name, f"{str(value)[:40]!r} is not one of: {known}") from None


class VoicemailDetection(StrEnum):
    """Whether to ask the carrier what answered; asynchronous, so that a person never waits in silence."""

    OFF = "off"
    DETECT = "detect"


class OnVoicemail(StrEnum):
    """What to do when a machine answered."""

    CONTINUE = "continue"
    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """Settings of a call; None means "not said here". Merged: gateway defaults < agent < call.

    Durations are kept as the public API writes them, "600s"; `join_timeout_s` and `max_duration_s` give whole seconds.

    Raises:
        ValidationError: a malformed duration, or a word outside the closed set; it names the field.
    """

    recording_enabled: bool | None = None
    transcription_enabled: bool | None = None
    greeting: str | None = None
    max_duration: str | int | None = None
    join_timeout: str | int | None = None
    voicemail_detection: VoicemailDetection | str | None = None
    on_voicemail: OnVoicemail | str | None = None
    voicemail_message: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_duration", "join_timeout"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, format_duration(parse_duration(value, name)))
        _set_enum(self, "voicemail_detection", VoicemailDetection)
        _set_enum(self, "on_voicemail", OnVoicemail)
        for name in ("recording_enabled", "transcription_enabled"):
            if not isinstance(getattr(self, name), (bool, type(None))):
                raise ValidationError(name, "give true or false")
        for name in ("greeting", "voicemail_message"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise ValidationError(name, "give text")

    def over(self, base: CallSettings) -> CallSettings:
        """Return these settings with what they leave open taken from `base`."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(base, **said)

    @property
    def join_timeout_s(self) -> int:
        """How long it may ring, and how long an agent may take to join; whole seconds."""
        return parse_duration(self.join_timeout if self.join_timeout is not None else "30s", "join_timeout")

    @property
    def max_duration_s(self) -> int:
        """Cut-off after the answer; whole seconds."""
        return parse_duration(self.max_duration if self.max_duration is not None else "30m", "max_duration")

    @property
    def detects_machines(self) -> bool:
        """True when machine detection is asked for."""
        return self.voicemail_detection is VoicemailDetection.DETECT

    def as_dict(self) -> dict[str, Any]:
        """Return the public API's form: field name to JSON value, unset fields left out."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CallSettings:
        """Read the public API's form. Raises ValidationError for an unknown field."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                raise ValidationError(
                    str(name)[:60], "no such call setting; known: " + ", ".join(sorted(known))
                )
        return cls(**values)


# R72: a maximum duration goes out with every dial (Plivo's own default is 4 h). R78: recording is off by default.
DEFAULT_SETTINGS: Final = CallSettings(
    recording_enabled=False,
    transcription_enabled=False,
    max_duration="30m",
    join_timeout="30s",
    voicemail_detection=VoicemailDetection.OFF,
    on_voicemail=OnVoicemail.CONTINUE,
)


class CallerIdStrategy(StrEnum):
    """How a caller ID is chosen when the call names none."""

    FIRST = "first"
    ROUND_ROBIN = "round_robin"
    LEAST_RECENTLY_USED = "least_recently_used"
    SAME_REGION = "same_region"  # same country, then same area code


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What talks. `id` is the engine's own id (any text of 1-200 characters, usually a UUID).

    `connect` says how a call reaches it, or is a function of the call for engines that mint an address per call. A
    function lives in this process only: put the agent again after a restart.
    """

    id: str
    connect: Connection | Callable[[Call], Connection]
    name: str = ""
    settings: CallSettings = field(default_factory=CallSettings)
    fallback: tuple[FallbackStep, ...] = ()
    max_concurrent_calls: int | None = None
    caller_id_strategy: CallerIdStrategy = CallerIdStrategy.FIRST
    workspace_id: str = DEFAULT_WORKSPACE

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not 1 <= len(self.id) <= 200 or not self.id.isprintable():
            raise ValidationError("agent_id", "give 1 to 200 printable characters")
        limit = self.max_concurrent_calls
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValidationError("max_concurrent_calls", "give at least 1, or nothing for no limit")
        object.__setattr__(self, "fallback", tuple(self.fallback))
        _set_enum(self, "caller_id_strategy", CallerIdStrategy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One account at one provider. Secrets are opened by the vault only when an adapter needs them.

    `key` is the unguessable path key of its webhook URLs (R25). `account_ref` is the carrier's name of the account,
    checked against what a webhook says. `exclusive`: only this gateway places calls with the account, so a call found
    at the carrier by its two numbers and its time can only be ours (`reliability`, protocol step 8b).

    `application_ref` is what its numbers point at, where the carrier has that: ours (`application_is_ours`), or one
    that was there, whose settings before us are `application_before`. `outbound_profile` is what its outbound calls
    are billed by, where the carrier has that and the person named one.
    """

    id: str
    workspace_id: str
    provider: str
    name: str
    key: str
    account_ref: str
    secrets: Mapping[str, str] = field(repr=False, default_factory=lambda: _EMPTY)
    exclusive: bool = True
    created_at: datetime
    application_ref: str | None = None
    application_before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    application_is_ours: bool = False
    outbound_profile: str | None = None


class NumberKind(StrEnum):
    """How we come to a number."""

    OWNED = "owned"  # the account has it
    CALLER_ID = "caller_id"  # it is another carrier's, verified to be shown: outbound only
    SIP = "sip"  # it stays with another carrier, which is linked to the account by SIP


class SetupState(StrEnum):
    """How far a number points at us at its carrier. Written before the first change, so that no kill hides one."""

    NONE = "none"  # nothing of ours is there
    APPLYING = "applying"  # being pointed at us, or was when the process died
    APPLIED = "applied"
    RESTORING = "restoring"  # being put back, or was when the process died


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An E.164 number held by a credential. `country` is ISO 3166 alpha-2, `area_code` national digits or "".

    `before` are the carrier's settings of the number before us, verbatim, and `pointed_at` says the same in one line:
    kept from the first change until they are put back. `differences` is what the last look at the carrier
    (`checked_at`) found to be not as we set it. `trunk_ref` is what a dial from it must name.
    """

    id: str
    workspace_id: str
    credential_id: str
    provider: str
    e164: str = field(repr=False)
    country: str
    area_code: str
    carrier_ref: str | None = None
    last_used_at: datetime | None = None
    created_at: datetime
    kind: NumberKind = NumberKind.OWNED
    setup_state: SetupState = SetupState.NONE
    before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    pointed_at: str | None = field(default=None, repr=False)
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    differences: tuple[Difference, ...] = field(default=(), repr=False)
    is_drifted: bool = False
    sip_link_id: str | None = None
    trunk_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A number serves an agent in one direction; a number has at most one inbound agent."""

    number_id: str
    e164: str = field(repr=False)
    agent_id: str
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class SipLink:
    """A link between an account and another SIP carrier. `refs` are the ids of what the link needs at the account."""

    id: str
    workspace_id: str
    credential_id: str
    name: str
    carrier_host: str | None = None
    carrier_ips: tuple[str, ...] = ()
    username: str | None = None
    refs: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False)
    trunk_ref: str | None = None
    created_at: datetime


class OperationKind(StrEnum):
    """Long work over many numbers."""

    IMPORT = "import"
    IMPORT_CSV = "import_csv"
    REPAIR = "repair"


class OperationState(StrEnum):
    """Where an operation stands."""

    PENDING = "pending"  # to be done, or being done
    DONE = "done"
    FAILED = "failed"  # it cannot go on; what was done stays done


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Long work that can be polled, and goes on after a kill. `tries` counts claims; `total` is None until known."""

    id: str
    workspace_id: str
    kind: OperationKind
    payload: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False, hash=False)
    state: OperationState = OperationState.PENDING
    done: int = 0
    total: int | None = None
    tries: int = 0
    due_at: datetime
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """What an operation did with one number. `subject` is the number as it was given."""

    subject: str = field(repr=False)
    verdict: str
    detail: str = ""


class AttemptState(StrEnum):
    """Where one dial request stands (reliability.md, section 5.3)."""

    DIALING = "dialing"  # committed; bytes may leave, or have left
    ACCEPTED = "accepted"  # the carrier took it
    REJECTED = "rejected"  # the carrier refused it: nothing rings
    NOT_SENT = "not_sent"  # no byte left, or the carrier said that it did not process it
    UNKNOWN = "unknown"  # the phone may be ringing: never dialed again by itself
    NOT_PLACED_PROBABLE = "not_placed_probable"  # no trace in three complete looks over ten minutes
    INDETERMINATE = "indeterminate"  # still unknown after 24 h

    @property
    def is_open(self) -> bool:
        """True while the outcome can still change by itself."""
        return self in (AttemptState.DIALING, AttemptState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One dial request handed to a carrier. `token` is in every callback path of the call.

    `trunk_ref`: the link to another SIP carrier that it goes by.
    """

    id: str
    workspace_id: str
    call_id: str
    credential_id: str
    provider: str
    to: str = field(repr=False)
    from_number: str = field(repr=False)
    token: str = field(repr=False)
    command_id: str
    state: AttemptState
    number: int = 1  # first, second ... attempt of its call
    leg_id: str | None = None
    message: str | None = None
    vendor_code: str | None = None
    http_status: int | None = None
    version: int = 0
    lease_until: datetime | None = None
    next_look_at: datetime | None = None
    looks: int = 0  # rounds of asking the carrier
    clean_looks: int = 0  # complete, successful rounds without a trace
    first_clean_look_at: datetime | None = None
    created_at: datetime
    settled_at: datetime | None = None
    trunk_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The conversation, our record of it. `id` is ours (UUIDv7), `leg_id` the carrier's id of the leg we talk on.

    `to` and `from_number` are the called and the calling number; a withheld caller is "anonymous". `phone_number` is
    the other party in both directions. `started_at` is the answer; `duration_seconds` is talk time.
    """

    id: str
    workspace_id: str
    direction: Direction
    status: CallStatus
    to: str = field(repr=False)
    from_number: str = field(repr=False)
    agent_id: str | None
    credential_id: str | None
    provider: str | None
    leg_id: str | None = None
    settings: CallSettings = DEFAULT_SETTINGS
    variables: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False, repr=False)
    context: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, hash=False, repr=False)
    facts: CallFacts = field(default_factory=CallFacts, repr=False)
    end_reason: EndReason | None = None
    idempotency_key: str | None = None
    sequence: int = 0  # counts the changes of this call; events to the outside carry it
    version: int = 0
    created_at: datetime
    updated_at: datetime

    @property
    def phone_number(self) -> str:
        """The other party."""
        return self.from_number if self.direction is Direction.INBOUND else self.to

    @property
    def started_at(self) -> datetime | None:
        """When it was answered, or None. Counted back from the end when only the end told that it was answered."""
        if not was_answered(self.facts):
            return None
        if self.facts.answered_at is not None:
            return self.facts.answered_at
        if self.facts.ended_at is None or self.facts.duration is None:
            return self.facts.ended_at
        return self.facts.ended_at - timedelta(seconds=self.facts.duration.seconds)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, or None while it lives."""
        return self.facts.ended_at if self.facts.ends else None

    @property
    def duration_seconds(self) -> int | None:
        """Talk time: the carrier's figure when it gave one, else computed from the two times; None until it ended."""
        if not self.facts.ends:
            return None
        if self.facts.duration is not None:
            return self.facts.duration.seconds
        if self.facts.answered_at is None or self.facts.ended_at is None or not was_answered(self.facts):
            return 0
        return max(0, round((self.facts.ended_at - self.facts.answered_at).total_seconds()))

    @property
    def cost(self) -> Cost | None:
        """What the carrier charged, when it said so."""
        return self.facts.cost

    @property
    def recording(self) -> Recording | None:
        """The recording of the conversation (or else the message taken), when one is ready."""
        ordered = sorted(self.facts.recordings, key=lambda r: (r.is_message, r.ref))
        return ordered[0] if ordered else None


class EventOutcome(StrEnum):
    """What became of one event."""

    APPLIED = "applied"
    NOTHING_NEW = "nothing_new"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One fact a carrier reported, or that we fetched or did, and what became of it. `raw` is what arrived."""

    id: str
    call_id: str | None
    provider: str
    name: str
    source: str  # "webhook", "reconciled", "gateway"
    outcome: EventOutcome
    detail: str = ""
    status_after: CallStatus | None = None
    occurred_at: datetime
    received_at: datetime
    raw: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False, hash=False)


# -- the public API -------------------------------------------------------------------------------------------------


class Scope(StrEnum):
    """What an API key may do."""

    CALLS_READ = "calls:read"  # read calls, recordings, transcripts, statistics and agents
    CALLS_WRITE = "calls:write"  # place, change, end and delete calls
    NUMBERS_READ = "numbers:read"  # read accounts and numbers
    NUMBERS_WRITE = "numbers:write"  # set numbers up at the carrier
    NUMBERS_BUY = "numbers:buy"  # buy and release numbers: costs money
    CREDENTIALS_WRITE = "credentials:write"  # add and remove carrier accounts
    ADMIN = "admin"  # everything, agents and webhook endpoints too


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of the public API, without the key itself: `prefix` is its first 12 characters, to tell keys apart."""

    id: str
    workspace_id: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has the scope, or is an admin's."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """An address of the embedding platform that hears of events. No `event_types`: of all types.

    `include_numbers`: whole phone numbers instead of their last four digits. `failing_since` is the first failure after
    the last success. `disabled_reason` says why nothing is sent now.
    """

    id: str
    workspace_id: str
    url: str
    event_types: tuple[str, ...] = ()
    include_numbers: bool = False
    is_enabled: bool = True
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    created_at: datetime
    updated_at: datetime

    def wants(self, event_type: str) -> bool:
        """Return whether the endpoint subscribed to the type."""
        return not self.event_types or event_type in self.event_types


class Speaker(StrEnum):
    """Who said a line of a transcript: our agent, or the other party."""

    AGENT = "agent"
    CONTACT = "contact"


_LONGEST_TIMESTAMP_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptLine:
    """One thing said in a call, `timestamp_s` seconds after its start."""

    speaker: Speaker | str
    text: str = field(repr=False)
    timestamp_s: float

    def __post_init__(self) -> None:
        _set_enum(self, "speaker", Speaker)
        if not isinstance(self.text, str):
            raise ValidationError("text", "give text")
        if isinstance(self.timestamp_s, bool) or not isinstance(self.timestamp_s, (int, float)):
            raise ValidationError("timestamp", "give seconds, 0 or more")
        if not 0 <= self.timestamp_s <= _LONGEST_TIMESTAMP_S:
            raise ValidationError("timestamp", "give seconds, 0 or more, within a week")
        object.__setattr__(self, "timestamp_s", float(self.timestamp_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSummary:
    """What a list of calls shows of an analysis."""

    summary: str = field(default="", repr=False)
    outcome: str = ""
    has_transcript: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the call engine found out about a call. `outcome` is its own word ("booked", "not interested")."""

    transcript: tuple[TranscriptLine, ...] = field(default=(), repr=False)
    summary: str = field(default="", repr=False)
    outcome: str = ""

    @property
    def short(self) -> AnalysisSummary:
        """The same without the transcript's lines."""
        return AnalysisSummary(
            summary=self.summary, outcome=self.outcome, has_transcript=bool(self.transcript)
        )
