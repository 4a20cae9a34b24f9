"""Durations as users write them: "30s", "10m", "1h", or whole seconds; at most a day, which no carrier exceeds."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ValidationError

LONGEST_S: Final = 86_400
_FORM = re.compile(r"([0-9]{1,9})(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


def parse_duration(value: str | int, field: str) -> int:
    """Return whole seconds, 1 to 86 400.

    Raises:
        ValidationError: not a duration, or out of that range; the message names the field and the form.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValidationError(field, 'give a duration like "30s", "10m", "1h" or whole seconds')
    if isinstance(value, int):
        return _checked(value, field)
    match = _FORM.fullmatch(value)
    if match is None:
        raise ValidationError(
            field, f'{value[:40]!r} is not a duration: give "30s", "10m", "1h" or whole seconds'
        )
    return _checked(int(match[1]) * _SECONDS[match[2]], field)


def format_duration(seconds: int) -> str:
    """Return the one written form: whole seconds with their unit, "600s"."""
    return f"{seconds}s"


def _checked(seconds: int, field: str) -> int:
    if seconds < 1:
        raise ValidationError(field, "must be at least 1 second")
    if seconds > LONGEST_S:
        raise ValidationError(field, f"must be at most 24h ({LONGEST_S} s): no carrier takes more")
    return seconds
