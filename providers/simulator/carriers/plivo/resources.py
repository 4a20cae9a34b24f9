"""Plivo's resources as JSON: calls (finished, live, queued), streams, recordings, numbers, applications, accounts.

Source: Plivo's API reference (plivo.com/docs, read 2026). Field names are Plivo's; the rates, cities and dates are
invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from providers.simulator.carriers.base import Offer
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

if TYPE_CHECKING:
    from providers.simulator.carriers.plivo.accounts import CallerId, PlivoAccount

Json = dict[str, Any]
Item = TypeVar("Item")

COUNTRIES: Final = {
    "AU": "Australia",
    "BR": "Brazil",
    "CA": "Canada",
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "IN": "India",
    "US": "United States",
}  # the others are shown by their code
KINDS: Final = {"toll_free": "tollfree"}  # of an offer, in Plivo's words


@dataclass(slots=True, kw_only=True, eq=False)
class Application:
    """What a number points at: the addresses its calls are asked with. `app_id` is digits.

    The console can switch one off: `enabled`.
    """

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
    enabled: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class HeldNumber:
    """A number the account rents, or brings from its own `carrier`.

    `app_id`: an application or an inbound trunk; empty: linked to nothing. `country`: ISO code.
    """

    number: str
    app_id: str = ""
    alias: str = ""
    sub_account: str = ""
    cnam_lookup: str = "disabled"
    cnam: str = ""
    caller_reputation: str = ""
    number_type: str = "local"
    country: str = "US"
    region: str = ""
    city: str = ""
    carrier: str = "Plivo"
    active: bool = True
    voice_enabled: bool = True
    sms_enabled: bool = False
    monthly_rental_rate: str = "0.80000"
    compliance_application_id: str | None = None
    compliance_status: str | None = None


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


def number(held: HeldNumber, base: str, *, is_trunk: bool = False) -> Json:
    """A rented number; `application` is the address of an application or a trunk, or null."""
    target = f"Zentrunk/Trunk/{held.app_id}" if is_trunk else f"Application/{held.app_id}"
    return {
        "active": held.active,
        "added_on": "2025-01-15",
        "alias": held.alias,
        "application": f"{base}{target}/" if held.app_id else None,
        "caller_reputation_status": held.caller_reputation or None,
        "carrier": held.carrier,
        "city": held.city,
        "cnam": held.cnam,
        "cnam_lookup": held.cnam_lookup,
        "compliance_application_id": held.compliance_application_id,
        "compliance_status": held.compliance_status,
        "country": COUNTRIES.get(held.country, held.country),
        "mms_enabled": False,
        "monthly_rental_rate": held.monthly_rental_rate,
        "number": held.number,
        "number_type": held.number_type,
        "profile_uuid": None,
        "region": held.region,
        "renewal_date": "2030-01-15",
        "resource_uri": f"{base}Number/{held.number}/",
        "sms_enabled": held.sms_enabled,
        "sub_account": held.sub_account or None,
        "voice_enabled": held.voice_enabled,
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
        "enabled": app.enabled,
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


def account(owner: PlivoAccount, base: str, habits: Habits) -> Json:
    """The account: the credentials check. In `Etc/GMT+8` the sign is the other way round: UTC-8."""
    hours = habits.timezone_offset_hours
    return {
        "account_type": "developer" if owner.root.is_trial else "standard",
        "address": "",
        "auth_id": owner.auth_id,
        "auto_recharge": False,
        "billing_mode": "prepaid",
        "cash_credits": owner.root.balance,
        "city": "",
        "name": owner.account.name,
        "resource_uri": base,
        "state": "",
        "timezone": "UTC" if hours == 0 else f"Etc/GMT{-hours:+d}",
        **owner.profile,
    }


def subaccount(owner: PlivoAccount, base: str) -> Json:
    """A subaccount, as its parent sees it: with its token, in clear."""
    return {
        "account": base,
        "auth_id": owner.auth_id,
        "auth_token": owner.tokens[0],
        "created": owner.opened_at.date().isoformat(),
        "enabled": owner.is_enabled,
        "modified": None,
        "name": owner.account.name,
        "new_auth_token": owner.tokens[-1],
        "resource_uri": f"{base}Subaccount/{owner.auth_id}/",
    }


def caller_id(known: CallerId) -> Json:
    """A verified caller ID."""
    return {
        "alias": known.alias,
        "country": known.country,
        "created_at": _zoned(known.verified_at, UTC),
        "modified_at": _zoned(known.changed_at or known.verified_at, UTC),
        "phone_number": known.number,
        "subaccount": known.sub_account,
        "verification_uuid": known.verification_uuid,
    }


def offered(offer: Offer, base: str) -> Json:
    """A number that can be rented."""
    digits = offer.number.removeprefix("+")
    return {
        "city": (offer.locality or "").upper() or None,
        "compliance_requirement": None,
        "country": COUNTRIES.get(offer.country, offer.country).upper(),
        "lata": None,
        "mms_enabled": False,
        "monthly_rental_rate": five(offer.monthly),
        "number": digits,
        "prefix": digits[1:4] if digits.startswith("1") else digits[2:5],
        "rate_center": (offer.locality or "").upper() or None,
        "region": offer.region,
        "resource_uri": f"{base}PhoneNumber/{digits}/",
        "restriction": "city-address" if offer.needs_address else None,
        "restriction_text": "An address in the city is needed." if offer.needs_address else None,
        "setup_rate": five(offer.setup),
        "sms_enabled": offer.sms,
        "sub_type": offer.kind,
        "type": KINDS.get(offer.kind, offer.kind),
        "voice_enabled": offer.voice,
        "voice_rate": "0.00550",
    }


def five(amount: str) -> str:
    """An amount with Plivo's five decimals."""
    return f"{Decimal(amount):.5f}"


def page(rows: Sequence[Item], show: Callable[[Item], Json], query: Mapping[str, str], path: str) -> Json:
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
    return {"meta": meta, "objects": [show(row) for row in rows[offset : offset + limit]]}


def _zoned(moment: datetime | None, zone: tzinfo) -> str | None:
    return None if moment is None else moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")
