"""What the phones of the simulated world do: callees by number, callers by call.

Every time is in scripted seconds: `Simulator(speed=20)` makes them pass twenty times faster.

>>> sim.script("+14155550123", Busy())
>>> sim.ring("+14155550100", from_="+12125550123", caller=Caller(talk_s=5, keys="12#"))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["human", "machine", "fax", "not_sure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person picks up, presses `keys` (one every 0.2 s) and hangs up after `talk_s` (None: never)."""

    after_s: float = 2.0
    talk_s: float | None = None
    keys: str = ""
    says_tone: bool = True
    recognized_after_s: float = 1.5
    """How long machine detection needs to call this party a human."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The line is engaged: no ringing, a busy signal after `after_s`."""

    after_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """It rings until the dial's own timeout (or `rings_s`, when the network gives up first)."""

    rings_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """It rings, and the person refuses the call after `after_s`."""

    after_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """The number does not exist or its network cannot be reached: no ringing."""

    after_s: float = 0.5
    sip_code: int = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Voicemail:
    """A machine picks up, speaks its greeting, beeps (or not) and records for `records_s`."""

    after_s: float = 3.0
    greeting_s: float = 4.0
    beep: bool = True
    verdict: Verdict = "machine"
    records_s: float = 120.0
    recognized_after_s: float = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A person who calls in, waits `gives_up_after_s`, and once answered talks for `talk_s` (None: for ever)."""

    talk_s: float | None = None
    keys: str = ""
    gives_up_after_s: float = 60.0
    says_tone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpWhileRinging:
    """A person who calls in and hangs up after `after_s`, when nobody has answered by then."""

    after_s: float = 1.0


CalleeScript = Answer | Busy | NoAnswer | Decline | Unreachable | Voicemail
CallerScript = Caller | HangUpWhileRinging
