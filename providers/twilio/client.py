"""Twilio's Python library over the gateway's transport, and what its failures mean.

The library is imported here only, on first use. It sends nothing itself: `_OneShotHttpClient` stands in for its HTTP
client, so that a dial is one POST, whatever comes back. Every answer that is no success, and every success that is no
JSON object, is raised from there as `RequestFailed`, before the library interprets it: its own exceptions lose the
headers and do not tell Twilio's error format from a proxy's page.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from gateway import outcomes
from gateway.adapting import basic_auth
from gateway.errors import MissingExtra
from gateway.interface import DialOutcome
from gateway.outcomes import Failure, RequestFailed, failure_of, foreign, masked, seconds_to_wait
from gateway.transport import HttpRequest, HttpResponse
from providers.twilio.calls import NAME
from providers.twilio.vocabulary import refused_cause

if TYPE_CHECKING:
    from gateway.transport import Transport

HOST: Final = "https://api.twilio.com"
_PRODUCTS: Final = ("voice", "pricing")  # what we use besides `api`, each with a host of its own


def product_host(product: str, base_url: str) -> str:
    """Return the address of another product beside that of `api`: its own host at Twilio ("voice.twilio.com", and so
    in each region), the same address where something stands in for Twilio.
    """
    parts = urlsplit(base_url)
    name = parts.hostname or ""
    if not (name.startswith("api.") and name.endswith(".twilio.com")):
        return base_url
    return f"{parts.scheme}://{product}.{parts.netloc.removeprefix('api.')}"


def product_hosts(base_url: str) -> tuple[str, ...]:
    """Return the addresses of all further products."""
    return tuple(product_host(product, base_url) for product in _PRODUCTS)


def open_client(
    secrets: Mapping[str, str],
    transport: Transport,
    base_url: str | None,
    login: tuple[str, str] | None = None,
) -> Any:
    """Return the library's client for one account, over `transport`. Threads may share it.

    Args:
        login: user and password; None: `rest_login`.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        from twilio.rest import Client
    except ImportError:
        raise MissingExtra(NAME, "twilio") from None
    user, password = login or rest_login(secrets)
    client = Client(
        user,
        password,
        account_sid=secrets["account_sid"],
        http_client=_OneShotHttpClient(transport),
        environment={"": ""},  # empty would mean os.environ, and its account, edge and region
    )
    root = base_url or HOST
    client.api.base_url = root
    for product in _PRODUCTS:
        getattr(client, product).base_url = product_host(product, root)
    return client


def rest_login(secrets: Mapping[str, str]) -> tuple[str, str]:
    """Return user and password of the REST API: the API key's where one is given, else the account's."""
    if "api_key_sid" in secrets:
        return secrets["api_key_sid"], secrets["api_key_secret"]
    return owner_login(secrets)


def owner_login(secrets: Mapping[str, str]) -> tuple[str, str]:
    """Return the account's own login: its new token while one is rotated in, which outlives the old one."""
    return secrets["account_sid"], secrets.get("auth_token_secondary") or secrets["auth_token"]


class _OneShotHttpClient:
    """What the library takes for its HTTP client. It keeps no state, so threads may share it."""

    is_async: Final = False
    logger: Final = logging.getLogger("twilio.http_client")
    timeout: Final = None  # the transport has its own, total deadline

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Any:
        """Send one request; return the library's response object for a success with a JSON object, and for the empty
        one that a deletion gets.

        Raises:
            RequestFailed: any other answer. TransportError: none.
        """
        from twilio.http.response import Response

        sent = list((headers or {}).items()) + ([basic_auth(*auth)] if auth else [])
        query = _encoded(params)
        answer = self._transport.send(
            HttpRequest(
                method=method.upper(),
                url=uri + (("&" if "?" in uri else "?") + query if query else ""),
                headers=tuple(sent),
                body=_encoded(data).encode("ascii"),
            )
        )
        is_deleted = method.upper() == "DELETE" and answer.status == 204
        if not is_deleted and (not 200 <= answer.status < 300 or _json_object(answer.body) is None):
            raise RequestFailed(read_failure(answer))
        return Response(answer.status, answer.body.decode("utf-8"), dict(answer.headers))


def _encoded(values: Mapping[str, object] | None) -> str:
    return urlencode({name: value for name, value in (values or {}).items() if value is not None}, doseq=True)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# -- what a failure means ---------------------------------------------------------------------------------------------


def read_failure(response: HttpResponse) -> Failure:
    """Read an answer that is no success with a JSON object. Pure.

    Both of Twilio's formats have a number as `code`; the older one has a `message`, RFC 9457 has `title`. A `status` in
    the body must be the answer's own.
    """
    request_id = response.header("Twilio-Request-Id")
    body = _json_object(response.body) or {}
    code, text = body.get("code"), body.get("message", body.get("title"))
    is_own = isinstance(code, int) and not isinstance(code, bool) and isinstance(text, str)
    if not is_own or body.get("status", response.status) != response.status:
        return foreign(response.status, request_id)
    return Failure(
        text=masked(str(text)),
        http_status=response.status,
        is_own=True,
        codes=(str(code)[:12],),
        cause=refused_cause(str(code)),
        retry_after_s=seconds_to_wait(response.header("Retry-After")),
        request_id=request_id,
    )


def dial_outcome(error: Exception) -> DialOutcome:
    """Return what is known about a dial that raised. Twilio documents that a 429 was not processed."""
    return outcomes.dial_outcome(failure_of(error), is_429_unprocessed=True)


def translated() -> AbstractContextManager[None]:
    """Raise what the library and the transport raise as ProviderError. A proxy's 4xx is not Twilio's word."""
    return outcomes.translated(NAME)
