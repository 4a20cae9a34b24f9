"""Webhooks in another order, several times, late or lost: the call still ends as it really ended (R42)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import Call, CallStatus
from providers.simulator import Answer, Busy, Caller, NoAnswer, SimCall, Unreachable, Voicemail
from tests.bench import Bench

# What the exchange knows of an end, and the one status that it has here.
STATUS_BY_TRUTH = {
    ("outbound", "answered"): CallStatus.COMPLETED,
    ("outbound", "voicemail"): CallStatus.VOICEMAIL,
    ("outbound", "busy"): CallStatus.BUSY,
    ("outbound", "no_answer"): CallStatus.NO_ANSWER,
    ("outbound", "unreachable"): CallStatus.FAILED,
    ("outbound", "cancelled"): CallStatus.CANCELLED,
    ("inbound", "answered"): CallStatus.COMPLETED,
}

# Reports that neither end a call nor ask what to do nor tell what answered: (hook, the carrier's word).
PROGRESS: dict[str, tuple[tuple[str, str], ...]] = {
    "twilio": (
        ("status", "initiated"),
        ("status", "ringing"),
        ("status", "answered"),
        ("stream", "stream-started"),
    ),
    "telnyx": (("events", "call.initiated"), ("events", "streaming.started")),
    "plivo": (("status", "Ring"), ("stream", "StartStream")),
}
ASKS_WHAT_TO_DO = ("events", "call.initiated")  # of an inbound call: without it there is no call

OUTBOUND = {
    "answered": (Answer(after_s=2, talk_s=4), {"voicemail_detection": "detect"}),
    "busy": (Busy(), {}),
    "no answer": (NoAnswer(), {"join_timeout": "10s"}),
    "unreachable": (Unreachable(), {}),
    "voicemail": (Voicemail(after_s=2, greeting_s=3, records_s=3), {"voicemail_detection": "detect"}),
    "cancelled": (NoAnswer(), {"join_timeout": "100s"}),
}


Fault = dict[str, Any]

# What becomes of the webhooks. With `only_progress` it strikes those of PROGRESS, else everything.
FAULTS: dict[str, tuple[bool, Fault]] = {
    "sent after the next one": (True, {"reorder": True}),
    "late: the call is nearly over": (True, {"delay_s": 2.0}),  # twenty of the call's seconds
    "lost": (True, {"drop": True}),
    "sent three times": (False, {"repeat": 2}),
    "forged first": (False, {"forge": True}),
}


def misdeliver(bench: Bench, fault: str, *, inbound: bool) -> None:
    only_progress, said = FAULTS[fault]
    if not only_progress:
        bench.sim.faults.webhooks(bench.provider, times=500, **said)
        return
    for hook, event in PROGRESS[bench.provider]:
        if not inbound or (hook, event) != ASKS_WHAT_TO_DO:
            bench.sim.faults.webhooks(bench.provider, hook=hook, event=event, times=50, **said)


def call_out(bench: Bench) -> dict[str, Call]:
    placed = {}
    for n, (name, (script, said)) in enumerate(OUTBOUND.items()):
        to = f"+1415555{200 + n:04}"
        bench.sim.script(to, script)
        placed[name] = bench.place(to, **said)
    sim_call = bench.until(lambda: bench.sim_call(placed["cancelled"]))
    bench.until(lambda: sim_call.state == "ringing")
    bench.gw.hang_up(placed["cancelled"].id)
    return placed


def check(bench: Bench, name: str, call: Call, sim_call: SimCall) -> None:
    call = bench.ended(call, timeout_s=40)
    truth = bench.sim.truth(sim_call)
    wanted = STATUS_BY_TRUTH.get((call.direction.value, truth))
    assert call.status is wanted, f"{name}: the exchange knows {truth}\n{bench.story()}"
    assert call.end_reason is not None
    assert not call.end_reason.contradictory
    assert not call.end_reason.reconciled, "the carrier said it itself"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_end_is_the_true_one_whatever_becomes_of_the_webhooks(bench: Bench, fault: str) -> None:
    misdeliver(bench, fault, inbound=False)
    for name, call in call_out(bench).items():
        bench.ended(call, timeout_s=40)
        check(bench, name, call, bench.sim_call(call))
    bench.sim.faults.clear()
    misdeliver(bench, fault, inbound=True)
    ringing = bench.ring(caller=Caller(talk_s=4))
    check(bench, "inbound", bench.the_call(ringing), ringing)
    bench.settled()
    ended = {call.id: call for call in bench.gw.calls.list().calls}
    assert len(ended) == len(bench.sim.calls(bench.provider)), "one record a call\n" + bench.story()
    struck = [entry for entry in bench.sim.journal.all() if entry.kind == "fault"]
    assert len(struck) >= 5, "the faults were there"
    finals = [event for event in bench.heard if event.type.value in ("call.ended", "call.failed")]
    assert sorted(event.call.id for event in finals) == sorted(ended), "each end is told once"
