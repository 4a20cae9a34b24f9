"""Every carrier's numbers are found, pointed at us, compared, put back, bought and given back in the same way.

The adapter through its SDK and transport against the carrier simulator; no gateway, no store: those are tested over
the whole bench.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from gateway import registry
from gateway.byoc import (
    ApplicationRequest,
    CarrierApplication,
    CarrierNumber,
    Difference,
    NumberQuery,
    NumberSetup,
    OrderState,
    SipRequest,
    TargetKind,
)
from gateway.errors import Conflict, NotFound, ProviderUnavailable, RequestRefused, UnsupportedFeature
from gateway.interface import Provider
from providers.simulator import Account, Fault, Simulator
from tests.adapters.kit import GATEWAY, SETUP_URLS

OURS: Final = "+14155550100"
FOREIGN: Final = "+12125550199"
FOR_SALE: Final = "+14155550142"

# What a person sets in the console besides us: the number's settings before, and what drift looks like.
ELSEWHERE: Final = "https://elsewhere.example.net/voice"
ASKED: Final = ApplicationRequest(name="gw-k3y", urls=SETUP_URLS)


@dataclass(frozen=True, kw_only=True)
class Held:
    """One account at one carrier, with one number that points somewhere else."""

    provider: Provider
    sim: Simulator
    account: Account
    before: CarrierNumber

    def set_up(self) -> tuple[NumberSetup, CarrierApplication | None]:
        """Make what the numbers are to point at."""
        application = self.provider.ensure_application(ASKED)
        ref = application.ref if application else None
        return NumberSetup(urls=SETUP_URLS, application_ref=ref), application

    def number(self) -> CarrierNumber:
        """Return the number as it stands."""
        found = self.provider.find_number(OURS)
        assert found is not None
        return found


@pytest.fixture(params=sorted(registry.BUILT_IN))
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    with Simulator(speed=20) as sim:
        account = sim.add_account(request.param)
        provider = registry.open_provider(
            request.param, account.secrets, base_url=sim.base_url(request.param)
        )
        sim.add_number(account, OURS)
        if provider.capabilities.has_applications:
            other = provider.ensure_application(
                replace(
                    ASKED, name="somebody-else", urls=replace(SETUP_URLS, answer=ELSEWHERE, events=ELSEWHERE)
                )
            )
            first = provider.find_number(OURS)
            assert other is not None
            assert first is not None
            provider.configure_number(first, NumberSetup(urls=SETUP_URLS, application_ref=other.ref))
        else:
            sim.change_number(account, OURS, voice_url=ELSEWHERE, voice_method="GET")
        before = provider.find_number(OURS)
        assert before is not None
        yield Held(provider=provider, sim=sim, account=account, before=before)


def test_the_account_is_told_whole(held: Held) -> None:
    info = held.provider.check_account()
    assert (info.status, info.kind) == ("active", "main")
    assert info.balance is not None
    assert info.currency == "USD"


def test_wrong_secrets_are_refused_with_what_to_do(held: Held) -> None:
    wrong = {
        name: value[::-1] if "token" in name or name == "api_key" else value
        for name, value in held.account.secrets.items()
    }
    other = registry.open_provider(held.provider.name, wrong, base_url=held.sim.base_url(held.provider.name))
    with pytest.raises(RequestRefused, match="copy"):
        other.check_account()


def test_numbers_are_listed_and_found(held: Held) -> None:
    held.sim.add_number(held.account, "+14155550177", voice=held.provider.name == "telnyx")
    listed = {number.e164: number for number in held.provider.list_numbers()}
    assert set(listed) == {OURS, "+14155550177"}
    assert listed[OURS].has_voice
    assert listed[OURS].carrier_ref == held.number().carrier_ref
    assert held.provider.find_number("+14155550178") is None


def test_what_a_number_points_at_is_named_with_its_urls(held: Held) -> None:
    target = held.provider.target_of(held.before)
    kind = TargetKind.APPLICATION if held.provider.capabilities.has_applications else TargetKind.URL
    assert target.kind is kind
    assert target.urls[0].startswith(ELSEWHERE)


def test_a_number_that_points_at_us_has_no_differences(held: Held) -> None:
    setup, application = held.set_up()
    assert not held.provider.is_ours(held.before, setup)
    assert held.provider.differences(held.before, application, setup)
    configured = held.provider.configure_number(held.before, setup)
    assert configured == held.number()
    assert held.provider.is_ours(configured, setup)
    assert held.provider.differences(configured, application, setup) == ()
    assert held.provider.target_of(configured).urls[0].startswith(GATEWAY)


def test_setting_up_again_writes_no_second_application(held: Held) -> None:
    _, first = held.set_up()
    _, again = held.set_up()
    assert again == first
    if first is not None:
        made = [each for each in held.sim.applications(held.account) if "gw-k3y" in each.values()]
        assert len(made) == 1


def test_what_was_there_before_is_put_back_exactly(held: Held) -> None:
    setup, _ = held.set_up()
    configured = held.provider.configure_number(held.before, setup)
    restored = held.provider.restore_number(configured, held.before.settings)
    assert restored.settings == held.before.settings
    assert held.number() == held.before
    assert not held.provider.is_ours(restored, setup)


def test_a_number_that_pointed_at_nothing_points_at_nothing_again(held: Held) -> None:
    held.sim.add_number(held.account, "+14155550188")
    if held.provider.name == "telnyx":  # its console attaches a new number at once
        held.sim.change_number(held.account, "+14155550188", connection_id=None)
    before = held.provider.find_number("+14155550188")
    assert before is not None
    assert held.provider.target_of(before).kind is TargetKind.NOTHING
    setup, _ = held.set_up()
    configured = held.provider.configure_number(before, setup)
    restored = held.provider.restore_number(configured, before.settings)
    assert held.provider.target_of(restored).kind is TargetKind.NOTHING


def drift(held: Held, application: CarrierApplication | None) -> set[str]:
    """Change settings in the console, behind our back; return the names of what must be told."""
    match held.provider.name:
        case "twilio":
            held.sim.change_number(held.account, OURS, voice_url=ELSEWHERE, status_callback="")
            return {"voice_url", "status_callback"}
        case "telnyx":
            assert application is not None
            held.sim.change_application(held.account, application.ref, webhook_api_version="1", active=False)
            return {"webhook_api_version", "active"}
        case _:
            assert application is not None
            held.sim.change_application(
                held.account, application.ref, answer_url=ELSEWHERE, hangup_method="GET"
            )
            return {"answer_url", "hangup_method"}


def test_a_change_behind_our_back_is_told_and_mended(held: Held) -> None:
    setup, application = held.set_up()
    held.provider.configure_number(held.before, setup)
    changed = drift(held, application)
    found = differences(held, setup)
    assert {each.setting for each in found} == changed
    assert all(each.is_repairable for each in found)
    setup, _ = held.set_up()
    held.provider.configure_number(held.number(), setup)
    assert differences(held, setup) == ()


def differences(held: Held, setup: NumberSetup) -> tuple[Difference, ...]:
    ref = setup.application_ref
    application = held.provider.fetch_application(ref) if ref else None
    return held.provider.differences(held.number(), application, setup)


def test_a_number_that_was_taken_by_somebody_else_is_not_ours(held: Held) -> None:
    setup, _ = held.set_up()
    configured = held.provider.configure_number(held.before, setup)
    held.provider.restore_number(configured, held.before.settings)  # as the other one would
    assert not held.provider.is_ours(held.number(), setup)
    (first, *_) = differences(held, setup)
    assert first.is_repairable


def test_an_application_is_put_back_and_deleted(held: Held) -> None:
    if not held.provider.capabilities.has_applications:
        with pytest.raises(UnsupportedFeature):
            held.provider.fetch_application("x")
        return
    other = held.provider.target_of(held.before)
    ref = next(
        each.ref
        for each in (held.provider.fetch_application(str(one)) for one in application_refs(held))
        if each.name == "somebody-else"
    )
    before = held.provider.fetch_application(ref)
    held.provider.ensure_application(replace(ASKED, ref=ref))
    assert held.provider.fetch_application(ref).settings != before.settings
    held.provider.restore_application(ref, before.settings)
    assert held.provider.fetch_application(ref) == before
    assert held.provider.target_of(held.number()) == other
    _, made = held.set_up()
    assert made is not None
    held.provider.delete_application(made.ref)
    held.provider.delete_application(made.ref)
    with pytest.raises(NotFound):
        held.provider.fetch_application(made.ref)


def application_refs(held: Held) -> list[Any]:
    return [each.get("app_id") or each.get("id") for each in held.sim.applications(held.account)]


def test_a_number_that_left_the_account_is_not_found(held: Held) -> None:
    setup, _ = held.set_up()
    held.sim.remove_number(held.account, OURS)
    assert held.provider.find_number(OURS) is None
    with pytest.raises(NotFound):
        held.provider.configure_number(held.before, setup)
    with pytest.raises(NotFound):
        held.provider.restore_number(held.before, held.before.settings)
    held.provider.release_number(held.before.carrier_ref)


def test_a_country_that_may_not_be_called_is_told_where_the_carrier_tells(held: Held) -> None:
    _, application = held.set_up()
    held.sim.permit(held.account, "US", True)
    assert held.provider.account_differences(application, ("US",)) == ()
    held.sim.permit(held.account, "DE", False)
    found = held.provider.account_differences(application, ("US", "DE"))
    told = [] if held.provider.name == "plivo" else [False]  # its API does not tell
    assert [each.is_repairable for each in found if "DE" in each.setting] == told


def test_a_number_is_searched_bought_and_given_back(held: Held) -> None:
    held.sim.add_inventory(held.provider.name, FOR_SALE, monthly="1.50")
    offered = held.provider.search_numbers(NumberQuery(country="US", area_code="415"))
    assert FOR_SALE in {each.e164 for each in offered}
    order = held.provider.buy_number(FOR_SALE, reference="order-1")
    held.sim.wait(lambda: held.provider.find_number(FOR_SALE) is not None)
    bought = order.number or held.provider.find_number(FOR_SALE)
    assert order.state in (OrderState.BOUGHT, OrderState.PENDING)
    assert bought is not None
    assert bought.has_voice or order.state is OrderState.PENDING
    with pytest.raises(RequestRefused):
        held.provider.buy_number(FOR_SALE, reference="order-2")
    held.provider.release_number(bought.carrier_ref)
    assert held.provider.find_number(FOR_SALE) is None
    held.provider.release_number(bought.carrier_ref)


def test_a_purchase_whose_answer_is_lost_is_asked_for_once_and_may_be_found(held: Held) -> None:
    held.sim.add_inventory(held.provider.name, FOR_SALE)
    held.sim.faults.api(held.provider.name, "buy", Fault.SERVER_ERROR_AFTER, times=1)
    with pytest.raises(ProviderUnavailable):
        held.provider.buy_number(FOR_SALE, reference="order-1")
    assert len(held.sim.writes(held.provider.name, "buy")) == 1
    held.sim.wait(lambda: held.provider.find_number(FOR_SALE) is not None)


def test_a_foreign_number_is_verified_as_caller_id(held: Held) -> None:
    assert list(held.provider.list_caller_ids()) == []
    begun = held.provider.start_caller_id(FOREIGN)
    if begun.code_to_type is not None:  # the person types it on the phone
        with pytest.raises(Conflict):
            held.provider.confirm_caller_id(FOREIGN, begun.verification_ref, None)
        assert held.sim.type_code(held.account, FOREIGN, begun.code_to_type)
        confirmed = held.provider.confirm_caller_id(FOREIGN, begun.verification_ref, None)
    else:
        code = held.sim.sent_code(held.account, FOREIGN)
        wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
        with pytest.raises((RequestRefused, Conflict)):
            held.provider.confirm_caller_id(FOREIGN, begun.verification_ref, wrong)
        confirmed = held.provider.confirm_caller_id(FOREIGN, begun.verification_ref, code)
    assert confirmed.e164 == FOREIGN
    assert [each.e164 for each in held.provider.list_caller_ids()] == [FOREIGN]


def links(held: Held, application: CarrierApplication | None) -> list[SipRequest]:
    """Return every kind of link that the carrier takes."""
    base = SipRequest(
        name="acme-7f3k", urls=SETUP_URLS, application_ref=application.ref if application else None
    )
    login = replace(base, username="acmegw", password="Correct4horse")
    by_address = replace(base, numbers=("+12125550150",), carrier_ips=("203.0.113.10", "203.0.113.11"))
    match held.provider.name:
        case "twilio":
            return [replace(login, carrier_ips=by_address.carrier_ips, carrier_host="sbc.example.net:5060")]
        case "telnyx":
            return [replace(base, carrier_host="sbc.example.net:5060")]
        case _:
            return [login, by_address]


def test_a_link_to_another_carrier_is_made_once_and_checked(held: Held) -> None:
    _, application = held.set_up()
    for request in links(held, application):
        assert held.provider.check_sip(request)
        trunk = held.provider.ensure_sip(request)
        assert trunk.instructions
        asked = replace(request, refs=trunk.refs)
        assert held.provider.check_sip(asked) == ()
        assert held.provider.ensure_sip(asked) == trunk
        assert held.provider.check_sip(asked) == ()
