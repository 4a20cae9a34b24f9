"""The one error body of the public API, and which error of the gateway is which answer.

No answer holds a stack, a statement or a setting: what the client cannot mend is told in one general sentence with the
request's id, under which the log has the rest (R85).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Response, g
from werkzeug.exceptions import HTTPException

from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    NotFound,
    PaymentRequired,
    ProviderError,
    StoreUnavailable,
    UnsupportedFeature,
    ValidationError,
)
from gateway.ids import new_id
from gateway.showing import time_text

log = logging.getLogger(__name__)

CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_error",
    429: "rate_limited",
    500: "internal_error",
    502: "provider_error",
    503: "unavailable",
}
MEANINGS: Final[Mapping[int, str]] = {
    400: "The body is not JSON, or names a field twice.",
    401: "No key, or one that is malformed, unknown, expired or revoked.",
    402: "The program around the gateway did not allow the call.",
    403: "The key lacks the scope that the route needs.",
    404: "There is no such thing in the key's workspace.",
    405: "The path does not know the method; `Allow` names those it knows.",
    409: "What is there stands against it: a live call, an idempotency key used with another body.",
    413: "The body is too large.",
    415: "The body is not JSON in UTF-8, or is compressed.",
    416: "The recording does not have these bytes.",
    422: "A field is wrong; `details.fields` names each.",
    429: "Too many requests; `Retry-After` says when to go on.",
    500: "A defect of the gateway; its log has the request id.",
    502: "The carrier refused, or could not be reached; `details.call_id` names the call.",
    503: "The gateway cannot do it now; try again.",
}
REQUEST_ID_HEADER: Final = "X-Request-Id"
_HEADERS: Final = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
_LONGEST_MESSAGE: Final = 500
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode


class ApiError(Exception):
    """An answer that is an error. `headers` go out with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def wrong_fields(errors: Sequence[tuple[str, str]]) -> ApiError:
    """Return the answer to fields that are wrong: (field, what is accepted) of each."""
    message = "; ".join(f"{field}: {text}" for field, text in errors)
    details = {"fields": [{"field": field, "message": text} for field, text in errors]}
    return ApiError(422, message, details=details)


# The kinds that say what to do about them; the first that fits counts.
_STATUS_OF: Final[Sequence[tuple[type[GatewayError], int]]] = (
    (PaymentRequired, 402),
    (NotFound, 404),
    (Conflict, 409),
    (UnsupportedFeature, 422),
    (ProviderError, 502),
)


def answer_to(error: Exception) -> ApiError:
    """Return the answer to whatever a request raised."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ValidationError):
        return wrong_fields([(error.field, error.message)])
    if isinstance(error, StoreUnavailable):
        log.error("request %s: %s", request_id(), error)
        return ApiError(
            503,
            "the gateway cannot store this now: try again",
            headers={"Retry-After": str(error.retry_after_s)},
        )
    for kind, status in _STATUS_OF:
        if isinstance(error, kind):
            return ApiError(status, str(error))
    if isinstance(error, ConfigurationError):
        log.error("request %s: %s", request_id(), error)
        return ApiError(503, "the gateway is not set up for this: its operator finds the reason in its log")
    if isinstance(error, HTTPException) and error.code is not None and 400 <= error.code < 500:
        return ApiError(error.code, error.description or error.name)
    log.exception("request %s failed", request_id())
    return ApiError(500, "internal error: its operator finds the reason in the gateway's log")


def error_response(error: ApiError, meta: Mapping[str, str]) -> Response:
    """Return an error as its response."""
    shown = {
        "code": CODES.get(error.status, "error"),
        "message": error.message[:_LONGEST_MESSAGE],
        "details": error.details,
    }
    response = json_response({"error": shown, "meta": meta}, error.status)
    response.headers.update(error.headers)
    return response


def json_response(document: Any, status: int = 200) -> Response:
    """Return a document as JSON."""
    headers = [("Content-Type", "application/json"), *always_headers()]
    return Response(_ENCODE(document), status=status, headers=headers)


def always_headers() -> list[tuple[str, str]]:
    """Return the headers of every answer."""
    return [(REQUEST_ID_HEADER, request_id()), *_HEADERS]


def request_id() -> str:
    """Return the id of the request that is being answered."""
    found: str | None = g.get("gateway_request_id")
    if found is None:
        g.gateway_request_id = found = new_id()
    return found


__all__ = [
    "CODES",
    "MEANINGS",
    "REQUEST_ID_HEADER",
    "ApiError",
    "always_headers",
    "answer_to",
    "error_response",
    "json_response",
    "request_id",
    "time_text",
    "wrong_fields",
]
