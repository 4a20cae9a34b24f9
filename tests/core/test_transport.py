from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.transport import (
    AddressInfo,
    HostRefused,
    HttpRequest,
    HttpResponse,
    NotSent,
    OneShotTransport,
    OutcomeUnknown,
    TransportError,
)
from tests.faultserver import (
    WIRE_FAULTS,
    Authority,
    Connection,
    FaultServer,
    Script,
    hang_after,
    raw,
    redirect,
    refused_url,
    reply,
    reset_after,
)

STATUSES = [
    *(200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308),
    *(400, 401, 402, 403, 404, 405, 408, 409, 410, 415, 422, 425, 429, 451, 500, 501, 502, 503, 504, 599),
]
CANARY = "canary-9f3b1c"


def short(url: str, *, total_timeout_s: float = 0.5, connect_timeout_s: float = 5.0) -> OneShotTransport:
    return OneShotTransport([url], connect_timeout_s=connect_timeout_s, total_timeout_s=total_timeout_s)


def patient(url: str, ca_file: str | None = None) -> OneShotTransport:
    return OneShotTransport([url], connect_timeout_s=10, total_timeout_s=10, ca_file=ca_file)


def dial(url: str, body: bytes = b"To=%2B14155550123") -> HttpRequest:
    return HttpRequest(method="POST", url=f"{url}/Calls.json", headers=(("X-Own", "kept"),), body=body)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


# --- what is sent -------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_given_with_the_transports_own_framing() -> None:
    headers = (
        ("X-Own", "kept"),
        ("Host", "evil.example"),
        ("Connection", "keep-alive"),
        ("Accept-Encoding", "gzip"),
    )
    framing = (("Content-Length", "999"), ("Transfer-Encoding", "chunked"), ("Expect", "100-continue"))
    with FaultServer(reply(201, b"{}")) as server:
        url = f"{server.url}/v1/Call/?Status=queued&To=%2B1415"
        patient(server.url).send(HttpRequest(method="POST", url=url, headers=headers + framing, body=b"a=b"))
    (request,) = server.requests
    assert (request.method, request.path, request.body) == (
        "POST",
        "/v1/Call/?Status=queued&To=%2B1415",
        b"a=b",
    )
    assert sorted((name.lower(), value) for name, value in request.headers) == [
        ("accept-encoding", "identity"),
        ("connection", "close"),
        ("content-length", "3"),
        ("host", f"127.0.0.1:{server.port}"),
        ("x-own", "kept"),
    ]


def test_a_post_without_body_declares_a_length_of_zero_and_a_get_declares_none() -> None:
    with FaultServer(reply(200)) as server:
        patient(server.url).send(HttpRequest(method="POST", url=server.url))
        patient(server.url).send(HttpRequest(method="GET", url=server.url))
    assert [request.header("content-length") for request in server.requests] == ["0", None]
    assert [request.path for request in server.requests] == ["/", "/"]


def test_every_request_opens_a_connection_of_its_own_so_no_socket_is_ever_stale() -> None:
    # the server promises keep-alive and then hangs up: a pooled connection would fail on the second request
    with FaultServer(reply(200, b"{}", ("Connection", "keep-alive"))) as server:
        transport = patient(server.url)
        assert [transport.send(dial(server.url)).status for _ in range(5)] == [200] * 5
    assert server.connections == len(server.posts) == 5


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, refused_url())
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with FaultServer(reply(200)) as server:
        assert patient(server.url).send(dial(server.url)).status == 200


def test_threads_share_one_transport_without_mixing_answers() -> None:
    def echo(connection: Connection) -> None:
        request = connection.read_request()
        assert request is not None
        reply(200, request.path.encode())(connection)

    with FaultServer(echo, reads_request=False) as server:
        transport = patient(server.url)
        answers: dict[str, bytes] = {}

        def ask(path: str) -> None:
            answers[path] = transport.send(HttpRequest(method="GET", url=server.url + path)).body

        threads = [threading.Thread(target=ask, args=(f"/{number}",)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert answers == {f"/{number}": f"/{number}".encode() for number in range(16)}


def test_the_hook_sees_the_request_before_anything_is_sent_and_can_stop_it() -> None:
    def stop(request: HttpRequest) -> None:
        raise RuntimeError(request.method)

    with FaultServer(reply(200)) as server:
        transport = OneShotTransport([server.url], on_request=stop)
        with pytest.raises(RuntimeError, match="POST"):
            transport.send(dial(server.url))
    assert server.connections == 0


# --- what comes back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_is_passed_on_whatever_its_status_after_one_post(status: int) -> None:
    body = b"" if status in (204, 304) else b'{"code": 20001}'
    with FaultServer(reply(status, body, ("Retry-After", "1"), ("Location", "/elsewhere"))) as server:
        answer = patient(server.url).send(dial(server.url))
    assert (answer.status, answer.body) == (status, body)
    assert (answer.header("retry-after"), answer.header("LOCATION"), answer.header("nothing")) == (
        *("1", "/elsewhere"),
        None,
    )
    assert len(server.posts) == server.connections == 1


@pytest.mark.parametrize(
    ("name", "answer", "body"),
    [
        ("empty", reply(200), b""),
        ("HTML", reply(200, b"<html>proxy</html>", ("Content-Type", "text/html")), b"<html>proxy</html>"),
        (
            "chunked",
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
            b"{}",
        ),
        ("until close", raw(b"HTTP/1.0 200 OK\r\n\r\n{}"), b"{}"),
        (
            "after 100",
            raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            b"{}",
        ),
        ("identity", reply(200, b"{}", ("Content-Encoding", "identity")), b"{}"),
        ("equal lengths", reply(200, b"{}", ("Content-Length", "2")), b"{}"),
        ("surplus", reply(200, b"{}surplus", length=2), b"{}"),
        ("binary", reply(200, bytes(range(256))), bytes(range(256))),
        ("at the limit", reply(200, b"x" * 1_000_000), b"x" * 1_000_000),
        ("multipart", reply(200, b"--x--", ("Content-Type", "multipart/mixed; boundary=x")), b"--x--"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_whole_answer_is_returned_byte_for_byte(name: str, answer: Script, body: bytes) -> None:
    with FaultServer(answer) as server:
        assert patient(server.url).send(dial(server.url)).body == body
    assert len(server.posts) == 1


def test_a_folded_header_comes_back_as_one_line() -> None:
    with FaultServer(raw(b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nContent-Length: 0\r\n\r\n")) as server:
        assert patient(server.url).send(dial(server.url)).header("x-long") == "one two"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    with FaultServer(reply(200)) as other, FaultServer(redirect(status, other.url)) as server:
        transport = OneShotTransport([server.url, other.url])
        assert transport.send(dial(server.url)).status == status
    assert (len(server.posts), other.connections) == (1, 0)


# --- nothing known: one POST each ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", WIRE_FAULTS)
def test_an_answer_that_is_not_whole_leaves_the_outcome_unknown_after_one_post(fault: str) -> None:
    is_slow = fault.startswith(("hang", "drip", "endless"))
    with FaultServer(WIRE_FAULTS[fault]) as server:
        transport = short(server.url) if is_slow else patient(server.url)
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown) as caught:
            transport.send(dial(server.url))
        assert time.monotonic() - started < 9  # it came back; the plain timeout of a drip never would
    assert ("timed out" in str(caught.value)) == is_slow
    assert isinstance(caught.value.__cause__, TimeoutError) == is_slow
    assert len(server.posts) == server.connections == 1


def test_a_reset_right_after_the_connection_is_unknown_because_bytes_may_have_left() -> None:
    # not at once, or connecting itself may fail; and more than any socket buffer takes, so it is met while sending
    script = reset_after(wait_s=0.3)
    with FaultServer(script, reads_request=False) as server, pytest.raises(OutcomeUnknown):
        patient(server.url).send(dial(server.url, b"x" * 20_000_000))
    assert server.connections == 1


def test_a_peer_that_does_not_read_is_left_at_the_deadline() -> None:
    with (
        FaultServer(hang_after(), reads_request=False) as server,
        pytest.raises(OutcomeUnknown, match="timed out"),
    ):
        short(server.url).send(dial(server.url, b"x" * 20_000_000))


@pytest.fixture(scope="module")
def mirror() -> Iterator[FaultServer]:
    with FaultServer(reply(200)) as server:
        yield server


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"


@st.composite
def damaged_answers(draw: st.DrawFn) -> bytes:
    start = draw(st.integers(0, len(WHOLE)))
    end = draw(st.integers(start, len(WHOLE)))
    return WHOLE[:start] + draw(st.binary(max_size=12)) + WHOLE[end:]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | damaged_answers())
def test_any_bytes_at_all_are_an_answer_or_an_unknown_outcome(mirror: FaultServer, data: bytes) -> None:
    mirror.script = raw(data)
    seen = len(mirror.posts)
    try:
        answer = patient(mirror.url).send(dial(mirror.url))
    except OutcomeUnknown:
        pass
    else:
        assert 200 <= answer.status <= 999
        assert not any("\r" in value or "\n" in value for _, value in answer.headers)
    assert len(mirror.posts) == seen + 1


# --- nothing sent -------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_not_sent() -> None:
    url = refused_url()
    with pytest.raises(NotSent, match="refused"):
        patient(url).send(dial(url))


def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    def fail(host: str, port: int) -> list[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = OneShotTransport(["https://api.carrier.example"], resolve=fail)
    with pytest.raises(NotSent, match=r"api\.carrier\.example:443: .*Name or service not known"):
        transport.send(dial("https://api.carrier.example"))


def test_a_name_without_address_is_not_sent() -> None:
    transport = OneShotTransport(["https://api.carrier.example"], resolve=lambda host, port: [])
    with pytest.raises(NotSent, match="no address"):
        transport.send(dial("https://api.carrier.example"))


def test_a_resolver_that_hangs_is_left_behind_at_the_connect_deadline() -> None:
    release = threading.Event()

    def hang(host: str, port: int) -> list[AddressInfo]:
        release.wait(10)
        return []

    transport = OneShotTransport(["https://api.carrier.example"], connect_timeout_s=0.2, resolve=hang)
    with pytest.raises(NotSent, match="timed out"):
        transport.send(dial("https://api.carrier.example"))
    release.set()


def test_the_next_address_is_tried_when_the_first_refuses() -> None:
    with FaultServer(reply(200)) as server:
        dead = int(refused_url().rpartition(":")[2])

        def resolve(host: str, port: int) -> list[AddressInfo]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", number))
                for number in (dead, server.port)
            ]

        assert OneShotTransport([server.url], resolve=resolve).send(dial(server.url)).status == 200
    assert len(server.posts) == 1


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "b\r\nX-Injected: yes"),
        ("X-A", "b\n"),
        ("X-A\r\nX", "b"),
        ("X A", "b"),
        ("", "b"),
        ("X-A", "ключ"),
    ],
)
def test_a_header_that_cannot_be_written_is_not_sent(header: tuple[str, str]) -> None:
    with FaultServer(reply(200)) as server, pytest.raises(NotSent) as caught:
        patient(server.url).send(HttpRequest(method="POST", url=server.url, headers=(header,)))
    assert server.connections == 0
    assert "Injected" not in str(caught.value)


@pytest.mark.parametrize("method", ["", "post", "POST /x HTTP/1.1\r\nX:", "G ET"])
def test_a_method_that_cannot_be_written_is_not_sent(method: str) -> None:
    with FaultServer(reply(200)) as server, pytest.raises(NotSent):
        patient(server.url).send(HttpRequest(method=method, url=server.url))
    assert server.connections == 0


# --- TLS ----------------------------------------------------------------------------------------------------------


def test_a_trusted_certificate_for_the_right_name_is_accepted(authority: Authority) -> None:
    with FaultServer(reply(200, b"{}"), tls=authority.server_context()) as server:
        assert patient(server.url, authority.ca_file).send(dial(server.url)).body == b"{}"
    assert len(server.posts) == 1


@pytest.mark.parametrize(
    ("name", "days", "is_trusted"),
    [("127.0.0.1", 30, False), ("api.carrier.example", 30, True), ("127.0.0.1", -1, True)],
    ids=["unknown authority", "wrong name", "expired"],
)
def test_a_bad_certificate_is_not_sent(authority: Authority, name: str, days: int, is_trusted: bool) -> None:
    with FaultServer(reply(200), tls=authority.server_context(name, days=days)) as server:
        transport = patient(server.url, authority.ca_file if is_trusted else None)
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            transport.send(dial(server.url))
    assert (server.connections, server.requests) == (1, [])


@pytest.mark.parametrize("script", [raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), raw(b""), reset_after()])
def test_a_failed_handshake_is_not_sent(authority: Authority, script: Script) -> None:
    with FaultServer(script, reads_request=False) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(NotSent):
            patient(url, authority.ca_file).send(dial(url))
    assert server.connections == 1


def test_a_handshake_that_hangs_is_not_sent_at_the_connect_deadline(authority: Authority) -> None:
    with FaultServer(hang_after(), reads_request=False) as server:
        url = server.url.replace("http:", "https:")
        transport = OneShotTransport(
            [url], connect_timeout_s=0.2, total_timeout_s=10, ca_file=authority.ca_file
        )
        with pytest.raises(NotSent, match="timed out"):
            transport.send(dial(url))


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_body_that_ends_with_the_connection_is_whole_only_when_tls_says_so(
    authority: Authority, says_goodbye: bool
) -> None:
    def script(connection: Connection) -> None:
        connection.send(b'HTTP/1.1 200 OK\r\n\r\n{"id": "x"}')
        if says_goodbye:
            connection.say_goodbye()

    with FaultServer(script, tls=authority.server_context()) as server:
        transport = patient(server.url, authority.ca_file)
        if says_goodbye:
            assert transport.send(dial(server.url)).body == b'{"id": "x"}'
        else:
            with pytest.raises(OutcomeUnknown):
                transport.send(dial(server.url))
    assert len(server.posts) == 1


@pytest.mark.parametrize("fault", ["drip in the headers", "drip in the body", "hang", "closed in the body"])
def test_faults_over_tls_leave_the_outcome_unknown(authority: Authority, fault: str) -> None:
    with FaultServer(WIRE_FAULTS[fault], tls=authority.server_context()) as server:
        transport = OneShotTransport([server.url], total_timeout_s=1.5, ca_file=authority.ca_file)
        with pytest.raises(OutcomeUnknown):
            transport.send(dial(server.url))
    assert len(server.posts) == 1


# --- fixed hosts --------------------------------------------------------------------------------------------------

CARRIER = "https://api.carrier.example"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/Calls.json",
        "https://api.carrier.example.evil.example/",
        "https://evil.example#https://api.carrier.example",
        "https://api.carrier.example@evil.example/",
        "https://user:secret@api.carrier.example/",
        "https://api.carrier.example\\@evil.example/",
        "https://api.carrier.example./",
        "https://api.carrier.example:8443/",
        "https://api.carrier.example:99999/",
        "https://api.carrier.example:x/",
        "https://[::1/",
        "http://api.carrier.example/",
        "ftp://api.carrier.example/",
        "file:///etc/passwd",
        "//api.carrier.example/",
        "/Calls.json",
        "",
        "https://api.carrier.example/a b",
        "https://api.carrier.example/a\r\nHost: evil.example",
        "https://api.carrier.example/a\tb",
        "https://api.carrier.example/\u00e9",
        "https://api.carrier.example/#fragment",
        " https://api.carrier.example/",
    ],
)
def test_a_url_off_the_fixed_host_is_refused_and_nothing_is_sent(url: str) -> None:
    def no_network(host: str, port: int) -> list[AddressInfo]:
        raise AssertionError(host)

    with pytest.raises(HostRefused) as caught:
        OneShotTransport([CARRIER], resolve=no_network).send(HttpRequest(method="POST", url=url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://api.carrier.example/v1/Calls.json?To=1",
            "http://127.0.0.1:8080/carrier/v1/Calls.json?To=1",
        ),
        ("https://API.carrier.example:443/v1", "http://127.0.0.1:8080/carrier/v1"),
        ("https://api.carrier.example", "http://127.0.0.1:8080/carrier"),
        ("https://api.carrier.example?a=b", "http://127.0.0.1:8080/carrier?a=b"),
        ("https://api.carrier.example/", "http://127.0.0.1:8080/carrier/"),
        ("http://127.0.0.1:8080/carrier/page/2", "http://127.0.0.1:8080/carrier/page/2"),
    ],
)
def test_a_rewritten_host_goes_to_the_base_url_with_its_path_prefix(url: str, expected: str) -> None:
    transport = OneShotTransport([CARRIER], rewrites={CARRIER: "http://127.0.0.1:8080/carrier/"})
    assert transport.rewritten(url) == expected


def test_a_rewrite_of_a_path_takes_only_what_lies_under_it_and_nothing_reaches_the_original() -> None:
    transport = OneShotTransport([CARRIER], rewrites={f"{CARRIER}/v2": "http://127.0.0.1:8080/v2"})
    assert transport.rewritten(f"{CARRIER}/v2/calls") == "http://127.0.0.1:8080/v2/calls"
    for url in (f"{CARRIER}/v20/calls", f"{CARRIER}/v3", "http://127.0.0.1:8080/admin"):
        with pytest.raises(HostRefused):
            transport.rewritten(url)


def test_a_rewritten_request_reaches_the_other_host_with_its_host_header() -> None:
    with FaultServer(reply(200)) as server:
        transport = OneShotTransport([CARRIER], rewrites={CARRIER: f"{server.url}/carrier"})
        transport.send(dial(CARRIER))
    (request,) = server.posts
    assert (request.path, request.header("host")) == ("/carrier/Calls.json", f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    "base",
    [
        "http://api.carrier.example",
        "http://192.0.2.1",
        "carrier",
        "https://u:secret@c.example",
        "https://c/?a=b",
    ],
)
def test_a_base_url_that_is_unencrypted_or_odd_is_refused_at_the_start(base: str) -> None:
    with pytest.raises(ValueError) as caught:
        OneShotTransport([base])
    with pytest.raises(ValueError) as caught_too:
        OneShotTransport([CARRIER], rewrites={CARRIER: base})
    assert "secret" not in f"{caught.value} {caught_too.value}"


# --- nothing leaks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        reply(200, CANARY.encode()),
        raw(CANARY.encode()),
        raw(f"HTTP/1.1 {CANARY}\r\n".encode()),
        reset_after(),
    ],
    ids=["answered", "not HTTP", "bad status", "reset"],
)
def test_logs_reprs_and_errors_hold_no_secret_number_or_body(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultServer(script) as server:
        request = HttpRequest(
            method="POST",
            url=f"{server.url}/Accounts/AC0123456789abcdef0123456789abcdef/Calls.json?To=%2B14155550123",
            headers=(("Authorization", f"Basic {CANARY}"),),
            body=f"To=%2B14155550123&secret={CANARY}".encode(),
        )
        outcome: HttpResponse | TransportError
        try:
            outcome = patient(server.url).send(request)
        except TransportError as exc:
            outcome = exc
            logging.getLogger("test").error("failed", exc_info=exc)
    shown = f"{caplog.text} {request!r} {outcome!r} {outcome}"
    assert f"POST http://127.0.0.1:{server.port}/Accounts/***cdef/Calls.json?To=***" in caplog.text
    for secret in (CANARY, "4155550123", "0123456789abcdef0"):
        assert secret not in shown
