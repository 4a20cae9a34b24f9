"""What the tests of all adapters share: a transport with a script, answers, a call's values, a small web server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.byoc import SetupUrls
from gateway.interface import CallbackUrls, DialRequest, Hook, LiveCall, WebhookReply, WebhookRequest
from gateway.status import Direction
from gateway.transport import HttpRequest, HttpResponse

ATTEMPT, STEP = "a" * 32, "5" * 32
GATEWAY = "https://gw.example.net/voice/k3y"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


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

    def json(self, index: int = -1) -> Any:
        """Return a request's JSON body."""
        return json.loads(self.requests[index].body)

    def form(self, index: int = -1) -> dict[str, list[str]]:
        """Return the fields of a request's form."""
        return parse_qs(self.requests[index].body.decode(), keep_blank_values=True)

    def query(self, index: int = -1) -> dict[str, list[str]]:
        """Return the fields of a request's query."""
        return parse_qs(urlsplit(self.requests[index].url).query, keep_blank_values=True)


def reply(status: int, body: Any = None, **headers: str) -> HttpResponse:
    """Return an answer with a JSON body (or raw bytes); `headers` are named with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status=status, headers=named, body=content)


def callback_urls(root: str = GATEWAY, attempt: str = ATTEMPT) -> CallbackUrls:
    """Return the URLs of one outbound call below `root`."""
    hooks = ("answer", "status", "amd", "recording", "events")
    named = {hook: f"{root}/{hook}/{attempt}" for hook in hooks}
    return CallbackUrls(**named, fallback=f"{root}/fallback")


DIAL = DialRequest(
    call_id="call-1",
    to="+14155550100",
    caller_id="+12125550123",
    attempt_token=ATTEMPT,
    command_id="0190a1b2-0000-7000-8000-000000000000",
    join_timeout_s=30,
    max_duration_s=1800,
    urls=callback_urls(),
)

SETUP_URLS = SetupUrls(
    answer=f"{GATEWAY}/answer",
    status=f"{GATEWAY}/status",
    fallback=f"{GATEWAY}/fallback",
    events=f"{GATEWAY}/events",
)


def live_call(leg_id: str, root: str = GATEWAY, step: str = STEP) -> LiveCall:
    """Return an inbound call that is not answered, whose step is reported below `root`."""
    return LiveCall(
        call_id="call-1",
        leg_id=leg_id,
        direction=Direction.INBOUND,
        answered=False,
        to="+14155550100",
        from_number="+12125550123",
        step_token=step,
        next_url=f"{root}/next/{step}",
        status_url=f"{root}/status",
        recording_url=f"{root}/recording",
        events_url=f"{root}/events",
    )


def form_webhook(
    fields: dict[str, str] | list[tuple[str, str]] | bytes, token: str | None = None, query: str = ""
) -> WebhookRequest:
    """Return an unsigned webhook with a form; what the reading functions take."""
    return WebhookRequest(
        method="POST",
        url=f"{GATEWAY}/hook{query}",
        headers=(("Content-Type", FORM),),
        body=fields if isinstance(fields, bytes) else urlencode(fields).encode(),
        token=token,
    )


class Listener:
    """A web server on loopback: each POST to `{url}/{hook}/{token}` goes to `take`, and its reply is the answer."""

    def __init__(self, take: Callable[[Hook, WebhookRequest], WebhookReply]) -> None:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook, _, token = self.path.partition("?")[0].strip("/").partition("/")
                request = WebhookRequest(
                    method="POST",
                    url=listener.url + self.path,
                    headers=tuple(self.headers.items()),
                    body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
                    token=token or None,
                )
                answer = take(Hook(hook), request)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
