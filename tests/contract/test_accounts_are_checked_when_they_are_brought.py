"""What a carrier says about an account decides whether it is taken in; a refusal says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError, Conflict, ProviderUnavailable, RequestRefused, ValidationError
from gateway.models import DEFAULT_WORKSPACE
from providers.simulator import Answer, Fault
from tests.bench import CALLEE, OURS
from tests.ownerkit import OTHER, Owner, open_owner

SECRET = {"plivo": "auth_token", "telnyx": "api_key", "twilio": "auth_token"}


def wrong(owner: Owner) -> dict[str, str]:
    """The account's secrets, with one digit of the secret changed."""
    name = SECRET[owner.provider]
    right = owner.account.secrets[name]
    return {**owner.account.secrets, name: right[:-1] + ("0" if right[-1] != "0" else "1")}


def test_an_account_is_read_and_never_written(owner: Owner) -> None:
    added = owner.gw.credentials.add_checked(owner.provider, dict(owner.account.secrets), name="Acme")
    assert added.account is not None
    assert (added.account.status, added.account.kind) == ("active", "main")
    assert added.account.balance
    methods = [each["method"] for each in owner.asked()]
    assert methods in (["GET"], ["GET", "GET"])
    shown = repr(added) + repr(owner.gw.credentials.list())
    assert owner.account.secrets[SECRET[owner.provider]] not in shown


def test_a_wrong_secret_is_refused_with_what_to_do_and_not_stored(owner: Owner) -> None:
    given = wrong(owner)
    with pytest.raises(RequestRefused, match=r"the account was not added: .*copy") as refused:
        owner.gw.credentials.add(owner.provider, secrets=given)
    assert refused.value.http_status == 401
    assert given[SECRET[owner.provider]] not in str(refused.value)
    assert owner.gw.credentials.list() == []


@pytest.mark.parametrize(
    ("provider", "status"),
    [("plivo", "closed"), ("telnyx", "closed"), ("twilio", "closed"), ("twilio", "suspended")],
)
def test_an_account_that_the_carrier_stopped_is_refused(provider: str, status: str, tmp_path: Path) -> None:
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        owner.sim.change_account(owner.account, status=status)
        with pytest.raises(
            (Conflict, RequestRefused), match=r"the account was not added.*carrier"
        ) as refused:
            owner.gw.credentials.add(provider, secrets=dict(owner.account.secrets))
        assert "settle that" in str(refused.value) or "copy" in str(refused.value)
        assert owner.gw.credentials.list() == []


@pytest.mark.parametrize("provider", ["plivo", "telnyx"])
def test_nothing_is_promised_where_a_carrier_does_not_tell(provider: str, tmp_path: Path) -> None:
    """Neither has a word for a suspended account in what a key may read: its calls are refused."""
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        owner.sim.change_account(owner.account, status="suspended")
        info = owner.gw.credentials.add_checked(provider, dict(owner.account.secrets)).account
        assert info is not None
        assert info.voice_allowed is None


def test_a_carrier_that_cannot_be_asked_stores_nothing_and_says_how_to_go_on(owner: Owner) -> None:
    owner.sim.faults.api(owner.provider, "any", Fault.SERVER_ERROR_BEFORE, times=10)
    with pytest.raises(ProviderUnavailable, match="try again, or go on without asking"):
        owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    assert owner.gw.credentials.list() == []
    asked = len(owner.asked())
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets), check=False)
    assert len(owner.asked()) == asked


@pytest.mark.parametrize("change", [{}, {"surprise": "x"}], ids=["one is absent", "one is unknown"])
def test_the_shape_is_checked_before_the_carrier_is_asked(owner: Owner, change: Mapping[str, str]) -> None:
    secrets = {**owner.account.secrets, **change}
    if not change:
        secrets.pop(SECRET[owner.provider])
    with pytest.raises((ConfigurationError, ValidationError)):
        owner.gw.credentials.add(owner.provider, secrets=secrets)
    assert owner.asked() == []


@pytest.mark.parametrize("provider", ["plivo", "twilio"])
def test_a_trial_account_is_told(provider: str, tmp_path: Path) -> None:
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        owner.sim.change_account(owner.account, kind="trial")
        info = owner.gw.credentials.add_checked(provider, dict(owner.account.secrets)).account
        assert info is not None
        assert info.kind == "trial"
        assert any("trial" in note for note in info.notes)


def test_a_key_without_the_right_to_read_the_account_is_told(tmp_path: Path) -> None:
    with open_owner("telnyx", tmp_path, sweeps=False) as owner:
        owner.sim.change_account(owner.account, balance=None)
        info = owner.gw.credentials.add_checked("telnyx", dict(owner.account.secrets)).account
        assert info is not None
        assert any("billing" in note for note in info.notes)


def test_two_accounts_of_one_carrier_live_side_by_side(owner: Owner) -> None:
    second = owner.sim.add_account(owner.provider, name="Second")
    owner.sim.add_number(second, "+14155550166")
    first_one = owner.bring(name="first")
    second_one = owner.bring(second, name="second")
    held = {number.e164: number.credential_id for number in owner.gw.numbers.list()}
    assert held == {OURS: first_one.id, OTHER: first_one.id, "+14155550166": second_one.id}
    owner.agents("two")
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    owner.gw.numbers.assign("+14155550166", agent="two", inbound=True, outbound=True)
    for agent, number, account in (("echo", OURS, owner.account), ("two", "+14155550166", second)):
        ringing, call = owner.rings(number)
        assert (call.agent_id, ringing.account_ref) == (agent, account.account_ref)
        owner.sim.script(CALLEE, Answer(talk_s=2))
        placed = owner.bench.ended(owner.gw.place_call(agent, CALLEE))
        assert (placed.from_number, owner.bench.sim_call(placed).account_ref) == (number, account.account_ref)
    owner.bench.settled()


@pytest.mark.parametrize("provider", ["plivo", "twilio"])
def test_a_sub_account_works_with_its_own_token_and_numbers(provider: str, tmp_path: Path) -> None:
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        branch = owner.sim.add_sub_account(owner.account, "Branch")
        owner.sim.add_number(branch, "+14155550166")
        added = owner.gw.credentials.add_checked(provider, dict(branch.secrets), name="branch")
        assert added.account is not None
        assert added.account.kind == "sub_account"
        found = owner.gw.numbers.import_from("branch")
        assert [each.e164 for each in found] == ["+14155550166"], "not the numbers of the account above it"
        owner.gw.numbers.assign("+14155550166", agent="echo", inbound=True, outbound=True)
        ringing, call = owner.rings("+14155550166")
        assert (call.agent_id, call.workspace_id) == ("echo", DEFAULT_WORKSPACE), owner.bench.story()
        assert ringing.account_ref == branch.account_ref
        owner.sim.script(CALLEE, Answer(talk_s=2))
        placed = owner.bench.ended(owner.bench.place())
        assert owner.bench.sim_call(placed).account_ref == branch.account_ref
        owner.bench.settled()


def test_an_api_key_alone_is_told_that_it_cannot_check_webhooks(tmp_path: Path) -> None:
    with open_owner("twilio", tmp_path, sweeps=False) as owner:
        console: Any = owner.sim.face("twilio")
        sid, secret = console.add_api_key(owner.account)
        keys = {"account_sid": owner.account.account_ref, "api_key_sid": sid, "api_key_secret": secret}
        info = owner.gw.credentials.add_checked("twilio", keys, name="key").account
        assert info is not None
        assert any("cannot verify webhooks" in note and "auth token" in note for note in info.notes)
        assert {each.e164 for each in owner.gw.numbers.import_from("key")} == {OURS, OTHER}
