"""The thread that carries out follow-up commands and, where asked to, sweeps.

Started on first need, after any fork; a daemon, so that it never keeps a process alive. What it has not done when the
process dies is due in the database and done by the next one.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from datetime import timedelta
from typing import Final

from gateway import acting, reconciling
from gateway.errors import GatewayError
from gateway.services import Services
from gateway.store import upkeep

log = logging.getLogger(__name__)

_SWEEP_LEASE: Final = timedelta(seconds=30)


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
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._owner: Final = f"{os.getpid()}-{uuid.uuid4()}"

    def wake(self) -> None:
        """Have due actions looked at now; starts the thread on first use."""
        self.start()
        self._wake.set()

    def start(self, *, sweeps: bool | None = None) -> None:
        """Start the thread unless it runs; `sweeps` True makes it sweep from now on."""
        with self._lock:
            self._sweeps = self._sweeps if sweeps is None else sweeps
            is_running = self._thread is not None and self._thread.is_alive() and self._pid == os.getpid()
            if is_running or self._stopping.is_set():
                return
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._run, name="gateway-background", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Let the current piece of work finish, then stop."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout_s)

    @property
    def is_sweeping(self) -> bool:
        """Whether this process takes part in sweeping."""
        return self._sweeps and self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._services.settings.sweep_interval_s)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self._round()
            except GatewayError as error:
                log.warning("background work will be tried again: %s", error)
            except Exception:  # the thread must outlive a bug: what was due stays due and is tried again
                log.exception("background work failed and will be tried again")

    def _round(self) -> None:
        while acting.run_due(self._services):
            if self._stopping.is_set():
                return
        if self._sweeps and self._holds_lease():
            reconciling.sweep(self._services)

    def _holds_lease(self) -> bool:
        now = self._services.clock()
        with self._services.store.transaction() as tx:
            return upkeep.take_lease(tx, "sweeper", self._owner, now + _SWEEP_LEASE, now)
