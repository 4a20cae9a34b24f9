"""Telnyx media frames: JSON text on the WebSocket the carrier opens to the agent.

Source: the vendor's media streaming pages (read 2026-06). All numbers in frames are strings. The audio is 8 kHz
mu-law (`PCMU`), the codec of the simulated phones; the agent's other codecs would be transcoded by the carrier and
are answered here as invalid media.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from providers.simulator.carriers.telnyx.webhooks import LegView, microseconds

FRAME_MS: Final = 20
BYTES_PER_MS: Final = 8
SHORTEST_CHUNK: Final = FRAME_MS * BYTES_PER_MS
LONGEST_CHUNK: Final = 30_000 * BYTES_PER_MS

# Source: the vendor's table of streaming errors.
ERROR_TITLES: Final = {
    100002: "unknown_error",
    100003: "malformed_frame",
    100004: "invalid_media",
    100005: "rate_limit_reached",
}


class BadFrame(Exception):
    """The agent sent what the carrier cannot use; it answers an `error` frame and goes on."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code} {ERROR_TITLES[code]}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What the customer asked of a stream, with the carrier's defaults."""

    url: str
    track: str = "inbound_track"
    codec: str = "default"
    mode: str = "mp3"
    return_codec: str = "PCMU"
    sampling_rate: int = 8000
    target_legs: str = "opposite"
    auth_token: str | None = None
    custom_parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> StreamOptions:
        """Read the `stream_*` fields of a dial, an answer or a `streaming_start`."""
        return cls(
            url=fields["stream_url"],
            track=fields.get("stream_track") or "inbound_track",
            codec=fields.get("stream_codec") or "default",
            mode=fields.get("stream_bidirectional_mode") or "mp3",
            return_codec=fields.get("stream_bidirectional_codec") or "PCMU",
            sampling_rate=fields.get("stream_bidirectional_sampling_rate") or 8000,
            target_legs=fields.get("stream_bidirectional_target_legs") or "opposite",
            auth_token=fields.get("stream_auth_token"),
            custom_parameters=tuple((p["name"], p["value"]) for p in fields.get("custom_parameters") or ()),
        )

    @property
    def handshake_headers(self) -> dict[str, str]:
        """Make the headers with which the carrier opens the socket."""
        token = {} if self.auth_token is None else {"x-telnyx-streaming-auth-token": self.auth_token}
        return {"User-Agent": "telnyx-media-streaming", **token}

    @property
    def tracks(self) -> tuple[str, ...]:
        """Name the tracks that are sent: what the far party says, what it hears, or both."""
        both = ("inbound", "outbound")
        return {"inbound_track": both[:1], "outbound_track": both[1:], "both_tracks": both}[self.track]


class FrameWriter:
    """Numbers and writes what the carrier sends on one stream."""

    def __init__(self, stream_id: str, options: StreamOptions) -> None:
        self.stream_id = stream_id
        self._options = options
        self._sequence = 0
        self._chunks = {"inbound": 0, "outbound": 0}

    def connected(self) -> str:
        """Make the first frame; the only one without a number."""
        frame: dict[str, Any] = {"event": "connected", "version": "1.0.0"}
        if self._options.auth_token is not None:
            frame["connected"] = {"x-telnyx-streaming-auth-token": self._options.auth_token}
        return json.dumps(frame)

    def start(self, leg: LegView, *, user_id: str) -> str:
        """Make the frame that says which call this is."""
        start: dict[str, Any] = {
            "user_id": user_id,
            "call_control_id": leg.call_control_id,
            "call_session_id": leg.call_session_id,
            "from": leg.from_,
            "to": leg.to,
            "tags": [],
            "client_state": leg.client_state,
            "custom_parameters": dict(self._options.custom_parameters),
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        return self._frame("start", start=start)

    def media(self, audio: bytes, *, track: str = "inbound") -> str:
        """Make a frame of audio; `timestamp` is milliseconds since the start of the track."""
        timestamp_ms = self._chunks[track] * FRAME_MS
        self._chunks[track] += 1
        media = {
            "track": track,
            "chunk": str(self._chunks[track]),
            "timestamp": str(timestamp_ms),
            "payload": base64.b64encode(audio).decode("ascii"),
        }
        return self._frame("media", media=media)

    def dtmf(self, digit: str, *, occurred_at: datetime) -> str:
        """Make the frame of one key."""
        return self._frame("dtmf", occurred_at=microseconds(occurred_at), dtmf={"digit": digit})

    def mark(self, name: str) -> str:
        """Make the echo of a mark: what was queued before it has been played, or thrown away."""
        return self._frame("mark", mark={"name": name})

    def error(self, bad: BadFrame) -> str:
        """Make the complaint about one frame of the agent."""
        payload = {"code": bad.code, "title": ERROR_TITLES[bad.code], "detail": bad.detail}
        return json.dumps({"event": "error", "stream_id": self.stream_id, "payload": payload})

    def stop(self, leg: LegView, *, user_id: str) -> str:
        """Make the last frame."""
        return self._frame("stop", stop={"user_id": user_id, "call_control_id": leg.call_control_id})

    def _frame(self, event: str, **rest: Any) -> str:
        self._sequence += 1
        frame = {"event": event, "sequence_number": str(self._sequence), "stream_id": self.stream_id}
        return json.dumps({**frame, **rest})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFrame:
    """One frame from the agent: audio to play, a mark to send back, or an order to empty the queue."""

    event: str
    audio: bytes = b""
    name: str = ""


class FrameReader:
    """Reads what the agent sends, by the mode its stream was started in."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._last_file_s: float | None = None

    def read(self, text: str, *, at_s: float) -> AgentFrame:
        """Read one frame that arrived at `at_s` (seconds of any steady clock).

        Raises:
            BadFrame: with the carrier's error code.
        """
        frame = _parse(text)
        event = frame.get("event")
        if event == "media":
            return AgentFrame(event="media", audio=self._audio(frame, at_s))
        if event == "mark":
            return AgentFrame(event="mark", name=_mark_name(frame))
        if event == "clear":
            return AgentFrame(event="clear")
        raise BadFrame(100003, "The event is none of media, mark, clear.")

    def _audio(self, frame: Mapping[str, Any], at_s: float) -> bytes:
        audio = _payload(frame)
        if self._options.mode == "mp3":
            self._take_file(audio, at_s)
        else:
            self._take_rtp(audio)
        return audio

    def _take_file(self, audio: bytes, at_s: float) -> None:
        if not looks_like_mp3(audio):
            raise BadFrame(100004, "The payload is not an MP3 file (stream_bidirectional_mode is mp3).")
        if self._last_file_s is not None and at_s - self._last_file_s < 1.0:
            raise BadFrame(100005, "At most one media message a second in mp3 mode.")
        self._last_file_s = at_s

    def _take_rtp(self, audio: bytes) -> None:
        if self._options.return_codec != "PCMU":
            raise BadFrame(100004, "The simulator takes PCMU only.")
        if not SHORTEST_CHUNK <= len(audio) <= LONGEST_CHUNK:
            raise BadFrame(100004, "A chunk must hold 20 ms to 30 s of audio.")


def looks_like_mp3(audio: bytes) -> bool:
    """Say whether the bytes begin as an MP3 file does: an ID3 tag, or a valid MPEG layer III frame header."""
    if audio.startswith(b"ID3"):
        return True
    if len(audio) < 4 or audio[0] != 0xFF or audio[1] & 0xE0 != 0xE0:
        return False
    version, layer, bitrate = audio[1] >> 3 & 3, audio[1] >> 1 & 3, audio[2] >> 4
    return version != 1 and layer == 1 and bitrate not in (0, 15)


def _parse(text: str) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame(100003, "The frame is not JSON.") from error
    if not isinstance(frame, dict):
        raise BadFrame(100003, "The frame is not a JSON object.")
    return frame


def _payload(frame: Mapping[str, Any]) -> bytes:
    media = frame.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str) or not payload:
        raise BadFrame(100003, "The media frame has no payload.")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadFrame(100004, "The payload is not base64.") from error


def _mark_name(frame: Mapping[str, Any]) -> str:
    mark = frame.get("mark")
    name = mark.get("name") if isinstance(mark, dict) else None
    if not isinstance(name, str):
        raise BadFrame(100003, "The mark has no name.")
    return name
