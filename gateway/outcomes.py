"""What a request that failed means, at every carrier alike: the outcome class of a dial, or an error of ours. Pure.

A dial is one POST, and only proof makes its outcome another than unknown, because the phone may be ringing:

====================================================================  ========  =========
evidence                                                              class     dial again
====================================================================  ========  =========
no byte of the request left this machine                              not_sent  yes
2xx with a well-formed id                                             accepted  no
a status of `REFUSALS` in the carrier's own error format              rejected  no
429 in its own format, and it documents that nothing was processed    not_sent  yes
anything else: another 4xx, 3xx, 5xx, a proxy's page, a 2xx that      unknown   no
cannot be read, a timeout or a reset after the first byte
====================================================================  ========  =========

Here: the table, and the error that the same failure means to any other verb. Not here: how a carrier writes an error;
each adapter's `client.read_failure` knows that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.errors import GatewayError, ProviderError, ProviderUnavailable, RateLimited, RequestRefused
from gateway.interface import DialOutcome, DialResult
from gateway.numbers import mask_text
from gateway.status import EndCause
from gateway.transport import HostRefused, NotSent, root_transport_error

# The statuses by which a carrier refuses a dial for certain, and why it was refused when no code tells it closer.
REFUSALS: Final[Mapping[int, EndCause]] = {
    400: EndCause.REQUEST_REFUSED,
    401: EndCause.ACCOUNT,
    402: EndCause.ACCOUNT,
    403: EndCause.NOT_PERMITTED,
    404: EndCause.REQUEST_REFUSED,
    405: EndCause.REQUEST_REFUSED,
    422: EndCause.REQUEST_REFUSED,
}
TOO_MANY: Final = 429
_MAY_PASS: Final = frozenset({408, 425})  # a 4xx that asks for patience, not for another request

_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with one request, read once.

    Attributes:
        text: for people and logs: without whole numbers, and nothing of a page that is not the carrier's.
        http_status: None: no answer came.
        is_own: the answer is an error in the carrier's own format; what a proxy says proves nothing.
        is_unsent: no byte left this machine. `is_off_limits`: because the host was none of the carrier's.
        codes: the carrier's codes for the error, the closest first.
        cause: why a dial was refused, where the carrier's own words tell it closer than the status.
    """

    text: str
    http_status: int | None = None
    is_own: bool = False
    is_unsent: bool = False
    is_off_limits: bool = False
    codes: tuple[str, ...] = ()
    cause: EndCause | None = None
    retry_after_s: float | None = None
    request_id: str | None = None

    @property
    def code(self) -> str | None:
        """The closest code, or None."""
        return self.codes[0] if self.codes else None


class RequestFailed(Exception):
    """An answer that is no usable success. Raised where an answer arrives, before a vendor library interprets it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def failure_of(error: Exception) -> Failure:
    """Return what is known from an exception of ours, of the transport or of a vendor library.

    A library's own text is not kept: it can quote URLs, numbers and whole answers.
    """
    if isinstance(error, RequestFailed):
        return error.failure
    root = root_transport_error(error)
    if root is None:
        return Failure(text=f"no usable answer ({type(error).__name__})")
    is_off_limits = isinstance(root, HostRefused)
    return Failure(
        text=str(root)[:200],
        is_unsent=is_off_limits or isinstance(root, NotSent),
        is_off_limits=is_off_limits,
    )


def foreign(http_status: int, request_id: str | None = None) -> Failure:
    """Return the failure of an answer that is neither a usable success nor an error in the carrier's own format."""
    is_success = 200 <= http_status < 300
    text = "an answer without the promised content" if is_success else f"HTTP {http_status} of unknown origin"
    return Failure(text=text, http_status=http_status, request_id=request_id)


def dial_result(
    http_status: int | None, *, is_own: bool, is_unsent: bool, is_429_unprocessed: bool
) -> DialResult:
    """Return the class of a dial that was not accepted: the table above.

    Args:
        http_status: of the answer; None: none came.
        is_own: the answer is an error in the carrier's own format.
        is_unsent: the transport proves that no byte left.
        is_429_unprocessed: the carrier documents that it has not processed what it answers with 429.
    """
    if is_unsent:
        return DialResult.NOT_SENT
    if not is_own:
        return DialResult.UNKNOWN
    if http_status == TOO_MANY and is_429_unprocessed:
        return DialResult.NOT_SENT
    return DialResult.REJECTED if http_status in REFUSALS else DialResult.UNKNOWN


def dial_outcome(failure: Failure, *, is_429_unprocessed: bool) -> DialOutcome:
    """Return the outcome of a dial that failed like this. A cause is named only for a dial that was refused."""
    result = dial_result(
        failure.http_status,
        is_own=failure.is_own,
        is_unsent=failure.is_unsent,
        is_429_unprocessed=is_429_unprocessed,
    )
    is_refused = result is DialResult.REJECTED and failure.http_status is not None
    return DialOutcome(
        result=result,
        cause=(failure.cause or REFUSALS[failure.http_status or 0]) if is_refused else None,
        message=failure.text,
        vendor_code=failure.code,
        http_status=failure.http_status,
        retry_after_s=failure.retry_after_s,
    )


def provider_error(failure: Failure, *, provider: str) -> ProviderError:
    """Return the error that a failure means to any verb but a dial.

    Only the carrier's own format refuses: a proxy's 404 does not say that a call is gone: the carrier is asked again.
    A link that leads to another host than the carrier's is refused by ourselves, for good.
    """
    status = failure.http_status or 0
    if status == TOO_MANY and failure.is_own:
        return RateLimited(
            failure.text,
            provider=provider,
            retry_after_s=failure.retry_after_s,
            http_status=status,
            vendor_code=failure.code,
        )
    is_said = failure.is_own and 400 <= status < 500 and status not in _MAY_PASS
    kind = RequestRefused if is_said or failure.is_off_limits else ProviderUnavailable
    return kind(
        failure.text,
        provider=provider,
        http_status=failure.http_status,
        vendor_code=failure.code,
        vendor_request_id=failure.request_id,
    )


@contextmanager
def translated(provider: str) -> Iterator[None]:
    """Raise whatever a vendor library or the transport raises as a ProviderError; our own errors pass.

    The libraries' failures have no common base, so everything is caught; of an unexpected one only the kind is kept.
    """
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:
        raise provider_error(failure_of(error), provider=provider) from None


def masked(text: str) -> str:
    """Return a carrier's text for people and logs: every number shows its last four digits, and 200 characters do."""
    return mask_text(text)[:200]


def seconds_to_wait(header: str | None) -> float | None:
    """Return the seconds that a header names; None for none, and for a date, which no carrier documents."""
    told = (header or "").strip()
    return float(told) if _SECONDS.fullmatch(told) else None
