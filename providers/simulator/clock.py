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
        return datetime.now(UTC)

    def unix(self) -> float:
        return time.time()

    def mark(self) -> float:
        """A point in scripted time, for `elapsed_s`."""
        return time.monotonic() * self.speed

    def elapsed_s(self, since: float) -> float:
        return self.mark() - since

    def real_s(self, scripted_s: float) -> float:
        return scripted_s / self.speed

    async def sleep(self, scripted_s: float) -> None:
        await asyncio.sleep(max(0.0, scripted_s) / self.speed)
