"""No verb reads or changes an account, a number or an operation of another workspace: to it they do not exist.

R25, R76, R83 at the library's face; the routes of the public API have their own matrix (tests/api).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from gateway import Agent, Stream
from gateway.errors import CallerIdRefused, NotFound
from tests.bench import CALLEE, OURS
from tests.ownerkit import OTHER, Owner

MINE: Final = "mine"
Verb = Callable[[Any, dict[str, str], dict[str, str]], object]

# Each verb that takes an id; `it` holds another workspace's: "credential", "number", "operation".
VERBS: Final[dict[str, Verb]] = {
    "credentials.get": lambda gw, it, me: gw.credentials.get(it["credential"], **me),
    "credentials.check": lambda gw, it, me: gw.credentials.check(it["credential"], **me),
    "credentials.rotate": lambda gw, it, me: gw.credentials.rotate(
        it["credential"], secrets={"x": "y"}, **me
    ),
    "credentials.retire": lambda gw, it, me: gw.credentials.retire(it["credential"], **me),
    "credentials.remove": lambda gw, it, me: gw.credentials.remove(it["credential"], **me),
    "credentials.remove released": lambda gw, it, me: gw.credentials.remove(
        it["credential"], release_numbers=True, **me
    ),
    "numbers.get": lambda gw, it, me: gw.numbers.get(it["number"], **me),
    "numbers.add": lambda gw, it, me: gw.numbers.add("+14155550177", credential=it["credential"], **me),
    "numbers.page": lambda gw, it, me: gw.numbers.page(credential=it["credential"], **me),
    "numbers.assign": lambda gw, it, me: gw.numbers.assign(it["number"], agent="my", outbound=True, **me),
    "numbers.unassign": lambda gw, it, me: gw.numbers.unassign(it["number"], **me),
    "numbers.release": lambda gw, it, me: gw.numbers.release(it["number"], **me),
    "numbers.give back": lambda gw, it, me: gw.numbers.release(it["number"], give_back=True, **me),
    "numbers.check": lambda gw, it, me: gw.numbers.check(it["number"], **me),
    "numbers.check_all": lambda gw, it, me: gw.numbers.check_all(credential=it["credential"], **me),
    "numbers.repair": lambda gw, it, me: gw.numbers.repair(it["number"], **me),
    "numbers.import_from": lambda gw, it, me: gw.numbers.import_from(it["credential"], **me),
    "numbers.search": lambda gw, it, me: gw.numbers.search(it["credential"], country="US", **me),
    "numbers.quote": lambda gw, it, me: gw.numbers.quote(OURS, credential=it["credential"], **me),
    "numbers.buy": lambda gw, it, me: gw.numbers.buy("+14155550142", credential=it["credential"], **me),
    "numbers.caller_ids": lambda gw, it, me: gw.numbers.caller_ids(it["credential"], **me),
    "numbers.verify_caller_id": lambda gw, it, me: gw.numbers.verify_caller_id(
        "+12125550199", credential=it["credential"], **me
    ),
    "numbers.confirm_caller_id": lambda gw, it, me: gw.numbers.confirm_caller_id(
        "+12125550199", credential=it["credential"], verification_ref="x", **me
    ),
    "numbers.add_caller_id": lambda gw, it, me: gw.numbers.add_caller_id(
        "+12125550199", credential=it["credential"], **me
    ),
    "numbers.add_sip": lambda gw, it, me: gw.numbers.add_sip(
        ["+12125550150"], credential=it["credential"], **me
    ),
    "operations.start_import": lambda gw, it, me: gw.operations.start_import(it["credential"], **me),
    "operations.start_csv_import": lambda gw, it, me: gw.operations.start_csv_import(
        f"number\n{OTHER}\n", credential=it["credential"], **me
    ),
    "operations.start_repair": lambda gw, it, me: gw.operations.start_repair(
        credential=it["credential"], **me
    ),
    "operations.claim": lambda gw, it, me: gw.operations.claim(it["operation"], **me),
    "operations.get": lambda gw, it, me: gw.operations.get(it["operation"], **me),
    "operations.results": lambda gw, it, me: gw.operations.results(it["operation"], **me),
}


@pytest.fixture
def theirs(owner: Owner) -> dict[str, str]:
    """Ids of the default workspace's account, assigned number and operation; "mine" has only an agent."""
    credential = owner.bring(name="main")
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
    operation = owner.gw.operations.start_import(credential.id, claim=True)
    owner.gw.operations.perform(operation)
    owner.gw.agents.put(Agent(id="my", workspace_id=MINE, connect=Stream(owner.bench.agent.url)))
    return {"credential": credential.id, "number": owner.gw.numbers.get(OURS).id, "operation": operation.id}


def test_every_verb_answers_as_if_it_did_not_exist(owner: Owner, theirs: dict[str, str]) -> None:
    asked, stands = len(owner.asked()), owner.stands()
    numbers, held = owner.gw.numbers.list(), owner.gw.numbers.assignments()
    strangers = dict.fromkeys(theirs, "01a1fefe-ea1a-7109-8818-67d0b867abc5")  # ids that nobody has
    for name, verb in VERBS.items():
        told = []
        for it in (theirs, strangers):
            with pytest.raises(NotFound) as refused:
                verb(owner.gw, it, {"workspace_id": MINE})
            text = str(refused.value)
            for ident in it.values():
                text = text.replace(ident, "ID")
            told.append(text)
        assert told[0] == told[1], name
    for kind in ("name", "account"):
        ident = "main" if kind == "name" else owner.account.account_ref
        with pytest.raises(NotFound):
            owner.gw.credentials.get(ident, workspace_id=MINE)
    with pytest.raises(NotFound):
        owner.gw.numbers.get(OURS, workspace_id=MINE)
    assert len(owner.asked()) == asked, "the carrier was not asked in the other's name"
    assert owner.stands() == stands
    assert (owner.gw.numbers.list(), owner.gw.numbers.assignments()) == (numbers, held)


def test_lists_of_another_workspace_are_empty(owner: Owner, theirs: dict[str, str]) -> None:
    me = {"workspace_id": MINE}
    assert owner.gw.credentials.list(**me) == []
    assert owner.gw.numbers.list(**me) == []
    assert owner.gw.numbers.assignments(**me) == []
    assert owner.gw.numbers.check_all(**me) == []
    assert owner.gw.numbers.page(**me).total == 0
    assert owner.gw.operations.start_repair(claim=True, **me).total == 0


def test_a_number_of_another_workspace_cannot_be_shown(owner: Owner, theirs: dict[str, str]) -> None:
    with pytest.raises(CallerIdRefused):
        owner.gw.place_call("my", CALLEE, from_number=OURS, workspace_id=MINE)
    assert owner.sim.dials(owner.provider) == []


def test_every_verb_is_listed(owner: Owner) -> None:
    taking = {"add", "get", "list", "page", "assignments", "webhooks", "rekey", "add_checked", "perform"}
    for face in ("credentials", "numbers", "operations"):
        verbs = {name for name in dir(getattr(owner.gw, face)) if not name.startswith("_")}
        listed = {name.split(".")[1].split(" ")[0] for name in VERBS if name.startswith(face)}
        assert verbs - taking <= listed, "a new verb needs a line above"
