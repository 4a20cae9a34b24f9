"""R90: any Unicode in any field gives a well-formed document with the intended tree and nothing the carrier lacks.

What a carrier knows is written here by hand, from its reference (read 2026-11), and knows nothing of our renderers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
from gateway.interface import LiveCall
from gateway.status import Direction, RejectAs
from providers.plivo.instructions import render as render_plivo
from providers.twilio.instructions import render as render_twilio
from tests.adapters.twilio.support import LIVE

# -- what the carriers know ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """One element: its attributes, the elements it may hold, whether it holds a text."""

    attributes: str = ""
    children: str = ""
    has_text: bool = False


_CALLBACK = "statusCallback statusCallbackMethod statusCallbackEvent"
_RECORDED = "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent"
TWILIO = {
    "Response": Known("", "Say Play Pause Hangup Reject Redirect Dial Connect Start Stop Record Gather"),
    "Say": Known("voice language loop", "", True),
    "Hangup": Known(),
    "Reject": Known("reason"),
    "Redirect": Known("method", "", True),
    "Dial": Known(
        f"action method timeout timeLimit callerId answerOnBridge hangupOnStar record {_RECORDED} "
        "recordingTrack trim ringTone sequential referUrl callReason",
        "Number Sip Client",
    ),
    "Number": Known(f"url method sendDigits byoc {_CALLBACK}", "", True),
    "Sip": Known(f"username password url method {_CALLBACK}", "", True),
    "Connect": Known("action method", "Stream"),
    "Stream": Known("url name track statusCallback statusCallbackMethod", "Parameter"),
    "Parameter": Known("name value"),
    "Start": Known("", "Stream Recording"),
    "Recording": Known(f"track {_RECORDED}"),
    "Record": Known(f"action method timeout finishOnKey maxLength playBeep trim transcribe {_RECORDED}"),
}
PLIVO = {
    "Response": Known("", "Dial Hangup Play PreAnswer Record Redirect Speak Wait Stream"),
    "Speak": Known("voice language loop", "", True),
    "Wait": Known("length silence minSilence beep"),
    "Hangup": Known("reason schedule"),
    "Redirect": Known("method", "", True),
    "Dial": Known(
        "action method timeout timeLimit callerId callerName hangupOnStar redirect callbackUrl callbackMethod "
        "confirmSound confirmKey confirmTimeout dialMusic digitsMatch digitsMatchBLeg sipHeaders",
        "Number User",
    ),
    "Number": Known("sendDigits sendOnPreanswer", "", True),
    "User": Known("sendDigits sendOnPreanswer sipHeaders", "", True),
    "Record": Known(
        "action method fileFormat redirect timeout maxLength finishOnKey playBeep recordSession startOnDialAnswer "
        "recordChannelType callbackUrl callbackMethod transcriptionType transcriptionUrl transcriptionMethod"
    ),
    "Stream": Known(
        "bidirectional audioTrack streamTimeout contentType keepCallAlive extraHeaders statusCallbackUrl "
        "statusCallbackMethod",
        "",
        True,
    ),
}
# Attributes with a closed set of words, or a number, at both.
VALUES: Mapping[str, str] = {
    **dict.fromkeys(("method", "statusCallbackMethod", "callbackMethod"), "POST"),
    **dict.fromkeys(
        ("bidirectional", "keepCallAlive", "redirect", "playBeep", "recordSession"), "true|false"
    ),
    **dict.fromkeys(("timeout", "timeLimit", "maxLength", "length", "minSilence"), "[0-9]+"),
    "silence": "true",
    "reason": "busy|rejected",
    "fileFormat": "mp3",
    "recordChannelType": "mono|stereo",
    "recordingStatusCallbackEvent": "completed",
    "statusCallbackEvent": "answered",
    "contentType": "audio/x-mulaw;rate=8000",
    "voice": "WOMAN",
    "extraHeaders": r"[A-Za-z0-9_.~%-]+=[A-Za-z0-9_.~%-]*(,[A-Za-z0-9_.~%-]+=[A-Za-z0-9_.~%-]*)*",
}


def check_known(node: Element, known: Mapping[str, Known]) -> None:
    rule = known[node.tag]
    for name, value in node.attrib.items():
        assert name in rule.attributes.split(), f"<{node.tag}> knows no {name}"
        assert re.fullmatch(VALUES.get(name, "(?s).*"), value), (node.tag, name, value)
    assert rule.has_text or not (node.text or "").strip(), f"<{node.tag}> holds no text"
    for child in node:
        assert child.tag in rule.children.split(), f"<{node.tag}> holds no <{child.tag}>"
        assert not child.tail, "no text stands between elements"
        check_known(child, known)


def tree(node: Element) -> Any:
    """Return the names only: "Say", or ("Dial", "Number")."""
    return (node.tag, *(tree(child) for child in node)) if len(node) else node.tag


# -- what we mean --------------------------------------------------------------------------------------------------


def without_forbidden(text: str) -> str:
    """Return the text with U+FFFD in the place of what XML 1.0 cannot hold (section 2.2, Char)."""
    return "".join(c if _is_allowed(ord(c)) else "\ufffd" for c in text)


def _is_allowed(point: int) -> bool:
    return point in (9, 10, 13) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000


def as_parsed(text: str) -> str:
    """Return what a parser makes of a text: it reads every line end as a line feed."""
    return without_forbidden(text).replace("\r\n", "\n").replace("\r", "\n")


def twilio_tree(call: LiveCall, instruction: Instruction) -> list[Any]:
    recording = [("Start", "Recording")] if call.record else []
    ending = ["Hangup" if call.is_last else "Redirect"]
    match instruction:
        case Stream(parameters=parameters):
            stream = ("Stream", *["Parameter"] * len(parameters)) if parameters else "Stream"
            return [*recording, ("Connect", stream)]
        case Sip():
            return [*recording, ("Dial", "Sip")]
        case Forward():
            return [*recording, ("Dial", "Number")]
        case Say():
            return [*recording, "Say", *ending]
        case TakeMessage(prompt=prompt):
            return [*(["Say"] if prompt else []), "Record", *ending]
        case LeaveMessage():
            return ["Say", *ending]
        case Reject():
            return ["Hangup" if call.answered else "Reject"]
        case _:
            return ["Hangup"]


def plivo_tree(call: LiveCall, instruction: Instruction) -> list[Any]:
    recording = ["Record"] if call.record else []
    match instruction:
        case Stream():
            return [*recording, "Stream", "Redirect"]
        case Sip():
            return [*recording, ("Dial", "User")]
        case Forward():
            return [*recording, ("Dial", "Number")]
        case Say():
            return [*recording, "Speak", "Hangup" if call.is_last else "Redirect"]
        case TakeMessage(prompt=prompt):
            return [*(["Speak"] if prompt else []), "Record", "Redirect"]
        case LeaveMessage():
            return ["Wait", "Speak", "Hangup"]
        case _:
            return ["Hangup"]


@dataclass(frozen=True)
class Carrier:
    """One document carrier: its renderer, what it knows, what we mean, and the element that speaks."""

    render: Callable[[LiveCall, Instruction], bytes]
    known: Mapping[str, Known]
    tree: Callable[[LiveCall, Instruction], list[Any]]
    speaks: str


CARRIERS = {
    "twilio": Carrier(render_twilio, TWILIO, twilio_tree, "Say"),
    "plivo": Carrier(render_plivo, PLIVO, plivo_tree, "Speak"),
}

# -- any text in any field -----------------------------------------------------------------------------------------

MARKUP = [
    *(
        "]]>",
        "<![CDATA[x]]>",
        "</Response>",
        "<Dial>+14155550199</Dial>",
        "<!-- -->",
        "<?php ?>",
        "&#0;",
        "&lt;",
    ),
    *(
        '" onclick="',
        "' a='",
        "&",
        "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>",
        "&y;",
        "\x00\x0b\x1f",
    ),
    *(
        "\ud800",
        "\udfff\ud800",
        "\ufffe\uffff",
        "\u202e",
        "\ufeff",
        "😀",
        "\r\n\t",
        "\x85\u2028",
        "%0a",
        ",a=b",
        "é",
    ),
]
TEXT = st.one_of(
    st.text(st.characters(codec=None), max_size=60),
    st.lists(st.sampled_from(MARKUP), max_size=4).map("".join),
)
WORD = TEXT.map(lambda text: text[:40])
NAME = WORD.filter(bool)
LANGUAGE = st.one_of(st.sampled_from(["en-US", "de-AT", "pt-BR", "fr"]), WORD)
SIP_TAIL = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>\"',@"), max_size=30
)
INSTRUCTIONS: st.SearchStrategy[Instruction] = st.one_of(
    st.builds(
        Stream,
        st.sampled_from(["wss://agents.example.com/media", "wss://a.example/<&'\">;=,]]>"]),
        st.dictionaries(NAME, WORD, max_size=4),
    ),
    st.builds(lambda tail: Sip(f"sip:desk@pbx.example.net;{tail}"), SIP_TAIL),
    st.builds(Forward, st.just("+14155550199"), st.one_of(st.none(), st.just("+14155550100"), WORD)),
    st.builds(Say, TEXT, LANGUAGE),
    st.builds(TakeMessage, TEXT, st.integers(1, 3600), LANGUAGE),
    st.builds(LeaveMessage, TEXT, LANGUAGE),
    st.builds(Reject, st.sampled_from(RejectAs)),
    st.just(HangUp()),
)
URL = WORD.map(lambda text: f"https://gw.example.net/voice/{text}")
# What is ours or was checked when it came in (the step's token, the leg's id) is what it is in `LIVE`.
CALLS = st.builds(
    lambda **fields: replace(LIVE, **fields),
    direction=st.sampled_from([Direction.INBOUND, Direction.OUTBOUND]),
    answered=st.booleans(),
    to=WORD,
    from_number=WORD,
    next_url=URL,
    status_url=URL,
    recording_url=URL,
    caller_id=st.one_of(st.none(), st.just("+14155550100"), WORD),
    join_timeout_s=st.integers(1, 86_400),
    max_duration_s=st.integers(1, 86_400),
    record=st.booleans(),
    is_last=st.booleans(),
)


def check(carrier: Carrier, call: LiveCall, instruction: Instruction) -> bool:
    """Render and check; False when the carrier has no way to say it, which is said by one clear error."""
    try:
        document = carrier.render(call, instruction)
    except (UnsupportedFeature, ValidationError):
        return False
    root = fromstring(document, forbid_dtd=True)
    check_known(root, carrier.known)
    assert root.tag == "Response"
    assert [tree(child) for child in root] == carrier.tree(call, instruction)
    said = [node.text or "" for node in root.iter(carrier.speaks)]
    if isinstance(instruction, Say | LeaveMessage):
        assert said == [as_parsed(instruction.text)]
    elif isinstance(instruction, TakeMessage):
        assert said == ([as_parsed(instruction.prompt)] if instruction.prompt else [])
    return True


@pytest.mark.parametrize("name", sorted(CARRIERS))
@given(call=CALLS, instruction=INSTRUCTIONS)
@example(call=LIVE, instruction=Say("\0\x0b\ud800\ufffe</Say><Dial>+14155550199</Dial>"))
@example(call=LIVE, instruction=Stream("wss://a.example/", {"]]>": "\0", "</Stream>": '"/>'}))
@settings(max_examples=400, deadline=None)
def test_any_text_in_any_field_gives_the_intended_document(
    name: str, call: LiveCall, instruction: Instruction
) -> None:
    check(CARRIERS[name], call, instruction)


@pytest.mark.proof
@pytest.mark.parametrize("name", sorted(CARRIERS))
@given(call=CALLS, instruction=INSTRUCTIONS)
@settings(max_examples=20_000, deadline=None, database=None)
def test_any_text_in_any_field_gives_the_intended_document_at_length(
    name: str, call: LiveCall, instruction: Instruction
) -> None:
    check(CARRIERS[name], call, instruction)


@pytest.mark.parametrize("name", sorted(CARRIERS))
@pytest.mark.parametrize("kind", ["say", "leave", "take", "stream"])
def test_every_single_character_of_the_basic_plane_passes_in_blocks(name: str, kind: str) -> None:
    """All 65 536 code points, and some beyond, through every field that holds a user's text."""
    for start in [*range(0, 0x10000, 0x400), 0x1F600, 0x10FFC0]:
        block = "".join(
            chr(point) for point in range(start, min(start + (0x400 if start < 0x10000 else 0x40), 0x110000))
        )
        if kind == "stream":
            for at in range(0, len(block), 32):
                assert check(CARRIERS[name], LIVE, Stream("wss://a.example/", {"p": block[at : at + 32]}))
            continue
        made = {"say": Say(block), "leave": LeaveMessage(block), "take": TakeMessage(block)}[kind]
        assert check(CARRIERS[name], LIVE, made)


@given(st.dictionaries(NAME, WORD, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_stream_parameters_arrive_as_pairs_whatever_they_hold(parameters: dict[str, str]) -> None:
    """Twilio takes elements; Plivo one text of pairs, in which no separator of a value may count."""
    stream = Stream("wss://agents.example.com/media", parameters)
    root = fromstring(render_twilio(LIVE, stream))
    found = [(node.get("name"), node.get("value")) for node in root.iter("Parameter")]
    assert found == [
        (without_forbidden(name), without_forbidden(value)) for name, value in parameters.items()
    ]
    try:
        [node] = fromstring(render_plivo(LIVE, stream)).iter("Stream")
    except UnsupportedFeature:
        return
    pairs = [pair.split("=") for pair in node.attrib["extraHeaders"].split(",")]
    assert all(len(pair) == 2 for pair in pairs)
    spelled = {name: value for name, value in parameters.items() if name != "agent_id"}
    told = [(unquote(name), unquote(value)) for name, value in pairs if name != "agent_id"]
    assert told == [(utf8(name), utf8(value)) for name, value in spelled.items()]


def utf8(text: str) -> str:
    """Return the text with a question mark for every lone surrogate."""
    return text.encode("utf-8", "replace").decode()


def test_a_long_text_is_cut_where_the_carrier_needs_it_and_loses_nothing() -> None:
    words = "word & <word> " * 2000
    root = fromstring(render_twilio(LIVE, Say(words)))
    check_known(root, TWILIO)
    pieces = [node.text or "" for node in root.iter("Say")]
    assert "".join(pieces) == words
    assert max(map(len, pieces)) <= 4096
