"""Every instruction as the literal document that Plivo gets, beside what the SDK's builder makes of the same call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st
from plivo import plivoxml

from gateway.errors import UnsupportedFeature, ValidationError
from gateway.instructions import (
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.status import Direction, RejectAs
from providers.plivo.instructions import extra_headers, render, spoken_language
from tests.adapters.plivo.support import CALL, LIVE, STEP, provider

HEAD = '<?xml version="1.0" encoding="UTF-8"?><Response>'
KEPT = "#ct=2000&amp;rt=10000&amp;rc=3&amp;rp=all"
NEXT = f"https://gw.example.net/voice/k3y/next/{STEP}"
STATUS = f"https://gw.example.net/voice/k3y/status?step={STEP}"
RECORDING = f"https://gw.example.net/voice/k3y/recording?leg={CALL}"
REDIRECT = f'<Redirect method="POST">{NEXT}{KEPT}</Redirect>'
RETRIES = "#ct=2000&rt=10000&rc=3&rp=all"
ANSWERED = replace(LIVE, answered=True)
OUTBOUND = replace(LIVE, direction=Direction.OUTBOUND, answered=True)


def test_a_stream_takes_the_call_and_hands_it_back() -> None:
    stream = Stream("wss://agents.example.com/media", {"token": "abc123", "tenant": "acme"})
    assert render(LIVE, stream).decode() == (
        f'{HEAD}<Stream bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000" '
        f'extraHeaders="token=abc123,tenant=acme" statusCallbackUrl="{STATUS}" statusCallbackMethod="POST">'
        f"wss://agents.example.com/media</Stream>{REDIRECT}</Response>"
    )


def test_a_stream_without_parameters_has_no_extra_headers() -> None:
    assert b"extraHeaders" not in render(LIVE, Stream("wss://agents.example.com/media"))


def test_a_recorded_call_begins_its_recording_before_the_element_that_connects() -> None:
    document = render(replace(LIVE, record=True), Stream("wss://agents.example.com/media")).decode()
    assert document.startswith(
        f'{HEAD}<Record recordSession="true" redirect="false" fileFormat="mp3" recordChannelType="stereo" '
        f'maxLength="1800" callbackUrl="{RECORDING}{KEPT}" callbackMethod="POST"/><Stream '
    )


def test_a_sip_address_is_dialed_as_a_user() -> None:
    live = replace(LIVE, caller_id="+12125550199")
    assert render(live, Sip("sip:agent@pbx.example.com")).decode() == (
        f'{HEAD}<Dial action="{NEXT}{KEPT}" method="POST" redirect="true" timeout="30" timeLimit="1800" '
        f'callerId="12125550199" callbackUrl="{STATUS}{KEPT}" callbackMethod="POST">'
        "<User>sip:agent@pbx.example.com</User></Dial></Response>"
    )


def test_a_forward_rings_one_number_for_the_join_timeout() -> None:
    live = replace(LIVE, join_timeout_s=17, max_duration_s=600)
    assert render(live, Forward("+14155550177", caller_id="+12125550188")).decode() == (
        f'{HEAD}<Dial action="{NEXT}{KEPT}" method="POST" redirect="true" timeout="17" timeLimit="600" '
        f'callerId="12125550188" callbackUrl="{STATUS}{KEPT}" callbackMethod="POST">'
        "<Number>14155550177</Number></Dial></Response>"
    )


@pytest.mark.parametrize("caller_id", [None, "anonymous", "sip:a@b.example"])
def test_a_forward_without_a_number_to_show_leaves_it_to_plivo(caller_id: str | None) -> None:
    assert b"callerId" not in render(replace(LIVE, caller_id=caller_id), Forward("+14155550177"))


def test_a_forward_target_is_one_number_or_nothing() -> None:
    with pytest.raises(ValidationError):
        render(LIVE, Forward("+14155550177<+14155550178"))


def test_say_speaks_and_goes_on_or_hangs_up_when_nothing_follows() -> None:
    spoken = '<Speak voice="WOMAN" language="en-GB">Tea &amp; &lt;scones&gt;</Speak>'
    say = Say("Tea & <scones>", "en-GB")
    assert render(LIVE, say).decode() == f"{HEAD}{spoken}{REDIRECT}</Response>"
    assert render(replace(LIVE, is_last=True), say).decode() == f"{HEAD}{spoken}<Hangup/></Response>"


def test_a_message_is_taken_with_a_beep_and_marked_in_its_callback() -> None:
    record = (
        f'<Record action="{NEXT}{KEPT}" method="POST" redirect="true" fileFormat="mp3" recordChannelType="mono" '
        f'maxLength="90" timeout="5" playBeep="true" callbackUrl="{RECORDING}&amp;kind=message{KEPT}" '
        'callbackMethod="POST"/>'
    )
    taken = render(LIVE, TakeMessage(prompt="", max_length_s=90)).decode()
    assert taken == f"{HEAD}{record}{REDIRECT}</Response>"
    prompted = render(LIVE, TakeMessage(prompt="Speak now", max_length_s=90)).decode()
    assert prompted == taken.replace(
        "<Record ", '<Speak voice="WOMAN" language="en-US">Speak now</Speak><Record '
    )


def test_a_message_is_left_after_the_greeting_went_silent() -> None:
    assert render(OUTBOUND, LeaveMessage("Call us back")).decode() == (
        f'{HEAD}<Wait length="30" silence="true" minSilence="2000"/>'
        '<Speak voice="WOMAN" language="en-US">Call us back</Speak><Hangup/></Response>'
    )


@pytest.mark.parametrize(("reason", "word"), [(RejectAs.BUSY, "busy"), (RejectAs.REJECTED, "rejected")])
def test_a_call_is_refused_only_before_it_is_answered(reason: RejectAs, word: str) -> None:
    assert render(LIVE, Reject(reason)).decode() == f'{HEAD}<Hangup reason="{word}"/></Response>'
    assert render(ANSWERED, Reject(reason)).decode() == f"{HEAD}<Hangup/></Response>"


def test_hanging_up_does_not_answer_an_inbound_call_first() -> None:
    assert render(LIVE, HangUp()).decode() == f'{HEAD}<Hangup reason="rejected"/></Response>'
    assert render(ANSWERED, HangUp()).decode() == f"{HEAD}<Hangup/></Response>"
    assert render(replace(OUTBOUND, answered=False), HangUp()).decode() == f"{HEAD}<Hangup/></Response>"


def test_a_document_is_answered_as_xml() -> None:
    reply = provider()[0].answer(LIVE, HangUp())
    assert (reply.status, reply.content_type) == (200, "application/xml")
    assert reply.body == render(LIVE, HangUp())


# -- the SDK's builder as a second opinion --------------------------------------------------------------------------


def _by_builder(*elements: Any) -> Any:
    response = plivoxml.ResponseElement()
    for each in elements:
        response.add(each)
    return fromstring(response.to_string(False))


def _next() -> Any:
    return plivoxml.RedirectElement(NEXT + RETRIES, method="POST")


def _dialed(callee: Callable[[Any], Any]) -> Any:
    dial = plivoxml.DialElement(
        action=NEXT + RETRIES,
        method="POST",
        redirect=True,
        timeout=30,
        time_limit=1800,
        callback_url=STATUS + RETRIES,
        callback_method="POST",
    )
    callee(dial)
    return dial


def _same_tree(ours: Any, theirs: Any) -> bool:
    return (
        ours.tag == theirs.tag
        and ours.attrib == theirs.attrib
        and (ours.text or "") == (theirs.text or "")
        and len(ours) == len(theirs)
        and all(_same_tree(a, b) for a, b in zip(ours, theirs, strict=True))
    )


@pytest.mark.parametrize(
    ("instruction", "built"),
    [
        (
            Stream("wss://agents.example.com/media", {"token": "abc"}),
            lambda: [
                plivoxml.StreamElement(
                    "wss://agents.example.com/media",
                    bidirectional=True,
                    keepCallAlive=True,
                    contentType="audio/x-mulaw;rate=8000",
                    extraHeaders="token=abc",
                    statusCallbackUrl=STATUS,
                    statusCallbackMethod="POST",
                ),
                _next(),
            ],
        ),
        (Sip("sip:a@b.example"), lambda: [_dialed(lambda dial: dial.add_user("sip:a@b.example"))]),
        (Forward("+14155550177"), lambda: [_dialed(lambda dial: dial.add_number("14155550177"))]),
        (
            Say("é ü 東京 \U0001f600", "fr-FR"),
            lambda: [
                plivoxml.SpeakElement("é ü 東京 \U0001f600", voice="WOMAN", language="fr-FR"),
                _next(),
            ],
        ),
        (
            TakeMessage(prompt="", max_length_s=60),
            lambda: [
                plivoxml.RecordElement(
                    action=NEXT + RETRIES,
                    method="POST",
                    redirect=True,
                    file_format="mp3",
                    record_channel_type="mono",
                    max_length=60,
                    timeout=5,
                    play_beep=True,
                    callback_url=f"{RECORDING}&kind=message{RETRIES}",
                    callback_method="POST",
                ),
                _next(),
            ],
        ),
        (
            LeaveMessage("x"),
            lambda: [
                plivoxml.WaitElement(length=30, silence=True, min_silence=2000),
                plivoxml.SpeakElement("x", voice="WOMAN", language="en-US"),
                plivoxml.HangupElement(),
            ],
        ),
        (Reject(), lambda: [plivoxml.HangupElement(reason="busy")]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Instruction) else "",
)
def test_the_sdks_builder_makes_the_same_document(
    instruction: Instruction, built: Callable[[], list[Any]]
) -> None:
    assert _same_tree(fromstring(render(LIVE, instruction)), _by_builder(*built()))


# -- what callers and agents bring along ---------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=80), st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=3)
)
def test_any_text_gives_a_document_with_the_intended_tree(words: str, parameters: dict[str, str]) -> None:
    say = fromstring(render(LIVE, Say(words)))
    assert [child.tag for child in say] == ["Speak", "Redirect"]
    stream = fromstring(render(LIVE, Stream("wss://agents.example.com/media", parameters)))
    assert [child.tag for child in stream] == ["Stream", "Redirect"]


def _read_back(header: str) -> dict[str, str]:
    """What an agent does with the header."""
    pairs = [pair.split("=") for pair in header.split(",")]
    return {unquote(name): unquote(value) for name, value in pairs}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        min_size=1,
        max_size=3,
    )
)
def test_stream_parameters_never_hold_a_separator_and_can_be_read_back(parameters: dict[str, str]) -> None:
    header = extra_headers(parameters)
    assert header.isascii()
    assert header.count("=") == len(parameters)
    assert header.count(",") == len(parameters) - 1
    assert _read_back(header) == parameters


def test_the_gateways_own_parameters_look_like_this() -> None:
    said = extra_headers(
        {
            "call_id": "0190a1b2-0000-7000-8000-000000000000",
            "agent_id": "Größe Z, 1=2",
            "token": "5f0c2e9a7b4d41c6a1e8f3d2c0b9a876",
        }
    )
    assert said == (
        "call_id=0190a1b2-0000-7000-8000-000000000000,"
        "agent_id=Gr%C3%B6%C3%9Fe%20Z%2C%201%3D2,"
        "token=5f0c2e9a7b4d41c6a1e8f3d2c0b9a876"
    )


def test_an_agent_id_that_does_not_fit_is_left_out_but_nothing_else_is() -> None:
    said = extra_headers({"call_id": "c1", "agent_id": "é" * 100, "token": "t1"})
    assert said == "call_id=c1,token=t1"
    with pytest.raises(UnsupportedFeature, match="512 bytes"):
        extra_headers({"call_id": "c1", "token": "t1", "story": "x" * 512})


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [("en-US", "en-US"), ("EN-gb", "en-GB"), ("en", "en-US"), ("de-AT", "de-DE"), ("pt-br", "pt-BR")],
)
def test_a_language_is_spoken_as_asked_or_in_its_nearest_form(asked: str, spoken: str) -> None:
    assert spoken_language(asked) == spoken


@pytest.mark.parametrize("asked", ["hi-IN", "", "e", "enx-US"])
def test_a_language_that_no_plain_voice_speaks_is_refused(asked: str) -> None:
    with pytest.raises(UnsupportedFeature, match="language"):
        render(LIVE, Say("x", asked))
