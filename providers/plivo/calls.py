"""Calls out through Plivo's REST API: what is sent to dial, and how its call objects are read. Pure.

Source: Plivo "Make a call" (https://docs.plivo.com/docs/voice/api/call/make-a-call, read 2026-11) and the pages on
retrieving calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from gateway.adapting import StatusRule, check_limits, unmapped
from gateway.errors import UnsupportedFeature, ValidationError
from gateway.interface import (
    CallEvent,
    CallSnapshot,
    DialOutcome,
    DialQuery,
    DialRequest,
    DialResult,
    FoundCall,
    LegRef,
    Range,
)
from gateway.numbers import read_party
from gateway.status import Authority, CallFacts, Cost, Duration
from providers.plivo.vocabulary import (
    CALL_STATUS,
    DIRECTION,
    VERIFICATION,
    attestation_of,
    end_report,
)

NAME: Final = "plivo"

# Plivo publishes no upper bound of ring_timeout (unconfirmed): 600 s is ours. time_limit is cut at 24 h.
JOIN_TIMEOUT_S: Final = Range(low=1, high=600)
MAX_DURATION_S: Final = Range(low=1, high=86_400)

# Plivo bills in the account's currency and names it nowhere; US dollars unless the account is Indian.
CURRENCY: Final = "USD"

# Retries for every callback of ours (page on callback timeouts and retries, read 2026-11): by default
# Plivo repeats only after a connect or read timeout, once. 4 x (2 s + 10 s) stays below its total of 55 s.
RETRIES: Final = "#ct=2000&rt=10000&rc=3&rp=all"

# What `extra` must not set besides what is always sent: `callback_url` makes the REST call asynchronous, and its answer
# would not be the call.
_NOT_FOR_CALLERS: Final = frozenset({"callback_url", "callback_method", "machine_detection"})

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
NUMBER_FILTERS: Final = ("call_direction", "from_number", "to_number")
_SLACK: Final = timedelta(seconds=1)  # Plivo's times may be cut to whole seconds

_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,10})?", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def is_call_id(value: object) -> bool:
    """True for a Plivo call, request or recording id: a UUID. Nothing else may enter a path (R91)."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def known_ids(ref: LegRef) -> list[str]:
    """Return the leg's ids that may be asked for, each once: `request_uuid` and `CallUUID` may differ.

    Raises:
        ValidationError: there is none; an empty id would mean every call of the account.
    """
    found = [value for value in dict.fromkeys((ref.leg_id, *ref.other_ids)) if is_call_id(value)]
    if not found:
        raise ValidationError("leg_id", "not a Plivo call id")
    return found


def with_retries(url: str) -> str:
    """Return one of our URLs with the fragment that makes Plivo try three times more after any failure."""
    return url + RETRIES


def with_query(url: str, name: str, value: str) -> str:
    """Return the URL with one more query pair. Plivo signs the query, so what comes back is ours."""
    return f"{url}{'&' if '?' in url else '?'}{name}={quote(value, safe='')}"


# -- dialing ----------------------------------------------------------------------------------------------------------


def check_dial(request: DialRequest) -> None:
    """Refuse what Plivo cannot take.

    Raises:
        ValidationError: names the field and what is accepted. UnsupportedFeature: by another SIP carrier.
    """
    if request.trunk_ref is not None:
        raise UnsupportedFeature(NAME, "dialing by a link to another SIP carrier")
    check_limits(NAME, request, join_timeout_s=JOIN_TIMEOUT_S, max_duration_s=MAX_DURATION_S)
    if request.to == request.caller_id:
        raise ValidationError("phone_number", "plivo cannot call a number from itself")
    ours = sorted((dial_params(request).keys() | _NOT_FOR_CALLERS) & request.extra.keys())
    if ours:
        raise ValidationError("extra", f"set by the gateway: {', '.join(ours)}")


def dial_params(request: DialRequest) -> dict[str, Any]:
    """Return the body of `POST /Call/`: one destination, every callback, both limits."""
    urls = request.urls
    params: dict[str, Any] = {
        "from": digits_of(request.caller_id, "from_number"),
        "to": digits_of(request.to, "phone_number"),  # never "a<b<c": that is up to 1000 destinations
        "answer_url": with_retries(urls.answer),
        "answer_method": "POST",
        "ring_url": with_retries(urls.status),
        "ring_method": "POST",
        "hangup_url": with_retries(urls.status),
        "hangup_method": "POST",
        "fallback_url": with_retries(urls.fallback),
        "fallback_method": "POST",
        "ring_timeout": request.join_timeout_s,
        "time_limit": request.max_duration_s,  # Plivo's own default is 4 h
    }
    if request.detect_machine:
        params |= {
            "machine_detection": "true",
            "machine_detection_url": with_retries(
                urls.amd
            ),  # without it the result comes late, with other requests
            "machine_detection_method": "POST",
        }
    return {**request.extra, **params}


def recording_params(call_id: str, recording_url: str, max_duration_s: int) -> dict[str, Any]:
    """Return the arguments of the library's `calls.record`; without a limit Plivo stops after a minute."""
    return {
        "time_limit": min(MAX_DURATION_S.high, max_duration_s),
        "file_format": "mp3",
        "record_channel_type": "stereo",
        "callback_url": with_retries(with_query(recording_url, "leg", call_id)),
        "callback_method": "POST",
    }


def read_dial(reply: Mapping[str, Any]) -> DialOutcome:
    """Return the outcome of a dial that was answered with a success: accepted only with a well-formed id.

    "call queued" is accepted too.
    """
    request_uuid = reply.get("request_uuid")
    if not isinstance(request_uuid, str) or not is_call_id(request_uuid):
        return DialOutcome(result=DialResult.UNKNOWN, message="the answer names no call")
    message = reply.get("message")
    return DialOutcome(
        result=DialResult.ACCEPTED,
        leg_id=request_uuid,
        message=message[:100] if isinstance(message, str) else "",
    )


# -- reading call objects ---------------------------------------------------------------------------------------------


def read_waiting(reply: Mapping[str, Any]) -> CallSnapshot | None:
    """Read the answer of a `status=live` or `status=queued` look-up; None when it names no call that lives."""
    leg_id = text_of(reply, "call_uuid")
    word = text_of(reply, "call_status")
    rule = CALL_STATUS.get(word, StatusRule())
    if not is_call_id(leg_id) or rule.end is not None:
        return None
    event = CallEvent(
        provider=NAME,
        leg_id=leg_id,
        other_ids=_other_ids(leg_id, reply),
        name=word or "live",
        facts=CallFacts(
            ringing=rule.ringing,
            answered=rule.answered,
            attestation=_attestation(reply),
        ),
        event_id=f"{leg_id}:look:{word[:60]}",
        direction=DIRECTION.get(text_of(reply, "direction")),
        to=read_party(text_of(reply, "to")),
        from_number=read_party(text_of(reply, "from")),
        unmapped=unmapped({"call_status": (word, CALL_STATUS)}),
        raw=reply,
    )
    return CallSnapshot(is_known=True, is_live=True, events=(event,))


def read_record(reply: Mapping[str, Any]) -> CallSnapshot | None:
    """Read a call detail record, which exists only after the end; None when it names no call that ended."""
    leg_id = text_of(reply, "call_uuid")
    if not is_call_id(leg_id) or not text_of(reply, "end_time", "hangup_cause_code"):
        return None
    answered_at = moment_of(text_of(reply, "answer_time"))
    talked_s = seconds_of(reply.get("bill_duration"))
    is_answered = bool(text_of(reply, "answer_time")) or bool(talked_s)
    end, strange = end_report(
        code=text_of(reply, "hangup_cause_code"),
        source=text_of(reply, "hangup_source"),
        text=text_of(reply, "hangup_cause_name"),
        is_answered=is_answered,
        reconciled=True,
    )
    ended_at = moment_of(text_of(reply, "end_time"))
    parent = text_of(reply, "parent_call_uuid")
    event = CallEvent(
        provider=NAME,
        leg_id=leg_id,
        other_ids=_other_ids(leg_id, reply),
        name="call detail record",
        facts=CallFacts(
            answered=is_answered,
            answered_at=answered_at,
            ended_at=ended_at,
            ends=(end,),
            duration=None if talked_s is None else Duration(seconds=talked_s, authority=Authority.RECORD),
            cost=cost_of(reply.get("total_amount"), Authority.RECORD),
            attestation=_attestation(reply),
        ),
        event_id=f"{leg_id}:record:{text_of(reply, 'hangup_cause_code')[:60]}:{text_of(reply, 'total_amount')[:30]}",
        occurred_at=ended_at,
        direction=DIRECTION.get(text_of(reply, "call_direction")),
        to=read_party(text_of(reply, "to_number")),
        from_number=read_party(text_of(reply, "from_number")),
        is_child_leg=is_call_id(parent) and parent != leg_id,
        unmapped=strange,
        raw=reply,
    )
    return CallSnapshot(is_known=True, is_live=False, events=(event,))


# -- finding an unknown dial ------------------------------------------------------------------------------------------


def list_filter(query: DialQuery) -> dict[str, str]:
    """Return the filters of the finished calls: both numbers, outbound, ended in or after the window (UTC)."""
    return {
        "call_direction": "outbound",
        "from_number": digits_of(query.caller_id, "from_number"),
        "to_number": digits_of(query.to, "phone_number"),
        "end_time__gte": query.created_from.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
    }


def read_found(reply: Mapping[str, Any], query: DialQuery) -> FoundCall | None:
    """Return the call when it may be the one that is looked for: both numbers, outbound, begun in the window.

    A queued call has no time yet, and a time without an offset is not taken for UTC: such a call is kept.
    """
    leg_id = text_of(reply, "call_uuid")
    parties = [text_of(reply, "from", "from_number"), text_of(reply, "to", "to_number")]
    wanted = [query.caller_id, query.to]
    direction = text_of(reply, "direction", "call_direction")
    if not is_call_id(leg_id) or direction == "inbound" or [read_party(party) for party in parties] != wanted:
        return None
    if is_call_id(text_of(reply, "parent_call_uuid")):
        return None
    begun = moment_of(text_of(reply, "initiation_time")) or utc_of(text_of(reply, "session_start"))
    if begun is not None and not query.created_from - _SLACK <= begun <= query.created_until + _SLACK:
        return None
    return FoundCall(leg_id=leg_id, other_ids=_other_ids(leg_id, reply), created_at=begun)


# -- values -----------------------------------------------------------------------------------------------------------


def digits_of(e164: str, field: str) -> str:
    """Return the number as Plivo writes it: country code and number, no plus. Raises ValidationError."""
    if _E164.fullmatch(e164) is None:
        raise ValidationError(field, "not one E.164 number")
    return e164[1:]


def text_of(fields: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that holds text or a whole number, as text; "" when none does."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return str(value)
    return ""


def seconds_of(value: object) -> int | None:
    """Return whole seconds, or None for anything that is not 0 to 999,999,999."""
    return int(str(value)) if _SECONDS.fullmatch(str(value)) else None


def cost_of(value: object, authority: Authority) -> Cost | None:
    """Return what was charged, or None for anything that is not a plain decimal."""
    if _AMOUNT.fullmatch(str(value)) is None:
        return None
    return Cost(amount=Decimal(str(value)), currency=CURRENCY, authority=authority)


def moment_of(text: str) -> datetime | None:
    """Return a time that carries its offset, as UTC; None for one that does not: Plivo's console zone is not known."""
    found = _iso(text)
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None


def utc_of(text: str) -> datetime | None:
    """Return a time that Plivo documents as UTC and writes without an offset (SessionStart)."""
    found = _iso(text)
    if found is None:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _iso(text: str) -> datetime | None:
    if not text.isascii() or not 19 <= len(text) <= 40:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if 2000 <= found.year < 2200 else None  # within reach of every offset


def _other_ids(leg_id: str, reply: Mapping[str, Any]) -> tuple[str, ...]:
    request_uuid = text_of(reply, "request_uuid")
    return (request_uuid,) if is_call_id(request_uuid) and request_uuid != leg_id else ()


def _attestation(reply: Mapping[str, Any]) -> str | None:
    level = text_of(reply, "stir_attestation", "Stir_attestation")
    verification = text_of(reply, "stir_verification")
    return attestation_of(level, verification if verification in VERIFICATION else "")
