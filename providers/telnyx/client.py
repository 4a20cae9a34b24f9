"""The official SDK over the gateway's transport, and what its exceptions mean.

The SDK is imported here only, on first use: it costs about a second and 100 MB. Left to itself it repeats a dial up to
three times without any idempotency key (version 4.189.0, measured); over this client it sends every request once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.errors import MissingExtra, ProviderError, ProviderUnavailable, RateLimited, RequestRefused
from gateway.interface import DialOutcome, DialResult
from gateway.numbers import mask
from gateway.transport import (
    HostRefused,
    NotSent,
    Transport,
    TransportError,
    httpx_client,
    root_transport_error,
)
from providers.telnyx import calls, vocabulary

if TYPE_CHECKING:
    import httpx
    from telnyx import Telnyx

HOST: Final = "https://api.telnyx.com"

# A dial is refused for certain only by these, in the carrier's own error format (reliability.md, 5.2).
_CERTAIN_REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 405, 422})
_NUMBER = re.compile(r"\+?[0-9]{7,}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)


class Answer(Protocol):
    """What the SDK's `with_raw_response` methods return."""

    @property
    def http_response(self) -> httpx.Response:
        """The answer as it came."""


def open_client(api_key: str, transport: Transport, base_url: str | None) -> Telnyx:
    """Return the SDK's client over `transport`: one try, nothing taken from the environment.

    Raises:
        MissingExtra: the SDK is not installed.
    """
    try:
        from telnyx import Telnyx
    except ImportError as exc:
        raise MissingExtra(calls.NAME, "telnyx") from exc
    # Its debug lines hold whole requests: numbers and tokens.
    logging.getLogger("telnyx._base_client").setLevel(logging.INFO)
    client = Telnyx(
        api_key=api_key,
        public_key="",  # webhooks are verified by `webhooks.py`
        client_id="",
        client_secret="",
        base_url=api_root(base_url),
        http_client=httpx_client(transport),
        max_retries=0,
    )
    client._custom_headers = {}  # those of TELNYX_CUSTOM_HEADERS: no argument leaves them out
    return client


def api_root(base_url: str | None) -> str:
    """Return the address of version 2 of the API on a host."""
    root = (base_url or HOST).rstrip("/")
    return root if root.endswith("/v2") else f"{root}/v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong with one request, read once. `status` None: no answer came.

    `is_own`: the answer is an error in the carrier's own format, not that of some proxy. `text` is fit for people and
    logs: the carrier's title for the error, never its details, which can quote numbers.
    """

    status: int | None = None
    is_own: bool = False
    code: str = ""
    dial_code: str = ""
    pointer: str = ""
    text: str = ""
    retry_after_s: float | None = None
    request_id: str | None = None
    is_unsent: bool = False

    @property
    def says_call_is_over(self) -> bool:
        """True when the call that a command is for has ended, or is unknown (any more)."""
        return self.is_own and (
            self.status == 404 or (self.status == 422 and self.code in vocabulary.CALL_IS_OVER)
        )

    def as_outcome(self) -> DialOutcome:
        """Return the outcome class of a dial that failed like this."""
        if self.is_unsent:
            return DialOutcome(result=DialResult.NOT_SENT, message=self.text)
        is_rejected = self.is_own and self.status in _CERTAIN_REFUSALS
        if not is_rejected or self.status is None:
            return DialOutcome(result=DialResult.UNKNOWN, message=self.text, http_status=self.status)
        return DialOutcome(
            result=DialResult.REJECTED,
            cause=vocabulary.end_by_refusal(self.status, self.code, self.dial_code, self.pointer),
            message=self.text,
            vendor_code=self.dial_code or self.code,
            http_status=self.status,
        )

    def as_error(self) -> ProviderError:
        """Return the error for anything but a dial."""
        code = self.dial_code or self.code or None
        if self.status == 429:
            return RateLimited(
                self.text,
                provider=calls.NAME,
                retry_after_s=self.retry_after_s,
                http_status=self.status,
                vendor_code=code,
            )
        is_refused = self.status is not None and 400 <= self.status < 500 and self.status not in (408, 425)
        kind = RequestRefused if is_refused else ProviderUnavailable
        return kind(
            self.text,
            provider=calls.NAME,
            http_status=self.status,
            vendor_code=code,
            vendor_request_id=self.request_id,
        )


class CallFailed(Exception):
    """A request did not end in a 2xx answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def send(request: Callable[[], Answer]) -> bytes:
    """Make one SDK call with a raw response and return the answer's body.

    Raises:
        CallFailed: everything that is no 2xx answer.
    """
    from telnyx import APIStatusError, TelnyxError

    try:
        return request().http_response.content
    except APIStatusError as exc:
        failure = read_failure(exc.response.status_code, exc.response.content, exc.response.headers.get)
    except TelnyxError as exc:
        failure = unanswered(root_transport_error(exc))
    raise CallFailed(failure) from None  # the SDK's exception quotes the whole answer


def read_failure(status: int, body: bytes, header: Callable[[str], str | None]) -> Failure:
    """Read an answer that is no 2xx. Pure."""
    document = calls.read_document(body)
    error = _first_error(document)
    request_id = (header("x-request-id") or "")[:100] or None
    if error is None:
        return Failure(status=status, text=f"HTTP {status}", request_id=request_id)
    code, title = str(error["code"])[:20], _NUMBER.sub(lambda found: mask(found[0]), error["title"][:160])
    dial_code = _dial_code(document, error)
    source = error.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    return Failure(
        status=status,
        is_own=True,
        code=code,
        dial_code=dial_code,
        pointer=pointer if isinstance(pointer, str) else "",
        text=f"{title} ({', '.join(filter(None, (code, dial_code)))})",
        retry_after_s=_seconds(header("x-ratelimit-reset")) if status == 429 else None,
        request_id=request_id,
    )


def unanswered(error: TransportError | None) -> Failure:
    """Describe a request that no answer came to; what is not the transport's own error may have left."""
    text = str(error) if error is not None else "no answer"
    return Failure(text=text[:200], is_unsent=isinstance(error, NotSent | HostRefused))


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
    return vocabulary.dial_code_in(detail) if isinstance(detail, str) else ""


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and _SECONDS.fullmatch(value) else None
