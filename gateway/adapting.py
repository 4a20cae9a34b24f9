"""What every adapter needs: end rules, words, secrets, limits, transports, recordings, set-up. No carrier's word.

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
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.byoc import Difference, NumberQuery, Place, SipRequest
from gateway.errors import ConfigurationError, RequestRefused, ValidationError
from gateway.interface import AccountInfo, DialRequest, Range, RecordingStream, UnmappedWord
from gateway.numbers import parse_e164
from gateway.status import EndCause, EndedBy
from gateway.transport import OneShotTransport, StreamedResponse

# The time of a machine verdict that came without one: the oldest, and the same at every delivery.
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,10})?", re.ASCII)

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


def open_transport(
    provider: str, host: str, *, more: Iterable[str] = (), instead: str | None = None
) -> OneShotTransport:
    """Return a one-shot transport fixed to `host` and `more` hosts of the carrier's; `instead` gets the requests for
    `host` where a library cannot be told.

    Raises:
        ConfigurationError: not the address of a host that secrets may be sent to.
    """
    try:
        return OneShotTransport(dict.fromkeys((host, *more)), rewrites={host: instead} if instead else None)
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


def unread_account(account_ref: str, *notes: str, kind: str = "main") -> AccountInfo:
    """Return the account of secrets that work, but may not read it."""
    return AccountInfo(account_ref=account_ref, name="", status="unknown", kind=kind, notes=notes)


def read_price(value: object) -> Decimal | None:
    """Return an amount of money that a carrier wrote as text or number; None for anything else."""
    told = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    return Decimal(told) if _AMOUNT.fullmatch(told) else None


# -- setting up numbers ---------------------------------------------------------------------------------------------


def differing(
    place: Place, wanted: Mapping[str, object], found: Mapping[str, object]
) -> tuple[Difference, ...]:
    """Return each setting of `wanted` that `found` does not hold exactly; None, absent and "" are all nothing."""
    return tuple(
        Difference(place=place, setting=name, wanted=setting_text(value), found=setting_text(found.get(name)))
        for name, value in wanted.items()
        if setting_text(value) != setting_text(found.get(name))
    )


def setting_text(value: object) -> str:
    """Return a setting as text: "" for nothing, "true" and "false" for flags."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def bare_url(url: str) -> str:
    """Return a URL without retry settings (its fragment): the part that says where a call goes."""
    return url.partition("#")[0]


def shown_url(url: str) -> str:
    """Return a URL for people: without a login, a query or retry settings. Never raises."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]


def check_query(query: NumberQuery) -> None:
    """Refuse a search that no carrier can take.

    Raises:
        ValidationError: names the field and what is accepted.
    """
    for field, value, pattern, words in (
        ("country", query.country, "[A-Z]{2}", "give the two capital letters of ISO 3166, like US"),
        ("kind", query.kind, "local|mobile|toll_free|national", "give local, mobile, toll_free or national"),
        ("area_code", query.area_code, "[0-9]{1,6}", "give 1 to 6 digits"),
        ("contains", query.contains, "[0-9]{2,16}", "give 2 to 16 digits"),
    ):
        if value is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            raise ValidationError(field, words)
    if not 1 <= query.limit <= 100:
        raise ValidationError("limit", "give 1 to 100")


def check_link(request: SipRequest) -> None:
    """Refuse a link to another SIP carrier that none of ours can take.

    Raises:
        ValidationError: names the field and what is accepted, never a password.
    """
    host = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?::[0-9]{1,5})?"
    strong = "(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[!-~]{12,128}"
    for field, value, pattern, words in (
        (
            "name",
            request.name,
            "[A-Za-z0-9](?:[A-Za-z0-9-]{1,38}[A-Za-z0-9])",
            "give 3 to 40 letters, digits and dashes",
        ),
        ("carrier_host", request.carrier_host, host, "give a host name or address, with a port if not 5060"),
        ("username", request.username, "[A-Za-z][A-Za-z0-9]{3,31}", "give 4 to 32 letters and digits"),
        (
            "password",
            request.password,
            strong,
            "give 12 to 128 characters with a capital, a small letter and a digit",
        ),
    ):
        if value is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            raise ValidationError(field, words)
    if (request.username is None) != (request.password is None):
        raise ValidationError("password", "give both a user name and a password, or neither")
    for address in request.carrier_ips:
        try:
            IPv4Address(address)
        except ValueError:
            raise ValidationError("carrier_ips", "give IPv4 addresses, like 203.0.113.10") from None
    for number in request.numbers:
        parse_e164(number, "numbers")


def with_advice(refused: RequestRefused, advice: str) -> RequestRefused:
    """Return a refusal whose message also says what to do."""
    return RequestRefused(
        f"{refused.message}: {advice}",
        provider=refused.provider,
        http_status=refused.http_status,
        vendor_code=refused.vendor_code,
        vendor_request_id=refused.vendor_request_id,
    )
