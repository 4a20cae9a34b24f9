"""Twilio's webhooks: the signature over the URL and the fields, and what each request says. Pure; no vendor library.

No time is signed: a captured request verifies for ever, so what is accepted once must be remembered
(`Verified.canonical`). Names and values are signed without separators, so every field that counts has a strict form,
and may be there only once.

Source: Twilio docs "Webhooks security" (https://www.twilio.com/docs/usage/webhooks/webhooks-security), "TwiML: request
parameters" (https://www.twilio.com/docs/voice/twiml), "Call resource: status callback"
(https://www.twilio.com/docs/voice/api/call-resource), all read 2026-11.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

from gateway.adapting import StatusRule, unmapped
from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import (
    Aspect,
    CallEvent,
    Clue,
    Hook,
    StepOutcome,
    StepReport,
    Verified,
    WebhookRequest,
)
from gateway.numbers import number_in, read_party
from gateway.status import Authority, CallFacts, Duration, Recording
from gateway.wire import FORM, JSON, malformed, media_type, parse_form, parse_json, parse_query, single
from providers.twilio.calls import NAME, is_sid, verdicts
from providers.twilio.vocabulary import (
    ANSWERED_BY,
    ATTESTATION,
    CALL_STATUS,
    CHILD_DIRECTION,
    CHILD_STATUS,
    DIAL_STATUS,
    DIRECTION,
    GREETING_IS_OVER,
    RECORDING_IS_MESSAGE,
    RECORDING_IS_READY,
    STIR_STATUS,
    STREAM_EVENT,
    end_report,
)

SIGNATURE: Final = "X-Twilio-Signature"
SETTINGS: Final = "X-Twilio-Webhooks-Signature-Settings"

_ORIGIN: Final = re.compile(
    r"(https?)://((?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^:/?#\[\]@]*))(?::([0-9]+))?(?=[/?#]|$)"
)
_SIP_DOMAIN: Final = ".twilio.com"  # acme.sip.twilio.com, in a region acme.sip.us1.twilio.com
_DEFAULT_PORT: Final = {"https": "443", "http": "80"}
_BODY_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STEP: Final = re.compile(r"[0-9A-Za-z_-]{8,128}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)

Fields: TypeAlias = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What signatures are checked with. A shared key signs with HMAC-SHA256, an auth token with HMAC-SHA1."""

    auth_tokens: tuple[str, ...] = field(repr=False)
    shared_key_id: str | None = None
    shared_key_secret: str | None = field(default=None, repr=False)


# -- the signature ----------------------------------------------------------------------------------------------------


def verify(request: WebhookRequest, keys: Keys) -> Verified:
    """Check the signature over the configured URL and the raw body, in constant time.

    Twilio signs the default port or leaves it out, as it pleases: both forms of the URL count.

    Raises:
        WebhookRejected: MISSING_SIGNATURE, NO_SECRET (it names a key that we do not have), BAD_SIGNATURE; MALFORMED or
            UNSUPPORTED_MEDIA for a body that Twilio does not send.
    """
    given = (request.header(SIGNATURE) or "").encode("ascii", "replace")
    if not given:
        raise WebhookRejected(RejectionReason.MISSING_SIGNATURE)
    secrets, digest = _secrets(request, keys)
    tail = _signed_fields(request)
    matched: list[bytes] = []
    for secret in secrets:
        for url in url_forms(request.url):
            canonical = (url + tail).encode("utf-8", "surrogatepass")
            made = base64.b64encode(hmac.new(secret.encode(), canonical, digest).digest())
            matched += [canonical] * hmac.compare_digest(made, given)
    if not matched:
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE)
    return Verified(canonical=matched[0])


def url_forms(url: str) -> tuple[str, ...]:
    """Return the URL without its port and with one, its own or else the scheme's default. No fragment is signed."""
    whole = url.partition("#")[0]
    origin = _ORIGIN.match(whole)
    if origin is None:
        return (whole,)
    scheme, host, port = origin.groups()
    rest = whole[origin.end() :]
    return (f"{scheme}://{host}{rest}", f"{scheme}://{host}:{port or _DEFAULT_PORT[scheme]}{rest}")


def _secrets(request: WebhookRequest, keys: Keys) -> tuple[tuple[str, ...], str]:
    """Return the secrets that may have signed, and the hash that is configured for them.

    The settings header is not signed. It only says which key to look up; the algorithm is ours to know, so that no
    header can choose a weaker one for a key.
    """
    settings = [value for name, value in request.headers if name.lower() == SETTINGS.lower()]
    if len(settings) > 1:
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE, "the settings header is repeated")
    named = dict(_setting(part) for part in (settings or [""])[0].split(","))
    key = named.get("key", "")
    if not key and named.get("algorithm", "HMAC_SHA1") == "HMAC_SHA1":
        return keys.auth_tokens, "sha1"
    if key and keys.shared_key_secret and key == keys.shared_key_id:
        return (keys.shared_key_secret,), "sha256"
    raise WebhookRejected(RejectionReason.NO_SECRET, "signed with a shared key that is not configured")


def _setting(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip().lower(), value.strip()


def _signed_fields(request: WebhookRequest) -> str:
    """Return what is signed after the URL: a form's fields. Of JSON nothing: its hash is in the URL."""
    if request.method == "GET":
        return ""
    if media_type(request, FORM, JSON) == JSON:
        _check_body_hash(request)
        return ""
    fields = parse_form(request.body)
    return "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))


def _check_body_hash(request: WebhookRequest) -> None:
    told = single(parse_query(request.url), "bodySHA256") or ""
    made = hashlib.sha256(request.body).hexdigest()
    if not _BODY_HASH.fullmatch(told) or not hmac.compare_digest(told.encode(), made.encode()):
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE, "the body is not the one that was signed")


# -- the doctor's guesses ---------------------------------------------------------------------------------------------


def diagnose(request: WebhookRequest, account_sid: str) -> Iterator[Clue]:
    """Yield what only Twilio's signatures can be wrong about; see `Provider.diagnose_webhook`."""
    if sum(name.lower() == SIGNATURE.lower() for name, _ in request.headers) > 1:
        said = f"{SIGNATURE} is there more than once"
        yield Clue(
            aspect=Aspect.HEADERS, said=said, remedy="Have the proxy pass the carrier's headers unchanged."
        )
    yield from _diagnose_login(request)
    if request.body:
        yield from _diagnose_body(request)
    yield from _diagnose_key(request, account_sid)


def _diagnose_login(request: WebhookRequest) -> Iterator[Clue]:
    """A URL with user and password is signed with both; they arrive as a header."""
    kind, _, login = (request.header("Authorization") or "").partition(" ")
    origin = _ORIGIN.match(request.url)
    try:
        told = base64.b64decode(login, validate=True).decode("utf-8") if kind.lower() == "basic" else ""
    except ValueError:
        return
    if told and origin is not None:
        url = f"{origin[1]}://{told}@{request.url.partition('://')[2]}"
        yield Clue(
            aspect=Aspect.HOST,
            said="The signature matches an address with a user name and a password in it.",
            remedy="Enter the address at the carrier without them: the signature is what proves the carrier.",
            request=replace(request, url=url),
        )


def _diagnose_body(request: WebhookRequest) -> Iterator[Clue]:
    if "bodySHA256=" in request.url:
        yield Clue(
            aspect=Aspect.BODY,
            said="The signature matches the address, but the body is not the one whose hash stands in the address.",
            remedy="A proxy or a middleware rewrites the body: have it pass the bytes unchanged.",
            request=replace(request, method="GET", body=b""),
        )
        return
    try:
        fields = [field for name, values in parse_form(request.body).items() for field in (name, *values)]
    except WebhookRejected:
        return
    # What a GET signs is its URL, verbatim: so this is the URL with the fields in the order of the body behind it.
    yield Clue(
        aspect=Aspect.PARAMETER_ORDER,
        said="The signature matches the parameters in the order of the body; Twilio signs them sorted by name.",
        remedy="It was signed by something else than Twilio, a test tool or a relay: have it sort the parameters.",
        request=replace(request, method="GET", url=request.url + "".join(fields), body=b""),
    )


def _diagnose_key(request: WebhookRequest, account_sid: str) -> Iterator[Clue]:
    if "key=" in (request.header(SETTINGS) or ""):
        yield Clue(
            aspect=Aspect.TOKEN,
            said=f"It names a shared key in {SETTINGS}.",
            remedy="Give the credential that key (shared_key_id, shared_key_secret), or remove the webhook rule.",
        )
    try:
        named = _text(_fields(request), "AccountSid")
    except WebhookRejected:
        return
    if is_sid("AC", named) and named != account_sid:
        yield Clue(
            aspect=Aspect.TOKEN,
            said=f"It names the account …{named[-4:]}, the credential is of …{account_sid[-4:]}.",
            remedy="A sub-account signs with its own auth token: add it as a credential of its own "
            "(gateway credentials add) and point its numbers at that credential's addresses.",
        )


# -- reading ----------------------------------------------------------------------------------------------------------


def read(hook: Hook, request: WebhookRequest) -> list[CallEvent]:
    """Translate a verified webhook into the one event that it reports.

    Raises:
        WebhookRejected: MALFORMED: a field that counts is absent, repeated or has another form than Twilio's.
    """
    reader = _READERS.get(hook)
    if reader is None:
        raise malformed(f"twilio does not use the {hook.value} route")
    fields = _fields(request)
    return [reader(fields, request, _base(fields))]


def _answer(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    """The inbound call, or the answer of an outbound one: Twilio asks what to do."""
    return replace(
        _with_status(base, fields),
        name="voice request",
        event_id=f"{base.leg_id}:answer",
        attempt_token=request.token,
        wants_instruction=True,
    )


def _step_over(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    """A step is over. A caller who hung up during it is reported here too, and wants nothing more."""
    event = _with_status(base, fields)
    dial_status = _text(fields, "DialCallStatus")
    failed = DIAL_STATUS.get(dial_status) is StepOutcome.FAILED or bool(_text(fields, "StreamError"))
    outcome = StepOutcome.FAILED if failed else StepOutcome.OVER
    return replace(
        event,
        name="action request",
        event_id=f"{base.leg_id}:next:{request.token}",
        step_token=request.token,
        step=StepReport(outcome=outcome, detail=dial_status or _text(fields, "StreamError")),
        wants_instruction=not event.facts.ends,
        unmapped=(*event.unmapped, *unmapped({"dial_status": (dial_status, DIAL_STATUS)})),
    )


def _fallback(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    """Twilio could not use our answer. That the fields ErrorCode and ErrorUrl come along is unconfirmed."""
    failed = _text(fields, "ErrorCode") + " " + _text(fields, "ErrorUrl")
    return replace(
        _with_status(base, fields),
        name=f"fallback request {_text(fields, 'ErrorCode')}".strip(),
        event_id=f"{base.leg_id}:fallback:{hashlib.sha256(failed.encode()).hexdigest()[:16]}",
        attempt_token=request.token,
        wants_instruction=True,
    )


def _progress(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    step_token = _step_token(request)
    if "StreamEvent" in fields:
        return _stream(fields, request, base, step_token)
    status = _required(fields, "CallStatus").lower()
    known = replace(
        base,
        name=status[:100],
        event_id=f"{base.leg_id}:{_counted(fields, 'SequenceNumber')}:{status[:100]}",
        attempt_token=request.token,
        step_token=step_token,
    )
    if base.is_child_leg or step_token:
        return _child_leg(fields, known, status)
    return _with_status(known, fields)


def _child_leg(fields: Fields, known: CallEvent, status: str) -> CallEvent:
    """A leg that <Dial> made. The call's own leg goes along, as a second way to find the call."""
    outcome = CHILD_STATUS.get(status)
    parent = _optional_sid(fields, "ParentCallSid", "CA")
    return replace(
        known,
        name=f"second leg {known.name}",
        other_ids=(parent,) if parent else (),
        is_child_leg=True,
        step=StepReport(outcome=outcome, detail=status[:100]) if outcome else None,
        unmapped=(*known.unmapped, *unmapped({"call_status": (status, CHILD_STATUS)})),
    )


def _stream(fields: Fields, request: WebhookRequest, base: CallEvent, step_token: str | None) -> CallEvent:
    """The media socket's progress: about the step, never about the call."""
    word = _required(fields, "StreamEvent")
    outcome = STREAM_EVENT.get(word)
    return replace(
        base,
        name=word[:100],
        event_id=f"{base.leg_id}:{_required_sid(fields, 'StreamSid', 'MZ')}:{word[:100]}",
        attempt_token=request.token,
        step_token=step_token,
        step=StepReport(outcome=outcome, detail=(_text(fields, "StreamError") or word)[:200])
        if outcome
        else None,
        unmapped=(*base.unmapped, *unmapped({"stream_event": (word, STREAM_EVENT)})),
    )


def _machine(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    """Asynchronous machine detection. It may come after the end of a short call; it carries no status and no time."""
    word = _required(fields, "AnsweredBy").lower()
    return replace(
        base,
        name=f"machine detection {word}"[:100],
        event_id=f"{base.leg_id}:amd:{word[:100]}",
        facts=_verdict_facts(word, base.occurred_at),
        attempt_token=request.token,
        unmapped=(*base.unmapped, *unmapped({"answered_by": (word, ANSWERED_BY)})),
    )


def _recording(fields: Fields, request: WebhookRequest, base: CallEvent) -> CallEvent:
    status = _required(fields, "RecordingStatus").lower()
    ref = _required_sid(fields, "RecordingSid", "RE")
    source = _text(fields, "RecordingSource")
    recording = Recording(
        ref=ref,
        duration_s=_whole(fields, "RecordingDuration"),
        channels=_whole(fields, "RecordingChannels"),
        url=_text(fields, "RecordingUrl") or None,
        is_message=RECORDING_IS_MESSAGE.get(source, False),
    )
    return replace(
        base,
        name=f"recording {status}"[:100],
        event_id=f"{ref}:{status[:100]}",
        facts=CallFacts(recordings=(recording,) if RECORDING_IS_READY.get(status) else ()),
        attempt_token=request.token,
        unmapped=(
            *base.unmapped,
            *unmapped(
                {
                    "recording_status": (status, RECORDING_IS_READY),
                    "recording_source": (source, RECORDING_IS_MESSAGE),
                }
            ),
        ),
    )


_READERS: Final[Mapping[Hook, Callable[[Fields, WebhookRequest, CallEvent], CallEvent]]] = {
    Hook.ANSWER: _answer,
    Hook.NEXT: _step_over,
    Hook.FALLBACK: _fallback,
    Hook.STATUS: _progress,
    Hook.AMD: _machine,
    Hook.RECORDING: _recording,
}


def _base(fields: Fields) -> CallEvent:
    """What every request tells: the leg, its parties, when."""
    direction = _text(fields, "Direction").lower()
    return CallEvent(
        provider=NAME,
        leg_id=_required_sid(fields, "CallSid", "CA"),
        name="",
        facts=CallFacts(),
        event_id="",
        occurred_at=_time(_text(fields, "Timestamp")),
        direction=DIRECTION.get(direction),
        to=_party(fields, "To"),
        from_number=_party(fields, "From"),
        is_child_leg=bool(_optional_sid(fields, "ParentCallSid", "CA")) or direction == CHILD_DIRECTION,
        account_ref=_optional_sid(fields, "AccountSid", "AC"),
        unmapped=unmapped({"direction": (direction, DIRECTION)}),
        raw={name: values[0] if len(values) == 1 else list(values) for name, values in fields.items()},
    )


def _with_status(event: CallEvent, fields: Fields) -> CallEvent:
    """Add what CallStatus and its companions tell. A child leg's status is its own: it tells nothing of the call."""
    if event.is_child_leg:
        return event
    status = _text(fields, "CallStatus").lower()
    rule = CALL_STATUS.get(status, StatusRule())
    end = end_report(
        status,
        sip_code=_text(fields, "SipResponseCode"),
        error_code=_text(fields, "ErrorCode"),
        error_text=_text(fields, "ErrorMessage"),
        direction=event.direction,
    )
    at = event.occurred_at
    seconds = _whole(fields, "CallDuration") if end else None  # `Duration` is billed minutes
    facts = CallFacts(
        ringing=rule.ringing,
        answered=rule.answered,
        answered_at=at if rule.answered else None,
        ended_at=at if end else None,
        ends=(end,) if end else (),
        duration=None if seconds is None else Duration(seconds=seconds, authority=Authority.REPORTED),
        attestation=_attestation(fields),
    )
    answered_by = _text(fields, "AnsweredBy").lower()
    words: dict[str, tuple[str, Iterable[str]]] = {
        "call_status": (status, CALL_STATUS),
        "answered_by": (answered_by, ANSWERED_BY),
        "stir_verstat": (_text(fields, "StirVerstat"), ATTESTATION),
        "stir_status": (_text(fields, "StirStatus"), STIR_STATUS),
    }
    return replace(
        event,
        facts=facts.merge(_verdict_facts(answered_by, at)),
        unmapped=(*event.unmapped, *unmapped(words)),
    )


def _verdict_facts(word: str, at: datetime | None) -> CallFacts:
    return CallFacts(verdicts=verdicts(word, at), greeting_over=word in GREETING_IS_OVER)


def _attestation(fields: Fields) -> str | None:
    """Return the level of an inbound caller's number, or the one that our outbound call was signed with."""
    return ATTESTATION.get(_text(fields, "StirVerstat")) or STIR_STATUS.get(_text(fields, "StirStatus"))


# -- fields -----------------------------------------------------------------------------------------------------------


def _fields(request: WebhookRequest) -> Fields:
    if request.method == "GET":
        return parse_query(request.url)
    if media_type(request, FORM, JSON) == FORM:
        return parse_form(request.body)
    return {name: [_json_text(value)] for name, value in parse_json(request.body).items()}


def _json_text(value: Any) -> str:
    return "" if value is None else str(value)


def _step_token(request: WebhookRequest) -> str | None:
    """Return the step that our own status URL names (see `instructions.stepped`)."""
    token = single(parse_query(request.url), "step")
    if token is not None and not _STEP.fullmatch(token):
        raise malformed("not a step token")
    return token


def _text(fields: Fields, name: str) -> str:
    return single(fields, name) or ""


def _required(fields: Fields, name: str) -> str:
    value = _text(fields, name)
    if not value:
        raise malformed(f"no {name}")
    return value


def _optional_sid(fields: Fields, name: str, prefix: str) -> str | None:
    value = _text(fields, name)
    if value and not is_sid(prefix, value):
        raise malformed(f"{name} is not an id")
    return value or None


def _required_sid(fields: Fields, name: str, prefix: str) -> str:
    _required(fields, name)
    return _optional_sid(fields, name, prefix) or ""


def _party(fields: Fields, name: str) -> str | None:
    """Return a party. A number that comes over a BYOC trunk is a SIP address, at one of our SIP domains or from any
    host, as the other carrier writes it.
    """
    if name not in fields:
        return None
    party = read_party(single(fields, name))
    is_over_trunk = number_in(_text(fields, "To"), _SIP_DOMAIN) != _text(fields, "To")
    return number_in(party) if is_over_trunk else party


def _whole(fields: Fields, name: str) -> int | None:
    """Return a whole number; None for anything else: the figure is dropped, the report counts."""
    value = _text(fields, name)
    return int(value) if _WHOLE.fullmatch(value) else None


def _counted(fields: Fields, name: str) -> str:
    value = _text(fields, name)
    if value and not _WHOLE.fullmatch(value):
        raise malformed(f"{name} is not a number")
    return value or "-"


def _time(value: str) -> datetime | None:
    """Read RFC 2822, in UTC. What cannot be read is no time: the report counts without it."""
    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
