"""Credentials, numbers, assignments and agents: who calls, from where."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.errors import Conflict, NotFound
from gateway.instructions import Forward, NextAgent, Reject, Say, Sip, Stream, TakeMessage
from gateway.models import CallerIdStrategy, CallSettings
from gateway.status import CallStatus, Direction
from gateway.store import Store, agents, codec, credentials, numbers, workspaces
from tests.storekit import (
    CALLER,
    SECOND,
    T0,
    a_credential,
    a_number,
    an_agent,
    put_agent,
    put_attempt,
    put_call,
    put_credential,
    put_number,
)

OTHER = "another-tenant"


def assign(
    store: Store, number_id: str, agent_id: str, *, inbound: bool = True, outbound: bool = False
) -> None:
    with store.transaction() as tx:
        numbers.assign(tx, number_id, agent_id, inbound=inbound, outbound=outbound, at=T0)


# -- credentials ----------------------------------------------------------------------------------------------------


def test_a_credential_comes_back_by_id_and_by_key_with_its_sealed_secrets(store: Store) -> None:
    credential = put_credential(store, name="büro", exclusive=False)
    assert credentials.load_credential(store, credential.id) == credential
    found = credentials.load_credential_by_key(store, credential.key)
    assert found is not None
    assert (found.credential, found.sealed) == (credential, "sealed")
    assert "sealed" not in repr(found).replace("SealedCredential", "")


def test_secrets_given_with_a_credential_are_not_stored_in_the_clear(store: Store) -> None:
    put_credential(store, secrets={"auth_token": "canary-secret"})
    for row in store.rows(text("SELECT * FROM credential")):
        assert "canary-secret" not in str(row)


def test_an_unknown_key_or_another_workspaces_id_finds_nothing(store: Store) -> None:
    credential = put_credential(store)
    assert credentials.load_credential_by_key(store, "0" * 32) is None
    with pytest.raises(NotFound):
        credentials.load_credential(store, credential.id, workspace_id=OTHER)
    with pytest.raises(NotFound):
        credentials.load_credential(store, "missing")


def test_credentials_are_listed_by_workspace_oldest_first(store: Store) -> None:
    first = put_credential(store)
    second = put_credential(store, created_at=T0 + SECOND)
    foreign = put_credential(store, workspace_id=OTHER)
    assert credentials.list_credentials(store, "default") == [first, second]
    assert credentials.list_credentials(store, OTHER) == [foreign]
    assert len(credentials.list_credentials(store)) == 3
    assert workspaces.list_workspaces(store) == [OTHER, "default"]


def test_sealed_secrets_are_replaced(store: Store) -> None:
    credential = put_credential(store)
    with store.transaction() as tx:
        credentials.save_sealed(tx, credential.id, "sealed anew")
    assert credentials.load_sealed_credential(store, credential.id).sealed == "sealed anew"
    with pytest.raises(NotFound), store.transaction() as tx:
        credentials.save_sealed(tx, "missing", "x")


def test_a_removed_credential_is_gone_its_secrets_erased_and_its_calls_kept(store: Store) -> None:
    credential = put_credential(store)
    number = put_number(store, credential)
    call = put_call(store, credential, status=CallStatus.COMPLETED)
    with store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id="default", at=T0)
    assert credentials.list_credentials(store) == []
    assert credentials.load_credential_by_key(store, credential.key) is None
    with pytest.raises(NotFound):
        numbers.load_number(store, number.id)
    sealed = store.rows(text("SELECT sealed FROM credential"))
    assert [row.sealed for row in sealed] == [""]
    from gateway.store import calls

    assert calls.load_call(store, call.id).credential_id == credential.id


def test_a_credential_with_assigned_numbers_is_not_removed(store: Store) -> None:
    credential = put_credential(store)
    put_agent(store)
    number = put_number(store, credential)
    assign(store, number.id, "support")
    with pytest.raises(Conflict, match=r"…0100.*unassign"), store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id="default", at=T0)
    assert credentials.load_credential(store, credential.id) == credential


@pytest.mark.parametrize("status", [CallStatus.QUEUED, CallStatus.RINGING, CallStatus.IN_PROGRESS])
def test_a_credential_with_a_live_call_is_not_removed(store: Store, status: CallStatus) -> None:
    credential = put_credential(store)
    put_call(store, credential, status=status)
    with pytest.raises(Conflict, match="live"), store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id="default", at=T0)


def test_a_credential_with_a_dial_of_unknown_outcome_is_not_removed(store: Store) -> None:
    credential = put_credential(store)
    put_attempt(store, put_call(store, credential, status=CallStatus.CANCELLED))
    with pytest.raises(Conflict, match="unknown"), store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id="default", at=T0)


def test_another_workspaces_credential_is_not_removed(store: Store) -> None:
    credential = put_credential(store)
    with pytest.raises(NotFound), store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id=OTHER, at=T0)


# -- numbers --------------------------------------------------------------------------------------------------------


def test_a_number_comes_back_by_id_and_by_e164(store: Store) -> None:
    credential = put_credential(store)
    number = put_number(store, credential, carrier_ref="PN1")
    assert numbers.load_number(store, number.id) == number
    assert numbers.find_number(store, "default", CALLER) == number
    assert numbers.find_number(store, "default", CALLER, credential_id="missing") is None
    assert numbers.find_number(store, OTHER, CALLER) is None
    with pytest.raises(NotFound):
        numbers.load_number(store, number.id, workspace_id=OTHER)


def test_a_credential_holds_a_number_once_and_two_credentials_may_hold_it(store: Store) -> None:
    first, second = put_credential(store), put_credential(store, workspace_id=OTHER)
    put_number(store, first)
    put_number(store, second, created_at=T0 + SECOND)
    with pytest.raises(Conflict, match=r"…0100"), store.transaction() as tx:
        numbers.insert_number(tx, a_number(first))
    assert numbers.holders_of(store, CALLER) == [first.id, second.id]


def test_numbers_are_listed_by_workspace_and_credential(store: Store) -> None:
    first, second = put_credential(store), put_credential(store)
    one = put_number(store, first)
    two = put_number(store, second, e164="+14155550101", created_at=T0 + SECOND)
    assert numbers.list_numbers(store, "default") == [one, two]
    assert numbers.list_numbers(store, "default", credential_id=second.id) == [two]
    assert numbers.list_numbers(store, OTHER) == []


def test_the_use_of_a_number_is_noted(store: Store) -> None:
    number = put_number(store, put_credential(store))
    with store.transaction() as tx:
        numbers.mark_number_used(tx, number.id, T0)
    assert numbers.load_number(store, number.id) == replace(number, last_used_at=T0)


def test_a_number_is_removed_only_when_it_is_not_assigned(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store)
    assign(store, number.id, "support")
    with pytest.raises(Conflict), store.transaction() as tx:
        numbers.remove_number(tx, number.id)
    with store.transaction() as tx:
        numbers.unassign(tx, number.id)
        numbers.remove_number(tx, number.id)
    assert numbers.list_numbers(store, "default") == []


# -- assignments ----------------------------------------------------------------------------------------------------


def test_an_assigned_number_finds_its_agent_and_the_agent_its_number(store: Store) -> None:
    credential = put_credential(store)
    number = put_number(store, credential)
    put_agent(store)
    assert numbers.inbound_agent(store, credential.id, CALLER) == (number, None)
    assert numbers.inbound_agent(store, credential.id, "+14155550199") is None
    assign(store, number.id, "support", inbound=True, outbound=True)
    assert numbers.inbound_agent(store, credential.id, CALLER) == (number, "support")
    assert numbers.outbound_numbers(store, "default", "support") == [number]
    assert numbers.outbound_numbers(store, OTHER, "support") == []
    held = numbers.list_assignments(store, "default", agent_id="support")
    assert [(a.e164, a.direction) for a in held] == [
        (CALLER, Direction.INBOUND),
        (CALLER, Direction.OUTBOUND),
    ]


def test_outbound_numbers_come_in_the_order_of_their_assignment(store: Store) -> None:
    credential = put_credential(store)
    put_agent(store)
    made = [put_number(store, credential, e164=f"+1415555010{i}") for i in range(5)]
    for number in reversed(made):
        assign(store, number.id, "support", inbound=False, outbound=True)
    assert numbers.outbound_numbers(store, "default", "support") == made[::-1]


def test_a_number_has_one_inbound_agent_and_many_outbound_ones(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store)
    put_agent(store, id="sales")
    assign(store, number.id, "support", inbound=True, outbound=True)
    assign(store, number.id, "sales", inbound=False, outbound=True)
    with pytest.raises(Conflict, match="'support'"):
        assign(store, number.id, "sales", inbound=True)
    assert numbers.outbound_numbers(store, "default", "sales") == [number]


def test_assigning_again_changes_nothing(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store)
    for _ in range(2):
        assign(store, number.id, "support", inbound=True, outbound=True)
    assert len(numbers.list_assignments(store, "default")) == 2


def test_unassigning_takes_one_direction_one_agent_or_all(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store)
    put_agent(store, id="sales")
    assign(store, number.id, "support", inbound=True, outbound=True)
    assign(store, number.id, "sales", inbound=False, outbound=True)
    with store.transaction() as tx:
        gone = numbers.unassign(tx, number.id, agent_id="support", direction=Direction.INBOUND)
    assert [(a.agent_id, a.direction) for a in gone] == [("support", Direction.INBOUND)]
    left = [(a.agent_id, a.direction) for a in numbers.list_assignments(store, "default")]
    assert left == [("support", Direction.OUTBOUND), ("sales", Direction.OUTBOUND)]
    with store.transaction() as tx:
        assert len(numbers.unassign(tx, number.id)) == 2
        assert numbers.unassign(tx, number.id) == []


def test_assigning_to_an_agent_that_does_not_exist_is_a_conflict(store: Store) -> None:
    number = put_number(store, put_credential(store))
    with pytest.raises(Conflict):
        assign(store, number.id, "nobody")
    with pytest.raises(NotFound):
        assign(store, "missing", "nobody")


def test_an_agent_of_another_workspace_cannot_be_assigned(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store, workspace_id=OTHER)
    with pytest.raises(Conflict):
        assign(store, number.id, "support")


def test_of_many_agents_that_want_a_number_at_once_exactly_one_gets_it(store: Store) -> None:
    number = put_number(store, put_credential(store))
    for i in range(12):
        put_agent(store, id=f"agent-{i}")
    won: list[str] = []

    def want(agent_id: str) -> None:
        try:
            assign(store, number.id, agent_id)
            won.append(agent_id)
        except Conflict:
            pass

    in_threads(want, [f"agent-{i}" for i in range(12)])
    held = numbers.list_assignments(store, "default")
    assert [a.agent_id for a in held] == won
    assert len(won) == 1


# -- agents ---------------------------------------------------------------------------------------------------------


def test_an_agent_comes_back_equal(store: Store) -> None:
    agent = put_agent(
        store,
        name="Front desk",
        connect=Stream("wss://a.example.com/m", {"k": "v"}),
        settings=CallSettings(greeting="Hello {{first_name}}", join_timeout="20s"),
        fallback=(
            NextAgent("b"),
            Forward("+14155550123"),
            Sip("sip:a@b.example"),
            Say("x"),
            TakeMessage(),
            Reject(),
        ),
        max_concurrent_calls=3,
        caller_id_strategy=CallerIdStrategy.SAME_REGION,
    )
    assert agents.load_agent(store, "default", "support") == agent
    assert agents.find_agent(store, OTHER, "support") is None
    with pytest.raises(NotFound):
        agents.load_agent(store, "default", "nobody")


def test_putting_an_agent_again_replaces_it_and_keeps_its_turn(store: Store) -> None:
    put_agent(store)
    with store.transaction() as tx:
        assert agents.take_round_robin(tx, "default", "support") == 0
    changed = put_agent(store, name="new name")
    assert agents.list_agents(store, "default") == [changed]
    with store.transaction() as tx:
        assert agents.take_round_robin(tx, "default", "support") == 1


def test_an_agent_with_a_function_comes_back_with_a_stand_in(store: Store) -> None:
    put_agent(store, connect=lambda call: Sip("sip:a@b.example"))
    assert agents.load_agent(store, "default", "support").connect is codec.lost_function


def test_an_agent_is_removed_only_when_no_number_is_assigned_to_it(store: Store) -> None:
    number = put_number(store, put_credential(store))
    put_agent(store)
    assign(store, number.id, "support")
    with pytest.raises(Conflict), store.transaction() as tx:
        agents.remove_agent(tx, "default", "support")
    with store.transaction() as tx:
        numbers.unassign(tx, number.id)
        agents.remove_agent(tx, "default", "support")
    with pytest.raises(NotFound), store.transaction() as tx:
        agents.remove_agent(tx, "default", "support")


def test_turns_taken_at_once_are_all_different(store: Store) -> None:
    put_agent(store)
    taken: list[int] = []

    def take(_: str) -> None:
        with store.transaction() as tx:
            taken.append(agents.take_round_robin(tx, "default", "support"))

    in_threads(take, [str(i) for i in range(16)])
    assert sorted(taken) == list(range(16))
    with pytest.raises(NotFound), store.transaction() as tx:
        agents.take_round_robin(tx, "default", "nobody")


def test_workspaces_may_use_the_same_agent_id(store: Store) -> None:
    ours = put_agent(store, name="ours")
    theirs = put_agent(store, name="theirs", workspace_id=OTHER)
    assert agents.load_agent(store, "default", "support") == ours
    assert agents.load_agent(store, OTHER, "support") == theirs


def test_agents_put_in_one_transaction_are_held_until_it_ends(store: Store) -> None:
    put_agent(store)
    with store.transaction() as tx:
        assert agents.load_agent_for_update(tx, "default", "support") == an_agent()
        with pytest.raises(NotFound):
            agents.load_agent_for_update(tx, "default", "nobody")


def test_a_taken_credential_id_is_a_conflict(store: Store) -> None:
    credential = put_credential(store)
    with pytest.raises(Conflict), store.transaction() as tx:
        credentials.insert_credential(tx, a_credential(id=credential.id), sealed="")


def in_threads(work, arguments: list[str]) -> None:  # type: ignore[no-untyped-def]
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
