"""Read a Plivo XML document as strictly as Plivo does, or more: what is not in the reference is refused with 8011.

Source: Plivo's XML reference (plivo.com/docs, read 2026). Vendor guides report that an unknown top-level verb gave
8011 once (`<Reject/>`) and was ignored once (`<Say>`); here it is always refused, and so are unknown attributes,
values out of range and wrong nesting, so that a mistake cannot pass. `performer.py` carries a document out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

from providers.simulator.carriers.plivo import rest

LARGEST_DOCUMENT: Final = 100 * 1024
CONTENT_TYPES: Final = ("application/xml", "text/xml")

LANGUAGES: Final = frozenset(
    [
        "da-DK",
        "nl-NL",
        "en-AU",
        "en-GB",
        "en-US",
        "fr-FR",
        "fr-CA",
        "de-DE",
        "it-IT",
        "pl-PL",
        "pt-PT",
        "pt-BR",
        "ru-RU",
        "es-ES",
        "es-US",
        "sv-SE",
    ]
)  # with WOMAN and MAN; other languages need a `Polly.` voice
SSML: Final = frozenset(
    ["break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "sub", "w"]
)  # Polly voices only
NOT_PLAYED: Final = frozenset({"Conference", "GetInput", "Message", "MultiPartyCall"})


class InvalidDocument(Exception):
    """The document is none that Plivo would carry out (8011 to 8014); the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One checked element: attributes as values with their defaults filled in, text stripped."""

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    children: tuple[Element, ...] = ()

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes.get(attribute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute: how its text is checked, and its value when absent."""

    check: rest.Check
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One element of the reference."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    text: Literal["none", "optional", "required"] = "none"
    needs_children: bool = False


def _text(default: str | None = None) -> Attribute:
    return Attribute(check=rest.text(), default=default)


def _flag(default: bool) -> Attribute:
    return Attribute(check=_lower_flag, default=default)


def _lower_flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _whole(low: int, default: int | None = None, high: float = float("inf")) -> Attribute:
    return Attribute(check=rest.whole(low, high), default=default)


def _one(*words: str, default: str | None = None) -> Attribute:
    return Attribute(check=rest.one_of(*words), default=default)


_URL: Final = Attribute(check=rest.url)
_METHOD: Final = _one("GET", "POST", default="POST")
# the address and method of action and redirect are judged when they are used: 7022, 7024, 7032, 7034
_LATE_METHOD: Final = _text("POST")
_PROMPTS: Final = frozenset({"Speak", "Play", "Wait"})

SPECS: Final[Mapping[str, Spec]] = {
    "Response": Spec(
        children=frozenset(
            {
                "Conference",
                "DTMF",
                "Dial",
                "GetDigits",
                "GetInput",
                "Hangup",
                "Message",
                "MultiPartyCall",
                "Play",
                "PreAnswer",
                "Record",
                "Redirect",
                "Speak",
                "Stream",
                "Wait",
            }
        )
    ),
    "Speak": Spec(
        attributes={"voice": _text("WOMAN"), "language": _text("en-US"), "loop": _whole(0, 1)},
        children=SSML,
        text="required",
    ),
    **{name: Spec(attributes={}, children=SSML, text="optional") for name in SSML},
    "Play": Spec(attributes={"loop": _whole(0, 1)}, text="required"),
    "Wait": Spec(
        attributes={
            "length": _whole(1, 1),
            "silence": _flag(False),
            "minSilence": _whole(1, 2000),
            "beep": _text("false"),
        }
    ),
    "Hangup": Spec(attributes={"reason": _one("rejected", "busy"), "schedule": _whole(1)}),
    "Redirect": Spec(attributes={"method": _LATE_METHOD}, text="required"),
    "DTMF": Spec(attributes={"async": _flag(True)}, text="required"),
    "PreAnswer": Spec(children=_PROMPTS, needs_children=True),
    "GetDigits": Spec(
        attributes={
            "action": _text(),
            "method": _LATE_METHOD,
            "timeout": _whole(1, 5),
            "digitTimeout": _whole(1, 2),
            "finishOnKey": _text("#"),
            "numDigits": _whole(1, 99),
            "retries": _whole(1, 1),
            "redirect": _flag(True),
            "playBeep": _flag(False),
            "validDigits": _text("1234567890*#"),
            "invalidDigitsSound": _URL,
            "log": _flag(True),
        },
        children=_PROMPTS,
    ),
    "Record": Spec(
        attributes={
            "action": _text(),
            "method": _LATE_METHOD,
            "fileFormat": _one("mp3", "wav", default="mp3"),
            "redirect": _flag(True),
            "timeout": _whole(1, 15),
            "maxLength": _whole(1, 60),
            "finishOnKey": Attribute(check=rest.any_text, default="#"),
            "playBeep": _flag(True),
            "recordSession": _flag(False),
            "startOnDialAnswer": _flag(False),
            "recordChannelType": _one("mono", "stereo", default="stereo"),
            "callbackUrl": _URL,
            "callbackMethod": _METHOD,
            "transcriptionType": _one("auto", default="auto"),
            "transcriptionUrl": _URL,
            "transcriptionMethod": _METHOD,
            "transcriptionReportType": _text(),
        }
    ),
    "Dial": Spec(
        attributes={
            "action": _text(),
            "method": _LATE_METHOD,
            "timeout": _whole(1, rest.DEFAULT_RING_TIMEOUT_S),
            "timeLimit": _whole(1, rest.DEFAULT_TIME_LIMIT_S),
            "callerId": _text(),
            "callerName": Attribute(check=rest.text(50)),
            "hangupOnStar": _flag(False),
            "redirect": _flag(True),
            "callbackUrl": _URL,
            "callbackMethod": _METHOD,
            "confirmSound": _URL,
            "confirmKey": _text(),
            "confirmTimeout": _whole(1),
            "dialMusic": _text(),
            "digitsMatch": _text(),
            "digitsMatchBLeg": _text(),
            "sipHeaders": _text(),
            "sipAuthUsername": _text(),
            "sipAuthPassword": _text(),
        },
        children=frozenset({"Number", "User"}),
        needs_children=True,
    ),
    "Number": Spec(
        attributes={"sendDigits": _text(), "sendOnPreanswer": _flag(False), "sendDigitsMode": _text()},
        text="required",
    ),
    "User": Spec(
        attributes={"sendDigits": _text(), "sendOnPreanswer": _flag(False), "sipHeaders": _text()},
        text="required",
    ),
    "Stream": Spec(
        attributes={
            "bidirectional": _flag(False),
            "audioTrack": _one("inbound", "outbound", "both", default="inbound"),
            "streamTimeout": _whole(1, 86_400),
            "contentType": _one(*rest.CONTENT_TYPES, default="audio/x-l16;rate=8000"),
            "keepCallAlive": _flag(False),
            "extraHeaders": Attribute(check=rest.text(512), default=""),
            "statusCallbackUrl": _URL,
            "statusCallbackMethod": _METHOD,
            "noiseCancellation": _flag(False),
            "noiseCancellationLevel": _whole(60, 85, 100),
        },
        text="required",
    ),
}


def read_document(body: bytes, content_type: str) -> tuple[Element, ...]:
    """Read the answer of an answer, fallback, action, transfer or redirect address.

    Returns:
        the elements under `<Response>`, in order; none for the empty `<Response/>`.

    Raises:
        InvalidDocument: Plivo would end the call with 8011 (8012 to 8014 for the other addresses).
    """
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise InvalidDocument(f"content type is {content_type[:60]!r}, not application/xml or text/xml")
    if len(body) > LARGEST_DOCUMENT:
        raise InvalidDocument("over 100 KB")
    root = _parse(body)
    if root.tag != "Response":
        raise InvalidDocument(f"the root is <{root.tag}>, not <Response>")
    return _read(root).children


def _parse(body: bytes) -> ET.Element:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument("not UTF-8") from error
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise InvalidDocument("a document type is not allowed")
    try:
        return ET.fromstring(text)  # noqa: S314 - no document type, so no entities; at most 100 KB
    except (ET.ParseError, ValueError) as error:
        raise InvalidDocument(f"not well-formed XML: {error}") from error


def _read(node: ET.Element) -> Element:
    spec = SPECS[node.tag]
    element = Element(
        name=node.tag,
        attributes=_attributes(node, spec),
        text=_content(node, spec),
        children=() if node.tag == "Speak" else tuple(_child(node, child, spec) for child in node),
    )
    if spec.needs_children and not element.children:
        raise InvalidDocument(f"<{node.tag}> is empty")
    check = _CHECKS.get(node.tag)
    if check is not None:
        check(node, element)
    return element


def _child(parent: ET.Element, child: ET.Element, spec: Spec) -> Element:
    if child.tag in NOT_PLAYED:
        raise InvalidDocument(f"<{child.tag}> is known to Plivo, but this simulator does not play it")
    if child.tag not in spec.children:
        raise InvalidDocument(f"<{child.tag}> is not allowed in <{parent.tag}>")
    return _read(child)


def _attributes(node: ET.Element, spec: Spec) -> dict[str, Any]:
    for name in node.attrib:
        if name not in spec.attributes and node.tag not in SSML:
            raise InvalidDocument(f"<{node.tag}> has no attribute {name}")
    values = {name: attribute.default for name, attribute in spec.attributes.items()}
    for name, value in node.attrib.items():
        try:
            values[name] = spec.attributes[name].check(value) if name in spec.attributes else value
        except ValueError as error:
            raise InvalidDocument(f"<{node.tag} {name}> {error}") from error
    return values


def _content(node: ET.Element, spec: Spec) -> str:
    pieces = (
        node.itertext() if node.tag == "Speak" else [node.text or "", *(child.tail or "" for child in node)]
    )
    text = "".join(pieces).strip()
    if text and spec.text == "none":
        raise InvalidDocument(f"<{node.tag}> may not hold text")
    if not text and spec.text == "required":
        raise InvalidDocument(f"<{node.tag}> needs a text")
    return text


def _check_speak(node: ET.Element, element: Element) -> None:
    for child in node.iter():
        if child is not node and child.tag not in SSML:
            raise InvalidDocument(f"<{child.tag}> is not allowed in <Speak>")
    voice, language = str(element["voice"]), str(element["language"])
    if re.fullmatch(r"Polly\.[A-Za-z]+", voice):
        return
    if len(node) or voice not in ("WOMAN", "MAN") or language not in LANGUAGES:
        raise InvalidDocument(f"<Speak> cannot use voice {voice} with {language}")


def _check_play(_: ET.Element, element: Element) -> None:
    _refuse_unless(rest.url, element)


def _check_stream(_: ET.Element, element: Element) -> None:
    _refuse_unless(rest.stream_url, element)
    if element["bidirectional"] and element["audioTrack"] != "inbound":
        raise InvalidDocument("<Stream> that is bidirectional takes audioTrack inbound only")


def _refuse_unless(check: rest.Check, element: Element) -> None:
    try:
        check(element.text)
    except ValueError as error:
        raise InvalidDocument(f"<{element.name}> {error}") from error


_CHECKS: Final = {"Speak": _check_speak, "Play": _check_play, "Stream": _check_stream}
