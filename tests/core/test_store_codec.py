"""Models <-> JSON: everything comes back equal, whatever is in it; free JSON is cleaned and never refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, SchemaMismatch
from gateway.instructions import (
    Forward,
    HangUp,
    LeaveMessage,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import CallSettings, OnVoicemail, VoicemailDetection
from gateway.status import (
    CallFacts,
    CarrierWords,
    Cost,
    Duration,
    EndCause,
    EndReason,
    EndReport,
    MachineVerdict,
    Recording,
)
from gateway.store import codec
from tests.storekit import a_call

# What the store keeps as it is: no NUL, no lone surrogate, within the cap.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-8)), timezone(timedelta(hours=5, minutes=45))])
EARLIEST, LATEST = datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("2200-01-01")
times = st.datetimes(EARLIEST, LATEST, timezones=zones)
amounts = st.decimals(min_value=0, max_value=1000, places=5)

st.register_type_strategy(datetime, times)
words = st.builds(CarrierWords, **dict.fromkeys(["status", "cause", "source", "sip_code", "text"], texts))
ends = st.builds(EndReport, words=words)
verdicts = st.builds(MachineVerdict, at=times, word=texts)
costs = st.builds(Cost, amount=amounts, currency=st.just("USD"))
recordings = st.builds(
    Recording,
    ref=texts,
    duration_s=st.none() | st.integers(0, 9999),
    channels=st.none() | st.integers(1, 2),
    url=st.none() | texts,
)
facts = st.builds(
    CallFacts,
    answered_at=st.none() | times,
    ended_at=st.none() | times,
    ends=st.lists(ends, max_size=3).map(tuple),
    verdicts=st.lists(verdicts, max_size=3).map(tuple),
    duration=st.none() | st.builds(Duration, seconds=st.integers(0, 10**6)),
    cost=st.none() | costs,
    recordings=st.lists(recordings, max_size=3).map(tuple),
    attestation=st.none() | texts,
)
durations = st.none() | st.integers(1, 9999)
settings = st.builds(
    CallSettings,
    recording_enabled=st.none() | st.booleans(),
    transcription_enabled=st.none() | st.booleans(),
    greeting=st.none() | texts,
    max_duration=durations,
    join_timeout=durations,
    voicemail_detection=st.none() | st.sampled_from(VoicemailDetection),
    on_voicemail=st.none() | st.sampled_from(OnVoicemail),
    voicemail_message=st.none() | texts,
)
streams = st.builds(
    Stream, st.just("wss://a.example.com/m"), st.dictionaries(texts.filter(bool), texts, max_size=3)
)
sips = st.just(Sip("sip:agent@example.com"))
forwards = st.builds(Forward, st.just("+14155550123"), st.none() | st.just("+14155550100"))
steps = st.one_of(
    streams,
    sips,
    forwards,
    st.builds(NextAgent, texts),
    st.builds(Say, texts, texts),
    st.builds(TakeMessage, texts, st.integers(1, 600), texts),
    st.builds(LeaveMessage, texts, texts),
    st.builds(Reject),
    st.just(HangUp()),
)


@given(facts)
def test_facts_come_back_equal(value: CallFacts) -> None:
    assert codec.read_facts(codec.write_facts(value)) == value


@given(facts, facts)
def test_stored_facts_merge_as_the_facts_themselves(a: CallFacts, b: CallFacts) -> None:
    stored = codec.read_facts(codec.write_facts(a))
    assert stored.merge(b) == a.merge(b)


@given(st.builds(EndReason, carrier=words))
def test_end_reasons_come_back_equal(value: EndReason) -> None:
    assert codec.read_end_reason(codec.write_end_reason(value)) == value


@given(settings)
def test_settings_come_back_equal(value: CallSettings) -> None:
    assert codec.read_settings(codec.write_settings(value)) == value


@given(steps)
def test_instructions_come_back_equal(value: Any) -> None:
    assert codec.read_instruction(codec.write_instruction(value)) == value


@given(st.lists(steps, max_size=4).map(tuple))
def test_fallback_chains_come_back_equal(value: tuple[Any, ...]) -> None:
    assert codec.read_chain(codec.write_chain(value)) == value


@given(streams | sips | forwards)
def test_connections_come_back_equal(value: Any) -> None:
    assert codec.read_connect(codec.write_connect(value)) == value


def test_every_kind_of_instruction_has_a_word() -> None:
    from typing import get_args

    from gateway import instructions

    kinds = {*get_args(instructions.Instruction), *get_args(instructions.FallbackStep)}
    assert set(codec.KINDS.values()) == kinds


def test_every_field_of_the_facts_is_covered_by_the_round_trip() -> None:
    """A new field is written and read by its type hint; a kind of type that the codec does not know shows up here."""
    readers = [codec._reader(kind) for kind in (CallFacts, EndReason, *codec.KINDS.values())]
    assert all(callable(reader) for reader in readers)
    assert {f.name for f in dataclasses.fields(CallFacts)} >= {"ends", "cost", "recordings"}


def test_what_equals_its_default_is_not_written() -> None:
    assert codec.write_facts(CallFacts()) == "{}"
    assert json.loads(codec.write_facts(CallFacts(ringing=True))) == {"ringing": True}


def test_decimals_keep_their_digits() -> None:
    stored = codec.write_facts(
        CallFacts(cost=Cost(amount=Decimal("0.00850"), currency="USD", authority="record"))
    )  # type: ignore[arg-type]
    cost = codec.read_facts(stored).cost
    assert cost is not None
    assert str(cost.amount) == "0.00850"


def test_a_connect_function_leaves_a_mark_and_fails_with_what_to_do() -> None:
    def connect(call: object) -> Sip:
        return Sip("sip:a@b.example")

    found = codec.read_connect(codec.write_connect(connect))
    assert found is codec.lost_function
    with pytest.raises(ConfigurationError, match="put the agent again"):
        found(a_call())


def test_a_field_of_a_newer_gateway_is_ignored() -> None:
    assert codec.read_facts('{"ringing":true,"colour":"red"}') == CallFacts(ringing=True)
    assert codec.read_settings('{"greeting":"Hi","colour":"red"}') == CallSettings(greeting="Hi")
    assert codec.read_instruction('{"kind":"say","text":"Hi","colour":"red"}') == Say("Hi")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (codec.read_facts, "{"),
        (codec.read_facts, "[]"),
        (codec.read_facts, '{"ends":[{"cause":"melted"}]}'),
        (codec.read_facts, '{"answered_at":"yesterday"}'),
        (codec.read_facts, '{"cost":{"amount":"much"}}'),
        (codec.read_end_reason, "{}"),
        (codec.read_instruction, '{"kind":"teleport"}'),
        (codec.read_instruction, "{}"),
        (codec.read_chain, "[1]"),
        (codec.read_settings, '{"max_duration":"soon"}'),
        (codec.read_connect, '{"kind":"stream"}'),
        (codec.read_json, "{"),
    ],
)
def test_what_cannot_be_read_says_so_in_one_error(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        read(text)


def test_an_unreadable_value_is_a_schema_mismatch() -> None:
    with pytest.raises(SchemaMismatch, match="newer gateway"):
        codec.read_facts('{"hangup_requested":"telepathy"}')


def test_a_naive_time_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="naive"):
        codec.write_facts(CallFacts(answered_at=naive))


# -- free JSON (R36) ------------------------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(anything)
def test_anything_can_be_written_and_is_read_back_as_it_was_cleaned(value: Any) -> None:
    stored = codec.write_json(value)
    assert codec.read_json(stored) == codec.clean_json(value)
    stored.encode("ascii")  # equal bytes on both databases


@given(anything)
def test_cleaning_twice_changes_nothing_more(value: Any) -> None:
    once = codec.clean_json(value)
    assert codec.clean_json(once) == once


@given(st.text(max_size=200), st.integers(0, 100))
def test_cleaned_text_has_no_nul_no_surrogate_and_keeps_to_its_limit(value: str, limit: int) -> None:
    cleaned = codec.clean_text(value, limit)
    assert len(cleaned) <= limit
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")


def test_json_bombs_are_stored_as_a_remark() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in codec.write_json(deep)
    assert codec.write_json(1 << 100_000) == '"(integer too long)"'
    assert codec.write_json(float("nan")) == '"nan"'
    assert len(codec.write_json("x" * 1_000_000)) == codec.MAX_TEXT + 2


@given(st.sampled_from(EndCause))
def test_every_cause_of_an_end_is_stored_by_its_word(cause: EndCause) -> None:
    stored = json.loads(codec.write_facts(CallFacts(ends=(EndReport(cause=cause),))))
    assert stored["ends"][0]["cause"] == cause.value
