"""How a route of the public API is made: its scope, the models it reads, its answers, its place in the document.

A view is a function of the caller's key and of what its annotations ask for (`path`, `query`, `header`, `body`); it
returns a document, nothing, or a response. Everything else is done here, in one order: request id, key, rate, scope,
then the request's parts, then the view, then the one form of errors.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, get_type_hints

from flask import Response, request
from flask.blueprints import BlueprintSetupState
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel
from werkzeug.routing import PathConverter

from gateway.gateway import Gateway
from gateway.models import Scope
from gateway.showing import time_text
from gateway.web.api import schemas
from gateway.web.api.auth import Doorkeeper
from gateway.web.api.errors import (
    CODES,
    MEANINGS,
    REQUEST_ID_HEADER,
    ApiError,
    always_headers,
    answer_to,
    error_response,
    json_response,
    request_id,
)
from gateway.web.api.links import Links
from gateway.web.api.reading import MAX_BODY_BYTES, read_body, read_header, read_path, read_query

SECURITY: Final = "api_key"
_ALWAYS: Final = (401, 403, 429, 500, 503)
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_READERS: Final[Mapping[str, Callable[..., Any]]] = {"query": read_query, "header": read_header}

View = Callable[..., Any]
_ANYTHING: Final = "gateway_anything"  # the name of the converter below, in an application of somebody else's


class _Anything(PathConverter):
    """The rest of a path, whatever it is: the library's own one stops at a line break and folds slashes."""

    part_isolating = False
    regex = r"(?s:.+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route with its guard; `scope` None: the route needs no key, and says why where it is made."""

    method: str
    rule: str
    scope: Scope | None
    endpoint: str


class Api:
    """The blueprint under construction, with what its views share."""

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self.gateway = gateway
        self.prefix = prefix
        self.links = Links(gateway, prefix)
        self.operations: list[Operation] = []
        self.blueprint = APIBlueprint("gateway_api", __name__, url_prefix=prefix)
        self._door = Doorkeeper(gateway)
        self.blueprint.record(_know_anything)
        self.blueprint.after_request(_finish)
        self.blueprint.register_error_handler(Exception, self._failed)

    def meta(self) -> dict[str, str]:
        """Return which request is answered, and when."""
        return {"request_id": request_id(), "ts": time_text(self.gateway.services.clock()) or ""}

    def add(
        self,
        method: str,
        rule: str,
        view: View,
        *,
        scope: Scope | None,
        answer: type[BaseModel] | Mapping[str, Any] | None,
        tag: str,
        status: int = 200,
        others: Mapping[int, type[BaseModel] | Mapping[str, Any]] | None = None,
        errors: Sequence[int] = (),
        largest_body: int = MAX_BODY_BYTES,
    ) -> None:
        """Add a route.

        Args:
            answer: the model of the good answer, or its description; None: it has no body.
            others: further good answers, by status.
            errors: statuses of further errors; those that every route has, and those of what it reads, are known.
            largest_body: bytes.
        """
        hints = get_type_hints(view)
        known = {*errors, *_ALWAYS, *_statuses_of(hints)} if scope is not None else {*errors, 500, 503}
        responses: dict[str, Any] = {str(status): answer}
        responses.update({str(each): description for each, description in (others or {}).items()})
        responses.update({str(each): _error(each) for each in sorted(known)})
        decorate = getattr(self.blueprint, method.lower())(
            rule,
            tags=[Tag(name=tag)],
            operation_id=view.__name__,
            responses=responses,
            security=[{SECURITY: [scope.value]}] if scope is not None else [],
            description=_described(view, scope),
            provide_automatic_options=False,
        )
        decorate(self._guarded(view, hints, scope, status, largest_body))
        self.operations.append(Operation(method=method, rule=rule, scope=scope, endpoint=view.__name__))

    def rest(self, name: str) -> str:
        """Return how a rule says that the rest of the path is `name`, slashes and all."""
        return f"<{_ANYTHING}:{name}>"

    def close(self) -> None:
        """Add what answers every other path under the prefix, and other methods of the known paths."""
        patterns = [
            (re.compile(re.sub(r"<(\w+:)?\w+>", _pattern, each.rule), re.DOTALL), each.method)
            for each in self.operations
        ]

        def unknown(rest: str) -> Response:
            allowed = sorted({method for pattern, method in patterns if pattern.fullmatch(f"/{rest}")})
            if allowed:
                raise ApiError(
                    405, f"this path knows {', '.join(allowed)}", headers={"Allow": ", ".join(allowed)}
                )
            raise ApiError(404, "there is no such path")

        options: dict[str, Any] = {"methods": list(_METHODS), "provide_automatic_options": False}
        self.blueprint.add_url_rule(f"/<{_ANYTHING}:rest>", "unknown", unknown, **options)

    def _guarded(
        self, view: View, hints: Mapping[str, Any], scope: Scope | None, status: int, largest_body: int
    ) -> View:
        """Return the view as Flask calls it."""
        takes_key = "key" in inspect.signature(view).parameters

        @wraps(view)
        def guarded(**path: Any) -> Response:
            given: dict[str, Any] = {}
            if scope is not None:
                key = self._door.let_in(request, scope)
                given = {"key": key} if takes_key else {}
            if "path" in hints:
                given["path"] = read_path(path, hints["path"])
            for name, read in _READERS.items():
                if name in hints:
                    given[name] = read(request, hints[name])
            if "body" in hints:
                given["body"] = read_body(request, hints["body"], largest_body)
            return _response(view(**given), status)

        guarded.__delay_validate_request__ = True  # type: ignore[attr-defined] # the library leaves reading to us
        return guarded

    def _failed(self, error: Exception) -> Response:
        return error_response(answer_to(error), self.meta())


def _error(status: int) -> dict[str, Any]:
    """Describe an error's answer; by a reference, for a schema made anew for each of them takes a second."""
    schema = {"$ref": f"#/components/schemas/{schemas.Error.__name__}"}
    return {"description": MEANINGS[status], "content": {"application/json": {"schema": schema}}}


def _know_anything(state: BlueprintSetupState) -> None:
    state.app.url_map.converters.setdefault(_ANYTHING, _Anything)


def _finish(response: Response) -> Response:
    if response.headers.get(REQUEST_ID_HEADER) is None:  # a JSON answer is born with them
        for name, value in always_headers():
            response.headers.setdefault(name, value)
    return response


def _response(result: Any, status: int) -> Response:
    if isinstance(result, Response):
        return result
    if result is None:
        return Response(status=status)
    return json_response(result, status)


def _statuses_of(hints: Mapping[str, Any]) -> set[int]:
    """Return which errors the parts that a view reads can lead to."""
    found: set[int] = {422} if {"query", "header", "body"} & hints.keys() else set()
    found |= {404} if "path" in hints else set()
    return found | ({400, 413, 415, 422} if "body" in hints else set())


def _described(view: View, scope: Scope | None) -> str:
    text = inspect.cleandoc(view.__doc__ or "").partition("\n")[2].strip()
    needs = f"Needs the scope `{scope.value}`." if scope is not None else "Needs no key."
    return f"{text}\n\n{needs}".strip()


def _pattern(found: re.Match[str]) -> str:
    return r".+" if found[1] == f"{_ANYTHING}:" else r"[^/]+"


__all__ = ["CODES", "SECURITY", "Api", "Operation"]
