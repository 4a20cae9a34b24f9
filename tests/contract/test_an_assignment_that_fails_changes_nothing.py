"""An assignment is one step: what is refused in the middle is taken back on both sides, what is lost is looked up.

Faults strike each write of the assignment in turn, at each carrier.
"""

from __future__ import annotations

import threading
import time

import pytest

from gateway import Agent, Stream
from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
)
from gateway.models import SetupState
from gateway.urls import Urls
from providers.simulator import Fault
from tests.bench import OURS
from tests.ownerkit import Owner
from tests.wires import Wire

# At Twilio a number holds the URLs itself; at the others it points at an application, which is made first.
WRITES = {"twilio": ("number_write",), "telnyx": ("application_write", "number_write")}
WRITES["plivo"] = WRITES["telnyx"]
LOST_AFTER = (
    Fault.SERVER_ERROR_AFTER,
    Fault.HANG_AFTER,
    Fault.RESET_AFTER,
    Fault.GARBAGE,
    Fault.EMPTY,
    Fault.WRONG_TYPE,
)
LOST_BEFORE = (Fault.SERVER_ERROR_BEFORE, Fault.RESET_BEFORE)


def impatient(owner: Owner) -> None:
    """Wait a second for a carrier that hangs, instead of fifteen."""
    owner.gw.services.open_provider = Wire(total_timeout_s=1.0).open_provider


def assert_nothing_changed(owner: Owner, before: object) -> None:
    assert owner.stands() == before
    assert owner.gw.numbers.assignments() == []
    number = owner.gw.numbers.get(OURS)
    assert (number.setup_state, number.before) == (SetupState.NONE, None)


@pytest.mark.parametrize("status", [400, 403])
def test_a_write_that_is_refused_takes_both_sides_back(owner: Owner, status: int) -> None:
    before = owner.stands()
    owner.bring()
    for write in WRITES[owner.provider]:
        owner.sim.faults.api(owner.provider, write, status=status)
        with pytest.raises(RequestRefused):
            owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
        assert_nothing_changed(owner, before)
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    assert owner.gw.numbers.check(OURS).is_fine


def test_a_refusal_leaves_what_was_assigned_before(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    ours, kept = owner.stands(), owner.gw.numbers.get(OURS).before
    owner.agents("second")
    with pytest.raises(Conflict, match="'echo' takes this number's inbound calls"):
        owner.gw.numbers.assign(OURS, agent="second", inbound=True)
    owner.sim.faults.api(owner.provider, "number_write", status=400)
    with pytest.raises(RequestRefused):
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    assert [each.agent_id for each in owner.gw.numbers.assignments()] == ["echo"]
    assert owner.stands() == ours
    assert owner.gw.numbers.get(OURS).before == kept


def test_a_lost_answer_is_settled_by_reading_back(owner: Owner) -> None:
    impatient(owner)
    owner.bring()
    for fault in LOST_AFTER:
        for write in WRITES[owner.provider]:
            owner.sim.faults.api(owner.provider, write, fault)
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
        assert owner.gw.numbers.get(OURS).setup_state is SetupState.APPLIED, fault
        assert [each for each in owner.gw.numbers.check(OURS).differences if each.is_repairable] == []
        owner.sim.faults.clear()
        owner.gw.numbers.unassign(OURS)
    if owner.provider != "twilio":
        assert owner.ours(), "one application was made, not one for each lost answer"


def test_a_request_that_never_arrived_is_taken_back_or_done_again(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    for fault in LOST_BEFORE:
        owner.sim.faults.api(owner.provider, "number_write", fault)
        with pytest.raises(RequestRefused, match="does not have what was set"):
            owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
        assert_nothing_changed(owner, before)
        if owner.provider != "twilio":
            owner.sim.faults.api(owner.provider, "application_write", fault)
            owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
            owner.gw.numbers.unassign(OURS)
    assert owner.stands() == before


def test_what_cannot_be_told_names_what_stands_where_and_a_repair_mends_it(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.gw.numbers.unassign(OURS)
    owner.sim.faults.api(owner.provider, "number_write", Fault.SERVER_ERROR_AFTER)
    owner.sim.faults.api(owner.provider, "numbers", Fault.SERVER_ERROR_BEFORE, skip=reads(owner), times=50)
    with pytest.raises(ProviderUnavailable, match="gateway numbers repair"):
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    assert owner.gw.numbers.get(OURS).setup_state is SetupState.APPLYING
    owner.sim.faults.clear()
    assert "interrupted" in {each.found for each in owner.gw.numbers.check(OURS).differences}
    assert [each for each in owner.gw.numbers.repair(OURS).left if each.is_repairable] == []
    assert owner.rings()[1].agent_id == "echo"
    owner.gw.numbers.unassign(OURS)
    assert owner.stands() == before


def reads(owner: Owner) -> int:
    """How many reads an assignment does before it writes to the number."""
    seen = len(owner.asked())
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    done = owner.asked()[seen:]
    owner.gw.numbers.unassign(OURS)
    first = next(index for index, data in enumerate(done) if data["operation"] == "number_write")
    return sum(data["operation"] == "numbers" for data in done[:first])


def test_a_slow_carrier_only_takes_longer(owner: Owner) -> None:
    owner.bring()
    owner.sim.faults.api(owner.provider, "any", Fault.SLOW, delay_s=0.2, times=100)
    began = time.monotonic()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    assert time.monotonic() - began > 0.4
    owner.sim.faults.clear()
    assert owner.rings()[1].agent_id == "echo"


def test_without_a_public_url_it_says_what_to_set_and_asks_nothing(owner: Owner) -> None:
    owner.bring()
    asked = len(owner.asked())
    owner.gw.services.urls = Urls(None, owner.gw.services.urls.prefix)
    with pytest.raises(ConfigurationError, match="GATEWAY_PUBLIC_URL"):
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    assert len(owner.asked()) == asked
    assert owner.gw.numbers.assignments() == []


def test_a_number_without_voice_is_refused_and_left(owner: Owner) -> None:
    owner.hold("+14155550177", voice=False)
    before = owner.stands()
    credential = owner.bring()
    owner.gw.numbers.add("+14155550177", credential=credential.id)
    with pytest.raises(Conflict, match=f"…0177 takes no calls at {owner.provider}"):
        owner.gw.numbers.assign("+14155550177", agent="echo", inbound=True)
    assert owner.stands() == before
    assert owner.gw.numbers.assignments() == []


def test_a_number_that_left_the_account_is_not_found_there(owner: Owner) -> None:
    owner.bring()
    owner.sim.remove_number(owner.account, OURS)
    with pytest.raises(NotFound, match=f"number in {owner.provider} account"):
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    assert owner.gw.numbers.assignments() == []
    assert owner.gw.numbers.get(OURS).setup_state is SetupState.NONE


def test_of_a_hundred_assignments_at_once_one_wins(owner: Owner) -> None:
    owner.bring()
    names = [f"agent-{n}" for n in range(100)]
    for name in names:
        owner.gw.agents.put(Agent(id=name, connect=Stream("wss://agents.example.com/media")))
    won: list[str] = []
    lost: list[GatewayError] = []
    start = threading.Barrier(len(names))

    def assign(name: str) -> None:
        start.wait()
        try:
            owner.gw.numbers.assign(OURS, agent=name, inbound=True)
            won.append(name)
        except GatewayError as error:
            lost.append(error)

    threads = [threading.Thread(target=assign, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1, [str(error) for error in lost[:5]]
    assert {type(error) for error in lost} == {Conflict}
    assert [each.agent_id for each in owner.gw.numbers.assignments()] == won
    assert owner.writes().count("number_write") == 1
