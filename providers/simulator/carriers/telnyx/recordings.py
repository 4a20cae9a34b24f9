"""Recordings: started and stopped, announced with a link that expires, fetched as a real audio file."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from providers.simulator.api import ApiAnswer, ApiRequest
from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import webhooks
from providers.simulator.carriers.telnyx.outbox import Outbox
from providers.simulator.carriers.telnyx.rest import Document, milliseconds
from providers.simulator.carriers.telnyx.state import Customer, Habits, Recording, record_of, uuid4_like, view
from providers.simulator.exchange import Direction, Leg

LINK_LIFE_S: Final = 600.0
LONGEST_FILE_S: Final = 10.0
SAMPLE_RATE: Final = 8000
CHANNELS: Final = {"single": 1, "dual": 2}
# MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono: 104 bytes a frame; zeros behind the header are 26 ms of silence.
MP3_FRAME: Final = bytes.fromhex("fffb10c0") + bytes(100)
MP3_FRAME_S: Final = 1152 / 44_100


class Recorder:
    """Keeps the recordings of this carrier's legs. Links are tokens on a path of their own, not under `/v2`."""

    def __init__(self, core: Core, outbox: Outbox, habits: Habits) -> None:
        self._core = core
        self._outbox = outbox
        self._habits = habits
        self._links: dict[str, tuple[Recording, float]] = {}

    def new_id(self) -> str:
        """Make an id, for an answer that names a recording before it begins."""
        return uuid4_like(self._core.random)

    def start(self, leg: Leg, fields: Mapping[str, Any], *, recording_id: str, by: str) -> None:
        """Begin to record; `fields` has `format`, `channels`, `max_length`, `play_beep` in the names of the command."""
        record = record_of(leg)
        recording = Recording(
            id=recording_id,
            leg=leg,
            record=record,
            channels=fields.get("channels") or "dual",
            file_format=fields.get("format") or "mp3",
            initiated_by=by,
            started_at=self._core.clock.now(),
            started_mark=self._core.clock.mark(),
        )
        record.recordings.append(recording)
        if fields.get("play_beep"):
            self._core.exchange.heard(leg, "beep")
        if limit_s := fields.get("max_length"):
            record.timers.append(
                self._core.spawn(self._stop_after(recording, limit_s), call_id=leg.root.id, keeps_open=False)
            )

    def stop(self, leg: Leg, recording_id: str | None = None) -> None:
        """End one recording, or all that run; each is announced when it is ready."""
        for recording in record_of(leg).recordings:
            if recording.ended_at is None and recording_id in (None, recording.id):
                self._end(recording)

    def document(self, recording: Recording) -> Document:
        """Make the REST resource; its link is fresh with every answer."""
        leg, record = recording.leg, recording.record
        ended = recording.ended_at or recording.started_at
        return {
            "record_type": "recording",
            "id": recording.id,
            "call_control_id": leg.id,
            "call_leg_id": record.call_leg_id,
            "call_session_id": record.call_session_id,
            "connection_id": record.connection_id,
            "channels": recording.channels,
            "duration_millis": round(recording.duration_s * 1000),
            "download_urls": {recording.file_format: self.link(recording)},
            "from": leg.from_,
            "to": leg.to,
            "initiated_by": recording.initiated_by,
            "source": "call",
            "status": "completed",
            "recording_started_at": milliseconds(recording.started_at),
            "recording_ended_at": milliseconds(ended),
            "created_at": milliseconds(ended),
            "updated_at": milliseconds(ended),
        }

    def link(self, recording: Recording) -> str:
        """Make a link that can be fetched without credentials for ten scripted minutes."""
        token = self._core.hex(32)
        self._links[token] = (recording, self._core.clock.mark())
        query = urlencode({"X-Amz-Expires": int(LINK_LIFE_S), "X-Amz-Signature": token})
        return f"{self._core.base_url('telnyx')}/storage/{recording.id}.{recording.file_format}?{query}"

    async def download(self, request: ApiRequest) -> ApiAnswer:
        """Serve a link as the storage host does: it takes the signed link or credentials, never both."""
        if "Authorization" in request.headers:
            return _storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        token = dict(request.query_pairs()).get("X-Amz-Signature", "")
        recording, made = self._links.get(token, (None, 0.0))
        if recording is None or request.parts["file"] != f"{recording.id}.{recording.file_format}":
            return _storage_error(403, "SignatureDoesNotMatch", "The signature does not match")
        if self._core.clock.elapsed_s(made) > LINK_LIFE_S:
            return _storage_error(403, "AccessDenied", "Request has expired")
        if recording.id not in recording.record.customer.recordings:
            return _storage_error(404, "NoSuchKey", "The specified key does not exist.")
        kind = {"wav": "audio/wav", "mp3": "audio/mpeg"}[recording.file_format]
        return ApiAnswer(
            status=200, body=audio_file(recording), content_type=kind, call_id=recording.leg.root.id
        )

    async def _stop_after(self, recording: Recording, limit_s: float) -> None:
        await self._core.clock.sleep(limit_s)
        if recording.ended_at is None:
            self._end(recording)

    def _end(self, recording: Recording) -> None:
        recording.ended_at = self._core.clock.now()
        recording.duration_s = self._core.clock.elapsed_s(recording.started_mark)
        self._core.spawn(self._announce(recording), call_id=recording.leg.root.id)

    async def _announce(self, recording: Recording) -> None:
        await self._core.clock.sleep(self._habits.recording_ready_s)
        recording.ready = True
        recording.record.customer.recordings[recording.id] = recording
        payload = webhooks.recording_saved(
            view(recording.leg),
            recording_id=recording.id,
            channels=recording.channels,
            file_format=recording.file_format,
            url=self.link(recording),
            started_at=recording.started_at,
            ended_at=recording.ended_at or recording.started_at,
        )
        self._outbox.send(recording.leg, "call.recording.saved", payload)


def from_answer_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the `record_*` fields of a dial, an answer or a transfer in the names of `record_start`."""
    return {
        "format": request.get("record_format") or "mp3",
        "channels": _channels(request),
        "max_length": request.get("record_max_length") or 0,
    }


def _channels(request: Mapping[str, Any]) -> str:
    if request.get("record_track") in ("inbound", "outbound"):
        return "single"  # one track forces mono
    return request.get("record_channels") or "dual"


def initiator(leg: Leg) -> str:
    """Name who asked for a recording that began with the answer."""
    return "OutboundAPI" if leg.direction is Direction.OUTBOUND else "StartCallRecordingAPI"


def found(customer: Customer, query: Mapping[str, str]) -> list[Recording]:
    """Give the recordings that the filters leave, newest first."""
    wanted = {
        name[7:-1]: value for name, value in query.items() if name.startswith("filter[") and "][" not in name
    }
    return [
        recording
        for recording in reversed(customer.recordings.values())
        if all(_filter_value(recording, name) == value for name, value in wanted.items())
    ]


def _filter_value(recording: Recording, name: str) -> str:
    values = {
        "call_control_id": recording.leg.id,
        "call_leg_id": recording.record.call_leg_id,
        "call_session_id": recording.record.call_session_id,
        "connection_id": recording.record.connection_id,
        "from": recording.leg.from_,
        "to": recording.leg.to,
    }
    return values[name]


FILTERS: Final = frozenset(
    {
        "page[number]",
        "page[size]",
        *(
            f"filter[{name}]"
            for name in ("call_control_id", "call_leg_id", "call_session_id", "connection_id", "from", "to")
        ),
    }
)


def audio_file(recording: Recording) -> bytes:
    """Make a valid file of silence, as long as the recording but at most ten seconds."""
    length_s = min(max(recording.duration_s, 0.1), LONGEST_FILE_S)
    if recording.file_format == "mp3":
        return MP3_FRAME * max(1, round(length_s / MP3_FRAME_S))
    channels = CHANNELS[recording.channels]
    with io.BytesIO() as buffer:
        with wave.open(buffer, "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(bytes(2 * channels * round(length_s * SAMPLE_RATE)))
        return buffer.getvalue()


def _storage_error(status: int, code: str, message: str) -> ApiAnswer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return ApiAnswer(status=status, body=text.encode(), content_type="application/xml")
