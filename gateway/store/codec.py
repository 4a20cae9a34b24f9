"""Models <-> JSON text and rows: total, and tested by round trips.

A frozen dataclass is written as an object of its fields that differ from their default, by its type hints; enums as
their word, times as ISO 8601 in UTC, decimals as text. An unknown field is ignored when read, so that the release
before can run beside the next one (R56). Instructions carry their kind.

R36: texts are cleaned on the way in: NUL and lone surrogates become U+FFFD (PostgreSQL refuses them, SQLite does not,
and what is stored must be equal), and their length is capped.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from gateway.errors import ConfigurationError, SchemaMismatch, ValidationError
from gateway.instructions import (
    Connection,
    FallbackStep,
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import Call, CallSettings
from gateway.status import CallFacts, EndReason

T = TypeVar("T")
Read = Callable[[Any], Any]

MAX_TEXT: Final = 20_000
MAX_DEPTH: Final = 32
_MAX_INT_BITS: Final = 4096
_WRONG: Final = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, ValidationError)
_REPLACEMENT: Final = "\ufffd"
_BAD: Final = {0: _REPLACEMENT, **dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT)}


# -- texts and free JSON --------------------------------------------------------------------------------------------


def clean_text(value: str, limit: int = MAX_TEXT) -> str:
    """Return `value` as both databases can keep it: no NUL, no lone surrogate, at most `limit` characters."""
    return storable_text(value[:limit])


def storable_text(value: str) -> str:
    """Return `value` with U+FFFD in place of what PostgreSQL, or UTF-8, cannot hold."""
    if value.isascii() and "\0" not in value:
        return value
    return value.translate(_BAD)


def clean_json(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return `value` as plain JSON: texts cleaned, keys made text, what JSON cannot say turned into text. Total."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_INT_BITS else "(integer too long)"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth == 0:
        return "(nested too deeply)"
    if isinstance(value, Mapping):
        return {clean_text(str(k), 200): clean_json(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean_json(item, depth - 1) for item in value]
    return clean_text(str(value))


def write_json(value: Any) -> str:
    """Return cleaned, compact JSON text."""
    return _dumps(clean_json(value))


def read_json(text: str) -> Any:
    """Read JSON text that this module wrote. Raises SchemaMismatch when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        raise _unreadable("JSON") from None


# -- typed values ---------------------------------------------------------------------------------------------------


def write_value(value: Any) -> str:
    """Return the JSON text of a frozen dataclass."""
    return _dumps(_plain(value))


def read_value(kind: type[T], text: str) -> T:
    """Read a frozen dataclass of `kind`.

    Raises:
        SchemaMismatch: the text is not one: a newer gateway wrote it, or the database is damaged.
    """
    read: Callable[[Any], T] = _reader(cast("Hashable", kind))
    try:
        return read(json.loads(text))
    except _WRONG:
        raise _unreadable(kind.__name__) from None


def write_facts(facts: CallFacts) -> str:
    """Return the JSON text of a call's facts."""
    return write_value(facts)


def read_facts(text: str) -> CallFacts:
    """Read a call's facts."""
    return read_value(CallFacts, text)


def write_end_reason(reason: EndReason | None) -> str | None:
    """Return the JSON text of an end reason, None for none."""
    return None if reason is None else write_value(reason)


def read_end_reason(text: str | None) -> EndReason | None:
    """Read an end reason, None for none."""
    return None if text is None else read_value(EndReason, text)


def write_settings(settings: CallSettings) -> str:
    """Return the JSON text of call settings, in the public API's form."""
    return write_json(settings.as_dict())


@lru_cache(maxsize=512)
def read_settings(text: str) -> CallSettings:
    """Read call settings; fields of a newer gateway are ignored. Most calls of an agent have the same ones."""
    known = {f.name for f in dataclasses.fields(CallSettings)}
    return _guarded(
        "CallSettings",
        lambda: CallSettings(**{k: v for k, v in json.loads(text).items() if k in known}),
    )


# -- instructions and connections -----------------------------------------------------------------------------------

KINDS: Final[Mapping[str, type[Any]]] = {
    "stream": Stream,
    "sip": Sip,
    "forward": Forward,
    "next_agent": NextAgent,
    "say": Say,
    "take_message": TakeMessage,
    "leave_message": LeaveMessage,
    "reject": Reject,
    "hang_up": HangUp,
}
_KIND_OF: Final = {kind: word for word, kind in KINDS.items()}
_FUNCTION: Final = {"kind": "function"}


def lost_function(call: Call) -> Connection:
    """Stand in for an agent's `connect` function: the store cannot keep it, it lives in the process that put it.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(
        f"agent {call.agent_id!r} connects by a function of another process: put the agent again after a restart"
    )


def write_instruction(step: Instruction | NextAgent) -> str:
    """Return the JSON text of an instruction, with its kind."""
    return _dumps(_tagged(step))


def read_instruction(text: str) -> Instruction | NextAgent:
    """Read an instruction."""
    found: Instruction | NextAgent = _guarded("instruction", lambda: _untagged(json.loads(text)))
    return found


def write_chain(steps: tuple[FallbackStep, ...]) -> str:
    """Return the JSON text of a fallback chain."""
    return _dumps([_tagged(step) for step in steps])


def read_chain(text: str) -> tuple[FallbackStep, ...]:
    """Read a fallback chain."""
    return _guarded("fallback chain", lambda: tuple(_untagged(step) for step in json.loads(text)))


def write_connect(connect: Connection | Callable[[Call], Connection]) -> str:
    """Return the JSON text of how a call reaches an agent; a function leaves only a mark that there was one."""
    return _dumps(_tagged(connect) if isinstance(connect, (Stream, Sip, Forward)) else _FUNCTION)


def read_connect(text: str) -> Connection | Callable[[Call], Connection]:
    """Read how a call reaches an agent; `lost_function` where a function was put."""
    value = read_json(text)
    if value == _FUNCTION:
        return lost_function
    found: Connection = _guarded("connection", lambda: _untagged(value))
    return found


def _tagged(step: Any) -> dict[str, Any]:
    return {"kind": _KIND_OF[type(step)], **_plain(step)}


def _untagged(value: dict[str, Any]) -> Any:
    return _reader(cast("Hashable", KINDS[value["kind"]]))(value)


# -- dataclasses by their type hints --------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        shown = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {f.name: _plain(v) for f, v in shown if not _is_default(f, v)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return _write_time(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return clean_json(value)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default) and type(value) is type(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return False


@cache
def _reader(kind: Hashable) -> Read:
    """Return the function that reads one JSON value as `kind`."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object_reader(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {member.value: member for member in kind}.__getitem__  # half the time of a call of the enum
    if kind is Decimal:
        return Decimal
    if kind is datetime:
        return datetime.fromisoformat
    if get_origin(kind) in (Union, types.UnionType):
        return _optional_reader(kind)
    if get_origin(kind) is tuple:
        read = _reader(get_args(kind)[0])
        return lambda items: tuple(map(read, items))
    return _same


def _object_reader(kind: type[Any]) -> Read:
    hints = get_type_hints(kind)
    readers = {f.name: _reader(hints[f.name]) for f in dataclasses.fields(kind)}

    def read(value: Any) -> Any:
        return kind(**{name: readers[name](item) for name, item in value.items() if name in readers})

    return read


def _optional_reader(kind: Any) -> Read:
    (inner,) = (arg for arg in get_args(kind) if arg is not types.NoneType)
    read = _reader(inner)
    return read if read is _same else lambda value: None if value is None else read(value)


def _same(value: Any) -> Any:
    return value


def _write_time(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive time cannot be stored; give an aware one")
    return value.astimezone(UTC).isoformat()


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _guarded(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except _WRONG:
        raise _unreadable(name) from None


def _unreadable(name: str) -> SchemaMismatch:
    return SchemaMismatch(
        f"a stored {name} cannot be read: a newer gateway wrote it (install that version), or the database is damaged"
    )
