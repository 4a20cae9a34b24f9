"""Long work over many numbers: imports, CSV files, repairs; watched, stopped, killed and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import Gateway, operating
from gateway.errors import Conflict, NotFound, ValidationError
from gateway.models import OperationState
from gateway.store import Store, operations
from tests.byockit import OTHER, OURS, THIRD, Account, open_byoc, secrets_of, stock
from tests.wires import Clock


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "carrier.json", "plivo")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gw(store: Store, account: Account, clock: Clock) -> Gateway:
    gateway = open_byoc(store, account, clock)
    stock(gateway, account)
    return gateway


def verdicts(gw: Gateway, operation_id: str) -> dict[str, str]:
    return {each.subject: each.verdict for _, each in gw.operations.results(operation_id)}


def test_an_import_says_of_each_number_what_became_of_it(gw: Gateway, account: Account) -> None:
    claimed = f"https://other.example.com/voice/{'c' * 32}/answer"
    account.add(OURS, OTHER)
    account.add(THIRD, voice_url=claimed)
    account.add("+14155550103", voice=False)
    gw.credentials.add("plivo", name="theirs", workspace_id="b", secrets=secrets_of("plivo"))
    gw.numbers.add(OTHER, credential="theirs", workspace_id="b")
    preview = gw.numbers.import_from("plivo", dry_run=True)
    assert gw.numbers.list() == []
    done = gw.operations.perform(gw.operations.start_import("plivo", claim=True))
    assert (done.state, done.done, done.total) == (OperationState.DONE, 4, 4)
    wanted = {
        OURS: "imported",
        OTHER: "in another workspace",
        THIRD: "claimed",
        "+14155550103": "no voice",
    }
    assert verdicts(gw, done.id) == {each.e164: each.verdict for each in preview} == wanted
    assert [each.e164 for each in gw.numbers.list()] == [OURS]
    shown = {each.subject: each.detail for _, each in gw.operations.results(done.id)}
    assert "theirs.example.com" in shown[OURS]
    assert claimed in shown[THIRD]
    [taken] = gw.numbers.import_from("plivo", only=[THIRD], take_over=True)
    assert taken.verdict == "imported"
    [absent] = gw.numbers.import_from("plivo", only=["+14155550177"])
    assert absent.verdict == "not in the account"


def test_ten_thousand_numbers_are_imported_and_again_cost_nothing(gw: Gateway, account: Account) -> None:
    account.add(*(f"+1415{n:07}" for n in range(2_000_000, 2_010_000)))
    started = gw.operations.start_import("plivo", claim=True)
    seen: list[int] = []
    done = gw.operations.perform(started, lambda operation: seen.append(operation.done))
    assert (done.done, len(gw.numbers.list())) == (10_000, 10_000)
    assert seen == sorted(seen)
    assert len(seen) > 50, "it can be watched"
    page = gw.numbers.page(limit=100, credential="plivo")
    assert (page.total, len(page.numbers)) == (10_000, 100)
    following = gw.numbers.page(limit=100, credential="plivo", cursor=page.next_cursor)
    assert not {each.id for each in page.numbers} & {each.id for each in following.numbers}
    assert gw.numbers.page(country="GB").total == 0


def test_what_a_killed_worker_left_is_gone_on_with(gw: Gateway, account: Account, clock: Clock) -> None:
    account.add(*(f"+1415{n:07}" for n in range(2_000_000, 2_000_250)))
    started = gw.operations.start_import("plivo", claim=True)

    class Killed(BaseException):
        pass

    def die(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        gw.operations.perform(started, die)
    assert not operating.run_due(gw.services), "claimed"
    clock.ahead(seconds=operating.LEASE.total_seconds() + 1)
    assert operating.run_due(gw.services)
    done = gw.operations.get(started.id)
    assert (done.state, done.done) == (OperationState.DONE, 250)
    assert set(verdicts(gw, done.id).values()) == {"imported"}, "nothing was done twice"
    with pytest.raises(Conflict, match="another worker"):
        gw.operations.perform(started)


def test_an_operation_that_is_stopped_is_due_at_once(gw: Gateway, account: Account) -> None:
    account.add(*(f"+1415{n:07}" for n in range(2_000_000, 2_000_250)))
    started = gw.operations.start_import("plivo")
    assert operating.run_due(gw.services, lambda: False)
    assert (gw.operations.get(started.id).state, gw.operations.get(started.id).done) == ("pending", 100)
    assert operating.run_due(gw.services)
    assert gw.operations.get(started.id).done == 250


def test_an_import_whose_carrier_refuses_says_so(gw: Gateway, account: Account) -> None:
    account.loses["read"] = "before"
    done = gw.operations.perform(gw.operations.start_import("plivo", claim=True))
    assert done.state is OperationState.FAILED
    assert "timed out" in (done.last_error or "")


def test_a_bad_row_of_a_file_stops_no_other(gw: Gateway, account: Account) -> None:
    account.add(OURS, OTHER, THIRD)
    text = f"""number,agent,inbound,outbound
{OURS},a,yes,yes
{OTHER},nobody,yes,
4155550102,a,yes,
{THIRD},a,perhaps,
{THIRD},,,
{THIRD},b,,
+14155550177,a,yes,no
"{OTHER}",b,no,x
{OURS},a,yes,no,more
"""
    started = gw.operations.start_csv_import(text, credential="plivo", claim=True)
    done = gw.operations.perform(started)
    rows = [(each.verdict, each.detail) for _, each in gw.operations.results(done.id)]
    assert [verdict for verdict, _ in rows] == [
        "assigned",
        "error",
        "error",
        "error",
        "imported",
        "error",
        "error",
        "assigned",
        "error",
    ]
    for position, words in (
        (1, "line 3: no agent 'nobody'"),
        (2, "E.164"),
        (3, "neither yes nor no"),
        (5, "say yes"),
        (6, "not in the account"),
    ):
        assert words in rows[position][1]
    served = {(each.e164, each.agent_id, each.direction) for each in gw.numbers.assignments()}
    assert served == {(OURS, "a", "inbound"), (OURS, "a", "outbound"), (OTHER, "b", "outbound")}


@pytest.mark.parametrize("text", ["", "a,b\n", "number,number\n", "number,who\n", 'number\n"+1415'])
def test_what_is_no_such_file_is_refused_whole(gw: Gateway, text: str) -> None:
    with pytest.raises(ValidationError, match="file"):
        gw.operations.start_csv_import(text)


def test_an_operation_belongs_to_its_workspace(gw: Gateway, account: Account) -> None:
    started = gw.operations.start_import("plivo")
    with pytest.raises(NotFound):
        gw.operations.get(started.id, workspace_id="b")
    with pytest.raises(NotFound):
        gw.operations.results(started.id, workspace_id="b")
    with pytest.raises(NotFound):
        gw.operations.start_import("plivo", workspace_id="b")


# -- what was left -------------------------------------------------------------------------------------------------


def test_work_that_was_left_is_listed_and_gone_on_with(gw: Gateway, account: Account, clock: Clock) -> None:
    account.add(OURS)
    left = gw.operations.start_import("plivo", claim=True)  # and its process dies
    assert [each.id for each in gw.operations.list()] == [left.id]
    assert gw.operations.list(workspace_id="b") == []
    with pytest.raises(Conflict, match="another process is at operation"):
        gw.operations.claim(left.id)
    with pytest.raises(NotFound):
        gw.operations.claim(left.id, workspace_id="b")
    clock.ahead(seconds=operating.LEASE.total_seconds() + 1)
    assert gw.operations.perform(gw.operations.claim(left.id)).state is OperationState.DONE
    assert gw.operations.list() == []
    assert [each.id for each in gw.operations.list(also_ended=True)] == [left.id]
    with pytest.raises(Conflict, match=r"is over \(done\)"):
        gw.operations.claim(left.id)
    with pytest.raises(ValidationError, match="1 to 1000"):
        gw.operations.list(limit=0)


def test_the_sweeper_forgets_work_that_ended_a_month_ago_and_nothing_else(
    gw: Gateway, account: Account, clock: Clock
) -> None:
    account.add(OURS)
    old = gw.operations.perform(gw.operations.start_import("plivo", claim=True))
    left = gw.operations.start_import("plivo")
    clock.ahead(days=29)
    young = gw.operations.perform(gw.operations.start_import("plivo", claim=True))
    gw.sweep()
    assert gw.operations.results(old.id)
    clock.ahead(days=30, seconds=5)
    gw.sweep()
    assert [each.id for each in gw.operations.list(also_ended=True)] == [young.id, left.id]
    with pytest.raises(NotFound):
        gw.operations.results(old.id)
    assert operations.result_subjects(gw.services.store, old.id) == frozenset(), "its results went with it"
