"""R72, R45: the maximum duration holds in both directions, whether or not the carrier cuts a call off by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gateway import CallSettings, CallStatus, EndCause, EndedBy
from providers.simulator import Answer, Caller
from tests.bench import CALLEE, Bench


def test_an_inbound_call_ends_at_its_maximum_duration(bench: Bench) -> None:
    agent = bench.gw.agents.get("echo")
    bench.gw.agents.put(replace(agent, settings=CallSettings(max_duration="30s")))
    ringing = bench.ring(caller=Caller(talk_s=None))
    call = bench.the_call(ringing)
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].claim)
    clock = bench.gw.services.clock
    bench.gw.background.stop()
    bench.gw.services.clock = lambda: clock() + timedelta(seconds=50)
    bench.until(lambda: bench.gw.sweep() and bench.gw.calls.get(call.id).status.is_final)
    call = bench.gw.calls.get(call.id)
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.US,
        EndCause.MAX_DURATION,
    ), bench.story()


def test_an_outbound_call_carries_its_maximum_duration_to_the_carrier(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=None))
    call = bench.ended(bench.place(max_duration="30s"), timeout_s=25)
    assert call.status is CallStatus.COMPLETED, bench.story()
    assert bench.sim_call(call).ended_by != "party"
