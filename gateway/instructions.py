"""What a carrier must do next with a live call, in words that are true for every carrier.

`Stream`, `Sip` and `Forward` are connections: ways to reach an agent. All of them, and `NextAgent`, are steps of an
agent's fallback chain. Adapters render an instruction as a document or perform it as commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from gateway.errors import ValidationError
from gateway.status import RejectAs

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Base of every instruction."""


@dataclass(frozen=True, slots=True)
class Stream(_Step):
    """Connect the call's audio, both ways, to a media WebSocket.

    Args:
        url: `wss://` address without query or fragment (Twilio strips the query). `ws://` only for loopback.
        parameters: extra strings for the agent. The gateway adds `call_id`, `agent_id` and a one-use `token`.

    Raises:
        ValidationError: the URL is malformed; nothing else is checked here (R93 checks hosts when an agent is put).
    """

    url: str
    parameters: Mapping[str, str] = field(default_factory=lambda: _EMPTY, repr=False, hash=False)

    def __post_init__(self) -> None:
        parts = _split(self.url, "stream url")
        if parts.scheme not in ("wss", "ws") or not parts.hostname:
            raise ValidationError("stream url", "give a wss:// address, like wss://agents.example.com/media")
        if parts.query or parts.fragment or parts.username:
            raise ValidationError(
                "stream url", "no query, fragment or user name: carriers drop them; use parameters"
            )
        if parts.scheme == "ws" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ValidationError("stream url", "ws:// is for loopback only; give a wss:// address")
        for name, value in self.parameters.items():
            if not isinstance(name, str) or not isinstance(value, str) or not name:
                raise ValidationError(
                    "stream parameters",
                    f"{str(name)[:40]!r}: names and values are strings, and a name is not empty",
                )


@dataclass(frozen=True, slots=True)
class Sip(_Step):
    """Connect the call to a SIP address, `sip:user@host`."""

    uri: str

    def __post_init__(self) -> None:
        _check_text("sip uri", self.uri)
        user, at, host = self.uri.removeprefix("sip:").partition("@")
        if not self.uri.startswith("sip:") or not at or not user or not host or not self.uri.isascii():
            raise ValidationError("sip uri", "give sip:user@host")
        if any(c.isspace() or c in "<>\"'," for c in self.uri) or "@" in host:
            raise ValidationError("sip uri", "give one sip:user@host, without spaces, quotes or commas")


@dataclass(frozen=True, slots=True)
class Forward(_Step):
    """Connect the call to a phone number (E.164). `caller_id`: the number shown; None shows our number of the call."""

    number: str = field(repr=False)
    caller_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NextAgent(_Step):
    """Try another agent's connection; skipped when that agent is unknown or at its concurrency limit."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class Say(_Step):
    """Speak `text` to the caller, then go on with the next step."""

    text: str
    language: str = "en-US"

    def __post_init__(self) -> None:
        _check_text("text to say", self.text, self.language)


@dataclass(frozen=True, slots=True)
class TakeMessage(_Step):
    """Speak `prompt`, beep, and record the caller until they hang up, are silent, or `max_length_s` is over."""

    prompt: str = "Please leave a message after the tone."
    max_length_s: int = 120
    language: str = "en-US"

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt, self.language)
        if type(self.max_length_s) is not int or self.max_length_s < 1:
            raise ValidationError("max_length_s", "give whole seconds, at least 1")


@dataclass(frozen=True, slots=True)
class LeaveMessage(_Step):
    """Speak `text` to an answering machine whose greeting is over, then hang up."""

    text: str
    language: str = "en-US"

    def __post_init__(self) -> None:
        _check_text("message to leave", self.text, self.language)


@dataclass(frozen=True, slots=True)
class Reject(_Step):
    """Refuse an inbound call that is not answered yet. On an answered call the gateway says so and hangs up instead."""

    reason: RejectAs = RejectAs.BUSY

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "reason", RejectAs(self.reason))
        except ValueError:
            raise ValidationError("reject reason", "give busy or rejected") from None


@dataclass(frozen=True, slots=True)
class HangUp(_Step):
    """End the call."""


Connection = Stream | Sip | Forward
FallbackStep = NextAgent | Stream | Sip | Forward | Say | TakeMessage | Reject
Instruction = Stream | Sip | Forward | Say | TakeMessage | LeaveMessage | Reject | HangUp


def _check_text(name: str, *values: str) -> None:
    if not all(isinstance(value, str) for value in values):
        raise ValidationError(name, "give text")


def _split(url: str, name: str) -> SplitResult:
    if not isinstance(url, str) or not url.isascii() or any(c.isspace() or ord(c) < 33 for c in url):
        raise ValidationError(name, "not a URL")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValidationError(name, "not a URL") from None
    return parts
