"""Calls on the command line: lists, the timeline, the live tail, and real calls through the simulator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import showing
from gateway.cli import screen
from gateway.models import AttemptState, Call, EventOutcome
from gateway.status import (
    Authority,
    CallFacts,
    CallStatus,
    CarrierWords,
    Cost,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    EndReason,
    EndReport,
    Recording,
    RetryAdvice,
)
from gateway.store import Store
from providers.simulator import Busy
from tests.bench import CALLEE, OURS, Bench, open_bench
from tests.clikit import Cli
from tests.storekit import SECOND, T0, a_call, put_attempt, put_call, put_credential, put_event

ESCAPE = "\x1b"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path)


@pytest.fixture
def store(cli: Cli) -> Iterator[Store]:
    opened = cli.store()
    yield opened
    opened.close()


@pytest.fixture
def ended(store: Store) -> Call:
    """A call that the called party ended after 12 s, with everything known about it."""
    facts = CallFacts(
        ringing=True,
        answered=True,
        answered_at=T0 + 3 * SECOND,
        ended_at=T0 + 15 * SECOND,
        ends=(EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, proves_answered=True),),
        duration=Duration(seconds=12, authority=Authority.RECORD),
        cost=Cost(amount=Decimal("0.0085"), currency="USD", authority=Authority.RECORD),
        recordings=(Recording(ref="RE1", duration_s=11, url="https://carrier.example.com/secret"),),
    )
    reason = EndReason(
        who=EndedBy.CALLEE,
        why=EndCause.HUNG_UP,
        retry=RetryAdvice.NO,
        carrier=CarrierWords(status="completed", sip_code="200"),
    )
    credential = put_credential(store)
    call = put_call(
        store,
        credential,
        status=CallStatus.COMPLETED,
        facts=facts,
        end_reason=reason,
        variables={"first_name": "Jane"},
        context={"campaign": "spring"},
    )
    put_attempt(store, call, state=AttemptState.ACCEPTED, lease_until=None)
    put_event(store, call, name="dial requested", source="gateway", status_after=CallStatus.QUEUED)
    put_event(
        store,
        call,
        event_id="e2",
        name="completed",
        detail="in_progress -> completed",
        status_after=CallStatus.COMPLETED,
        occurred_at=T0 + 15 * SECOND,
        received_at=T0 + 15 * SECOND,
    )
    put_event(store, call, name="ringing", source="reconciled", outcome=EventOutcome.NOTHING_NEW)
    return call


# What a program may rely on: the call object, field by field.
DOCUMENT = {
    "agent_id": "support",
    "phone_number": "+14155550123",
    "from_number": "+14155550100",
    "to": "+14155550123",
    "direction": "outbound",
    "status": "completed",
    "provider": "twilio",
    "started_at": "2026-03-01T12:00:03.123Z",
    "ended_at": "2026-03-01T12:00:15.123Z",
    "duration_seconds": 12,
    "answered_by": None,
    "cost_usd": 0.0085,
    "cost": {"amount": "0.0085", "currency": "USD"},
    "summary": None,
    "outcome": None,
    "has_transcript": False,
    "recording": {"ref": "RE1", "duration_seconds": 11, "channels": None, "is_message": False},
    "recording_url": None,
    "context": {"campaign": "spring"},
    "variables": {"first_name": "Jane"},
    "failure_reason": None,
    "end_reason": {
        "who": "callee",
        "why": "hung_up",
        "retry": "no",
        "carrier": {"status": "completed", "sip_code": "200"},
        "reconciled": False,
        "contradictory": False,
    },
    "created_at": "2026-03-01T12:00:00.123Z",
    "updated_at": "2026-03-01T12:00:00.123Z",
}


def test_a_call_is_one_document_with_the_fields_of_the_public_api(cli: Cli, ended: Call) -> None:
    (listed,) = cli.ok("calls", "list", "--json").document["data"]
    assert {**DOCUMENT, "id": ended.id} == {
        name: value for name, value in listed.items() if name != "call_settings"
    }
    assert listed["call_settings"]["join_timeout"] == "30s"


def test_the_other_party_of_an_inbound_call_is_the_caller() -> None:
    document = showing.call_document(replace(a_call(), direction=Direction.INBOUND))
    assert (document["phone_number"], document["to"]) == ("+14155550100", "+14155550123")


def test_show_adds_every_event_and_attempt_to_the_call(cli: Cli, ended: Call) -> None:
    document = cli.ok("calls", "show", ended.id, "--json").document
    assert [(e["source"], e["name"], e["outcome"]) for e in document["events"]] == [
        ("gateway", "dial requested", "applied"),
        ("webhook", "completed", "applied"),
        ("reconciled", "ringing", "nothing_new"),
    ]
    assert [attempt["state"] for attempt in document["attempts"]] == ["accepted"]
    assert document["id"] == ended.id


def test_show_draws_the_timeline_with_the_end_in_words(cli: Cli, ended: Call) -> None:
    shown = cli.ok("calls", "show", ended.id).out
    for words in (
        "✓ completed  +14155550100 → +14155550123",
        "the called party",
        "hung up in the normal way",
        "no need to try again",
        "0.0085 USD",
        "talked 12 s",
        "dial 1    accepted",
        "+15.000 s",
        "in_progress -> completed",
    ):
        assert words in shown
    lines = shown.splitlines()
    assert [line.split()[2] for line in lines if " asked " in line] == ["asked"]


def test_no_token_and_no_recording_address_is_shown(cli: Cli, ended: Call) -> None:
    for words in (("calls", "show", ended.id), ("calls", "show", ended.id, "--json")):
        shown = cli.ok(*words).out
        assert "carrier.example.com" not in shown
        assert "token" not in shown


def test_an_unknown_dial_is_shown_plainly(cli: Cli, store: Store) -> None:
    call = put_call(store, put_credential(store), context={"dial": "unconfirmed"})
    put_attempt(
        store,
        call,
        state=AttemptState.UNKNOWN,
        lease_until=None,
        looks=2,
        next_look_at=T0 + 60 * SECOND,
        message="no answer within 15 s",
    )
    shown = cli.ok("calls", "show", call.id).out
    assert "DIAL NOT CONFIRMED: the phone may be ringing" in shown
    assert (
        "unknown, no answer within 15 s, 2 looks at the carrier, next look 2026-03-01 12:01:00 UTC" in shown
    )
    assert "dial not confirmed" in cli.ok("calls", "list").out
    assert cli.ok("calls", "show", call.id, "--json").document["context"] == {"dial": "unconfirmed"}


def test_lists_are_filtered_in_either_dialect_and_paged(cli: Cli, store: Store) -> None:
    for position in range(5):
        put_call(store, created_at=T0 + position * SECOND)
    put_call(store, status=CallStatus.NO_ANSWER, direction=Direction.INBOUND, agent_id="other")
    first = cli.ok("calls", "list", "--status", "created", "--limit", "3", "--json").document
    assert (len(first["data"]), first["pagination"]["has_more"]) == (3, True)
    words = ("calls", "list", "--status", "created", "--limit", "3")
    second = cli.ok(*words, "--cursor", first["pagination"]["next_cursor"], "--json").document
    assert (len(second["data"]), second["pagination"]["next_cursor"]) == (2, None)
    assert not {c["id"] for c in first["data"]} & {c["id"] for c in second["data"]}
    for words in (("--status", "no-answer"), ("--direction", "inbound"), ("--agent", "other")):
        assert len(cli.ok("calls", "list", *words, "--json").document["data"]) == 1
    assert "--cursor" in cli.ok("calls", "list", "--limit", "3").out


def test_piped_output_has_no_escape_codes_even_with_hostile_words(cli: Cli, store: Store) -> None:
    call = put_call(store, agent_id=f"a{ESCAPE}[31m[bold]b")
    put_event(store, call, name=f"ring{ESCAPE}]0;title\x07ing", detail="two\nlines [red]x[/red]")
    for words in (("calls", "list"), ("calls", "show", call.id)):
        shown = cli.ok(*words).out
        assert ESCAPE not in shown
        assert "\x07" not in shown
    assert "[red]x[/red]" in shown


def test_every_status_outcome_and_reason_has_its_words() -> None:
    assert set(screen.STATUS_LOOK) == set(CallStatus)
    assert set(screen.OUTCOME_LOOK) == {outcome.value for outcome in EventOutcome}
    assert set(screen.WHO) == set(EndedBy)
    assert set(screen.WHY) == set(EndCause)
    assert set(screen.RETRY) == set(RetryAdvice)


def test_icons_alone_tell_live_good_and_bad_apart() -> None:
    icons = {status: look[0] for status, look in screen.STATUS_LOOK.items()}
    assert len({icons[s] for s in (CallStatus.IN_PROGRESS, CallStatus.COMPLETED, CallStatus.FAILED)}) == 3


def test_tail_writes_one_document_a_line_for_what_happens_from_now_on(cli: Cli, store: Store) -> None:
    call = put_call(store)
    put_event(store, call, name="before")
    process = cli.start("calls", "tail", "--for", "4s", "--json")
    stop = threading.Event()

    def report() -> None:
        for number in range(200):
            if stop.wait(0.1):
                return
            put_event(store, call, name=f"event {number}", status_after=CallStatus.RINGING)

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        out, err = process.communicate(timeout=30)
    finally:
        stop.set()
        reporter.join()
    assert (process.returncode, err) == (0, "")
    names = [json.loads(line)["name"] for line in out.splitlines()]
    assert len(names) > 3
    first = int(names[0].removeprefix("event "))
    assert names == [f"event {first + position}" for position in range(len(names))]


def test_durations_and_moments_read_well() -> None:
    assert [screen.seconds_text(s) for s in (0, 12.4, 65, None)] == ["0 s", "12 s", "1 min 05 s", ""]
    assert screen.moment(datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=1)) == "2026-03-01 13:00:00"


# -- through the simulator --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with open_bench("twilio", tmp_path_factory.mktemp("bench")) as opened:
        yield opened


@pytest.fixture
def live(bench: Bench) -> Cli:
    """Commands on the database of a running gateway."""
    settings = bench.gw.settings
    return Cli(
        Path(settings.database_url.removeprefix("sqlite:///")).parent,
        {
            "GATEWAY_PUBLIC_URL": bench.web.url,
            **{f"GATEWAY_{name.upper()}_BASE_URL": url for name, url in settings.base_urls.items()},
        },
    )


def test_a_call_is_placed_waited_for_and_told(bench: Bench, live: Cli) -> None:
    bench.sim.script("+14155550124", Busy())
    ran = live.ok("call", "+14155550124", "--agent", "echo", "--wait")
    assert "- busy" in ran.out
    assert "the line was busy" in ran.out
    document = live.ok("call", "+14155550124", "--agent", "echo", "--from", OURS, "--wait", "--json").document
    assert (document["status"], document["end_reason"]["why"]) == ("busy", "busy")


def test_a_live_call_is_hung_up_and_reconciled(bench: Bench, live: Cli) -> None:
    words = ("call", CALLEE, "--agent", "echo", "--max-duration", "5m", "--var", "first_name=Jane", "--json")
    placed = live.ok(*words).document
    assert placed["variables"] == {"first_name": "Jane"}
    assert placed["call_settings"]["max_duration"] == "300s"
    bench.until(lambda: bench.gw.calls.get(placed["id"]).status is CallStatus.IN_PROGRESS)
    asked = live.ok("calls", "reconcile", "--json").document["data"]
    assert [(call["id"], call["status"]) for call in asked] == [(placed["id"], "in_progress")]
    live.ok("calls", "hangup", placed["id"])
    ended = bench.ended(bench.gw.calls.get(placed["id"]))
    assert ended.status is CallStatus.COMPLETED
    assert live.ok("calls", "hangup", placed["id"], "--json").document["end_reason"]["who"] == "us"


def test_the_same_idempotency_key_places_one_call(bench: Bench, live: Cli) -> None:
    bench.sim.script("+14155550124", Busy())
    words = ("call", "+14155550124", "--agent", "echo", "--idempotency-key", "once", "--json")
    assert live.ok(*words).document["id"] == live.ok(*words).document["id"]


def test_a_refused_dial_is_told_twice_once_for_programs_once_on_stderr(bench: Bench, live: Cli) -> None:
    bench.gw.numbers.add("+14155550199", credential=bench.credential.id)  # the account does not hold it
    bench.gw.numbers.assign("+14155550199", configure=False, agent="echo", outbound=True)
    ran = live.run("call", CALLEE, "--agent", "echo", "--from", "+14155550199", "--json")
    assert ran.code == 1
    assert ran.document["status"] == "failed"
    assert ran.err.startswith("error: the call failed: ")
    assert ran.err.count("\n") == 1


def test_an_account_is_checked_at_its_carrier(bench: Bench, live: Cli) -> None:
    checked = live.ok("credentials", "check", "twilio", "--json").document
    assert (checked["account"]["status"], checked["id"]) == ("active", bench.credential.id)
    assert "active" in live.ok("credentials", "check", "twilio").out


def test_the_numbers_of_an_account_are_imported(bench: Bench, live: Cli) -> None:
    bench.sim.add_number(bench.account, "+14155550188")
    verdicts = {
        each["number"]: each["verdict"]
        for each in live.ok("numbers", "import", "twilio", "--json").document["results"]
    }
    assert verdicts["+14155550188"] == "imported"
    assert verdicts[OURS] == "already here"


def test_the_doctor_asks_the_carrier_for_the_account_and_the_time(bench: Bench, live: Cli) -> None:
    checks = {each["check"]: each for each in live.ok("doctor", "--json").document["checks"]}
    assert checks["credential twilio"]["level"] == "ok"
    assert checks["clock"]["level"] == "ok"
    assert "from twilio's" in checks["clock"]["message"]
