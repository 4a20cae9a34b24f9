"""A process that dials and is killed while it does: `python -m tests.dialer`, driven by `tests/kills.py`.

One process loads everything once and forks for each order (a JSON line on stdin), so that a killed dialer costs
milliseconds. The fork opens the database and serves webhooks by itself, places one call, and dies by SIGKILL at the
point that its order names. The parent answers each order with two lines: the fork's id, then how it ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from gateway import Gateway, registry
from gateway.interface import CallbackUrls, DialOutcome, DialRequest, DialResult
from gateway.settings import load_settings
from gateway.store import Store, Tx

SECRETS = {
    "plivo": {"auth_id": "MA" + "A" * 18, "auth_token": "0" * 40},
    "telnyx": {"api_key": "KEY0", "public_key": "A" * 43 + "=", "connection_id": "1"},
    "twilio": {"account_sid": "AC" + "0" * 32, "auth_token": "0" * 32},
}
NOBODY = "http://127.0.0.1:9"
LONGEST_COMMIT_S = 0.004
LONGEST_DIAL_S = 0.15
LIFE_S = 20.0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def die_within(seconds: float) -> None:
    """Die a little later, whatever the process does by then: inside a commit, for example, which lets threads run."""

    def wait_and_die() -> None:
        time.sleep(random.uniform(0, seconds))
        die()

    threading.Thread(target=wait_and_die, daemon=True).start()


class DoomedStore:
    """The store, but before and after the commit of the n-th transaction of a thread `what(n)` is told of it."""

    def __init__(self, store: Store, before: Callable[[str], None], after: Callable[[str], None]) -> None:
        self._store, self._before, self._after = store, before, after
        self._counts = {"dial": 0, "webhook": 0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        kind = "dial" if threading.current_thread() is threading.main_thread() else "webhook"
        self._counts[kind] += 1
        moment = f"{kind} {self._counts[kind]}"
        with self._store.transaction() as tx:
            yield tx
            self._before(moment)
        self._after(moment)


class DoomedProvider:
    """An adapter whose process dies before or after its dial."""

    def __init__(self, provider: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._provider, self._before, self._after = provider, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def dial(self, request: DialRequest) -> DialOutcome:
        self._before()
        outcome = self._provider.dial(request)
        self._after()
        return outcome


# Point -> the moment it is about. `dial 1` writes the attempt, `dial 2` its outcome, `webhook 1` binds the leg.
BEFORE_COMMIT = {
    "before the attempt is committed": "dial 1",
    "before the outcome is committed": "dial 2",
    "before the webhook is committed": "webhook 1",
}
INSIDE_COMMIT = {
    "inside the attempt's commit": "dial 1",
    "inside the outcome's commit": "dial 2",
    "inside the webhook's commit": "webhook 1",
}
AFTER_COMMIT = {
    "after the attempt's commit": "dial 1",
    "after the webhook's commit": "webhook 1",
}
BEFORE_SEND = "before the send"
BEFORE_ANSWER = "after the send, before the answer"  # the carrier sees the request and has the process killed
AFTER_ANSWER = "after the answer"
AT_ANY_TIME = "at any time"
POINTS = (
    *BEFORE_COMMIT,
    *INSIDE_COMMIT,
    *AFTER_COMMIT,
    BEFORE_SEND,
    BEFORE_ANSWER,
    AFTER_ANSWER,
    AT_ANY_TIME,
)


def carry_out(order: dict[str, Any]) -> None:
    from werkzeug.serving import make_server

    from gateway.web import create_app

    random.seed(order["seed"])
    point = order["point"]
    gateway = Gateway.open(load_settings(env={}, **order["settings"]), background=False)
    services = gateway.services

    def before(moment: str) -> None:
        if BEFORE_COMMIT.get(point) == moment:
            die()
        if INSIDE_COMMIT.get(point) == moment:
            die_within(LONGEST_COMMIT_S)

    def after(moment: str) -> None:
        if AFTER_COMMIT.get(point) == moment:
            die()

    def doomed(*args: Any, **kwargs: Any) -> Any:
        return DoomedProvider(opened(*args, **kwargs), on(BEFORE_SEND), on(AFTER_ANSWER))

    def on(wanted: str) -> Callable[[], None]:
        return die if point == wanted else lambda: None

    opened, services.open_provider = services.open_provider, doomed
    services.store = DoomedStore(services.store, before, after)  # type: ignore[assignment]
    server = make_server("127.0.0.1", order["port"], create_app(gateway), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    if point == AT_ANY_TIME:
        die_within(LONGEST_DIAL_S)
    gateway.place_call(order["agent"], order["to"], idempotency_key=order["key"])
    time.sleep(LIFE_S)


def load_everything() -> None:
    """Load what a dial and a webhook need, the vendors' libraries included, by dialing where nobody listens."""
    import gateway.web  # noqa: F401 - a fork would load it again

    urls = CallbackUrls(**dict.fromkeys((f.name for f in fields(CallbackUrls)), NOBODY))
    request = DialRequest(
        call_id="1",
        to="+14155550123",
        caller_id="+14155550100",
        attempt_token="0" * 32,
        command_id="00000000-0000-4000-8000-000000000000",
        join_timeout_s=30,
        max_duration_s=60,
        urls=urls,
    )
    for name, secrets in SECRETS.items():
        outcome = registry.open_provider(name, secrets, base_url=NOBODY).dial(request)
        assert outcome.result is DialResult.NOT_SENT, outcome
    assert threading.active_count() == 1, "threads do not survive a fork"


def main() -> None:
    load_everything()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                carry_out(json.loads(line))
            finally:
                os._exit(1)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
