"""What the Telnyx tests share: a provider on a scripted transport, events as Telnyx sends them, its document."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest

from gateway.interface import CallbackUrls, CallEvent, DialRequest, Hook, LiveCall, WebhookRequest
from gateway.status import Direction
from gateway.transport import HttpRequest, HttpResponse
from providers.telnyx import TelnyxProvider

API: Final = "https://api.telnyx.com/v2"
CONNECTION: Final = "2900000000000000001"
SECRETS: Final = {
    "api_key": "KEY0123456789",
    "public_key": "ebVWLo/mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=",
    "connection_id": CONNECTION,
}
CONTROL_ID: Final = "v3:Qm9vS2VlcGVyLTEyMzQ1Njc4OTBhYmNkZWZnaGlqa2xtbm9w"
LEG: Final = "7c1f6a2e-e6a1-11f0-9b1a-02420a0d1a2b"
SESSION: Final = "7c1f5d90-e6a1-11f0-8f3d-02420a0d1a2b"
ATTEMPT: Final = "0123456789abcdef0123456789abcdef"
STEP: Final = "fedcba9876543210fedcba9876543210"
OURS: Final = "+13125550100"
THEIRS: Final = "+13125550111"
EVENTS_URL: Final = f"https://voice.example.test/voice/key/events/{ATTEMPT}"

_SPEC = Path(__file__).resolve().parents[4] / "shared" / "providers" / "specs" / "telnyx_voice.json"

Reply = HttpResponse | Exception


@dataclass
class Script:
    """A transport that keeps what is sent and answers from a list, or by a function of the request."""

    replies: list[Reply] | Callable[[HttpRequest], Reply]
    sent: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest) -> HttpResponse:
        self.sent.append(request)
        reply = self.replies(request) if callable(self.replies) else self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.body) if request.body else None for request in self.sent]

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url.removeprefix(API)}" for request in self.sent]


def provider(*replies: Reply, **secrets: str) -> tuple[TelnyxProvider, Script]:
    """Return a provider whose requests get these answers, in turn."""
    script = Script(list(replies))
    return TelnyxProvider({**SECRETS, **secrets}, transport=script), script


def ok(data: Any = None, status: int = 200, **more: Any) -> HttpResponse:
    """Return a success of the API."""
    return reply({"data": {"result": "ok"} if data is None else data, **more}, status)


def refused(
    status: int, code: Any, title: str = "Refused", headers: Mapping[str, str] | None = None, **more: Any
):
    """Return an error in the carrier's own format; `telnyx_error` and `data` go beside the errors."""
    beside = {name: more.pop(name) for name in ("telnyx_error", "data") if name in more}
    return reply({"errors": [{"code": code, "title": title, **more}], **beside}, status, headers)


def reply(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return an answer with a JSON body."""
    return HttpResponse(
        status=status,
        headers=(("content-type", "application/json"), *(headers or {}).items()),
        body=json.dumps(document).encode(),
    )


def dial_request(**changes: Any) -> DialRequest:
    """Return what the core asks for, with changes."""
    urls = CallbackUrls(
        **dict.fromkeys(
            ("answer", "status", "amd", "recording", "fallback"), "https://voice.example.test/unused"
        ),
        events=EVENTS_URL,
    )
    asked = {
        "call_id": "call-1",
        "to": THEIRS,
        "caller_id": OURS,
        "attempt_token": ATTEMPT,
        "command_id": "3f0d4c1a-6f5e-4a0e-9a61-0d5f0c8e7b21",
        "join_timeout_s": 40,
        "max_duration_s": 3600,
        "urls": urls,
    }
    return DialRequest(**{**asked, **changes})


def live_call(**changes: Any) -> LiveCall:
    """Return an answered inbound call, with changes."""
    asked = {
        "call_id": "call-1",
        "leg_id": CONTROL_ID,
        "direction": Direction.INBOUND,
        "answered": True,
        "to": OURS,
        "from_number": THEIRS,
        "step_token": STEP,
        "next_url": "https://voice.example.test/unused",
        "status_url": "https://voice.example.test/unused",
        "recording_url": "https://voice.example.test/unused",
        "events_url": "https://voice.example.test/voice/key/events",
        "caller_id": OURS,
    }
    return LiveCall(**{**asked, **changes})


def state(mark: str, attempt: str = "", step: str = STEP) -> str:
    """Return a client state, spelt out here once more."""
    return base64.b64encode(f"gw1:{mark}:{attempt}:{step}".encode()).decode()


def event_data(
    event_type: str, /, ident: str = "10000000-0000-4000-8000-000000000001", **payload: Any
) -> Any:
    """Return the `data` object of an event."""
    common = {
        "call_control_id": CONTROL_ID,
        "call_leg_id": LEG,
        "call_session_id": SESSION,
        "client_state": None,
        "connection_id": CONNECTION,
    }
    return {
        "record_type": "event",
        "event_type": event_type,
        "id": ident,
        "occurred_at": "2026-03-02T15:04:01.000000Z",
        "payload": {**common, **payload},
    }


AT: Final = datetime(2026, 3, 2, 15, 4, 1, tzinfo=UTC)


def webhook(
    document: Any, *, token: str | None = None, media: str | None = "application/json"
) -> WebhookRequest:
    """Return a webhook with this body (bytes, or a document)."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = (("Content-Type", media),) if media is not None else ()
    return WebhookRequest(method="POST", url=EVENTS_URL, headers=headers, body=body, token=token)


def read(event_type: str, /, token: str | None = None, **payload: Any) -> CallEvent:
    """Return what the provider reads from an event."""
    meta = {"attempt": 1, "delivered_to": EVENTS_URL}
    document = {"data": event_data(event_type, **payload), "meta": meta}
    (event,) = provider()[0].read_webhook(Hook.EVENTS, webhook(document, token=token))
    return event


# -- the OpenAPI document ----------------------------------------------------------------------------------------------


@cache
def _spec() -> dict[str, Any] | None:
    return json.loads(_SPEC.read_text()) if _SPEC.is_file() else None


def spec() -> dict[str, Any]:
    """Return Telnyx's OpenAPI document, or skip the test."""
    found = _spec()
    if found is None:
        pytest.skip(
            f"NOT CHECKED against the carrier's OpenAPI document: no {_SPEC.name} beside the repository"
        )
    return found


def check_request(request: HttpRequest) -> None:
    """Fail when the carrier does not document the path, a field, its type or value, or a query parameter."""
    path, operation = _operation(request)
    body_schema = operation.get("requestBody", {})
    if "$ref" in body_schema:
        body_schema = _resolve(body_schema["$ref"])
    if request.body:
        schema = body_schema["content"]["application/json"]["schema"]
        _validate(json.loads(request.body), schema, path)
    known = {parameter["name"] for parameter in map(_deref, operation.get("parameters", []))}
    for name, _ in parse_qsl(urlsplit(request.url).query):
        assert name.partition("[")[0] in known, f"{path} knows no query parameter {name}"


def check_webhook(document: Any) -> None:
    """Fail when the event is not one of the document's, so that the tests do not read invented events."""
    event_type = document["data"]["event_type"]
    for hook in spec()["webhooks"].values():
        schema = hook["post"]["requestBody"]["content"]["application/json"]["schema"]
        if event_type in json.dumps(_inlined(schema)):
            _validate(document, schema, event_type, closed=False)
            return
    raise AssertionError(f"no webhook {event_type}")


def _operation(request: HttpRequest) -> tuple[str, dict[str, Any]]:
    parts = urlsplit(request.url).path.removeprefix("/v2").split("/")
    for path, methods in spec()["paths"].items():
        wanted = path.split("/")
        fits = len(wanted) == len(parts) and all(
            a == b or a.startswith("{") for a, b in zip(wanted, parts, strict=True)
        )
        if fits and request.method.lower() in methods:
            return path, methods[request.method.lower()]
    raise AssertionError(f"not documented: {request.method} {'/'.join(parts)}")


def _validate(value: Any, schema: Any, where: str, *, closed: bool = True) -> None:
    full = _inlined(schema)
    if closed:
        unknown = set(value) - set(full.get("properties", {}))
        assert not unknown, f"{where} knows no field {sorted(unknown)}"
    jsonschema.validate(value, full, cls=jsonschema.Draft202012Validator)


def _deref(node: Any) -> Any:
    return _resolve(node["$ref"]) if "$ref" in node else node


def _resolve(pointer: str) -> Any:
    node: Any = spec()
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def _inlined(node: Any, depth: int = 0) -> Any:
    if isinstance(node, dict):
        if "$ref" in node and depth < 12:
            return _inlined(_resolve(node["$ref"]), depth + 1)
        return {key: _inlined(item, depth) for key, item in node.items() if key not in ("example", "default")}
    return [_inlined(item, depth) for item in node] if isinstance(node, list) else node
