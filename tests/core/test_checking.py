"""Keeping numbers pointed: what differs is told once, kept with the number, and mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway import Gateway, checking
from gateway.errors import ConfigurationError, Conflict
from gateway.models import SetupState
from gateway.pointing import LEASE
from gateway.store import Store, outbox, upkeep
from tests.byockit import MOVED, OTHER, OURS, THEIRS, THIRD, Account, open_byoc, stock
from tests.wires import Clock

BROKEN = "https://broken.example.com/"


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "carrier.json", "twilio")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gw(store: Store, account: Account, clock: Clock) -> Gateway:
    gateway = open_byoc(store, account, clock)
    stock(gateway, account, OURS, OTHER, THIRD)
    for number in (OURS, OTHER):
        gateway.numbers.assign(number, agent="a", inbound=True)
    return gateway


def told(gw: Gateway) -> list[str]:
    """The numbers of which it was told, in order."""
    found = outbox.list_notifications(gw.services.store, "default")
    return [json.loads(each.payload)["data"]["e164"] for each in found if each.type == "number.drifted"]


def test_what_somebody_broke_is_found_kept_and_mended(gw: Gateway, account: Account) -> None:
    assert all(each.is_fine for each in gw.numbers.check_all())
    account.change(OURS, voice_url=BROKEN)
    found = {each.number.e164: each for each in gw.numbers.check_all()}
    assert {e164: each.is_fine for e164, each in found.items()} == {OURS: False, OTHER: True}, "only in use"
    [difference] = found[OURS].differences
    assert (difference.setting, difference.found) == ("voice_url", BROKEN)
    kept = gw.numbers.get(OURS)
    assert (kept.is_drifted, kept.differences) == (True, (difference,))
    assert gw.numbers.page(drifted=True).numbers == (kept,)
    dry = gw.numbers.repair(OURS, dry_run=True)
    assert (dry.left, account.where(OURS)) == ((difference,), BROKEN)
    done = gw.numbers.repair(OURS)
    assert (done.is_fine, done.found) == (True, (difference,))
    assert not gw.numbers.get(OURS).is_drifted
    gw.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS, "what was there before us, not what it had drifted to"


def test_the_sweeper_checks_within_the_hour_and_tells_each_change_once(
    gw: Gateway, account: Account, clock: Clock
) -> None:
    account.change(OURS, voice_url=BROKEN)
    assert checking.check_due(gw.services) == 0, "set up a moment ago"
    for hour, news in ((1, [OURS]), (2, []), (3, [])):
        clock.ahead(hours=hour, minutes=1)
        before = len(told(gw))
        assert checking.check_due(gw.services) == 2
        assert checking.check_due(gw.services) == 0
        assert told(gw)[before:] == news
    account.change(OURS, voice_url=f"{BROKEN}otherwise")
    clock.ahead(hours=5)
    checking.check_due(gw.services)
    assert told(gw) == [OURS, OURS], "the differences are others by now"


def test_several_workers_check_a_number_once(
    gw: Gateway, store: Store, account: Account, clock: Clock
) -> None:
    other = open_byoc(store, account, clock)
    clock.ahead(hours=2)
    assert checking.check_due(gw.services) + checking.check_due(other.services) == 2


def test_a_number_that_nobody_is_served_by_is_not_watched(
    gw: Gateway, account: Account, clock: Clock
) -> None:
    for number in (OURS, OTHER):
        gw.numbers.unassign(number)
    clock.ahead(hours=2)
    assert checking.check_due(gw.services) == 0
    assert gw.numbers.check_all() == []


def test_a_carrier_that_does_not_answer_is_asked_again_soon(
    gw: Gateway, account: Account, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    account.loses["read"] = "before"
    clock.ahead(hours=2)
    assert checking.check_due(gw.services) == 2
    assert "could not be checked" in caplog.text
    assert OURS not in caplog.text
    found = gw.numbers.check_all()
    assert all("timed out" in each.error and not each.is_fine for each in found)
    account.loses.clear()
    assert checking.check_due(gw.services) == 0
    clock.ahead(hours=2, minutes=6)
    assert checking.check_due(gw.services) == 2


def test_a_number_that_is_being_changed_is_not_judged(gw: Gateway, account: Account, clock: Clock) -> None:
    account.change(OURS, voice_url=BROKEN)
    number, now = gw.numbers.get(OURS), clock()
    with gw.services.store.transaction() as tx:
        upkeep.take_lease(tx, f"number {number.id}", "another", now + LEASE, now)
    found = gw.numbers.check(OURS)
    assert "being changed now" in found.error
    assert not gw.numbers.get(OURS).is_drifted
    with pytest.raises(Conflict):
        gw.numbers.repair(OURS)


def test_what_we_cannot_mend_says_what_to_do(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", outbound=True)
    with account.state() as found:
        found["closed"] = ["CA", "GB"]
        del found["numbers"][OTHER]
    checks = {each.number.e164: each.differences for each in gw.numbers.check_all()}
    [permission] = checks[OURS]
    assert (permission.setting, permission.advice) == ("permission CA", "switch it on in the console")
    [gone] = checks[OTHER]
    assert "no longer has it" in gone.advice
    assert not gw.numbers.repair(OURS).is_fine
    assert gw.numbers.get(OURS).setup_state is SetupState.APPLIED


def test_many_numbers_are_read_as_one_list(
    gw: Gateway, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"+1415555{n:04}" for n in range(200, 230)]
    account.add(*many)
    gw.numbers.import_from("twilio")
    for number in many:
        gw.numbers.assign(number, agent="a", outbound=True)
    monkeypatch.setattr(account, "find_number", lambda e164: pytest.fail("one by one"))
    assert len(gw.numbers.check_all()) == 32


def test_a_new_public_url_is_a_repair_of_everything(store: Store, gw: Gateway, account: Account) -> None:
    moved = open_byoc(store, account, public_url=MOVED)
    assert [each.is_fine for each in moved.numbers.check_all()] == [False, False]
    seen = []
    started = moved.operations.start_repair(claim=True)
    done = moved.operations.perform(started, lambda operation: seen.append((operation.done, operation.total)))
    assert (done.state, seen) == ("done", [(1, 2), (2, 2)])
    results = [each for _, each in moved.operations.results(done.id)]
    assert {each.verdict for each in results} == {"repaired"}
    key = moved.credentials.list()[0].key
    assert key not in str(results), "what may be read with numbers:read holds no key of a webhook's path"
    assert account.where(OURS).startswith(MOVED)
    moved.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS
    gw.numbers.unassign(OTHER)  # an old process: the key in the URL says that it is ours
    assert account.settings(OTHER) == THEIRS


def test_without_a_public_url_there_is_nothing_to_compare_with(
    store: Store, account: Account, gw: Gateway
) -> None:
    lost = open_byoc(store, account, public_url=None)
    with pytest.raises(ConfigurationError, match="GATEWAY_PUBLIC_URL"):
        lost.numbers.check(OURS)
    assert checking.check_due(lost.services) == 0


def test_a_number_that_another_gateway_took_is_not_taken_back_silently(gw: Gateway, account: Account) -> None:
    account.change(OURS, voice_url=f"https://other.example.com/voice/{'b' * 32}/answer")
    with pytest.raises(Conflict, match="another gateway"):
        gw.numbers.repair(OURS)
    assert gw.numbers.repair(OURS, take_over=True).is_fine
