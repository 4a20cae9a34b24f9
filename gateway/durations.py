"""Durations as users write them: "30s", "10m", "1h", or whole seconds."""

from __future__ import annotations

import re

from gateway.errors import ValidationError

_FORM = re.compile(r"([0-9]{1,9})(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


def parse_duration(value: str | int, field: str) -> int:
    """Return whole seconds, at least 1.

    Raises:
        ValidationError: not a duration, zero or negative; the message names the field and the form.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValidationError(field, 'give a duration like "30s", "10m", "1h" or whole seconds')
    match = _FORM.fullmatch(str(value))
    if match is None:
        raise ValidationError(
            field, f'{str(value)[:40]!r} is not a duration: give "30s", "10m", "1h" or whole seconds'
        )
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds < 1:
        raise ValidationError(field, "must be at least 1 second")
    return seconds


def format_duration(seconds: int) -> str:
    """Return the one written form: whole seconds with their unit, "600s"."""
    return f"{seconds}s"
