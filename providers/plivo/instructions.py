"""Instructions as Plivo XML documents. Pure; written with `gateway.xml`, not with the SDK's builder.

A document that runs out ends the call, so each one ends with a `<Redirect>` to the next step, an `action`, or a
`<Hangup>`.

Source: Plivo's XML reference (https://docs.plivo.com/docs/voice/xml/request and its siblings, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote

from gateway.adapting import nearest_language
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
from gateway.interface import LiveCall
from gateway.status import Direction, RejectAs
from gateway.xml import document, element, text
from providers.plivo.calls import MAX_DURATION_S, NAME, digits_of, with_query, with_retries

Attributes: TypeAlias = dict[str, str | int | bool | None]

# What the two plain voices speak; other languages need a named Amazon Polly voice, and a pair that Plivo does not know
# ends the call with code 8011. The first of a tongue stands in for its other countries.
# Source: Plivo "Speak element" (XML reference, read 2026-11).
LANGUAGES: Final = (
    "da-DK",
    "de-DE",
    *("en-US", "en-GB", "en-AU"),
    *("es-ES", "es-US"),
    *("fr-FR", "fr-CA"),
    "it-IT",
    "nl-NL",
    "pl-PL",
    *("pt-PT", "pt-BR"),
    "ru-RU",
    "sv-SE",
)

# <Hangup reason>: both words are the same as ours.
_REASON: Final = {RejectAs.BUSY: "busy", RejectAs.REJECTED: "rejected"}

CONTENT_TYPE: Final = "application/xml"
MEDIA: Final = "audio/x-mulaw;rate=8000"
EXTRA_HEADERS_BYTES: Final = 512

_SILENCE_S: Final = 5  # ends a message
_GREETING_S: Final = 30  # of a machine, at most
_GREETING_SILENCE_MS: Final = 2000  # after which it counts as over


def render(call: LiveCall, instruction: Instruction) -> bytes:
    """Return the document that makes Plivo do `instruction`.

    Raises:
        UnsupportedFeature: a language Plivo's plain voices do not speak; stream parameters longer than 512 bytes.
    """
    return document(element("Response", {}, *_VERBS[type(instruction)](call, instruction)))


def _stream(call: LiveCall, instruction: Stream) -> list[str]:
    attributes: Attributes = {
        "bidirectional": True,
        "keepCallAlive": True,  # else the next element runs at once
        "contentType": MEDIA,
        "extraHeaders": extra_headers(instruction.parameters) or None,
        "statusCallbackUrl": with_query(call.status_url, "step", call.step_token),  # takes no retry settings
        "statusCallbackMethod": "POST",
    }
    return [*_recording(call), element("Stream", attributes, text(instruction.url)), _redirect(call)]


def _sip(call: LiveCall, instruction: Sip) -> list[str]:
    return _dial(call, element("User", {}, text(instruction.uri)), call.caller_id)


def _forward(call: LiveCall, instruction: Forward) -> list[str]:
    callee = digits_of(instruction.number, "forward number")
    return _dial(call, element("Number", {}, text(callee)), instruction.caller_id or call.caller_id)


def _dial(call: LiveCall, callee: str, caller_id: str | None) -> list[str]:
    attributes: Attributes = {
        "action": with_retries(call.next_url),
        "method": "POST",
        "redirect": True,
        "timeout": call.join_timeout_s,
        "timeLimit": min(MAX_DURATION_S.high, call.max_duration_s),
        "callerId": digits_of(caller_id, "caller_id") if caller_id and caller_id.startswith("+") else None,
        "callbackUrl": with_retries(with_query(call.status_url, "step", call.step_token)),
        "callbackMethod": "POST",
    }
    return [*_recording(call), element("Dial", attributes, callee)]


def _say(call: LiveCall, instruction: Say) -> list[str]:
    spoken = _speak(instruction.text, instruction.language)
    return [*_recording(call), spoken, _hangup() if call.is_last else _redirect(call)]


def _take_message(call: LiveCall, instruction: TakeMessage) -> list[str]:
    """Whether a message of nothing but silence reaches `action` is unconfirmed: the document goes on in any case."""
    callback = with_query(with_query(call.recording_url, "leg", call.leg_id), "kind", "message")
    attributes: Attributes = {
        "action": with_retries(call.next_url),
        "method": "POST",
        "redirect": True,
        "fileFormat": "mp3",
        "recordChannelType": "mono",
        "maxLength": instruction.max_length_s,
        "timeout": _SILENCE_S,
        "playBeep": True,
        "callbackUrl": with_retries(callback),
        "callbackMethod": "POST",
    }
    prompt = [_speak(instruction.prompt, instruction.language)] if instruction.prompt else []
    return [*prompt, element("Record", attributes), _redirect(call)]


def _leave_message(call: LiveCall, instruction: LeaveMessage) -> list[str]:
    """Plivo tells only that a machine answered, so the document itself waits for the greeting's end."""
    wait = {"length": _GREETING_S, "silence": True, "minSilence": _GREETING_SILENCE_MS}
    return [element("Wait", wait), _speak(instruction.text, instruction.language), _hangup()]


def _reject(call: LiveCall, instruction: Reject) -> list[str]:
    return [_hangup(None if call.answered else _REASON[instruction.reason])]


def _hang_up(call: LiveCall, instruction: HangUp) -> list[str]:
    """By one page a bare `<Hangup/>` first answers, and bills; by another it rejects: so the reason is said."""
    is_open = call.direction is Direction.INBOUND and not call.answered
    return [_hangup(_REASON[RejectAs.REJECTED] if is_open else None)]


_VERBS: Final = cast(
    "dict[type[Instruction], Callable[[LiveCall, Any], list[str]]]",
    {
        Stream: _stream,
        Sip: _sip,
        Forward: _forward,
        Say: _say,
        TakeMessage: _take_message,
        LeaveMessage: _leave_message,
        Reject: _reject,
        HangUp: _hang_up,
    },
)


def _recording(call: LiveCall) -> list[str]:
    """Record the conversation from here on, both sides apart; it must stand before the element that connects."""
    if not call.record:
        return []
    attributes: Attributes = {
        "recordSession": True,
        "redirect": False,
        "fileFormat": "mp3",
        "recordChannelType": "stereo",
        "maxLength": min(MAX_DURATION_S.high, call.max_duration_s),
        "callbackUrl": with_retries(with_query(call.recording_url, "leg", call.leg_id)),
        "callbackMethod": "POST",
    }
    return [element("Record", attributes)]


def _speak(words: str, language: str) -> str:
    return element("Speak", {"voice": "WOMAN", "language": spoken_language(language)}, text(words))


def _redirect(call: LiveCall) -> str:
    return element("Redirect", {"method": "POST"}, text(with_retries(call.next_url)))


def _hangup(reason: str | None = None) -> str:
    return element("Hangup", {"reason": reason})


def spoken_language(language: str) -> str:
    """Return the language as Plivo writes it, or its nearest of the same tongue ("de-AT" -> "de-DE").

    Raises:
        UnsupportedFeature: no plain voice speaks it.
    """
    known = nearest_language(language, LANGUAGES)
    if known is None:
        raise UnsupportedFeature(NAME, f"the language {language[:20]!r}", "its plain voices do not speak it")
    return known


def extra_headers(parameters: Mapping[str, str]) -> str:
    """Return `name=value,...`, the text that `extraHeaders` takes.

    Names and values stay as they are while they hold letters, digits and `-_.~` only (`call_id`, a UUID, the token);
    every other byte of their UTF-8 text is percent-encoded, so no separator can stand inside one. An agent id that does
    not fit is left out: the agent learns it by claiming the token.

    Plivo's "AudioStream element" page allows letters and digits only: that `_`, `-`, `.`, `~` and `%` pass is
    unconfirmed. The name and value of `token` keep to the page.

    Raises:
        UnsupportedFeature: the rest is longer than 512 bytes.
    """
    pairs = {name: f"{_escaped(name)}={_escaped(value)}" for name, value in parameters.items()}
    if len(",".join(pairs.values())) > EXTRA_HEADERS_BYTES:
        pairs.pop("agent_id", None)
    said = ",".join(pairs.values())
    if len(said) > EXTRA_HEADERS_BYTES:
        raise UnsupportedFeature(
            NAME, f"stream parameters over {EXTRA_HEADERS_BYTES} bytes", "let the agent claim its token"
        )
    return said


def _escaped(value: str) -> str:
    return quote(value, safe="", encoding="utf-8", errors="replace")
