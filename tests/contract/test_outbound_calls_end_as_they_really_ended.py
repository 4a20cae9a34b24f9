"""Outbound: each way a call can end has one canonical status and one end reason, on every carrier."""

from __future__ import annotations

import pytest

from gateway import AnsweredBy, CallStatus, EndCause, EndedBy
from providers.simulator import Answer, Busy, Decline, NoAnswer, Unreachable, Voicemail
from tests.bench import CALLEE, Bench


def test_an_answered_call_is_completed_by_who_hung_up(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=10, keys="0123456789*#" * 3))
    call = bench.ended(bench.place())
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.CALLEE,
        EndCause.HUNG_UP,
    )
    assert bench.sim.truth(bench.sim_call(call)) == "answered"
    [conversation] = bench.agent.conversations
    assert conversation.claim is not None
    assert conversation.claim[0] == 200
    assert conversation.claim[1]["call_id"] == call.id
    assert "".join(conversation.keys).endswith("9*#"), "keys pressed before the socket is open are not heard"
    heard = [item for item in bench.sim_call(call).heard if item[0] == "audio"]
    assert heard
    assert heard[0][2], "the callee hears its own audio echoed"


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        pytest.param(Busy(), CallStatus.BUSY, EndCause.BUSY, id="busy"),
        pytest.param(Decline(), CallStatus.BUSY, EndCause.DECLINED, id="declined"),
        pytest.param(NoAnswer(), CallStatus.NO_ANSWER, EndCause.NO_ANSWER, id="no answer"),
        pytest.param(Unreachable(), CallStatus.FAILED, EndCause.INVALID_NUMBER, id="unreachable"),
    ],
)
def test_an_unanswered_call_says_why(bench: Bench, script: object, status: CallStatus, why: EndCause) -> None:
    bench.sim.script(CALLEE, script)
    call = bench.ended(bench.place(join_timeout="10s"))
    assert call.status is status, bench.story()
    if why is not EndCause.DECLINED or bench.provider != "twilio":
        assert call.end_reason.why is why
    assert call.duration_seconds == 0
    assert call.started_at is None


def test_a_mailbox_ends_as_voicemail(bench: Bench) -> None:
    bench.sim.script(CALLEE, Voicemail(after_s=1, greeting_s=2, records_s=3))
    call = bench.ended(bench.place(voicemail_detection="detect"))
    assert call.status is CallStatus.VOICEMAIL, bench.story()
    assert call.facts.answered_by is AnsweredBy.MACHINE


def test_hanging_up_while_it_rings_cancels_it(bench: Bench) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = bench.place()
    bench.until(lambda: bench.gw.calls.get(call.id).status is CallStatus.RINGING)
    bench.gw.hang_up(call.id)
    call = bench.ended(call)
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.CANCELLED,
        EndedBy.US,
        EndCause.CANCELLED,
    ), bench.story()
    assert bench.gw.hang_up(call.id).status is CallStatus.CANCELLED, "ending it again is a success"


def test_hanging_up_a_conversation_completes_it(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1))
    call = bench.place()
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].frames_in > 3)
    bench.gw.hang_up(call.id)
    call = bench.ended(call)
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.US,
        EndCause.HUNG_UP,
    ), bench.story()


def test_events_reach_the_embedding_program_once_each(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=2))
    call = bench.ended(bench.place())
    kinds = [event.type.value for event in bench.heard if event.call.id == call.id]
    changes = [kind for kind in kinds if kind != "call.updated"]
    # A carrier may deliver "ringing" after "answered": then nothing rings any more.
    assert changes[-2:] == ["call.answered", "call.ended"]
    assert changes[:-2] in ([], ["call.ringing"])


def test_an_agent_that_hangs_up_ends_the_call_as_ours(bench: Bench) -> None:
    bench.agent.hangs_up_after = 5
    bench.sim.script(CALLEE, Answer(after_s=1))
    call = bench.ended(bench.place())
    assert (call.status, call.end_reason.who) == (CallStatus.COMPLETED, EndedBy.US), bench.story()
