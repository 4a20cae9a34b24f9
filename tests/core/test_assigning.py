"""Assigning and unassigning a number: both sides change together, or neither; what was there before is put back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway import Agent, Gateway, Stream
from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.models import SetupState
from gateway.pointing import LEASE
from gateway.status import Direction
from gateway.store import Store, credentials, upkeep
from tests.byockit import OTHER, OURS, PUBLIC, THEIRS, Account, open_byoc, stock
from tests.wires import Clock

KINDS = ("plivo", "telnyx", "twilio")


@pytest.fixture(params=KINDS)
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Account:
    return Account(tmp_path / "carrier.json", request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gw(store: Store, account: Account, clock: Clock) -> Gateway:
    gateway = open_byoc(store, account, clock)
    stock(gateway, account, OURS, OTHER)
    return gateway


def ours(gw: Gateway) -> str:
    [credential] = gw.credentials.list()
    return f"{PUBLIC}/voice/{credential.key}/answer"


def test_a_number_is_pointed_at_us_and_put_back(gw: Gateway, account: Account) -> None:
    change = gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    assert {each.direction for each in change.assignments} == {Direction.INBOUND, Direction.OUTBOUND}
    assert account.where(OURS) == ours(gw)
    number = gw.numbers.get(OURS)
    assert number.setup_state is SetupState.APPLIED
    assert number.before == THEIRS
    assert "theirs.example.com" in change.notes[0], "it is told what the number pointed at"
    gone = gw.numbers.unassign(OURS)
    assert len(gone.assignments) == 2
    assert account.settings(OURS) == THEIRS
    assert gw.numbers.get(OURS).setup_state is SetupState.NONE
    assert account.where(OTHER) == THEIRS["voice_url"], "no other number was touched"


def test_a_number_stays_pointed_at_us_while_an_agent_takes_its_calls(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    gw.numbers.assign(OURS, agent="b", outbound=True)
    gw.numbers.unassign(OURS, agent="b")
    gw.numbers.unassign(OURS, direction=Direction.OUTBOUND)
    assert account.where(OURS) == ours(gw)
    gw.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS


def test_what_was_there_before_us_is_kept_however_often_it_is_assigned(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    assert gw.numbers.get(OURS).before == THEIRS
    gw.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS


def test_one_application_serves_all_numbers_of_a_credential(gw: Gateway, account: Account) -> None:
    for number in (OURS, OTHER):
        gw.numbers.assign(number, agent="a", inbound=True)
    made = account.read()["applications"]
    assert len(made) == (1 if account.capabilities.has_applications else 0)
    [credential] = gw.credentials.list()
    assert [*made] == ([credential.application_ref] if made else [])
    if account.kind == "telnyx":
        assert gw.credentials.get("telnyx").secrets["connection_id"] == credential.application_ref


def test_a_number_for_outbound_calls_is_not_touched_at_its_carrier(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", outbound=True)
    assert account.settings(OURS) == THEIRS
    assert account.writes == (["application"] if account.kind == "telnyx" else []), "what dials must name"


@pytest.mark.parametrize("write", ["application", "number"])
def test_a_refusal_in_the_middle_takes_both_sides_back(gw: Gateway, account: Account, write: str) -> None:
    if write == "application" and not account.capabilities.has_applications:
        pytest.skip("numbers of this carrier hold their URLs")
    account.refuses.add(write)
    with pytest.raises(RequestRefused, match="address required"):
        gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    assert gw.numbers.assignments() == []
    assert account.settings(OURS) == THEIRS
    number = gw.numbers.get(OURS)
    assert (number.setup_state, number.before) == (SetupState.NONE, None)
    account.refuses.clear()
    gw.numbers.assign(OURS, agent="b", inbound=True)
    assert account.where(OURS) == ours(gw)


def test_a_refusal_leaves_what_was_assigned_before(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    account.refuses.add("number")
    with pytest.raises(RequestRefused):
        gw.numbers.assign(OURS, agent="a", inbound=True, outbound=True)
    [kept] = gw.numbers.assignments()
    assert kept.direction is Direction.INBOUND
    assert account.where(OURS) == ours(gw)


def test_a_lost_answer_is_settled_by_looking(gw: Gateway, account: Account) -> None:
    account.loses["number"] = "after"
    gw.numbers.assign(OURS, agent="a", inbound=True)
    assert gw.numbers.get(OURS).setup_state is SetupState.APPLIED
    assert account.writes.count("number") == 1


def test_a_lost_request_is_taken_back(gw: Gateway, account: Account) -> None:
    account.loses["number"] = "before"
    with pytest.raises(RequestRefused, match="does not have what was set"):
        gw.numbers.assign(OURS, agent="a", inbound=True)
    assert gw.numbers.assignments() == []
    assert gw.numbers.get(OURS).setup_state is SetupState.NONE


def test_what_cannot_be_told_says_what_stands_where_and_what_mends_it(gw: Gateway, account: Account) -> None:
    def silent(moment: str) -> None:
        if moment == "after number":
            account.loses["read"] = "before"

    account.on_write = silent
    account.loses["number"] = "after"
    with pytest.raises(
        ProviderUnavailable, match=r"…0100 is assigned here and may not.*numbers repair"
    ) as told:
        gw.numbers.assign(OURS, agent="a", inbound=True)
    assert OURS not in str(told.value)
    number = gw.numbers.get(OURS)
    assert (number.setup_state, number.before) == (SetupState.APPLYING, THEIRS)
    account.loses.clear()
    account.on_write = lambda _: None
    assert [each.setting for each in gw.numbers.check(OURS).differences] == ["set-up"]
    assert gw.numbers.repair(OURS).is_fine
    assert gw.numbers.get(OURS).setup_state is SetupState.APPLIED
    gw.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS


def test_what_somebody_changed_since_is_left_and_said_so(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    account.change(OURS, voice_url="https://new.theirs.example.com/", app="")
    change = gw.numbers.unassign(OURS)
    assert change.notes == (
        "left as it is: it no longer points at us but at url https://new.theirs.example.com/",
    )
    assert account.where(OURS) == "https://new.theirs.example.com/"
    assert gw.numbers.get(OURS).setup_state is SetupState.NONE


def test_a_number_that_cannot_be_put_back_keeps_what_was_there(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    account.refuses.add("restore number")
    with pytest.raises(RequestRefused, match=r"it is unassigned here; .*theirs.example.com.* is kept: run"):
        gw.numbers.unassign(OURS)
    number = gw.numbers.get(OURS)
    assert (number.setup_state, number.before) == (SetupState.RESTORING, THEIRS)
    assert gw.numbers.assignments() == []
    with pytest.raises(Conflict, match="not put back"):
        gw.credentials.remove(account.kind)
    account.refuses.clear()
    assert [each.setting for each in gw.numbers.check(OURS).differences] == ["putting back"]
    assert gw.numbers.repair(OURS).is_fine
    assert account.settings(OURS) == THEIRS


def test_a_number_that_left_the_account_is_unassigned_with_a_note(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    with account.state() as found:
        del found["numbers"][OURS]
    assert "no longer has the number" in gw.numbers.unassign(OURS).notes[0]
    with pytest.raises(NotFound, match="number in"):
        gw.numbers.assign(OURS, agent="a", inbound=True)
    assert gw.numbers.assignments() == []


def test_a_number_of_another_gateway_is_refused_unless_it_is_taken_over(
    gw: Gateway, account: Account
) -> None:
    account.change(OURS, voice_url=f"https://other.example.com/x/{'a' * 32}/answer")
    with pytest.raises(Conflict, match=r"claimed by another gateway.*other\.example\.com.*--take-over"):
        gw.numbers.assign(OURS, agent="a", inbound=True)
    assert (gw.numbers.assignments(), account.writes) == ([], [])
    gw.numbers.assign(OURS, agent="a", inbound=True, take_over=True)
    assert account.where(OURS) == ours(gw)


def test_without_a_public_url_a_number_is_assigned_only_without_its_carrier(
    store: Store, account: Account
) -> None:
    gateway = open_byoc(store, account, public_url=None)
    stock(gateway, account, OURS)
    with pytest.raises(ConfigurationError, match=r"GATEWAY_PUBLIC_URL.*--no-configure"):
        gateway.numbers.assign(OURS, agent="a", inbound=True)
    gateway.numbers.assign(OURS, agent="a", inbound=True, configure=False)
    assert account.writes == []


def test_what_was_there_stays_kept_when_the_carrier_is_left_alone(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    gw.numbers.unassign(OURS, configure=False)
    assert account.where(OURS) == ours(gw)
    gw.numbers.assign(OURS, agent="b", inbound=True)
    assert gw.numbers.get(OURS).before == THEIRS
    gw.numbers.unassign(OURS)
    assert account.settings(OURS) == THEIRS


def test_an_application_of_the_persons_is_put_back_when_no_number_needs_it(
    store: Store, tmp_path: Path
) -> None:
    account = Account(tmp_path / "carrier.json", "telnyx")
    app = {"name": "Mine", "color": "blue", "url": "https://theirs.example.com/app"}
    with account.state() as found:
        found["applications"]["1234567890"] = app
    gw = open_byoc(store, account)
    stock(gw, account, OURS, OTHER, connection_id="1234567890")
    account.change(OURS, app="1234567890")
    for number in (OURS, OTHER):
        gw.numbers.assign(number, agent="a", inbound=True)
    assert account.read()["applications"] == {"1234567890": {**app, "url": ours(gw)}}
    gw.numbers.unassign(OURS)
    assert account.where(OTHER) == ours(gw), "another number needs it"
    gw.numbers.unassign(OTHER)
    assert account.read()["applications"] == {"1234567890": app}
    assert account.settings(OURS)["app"] == "1234567890"
    gw.credentials.remove("telnyx")
    assert account.read()["applications"] == {"1234567890": app}, "not ours to delete"


def test_an_application_of_ours_goes_with_its_credential(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    with pytest.raises(Conflict, match="--release-numbers"):
        gw.credentials.remove(account.kind)
    gw.credentials.remove(account.kind, release_numbers=True)
    assert account.settings(OURS) == THEIRS
    assert account.read()["applications"] == {}
    assert (gw.credentials.list(), gw.numbers.list()) == ([], [])


def test_an_application_of_ours_that_somebody_deleted_is_made_again(store: Store, tmp_path: Path) -> None:
    account = Account(tmp_path / "carrier.json", "plivo")
    gw = open_byoc(store, account)
    stock(gw, account, OURS)
    gw.numbers.assign(OURS, agent="a", inbound=True)
    with account.state() as found:
        found["applications"].clear()
        found["applications"]["9"] = {"name": "Another", "url": "https://x.example.com"}
    assert [each.setting for each in gw.numbers.check(OURS).differences] == ["application"]
    assert gw.numbers.repair(OURS).is_fine
    assert account.where(OURS) == ours(gw)


def test_released_numbers_are_put_back_and_forgotten(gw: Gateway, account: Account) -> None:
    gw.numbers.assign(OURS, agent="a", inbound=True)
    gw.numbers.release(OURS)
    assert account.settings(OURS) == THEIRS
    assert [each.e164 for each in gw.numbers.list()] == [OTHER]
    gw.numbers.release(OTHER, give_back=True)
    assert OTHER not in account.read()["numbers"]


def test_a_number_held_by_another_process_is_refused_and_free_again_later(
    gw: Gateway, account: Account, clock: Clock
) -> None:
    number, now = gw.numbers.get(OURS), clock()
    with gw.services.store.transaction() as tx:
        upkeep.take_lease(tx, f"number {number.id}", "a process that was killed", now + LEASE, now)
    with pytest.raises(Conflict, match=r"another process is changing number …0100"):
        gw.numbers.assign(OURS, agent="a", inbound=True)
    assert account.writes == []
    clock.ahead(seconds=LEASE.seconds + 1)
    gw.numbers.assign(OURS, agent="a", inbound=True)
    assert account.where(OURS) == ours(gw)


def test_a_hundred_assignments_at_once_have_one_winner(store: Store, tmp_path: Path) -> None:
    account = Account(tmp_path / "carrier.json", "plivo")
    gw = open_byoc(store, account)
    stock(gw, account, OURS)
    gw.services.sleep = threading.Event().wait
    names = [f"agent-{n}" for n in range(100)]
    for name in names:
        gw.agents.put(Agent(id=name, connect=Stream("wss://agents.example.com/media")))
    won: list[str] = []
    lost: list[GatewayError] = []
    start = threading.Barrier(len(names))

    def assign(name: str) -> None:
        start.wait()
        try:
            gw.numbers.assign(OURS, agent=name, inbound=True)
            won.append(name)
        except GatewayError as error:
            lost.append(error)

    threads = [threading.Thread(target=assign, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1, [str(error) for error in lost[:5]]
    assert all(isinstance(error, Conflict) for error in lost), {type(error) for error in lost}
    assert [each.agent_id for each in gw.numbers.assignments()] == won
    assert account.where(OURS) == ours(gw)
    assert account.writes == ["application", "number"]
    assert gw.numbers.get(OURS).before == THEIRS


def test_a_caller_id_of_another_carrier_takes_no_calls(store: Store, tmp_path: Path) -> None:
    account = Account(tmp_path / "carrier.json", "twilio")
    with account.state() as found:
        found["caller_ids"].append(OURS)
    gw = open_byoc(store, account)
    stock(gw, account)
    gw.numbers.add_caller_id(OURS, credential="twilio")
    with pytest.raises(ValidationError, match="outbound only"):
        gw.numbers.assign(OURS, agent="a", inbound=True)
    gw.numbers.assign(OURS, agent="a", outbound=True)
    assert gw.numbers.check(OURS).is_fine
    with account.state() as found:
        found["caller_ids"].clear()
    assert [each.setting for each in gw.numbers.check(OURS).differences] == ["caller ID"]


def test_nothing_of_a_credential_is_in_use_after_its_numbers_are_unassigned(
    gw: Gateway, account: Account
) -> None:
    [credential] = gw.credentials.list()
    gw.numbers.assign(OURS, agent="a", outbound=True)
    assert credentials.is_in_use(gw.services.store, credential.id)
    gw.numbers.unassign(OURS)
    assert not credentials.is_in_use(gw.services.store, credential.id)
