"""The voice blueprint on real servers: raw targets and framings, limits, and an answer when nothing can be stored.

What is signed is the configured public URL with path and query as they stood in the request line (R19, R20); the
signatures here are made by the carrier's own library.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from flask import Flask

from gateway import Agent, Gateway, Stream
from gateway.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from gateway.interface import Hook, WebhookReply, WebhookRequest
from gateway.settings import load_settings
from gateway.store import events
from gateway.web import create_app, voice_blueprint
from tests.adapters.twilio.support import SECRETS
from tests.bench import WebServer
from tests.clikit import Cli

PUBLIC = "https://gw.example.net"
FORM = "application/x-www-form-urlencoded"
LIMIT = 65_536
FIELDS = {
    "CallSid": "CA" + "1" * 32,
    "AccountSid": SECRETS["account_sid"],
    "From": "+12125550123",
    "To": "+14155550100",
    "CallStatus": "ringing",
    "Direction": "outbound-api",
}


def open_gateway(folder: Path, kind: type[Gateway] = Gateway, **settings: Any) -> Gateway:
    found = load_settings(
        env={}, database_url=f"sqlite:///{folder / 'gateway.db'}", public_url=PUBLIC, **settings
    )
    return kind.open(found, background=False)


def add_account(gw: Gateway) -> str:
    return gw.credentials.add("twilio", check=False, **SECRETS).key


def signature(target: str, body: bytes) -> str:
    """The carrier's own signature of a form sent to `target` under the public URL."""
    from twilio.request_validator import RequestValidator

    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    made: str = RequestValidator(SECRETS["auth_token"]).compute_signature(PUBLIC + target, fields)
    return made


def exchange(port: int, request: bytes, *more: bytes, half_close: bool = False) -> tuple[int, bytes]:
    """Send raw bytes, in pieces; return the status and the rest of the answer. Status 0: closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.settimeout(15)
        try:
            for piece in (request, *more):
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # it answered before all was sent
            pass
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
    head, _, rest = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), rest


def head(target: str, *lines: str, signed: str | None = None, body: bytes = b"") -> bytes:
    """A request's head; `signed`: the target that the signature is for."""
    mine = signature(target if signed is None else signed, body)
    fixed = ["Host: localhost", f"Content-Type: {FORM}", f"X-Twilio-Signature: {mine}", "Connection: close"]
    return "\r\n".join([f"POST {target} HTTP/1.1", *fixed, *lines, "", ""]).encode("latin-1")


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


Served = tuple[int, str]


@pytest.fixture(scope="module", params=["werkzeug", "gunicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The port of a server, and the path key of its account; `gunicorn`: as `gateway serve` runs it."""
    folder = tmp_path_factory.mktemp(request.param)
    with open_gateway(folder) as gw:
        key = add_account(gw)
        if request.param == "werkzeug":
            web = WebServer()
            web.server.app = create_app(gw)
            web.start()
            yield web.server.server_port, key
            web.stop()
            return
    process = Cli(folder, {"GATEWAY_PUBLIC_URL": PUBLIC}).start("serve", "--bind", "127.0.0.1:0", "--json")
    try:
        assert process.stdout is not None
        told = "".join(iter(process.stdout.readline, "}\n")) + "}"
        port = int(json.loads(told)["url"].rpartition(":")[2])
        wait_until_it_answers(port)
        yield port, key
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def wait_until_it_answers(port: int) -> None:
    """The socket listens before the application is there: the kernel keeps the first request until it is."""
    assert exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200


BODY = urlencode(FIELDS).encode()
LENGTH = f"Content-Length: {len(BODY)}"


# -- targets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        "/status",
        "/status?step=" + "a" * 32,
        "/status?b=1&a=2",
        "/status?a=2&b=1&a=1",
        "/status?a=%2B+%20",
        "/status?a=%c3%a9",
        "/status?a=%C3%A9",
        "/status?a&b=",
        "/status?a=/?:@!$'()*,;~",
        "/status/" + "b" * 32 + "?x=1",
        "/statu%73",
        "/status%2F" + "c" * 32,
        "/status%2f" + "d" * 32,
    ],
)
def test_path_and_query_are_signed_as_they_stand_in_the_request_line(server: Served, tail: str) -> None:
    port, key = server
    target = f"/voice/{key}{tail}"
    assert exchange(port, head(target, LENGTH, body=BODY) + BODY)[0] == 200


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/status?b=1&a=2", "/status?a=2&b=1"),
        ("/status?a=%2B", "/status?a=+"),
        ("/status?a=%c3%a9", "/status?a=%C3%A9"),
        ("/status?", "/statuses"),
        ("/status?a=1", "/status"),
        ("/status", "/status?a=1"),
        ("/status", "/answer"),
        ("/statu%73", "/status"),
        ("/status%2Fx", "/status/x"),
        ("/status%2Fx", "/status%2fx"),
    ],
)
def test_another_spelling_of_the_same_address_is_another_address(
    server: Served, sent: str, signed: str
) -> None:
    port, key = server
    sent, signed = f"/voice/{key}{sent}", f"/voice/{key}{signed}"
    assert exchange(port, head(sent, LENGTH, signed=signed, body=BODY) + BODY)[0] == 403


@pytest.mark.parametrize("origin", ["http://localhost", "https://gw.example.net", "http://evil.example:81"])
def test_an_absolute_target_counts_by_its_path_and_query(server: Served, origin: str) -> None:
    port, key = server
    target = f"/voice/{key}/status?a=1&b=http://x/"
    assert exchange(port, head(origin + target, LENGTH, signed=target, body=BODY) + BODY)[0] == 200
    assert (
        exchange(port, head(origin + target, LENGTH, signed=f"/voice/{key}/status", body=BODY) + BODY)[0]
        == 403
    )


@pytest.mark.parametrize(
    "target",
    [
        "/voice/{key}/status/a%2Fb",
        "/voice/{key}/status/../answer",
        "/voice//{key}/status",
        "/voice/{key}/status/",
        "/voice/{key}/nothing",
        "/voice/{key}",
        "/voice/{unknown}/status",
        "/voice/{key}%00/status",
        "/voice/%ff%fe/status",
        "/voice/{key}/amd",
        "/VOICE/{key}/status",
        "*",
        "/voice/streams/" + "0" * 32 + "/claim",
    ],
)
def test_an_address_that_is_none_of_ours_is_not_found(server: Served, target: str) -> None:
    port, key = server
    address = target.format(key=key, unknown="0" * len(key))
    status, _ = exchange(port, head(address, LENGTH, body=BODY) + BODY)
    assert status in (404, 403, 400, 308), "never taken, never an error of ours"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
def test_only_posts_are_taken(server: Served, method: str) -> None:
    port, key = server
    request = head(f"/voice/{key}/status", "Content-Length: 0").replace(b"POST", method.encode(), 1)
    assert exchange(port, request)[0] == (200 if method == "OPTIONS" else 405)


# -- framings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chunked_body_is_read_whole(server: Served, size: int) -> None:
    port, key = server
    request = head(f"/voice/{key}/status?size={size}", "Transfer-Encoding: chunked", body=BODY)
    assert exchange(port, request + chunked(BODY, size))[0] == 200


def test_a_body_that_comes_in_pieces_is_read_whole(server: Served) -> None:
    port, key = server
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head(f"/voice/{key}/status?pieces=1", LENGTH, body=BODY))
        for at in range(0, len(BODY), 40):
            connection.sendall(BODY[at : at + 40])
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert connection.recv(100).split()[1] == b"200"


@pytest.mark.parametrize("over", [1, 10_000, 10_000_000])
def test_a_chunked_body_over_the_limit_is_refused(server: Served, over: int) -> None:
    port, key = server
    body = b"a=" + b"x" * (LIMIT + over - 2)
    request = head(f"/voice/{key}/status", "Transfer-Encoding: chunked")
    status, _ = exchange(port, request, chunked(body, 32_768), half_close=True)
    assert status in (413, 0) if over > 1_000_000 else status == 413


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**9, 10**18])
def test_a_declared_length_over_the_limit_is_refused_unread(server: Served, declared: int) -> None:
    port, key = server
    request = head(f"/voice/{key}/status", f"Content-Length: {declared}")
    assert exchange(port, request + b"a=1")[0] == 413


@pytest.mark.parametrize("framing", ["Content-Length: {n}", "Transfer-Encoding: chunked"])
def test_a_body_of_exactly_the_limit_is_read_whole(server: Served, framing: str) -> None:
    port, key = server
    body = BODY + b"&Filler=" + b"x" * (LIMIT - len(BODY) - len(b"&Filler="))
    request = head(f"/voice/{key}/status?exact={framing[0]}", framing.format(n=LIMIT), body=body)
    sent = body if "Length" in framing else chunked(body, 10_000)
    assert exchange(port, request, sent)[0] == 200


def test_a_body_shorter_than_declared_is_never_taken_for_whole(server: Served) -> None:
    port, key = server
    cut = BODY[: len(BODY) // 2]
    request = head(f"/voice/{key}/status?cut=1", LENGTH, body=cut)
    assert exchange(port, request + cut, half_close=True)[0] in (400, 408, 0)


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: -1", "Content-Length: x", "Content-Length: 1e3", "Transfer-Encoding: gzip"],
)
def test_a_framing_that_makes_no_sense_is_refused(server: Served, framing: str) -> None:
    port, key = server
    status, _ = exchange(port, head(f"/voice/{key}/status", framing, body=BODY) + BODY, half_close=True)
    assert status in (400, 403, 411, 415, 501, 0)


# -- what carriers and agents are answered -------------------------------------------------------------------------


def test_the_routes_are_those_of_the_contract(tmp_path: Path) -> None:
    with open_gateway(tmp_path) as gw:
        app = create_app(gw)
        rules = {str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith("/voice/")}
        posts = {
            rule.methods == {"POST", "OPTIONS"} for rule in app.url_map.iter_rules() if str(rule) in rules
        }
    assert posts == {True}
    assert rules == {
        "/voice/<key>/answer",
        "/voice/<key>/answer/<token>",
        "/voice/<key>/status",
        "/voice/<key>/status/<token>",
        "/voice/<key>/amd/<token>",
        "/voice/<key>/recording",
        "/voice/<key>/recording/<token>",
        "/voice/<key>/next/<token>",
        "/voice/<key>/fallback",
        "/voice/<key>/fallback/<token>",
        "/voice/<key>/events",
        "/voice/<key>/events/<token>",
        "/voice/streams/<token>/claim",
        "/voice/ping",
    }


@pytest.mark.parametrize("prefix", ["/hooks", None, "/voice/", "/"])
def test_a_prefix_that_carriers_are_not_given_is_refused_at_once(tmp_path: Path, prefix: str | None) -> None:
    with open_gateway(tmp_path) as gw:
        app = Flask("embedder")
        with pytest.raises(
            ConfigurationError, match="register it with url_prefix='/voice' or set webhook_prefix"
        ):
            app.register_blueprint(voice_blueprint(gw), url_prefix=prefix)


def test_a_prefix_of_ones_own_is_used_and_signed(tmp_path: Path) -> None:
    with open_gateway(tmp_path, webhook_prefix="/telephony/hooks") as gw:
        key = add_account(gw)
        app = Flask("embedder")
        app.register_blueprint(voice_blueprint(gw), url_prefix="/telephony/hooks")
        assert gw.credentials.webhooks(gw.credentials.get("twilio"))["status"] == (
            f"{PUBLIC}/telephony/hooks/{key}/status"
        )
        assert post(app, f"/telephony/hooks/{key}/status").status_code == 200


def post(app: Flask, target: str, body: bytes = BODY) -> Any:
    headers = {"X-Twilio-Signature": signature(target, body)}
    return app.test_client().post(target, data=body, headers=headers, content_type=FORM)


class Failing(Gateway):
    """Fails as it is told to."""

    error: Exception

    def receive(self, key: str, hook: Hook, request: WebhookRequest) -> WebhookReply:
        raise self.error


def test_a_fault_of_ours_is_a_bare_500_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_gateway(tmp_path, Failing) as gw:
        assert isinstance(gw, Failing)
        gw.error = RuntimeError("SELECT secret FROM somewhere")
        answer = post(create_app(gw), "/voice/k/status")
    assert (answer.status_code, answer.data) == (500, b"internal error\n")
    assert "SELECT secret" in caplog.text


def test_a_refusal_says_only_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_gateway(tmp_path) as gw:
        key = add_account(gw)
        app = create_app(gw)
        wrong = app.test_client().post(
            f"/voice/{key}/status", data=BODY, headers={"X-Twilio-Signature": "x"}, content_type=FORM
        )
        unknown = app.test_client().post("/voice/nobody/status", data=BODY, content_type=FORM)
    assert (wrong.status_code, wrong.data) == (403, b"bad_signature\n")
    assert (unknown.status_code, unknown.data) == (404, b"unknown_key\n")
    assert "+12125550123" not in caplog.text
    assert key not in caplog.text


# -- a database that cannot take it (R41, R49) ---------------------------------------------------------------------


def test_a_locked_database_is_a_503_and_nothing_is_lost(tmp_path: Path) -> None:
    with open_gateway(tmp_path) as gw:
        key, app = add_account(gw), create_app(gw)
        other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = post(app, f"/voice/{key}/status")  # waits 5 s for the lock
        assert (answer.status_code, answer.data) == (503, b"try again\n")
        assert int(answer.headers["Retry-After"]) >= 1
        assert events.tail_events(gw.services.store, "default") == []
        other.execute("ROLLBACK")
        other.close()
        assert post(app, f"/voice/{key}/status").status_code == 200
        assert len(events.tail_events(gw.services.store, "default")) == 1


def test_an_unknown_store_error_is_a_503_with_its_own_patience(tmp_path: Path) -> None:
    with open_gateway(tmp_path, Failing) as gw:
        assert isinstance(gw, Failing)
        gw.error = StoreUnavailable("the disk is full", retry_after_s=7)
        answer = post(create_app(gw), "/voice/k/status")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert b"disk" not in answer.data


READ_ONLY = """
import os, sys
from gateway import Gateway, GatewayError
from gateway.settings import load_settings
from gateway.web import create_app
from tests.core.test_web_voice import post

def use(folder, key):
    settings = load_settings(
        env={}, database_url=f"sqlite:///{folder}/gateway.db", public_url="https://gw.example.net"
    )
    with Gateway.open(settings, background=False) as gw:
        answer = post(create_app(gw), f"/voice/{key}/status")
        print(answer.status_code, answer.headers.get("Retry-After"))
        try:
            gw.place_call("echo", "+1415555" + "0123")
        except GatewayError as error:
            print(type(error).__name__, error)

use(sys.argv[1], "unknown")  # imports everything, while it can be read
if os.geteuid() == 0:  # permissions do not bind root
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
use(sys.argv[2], sys.argv[3])
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own are root's alone, and are made so again at any time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def give_away(folder: Path) -> None:
    """Let another user read, but not write, what is in a folder."""
    is_root = os.geteuid() == 0
    for file in folder.iterdir():
        file.chmod(0o400 if file.suffix == ".key" else 0o444)
    for each in (*folder.iterdir(), folder):  # SQLite keeps files of its own beside a database that it reads
        if is_root:
            os.chown(each, 65534, 65534)


def test_a_read_only_database_is_told_apart_and_nothing_is_dialed(open_folder: Path) -> None:
    scratch, folder = open_folder / "scratch", open_folder / "data"
    for each in (scratch, folder):
        each.mkdir()
        with open_gateway(each) as gw:
            key = add_account(gw)
            gw.numbers.add("+14155550100", credential="twilio")
            gw.agents.put(Agent(id="echo", connect=Stream("wss://agents.example.com/media")))
            if each is folder:
                gw.numbers.assign("+14155550100", configure=False, agent="echo", outbound=True)
    give_away(folder)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(scratch), str(folder), key],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-2:] == ["503 1", "StoreUnavailable the database is read-only"], done


def newer(folder: Path) -> None:
    with sqlite3.connect(folder / "gateway.db") as database:
        database.execute("UPDATE gateway_schema SET version_num = '9999_future'")
    database.close()


@pytest.mark.parametrize(
    "opening",
    [
        lambda s: Gateway.open(s),
        lambda s: Gateway.open(s, upgrade=False),
        lambda s: Gateway.open(s, upgrade=True),
    ],
)
def test_a_database_of_a_newer_gateway_is_refused_and_left_alone(
    tmp_path: Path, opening: Callable[[Any], Gateway]
) -> None:
    open_gateway(tmp_path).close()
    newer(tmp_path)
    before = (tmp_path / "gateway.db").read_bytes()
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with pytest.raises(SchemaMismatch, match="a newer gateway made it; install that version"):
        opening(settings)
    assert (tmp_path / "gateway.db").read_bytes() == before
