"""The carrier's end of a media socket: connects to the agent's URL, streams the party's voice, plays what comes back.

The carrier's frames come from a codec that the face passes in. Audio is mu-law, 8000 Hz, 20 ms (160 bytes) a frame,
paced in scripted time. What the agent sends is queued and played at the same pace: the party hears only what was
played before the socket closed or a clear arrived.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from providers.simulator.clock import Clock
from providers.simulator.exchange import Exchange, Leg
from providers.simulator.journal import Journal, Kind

FRAME_BYTES: Final = 160
FRAME_MS: Final = 20
SILENCE_BYTE: Final = 0xFF
SHORTEST_PAUSE_S: Final = (
    0.004  # above speed 5 audio does not get any faster: more frames a second only burn CPU
)
CONNECT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioIn:
    """Audio from the agent, to be played in order."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkIn:
    """The agent wants to know when what it sent so far was played."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearIn:
    """The agent takes back what was not played yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysIn:
    """The agent sends keys to the party."""

    digits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyIn:
    """The codec answers by itself with these messages."""

    messages: Sequence[str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadIn:
    """Not a message this carrier knows: journaled; `fatal` ends the stream."""

    reason: str
    fatal: bool = False


MediaIn = AudioIn | MarkIn | ClearIn | KeysIn | ReplyIn | BadIn


class FrameCodec(Protocol):
    """One carrier's frames for one stream. It numbers its own frames; messages are text, or bytes for binary."""

    def opening(self) -> Sequence[str | bytes]:
        """What is sent when the socket is open."""
        ...

    def audio(self, payload: bytes, at_ms: int) -> str | bytes:
        """160 bytes of the party's voice; `at_ms` since the stream's start."""
        ...

    def key(self, digit: str) -> str | bytes | None:
        """A key the party pressed; None: this carrier does not report it."""
        ...

    def mark(self, name: str) -> str | bytes | None:
        """What was sent before the mark was played."""
        ...

    def cleared(self) -> str | bytes | None:
        """The answer to a clear."""
        ...

    def closing(self) -> Sequence[str | bytes]:
        """What is sent before the carrier closes the socket."""
        ...

    def read(self, message: str | bytes) -> MediaIn:
        """What the agent said; never raises."""
        ...


class StreamRefused(Exception):
    """The agent's socket did not open.

    Attributes:
        kind: "connect" (nobody listens, DNS), "http" (an answer other than 101), "timeout" or "handshake".
        status: the HTTP status, when there was one.
    """

    def __init__(self, kind: str, status: int | None = None) -> None:
        super().__init__(f"stream refused: {kind}" + (f" {status}" if status else ""))
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """How an open stream ended: by the "agent", the "carrier", or an "error" of the agent's (with the reason)."""

    by: str
    close_code: int | None
    reason: str | None
    frames_sent: int
    frames_received: int
    bytes_played: int
    is_echo: bool


class MediaStream:
    """One media socket. `await connect()`, then `await run()` until it ends; `close()` ends it from our side.

    Args:
        uses_party: whether what the agent sends reaches the party (bidirectional streams only).
        keepalive: whether the stream ends with its leg; the face calls `close` otherwise.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        exchange: Exchange,
        session: aiohttp.ClientSession,
        leg: Leg,
        url: str,
        codec: FrameCodec,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        uses_party: bool = True,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._exchange = exchange
        self._session = session
        self._leg = leg
        self._url = url
        self._codec = codec
        self._headers = dict(headers or {})
        self._subprotocols = tuple(subprotocols)
        self._uses_party = uses_party
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._voice = Voice(leg.party.says_tone)
        self._queue: deque[AudioIn | MarkIn] = deque()
        self._played = bytearray()
        self._sent = 0
        self._received = 0
        self._closing = asyncio.Event()
        self._reason: str | None = None

    async def connect(self) -> None:
        """Opens the socket and sends the carrier's opening frames; raises StreamRefused."""
        try:
            self._socket = await asyncio.wait_for(self._open(), CONNECT_TIMEOUT_S)
        except StreamRefused as refused:
            self._note("refused", reason=refused.kind, status=refused.status)
            raise
        except TimeoutError:
            self._note("refused", reason="timeout", status=None)
            raise StreamRefused("timeout") from None
        self._note("opened")
        for message in self._codec.opening():
            await self._send(message)

    async def run(self) -> StreamEnd:
        """Streams both ways until the agent closes, the leg ends or `close` is called."""
        socket = self._open_socket()
        talk = asyncio.create_task(self._talk())
        keys = asyncio.create_task(self._press_keys())
        listen = asyncio.create_task(self._listen(socket))
        waits = [
            asyncio.create_task(self._closing.wait()),
            asyncio.create_task(self._leg.ended.wait()),
            listen,
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            by = self._ended_by(listen)
            if by == "carrier":
                await self._say_goodbye()
        finally:
            for task in (talk, keys, listen, *waits):
                task.cancel()
            await asyncio.gather(talk, keys, listen, *waits, return_exceptions=True)
            await asyncio.shield(_closed(socket))
        return self._end(by, socket.close_code)

    def close(self) -> None:
        """Ends the stream from the carrier's side."""
        self._closing.set()

    # -- the socket

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._session.ws_connect(
                self._url, headers=self._headers, protocols=self._subprotocols, max_msg_size=1024 * 1024
            )
        except aiohttp.WSServerHandshakeError as error:
            raise StreamRefused("handshake" if error.status == 101 else "http", error.status) from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ValueError):
            raise StreamRefused("connect") from None
        except (aiohttp.ClientError, OSError):
            raise StreamRefused("handshake") from None

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self._received += 1
                await self._take(self._codec.read(message.data))
            if self._reason is not None:
                return

    async def _take(self, told: MediaIn) -> None:
        match told:
            case AudioIn() | MarkIn():
                self._queue.append(told)
            case ClearIn():
                await self._clear()
            case KeysIn():
                self._exchange.heard(self._leg, "keys", told.digits)
            case ReplyIn():
                for message in told.messages:
                    await self._send(message)
            case BadIn():
                self._note("bad_message", reason=told.reason)
                if told.fatal:
                    self._reason = told.reason

    async def _send(self, message: str | bytes | None) -> None:
        socket = self._open_socket()
        if message is None or socket.closed:
            return
        try:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        except (ConnectionError, aiohttp.ClientError):
            return  # the agent is gone: _listen ends and reports it

    async def _say_goodbye(self) -> None:
        for message in self._codec.closing():
            await self._send(message)

    def _open_socket(self) -> aiohttp.ClientWebSocketResponse:
        if self._socket is None:
            raise RuntimeError("the media stream is not connected")
        return self._socket

    # -- audio

    async def _talk(self) -> None:
        """Every 20 scripted ms: one frame of the party's voice out, one frame of the agent's audio played."""
        loop = asyncio.get_running_loop()
        pause_s = max(self._clock.real_s(FRAME_MS / 1000), SHORTEST_PAUSE_S)
        due = loop.time()
        while True:
            await self._send(self._codec.audio(self._voice.next_frame(), self._sent * FRAME_MS))
            self._sent += 1
            await self._play_frame()
            due += pause_s
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _play_frame(self) -> None:
        room = FRAME_BYTES
        while self._queue and (room or isinstance(self._queue[0], MarkIn)):
            item = self._queue.popleft()
            if isinstance(item, MarkIn):
                await self._send(self._codec.mark(item.name))
                continue
            self._played += item.payload[:room]
            if len(item.payload) > room:
                self._queue.appendleft(AudioIn(payload=item.payload[room:]))
            room = max(0, room - len(item.payload))

    async def _clear(self) -> None:
        marks = [item for item in self._queue if isinstance(item, MarkIn)]
        self._queue.clear()
        for item in marks:
            await self._send(self._codec.mark(item.name))
        await self._send(self._codec.cleared())

    async def _press_keys(self) -> None:
        while True:
            digit = await self._leg.party.keys.get()
            await self._send(self._codec.key(digit))

    # -- the end

    def _ended_by(self, listen: asyncio.Task[None]) -> str:
        if self._closing.is_set() or not self._leg.is_live:
            return "carrier"
        if self._reason is None and not listen.cancelled() and listen.exception() is not None:
            self._reason = type(listen.exception()).__name__
        return "error" if self._reason else "agent"

    def _end(self, by: str, close_code: int | None) -> StreamEnd:
        played = bytes(self._played)
        is_echo = len(played) >= FRAME_BYTES and self._voice.has_said(played)
        end = StreamEnd(
            by=by,
            close_code=close_code,
            reason=self._reason,
            frames_sent=self._sent,
            frames_received=self._received,
            bytes_played=len(played),
            is_echo=is_echo,
        )
        if self._uses_party and played:
            self._exchange.heard(self._leg, "audio", len(played), is_echo)
        self._note(
            "closed",
            by=by,
            close_code=close_code,
            reason=self._reason,
            frames_sent=self._sent,
            frames_received=self._received,
            bytes_played=len(played),
            is_echo=is_echo,
        )
        return end

    def _note(self, what: str, **data: Any) -> None:
        self._journal.add(
            Kind.MEDIA,
            self._leg.provider,
            self._leg.root.id,
            leg_id=self._leg.id,
            what=what,
            url=self._url.split("?")[0],
            **data,
        )


class Voice:
    """The party's voice: a mu-law tone whose loudness wanders, so that a piece of it is recognizable; or silence."""

    def __init__(self, says_tone: bool) -> None:
        self._says_tone = says_tone
        self._state = 0x2545F491
        self._said = bytearray()

    def next_frame(self) -> bytes:
        """The next 20 ms, 160 bytes."""
        frame = self._tone() if self._says_tone else bytes([SILENCE_BYTE]) * FRAME_BYTES
        self._said += frame
        return frame

    def has_said(self, audio: bytes) -> bool:
        """Whether this audio is a piece of what was said."""
        return audio in self._said

    def _tone(self) -> bytes:
        """20 ms of a square-like 400 Hz tone (8 periods of 20 samples), each period in its own loudness."""
        frame = bytearray()
        for _ in range(FRAME_BYTES // 20):
            self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
            loud = 0x10 + (self._state >> 16) % 0x40
            frame += bytes([0x80 | loud]) * 10 + bytes([loud]) * 10
        return bytes(frame)


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        await asyncio.wait_for(socket.close(), 2.0)
    except (TimeoutError, aiohttp.ClientError, ConnectionError):
        return  # an agent that does not answer the close is gone all the same
