"""How a call ends at Plivo: code, name, source, raw telephony cause and CallStatus of each ending.

Source: Plivo's page on hangup causes and sources (plivo.com/docs, read 2026). The codes and names are Plivo's.
Which `CallStatus` and which raw cause go with a code is documented only in part: where no page says, the row holds
the likeliest words and they are unconfirmed (6010, 3020, 7011, 8011, 9100; 4000 for a live call ended by the API,
where one guide says 1000; 6000 for `hangup_on_ring`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NAMES: Final = {
    0: "Unknown",
    1000: "Canceled",
    1010: "Canceled (Out Of Credits)",
    2000: "Invalid Destination Address",
    2010: "Destination Out Of Service",
    2020: "Endpoint Not Registered",
    2030: "Destination Country Barred",
    2060: "Loop Detected",
    3000: "No Answer",
    3010: "Busy Line",
    3020: "Rejected",
    3030: "Unknown Caller ID",
    3050: "Unallocated number",
    3070: "Request timeout",
    3080: "Internal server error from carrier",
    3130: "Spam block",
    4000: "Normal Hangup",
    4010: "End Of XML Instructions",
    5000: "Network Error",
    5030: "Concurrency Limit Breached",
    6000: "Scheduled Hangup",
    6010: "Ring Timeout Reached",
    6020: "Media Timeout",
    7011: "Error Reaching Answer URL",
    7012: "Error Reaching Action URL",
    7013: "Error Reaching Transfer URL",
    7014: "Error Reaching Redirect URL",
    7022: "Invalid Action URL",
    7023: "Invalid Transfer URL",
    7024: "Invalid Redirect URL",
    7032: "Invalid Method For Action URL",
    7033: "Invalid Method For Transfer URL",
    7034: "Invalid Method For Redirect URL",
    8011: "Invalid Answer XML",
    8012: "Invalid Action XML",
    8013: "Invalid Transfer XML",
    8014: "Invalid Redirect XML",
    9000: "Lost Race",
    9100: "Machine Detected",
    9110: "Confirm Key Challenge Failed",
}


class Source(StrEnum):
    """Who ended it, in Plivo's words."""

    CALLER = "Caller"
    CALLEE = "Callee"
    PLIVO = "Plivo"
    CARRIER = "Carrier"
    API = "API Request"
    XML = "Answer XML"
    ERROR = "Error"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Ending:
    """One way a call ends: `cause` is the raw telephony name, `status` the CallStatus when outbound and unanswered."""

    code: int
    source: Source
    cause: str
    status: str

    @property
    def name(self) -> str:
        """Plivo's name of the code."""
        return NAMES[self.code]


# an answered call and an inbound one always end with CallStatus `completed`
CALLER_HUNG_UP: Final = Ending(4000, Source.CALLER, "NORMAL_CLEARING", "completed")
CALLEE_HUNG_UP: Final = Ending(4000, Source.CALLEE, "NORMAL_CLEARING", "completed")
CALLER_GAVE_UP: Final = Ending(4000, Source.CALLER, "ORIGINATOR_CANCEL", "cancel")
DOCUMENT_HUNG_UP: Final = Ending(4000, Source.XML, "NORMAL_CLEARING", "completed")
DOCUMENT_ENDED: Final = Ending(4010, Source.PLIVO, "NORMAL_CLEARING", "completed")
HUNG_UP_BY_API: Final = Ending(4000, Source.API, "NORMAL_CLEARING", "completed")
CANCELED_BY_API: Final = Ending(1000, Source.API, "ORIGINATOR_CANCEL", "cancel")
HUNG_UP_WITH_ALL: Final = Ending(0, Source.API, "NORMAL_CLEARING", "cancel")  # `DELETE /Call/`: known bug
OUT_OF_CREDITS: Final = Ending(1010, Source.PLIVO, "NORMAL_CLEARING", "failed")
BARRED: Final = Ending(2030, Source.PLIVO, "CALL_REJECTED", "failed")
NOT_REGISTERED: Final = Ending(2020, Source.PLIVO, "SUBSCRIBER_ABSENT", "failed")
NO_ANSWER: Final = Ending(3000, Source.CARRIER, "NO_ANSWER", "no-answer")
BUSY: Final = Ending(3010, Source.CALLEE, "USER_BUSY", "busy")
DECLINED: Final = Ending(3020, Source.CALLEE, "CALL_REJECTED", "busy")
REFUSED_AS_BUSY: Final = Ending(3010, Source.XML, "USER_BUSY", "busy")
REFUSED: Final = Ending(3020, Source.XML, "CALL_REJECTED", "busy")
UNALLOCATED: Final = Ending(3050, Source.CARRIER, "UNALLOCATED_NUMBER", "failed")
CARRIER_ERROR: Final = Ending(3080, Source.CARRIER, "NORMAL_TEMPORARY_FAILURE", "failed")
CONCURRENCY: Final = Ending(5030, Source.PLIVO, "CALL_REJECTED", "failed")
SCHEDULED: Final = Ending(6000, Source.PLIVO, "ALLOTTED_TIMEOUT", "completed")
SCHEDULED_BY_DOCUMENT: Final = Ending(6000, Source.XML, "ALLOTTED_TIMEOUT", "completed")
RING_TIMEOUT: Final = Ending(6010, Source.PLIVO, "NO_ANSWER", "timeout")
MEDIA_TIMEOUT: Final = Ending(6020, Source.PLIVO, "MEDIA_TIMEOUT", "completed")
LOST_RACE: Final = Ending(9000, Source.PLIVO, "LOSE_RACE", "cancel")
NOT_CONFIRMED: Final = Ending(9110, Source.PLIVO, "NORMAL_CLEARING", "no-answer")
INVALID_DESTINATION: Final = Ending(2000, Source.PLIVO, "INVALID_NUMBER_FORMAT", "failed")
MACHINE: Final = Ending(9100, Source.PLIVO, "NORMAL_CLEARING", "completed")


def url_unreachable(kind: str) -> Ending:
    """End because an address of `kind` (`answer`, `action`, `transfer`, `redirect`) gave no 2xx in time."""
    return Ending(7011 + _KINDS[kind], Source.ERROR, "NORMAL_CLEARING", "completed")


def url_invalid(kind: str) -> Ending:
    """End because the address of `kind` (not `answer`) is not http or https."""
    return Ending(7021 + _KINDS[kind], Source.ERROR, "NORMAL_CLEARING", "completed")


def method_invalid(kind: str) -> Ending:
    """End because the method for the address of `kind` (not `answer`) is neither GET nor POST."""
    return Ending(7031 + _KINDS[kind], Source.ERROR, "NORMAL_CLEARING", "completed")


def document_invalid(kind: str) -> Ending:
    """End because the address of `kind` answered 2xx with something else than a Plivo document."""
    return Ending(8011 + _KINDS[kind], Source.ERROR, "NORMAL_CLEARING", "completed")


_KINDS: Final = {"answer": 0, "action": 1, "transfer": 2, "redirect": 3}
