"""What each of Plivo's requests says, and what malformed ones do not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import CallEvent, Hook, StepOutcome, StepReport, WebhookRequest
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    CallStatus,
    Cost,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    Recording,
    resolve,
)
from providers.plivo.webhooks import read
from tests.adapters.plivo.support import (
    ATTEMPT,
    CALL,
    CHILD,
    GATEWAY,
    RECORDING,
    REQUEST,
    STEP,
    STREAM,
    inbound,
    outbound,
    webhook,
)

HUNG_UP = {
    "AnswerTime": "2026-03-04 14:45:10",
    "BillDuration": "37",
    "CallStatus": "completed",
    "Duration": "45",
    "EndTime": "2026-03-04 14:45:47",
    "Event": "Hangup",
    "HangupCause": "NORMAL_CLEARING",
    "HangupCauseCode": "4000",
    "HangupCauseName": "Normal Hangup",
    "HangupSource": "Callee",
    "StartTime": "2026-03-04 14:45:02",
    "TotalCost": "0.00600",
}


def one(hook: Hook, fields: dict[str, str], token: str | None = None, query: str = "") -> CallEvent:
    (event,) = read(hook, webhook(fields, token, query))
    return event


# -- progress ----------------------------------------------------------------------------------------------------------


def test_an_inbound_call_rings_until_a_document_runs() -> None:
    event = one(Hook.ANSWER, inbound(Event="StartApp", CallStatus="ringing"))
    assert event.facts == CallFacts(ringing=True)
    assert event.wants_instruction
    assert (event.leg_id, event.direction) == (CALL, Direction.INBOUND)
    assert (event.to, event.from_number) == ("+14155550100", "+12125550123")
    assert event.occurred_at == datetime(2026, 3, 4, 9, 15, 2, tzinfo=UTC)
    assert (event.attempt_token, event.step_token, event.account_ref) == (None, None, None)
    assert event.name == "StartApp"
    assert event.unmapped == ()


def test_an_outbound_call_that_asks_for_its_document_was_answered_at_a_time_that_nobody_tells() -> None:
    event = one(Hook.ANSWER, outbound(Event="StartApp", CallStatus="in-progress"), token=ATTEMPT)
    assert event.facts == CallFacts(answered=True)
    assert (event.wants_instruction, event.attempt_token, event.occurred_at) == (True, ATTEMPT, None)


def test_a_ringing_report_asks_for_nothing() -> None:
    event = one(Hook.STATUS, outbound(Event="Ring", CallStatus="ringing"), token=ATTEMPT)
    assert event.facts == CallFacts(ringing=True)
    assert (event.wants_instruction, event.attempt_token) == (False, ATTEMPT)
    assert event.occurred_at == datetime(2026, 3, 4, 9, 15, 2, tzinfo=UTC)


def test_the_request_uuid_travels_along_where_it_differs() -> None:
    event = one(Hook.STATUS, outbound(Event="Ring", RequestUUID=REQUEST, ALegRequestUUID=REQUEST))
    assert (event.leg_id, event.other_ids) == (CALL, (REQUEST,))
    assert one(Hook.STATUS, outbound(Event="Ring")).other_ids == ()


def test_the_fallback_asks_too_and_is_another_event() -> None:
    fields = inbound(Event="StartApp", CallStatus="in-progress")
    event = one(Hook.FALLBACK, fields)
    assert event.wants_instruction
    assert event.facts.answered
    assert event.event_id != one(Hook.ANSWER, fields).event_id


def test_an_event_that_nobody_documented_still_gets_a_document_at_the_answer_url() -> None:
    event = one(Hook.ANSWER, inbound(Event="Greet", CallStatus="humming"))
    assert event.wants_instruction
    assert event.facts == CallFacts()
    assert [(each.table, each.word) for each in event.unmapped] == [
        ("event_type", "Greet"),
        ("call_status", "humming"),
    ]
    assert one(Hook.ANSWER, inbound(CallStatus="ringing")).wants_instruction


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"STIRAttestation": "B", "STIRVerification": "Not Verified"}, "B"),
        ({"STIRVerification": "Verified"}, "A"),
        ({"stir_verification": "Verified"}, "A"),
        ({"STIRVerification": "Not Applicable"}, None),
        ({"STIRAttestation": "Q"}, None),
    ],
)
def test_the_attestation_is_a_hint_from_either_spelling(fields: dict[str, str], level: str | None) -> None:
    event = one(Hook.ANSWER, inbound(Event="StartApp", CallStatus="ringing") | fields)
    assert event.facts.attestation == level


def test_a_withheld_caller_is_anonymous_and_a_sip_caller_is_kept() -> None:
    assert one(Hook.ANSWER, inbound(Event="StartApp", From="Anonymous")).from_number == "anonymous"
    sip = "sip:agent1140703093944@phone.plivo.com"
    assert one(Hook.ANSWER, inbound(Event="StartApp", From=sip)).from_number == sip


def test_a_direction_that_nobody_documented_is_kept_and_means_nothing() -> None:
    event = one(Hook.STATUS, outbound(Event="Ring", Direction="sideways"))
    assert event.direction is None
    assert [(each.table, each.word) for each in event.unmapped] == [("direction", "sideways")]


# -- machines ----------------------------------------------------------------------------------------------------------


def test_a_machine_is_reported_asynchronously() -> None:
    fields = outbound(
        Event="MachineDetection", CallStatus="in-progress", Machine="true", IfMachine="continue"
    )
    event = one(Hook.AMD, fields, token=ATTEMPT)
    assert event.facts.answered_by is AnsweredBy.MACHINE
    assert event.facts.answered
    assert (event.wants_instruction, event.attempt_token, event.unmapped) == (False, ATTEMPT, ())


@pytest.mark.parametrize("word", ["true", "machine_detection"])
def test_a_machine_on_the_hangup_request_makes_the_call_a_voicemail(word: str) -> None:
    event = one(Hook.STATUS, outbound(**HUNG_UP, Machine=word))
    assert resolve(event.facts, Direction.OUTBOUND).status is CallStatus.VOICEMAIL


def test_a_machine_word_that_nobody_documented_is_no_verdict() -> None:
    event = one(Hook.AMD, outbound(Event="MachineDetection", Machine="maybe"))
    assert event.facts.verdicts == ()
    assert [(each.table, each.word) for each in event.unmapped] == [("machine", "maybe")]


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_hangup_tells_who_why_how_long_and_what_it_cost() -> None:
    event = one(Hook.STATUS, outbound(**HUNG_UP), token=ATTEMPT)
    (end,) = event.facts.ends
    assert (end.cause, end.ended_by, end.proves_answered) == (EndCause.HUNG_UP, EndedBy.CALLEE, True)
    assert (end.words.status, end.words.cause, end.words.source, end.words.text) == (
        "completed",
        "4000",
        "Callee",
        "Normal Hangup",
    )
    assert event.facts.duration == Duration(seconds=37, authority=Authority.REPORTED)
    assert event.facts.cost == Cost(amount=Decimal("0.00600"), currency="USD", authority=Authority.REPORTED)
    assert resolve(event.facts, Direction.OUTBOUND).status is CallStatus.COMPLETED
    assert not event.wants_instruction


def test_times_of_the_consoles_zone_are_not_taken_for_utc() -> None:
    event = one(Hook.STATUS, outbound(**HUNG_UP))
    assert (event.occurred_at, event.facts.answered_at, event.facts.ended_at) == (None, None, None)


def test_an_application_without_hangup_url_tells_the_end_at_the_answer_url_and_gets_no_document() -> None:
    event = one(Hook.ANSWER, inbound(**HUNG_UP))
    assert event.facts.ends
    assert not event.wants_instruction


@pytest.mark.parametrize("left", ["HangupCause", "HangupCauseName", "HangupCauseCode", "EndTime"])
def test_a_hangup_without_its_event_is_known_by_any_of_its_fields(left: str) -> None:
    event = one(Hook.ANSWER, inbound(CallStatus="completed", **{left: HUNG_UP[left]}))
    assert event.facts.ends
    assert not event.wants_instruction


def test_a_hangup_without_event_and_fields_is_known_by_its_status() -> None:
    event = one(Hook.STATUS, outbound(CallStatus="busy"))
    assert resolve(event.facts, Direction.OUTBOUND).status is CallStatus.BUSY
    assert one(Hook.STATUS, outbound(CallStatus="in-progress")).facts.ends == ()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"HangupCauseCode": "3010", "HangupSource": "Callee"}, CallStatus.BUSY),
        ({"HangupCauseCode": "3000", "HangupSource": "Carrier"}, CallStatus.NO_ANSWER),
        ({"HangupCauseCode": "6010", "HangupSource": "Plivo"}, CallStatus.NO_ANSWER),
        ({"HangupCauseCode": "1000", "HangupSource": "API Request"}, CallStatus.CANCELLED),
        ({"HangupCauseCode": "3080", "HangupSource": "Carrier"}, CallStatus.FAILED),
        (
            {"HangupCauseCode": "8011", "HangupSource": "Error", "AnswerTime": "2026-03-04 14:45:10"},
            CallStatus.FAILED,
        ),
        ({"HangupCause": "USER_BUSY"}, CallStatus.BUSY),
    ],
)
def test_completed_on_a_hangup_proves_nothing(fields: dict[str, str], status: CallStatus) -> None:
    said = outbound(Event="Hangup", CallStatus="completed", BillDuration="0", TotalCost="0.00000") | fields
    event = one(Hook.STATUS, said)
    assert resolve(event.facts, Direction.OUTBOUND).status is status


def test_figures_that_cannot_be_true_are_left_out() -> None:
    bad = {"BillDuration": "-5", "TotalCost": "NaN"}
    event = one(Hook.STATUS, outbound(**HUNG_UP | bad))
    assert (event.facts.duration, event.facts.cost) == (None, None)
    assert one(Hook.STATUS, outbound(**HUNG_UP | {"BillDuration": "٣٧"})).facts.duration is None


# -- steps -------------------------------------------------------------------------------------------------------------


def test_a_redirect_tells_that_the_step_is_over_and_asks_what_now() -> None:
    event = one(Hook.NEXT, inbound(CallStatus="in-progress"), token=STEP)
    assert event.step == StepReport(outcome=StepOutcome.OVER, detail="redirected")
    assert (event.step_token, event.attempt_token, event.wants_instruction) == (STEP, None, True)
    assert event.facts == CallFacts(answered=True)


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("completed", StepOutcome.OVER),
        ("busy", StepOutcome.FAILED),
        ("no-answer", StepOutcome.FAILED),
        ("timeout", StepOutcome.FAILED),
        ("cancel", StepOutcome.FAILED),
        ("failed", StepOutcome.FAILED),
    ],
)
def test_a_dial_tells_how_the_other_party_took_it(word: str, outcome: StepOutcome) -> None:
    fields = inbound(CallStatus="in-progress", DialStatus=word, DialHangupCause="USER_BUSY", DialBLegUUID="")
    event = one(Hook.NEXT, fields, token=STEP)
    assert event.step == StepReport(outcome=outcome, detail=word)
    assert event.wants_instruction
    assert event.facts.ends == ()


def test_a_dial_status_that_nobody_documented_ends_the_step() -> None:
    event = one(Hook.NEXT, inbound(CallStatus="in-progress", DialStatus="melted"), token=STEP)
    assert event.step == StepReport(outcome=StepOutcome.OVER, detail="melted")
    assert [(each.table, each.word) for each in event.unmapped] == [("dial_status", "melted")]


def test_a_caller_who_is_gone_wants_no_document() -> None:
    gone = one(Hook.NEXT, inbound(**HUNG_UP, DialStatus="completed"), token=STEP)
    assert (gone.wants_instruction, gone.step_token) == (False, STEP)
    assert gone.facts.ends
    assert gone.step == StepReport(outcome=StepOutcome.OVER, detail="completed")
    quiet = one(Hook.NEXT, inbound(CallStatus="completed", RecordingID=RECORDING), token=STEP)
    assert (quiet.wants_instruction, quiet.facts.ends) == (False, ())


def test_the_end_of_a_message_is_not_yet_its_recording() -> None:
    fields = inbound(
        CallStatus="in-progress",
        RecordingID=RECORDING,
        RecordUrl="https://media.plivo.com/x.mp3",
        Digits="hangup",
    )
    event = one(Hook.NEXT, fields, token=STEP)
    assert event.step == StepReport(outcome=StepOutcome.OVER, detail="recorded")
    assert event.facts.recordings == ()


@pytest.mark.parametrize("word", ["StartStream", "started"])
def test_an_open_socket_joins_the_step_and_proves_the_answer(word: str) -> None:
    fields = inbound(Event=word, StreamID=STREAM, Timestamp="2026-03-04T09:15:04.125Z")
    event = one(Hook.STATUS, fields, query=f"?step={STEP}")
    assert event.step == StepReport(outcome=StepOutcome.JOINED, detail=word)
    assert event.step_token == STEP
    assert event.facts == CallFacts(answered=True)
    assert event.occurred_at == datetime(2026, 3, 4, 9, 15, 4, 125_000, tzinfo=UTC)
    assert not event.wants_instruction


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"Event": "DroppedStream", "Error": "connection_failed"}, "connection_failed"),
        ({"Event": "failed", "StatusReason": "authentication_failed"}, "authentication_failed"),
        ({"Event": "stopped", "StatusReason": "invalid_content_type"}, "invalid_content_type"),
        ({"Event": "failed"}, "failed"),
    ],
)
def test_a_refused_socket_fails_the_step_and_never_the_call(fields: dict[str, str], detail: str) -> None:
    event = one(Hook.STATUS, inbound(StreamID=STREAM, **fields), query=f"?step={STEP}")
    assert event.step == StepReport(outcome=StepOutcome.FAILED, detail=detail)
    assert (event.facts, event.unmapped) == (CallFacts(), ())


@pytest.mark.parametrize("word", ["StopStream", "stopped", "DegradedStream"])
def test_a_stopped_or_degraded_stream_is_no_end_of_the_step(word: str) -> None:
    event = one(Hook.STATUS, inbound(StreamID=STREAM, Event=word), query=f"?step={STEP}")
    assert (event.step, event.facts, event.name) == (None, CallFacts(), word)


def test_a_stream_report_without_a_step_reports_on_none() -> None:
    assert one(Hook.STATUS, inbound(StreamID=STREAM, Event="StartStream")).step is None


def test_the_dialed_leg_joins_the_step_without_touching_the_call() -> None:
    fields = inbound(DialAction="answer", DialBLegUUID=CHILD, DialALegUUID=CALL, CallStatus="in-progress")
    own, child = read(Hook.STATUS, webhook(fields, query=f"?step={STEP}"))
    assert (child.leg_id, child.is_child_leg, child.step_token) == (CHILD, True, STEP)
    assert child.step == StepReport(outcome=StepOutcome.JOINED, detail="answer")
    assert child.facts == CallFacts()
    assert (own.leg_id, own.is_child_leg, own.step) == (CALL, False, None)
    assert own.facts == CallFacts(answered=True)
    assert own.event_id != child.event_id


def test_the_end_of_the_dialed_leg_is_told_by_the_dial_itself() -> None:
    fields = inbound(DialAction="hangup", DialBLegUUID=CHILD, DialBLegHangupCauseCode="4000")
    own, child = read(Hook.STATUS, webhook(fields, query=f"?step={STEP}"))
    assert (own.step, child.step) == (None, None)
    assert (own.facts.ends, child.facts.ends) == ((), ())


# -- recordings --------------------------------------------------------------------------------------------------------


def test_a_finished_recording_lands_with_its_length_and_address() -> None:
    fields = {
        "CallUUID": CALL,
        "RecordUrl": "https://media.plivo.com/v1/x.mp3",
        "RecordingID": RECORDING,
        "RecordingDuration": "65",
        "RecordingDurationMs": "65100",
    }
    event = one(Hook.RECORDING, fields, token=ATTEMPT, query=f"?leg={CALL}")
    assert event.facts.recordings == (
        Recording(ref=RECORDING, duration_s=65, url="https://media.plivo.com/v1/x.mp3"),
    )
    assert (event.leg_id, event.attempt_token, event.name) == (CALL, ATTEMPT, "recording")


def test_a_recordings_callback_that_names_no_call_is_known_by_our_own_address() -> None:
    event = one(
        Hook.RECORDING, {"RecordingID": RECORDING, "RecordingDurationMs": "1900"}, query=f"?leg={CALL}"
    )
    assert event.leg_id == CALL
    assert event.facts.recordings == (Recording(ref=RECORDING, duration_s=2),)
    with pytest.raises(WebhookRejected):
        read(Hook.RECORDING, webhook({"RecordingID": RECORDING}))


def test_a_taken_message_is_marked_as_one() -> None:
    event = one(
        Hook.RECORDING, {"CallUUID": CALL, "RecordingID": RECORDING}, query=f"?leg={CALL}&kind=message"
    )
    assert event.facts.recordings[0].is_message


def test_the_rest_apis_snake_case_is_read_too_and_minus_one_is_no_length() -> None:
    fields = {
        "call_uuid": CALL,
        "recording_id": RECORDING,
        "recording_duration": "-1",
        "record_url": "javascript:x",
    }
    event = one(Hook.RECORDING, fields)
    assert event.facts.recordings == (Recording(ref=RECORDING),)


# -- identity of reports -----------------------------------------------------------------------------------------------


def test_repeats_are_one_event_and_other_reports_are_others() -> None:
    reports = [
        (Hook.ANSWER, inbound(Event="StartApp", CallStatus="ringing"), ""),
        (Hook.FALLBACK, inbound(Event="StartApp", CallStatus="ringing"), ""),
        (Hook.STATUS, inbound(Event="Ring", CallStatus="ringing"), ""),
        (Hook.STATUS, inbound(**HUNG_UP), ""),
        (Hook.STATUS, inbound(**HUNG_UP | {"TotalCost": "0.01200"}), ""),
        (Hook.AMD, inbound(Event="MachineDetection", Machine="true"), ""),
        (Hook.NEXT, inbound(CallStatus="in-progress"), "one"),
        (Hook.NEXT, inbound(CallStatus="in-progress"), "two"),
        (Hook.STATUS, inbound(StreamID=STREAM, Event="StartStream"), ""),
        (Hook.STATUS, inbound(StreamID=STREAM, Event="StopStream"), ""),
        (Hook.RECORDING, inbound(RecordingID=RECORDING), ""),
    ]
    first = [one(hook, fields, token or None).event_id for hook, fields, token in reports]
    again = [
        one(hook, dict(reversed(fields.items())), token or None).event_id for hook, fields, token in reports
    ]
    assert first == again
    assert len(set(first)) == len(reports)


def test_an_event_id_shows_no_token() -> None:
    assert STEP not in one(Hook.NEXT, inbound(CallStatus="in-progress"), token=STEP).event_id


def test_everything_that_arrived_is_kept() -> None:
    fields = inbound(Event="StartApp", CallerName="Zoë 東京", ForwardedFrom="14155550199") | {
        "X-PH-Case": "7"
    }
    raw = one(Hook.ANSWER, fields).raw
    assert {name: raw[name] for name in fields} == fields


# -- what is no webhook of Plivo's -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Event=StartApp",
        b"CallUUID=&Event=StartApp",
        b"CallUUID=../Call&Event=StartApp",
        b"CallUUID=" + CALL.encode() + b"x&Event=StartApp",
        b"CallUUID=" + CALL.encode() + b"%0A",
        b"CallUUID=%ff",
        b"CallUUID=" + CALL.encode() + b"&CallUUID=" + CALL.encode(),
        b"CallUUID=" + CALL.encode() + b"&Event=Ring&Event=Hangup",
        b"CallUUID=" + CALL.encode() + b"&RequestUUID=1",
        b"CallUUID=" + CALL.encode() + b"&HangupCauseName=" + b"x" * 5000,
    ],
)
@pytest.mark.parametrize("hook", [Hook.ANSWER, Hook.STATUS, Hook.NEXT])
def test_malformed_fields_are_refused_as_such(hook: Hook, fields: bytes) -> None:
    with pytest.raises(WebhookRejected) as refused:
        read(hook, webhook(fields, token=STEP))
    assert refused.value.reason is RejectionReason.MALFORMED


def test_a_recording_needs_an_id_of_plivos_form() -> None:
    for bad in ("", "../x", "1"):
        with pytest.raises(WebhookRejected):
            read(Hook.RECORDING, webhook(inbound(RecordingID=bad)))


@settings(max_examples=300, deadline=None)
@given(
    hook=st.sampled_from(Hook),
    fields=st.dictionaries(
        st.sampled_from(
            [*HUNG_UP, *inbound(), "DialAction", "DialBLegUUID", "StreamID", "Machine", "RecordingID", "é"]
        ),
        st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.just(CALL)),
    ),
    query=st.sampled_from(["", f"?step={STEP}", "?step=a&step=b", "?leg=x", "?%zz"]),
)
def test_no_fields_raise_anything_but_a_refusal(hook: Hook, fields: dict[str, str], query: str) -> None:
    try:
        events = read(hook, webhook(fields, STEP, query))
    except WebhookRejected:
        return
    for event in events:
        assert event.leg_id
        assert len(event.event_id) < 500


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    request = WebhookRequest(
        method="POST",
        url=f"{GATEWAY}/status",
        headers=(("Content-Type", "application/x-www-form-urlencoded"),),
        body=body,
    )
    with pytest.raises(WebhookRejected):
        read(Hook.STATUS, request)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_word_that_nobody_documented_changes_nothing_but_an_end_stays_an_end(word: str) -> None:
    strange = f"?{word}"
    progress = one(Hook.STATUS, outbound(Event=strange, CallStatus=strange, Machine=strange))
    assert progress.facts == CallFacts()
    end = one(Hook.STATUS, outbound(Event="Hangup", HangupCauseCode=strange, HangupCause=strange))
    assert [report.cause for report in end.facts.ends] == [EndCause.UNKNOWN]
    assert {each.table for each in end.unmapped} == {"hangup_cause_code", "hangup_cause"}


def test_a_get_is_read_from_its_query() -> None:
    query = urlencode(outbound(Event="Ring", CallStatus="ringing"))
    request = WebhookRequest(method="GET", url=f"{GATEWAY}/status?{query}", headers=(), body=b"")
    (event,) = read(Hook.STATUS, request)
    assert event.facts == CallFacts(ringing=True)
