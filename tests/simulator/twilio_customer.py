"""A customer of the simulated Twilio: a webhook server on loopback with an echo agent, and a raw REST client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

from providers.simulator import Account, Simulator

XML = "text/xml"
Reply = str | tuple[int, str] | Callable[[dict[str, str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One webhook as the customer got it."""

    path: str
    url: str
    headers: dict[str, str]
    body: bytes
    fields: dict[str, str]


@dataclass(slots=True, kw_only=True, eq=False)
class Customer:
    """Answers by path; `received` keeps what came. `/media` is an echo agent, `/deaf` a socket that says nothing."""

    replies: dict[str, Reply] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    closes_after: int | None = None
    sends: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _runner: web.AppRunner | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            if self._runner is not None:
                await self._runner.cleanup()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(5)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/media", self._media)
        app.router.add_route("*", "/{tail:.*}", self._hook)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _hook(self, http: web.Request) -> web.Response:
        body = await http.read()
        pairs = urllib.parse.parse_qsl(body.decode() or http.query_string, keep_blank_values=True)
        got = Received(
            path=http.path, url=str(http.url), headers=dict(http.headers), body=body, fields=dict(pairs)
        )
        self.received.append(got)
        reply = self.replies.get(http.path, "")
        if callable(reply):
            reply = reply(got.fields)
        status, text = reply if isinstance(reply, tuple) else (200 if reply else 204, reply)
        return web.Response(status=status, text=text, content_type=XML if text else None)

    async def _media(self, http: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(http)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            self.frames.append(frame)
            if frame["event"] == "start":
                for extra in self.sends:
                    await socket.send_str(json.dumps({"streamSid": frame["streamSid"], **extra}))
            if frame["event"] == "media":
                echo = {"event": "media", "streamSid": frame["streamSid"]}
                media = {"payload": frame["media"]["payload"]}
                with contextlib.suppress(
                    ConnectionResetError
                ):  # the carrier has closed; what it sent is still read
                    await socket.send_str(json.dumps({**echo, "media": media}))
            if self.closes_after is not None and len(self.frames) >= self.closes_after:
                await socket.close()
        return socket

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def stream_url(self, path: str = "/media") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [got for got in self.received if got.path == path]

    def statuses(self, path: str = "/status") -> list[str]:
        """The statuses told, in the order of their sequence numbers."""
        told = sorted(self.at(path), key=lambda got: int(got.fields["SequenceNumber"]))
        return [got.fields["CallStatus"] for got in told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Twilio's REST API in raw HTTP; errors are answers, not exceptions."""

    sim: Simulator
    account: Account
    password: str | None = None
    user: str | None = None

    def __call__(
        self, method: str, path: str, form: list[tuple[str, str]] | None = None, **headers: str
    ) -> tuple[int, Any]:
        status, body, _ = self.raw(method, path, form, **headers)
        return status, json.loads(body) if body else None

    @property
    def account_path(self) -> str:
        return f"/2010-04-01/Accounts/{self.account.account_ref}"

    def raw(
        self, method: str, path: str, form: list[tuple[str, str]] | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        path = path if path.startswith(("/2010-04-01/", "/v1/")) else self.account_path + path
        url = self.sim.base_url("twilio") + path
        request = urllib.request.Request(url, method=method)
        user = self.user or self.account.secrets["account_sid"]
        password = self.password or self.account.secrets["auth_token"]
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        if form is not None:
            request.data = urllib.parse.urlencode(form).encode()
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    def dial(self, *form: tuple[str, str], **fields: str) -> tuple[int, Any]:
        return self("POST", "/Calls.json", [*fields.items(), *form])
