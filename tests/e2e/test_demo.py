"""The demo itself, as a person runs it: every way a call can go, on every carrier, against a real server process."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway import Call, CallStatus, ConfigurationError, Direction, EndCause, EndedBy, RetryAdvice
from gateway.demo import run
from gateway.demo.bringing import BREAKING, BRINGING, Chapter, Done, perform
from gateway.demo.playing import Scene, play, rehearsed
from gateway.demo.report import document, gather
from gateway.demo.scenarios import scenarios
from gateway.demo.show import PeopleScreen
from gateway.demo.stage import Called, Stage, go_live, open_stage
from gateway.demo.truth import ENDED_BY, INBOUND, OUTBOUND, compare
from gateway.registry import BUILT_IN
from gateway.status import CarrierWords, EndReason
from providers.simulator import Busy, Fault
from providers.simulator.exchange import EndedBy as ExchangeEndedBy
from providers.simulator.exchange import Outcome

COMMAND = [sys.executable, "-c", "from gateway.cli import main; main()", "demo"]
ONE_CARRIER = [
    sys.executable,
    "-c",
    "from gateway.demo import run; raise SystemExit(run(providers=['plivo']))",
]
TIMEOUT_S = 180


# -- the whole, from outside -----------------------------------------------------------------------------------------


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose temporary folder is ours, so that what is left there can be seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield {**os.environ, "TMPDIR": str(folder), "GATEWAY_UNHEARD_OF": "must not reach the server"}
    assert list(folder.iterdir()) == [], "a file was left behind"
    assert processes_that_name(folder) == [], "a process was left behind"


def processes_that_name(folder: Path) -> list[int]:
    """Processes whose environment or command names the folder; Linux only, elsewhere none are seen."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            text = (each / "environ").read_bytes() + (each / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and int(each.name) != os.getpid():
            found.append(int(each.name))
    return found


def test_gateway_and_exchange_agree_on_every_call_of_every_carrier(surroundings: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "--json"], env=surroundings, capture_output=True, timeout=TIMEOUT_S)
    told = json.loads(done.stdout)
    wrong = [call for call in told["calls"] if not call["agrees"]] + [
        c for c in told["checks"] if not c["ok"]
    ]
    assert (done.returncode, told["agrees"], wrong) == (0, True, []), done.stderr
    assert {(call["provider"], call["scenario"]) for call in told["calls"]} == {
        (provider, scenario.name) for provider in BUILT_IN for scenario in scenarios()
    }
    statuses = {call["scenario"]: call["call"]["status"] for call in told["calls"]}
    assert statuses == {
        "answered": "completed",
        "busy": "busy",
        "no_answer": "no_answer",
        "voicemail": "voicemail",
        "unreachable": "failed",
        "cancelled": "cancelled",
        "inbound_answered": "completed",
        "inbound_unassigned": "completed",
        "inbound_agent_down": "completed",
        "webhook_forged": "completed",
        "webhook_repeated": "completed",
        "webhooks_reordered": "completed",
    }
    assert told["frames_echoed"] > 100
    assert [(step["provider"], step["step"]) for step in told["setup"]] == [
        (provider, step)
        for chapter in (BRINGING, BREAKING)
        for step, _ in chapter.steps
        for provider in sorted(BUILT_IN, reverse=True)
    ]
    assert all(step["ok"] for step in told["setup"])
    moves = {step["step"]: (step["before"], step["after"]) for step in told["setup"] if step["after"]}
    assert {step: after for step, (_, after) in moves.items() if "gateway" not in after} == {
        "console": "typo.example.com/calls",
        "unassign": "old.example.com/calls",
    }


def test_piped_it_prints_plain_lines_and_says_where_to_go_on(surroundings: dict[str, str]) -> None:
    done = subprocess.run(ONE_CARRIER, env=surroundings, capture_output=True, timeout=TIMEOUT_S, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    for text in ("Telephony gateway: demo", "What happens", "agree on all 12 calls", "gateway --help"):
        assert text in done.stdout
    lines = [line for line in done.stdout.splitlines() if "exchange:" in line]
    assert len(lines) == 12
    assert all(line.startswith("✓ plivo") for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle_it_leaves_nothing(
    surroundings: dict[str, str], number: signal.Signals
) -> None:
    demo = subprocess.Popen(
        ONE_CARRIER, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout is not None
    told = ""
    for line in demo.stdout:
        told += line
        if "exchange:" in line:  # the first call is over, others are under way
            demo.send_signal(number)
            break
    told += demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, told
    assert told.endswith("Stopped; nothing is left running.\n")


# -- what does not agree -----------------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage(["plivo"], 20.0, lambda _part, _text: None) as opened:
        assert all(done.ok for done in played(opened, BRINGING))
        go_live(opened, lambda _part, _text: None)
        yield opened


def played(stage: Stage, chapter: Chapter) -> list[Done]:
    return perform(stage, chapter, lambda _title: None, lambda _done: None)


def test_a_call_that_is_not_what_it_should_be_is_shown_with_its_timeline(stage: Stage) -> None:
    busy = next(each for each in scenarios() if each.name == "busy")
    with rehearsed(stage) as (scenes, stopping):
        wrong = next(scene for scene in scenes if scene.scenario == busy)
        wrong.scenario = replace(busy, phone=Busy(after_s=1), truth="answered")
        over: list[Scene] = []
        play([wrong], stopping, over.append)
        report = gather(stage, [wrong], [], 1.0)
        shown = io.StringIO()
        PeopleScreen(Console(file=shown, width=100), ["plivo"], is_live=False).closing(report)
        told = document(report)
    assert over == [wrong]
    assert not report.agrees
    assert "do NOT agree on 1 of 1 calls" in shown.getvalue()
    assert "played answered, the exchange saw busy" in shown.getvalue()
    [call] = told["calls"]
    assert (told["agrees"], call["agrees"], call["truth"], call["call"]["status"]) == (
        False,
        False,
        "busy",
        "busy",
    )
    assert [event["name"] for event in call["events"]][:1] == ["dial requested"]


def test_a_stopped_demo_gives_up_at_once_what_it_waits_for(stage: Stage) -> None:
    with rehearsed(stage) as (scenes, stopping):
        ringing = next(scene for scene in scenes if scene.scenario.name == "no_answer")
        stopping.set()
        began = time.monotonic()
        ringing.play()
    assert not ringing.is_over
    assert time.monotonic() - began < 20


# -- the accounts ------------------------------------------------------------------------------------------------------


def test_a_number_that_a_carrier_does_not_let_mend_fails_the_demo_with_its_reason(stage: Stage) -> None:
    stage.sim.faults.api("plivo", "write", Fault.STATUS, status=400, times=50)
    done = played(stage, replace(BREAKING, steps=BREAKING.steps[:3]))
    assert [each.ok for each in done] == [True, True, False]
    assert done[-1].text.startswith("plivo: ")
    report = gather(stage, [], done, 1.0)
    assert not report.agrees
    assert report.checks[0].detail == "not as it must be: repair at plivo"
    shown = io.StringIO()
    PeopleScreen(Console(file=shown, width=100), ["plivo"], is_live=False).closing(report)
    assert "but not all else is as it must be" in shown.getvalue()


def test_a_number_that_is_not_as_it_was_before_is_told(stage: Stage) -> None:
    line = stage.lines["plivo"]
    stage.sim.change_number(line.account, line.number(Called.DOWN), cnam_lookup="enabled")
    [done] = played(stage, replace(BREAKING, steps=BREAKING.steps[-1:]))
    assert (done.ok, done.after) == (False, "old.example.com/calls"), done.text


# -- the table of truth ----------------------------------------------------------------------------------------------


def call_that_ended(
    status: CallStatus, why: EndCause, who: EndedBy, direction: Direction = Direction.OUTBOUND
) -> Call:
    now = datetime.now(UTC)
    reason = EndReason(who=who, why=why, retry=RetryAdvice.NO, carrier=CarrierWords())
    fields: dict[str, Any] = {"agent_id": "echo", "credential_id": None, "provider": "plivo"}
    return Call(
        id="1",
        workspace_id="default",
        direction=direction,
        status=status,
        to="+14155550100",
        from_number="+14155550150",
        end_reason=reason,
        created_at=now,
        updated_at=now,
        **fields,
    )


def wrong_names(call: Call, truth: str, ended_by: str) -> list[str]:
    return [check.name for check in compare(call, truth, ended_by) if not check.ok]


def test_status_reason_and_party_are_each_held_against_the_truth() -> None:
    right = call_that_ended(CallStatus.BUSY, EndCause.BUSY, EndedBy.CALLEE)
    assert wrong_names(right, "busy", "party") == []
    assert wrong_names(replace(right, status=CallStatus.FAILED), "busy", "party") == ["status"]
    assert wrong_names(right, "answered", "us") == ["status", "end reason", "ended by"]


def test_a_carrier_that_does_not_say_who_hung_up_is_not_blamed() -> None:
    call = call_that_ended(CallStatus.COMPLETED, EndCause.HUNG_UP, EndedBy.UNKNOWN, Direction.INBOUND)
    assert wrong_names(call, "answered", "us") == []


def test_a_truth_that_no_row_knows_never_agrees() -> None:
    call = call_that_ended(CallStatus.RINGING, EndCause.UNKNOWN, EndedBy.UNKNOWN)
    assert wrong_names(call, "ringing", "") == ["status"]


def test_every_word_of_the_exchange_has_a_row() -> None:
    assert {*OUTBOUND, *INBOUND} == {outcome.value for outcome in Outcome}
    assert {by for _, by in ENDED_BY} == {by.value for by in ExchangeEndedBy}


def test_an_unknown_carrier_or_an_odd_speed_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match="carrier-pigeon"):
        run(providers=["carrier-pigeon"])
    with pytest.raises(ConfigurationError, match="speed"):
        run(speed=1000)
