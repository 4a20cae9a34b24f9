"""Plivo's resources as JSON: calls (finished, live, queued), streams, recordings, numbers, applications, the account.

Source: Plivo's API reference (plivo.com/docs, read 2026). Field names are Plivo's; the rates, cities and dates are
invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from providers.simulator.carriers.plivo.calls import (
    Habits,
    PlivoCall,
    Recording,
    StreamRecord,
    money,
    utc_text,
)
from providers.simulator.carriers.plivo.endings import Ending
from providers.simulator.carriers.plivo.rest import PAGE

Json = dict[str, Any]

UPDATABLE: Final = ("alias", "cnam_lookup", "cnam", "caller_reputation")


@dataclass(slots=True, kw_only=True, eq=False)
class Application:
    """What a number points at: the addresses its calls are asked with. `app_id` is digits."""

    app_id: str
    app_name: str
    answer_url: str
    answer_method: str = "POST"
    hangup_url: str | None = None
    hangup_method: str = "POST"
    fallback_answer_url: str = ""
    fallback_method: str = "POST"
    message_url: str = ""
    message_method: str = "POST"
    default_number_app: bool = False
    default_endpoint_app: bool = False
    log_incoming_messages: bool = True
    public_uri: bool = False
    subaccount: str = ""
    sip_auth_type: str = ""
    ip_acl_uuid: str = ""
    credential_uuid: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class HeldNumber:
    """A number the account rents; `app_id` empty: linked to nothing."""

    number: str
    app_id: str = ""
    alias: str = ""
    sub_account: str = ""
    cnam_lookup: str = "disabled"
    cnam: str = ""
    caller_reputation: str = ""


def cdr(call: PlivoCall, ending: Ending, base: str, habits: Habits) -> Json:
    """A finished call. `answer_time` is null when nobody answered; `call_state` is unconfirmed but for ANSWER."""
    zone = timezone(timedelta(hours=habits.timezone_offset_hours))
    outbound = call.is_outbound
    return {
        "answer_time": _zoned(call.leg.answered_at, zone),
        "bill_duration": call.bill_s,
        "billed_duration": call.billed_s,
        "call_direction": str(call.leg.direction),
        "call_duration": call.bill_s,
        "call_state": "ANSWER" if call.leg.is_answered else ending.cause,
        "call_uuid": call.uuid,
        "cnam_lookup": None,
        "conference_uuid": None,
        "end_time": _zoned(call.leg.ended_at, zone),
        "from_number": "+" + call.from_ if call.from_.isdigit() else call.from_,
        "hangup_cause_code": ending.code,
        "hangup_cause_name": ending.name,
        "hangup_source": str(ending.source),
        "initiation_time": _zoned(call.leg.created_at, zone),
        "parent_call_uuid": call.parent_call_uuid,
        "resource_uri": f"{base}Call/{call.uuid}/",
        "source_ip": None,
        "stir_attestation": "",
        "stir_verification": "Not Applicable",
        "to_number": call.to if outbound or not call.to.isdigit() else "+" + call.to,
        "total_amount": money(call.cost),
        "total_rate": money(call.rate),
        "voice_network_group": None,
    }


def live_call(call: PlivoCall) -> Json:
    """A call that rings or talks."""
    return {
        **_open_call(call, call.status),
        "session_start": utc_text(call.leg.dialed_at or call.leg.created_at),
        "stir_verification": "Not Applicable",
        "stir_attestation": "",
        "parent_call_uuid": call.parent_call_uuid,
    }


def queued_call(call: PlivoCall) -> Json:
    """A call that was accepted and waits for the calls-per-second limit."""
    return _open_call(call, "queued")


def _open_call(call: PlivoCall, status: str) -> Json:
    return {
        "call_uuid": call.uuid,
        "request_uuid": call.request_uuid,
        "call_status": status,
        "direction": str(call.leg.direction),
        "from": call.from_,
        "to": call.to,
        "caller_name": call.caller_name,
    }


def stream(record: StreamRecord, call_uuid: str) -> Json:
    """A media stream; what a stream costs is not simulated."""
    return {
        "stream_id": record.stream_id,
        "call_uuid": call_uuid,
        "service_url": record.service_url,
        "audio_track": record.audio_track,
        "bidirectional": record.bidirectional,
        "content_type": record.content_type,
        "status": record.status,
        "status_callback_url": record.callback.url if record.callback else None,
        "start_time": _zoned(record.start_time, UTC),
        "end_time": _zoned(record.end_time, UTC),
        "bill_duration": 0,
        "rounded_bill_duration": 0,
        "billed_amount": "0.00000",
    }


def recording(record: Recording, url: str, base: str) -> Json:
    """A finished recording; durations are text with five decimals."""
    ended = record.ended_at or record.started_at
    return {
        "add_time": _zoned(ended, UTC),
        "call_uuid": record.call_uuid,
        "conference_name": None,
        "from_number": record.from_number,
        "to_number": record.to_number,
        "monthly_recording_storage_amount": "0.00000",
        "recording_duration_ms": f"{record.duration_s * 1000:.5f}",
        "recording_end_ms": f"{ended.timestamp() * 1000:.5f}",
        "recording_format": record.file_format,
        "recording_id": record.recording_id,
        "recording_start_ms": f"{record.started_at.timestamp() * 1000:.5f}",
        "recording_storage_duration": "0",
        "recording_storage_rate": "0.00040",
        "recording_type": "normal",
        "recording_url": url,
        "resource_uri": f"{base}Recording/{record.recording_id}/",
        "rounded_recording_duration": str(-(-round(record.duration_s) // 60) * 60),
    }


def number(held: HeldNumber, base: str) -> Json:
    """A rented number; `application` is an address or null."""
    return {
        "active": True,
        "added_on": "2025-01-15",
        "alias": held.alias,
        "application": f"{base}Application/{held.app_id}/" if held.app_id else None,
        "caller_reputation_status": held.caller_reputation or None,
        "carrier": "Plivo",
        "city": "",
        "cnam": held.cnam,
        "cnam_lookup": held.cnam_lookup,
        "compliance_application_id": None,
        "compliance_status": None,
        "country": "United States" if held.number.startswith("1") else "",
        "mms_enabled": False,
        "monthly_rental_rate": "0.80000",
        "number": held.number,
        "number_type": "local",
        "profile_uuid": None,
        "region": "",
        "renewal_date": "2030-01-15",
        "resource_uri": f"{base}Number/{held.number}/",
        "sms_enabled": False,
        "sub_account": held.sub_account or None,
        "voice_enabled": True,
        "voice_rate": "0.00550",
    }


def application(app: Application, base: str) -> Json:
    """An application. An unset `hangup_url` reads as the answer address, which is where its event goes."""
    return {
        "answer_method": app.answer_method,
        "answer_url": app.answer_url,
        "app_id": app.app_id,
        "app_name": app.app_name,
        "credential_uuid": app.credential_uuid,
        "default_app": app.default_number_app,
        "default_endpoint_app": app.default_endpoint_app,
        "enabled": True,
        "fallback_answer_url": app.fallback_answer_url,
        "fallback_method": app.fallback_method,
        "hangup_method": app.hangup_method,
        "hangup_url": app.hangup_url or app.answer_url,
        "ip_acl_uuid": app.ip_acl_uuid,
        "log_incoming_messages": app.log_incoming_messages,
        "message_method": app.message_method,
        "message_url": app.message_url,
        "public_uri": app.public_uri,
        "resource_uri": f"{base}Application/{app.app_id}/",
        "sip_auth_type": app.sip_auth_type,
        "sip_uri": f"sip:{app.app_id}@app.plivo.com",
        "sub_account": app.subaccount or None,
    }


def account(auth_id: str, name: str, base: str, habits: Habits) -> Json:
    """The account: the credentials check. In `Etc/GMT+8` the sign is the other way round: UTC-8."""
    hours = habits.timezone_offset_hours
    return {
        "account_type": "standard",
        "address": "",
        "auth_id": auth_id,
        "auto_recharge": False,
        "billing_mode": "prepaid",
        "cash_credits": "25.00000",
        "city": "",
        "name": name,
        "resource_uri": base,
        "state": "",
        "timezone": "UTC" if hours == 0 else f"Etc/GMT{-hours:+d}",
    }


def page(rows: Sequence[Json], query: Mapping[str, str], path: str) -> Json:
    """One page of a list with its `meta`: at most 20 rows; `next` and `previous` are relative addresses."""
    limit, offset = int(query.get("limit", PAGE)), int(query.get("offset", 0))
    kept = {name: value for name, value in query.items() if name not in ("limit", "offset")}

    def link(start: int) -> str:
        return f"{path}?{urlencode({'limit': limit, 'offset': start, **kept})}"

    meta = {
        "limit": limit,
        "offset": offset,
        "next": link(offset + limit) if offset + limit < len(rows) else None,
        "previous": link(max(0, offset - limit)) if offset else None,
        "total_count": len(rows),
    }
    return {"meta": meta, "objects": list(rows[offset : offset + limit])}


def _zoned(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")
