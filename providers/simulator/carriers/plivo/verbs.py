"""What every part of Plivo's REST API does alike: credentials, bodies, queries, answers, pages.

`callback_url` on a REST call (the asynchronous mode, where the real answer is posted later) is not played.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.plivo import resources, rest
from providers.simulator.carriers.plivo.accounts import PlivoAccount
from providers.simulator.carriers.plivo.calls import PlivoCall
from providers.simulator.carriers.plivo.rest import RestError

if TYPE_CHECKING:
    from providers.simulator.carriers.plivo.face import Face

Json = dict[str, Any]
Item = TypeVar("Item")
Verb = Callable[[PlivoAccount, ApiRequest], ApiAnswer]
Line = tuple[str, str, str, Verb]
"""A line of a route table: method, path below the account, what faults call it, verb."""

BASE: Final = "/v1/Account/{auth_id}/"
TEXTS: Final = {
    400: "bad request",
    401: "authentication failed",
    403: "you are not permitted to do this",
    404: "not found",
    405: "method not allowed",
    409: "conflict",
    429: "rate limit exceeded",
}  # Plivo documents no texts for these statuses
NO_CONTENT: Final = ApiAnswer(status=204, content_type=None)


class Verbs(ABC):
    """A part of the API of one face."""

    def __init__(self, face: Face) -> None:
        self._face = face

    @abstractmethod
    def lines(self) -> Iterable[Line]:
        """The requests it takes."""

    def routes(self) -> list[Route]:
        """The requests it takes, with the account's credentials checked."""
        return [
            Route(method, BASE + path, operation, self._guarded(verb))
            for method, path, operation, verb in self.lines()
        ]

    def _guarded(self, verb: Verb) -> Callable[[ApiRequest], Any]:
        async def handle(request: ApiRequest) -> ApiAnswer:
            owner = self._authenticated(request)
            if owner is None:
                return self.error(401)
            try:
                return verb(owner, request)
            except RestError as refused:
                return self.error(refused.status, refused.text)

        return handle

    def error(self, status: int, text: str | None = None) -> ApiAnswer:
        """Plivo's error of a status; the text is ours where none is documented."""
        shown = text or TEXTS.get(status, "internal server error")
        return json_answer(rest.error_body(self._face.new_uuid(), shown), status)

    def _authenticated(self, request: ApiRequest) -> PlivoAccount | None:
        """The account or subaccount of the path, if the credentials are its own."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        owner = self._face.accounts.get(request.parts["auth_id"])
        if scheme.lower() != "basic" or owner is None or user != owner.auth_id or not owner.is_open:
            return None
        matches = [hmac.compare_digest(token.encode(), known.encode()) for known in owner.tokens]
        return owner if any(matches) else None

    def _body(self, request: ApiRequest) -> Json:
        if not request.body:
            return {}
        if request.content_type != "application/json":
            raise RestError(400, "content type must be application/json")
        try:
            body = request.json()
        except ValueError as error:
            raise RestError(400, "body is not valid JSON") from error
        if not isinstance(body, dict):
            raise RestError(400, "body must be a JSON object")
        return _without_path(request, body)

    def _given(self, request: ApiRequest, table: rest.Table, *required: str) -> Json:
        """The checked parameters of a body."""
        return rest.read_params(self._body(request), table, required)

    def _query(self, request: ApiRequest, table: rest.Table, *required: str) -> Json:
        return rest.read_params(_without_path(request, dict(request.query_pairs())), table, required)

    def _done(
        self, message: str, status: int = 202, *, call: PlivoCall | None = None, **fields: Any
    ) -> ApiAnswer:
        document = {"api_id": self._face.new_uuid(), "message": message, **fields}
        return json_answer(document, status, call_id=call.uuid if call else None)

    def _shown(self, document: Json, status: int = 200) -> ApiAnswer:
        return json_answer({"api_id": self._face.new_uuid(), **document}, status)

    def _page(self, request: ApiRequest, rows: Sequence[Item], show: Callable[[Item], Json]) -> ApiAnswer:
        """One page of a list; `show` makes the JSON of the rows on it."""
        return self._shown(resources.page(rows, show, dict(request.query_pairs()), request.path))

    @staticmethod
    def _base(owner: PlivoAccount) -> str:
        return f"/v1/Account/{owner.auth_id}/"


def _without_path(request: ApiRequest, given: Json) -> Json:
    """The vendor's SDK repeats the path's ids as parameters, a subaccount's as `auth_id`; those are let through."""
    known = {**request.parts, "auth_id": request.parts.get("subauth_id", request.parts["auth_id"])}
    return {name: value for name, value in given.items() if known.get(name) != value}
