"""Twilio's calls and recordings over REST: checks, and what each request does."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.twilio.access import ACCOUNT, PAGING, Access
from providers.simulator.carriers.twilio.checks import (
    CREATE_RULES,
    RECORDING_RULES,
    RECORDING_UPDATE_RULES,
    UPDATE_RULES,
    Fields,
    Refusal,
    check_new_call,
    form_of,
    not_found,
    recording_of,
)
from providers.simulator.carriers.twilio.model import Recording, TwilioAccount, TwilioCall
from providers.simulator.carriers.twilio.resources import (
    call_json,
    call_recording_json,
    event_json,
    mp3,
    notification_json,
    page_json,
    recording_json,
    wav,
)
from providers.simulator.exchange import EndedBy
from providers.simulator.journal import Entry

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.face import Face

CALL_FILTERS: Final = (
    "To",
    "From",
    "ParentCallSid",
    "Status",
    "StartTime",
    "StartTime<",
    "StartTime>",
    "EndTime",
    "EndTime<",
    "EndTime>",
)
RECORDING_FILTERS: Final = (
    "DateCreated",
    "DateCreated<",
    "DateCreated>",
    "CallSid",
    "ConferenceSid",
    "IncludeSoftDeleted",
)


class Rest:
    """The routes of one simulated Twilio."""

    def __init__(self, face: Face, access: Access) -> None:
        self._face = face
        self._access = access

    def routes(self) -> Sequence[Route]:
        """Every resource below the base URL."""
        call, recording = f"{ACCOUNT}/Calls/{{call}}", f"{ACCOUNT}/Recordings/{{recording}}"
        guard = self._access.guard
        return (
            Route("POST", f"{ACCOUNT}/Calls.json", "dial", guard(self._create_call)),
            Route("GET", f"{ACCOUNT}/Calls.json", "list", guard(self._list_calls)),
            Route("GET", f"{call}.json", "fetch", guard(self._fetch_call)),
            Route("POST", f"{call}.json", "update", guard(self._update_call)),
            Route("DELETE", f"{call}.json", "update", guard(self._delete_call)),
            Route("GET", f"{call}/Recordings.json", "recording", guard(self._list_call_recordings)),
            Route("POST", f"{call}/Recordings.json", "recording", guard(self._start_recording)),
            Route(
                "GET", f"{call}/Recordings/{{recording}}.json", "recording", guard(self._fetch_call_recording)
            ),
            Route(
                "POST", f"{call}/Recordings/{{recording}}.json", "recording", guard(self._update_recording)
            ),
            Route("GET", f"{call}/Notifications.json", "fetch", guard(self._list_notifications)),
            Route("GET", f"{call}/Events.json", "fetch", guard(self._list_events)),
            Route("GET", f"{ACCOUNT}/Recordings.json", "recording", guard(self._list_recordings)),
            Route("GET", f"{recording}.json", "recording", guard(self._fetch_recording)),
            Route("DELETE", f"{recording}.json", "recording", guard(self._delete_recording)),
            Route("GET", f"{recording}.wav", "recording", guard(self._media_wav)),
            Route("GET", f"{recording}.mp3", "recording", guard(self._media_mp3)),
            Route("GET", recording, "recording", guard(self._media_wav)),
        )

    # -- calls

    def _create_call(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        fields = Fields(form_of(request), CREATE_RULES, ("To", "From"))
        check_new_call(fields, account, self._face.habits)
        call = self._face.place(account, fields)
        return json_answer(call_json(call), 201, call_id=call.sid)

    def _fetch_call(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return _call_answer(self._call(request, account))

    def _update_call(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        fields = Fields(form_of(request), UPDATE_RULES)
        fields.check()
        if fields.get("Url") and fields.get("Twiml"):
            raise Refusal(20001, "Url and Twiml cannot be used together")
        if fields.get("Status"):
            self._hang_up(call, fields.get("Status") or "")
        if fields.get("StatusCallback"):
            call.callback, call.events = fields.endpoint("StatusCallback"), frozenset({"completed"})
        if fields.get("TimeLimit"):
            self._face.limit(call, float(fields.get("TimeLimit") or 0))
        if fields.get("Url") or fields.get("Twiml"):
            self._redirect(call, fields)
        return _call_answer(call)

    def _hang_up(self, call: TwilioCall, status: str) -> None:
        if not call.leg.is_live:
            if self._face.habits.ended_is_an_error:
                raise Refusal(21220, "Call is not in-progress. Cannot redirect.")
            return
        if status == "canceled" and call.leg.is_answered:
            raise Refusal(21220, "Call is not queued or ringing. Cannot cancel.")
        self._face.core.exchange.end(call.leg, EndedBy.US)

    def _redirect(self, call: TwilioCall, fields: Fields) -> None:
        if call.status != "in-progress":
            raise Refusal(21220, "Call is not in-progress. Cannot redirect.")
        call.fallback = fields.endpoint("FallbackUrl", "FallbackMethod") or call.fallback
        self._face.redirect(call, fields.endpoint("Url", "Method"), fields.get("Twiml"))

    def _delete_call(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        if call.leg.is_live:
            raise Refusal(20009, "Cannot delete call while in progress")
        del self._face.calls[call.sid]
        return ApiAnswer(status=204, content_type=None)

    def _list_calls(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, (*CALL_FILTERS, *PAGING)).given()
        owned = [call for call in self._face.calls.values() if call.account is account]
        found = [call for call in reversed(owned) if _is_wanted(call, given)]
        return json_answer(page_json(request, "calls", found, call_json))

    def _list_notifications(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        given = Fields(
            request.query_pairs(), {}, ("Log", "MessageDate", "MessageDate<", "MessageDate>", *PAGING)
        ).given()
        shown = [note for note in reversed(call.notifications) if given.get("Log") in (None, note.log)]
        page = page_json(request, "notifications", shown, lambda note: notification_json(call, note))
        return json_answer(page)

    def _list_events(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        Fields(request.query_pairs(), {}, PAGING)
        sent: list[Entry] = self._face.core.journal.webhooks("twilio", call=call.leg.root)
        return json_answer(page_json(request, "events", sent, event_json))

    def _call(self, request: ApiRequest, account: TwilioAccount) -> TwilioCall:
        call = self._face.calls.get(request.parts["call"])
        if call is None or call.account is not account:
            raise not_found(request.path)
        return call

    # -- recordings

    def _start_recording(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        fields = Fields(form_of(request), RECORDING_RULES)
        fields.check()
        if call.status != "in-progress":
            raise Refusal(21220, "Requested resource is not eligible for recording")
        recording = self._face.start_recording(call, recording_of(fields, "StartCallRecordingAPI"))
        return json_answer(call_recording_json(recording), 201, call_id=call.sid)

    def _update_recording(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        recording = self._running(call, request) or _of_call(call, self._recording(request, account))
        fields = Fields(form_of(request), RECORDING_UPDATE_RULES)
        fields.check()
        status = fields.get("Status")
        if status is None:
            raise Refusal(20001, "Missing 'Status' parameter")
        if recording.status not in ("in-progress", "paused"):
            raise Refusal(21220, "The recording has ended")
        if status == "stopped":
            self._face.finish_recording(recording)
        else:
            recording.status = status
        return json_answer(call_recording_json(recording), call_id=call.sid)

    def _running(self, call: TwilioCall, request: ApiRequest) -> Recording | None:
        """The recording that `Twilio.CURRENT` stands for: the newest one that runs. None: it was not written."""
        if request.parts["recording"] != "Twilio.CURRENT":
            return None
        for recording in reversed(call.recordings):
            if recording.status in ("in-progress", "paused"):
                return recording
        raise Refusal(20404, f"The requested resource {request.path} was not found")

    def _list_call_recordings(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        Fields(request.query_pairs(), {}, ("DateCreated", "DateCreated<", "DateCreated>", *PAGING))
        shown = [recording for recording in call.recordings if not recording.is_deleted]
        return json_answer(page_json(request, "recordings", shown, call_recording_json))

    def _fetch_call_recording(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        call = self._call(request, account)
        return json_answer(call_recording_json(_of_call(call, self._recording(request, account))))

    def _list_recordings(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, (*RECORDING_FILTERS, *PAGING)).given()
        shown = [
            recording
            for recording in self._face.recordings.values()
            if recording.call.account is account
            and given.get("CallSid") in (None, recording.call.sid)
            and (not recording.is_deleted or given.get("IncludeSoftDeleted") == "true")
        ]
        base_url = self._face.core.base_url("twilio")
        return json_answer(
            page_json(request, "recordings", shown, lambda item: recording_json(item, base_url))
        )

    def _fetch_recording(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        recording = self._recording(request, account)
        return json_answer(recording_json(recording, self._face.core.base_url("twilio")))

    def _delete_recording(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        recording = self._recording(request, account)
        recording.is_deleted, recording.status = True, "deleted"
        return ApiAnswer(status=204, content_type=None)

    def _media_wav(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        recording, channels = self._media(request, account)
        body = wav(recording.duration_s or 0, channels)
        return ApiAnswer(status=200, body=body, content_type="audio/x-wav", call_id=recording.call.sid)

    def _media_mp3(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        recording, _ = self._media(request, account)
        body = mp3(recording.duration_s or 0)
        return ApiAnswer(status=200, body=body, content_type="audio/mpeg", call_id=recording.call.sid)

    def _media(self, request: ApiRequest, account: TwilioAccount) -> tuple[Recording, int]:
        recording = self._recording(request, account)
        if recording.status != "completed":
            raise Refusal(20404, "The recording is not available")
        given = Fields(request.query_pairs(), {}, ("RequestedChannels",)).given()
        channels = given.get("RequestedChannels", str(recording.options.channels))
        if channels not in ("1", "2") or int(channels) > recording.options.channels:
            raise Refusal(20001, f"The recording has no {channels[:10]} channels")
        return recording, int(channels)

    def _recording(self, request: ApiRequest, account: TwilioAccount) -> Recording:
        recording = self._face.recordings.get(request.parts["recording"])
        if recording is None or recording.is_deleted or recording.call.account is not account:
            raise not_found(request.path)
        return recording


def _call_answer(call: TwilioCall) -> ApiAnswer:
    return json_answer(call_json(call), call_id=call.sid)


def _of_call(call: TwilioCall, recording: Recording) -> Recording:
    if recording.call is not call:
        raise Refusal(20404, "The recording is not one of this call")
    return recording


def _is_wanted(call: TwilioCall, given: dict[str, str]) -> bool:
    facts = {
        "To": call.leg.to,
        "From": call.leg.from_,
        "Status": call.status,
        "ParentCallSid": call.leg.parent.id if call.leg.parent else None,
    }
    if any(name in given and given[name] != fact for name, fact in facts.items()):
        return False
    return _is_in_time(call.leg.dialed_at, given, "StartTime") and _is_in_time(
        call.leg.ended_at, given, "EndTime"
    )


def _is_in_time(at: datetime | None, given: dict[str, str], name: str) -> bool:
    """`StartTime>` is on or after, `StartTime<` before; a plain date is that UTC day. A missing time matches none."""
    filters = {sign: given[name + sign] for sign in ("", "<", ">") if name + sign in given}
    if not filters:
        return True
    if at is None:
        return False
    return all(TIME_TESTS[sign](at, _time(text)) for sign, text in filters.items())


def _on_day(at: datetime, day: datetime) -> bool:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start <= at < start + timedelta(days=1)


TIME_TESTS: Final[dict[str, Callable[[datetime, datetime], bool]]] = {
    "": _on_day,
    "<": operator.lt,
    ">": operator.ge,
}


def _time(text: str) -> datetime:
    try:
        if len(text) == len("2026-03-04"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(20001, f"Invalid date: {text[:40]}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
