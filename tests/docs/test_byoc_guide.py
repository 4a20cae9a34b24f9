"""The guide for people with an account of their own, typed as it stands; each screen it shows is compared.

The commands run on a database of their own beside a real `gateway serve`, against the simulator. In the place of what
a page cannot know, the public address and the agents', stand addresses on loopback; the accounts are those that the
simulator makes of a seed. What happens outside the terminal, the page says in a comment: `<!-- then: ... -->`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from gateway.cli import options
from providers.simulator import Answer, Caller, EchoAgent, Simulator
from tests.clikit import Cli, Ran
from tests.docs.pages import ROOT
from tests.docs.screens import Screen, difference, filled, part_difference, scenes

PAGE: Final = ROOT / "docs/byoc.md"
ADDRESSES: Final = {"https://voice.example.com": "127.0.0.1", "https://calls.example.com": "localhost"}
AGENT_URL: Final = "wss://agents.example.com/media"
CALLEE, CALLER, VERIFIED = "+14155550123", "+12125550123", "+12125550199"
NUMBERS: Final = {
    "twilio": ("+14155550100", "+14155550101"),
    "telnyx": ("+14155550110", "+14155550111"),
    "plivo": ("+14155550120", "+14155550121"),
}
FOR_SALE: Final = {"twilio": "+14155550150", "telnyx": "+14155550160", "plivo": "+14155550170"}
SIP_PASSWORD: Final = "Korrekt-Pferd-7"


class World:
    """The carriers with the page's accounts, an agent, a terminal, and what happens outside of it."""

    def __init__(self, sim: Simulator, agent: EchoAgent, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.sim, self.agent, self.folder = sim, agent, folder
        self.accounts = {
            provider: sim.add_account(provider, name="Acme", seed=seed)
            for seed, provider in enumerate(NUMBERS, 1)
        }
        for provider, account in self.accounts.items():
            for number in NUMBERS[provider]:
                sim.add_number(account, number)
            sim.add_inventory(
                provider, FOR_SALE[provider], locality="San Francisco", region="CA", monthly="1.15"
            )
        sim.add_number(self.accounts["twilio"], "+14155550105", voice=False)
        sim.change_number(self.accounts["twilio"], "+14155550101", voice_url="https://old.example.com/voice")
        sim.script(CALLEE, Answer(after_s=1, talk_s=20))
        self.cli = Cli(folder, {f"GATEWAY_{name.upper()}_BASE_URL": sim.base_url(name) for name in NUMBERS})
        self.cli.env["GATEWAY_BIND"] = f"127.0.0.1:{self.port}"
        self.seen: dict[str, str] = {}
        self.server: subprocess.Popen[str] | None = None

    # -- the terminal

    def here(self, text: str) -> str:
        """The page's addresses -> those on loopback."""
        for written, host in ADDRESSES.items():
            text = text.replace(written, f"http://{host}:{self.port}")
        return text.replace(AGENT_URL, self.agent.url)

    def there(self, text: str) -> str:
        """The addresses on loopback -> the page's."""
        for written, host in ADDRESSES.items():
            text = text.replace(f"http://{host}:{self.port}", written)
        text = text.replace(self.cli.database_url, "sqlite:///gateway.db")
        return text.replace(self.agent.url, AGENT_URL)

    def type(self, screen: Screen) -> str:
        """Type one command of the page and return its screen."""
        words = shlex.split(self.here(filled(screen.command, self.seen)))
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.cli.env[name] = value
            return ""
        if words[0] == "cat":
            (self.folder / words[1]).write_text(screen.shown + "\n", "utf-8")
            return screen.shown
        if words[0] in ("curl", "python"):
            return self.there(self.shell(screen.command))
        assert words[0] == "gateway", screen.command
        if words[1:] == ["serve"]:
            return self.serve()
        ran = self.cli.run(*words[1:], stdin=self.answers(words, screen.shown))
        assert not [secret for secret in self.secrets() if secret in ran.out + ran.err], screen.command
        return self.there(exit_code_checked(screen, ran))

    def answers(self, words: list[str], shown: str) -> str:
        """What the person types when asked: the secrets that `-` asks for, then y."""
        asked = [word.removesuffix("=-") for word in words if word.endswith("=-")]
        provider = next((name for name in self.accounts if name in words), "twilio")
        typed = [self.accounts[provider].secrets[field] for field in asked]
        if "--password" in words:
            typed = [SIP_PASSWORD]
        return "".join(f"{line}\n" for line in [*typed, *["y"] * shown.count("[y/N]: y")])

    def secrets(self) -> list[str]:
        """What must never be on a screen."""
        hidden = ("auth_token", "api_key")
        held = [account.secrets.get(field) for account in self.accounts.values() for field in hidden]
        return [SIP_PASSWORD, *filter(None, held)]

    def shell(self, command: str) -> str:
        """Run what is no command of ours in a shell that knows what was exported."""
        telnyx = {f"TELNYX_{name.upper()}": value for name, value in self.accounts["telnyx"].secrets.items()}
        done = subprocess.run(
            ["bash", "-c", self.here(filled(command, self.seen))],
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                **self.cli.env,
                **telnyx,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def serve(self) -> str:
        """Start the server, or start it anew with what was exported since."""
        self.stop()
        self.server = self.cli.start("serve")
        self.agent.claim_url = f"http://127.0.0.1:{self.port}/voice/streams/{{token}}/claim"
        until(self._is_ready)
        return ""

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the server, if there is one."""
        if self.server is not None:
            self.server.terminate()
            self.server.communicate(timeout=40)
            self.server = None

    # -- what happens outside

    def happens(self, what: str) -> None:
        """Do what a comment of the page says."""
        twilio = self.accounts["twilio"]
        steps: Mapping[str, Callable[[], object]] = {
            "somebody calls each number": self.ring,
            "the voice URL is changed in the console": lambda: self.sim.change_number(
                twilio, NUMBERS["twilio"][0], voice_url="https://elsewhere.example.com/"
            ),
            "a new token is made in the console": lambda: self.sim.face("twilio").rotate_token(twilio),
            "the person types the code": lambda: self.sim.type_code(twilio, VERIFIED, self.seen["DIGITS"]),
            "the call is over": lambda: until(self._is_quiet),
            "the operation is done": self.operation_done,
        }
        steps[what]()

    def ring(self) -> None:
        for first, _ in NUMBERS.values():
            ringing = self.sim.ring(first, from_=CALLER, caller=Caller(talk_s=20, gives_up_after_s=600))
            self.sim.wait(ringing, 30)
            assert self.sim.truth(ringing) == "answered", first
            heard = self.sim.call(ringing.id).heard
            assert any(item[0] == "audio" and item[2] for item in heard), "the caller hears the agent"
        until(self._is_quiet)

    def _is_quiet(self) -> bool:
        calls = self.cli.run("calls", "list", "--json").document["data"]
        return all(call["ended_at"] for call in calls)

    def operation_done(self) -> None:
        url = "https://voice.example.com/api/public/v1/telephony/operations/OPERATION_ID"
        asked = f'curl -sS {url} -H "Authorization: Bearer $KEY"'
        until(lambda: json.loads(self.shell(asked))["state"] != "pending")


def exit_code_checked(screen: Screen, ran: Ran) -> str:
    """The screen of a command: questions and errors come first. It fails just where the page shows something wrong."""
    is_bad = bool(re.search(r"^(error: |✗)|\berror\b", screen.shown, re.MULTILINE))
    assert ran.code == int(is_bad), f"{screen.command} ended with {ran.code}\n{ran.err}{ran.out}"
    return re.sub(r"^(\w+): $", r"\1:", ran.err, flags=re.MULTILINE) + ran.out


def until(is_true: Callable[[], Any], timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.05)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    # Somebody sits at the terminal: secrets and yes are asked for, not read from a pipe.
    monkeypatch.setattr(options, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    with Simulator(speed=10) as sim, EchoAgent() as agent:
        made = World(sim, agent, tmp_path)
        try:
            yield made
        finally:
            made.stop()


def test_each_screen_of_the_guide_is_what_a_person_sees(world: World) -> None:
    for scene in scenes(PAGE):
        if not isinstance(scene, Screen):
            world.happens(scene.what)
            continue
        real = world.type(scene)
        compare = part_difference if scene.command.startswith("curl") and scene.shown else difference
        found = compare(scene.shown, real)
        assert not isinstance(found, str), f"docs/byoc.md:{scene.line}: {scene.command}: {found}"
        world.seen.update(found)


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ("\u2713 NUMBER_ID mended", "\u2717 0197a1b2-0000-7000-8000-000000000000 mended"),
        ("balance 1.15 USD", "balance 1x15 USD"),
        ("id NUMBER_ID", "id 42"),
        ("one line", "one line\nand another"),
    ],
)
def test_a_wrong_screen_is_found(shown: str, real: str) -> None:
    assert isinstance(difference(shown, real), str)


@pytest.mark.parametrize(
    "real", ['{"ok": true, "drift": [1]}', '{"drift": []}', '{"ok": 1, "drift": []}', "[]"]
)
def test_a_wrong_answer_is_found(real: str) -> None:
    shown = '{"ok": true, "drift": []}'
    assert part_difference(shown, '{"ok": true, "drift": [], "more": 1}') == {}
    assert isinstance(part_difference(shown, real), str)
