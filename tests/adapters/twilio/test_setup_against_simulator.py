"""The adapter's set-up verbs against the simulated Twilio: what they write calls follow, and drift shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.byoc import NumberQuery, NumberSetup, OrderState, SetupUrls, SipRequest, TargetKind
from gateway.errors import Conflict, NotFound, ProviderError, RequestRefused
from gateway.interface import DialResult
from providers.simulator import Account, Fault, Simulator
from providers.twilio import TwilioProvider
from tests.adapters.kit import DIAL

OURS, BOUGHT, PERSON = "+14155550100", "+14155550201", "+12125550123"
URLS = SetupUrls(
    answer="https://gw.example.net/voice/k/answer",
    status="https://gw.example.net/voice/k/status",
    fallback="https://gw.example.net/voice/k/fallback",
    events="https://gw.example.net/voice/k/events",
)
SETUP = NumberSetup(urls=URLS)
LINK = SipRequest(
    name="gw-acme",
    urls=URLS,
    carrier_host="sbc.carrier.example:5060",
    carrier_ips=("192.0.2.1", "192.0.2.2"),
)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=50) as simulator:
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio", name="Acme")
    sim.add_number(account, OURS, settings={"voice_url": "https://old.example.net/v", "voice_method": "GET"})
    return account


@pytest.fixture
def adapter(sim: Simulator, account: Account) -> TwilioProvider:
    return TwilioProvider(account.secrets, base_url=sim.base_url("twilio"))


def test_a_number_is_pointed_at_us_compared_and_put_back(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    found = adapter.find_number(OURS)
    assert found is not None
    assert adapter.target_of(found).urls == ("https://old.example.net/v",)
    ours = adapter.configure_number(found, SETUP)
    assert adapter.is_ours(ours, SETUP)
    assert adapter.differences(ours, None, SETUP) == ()
    assert len(sim.writes("twilio", "number_write")) == 1
    sim.change_number(account, OURS, voice_url="https://elsewhere.example.net/", status_callback="")
    drifted = adapter.find_number(OURS)
    assert drifted is not None
    differences = adapter.differences(drifted, None, SETUP)
    assert {difference.setting for difference in differences} == {"voice_url", "status_callback"}
    adapter.restore_number(drifted, found.settings)
    shown = sim.number_settings(account, OURS)
    assert (shown["voice_url"], shown["voice_method"]) == ("https://old.example.net/v", "GET")
    sim.remove_number(account, OURS)
    assert adapter.find_number(OURS) is None
    with pytest.raises(NotFound):
        adapter.configure_number(found, SETUP)


def test_an_application_and_a_trunk_that_come_first_are_seen_and_cleared(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    sim.change_number(account, OURS, trunk_sid="TK" + "1" * 32)
    found = adapter.find_number(OURS)
    assert found is not None
    assert adapter.target_of(found).kind is TargetKind.TRUNK
    assert not adapter.is_ours(found, SETUP)
    assert adapter.is_ours(adapter.configure_number(found, SETUP), SETUP)
    assert sim.number_settings(account, OURS)["trunk_sid"] is None


@pytest.mark.parametrize(
    ("fault", "was_written"), [(Fault.SERVER_ERROR_BEFORE, False), (Fault.SERVER_ERROR_AFTER, True)]
)
def test_a_write_that_fails_is_reported_and_asking_again_settles_it(
    sim: Simulator, adapter: TwilioProvider, fault: Fault, was_written: bool
) -> None:
    found = adapter.find_number(OURS)
    assert found is not None
    sim.faults.api("twilio", "number_write", fault)
    with pytest.raises(ProviderError):
        adapter.configure_number(found, SETUP)
    after = adapter.find_number(OURS)
    assert after is not None
    assert adapter.is_ours(after, SETUP) is was_written
    assert adapter.is_ours(adapter.configure_number(after, SETUP), SETUP)


def test_every_one_of_ten_thousand_numbers_is_listed_once(sim: Simulator) -> None:
    account = sim.add_account("twilio")
    numbers = sim.add_numbers(account, 10_000)
    adapter = TwilioProvider(account.secrets, base_url=sim.base_url("twilio"))
    assert [number.e164 for number in adapter.list_numbers()] == numbers


def test_a_number_is_searched_bought_once_and_released(sim: Simulator, adapter: TwilioProvider) -> None:
    sim.add_inventory("twilio", BOUGHT, region="CA", monthly="1.15")
    found = adapter.search_numbers(NumberQuery(country="US", area_code="415"))
    assert [(number.e164, number.monthly_price) for number in found] == [(BOUGHT, Decimal("1.15"))]
    order = adapter.buy_number(BOUGHT, reference="order-1")
    assert (order.state, order.number is not None) == (OrderState.BOUGHT, True)
    with pytest.raises(RequestRefused):
        adapter.buy_number(BOUGHT, reference="order-2")
    assert order.number is not None
    adapter.release_number(order.number.carrier_ref)
    adapter.release_number(order.number.carrier_ref)
    assert [entry.data["operation"] for entry in sim.writes("twilio")] == ["buy", "release"]


def test_a_caller_id_is_verified_on_the_phone_and_may_be_shown(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    dial = replace(DIAL, caller_id=PERSON, to="+13105550199")
    assert adapter.dial(dial).result is DialResult.REJECTED
    begun = adapter.start_caller_id(PERSON)
    with pytest.raises(Conflict):
        adapter.confirm_caller_id(PERSON, begun.verification_ref, None)
    assert sim.type_code(account, PERSON, begun.code_to_type or "")
    confirmed = adapter.confirm_caller_id(PERSON, begun.verification_ref, None)
    assert [caller_id.e164 for caller_id in adapter.list_caller_ids()] == [confirmed.e164] == [PERSON]
    assert adapter.dial(dial).result is DialResult.ACCEPTED


def test_a_link_to_a_sip_carrier_is_made_once_and_checked(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    made = adapter.ensure_sip(LINK)
    writes = len(sim.writes("twilio", "trunks"))
    assert adapter.ensure_sip(LINK).refs == made.refs
    assert len(sim.writes("twilio", "trunks")) == writes
    assert adapter.check_sip(replace(LINK, refs=made.refs)) == ()
    assert sim.ring("sip:+14155550155@gw-acme.sip.twilio.com", from_=PERSON).to.startswith("sip:")
    dial = replace(DIAL, caller_id=OURS, to=PERSON, trunk_ref=made.trunk_ref)
    placed = adapter.dial(dial)
    assert placed.result is DialResult.ACCEPTED
    assert sim.dials("twilio")[-1].data["parameters"]["Byoc"] == made.trunk_ref


def test_what_keeps_calls_from_a_country_is_said(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    assert adapter.account_differences(None, ("US", "CA", "GB")) == ()
    sim.permit(account, "GB", False)
    differences = adapter.account_differences(None, ("US", "CA", "GB"))
    assert ["GB" in difference.setting for difference in differences] == [True]


def test_a_suspended_and_a_trial_account_are_told_from_a_good_one(
    sim: Simulator, account: Account, adapter: TwilioProvider
) -> None:
    assert (adapter.check_account().status, adapter.check_account().kind) == ("active", "main")
    sim.change_account(account, kind="trial")
    assert adapter.check_account().kind == "trial"
    sim.change_account(account, status="suspended")
    assert adapter.check_account().status == "suspended"
    sub = sim.add_sub_account(sim.add_account("twilio"), "Branch")
    info = TwilioProvider(sub.secrets, base_url=sim.base_url("twilio")).check_account()
    assert (info.name, info.kind, info.balance) == ("Branch", "sub_account", None)
