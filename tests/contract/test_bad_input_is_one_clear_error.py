"""Whatever is wrong in what an embedder asks for: one clear error, nothing stored, nothing sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import (
    Agent,
    CallerIdRefused,
    CallSettings,
    CallStatus,
    Conflict,
    DialRefused,
    EndCause,
    GatewayError,
    InvalidNumber,
    NoOutboundNumber,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    Stream,
    ValidationError,
)
from providers.simulator import Fault
from tests.bench import CALLEE, OURS, PROVIDERS, UNASSIGNED, Bench, open_bench

OTHER_ACCOUNTS, OTHER_TENANTS = "+14155550102", "+14155550103"

# What the carriers' references give as the accepted range, in seconds: ringing, and the cut-off after the answer.
RANGES = {
    "twilio": ((1, 600), (1, 14_400)),
    "telnyx": ((5, 600), (30, 14_400)),
    "plivo": ((1, 600), (1, 86_400)),  # the upper end of ringing is ours: none is published
}


@pytest.fixture(scope="module", params=PROVIDERS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for all: no test of this file leaves anything behind."""
    with open_bench(request.param, tmp_path_factory.mktemp(request.param)) as opened:
        gw = opened.gw
        gw.agents.put(Agent(id="sales", connect=Stream(opened.agent.url)))
        gw.numbers.assign(UNASSIGNED, configure=False, agent="sales", outbound=True)
        gw.agents.put(Agent(id="mute", connect=Stream(opened.agent.url)))
        second = add_account(opened, "second", "default")
        gw.numbers.add(OTHER_ACCOUNTS, credential=second)
        add_account(opened, "theirs", "tenant")
        gw.numbers.add(OTHER_TENANTS, credential="theirs", workspace_id="tenant")
        gw.agents.put(Agent(id="theirs", connect=Stream(opened.agent.url), workspace_id="tenant"))
        gw.numbers.assign(
            OTHER_TENANTS, configure=False, agent="theirs", outbound=True, workspace_id="tenant"
        )
        yield opened


def add_account(bench: Bench, name: str, workspace_id: str) -> str:
    account = bench.sim.add_account(bench.provider, name=name)
    extra = {"connection_id": account.connection_id} if bench.provider == "telnyx" else {}
    added = bench.gw.credentials.add(
        bench.provider, check=False, name=name, workspace_id=workspace_id, **account.secrets, **extra
    )
    return str(added.id)


@pytest.fixture(autouse=True)
def nothing_happens(bench: Bench) -> Iterator[None]:
    yield
    assert bench.sim.dials() == [], "nothing was sent"
    assert bench.gw.calls.list().calls == (), "nothing was stored"
    assert bench.heard == []


CASES: dict[str, tuple[type[GatewayError], str, dict[str, Any]]] = {
    "an agent that does not exist": (NotFound, "no agent 'nobody'", {"agent": "nobody"}),
    "an agent of another tenant": (NotFound, "no agent 'theirs'", {"agent": "theirs"}),
    "a tenant that does not exist": (NotFound, "no agent 'echo'", {"workspace_id": "nowhere"}),
    "no number": (InvalidNumber, "phone_number: .* is not E.164", {"to": ""}),
    "a number without its plus": (InvalidNumber, "is not E.164", {"to": "14155550123"}),
    "a number with spaces": (InvalidNumber, "is not E.164", {"to": "+1 415 555 0123"}),
    "two numbers": (InvalidNumber, "is not E.164", {"to": "+14155550123<+14155550124"}),
    "a number with a line end": (InvalidNumber, "is not E.164", {"to": CALLEE + "\n"}),
    "a number in other digits": (InvalidNumber, "is not E.164", {"to": "+１４１５５５５０１２３"}),
    "a SIP address": (InvalidNumber, "is not E.164", {"to": "sip:anna@pbx.example.net"}),
    "a number of no plan": (InvalidNumber, "exists in any numbering plan", {"to": "+14150000000"}),
    "no text at all": (InvalidNumber, "is not E.164", {"to": None}),
    "an emergency number": (DialRefused, "emergency and crisis lines", {"to": "+1911"}),
    "a crisis line": (DialRefused, "emergency and crisis lines", {"to": "988"}),
    "a premium number": (DialRefused, "premium", {"to": "+19002123456"}),
    "a satellite phone": (GatewayError, "phone_number", {"to": "+870773111632"}),
    "another country": (DialRefused, "numbers of JM are not allowed .*CA, US", {"to": "+18765230123"}),
    "our own number": (
        ValidationError,
        "from_number: is the number that is to be called",
        {"to": OURS, "from_number": OURS},
    ),
    "our only number": (NoOutboundNumber, "no outbound number", {"to": OURS}),
    "an agent without a number": (
        NoOutboundNumber,
        "no outbound number assigned to agent 'mute'",
        {"agent": "mute"},
    ),
    "another agent's number": (
        CallerIdRefused,
        "…0101 is not assigned to agent 'echo'",
        {"from_number": UNASSIGNED},
    ),
    "another account's number": (CallerIdRefused, "…0102 is not assigned", {"from_number": OTHER_ACCOUNTS}),
    "another tenant's number": (CallerIdRefused, "…0103 is not assigned", {"from_number": OTHER_TENANTS}),
    "a stranger's number": (CallerIdRefused, "…0199 is not assigned", {"from_number": "+14155550199"}),
    "a caller ID that is no number": (InvalidNumber, "from_number: .* is not E.164", {"from_number": "Acme"}),
    "an empty caller ID": (InvalidNumber, "from_number: .* is not E.164", {"from_number": ""}),
    "a variable that is no text": (
        ValidationError,
        "variables: 'n': names and values",
        {"variables": {"n": 1}},
    ),
    "variables without end": (ValidationError, "at most 32 KiB", {"variables": {"n": "x" * 40_000}}),
    "an empty idempotency key": (ValidationError, "idempotency_key: give 1 to 255", {"idempotency_key": ""}),
    "an endless idempotency key": (ValidationError, "give 1 to 255", {"idempotency_key": "k" * 256}),
    "voicemail without detection": (
        ValidationError,
        'on_voicemail: needs voicemail_detection "detect"',
        {"settings": CallSettings(on_voicemail="hang_up")},
    ),
    "a message that is not said": (
        ValidationError,
        "voicemail_message: is needed",
        {"settings": CallSettings(voicemail_detection="detect", on_voicemail="leave_message")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_call_is_refused(bench: Bench, case: str) -> None:
    error, hint, said = CASES[case]
    with pytest.raises(error, match=hint) as refused:
        bench.gw.place_call(**{"agent": "echo", "to": CALLEE, **said})
    whole = str(refused.value)
    assert "\n" not in whole
    assert len(whole) < 250
    for number in (OURS, UNASSIGNED, OTHER_ACCOUNTS, OTHER_TENANTS, CALLEE):
        assert number not in whole.replace(f"like {CALLEE}", "like this"), "masked"


@pytest.mark.parametrize("end", ["below", "above"])
@pytest.mark.parametrize("field", ["join_timeout", "max_duration"])
def test_a_duration_that_the_carrier_does_not_take_is_refused_with_its_range(
    bench: Bench, field: str, end: str
) -> None:
    low, high = RANGES[bench.provider][field == "max_duration"]
    seconds = low - 1 if end == "below" else high + 1
    if not 1 <= seconds <= 86_400:
        pytest.skip("no duration at all: refused before the carrier is asked")
    with pytest.raises(ValidationError, match=rf"{field}: {bench.provider} takes {low} to {high} s"):
        bench.gw.place_call("echo", CALLEE, settings=CallSettings(**{field: f"{seconds}s"}))


@pytest.mark.parametrize("field", ["join_timeout", "max_duration"])
@pytest.mark.parametrize("written", ["soon", "", "-5s", "0s", "1.5m", "2d", "1h30m", "25h", "９s"])
def test_a_malformed_duration_is_refused_by_its_field(field: str, written: str) -> None:
    with pytest.raises(ValidationError, match=f"^{field}: "):
        CallSettings(**{field: written})  # type: ignore[arg-type]


EXTRA = {
    "twilio": {"Url": "https://evil.example/"},
    "telnyx": {"webhook_url": "https://evil.example/"},
    "plivo": {"answer_url": "https://evil.example/"},
}


def test_a_carriers_parameter_cannot_replace_one_of_ours(bench: Bench) -> None:
    [name] = EXTRA[bench.provider]
    with pytest.raises(ValidationError, match=rf"extra: .*{name}"):
        bench.gw.place_call("echo", CALLEE, extra=EXTRA[bench.provider])


VERBS: dict[str, Callable[[Bench], object]] = {
    "hang up": lambda bench: bench.gw.hang_up("nothing"),
    "get": lambda bench: bench.gw.calls.get("nothing"),
    "events": lambda bench: bench.gw.calls.events("nothing"),
    "attempts": lambda bench: bench.gw.calls.attempts("nothing"),
    "recording": lambda bench: bench.gw.fetch_recording("nothing"),
    "credential": lambda bench: bench.gw.credentials.check("nothing"),
    "numbers": lambda bench: bench.gw.numbers.import_from("nothing"),
    "number": lambda bench: bench.gw.numbers.add("+14155550104", credential="nothing"),
    "agent": lambda bench: bench.gw.agents.get("nothing"),
    "stream": lambda bench: bench.gw.claim_stream("nothing"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_does_not_exist_is_not_found(bench: Bench, verb: str) -> None:
    with pytest.raises(NotFound, match=r"^no "):
        VERBS[verb](bench)


def test_a_number_is_not_added_twice_nor_to_another_tenants_account(bench: Bench) -> None:
    with pytest.raises(Conflict, match="is already here"):
        bench.gw.numbers.add(OURS, credential=bench.credential.id)
    with pytest.raises(NotFound, match="no credential 'theirs'"):
        bench.gw.numbers.add("+14155550104", credential="theirs")


# -- garbage from the carrier --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault.GARBAGE, Fault.EMPTY, Fault.WRONG_TYPE, Fault.RESET_AFTER, Fault.REDIRECT]
)
@pytest.mark.parametrize("operation", ["account", "numbers"])
def test_an_answer_that_makes_no_sense_is_a_carrier_without_an_answer(
    bench: Bench, operation: str, fault: Fault
) -> None:
    bench.sim.faults.api(bench.provider, operation, fault, times=1)
    ask = bench.gw.credentials.check if operation == "account" else bench.gw.numbers.import_from
    before = bench.gw.numbers.list()
    try:
        with pytest.raises(ProviderUnavailable, match=f"^{bench.provider}: ") as failed:
            ask(bench.credential.id)
    finally:
        bench.sim.faults.clear()
    assert "<html" not in str(failed.value)
    assert bench.gw.numbers.list() == before


def test_a_refusal_names_the_carrier_and_its_status(bench: Bench) -> None:
    bench.sim.faults.api(bench.provider, "account", Fault.STATUS, status=401)
    try:
        with pytest.raises(RequestRefused) as refused:
            bench.gw.credentials.check(bench.credential.id)
    finally:
        bench.sim.faults.clear()
    assert (refused.value.provider, refused.value.http_status) == (bench.provider, 401)


# -- a whole process each ------------------------------------------------------------------------------------------

WITHOUT_LIBRARY = """
import sys
sys.modules[{name!r}] = None  # what an interpreter without the library finds
from gateway import Agent, Gateway, MissingExtra, Stream
gw = Gateway.open(database_url={url!r}, public_url="https://gw.example.net", background=False)
account = gw.credentials.add({name!r}, check=False, **{secrets!r})
gw.numbers.add("+14155550100", credential=account.id)
gw.agents.put(Agent(id="echo", connect=Stream("wss://agents.example.com/media")))
gw.numbers.assign("+14155550100", configure=False, agent="echo", inbound=True, outbound=True)
for ask in (
    lambda: gw.place_call("echo", "+14155550123"),
    lambda: gw.credentials.check(account.id),
    lambda: gw.numbers.import_from(account.id),
):
    try:
        ask()
    except MissingExtra as error:
        print(error)
assert not gw.calls.list().calls, "nothing is stored that cannot be dialed"
"""


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_missing_library_is_named_with_the_extra_to_install(name: str, tmp_path: Path) -> None:
    from tests.core.test_provisioning import SECRETS

    code = WITHOUT_LIBRARY.format(name=name, url=f"sqlite:///{tmp_path}/gateway.db", secrets=SECRETS[name])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    said = f"{name} needs a library that is not installed: pip install 'telephony-gateway[{name}]'"
    assert done.stdout.splitlines() == [said] * 3
    assert SECRETS[name].get("auth_token", "KEY0") not in done.stderr


def test_a_wrong_password_ends_the_call_and_says_what_to_change(tmp_path: Path) -> None:
    """Only the carrier can tell: so the request is sent, once, and the call is kept with the reason."""
    for provider in PROVIDERS:
        folder = tmp_path / provider
        folder.mkdir()
        with open_bench(provider, folder) as bench:
            secret = {"plivo": "auth_token", "telnyx": "api_key", "twilio": "auth_token"}[provider]
            account = bench.sim.add_account(provider, name="Wrong")
            wrong = {**account.secrets, secret: account.secrets[secret][::-1]}
            extra = {"connection_id": account.connection_id} if provider == "telnyx" else {}
            added = bench.gw.credentials.add(provider, check=False, name="wrong", **wrong, **extra)
            with pytest.raises(RequestRefused) as refused:
                bench.gw.credentials.check(added.id)
            assert refused.value.http_status == 401
            assert wrong[secret] not in str(refused.value)
            bench.gw.numbers.add(OTHER_ACCOUNTS, credential=added.id)
            bench.gw.agents.put(Agent(id="other", connect=Stream(bench.agent.url)))
            bench.gw.numbers.assign(OTHER_ACCOUNTS, configure=False, agent="other", outbound=True)
            call = bench.gw.place_call("other", CALLEE)
            assert call.end_reason is not None
            assert (call.status, call.end_reason.why) == (CallStatus.FAILED, EndCause.ACCOUNT)
            assert call.end_reason.retry.value == "after_change"
            assert call.context["last_error"]["http_status"] == 401
