"""Twilio's words and what they mean here: one table a word list, its source above it. Pure.

Every documented word is in its table (a test holds a second, hand-copied list against it). A word in no table is kept
raw, reported as `UnmappedWord`, and changes nothing (R39).

One rule stands above the tables: the call status decides. A SIP code or an error code only says *why* within that
status; one that would lead to another status is kept as the carrier's word and not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.adapting import EndRule, StatusRule
from gateway.interface import StepOutcome
from gateway.status import (
    END_RULES,
    AnsweredBy,
    CallStatus,
    CarrierWords,
    Direction,
    EndCause,
    EndedBy,
    EndReport,
)

_C = EndCause


# Source: Twilio docs "Call resource: call status values" (https://www.twilio.com/docs/voice/api/call-resource) and
# "TwiML: request parameters" (https://www.twilio.com/docs/voice/twiml), fields status and CallStatus (read 2026-11).
# `initiated` is sent by progress callbacks only. Twilio never says who hung up a completed call; `ended_by` holds for a
# call that we placed, of an inbound one Twilio tells less.
CALL_STATUS: Final[Mapping[str, StatusRule]] = {
    "queued": StatusRule(),  # accepted, waiting for its turn in the calls-per-second queue
    "initiated": StatusRule(),  # dialing; nothing rings yet
    "ringing": StatusRule(ringing=True),
    "in-progress": StatusRule(answered=True),
    "completed": StatusRule(end=EndRule(_C.HUNG_UP, proves_answered=True)),
    "busy": StatusRule(end=EndRule(_C.BUSY, proves_answered=False, ended_by=EndedBy.CALLEE)),
    "no-answer": StatusRule(end=EndRule(_C.NO_ANSWER, proves_answered=False, ended_by=EndedBy.CALLEE)),
    "failed": StatusRule(end=EndRule(_C.CARRIER_ERROR, proves_answered=False, ended_by=EndedBy.CARRIER)),
    "canceled": StatusRule(end=EndRule(_C.CANCELLED, proves_answered=False, ended_by=EndedBy.US)),
}

# Source: Twilio docs "Call resource: status callback parameters", field SipResponseCode (read 2026-11), and the
# meaning of the codes in RFC 3261 and RFC 8197. Which status Twilio gives a 408, 480 or 603 is unconfirmed, and so
# are 607 and 608.
END_BY_SIP_CODE: Final[Mapping[str, EndCause]] = {
    "200": _C.HUNG_UP,
    "401": _C.NOT_PERMITTED,  # over BYOC: the trunk's credentials
    "403": _C.NOT_PERMITTED,
    "404": _C.INVALID_NUMBER,
    "407": _C.NOT_PERMITTED,
    "408": _C.UNREACHABLE,
    "410": _C.INVALID_NUMBER,
    "415": _C.MEDIA_ERROR,
    "480": _C.UNREACHABLE,
    "484": _C.INVALID_NUMBER,
    "486": _C.BUSY,
    "487": _C.NO_ANSWER,  # the ring timeout
    "488": _C.MEDIA_ERROR,
    "600": _C.BUSY,
    "603": _C.DECLINED,
    "604": _C.INVALID_NUMBER,
    "607": _C.BLOCKED,
    "608": _C.BLOCKED,
    **{str(code): _C.CARRIER_ERROR for code in range(500, 600)},
}

# Source: Twilio docs "Error and warning dictionary" (https://www.twilio.com/docs/api/errors, read 2026-11). The 13xxx
# family belongs to <Dial>; whether the REST API answers with it too is unconfirmed. ErrorCode on a voice status
# callback is unconfirmed as well: there it only sharpens the cause.
END_BY_ERROR_CODE: Final[Mapping[str, EndCause]] = {
    "10001": _C.ACCOUNT,  # not active
    "10002": _C.NOT_PERMITTED,  # not for trial accounts
    "10004": _C.CAPACITY,  # concurrent calls
    "11200": _C.APPLICATION_ERROR,  # our answer could not be fetched or used, down to 12300
    "11205": _C.APPLICATION_ERROR,
    "11206": _C.APPLICATION_ERROR,
    "11210": _C.APPLICATION_ERROR,
    "11215": _C.APPLICATION_ERROR,
    "11220": _C.APPLICATION_ERROR,
    "11235": _C.APPLICATION_ERROR,
    "11236": _C.APPLICATION_ERROR,
    "11237": _C.APPLICATION_ERROR,
    "11750": _C.APPLICATION_ERROR,
    "12100": _C.APPLICATION_ERROR,
    "12200": _C.APPLICATION_ERROR,
    "12300": _C.APPLICATION_ERROR,
    "13214": _C.CALLER_ID_REFUSED,
    "13223": _C.INVALID_NUMBER,
    "13224": _C.INVALID_NUMBER,
    "13225": _C.BLOCKED,
    "13226": _C.INVALID_NUMBER,
    "13227": _C.NOT_PERMITTED,
    "13247": _C.CALLER_ID_REFUSED,
    "20001": _C.REQUEST_REFUSED,
    "20003": _C.ACCOUNT,  # wrong SID, token or key
    "20005": _C.ACCOUNT,
    "20006": _C.NOT_PERMITTED,
    "20010": _C.NOT_PERMITTED,
    "20403": _C.NOT_PERMITTED,
    "20404": _C.REQUEST_REFUSED,
    "20409": _C.REQUEST_REFUSED,
    "20422": _C.REQUEST_REFUSED,
    "21201": _C.REQUEST_REFUSED,
    "21203": _C.NOT_PERMITTED,  # international calling is off
    "21205": _C.REQUEST_REFUSED,
    "21206": _C.REQUEST_REFUSED,
    "21208": _C.REQUEST_REFUSED,
    "21209": _C.REQUEST_REFUSED,
    "21210": _C.CALLER_ID_REFUSED,  # neither owned nor verified
    "21211": _C.INVALID_NUMBER,
    "21212": _C.CALLER_ID_REFUSED,  # no number, or on the do-not-originate list
    "21213": _C.REQUEST_REFUSED,
    "21214": _C.UNREACHABLE,
    "21215": _C.NOT_PERMITTED,  # geo permissions
    "21216": _C.BLOCKED,
    "21217": _C.INVALID_NUMBER,
    "21218": _C.REQUEST_REFUSED,
    "21219": _C.NOT_PERMITTED,  # trial account, number not verified
    "21220": _C.REQUEST_REFUSED,
    "21221": _C.REQUEST_REFUSED,  # SIP user, password and header problems, up to 21229
    "21222": _C.REQUEST_REFUSED,
    "21223": _C.REQUEST_REFUSED,
    "21224": _C.REQUEST_REFUSED,
    "21225": _C.REQUEST_REFUSED,
    "21226": _C.NOT_PERMITTED,  # SIP is not enabled
    "21227": _C.REQUEST_REFUSED,
    "21228": _C.REQUEST_REFUSED,
    "21229": _C.REQUEST_REFUSED,
    "21234": _C.REQUEST_REFUSED,
    "32009": _C.UNREACHABLE,  # SIP user not registered
    "32010": _C.CARRIER_ERROR,
    "32011": _C.CARRIER_ERROR,
    "32014": _C.MEDIA_ERROR,
    "32015": _C.MAX_DURATION,
    "32016": _C.CARRIER_ERROR,
    "32017": _C.BLOCKED,  # the caller id's reputation
    "32018": _C.REQUEST_REFUSED,
    "32100": _C.NOT_PERMITTED,
    "32201": _C.NOT_PERMITTED,
    "32202": _C.NOT_PERMITTED,
    "32205": _C.NOT_PERMITTED,
    "32400": _C.CARRIER_ERROR,  # BYOC delivery
    "32401": _C.CARRIER_ERROR,
    "34002": _C.BUSY,
}

# Source: the same dictionary: a live operation on a call that is over (21220) or not known (20404).
CALL_IS_GONE: Final = frozenset({"21220", "20404"})

# Source: Twilio docs "Recordings subresource" (https://www.twilio.com/docs/voice/api/recording, read 2026-11), field
# status: those of a recording that is not over.
RECORDING_RUNS: Final = frozenset({"in-progress", "paused"})
CURRENT_RECORDING: Final = "Twilio.CURRENT"  # stands for the id of the call's running recording

# Source: Twilio docs "Answering machine detection" (https://www.twilio.com/docs/voice/answering-machine-detection,
# read 2026-11), field AnsweredBy.
ANSWERED_BY: Final[Mapping[str, AnsweredBy]] = {
    "human": AnsweredBy.HUMAN,
    "machine_start": AnsweredBy.MACHINE,
    "machine_end_beep": AnsweredBy.MACHINE,
    "machine_end_silence": AnsweredBy.MACHINE,
    "machine_end_other": AnsweredBy.MACHINE,
    "fax": AnsweredBy.FAX,
    "unknown": AnsweredBy.UNKNOWN,
}
GREETING_IS_OVER: Final = frozenset({"machine_end_beep", "machine_end_silence", "machine_end_other"})

# Source: Twilio docs "Call resource", fields direction and Direction (read 2026-11). `outbound-dial` is a leg that a
# <Dial> made; the trunking ones are in the REST API only: originating is towards us, terminating towards the PSTN.
DIRECTION: Final[Mapping[str, Direction]] = {
    "inbound": Direction.INBOUND,
    "outbound-api": Direction.OUTBOUND,
    "outbound-dial": Direction.OUTBOUND,
    "trunking-originating": Direction.INBOUND,
    "trunking-terminating": Direction.OUTBOUND,
}
CHILD_DIRECTION: Final = "outbound-dial"
DIALED_DIRECTION: Final = "outbound-api"

# Source: Twilio docs "TwiML <Dial>" (https://www.twilio.com/docs/voice/twiml/dial, read 2026-11), field DialCallStatus
# of the action request: the end of the step, never the status of the call.
DIAL_STATUS: Final[Mapping[str, StepOutcome]] = {
    "completed": StepOutcome.OVER,
    "answered": StepOutcome.OVER,
    "busy": StepOutcome.FAILED,
    "no-answer": StepOutcome.FAILED,
    "failed": StepOutcome.FAILED,
    "canceled": StepOutcome.FAILED,
}

# Source: Twilio docs "TwiML <Number>" and "<Sip>", statusCallback (read 2026-11): progress of the second leg. Its end
# is no end of the step: the action request tells that.
CHILD_STATUS: Final[Mapping[str, StepOutcome | None]] = {
    "queued": None,
    "initiated": None,
    "ringing": None,
    "in-progress": StepOutcome.JOINED,
    "completed": None,
    "busy": StepOutcome.FAILED,
    "no-answer": StepOutcome.FAILED,
    "failed": StepOutcome.FAILED,
    "canceled": StepOutcome.FAILED,
}

# Source: public code that reads the status callback of <Stream>, field StreamEvent (read 2026-11; Twilio's own page
# could not be read: unconfirmed). A stream that stops leads to the action request, and only that ends the step.
STREAM_EVENT: Final[Mapping[str, StepOutcome | None]] = {
    "stream-started": StepOutcome.JOINED,
    "stream-stopped": None,
    "stream-error": StepOutcome.FAILED,
}

# Source: Twilio docs "Recordings: recording status callback"
# (https://www.twilio.com/docs/voice/api/recording, read 2026-11), fields RecordingStatus and RecordingSource.
RECORDING_IS_READY: Final[Mapping[str, bool]] = {"in-progress": False, "completed": True, "absent": False}
RECORDING_IS_MESSAGE: Final[Mapping[str, bool]] = {
    "OutboundAPI": False,
    "DialVerb": False,
    "RecordVerb": True,  # <Record>, which we use for TakeMessage only
    "Conference": False,
    "Trunking": False,
    "StartCallRecordingAPI": False,
    "StartConferenceRecordingAPI": False,
}

# Source: Twilio docs "Trusted calling with SHAKEN/STIR" (https://www.twilio.com/docs/voice/trusted-calling-with-shakenstir,
# read 2026-11), field StirVerstat. A -Diverted or -Passthrough check vouches for another hop than the caller's, so it
# is worth no level.
_VERIFIED: Final[Mapping[str, str | None]] = {
    "TN-Validation-Passed-A": "A",
    "TN-Validation-Passed-B": "B",
    "TN-Validation-Passed-C": "C",
    "TN-Validation-Failed-A": "failed",
    "TN-Validation-Failed-B": "failed",
    "TN-Validation-Failed-C": "failed",
    "TN-Validation-Failed": "failed",
    "No-TN-Validation": None,
    "NULL": None,
}
ATTESTATION: Final[Mapping[str, str | None]] = {
    **_VERIFIED,
    **{
        word + suffix: level if level == "failed" else None
        for word, level in _VERIFIED.items()
        if word.startswith("TN-")
        for suffix in ("-Diverted", "-Passthrough")
    },
}
# Source: the same page, field StirStatus: the level our own outbound call was signed with.
STIR_STATUS: Final[Mapping[str, str | None]] = {"A": "A", "B": "B", "C": "C", "null": None}

# Source: Twilio docs "Account resource" (https://www.twilio.com/docs/iam/api/account, read 2026-11), fields status and
# type.
ACCOUNT_STATUS: Final = frozenset({"active", "suspended", "closed"})
TRIAL: Final = "Trial"


def end_report(
    status: str,
    *,
    sip_code: str = "",
    error_code: str = "",
    error_text: str = "",
    direction: Direction | None = None,
    reconciled: bool = False,
) -> EndReport | None:
    """Return what a final call status means, or None for a status that is no end.

    The error code, else the SIP code, sharpens the cause, as long as the canonical status stays that of Twilio's word.
    """
    rule = CALL_STATUS.get(status, StatusRule()).end
    if rule is None:
        return None
    hints = (END_BY_ERROR_CODE.get(error_code), END_BY_SIP_CODE.get(sip_code))
    cause = next((hint for hint in hints if hint and _keeps_status(rule, hint)), rule.cause)
    return EndReport(
        cause=cause,
        ended_by=_ended_by(rule, cause, direction),
        proves_answered=rule.proves_answered,
        words=CarrierWords(
            status=status, cause=error_code[:60], sip_code=sip_code[:60], text=error_text[:100]
        ),
        reconciled=reconciled,
    )


def _keeps_status(rule: EndRule, cause: EndCause) -> bool:
    def status(of: EndCause) -> CallStatus:
        return END_RULES[of].answered if rule.proves_answered else END_RULES[of].unanswered

    return status(cause) is status(rule.cause)


def _ended_by(rule: EndRule, cause: EndCause, direction: Direction | None) -> EndedBy:
    if cause is _C.MAX_DURATION:
        return EndedBy.US
    if direction is not Direction.INBOUND:
        return rule.ended_by or EndedBy.UNKNOWN
    return EndedBy.CALLER if cause is _C.CANCELLED else EndedBy.UNKNOWN


def refused_cause(code: str) -> EndCause | None:
    """Return why a dial was refused with `code`; None for a code that no table lists: the HTTP status tells."""
    return END_BY_ERROR_CODE.get(code)
