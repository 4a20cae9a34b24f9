"""A number is found with its price and bought with one request; a lost answer is settled by looking."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway import CallStatus
from gateway.byoc import OrderState
from gateway.errors import NotFound, ProviderUnavailable, RequestRefused, ValidationError
from providers.simulator import Answer, Fault
from tests.bench import CALLEE
from tests.ownerkit import Owner
from tests.wires import Wire

FOR_SALE = "+14155550142"
LOST = (Fault.SERVER_ERROR_AFTER, Fault.RESET_AFTER, Fault.HANG_AFTER, Fault.GARBAGE)


def offer(owner: Owner) -> None:
    """Put a number up for sale, and have the account here."""
    owner.sim.add_inventory(owner.provider, FOR_SALE, monthly="1.50")
    owner.bring()


def buys(owner: Owner) -> list[dict[str, object]]:
    return [each for each in owner.asked() if each["operation"] == "buy" and each["method"] != "GET"]


def usable(owner: Owner) -> bool:
    """Whether the account has the number by now, and it takes calls."""
    found = owner.gw.services.provider_of(owner.gw.credentials.get(owner.provider)).find_number(FOR_SALE)
    return found is not None and found.has_voice


def bought(owner: Owner) -> None:
    """Buy it, wait until the carrier is through with the order, and see that it is here."""
    owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
    owner.bench.until(lambda: usable(owner))
    assert owner.gw.numbers.buy(FOR_SALE, credential=owner.provider).state is OrderState.BOUGHT


def test_a_number_is_found_with_its_price_and_bought_with_one_request(owner: Owner) -> None:
    offer(owner)
    [found] = [
        each
        for each in owner.gw.numbers.search(owner.provider, country="US", area_code="415")
        if each.e164 == FOR_SALE
    ]
    quoted = owner.gw.numbers.quote(FOR_SALE, credential=owner.provider)
    assert quoted is not None
    assert (found.monthly_price, found.currency) == (quoted.monthly_price, quoted.currency)
    assert found.monthly_price in (Decimal("1.50"), Decimal("1.15")), "Twilio's price list is the country's"
    assert found.currency == "USD"
    assert buys(owner) == [], "looking costs nothing"
    bought(owner)
    assert len(buys(owner)) == 1
    owner.gw.numbers.assign(FOR_SALE, agent="echo", inbound=True, outbound=True)
    assert owner.rings(FOR_SALE)[1].agent_id == "echo"
    owner.sim.script(CALLEE, Answer(talk_s=2))
    placed = owner.bench.ended(owner.bench.place())
    assert (placed.status, placed.from_number) == (CallStatus.COMPLETED, FOR_SALE)
    owner.bench.settled()


def test_an_order_that_takes_time_is_told_and_not_repeated(owner: Owner) -> None:
    habits: Any = owner.sim.face(owner.provider).habits  # type: ignore[attr-defined]
    for name in ("order_takes_s", "rental_takes_s"):
        if hasattr(habits, name):
            setattr(habits, name, 20.0)  # two real seconds
    offer(owner)
    first = owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
    assert first.state is (OrderState.BOUGHT if owner.provider == "twilio" else OrderState.PENDING)
    if first.state is OrderState.PENDING:
        assert first.number is None
    if owner.provider == "telnyx":  # which lists it before the order is through
        again = owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
        assert (again.state, again.number, again.was_there) == (OrderState.PENDING, None, True)
        assert len(buys(owner)) == 1
    owner.bench.until(lambda: usable(owner))
    owner.gw.numbers.import_from(owner.provider)
    assert owner.gw.numbers.get(FOR_SALE).e164 == FOR_SALE
    assert len(buys(owner)) == 1


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_found_out_by_looking(owner: Owner, fault: Fault) -> None:
    owner.gw.services.open_provider = Wire(total_timeout_s=1.0).open_provider
    offer(owner)
    owner.sim.faults.api(owner.provider, "buy", fault)
    told = "ask again in a minute"
    try:
        owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
    except ProviderUnavailable as error:  # where an order takes time, the number is not there at once
        told = str(error)
    assert "ask again in a minute" in told
    owner.bench.until(lambda: usable(owner))
    assert owner.gw.numbers.buy(FOR_SALE, credential=owner.provider).was_there
    assert owner.gw.numbers.get(FOR_SALE).e164 == FOR_SALE
    assert len(buys(owner)) == 1


def test_a_number_that_is_not_for_sale_is_refused(owner: Owner) -> None:
    owner.bring()
    assert owner.gw.numbers.quote(FOR_SALE, credential=owner.provider) is None
    with pytest.raises((RequestRefused, ValidationError, NotFound)):
        owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
    with pytest.raises(NotFound):
        owner.gw.numbers.get(FOR_SALE)


def test_a_number_that_is_here_is_not_bought_again(owner: Owner) -> None:
    offer(owner)
    bought(owner)
    again = owner.gw.numbers.buy(FOR_SALE, credential=owner.provider)
    assert again.was_there
    assert len(buys(owner)) == 1


def test_a_number_is_given_back_only_when_that_is_said(owner: Owner) -> None:
    offer(owner)
    bought(owner)
    owner.gw.numbers.assign(FOR_SALE, agent="echo", inbound=True)
    owner.gw.numbers.release(FOR_SALE)
    assert owner.sim.number_settings(owner.account, FOR_SALE), "forgotten here, kept there"
    owner.gw.numbers.import_from(owner.provider)
    owner.gw.numbers.release(FOR_SALE, give_back=True)
    with pytest.raises(LookupError):
        owner.sim.number_settings(owner.account, FOR_SALE)
