"""R25 and R76: what one account's webhooks and numbers can do elsewhere; short in the tests, long in `make proof`."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient
from sqlalchemy import select

from gateway import Agent, Call, Gateway, Stream
from gateway.errors import NoOutboundNumber, NotFound, ValidationError
from gateway.interface import DialRequest, Hook, WebhookRequest
from gateway.models import AttemptState, Credential
from gateway.settings import load_settings
from gateway.store.tables import metadata
from gateway.web import create_app
from gateway.web.voice import ROUTES
from tests.linekit import (
    KEY,
    PUBLIC,
    SECRETS,
    SIGNERS,
    Fields,
    Line,
    about,
    plivo,
    public_key_of,
    telnyx,
    twilio,
)
from tests.storekit import put_agent, put_attempt, put_call
from tests.stubs import StubCarrier, accepted

THEIRS: Final = "tenant-b"
THEIR_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"b" * 32)
THEIR_SECRETS: Final = {
    "plivo": {"auth_id": "MATHEIRS0000000TESTS", "auth_token": "b" * 40},
    "telnyx": {
        "api_key": "KEYfedcba9876543210_theirs",
        "public_key": public_key_of(THEIR_KEY),
        "connection_id": "9876543210",
    },
    "twilio": {"account_sid": f"AC{'b' * 32}", "auth_token": "b" * 32},
}
SIGNING: Final = {  # ours, theirs
    "plivo": (SECRETS["plivo"]["auth_token"], THEIR_SECRETS["plivo"]["auth_token"]),
    "telnyx": (KEY, THEIR_KEY),
    "twilio": (SECRETS["twilio"]["auth_token"], THEIR_SECRETS["twilio"]["auth_token"]),
}
NUMBER: Final = "+14155550177"

# -- replays (R25) -------------------------------------------------------------------------------------------------

# What is sent about a call: the hook, whether its URL has the attempt's token, and the report.
Kind = tuple[Hook, bool, Fields]
KINDS: Final[dict[str, tuple[Kind, ...]]] = {
    "twilio": (
        (Hook.STATUS, True, twilio(CallStatus="in-progress")),
        (Hook.STATUS, True, twilio(CallStatus="completed", CallDuration="7", SequenceNumber="3")),
        (Hook.ANSWER, True, twilio(CallStatus="in-progress")),
        (Hook.ANSWER, False, twilio(Direction="inbound", To=NUMBER, From="+14155550188")),
        (Hook.STATUS, False, twilio(Direction="inbound", To=NUMBER, CallStatus="completed")),
        (Hook.FALLBACK, False, twilio(Direction="inbound", To=NUMBER, ErrorCode="11200", ErrorUrl=PUBLIC)),
    ),
    "plivo": (
        (Hook.STATUS, True, plivo(Event="Ring")),
        (
            Hook.STATUS,
            True,
            plivo(Event="Hangup", CallStatus="completed", Duration="7", HangupCauseCode="4000"),
        ),
        (Hook.ANSWER, True, plivo(Event="StartApp", CallStatus="in-progress")),
        (Hook.ANSWER, False, plivo(Direction="inbound", To=NUMBER[1:], Event="StartApp")),
        (
            Hook.STATUS,
            False,
            plivo(Direction="inbound", To=NUMBER[1:], Event="Hangup", CallStatus="completed"),
        ),
        (Hook.FALLBACK, False, plivo(Direction="inbound", To=NUMBER[1:], Event="StartApp")),
    ),
    "telnyx": (
        (Hook.EVENTS, True, telnyx("call.initiated", direction="outgoing")),
        (Hook.EVENTS, True, telnyx("call.answered")),
        (Hook.EVENTS, True, telnyx("call.hangup", hangup_cause="normal_clearing", hangup_source="callee")),
        (Hook.EVENTS, False, telnyx("call.initiated", direction="incoming", to=NUMBER)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A signed webhook, and the path that it was signed for."""

    request: WebhookRequest
    hook: Hook
    token: str | None


@dataclass(slots=True)
class Replayed:
    """How replays were answered, and what they changed: rows that are there afterwards, or not any more."""

    statuses: Counter[str] = field(default_factory=Counter)
    effects: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Scene:
    """Two tenants of one gateway, each with an account at one carrier, and what was captured of the first one's."""

    gw: Gateway
    web: FlaskClient
    ours: Line
    theirs: Credential
    their_token: str
    captured: list[Captured]

    def post(self, path: str, request: WebhookRequest) -> int:
        return self.web.post(path, data=request.body, headers=list(request.headers)).status_code

    def path(self, key: str, hook: Hook, token: str | None) -> str:
        return f"/voice/{key}/{hook.value}" + (f"/{token}" if token else "")


@contextmanager
def open_scene(folder: Path, provider: str, *, calls: int) -> Iterator[Scene]:
    """Let the first tenant's calls go their way, each with every kind of webhook, all of them captured."""
    settings = load_settings(env={}, database_url=f"sqlite:///{folder / 'gateway.db'}", public_url=PUBLIC)
    with Gateway.open(settings, background=False) as gw:
        put_agent(gw.services.store)
        ours = Line(gw, provider, gw.credentials.add(provider, check=False, **SECRETS[provider]))
        gw.numbers.add(NUMBER, credential=provider)
        gw.numbers.assign(NUMBER, agent="support", inbound=True, configure=False)
        theirs = gw.credentials.add(provider, check=False, workspace_id=THEIRS, **THEIR_SECRETS[provider])
        their_call = put_call(gw.services.store, theirs, workspace_id=THEIRS, agent_id=None)
        their_token = put_attempt(gw.services.store, their_call, state=AttemptState.ACCEPTED).token
        scene = Scene(gw, create_app(gw).test_client(), ours, theirs, their_token, [])
        for _ in range(calls):
            call = ours.ringing_call()
            for hook, has_token, fields in KINDS[provider]:
                one = capture(scene, call, hook, has_token, fields)
                assert scene.post(scene.path(ours.account.key, hook, one.token), one.request) == 200
                scene.captured.append(one)
        yield scene


def capture(scene: Scene, call: Call, hook: Hook, has_token: bool, fields: Fields) -> Captured:
    """Sign a report about the call, or about an inbound one that has the call's number."""

    token = scene.ours.tokens[call.id] if has_token else None
    leg = uuid.UUID(call.id) if has_token else uuid.uuid5(uuid.UUID(call.id), "inbound")
    url = PUBLIC + scene.path(scene.ours.account.key, hook, token)
    body, headers = SIGNERS[scene.ours.provider](url, about(scene.ours.provider, leg, fields))
    request = WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body, token=token)
    return Captured(request=request, hook=hook, token=token)


def replay_elsewhere(scene: Scene, *, replays: int, seed: int) -> Replayed:
    """R25: send what was captured to every route of the other tenant, and to other routes of its own."""
    rng, done = random.Random(seed), Replayed()
    before = rows_of(scene.gw)
    keys = {"theirs": scene.theirs.key, "ours": scene.ours.account.key, "nobody's": "0" * 32}
    while done.statuses.total() < replays:
        one = rng.choice(scene.captured)
        whose, hook = rng.choice(list(keys)), rng.choice(list(ROUTES.values()))
        other = rng.choice(scene.captured).token
        token = rng.choice((one.token, None, scene.their_token, other, "0" * 32))
        if (whose, hook, token) == ("ours", one.hook, one.token):
            continue  # where it came from
        status = scene.post(scene.path(keys[whose], hook, token), one.request)
        done.statuses[f"{whose} {status}"] += 1
    done.effects = _changes(before, rows_of(scene.gw))
    return done


def forge_elsewhere(scene: Scene, *, forgeries: int, seed: int) -> Replayed:
    """R25: the other tenant signs, for its own routes, reports that name the first one's calls, account and number."""
    rng, done = random.Random(seed), Replayed()
    provider, their_key = scene.ours.provider, SIGNING[scene.ours.provider][1]
    foreign = (scene.theirs.workspace_id, scene.theirs.id)
    before = rows_of(scene.gw, without=foreign)
    names = [call.id for call in scene.gw.calls.list(limit=100).calls if call.id in scene.ours.tokens]
    for number in range(forgeries):
        call_id = rng.choice(names)
        hook, _, fields = rng.choice(KINDS[provider])
        token = rng.choice((scene.ours.tokens[call_id], scene.their_token, None))
        account = rng.choice(("ours", "theirs"))
        fields = _naming(provider, fields, account, number)
        url = PUBLIC + scene.path(scene.theirs.key, hook, token)

        body, headers = SIGNERS[provider](url, about(provider, uuid.UUID(call_id), fields), their_key)
        request = WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body, token=token)
        status = scene.post(scene.path(scene.theirs.key, hook, token), request)
        done.statuses[f"names {account} account: {status}"] += 1
    done.effects = _changes(before, rows_of(scene.gw, without=foreign))
    return done


def _naming(provider: str, fields: Fields, account: str, number: int) -> Fields:
    """Return the report with the account that it is to name; each is another one."""
    secrets = SECRETS[provider] if account == "ours" else THEIR_SECRETS[provider]
    if provider == "twilio":
        return {**fields, "AccountSid": secrets["account_sid"], "SequenceNumber": str(number % 1000)}
    if provider == "plivo":
        return fields
    data = fields["data"]
    payload = {**data["payload"], "connection_id": secrets["connection_id"]}
    return {"data": {**data, "id": f"{data['id']}-{number}", "payload": payload}}


Rows = dict[str, set[tuple[Any, ...]]]


def rows_of(gw: Gateway, without: tuple[str, ...] = ()) -> Rows:
    """Return every row of every table, as text, but for those that name one of these."""
    found: Rows = {}
    for table in metadata.sorted_tables:
        rows = {tuple(str(value) for value in row) for row in gw.services.store.rows(select(table))}
        found[table.name] = {row for row in rows if not any(name in row for name in without)}
    return found


def _changes(before: Rows, after: Rows) -> list[str]:
    return [
        f"{name}: {len(after[name] - rows)} new or changed, {len(rows - after[name])} gone or changed"
        for name, rows in before.items()
        if rows != after[name]
    ]


# -- caller IDs (R76) ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shown:
    """Pairs that were tried, dials that were made, and dials that showed or used what is not the agent's."""

    pairs: int = 0
    dials: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)


class Tenants:
    """Workspaces with two accounts each; what each agent may show is known here, not asked of the gateway."""

    def __init__(self, gw: Gateway, *, workspaces: int, numbers: int) -> None:
        self.gw = gw
        self.dialed: list[tuple[str, DialRequest]] = []  # the account whose secrets were used
        self.held: list[str] = []
        self.may: dict[tuple[str, str], dict[str, str]] = {}  # agent of a workspace -> number -> account
        gw.services.open_provider = self._open
        for number in range(workspaces):
            for name in ("a", "b"):
                self._bring(f"workspace-{number}", name, numbers)
        self._write_down_others()

    def _open(self, _: str, secrets: Any, **__: Any) -> Any:
        carrier = StubCarrier()

        def dial(request: DialRequest) -> Any:
            self.dialed.append((secrets["account_sid"], request))
            return accepted(f"CA{len(self.dialed):032}")

        carrier.on_dial = dial
        return carrier

    def _bring(self, workspace: str, name: str, numbers: int) -> None:
        """An account with its numbers and its agent; every fifth number is for inbound calls only."""
        account = f"AC{len(self.may):032x}"
        self.gw.credentials.add(
            "twilio", check=False, name=name, workspace_id=workspace, account_sid=account, auth_token="0" * 32
        )
        self.gw.agents.put(
            Agent(id=name, connect=Stream("wss://agents.example.com/media"), workspace_id=workspace)
        )
        self.may[workspace, name] = {}
        for at in range(numbers):
            e164 = f"+1415{2_000_000 + len(self.held)}"
            self.held.append(e164)
            self._assign(workspace, name, e164, account, is_outbound=at % 5 != 4)

    def _assign(self, workspace: str, name: str, e164: str, account: str, *, is_outbound: bool) -> None:
        said = {"inbound": not is_outbound, "outbound": is_outbound, "configure": False}
        self.gw.numbers.add(e164, credential=name, workspace_id=workspace)
        self.gw.numbers.assign(e164, agent=name, workspace_id=workspace, **said)
        if is_outbound:
            self.may[workspace, name][e164] = account

    def _write_down_others(self) -> None:
        """Each workspace writes down a number that is held in the next one: its own account is used, or none."""
        agents = list(self.may)
        for at in range(0, len(agents), 2):
            workspace, name = agents[at]
            theirs = next(iter(self.may[agents[(at + 2) % len(agents)]]))
            self._assign(workspace, name, theirs, f"AC{at:032x}", is_outbound=True)


def show_every_number(gw: Gateway, *, workspaces: int, numbers: int) -> Shown:
    """R76: let every agent of every workspace ask for every number, and for none, and for names that lead nowhere."""
    tenants, shown = Tenants(gw, workspaces=workspaces, numbers=numbers), Shown()
    for (workspace, name), may in tenants.may.items():
        for e164 in (*tenants.held, None):
            shown.pairs += e164 is not None
            before = len(tenants.dialed)
            try:
                gw.place_call(name, "+14155550199", from_number=e164, workspace_id=workspace)
            except (ValidationError, NotFound, NoOutboundNumber) as refused:
                shown.refused[type(refused).__name__] += 1
            made = tenants.dialed[before:]
            shown.dials += len(made)
            if len(made) != (e164 is None or e164 in may):
                shown.foreign.append(f"{len(made)} dials of {workspace} {name} as {e164}")
            for account, request in made:
                is_asked = e164 in (None, request.caller_id)
                if may.get(request.caller_id) != account or not is_asked:
                    shown.foreign.append(f"{workspace} {name} as {e164}: {request.caller_id} of {account}")
    return shown
