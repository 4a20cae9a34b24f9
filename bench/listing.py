"""`GET /calls` of the public API: a page of 50 with its `total`, among a million calls against among ten thousand.

By each filter, by several, at the end of a cursor's way and at an offset. `total` stays cheap because it is counted to
10,000 and no further (`total_is_exact` says so): both databases count as many rows in the index of the same filter.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from werkzeug.test import TestResponse

from bench.figures import Figure, medians
from bench.rows import APART, NEWEST, fill_calls, opened
from gateway import Gateway, keys
from gateway.models import Scope
from gateway.store import calls
from gateway.store.paging import write_cursor
from gateway.web import create_app

FEW, MANY = 10_000, 1_000_000
GOAL = 2.0
PATH = "/api/public/v1/calls"
# Where both databases have a whole page: the newest ten thousand calls are the same in both.
AFTER, BEFORE = NEWEST - 5_000 * APART, NEWEST - 2_000 * APART
QUERIES = {
    "no filter": "",
    "status": "status=busy",
    "status, an alias": "status=no-answer",
    "direction": "direction=inbound",
    "agent": "agent_id=agent-7",
    "after": f"created_after={quote(AFTER.isoformat())}",
    "before": f"created_before={quote(BEFORE.isoformat())}",
    "between": f"created_after={quote(AFTER.isoformat())}&created_before={quote(BEFORE.isoformat())}",
    "all filters": f"status=completed&direction=outbound&agent_id=agent-7&created_before={quote(BEFORE.isoformat())}",
    "an agent that has none": "agent_id=nobody",
    "offset 5,000": "offset=5000",
}


def figures() -> Iterator[Figure]:
    """Measure each query on both databases by turns."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        few, many = (_Site(stack, Path(folder), count) for count in (FEW, MANY))
        for name, query in QUERIES.items():
            yield _compared(name, few.asking(query), many.asking(query))
        yield _compared("deep by cursor", few.asking(few.deep()), many.asking(many.deep()))


def _compared(name: str, few: Callable[[], None], many: Callable[[], None]) -> Figure:
    floor, ours = medians(few, many, 15)
    return Figure(
        what=f"GET /calls, {name}, {MANY:,} calls",
        floor=f"the same, {FEW:,} calls",
        floor_us=floor,
        ours_us=ours,
        goal=GOAL,
    )


class _Site:
    """The API on a database with `count` calls."""

    def __init__(self, stack: ExitStack, folder: Path, count: int) -> None:
        began = time.monotonic()
        self.gateway: Gateway = stack.enter_context(opened(f"sqlite:///{folder / f'{count}.db'}"))
        self.count = count
        fill_calls(self.gateway, count)
        _, secret = keys.create_key(self.gateway.services, "bench", (Scope.CALLS_READ,))
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._app: Flask = create_app(self.gateway)
        print(f"{count:,} calls stored in {time.monotonic() - began:.0f} s", file=sys.stderr)  # noqa: T201

    def asking(self, query: str) -> Callable[[], None]:
        """Return what asks for a page, checked once to be right."""
        url = f"{PATH}?{query}"
        page = self._get(url).get_json()
        wanted = 0 if "nobody" in query else 50
        if len(page["data"]) != wanted or (page["pagination"]["total"] > 0) != (wanted > 0):
            raise RuntimeError(
                f"{query} found {len(page['data'])} calls, total {page['pagination']['total']}"
            )

        def ask() -> None:
            self._get(url)

        return ask

    def deep(self) -> str:
        """Return the query of the page that begins a hundred calls before the end."""
        store = self.gateway.services.store
        before = NEWEST - (self.count - 100) * APART
        page = calls.list_calls(store, "default", created_before=before + timedelta(seconds=1), limit=1)
        [call] = page.calls
        return f"cursor={write_cursor(call.created_at, call.id, {'workspace_id': 'default'})}"

    def _get(self, url: str) -> TestResponse:
        answer = self._app.test_client().get(url, headers=self._headers)
        if answer.status_code != 200:
            raise RuntimeError(f"{url} was answered {answer.status_code}: {answer.text[:200]}")
        return answer
