"""What Telnyx makes of events, as values: answering machine verdicts, reasons of an end, the time speech takes.

Pure tables and functions. Source: the vendor's documentation of 2026-06 and its OpenAPI document; what no source says
is marked *unconfirmed*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.simulator.carriers.telnyx.webhooks import Ending

# --- why a leg ended ----------------------------------------

ANSWERED_BY_PARTY: Final = {
    "outbound": Ending(cause="normal_clearing", source="callee", sip="200"),
    "inbound": Ending(cause="normal_clearing", source="caller", sip="200"),
}
ANSWERED_BY_US: Final = {
    "outbound": Ending(cause="normal_clearing", source="caller", sip="200"),
    "inbound": Ending(cause="normal_clearing", source="callee", sip="200"),
}
TIME_LIMIT: Final = Ending(cause="time_limit", source="unknown", sip="200")  # source and code unconfirmed
RING_TIMEOUT: Final = Ending(cause="timeout", source="caller", sip="487")  # code unconfirmed
RING_TIMEOUT_NO_RETRY: Final = Ending(cause="no_answer", source="caller", sip="487")  # code unconfirmed
CANCELLED: Final = Ending(cause="originator_cancel", source="caller", sip="487")
CALLER_GAVE_UP: Final = Ending(cause="originator_cancel", source="caller", sip="487")
# An inbound leg that we hang up unanswered, and the cause after `first_command_timeout`: both unconfirmed.
HUNG_UP_UNANSWERED: Final = Ending(cause="normal_clearing", source="callee", sip="unspecified")
FIRST_COMMAND_TIMEOUT: Final = Ending(cause="timeout", source="unknown", sip="unspecified")

# By the SIP answer of the called network. Source: hangup causes of `call.hangup`, with the codes seen beside them.
REFUSED_BY_SIP: Final = {
    486: Ending(cause="user_busy", source="callee", sip="486"),
    600: Ending(cause="user_busy", source="callee", sip="600"),
    603: Ending(cause="call_rejected", source="callee", sip="603"),
    403: Ending(cause="call_rejected", source="callee", sip="403"),
    404: Ending(cause="not_found", source="callee", sip="404"),
    480: Ending(cause="no_answer", source="callee", sip="480"),
    408: Ending(cause="no_answer", source="callee", sip="408"),
}


def ending_by_sip(code: int) -> Ending:
    """Give the end of a leg that the network refused; codes without a cause of their own are `unspecified`."""
    return REFUSED_BY_SIP.get(code) or Ending(cause="unspecified", source="unknown", sip=str(code))


REJECT_CAUSES: Final = {
    "CALL_REJECTED": Ending(cause="call_rejected", source="callee", sip="603"),
    "USER_BUSY": Ending(cause="user_busy", source="callee", sip="486"),
    "NOT_FOUND": Ending(cause="not_found", source="callee", sip="404"),
    "TEMPORARILY_UNAVAILABLE": Ending(cause="no_answer", source="callee", sip="480"),  # cause unconfirmed
}

# --- answering machine detection ----------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What can be heard of an answered party: who it is, when it is recognized, how long its greeting lasts."""

    verdict: str
    recognized_after_s: float
    greeting_s: float
    beep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One event of machine detection, `at_s` seconds after the answer."""

    at_s: float
    event_type: str
    result: str


STANDARD_DETECTION: Final = "call.machine.detection.ended"
STANDARD_GREETING: Final = "call.machine.greeting.ended"
PREMIUM_DETECTION: Final = "call.machine.premium.detection.ended"
PREMIUM_GREETING: Final = "call.machine.premium.greeting.ended"

# Standard detection knows no fax: its tone is longer than any human greeting.
STANDARD_RESULTS: Final = {"human": "human", "machine": "machine", "fax": "machine", "not_sure": "not_sure"}
PREMIUM_RESULTS: Final = {
    "human": "human_residence",
    "machine": "machine",
    "fax": "fax_detected",
    "not_sure": "not_sure",
    "silence": "silence",
}
ANALYSIS_S: Final = {"standard": 3.5, "premium": 30.0}
WORDS_BEEP_SEARCH_S: Final = 30.0
GREETING_ANALYSIS_S: Final = 5.0


def detection_plan(mode: str, party: Listening, config: Mapping[str, Any]) -> list[Finding]:
    """List the events that `answering_machine_detection=mode` brings for this party, in the order they come."""
    if mode == "disabled":
        return []
    if mode.startswith("premium"):
        return _premium(party, config)
    return _standard(mode, party, config)


def _standard(mode: str, party: Listening, config: Mapping[str, Any]) -> list[Finding]:
    decided = _decision(party, config, ANALYSIS_S["standard"], STANDARD_RESULTS, STANDARD_DETECTION)
    if decided.result != "machine" or mode == "detect":
        return [decided]
    greeting = _greeting(mode, party, decided.at_s, config)
    return [decided] if greeting is None else [decided, greeting]


def _decision(
    party: Listening, config: Mapping[str, Any], default_s: float, results: Mapping[str, str], event_type: str
) -> Finding:
    limit_s = config.get("total_analysis_time_millis", default_s * 1000) / 1000
    if party.recognized_after_s > limit_s:
        return Finding(at_s=limit_s, event_type=event_type, result="not_sure")
    result = results.get(party.verdict, "not_sure")
    return Finding(at_s=party.recognized_after_s, event_type=event_type, result=result)


def _greeting(mode: str, party: Listening, decided_s: float, config: Mapping[str, Any]) -> Finding | None:
    at_s = max(party.greeting_s, decided_s)
    if mode == "greeting_end":
        limit_s = config.get("greeting_total_analysis_time_millis", GREETING_ANALYSIS_S * 1000) / 1000
        result = "ended" if at_s - decided_s <= limit_s else "not_sure"
        return Finding(at_s=min(at_s, decided_s + limit_s), event_type=STANDARD_GREETING, result=result)
    if party.beep and at_s - decided_s <= WORDS_BEEP_SEARCH_S:
        return Finding(at_s=at_s, event_type=STANDARD_GREETING, result="beep_detected")
    if mode == "detect_words":
        return Finding(at_s=decided_s + WORDS_BEEP_SEARCH_S, event_type=STANDARD_GREETING, result="not_sure")
    return None  # detect_beep reports a greeting only by its beep


def _premium(party: Listening, config: Mapping[str, Any]) -> list[Finding]:
    decided = _decision(party, config, ANALYSIS_S["premium"], PREMIUM_RESULTS, PREMIUM_DETECTION)
    if not (party.beep and party.greeting_s > 0):
        return [decided]
    beep = Finding(at_s=party.greeting_s, event_type=PREMIUM_GREETING, result="beep_detected")
    if beep.at_s < decided.at_s:
        return [beep]  # a beep before the decision is the decision
    return [decided, beep]


# --- sounds ----------------------------------------

CHARACTERS_PER_S: Final = 15.0
SHORTEST_SPEECH_S: Final = 0.4
PLAYBACK_S: Final = 2.0
MARKUP: Final = re.compile(r"<[^>]*>")
SPACES: Final = re.compile(r"\s+")


def spoken_text(payload: str, payload_type: str) -> str:
    """Give the words of a `speak` without SSML markup."""
    words = MARKUP.sub(" ", payload) if payload_type == "ssml" else payload
    return SPACES.sub(" ", words).strip()


def speech_s(text: str) -> float:
    """Tell how long a voice needs for the text, about 150 words a minute."""
    return max(SHORTEST_SPEECH_S, len(text) / CHARACTERS_PER_S)


def repeats(loop: Any) -> int | None:
    """Read `loop`: how many times; None for ever."""
    if loop is None:
        return 1
    return None if loop == "infinity" else int(loop)


DIGIT_PAUSES_S: Final = {"w": 0.5, "W": 1.0}


def digits_s(digits: str, duration_millis: int) -> float:
    """Tell how long the keys take to send."""
    return sum(DIGIT_PAUSES_S.get(digit, duration_millis / 1000 * 2) for digit in digits)
