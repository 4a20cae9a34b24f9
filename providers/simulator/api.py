"""An API request and its answer as plain values, and the routes a carrier face offers: no web framework in a face."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """What a client sent. `path` is below the carrier's base URL and still percent-encoded; `parts` is decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes
    url: str
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The media type, lower case, without parameters."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    def query_pairs(self) -> list[tuple[str, str]]:
        """The decoded query, empty values kept."""
        return parse_qsl(self.query, keep_blank_values=True)

    def form_pairs(self) -> list[tuple[str, str]]:
        """The pairs of a form body; raises UnicodeDecodeError for a body that is no UTF-8."""
        return parse_qsl(self.body.decode("utf-8"), keep_blank_values=True)

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body.decode("utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """What the carrier answers. `call_id` ties the request to a call in the journal."""

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    call_id: str | None = None


Handler = Callable[[ApiRequest], Awaitable[ApiAnswer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One resource: `path` has `{names}` for single segments; `operation` is what faults and tests call it."""

    method: str
    path: str
    operation: str
    handler: Handler

    def match(self, path: str) -> dict[str, str] | None:
        """The decoded parts, or None when the path is another."""
        found = _pattern(self.path).fullmatch(path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def find_route(
    routes: Sequence[Route], method: str, path: str
) -> tuple[Route | None, dict[str, str], list[str]]:
    """The route of a request with its parts; without one, the methods the path would take (none: no such path)."""
    allowed: list[str] = []
    for route in routes:
        parts = route.match(path)
        if parts is None:
            continue
        if route.method == method:
            return route, parts, []
        allowed.append(route.method)
    return None, {}, allowed


def json_answer(
    document: object,
    status: int = 200,
    *,
    call_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ApiAnswer:
    """An answer with a JSON body."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return ApiAnswer(status=status, body=body, call_id=call_id, headers=headers or {})


def parameters_of(request: ApiRequest) -> dict[str, Any]:
    """Query, form and JSON parameters for the journal; a repeated key becomes a list. Never raises."""
    pairs = list(request.query_pairs())
    merged: dict[str, Any] = {}
    try:
        if request.content_type == "application/x-www-form-urlencoded":
            pairs += request.form_pairs()
        elif request.body and request.content_type == "application/json":
            document = request.json()
            merged = dict(document) if isinstance(document, dict) else {"body": document}
    except ValueError:
        merged = {"body": request.body[:2000].decode("utf-8", "replace")}
    for name, value in pairs:
        merged[name] = value if name not in merged else [*_as_list(merged[name]), value]
    return merged


_PATTERNS: dict[str, re.Pattern[str]] = {}


def _pattern(path: str) -> re.Pattern[str]:
    if path not in _PATTERNS:
        pieces = re.split(r"\{(\w+)\}", path)
        text = "".join(
            re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>[^/]+?)"
            for index, piece in enumerate(pieces)
        )
        _PATTERNS[path] = re.compile(text)
    return _PATTERNS[path]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
