"""Bringing accounts, numbers and agents: what is refused, what is stored, and that tenants see only their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import Agent, Forward, Gateway, NextAgent, Reject, Say, Sip, Stream, TakeMessage
from gateway.errors import (
    ConfigurationError,
    Conflict,
    DialRefused,
    InvalidNumber,
    NotFound,
    ValidationError,
)
from gateway.settings import load_settings
from gateway.status import Direction
from providers.simulator import Simulator
from tests.adapters.plivo.support import SECRETS as PLIVO
from tests.adapters.twilio.support import SECRETS as TWILIO

TELNYX = {
    "api_key": "KEY0123456789ABCDEF_madeup",
    "public_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "connection_id": "1234567890",
}
SECRETS = {"plivo": PLIVO, "telnyx": TELNYX, "twilio": TWILIO}
SF, NEW_YORK, LONDON = "+14155550100", "+12125550101", "+442079460104"
STREAM = Stream("wss://agents.example.com/media")


def open_gateway(folder: Path, **settings: Any) -> Gateway:
    found = load_settings(
        env={},
        database_url=f"sqlite:///{folder / 'gateway.db'}",
        public_url="https://gw.example.net",
        allowed_stream_hosts=("agents.example.com",),
        **settings,
    )
    return Gateway.open(found, background=False)


@pytest.fixture
def gw(tmp_path: Path) -> Iterator[Gateway]:
    with open_gateway(tmp_path) as opened:
        yield opened


# -- credentials ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_an_account_is_stored_sealed_and_found_by_id_name_and_account(
    gw: Gateway, tmp_path: Path, provider: str
) -> None:
    added = gw.credentials.add(provider, check=False, name="Main office", **SECRETS[provider])
    for ident in (added.id, "Main office", added.account_ref):
        assert gw.credentials.get(ident).key == added.key
    assert len(added.key) >= 32
    assert [each.secrets for each in gw.credentials.list()] == [{}], "a list opens no secrets"
    assert dict(gw.credentials.get(added.id).secrets) == SECRETS[provider]
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    for name in ("auth_token", "api_key"):
        if name in SECRETS[provider]:
            assert SECRETS[provider][name].encode() not in stored


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_an_account_without_a_name_is_called_by_its_carrier(gw: Gateway, provider: str) -> None:
    assert gw.credentials.add(provider, check=False, **SECRETS[provider]).name == provider


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_a_secret_that_is_absent_empty_or_unknown_is_refused(gw: Gateway, provider: str) -> None:
    whole = SECRETS[provider]
    for name in whole:
        if name == "connection_id":
            continue
        for wrong in ({k: v for k, v in whole.items() if k != name}, {**whole, name: ""}):
            with pytest.raises((ConfigurationError, ValidationError), match=name):
                gw.credentials.add(provider, check=False, **wrong)
    with pytest.raises((ConfigurationError, ValidationError), match="pass_word"):
        gw.credentials.add(provider, check=False, **whole, pass_word="x")
    assert gw.credentials.list() == []


# Whose form the carrier does not document: any short word may be one. Space around a public key is harmless.
ANY_WORD = {("telnyx", "api_key"), ("telnyx", "connection_id")}
SPACES_GO = {("telnyx", "public_key")}


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_a_malformed_secret_is_refused_and_never_repeated(gw: Gateway, provider: str) -> None:
    for name, value in SECRETS[provider].items():
        wrong = ["ÿ" * len(value), "a b", "x" * 5000]
        wrong += [] if (provider, name) in ANY_WORD else ["canary"]
        wrong += [] if (provider, name) in SPACES_GO else [value + " ", value + "\n"]
        for each in wrong:
            with pytest.raises((ConfigurationError, ValidationError)) as refused:
                gw.credentials.add(provider, check=False, **{**SECRETS[provider], name: each})
            assert each not in str(refused.value)
    assert gw.credentials.list() == []


def test_a_carrier_that_does_not_exist_is_refused_with_those_that_do(gw: Gateway) -> None:
    for name in ("", "Twilio", "vonage", "x" * 500):
        with pytest.raises(ConfigurationError, match="known: plivo, telnyx, twilio") as refused:
            gw.credentials.add(name, check=False, api_key="x")
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "\0", "\ud800"])
def test_a_name_that_cannot_be_printed_is_refused(gw: Gateway, name: str) -> None:
    with pytest.raises(ValidationError, match="at most 200 printable characters"):
        gw.credentials.add("twilio", check=False, name=name, **TWILIO)


def test_an_account_that_is_here_twice_is_found_by_name_and_by_id_only(gw: Gateway) -> None:
    first, second = (gw.credentials.add("twilio", check=False, **TWILIO) for _ in range(2))
    with pytest.raises(NotFound, match="no single credential named"):
        gw.credentials.get(TWILIO["account_sid"])
    assert gw.credentials.get("twilio-2").id == second.id
    assert gw.credentials.get(second.id).id == second.id != first.id


def test_a_removed_account_is_gone_with_its_secrets(gw: Gateway) -> None:
    added = gw.credentials.add("twilio", check=False, **TWILIO)
    gw.numbers.add(SF, credential=added.id)
    gw.agents.put(Agent(id="support", connect=STREAM))
    gw.numbers.assign(SF, configure=False, agent="support", inbound=True)
    with pytest.raises(Conflict, match=r"…0100.*unassign"):
        gw.credentials.remove(added.id)
    gw.numbers.unassign(SF)
    gw.credentials.remove(added.id)
    assert gw.credentials.list() == []
    assert gw.services.credential_by_key(added.key) is None
    with pytest.raises(NotFound):
        gw.credentials.remove(added.id)


def test_an_account_has_an_address_for_each_of_its_webhooks(gw: Gateway) -> None:
    added = gw.credentials.add("twilio", check=False, **TWILIO)
    base = f"https://gw.example.net/voice/{added.key}"
    assert gw.credentials.webhooks(added) == {
        name: f"{base}/{name}" for name in ("answer", "status", "fallback", "events", "recording")
    }


def test_another_key_does_not_open_what_was_sealed(gw: Gateway, tmp_path: Path) -> None:
    gw.credentials.add("twilio", check=False, name="Main", **TWILIO)
    (tmp_path / "gateway.key").unlink()
    with (
        open_gateway(tmp_path) as other,
        pytest.raises(ConfigurationError, match="sealed with another key") as refused,
    ):
        other.credentials.get("Main")
    assert TWILIO["auth_token"] not in str(refused.value)


# -- numbers -------------------------------------------------------------------------------------------------------


def test_a_number_knows_its_country_and_area(gw: Gateway) -> None:
    gw.credentials.add("plivo", check=False, **PLIVO)
    added = [gw.numbers.add(each, credential="plivo") for each in (SF, LONDON)]
    assert [(n.e164, n.country, n.area_code, n.provider) for n in added] == [
        (SF, "US", "415", "plivo"),
        (LONDON, "GB", "20", "plivo"),
    ]
    assert [n.e164 for n in gw.numbers.list()] == [SF, LONDON]


@pytest.mark.parametrize("wrong", ["", "14155550100", "+1 415 555 0100", "sip:a@b", "+1415", "anonymous"])
def test_what_is_no_number_is_not_added(gw: Gateway, wrong: str) -> None:
    gw.credentials.add("plivo", check=False, **PLIVO)
    with pytest.raises(InvalidNumber, match="number"):
        gw.numbers.add(wrong, credential="plivo")


def test_a_number_is_added_to_an_account_once(gw: Gateway) -> None:
    gw.credentials.add("plivo", check=False, **PLIVO)
    with pytest.raises(NotFound, match="no credential 'twilio'"):
        gw.numbers.add(SF, credential="twilio")
    gw.numbers.add(SF, credential="plivo")
    with pytest.raises(Conflict, match="…0100 is already here"):
        gw.numbers.add(SF, credential="plivo")


@pytest.fixture
def stocked(gw: Gateway) -> Gateway:
    """One account, two numbers, two agents."""
    gw.credentials.add("twilio", check=False, **TWILIO)
    for number in (SF, NEW_YORK):
        gw.numbers.add(number, credential="twilio")
    for agent in ("sales", "support"):
        gw.agents.put(Agent(id=agent, connect=STREAM))
    return gw


def test_a_number_serves_agents_by_direction(stocked: Gateway) -> None:
    one, two = stocked.numbers.assign(
        SF, configure=False, agent="support", inbound=True, outbound=True
    ).assignments
    assert {one.direction, two.direction} == {Direction.INBOUND, Direction.OUTBOUND}
    stocked.numbers.assign(SF, configure=False, agent="sales", outbound=True)
    told = [(a.e164, a.agent_id, a.direction.value) for a in stocked.numbers.assignments()]
    assert set(told) == {(SF, "support", "inbound"), (SF, "support", "outbound"), (SF, "sales", "outbound")}
    stocked.numbers.assign(SF, configure=False, agent="sales", outbound=True)
    assert len(stocked.numbers.assignments()) == 3, "assigned already"


def test_a_numbers_inbound_calls_go_to_one_agent(stocked: Gateway) -> None:
    stocked.numbers.assign(SF, configure=False, agent="support", inbound=True)
    with pytest.raises(Conflict, match="agent 'support' takes this number's inbound calls"):
        stocked.numbers.assign(SF, configure=False, agent="sales", inbound=True, outbound=True)
    assert len(stocked.numbers.assignments()) == 1, "nothing of a refused assignment stays"


def test_an_assignment_names_a_number_an_agent_and_a_direction_that_exist(stocked: Gateway) -> None:
    with pytest.raises(ValidationError, match="say inbound, outbound or both"):
        stocked.numbers.assign(SF, configure=False, agent="support")
    with pytest.raises(NotFound, match="no agent 'nobody'"):
        stocked.numbers.assign(SF, configure=False, agent="nobody", inbound=True)
    with pytest.raises(NotFound, match="no number") as refused:
        stocked.numbers.assign(LONDON, configure=False, agent="support", inbound=True)
    assert LONDON not in str(refused.value), "masked"
    assert stocked.numbers.assignments() == []


def test_a_number_is_taken_away_from_whom_and_in_what_direction_is_said(stocked: Gateway) -> None:
    stocked.numbers.assign(SF, configure=False, agent="support", inbound=True, outbound=True)
    stocked.numbers.assign(SF, configure=False, agent="sales", outbound=True)
    change = stocked.numbers.unassign(SF, agent="support", direction=Direction.OUTBOUND)
    assert len(change.assignments) == 1
    assert len(stocked.numbers.unassign(SF).assignments) == 2
    assert stocked.numbers.unassign(SF).assignments == ()


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_every_number_of_an_account_is_imported_once(tmp_path: Path, provider: str) -> None:
    with Simulator(speed=20) as sim:
        account = sim.add_account(provider)
        owned = [f"+1415555{n:04}" for n in range(100, 122)]
        for number in owned:
            sim.add_number(account, number)
        with open_gateway(tmp_path, base_urls={provider: sim.base_url(provider)}) as gw:
            gw.credentials.add(provider, check=False, **account.secrets)
            gw.numbers.add(owned[3], credential=provider)
            verdicts = {each.e164: each.verdict for each in gw.numbers.import_from(provider)}
            assert set(verdicts) == set(owned), "paged to the end"
            assert verdicts[owned[3]] == "already here"
            assert sum(verdict == "imported" for verdict in verdicts.values()) == len(owned) - 1
            assert {n.e164 for n in gw.numbers.list()} == set(owned)
            again = [each.verdict for each in gw.numbers.import_from(provider)]
            assert set(again) == {"already here"}


# -- agents (R70, R71, R93) ----------------------------------------------------------------------------------------


def test_an_agent_replaces_the_one_of_its_id(gw: Gateway) -> None:
    gw.agents.put(Agent(id="support", connect=STREAM, name="First"))
    gw.agents.put(Agent(id="support", connect=Sip("sip:desk@pbx.example.net"), name="Second"))
    [kept] = gw.agents.list()
    assert (kept.name, kept.connect) == ("Second", Sip("sip:desk@pbx.example.net"))


@pytest.mark.parametrize(
    ("step", "error", "hint"),
    [
        (Stream("wss://evil.example/media"), ValidationError, "host 'evil.example' is not allowed"),
        (Stream("wss://agents.example.com.evil.example/"), ValidationError, "is not allowed"),
        (Stream("ws://127.0.0.1/media"), ValidationError, "host '127.0.0.1' is not allowed"),
        (Forward("+1911"), DialRefused, "emergency"),
        (Sip("sip:911@pbx.example.net"), DialRefused, "emergency"),
        (Sip("sip:tel:+1-911;ext=1@pbx.example.net"), DialRefused, "emergency"),
        (Forward("+19002123456"), DialRefused, "premium"),
        (Forward(LONDON), DialRefused, "numbers of GB are not allowed"),
        (Forward("4155550100"), InvalidNumber, "is not E.164"),
        (Forward(None), InvalidNumber, "is not E.164"),  # type: ignore[arg-type]
        (Forward(SF, caller_id="anybody"), InvalidNumber, "forward caller_id"),
        (Forward(SF, caller_id="+14155550100\n"), InvalidNumber, "forward caller_id"),
    ],
)
def test_a_forbidden_connection_is_refused_as_connection_and_as_fallback(
    gw: Gateway, step: Any, error: type[Exception], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        gw.agents.put(Agent(id="support", connect=step))
    with pytest.raises(error, match=hint):
        gw.agents.put(Agent(id="support", connect=STREAM, fallback=(Say("One moment"), step)))
    assert gw.agents.list() == []


@pytest.mark.parametrize(
    "nonsense", [None, "wss://agents.example.com/media", 7, Say("Hello"), NextAgent("b")]
)
def test_what_is_no_connection_is_refused_with_what_is(gw: Gateway, nonsense: Any) -> None:
    with pytest.raises(ValidationError, match="give Stream, Sip, Forward, or a function"):
        gw.agents.put(Agent(id="support", connect=nonsense))


@pytest.mark.parametrize("chain", ["Hello", [None], [{"kind": "say"}], [lambda call: STREAM]])
def test_what_is_no_step_is_refused_with_what_is(gw: Gateway, chain: Any) -> None:
    with pytest.raises(
        ValidationError, match="give NextAgent, Stream, Sip, Forward, Say, TakeMessage or Reject"
    ):
        gw.agents.put(Agent(id="support", connect=STREAM, fallback=chain))
    assert gw.agents.list() == []


def test_an_agent_is_not_its_own_fallback(gw: Gateway) -> None:
    with pytest.raises(ValidationError, match="its own fallback"):
        gw.agents.put(Agent(id="support", connect=STREAM, fallback=(NextAgent("support"),)))


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_a_step_that_says_nothing_is_refused(gw: Gateway, text: str) -> None:
    with pytest.raises(ValidationError, match="would hear silence"):
        gw.agents.put(Agent(id="support", connect=STREAM, fallback=(Say(text),)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Say(None),  # type: ignore[arg-type]
        lambda: Say("Hello", 7),  # type: ignore[arg-type]
        lambda: TakeMessage(prompt=b"Speak"),  # type: ignore[arg-type]
        lambda: TakeMessage(max_length_s=0),
        lambda: TakeMessage(max_length_s="60"),  # type: ignore[arg-type]
        lambda: Reject("no"),  # type: ignore[arg-type]
        lambda: Sip(7),  # type: ignore[arg-type]
        lambda: Stream(STREAM.url, {"n": 1}),  # type: ignore[dict-item]
        lambda: Stream(STREAM.url, {"": "nameless"}),
    ],
)
def test_a_step_of_the_wrong_types_cannot_be_made(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


def test_a_word_for_a_refusal_is_enough(gw: Gateway) -> None:
    gw.agents.put(Agent(id="a", connect=STREAM, fallback=(Reject("busy"),)))  # type: ignore[arg-type]
    assert gw.agents.get("a").fallback == (Reject(),)


@pytest.mark.parametrize("name", ["name", "exclusive", "workspace_id", "provider", "secrets"])
def test_a_secret_that_is_called_like_an_argument_is_taken_for_a_secret(gw: Gateway, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no such secret: '{name}'"):
        gw.credentials.add("twilio", secrets={**TWILIO, name: "x"})
    assert gw.credentials.list() == []


def test_secrets_may_be_given_as_a_mapping_and_each_once(gw: Gateway) -> None:
    with pytest.raises(ValidationError, match="given twice: auth_token"):
        gw.credentials.add("twilio", secrets=TWILIO, auth_token="0" * 32)
    for wrong in ({"name": 5}, {"exclusive": "KEY0123"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            gw.credentials.add("twilio", secrets=TWILIO, **wrong)  # type: ignore[arg-type]
    assert gw.credentials.add("twilio", check=False, secrets=TWILIO).account_ref == TWILIO["account_sid"]


# -- tenants -------------------------------------------------------------------------------------------------------


def test_a_tenant_sees_and_uses_only_its_own(gw: Gateway) -> None:
    ours = gw.credentials.add("twilio", check=False, name="Ours", workspace_id="a", **TWILIO)
    gw.numbers.add(SF, credential="Ours", workspace_id="a")
    gw.agents.put(Agent(id="support", connect=STREAM, workspace_id="a"))
    assert (gw.credentials.list(workspace_id="b"), gw.numbers.list(workspace_id="b")) == ([], [])
    assert gw.agents.list(workspace_id="b") == []
    for ident in (ours.id, "Ours", ours.account_ref):
        with pytest.raises(NotFound):
            gw.credentials.get(ident, workspace_id="b")
        with pytest.raises(NotFound):
            gw.numbers.add(NEW_YORK, credential=ident, workspace_id="b")
        with pytest.raises(NotFound):
            gw.credentials.remove(ident, workspace_id="b")
    gw.agents.put(Agent(id="support", connect=STREAM, workspace_id="b"))
    for attempt in (gw.numbers.assign, gw.numbers.unassign):
        with pytest.raises(NotFound):
            attempt(
                SF,
                agent="support",
                workspace_id="b",
                **({"inbound": True} if attempt == gw.numbers.assign else {}),
            )
    with pytest.raises(NotFound):
        gw.agents.get("support")
