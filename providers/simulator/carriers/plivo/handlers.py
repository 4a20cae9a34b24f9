"""Plivo's REST API: `/v1/Account/{auth_id}/...`, every path with its trailing slash, JSON bodies, Basic auth.

Source: Plivo's API reference (plivo.com/docs, read 2026). The parameters are checked in `rest.py`, the answers
written in `resources.py`; here is what a request does.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.plivo import endings, resources, rest
from providers.simulator.carriers.plivo.calls import PlivoCall, Recording, StreamRecord, Target
from providers.simulator.carriers.plivo.resources import Application, HeldNumber
from providers.simulator.carriers.plivo.rest import RestError

if TYPE_CHECKING:
    from providers.simulator.carriers.plivo.face import Face, PlivoAccount

Json = dict[str, Any]
Verb = Callable[["PlivoAccount", ApiRequest], ApiAnswer]

BASE: Final = "/v1/Account/{auth_id}/"
CALL_NOT_FOUND: Final = "call not found"
TEXTS: Final = {
    400: "bad request",
    401: "authentication failed",
    403: "call could not be placed: concurrency limit breached or destination not permitted",
    404: "not found",
    405: "method not allowed",
    409: "conflict",
    429: "rate limit exceeded",
}  # Plivo documents no texts for these statuses
API_RECORD_LIMIT_S: Final = 60
DEFAULT_STREAM_TIMEOUT_S: Final = 86_400
NO_CONTENT: Final = ApiAnswer(status=204, content_type=None)


class Handlers:
    """The API of one face."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self.routes = [
            self._route(method, path, operation, verb)
            for method, path, operation, verb in (
                ("GET", "", "account", self._account),
                ("POST", "Call/", "dial", self._place),
                ("GET", "Call/", "list", self._list_calls),
                ("DELETE", "Call/", "hang_up", self._hang_up_all),
                ("GET", "Call/{call_uuid}/", "fetch", self._get_call),
                ("POST", "Call/{call_uuid}/", "update", self._transfer),
                ("DELETE", "Call/{call_uuid}/", "hang_up", self._hang_up),
                ("DELETE", "Request/{request_uuid}/", "hang_up", self._cancel),
                ("POST", "Call/{call_uuid}/Record/", "command", self._record),
                ("DELETE", "Call/{call_uuid}/Record/", "command", self._stop_recording),
                ("POST", "Call/{call_uuid}/Play/", "command", self._play),
                ("DELETE", "Call/{call_uuid}/Play/", "command", self._stop_sound),
                ("POST", "Call/{call_uuid}/Speak/", "command", self._speak),
                ("DELETE", "Call/{call_uuid}/Speak/", "command", self._stop_sound),
                ("POST", "Call/{call_uuid}/DTMF/", "command", self._dtmf),
                ("POST", "Call/{call_uuid}/Stream/", "command", self._start_stream),
                ("GET", "Call/{call_uuid}/Stream/", "fetch", self._list_streams),
                ("DELETE", "Call/{call_uuid}/Stream/", "command", self._stop_streams),
                ("GET", "Call/{call_uuid}/Stream/{stream_id}/", "fetch", self._get_stream),
                ("DELETE", "Call/{call_uuid}/Stream/{stream_id}/", "command", self._stop_streams),
                ("GET", "Number/", "numbers", self._list_numbers),
                ("GET", "Number/{number}/", "numbers", self._get_number),
                ("POST", "Number/{number}/", "number_write", self._update_number),
                ("DELETE", "Number/{number}/", "release", self._unrent),
                ("GET", "Application/", "numbers", self._list_applications),
                ("POST", "Application/", "application_write", self._create_application),
                ("GET", "Application/{app_id}/", "numbers", self._get_application),
                ("POST", "Application/{app_id}/", "application_write", self._update_application),
                ("DELETE", "Application/{app_id}/", "application_write", self._delete_application),
                ("GET", "Recording/", "recording", self._list_recordings),
                ("GET", "Recording/{recording_id}/", "recording", self._get_recording),
                ("DELETE", "Recording/{recording_id}/", "recording", self._delete_recording),
            )
        ]
        media = Route("GET", BASE + "Recording/{file}", "recording", self._media)
        self.routes.append(media)

    # --- around every request

    def _route(self, method: str, path: str, operation: str, verb: Verb) -> Route:
        return Route(method, BASE + path, operation, self._guarded(verb))

    def _guarded(self, verb: Verb) -> Callable[[ApiRequest], Awaitable[ApiAnswer]]:
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

    def unmatched(self, request: ApiRequest, allowed: object) -> ApiAnswer:
        """No such path, or not with this method."""
        return self.error(405 if allowed else 404)

    def _authenticated(self, request: ApiRequest) -> PlivoAccount | None:
        """The account of the path, if the credentials are its own."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        owner = self._face.accounts.get(request.parts["auth_id"])
        if scheme.lower() != "basic" or owner is None or user != owner.auth_id:
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

    def _query(self, request: ApiRequest, table: rest.Table) -> Json:
        return rest.read_params(_without_path(request, dict(request.query_pairs())), table)

    def _done(
        self, message: str, status: int = 202, *, call: PlivoCall | None = None, **fields: Any
    ) -> ApiAnswer:
        document = {"api_id": self._face.new_uuid(), "message": message, **fields}
        return json_answer(document, status, call_id=call.uuid if call else None)

    def _shown(self, document: Json) -> ApiAnswer:
        return json_answer({"api_id": self._face.new_uuid(), **document})

    def _page(self, request: ApiRequest, rows: list[Json]) -> ApiAnswer:
        return self._shown(resources.page(rows, dict(request.query_pairs()), request.path))

    @staticmethod
    def _base(owner: PlivoAccount) -> str:
        return f"/v1/Account/{owner.auth_id}/"

    # --- calls

    def _account(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        shown = resources.account(owner.auth_id, owner.account.name, self._base(owner), self._face.habits)
        return self._shown(shown)

    def _place(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        order = rest.read_call_order(self._body(request), owner.may_call_from)
        placed = [self._face.place(owner, order, to) for to in order.destinations]
        ids = [call.request_uuid for call, _ in placed]
        if len(order.destinations) > 1 or "<" in str(self._body(request)["to"]):
            return self._done("calls fired", 201, call=placed[0][0], request_uuid=ids)
        call, is_queued = placed[0]
        return self._done("call queued" if is_queued else "call fired", 201, call=call, request_uuid=ids[0])

    def _owned(self, owner: PlivoAccount) -> list[PlivoCall]:
        """The account's calls, newest first as the lists show them."""
        return [call for call in reversed(self._face.calls.values()) if call.auth_id == owner.auth_id]

    def _call(self, owner: PlivoAccount, call_uuid: str) -> PlivoCall:
        call = self._face.calls.get(call_uuid)
        if call is None or call.auth_id != owner.auth_id:
            raise RestError(404, CALL_NOT_FOUND)
        return call

    def _live(self, owner: PlivoAccount, request: ApiRequest) -> PlivoCall:
        call = self._call(owner, request.parts["call_uuid"])
        if not call.is_live:
            raise RestError(404, CALL_NOT_FOUND)
        return call

    def _by_request(self, owner: PlivoAccount, request_uuid: str) -> PlivoCall | None:
        return next((call for call in self._owned(owner) if call.request_uuid == request_uuid), None)

    def _get_call(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        """A finished call; with `status` a live or queued one, also by its request uuid (unconfirmed)."""
        status = self._query(request, rest.CALL_GET).get("status")
        wanted = request.parts["call_uuid"]
        if status is None:
            call = self._call(owner, wanted)
            if not self._is_readable(call):
                raise RestError(404, CALL_NOT_FOUND)
            return self._shown(self._cdr(owner, call))
        call = self._by_request(owner, wanted) or self._call(owner, wanted)
        if status == "queued" and call.is_queued:
            return self._shown(resources.queued_call(call))
        if status == "live" and call.is_live:
            return self._shown(resources.live_call(call))
        raise RestError(404, CALL_NOT_FOUND)

    def _is_readable(self, call: PlivoCall) -> bool:
        if call.leg.is_live:
            return False
        return self._face.clock.elapsed_s(call.ended_mark) >= self._face.habits.cdr_delay_s

    def _cdr(self, owner: PlivoAccount, call: PlivoCall) -> Json:
        return resources.cdr(call, self._face.ending_of(call), self._base(owner), self._face.habits)

    def _list_calls(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        if "status" in dict(request.query_pairs()):
            return self._list_ids(owner, request)
        given = self._query(request, rest.CALL_LIST)
        low, high = rest.time_range(given, "end_time", self._face.clock.now() + timedelta(seconds=1))
        kept = [
            call
            for call in self._owned(owner)
            if self._is_readable(call)
            and call.leg.ended_at is not None
            and low <= call.leg.ended_at <= high
            and _has_numbers(call, given)
            and rest.in_range(given, "bill_duration", call.bill_s)
            and self._has_end(call, given)
        ]
        return self._page(request, [self._cdr(owner, call) for call in kept])

    def _has_end(self, call: PlivoCall, given: Mapping[str, Any]) -> bool:
        ending = self._face.ending_of(call)
        facts = {
            "parent_call_uuid": call.parent_call_uuid,
            "hangup_cause_code": ending.code,
            "hangup_source": str(ending.source),
            "stir_verification": "Not Applicable",
        }
        return all(given[name] == fact for name, fact in facts.items() if name in given)

    def _list_ids(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, rest.CALL_IDS)
        wants_queued = given["status"] == "queued"
        found = [
            call.uuid
            for call in self._owned(owner)
            if (call.is_queued if wants_queued else call.is_live) and _has_numbers(call, given)
        ]
        offset = given.get("offset", 0)
        return self._shown({"calls": found[offset : offset + given.get("limit", rest.PAGE)]})

    def _hang_up(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._call(owner, request.parts["call_uuid"])
        if not call.leg.is_live:
            raise RestError(404, CALL_NOT_FOUND)
        self._face.hang_up(call)
        return replace(NO_CONTENT, call_id=call.uuid)

    def _cancel(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        """Cancel by the request uuid, as long as nobody answered (204 is unconfirmed)."""
        call = self._by_request(owner, request.parts["request_uuid"])
        if call is None or not call.leg.is_live or call.leg.is_answered:
            raise RestError(404, CALL_NOT_FOUND)
        self._face.hang_up(call)
        return replace(NO_CONTENT, call_id=call.uuid)

    def _hang_up_all(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        """Plivo's trap: `DELETE /Call/` ends every call of the account, with code 0."""
        for call in self._owned(owner):
            self._face.finish(call, endings.HUNG_UP_WITH_ALL)
        return NO_CONTENT

    # --- a live call

    def _transfer(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.TRANSFER)
        legs = given.get("legs", "aleg")
        targets: list[tuple[PlivoCall, Target]] = []
        for leg, name in ((call, "aleg"), (self._b_leg(call), "bleg")):
            if legs not in (name, "both"):
                continue
            if leg is None:
                raise RestError(400, f"call has no {name}")
            if f"{name}_url" not in given:
                raise RestError(400, f"{name}_url parameter is missing")
            targets.append(
                (leg, Target(url=given[f"{name}_url"], method=given.get(f"{name}_method", "POST")))
            )
        self._face.transfer(call, targets)
        return self._done("call transferred", call=call)

    def _b_leg(self, call: PlivoCall) -> PlivoCall | None:
        peer = call.leg.bridged_to
        return None if peer is None else self._face.calls[peer.id]

    def _record(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.RECORD)
        recording = self._face.record(
            call,
            file_format=given.get("file_format", "mp3"),
            limit_s=given.get("time_limit", API_RECORD_LIMIT_S),
            callback=_target(given, "callback"),
        )
        recording.by_api, recording.api_id = True, self._face.new_uuid()
        url = self._face.recording_url(recording)
        return self._done("call recording started", call=call, url=url, recording_id=recording.recording_id)

    def _stop_recording(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        """All of them; the old documentation's `URL` stops one only."""
        call = self._live(owner, request)
        only = self._body(request).get("URL")
        for recording in call.recordings:
            if only in (None, self._face.recording_url(recording)):
                self._face.stop_recording(call, recording)
        return replace(NO_CONTENT, call_id=call.uuid)

    def _play(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.PLAY, required=("urls",))
        for address in given["urls"].split(","):
            self._hear(call, given, "play", rest.read_params({"urls": address}, {"urls": rest.url})["urls"])
        return self._done("play started", call=call)

    def _speak(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.SPEAK, required=("text",))
        self._hear(call, given, "say", given["text"])
        return self._done("speak started", call=call)

    def _stop_sound(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return replace(NO_CONTENT, call_id=self._live(owner, request).uuid)

    def _dtmf(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.DTMF, required=("digits",))
        self._hear(call, {"legs": given.get("leg", "aleg")}, "keys", given["digits"])
        return self._done("digits sent", call=call)

    def _hear(self, call: PlivoCall, given: Mapping[str, Any], *item: Any) -> None:
        legs = given.get("legs", "aleg")
        b_leg = self._b_leg(call)
        if legs in ("aleg", "both"):
            self._face.exchange.heard(call.leg, *item)
        if legs in ("bleg", "both") and b_leg is not None:
            self._face.exchange.heard(b_leg.leg, *item)

    # --- streams

    def _start_stream(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        call = self._live(owner, request)
        given = rest.read_params(self._body(request), rest.STREAM, required=("service_url",))
        if given.get("bidirectional") and given.get("audio_track", "inbound") != "inbound":
            raise RestError(400, "audio_track parameter is invalid: bidirectional streams take inbound only")
        if call.has_stream:
            raise RestError(400, "a stream is already running on this call")
        record = StreamRecord(
            stream_id=self._face.new_uuid(),
            service_url=given["service_url"],
            audio_track=given.get("audio_track", "inbound"),
            bidirectional=given.get("bidirectional", False),
            content_type=given.get("content_type", "audio/x-l16;rate=8000"),
            callback=_target(given, "status_callback"),
        )
        self._face.open_stream(
            call,
            record,
            extra_headers=given.get("extra_headers", ""),
            timeout_s=given.get("stream_timeout", DEFAULT_STREAM_TIMEOUT_S),
        )
        return self._done("audio streaming started", 201, call=call, stream_id=record.stream_id)

    def _streams(self, owner: PlivoAccount, request: ApiRequest) -> list[StreamRecord]:
        call = self._call(owner, request.parts["call_uuid"])
        wanted = request.parts.get("stream_id")
        found = [stream for stream in call.streams if wanted in (None, stream.stream_id)]
        if wanted is not None and not found:
            raise RestError(404, "stream not found")
        return found

    def _list_streams(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        rows = [resources.stream(each, request.parts["call_uuid"]) for each in self._streams(owner, request)]
        return self._page(request, rows)

    def _get_stream(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        (record,) = self._streams(owner, request)
        return self._shown(resources.stream(record, request.parts["call_uuid"]))

    def _stop_streams(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        self._live(owner, request)
        for record in self._streams(owner, request):
            if record.media is not None:
                record.media.close()
        return NO_CONTENT

    # --- numbers and applications

    def _held(self, owner: PlivoAccount, request: ApiRequest) -> HeldNumber:
        held = owner.numbers.get(request.parts["number"])
        if held is None:
            raise RestError(404, "not found")
        return held

    def _list_numbers(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, rest.NUMBER_LIST)
        services = set(given.get("services", "voice").split(","))
        rows = [
            resources.number(held, self._base(owner))
            for held in owner.numbers.values()
            if held.number.startswith(given.get("number_startswith", ""))
            and given.get("alias", held.alias) == held.alias
            and given.get("subaccount", held.sub_account) == held.sub_account
            and given.get("type", "local") == "local"
            and services == {"voice"}
        ]
        return self._page(request, rows)

    def _get_number(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(resources.number(self._held(owner, request), self._base(owner)))

    def _update_number(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        held = self._held(owner, request)
        given = rest.read_params(self._body(request), rest.NUMBER_UPDATE)
        app_id = given.get("app_id", held.app_id)
        if app_id and app_id not in owner.applications:
            raise RestError(400, "app_id parameter is invalid")
        held.app_id = app_id
        held.sub_account = given.get("subaccount", held.sub_account)
        for name in resources.UPDATABLE:
            setattr(held, name, given.get(name, getattr(held, name)))
        return self._done("changed")

    def _unrent(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        del owner.numbers[self._held(owner, request).number]
        return NO_CONTENT

    def _app(self, owner: PlivoAccount, request: ApiRequest) -> Application:
        app = owner.applications.get(request.parts["app_id"])
        if app is None:
            raise RestError(404, "not found")
        return app

    def _list_applications(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, rest.APPLICATION_LIST)
        rows = [
            resources.application(app, self._base(owner))
            for app in owner.applications.values()
            if app.app_name.startswith(given.get("app_name", ""))
            and given.get("subaccount", app.subaccount) == app.subaccount
        ]
        return self._page(request, rows)

    def _get_application(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(resources.application(self._app(owner, request), self._base(owner)))

    def _create_application(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = rest.read_params(
            self._body(request), rest.APPLICATION_CREATE, required=("app_name", "answer_url")
        )
        app = self._face.add_application(owner, Application(app_id="", **given))
        return self._done("created", 201, app_id=app.app_id)

    def _update_application(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        app = self._app(owner, request)
        for name, value in rest.read_params(self._body(request), rest.APPLICATION_UPDATE).items():
            setattr(app, name, value)
        return self._done("changed")

    def _delete_application(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        app = self._app(owner, request)
        rest.read_params(self._body(request), rest.APPLICATION_DELETE)
        del owner.applications[app.app_id]
        for held in owner.numbers.values():
            held.app_id = "" if held.app_id == app.app_id else held.app_id
        return NO_CONTENT

    # --- recordings

    def _kept(self, owner: PlivoAccount) -> list[Recording]:
        """Recordings whose file exists."""
        return [
            recording
            for recording in reversed(self._face.recordings.values())
            if recording.audio and self._face.calls[recording.call_uuid].auth_id == owner.auth_id
        ]

    def _recording(self, owner: PlivoAccount, recording_id: str) -> Recording:
        for recording in self._kept(owner):
            if recording.recording_id == recording_id:
                return recording
        raise RestError(404, "not found")

    def _recording_json(self, owner: PlivoAccount, recording: Recording) -> Json:
        return resources.recording(recording, self._face.recording_url(recording), self._base(owner))

    def _list_recordings(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, rest.RECORDING_LIST)
        low, high = rest.time_range(given, "add_time", self._face.clock.now() + timedelta(seconds=1))
        rows = [
            self._recording_json(owner, recording)
            for recording in self._kept(owner)
            if recording.ended_at is not None
            and low <= recording.ended_at <= high
            and given.get("call_uuid", recording.call_uuid) == recording.call_uuid
            and _starts(recording.from_number, given, "from_number")
            and _starts(recording.to_number, given, "to_number")
            and rest.in_range(given, "recording_storage_duration", 0)
        ]
        return self._page(request, rows)

    def _get_recording(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        recording = self._recording(owner, request.parts["recording_id"])
        return self._shown(self._recording_json(owner, recording))

    def _delete_recording(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        recording = self._recording(owner, request.parts["recording_id"])
        del self._face.recordings[recording.recording_id]
        return NO_CONTENT

    async def _media(self, request: ApiRequest) -> ApiAnswer:
        """The file itself: public, unless the account's console says "HTTP Auth on recordings"."""
        owner = self._face.accounts.get(request.parts["auth_id"])
        if owner is None:
            return self.error(404)
        if self._face.habits.recordings_need_auth and self._authenticated(request) is None:
            return self.error(401)
        recording_id, _, file_format = request.parts["file"].rpartition(".")
        for recording in self._kept(owner):
            if (recording.recording_id, recording.file_format) == (recording_id, file_format):
                kind = "audio/wav" if file_format == "wav" else "audio/mpeg"
                return ApiAnswer(status=200, body=recording.audio, content_type=kind)
        return self.error(404)


def _without_path(request: ApiRequest, given: Json) -> Json:
    """The vendor's SDK repeats the path's ids as parameters; those are let through."""
    return {name: value for name, value in given.items() if request.parts.get(name) != value}


def _target(given: Mapping[str, Any], name: str) -> Target | None:
    url = given.get(f"{name}_url")
    return None if url is None else Target(url=url, method=given.get(f"{name}_method", "POST"))


def _has_numbers(call: PlivoCall, given: Mapping[str, Any]) -> bool:
    return (
        given.get("call_direction", str(call.leg.direction)) == str(call.leg.direction)
        and "subaccount" not in given
        and _starts(call.from_, given, "from_number")
        and _starts(call.to, given, "to_number")
    )


def _starts(number: str, given: Mapping[str, Any], name: str) -> bool:
    """A number filter: the number or a prefix of it, with or without `+`."""
    return number.startswith(rest.digits(given.get(name, "")))
