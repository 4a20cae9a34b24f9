"""R24 and R79: secrets that are rotated under load, and what of them is in the files; short in tests, long in proof."""

from __future__ import annotations

import base64
import itertools
import os
import random
import signal
import sqlite3
import time
import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import Agent, Gateway, Stream, endpoints, keys
from gateway.errors import ConfigurationError, Conflict, WebhookRejected
from gateway.ids import new_id, new_token
from gateway.interface import DialOutcome, DialRequest, WebhookRequest
from gateway.models import DEFAULT_WORKSPACE, AttemptState, Credential, SipLink
from gateway.settings import load_settings
from gateway.store import credentials, sip_links
from providers.twilio import TwilioProvider
from tests.apiproofs import PATIENCE_S, fork_server
from tests.linekit import KEY, PUBLIC, RINGING, SECRETS, SIGNERS, about, public_key_of
from tests.storekit import put_agent, put_attempt, put_call
from tests.stubs import accepted

# -- rotation (R24) ------------------------------------------------------------------------------------------------

NEW_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
# What the carrier signs with before and after the swap, and what the gateway is told of it.
SWAPS: Final = {
    "plivo": (SECRETS["plivo"]["auth_token"], "n" * 40),
    "telnyx": (KEY, NEW_KEY),
    "twilio": (SECRETS["twilio"]["auth_token"], "e" * 32),
}
STAGES: Final = 4  # before; two live secrets; the carrier has swapped; the old one is retired


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """Answers to what the carrier signed, and how soon after its end the old secret was refused, by process."""

    statuses: Counter[int]
    dead_after_s: list[float]
    late: int  # what the old secret still opened a second after its end


def rotate_under_load(folder: Path, provider: str, *, webhooks: int, workers: int) -> Rotated:
    """R24: processes take webhooks all the time while a secret is rotated in, swapped at the carrier and retired."""
    url = f"sqlite:///{folder / 'gateway.db'}"
    with _opened(url) as gw:
        put_agent(gw.services.store)
        account = gw.credentials.add(provider, check=False, **SECRETS[provider])
        call = put_call(gw.services.store, account)
        token = put_attempt(gw.services.store, call, state=AttemptState.ACCEPTED, lease_until=None).token
        context = fork_server()
        shared = _Shared(
            taken=context.Value("i", 0),
            swapped=context.Event(),
            retired=context.Value("d", 0.0),
            over=context.Event(),
        )
        pipes = [context.Pipe(duplex=False) for _ in range(workers)]
        told = (url, provider, account.key, call.id, token, shared)
        running = [context.Process(target=_take, args=(*told, tell), daemon=True) for _, tell in pipes]
        for process in running:
            process.start()
        old, new = (secret_of(provider, each) for each in SWAPS[provider])
        steps = (
            lambda: gw.credentials.rotate(provider, check=False, secrets=_rotation(provider, old, new)),
            shared.swapped.set,
            lambda: _retire(gw, provider, new, shared),
        )
        for at, step in enumerate(steps, start=1):
            _wait_for(shared, webhooks * at // STAGES)
            step()
        _wait_for(shared, webhooks)
        time.sleep(max(0.0, shared.retired.value + 1.0 - time.monotonic()))
        shared.over.set()
        found = []
        for (ear, _), process in zip(pipes, running, strict=True):
            assert ear.poll(PATIENCE_S), "a worker said nothing"
            found.append(ear.recv())
            process.join(PATIENCE_S)
    return Rotated(
        statuses=sum((statuses for statuses, _, _ in found), Counter()),
        dead_after_s=[dead for _, dead, _ in found],
        late=sum(late for _, _, late in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the processes see of one another. `retired`: the monotonic time, the same clock in all of them."""

    taken: Any
    swapped: Any
    retired: Any
    over: Any


def secret_of(provider: str, signs_with: Any) -> str:
    return public_key_of(signs_with) if provider == "telnyx" else str(signs_with)


def _rotation(provider: str, old: str, new: str) -> dict[str, str]:
    """Telnyx's key has no second one: the setting takes both, separated by a comma."""
    return {"public_key": f"{old},{new}"} if provider == "telnyx" else {"auth_token": new}


def _retire(gw: Gateway, provider: str, new: str, shared: _Shared) -> None:
    if provider == "telnyx":
        gw.credentials.rotate(provider, check=False, secrets={"public_key": new})
    else:
        gw.credentials.retire(provider, check=False)
    shared.retired.value = time.monotonic()


def _wait_for(shared: _Shared, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while shared.taken.value < count:
        assert time.monotonic() < deadline, "the workers do not get on"
        time.sleep(0.002)


def _take(
    url: str, provider: str, key: str, call_id: str, token: str, shared: _Shared, tell: Connection
) -> None:
    """A worker: takes what the carrier signs; once the old secret is retired, tries that one as well."""
    statuses: Counter[int] = Counter()
    dead_after_s = float("inf")
    with _opened(url) as gw:
        send = _Sender(gw, provider, key, call_id, token)
        while not shared.over.is_set():
            statuses[send.status(SWAPS[provider][shared.swapped.is_set()])] += 1
            with shared.taken.get_lock():
                shared.taken.value += 1
            if (
                shared.retired.value
                and dead_after_s == float("inf")
                and send.status(SWAPS[provider][0]) == 403
            ):
                dead_after_s = time.monotonic() - shared.retired.value
        late = sum(send.status(SWAPS[provider][0]) != 403 for _ in range(100))
    tell.send((statuses, dead_after_s, late))


class _Sender:
    """Signs reports about one call, each of them another one, and hands them to the gateway."""

    def __init__(self, gw: Gateway, provider: str, key: str, call_id: str, token: str) -> None:
        self._gw, self._provider, self._key, self._token = gw, provider, key, token
        self._leg = uuid.UUID(call_id)
        self._numbers = itertools.count(os.getpid() % 1000 * 10**6)

    def status(self, signs_with: Any) -> int:
        hook, make = RINGING[self._provider]
        fields = make("")
        if self._provider == "twilio":
            fields = {**fields, "SequenceNumber": str(next(self._numbers))}
        url = f"{PUBLIC}/voice/{self._key}/{hook.value}/{self._token}"
        body, headers = SIGNERS[self._provider](url, about(self._provider, self._leg, fields), signs_with)
        request = WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body, token=self._token)
        try:
            return self._gw.receive(self._key, hook, request).status
        except WebhookRejected as refused:
            return refused.http_status


def _opened(url: str, **said: Any) -> Gateway:
    return Gateway.open(load_settings(env={}, database_url=url, public_url=PUBLIC, **said), background=False)


# -- what is in the files (R79) ------------------------------------------------------------------------------------

CANARIES: Final = {
    "twilio": {
        "account_sid": f"AC{'1' * 32}",
        "auth_token": "c0ffee5eed0ddba11deadfeedfacade1",
        "api_key_sid": f"SK{'1' * 32}",
        "api_key_secret": "CanarySecretOfAnApiKeyOfTwilio01",
    },
    "plivo": {"auth_id": "MACANARY00000000TEST", "auth_token": "CanaryTokenOfPlivoWithFortyCharacters001"},
    "telnyx": {"api_key": "KEYcanary0of0telnyx_canary", "public_key": public_key_of(KEY)},
}
ROTATED_IN: Final = "5eedf00dc0ffee0ddba11facadefeed2"
PASSWORD: Final = "Canary+Password/Of=A-SIP-Link7"
OPEN: Final = ("account_sid", "api_key_sid", "auth_id", "public_key")  # names and public keys, no secrets
CONTROL: Final = "control canary/with+every=sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search over the database's files found: names of secrets by file, and in which files the control is."""

    files: dict[str, int]  # name -> bytes
    forms: int
    found: list[str]
    controls: dict[str, int]  # file -> forms of the control text that were found


def search_files(folder: Path) -> Searched:
    """R79: use every kind of secret, then look for each, spelled in any way, in the database, its WAL and a backup."""
    url = f"sqlite:///{folder / 'gateway.db'}"
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    secrets = {
        **{
            f"{provider} {name}": value
            for provider, given in CANARIES.items()
            for name, value in given.items()
            if name not in OPEN
        },
        "twilio, rotated in": ROTATED_IN,
        "SIP password": PASSWORD,
        "old vault key": old,
        "new vault key": new,
    }
    with _opened(url, secret_keys=(old,)) as gw:
        secrets |= _use_secrets(gw)
    with _opened(url, secret_keys=(new, old)) as gw:
        assert not gw.credentials.rekey().failures
        gw.credentials.remove("plivo", configure=False)
        name = " ".join(
            form.decode("latin-1") for form in spellings(CONTROL) if form.isascii() and b"\0" not in form
        )
        gw.agents.put(Agent(id="control", name=name[:200], connect=Stream("wss://agents.example.com/media")))
        gw.agents.put(Agent(id="control too", name=CONTROL, connect=Stream("wss://agents.example.com/media")))
        _back_up(folder / "gateway.db", folder / "backup.db")
        files = {
            file.name: file.read_bytes() for file in folder.iterdir() if file.name.split(".")[0] != "key"
        }
    return Searched(
        files={name: len(content) for name, content in files.items()},
        forms=sum(len(spellings(value)) for value in secrets.values()),
        found=[
            f"{what} in {name}: {form!r}"
            for what, value in secrets.items()
            for form in spellings(value)
            for name, content in files.items()
            if form in content
        ],
        controls={
            name: sum(form in content for form in spellings(CONTROL)) for name, content in files.items()
        },
    )


def _use_secrets(gw: Gateway) -> dict[str, str]:
    """Add, use, rotate and retire; return the secrets that the gateway itself made."""
    for provider, given in CANARIES.items():
        gw.credentials.add(provider, check=False, secrets=given)
    gw.services.open_provider = lambda provider, given, **_: _Dialing(given)
    gw.agents.put(Agent(id="desk", connect=Stream("wss://agents.example.com/media")))
    gw.numbers.add("+14155550100", credential="twilio")
    gw.numbers.assign("+14155550100", agent="desk", inbound=True, outbound=True, configure=False)
    gw.place_call("desk", "+14155550123")
    gw.credentials.rotate("twilio", check=False, auth_token=ROTATED_IN)
    gw.credentials.retire("twilio", check=False)
    account = gw.credentials.get("twilio")
    with gw.services.store.transaction() as tx:
        sealed = gw.services.vault.seal(
            {"password": PASSWORD}, workspace_id=account.workspace_id, row_id="link"
        )
        link = SipLink(
            id="link",
            workspace_id=account.workspace_id,
            credential_id=account.id,
            name="pbx",
            created_at=gw.services.clock(),
        )
        sip_links.insert_sip_link(tx, link, sealed=sealed)
    _, receiver = endpoints.create_endpoint(gw.services, "https://93.184.216.34/events")
    _, bearer = keys.create_key(gw.services, "canary", ["admin"])
    return {"webhook endpoint": receiver.removeprefix("whsec_"), "API key": bearer}


class _Dialing(TwilioProvider):
    """Twilio's adapter, whose dials all reach a phone."""

    def dial(self, request: DialRequest) -> DialOutcome:
        return accepted(f"CA{uuid.uuid4().hex}")


def _back_up(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def spellings(secret: str) -> set[bytes]:
    """Return the ways in which a text may stand in a file: as it is, in base64 at any offset, URL-encoded, in hex."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), secret.encode("utf-16-le"), raw[::-1]}
    found |= {quote(secret, safe="").encode(), quote(quote(secret, safe=""), safe="").encode()}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        spare = (offset + len(raw)) % 3  # the last character holds bits of what follows
        inner = whole[(0, 2, 3)[offset] : len(whole) - bool(spare)]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


# -- a new key under load (R79) ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeying:
    """What two runs of `rekey`, the first of them killed, and the readers beside them came to."""

    killed_at: int  # rows that were through
    resealed: int  # by the second run
    unchanged: int
    failures: tuple[str, ...]
    read: Counter[str]  # by the readers: what they did
    failed: list[str]
    open_alone: int  # rows that open with the new key alone


def rekey_under_load(folder: Path, *, rows: int, readers: int) -> Rekeying:
    """R79: seal rows anew while processes dial with them and take webhooks; kill it in the middle, run it again."""
    url = f"sqlite:///{folder / 'gateway.db'}"
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with _opened(url, secret_keys=(old,)) as gw:
        path_keys = _stock(gw, rows)
    context = fork_server()
    done, over, began = context.Value("i", 0), context.Event(), context.Barrier(readers + 1)
    pipes = [context.Pipe(duplex=False) for _ in range(readers)]
    reading = [
        context.Process(target=_read, args=(url, (new, old), path_keys, began, over, tell), daemon=True)
        for _, tell in pipes
    ]
    for process in reading:
        process.start()
    began.wait(PATIENCE_S)
    first = context.Process(target=_rekey, args=(url, (new, old), done, None), daemon=True)
    first.start()
    deadline = time.monotonic() + PATIENCE_S
    while done.value < rows * 2 // 5:
        assert first.is_alive(), "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(first.pid, signal.SIGKILL)
    first.join(PATIENCE_S)
    killed_at = done.value
    ear, tell = context.Pipe(duplex=False)
    second = context.Process(target=_rekey, args=(url, (new, old), done, tell), daemon=True)
    second.start()
    assert ear.poll(PATIENCE_S)
    resealed, unchanged, failures = ear.recv()
    over.set()
    read: Counter[str] = Counter()
    failed: list[str] = []
    for reader, _ in pipes:
        assert reader.poll(PATIENCE_S), "a reader said nothing"
        did, errors = reader.recv()
        read += did
        failed += errors
    for process in (second, *reading):
        process.join(PATIENCE_S)
    with _opened(url, secret_keys=(new,)) as gw:
        found = gw.credentials.list()
        opened = [gw.services.credential(each.workspace_id, each.id) for each in found]
    return Rekeying(
        killed_at=killed_at,
        resealed=resealed,
        unchanged=unchanged,
        failures=failures,
        read=read,
        failed=failed,
        open_alone=sum(dict(each.secrets) == SECRETS["twilio"] for each in opened),
    )


def _stock(gw: Gateway, rows: int) -> list[str]:
    """Add credentials of one account; every hundredth has a number and an agent of its own. Return their path keys."""
    added = []
    with gw.services.store.transaction() as tx:
        for number in range(rows):
            ident = new_id()
            new = Credential(
                id=ident,
                workspace_id=DEFAULT_WORKSPACE,
                provider="twilio",
                name=f"c{number}",
                key=new_token(),
                account_ref=SECRETS["twilio"]["account_sid"],
                created_at=gw.services.clock(),
            )
            sealed = gw.services.vault.seal(SECRETS["twilio"], workspace_id=DEFAULT_WORKSPACE, row_id=ident)
            credentials.insert_credential(tx, new, sealed=sealed)
            added.append(new)
    for number, each in enumerate(added[::100]):
        e164 = f"+1415{2_000_000 + number}"
        gw.agents.put(Agent(id=f"a{number}", connect=Stream("wss://agents.example.com/media")))
        gw.numbers.add(e164, credential=each.id)
        gw.numbers.assign(e164, agent=f"a{number}", outbound=True, configure=False)
    return [each.key for each in added]


def _rekey(url: str, secret_keys: tuple[str, ...], done: Any, tell: Connection | None) -> None:
    def count(rows: int) -> None:
        done.value = rows

    with _opened(url, secret_keys=secret_keys) as gw:
        found = gw.credentials.rekey(count)
    if tell is not None:
        tell.send((found.resealed, found.unchanged, found.failures))


def _read(
    url: str, secret_keys: tuple[str, ...], path_keys: list[str], began: Any, over: Any, tell: Connection
) -> None:
    """Dial and take webhooks with rows at random; whatever is raised is a failure."""
    rng, did, errors = random.Random(os.getpid()), Counter[str](), list[str]()
    with _opened(url, secret_keys=secret_keys) as gw:
        gw.services.open_provider = lambda provider, given, **_: _Dialing(given)
        agents = len(path_keys[::100])
        began.wait(PATIENCE_S)
        while not over.is_set():
            what = "dial" if rng.random() < 0.2 else "webhook"
            try:
                if what == "dial":
                    gw.place_call(f"a{rng.randrange(agents)}", f"+1212555{rng.randrange(10_000):04}")
                else:
                    _ring(gw, rng.choice(path_keys))
            except Conflict:  # another one dials the same person from the same number just now
                what = "dial under way"
            except Exception as error:
                errors.append(f"{what}: {type(error).__name__}: {error}")
            did[what] += 1
    tell.send((did, errors))


def _ring(gw: Gateway, path_key: str) -> None:
    hook, make = RINGING["twilio"]
    url = f"{PUBLIC}/voice/{path_key}/{hook.value}"
    body, headers = SIGNERS["twilio"](url, about("twilio", uuid.uuid4(), make("")))
    gw.receive(path_key, hook, WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body))


# -- rows that were swapped (R79) ----------------------------------------------------------------------------------


def swap_rows(folder: Path, *, swaps: int, seed: int) -> tuple[int, int]:
    """R79: exchange the secrets of two rows, in one workspace or two; return swaps, and rows that did not notice."""
    rng, unnoticed = random.Random(seed), 0
    with _opened(f"sqlite:///{folder / 'gateway.db'}") as gw:
        added = [
            gw.credentials.add(
                "twilio", check=False, name=f"c{n}", workspace_id=f"tenant-{n % 3}", secrets=SECRETS["twilio"]
            )
            for n in range(30)
        ]
        sealed = {
            each.id: credentials.load_sealed_credential(gw.services.store, each.id).sealed for each in added
        }
        for _ in range(swaps):
            one, other = rng.sample(added, 2)
            _put(gw, {one.id: sealed[other.id], other.id: sealed[one.id]})
            for each in (one, other):
                unnoticed += not _is_noticed(gw, each)
            _put(gw, {one.id: sealed[one.id], other.id: sealed[other.id]})
            assert gw.services.credential(one.workspace_id, one.id).secrets == SECRETS["twilio"]
    return swaps, unnoticed


def _is_noticed(gw: Gateway, row: Credential) -> bool:
    try:
        gw.services.credential(row.workspace_id, row.id)
    except ConfigurationError as error:
        return "another row" in str(error)
    return False


def _put(gw: Gateway, sealed: dict[str, str]) -> None:
    with gw.services.store.transaction() as tx:
        for ident, text in sealed.items():
            credentials.save_sealed(tx, ident, text)
