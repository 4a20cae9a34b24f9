"""What the simulated Telnyx keeps: customers with their applications and numbers, legs, recordings, call events."""

from __future__ import annotations

import asyncio
import base64
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from providers.simulator.carriers.base import Account
from providers.simulator.carriers.telnyx.memory import CommandMemory
from providers.simulator.carriers.telnyx.rest import Document
from providers.simulator.carriers.telnyx.signing import AccountKey
from providers.simulator.carriers.telnyx.webhooks import Ending, LegView
from providers.simulator.exchange import Direction, Leg

if TYPE_CHECKING:
    from providers.simulator.carriers.telnyx.sounds import Player
    from providers.simulator.delivery import WebhookAnswer
    from providers.simulator.media import MediaStream

NOTE: Final = "telnyx"
BALANCE: Final = {
    "record_type": "balance",
    "balance": "100.00",
    "credit_limit": "0.00",
    "available_credit": "100.00",
    "pending": "0.00",
    "currency": "USD",
}  # invented amounts


@dataclass(slots=True, kw_only=True)
class Habits:
    """Switches for what only this carrier does, and for what its documentation leaves open.

    Attributes:
        missing_key_status: a request without a key: 404 by the vendor's notes, 401 by its reference.
        gone_call_status: `GET /calls/{id}` of a call it does not know (any more): 404 or 422.
        cancel_cause: of an unanswered outbound leg that the customer hangs up; `normal_clearing` is seen too.
        further_routes_s: how much longer it rings with `retry_on_timeout`, which tries further routes.
        reports_keys: `call.dtmf.received` outside gather.
        answers_dial_last: `call.initiated` is delivered before the dial is answered.
        recording_ready_s, cost_ready_s: scripted seconds from the end to `call.recording.saved` and `call.cost`.
        order_takes_s: scripted seconds until an order of numbers is through; 0: its answer says success already.
        orders_fail: an order ends as a failure, with its numbers `purchase-failed`.
    """

    missing_key_status: int = 404
    gone_call_status: int = 404
    cancel_cause: str = "originator_cancel"
    further_routes_s: float = 0.0
    reports_keys: bool = True
    answers_dial_last: bool = False
    recording_ready_s: float = 2.0
    cost_ready_s: float = 1.0
    order_takes_s: float = 2.0
    orders_fail: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class CallEvent:
    """One line of `GET /v2/call_events`: a webhook or a command. `mark` is scripted time."""

    leg: Leg
    record: LegRecord
    type: str
    name: str
    at: datetime
    mark: float
    metadata: Document


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """One recording, from its start; `ready` when it can be fetched. Marks are scripted time."""

    id: str
    leg: Leg
    record: LegRecord
    channels: str
    file_format: str
    initiated_by: str
    started_at: datetime
    started_mark: float
    ended_at: datetime | None = None
    duration_s: float = 0.0
    ready: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Customer:
    """An account with what it holds: REST resources by id.

    Attributes:
        status: "active", "suspended" (it cannot call) or "closed" (its key is none any more).
        is_trial: it may call verified numbers only.
        balance: what `GET /balance` says, or None: the key has no right to it.
        voice: changed voice settings, by the id of their number.
        trunks: SIP connections of every kind. `addresses`: the IPs and FQDNs that belong to them.
        codes: of verifications under way, by number.
    """

    account: Account
    key: AccountKey = field(repr=False)
    memory: CommandMemory
    opened_at: datetime
    status: str = "active"
    is_trial: bool = False
    balance: Document | None = field(default_factory=lambda: dict(BALANCE))
    channel_limit: int | None = None
    profiles: dict[str, Document] = field(default_factory=dict)
    applications: dict[str, Document] = field(default_factory=dict)
    numbers: dict[str, Document] = field(default_factory=dict)
    voice: dict[str, Document] = field(default_factory=dict)
    orders: dict[str, Document] = field(default_factory=dict)
    trunks: dict[str, Document] = field(default_factory=dict)
    addresses: dict[str, Document] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict, repr=False)
    verified_at: dict[str, datetime] = field(default_factory=dict)
    events: list[CallEvent] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)

    @property
    def own_numbers(self) -> frozenset[str]:
        """Give the numbers that the account holds."""
        return frozenset(number["phone_number"] for number in self.numbers.values())

    def number(self, e164: str) -> Document | None:
        """Give the number as a resource; None when the account does not hold it."""
        return next((number for number in self.numbers.values() if number["phone_number"] == e164), None)

    def drop_number(self, number: Document) -> None:
        """Take a number away, with its settings."""
        del self.numbers[number["id"]]
        self.voice.pop(number["id"], None)

    def connection(self, connection_id: str) -> Document | None:
        """Give the application or SIP connection of this id."""
        return self.applications.get(connection_id) or self.trunks.get(connection_id)

    def detach(self, connection_id: str) -> None:
        """Point at nothing what pointed at a connection."""
        for number in self.numbers.values():
            if number["connection_id"] == connection_id:
                number["connection_id"] = number["connection_name"] = None
        for address in self.addresses.values():
            if address["connection_id"] == connection_id:
                address["connection_id"] = ""


@dataclass(slots=True, kw_only=True, eq=False)
class LegRecord:
    """What this carrier knows of a leg beside the exchange. Times ending in `_s` are scripted seconds.

    Attributes:
        request: the fields of the dial, the transfer or the answer that shape the leg from its answer on.
        webhook_url: where its events go; None: the application's URL.
        ending: the reason of the end, when the carrier itself chose it.
        announced: the delivery of `call.initiated`.
        peer: the leg it is bridged with, also for a moment after the bridge ended.
        transferring: the second leg of a transfer that has not been answered yet.
    """

    customer: Customer
    application: Document
    call_leg_id: str
    call_session_id: str
    client_state: str | None = None
    request: Document = field(default_factory=dict)
    webhook_url: str | None = None
    webhook_urls: dict[str, Any] = field(default_factory=dict)
    retry_policies: dict[str, Any] = field(default_factory=dict)
    ring_timeout_s: float = 30.0
    ring_mark: float | None = None
    ended_mark: float | None = None
    announced: asyncio.Task[WebhookAnswer] | None = None
    commanded: bool = False
    ending: Ending | None = None
    peer: Leg | None = None
    parks: bool = False
    transferring: Leg | None = None
    player: Player | None = None
    stream: MediaStream | None = None
    stream_id: str | None = None
    recordings: list[Recording] = field(default_factory=list)
    timers: list[asyncio.Task[None]] = field(default_factory=list)
    key_reader: asyncio.Task[None] | None = None

    @property
    def connection_id(self) -> str:
        """Give the id of the application; a leg keeps one that is deleted meanwhile."""
        application_id: str = self.application["id"]
        return application_id


def record_of(leg: Leg) -> LegRecord:
    """Give the carrier's record of a leg."""
    record: LegRecord = leg.notes[NOTE]
    return record


def view(leg: Leg) -> LegView:
    """Give what every webhook of the leg says, now."""
    record = record_of(leg)
    return LegView(
        call_control_id=leg.id,
        call_leg_id=record.call_leg_id,
        call_session_id=record.call_session_id,
        connection_id=record.connection_id,
        client_state=record.client_state,
        from_=leg.from_,
        to=leg.to,
        direction="incoming" if leg.direction is Direction.INBOUND else "outgoing",
        start_time=leg.dialed_at or leg.created_at,
    )


# --- ids ----------------------------------------


def call_control_id(source: random.Random) -> str:
    """Make a token in the carrier's form: `v3:` and 54 URL-safe characters."""
    return "v3:" + base64.urlsafe_b64encode(source.randbytes(41)).decode("ascii")[:54]


def uuid1_like(source: random.Random) -> str:
    """Make a UUID of version 1, as legs and sessions have, from the simulator's own random source."""
    drawn = bytearray(source.randbytes(16))
    drawn[6] = drawn[6] & 0x0F | 0x10
    drawn[8] = drawn[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(drawn)))


def uuid4_like(source: random.Random) -> str:
    """Make a UUID of version 4, as events and recordings have."""
    return str(uuid.UUID(bytes=source.randbytes(16), version=4))


def numeric_id(source: random.Random) -> str:
    """Make an id as applications and numbers have: nineteen digits."""
    return str(source.randrange(10**18, 10**19))
