"""Numbers that were not there: searched, bought once at most, verified to be shown, linked by SIP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway import Gateway
from gateway.errors import (
    Conflict,
    InvalidNumber,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.ids import new_id
from gateway.models import NumberKind
from gateway.store import Store, numbers, sip_links
from tests.byockit import OTHER, OURS, THIRD, Account, open_byoc, stock
from tests.stubs import CALLEE, StubCarrier, stub_gateway
from tests.wires import Clock


@pytest.fixture
def account(tmp_path: Path) -> Account:
    found = Account(tmp_path / "carrier.json", "twilio")
    with found.state() as state:
        state["shop"] = {OURS: "1.15", OTHER: "1.15"}
    return found


@pytest.fixture
def gw(store: Store, account: Account) -> Gateway:
    gateway = open_byoc(store, account)
    stock(gateway, account)
    return gateway


def test_a_number_is_found_with_its_price_and_bought_once(gw: Gateway, account: Account) -> None:
    found = gw.numbers.search("twilio", country="US", contains="0100")
    assert [(each.e164, str(each.monthly_price)) for each in found] == [(OURS, "1.15")]
    quoted = gw.numbers.quote(OTHER, credential="twilio")
    assert quoted is not None
    assert quoted.e164 == OTHER
    assert gw.numbers.quote(THIRD, credential="twilio") is None
    bought = gw.numbers.buy(OURS, credential="twilio")
    assert (bought.was_there, bought.number) == (False, gw.numbers.get(OURS))
    again = gw.numbers.buy(OURS, credential="twilio")
    assert (again.was_there, again.number) == (True, bought.number)
    assert account.writes == ["buy"]


def test_a_lost_answer_is_settled_by_looking_and_never_by_ordering_again(
    gw: Gateway, account: Account
) -> None:
    account.loses["buy"] = "after"
    assert gw.numbers.buy(OURS, credential="twilio").number == gw.numbers.get(OURS)
    account.loses["buy"] = "before"
    with pytest.raises(
        ProviderUnavailable, match=r"cannot be told whether …0101 was bought.*looks before it orders"
    ):
        gw.numbers.buy(OTHER, credential="twilio")
    assert account.writes == ["buy"]


def test_an_order_that_is_refused_leaves_nothing(gw: Gateway, account: Account) -> None:
    account.refuses.add("buy")
    with pytest.raises(RequestRefused, match="address required"):
        gw.numbers.buy(OURS, credential="twilio")
    assert gw.numbers.list() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"country": "USA"},
        {"country": "US", "kind": "gold"},
        {"country": "US", "area_code": "(415)"},
        {"country": "US", "contains": "1*"},
        {"country": "US", "limit": 0},
    ],
)
def test_a_search_that_cannot_be_names_its_field(gw: Gateway, wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=[*wrong][-1]):
        gw.numbers.search("twilio", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidNumber):
        gw.numbers.buy("0100", credential="twilio")


def test_a_foreign_number_is_verified_and_shown(gw: Gateway, account: Account) -> None:
    begun = gw.numbers.verify_caller_id(OURS, credential="twilio")
    assert begun.code_to_type == "123456"
    with pytest.raises(RequestRefused, match="wrong code"):
        gw.numbers.confirm_caller_id(OURS, credential="twilio", verification_ref="V1", code="1111")
    number = gw.numbers.confirm_caller_id(OURS, credential="twilio", verification_ref="V1", code="4242")
    assert number.kind is NumberKind.CALLER_ID
    assert [each.e164 for each in gw.numbers.caller_ids("twilio")] == [OURS]
    with pytest.raises(Conflict, match="not verified"):
        gw.numbers.add_caller_id(OTHER, credential="twilio")


def test_a_sip_link_is_made_its_password_sealed_and_mended(
    gw: Gateway, store: Store, account: Account
) -> None:
    added = gw.numbers.add_sip(
        [OURS, OTHER],
        credential="twilio",
        name="pbx",
        carrier_host="sbc.example.net:5060",
        password="canary!",
    )
    assert {each.e164 for each in added.numbers} == {OURS, OTHER}
    assert added.instructions == (("send calls to", "sip.example.net"),)
    assert {each.trunk_ref for each in added.numbers} == {"BY1"}
    [sealed] = sip_links.list_sip_links(store)
    assert "canary" not in sealed.sealed
    assert gw.numbers.check(OURS).is_fine
    with account.state() as found:
        found["sip"].clear()
    assert not gw.numbers.check(OURS).is_fine
    assert gw.numbers.repair(OURS).is_fine
    assert [*account.read()["sip"].values()] == [{"host": "sbc.example.net:5060", "password": "canary!"}]
    more = gw.numbers.add_sip([THIRD], credential="twilio", name="pbx")
    assert len(more.numbers) == 3, "the same link"
    assert [*account.read()["sip"].values()] == [{"host": "sbc.example.net:5060", "password": "canary!"}]
    gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    assert "number" not in account.writes, "it is not the account's: there is nothing to point"


def test_a_link_that_the_carrier_cannot_make_leaves_nothing(
    gw: Gateway, store: Store, account: Account
) -> None:
    with pytest.raises(UnsupportedFeature, match="to that host"):
        gw.numbers.add_sip([OURS], credential="twilio", carrier_host="cannot.example.net")
    assert (sip_links.list_sip_links(store), gw.numbers.list(), account.writes) == ([], [], [])
    gw.numbers.add_sip([OURS], credential="twilio", carrier_host="sbc.example.net")
    with pytest.raises(UnsupportedFeature, match="to that host"):
        gw.numbers.add_sip([OTHER], credential="twilio", carrier_host="cannot.example.net")
    [kept] = sip_links.list_sip_links(store)
    assert (kept.link.carrier_host, account.writes) == ("sbc.example.net", ["sip"])


def test_a_sip_number_is_not_one_of_the_accounts_own(gw: Gateway, account: Account) -> None:
    account.add(OURS)
    gw.numbers.import_from("twilio")
    with pytest.raises(Conflict, match="the account's own"):
        gw.numbers.add_sip([OURS], credential="twilio")
    with pytest.raises(ValidationError, match="name"):
        gw.numbers.add_sip([OTHER], credential="twilio", name="My PBX")
    assert account.writes == []


def test_a_dial_from_a_sip_number_names_its_link(store: Store) -> None:
    carrier = StubCarrier()
    gw = stub_gateway(store, carrier, Clock())
    linked = replace(gw.numbers.get(OURS), id=new_id(), e164=THIRD, kind=NumberKind.SIP, trunk_ref="BY1")
    with store.transaction() as tx:
        numbers.insert_numbers(tx, [linked])
    gw.numbers.assign(THIRD, agent="desk", outbound=True)
    gw.place_call("desk", CALLEE, from_number=THIRD)
    gw.place_call("desk", "+14155550124", from_number=OURS)
    assert [each.trunk_ref for each in carrier.dials] == ["BY1", None]
