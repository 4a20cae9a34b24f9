"""How one report changes a call: facts merge, the status follows. Pure.

Order, repetition and loss of intermediate reports cannot matter because `CallFacts.merge` is a join; this module only
adds what the carrier left out (times) and drops what cannot be true (R47).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.models import Call
from gateway.status import CallFacts, Resolution, resolve

_LONGEST_CALL: Final = timedelta(days=7)
_CLOCK_SLACK: Final = timedelta(hours=1)


def fold(call: Call, facts: CallFacts, at: datetime) -> Call:
    """Return the call with `facts` added; the same object when they tell nothing new.

    `at` is when the report reached us: it stands in for a time that the carrier did not give or that cannot be true.
    """
    merged = call.facts.merge(_plausible(call, facts, at))
    if merged == call.facts:
        return call
    found: Resolution = resolve(merged, call.direction)
    return replace(
        call,
        facts=merged,
        status=found.status,
        end_reason=found.end_reason,
        sequence=call.sequence + 1,
        updated_at=at,
    )


def _plausible(call: Call, facts: CallFacts, at: datetime) -> CallFacts:
    """Fill in missing times and drop impossible figures: a negative or week-long duration, a time before the call."""
    earliest, latest = call.created_at - _CLOCK_SLACK, at + _CLOCK_SLACK

    def usable(moment: datetime | None) -> datetime | None:
        return moment if moment is not None and earliest <= moment <= latest else None

    answered_at = usable(facts.answered_at) or (
        at if facts.answered and call.facts.answered_at is None else None
    )
    ended_at = usable(facts.ended_at) or (at if facts.ends and call.facts.ended_at is None else None)
    duration = facts.duration
    if duration is not None and not 0 <= duration.seconds <= _LONGEST_CALL.total_seconds():
        duration = None
    return replace(facts, answered_at=answered_at, ended_at=ended_at, duration=duration)
