"""A customer of the simulated Plivo, for tests: answers its requests, checks their signatures, and places calls."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

import requests
from aiohttp import WSMsgType, web
from plivo.utils.signature_v3 import validate_v3_signature

from providers.simulator import Account, Simulator

OURS = "+14155550100"
THEIRS = "+14155550123"
EMPTY = "<Response/>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One request that Plivo sent: path with query, parameters, and whether the vendor's code accepts its signature."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    is_signed: bool


Answer = str | int | Callable[[Hook], str | int]


@dataclass
class Customer:
    """Listens on loopback. `answers` maps a path to a document, a status, or a function of the request."""

    sim: Simulator
    account: Account
    answers: dict[str, Answer] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)

    def __enter__(self) -> Self:
        customer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                customer._handle(self)

            def do_GET(self) -> None:
                customer._handle(self)

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def _handle(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("Content-Length", 0))).decode()
        params = dict(parse_qsl(body, keep_blank_values=True))
        method = http.command
        signed = validate_v3_signature(
            method,
            self.url(http.path),
            http.headers["X-Plivo-Signature-V3-Nonce"],
            self.account.secrets["auth_token"],
            http.headers["X-Plivo-Signature-V3"],
            params,
        )
        path = http.path.partition("?")[0]
        if method == "GET":
            params = dict(parse_qsl(http.path.partition("?")[2], keep_blank_values=True))
        hook = Hook(
            method=method, path=path, params=params, headers=dict(http.headers.items()), is_signed=signed
        )
        self.hooks.append(hook)
        answer = self.answers.get(path, EMPTY)
        self._answer(http, answer(hook) if callable(answer) else answer)

    def _answer(self, http: BaseHTTPRequestHandler, answer: str | int) -> None:
        status, text = (answer, "") if isinstance(answer, int) else (200, answer)
        body = text.encode()
        http.send_response(status)
        http.send_header("Content-Type", "application/xml")
        http.send_header("Content-Length", str(len(body)))
        http.end_headers()
        http.wfile.write(body)

    # --- what it asks of Plivo

    def api(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        """One REST request below the account, e.g. `api("GET", "Call/", limit=5)`."""
        secrets = self.account.secrets
        return requests.request(
            method,
            f"{self.sim.base_url('plivo')}/v1/Account/{secrets['auth_id']}/{path}",
            json=body,
            params=query,
            auth=(secrets["auth_id"], secrets["auth_token"]),
            timeout=10,
        )

    def order(self, **changes: Any) -> dict[str, Any]:
        """A call order with all addresses set; a change to None leaves a parameter out."""
        order = {
            "from": OURS,
            "to": THEIRS,
            "answer_url": self.url("/answer"),
            "ring_url": self.url("/ring"),
            "hangup_url": self.url("/hangup"),
            **changes,
        }
        return {name: value for name, value in order.items() if value is not None}

    def dial(self, **changes: Any) -> str:
        """Place a call and return its request uuid."""
        answer = self.api("POST", "Call/", self.order(**changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uuid"])

    def call_to_end(self, **changes: Any) -> dict[str, str]:
        """Place a call, wait until all is over, and return the parameters of its hangup request."""
        call_uuid = self.dial(**changes)
        self.sim.wait(call_uuid)
        return self.end_of(call_uuid)

    def end_of(self, call_uuid: str) -> dict[str, str]:
        (end,) = [
            hook.params
            for hook in self.hooks
            if hook.params.get("Event") == "Hangup" and hook.params["CallUUID"] == call_uuid
        ]
        return dict(end)

    def events(self, call_uuid: str) -> list[str]:
        """The events of a call, in the order they came."""
        return [
            hook.params["Event"]
            for hook in self.hooks
            if hook.params.get("CallUUID") == call_uuid and "Event" in hook.params
        ]

    def params_at(self, path: str) -> list[Mapping[str, str]]:
        return [hook.params for hook in self.hooks if hook.path == path]


class EchoAgent:
    """A media WebSocket server that sends the party's audio back.

    Attributes:
        frames: every JSON frame received.
        headers: the opening request's headers, one entry a connection.
    """

    def __init__(self, *, closes_after: int | None = None, says: list[dict[str, Any]] | None = None) -> None:
        self._closes_after = closes_after
        self._says = says or []
        self.frames: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.refuse_with: int | None = None
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/media/42?a=1"

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/media/42", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.refuse_with:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        heard = 0
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            self.frames.append(frame)
            if frame["event"] == "start":
                self._format = frame["start"]["mediaFormat"]
                for told in self._says:
                    stream_id = frame["start"]["streamId"]
                    await socket.send_json({**told, "streamId": stream_id})
            if frame["event"] == "media":
                heard += 1
                await socket.send_json({"event": "playAudio", "media": self._echo(frame)})
                if heard == self._closes_after:
                    await socket.close()
        return socket

    def _echo(self, frame: dict[str, Any]) -> dict[str, Any]:
        return {
            "contentType": self._format["encoding"],
            "sampleRate": self._format["sampleRate"],
            "payload": frame["media"]["payload"],
        }
