"""Remembers command ids: a repeat within 60 seconds is ignored and gets the first answer again.

Source: the vendor's documentation (ids of a dial count for the account, those of a command for its call; 60 s).
What the ignored repeat is answered is *unconfirmed*; here it is the first answer, whatever the second body says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

WINDOW_S: Final = 60.0

Answer = tuple[int, dict[str, Any]]


class CommandMemory:
    """First answers by scope and command id; not scaled with the simulator's speed, as a retry is not."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._answers: dict[tuple[str, str], tuple[float, Answer]] = {}

    def recall(self, scope: str, command_id: str | None) -> Answer | None:
        """Give the first answer, if this id was used in this scope within the window."""
        if command_id is None:
            return None
        known = self._answers.get((scope, command_id))
        if known is None or self._now_s() - known[0] > WINDOW_S:
            return None
        return known[1]

    def remember(self, scope: str, command_id: str | None, answer: Answer) -> None:
        """Keep the answer of a command that was carried out; refused ones are not kept."""
        if command_id is None:
            return
        now_s = self._now_s()
        self._answers = {key: kept for key, kept in self._answers.items() if now_s - kept[0] <= WINDOW_S}
        self._answers[scope, command_id] = (now_s, answer)
