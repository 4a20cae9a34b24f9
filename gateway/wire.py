"""Strict reading of the two body forms that carriers send: URL-encoded forms and JSON.

Its own because the usual parsers are kind: they drop blank values, replace bad bytes, keep the last of two equal names
and accept NaN. What was signed must be exactly what is read (R33, R34, R37), so here nothing is repaired: a body is
read whole, or refused as MALFORMED. Not here: any carrier's field name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import WebhookRequest

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

MAX_FIELDS: Final = 512  # the longest form that a carrier documents has about 60
MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 25  # of one number; carriers send nothing longer than an epoch in nanoseconds

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})


def media_type(request: WebhookRequest, *accepted: str) -> str:
    """Return the request's media type, lower case, without its parameters.

    Raises:
        WebhookRejected: UNSUPPORTED_MEDIA: absent, not one of `accepted`, in another charset than UTF-8, or compressed.
    """
    kind, _, parameters = (request.header("Content-Type") or "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip(" \t\"'")
    encoding = (request.header("Content-Encoding") or "identity").strip().lower()
    if kind not in accepted or (charset and charset not in _UTF8) or encoding != "identity":
        raise WebhookRejected(RejectionReason.UNSUPPORTED_MEDIA, "expected " + " or ".join(accepted))
    return kind


def parse_form(body: bytes) -> dict[str, list[str]]:
    """Return name -> values of a URL-encoded form (or a raw query), in order, blank values kept.

    Raises:
        WebhookRejected: MALFORMED: a broken %-escape, bytes that are not UTF-8, too many fields.
    """
    pieces = [piece for piece in body.split(b"&") if piece]
    if len(pieces) > MAX_FIELDS:
        raise malformed("too many fields")
    fields: dict[str, list[str]] = {}
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        fields.setdefault(_form_text(name), []).append(_form_text(value))
    return fields


def parse_query(url: str) -> dict[str, list[str]]:
    """Return name -> values of a URL's query, read as `parse_form` reads a body; a fragment is no part of it."""
    return parse_form(url.partition("#")[0].partition("?")[2].encode("utf-8", "surrogatepass"))


def single(fields: Mapping[str, list[str]], name: str) -> str | None:
    """Return the one value of a field, or None when it is absent.

    Raises:
        WebhookRejected: MALFORMED: the field is there more than once (R34).
    """
    values = fields.get(name)
    if values is None:
        return None
    if len(values) != 1:
        raise malformed(f"field {name} is repeated")
    return values[0]


def parse_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object. Lone surrogates in strings become U+FFFD: no database takes them (R36).

    Raises:
        WebhookRejected: MALFORMED: not UTF-8, not one object, a repeated key, NaN or Infinity, a number too long or too
            large, nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_refused_constant,
            parse_int=_read_int,
            parse_float=_read_float,
        )
    except (ValueError, RecursionError):
        raise malformed("not JSON") from None
    if not isinstance(value, dict):
        raise malformed("not a JSON object")
    cleaned: dict[str, Any] = _cleaned(value, MAX_DEPTH)
    return cleaned


def malformed(detail: str) -> WebhookRejected:
    """Return the error for a body that is not what a carrier sends. `detail` never quotes the body."""
    return WebhookRejected(RejectionReason.MALFORMED, detail)


def _form_text(raw: bytes) -> str:
    if _BAD_ESCAPE.search(raw):
        raise malformed("broken %-escape")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("not UTF-8") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise malformed("a key is repeated")
    return found


def _refused_constant(word: str) -> Any:
    raise malformed("not a JSON number")


def _read_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise malformed("a number is too long")
    return int(digits)


def _read_float(digits: str) -> float:
    number = float(digits) if len(digits) <= 2 * MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise malformed("a number is too long or too large")
    return number


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise malformed("nested too deeply")
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    return {_SURROGATE.sub("\ufffd", key): _cleaned(item, depth - 1) for key, item in value.items()}
