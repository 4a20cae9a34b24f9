"""A small echo agent: the other end of the media WebSocket, for demos and tests.

It understands the frames of all three carriers, sends the caller's audio back, keeps the keys that were pressed, and
claims the stream's one-use token at the gateway when it is told where. It can also be deaf (accept the connection and
never answer the handshake) or down (nothing listens).
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType, web


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One media stream as the agent saw it. `claim` is (HTTP status, answer) of its claim, or None."""

    parameters: Mapping[str, str]
    claim: tuple[int, Any] | None = None
    keys: list[str] = field(default_factory=list)
    frames_in: int = 0
    frames_out: int = 0
    is_over: bool = False


class EchoAgent:
    """A media WebSocket server on loopback, in a thread of its own.

    Args:
        claim_url: `https://…/voice/streams/{token}/claim` with `{token}` where the token goes; None: never claims.
        hangs_up_after: close the socket after so many media frames; None: never.
        refuse_with: answer the handshake with this HTTP status instead.
        is_deaf: accept the connection and say nothing.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        claim_url: str | None = None,
        hangs_up_after: int | None = None,
        refuse_with: int | None = None,
        is_deaf: bool = False,
    ) -> None:
        self.claim_url = claim_url
        self.hangs_up_after = hangs_up_after
        self.refuse_with = refuse_with
        self.is_deaf = is_deaf
        self.conversations: list[Conversation] = []
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="echo-agent", daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The stream URL to give an agent."""
        return f"ws://{self._host}:{self._port}/media"

    def start(self) -> Self:
        """Listen. Raises OSError when the port is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def stop(self) -> None:
        """Close every socket and end the thread."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_get("/media", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        if self.is_deaf:
            await asyncio.Event().wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        conversation = Conversation(parameters={})
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                conversation = await self._take(socket, conversation, json.loads(message.data))
                if self.hangs_up_after is not None and conversation.frames_in >= self.hangs_up_after:
                    break
        except ConnectionError:
            pass  # the caller hung up while its audio was on the way back
        conversation.is_over = True
        await socket.close()
        return socket

    async def _take(
        self, socket: web.WebSocketResponse, conversation: Conversation, frame: Mapping[str, Any]
    ) -> Conversation:
        """Act on one frame; return the conversation it belongs to."""
        if frame.get("event") == "start":
            return await self._begin(frame)
        if frame.get("event") == "media":
            await self._echo(socket, conversation, frame)
        elif frame.get("event") == "dtmf":
            conversation.keys.append(frame["dtmf"]["digit"])
        return conversation

    async def _begin(self, frame: Mapping[str, Any]) -> Conversation:
        conversation = Conversation(parameters=read_parameters(frame))
        self.conversations.append(conversation)
        token = conversation.parameters.get("token")
        if self.claim_url and token:
            conversation.claim = await _claim(self.claim_url.replace("{token}", token))
        return conversation

    async def _echo(
        self, socket: web.WebSocketResponse, conversation: Conversation, frame: Mapping[str, Any]
    ) -> None:
        conversation.frames_in += 1
        if frame["media"].get("track", "inbound") in ("inbound", "inbound_track"):
            conversation.frames_out += 1
            await socket.send_json(echo_frame(frame))


def read_parameters(start: Mapping[str, Any]) -> dict[str, str]:
    """Return the custom parameters of a start frame, wherever this carrier puts them.

    Twilio: `start.customParameters`; Telnyx: `start.custom_parameters`; Plivo: the text `extra_headers`, "k=v,k2=v2"
    (the separator is unconfirmed: ";" is understood too), values percent-encoded where they hold a separator.
    """
    inner = start.get("start", {})
    found = inner.get("customParameters") or inner.get("custom_parameters")
    if isinstance(found, Mapping):
        return {str(key): str(value) for key, value in found.items()}
    text = start.get("extra_headers") or ""
    pairs = (pair.partition("=") for pair in str(text).strip("{} ").replace(";", ",").split(","))
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs if key.strip()}


def echo_frame(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Return the frame that plays the received audio, in the carrier's own form (told apart by the ids' spelling)."""
    payload = frame["media"]["payload"]
    if "streamSid" in frame:
        return {"event": "media", "streamSid": frame["streamSid"], "media": {"payload": payload}}
    if "streamId" in frame:
        media = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload}
        return {"event": "playAudio", "media": media}
    return {"event": "media", "media": {"payload": payload}}


async def _claim(url: str) -> tuple[int, Any]:
    try:
        async with ClientSession(timeout=ClientTimeout(total=10)) as session, session.post(url) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text
    except ClientError as error:
        return 0, str(error)
