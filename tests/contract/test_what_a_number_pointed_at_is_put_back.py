"""Unassigned or released, a number goes again where it went before us, unless somebody has changed it since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NotFound, RequestRefused
from gateway.models import SetupState
from gateway.status import Direction
from providers.simulator import Fault
from tests.bench import OURS
from tests.ownerkit import OTHER, WAYS_OF_EACH, Owner, open_owner
from tests.wires import Wire


@pytest.fixture(params=WAYS_OF_EACH, ids="-".join)
def pointed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """An account for each thing that a number can have pointed at before us."""
    provider, way = request.param
    with open_owner(provider, tmp_path, sweeps=False, way=way) as opened:
        yield opened


def test_a_number_goes_back_to_where_it_went(pointed: Owner) -> None:
    before = pointed.stands()
    pointed.bring()
    pointed.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    assert pointed.stands() != before
    gone = pointed.gw.numbers.unassign(OURS)
    assert {each.direction for each in gone.assignments} == {Direction.INBOUND, Direction.OUTBOUND}
    assert gone.notes == ()
    assert pointed.stands() == before
    number = pointed.gw.numbers.get(OURS)
    assert (number.setup_state, number.before) == (SetupState.NONE, None)


def test_a_released_number_goes_back_and_is_forgotten(pointed: Owner) -> None:
    before = pointed.stands()
    pointed.bring()
    pointed.gw.numbers.assign(OURS, agent="echo", inbound=True)
    pointed.gw.numbers.release(OURS)
    assert pointed.stands() == before
    with pytest.raises(NotFound):
        pointed.gw.numbers.get(OURS)


def test_a_number_stays_with_us_while_an_agent_takes_its_calls(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    ours = owner.stands()
    owner.gw.numbers.unassign(OURS, direction=Direction.OUTBOUND)
    assert owner.stands() == ours


def test_a_number_that_somebody_changed_since_is_left_and_that_is_said(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.point(OURS, "trunk")
    theirs = owner.stands()
    gone = owner.gw.numbers.unassign(OURS)
    assert "left as it is" in gone.notes[0]
    assert owner.stands() == theirs
    assert owner.gw.numbers.get(OURS).setup_state is SetupState.NONE


def test_the_persons_own_application_is_put_back_with_the_last_number(tmp_path: Path) -> None:
    """At Telnyx a person may name the application that numbers are to point at."""
    with open_owner("telnyx", tmp_path, sweeps=False) as owner:
        mine = {"connection_id": owner.account.connection_id or ""}
        owner.sim.configure_application(owner.account, webhook_url="https://mine.example.net/events")
        before = owner.stands()
        owner.gw.credentials.add("telnyx", secrets={**owner.account.secrets, **mine})
        owner.gw.numbers.import_from("telnyx")
        for number in (OURS, OTHER):
            owner.gw.numbers.assign(number, agent="echo", inbound=True)
        owner.gw.numbers.unassign(OURS)
        assert owner.rings(OTHER)[1].agent_id == "echo", "the other number still needs it"
        owner.gw.numbers.unassign(OTHER)
        assert owner.stands() == before


def test_what_cannot_be_put_back_now_is_put_back_by_a_repair(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.sim.faults.api(owner.provider, "number_write", status=400)
    with pytest.raises(RequestRefused, match="gateway numbers repair"):
        owner.gw.numbers.unassign(OURS)
    assert owner.gw.numbers.get(OURS).setup_state is SetupState.RESTORING
    assert owner.gw.numbers.assignments() == []
    assert not owner.gw.numbers.check(OURS).is_fine
    assert owner.gw.numbers.repair(OURS).is_fine
    assert owner.stands() == before


def test_a_lost_answer_to_putting_back_is_settled_by_reading_back(owner: Owner) -> None:
    before = owner.stands()
    owner.gw.services.open_provider = Wire(total_timeout_s=1.0).open_provider
    owner.bring()
    for fault in (Fault.SERVER_ERROR_AFTER, Fault.HANG_AFTER, Fault.RESET_AFTER, Fault.GARBAGE):
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
        owner.sim.faults.api(owner.provider, "number_write", fault)
        assert owner.gw.numbers.unassign(OURS).notes == ()
        assert owner.gw.numbers.get(OURS).setup_state is SetupState.NONE
        assert owner.stands() == before, fault


def test_a_number_that_left_the_account_is_unassigned_with_a_note(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.sim.remove_number(owner.account, OURS)
    gone = owner.gw.numbers.unassign(OURS)
    assert f"the {owner.provider} account no longer has the number" in gone.notes[0]
    assert owner.gw.numbers.get(OURS).setup_state is SetupState.NONE


@pytest.mark.parametrize("provider", ["plivo", "telnyx"])
def test_an_application_that_is_gone_cannot_be_pointed_at_and_that_is_said(
    provider: str, tmp_path: Path
) -> None:
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        owner.bring()
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
        owner.sim.remove_application(owner.account, owner.application())
        with pytest.raises(RequestRefused, match="may still point at us"):
            owner.gw.numbers.unassign(OURS)
        number = owner.gw.numbers.get(OURS)
        assert number.setup_state is SetupState.RESTORING
        assert number.before, "what was there is not lost"
        assert owner.gw.numbers.assignments() == []
        [check] = owner.gw.numbers.check_all()
        assert not check.is_fine
