"""Strict reading of Telnyx requests, the order of a dial's checks, and the REST resources as JSON.

Pure: from values to values. Nothing here knows a socket or a running call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from providers.simulator.carriers.telnyx import errors
from providers.simulator.carriers.telnyx.fields import ACTIONS, DIAL, E164, NOT_PLAYED, REQUIRED, Table

Document = dict[str, Any]
Item = TypeVar("Item")

PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 250
PAGING: Final = frozenset({"page[number]", "page[size]"})


# --- bodies ----------------------------------------


def read_body(content_type: str, raw: bytes) -> Document:
    """Read a JSON object.

    A request without any body counts as an empty object: commands such as hangup have no required field.

    Raises:
        Refused: not UTF-8, not JSON, not an object, or another content type.
    """
    if not raw:
        return {}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.bad_encoding(error.start) from error
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise errors.malformed()
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise errors.malformed() from error
    if not isinstance(document, dict):
        raise errors.malformed()
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_fields(body: Document, table: Table, required: Sequence[str] = ()) -> None:
    """Raise the refusal of the first field that is absent, unknown or wrong.

    A null counts as absent (an assumption; the vendor's document allows it for few fields).
    """
    for name in required:
        if body.get(name) in (None, ""):
            raise errors.missing(name)
    for name, value in body.items():
        if name in NOT_PLAYED and value not in (None, False):
            raise errors.not_played(name)
        if name not in table and name not in NOT_PLAYED:
            raise errors.unknown_field(name)
        if name in table and value is not None:
            table[name].verify(name, value)


def check_nested(name: str, body: Document, table: Table) -> None:
    """Raise the refusal of the first wrong field of the object `name`; the pointer names both."""
    for inner, value in (body.get(name) or {}).items():
        pointer = f"{name}/{inner}"
        if inner not in table:
            raise errors.unknown_field(pointer)
        if value is not None:
            table[inner].verify(pointer, value)


def check_dial(body: Document) -> None:
    """Raise unless this is a dial in form; who may dial whom is `check_permission`."""
    check_fields(body, DIAL, REQUIRED["dial"])
    _check_pairs(body)
    if body.get("media_encryption", "disabled") != "disabled" and not str(body["to"]).startswith("sip"):
        raise errors.Refused(
            422,
            "10011",
            "Media encryption not supported for PSTN calls",
            "SRTP media encryption is not supported for PSTN calls.",
            pointer="/media_encryption",
        )


def check_action(name: str, body: Document) -> None:
    """Raise unless this is the command `name` in form.

    Raises:
        Refused: also for a command that the simulator does not know.
    """
    if name not in ACTIONS:
        raise errors.no_such_page()
    check_fields(body, ACTIONS[name], REQUIRED.get(name, ()))
    _check_pairs(body)
    if name == "playback_start" and _audio_sources(body) != 1:
        raise errors.missing("audio_url")


def _audio_sources(body: Document) -> int:
    return sum(body.get(name) is not None for name in ("audio_url", "media_name", "playback_content"))


def _check_pairs(body: Document) -> None:
    if body.get("audio_url") and body.get("media_name"):
        raise errors.bad_value("media_name", "audio_url and media_name are mutually exclusive.")
    for method in ("webhook_url_method", "webhook_urls_method"):
        if body.get(method, "POST") == "GET":
            raise errors.not_played(method)  # how such a webhook is signed is unconfirmed


# --- who may dial whom ----------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An outbound voice profile: which countries, how many calls at once."""

    id: str
    enabled: bool = True
    countries: tuple[str, ...] = ("US", "CA")
    channel_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What the account has and may, when a dial arrives.

    Attributes:
        account_active: False for a suspended account.
        reachable: all that a trial account may call; None: no such limit.
        app_active: None if the application does not exist or has no webhook URL.
        profile: None if the application has none.
        owned: numbers of this account, and the caller ids it verified.
        elsewhere: numbers of other accounts of the carrier.
        limits: greatest number of calls at once, by account and by application; None: unlimited.
        live: outbound calls of the account and of the application now.
    """

    app_active: bool | None
    profile: Profile | None
    owned: frozenset[str]
    elsewhere: frozenset[str]
    account_limit: int | None = None
    app_limit: int | None = None
    account_live: int = 0
    app_live: int = 0
    account_active: bool = True
    reachable: frozenset[str] | None = None


CountryOf = Callable[[str], str | None]


def check_permission(body: Document, may: Permission, country_of: CountryOf) -> None:
    """Apply the carrier's checks in its order: application, profile, caller id, destination, channels.

    Raises:
        Refused: 422 for the application, else 403 with a D-code.
    """
    if may.app_active is None:
        raise errors.no_such_connection()
    for d_code, refuses in (
        ("D17", not may.account_active),
        ("D16", not may.app_active),
        ("D38", may.profile is None),
        ("D15", may.profile is not None and not may.profile.enabled),
        *_caller_checks(body, may),
        ("D13", not _destination_allowed(body["to"], may.profile, country_of)),
        ("D60", may.reachable is not None and target_number(body["to"]) not in may.reachable),
        ("D1", _full(may.account_limit, may.account_live)),
        ("D2", may.profile is not None and _full(may.profile.channel_limit, may.account_live)),
        ("D3", _full(may.app_limit, may.app_live)),
    ):
        if refuses:
            raise errors.dial_refused(d_code)


def _caller_checks(body: Document, may: Permission) -> tuple[tuple[str, bool], ...]:
    caller = body["from"]
    return (
        ("D35", not E164.fullmatch(caller)),
        ("D36", caller not in may.owned and caller in may.elsewhere),
        ("D51", caller not in may.owned),
        ("D53", caller == target_number(body["to"])),
    )


def _destination_allowed(target: str, profile: Profile | None, country_of: CountryOf) -> bool:
    if profile is None or target.startswith("sip"):
        return True  # whether a SIP URI needs a profile at all is unconfirmed
    return country_of(target_number(target)) in profile.countries


def _full(limit: int | None, live: int) -> bool:
    return limit is not None and live >= limit


def target_number(target: str) -> str:
    """Give the number without the keys that may follow a comma."""
    return target.partition(",")[0]


# --- resources ----------------------------------------


def milliseconds(moment: datetime) -> str:
    """Print a time as REST resources do: ISO 8601 UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed(items: list[Document], query: Mapping[str, str], default_size: int = PAGE_SIZE) -> Document:
    """Cut one numbered page out of a list.

    Raises:
        Refused: the page number or size is no number, or out of range.
    """
    size = whole(query, "page[size]", default_size, PAGE_SIZE_MAX)
    number = whole(query, "page[number]", 1, 10_000_000)
    start = (number - 1) * size
    meta = {
        "page_number": number,
        "page_size": size,
        "total_pages": math.ceil(len(items) / size),
        "total_results": len(items),
    }
    return {"data": items[start : start + size], "meta": meta}


def cursor_page(items: list[Document], key: str, query: Mapping[str, str], path: str) -> Document:
    """Cut one page by cursor: `page[after]` and `page[before]` name the item next to which it starts.

    The cursors are the items' own `key` values here; a client must treat them as opaque. `page[number]` and
    `page[size]`, which the document lists beside the cursors and the SDK sends, choose a page too; the answer's
    `meta` still holds cursors, so that an SDK that looks for page counts learns of the end by an empty page.
    """
    limit = whole(query, "page[limit]", PAGE_SIZE, PAGE_SIZE_MAX)
    limit = whole(query, "page[size]", limit, PAGE_SIZE_MAX)
    number = whole(query, "page[number]", 1, 10_000_000)
    keys = [str(item[key]) for item in items]
    start = (number - 1) * limit + _position(keys, query, "page[after]", default=-1) + 1
    if "page[before]" in query:
        end = _position(keys, query, "page[before]", default=len(items))
        start = max(0, end - limit)
    else:
        end = min(len(items), start + limit)
    page = items[start:end]
    after = keys[end - 1] if page and end < len(items) else None
    before = keys[start] if page and start > 0 else None
    return {"data": page, "meta": _cursor_meta(path, limit, after, before, len(items))}


def _position(keys: list[str], query: Mapping[str, str], name: str, *, default: int) -> int:
    cursor = query.get(name)
    if not cursor:
        return default
    if cursor not in keys:
        raise errors.Refused(422, "10015", "Bad Request", "The cursor is not valid.", parameter=name)
    return keys.index(cursor)


def _cursor_meta(path: str, limit: int, after: str | None, before: str | None, count: int) -> Document:
    meta: Document = {"cursors": {}, "total_items": count}
    if after is not None:
        meta["cursors"]["after"] = after
        meta["next"] = f"{path}?page[limit]={limit}&page[after]={after}"
    if before is not None:
        meta["cursors"]["before"] = before
        meta["previous"] = f"{path}?page[limit]={limit}&page[before]={before}"
    return meta


def ordered(items: list[Document], query: Mapping[str, str], fields: Mapping[str, str]) -> list[Document]:
    """Sort as `sort` asks: one of the names in `fields`, which gives the field it stands for, `-` for descending.

    Raises:
        Refused: another name.
    """
    word = query.get("sort")
    if word is None:
        return items
    if word not in fields:
        detail = f"The value must be one of: {', '.join(sorted(fields))}."
        raise errors.Refused(422, "10032", "Invalid enumerated value", detail, parameter="sort")
    name = fields[word].removeprefix("-")
    return sorted(items, key=lambda item: _sortable(item[name]), reverse=fields[word].startswith("-"))


def _sortable(value: Any) -> str:
    return "" if value is None else str(value).lower()


def contains(query: Mapping[str, str], name: str, least: int) -> str:
    """Give the part that a `[contains]` filter looks for, in lower case; empty without one.

    Raises:
        Refused: shorter than `least` characters.
    """
    part = query.get(name, "").lower()
    if name in query and len(part) < least:
        detail = f"At least {least} characters are needed."
        raise errors.Refused(422, "10015", "Bad Request", detail, parameter=name)
    return part


def check_choice(query: Mapping[str, str], name: str, values: Sequence[str]) -> str | None:
    """Give a query parameter of a closed set; None without it. Raises the refusal of another value."""
    value = query.get(name)
    if value is not None and value not in values:
        detail = f"The value must be one of: {', '.join(sorted(values))}."
        raise errors.Refused(422, "10032", "Invalid enumerated value", detail, parameter=name)
    return value


def several(query: Mapping[str, str], name: str) -> set[str]:
    """Give the values of a filter that takes several: `name` or `name[]`, with commas."""
    joined = ",".join(query[key] for key in (name, f"{name}[]") if key in query)
    return {value for value in joined.split(",") if value}


def whole(query: Mapping[str, str], name: str, default: int, high: int) -> int:
    """Give a whole number from 1 to `high`. Raises Refused."""
    raw = query.get(name, str(default))
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= high:
        detail = f"The value is outside of allowed range 1 to {high}"
        raise errors.Refused(422, "10033", "Value outside of range", detail, parameter=name)
    return int(raw)


def check_query(query: Mapping[str, str], allowed: frozenset[str]) -> None:
    """Raise on a query parameter that the endpoint does not document."""
    for name in query:
        if name not in allowed:
            raise errors.Refused(422, "10015", "Bad Request", f"Unknown parameter '{name}'.", parameter=name)
