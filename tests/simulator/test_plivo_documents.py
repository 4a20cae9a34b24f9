"""The simulator's reader of Plivo XML: what Plivo knows passes, everything else is refused."""

from __future__ import annotations

import pytest

from providers.simulator.carriers.plivo.documents import InvalidDocument, read_document

AGENT = """<Response>
  <Record recordSession="true" fileFormat="mp3" maxLength="3600" callbackUrl="https://gw.example.com/plivo/recording"
          callbackMethod="POST"/>
  <Stream bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"
          extraHeaders="tenant=acme,call=42" statusCallbackUrl="https://gw.example.com/plivo/stream"
          statusCallbackMethod="POST">wss://gw.example.com/ws/42</Stream>
</Response>"""


def refusal(document: str | bytes, content_type: str = "application/xml") -> str:
    body = document.encode() if isinstance(document, str) else document
    with pytest.raises(InvalidDocument) as refused:
        read_document(body, content_type)
    return str(refused.value)


def test_the_documented_agent_answer_is_read_with_its_defaults() -> None:
    record, stream = read_document(AGENT.encode(), "text/xml; charset=utf-8")
    assert record["recordSession"] is True
    assert record["maxLength"] == 3600
    assert stream.text == "wss://gw.example.com/ws/42"
    assert (stream["keepCallAlive"], stream["audioTrack"], stream["streamTimeout"]) == (
        True,
        "inbound",
        86_400,
    )


def test_what_the_vendors_builder_writes_is_read() -> None:
    from plivo import plivoxml

    built = plivoxml.ResponseElement()
    built.add(plivoxml.PreAnswerElement().add(plivoxml.SpeakElement("Höld <on>")))
    built.add(plivoxml.WaitElement(length=3, silence=True, min_silence=500))
    dial = plivoxml.DialElement(action="https://gw.example.com/next", timeout=20, caller_id="14155550100")
    built.add(dial.add(plivoxml.NumberElement("14155550111")).add(plivoxml.UserElement("sip:a@b.example")))
    built.add(plivoxml.RedirectElement("https://gw.example.com/next", method="POST"))
    built.add(plivoxml.HangupElement(reason="busy"))
    pre, wait, dial_read, redirect, hangup = read_document(built.to_string().encode(), "application/xml")
    assert pre.children[0].text == "Höld <on>"
    assert (wait["length"], wait["silence"], wait["minSilence"]) == (3, True, 500)
    assert [child.name for child in dial_read.children] == ["Number", "User"]
    assert redirect.text == "https://gw.example.com/next"
    assert hangup["reason"] == "busy"


def test_an_empty_response_holds_nothing() -> None:
    assert read_document(b"<?xml version='1.0' encoding='utf-8'?><Response/>", "application/xml") == ()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "not well-formed"),
        ("{}", "not well-formed"),
        ("<Response><Speak>hi</Response>", "not well-formed"),
        ("<response/>", "the root"),
        ("<Response><Say>hi</Say></Response>", "<Say> is not allowed in <Response>"),
        ("<Response><Reject/></Response>", "<Reject> is not allowed"),
        ("<Response><Number>14155550111</Number></Response>", "<Number> is not allowed in <Response>"),
        ("<Response><Conference>room</Conference></Response>", "does not play"),
        ("<Response>hello</Response>", "may not hold text"),
        ("<Response><Speak/></Response>", "needs a text"),
        ("<Response><Speak voice='alice'>hi</Speak></Response>", "voice"),
        ("<Response><Speak language='ja-JP'>hi</Speak></Response>", "voice"),
        ("<Response><Speak><break/>hi</Speak></Response>", "voice"),
        ("<Response><Speak><Play>x</Play>hi</Speak></Response>", "not allowed in <Speak>"),
        ("<Response><Play>hello.mp3</Play></Response>", "valid url"),
        ("<Response><Play digits='1'>https://a.example/x.mp3</Play></Response>", "no attribute digits"),
        ("<Response><Wait length='0'/></Response>", "at least 1"),
        ("<Response><Wait length='1.5'/></Response>", "integer"),
        ("<Response><Hangup reason='gone'/></Response>", "one of rejected, busy"),
        ("<Response><Dial/></Response>", "<Dial> is empty"),
        ("<Response><Dial>14155550111</Dial></Response>", "may not hold text"),
        ("<Response><Dial><Speak>hi</Speak></Dial></Response>", "not allowed in <Dial>"),
        ("<Response><Dial hangupOnStar='yes'><Number>1</Number></Dial></Response>", "true or false"),
        (
            "<Response><PreAnswer><Dial><Number>1</Number></Dial></PreAnswer></Response>",
            "not allowed in <PreAns",
        ),
        ("<Response><Record recordingFormat='mp3'/></Response>", "no attribute recordingFormat"),
        ("<Response><Stream>https://a.example/ws</Stream></Response>", "valid url"),
        (
            "<Response><Stream contentType='audio/mulaw'>wss://a.example/ws</Stream></Response>",
            "one of audio",
        ),
        (
            "<Response><Stream bidirectional='true' audioTrack='both'>wss://a.example/ws</Stream></Response>",
            "inbound only",
        ),
        (f"<Response><Stream>wss://a.example/{'x' * 2048}</Stream></Response>", "2048"),
        (f"<Response><Stream extraHeaders='{'x' * 513}'>wss://a.example/</Stream></Response>", "512"),
        ("<!DOCTYPE r [<!ENTITY a 'b'>]><Response><Speak>&a;</Speak></Response>", "document type"),
        ("<Response><Speak>" + "x" * 102_400 + "</Speak></Response>", "over 100 KB"),
    ],
)
def test_what_plivo_does_not_know_is_refused(document: str, why: str) -> None:
    assert why in refusal(document)


def test_another_encoding_or_content_type_is_refused() -> None:
    assert "content type" in refusal("<Response/>", "application/json")
    assert "content type" in refusal("<Response/>", "text/html; charset=utf-8")
    assert "not UTF-8" in refusal("<Response/>".encode("utf-16"))


def test_a_polly_voice_may_use_speech_marks() -> None:
    (speak,) = read_document(
        b"<Response><Speak voice='Polly.Joanna'>One <break time='1s'/>two</Speak></Response>", "text/xml"
    )
    assert speak.text == "One two"
