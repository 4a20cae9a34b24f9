"""Words on the command line -> models. A word that is none of them is `Misused`: it names the option and the form."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import typer

from gateway.errors import ValidationError
from gateway.instructions import (
    Connection,
    FallbackStep,
    Forward,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import CallSettings
from gateway.status import CallStatus, Direction, RejectAs, read_status


class Misused(ValidationError):
    """The command line is not one of ours: exit code 2, as for an unknown option."""


JoinTimeout = Annotated[
    str | None, typer.Option("--join-timeout", help='How long it may ring unanswered: "30s", "1m".')
]
MaxDuration = Annotated[
    str | None, typer.Option("--max-duration", help='Cut-off after the answer: "600s", "10m".')
]
Voicemail = Annotated[
    str | None, typer.Option("--voicemail", help="off, or detect: ask the carrier what answered.")
]
OnVoicemail = Annotated[
    str | None, typer.Option("--on-voicemail", help="continue, hang_up or leave_message.")
]
VoicemailMessage = Annotated[
    str | None, typer.Option("--voicemail-message", help="What leave_message speaks.")
]
Record = Annotated[bool | None, typer.Option("--record/--no-record", help="Record the conversation.")]
Greeting = Annotated[str | None, typer.Option("--greeting", help="The agent's first words.")]


def call_settings(
    *,
    join_timeout: str | None,
    max_duration: str | None,
    voicemail: str | None,
    on_voicemail: str | None,
    voicemail_message: str | None,
    record: bool | None,
    greeting: str | None,
) -> CallSettings:
    """Return the settings that the options say; what they leave open stays open."""
    return CallSettings(
        join_timeout=join_timeout,
        max_duration=max_duration,
        voicemail_detection=voicemail,
        on_voicemail=on_voicemail,
        voicemail_message=voicemail_message,
        recording_enabled=record,
        greeting=greeting,
    )


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Read `name=value` words. Raises Misused, also for a repeated name."""
    found: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Misused(option, "give name=value")
        if name in found:
            raise Misused(option, f"{name[:40]!r} is given twice")
        found[name] = value
    return found


def call_status(word: str | None) -> CallStatus | None:
    """Read a status, in either dialect of the public API."""
    if word is None:
        return None
    try:
        return read_status(word)
    except ValueError:
        known = ", ".join(status.value for status in CallStatus)
        raise Misused("--status", f"{word[:40]!r} is not one of: {known}") from None


def direction(word: str | None) -> Direction | None:
    """Read a direction."""
    if word is None:
        return None
    try:
        return Direction(word)
    except ValueError:
        known = ", ".join(each.value for each in Direction)
        raise Misused("--direction", f"{word[:40]!r} is not one of: {known}") from None


def confirm(question: str, *, yes: bool, option: str) -> None:
    """Ask a person; a program must have said it by an option. Raises typer.Abort, or Misused without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misused(option, "needed where nobody can be asked")
    typer.confirm(question, abort=True, err=True)


def asked_secret(field: str) -> str:
    """Ask a person for a secret without showing it; a program writes it to stdin, in one line."""
    if sys.stdin.isatty():
        asked: str = typer.prompt(field, hide_input=True, err=True)
        return asked.strip()
    return sys.stdin.readline().strip()


def connection(*, stream: str | None, sip: str | None, forward: str | None) -> Connection:
    """Return the one connection of an agent."""
    makers: list[tuple[str | None, Callable[[str], Connection]]] = [
        (stream, Stream),
        (sip, Sip),
        (forward, Forward),
    ]
    given = [make(value) for value, make in makers if value is not None]
    if len(given) != 1:
        raise Misused("connection", "give exactly one of --stream, --sip, --forward")
    return given[0]


# How a step of a fallback chain is written: its kind, then what belongs to it behind a colon.
_WITH_VALUE: Final[Mapping[str, Callable[[str], FallbackStep]]] = {
    "agent": NextAgent,
    "forward": Forward,
    "stream": Stream,
    "sip": lambda rest: Sip(f"sip:{rest}"),
    "say": Say,
    "message": lambda prompt: TakeMessage(prompt=prompt),
}
_ALONE: Final[Mapping[str, FallbackStep]] = {
    "message": TakeMessage(),
    "busy": Reject(RejectAs.BUSY),
    "reject": Reject(RejectAs.REJECTED),
}
_FALLBACK_FORM: Final = (
    "give agent:ID, forward:+NUMBER, stream:wss://..., sip:user@host, say:TEXT, message, message:PROMPT, "
    "busy or reject"
)


def fallback(word: str) -> FallbackStep:
    """Read one step of a fallback chain."""
    kind, colon, rest = word.partition(":")
    if not colon and kind in _ALONE:
        return _ALONE[kind]
    if not colon or kind not in _WITH_VALUE or not rest:
        raise Misused("--fallback", f"{word[:40]!r}: {_FALLBACK_FORM}")
    return _WITH_VALUE[kind](rest)
