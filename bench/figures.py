"""What a measurement is: a ratio to a floor that is measured in the same run on the same machine.

A ratio says something on any machine; a time does not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing. `floor_us` and `ours_us`: microseconds of one operation. `goal`: the largest ratio wanted."""

    what: str
    floor: str
    floor_us: float
    ours_us: float
    goal: float

    @property
    def ratio(self) -> float:
        """How many times the floor it takes."""
        return self.ours_us / self.floor_us

    def line(self) -> str:
        """Return the figure for people."""
        verdict = "" if self.ratio <= self.goal else "  MISSED"
        times = f"{self.ours_us:,.0f} µs against {self.floor_us:,.0f} µs"
        return f"{self.ratio:6.2f} (at most {self.goal:.2f})  {self.what}: {times} of {self.floor}{verdict}"

    def document(self) -> dict[str, Any]:
        """Return the figure for programs."""
        rounded = {"floor_us": round(self.floor_us, 1), "ours_us": round(self.ours_us, 1)}
        return {**asdict(self), **rounded, "ratio": round(self.ratio, 3)}


def median(operation: Callable[[], object], times: int) -> float:
    """Return the microseconds of one operation: median over the rounds, after one round to warm up."""
    return statistics.median([_round(operation, times) for _ in range(ROUNDS + 1)][1:])


def medians(floor: Callable[[], object], ours: Callable[[], object], times: int) -> tuple[float, float]:
    """Return the microseconds of both, measured by turns: what slows the machine down for a while slows both."""
    rounds = [(_round(floor, times), _round(ours, times)) for _ in range(ROUNDS + 1)][1:]
    return statistics.median(each for each, _ in rounds), statistics.median(each for _, each in rounds)


def _round(operation: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        operation()
    return (time.perf_counter() - began) / times * 1e6
