"""API keys, webhook endpoints, counts of requests, analyses; deleting calls; statistics."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.errors import Conflict, NotFound, ValidationError
from gateway.ids import new_id
from gateway.models import Analysis, AnalysisSummary, ApiKey, Call, Scope, TranscriptLine, WebhookEndpoint
from gateway.status import Authority, CallFacts, CallStatus, Cost, Direction, EndCause, EndReport
from gateway.store import (
    Store,
    Tx,
    agents,
    analyses,
    api_keys,
    attempts,
    calls,
    endpoints,
    events,
    outbox,
    rates,
    steps,
    tombstones,
)
from gateway.store.rows import Notification, Tally
from tests.storekit import (
    CALLEE,
    CALLER,
    SECOND,
    T0,
    a_call,
    an_action,
    put_attempt,
    put_call,
    put_credential,
    put_event,
    put_step,
)

OTHER = "another-tenant"
HOUR = timedelta(hours=1)


def in_threads(work: Callable[[int], object], count: int) -> None:
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


# -- API keys -------------------------------------------------------------------------------------------------------


def a_key(**said: object) -> ApiKey:
    made = ApiKey(
        id=new_id(),
        workspace_id="default",
        name="dashboard",
        prefix="gwk_abcdefgh",
        scopes=frozenset({Scope.CALLS_READ, Scope.NUMBERS_BUY}),
        expires_at=T0 + HOUR,
        created_at=T0,
    )
    return replace(made, **said)  # type: ignore[arg-type]


def put_key(store: Store, key_hash: str = "h" * 64, **said: object) -> ApiKey:
    key = a_key(**said)
    with store.transaction() as tx:
        api_keys.insert_key(tx, key, key_hash=key_hash)
    return key


def test_a_key_comes_back_equal_by_its_prefix_with_its_hash(store: Store) -> None:
    key = put_key(store)
    found = api_keys.find_key_by_prefix(store, key.prefix)
    assert found is not None
    assert (found.key, found.key_hash) == (key, "h" * 64)
    assert "hhhh" not in repr(found)
    assert api_keys.find_key_by_prefix(store, "gwk_other000") is None
    assert api_keys.find_key_by_prefix(store, "gwk_\x00' OR 1=1") is None


def test_two_keys_with_one_prefix_are_a_conflict(store: Store) -> None:
    put_key(store)
    with pytest.raises(Conflict):
        put_key(store)
    assert len(api_keys.list_keys(store, "default")) == 1


def test_keys_are_listed_by_workspace_oldest_first(store: Store) -> None:
    second = put_key(store, prefix="gwk_2", created_at=T0 + SECOND)
    first = put_key(store, prefix="gwk_1")
    theirs = put_key(store, prefix="gwk_3", workspace_id=OTHER)
    assert api_keys.list_keys(store, "default") == [first, second]
    assert api_keys.list_keys(store, OTHER) == [theirs]


def test_a_key_is_revoked_once_and_only_in_its_workspace(store: Store) -> None:
    key = put_key(store)
    with pytest.raises(NotFound), store.transaction() as tx:
        api_keys.revoke_key(tx, OTHER, key.id, at=T0)
    for at in (T0 + SECOND, T0 + HOUR):
        with store.transaction() as tx:
            assert api_keys.revoke_key(tx, "default", key.id, at=at).revoked_at == T0 + SECOND
    found = api_keys.find_key_by_prefix(store, key.prefix)
    assert found is not None
    assert found.key.revoked_at == T0 + SECOND


def test_a_scope_of_a_newer_gateway_gives_nothing(store: Store) -> None:
    from sqlalchemy import update

    from gateway.store.tables import api_key

    put_key(store)
    with store.transaction() as tx:
        tx.write(update(api_key).values(scopes='["calls:read","planets:write"]'))
    assert api_keys.list_keys(store, "default")[0].scopes == {Scope.CALLS_READ}


# -- webhook endpoints ----------------------------------------------------------------------------------------------


def an_endpoint(**said: object) -> WebhookEndpoint:
    made = WebhookEndpoint(
        id=new_id(),
        workspace_id="default",
        url="https://hooks.example.com/gateway",
        event_types=("call.ended", "call.failed"),
        created_at=T0,
        updated_at=T0,
    )
    return replace(made, **said)  # type: ignore[arg-type]


def put_endpoint(store: Store, **said: object) -> WebhookEndpoint:
    endpoint = an_endpoint(**said)
    with store.transaction() as tx:
        endpoints.insert_endpoint(tx, endpoint, sealed="sealed")
    return endpoint


def test_an_endpoint_comes_back_equal_and_only_in_its_workspace(store: Store) -> None:
    endpoint = put_endpoint(store)
    everything = put_endpoint(store, event_types=(), created_at=T0 + SECOND)
    assert endpoints.load_endpoint(store, "default", endpoint.id) == endpoint
    assert endpoints.list_endpoints(store, "default") == [endpoint, everything]
    assert endpoints.list_endpoints(store, OTHER) == []
    with pytest.raises(NotFound):
        endpoints.load_endpoint(store, OTHER, endpoint.id)


def test_a_changed_endpoint_is_stored_without_touching_its_secrets(store: Store) -> None:
    endpoint = put_endpoint(store)
    changed = replace(
        endpoint, url="https://b.example", event_types=(), is_enabled=False, disabled_reason="by hand"
    )
    with store.transaction() as tx:
        assert endpoints.load_endpoint(tx, "default", endpoint.id) == endpoint
        endpoints.save_endpoint(tx, changed)
    found = endpoints.find_sealed_endpoint(store, endpoint.id)
    assert found is not None
    assert (found.endpoint, found.sealed, found.previous_until) == (changed, "sealed", None)
    with pytest.raises(NotFound), store.transaction() as tx:
        endpoints.save_endpoint(tx, replace(changed, workspace_id=OTHER))


def test_secrets_are_replaced_with_the_end_of_the_previous_one(store: Store) -> None:
    endpoint = put_endpoint(store)
    until = T0 + 24 * HOUR
    with store.transaction() as tx:
        endpoints.save_endpoint_secrets(
            tx, "default", endpoint.id, "canary", previous_until=until, at=T0 + SECOND
        )
    found = endpoints.load_sealed_endpoint(store, "default", endpoint.id)
    assert (found.sealed, found.previous_until) == ("canary", until)
    assert "canary" not in repr(found)
    with pytest.raises(NotFound), store.transaction() as tx:
        endpoints.save_endpoint_secrets(tx, OTHER, endpoint.id, "x", previous_until=None, at=T0)


def test_failures_count_from_the_first_one_after_a_success(store: Store) -> None:
    endpoint = put_endpoint(store)
    with store.transaction() as tx:
        assert endpoints.note_failure(tx, endpoint.id, T0) == T0
        assert endpoints.note_failure(tx, endpoint.id, T0 + HOUR) == T0
        endpoints.note_success(tx, endpoint.id)
        assert endpoints.note_failure(tx, endpoint.id, T0 + 2 * HOUR) == T0 + 2 * HOUR
        assert endpoints.note_failure(tx, "missing", T0) == T0
    assert endpoints.load_endpoint(store, "default", endpoint.id).failing_since == T0 + 2 * HOUR


def test_an_endpoint_is_disabled_once_with_its_reason(store: Store) -> None:
    endpoint = put_endpoint(store)
    with store.transaction() as tx:
        assert endpoints.disable_endpoint(tx, endpoint.id, "it answered 410", at=T0 + SECOND)
        assert not endpoints.disable_endpoint(tx, endpoint.id, "again", at=T0 + HOUR)
    found = endpoints.load_endpoint(store, "default", endpoint.id)
    assert (found.is_enabled, found.disabled_reason, found.updated_at) == (
        False,
        "it answered 410",
        T0 + SECOND,
    )


def test_an_endpoint_is_removed_only_in_its_workspace(store: Store) -> None:
    endpoint = put_endpoint(store)
    with pytest.raises(NotFound), store.transaction() as tx:
        endpoints.remove_endpoint(tx, OTHER, endpoint.id)
    with store.transaction() as tx:
        endpoints.remove_endpoint(tx, "default", endpoint.id)
    assert endpoints.find_sealed_endpoint(store, endpoint.id) is None


# -- counts of requests (R82) ---------------------------------------------------------------------------------------


def hit(store: Store, at: datetime = T0, key: str = "key:1", **said: int) -> int:
    with store.transaction() as tx:
        return rates.count_hit(tx, key, 60, at, **said)


def test_hits_are_counted_per_key_and_window(store: Store) -> None:
    assert [hit(store), hit(store), hit(store, key="key:2"), hit(store, hits=10)] == [1, 2, 1, 12]
    later = T0 + timedelta(minutes=1)
    assert hit(store, later) == 1
    assert rates.window_counts(store, "key:1", 60, later) == (12, 1)
    assert rates.window_counts(store, "key:1", 60, later + timedelta(minutes=1)) == (1, 0)
    assert rates.window_counts(store, "nobody", 60, T0) == (0, 0)


def test_a_window_begins_at_a_whole_multiple_of_its_length_for_every_worker() -> None:
    at = datetime(2026, 3, 1, 12, 34, 56, 789, tzinfo=UTC)
    assert rates.window_start(60, at) == datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
    assert rates.window_start(3600, at) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert rates.window_start(86_400, at) == datetime(2026, 3, 1, tzinfo=UTC)
    assert rates.window_start(1, at) == at.replace(microsecond=0)


def test_no_hit_of_many_threads_is_lost(store: Store) -> None:
    seen: list[int] = []
    in_threads(lambda _: [seen.append(hit(store)) for _ in range(10)], 8)
    assert sorted(seen) == list(range(1, 81))


def test_old_windows_are_forgotten_a_few_at_a_time(store: Store) -> None:
    for minute in range(5):
        hit(store, T0 + minute * timedelta(minutes=1))
    before = T0 + timedelta(minutes=3)
    with store.transaction() as tx:
        assert rates.purge_counts(tx, before, limit=3) == 3
        assert rates.purge_counts(tx, before) == 1
        assert rates.purge_counts(tx, before) == 0
    assert rates.window_counts(store, "key:1", 60, T0 + 4 * timedelta(minutes=1)) == (0, 1)


# -- analyses -------------------------------------------------------------------------------------------------------

ANALYSIS = Analysis(
    transcript=(
        TranscriptLine(speaker="agent", text="Hello ä 🙂", timestamp_s=0.5),
        TranscriptLine(speaker="contact", text="", timestamp_s=61),
    ),
    summary="They want to book.",
    outcome="booked",
)


def analyse(store: Store, call: Call, analysis: Analysis = ANALYSIS, at: datetime = T0) -> bool:
    with store.transaction() as tx:
        return analyses.put_analysis(tx, call.workspace_id, call.id, analysis, at=at)


def test_an_analysis_comes_back_equal_and_the_same_again_is_no_change(store: Store) -> None:
    call = put_call(store)
    assert analyses.find_analysis(store, call.id) is None
    assert analyse(store, call)
    assert analyses.find_analysis(store, call.id) == ANALYSIS
    assert not analyse(store, call, at=T0 + SECOND)
    for changed in (
        replace(ANALYSIS, outcome="lost"),
        replace(ANALYSIS, summary="x"),
        replace(ANALYSIS, transcript=()),
    ):
        assert analyse(store, call, changed)
        assert analyses.find_analysis(store, call.id) == changed


def test_a_list_of_calls_is_told_summaries_without_transcripts(store: Store) -> None:
    spoken, silent, bare = put_call(store), put_call(store), put_call(store)
    analyse(store, spoken)
    analyse(store, silent, Analysis(summary="nothing said"))
    found = analyses.analyses_of(store, [spoken.id, silent.id, bare.id])
    assert found == {
        spoken.id: AnalysisSummary(summary="They want to book.", outcome="booked", has_transcript=True),
        silent.id: AnalysisSummary(summary="nothing said"),
    }
    assert found[spoken.id] == ANALYSIS.short
    assert analyses.analyses_of(store, []) == {}


def test_there_is_no_analysis_of_a_call_that_does_not_exist(store: Store) -> None:
    put_call(store)
    with pytest.raises(Conflict):
        analyse(store, a_call())


# -- deleting calls -------------------------------------------------------------------------------------------------


def delete(store: Store, call_id: str, workspace_id: str = "default") -> None:
    with store.transaction() as tx:
        calls.delete_call(tx, workspace_id, call_id, at=T0)


def rows_about_calls(store: Store) -> dict[str, int]:
    from sqlalchemy import func, select

    from gateway.store.tables import metadata

    about = [table for table in metadata.sorted_tables if "call_id" in table.c or table.name == "call"]
    return {table.name: store.rows(select(func.count()).select_from(table))[0][0] for table in about}


def put_everything_about(store: Store, call: Call) -> None:
    put_attempt(store, call)
    put_event(store, call, event_id="e1")
    put_step(store, call)
    analyse(store, call)
    put_endpoint(store, event_types=())
    with store.transaction() as tx:
        from gateway.store import actions

        actions.insert_action(tx, an_action(call))
        calls.bind_legs(tx, call.id, call.credential_id or "", ["CA1", "CA2"])
        outbox.add_notification(tx, an_event_about(call))


def an_event_about(call: Call, **said: object) -> Notification:
    made = Notification(
        id="evt_" + new_id().replace("-", ""),
        workspace_id=call.workspace_id,
        call_id=call.id,
        type="call.ended",
        sequence=3,
        payload='{"type":"call.ended"}',
        created_at=T0,
    )
    return replace(made, **said)  # type: ignore[arg-type]


def test_a_deleted_call_takes_everything_along_but_the_events_that_were_told(store: Store) -> None:
    call = put_call(store, put_credential(store), status=CallStatus.COMPLETED, idempotency_key="k1")
    put_everything_about(store, call)
    assert all(rows_about_calls(store).values()), "a table is not covered by this test"
    delete(store, call.id)
    left = {name: count for name, count in rows_about_calls(store).items() if count}
    assert left == {"notification": 1}
    (told,) = outbox.list_notifications(store, "default")
    assert told.call_id is None
    assert len(outbox.list_deliveries(store, "default").deliveries) == 1
    with pytest.raises(NotFound):
        calls.load_call(store, call.id)
    with pytest.raises(NotFound):
        delete(store, call.id)


@pytest.mark.parametrize("status", [status for status in CallStatus if not status.is_final])
def test_a_live_call_is_not_deleted(store: Store, status: CallStatus) -> None:
    call = put_call(store, status=status)
    with pytest.raises(Conflict, match=status.value):
        delete(store, call.id)
    assert calls.load_call(store, call.id) == call


def test_another_workspaces_call_is_not_found_and_not_deleted(store: Store) -> None:
    theirs = put_call(store, workspace_id=OTHER, status=CallStatus.COMPLETED)
    put_call(store)
    with pytest.raises(NotFound):
        delete(store, theirs.id)
    assert calls.load_call(store, theirs.id) == theirs


def test_of_many_calls_the_ended_ones_of_the_workspace_are_deleted(store: Store) -> None:
    ended = [put_call(store, status=status) for status in CallStatus if status.is_final]
    live = put_call(store, status=CallStatus.RINGING)
    theirs = put_call(store, workspace_id=OTHER, status=CallStatus.FAILED)
    asked = [live.id, ended[1].id, theirs.id, ended[0].id, "missing", ended[1].id]
    with store.transaction() as tx:
        deleted, others = calls.delete_calls(tx, "default", asked, at=T0)
    assert deleted == [ended[1].id, ended[0].id]
    assert others == [live.id, theirs.id, "missing"]
    assert calls.count_calls(store, "default") == len(ended) - 2 + 1
    with store.transaction() as tx:
        assert calls.delete_calls(tx, "default", [], at=T0) == ([], [])


def test_a_thousand_calls_are_deleted_at_once(store: Store) -> None:
    made = [a_call(status=CallStatus.COMPLETED) for _ in range(1000)]
    put_call(store)
    with store.transaction() as tx:
        for call in made:
            calls.insert_call(tx, call)
    with store.transaction() as tx:
        deleted, others = calls.delete_calls(tx, "default", [call.id for call in made], at=T0)
    assert (len(deleted), others) == (1000, [])


def test_the_idempotency_key_of_a_deleted_call_places_no_second_call(store: Store) -> None:
    call = put_call(store, status=CallStatus.COMPLETED, idempotency_key="k1")
    delete(store, call.id)
    with pytest.raises(Conflict, match="deleted"):
        put_call(store, idempotency_key="k1")
    put_call(store, idempotency_key="k1", workspace_id=OTHER)
    with store.transaction() as tx:
        assert tombstones.purge_tombstones(tx, T0) == 0
        assert tombstones.purge_tombstones(tx, T0 + SECOND) == 1
    put_call(store, idempotency_key="k1")


def test_the_legs_of_a_deleted_call_are_known_as_such(store: Store) -> None:
    credential, another = put_credential(store), put_credential(store)
    call = put_call(store, credential, status=CallStatus.COMPLETED)
    put_everything_about(store, call)
    assert not tombstones.is_deleted_leg(store, credential.id, ["CA1"])
    delete(store, call.id)
    assert tombstones.is_deleted_leg(store, credential.id, ["other", "", "CA2"])
    assert not tombstones.is_deleted_leg(store, credential.id, ["other", ""])
    assert not tombstones.is_deleted_leg(store, credential.id, [])
    assert not tombstones.is_deleted_leg(store, another.id, ["CA1"])


def test_a_call_that_is_deleted_while_it_is_changed_is_either_or(store: Store) -> None:
    """Somebody loaded it before, and saves it after the deletion: a conflict, and it does not come back."""
    call = put_call(store, status=CallStatus.COMPLETED)
    delete(store, call.id)
    with pytest.raises(Conflict), store.transaction() as tx:
        calls.save_call(tx, replace(call, agent_id="other"), expected_version=call.version)
    with pytest.raises(NotFound):
        calls.load_call(store, call.id)


# -- statistics -----------------------------------------------------------------------------------------------------


def facts(
    *, answered: bool, talk_s: int = 0, cost: str | None = None, currency: str = "USD", ended: bool = True
) -> CallFacts:
    return CallFacts(
        answered=answered,
        answered_at=T0 if answered else None,
        ended_at=T0 + talk_s * SECOND if ended else None,
        ends=(EndReport(cause=EndCause.HUNG_UP),) if ended else (),
        cost=Cost(amount=Decimal(cost), currency=currency, authority=Authority.RECORD) if cost else None,
    )


def stats(store: Store, days: int = 2) -> calls.CallStats:
    since = datetime(2026, 3, 1, tzinfo=UTC)
    return calls.call_stats(store, "default", since, since + timedelta(days=days))


def test_statistics_add_up_by_status_agent_number_and_day(store: Store) -> None:
    next_day = datetime(2026, 3, 2, tzinfo=UTC)
    put_call(store, status=CallStatus.COMPLETED, facts=facts(answered=True, talk_s=60, cost="0.0085"))
    put_call(
        store,
        status=CallStatus.COMPLETED,
        facts=facts(answered=True, talk_s=30, cost="0.1", currency="EUR"),
        direction=Direction.INBOUND,
        to=CALLER,
        from_number=CALLEE,
        agent_id="sales",
    )
    put_call(store, status=CallStatus.BUSY, facts=facts(answered=False, cost="0.000001"), created_at=next_day)
    put_call(store, status=CallStatus.IN_PROGRESS, facts=facts(answered=True, ended=False), agent_id=None)
    put_call(store, created_at=next_day + timedelta(days=1), status=CallStatus.FAILED)  # after the span
    put_call(store, created_at=T0 - timedelta(days=1), status=CallStatus.FAILED)  # before it
    put_call(store, workspace_id=OTHER, status=CallStatus.FAILED)
    found = stats(store)
    assert found.total == Tally(
        calls=4,
        ended=3,
        answered=2,
        talk_s=90,
        by_status={"completed": 2, "busy": 1, "in_progress": 1},
        cost={"USD": Decimal("0.008501"), "EUR": Decimal("0.1")},
    )
    assert found.total.answer_rate == pytest.approx(2 / 3)
    assert found.total.average_handle_s == 45
    assert {agent: tally.calls for agent, tally in found.by_agent.items()} == {
        "support": 2,
        "sales": 1,
        None: 1,
    }
    assert {number: tally.calls for number, tally in found.by_number.items()} == {CALLER: 4}
    assert list(found.by_day) == [date(2026, 3, 1), date(2026, 3, 2)]
    assert found.by_day[date(2026, 3, 2)].by_status == {"busy": 1}


def test_statistics_of_nothing_have_no_rates(store: Store) -> None:
    found = stats(store)
    assert found.total == Tally()
    assert (found.total.answer_rate, found.total.average_handle_s) == (None, None)
    assert (found.by_agent, found.by_number, found.by_day) == ({}, {}, {})


def test_statistics_follow_what_is_saved_later(store: Store) -> None:
    call = put_call(store)
    ended = replace(call, status=CallStatus.COMPLETED, facts=facts(answered=True, talk_s=7, cost="1.25"))
    with store.transaction() as tx:
        calls.save_call(tx, ended, expected_version=0)
    total = stats(store).total
    assert (total.answered, total.talk_s, total.cost) == (1, 7, {"USD": Decimal("1.25")})


@pytest.mark.parametrize("amount", ["1e300", "NaN", "Infinity", "1000000000"])
def test_an_amount_beyond_belief_is_left_out_of_the_sums(store: Store, amount: str) -> None:
    call = put_call(store, status=CallStatus.COMPLETED, facts=facts(answered=False, cost=amount))
    assert stats(store).total.cost == {}
    assert str(calls.load_call(store, call.id).facts.cost) == str(call.facts.cost)


def test_many_small_amounts_add_up_exactly(store: Store) -> None:
    put_call(store)
    with store.transaction() as tx:
        for _ in range(300):
            calls.insert_call(
                tx, a_call(status=CallStatus.FAILED, facts=facts(answered=False, cost="0.0001"))
            )
    assert stats(store).total.cost == {"USD": Decimal("0.03")}


# -- what the rest of the store still finds --------------------------------------------------------------------------


def test_after_a_deletion_nothing_of_the_call_is_found(store: Store) -> None:
    credential = put_credential(store)
    call = put_call(store, credential, status=CallStatus.COMPLETED)
    put_everything_about(store, call)
    delete(store, call.id)

    def find(tx: Tx) -> list[object]:
        return [
            attempts.latest_attempt(tx, call.id),
            steps.current_step(tx, call.id),
            calls.find_call_by_leg(tx, credential.id, ["CA1"]),
            analyses.find_analysis(tx, call.id),
            *events.list_events(tx, call.id),
        ]

    with store.transaction() as tx:
        assert find(tx) == [None] * 4


# -- words from outside (R87) ---------------------------------------------------------------------------------------

HOSTILE = (
    "' OR '1'='1",
    "'; DROP TABLE call; --",
    '" OR ""="',
    "1) UNION SELECT key_hash FROM api_key --",
    "%",
    "_",
    "\\",
    ":id",
    "%(id)s",
    "{}",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\udc00",
    "\uffff",
    "🙂" * 100,
    "x" * 100_000,
    "",
    " ",
    "\n",
    "null",
    "-1",
    "9" * 400,
    "$1",
    "?",
    "\u202e",
    "İ",
)
LOOK_UPS: dict[str, Callable[[Tx, str], object]] = {
    "call": lambda tx, word: calls.load_call(tx, word),
    "call of a workspace": lambda tx, word: calls.load_call(tx, word, workspace_id=word),
    "deletion": lambda tx, word: calls.delete_call(tx, "default", word, at=T0),
    "deletions": lambda tx, word: calls.delete_calls(tx, "default", [word, word + "x"], at=T0),
    "idempotency key": lambda tx, word: calls.find_by_idempotency_key(tx, "default", word),
    "calls of an agent": lambda tx, word: calls.list_calls(tx, "default", agent_id=word),
    "count of an agent": lambda tx, word: calls.count_calls(tx, "default", agent_id=word),
    "cursor": lambda tx, word: calls.list_calls(tx, "default", cursor=word),
    "agent": lambda tx, word: agents.load_agent(tx, "default", word),
    "removal of an agent": lambda tx, word: agents.remove_agent(tx, "default", word),
    "analysis": lambda tx, word: analyses.find_analysis(tx, word),
    "API key": lambda tx, word: api_keys.find_key_by_prefix(tx, word),
    "revocation": lambda tx, word: api_keys.revoke_key(tx, "default", word, at=T0),
    "endpoint": lambda tx, word: endpoints.load_endpoint(tx, "default", word),
    "removal of an endpoint": lambda tx, word: endpoints.remove_endpoint(tx, "default", word),
    "event": lambda tx, word: outbox.find_notification(tx, "default", word),
    "replay of an event": lambda tx, word: outbox.replay_notification(tx, "default", word, T0),
    "events": lambda tx, word: outbox.list_notifications(tx, "default", after=word),
    "delivery": lambda tx, word: outbox.load_delivery(tx, "default", word),
    "replay": lambda tx, word: outbox.replay_delivery(tx, "default", word, T0),
    "deliveries of an endpoint": lambda tx, word: outbox.list_deliveries(tx, "default", endpoint_id=word),
    "cursor of deliveries": lambda tx, word: outbox.list_deliveries(tx, "default", cursor=word),
    "rate": lambda tx, word: rates.count_hit(tx, word, 60, T0),
    "leg": lambda tx, word: tombstones.is_deleted_leg(tx, word, [word]),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_hostile_words_are_looked_up_as_they_stand_and_find_nothing(store: Store, name: str) -> None:
    call = put_call(store, status=CallStatus.COMPLETED)
    for word in HOSTILE:
        with suppress(NotFound, ValidationError), store.transaction() as tx:
            found = LOOK_UPS[name](tx, word)
            if name not in ("rate", "events", "deletions"):
                assert not found or getattr(found, "calls", ()) == (), word
    assert calls.load_call(store, call.id) == call
