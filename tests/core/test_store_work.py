"""Steps, claims of streams, actions, webhooks seen before, leases, words not in any table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import Conflict
from gateway.instructions import Forward, NextAgent, Say, Stream
from gateway.models import Call
from gateway.store import Store, actions, steps, upkeep, webhooks
from gateway.store.rows import Action, ActionKind, ActionState, ClaimResult, Step, StepState
from tests.storekit import SECOND, T0, a_step, an_action, put_call, put_credential, put_step

LEASE_S = 30


@pytest.fixture
def call(store: Store) -> Call:
    return put_call(store, put_credential(store))


def a_stream(call: Call, **said: object) -> Step:
    step = a_step(
        call,
        instruction=Stream("wss://a.example.com/m"),
        state=StepState.STARTED,
        join_deadline=T0 + 30 * SECOND,
        stream_token_hash="hash-1",
        stream_expires_at=T0 + 60 * SECOND,
    )
    return replace(step, **said)  # type: ignore[arg-type]


def put(store: Store, step: Step) -> Step:
    with store.transaction() as tx:
        steps.insert_step(tx, step)
    return step


def claim(store: Store, token_hash: str = "hash-1", at: int = 10) -> ClaimResult:
    with store.transaction() as tx:
        return steps.claim_stream(tx, token_hash, T0 + at * SECOND).result


# -- steps ----------------------------------------------------------------------------------------------------------


def test_a_step_comes_back_equal(store: Store, call: Call) -> None:
    step = put(
        store,
        a_stream(
            call,
            remaining=(NextAgent("b"), Forward("+14155550123"), Say("x")),
            tried_agents=("a", "ä"),
            agent_id="a",
            detail="why",
        ),
    )
    assert steps.load_step_by_token(store, step.token) == step
    assert steps.load_step_by_token(store, "missing") is None
    assert step.token not in repr(step)


def test_the_current_step_is_the_one_of_the_highest_position(store: Store, call: Call) -> None:
    assert steps.current_step(store, call.id) is None
    made = [put_step(store, call, position=i) for i in range(3)]
    assert steps.current_step(store, call.id) == made[2]
    assert steps.list_steps(store, call.id) == made


def test_two_workers_cannot_both_decide_the_next_step(store: Store, call: Call) -> None:
    first = put_step(store, call)
    with pytest.raises(Conflict, match="step 0"):
        put_step(store, call)
    assert steps.list_steps(store, call.id) == [first]


def test_a_step_moves_only_from_the_states_it_may_move_from(store: Store, call: Call) -> None:
    step = put_step(store, call, join_deadline=T0)
    with store.transaction() as tx:
        assert steps.set_step_state(tx, step.token, StepState.STARTED, only_from=(StepState.PENDING,))
        assert not steps.set_step_state(tx, step.token, StepState.STARTED, only_from=(StepState.PENDING,))
        assert steps.set_step_state(tx, step.token, StepState.FAILED, detail="socket refused")
        assert not steps.set_step_state(tx, step.token, StepState.JOINED)
        assert not steps.set_step_state(tx, "missing", StepState.OVER)
    found = steps.current_step(store, call.id)
    assert found is not None
    assert (found.state, found.detail, found.join_deadline) == (StepState.FAILED, "socket refused", None)


def test_a_connection_that_had_to_be_asked_for_is_filled_in_while_the_step_is_pending(
    store: Store, call: Call
) -> None:
    step = put_step(store, call, instruction=NextAgent("support"))
    known = replace(a_stream(call), token=step.token, state=StepState.PENDING)
    with store.transaction() as tx:
        assert steps.set_step_connection(tx, known)
    assert steps.load_step_by_token(store, step.token) == known
    with store.transaction() as tx:
        steps.set_step_state(tx, step.token, StepState.SUPERSEDED)
        assert not steps.set_step_connection(tx, known)


def test_a_step_that_nobody_joined_is_due_at_its_deadline(store: Store, call: Call) -> None:
    step = put(store, a_stream(call))
    late = T0 + 30 * SECOND
    assert steps.due_joins(store, late - SECOND, 10) == []
    assert steps.due_joins(store, late, 10) == [step]
    with store.transaction() as tx:
        steps.set_join_deadline(tx, step.token, late + SECOND)
    assert steps.due_joins(store, late, 10) == []
    with store.transaction() as tx:
        steps.set_step_state(tx, step.token, StepState.JOINED)
    assert steps.due_joins(store, late + timedelta(days=1), 10) == []


# -- claims of streams (R26) ----------------------------------------------------------------------------------------


def test_a_stream_is_claimed_once_and_its_agent_has_joined(store: Store, call: Call) -> None:
    step = put(store, a_stream(call))
    with store.transaction() as tx:
        claimed = steps.claim_stream(tx, "hash-1", T0 + 10 * SECOND)
    assert claimed.result is ClaimResult.CLAIMED
    joined = replace(step, state=StepState.JOINED, claimed_at=T0 + 10 * SECOND, join_deadline=None)
    assert claimed.step == joined
    assert steps.current_step(store, call.id) == joined
    assert claim(store) is ClaimResult.ALREADY
    assert claim(store, at=9999) is ClaimResult.ALREADY


def test_a_stream_that_the_carrier_reported_open_can_still_be_claimed(store: Store, call: Call) -> None:
    put(store, a_stream(call, state=StepState.JOINED))
    assert claim(store) is ClaimResult.CLAIMED


def test_an_unknown_token_claims_nothing(store: Store, call: Call) -> None:
    put(store, a_stream(call))
    assert claim(store, "hash-2") is ClaimResult.UNKNOWN


@pytest.mark.parametrize("at", [60, 61])
def test_a_stream_is_not_claimed_after_its_time(store: Store, call: Call, at: int) -> None:
    put(store, a_stream(call))
    assert claim(store, at=at) is ClaimResult.EXPIRED


@pytest.mark.parametrize("state", [s for s in StepState if not s.is_open])
def test_a_stream_whose_step_is_over_is_not_claimed(store: Store, call: Call, state: StepState) -> None:
    put(store, a_stream(call, state=state))
    assert claim(store) is ClaimResult.EXPIRED


def test_of_many_claims_at_once_exactly_one_wins(store: Store, call: Call) -> None:
    put(store, a_stream(call))
    results: list[ClaimResult] = []
    in_threads(lambda _: results.append(claim(store)), 10)
    assert sorted(results) == [ClaimResult.ALREADY] * 9 + [ClaimResult.CLAIMED]


# -- actions --------------------------------------------------------------------------------------------------------


def put_action(store: Store, call: Call, **said: object) -> Action:
    action = replace(an_action(call), **said)  # type: ignore[arg-type]
    with store.transaction() as tx:
        actions.insert_action(tx, action)
    return action


def claimed(store: Store, at: int = 0, limit: int = 10) -> list[Action]:
    with store.transaction() as tx:
        return actions.claim_actions(tx, T0 + at * SECOND, limit, LEASE_S)


def test_an_action_is_claimed_by_one_worker_for_the_time_of_its_lease(store: Store, call: Call) -> None:
    action = put_action(store, call, payload={"leg_id": "CA1"})
    (mine,) = claimed(store)
    assert mine == replace(action, tries=1, lease_until=T0 + LEASE_S * SECOND)
    assert claimed(store, at=LEASE_S - 1) == []
    (theirs,) = claimed(store, at=LEASE_S)
    assert theirs.tries == 2


def test_actions_are_claimed_when_they_are_due_the_most_overdue_first(store: Store, call: Call) -> None:
    later = put_action(store, call, due_at=T0 + 5 * SECOND)
    sooner = put_action(store, call, due_at=T0 + 3 * SECOND)
    assert claimed(store, at=2) == []
    assert [a.id for a in claimed(store, at=5, limit=1)] == [sooner.id]
    assert [a.id for a in claimed(store, at=5)] == [later.id]


def test_a_finished_action_is_not_done_again(store: Store, call: Call) -> None:
    put_action(store, call)
    (mine,) = claimed(store)
    with store.transaction() as tx:
        assert actions.finish_action(tx, mine)
        assert not actions.finish_action(tx, mine)
    assert claimed(store, at=9999) == []
    assert [a.state for a in actions.list_actions(store, call.id)] == [ActionState.DONE]


def test_a_failed_action_is_tried_again_at_its_time_or_given_up(store: Store, call: Call) -> None:
    put_action(store, call)
    (mine,) = claimed(store)
    with store.transaction() as tx:
        assert actions.fail_action(tx, mine, "timeout", retry_at=T0 + 2 * SECOND)
    assert claimed(store, at=1) == []
    (again,) = claimed(store, at=2)
    assert (again.tries, again.last_error) == (2, "timeout")
    with store.transaction() as tx:
        assert actions.fail_action(tx, again, "refused", retry_at=None)
    assert claimed(store, at=9999) == []
    (failed,) = actions.list_actions(store, call.id)
    assert (failed.state, failed.last_error) == (ActionState.FAILED, "refused")


def test_a_worker_that_comes_back_too_late_changes_nothing(store: Store, call: Call) -> None:
    put_action(store, call)
    (slow,) = claimed(store)
    (quick,) = claimed(store, at=LEASE_S)
    with store.transaction() as tx:
        assert not actions.finish_action(tx, slow)
        assert not actions.fail_action(tx, slow, "late", retry_at=None)
        assert actions.finish_action(tx, quick)


def test_a_calls_pending_actions_of_a_kind_are_dropped(store: Store, call: Call) -> None:
    put_action(store, call)
    kept = put_action(store, call, kind=ActionKind.PERFORM)
    with store.transaction() as tx:
        assert actions.drop_actions(tx, call.id, (ActionKind.HANG_UP,), "the call is over") == 1
    assert [a.id for a in claimed(store)] == [kept.id]


def test_the_next_due_time_is_when_an_action_can_be_claimed(store: Store, call: Call) -> None:
    assert actions.next_due(store) is None
    put_action(store, call, due_at=T0 + 5 * SECOND)
    assert actions.next_due(store) == T0 + 5 * SECOND
    (mine,) = claimed(store, at=5)
    assert actions.next_due(store) == T0 + (5 + LEASE_S) * SECOND
    with store.transaction() as tx:
        actions.finish_action(tx, mine)
    assert actions.next_due(store) is None


def test_workers_that_claim_at_once_share_the_actions_without_overlap(store: Store, call: Call) -> None:
    made = {put_action(store, call).id for _ in range(30)}
    got: list[str] = []
    in_threads(lambda _: got.extend(a.id for a in claimed(store, limit=5)), 8)
    got.extend(a.id for a in claimed(store, limit=100))  # what a worker skipped because another held it
    assert len(got) == len(set(got))
    assert set(got) == made


# -- webhooks seen before (R22) -------------------------------------------------------------------------------------


def test_a_webhook_is_new_once_and_its_answer_is_remembered(store: Store) -> None:
    credential = put_credential(store)
    with store.transaction() as tx:
        assert webhooks.see_webhook(tx, "h1", credential.id, T0) is None
        webhooks.set_seen_reply(tx, "h1", status=200, step_token="s1")
    with store.transaction() as tx:
        seen = webhooks.see_webhook(tx, "h1", credential.id, T0 + SECOND)
        assert webhooks.see_webhook(tx, "h2", credential.id, T0) is None
    assert seen is not None
    assert (seen.status, seen.step_token, seen.received_at) == (200, "s1", T0)
    assert seen.credential_id == credential.id


def test_a_webhook_whose_processing_failed_is_new_again(store: Store) -> None:
    credential = put_credential(store)
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the block is the transaction
        webhooks.see_webhook(tx, "h1", credential.id, T0)
        raise RuntimeError
    with store.transaction() as tx:
        assert webhooks.see_webhook(tx, "h1", credential.id, T0) is None


def test_one_webhook_at_many_workers_at_once_is_new_for_one(store: Store) -> None:
    credential = put_credential(store)
    is_new: list[bool] = []

    def see(_: int) -> None:
        with store.transaction() as tx:
            is_new.append(webhooks.see_webhook(tx, "h1", credential.id, T0) is None)

    in_threads(see, 10)
    assert sorted(is_new) == [False] * 9 + [True]


def test_old_webhooks_are_forgotten_a_part_at_a_time(store: Store) -> None:
    credential = put_credential(store)
    with store.transaction() as tx:
        for i in range(10):
            webhooks.see_webhook(tx, f"h{i}", credential.id, T0 + i * SECOND)
    with store.transaction() as tx:
        assert webhooks.purge_seen(tx, T0 + 7 * SECOND, limit=5) == 5
        assert webhooks.purge_seen(tx, T0 + 7 * SECOND, limit=5) == 2
        assert webhooks.purge_seen(tx, T0 + 7 * SECOND) == 0
        assert webhooks.see_webhook(tx, "h7", credential.id, T0) is not None


# -- upkeep ---------------------------------------------------------------------------------------------------------


def take(store: Store, owner: str, at: int = 0) -> bool:
    with store.transaction() as tx:
        return upkeep.take_lease(tx, "sweeper", owner, T0 + (at + 10) * SECOND, T0 + at * SECOND)


def test_a_lease_is_held_by_one_owner_until_it_ends(store: Store) -> None:
    assert take(store, "a")
    assert not take(store, "b", at=9)
    assert take(store, "a", at=9)  # kept longer
    assert not take(store, "b", at=18)
    assert take(store, "b", at=19)
    assert not take(store, "a", at=20)


def test_a_lease_that_was_given_back_is_free_and_only_its_owner_gives_it_back(store: Store) -> None:
    take(store, "a")
    with store.transaction() as tx:
        upkeep.release_lease(tx, "sweeper", "b")
    assert not take(store, "b")
    with store.transaction() as tx:
        upkeep.release_lease(tx, "sweeper", "a")
    assert take(store, "b")


def test_of_many_that_want_a_lease_at_once_exactly_one_gets_it(store: Store) -> None:
    got: list[bool] = []
    in_threads(lambda i: got.append(take(store, str(i))), 10)
    assert sorted(got) == [False] * 9 + [True]


def test_words_not_in_any_table_are_counted(store: Store) -> None:
    with store.transaction() as tx:
        for at in (T0, T0 + SECOND):
            upkeep.count_unmapped(tx, "twilio", "call_status", "levitating", at)
        upkeep.count_unmapped(tx, "plivo", "call_status", "x" * 1000 + "\x00", T0)
    often, once = upkeep.list_unmapped(store)
    assert (often.provider, often.table, often.word, often.count) == (
        "twilio",
        "call_status",
        "levitating",
        2,
    )
    assert (often.first_seen_at, often.last_seen_at) == (T0, T0 + SECOND)
    assert (once.count, len(once.word)) == (1, 200)


def test_a_fact_about_the_database_is_kept_and_replaced(store: Store) -> None:
    assert upkeep.find_meta(store, "epoch") is None
    for value in ("1", "2"):
        with store.transaction() as tx:
            upkeep.put_meta(tx, "epoch", value)
    assert upkeep.find_meta(store, "epoch") == "2"


def in_threads(work: Callable[[int], object], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
