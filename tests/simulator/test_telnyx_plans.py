"""Machine verdicts, reasons of an end, and media frames of the simulated Telnyx, as values."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from providers.simulator.carriers.telnyx import plans
from providers.simulator.carriers.telnyx.frames import (
    BadFrame,
    FrameReader,
    FrameWriter,
    StreamOptions,
    looks_like_mp3,
)
from providers.simulator.carriers.telnyx.webhooks import Ending, LegView

HUMAN: Final = plans.Listening(verdict="human", recognized_after_s=1.5, greeting_s=0.0, beep=False)
MACHINE: Final = plans.Listening(verdict="machine", recognized_after_s=1.5, greeting_s=4.0, beep=True)
QUIET_MACHINE: Final = plans.Listening(verdict="machine", recognized_after_s=1.5, greeting_s=4.0, beep=False)
QUICK_BEEP: Final = plans.Listening(verdict="machine", recognized_after_s=1.5, greeting_s=1.0, beep=True)
FAX: Final = plans.Listening(verdict="fax", recognized_after_s=1.5, greeting_s=4.0, beep=False)
SLOW: Final = plans.Listening(verdict="human", recognized_after_s=5.0, greeting_s=0.0, beep=False)

DETECTION, GREETING = "call.machine.detection.ended", "call.machine.greeting.ended"
PREMIUM, PREMIUM_GREETING = "call.machine.premium.detection.ended", "call.machine.premium.greeting.ended"


@pytest.mark.parametrize(
    ("mode", "party", "events"),
    [
        ("disabled", MACHINE, []),
        ("detect", HUMAN, [(1.5, DETECTION, "human")]),
        ("detect", MACHINE, [(1.5, DETECTION, "machine")]),
        ("detect", SLOW, [(3.5, DETECTION, "not_sure")]),
        ("detect_beep", MACHINE, [(1.5, DETECTION, "machine"), (4.0, GREETING, "beep_detected")]),
        ("detect_beep", QUIET_MACHINE, [(1.5, DETECTION, "machine")]),
        ("detect_words", MACHINE, [(1.5, DETECTION, "machine"), (4.0, GREETING, "beep_detected")]),
        ("detect_words", QUIET_MACHINE, [(1.5, DETECTION, "machine"), (31.5, GREETING, "not_sure")]),
        ("greeting_end", QUIET_MACHINE, [(1.5, DETECTION, "machine"), (4.0, GREETING, "ended")]),
        ("greeting_end", HUMAN, [(1.5, DETECTION, "human")]),
        ("premium", HUMAN, [(1.5, PREMIUM, "human_residence")]),
        ("premium", MACHINE, [(1.5, PREMIUM, "machine"), (4.0, PREMIUM_GREETING, "beep_detected")]),
        ("premium", QUIET_MACHINE, [(1.5, PREMIUM, "machine")]),
        ("premium", QUICK_BEEP, [(1.0, PREMIUM_GREETING, "beep_detected")]),
        ("premium", FAX, [(1.5, PREMIUM, "fax_detected")]),
    ],
)
def test_each_detection_mode_has_its_own_events(
    mode: str, party: plans.Listening, events: list[tuple[float, str, str]]
) -> None:
    found = plans.detection_plan(mode, party, {})
    assert [(one.at_s, one.event_type, one.result) for one in found] == events


def test_the_analysis_time_of_the_request_decides_when_it_gives_up() -> None:
    found = plans.detection_plan("premium", SLOW, {"total_analysis_time_millis": 2000})
    assert [(one.at_s, one.result) for one in found] == [(2.0, "not_sure")]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (486, "user_busy"),
        (603, "call_rejected"),
        (404, "not_found"),
        (503, "unspecified"),
        (480, "no_answer"),
    ],
)
def test_a_refusal_of_the_network_has_a_cause_by_its_sip_code(code: int, cause: str) -> None:
    assert (plans.ending_by_sip(code).cause, plans.ending_by_sip(code).sip) == (cause, str(code))


def test_every_cause_and_source_is_a_documented_one() -> None:
    causes = {
        "call_rejected", "normal_clearing", "originator_cancel", "timeout", "time_limit", "user_busy", "not_found",
        "no_answer", "unspecified",
    }  # fmt: skip
    known = [value for value in vars(plans).values() if isinstance(value, Ending)]
    for table in (plans.ANSWERED_BY_PARTY, plans.ANSWERED_BY_US, plans.REFUSED_BY_SIP, plans.REJECT_CAUSES):
        known += list(table.values())
    assert len(known) > 15
    assert {ending.cause for ending in known} <= causes
    assert {ending.source for ending in known} <= {"caller", "callee", "unknown"}


def test_speech_takes_longer_the_longer_the_text() -> None:
    assert plans.speech_s("Hello") < plans.speech_s("Please leave a message after the tone.")
    assert plans.spoken_text("<speak>Good <break/>day</speak>", "ssml") == "Good day"
    assert plans.spoken_text("2 < 3", "text") == "2 < 3"
    assert (plans.repeats(None), plans.repeats("3"), plans.repeats("infinity")) == (1, 3, None)


# --- frames ----------------------------------------

LEG: Final = LegView(
    call_control_id="v3:abc",
    call_leg_id="leg",
    call_session_id="session",
    connection_id="29",
    client_state="YQ==",
    from_="+14155550100",
    to="+14155550123",
    direction="outgoing",
    start_time=datetime(2026, 3, 2, tzinfo=UTC),
)
RTP: Final = StreamOptions(
    url="ws://127.0.0.1/", mode="rtp", auth_token="t-1", custom_parameters=(("k", "v"),)
)


def test_the_frames_of_a_stream_are_numbered_with_strings() -> None:
    writer = FrameWriter("stream-1", RTP)
    connected = json.loads(writer.connected())
    start, first, second = (
        json.loads(text)
        for text in (writer.start(LEG, user_id="u"), writer.media(b"a" * 160), writer.media(b"b"))
    )
    key = json.loads(writer.dtmf("5", occurred_at=LEG.start_time))
    stop = json.loads(writer.stop(LEG, user_id="u"))
    assert connected == {
        "event": "connected",
        "version": "1.0.0",
        "connected": {"x-telnyx-streaming-auth-token": "t-1"},
    }
    assert [frame["sequence_number"] for frame in (start, first, second, key, stop)] == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    assert start["start"]["custom_parameters"] == {"k": "v"}
    assert start["start"]["media_format"] == {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
    assert first["media"] == {
        "track": "inbound",
        "chunk": "1",
        "timestamp": "0",
        "payload": base64.b64encode(b"a" * 160).decode(),
    }
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "20")
    assert key["dtmf"] == {"digit": "5"}
    assert stop["stop"] == {"user_id": "u", "call_control_id": "v3:abc"}


def media(audio: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(audio).decode()}})


def test_the_agents_audio_marks_and_clears_are_read() -> None:
    reader = FrameReader(RTP)
    assert reader.read(media(b"x" * 160), at_s=0).audio == b"x" * 160
    assert reader.read('{"event":"mark","mark":{"name":"m1"}}', at_s=0).name == "m1"
    assert reader.read('{"event":"clear"}', at_s=0).event == "clear"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 100003),
        ("[]", 100003),
        ('{"event":"hello"}', 100003),
        ('{"event":"media"}', 100003),
        ('{"event":"media","media":{"payload":"%"}}', 100004),
        (media(b"x" * 159), 100004),
        (media(b"x" * 240_001), 100004),
        ('{"event":"mark"}', 100003),
    ],
)
def test_a_frame_the_carrier_cannot_use_has_its_error_code(text: str, code: int) -> None:
    with pytest.raises(BadFrame) as caught:
        FrameReader(RTP).read(text, at_s=0)
    assert caught.value.code == code
    error = json.loads(FrameWriter("s", RTP).error(caught.value))
    assert (error["event"], error["payload"]["code"]) == ("error", code)


def test_without_rtp_mode_only_mp3_files_are_taken_and_one_a_second() -> None:
    reader = FrameReader(StreamOptions.from_fields({"stream_url": "ws://127.0.0.1/"}))
    with pytest.raises(BadFrame, match="mp3"):
        reader.read(media(b"\xff" * 160), at_s=0)  # mu-law silence
    reader.read(media(b"ID3" + bytes(100)), at_s=1.0)
    with pytest.raises(BadFrame) as caught:
        reader.read(media(b"ID3" + bytes(100)), at_s=1.5)
    assert caught.value.code == 100005
    assert looks_like_mp3(b"\xff\xfb\x90\x64")


def test_stream_fields_have_the_carriers_defaults() -> None:
    options: Any = StreamOptions.from_fields({"stream_url": "ws://127.0.0.1/", "stream_track": "both_tracks"})
    assert (options.mode, options.return_codec, options.tracks) == ("mp3", "PCMU", ("inbound", "outbound"))
