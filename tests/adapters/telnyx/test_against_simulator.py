"""The adapter against the simulated Telnyx: the SDK's requests over HTTP, signed events back.

The gateway's core is played by a few lines: facts merge, an event that wants an instruction gets one. The simulator is
used as a program uses it, through its public API, and says what really happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.instructions import (
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    Reject,
    Say,
    Stream,
    TakeMessage,
)
from gateway.interface import (
    CallbackUrls,
    CallEvent,
    DialOutcome,
    DialQuery,
    DialResult,
    Hook,
    LegRef,
    StepOutcome,
    WebhookReply,
    WebhookRequest,
)
from gateway.status import CallFacts, CallStatus, Direction, EndCause, resolve
from providers.simulator import (
    Answer,
    Busy,
    Caller,
    Decline,
    EchoAgent,
    NoAnswer,
    SimCall,
    Simulator,
    Unreachable,
    Voicemail,
)
from providers.telnyx import TelnyxProvider
from tests.adapters.kit import Listener
from tests.adapters.telnyx.support import dial_request, live_call

OURS, CALLEE, OTHER, CALLER = "+14155550100", "+14155550123", "+14155550177", "+12125550123"
ATTEMPT = "0123456789abcdef0123456789abcdef"

Decide = Callable[[CallEvent], Instruction | None]


@dataclass
class Core:
    """Merges facts and gives the instructions that `decide` says."""

    telnyx: TelnyxProvider
    sim: Simulator
    url: str = ""
    decide: Decide = lambda event: None
    events: list[CallEvent] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    steps: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, hook: Hook, request: WebhookRequest) -> WebhookReply:
        try:
            self.telnyx.verify_webhook(request)
            (event,) = self.telnyx.read_webhook(hook, request)
        except BaseException as failure:  # shown by the test, in its own thread
            self.failures.append(failure)
            return WebhookReply()
        with self.lock:
            self.events.append(event)
        threading.Thread(target=self._act, args=(event,), daemon=True).start()
        return WebhookReply()

    def _act(self, event: CallEvent) -> None:
        try:
            with self.lock:
                instruction = self.decide(event)
                if instruction is not None:
                    self.instruct(self.leg_of(event), instruction)
        except BaseException as failure:  # shown by the test, in its own thread
            self.failures.append(failure)

    def instruct(self, leg_id: str, instruction: Instruction, **changes: Any) -> None:
        """Make the next step of a call."""
        mine = [event for event in self.events if event.leg_id == leg_id]
        direction = next(event.direction for event in mine if event.direction)
        self.steps += 1
        call = live_call(
            leg_id=leg_id,
            direction=direction,
            answered=self.facts(leg_id).answered,
            step_token=f"step{self.steps}",
            attempt_token=ATTEMPT if direction is Direction.OUTBOUND else None,
            events_url=self.url,
            caller_id=OURS,
            join_timeout_s=5,
        )
        self.telnyx.answer(replace(call, **changes), instruction)

    def leg_of(self, event: CallEvent) -> str:
        """Return the call's own leg: a second leg is not instructed."""
        return self.events[0].leg_id if event.is_child_leg else event.leg_id

    def facts(self, leg_id: str) -> CallFacts:
        merged = CallFacts()
        for event in self.events:
            if event.leg_id == leg_id or event.leg_id in self.other_ids(leg_id):
                merged = merged.merge(event.facts)
        return merged

    def other_ids(self, leg_id: str) -> set[str]:
        return {other for event in self.events if event.leg_id == leg_id for other in event.other_ids}

    def status(self, call: SimCall) -> CallStatus:
        return resolve(self.facts(call.id), Direction(call.direction)).status

    def reports(self) -> list[tuple[str | None, StepOutcome]]:
        return [(event.step_token, event.step.outcome) for event in self.events if event.step]

    def until(self, check: Callable[[], Any]) -> None:
        self.sim.wait(lambda: bool(check()) or bool(self.failures), 10)
        assert self.failures == []

    def ended(self, call: SimCall) -> CallStatus:
        self.until(lambda: self.facts(call.id).ends)
        return self.status(call)

    def dial(self, to: str = CALLEE, **changes: Any) -> tuple[DialOutcome, SimCall]:
        urls = CallbackUrls(
            **dict.fromkeys(("answer", "status", "amd", "recording", "fallback"), self.url),
            events=f"{self.url}/{ATTEMPT}",
        )
        request = dial_request(to=to, caller_id=OURS, urls=urls, attempt_token=ATTEMPT, **changes)
        self.telnyx.check_dial(request)
        outcome = self.telnyx.dial(request)
        assert outcome.result is DialResult.ACCEPTED, outcome
        assert outcome.leg_id is not None
        return outcome, self.sim.call(outcome.leg_id)


@pytest.fixture
def core() -> Iterator[Core]:
    with Simulator(speed=20, seed=11) as sim:
        account = sim.add_account("telnyx", name="Acme")
        sim.add_number(account, OURS)
        secrets = {**account.secrets, "connection_id": str(account.connection_id)}
        telnyx = TelnyxProvider(secrets, base_url=sim.base_url("telnyx"))
        core = Core(telnyx, sim)
        with Listener(core.take) as listener:
            core.url = f"{listener.url}/events"
            sim.configure_application(account, webhook_url=core.url)
            yield core


S = CallStatus


@pytest.mark.parametrize(
    ("script", "changes", "status", "why"),
    [
        (Answer(after_s=1, talk_s=2), {}, S.COMPLETED, EndCause.HUNG_UP),
        (Busy(), {}, S.BUSY, EndCause.BUSY),
        (Decline(), {}, S.BUSY, EndCause.DECLINED),
        (NoAnswer(), {"join_timeout_s": 5}, S.NO_ANSWER, EndCause.NO_ANSWER),
        (Unreachable(), {}, S.FAILED, EndCause.INVALID_NUMBER),
        (Unreachable(sip_code=503), {}, S.FAILED, EndCause.CARRIER_ERROR),
        (Answer(), {"max_duration_s": 30}, S.COMPLETED, EndCause.MAX_DURATION),
        (Voicemail(records_s=2), {"detect_machine": True}, S.VOICEMAIL, EndCause.HUNG_UP),
    ],
)
def test_an_outbound_call_ends_as_it_really_ended(
    core: Core, script: Any, changes: dict[str, Any], status: CallStatus, why: EndCause
) -> None:
    core.sim.script(CALLEE, script)
    _, call = core.dial(**changes)
    assert core.ended(call) is status
    end = resolve(core.facts(call.id), Direction.OUTBOUND).end_reason
    assert end is not None
    assert end.why is why
    assert {event.attempt_token for event in core.events} == {ATTEMPT}
    assert [event.unmapped for event in core.events if event.unmapped] == []


def test_hanging_up_while_it_rings_cancels_and_again_is_a_success(core: Core) -> None:
    core.sim.script(CALLEE, NoAnswer())
    outcome, call = core.dial()
    ref = LegRef(leg_id=outcome.leg_id or "")
    core.telnyx.hang_up(ref)
    assert core.ended(call) is S.CANCELLED
    core.telnyx.hang_up(ref)


def test_an_answered_callee_talks_to_the_agent(core: Core) -> None:
    with EchoAgent() as agent:
        core.decide = lambda event: (
            Stream(agent.url, {"token": "t1"})
            if event.name == "call.answered" and not event.is_child_leg
            else None
        )
        core.sim.script(CALLEE, Answer(after_s=1, talk_s=10))
        _, call = core.dial()
        assert core.ended(call) is S.COMPLETED
        core.until(lambda: ("step1", StepOutcome.OVER) in core.reports())
    assert core.reports()[0] == ("step1", StepOutcome.JOINED)
    assert any(item[0] == "audio" for item in call.heard)


def answering(*instructions: Instruction) -> Decide:
    """Answer an inbound call and give it its instructions, one after the other, as the steps end."""
    left = list(instructions)

    def decide(event: CallEvent) -> Instruction | None:
        if event.name == "call.initiated" and event.wants_instruction:
            return left[0]
        is_next = event.name == "call.answered" and event.wants_instruction
        is_over = event.step is not None and event.step.outcome is not StepOutcome.JOINED
        return left.pop(0) if left and (is_next or is_over) else None

    return decide


def test_an_inbound_caller_hears_a_sentence_then_leaves_a_message(core: Core) -> None:
    core.decide = answering(Say("Hello there."), TakeMessage("", 5), HangUp())
    call = core.sim.ring(OURS, CALLER, Caller(talk_s=60))
    assert core.ended(call) is S.COMPLETED
    assert ("say", "Hello there.") in call.heard
    (recording,) = core.facts(call.id).recordings
    assert recording.is_message
    assert recording.duration_s is not None
    stream = core.telnyx.fetch_recording(recording.ref)
    assert b"".join(stream.chunks)


def test_an_agent_that_refuses_its_socket_is_reported_and_the_next_step_runs(core: Core) -> None:
    core.decide = answering(
        Stream("ws://127.0.0.1:1/media", {"token": "t1"}), Say("Nobody is here."), HangUp()
    )
    call = core.sim.ring(OURS, CALLER, Caller(talk_s=60))
    assert core.ended(call) is S.COMPLETED
    assert [outcome for _, outcome in core.reports()] == [StepOutcome.FAILED, StepOutcome.OVER]
    assert ("say", "Nobody is here.") in call.heard


def test_a_second_agent_takes_the_place_of_the_first(core: Core) -> None:
    with EchoAgent() as first, EchoAgent() as second:
        core.decide = answering(Stream(first.url, {"token": "t1"}))
        call = core.sim.ring(OURS, CALLER, Caller(talk_s=60))
        core.until(lambda: core.reports() == [("step2", StepOutcome.JOINED)])
        core.instruct(call.id, Stream(second.url, {"token": "t2"}))
        core.until(lambda: ("step3", StepOutcome.JOINED) in core.reports())
        core.instruct(call.id, HangUp())
        core.ended(call)
    assert ("step2", StepOutcome.OVER) not in core.reports()


def test_a_forward_is_joined_and_ends_with_the_call(core: Core) -> None:
    core.sim.script(OTHER, Answer(after_s=1, talk_s=3))
    core.decide = answering(Forward(OTHER))
    call = core.sim.ring(OURS, CALLER, Caller(talk_s=60))
    assert core.ended(call) is S.COMPLETED
    core.until(lambda: len(core.reports()) == 2)
    assert core.reports() == [("step2", StepOutcome.JOINED), ("step2", StepOutcome.OVER)]
    assert [leg.truth for leg in call.legs] == ["answered"]


def test_a_forward_that_nobody_takes_leaves_the_caller_for_the_next_step(core: Core) -> None:
    core.sim.script(OTHER, NoAnswer())
    core.decide = answering(Forward(OTHER), Say("Sorry."), HangUp())
    call = core.sim.ring(OURS, CALLER, Caller(talk_s=200))
    assert core.ended(call) is S.COMPLETED
    assert core.reports() == [("step2", StepOutcome.FAILED), ("step3", StepOutcome.OVER)]
    assert ("say", "Sorry.") in call.heard


def test_a_refused_caller_hears_busy(core: Core) -> None:
    core.decide = lambda event: Reject() if event.wants_instruction else None
    call = core.sim.ring(OURS, CALLER, Caller(talk_s=60))
    core.ended(call)
    assert not call.answered
    assert call.sip_code == 486


def test_a_caller_who_gives_up_has_abandoned_the_call(core: Core) -> None:
    call = core.sim.ring(OURS, CALLER, Caller(gives_up_after_s=2))
    assert core.ended(call) is S.CANCELLED
    end = resolve(core.facts(call.id), Direction.INBOUND).end_reason
    assert end is not None
    assert end.why is EndCause.ABANDONED


def test_a_message_is_left_when_the_greeting_is_over(core: Core) -> None:
    def decide(event: CallEvent) -> Instruction | None:
        if event.facts.greeting_over:
            return LeaveMessage("Please call us back.")
        return HangUp() if event.step and event.step.outcome is StepOutcome.OVER else None

    core.decide = decide
    core.sim.script(CALLEE, Voicemail(records_s=60))
    _, call = core.dial(detect_machine=True, await_greeting_end=True)
    assert core.ended(call) is S.VOICEMAIL
    assert ("say", "Please call us back.") in call.heard


def test_a_recorded_conversation_is_fetched(core: Core) -> None:
    core.sim.script(CALLEE, Answer(after_s=1, talk_s=4))
    _, call = core.dial(record=True)
    core.until(lambda: core.facts(call.id).recordings)
    (recording,) = core.facts(call.id).recordings
    assert (recording.is_message, recording.channels) == (False, 2)
    assert b"".join(core.telnyx.fetch_recording(recording.ref).chunks)


def test_a_call_is_found_by_its_token_while_it_lives_and_after_its_end(core: Core) -> None:
    now = datetime.now(UTC)
    query = DialQuery(
        to=CALLEE,
        caller_id=OURS,
        attempt_token=ATTEMPT,
        created_from=now - timedelta(minutes=2),
        created_until=now + timedelta(minutes=20),
    )
    assert core.telnyx.find_calls(query).calls == ()
    core.sim.script(CALLEE, NoAnswer())
    _, call = core.dial()
    for _ in range(2):
        found = core.telnyx.find_calls(query)
        assert found.is_complete
        assert [(each.leg_id, each.has_our_token) for each in found.calls] == [(call.id, True)]
        core.telnyx.hang_up(LegRef(leg_id=call.id))
        core.ended(call)


def test_a_call_is_asked_about_while_it_lives_and_after_its_end(core: Core) -> None:
    core.sim.script(CALLEE, Busy(after_s=20))
    outcome, call = core.dial()
    ref = LegRef(leg_id=call.id, other_ids=outcome.other_ids)
    core.until(lambda: core.telnyx.fetch_call(ref).is_live)
    core.ended(call)
    snapshot = core.telnyx.fetch_call(ref)
    assert (snapshot.is_known, snapshot.is_live) == (True, False)
    facts = CallFacts()
    for event in snapshot.events:
        facts = facts.merge(event.facts)
    assert resolve(facts, Direction.OUTBOUND).status is S.BUSY
    assert not core.telnyx.fetch_call(LegRef(leg_id="v3:nobody-knows-this-call")).is_known


def test_the_account_and_its_numbers_are_listed(core: Core) -> None:
    info = core.telnyx.check_account()
    assert (info.account_ref, info.status) == (core.telnyx.account_ref, "active")
    assert [number.e164 for number in core.telnyx.list_numbers()] == [OURS]
