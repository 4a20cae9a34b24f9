"""Instructions as TwiML documents. Pure; written with `gateway.xml`, not with the library's builder.

Every document says where Twilio goes when the step is over: `action` of the verb that may end in several ways, and a
`<Redirect>` after what just runs through. The caller is never left with a document that ends in silence.

Source: Twilio docs "TwiML for Programmable Voice" (https://www.twilio.com/docs/voice/twiml, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

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
from gateway.status import RejectAs
from gateway.xml import document, element, text
from providers.twilio.calls import MAX_DURATION_S, with_retries

Attributes: TypeAlias = dict[str, str | int | bool | None]

CONTENT_TYPE: Final = "text/xml"

_MAX_SAID: Final = 4096  # characters a <Say>
_MAX_PARAMETER: Final = 500  # characters, name and value together, must stay below
_DIAL_TIMEOUT_S: Final = (5, 600)  # what <Dial> takes; it rings about 5 s longer
_SILENCE_S: Final = 5  # ends a message

# <Reject reason>: both words are the same as ours.
_REASON: Final = {RejectAs.BUSY: "busy", RejectAs.REJECTED: "rejected"}


def render(call: LiveCall, instruction: Instruction) -> bytes:
    """Return the document that makes Twilio do `instruction`.

    Raises:
        UnsupportedFeature: a stream parameter is longer than Twilio takes.
    """
    return document(element("Response", {}, *_VERBS[type(instruction)](call, instruction)))


def stepped(url: str, step_token: str) -> str:
    """Return the step's progress URL: Twilio keeps the query of a callback, so the step's name travels there."""
    return with_retries(f"{url}{'&' if '?' in url else '?'}step={step_token}")


def _stream(call: LiveCall, instruction: Stream) -> list[str]:
    for name, value in instruction.parameters.items():
        if len(name) + len(value) >= _MAX_PARAMETER:
            raise UnsupportedFeature("twilio", f"stream parameters of {_MAX_PARAMETER} characters or more")
    parameters = [
        element("Parameter", {"name": name, "value": value}) for name, value in instruction.parameters.items()
    ]
    progress = stepped(call.status_url, call.step_token)
    stream = element("Stream", {"url": instruction.url, "statusCallback": progress}, *parameters)
    return [*_recording(call), element("Connect", {"action": with_retries(call.next_url)}, stream)]


def _sip(call: LiveCall, instruction: Sip) -> list[str]:
    return _dial(call, "Sip", instruction.uri, call.caller_id)


def _forward(call: LiveCall, instruction: Forward) -> list[str]:
    return _dial(call, "Number", instruction.number, instruction.caller_id or call.caller_id)


def _dial(call: LiveCall, noun: str, target: str, caller_id: str | None) -> list[str]:
    low, high = _DIAL_TIMEOUT_S
    progress = {
        "statusCallback": stepped(call.status_url, call.step_token),
        "statusCallbackEvent": "answered",  # the end comes by the action request
    }
    attributes: Attributes = {
        "action": with_retries(call.next_url),
        # A forward that rings a moment longer is better than a document that Twilio refuses to a waiting caller.
        "timeout": max(low, min(high, call.join_timeout_s)),
        "timeLimit": min(MAX_DURATION_S.high, call.max_duration_s),
        "callerId": caller_id,
    }
    return [*_recording(call), element("Dial", attributes, element(noun, progress, text(target)))]


def _say(call: LiveCall, instruction: Say) -> list[str]:
    return [*_recording(call), *_said(instruction.text, instruction.language), *_ending(call)]


def _take_message(call: LiveCall, instruction: TakeMessage) -> list[str]:
    """A message of nothing but silence does not reach `action`: Twilio goes on with the next verb."""
    attributes: Attributes = {
        "action": with_retries(call.next_url),
        "maxLength": instruction.max_length_s,
        "timeout": _SILENCE_S,
        "playBeep": True,
        "recordingStatusCallback": with_retries(call.recording_url),
        "recordingStatusCallbackEvent": "completed",
    }
    prompt = _said(instruction.prompt, instruction.language) if instruction.prompt else []
    return [*prompt, element("Record", attributes), *_ending(call)]


def _leave_message(call: LiveCall, instruction: LeaveMessage) -> list[str]:
    """The greeting is over when this is asked for (a `machine_end_…` verdict), so there is nothing to wait for."""
    return [*_said(instruction.text, instruction.language), *_ending(call)]


def _reject(call: LiveCall, instruction: Reject) -> list[str]:
    if call.answered:
        return [element("Hangup", {})]
    return [element("Reject", {"reason": _REASON[instruction.reason]})]


def _hang_up(call: LiveCall, instruction: HangUp) -> list[str]:
    return [element("Hangup", {})]


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
    if not call.record:
        return []
    attributes = {
        "recordingStatusCallback": with_retries(call.recording_url),
        "recordingStatusCallbackEvent": "completed",
    }
    return [element("Start", {}, element("Recording", attributes))]


def _said(words: str, language: str) -> list[str]:
    return [element("Say", {"language": language}, text(part)) for part in _parts(words)]


def _parts(words: str) -> list[str]:
    """Cut a long text into pieces that one <Say> takes, between words where there are any."""
    parts = []
    while len(words) > _MAX_SAID:
        end = words.rfind(" ", 1, _MAX_SAID) + 1 or _MAX_SAID
        parts.append(words[:end])
        words = words[end:]
    return [*parts, words]


def _ending(call: LiveCall) -> list[str]:
    if call.is_last:
        return [element("Hangup", {})]
    return [element("Redirect", {"method": "POST"}, text(with_retries(call.next_url)))]
