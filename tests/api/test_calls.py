"""Calls through the API: placed, listed, changed, ended, deleted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway import CallStatus, Direction, PaymentRequired, acting
from gateway.errors import ProviderUnavailable
from gateway.status import Authority, CallFacts, Cost, EndCause, EndReport
from gateway.store.rows import CallPage
from gateway.web.api.calls import pagination_of
from gateway.web.api.schemas import CallsQuery
from tests.api.support import (
    CALLEE,
    NEW_CALL,
    NO_ID,
    OURS,
    REFUSED,
    UNKNOWN,
    Client,
    Site,
    error_of,
    fields_of,
)
from tests.storekit import SECOND, T0


def test_a_call_is_placed_with_everything_said_about_it(site: Site, client: Client) -> None:
    settings = {"recording_enabled": True, "join_timeout": "20s", "max_duration": 600, "greeting": "Hello"}
    body = {**NEW_CALL, "from_number": OURS, "variables": {"first_name": "Zoë"}, "call_settings": settings}
    answer = client.post("/calls", json=body)
    assert answer.status_code == 201
    shown = answer.json
    assert (shown["status"], shown["direction"], shown["agent_id"]) == ("queued", "outbound", "desk")
    assert (shown["phone_number"], shown["from_number"]) == (CALLEE, OURS)
    assert shown["variables"] == {"first_name": "Zoë"}
    assert shown["call_settings"]["max_duration"] == "600s"
    [dial] = site.carrier.dials
    assert (dial.to, dial.join_timeout_s, dial.max_duration_s, dial.record) == (CALLEE, 20, 600, True)
    assert client.get(f"/calls/{shown['id']}").json == shown


def test_a_dial_whose_outcome_is_unknown_is_a_queued_call(site: Site, client: Client) -> None:
    site.carrier.on_dial = lambda _: UNKNOWN
    answer = client.post("/calls", json=NEW_CALL)
    assert (answer.status_code, answer.json["status"]) == (201, "queued")
    assert answer.json["context"] == {"dial": "unconfirmed"}


def test_a_call_that_the_carrier_refuses_exists_and_has_failed(site: Site, client: Client) -> None:
    site.carrier.on_dial = lambda _: REFUSED
    answer = client.post("/calls", json=NEW_CALL)
    assert error_of(answer) == (502, "provider_error")
    call = client.get(f"/calls/{answer.json['error']['details']['call_id']}").json
    assert (call["status"], call["failure_reason"]) == ("failed", "suspended")
    assert call["context"]["last_error"]["message"] == "suspended"
    assert call["end_reason"]["who"] == "carrier"


def test_a_call_that_is_not_paid_for_is_not_placed(site: Site, client: Client) -> None:
    asked: list[Any] = []

    def refuse(call: Any) -> None:
        asked.append(call)
        raise PaymentRequired("no credit left")

    site.gw.authorize_call = refuse
    answer = client.post("/calls", json=NEW_CALL, headers={"X-Idempotency-Key": "k"})
    assert error_of(answer) == (402, "payment_required")
    assert answer.json["error"]["message"] == "no credit left"
    assert (asked[0].agent, asked[0].to, asked[0].workspace_id) == ("desk", CALLEE, "default")
    assert (client.get("/calls").json["data"], site.carrier.dials) == ([], [])
    site.gw.authorize_call = None
    assert client.post("/calls", json=NEW_CALL, headers={"X-Idempotency-Key": "k"}).status_code == 201
    site.gw.authorize_call = refuse
    assert client.post("/calls", json=NEW_CALL, headers={"X-Idempotency-Key": "k"}).status_code == 201


def test_an_agent_without_a_number_to_call_from_is_a_wrong_field(site: Site, client: Client) -> None:
    site.gw.numbers.unassign(OURS)
    said = fields_of(client.post("/calls", json=NEW_CALL))
    assert "no outbound number assigned to agent 'desk'" in said["from_number"]


def test_an_agent_at_its_limit_is_a_conflict(site: Site, client: Client) -> None:
    body = {"connect": {"kind": "stream", "url": "wss://agents.example.com/media"}, "max_concurrent_calls": 1}
    assert client.put("/agents/desk", json=body).status_code == 200
    assert client.post("/calls", json=NEW_CALL).status_code == 201
    assert error_of(client.post("/calls", json={**NEW_CALL, "phone_number": "+14155550124"})) == (
        409,
        "conflict",
    )


def test_an_idempotency_key_stands_for_one_call(site: Site, client: Client) -> None:
    header = {"X-Idempotency-Key": "order 7"}
    first = client.post("/calls", json=NEW_CALL, headers=header)
    again = client.post("/calls", json={"phone_number": CALLEE, "agent_id": "desk"}, headers=header)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json, len(site.carrier.dials)) == (first.json, 1)
    other = client.post("/calls", json={**NEW_CALL, "variables": {"a": "b"}}, headers=header)
    assert error_of(other) == (409, "conflict")


def test_a_repeat_of_a_refused_call_gets_the_same_refusal(site: Site, client: Client) -> None:
    site.carrier.on_dial = lambda _: REFUSED
    header = {"X-Idempotency-Key": "k"}
    first, again = (client.post("/calls", json=NEW_CALL, headers=header) for _ in range(2))
    assert first.json["error"] == again.json["error"]
    assert (error_of(again), len(site.carrier.dials)) == ((502, "provider_error"), 1)


def test_calls_are_paged_by_cursor_without_a_gap_or_a_repeat(site: Site, client: Client) -> None:
    made = [site.put_call(created_at=T0 + n * SECOND).id for n in range(7)][::-1]
    seen, path = [], "/calls?limit=3"
    for _ in range(3):
        page = client.get(path).json
        seen += [each["id"] for each in page["data"]]
        assert page["pagination"]["total"] == 7
        assert page["pagination"]["has_more"] is (len(seen) < 7)
        path = f"/calls?limit=3&cursor={page['pagination']['next_cursor']}"
    assert (seen, page["pagination"]["next_cursor"]) == (made, None)


def test_calls_are_paged_by_offset(site: Site, client: Client) -> None:
    made = [site.put_call(created_at=T0 + n * SECOND).id for n in range(5)][::-1]
    page = client.get("/calls?limit=2&offset=2").json
    assert [each["id"] for each in page["data"]] == made[2:4]
    assert {**page["pagination"], "next_cursor": "…"} == {
        "total": 5,
        "total_is_exact": True,
        "limit": 2,
        "offset": 2,
        "has_more": True,
        "next_cursor": "…",
    }
    assert client.get("/calls?offset=1000000").json["data"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=busy", {"busy"}),
        ("status=in_progress", {"live"}),
        ("status=in-progress", {"live"}),
        ("status=ended", {"other"}),
        ("status=created", set()),
        ("direction=inbound", {"live"}),
        ("direction=webrtc", set()),
        ("agent_id=night", {"other"}),
        ("created_after=2026-03-01T12:00:00.123456Z", {"live", "other"}),
        ("created_before=2026-03-01T13:00:01.123456%2B01:00", {"busy"}),
        ("created_after=2026-03-01T12:00:00.5Z&created_before=2026-03-01T12:00:02Z", {"live"}),
        ("status=busy&direction=inbound", set()),
    ],
)
def test_calls_are_filtered(site: Site, client: Client, query: str, found: set[str]) -> None:
    names = {
        site.put_call(status=CallStatus.BUSY, created_at=T0).id: "busy",
        site.put_call(
            status=CallStatus.IN_PROGRESS, direction=Direction.INBOUND, created_at=T0 + SECOND
        ).id: "live",
        site.put_call(agent_id="night", created_at=T0 + 2 * SECOND).id: "other",
    }
    page = client.get(f"/calls?{query}").json
    assert {names[each["id"]] for each in page["data"]} == found
    assert page["pagination"]["total"] == len(found)


def test_what_is_not_known_of_a_call_is_null(site: Site, client: Client) -> None:
    shown = client.get(f"/calls/{site.put_call(status=CallStatus.RINGING).id}").json
    empty = ("summary", "outcome", "recording_url", "cost", "cost_usd", "failure_reason", "end_reason")
    assert [shown[name] for name in (*empty, "ended_at", "duration_seconds")] == [None] * 9


@pytest.mark.parametrize(("currency", "usd"), [("USD", 0.0085), ("EUR", None)])
def test_a_cost_is_a_number_in_dollars_and_text_as_the_carrier_said(
    site: Site, client: Client, currency: str, usd: float | None
) -> None:
    cost = Cost(amount=Decimal("0.00850"), currency=currency, authority=Authority.RECORD)
    shown = client.get(f"/calls/{site.put_call(facts=CallFacts(cost=cost)).id}").json
    assert (shown["cost_usd"], shown["cost"]) == (usd, {"amount": "0.00850", "currency": currency})


def test_a_context_is_merged_and_an_entry_of_null_is_removed(site: Site, client: Client) -> None:
    heard: list[Any] = []
    site.gw.on("call.updated")(heard.append)
    call = site.put_call(context={"a": 1, "b": {"x": 1}})
    answer = client.patch(
        f"/calls/{call.id}", json={"context": {"b": {"y": [1, None, "z"]}, "c": True, "a": None}}
    )
    assert answer.json["context"] == {"b": {"y": [1, None, "z"]}, "c": True}
    assert [event.sequence for event in heard] == [1]
    assert client.patch(f"/calls/{call.id}", json={"context": {"c": True}}).json == answer.json
    assert len(heard) == 1, "nothing changed"


def test_an_entry_of_the_gateways_own_cannot_be_set(site: Site, client: Client) -> None:
    call = site.put_call()
    for name in ("dial", "last_error"):
        assert list(fields_of(client.patch(f"/calls/{call.id}", json={"context": {name: None}}))) == [
            f"context.{name}"
        ]


def test_a_context_that_cannot_be_kept_whole_is_refused(site: Site, client: Client) -> None:
    path = f"/calls/{site.put_call().id}"
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    for wrong in (
        {"a": deep},
        {"n" * 201: 1},
        {"a": {"n" * 201: 1}},
        {"a": "x" * 20_001},
        {"a": ["x" * 19_000] * 2},
    ):
        assert fields_of(client.patch(path, json={"context": wrong}))
    assert client.patch(path, json={"context": {"a": ["x" * 16_000] * 2}}).status_code == 200
    assert "context" in fields_of(client.patch(path, json={"context": {"b": "x" * 10_000}}))


def test_transcription_can_be_switched_while_the_call_lives(site: Site, client: Client) -> None:
    live, over = site.put_call(status=CallStatus.IN_PROGRESS), site.put_call()
    change = {"call_settings": {"transcription_enabled": True}}
    assert (
        client.patch(f"/calls/{live.id}", json=change).json["call_settings"]["transcription_enabled"] is True
    )
    assert error_of(client.patch(f"/calls/{over.id}", json=change)) == (409, "conflict")
    assert client.patch(f"/calls/{over.id}", json={}).status_code == 200


def test_a_live_calls_recording_is_switched_at_the_carrier(site: Site, client: Client) -> None:
    call = site.put_call(status=CallStatus.IN_PROGRESS, facts=CallFacts(answered=True), leg_id="CA1")
    for wanted, word in ((True, "start"), (False, "stop")):
        change = {"call_settings": {"recording_enabled": wanted}}
        for _ in range(2):
            answer = client.patch(f"/calls/{call.id}", json=change)
            assert (answer.status_code, answer.json["call_settings"]["recording_enabled"]) == (200, wanted)
        acting.run_due(site.gw.services)
        assert site.carrier.recorded == [(word, "CA1", False)]
        site.carrier.recorded.clear()
    names = [each["name"] for each in client.get(f"/calls/{call.id}/events").json["data"]]
    assert {"call edited", "recording started", "recording stopped"} <= set(names)


def test_the_recording_of_a_call_that_rings_waits_for_the_answer(site: Site, client: Client) -> None:
    placed = client.post("/calls", json=NEW_CALL).json
    change = {"call_settings": {"recording_enabled": True}}
    assert client.patch(f"/calls/{placed['id']}", json=change).json["call_settings"]["recording_enabled"]
    acting.run_due(site.gw.services)
    assert site.carrier.recorded == []


def test_the_recording_of_a_call_that_is_over_is_a_conflict(site: Site, client: Client) -> None:
    over = site.put_call()
    change = {"call_settings": {"recording_enabled": True}}
    assert error_of(client.patch(f"/calls/{over.id}", json=change)) == (409, "conflict")
    acting.run_due(site.gw.services)
    assert site.carrier.recorded == []


def test_a_recording_is_tried_again_until_the_carrier_has_heard_the_latest_setting(
    site: Site, client: Client
) -> None:
    call = site.put_call(status=CallStatus.IN_PROGRESS, facts=CallFacts(answered=True), leg_id="CA1")
    path = f"/calls/{call.id}"

    def fail() -> None:
        site.carrier.on_record = change_meanwhile
        raise ProviderUnavailable("no usable answer", provider="twilio")

    def change_meanwhile() -> None:
        site.carrier.on_record = lambda: None
        client.patch(path, json={"call_settings": {"recording_enabled": False}})

    site.carrier.on_record = fail
    client.patch(path, json={"call_settings": {"recording_enabled": True}})
    acting.run_due(site.gw.services)
    site.clock.ahead(seconds=5)
    acting.run_due(site.gw.services)
    assert site.carrier.recorded == [("start", "CA1", False), ("start", "CA1", True), ("stop", "CA1", False)]
    site.clock.ahead(minutes=2)
    assert acting.run_due(site.gw.services) == 0


def test_a_live_call_is_hung_up(site: Site, client: Client) -> None:
    placed = client.post("/calls", json=NEW_CALL).json
    answer = client.post(f"/calls/{placed['id']}/hangup")
    assert answer.status_code == 200
    assert site.carrier.hung_up == [f"CA{1:032}"]
    over = site.put_call()
    assert client.post(f"/calls/{over.id}/hangup").json["status"] == "completed"


def test_a_hang_up_that_does_not_arrive_is_told_with_the_calls_id(site: Site, client: Client) -> None:
    placed = client.post("/calls", json=NEW_CALL).json

    def fail() -> None:
        raise ProviderUnavailable("timed out", provider="twilio")

    site.carrier.on_hang_up = fail
    answer = client.post(f"/calls/{placed['id']}/hangup")
    assert error_of(answer) == (502, "provider_error")
    assert answer.json["error"]["details"] == {"call_id": placed["id"]}


@pytest.mark.parametrize("status", list(CallStatus))
def test_a_call_can_be_deleted_when_it_is_over(site: Site, client: Client, status: CallStatus) -> None:
    call = site.put_call(status=status)
    answer = client.delete(f"/calls/{call.id}")
    if not status.is_final:
        assert error_of(answer) == (409, "conflict")
        assert client.get(f"/calls/{call.id}").status_code == 200
        return
    assert (answer.status_code, answer.data) == (204, b"")
    assert error_of(client.get(f"/calls/{call.id}")) == (404, "not_found")
    assert error_of(client.delete(f"/calls/{call.id}")) == (404, "not_found")


def test_many_calls_are_deleted_and_live_ones_left(site: Site, client: Client) -> None:
    over = [site.put_call().id for _ in range(3)]
    live = site.put_call(status=CallStatus.RINGING).id
    answer = client.post("/calls/bulk-delete", json={"ids": [over[0], live, over[2].upper(), NO_ID, over[0]]})
    assert answer.json == {
        "deleted_count": 2,
        "failed_count": 2,
        "deleted_ids": [over[0], over[2]],
        "failed_ids": [live, NO_ID],
    }
    assert client.get("/calls").json["pagination"]["total"] == 2


def test_an_analysis_is_handed_in_shown_and_told(site: Site, client: Client) -> None:
    heard: list[Any] = []
    site.gw.on("call.analyzed")(heard.append)
    call = site.put_call()
    path = f"/calls/{call.id}"
    assert error_of(client.get(f"{path}/transcript")) == (404, "not_found")
    lines = [
        {"speaker": "agent", "text": "Hello?", "timestamp": 0},
        {"speaker": "contact", "text": "Grüße 😀", "timestamp": 1.25},
    ]
    said = {"transcript": lines, "summary": "They said hello.", "outcome": "greeted"}
    answer = client.put(f"{path}/analysis", json=said)
    assert (answer.json["summary"], answer.json["outcome"]) == ("They said hello.", "greeted")
    assert client.get(f"{path}/transcript").json == {"transcript": lines, "summary": "They said hello."}
    assert client.get("/calls").json["data"][0]["outcome"] == "greeted"
    assert [event.call.id for event in heard] == [call.id]
    assert client.put(f"{path}/analysis", json={"summary": "short"}).json["outcome"] is None
    assert error_of(client.get(f"{path}/transcript")) == (404, "not_found")


def test_a_transcript_may_be_longer_than_other_bodies(site: Site, client: Client) -> None:
    line = {"speaker": "agent", "text": "x" * 1000, "timestamp": 5}
    path = f"/calls/{site.put_call().id}/analysis"
    assert client.put(path, json={"transcript": [line] * 500}).status_code == 200
    assert error_of(client.put(path, json={"transcript": [line] * 1100})) == (413, "too_large")


def test_the_events_of_a_call_are_paged(site: Site, client: Client) -> None:
    placed = client.post("/calls", json=NEW_CALL).json
    path = f"/calls/{placed['id']}/events"
    assert [each["name"] for each in client.get(path).json["data"]] == ["dial requested", "dial accepted"]
    first = client.get(f"{path}?limit=1").json
    assert first["pagination"]["has_more"]
    rest = client.get(f"{path}?limit=1&cursor={first['pagination']['next_cursor']}").json
    assert [each["name"] for each in rest["data"]] == ["dial accepted"]
    assert rest["pagination"] == {"limit": 1, "has_more": False, "next_cursor": None}


def test_statistics_sum_up_by_agent_number_and_day(site: Site, client: Client) -> None:
    cost = Cost(amount=Decimal("0.02"), currency="USD", authority=Authority.RECORD)
    talked = CallFacts(answered=True, answered_at=T0, ended_at=T0 + 30 * SECOND, cost=cost)
    talked = talked.merge(CallFacts(ends=(EndReport(cause=EndCause.HUNG_UP),)))
    site.put_call(facts=talked)
    site.put_call(status=CallStatus.BUSY, created_at=T0 + timedelta(days=1), agent_id="night")
    span = "created_after=2026-03-01T00:00:00Z&created_before=2026-03-05T00:00:00Z"
    stats = client.get(f"/calls/stats?{span}").json
    assert stats["total"] == {
        "calls": 2,
        "ended": 2,
        "answered": 1,
        "by_status": {"completed": 1, "busy": 1},
        "answer_rate": 0.5,
        "average_handle_seconds": 30.0,
        "cost": [{"amount": "0.02", "currency": "USD"}],
    }
    assert {each["agent_id"]: each["calls"] for each in stats["by_agent"]} == {"desk": 1, "night": 1}
    assert {each["number"]: each["calls"] for each in stats["by_number"]} == {OURS: 2}
    assert {each["day"]: each["calls"] for each in stats["by_day"]} == {"2026-03-01": 1, "2026-03-02": 1}
    assert client.get("/calls/stats").json["total"]["calls"] == 0, "the last 30 days"
    for wrong in (
        "created_after=2026-03-05T00:00:00Z&created_before=2026-03-05T00:00:00Z",
        "created_after=2001-01-01T00:00:00Z",
    ):
        assert "created_after" in fields_of(client.get(f"/calls/stats?{wrong}"))


@pytest.mark.parametrize(("counted", "total", "is_exact"), [(10_000, 10_000, True), (10_001, 10_000, False)])
def test_a_total_is_counted_to_ten_thousand(counted: int, total: int, is_exact: bool) -> None:
    page = CallPage(calls=(), next_cursor=None)
    shown = pagination_of(CallsQuery.model_validate({}), page, counted)
    assert (shown["total"], shown["total_is_exact"]) == (total, is_exact)
