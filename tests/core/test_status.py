"""What a set of facts means: every reason an end can have, who ended it, and what wins when reports disagree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from gateway.status import (
    END_RULES,
    STATUS_ALIASES,
    AnsweredBy,
    Authority,
    CallFacts,
    CallStatus,
    CarrierWords,
    Cost,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    EndReport,
    MachineVerdict,
    Recording,
    RejectAs,
    Resolution,
    RetryAdvice,
    read_status,
    resolve,
    was_answered,
)

C, S, W, R = EndCause, CallStatus, EndedBy, RetryAdvice
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def ended(
    cause: EndCause, by: EndedBy = W.UNKNOWN, *, proves: bool | None = None, reconciled: bool = False
) -> CallFacts:
    words = CarrierWords(cause=f"the carrier's word for {cause.value}")
    end = EndReport(cause=cause, ended_by=by, proves_answered=proves, words=words, reconciled=reconciled)
    return CallFacts(ends=(end,), ended_at=T0)


def verdict(by: AnsweredBy, at: datetime = T0, *, is_detection: bool = True) -> CallFacts:
    return CallFacts(verdicts=(MachineVerdict(answered_by=by, at=at, is_detection=is_detection, word=by),))


def merged(*reports: CallFacts) -> CallFacts:
    found = CallFacts()
    for report in reports:
        found = found.merge(report)
    return found


ANSWERED = CallFacts(answered=True, answered_at=T0)
RINGING = CallFacts(ringing=True)


def outbound(*reports: CallFacts) -> Resolution:
    return resolve(merged(*reports), Direction.OUTBOUND)


def inbound(*reports: CallFacts) -> Resolution:
    return resolve(merged(*reports), Direction.INBOUND)


def end_of(resolution: Resolution) -> tuple[CallStatus, EndCause, EndedBy]:
    assert resolution.end_reason is not None
    return resolution.status, resolution.end_reason.why, resolution.end_reason.who


# -- words ---------------------------------------------------------------------------------------------------------


def test_the_canonical_statuses_are_the_nine_of_the_contract() -> None:
    assert [status.value for status in S] == [
        *("queued", "ringing", "in_progress"),
        *("completed", "busy", "no_answer", "voicemail", "cancelled", "failed"),
    ]
    assert [status for status in S if not status.is_final] == [S.QUEUED, S.RINGING, S.IN_PROGRESS]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("in-progress", S.IN_PROGRESS),
        ("no-answer", S.NO_ANSWER),
        ("canceled", S.CANCELLED),
        ("created", S.QUEUED),
        ("ended", S.COMPLETED),
    ],
)
def test_another_dialects_word_is_read_and_never_written(word: str, status: CallStatus) -> None:
    assert read_status(word) is status
    assert word in STATUS_ALIASES
    assert word not in {known.value for known in S}


def test_every_status_reads_as_itself_and_any_other_word_is_refused() -> None:
    assert [read_status(status.value) for status in S] == list(S)
    for word in ("", "COMPLETED", "completed ", "answered", "no_answer\n"):
        with pytest.raises(ValueError, match="not a valid CallStatus"):
            read_status(word)


# -- one end -------------------------------------------------------------------------------------------------------

# Held here a second time, by hand: what an outbound call becomes by each reason, unanswered and answered, and whether
# trying again makes sense.
OUTBOUND = [
    (C.HUNG_UP, S.NO_ANSWER, S.COMPLETED, R.NO),
    (C.MAX_DURATION, S.NO_ANSWER, S.COMPLETED, R.NO),
    (C.BUSY, S.BUSY, S.COMPLETED, R.LATER),
    (C.DECLINED, S.BUSY, S.COMPLETED, R.NO),
    (C.NO_ANSWER, S.NO_ANSWER, S.COMPLETED, R.LATER),
    (C.UNREACHABLE, S.FAILED, S.COMPLETED, R.LATER),
    (C.INVALID_NUMBER, S.FAILED, S.COMPLETED, R.NO),
    (C.CANCELLED, S.CANCELLED, S.COMPLETED, R.LATER),
    (C.ABANDONED, S.CANCELLED, S.COMPLETED, R.NO),
    (C.REJECTED, S.CANCELLED, S.COMPLETED, R.LATER),
    (C.MACHINE, S.VOICEMAIL, S.VOICEMAIL, R.LATER),
    (C.NOT_PERMITTED, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.CALLER_ID_REFUSED, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.BLOCKED, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.CAPACITY, S.FAILED, S.COMPLETED, R.LATER),
    (C.ACCOUNT, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.REQUEST_REFUSED, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.CARRIER_ERROR, S.FAILED, S.COMPLETED, R.LATER),
    (C.MEDIA_ERROR, S.FAILED, S.COMPLETED, R.AFTER_CHANGE),
    (C.APPLICATION_ERROR, S.FAILED, S.FAILED, R.AFTER_CHANGE),
    (C.NOT_SENT, S.FAILED, S.COMPLETED, R.LATER),
    (C.NOT_PLACED, S.FAILED, S.COMPLETED, R.ASK),
    (C.INDETERMINATE, S.FAILED, S.COMPLETED, R.ASK),
    (C.LOST, S.FAILED, S.COMPLETED, R.ASK),
    (C.UNKNOWN, S.FAILED, S.COMPLETED, R.ASK),
]


def test_every_reason_is_in_the_table_and_in_this_one() -> None:
    assert set(END_RULES) == {row[0] for row in OUTBOUND} == set(C)
    ranks = [rule.rank for rule in END_RULES.values()]
    assert len(set(ranks)) == len(ranks), "of two contradicting ends one must win"


@pytest.mark.parametrize(("cause", "unanswered", "answered", "retry"), OUTBOUND)
def test_a_reason_means_one_status_before_and_one_after_the_answer(
    cause: EndCause, unanswered: CallStatus, answered: CallStatus, retry: RetryAdvice
) -> None:
    before, after = outbound(ended(cause)), outbound(ANSWERED, ended(cause))
    assert (before.status, after.status) == (unanswered, answered)
    assert before.status.is_final
    assert before.end_reason is not None
    # An outbound call that was hung up on unanswered was not answered: its advice is that of a missed call.
    assert before.end_reason.retry is (R.LATER if cause is C.HUNG_UP else retry)
    assert before.end_reason.carrier.cause == f"the carrier's word for {cause.value}"
    assert not before.end_reason.contradictory


@pytest.mark.parametrize(
    ("facts", "status"),
    [(CallFacts(), S.QUEUED), (RINGING, S.RINGING), (ANSWERED, S.IN_PROGRESS)],
)
@pytest.mark.parametrize("direction", list(Direction))
def test_a_call_without_an_end_lives_and_has_no_reason(
    facts: CallFacts, status: CallStatus, direction: Direction
) -> None:
    assert resolve(facts, direction) == Resolution(status=status)


def test_a_hang_up_that_we_asked_for_is_no_end_before_the_carrier_says_so() -> None:
    asked = CallFacts(hangup_requested=C.CANCELLED)
    assert outbound(RINGING, asked) == Resolution(status=S.RINGING)


# -- who ended it --------------------------------------------------------------------------------------------------

WHO = [
    # an answered call where the carrier names nobody: the other party
    ("out", [ANSWERED, ended(C.HUNG_UP)], (S.COMPLETED, C.HUNG_UP, W.CALLEE)),
    ("in", [ANSWERED, ended(C.HUNG_UP)], (S.COMPLETED, C.HUNG_UP, W.CALLER)),
    # the party on our side of the call is us
    ("out", [ANSWERED, ended(C.HUNG_UP, W.CALLER)], (S.COMPLETED, C.HUNG_UP, W.US)),
    ("in", [ANSWERED, ended(C.HUNG_UP, W.CALLEE)], (S.COMPLETED, C.HUNG_UP, W.US)),
    ("out", [ANSWERED, ended(C.HUNG_UP, W.CALLEE)], (S.COMPLETED, C.HUNG_UP, W.CALLEE)),
    ("in", [ANSWERED, ended(C.HUNG_UP, W.CALLER)], (S.COMPLETED, C.HUNG_UP, W.CALLER)),
    ("out", [ANSWERED, ended(C.HUNG_UP, W.CARRIER)], (S.COMPLETED, C.HUNG_UP, W.CARRIER)),
    ("out", [ANSWERED, ended(C.MAX_DURATION, W.US)], (S.COMPLETED, C.MAX_DURATION, W.US)),
    ("out", [ANSWERED, ended(C.CARRIER_ERROR)], (S.COMPLETED, C.CARRIER_ERROR, W.UNKNOWN)),
    # a document that ends the call by itself: nobody can tell who was first
    (
        "in",
        [ANSWERED, CallFacts(ends_by_itself=True), ended(C.HUNG_UP)],
        (S.COMPLETED, C.HUNG_UP, W.UNKNOWN),
    ),
    (
        "in",
        [ANSWERED, CallFacts(ends_by_itself=True), ended(C.HUNG_UP, W.CALLER)],
        (S.COMPLETED, C.HUNG_UP, W.CALLER),
    ),
    # we asked for the end
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.CANCELLED), ended(C.HUNG_UP)],
        (S.COMPLETED, C.HUNG_UP, W.US),
    ),
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.CANCELLED), ended(C.CANCELLED, W.US)],
        (S.COMPLETED, C.HUNG_UP, W.US),
    ),
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.MACHINE), ended(C.HUNG_UP)],
        (S.VOICEMAIL, C.MACHINE, W.US),
    ),
    (
        "in",
        [ANSWERED, CallFacts(hangup_requested=C.HUNG_UP), ended(C.HUNG_UP)],
        (S.COMPLETED, C.HUNG_UP, W.US),
    ),
    # ... but the far party had left: that is why the agent's socket closed and we asked
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.HUNG_UP), ended(C.HUNG_UP, W.CALLEE)],
        (S.COMPLETED, C.HUNG_UP, W.CALLEE),
    ),
    (
        "in",
        [ANSWERED, CallFacts(hangup_requested=C.CANCELLED), ended(C.HUNG_UP, W.CALLER)],
        (S.COMPLETED, C.HUNG_UP, W.CALLER),
    ),
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.MACHINE), ended(C.HUNG_UP, W.CALLEE)],
        (S.VOICEMAIL, C.MACHINE, W.US),
    ),
    # ... but the cut-off came first
    (
        "out",
        [ANSWERED, CallFacts(hangup_requested=C.CANCELLED), ended(C.MAX_DURATION, W.US)],
        (S.COMPLETED, C.MAX_DURATION, W.US),
    ),
    # a carrier that says "cancelled" of an answered call means its hang-up command
    ("out", [ANSWERED, ended(C.CANCELLED)], (S.COMPLETED, C.HUNG_UP, W.US)),
    ("in", [ANSWERED, ended(C.CANCELLED, W.CALLER)], (S.COMPLETED, C.HUNG_UP, W.CALLER)),
    # ringing, then ended by us
    (
        "out",
        [RINGING, CallFacts(hangup_requested=C.CANCELLED), ended(C.HUNG_UP)],
        (S.CANCELLED, C.CANCELLED, W.US),
    ),
    (
        "out",
        [RINGING, CallFacts(hangup_requested=C.CANCELLED), ended(C.NO_ANSWER, W.CARRIER)],
        (S.CANCELLED, C.CANCELLED, W.US),
    ),
    (
        "out",
        [RINGING, CallFacts(hangup_requested=C.CANCELLED), ended(C.LOST)],
        (S.CANCELLED, C.CANCELLED, W.US),
    ),
    ("out", [RINGING, ended(C.HUNG_UP, W.CALLER)], (S.CANCELLED, C.CANCELLED, W.US)),
    ("out", [RINGING, ended(C.HUNG_UP, W.US)], (S.CANCELLED, C.CANCELLED, W.US)),
    # ... unless the phone was faster
    (
        "out",
        [RINGING, CallFacts(hangup_requested=C.CANCELLED), ended(C.BUSY, W.CALLEE)],
        (S.BUSY, C.BUSY, W.CALLEE),
    ),
    (
        "out",
        [RINGING, CallFacts(hangup_requested=C.CANCELLED), ended(C.DECLINED, W.CALLEE)],
        (S.BUSY, C.DECLINED, W.CALLEE),
    ),
    # nobody answered: the time to ring ran out, whichever side the carrier blames
    ("out", [RINGING, ended(C.HUNG_UP)], (S.NO_ANSWER, C.NO_ANSWER, W.CARRIER)),
    ("out", [RINGING, ended(C.HUNG_UP, W.CALLEE)], (S.NO_ANSWER, C.NO_ANSWER, W.CARRIER)),
    ("out", [RINGING, ended(C.NO_ANSWER, W.CALLEE)], (S.NO_ANSWER, C.NO_ANSWER, W.CARRIER)),
    ("out", [RINGING, ended(C.BUSY, W.CARRIER)], (S.BUSY, C.BUSY, W.CALLEE)),
    ("out", [RINGING, ended(C.DECLINED)], (S.BUSY, C.DECLINED, W.CALLEE)),
    ("out", [ended(C.INVALID_NUMBER, W.CALLEE)], (S.FAILED, C.INVALID_NUMBER, W.CARRIER)),
    ("out", [ended(C.CANCELLED, W.CALLER)], (S.CANCELLED, C.CANCELLED, W.US)),
    ("out", [ended(C.UNKNOWN, W.CALLEE)], (S.FAILED, C.UNKNOWN, W.CALLEE)),
    ("out", [RINGING, ended(C.HUNG_UP, W.CARRIER)], (S.NO_ANSWER, C.NO_ANSWER, W.CARRIER)),
    # inbound, never answered: the caller gave up, whatever word the carrier has for it
    ("in", [RINGING, ended(C.HUNG_UP)], (S.CANCELLED, C.ABANDONED, W.CALLER)),
    ("in", [RINGING, ended(C.HUNG_UP, W.CALLER)], (S.CANCELLED, C.ABANDONED, W.CALLER)),
    ("in", [RINGING, ended(C.CANCELLED, W.CALLER)], (S.CANCELLED, C.ABANDONED, W.CALLER)),
    ("in", [RINGING, ended(C.ABANDONED)], (S.CANCELLED, C.ABANDONED, W.CALLER)),
    # ... or we refused it
    ("in", [RINGING, ended(C.HUNG_UP, W.US)], (S.CANCELLED, C.REJECTED, W.US)),
    (
        "in",
        [RINGING, CallFacts(hangup_requested=C.HUNG_UP), ended(C.NO_ANSWER)],
        (S.CANCELLED, C.REJECTED, W.US),
    ),
    # ... or something broke
    ("in", [RINGING, ended(C.APPLICATION_ERROR, W.US)], (S.FAILED, C.APPLICATION_ERROR, W.US)),
    ("in", [RINGING, ended(C.CARRIER_ERROR, W.CARRIER)], (S.FAILED, C.CARRIER_ERROR, W.CARRIER)),
]


@pytest.mark.parametrize(("direction", "reports", "expected"), WHO)
def test_who_ended_it_is_told_in_any_order(
    direction: str, reports: list[CallFacts], expected: tuple[CallStatus, EndCause, EndedBy]
) -> None:
    told = inbound if direction == "in" else outbound
    for order in permutations(reports):
        assert end_of(told(*order)) == expected


@pytest.mark.parametrize(("reason", "status"), [(RejectAs.BUSY, S.BUSY), (RejectAs.REJECTED, S.CANCELLED)])
@pytest.mark.parametrize("cause", [C.BUSY, C.DECLINED, C.NO_ANSWER, C.HUNG_UP, C.REJECTED, C.UNKNOWN])
def test_a_refused_caller_is_refused_by_us_whatever_the_carrier_calls_it(
    reason: RejectAs, status: CallStatus, cause: EndCause
) -> None:
    found = inbound(CallFacts(rejected_as=reason), ended(cause, W.CALLEE))
    assert end_of(found) == (status, C.REJECTED, W.US)


def test_a_refusal_that_came_too_late_refused_nobody() -> None:
    found = inbound(CallFacts(rejected_as=RejectAs.BUSY), ANSWERED, ended(C.HUNG_UP))
    assert end_of(found) == (S.COMPLETED, C.HUNG_UP, W.CALLER)


# -- machines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "status"),
    [
        (AnsweredBy.MACHINE, S.VOICEMAIL),
        (AnsweredBy.HUMAN, S.COMPLETED),
        (AnsweredBy.FAX, S.COMPLETED),
        (AnsweredBy.UNKNOWN, S.COMPLETED),
    ],
)
def test_a_verdict_counts_before_and_after_the_end(by: AnsweredBy, status: CallStatus) -> None:
    for order in permutations([ANSWERED, verdict(by), ended(C.HUNG_UP)]):
        assert outbound(*order).status is status


def test_a_machine_that_was_never_reached_does_not_make_a_voicemail() -> None:
    assert outbound(verdict(AnsweredBy.MACHINE), ended(C.BUSY)).status is S.BUSY


@pytest.mark.parametrize(
    ("verdicts", "counts"),
    [
        (
            [("unknown", 5, True), ("human", 0, True)],
            "human",
        ),  # a known answer outranks "unknown", however late
        (
            [("machine", 5, False), ("human", 0, True)],
            "human",
        ),  # a detection outranks what a greeting implies
        ([("human", 0, True), ("machine", 5, True)], "machine"),  # then the later one counts
        ([("unknown", 0, True), ("machine", 0, False)], "machine"),
    ],
)
def test_of_several_verdicts_one_counts_in_any_order(
    verdicts: list[tuple[str, int, bool]], counts: str
) -> None:
    reports = [verdict(AnsweredBy(by), T0 + s * SECOND, is_detection=d) for by, s, d in verdicts]
    for order in permutations(reports):
        assert merged(*order).answered_by is AnsweredBy(counts)


def test_nothing_said_is_no_verdict() -> None:
    assert CallFacts().answered_by is None


# -- contradictions (R47) ------------------------------------------------------------------------------------------

CONTRADICTIONS = [
    # answered after failed: a failure that disproves the answer wins over a stray "answered" ...
    ([ANSWERED, ended(C.CARRIER_ERROR, proves=False)], S.FAILED, C.CARRIER_ERROR, False),
    ([ANSWERED, ended(C.BUSY, proves=False)], S.BUSY, C.BUSY, False),
    # ... but an end that says nothing about the answer leaves it proven
    ([ANSWERED, ended(C.CARRIER_ERROR)], S.COMPLETED, C.CARRIER_ERROR, False),
    # two ends: the one that proves the answer decides, because somebody paid for it
    ([ended(C.HUNG_UP, proves=True), ended(C.BUSY, proves=False)], S.COMPLETED, C.HUNG_UP, False),
    ([ended(C.HUNG_UP, proves=True), ended(C.NO_ANSWER, proves=False)], S.COMPLETED, C.HUNG_UP, False),
    # two unanswered ends that mean different statuses: a fixed rank decides, and it is flagged
    ([ended(C.BUSY, proves=False), ended(C.NO_ANSWER, proves=False)], S.BUSY, C.BUSY, True),
    ([ended(C.NO_ANSWER, proves=False), ended(C.UNREACHABLE, proves=False)], S.FAILED, C.UNREACHABLE, True),
    # what only we guessed gives way to what the carrier said
    ([ended(C.LOST, reconciled=True), ended(C.BUSY, W.CALLEE)], S.BUSY, C.BUSY, True),
    ([ended(C.NOT_PLACED), ended(C.NO_ANSWER, W.CALLEE)], S.NO_ANSWER, C.NO_ANSWER, True),
    ([ended(C.UNKNOWN), ended(C.CARRIER_ERROR)], S.FAILED, C.CARRIER_ERROR, False),
    # a carrier's unknown word never beats one that we know
    ([ended(C.UNKNOWN, proves=True), ended(C.HUNG_UP, W.CALLEE)], S.COMPLETED, C.HUNG_UP, False),
    # the person heard nothing: that the call was "completed" does not make it a success
    (
        [ended(C.APPLICATION_ERROR, proves=True), ended(C.HUNG_UP, proves=True)],
        S.FAILED,
        C.APPLICATION_ERROR,
        True,
    ),
    # three at once
    (
        [ended(C.BUSY, proves=False), ended(C.HUNG_UP, proves=True), ended(C.CARRIER_ERROR)],
        S.COMPLETED,
        C.HUNG_UP,
        False,
    ),
]


@pytest.mark.parametrize(("reports", "status", "why", "is_flagged"), CONTRADICTIONS)
def test_contradicting_reports_have_one_outcome_whatever_came_first(
    reports: list[CallFacts], status: CallStatus, why: EndCause, is_flagged: bool
) -> None:
    for order in permutations(reports):
        found = outbound(*order, *order)
        assert found.end_reason is not None
        assert (found.status, found.end_reason.why) == (status, why)
        assert found.end_reason.contradictory is is_flagged


def test_an_end_that_we_were_told_outranks_the_same_one_that_we_asked_for() -> None:
    told, asked = ended(C.HUNG_UP, W.CALLEE), ended(C.HUNG_UP, W.CALLEE, reconciled=True)
    for order in permutations([told, asked]):
        reason = outbound(ANSWERED, *order).end_reason
        assert reason is not None
        assert not reason.reconciled
    reason = outbound(ANSWERED, asked).end_reason
    assert reason is not None
    assert reason.reconciled


def test_a_flood_of_invented_ends_is_cut_and_the_true_one_stays() -> None:
    true = ended(C.HUNG_UP, W.CALLEE, proves=True)
    flood = [
        CallFacts(ends=(EndReport(cause=C.UNKNOWN, words=CarrierWords(cause=f"invented {n}")),))
        for n in range(100)
    ]
    found = merged(*flood[:50], true, *flood[50:])
    assert len(found.ends) == 8
    assert found.ends[-1] == true.ends[0]
    assert found == merged(true, *reversed(flood))


def test_was_answered_follows_proof_not_hope() -> None:
    assert was_answered(ANSWERED)
    assert not was_answered(RINGING)
    assert was_answered(ended(C.HUNG_UP, proves=True))
    assert not was_answered(merged(ANSWERED, ended(C.NO_ANSWER, proves=False)))
    assert was_answered(merged(ended(C.HUNG_UP, proves=True), ended(C.NO_ANSWER, proves=False)))


# -- figures -------------------------------------------------------------------------------------------------------


def test_the_record_outranks_the_report_and_the_report_our_own_figure() -> None:
    figures = [
        CallFacts(duration=Duration(seconds=s, authority=a))
        for s, a in ((99, Authority.COMPUTED), (12, Authority.REPORTED), (10, Authority.RECORD))
    ]
    for order in permutations(figures):
        found = merged(*order).duration
        assert found is not None
        assert (found.seconds, found.authority) == (10, Authority.RECORD)


def test_the_cost_of_the_record_outranks_a_higher_one_that_was_reported() -> None:
    reported = CallFacts(cost=Cost(amount=Decimal("0.03"), currency="USD", authority=Authority.REPORTED))
    record = CallFacts(cost=Cost(amount=Decimal("0.02"), currency="USD", authority=Authority.RECORD))
    assert merged(reported, record).cost == merged(record, reported).cost == record.cost


def test_times_are_the_earliest_told() -> None:
    late, early = CallFacts(answered_at=T0 + SECOND), CallFacts(answered_at=T0)
    assert merged(late, early).answered_at == merged(early, late).answered_at == T0


def test_reports_about_one_recording_are_one_recording() -> None:
    first = CallFacts(recordings=(Recording(ref="R1", duration_s=3),))
    second = CallFacts(recordings=(Recording(ref="R1", channels=2, url="https://c.example/R1"),))
    other = CallFacts(recordings=(Recording(ref="R0"),))
    for order in permutations([first, second, other]):
        assert merged(*order).recordings == (
            Recording(ref="R0"),
            Recording(ref="R1", duration_s=3, channels=2, url="https://c.example/R1"),
        )
