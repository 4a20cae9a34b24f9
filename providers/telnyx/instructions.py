"""Instructions as Call Control commands. Pure: values in, commands out.

Telnyx ignores what a webhook is answered with; every instruction is one or more REST commands. Each carries a command
id made of its step, and a state that later events echo (`calls.State`), which is how a report finds its step.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, schemas AnswerRequest,
RejectRequest, TransferCallRequest, SpeakRequest, StartRecordingRequest, StartStreamingRequest) and the media streaming
pages of https://developers.telnyx.com/docs/voice, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

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
from gateway.xml import clean_text
from providers.telnyx.calls import (
    JOIN_TIMEOUT_S,
    MAX_DURATION_S,
    NAME,
    Mark,
    State,
    answer_params,
    command_id,
)
from providers.telnyx.vocabulary import NO_STREAM, STREAM_IN_USE

_MAX_TEXT: Final = 3_000  # characters of one `speak` (schema SpeakRequest; the error pages say 5000)
_MAX_RECORDING_S: Final = 14_400
# How a conversation is recorded: both sides apart. No state: the step's own command sets it.
CONVERSATION: Final[Mapping[str, Any]] = MappingProxyType(
    {"format": "mp3", "channels": "dual", "play_beep": False}
)
_STREAM_PAUSES_S: Final = (0.1, 0.3, 0.6)  # before each new try to start a stream in the place of another


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One REST command: `POST /v2/calls/{id}/actions/{action}`.

    `pause_s`: how long to wait before it is sent. `instead`: error code -> what to do when the carrier refuses with
    it; nothing to do means that the command counts as done.
    """

    action: str
    params: Mapping[str, Any] = field(repr=False)
    pause_s: float = 0.0
    instead: Mapping[str, tuple[Command, ...]] = field(default_factory=lambda: MappingProxyType({}))


# Source: OpenAPI document, schema RejectRequest, field cause (SIP 486 and 603).
_REASON: Final[Mapping[RejectAs, str]] = {
    RejectAs.BUSY: "USER_BUSY",
    RejectAs.REJECTED: "CALL_REJECTED",
}

# Source: OpenAPI document, schema SpeakRequest, field language (every value of it), with one Amazon Polly voice each
# (https://docs.aws.amazon.com/polly/latest/dg/available-voices.html). A Polly voice brings its language with it; the
# language is sent as well. The first of a language is taken for its other regions.
VOICES: Final[Mapping[str, str]] = {
    "en-US": "Joanna",
    "arb": "Zeina",
    "cmn-CN": "Zhiyu",
    "cy-GB": "Gwyneth",
    "da-DK": "Naja",
    "de-DE": "Vicki",
    "en-GB": "Amy",
    "en-AU": "Nicole",
    "en-GB-WLS": "Geraint",
    "en-IN": "Raveena",
    "es-ES": "Lucia",
    "es-MX": "Mia",
    "es-US": "Lupe",
    "fr-FR": "Celine",
    "fr-CA": "Chantal",
    "hi-IN": "Aditi",
    "is-IS": "Dora",
    "it-IT": "Bianca",
    "ja-JP": "Mizuki",
    "ko-KR": "Seoyeon",
    "nb-NO": "Liv",
    "nl-NL": "Lotte",
    "pl-PL": "Ewa",
    "pt-BR": "Camila",
    "pt-PT": "Ines",
    "ro-RO": "Carmen",
    "ru-RU": "Tatyana",
    "sv-SE": "Astrid",
    "tr-TR": "Filiz",
}


def commands(call: LiveCall, instruction: Instruction) -> list[Command]:
    """Return what to send, in order; nothing while an outbound call still rings and the step needs an answer.

    Raises:
        UnsupportedFeature: Telnyx has no way to do it; nothing was sent.
    """
    if not call.answered and not isinstance(instruction, HangUp | Reject):
        return [_answer(call)] if call.direction is Direction.INBOUND else []
    return _VERBS[type(instruction)](call, instruction)


def _stream(call: LiveCall, instruction: Stream) -> list[Command]:
    """One stream a call: where another still runs, it is ended first, which takes the carrier a moment."""
    start: tuple[Command, ...] = ()
    for turn, pause_s in reversed(list(enumerate(_STREAM_PAUSES_S, start=1))):
        start = (_start_stream(call, instruction, turn, pause_s, start),)
    first = _start_stream(call, instruction, 0, 0.0, (_stop_stream(call), *start))
    return [*_recording(call), first]


def _sip(call: LiveCall, instruction: Sip) -> list[Command]:
    return _transfer(call, instruction.uri, None)


def _forward(call: LiveCall, instruction: Forward) -> list[Command]:
    return _transfer(call, instruction.number, instruction.caller_id)


def _transfer(call: LiveCall, to: str, caller_id: str | None) -> list[Command]:
    """Ring a second leg and join it to this one; this leg stays when that fails, and ends with it once they talked."""
    if not JOIN_TIMEOUT_S.low <= call.join_timeout_s <= JOIN_TIMEOUT_S.high:
        accepted = f"{JOIN_TIMEOUT_S.low} to {JOIN_TIMEOUT_S.high} s"
        raise UnsupportedFeature(NAME, f"a join timeout of {call.join_timeout_s} s", accepted)
    params: dict[str, Any] = {
        "to": to,
        "timeout_secs": call.join_timeout_s,
        "client_state": _state(call, Mark.FORWARD).pack(),
        "target_leg_client_state": _state(call, Mark.LEG).pack(),
        "webhook_url": call.events_url,
        "webhook_url_method": "POST",
    }
    shown = call.caller_id or caller_id
    if shown:
        params["from_"] = shown
    if MAX_DURATION_S.low <= call.max_duration_s <= MAX_DURATION_S.high:
        params["time_limit_secs"] = call.max_duration_s  # a shorter one is kept by the gateway's own clock
    return [*_recording(call), _stop_stream(call), _command(call, "transfer", params)]


def _say(call: LiveCall, instruction: Say | LeaveMessage) -> list[Command]:
    return [*_recording(call), _stop_stream(call), _speak(call, instruction.text, instruction.language)]


def _take_message(call: LiveCall, instruction: TakeMessage) -> list[Command]:
    """Record one channel after a beep. Stopping on silence is left out: Telnyx bills a transcription for it."""
    if instruction.prompt:
        raise UnsupportedFeature(
            NAME, "a prompt and a recording in one step", "speak the prompt in its own step"
        )
    if not 1 <= instruction.max_length_s <= _MAX_RECORDING_S:
        raise UnsupportedFeature(NAME, "a message of that length", f"1 to {_MAX_RECORDING_S} s")
    params = {
        "format": "mp3",
        "channels": "single",  # with the mark it tells the message from a recording of the conversation
        "play_beep": True,
        "max_length": instruction.max_length_s,
        "client_state": _state(call, Mark.MESSAGE).pack(),
    }
    return [_stop_stream(call), _command(call, "record_start", params, name="record_message")]


def _leave_message(call: LiveCall, instruction: LeaveMessage) -> list[Command]:
    """The hang-up is a step of its own: it must wait for the end of the speech, which an event reports."""
    return [_stop_stream(call), _speak(call, instruction.text, instruction.language)]


def _reject(call: LiveCall, instruction: Reject) -> list[Command]:
    if call.answered or call.direction is not Direction.INBOUND:
        return [_hangup(call)]
    return [_command(call, "reject", {"cause": _REASON[instruction.reason]})]


def _hang_up(call: LiveCall, instruction: HangUp) -> list[Command]:
    return [_hangup(call)]


_VERBS: Final = cast(
    "dict[type[Instruction], Callable[[LiveCall, Any], list[Command]]]",
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


# -- single commands --------------------------------------------------------------------------------------------------


def _answer(call: LiveCall) -> Command:
    return _command(call, "answer", answer_params(_state(call, Mark.ANSWER)))


def _hangup(call: LiveCall) -> Command:
    """No state: a recording that is saved after it keeps the state of its own step."""
    return _command(call, "hangup", {})


def _start_stream(
    call: LiveCall, instruction: Stream, turn: int, pause_s: float, in_use: tuple[Command, ...]
) -> Command:
    """Mu-law 8000 Hz both ways, as RTP payloads (the default, mp3, takes one message a second).

    `in_use`: what to do when another stream is in the way; nothing there means that this was the last try.
    """
    params = {
        "stream_url": instruction.url,
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "stream_bidirectional_sampling_rate": 8000,
        "custom_parameters": [
            {"name": clean_text(key), "value": clean_text(value)}
            for key, value in instruction.parameters.items()
        ],
        "client_state": _state(call, Mark.STREAM).pack(),
    }
    name = "streaming_start" if turn == 0 else f"streaming_start {turn}"
    instead = {STREAM_IN_USE: in_use} if in_use else None
    return _command(call, "streaming_start", params, name=name, pause_s=pause_s, instead=instead)


def _stop_stream(call: LiveCall) -> Command:
    """End a stream of an earlier step; that there is none is fine."""
    params = {"client_state": _state(call, Mark.STOP).pack()}
    return _command(call, "streaming_stop", params, instead={NO_STREAM: ()})


def _speak(call: LiveCall, text: str, language: str) -> Command:
    spoken = clean_text(text)
    if not spoken or len(spoken) > _MAX_TEXT:
        raise UnsupportedFeature(NAME, "a text of that length", f"1 to {_MAX_TEXT} characters")
    known = spoken_language(language)
    params = {
        "payload": spoken,
        "payload_type": "text",
        "voice": f"AWS.Polly.{VOICES[known]}",
        "language": known,
        "client_state": _state(call, Mark.SAY).pack(),
    }
    return _command(call, "speak", params)


def _recording(call: LiveCall) -> list[Command]:
    """Record the conversation from now on."""
    if not call.record:
        return []
    return [_command(call, "record_start", CONVERSATION, name="record_call")]


def _command(
    call: LiveCall,
    action: str,
    params: Mapping[str, Any],
    *,
    name: str | None = None,
    pause_s: float = 0.0,
    instead: Mapping[str, tuple[Command, ...]] | None = None,
) -> Command:
    """`name`: where a step sends an action twice, what tells the two apart."""
    ident = command_id(call.step_token, name or action)
    return Command(
        action=action,
        params={**params, "command_id": ident},
        pause_s=pause_s,
        instead=instead or MappingProxyType({}),
    )


def _state(call: LiveCall, mark: Mark) -> State:
    return State(mark=mark, attempt_token=call.attempt_token, step_token=call.step_token)


def spoken_language(language: str) -> str:
    """Return the language as Telnyx spells it, or its nearest of the same tongue ("de-AT" -> "de-DE").

    Raises:
        UnsupportedFeature: no voice speaks it.
    """
    known = nearest_language(language, VOICES)
    if known is None:
        raise UnsupportedFeature(NAME, f"the language {language[:20]!r}", "known: " + ", ".join(VOICES))
    return known
