"""Requests as the public API's models: strict JSON, strict queries, every mistake named by its field.

The library that makes the OpenAPI document can read requests too; this is done here because a JSON text that is nested
100,000 deep, names a field twice or holds NaN must be refused (R37), and so must a query that names a parameter twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from flask import Request
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from gateway.web.api.errors import ApiError, wrong_fields

Model = TypeVar("Model", bound=BaseModel)

MAX_BODY_BYTES: Final = 65_536
_MOST_ERRORS: Final = 20
_LONGEST_NAME: Final = 60
_NO_CHARACTERS: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")
# pydantic's words where ours are plainer.
_WORDS: Final = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "model_type": "give a JSON object",
}


def read_body(request: Request, model: type[Model], limit: int = MAX_BODY_BYTES) -> Model:
    """Return the request's JSON body as `model`. Raises ApiError: 413, 415, 400 not JSON, 422 not what is wanted."""
    if request.mimetype != "application/json" or request.content_encoding not in (None, "", "identity"):
        raise ApiError(415, "send JSON as it is, with Content-Type: application/json")
    if request.mimetype_params.get("charset", "utf-8").lower().replace("utf8", "utf-8") != "utf-8":
        raise ApiError(415, "send JSON in UTF-8")
    return _validated(model, _parsed(_bytes(request, limit)), "body")


def read_query(request: Request, model: type[Model]) -> Model:
    """Return the request's query as `model`. Raises ApiError: 422."""
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise wrong_fields([(_shown(name), "is given more than once") for name in twice[:_MOST_ERRORS]])
    return _validated(model, {name: _clean(value) for name, value in request.args.items()}, "query")


def read_path(values: Mapping[str, Any], model: type[Model]) -> Model:
    """Return the values of the path as `model`. Raises ApiError: 404: what cannot be an id is the id of nothing."""
    try:
        return model.model_validate(dict(values))
    except PydanticError as error:
        raise ApiError(404, f"there is no such thing: {_errors(error)[0][1]}") from None


def read_header(request: Request, model: type[Model]) -> Model:
    """Return the headers that `model` names by their aliases. Raises ApiError: 422."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    given = {name: request.headers.getlist(name) for name in names}
    twice = [name for name, values in given.items() if len(values) > 1]
    if twice:
        raise wrong_fields([(name, "is given more than once") for name in twice])
    return _validated(model, {name: values[0] for name, values in given.items() if values}, "header")


def _bytes(request: Request, limit: int) -> bytes:
    """Return the raw body, whatever its framing; never more than one byte over the limit is read (R30)."""
    too_large = ApiError(413, f"the body is larger than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    body: bytes = request.stream.read(limit + 1)
    if len(body) > limit:
        raise too_large
    return body


def _parsed(body: bytes) -> Any:
    try:
        parsed = json.loads(body.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON: {str(error)[:120]}") from None
    return _clean(parsed) if b"\\u" in body else parsed


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a field twice")
    return found


def _clean(value: Any) -> Any:
    """Return the value with U+FFFD for NUL and halves of surrogate pairs, as the store keeps them (R36)."""
    if isinstance(value, str):
        return value.translate(_NO_CHARACTERS)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _validated(model: type[Model], value: Any, place: str) -> Model:
    try:
        return model.model_validate(value)
    except PydanticError as error:
        raise wrong_fields([(field or place, message) for field, message in _errors(error)]) from None


def _errors(error: PydanticError) -> list[tuple[str, str]]:
    """Return (field, message) of each mistake; what was sent is not repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        (
            ".".join(_shown(str(part)) for part in each["loc"]),
            _WORDS.get(each["type"], each["msg"].removeprefix("Value error, ")),
        )
        for each in found[:_MOST_ERRORS]
    ]


def _shown(name: str) -> str:
    return name[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode("ascii")
