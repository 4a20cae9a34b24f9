"""The parameters of each request that Plivo sends to its customer.

Source: Plivo's callback pages (plivo.com/docs, read 2026). Everything is text. What the pages do not settle is a
switch in `Habits`; whether `BillRate` and `ParentAuthID` come with every callback is unconfirmed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from providers.simulator.carriers.plivo.calls import Habits, PlivoCall, Recording, money, utc_text
from providers.simulator.carriers.plivo.endings import MACHINE, Ending

Params = dict[str, str]

STREAM_EVENTS: Final = {
    "A": {"started": "StartStream", "stopped": "StopStream", "failed": "DroppedStream"},
    "B": {"started": "started", "stopped": "stopped", "failed": "failed"},
}
NOT_EVERYWHERE: Final = ("BillRate", "ParentAuthID", "STIRVerification")


def call_params(call: PlivoCall, *, status: str | None = None) -> Params:
    """What every request about a call carries: ids, numbers, direction, status, our own SIP headers."""
    params = {
        "CallUUID": call.uuid,
        "From": call.from_,
        "To": call.to,
        "Direction": str(call.leg.direction),
        "CallStatus": status or call.status,
        "SessionStart": utc_text(call.leg.dialed_at or call.leg.created_at),
        "BillRate": money(call.rate),
        "ParentAuthID": call.parent_auth_id,
        "STIRVerification": "Not Applicable",
        **call.extra,
    }
    if call.request_uuid is not None:
        params |= {
            "RequestUUID": call.request_uuid,
            "ALegRequestUUID": call.request_uuid,
            "ALegUUID": call.uuid,
        }
    if call.caller_name:
        params["CallerName"] = call.caller_name
    return params


def answer_params(call: PlivoCall) -> Params:
    """For `answer_url` and the fallback: in-progress outbound, ringing inbound (nothing answered it yet)."""
    return {**call_params(call), "Event": "StartApp"}


def step_params(call: PlivoCall) -> Params:
    """For redirect, transfer and action addresses; their `Event` value is unconfirmed and left out."""
    return call_params(call)


def ring_params(call: PlivoCall) -> Params:
    """For `ring_url`; without `ALegUUID` and what the call costs."""
    params = call_params(call, status="ringing")
    return {**_without(params, "ALegUUID", *NOT_EVERYWHERE), "Event": "Ring"}


def machine_params(call: PlivoCall, mode: str) -> Params:
    """For `machine_detection_url`: sent for machines only. `mode` is that of the request, `true` or `hangup`."""
    params = _without(call_params(call, status="in-progress"), "SessionStart", *NOT_EVERYWHERE)
    action = "hangup" if mode == "hangup" else "continue"
    return {**params, "Event": "MachineDetection", "Machine": "true", "IfMachine": action}


def hangup_params(call: PlivoCall, ending: Ending, habits: Habits) -> Params:
    """For `hangup_url`: the end with its durations, cost and cause."""
    params = call_params(call, status=hangup_status(call, ending, habits))
    zone = timezone(timedelta(hours=habits.timezone_offset_hours))
    params |= {
        "Event": "Hangup",
        "Duration": str(call.bill_s),
        "BillDuration": str(call.bill_s),
        "TotalCost": money(call.cost),
        "StartTime": _console_time(call.leg.dialed_at or call.leg.created_at, zone),
        "AnswerTime": _console_time(call.leg.answered_at, zone),
        "EndTime": _console_time(call.leg.ended_at, zone),
        "HangupCause": ending.cause,
        "HangupCauseName": ending.name,
        "HangupCauseCode": str(ending.code),
        "HangupSource": str(ending.source),
    }
    if call.machine:
        params["Machine"] = habits.machine_word if ending is MACHINE else "true"
    if habits.hangup_event_missing and not call.is_outbound:
        del params["Event"]
    if habits.hangup_codes_missing:
        for name in ("HangupCauseName", "HangupCauseCode", "HangupSource"):
            del params[name]
    return params


def hangup_status(call: PlivoCall, ending: Ending, habits: Habits) -> str:
    """The end's `CallStatus`: always `completed` inbound and after an answer; pages disagree about the rest."""
    if habits.call_status_always_completed or not call.is_outbound or call.leg.is_answered:
        return "completed"
    return ending.status if ending.status != "completed" else "failed"


def dial_action_params(call: PlivoCall, *, status: str, rang: bool, cause: str, b_leg_uuid: str) -> Params:
    """For `<Dial action>`: `b_leg_uuid` is empty when nobody answered."""
    return {
        **step_params(call),
        "DialStatus": status,
        "DialRingStatus": "true" if rang else "false",
        "DialHangupCause": cause,
        "DialALegUUID": call.uuid,
        "DialBLegUUID": b_leg_uuid,
    }


def dial_callback_params(call: PlivoCall, b_leg: PlivoCall, action: str, ending: Ending | None) -> Params:
    """For `<Dial callbackUrl>`; `action` is answer, connected, hangup or digits."""
    params = {
        **step_params(call),
        "DialAction": action,
        "DialBLegStatus": "hangup" if action == "hangup" else "answer",  # value unconfirmed
        "DialALegUUID": call.uuid,
        "DialBLegUUID": b_leg.uuid,
        "DialBLegFrom": b_leg.from_,
        "DialBLegTo": b_leg.to,
    }
    if ending is not None:
        params |= {
            "DialBLegDuration": str(b_leg.bill_s),
            "DialBLegBillDuration": str(b_leg.bill_s),
            "DialBLegHangupCauseName": ending.name,
            "DialBLegHangupCauseCode": str(ending.code),
            "DialBLegHangupSource": str(ending.source),
        }
    return params


def record_action_params(call: PlivoCall, recording: Recording, url: str, pressed: str) -> Params:
    """For `<Record action>`: durations are -1 while the recording still runs (`recordSession`)."""
    return {**step_params(call), **_recording_fields(recording, url), "Digits": pressed}


def record_callback_params(call: PlivoCall, recording: Recording, url: str) -> Params:
    """For `<Record callbackUrl>`: final values; the file can be fetched. `CallUUID` there is unconfirmed."""
    return {**step_params(call), **_recording_fields(recording, url)}


def api_record_params(recording: Recording, url: str) -> Params:
    """For the `callback_url` of the record API: snake case."""
    return {
        "api_id": recording.api_id,
        "record_url": url,
        "call_uuid": recording.call_uuid,
        "recording_id": recording.recording_id,
        "recording_duration": str(round(recording.duration_s)),
        "recording_duration_ms": str(round(recording.duration_s * 1000)),
        "recording_start_ms": _ms(recording.started_at),
        "recording_end_ms": _ms(recording.ended_at),
    }


def stream_params(
    call: PlivoCall,
    stream_id: str,
    what: str,
    habits: Habits,
    *,
    now: datetime,
    reason: str = "",
    duration_s: float = 0,
) -> Params:
    """For a stream's status callback; `what` is started, stopped or failed, `reason` Plivo's word for an error."""
    params = {
        "Event": STREAM_EVENTS[habits.stream_events][what],
        "CallUUID": call.uuid,
        "StreamID": stream_id,
        "Timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "From": call.from_,
        "To": call.to,
        "Direction": str(call.leg.direction),
        **call.extra,
    }
    if habits.stream_events == "B" and what != "started":
        params |= {"StatusReason": reason or "completed", "Duration": str(round(duration_s))}
    elif what == "failed":
        params["Error"] = reason
    return params


def digits_params(call: PlivoCall, pressed: str) -> Params:
    """For `<GetDigits action>`."""
    return {**step_params(call), "Digits": pressed}


def _without(params: Params, *names: str) -> Params:
    return {name: value for name, value in params.items() if name not in names}


def _recording_fields(recording: Recording, url: str) -> Params:
    done = recording.ended_at is not None
    return {
        "RecordUrl": url,
        "RecordingID": recording.recording_id,
        "RecordingDuration": str(round(recording.duration_s)) if done else "-1",
        "RecordingDurationMs": str(round(recording.duration_s * 1000)) if done else "-1",
        "RecordingStartMs": _ms(recording.started_at),
        "RecordingEndMs": _ms(recording.ended_at),
    }


def _ms(moment: datetime | None) -> str:
    return "-1" if moment is None else str(int(moment.timestamp() * 1000))


def _console_time(moment: datetime | None, zone: timezone) -> str:
    return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
