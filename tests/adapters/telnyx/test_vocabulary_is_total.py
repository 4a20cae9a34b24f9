"""Every word that Telnyx documents is in its table, and every word in a table is documented.

The lists are literals copied by hand from the carrier's documents (read 2026-11), so that a table and its test cannot
be wrong together.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest

from gateway.interface import StepOutcome
from gateway.status import (
    AnsweredBy,
    CallFacts,
    CallStatus,
    Direction,
    EndCause,
    EndedBy,
    resolve,
)
from providers.telnyx import instructions, vocabulary
from tests.adapters.telnyx.support import read, spec


def words(text: str) -> list[str]:
    return text.split()


DOCUMENTED: dict[str, tuple[Collection[str], Collection[str]]] = {
    "events": (
        vocabulary.EVENT,
        words(
            """
            call.initiated call.ringing call.answered call.bridged call.hangup call.hold call.unhold
            call.machine.detection.ended call.machine.greeting.ended
            call.machine.premium.detection.started call.machine.premium.detection.ended
            call.machine.premium.greeting.ended call.machine.premium.call_screening.detected
            call.dtmf.received call.recording.saved call.recording.error
            call.recording.transcription.saved streaming.started streaming.stopped streaming.failed
            call.cost call.speak.started call.speak.ended call.playback.started call.playback.ended
            call.gather.ended call.refer.started call.refer.completed call.refer.failed call.enqueued
            call.dequeued call.left_queue call.fork.started call.fork.stopped call.transcription
            """
        ),
    ),
    "direction": (vocabulary.DIRECTION, ["incoming", "outgoing"]),
    "hangup_cause": (
        vocabulary.END_BY_HANGUP_CAUSE,
        words(
            """
            normal_clearing originator_cancel timeout no_answer time_limit user_busy call_rejected
            not_found unspecified
            """
        ),
    ),
    "hangup_source": (vocabulary.ENDED_BY, ["caller", "callee", "unknown", "system"]),
    "detection": (vocabulary.MACHINE["call.machine.detection.ended"], ["human", "machine", "not_sure"]),
    "greeting": (vocabulary.MACHINE["call.machine.greeting.ended"], ["beep_detected", "ended", "not_sure"]),
    "premium detection": (
        vocabulary.MACHINE["call.machine.premium.detection.ended"],
        ["human_residence", "human_business", "machine", "silence", "fax_detected", "not_sure"],
    ),
    "premium greeting": (
        vocabulary.MACHINE["call.machine.premium.greeting.ended"],
        ["beep_detected", "no_beep_detected", "prompt_ended"],
    ),
    "screening": (vocabulary.MACHINE["call.machine.premium.call_screening.detected"], ["screening"]),
    "speak status": (vocabulary.SPEAK_STATUS, ["completed", "call_hangup", "cancelled_amd"]),
    "stream events": (
        vocabulary.STREAM_EVENT,
        ["streaming.started", "streaming.stopped", "streaming.failed"],
    ),
    "channels": (vocabulary.CHANNELS, ["single", "dual"]),
    "cost status": (vocabulary.COST_STATUS, ["success", "error"]),
    "attestation": (vocabulary.ATTESTATION, ["A", "B", "C"]),
    "sip codes": (
        vocabulary.END_BY_SIP_CODE,
        words(
            """
            200 486 600 603 607 608 408 480 487 404 410 484 485 604 401 402 403 405 407 488 606 16 17
            18 19 20 21 1 3 28 31 34 38 41 42 127
            """
        ),
    ),
    "D codes": (
        vocabulary.END_BY_DIAL_CODE,
        words(
            """
            D1 D10 D2 D3 D22 D4 D5 D56 P05 P15 PE1 PE2 PE3 PE4 PE5 PE6 TV1 D11 D14 D50 D59 D35 D36 D46
            D49 D51 D53 D63 D64 D12 D13 D15 D16 D18 D24 D38 D7 D44 D57 D30 D31 D21 D48 RG1 TM1 D25 D26
            D29 D17 D19 D39 D9 D60 D61 D65 D37 D41 D54 D58 D52 D40
            """
        ),
    ),
    "error codes of a dial": (
        vocabulary.END_BY_ERROR_CODE,
        words(
            """
            10009 10005 10010 10015 10028 90040 10016 10004 10032 10033 90017 90028 90029 90041 90042
            90043 90103 10038 10039 10011 20002 20003
            """
        ),
    ),
}


@pytest.mark.parametrize("table", DOCUMENTED)
def test_table_and_documents_have_the_same_words(table: str) -> None:
    known, documented = DOCUMENTED[table]
    assert len(documented) == len(set(documented))
    assert set(known) == set(documented)


def test_every_event_with_a_machine_result_has_its_words() -> None:
    machine = {name for name, kind in vocabulary.EVENT.items() if kind is vocabulary.Kind.MACHINE}
    assert machine == set(vocabulary.MACHINE)


def test_every_event_of_the_openapi_document_is_known_with_its_words() -> None:
    document = json.dumps(spec()["webhooks"]) + json.dumps(spec()["components"]["schemas"])
    found = {word for word in vocabulary.EVENT if f'"{word}"' in document}
    assert {"call.initiated", "call.hangup", "streaming.failed", "call.cost"} <= found
    for name, schema in spec()["components"]["schemas"].items():
        enum = schema.get("properties", {}).get("event_type", {}).get("enum", [])
        for word in enum:
            if word.startswith(("call.", "streaming.")):
                assert word in vocabulary.EVENT, (name, word)


def test_every_language_that_can_be_spoken_has_a_voice() -> None:
    enum = spec()["components"]["schemas"]["SpeakRequest"]["properties"]["language"]["enum"]
    assert set(instructions.VOICES) == set(enum)
    assert next(iter(instructions.VOICES)) == "en-US"


# -- how calls end -----------------------------------------------------------------------------------------------------

S = CallStatus
# (answered, hangup_cause, sip_hangup_cause) -> (status, cause): the whole table for outbound calls.
OUTBOUND_ENDS = [
    *[
        (True, cause, sip, S.COMPLETED, None)
        for cause in vocabulary.END_BY_HANGUP_CAUSE
        for sip in ("200", "487", "486", "503", "404", "unspecified", "")
    ],
    (False, "time_limit", "unspecified", S.COMPLETED, EndCause.MAX_DURATION),
    (False, "normal_clearing", "200", S.COMPLETED, EndCause.HUNG_UP),
    (False, "timeout", "487", S.NO_ANSWER, EndCause.NO_ANSWER),
    (False, "no_answer", "unspecified", S.NO_ANSWER, EndCause.NO_ANSWER),
    (False, "user_busy", "486", S.BUSY, EndCause.BUSY),
    *[(False, "call_rejected", sip, S.BUSY, EndCause.BUSY) for sip in ("486", "600")],
    *[(False, "call_rejected", sip, S.BUSY, EndCause.DECLINED) for sip in ("603", "607", "608")],
    *[(False, "call_rejected", sip, S.NO_ANSWER, EndCause.NO_ANSWER) for sip in ("480", "408")],
    *[(False, "call_rejected", sip, S.FAILED, EndCause.NOT_PERMITTED) for sip in ("401", "403", "407")],
    *[
        (False, "call_rejected", sip, S.FAILED, EndCause.CARRIER_ERROR)
        for sip in ("500", "503", "599", "unspecified", "", "487", "999")
    ],
    (False, "not_found", "404", S.FAILED, EndCause.INVALID_NUMBER),
    (False, "originator_cancel", "487", S.CANCELLED, EndCause.CANCELLED),
    (False, "normal_clearing", "487", S.CANCELLED, EndCause.CANCELLED),
    (False, "normal_clearing", "486", S.BUSY, EndCause.BUSY),
    (False, "normal_clearing", "480", S.NO_ANSWER, EndCause.NO_ANSWER),
    *[(False, "normal_clearing", sip, S.NO_ANSWER, EndCause.NO_ANSWER) for sip in ("16", "unspecified", "")],
    *[(False, "unspecified", sip, S.BUSY, EndCause.BUSY) for sip in ("486", "600", "17")],
    *[(False, "unspecified", sip, S.BUSY, EndCause.DECLINED) for sip in ("603", "607", "608", "21")],
    *[
        (False, "unspecified", sip, S.NO_ANSWER, EndCause.NO_ANSWER)
        for sip in ("408", "480", "18", "19", "20", "16")
    ],
    (False, "unspecified", "487", S.CANCELLED, EndCause.CANCELLED),
    *[
        (False, "unspecified", sip, S.FAILED, EndCause.INVALID_NUMBER)
        for sip in ("404", "410", "484", "485", "604", "1", "3", "28")
    ],
    *[
        (False, "unspecified", sip, S.FAILED, EndCause.NOT_PERMITTED)
        for sip in ("401", "402", "403", "405", "407")
    ],
    *[(False, "unspecified", sip, S.FAILED, EndCause.MEDIA_ERROR) for sip in ("488", "606")],
    *[
        (False, "unspecified", sip, S.FAILED, EndCause.CARRIER_ERROR)
        for sip in ("413", "483", "500", "599", "31", "34", "38", "41", "42", "127")
    ],
    *[
        (False, "unspecified", sip, S.FAILED, EndCause.UNKNOWN)
        for sip in ("unspecified", "", "491", "700", "abc")
    ],
    (False, "a_word_of_tomorrow", "486", S.BUSY, EndCause.BUSY),
    (False, "a_word_of_tomorrow", "", S.FAILED, EndCause.UNKNOWN),
    (False, "USER_BUSY", "486", S.BUSY, EndCause.BUSY),
    (False, "TIMEOUT", "", S.NO_ANSWER, EndCause.NO_ANSWER),
]


@pytest.mark.parametrize(("answered", "cause", "sip", "status", "why"), OUTBOUND_ENDS)
def test_an_outbound_call_ends_like_this(
    answered: bool, cause: str, sip: str, status: CallStatus, why: EndCause | None
) -> None:
    event = read("call.hangup", hangup_cause=cause, hangup_source="unknown", sip_hangup_cause=sip)
    found = resolve(CallFacts(answered=answered).merge(event.facts), Direction.OUTBOUND)
    assert found.status is status
    assert found.end_reason is not None
    assert why is None or found.end_reason.why is why
    assert (found.end_reason.carrier.cause, found.end_reason.carrier.sip_code) == (cause, sip)


@pytest.mark.parametrize(
    ("answered", "cause", "source", "status", "why"),
    [
        (True, "normal_clearing", "caller", S.COMPLETED, EndCause.HUNG_UP),
        (True, "time_limit", "unknown", S.COMPLETED, EndCause.MAX_DURATION),
        (False, "originator_cancel", "caller", S.CANCELLED, EndCause.ABANDONED),
        (False, "timeout", "unknown", S.NO_ANSWER, EndCause.NO_ANSWER),
        (False, "call_rejected", "unknown", S.FAILED, EndCause.CARRIER_ERROR),
    ],
)
def test_an_inbound_call_ends_like_this(
    answered: bool, cause: str, source: str, status: CallStatus, why: EndCause
) -> None:
    event = read("call.hangup", hangup_cause=cause, hangup_source=source, sip_hangup_cause="unspecified")
    found = resolve(CallFacts(answered=answered).merge(event.facts), Direction.INBOUND)
    assert found.status is status
    assert found.end_reason is not None
    assert found.end_reason.why is why


@pytest.mark.parametrize(
    ("code", "why"),
    [("D38", EndCause.NOT_PERMITTED), ("D1", EndCause.CAPACITY), ("D51", EndCause.CALLER_ID_REFUSED)],
)
def test_the_platforms_own_code_explains_a_refused_leg(code: str, why: EndCause) -> None:
    event = read(
        "call.hangup",
        hangup_cause="call_rejected",
        hangup_source="unknown",
        sip_hangup_cause="403",
        telnyx_error={"error_code": code},
    )
    (end,) = event.facts.ends
    assert (end.cause, end.words.text) == (why, code)


@pytest.mark.parametrize(
    ("cause", "source", "who"),
    [
        ("normal_clearing", "caller", EndedBy.CALLER),
        ("normal_clearing", "callee", EndedBy.CALLEE),
        ("normal_clearing", "unknown", EndedBy.UNKNOWN),
        ("time_limit", "system", EndedBy.CARRIER),
        ("user_busy", "unknown", EndedBy.CALLEE),
        ("timeout", "", EndedBy.CARRIER),
        ("normal_clearing", "somebody", EndedBy.UNKNOWN),
    ],
)
def test_the_carrier_says_who_ended_it(cause: str, source: str, who: EndedBy) -> None:
    event = read("call.hangup", hangup_cause=cause, hangup_source=source, sip_hangup_cause="unspecified")
    assert event.facts.ends[0].ended_by is who


@pytest.mark.parametrize(
    ("event_type", "word", "answered_by", "status"),
    [
        ("call.machine.detection.ended", "human", AnsweredBy.HUMAN, S.COMPLETED),
        ("call.machine.detection.ended", "not_sure", AnsweredBy.UNKNOWN, S.COMPLETED),
        ("call.machine.detection.ended", "machine", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.greeting.ended", "ended", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.greeting.ended", "beep_detected", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.greeting.ended", "not_sure", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.premium.detection.ended", "human_residence", AnsweredBy.HUMAN, S.COMPLETED),
        ("call.machine.premium.detection.ended", "human_business", AnsweredBy.HUMAN, S.COMPLETED),
        ("call.machine.premium.detection.ended", "machine", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.premium.detection.ended", "silence", AnsweredBy.UNKNOWN, S.COMPLETED),
        ("call.machine.premium.detection.ended", "not_sure", AnsweredBy.UNKNOWN, S.COMPLETED),
        ("call.machine.premium.detection.ended", "fax_detected", AnsweredBy.FAX, S.COMPLETED),
        ("call.machine.premium.greeting.ended", "beep_detected", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.premium.greeting.ended", "no_beep_detected", AnsweredBy.MACHINE, S.VOICEMAIL),
        ("call.machine.premium.greeting.ended", "prompt_ended", AnsweredBy.UNKNOWN, S.COMPLETED),
        ("call.machine.premium.call_screening.detected", "screening", AnsweredBy.UNKNOWN, S.COMPLETED),
    ],
)
def test_a_machine_result_means_this(
    event_type: str, word: str, answered_by: AnsweredBy, status: CallStatus
) -> None:
    event = read(event_type, result=word)
    end = read("call.hangup", hangup_cause="normal_clearing", hangup_source="callee", sip_hangup_cause="200")
    facts = event.facts.merge(end.facts)
    assert facts.answered_by is answered_by
    assert facts.answered, "detection starts at the answer"
    assert resolve(facts, Direction.OUTBOUND).status is status
    assert event.unmapped == ()


def test_a_beep_after_a_person_was_heard_makes_no_voicemail() -> None:
    person = read("call.machine.premium.detection.ended", result="human_residence")
    beep = read("call.machine.premium.greeting.ended", result="beep_detected")
    assert person.facts.merge(beep.facts).answered_by is AnsweredBy.HUMAN


def test_only_the_end_of_a_greeting_lets_a_message_begin() -> None:
    over = {
        (event_type, word)
        for event_type, words in vocabulary.MACHINE.items()
        for word in words
        if read(event_type, result=word).facts.greeting_over
    }
    assert over == {
        ("call.machine.greeting.ended", "beep_detected"),
        ("call.machine.greeting.ended", "ended"),
        ("call.machine.greeting.ended", "not_sure"),
        ("call.machine.premium.greeting.ended", "beep_detected"),
        ("call.machine.premium.greeting.ended", "no_beep_detected"),
    }


def test_every_step_word_is_a_report() -> None:
    assert set(vocabulary.SPEAK_STATUS.values()) == {StepOutcome.OVER, StepOutcome.FAILED}
    assert set(vocabulary.STREAM_EVENT.values()) == set(StepOutcome)
