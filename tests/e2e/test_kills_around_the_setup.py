"""20 times SIGKILL in each of assign, unassign and repair, between any two writes: nothing is lost or left unsaid."""

from __future__ import annotations

from pathlib import Path

from tests.setter import VERBS
from tests.setupkills import kill


def test_twenty_kills_of_each_verb_leave_nothing_that_check_does_not_tell(tmp_path: Path) -> None:
    tally = kill(20, tmp_path)
    assert tally.failures == []
    assert tally.kills == dict.fromkeys(VERBS, 20)
    assert tally.told > 0, "some kills really came in the middle"
    assert {"assign, applying", "unassign, restoring", "repair, applying"} <= set(tally.found_after)
