"""Whose voice is this? For audio that was resampled on its way and is no longer the same bytes."""

from __future__ import annotations

from typing import Any


def likeness(heard: bytes, said: bytes) -> float:
    """Return how much one second of what was heard is like the most similar second of what was said: 0 to 1.

    Both are mu-law at 8000 Hz. It is the highest normalized correlation over every shift.
    """
    import numpy

    middle = len(heard) // 2
    piece, whole = samples(heard[middle - 4000 : middle + 4000]), samples(said)
    products = numpy.correlate(whole, piece, "valid")
    energies = numpy.convolve(whole**2, numpy.ones(len(piece)), "valid")
    return float(numpy.max(products / numpy.sqrt(energies * (piece @ piece) + 1.0)))


def samples(audio: bytes) -> Any:
    """Decode mu-law (ITU-T G.711) to an array of numbers."""
    import numpy

    code = ~numpy.frombuffer(audio, dtype=numpy.uint8)
    exponent, mantissa = (code >> 4) & 7, (code & 15).astype(float)
    size = (mantissa * 8 + 132) * 2.0**exponent - 132
    return numpy.where(code & 0x80, -size, size)
