"""Telnyx's webhooks (API version 2): the signature over the body, and what each event says. Pure; no vendor library.

Ed25519 (RFC 8032) over `timestamp|body`; neither the URL nor any other header is signed. The SDK's `webhooks.unwrap`
is not used: it dispatches by guessing, and turns an unknown hangup cause into an event about something else.

Source: https://developers.telnyx.com/docs/voice (receiving webhooks) and the OpenAPI document
(https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, section `webhooks`), read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.adapting import LONG_AGO, unmapped_word
from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import (
    Aspect,
    CallEvent,
    Clue,
    Hook,
    StepOutcome,
    StepReport,
    UnmappedWord,
    Verified,
    WebhookRequest,
)
from gateway.numbers import number_in, read_party
from gateway.status import (
    Authority,
    CallFacts,
    Cost,
    Direction,
    EndCause,
    MachineVerdict,
    Recording,
)
from gateway.wire import FORM, JSON, malformed, media_type, parse_json
from providers.telnyx.calls import NAME, Mark, State, is_call_control_id, is_uuid, read_state, read_time
from providers.telnyx.vocabulary import (
    ATTESTATION,
    CHANNELS,
    COST_STATUS,
    DIRECTION,
    END_BY_HANGUP_CAUSE,
    ENDED_BY,
    EVENT,
    MACHINE,
    SPEAK_STATUS,
    STREAM_EVENT,
    Kind,
    end_report,
    is_known_sip_code,
)

SIGNATURE_HEADER: Final = "telnyx-signature-ed25519"
TIMESTAMP_HEADER: Final = "telnyx-timestamp"
TOLERANCE_S: Final = 300  # both ways, as the SDK does; no page of the carrier gives a number

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)

_SIP_DOMAIN: Final = ".sip.telnyx.com"
_LAST_STAMP: Final = 253_402_300_799  # the end of the year 9999, the last that a datetime holds
_VERSION_REMEDY: Final = "Set webhook_api_version of the Call Control application to 2."
VERSION_HINT: Final = "an event of webhook API version 1: set webhook_api_version of the application to 2"


# -- the signature ----------------------------------------------------------------------------------------------------


def verify(request: WebhookRequest, public_keys: Iterable[bytes], now: datetime) -> Verified:
    """Check the signature and the age of a webhook.

    Raises:
        WebhookRejected: NO_SECRET, MISSING_SIGNATURE, STALE (also a timestamp that is no plain number), BAD_SIGNATURE.
    """
    keys = list(public_keys)
    if not keys:
        raise WebhookRejected(RejectionReason.NO_SECRET, "no usable public key")
    signature, stamp = request.header(SIGNATURE_HEADER), request.header(TIMESTAMP_HEADER)
    if signature is None or stamp is None:
        raise WebhookRejected(
            RejectionReason.MISSING_SIGNATURE, f"{SIGNATURE_HEADER} and {TIMESTAMP_HEADER}, once each"
        )
    if not _TIMESTAMP.fullmatch(stamp) or abs(now.timestamp() - int(stamp)) > TOLERANCE_S:
        raise WebhookRejected(
            RejectionReason.STALE, f"more than {TOLERANCE_S} s from now, or no whole number"
        )
    message = stamp.encode("ascii") + b"|" + request.body
    raw = _decoded(signature)
    if raw is None or not any(_is_signed(key, raw, message) for key in keys):
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE)
    return Verified(canonical=message)


def read_public_keys(value: str) -> list[bytes]:
    """Return the raw keys of a comma-separated list of base64 texts of 32 bytes each; what is none is left out."""
    found = (_decoded(part.strip()) for part in value.split(","))
    return [key for key in found if key is not None and len(key) == 32]


def _decoded(value: str) -> bytes | None:
    """Decode standard base64 in its one canonical spelling, so that no other text passes for the same bytes."""
    try:
        raw = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == value else None


def _is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# -- the doctor's guesses ---------------------------------------------------------------------------------------------


def diagnose(request: WebhookRequest) -> Iterator[Clue]:
    """Yield what only Telnyx's signatures can be wrong about; see `Provider.diagnose_webhook`."""
    stamp = request.header(TIMESTAMP_HEADER) or ""
    if _TIMESTAMP.fullmatch(stamp) and int(stamp) <= _LAST_STAMP:
        yield Clue(
            aspect=Aspect.CLOCK,
            said="The signature matches, but it was made at another time than the request came.",
            remedy="Set this machine's clock by NTP; when the clock is right, something kept the request back or sent "
            "an old one again: it stays refused.",
            request=request,
            at=datetime.fromtimestamp(int(stamp), UTC),
        )
    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind == FORM:
        yield Clue(
            aspect=Aspect.BODY,
            said="The body is a form: it comes from a TeXML application, or not from Telnyx.",
            remedy="Point the number at a Call Control application with webhook API version 2.",
        )
    elif b'"event_type"' in request.body and b'"data"' not in request.body:
        yield Clue(
            aspect=Aspect.BODY, said=f"It is {VERSION_HINT.partition(':')[0]}.", remedy=_VERSION_REMEDY
        )


# -- reading ----------------------------------------------------------------------------------------------------------


def read(hook: Hook, request: WebhookRequest) -> list[CallEvent]:
    """Translate a verified webhook into the one event it reports.

    Raises:
        WebhookRejected: UNSUPPORTED_MEDIA: not JSON. MALFORMED: not an event of API version 2 about a call.
    """
    media_type(request, JSON)
    if hook is not Hook.EVENTS:
        raise malformed("Telnyx reports to the events hook only")
    document = parse_json(request.body)
    data = document.get("data")
    if data is None and isinstance(document.get("event_type"), str):
        raise malformed(VERSION_HINT)
    if not isinstance(data, dict):
        raise malformed("no data object")
    return [replace(read_event(data, path_token=request.token), raw=document)]


def read_event(data: Mapping[str, Any], *, path_token: str | None = None) -> CallEvent:
    """Translate the `data` object of an event; `path_token`: the attempt token of the URL it was sent to.

    Telnyx signs the body but not the URL, so the token inside the signed state counts, and two that differ are refused.
    """
    event = _Event.of(data)
    told = _READERS[event.kind](event) if event.kind is not None else _Told()
    unmapped = told.unmapped if event.kind is not None else (unmapped_word("event_type", event.type),)
    is_child = event.is_of(Mark.LEG)
    direction = DIRECTION.get(event.word("direction"))
    return CallEvent(
        provider=NAME,
        leg_id=event.leg_ids[0],
        other_ids=event.leg_ids[1:],
        name=event.type,
        facts=CallFacts() if is_child else told.facts,  # the second leg's answer and end are not this call's
        event_id=event.id,
        occurred_at=event.occurred_at,
        direction=direction,
        to=event.party("to"),
        from_number=event.party("from"),
        is_child_leg=is_child,
        attempt_token=_attempt_token(event.state, path_token),
        step_token=event.state.step_token if event.state and (told.step or is_child) else None,
        step=told.step,
        wants_instruction=told.wants_instruction and not is_child,
        account_ref=event.word("connection_id") or None,
        unmapped=unmapped,
        raw=dict(data),
    )


def _attempt_token(state: State | None, path_token: str | None) -> str | None:
    told = state.attempt_token if state is not None else None
    if told is not None and path_token is not None and told != path_token:
        raise malformed("the state names another attempt than the URL")
    return told or path_token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """The `data` object, its envelope checked."""

    type: str
    kind: Kind | None
    id: str
    occurred_at: datetime | None
    leg_ids: tuple[str, ...]
    state: State | None = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> _Event:
        """Check the envelope: type, id, and at least one id of the leg. Raises MALFORMED."""
        event_type, ident, payload = data.get("event_type"), data.get("id"), data.get("payload")
        if not isinstance(event_type, str) or not _WORD.fullmatch(event_type):
            raise malformed("no event type")
        if not isinstance(ident, str) or not _EVENT_ID.fullmatch(ident):
            raise malformed("no event id")
        if not isinstance(payload, dict):
            raise malformed("no payload object")
        return cls(
            type=event_type,
            kind=EVENT.get(event_type),
            id=ident,
            occurred_at=read_time(data.get("occurred_at")),
            leg_ids=_leg_ids(payload),
            state=read_state(payload.get("client_state")),
            payload=payload,
        )

    def word(self, name: str) -> str:
        """Return a field as one short word, or "" when it is absent or something else."""
        value = self.payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return value[:100] if isinstance(value, str) else ""

    def party(self, name: str) -> str | None:
        """Return a party; None when this kind of event does not name it.

        A number that comes over a SIP sub-domain is an address there, or at any host, as the other carrier writes it.
        """
        if name not in self.payload:
            return None
        value = self.payload[name]
        party = read_party(value if isinstance(value, str) else None)
        called = self.payload.get("to")
        is_over_link = isinstance(called, str) and number_in(called, _SIP_DOMAIN) != called
        return number_in(party) if is_over_link else party

    def is_of(self, mark: Mark) -> bool:
        """True when the echoed state belongs to a step of that kind."""
        return self.state is not None and self.state.mark is mark


def _leg_ids(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `call_control_id`, then `call_leg_id`. A saved recording names only the second, per the document."""
    control_id, leg_id = payload.get("call_control_id"), payload.get("call_leg_id")
    if control_id is not None and not is_call_control_id(control_id):
        raise malformed("bad call_control_id")
    if leg_id is not None and not is_uuid(leg_id):
        raise malformed("bad call_leg_id")
    found = tuple(dict.fromkeys(str(ident) for ident in (control_id, leg_id) if ident is not None))
    if not found:
        raise malformed("an event about no call")
    return found


# -- what each kind of event tells ------------------------------------------------------------------------------------


class _Told(NamedTuple):
    facts: CallFacts = CallFacts()
    step: StepReport | None = None
    wants_instruction: bool = False
    unmapped: tuple[UnmappedWord, ...] = ()


def _initiated(event: _Event) -> _Told:
    """The only report before the answer: it counts as ringing, in both directions."""
    word = event.word("direction")
    attestation, odd = _attestation(event)
    unmapped = odd if word in DIRECTION else (*odd, unmapped_word("direction", word))
    is_inbound = DIRECTION.get(word) is Direction.INBOUND
    return _Told(CallFacts(ringing=True, attestation=attestation), None, is_inbound, unmapped)


def _attestation(event: _Event) -> tuple[str | None, tuple[UnmappedWord, ...]]:
    level = event.word("shaken_stir_attestation").upper()
    if not level:
        return None, ()
    if level not in ATTESTATION:
        return None, (unmapped_word("attestation", level),)
    return ("failed" if event.payload.get("shaken_stir_validated") is False else level), ()


def _ringing(event: _Event) -> _Told:
    return _Told(CallFacts(ringing=True))


def _answered(event: _Event) -> _Told:
    """A second leg that answers means that the forward is joined."""
    facts = CallFacts(ringing=True, answered=True, answered_at=event.occurred_at)
    return _Told(facts, _leg_step(event, StepOutcome.JOINED), wants_instruction=True)


def _bridged(event: _Event) -> _Told:
    """Two legs talk: this one is answered, though this is not when that happened."""
    return _Told(CallFacts(ringing=True, answered=True))


def _ended(event: _Event) -> _Told:
    cause, source = event.word("hangup_cause"), event.word("hangup_source")
    sip_code, dial_code = event.word("sip_hangup_cause"), _dial_code(event.payload)
    end = end_report(cause, source, sip_code, dial_code)
    odd = [
        unmapped_word(table, word)
        for table, word, is_known in (
            ("hangup_cause", cause, cause.lower() in END_BY_HANGUP_CAUSE),
            ("hangup_source", source, not source or source.lower() in ENDED_BY),
            ("sip_hangup_cause", sip_code, is_known_sip_code(sip_code)),
        )
        if not is_known
    ]
    has_talked = end.cause in (EndCause.HUNG_UP, EndCause.MAX_DURATION)
    step = _leg_step(event, StepOutcome.OVER if has_talked else StepOutcome.FAILED, cause)
    return _Told(CallFacts(ended_at=event.occurred_at, ends=(end,)), step, unmapped=tuple(odd))


def _dial_code(payload: Mapping[str, Any]) -> str:
    """`telnyx_error` is null, or an object with `error_code`; seen in live data, not in the document."""
    error = payload.get("telnyx_error")
    code = error.get("error_code") if isinstance(error, dict) else None
    return code[:20] if isinstance(code, str) else ""


def _machine(event: _Event) -> _Told:
    """Detection starts at the answer, so any result proves one."""
    word = event.word("result")
    found = MACHINE[event.type].get(word)
    if found is None:
        return _Told(unmapped=(unmapped_word("machine result", word),))
    verdict = MachineVerdict(
        answered_by=found.answered_by,
        is_detection=found.is_detection,
        at=event.occurred_at or LONG_AGO,
        word=word,
    )
    return _Told(CallFacts(answered=True, verdicts=(verdict,), greeting_over=found.greeting_over))


def _stream(event: _Event) -> _Told:
    """A stream that an earlier step left behind is ended under another mark: it reports about no step."""
    if not event.is_of(Mark.STREAM):
        return _Told()
    detail = event.word("failure_reason") or event.type
    return _Told(step=StepReport(outcome=STREAM_EVENT[event.type], detail=detail))


def _spoken(event: _Event) -> _Told:
    word = event.word("status")
    unmapped = () if word in SPEAK_STATUS else (unmapped_word("speak status", word),)
    if not event.is_of(Mark.SAY):
        return _Told(unmapped=unmapped)
    outcome = SPEAK_STATUS.get(word, StepOutcome.OVER)  # it ended, whatever the word
    return _Told(step=StepReport(outcome=outcome, detail=word), unmapped=unmapped)


def _recording(event: _Event) -> _Told:
    """A message is the one-channel recording of its own step; a recording of the conversation has two channels.

    The links are left out: they live for ten minutes, and a fresh one is asked for when it is needed.
    """
    channels = CHANNELS.get(event.word("channels"))
    is_message = event.is_of(Mark.MESSAGE) and channels == 1
    recording = Recording(
        ref=_recording_ref(event),
        duration_s=_length_s(event.payload),
        channels=channels,
        is_message=is_message,
    )
    step = StepReport(outcome=StepOutcome.OVER, detail=event.type) if is_message else None
    unmapped = () if channels is not None else (unmapped_word("channels", event.word("channels")),)
    return _Told(CallFacts(recordings=(recording,)), step, unmapped=unmapped)


def _recording_ref(event: _Event) -> str:
    """`recording_id` is on the documentation page but not in the OpenAPI document: without it, by the leg."""
    ident = event.payload.get("recording_id")
    return str(ident) if is_uuid(ident) else f"leg:{event.leg_ids[-1]}"


def _length_s(payload: Mapping[str, Any]) -> int | None:
    began = read_time(payload.get("recording_started_at"))
    ended = read_time(payload.get("recording_ended_at"))
    return round((ended - began).total_seconds()) if began and ended and ended >= began else None


def _recording_failed(event: _Event) -> _Told:
    if not event.is_of(Mark.MESSAGE):
        return _Told()
    return _Told(step=StepReport(outcome=StepOutcome.FAILED, detail=event.word("reason")))


def _cost(event: _Event) -> _Told:
    """Only for applications with `call_cost_in_webhooks`. The currency stands in the parts, the sum beside them."""
    status, total = event.word("status"), event.word("total_cost")
    if status not in COST_STATUS:
        return _Told(unmapped=(unmapped_word("cost status", status),))
    currencies = _currencies(event.payload.get("cost_parts"))
    if not COST_STATUS[status] or not _DECIMAL.fullmatch(total) or len(currencies) != 1:
        return _Told()
    amount = abs(Decimal(total))
    return _Told(CallFacts(cost=Cost(amount=amount, currency=currencies.pop(), authority=Authority.REPORTED)))


def _currencies(parts: Any) -> set[str]:
    listed = parts if isinstance(parts, list) else []
    words = [part.get("currency") for part in listed if isinstance(part, dict)]
    return {word for word in words if isinstance(word, str) and _CURRENCY.fullmatch(word)}


def _noted(event: _Event) -> _Told:
    return _Told()


def _leg_step(event: _Event, outcome: StepOutcome, detail: str = "") -> StepReport | None:
    """A second leg's fate is its forward's; of any other leg it tells nothing about a step."""
    return StepReport(outcome=outcome, detail=detail or event.type) if event.is_of(Mark.LEG) else None


_READERS: Final[Mapping[Kind, Callable[[_Event], _Told]]] = {
    Kind.INITIATED: _initiated,
    Kind.RINGING: _ringing,
    Kind.ANSWERED: _answered,
    Kind.BRIDGED: _bridged,
    Kind.ENDED: _ended,
    Kind.MACHINE: _machine,
    Kind.STREAM: _stream,
    Kind.SPOKEN: _spoken,
    Kind.RECORDED: _recording,
    Kind.NOT_RECORDED: _recording_failed,
    Kind.COST: _cost,
    Kind.NOTED: _noted,
}
