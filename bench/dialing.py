"""Calls in and out, the import, and the way from a number to its agent."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from hmac import digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response

from bench.figures import Figure, median
from gateway import Agent, Gateway, Stream
from gateway.settings import load_settings
from gateway.web import create_app

SID, TOKEN = "AC" + "1" * 32, "2" * 32
NUMBER, CALLER = "+14155550100", "+12125550123"
MANY = 100_000


def figures() -> Iterator[Figure]:
    """Measure importing, calls in, calls out and numbers."""
    yield importing()
    with tempfile.TemporaryDirectory() as folder, carrier() as url:
        gateway = opened(Path(folder), url)
        try:
            with committing(Path(folder)) as commit:
                yield inbound(gateway, commit)
                yield placing(gateway, url, commit)
            yield looking_up(gateway)
        finally:
            gateway.close()


# -- what is measured ------------------------------------------------------------------------------------------------


def importing() -> Figure:
    """`import gateway` in a fresh interpreter, against the frameworks it must not load."""

    def run(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], check=True)  # noqa: S603 # our own words

    empty = median(lambda: run("pass"), 1)
    floor = median(lambda: run("import flask, sqlalchemy"), 1) - empty
    ours = median(lambda: run("import gateway; gateway.Agent"), 1) - empty
    return Figure(
        what="import gateway", floor="import flask, sqlalchemy", floor_us=floor, ours_us=ours, goal=1.0
    )


def inbound(gateway: Gateway, commit: Callable[[], None]) -> Figure:
    """A call comes in, whole: signature, strict parse, one durable transaction, routing, document; no network."""

    def bare_view() -> Response:
        commit()
        return Response("<Response/>")

    bare = Flask("bare")
    bare.add_url_rule("/voice", view_func=bare_view, methods=["POST"])
    [credential] = gateway.credentials.list()
    url = gateway.credentials.webhooks(credential)["answer"]
    floor_client, client = bare.test_client(), create_app(gateway).test_client()
    counter = iter(range(10**9))

    def ask() -> None:
        fields = {
            "AccountSid": SID,
            "CallSid": f"CA{next(counter):032x}",
            "From": CALLER,
            "To": NUMBER,
            "Direction": "inbound",
            "CallStatus": "ringing",
            "ApiVersion": "2010-04-01",
        }
        signed = url + "".join(name + fields[name] for name in sorted(fields))
        signature = b64encode(digest(TOKEN.encode(), signed.encode(), sha1)).decode()
        answer = client.post(
            url.removeprefix(gateway.settings.public_url or ""),
            data=urlencode(fields),
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": signature},
        )
        if answer.status_code != 200 or b"<Stream" not in answer.data:
            raise RuntimeError(f"the webhook was answered {answer.status_code}")

    floor = median(lambda: floor_client.post("/voice", data=b"x=1"), 100)
    return Figure(
        what="inbound call answered, SQLite, in process",
        floor="a bare Flask route with one raw insert and commit",
        floor_us=floor,
        ours_us=median(ask, 100),
        goal=3.2,
    )


def placing(gateway: Gateway, url: str, commit: Callable[[], None]) -> Figure:
    """An outbound call, against the official library's own call between two commits."""
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class Here(TwilioHttpClient):  # type: ignore[misc] # the library has no types
        def request(self, method: str, uri: str, *rest: Any, **named: Any) -> Any:
            return super().request(method, uri.replace("https://api.twilio.com", url), *rest, **named)

    library = Client(SID, TOKEN, http_client=Here(timeout=10))
    callees = iter(range(10**9))

    def callee() -> str:
        return f"+1415{2_000_000 + next(callees)}"

    def call() -> None:
        commit()
        library.calls.create(to=callee(), from_=NUMBER, url="https://example.com/")
        commit()

    return Figure(
        what="place_call, SQLite",
        floor="the twilio library's own call between two raw commits",
        floor_us=median(call, 50),
        ours_us=median(lambda: gateway.place_call("bench", callee()), 50),
        goal=1.6,
    )


def looking_up(gateway: Gateway) -> Figure:
    """Which agent a number belongs to, among a hundred thousand, against the same among a thousand."""
    from gateway.store import numbers

    [credential] = gateway.credentials.list()
    store = gateway.services.store

    def look() -> None:
        if numbers.inbound_agent(store, credential.id, NUMBER) is None:
            raise RuntimeError("the number is not assigned")

    fill(gateway, 1_000)
    floor = median(look, 500)
    fill(gateway, MANY)
    return Figure(
        what=f"number to agent, {MANY:,} numbers",
        floor="the same, 1,000 numbers",
        floor_us=floor,
        ours_us=median(look, 500),
        goal=1.5,
    )


# -- what it is measured on ------------------------------------------------------------------------------------------


@contextmanager
def committing(folder: Path) -> Iterator[Callable[[], None]]:
    """Give a function that inserts one row and commits it, as durably as the gateway's own store does."""
    raw = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        raw.execute(f"PRAGMA {setting}")
    raw.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body TEXT)")
    yield lambda: raw.execute("INSERT INTO row (body) VALUES (?)", ("x" * 300,)).close()
    raw.close()


def opened(folder: Path, url: str) -> Gateway:
    """Return a gateway with one account, one number and one agent, whose carrier is `url`."""
    settings = load_settings(
        env={},
        database_url=f"sqlite:///{folder / 'bench.db'}",
        public_url="https://voice.example.com",
        base_urls={"twilio": url},
    )
    gateway = Gateway.open(settings, background=False)
    credential = gateway.credentials.add("twilio", check=False, account_sid=SID, auth_token=TOKEN)
    gateway.agents.put(Agent(id="bench", connect=Stream("wss://agents.example.com/media")))
    gateway.numbers.add(NUMBER, credential=credential.id)
    gateway.numbers.assign(NUMBER, configure=False, agent="bench", inbound=True, outbound=True)
    return gateway


def fill(gateway: Gateway, total: int) -> None:
    """Bring the table of numbers to `total` rows."""
    from gateway.ids import new_id
    from gateway.models import Number
    from gateway.store import numbers

    [credential] = gateway.credentials.list()
    held = len(gateway.numbers.list())
    with gateway.services.store.transaction() as tx:
        for position in range(held, total):
            number = Number(
                id=new_id(),
                workspace_id=credential.workspace_id,
                credential_id=credential.id,
                provider="twilio",
                e164=f"+1212{2_000_000 + position}",
                country="US",
                area_code="212",
                created_at=gateway.services.clock(),
            )
            numbers.insert_number(tx, number)


class _Accepts(BaseHTTPRequestHandler):
    """A carrier that takes every dial at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    taken = iter(range(2**64, 2**65))  # apart from the calls that came in

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        call = {"sid": f"CA{next(self.taken):032x}", "status": "queued", "account_sid": SID}
        body = json.dumps(call).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def carrier() -> Iterator[str]:
    """Run the carrier on a free loopback port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Accepts)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
