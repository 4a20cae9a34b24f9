"""What the Twilio tests share: an account, a stub transport, requests and calls as values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from gateway.byoc import CarrierNumber, NumberSetup
from gateway.interface import DialQuery
from gateway.transport import HttpResponse
from providers.twilio import TwilioProvider
from tests.adapters import kit
from tests.adapters.kit import ATTEMPT, DIAL, GATEWAY, SETUP_URLS, STEP, live_call, reply
from tests.adapters.kit import form_webhook as webhook

__all__ = ["ATTEMPT", "DIAL", "GATEWAY", "STEP", "reply", "webhook"]

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "5f0c2e9a7b4d41c6a1e8f3d2c0b9a876"
CALL = "CA89abcdef0123456789abcdef01234567"
CHILD = "CA00abcdef0123456789abcdef01234567"
RECORDING = "RE89abcdef0123456789abcdef01234567"
STREAM = "MZ89abcdef0123456789abcdef01234567"
SECRETS = {"account_sid": ACCOUNT, "auth_token": TOKEN}
API_KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "S3cret" * 5 + "xx"}

LIVE = live_call(CALL)
QUERY = DialQuery(
    to="+14155550100",
    caller_id="+12125550123",
    attempt_token=ATTEMPT,
    created_from=datetime(2026, 3, 4, 9, 13, 2, tzinfo=UTC),
    created_until=datetime(2026, 3, 4, 9, 17, 2, tzinfo=UTC),
)
ACCOUNT_RESOURCE = {
    "sid": ACCOUNT,
    "owner_account_sid": ACCOUNT,
    "friendly_name": "Acme",
    "status": "active",
    "type": "Full",
    "auth_token": SECRETS["auth_token"],
    "date_created": "Wed, 04 Mar 2026 09:15:02 +0000",
    "date_updated": "Wed, 04 Mar 2026 09:15:02 +0000",
    "uri": f"/2010-04-01/Accounts/{ACCOUNT}.json",
    "subresource_uris": {},
}

NUMBER = {
    "sid": "PN00112233445566778899aabbccddeeff",
    "account_sid": ACCOUNT,
    "friendly_name": "Front desk",
    "phone_number": "+14155550100",
    "voice_url": "https://old.example.net/voice",
    "voice_method": "GET",
    "voice_fallback_url": "",
    "voice_fallback_method": "POST",
    "status_callback": "",
    "status_callback_method": "POST",
    "voice_application_sid": None,
    "trunk_sid": None,
    "voice_receive_mode": "voice",
    "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
}
OURS = "+14155550100"
SETUP = NumberSetup(urls=SETUP_URLS)
BALANCE = reply(200, {"account_sid": ACCOUNT, "balance": "12.34", "currency": "USD"})


class StubTransport(kit.StubTransport):
    """Knows where the account is."""

    def path(self, index: int = -1) -> str:
        """Return a request's path below the account."""
        path = urlsplit(self.requests[index].url).path
        return path.removeprefix(f"/2010-04-01/Accounts/{ACCOUNT}")


def provider(*answers: HttpResponse | Exception, **more: str) -> tuple[TwilioProvider, StubTransport]:
    """Return an adapter over a stub transport, with `more` secrets."""
    transport = StubTransport(*answers)
    return TwilioProvider(SECRETS | more, transport=transport), transport


def fault(status: int, code: int, message: str = "no", **headers: str) -> HttpResponse:
    """Return an error in Twilio's own format."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return reply(status, body, **headers)


def rest_call(**changes: Any) -> dict[str, Any]:
    """Return a call resource as the REST API gives it, freshly created unless changed."""
    resource = {
        "sid": CALL,
        "account_sid": ACCOUNT,
        "parent_call_sid": None,
        "to": "+14155550100",
        "to_formatted": "(415) 555-0100",
        "from": "+12125550123",
        "from_formatted": "(212) 555-0123",
        "phone_number_sid": "PN00112233445566778899aabbccddeeff",
        "status": "queued",
        "start_time": None,
        "end_time": None,
        "duration": None,
        "price": None,
        "price_unit": "USD",
        "direction": "outbound-api",
        "answered_by": None,
        "api_version": "2010-04-01",
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "date_created": "Wed, 04 Mar 2026 09:15:02 +0000",
        "date_updated": "Wed, 04 Mar 2026 09:15:02 +0000",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json",
        "subresource_uris": {},
    }
    return resource | changes


def rest_recording(**changes: Any) -> dict[str, Any]:
    """Return a call's recording as the REST API gives it, running unless changed."""
    resource = {
        "sid": "RE00112233445566778899aabbccddeeff",
        "account_sid": ACCOUNT,
        "call_sid": CALL,
        "status": "in-progress",
        "channels": 2,
        "duration": None,
        "source": "StartCallRecordingAPI",
        "start_time": "Sun, 01 Mar 2026 09:15:02 +0000",
        "track": "both",
    }
    return resource | changes


def page(name: str, items: list[dict[str, Any]], next_uri: str | None = None) -> HttpResponse:
    """Return one page of a list."""
    body = {
        name: items,
        "page": 0,
        "page_size": 200,
        "start": 0,
        "end": max(0, len(items) - 1),
        "uri": "/x",
        "first_page_uri": "/x",
        "next_page_uri": next_uri,
        "previous_page_uri": None,
    }
    return reply(200, body)


def v1_page(key: str, items: list[dict[str, Any]]) -> HttpResponse:
    """Return the only page of a list of a v1 product."""
    meta = {"key": key, "page": 0, "page_size": 100, "next_page_url": None, "previous_page_url": None}
    return reply(200, {"meta": meta | {"url": "x", "first_page_url": "x"}, key: items})


def number(**settings: str) -> CarrierNumber:
    """Return `NUMBER` as the adapter lists it, with other settings."""
    (listed,) = provider(page("incoming_phone_numbers", [NUMBER | settings]))[0].list_numbers()
    return listed
