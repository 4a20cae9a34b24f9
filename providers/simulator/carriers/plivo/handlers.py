"""Plivo's calls by its REST API: `/v1/Account/{auth_id}/...`, every path with its trailing slash, JSON, Basic auth.

Source: Plivo's API reference (plivo.com/docs, read 2026). The parameters are checked in `rest.py`, the answers
written in `resources.py`; here is what a request does. Beside it stand `numbers.py`, `people.py` and `trunks.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route
from providers.simulator.carriers.common import country_of
from providers.simulator.carriers.plivo import endings, resources, rest
from providers.simulator.carriers.plivo.accounts import PlivoAccount
from providers.simulator.carriers.plivo.calls import PlivoCall, Recording, StreamRecord, Target
from providers.simulator.carriers.plivo.rest import RestError
from providers.simulator.carriers.plivo.verbs import BASE, NO_CONTENT, Json, Line, Verbs

CALL_NOT_FOUND: Final = "call not found"
NOT_PLACED: Final = "call could not be placed: concurrency limit breached or destination not permitted"
API_RECORD_LIMIT_S: Final = 60
DEFAULT_STREAM_TIMEOUT_S: Final = 86_400


class Handlers(Verbs):
    """Calls, their streams and recordings."""

    def lines(self) -> Iterable[Line]:
        """Give the requests."""
        return (
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
            ("GET", "Recording/", "recording", self._list_recordings),
            ("GET", "Recording/{recording_id}/", "recording", self._get_recording),
            ("DELETE", "Recording/{recording_id}/", "recording", self._delete_recording),
        )

    def routes(self) -> list[Route]:
        """Give the requests, and the recordings' files, which may be public."""
        return [*super().routes(), Route("GET", BASE + "Recording/{file}", "recording", self._media)]

    # --- calls

    def _place(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        order = rest.read_call_order(self._body(request), owner.may_call_from)
        self._permit(owner, order)
        placed = [self._face.place(owner, order, to) for to in order.destinations]
        ids = [call.request_uuid for call, _ in placed]
        if len(order.destinations) > 1 or "<" in str(self._body(request)["to"]):
            return self._done("calls fired", 201, call=placed[0][0], request_uuid=ids)
        call, is_queued = placed[0]
        return self._done("call queued" if is_queued else "call fired", 201, call=call, request_uuid=ids[0])

    def _permit(self, owner: PlivoAccount, order: rest.CallOrder) -> None:
        """Refuse what the account may not call at all; the texts but that of compliance are ours."""
        main = owner.root
        if main.status != "active":
            raise RestError(403, "account is suspended")
        held = owner.number(rest.digits(order.from_))
        if held is not None and held.compliance_status not in (None, "accepted"):
            raise RestError(
                400,
                f"from number {held.number} cannot place calls as its compliance application is not in "
                "'accepted' status",
            )
        for to in order.destinations:
            if main.is_trial and f"+{rest.digits(to)}" not in main.account.verified_caller_ids:
                raise RestError(403, "a trial account can call verified numbers only")
            if country_of(to) in main.forbidden:
                raise RestError(403, NOT_PLACED)

    def _owned(self, owner: PlivoAccount) -> list[PlivoCall]:
        """The account's calls, newest first as the lists show them."""
        return [call for call in reversed(self._face.calls.values()) if self._face.is_of(call.auth_id, owner)]

    def _call(self, owner: PlivoAccount, call_uuid: str) -> PlivoCall:
        call = self._face.calls.get(call_uuid)
        if call is None or not self._face.is_of(call.auth_id, owner):
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
        return self._page(request, kept, lambda call: self._cdr(owner, call))

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
        call_uuid = request.parts["call_uuid"]
        return self._page(
            request, self._streams(owner, request), lambda each: resources.stream(each, call_uuid)
        )

    def _get_stream(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        (record,) = self._streams(owner, request)
        return self._shown(resources.stream(record, request.parts["call_uuid"]))

    def _stop_streams(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        self._live(owner, request)
        for record in self._streams(owner, request):
            if record.media is not None:
                record.media.close()
        return NO_CONTENT

    # --- recordings

    def _kept(self, owner: PlivoAccount) -> list[Recording]:
        """Recordings whose file exists."""
        return [
            recording
            for recording in reversed(self._face.recordings.values())
            if recording.audio and self._face.is_of(self._face.calls[recording.call_uuid].auth_id, owner)
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
            recording
            for recording in self._kept(owner)
            if recording.ended_at is not None
            and low <= recording.ended_at <= high
            and given.get("call_uuid", recording.call_uuid) == recording.call_uuid
            and _starts(recording.from_number, given, "from_number")
            and _starts(recording.to_number, given, "to_number")
            and rest.in_range(given, "recording_storage_duration", 0)
        ]
        return self._page(request, rows, lambda recording: self._recording_json(owner, recording))

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


def _target(given: Mapping[str, Any], name: str) -> Target | None:
    url = given.get(f"{name}_url")
    return None if url is None else Target(url=url, method=given.get(f"{name}_method", "POST"))


def _has_numbers(call: PlivoCall, given: Mapping[str, Any]) -> bool:
    return (
        given.get("call_direction", str(call.leg.direction)) == str(call.leg.direction)
        and given.get("subaccount", call.auth_id) == call.auth_id
        and _starts(call.from_, given, "from_number")
        and _starts(call.to, given, "to_number")
    )


def _starts(number: str, given: Mapping[str, Any], name: str) -> bool:
    """A number filter: the number or a prefix of it, with or without `+`."""
    return number.startswith(rest.digits(given.get(name, "")))
