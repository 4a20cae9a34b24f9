"""The outcome table, spelt out once more: what one POST proves, for every kind of evidence."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ProviderUnavailable, RateLimited, RequestRefused, ValidationError
from gateway.interface import DialResult
from gateway.outcomes import (
    Failure,
    RequestFailed,
    dial_outcome,
    dial_result,
    failure_of,
    foreign,
    masked,
    provider_error,
    seconds_to_wait,
    translated,
)
from gateway.status import EndCause
from gateway.transport import HostRefused, NotSent, OutcomeUnknown

REFUSED = (400, 401, 402, 403, 404, 405, 422)
UNPROVEN = (
    *range(200, 210),
    300,
    301,
    302,
    307,
    308,
    *range(406, 422),
    *range(423, 429),
    431,
    451,
    500,
    503,
    599,
)


@pytest.mark.parametrize("status", [*REFUSED, *UNPROVEN, 429, None])
@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("is_429_unprocessed", [True, False])
def test_only_proof_makes_an_outcome_another_than_unknown(
    status: int | None, is_own: bool, is_429_unprocessed: bool
) -> None:
    expected = DialResult.UNKNOWN
    if is_own and status in REFUSED:
        expected = DialResult.REJECTED
    if is_own and status == 429 and is_429_unprocessed:
        expected = DialResult.NOT_SENT
    told = {"is_own": is_own, "is_429_unprocessed": is_429_unprocessed}
    assert dial_result(status, is_unsent=False, **told) is expected
    assert dial_result(status, is_unsent=True, **told) is DialResult.NOT_SENT


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (400, EndCause.REQUEST_REFUSED),
        (401, EndCause.ACCOUNT),
        (402, EndCause.ACCOUNT),
        (403, EndCause.NOT_PERMITTED),
        (404, EndCause.REQUEST_REFUSED),
        (405, EndCause.REQUEST_REFUSED),
        (422, EndCause.REQUEST_REFUSED),
    ],
)
def test_a_refusal_has_the_cause_of_its_code_else_of_its_status(status: int, cause: EndCause) -> None:
    failure = Failure(text="no", http_status=status, is_own=True)
    assert dial_outcome(failure, is_429_unprocessed=False).cause is cause
    closer = Failure(text="no", http_status=status, is_own=True, cause=EndCause.BLOCKED)
    assert dial_outcome(closer, is_429_unprocessed=False).cause is EndCause.BLOCKED


def test_a_dial_that_is_not_refused_has_no_cause() -> None:
    failure = Failure(text="no", http_status=503, is_own=True, cause=EndCause.BLOCKED, codes=("1", "2"))
    outcome = dial_outcome(failure, is_429_unprocessed=False)
    assert (outcome.result, outcome.cause, outcome.vendor_code) == (DialResult.UNKNOWN, None, "1")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotSent("refused"), {"text": "refused", "is_unsent": True}),
        (HostRefused("elsewhere"), {"text": "elsewhere", "is_unsent": True, "is_off_limits": True}),
        (OutcomeUnknown("timed out"), {"text": "timed out"}),
        (RuntimeError("+14155550100"), {"text": "no usable answer (RuntimeError)"}),
        (RequestFailed(foreign(502)), {"text": "HTTP 502 of unknown origin", "http_status": 502}),
    ],
)
def test_an_exception_is_read_without_what_a_library_says(error: Exception, told: dict[str, Any]) -> None:
    assert failure_of(error) == Failure(**told)


def test_a_transports_error_is_found_behind_a_librarys() -> None:
    wrapped = RuntimeError("library")
    wrapped.__cause__ = NotSent("refused")
    assert failure_of(wrapped).is_unsent
    wrapped.__cause__.__context__ = OutcomeUnknown("reset")
    assert not failure_of(wrapped).is_unsent


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(text="", http_status=404, is_own=True), RequestRefused),
        (Failure(text="", http_status=409, is_own=True), RequestRefused),
        (Failure(text="", http_status=429, is_own=True), RateLimited),
        (foreign(404), ProviderUnavailable),
        (foreign(429), ProviderUnavailable),
        (foreign(408), ProviderUnavailable),
        (foreign(302), ProviderUnavailable),
        (foreign(503), ProviderUnavailable),
        (foreign(200), ProviderUnavailable),
        (Failure(text="timed out"), ProviderUnavailable),
        (Failure(text="", is_unsent=True, is_off_limits=True), RequestRefused),
    ],
)
def test_a_failure_of_another_verb_is_an_error_of_ours(failure: Failure, expected: type[Exception]) -> None:
    assert type(provider_error(failure, provider="x")) is expected


def test_our_own_errors_pass_and_others_lose_their_text() -> None:
    with pytest.raises(ValidationError), translated("x"):
        raise ValidationError("field", "wrong")
    with (
        pytest.raises(ProviderUnavailable, match=r"x: no usable answer \(KeyError\)"),
        translated("x"),
    ):
        raise KeyError("+14155550100")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the number +1 (415) 555-0100 is bad", "the number …0100 is bad"),
        ("14155550100", "…0100"),
        ("error 21211 on 2 lines", "error 21211 on 2 lines"),
        ("x" * 198 + " 14155550100", "x" * 198 + " …"),
    ],
)
def test_a_text_for_people_shows_no_whole_number(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e3", None),
    ],
)
def test_a_wait_is_plain_seconds_or_none(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header) == seconds
