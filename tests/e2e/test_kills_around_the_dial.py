"""R1: 50 times SIGKILL around the dial, at each point of the protocol and at any time; nobody is rung twice.

R46: after each kill, what the outbox tells last of a call is the status of the call.
"""

from __future__ import annotations

from pathlib import Path

from tests.dialer import BEFORE_SEND, POINTS
from tests.kills import kill

FOUND = {  # where no webhook can be faster than the kill, and where one has been
    ("before the attempt is committed", "none"),
    ("after the attempt's commit", "dialing"),
    (BEFORE_SEND, "dialing"),
    ("after the webhook's commit", "accepted"),
}


def test_fifty_kills_around_the_dial_ring_nobody_twice(tmp_path: Path) -> None:
    tally = kill(50, tmp_path)
    assert tally.failures == []
    assert tally.most_dials_of_one_person == 1
    assert sum(tally.kills.values()) == 50
    assert set(tally.kills) == set(POINTS)
    assert sum(tally.settled.values()) == 50, "every intent reached a definite state"
    assert tally.told >= 50, "every call ended, and that is told"
    assert set(tally.found_after) >= FOUND, "the points were really met"
