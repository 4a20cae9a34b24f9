"""The two HTTP stacks that vendor libraries bring, over the one-shot transport."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import requests

from gateway.transport import (
    HostRefused,
    HttpRequest,
    HttpResponse,
    NotSent,
    OneShotTransport,
    OutcomeUnknown,
    httpx_client,
    requests_adapter,
    requests_session,
    root_transport_error,
)
from tests.faultserver import WIRE_FAULTS, FaultServer, redirect, refused_url, reply

Post = Callable[[OneShotTransport, str], tuple[int, bytes]]
NUMBER = "+14155550123"


def post_with_httpx(transport: OneShotTransport, url: str) -> tuple[int, bytes]:
    with httpx_client(transport) as client:
        answer = client.post(url, json={"to": NUMBER}, headers={"Authorization": "Bearer KEY"})
        return answer.status_code, answer.content


def post_with_requests(transport: OneShotTransport, url: str) -> tuple[int, bytes]:
    with requests_session(transport) as session:
        answer = session.post(url, json={"to": NUMBER}, auth=("user", "secret"))
        return answer.status_code, answer.content


def post_with_a_foreign_session(transport: OneShotTransport, url: str) -> tuple[int, bytes]:
    """A session that the vendor library made itself, with requests' own defaults."""
    with requests.Session() as session:
        session.mount("http://", requests_adapter(transport))
        prepared = session.prepare_request(requests.Request("POST", url, data="to=1"))
        answer = session.send(prepared, timeout=5)
        return answer.status_code, answer.content


STACKS: list[Post] = [post_with_httpx, post_with_requests, post_with_a_foreign_session]


@pytest.fixture(params=STACKS, ids=lambda stack: stack.__name__)
def post(request: pytest.FixtureRequest) -> Post:
    stack: Post = request.param
    return stack


@pytest.mark.parametrize(
    "status", [200, 201, 202, 204, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504]
)
def test_an_answer_comes_through_with_one_post(post: Post, status: int) -> None:
    body = b"" if status == 204 else b'{"api_id": "1"}'
    with FaultServer(reply(status, body, ("Retry-After", "0"))) as server:
        assert post(OneShotTransport([server.url]), f"{server.url}/Call/") == (status, body)
    assert len(server.posts) == server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_comes_back_as_it_is(post: Post, status: int) -> None:
    with FaultServer(redirect(status, "/again")) as server:
        assert post(OneShotTransport([server.url]), f"{server.url}/Call/") == (status, b"")
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_even_when_the_library_asks_for_it() -> None:
    with FaultServer(redirect(307, "/again")) as server:
        transport = OneShotTransport([server.url])
        with httpx_client(transport) as client:
            assert client.post(server.url, follow_redirects=True).status_code == 307
        with requests_session(transport) as session:
            assert session.post(server.url, allow_redirects=True).status_code == 307
            assert session.get(server.url, allow_redirects=False).next is None
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "fault", ["hang", "drip in the body", "reset before the headers", "not HTTP", "compressed bomb"]
)
def test_an_unknown_outcome_can_be_recovered_from_the_librarys_error(post: Post, fault: str) -> None:
    with FaultServer(WIRE_FAULTS[fault]) as server:
        transport = OneShotTransport([server.url], total_timeout_s=0.5)
        with pytest.raises((httpx.TransportError, requests.RequestException)) as caught:
            post(transport, server.url)
    assert isinstance(root_transport_error(caught.value), OutcomeUnknown)
    is_slow = fault.startswith(("hang", "drip"))
    assert isinstance(caught.value, httpx.ReadTimeout | requests.ReadTimeout) == is_slow
    assert len(server.posts) == 1


def test_a_refused_connection_can_be_told_from_a_lost_answer(post: Post) -> None:
    url = refused_url()
    with pytest.raises((httpx.ConnectError, requests.ConnectionError)) as caught:
        post(OneShotTransport([url]), url)
    assert isinstance(root_transport_error(caught.value), NotSent)


def test_a_url_off_the_fixed_host_can_be_told_from_both(post: Post) -> None:
    with FaultServer(reply(200)) as server:
        with pytest.raises((httpx.ConnectError, requests.ConnectionError)) as caught:
            post(OneShotTransport(["https://api.carrier.example"]), server.url)
        assert server.connections == 0
    assert isinstance(root_transport_error(caught.value), HostRefused)


def test_hard_wired_hosts_are_rewritten(post: Post) -> None:
    with FaultServer(reply(200, b"{}")) as server:
        transport = OneShotTransport([], rewrites={"http://127.0.0.1:1": f"{server.url}/carrier"})
        assert post(transport, "http://127.0.0.1:1/v1/Call/") == (200, b"{}")
    assert [request.path for request in server.posts] == ["/carrier/v1/Call/"]


def test_proxies_of_the_environment_are_ignored(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, refused_url())
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer(reply(200)) as server:
        assert post(OneShotTransport([server.url]), server.url) == (200, b"")


def test_a_session_takes_no_credentials_from_a_netrc_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(reply(200)) as server, requests_session(OneShotTransport([server.url])) as session:
        session.post(server.url)
    assert server.posts[0].header("authorization") is None


class Recorder:
    """A transport that keeps what it was given."""

    def __init__(self, answer: HttpResponse) -> None:
        self.answer = answer
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self.answer


def test_requests_hands_over_method_url_headers_and_body_and_reads_the_answer() -> None:
    recorder = Recorder(HttpResponse(status=404, headers=(("X-A", "1"), ("x-a", "2")), body="né".encode()))
    with requests_session(recorder) as session:
        answer = session.post(
            "https://c.example/Call/", params={"q": "1"}, data={"to": NUMBER}, auth=("u", "p")
        )
        session.get("https://c.example/")
    first, second = recorder.requests
    assert (first.method, first.url, first.body) == (
        "POST",
        "https://c.example/Call/?q=1",
        b"to=%2B14155550123",
    )
    assert ("Authorization", "Basic dTpw") in first.headers
    assert (second.method, second.body) == ("GET", b"")
    assert (answer.status_code, answer.reason, answer.text, answer.headers["x-a"]) == (
        404,
        "Not Found",
        "né",
        "1, 2",
    )
    assert answer.request.method == "POST"


def test_httpx_hands_over_method_url_headers_and_body_and_reads_the_answer() -> None:
    recorder = Recorder(
        HttpResponse(status=422, headers=(("Content-Type", "application/json"),), body=b'{"a": 1}')
    )
    with httpx_client(recorder) as client:
        answer = client.patch("https://c.example/v2/calls", params={"q": "1"}, content=b"raw")
    (request,) = recorder.requests
    assert (request.method, request.url, request.body) == ("PATCH", "https://c.example/v2/calls?q=1", b"raw")
    assert (answer.status_code, answer.json()) == (422, {"a": 1})


def test_a_streamed_request_body_is_refused_before_it_is_sent() -> None:
    recorder = Recorder(HttpResponse(status=200))
    with requests_session(recorder) as session, pytest.raises(NotSent):
        session.post("https://c.example/", data=iter([b"a"]))
    assert recorder.requests == []


def test_the_libraries_log_no_number_and_no_id(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultServer(reply(200)) as server:
        post(OneShotTransport([server.url]), f"{server.url}/Account/MAXXXXXXXXXXXXXXXXXX/?to={NUMBER}")
    assert "/Account/***XXXX/" in caplog.text
    assert "4155550123" not in caplog.text
    assert "MAXXX" not in caplog.text


def test_a_requests_answer_shows_no_number_in_its_url() -> None:
    with requests_session(Recorder(HttpResponse(status=500))) as session:
        assert (
            session.post(f"https://c.example/v1/Call/?to={NUMBER}").url == "https://c.example/v1/Call/?to=***"
        )


def test_an_unknown_outcome_outweighs_a_harmless_failure_in_the_same_chain() -> None:
    unknown, refused = OutcomeUnknown("lost"), NotSent("refused")
    refused.__context__ = unknown
    outer = RuntimeError("vendor")
    outer.__cause__ = refused
    assert root_transport_error(outer) is unknown


def test_an_error_without_transport_failure_has_none_at_its_root() -> None:
    looped = RuntimeError("vendor")
    looped.__context__ = ValueError("other")
    looped.__context__.__context__ = looped
    assert root_transport_error(looped) is None
    assert root_transport_error(NotSent("x")) is not None
