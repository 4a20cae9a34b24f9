"""The words are copied by hand from Plivo's pages; the tables must hold them all and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from gateway.interface import StepOutcome
from gateway.status import CallFacts, CallStatus, Direction, EndCause, EndedBy, resolve
from providers.plivo import instructions
from providers.plivo import vocabulary as words

CODES = (
    "0 1000 1010 1020 2000 2010 2020 2030 2040 2050 2060 2070 3000 3010 3020 3030 3040 3050 3070 3080 3090 3100 3110 "
    "3120 3130 3140 4000 4010 4020 4030 4210 4240 4250 5000 5010 5020 5030 6000 6010 6020 7011 7012 7013 7014 7022 "
    "7023 7024 7032 7033 7034 8011 8012 8013 8014 9000 9100 9110"
)
CAUSES = (
    "NORMAL_CLEARING USER_BUSY CALL_REJECTED NO_ANSWER NO_USER_RESPONSE SUBSCRIBER_ABSENT ORIGINATOR_CANCEL "
    "UNALLOCATED_NUMBER INVALID_NUMBER_FORMAT NO_ROUTE_DESTINATION NETWORK_OUT_OF_ORDER SERVICE_UNAVAILABLE "
    "RECOVERY_ON_TIMER_EXPIRE BEARERCAPABILITY_NOTAVAIL NORMAL_TEMPORARY_FAILURE DESTINATION_OUT_OF_ORDER "
    "INCOMPATIBLE_DESTINATION ALLOTTED_TIMEOUT MEDIA_TIMEOUT LOSE_RACE"
)
CALL_STATUS = "queued ringing in-progress completed busy failed timeout no-answer cancel"
SOURCES = "Caller|Call recipient|Callee|Plivo|Carrier|API Request|Answer XML|Error|Unknown"
EVENTS = "StartApp Ring Hangup MachineDetection"
STREAM_EVENTS = "StartStream StopStream DroppedStream DegradedStream started stopped failed"
STREAM_REASONS = "completed connection_failed authentication_failed invalid_content_type buffer_overflow"
DIAL_STATUS = "completed busy failed cancel timeout no-answer"
DIAL_ACTIONS = "answer connected hangup digits"
VERIFICATIONS = "Verified|Not Verified|Not Applicable"
LANGUAGES = "da-DK nl-NL en-AU en-GB en-US fr-FR fr-CA de-DE it-IT pl-PL pt-PT pt-BR ru-RU es-ES es-US sv-SE"


TABLES: dict[str, tuple[Iterable[object], Collection[object]]] = {
    "hangup codes": (CODES.split(), words.END_BY_HANGUP_CODE),
    "hangup causes": (CAUSES.split(), words.END_BY_HANGUP_CAUSE),
    "call status": (CALL_STATUS.split(), words.CALL_STATUS),
    "hangup sources": (SOURCES.split("|"), words.ENDED_BY),
    "events": (EVENTS.split(), words.EVENT),
    "machine": (["true", "machine_detection"], words.MACHINE),
    "if machine": (["continue", "hangup"], words.IF_MACHINE),
    "stream events": (STREAM_EVENTS.split(), words.STREAM_EVENT),
    "stream reasons": (STREAM_REASONS.split(), words.STREAM_REASON),
    "dial status": (DIAL_STATUS.split(), words.DIAL_STATUS),
    "dial actions": (DIAL_ACTIONS.split(), words.DIAL_ACTION),
    "directions": (["inbound", "outbound"], words.DIRECTION),
    "attestation": (["A", "B", "C"], words.ATTESTATION),
    "verification": (VERIFICATIONS.split("|"), words.VERIFICATION),
    "languages": (LANGUAGES.split(), instructions.LANGUAGES),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_exactly_the_documented_words(name: str) -> None:
    documented, table = TABLES[name]
    assert sorted(map(str, documented)) == sorted(map(str, table))


def rows(text: str) -> list[tuple[str, str, str]]:
    """Return the triples of a table written as text: a word, the status unanswered, the status answered."""
    cells = text.split()
    return list(zip(cells[::3], cells[1::3], cells[2::3], strict=True))


# The canonical status of an outbound call by its hangup code: not answered, answered. "-": cannot be.
STATUS_BY_CODE = rows("""
    0 failed completed      1000 cancelled completed   1010 failed completed   1020 failed -
    2000 failed -           2010 failed -              2020 failed -           2030 failed -
    2040 failed -           2050 failed -              2060 failed -           2070 failed -
    3000 no_answer -        3010 busy -                3020 busy -             3030 failed -
    3040 failed -           3050 failed -              3070 failed -           3080 failed -
    3090 failed -           3100 busy -                3110 busy -             3120 failed -
    3130 failed -           3140 failed -              4000 no_answer completed
    4010 failed completed   4020 - completed           4030 - completed        4210 failed -
    4240 failed -           4250 failed -              5000 failed completed   5010 failed completed
    5020 failed completed   5030 failed -              6000 no_answer completed
    6010 no_answer -        6020 failed completed      7011 failed failed      7012 failed failed
    7013 failed failed      7014 failed failed         7022 failed failed      7023 failed failed
    7024 failed failed      7032 failed failed         7033 failed failed      7034 failed failed
    8011 failed failed      8012 failed failed         8013 failed failed      8014 failed failed
    9000 cancelled -        9100 - voicemail           9110 no_answer -
""")


@pytest.mark.parametrize(("code", "unanswered", "answered"), STATUS_BY_CODE)
def test_a_code_gives_the_status_of_the_sheet(code: str, unanswered: str, answered: str) -> None:
    for expected, is_answered in ((unanswered, False), (answered, True)):
        if expected == "-":
            continue
        end, strange = words.end_report(code=code, is_answered=is_answered)
        facts = CallFacts(answered=is_answered, ends=(end,))
        assert resolve(facts, Direction.OUTBOUND).status == CallStatus(expected), (code, is_answered)
        assert strange == ()


def test_every_code_has_a_case() -> None:
    assert [case[0] for case in STATUS_BY_CODE] == CODES.split()


STATUS_BY_CAUSE = rows("""
    NORMAL_CLEARING no_answer completed        USER_BUSY busy -                     CALL_REJECTED busy -
    NO_ANSWER no_answer -                      NO_USER_RESPONSE no_answer -         SUBSCRIBER_ABSENT no_answer -
    ORIGINATOR_CANCEL cancelled -              UNALLOCATED_NUMBER failed -          INVALID_NUMBER_FORMAT failed -
    NO_ROUTE_DESTINATION failed -              NETWORK_OUT_OF_ORDER failed -        SERVICE_UNAVAILABLE failed -
    RECOVERY_ON_TIMER_EXPIRE failed -          BEARERCAPABILITY_NOTAVAIL failed -   NORMAL_TEMPORARY_FAILURE failed -
    DESTINATION_OUT_OF_ORDER failed -          INCOMPATIBLE_DESTINATION failed -    ALLOTTED_TIMEOUT failed completed
    MEDIA_TIMEOUT failed completed             LOSE_RACE cancelled -
""")


def test_every_raw_cause_has_a_case() -> None:
    assert sorted(case[0] for case in STATUS_BY_CAUSE) == sorted(CAUSES.split())


@pytest.mark.parametrize(("cause", "unanswered", "answered"), STATUS_BY_CAUSE)
def test_a_raw_cause_counts_when_there_is_no_code(cause: str, unanswered: str, answered: str) -> None:
    for expected, is_answered in ((unanswered, False), (answered, True)):
        if expected != "-":
            end, _ = words.end_report(cause=cause, is_answered=is_answered)
            facts = CallFacts(answered=is_answered, ends=(end,))
            assert resolve(facts, Direction.OUTBOUND).status == CallStatus(expected)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"code": "4000", "source": "Caller"}, CallStatus.CANCELLED),
        ({"code": "4000", "source": "API Request"}, CallStatus.CANCELLED),
        ({"code": "4000", "source": "Callee"}, CallStatus.NO_ANSWER),
        ({"cause": "NORMAL_CLEARING", "source": "API Request"}, CallStatus.CANCELLED),
        ({"status": "completed", "source": "API Request"}, CallStatus.CANCELLED),
        ({"status": "completed"}, CallStatus.FAILED),
        ({"status": "busy"}, CallStatus.BUSY),
        ({"status": "no-answer"}, CallStatus.NO_ANSWER),
        ({"status": "timeout"}, CallStatus.NO_ANSWER),
        ({"status": "cancel"}, CallStatus.CANCELLED),
        ({"status": "failed"}, CallStatus.FAILED),
        ({"status": "timeout", "code": "3070"}, CallStatus.FAILED),
        ({"status": "busy", "code": "3000", "cause": "USER_BUSY"}, CallStatus.NO_ANSWER),
        ({"status": "completed", "cause": "USER_BUSY"}, CallStatus.BUSY),
        ({}, CallStatus.FAILED),
    ],
)
def test_an_unanswered_outbound_call_ends_by_code_then_cause_then_status_then_source(
    said: dict[str, str], status: CallStatus
) -> None:
    end, strange = words.end_report(**said)  # type: ignore[arg-type]
    assert resolve(CallFacts(ends=(end,)), Direction.OUTBOUND).status is status
    assert strange == ()


def test_our_own_refusal_of_an_inbound_call_is_no_busy_line() -> None:
    for code in ("3010", "3020"):
        end, _ = words.end_report(code=code, source="Answer XML")
        resolution = resolve(CallFacts(ringing=True, ends=(end,)), Direction.INBOUND)
        assert resolution.status is CallStatus.CANCELLED
        assert (end.cause, end.ended_by) == (EndCause.REJECTED, EndedBy.US)


def test_what_plivo_bills_by_outweighs_what_a_code_implies() -> None:
    end, _ = words.end_report(code="3000", is_answered=True)
    assert resolve(CallFacts(ends=(end,)), Direction.OUTBOUND).status is CallStatus.COMPLETED


def test_an_unknown_code_is_reported_and_the_cause_decides() -> None:
    end, strange = words.end_report(code="3999", cause="USER_BUSY", source="Callee")
    assert (end.cause, end.words.cause) == (EndCause.BUSY, "3999")
    assert [(each.table, each.word) for each in strange] == [("hangup_cause_code", "3999")]


def test_an_end_in_unknown_words_is_still_an_end() -> None:
    end, strange = words.end_report(code="x" * 300, cause="NEW_CAUSE", status="gone", source="Somebody")
    assert (end.cause, end.ended_by, end.proves_answered) == (EndCause.UNKNOWN, EndedBy.UNKNOWN, None)
    assert {each.table for each in strange} == {
        "hangup_cause_code",
        "hangup_cause",
        "call_status",
        "hangup_source",
    }
    assert max(len(each.word) for each in strange) == 100


@pytest.mark.parametrize(
    ("event", "reason", "outcome"),
    [
        ("StartStream", "", StepOutcome.JOINED),
        ("started", "", StepOutcome.JOINED),
        ("StopStream", "", None),
        ("stopped", "completed", None),
        ("stopped", "connection_failed", StepOutcome.FAILED),
        ("DroppedStream", "connection_failed", StepOutcome.FAILED),
        ("failed", "authentication_failed", StepOutcome.FAILED),
        ("DegradedStream", "buffer_overflow", None),
        ("something", "new", None),
    ],
)
def test_both_published_schemes_of_stream_reports_are_understood(
    event: str, reason: str, outcome: StepOutcome | None
) -> None:
    assert words.stream_outcome(event, reason) is outcome


@pytest.mark.parametrize(
    ("level", "verification", "expected"),
    [
        ("A", "", "A"),
        ("C", "Not Verified", "C"),
        ("", "Verified", "A"),
        ("", "Not Verified", None),
        ("Z", "?", None),
    ],
)
def test_an_attestation_level_is_told_or_is_none(level: str, verification: str, expected: str | None) -> None:
    assert words.attestation_of(level, verification) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("from parameter is invalid. 1 is not associated with your account.", EndCause.CALLER_ID_REFUSED),
        ("Your account has reached its limit of concurrent calls", EndCause.CAPACITY),
        ("answer_url parameter is missing", None),
        ("", None),
    ],
)
def test_a_known_fragment_of_an_error_text_sharpens_the_cause(text: str, cause: EndCause | None) -> None:
    assert words.refused_cause(text) is cause
