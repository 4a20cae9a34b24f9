"""Values that the store keeps and that are no part of the public models: steps, actions, claims, deliveries, sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from gateway.instructions import FallbackStep, Instruction, NextAgent
from gateway.models import ApiKey, Call, Credential, Number, SipLink, WebhookEndpoint

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Unset:
    """The kind of `UNSET`: an argument that was left out, where None means something."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredential:
    """A credential with its secrets as the vault sealed them (`credential.secrets` is empty)."""

    credential: Credential
    sealed: str = field(repr=False)


class StepState(StrEnum):
    """Where one instruction of a call stands."""

    PENDING = "pending"  # decided; not given to the carrier yet
    STARTED = "started"  # the carrier has it
    JOINED = "joined"  # the agent claimed the stream, the socket is open, or the forwarded party answered
    OVER = "over"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # another step took its place before it was over

    @property
    def is_open(self) -> bool:
        """True while something is still expected of it."""
        return self in (StepState.PENDING, StepState.STARTED, StepState.JOINED)


OPEN_STEPS: Final = (StepState.PENDING, StepState.STARTED, StepState.JOINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction of a call. `position` counts from 0 within the call; the highest is the current step.

    An `instruction` that is a `NextAgent` stands for an agent whose connection is still to be asked for.
    `remaining` is what follows in the fallback chain, `tried_agents` who was connected before, or tried to be.
    `stream_token_hash` is the hash of a stream's one-use token; the token itself is never stored (R26).
    """

    token: str = field(repr=False)
    workspace_id: str
    call_id: str
    position: int
    instruction: Instruction | NextAgent
    remaining: tuple[FallbackStep, ...] = ()
    tried_agents: tuple[str, ...] = ()
    state: StepState = StepState.PENDING
    detail: str = ""
    agent_id: str | None = None
    join_deadline: datetime | None = None
    stream_token_hash: str | None = field(default=None, repr=False)
    stream_expires_at: datetime | None = None
    claimed_at: datetime | None = None
    created_at: datetime


class ClaimResult(StrEnum):
    """What became of an agent's claim of a stream token."""

    CLAIMED = "claimed"
    ALREADY = "already"  # claimed before
    EXPIRED = "expired"  # too late, or the step is over
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamClaim:
    """The answer to a claim; `step` is None when the token is unknown."""

    result: ClaimResult
    step: Step | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenReply:
    """What a webhook was answered the first time it came. `status` is None while the first answer is being made."""

    credential_id: str
    status: int | None
    step_token: str | None = field(repr=False)
    received_at: datetime


class ActionKind(StrEnum):
    """A durable command to a carrier that follows on a committed change."""

    PERFORM = "perform"
    HANG_UP = "hang_up"
    REDIRECT = "redirect"
    RECORD = "record"


class ActionState(StrEnum):
    """Where an action stands."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One durable command. `tries` counts claims: it is the proof that the claim of a worker is still the last one."""

    id: str
    workspace_id: str
    call_id: str
    credential_id: str
    kind: ActionKind
    payload: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, hash=False, repr=False)
    state: ActionState = ActionState.PENDING
    due_at: datetime
    lease_until: datetime | None = None
    tries: int = 0
    last_error: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLook:
    """An ended call whose cost is to be asked for; `looks` counts how often that was done."""

    call: Call
    looks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPage:
    """One page of calls, newest first. `next_cursor` continues after it; None on the last page."""

    calls: tuple[Call, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPage:
    """One page of numbers, in the order in which they were added. `next_cursor` continues after it."""

    numbers: tuple[Number, ...]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSipLink:
    """A link to another SIP carrier with its password as the vault sealed it; "" without one."""

    link: SipLink
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmappedCount:
    """A carrier's word that no table of ours lists, and how often it came."""

    provider: str
    table: str
    word: str
    count: int
    first_seen_at: datetime
    last_seen_at: datetime


# -- the public API -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """An API key with the SHA-256 (hex) of the whole key."""

    key: ApiKey
    key_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEndpoint:
    """An endpoint with its secrets as the vault sealed them, and until when the previous one still signs."""

    endpoint: WebhookEndpoint
    sealed: str = field(repr=False)
    previous_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """An event to the outside. `payload` is JSON text, sent as it stands; `sequence` is the call's."""

    id: str  # "evt_" and a UUIDv7 in hex; the same in every attempt to deliver it
    workspace_id: str
    call_id: str | None
    type: str
    sequence: int
    payload: str = field(repr=False)
    created_at: datetime


class DeliveryState(StrEnum):
    """Where one event to one endpoint stands."""

    PENDING = "pending"  # to be sent at `due_at`, or being sent
    DELIVERED = "delivered"
    DEAD = "dead"  # given up after the last attempt; can be replayed
    DROPPED = "dropped"  # must not be sent any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event to one endpoint. `attempts` counts claims: it proves that a worker's claim is still the last one."""

    id: str
    notification_id: str
    endpoint_id: str
    workspace_id: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    due_at: datetime
    lease_until: datetime | None = None
    last_status: int | None = None  # HTTP status of the last answer; None: there was none
    last_error: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that the claiming worker is to send now, with what is to be sent."""

    delivery: Delivery
    notification: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """One page of deliveries, newest first. `next_cursor` continues after it; None on the last page."""

    deliveries: tuple[Delivery, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over some calls. Rates and averages are of those that ended; None where there are none."""

    calls: int = 0
    ended: int = 0
    answered: int = 0  # of those that ended
    talk_s: int = 0
    by_status: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    cost: Mapping[str, Decimal] = field(
        default_factory=lambda: _EMPTY
    )  # currency -> sum of what carriers said

    @property
    def answer_rate(self) -> float | None:
        """The share of the ended calls that were answered, 0 to 1."""
        return self.answered / self.ended if self.ended else None

    @property
    def average_handle_s(self) -> float | None:
        """Seconds of talk per answered call that ended."""
        return self.talk_s / self.answered if self.answered else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStats:
    """Sums over the calls of a span of time: all of them, by agent (None: no agent), by our number, by day (UTC)."""

    total: Tally
    by_agent: Mapping[str | None, Tally]
    by_number: Mapping[str, Tally] = field(repr=False)
    by_day: Mapping[date, Tally]
