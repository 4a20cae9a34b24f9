"""Bringing accounts: checked live, rotated without a gap, sealed with a new key while in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway import Gateway, crediting
from gateway.errors import (
    ConfigurationError,
    Conflict,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.store import Store, credentials
from gateway.vault import Vault
from tests.byockit import KEY, OURS, Account, open_byoc, secrets_of, stock

NEW = "f" * 32


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "carrier.json", "twilio")


@pytest.fixture
def gw(store: Store, account: Account) -> Gateway:
    return open_byoc(store, account)


def add(gw: Gateway, **said: Any) -> Any:
    return gw.credentials.add("twilio", secrets=secrets_of("twilio"), **said)


def test_what_the_carrier_says_about_the_account_is_told(gw: Gateway) -> None:
    added = gw.credentials.add_checked("twilio", secrets_of("twilio"))
    assert added.account is not None
    assert (added.account.name, added.account.status) == ("Test", "active")
    assert gw.credentials.add_checked("twilio", secrets_of("twilio"), name="b", check=False).account is None


def test_each_account_has_a_name_of_its_own(gw: Gateway) -> None:
    assert [add(gw).name for _ in range(3)] == ["twilio", "twilio-2", "twilio-3"]
    with pytest.raises(Conflict, match="another account is named 'twilio-2': give this one another name"):
        add(gw, name="twilio-2")
    assert gw.credentials.get("twilio-2").name == "twilio-2"


def test_an_account_that_cannot_be_used_is_refused_with_the_reason_and_the_fix(
    gw: Gateway, account: Account
) -> None:
    account.refuses.add("check")
    with pytest.raises(
        RequestRefused, match=r"not added: the carrier refuses these secrets \(authenticate\); copy"
    ):
        add(gw)
    account.refuses.clear()
    for status in ("suspended", "closed"):
        account.status = status
        with pytest.raises(Conflict, match=f"is {status}; settle that with the carrier first"):
            add(gw)
    assert gw.credentials.list() == []
    add(gw, check=False)


def test_a_carrier_that_cannot_be_asked_says_how_to_go_on(
    gw: Gateway, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang() -> None:
        raise ProviderUnavailable("timed out", provider="twilio")

    monkeypatch.setattr(account, "check_account", hang)
    with pytest.raises(ProviderUnavailable, match=r"could not be asked \(timed out\).*--no-check"):
        add(gw)
    assert gw.credentials.list() == []


def test_a_rotation_has_two_live_secrets_until_the_old_one_is_retired(gw: Gateway) -> None:
    old = secrets_of("twilio")["auth_token"]
    add(gw)
    rotating = gw.credentials.rotate("twilio", auth_token=NEW)
    assert (rotating.secrets["auth_token"], rotating.secrets["auth_token_secondary"]) == (old, NEW)
    done = gw.credentials.retire("twilio")
    assert done.secrets["auth_token"] == NEW
    assert old not in done.secrets.values()
    with pytest.raises(Conflict, match="no rotation is under way"):
        gw.credentials.retire("twilio")


def test_a_retired_secret_is_dead_on_every_worker_at_once(
    gw: Gateway, store: Store, account: Account
) -> None:
    worker = open_byoc(store, account)
    key = add(gw).key
    gw.credentials.rotate("twilio", auth_token=NEW)
    seen = worker.services.credential_by_key(key)
    assert seen is not None
    assert seen.secrets["auth_token_secondary"] == NEW
    gw.credentials.retire("twilio")
    seen = worker.services.credential_by_key(key)
    assert seen is not None
    assert dict(seen.secrets) == {**secrets_of("twilio"), "auth_token": NEW}


def test_secrets_that_are_refused_change_nothing(gw: Gateway, account: Account) -> None:
    add(gw)
    account.refuses.add("check")
    with pytest.raises(RequestRefused, match="nothing was changed"):
        gw.credentials.rotate("twilio", auth_token=NEW)
    refused: list[tuple[dict[str, str], type[Exception]]] = [
        ({}, ValidationError),
        ({"auth_token": "short"}, ValidationError),
        ({"pin": "1"}, ConfigurationError),
    ]
    for wrong, error in refused:
        with pytest.raises(error):
            gw.credentials.rotate("twilio", check=False, secrets=wrong)
    assert dict(gw.credentials.get("twilio").secrets) == secrets_of("twilio")


def test_a_secret_that_has_no_second_is_exchanged(store: Store, tmp_path: Path) -> None:
    account = Account(tmp_path / "telnyx.json", "telnyx")
    gw = open_byoc(store, account)
    stock(gw, account, OURS)
    key = "KEY" + "9" * 50
    assert gw.credentials.rotate("telnyx", api_key=key).secrets["api_key"] == key
    gw.numbers.assign(OURS, agent="a", inbound=True)
    with pytest.raises(Conflict, match="unassign them first"):
        gw.credentials.rotate("telnyx", connection_id="1")


# -- the vault's key (R79) -----------------------------------------------------------------------------------------


def rekeyed(store: Store, account: Account, *keys: str) -> Gateway:
    gateway = open_byoc(store, account)
    gateway.services.vault = Vault(keys)
    return gateway


def test_every_secret_is_sealed_anew_and_the_old_key_can_go(
    gw: Gateway, store: Store, account: Account
) -> None:
    for number in range(20):
        add(gw, name=f"c{number}")
    gw.numbers.add_sip([OURS], credential="c0", password="canary")
    new = Fernet.generate_key().decode()
    both = rekeyed(store, account, new, KEY)
    assert both.credentials.rekey() == crediting.Rekeyed(resealed=21)
    assert both.credentials.rekey() == crediting.Rekeyed(unchanged=21)
    alone = rekeyed(store, account, new)
    assert dict(alone.credentials.get("c7").secrets) == secrets_of("twilio")
    assert alone.numbers.check(OURS).is_fine, "the SIP link's password opens too"


def test_a_rekeying_that_is_killed_is_run_again(gw: Gateway, store: Store, account: Account) -> None:
    for number in range(5):
        add(gw, name=f"c{number}")
    both = rekeyed(store, account, Fernet.generate_key().decode(), KEY)

    class Killed(BaseException):
        pass

    def die_at(done: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        both.credentials.rekey(die_at)
    assert all(dict(both.credentials.get(f"c{n}").secrets) == secrets_of("twilio") for n in range(5))
    assert both.credentials.rekey() == crediting.Rekeyed(resealed=2, unchanged=3)


def test_rows_that_were_swapped_are_named_and_stop_no_other(
    gw: Gateway, store: Store, account: Account
) -> None:
    added = [add(gw, name=f"c{number}") for number in range(3)]
    sealed = [credentials.load_sealed_credential(store, each.id).sealed for each in added]
    with store.transaction() as tx:
        credentials.save_sealed(tx, added[0].id, sealed[1])
        credentials.save_sealed(tx, added[1].id, sealed[0])
    both = rekeyed(store, account, Fernet.generate_key().decode(), KEY)
    done = both.credentials.rekey()
    assert done.resealed == 1
    assert [added[0].id in done.failures[0], added[1].id in done.failures[1]] == [True, True]
    assert "sealed for another row" in done.failures[0]


def test_a_secret_that_changes_meanwhile_is_not_overwritten(
    gw: Gateway, store: Store, account: Account
) -> None:
    found = add(gw)
    old = credentials.load_sealed_credential(store, found.id).sealed
    gw.credentials.rotate("twilio", auth_token=NEW)
    with store.transaction() as tx:
        assert not credentials.save_resealed(tx, found.id, old=old, new="an older state")
    assert gw.credentials.get("twilio").secrets["auth_token_secondary"] == NEW


def test_the_removal_of_an_account_waits_for_its_carrier(gw: Gateway, account: Account) -> None:
    stock(gw, account, OURS)
    gw.numbers.assign(OURS, agent="a", inbound=True)
    account.refuses.add("restore number")
    with pytest.raises(RequestRefused, match="is kept"):
        gw.credentials.remove("twilio", release_numbers=True)
    assert len(gw.credentials.list()) == 1
    account.refuses.clear()
    gw.credentials.remove("twilio", release_numbers=True)
    assert gw.credentials.list() == []
