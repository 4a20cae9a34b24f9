"""The words are copied by hand from Twilio's pages; the tables must hold them all and nothing else."""

from __future__ import annotations

import pytest

from gateway.interface import StepOutcome
from gateway.status import AnsweredBy, CallFacts, CallStatus, Direction, EndCause, EndedBy, resolve
from providers.twilio import vocabulary as words

CALL_STATUS = "queued initiated ringing in-progress completed busy failed no-answer canceled"
ANSWERED_BY = "human machine_start machine_end_beep machine_end_silence machine_end_other fax unknown"
DIRECTIONS = "inbound outbound-api outbound-dial trunking-originating trunking-terminating"
DIAL_STATUS = "completed answered busy no-answer failed canceled"
STREAM_EVENTS = "stream-started stream-stopped stream-error"
RECORDING_STATUS = "in-progress completed absent"
RECORDING_SOURCES = (
    "OutboundAPI DialVerb RecordVerb Conference Trunking StartCallRecordingAPI StartConferenceRecordingAPI"
)
STIR_VERSTAT = (
    "TN-Validation-Passed-A TN-Validation-Passed-B TN-Validation-Passed-C TN-Validation-Failed-A "
    "TN-Validation-Failed-B TN-Validation-Failed-C TN-Validation-Failed No-TN-Validation NULL "
    "TN-Validation-Passed-A-Diverted TN-Validation-Passed-B-Diverted TN-Validation-Passed-C-Diverted "
    "TN-Validation-Failed-A-Diverted TN-Validation-Failed-B-Diverted TN-Validation-Failed-C-Diverted "
    "TN-Validation-Failed-Diverted "
    "TN-Validation-Passed-A-Passthrough TN-Validation-Passed-B-Passthrough TN-Validation-Passed-C-Passthrough "
    "TN-Validation-Failed-A-Passthrough TN-Validation-Failed-B-Passthrough TN-Validation-Failed-C-Passthrough "
    "TN-Validation-Failed-Passthrough"
)
SIP_CODES = "200 401 403 404 407 408 410 415 480 484 486 487 488 600 603 604 607 608"
ERRORS_OF_A_DIAL = (
    "10001 10002 10004 20001 20003 20005 20006 20010 20403 20404 20409 20422 21201 21203 21205 21206 21208 21209 "
    "21210 21211 21212 21213 21214 21215 21216 21217 21218 21219 21220 21221 21222 21223 21224 21225 21226 21227 "
    "21228 21229 21234 13214 13223 13224 13225 13226 13227 13247"
)
ERRORS_OF_A_CALL = (
    "11200 11205 11206 11210 11215 11220 11235 11236 11237 11750 12100 12200 12300 32009 32010 32011 32014 32015 "
    "32016 32017 32018 32100 32201 32202 32205 32400 32401 34002"
)


@pytest.mark.parametrize(
    ("documented", "table"),
    [
        (CALL_STATUS, words.CALL_STATUS),
        (CALL_STATUS, words.CHILD_STATUS),
        (ANSWERED_BY, words.ANSWERED_BY),
        (DIRECTIONS, words.DIRECTION),
        (DIAL_STATUS, words.DIAL_STATUS),
        (STREAM_EVENTS, words.STREAM_EVENT),
        (RECORDING_STATUS, words.RECORDING_IS_READY),
        (RECORDING_SOURCES, words.RECORDING_IS_MESSAGE),
        (STIR_VERSTAT, words.ATTESTATION),
        ("A B C null", words.STIR_STATUS),
        (ERRORS_OF_A_DIAL + " " + ERRORS_OF_A_CALL, words.END_BY_ERROR_CODE),
        (SIP_CODES + " " + " ".join(str(code) for code in range(500, 600)), words.END_BY_SIP_CODE),
        ("active suspended closed", words.ACCOUNT_STATUS),
    ],
)
def test_each_documented_word_is_in_its_table_and_each_key_is_documented(
    documented: str, table: dict[str, object]
) -> None:
    assert set(table) == set(documented.split())


def status_of(status: str, **more: str) -> CallStatus:
    end = words.end_report(status, **more)
    assert end is not None
    return resolve(CallFacts(ends=(end,)), Direction.OUTBOUND).status


@pytest.mark.parametrize(
    ("word", "canonical"),
    [
        ("completed", CallStatus.COMPLETED),
        ("busy", CallStatus.BUSY),
        ("no-answer", CallStatus.NO_ANSWER),
        ("failed", CallStatus.FAILED),
        ("canceled", CallStatus.CANCELLED),
    ],
)
@pytest.mark.parametrize("sip_code", ["", *SIP_CODES.split(), "503", "999"])
@pytest.mark.parametrize("error_code", ["", "11200", "21215", "32009", "32015", "34002", "1"])
def test_no_sip_or_error_code_overrides_the_status_of_twilio(
    word: str, canonical: CallStatus, sip_code: str, error_code: str
) -> None:
    assert status_of(word, sip_code=sip_code, error_code=error_code) is canonical


@pytest.mark.parametrize(
    ("status", "sip_code", "cause"),
    [
        ("failed", "", EndCause.CARRIER_ERROR),
        ("failed", "404", EndCause.INVALID_NUMBER),
        ("failed", "484", EndCause.INVALID_NUMBER),
        ("failed", "604", EndCause.INVALID_NUMBER),
        ("failed", "410", EndCause.INVALID_NUMBER),
        ("failed", "401", EndCause.NOT_PERMITTED),
        ("failed", "403", EndCause.NOT_PERMITTED),
        ("failed", "407", EndCause.NOT_PERMITTED),
        ("failed", "488", EndCause.MEDIA_ERROR),
        ("failed", "415", EndCause.MEDIA_ERROR),
        ("failed", "503", EndCause.CARRIER_ERROR),
        ("failed", "607", EndCause.BLOCKED),
        ("failed", "608", EndCause.BLOCKED),
        ("failed", "480", EndCause.UNREACHABLE),
        ("busy", "486", EndCause.BUSY),
        ("busy", "600", EndCause.BUSY),
        ("busy", "603", EndCause.DECLINED),
        ("no-answer", "487", EndCause.NO_ANSWER),
        ("no-answer", "480", EndCause.NO_ANSWER),
        ("no-answer", "408", EndCause.NO_ANSWER),
        ("completed", "200", EndCause.HUNG_UP),
        ("canceled", "487", EndCause.CANCELLED),
    ],
)
def test_a_sip_code_says_why_within_the_status(status: str, sip_code: str, cause: EndCause) -> None:
    end = words.end_report(status, sip_code=sip_code)
    assert end is not None
    assert (end.cause, end.words.status, end.words.sip_code) == (cause, status, sip_code)


def test_an_error_code_goes_before_a_sip_code() -> None:
    end = words.end_report("failed", sip_code="403", error_code="32017", error_text="Blocked by carrier")
    assert end is not None
    assert (end.cause, end.words.cause, end.words.text) == (EndCause.BLOCKED, "32017", "Blocked by carrier")


@pytest.mark.parametrize(
    ("status", "direction", "ended_by"),
    [
        ("busy", Direction.OUTBOUND, EndedBy.CALLEE),
        ("no-answer", Direction.OUTBOUND, EndedBy.CALLEE),
        ("failed", Direction.OUTBOUND, EndedBy.CARRIER),
        ("canceled", Direction.OUTBOUND, EndedBy.US),
        ("completed", Direction.OUTBOUND, EndedBy.UNKNOWN),
        ("canceled", Direction.INBOUND, EndedBy.CALLER),
        ("completed", Direction.INBOUND, EndedBy.UNKNOWN),
        ("no-answer", Direction.INBOUND, EndedBy.UNKNOWN),
    ],
)
def test_who_ended_a_call_is_told_only_where_the_word_tells_it(
    status: str, direction: Direction, ended_by: EndedBy
) -> None:
    end = words.end_report(status, direction=direction)
    assert end is not None
    assert end.ended_by is ended_by


def test_a_live_or_unknown_status_is_no_end() -> None:
    assert [words.end_report(word) for word in ("queued", "ringing", "in-progress", "", "exploded")] == [
        None
    ] * 5


def test_only_a_machine_that_finished_its_greeting_may_be_spoken_to() -> None:
    machines = {word for word, meaning in words.ANSWERED_BY.items() if meaning is AnsweredBy.MACHINE}
    assert machines - words.GREETING_IS_OVER == {"machine_start"}
    assert machines > words.GREETING_IS_OVER


def test_only_the_exact_full_attestation_is_level_a() -> None:
    assert [word for word, level in words.ATTESTATION.items() if level == "A"] == ["TN-Validation-Passed-A"]


def test_a_refusal_with_an_unknown_code_is_explained_by_its_http_status() -> None:
    assert words.refused_cause("21210") is EndCause.CALLER_ID_REFUSED
    assert words.refused_cause("99999") is None


def test_a_dial_step_fails_unless_the_second_leg_answered() -> None:
    over = {word for word, outcome in words.DIAL_STATUS.items() if outcome is StepOutcome.OVER}
    assert over == {"completed", "answered"}
