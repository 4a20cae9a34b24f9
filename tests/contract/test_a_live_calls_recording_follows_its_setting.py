"""`recording_enabled` of a live call really starts or stops its recording at the carrier; once, whatever fails."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import Agent, Call, CallStatus, Conflict, Say, Stream
from gateway.store import actions
from gateway.store.rows import ActionKind, ActionState
from providers.simulator import Answer, Caller, Fault
from tests.bench import CALLEE, Bench


def talking(bench: Bench, *, inbound: bool = False, talk_s: float = 40, **settings: Any) -> Call:
    """A call whose agent has joined."""
    if inbound:
        call = bench.the_call(bench.ring(caller=Caller(talk_s=talk_s)))
    else:
        bench.sim.script(CALLEE, Answer(after_s=1, talk_s=talk_s))
        call = bench.place(**settings)
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].claim)
    return bench.until(lambda: (c := bench.gw.calls.get(call.id)).status is CallStatus.IN_PROGRESS and c)


def switched(bench: Bench, call: Call, wanted: bool) -> None:
    """Change the setting and wait until the carrier was told."""
    bench.gw.calls.edit(call.id, recording_enabled=wanted)
    bench.until(lambda: not waiting(bench, call))


def waiting(bench: Bench, call: Call) -> list[Any]:
    found = actions.list_actions(bench.gw.services.store, call.id)
    return [each for each in found if each.kind is ActionKind.RECORD and each.state is ActionState.PENDING]


def recordings(bench: Bench, call: Call) -> Any:
    return bench.gw.calls.get(call.id).facts.recordings


def over(bench: Bench, call: Call) -> Call:
    """The call once it is over and everything was told."""
    bench.ended(call, timeout_s=25)
    bench.settled()
    return bench.gw.calls.get(call.id)


@pytest.mark.parametrize("inbound", [False, True], ids=["outbound", "inbound"])
def test_a_recording_started_mid_call_lands_on_the_call(bench: Bench, inbound: bool) -> None:
    call = talking(bench, inbound=inbound)
    switched(bench, call, True)
    call = over(bench, call)
    [recording] = bench.until(lambda: recordings(bench, call))
    assert not recording.is_message
    assert recording.duration_s is not None
    assert 0 < recording.duration_s <= call.duration_seconds, bench.story()
    assert b"".join(bench.gw.fetch_recording(call.id).chunks)
    assert "call.recording_ready" in [event.type.value for event in bench.heard]
    assert [e.name for e in bench.gw.calls.events(call.id)].count("recording started") == 1
    assert {each.status for each in bench.web.delivered} == {200}


@pytest.mark.parametrize("inbound", [False, True], ids=["outbound", "inbound"])
def test_a_recording_stopped_mid_call_ends_then(bench: Bench, inbound: bool) -> None:
    if inbound:
        agent = bench.gw.agents.get("echo")
        settings = agent.settings.from_dict({"recording_enabled": True})
        bench.gw.agents.put(Agent(id="echo", connect=agent.connect, settings=settings))
    call = talking(bench, inbound=inbound, talk_s=100, recording_enabled=True)
    switched(bench, call, False)
    [recording] = bench.until(lambda: recordings(bench, call))
    live = bench.gw.calls.get(call.id)
    assert live.status is CallStatus.IN_PROGRESS, "the recording is there before the end"
    assert recording.duration_s is not None
    bench.gw.hang_up(call.id)
    assert len(over(bench, call).facts.recordings) == 1, bench.story()


def test_a_recording_can_be_stopped_and_started_again(bench: Bench) -> None:
    call = talking(bench, talk_s=100, recording_enabled=True)
    for wanted in (False, True, False, True):
        switched(bench, call, wanted)
    bench.gw.hang_up(call.id)
    over(bench, call)
    bench.until(lambda: len(recordings(bench, call)) == 3)


@pytest.mark.parametrize("first", [False, True], ids=["started", "stopped"])
def test_a_change_while_it_rings_takes_effect_with_the_answer(bench: Bench, first: bool) -> None:
    bench.sim.script(CALLEE, Answer(after_s=15, talk_s=30))
    call = bench.place(recording_enabled=first)
    edited = bench.gw.calls.edit(call.id, recording_enabled=not first)
    assert edited.settings.recording_enabled is not first
    assert not edited.status.is_final
    done = over(bench, call)
    assert done.facts.answered
    if first:
        assert all((r.duration_s or 0) < done.duration_seconds / 2 for r in done.facts.recordings), (
            bench.story()
        )
    else:
        bench.until(lambda: len(recordings(bench, call)) == 1)
    assert not waiting(bench, call)


def test_a_lost_answer_is_asked_for_again_and_there_is_one_recording_at_the_end(bench: Bench) -> None:
    call = talking(bench, talk_s=60)
    operation = "recording" if bench.provider == "twilio" else "command"
    bench.sim.faults.api(bench.provider, operation, Fault.SERVER_ERROR_AFTER, status=503)
    switched(bench, call, True)
    tried = [a for a in actions.list_actions(bench.gw.services.store, call.id) if a.kind is ActionKind.RECORD]
    assert [(each.state, each.tries) for each in tried] == [(ActionState.DONE, 2)]
    done = over(bench, call)
    found = bench.until(lambda: recordings(bench, call))
    assert sum(r.duration_s or 0 for r in found) <= done.duration_seconds, "never two at once"


def test_changes_that_come_before_the_carrier_was_told_cancel_out(bench: Bench) -> None:
    call = talking(bench, recording_enabled=False)
    bench.gw.background.stop()
    for wanted in (True, False, True, False):
        bench.gw.calls.edit(call.id, recording_enabled=wanted)
    assert len(waiting(bench, call)) == 1
    bench.gw.sweep()
    assert not waiting(bench, call)
    assert not over(bench, call).facts.recordings


def test_what_was_asked_before_a_crash_is_done_after_it(bench: Bench) -> None:
    call = talking(bench, talk_s=60)
    bench.gw.background.stop()
    bench.gw.calls.edit(call.id, recording_enabled=True)
    assert len(waiting(bench, call)) == 1
    bench.gw.sweep()  # what the next process does
    over(bench, call)
    assert len(bench.until(lambda: recordings(bench, call))) == 1


def test_a_call_that_is_over_keeps_its_settings(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=2))
    call = bench.ended(bench.place())
    with pytest.raises(Conflict, match="cannot be changed any more"):
        bench.gw.calls.edit(call.id, recording_enabled=True)
    assert bench.gw.calls.get(call.id).settings.recording_enabled is False


def test_a_conversation_behind_a_failing_agent_is_recorded_all_the_same(bench: Bench) -> None:
    agent = bench.gw.agents.get("echo")
    settings = agent.settings.from_dict({"recording_enabled": True})

    def fails(call: Call) -> Stream:
        raise RuntimeError("no address today")

    bench.gw.agents.put(
        Agent(
            id="echo",
            connect=fails,
            settings=settings,
            fallback=(Say("Please hold."), Stream(bench.agent.url)),
        )
    )
    call = talking(bench, inbound=True)
    over(bench, call)
    assert len(bench.until(lambda: recordings(bench, call))) == 1
