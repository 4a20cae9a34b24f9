"""What a carrier adapter must do: the abstract `Provider` and the values that cross the border.

Here: the contract (order, idempotence, what is raised). Not here: any carrier's word, any network code.
An adapter is a set of functions from values to values around one HTTP client; it keeps no state between calls.

Two kinds of carriers exist. A *document* carrier asks what to do and gets the instruction in the HTTP answer
(`answer`, `next`, `fallback` hooks). A *command* carrier only reports; instructions are REST commands. The gateway
treats both alike: an event with `wants_instruction` leads to one `Provider.answer(call, instruction)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from gateway.byoc import (
    ApplicationRequest,
    AvailableNumber,
    CallerId,
    CallerIdVerification,
    CarrierApplication,
    CarrierNumber,
    Difference,
    NumberOrder,
    NumberQuery,
    NumberSetup,
    SipRemoval,
    SipRequest,
    SipTrunk,
    Target,
)
from gateway.errors import UnsupportedFeature
from gateway.status import CallFacts, Direction, EndCause

if TYPE_CHECKING:
    from gateway.instructions import Instruction
    from gateway.transport import Transport

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Hook(StrEnum):
    """Which of our routes a webhook came in by (design, section 7)."""

    ANSWER = "answer"
    STATUS = "status"
    AMD = "amd"
    RECORDING = "recording"
    NEXT = "next"
    FALLBACK = "fallback"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One webhook as it arrived.

    `url` is the configured public base URL + the raw path + the raw query ("?…" only when the request line had a
    query), never the Host header's idea of it. `body` is the raw body. `token` is the last path part where the route
    has one (an attempt token, or a step token at `next`).
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def header(self, name: str) -> str | None:
        """Return the header's value, or None when it is absent *or repeated*: a doubled header is not trusted."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if len(found) == 1 else None


class Aspect(StrEnum):
    """What a signature can disagree about; what the signature doctor names."""

    SCHEME = "scheme"
    HOST = "host"
    PORT = "port"
    PATH = "path"
    QUERY = "query"
    QUERY_ORDER = "query_order"
    PARAMETER_ORDER = "parameter_order"
    ENCODING = "encoding"
    METHOD = "method"
    BODY = "body"
    HEADERS = "headers"
    CLOCK = "clock"
    TOKEN = "token"  # noqa: S105 - a word, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """What a carrier's adapter can say about a refused webhook.

    With `request`: a guess, proven when that request (judged at the time `at`, None: when it came) verifies. Without:
    true as it stands, but no proof. `said` and `remedy` are sentences for a person, without anything secret.
    """

    aspect: Aspect
    said: str
    remedy: str
    request: WebhookRequest | None = field(default=None, repr=False)
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReply:
    """The HTTP answer to a webhook."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""


class StepOutcome(StrEnum):
    """What a carrier reports about the step (instruction) that is running."""

    JOINED = "joined"  # the media socket is open, or the forwarded party answered
    OVER = "over"  # the step ended in the normal way: the agent closed its socket, the text was spoken
    FAILED = "failed"  # the socket was refused, the forwarded party did not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """A report about one step. `detail` keeps the carrier's own word."""

    outcome: StepOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmappedWord:
    """A word of the carrier that no table lists: kept, counted, warned about; it changes nothing (R39)."""

    table: str  # "call_status", "hangup_cause", "event_type", "answered_by" ...
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One fact a carrier reported about one leg.

    Attributes:
        leg_id: the carrier's id of the leg, verbatim; `other_ids` are further ids of the same leg.
        name: the carrier's own word for the report, for the timeline: "initiated", "call.hangup", "StartApp".
        facts: what this one report adds.
        occurred_at: aware UTC by the carrier's clock where it gives one, else None.
        event_id: dedupe key that is the same for every delivery of this report and different for every other report
            of this account; built from ids and state words, never from times of delivery.
        direction, to, from_number: present when the report says so; E.164, a SIP address or "anonymous".
        is_child_leg: a leg that a Forward or Sip step made: it never changes the call's status, only the step's.
        attempt_token: the token found in the path or echoed by the carrier; None for inbound calls.
        step_token: the step this report belongs to, when the report says so.
        wants_instruction: the carrier asks now what to do with the call.
        account_ref: the account the report names, to be checked against the credential (R25); None when it names none.
        raw: the report's fields as they arrived.
    """

    provider: str
    leg_id: str
    name: str
    facts: CallFacts
    event_id: str
    occurred_at: datetime | None = None
    other_ids: tuple[str, ...] = ()
    direction: Direction | None = None
    to: str | None = field(default=None, repr=False)
    from_number: str | None = field(default=None, repr=False)
    is_child_leg: bool = False
    attempt_token: str | None = field(default=None, repr=False)
    step_token: str | None = field(default=None, repr=False)
    step: StepReport | None = None
    wants_instruction: bool = False
    account_ref: str | None = None
    unmapped: tuple[UnmappedWord, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A signature that matched. `canonical` are exactly the bytes that were signed: the replay key is their hash."""

    canonical: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUrls:
    """Absolute URLs of our routes for one call. Carrier retry settings are the adapter's to add."""

    answer: str = field(repr=False)
    status: str = field(repr=False)
    amd: str = field(repr=False)
    recording: str = field(repr=False)
    fallback: str = field(repr=False)
    events: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRequest:
    """What to dial. `attempt_token` is already in `urls`; `command_id` (UUID) is derived from it.

    `join_timeout_s`: whole seconds of ringing. `max_duration_s`: whole seconds after the answer.
    `detect_machine`: asynchronous machine detection; `await_greeting_end`: also tell when a greeting is over.
    `trunk_ref`: the link to another SIP carrier that the call goes by (`SipTrunk.trunk_ref`); None: the carrier's own.
    `extra`: carrier parameters that we do not model, sent as they are.
    """

    call_id: str
    to: str = field(repr=False)
    caller_id: str = field(repr=False)
    attempt_token: str = field(repr=False)
    command_id: str
    join_timeout_s: int
    max_duration_s: int
    detect_machine: bool = False
    await_greeting_end: bool = False
    record: bool = False
    urls: CallbackUrls = field(repr=False)
    trunk_ref: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _EMPTY, repr=False)


class DialResult(StrEnum):
    """The outcome classes of one POST (reliability.md, section 5.2)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = (
        "not_sent"  # no request byte left, or the carrier said that it did not process it: safe to try again
    )
    UNKNOWN = "unknown"  # the phone may be ringing


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOutcome:
    """What is known after one POST. Only ACCEPTED has a `leg_id`; `cause` says why a REJECTED dial ended."""

    result: DialResult
    leg_id: str | None = None
    other_ids: tuple[str, ...] = ()
    cause: EndCause | None = None
    message: str = ""
    vendor_code: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCall:
    """What an adapter needs to know of a call to answer with an instruction.

    `answered`: the call has been answered. `next_url` / `step_token`: where and by what name the carrier reports that
    this step is over. `status_url`: progress of the step (socket open, forwarded leg's progress). `is_last`: nothing
    follows this step, so the document may hang up by itself. `caller_id`: what a Forward shows (already decided);
    `join_timeout_s`: how long the step may take to be joined. `record`: the conversation is to be recorded, and
    recording has not started yet.
    """

    call_id: str
    leg_id: str
    direction: Direction
    answered: bool
    to: str = field(repr=False)
    from_number: str = field(repr=False)
    step_token: str = field(repr=False)
    next_url: str = field(repr=False)
    status_url: str = field(repr=False)
    recording_url: str = field(repr=False)
    events_url: str = field(repr=False)
    attempt_token: str | None = field(default=None, repr=False)
    caller_id: str | None = field(default=None, repr=False)
    join_timeout_s: int = 30
    max_duration_s: int = 1800
    record: bool = False
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRef:
    """A leg at the carrier: its id and the further ids we know it by."""

    leg_id: str
    other_ids: tuple[str, ...] = ()
    is_answered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSnapshot:
    """What the carrier says about one call when asked. `is_known` False: it does not know the call (any more)."""

    is_known: bool
    is_live: bool | None = None
    events: tuple[CallEvent, ...] = ()  # what the answer proves, marked `reconciled`


@dataclass(frozen=True, slots=True, kw_only=True)
class DialQuery:
    """What to look for at the carrier after a dial whose outcome is unknown. Window: inclusive, aware UTC.

    `trunk_ref`: the dial's, because a carrier may file a call by such a link under another address.
    """

    to: str = field(repr=False)
    caller_id: str = field(repr=False)
    attempt_token: str = field(repr=False)
    created_from: datetime
    created_until: datetime
    trunk_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCall:
    """A call at the carrier that may be ours. `has_our_token`: it carries the attempt's token, so it surely is."""

    leg_id: str
    other_ids: tuple[str, ...] = ()
    has_our_token: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCalls:
    """The answer to a `DialQuery`. `is_complete`: every list was read to its end, so "none" means none."""

    calls: tuple[FoundCall, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """What one harmless read tells about an account. `status`: "active", "suspended", "closed", "unknown".

    `voice_allowed`: None where the carrier does not tell. `notes`: what the secrets may not do, and how to mend it,
    one sentence each.
    """

    account_ref: str
    name: str
    status: str
    kind: str  # "main", "sub_account", "trial"
    balance: str | None = None
    currency: str | None = None
    voice_allowed: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStream:
    """A recording's audio as the carrier sends it. Iterate `chunks` to the end or call `close`."""

    content_type: str
    chunks: Iterator[bytes]
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An inclusive range of whole numbers that a carrier accepts."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a carrier can do; the docs' table is generated from it and each line has a test.

    `control`: "document" or "command". `notes`: one line a limit, for the docs.
    """

    control: str
    join_timeout_s: Range
    max_duration_s: Range
    reports_ringing: bool
    reports_human: bool  # machine detection says "human" too, not only "machine"
    reports_fax: bool
    reports_greeting_end: bool
    dial_idempotency: bool
    signs_timestamp: bool
    signs_url: bool
    cost_in_webhook: bool  # else the cost is asked for after the end
    finds_by_token: bool  # an unknown dial is found by its token, not only by numbers and time
    number_setup: bool  # numbers are listed and configured through the API
    records_from_dial: bool = True  # a dial can ask for recording; else the first instruction starts it
    application_setting: str | None = None  # the secret that holds the id of the application numbers point at
    has_applications: bool = False  # numbers point at an application that holds the URLs
    number_search: bool = False  # numbers are searched, bought and released through the API
    caller_id_verification: bool = False  # foreign numbers are verified as caller IDs through the API
    sip_setup: bool = False  # a link to another SIP carrier is set up through the API
    notes: tuple[str, ...] = ()


class Provider(ABC):
    """One account at one carrier. Thread-safe. Constructing it does no network and imports no vendor library."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    usual_secrets: ClassVar[tuple[str, ...]] = ()
    """What a person is asked for who names no secret: enough for everything; others can be named."""

    @abstractmethod
    def __init__(
        self, secrets: Mapping[str, str], *, transport: Transport | None = None, base_url: str | None = None
    ) -> None:
        """Take the account's secrets, by the carrier's field names (design, section 4).

        Args:
            transport: carries every request; None: a one-shot transport fixed to the carrier's host.
            base_url: another host for the carrier's API (the simulator, a region).

        Raises:
            ConfigurationError: a secret is absent or empty, or one is given that the carrier does not have.
        """

    @classmethod
    @abstractmethod
    def check_secrets(cls, secrets: Mapping[str, str]) -> None:
        """Check the shape of secrets (lengths, prefixes, alphabet) where a credential is added.

        Raises:
            ValidationError: names the field and the form, never the value.
        """

    @property
    @abstractmethod
    def account_ref(self) -> str:
        """The carrier's name of the account, as its webhooks name it; "" when its webhooks name none."""

    def prepare(self) -> None:  # noqa: B027 - a carrier without a library has nothing to prepare
        """Load what the first request would wait for (a vendor's library takes a second). No network.

        Raises:
            MissingExtra: the library is not installed.
        """

    # -- webhooks in ------------------------------------------------------------------------------------------------

    @abstractmethod
    def verify_webhook(self, request: WebhookRequest, now: datetime | None = None) -> Verified:
        """Check the signature over the URL and the raw body; constant time; never any other exception.

        Raises:
            WebhookRejected: no secret, no signature, a wrong one, too old; see `RejectionReason`.
        """

    def diagnose_webhook(self, request: WebhookRequest) -> Iterator[Clue]:
        """Yield what only this carrier's adapter can guess about a webhook that was refused; the likeliest first.

        Pure and quick. What every carrier shares (the address, the encoding of the body) the core tries by itself.
        """
        yield from ()

    @abstractmethod
    def read_webhook(self, hook: Hook, request: WebhookRequest) -> list[CallEvent]:
        """Translate a *verified* webhook. Unknown words are kept and listed in `unmapped`.

        Raises:
            WebhookRejected: MALFORMED: not what this carrier sends (encoding, doubled field, bad id).
        """

    @abstractmethod
    def answer(self, call: LiveCall, instruction: Instruction) -> WebhookReply:
        """Make the carrier do `instruction` with the call.

        A document carrier returns the document. A command carrier sends its commands (idempotent by command id: doing
        it twice does it once) and returns an empty reply; a command that must wait for the answer of the call is sent
        when `answer` is called again with `call.answered`.
        An instruction that ends the call, for a call that has ended, is a success.

        Raises:
            ProviderError: a command was refused or its outcome is not known. UnsupportedFeature.
        """

    # -- calls out --------------------------------------------------------------------------------------------------

    @abstractmethod
    def check_dial(self, request: DialRequest) -> None:
        """Refuse what this carrier cannot take, before anything is stored or sent.

        Raises:
            ValidationError: names the field and the accepted range. UnsupportedFeature.
        """

    @abstractmethod
    def dial(self, request: DialRequest) -> DialOutcome:
        """Ask the carrier to ring `request.to`, with one POST at most. Never raises for what the carrier does."""

    @abstractmethod
    def redirect(self, ref: LegRef, next_url: str) -> None:
        """Make a live call of a document carrier ask `next_url` now for its next instruction.

        Raises:
            UnsupportedFeature: a command carrier: use `answer`. Conflict: the call is not live. ProviderError.
        """

    @abstractmethod
    def hang_up(self, ref: LegRef) -> None:
        """End the call, also while queued or ringing. A call that has already ended is a success.

        Raises:
            ProviderError: refused, or outcome not known (asking again is safe).
        """

    @abstractmethod
    def start_recording(
        self, ref: LegRef, *, recording_url: str, max_duration_s: int, may_run: bool = False
    ) -> None:
        """Record the conversation of a connected call from now on; the finished recording goes to `recording_url`.

        A call whose conversation is being recorded already is a success.

        Args:
            max_duration_s: whole seconds after which the recording may end by itself.
            may_run: an earlier request of ours may have had its effect: where the carrier cannot tell, that recording
                is ended first, so that there is one in any case.

        Raises:
            Conflict: the call is not connected (yet, or any more). ProviderError: refused, or outcome not known
                (asking again with `may_run` is safe).
        """

    @abstractmethod
    def stop_recording(self, ref: LegRef) -> None:
        """End what is recorded of a call; it is reported as usual. That nothing is recorded is a success.

        Raises:
            ProviderError: refused, or outcome not known (asking again is safe).
        """

    # -- asking -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def fetch_call(self, ref: LegRef) -> CallSnapshot:
        """Ask what became of a call, its cost included where the carrier tells it. Raises ProviderError."""

    @abstractmethod
    def find_calls(self, query: DialQuery) -> FoundCalls:
        """Look for the call of an unknown dial, by the carrier's own rules. Raises ProviderError."""

    @abstractmethod
    def fetch_recording(self, recording_ref: str, url: str | None = None) -> RecordingStream:
        """Stream a recording's audio with our credentials, from the carrier's own hosts only (R92).

        Raises:
            NotFound: no such recording (any more). ProviderError.
        """

    # -- the account ------------------------------------------------------------------------------------------------

    @abstractmethod
    def check_account(self) -> AccountInfo:
        """Ask the carrier who we are, with one harmless read. Raises RequestRefused for bad secrets, ProviderError."""

    @abstractmethod
    def list_numbers(self) -> Iterator[CarrierNumber]:
        """Yield every number of the account, paged to the end. Raises ProviderError."""

    def find_number(self, e164: str) -> CarrierNumber | None:
        """Return the account's number as it stands now, or None when the account does not have it. ProviderError."""
        raise self._unsupported("number set-up")

    # Setting up is a chain of single writes, each idempotent, each of at most one object. The core keeps what was there
    # before the first of them, and can be killed between any two: what is made is found again by its name.

    def target_of(self, number: CarrierNumber) -> Target:
        """Say what a number points at now; may read the application it names. Raises ProviderError."""
        raise self._unsupported("number set-up")

    def ensure_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Find, make or mend the application of `request` and read it back; None: numbers hold the URLs themselves.

        Raises:
            ValidationError: `outbound_profile` is absent and the account has several: names them, with what to do.
            ConfigurationError: the account lacks what must not be made silently (it costs money), with what to do.
            ProviderError: refused, or outcome not known (asking again is safe).
        """
        raise self._unsupported("number set-up")

    def fetch_application(self, ref: str) -> CarrierApplication:
        """Return an application as it stands now. Raises NotFound, ProviderError; UnsupportedFeature without any."""
        raise self._unsupported("applications")

    def restore_application(self, ref: str, settings: Mapping[str, Any]) -> None:
        """Write back the verbatim settings of an application that was there before us. Raises ProviderError."""
        raise self._unsupported("applications")

    def delete_application(self, ref: str) -> None:
        """Delete an application that we made. One that is gone is a success. Raises ProviderError."""
        raise self._unsupported("applications")

    def configure_number(self, number: CarrierNumber, setup: NumberSetup) -> CarrierNumber:
        """Point a number at us with one write, read it back and return it as it stands.

        Raises:
            NotFound: the account does not have it (any more). ProviderError: refused, or outcome not known.
        """
        raise self._unsupported("number set-up")

    def restore_number(self, number: CarrierNumber, settings: Mapping[str, Any]) -> CarrierNumber:
        """Write back the verbatim `settings` that a number had before us, read it back and return it.

        Raises:
            NotFound, ProviderError: as `configure_number`.
        """
        raise self._unsupported("number set-up")

    def is_ours(self, number: CarrierNumber, setup: NumberSetup) -> bool:
        """True when the number leads inbound calls to where `setup` says, whatever the rest of its settings. Pure.

        It says whose the number is now (restore it? take it over?); `differences` says whether all is as we set it.
        """
        raise self._unsupported("number set-up")

    def differences(
        self, number: CarrierNumber, application: CarrierApplication | None, setup: NumberSetup
    ) -> tuple[Difference, ...]:
        """Compare what the carrier has with what we set: on the number, and on the application where given. Pure."""
        raise self._unsupported("number set-up")

    def account_differences(
        self, application: CarrierApplication | None, countries: tuple[str, ...]
    ) -> tuple[Difference, ...]:
        """Say what of the account keeps calls from `countries` (ISO codes we dial): permissions, profiles. Network.

        What a key may not read is left out. Raises ProviderError.
        """
        raise self._unsupported("number set-up")

    def search_numbers(self, query: NumberQuery) -> list[AvailableNumber]:
        """Search the carrier's inventory of voice numbers; costs nothing. Raises ValidationError, ProviderError."""
        raise self._unsupported("search for numbers")

    def buy_number(self, e164: str, *, reference: str) -> NumberOrder:
        """Buy a number: one POST at most, never repeated. Spends money.

        Args:
            reference: our name of the order, 1-64 letters, digits, dashes; kept where the carrier has a place for it.

        Raises:
            RequestRefused: not available, not allowed. ProviderUnavailable: not known whether it was bought: look with
                `find_number` before asking again.
        """
        raise self._unsupported("buying numbers")

    def release_number(self, carrier_ref: str) -> None:
        """Give a number back to the carrier, for good. One that is gone is a success. Raises ProviderError."""
        raise self._unsupported("releasing numbers")

    def list_caller_ids(self) -> Iterator[CallerId]:
        """Yield the foreign numbers that the account may show, paged to the end. Raises ProviderError."""
        raise self._unsupported("verified caller IDs")

    def start_caller_id(self, e164: str, *, by: str = "call") -> CallerIdVerification:
        """Begin to verify a foreign number: the carrier calls it, or sends a text (`by`: "call" or "sms").

        Raises:
            UnsupportedFeature: not by this way. RequestRefused: verified already, or not allowed. ProviderError.
        """
        raise self._unsupported("verified caller IDs")

    def confirm_caller_id(self, e164: str, verification_ref: str | None, code: str | None) -> CallerId:
        """Finish a verification with the code that the phone got (None where the person typed it on the phone).

        Raises:
            Conflict: not verified (yet). RequestRefused: a wrong or stale code. ProviderError.
        """
        raise self._unsupported("verified caller IDs")

    def check_sip_request(self, request: SipRequest) -> None:
        """Refuse a link that the carrier cannot make, before anything is made for it. Pure.

        Its application is not looked at: it may not be there yet.

        Raises:
            ValidationError: names the field. UnsupportedFeature.
        """
        raise self._unsupported("SIP links")

    def ensure_sip(self, request: SipRequest) -> SipTrunk:
        """Find or make what a link to another SIP carrier needs here; idempotent by the names of what it makes.

        Raises:
            ValidationError: names the field. UnsupportedFeature. ProviderError: asking again is safe.
        """
        raise self._unsupported("SIP links")

    def check_sip(self, request: SipRequest) -> tuple[Difference, ...]:
        """Say what of a link (`request.refs`) is not as it should be. Raises ProviderError."""
        raise self._unsupported("SIP links")

    def remove_sip(self, removal: SipRemoval) -> tuple[str, ...]:
        """Delete what `ensure_sip` made; what is gone is deleted. What was there before a link is left.

        Returns:
            a sentence for each thing that stays: what and where it is, and why.

        Raises:
            ProviderError: not known whether all of it is gone; asking again is safe.
        """
        raise self._unsupported("SIP links")

    def _unsupported(self, what: str) -> UnsupportedFeature:
        return UnsupportedFeature(self.name, what)
