"""The frozen values: what they refuse, how settings merge, and what a call derives from its facts."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from gateway.errors import ValidationError
from gateway.folding import fold
from gateway.instructions import Forward, NextAgent, Say, Sip, Stream
from gateway.models import (
    DEFAULT_SETTINGS,
    Agent,
    AttemptState,
    CallerIdStrategy,
    CallSettings,
    OnVoicemail,
    VoicemailDetection,
)
from gateway.status import (
    Authority,
    CallFacts,
    Direction,
    Duration,
    EndCause,
    EndReport,
    Recording,
)
from tests.storekit import SECOND, T0, a_call, a_credential, an_attempt

STREAM = Stream("wss://agents.example.com/media")
HUNG_UP = EndReport(cause=EndCause.HUNG_UP, proves_answered=True)


# -- call settings -------------------------------------------------------------------------------------------------


def test_settings_merge_call_over_agent_over_gateway() -> None:
    agent = CallSettings(join_timeout="20s", recording_enabled=True, greeting="Hello")
    call = CallSettings(join_timeout="45s", recording_enabled=False)
    merged = call.over(agent.over(DEFAULT_SETTINGS))
    assert merged.as_dict() == {
        "recording_enabled": False,
        "transcription_enabled": False,
        "greeting": "Hello",
        "max_duration": "1800s",
        "join_timeout": "45s",
        "voicemail_detection": "off",
        "on_voicemail": "continue",
    }
    assert (merged.join_timeout_s, merged.max_duration_s) == (45, 1800)


def test_what_is_not_said_takes_nothing_away() -> None:
    assert CallSettings().over(DEFAULT_SETTINGS) == DEFAULT_SETTINGS
    assert CallSettings().as_dict() == {}


def test_settings_alone_still_have_a_join_timeout_and_a_cut_off() -> None:
    assert (CallSettings().join_timeout_s, CallSettings().max_duration_s) == (30, 1800)


def test_words_become_members_and_durations_get_one_spelling() -> None:
    settings = CallSettings(
        join_timeout=90, max_duration="1h", voicemail_detection="detect", on_voicemail="leave_message"
    )
    assert (settings.join_timeout, settings.max_duration) == ("90s", "3600s")
    assert settings.voicemail_detection is VoicemailDetection.DETECT
    assert settings.on_voicemail is OnVoicemail.LEAVE_MESSAGE
    assert settings.detects_machines
    assert CallSettings.from_dict(settings.as_dict()) == settings


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("join_timeout", "soon", "is not a duration"),
        ("max_duration", 0, "at least 1 second"),
        ("max_duration", "2d", "is not a duration"),
        ("join_timeout", "48h", "at most 24h"),
        ("voicemail_detection", "on", "off, detect"),
        ("voicemail_detection", True, "off, detect"),
        ("on_voicemail", "hang up", "continue, hang_up, leave_message"),
        ("recording_enabled", "yes", "true or false"),
        ("recording_enabled", 1, "true or false"),
        ("recording_enabled", 0.0, "true or false"),
        ("transcription_enabled", "false", "true or false"),
        ("greeting", 7, "give text"),
        ("voicemail_message", ["Hello"], "give text"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(field: str, value: Any, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint) as refused:
        CallSettings.from_dict({field: value})
    assert refused.value.field == field


def test_an_unknown_setting_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ValidationError, match="no such call setting; known: greeting, join_timeout"
    ) as refused:
        CallSettings.from_dict({"join_time_out": "30s"})
    assert refused.value.field == "join_time_out"


# -- agents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ident", ["a", "support", "a b", "Ünï-code", "x" * 200, "8f14e45f-ceea-467f-a2b6-4d5b7bd1c1c1"]
)
def test_an_agent_has_any_printable_id(ident: str) -> None:
    assert Agent(id=ident, connect=STREAM).id == ident


@pytest.mark.parametrize("ident", ["", "x" * 201, "a\n", "a\0", "\ud800", "\u202e", "\u200b", None, 7])
def test_an_id_that_cannot_be_printed_is_refused(ident: Any) -> None:
    with pytest.raises(ValidationError, match="1 to 200 printable characters"):
        Agent(id=ident, connect=STREAM)


@pytest.mark.parametrize("limit", [0, -1, "3", 1.5, True])
def test_a_limit_of_calls_is_a_whole_number_from_one(limit: Any) -> None:
    with pytest.raises(ValidationError, match="max_concurrent_calls: give at least 1"):
        Agent(id="support", connect=STREAM, max_concurrent_calls=limit)


def test_a_strategy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert Agent(id="a", connect=STREAM, caller_id_strategy="round_robin").caller_id_strategy is (  # type: ignore[arg-type]
        CallerIdStrategy.ROUND_ROBIN
    )
    with pytest.raises(ValidationError, match="first, round_robin, least_recently_used, same_region"):
        Agent(id="a", connect=STREAM, caller_id_strategy="random")  # type: ignore[arg-type]


def test_a_chain_is_kept_as_a_tuple() -> None:
    steps = [NextAgent("b"), Say("Bye")]
    agent = Agent(id="a", connect=STREAM, fallback=steps)  # type: ignore[arg-type]
    steps.clear()
    assert agent.fallback == (NextAgent("b"), Say("Bye"))


# -- connections (R93) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "wss://agents.example.com/media",
        "wss://agents.example.com:8443/media/v1",
        "wss://[2001:db8::1]/media",
        "ws://127.0.0.1:8765/",
        "ws://localhost/media",
        "ws://[::1]:9/x",
    ],
)
def test_a_media_socket_has_a_secure_address_or_a_local_one(url: str) -> None:
    assert Stream(url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "agents.example.com", "//agents.example.com/media", "wss:", "wss://", "wss:///media"),
        *(
            "https://agents.example.com",
            "http://agents.example.com",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ),
        *("ws://agents.example.com/media", "ws://127.0.0.1.evil.example/media", "ws://169.254.169.254/"),
        *("wss://agents.example.com/media?x=1", "wss://agents.example.com/media#x"),
        *("wss://user:secret@agents.example.com/media", "wss://agents.example.com@evil.example/"),
        *("wss://agents.example.com:port/", "wss://agents.example.com:99999/", "wss://[::1/"),
        *(
            "wss://agents.example.com/a b",
            "wss://agents.example.com/\n",
            " wss://agents.example.com/",
            "wss://ägents/",
        ),
        *(None, 7, b"wss://agents.example.com/media"),
    ],
)
def test_any_other_address_is_refused_before_it_is_used(url: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Stream(url)
    assert refused.value.field == "stream url"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:desk@pbx.example.net",
        "sip:desk@pbx.example.net:5061;transport=tls?X-Ref=1",
        "sip:+14155550100@sbc",
    ],
)
def test_a_sip_address_is_one_user_at_one_host(uri: str) -> None:
    assert Sip(uri).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "sip:",
            "sip:desk",
            "sip:@host",
            "sip:desk@",
            "desk@pbx.example.net",
            "sips:desk@host",
            "tel:+1415",
        ),
        *("sip:a@b@c", "sip:a b@c", "sip:a@b,sip:c@d", "sip:a@b<c", 'sip:"a"@b', "sip:a@b\n", "sip:ä@b"),
    ],
)
def test_any_other_sip_address_is_refused(uri: str) -> None:
    with pytest.raises(ValidationError, match="sip uri"):
        Sip(uri)


# -- calls ---------------------------------------------------------------------------------------------------------


def test_the_other_party_is_the_caller_inbound_and_the_callee_outbound() -> None:
    assert a_call(direction=Direction.OUTBOUND).phone_number == a_call().to
    assert a_call(direction=Direction.INBOUND).phone_number == a_call().from_number


def test_a_call_has_no_length_before_its_end() -> None:
    call = fold(a_call(), CallFacts(answered=True), T0)
    assert (call.started_at, call.ended_at, call.duration_seconds) == (T0, None, None)


def test_an_unanswered_call_lasted_no_time() -> None:
    call = fold(a_call(), CallFacts(ends=(EndReport(cause=EndCause.BUSY, proves_answered=False),)), T0)
    assert (call.started_at, call.ended_at, call.duration_seconds) == (None, T0, 0)


def test_the_carriers_figure_outranks_our_two_times() -> None:
    told = CallFacts(ends=(HUNG_UP,), duration=Duration(seconds=12, authority=Authority.REPORTED))
    call = fold(fold(a_call(), CallFacts(answered=True), T0), told, T0 + 15 * SECOND)
    assert call.duration_seconds == 12


def test_an_answer_that_only_the_end_told_is_counted_back_from_it() -> None:
    told = CallFacts(ends=(HUNG_UP,), duration=Duration(seconds=12, authority=Authority.REPORTED))
    call = fold(a_call(), told, T0 + timedelta(seconds=60))
    assert call.started_at == T0 + timedelta(seconds=48)
    assert fold(a_call(), CallFacts(ends=(HUNG_UP,)), T0).started_at == T0


def test_an_answer_that_the_end_disproves_did_not_start_a_conversation() -> None:
    disproof = EndReport(cause=EndCause.NO_ANSWER, proves_answered=False)
    call = fold(fold(a_call(), CallFacts(answered=True), T0), CallFacts(ends=(disproof,)), T0 + 9 * SECOND)
    assert call.duration_seconds == 0
    assert call.started_at is None


def test_an_end_before_the_answer_makes_no_negative_length() -> None:
    call = fold(a_call(), CallFacts(answered=True, answered_at=T0 + 9 * SECOND), T0 + 9 * SECOND)
    assert fold(call, CallFacts(ends=(HUNG_UP,), ended_at=T0), T0 + 9 * SECOND).duration_seconds == 0


def test_the_recording_of_the_conversation_comes_before_a_message() -> None:
    message, conversation = Recording(ref="A", is_message=True), Recording(ref="B")
    assert a_call().recording is None
    assert a_call(facts=CallFacts(recordings=(message,))).recording == message
    assert a_call(facts=CallFacts(recordings=(message, conversation))).recording == conversation


def test_only_an_attempt_whose_outcome_can_still_change_is_open() -> None:
    assert {state for state in AttemptState if state.is_open} == {AttemptState.DIALING, AttemptState.UNKNOWN}


# -- all of them ---------------------------------------------------------------------------------------------------

VALUES = [
    CallSettings(),
    Agent(id="a", connect=STREAM),
    a_credential(),
    a_call(),
    an_attempt(a_call()),
    Forward("+14155550100"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen_and_take_no_misspelt_field(value: Any) -> None:
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, "changed")
    with pytest.raises(TypeError):
        dataclasses.replace(value, mispelt=1)
    assert not hasattr(value, "__dict__")


def test_secrets_and_tokens_are_in_no_repr() -> None:
    credential = a_credential(secrets={"auth_token": "canary-secret"})
    attempt = an_attempt(a_call(), token="canary-token")
    stream = Stream("wss://agents.example.com/media", {"token": "canary-stream"})
    assert "canary" not in f"{credential!r} {attempt!r} {stream!r}"
