"""What the embedding program hears of a change: the right events, once each, and no handler breaks another."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.errors import ValidationError
from gateway.folding import fold
from gateway.models import Call
from gateway.notifying import EventType, GatewayEvent, Notifier, changes
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    CallStatus,
    Cost,
    EndCause,
    EndedBy,
    EndReport,
    MachineVerdict,
    Recording,
)
from tests.storekit import SECOND, T0, a_call

QUEUED = a_call()
RINGING = fold(QUEUED, CallFacts(ringing=True), T0)
ANSWERED = fold(RINGING, CallFacts(answered=True), T0)
HUNG_UP = CallFacts(ends=(EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, proves_answered=True),))
COMPLETED = fold(ANSWERED, HUNG_UP, T0 + SECOND)
BUSY = fold(RINGING, CallFacts(ends=(EndReport(cause=EndCause.BUSY, proves_answered=False),)), T0)
FAILED = fold(QUEUED, CallFacts(ends=(EndReport(cause=EndCause.INVALID_NUMBER),)), T0)
VOICEMAIL = fold(COMPLETED, CallFacts(verdicts=(MachineVerdict(answered_by=AnsweredBy.MACHINE, at=T0),)), T0)
COST = CallFacts(cost=Cost(amount=Decimal("0.01"), currency="USD", authority=Authority.RECORD))
RECORDED = CallFacts(recordings=(Recording(ref="R1", duration_s=3),))


def heard(before: Call | None, after: Call) -> list[str]:
    return [event.type.value for event in changes(before, after, T0)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, QUEUED, []),
        (None, RINGING, ["call.ringing"]),
        (QUEUED, RINGING, ["call.ringing"]),
        (RINGING, ANSWERED, ["call.answered"]),
        (None, ANSWERED, ["call.answered"]),
        (ANSWERED, COMPLETED, ["call.ended"]),
        # the answer was told by the end only: both are heard
        (QUEUED, COMPLETED, ["call.answered", "call.ended"]),
        (RINGING, BUSY, ["call.ended"]),
        (QUEUED, FAILED, ["call.failed"]),
        (COMPLETED, VOICEMAIL, ["call.updated"]),
        (COMPLETED, fold(COMPLETED, COST, T0), ["call.updated"]),
        (COMPLETED, fold(COMPLETED, RECORDED, T0), ["call.recording_ready"]),
        (ANSWERED, fold(ANSWERED, HUNG_UP.merge(RECORDED), T0), ["call.ended", "call.recording_ready"]),
        (RINGING, replace(RINGING, context={"dial": "unconfirmed"}), ["call.updated"]),
        (RINGING, replace(RINGING, agent_id="another"), ["call.updated"]),
        (COMPLETED, COMPLETED, []),
        # what only we remember is no news to anybody
        (RINGING, fold(RINGING, CallFacts(hangup_requested=EndCause.CANCELLED), T0), []),
        (RINGING, replace(RINGING, leg_id="L1", version=9), []),
    ],
)
def test_a_change_is_told_by_its_own_name(before: Call | None, after: Call, expected: list[str]) -> None:
    assert heard(before, after) == expected


def test_a_recording_that_is_only_completed_is_not_ready_twice() -> None:
    once = fold(COMPLETED, RECORDED, T0)
    again = fold(once, CallFacts(recordings=(Recording(ref="R1", channels=2),)), T0)
    assert again is not once
    assert heard(once, again) == []
    assert heard(once, fold(once, CallFacts(recordings=(Recording(ref="R2"),)), T0)) == [
        "call.recording_ready"
    ]


def test_an_event_carries_the_call_after_it_and_its_counter() -> None:
    [event] = changes(ANSWERED, COMPLETED, T0)
    assert event.call is COMPLETED
    assert event.sequence == COMPLETED.sequence > ANSWERED.sequence
    assert event.occurred_at == T0


def test_every_final_status_is_heard_once_as_ended_or_failed() -> None:
    for status in CallStatus:
        after = replace(QUEUED, status=status)
        told = set(heard(QUEUED, after)) & {"call.ended", "call.failed"}
        expected = (
            {"call.failed" if status is CallStatus.FAILED else "call.ended"} if status.is_final else set()
        )
        assert told == expected


# -- handlers ------------------------------------------------------------------------------------------------------


def event(kind: EventType) -> GatewayEvent:
    return GatewayEvent(type=kind, call=QUEUED, occurred_at=T0)


def test_handlers_hear_their_own_event_in_the_order_of_registration() -> None:
    notifier, told = Notifier(), []
    notifier.on("call.ended")(lambda e: told.append("first"))
    notifier.on("call.ended")(lambda e: told.append("second"))
    notifier.on("call.ringing")(lambda e: told.append("another"))
    notifier.fire([event(EventType.ENDED), event(EventType.ANSWERED)])
    assert told == ["first", "second"]


def test_a_raising_handler_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    notifier, told = Notifier(), []

    @notifier.on("call.ended")
    def broken(event: GatewayEvent) -> None:
        raise RuntimeError("a bug of the embedder's")

    notifier.on("call.ended")(told.append)
    with caplog.at_level(logging.ERROR):
        notifier.fire([event(EventType.ENDED), event(EventType.ENDED)])
    assert len(told) == 2
    assert f"a handler of call.ended raised for call {QUEUED.id}" in caplog.text


def test_on_gives_back_the_handler_itself() -> None:
    def handler(event: GatewayEvent) -> None: ...

    assert Notifier().on("call.updated")(handler) is handler


@pytest.mark.parametrize("name", ["", "ended", "call.finished", "CALL.ENDED", "x" * 500])
def test_an_event_that_does_not_exist_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(ValidationError, match=r"call\.ringing, call\.answered, call\.ended") as refused:
        Notifier().on(name)
    assert len(str(refused.value)) < 250


def test_handlers_may_be_added_while_others_are_called() -> None:
    notifier, told = Notifier(), []
    notifier.on("call.ended")(lambda e: notifier.on("call.ended")(told.append))
    notifier.fire([event(EventType.ENDED)])
    assert told == [], "one that was added by a handler hears the next event"
    threads = [threading.Thread(target=lambda: notifier.on("call.ringing")(told.append)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notifier.fire([event(EventType.RINGING)])
    assert len(told) == 20
