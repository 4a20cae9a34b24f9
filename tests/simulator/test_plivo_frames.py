"""The simulator's frames on Plivo's media WebSocket."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from providers.simulator.carriers.plivo import frames

MULAW = frames.AudioFormat(content_type="audio/x-mulaw;rate=8000")
AUDIO = b"\xff" * 160
PLAY = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": base64.b64encode(AUDIO).decode()}


def read(frame: Any) -> frames.Heard:
    return frames.read_frame(frame if isinstance(frame, str) else json.dumps(frame), MULAW, "S1")


def test_frames_out_are_numbered_and_shaped_as_documented() -> None:
    writer = frames.Writer(
        call_uuid="C1", stream_id="S1", account_id="MA1", format=MULAW, extra_headers="call=42"
    )
    start, media, key = (
        json.loads(text)
        for text in (writer.start(), writer.media(AUDIO, timestamp_ms=7), writer.dtmf("5", timestamp_ms=8))
    )
    assert start == {
        "sequenceNumber": 1,
        "event": "start",
        "start": {
            "callId": "C1",
            "streamId": "S1",
            "accountId": "MA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        },
        "extra_headers": "call=42",
    }
    assert media == {
        "sequenceNumber": 2,
        "event": "media",
        "streamId": "S1",
        "media": {"track": "inbound", "timestamp": "7", "chunk": 1, "payload": PLAY["payload"]},
        "extra_headers": "call=42",
    }
    assert (key["sequenceNumber"], key["dtmf"]["digit"], key["dtmf"]["timestamp"]) == (3, "5", "8")
    assert json.loads(writer.played("end")) == {
        "sequenceNumber": 4,
        "event": "playedStream",
        "streamId": "S1",
        "name": "end",
    }


@pytest.mark.parametrize("rate", [8000, "8000"])
def test_audio_is_read_with_the_rate_as_number_or_text(rate: object) -> None:
    assert read({"event": "playAudio", "media": {**PLAY, "sampleRate": rate}}) == frames.PlayAudio(
        audio=AUDIO
    )


def test_the_other_frames_of_the_agent_are_read() -> None:
    assert read({"event": "checkpoint", "streamId": "S1", "name": "end"}) == frames.Checkpoint(name="end")
    assert read({"event": "clearAudio", "streamId": "S1"}) == frames.ClearAudio()
    assert read({"event": "sendDTMF", "dtmf": "12#"}) == frames.SendDtmf(digits="12#")


@pytest.mark.parametrize(
    "frame",
    [
        "hello",
        "[]",
        {"event": "media", "media": PLAY},
        {"event": "playAudio"},
        {"event": "playAudio", "media": {**PLAY, "contentType": "audio/x-mulaw;rate=8000"}},
        {"event": "playAudio", "media": {**PLAY, "contentType": "audio/x-l16"}},
        {"event": "playAudio", "media": {**PLAY, "sampleRate": 16000}},
        {"event": "playAudio", "media": {**PLAY, "payload": "not base64!"}},
        {"event": "playAudio", "media": {**PLAY, "payload": "A" * 16_388}},
        {"event": "checkpoint", "streamId": "S1"},
        {"event": "checkpoint", "streamId": "S2", "name": "end"},
        {"event": "clearAudio"},
        "x" * 65_537,
    ],
)
def test_a_frame_that_plivo_does_not_know_is_refused(frame: Any) -> None:
    with pytest.raises(frames.FrameRefused):
        read(frame)
