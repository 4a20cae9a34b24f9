"""Plivo's words and what they mean here: one table a word list, its source above it. Pure.

Every documented word is in its table (a test holds a second, hand-copied list against it). A word in no table is kept
raw, reported as `UnmappedWord`, and changes nothing (R39); only an end stays an end, with the cause `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.adapting import EndRule, StatusRule, unmapped
from gateway.interface import StepOutcome, UnmappedWord
from gateway.status import (
    AnsweredBy,
    CarrierWords,
    Direction,
    EndCause,
    EndedBy,
    EndReport,
)

_C = EndCause


def _unanswered(cause: EndCause) -> EndRule:
    return EndRule(cause, proves_answered=False)


# An answer, action, transfer or redirect URL of ours that Plivo could not use. The call may be answered, and billed.
_OUR_ANSWER: Final = EndRule(_C.APPLICATION_ERROR, ended_by=EndedBy.US)

# Source: Plivo "Standard Plivo hangup causes" (https://docs.plivo.com/docs/voice/troubleshooting/hangup-causes, read
# 2026-11), field HangupCauseCode of the hangup request and hangup_cause_code of the call detail record. 4210, 4240,
# 4250 and 5030 are in Plivo's guides only.
END_BY_HANGUP_CODE: Final[Mapping[str, EndRule]] = {
    "0": EndRule(_C.UNKNOWN),  # set by "hang up all calls" too
    "1000": EndRule(
        _C.CANCELLED, ended_by=EndedBy.US
    ),  # the hangup API; guides report it for answered calls too
    "1010": EndRule(_C.ACCOUNT),  # out of credits
    "1020": _unanswered(_C.CAPACITY),  # too many parallel dials to one destination
    "2000": _unanswered(_C.INVALID_NUMBER),
    "2010": _unanswered(_C.UNREACHABLE),  # out of service
    "2020": _unanswered(_C.UNREACHABLE),  # endpoint not registered
    "2030": _unanswered(_C.NOT_PERMITTED),  # country barred
    "2040": _unanswered(_C.NOT_PERMITTED),  # premium number barred
    "2050": _unanswered(_C.NOT_PERMITTED),  # prefix barred
    "2060": _unanswered(_C.REQUEST_REFUSED),  # loop
    "2070": _unanswered(_C.NOT_PERMITTED),  # media anchoring rule of India
    "3000": _unanswered(_C.NO_ANSWER),
    "3010": _unanswered(_C.BUSY),
    "3020": _unanswered(_C.DECLINED),
    "3030": _unanswered(_C.CALLER_ID_REFUSED),
    "3040": _unanswered(_C.BLOCKED),  # the destination blocks the call
    "3050": _unanswered(_C.INVALID_NUMBER),  # unallocated
    "3070": _unanswered(_C.CARRIER_ERROR),  # request timeout
    "3080": _unanswered(_C.CARRIER_ERROR),
    "3090": _unanswered(_C.CARRIER_ERROR),  # congestion
    "3100": _unanswered(_C.BUSY),  # busy everywhere
    "3110": _unanswered(_C.DECLINED),
    "3120": _unanswered(_C.INVALID_NUMBER),  # exists nowhere
    "3130": _unanswered(_C.BLOCKED),  # spam block
    "3140": _unanswered(_C.CALLER_ID_REFUSED),  # do-not-originate list
    "4000": EndRule(_C.HUNG_UP),
    "4010": EndRule(
        _C.HUNG_UP, if_unanswered=_C.APPLICATION_ERROR, ended_by=EndedBy.US
    ),  # the document ran out
    "4020": EndRule(_C.HUNG_UP, proves_answered=True),  # multiparty call over
    "4030": EndRule(_C.HUNG_UP, proves_answered=True),  # kicked out of one
    "4210": _unanswered(_C.NOT_PERMITTED),  # SIP authentication, three spellings
    "4240": _unanswered(_C.NOT_PERMITTED),
    "4250": _unanswered(_C.NOT_PERMITTED),
    "5000": EndRule(_C.CARRIER_ERROR),
    "5010": EndRule(_C.CARRIER_ERROR),  # inside Plivo; never the ring timeout
    "5020": EndRule(_C.CARRIER_ERROR),  # no route
    "5030": _unanswered(_C.CAPACITY),
    "6000": EndRule(_C.MAX_DURATION, ended_by=EndedBy.US),  # the time limit we sent
    "6010": _unanswered(_C.NO_ANSWER),  # the ring timeout we sent
    "6020": EndRule(_C.MEDIA_ERROR),  # no media for 60 s
    "7011": _OUR_ANSWER,
    "7012": _OUR_ANSWER,
    "7013": _OUR_ANSWER,
    "7014": _OUR_ANSWER,
    "7022": _OUR_ANSWER,
    "7023": _OUR_ANSWER,
    "7024": _OUR_ANSWER,
    "7032": _OUR_ANSWER,
    "7033": _OUR_ANSWER,
    "7034": _OUR_ANSWER,
    "8011": _OUR_ANSWER,
    "8012": _OUR_ANSWER,
    "8013": _OUR_ANSWER,
    "8014": _OUR_ANSWER,
    "9000": _unanswered(_C.CANCELLED),  # another parallel leg answered first
    "9100": EndRule(_C.MACHINE, proves_answered=True, ended_by=EndedBy.US),
    "9110": _unanswered(_C.NO_ANSWER),  # the leg did not press the confirm key
}

# Source: Plivo's guides and samples (read 2026-11), field HangupCause (and DialHangupCause): raw telephony names. Six
# are confirmed by Plivo's guides, six more by its sample code, the rest are FreeSWITCH names (unconfirmed).
END_BY_HANGUP_CAUSE: Final[Mapping[str, EndRule]] = {
    "NORMAL_CLEARING": EndRule(_C.HUNG_UP),
    "USER_BUSY": _unanswered(_C.BUSY),
    "CALL_REJECTED": _unanswered(_C.DECLINED),
    "NO_ANSWER": _unanswered(_C.NO_ANSWER),
    "NO_USER_RESPONSE": _unanswered(_C.NO_ANSWER),
    "SUBSCRIBER_ABSENT": _unanswered(_C.NO_ANSWER),
    "ORIGINATOR_CANCEL": _unanswered(_C.CANCELLED),
    "UNALLOCATED_NUMBER": _unanswered(_C.INVALID_NUMBER),
    "INVALID_NUMBER_FORMAT": _unanswered(_C.INVALID_NUMBER),
    "NO_ROUTE_DESTINATION": _unanswered(_C.UNREACHABLE),
    "DESTINATION_OUT_OF_ORDER": _unanswered(_C.UNREACHABLE),
    "NETWORK_OUT_OF_ORDER": EndRule(_C.CARRIER_ERROR),
    "SERVICE_UNAVAILABLE": EndRule(_C.CARRIER_ERROR),
    "RECOVERY_ON_TIMER_EXPIRE": EndRule(_C.CARRIER_ERROR),
    "NORMAL_TEMPORARY_FAILURE": EndRule(_C.CARRIER_ERROR),
    "BEARERCAPABILITY_NOTAVAIL": EndRule(_C.MEDIA_ERROR),
    "INCOMPATIBLE_DESTINATION": EndRule(_C.MEDIA_ERROR),
    "ALLOTTED_TIMEOUT": EndRule(_C.MAX_DURATION, if_unanswered=_C.CARRIER_ERROR, ended_by=EndedBy.US),
    "MEDIA_TIMEOUT": EndRule(_C.MEDIA_ERROR),
    "LOSE_RACE": _unanswered(_C.CANCELLED),
}


_COMPLETED: Final = EndRule(_C.UNKNOWN)  # over, and nothing more

# An end here counts only when the report has no code and no cause.
# Source: Plivo "XML request" (https://docs.plivo.com/docs/voice/xml/request, read 2026-11) and the pages on the call
# API and on dial status reporting, field CallStatus. One page says that the hangup request always carries
# `completed`, so that word alone proves nothing.
CALL_STATUS: Final[Mapping[str, StatusRule]] = {
    "queued": StatusRule(),
    "ringing": StatusRule(ringing=True),
    "in-progress": StatusRule(answered=True),
    "completed": StatusRule(end=_COMPLETED),
    "busy": StatusRule(end=_unanswered(_C.BUSY)),
    "no-answer": StatusRule(end=_unanswered(_C.NO_ANSWER)),
    "timeout": StatusRule(end=_unanswered(_C.NO_ANSWER)),
    "cancel": StatusRule(end=_unanswered(_C.CANCELLED)),
    "failed": StatusRule(end=EndRule(_C.CARRIER_ERROR)),
}

# Source: Plivo "Standard Plivo hangup causes", field HangupSource. Both spellings of the callee occur.
ENDED_BY: Final[Mapping[str, EndedBy]] = {
    "Caller": EndedBy.CALLER,
    "Call recipient": EndedBy.CALLEE,
    "Callee": EndedBy.CALLEE,
    "Plivo": EndedBy.CARRIER,
    "Carrier": EndedBy.CARRIER,
    "API Request": EndedBy.US,
    "Answer XML": EndedBy.US,
    "Error": EndedBy.CARRIER,
    "Unknown": EndedBy.UNKNOWN,
}
_ANSWER_XML: Final = "Answer XML"


class Report(StrEnum):
    """Kinds of a request to one of a call's own URLs."""

    START = "start"
    RING = "ring"
    MACHINE = "machine"
    END = "end"


# Source: Plivo's page on the callbacks of the call API (read 2026-11), field Event. It may be missing on an
# Application's hangup request; its value on redirect, action and transfer requests is unconfirmed.
EVENT: Final[Mapping[str, Report]] = {
    "StartApp": Report.START,
    "Ring": Report.RING,
    "MachineDetection": Report.MACHINE,
    "Hangup": Report.END,
}

# Source: Plivo's pages on machine detection (read 2026-11), field Machine. Plivo reports machines only; an old page
# writes `machine_detection` on the hangup request.
MACHINE: Final[Mapping[str, AnsweredBy]] = {
    "true": AnsweredBy.MACHINE,
    "machine_detection": AnsweredBy.MACHINE,
}

# Source: Plivo's pages on machine detection, field IfMachine: what Plivo does next. It adds nothing: 9100 follows a
# `hangup`.
IF_MACHINE: Final = frozenset({"continue", "hangup"})

# Source: Plivo "Dial element" (https://docs.plivo.com/docs/voice/xml/dial, read 2026-11), field DialStatus of the
# action request: the end of the step, never the status of the call.
DIAL_STATUS: Final[Mapping[str, StepOutcome]] = {
    "completed": StepOutcome.OVER,
    "busy": StepOutcome.FAILED,
    "failed": StepOutcome.FAILED,
    "cancel": StepOutcome.FAILED,
    "timeout": StepOutcome.FAILED,
    "no-answer": StepOutcome.FAILED,
}

# Source: Plivo "Dial element", field DialAction of the callbackUrl request. The end of the leg is no end of the step:
# the action request tells that.
DIAL_ACTION: Final[Mapping[str, StepOutcome | None]] = {
    "answer": StepOutcome.JOINED,
    "connected": StepOutcome.JOINED,
    "hangup": None,
    "digits": None,
}

# Source: Plivo "AudioStream element" (https://docs.plivo.com/docs/voice/xml/audiostream, read 2026-11), field Event
# of the statusCallbackUrl request. Two schemes are published; both are accepted. A stream that stops leads to the
# next element of the document, and only that request ends the step.
STREAM_EVENT: Final[Mapping[str, StepOutcome | None]] = {
    "StartStream": StepOutcome.JOINED,
    "StopStream": None,
    "DroppedStream": StepOutcome.FAILED,
    "DegradedStream": None,
    "started": StepOutcome.JOINED,
    "stopped": None,
    "failed": StepOutcome.FAILED,
}

# Source: Plivo's pages on audio streaming, fields StatusReason and Error: why a stream stopped.
STREAM_REASON: Final[Mapping[str, StepOutcome | None]] = {
    "completed": None,
    "connection_failed": StepOutcome.FAILED,
    "authentication_failed": StepOutcome.FAILED,
    "invalid_content_type": StepOutcome.FAILED,
    "buffer_overflow": StepOutcome.FAILED,
}

# Source: Plivo "XML request", field Direction.
DIRECTION: Final[Mapping[str, Direction]] = {
    "inbound": Direction.INBOUND,
    "outbound": Direction.OUTBOUND,
}

# Source: Plivo "STIR/SHAKEN" (https://docs.plivo.com/docs/voice/concepts/stir-shaken, read 2026-11), fields
# STIRAttestation and STIRVerification. `Verified` means level A; `Not Verified` means B or C, without telling which.
ATTESTATION: Final[Mapping[str, str]] = {"A": "A", "B": "B", "C": "C"}
VERIFICATION: Final[Mapping[str, str | None]] = {
    "Verified": "A",
    "Not Verified": None,
    "Not Applicable": None,
}

# Source: error texts in Plivo's reference and guides (read 2026-11). Plivo has no error codes and calls its texts
# free-form, so a fragment only sharpens the cause; it never decides whether the dial was refused.
END_BY_ERROR_TEXT: Final[Mapping[str, EndCause]] = {
    "from parameter is invalid": _C.CALLER_ID_REFUSED,
    "not associated with your account": _C.CALLER_ID_REFUSED,
    "cannot place calls": _C.CALLER_ID_REFUSED,
    "voice capability is currently disabled": _C.ACCOUNT,
    "concurren": _C.CAPACITY,
}


def end_report(
    *,
    code: str = "",
    cause: str = "",
    status: str = "",
    source: str = "",
    text: str = "",
    is_answered: bool | None = None,
    reconciled: bool = False,
) -> tuple[EndReport, tuple[UnmappedWord, ...]]:
    """Return what Plivo's words for an end mean, and the words that no table lists.

    The code decides, else the raw cause, else the status. `is_answered` is what the report's own times and durations
    prove; it wins over what a code implies, because it is what Plivo bills by.
    """
    rule = _rule_for(code, cause, status, source)
    proven = rule.proves_answered if is_answered is None else is_answered
    decided = rule.if_unanswered if rule.if_unanswered and proven is False else rule.cause
    if source == _ANSWER_XML and decided in (_C.BUSY, _C.DECLINED):
        decided = _C.REJECTED  # our own <Hangup reason>
    report = EndReport(
        cause=decided,
        ended_by=rule.ended_by or ENDED_BY.get(source, EndedBy.UNKNOWN),
        proves_answered=proven,
        words=CarrierWords(
            status=status[:60], cause=(code or cause)[:60], source=source[:60], text=text[:100]
        ),
        reconciled=reconciled,
    )
    return report, unmapped(
        {
            "hangup_cause_code": (code, END_BY_HANGUP_CODE),
            "hangup_cause": (cause, END_BY_HANGUP_CAUSE),
            "hangup_source": (source, ENDED_BY),
            "call_status": (status, CALL_STATUS),
        }
    )


def _rule_for(code: str, cause: str, status: str, source: str) -> EndRule:
    """Return the rule of the first known word. `completed`, or no word at all, is told by who hung up."""
    known = (
        END_BY_HANGUP_CODE.get(code)
        or END_BY_HANGUP_CAUSE.get(cause)
        or CALL_STATUS.get(status, StatusRule()).end
    )
    if known is not None and known is not _COMPLETED:
        return known
    is_hangup = ENDED_BY.get(source) in (EndedBy.CALLER, EndedBy.CALLEE, EndedBy.US)
    return EndRule(_C.HUNG_UP if is_hangup and not code and not cause else _C.UNKNOWN)


def refused_cause(text: str) -> EndCause | None:
    """Return why a dial was refused with `text`; None for a text that no table lists: the HTTP status tells."""
    lowered = text.lower()
    return next((cause for fragment, cause in END_BY_ERROR_TEXT.items() if fragment in lowered), None)


def stream_outcome(event: str, reason: str) -> StepOutcome | None:
    """Return what a stream's report says about its step; None while it says nothing about it."""
    outcome = STREAM_EVENT.get(event)
    if outcome is StepOutcome.JOINED or event == "DegradedStream":
        return outcome
    return outcome or STREAM_REASON.get(reason)


def attestation_of(attestation: str, verification: str) -> str | None:
    """Return the SHAKEN/STIR level, or None when it is not told."""
    return ATTESTATION.get(attestation) or VERIFICATION.get(verification)
