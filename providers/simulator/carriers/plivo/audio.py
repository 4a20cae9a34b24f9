"""Audio as bytes: G.711 mu-law to and from linear samples, and small real files for recordings.

The simulator's voices are mu-law at 8000 Hz; Plivo's streams may also be 16-bit linear at 8000, 16000 or 24000 Hz.
Its byte order is unconfirmed: little-endian here.
"""

from __future__ import annotations

import io
import struct
import wave
from bisect import bisect
from typing import Final

_BIAS: Final = 0x84
MP3_FRAME: Final = b"\xff\xfb\x10\xc4" + bytes(100)  # MPEG-1 layer III, 32 kbit/s, 44.1 kHz, mono, silent
MP3_FRAME_S: Final = 1152 / 44_100
LONGEST_FILE_S: Final = 60.0


def _sample(code: int) -> int:
    """Expand one mu-law byte (ITU-T G.711)."""
    inverted = ~code & 0xFF
    size = (((inverted & 0x0F) << 3) + _BIAS) << ((inverted & 0x70) >> 4)
    return _BIAS - size if inverted & 0x80 else size - _BIAS


_SAMPLES: Final = tuple(_sample(code) for code in range(256))
_CODES: Final = {sample: code for code, sample in enumerate(_SAMPLES)}
_LEVELS: Final = sorted(_CODES)


def linear(mulaw: bytes, sample_rate: int) -> bytes:
    """Expand mu-law at 8000 Hz to 16-bit samples at `sample_rate`, a multiple of 8000 (samples are repeated)."""
    times = sample_rate // 8000
    samples = [_SAMPLES[code] for code in mulaw for _ in range(times)]
    return struct.pack(f"<{len(samples)}h", *samples)


def mulaw(pcm: bytes, sample_rate: int) -> bytes:
    """Compress 16-bit samples to mu-law at 8000 Hz; the inverse of `linear` (0x7f and 0xff are both zero)."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm[: len(pcm) // 2 * 2])
    return bytes(_CODES[_nearest(sample)] for sample in samples[:: sample_rate // 8000])


def _nearest(sample: int) -> int:
    if sample in _CODES:
        return sample
    above = bisect(_LEVELS, sample)
    return min(_LEVELS[max(0, above - 1) : above + 1], key=lambda level: abs(level - sample))


def recording_file(file_format: str, duration_s: float) -> bytes:
    """Make a playable silent file of `duration_s` (60 s at most): `wav` is 8000 Hz 16-bit mono, else mp3."""
    seconds = min(max(duration_s, 0.0), LONGEST_FILE_S)
    if file_format != "wav":
        return MP3_FRAME * max(1, round(seconds / MP3_FRAME_S))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * round(seconds * 8000)))
    return buffer.getvalue()
