"""Calls out through Telnyx's REST API: what is sent to dial, and how its call objects are read. Pure.

Here too: the state that every command carries and every event echoes, by which a report finds its step.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, operations DialCall,
RetrieveCallStatus, ListConnectionActiveCalls, ListCallEvents), read 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from gateway.adapting import check_limits
from gateway.errors import ConfigurationError, ValidationError, WebhookRejected
from gateway.interface import (
    CallEvent,
    CallSnapshot,
    DialOutcome,
    DialRequest,
    DialResult,
    FoundCall,
    Range,
)
from gateway.status import CallFacts, CarrierWords, EndCause, EndReport
from gateway.wire import parse_json

NAME: Final = "telnyx"

# Source: OpenAPI document, schema CallRequest, fields timeout_secs and time_limit_secs. (The error page of 90029 says
# 60 to 14000; the document is newer.)
JOIN_TIMEOUT_S: Final = Range(low=5, high=600)
MAX_DURATION_S: Final = Range(low=30, high=14_400)

# An opaque token: "v3:" and URL-safe base64 today, older ones without the prefix, padded, or a UUID.
_CALL_CONTROL_ID = re.compile(r"(?:v[0-9]{1,2}:)?[A-Za-z0-9_-]{8,200}={0,2}", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?::[0-9]{1,5})?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)

# Delays between the tries of one webhook; at most five, at most 60 s in sum (schema CallRequest).
_RETRIES: Final = {"retries_ms": [1_000, 4_000, 10_000, 20_000, 25_000]}
_RETRIED_EVENTS: Final = ("call.initiated", "call.answered", "call.hangup")
_ANSWERING_EVENTS: Final = ("call.answered", "call.hangup")

# Greetings of half a minute are common; left to itself Telnyx stops listening for the end after 5 s.
_GREETING_ANALYSIS_MS: Final = 30_000

# What the gateway sets itself, by the carrier's own field names: `extra` must not change it.
_OURS: Final = frozenset(
    {
        *("connection_id", "to", "from", "command_id", "client_state", "webhook_url", "webhook_url_method"),
        *(
            "timeout_secs",
            "time_limit_secs",
            "retry_on_timeout",
            "webhook_urls",
            "answering_machine_detection",
        ),
        *("record", "record_channels", "record_format", "webhook_retries_policies"),
    }
)


# -- the state that commands carry and events echo --------------------------------------------------------------------


class Mark(StrEnum):
    """What kind of step the state belongs to: an event counts for a step only if it is of that kind."""

    DIAL = "dial"
    ANSWER = "answer"
    STREAM = "stream"
    STOP = "stop"  # an old stream is being ended: its "streaming.stopped" belongs to no step
    SAY = "say"
    MESSAGE = "message"
    FORWARD = "forward"
    LEG = "leg"  # the second leg that a forward makes


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of `client_state`. Tokens only: Telnyx shows it in its debugging tools, so no personal data."""

    mark: Mark
    attempt_token: str | None = field(default=None, repr=False)
    step_token: str | None = field(default=None, repr=False)

    def pack(self) -> str:
        """Return the base64 text to send, about 120 characters (the real maximum is unconfirmed)."""
        text = f"gw1:{self.mark}:{self.attempt_token or ''}:{self.step_token or ''}"
        return base64.b64encode(text.encode()).decode("ascii")


_STATE = re.compile(r"gw1:([a-z]{1,16}):([A-Za-z0-9_-]{0,128}):([A-Za-z0-9_-]{0,128})", re.ASCII)


def read_state(value: Any) -> State | None:
    """Return the state that an event echoes, or None when it is not one of ours. Never raises."""
    if not isinstance(value, str) or len(value) > 1_000:
        return None
    try:
        text = base64.b64decode(value.encode("ascii"), validate=True).decode("ascii")
        match = _STATE.fullmatch(text)
        mark = Mark(match[1]) if match else None
    except (binascii.Error, ValueError):
        return None
    if match is None or mark is None:
        return None
    return State(mark=mark, attempt_token=match[2] or None, step_token=match[3] or None)


# -- reading single values --------------------------------------------------------------------------------------------


def is_call_control_id(value: Any) -> bool:
    """True for a text that may stand in a command's URL (R91)."""
    return isinstance(value, str) and _CALL_CONTROL_ID.fullmatch(value) is not None


def is_uuid(value: Any) -> bool:
    """True for the canonical text form of a UUID: legs, sessions, recordings, events."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def leg_uuid(ids: Iterable[str]) -> str | None:
    """Return the `call_leg_id` among the ids of a leg, or None."""
    return next((ident for ident in ids if is_uuid(ident)), None)


def read_time(value: Any) -> datetime | None:
    """Return an ISO 8601 time as aware UTC (digits behind the microsecond are dropped), or None. Never raises."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        return datetime.fromisoformat(
            match[1] + (match[2] or "")[:7] + match[3].replace("Z", "+00:00")
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# -- dialing ----------------------------------------------------------------------------------------------------------


def check_dial(request: DialRequest, connection_id: str | None) -> None:
    """Refuse what Telnyx cannot take.

    Raises:
        ConfigurationError: no `connection_id`: nothing can be dialed. ValidationError: names the field and the range.
    """
    require_connection(connection_id)
    if request.trunk_ref is not None and _HOST.fullmatch(request.trunk_ref) is None:
        raise ValidationError("trunk", "give the SIP carrier's host, with a port if it is not 5060")
    check_limits(NAME, request, join_timeout_s=JOIN_TIMEOUT_S, max_duration_s=MAX_DURATION_S)
    taken = sorted(_OURS & request.extra.keys())
    if taken:
        raise ValidationError("extra", f"set by the gateway: {', '.join(taken)}")


def require_connection(connection_id: str | None) -> str:
    """Return the id of the Call Control application, or say how to add it."""
    if not connection_id:
        raise ConfigurationError(
            "telnyx: dialing needs the secret connection_id: the id of the Call Control application "
            "whose webhook URL is this credential's events URL (portal: Voice, Programmable Voice)"
        )
    return connection_id


def dial_params(request: DialRequest, connection_id: str) -> dict[str, Any]:
    """Return the arguments of the SDK's `calls.dial`; `from_` is the carrier's field `from`."""
    state = State(mark=Mark.DIAL, attempt_token=request.attempt_token)
    params: dict[str, Any] = {
        "connection_id": connection_id,
        "to": dialed_address(request.to, request.trunk_ref),
        "from_": request.caller_id,
        "timeout_secs": request.join_timeout_s,
        "retry_on_timeout": False,  # else further routes are tried and it rings longer than asked
        "time_limit_secs": request.max_duration_s,
        "command_id": request.command_id,  # a repeat is ignored for 60 s
        "client_state": state.pack(),
        "webhook_url": request.urls.events,
        "webhook_url_method": "POST",
        "webhook_retries_policies": retry_policies(_RETRIED_EVENTS),
    }
    if request.detect_machine:
        params |= _detection(request.await_greeting_end)
    if request.record:
        params |= {"record": "record-from-answer", "record_channels": "dual", "record_format": "mp3"}
    return params


def dialed_address(to: str, trunk_ref: str | None) -> str:
    """Return what Telnyx dials: the number, or its SIP address at another carrier's host.

    Whether a SIP address needs an outbound voice profile is unconfirmed.
    """
    return to if trunk_ref is None else f"sip:{to}@{trunk_ref}"


def answer_params(state: State) -> dict[str, Any]:
    """Return the fields of an `answer` command, without its command id."""
    return {"client_state": state.pack(), "webhook_retries_policies": retry_policies(_ANSWERING_EVENTS)}


def retry_policies(event_types: Iterable[str]) -> dict[str, Any]:
    """Return `webhook_retries_policies`: without it number and spacing of the tries are not documented."""
    return {event_type: dict(_RETRIES) for event_type in event_types}


def read_dial(body: bytes) -> DialOutcome:
    """Return the outcome of a dial that was answered with a success: accepted only with a well-formed id."""
    data = read_data(body)
    control_id, leg_id = data.get("call_control_id"), data.get("call_leg_id")
    if not is_call_control_id(control_id):
        return DialOutcome(result=DialResult.UNKNOWN, message="the answer names no call", http_status=200)
    others = (str(leg_id),) if is_uuid(leg_id) and leg_id != control_id else ()
    return DialOutcome(result=DialResult.ACCEPTED, leg_id=control_id, other_ids=others, http_status=200)


# -- asking -----------------------------------------------------------------------------------------------------------


def read_document(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer, or {} when it is none."""
    try:
        return parse_json(body)
    except WebhookRejected:
        return {}


def read_data(body: bytes) -> dict[str, Any]:
    """Return the object under `data`, or {}."""
    data = read_document(body).get("data")
    return data if isinstance(data, dict) else {}


def event_data(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the webhook inside an item of `/call_events`, or None when the item does not hold one.

    That `metadata.event` holds the webhook's `data` object is shown on a documentation page; the OpenAPI document
    leaves `metadata` open (unconfirmed).
    """
    metadata = item.get("metadata")
    event = metadata.get("event") if isinstance(metadata, dict) else None
    return event if isinstance(event, dict) and isinstance(event.get("payload"), dict) else None


def read_snapshot(status: Mapping[str, Any] | None, events: Iterable[CallEvent], leg_id: str) -> CallSnapshot:
    """Return what is known from a call's status (None: Telnyx does not know it any more) and its recorded events.

    A call that is not alive and has no end time yet is still being set up: it counts as neither live nor over.
    """
    told = tuple(reconciled(event) for event in events)
    has_ended = any(event.facts.ends for event in told)
    if status is None:
        return CallSnapshot(is_known=bool(told), is_live=False if has_ended else None, events=told)
    ended_at = read_time(status.get("end_time"))
    if status.get("is_alive") is True:
        return CallSnapshot(is_known=True, is_live=True, events=told)
    if ended_at is not None and not has_ended:
        told += (_unexplained_end(leg_id, ended_at, status),)
    is_over = ended_at is not None or has_ended
    return CallSnapshot(is_known=True, is_live=False if is_over else None, events=told)


def reconciled(event: CallEvent) -> CallEvent:
    """Return an event that we asked for: its end is marked, and it wants nothing."""
    ends = tuple(replace(end, reconciled=True) for end in event.facts.ends)
    return replace(event, facts=replace(event.facts, ends=ends), wants_instruction=False)


def read_active_call(item: Mapping[str, Any], attempt_token: str) -> FoundCall | None:
    """Return an item of `/connections/{id}/active_calls` when it carries the token, else None."""
    state = read_state(item.get("client_state"))
    control_id = item.get("call_control_id")
    if state is None or state.attempt_token != attempt_token or state.mark is Mark.LEG:
        return None
    return (
        _found(control_id, item.get("call_leg_id"), has_our_token=True)
        if is_call_control_id(control_id)
        else None
    )


def read_initiated_call(
    item: Mapping[str, Any], attempt_token: str, created_from: datetime, created_until: datetime
) -> FoundCall | None:
    """Return the call of a recorded `call.initiated` when it may be ours, else None.

    A state with another token proves that it is not. Without any state it may be ours when its time fits.
    """
    data = event_data(item) or {}
    payload = data.get("payload", {})
    state = read_state(payload.get("client_state"))
    created_at = read_time(data.get("occurred_at")) or read_time(item.get("event_timestamp"))
    leg_id = payload.get("call_leg_id") or item.get("call_leg_id")
    control_id = payload.get("call_control_id")
    ident = control_id if is_call_control_id(control_id) else leg_id
    is_ours = state is not None and state.attempt_token == attempt_token and state.mark is not Mark.LEG
    is_other = state is not None or payload.get("direction") == "incoming"
    in_window = created_at is not None and created_from <= created_at <= created_until
    if not is_call_control_id(ident) or not (is_ours or (not is_other and in_window)):
        return None
    return replace(_found(ident, leg_id, has_our_token=is_ours), created_at=created_at)


def _found(ident: Any, leg_id: Any, *, has_our_token: bool) -> FoundCall:
    others = (str(leg_id),) if is_uuid(leg_id) and leg_id != ident else ()
    return FoundCall(leg_id=str(ident), other_ids=others, has_our_token=has_our_token)


def _unexplained_end(leg_id: str, ended_at: datetime, status: Mapping[str, Any]) -> CallEvent:
    """The status says that it ended, and when, but never why."""
    end = EndReport(cause=EndCause.UNKNOWN, words=CarrierWords(status="ended"), reconciled=True)
    return CallEvent(
        provider=NAME,
        leg_id=leg_id,
        name="call status",
        facts=CallFacts(ended_at=ended_at, ends=(end,)),
        event_id=f"status:{leg_id}:ended",
        occurred_at=ended_at,
        raw=dict(status),
    )


def _detection(await_greeting_end: bool) -> dict[str, Any]:
    """Only `premium` hears a fax, only `greeting_end` tells when a greeting is over. Both run beside the call."""
    if not await_greeting_end:
        return {"answering_machine_detection": "premium"}
    return {
        "answering_machine_detection": "greeting_end",
        "answering_machine_detection_config": {"greeting_total_analysis_time_millis": _GREETING_ANALYSIS_MS},
    }


# -- command ids ------------------------------------------------------------------------------------------------------

_COMMANDS: Final = uuid.UUID("8f1d3c52-6c0e-5a8b-9d4f-2b7e61a0c9d3")


def command_id(step_token: str, name: str) -> str:
    """Return the id of one command of one step: the same each time, so that doing it twice does it once (60 s)."""
    return str(uuid.uuid5(_COMMANDS, f"{step_token}:{name}"))
