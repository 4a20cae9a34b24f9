"""Calls out through Twilio's REST API: what is sent to dial, and how its call objects are read. Pure.

Source: Twilio docs "Call resource" (https://www.twilio.com/docs/voice/api/call-resource, read 2026-11), the OpenAPI
file of the API 2010-04-01, and measurements of the official library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gateway.adapting import LONG_AGO, StatusRule, check_limits, unmapped
from gateway.errors import ValidationError
from gateway.interface import (
    CallEvent,
    CallSnapshot,
    DialOutcome,
    DialQuery,
    DialRequest,
    DialResult,
    FoundCall,
    Range,
)
from gateway.numbers import read_party
from gateway.status import Authority, CallFacts, Cost, Duration, EndReport, MachineVerdict
from providers.twilio.vocabulary import (
    ANSWERED_BY,
    CALL_STATUS,
    CHILD_DIRECTION,
    DIALED_DIRECTION,
    DIRECTION,
    GREETING_IS_OVER,
    RECORDING_IS_MESSAGE,
    RECORDING_RUNS,
    end_report,
)

NAME: Final = "twilio"
JOIN_TIMEOUT_S: Final = Range(low=1, high=600)  # the minimum is unconfirmed; some flows ring 5 s longer
MAX_DURATION_S: Final = Range(low=1, high=14_400)  # 24 h only for accounts with that feature

# R41: by default only a refused connection is tried again, once. The fragment is neither sent nor signed.
RETRIES: Final = "#rc=3&rp=all"

PROGRESS_EVENTS: Final = ("initiated", "ringing", "answered", "completed")

# Parameters that a caller may add (`DialRequest.extra`), by Twilio's name; every other name is refused, because the
# official library takes no unknown ones. What we set ourselves is not here.
EXTRA: Final[Mapping[str, str]] = {
    "Byoc": "byoc",
    "CallReason": "call_reason",
    "CallToken": "call_token",
    "CallerId": "caller_id",
    "MachineDetectionSilenceTimeout": "machine_detection_silence_timeout",
    "MachineDetectionSpeechEndThreshold": "machine_detection_speech_end_threshold",
    "MachineDetectionSpeechThreshold": "machine_detection_speech_threshold",
    "MachineDetectionTimeout": "machine_detection_timeout",
    "Passports": "passports",
    "RecordingChannels": "recording_channels",
    "RecordingConfigurationId": "recording_configuration_id",
    "RecordingTrack": "recording_track",
    "SendDigits": "send_digits",
    "SipAuthPassword": "sip_auth_password",
    "SipAuthUsername": "sip_auth_username",
    "Trim": "trim",
}

_SID: Final = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}", re.ASCII)


def is_sid(prefix: str, value: object) -> bool:
    """Whether `value` is a SID of the kind that `prefix` names ("CA", "RE" ...): two letters and 32 hex digits."""
    return isinstance(value, str) and value[:2] == prefix and _SID.fullmatch(value) is not None


def checked_sid(prefix: str, value: str, field: str) -> str:
    """Return the SID, fit to stand in a path (R91).

    Raises:
        ValidationError: it is none.
    """
    if not is_sid(prefix, value):
        raise ValidationError(field, f"not an id of twilio: give {prefix} and 32 hex digits")
    return value


def with_retries(url: str) -> str:
    """Return one of our URLs with the fragment that makes Twilio try three times after any failure."""
    return url + RETRIES


# -- dialing ----------------------------------------------------------------------------------------------------------


def check_dial(request: DialRequest) -> None:
    """Refuse what Twilio cannot take.

    Raises:
        ValidationError: names the field and what is accepted.
    """
    check_limits(NAME, request, join_timeout_s=JOIN_TIMEOUT_S, max_duration_s=MAX_DURATION_S)
    if request.to == request.caller_id:
        raise ValidationError("to", "twilio does not call a number from itself")
    if "_" in (urlsplit(request.urls.status).hostname or ""):
        raise ValidationError("public_url", "twilio takes no callback host with an underscore in its name")
    if request.trunk_ref is not None:
        checked_sid("BY", request.trunk_ref, "trunk")
    for name in request.extra:
        if name not in EXTRA:
            raise ValidationError(
                "extra", f"{str(name)[:40]!r} is not a twilio parameter to add; known: {', '.join(EXTRA)}"
            )


def dial_params(request: DialRequest) -> dict[str, Any]:
    """Return the arguments of the library's `calls.create`.

    Recording and machine detection are left out unless asked for. `async_amd` is the text "true": the library would
    write a boolean as "True".
    """
    urls = request.urls
    params: dict[str, Any] = {
        "to": request.to,
        "from_": request.caller_id,
        "url": with_retries(urls.answer),
        "method": "POST",
        "fallback_url": with_retries(urls.fallback),
        "fallback_method": "POST",
        "status_callback": with_retries(urls.status),
        "status_callback_method": "POST",
        "status_callback_event": list(PROGRESS_EVENTS),
        "timeout": request.join_timeout_s,
        "time_limit": request.max_duration_s,
    }
    if request.detect_machine:
        params |= {
            "machine_detection": "DetectMessageEnd" if request.await_greeting_end else "Enable",
            "async_amd": "true",
            "async_amd_status_callback": with_retries(urls.amd),
            "async_amd_status_callback_method": "POST",
        }
    if request.record:
        params |= {
            "record": True,
            "recording_status_callback": with_retries(urls.recording),
            "recording_status_callback_method": "POST",
            "recording_status_callback_event": ["completed"],
        }
    if request.trunk_ref is not None:
        params["byoc"] = request.trunk_ref
    return params | {EXTRA[name]: value for name, value in request.extra.items()}


def recording_params(recording_url: str) -> dict[str, Any]:
    """Return the arguments of the library's `recordings.create`: both sides apart, and whom to tell."""
    return {
        "recording_channels": "dual",
        "recording_status_callback": with_retries(recording_url),
        "recording_status_callback_method": "POST",
        "recording_status_callback_event": ["completed"],
    }


def running_recordings(listed: Iterable[Any], *, with_messages: bool) -> list[str]:
    """Return the ids of the recordings that run; a message that is being taken is none of the conversation."""
    return [
        recording.sid
        for recording in listed
        if recording.status in RECORDING_RUNS
        and (with_messages or not RECORDING_IS_MESSAGE.get(recording.source, False))
    ]


def read_dial(created: RestCall) -> DialOutcome:
    """Return the outcome of a dial that was answered with a success: accepted only with a well-formed id."""
    if not is_sid("CA", created.sid):
        return DialOutcome(result=DialResult.UNKNOWN, message="the answer names no call")
    return DialOutcome(result=DialResult.ACCEPTED, leg_id=created.sid)


# -- reading call objects ---------------------------------------------------------------------------------------------


class RestCall(Protocol):
    """What we read of the library's call object. Any of it can be null; numbers are texts."""

    sid: str | None
    parent_call_sid: str | None
    to: str | None
    _from: str | None
    status: str | None
    direction: str | None
    answered_by: str | None
    duration: str | None
    price: str | None
    price_unit: str | None
    date_created: datetime | None
    start_time: datetime | None
    end_time: datetime | None


def read_snapshot(call: RestCall) -> CallSnapshot:
    """Return what a fetched call proves. An unknown status proves nothing: the call counts as live."""
    status = _word(call.status)
    rule = CALL_STATUS.get(status, StatusRule())
    return CallSnapshot(is_known=True, is_live=rule.end is None, events=(_fetched(call, status, rule),))


def _fetched(call: RestCall, status: str, rule: StatusRule) -> CallEvent:
    direction = DIRECTION.get(_word(call.direction))
    answered_by = _word(call.answered_by)
    end = end_report(status, direction=direction, reconciled=True)
    facts = CallFacts(
        ringing=rule.ringing,
        answered=rule.answered,
        ended_at=call.end_time if end else None,
        ends=(end,) if end else (),
        verdicts=verdicts(answered_by, call.end_time),
        greeting_over=answered_by in GREETING_IS_OVER,
        duration=_duration(call.duration, end),
        cost=_cost(call),
    )
    raw = {name: _word(getattr(call, name)) for name in ("sid", "status", "direction", "duration", "price")}
    return CallEvent(
        provider=NAME,
        leg_id=call.sid or "",
        name=f"fetched: {status}",
        facts=facts,
        event_id=":".join((call.sid or "", "fetched", status, answered_by, raw["duration"], raw["price"])),
        occurred_at=call.end_time,
        direction=direction,
        to=read_party(call.to),
        from_number=read_party(call._from),
        is_child_leg=bool(call.parent_call_sid) or call.direction == CHILD_DIRECTION,
        unmapped=unmapped(
            {
                "call_status": (status, CALL_STATUS),
                "answered_by": (answered_by, ANSWERED_BY),
                "direction": (_word(call.direction), DIRECTION),
            }
        ),
        raw=raw,
    )


# -- finding an unknown dial ------------------------------------------------------------------------------------------


def read_found(calls: Iterable[RestCall], query: DialQuery) -> tuple[FoundCall, ...]:
    """Return the calls that may be the dial's: placed through the API, between its numbers, created in its window.

    The list cannot be filtered by creation time, and a call that still waits has no start time: hence the filter here.
    """
    matching = {
        call.sid: FoundCall(leg_id=call.sid, created_at=call.date_created)
        for call in calls
        if call.sid is not None
        and is_sid("CA", call.sid)
        and not call.parent_call_sid
        and call.direction in (DIALED_DIRECTION, None)  # a fresh call has been seen without a direction
        and (call.to, call._from) == (query.to, query.caller_id)
        and call.date_created is not None
        and query.created_from <= call.date_created <= query.created_until
    }
    return tuple(matching.values())


# -- values -----------------------------------------------------------------------------------------------------------


def verdicts(word: str, at: datetime | None) -> tuple[MachineVerdict, ...]:
    """Return the machine verdict that `AnsweredBy` tells; () for none or an unknown word.

    Without a time by Twilio's clock the verdict counts as the oldest: it must be the same at every delivery.
    """
    answered_by = ANSWERED_BY.get(word)
    if answered_by is None:
        return ()
    return (MachineVerdict(answered_by=answered_by, at=at or LONG_AGO, word=word),)


def _duration(text: str | None, end: EndReport | None) -> Duration | None:
    """The length is a text of seconds, empty for a call that runs or was never answered."""
    if end is None or re.fullmatch(r"[0-9]{1,7}", _word(text), re.ASCII) is None:
        return None
    return Duration(seconds=int(_word(text)), authority=Authority.RECORD)


def _cost(call: RestCall) -> Cost | None:
    """The price is a negative number as a text, null until some time after the end."""
    currency = _word(call.price_unit).upper()
    if call.price in (None, "") or re.fullmatch("[A-Z]{3}", currency) is None:
        return None
    try:
        amount = abs(Decimal(_word(call.price)))
    except InvalidOperation:
        return None
    return Cost(amount=amount, currency=currency, authority=Authority.RECORD) if amount.is_finite() else None


def _word(value: object) -> str:
    return "" if value is None else str(value)[:200]
