"""The HTTP stacks that vendor libraries bring along, carried by a transport. Each is imported on first use."""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING, Any

from gateway.transport.messages import (
    HttpRequest,
    HttpResponse,
    NotSent,
    OutcomeUnknown,
    Transport,
    TransportError,
)
from gateway.transport.redaction import redact_url

if TYPE_CHECKING:
    import httpx
    import requests
    from requests.adapters import BaseAdapter


def httpx_client(transport: Transport) -> httpx.Client:
    """Return an `httpx.Client` whose every request goes through `transport`: no redirect, environment or retry.

    NotSent and HostRefused come out as `httpx.ConnectError` (`ConnectTimeout`), OutcomeUnknown as `httpx.ReadError`
    (`ReadTimeout`), the transport's own error as their cause. After the send the request's URL is redacted, because
    httpx logs it at INFO.
    """
    import httpx

    class Bridge(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
            )
            ours = HttpRequest(
                method=request.method, url=str(request.url), headers=headers, body=request.read()
            )
            request.url = httpx.URL(redact_url(ours.url))
            try:
                answer = transport.send(ours)
            except OutcomeUnknown as exc:
                kind = httpx.ReadTimeout if _is_timeout(exc) else httpx.ReadError
                raise kind(str(exc)) from exc
            except TransportError as exc:
                failed = httpx.ConnectTimeout if _is_timeout(exc) else httpx.ConnectError
                raise failed(str(exc)) from exc
            return httpx.Response(answer.status, headers=list(answer.headers), content=answer.body)

    class Client(httpx.Client):
        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            return super().send(request, **{**options, "follow_redirects": False})

    return Client(transport=Bridge(), follow_redirects=False, trust_env=False)


def requests_adapter(transport: Transport) -> BaseAdapter:
    """Return an adapter that carries every request of a `requests.Session` through `transport`.

    Mount it on "https://" and "http://". Its answers are never redirects to the session, which would follow them even
    for a POST, and their `url` is redacted. NotSent and HostRefused come out as `requests.ConnectionError`
    (`ConnectTimeout`), OutcomeUnknown as `requests.ReadTimeout` or `ConnectionError`, with the cause kept.
    """
    import requests
    from requests.adapters import BaseAdapter
    from requests.utils import get_encoding_from_headers

    class FinalResponse(requests.Response):
        @property
        def is_redirect(self) -> bool:
            return False

    def response_of(answer: HttpResponse, request: requests.PreparedRequest, url: str) -> requests.Response:
        response = FinalResponse()
        response.status_code = answer.status
        response.reason = http.client.responses.get(answer.status, "")
        for name, value in answer.headers:
            known = response.headers.get(name)
            response.headers[name] = value if known is None else f"{known}, {value}"
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = io.BytesIO(answer.body)
        response.url, response.request = redact_url(url), request
        return response

    class Bridge(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            ours = _from_prepared(request)
            try:
                answer = transport.send(ours)
            except OutcomeUnknown as exc:
                kind = (
                    requests.exceptions.ReadTimeout
                    if _is_timeout(exc)
                    else requests.exceptions.ConnectionError
                )
                raise kind(str(exc)) from exc
            except TransportError as exc:
                failed = (
                    requests.exceptions.ConnectTimeout
                    if _is_timeout(exc)
                    else requests.exceptions.ConnectionError
                )
                raise failed(str(exc)) from exc
            return response_of(answer, request, ours.url)

        def close(self) -> None:
            """Nothing is kept open."""

    return Bridge()


def requests_session(transport: Transport) -> requests.Session:
    """Return a `requests.Session` with `requests_adapter` mounted; proxies and netrc of the environment are ignored."""
    import requests

    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests_adapter(transport))
    return session


def _from_prepared(request: requests.PreparedRequest) -> HttpRequest:
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        raise NotSent("a request body must be bytes or text, not a stream")
    headers = tuple((_text(name), _text(value)) for name, value in request.headers.items())
    return HttpRequest(method=request.method or "GET", url=request.url or "", headers=headers, body=body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _is_timeout(error: TransportError) -> bool:
    return isinstance(error.__cause__, TimeoutError)
