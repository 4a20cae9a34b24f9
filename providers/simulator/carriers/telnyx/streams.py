"""The media socket of a leg: opens it, reports it, and speaks Telnyx frames on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import webhooks
from providers.simulator.carriers.telnyx.frames import BadFrame, FrameReader, FrameWriter, StreamOptions
from providers.simulator.carriers.telnyx.outbox import Outbox
from providers.simulator.carriers.telnyx.state import record_of, uuid4_like, view
from providers.simulator.exchange import Leg
from providers.simulator.media import (
    FRAME_BYTES,
    SILENCE_BYTE,
    AudioIn,
    ClearIn,
    MarkIn,
    MediaIn,
    ReplyIn,
    StreamRefused,
)

SILENCE: Final = bytes([SILENCE_BYTE]) * FRAME_BYTES


class Codec:
    """Telnyx frames of one stream, as the simulator's media socket wants them.

    Of the outbound track (what the party hears) only silence is sent; a bidirectional agent sent it itself.
    """

    def __init__(
        self,
        leg: Leg,
        stream_id: str,
        options: StreamOptions,
        *,
        now: Callable[[], datetime],
        on_key: Callable[[str], None],
        on_file: Callable[[bytes], None],
    ) -> None:
        self._leg = leg
        self._writer = FrameWriter(stream_id, options)
        self._reader = FrameReader(options)
        self._options = options
        self._now = now
        self._on_key = on_key
        self._on_file = on_file

    def opening(self) -> Sequence[str | bytes]:
        """Make `connected` and `start`."""
        return [self._writer.connected(), self._writer.start(view(self._leg), user_id=self._user_id)]

    def audio(self, payload: bytes, at_ms: int) -> str | bytes:
        """Make a frame of the asked track; `at_ms` follows from the chunk's number."""
        track = self._options.tracks[0]
        return self._writer.media(payload if track == "inbound" else SILENCE, track=track)

    def key(self, digit: str) -> str | bytes | None:
        """Make a `dtmf` frame, and let the webhook go out too."""
        self._on_key(digit)
        return self._writer.dtmf(digit, occurred_at=self._now())

    def mark(self, name: str) -> str | bytes | None:
        """Make the echo of a mark."""
        return self._writer.mark(name)

    def cleared(self) -> str | bytes | None:
        """Answer nothing: the marks that come back say it."""
        return None

    def closing(self) -> Sequence[str | bytes]:
        """Make `stop`."""
        return [self._writer.stop(view(self._leg), user_id=self._user_id)]

    def read(self, message: str | bytes) -> MediaIn:
        """Read one message; what the carrier cannot use is answered with an `error` frame."""
        try:
            if isinstance(message, bytes):
                raise BadFrame(100003, "A binary frame.")
            frame = self._reader.read(message, at_s=time.monotonic())
        except BadFrame as bad:
            return ReplyIn(messages=[self._writer.error(bad)])
        if frame.event == "mark":
            return MarkIn(name=frame.name)
        if frame.event == "clear":
            return ClearIn()
        if self._options.mode == "mp3":
            self._on_file(frame.audio)
            return ReplyIn(messages=[])
        return AudioIn(payload=frame.audio)

    @property
    def _user_id(self) -> str:
        return record_of(self._leg).customer.account.account_ref


class Streams:
    """Starts and stops the streams of this carrier's legs; a stream takes the keys until it is over."""

    def __init__(
        self,
        core: Core,
        outbox: Outbox,
        *,
        on_key: Callable[[Leg, str], None],
        on_over: Callable[[Leg], None],
    ) -> None:
        self._core = core
        self._outbox = outbox
        self._on_key = on_key
        self._on_over = on_over

    def start(self, leg: Leg, options: StreamOptions) -> None:
        """Open the agent's socket in the background; `streaming.started` or `streaming.failed` tells how it went."""
        record = record_of(leg)
        record.stream_id = uuid4_like(self._core.random)
        codec = Codec(
            leg,
            record.stream_id,
            options,
            now=self._core.clock.now,
            on_key=lambda digit: self._on_key(leg, digit),
            on_file=lambda audio: self._core.exchange.heard(
                leg, "play", f"an MP3 file of {len(audio)} bytes"
            ),
        )
        record.stream = self._core.open_stream(leg, options.url, codec, headers=options.handshake_headers)
        if record.key_reader is not None:
            record.key_reader.cancel()
        self._core.spawn(self._run(leg, options), call_id=leg.root.id)

    def stop(self, leg: Leg) -> None:
        """Close the socket from the carrier's side."""
        stream = record_of(leg).stream
        if stream is not None:
            stream.close()

    async def _run(self, leg: Leg, options: StreamOptions) -> None:
        record = record_of(leg)
        try:
            await self._stream(leg, options)
        finally:
            record.stream = None
        self._on_over(leg)

    async def _stream(self, leg: Leg, options: StreamOptions) -> None:
        stream = record_of(leg).stream
        if stream is None:
            return
        try:
            await stream.connect()
        except StreamRefused:
            self._report_failure(leg, options)
            return
        self._outbox.send(leg, "streaming.started", webhooks.streaming(view(leg), options.url))
        await stream.run()
        self._outbox.send(leg, "streaming.stopped", webhooks.streaming(view(leg), options.url))

    def _report_failure(self, leg: Leg, options: StreamOptions) -> None:
        payload = webhooks.streaming_failed(
            view(leg),
            stream_id=record_of(leg).stream_id or "",
            stream_url=options.url,
            track=options.track,
            reason="connection_failed",
        )
        self._outbox.send(leg, "streaming.failed", payload)
