"""Twilio Media Streams messages. Source: Twilio Media Streams WebSocket messages page.

Every message from Twilio but `connected` has `streamSid` and a `sequenceNumber` that is a string from "1".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from providers.simulator.media import AudioIn, BadIn, ClearIn, MarkIn, MediaIn


class TwilioFrames:
    """The codec of one stream.

    Args:
        tracks: as announced, e.g. ("inbound",). Only the first carries the party's voice.
        is_bidirectional: of <Connect><Stream>; a one-way stream takes nothing from the agent and reports no keys.
    """

    def __init__(
        self,
        *,
        stream_sid: str,
        account_sid: str,
        call_sid: str,
        parameters: Mapping[str, str],
        tracks: Sequence[str] = ("inbound",),
        is_bidirectional: bool = True,
    ) -> None:
        self._stream_sid = stream_sid
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._parameters = dict(parameters)
        self._tracks = list(tracks)
        self._is_bidirectional = is_bidirectional
        self._sequence = 0
        self._chunk = 0

    def opening(self) -> Sequence[str]:
        """`connected`, then `start`."""
        start = {
            "streamSid": self._stream_sid,
            "accountSid": self._account_sid,
            "callSid": self._call_sid,
            "tracks": self._tracks,
            "customParameters": self._parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self._message("start", start=start)]

    def audio(self, payload: bytes, at_ms: int) -> str:
        """A `media` message; chunk and timestamp are strings."""
        self._chunk += 1
        media = {
            "track": self._tracks[0],
            "chunk": str(self._chunk),
            "timestamp": str(at_ms),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._message("media", media=media)

    def key(self, digit: str) -> str | None:
        """A `dtmf` message, of bidirectional streams only."""
        if not self._is_bidirectional:
            return None
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """What came before the mark was played, or cleared."""
        return self._message("mark", mark={"name": name})

    def cleared(self) -> None:
        """Twilio has no answer to `clear` of its own: the outstanding marks are the answer."""

    def closing(self) -> Sequence[str]:
        """`stop`."""
        return [self._message("stop", stop={"accountSid": self._account_sid, "callSid": self._call_sid})]

    def read(self, message: str | bytes) -> MediaIn:
        """What the agent sent: `media`, `mark` or `clear`; the rest is a stream error (31951)."""
        try:
            told = json.loads(message)
            if not isinstance(told, dict) or told.get("streamSid") != self._stream_sid:
                return BadIn(reason="not a message of this stream")
            return self._read(told)
        except (ValueError, KeyError, TypeError, AttributeError):
            return BadIn(reason="not a media message")

    def _read(self, told: dict[str, Any]) -> MediaIn:
        if not self._is_bidirectional:
            return BadIn(reason="a one-way stream takes no messages")
        match told["event"]:
            case "media":
                return AudioIn(payload=_decoded(told["media"]["payload"]))
            case "mark":
                return MarkIn(name=str(told["mark"]["name"]))
            case "clear":
                return ClearIn()
        return BadIn(reason=f"unknown event {str(told['event'])[:40]!r}")

    def _message(self, event: str, **fields: Any) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self._stream_sid}
        return json.dumps({**head, **fields})


def _decoded(payload: object) -> bytes:
    if not isinstance(payload, str):
        raise TypeError("the payload is no text")
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
