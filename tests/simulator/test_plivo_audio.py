"""Audio conversions of the simulated Plivo."""

from __future__ import annotations

import io
import wave

import pytest

from providers.simulator.carriers.plivo import audio

NEGATIVE_ZERO = 0x7F  # expands to 0 like 0xff


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000])
def test_mu_law_survives_the_way_through_linear_samples(rate: int) -> None:
    codes = bytes(code for code in range(256) if code != NEGATIVE_ZERO)
    pcm = audio.linear(codes, rate)
    assert len(pcm) == len(codes) * 2 * rate // 8000
    assert audio.mulaw(pcm, rate) == codes


def test_expansion_follows_g711() -> None:
    assert audio.linear(b"\x00\x80\xff", 8000) == (-32124).to_bytes(2, "little", signed=True) + (
        32124
    ).to_bytes(2, "little") + bytes(2)


def test_samples_between_two_levels_take_the_nearest() -> None:
    assert audio.mulaw((32_767).to_bytes(2, "little"), 8000) == b"\x80"
    assert audio.mulaw((3).to_bytes(2, "little"), 8000) == b"\xff"


def test_recordings_are_real_files() -> None:
    with wave.open(io.BytesIO(audio.recording_file("wav", 1.5))) as file:
        assert file.getnframes() == 12_000
    frames, rest = divmod(len(audio.recording_file("mp3", 1.0)), len(audio.MP3_FRAME))
    assert (frames, rest) == (38, 0)
