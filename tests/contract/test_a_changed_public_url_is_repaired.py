"""After a move to another address one command points every number there; it can be killed and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway import Gateway, operating
from gateway.models import OperationState
from gateway.services import utc_now
from gateway.web import create_app
from providers.simulator import Caller
from tests.bench import CALLER, OURS, WebServer
from tests.ownerkit import OTHER, Owner

THIRD = "+14155550177"


class Killed(BaseException):
    """Nobody catches it."""


@pytest.fixture
def moved(owner: Owner) -> Iterator[tuple[Owner, Gateway]]:
    """The same gateway under another address, after three numbers were assigned under the old one."""
    owner.hold(THIRD)
    owner.before = owner.stands()
    owner.bring()
    for number in (OURS, OTHER, THIRD):
        owner.gw.numbers.assign(number, agent="echo", inbound=True)
    web = WebServer()
    with Gateway.open(replace(owner.gw.settings, public_url=web.url)) as gateway:
        web.start(create_app(gateway))
        try:
            yield owner, gateway
        finally:
            web.stop()


def rings(owner: Owner, gateway: Gateway, number: str) -> bool:
    """Whether a call of the number reaches the gateway under its new address, and its agent."""
    known = {call.id for call in gateway.calls.list().calls}
    ringing = owner.sim.ring(number, CALLER, Caller(talk_s=2))
    owner.sim.wait(ringing)
    owner.bench.until(lambda: all(call.status.is_final for call in gateway.calls.list().calls))
    new = [call for call in gateway.calls.list().calls if call.id not in known]
    return [call.agent_id for call in new] == ["echo"] and owner.sim.truth(ringing) == "answered"


def test_every_number_is_pointed_to_the_new_address(moved: tuple[Owner, Gateway]) -> None:
    owner, gateway = moved
    kept = {each.e164: each.before for each in gateway.numbers.list()}
    assert [each.is_fine for each in gateway.numbers.check_all()] == [False] * 3
    seen: list[int] = []
    done = gateway.operations.perform(
        gateway.operations.start_repair(claim=True), lambda operation: seen.append(operation.done)
    )
    assert (done.state, done.done, done.total, seen) == (OperationState.DONE, 3, 3, [1, 2, 3])
    assert all(each.is_fine for each in gateway.numbers.check_all())
    assert all(rings(owner, gateway, number) for number in (OURS, OTHER, THIRD))
    assert {each.e164: each.before for each in gateway.numbers.list()} == kept


def test_a_repair_that_was_killed_goes_on(moved: tuple[Owner, Gateway]) -> None:
    _, gateway = moved
    begun = gateway.operations.start_repair(claim=True)

    def kill(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        gateway.operations.perform(begun, kill)
    assert gateway.operations.get(begun.id).done == 1
    gateway.services.clock = lambda: utc_now() + operating.LEASE + timedelta(seconds=1)
    assert operating.run_due(gateway.services)
    assert gateway.operations.get(begun.id).state is OperationState.DONE
    assert [result.subject for _, result in gateway.operations.results(begun.id)] == [OURS, OTHER, THIRD]
    assert all(each.is_fine for each in gateway.numbers.check_all())


def test_what_was_there_before_the_move_is_put_back_after_it(moved: tuple[Owner, Gateway]) -> None:
    owner, gateway = moved
    for number in (OURS, OTHER, THIRD):
        gateway.numbers.unassign(number)
    assert owner.stands() == owner.before
