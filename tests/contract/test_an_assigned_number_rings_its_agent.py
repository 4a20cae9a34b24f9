"""From an account whose numbers go elsewhere to calls in both directions, by three steps and no console."""

from __future__ import annotations

import pytest

from gateway import CallStatus
from gateway.models import SetupState
from gateway.status import Direction
from providers.simulator import Answer
from tests.bench import CALLEE, OURS
from tests.ownerkit import OTHER, Owner


def test_a_number_rings_its_agent_and_calls_are_placed_from_it(owner: Owner) -> None:
    before, untouched = owner.settings(), owner.settings(OTHER)
    owner.bring()
    change = owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    assert {each.direction for each in change.assignments} == {Direction.INBOUND, Direction.OUTBOUND}
    assert "elsewhere.example.net" in change.notes[0], "it is told what the number pointed at"
    assert owner.settings() != before
    assert owner.settings(OTHER) == untouched

    ringing, call = owner.rings()
    assert (call.status, call.agent_id, call.to) == (CallStatus.COMPLETED, "echo", OURS), owner.bench.story()
    [conversation] = owner.bench.agent.conversations
    assert conversation.parameters["call_id"] == call.id
    assert owner.sim.truth(ringing) == "answered"

    owner.sim.script(CALLEE, Answer(talk_s=5))
    placed = owner.bench.ended(owner.bench.place())
    assert (placed.status, placed.from_number) == (CallStatus.COMPLETED, OURS), owner.bench.story()
    assert owner.bench.sim_call(placed).from_.removeprefix("+") == OURS.removeprefix("+")
    owner.bench.settled()


def test_what_was_there_is_kept_before_the_first_write_and_read_back_after_the_last(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    number = owner.gw.numbers.get(OURS)
    assert number.setup_state is SetupState.APPLIED
    assert number.before
    assert "elsewhere.example.net" in (number.pointed_at or "")
    assert owner.writes()[-1] == "number_write"
    assert owner.asked()[-1]["method"] == "GET", "it was read back"
    found = owner.gw.numbers.check(OURS)
    assert [each for each in found.differences if each.is_repairable] == []


def test_outbound_alone_writes_nothing_to_the_number(owner: Owner) -> None:
    before = owner.settings()
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", outbound=True)
    assert "number_write" not in owner.writes()
    assert owner.settings() == before
    owner.sim.script(CALLEE, Answer(talk_s=5))
    placed = owner.bench.ended(owner.bench.place())
    assert (placed.status, placed.from_number) == (CallStatus.COMPLETED, OURS), owner.bench.story()
    owner.bench.settled()


@pytest.mark.parametrize("number", [OURS, OTHER])
def test_every_number_of_the_account_can_be_assigned(owner: Owner, number: str) -> None:
    owner.bring()
    owner.gw.numbers.assign(number, agent="echo", inbound=True)
    _, call = owner.rings(number)
    assert (call.agent_id, call.to) == ("echo", number)
