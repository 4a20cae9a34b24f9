"""Scaled time: telephony seconds pass `speed` times faster, network timeouts do not."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Scripted seconds on top of the machine's clock.

    Timestamps (`now`, `unix`) are real UTC, because receivers compare them with their own clock;
    durations (`sleep`, `elapsed_s`) are scripted seconds.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0, not {speed!r}")
        self.speed = speed

    def now(self) -> datetime:
        """The real time, aware UTC."""
        return datetime.now(UTC)

    def unix(self) -> float:
        """The real time in seconds since 1970."""
        return time.time()

    def mark(self) -> float:
        """A point in scripted time, for `elapsed_s`."""
        return time.monotonic() * self.speed

    def elapsed_s(self, since: float) -> float:
        """Scripted seconds since a `mark`."""
        return self.mark() - since

    def real_s(self, scripted_s: float) -> float:
        """How many real seconds the scripted ones take."""
        return scripted_s / self.speed

    async def sleep(self, scripted_s: float) -> None:
        """Waits scripted seconds; a negative number is none."""
        await asyncio.sleep(max(0.0, scripted_s) / self.speed)
