"""How many test processes run side by side (`-n auto`)."""

from __future__ import annotations

import os


def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: half of a test's time is waiting, for a socket, a timer of the simulator, a database."""
    return 2 * (os.cpu_count() or 1)
