"""Frames on Plivo's media WebSocket: what it sends to the agent, and a strict reader of what the agent sends back.

Source: Plivo's audio streaming protocol reference (plivo.com/docs, read 2026). JSON text frames only. Unconfirmed:
the `stop` frame (one page lists it; off by default), `playedStream` for cleared audio (not sent here).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from providers.simulator.carriers.plivo.audio import linear, mulaw
from providers.simulator.media import AudioIn, BadIn, ClearIn, KeysIn, MarkIn, MediaIn

INVALID_CONTENT_TYPE: Final = "invalid_content_type"
LARGEST_MESSAGE: Final = 64 * 1024
LARGEST_PAYLOAD: Final = 16 * 1024  # base64 characters of one playAudio


class FrameRefused(Exception):
    """A frame from the agent that Plivo does not understand; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """The stream's format; `content_type` as in the XML attribute, `audio/x-mulaw;rate=8000`."""

    content_type: str

    @property
    def encoding(self) -> str:
        """The part before the rate."""
        return self.content_type.partition(";")[0]

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self.content_type.partition("rate=")[2])

    @property
    def is_mulaw(self) -> bool:
        """One byte a sample; else two, linear."""
        return self.encoding == "audio/x-mulaw"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayAudio:
    """Audio from the agent, decoded."""

    audio: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A name to be reported by `playedStream` once everything sent before it was played."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearAudio:
    """Drop what is queued (barge-in)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDtmf:
    """Keys to press towards the other party."""

    digits: str


Heard = PlayAudio | Checkpoint | ClearAudio | SendDtmf


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes one stream's frames, counting them.

    Attributes:
        extra_headers: the stream's `extraHeaders` text, repeated in each frame.
    """

    call_uuid: str
    stream_id: str
    account_id: str
    format: AudioFormat
    tracks: tuple[str, ...] = ("inbound",)
    extra_headers: str = ""
    sequence: int = 0
    chunks: int = 0

    def start(self) -> str:
        """The first frame."""
        start = {
            "callId": self.call_uuid,
            "streamId": self.stream_id,
            "accountId": self.account_id,
            "tracks": list(self.tracks),
            "mediaFormat": {"encoding": self.format.encoding, "sampleRate": self.format.sample_rate},
        }
        return self._frame("start", start=start, extra_headers=self.extra_headers)

    def media(self, audio: bytes, *, timestamp_ms: int, track: str = "inbound") -> str:
        """A piece of the party's audio; `timestamp_ms` since the epoch is written as text."""
        self.chunks += 1
        media = {
            "track": track,
            "timestamp": str(timestamp_ms),
            "chunk": self.chunks,
            "payload": base64.b64encode(audio).decode(),
        }
        return self._frame("media", streamId=self.stream_id, media=media, extra_headers=self.extra_headers)

    def dtmf(self, digit: str, *, timestamp_ms: int, track: str = "inbound") -> str:
        """One key pressed by the party."""
        dtmf = {"track": track, "digit": digit, "timestamp": str(timestamp_ms)}
        return self._frame("dtmf", streamId=self.stream_id, dtmf=dtmf, extra_headers=self.extra_headers)

    def played(self, name: str) -> str:
        """The checkpoint `name` was reached."""
        return self._frame("playedStream", streamId=self.stream_id, name=name)

    def cleared(self) -> str:
        """The queue was dropped."""
        return self._frame("clearedAudio", streamId=self.stream_id)

    def stop(self) -> str:
        """The frame that only one page knows; sent when the habit is switched on."""
        return self._frame("stop", streamId=self.stream_id)

    def _frame(self, event: str, **fields: Any) -> str:
        self.sequence += 1
        return json.dumps({"sequenceNumber": self.sequence, "event": event, **fields})


def read_frame(message: str, expected: AudioFormat, stream_id: str) -> Heard:
    """Read a frame that the agent sent.

    Raises:
        FrameRefused: too large, not JSON, an unknown event, a field missing, or a format other than the stream's.
    """
    if len(message.encode()) > LARGEST_MESSAGE:
        raise FrameRefused("message over 64 KB")
    try:
        frame = json.loads(message)
    except ValueError as error:
        raise FrameRefused("not JSON") from error
    if not isinstance(frame, dict):
        raise FrameRefused("not a JSON object")
    match frame.get("event"):
        case "playAudio":
            return _play_audio(frame.get("media"), expected)
        case "checkpoint":
            _check_stream(frame, stream_id)
            return Checkpoint(name=_text(frame, "name"))
        case "clearAudio":
            _check_stream(frame, stream_id)
            return ClearAudio()
        case "sendDTMF":
            return SendDtmf(digits=_text(frame, "dtmf"))
    raise FrameRefused(f"unknown event {str(frame.get('event'))[:40]!r}")


def _play_audio(media: object, expected: AudioFormat) -> PlayAudio:
    if not isinstance(media, dict):
        raise FrameRefused("playAudio without media")
    if media.get("contentType") != expected.encoding or not _is_rate(
        media.get("sampleRate"), expected.sample_rate
    ):
        raise FrameRefused(INVALID_CONTENT_TYPE)
    payload = _text(media, "payload")
    if len(payload) > LARGEST_PAYLOAD:
        raise FrameRefused("payload over 16 KB")
    try:
        return PlayAudio(audio=base64.b64decode(payload, validate=True))
    except binascii.Error as error:
        raise FrameRefused("payload is not base64") from error


def _is_rate(given: object, expected: int) -> bool:
    return not isinstance(given, bool) and isinstance(given, int | str) and str(given) == str(expected)


def _check_stream(frame: Mapping[str, Any], stream_id: str) -> None:
    if frame.get("streamId") != stream_id:
        raise FrameRefused("unknown streamId")


def _text(frame: Mapping[str, Any], name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str) or not value:
        raise FrameRefused(f"{name} missing")
    return value


class Codec:
    """One stream's frames as the simulator's media client uses them: mu-law inside, the stream's format outside."""

    def __init__(self, writer: Writer, *, started_ms: int, sends_stop: bool) -> None:
        self._writer = writer
        self._started_ms = started_ms
        self._sends_stop = sends_stop
        self._at_ms = 0
        self._clearing = False

    def opening(self) -> Sequence[str | bytes]:
        """The `start` frame."""
        return [self._writer.start()]

    def audio(self, payload: bytes, at_ms: int) -> str | bytes:
        """A piece of the party's voice."""
        self._at_ms = at_ms
        shape = self._writer.format
        raw = payload if shape.is_mulaw else linear(payload, shape.sample_rate)
        return self._writer.media(raw, timestamp_ms=self._started_ms + at_ms)

    def key(self, digit: str) -> str | bytes | None:
        """A key of the party's."""
        return self._writer.dtmf(digit, timestamp_ms=self._started_ms + self._at_ms)

    def mark(self, name: str) -> str | bytes | None:
        """A checkpoint was reached; one whose audio was cleared is not reported."""
        return None if self._clearing else self._writer.played(name)

    def cleared(self) -> str | bytes | None:
        """The answer to a clear."""
        self._clearing = False
        return self._writer.cleared()

    def closing(self) -> Sequence[str | bytes]:
        """Nothing, or `stop` by habit."""
        return [self._writer.stop()] if self._sends_stop else []

    def read(self, message: str | bytes) -> MediaIn:
        """Read what the agent sent; audio of another format ends the stream."""
        if isinstance(message, bytes):
            return BadIn(reason="binary message")
        try:
            heard = read_frame(message, self._writer.format, self._writer.stream_id)
        except FrameRefused as refused:
            return BadIn(reason=str(refused), fatal=str(refused) == INVALID_CONTENT_TYPE)
        match heard:
            case PlayAudio():
                shape = self._writer.format
                audio = heard.audio if shape.is_mulaw else mulaw(heard.audio, shape.sample_rate)
                return AudioIn(payload=audio)
            case Checkpoint():
                return MarkIn(name=heard.name)
            case SendDtmf():
                return KeysIn(digits=heard.digits)
            case ClearAudio():
                self._clearing = True
                return ClearIn()
