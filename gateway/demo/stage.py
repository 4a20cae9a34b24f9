"""Everything a demo needs, started on loopback and stopped again: simulator, agent, gateway server, accounts.

The gateway server is a process of its own, the real `gateway serve`; this process embeds the library on the same
SQLite file, as a call engine would. All files live in one temporary folder.
"""

from __future__ import annotations

import http.client
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, Final

from gateway.errors import ConfigurationError, MissingExtra
from gateway.gateway import Gateway
from gateway.instructions import Say, Stream
from gateway.models import Agent
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from providers.simulator import Account, EchoAgent, SimCall, Simulator

HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 60.0  # of the server process, on a machine that is busy with something else
STOP_TIMEOUT_S: Final = 5.0

ECHO: Final = "echo"
DOWN: Final = "down"
UNASSIGNED_TEXT: Final = "This demo number is not assigned to an agent. Goodbye."
DOWN_TEXT: Final = "The agent of this demo number is down. This is its fallback message. Goodbye."
OLD_URL: Final = "https://old.example.com/calls"  # where the numbers point before; nothing here ever calls it
VOICEMAIL_TEXT: Final = "This is the demo of the telephony gateway. Nobody needs to call back."

TEST_CALLER: Final = 49  # the last phone; scenes use the first ones
AREA_CODES: Final = (
    "415",
    "212",
    "303",
    "617",
    "206",
    "312",
)  # one for each carrier, so that no number is shared


class Called(StrEnum):
    """Our numbers, by what is behind them; each carrier's account holds one of each."""

    ECHO = "echo"
    UNASSIGNED = "unassigned"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One carrier's account and its numbers."""

    provider: str
    account: Account
    area_code: str
    before: Sequence[Mapping[str, Any]] = ()  # what the carrier has for each number at first

    @property
    def numbers(self) -> list[str]:
        """All of our numbers."""
        return [self.number(called) for called in Called]

    def number(self, called: Called) -> str:
        """Return one of our numbers; 555-01xx is reserved for fiction."""
        return f"+1{self.area_code}55501{tuple(Called).index(called):02}"

    def phone(self, index: int) -> str:
        """Return the number of somebody else's phone."""
        return f"+1{self.area_code}55501{50 + index:02}"


@dataclass(slots=True, kw_only=True)
class Stage:
    """What is running."""

    sim: Simulator
    agent: EchoAgent
    gateway: Gateway
    server: ServerProcess
    not_in_time: type[Exception]  # what the simulator raises when something did not happen in time
    lines: Mapping[str, Line] = field(default_factory=dict)

    def is_settled(self, call: SimCall) -> bool:
        """Whether a call is over for the exchange, and the carrier has reported all there is."""
        try:
            self.sim.wait(call, timeout_s=0.0)
        except self.not_in_time:
            return False
        return True


@contextmanager
def open_stage(providers: Sequence[str], speed: float, tell: Callable[[str, str], None]) -> Iterator[Stage]:
    """Start everything; stop everything, whatever happens, and remove the folder.

    Args:
        tell: told which part has been set up, and where it is.

    Raises:
        MissingExtra: the simulator's library is not installed. ConfigurationError: the server does not start.
    """
    simulator = _import_simulator()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-demo-")))
        stack.enter_context(_logging_to(folder / "demo.log"))
        sim = stack.enter_context(simulator.Simulator(speed=speed))
        tell("simulator", f"plays the carriers on {HOST}:{sim.port}")
        public_url = f"http://{HOST}:{free_port()}"
        claim_url = f"{public_url}/voice/streams/{{token}}/claim"
        agent = stack.enter_context(simulator.EchoAgent(claim_url=claim_url))
        tell("agent", f"echoes what it hears on {agent.url}")
        settings = load_settings(
            config_file("demo.toml"),
            env={},
            database_url=f"sqlite:///{folder / 'gateway.db'}",
            public_url=public_url,
            bind=public_url.removeprefix("http://"),
            base_urls={name: sim.base_url(name) for name in providers},
            unassigned_message=UNASSIGNED_TEXT,
        )
        gateway = stack.enter_context(Gateway.open(settings, background=False))
        server = stack.enter_context(ServerProcess(folder, settings))
        stage = Stage(
            sim=sim, agent=agent, gateway=gateway, server=server, not_in_time=simulator.SimulatorTimeout
        )
        stage.lines = {
            provider: _open_account(sim, provider, area_code)
            for provider, area_code in zip(providers, AREA_CODES, strict=False)
        }
        gateway.agents.put(Agent(id=ECHO, connect=Stream(agent.url)))
        nobody = Stream(f"ws://{HOST}:{free_port()}/media")
        gateway.agents.put(Agent(id=DOWN, connect=nobody, fallback=(Say(DOWN_TEXT),)))
        yield stage


def go_live(stage: Stage, tell: Callable[[str, str], None]) -> None:
    """Wait for the server, and try it out. Raises ConfigurationError: it does not start, or calls do not come in."""
    stage.server.wait_ready()
    url = stage.gateway.settings.public_url
    tell("gateway", f"serves {url} (`gateway serve`, process {stage.server.pid})")
    _try_out(stage)
    tell("test call", "one came in at each carrier and was answered")


def _import_simulator() -> Any:
    try:
        return import_module("providers.simulator")
    except ImportError as error:
        raise MissingExtra("the demo", "all") from error


def _open_account(sim: Simulator, provider: str, area_code: str) -> Line:
    """Open an account at the carrier, with numbers that some other program of its owner takes the calls of."""
    line = Line(
        provider=provider, account=sim.add_account(provider, name="Demo account"), area_code=area_code
    )
    for number in line.numbers:
        sim.add_number(line.account, number)
        sim.point(number, OLD_URL)
    return replace(line, before=[settings_of(sim, line.account, each) for each in line.numbers])


def settings_of(sim: Simulator, account: Account, number: str) -> Mapping[str, Any]:
    """Return what the carrier has for a number, without the times of its last change."""
    settings: Mapping[str, Any] = sim.number_settings(account, number)
    return {name: value for name, value in settings.items() if "updated" not in name}


def _try_out(stage: Stage) -> None:
    """Have one call come in at each carrier: the server loads a carrier's library when it first needs it."""
    calls = [
        stage.sim.ring(line.number(Called.UNASSIGNED), line.phone(TEST_CALLER))
        for line in stage.lines.values()
    ]
    for call in calls:
        with suppress(stage.not_in_time):
            stage.sim.wait(call, timeout_s=START_TIMEOUT_S)
        if call.truth != "answered":
            tail = stage.server.log_tail()
            raise ConfigurationError(
                f"the test call at {call.provider} is {call.truth}, not answered:\n{tail}"
            )


# -- the server process --------------------------------------------------------------------------------------------


class ServerProcess:
    """`gateway serve` in a process group of its own. A context manager: started on entering, gone on leaving."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self._bind = settings.bind
        self._environment = _environment(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        with self._log.open("wb") as log:
            self._process = self._start(log)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        # Its own session: Ctrl-C reaches us alone, and then it is stopped in order.
        return subprocess.Popen(  # noqa: S603 - our own interpreter, with arguments of our own
            _serve_command(),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    def wait_ready(self) -> None:
        """Wait until it answers that it can do its work. Raises ConfigurationError with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.05)
        raise ConfigurationError(f"the gateway server did not start:\n{self.log_tail()}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self._bind, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask it to stop; what is left of it after a while is killed."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT_S)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines it wrote."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def _serve_command() -> list[str]:
    return [sys.executable, "-c", "from gateway.cli import main; main()", "serve"]


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the server: ours, with the gateway's own settings in place of any that were there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    ours = {
        "GATEWAY_CONFIG": str(config_file("demo.toml")),
        "GATEWAY_DATABASE_URL": settings.database_url,
        "GATEWAY_PUBLIC_URL": settings.public_url or "",
        "GATEWAY_BIND": settings.bind,
        "GATEWAY_UNASSIGNED_MESSAGE": settings.unassigned_message,
    }
    carriers = {f"GATEWAY_{name.upper()}_BASE_URL": url for name, url in settings.base_urls.items()}
    return {**inherited, **ours, **carriers}


# -- small things --------------------------------------------------------------------------------------------------


def config_file(name: str) -> Path:
    """Return a file that an operator may edit: shipped inside the wheel, or in the repository's own folder."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_config" / name
    return shipped if shipped.exists() else package.parent / "config" / name


def free_port() -> int:
    """Return a loopback port that nothing listens on, outside the range that outgoing connections are given."""
    for _ in range(200):
        port = random.randint(20_000, 32_000)  # noqa: S311 - any number will do
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise ConfigurationError("no free port between 20000 and 32000 on 127.0.0.1")


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Send what libraries log into a file: a line in the middle of a live table would tear it (--debug wants it)."""
    root = logging.getLogger()
    if root.isEnabledFor(logging.DEBUG):
        yield
        return
    handler = logging.FileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before, level = root.handlers, root.level
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.handlers = before
        root.setLevel(level)
        handler.close()
