"""Telnyx's words and what they mean here: one table a word list, its source above it. Pure.

Every documented word is in its table (a test holds a second, hand-copied list against it). A word in no table is kept
raw, reported as `UnmappedWord`, and changes nothing (R39); only an end stays an end, with the cause `UNKNOWN`.

Source of all of them, read 2026-11: the OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, file
`openapi/spec3.yml`), the voice documentation (https://developers.telnyx.com/docs/voice), its error pages
(https://developers.telnyx.com/docs/overview/errors) and the source of the official Python SDK 4.189.0, which knows a
few words that the document of the same month does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.interface import StepOutcome
from gateway.status import (
    AnsweredBy,
    CarrierWords,
    Direction,
    EndCause,
    EndedBy,
    EndReport,
)


class Kind(StrEnum):
    """What an event is about, for the reader in `webhooks.py`."""

    INITIATED = "initiated"
    RINGING = "ringing"
    ANSWERED = "answered"
    BRIDGED = "bridged"
    ENDED = "ended"
    MACHINE = "machine"
    STREAM = "stream"
    SPOKEN = "spoken"
    RECORDED = "recorded"
    NOT_RECORDED = "not_recorded"
    COST = "cost"
    NOTED = "noted"  # for the timeline only


# Source: OpenAPI document, section `webhooks`, and the voice documentation's list of events.
# `call.ringing` is unconfirmed: not in the OpenAPI document, named in migration notes only. `[SDK]`: only the SDK's.
EVENT: Final[Mapping[str, Kind]] = {
    "call.initiated": Kind.INITIATED,
    "call.ringing": Kind.RINGING,
    "call.answered": Kind.ANSWERED,
    "call.bridged": Kind.BRIDGED,
    "call.hangup": Kind.ENDED,
    "call.machine.detection.ended": Kind.MACHINE,
    "call.machine.greeting.ended": Kind.MACHINE,
    "call.machine.premium.detection.started": Kind.NOTED,  # [SDK]
    "call.machine.premium.detection.ended": Kind.MACHINE,
    "call.machine.premium.greeting.ended": Kind.MACHINE,
    "call.machine.premium.call_screening.detected": Kind.MACHINE,  # [SDK]
    "streaming.started": Kind.STREAM,  # the three have no "call." in front
    "streaming.stopped": Kind.STREAM,
    "streaming.failed": Kind.STREAM,
    "call.speak.started": Kind.NOTED,
    "call.speak.ended": Kind.SPOKEN,
    "call.recording.saved": Kind.RECORDED,
    "call.recording.error": Kind.NOT_RECORDED,
    "call.recording.transcription.saved": Kind.NOTED,
    "call.cost": Kind.COST,
    "call.hold": Kind.NOTED,
    "call.unhold": Kind.NOTED,
    "call.dtmf.received": Kind.NOTED,
    "call.gather.ended": Kind.NOTED,
    "call.playback.started": Kind.NOTED,
    "call.playback.ended": Kind.NOTED,
    "call.refer.started": Kind.NOTED,
    "call.refer.completed": Kind.NOTED,
    "call.refer.failed": Kind.NOTED,
    "call.enqueued": Kind.NOTED,
    "call.dequeued": Kind.NOTED,
    "call.left_queue": Kind.NOTED,
    "call.fork.started": Kind.NOTED,
    "call.fork.stopped": Kind.NOTED,
    "call.transcription": Kind.NOTED,
}

# Source: OpenAPI document, webhook callInitiated, field direction.
DIRECTION: Final[Mapping[str, Direction]] = {
    "incoming": Direction.INBOUND,
    "outgoing": Direction.OUTBOUND,
}

# Source: OpenAPI document, webhook callInitiated, field shaken_stir_attestation; lower case was seen in live data.
ATTESTATION: Final = frozenset({"A", "B", "C"})


class Detected(NamedTuple):
    """What a result of machine detection means."""

    answered_by: AnsweredBy
    is_detection: bool = True
    greeting_over: bool = False


_M, _U = AnsweredBy.MACHINE, AnsweredBy.UNKNOWN
_GREETED = Detected(_M, is_detection=False, greeting_over=True)
_SCREENED = Detected(
    _U, is_detection=False
)  # a phone's own assistant asks who calls: a later detection decides

# Source: OpenAPI document, webhooks callMachine*, field result; [SDK] marks what only the SDK lists.
# Telnyx advises to treat "not_sure" as a person, so it is no machine. A greeting whose end it is not sure of
# has been listened to for the whole analysis time: waiting longer would leave no message at all.
MACHINE: Final[Mapping[str, Mapping[str, Detected]]] = {
    "call.machine.detection.ended": {
        "human": Detected(AnsweredBy.HUMAN),
        "machine": Detected(_M),
        "not_sure": Detected(_U),
    },
    "call.machine.greeting.ended": {
        "beep_detected": _GREETED,
        "ended": _GREETED,
        "not_sure": _GREETED,
    },
    "call.machine.premium.detection.ended": {
        "human_residence": Detected(AnsweredBy.HUMAN),
        "human_business": Detected(AnsweredBy.HUMAN),
        "machine": Detected(_M),
        "silence": Detected(_U),
        "fax_detected": Detected(AnsweredBy.FAX),
        "not_sure": Detected(_U),
    },
    "call.machine.premium.greeting.ended": {
        "beep_detected": _GREETED,
        "no_beep_detected": _GREETED,
        "prompt_ended": _SCREENED,  # [SDK]
    },
    "call.machine.premium.call_screening.detected": {
        "screening": _SCREENED,  # [SDK]
    },
}

# Source: OpenAPI document, webhooks callStreamingStarted, callStreamingStopped, callStreamingFailed.
STREAM_EVENT: Final[Mapping[str, StepOutcome]] = {
    "streaming.started": StepOutcome.JOINED,
    "streaming.stopped": StepOutcome.OVER,
    "streaming.failed": StepOutcome.FAILED,
}

# Source: OpenAPI document, webhook callSpeakEnded, field status.
SPEAK_STATUS: Final[Mapping[str, StepOutcome]] = {
    "completed": StepOutcome.OVER,
    "call_hangup": StepOutcome.OVER,
    "cancelled_amd": StepOutcome.FAILED,
}

# Source: OpenAPI document, webhook callRecordingSaved, field channels.
CHANNELS: Final[Mapping[str, int]] = {"single": 1, "dual": 2}

# Source: OpenAPI document, webhook callCost, field status: True when the event carries a cost.
COST_STATUS: Final[Mapping[str, bool]] = {"success": True, "error": False}

# -- how a call ended -------------------------------------------------------------------------------------------------

# Source: OpenAPI document, webhook callHangup, field hangup_cause (its complete list; other code bases show words
# of other platforms here, which count as unknown and are settled by the SIP code).
END_BY_HANGUP_CAUSE: Final[Mapping[str, EndCause]] = {
    "normal_clearing": EndCause.HUNG_UP,  # completed if it was answered, else the SIP code decides
    "originator_cancel": EndCause.CANCELLED,  # of an inbound call: the caller gave up
    "timeout": EndCause.NO_ANSWER,  # the join timeout ran out
    "no_answer": EndCause.NO_ANSWER,  # the same, with retry_on_timeout false
    "time_limit": EndCause.MAX_DURATION,
    "user_busy": EndCause.BUSY,
    "call_rejected": EndCause.CARRIER_ERROR,  # callee, carrier or platform refused: the codes tell which
    "not_found": EndCause.INVALID_NUMBER,
    "unspecified": EndCause.UNKNOWN,  # anything else: the codes decide
}

# Causes that the platform's own code, then the SIP code, make exact.
_REFINED: Final = frozenset({"normal_clearing", "call_rejected", "unspecified"})

# Source: OpenAPI document, webhook callHangup, field hangup_source; "system" is on the TeXML pages only.
ENDED_BY: Final[Mapping[str, EndedBy]] = {
    "caller": EndedBy.CALLER,
    "callee": EndedBy.CALLEE,
    "system": EndedBy.CARRIER,
    "unknown": EndedBy.UNKNOWN,
}

# Who it was when the carrier names nobody.
_ENDED_BY_CAUSE: Final[Mapping[EndCause, EndedBy]] = {
    EndCause.BUSY: EndedBy.CALLEE,
    EndCause.DECLINED: EndedBy.CALLEE,
    EndCause.NO_ANSWER: EndedBy.CARRIER,
    EndCause.MAX_DURATION: EndedBy.CARRIER,
    EndCause.INVALID_NUMBER: EndedBy.CARRIER,
    EndCause.CARRIER_ERROR: EndedBy.CARRIER,
}

# Source: OpenAPI document, webhook callHangup, field sip_hangup_cause (a SIP code as text, RFC 3261 section 21 and
# RFC 8197, 8688 for 607 and 608). Values below 100 are Q.850 causes, shown on one page of the voice documentation.
END_BY_SIP_CODE: Final[Mapping[str, EndCause]] = {
    **dict.fromkeys(("200", "16"), EndCause.HUNG_UP),
    **dict.fromkeys(("486", "600", "17"), EndCause.BUSY),
    **dict.fromkeys(("603", "607", "608", "21"), EndCause.DECLINED),
    **dict.fromkeys(("408", "480", "18", "19", "20"), EndCause.NO_ANSWER),
    "487": EndCause.CANCELLED,
    **dict.fromkeys(("404", "410", "484", "485", "604", "1", "3", "28"), EndCause.INVALID_NUMBER),
    **dict.fromkeys(("401", "402", "403", "405", "407"), EndCause.NOT_PERMITTED),
    **dict.fromkeys(("488", "606"), EndCause.MEDIA_ERROR),
    **dict.fromkeys(("31", "34", "38", "41", "42", "127"), EndCause.CARRIER_ERROR),
}
_NO_SIP_CODE: Final = frozenset({"", "unspecified"})
_NETWORK_SIP_CODES: Final = (range(413, 484), range(500, 600))

# Source: voice documentation, list of "D" codes: `telnyx_error.error_code` of a refused dial and of a hangup, also at
# the end of an error's `detail`.
END_BY_DIAL_CODE: Final[Mapping[str, EndCause]] = {
    **dict.fromkeys(
        ("D1", "D2", "D3", "D4", "D5", "D10", "D22", "D56", "P05", "P15"),  # channels, calls per second
        EndCause.CAPACITY,
    ),
    **dict.fromkeys(
        ("PE1", "PE2", "PE3", "PE4", "PE5", "PE6", "TV1", "D40"),  # no route, downstream failure
        EndCause.CARRIER_ERROR,
    ),
    **dict.fromkeys(("D11", "D14", "D50", "D59"), EndCause.INVALID_NUMBER),
    **dict.fromkeys(
        (
            "D35",
            "D36",
            "D46",
            "D49",
            "D51",
            "D53",
            "D63",
            "D64",
        ),  # format, not ours, not verified, equal to `to`
        EndCause.CALLER_ID_REFUSED,
    ),
    **dict.fromkeys(
        # service plan, country, profile or connection disabled or absent, rate too high, HD voice off, no tariff
        ("D12", "D13", "D15", "D16", "D18", "D24", "D38", "D7", "D57", "TM1"),
        EndCause.NOT_PERMITTED,
    ),
    **dict.fromkeys(
        ("D37", "D54", "D58"), EndCause.NOT_PERMITTED
    ),  # emergency, restricted origin, destination
    **dict.fromkeys(("D41", "D52"), EndCause.BLOCKED),  # fraud prefix, screening
    **dict.fromkeys(("D30", "D31", "D44"), EndCause.REQUEST_REFUSED),  # SIP URI preference, connection_id
    **dict.fromkeys(("D21", "D48", "RG1"), EndCause.UNREACHABLE),  # the number has no reachable target
    **dict.fromkeys(
        (
            "D9",
            "D17",
            "D19",
            "D25",
            "D26",
            "D29",
            "D39",
            "D60",
            "D61",
            "D65",
        ),  # billing, level, unknown caller
        EndCause.ACCOUNT,
    ),
}

# Source: error pages, https://developers.telnyx.com/docs/overview/errors/<code>. A code alone does not tell the HTTP
# status (10007 comes with 404, 500 and 503), so this is asked only once a refusal is certain.
END_BY_ERROR_CODE: Final[Mapping[str, EndCause]] = {
    **dict.fromkeys(
        (
            "10004",
            "10015",
            "10028",
            "10032",
            "10033",
            "90017",
            "90028",
            "90029",
            "90040",
        ),  # the request is wrong
        EndCause.REQUEST_REFUSED,
    ),
    "10016": EndCause.INVALID_NUMBER,
    **dict.fromkeys(("10009", "20002", "20003", "10038", "10039"), EndCause.ACCOUNT),
    "10010": EndCause.NOT_PERMITTED,  # or what its "D" code says
    "10005": EndCause.REQUEST_REFUSED,
    "10011": EndCause.REQUEST_REFUSED,  # as a 4xx: encryption asked for where there is none
    **dict.fromkeys(("90041", "90042", "90043", "90103"), EndCause.CAPACITY),
}

# Source: error pages. What a command answers when the call is over (90018) or the carrier no longer knows it (90015).
CALL_IS_GONE: Final = frozenset({"90018", "90015"})
NOT_CONNECTED: Final = frozenset({"90034", "90020"})  # not answered yet; recorded before there is audio
STREAM_IN_USE: Final = "90045"
NO_STREAM: Final = "90048"

_DIAL_CODE_AT_END = re.compile(r"\b([A-Z]{1,2}[0-9]{1,3})\W*$", re.ASCII)


def end_report(cause: str, source: str, sip_code: str, dial_code: str = "") -> EndReport:
    """Return what the words of one `call.hangup` mean.

    An answer is proven by the SIP code 200 or a reached time limit; no word disproves one, because every cause is also
    seen after an answer.
    """
    found = _end_cause(cause.lower(), sip_code, dial_code)
    ended_by = ENDED_BY.get(source.lower(), EndedBy.UNKNOWN)
    if ended_by is EndedBy.UNKNOWN:
        ended_by = _ENDED_BY_CAUSE.get(found, EndedBy.UNKNOWN)
    is_proven = sip_code == "200" or found is EndCause.MAX_DURATION
    return EndReport(
        cause=found,
        ended_by=ended_by,
        proves_answered=True if is_proven else None,
        words=CarrierWords(status="hangup", cause=cause, source=source, sip_code=sip_code, text=dial_code),
    )


def is_known_sip_code(code: str) -> bool:
    """True when the code is documented, a range included, or says that there is none."""
    return code in _NO_SIP_CODE or end_by_sip_code(code) is not None


def end_by_sip_code(code: str) -> EndCause | None:
    """Return what a SIP code (or a Q.850 cause, below 100) means; None when it says nothing."""
    if code in END_BY_SIP_CODE:
        return END_BY_SIP_CODE[code]
    is_network = (
        code.isascii() and code.isdigit() and any(int(code[:4]) in span for span in _NETWORK_SIP_CODES)
    )
    return EndCause.CARRIER_ERROR if is_network else None


def refused_cause(code: str, dial_code: str, pointer: str) -> EndCause | None:
    """Return why a dial was refused; None for codes that no table lists: the HTTP status tells.

    `pointer` is the JSON pointer to the field that the carrier found wrong.
    """
    if dial_code in END_BY_DIAL_CODE:
        return END_BY_DIAL_CODE[dial_code]
    if code == "10016" and pointer == "/from":
        return EndCause.CALLER_ID_REFUSED
    return END_BY_ERROR_CODE.get(code)


def dial_code_in(detail: str) -> str:
    """Return the "D" code at the end of an error's detail, or ""."""
    match = _DIAL_CODE_AT_END.search(detail[-200:])
    return match[1] if match and match[1] in END_BY_DIAL_CODE else ""


def _end_cause(cause: str, sip_code: str, dial_code: str) -> EndCause:
    known = END_BY_HANGUP_CAUSE.get(cause)
    if known is not None and cause not in _REFINED:
        return known
    by_dial_code = END_BY_DIAL_CODE.get(dial_code) if cause != "normal_clearing" else None
    by_sip_code = end_by_sip_code(sip_code)
    if cause == "call_rejected" and by_sip_code is EndCause.CANCELLED:
        by_sip_code = None  # a refusal is no cancellation
    return by_dial_code or by_sip_code or known or EndCause.UNKNOWN
