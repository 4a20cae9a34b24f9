"""What the gateway knows, as JSON documents: what `--json` prints and what the public API answers. Pure.

Field names are those of the models and of the public API; times are ISO 8601 in UTC with milliseconds, amounts are
decimal text. No document holds a secret, a token or a raw report of a carrier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from gateway.byoc import AvailableNumber, Difference
from gateway.instructions import (
    FallbackStep,
    Forward,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.interface import AccountInfo
from gateway.models import (
    Agent,
    Analysis,
    AnalysisSummary,
    Assignment,
    Attempt,
    Call,
    CallSettings,
    Credential,
    EventRecord,
    Number,
    Operation,
    OperationResult,
    SipLink,
    WebhookEndpoint,
)
from gateway.status import CallStatus, CarrierWords, EndReason, Recording
from gateway.transport.redaction import redact_url

_LONGEST_TEXT: Final = 500
_CARRIER_WORDS: Final = tuple(each.name for each in fields(CarrierWords))


def call_document(
    call: Call, analysis: AnalysisSummary | None = None, *, recording_url: str | None = None
) -> dict[str, Any]:
    """Return the call object of the public API.

    Args:
        analysis: what the call engine handed in about the call, if anything.
        recording_url: where its recording can be heard, when there is one and the reader may know.
    """
    answered_by = call.facts.answered_by
    return {
        "id": call.id,
        "agent_id": call.agent_id,
        "phone_number": call.phone_number,
        "from_number": call.from_number,
        "to": call.to,
        "direction": call.direction.value,
        "status": call.status.value,
        "provider": call.provider,
        "started_at": time_text(call.started_at),
        "ended_at": time_text(call.ended_at),
        "duration_seconds": call.duration_seconds,
        "answered_by": None if answered_by is None else answered_by.value,
        "cost_usd": _cost_usd(call),
        "cost": _cost(call),
        "summary": (analysis.summary or None) if analysis else None,
        "outcome": (analysis.outcome or None) if analysis else None,
        "has_transcript": analysis is not None and analysis.has_transcript,
        "recording": _recording(call.recording),
        "recording_url": recording_url,
        "context": dict(call.context),
        "variables": dict(call.variables),
        "call_settings": dict(_settings(call.settings)),
        "failure_reason": _failure_reason(call),
        "end_reason": _end_reason(call.end_reason),
        "created_at": time_text(call.created_at),
        "updated_at": time_text(call.updated_at),
    }


def transcript_document(analysis: Analysis) -> dict[str, Any]:
    """Return what was said in a call, in the order in which it was handed in, and its summary."""
    lines = [
        {"speaker": str(line.speaker), "text": line.text, "timestamp": line.timestamp_s}
        for line in analysis.transcript
    ]
    return {"transcript": lines, "summary": analysis.summary or None}


def timeline_document(
    call: Call, events: Iterable[EventRecord], attempts: Iterable[Attempt]
) -> dict[str, Any]:
    """Return the call object with its `events` and its dial `attempts`."""
    return {
        **call_document(call),
        "events": [event_document(event) for event in events],
        "attempts": [attempt_document(attempt) for attempt in attempts],
    }


def event_document(event: EventRecord) -> dict[str, Any]:
    """Return one event of a call: what was reported, by whom, when, and what became of it."""
    return {
        "id": event.id,
        "call_id": event.call_id,
        "name": event.name,
        "source": event.source,
        "provider": event.provider or None,
        "occurred_at": time_text(event.occurred_at),
        "received_at": time_text(event.received_at),
        "outcome": event.outcome.value,
        "detail": event.detail,
        "status_after": None if event.status_after is None else event.status_after.value,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    """Return one dial request and where it stands."""
    return {
        "id": attempt.id,
        "number": attempt.number,
        "state": attempt.state.value,
        "to": attempt.to,
        "from_number": attempt.from_number,
        "message": attempt.message,
        "vendor_code": attempt.vendor_code,
        "http_status": attempt.http_status,
        "looks": attempt.looks,
        "next_look_at": time_text(attempt.next_look_at),
        "created_at": time_text(attempt.created_at),
        "settled_at": time_text(attempt.settled_at),
    }


def credential_document(credential: Credential, webhooks: Mapping[str, str] | None) -> dict[str, Any]:
    """Return an account without its secrets; `webhooks` is None while no public URL is configured."""
    return {
        "id": credential.id,
        "provider": credential.provider,
        "name": credential.name,
        "account_ref": credential.account_ref,
        "key": credential.key,
        "webhooks": None if webhooks is None else dict(webhooks),
        "exclusive": credential.exclusive,
        "application_ref": credential.application_ref,
        "created_at": time_text(credential.created_at),
    }


def account_document(account: AccountInfo) -> dict[str, Any]:
    """Return what the carrier says about an account."""
    return asdict(account)


def number_document(number: Number, assignments: Sequence[Assignment]) -> dict[str, Any]:
    """Return a number with whom it serves; assignments of other numbers are left out."""
    return {
        "id": number.id,
        "e164": number.e164,
        "country": number.country,
        "area_code": number.area_code,
        "credential_id": number.credential_id,
        "provider": number.provider,
        "assignments": [
            {"agent_id": each.agent_id, "direction": each.direction.value}
            for each in assignments
            if each.number_id == number.id
        ],
        "kind": number.kind.value,
        "setup_state": number.setup_state.value,
        "pointed_at": number.pointed_at,
        "is_drifted": number.is_drifted,
        "checked_at": time_text(number.checked_at),
        "last_used_at": time_text(number.last_used_at),
        "created_at": time_text(number.created_at),
    }


def found_document(
    number: Number, assignments: Sequence[Assignment], differences: Sequence[Difference], error: str = ""
) -> dict[str, Any]:
    """Return a number with what is not as we set it at its carrier; `error`: why it could not be looked at."""
    return {
        **number_document(number, assignments),
        "ok": not differences and not error,
        "drift": [drift_document(each) for each in differences],
        "error": error or None,
    }


def operation_document(
    operation: Operation, results: Sequence[tuple[int, OperationResult]] | None = None
) -> dict[str, Any]:
    """Return how far long work is, and what it did, where `results` are given."""
    shown: dict[str, Any] = {
        "id": operation.id,
        "kind": operation.kind.value,
        "state": operation.state.value,
        "done": operation.done,
        "total": operation.total,
        "error": operation.last_error,
        "created_at": time_text(operation.created_at),
        "updated_at": time_text(operation.updated_at),
        "finished_at": time_text(operation.finished_at),
    }
    if results is not None:
        shown["results"] = [
            {"position": position, "number": each.subject, "verdict": each.verdict, "detail": each.detail}
            for position, each in results
        ]
    return shown


def available_document(number: AvailableNumber) -> dict[str, Any]:
    """Return a number that can be bought; prices are decimal text."""
    prices = {name: getattr(number, name) for name in ("monthly_price", "setup_price")}
    return {
        **{name: value for name, value in asdict(number).items() if name not in prices},
        **{name: None if price is None else format(price, "f") for name, price in prices.items()},
    }


def sip_document(
    link: SipLink, numbers: Sequence[Number], instructions: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return a link to a SIP carrier and what is entered there; the ids at the account stay inside."""
    return {
        "id": link.id,
        "name": link.name,
        "credential_id": link.credential_id,
        "numbers": [number.e164 for number in numbers],
        "carrier_host": link.carrier_host,
        "carrier_ips": list(link.carrier_ips),
        "username": link.username,
        "instructions": [{"label": label, "value": value} for label, value in instructions],
        "created_at": time_text(link.created_at),
    }


def drift_document(difference: Difference) -> dict[str, str]:
    """Return one setting at the carrier that is not ours; the ids in a URL of it are hidden, and long texts are cut."""
    return {
        "place": difference.place.value,
        "setting": difference.setting[:_LONGEST_TEXT],
        "wanted": _setting_text(difference.wanted),
        "found": _setting_text(difference.found),
        "advice": difference.advice[:_LONGEST_TEXT],
    }


def _setting_text(value: str) -> str:
    """A webhook's path holds the unguessable id of its account."""
    return (redact_url(value) if "://" in value else value)[:_LONGEST_TEXT]


def agent_document(agent: Agent) -> dict[str, Any]:
    """Return an agent. An agent that connects by a function shows the kind "function"."""
    connect = agent.connect
    return {
        "id": agent.id,
        "name": agent.name,
        "connect": step_document(connect)
        if isinstance(connect, Stream | Sip | Forward)
        else {"kind": "function"},
        "settings": plain(agent.settings.as_dict()),
        "fallback": [step_document(step) for step in agent.fallback],
        "max_concurrent_calls": agent.max_concurrent_calls,
        "caller_id_strategy": agent.caller_id_strategy.value,
    }


def endpoint_document(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return a webhook endpoint without its secrets."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "include_numbers": endpoint.include_numbers,
        "is_enabled": endpoint.is_enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": time_text(endpoint.failing_since),
        "created_at": time_text(endpoint.created_at),
        "updated_at": time_text(endpoint.updated_at),
    }


_KINDS: Final[Mapping[type[Any], str]] = {
    Stream: "stream",
    Sip: "sip",
    Forward: "forward",
    NextAgent: "agent",
    Say: "say",
    TakeMessage: "message",
    Reject: "reject",
}


def step_document(step: FallbackStep) -> dict[str, Any]:
    """Return a connection or a step of a fallback chain: its `kind` and its fields."""
    return {"kind": _KINDS[type(step)], **plain(_fields(step))}


def _fields(step: FallbackStep) -> dict[str, Any]:
    names = type(step).__dataclass_fields__
    return {name: getattr(step, name) for name in names if getattr(step, name) not in (None, {})}


def time_text(value: datetime | None) -> str | None:
    """Return a time as the public API writes it, "2026-03-01T12:00:00.123Z", or None."""
    if value is None:
        return None
    instant = value if value.tzinfo is UTC else value.astimezone(UTC)
    return instant.isoformat(timespec="milliseconds")[:-6] + "Z"


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types: words of closed sets as text, mappings as objects."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


@lru_cache(maxsize=512)
def _settings(settings: CallSettings) -> Mapping[str, Any]:
    """Most calls of an agent have the same ones."""
    found: dict[str, Any] = plain(settings.as_dict())
    return found


def _cost(call: Call) -> dict[str, str] | None:
    if call.cost is None:
        return None
    return {"amount": format(call.cost.amount, "f"), "currency": call.cost.currency}


def _cost_usd(call: Call) -> float | None:
    """The cost as a number, only where the carrier charges in US dollars: nothing is converted."""
    return float(call.cost.amount) if call.cost is not None and call.cost.currency == "USD" else None


def _failure_reason(call: Call) -> str | None:
    """Why a failed call failed: the carrier's own words where it had any, else the word of our closed set."""
    if call.status is not CallStatus.FAILED or call.end_reason is None:
        return None
    return call.end_reason.carrier.text or call.end_reason.why.value


def _recording(recording: Recording | None) -> dict[str, Any] | None:
    """The carrier's own address of the recording stays inside: `Gateway.fetch_recording` streams it."""
    if recording is None:
        return None
    return {
        "ref": recording.ref,
        "duration_seconds": recording.duration_s,
        "channels": recording.channels,
        "is_message": recording.is_message,
    }


def _end_reason(reason: EndReason | None) -> dict[str, Any] | None:
    if reason is None:
        return None
    return {
        "who": reason.who.value,
        "why": reason.why.value,
        "retry": reason.retry.value,
        "carrier": {name: word for name in _CARRIER_WORDS if (word := getattr(reason.carrier, name))},
        "reconciled": reason.reconciled,
        "contradictory": reason.contradictory,
    }
