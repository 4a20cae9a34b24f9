"""The docs' Python, run as it stands: each page top to bottom, against the simulator, with a web server on loopback.

What an example cannot know here is put in its place: the agents' address is that of an echo agent, the account is one
that the simulator made up. Everything else is the reader's own code.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from werkzeug.serving import make_server

from gateway import Agent, Gateway, Stream
from providers.simulator import Answer, Caller, EchoAgent, Simulator
from tests.docs.pages import PAGES, ROOT, blocks, name_of

OURS = "+14155550100"
CALLEE = "+14155550123"
CALLER = "+12125550123"
AGENT_URL = "wss://agents.example.com/media"

RUN_ELSEWHERE = {"docs/agents.md"}  # needs the agent runtime: make test-agents
WITH_PYTHON = {name_of(path) for path in PAGES if blocks(path, "python")}


@dataclass(slots=True, kw_only=True)
class World:
    """The simulator, an echo agent, and a web server that serves what the page calls `app`, once it does."""

    sim: Simulator
    agent: EchoAgent
    account: Any
    url: str
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "example"})
    opened: list[Gateway] = field(default_factory=list)
    substitutes: dict[str, str] = field(default_factory=dict)

    def run(self, page: str) -> dict[str, Any]:
        """Run every Python block of a page in one namespace and return it."""
        for block in blocks(ROOT / page, "python"):
            text = block.text
            for written, meant in self.substitutes.items():
                text = text.replace(written, meant)
            code = compile("\n" * (block.line - 1) + text, str(block.path), "exec")
            exec(code, self.names)
            self.opened += [each for each in self.names.values() if isinstance(each, Gateway)]
        return self.names

    def serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        app = self.names.get("app")
        if app is None:
            start_response("503 Service Unavailable", [("Retry-After", "1")])
            return [b""]
        return app(environ, start_response)

    def configure(self, gw: Gateway) -> None:
        """Enter the URLs at the carrier, as the person who follows the page does."""
        [credential] = gw.credentials.list()
        urls = gw.credentials.webhooks(credential)
        self.sim.configure_number(
            OURS, voice_url=urls["answer"], status_url=urls["status"], fallback_url=urls["fallback"]
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A folder, an environment and a carrier of the page's own."""
    with Simulator(speed=10) as sim, EchoAgent() as agent:
        account = sim.add_account("twilio")
        sim.add_number(account, OURS)
        found = World(sim=sim, agent=agent, account=account, url="", substitutes={AGENT_URL: agent.url})
        server = make_server("127.0.0.1", 0, found.serve, threaded=True)
        found.url = f"http://127.0.0.1:{server.server_port}"
        agent.claim_url = f"{found.url}/voice/streams/{{token}}/claim"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GATEWAY_PUBLIC_URL", found.url)
        monkeypatch.setenv("GATEWAY_TWILIO_BASE_URL", sim.base_url("twilio"))
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", account.secrets["account_sid"])
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", account.secrets["auth_token"])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield found
        server.shutdown()
        server.server_close()
        thread.join(5)
        for gateway in found.opened:
            gateway.close()


def until(is_true: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Wait until something is true and return it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = is_true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("not reached in time")


def hears_itself(sim: Simulator, call: Any) -> bool:
    """Whether the far party of a call heard its own voice come back."""
    return any(item[0] == "audio" and item[2] for item in sim.call(call.id).heard)


def test_every_page_with_python_is_run_here() -> None:
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [page for page in sorted(WITH_PYTHON - RUN_ELSEWHERE) if f'run("{page}")' not in text] == []


def test_the_readme_takes_and_places_calls(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.sim.script(CALLEE, Answer(after_s=1, talk_s=20))
    names = world.run("README.md")
    gw: Gateway = names["gw"]

    call = until(lambda: (c := gw.calls.get(names["call"].id)).status.is_final and c)
    assert call.status == "completed", gw.calls.events(call.id)
    http_status, claimed = until(lambda: world.agent.conversations[0].claim)
    assert (http_status, claimed["variables"]) == (200, {"first_name": "Jane"})
    assert f"{call.id} completed hung_up" in capsys.readouterr().out, "the handler of the example was called"

    ringing = world.sim.ring(OURS, from_=CALLER, caller=Caller(talk_s=20, gives_up_after_s=600))
    world.sim.wait(ringing)
    assert world.sim.truth(ringing) == "answered"
    assert hears_itself(world.sim, ringing), "the caller hears the agent"


def test_the_page_for_engines(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from providers.simulator import NoAnswer

    world.sim.script(CALLEE, NoAnswer())
    names = world.run("docs/engine.md")
    shown = capsys.readouterr().out
    assert "dial requested" in shown, "the timeline"
    assert names["call"].context == {"campaign": "autumn"}
    with Gateway.open() as again:
        call = until(lambda: again.sweep() and (c := again.calls.get(names["call"].id)).status.is_final and c)
        assert call.status == "cancelled"
        assert call.settings.on_voicemail == "leave_message"


@pytest.mark.parametrize("provider", ["twilio", "telnyx", "plivo"])
def test_the_page_for_inbound_calls(world: World, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its agent, on every carrier: it claims, echoes and takes keys."""
    names = world.run("docs/inbound.md")
    gw: Gateway = names["gw"]
    sim = world.sim
    with served(names["agent"]) as url:
        gw.agents.put(Agent(id="support", connect=Stream(url)))
        if provider == "twilio":
            world.configure(gw)
            number = OURS
        else:
            number = bring(world, gw, provider)
        ringing = sim.ring(number, from_=CALLER, caller=Caller(talk_s=20, keys="12#", gives_up_after_s=600))
        sim.wait(ringing)
    assert sim.truth(ringing) == "answered"
    assert hears_itself(sim, ringing)
    [call] = gw.calls.list().calls
    assert "agent joined" in [event.name for event in gw.calls.events(call.id)], "the claim was taken"


def bring(world: World, gw: Gateway, provider: str) -> str:
    """Add another carrier's account with a number that the agent `support` takes calls of; return the number."""
    number = "+14155550107"
    account = world.sim.add_account(provider)
    world.sim.add_number(account, number)
    secrets = dict(account.secrets)
    if provider == "telnyx":
        secrets["connection_id"] = account.connection_id
    gw.services.settings = other_base(gw, world.sim, provider)
    credential = gw.credentials.add(provider, check=False, name="other", **secrets)
    gw.numbers.add(number, credential=credential.id)
    gw.numbers.assign(number, configure=False, agent="support", inbound=True)
    urls = gw.credentials.webhooks(credential)
    if provider == "telnyx":
        world.sim.configure_application(account, webhook_url=urls["events"])
    else:
        world.sim.configure_number(number, voice_url=urls["answer"], status_url=urls["status"])
    return number


def other_base(gw: Gateway, sim: Simulator, provider: str) -> Any:
    from dataclasses import replace

    return replace(gw.settings, base_urls={**gw.settings.base_urls, provider: sim.base_url(provider)})


@contextmanager
def served(agent: web.Application) -> Iterator[str]:
    """Serve a page's agent on a free loopback port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(agent, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/media"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def test_the_page_on_the_simulator(world: World) -> None:
    world.run("docs/simulator.md")


def test_the_page_on_statuses(world: World) -> None:
    world.run("docs/statuses.md")


def test_the_page_on_plivo(world: World) -> None:
    from urllib.parse import unquote

    page = ROOT / "docs/providers/plivo.md"
    [written] = [block.text.strip() for block in blocks(page, "") if block.text.startswith("call_id=")]
    world.names.update(unquote=unquote, extra_headers=written)
    parameters = world.run("docs/providers/plivo.md")["parameters"]
    assert set(parameters) == {"call_id", "agent_id", "token"}


def test_the_refused_webhook_of_the_page_for_inbound_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file, signed as the page says, and the doctor's words about it."""
    from twilio.request_validator import RequestValidator

    from tests.clikit import SECRET, TWILIO, Cli

    page = ROOT / "docs/inbound.md"
    [written] = blocks(page, "json")
    [shown] = [block.text for block in blocks(page, "text") if block.text.startswith("✗")]
    monkeypatch.chdir(tmp_path)
    cli = Cli(tmp_path, {"GATEWAY_PUBLIC_URL": "https://voice.example.com"})
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    key = cli.run("credentials", "list", "--json").document["data"][0]["key"]
    refused = json.loads(written.text.replace("KEY", key))
    fields = {"CallSid": "CA" + "0" * 31 + "1", "CallStatus": "ringing", "To": "+14155550100"}
    signature = RequestValidator(SECRET).compute_signature(refused["url"], fields)
    refused["headers"]["X-Twilio-Signature"] = signature
    Path("refused.json").write_text(json.dumps(refused))
    said = cli.run("doctor", "webhook", "refused.json")
    assert (said.code, said.err) == (1, "")
    assert said.out.partition("\n")[2] == shown
