"""What the call engine found out about a call: kept whole, told once, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, analyzing
from gateway.errors import NotFound, ValidationError
from gateway.models import Analysis, Call, TranscriptLine
from gateway.notifying import GatewayEvent
from gateway.settings import load_settings
from gateway.status import CallStatus
from gateway.store import calls, events, outbox
from tests.storekit import SECOND, T0, put_call

OTHER = "another-tenant"
ANALYSIS = Analysis(
    transcript=(
        TranscriptLine(speaker="agent", text="Hello", timestamp_s=0.5),
        TranscriptLine(speaker="contact", text="Hi", timestamp_s=2),
    ),
    summary="They want to book.",
    outcome="booked",
)


@pytest.fixture
def gw(tmp_path: Path) -> Iterator[Gateway]:
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with Gateway.open(settings, background=False) as opened:
        opened.services.clock = lambda: T0 + SECOND
        yield opened


@pytest.fixture
def heard(gw: Gateway) -> list[GatewayEvent]:
    found: list[GatewayEvent] = []
    gw.services.notifier.on("call.analyzed")(found.append)
    return found


@pytest.fixture
def call(gw: Gateway) -> Call:
    return put_call(gw.services.store, status=CallStatus.COMPLETED, sequence=4)


def test_an_analysis_is_kept_and_told_inside_and_outside(
    gw: Gateway, heard: list[GatewayEvent], call: Call
) -> None:
    after = analyzing.put_analysis(gw.services, "default", call.id, ANALYSIS)
    assert after == replace(call, sequence=5, version=1, updated_at=T0 + SECOND)
    assert calls.load_call(gw.services.store, call.id) == after
    assert analyzing.load_analysis(gw.services, "default", call.id) == ANALYSIS
    assert [(event.type, event.call, event.occurred_at) for event in heard] == [
        ("call.analyzed", after, T0 + SECOND)
    ]
    (told,) = outbox.list_notifications(gw.services.store, "default")
    assert (told.type, told.call_id, told.sequence) == ("call.analyzed", call.id, 5)
    data = json.loads(told.payload)["data"]
    assert (data["summary"], data["outcome"], data["has_transcript"]) == (
        "They want to book.",
        "booked",
        True,
    )
    (noted,) = events.list_events(gw.services.store, call.id)
    assert (noted.name, noted.detail) == ("analysis stored", "2 lines")


def test_the_same_analysis_again_changes_nothing_and_tells_nobody(
    gw: Gateway, heard: list[GatewayEvent], call: Call
) -> None:
    first = analyzing.put_analysis(gw.services, "default", call.id, ANALYSIS)
    assert analyzing.put_analysis(gw.services, "default", call.id, ANALYSIS) == first
    better = replace(ANALYSIS, outcome="lost")
    assert analyzing.put_analysis(gw.services, "default", call.id, better).sequence == 6
    assert [event.sequence for event in heard] == [5, 6]
    assert len(outbox.list_notifications(gw.services.store, "default")) == 2


def test_a_live_call_can_be_analyzed_too(gw: Gateway, heard: list[GatewayEvent]) -> None:
    live = put_call(gw.services.store, status=CallStatus.IN_PROGRESS)
    assert analyzing.put_analysis(gw.services, "default", live.id, Analysis(summary="so far")).sequence == 1
    assert len(heard) == 1


def test_later_events_of_the_call_tell_the_analysis_too(gw: Gateway, call: Call) -> None:
    from gateway.publishing import publish

    analyzed = analyzing.put_analysis(gw.services, "default", call.id, ANALYSIS)
    with gw.services.store.transaction() as tx:
        publish(tx, analyzed, replace(analyzed, context={"a": 1}, sequence=6), T0)
    payloads = [json.loads(told.payload) for told in outbox.list_notifications(gw.services.store, "default")]
    (updated,) = (payload["data"] for payload in payloads if payload["type"] == "call.updated")
    assert (updated["summary"], updated["sequence"]) == ("They want to book.", 6)


def test_an_event_with_a_long_summary_stays_within_20_kb_and_says_what_it_left_out(
    gw: Gateway, call: Call
) -> None:
    analyzing.put_analysis(gw.services, "default", call.id, replace(ANALYSIS, summary="ä" * 20_000))
    (told,) = outbox.list_notifications(gw.services.store, "default")
    assert len(told.payload.encode()) <= 20_000
    assert "summary" in json.loads(told.payload)["data"]["left_out"]


def test_another_workspaces_call_is_not_found_and_keeps_what_it_has(
    gw: Gateway, heard: list[GatewayEvent], call: Call
) -> None:
    for work in (
        lambda: analyzing.put_analysis(gw.services, OTHER, call.id, ANALYSIS),
        lambda: analyzing.put_analysis(gw.services, "default", "missing", ANALYSIS),
        lambda: analyzing.load_analysis(gw.services, OTHER, call.id),
        lambda: analyzing.load_analysis(gw.services, "default", call.id),
    ):
        with pytest.raises(NotFound):
            work()
    assert heard == []


def line(text: str) -> TranscriptLine:
    return TranscriptLine(speaker="agent", text=text, timestamp_s=0)


@pytest.mark.parametrize(
    ("field", "analysis"),
    [
        ("summary", Analysis(summary="x" * 20_001)),
        ("outcome", Analysis(outcome="x" * 201)),
        ("transcript", Analysis(transcript=(line("x"),) * 10_001)),
        ("transcript", Analysis(transcript=(line("x" * 20_000),) * 101)),
        ("transcript.1.text", Analysis(transcript=(line("x"), line("x" * 20_001)))),
    ],
)
def test_what_cannot_be_kept_whole_is_refused_by_field(
    gw: Gateway, call: Call, field: str, analysis: Analysis
) -> None:
    with pytest.raises(ValidationError) as caught:
        analyzing.put_analysis(gw.services, "default", call.id, analysis)
    assert caught.value.field == field
    assert calls.load_call(gw.services.store, call.id) == call


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("speaker", {"speaker": "caller"}),
        ("text", {"text": 7}),
        ("timestamp", {"timestamp_s": -1}),
        ("timestamp", {"timestamp_s": "1"}),
        ("timestamp", {"timestamp_s": True}),
        ("timestamp", {"timestamp_s": float("nan")}),
        ("timestamp", {"timestamp_s": 1e9}),
    ],
)
def test_a_line_that_cannot_be_is_refused_by_field(field: str, said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        TranscriptLine(**{"speaker": "agent", "text": "x", "timestamp_s": 0, **said})
    assert caught.value.field == field


def test_what_people_said_is_in_no_repr() -> None:
    assert "Hello" not in repr(ANALYSIS)
    assert "book." not in repr(ANALYSIS)
    assert "Hello" not in repr(ANALYSIS.transcript)
