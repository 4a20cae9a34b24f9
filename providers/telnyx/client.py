"""Telnyx's Python SDK over the gateway's transport, and what its failures mean.

The SDK is imported here only, on first use: it costs about a second and 100 MB. Left to itself it repeats a dial up to
three times without any idempotency key (measured with 4.189.0); over this client a dial is one POST, whatever comes
back. Every answer that is no success is raised by `send` as `RequestFailed`, because the SDK's own exceptions quote it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway import outcomes
from gateway.errors import MissingExtra
from gateway.interface import DialOutcome
from gateway.outcomes import Failure, RequestFailed, failure_of, foreign, masked, seconds_to_wait
from gateway.transport import HttpResponse, httpx_client
from providers.telnyx.calls import NAME, read_document
from providers.telnyx.vocabulary import CALL_IS_GONE, dial_code_in, refused_cause

if TYPE_CHECKING:
    import httpx
    from telnyx import Telnyx

    from gateway.transport import Transport

HOST: Final = "https://api.telnyx.com"


def open_client(secrets: Mapping[str, str], transport: Transport, base_url: str | None) -> Telnyx:
    """Return the SDK's client over `transport`: one try, nothing taken from the environment. Threads may share it.

    Raises:
        MissingExtra: the SDK is not installed.
    """
    try:
        from telnyx import Telnyx
    except ImportError:
        raise MissingExtra(NAME, "telnyx") from None
    logging.getLogger("telnyx._base_client").addFilter(_is_fit_to_log)
    client = Telnyx(
        api_key=secrets["api_key"],
        public_key="",  # webhooks are verified by `webhooks.py`
        client_id="",
        client_secret="",
        base_url=api_root(base_url),
        http_client=httpx_client(transport),
        max_retries=0,
    )
    client._custom_headers = {}  # those of TELNYX_CUSTOM_HEADERS: no argument leaves them out
    return client


def _is_fit_to_log(record: logging.LogRecord) -> bool:
    """The SDK's debug lines hold whole requests: numbers and tokens. A filter holds whatever level is set later."""
    return record.levelno > logging.DEBUG


def api_root(base_url: str | None) -> str:
    """Return the address of version 2 of the API on a host."""
    root = (base_url or HOST).rstrip("/")
    return root if root.endswith("/v2") else f"{root}/v2"


class Answer(Protocol):
    """What the SDK's `with_raw_response` methods return."""

    @property
    def http_response(self) -> httpx.Response:
        """The answer as it came."""


def send(request: Callable[[], Answer]) -> bytes:
    """Make one SDK call with a raw response and return the answer's body.

    Raises:
        RequestFailed: an answer that is no 2xx. What the SDK raises when none came.
    """
    from telnyx import APIStatusError

    try:
        return request().http_response.content
    except APIStatusError as failed:
        failure = read_failure(_answer_of(failed.response))
    raise RequestFailed(failure)  # outside, because the SDK's exception quotes the whole answer


def _answer_of(response: httpx.Response) -> HttpResponse:
    """Return what the SDK got from `httpx` as the transport gave it."""
    return HttpResponse(
        status=response.status_code, headers=tuple(response.headers.items()), body=response.content
    )


# -- what a failure means ---------------------------------------------------------------------------------------------


def read_failure(response: HttpResponse) -> Failure:
    """Read an answer that is no success. Pure.

    The text is the carrier's title for the error, never its details, which can quote numbers.
    """
    request_id = (response.header("x-request-id") or "")[:100] or None
    document = read_document(response.body)
    error = _first_error(document)
    if error is None:
        return foreign(response.status, request_id)
    code, dial_code = str(error["code"])[:20], _dial_code(document, error)
    codes = tuple(filter(None, (dial_code, code)))
    return Failure(
        text=f"{masked(error['title'][:160])} ({', '.join(reversed(codes))})",
        http_status=response.status,
        is_own=True,
        codes=codes,
        cause=refused_cause(code, dial_code, _pointer(error)),
        retry_after_s=seconds_to_wait(response.header("x-ratelimit-reset")),
        request_id=request_id,
    )


def dial_outcome(error: Exception) -> DialOutcome:
    """Return what is known about a dial that raised. Telnyx does not say whether a 429 was processed."""
    return outcomes.dial_outcome(failure_of(error), is_429_unprocessed=False)


def translated() -> AbstractContextManager[None]:
    """Raise what the SDK and the transport raise as ProviderError."""
    return outcomes.translated(NAME)


def is_gone(failure: Failure) -> bool:
    """True when the call that a command is for has ended, or is unknown (any more)."""
    is_over = failure.http_status == 422 and not CALL_IS_GONE.isdisjoint(failure.codes)
    return failure.is_own and (failure.http_status == 404 or is_over)


def _first_error(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first error of the carrier's own format: `code` (text, or a number as seen in live data), `title`."""
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict) or not isinstance(first.get("title"), str):
        return None
    code = first.get("code")
    return first if isinstance(code, str | int) and not isinstance(code, bool) and code != "" else None


def _dial_code(document: dict[str, Any], error: dict[str, Any]) -> str:
    told = document.get("telnyx_error")
    code = told.get("error_code") if isinstance(told, dict) else None
    if isinstance(code, str) and code:
        return code[:20]
    detail = error.get("detail")
    return dial_code_in(detail) if isinstance(detail, str) else ""


def _pointer(error: dict[str, Any]) -> str:
    """Return the JSON pointer to the field that the carrier found wrong, or ""."""
    source = error.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    return pointer if isinstance(pointer, str) else ""
