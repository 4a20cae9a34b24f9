"""Unassigned or released, a number goes again where it went before us, unless somebody has changed it since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import NotFound, RequestRefused
from gateway.models import SetupState
from gateway.status import Direction
from tests.bench import OURS
from tests.ownerkit import OTHER, WAYS_OF_EACH, Owner, open_owner


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
