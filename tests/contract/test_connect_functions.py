"""An agent whose `connect` is a function is asked for each call; one that fails, hangs or lies is passed over (R95)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import Agent, Call, CallStatus, Forward, Gateway, Say, Sip, Stream
from gateway.models import EventOutcome
from providers.simulator import Answer, Caller, SimCall
from tests.bench import CALLEE, CALLER, OURS, Bench, open_bench

INSTEAD = "Please call again later."


def put(bench: Bench, connect: Callable[[Call], Any]) -> None:
    bench.gw.agents.put(Agent(id="echo", connect=connect, fallback=(Say(INSTEAD),)))


def words(ringing: SimCall) -> list[str]:
    return [str(item[1]) for item in ringing.heard if item[0] == "say"]


def assert_next_step(bench: Bench, from_: str = CALLER) -> Call:
    """A caller hears what stands behind the agent; the timeline says why."""
    ringing = bench.ring(from_=from_, caller=Caller(gives_up_after_s=600))
    call = bench.ended(bench.the_call(ringing), timeout_s=25)
    assert words(ringing) == [INSTEAD], bench.story()
    assert call.status is CallStatus.COMPLETED
    assert bench.agent.conversations == []
    [refused] = [e for e in bench.gw.calls.events(call.id) if e.name == "agent did not say how to connect"]
    assert (refused.outcome, refused.detail) == (EventOutcome.REFUSED, "agent echo")
    return call


def test_an_inbound_call_is_connected_where_the_function_says(bench: Bench) -> None:
    asked: list[Call] = []

    def connect(call: Call) -> Stream:
        asked.append(call)
        return Stream(bench.agent.url, {"room": call.id})

    put(bench, connect)
    ringing = bench.ring(caller=Caller(talk_s=5))
    call = bench.ended(bench.the_call(ringing))
    assert [(one.id, one.to, one.from_number, one.agent_id) for one in asked] == [
        (call.id, OURS, CALLER, "echo")
    ]
    [conversation] = bench.agent.conversations
    assert conversation.claim is not None
    assert conversation.claim[1]["call_id"] == call.id
    assert conversation.parameters["call_id"] == call.id
    assert conversation.parameters["room"] == call.id


def test_an_outbound_call_is_connected_where_the_function_says_once_it_is_answered(bench: Bench) -> None:
    asked: list[CallStatus] = []

    def connect(call: Call) -> Stream:
        asked.append(call.status)
        return Stream(bench.agent.url)

    put(bench, connect)
    bench.sim.script(CALLEE, Answer(after_s=2, talk_s=5))
    call = bench.ended(bench.gw.place_call("echo", CALLEE, variables={"name": "Ann"}))
    assert (call.status, len(asked)) == (CallStatus.COMPLETED, 1)
    [conversation] = bench.agent.conversations
    assert conversation.claim is not None
    assert conversation.claim[1]["variables"] == {"name": "Ann"}


def test_a_function_that_raises_is_passed_over(bench: Bench) -> None:
    def connect(call: Call) -> Stream:
        raise RuntimeError("a bug of the embedder's")

    put(bench, connect)
    assert_next_step(bench)


def test_a_function_that_hangs_is_passed_over_after_two_seconds(bench: Bench) -> None:
    released, asked = threading.Event(), threading.Event()

    def connect(call: Call) -> Stream:
        asked.set()
        released.wait(30)
        return Stream(bench.agent.url)

    put(bench, connect)
    try:
        assert_next_step(bench)
        assert asked.is_set()
    finally:
        released.set()


NO_CONNECTION = {
    "nothing": None,
    "an address as text": "wss://agents.example.com/media",
    "a step that is no connection": Say("Hello"),
    "an emergency number": Forward("+1911"),
    "an emergency number at a SIP address": Sip("sip:911;phone-context=+1@pbx.example.net"),
    "a premium number": Forward("+19002123456"),
    "another country": Forward("+442079460104"),
    "a caller ID that is no number": Forward("+14155550177", caller_id="Acme"),
}


def test_an_answer_that_is_no_allowed_connection_is_passed_over(tmp_path: Path) -> None:
    """On one carrier: the answer is judged before any carrier is told."""
    with open_bench("plivo", tmp_path) as bench:
        for n, answer in enumerate(NO_CONNECTION.values()):
            put(bench, lambda call, answer=answer: answer)  # type: ignore[misc]
            assert_next_step(bench, f"+1212555{400 + n:04}")
        assert len(bench.sim.calls()) == len(NO_CONNECTION), "nobody else was called"


def test_an_address_on_a_host_that_is_not_allowed_is_passed_over(bench: Bench) -> None:
    settings = replace(bench.gw.services.settings, allowed_stream_hosts=("agents.example.com",))
    bench.gw.services.settings = settings
    put(bench, lambda call: Stream(bench.agent.url))
    assert_next_step(bench)


def test_a_function_may_forward_to_a_person(bench: Bench) -> None:
    bench.sim.script("+14155550177", Answer(after_s=1))
    put(bench, lambda call: Forward("+14155550177"))
    ringing = bench.ring(caller=Caller(talk_s=8))
    call = bench.ended(bench.the_call(ringing))
    assert call.status is CallStatus.COMPLETED, bench.story()
    assert any(item[0] == "connected_to" for item in ringing.heard)


def test_a_function_of_another_process_is_passed_over_until_it_is_put_again(bench: Bench) -> None:
    """What a restart leaves: the agent is in the database, its function is not in this process."""
    with Gateway.open(bench.gw.settings, background=False) as before:
        before.agents.put(
            Agent(id="echo", connect=lambda call: Stream(bench.agent.url), fallback=(Say(INSTEAD),))
        )
    assert_next_step(bench)
    put(bench, lambda call: Stream(bench.agent.url))
    bench.ended(bench.the_call(bench.ring(from_="+12125550124", caller=Caller(talk_s=4))))
    assert len(bench.agent.conversations) == 1


def test_a_function_gives_way_to_a_connection_that_is_put_later(bench: Bench) -> None:
    put(bench, lambda call: Sip("sip:nobody@pbx.example.net"))
    bench.gw.agents.put(Agent(id="echo", connect=Stream(bench.agent.url)))
    bench.ended(bench.the_call(bench.ring(caller=Caller(talk_s=4))))
    assert len(bench.agent.conversations) == 1
