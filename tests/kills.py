"""Kill a dialing process again and again, start anew on its database each time, and count who was rung how often.

The carrier is the simulator in this process: it alone knows how many dials arrived. After each kill a gateway is
opened on the same SQLite file, as after a restart, and the app asks for the same call again with the same key.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import Agent, Call, Gateway, GatewayError, Stream, guards
from gateway.models import DEFAULT_WORKSPACE, AttemptState
from gateway.settings import load_settings
from gateway.store import attempts, calls, outbox
from gateway.web import create_app
from providers.simulator import Busy, Fault, Simulator
from tests.bench import PROVIDERS, WebServer
from tests.dialer import BEFORE_ANSWER, LIFE_S, POINTS
from tests.wires import Clock

LOOKS_S = (6, 16, 61, 301, 901)
PATIENCE_S = 30.0


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was counted. Every failure is one sentence; there are to be none."""

    kills: Counter[str] = field(default_factory=Counter)
    found_after: Counter[str] = field(
        default_factory=Counter
    )  # the attempt's state at the restart; "none": no intent
    settled: Counter[str] = field(default_factory=Counter)
    dials: int = 0
    most_dials_of_one_person: int = 0
    told: int = 0  # events in the outbox, each compared with its call after every kill (R46)
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Wanted:
    """One call that the app wants, and asks for again after the kill."""

    provider: str
    point: str
    to: str
    key: str


def people() -> Iterator[str]:
    """Numbers of nobody (555-01xx), in every area code of the country."""
    for area in range(201, 990):
        for last in range(100):
            number = f"+1{area}55501{last:02}"
            try:
                yield guards.check_destination(number, ("US",))
            except GatewayError:
                break


class Dialer:
    """The process that forks the dialers."""

    def __init__(self, log: Path) -> None:
        root = Path(__file__).parents[1]
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dialer"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._read() == "ready", log.read_text()

    def start(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def exit_code(self) -> int:
        """Wait for the end of the one that runs; a negative number is the signal that killed it."""
        return int(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()
        self._log.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Kills:
    """The whole scene: three carriers, one database, one port."""

    def __init__(self, folder: Path, sim: Simulator, dialer: Dialer, seed: int, database_url: str) -> None:
        self._sim, self._dialer = sim, dialer
        self._random = random.Random(seed)
        self._people = people()
        self._unsettled: list[Wanted] = []
        self._told_until = ""
        self._told: dict[str | None, str] = {}  # call -> the status in the last event of it
        self.tally = Tally()
        web = WebServer()
        self._port = web.server.server_port
        web.server.server_close()
        self._settings = {
            "database_url": database_url,
            "secret_key_file": str(folder / "gateway.key"),
            "public_url": web.url,
            "base_urls": {name: sim.base_url(name) for name in PROVIDERS},
            "dial_retry_backoff_s": [0.05],
        }
        self._set_up()

    @contextmanager
    def _restarted(self, clock: Clock | None = None) -> Iterator[Gateway]:
        """A gateway on the same database and port, as after a restart."""
        settings = load_settings(env={}, **self._settings)
        with Gateway.open(settings, background=False, create=True) as gateway:
            gateway.services.clock = clock or gateway.services.clock
            web = WebServer(port=self._port)
            web.server.daemon_threads = False  # webhooks under way are finished before the store closes
            web.start(create_app(gateway))
            try:
                yield gateway
            finally:
                web.stop()

    def _set_up(self) -> None:
        with self._restarted() as gateway:
            for index, provider in enumerate(PROVIDERS):
                account = self._sim.add_account(provider)
                secrets = dict(account.secrets)
                if provider == "telnyx":
                    secrets["connection_id"] = account.connection_id or ""
                credential = gateway.credentials.add(provider, check=False, **secrets)
                number = f"+1415555010{index}"
                self._sim.add_number(account, number)
                gateway.numbers.add(number, credential=credential.id)
                gateway.agents.put(Agent(id=provider, connect=Stream("ws://127.0.0.1:9/media")))
                gateway.numbers.assign(number, configure=False, agent=provider, outbound=True)
                if provider == "telnyx":
                    events = gateway.credentials.webhooks(credential)["events"]
                    self._sim.configure_application(account, webhook_url=events)
        self._sim.face("twilio").habits.calls_per_second = None
        self._sim.face("plivo").habits.calls_per_second = 10_000

    # -- one kill ---------------------------------------------------------------------------------------------------

    def run(self, cycles: int, settle_every: int = 50) -> Tally:
        for cycle in range(cycles):
            point = POINTS[cycle % len(POINTS)]
            provider = PROVIDERS[(cycle // len(POINTS) + cycle) % len(PROVIDERS)]
            wanted = Wanted(provider=provider, point=point, to=next(self._people), key=f"key {cycle}")
            self._sim.script(wanted.to, Busy(after_s=0.2))
            self._kill(wanted)
            self._restart(wanted)
            self._unsettled.append(wanted)
            if len(self._unsettled) == settle_every or cycle == cycles - 1:
                self._settle()
        return self.tally

    def _kill(self, wanted: Wanted) -> None:
        if wanted.point == BEFORE_ANSWER:
            fault = self._random.choice((Fault.HANG_BEFORE, Fault.HANG_AFTER))
            self._sim.faults.api(wanted.provider, "dial", fault)
        order = {
            "point": wanted.point,
            "seed": self._random.random(),
            "settings": self._settings,
            "port": self._port,
            "agent": wanted.provider,
            "to": wanted.to,
            "key": wanted.key,
        }
        pid = self._dialer.start(order)
        if wanted.point == BEFORE_ANSWER:
            self._sim.wait(lambda: self._dials_of(wanted.to), PATIENCE_S)
            os.kill(pid, signal.SIGKILL)
        overdue = threading.Timer(LIFE_S, os.kill, (pid, signal.SIGKILL))
        overdue.start()
        code = self._dialer.exit_code()
        if not overdue.is_alive():
            self.tally.failures.append(f"{wanted}: was not killed at its point")
        overdue.cancel()
        self.tally.kills[wanted.point] += 1
        if code != -signal.SIGKILL:
            self.tally.failures.append(f"{wanted}: ended with {code}, not by SIGKILL")

    def _restart(self, wanted: Wanted) -> None:
        with self._restarted(clock := Clock()) as gateway:
            store = gateway.services.store
            store.check_integrity()
            known = calls.find_by_idempotency_key(store, DEFAULT_WORKSPACE, wanted.key)
            self._compare_outbox(gateway, [*self._unsettled, wanted])
            self.tally.found_after[wanted.point, self._state(gateway, known[0]) if known else "none"] += 1
            if known is None and self._dials_of(wanted.to):
                self.tally.failures.append(f"{wanted}: dialed without an intent")
            clock.ahead(seconds=31)
            gateway.sweep()
            clock.ahead()
            if AttemptState.DIALING in (each.state for each in attempts.open_attempts(store)):
                self.tally.failures.append(f"{wanted}: still dialing after its lease")
            again = gateway.place_call(wanted.provider, wanted.to, idempotency_key=wanted.key)
            if known is not None and again.id != known[0].id:
                self.tally.failures.append(f"{wanted}: another call for the same key")
            if known is not None and not self._is_told(gateway, again):
                self.tally.failures.append(f"{wanted}: an unknown dial is not shown")
        self._count(wanted)

    def _compare_outbox(self, gateway: Gateway, wanted: Sequence[Wanted]) -> None:
        """R46: what was told last of each call is what it is; webhooks may come while we look, so look again."""
        for _ in range(20):
            untold = self._untold(gateway, wanted)
            if not untold:
                return
            time.sleep(0.1)
        self.tally.failures += untold

    def _untold(self, gateway: Gateway, wanted: Sequence[Wanted]) -> list[str]:
        store = gateway.services.store
        while events := outbox.list_notifications(store, DEFAULT_WORKSPACE, after=self._told_until):
            self._told_until = events[-1].id
            self._told |= {event.call_id: json.loads(event.payload)["data"]["status"] for event in events}
            self.tally.told += len(events)
        untold = []
        for each in wanted:
            known = calls.find_by_idempotency_key(store, DEFAULT_WORKSPACE, each.key)
            told = self._told.get(known[0].id, "queued") if known else None
            if known and told != known[0].status.value:
                untold.append(f"{each}: is {known[0].status.value}, and {told} was told")
        return untold

    def _count(self, wanted: Wanted) -> None:
        dials = self._dials_of(wanted.to)
        self.tally.most_dials_of_one_person = max(self.tally.most_dials_of_one_person, dials)
        if dials > 1:
            self.tally.failures.append(f"{wanted}: {dials} dials")

    @staticmethod
    def _state(gateway: Gateway, call: Call) -> str:
        return gateway.calls.attempts(call.id)[-1].state.value

    def _is_told(self, gateway: Gateway, call: Call) -> bool:
        is_unknown = self._state(gateway, call) == AttemptState.UNKNOWN
        return (gateway.calls.get(call.id).context.get("dial") == "unconfirmed") == is_unknown

    def _dials_of(self, person: str) -> int:
        parameters = (entry.data["parameters"] for entry in self._sim.dials())
        return sum(person[1:] in str(given.get("To", given.get("to"))) for given in parameters)

    # -- what became of them ------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Let time pass until every dial is settled, and compare with what the carrier knows."""
        with self._restarted(clock := Clock()) as gateway:
            self._sim.wait(lambda: all(sim_call.outcome for sim_call in self._sim.calls()), PATIENCE_S)
            for seconds in LOOKS_S:
                clock.ahead(seconds=seconds)
                while gateway.sweep().total:
                    pass
            placed = {sim_call.to for sim_call in self._sim.calls()}
            for wanted in self._unsettled:
                self._compare(gateway, wanted, wanted.to in placed)
            self._compare_outbox(gateway, self._unsettled)
        self._unsettled.clear()
        self.tally.dials = len(self._sim.dials())

    def _compare(self, gateway: Gateway, wanted: Wanted, is_placed: bool) -> None:
        self._count(wanted)
        known = calls.find_by_idempotency_key(gateway.services.store, DEFAULT_WORKSPACE, wanted.key)
        if known is None:
            self.tally.failures.append(f"{wanted}: the intent is lost")
            return
        state, status = self._state(gateway, known[0]), known[0].status.value
        self.tally.settled[f"{state}, {status}"] += 1
        expected = ("accepted", "busy") if is_placed else ("not_placed_probable", "failed")
        if (state, status) != expected:
            self.tally.failures.append(f"{wanted}: {state} and {status}, the carrier says {expected}")


def kill(cycles: int, folder: Path, *, seed: int = 1, database_url: str | None = None) -> Tally:
    """Kill a dialing process `cycles` times; return what was counted. Without a database: SQLite in the folder."""
    url = database_url or f"sqlite:///{folder / 'gateway.db'}"
    with Simulator(speed=20, seed=seed) as sim:
        dialer = Dialer(folder / "dialer.log")
        try:
            return Kills(folder, sim, dialer, seed, url).run(cycles)
        finally:
            dialer.close()
