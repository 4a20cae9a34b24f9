"""Plivo's webhooks: signature V3 over the URL and the fields, and what each request says. Pure; no vendor library.

V3 only: V2 leaves the fields unsigned, so a captured header would pass any body. The SDK's verifier is not used: it
raises on input that a stranger chooses (another method, a percent-encoded byte above ASCII).

Source: Plivo "Validation" (https://docs.plivo.com/docs/voice/xml/request/validation, read 2026-11), the published
vectors, and the SDK's signing code.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.adapting import LONG_AGO, StatusRule, unmapped
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
from gateway.status import Authority, CallFacts, Direction, Duration, MachineVerdict, Recording
from gateway.wire import FORM, malformed, media_type, parse_form, parse_query, single
from providers.plivo.calls import NAME, cost_of, is_call_id, moment_of, seconds_of, utc_of
from providers.plivo.vocabulary import (
    ATTESTATION,
    CALL_STATUS,
    DIAL_ACTION,
    DIAL_STATUS,
    DIRECTION,
    END_BY_HANGUP_CAUSE,
    EVENT,
    IF_MACHINE,
    MACHINE,
    STREAM_EVENT,
    STREAM_REASON,
    VERIFICATION,
    Report,
    attestation_of,
    end_report,
    stream_outcome,
)

NONCE_HEADER: Final = "X-Plivo-Signature-V3-Nonce"
OWN_HEADER: Final = "X-Plivo-Signature-V3"  # by the token of the account or sub-account that owns the number
MAIN_HEADER: Final = "X-Plivo-Signature-Ma-V3"  # by the token of the main account
_MAX_SIGNATURES: Final = 10  # a header lists several while a token is replaced

# No dot: the nonce is what follows the last dot of the signed text, so nothing can move across that border (R18).
_NONCE: Final = re.compile(r"[!-\-/-~]{1,128}", re.ASCII)
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)


# -- the signature ----------------------------------------------------------------------------------------------------


def verify(request: WebhookRequest, *, own_tokens: Sequence[str], main_tokens: Sequence[str]) -> Verified:
    """Return what was signed when one signature of a header matches one token of that header's kind.

    Raises:
        WebhookRejected: NO_SECRET, MISSING_SIGNATURE, BAD_SIGNATURE; UNSUPPORTED_MEDIA and MALFORMED for a body that
            cannot have been signed.
    """
    pairs = [
        (signature, token)
        for header, tokens in ((OWN_HEADER, own_tokens), (MAIN_HEADER, main_tokens))
        for signature in _signatures(request.header(header))
        for token in tokens
        if token
    ]
    if not any((*own_tokens, *main_tokens)):
        raise WebhookRejected(RejectionReason.NO_SECRET)
    nonce = request.header(NONCE_HEADER)
    if nonce is None or (request.header(OWN_HEADER) is None and request.header(MAIN_HEADER) is None):
        raise WebhookRejected(RejectionReason.MISSING_SIGNATURE)
    if _NONCE.fullmatch(nonce) is None:
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE, "not a nonce")
    signed = canonical(request.method, request.url, fields_of(request), nonce)
    matches = [hmac.compare_digest(signature, sign(token, signed)) for signature, token in pairs]
    if not any(matches):
        raise WebhookRejected(RejectionReason.BAD_SIGNATURE)
    return Verified(canonical=signed)


def canonical(method: str, url: str, fields: Mapping[str, list[str]], nonce: str) -> bytes:
    """Return the text that Plivo signs.

    The URL without its fragment; its query decoded and sorted; for a POST with fields a `?`, even when there is no
    query, a dot when there is one, then every name and value without separators; a dot and the nonce. Sorted by code
    point; repeated names sorted by value.
    """
    base, asked = url.partition("#")[0].partition("?")[0], parse_query(url)
    if method == "GET":
        asked = {**fields, **asked}
    said = "&".join(f"{name}={value}" for name, value in _sorted(asked))
    if method == "POST" and fields:
        stop = "." if said else ""
        signed = f"{base}?{said}{stop}" + "".join(name + value for name, value in _sorted(fields))
    else:
        signed = base + (f"?{said}" if said else "")
    return f"{signed}.{nonce}".encode("utf-8", "surrogatepass")


def sign(token: str, signed: bytes) -> bytes:
    """Return the signature, base64 of HMAC-SHA256."""
    return b64encode(hmac.new(token.encode(), signed, hashlib.sha256).digest())


def fields_of(request: WebhookRequest) -> dict[str, list[str]]:
    """Return the fields of the body. Raises WebhookRejected: another method than POST and GET, or no form."""
    if request.method not in ("POST", "GET"):
        raise malformed("neither POST nor GET")
    if not request.body:
        return {}
    media_type(request, FORM)
    return parse_form(request.body)


def _signatures(header: str | None) -> list[bytes]:
    """Return the signatures of a header; whatever does not look like one is left out."""
    parts = [part.strip(" ") for part in (header or "").split(",", _MAX_SIGNATURES)][:_MAX_SIGNATURES]
    return [part.encode() for part in parts if _SIGNATURE.fullmatch(part)]


def _sorted(fields: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name in sorted(fields) for value in sorted(fields[name])]


# -- the doctor's guesses ---------------------------------------------------------------------------------------------


def diagnose(request: WebhookRequest) -> Iterator[Clue]:
    """Yield what only Plivo's signatures can be wrong about; see `Provider.diagnose_webhook`."""
    names = {name.lower() for name, _ in request.headers}
    has_third = OWN_HEADER.lower() in names or MAIN_HEADER.lower() in names
    if not has_third and any(name.startswith("x-plivo-signature") for name in names):
        yield Clue(
            aspect=Aspect.HEADERS,
            said="It is signed with an older version of the signature only; version 3 is the one that covers the "
            "parameters.",
            remedy="Have the proxy pass every X-Plivo-Signature header; a request of Plivo's voice product has them.",
        )
    if has_third and request.header(NONCE_HEADER) is None:
        said = f"{NONCE_HEADER} is absent, or there more than once."
        yield Clue(
            aspect=Aspect.HEADERS, said=said, remedy="Have the proxy pass the carrier's headers unchanged."
        )
    yield from _exchanged(request, OWN_HEADER, MAIN_HEADER, "the main account's", "main_auth_token")
    yield from _exchanged(request, MAIN_HEADER, OWN_HEADER, "the sub-account's", "auth_token")


def _exchanged(request: WebhookRequest, to: str, from_: str, whose: str, field: str) -> Iterator[Clue]:
    """Guess that a token was stored as the other one: the signature of one header fits in the place of the other."""
    value = request.header(from_)
    if value is None:
        return
    others = tuple(pair for pair in request.headers if pair[0].lower() != to.lower())
    yield Clue(
        aspect=Aspect.TOKEN,
        said=f"The signature in {from_} was made with the token that is stored as another account's.",
        remedy=f"That token is {whose}: store it as {field} of a credential of the account that owns the number.",
        request=replace(request, headers=(*others, (to, value))),
    )


# -- reading ----------------------------------------------------------------------------------------------------------

# Fields that decide something. Each may come once only (R34); everything else is kept raw and unread.
_SIP_HOSTS: Final = ("app.plivo.com", "sbc.plivo.com")
_OTHER_IDS: Final = ("RequestUUID", "ALegRequestUUID", "ALegUUID")
_OF_LEG: Final = ("CallUUID", "From", "To", "Direction", "Event", "CallStatus", "SessionStart")
_OF_CALLER: Final = ("STIRAttestation", "STIRVerification", "stir_verification")
_OF_MACHINE: Final = ("Machine", "IfMachine")
_OF_END: Final = ("HangupCause", "HangupCauseName", "HangupCauseCode", "EndTime")
_OF_BILL: Final = ("HangupSource", "AnswerTime", "BillDuration", "TotalCost")
_OF_DIAL: Final = ("DialStatus", "DialHangupCause", "DialAction", "DialBLegUUID")
_OF_STREAM: Final = ("StreamID", "Timestamp", "StatusReason", "Error")
_OF_RECORDING: Final = ("RecordingID", "RecordUrl", "RecordingDuration", "RecordingDurationMs")
# the same by the REST API's recording callback
_OF_API_RECORDING: Final = (
    "call_uuid",
    "recording_id",
    "record_url",
    "recording_duration",
    "recording_duration_ms",
)
_READ: Final = frozenset(
    _OTHER_IDS
    + _OF_LEG
    + _OF_CALLER
    + _OF_MACHINE
    + _OF_END
    + _OF_BILL
    + _OF_DIAL
    + _OF_STREAM
    + _OF_RECORDING
    + _OF_API_RECORDING
)
_OF_OUR_URL: Final = ("leg", "step", "kind")
_MAX_VALUE: Final = 4096


@dataclass(frozen=True, slots=True)
class _Form:
    """One request's fields, each at most once, beside the names that our own callback URL carries."""

    said: Mapping[str, str]
    asked: Mapping[str, str]
    hook: Hook
    token: str | None

    def get(self, *names: str) -> str:
        return next((self.said[name] for name in names if self.said.get(name)), "")

    def strict_id(self, name: str) -> str:
        """Return an id, or "" when it is absent or blank. Raises WebhookRejected for anything but a UUID."""
        value = self.get(name)
        if value and not is_call_id(value):
            raise malformed(f"{name} is not a Plivo id")
        return value

    @property
    def report(self) -> Report | None:
        """The kind of report; without an Event, the fields of an end make it one, or a status that only an end has."""
        if self.get("Event"):
            return EVENT.get(self.get("Event"))
        is_over = self.hook is Hook.STATUS and CALL_STATUS.get(self.get("CallStatus"), StatusRule()).end
        return Report.END if is_over or any(self.get(name) for name in _OF_END) else None


def read(hook: Hook, request: WebhookRequest) -> list[CallEvent]:
    """Translate a verified request. Raises WebhookRejected: MALFORMED."""
    form = _form(hook, request)
    if hook is Hook.RECORDING:
        return [_recording(form)]
    if hook is Hook.NEXT:
        return [_step_over(form)]
    if hook is Hook.STATUS and form.get("StreamID"):
        return [_stream(form)]
    if hook is Hook.STATUS and form.get("DialAction"):
        return _child_leg(form)
    return [_progress(form)]


def _form(hook: Hook, request: WebhookRequest) -> _Form:
    query = parse_query(request.url)
    fields = {**fields_of(request), **(query if request.method == "GET" else {})}
    said = {name: single(fields, name) or "" for name in _READ}
    if any(len(value) > _MAX_VALUE for value in said.values()):
        raise malformed("a field is too long")
    asked = {name: single(query, name) or "" for name in _OF_OUR_URL}
    kept = {name: ", ".join(values)[:_MAX_VALUE] for name, values in fields.items()}
    return _Form(said={**kept, **said}, asked=asked, hook=hook, token=request.token)


def _base(form: _Form, name: str, *words: str) -> CallEvent:
    """Return the event that every report of a leg starts from: who, which way, and no facts yet."""
    leg_id = form.strict_id("CallUUID") or form.strict_id("call_uuid")
    if not leg_id and form.hook is Hook.RECORDING and is_call_id(form.asked["leg"]):
        # whether a recording's callback names its call is unconfirmed: our URL does
        leg_id = form.asked["leg"]
    if not leg_id:
        raise malformed("no CallUUID")
    others = dict.fromkeys(form.strict_id(field) for field in _OTHER_IDS)
    said = {name: value for name, value in form.said.items() if value or name not in _READ}
    return CallEvent(
        provider=NAME,
        leg_id=leg_id,
        other_ids=tuple(other for other in others if other and other != leg_id),
        name=name[:60],
        facts=CallFacts(attestation=_attestation(form)),
        event_id=":".join([leg_id, form.hook.value, *(word[:60] for word in words)]),
        direction=DIRECTION.get(form.get("Direction")),
        to=_party(form, "To"),
        from_number=_party(form, "From"),
        is_child_leg=leg_id == form.get("DialBLegUUID"),
        attempt_token=None if form.hook is Hook.NEXT else form.token,
        step_token=form.token if form.hook is Hook.NEXT else form.asked["step"] or None,
        unmapped=unmapped(
            {
                "direction": (form.get("Direction"), DIRECTION),
                "attestation": (form.get("STIRAttestation"), ATTESTATION),
                "verification": (form.get("STIRVerification", "stir_verification"), VERIFICATION),
            }
        ),
        raw=said,
    )


def _progress(form: _Form) -> CallEvent:
    """A report to the answer, fallback, status or machine URL."""
    report = form.report
    if report is Report.END:
        return _end(form)
    name = form.get("Event") or form.get("CallStatus") or "request"
    event = _base(form, name, form.get("Event"), form.get("CallStatus"), form.get("Machine"))
    rule = CALL_STATUS.get(form.get("CallStatus"), StatusRule())
    facts = replace(
        event.facts,
        ringing=rule.ringing or report is Report.RING,
        answered=rule.answered,
        verdicts=_verdicts(form),
    )
    # SessionStart is when the session began: the time of the first report, not of an answer that came later.
    is_first = report is Report.RING or (
        report is Report.START and event.direction is Direction.INBOUND and not rule.answered
    )
    return replace(
        event,
        facts=facts,
        occurred_at=utc_of(form.get("SessionStart")) if is_first else None,
        wants_instruction=form.hook in (Hook.ANSWER, Hook.FALLBACK)
        and report in (Report.START, None)
        and rule.end is None,
        unmapped=event.unmapped
        + unmapped(
            {
                "event_type": (form.get("Event"), EVENT),
                "call_status": (form.get("CallStatus"), CALL_STATUS),
                "machine": (form.get("Machine"), MACHINE),
                "if_machine": (form.get("IfMachine"), IF_MACHINE),
            }
        ),
    )


def _end(form: _Form) -> CallEvent:
    """The end of the leg. StartTime, AnswerTime and EndTime are in the console's zone, without offset: not read."""
    talked_s = seconds_of(form.get("BillDuration"))
    end, strange = end_report(
        code=form.get("HangupCauseCode"),
        cause=form.get("HangupCause"),
        status=form.get("CallStatus"),
        source=form.get("HangupSource"),
        text=form.get("HangupCauseName"),
        is_answered=True if form.get("AnswerTime") or talked_s else None,
    )
    cost = cost_of(form.get("TotalCost"), Authority.REPORTED)
    words = (
        end.words.status,
        end.words.cause,
        end.words.source,
        form.get("BillDuration"),
        form.get("TotalCost"),
    )
    event = _base(form, form.get("Event") or "Hangup", "Hangup", *words)
    return replace(
        event,
        facts=replace(
            event.facts,
            answered=bool(end.proves_answered),
            ends=(end,),
            verdicts=_verdicts(form),
            duration=None if talked_s is None else Duration(seconds=talked_s, authority=Authority.REPORTED),
            cost=cost,
        ),
        unmapped=event.unmapped + strange + unmapped({"machine": (form.get("Machine"), MACHINE)}),
    )


def _step_over(form: _Form) -> CallEvent:
    """A document's step is over, or `redirect` took effect: Plivo asks what now, unless the call is over too."""
    dialed, recorded = form.get("DialStatus"), form.get("RecordingID")
    outcome = DIAL_STATUS.get(dialed, StepOutcome.OVER)
    step = StepReport(outcome=outcome, detail=(dialed or ("recorded" if recorded else "redirected"))[:60])
    strange = unmapped(
        {
            "dial_status": (dialed, DIAL_STATUS),
            "hangup_cause": (form.get("DialHangupCause"), END_BY_HANGUP_CAUSE),
        }
    )
    if form.report is Report.END:
        event = _end(form)
        return replace(event, step=step, unmapped=event.unmapped + strange)
    word = form.get("CallStatus")
    rule = CALL_STATUS.get(word, StatusRule())
    mark = hashlib.sha256((form.token or "").encode()).hexdigest()[:16]
    event = _base(form, dialed or form.get("Event") or "next", mark, dialed, recorded, word)
    return replace(
        event,
        facts=replace(event.facts, answered=rule.answered, verdicts=_verdicts(form)),
        step=step,
        wants_instruction=rule.end is None,
        unmapped=event.unmapped + strange + unmapped({"call_status": (word, CALL_STATUS)}),
    )


def _stream(form: _Form) -> CallEvent:
    """A media socket opened, stopped or was refused. Only an answered call has one."""
    word, reason = form.get("Event"), form.get("StatusReason", "Error")
    outcome = stream_outcome(word, reason)
    event = _base(form, word or "stream", form.get("StreamID"), word, reason)
    is_told = outcome is not None and event.step_token is not None
    return replace(
        event,
        facts=replace(event.facts, answered=outcome is StepOutcome.JOINED),
        occurred_at=moment_of(form.get("Timestamp")),
        step=StepReport(outcome=outcome, detail=(reason or word)[:60]) if outcome and is_told else None,
        unmapped=event.unmapped
        + unmapped({"stream_event": (word, STREAM_EVENT), "stream_reason": (reason, STREAM_REASON)}),
    )


def _child_leg(form: _Form) -> list[CallEvent]:
    """A leg that a Dial made: what it means for the step, and, apart, what it says about the call that dialed."""
    action, child = form.get("DialAction"), form.strict_id("DialBLegUUID")
    outcome = DIAL_ACTION.get(action)
    parent = _base(form, f"leg {action}", child, action)
    rule = CALL_STATUS.get(form.get("CallStatus"), StatusRule())
    strange = unmapped(
        {"dial_action": (action, DIAL_ACTION), "call_status": (form.get("CallStatus"), CALL_STATUS)}
    )
    step = StepReport(outcome=outcome, detail=action) if outcome and parent.step_token else None
    told = replace(
        parent,
        facts=replace(parent.facts, answered=rule.answered),
        step=None if child else step,
        unmapped=parent.unmapped + strange,
    )
    if not child:
        return [told]
    return [
        told,
        replace(
            parent,
            leg_id=child,
            other_ids=(),
            facts=CallFacts(),
            event_id=f"{child}:{parent.event_id}",
            direction=None,
            to=None,
            from_number=None,
            is_child_leg=True,
            step=step,
            unmapped=(),
        ),
    ]


def _recording(form: _Form) -> CallEvent:
    """A recording is ready. The XML callback writes its names in capitals, the API's callback in snake case."""
    ref = form.strict_id("RecordingID") or form.strict_id("recording_id")
    if not ref:
        raise malformed("no RecordingID")
    url = form.get("RecordUrl", "record_url")
    recording = Recording(
        ref=ref,
        duration_s=_recorded_s(form),
        url=url
        if url.startswith(("https://", "http://")) and url.isprintable() and len(url) <= 2048
        else None,
        is_message=form.asked["kind"] == "message",
    )
    event = _base(form, "recording", ref)
    return replace(event, facts=replace(event.facts, recordings=(recording,)))


def _recorded_s(form: _Form) -> int | None:
    """Return whole seconds; Plivo writes -1 while it does not know."""
    millis = seconds_of(form.get("RecordingDurationMs", "recording_duration_ms"))
    whole = seconds_of(form.get("RecordingDuration", "recording_duration"))
    return whole if whole is not None else None if millis is None else round(millis / 1000)


def _verdicts(form: _Form) -> tuple[MachineVerdict, ...]:
    word = form.get("Machine")
    if word not in MACHINE:
        return ()
    return (MachineVerdict(answered_by=MACHINE[word], at=LONG_AGO, word=word),)


def _attestation(form: _Form) -> str | None:
    return attestation_of(form.get("STIRAttestation"), form.get("STIRVerification", "stir_verification"))


def _party(form: _Form, name: str) -> str | None:
    """Return a party. A number that another SIP carrier hands over may be an address at Plivo, or at any host."""
    if not form.get(name):
        return None
    party, called = read_party(form.get(name)), form.get("To")
    is_over_link = any(number_in(called, host) != called for host in _SIP_HOSTS)
    return number_in(party) if is_over_link else party
