"""What the Plivo tests share: an account, a stub transport, requests and calls as values."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from gateway.interface import LegRef
from gateway.transport import HttpRequest, HttpResponse
from providers.plivo import PlivoProvider
from tests.adapters import kit
from tests.adapters.kit import ATTEMPT, DIAL, GATEWAY, STEP, live_call, reply
from tests.adapters.kit import form_webhook as webhook

__all__ = ["ATTEMPT", "DIAL", "GATEWAY", "STEP", "reply", "webhook"]

ACCOUNT = "MAEXAMPLE0000000TEST"
SUB_ACCOUNT = "SAEXAMPLE0000000TEST"
TOKEN = "bWFkZS11cC10b2tlbi1mb3ItdGhlLXRlc3RzLTAx"
CALL = "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"
REQUEST = "7d0a4c1e-5b0f-4c77-9a55-0c1f6d1b2a10"
CHILD = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
RECORDING = "c2186400-7c90-4f1e-9c11-52e5a2f1d0aa"
STREAM = "20170ada-f610-433b-8758-c02a2aab3662"
SECRETS = {"auth_id": ACCOUNT, "auth_token": TOKEN}
API = f"https://api.plivo.com/v1/Account/{ACCOUNT}"

LIVE = live_call(CALL)
REF = LegRef(leg_id=CALL)


class StubTransport(kit.StubTransport):
    """Knows where the account is."""

    @property
    def lines(self) -> list[str]:
        """Return each request's method and path below the account, with its status filter."""
        return [self._line(request) for request in self.requests]

    @staticmethod
    def _line(request: HttpRequest) -> str:
        parts = urlsplit(request.url)
        status = parse_qs(parts.query).get("status", [""])[0]
        path = parts.path.removeprefix(f"/v1/Account/{ACCOUNT}")
        return f"{request.method} {path}" + (f" {status}" if status else "")


def provider(*answers: HttpResponse | Exception, **more: str) -> tuple[PlivoProvider, StubTransport]:
    """Return an adapter over a stub transport, with `more` secrets."""
    transport = StubTransport(*answers)
    return PlivoProvider(SECRETS | more, transport=transport), transport


def fault(status: int, error: str = "no", **headers: str) -> HttpResponse:
    """Return an error in Plivo's own format."""
    return reply(status, {"api_id": "2f6d8e10-aa11-4b22-9c33-d44e55f66a77", "error": error}, **headers)


NO_CONTENT = reply(204, b"")
GONE = fault(404, "call not found")


def fired(request_uuid: Any = REQUEST, message: str = "call fired") -> HttpResponse:
    """Return the answer of a dial that Plivo took."""
    return reply(
        201,
        {
            "api_id": "2f6d8e10-aa11-4b22-9c33-d44e55f66a77",
            "message": message,
            "request_uuid": request_uuid,
        },
    )


def record(**changes: Any) -> dict[str, Any]:
    """Return a call detail record: an answered call that the callee ended, unless changed."""
    resource = {
        "api_id": "2f6d8e10-aa11-4b22-9c33-d44e55f66a77",
        "answer_time": "2026-03-04 14:45:10+05:30",
        "bill_duration": 37,
        "billed_duration": 60,
        "call_direction": "outbound",
        "call_duration": 37,
        "call_state": "ANSWER",
        "call_uuid": CALL,
        "end_time": "2026-03-04 14:45:47+05:30",
        "from_number": "+12125550123",
        "hangup_cause_code": 4000,
        "hangup_cause_name": "Normal Hangup",
        "hangup_source": "Callee",
        "initiation_time": "2026-03-04 14:45:02+05:30",
        "parent_call_uuid": None,
        "resource_uri": f"/v1/Account/{ACCOUNT}/Call/{CALL}/",
        "stir_attestation": "A",
        "stir_verification": "Verified",
        "to_number": "14155550100",
        "total_amount": "0.01000",
        "total_rate": "0.01000",
    }
    return resource | changes


def waiting(status: str = "in-progress", **changes: Any) -> dict[str, Any]:
    """Return a live or queued call as a look-up gives it."""
    resource = {
        "api_id": "2f6d8e10-aa11-4b22-9c33-d44e55f66a77",
        "call_status": status,
        "call_uuid": CALL,
        "caller_name": "+12125550123",
        "direction": "outbound",
        "from": "12125550123",
        "request_uuid": CALL,
        "session_start": "2026-03-04 09:15:02.000000",
        "to": "14155550100",
    }
    return resource | changes


def outbound(**changes: str) -> dict[str, str]:
    """Return the fields that every request about an outbound call has."""
    return {
        "ALegRequestUUID": CALL,
        "ALegUUID": CALL,
        "CallUUID": CALL,
        "Direction": "outbound",
        "From": "12125550123",
        "RequestUUID": CALL,
        "SessionStart": "2026-03-04 09:15:02.000000",
        "To": "14155550100",
    } | changes


def inbound(**changes: str) -> dict[str, str]:
    """Return the fields that every request about an inbound call has."""
    return {
        "CallUUID": CALL,
        "Direction": "inbound",
        "From": "12125550123",
        "SessionStart": "2026-03-04 09:15:02.000000",
        "To": "14155550100",
    } | changes
