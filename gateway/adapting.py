"""What every adapter needs: end rules, unmapped words, secrets, limits, transports, recordings. No carrier's word.

An adapter may use all of it and must use none of it: the contract is `gateway.interface`. What a failed request means
is in `gateway.outcomes`, how bodies are read in `gateway.wire`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError, ValidationError
from gateway.interface import AccountInfo, DialRequest, Range, RecordingStream, UnmappedWord
from gateway.status import EndCause, EndedBy
from gateway.transport import OneShotTransport, StreamedResponse

# The time of a machine verdict that came without one: the oldest, and the same at every delivery.
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

# -- words ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EndRule:
    """What one end word means.

    `proves_answered`: what the word itself says about the answer. `if_unanswered`: the cause instead, when the report
    proves that nobody answered. `ended_by`: who ended it; None: the word does not say.
    """

    cause: EndCause
    proves_answered: bool | None = None
    if_unanswered: EndCause | None = None
    ended_by: EndedBy | None = None


@dataclass(frozen=True, slots=True)
class StatusRule:
    """What a call status says: a state of a live call, or an end."""

    ringing: bool = False
    answered: bool = False
    end: EndRule | None = None


def unmapped(tables: Mapping[str, tuple[str, Iterable[str]]]) -> tuple[UnmappedWord, ...]:
    """Return the words that their table does not list; table name -> (word, table). Blank words are no words."""
    return tuple(
        unmapped_word(name, word) for name, (word, known) in tables.items() if word and word not in known
    )


def unmapped_word(table: str, word: str) -> UnmappedWord:
    """Return one word that no table lists, cut to what is worth keeping."""
    return UnmappedWord(table=table, word=word[:100])


def nearest_language(language: str, known: Iterable[str]) -> str | None:
    """Return the language as it is spelled in `known`, else the first of the same tongue ("de-AT" -> "de-DE")."""
    wanted = language.lower()
    same = [spelled for spelled in known if spelled.partition("-")[0].lower() == wanted.partition("-")[0]]
    return next((spelled for spelled in same if spelled.lower() == wanted), same[0] if same else None)


# -- secrets --------------------------------------------------------------------------------------------------------


class SecretForm(NamedTuple):
    """The form of a secret: a pattern (ASCII, whole value), and the words that ask for it."""

    pattern: str
    words: str


def check_names(
    provider: str, secrets: Mapping[str, str], *, required: Collection[str], known: Collection[str]
) -> None:
    """Refuse secrets of which a required one is absent or empty, or one has a name that the carrier does not have.

    Raises:
        ConfigurationError: shows names only.
    """
    for name in required:
        if not secrets.get(name):
            raise ConfigurationError(
                f"{provider}: the secret {name} is missing; needed: {', '.join(required)}"
            )
    for name in secrets:
        if name not in known:
            raise ConfigurationError(f"{provider}: no such secret: {name[:40]!r}; known: {', '.join(known)}")


def check_forms(
    secrets: Mapping[str, str], forms: Mapping[str, SecretForm], *, required: Collection[str]
) -> None:
    """Refuse secrets of another form than `forms` says, with an unknown name, or without a required one.

    Raises:
        ValidationError: names the secret and its form, never its value.
    """
    for name in secrets:
        if name not in forms:
            raise ValidationError(name[:40], f"no such secret; known: {', '.join(forms)}")
    for name, form in forms.items():
        is_asked = name in required or name in secrets
        if is_asked and not re.fullmatch(form.pattern, secrets.get(name, ""), re.ASCII):
            raise ValidationError(name, f"give {form.words}")


def basic_auth(user: str, password: str) -> tuple[str, str]:
    """Return the Authorization header."""
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


# -- requests -------------------------------------------------------------------------------------------------------


def open_transport(provider: str, host: str, *, instead: str | None = None) -> OneShotTransport:
    """Return a one-shot transport fixed to `host`; `instead` gets its requests where a library cannot be told.

    Raises:
        ConfigurationError: not the address of a host that secrets may be sent to.
    """
    try:
        return OneShotTransport([host], rewrites={host: instead} if instead else None)
    except ValueError as wrong:
        raise ConfigurationError(f"{provider} base URL: {wrong}") from None


def check_limits(
    provider: str, request: DialRequest, *, join_timeout_s: Range, max_duration_s: Range
) -> None:
    """Refuse a dial whose times are out of the carrier's ranges.

    Raises:
        ValidationError: names the field and the range.
    """
    for field, value, accepted in (
        ("join_timeout", request.join_timeout_s, join_timeout_s),
        ("max_duration", request.max_duration_s, max_duration_s),
    ):
        if not accepted.low <= value <= accepted.high:
            raise ValidationError(field, f"{provider} takes {accepted.low} to {accepted.high} s")


# -- answers --------------------------------------------------------------------------------------------------------


def read_recording(
    answer: StreamedResponse, translated: Callable[[], AbstractContextManager[None]], *, default_type: str
) -> RecordingStream:
    """Return the audio of an answer; what breaks while it is read comes out as `translated` says."""
    length = answer.header("Content-Length") or ""
    return RecordingStream(
        content_type=(answer.header("Content-Type") or default_type)[:100],
        chunks=_chunks(answer, translated),
        length=int(length) if length.isascii() and length.isdecimal() else None,
    )


def _chunks(
    answer: StreamedResponse, translated: Callable[[], AbstractContextManager[None]]
) -> Iterator[bytes]:
    with answer, translated():
        yield from answer


def allowed_hosts(hosts: tuple[str, ...], base_url: str | None) -> tuple[str, ...]:
    """Return the hosts that recordings may come from: the carrier's, and the one that stands in for them."""
    return (*hosts, urlsplit(base_url).netloc) if base_url else hosts


def unread_account(account_ref: str) -> AccountInfo:
    """Return the account of secrets that work, but may not read it."""
    return AccountInfo(account_ref=account_ref, name="", status="unknown", kind="main")
