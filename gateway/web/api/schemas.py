"""What goes in and out of the public API, as pydantic models; the OpenAPI document is made from them.

What comes in is strict: no unknown field, no text where a number belongs, no number where text does. What a use case
checks anyway (numbers, durations, caller IDs) is only described here. What goes out is made by `gateway.showing`;
the models of answers describe it, and tests hold the two together.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from gateway.durations import LONGEST_S, format_duration, parse_duration
from gateway.errors import ValidationError
from gateway.models import CallerIdStrategy
from gateway.notifying import EventType
from gateway.status import STATUS_ALIASES, AnsweredBy, CallStatus, Direction, EndCause, EndedBy, RetryAdvice

LARGEST_LIMIT: Final = 100
LARGEST_OFFSET: Final = 1_000_000
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_E164: Final = r"^\+[1-9][0-9]{1,14}$"


def words(*kinds: Any) -> dict[str, Any]:
    """Describe a text that is one of these words."""
    return {"type": "string", "enum": [word for kind in kinds for word in kind]}


class Given(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Shown(BaseModel):
    """What a client gets; further fields may come with later versions."""

    model_config = ConfigDict(extra="allow")


# -- small kinds ----------------------------------------------------------------------------------------------------


def read_id(value: Any) -> str:
    """Return an id in its one written form. Raises ValueError for what cannot be one."""
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise ValueError("give a UUID like 01890a5d-ac96-774b-bcce-b302099a8057")
    return value.lower()


def _read_time(value: Any) -> datetime:
    wanted = "give an ISO 8601 time with its zone, like 2026-03-01T12:00:00Z (in a URL a + is written %2B)"
    try:
        parsed = datetime.fromisoformat(str(value))
        if parsed.tzinfo is None:
            raise ValueError(wanted)
        return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None


def _read_whole(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value) is not None:
        return int(value)
    raise ValueError("give a whole number")


def _read_status(value: Any) -> CallStatus:
    try:
        return STATUS_ALIASES[value] if value in STATUS_ALIASES else CallStatus(value)
    except ValueError:
        raise ValueError(f"give one of: {', '.join(CallStatus)}") from None


def _read_direction(value: Any) -> Direction:
    try:
        return Direction(value)
    except ValueError:
        raise ValueError(f"give one of: {', '.join(Direction)}") from None


def _read_duration(value: Any) -> str:
    try:
        return format_duration(parse_duration(value, "duration"))
    except ValidationError as error:
        raise ValueError(error.message) from None


Id = Annotated[str, BeforeValidator(read_id), WithJsonSchema({"type": "string", "format": "uuid"})]
Time = Annotated[
    datetime, BeforeValidator(_read_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
Status = Annotated[
    CallStatus, BeforeValidator(_read_status), WithJsonSchema(words(CallStatus, STATUS_ALIASES))
]
Way = Annotated[Direction, BeforeValidator(_read_direction), WithJsonSchema(words(Direction))]
ShownTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
PhoneNumber = Annotated[
    str, Field(max_length=64, json_schema_extra={"pattern": _E164, "examples": ["+14155550123"]})
]
Duration = Annotated[
    str | int,
    BeforeValidator(_read_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,5}[smh]?$"},
                {"type": "integer", "minimum": 1, "maximum": LONGEST_S},
            ],
            "description": '"30s", "10m", "1h" or whole seconds.',
            "examples": ["30s"],
        }
    ),
]
Text = Annotated[str, Field(max_length=10_000)]


def _left_out(schema: dict[str, Any]) -> None:
    """Describe a field that may be left out and is never null."""
    schema.pop("default", None)
    kinds = schema.pop("anyOf", [])
    schema.update(next((kind for kind in kinds if kind != {"type": "null"}), {}))


def optional(description: str, **more: Any) -> Any:
    """Return a field that may be left out and is never null."""
    return Field(default=None, description=description, json_schema_extra=_left_out, **more)


def whole(default: int, low: int, high: int, description: str) -> Any:
    """Return a field of a whole number within a range."""
    return Field(default=default, ge=low, le=high, description=description)


Whole = Annotated[int, BeforeValidator(_read_whole)]


# -- paths, queries, headers ----------------------------------------------------------------------------------------


class CallPath(Given):
    """Which call."""

    id: Id


class EndpointPath(Given):
    """Which webhook endpoint."""

    id: Id


class AgentPath(Given):
    """Which agent."""

    id: Annotated[str, Field(min_length=1, max_length=200)]


class LinkPath(Given):
    """A signed link."""

    link: Annotated[str, Field(min_length=1, max_length=200)]


class CallsQuery(Given):
    """Which calls, and which part of them."""

    status: Status | None = optional("Only calls of this status; the older spellings are understood.")
    direction: Way | None = optional("Only calls of this direction.")
    agent_id: Annotated[str, Field(min_length=1, max_length=200)] | None = optional(
        "Only calls of this agent."
    )
    created_after: Time | None = optional("Only calls made after this time.")
    created_before: Time | None = optional("Only calls made before this time.")
    limit: Whole = whole(50, 1, LARGEST_LIMIT, "How many calls a page has at most.")
    offset: Whole = whole(0, 0, LARGEST_OFFSET, "How many calls to skip; for deep pages use `cursor`.")
    cursor: Annotated[str, Field(min_length=1, max_length=500)] | None = optional(
        "`next_cursor` of the page before, with the same filters; costs the same at any depth."
    )


class EventsQuery(Given):
    """Which part of a call's events."""

    limit: Whole = whole(100, 1, 1000, "How many events a page has at most.")
    cursor: Id | None = optional("`next_cursor` of the page before.")


class StatsQuery(Given):
    """Which calls are summed up: those of the last 30 days, unless said otherwise; a year at most."""

    created_after: Time | None = optional(
        "From this time on, 366 days before the end at most; default: 30 days before it."
    )
    created_before: Time | None = optional("Before this time; default: now.")


class PlaceCallHeader(Given):
    """What makes a request safe to repeat."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None,
        alias="X-Idempotency-Key",
        description="Your own name for this request: sent again with the same body it places no second call.",
        json_schema_extra=_left_out,
    )


# -- calls in -------------------------------------------------------------------------------------------------------


class CallSettingsBody(Given):
    """How a call is handled; what is left out is taken from the agent, then from the gateway's settings."""

    recording_enabled: bool | None = None
    transcription_enabled: bool | None = None
    greeting: Text | None = None
    max_duration: Duration | None = None
    join_timeout: Duration | None = None
    voicemail_detection: Literal["off", "detect"] | None = None
    on_voicemail: Literal["continue", "hang_up", "leave_message"] | None = None
    voicemail_message: Text | None = None


class NewCall(Given):
    """A call to be placed."""

    agent_id: Annotated[str, Field(min_length=1, max_length=200)]
    phone_number: PhoneNumber
    from_number: PhoneNumber | None = None
    variables: dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=20_000)]] = Field(
        default_factory=dict, description="Strings for the agent's templates, 32 KiB together."
    )
    call_settings: CallSettingsBody | None = None


class ChangedSettings(Given):
    """The settings that may change after a call was placed."""

    recording_enabled: bool | None = None
    transcription_enabled: bool | None = None


class CallChange(Given):
    """What to change of a call."""

    context: dict[str, JsonValue] | None = Field(
        default=None, description="Entries to set; an entry of null is removed, others stay. 32 KiB together."
    )
    call_settings: ChangedSettings | None = None


class CallIds(Given):
    """The calls to delete."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class LineBody(Given):
    """One thing said in a call."""

    speaker: Literal["agent", "contact"]
    text: Annotated[str, Field(max_length=20_000)]
    timestamp: Annotated[float, Field(ge=0, le=604_800, description="Seconds since the start of the call.")]


class AnalysisBody(Given):
    """What the call engine found out about a call."""

    transcript: Annotated[list[LineBody], Field(max_length=10_000)] = Field(default_factory=list)
    summary: Annotated[str, Field(max_length=20_000)] = ""
    outcome: Annotated[str, Field(max_length=200)] = ""


# -- agents in ------------------------------------------------------------------------------------------------------


class StreamStep(Given):
    """A media WebSocket."""

    kind: Literal["stream"]
    url: Annotated[str, Field(max_length=2000)]
    parameters: dict[str, str] = Field(default_factory=dict)


class SipStep(Given):
    """A SIP address."""

    kind: Literal["sip"]
    uri: Annotated[str, Field(max_length=500)]


class ForwardStep(Given):
    """A phone number."""

    kind: Literal["forward"]
    number: PhoneNumber
    caller_id: PhoneNumber | None = None


class AgentStep(Given):
    """Another agent's connection."""

    kind: Literal["agent"]
    agent_id: Annotated[str, Field(min_length=1, max_length=200)]


class SayStep(Given):
    """A text to be spoken."""

    kind: Literal["say"]
    text: Annotated[str, Field(max_length=3000)]
    language: Annotated[str, Field(max_length=20)] = "en-US"


class MessageStep(Given):
    """A message to be taken."""

    kind: Literal["message"]
    prompt: Annotated[str, Field(max_length=3000)] = "Please leave a message after the tone."
    max_length_s: Annotated[int, Field(ge=1, le=3600)] = 120
    language: Annotated[str, Field(max_length=20)] = "en-US"


class RejectStep(Given):
    """The end, before the call is answered."""

    kind: Literal["reject"]
    reason: Literal["busy", "rejected"] = "busy"


ConnectBody = Annotated[StreamStep | SipStep | ForwardStep, Field(discriminator="kind")]
FallbackBody = Annotated[
    StreamStep | SipStep | ForwardStep | AgentStep | SayStep | MessageStep | RejectStep,
    Field(discriminator="kind"),
]


class AgentBody(Given):
    """An agent as a whole: what is left out goes back to its default."""

    id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="If given, the id of the path."
    )
    name: Annotated[str, Field(max_length=200)] = ""
    connect: ConnectBody
    settings: CallSettingsBody = Field(default_factory=CallSettingsBody)
    fallback: Annotated[list[FallbackBody], Field(max_length=20)] = Field(default_factory=list)
    max_concurrent_calls: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    caller_id_strategy: Literal["first", "round_robin", "least_recently_used", "same_region"] = "first"


# -- webhook endpoints in -------------------------------------------------------------------------------------------

EventTypes = Annotated[
    list[Annotated[str, Field(max_length=60), WithJsonSchema(words(EventType))]], Field(max_length=50)
]


class NewEndpoint(Given):
    """Where events go."""

    url: Annotated[str, Field(max_length=2000, json_schema_extra={"format": "uri"})]
    event_types: EventTypes = Field(default_factory=list, description="None: all.")
    include_numbers: bool = Field(
        default=False, description="Whole phone numbers in events; else their last four digits."
    )


class EndpointChange(Given):
    """What to change of an endpoint; what is left out stays."""

    url: Annotated[str, Field(max_length=2000, json_schema_extra={"format": "uri"})] | None = None
    event_types: EventTypes | None = None
    include_numbers: bool | None = None
    is_enabled: bool | None = None


class Rotation(Given):
    """How a secret is replaced."""

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = Field(
        default=24, description="How long the secret before it signs too; 0 where others know it."
    )


# -- answers --------------------------------------------------------------------------------------------------------


class Meta(Shown):
    """Which request this answers, and when."""

    request_id: str
    ts: ShownTime


class FieldError(Shown):
    """What is wrong with one field."""

    field: str
    message: str


class ErrorDetails(Shown):
    """What else is known of an error."""

    fields: list[FieldError] | None = Field(default=None, json_schema_extra=_left_out)
    call_id: str | None = Field(default=None, json_schema_extra=_left_out)


class ErrorObject(Shown):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str
    details: ErrorDetails


class Error(Shown):
    """The one form of every error."""

    error: ErrorObject
    meta: Meta


class Money(Shown):
    """An amount as decimal text, in the carrier's currency."""

    amount: str
    currency: str


class ShownRecording(Shown):
    """A recording at the carrier."""

    ref: str
    duration_seconds: int | None
    channels: int | None
    is_message: bool


class ShownEnd(Shown):
    """Why a call is over: who ended it, why, and the carrier's own words."""

    who: Annotated[str, WithJsonSchema(words(EndedBy))]
    why: Annotated[str, WithJsonSchema(words(EndCause))]
    retry: Annotated[str, WithJsonSchema(words(RetryAdvice))]
    carrier: dict[str, str]
    reconciled: bool
    contradictory: bool


class ShownSettings(Shown):
    """The settings in force; durations as "600s"."""

    recording_enabled: bool | None = Field(default=None, json_schema_extra=_left_out)
    transcription_enabled: bool | None = Field(default=None, json_schema_extra=_left_out)
    greeting: str | None = Field(default=None, json_schema_extra=_left_out)
    max_duration: str | None = Field(default=None, json_schema_extra=_left_out)
    join_timeout: str | None = Field(default=None, json_schema_extra=_left_out)
    voicemail_detection: str | None = Field(default=None, json_schema_extra=_left_out)
    on_voicemail: str | None = Field(default=None, json_schema_extra=_left_out)
    voicemail_message: str | None = Field(default=None, json_schema_extra=_left_out)


class Call(Shown):
    """A call. `phone_number` is the other party in both directions; `started_at` is the answer."""

    id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    agent_id: str | None
    phone_number: str
    from_number: str
    to: str
    direction: Annotated[str, WithJsonSchema(words(Direction))]
    status: Annotated[str, WithJsonSchema(words(CallStatus))]
    provider: str | None
    started_at: ShownTime | None
    ended_at: ShownTime | None
    duration_seconds: int | None
    answered_by: Annotated[str, WithJsonSchema(words(AnsweredBy))] | None
    cost_usd: float | None
    cost: Money | None
    summary: str | None
    outcome: str | None
    has_transcript: bool
    recording: ShownRecording | None
    recording_url: str | None
    context: dict[str, JsonValue]
    variables: dict[str, str]
    call_settings: ShownSettings
    failure_reason: str | None
    end_reason: ShownEnd | None
    created_at: ShownTime
    updated_at: ShownTime


class Pagination(Shown):
    """Where a page stands. `total` is counted to 10,000; above it `total_is_exact` is false."""

    total: int
    total_is_exact: bool
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None


class CallList(Shown):
    """One page of calls, newest first."""

    data: list[Call]
    pagination: Pagination
    meta: Meta


class ShownEvent(Shown):
    """One thing that was reported of a call, or that the gateway did, and what became of it."""

    id: str
    call_id: str | None
    name: str
    source: str
    provider: str | None
    occurred_at: ShownTime
    received_at: ShownTime
    outcome: str
    detail: str
    status_after: str | None


class EventPagination(Shown):
    """Where a page of events stands."""

    limit: int
    has_more: bool
    next_cursor: str | None


class EventList(Shown):
    """One page of a call's events, in the order in which they came."""

    data: list[ShownEvent]
    pagination: EventPagination
    meta: Meta


class RecordingLink(Shown):
    """Where a recording can be heard, for 24 hours, without a key."""

    recording_url: str


class ShownLine(Shown):
    """One thing said in a call, `timestamp` seconds after its start."""

    speaker: Literal["agent", "contact"]
    text: str
    timestamp: float


class Transcript(Shown):
    """What was said in a call."""

    transcript: list[ShownLine]
    summary: str | None


class Deleted(Shown):
    """What became of calls that were to be deleted; the failed ones are live, or no calls of yours."""

    deleted_count: int
    failed_count: int
    deleted_ids: list[str]
    failed_ids: list[str]


class ShownTally(Shown):
    """Sums over some calls. Rate and average are of those that ended; null where there are none."""

    calls: int
    ended: int
    answered: int
    by_status: dict[str, int]
    answer_rate: float | None
    average_handle_seconds: float | None
    cost: list[Money]


class AgentTally(ShownTally):
    """Sums over an agent's calls."""

    agent_id: str | None


class NumberTally(ShownTally):
    """Sums over the calls of one of our numbers."""

    number: str


class DayTally(ShownTally):
    """Sums over the calls of one day (UTC)."""

    day: Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]


class Stats(Shown):
    """Sums over the calls of a span of time."""

    created_after: ShownTime
    created_before: ShownTime
    total: ShownTally
    by_agent: list[AgentTally]
    by_number: list[NumberTally]
    by_day: list[DayTally]
    meta: Meta


class Agent(Shown):
    """An agent: how a call reaches it, its settings, and what happens when it cannot be reached."""

    id: str
    name: str
    connect: dict[str, JsonValue]
    settings: ShownSettings
    fallback: list[dict[str, JsonValue]]
    max_concurrent_calls: int | None
    caller_id_strategy: Annotated[str, WithJsonSchema(words(CallerIdStrategy))]


class AgentList(Shown):
    """Every agent."""

    data: list[Agent]
    meta: Meta


class Endpoint(Shown):
    """Where events go. No `event_types`: all of them."""

    id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    url: str
    event_types: list[str]
    include_numbers: bool
    is_enabled: bool
    disabled_reason: str | None
    failing_since: ShownTime | None
    created_at: ShownTime
    updated_at: ShownTime


class EndpointWithSecret(Endpoint):
    """An endpoint with its new secret, which is not shown again."""

    secret: str


class EndpointList(Shown):
    """Every webhook endpoint."""

    data: list[Endpoint]
    meta: Meta
