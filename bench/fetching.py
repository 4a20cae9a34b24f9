"""`GET /calls/{id}` of the public API against a bare Flask route that answers as much JSON, both served by gunicorn.

Two servers on loopback, each one process of the shipped configuration; the same clients ask both by turns, over
connections that stay open. A thousand calls are asked for in turn, so nothing is answered from a call just read. Then
the same two applications without a server and a network, called as WSGI in this process: Flask's own 60 µs are then all
there is beside ours, so the ratio is worse by nature; its goal only says what was reached.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.test import EnvironBuilder

from bench.figures import ROUNDS, Figure, medians
from bench.rows import fill_calls, opened
from gateway import Gateway, keys
from gateway.models import Scope
from gateway.serving import Server, address_of, listen, serve
from gateway.settings import load_settings
from gateway.web import create_app
from gateway.web.app import EXTENSION_KEY

CALLS = 1_000
CLIENTS = 4
ASKED = 2_000  # a round
GOAL = 2.5  # times the bare route's time: 40 % of its requests per second
GOAL_IN_PROCESS = 4.5
PREFIX = "/api/public/v1/calls/"
FLOOR = "a bare Flask route that answers as much JSON"


def figures() -> Iterator[Figure]:
    """Measure over HTTP and in process."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        with opened(url) as gateway:
            idents = fill_calls(gateway, CALLS)
            _, secret = keys.create_key(gateway.services, "bench", (Scope.CALLS_READ,))
            client = create_app(gateway).test_client()
            answer = client.get(PREFIX + idents[0], headers={"Authorization": f"Bearer {secret}"})
            document = answer.get_json()
            if document["id"] != idents[0]:
                raise RuntimeError(f"the call was answered {answer.status_code}")
            in_process = _in_process(gateway, idents, secret, document)
        with _served("bare", folder, document) as bare, _served("ours", folder, document) as ours:
            yield _over_http(bare, ours, idents, secret)
        yield in_process


def _in_process(gateway: Gateway, idents: list[str], secret: str, document: dict[str, Any]) -> Figure:
    headers = [("Authorization", f"Bearer {secret}")]
    environs = cycle([EnvironBuilder(PREFIX + each, headers=headers).get_environ() for each in idents])

    def asking(app: Flask) -> Callable[[], None]:
        def ask() -> None:
            answer = app({**next(environs)}, _good)
            b"".join(answer)
            answer.close()  # type: ignore[attr-defined] # werkzeug's has it

        return ask

    floor, ours = medians(asking(_bare(document)), asking(create_app(gateway)), 1_000)
    what = "GET /calls/{id}, in process"
    return Figure(what=what, floor=FLOOR, floor_us=floor, ours_us=ours, goal=GOAL_IN_PROCESS)


def _good(status: str, headers: Any, _: Any = None) -> Any:
    if status != "200 OK":
        raise RuntimeError(f"answered {status}: {headers}")


def _over_http(bare: str, ours: str, idents: list[str], secret: str) -> Figure:
    rounds = [(_ask(bare, idents, secret), _ask(ours, idents, secret)) for _ in range(ROUNDS + 1)][1:]
    return Figure(
        what=f"GET /calls/{{id}} over HTTP, {CLIENTS} clients",
        floor=FLOOR,
        floor_us=median(each for each, _ in rounds),
        ours_us=median(each for _, each in rounds),
        goal=GOAL,
    )


def _ask(address: str, idents: list[str], secret: str) -> float:
    """Have the clients ask; return the microseconds of the server for each request."""
    host, _, port = address.rpartition(":")
    failures: list[bytes] = []

    def client(number: int) -> None:
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for turn in range(ASKED // CLIENTS):
                ident = idents[(turn * CLIENTS + number) % len(idents)]
                head = (
                    f"GET {PREFIX}{ident} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {secret}\r\n\r\n"
                )
                connection.sendall(head.encode())
                answer = _read(connection)
                if not answer.startswith(b"HTTP/1.1 200"):
                    failures.append(answer)
                    return

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"answered {failures[0][:200]!r}")
    return (time.perf_counter() - began) / ASKED * 1e6


def _read(connection: socket.socket) -> bytes:
    """Return one answer, whose length its head says."""
    found = b""
    while (end := found.find(b"\r\n\r\n")) < 0:
        found += _more(connection)
    length = int(found[:end].lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(found) < end + 4 + length:
        found += _more(connection)
    return found


def _more(connection: socket.socket) -> bytes:
    piece = connection.recv(65_536)
    if not piece:
        raise RuntimeError("the server hung up")
    return piece


# -- servers: this module run as a program ---------------------------------------------------------------------------


@contextmanager
def _served(kind: str, folder: str, document: dict[str, Any]) -> Iterator[str]:
    """Run one of the two servers in a process of its own; give its address."""
    shown = Path(folder) / "document.json"
    shown.write_text(json.dumps(document))
    environ = {name: word for name, word in os.environ.items() if not name.startswith("GATEWAY_")}
    environ |= {
        "GATEWAY_DATABASE_URL": f"sqlite:///{Path(folder) / 'bench.db'}",
        "GATEWAY_RATE_LIMIT_PER_KEY": "1000000/minute",
        "GATEWAY_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "bench.fetching", kind, str(shown)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 # our own
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            _wait(address)
            yield address
        finally:
            process.terminate()


def _wait(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.settimeout(30)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        _more(connection)


def _bare(document: dict[str, Any]) -> Flask:
    app = Flask("bare")

    def view(ident: str) -> Response:
        return jsonify(document)

    app.add_url_rule(f"{PREFIX}<ident>", view_func=view)
    return app


class _Bare(Server):
    """The shipped server with the bare application; its gateway stands by, as it does beside ours."""

    document: dict[str, Any]

    def load(self) -> Flask:
        app = _bare(self.document)
        app.extensions[EXTENSION_KEY] = Gateway.open(self._settings, upgrade=False)
        return app


def main(kind: str, shown: str) -> None:
    """Serve, until a signal ends it; say where."""
    settings = load_settings()
    bound = listen("127.0.0.1:0")
    print(address_of(bound), flush=True)  # noqa: T201 # who started it waits for it
    if kind == "ours":
        serve(settings, bound)
    _Bare.document = json.loads(Path(shown).read_text())
    _Bare(settings, bound).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
