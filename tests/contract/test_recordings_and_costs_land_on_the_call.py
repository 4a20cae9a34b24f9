"""Recording and cost: reference, duration, amount and currency land on the call; the audio is fetched by us."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from gateway import CallSettings
from providers.simulator import Answer, Caller
from tests.bench import CALLEE, Bench


def test_an_outbound_recording_is_ready_and_can_be_fetched(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=10))
    call = bench.ended(bench.place(recording_enabled=True))
    call = bench.until(lambda: (c := bench.gw.calls.get(call.id)).recording and c)
    assert call.recording.duration_s is not None
    assert not call.recording.is_message
    stream = bench.gw.fetch_recording(call.id)
    audio = b"".join(stream.chunks)
    assert len(audio) > 40
    assert stream.content_type.startswith("audio/")
    assert "call.recording_ready" in [event.type.value for event in bench.heard]


def test_an_inbound_call_is_recorded_when_its_agent_says_so(bench: Bench) -> None:
    agent = bench.gw.agents.get("echo")
    bench.gw.agents.put(replace(agent, settings=CallSettings(recording_enabled=True)))
    call = bench.ended(bench.the_call(bench.ring(caller=Caller(talk_s=10))))
    bench.until(lambda: bench.gw.calls.get(call.id).recording)


def test_nothing_is_recorded_unless_it_was_asked_for(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=2))
    bench.ended(bench.place())
    [dial] = bench.sim.dials(bench.provider)
    assert not [key for key in dial.data["parameters"] if key.lower().startswith("record")]


def test_the_cost_lands_on_the_call(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=10))
    call = bench.ended(bench.place())
    if not bench.gw.services.provider_of(bench.credential).capabilities.cost_in_webhook:
        clock, ahead = bench.gw.services.clock, timedelta()

        def asked() -> object:
            nonlocal ahead
            ahead += timedelta(hours=1)
            bench.gw.services.clock = lambda: clock() + ahead
            bench.gw.sweep()
            time.sleep(1)
            return bench.gw.calls.get(call.id).cost

        bench.gw.background.stop()
        bench.until(asked, timeout_s=40)
    call = bench.until(lambda: (c := bench.gw.calls.get(call.id)).cost and c)
    assert call.cost.currency == "USD"
    assert call.cost.amount > 0
