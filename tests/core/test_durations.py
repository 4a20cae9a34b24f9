from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.durations import format_duration, parse_duration
from gateway.errors import ValidationError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1),
        ("30s", 30),
        ("90", 90),
        (90, 90),
        ("10m", 600),
        ("1h", 3600),
        ("007s", 7),
        ("24h", 86_400),
        (86_400, 86_400),
    ],
)
def test_a_duration_is_whole_seconds_with_or_without_a_unit(written: str | int, seconds: int) -> None:
    assert parse_duration(written, "join_timeout") == seconds


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "s", "h", "1 s", " 1s", "1s ", "1s\n", "1S", "1H", "1d", "1w", "1ms", "1h30m", "1:30"),
        *("-1", "-1s", "+1s", "1.5s", "1,5s", "1e3", "0x10", "١s", "３０s", "½h", "∞", "nan", "1_000s"),
        *(None, True, False, 1.5, b"30s", [], {}),
    ],
)
def test_anything_else_is_refused_with_the_form_to_use(written: object) -> None:
    with pytest.raises(ValidationError, match='"30s", "10m", "1h"') as refused:
        parse_duration(written, "join_timeout")  # type: ignore[arg-type]
    assert refused.value.field == "join_timeout"


@pytest.mark.parametrize("written", ["0", "0s", "0h", 0, -1])
def test_no_time_at_all_is_refused(written: str | int) -> None:
    with pytest.raises(ValidationError, match="at least 1 second"):
        parse_duration(written, "max_duration")


@pytest.mark.parametrize("written", ["25h", "86401s", 86_401, "999999999h", 10**40])
def test_longer_than_any_carrier_takes_is_refused(written: str | int) -> None:
    with pytest.raises(ValidationError, match=r"max_duration: must be at most 24h"):
        parse_duration(written, "max_duration")


@pytest.mark.parametrize(("sign", "why"), [(1, "at most 24h"), (-1, "at least 1 second")])
def test_a_number_too_long_to_print_is_refused_like_any_other(sign: int, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        parse_duration(sign * 10**5000, "max_duration")


def test_a_long_text_is_not_repeated_whole() -> None:
    with pytest.raises(ValidationError, match="is not a duration") as refused:
        parse_duration("9" * 5000, "max_duration")
    assert len(str(refused.value)) < 200


@given(st.integers(1, 86_400))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds), "x") == seconds
    assert format_duration(parse_duration(seconds, "x")) == f"{seconds}s"


@given(st.text())
def test_any_text_is_a_duration_or_one_clear_error(text: str) -> None:
    with suppress(ValidationError):
        assert 1 <= parse_duration(text, "join_timeout") <= 86_400
