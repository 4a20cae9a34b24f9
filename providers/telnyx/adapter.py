"""Telnyx Voice with Call Control, REST API and webhooks of version 2.

Source: Telnyx's voice documentation (https://developers.telnyx.com/docs/voice) and OpenAPI document
(https://github.com/team-telnyx/openapi, `openapi/spec3.yml`), read 2026-11; official Python SDK `telnyx` 4.189.0.
Tested on the simulator only: no account was at hand. What no source settles is marked unconfirmed, here and in
`docs/providers/telnyx.md`.

Telnyx is the command carrier: it reports every event to one URL, ignores what that is answered with, and is told what
to do by REST commands.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.adapting import (
    SecretForm,
    allowed_hosts,
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
    UnsupportedFeature,
    ValidationError,
    WebhookRejected,
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
from gateway.outcomes import RequestFailed
from gateway.transport import Transport, stream_get
from providers.telnyx import calls, instructions, numbers, webhooks
from providers.telnyx.account import TelnyxAccount
from providers.telnyx.client import HOST, dial_outcome, is_gone, open_client, send, translated
from providers.telnyx.instructions import Command
from providers.telnyx.vocabulary import NOT_CONNECTED

if TYPE_CHECKING:
    from telnyx import Telnyx

_REQUIRED: Final = ("api_key", "public_key")

# The form of an API key is not documented: fit for a header. Connection ids have 19 digits today.
_FORMS: Final[Mapping[str, SecretForm]] = {
    "api_key": SecretForm("[!-~]{1,512}", "the API key (version 2) of the portal, KEY…"),
    "public_key": SecretForm("[ -~]+", "the portal's public key: 44 characters, base64 of 32 bytes"),
    "connection_id": SecretForm("[A-Za-z0-9_-]{1,64}", "the id of the Call Control application, a number"),
}

_RECORDING_REF = re.compile(r"(leg:)?([A-Za-z0-9_-]{1,64})", re.ASCII)

# `download_urls` are pre-signed links to a store of Amazon's; the host is seen in live data, not documented.
_RECORDING_HOSTS: Final = ("telnyx.com", "s3.amazonaws.com")

# Without a leg, `/call_events` goes back this far (its page in the API reference).
_EVENTS_KEPT: Final = timedelta(hours=24)

# Command of the REST path -> method of the SDK.
_METHODS: Final[Mapping[str, str]] = {
    "answer": "answer",
    "reject": "reject",
    "hangup": "hangup",
    "transfer": "transfer",
    "speak": "speak",
    "record_start": "start_recording",
    "record_stop": "stop_recording",
    "streaming_start": "start_streaming",
    "streaming_stop": "stop_streaming",
}


class TelnyxProvider(TelnyxAccount):
    """One Telnyx account, and the Call Control application that `connection_id` names.

    Secrets: `api_key`; `public_key`, the account's webhook key as the portal shows it, several during a change
    separated by commas; `connection_id` (optional), the id of the Call Control application: without it nothing can be
    dialed, and webhooks are not checked for the application they come from.
    """

    name: ClassVar[str] = calls.NAME
    usual_secrets: ClassVar[tuple[str, ...]] = _REQUIRED
    capabilities: ClassVar[Capabilities] = Capabilities(
        control="command",
        join_timeout_s=calls.JOIN_TIMEOUT_S,
        max_duration_s=calls.MAX_DURATION_S,
        reports_ringing=False,
        reports_human=True,
        reports_fax=True,
        reports_greeting_end=True,
        dial_idempotency=True,
        signs_timestamp=True,
        signs_url=False,
        cost_in_webhook=True,
        finds_by_token=True,
        number_setup=True,
        application_setting="connection_id",
        has_applications=True,
        number_search=True,
        caller_id_verification=True,
        sip_setup=True,
        notes=(
            "No ringing event: a call counts as ringing once its leg is created.",
            "Repeats of a dial are ignored for 60 s; what the repeat is answered is unconfirmed, so none is sent.",
            "Fax is heard by the detection without greeting end only, the greeting's end by the other one only.",
            "The cost is reported only when the application has call_cost_in_webhooks switched on.",
            "max_duration is kept by the carrier for outbound calls and forwards, by the gateway for the rest.",
            "A message taken ends at the hang-up or its maximum length: stopping on silence is billed by Telnyx.",
            "A spoken text has at most 3000 characters.",
            "Recording links live for minutes: the audio is fetched by its id.",
            "A new application sends webhooks of version 1: set-up makes it version 2.",
            "An outbound voice profile is never made by us, because it decides what is billed.",
            "A SIP sub-domain takes calls from anyone who knows its name.",
        ),
    )

    def __init__(
        self, secrets: Mapping[str, str], *, transport: Transport | None = None, base_url: str | None = None
    ) -> None:
        """Take the account's secrets; see `Provider.__init__`."""
        check_names(self.name, secrets, required=_REQUIRED, known=_FORMS)
        self._secrets = dict(secrets)
        self._public_keys = tuple(webhooks.read_public_keys(secrets["public_key"]))
        self._connection_id = secrets.get("connection_id") or None
        self._base_url = base_url
        self._transport = transport or open_transport(self.name, base_url or HOST)
        self._sdk: Telnyx | None = None
        self._lock = Lock()

    @classmethod
    def check_secrets(cls, secrets: Mapping[str, str]) -> None:
        """Check the shape of the secrets; see `Provider.check_secrets`."""
        check_forms(secrets, _FORMS, required=_REQUIRED)
        parts = secrets["public_key"].split(",")
        if len(webhooks.read_public_keys(secrets["public_key"])) != len(parts):
            raise ValidationError("public_key", f"give {_FORMS['public_key'].words}")

    @property
    def account_ref(self) -> str:
        """The `connection_id`; "" without one."""
        return self._connection_id or ""

    def prepare(self) -> None:
        """Load the SDK and the part of it that commands need."""
        _ = self._client().calls.actions

    # -- webhooks in --------------------------------------------------------------------------------------------------

    def verify_webhook(self, request: WebhookRequest, now: datetime | None = None) -> Verified:
        """Check the Ed25519 signature over `timestamp|body` and the age; the URL is not signed."""
        return webhooks.verify(request, self._public_keys, now or datetime.now(UTC))

    def diagnose_webhook(self, request: WebhookRequest) -> Iterator[Clue]:
        """Guess at the clock, TeXML and webhook API version 1."""
        return webhooks.diagnose(request)

    def read_webhook(self, hook: Hook, request: WebhookRequest) -> list[CallEvent]:
        """Translate an event. The application is named only when there is a `connection_id` to compare it with."""
        return [self._bound(event) for event in webhooks.read(hook, request)]

    def answer(self, call: LiveCall, instruction: Instruction) -> WebhookReply:
        """Send the instruction's commands; the reply is empty. A call that is over needs no instruction."""
        for command in instructions.commands(call, instruction):
            if not self._perform(_control_id(call.leg_id), command):
                break
        return WebhookReply()

    # -- calls out ----------------------------------------------------------------------------------------------------

    def check_dial(self, request: DialRequest) -> None:
        """Refuse what Telnyx cannot take; without `connection_id` a ConfigurationError says what to add."""
        calls.check_dial(request, self._connection_id)

    def dial(self, request: DialRequest) -> DialOutcome:
        """Dial with one POST, `command_id` and the token in `client_state`."""
        params = calls.dial_params(request, calls.require_connection(self._connection_id))
        client = self._client()
        try:
            body = send(lambda: client.calls.with_raw_response.dial(**params, extra_body=dict(request.extra)))
        except (
            Exception
        ) as error:  # whatever broke, the phone may be ringing: the outcome says what is proven
            return dial_outcome(error)
        return calls.read_dial(body)

    def redirect(self, ref: LegRef, next_url: str) -> None:
        """Refuse: there is no document to fetch."""
        raise UnsupportedFeature(self.name, "being sent to a document", "it takes commands: use answer()")

    def hang_up(self, ref: LegRef) -> None:
        """End the call. Each request has a command id of its own: a repeat must not be ignored."""
        params = {"command_id": str(uuid.uuid4())}
        self._perform(_control_id(ref.leg_id), Command(action="hangup", params=params))

    def start_recording(
        self, ref: LegRef, *, recording_url: str, max_duration_s: int, may_run: bool = False
    ) -> None:
        """Send `record_start`; the recording is told to the call's own webhook URL, so `recording_url` is not used.

        Telnyx does not say whether a call is being recorded: with `may_run`, `record_stop` goes first.
        """
        if may_run:
            self.stop_recording(ref)
        params = {**instructions.CONVERSATION, "command_id": str(uuid.uuid4())}
        try:
            is_live = self._perform(_control_id(ref.leg_id), Command(action="record_start", params=params))
        except RequestRefused as refused:
            if refused.vendor_code not in NOT_CONNECTED:
                raise
            is_live = False
        if not is_live:
            raise Conflict("the call is not connected: telnyx cannot record it")

    def stop_recording(self, ref: LegRef) -> None:
        """Send `record_stop`. The answer when nothing is recorded is unconfirmed: any 422 is taken for it."""
        command = Command(action="record_stop", params={"command_id": str(uuid.uuid4())})
        try:
            self._perform(_control_id(ref.leg_id), command)
        except RequestRefused as refused:
            if refused.http_status != 422:
                raise

    # -- asking -------------------------------------------------------------------------------------------------------

    def fetch_call(self, ref: LegRef) -> CallSnapshot:
        """Ask for the status, which never says why a call ended, and for the events that Telnyx recorded of the leg."""
        status = self._call_status(_control_id(ref.leg_id))
        told = (status or {}).get("call_leg_id")
        leg_id = calls.leg_uuid((*ref.other_ids, str(told), ref.leg_id))
        events = list(self._recorded_events(leg_id)) if leg_id is not None else []
        return calls.read_snapshot(status, events, ref.leg_id)

    def find_calls(self, query: DialQuery) -> FoundCalls:
        """Look through the application's active calls for the token, then through the recorded starts of calls."""
        connection_id = calls.require_connection(self._connection_id)
        found: dict[str, FoundCall] = {}
        active_read = self._collect(found, self._active_calls(connection_id, query))
        started_read = self._collect(found, self._started_calls(connection_id, query))
        reaches_back = query.created_from >= datetime.now(UTC) - _EVENTS_KEPT
        return FoundCalls(
            calls=tuple(found.values()), is_complete=active_read and started_read and reaches_back
        )

    def fetch_recording(self, recording_ref: str, url: str | None = None) -> RecordingStream:
        """Ask for a fresh link and stream it, without our key; `url` is not used: links live for minutes."""
        link = self._download_link(recording_ref)
        with translated():
            answer = stream_get(link, allowed_hosts=allowed_hosts(_RECORDING_HOSTS, self._base_url))
            if answer.status == 200:
                return read_recording(answer, translated, default_type="application/octet-stream")
            answer.close()
            if answer.status in (403, 404, 410):  # the store answers 403 for what it does not have (any more)
                raise NotFound("recording", recording_ref)
            raise ProviderUnavailable("no audio", provider=self.name, http_status=answer.status)

    # -- private ------------------------------------------------------------------------------------------------------

    def _client(self) -> Telnyx:
        with self._lock:
            if self._sdk is None:
                self._sdk = open_client(self._secrets, self._transport, self._base_url)
            return self._sdk

    def _perform(self, control_id: str, command: Command) -> bool:
        """Send one command, and what it says to do when it is refused; False when the call is over."""
        time.sleep(command.pause_s)
        method = getattr(self._client().calls.actions.with_raw_response, _METHODS[command.action])
        with translated():
            try:
                send(lambda: method(control_id, **command.params))
                return True
            except RequestFailed as failed:
                if is_gone(failed.failure):
                    return False
                refusal = next((code for code in failed.failure.codes if code in command.instead), None)
                if refusal is None:
                    raise
        return all(self._perform(control_id, other) for other in command.instead[refusal])

    def _bound(self, event: CallEvent) -> CallEvent:
        return event if self._connection_id else replace(event, account_ref=None)

    def _call_status(self, control_id: str) -> dict[str, Any] | None:
        """Return the call's status, None when Telnyx does not know it: ten minutes after its end, or never."""
        client = self._client()
        with translated():
            try:
                return calls.read_data(
                    send(lambda: client.calls.with_raw_response.retrieve_status(control_id))
                )
            except RequestFailed as failed:
                if is_gone(failed.failure):  # 404 or 422: which of the two is unconfirmed
                    return None
                raise

    def _recorded_events(self, leg_id: str) -> Iterator[CallEvent]:
        """Yield the events of a leg that webhooks were made of."""
        client = self._client()
        asked: Any = {"leg_id": leg_id, "type": "webhook"}
        items = self._items(partial(client.call_events.with_raw_response.list, filter=asked))
        for data in map(calls.event_data, items):
            if data is not None and (event := _read_recorded(data)) is not None:
                yield self._bound(event)

    def _active_calls(self, connection_id: str, query: DialQuery) -> Iterator[FoundCall | None]:
        """Yield the application's live calls that carry the token; a list with cursors, which the SDK does not page."""
        ask = self._client().connections.with_raw_response.list_active_calls
        seen: set[str | None] = set()
        cursor: str | None = None
        while cursor not in seen:
            place = {"page[limit]": numbers.PAGE_SIZE} | ({"page[after]": cursor} if cursor else {})
            document = self._ask_list(partial(ask, connection_id, extra_query=place))
            yield from (
                calls.read_active_call(item, query.attempt_token) for item in numbers.items_of(document)
            )
            seen.add(cursor)
            cursor = numbers.next_cursor(document)
            if cursor is None:
                return
        raise ProviderUnavailable("a list that has no end", provider=self.name)

    def _started_calls(self, connection_id: str, query: DialQuery) -> Iterator[FoundCall | None]:
        """Yield the calls between the two numbers whose start Telnyx recorded since the dial."""
        client = self._client()
        asked: Any = {
            "connection_id": connection_id,
            "from": query.caller_id,
            "to": calls.dialed_address(query.to, query.trunk_ref),
            "name": "call.initiated",
            "type": "webhook",
            "occurred_at": {"gte": query.created_from.isoformat()},
        }
        items = self._items(partial(client.call_events.with_raw_response.list, filter=asked))
        for item in items:
            yield calls.read_initiated_call(
                item, query.attempt_token, query.created_from, query.created_until
            )

    def _collect(self, found: dict[str, FoundCall], items: Iterator[FoundCall | None]) -> bool:
        """Add what is found; False when the list could not be read to its end. Only recorded starts tell a time."""
        try:
            for call in items:
                if call is not None:
                    known = found.get(call.leg_id, call)
                    found[call.leg_id] = replace(known, created_at=known.created_at or call.created_at)
        except ProviderError:
            return False
        return True

    def _download_link(self, recording_ref: str) -> str:
        """Return a fresh link to the audio. A `leg:` reference names the leg instead of the recording."""
        match = _RECORDING_REF.fullmatch(recording_ref)
        if match is None:
            raise NotFound("recording", recording_ref[:80])
        with translated():
            try:
                data = self._recording(match[2], is_leg=match[1] is not None)
            except RequestFailed as failed:
                if failed.failure.is_own and failed.failure.http_status in (404, 422):
                    raise NotFound("recording", recording_ref) from None
                raise
        links = data.get("download_urls")
        link = (links.get("mp3") or links.get("wav")) if isinstance(links, dict) else None
        if not isinstance(link, str):
            raise NotFound("recording", recording_ref)
        return link

    def _recording(self, ident: str, *, is_leg: bool) -> dict[str, Any]:
        recordings = self._client().recordings.with_raw_response
        if not is_leg:
            return calls.read_data(send(lambda: recordings.retrieve(ident)))
        listed = send(lambda: recordings.list(filter={"call_leg_id": ident}, page_size=1))
        return next(iter(numbers.items_of(calls.read_document(listed))), {})


def _control_id(leg_id: str) -> str:
    """Return the id when it may stand in a URL (R91)."""
    if not calls.is_call_control_id(leg_id):
        raise RequestRefused("not an id of a call", provider=calls.NAME)
    return leg_id


def _read_recorded(data: Mapping[str, Any]) -> CallEvent | None:
    """Read a recorded event; one that is not whole is left out: it proves nothing."""
    try:
        return webhooks.read_event(data)
    except WebhookRejected:
        return None
