"""Twilio's REST resources as JSON. Source: the schemas of Twilio's OpenAPI file: these fields and no others.

The SDK refuses a list with an unknown top-level key, so pages have exactly the documented ones.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import phonenumbers

from providers.simulator.api import ApiRequest
from providers.simulator.carriers.base import Offer
from providers.simulator.carriers.twilio.checks import Refusal
from providers.simulator.carriers.twilio.model import (
    API_VERSION,
    CallerId,
    Notification,
    Recording,
    TwilioAccount,
    TwilioCall,
    TwilioNumber,
)
from providers.simulator.carriers.twilio.webhooks import rfc2822, whole_seconds
from providers.simulator.journal import Entry

T = TypeVar("T")

CALL_PARTS = (
    "notifications",
    "recordings",
    "events",
    "streams",
    "payments",
    "siprec",
    "transcriptions",
    "user_defined_messages",
    "user_defined_message_subscriptions",
)
KINDS = {
    "Local": "local",
    "Mobile": "mobile",
    "TollFree": "toll_free",
    "National": "national",
    "SharedCost": "shared_cost",
    "Voip": "voip",
    "MachineToMachine": "machine_to_machine",
}
"""Twilio's word in paths -> ours in `Offer.kind`."""
COUNTRY_NAMES = {
    "AU": "Australia",
    "CA": "Canada",
    "DE": "Germany",
    "FR": "France",
    "GB": "United Kingdom",
    "IN": "India",
    "US": "United States",
}  # of the others the name is null
DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
SAMPLE_RATE = 8000
MP3_FRAME = bytes([0xFF, 0xFB, 0x10, 0xC4]) + bytes(100)
MP3_FRAMES_PER_S = 38


def account_uri(account_sid: str) -> str:
    """The path of the account's resources."""
    return f"/{API_VERSION}/Accounts/{account_sid}"


def call_json(call: TwilioCall) -> dict[str, Any]:
    """A Call. Numbers are strings, and much is null."""
    leg = call.leg
    uri = f"{account_uri(call.account.sid)}/Calls/{call.sid}"
    names = {"user_defined_messages": "UserDefinedMessages"}
    names["user_defined_message_subscriptions"] = "UserDefinedMessageSubscriptions"
    return {
        "sid": call.sid,
        "account_sid": call.account.sid,
        "parent_call_sid": leg.parent.id if leg.parent else None,
        "to": leg.to,
        "to_formatted": formatted(leg.to),
        "from": leg.from_,
        "from_formatted": formatted(leg.from_),
        "phone_number_sid": call.phone_number_sid,
        "status": call.status,
        "start_time": rfc2822(leg.dialed_at) if leg.dialed_at else None,
        "end_time": rfc2822(leg.ended_at) if leg.ended_at else None,
        "duration": str(whole_seconds(leg.duration_s)) if call.status == "completed" else None,
        "price": call.price,
        "price_unit": "USD",
        "direction": call.direction,
        "answered_by": call.answered_by,
        "api_version": API_VERSION,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": str(call.queue_time_ms),
        "trunk_sid": call.trunk_sid,
        "date_created": rfc2822(leg.created_at),
        "date_updated": rfc2822(call.updated_at),
        "uri": f"{uri}.json",
        "subresource_uris": {part: f"{uri}/{names.get(part, part.capitalize())}.json" for part in CALL_PARTS},
    }


def account_json(account: TwilioAccount) -> dict[str, Any]:
    """An Account; it carries the Auth Token in clear."""
    uri = account_uri(account.sid)
    parts = ("calls", "incoming_phone_numbers", "outgoing_caller_ids", "recordings", "balance")
    return {
        "sid": account.sid,
        "friendly_name": account.account.name,
        "status": account.status,
        "type": account.type,
        "auth_token": account.auth_token,
        "owner_account_sid": account.parent.sid if account.parent else account.sid,
        "date_created": rfc2822(account.created_at),
        "date_updated": rfc2822(account.updated_at),
        "uri": f"{uri}.json",
        "subresource_uris": {part: f"{uri}/{camel(part)}.json" for part in parts},
    }


def balance_json(account: TwilioAccount) -> dict[str, Any]:
    """What is left on the account."""
    return {"account_sid": account.sid, "balance": account.balance, "currency": "USD"}


def number_json(account: TwilioAccount, number: TwilioNumber) -> dict[str, Any]:
    """An IncomingPhoneNumber."""
    return {
        "sid": number.sid,
        "account_sid": account.sid,
        "phone_number": number.number,
        "api_version": API_VERSION,
        "beta": False,
        "origin": "twilio",
        "status": "in-use",
        "type": number.kind,
        "capabilities": {"voice": number.has_voice, "sms": True, "mms": True, "fax": False},
        **number.settings,
        "date_created": rfc2822(number.created_at),
        "date_updated": rfc2822(number.updated_at),
        "uri": f"{account_uri(account.sid)}/IncomingPhoneNumbers/{number.sid}.json",
    }


def caller_id_json(account: TwilioAccount, caller_id: CallerId) -> dict[str, Any]:
    """An OutgoingCallerId."""
    return {
        "sid": caller_id.sid,
        "account_sid": account.sid,
        "friendly_name": caller_id.friendly_name,
        "phone_number": caller_id.number,
        "date_created": rfc2822(caller_id.created_at),
        "date_updated": rfc2822(caller_id.updated_at),
        "uri": f"{account_uri(account.sid)}/OutgoingCallerIds/{caller_id.sid}.json",
    }


def country_json(account: TwilioAccount, country: str) -> dict[str, Any]:
    """A country whose numbers can be searched."""
    uri = f"{account_uri(account.sid)}/AvailablePhoneNumbers/{country}"
    return {
        "country_code": country,
        "country": COUNTRY_NAMES.get(country),
        "uri": f"{uri}.json",
        "beta": False,
        "subresource_uris": {snake(word): f"{uri}/{word}.json" for word in KINDS},
    }


def available_json(offer: Offer) -> dict[str, Any]:
    """An AvailablePhoneNumber: it has no sid, and no price."""
    return {
        "friendly_name": formatted(offer.number),
        "phone_number": offer.number,
        "lata": None,
        "locality": offer.locality,
        "rate_center": None,
        "latitude": None,
        "longitude": None,
        "region": offer.region,
        "postal_code": None,
        "iso_country": offer.country,
        "address_requirements": "any" if offer.needs_address else "none",
        "beta": False,
        "capabilities": {"voice": offer.voice, "sms": offer.sms, "mms": offer.sms, "fax": False},
    }


def price_json(country: str, offers: Sequence[Offer], url: str) -> dict[str, Any]:
    """What numbers of a country cost a month, by their kind: pricing.twilio.com knows no single numbers."""
    prices: dict[str, Decimal] = {}
    for offer in offers:
        words = offer.kind.replace("_", " ")
        prices[words] = max(prices.get(words, Decimal(0)), Decimal(offer.monthly))
    return {
        "country": COUNTRY_NAMES.get(country, country),
        "iso_country": country,
        "phone_number_prices": [
            {"number_type": words, "base_price": f"{price:.2f}", "current_price": f"{price:.2f}"}
            for words, price in prices.items()
        ],
        "price_unit": "USD",
        "url": url,
    }


def permission_json(country: str, is_allowed: bool, url: str) -> dict[str, Any]:
    """A dialing permission. High-risk numbers are as forbidden as Twilio sets them at first."""
    return {
        "iso_code": country,
        "name": "United States/Canada" if country == "US" else COUNTRY_NAMES.get(country),
        "continent": "NORTH_AMERICA" if country == "US" else None,
        "country_codes": [f"+{phonenumbers.country_code_for_region(country)}"],
        "low_risk_numbers_enabled": is_allowed,
        "high_risk_special_numbers_enabled": False,
        "high_risk_tollfraud_numbers_enabled": False,
        "url": url,
        "links": {"highrisk_special_prefixes": f"{url}/HighRiskSpecialPrefixes"},
    }


def recording_json(recording: Recording, base_url: str) -> dict[str, Any]:
    """A Recording of the account."""
    call = recording.call
    uri = f"{account_uri(call.account.sid)}/Recordings/{recording.sid}"
    shared = _recording_fields(recording)
    return {
        **shared,
        "price": None,
        "uri": f"{uri}.json",
        "media_url": f"{base_url}{uri}",
        "subresource_uris": {
            "add_on_results": f"{uri}/AddOnResults.json",
            "transcriptions": f"{uri}/Transcriptions.json",
        },
    }


def call_recording_json(recording: Recording) -> dict[str, Any]:
    """A Recording as the call's own sub-resource: with a track, without media URL."""
    call = recording.call
    uri = f"{account_uri(call.account.sid)}/Calls/{call.sid}/Recordings/{recording.sid}.json"
    return {**_recording_fields(recording), "price": None, "uri": uri, "track": recording.options.track}


def notification_json(call: TwilioCall, notification: Notification) -> dict[str, Any]:
    """What the debugger says about a call."""
    at = rfc2822(notification.at)
    return {
        "sid": notification.sid,
        "account_sid": call.account.sid,
        "call_sid": call.sid,
        "api_version": API_VERSION,
        "log": notification.log,
        "error_code": str(notification.code),
        "more_info": f"https://www.twilio.com/docs/errors/{notification.code}",
        "message_text": notification.message,
        "message_date": at,
        "request_method": notification.method,
        "request_url": notification.url,
        "date_created": at,
        "date_updated": at,
        "uri": f"{account_uri(call.account.sid)}/Calls/{call.sid}/Notifications/{notification.sid}.json",
    }


def event_json(entry: Entry) -> dict[str, Any]:
    """A webhook of the call, as Twilio shows it: the request and the answer it got."""
    data = entry.data
    return {
        "request": {"method": data["method"], "url": data["url"], "parameters": {"body": data["body"]}},
        "response": {
            "response_code": data["status"],
            "request_duration": 0,
            "content_type": None,
            "response_body": data["answer"],
            "date_created": rfc2822(entry.at),
        },
    }


def page_json(
    request: ApiRequest, key: str, items: Sequence[T], render: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """One page of a list; `next_page_uri` is relative, or null."""
    page = _page_of(request, items)
    size = page.size
    return {
        key: [render(item) for item in page.shown],
        "page": page.number,
        "page_size": size,
        "start": page.start,
        "end": page.start + max(0, len(page.shown) - 1),
        "uri": page.link(page.number, page.start),
        "first_page_uri": page.link(0, 0),
        "next_page_uri": page.link(page.number + 1, page.start + size) if page.has_next else None,
        "previous_page_uri": page.link(page.number - 1, page.start - size) if page.number else None,
    }


def v1_page_json(
    request: ApiRequest, key: str, items: Sequence[T], render: Callable[[T], dict[str, Any]], base_url: str
) -> dict[str, Any]:
    """One page of a list of the newer hosts; its links are absolute."""
    page = _page_of(request, items)
    size = page.size
    before = base_url + page.link(page.number - 1, page.start - size) if page.number else None
    return {
        key: [render(item) for item in page.shown],
        "meta": {
            "page": page.number,
            "page_size": size,
            "first_page_url": base_url + page.link(0, 0),
            "previous_page_url": before,
            "url": base_url + page.link(page.number, page.start),
            "next_page_url": base_url + page.link(page.number + 1, page.start + size)
            if page.has_next
            else None,
            "key": key,
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page(Generic[T]):
    shown: Sequence[T]
    number: int
    size: int
    start: int
    has_next: bool
    path: str
    query: tuple[tuple[str, str], ...]

    def link(self, number: int, start: int) -> str:
        """A page's path and query. `Page` is for the client only: the token says where the page begins."""
        place: list[tuple[str, str]] = [("PageSize", str(self.size)), ("Page", str(number))]
        if start > 0:
            place.append(("PageToken", f"PA{start}"))
        return f"{self.path}?{urlencode([*self.query, *place])}"


def _page_of(request: ApiRequest, items: Sequence[T]) -> _Page[T]:
    given = dict(request.query_pairs())
    size, number = _page_number(given, "PageSize", DEFAULT_PAGE), _page_number(given, "Page", 0)
    size = max(1, min(size, LARGEST_PAGE))
    token = given.get("PageToken")
    if token is not None and not re.fullmatch(r"PA\d{1,9}", token):
        raise Refusal(20001, "Invalid 'PageToken' parameter")
    start = int(token[2:]) if token else number * size
    return _Page(
        shown=items[start : start + size],
        number=number,
        size=size,
        start=start,
        has_next=start + size < len(items),
        path=request.path,
        query=tuple(
            pair for pair in request.query_pairs() if pair[0] not in ("Page", "PageSize", "PageToken")
        ),
    )


def wav(duration_s: int, channels: int) -> bytes:
    """A valid WAV file of a quiet hum: PCM, 8000 Hz, 8 bit, so that a minute is half a megabyte a channel."""
    frame = bytes([128, 132, 136, 132, 128, 124, 120, 124])
    one = frame * (SAMPLE_RATE // len(frame) * duration_s)
    data = one if channels == 1 else bytes(sample for sample in one for _ in range(channels))
    format_ = struct.pack("<HHIIHH", 1, channels, SAMPLE_RATE, SAMPLE_RATE * channels, channels, 8)
    chunks = (
        b"fmt " + struct.pack("<I", len(format_)) + format_ + b"data" + struct.pack("<I", len(data)) + data
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def mp3(duration_s: int) -> bytes:
    """Silent MPEG-1 layer III frames, 32 kbit/s at 44.1 kHz."""
    return MP3_FRAME * (MP3_FRAMES_PER_S * max(1, duration_s))


def formatted(address: str) -> str:
    """`(415) 555-0100` for a North American number, else the address as it is."""
    found = re.fullmatch(r"\+1(\d{3})(\d{3})(\d{4})", address)
    return f"({found[1]}) {found[2]}-{found[3]}" if found else address


def camel(name: str) -> str:
    """`incoming_phone_numbers` -> `IncomingPhoneNumbers`."""
    return "".join(word.capitalize() for word in name.split("_"))


def snake(name: str) -> str:
    """`VoiceUrl` -> `voice_url`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _recording_fields(recording: Recording) -> dict[str, Any]:
    call = recording.call
    return {
        "sid": recording.sid,
        "account_sid": call.account.sid,
        "api_version": API_VERSION,
        "call_sid": call.sid,
        "conference_sid": None,
        "status": recording.status,
        "duration": None if recording.duration_s is None else str(recording.duration_s),
        "channels": recording.options.channels,
        "source": recording.options.source,
        "start_time": rfc2822(recording.started_at),
        "date_created": rfc2822(recording.started_at),
        "date_updated": rfc2822(recording.started_at),
        "price_unit": "USD",
        "error_code": None,
        "encryption_details": None,
    }


def _page_number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise Refusal(20001, f"Invalid '{name}' parameter: {text[:40]}")
    return int(text)
