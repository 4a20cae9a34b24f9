"""A customer of the simulated Telnyx: its webhook endpoint, its API calls, its media agent."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import requests
from aiohttp import WSMsgType, web

from providers.simulator import Account, SimCall, Simulator

OURS: Final = "+14155550100"
CALLEE: Final = "+14155550123"
CALLER: Final = "+12125550123"
STATE: Final = base64.b64encode(b"call-1").decode()


@dataclass
class Hook:
    """One delivery as it arrived."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.raw)

    @property
    def type(self) -> str:
        return str(self.document["data"]["event_type"])

    @property
    def payload(self) -> Any:
        return self.document["data"]["payload"]


@dataclass
class Receiver:
    """A webhook endpoint; `status` may be a function of the delivery, and so act before it answers."""

    server: ThreadingHTTPServer
    hooks: list[Hook] = field(default_factory=list)
    status: Callable[[Hook], int] = lambda _hook: 200

    def url(self, path: str = "/events") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def types(self) -> list[str]:
        return [hook.type for hook in self.hooks]

    def of(self, event_type: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.type == event_type]

    def one(self, event_type: str) -> Any:
        found = self.of(event_type)
        assert len(found) == 1, (event_type, self.types())
        return found[0].payload


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve webhooks on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            hook = Hook(self.path, dict(self.headers.items()), raw)
            box.hooks.append(hook)
            status = box.status(hook)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield box
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Bench:
    sim: Simulator
    account: Account
    receiver: Receiver
    http: requests.Session

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.http.request(method, self.sim.base_url("telnyx") + path, timeout=5, **kwargs)

    def dial(self, **fields: Any) -> requests.Response:
        body = {"connection_id": self.account.connection_id, "to": CALLEE, "from": OURS, **fields}
        return self.request("POST", "/v2/calls", json={k: v for k, v in body.items() if v is not None})

    def call(self, **fields: Any) -> SimCall:
        answer = self.dial(**fields)
        assert answer.status_code == 200, answer.text
        return self.sim.call(answer.json()["data"]["call_control_id"])

    def do(self, call: SimCall, action: str, **fields: Any) -> requests.Response:
        return self.request("POST", f"/v2/calls/{call.id}/actions/{action}", json=fields)

    def until(self, event_type: str, count: int = 1) -> None:
        self.sim.wait(lambda: len(self.receiver.of(event_type)) >= count, 5)

    def end(self, call: SimCall) -> dict[str, Any]:
        """Wait for the end of the call; its `call.hangup`."""
        self.sim.wait(call, 10)
        own = [h.payload for h in self.receiver.of("call.hangup") if h.payload["call_control_id"] == call.id]
        assert len(own) == 1
        return dict(own[0])


@contextmanager
def telnyx_bench(receiver: Receiver, *, speed: float = 20) -> Iterator[Bench]:
    """Start a simulator with one account, its number and its application."""
    with Simulator(speed=speed, seed=7) as sim, requests.Session() as http:
        account = sim.add_account("telnyx", name="Acme")
        sim.add_number(account, OURS)
        sim.configure_application(account, webhook_url=receiver.url())
        http.headers["Authorization"] = f"Bearer {account.secrets['api_key']}"
        yield Bench(sim, account, receiver, http)


class Agent:
    """A media socket in a thread of its own: notes every frame, and does with each what `reply` says."""

    def __init__(self, reply: Callable[[dict[str, Any]], str | None]) -> None:
        self.frames: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self._reply = reply
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Agent:
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/media", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self.headers = dict(request.headers)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            self.frames.append(frame)
            reply = self._reply(frame)
            if reply == "close":
                await socket.close()
            elif reply is not None:
                await socket.send_str(reply)
        return socket

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/media"

    def events(self) -> list[str]:
        return [frame["event"] for frame in self.frames]
