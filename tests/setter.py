"""A process that sets up a number and is killed in it: `python -m tests.setter`, driven by `tests/setupkills.py`.

One process loads everything once and forks for each order (a JSON line on stdin). The fork assigns, unassigns or
repairs a number at the account in a file (`tests/byockit.py`), and dies by SIGKILL at the n-th moment of its writes:
before or after each write at the carrier, and after each commit. It answers with how it ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.models import DEFAULT_WORKSPACE
from gateway.store import Store, Tx
from tests.byockit import Account, die, open_byoc

NUMBER = "+14155550100"
AGENT = "a"
VERBS = ("assign", "unassign", "repair")


class Moments:
    """Counts the moments at which a kill may come, and dies at the one that was ordered."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted

    def pass_by(self, _: str = "") -> None:
        self._left -= 1
        if self._left == 0:
            die()


class DoomedStore:
    """The store, but after each commit a moment passes."""

    def __init__(self, store: Store, moments: Moments) -> None:
        self._store, self._moments = store, moments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        with self._store.transaction() as tx:
            yield tx
        self._moments.pass_by()


def carry_out(order: dict[str, Any]) -> None:
    moments = Moments(order["moment"])
    account = Account(Path(order["file"]), order["kind"])
    store = Store.open(order["database_url"])
    gateway = open_byoc(store, account, public_url=order["public_url"])
    gateway.services.store = DoomedStore(store, moments)  # type: ignore[assignment]
    account.on_write = moments.pass_by
    numbers, workspace = gateway.numbers, DEFAULT_WORKSPACE
    if order["verb"] == "assign":
        numbers.assign(NUMBER, agent=AGENT, inbound=True, outbound=True, workspace_id=workspace)
    elif order["verb"] == "unassign":
        numbers.unassign(NUMBER, workspace_id=workspace)
    else:
        numbers.repair(NUMBER, workspace_id=workspace)


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                carry_out(json.loads(line))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
