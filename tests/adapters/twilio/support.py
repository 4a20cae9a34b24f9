"""What the Twilio tests share: an account, a stub transport, requests and calls as values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.interface import CallbackUrls, DialQuery, DialRequest, LiveCall, WebhookRequest
from gateway.status import Direction
from gateway.transport import HttpRequest, HttpResponse
from providers.twilio import TwilioProvider

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "5f0c2e9a7b4d41c6a1e8f3d2c0b9a876"
CALL = "CA89abcdef0123456789abcdef01234567"
CHILD = "CA00abcdef0123456789abcdef01234567"
RECORDING = "RE89abcdef0123456789abcdef01234567"
STREAM = "MZ89abcdef0123456789abcdef01234567"
STEP = "5" * 32
ATTEMPT = "a" * 32
SECRETS = {"account_sid": ACCOUNT, "auth_token": TOKEN}
API_KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "S3cret" * 5 + "xx"}
GATEWAY = "https://gw.example.net/voice/k3y"

URLS = CallbackUrls(
    answer=f"{GATEWAY}/answer/{ATTEMPT}",
    status=f"{GATEWAY}/status/{ATTEMPT}",
    amd=f"{GATEWAY}/amd/{ATTEMPT}",
    recording=f"{GATEWAY}/recording/{ATTEMPT}",
    fallback=f"{GATEWAY}/fallback",
    events=f"{GATEWAY}/events/{ATTEMPT}",
)
DIAL = DialRequest(
    call_id="call-1",
    to="+14155550100",
    caller_id="+12125550123",
    attempt_token=ATTEMPT,
    command_id="0190a1b2-0000-7000-8000-000000000000",
    join_timeout_s=30,
    max_duration_s=1800,
    urls=URLS,
)
LIVE = LiveCall(
    call_id="call-1",
    leg_id=CALL,
    direction=Direction.INBOUND,
    answered=False,
    to="+14155550100",
    from_number="+12125550123",
    step_token=STEP,
    next_url=f"{GATEWAY}/next/{STEP}",
    status_url=f"{GATEWAY}/status",
    recording_url=f"{GATEWAY}/recording",
    events_url=f"{GATEWAY}/events",
)

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


class StubTransport:
    """Gives the answers in their order (an exception is raised) and keeps the requests."""

    def __init__(self, *answers: HttpResponse | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def form(self, index: int = -1) -> dict[str, list[str]]:
        """Return the fields of a request's form."""
        return parse_qs(self.requests[index].body.decode(), keep_blank_values=True)

    def query(self, index: int = -1) -> dict[str, list[str]]:
        """Return the fields of a request's query."""
        return parse_qs(urlsplit(self.requests[index].url).query, keep_blank_values=True)

    def path(self, index: int = -1) -> str:
        """Return a request's path below the account."""
        path = urlsplit(self.requests[index].url).path
        return path.removeprefix(f"/2010-04-01/Accounts/{ACCOUNT}")


def provider(*answers: HttpResponse | Exception, **more: str) -> tuple[TwilioProvider, StubTransport]:
    """Return an adapter over a stub transport, with `more` secrets."""
    transport = StubTransport(*answers)
    return TwilioProvider(SECRETS | more, transport=transport), transport


def reply(status: int, body: Any = None, **headers: str) -> HttpResponse:
    """Return an answer with a JSON body; `headers` are named with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status=status, headers=named, body=content)


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


def webhook(
    fields: dict[str, str] | list[tuple[str, str]] | bytes, token: str | None = None, query: str = ""
) -> WebhookRequest:
    """Return an unsigned webhook with a form; what the reading functions take."""
    return WebhookRequest(
        method="POST",
        url=f"{GATEWAY}/hook{query}",
        headers=(("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),),
        body=fields if isinstance(fields, bytes) else urlencode(fields).encode(),
        token=token,
    )
