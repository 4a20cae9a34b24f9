"""How often a key may be used, and how often one address may present keys that are none; shared by all workers (R82).

The rules are the library's (`limits`); the counts are in the gateway's database. A worker takes hits from there in
slices of a hundredth of the limit, so that a request seldom writes: what four workers have left of their slices when a
window ends is less than 5 % of the limit. Once a limit is reached a worker remembers it until the window ends.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from gateway.errors import StoreUnavailable
from gateway.services import Services
from gateway.store import rates

SLICES: Final = 100
_MOST_KEYS: Final = 10_000  # remembered by a worker; the one used longest ago is forgotten first
_PURGE_EVERY: Final = timedelta(minutes=1)
_KEPT: Final = timedelta(days=2)  # two of the longest window


class SharedCounts(Storage):
    """Counts of fixed windows in the gateway's database, for the library. Thread-safe."""

    STORAGE_SCHEME = None

    def __init__(self, services: Services, slice_size: int) -> None:
        super().__init__()
        self._services = services
        self._slice_size = slice_size
        self._slices: OrderedDict[tuple[str, datetime], deque[range]] = OrderedDict()
        self._lock = threading.Lock()
        self._purged_at: datetime | None = None

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong with the database."""
        return StoreUnavailable

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` hits in the window of `expiry` seconds that is open now; return the last one's place in it."""
        now = self._services.clock()
        window = (key, rates.window_start(expiry, now))
        taken = 0
        for _ in range(amount):
            taken = self._next(window) or self._claim(window, expiry, now)
        return taken

    def _next(self, window: tuple[str, datetime]) -> int | None:
        with self._lock:
            left = self._slices.get(window)
            if not left:
                return None
            self._slices.move_to_end(window)
            taken = left[0][0]
            left[0] = left[0][1:]
            if not left[0]:
                left.popleft()
            return taken

    def _claim(self, window: tuple[str, datetime], expiry: int, now: datetime) -> int:
        with self._services.store.transaction() as tx:
            last = rates.count_hit(tx, window[0], expiry, now, hits=self._slice_size)
            if self._purged_at is None or now - self._purged_at > _PURGE_EVERY:
                self._purged_at = now
                rates.purge_counts(tx, now - _KEPT)
        first = last - self._slice_size + 1
        with self._lock:
            if first < last:
                self._slices.setdefault(window, deque()).append(range(first + 1, last + 1))
                self._slices.move_to_end(window)
            while len(self._slices) > _MOST_KEYS:
                self._slices.popitem(last=False)
        return first

    def get(self, key: str) -> int:
        """Nothing asks for it: what is left of a limit is not shown."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Nothing asks for it: windows end by the clock."""
        raise NotImplementedError

    def check(self) -> bool:
        """Return whether the database answers."""
        self._services.store.ping()
        return True

    def reset(self) -> int | None:
        """Forget the slices of this worker."""
        with self._lock:
            self._slices.clear()
        return None

    def clear(self, key: str) -> None:
        """Forget the slices of one key."""
        with self._lock:
            for window in [each for each in self._slices if each[0] == key]:
                del self._slices[window]


class RateLimit:
    """One limit for many keys. Thread-safe."""

    def __init__(self, services: Services, name: str, rate: str) -> None:
        self._services = services
        self._name = name
        self._item: RateLimitItem = parse(rate)
        counts = SharedCounts(services, max(1, self._item.amount // SLICES))
        self._limiter = FixedWindowRateLimiter(counts)
        self._reached: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def hit(self, key: str) -> int | None:
        """Count a request of `key`; return None when it may pass, else in how many seconds the next one may.

        Raises:
            StoreUnavailable: it cannot be counted.
        """
        now, length = self._services.clock(), self._item.get_expiry()
        start = rates.window_start(length, now)
        if self._reached.get(key) == start or not self._limiter.hit(self._item, self._name, key):
            self._remember(key, start)
            return max(1, math.ceil((start + timedelta(seconds=length) - now).total_seconds()))
        return None

    def _remember(self, key: str, start: datetime) -> None:
        with self._lock:
            self._reached[key] = start
            self._reached.move_to_end(key)
            while len(self._reached) > _MOST_KEYS:
                self._reached.popitem(last=False)
