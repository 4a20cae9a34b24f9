"""A CSV file adds and assigns its numbers; a row that is wrong is told with its line and stops no other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import operating
from gateway.models import OperationState
from gateway.services import utc_now
from gateway.status import Direction
from tests.bench import OURS
from tests.ownerkit import OTHER, Owner

FILE = f"""number,agent,inbound,outbound
{OURS},echo,yes,yes
not a number,echo,yes,
{OTHER},nobody,yes,no
+14155550199,echo,yes,no
{OTHER},echo,maybe,
{OTHER},,yes,
{OTHER},echo,,
{OTHER},echo,no,yes
"""


def test_good_rows_are_done_and_bad_ones_told(owner: Owner) -> None:
    untouched = owner.settings(OTHER)
    credential = owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    begun = owner.gw.operations.start_csv_import(FILE, credential=credential.id, claim=True)
    seen: list[int] = []
    done = owner.gw.operations.perform(begun, lambda operation: seen.append(operation.done))
    assert (done.state, done.done, done.total) == (OperationState.DONE, 8, 8)
    assert seen == list(range(1, 9))
    results = [result for _, result in owner.gw.operations.results(done.id)]
    assert [each.verdict for each in results] == ["assigned", *["error"] * 6, "assigned"]
    told = [each.detail or "" for each in results[1:7]]
    assert [each.split(":")[0] for each in told] == [f"line {line}" for line in range(3, 9)]
    for word, text in zip(
        ("E.164", "nobody", "not in the account", "maybe", "agent", "inbound"), told, strict=True
    ):
        assert word in text, told
    assert {(each.agent_id, each.direction) for each in owner.gw.numbers.assignments()} == {
        ("echo", Direction.INBOUND),
        ("echo", Direction.OUTBOUND),
    }
    assert owner.rings()[1].agent_id == "echo"
    assert owner.settings(OTHER) == untouched, "outbound only: nothing is written to the number"


class Killed(BaseException):
    """Nobody catches it."""


def test_an_import_that_was_killed_goes_on_where_it_stopped(owner: Owner) -> None:
    credential = owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    begun = owner.gw.operations.start_csv_import(FILE, credential=credential.id, claim=True)

    def kill(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        owner.gw.operations.perform(begun, kill)
    assert owner.gw.operations.get(begun.id).done == 1
    services = owner.gw.services
    services.clock = lambda: utc_now() + operating.LEASE + timedelta(seconds=1)
    assert operating.run_due(services)
    assert owner.gw.operations.get(begun.id).done == 8
    assert [result.verdict for _, result in owner.gw.operations.results(begun.id)].count("assigned") == 2
    assert owner.writes().count("number_write") == 1
