"""Twilio's REST resources: authentication, checks, and what each request does."""

from __future__ import annotations

import base64
import binascii
import hmac
import operator
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Handler, Route, json_answer
from providers.simulator.carriers.twilio.checks import (
    CREATE_RULES,
    NUMBER_RULES,
    RECORDING_RULES,
    RECORDING_UPDATE_RULES,
    UPDATE_RULES,
    Fields,
    Refusal,
    check_new_call,
    form_of,
    recording_of,
)
from providers.simulator.carriers.twilio.model import Recording, TwilioAccount, TwilioCall, TwilioNumber
from providers.simulator.carriers.twilio.resources import (
    account_json,
    balance_json,
    call_json,
    call_recording_json,
    caller_id_json,
    event_json,
    mp3,
    notification_json,
    number_json,
    page_json,
    recording_json,
    snake,
    wav,
)
from providers.simulator.exchange import EndedBy
from providers.simulator.journal import Entry

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.face import Face

ACCOUNT: Final = "/2010-04-01/Accounts/{account}"
PAGING: Final = ("PageSize", "Page", "PageToken")
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
NUMBER_FILTERS: Final = ("Beta", "FriendlyName", "PhoneNumber", "Origin")
RECORDING_FILTERS: Final = (
    "DateCreated",
    "DateCreated<",
    "DateCreated>",
    "CallSid",
    "ConferenceSid",
    "IncludeSoftDeleted",
)

AccountHandler = Callable[[ApiRequest, TwilioAccount], ApiAnswer | Awaitable[ApiAnswer]]


class Rest:
    """The routes of one simulated Twilio."""

    def __init__(self, face: Face) -> None:
        self._face = face

    def routes(self) -> Sequence[Route]:
        """Every resource below the base URL."""
        call, recording = f"{ACCOUNT}/Calls/{{call}}", f"{ACCOUNT}/Recordings/{{recording}}"
        number = f"{ACCOUNT}/IncomingPhoneNumbers/{{number}}.json"
        guard = self._guard
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
            Route("GET", f"{ACCOUNT}/IncomingPhoneNumbers.json", "numbers", guard(self._list_numbers)),
            Route("GET", number, "numbers", guard(self._fetch_number)),
            Route("POST", number, "number_write", guard(self._update_number)),
            Route("DELETE", number, "release", guard(self._release_number)),
            Route("GET", f"{ACCOUNT}/OutgoingCallerIds.json", "caller_ids", guard(self._list_caller_ids)),
            Route("GET", f"{ACCOUNT}/Balance.json", "account", guard(self._balance)),
            Route("GET", f"{ACCOUNT}.json", "account", guard(self._fetch_account, needs_main_key=True)),
        )

    # -- who asks

    def _guard(self, handler: AccountHandler, *, needs_main_key: bool = False) -> Handler:
        """The handler behind authentication; refusals become Twilio's error bodies."""

        async def guarded(request: ApiRequest) -> ApiAnswer:
            try:
                account = self._authenticate(request, needs_main_key)
                answer = handler(request, account)
                return answer if isinstance(answer, ApiAnswer) else await answer
            except Refusal as refusal:
                return refusal.answer()

        return guarded

    def _authenticate(self, request: ApiRequest, needs_main_key: bool) -> TwilioAccount:
        user, password = _credentials(request.headers.get("Authorization", ""))
        owner, is_main = self._owner(user, password)
        if owner is None or (needs_main_key and not is_main):
            raise Refusal(20003, "Authenticate")
        if owner.status != "active":
            raise Refusal(20005, "Account not active", 403)
        if owner.sid != request.parts["account"]:
            raise Refusal(20404, f"The requested resource {request.path} was not found")
        return owner

    def _owner(self, user: str, password: str) -> tuple[TwilioAccount | None, bool]:
        for account in self._face.accounts.values():
            secret, is_main = account.api_keys.get(user, ("", False))
            if user == account.sid and hmac.compare_digest(password.encode(), account.auth_token.encode()):
                return account, True
            if secret and hmac.compare_digest(password.encode(), secret.encode()):
                return account, is_main
        return None, False

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
            raise Refusal(20404, f"The requested resource {request.path} was not found")
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
        recording = _of_call(call, self._recording(request, account))
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
            raise Refusal(20404, f"The requested resource {request.path} was not found")
        return recording

    # -- account and numbers

    def _fetch_account(self, _request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(account_json(account))

    def _balance(self, _request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(balance_json(account))

    def _list_numbers(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, (*NUMBER_FILTERS, *PAGING)).given()
        shown = [number for number in account.numbers.values() if _is_wanted_number(number, given)]
        page = page_json(
            request, "incoming_phone_numbers", shown, lambda number: number_json(account, number)
        )
        return json_answer(page)

    def _fetch_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(number_json(account, self._number(request, account)))

    def _update_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        number = self._number(request, account)
        fields = Fields(form_of(request), NUMBER_RULES)
        fields.check()
        changes = _number_changes(fields.given())
        settings = {**number.settings, **changes}
        if settings["voice_fallback_url"] and not settings["voice_url"]:
            raise Refusal(21405, "A fallback URL needs a voice URL")
        number.settings = settings
        number.updated_at = self._face.core.clock.now()
        return json_answer(number_json(account, number))

    def _release_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        account.release(self._number(request, account))
        return ApiAnswer(status=204, content_type=None)

    def _list_caller_ids(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, ("PhoneNumber", "FriendlyName", *PAGING)).given()
        shown = [number for number in account.caller_ids if given.get("PhoneNumber") in (None, number)]
        page = page_json(
            request, "outgoing_caller_ids", shown, lambda number: caller_id_json(account, number)
        )
        return json_answer(page)

    def _number(self, request: ApiRequest, account: TwilioAccount) -> TwilioNumber:
        number = account.numbers.get(request.parts["number"])
        if number is None:
            raise Refusal(20404, f"The requested resource {request.path} was not found")
        return number


def _call_answer(call: TwilioCall) -> ApiAnswer:
    return json_answer(call_json(call), call_id=call.sid)


def _of_call(call: TwilioCall, recording: Recording) -> Recording:
    if recording.call is not call:
        raise Refusal(20404, "The recording is not one of this call")
    return recording


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _number_changes(given: dict[str, str]) -> dict[str, str | bool | None]:
    """The settings to change. An application and a trunk exclude each other; an empty sid is null."""
    changes: dict[str, str | bool | None] = {}
    for name, value in given.items():
        if name in ("AccountSid", "ApiVersion"):
            continue
        is_reference = name.endswith("Sid")
        changes[snake(name)] = (
            value == "true" if value in ("true", "false") else value or (None if is_reference else "")
        )
    if changes.get("voice_application_sid"):
        changes["trunk_sid"] = None
    elif changes.get("trunk_sid"):
        changes["voice_application_sid"] = None
    return changes


def _is_wanted_number(number: TwilioNumber, given: dict[str, str]) -> bool:
    pattern = given.get("PhoneNumber", "").lstrip("+").replace("*", "")
    name = given.get("FriendlyName")
    return pattern in number.number and name in (None, number.settings["friendly_name"])


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
