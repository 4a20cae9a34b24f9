"""The adapter alone against the simulated Twilio: its webhooks verified, read and answered by a small server here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Conflict, RequestRefused
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
    CallEvent,
    DialQuery,
    DialRequest,
    DialResult,
    Hook,
    LegRef,
    StepOutcome,
    WebhookReply,
    WebhookRequest,
)
from gateway.status import AnsweredBy, CallFacts, CallStatus, Direction, EndCause, RejectAs, resolve
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
from providers.twilio import TwilioProvider
from tests.adapters.kit import DIAL, Listener, callback_urls, live_call

OURS, PERSON, OTHER = "+14155550100", "+12125550123", "+13105550199"
Plan = Callable[[int], Instruction]


class Customer:
    """Our side: every webhook goes through the adapter; the n-th wish for an instruction gets `plan(n)`."""

    def __init__(self, adapter: TwilioProvider) -> None:
        self.adapter = adapter
        self.url = ""
        self.plan: Plan = lambda _: HangUp()
        self.events: list[CallEvent] = []
        self.direction = Direction.OUTBOUND
        self.record = False
        self._lock = threading.Lock()

    def take(self, hook: Hook, request: WebhookRequest) -> WebhookReply:
        self.adapter.verify_webhook(request)
        (event,) = self.adapter.read_webhook(hook, request)
        with self._lock:
            asked = sum(known.wants_instruction for known in self.events)
            self.events.append(event)
        if not event.wants_instruction:
            return WebhookReply()
        live = replace(
            live_call(event.leg_id, self.url, f"{asked:032d}"),
            direction=self.direction,
            answered=event.facts.answered,
            to=event.to or "",
            from_number=event.from_number or "",
            caller_id=OURS,
            record=self.record and asked == 0,
        )
        return self.adapter.answer(live, self.plan(asked))

    @property
    def facts(self) -> CallFacts:
        """Everything that the webhooks told."""
        whole = CallFacts()
        for event in self.events:
            whole = whole.merge(event.facts)
        return whole

    @property
    def status(self) -> CallStatus:
        return resolve(self.facts, self.direction).status

    def steps(self) -> list[StepOutcome]:
        return [event.step.outcome for event in self.events if event.step]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=40) as running:
        yield running


@pytest.fixture
def customer(sim: Simulator) -> Iterator[Customer]:
    account = sim.add_account("twilio")
    sim.add_number(account, OURS)
    adapter = TwilioProvider(account.secrets, base_url=sim.base_url("twilio"))
    running = Customer(adapter)
    with Listener(running.take) as listener:
        running.url = listener.url
        sim.configure_number(OURS, voice_url=f"{running.url}/answer", status_url=f"{running.url}/status")
        yield running


def dial_request(customer: Customer, **changes: object) -> DialRequest:
    request = replace(DIAL, to=PERSON, caller_id=OURS, urls=callback_urls(customer.url))
    return replace(request, join_timeout_s=20, **changes)  # type: ignore[arg-type]


def dial(sim: Simulator, customer: Customer, **changes: object) -> SimCall:
    outcome = customer.adapter.dial(dial_request(customer, **changes))
    assert outcome.result is DialResult.ACCEPTED
    return sim.call(outcome.leg_id or "")


@pytest.mark.parametrize(
    ("script", "truth", "status", "cause"),
    [
        (Answer(talk_s=3), "answered", CallStatus.COMPLETED, EndCause.HUNG_UP),
        (Busy(), "busy", CallStatus.BUSY, EndCause.BUSY),
        (NoAnswer(), "no_answer", CallStatus.NO_ANSWER, EndCause.NO_ANSWER),
        (Decline(), "declined", CallStatus.BUSY, EndCause.DECLINED),
        (Unreachable(), "unreachable", CallStatus.FAILED, EndCause.INVALID_NUMBER),
        (Unreachable(sip_code=503), "unreachable", CallStatus.FAILED, EndCause.CARRIER_ERROR),
    ],
    ids=lambda value: str(getattr(value, "sip_code", value))[:30],
)
def test_a_dial_ends_as_it_really_ended(
    sim: Simulator, customer: Customer, script: Answer, truth: str, status: CallStatus, cause: EndCause
) -> None:
    sim.script(PERSON, script)
    customer.plan = lambda _: Say("Hello, and now a text that goes on for a while.")
    call = dial(sim, customer)
    sim.wait(call)
    end = resolve(customer.facts, Direction.OUTBOUND).end_reason
    assert (sim.truth(call), customer.status) == (truth, status)
    assert end is not None
    assert end.why is cause
    assert len(sim.dials("twilio")) == 1
    assert {event.attempt_token for event in customer.events if not event.step} == {"a" * 32}
    snapshot = customer.adapter.fetch_call(LegRef(leg_id=call.id))
    assert (snapshot.is_known, snapshot.is_live) == (True, False)
    assert resolve(snapshot.events[0].facts, Direction.OUTBOUND).status in (status, CallStatus.FAILED)


@pytest.mark.parametrize("is_answered", [False, True])
def test_hanging_up_ends_a_ringing_call_as_cancelled_and_an_answered_one_as_completed(
    sim: Simulator, customer: Customer, is_answered: bool
) -> None:
    sim.script(PERSON, Answer(after_s=1.0 if is_answered else 15.0))
    customer.plan = lambda _: TakeMessage(prompt="", max_length_s=60)
    call = dial(sim, customer)
    sim.wait(lambda: call.state == ("in_progress" if is_answered else "ringing"))
    customer.adapter.hang_up(LegRef(leg_id=call.id, is_answered=is_answered))
    sim.wait(call)
    assert customer.status is (CallStatus.COMPLETED if is_answered else CallStatus.CANCELLED)
    customer.adapter.hang_up(LegRef(leg_id=call.id, is_answered=is_answered))  # over already: a success
    with pytest.raises(Conflict):
        customer.adapter.redirect(LegRef(leg_id=call.id), f"{customer.url}/next/x")


def test_a_machine_is_told_and_gets_its_message_after_the_greeting(
    sim: Simulator, customer: Customer
) -> None:
    sim.script(PERSON, Voicemail(greeting_s=3.0))
    customer.plan = lambda n: (
        TakeMessage(prompt="") if n == 0 else LeaveMessage("Please call back.") if n == 1 else HangUp()
    )
    call = dial(sim, customer, detect_machine=True, await_greeting_end=True)
    sim.wait(lambda: customer.facts.greeting_over)
    customer.adapter.redirect(LegRef(leg_id=call.id), f"{customer.url}/next/{'9' * 32}")
    sim.wait(call)
    assert customer.facts.answered_by is AnsweredBy.MACHINE
    assert customer.status is CallStatus.VOICEMAIL
    assert ("say", "Please call back.") in call.heard


def test_an_unknown_dial_is_found_by_its_numbers_and_time(sim: Simulator, customer: Customer) -> None:
    sim.script(PERSON, Answer(talk_s=1))
    call = dial(sim, customer)
    now = datetime.now(UTC)
    query = DialQuery(
        to=PERSON,
        caller_id=OURS,
        attempt_token="a" * 32,
        created_from=now - timedelta(seconds=120),
        created_until=now + timedelta(seconds=120),
    )
    found = customer.adapter.find_calls(query)
    assert ([one.leg_id for one in found.calls], found.is_complete) == ([call.id], True)
    assert customer.adapter.find_calls(replace(query, to=OTHER)).calls == ()
    sim.wait(call)


def inbound(sim: Simulator, customer: Customer, plan: Plan, caller: Caller | None = None) -> SimCall:
    customer.direction, customer.plan = Direction.INBOUND, plan
    call = sim.ring(OURS, PERSON, caller or Caller(talk_s=4))
    sim.wait(call)
    return call


def test_an_inbound_call_reaches_its_agent_with_audio_both_ways(sim: Simulator, customer: Customer) -> None:
    with EchoAgent(hangs_up_after=20) as agent:
        stream = Stream(agent.url, {"call_id": "c-1", "token": "t" * 32})
        call = inbound(
            sim,
            customer,
            lambda n: stream if n == 0 else Say("Bye") if n == 1 else HangUp(),
            Caller(talk_s=60),
        )
        assert agent.conversations[0].parameters == {"call_id": "c-1", "token": "t" * 32}
        assert agent.conversations[0].frames_out > 0
    assert StepOutcome.JOINED in customer.steps()
    assert customer.steps()[-2:] == [StepOutcome.OVER, StepOutcome.OVER]
    assert customer.status is CallStatus.COMPLETED
    assert ("say", "Bye") in call.heard


def test_a_refused_media_socket_leads_to_the_next_step(sim: Simulator, customer: Customer) -> None:
    with EchoAgent(refuse_with=503) as agent:
        call = inbound(
            sim, customer, lambda n: Stream(agent.url) if n == 0 else Say("Sorry") if n == 1 else HangUp()
        )
    assert StepOutcome.JOINED not in customer.steps()
    assert ("say", "Sorry") in call.heard


@pytest.mark.parametrize(
    ("script", "steps"),
    [(Answer(talk_s=2), [StepOutcome.JOINED, StepOutcome.OVER]), (Busy(), [StepOutcome.FAILED])],
    ids=["answered", "busy"],
)
def test_a_forward_tells_whether_the_other_party_took_it(
    sim: Simulator, customer: Customer, script: Answer, steps: list[StepOutcome]
) -> None:
    sim.script(OTHER, script)
    inbound(sim, customer, lambda n: Forward(OTHER) if n == 0 else HangUp(), Caller(talk_s=30))
    assert customer.steps() == steps
    assert all(event.facts == CallFacts() for event in customer.events if event.is_child_leg)
    assert customer.status is CallStatus.COMPLETED


def test_a_message_is_taken_and_can_be_fetched(sim: Simulator, customer: Customer) -> None:
    inbound(
        sim, customer, lambda n: TakeMessage(prompt="Speak now.") if n == 0 else HangUp(), Caller(talk_s=5)
    )
    sim.wait(lambda: bool(customer.facts.recordings))
    (recording,) = customer.facts.recordings
    assert recording.is_message
    audio = customer.adapter.fetch_recording(recording.ref)
    assert b"".join(audio.chunks).startswith(b"RIFF")


def test_a_conversation_is_recorded_when_asked_for(sim: Simulator, customer: Customer) -> None:
    customer.record = True
    inbound(sim, customer, lambda n: Say("This call is recorded.") if n == 0 else HangUp())
    sim.wait(lambda: bool(customer.facts.recordings))
    assert not customer.facts.recordings[0].is_message


def test_a_rejected_call_was_never_answered(sim: Simulator, customer: Customer) -> None:
    call = inbound(sim, customer, lambda _: Reject(RejectAs.BUSY))
    assert (call.answered, sim.truth(call)) == (False, "refused_busy")
    assert resolve(customer.facts, Direction.INBOUND).status is not CallStatus.COMPLETED


def test_the_account_and_its_numbers_are_read(sim: Simulator, customer: Customer) -> None:
    info = customer.adapter.check_account()
    assert (info.account_ref, info.status) == (customer.adapter.account_ref, "active")
    (number,) = customer.adapter.list_numbers()
    assert (number.e164, number.has_voice) == (OURS, True)
    assert number.settings["voice_url"] == f"{customer.url}/answer"


def test_a_wrong_token_is_refused(sim: Simulator, customer: Customer) -> None:
    secrets = {"account_sid": customer.adapter.account_ref, "auth_token": "0" * 32}
    with pytest.raises(RequestRefused):
        TwilioProvider(secrets, base_url=sim.base_url("twilio")).check_account()
