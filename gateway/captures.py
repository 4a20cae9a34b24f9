"""One webhook in a file: as the gateway kept it, or as a person wrote it down. Pure: text in, values out.

Two forms are read. A JSON document: `method` (default POST), `url` (absolute, or path and query alone), `headers` (an
object, or a list of [name, value]), `body` (text) or `body_base64` (exact bytes), `received_at` (ISO 8601, optional).
Or the request itself as it stood on the wire: request line, headers, an empty line, body.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import ValidationError

MOST_BYTES: Final = 12_000_000  # the largest `max_webhook_bytes`, and its headers

_KNOWN: Final = frozenset({"method", "url", "headers", "body", "body_base64", "received_at", "reason"})
_METHOD: Final = re.compile(r"[A-Z]{1,20}", re.ASCII)
_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,16384}) HTTP/[0-9](?:\.[0-9])?", re.ASCII)
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A webhook as it came.

    `target`: the raw path and query. `origin`: "https://host:port", when the file names one; None when it does not.
    `received_at`: aware UTC; None when nobody wrote it down. `reason`: why the gateway refused it, as it said then.
    """

    method: str
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    origin: str | None = None
    received_at: datetime | None = None
    reason: str = ""

    def header(self, name: str) -> str:
        """Return the first header of that name, or ""."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def as_json(self) -> str:
        """Return the JSON document that `read_capture` reads."""
        document = {
            "method": self.method,
            "url": (self.origin or "") + self.target,
            "headers": self.headers,
            "body_base64": base64.b64encode(self.body).decode("ascii"),
            "received_at": self.received_at.isoformat() if self.received_at else None,
            "reason": self.reason,
        }
        return json.dumps(document)


def read_capture(content: bytes) -> Capture:
    """Read either form.

    Raises:
        ValidationError: neither of them, or a part that cannot be; it names the part and never quotes it.
    """
    if len(content) > MOST_BYTES:
        raise _bad(f"larger than {MOST_BYTES} bytes")
    if content.lstrip().startswith(b"{"):
        return _read_document(content)
    if _REQUEST_LINE.match(content.lstrip()):
        return _read_wire(content.lstrip())
    raise _bad(
        'give JSON with "url", "headers" and "body", or a request that begins like POST /path HTTP/1.1'
    )


def _bad(message: str) -> ValidationError:
    return ValidationError("FILE", message)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _read_document(content: bytes) -> Capture:
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _bad("not JSON in UTF-8") from None
    unknown = sorted(set(document) - _KNOWN)
    if unknown:
        raise _bad(f"no such name: {unknown[0][:40]!r}; known: {', '.join(sorted(_KNOWN))}")
    method = document.get("method") or "POST"
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise _bad('"method" is a word like "POST"')
    origin, target = _split(document.get("url"))
    reason = document.get("reason") or ""
    return Capture(
        method=method,
        origin=origin,
        target=target,
        headers=_document_headers(document.get("headers")),
        body=_document_body(document),
        received_at=_time(document.get("received_at")),
        reason=reason if isinstance(reason, str) else "",
    )


def _split(url: Any) -> tuple[str | None, str]:
    """Take an address apart: its origin, when it is absolute, and its raw path and query."""
    if not isinstance(url, str) or not url.isprintable() or not url or "\\" in url:
        raise _bad('"url" is the address that was called, or its path and query: /voice/…')
    if url.startswith("/"):
        return None, url.partition("#")[0]
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _bad('"url" is no address') from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad('"url" begins with https://, http:// or /')
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin, url[len(origin) :].partition("#")[0] or "/"


def _document_headers(headers: Any) -> tuple[tuple[str, str], ...]:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise _bad('"headers" is an object of texts, or a list of [name, value]')
    return tuple((name, value) for name, value in pairs)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def _document_body(document: dict[str, Any]) -> bytes:
    text, encoded = document.get("body"), document.get("body_base64")
    if text is not None and encoded is not None:
        raise _bad('give "body" or "body_base64", not both')
    try:
        if encoded is not None:
            return base64.b64decode(encoded, validate=True)
        return (text or "").encode("utf-8")
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise _bad('"body" is text, "body_base64" is the exact bytes in base64') from None


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise _bad('"received_at" is a time like 2026-11-21T15:04:05Z') from None
    if moment.tzinfo is None:
        raise _bad('"received_at" needs its zone, like 2026-11-21T15:04:05Z')
    return moment.astimezone(UTC)


# -- the request on the wire -----------------------------------------------------------------------------------------


def _read_wire(content: bytes) -> Capture:
    end = _HEAD_END.search(content)
    head, body = (content[: end.start()], content[end.end() :]) if end else (content.rstrip(b"\r\n"), b"")
    first, *lines = head.splitlines()
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise _bad("the first line is not like POST /path HTTP/1.1")
    headers = []
    for number, each in enumerate(lines, 2):
        pair = _HEADER.fullmatch(each)
        if pair is None:
            raise _bad(f"line {number} is no header (Name: value)")
        headers.append((pair[1].decode("ascii"), pair[2].decode("latin-1")))
    origin, target = _split(line[2].decode("ascii"))
    capture = Capture(
        method=line[1].decode("ascii"), origin=origin, target=target, headers=tuple(headers), body=body
    )
    length = capture.header("Content-Length")
    if _LENGTH.fullmatch(length) and body[int(length) :] in (b"\n", b"\r\n"):
        body = body[: int(length)]  # the last line end is the editor's
    return Capture(method=capture.method, origin=origin, target=target, headers=capture.headers, body=body)
