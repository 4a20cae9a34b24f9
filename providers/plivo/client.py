"""Plivo's Python SDK over the gateway's transport, and what its failures mean.

The SDK builds the requests (paths, credentials, parameters). It does not read the answers: its own reading drops the
status and body of an error, and after a 5xx it sends a voice request twice more (seen with 4.63.0), so both of its
steps, sending and reading, are replaced here. A dial is one POST, whatever comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from gateway.errors import (
    ConfigurationError,
    MissingExtra,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    WebhookRejected,
)
from gateway.interface import DialOutcome, DialResult
from gateway.numbers import mask
from gateway.transport import (
    HostRefused,
    NotSent,
    OneShotTransport,
    Transport,
    requests_session,
    root_transport_error,
)
from gateway.wire import parse_json
from providers.plivo.calls import NAME
from providers.plivo.vocabulary import refused_cause

API: Final = "https://api.plivo.com"
_NUMBER: Final = re.compile(r"[0-9]{7,}", re.ASCII)


class CarrierAnswer(Exception):
    """An answer other than 2xx, or a 2xx that is not JSON (`error` is then ""). Never shows the body."""

    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.api_id, self.error = _own_error(body)
        self.retry_after_s = _seconds(retry_after)

    @property
    def is_plivos_own(self) -> bool:
        """True for Plivo's error form, `{"api_id": ..., "error": ...}`; a proxy's page is not."""
        return bool(self.api_id and self.error)


def open_transport(base_url: str | None) -> Transport:
    """Return a one-shot transport fixed to Plivo's host, or to `base_url` in its place."""
    try:
        return OneShotTransport([API], rewrites={API: base_url} if base_url else None)
    except ValueError as exc:
        raise ConfigurationError(f"plivo base URL: {exc}") from None


def open_client(secrets: Mapping[str, str], transport: Transport) -> Any:
    """Return an SDK client whose every request goes through `transport`, once. For one thread at a time.

    Raises:
        MissingExtra: the SDK is not installed. ConfigurationError: the auth id is not one.
    """
    kind = _client_class()
    if len(secrets["auth_id"]) != 20 or secrets["auth_id"][:2] not in ("MA", "SA"):
        raise ConfigurationError("plivo auth_id: 20 characters that begin with MA or SA")
    client = kind(auth_id=secrets["auth_id"], auth_token=secrets["auth_token"])
    session = requests_session(transport)
    session.headers.update(client.session.headers)
    session.auth = (secrets["auth_id"], secrets["auth_token"])
    client.session = client.multipart_session = session
    return client


@cache
def _client_class() -> type[Any]:
    try:
        from plivo.rest import Client
    except ImportError:
        raise MissingExtra(NAME, "plivo") from None

    class OneShotClient(Client):  # type: ignore[misc]
        """Raises before the SDK can send again, and returns plain JSON values."""

        def send_request(self, request: Any, **options: Any) -> Any:
            response = super().send_request(request, **options)
            if not 200 <= response.status_code < 300:
                raise CarrierAnswer(
                    response.status_code, response.content, response.headers.get("Retry-After")
                )
            return response

        def process_response(self, method: str, response: Any, *_: Any) -> dict[str, Any]:
            try:
                return parse_json(response.content) if response.content.strip() else {}
            except WebhookRejected:
                raise CarrierAnswer(response.status_code, b"", None) from None

    return OneShotClient


# Classes of an answer to the one POST of a dial (reliability.md, section 5.2). Plivo's 429 proves nothing: whether it
# was processed is not documented.
def dial_outcome(error: Exception) -> DialOutcome:
    """Return what is known about a dial whose request raised. Anything unexpected is UNKNOWN: the phone may ring."""
    if isinstance(error, CarrierAnswer):
        return _outcome_of_answer(error)
    root = root_transport_error(error)
    if isinstance(root, NotSent | HostRefused):
        return DialOutcome(result=DialResult.NOT_SENT, message=str(root))
    return DialOutcome(result=DialResult.UNKNOWN, message=str(root or type(error).__name__))


def _outcome_of_answer(answer: CarrierAnswer) -> DialOutcome:
    cause = refused_cause(answer.status, answer.error) if answer.is_plivos_own else None
    return DialOutcome(
        result=DialResult.REJECTED if cause else DialResult.UNKNOWN,
        cause=cause,
        message=_message(answer),
        http_status=answer.status,
        retry_after_s=answer.retry_after_s,
    )


@contextmanager
def classified() -> Iterator[None]:
    """Turn what the SDK and the transport raise into the gateway's errors, for every verb but a dial."""
    try:
        yield
    except CarrierAnswer as exc:
        raise read_error(exc) from None
    except Exception as exc:
        root = root_transport_error(exc)
        if root is None:
            raise
        kind = RequestRefused if isinstance(root, HostRefused) else ProviderUnavailable
        raise kind(str(root), provider=NAME) from None


def read_error(answer: CarrierAnswer) -> ProviderError:
    """Return the error for an answer that refuses."""
    message, status = _message(answer), answer.status
    if status == 429:
        return RateLimited(message, provider=NAME, retry_after_s=answer.retry_after_s, http_status=status)
    kind = RequestRefused if 400 <= status < 500 and status != 408 else ProviderUnavailable
    return kind(message, provider=NAME, http_status=status, vendor_request_id=answer.api_id or None)


def _message(answer: CarrierAnswer) -> str:
    if 200 <= answer.status < 300:
        return "an answer without the promised content"
    text = _NUMBER.sub(lambda found: mask(found[0]), answer.error)[:200]
    return text or f"HTTP {answer.status} without an explanation"


def _own_error(body: bytes) -> tuple[str, str]:
    """Return (api_id, error) of an error body; "" for what it does not have."""
    try:
        found = parse_json(body)
    except WebhookRejected:
        return "", ""
    said = [found.get(name) for name in ("api_id", "error")]
    api_id, error = [value if isinstance(value, str) else "" for value in said]
    return api_id[:60], error[:1000]


def _seconds(header: str | None) -> float | None:
    """Read a Retry-After in seconds; Plivo documents none, so a date is not expected."""
    return float(header) if header is not None and re.fullmatch(r"[0-9]{1,6}", header, re.ASCII) else None
