"""What the exchange knows about a call's end, and what the gateway must say about it. Pure.

The exchange is the simulator's switch: it connects the legs, so it knows what happened. The gateway knows only what
the carrier's answers and webhooks told it. Here the two are held against each other, by one explicit table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.models import Call
from gateway.status import CallStatus, Direction, EndCause, EndedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `detail` says what was found, for a person."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """The canonical status that an end must get, and the reasons that fit it."""

    status: CallStatus
    why: frozenset[EndCause]


def _meaning(status: CallStatus, *why: EndCause) -> Meaning:
    return Meaning(status, frozenset(why))


_S, _E = CallStatus, EndCause

# The exchange's word -> ours. Where a row has several reasons, some carrier has no word that tells them apart.
OUTBOUND: Final[Mapping[str, Meaning]] = {
    "answered": _meaning(_S.COMPLETED, _E.HUNG_UP),
    "voicemail": _meaning(_S.VOICEMAIL, _E.HUNG_UP, _E.MACHINE),
    "busy": _meaning(_S.BUSY, _E.BUSY),
    "declined": _meaning(_S.BUSY, _E.DECLINED, _E.BUSY),
    "no_answer": _meaning(_S.NO_ANSWER, _E.NO_ANSWER),
    "unreachable": _meaning(_S.FAILED, _E.UNREACHABLE, _E.INVALID_NUMBER),
    "cancelled": _meaning(_S.CANCELLED, _E.CANCELLED),
    "failed": _meaning(_S.FAILED, _E.CARRIER_ERROR, _E.REQUEST_REFUSED, _E.UNKNOWN),
}
INBOUND: Final[Mapping[str, Meaning]] = {
    "answered": _meaning(_S.COMPLETED, _E.HUNG_UP),
    "caller_gave_up": _meaning(_S.CANCELLED, _E.ABANDONED),
    "refused_busy": _meaning(_S.BUSY, _E.REJECTED),
    "declined": _meaning(_S.CANCELLED, _E.REJECTED),
    "failed": _meaning(_S.FAILED, _E.CARRIER_ERROR, _E.APPLICATION_ERROR, _E.UNKNOWN),
}
MEANINGS: Final = {Direction.OUTBOUND: OUTBOUND, Direction.INBOUND: INBOUND}

# Who ended it, by the exchange's word. "unknown" always fits: not every carrier tells.
ENDED_BY: Final[Mapping[tuple[Direction, str], EndedBy]] = {
    (Direction.OUTBOUND, "party"): EndedBy.CALLEE,
    (Direction.INBOUND, "party"): EndedBy.CALLER,
    (Direction.OUTBOUND, "us"): EndedBy.US,
    (Direction.INBOUND, "us"): EndedBy.US,
    (Direction.OUTBOUND, "carrier"): EndedBy.CARRIER,
    (Direction.INBOUND, "carrier"): EndedBy.CARRIER,
}


def compare(call: Call, truth: str, ended_by: str) -> list[Check]:
    """Hold the gateway's record of an ended call against what the exchange knows.

    Args:
        truth: the exchange's word for the end, like "answered" or "busy".
        ended_by: "party" (the phone at the far end), "us" or "carrier".
    """
    meaning = MEANINGS[call.direction].get(truth)
    if meaning is None:
        return [Check(name="status", ok=False, detail=f"the exchange says {truth!r}, which cannot be")]
    wanted = meaning.status
    checks = [
        Check(
            name="status",
            ok=call.status is wanted,
            detail=f"the gateway says {call.status.value}, the exchange knows {truth} ({wanted.value})",
        )
    ]
    return checks if call.end_reason is None else [*checks, *_reasons(call, meaning, truth, ended_by)]


def _reasons(call: Call, meaning: Meaning, truth: str, ended_by: str) -> list[Check]:
    assert call.end_reason is not None
    why, who = call.end_reason.why, call.end_reason.who
    return [
        Check(
            name="end reason",
            ok=why in meaning.why,
            detail=f"the gateway says {why.value}, the exchange knows {truth}",
        ),
        Check(
            name="ended by",
            ok=who in (ENDED_BY.get((call.direction, ended_by)), EndedBy.UNKNOWN),
            detail=f"the gateway says {who.value}, the exchange knows {ended_by}",
        ),
    ]
