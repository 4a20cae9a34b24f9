"""A call as Plivo keeps it: the leg of the exchange with Plivo's ids, its callback addresses and what came of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from providers.simulator.carriers.plivo.endings import Ending
from providers.simulator.carriers.plivo.rest import Detection, digits
from providers.simulator.exchange import Direction, Leg, LegState
from providers.simulator.media import MediaStream

RATES: Final = {
    Direction.OUTBOUND: Decimal("0.01000"),
    Direction.INBOUND: Decimal("0.00550"),
}  # USD a minute; invented
BILLING_INTERVAL_S: Final = 60


@dataclass(slots=True, kw_only=True)
class Habits:
    """What Plivo may do either way, because its pages disagree or do not say. The defaults are the likeliest.

    Attributes:
        request_uuid_differs: the create answer's `request_uuid` is not the later `CallUUID`.
        hangup_event_missing: an application's hangup request has no `Event`.
        hangup_codes_missing: no `HangupCauseCode`, `HangupCauseName` and `HangupSource`.
        call_status_always_completed: the hangup's `CallStatus` says `completed` whatever happened (the Call API page).
        machine_word: value of `Machine` on the hangup of a call that machine detection ended.
        stream_events: `A` for StartStream/StopStream/DroppedStream, `B` for started/stopped/failed.
        stream_stop_frame: a `stop` frame precedes the close of a media socket.
        live_hangup_is_1000: the API's hangup of an answered call ends with 1000 instead of 4000.
        calls_per_second: above it calls are queued; the message is then `call queued`.
        cdr_delay_s: scripted seconds until a finished call can be read back.
        recordings_need_auth: the console's switch "HTTP Auth on recordings".
        rental_takes_s: scripted seconds that a bought number is `pending`; 0: rented at once.
        subaccount_reads_itself: `GET` of the account works with a subaccount's credentials.
        timezone_offset_hours: the account's console time zone, in which hangup times and CDR times are written.
    """

    request_uuid_differs: bool = False
    hangup_event_missing: bool = False
    hangup_codes_missing: bool = False
    call_status_always_completed: bool = False
    machine_word: str = "true"
    stream_events: str = "A"
    stream_stop_frame: bool = False
    live_hangup_is_1000: bool = False
    calls_per_second: float = 2
    cdr_delay_s: float = 0.0
    recordings_need_auth: bool = False
    timezone_offset_hours: int = 0
    rental_takes_s: float = 0.0
    subaccount_reads_itself: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A callback address with the method it is asked by; the address still has its fragment."""

    url: str
    method: str = "POST"


@dataclass(slots=True, kw_only=True, eq=False)
class StreamRecord:
    """One media stream of a call, as `GET .../Stream/` shows it."""

    stream_id: str
    service_url: str
    audio_track: str
    bidirectional: bool
    content_type: str
    status: str = "initiated"
    callback: Target | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    media: MediaStream | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """One recording: running until `ended_at`; `audio` is the file once there is one."""

    recording_id: str
    call_uuid: str
    from_number: str
    to_number: str
    file_format: str
    started_at: datetime
    started_mark: float
    ended_at: datetime | None = None
    duration_s: float = 0.0
    callback: Target | None = None
    by_api: bool = False
    api_id: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    audio: bytes = field(default=b"", repr=False)


@dataclass(slots=True, kw_only=True, eq=False)
class PlivoCall:
    """A call of an account. Its id is the leg's id, Plivo's `CallUUID`.

    Attributes:
        auth_id: of the account or subaccount that owns its number; `parent_auth_id` of the main account.
        request_uuid: from the create answer; None for an inbound call and a B leg.
        from_, to: as Plivo writes numbers, without `+`.
        ending: set before the leg ends by whoever ends it; None: read from what happened.
        ended_mark: when it ended, in scripted time.
        stop_document: set when the running document must stop, because the call ended or was transferred.
        taken: set when a B leg was transferred away from the call that dialed it.
        on_end: called once when the call is over.
        extra: parameters echoed in every callback (`X-PH-...`).
    """

    leg: Leg
    auth_id: str
    parent_auth_id: str
    from_: str
    to: str
    request_uuid: str | None = None
    caller_name: str = ""
    answer: Target | None = None
    fallback: Target | None = None
    ring: Target | None = None
    hangup: Target | None = None
    detection: Detection | None = None
    send_digits: str | None = None
    ring_timeout_s: int = 120
    time_limit_s: int = 14_400
    hangup_on_ring_s: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    parent_call_uuid: str | None = None
    ending: Ending | None = None
    machine: bool = False
    recordings: list[Recording] = field(default_factory=list)
    streams: list[StreamRecord] = field(default_factory=list)
    ended_mark: float = 0.0
    stop_document: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    on_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def uuid(self) -> str:
        """The `CallUUID`."""
        return self.leg.id

    @property
    def is_outbound(self) -> bool:
        """Placed through the API (a B leg is outbound too)."""
        return self.leg.direction is Direction.OUTBOUND

    @property
    def has_stream(self) -> bool:
        """A media stream is open or being opened."""
        return any(stream.status in ("initiated", "connected") for stream in self.streams)

    @property
    def is_queued(self) -> bool:
        """Accepted, and not dialed yet."""
        return self.leg.state is LegState.QUEUED

    @property
    def is_live(self) -> bool:
        """Dialed and not over."""
        return self.leg.is_live and not self.is_queued

    @property
    def status(self) -> str:
        """Plivo's word for where the call is."""
        words = {
            LegState.QUEUED: "queued",
            LegState.DIALING: "ringing",
            LegState.RINGING: "ringing",
            LegState.IN_PROGRESS: "in-progress",
            LegState.ENDED: "completed",
        }
        return words[self.leg.state]

    @property
    def bill_s(self) -> int:
        """Seconds since the answer, started ones counted whole."""
        return math.ceil(self.leg.duration_s) if self.leg.is_answered else 0

    @property
    def billed_s(self) -> int:
        """`bill_s` rounded up to the billing interval."""
        return math.ceil(self.bill_s / BILLING_INTERVAL_S) * BILLING_INTERVAL_S

    @property
    def rate(self) -> Decimal:
        """USD a minute."""
        return RATES[self.leg.direction]

    @property
    def cost(self) -> Decimal:
        """USD, by the billing interval."""
        return self.rate * self.billed_s / 60


def plivo_number(address: str) -> str:
    """A number as Plivo writes it in callbacks: digits only. A SIP address stays as it is."""
    return digits(address)


def money(amount: Decimal) -> str:
    """Five decimals, as text."""
    return f"{amount:.5f}"


def utc_text(moment: datetime) -> str:
    """`YYYY-MM-DD HH:mm:ss.ffffff` in UTC, as `SessionStart`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
