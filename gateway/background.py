"""The threads that carry out follow-up commands and, where asked to, sweep. All they do are functions of their own.

Started on first need, after any fork; daemons, so that they never keep a process alive. What they have not done when
the process dies is due in the database and done by the next one. Commands run side by side, and apart from the sweeper:
one carrier that does not answer keeps no other caller waiting.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from gateway import acting, reconciling
from gateway.errors import GatewayError
from gateway.services import Services
from gateway.store import upkeep
from gateway.store.rows import Action

log = logging.getLogger(__name__)

_SWEEP_LEASE: Final = timedelta(seconds=30)
_COMMANDS_AT_ONCE: Final = 8


class Background:
    """Runs due actions when woken and, with `sweeps`, one round of the sweeper every `sweep_interval_s`.

    Of several processes one sweeps at a time: the lease is in the database.
    """

    def __init__(self, services: Services, *, sweeps: bool = False) -> None:
        self._services: Final = services
        self._sweeps = sweeps
        self._wake: Final = threading.Event()
        self._stopping: Final = threading.Event()
        self._lock: Final = threading.Lock()
        self._free: Final = threading.Semaphore(_COMMANDS_AT_ONCE)
        self._threads: dict[str, threading.Thread] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0
        self._owner: Final = f"{os.getpid()}-{uuid.uuid4()}"

    def wake(self) -> None:
        """Have due actions looked at now; starts the thread on first use."""
        self.start()
        self._wake.set()

    def start(self, *, sweeps: bool | None = None) -> None:
        """Start the threads unless they run; `sweeps` True makes this process sweep from now on."""
        with self._lock:
            self._sweeps = self._sweeps if sweeps is None else sweeps
            if self._stopping.is_set():
                return
            if self._pid != os.getpid():  # first use, or a fork: threads do not survive one
                self._pid = os.getpid()
                self._threads = {}
                self._pool = ThreadPoolExecutor(_COMMANDS_AT_ONCE, thread_name_prefix="gateway-command")
            self._start("gateway-background", self._act)
            if self._sweeps:
                self._start("gateway-sweeper", self._sweep)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        running = self._threads.get(name)
        if running is None or not running.is_alive():
            self._threads[name] = threading.Thread(target=work, name=name, daemon=True)
            self._threads[name].start()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Let the current pieces of work finish, then stop."""
        self._stopping.set()
        self._wake.set()
        if self._pid != os.getpid():
            return
        for thread in self._threads.values():
            thread.join(timeout_s)
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_sweeping(self) -> bool:
        """Whether this process takes part in sweeping."""
        sweeper = self._threads.get("gateway-sweeper")
        return self._sweeps and sweeper is not None and sweeper.is_alive()

    def _act(self) -> None:
        self._guarded(self._services.prepare_providers)
        while not self._stopping.is_set():
            self._guarded(self._act_once)
            self._wake.wait(self._services.settings.sweep_interval_s)
            self._wake.clear()

    def _act_once(self) -> None:
        while not self._stopping.is_set() and self._hand_out():
            pass
        reconciling.fail_late_joins(self._services)

    def _hand_out(self) -> bool:
        """Give one due action to a free worker; return False when nothing is due or nobody is free."""
        if not self._free.acquire(blocking=False):
            return False
        claimed = []
        try:
            claimed = acting.claim_due(self._services, 1)
        finally:
            if not claimed:
                self._free.release()
        for action in claimed:
            assert self._pool is not None
            self._pool.submit(self._carry_out, action)
        return bool(claimed)

    def _carry_out(self, action: Action) -> None:
        try:
            self._guarded(lambda: acting.run(self._services, action))
        finally:
            self._free.release()
            self._wake.set()

    def _sweep(self) -> None:
        while not self._stopping.wait(self._services.settings.sweep_interval_s):
            self._guarded(self._sweep_once)

    def _sweep_once(self) -> None:
        if self._holds_lease():
            reconciling.sweep(self._services)

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except GatewayError as error:
            log.warning("background work will be tried again: %s", error)
        except Exception:  # the thread must outlive a bug: what was due stays due and is tried again
            log.exception("background work failed and will be tried again")

    def _holds_lease(self) -> bool:
        now = self._services.clock()
        with self._services.store.transaction() as tx:
            return upkeep.take_lease(tx, "sweeper", self._owner, now + _SWEEP_LEASE, now)
