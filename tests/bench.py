"""A whole gateway on loopback for one carrier: simulator, web server, echo agent, one account with two numbers.

Everything is real: the SDK's request over HTTP, signed webhooks back, the agent's media socket, SQLite on disk.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from werkzeug.datastructures import EnvironHeaders
from werkzeug.serving import BaseWSGIServer, make_server

from gateway import Agent, Call, CallSettings, Gateway, Stream
from gateway.settings import load_settings
from gateway.web import create_app
from providers.simulator import Account, EchoAgent, SimCall, Simulator
from tests.wires import Wire

PROVIDERS = ("plivo", "telnyx", "twilio")
OURS = "+14155550100"
UNASSIGNED = "+14155550101"
CALLEE = "+14155550123"
CALLER = "+12125550123"
# The carriers' words for the webhook that tells a call's end; Twilio's action request tells the status, too.
END_EVENTS = {
    "plivo": ("Hangup",),
    "telnyx": ("call.hangup",),
    "twilio": ("completed", "busy", "no-answer", "failed", "canceled"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One request as the gateway's server got it, byte for byte, and the status it was answered with."""

    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int

    @property
    def hook(self) -> str:
        return self.target.split("?")[0].split("/")[3]


class WebServer:
    """A threaded HTTP server on a free loopback port; keeps what was delivered."""

    def __init__(self, app: Any = None, port: int = 0) -> None:
        self.delivered: list[Delivered] = []
        self.server: BaseWSGIServer = make_server("127.0.0.1", port, app or (lambda *_: []), threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def start(self, app: Any = None) -> WebServer:
        if app is not None:
            self.server.app = self._keeping(app)
        self._thread.start()
        return self

    def _keeping(self, app: Any) -> Any:
        def keep(environ: dict[str, Any], start_response: Any) -> Any:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if "HTTP_TRANSFER_ENCODING" in environ or length > 100_000:
                return app(environ, start_response)
            body = environ["wsgi.input"].read(length)
            environ["wsgi.input"] = io.BytesIO(body)
            headers = tuple(EnvironHeaders(environ).items())

            def answer(status: str, fields: Any, *rest: Any) -> Any:
                code = int(status.split()[0])
                found = Delivered(target=environ["RAW_URI"], headers=headers, body=body, status=code)
                self.delivered.append(found)
                return start_response(status, fields, *rest)

            return app(environ, answer)

        return keep

    def post(
        self, target: str, headers: Any = (), body: bytes = b"", method: str = "POST"
    ) -> tuple[int, bytes]:
        """Send raw bytes to the server; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def again(self, one: Delivered, **changes: Any) -> tuple[int, bytes]:
        """Send a delivered request once more, as it was or with something changed."""
        changed = replace(one, **changes)
        fields = [(k, v) for k, v in changed.headers if k.lower() not in ("content-length", "connection")]
        return self.post(changed.target, [*fields, ("Content-Length", str(len(changed.body)))], changed.body)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)


@dataclass(slots=True, kw_only=True)
class Bench:
    """The parts. `heard` collects the events that the embedding program got."""

    provider: str
    sim: Simulator
    gw: Gateway
    web: WebServer
    agent: EchoAgent
    account: Account
    credential: Any
    heard: list[Any] = field(default_factory=list)

    def place(self, to: str = CALLEE, **settings: Any) -> Call:
        """Place a call from the agent "echo"."""
        return self.gw.place_call("echo", to, settings=CallSettings(**settings))

    def ring(self, to: str = OURS, from_: str = CALLER, caller: Any = None) -> SimCall:
        """Let a phone call one of our numbers."""
        return self.sim.ring(to, from_, caller)

    def sim_call(self, call: Call) -> SimCall:
        """Return the carrier's side of a call."""
        latest = self.gw.calls.get(call.id)
        return self.sim.call(latest.leg_id or "")

    def the_call(self, sim_call: SimCall) -> Call:
        """Return the gateway's record of a call that came in."""
        return self.until(
            lambda: next((c for c in self.gw.calls.list().calls if sim_call.id in self.ids(c)), None)
        )

    def ids(self, call: Call) -> list[str]:
        from gateway.store import calls

        return calls.list_legs(self.gw.services.store, call.id)

    def lose_ends(self) -> None:
        """From now on nobody tells the gateway that a call is over."""
        for event in END_EVENTS[self.provider]:
            self.sim.faults.webhooks(self.provider, event=event, drop=True, times=1_000_000)
        self.sim.faults.webhooks(self.provider, hook="next", drop=True, times=1_000_000)

    def ended(self, call: Call, timeout_s: float = 15) -> Call:
        """Wait until the call is final for the gateway."""
        return self.until(lambda: (c := self.gw.calls.get(call.id)).status.is_final and c, timeout_s)

    def settled(self, quiet_s: float = 0.6) -> None:
        """Wait until no webhook has come for a while: everything that a finished call sends is here."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_s:
            if len(self.web.delivered) != seen:
                seen, since = len(self.web.delivered), time.monotonic()
            time.sleep(0.02)

    def until(self, found: Callable[[], Any], timeout_s: float = 15) -> Any:
        """Wait until `found()` is true; return it. Fails with the timeline of every call."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            result = found()
            if result:
                return result
            time.sleep(0.02)
        raise AssertionError("not reached in time\n" + self.story())

    def story(self) -> str:
        """Everything that happened, for a failing test."""
        lines = []
        for call in self.gw.calls.list().calls:
            lines.append(f"{call.direction} {call.status} {call.end_reason} {dict(call.context)}")
            lines += [
                f"   {e.source} {e.name}: {e.outcome} {e.detail}" for e in self.gw.calls.events(call.id)
            ]
        for entry in self.sim.journal.all():
            lines.append(f" sim {entry}"[:600])
        return "\n".join(lines)


@contextmanager
def open_bench(
    provider: str,
    folder: Path,
    *,
    speed: float = 10.0,
    sweeps: bool = True,
    wire: Wire | None = None,
    stocked: bool = True,
    **settings: Any,
) -> Iterator[Bench]:
    """Start everything for one carrier and stop it again; `wire` carries the adapter's requests.

    Not `stocked`: the account at the carrier is empty, and the gateway does not know it yet.
    """
    web = WebServer()
    with Simulator(speed=speed) as sim:
        found = load_settings(
            env={},
            database_url=f"sqlite:///{folder / 'gateway.db'}",
            public_url=web.url,
            base_urls={name: sim.base_url(name) for name in PROVIDERS},
            sweep_interval_s=0.1,
            dial_retry_backoff_s=(0.05, 0.1, 0.2),
            **settings,
        )
        with (
            Gateway.open(found) as gw,
            EchoAgent(claim_url=f"{web.url}/voice/streams/{{token}}/claim") as agent,
        ):
            if wire is not None:
                gw.services.open_provider = wire.open_provider
            if sweeps:
                gw.background.start(sweeps=True)
            web.start(create_app(gw))
            try:
                account = sim.add_account(provider)
                gw.agents.put(Agent(id="echo", connect=Stream(agent.url)))
                bench = Bench(
                    provider=provider, sim=sim, gw=gw, web=web, agent=agent, account=account, credential=None
                )
                if stocked:
                    _stock(bench)
                for name in ("ringing", "answered", "ended", "failed", "recording_ready", "updated"):
                    gw.on(f"call.{name}")(bench.heard.append)
                yield bench
            finally:
                web.stop()


def _stock(bench: Bench) -> None:
    """Add the account with two numbers, of which one serves the agent "echo"; the person set them up at the carrier."""
    gw, sim, account = bench.gw, bench.sim, bench.account
    own = {"connection_id": account.connection_id} if bench.provider == "telnyx" else {}
    bench.credential = gw.credentials.add(bench.provider, check=False, secrets={**account.secrets, **own})
    gw.services.prepare_providers()  # a vendor's library takes seconds on a loaded machine: callers give up
    urls = gw.credentials.webhooks(bench.credential)
    for number in (OURS, UNASSIGNED):
        gw.numbers.add(number, credential=bench.credential.id)
        sim.add_number(account, number)
        if bench.provider != "telnyx":
            sim.configure_number(
                number, voice_url=urls["answer"], status_url=urls["status"], fallback_url=urls["fallback"]
            )
    if bench.provider == "telnyx":
        sim.configure_application(account, webhook_url=urls["events"], call_cost_in_webhooks=True)
    gw.numbers.assign(OURS, configure=False, agent="echo", inbound=True, outbound=True)
