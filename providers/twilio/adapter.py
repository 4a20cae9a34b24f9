"""Twilio Programmable Voice, REST API of version 2010-04-01, documents in TwiML.

Source: Twilio's voice documentation (https://www.twilio.com/docs/voice, read 2026-11); official Python library
`twilio`. Tested on the simulator only: no account was at hand. What no source settles is marked unconfirmed, here and
in `docs/providers/twilio.md`.

Twilio is a document carrier: it asks one of our URLs what to do and gets the instruction in the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from gateway.adapting import (
    SecretForm,
    basic_auth,
    check_forms,
    check_names,
    open_transport,
    read_recording,
)
from gateway.errors import (
    ConfigurationError,
    Conflict,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.interface import (
    CallEvent,
    CallSnapshot,
    Capabilities,
    Clue,
    DialOutcome,
    DialQuery,
    DialRequest,
    FoundCalls,
    Hook,
    LegRef,
    LiveCall,
    RecordingStream,
    Verified,
    WebhookReply,
    WebhookRequest,
)
from gateway.outcomes import RequestFailed
from gateway.transport import HttpResponse, StreamedResponse, stream_get
from providers.twilio import calls, instructions, webhooks
from providers.twilio.account import TwilioAccount
from providers.twilio.client import (
    HOST,
    dial_outcome,
    open_client,
    owner_login,
    product_hosts,
    read_failure,
    rest_login,
    translated,
)
from providers.twilio.vocabulary import CALL_IS_GONE, CURRENT_RECORDING

if TYPE_CHECKING:
    from gateway.instructions import Instruction
    from gateway.transport import Transport

_REQUIRED: Final = ("account_sid",)
_PAIRS: Final = (("api_key_sid", "api_key_secret"), ("shared_key_id", "shared_key_secret"))

# Twilio documents SIDs; that a token is 32 hex digits is what every account shows.
_FORMS: Final[Mapping[str, SecretForm]] = {
    "account_sid": SecretForm("AC[0-9a-fA-F]{32}", "AC and 32 hex digits"),
    "auth_token": SecretForm("[0-9a-fA-F]{32}", "32 hex digits"),
    "auth_token_secondary": SecretForm("[0-9a-fA-F]{32}", "32 hex digits"),
    "api_key_sid": SecretForm("SK[0-9a-fA-F]{32}", "SK and 32 hex digits"),
    "api_key_secret": SecretForm("[0-9A-Za-z]{16,128}", "16 to 128 letters and digits"),
    "shared_key_id": SecretForm("[0-9A-Za-z_-]{1,128}", "the key's id, letters, digits, _ and -"),
    "shared_key_secret": SecretForm("[!-~]{16,256}", "16 to 256 printable characters without spaces"),
}

_PAGE_SIZE: Final = 200  # Twilio takes 1000; an answer of the transport is 1 MB at most
_MOST_LISTED: Final = 5000


class TwilioProvider(TwilioAccount):
    """One Twilio account. REST requests use the API key where one is given; webhooks are always checked with the
    account's auth token, or with a shared key (webhooks product, public beta). An API key alone dials and sets up
    numbers, but every webhook is refused; `check_account` says so.
    """

    name: ClassVar[str] = calls.NAME
    usual_secrets: ClassVar[tuple[str, ...]] = ("account_sid", "auth_token")
    capabilities: ClassVar[Capabilities] = Capabilities(
        control="document",
        join_timeout_s=calls.JOIN_TIMEOUT_S,
        max_duration_s=calls.MAX_DURATION_S,
        reports_ringing=True,
        reports_human=True,
        reports_fax=True,
        reports_greeting_end=True,
        dial_idempotency=False,
        signs_timestamp=False,
        signs_url=True,
        cost_in_webhook=False,
        finds_by_token=False,
        number_setup=True,
        number_search=True,
        caller_id_verification=True,
        sip_setup=True,
        notes=(
            "The ring time may be 5 s longer than asked; its minimum is unconfirmed.",
            "Calls above the account's calls-per-second rate wait in Twilio's queue, for up to 24 h.",
            "A call cancelled in that queue sends no webhook: ask for it.",
            "The price is known some minutes after the end, and covers the connection only.",
            "An unknown dial is found by its two numbers and its time, not by its token.",
            "Asking for a call tells neither a SIP code nor an error code: a failed call then has no closer cause.",
            "An inbound call on a media stream has no limit at Twilio: the sweeper ends it, up to 15 minutes late.",
            "A forward rings for at least 5 s.",
            "A stream parameter's name and value stay below 500 characters together.",
        ),
    )

    def __init__(
        self, secrets: Mapping[str, str], *, transport: Transport | None = None, base_url: str | None = None
    ) -> None:
        """Take the account's secrets; see `Provider.__init__`."""
        check_names(self.name, secrets, required=_REQUIRED, known=_FORMS)
        _check_pairs(secrets)
        self._secrets = dict(secrets)
        self._base_url = (base_url or HOST).rstrip("/")
        self._transport = transport or open_transport(
            self.name, self._base_url, more=product_hosts(self._base_url)
        )
        self._sdk: Any = None
        self._lock = Lock()
        self._keys = webhooks.Keys(
            auth_tokens=tuple(
                secrets[name] for name in ("auth_token", "auth_token_secondary") if name in secrets
            ),
            shared_key_id=secrets.get("shared_key_id"),
            shared_key_secret=secrets.get("shared_key_secret"),
        )

    @classmethod
    def check_secrets(cls, secrets: Mapping[str, str]) -> None:
        """Check the shape of the secrets; see `Provider.check_secrets`."""
        check_forms(secrets, _FORMS, required=_REQUIRED)
        try:
            _check_pairs(secrets)
        except ConfigurationError as half:
            raise ValidationError("secrets", str(half)) from None

    @property
    def account_ref(self) -> str:
        """The Account SID."""
        return self._secrets["account_sid"]

    def prepare(self) -> None:
        """Load the SDK and the part of it that calls need."""
        _ = self._client().calls

    # -- webhooks in --------------------------------------------------------------------------------------------------

    def verify_webhook(self, request: WebhookRequest, now: datetime | None = None) -> Verified:
        """Check the signature; Twilio signs no time, so `now` is not looked at."""
        return webhooks.verify(request, self._keys)

    def diagnose_webhook(self, request: WebhookRequest) -> Iterator[Clue]:
        """Guess at logins in the URL, a rewritten JSON body, unsorted parameters, shared keys and sub-accounts."""
        return webhooks.diagnose(request, self.account_ref)

    def read_webhook(self, hook: Hook, request: WebhookRequest) -> list[CallEvent]:
        """Translate a verified webhook into one event."""
        return webhooks.read(hook, request)

    def answer(self, call: LiveCall, instruction: Instruction) -> WebhookReply:
        """Return the instruction as TwiML. Nothing is sent."""
        return WebhookReply(
            content_type=instructions.CONTENT_TYPE, body=instructions.render(call, instruction)
        )

    # -- calls out ----------------------------------------------------------------------------------------------------

    def check_dial(self, request: DialRequest) -> None:
        """Refuse what Twilio cannot take: ranges, its own number as the callee, unknown extra parameters."""
        calls.check_dial(request)

    def dial(self, request: DialRequest) -> DialOutcome:
        """Create the call, with one POST."""
        params, create = calls.dial_params(request), self._client().calls.create
        try:
            created = create(**params)
        except (
            Exception
        ) as error:  # whatever broke, the phone may be ringing: the outcome says what is proven
            return dial_outcome(error)
        return calls.read_dial(created)

    def redirect(self, ref: LegRef, next_url: str) -> None:
        """Make a live call fetch `next_url`."""
        call = self._call(ref)
        try:
            with translated():
                call.update(url=calls.with_retries(next_url), method="POST")
        except RequestRefused as refused:
            if refused.vendor_code in CALL_IS_GONE:
                raise Conflict("the call is not live: twilio cannot redirect it") from None
            raise

    def hang_up(self, ref: LegRef) -> None:
        """End the call: `canceled` while it may be unanswered, so that it ends as cancelled; else `completed`.

        Twilio's `canceled` leaves an answered call alone, or is refused: then `completed` follows. A refusal because
        the call is over, or not known, counts once a look at the call shows nothing live.
        """
        words = ("completed",) if ref.is_answered else ("canceled", "completed")
        if any(self._ends(ref, word) for word in words):
            return
        if self.fetch_call(ref).is_live:
            raise ProviderUnavailable("twilio did not end the call, which is live", provider=self.name)

    def start_recording(
        self, ref: LegRef, *, recording_url: str, max_duration_s: int, may_run: bool = False
    ) -> None:
        """Create a recording unless one runs, which the list of the call's recordings tells: `may_run` changes nothing.

        `max_duration_s` is not sent: the recording ends with the call.
        """
        recordings = self._call(ref).recordings
        try:
            with translated():
                if not calls.running_recordings(recordings.list(), with_messages=False):
                    recordings.create(**calls.recording_params(recording_url))
        except RequestRefused as refused:
            if refused.vendor_code in CALL_IS_GONE:
                raise Conflict("the call is not connected: twilio cannot record it") from None
            raise

    def stop_recording(self, ref: LegRef) -> None:
        """Stop each recording that is listed as running; else the current one, because the list may lag behind."""
        recordings = self._call(ref).recordings
        with translated():
            running = calls.running_recordings(recordings.list(), with_messages=True)
        for ident in running or [CURRENT_RECORDING]:
            try:
                with translated():
                    self._call(ref).recordings(ident).update(status="stopped")
            except RequestRefused as refused:
                if refused.vendor_code not in CALL_IS_GONE:
                    raise

    # -- asking -------------------------------------------------------------------------------------------------------

    def fetch_call(self, ref: LegRef) -> CallSnapshot:
        """Fetch the call resource. It lags behind the webhooks (eventually consistent)."""
        call = self._call(ref)
        try:
            with translated():
                return calls.read_snapshot(call.fetch())
        except RequestRefused as refused:
            if refused.http_status == 404:
                return CallSnapshot(is_known=False)
            raise

    def find_calls(self, query: DialQuery) -> FoundCalls:
        """List by both numbers, without a start time, which a waiting call does not have; then only the queued ones."""
        listed: list[Any] = []
        is_complete = True
        for status in (None, "queued"):
            read, is_whole = self._listed(query, status)
            listed += read
            is_complete = is_complete and is_whole
        return FoundCalls(calls=calls.read_found(listed, query), is_complete=is_complete)

    def fetch_recording(self, recording_ref: str, url: str | None = None) -> RecordingStream:
        """Stream the WAV file from the account's own path; the address that a webhook gave is not used."""
        sid = calls.checked_sid("RE", recording_ref, "recording")
        where = f"{self._base_url}/2010-04-01/Accounts/{self.account_ref}/Recordings/{sid}.wav"
        headers = (basic_auth(*rest_login(self._secrets)), ("Accept", "audio/x-wav"))
        with translated():
            answer = stream_get(where, headers, allowed_hosts=[urlsplit(where).netloc])
            if answer.status == 200:
                return read_recording(answer, translated, default_type="audio/x-wav")
            refusal = HttpResponse(status=answer.status, headers=answer.headers, body=_first(answer))
            if answer.status == 404:
                raise NotFound("recording", sid)
            raise RequestFailed(read_failure(refusal))

    # -- private ------------------------------------------------------------------------------------------------------

    def _client(self) -> Any:
        with self._lock:
            if self._sdk is None:
                self._sdk = open_client(self._secrets, self._transport, self._base_url)
            return self._sdk

    def _owner_client(self) -> Any:
        return open_client(self._secrets, self._transport, self._base_url, owner_login(self._secrets))

    def _call(self, ref: LegRef) -> Any:
        return self._client().calls(calls.checked_sid("CA", ref.leg_id, "leg_id"))

    def _ends(self, ref: LegRef, word: str) -> bool:
        """Post a final status; False when it had no effect, so that something else must be tried."""
        try:
            with translated():
                told = self._call(ref).update(status=word).status
        except RequestRefused as refused:
            if word == "canceled" or refused.vendor_code in CALL_IS_GONE:
                return False
            raise
        return not (word == "canceled" and told == "in-progress")

    def _listed(self, query: DialQuery, status: str | None) -> tuple[list[Any], bool]:
        """Return the calls of one list, and whether it was read to its end. Only a list without any page raises."""
        filters = {"to": query.to, "from_": query.caller_id} | ({"status": status} if status else {})
        read: list[Any] = []
        try:
            with translated():
                read.extend(self._client().calls.stream(**filters, limit=_MOST_LISTED, page_size=_PAGE_SIZE))
        except ProviderUnavailable:
            if not read:
                raise
            return read, False
        return read, len(read) < _MOST_LISTED and all(call.date_created for call in read)


def _check_pairs(secrets: Mapping[str, str]) -> None:
    """Refuse a secret that is empty or without its other half, and a login that is no login."""
    for name, value in secrets.items():
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"twilio: the secret {name} is empty")
    for one, other in _PAIRS:
        if (one in secrets) != (other in secrets):
            raise ConfigurationError(f"twilio: give both {one} and {other}, or neither")
    if "auth_token" not in secrets and "api_key_sid" not in secrets:
        raise ConfigurationError(
            "twilio: the secret auth_token is missing: without it no webhook can be checked"
        )


def _first(answer: StreamedResponse) -> bytes:
    """Return the first piece of an answer, up to 64 kB, and close it: more than that is no error of Twilio's."""
    with answer:
        return next(iter(answer), b"")
