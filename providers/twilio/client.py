"""The official library over the gateway's transport, and what its failures mean.

The library is imported here only, on first use. It sends nothing itself: `_OneShotHttpClient` stands in for its HTTP
client, so that every request leaves once, within a deadline, to a fixed host. Every answer that is no success, and
every success that is no JSON object, is raised from there as `CarrierAnswer`, before the library interprets it: its
own exceptions lose the headers and do not tell Twilio's error format from a proxy's page.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from gateway.errors import (
    GatewayError,
    MissingExtra,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
)
from gateway.interface import DialOutcome, DialResult
from gateway.numbers import mask
from gateway.transport import HostRefused, HttpRequest, HttpResponse, NotSent, TransportError
from providers.twilio.calls import PROVIDER, is_sid
from providers.twilio.vocabulary import refused_cause

if TYPE_CHECKING:
    from gateway.transport import Transport

HOST: Final = "https://api.twilio.com"

# In Twilio's own error format these statuses say that a dial was refused. Other ones prove nothing.
_REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 405, 422})
_TOO_MANY: Final = 429  # Twilio documents that such a request was not processed

_DIGITS: Final = re.compile(r"\+?[0-9][0-9() .-]{5,}[0-9]", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,6}", re.ASCII)


class CarrierAnswer(Exception):
    """An answer that is not a success with a JSON object."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error in Twilio's own format. `text` is its message, with every number masked."""

    code: str
    text: str


def open_client(secrets: Mapping[str, str], transport: Transport, base_url: str | None) -> Any:
    """Return the library's client for one account, over `transport`.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        from twilio.rest import Client
    except ImportError:
        raise MissingExtra("twilio", "twilio") from None
    user, password = rest_login(secrets)
    client = Client(
        user,
        password,
        account_sid=secrets["account_sid"],
        http_client=_OneShotHttpClient(transport),
        environment={"": ""},  # empty would mean os.environ, and its account, edge and region
    )
    client.api.base_url = base_url or HOST
    return client


def rest_login(secrets: Mapping[str, str]) -> tuple[str, str]:
    """Return user and password of the REST API: the API key's where one is given, else the account's."""
    if "api_key_sid" in secrets:
        return secrets["api_key_sid"], secrets["api_key_secret"]
    return secrets["account_sid"], secrets["auth_token"]


def basic_auth(login: tuple[str, str]) -> tuple[str, str]:
    """Return the Authorization header."""
    return "Authorization", "Basic " + base64.b64encode(":".join(login).encode()).decode("ascii")


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
        """Send one request; return the library's response object for a success with a JSON object.

        Raises:
            CarrierAnswer: any other answer. TransportError: none.
        """
        from twilio.http.response import Response

        sent = list((headers or {}).items()) + ([basic_auth(auth)] if auth else [])
        query = _encoded(params)
        answer = self._transport.send(
            HttpRequest(
                method=method.upper(),
                url=uri + (("&" if "?" in uri else "?") + query if query else ""),
                headers=tuple(sent),
                body=_encoded(data).encode("ascii"),
            )
        )
        if not 200 <= answer.status < 300 or _json_object(answer.body) is None:
            raise CarrierAnswer(answer)
        return Response(answer.status, answer.body.decode("utf-8"), dict(answer.headers))


def _encoded(values: Mapping[str, object] | None) -> str:
    return urlencode({name: value for name, value in (values or {}).items() if value is not None}, doseq=True)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# -- what a failure means -------------------------------------------------------------------------------------------


def dialed(call_sid: object) -> DialOutcome:
    """Return the outcome of a dial that was answered with a success: accepted only with a well-formed id."""
    if not isinstance(call_sid, str) or not is_sid("CA", call_sid):
        return DialOutcome(result=DialResult.UNKNOWN, message="the answer names no call")
    return DialOutcome(result=DialResult.ACCEPTED, leg_id=call_sid)


def failed_dial(error: Exception) -> DialOutcome:
    """Return the outcome class of a dial that failed. Only proof makes it another than unknown."""
    if isinstance(error, (NotSent, HostRefused)):
        return DialOutcome(result=DialResult.NOT_SENT, message=str(error))
    if isinstance(error, CarrierAnswer):
        return _answered_dial(error.response)
    told = str(error) if isinstance(error, TransportError) else type(error).__name__
    return DialOutcome(result=DialResult.UNKNOWN, message=f"no usable answer: {told}")


def _answered_dial(response: HttpResponse) -> DialOutcome:
    fault = read_fault(response)
    if fault is None:
        return DialOutcome(
            result=DialResult.UNKNOWN,
            message=f"HTTP {response.status} without twilio's own words",
            http_status=response.status,
        )
    is_refusal = response.status in _REFUSALS
    known = {_TOO_MANY: DialResult.NOT_SENT} | dict.fromkeys(_REFUSALS, DialResult.REJECTED)
    return DialOutcome(
        result=known.get(response.status, DialResult.UNKNOWN),
        cause=refused_cause(fault.code, response.status) if is_refusal else None,
        message=fault.text,
        vendor_code=fault.code,
        http_status=response.status,
        retry_after_s=retry_after_s(response),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise every failure of library and transport as a ProviderError; ours pass.

    The library's failures have no common base, and their texts quote URLs with numbers in them: only the kind is kept.
    """
    try:
        yield
    except GatewayError:
        raise
    except CarrierAnswer as answer:
        raise answer_error(answer.response) from None
    except TransportError as failure:
        raise ProviderUnavailable(str(failure), provider=PROVIDER) from None
    except Exception as failure:
        raise ProviderUnavailable(
            f"the answer cannot be read ({type(failure).__name__})", provider=PROVIDER
        ) from None


def answer_error(response: HttpResponse) -> ProviderError:
    """Return the error that an answer other than a success means."""
    fault, status = read_fault(response), response.status
    if fault is not None and status == _TOO_MANY:
        return RateLimited(
            fault.text,
            provider=PROVIDER,
            retry_after_s=retry_after_s(response),
            http_status=status,
            vendor_code=fault.code,
        )
    kind = RequestRefused if fault is not None and 400 <= status < 500 else ProviderUnavailable
    return kind(
        fault.text if fault else f"HTTP {status} without twilio's own words",
        provider=PROVIDER,
        http_status=status,
        vendor_code=fault.code if fault else None,
        vendor_request_id=response.header("Twilio-Request-Id"),
    )


def read_fault(response: HttpResponse) -> Fault | None:
    """Return Twilio's own error, or None for anything that another server on the way could have said.

    Both of its formats have a number as `code`; the older one has a `message`, RFC 9457 has `title`. A `status` in the
    body must be the answer's own.
    """
    body = _json_object(response.body) or {}
    code, text = body.get("code"), body.get("message", body.get("title"))
    if isinstance(code, bool) or not isinstance(code, int) or not isinstance(text, str):
        return None
    if body.get("status", response.status) != response.status:
        return None
    return Fault(code=str(code)[:12], text=_DIGITS.sub(lambda found: mask(found[0]), text)[:200])


def retry_after_s(response: HttpResponse) -> float | None:
    """Return the seconds to wait that the answer names, or None."""
    told = (response.header("Retry-After") or "").strip()
    return float(told) if _SECONDS.fullmatch(told) else None
