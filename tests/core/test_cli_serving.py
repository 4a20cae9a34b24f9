"""`gateway serve` and `gateway simulate` as processes: what they say, what they answer, how they end."""

from __future__ import annotations

import io
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from gateway import serving
from gateway.errors import ConfigurationError
from tests.clikit import Cli

PATIENCE_S = 30


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, {"GATEWAY_PUBLIC_URL": "http://127.0.0.1:1", "GATEWAY_SWEEP_INTERVAL_S": "0.1"})


@pytest.fixture(scope="module")
def serving_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a running gateway, and a key of its public API."""
    cli = Cli(tmp_path_factory.mktemp("served"), {"GATEWAY_PUBLIC_URL": "http://127.0.0.1:1"})
    process = cli.start("serve", "--bind", "127.0.0.1:0", "--json")
    try:
        url = first_document(process)["url"]
        assert get(f"{url}/healthz")[0] == 200
        yield url, cli.ok("keys", "create", "test", "--json").document["key"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test started; none is left behind."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def first_document(process: subprocess.Popen[str]) -> Any:
    """Read the one JSON document that a running command prints at its start."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    raise AssertionError(f"no document: {lines} {process.stderr and process.stderr.read()}")


def get(url: str) -> tuple[int, Any]:
    """GET a document; wait while the server is starting."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)


def test_serve_makes_its_database_takes_a_free_port_sweeps_and_ends_in_order(
    cli: Cli, started: list[subprocess.Popen[str]]
) -> None:
    process = cli.start("serve", "--bind", "127.0.0.1:0", "--json")
    started.append(process)
    document = first_document(process)
    assert document["pid"] == process.pid
    assert not document["url"].endswith(":0")
    assert (cli.folder / "gateway.db").exists()
    assert get(f"{document['url']}/healthz") == (200, {"status": "ok"})
    status, ready = get(f"{document['url']}/readyz")
    assert (status, ready["checks"]["sweeper"]) == (200, "ok")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert not Path(
        f"{cli.folder / 'gateway.db'}-wal"
    ).exists()  # closed in order: nothing is left to recover


def test_a_restarted_server_gets_its_port_back(cli: Cli, started: list[subprocess.Popen[str]]) -> None:
    bind = "127.0.0.1:0"
    for _ in range(2):
        process = cli.start("serve", "--bind", bind, "--json")
        started.append(process)
        url = first_document(process)["url"]
        assert get(f"{url}/healthz")[0] == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert bind in ("127.0.0.1:0", url.removeprefix("http://"))
        bind = url.removeprefix("http://")


def test_the_simulator_tells_how_a_gateway_reaches_it(cli: Cli, started: list[subprocess.Popen[str]]) -> None:
    process = cli.start("simulate", "--port", "0", "--speed", "20", "--json")
    started.append(process)
    document = first_document(process)
    assert {account["provider"] for account in document["accounts"]} == {"plivo", "telnyx", "twilio"}
    cli.env |= document["environment"]
    for account in document["accounts"]:
        secrets = [
            word for name, value in account["secrets"].items() for word in ("--set", f"{name}={value}")
        ]
        added = cli.ok("credentials", "add", account["provider"], *secrets, "--check", "--json").document
        assert added["account"]["status"] == "active"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_a_simulator_alone_rings_its_numbers_wherever_they_point(
    cli: Cli, started: list[subprocess.Popen[str]]
) -> None:
    """Without --connect: the numbers point where somebody put them, here at a server that is no gateway."""
    asked: queue.Queue[dict[str, list[str]]] = queue.Queue()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.put(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(b"<Response><Reject/></Response>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    words = ("simulate", "--port", "0", "--speed", "20", "--ring-every", "1s", "--json")
    simulator = cli.start(*words)
    started.append(simulator)
    document = first_document(simulator)
    [account] = [each for each in document["accounts"] if each["provider"] == "twilio"]
    login = (account["secrets"]["account_sid"], account["secrets"]["auth_token"])
    held = f"{account['base_url']}/2010-04-01/Accounts/{login[0]}/IncomingPhoneNumbers"
    [number] = requests.get(f"{held}.json", auth=login, timeout=10).json()["incoming_phone_numbers"]
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        requests.post(f"{held}/{number['sid']}.json", data={"VoiceUrl": url}, auth=login, timeout=10)
        for _ in range(2):
            assert asked.get(timeout=PATIENCE_S)["To"] == account["numbers"]
        server.shutdown()
    simulator.send_signal(signal.SIGTERM)
    assert simulator.wait(PATIENCE_S) == 0


def test_a_connected_simulator_calls_and_is_called_at_once_and_again_after_a_restart(
    cli: Cli, started: list[subprocess.Popen[str]]
) -> None:
    """Two runs of the simulator, one gateway: each places calls out at every carrier, and rings in."""
    with serving.listen("127.0.0.1:0") as free:
        cli.env["GATEWAY_PUBLIC_URL"] = f"http://{serving.address_of(free)}"
    cli.ok("agents", "put", "support", "--forward", "+14155550123")
    port = "0"
    for run in range(2):
        words = ("simulate", "--port", port, "--speed", "20", "--connect", "--ring-every", "1s", "--json")
        simulator = cli.start(*words)
        started.append(simulator)
        document = first_document(simulator)
        port = str(document["port"])
        cli.env |= document["environment"]
        numbers = [account["numbers"][0] for account in document["accounts"]]
        assert [each["e164"] for each in cli.ok("numbers", "list", "--json").document["data"]] == numbers
        if run == 0:
            for number in numbers:
                cli.ok(
                    "numbers",
                    "assign",
                    number,
                    "--no-configure",
                    "--agent",
                    "support",
                    "--inbound",
                    "--outbound",
                )
            gateway = cli.start("serve", "--bind", cli.env["GATEWAY_PUBLIC_URL"].removeprefix("http://"))
            started.append(gateway)
            get(f"{cli.env['GATEWAY_PUBLIC_URL']}/healthz")
        for number in numbers:
            words = ("call", "+14155550124", "--agent", "support", "--from", number, "--wait", "--json")
            assert cli.ok(*words).document["status"] == "busy"
        deadline = time.monotonic() + PATIENCE_S
        while len(_inbound(cli)) <= run:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        simulator.send_signal(signal.SIGTERM)
        assert simulator.wait(PATIENCE_S) == 0


def _inbound(cli: Cli) -> list[Any]:
    data: list[Any] = cli.ok("calls", "list", "--direction", "inbound", "--json").document["data"]
    return data


def test_the_simulator_for_people_prints_commands_to_paste(
    cli: Cli, started: list[subprocess.Popen[str]]
) -> None:
    process = cli.start("simulate", "--port", "0")
    started.append(process)
    assert process.stdout is not None
    said = ""
    while "voicemail box" not in said:
        said += process.stdout.readline()
    assert "export GATEWAY_TWILIO_BASE_URL=http://127.0.0.1:" in said
    assert "gateway credentials add plivo --set auth_id=" in said
    assert "\x1b" not in said
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0


def test_without_its_extra_the_simulator_names_it(cli: Cli) -> None:
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from gateway.cli import main; sys.argv = ['gateway', 'simulate', '--port', '0']; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "pip install 'telephony-gateway[simulator]'" in ran.stderr


def test_without_a_vendors_library_a_command_names_the_extra(cli: Cli) -> None:
    cli.ok(
        "credentials",
        "add",
        "twilio",
        "--no-check",
        "--set",
        f"account_sid=AC{'0' * 32}",
        "--set",
        f"auth_token={'0' * 32}",
    )
    program = (
        "import sys; sys.modules['twilio'] = None\n"
        "from gateway.cli import main; sys.argv = ['gateway', 'credentials', 'check', 'twilio']; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**cli.environment, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert "pip install 'telephony-gateway[twilio]'" in ran.stderr


def test_the_shipped_configuration_is_found_and_limits_strangers() -> None:
    text = serving.config_file().read_text()
    for setting in (
        "limit_request_line",
        "limit_request_fields",
        "graceful_timeout",
        "control_socket_disable",
    ):
        assert f"\n{setting} = " in text


def test_listening_on_a_wrong_address_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:80"):
        serving.listen("192.0.2.1:80")


def test_an_overdue_client_is_cut_off_and_still_gets_the_answer_to_a_whole_request() -> None:
    now = [0.0]
    deadlines = serving.ReadDeadlines(10, clock=lambda: now[0])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        with deadlines.limit(ours):
            theirs.sendall(b"GET ")
            assert ours.recv(10) == b"GET "
            now[0] = 9.9
            deadlines.shut_overdue()
            theirs.sendall(b"/")
            assert ours.recv(10) == b"/"
            now[0] = 10.1
            deadlines.shut_overdue()
            assert ours.recv(10) == b""  # the end, as if the client had hung up
            ours.sendall(b"HTTP/1.1 200 OK")
            assert theirs.recv(20) == b"HTTP/1.1 200 OK"


def test_a_request_that_is_over_is_not_cut_off() -> None:
    now = [0.0]
    deadlines = serving.ReadDeadlines(10, clock=lambda: now[0])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with deadlines.limit(ours):
            pass
        now[0] = 100.0
        deadlines.shut_overdue()
        theirs.sendall(b"next")
        ours.settimeout(5)
        assert ours.recv(10) == b"next"


def test_clients_that_drip_do_not_keep_others_waiting(cli: Cli, started: list[subprocess.Popen[str]]) -> None:
    """More half requests than the application has places, in headers and in bodies; whole ones are served at once."""
    process = cli.start("serve", "--bind", "127.0.0.1:0", "--json", GATEWAY_THREADS="2")
    started.append(process)
    url = first_document(process)["url"]
    assert get(f"{url}/healthz")[0] == 200
    host, port = url.removeprefix("http://").split(":")
    head = b"POST /voice/key/answer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
    slow = [socket.create_connection((host, int(port))) for _ in range(24)]
    try:
        for position, client in enumerate(slow):
            client.sendall(head if position % 2 else head + b"\r\nhalf")
        for _ in range(10):
            assert get(f"{url}/healthz")[0] == 200
        for client in slow:
            client.settimeout(0.01)
            with pytest.raises(TimeoutError):
                client.recv(1)  # they were still being waited for all the while
    finally:
        for client in slow:
            client.close()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_too_long_is_still_refused_as_too_long(
    cli: Cli, started: list[subprocess.Popen[str]], framing: str
) -> None:
    process = cli.start("serve", "--bind", "127.0.0.1:0", "--json")
    started.append(process)
    url = first_document(process)["url"]
    assert get(f"{url}/healthz")[0] == 200
    body = b"a" * 70_000
    sent: Any = body if framing == "length" else iter([body[:1000], body[1000:]])
    request = urllib.request.Request(f"{url}/voice/key/answer", data=sent, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    with refused.value as answer:
        assert answer.code == 413


@pytest.mark.parametrize(
    ("size", "status"), [(500, 404), (64_000, 404), (70_000, 404), (900_000, 404), (1_100_000, 413)]
)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_long_body_is_read_whole_where_a_route_takes_it(
    cli: Cli, serving_with_key: tuple[str, str], framing: str, size: int, status: int
) -> None:
    """The analysis of a call that does not exist: a body that was cut off would be no JSON."""
    url, key = serving_with_key
    line = {"speaker": "agent", "text": "x" * 400, "timestamp": 5}
    body = json.dumps({"transcript": [line] * (size // 450)}).encode().ljust(size)
    address = f"{url}/api/public/v1/calls/019a0000-0000-7000-8000-000000000000/analysis"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    sent: Any = body if framing == "length" else iter([body[:1000], body[1000:]])
    request = urllib.request.Request(address, data=sent, method="PUT", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as answered:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    with answered.value as answer:
        assert answer.code == status, answer.read()


def test_a_buffered_body_is_what_was_sent_however_it_is_read() -> None:
    body = bytes(range(256)) * 4
    for most in (0, 1, 10, 1023, 1024, 5000):
        for sizes in ((-1,), (1024,), (2000,), (0, 3, 500, 600), (10, -1), (1, 1, -1)):
            read: list[bytes] = []

            def app(
                environ: dict[str, Any],
                start_response: Any,
                sizes: tuple[int, ...] = sizes,
                read: list[bytes] = read,
            ) -> list[bytes]:
                read.extend(environ["wsgi.input"].read(size) for size in sizes)
                return []

            environ = {"wsgi.input": io.BytesIO(body)}
            serving.Buffered(app, places=1, most_bytes=most)(environ, None)  # type: ignore[arg-type]
            assert b"".join(read) == (body if sum(sizes) >= 1024 or -1 in sizes else body[: sum(sizes)])
