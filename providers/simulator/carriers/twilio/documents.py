"""TwiML as Twilio takes it: what is well formed, which verbs, nouns and attributes exist, and what they may say.

Source: Twilio TwiML reference and the generators of the official SDK. Twilio warns of schema violations (12200) and
goes on; the simulator refuses them, so that a test notices.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # our own peer on loopback; DOCTYPE and entities are refused before parsing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from providers.simulator.delivery import BODY_LIMIT, WebhookAnswer

XML_TYPES: Final = frozenset({"text/xml", "application/xml", "text/html"})
PARAMETER_LIMIT: Final = 500
SAY_LIMIT: Final = 4096


class BadDocument(Exception):
    """Twilio cannot use the answer: `code` is what its debugger shows."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


Check = Callable[[str], bool]


def _any(_value: str) -> bool:
    return True


def _boolean(value: str) -> bool:
    return value in ("true", "false")


def _method(value: str) -> bool:
    return value in ("GET", "POST")


def _link(value: str) -> bool:
    """Absolute or relative to the document."""
    return (
        bool(value.strip())
        and not re.search(r"\s", value)
        and urlsplit(value).scheme in ("", "http", "https")
    )


def _one_of(*words: str) -> Check:
    return lambda value: value in words


def _words_of(*words: str) -> Check:
    return lambda value: bool(value.split()) and set(value.split()) <= set(words)


def _whole(low: int, high: int) -> Check:
    return lambda value: value.isascii() and value.isdigit() and low <= int(value) <= high


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an element may carry."""

    attributes: Mapping[str, Check] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    has_text: bool = False


PROGRESS: Final = _words_of("initiated", "ringing", "answered", "completed")
SSML: Final = frozenset({"break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "sub", "w"})
RECORDING_CALLBACK: Final[dict[str, Check]] = {
    "recordingStatusCallback": _link,
    "recordingStatusCallbackMethod": _method,
    "recordingStatusCallbackEvent": _words_of("in-progress", "completed", "absent"),
}
STATUS_CALLBACK: Final[dict[str, Check]] = {
    "statusCallback": _link,
    "statusCallbackEvent": PROGRESS,
    "statusCallbackMethod": _method,
}
NOUN_AMD: Final[dict[str, Check]] = {
    "machineDetection": _one_of("Enable", "DetectMessageEnd"),
    "machineDetectionTimeout": _whole(3, 59),
    "machineDetectionSpeechThreshold": _whole(1000, 6000),
    "machineDetectionSpeechEndThreshold": _whole(500, 5000),
    "machineDetectionSilenceTimeout": _whole(2000, 10000),
    "amdStatusCallback": _link,
    "amdStatusCallbackMethod": _method,
}
STREAM: Final[dict[str, Check]] = {
    "url": _any,  # checked by stream_url
    "name": _any,
    "track": _one_of("inbound_track", "outbound_track", "both_tracks"),
    "connectorName": _any,
    "audioFormat": _any,
    "sampleRate": _whole(8000, 48000),
    "statusCallback": _link,
    "statusCallbackMethod": _method,
}
RECORD_MODES: Final = (
    "do-not-record",
    "record-from-answer",
    "record-from-ringing",
    "record-from-answer-dual",
    "record-from-ringing-dual",
    "true",
    "false",
)

VERBS: Final[Mapping[str, Shape]] = {
    "Say": Shape(
        attributes={"voice": _any, "language": _any, "loop": _whole(0, 1000)}, children=SSML, has_text=True
    ),
    "Play": Shape(attributes={"loop": _whole(0, 1000), "digits": _any}, has_text=True),
    "Pause": Shape(attributes={"length": _whole(0, 14400)}),
    "Hangup": Shape(children=frozenset({"Parameter"})),
    "Reject": Shape(attributes={"reason": _one_of("rejected", "busy")}, children=frozenset({"Parameter"})),
    "Redirect": Shape(attributes={"method": _method}, has_text=True),
    "Dial": Shape(
        attributes={
            "action": _link,
            "method": _method,
            "timeout": _whole(5, 600),
            "timeLimit": _whole(1, 86400),
            "callerId": _any,
            "answerOnBridge": _boolean,
            "hangupOnStar": _boolean,
            "record": _one_of(*RECORD_MODES),
            **RECORDING_CALLBACK,
            "recordingTrack": _one_of("inbound", "outbound", "both"),
            "trim": _one_of("trim-silence", "do-not-trim"),
            "ringTone": _any,
            "sequential": _boolean,
            "referUrl": _link,
            "referMethod": _method,
            "callReason": lambda value: len(value) <= 50,
        },
        children=frozenset({"Number", "Sip", "Client"}),
        has_text=True,
    ),
    "Connect": Shape(attributes={"action": _link, "method": _method}, children=frozenset({"Stream"})),
    "Start": Shape(
        attributes={"action": _link, "method": _method}, children=frozenset({"Stream", "Recording"})
    ),
    "Stop": Shape(children=frozenset({"Stream", "Recording"})),
    "Record": Shape(
        attributes={
            "action": _link,
            "method": _method,
            "timeout": _whole(1, 14400),
            "finishOnKey": lambda value: re.fullmatch(r"[0-9*#]*|-1", value) is not None,
            "maxLength": _whole(1, 14400),
            "playBeep": _boolean,
            "trim": _one_of("trim-silence", "do-not-trim"),
            **RECORDING_CALLBACK,
            "transcribe": _boolean,
            "transcribeCallback": _link,
        }
    ),
    "Gather": Shape(
        attributes={
            "input": _words_of("dtmf", "speech"),
            "action": _link,
            "method": _method,
            "timeout": _whole(0, 600),
            "numDigits": _whole(1, 100),
            "finishOnKey": lambda value: re.fullmatch(r"[0-9*#]?", value) is not None,
            "speechTimeout": _any,
            "language": _any,
            "hints": _any,
            "bargeIn": _boolean,
            "actionOnEmptyResult": _boolean,
        },
        children=frozenset({"Say", "Play", "Pause"}),
    ),
}

NOUNS: Final[Mapping[str, Shape]] = {
    "Number": Shape(
        attributes={
            "url": _link,
            "method": _method,
            "sendDigits": lambda value: re.fullmatch(r"[0-9A-D#*wW]{1,32}", value) is not None,
            "byoc": _any,
            **STATUS_CALLBACK,
            **NOUN_AMD,
        },
        has_text=True,
    ),
    "Sip": Shape(
        attributes={
            "username": _any,
            "password": _any,
            "url": _link,
            "method": _method,
            **STATUS_CALLBACK,
            **NOUN_AMD,
        },
        children=frozenset({"Uri", "Headers"}),
        has_text=True,
    ),
    "Client": Shape(
        attributes={"url": _link, "method": _method, **STATUS_CALLBACK},
        children=frozenset({"Identity", "Parameter"}),
        has_text=True,
    ),
    "Stream": Shape(attributes=STREAM, children=frozenset({"Parameter"})),
    "Recording": Shape(
        attributes={
            **RECORDING_CALLBACK,
            "track": _one_of("inbound", "outbound", "both"),
            "trim": _one_of("trim-silence", "do-not-trim"),
            "channels": _one_of("mono", "dual"),
        }
    ),
    "Parameter": Shape(attributes={"name": _any, "value": _any}),
    "Identity": Shape(has_text=True),
    "Uri": Shape(
        attributes={
            "priority": _whole(0, 65535),
            "weight": _whole(0, 65535),
            "username": _any,
            "password": _any,
        },
        has_text=True,
    ),
    "Headers": Shape(children=frozenset({"Header"})),
    "Header": Shape(attributes={"name": _any, "value": _any}),
}
REQUIRED: Final = {"Stream": ("url",), "Parameter": ("name", "value"), "Header": ("name", "value")}


def read_answer(answer: WebhookAnswer) -> ET.Element:
    """The document in a webhook's answer, as Twilio reads it; raises BadDocument with the debugger's code."""
    if answer.error is not None:
        raise BadDocument(
            11205 if answer.error.startswith("connect") else 11200, f"no answer: {answer.error}"
        )
    if not answer.is_ok:
        raise BadDocument(11200, f"the answer was HTTP {answer.status}")
    if len(answer.body) > BODY_LIMIT:
        raise BadDocument(11750, "the document is larger than 64 kB")
    text = _text_of(answer.body)
    if not text.strip():
        raise BadDocument(12100, "the answer is empty")
    if answer.content_type == "text/plain":
        return _plain(text)
    if answer.content_type.startswith("audio/"):
        return _wrapped("Play", "(the answer itself)")
    if answer.content_type not in XML_TYPES:
        raise BadDocument(12300, f"the content type is {answer.content_type or 'missing'}")
    return parse(text)


def parse(text: str) -> ET.Element:
    """A checked `<Response>`; raises BadDocument."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadDocument(12100, "DOCTYPE and entities are not allowed")
    try:
        root = ET.fromstring(text.lstrip())  # noqa: S314
    except ET.ParseError as error:
        raise BadDocument(12100, f"not well-formed XML: {error}") from None
    if root.tag != "Response" or root.attrib:
        raise BadDocument(12100, "the root is not a plain <Response>")
    if (root.text or "").strip() or any((child.tail or "").strip() for child in root):
        raise BadDocument(12200, "text between verbs")
    for verb in root:
        if verb.tag not in VERBS:
            raise BadDocument(12200, f"unknown verb <{verb.tag}>")
        _check(verb, VERBS[verb.tag])
    return root


def text_of(element: ET.Element) -> str:
    """All the text in an element, spaces collapsed."""
    return " ".join("".join(element.itertext()).split())


def stream_url(url: str) -> None:
    """Twilio takes `wss` without query only. `ws` is let through to loopback, where nobody has a certificate."""
    parts = urlsplit(url)
    allowed = parts.scheme == "wss" or (parts.scheme == "ws" and _is_loopback(parts.hostname))
    if not allowed or not parts.hostname:
        raise BadDocument(12200, "<Stream> needs a wss:// URL")
    if "?" in url:
        raise BadDocument(12200, "a <Stream> URL takes no query string: use <Parameter>")


def _check(element: ET.Element, shape: Shape) -> None:
    for name, value in element.attrib.items():
        check = shape.attributes.get(name)
        if check is None:
            raise BadDocument(12200, f"<{element.tag}> has no attribute {name}")
        if not check(value):
            raise BadDocument(12200, f"<{element.tag}> {name} cannot be {value[:80]!r}")
    for name in REQUIRED.get(element.tag, ()):
        if name not in element.attrib and not (element.tag == "Stream" and "name" in element.attrib):
            raise BadDocument(12200, f"<{element.tag}> needs {name}")
    if not shape.has_text and text_of(element) and not len(element):
        raise BadDocument(12200, f"<{element.tag}> takes no text")
    _check_content(element)
    for child in element:
        if child.tag not in shape.children:
            raise BadDocument(12200, f"<{child.tag}> is not known in <{element.tag}>")
        if child.tag not in SSML:
            _check(child, NOUNS.get(child.tag) or VERBS[child.tag])


def _check_content(element: ET.Element) -> None:
    if element.tag == "Stream" and "url" in element.attrib:
        stream_url(element.attrib["url"])
    if element.tag == "Parameter" and len("".join(element.attrib.values())) >= PARAMETER_LIMIT:
        raise BadDocument(12200, "name and value of a <Parameter> must be shorter than 500 characters")
    if element.tag == "Say" and len(text_of(element)) > SAY_LIMIT:
        raise BadDocument(12200, "<Say> takes 4096 characters")
    if element.tag in ("Connect", "Start", "Stop") and len(element) != 1:
        raise BadDocument(12200, f"<{element.tag}> needs one noun")
    if element.tag == "Redirect" and not _link(text_of(element)):
        raise BadDocument(12200, "<Redirect> needs a URL")


def _text_of(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadDocument(12100, "the document is not UTF-8") from None


def _plain(text: str) -> ET.Element:
    """Plain text is read aloud unless it is TwiML."""
    try:
        return parse(text)
    except BadDocument:
        return _wrapped("Say", text)


def _wrapped(verb: str, text: str) -> ET.Element:
    root = ET.Element("Response")
    ET.SubElement(root, verb).text = text
    return root


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
