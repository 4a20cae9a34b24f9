"""Long checks of the public API, run short by the tests and long by `make proof`."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

from flask import Flask
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from gateway import Agent, Gateway, Stream, endpoints, keys
from gateway.ids import new_id
from gateway.interface import DialOutcome, DialRequest, DialResult
from gateway.models import DEFAULT_WORKSPACE, Scope
from gateway.settings import load_settings
from gateway.store import codec
from gateway.web import create_app
from gateway.web.api import PREFIX
from tests.api.support import NEW_CALL, NO_ID, OTHERS, SECRETS, Site, StubCarrier

PATIENCE_S = 600.0
STILL = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


class Asker:
    """Asks with one key, without the check against the document that `support.Client` makes."""

    def __init__(self, app: Flask, secret: str) -> None:
        self._client = app.test_client()
        self._secret = secret

    def __call__(
        self, method: str, path: str, headers: dict[str, str] | None = None, **said: Any
    ) -> TestResponse:
        given = {"Authorization": f"Bearer {self._secret}", **(headers or {})}
        return self._client.open(PREFIX + path, method=method, headers=given, **said)


def asker(site: Site, *scopes: Scope, workspace_id: str = DEFAULT_WORKSPACE) -> Asker:
    _, secret = keys.create_key(
        site.gw.services, "proof", scopes or (Scope.ADMIN,), workspace_id=workspace_id
    )
    return Asker(site.app, secret)


# -- several workers: each a process with its own gateway on one database -----------------------------------------


@contextmanager
def worker(url: str, **settings: Any) -> Iterator[tuple[Gateway, StubCarrier, Flask]]:
    """What a process of `gateway serve` has, but for its socket."""
    said = {"rate_limit_per_key": "100000000/minute", "public_url": "https://gw.example.com", **settings}
    carrier = StubCarrier()
    carrier.on_dial = _accept_once
    with Gateway.open(load_settings(env={}, database_url=url, **said), background=False) as gateway:
        gateway.services.open_provider = carrier.open
        yield gateway, carrier, create_app(gateway)


def _accept_once(_: DialRequest) -> DialOutcome:
    return DialOutcome(result=DialResult.ACCEPTED, leg_id=f"CA{new_id()}")


def fork_server() -> Any:
    """Processes of a server that has loaded everything once: no thread of ours is forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.apiproofs", "tests.deliverykills"])
    return context


def in_processes(target: Callable[..., None], count: int, *arguments: Any) -> list[Any]:
    """Run `target(*arguments, tell)` in processes that begin together; return what each told."""
    context = fork_server()
    pipes = [context.Pipe(duplex=False) for _ in range(count)]
    running = [context.Process(target=target, args=(*arguments, tell), daemon=True) for _, tell in pipes]
    for process in running:
        process.start()
    found = []
    for (told, _), process in zip(pipes, running, strict=True):
        assert told.poll(PATIENCE_S), "a worker said nothing"
        found.append(told.recv())
        process.join(PATIENCE_S)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Races:
    """What became of requests that came at once with one key: ids of each key, dials, answers by status."""

    keys: int
    requests: int
    most_ids_of_a_key: int
    dials: int
    statuses: dict[int, int]


def race_keys(url: str, secret: str, *, processes: int, threads: int, keys: int) -> Races:
    """R9: as many threads as said in each process send each key at the same moment."""
    context = fork_server()
    gate = context.Barrier(processes)
    told = in_processes(_race, processes, url, secret, threads, keys, gate)
    ids: dict[int, set[str]] = defaultdict(set)
    statuses: Counter[int] = Counter()
    for answers, _ in told:
        for number, status, ident in answers:
            statuses[status] += 1
            if ident is not None:
                ids[number].add(ident)
    return Races(
        keys=len(ids),
        requests=statuses.total(),
        most_ids_of_a_key=max(map(len, ids.values())),
        dials=sum(dials for _, dials in told),
        statuses=dict(statuses),
    )


def _race(url: str, secret: str, threads: int, keys: int, gate: Any, tell: Connection) -> None:
    with worker(url) as (_, carrier, app):
        together = threading.Barrier(threads, action=lambda: gate.wait(PATIENCE_S))

        def race(_: int) -> list[tuple[int, int, str | None]]:
            ask, answers = Asker(app, secret), []
            for number in range(keys):
                together.wait(PATIENCE_S)
                body = {**NEW_CALL, "phone_number": f"+1415555{1000 + number}"}
                answer = ask("POST", "/calls", {"X-Idempotency-Key": f"key {number}"}, json=body)
                answers.append((number, answer.status_code, answer.json.get("id")))
            return answers

        with ThreadPoolExecutor(threads) as pool:
            answers = [one for each in pool.map(race, range(threads)) for one in each]
        tell.send((answers, len(carrier.dials)))


def spend_limit(url: str, secret: str, *, workers: int, rate: int) -> int:
    """R82: each worker asks as often as the limit allows all of them; return how many requests passed."""
    context = fork_server()
    passed: list[int] = in_processes(_spend, workers, url, secret, rate, context.Barrier(workers))
    return sum(passed)


def _spend(url: str, secret: str, rate: int, gate: Any, tell: Connection) -> None:
    with worker(url, rate_limit_per_key=f"{rate}/hour") as (gateway, _, app):
        gateway.services.clock = lambda: STILL  # one window, however long it takes
        ask = Asker(app, secret)
        gate.wait(PATIENCE_S)
        statuses = Counter(ask("GET", f"/calls/{NO_ID}").status_code for _ in range(rate))
        assert set(statuses) <= {404, 429}, statuses
        tell.send(statuses[404])


def use_revoked_key(site: Site, url: str, *, workers: int, tries: int) -> list[tuple[int, int]]:
    """R81: workers use a key all the time; it is revoked; return each one's successes before and a second after."""
    key, secret = keys.create_key(site.gw.services, "leaked", [Scope.ADMIN])
    context = fork_server()
    ready, revoked = context.Barrier(workers + 1), context.Event()

    def revoke() -> None:
        ready.wait(PATIENCE_S)
        time.sleep(0.3)  # somewhere inside the time for which the key is trusted
        keys.revoke_key(site.gw.services, key.id)
        revoked.set()

    thread = threading.Thread(target=revoke)
    thread.start()
    found = in_processes(_use_key, workers, url, secret, tries, ready, revoked)
    thread.join()
    return [(before, after) for before, after in found]


def _use_key(url: str, secret: str, tries: int, ready: Any, revoked: Any, tell: Connection) -> None:
    with worker(url, rate_limit_failed_auth="100000000/minute") as (_, _, app):
        ask = Asker(app, secret)

        def is_let_in() -> bool:
            status = ask("GET", f"/calls/{NO_ID}").status_code
            assert status in (404, 401)
            return status == 404

        before = int(is_let_in())
        ready.wait(PATIENCE_S)
        while not revoked.is_set():
            before += is_let_in()
        told_at = time.monotonic()
        while time.monotonic() - told_at < 1.0:
            is_let_in()  # it is asked for on and on, so nothing is forgotten by itself
        tell.send((before, sum(is_let_in() for _ in range(tries))))


# -- two tenants (R83) ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tenant:
    """What one workspace holds, by the model."""

    workspace_id: str
    ask: Asker
    calls: list[str]
    agents: list[str]
    endpoints: list[str]
    credentials: list[str]
    numbers: list[str]


CALL_ROUTES = (
    ("GET", "/calls/{}", None),
    ("PATCH", "/calls/{}", {"context": {"note": "x"}}),
    ("POST", "/calls/{}/hangup", None),
    ("DELETE", "/calls/{}", None),
    ("GET", "/calls/{}/recording", None),
    ("GET", "/calls/{}/transcript", None),
    ("PUT", "/calls/{}/analysis", {"summary": "x"}),
    ("GET", "/calls/{}/events", None),
)
ENDPOINT_ROUTES = (
    ("GET", "/webhook-endpoints/{}", None),
    ("PATCH", "/webhook-endpoints/{}", {"is_enabled": True}),
    ("POST", "/webhook-endpoints/{}/rotate", {}),
    ("DELETE", "/webhook-endpoints/{}", None),
)
CREDENTIAL_ROUTES = (
    ("GET", "/telephony/credentials/{}", None),
    ("DELETE", "/telephony/credentials/{}", None),
    ("POST", "/telephony/credentials/{}/check", None),
    ("POST", "/telephony/credentials/{}/import", {}),
)
NUMBER_ROUTES = (
    ("GET", "/telephony/numbers/{}", None),
    ("DELETE", "/telephony/numbers/{}", None),
    ("POST", "/telephony/numbers/{}/assign", {"agent_id": "desk", "inbound": True}),
    ("POST", "/telephony/numbers/{}/unassign", {}),
    ("POST", "/telephony/numbers/{}/check", None),
    ("POST", "/telephony/numbers/{}/repair", {}),
)
AGENT = {"connect": {"kind": "stream", "url": "wss://agents.example.com/media"}}


def walk_two_tenants(site: Site, *, steps: int, seed: int) -> Counter[str]:
    """Take random steps as one of two tenants, on one's own things, the other's and nothing's; return what was done.

    Of the other's things every route says what it says of nothing, byte for byte; lists and counts hold one's own.
    """
    rng = random.Random(seed)
    tenants = [
        Tenant(workspace, asker(site, workspace_id=workspace), [], [], [], [], [])
        for workspace in (DEFAULT_WORKSPACE, OTHERS)
    ]
    for each in tenants:  # what the site came with
        each.agents += [agent.id for agent in site.gw.agents.list(workspace_id=each.workspace_id)]
        each.credentials += [held.id for held in site.gw.credentials.list(workspace_id=each.workspace_id)]
        each.numbers += [held.id for held in site.gw.numbers.list(workspace_id=each.workspace_id)]
    done: Counter[str] = Counter()
    for step in range(steps):
        me, other = rng.sample(tenants, 2)
        action = rng.choice(
            ("make", "call", "call", "endpoint", "agent", "credential", "number", "list", "bulk")
        )
        _STEPS[action](site, rng, step, me, other, done)
    return done


def _make(site: Site, rng: random.Random, step: int, me: Tenant, other: Tenant, done: Counter[str]) -> None:
    if len(me.calls) < 20:
        me.calls.append(site.put_call(workspace_id=me.workspace_id, credential_id=None).id)
    if len(me.endpoints) < 5:
        made, _ = endpoints.create_endpoint(
            site.gw.services, f"https://93.184.216.34/{step}", workspace_id=me.workspace_id
        )
        me.endpoints.append(made.id)
    if len(me.agents) < 5:
        ident = f"agent-{step}"
        site.gw.agents.put(
            Agent(id=ident, connect=Stream("wss://agents.example.com/media"), workspace_id=me.workspace_id)
        )
        me.agents.append(ident)
    if len(me.numbers) < 5:
        account = site.gw.credentials.add(
            "twilio", check=False, name=f"account-{step}", workspace_id=me.workspace_id, **SECRETS
        )
        me.credentials.append(account.id)
        number = site.gw.numbers.add(
            f"+1415{2_000_000 + step}", credential=account.id, workspace_id=me.workspace_id
        )
        me.numbers.append(number.id)
    done["made"] += 1


def _one_of(routes: Sequence[tuple[str, str, Any]], held: str) -> Callable[..., None]:
    def act(site: Site, rng: random.Random, step: int, me: Tenant, other: Tenant, done: Counter[str]) -> None:
        method, path, body = rng.choice(routes)
        said = {} if body is None else {"json": body}
        mine, theirs = getattr(me, held), getattr(other, held)
        asks_carrier = path.startswith("/telephony") and method != "GET"  # there is none behind one's own
        whose = rng.choice(("mine", "theirs"))
        if whose == "mine" and mine and not asks_carrier:
            ident = rng.choice(mine)
            answer = me.ask(method, path.format(ident), **said)
            _check_own(answer, method, path, ident)
            if method == "DELETE" and answer.status_code == 204:
                mine.remove(ident)
        elif whose == "theirs" and theirs:
            ident = rng.choice([each for each in theirs if each not in mine] or [NO_ID])
            answer, nothing = (
                me.ask(method, path.format(ident), **said),
                me.ask(method, path.format(NO_ID), **said),
            )
            assert answer.status_code == 404, (method, path, answer.text)
            assert _shape(answer, ident) == _shape(nothing, NO_ID), (method, path)
        done[f"{held} {whose}"] += 1

    return act


def _check_own(answer: TestResponse, method: str, path: str, ident: str) -> None:
    """One's own is found: 404 is only said of a part that there is none of."""
    if path.endswith(("/recording", "/transcript")):
        assert answer.status_code == 404
        assert ident in answer.text
    elif "agents" in path and method == "DELETE":
        assert answer.status_code in (204, 409), answer.text  # 409: it has numbers
    else:
        assert answer.status_code in (200, 204), (method, path, answer.text)


def _list(site: Site, rng: random.Random, step: int, me: Tenant, other: Tenant, done: Counter[str]) -> None:
    answer = me.ask("GET", "/calls?limit=100").json
    assert {each["id"] for each in answer["data"]} == set(me.calls)
    assert answer["pagination"]["total"] == len(me.calls)
    assert {each["id"] for each in me.ask("GET", "/agents").json["data"]} == set(me.agents)
    for path, held in (
        ("/webhook-endpoints", me.endpoints),
        ("/telephony/credentials", me.credentials),
        ("/telephony/numbers", me.numbers),
    ):
        assert {each["id"] for each in me.ask("GET", path).json["data"]} == set(held), path
    done["lists"] += 1


def _bulk(site: Site, rng: random.Random, step: int, me: Tenant, other: Tenant, done: Counter[str]) -> None:
    mine = rng.sample(me.calls, min(1, len(me.calls)))
    theirs = rng.sample(other.calls, min(3, len(other.calls)))
    wanted = mine + theirs + [NO_ID]
    rng.shuffle(wanted)
    answer = me.ask("POST", "/calls/bulk-delete", json={"ids": wanted}).json
    assert answer["deleted_ids"] == mine
    assert answer["failed_ids"] == [each for each in wanted if each not in mine]
    me.calls = [each for each in me.calls if each not in mine]
    done["bulk deletes"] += 1


def _shape(answer: TestResponse, ident: str) -> Any:
    """An error without what differs between any two requests."""
    return answer.text.split('"meta"')[0].replace(ident, "ID"), sorted(name for name, _ in answer.headers)


_STEPS: dict[str, Callable[..., None]] = {
    "make": _make,
    "call": _one_of(CALL_ROUTES, "calls"),
    "endpoint": _one_of(ENDPOINT_ROUTES, "endpoints"),
    "agent": _one_of((("GET", "/agents/{}", None), ("DELETE", "/agents/{}", None)), "agents"),
    "credential": _one_of(CREDENTIAL_ROUTES, "credentials"),
    "number": _one_of(NUMBER_ROUTES, "numbers"),
    "list": _list,
    "bulk": _bulk,
}


# -- hostile words --------------------------------------------------------------------------------------------------

FILTERS = ("status", "direction", "agent_id", "created_after", "created_before", "cursor", "limit", "offset")
PIECES = (
    *(
        "'",
        '"',
        ";",
        "--",
        "/*",
        "*/",
        ")",
        "(",
        "%",
        "_",
        "\\",
        "||",
        "=",
        "?",
        ":id",
        "$1",
        "{}",
        "%s",
        "%(x)s",
    ),
    *(
        " OR 1=1",
        " UNION SELECT key_hash FROM api_key",
        "; DROP TABLE call",
        " AND SLEEP(9)",
        "0x27",
        "char(39)",
    ),
    *(
        "\x00",
        "\ud800",
        "\udfff",
        "\ufffe",
        "\u202e",
        "\u200b",
        "😀",
        "İ",
        "ß",
        "a" * 300,
        "9" * 400,
        "-1",
        "1e309",
    ),
    *(
        "null",
        "true",
        "2026-03-01",
        "2026-03-01T12:00:00Z",
        "24:00",
        "busy",
        "inbound",
        "\r\n",
        "\t",
        " ",
        "&",
        "#",
        "+",
    ),
)


def hostile(rng: random.Random) -> str:
    """Return a word that nobody should send."""
    made = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 5)))
    return made + chr(rng.choice((rng.randrange(0x20, 0x7F), rng.randrange(0x80, 0x110000))))


def ask_hostile(site: Site, *, words: int, seed: int) -> Counter[str]:
    """R87: put hostile words into each filter; return the answers by filter and status."""
    rng = random.Random(seed)
    ask = asker(site, Scope.CALLS_READ)
    statuses: Counter[str] = Counter()
    for name in FILTERS:
        for _ in range(words):
            word = hostile(rng).encode("utf-8", "surrogatepass")
            query = f"{name}=" + "".join(f"%{byte:02x}" for byte in word)
            answer = ask("GET", f"/calls?{query}" if name == "limit" else f"/calls?limit=1&{query}")
            statuses[f"{name} {answer.status_code}"] += 1
    return statuses


BOMBS: dict[str, Callable[[], bytes]] = {
    "arrays 100,000 deep": lambda: b'{"variables":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "arrays 32,000 deep": lambda: b'{"variables":' + b"[" * 32_000 + b"]" * 32_000 + b"}",
    "objects 10,000 deep": lambda: b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "arrays never closed": lambda: b"[" * 65_000,
    "an integer of 60,000 digits": lambda: b'{"agent_id":' + b"9" * 60_000 + b"}",
    "an integer of 100,000 digits": lambda: b'{"agent_id":' + b"9" * 100_000 + b"}",
    "an integer of 4,000 digits": lambda: b'{"agent_id":' + b"9" * 4_000 + b"}",
    "a float of 60,000 digits": lambda: b'{"agent_id":0.' + b"9" * 60_000 + b"}",
    "NaN": lambda: b'{"variables":{"a":NaN}}',
    "Infinity": lambda: b'{"variables":{"a":-Infinity}}',
    "1e999": lambda: b'{"variables":{"a":1e999}}',
    "a key of 60,000 characters": lambda: b'{"' + b"k" * 60_000 + b'":1}',
    "6,000 keys": lambda: json.dumps({f"k{n}": 1 for n in range(6_000)}).encode()[:65_000],
    "5,000 unknown fields": lambda: json.dumps({f"k{n}": 1 for n in range(5_000)}).encode(),
    "one field 8,000 times": lambda: b"{" + b",".join([b'"a":1'] * 8_000) + b"}",
    "escapes": lambda: b'{"agent_id":"' + b"\\u0000" * 10_000 + b'"}',
    "half escapes": lambda: b'{"agent_id":"' + b"\\ud800" * 10_000 + b'"}',
    "a long string": lambda: b'{"agent_id":"' + b"x" * 65_000 + b'"}',
}


def throw_bombs(site: Site, *, times: int) -> dict[str, tuple[int, float]]:
    """R37: return the status and the fastest time in seconds of each bomb; the fastest is the one undisturbed."""
    ask = asker(site)
    found = {}
    for name, make in BOMBS.items():
        body, took, statuses = make(), [], set()
        for _ in range(times):
            began = time.perf_counter()
            answer = ask("POST", "/calls", data=body, content_type="application/json")
            took.append(time.perf_counter() - began)
            statuses.add(answer.status_code)
        [status] = statuses
        found[name] = (status, min(took))
    return found


# -- strings on both databases (R36) --------------------------------------------------------------------------------


def odd_text(rng: random.Random) -> str:
    """Return a text of any code points, the ones that make trouble often."""
    trouble = "\x00\ud800\udfff\ufffe\uffff\u202e\u200b\u200d😀𝄞é\u0301\r\n\t\"'\\%_"
    return "".join(
        rng.choice(trouble) if rng.random() < 0.5 else chr(rng.randrange(0x110000))
        for _ in range(rng.randint(0, 24))
    )


def differing_strings(urls: Sequence[str], *, strings: int, seed: int, each: int = 50) -> tuple[int, int]:
    """R36: store strings through the API on each database; return how many differ, and how many were stored."""
    rng = random.Random(seed)
    differ = stored = 0
    with _sites(urls) as asks:
        while stored < strings:
            texts = [odd_text(rng) for _ in range(each)]
            body = json.dumps({"context": {f"t{n}": text for n, text in enumerate(texts)}})
            # Two halves that JSON brings together are one character.
            wanted = {name: codec.clean_text(text) for name, text in json.loads(body)["context"].items()}
            for ask, call_id in asks:
                answer = ask("PATCH", f"/calls/{call_id}", data=body, content_type="application/json")
                assert answer.status_code == 200, answer.text
                kept = ask("GET", f"/calls/{call_id}").json["context"]
                differ += sum(kept[name] != text for name, text in wanted.items())
            stored += each
    return differ, stored


@contextmanager
def _sites(urls: Sequence[str]) -> Iterator[list[tuple[Asker, str]]]:
    from gateway.store import calls
    from gateway.store.workspaces import ensure_workspace
    from tests.storekit import a_call

    opened = [
        Gateway.open(
            load_settings(env={}, database_url=url, rate_limit_per_key="100000000/minute"),
            background=False,
            upgrade=True,
        )
        for url in urls
    ]
    asks = []
    for gateway in opened:
        call = a_call()
        with gateway.services.store.transaction() as tx:
            ensure_workspace(tx, call.workspace_id, call.created_at)
            calls.insert_call(tx, call)
        _, secret = keys.create_key(gateway.services, "proof", [Scope.ADMIN])
        asks.append((Asker(create_app(gateway), secret), call.id))
    try:
        yield asks
    finally:
        for gateway in opened:
            gateway.close()


# -- errors of ours (R85) -------------------------------------------------------------------------------------------

INSIDES = "SELECT key_hash FROM api_key WHERE secret = '/etc/gateway.key'"
FAULTS: tuple[Callable[[], Exception], ...] = (
    lambda: RuntimeError(INSIDES),
    lambda: KeyError(INSIDES),
    lambda: AttributeError(INSIDES),
    lambda: ZeroDivisionError(INSIDES),
    lambda: RecursionError(INSIDES),
    lambda: OperationalError(INSIDES, {"secret": INSIDES}, sqlite3.OperationalError(INSIDES)),
    lambda: sqlite3.DatabaseError(INSIDES),
    lambda: UnicodeDecodeError("utf-8", INSIDES.encode(), 0, 1, INSIDES),
    lambda: OSError(28, INSIDES, "/etc/gateway.key"),
    lambda: json.JSONDecodeError(INSIDES, INSIDES, 0),
)
LEAKS = ("SELECT", "key_hash", "/etc/", "Traceback", 'File "', "sqlite", "sqlalchemy", "line ", ".py")
ROUTES = (
    *CALL_ROUTES,
    *ENDPOINT_ROUTES,
    *CREDENTIAL_ROUTES,
    *NUMBER_ROUTES,
    ("GET", "/calls", None),
    ("POST", "/calls", NEW_CALL),
    ("POST", "/calls/bulk-delete", {"ids": [NO_ID]}),
    ("GET", "/calls/stats", None),
    ("GET", "/agents", None),
    ("GET", "/agents/{}", None),
    ("PUT", "/agents/{}", AGENT),
    ("GET", "/webhook-endpoints", None),
    ("POST", "/webhook-endpoints", {"url": "https://93.184.216.34/x"}),
)


def induce_errors(site: Site, *, count: int, seed: int) -> tuple[Counter[int], list[str]]:
    """R85: let the store fail in each way under each route; return the answers by status, and what leaked."""
    rng = random.Random(seed)
    ask, store = asker(site), site.gw.services.store
    ask("GET", "/agents")  # the key is known from now on, else every failure is the key's look-up
    statuses: Counter[int] = Counter()
    leaked = []
    verbs = ("rows", "one", "transaction")
    logging.disable(logging.CRITICAL)  # ten thousand stacks, which belong into the log and nowhere else
    try:
        for _ in range(count):
            make = rng.choice(FAULTS)

            def fail(*_: Any, make: Callable[[], Exception] = make, **__: Any) -> Any:
                raise make()

            method, path, body = rng.choice(ROUTES)
            for verb in verbs:
                setattr(store, verb, fail)
            try:
                said = {} if body is None else {"json": body}
                answer = ask(method, path.format(NO_ID), **said)
            finally:
                for verb in verbs:
                    delattr(store, verb)
            statuses[answer.status_code] += 1
            if any(word in answer.text for word in LEAKS) or not answer.json["meta"]["request_id"]:
                leaked.append(f"{method} {path}: {answer.text}")
    finally:
        logging.disable(logging.NOTSET)
    return statuses, leaked
