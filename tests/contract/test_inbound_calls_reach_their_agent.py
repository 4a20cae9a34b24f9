"""Inbound: the assigned agent, or what stands behind it; a caller is never left in silence."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import (
    Agent,
    CallSettings,
    CallStatus,
    EndCause,
    EndedBy,
    Forward,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
    registry,
)
from gateway.interface import LegRef, Provider
from providers.simulator import Answer, Busy, Caller, HangUpWhileRinging
from tests.bench import CALLER, OURS, UNASSIGNED, Bench, Delivered

PERSON = "+14155550177"
NOWHERE = "ws://127.0.0.1:9/media"


def put(bench: Bench, connect: object, *fallback: object, **fields: object) -> None:
    bench.gw.agents.put(Agent(id="echo", connect=connect, fallback=fallback, **fields))


def words(sim_call: object) -> list[str]:
    return [str(item[1]) for item in sim_call.heard if item[0] == "say"]


def test_the_agent_gets_the_call_and_its_audio_comes_back(bench: Bench) -> None:
    ringing = bench.ring(caller=Caller(talk_s=10, keys="0123456789*#" * 3))
    call = bench.ended(bench.the_call(ringing))
    assert (call.status, call.agent_id, call.to, call.from_number) == (
        CallStatus.COMPLETED,
        "echo",
        OURS,
        CALLER,
    )
    assert (call.end_reason.who, call.end_reason.why) == (EndedBy.CALLER, EndCause.HUNG_UP), bench.story()
    assert bench.sim.truth(ringing) == "answered"
    [conversation] = bench.agent.conversations
    assert conversation.parameters["call_id"] == call.id
    assert conversation.parameters["agent_id"] == "echo"
    assert conversation.claim is not None
    assert conversation.claim[1]["direction"] == "inbound"
    assert conversation.keys[-1] == "#"
    assert any(item[0] == "audio" and item[2] for item in ringing.heard), ringing.heard


def test_an_unassigned_number_says_so(bench: Bench) -> None:
    ringing = bench.ring(UNASSIGNED)
    call = bench.ended(bench.the_call(ringing))
    assert words(ringing) == [bench.gw.settings.unassigned_message], bench.story()
    assert call.status is CallStatus.COMPLETED
    assert call.agent_id is None


def test_an_agent_that_is_down_is_followed_by_the_next_step(bench: Bench) -> None:
    put(bench, Stream(NOWHERE), Say("Please hold."), NextAgent("spare"))
    bench.gw.agents.put(Agent(id="spare", connect=Stream(bench.agent.url)))
    ringing = bench.ring(caller=Caller(talk_s=12))
    call = bench.ended(bench.the_call(ringing))
    assert words(ringing) == ["Please hold."], bench.story()
    assert bench.agent.conversations[0].parameters["agent_id"] == "spare"
    assert call.agent_id == "spare"


def test_a_chain_that_runs_out_apologizes(bench: Bench) -> None:
    put(bench, Stream(NOWHERE))
    ringing = bench.ring()
    bench.ended(bench.the_call(ringing))
    assert words(ringing) == [bench.gw.settings.unavailable_message], bench.story()


def beyond(bench: Bench) -> object:
    """A step that the carrier's adapter has no way to express: a language, or where any is taken, a long parameter."""
    if bench.provider == "twilio":
        return Stream(NOWHERE, {"x": "x" * 600})
    return Say("Bonvolu atendi.", "eo")


def test_a_step_beyond_the_carrier_is_followed_by_the_next_one(bench: Bench) -> None:
    put(bench, Stream(NOWHERE), beyond(bench), Say("Please hold."), Forward(PERSON), Say("Goodbye."))
    bench.sim.script(PERSON, Busy())
    ringing = bench.ring(caller=Caller(talk_s=30))
    bench.ended(bench.the_call(ringing), timeout_s=25)
    assert words(ringing) == ["Please hold.", "Goodbye."], bench.story()
    assert {each.status for each in bench.web.delivered} == {200}


@pytest.mark.parametrize("times", [1, 3])
def test_a_chain_of_nothing_but_steps_beyond_the_carrier_apologizes(bench: Bench, times: int) -> None:
    put(bench, lambda call: Forward("+1"), *[beyond(bench)] * times)
    ringing = bench.ring()
    call = bench.ended(bench.the_call(ringing))
    assert words(ringing) == [bench.gw.settings.unavailable_message], bench.story()
    assert call.status is CallStatus.COMPLETED
    assert {each.status for each in bench.web.delivered} == {200}


def test_what_follows_a_failing_connect_function_is_tried_once(bench: Bench) -> None:
    put(bench, lambda call: Forward("+1"), Forward(PERSON), Say("Goodbye."))
    bench.sim.script(PERSON, Busy())
    ringing = bench.ring(caller=Caller(talk_s=30))
    call = bench.ended(bench.the_call(ringing), timeout_s=25)
    assert words(ringing) == ["Goodbye."], bench.story()
    taken = [each.detail for each in bench.gw.calls.events(call.id) if each.name == "step"]
    assert taken.count("Forward") == 1
    forwards = [each for each in bench.web.delivered if each.hook in ("answer", "next")]
    if bench.provider != "telnyx":
        assert len(forwards) == 2, bench.story()


def test_an_agent_that_never_joins_is_given_up_after_its_join_timeout(bench: Bench) -> None:
    bench.agent.is_deaf = True
    put(bench, Stream(bench.agent.url), Say("Nobody came."), settings=CallSettings(join_timeout="5s"))
    ringing = bench.ring()
    call = bench.ended(bench.the_call(ringing), timeout_s=25)
    assert "Nobody came." in words(ringing), bench.story()
    assert call.status is CallStatus.COMPLETED


def test_a_text_that_the_carrier_fetched_by_itself_is_not_taken_for_over_when_our_redirect_comes_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.provider == "telnyx":
        pytest.skip("a command carrier is not redirected")
    long_text = "Nobody came. " * 40
    services = bench.gw.services
    adapter = registry.provider_class(bench.provider)
    redirect = adapter.redirect

    def late(self: Provider, ref: LegRef, next_url: str) -> None:
        bench.until(lambda: asked(bench))
        redirect(self, ref, next_url)

    monkeypatch.setattr(adapter, "redirect", late)
    bench.agent.is_deaf = True
    put(bench, Stream(bench.agent.url), Say(long_text), settings=CallSettings(join_timeout="5s"))
    ringing = bench.ring()
    call = bench.the_call(ringing)
    bench.until(lambda: [each for each in bench.gw.calls.events(call.id) if each.name == "step"])
    now = services.clock
    monkeypatch.setattr(
        services, "clock", lambda: now() + timedelta(seconds=3)
    )  # we give up before the carrier
    bench.ended(call, timeout_s=40)
    heard = [each.strip() for each in words(ringing)]
    assert heard == [long_text.strip()] * 2, (
        bench.story()
    )  # cut short by the redirect, then said from the beginning
    assert "begin=1" in "".join(each.target for each in asked(bench)), bench.story()


def asked(bench: Bench) -> list[Delivered]:
    return [each for each in bench.web.delivered if each.hook == "next"]


def test_an_agent_at_its_limit_is_passed_over(bench: Bench) -> None:
    put(bench, Stream(bench.agent.url), Say("All busy."), max_concurrent_calls=1)
    first = bench.ring(caller=Caller(talk_s=60))
    bench.until(lambda: bench.agent.conversations)
    second = bench.ring(from_="+12125550124")
    bench.ended(bench.the_call(second))
    assert words(second) == ["All busy."], bench.story()
    bench.sim.hang_up(first)
    bench.ended(bench.the_call(first))


def test_a_call_can_be_refused_as_busy(bench: Bench) -> None:
    put(bench, Stream(bench.agent.url), Reject(), max_concurrent_calls=1)
    first = bench.ring(caller=Caller(talk_s=60))
    bench.until(lambda: bench.agent.conversations)
    second = bench.ring(from_="+12125550124")
    call = bench.ended(bench.the_call(second))
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.BUSY,
        EndedBy.US,
        EndCause.REJECTED,
    ), bench.story()
    assert bench.sim.truth(second) == "refused_busy"
    bench.sim.hang_up(first)


@pytest.mark.parametrize(
    "connect", [Forward(PERSON), Sip("sip:desk@pbx.example.com")], ids=["forward", "sip"]
)
def test_a_call_is_connected_to_a_person(bench: Bench, connect: object) -> None:
    target = PERSON if isinstance(connect, Forward) else connect.uri
    bench.sim.script(target, Answer(after_s=1))
    put(bench, connect)
    ringing = bench.ring(caller=Caller(talk_s=10))
    call = bench.ended(bench.the_call(ringing))
    assert call.status is CallStatus.COMPLETED, bench.story()
    assert any(item[0] == "connected_to" for item in ringing.heard), ringing.heard


def test_a_person_who_is_busy_is_followed_by_taking_a_message(bench: Bench) -> None:
    bench.sim.script(PERSON, Busy())
    put(bench, Forward(PERSON), TakeMessage("Leave a message."))
    ringing = bench.ring(caller=Caller(talk_s=14))
    call = bench.ended(bench.the_call(ringing), timeout_s=25)
    assert words(ringing) == ["Leave a message."], bench.story()
    assert ("beep",) in ringing.heard, ringing.heard
    call = bench.until(lambda: (c := bench.gw.calls.get(call.id)).recording and c)
    assert call.recording.is_message
    audio = b"".join(bench.gw.fetch_recording(call.id).chunks)
    assert len(audio) > 40


def test_a_caller_who_gives_up_while_it_rings_abandons_the_call(bench: Bench) -> None:
    if bench.provider != "telnyx":
        pytest.skip("document carriers are answered with their first document: nothing rings")
    bench.gw.background.stop()
    ringing = bench.ring(caller=HangUpWhileRinging(after_s=1))
    call = bench.ended(bench.the_call(ringing))
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.CANCELLED,
        EndedBy.CALLER,
        EndCause.ABANDONED,
    )
