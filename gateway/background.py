"""The threads that carry out follow-up commands and, where asked to, sweep and deliver events to the outside.

All they do are functions of their own, so that anything else can drive them.

Started on first need, after any fork; daemons, so that they never keep a process alive. What they have not done when
the process dies is due in the database and done by the next one. Commands run side by side, and apart from the sweeper:
one carrier that does not answer keeps no other caller waiting.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from gateway import acting, checking, delivering, operating, reconciling
from gateway.delivering import Outcome
from gateway.egress import TOTAL_TIMEOUT_S, Egress
from gateway.errors import GatewayError, StoreUnavailable
from gateway.services import Services
from gateway.store import upkeep
from gateway.store.rows import Action, ClaimedDelivery

log = logging.getLogger(__name__)

_SWEEP_LEASE: Final = timedelta(seconds=30)
_COMMANDS_AT_ONCE: Final = 8
SENDERS: Final = 32  # deliveries begun within the last moment, of one process
_SENDERS_THAT_WAIT: Final = 256  # all deliveries under way; a thread that waits costs some 20 KiB
_MOMENT_S: Final = 1.0
_POLL_S: Final = 0.25  # between two looks at what other processes wrote
_PURGE_EVERY: Final = timedelta(hours=1)


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
        self._stop_at = 0.0  # monotonic: until when work that is due is begun after a stop
        self._owner: Final = f"{os.getpid()}-{uuid.uuid4()}"
        self.courier: Final = Courier(services)

    def wake(self) -> None:
        """Have due actions and deliveries looked at now; starts the thread on first use."""
        self.start()
        self._wake.set()
        self.courier.wake()

    def start(self, *, sweeps: bool | None = None) -> None:
        """Start the threads unless they run; `sweeps` True makes this process sweep and deliver from now on."""
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
                self._start("gateway-checker", self._tend)
                self._start("gateway-operations", self._operate)
                self.courier.start()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        running = self._threads.get(name)
        if running is None or not running.is_alive():
            self._threads[name] = threading.Thread(target=work, name=name, daemon=True)
            self._threads[name].start()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Carry out what is due now, let the current pieces of work finish, then stop."""
        self._stop_at = time.monotonic() + timeout_s / 2
        self._stopping.set()
        self._wake.set()
        self.courier.stop(timeout_s)
        if self._pid != os.getpid():
            return
        for thread in self._threads.values():
            thread.join(timeout_s)
        if self._pool is not None:
            self._pool.shutdown(wait=True)  # what was handed out is claimed: nobody else would do it now

    @property
    def is_sweeping(self) -> bool:
        """Whether this process takes part in sweeping."""
        sweeper = self._threads.get("gateway-sweeper")
        return self._sweeps and sweeper is not None and sweeper.is_alive()

    def _act(self) -> None:
        _guarded(self._services.prepare_providers)
        while not self._stopping.is_set():
            _guarded(self._act_once)
            self._wake.wait(self._services.settings.sweep_interval_s)
            self._wake.clear()
        _guarded(self._finish)

    def _finish(self) -> None:
        """Carry out what was due when the stop came, perhaps in the same moment."""
        while (left_s := self._stop_at - time.monotonic()) > 0 and self._hand_out(left_s):
            pass

    def _act_once(self) -> None:
        while not self._stopping.is_set() and self._hand_out():
            pass
        reconciling.fail_late_joins(self._services)

    def _hand_out(self, wait_s: float = 0.0) -> bool:
        """Give one due action to a worker that is free within `wait_s`; False: nothing is due, or none is."""
        if not self._free.acquire(timeout=wait_s):
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
            _guarded(lambda: acting.run(self._services, action))
        finally:
            self._free.release()
            self._wake.set()

    def _sweep(self) -> None:
        while not self._stopping.wait(self._services.settings.sweep_interval_s):
            _guarded(self._sweep_once)

    def _operate(self) -> None:
        """Do long work, one operation at a time in each process; a stop leaves it where it stands, due at once."""
        while not self._stopping.wait(self._services.settings.sweep_interval_s):
            _guarded(lambda: operating.run_due(self._services, self._goes_on))

    def _goes_on(self) -> bool:
        return not self._stopping.is_set()

    def _sweep_once(self) -> None:
        if self._holds_lease():
            reconciling.sweep(self._services)

    def _tend(self) -> None:
        """Check numbers at their carriers, an account at a time, apart from the sweeper: a carrier may be slow."""
        while not self._stopping.wait(self._services.settings.sweep_interval_s):
            _guarded(lambda: checking.check_due(self._services))

    def _holds_lease(self) -> bool:
        now = self._services.clock()
        with self._services.store.transaction() as tx:
            return upkeep.take_lease(tx, "sweeper", self._owner, now + _SWEEP_LEASE, now)


class Courier:
    """Keeps deliveries going: claims what is due, sends each in a thread of its own, writes what became of them.

    One thread claims and writes, many events in one transaction; the others wait for endpoints. A request that takes
    longer than a moment no longer counts as one of the `SENDERS`, so endpoints that hang keep no other waiting (R63).
    """

    def __init__(self, services: Services, *, egress: Egress | None = None) -> None:
        self._services: Final = services
        self._egress = egress
        self._wake: Final = threading.Event()
        self._stopping: Final = threading.Event()
        self._lock: Final = threading.Lock()
        self._done: Final[queue.SimpleQueue[Outcome]] = queue.SimpleQueue()
        self._unwritten: list[Outcome] = []
        self._under_way: dict[str, float] = {}  # delivery -> when it was begun, monotonic
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._purge_at = 0.0
        self._owner: Final = f"{os.getpid()}-{uuid.uuid4()}"

    def start(self) -> None:
        """Start unless it runs."""
        with self._lock:
            is_running = self._thread is not None and self._thread.is_alive() and self._pid == os.getpid()
            if is_running or self._stopping.is_set():
                return
            if self._pid != os.getpid():  # first use, or a fork: what was under way is another process's
                self._pid, self._under_way, self._unwritten = os.getpid(), {}, []
            self._thread = threading.Thread(target=self._run, name="gateway-courier", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Have the outbox looked at now, where it is running."""
        self._wake.set()

    def stop(self, timeout_s: float = 20.0) -> None:
        """Claim nothing more, let what is under way come to its end, stop. What does not is sent again by the next."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pool = ThreadPoolExecutor(_SENDERS_THAT_WAIT, thread_name_prefix="gateway-delivery")
        egress = self._egress or delivering.egress_of(self._services)
        while not self._stopping.is_set():
            wait_s = _POLL_S

            def work() -> None:
                nonlocal wait_s
                wait_s = self._round(pool, egress)

            _guarded(work)
            self._wake.wait(wait_s)
            self._wake.clear()
        self._finish()
        pool.shutdown(wait=False, cancel_futures=True)

    def _round(self, pool: ThreadPoolExecutor, egress: Egress) -> float:
        """Write what is done and begin what is due; return how long to wait, unless woken."""
        self._write()
        self._purge(pool)
        free = self._free()
        due = delivering.next_due(self._services) if free else None
        left_s = _POLL_S if due is None else (due - self._services.clock()).total_seconds()
        if left_s > 0:
            return min(left_s, _POLL_S)
        claimed = delivering.claim(self._services, free)
        for each in claimed:
            self._under_way[each.delivery.id] = time.monotonic()
            pool.submit(self._send, egress, each)
        return 0.0 if claimed else _POLL_S  # nothing: another process is about to claim it

    def _send(self, egress: Egress, claimed: ClaimedDelivery) -> None:
        self._done.put(delivering.send(self._services, egress, claimed))
        self._under_way.pop(claimed.delivery.id, None)
        self._wake.set()

    def _free(self) -> int:
        begun = list(self._under_way.values())
        recent = sum(at > time.monotonic() - _MOMENT_S for at in begun)
        return max(0, min(SENDERS - recent, _SENDERS_THAT_WAIT - len(begun)))

    def _write(self) -> None:
        batch, self._unwritten = self._unwritten, []
        while not self._done.empty():
            batch.append(self._done.get())
        if not batch:
            return
        try:
            delivering.settle(self._services, batch)
        except StoreUnavailable:
            self._unwritten = batch
            raise

    def _finish(self) -> None:
        deadline = time.monotonic() + TOTAL_TIMEOUT_S + 1
        while self._under_way and time.monotonic() < deadline:
            self._wake.wait(_POLL_S)
            self._wake.clear()
        _guarded(self._write)

    def _purge(self, pool: ThreadPoolExecutor) -> None:
        """Once an hour, in one of all processes."""
        if time.monotonic() < self._purge_at:
            return
        self._purge_at = time.monotonic() + _PURGE_EVERY.total_seconds()
        now = self._services.clock()
        with self._services.store.transaction() as tx:
            is_ours = upkeep.take_lease(tx, "outbox purge", self._owner, now + _PURGE_EVERY, now)
        if is_ours:
            pool.submit(_guarded, lambda: delivering.purge(self._services))


def _guarded(work: Callable[[], object]) -> None:
    try:
        work()
    except GatewayError as error:
        log.warning("background work will be tried again: %s", error)
    except Exception:  # the thread must outlive a bug: what was due stays due and is tried again
        log.exception("background work failed and will be tried again")
