"""200 times SIGKILL in each of assign, unassign and repair."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.setter import VERBS
from tests.setupkills import kill


@pytest.mark.proof
def test_two_hundred_kills_of_each_verb_leave_nothing_that_check_does_not_tell(tmp_path: Path) -> None:
    tally = kill(200, tmp_path)
    assert tally.failures == []
    assert tally.kills == dict.fromkeys(VERBS, 200)
