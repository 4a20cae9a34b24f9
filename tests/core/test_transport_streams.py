from __future__ import annotations

from pathlib import Path

import pytest

from gateway.transport import AddressInfo, HostRefused, NotSent, OutcomeUnknown, stream_get
from tests.faultserver import (
    WIRE_FAULTS,
    Authority,
    Connection,
    FaultServer,
    Script,
    drip_after,
    raw,
    redirect,
    reply,
)

CREDENTIALS = (("Authorization", "Basic c2VjcmV0"), ("Cookie", "a=b"), ("X-Auth-Token", "secret"))
HARMLESS = (("Range", "bytes=10-"), ("Accept", "audio/mpeg"))
AUDIO = bytes(range(256)) * 2000


def host_of(*servers: FaultServer) -> list[str]:
    return [f"127.0.0.1:{server.port}" for server in servers]


def test_a_recording_comes_in_pieces_with_its_status_and_headers() -> None:
    with (
        FaultServer(reply(206, AUDIO, ("Content-Type", "audio/mpeg"))) as server,
        stream_get(server.url + "/rec.mp3", CREDENTIALS + HARMLESS, allowed_hosts=host_of(server)) as answer,
    ):
        pieces = list(answer)
    assert (answer.status, answer.header("content-type"), b"".join(pieces)) == (206, "audio/mpeg", AUDIO)
    assert len(pieces) > 1
    (request,) = server.requests
    assert (request.method, request.path, request.header("range")) == ("GET", "/rec.mp3", "bytes=10-")
    assert request.header("authorization") == "Basic c2VjcmV0"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inside_the_allowlist_is_followed_without_credentials(status: int) -> None:
    with (
        FaultServer(reply(200, AUDIO)) as storage,
        FaultServer(redirect(status, f"{storage.url}/signed?a=b")) as api,
    ):
        answer = stream_get(api.url, CREDENTIALS + HARMLESS, allowed_hosts=host_of(api, storage))
        assert b"".join(answer) == AUDIO
    (request,) = storage.requests
    assert request.path == "/signed?a=b"
    assert {name.lower() for name, _ in request.headers} == {
        "host",
        "connection",
        "accept-encoding",
        "range",
        "accept",
    }


def test_credentials_do_not_come_back_on_a_redirect_to_the_first_host() -> None:
    def script(connection: Connection) -> None:
        (redirect(302, "/second") if len(server.requests) == 1 else reply(200, b"x"))(connection)

    with FaultServer(script) as server:
        assert b"".join(stream_get(server.url, CREDENTIALS, allowed_hosts=host_of(server))) == b"x"
    assert [request.header("authorization") for request in server.requests] == ["Basic c2VjcmV0", None]


def test_a_redirect_off_the_allowlist_is_refused_and_nobody_is_contacted() -> None:
    with FaultServer(reply(200)) as other, FaultServer(redirect(302, other.url)) as api:
        with pytest.raises(HostRefused):
            stream_get(api.url, CREDENTIALS, allowed_hosts=host_of(api))
        api.script = redirect(302, "http://169.254.169.254/latest/meta-data")
        with pytest.raises(HostRefused):
            stream_get(api.url, CREDENTIALS, allowed_hosts=host_of(api))
        api.script = redirect(302, "file:///etc/passwd")
        with pytest.raises(HostRefused):
            stream_get(api.url, CREDENTIALS, allowed_hosts=host_of(api))
    assert other.connections == 0


def test_a_fourth_redirect_is_refused() -> None:
    with FaultServer(redirect(302, "/again")) as server, pytest.raises(HostRefused, match="more than 3"):
        stream_get(server.url, allowed_hosts=host_of(server))
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "script",
    [reply(304), reply(302), reply(201, b"", ("Location", "/x")), reply(300, b"", ("Location", "/x"))],
)
def test_what_is_no_redirect_is_an_answer(script: Script) -> None:
    with FaultServer(script) as server, stream_get(server.url, allowed_hosts=host_of(server)) as answer:
        assert list(answer) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://evil.example/rec", "carrier.example"),
        ("https://evilcarrier.example/rec", "carrier.example"),
        ("https://carrier.example.evil.example/rec", "carrier.example"),
        ("https://carrier.example@evil.example/rec", "carrier.example"),
        ("https://evil.example\\.carrier.example/rec", "carrier.example"),
        ("https://evil.example?.carrier.example/rec", "carrier.example"),
        ("https://api.carrier.example:8443/rec", "carrier.example"),
        ("http://api.carrier.example/rec", "carrier.example"),
        ("https://127.0.0.1/rec", "carrier.example"),
        ("https://evil.example./rec", ""),
        ("http://127.0.0.1:1/rec", "127.0.0.1"),
        ("https://2130706433/rec", "127.0.0.1"),
    ],
)
def test_a_url_off_the_allowlist_is_refused(url: str, allowed: str) -> None:
    with pytest.raises(HostRefused):
        stream_get(url, allowed_hosts=[allowed])


@pytest.mark.parametrize("host", ["carrier.example", "api.carrier.example", "Media.API.carrier.example"])
def test_a_host_is_allowed_with_all_its_subdomains_in_any_case(host: str) -> None:
    asked: list[tuple[str, int]] = []

    def resolve(name: str, port: int) -> list[AddressInfo]:
        asked.append((name, port))
        return []

    with pytest.raises(NotSent):
        stream_get(f"https://{host}/rec", allowed_hosts=["other.example", "Carrier.example"], resolve=resolve)
    assert asked == [(host.lower(), 443)]


def test_a_body_over_the_limit_ends_the_stream_at_the_limit() -> None:
    with FaultServer(raw(b"HTTP/1.1 200 OK\r\n\r\n" + AUDIO)) as server:
        answer = stream_get(server.url, allowed_hosts=host_of(server), max_bytes=100_000)
        pieces: list[bytes] = []
        with pytest.raises(OutcomeUnknown, match="too large"):
            pieces.extend(answer)
    assert 0 < sum(map(len, pieces)) <= 100_000


def test_a_declared_length_over_the_limit_is_refused_before_the_body() -> None:
    with (
        FaultServer(reply(200, AUDIO)) as server,
        pytest.raises(OutcomeUnknown, match="too large"),
    ):
        stream_get(server.url, allowed_hosts=host_of(server), max_bytes=100_000)


@pytest.mark.parametrize("fault", ["closed in the body", "reset in the body", "closed before the last chunk"])
def test_a_stream_cut_short_ends_with_an_error_and_never_in_silence(fault: str) -> None:
    with (
        FaultServer(WIRE_FAULTS[fault]) as server,
        pytest.raises(OutcomeUnknown),
    ):
        list(stream_get(server.url, allowed_hosts=host_of(server)))


def test_a_dripped_stream_ends_at_the_deadline() -> None:
    dripped = drip_after(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"x" * 500)
    with FaultServer(dripped) as server, pytest.raises(OutcomeUnknown, match="timed out"):
        list(stream_get(server.url, allowed_hosts=host_of(server), total_timeout_s=0.5))


def test_a_stream_may_be_closed_before_its_end() -> None:
    with FaultServer(reply(200, AUDIO)) as server:
        answer = stream_get(server.url, allowed_hosts=host_of(server))
        assert next(iter(answer))
        answer.close()
        answer.close()


def test_a_recording_over_tls_needs_a_trusted_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FaultServer(reply(200, AUDIO), tls=authority.server_context()) as server:
        hosts = host_of(server)
        assert b"".join(stream_get(server.url, allowed_hosts=hosts, ca_file=authority.ca_file)) == AUDIO
        with pytest.raises(NotSent):
            stream_get(server.url, allowed_hosts=hosts)
    assert len(server.requests) == 1
