"""What each event adds to a call, and what a bad one is answered with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import Hook, StepOutcome, StepReport, UnmappedWord
from gateway.status import Authority, CallFacts, Cost, Direction, Recording
from providers.telnyx.vocabulary import EVENT
from tests.adapters.telnyx.support import (
    AT,
    ATTEMPT,
    CONNECTION,
    CONTROL_ID,
    LEG,
    OURS,
    STEP,
    THEIRS,
    check_webhook,
    event_data,
    provider,
    read,
    state,
    webhook,
)

INITIATED = {"direction": "incoming", "state": "parked", "from": THEIRS, "to": OURS}
HANGUP = {"hangup_cause": "normal_clearing", "hangup_source": "callee", "sip_hangup_cause": "200"}


def test_an_inbound_call_asks_what_to_do() -> None:
    event = read("call.initiated", **INITIATED)
    assert event.facts == CallFacts(ringing=True)
    assert event.wants_instruction
    assert (event.direction, event.to, event.from_number) == (Direction.INBOUND, OURS, THEIRS)
    assert (event.leg_id, event.other_ids) == (CONTROL_ID, (LEG,))
    assert (event.name, event.event_id) == ("call.initiated", "10000000-0000-4000-8000-000000000001")
    assert event.occurred_at == AT
    assert (event.attempt_token, event.step_token, event.step) == (None, None, None)
    assert event.account_ref == CONNECTION
    assert event.raw["meta"]["attempt"] == 1


def test_an_outbound_leg_rings_from_its_start_and_asks_nothing() -> None:
    event = read(
        "call.initiated", **{**INITIATED, "direction": "outgoing"}, client_state=state("dial", ATTEMPT, "")
    )
    assert event.direction is Direction.OUTBOUND
    assert event.facts == CallFacts(ringing=True)
    assert not event.wants_instruction
    assert event.attempt_token == ATTEMPT


def test_an_answered_call_asks_what_to_do() -> None:
    event = read("call.answered", client_state=state("dial", ATTEMPT, ""), **{"from": OURS, "to": THEIRS})
    assert event.facts == CallFacts(ringing=True, answered=True, answered_at=AT)
    assert event.wants_instruction
    assert (event.attempt_token, event.step) == (ATTEMPT, None)


def test_the_end_carries_the_carriers_words() -> None:
    event = read("call.hangup", client_state=state("stream"), **HANGUP)
    (end,) = event.facts.ends
    assert (end.words.cause, end.words.source, end.words.sip_code) == ("normal_clearing", "callee", "200")
    assert end.proves_answered is True
    assert event.facts.ended_at == AT
    assert (event.step, event.step_token) == (None, None)


@pytest.mark.parametrize(
    ("who", "expected"),
    [(None, "anonymous"), ("anonymous", "anonymous"), ("sip:bob@pbx.example", "sip:bob@pbx.example")],
)
def test_a_caller_without_a_number_is_kept_as_what_it_is(who: str | None, expected: str) -> None:
    assert read("call.initiated", **{**INITIATED, "from": who}).from_number == expected


@pytest.mark.parametrize(
    ("fields", "level", "odd"),
    [
        ({"shaken_stir_attestation": "A", "shaken_stir_validated": True}, "A", ()),
        ({"shaken_stir_attestation": "b"}, "B", ()),
        ({"shaken_stir_attestation": "C", "shaken_stir_validated": False}, "failed", ()),
        ({"shaken_stir_attestation": "Q"}, None, (UnmappedWord(table="attestation", word="Q"),)),
        ({}, None, ()),
    ],
)
def test_attestation_is_a_letter_failed_or_nothing(
    fields: dict[str, Any], level: str | None, odd: tuple[UnmappedWord, ...]
) -> None:
    event = read("call.initiated", **INITIATED, **fields)
    assert (event.facts.attestation, event.unmapped) == (level, odd)


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "mark", "payload", "expected"),
    [
        (
            "streaming.started",
            "stream",
            {},
            StepReport(outcome=StepOutcome.JOINED, detail="streaming.started"),
        ),
        ("streaming.stopped", "stream", {}, StepReport(outcome=StepOutcome.OVER, detail="streaming.stopped")),
        (
            "streaming.failed",
            "stream",
            {"failure_reason": "connection_failed"},
            StepReport(outcome=StepOutcome.FAILED, detail="connection_failed"),
        ),
        (
            "call.speak.ended",
            "say",
            {"status": "completed"},
            StepReport(outcome=StepOutcome.OVER, detail="completed"),
        ),
        (
            "call.speak.ended",
            "say",
            {"status": "cancelled_amd"},
            StepReport(outcome=StepOutcome.FAILED, detail="cancelled_amd"),
        ),
        (
            "call.recording.saved",
            "message",
            {"channels": "single"},
            StepReport(outcome=StepOutcome.OVER, detail="call.recording.saved"),
        ),
        (
            "call.recording.error",
            "message",
            {"reason": "Internal server error"},
            StepReport(outcome=StepOutcome.FAILED, detail="Internal server error"),
        ),
        ("call.answered", "leg", {}, StepReport(outcome=StepOutcome.JOINED, detail="call.answered")),
        ("call.hangup", "leg", HANGUP, StepReport(outcome=StepOutcome.OVER, detail="normal_clearing")),
        (
            "call.hangup",
            "leg",
            {**HANGUP, "hangup_cause": "no_answer", "sip_hangup_cause": "487"},
            StepReport(outcome=StepOutcome.FAILED, detail="no_answer"),
        ),
        (
            "call.hangup",
            "leg",
            {**HANGUP, "hangup_cause": "user_busy", "sip_hangup_cause": "486"},
            StepReport(outcome=StepOutcome.FAILED, detail="user_busy"),
        ),
    ],
)
def test_an_event_reports_about_its_step(
    event_type: str, mark: str, payload: dict[str, Any], expected: StepReport
) -> None:
    event = read(event_type, client_state=state(mark, ATTEMPT), **payload)
    assert event.step == expected
    assert (event.step_token, event.attempt_token) == (STEP, ATTEMPT)
    assert not event.wants_instruction
    assert event.is_child_leg == (mark == "leg")
    if mark == "leg":
        assert event.facts == CallFacts(), "the second leg's fate is not this call's"


@pytest.mark.parametrize(
    ("event_type", "mark"),
    [
        ("streaming.stopped", "stop"),
        ("streaming.stopped", "say"),
        ("streaming.stopped", "answer"),
        ("call.speak.ended", "stream"),
        ("call.recording.saved", "stream"),
        ("call.recording.error", "stream"),
        ("call.answered", "answer"),
        ("call.hangup", "forward"),
        ("call.initiated", "leg"),
    ],
)
def test_an_event_of_another_kind_than_the_step_reports_nothing(event_type: str, mark: str) -> None:
    payload = {"status": "completed", "channels": "dual", "direction": "outgoing", **HANGUP}
    assert read(event_type, client_state=state(mark), **payload).step is None


def test_the_second_leg_asks_for_no_instruction() -> None:
    for event_type in ("call.initiated", "call.answered"):
        event = read(event_type, client_state=state("leg"), direction="outgoing")
        assert event.is_child_leg
        assert not event.wants_instruction


# -- recordings and cost -----------------------------------------------------------------------------------------------

SAVED = {
    "channels": "dual",
    "recording_started_at": "2026-03-02T15:03:00.000000Z",
    "recording_ended_at": "2026-03-02T15:04:00.400000Z",
    "recording_urls": {"mp3": "https://s3.amazonaws.com/x.mp3?X-Amz-Signature=abc", "wav": None},
}


def test_a_recording_of_the_conversation_is_kept_by_its_id_without_its_link() -> None:
    event = read("call.recording.saved", recording_id="4e2f4d62-7b0e-4f4b-8d3f-1d1f7f0c9a11", **SAVED)
    assert event.facts.recordings == (
        Recording(ref="4e2f4d62-7b0e-4f4b-8d3f-1d1f7f0c9a11", duration_s=60, channels=2),
    )


def test_a_recording_without_id_is_kept_by_its_leg() -> None:
    event = read("call.recording.saved", call_control_id=None, **SAVED)
    assert event.facts.recordings[0].ref == f"leg:{LEG}"
    assert (event.leg_id, event.other_ids) == (LEG, ())


def test_a_message_is_told_from_a_conversation_by_step_and_channels() -> None:
    message = read("call.recording.saved", client_state=state("message"), **{**SAVED, "channels": "single"})
    conversation = read("call.recording.saved", client_state=state("message"), **SAVED)
    assert message.facts.recordings[0].is_message
    assert not conversation.facts.recordings[0].is_message
    assert conversation.step is None


COST = {
    "status": "success",
    "total_cost": "0.01300",
    "billed_duration_secs": 60,
    "cost_parts": [{"call_part": "sip-trunking", "cost": "0.013", "currency": "USD", "rate": "0.013"}],
}


def test_a_cost_is_a_positive_decimal_with_its_currency() -> None:
    for total in ("0.01300", "-0.01300"):
        event = read("call.cost", **{**COST, "total_cost": total})
        assert event.facts == CallFacts(
            cost=Cost(amount=Decimal("0.01300"), currency="USD", authority=Authority.REPORTED)
        )


@pytest.mark.parametrize(
    "change",
    [
        {"status": "error", "total_cost": None},
        {"total_cost": "free"},
        {"total_cost": "NaN"},
        {"total_cost": "1" * 40},
        {"cost_parts": []},
        {"cost_parts": None},
        {"cost_parts": [{"currency": "USD"}, {"currency": "EUR"}]},
        {"cost_parts": ["x", {"currency": ["USD"]}]},
    ],
)
def test_a_cost_that_does_not_add_up_is_no_cost(change: dict[str, Any]) -> None:
    assert read("call.cost", **{**COST, **change}).facts == CallFacts()


# -- unknown words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "payload", "expected"),
    [
        ("call.teleported", {}, UnmappedWord(table="event_type", word="call.teleported")),
        ("call.initiated", {"direction": "sideways"}, UnmappedWord(table="direction", word="sideways")),
        ("call.machine.detection.ended", {"result": "cat"}, UnmappedWord(table="machine result", word="cat")),
        ("call.speak.ended", {"status": "sung"}, UnmappedWord(table="speak status", word="sung")),
        ("call.cost", {"status": "later"}, UnmappedWord(table="cost status", word="later")),
        (
            "call.hangup",
            {**HANGUP, "hangup_cause": "destination_out_of_order"},
            UnmappedWord(table="hangup_cause", word="destination_out_of_order"),
        ),
        (
            "call.hangup",
            {**HANGUP, "hangup_source": "fate"},
            UnmappedWord(table="hangup_source", word="fate"),
        ),
        (
            "call.hangup",
            {**HANGUP, "sip_hangup_cause": "799"},
            UnmappedWord(table="sip_hangup_cause", word="799"),
        ),
    ],
)
def test_an_unknown_word_is_kept_and_listed(
    event_type: str, payload: dict[str, Any], expected: UnmappedWord
) -> None:
    event = read(event_type, **payload)
    assert event.unmapped == (expected,)
    if event_type not in ("call.hangup", "call.initiated"):
        assert event.facts == CallFacts()


def test_an_unknown_word_of_a_hangup_still_ends_the_call() -> None:
    event = read("call.hangup", hangup_cause="x" * 5_000, hangup_source=None, sip_hangup_cause=None)
    assert len(event.facts.ends) == 1
    assert event.unmapped[0].word == "x" * 100


def test_a_time_that_is_none_is_left_out() -> None:
    for text in (
        "yesterday",
        "",
        None,
        7,
        "2026-13-40T99:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:00",
    ):
        data = event_data("call.answered") | {"occurred_at": text}
        (event,) = provider()[0].read_webhook(Hook.EVENTS, webhook({"data": data}))
        assert event.occurred_at is None
        assert event.facts.answered


def test_times_of_other_precision_and_zone_are_read() -> None:
    for text in ("2026-03-02T15:04:01Z", "2026-03-02T16:04:01.000000000+01:00", "2026-03-02T15:04:01.0Z"):
        data = event_data("call.answered") | {"occurred_at": text}
        (event,) = provider()[0].read_webhook(Hook.EVENTS, webhook({"data": data}))
        assert event.occurred_at == AT


def test_repeats_of_an_event_share_its_id_and_no_two_events_do() -> None:
    one, again = read("call.answered"), read("call.answered")
    other = read("call.answered", ident="10000000-0000-4000-8000-000000000002")
    assert one.event_id == again.event_id != other.event_id


# -- tokens and applications -------------------------------------------------------------------------------------------


def test_the_urls_token_is_taken_when_the_state_names_none() -> None:
    assert read("call.cost", token=ATTEMPT, **COST).attempt_token == ATTEMPT
    assert (
        read("call.cost", token=ATTEMPT, client_state=state("dial", ATTEMPT, ""), **COST).attempt_token
        == ATTEMPT
    )


def test_an_event_sent_to_another_attempts_url_is_refused() -> None:
    with pytest.raises(WebhookRejected) as caught:
        read("call.answered", token="f" * 32, client_state=state("dial", ATTEMPT, ""))
    assert caught.value.reason is RejectionReason.MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "!!",
        "aGVsbG8=",
        "eyJjYWxsX2lkIjoiYy0xMDAxIn0=",
        "x" * 5_000,
        7,
        ["x"],
        "Z3cxOm5vOjo=",
        "é",
        "Z3cxOmRpYWw6Og",
    ],
)
def test_a_state_of_somebody_else_names_no_token(value: Any) -> None:
    event = read("call.answered", client_state=value)
    assert (event.attempt_token, event.step_token) == (None, None)


def test_without_a_connection_no_application_is_compared() -> None:
    telnyx, _ = provider(connection_id="")
    (event,) = telnyx.read_webhook(Hook.EVENTS, webhook({"data": event_data("call.answered")}))
    assert event.account_ref is None
    assert telnyx.account_ref == ""


# -- malformed ---------------------------------------------------------------------------------------------------------

GOOD = {"data": event_data("call.answered"), "meta": {"attempt": 1}}
VERSION_1 = {
    "record_type": "event",
    "event_type": "call_initiated",
    "id": "x",
    "created_at": "x",
    "payload": {},
}


def changed(**changes: Any) -> Any:
    return {"data": {**event_data("call.answered"), **changes}}


MALFORMED: dict[str, Any] = {
    "empty": b"",
    "not JSON": b"{",
    "form": b"data=1",
    "not UTF-8": b'{"data": "\xff"}',
    "a list": b"[]",
    "repeated key": b'{"data": {}, "data": {}}',
    "NaN": b'{"data": NaN}',
    "huge integer": b'{"data": {"x": ' + b"1" * 100_000 + b"}}",
    "deep": b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "no data": {"meta": {}},
    "data is a list": {"data": []},
    "data is null": {"data": None},
    "no type": changed(event_type=None),
    "type with a newline": changed(event_type="call.answered\n"),
    "type too long": changed(event_type="x" * 101),
    "no id": changed(id=None),
    "id too long": changed(id="1" * 65),
    "id with a slash": changed(id="a/b"),
    "no payload": changed(payload=None),
    "payload is a text": changed(payload="x"),
    "no leg": changed(payload={"call_session_id": "x"}),
    "bad control id": changed(payload={"call_control_id": "../x", "call_leg_id": LEG}),
    "control id is a number": changed(payload={"call_control_id": 7}),
    "bad leg id": changed(payload={"call_control_id": CONTROL_ID, "call_leg_id": "x"}),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_the_carrier_does_not_send_is_malformed(body: Any) -> None:
    with pytest.raises(WebhookRejected) as caught:
        provider()[0].read_webhook(Hook.EVENTS, webhook(body))
    assert caught.value.reason is RejectionReason.MALFORMED


def test_a_version_1_webhook_is_refused_with_what_to_change() -> None:
    with pytest.raises(WebhookRejected, match="webhook_api_version") as caught:
        provider()[0].read_webhook(Hook.EVENTS, webhook(VERSION_1))
    assert caught.value.reason is RejectionReason.MALFORMED


@pytest.mark.parametrize(
    "media", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_another_media_type_is_refused(media: str | None) -> None:
    with pytest.raises(WebhookRejected) as caught:
        provider()[0].read_webhook(Hook.EVENTS, webhook(GOOD, media=media))
    assert caught.value.reason is RejectionReason.UNSUPPORTED_MEDIA


@pytest.mark.parametrize("hook", [hook for hook in Hook if hook is not Hook.EVENTS])
def test_events_are_taken_at_their_own_hook_only(hook: Hook) -> None:
    with pytest.raises(WebhookRejected):
        provider()[0].read_webhook(hook, webhook(GOOD))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = str.split(
    """
    client_state connection_id from to direction state hangup_cause hangup_source
    sip_hangup_cause telnyx_error result status channels recording_id recording_started_at
    recording_ended_at cost_parts total_cost failure_reason reason shaken_stir_attestation
    shaken_stir_validated call_control_id call_leg_id
    """
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(EVENT)),
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=8),
    JSON_VALUES,
)
def test_no_payload_raises_anything_but_a_refusal(
    event_type: str, payload: dict[str, Any], time: Any
) -> None:
    data = event_data(event_type, **payload) | {"occurred_at": time}
    try:
        body = json.dumps({"data": data}).encode()
        events = provider()[0].read_webhook(Hook.EVENTS, webhook(body))
    except WebhookRejected:
        return
    assert len(events) == 1
    assert events[0].facts.merge(events[0].facts) == events[0].facts


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_body_raises_anything_but_a_refusal(body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        provider()[0].read_webhook(Hook.EVENTS, webhook(body))


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(5)), st.data())
def test_any_order_and_repetition_of_a_calls_events_gives_the_same_facts(
    order: list[int], data: st.DataObject
) -> None:
    events = [
        read("call.initiated", **{**INITIATED, "direction": "outgoing"}),
        read("call.answered"),
        read("call.machine.premium.detection.ended", result="machine"),
        read("call.cost", **COST),
        read("call.hangup", **HANGUP),
    ]
    chosen = [events[place] for place in order] + data.draw(st.lists(st.sampled_from(events), max_size=5))
    facts = CallFacts()
    for event in chosen:
        facts = facts.merge(event.facts)
    expected = CallFacts()
    for event in events:
        expected = expected.merge(event.facts)
    assert facts == expected


def test_the_events_these_tests_read_are_events_of_the_openapi_document() -> None:
    for event_type, payload in (
        ("call.initiated", INITIATED),
        ("call.answered", {}),
        ("call.hangup", HANGUP),
        ("call.recording.saved", SAVED),
        ("call.cost", COST),
        ("call.speak.ended", {"status": "completed"}),
        ("call.machine.premium.detection.ended", {"result": "machine"}),
        ("streaming.failed", {"failure_reason": "connection_failed"}),
    ):
        data = event_data(event_type, **payload)
        data["payload"]["client_state"] = state("dial")
        check_webhook({"data": data})


def test_occurred_at_is_aware_utc() -> None:
    event = read("call.answered")
    assert event.occurred_at is not None
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert event.occurred_at == datetime(2026, 3, 2, 15, 4, 1, tzinfo=UTC)
