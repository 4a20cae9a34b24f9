"""The adapter against the simulated Plivo: real SDK requests, real signed webhooks, documents that are carried out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from aiohttp import WSMsgType, web

from gateway.errors import RejectionReason, WebhookRejected
from gateway.instructions import (
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    Reject,
    Say,
    Sip,
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
    LiveCall,
    StepOutcome,
    WebhookReply,
    WebhookRequest,
)
from gateway.status import CallFacts, CallStatus, Direction, EndCause, RejectAs, Resolution, resolve
from providers.plivo import PlivoProvider
from providers.simulator import (
    Answer,
    Busy,
    Caller,
    Decline,
    Fault,
    HangUpWhileRinging,
    NoAnswer,
    Simulator,
    Unreachable,
    Voicemail,
)
from tests.adapters.kit import ATTEMPT, DIAL, Listener, callback_urls, live_call

OURS, THEIRS, OTHER = "+14155550100", "+14155550123", "+14155550177"


class Desk:
    """A small gateway: verifies, reads, folds, and answers with the instructions of a list, one a step."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.account = sim.add_account("plivo", name="Acme")
        sim.add_number(self.account, OURS)
        PlivoProvider.check_secrets(self.account.secrets)
        self.plivo = PlivoProvider(self.account.secrets, base_url=sim.base_url("plivo"))
        self.plan: list[Instruction] = []
        self.live_changes: dict[str, Any] = {}
        self.events: list[CallEvent] = []
        self.refused: list[RejectionReason] = []

    def __enter__(self) -> Self:
        self._listener = Listener(self._take)
        self._listener.__enter__()
        self.sim.configure_number(OURS, voice_url=self.url("answer"), status_url=self.url("status"))
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.__exit__()

    def url(self, tail: str) -> str:
        return f"{self._listener.url}/{tail}"

    def _take(self, hook: Hook, request: WebhookRequest) -> WebhookReply:
        try:
            self.plivo.verify_webhook(request)
            events = self.plivo.read_webhook(hook, request)
        except WebhookRejected as refused:
            self.refused.append(refused.reason)
            return WebhookReply(status=refused.http_status)
        self.events.extend(events)
        for event in events:
            if event.wants_instruction:
                return self.plivo.answer(self.live(event), self.plan.pop(0) if self.plan else HangUp())
        return WebhookReply()

    def live(self, event: CallEvent) -> LiveCall:
        live = replace(
            live_call(event.leg_id, self._listener.url, f"step{len(self.plan)}"),
            direction=event.direction or Direction.OUTBOUND,
            answered=event.facts.answered,
            to=event.to or "",
            from_number=event.from_number or "",
            caller_id=OURS,
        )
        return replace(live, **self.live_changes)

    # -- what a test asks

    def request(self, **changes: Any) -> DialRequest:
        urls = callback_urls(self._listener.url)
        request = replace(DIAL, to=THEIRS, caller_id=OURS, join_timeout_s=20, max_duration_s=600, urls=urls)
        return replace(request, **changes)

    def dial(self, **changes: Any) -> LegRef:
        request = self.request(**changes)
        self.plivo.check_dial(request)
        outcome = self.plivo.dial(request)
        assert outcome.result is DialResult.ACCEPTED, outcome
        assert outcome.leg_id is not None
        return LegRef(leg_id=outcome.leg_id, other_ids=outcome.other_ids)

    def finish(self, call: Any) -> Resolution:
        self.sim.wait(call, timeout_s=20)
        assert self.refused == []
        return self.resolution

    @property
    def own(self) -> list[CallEvent]:
        return [event for event in self.events if not event.is_child_leg]

    @property
    def facts(self) -> CallFacts:
        facts = CallFacts()
        for event in self.own:
            facts = facts.merge(event.facts)
        return facts

    @property
    def resolution(self) -> Resolution:
        directions = {event.direction for event in self.own if event.direction}
        (direction,) = directions
        return resolve(self.facts, direction)

    @property
    def steps(self) -> list[StepOutcome]:
        return [event.step.outcome for event in self.events if event.step]


class EchoAgent:
    """A media socket that echoes, and keeps the first frame."""

    def __init__(self) -> None:
        self.first: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/media", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/media"

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        echoed = 0
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = message.json()
            if frame["event"] == "start":
                self.first.append(frame)
            elif frame["event"] == "media":
                media = {
                    "contentType": "audio/x-mulaw",
                    "sampleRate": 8000,
                    "payload": frame["media"]["payload"],
                }
                await socket.send_json({"event": "playAudio", "media": media})
                echoed += 1
                if echoed == 10:
                    break
        await socket.close()
        return socket


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Simulator(speed=20, seed=7) as sim, Desk(sim) as desk:
        yield desk


def statuses(desk: Desk, *facts: Callable[[CallFacts], object]) -> list[bool]:
    return [bool(fact(desk.facts)) for fact in facts]


# -- calls out ---------------------------------------------------------------------------------------------------------


def test_a_call_that_is_answered_and_spoken_to_is_completed(desk: Desk) -> None:
    desk.sim.script(THEIRS, Answer(after_s=2))
    desk.plan = [Say("Good morning"), HangUp()]
    ref = desk.dial()
    found = desk.finish(ref.leg_id)
    assert found.status is CallStatus.COMPLETED
    assert ("say", "Good morning") in [heard[:2] for heard in desk.sim.call(ref.leg_id).heard]
    assert (
        statuses(desk, lambda f: f.ringing, lambda f: f.answered, lambda f: f.duration, lambda f: f.cost)
        == [True] * 4
    )
    assert {event.attempt_token for event in desk.own if event.name in ("Ring", "StartApp", "Hangup")} == {
        ATTEMPT
    }
    assert len(desk.sim.dials("plivo")) == 1
    assert not [event for event in desk.events if event.unmapped]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (Busy(), CallStatus.BUSY),
        (NoAnswer(), CallStatus.NO_ANSWER),
        (Decline(), CallStatus.BUSY),
        (Unreachable(), CallStatus.FAILED),
    ],
    ids=["busy", "no answer", "declined", "unreachable"],
)
def test_a_call_that_nobody_takes_ends_as_what_happened(desk: Desk, script: Any, status: CallStatus) -> None:
    desk.sim.script(THEIRS, script)
    ref = desk.dial(join_timeout_s=10)
    assert desk.finish(ref.leg_id).status is status
    assert not desk.facts.answered


def test_a_call_that_we_end_while_it_rings_is_cancelled(desk: Desk) -> None:
    desk.sim.script(THEIRS, NoAnswer())
    ref = desk.dial()
    desk.sim.wait(lambda: desk.facts.ringing)
    desk.plivo.hang_up(ref)
    assert desk.finish(ref.leg_id).status is CallStatus.CANCELLED
    desk.plivo.hang_up(ref)  # already over: a success


def test_a_machine_gets_its_message_and_the_call_is_a_voicemail(desk: Desk) -> None:
    desk.sim.script(THEIRS, Voicemail(after_s=1, greeting_s=4))
    desk.plan = [LeaveMessage("Please call us back")]
    ref = desk.dial(detect_machine=True)
    found = desk.finish(ref.leg_id)
    assert found.status is CallStatus.VOICEMAIL
    assert ("say", "Please call us back") in [heard[:2] for heard in desk.sim.call(ref.leg_id).heard]


def test_a_running_call_is_redirected_to_another_document(desk: Desk) -> None:
    desk.sim.script(THEIRS, Answer(after_s=1))
    desk.plan = [TakeMessage(prompt="", max_length_s=100), Say("Something else"), HangUp()]
    ref = desk.dial()
    desk.sim.wait(lambda: desk.facts.answered)
    desk.plivo.redirect(ref, desk.url("next/other"))
    desk.finish(ref.leg_id)
    assert ("say", "Something else") in [heard[:2] for heard in desk.sim.call(ref.leg_id).heard]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.RATE_LIMITED,
        Fault.SERVER_ERROR_BEFORE,
        Fault.SERVER_ERROR_AFTER,
        Fault.RESET_AFTER,
        Fault.GARBAGE,
        Fault.EMPTY,
        Fault.WRONG_TYPE,
        Fault.NO_ID,
        Fault.REDIRECT,
        Fault.CONFLICT,
    ],
)
def test_a_dial_whose_answer_is_lost_is_unknown_after_one_post(desk: Desk, fault: Fault) -> None:
    desk.sim.script(THEIRS, NoAnswer())
    desk.sim.faults.api("plivo", "dial", fault, times=3)
    assert desk.plivo.dial(desk.request()).result is DialResult.UNKNOWN
    assert len(desk.sim.dials("plivo")) == 1


def test_an_unknown_dial_that_was_placed_is_found_while_it_lives_and_after(desk: Desk) -> None:
    desk.sim.script(THEIRS, Answer(after_s=3, talk_s=20))
    desk.plan = [Say("x " * 40), TakeMessage(prompt="", max_length_s=60)]
    desk.sim.faults.api("plivo", "dial", Fault.SERVER_ERROR_AFTER)
    asked_at = datetime.now(UTC)
    assert desk.plivo.dial(desk.request()).result is DialResult.UNKNOWN
    # the simulator's scripted seconds run ahead of ours
    query = DialQuery(
        to=THEIRS,
        caller_id=OURS,
        attempt_token=ATTEMPT,
        created_from=asked_at - timedelta(seconds=120),
        created_until=asked_at + timedelta(seconds=120),
    )
    (placed,) = desk.sim.calls("plivo")
    while_it_lives = desk.plivo.find_calls(query)
    assert ([call.leg_id for call in while_it_lives.calls], while_it_lives.is_complete) == ([placed.id], True)
    desk.finish(placed)
    after = desk.plivo.find_calls(query)
    assert ([call.leg_id for call in after.calls], after.is_complete) == ([placed.id], True)


def test_an_unknown_dial_that_was_not_placed_leaves_no_trace(desk: Desk) -> None:
    desk.sim.faults.api("plivo", "dial", Fault.SERVER_ERROR_BEFORE)
    assert desk.plivo.dial(desk.request()).result is DialResult.UNKNOWN
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=2), now + timedelta(minutes=2))
    query = DialQuery(
        to=THEIRS, caller_id=OURS, attempt_token=ATTEMPT, created_from=window[0], created_until=window[1]
    )
    found = desk.plivo.find_calls(query)
    assert (found.calls, found.is_complete) == ((), True)


def test_a_call_is_told_when_asked_for_at_every_age(desk: Desk) -> None:
    desk.sim.script(THEIRS, Answer(after_s=3))
    desk.plan = [TakeMessage(prompt="", max_length_s=8), HangUp()]
    ref = desk.dial()
    desk.sim.wait(lambda: desk.facts.answered)
    live = desk.plivo.fetch_call(ref)
    assert (live.is_known, live.is_live) == (True, True)
    webhooks = desk.finish(ref.leg_id)
    over = desk.plivo.fetch_call(ref)
    assert (over.is_known, over.is_live) == (True, False)
    (event,) = over.events
    assert resolve(event.facts, Direction.OUTBOUND).status is webhooks.status
    assert event.facts.answered_at is not None
    assert desk.plivo.fetch_call(LegRef(leg_id="00000000-0000-4000-8000-000000000000")).is_known is False


def test_a_refused_dial_says_why(desk: Desk) -> None:
    outcome = desk.plivo.dial(desk.request(caller_id="+14155550166"))
    assert (outcome.result, outcome.cause) == (DialResult.REJECTED, EndCause.CALLER_ID_REFUSED)
    assert "4155550166" not in outcome.message


def test_other_credentials_are_refused(desk: Desk) -> None:
    secrets = desk.account.secrets | {"auth_token": "x" * 40}
    stranger = PlivoProvider(secrets, base_url=desk.sim.base_url("plivo"))
    assert stranger.dial(desk.request()).result is DialResult.REJECTED
    assert desk.plivo.check_account().status == "active"


# -- calls in ----------------------------------------------------------------------------------------------------------


def test_a_caller_talks_to_an_agent_over_its_media_socket(desk: Desk) -> None:
    with EchoAgent() as agent:
        desk.plan = [Stream(agent.url, {"call_id": "c-1", "agent_id": "Ä", "token": "f" * 32}), HangUp()]
        call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
        found = desk.finish(call)
    assert found.status is CallStatus.COMPLETED
    assert desk.steps == [StepOutcome.JOINED, StepOutcome.OVER]
    assert agent.first[0]["extra_headers"] == f"call_id=c-1,agent_id=%C3%84,token={'f' * 32}"
    assert any(heard[0] == "audio" for heard in call.heard)
    assert {event.step_token for event in desk.events if event.step} == {"step2"}


def test_a_socket_that_is_refused_fails_the_step_and_the_next_one_is_heard(desk: Desk) -> None:
    desk.plan = [Stream("ws://127.0.0.1:9/media", {"token": "t"}), Say("Sorry"), HangUp()]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    desk.finish(call)
    assert desk.steps[0] is StepOutcome.FAILED
    assert ("say", "Sorry") in [heard[:2] for heard in call.heard]


@pytest.mark.parametrize(
    ("script", "outcomes"),
    [
        (Answer(after_s=1, talk_s=3), [StepOutcome.JOINED, StepOutcome.JOINED, StepOutcome.OVER]),
        (Busy(), [StepOutcome.FAILED]),
    ],
    ids=["answered", "busy"],
)
def test_a_call_is_forwarded(desk: Desk, script: Any, outcomes: list[StepOutcome]) -> None:
    desk.sim.script(OTHER, script)
    desk.plan = [Forward(OTHER), HangUp()]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    found = desk.finish(call)
    assert desk.steps == outcomes
    assert found.status is CallStatus.COMPLETED
    children = {event.leg_id for event in desk.events if event.is_child_leg}
    assert children == {leg.id for leg in call.legs}


def test_a_call_is_connected_to_a_sip_address(desk: Desk) -> None:
    desk.sim.script("sip:agent@pbx.example.com", Answer(after_s=1, talk_s=2))
    desk.plan = [Sip("sip:agent@pbx.example.com"), HangUp()]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    desk.finish(call)
    assert desk.steps[-1] is StepOutcome.OVER
    assert [leg.answered for leg in call.legs] == [True]


@pytest.mark.parametrize("reason", list(RejectAs))
def test_a_call_is_refused_without_being_answered(desk: Desk, reason: RejectAs) -> None:
    desk.plan = [Reject(reason)]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    found = desk.finish(call)
    assert found.status is CallStatus.CANCELLED
    assert found.end_reason is not None
    assert found.end_reason.why is EndCause.REJECTED
    assert not call.answered


def test_a_call_that_is_only_hung_up_on_is_not_answered(desk: Desk) -> None:
    desk.plan = [HangUp()]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    desk.finish(call)
    assert not call.answered


def test_a_message_is_taken_and_can_be_fetched(desk: Desk) -> None:
    desk.plan = [Say("Speak"), TakeMessage(prompt="", max_length_s=5), HangUp()]
    call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
    desk.finish(call)
    (recording,) = desk.facts.recordings
    assert recording.is_message
    assert recording.duration_s
    stream = desk.plivo.fetch_recording(recording.ref, recording.url)
    assert b"".join(stream.chunks)
    again = desk.plivo.fetch_recording(recording.ref)
    assert again.content_type.startswith("audio/")
    assert b"".join(again.chunks)


def test_a_conversation_is_recorded_when_asked_for(desk: Desk) -> None:
    desk.live_changes = {"record": True}
    with EchoAgent() as agent:
        desk.plan = [Stream(agent.url, {"token": "t"})]
        call = desk.sim.ring(OURS, from_=THEIRS, caller=Caller())
        desk.finish(call)
    (recording,) = desk.facts.recordings
    assert not recording.is_message


def test_a_caller_who_gives_up_before_the_answer_abandons_the_call(desk: Desk) -> None:
    call = desk.sim.ring(OURS, from_=THEIRS, caller=HangUpWhileRinging(after_s=0))
    desk.sim.wait(call)
    assert not call.answered
    if desk.facts.ends:  # the answer URL may not have been asked yet
        assert desk.resolution.status is CallStatus.CANCELLED


# -- webhooks under faults ---------------------------------------------------------------------------------------------


def test_a_forged_webhook_is_refused_and_a_repeated_one_is_the_same_event(desk: Desk) -> None:
    desk.sim.script(THEIRS, Busy())
    desk.sim.faults.webhooks("plivo", forge=True)
    ref = desk.dial()
    desk.sim.wait(ref.leg_id)
    assert RejectionReason.BAD_SIGNATURE in desk.refused
    desk.refused.clear()
    desk.events.clear()
    desk.sim.faults.webhooks("plivo", repeat=1, times=9)
    ref = desk.dial()
    assert desk.finish(ref.leg_id).status is CallStatus.BUSY
    assert len(desk.events) > len({event.event_id for event in desk.events})


def test_numbers_of_the_account_are_listed(desk: Desk) -> None:
    assert [(number.e164, number.has_voice) for number in desk.plivo.list_numbers()] == [(OURS, True)]
