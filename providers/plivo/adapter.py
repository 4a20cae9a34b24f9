"""Plivo Voice, REST API of version 1, documents in Plivo XML.

Source: Plivo's voice documentation (https://www.plivo.com/docs/voice, read 2026-11); official Python SDK `plivo`
4.63.0. Tested on the simulator only: no account was at hand. What no source settles is marked unconfirmed, here and in
`docs/providers/plivo.md`.

Plivo is a document carrier: it asks one of our URLs what to do and gets the instruction in the answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

from gateway.adapting import (
    SecretForm,
    allowed_hosts,
    basic_auth,
    check_forms,
    check_names,
    open_transport,
    read_recording,
)
from gateway.errors import (
    Conflict,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.instructions import Instruction
from gateway.interface import (
    CallEvent,
    CallSnapshot,
    Capabilities,
    Clue,
    DialOutcome,
    DialQuery,
    DialRequest,
    FoundCall,
    FoundCalls,
    Hook,
    LegRef,
    LiveCall,
    RecordingStream,
    Verified,
    WebhookReply,
    WebhookRequest,
)
from gateway.outcomes import RequestFailed, foreign
from gateway.transport import Transport, stream_get
from providers.plivo import calls, instructions, webhooks
from providers.plivo.account import PlivoAccount
from providers.plivo.client import HOST, dial_outcome, login_of, open_client, translated

_LOG: Final = logging.getLogger(__name__)

_REQUIRED: Final = ("auth_id", "auth_token")

_TOKEN: Final = SecretForm("[!-~]{16,128}", "16 to 128 characters without spaces")  # published ones have 40
_FORMS: Final[Mapping[str, SecretForm]] = {
    "auth_id": SecretForm("(?:MA|SA)[A-Z0-9]{18}", "MA or SA and 18 capital letters or digits"),
    "auth_token": _TOKEN,
    "auth_token_secondary": _TOKEN,
    "main_auth_token": _TOKEN,
}

_MAX_LOOKS: Final = 200  # calls that are read one by one in one search
_RECORDING_HOSTS: Final = ("plivo.com",)  # with its subdomains


class PlivoProvider(PlivoAccount):
    """One Plivo account or sub-account. See the module docstring and `docs/providers/plivo.md`."""

    name: ClassVar[str] = calls.NAME
    usual_secrets: ClassVar[tuple[str, ...]] = _REQUIRED
    capabilities: ClassVar[Capabilities] = Capabilities(
        control="document",
        join_timeout_s=calls.JOIN_TIMEOUT_S,
        max_duration_s=calls.MAX_DURATION_S,
        reports_ringing=True,
        reports_human=False,
        reports_fax=False,
        reports_greeting_end=False,
        dial_idempotency=False,
        signs_timestamp=False,
        signs_url=True,
        cost_in_webhook=True,
        finds_by_token=False,
        number_setup=True,
        has_applications=True,
        number_search=True,
        caller_id_verification=True,
        sip_setup=True,
        records_from_dial=False,
        notes=(
            "machine detection reports machines only: no report for a human, none for a fax",
            "a message is left after 2 s of silence, 30 s at most: Plivo does not tell when a greeting is over",
            "webhook times are in the console's time zone without offset: our own time of receipt counts",
            "costs are taken for US dollars: no request names the currency",
            "stream parameters: 512 bytes; other characters than letters, digits and -_.~ travel percent-encoded",
            "spoken text: 16 languages, with the plain voices",
            "the upper end of the join timeout is ours: Plivo publishes none",
            "account calls per second: 2, more are queued at Plivo, not refused",
            "numbers are searched by how they begin, not by what they contain",
            "a link to another SIP carrier is for inbound calls only",
        ),
    )

    def __init__(
        self, secrets: Mapping[str, str], *, transport: Transport | None = None, base_url: str | None = None
    ) -> None:
        """Take `auth_id` and `auth_token`; optionally `auth_token_secondary`, a sub-account's `main_auth_token`."""
        check_names(self.name, secrets, required=_REQUIRED, known=_FORMS)
        self._secrets = dict(secrets)
        self._base_url = base_url
        self._transport = transport or open_transport(self.name, HOST, instead=base_url)
        self._kept = threading.local()  # one SDK client a thread: it keeps the state of a request in itself

    @classmethod
    def check_secrets(cls, secrets: Mapping[str, str]) -> None:
        """Check the shape of the secrets; see `Provider.check_secrets`."""
        check_forms(secrets, _FORMS, required=_REQUIRED)

    @property
    def account_ref(self) -> str:
        """The auth id. Events name no account: that `ParentAuthID` comes with every webhook is unconfirmed."""
        return self._secrets["auth_id"]

    def prepare(self) -> None:
        """Load the SDK."""
        self._client()

    # -- webhooks in --------------------------------------------------------------------------------------------------

    def verify_webhook(self, request: WebhookRequest, now: datetime | None = None) -> Verified:
        """Check signature V3. Plivo signs no time: `now` is not used, and the replay store must do."""
        own = self._tokens("auth_token", "auth_token_secondary")
        is_main = not self.account_ref.startswith("SA")
        return webhooks.verify(
            request, own_tokens=own, main_tokens=own if is_main else self._tokens("main_auth_token")
        )

    def diagnose_webhook(self, request: WebhookRequest) -> Iterator[Clue]:
        """Guess at older signatures, a lost nonce, and the tokens of account and sub-account in one another's place."""
        return webhooks.diagnose(request)

    def read_webhook(self, hook: Hook, request: WebhookRequest) -> list[CallEvent]:
        """Translate a verified webhook."""
        return webhooks.read(hook, request)

    def answer(self, call: LiveCall, instruction: Instruction) -> WebhookReply:
        """Return the document."""
        return WebhookReply(
            content_type=instructions.CONTENT_TYPE, body=instructions.render(call, instruction)
        )

    # -- calls out ----------------------------------------------------------------------------------------------------

    def check_dial(self, request: DialRequest) -> None:
        """Refuse what Plivo cannot take: ranges, unknown extra parameters."""
        calls.check_dial(request)

    def dial(self, request: DialRequest) -> DialOutcome:
        """Send one `POST /Call/`.

        Through the SDK's `request` and not its `calls.create`, which adds defaults of its own and knows no other field.
        """
        params, client = calls.dial_params(request), self._client()
        try:
            reply = client.request("POST", ("Call",), params, is_voice_request=True)
        except (
            Exception
        ) as error:  # whatever broke, the phone may be ringing: the outcome says what is proven
            return dial_outcome(error)
        return calls.read_dial(reply)

    def redirect(self, ref: LegRef, next_url: str) -> None:
        """Transfer the leg to a document of ours."""
        transfer = partial(
            self._client().calls.transfer,
            legs="aleg",
            aleg_url=calls.with_retries(next_url),
            aleg_method="POST",
        )
        for call_id in calls.known_ids(ref):
            if _found(transfer, call_id) is not None:
                return
        raise Conflict("the call is not live at plivo")

    def hang_up(self, ref: LegRef) -> None:
        """Delete the call, and the request when it may still be queued. Never without an id: that ends every call."""
        client, ids = self._client(), calls.known_ids(ref)
        for call_id in ids:
            if _found(client.calls.delete, call_id) is not None:
                return
        for call_id in [] if ref.is_answered else ids:
            # what Plivo answers about a request that has become a call is unconfirmed
            if _found(client.calls.cancel, call_id, gone=(400, 404, 405)) is not None:
                return

    def start_recording(
        self, ref: LegRef, *, recording_url: str, max_duration_s: int, may_run: bool = False
    ) -> None:
        """Start one through the call's resource. Plivo tells no running ones: with `may_run` they are ended first."""
        if may_run:
            self.stop_recording(ref)
        for call_id in calls.known_ids(ref):
            params = calls.recording_params(call_id, recording_url, max_duration_s)
            if _found(partial(self._client().calls.record, **params), call_id) is not None:
                return
        raise Conflict("the call is not connected: plivo cannot record it")

    def stop_recording(self, ref: LegRef) -> None:
        """End every recording of the call; 404 is no call any more, and with that nothing to end."""
        for call_id in calls.known_ids(ref):
            if _found(self._client().calls.record_stop, call_id) is not None:
                return

    # -- asking -------------------------------------------------------------------------------------------------------

    def fetch_call(self, ref: LegRef) -> CallSnapshot:
        """Look for the record, then where a call lives before it has one, and again for a call that ended meanwhile."""
        client, ids = self._client(), calls.known_ids(ref)
        looks: tuple[tuple[Callable[[str], Any], Callable[[Any], CallSnapshot | None]], ...] = (
            (client.calls.get, calls.read_record),
            (client.queued_calls.get, calls.read_waiting),
            (client.live_calls.get, calls.read_waiting),
            (client.calls.get, calls.read_record),
        )
        for get, read in looks:
            for call_id in ids:
                reply = _found(get, call_id)
                snapshot = read(reply) if reply is not None else None
                if snapshot is not None:
                    return snapshot
        return CallSnapshot(is_known=False)

    def find_calls(self, query: DialQuery) -> FoundCalls:
        """Read the queued, the live and the finished calls, in this order, so that one that moves on is not missed."""
        client = self._client()
        numbers_only = {name: calls.list_filter(query)[name] for name in calls.NUMBER_FILTERS}
        lists = (
            self._waiting(client.queued_calls, {"status": "queued"}),
            self._waiting(client.live_calls, {"status": "live", **numbers_only}),
            self._listed(("Call",), calls.list_filter(query), "objects"),
        )
        found: dict[str, FoundCall] = {}
        is_complete = True
        for replies in lists:
            try:
                for reply in replies:
                    match = calls.read_found(reply, query)
                    if match is not None:
                        found.setdefault(match.leg_id, match)
            except ProviderError as exc:
                _LOG.warning("a list of calls could not be read to its end: %s", exc)
                is_complete = False
        return FoundCalls(calls=tuple(found.values()), is_complete=is_complete)

    def fetch_recording(self, recording_ref: str, url: str | None = None) -> RecordingStream:
        """Stream from Plivo's own hosts, with our credentials: an account may require them."""
        if not calls.is_call_id(recording_ref):
            raise ValidationError("recording_ref", "not a Plivo recording id")
        address = url or self._recording_url(recording_ref)
        headers = (basic_auth(*login_of(self._secrets)),)
        with translated():
            answer = stream_get(
                address, headers, allowed_hosts=allowed_hosts(_RECORDING_HOSTS, self._base_url)
            )
            if answer.status == 200:
                return read_recording(answer, translated, default_type="application/octet-stream")
            answer.close()
            if answer.status in (404, 410):
                raise NotFound("recording", recording_ref)
            # the store of the audio has a form of its own, for refused credentials too
            raise RequestFailed(replace(foreign(answer.status), is_own=answer.status in (401, 403)))

    # -- private ------------------------------------------------------------------------------------------------------

    def _client(self) -> Any:
        if not hasattr(self._kept, "client"):
            self._kept.client = open_client(self._secrets, self._transport, self._base_url)
        return self._kept.client

    def _tokens(self, *names: str) -> list[str]:
        return [self._secrets[name] for name in names if self._secrets.get(name)]

    def _recording_url(self, recording_ref: str) -> str:
        reply = _found(self._client().recordings.get, recording_ref)
        url = calls.text_of(reply, "recording_url") if reply is not None else ""
        if not url:
            raise NotFound("recording", recording_ref)
        return url

    def _waiting(self, resource: Any, filters: Mapping[str, str]) -> Iterator[Any]:
        """Yield the calls of a list of ids, read one by one; a call that has moved on meanwhile is left out."""
        for count, call_id in enumerate(self._listed(("Call",), filters, "calls")):
            if count == _MAX_LOOKS:
                raise ProviderUnavailable(f"more than {_MAX_LOOKS} calls at once", provider=self.name)
            reply = _found(resource.get, call_id) if calls.is_call_id(call_id) else None
            if reply is not None:
                yield reply


def _found(ask: Callable[[str], Any], call_id: str, gone: tuple[int, ...] = (404,)) -> dict[str, Any] | None:
    """Return the answer about one id, {} when it is empty; None when Plivo does not know it (any more)."""
    try:
        with translated():
            return ask(call_id) or {}
    except RequestRefused as exc:
        if exc.http_status in gone:
            return None
        raise
