"""Plivo's Python SDK over the gateway's transport, and what its failures mean.

The SDK is imported here only, on first use. It builds the requests (paths, credentials, parameters) but reads no
answers: its own reading drops the status and body of an error, and after a 5xx it sends a voice request twice more
(seen with 4.63.0). So both of its steps, sending and reading, are replaced here: a dial is one POST, whatever comes
back, and every answer that is no success is raised as `RequestFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from gateway import outcomes
from gateway.errors import ConfigurationError, MissingExtra, WebhookRejected
from gateway.interface import DialOutcome
from gateway.outcomes import Failure, RequestFailed, failure_of, foreign, masked, seconds_to_wait
from gateway.transport import HttpResponse, requests_session
from gateway.wire import parse_json
from providers.plivo.calls import NAME
from providers.plivo.vocabulary import refused_cause

if TYPE_CHECKING:
    from gateway.transport import Transport

HOST: Final = "https://api.plivo.com"
_NO_ACCESS: Final = b"Could not verify your access level"


def open_client(secrets: Mapping[str, str], transport: Transport, base_url: str | None) -> Any:
    """Return the SDK's client over `transport`: one try, nothing taken from the environment. For one thread at a time.

    `base_url` is not looked at: the SDK knows one host, and the transport puts the other one in its place.

    Raises:
        MissingExtra: the SDK is not installed. ConfigurationError: the auth id is not one.
    """
    kind = _client_class()
    if len(secrets["auth_id"]) != 20 or secrets["auth_id"][:2] not in ("MA", "SA"):
        raise ConfigurationError("plivo auth_id: 20 characters that begin with MA or SA")
    auth_id, auth_token = login_of(secrets)
    client = kind(auth_id=auth_id, auth_token=auth_token)
    session = requests_session(transport)
    session.headers.update(client.session.headers)
    session.auth = (auth_id, auth_token)
    client.session = client.multipart_session = session
    return client


def login_of(secrets: Mapping[str, str]) -> tuple[str, str]:
    """Return user and password of the REST API: with the new token while one is rotated in, for it outlives the old."""
    return secrets["auth_id"], secrets.get("auth_token_secondary") or secrets["auth_token"]


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
                raise RequestFailed(read_failure(_answer_of(response)))
            return response

        def process_response(self, method: str, response: Any, *_: Any) -> dict[str, Any]:
            try:
                return parse_json(response.content) if response.content.strip() else {}
            except WebhookRejected:
                raise RequestFailed(foreign(response.status_code)) from None

    return OneShotClient


def _answer_of(response: Any) -> HttpResponse:
    """Return what the SDK got from `requests` as the transport gave it."""
    return HttpResponse(
        status=response.status_code, headers=tuple(response.headers.items()), body=response.content
    )


# -- what a failure means ---------------------------------------------------------------------------------------------


def read_failure(response: HttpResponse) -> Failure:
    """Read an answer that is no success. Pure.

    Plivo's own form is `{"api_id": ..., "error": ...}`, with texts in both and no code. An unknown call has been seen
    without `api_id`, and bad credentials as plain text: both count, save for a dial.
    """
    if response.status == 401 and response.body.startswith(_NO_ACCESS):
        return Failure(text=_NO_ACCESS.decode(), http_status=401, is_own=True)
    try:
        body = parse_json(response.body)
    except WebhookRejected:
        body = {}
    api_id, error = body.get("api_id"), body.get("error")
    if not (isinstance(error, str) and error):
        return foreign(response.status)
    return Failure(
        text=masked(error),
        http_status=response.status,
        is_own=True,
        cause=refused_cause(error),
        retry_after_s=seconds_to_wait(response.header("Retry-After")),
        request_id=api_id[:60] if isinstance(api_id, str) and api_id else None,
    )


def dial_outcome(error: Exception) -> DialOutcome:
    """Return what is known about a dial that raised: only an error in Plivo's whole form, with an `api_id`, refuses it.

    Plivo does not say whether a 429 was processed.
    """
    failure = failure_of(error)
    whole = failure if failure.request_id or not failure.is_own else foreign(failure.http_status or 0)
    return outcomes.dial_outcome(whole, is_429_unprocessed=False)


def translated() -> AbstractContextManager[None]:
    """Raise what the SDK and the transport raise as ProviderError."""
    return outcomes.translated(NAME)
