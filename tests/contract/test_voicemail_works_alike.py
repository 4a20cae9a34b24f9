"""Voicemail: same options, same result on every carrier; a person never hears silence."""

from __future__ import annotations

import pytest

from gateway import AnsweredBy, CallStatus, EndCause, EndedBy
from providers.simulator import Answer, Voicemail
from tests.bench import CALLEE, Bench


def test_a_message_is_left_after_the_greeting(bench: Bench) -> None:
    bench.sim.script(CALLEE, Voicemail(after_s=1, greeting_s=6, records_s=60))
    call = bench.place(
        voicemail_detection="detect", on_voicemail="leave_message", voicemail_message="Please call us back."
    )
    call = bench.ended(call, timeout_s=25)
    assert call.status is CallStatus.VOICEMAIL, bench.story()
    assert call.facts.answered_by is AnsweredBy.MACHINE
    heard = bench.sim_call(call).heard
    assert [item[1] for item in heard if item[0] == "say"] == ["Please call us back."], bench.story()


def test_hanging_up_on_a_machine_is_our_end(bench: Bench) -> None:
    bench.sim.script(CALLEE, Voicemail(after_s=1, greeting_s=30))
    call = bench.ended(bench.place(voicemail_detection="detect", on_voicemail="hang_up"), timeout_s=25)
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.VOICEMAIL,
        EndedBy.US,
        EndCause.MACHINE,
    ), bench.story()


def test_a_person_is_connected_at_once_while_detection_runs(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=20, recognized_after_s=15))
    call = bench.place(voicemail_detection="detect", on_voicemail="hang_up")
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].frames_out > 3)
    assert bench.gw.calls.get(call.id).facts.answered_by is None, "the agent talks before the verdict is in"
    call = bench.ended(call, timeout_s=25)
    assert call.status is CallStatus.COMPLETED, bench.story()
    expected = (
        AnsweredBy.HUMAN if bench.gw.services.provider_for(call)[1].capabilities.reports_human else None
    )
    assert call.facts.answered_by is expected


def test_a_fax_is_completed_and_says_that_it_was_one(bench: Bench) -> None:
    if not bench.gw.services.provider_of(bench.credential).capabilities.reports_fax:
        pytest.skip("this carrier does not tell a fax")
    bench.sim.script(CALLEE, Voicemail(after_s=1, verdict="fax", records_s=6))
    call = bench.ended(bench.place(voicemail_detection="detect"), timeout_s=25)
    assert (call.status, call.facts.answered_by) == (CallStatus.COMPLETED, AnsweredBy.FAX), bench.story()
