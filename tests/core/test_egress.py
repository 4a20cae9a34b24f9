from __future__ import annotations

import gzip
import ipaddress
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress import (
    MOST_ANSWER_BYTES,
    Egress,
    EgressPolicy,
    EgressRefused,
    NoAnswer,
    why_forbidden,
)
from gateway.errors import ValidationError
from gateway.transport import AddressInfo
from tests.faultserver import (
    Authority,
    Connection,
    FaultServer,
    drip_after,
    hang_after,
    raw,
    redirect,
    refused_url,
    reply,
    reset_after,
)

PUBLIC = "93.184.216.34"  # nothing of ours: the spy below lets no test reach it


class Spy:
    """Sees every connection that the process opens, and stops those that would leave this machine."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] | None = None
        sys.addaudithook(self._hook)  # stays for the life of the process; does nothing unless asked

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.seen is None or event != "socket.connect":
            return
        address = args[1]
        self.seen.append(address)
        if not (isinstance(address, tuple) and str(address[0]).startswith("127.")):
            raise ConnectionRefusedError("stopped by the test")

    @contextmanager
    def watching(self) -> Iterator[list[tuple[Any, ...]]]:
        self.seen = []
        try:
            yield self.seen
        finally:
            self.seen = None


SPY = Spy()


@pytest.fixture
def connections() -> Iterator[list[tuple[Any, ...]]]:
    with SPY.watching() as seen:
        yield seen


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def numeric(host: str, port: int) -> Sequence[AddressInfo]:
    """What the C library makes of a spelled address; it asks nobody."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


class Names:
    """A resolver that knows some names; its answers are given one by one, the last one for ever."""

    def __init__(self, **known: list[list[str]]) -> None:
        self._known = {name.replace("_", "."): answers for name, answers in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append(host)
        if host not in self._known:
            return numeric(host, port)
        answers = self._known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [info for address in found for info in numeric(address, port)]


def guarded(resolve: Any = numeric, **said: Any) -> Egress:
    return Egress(EgressPolicy(**said), resolve=resolve)


def local(**said: Any) -> Egress:
    """For servers of the tests, which the operator would have to allow as well."""
    return Egress(EgressPolicy(allowed_hosts=("127.0.0.1",)), **said)


# -- URLs that lead inward ------------------------------------------------------------------------------------------

INNER_V4 = [
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3"),
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.255"),
    *("169.254.169.254", "169.254.170.2", "169.254.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("168.63.129.16", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.7", "203.0.113.9"),
    *("198.18.0.1", "198.19.255.255", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
]
INNER_V6 = [
    *(
        "::",
        "::1",
        "0:0:0:0:0:0:0:1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "febf::1",
    ),
    *(
        "fec0::1",
        "feff::1",
        "ff00::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:2::1",
    ),
    *(
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "2620:4f:8000::1",
        "4000::1",
        "8000::1",
    ),
    *("c000::1", "e000::1", "f800::1", "::7f00:1", "::ffff:0:127.0.0.1", "fe80::1%25lo", "fe80::1%lo"),
]
INNER_NAMES = [
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "db", "metadata", "metadata.google.internal"),
    *("printer.local", "wiki.corp", "router.home", "box.lan", "x.localdomain", "1.0.0.127.in-addr.arpa"),
    *("hidden.onion", "host.docker.internal", "kubernetes.default.svc.cluster.local"),
]
ODD_V4 = [  # 127.0.0.1 as inet_aton and browsers read it, and what only looks like an address
    *("2130706433", "0x7f000001", "0x7F000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0177.1"),
    *(
        "0x7f.0.0.1",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "127.0.0.01",
        "127.0.0.0x1",
        "00127.0.0.1",
        "127.000.000.001",
    ),
    *("127.0.0.1.", "0", "0x0", "00", "127.0.0.1.1", "256.256.256.256", "127.0.0.256", "4294967296", "0x"),
    *("a.0x7f000001", "a.1", "169.254.43518", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "-1"),
]
ODD_HOSTS = [
    *("１２７.０.０.１", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "127。0。0。1", "lo\u00adcalhost", "%31%32%37.0.0.1", "localhost%00"),
    *(
        "127.0.0.1%20",
        "127.0.0.1%23",
        "a..b",
        ".localhost",
        "-",
        "*",
        "[",
        "]",
        "[]",
        "[::1",
        "::1",
        "[127.0.0.1]",
    ),
    *(
        "[::1]x",
        "[::ffff:127.0.0.1",
        "[fe80::1%]",
        "[::1%lo]",
        "a b",
        "a\tb",
        "a\nb",
        "a\\b",
        "",
        "a" * 254 + ".com",
    ),
    *(
        "a" * 64 + ".com",
        "ho_st!.com",
        "host,name.com",
        "host;name.com",
        "(host).com",
        "host'.com",
        'host".com',
    ),
]


def spellings_v4(address: str) -> Iterator[str]:
    """The ways to write one IPv4 address, and the IPv6 addresses that carry it."""
    value = int(ipaddress.IPv4Address(address))
    first, *rest = struct.pack(">I", value)
    low = value & 0xFFFFFF
    yield from (address, str(value), hex(value), f"0{value:o}", f"{first}.{low}", f"0x{first:x}.{low}")
    yield ".".join(f"0{part:o}" for part in (first, *rest))
    high, end = value >> 16, value & 0xFFFF
    yield from (
        f"[::ffff:{address}]",
        f"[::ffff:{high:x}:{end:x}]",
        f"[::{address}]",
        f"[64:ff9b::{address}]",
    )
    yield f"[2002:{high:x}:{end:x}::1]"


HOSTS = [
    *(spelling for address in INNER_V4 for spelling in spellings_v4(address)),
    *(f"[{address}]" for address in INNER_V6),
    *INNER_NAMES,
    *ODD_V4,
    *ODD_HOSTS,
]
ODD_URLS = [
    *(
        "http://hooks.receiver.dev/",
        "ftp://hooks.receiver.dev/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_",
    ),
    *(
        "//hooks.receiver.dev/",
        "/hooks",
        "",
        "https://",
        "https:///hooks",
        "https:hooks.receiver.dev",
        "javascript:1",
    ),
    *(
        "https://user@hooks.receiver.dev/",
        "https://user:pass@hooks.receiver.dev/",
        "https://@hooks.receiver.dev/",
    ),
    *(
        "https://hooks.receiver.dev@127.0.0.1/",
        "https://127.0.0.1#@hooks.receiver.dev/",
        "https://[::1]@a.dev/",
    ),
    *(
        "https://127.0.0.1\\@hooks.receiver.dev/",
        "https://hooks.receiver.dev\\.127.0.0.1/",
        "https:\\\\a.dev/",
    ),
    *(
        "https://hooks.receiver.dev/#part",
        "https://hooks.receiver.dev/a b",
        "https://hooks.receiver.dev/\r\nX: y",
    ),
    *("https://hooks.receiver.dev/\x00", "https://hooks.receiver.dev/é", " https://hooks.receiver.dev/"),
    *(
        f"https://hooks.receiver.dev:{port}/"
        for port in (0, 22, 25, 80, 444, 2375, 5432, 6379, 8080, 9200, 65535)
    ),
    *(
        f"https://hooks.receiver.dev:{port}/"
        for port in ("65536", "-443", "+443", "4_43", "443x", "４４３", "1e2")
    ),
    "https://hooks.receiver.dev/" + "a" * 2100,
]
URLS = [
    *(f"https://{host}/hooks" for host in HOSTS),
    *(f"https://{host}:8443/" for host in ("127.0.0.1", "[::1]", "localhost", "2130706433")),
    *(f"http://{host}/" for host in ("127.0.0.1", "[::1]", "localhost", "hooks.receiver.dev")),
    *ODD_URLS,
]


def test_no_spelling_of_an_inner_address_is_ever_connected_to(connections: list[Any]) -> None:
    assert len(set(URLS)) >= 500
    egress = guarded()
    for url in URLS:
        with pytest.raises(EgressRefused):
            egress.post(url, {}, b"{}")
    assert connections == []


@pytest.mark.parametrize("address", [*INNER_V4, *(a for a in INNER_V6 if "%" not in a)])
def test_a_good_name_with_an_inner_address_is_not_connected_to(address: str, connections: list[Any]) -> None:
    names = Names(hooks_receiver_dev=[[address]])
    with pytest.raises(EgressRefused, match="forbidden address"):
        guarded(names).post("https://hooks.receiver.dev/", {}, b"{}")
    assert names.asked == ["hooks.receiver.dev"]
    assert connections == []


@pytest.mark.parametrize(
    "answers", [[PUBLIC, "10.0.0.1"], ["::1", PUBLIC], ["2606:2800:220:1::1", "fe80::1"]]
)
def test_one_inner_address_among_good_ones_stops_the_request(
    answers: list[str], connections: list[Any]
) -> None:
    with pytest.raises(EgressRefused):
        guarded(Names(hooks_receiver_dev=[answers])).post("https://hooks.receiver.dev/", {}, b"{}")
    assert connections == []


def test_a_name_that_turns_inward_after_the_check_changes_nothing(connections: list[Any]) -> None:
    names = Names(hooks_receiver_dev=[[PUBLIC], ["127.0.0.1"]])
    egress = guarded(names)
    with pytest.raises(NoAnswer):  # the spy stopped it
        egress.post("https://hooks.receiver.dev/", {}, b"{}")
    assert names.asked == ["hooks.receiver.dev"]
    assert connections == [(PUBLIC, 443)]
    with pytest.raises(EgressRefused):  # the next attempt asks and checks anew
        egress.post("https://hooks.receiver.dev/", {}, b"{}")
    assert connections == [(PUBLIC, 443)]


def test_a_scope_in_an_answer_is_refused(connections: list[Any]) -> None:
    def scoped(_host: str, port: int) -> Sequence[AddressInfo]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:2800:220:1::1", port, 0, 2))]

    with pytest.raises(EgressRefused, match="scope"):
        guarded(scoped).post("https://hooks.receiver.dev/", {}, b"{}")
    assert connections == []


def test_an_address_of_another_family_is_refused(connections: list[Any]) -> None:
    def odd(_host: str, _port: int) -> Sequence[AddressInfo]:
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/run/docker.sock")]

    with pytest.raises(EgressRefused):
        guarded(odd).post("https://hooks.receiver.dev/", {}, b"{}")
    assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.receiver.dev",
        "https://hooks.receiver.dev/",
        "https://HOOKS.receiver.dev:443/a/b?c=d&e=%20",
        "https://hooks.receiver.dev:8443/a",
        "https://xn--bcher-kva.receiver.dev/",
        "https://a_b.receiver.dev/",
        f"https://{PUBLIC}/a",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/a",
        "https://123.receiver.dev/",
        "https://0x7f.receiver.dev/",
    ],
)
def test_good_urls_are_read_and_go_where_they_say(url: str, connections: list[Any]) -> None:
    target = EgressPolicy().target(url)
    assert target.scheme == "https"
    names = Names(**{target.host.replace(".", "_"): [[PUBLIC]]} if ":" not in target.host else {})
    with pytest.raises(NoAnswer):
        Egress(EgressPolicy(), resolve=lambda _h, port: names(PUBLIC, port)).post(url, {}, b"{}")
    assert connections == [(PUBLIC, target.port)]


@given(st.ip_addresses())
def test_nothing_but_global_addresses_is_allowed(address: Any) -> None:
    if why_forbidden(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}", "64:ff9b:1::{}"]),
)
def test_no_ipv4_address_passes_in_an_ipv6_disguise(value: int, form: str) -> None:
    assert why_forbidden(form.format(ipaddress.IPv4Address(value))) is not None


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.128.0.1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert why_forbidden(address) is None


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "1.2.3", "::1%lo", "1.2.3.4/8", "x" * 1000])
def test_what_is_no_address_is_forbidden(address: str) -> None:
    assert why_forbidden(address) is not None
    assert why_forbidden(address, is_allowed_host=True) is not None


# -- hosts the operator allows --------------------------------------------------------------------------------------


def test_an_allowed_host_is_reached_by_http_on_its_port_and_nothing_else_is() -> None:
    with FaultServer(reply(204)) as server:
        answer = local().post(f"{server.url}/hooks?a=b", {"X-One": "1"}, b'{"a": 1}')
        assert answer.status == 204
        (got,) = server.posts
        assert (got.path, got.body, got.header("x-one")) == ("/hooks?a=b", b'{"a": 1}', "1")
        assert got.header("host") == f"127.0.0.1:{server.port}"
        assert got.header("connection") == "close"
        for other in ("localhost", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"):
            with pytest.raises(EgressRefused):
                local().post(f"http://{other}:{server.port}/", {}, b"{}")
        assert len(server.posts) == 1


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "168.63.129.16", "100.100.100.200", "fe80::1"]
)
def test_metadata_services_are_out_of_reach_even_by_an_allowed_name(
    address: str, connections: list[Any]
) -> None:
    egress = guarded(Names(app_internal=[[address]]), allowed_hosts=("app.internal",))
    with pytest.raises(EgressRefused):
        egress.post("http://app.internal/", {}, b"{}")
    assert connections == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.17.0.1", "::1", "fd00::5"])
def test_an_allowed_name_may_lead_inside(address: str) -> None:
    assert why_forbidden(address, is_allowed_host=True) is None
    assert why_forbidden(address) is not None


def test_an_allowed_single_word_is_a_host() -> None:
    assert EgressPolicy(allowed_hosts=("app",)).target("http://app:5000/hooks").port == 5000
    with pytest.raises(ValidationError):
        EgressPolicy().target("https://app/hooks")


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    with FaultServer(reply(200)) as other, FaultServer(redirect(status, other.url)) as server:
        assert local().post(server.url, {}, b"{}").status == status
        assert other.connections == 0


def test_every_status_is_told_as_it_is_and_interim_ones_are_no_answer() -> None:
    told = {}
    egress = local()
    with FaultServer(reply(200)) as server:
        for status in range(100, 600):
            server.script = reply(status)
            try:
                told[status] = egress.post(server.url, {}, b"{}").status
            except NoAnswer:
                told[status] = 0
    assert told == {status: 0 if status in (100, 102, 103) else status for status in range(100, 600)}


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (raw(b"HTTP/1.1 200 OK\r\n\r\n"), 200),
        (raw(b"HTTP/1.0 204 \r\n\r\n"), 204),
        (raw(b"HTTP/1.1 299\r\n\r\n"), 299),
        (raw(b"HTTP/1.1 200 OK\n\n"), 200),
        (
            raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 202 Yes\r\n\r\n"),
            202,
        ),
        (raw(b"HTTP/1.1 101 Switching\r\n\r\n"), 101),
        (reply(200, gzip.compress(b"{}"), ("Content-Encoding", "gzip")), 200),
        (reply(200, b"x" * 2_000_000), 200),
        (reply(200, b"{}", length=2_000_000), 200),
        (reset_after(b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n"), 500),
        (hang_after(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), 200),
        (drip_after(b"HTTP/1.1 503 No\r\nContent-Length: 900\r\n\r\n", b"x" * 900), 503),
    ],
)
def test_the_status_decides_whatever_follows_it(script: Any, status: int) -> None:
    with FaultServer(script) as server:
        assert local().post(server.url, {}, b"{}").status == status


@pytest.mark.parametrize(
    "script",
    [
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\nA: b"),
        raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
        raw(b"HTTP/2 200\r\n\r\n"),
        raw(b"HTTP/1.1 600 Odd\r\n\r\n"),
        raw(b"HTTP/1.1 099 Odd\r\n\r\n"),
        raw(b"HTTP/1.1 20 Odd\r\n\r\n"),
        raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n"),
        reset_after(b"HTTP/1.1 20"),
        hang_after(),
        hang_after(b"HTTP/1.1 200 OK\r\n"),
        drip_after(b"", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400),
    ],
)
def test_what_is_no_answer_is_none(script: Any) -> None:
    with FaultServer(script) as server, pytest.raises(NoAnswer) as failed:
        local(total_timeout_s=0.6).post(f"{server.url}/secret-path", {}, b"{}")
    assert "secret-path" not in str(failed.value)


def test_nobody_listening_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="refused"):
        local().post(refused_url(), {}, b"{}")


def test_the_wait_that_an_answer_asks_for_is_told() -> None:
    with FaultServer(reply(429, b"", ("Retry-After", "120"))) as server:
        assert local().post(server.url, {}, b"{}").retry_after == "120"


def test_no_more_than_16_kb_of_an_answer_are_read() -> None:
    """The peer counts what the kernel took over: our 16 kB and what the two socket buffers hold, not 50 MB."""
    sent = threading.Event()
    taken = []

    def flood(connection: Connection) -> None:
        connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            for count in range(5000):
                connection.send(b"x" * 10_000)
                taken.append(count)
        except OSError:
            pass
        sent.set()

    assert MOST_ANSWER_BYTES == 16_384
    with FaultServer(flood) as server:
        assert local().post(server.url, {}, b"{}").status == 200
        assert sent.wait(10)
    assert len(taken) < 5000


def test_a_header_with_a_line_break_is_not_sent() -> None:
    with FaultServer(reply(200)) as server:
        with pytest.raises(NoAnswer):
            local().post(server.url, {"X": "a\r\nY: b"}, b"{}")
        assert server.connections == 0


# -- TLS ------------------------------------------------------------------------------------------------------------


def tls_egress(authority: Authority | None, address: str = "127.0.0.1") -> Egress:
    return Egress(
        EgressPolicy(allowed_hosts=("hooks.receiver.dev",)),
        ca_file=authority.ca_file if authority else None,
        resolve=Names(hooks_receiver_dev=[[address]]),
    )


def test_the_name_is_told_and_verified_although_the_address_is_connected_to(authority: Authority) -> None:
    told: list[str | None] = []
    context = authority.server_context("hooks.receiver.dev")
    context.sni_callback = lambda _sock, name, _context: told.append(name)
    with FaultServer(reply(200), tls=context) as server:
        url = f"https://hooks.receiver.dev:{server.port}/"
        assert tls_egress(authority).post(url, {}, b"{}").status == 200
        assert server.posts[0].header("host") == f"hooks.receiver.dev:{server.port}"
    assert told == ["hooks.receiver.dev"]


@pytest.mark.parametrize(
    ("name", "days", "is_trusted"),
    [
        ("127.0.0.1", 30, True),
        ("other.receiver.dev", 30, True),
        ("receiver.dev", 30, True),
        ("hooks.receiver.dev", -1, True),
        ("hooks.receiver.dev", 30, False),
    ],
)
def test_a_certificate_that_does_not_fit_ends_it_before_the_event_is_sent(
    authority: Authority, name: str, days: int, is_trusted: bool
) -> None:
    with FaultServer(reply(200), tls=authority.server_context(name, days=days)) as server:
        with pytest.raises(NoAnswer):
            tls_egress(authority if is_trusted else None).post(
                f"https://hooks.receiver.dev:{server.port}/", {}, b"{}"
            )
        assert server.posts == []
