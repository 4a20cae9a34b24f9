"""R39: a word that no table lists is kept as it came, counted and warned about, and changes nothing else."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import Call, CallStatus, EndCause, RetryAdvice
from gateway.interface import Hook
from gateway.store.upkeep import list_unmapped
from tests.linekit import SECRETS, UUID, Line, Make, open_lines, plivo, telnyx, twilio

WORDS = ["reticulating", "in_progress", "COMPLETED-ISH", "call.teleported", "0", "-1", "nil", "x" * 100]

# Every field with a closed list of words, in a report that is otherwise about a call that rings.
PROGRESS: dict[str, dict[str, tuple[Hook, Make]]] = {
    "twilio": {
        "CallStatus": (Hook.STATUS, lambda word: twilio(CallStatus=word)),
        "Direction": (Hook.STATUS, lambda word: twilio(Direction=word)),
        "StirVerstat": (Hook.STATUS, lambda word: twilio(StirVerstat=word)),
        "StirStatus": (Hook.STATUS, lambda word: twilio(StirStatus=word)),
        "AnsweredBy": (Hook.AMD, lambda word: twilio(AnsweredBy=word)),
        "StreamEvent": (Hook.STATUS, lambda word: twilio(StreamEvent=word, StreamSid="MZ" + "1" * 32)),
        "RecordingStatus": (
            Hook.RECORDING,
            lambda word: twilio(RecordingStatus=word, RecordingSid="RE" + "1" * 32),
        ),
    },
    "plivo": {
        "Event": (Hook.STATUS, lambda word: plivo(Event=word)),
        "CallStatus": (Hook.STATUS, lambda word: plivo(Event="Ring", CallStatus=word)),
        "Direction": (Hook.STATUS, lambda word: plivo(Event="Ring", CallStatus="queued", Direction=word)),
        "STIRAttestation": (
            Hook.STATUS,
            lambda word: plivo(Event="Ring", CallStatus="queued", STIRAttestation=word),
        ),
        "Machine": (Hook.AMD, lambda word: plivo(Event="MachineDetection", Machine=word)),
        "StreamEvent": (Hook.STATUS, lambda word: plivo(Event=word, StreamID=UUID)),
        "StatusReason": (Hook.STATUS, lambda word: plivo(Event="stopped", StreamID=UUID, StatusReason=word)),
        "DialAction": (Hook.STATUS, lambda word: plivo(DialAction=word)),
    },
    "telnyx": {
        "event_type": (Hook.EVENTS, lambda word: telnyx(word)),
        "direction": (Hook.EVENTS, lambda word: telnyx("call.initiated", direction=word)),
        "attestation": (
            Hook.EVENTS,
            lambda word: telnyx("call.initiated", direction="outgoing", shaken_stir_attestation=word),
        ),
        "result": (Hook.EVENTS, lambda word: telnyx("call.machine.premium.detection.ended", result=word)),
        "greeting": (Hook.EVENTS, lambda word: telnyx("call.machine.greeting.ended", result=word)),
        "status": (Hook.EVENTS, lambda word: telnyx("call.speak.ended", status=word)),
        "cost": (Hook.EVENTS, lambda word: telnyx("call.cost", status=word)),
    },
}
# A report of the end is an end whatever it says: the call must not stay open for ever.
ENDS: dict[str, dict[str, tuple[Hook, Make]]] = {
    "twilio": {},  # its end is a status: an unknown one is no end, and the carrier is asked
    "plivo": {
        "HangupCauseCode": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupCauseCode=word)),
        "HangupCause": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupCause=word)),
        "HangupSource": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupSource=word)),
    },
    "telnyx": {
        "hangup_cause": (Hook.EVENTS, lambda word: telnyx("call.hangup", hangup_cause=word)),
    },
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    """One gateway for all; each test takes calls of its own."""
    with open_lines(tmp_path_factory.mktemp("words")) as opened:
        yield opened


def known(call: Call) -> tuple[Any, ...]:
    return call.status, call.facts, call.end_reason, call.sequence


def counted(line: Line, word: str) -> int:
    return sum(
        each.count
        for each in list_unmapped(line.gw.services.store)
        if each.provider == line.provider and each.word.lower() == word.lower()
    )


def rows(of: dict[str, dict[str, tuple[Hook, Make]]]) -> list[Any]:
    return [
        pytest.param(provider, *row, id=f"{provider} {name}")
        for provider, table in of.items()
        for name, row in table.items()
    ]


@pytest.mark.parametrize(("provider", "hook", "make"), rows(PROGRESS))
def test_an_unknown_word_is_kept_counted_and_warned_about_and_changes_nothing(
    lines: dict[str, Line], provider: str, hook: Hook, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    line, heard = lines[provider], []
    line.gw.on("call.updated")(heard.append)
    for word in WORDS:
        call = line.ringing_call()
        before, seen = known(call), counted(line, word)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert line.send(call, hook, make(word)) == 200
        assert known(line.gw.calls.get(call.id)) == before, word
        assert counted(line, word) == seen + 1
        assert f"{provider}: no meaning for" in caplog.text
        last = line.gw.calls.events(call.id)[-1]
        assert word in json.dumps(dict(last.raw)), "kept as it came"
    assert heard == []


@pytest.mark.parametrize(("provider", "hook", "make"), rows(ENDS))
def test_an_end_for_an_unknown_reason_is_an_end_and_a_person_must_decide(
    lines: dict[str, Line], provider: str, hook: Hook, make: Make
) -> None:
    line = lines[provider]
    for word in WORDS[:4]:
        call = line.ringing_call()
        seen = counted(line, word)
        assert line.send(call, hook, make(word)) == 200
        ended = line.gw.calls.get(call.id)
        assert ended.end_reason is not None
        assert (ended.status, ended.end_reason.why) == (CallStatus.FAILED, EndCause.UNKNOWN)
        assert ended.end_reason.retry is RetryAdvice.ASK
        words = ended.end_reason.carrier
        assert word[:60] in (words.cause, words.source)
        assert counted(line, word) == seen + 1
        assert line.ring(call) == 200
        assert line.gw.calls.get(call.id).status is CallStatus.FAILED, "nothing brings it back"


# -- any text at all -----------------------------------------------------------------------------------------------

STRANGE = "aZ09._- :;/\\'\"<>&%+=,|{}\t\n\r\0\x7f\u0085\u00e9\u0130\u202e\u2028\ufeff\ufffe\U0001f600名"


def strange_words(chance: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        length = chance.choice((1, 2, 5, 30, 300))
        yield "".join(chance.choice(STRANGE) for _ in range(length))


def play_strange_words(line: Line, count: int) -> None:
    """Each word in each field: taken or refused as malformed, never a fault, and never another status."""
    chance = random.Random(39)
    table = list(PROGRESS[line.provider].values())
    call = line.ringing_call()
    status, end = call.status, call.end_reason
    for n, word in enumerate(strange_words(chance, count)):
        hook, make = table[n % len(table)]
        assert line.send(call, hook, make(word)) in (200, 400), word
        if n % 50 == 0 or n == count - 1:
            latest = line.gw.calls.get(call.id)
            assert (latest.status, latest.end_reason) == (status, end), word


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_any_text_in_the_place_of_a_word_is_no_fault_and_no_change(
    lines: dict[str, Line], provider: str
) -> None:
    play_strange_words(lines[provider], 80)


@pytest.mark.proof
@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_ten_thousand_texts_in_the_place_of_a_word_are_no_fault_and_no_change(
    lines: dict[str, Line], provider: str
) -> None:
    play_strange_words(lines[provider], 10_000)
