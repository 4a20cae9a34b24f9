"""Telnyx webhooks: the envelope of version 2 (and of version 1) and the payload of each event of a call.

Source: the webhook section of the vendor's OpenAPI document (2026-07) and its documentation pages; event values that
no source gives are invented here and say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

Payload = dict[str, Any]

USER_AGENT: Final = "telnyx-webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegView:
    """What every payload says of its leg."""

    call_control_id: str
    call_leg_id: str
    call_session_id: str
    connection_id: str
    client_state: str | None
    from_: str
    to: str
    direction: str
    start_time: datetime


def microseconds(moment: datetime) -> str:
    """Print a time as webhooks do: ISO 8601 UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# --- envelope ----------------------------------------


def event(event_type: str, payload: Payload, *, event_id: str, occurred_at: datetime) -> Payload:
    """Make the `data` object: one event, the same in every attempt to deliver it."""
    return {
        "record_type": "event",
        "event_type": event_type,
        "id": event_id,
        "occurred_at": microseconds(occurred_at),
        "payload": payload,
    }


def body(data: Payload, *, attempt: int, url: str, api_version: str = "2") -> bytes:
    """Make what is sent, and signed: the bytes of one attempt."""
    document = v1_document(data) if api_version == "1" else v2_document(data, attempt=attempt, url=url)
    return json.dumps(document, separators=(",", ":")).encode("utf-8")


def v2_document(data: Payload, *, attempt: int, url: str) -> Payload:
    """Wrap an event as version 2 does."""
    return {"data": data, "meta": {"attempt": attempt, "delivered_to": url}}


def v1_document(data: Payload) -> Payload:
    """Wrap an event as version 1 does: no `data`, no `meta`, underscores in the type."""
    return {
        "record_type": "event",
        "event_type": data["event_type"].replace(".", "_"),
        "id": data["id"],
        "created_at": data["occurred_at"],
        "payload": data["payload"],
    }


# --- payloads ----------------------------------------


def ids(leg: LegView) -> Payload:
    """Make the fields that even media events have."""
    return {
        "call_control_id": leg.call_control_id,
        "call_leg_id": leg.call_leg_id,
        "call_session_id": leg.call_session_id,
        "client_state": leg.client_state,
        "connection_id": leg.connection_id,
    }


def common(leg: LegView) -> Payload:
    """Make the fields of every event of the call itself."""
    return {**ids(leg), "from": leg.from_, "to": leg.to}


def initiated(leg: LegView, *, headers: list[dict[str, str]], caller_name: str, stir: Payload) -> Payload:
    """`call.initiated`: inbound legs are parked, dialed ones bridging."""
    return {
        **common(leg),
        "direction": leg.direction,
        "state": "parked" if leg.direction == "incoming" else "bridging",
        "start_time": microseconds(leg.start_time),
        "caller_id_name": caller_name,
        "connection_codecs": "G722,PCMU,PCMA",
        "offered_codecs": "PCMU",
        "custom_headers": headers,
        **stir,
    }


def stir(attestation: str | None) -> Payload:
    """Make the STIR/SHAKEN fields of an inbound call; none unless the application asks for them."""
    if attestation is None:
        return {}
    return {"shaken_stir_attestation": attestation, "shaken_stir_validated": True}


def answered(leg: LegView, *, stream: Mapping[str, Any]) -> Payload:
    """`call.answered`, with the stream's address when streaming was asked."""
    payload = {**common(leg), "state": "answered", "start_time": microseconds(leg.start_time)}
    if stream.get("stream_url"):
        payload["stream_url"] = stream["stream_url"]
        payload["stream_track"] = stream.get("stream_track", "inbound_track")
    return payload


def bridged(leg: LegView) -> Payload:
    """`call.bridged`: sent for both legs."""
    return common(leg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a leg ended, in the carrier's words."""

    cause: str
    source: str
    sip: str


QUALITY: Final = {
    "inbound": {
        "jitter_max_variance": "2.62",
        "jitter_packet_count": "0",
        "mos": "4.50",
        "packet_count": "1421",
        "skip_packet_count": "10",
    },
    "outbound": {"packet_count": "1410", "skip_packet_count": "8"},
}


def hangup(leg: LegView, ending: Ending, *, ended_at: datetime, had_audio: bool) -> Payload:
    """`call.hangup`; `start_time` is that of the leg, not of the answer."""
    return {
        **common(leg),
        "state": "hangup",
        "start_time": microseconds(leg.start_time),
        "end_time": microseconds(ended_at),
        "hangup_cause": ending.cause,
        "hangup_source": ending.source,
        "sip_hangup_cause": ending.sip,
        **({"call_quality_stats": QUALITY} if had_audio else {}),
    }


def machine(leg: LegView, result: str) -> Payload:
    """Every answering machine event: the ids and a `result`."""
    return {**common(leg), "result": result}


def dtmf(leg: LegView, digit: str) -> Payload:
    """`call.dtmf.received`: one key. Whether it comes outside gather is unconfirmed; it does here."""
    return {**common(leg), "digit": digit}


def speak_started(leg: LegView) -> Payload:
    """`call.speak.started`."""
    return ids(leg)


def speak_ended(leg: LegView, status: str) -> Payload:
    """`call.speak.ended`: completed, call_hangup or cancelled_amd."""
    return {**ids(leg), "status": status}


def playback_started(leg: LegView, sound: Mapping[str, Any]) -> Payload:
    """`call.playback.started`."""
    return {**ids(leg), **_sound(sound)}


def playback_ended(leg: LegView, sound: Mapping[str, Any], status: str, detail: str) -> Payload:
    """`call.playback.ended`."""
    return {**ids(leg), **_sound(sound), "status": status, "status_detail": detail}


def _sound(sound: Mapping[str, Any]) -> Payload:
    named = {"media_url": sound.get("audio_url"), "media_name": sound.get("media_name")}
    return {
        "overlay": bool(sound.get("overlay", False)),
        **{name: value for name, value in named.items() if value is not None},
    }


def recording_saved(
    leg: LegView,
    *,
    recording_id: str,
    channels: str,
    file_format: str,
    url: str,
    started_at: datetime,
    ended_at: datetime,
) -> Payload:
    """`call.recording.saved`: links live ten minutes. `from` and `to` are absent."""
    start, end = microseconds(started_at), microseconds(ended_at)
    return {
        **ids(leg),
        "recording_id": recording_id,
        "channels": channels,
        "format": file_format,
        "recording_started_at": start,
        "recording_ended_at": end,
        "start_time": start,
        "end_time": end,
        "recording_urls": {file_format: url},
        "public_recording_urls": {},
    }


def streaming(leg: LegView, stream_url: str) -> Payload:
    """`streaming.started` and `streaming.stopped` (no `call.` before these names)."""
    return {**ids(leg), "stream_url": stream_url}


def streaming_failed(leg: LegView, *, stream_id: str, stream_url: str, track: str, reason: str) -> Payload:
    """`streaming.failed`."""
    return {
        **ids(leg),
        "failure_reason": reason,
        "stream_id": stream_id,
        "stream_params": {"stream_url": stream_url, "track": track},
        "stream_type": "websocket",
    }


# Invented price of a minute of each part; the carrier's own prices depend on the destination.
RATE_PER_MINUTE: Final = {"sip-trunking": Decimal("0.0070"), "call-control": Decimal("0.0020")}


def cost(leg: LegView, *, billed_s: int, occurred_at: datetime) -> Payload:
    """`call.cost`: decimal strings; whole minutes are billed here (an assumption)."""
    minutes = -(-billed_s // 60)
    parts = [
        {
            "call_part": part,
            "billed_duration_secs": minutes * 60,
            "cost": str(rate * minutes),
            "currency": "USD",
            "rate": str(rate),
        }
        for part, rate in RATE_PER_MINUTE.items()
    ]
    return {
        **ids(leg),
        "occurred_at": microseconds(occurred_at),
        "status": "success",
        "total_cost": str(sum(RATE_PER_MINUTE.values()) * minutes),
        "billed_duration_secs": minutes * 60,
        "billing_group_id": None,
        "cost_parts": parts,
    }
