from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import canonicalize

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UnsupportedFeature
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
from gateway.status import RejectAs
from tests.adapters.twilio.support import GATEWAY, LIVE, STEP, provider

NEXT = f"{GATEWAY}/next/{STEP}#rc=3&rp=all"
STEP_URL = f"{GATEWAY}/status?step={STEP}#rc=3&rp=all"
RECORDING_URL = f"{GATEWAY}/recording#rc=3&rp=all"
XML_NEXT, XML_STEP, XML_RECORDING = (url.replace("&", "&amp;") for url in (NEXT, STEP_URL, RECORDING_URL))
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
STREAM = Stream("wss://agents.example.com/media", {"call_id": "c-1", "token": 'a"<&>'})
FORWARD = Forward("+14155550199")


def document(instruction: Instruction, **changes: Any) -> str:
    adapter, transport = provider()
    reply = adapter.answer(replace(LIVE, **changes), instruction)
    assert (reply.status, reply.content_type) == (200, "text/xml")
    assert transport.requests == []
    return reply.body.decode()


def test_a_stream_is_a_two_way_connection_with_its_parameters_and_what_follows() -> None:
    assert document(STREAM) == (
        f'{HEAD}<Response><Connect action="{XML_NEXT}">'
        f'<Stream url="wss://agents.example.com/media" statusCallback="{XML_STEP}">'
        '<Parameter name="call_id" value="c-1"/>'
        '<Parameter name="token" value=\'a"&lt;&amp;&gt;\'/>'
        "</Stream></Connect></Response>"
    )


def test_a_sip_address_is_dialed_within_the_join_timeout_and_the_longest_duration() -> None:
    assert document(Sip("sip:desk@pbx.example.net;transport=tls?X-A=1&X-B=2"), join_timeout_s=45) == (
        f'{HEAD}<Response><Dial action="{XML_NEXT}" timeout="45" timeLimit="1800">'
        f'<Sip statusCallback="{XML_STEP}" statusCallbackEvent="answered">'
        "sip:desk@pbx.example.net;transport=tls?X-A=1&amp;X-B=2</Sip></Dial></Response>"
    )


def test_a_forward_shows_the_calls_caller_id_unless_it_names_its_own() -> None:
    assert document(FORWARD, caller_id="+12125550123") == (
        f'{HEAD}<Response><Dial action="{XML_NEXT}" timeout="30" timeLimit="1800" callerId="+12125550123">'
        f'<Number statusCallback="{XML_STEP}" statusCallbackEvent="answered">+14155550199</Number>'
        "</Dial></Response>"
    )
    own = Forward("+14155550199", caller_id="+13105550100")
    assert 'callerId="+13105550100"' in document(own, caller_id="+12125550123")
    assert "callerId" not in document(FORWARD)


@pytest.mark.parametrize(("asked", "sent"), [(1, 5), (5, 5), (600, 600), (3600, 600)])
def test_a_forward_rings_for_a_time_that_twilio_takes(asked: int, sent: int) -> None:
    assert f'timeout="{sent}"' in document(FORWARD, join_timeout_s=asked)


def test_what_is_said_goes_on_with_the_next_step_or_ends_the_call() -> None:
    assert document(Say("Hi & bye", language="en-GB")) == (
        f'{HEAD}<Response><Say language="en-GB">Hi &amp; bye</Say>'
        f'<Redirect method="POST">{XML_NEXT}</Redirect></Response>'
    )
    assert document(Say("Bye"), is_last=True) == (
        f'{HEAD}<Response><Say language="en-US">Bye</Say><Hangup/></Response>'
    )


def test_a_long_text_is_said_in_pieces_that_twilio_takes() -> None:
    words = ("word " * 2000).strip()
    pieces = [say.text for say in fromstring(document(Say(words))).findall("Say")]
    assert all(len(piece) <= 4096 for piece in pieces)
    assert "".join(pieces) == words
    assert all(piece.endswith(" ") for piece in pieces[:-1])
    unbroken = [say.text for say in fromstring(document(Say("x" * 5000))).findall("Say")]
    assert [len(piece) for piece in unbroken] == [4096, 904]


def test_a_message_is_recorded_after_a_beep_and_silence_goes_on_too() -> None:
    record = (
        f'<Record action="{XML_NEXT}" maxLength="90" timeout="5" playBeep="true" '
        f'recordingStatusCallback="{XML_RECORDING}" recordingStatusCallbackEvent="completed"/>'
        f'<Redirect method="POST">{XML_NEXT}</Redirect></Response>'
    )
    assert document(TakeMessage(prompt="", max_length_s=90)) == f"{HEAD}<Response>{record}"
    assert document(TakeMessage(prompt="Speak.", max_length_s=90)) == (
        f'{HEAD}<Response><Say language="en-US">Speak.</Say>{record}'
    )


def test_a_message_for_a_machine_is_spoken_and_then_the_call_ends() -> None:
    assert document(LeaveMessage("Call us back."), answered=True, is_last=True) == (
        f'{HEAD}<Response><Say language="en-US">Call us back.</Say><Hangup/></Response>'
    )


@pytest.mark.parametrize(("reason", "word"), [(RejectAs.BUSY, "busy"), (RejectAs.REJECTED, "rejected")])
def test_an_unanswered_call_is_rejected_and_an_answered_one_hung_up(reason: RejectAs, word: str) -> None:
    assert document(Reject(reason)) == f'{HEAD}<Response><Reject reason="{word}"/></Response>'
    assert document(Reject(reason), answered=True) == f"{HEAD}<Response><Hangup/></Response>"


def test_hanging_up_is_a_document_too() -> None:
    assert document(HangUp()) == f"{HEAD}<Response><Hangup/></Response>"


@pytest.mark.parametrize("instruction", [STREAM, Sip("sip:a@b.example"), FORWARD, Say("x")])
def test_a_recording_starts_before_the_conversation_when_asked_for(instruction: Instruction) -> None:
    start = (
        f'<Response><Start><Recording recordingStatusCallback="{XML_RECORDING}" '
        'recordingStatusCallbackEvent="completed"/></Start>'
    )
    assert start in document(instruction, record=True)
    assert "Recording" not in document(instruction)


@pytest.mark.parametrize("instruction", [Reject(), HangUp()])
def test_a_call_that_is_refused_or_ended_is_never_recorded(instruction: Instruction) -> None:
    assert "Start" not in document(instruction, record=True)


def test_a_status_url_that_has_a_query_keeps_it() -> None:
    assert f"{GATEWAY}/status?x=1&amp;step={STEP}#rc=3" in document(
        STREAM, status_url=f"{GATEWAY}/status?x=1"
    )


@pytest.mark.parametrize(("length", "is_taken"), [(494, True), (495, False)])
def test_a_stream_parameter_that_twilio_would_cut_is_refused(length: int, is_taken: bool) -> None:
    stream = Stream("wss://agents.example.com/media", {"token": "x" * length})
    if is_taken:
        assert "x" * length in document(stream)
    else:
        with pytest.raises(UnsupportedFeature, match="500 characters"):
            document(stream)


# -- against the official builder -------------------------------------------------------------------------------------


def built(instruction: Instruction, record: bool = False) -> str:
    """Return what the official library's builder writes for the same thing."""
    from twilio.twiml.voice_response import VoiceResponse

    response = VoiceResponse()
    if record:
        response.start().recording(
            recording_status_callback=RECORDING_URL, recording_status_callback_event="completed"
        )
    if isinstance(instruction, Stream):
        stream = response.connect(action=NEXT).stream(url=instruction.url, status_callback=STEP_URL)
        for name, value in instruction.parameters.items():
            stream.parameter(name=name, value=value)
    elif isinstance(instruction, (Sip, Forward)):
        dial = response.dial(action=NEXT, timeout=30, time_limit=1800)
        if isinstance(instruction, Sip):
            dial.sip(instruction.uri, status_callback=STEP_URL, status_callback_event="answered")
        else:
            dial.number(instruction.number, status_callback=STEP_URL, status_callback_event="answered")
    elif isinstance(instruction, (Say, LeaveMessage)):
        response.say(instruction.text, language=instruction.language)
        response.redirect(NEXT, method="POST")
    elif isinstance(instruction, TakeMessage):
        response.say(instruction.prompt, language=instruction.language)
        response.record(
            action=NEXT,
            max_length=instruction.max_length_s,
            timeout=5,
            play_beep=True,
            recording_status_callback=RECORDING_URL,
            recording_status_callback_event="completed",
        )
        response.redirect(NEXT, method="POST")
    elif isinstance(instruction, Reject):
        response.reject(reason=instruction.reason.value)
    else:
        response.hangup()
    return str(response)


@pytest.mark.parametrize(
    "instruction",
    [
        STREAM,
        Sip("sip:desk@pbx.example.net?X-A=1&X-B=2"),
        FORWARD,
        Say("Grüße, <b>東京</b> & 'quotes' \"too\""),
        TakeMessage(),
        LeaveMessage("Bye"),
        Reject(),
        HangUp(),
    ],
    ids=lambda instruction: type(instruction).__name__,
)
@pytest.mark.parametrize("record", [False, True])
def test_each_document_is_what_the_official_builder_writes(instruction: Instruction, record: bool) -> None:
    is_recorded = record and isinstance(instruction, (Stream, Sip, Forward, Say))
    ours = document(instruction, record=record)
    assert canonicalize(ours) == canonicalize(built(instruction, is_recorded))


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gives_a_well_formed_document_with_the_intended_tree(words: str, value: str) -> None:
    said = fromstring(document(Say(words)))
    assert [child.tag for child in said] == ["Say", "Redirect"]
    stream = fromstring(document(Stream("wss://a.example/m", {"name": value})))
    assert [child.tag for child in stream.iter()] == ["Response", "Connect", "Stream", "Parameter"]
    taken = fromstring(document(TakeMessage(prompt=words or "x")))
    assert [child.tag for child in taken] == ["Say", "Record", "Redirect"]
