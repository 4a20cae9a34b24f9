"""Outgoing events: schedule, statuses, the right receiver, dead letters, what a crash leaves (R61-R65, R68)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import delivering, endpoints
from gateway.delivering import Verdict, gap_after, pause_of, read_retry_after, verdict_of
from gateway.egress import Answer
from gateway.errors import Conflict, NotFound
from gateway.store import Store, outbox
from gateway.store import endpoints as stored
from gateway.store.rows import DeliveryState
from gateway.vault import Vault
from tests.outkit import URL, Post, Sent, no_answer
from tests.outproofs import walk_two_tenants
from tests.storekit import SECOND, T0

OTHER = "another-tenant"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# R61, as it is written there: attempts at 0, then after these gaps.
GAPS = (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)


@pytest.fixture
def post(store: Store) -> Post:
    return Post(store)


def gaps(post: Post) -> list[timedelta]:
    times = [one.at for one in post.egress.sent]
    return [after - before for before, after in pairwise(times)]


# -- schedule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [500, 404, 301, 429, 504, pytest.param(no_answer, id="silence")])
def test_ten_attempts_each_gap_in_its_band_then_it_is_dead(post: Post, answer: Any) -> None:
    post.endpoint()
    event = post.event()
    post.react(answer)
    post.run_until_quiet()
    assert post.egress.ids() == [event.id] * 10
    assert post.egress.sent[0].at == T0
    for gap, planned in zip(gaps(post), GAPS, strict=True):
        assert 0.8 * planned <= gap <= 1.2 * planned
    dead = post.delivery()
    assert (dead.state, dead.attempts) == (DeliveryState.DEAD, 10)
    assert dead.finished_at == post.egress.sent[-1].at


def test_the_jitter_uses_the_whole_band_and_no_more() -> None:
    for attempt, planned in enumerate(GAPS, start=1):
        assert gap_after(attempt, None, -1) == planned * 0.8
        assert gap_after(attempt, None, 0) == planned
        assert gap_after(attempt, None, 1) == planned * 1.2


def test_attempts_differ_in_their_jitter(post: Post) -> None:
    post.endpoint()
    for _ in range(20):
        post.event()
    post.react(500)
    post.rounds()
    assert len({each.due_at for each in post.deliveries()}) == 20


def test_a_success_ends_it_at_once(post: Post) -> None:
    made = post.endpoint()
    event = post.event()
    assert post.rounds() == 1
    post.run_until_quiet()
    assert post.egress.ids() == [event.id]
    done = post.delivery()
    assert (done.state, done.last_status, done.last_error) == (DeliveryState.DELIVERED, 200, None)
    assert post.load(made).failing_since is None


def test_a_later_success_ends_it_too_and_the_endpoint_fails_no_longer(post: Post) -> None:
    made = post.endpoint()
    post.event()
    post.react(503)
    post.rounds()
    assert post.load(made).failing_since == T0
    post.react(200)
    post.run_until_quiet()
    assert len(post.egress.sent) == 2
    assert post.delivery().state is DeliveryState.DELIVERED
    assert post.load(made).failing_since is None


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("120", 120, 120),
        ("86400", 86_400, 86_400),
        ("999999999999", 86_400, 86_400),
        ("9" * 400, 86_400, 86_400),
        ("Sun, 01 Mar 2026 12:10:00 GMT", 599, 600),
        ("Sun, 01 Mar 2037 12:10:00 GMT", 86_400, 86_400),
        ("3", 4, 6),
        ("0", 4, 6),
        ("-5", 4, 6),
        ("1e5", 4, 6),
        ("soon", 4, 6),
        ("", 4, 6),
        ("٣٠٠", 4, 6),
        ("Sun, 01 Mar 2020 12:10:00 GMT", 4, 6),
        ("Sun, 99 Mar 9999 12:10:00 GMT", 4, 6),
    ],
)
def test_a_longer_wait_is_honored_up_to_a_day(said: str, least: int, most: int) -> None:
    asked = read_retry_after(said, T0)
    assert least * SECOND <= gap_after(1, asked, -1) <= gap_after(1, asked, 1) <= most * SECOND


@pytest.mark.parametrize("status", [429, 503, 400])
def test_the_wait_that_an_answer_asks_for_is_waited(post: Post, status: int) -> None:
    post.endpoint()
    post.event()
    post.react(Answer(status=status, retry_after="120"))
    post.rounds()
    post.react(200)
    post.run_until_quiet()
    assert gaps(post) == [120 * SECOND]


@given(st.text(max_size=60))
def test_no_retry_after_breaks_anything(text: str) -> None:
    found = read_retry_after(text, T0)
    assert found is None or found >= 0


def test_a_redirect_asks_for_no_wait_of_its_own() -> None:
    assert read_retry_after(None, T0) is None
    assert read_retry_after("Sun, 01 Mar 2026 12:00:10 -0000", datetime(2026, 3, 1, 12, tzinfo=UTC)) == 10


# -- statuses -------------------------------------------------------------------------------------------------------


SOME_CODES = {
    *range(100, 600, 9),
    *range(408, 413),
    *range(428, 431),
    *range(500, 506),
    200,
    204,
    299,
    301,
    599,
}


def test_a_status_does_what_its_rule_says(post: Post) -> None:
    """A hundred of them with all that follows; `test_the_table_of_verdicts` has all five hundred."""
    codes = sorted(SOME_CODES)
    by_url = {f"{URL}/{code}": code for code in codes}
    made = {url: post.endpoint(url) for url in by_url}
    post.event()
    post.react(lambda sent: by_url[sent.url])
    assert post.rounds() == len(codes)
    found = {each.endpoint_id: each for each in post.deliveries()}
    post.event()
    paused = {sent.url for sent in post.egress.sent}
    post.egress.sent.clear()
    post.rounds(limit=100)
    paused -= {sent.url for sent in post.egress.sent}
    for url, code in by_url.items():
        delivery, endpoint = found[made[url].id], post.load(made[url])
        is_delivered = 200 <= code <= 299
        assert delivery.state is (DeliveryState.DELIVERED if is_delivered else DeliveryState.PENDING), code
        assert delivery.last_status == code
        assert (endpoint.failing_since is None) == is_delivered, code
        assert endpoint.is_enabled == (code != 410), code
        assert (url in paused) == (code in (410, 429, 502, 504)), code


def test_the_table_of_verdicts() -> None:
    slow = {429, 502, 504}
    for code in range(100, 600):
        expected = Verdict.SLOW if code in slow else Verdict.GONE if code == 410 else Verdict.FAILED
        assert verdict_of(code) is (Verdict.DELIVERED if code // 100 == 2 else expected)


def test_410_disables_and_what_waits_is_sent_once_it_is_enabled(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    made = post.endpoint()
    first, second = post.event(), post.event()
    post.react(410)
    with caplog.at_level(logging.ERROR, "gateway.delivering"):
        post.round(limit=1)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert made.id in caplog.text
    assert "410" in caplog.text
    assert (post.load(made).is_enabled, post.load(made).disabled_reason) == (
        False,
        "it answered 410: it is gone",
    )
    post.clock.move(DAY)
    assert post.rounds() == 0
    endpoints.enable_endpoint(post.services, made.id)
    post.react(200)
    post.egress.sent.clear()
    assert post.rounds() == 2
    assert set(post.egress.ids()) == {first.id, second.id}


def test_events_of_a_disabled_endpoint_are_for_the_others_only(post: Post) -> None:
    made, other = post.endpoint(), post.endpoint(URL + "/other")
    endpoints.disable_endpoint(post.services, made.id)
    post.event()
    post.rounds()
    assert [each.endpoint_id for each in post.deliveries()] == [other.id]


# -- slow endpoints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [429, 502, 504, pytest.param(no_answer, id="silence")])
def test_a_slow_endpoint_gets_nothing_for_a_while_and_the_others_everything(post: Post, answer: Any) -> None:
    post.endpoint(URL + "/slow")
    post.endpoint(URL + "/fine")
    post.react(lambda sent: 200 if sent.url.endswith("fine") else _said(answer, sent))
    post.event()
    post.rounds()
    for _ in range(10):
        post.event()
    post.rounds()
    to_slow = [sent for sent in post.egress.sent if sent.url.endswith("slow")]
    assert (len(to_slow), len(post.egress.sent) - len(to_slow)) == (1, 11)
    post.clock.move(4 * SECOND)
    assert post.round() > 0


def _said(answer: Any, sent: Sent) -> Any:
    return answer(sent) if callable(answer) else answer


def test_the_pause_is_as_long_as_it_has_been_failing_within_bounds() -> None:
    for seconds, expected in ((0, 4), (3, 4), (60, 60), (299, 299), (300, 300), (86_400, 300)):
        assert pause_of(timedelta(seconds=seconds), None) == timedelta(seconds=expected)
    assert pause_of(timedelta(0), 60) == MINUTE
    assert pause_of(timedelta(0), 1e9) == DAY
    assert pause_of(HOUR, 60) == 5 * MINUTE


def test_a_longer_pause_outlives_a_shorter_one(post: Post) -> None:
    post.endpoint()
    post.event()
    post.event()
    answers = [Answer(status=429, retry_after="3600"), Answer(status=429)]
    post.react(lambda _: answers.pop())
    post.round(limit=1)
    post.clock.move(6 * SECOND)
    post.react(200)
    claimed = post.rounds()
    assert claimed == 2  # the first pause is over
    post.egress.sent.clear()
    for _ in range(2):
        post.event()
    post.react(lambda _: answers.pop() if answers else Answer(status=429))
    post.rounds()
    post.react(200)
    post.clock.move(HOUR - SECOND)
    assert post.rounds() == 0
    post.clock.move(SECOND)
    assert post.rounds() == 2


# -- the right receiver ---------------------------------------------------------------------------------------------


def test_only_subscribers_of_the_same_workspace_hear_of_an_event(post: Post) -> None:
    post.endpoint(URL + "/all")
    post.endpoint(URL + "/ended", event_types=["call.ended"])
    post.endpoint(URL + "/ringing", event_types=["call.ringing"])
    post.endpoint(URL + "/theirs", workspace_id=OTHER)
    post.event("call.ended")
    post.event("call.failed", workspace_id=OTHER)
    post.rounds()
    assert sorted(sent.url for sent in post.egress.sent) == [URL + "/all", URL + "/ended", URL + "/theirs"]


def between_claim_and_send(post: Post, change: Any) -> None:
    """Claim one delivery, change something, send it, write what became of it."""
    (claimed,) = delivering.claim(post.services, 1)
    change()
    outcome = delivering.send(post.services, post.egress, claimed)  # type: ignore[arg-type]
    delivering.settle(post.services, [outcome])


def test_an_endpoint_that_moved_meanwhile_gets_it_at_its_new_address_only(post: Post) -> None:
    made = post.endpoint()
    post.event()
    new = "https://new.receiver.dev/"
    between_claim_and_send(post, lambda: endpoints.change_endpoint(post.services, made.id, url=new))
    assert [sent.url for sent in post.egress.sent] == [new]


def test_an_endpoint_removed_meanwhile_gets_nothing(post: Post) -> None:
    made = post.endpoint()
    post.event()
    between_claim_and_send(post, lambda: endpoints.remove_endpoint(post.services, made.id))
    assert post.egress.sent == []
    assert post.deliveries() == ()


def test_an_endpoint_that_no_longer_subscribes_gets_nothing(post: Post) -> None:
    made = post.endpoint()
    post.event("call.ended")
    between_claim_and_send(
        post, lambda: endpoints.change_endpoint(post.services, made.id, event_types=["call.failed"])
    )
    assert post.egress.sent == []
    assert post.delivery().state is DeliveryState.DROPPED


def test_an_endpoint_disabled_meanwhile_gets_it_when_it_is_enabled(post: Post) -> None:
    made = post.endpoint()
    event = post.event()
    between_claim_and_send(post, lambda: endpoints.disable_endpoint(post.services, made.id))
    assert post.egress.sent == []
    assert post.rounds() == 0
    endpoints.enable_endpoint(post.services, made.id)
    post.rounds()
    assert post.egress.ids() == [event.id]
    assert post.delivery().state is DeliveryState.DELIVERED


def test_two_tenants_get_their_own_whatever_happens(post: Post) -> None:
    walk_two_tenants(post, steps=250, seed=20260301)


# -- what a crash leaves --------------------------------------------------------------------------------------------


def test_a_claim_whose_worker_died_is_sent_by_the_next_one(post: Post) -> None:
    post.endpoint()
    event = post.event()
    assert len(delivering.claim(post.services, 10)) == 1
    assert post.rounds() == 0
    post.clock.move(timedelta(seconds=delivering.LEASE_S))
    assert post.rounds() == 1
    assert post.egress.ids() == [event.id]


def test_a_death_after_the_send_repeats_the_event_under_the_same_id(post: Post) -> None:
    post.endpoint()
    event = post.event()
    (claimed,) = delivering.claim(post.services, 10)
    late = delivering.send(post.services, post.egress, claimed)  # type: ignore[arg-type]
    post.clock.move(timedelta(seconds=delivering.LEASE_S))
    (again,) = delivering.claim(post.services, 10)
    delivering.settle(post.services, [late])  # the first worker was only slow: its word comes too late
    assert post.delivery().state is DeliveryState.PENDING
    delivering.settle(post.services, [delivering.send(post.services, post.egress, again)])  # type: ignore[arg-type]
    assert post.delivery().state is DeliveryState.DELIVERED
    assert post.egress.ids() == [event.id, event.id]
    assert post.egress.sent[0].body == post.egress.sent[1].body


def test_ten_workers_that_died_do_not_make_it_dead_unsent(post: Post) -> None:
    post.endpoint()
    event = post.event()
    for _ in range(15):
        assert len(delivering.claim(post.services, 10)) == 1
        post.clock.move(timedelta(seconds=delivering.LEASE_S))
    post.rounds()
    assert post.egress.ids() == [event.id]
    assert post.delivery().state is DeliveryState.DELIVERED


def test_secrets_that_do_not_open_are_no_fault_of_the_endpoint(post: Post) -> None:
    made = post.endpoint()
    post.event()
    kept = post.services.vault
    post.services.vault = Vault(["A" * 43 + "="])
    post.rounds()
    assert post.egress.sent == []
    assert (post.delivery().state, post.load(made).failing_since) == (DeliveryState.PENDING, None)
    assert "do not open" in (post.delivery().last_error or "")
    post.services.vault = kept
    post.run_until_quiet()
    assert post.delivery().state is DeliveryState.DELIVERED


def test_a_bug_in_one_attempt_leaves_the_others_alone(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.endpoint(URL + "/odd")
    post.endpoint(URL + "/fine")
    post.event()
    post.react(lambda sent: 200 if sent.url.endswith("fine") else ZeroDivisionError("bug"))
    with caplog.at_level(logging.CRITICAL, "gateway.delivering"):
        post.rounds()
    states = {each.last_error: each.state for each in post.deliveries()}
    assert states == {None: DeliveryState.DELIVERED, "ZeroDivisionError": DeliveryState.PENDING}


# -- dead letters ---------------------------------------------------------------------------------------------------


def bury(post: Post, count: int, **said: Any) -> list[str]:
    """Let some events die of one failure each; return their ids."""
    ids = [post.event(**said).id for _ in range(count)]
    while claimed := delivering.claim(post.services, 50):
        with post.store.transaction() as tx:
            for each in claimed:
                outbox.bury_delivery(tx, each.delivery, at=post.clock(), status=500, error="answered 500")
    return ids


def test_dead_ones_are_listed_and_each_can_be_replayed_with_ten_new_attempts(post: Post) -> None:
    post.endpoint()
    ids = bury(post, 3)
    dead = post.deliveries(state=DeliveryState.DEAD)
    assert sorted(each.notification_id for each in dead) == sorted(
        ids
    )  # those of one instant come in any order
    chosen = dead[1]
    again = delivering.replay_delivery(post.services, chosen.id)
    assert (again.state, again.attempts) == (DeliveryState.PENDING, 0)
    post.react(500)
    post.run_until_quiet()
    assert post.egress.ids() == [chosen.notification_id] * 10


def test_a_delivered_one_can_be_replayed_too_under_its_id(post: Post) -> None:
    post.endpoint(URL + "/a")
    post.endpoint(URL + "/b")
    event = post.event()
    post.rounds()
    assert delivering.replay_event(post.services, event.id) == 2
    post.rounds()
    assert post.egress.ids() == [event.id] * 4


def test_a_range_is_replayed_whole_and_nothing_else(post: Post) -> None:
    made, other = post.endpoint(URL + "/a"), post.endpoint(URL + "/b", event_types=["call.failed"])
    early = bury(post, 3)
    post.clock.move(HOUR)
    late = bury(post, 520)
    bury(post, 2, kind="call.failed")
    replayed = delivering.replay_dead(post.services, endpoint_id=made.id, since=post.clock() - MINUTE)
    assert replayed == 522
    waiting = {each.notification_id for each in post.deliveries(state=DeliveryState.PENDING)}
    assert set(late) < waiting
    assert not set(early) & waiting
    assert delivering.replay_dead(post.services, until=post.clock() - MINUTE) == 3
    assert delivering.replay_dead(post.services, endpoint_id=other.id) == 2
    assert delivering.replay_dead(post.services) == 0
    assert post.deliveries(state=DeliveryState.DEAD) == ()


def test_a_replay_wakes_who_delivers(post: Post) -> None:
    woken: list[int] = []
    post.services.wake = lambda: woken.append(1)
    post.endpoint()
    bury(post, 1)
    delivering.replay_dead(post.services)
    delivering.replay_event(post.services, post.delivery().notification_id)
    delivering.replay_delivery(post.services, post.delivery().id)
    assert len(woken) == 3


def test_another_workspace_replays_nothing_of_ours(post: Post) -> None:
    made = post.endpoint()
    bury(post, 1)
    with pytest.raises(NotFound):
        delivering.replay_delivery(post.services, post.delivery().id, workspace_id=OTHER)
    with pytest.raises(NotFound):
        delivering.replay_event(post.services, post.delivery().notification_id, workspace_id=OTHER)
    with pytest.raises(NotFound):
        delivering.replay_dead(post.services, endpoint_id=made.id, workspace_id=OTHER)
    assert delivering.replay_dead(post.services, workspace_id=OTHER) == 0
    assert post.delivery().state is DeliveryState.DEAD


def test_what_is_being_sent_right_now_is_not_replayed(post: Post) -> None:
    post.endpoint()
    post.event()
    delivering.claim(post.services, 1)
    with pytest.raises(Conflict):
        delivering.replay_delivery(post.services, post.delivery().id)


def test_an_endpoint_that_took_nothing_for_five_days_is_disabled_and_the_operator_told(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    made = post.endpoint(URL + "/secret-token")
    post.react(500)
    sent_until = 0
    for day in range(7):
        post.clock.at = T0 + day * DAY
        post.event()
        with caplog.at_level(logging.ERROR, "gateway.delivering"):
            post.rounds()
        if post.load(made).is_enabled:
            sent_until = day
    assert sent_until == 4
    found = post.load(made)
    assert found.disabled_reason == "it took nothing for 5 days; the last time: answered 500"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert made.id in caplog.text
    assert "secret-token" not in caplog.text


def test_one_success_in_five_days_keeps_it_enabled(post: Post) -> None:
    made = post.endpoint()
    for day in range(12):
        post.clock.at = T0 + day * DAY
        post.event()
        post.react(200 if day == 4 else 500)
        post.rounds(limit=1)
        if day == 8:
            assert post.load(made).is_enabled
    assert not post.load(made).is_enabled  # nothing from day 5 to day 10


def test_enabling_again_loses_nothing_that_was_kept(post: Post) -> None:
    made = post.endpoint()
    dead = bury(post, 5)
    waiting = [post.event().id for _ in range(5)]
    with post.store.transaction() as tx:
        stored.disable_endpoint(tx, made.id, "it took nothing for 5 days", at=post.clock())
    post.clock.move(10 * DAY)
    assert delivering.purge(post.services) == 0
    endpoints.enable_endpoint(post.services, made.id)
    assert delivering.replay_dead(post.services, endpoint_id=made.id) == 5
    post.rounds()
    assert sorted(post.egress.ids()) == sorted(dead + waiting)
    assert {each.state for each in post.deliveries()} == {DeliveryState.DELIVERED}


def test_events_are_kept_thirty_days_and_what_is_to_be_sent_for_longer(post: Post) -> None:
    post.endpoint(URL + "/fine")
    post.event()
    post.rounds()
    bury(post, 1)
    post.clock.move(30 * DAY)
    waiting = post.event()
    assert delivering.purge(post.services) == 0
    post.clock.move(timedelta(microseconds=1))
    assert delivering.purge(post.services) == 2
    assert [each.notification_id for each in post.deliveries()] == [waiting.id]


# -- what it says ---------------------------------------------------------------------------------------------------


def test_when_something_is_due_is_known(post: Post) -> None:
    assert delivering.next_due(post.services) is None
    post.endpoint()
    post.event()
    assert delivering.next_due(post.services) == T0
    post.react(500)
    post.rounds()
    due = delivering.next_due(post.services)
    assert due is not None
    assert T0 + 4 * SECOND <= due <= T0 + 6 * SECOND


def test_a_round_takes_no_more_than_it_was_told(post: Post) -> None:
    post.endpoint(URL + "/a")
    post.endpoint(URL + "/b")
    for _ in range(10):
        post.event()
    assert post.round(limit=3) == 3
    assert len(post.egress.sent) == 3
    assert post.rounds() == 17
