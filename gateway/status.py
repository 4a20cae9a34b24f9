"""What a call's status is, as a pure function of the set of facts known about it.

Here: the canonical statuses, the closed set of reasons a call can end for, the facts a carrier can report, how two
sets of facts merge, and `resolve()`. Not here: any carrier's word (`providers/<name>/vocabulary.py`).

`CallFacts.merge` is commutative, associative and idempotent, so any order and any repetition of a call's reports
gives the same facts, and therefore the same status (R42). When two reports of the end contradict each other, a fixed
rank decides, whatever came first (`_end_rank`), and the call is flagged (R47).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Direction(StrEnum):
    """inbound: PSTN to us; outbound: us to PSTN; webrtc: a browser leg (no code places one yet)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    WEBRTC = "webrtc"


class CallStatus(StrEnum):
    """The canonical status. The last six are final."""

    QUEUED = "queued"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    VOICEMAIL = "voicemail"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True when only a late machine verdict can still change it (R44)."""
        return self not in (CallStatus.QUEUED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


# Two dialects of the public API exist; these spellings are accepted on input and never written (design, section 2).
STATUS_ALIASES: Final[Mapping[str, CallStatus]] = {
    "in-progress": CallStatus.IN_PROGRESS,
    "no-answer": CallStatus.NO_ANSWER,
    "canceled": CallStatus.CANCELLED,
    "created": CallStatus.QUEUED,
    "ended": CallStatus.COMPLETED,
}


def read_status(word: str) -> CallStatus:
    """Return the status a client means by `word`, aliases included; raise ValueError for any other word."""
    return STATUS_ALIASES[word] if word in STATUS_ALIASES else CallStatus(word)


class EndedBy(StrEnum):
    """Who ended the call. `caller` and `callee` are the parties of this call in its own direction."""

    CALLER = "caller"
    CALLEE = "callee"
    US = "us"
    CARRIER = "carrier"
    UNKNOWN = "unknown"


class EndCause(StrEnum):
    """Why a call ended: the closed set that every carrier's words map to."""

    HUNG_UP = "hung_up"  # a party hung up in the normal way
    MAX_DURATION = "max_duration"  # our cut-off after the answer
    BUSY = "busy"
    DECLINED = "declined"  # a person or their phone refused
    NO_ANSWER = "no_answer"  # it rang until the join timeout, or nobody was there
    UNREACHABLE = "unreachable"  # switched off, out of service, not registered: may work later
    INVALID_NUMBER = "invalid_number"  # does not exist or cannot be dialed
    CANCELLED = "cancelled"  # ended from our side before the answer
    ABANDONED = "abandoned"  # an inbound caller gave up before the answer
    REJECTED = "rejected"  # we refused an inbound call
    MACHINE = "machine"  # ended because a machine answered
    NOT_PERMITTED = "not_permitted"  # destination, country or feature not allowed for the account
    CALLER_ID_REFUSED = "caller_id_refused"  # the number shown is not ours, or on a do-not-originate list
    BLOCKED = "blocked"  # spam block, screening, fraud rule
    CAPACITY = "capacity"  # concurrency or rate limit
    ACCOUNT = "account"  # funds, suspension, credentials
    REQUEST_REFUSED = "request_refused"  # the carrier found the request malformed
    CARRIER_ERROR = "carrier_error"  # network, routing or platform trouble
    MEDIA_ERROR = "media_error"  # no common codec, no audio
    APPLICATION_ERROR = "application_error"  # the carrier could not use our answer
    NOT_SENT = "not_sent"  # the dial never left this machine
    NOT_PLACED = "not_placed"  # unknown dial, no trace at the carrier: probably never placed
    INDETERMINATE = "indeterminate"  # unknown dial that stayed unknown
    LOST = "lost"  # the end was never reported and the carrier no longer knows
    UNKNOWN = "unknown"  # the carrier said a word we do not know, or none


class RetryAdvice(StrEnum):
    """Whether placing the same call again makes sense."""

    NO = "no"  # it will end the same way, or it succeeded
    LATER = "later"  # nothing to change; another time may work
    AFTER_CHANGE = "after_change"  # only after something is changed: number, caller id, account, settings
    ASK = "ask"  # it is not known whether the person was called: a person must decide


@dataclass(frozen=True, slots=True)
class _EndRule:
    unanswered: CallStatus
    answered: CallStatus
    retry: RetryAdvice
    rank: int  # of two contradicting ends of equal evidence the higher one counts


_C, _F = CallStatus, CallStatus.FAILED
_R = RetryAdvice

# One row per cause. A call that was answered and then ended is completed, whatever ended it, except when our own
# answer could not be used (the person heard nothing): that is failed.
END_RULES: Final[Mapping[EndCause, _EndRule]] = {
    EndCause.APPLICATION_ERROR: _EndRule(_F, _F, _R.AFTER_CHANGE, 95),
    EndCause.MACHINE: _EndRule(_C.VOICEMAIL, _C.VOICEMAIL, _R.LATER, 90),
    EndCause.MAX_DURATION: _EndRule(_C.NO_ANSWER, _C.COMPLETED, _R.NO, 85),
    EndCause.DECLINED: _EndRule(_C.BUSY, _C.COMPLETED, _R.NO, 80),
    EndCause.BUSY: _EndRule(_C.BUSY, _C.COMPLETED, _R.LATER, 75),
    EndCause.REJECTED: _EndRule(_C.CANCELLED, _C.COMPLETED, _R.LATER, 70),
    EndCause.INVALID_NUMBER: _EndRule(_F, _C.COMPLETED, _R.NO, 65),
    EndCause.BLOCKED: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 60),
    EndCause.NOT_PERMITTED: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 59),
    EndCause.CALLER_ID_REFUSED: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 58),
    EndCause.ACCOUNT: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 57),
    EndCause.CAPACITY: _EndRule(_F, _C.COMPLETED, _R.LATER, 56),
    EndCause.REQUEST_REFUSED: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 55),
    EndCause.MEDIA_ERROR: _EndRule(_F, _C.COMPLETED, _R.AFTER_CHANGE, 54),
    EndCause.UNREACHABLE: _EndRule(_F, _C.COMPLETED, _R.LATER, 50),
    EndCause.NO_ANSWER: _EndRule(_C.NO_ANSWER, _C.COMPLETED, _R.LATER, 45),
    EndCause.CANCELLED: _EndRule(_C.CANCELLED, _C.COMPLETED, _R.LATER, 40),
    EndCause.ABANDONED: _EndRule(_C.CANCELLED, _C.COMPLETED, _R.NO, 39),
    EndCause.HUNG_UP: _EndRule(_C.NO_ANSWER, _C.COMPLETED, _R.NO, 35),
    EndCause.CARRIER_ERROR: _EndRule(_F, _C.COMPLETED, _R.LATER, 30),
    EndCause.NOT_SENT: _EndRule(_F, _C.COMPLETED, _R.LATER, 20),
    EndCause.NOT_PLACED: _EndRule(_F, _C.COMPLETED, _R.ASK, 15),
    EndCause.INDETERMINATE: _EndRule(_F, _C.COMPLETED, _R.ASK, 10),
    EndCause.LOST: _EndRule(_F, _C.COMPLETED, _R.ASK, 5),
    EndCause.UNKNOWN: _EndRule(_F, _C.COMPLETED, _R.ASK, 0),
}


class AnsweredBy(StrEnum):
    """What took the call, as far as the carrier could tell."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    UNKNOWN = "unknown"


class Authority(StrEnum):
    """How much a figure is worth; of two figures the later in this list counts."""

    COMPUTED = "computed"  # from our own times
    REPORTED = "reported"  # a webhook said so
    RECORD = "record"  # the carrier's call detail record


_AUTHORITY_RANK: Final = {Authority.COMPUTED: 0, Authority.REPORTED: 1, Authority.RECORD: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierWords:
    """What the carrier itself said about an end, verbatim; empty when it said nothing."""

    status: str = ""  # its status word
    cause: str = ""  # its hangup cause or cause code
    source: str = ""  # who it says ended the call
    sip_code: str = ""
    text: str = ""  # a name or message for the code


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReport:
    """One report that the call ended.

    `proves_answered`: True when the words themselves say that the call had been answered, False when they say it had
    not, None when they do not tell. `reconciled` marks an end that we asked for instead of being told.
    """

    cause: EndCause
    ended_by: EndedBy = EndedBy.UNKNOWN
    proves_answered: bool | None = None
    words: CarrierWords = field(default_factory=CarrierWords)
    reconciled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineVerdict:
    """What machine detection said.

    A known answer outranks `unknown`, a detection outranks what the greeting's end implies, then the later one counts.
    """

    answered_by: AnsweredBy
    is_detection: bool = True
    at: datetime
    word: str = ""  # the carrier's own word


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Talk time in whole seconds."""

    seconds: int
    authority: Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the carrier charged: a positive decimal amount and its ISO 4217 currency."""

    amount: Decimal
    currency: str
    authority: Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A finished recording. `ref` is the carrier's id, `url` its address when it gave one (not necessarily lasting)."""

    ref: str
    duration_s: int | None = None
    channels: int | None = None
    url: str | None = field(default=None, repr=False)
    is_message: bool = False  # taken by TakeMessage, not a recording of the conversation


class RejectAs(StrEnum):
    """How we refused an inbound call."""

    BUSY = "busy"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """Everything known about one call; each report adds to it. All times are aware UTC."""

    ringing: bool = False
    answered: bool = False
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ends: tuple[EndReport, ...] = ()
    verdicts: tuple[MachineVerdict, ...] = ()
    greeting_over: bool = False  # the machine's greeting ended: a message may be spoken
    duration: Duration | None = None
    cost: Cost | None = None
    recordings: tuple[Recording, ...] = ()
    attestation: str | None = None  # SHAKEN/STIR level A, B, C or "failed"; a hint, never an access right
    rejected_as: RejectAs | None = None  # ours: the instruction we gave
    ends_by_itself: bool = (
        False  # ours: the last instruction ends the call, so who hung up first cannot be told
    )
    hangup_requested: EndCause | None = (
        None  # ours: why we asked the carrier to end it (CANCELLED, MACHINE ...)
    )

    def merge(self, other: CallFacts) -> CallFacts:
        """Return the facts known from both. Commutative, associative, idempotent."""
        return CallFacts(
            ringing=self.ringing or other.ringing,
            answered=self.answered or other.answered,
            answered_at=_earliest(self.answered_at, other.answered_at),
            ended_at=_earliest(self.ended_at, other.ended_at),
            ends=_union(self.ends, other.ends, _end_rank),
            verdicts=_union(self.verdicts, other.verdicts, _verdict_rank),
            greeting_over=self.greeting_over or other.greeting_over,
            duration=_best(
                self.duration, other.duration, lambda d: (_AUTHORITY_RANK[d.authority], d.seconds)
            ),
            cost=_best(self.cost, other.cost, lambda c: (_AUTHORITY_RANK[c.authority], c.amount, c.currency)),
            recordings=_merge_recordings(self.recordings, other.recordings),
            attestation=_best(self.attestation, other.attestation, lambda a: a),
            rejected_as=_best(self.rejected_as, other.rejected_as, lambda r: r.value),
            ends_by_itself=self.ends_by_itself or other.ends_by_itself,
            hangup_requested=_best(
                self.hangup_requested, other.hangup_requested, lambda c: (END_RULES[c].rank, c)
            ),
        )

    @property
    def verdict(self) -> MachineVerdict | None:
        """The machine verdict that counts, or None."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def answered_by(self) -> AnsweredBy | None:
        """What took the call, or None while nothing said so."""
        return self.verdict.answered_by if self.verdict else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReason:
    """Why a call is over: who ended it, why, the carrier's own words, and whether trying again makes sense."""

    who: EndedBy
    why: EndCause
    retry: RetryAdvice
    carrier: CarrierWords
    reconciled: bool = False
    contradictory: bool = False  # two reports of the end disagreed about the status


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A call's status with, when it is final, the reason."""

    status: CallStatus
    end_reason: EndReason | None = None


def resolve(facts: CallFacts, direction: Direction) -> Resolution:
    """Return the status that this set of facts means.

    Pure. For facts F and any order of the reports that made F the answer is the same, because `merge` is a join.
    """
    if not facts.ends:
        live = _C.IN_PROGRESS if facts.answered else _C.RINGING if facts.ringing else _C.QUEUED
        return Resolution(status=live)
    chosen = facts.ends[-1]
    status, reason = _settle(facts, chosen, direction)
    others = {_settle(facts, end, direction)[0] for end in facts.ends}
    return Resolution(status=status, end_reason=replace(reason, contradictory=len(others) > 1))


def was_answered(facts: CallFacts) -> bool:
    """True when a report, or an end's own words, prove that the call was answered.

    An end that says outright that the call was not answered wins over an earlier "answered" of the same carrier: the
    carrier's final word is what it bills by.
    """
    proofs = {end.proves_answered for end in facts.ends}
    if True in proofs:
        return True
    return facts.answered and False not in proofs


def _settle(facts: CallFacts, end: EndReport, direction: Direction) -> tuple[CallStatus, EndReason]:
    answered = was_answered(facts)
    cause, who = _refined_cause(facts, end, direction, answered)
    rule = END_RULES[cause]
    status = rule.answered if answered else rule.unanswered
    if facts.rejected_as is RejectAs.BUSY and cause is EndCause.REJECTED and not answered:
        status = _C.BUSY
    if status is _C.COMPLETED and facts.answered_by is AnsweredBy.MACHINE:
        status = _C.VOICEMAIL
    retry = _R.LATER if status is _C.VOICEMAIL else rule.retry
    return status, EndReason(who=who, why=cause, retry=retry, carrier=end.words, reconciled=end.reconciled)


# Ends that a request of ours explains when the call was never answered. A busy or declined phone stays what it is.
_EXPLAINED_BY_OUR_HANGUP: Final = frozenset(
    {EndCause.HUNG_UP, EndCause.NO_ANSWER, EndCause.CANCELLED, EndCause.UNKNOWN, EndCause.LOST}
)


# Who ended a call that was never answered, by its cause: carriers blame either side where nobody hung up.
_WHO_WHEN_UNANSWERED: Final[Mapping[EndCause, EndedBy]] = {
    EndCause.BUSY: EndedBy.CALLEE,
    EndCause.DECLINED: EndedBy.CALLEE,
    EndCause.NO_ANSWER: EndedBy.CARRIER,
    EndCause.UNREACHABLE: EndedBy.CARRIER,
    EndCause.INVALID_NUMBER: EndedBy.CARRIER,
    EndCause.NOT_PERMITTED: EndedBy.CARRIER,
    EndCause.CALLER_ID_REFUSED: EndedBy.CARRIER,
    EndCause.BLOCKED: EndedBy.CARRIER,
    EndCause.CAPACITY: EndedBy.CARRIER,
    EndCause.ACCOUNT: EndedBy.CARRIER,
    EndCause.CARRIER_ERROR: EndedBy.CARRIER,
}


def _refined_cause(
    facts: CallFacts, end: EndReport, direction: Direction, answered: bool
) -> tuple[EndCause, EndedBy]:
    """Return (why, who) with our own part in the end taken into account."""
    if answered:
        return _end_of_conversation(facts, end, direction)
    if direction is Direction.INBOUND:
        return _refused_or_abandoned(facts, end)
    requested = facts.hangup_requested
    if requested is not None and end.cause in _EXPLAINED_BY_OUR_HANGUP:
        return requested, EndedBy.US
    if end.cause is EndCause.HUNG_UP:
        was_ours = end.ended_by in (EndedBy.US, EndedBy.CALLER)
        return (EndCause.CANCELLED, EndedBy.US) if was_ours else (EndCause.NO_ANSWER, EndedBy.CARRIER)
    return end.cause, _WHO_WHEN_UNANSWERED.get(end.cause) or _our_side(end.ended_by, direction)


def _end_of_conversation(facts: CallFacts, end: EndReport, direction: Direction) -> tuple[EndCause, EndedBy]:
    """An answered call: the far party's own word counts, then our request; else whoever is left."""
    far = EndedBy.CALLER if direction is Direction.INBOUND else EndedBy.CALLEE
    requested = facts.hangup_requested
    is_ordinary = end.cause in (EndCause.HUNG_UP, EndCause.CANCELLED)
    if requested is not None and is_ordinary:
        why = EndCause.HUNG_UP if requested is EndCause.CANCELLED else requested
        # A socket that closed because the far party left makes us ask for a hang-up a moment later: it was them.
        return why, far if end.ended_by is far and why is EndCause.HUNG_UP else EndedBy.US
    cause = EndCause.HUNG_UP if is_ordinary else end.cause
    if end.ended_by is EndedBy.UNKNOWN and end.cause is EndCause.HUNG_UP and not facts.ends_by_itself:
        return cause, far  # the carrier does not say, and we did not: it was the other party
    if end.ended_by is EndedBy.UNKNOWN and end.cause is EndCause.CANCELLED:
        return cause, EndedBy.US
    return cause, _our_side(end.ended_by, direction)


def _our_side(who: EndedBy, direction: Direction) -> EndedBy:
    """The party on our side of the call is us: the caller of an outbound call, the callee of an inbound one."""
    ours = EndedBy.CALLEE if direction is Direction.INBOUND else EndedBy.CALLER
    return EndedBy.US if who is ours else who


def _refused_or_abandoned(facts: CallFacts, end: EndReport) -> tuple[EndCause, EndedBy]:
    """An inbound call that was never answered: we refused it, or the caller gave up, or something broke."""
    if facts.rejected_as is not None:
        return EndCause.REJECTED, EndedBy.US
    if facts.hangup_requested is not None and end.cause in _EXPLAINED_BY_OUR_HANGUP:
        return EndCause.REJECTED, EndedBy.US
    if end.cause in (EndCause.HUNG_UP, EndCause.CANCELLED) and end.ended_by is EndedBy.US:
        return EndCause.REJECTED, EndedBy.US
    if end.cause in (EndCause.HUNG_UP, EndCause.CANCELLED, EndCause.ABANDONED):
        return EndCause.ABANDONED, EndedBy.CALLER
    return end.cause, _WHO_WHEN_UNANSWERED.get(end.cause) or _our_side(end.ended_by, Direction.INBOUND)


# -- the join ------------------------------------------------------------------------------------------------------

# Proof of an answer outranks proof of none, which outranks silence on the matter: somebody paid for an answered call.
_PROOF_RANK: Final = {True: 2, False: 1, None: 0}
_KEPT_ENDS: Final = (
    8  # a carrier has a handful of ways to end one call; a flood of invented ones is cut by rank
)


def _end_rank(end: EndReport) -> tuple[Any, ...]:
    words = tuple(getattr(end.words, f.name) for f in fields(end.words))
    return (
        end.cause is not EndCause.UNKNOWN,
        END_RULES[end.cause].rank >= END_RULES[EndCause.CARRIER_ERROR].rank,
        _PROOF_RANK[end.proves_answered],
        END_RULES[end.cause].rank,
        end.ended_by is not EndedBy.UNKNOWN,
        not end.reconciled,
        end.ended_by.value,
        words,
    )


def _verdict_rank(verdict: MachineVerdict) -> tuple[Any, ...]:
    is_known = verdict.answered_by is not AnsweredBy.UNKNOWN
    return (
        is_known + (is_known and verdict.is_detection),
        verdict.at,
        verdict.answered_by.value,
        verdict.word,
        verdict.is_detection,
    )


def _union(a: tuple[T, ...], b: tuple[T, ...], rank: Callable[[T], Any]) -> tuple[T, ...]:
    return tuple(sorted({*a, *b}, key=rank))[-_KEPT_ENDS:]


def _best(a: T | None, b: T | None, rank: Callable[[T], Any]) -> T | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b, key=rank)


def _earliest(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _merge_recordings(a: tuple[Recording, ...], b: tuple[Recording, ...]) -> tuple[Recording, ...]:
    by_ref: dict[str, Recording] = {}
    for new in (*a, *b):
        old = by_ref.get(new.ref)
        by_ref[new.ref] = new if old is None else _merge_recording(old, new)
    return tuple(by_ref[ref] for ref in sorted(by_ref))


def _merge_recording(a: Recording, b: Recording) -> Recording:
    return Recording(
        ref=a.ref,
        duration_s=_best(a.duration_s, b.duration_s, lambda d: d),
        channels=_best(a.channels, b.channels, lambda c: c),
        url=_best(a.url, b.url, lambda u: u),
        is_message=a.is_message or b.is_message,
    )
