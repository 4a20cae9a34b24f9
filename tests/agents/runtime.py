"""The agent of docs/agents.md, served as it stands on loopback, and a record of what went over its media sockets.

Nothing of pipecat is imported with this module: it is there in the environment of `make test-agents` only.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/agents.md"

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Wire:
    """The text frames of one media socket, in order, and the code that the agent closed it with, if it did."""

    received: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    closed_with: int | None = None
    is_over: bool = False

    def said(self) -> bytes:
        """The audio that the agent sent, mu-law."""
        return b"".join(base64.b64decode(f["media"]["payload"]) for f in self.sent if "media" in f)

    def events(self) -> set[str]:
        """The names of the frames that the agent sent."""
        return {frame["event"] for frame in self.sent}


class Tap:
    """An ASGI application around another: passes everything on and writes down what the sockets carry."""

    def __init__(self, app: Any) -> None:
        self.wires: list[Wire] = []
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        wire = Wire()
        self.wires.append(wire)

        async def received() -> Message:
            message = await receive()
            if message.get("text"):
                wire.received.append(json.loads(message["text"]))
            return message

        async def sent(message: Message) -> None:
            if message.get("text"):
                wire.sent.append(json.loads(message["text"]))
            if message["type"] == "websocket.close":
                wire.closed_with = message.get("code", 1000)
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            wire.is_over = True


@dataclass(slots=True, kw_only=True)
class PageAgent:
    """The running agent. `names` is the page's own namespace: what a test puts there is what the page's code finds."""

    url: str
    names: dict[str, Any]
    tap: Tap

    def wire(self) -> Wire:
        """The only media socket so far, once it is over for the agent too."""
        [wire] = self.tap.wires
        deadline = time.monotonic() + 10
        while not wire.is_over and time.monotonic() < deadline:
            time.sleep(0.02)
        assert wire.is_over, "the agent's pipeline outlives its socket"
        return wire


def load_page(gateway_url: str) -> dict[str, Any]:
    """Run the page's Python from top to bottom and return its names."""
    names: dict[str, Any] = {"__name__": "agent"}
    before = os.environ.get("GATEWAY_PUBLIC_URL")
    os.environ["GATEWAY_PUBLIC_URL"] = gateway_url
    try:
        for block in blocks(PAGE, "python"):
            exec(compile("\n" * (block.line - 1) + block.text, str(PAGE), "exec"), names)
    finally:
        os.environ.pop("GATEWAY_PUBLIC_URL")
        if before is not None:
            os.environ["GATEWAY_PUBLIC_URL"] = before
    return names


@contextmanager
def serve_page(gateway_url: str) -> Iterator[PageAgent]:
    """Serve the page's `app` with uvicorn, as the page says, on a free port."""
    import uvicorn

    names = load_page(gateway_url)
    tap = Tap(names["app"])
    server = uvicorn.Server(uvicorn.Config(tap, log_level="warning", timeout_graceful_shutdown=5))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="pipecat-agent", daemon=True)
        thread.start()
        try:
            yield PageAgent(url=f"ws://127.0.0.1:{listener.getsockname()[1]}/media", names=names, tap=tap)
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive(), "the agent's server does not stop"
