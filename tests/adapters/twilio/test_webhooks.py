from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import CallEvent, Hook, StepOutcome, StepReport, UnmappedWord, WebhookRequest
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    CallStatus,
    Direction,
    Duration,
    EndCause,
    Recording,
    resolve,
)
from providers.twilio.webhooks import read
from tests.adapters.twilio.support import (
    ACCOUNT,
    ATTEMPT,
    CALL,
    CHILD,
    GATEWAY,
    RECORDING,
    STEP,
    STREAM,
    webhook,
)

VOICE = {
    "AccountSid": ACCOUNT,
    "ApiVersion": "2010-04-01",
    "CallSid": CALL,
    "CallStatus": "ringing",
    "Called": "+14155550100",
    "Caller": "+12125550123",
    "Direction": "inbound",
    "From": "+12125550123",
    "To": "+14155550100",
}
OUTBOUND = VOICE | {"Direction": "outbound-api", "From": "+14155550100", "To": "+12125550123"}
PROGRESS = OUTBOUND | {
    "CallbackSource": "call-progress-events",
    "SequenceNumber": "2",
    "Timestamp": "Wed, 04 Mar 2026 09:15:20 +0000",
}
ENDED = PROGRESS | {
    "SequenceNumber": "3",
    "CallDuration": "37",
    "Duration": "1",
    "SipResponseCode": "200",
    "Timestamp": "Wed, 04 Mar 2026 09:15:57 +0000",
}
CHILD_LEG = ENDED | {"CallSid": CHILD, "ParentCallSid": CALL, "Direction": "outbound-dial"}
AMD = {"CallSid": CALL, "AccountSid": ACCOUNT, "AnsweredBy": "human", "MachineDetectionDuration": "4200"}
RECORDED = {
    "AccountSid": ACCOUNT,
    "CallSid": CALL,
    "RecordingSid": RECORDING,
    "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}",
    "RecordingStatus": "completed",
    "RecordingDuration": "35",
    "RecordingChannels": "2",
    "RecordingStartTime": "Wed, 04 Mar 2026 09:15:20 +0000",
    "RecordingSource": "OutboundAPI",
    "RecordingTrack": "both",
}
STREAMING = {"AccountSid": ACCOUNT, "CallSid": CALL, "StreamSid": STREAM, "StreamEvent": "stream-started"}
AT_20 = datetime(2026, 3, 4, 9, 15, 20, tzinfo=UTC)
AT_57 = datetime(2026, 3, 4, 9, 15, 57, tzinfo=UTC)


def event(hook: Hook, fields: Any, token: str | None = None, query: str = "") -> CallEvent:
    (found,) = read(hook, webhook(fields, token, query))
    return found


def refused(hook: Hook, fields: Any, token: str | None = None, query: str = "") -> RejectionReason:
    with pytest.raises(WebhookRejected) as caught:
        read(hook, webhook(fields, token, query))
    return caught.value.reason


# -- asked what to do -------------------------------------------------------------------------------------------------


def test_an_inbound_call_rings_and_wants_an_instruction() -> None:
    found = event(Hook.ANSWER, VOICE | {"StirVerstat": "TN-Validation-Passed-A"})
    assert found == CallEvent(
        provider="twilio",
        leg_id=CALL,
        name="voice request",
        facts=CallFacts(ringing=True, attestation="A"),
        event_id=f"{CALL}:answer",
        direction=Direction.INBOUND,
        to="+14155550100",
        from_number="+12125550123",
        wants_instruction=True,
        account_ref=ACCOUNT,
        raw=VOICE | {"StirVerstat": "TN-Validation-Passed-A"},
    )


def test_the_answer_of_an_outbound_call_is_tied_to_its_attempt() -> None:
    found = event(Hook.ANSWER, OUTBOUND | {"CallStatus": "in-progress"}, ATTEMPT)
    assert (found.facts, found.direction) == (CallFacts(answered=True), Direction.OUTBOUND)
    assert (found.attempt_token, found.wants_instruction) == (ATTEMPT, True)


@pytest.mark.parametrize(
    ("told", "party"),
    [
        ("+12125550123", "+12125550123"),
        ("12125550123", "+12125550123"),
        ("anonymous", "anonymous"),
        ("", "anonymous"),
        ("Restricted", "anonymous"),
        ("sip:bob@pbx.example.net", "sip:bob@pbx.example.net"),
        ("client:agent_7", "client:agent_7"),
    ],
)
def test_a_caller_is_a_number_an_address_or_anonymous(told: str, party: str) -> None:
    assert event(Hook.ANSWER, VOICE | {"From": told}).from_number == party


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("TN-Validation-Passed-B", "B"),
        ("TN-Validation-Failed-A", "failed"),
        ("TN-Validation-Failed", "failed"),
        ("No-TN-Validation", None),
        ("NULL", None),
        ("TN-Validation-Passed-A-Diverted", None),
        ("TN-Validation-Passed-A-Passthrough", None),
        ("tn-validation-passed-a", None),
    ],
)
def test_only_an_exact_word_is_an_attestation(word: str, level: str | None) -> None:
    assert event(Hook.ANSWER, VOICE | {"StirVerstat": word}).facts.attestation == level


@pytest.mark.parametrize(
    ("told", "outcome", "detail"),
    [
        ({}, StepOutcome.OVER, ""),
        ({"DialCallStatus": "completed"}, StepOutcome.OVER, "completed"),
        ({"DialCallStatus": "answered"}, StepOutcome.OVER, "answered"),
        ({"DialCallStatus": "busy"}, StepOutcome.FAILED, "busy"),
        ({"DialCallStatus": "no-answer"}, StepOutcome.FAILED, "no-answer"),
        ({"DialCallStatus": "failed"}, StepOutcome.FAILED, "failed"),
        ({"DialCallStatus": "canceled"}, StepOutcome.FAILED, "canceled"),
        ({"DialCallStatus": "sideways"}, StepOutcome.OVER, "sideways"),
        ({"StreamSid": STREAM, "StreamError": "31920"}, StepOutcome.FAILED, "31920"),
        ({"RecordingSid": RECORDING, "RecordingDuration": "5", "Digits": ""}, StepOutcome.OVER, ""),
    ],
)
def test_an_action_request_ends_its_step_and_wants_the_next(
    told: dict[str, str], outcome: StepOutcome, detail: str
) -> None:
    found = event(Hook.NEXT, VOICE | {"CallStatus": "in-progress"} | told, STEP)
    assert (found.step, found.step_token) == (StepReport(outcome=outcome, detail=detail), STEP)
    assert (found.wants_instruction, found.attempt_token) == (True, None)
    assert found.event_id == f"{CALL}:next:{STEP}"
    assert found.facts == CallFacts(answered=True)


def test_an_unknown_dial_status_is_kept() -> None:
    found = event(Hook.NEXT, VOICE | {"DialCallStatus": "sideways"}, STEP)
    assert found.unmapped == (UnmappedWord(table="dial_status", word="sideways"),)


def test_a_caller_who_hung_up_during_a_step_wants_nothing_more() -> None:
    found = event(Hook.NEXT, VOICE | {"CallStatus": "completed", "DialCallStatus": "completed"}, STEP)
    assert not found.wants_instruction
    assert resolve(found.facts, Direction.INBOUND).status is CallStatus.COMPLETED


def test_a_fallback_request_wants_an_instruction_and_differs_by_what_failed() -> None:
    failed = VOICE | {"ErrorCode": "11200", "ErrorUrl": f"{GATEWAY}/next/{STEP}"}
    one, again, other = (
        event(Hook.FALLBACK, fields)
        for fields in (failed, failed, failed | {"ErrorUrl": f"{GATEWAY}/answer"})
    )
    assert one.wants_instruction
    assert one.name == "fallback request 11200"
    assert one.event_id == again.event_id != other.event_id
    assert not one.facts.ends


# -- progress ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "facts"),
    [
        ("queued", CallFacts()),
        ("initiated", CallFacts()),
        ("ringing", CallFacts(ringing=True)),
        ("in-progress", CallFacts(answered=True, answered_at=AT_20)),
        ("In-Progress", CallFacts(answered=True, answered_at=AT_20)),
    ],
)
def test_progress_adds_its_fact(status: str, facts: CallFacts) -> None:
    found = event(Hook.STATUS, PROGRESS | {"CallStatus": status}, ATTEMPT)
    assert (found.facts, found.occurred_at, found.attempt_token) == (facts, AT_20, ATTEMPT)
    assert (found.name, found.event_id) == (status.lower(), f"{CALL}:2:{status.lower()}")
    assert (found.wants_instruction, found.step, found.is_child_leg) == (False, None, False)


@pytest.mark.parametrize(
    ("status", "canonical"),
    [
        ("completed", CallStatus.COMPLETED),
        ("busy", CallStatus.BUSY),
        ("no-answer", CallStatus.NO_ANSWER),
        ("failed", CallStatus.FAILED),
        ("canceled", CallStatus.CANCELLED),
    ],
)
def test_a_final_status_ends_the_call(status: str, canonical: CallStatus) -> None:
    found = event(Hook.STATUS, ENDED | {"CallStatus": status}, ATTEMPT)
    assert resolve(found.facts, Direction.OUTBOUND).status is canonical
    assert found.facts.ended_at == AT_57
    (end,) = found.facts.ends
    assert (end.words.status, end.words.sip_code, end.reconciled) == (status, "200", False)


def test_the_duration_is_seconds_and_never_the_billed_minutes() -> None:
    found = event(Hook.STATUS, ENDED | {"CallStatus": "completed"}, ATTEMPT)
    assert found.facts.duration == Duration(seconds=37, authority=Authority.REPORTED)


@pytest.mark.parametrize("duration", ["", "-1", "1e3", "10000000000", "٣", "x"])
def test_a_duration_that_is_none_is_left_out_and_the_end_counts(duration: str) -> None:
    found = event(Hook.STATUS, ENDED | {"CallStatus": "completed", "CallDuration": duration})
    assert found.facts.duration is None
    assert found.facts.ends


@pytest.mark.parametrize("stamp", ["", "yesterday", "Wed, 99 Mar 2026 09:15:20 +0000", "0", "9" * 50])
def test_a_time_that_cannot_be_read_is_no_time_and_the_report_counts(stamp: str) -> None:
    found = event(Hook.STATUS, ENDED | {"CallStatus": "completed", "Timestamp": stamp})
    assert found.occurred_at is None
    assert found.facts.ends


def test_the_final_report_repeats_the_machines_verdict() -> None:
    found = event(Hook.STATUS, ENDED | {"CallStatus": "completed", "AnsweredBy": "machine_start"}, ATTEMPT)
    assert found.facts.answered_by is AnsweredBy.MACHINE
    assert resolve(found.facts, Direction.OUTBOUND).status is CallStatus.VOICEMAIL


def test_an_unknown_status_changes_nothing_and_is_kept() -> None:
    found = event(Hook.STATUS, PROGRESS | {"CallStatus": "exploded" * 50}, ATTEMPT)
    assert found.facts == CallFacts()
    assert found.unmapped == (UnmappedWord(table="call_status", word=("exploded" * 50)[:100]),)


def test_an_error_code_on_a_failure_sharpens_its_cause() -> None:
    fields = ENDED | {
        "CallStatus": "failed",
        "SipResponseCode": "",
        "ErrorCode": "32009",
        "ErrorMessage": "no user",
    }
    (end,) = event(Hook.STATUS, fields).facts.ends
    assert (end.cause, end.words.cause, end.words.text) == (EndCause.UNREACHABLE, "32009", "no user")


def test_the_end_of_an_inbound_call_comes_without_a_token() -> None:
    found = event(Hook.STATUS, ENDED | {"Direction": "inbound", "CallStatus": "completed"})
    assert (found.attempt_token, found.direction) == (None, Direction.INBOUND)


def test_a_second_legs_progress_is_about_the_step_and_never_about_the_call() -> None:
    found = event(Hook.STATUS, CHILD_LEG | {"CallStatus": "in-progress"}, None, f"?step={STEP}")
    assert (found.leg_id, found.other_ids, found.is_child_leg) == (CHILD, (CALL,), True)
    assert (found.facts, found.step_token) == (CallFacts(), STEP)
    assert found.step == StepReport(outcome=StepOutcome.JOINED, detail="in-progress")
    assert event(Hook.STATUS, CHILD_LEG | {"CallStatus": "completed"}).facts == CallFacts()
    assert event(Hook.STATUS, CHILD_LEG | {"CallStatus": "busy"}).step == StepReport(
        outcome=StepOutcome.FAILED, detail="busy"
    )


# -- stream, machine, recording ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("stream-started", StepOutcome.JOINED),
        ("stream-stopped", None),
        ("stream-error", StepOutcome.FAILED),
        ("stream-paused", None),
    ],
)
def test_the_media_sockets_progress_is_about_its_step(word: str, outcome: StepOutcome | None) -> None:
    found = event(Hook.STATUS, STREAMING | {"StreamEvent": word}, ATTEMPT, f"?step={STEP}")
    assert (found.step.outcome if found.step else None) is outcome
    assert (found.step_token, found.attempt_token) == (STEP, ATTEMPT)
    assert (found.event_id, found.name) == (f"{CALL}:{STREAM}:{word}", word)
    assert (found.facts, found.wants_instruction) == (CallFacts(), False)
    assert bool(found.unmapped) is (word == "stream-paused")


def test_a_stream_error_keeps_what_it_says() -> None:
    fields = STREAMING | {"StreamEvent": "stream-error", "StreamError": "31920 - handshake refused"}
    found = event(Hook.STATUS, fields, None, f"?step={STEP}")
    assert found.step == StepReport(outcome=StepOutcome.FAILED, detail="31920 - handshake refused")


@pytest.mark.parametrize(
    ("word", "answered_by", "greeting_over"),
    [
        ("human", AnsweredBy.HUMAN, False),
        ("machine_start", AnsweredBy.MACHINE, False),
        ("machine_end_beep", AnsweredBy.MACHINE, True),
        ("machine_end_silence", AnsweredBy.MACHINE, True),
        ("machine_end_other", AnsweredBy.MACHINE, True),
        ("fax", AnsweredBy.FAX, False),
        ("unknown", AnsweredBy.UNKNOWN, False),
    ],
)
def test_machine_detection_adds_its_verdict(word: str, answered_by: AnsweredBy, greeting_over: bool) -> None:
    found = event(Hook.AMD, AMD | {"AnsweredBy": word}, ATTEMPT)
    assert (found.facts.answered_by, found.facts.greeting_over) == (answered_by, greeting_over)
    assert (found.event_id, found.attempt_token) == (f"{CALL}:amd:{word}", ATTEMPT)
    assert (found.direction, found.to, found.from_number) == (None, None, None)
    assert found == event(Hook.AMD, AMD | {"AnsweredBy": word}, ATTEMPT)


def test_an_unknown_verdict_is_none() -> None:
    found = event(Hook.AMD, AMD | {"AnsweredBy": "parrot"}, ATTEMPT)
    assert found.facts == CallFacts()
    assert found.unmapped == (UnmappedWord(table="answered_by", word="parrot"),)


def test_a_finished_recording_is_a_fact() -> None:
    found = event(Hook.RECORDING, RECORDED, ATTEMPT)
    assert found.facts.recordings == (
        Recording(ref=RECORDING, duration_s=35, channels=2, url=RECORDED["RecordingUrl"]),
    )
    assert (found.event_id, found.attempt_token) == (f"{RECORDING}:completed", ATTEMPT)


def test_a_recorded_message_is_marked_as_one() -> None:
    (recording,) = event(Hook.RECORDING, RECORDED | {"RecordingSource": "RecordVerb"}).facts.recordings
    assert recording.is_message


@pytest.mark.parametrize("status", ["in-progress", "absent", "melted"])
def test_a_recording_that_is_not_ready_is_no_fact(status: str) -> None:
    found = event(Hook.RECORDING, RECORDED | {"RecordingStatus": status})
    assert found.facts == CallFacts()
    assert bool(found.unmapped) is (status == "melted")


# -- what Twilio does not send ----------------------------------------------------------------------------------------

READABLE = [
    (Hook.ANSWER, VOICE),
    (Hook.NEXT, VOICE),
    (Hook.FALLBACK, VOICE),
    (Hook.STATUS, ENDED | {"CallStatus": "completed"}),
    (Hook.STATUS, STREAMING),
    (Hook.AMD, AMD),
    (Hook.RECORDING, RECORDED),
]


@pytest.mark.parametrize(("hook", "fields"), READABLE)
@pytest.mark.parametrize(
    "sid", ["", "CA", CALL + "x", CALL[:-1], "AC" + CALL[2:], CALL + "CallStatuscompleted", CALL + "\n"]
)
def test_a_call_id_of_another_form_is_malformed(hook: Hook, fields: dict[str, str], sid: str) -> None:
    assert refused(hook, fields | {"CallSid": sid}) is RejectionReason.MALFORMED


@pytest.mark.parametrize(("hook", "fields"), READABLE)
def test_an_account_id_of_another_form_is_malformed(hook: Hook, fields: dict[str, str]) -> None:
    assert refused(hook, fields | {"AccountSid": "AC1"}) is RejectionReason.MALFORMED


COUNTING = (
    "CallSid",
    "AccountSid",
    "CallStatus",
    "Direction",
    "To",
    "From",
    "AnsweredBy",
    "RecordingSid",
    "StreamSid",
)


@pytest.mark.parametrize(
    ("hook", "fields", "name"),
    [(hook, fields, name) for hook, fields in READABLE for name in COUNTING if name in fields],
)
def test_a_repeated_field_that_counts_is_malformed(hook: Hook, fields: dict[str, str], name: str) -> None:
    doubled = [*fields.items(), (name, fields[name])]
    assert refused(hook, doubled) is RejectionReason.MALFORMED


@pytest.mark.parametrize(
    ("hook", "fields"),
    [
        (Hook.STATUS, {name: value for name, value in ENDED.items() if name != "CallStatus"}),
        (Hook.STATUS, ENDED | {"CallStatus": "completed", "SequenceNumber": "3;x"}),
        (Hook.STATUS, ENDED | {"CallStatus": "completed", "ParentCallSid": "CA1"}),
        (Hook.STATUS, STREAMING | {"StreamSid": "MZ1"}),
        (Hook.STATUS, STREAMING | {"StreamEvent": ""}),
        (Hook.AMD, AMD | {"AnsweredBy": ""}),
        (Hook.RECORDING, RECORDED | {"RecordingSid": "../x"}),
        (Hook.RECORDING, RECORDED | {"RecordingStatus": ""}),
        (Hook.EVENTS, VOICE),
        (Hook.ANSWER, b""),
        (Hook.ANSWER, b"CallSid=%ff"),
    ],
)
def test_a_request_without_its_fields_is_malformed(hook: Hook, fields: Any) -> None:
    assert refused(hook, fields) is RejectionReason.MALFORMED


@pytest.mark.parametrize(
    "query", ["?step=", "?step=short", f"?step={STEP}&step={STEP}", "?step=%ff", "?step=a/b/c/d/e"]
)
def test_a_step_token_of_another_form_is_malformed(query: str) -> None:
    assert refused(Hook.STATUS, STREAMING, None, query) is RejectionReason.MALFORMED


def test_a_json_body_is_read_like_a_form() -> None:
    fields: dict[str, Any] = AMD | {"MachineDetectionDuration": 4200, "Extra": None}
    request = WebhookRequest(
        method="POST",
        url=f"{GATEWAY}/amd/{ATTEMPT}",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps(fields).encode(),
        token=ATTEMPT,
    )
    (found,) = read(Hook.AMD, request)
    assert found.facts.answered_by is AnsweredBy.HUMAN
    assert found.raw["MachineDetectionDuration"] == "4200"


def test_a_get_is_read_from_its_query() -> None:
    request = webhook(b"", ATTEMPT, f"?CallSid={CALL}&AccountSid={ACCOUNT}&AnsweredBy=fax")
    (found,) = read(Hook.AMD, replace(request, method="GET"))
    assert found.facts.answered_by is AnsweredBy.FAX


def test_unknown_fields_are_kept_raw_and_change_nothing() -> None:
    fields = [*AMD.items(), ("New", "1"), ("New", "2"), ("callsid", "CA1")]
    found = event(Hook.AMD, fields, ATTEMPT)
    assert found.raw["New"] == ["1", "2"]
    assert found.facts == event(Hook.AMD, AMD, ATTEMPT).facts


WORDS = st.sampled_from(
    [*VOICE, *ENDED, *AMD, *RECORDED, *STREAMING, "ParentCallSid", "DialCallStatus", "StirVerstat"]
)
VALUES = st.one_of(
    st.text(max_size=30), st.sampled_from([CALL, ACCOUNT, RECORDING, STREAM, "completed", "inbound"])
)


@given(st.sampled_from(list(Hook)), st.lists(st.tuples(WORDS, VALUES), max_size=12), st.binary(max_size=30))
def test_garbage_is_refused_or_read_and_nothing_else_is_raised(
    hook: Hook, fields: list[tuple[str, str]], tail: bytes
) -> None:
    base = webhook([("CallSid", CALL), *fields])
    for body in (base.body, base.body + tail, tail):
        with suppress(WebhookRejected):
            (found,) = read(hook, replace(base, body=body))
            assert found.leg_id == CALL
            assert found.event_id
            resolve(found.facts, Direction.INBOUND)
