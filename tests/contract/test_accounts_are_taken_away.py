"""An account is removed when nothing of it is in use; releasing its numbers puts the carrier's side back first."""

from __future__ import annotations

import pytest

from gateway.errors import Conflict, NotFound, RequestRefused
from providers.simulator import Answer
from tests.bench import CALLEE, OURS
from tests.ownerkit import OTHER, Owner


def applications(owner: Owner) -> int:
    return len(owner.sim.applications(owner.account))


def test_an_account_in_use_stays_and_its_calls_go_on(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    ours = owner.stands()
    with pytest.raises(Conflict, match=r"release|unassign"):
        owner.gw.credentials.remove(owner.provider)
    assert owner.stands() == ours
    assert owner.rings()[1].agent_id == "echo"


def test_an_account_goes_with_its_numbers_and_leaves_the_carrier_as_it_was(owner: Owner) -> None:
    before, count = owner.stands(), applications(owner)
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    owner.gw.numbers.assign(OTHER, agent="echo", inbound=True)
    owner.gw.credentials.remove(owner.provider, release_numbers=True)
    assert owner.stands() == before
    assert applications(owner) == count, "the application that we made is gone too"
    assert owner.gw.credentials.list() == []
    assert owner.gw.numbers.list() == []
    with pytest.raises(NotFound):
        owner.gw.credentials.get(owner.provider)


def test_an_account_whose_number_cannot_be_put_back_stays(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.sim.faults.api(owner.provider, "number_write", status=400)
    with pytest.raises(RequestRefused, match="kept"):
        owner.gw.credentials.remove(owner.provider, release_numbers=True)
    assert [each.provider for each in owner.gw.credentials.list()] == [owner.provider]
    owner.gw.credentials.remove(owner.provider, release_numbers=True)
    assert owner.stands() == before


def test_an_account_with_a_live_call_stays(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", outbound=True)
    owner.sim.script(CALLEE, Answer())
    call = owner.bench.place()
    owner.bench.until(lambda: owner.gw.calls.get(call.id).status == "in_progress")
    with pytest.raises(Conflict, match="call"):
        owner.gw.credentials.remove(owner.provider, release_numbers=True)
    owner.gw.hang_up(call.id)
    owner.bench.ended(call)
    owner.bench.settled()
    owner.gw.credentials.remove(owner.provider, release_numbers=True)
    assert owner.gw.credentials.list() == []


def test_an_account_goes_with_its_caller_ids_and_sip_links(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    owner.sim.verify_caller_id(owner.account, "+12125550199")
    owner.gw.numbers.add_caller_id("+12125550199", credential=owner.provider)
    how = {
        "telnyx": {},
        "plivo": {"carrier_ips": ["203.0.113.10"]},
        "twilio": {"carrier_ips": ["203.0.113.10"]},
    }
    owner.gw.numbers.add_sip(["+12125550150"], credential=owner.provider, **how[owner.provider])
    owner.gw.numbers.assign("+12125550199", agent="echo", outbound=True)
    owner.gw.numbers.assign("+12125550150", agent="echo", inbound=True)
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    assert owner.gw.credentials.remove(owner.provider, release_numbers=True) == ()
    assert owner.stands() == before
    assert owner.links() == [], "what the link made is deleted"
    assert owner.gw.credentials.list() == []
    assert owner.gw.numbers.list() == []
    assert owner.gw.numbers.assignments() == []
