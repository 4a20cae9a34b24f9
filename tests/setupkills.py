"""Kill the set-up of a number between any two writes, again and again, and compare both sides after each restart.

After a kill, either both sides agree, or `check` tells the difference and `repair` mends it; and what the number
pointed at before us is never lost: a later unassignment puts it back to the letter.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import Gateway
from gateway.models import SetupState
from gateway.pointing import LEASE
from gateway.status import Direction
from gateway.store import Store
from tests.byockit import MOVED, PUBLIC, Account, open_byoc, stock
from tests.setter import AGENT, NUMBER, VERBS
from tests.wires import Clock

KINDS = ("plivo", "telnyx", "twilio")
LATER_S = 2 * LEASE.total_seconds()  # a restart after the leases of the killed process have ended


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was counted. Every failure is one sentence; there are to be none."""

    kills: Counter[str] = field(default_factory=Counter)
    found_after: Counter[str] = field(default_factory=Counter)  # verb and the number's state at the restart
    told: int = 0  # restarts at which `check` had something to tell
    failures: list[str] = field(default_factory=list)


class Setter:
    """The process that forks what is killed."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.setter"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._line() == "ready", log.read_text()

    def run(self, order: dict[str, Any]) -> int:
        """Carry out an order; return how it ended: a negative number is the signal that killed it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()


class Scene:
    """One account with one number, and a gateway's database."""

    def __init__(self, folder: Path, kind: str, setter: Setter, tally: Tally) -> None:
        self._account = Account(folder / f"{kind}.json", kind)
        self._database_url = f"sqlite:///{folder / f'{kind}.db'}"
        self._setter, self._tally = setter, tally
        self._store = Store.open(self._database_url)
        self._store.upgrade()
        stock(self._gateway(PUBLIC), self._account, NUMBER)
        self._before = self._account.settings(NUMBER)
        self._next = dict.fromkeys(VERBS, 1)

    def close(self) -> None:
        self._store.close()

    def _gateway(self, public_url: str) -> Gateway:
        clock = Clock()
        clock.ahead(seconds=LATER_S)
        return open_byoc(self._store, self._account, clock, public_url)

    def kill(self, verb: str) -> None:
        """Kill a process while it does `verb`, at the moment after the last one; begin anew after the last moment."""
        if verb != "assign":
            self._gateway(PUBLIC).numbers.assign(NUMBER, agent=AGENT, inbound=True, outbound=True)
        public_url = MOVED if verb == "repair" else PUBLIC
        order = {
            "verb": verb,
            "moment": self._next[verb],
            "kind": self._account.kind,
            "file": str(self._account.file),
            "database_url": self._database_url,
            "public_url": public_url,
        }
        code = self._setter.run(order)
        what = f"{self._account.kind}, {verb}, moment {self._next[verb]}"
        if code == -signal.SIGKILL:
            self._tally.kills[verb] += 1
            self._next[verb] += 1
        elif code == 0 and self._next[verb] > 1:
            self._next[verb] = 1
        else:
            self._tally.failures.append(f"{what}: ended with {code}")
        self._settle(self._gateway(public_url), verb, what)

    def _settle(self, gateway: Gateway, verb: str, what: str) -> None:
        number = gateway.numbers.get(NUMBER)
        self._tally.found_after[f"{verb}, {number.setup_state}"] += 1
        if number.setup_state is not SetupState.NONE and number.before != self._before:
            self._tally.failures.append(f"{what}: what was there before is lost: {number.before}")
        found = gateway.numbers.check(NUMBER)
        if not found.is_fine:
            self._tally.told += 1
            mended = gateway.numbers.repair(NUMBER)
            if not mended.is_fine:
                self._tally.failures.append(f"{what}: not mended: {mended.error or mended.left}")
        self._compare(gateway, what)
        gateway.numbers.unassign(NUMBER)
        if self._account.settings(NUMBER) != self._before:
            self._tally.failures.append(f"{what}: not put back: {self._account.settings(NUMBER)}")

    def _compare(self, gateway: Gateway, what: str) -> None:
        [credential] = gateway.credentials.list()
        is_here = self._account.where(NUMBER) == gateway.credentials.webhooks(credential)["answer"]
        is_assigned = any(each.direction is Direction.INBOUND for each in gateway.numbers.assignments())
        state = gateway.numbers.get(NUMBER).setup_state
        if (is_here, is_assigned, state is SetupState.APPLIED) not in ((True,) * 3, (False,) * 3):
            self._tally.failures.append(f"{what}: at the carrier {is_here}, here {is_assigned}, {state}")


def kill(cycles: int, folder: Path) -> Tally:
    """Kill assignments, unassignments and repairs, `cycles` times each; return what was counted."""
    tally = Tally()
    setter = Setter(folder / "setter.log")
    scenes = [Scene(folder, kind, setter, tally) for kind in KINDS]
    try:
        for verb in VERBS:
            turn = 0
            while tally.kills[verb] < cycles and not tally.failures:
                scenes[turn % len(scenes)].kill(verb)
                turn += 1
    finally:
        for scene in scenes:
            scene.close()
        setter.close()
    return tally
