"""The fields of Twilio's webhooks, and how Twilio sends them.

Source: Twilio voice webhook, status callback and connection overrides pages.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from providers.simulator.carriers.base import Core
from providers.simulator.carriers.twilio.model import (
    API_VERSION,
    Endpoint,
    Habits,
    Recording,
    TwilioAccount,
    TwilioCall,
)
from providers.simulator.carriers.twilio.signing import signer
from providers.simulator.delivery import RetryPolicy, Webhook, WebhookAnswer
from providers.simulator.exchange import Direction

HARD_LIMIT_S: Final = 15.0
CONNECT_LIMIT_S: Final = 10.0
PLACES: Final = ("City", "State", "Zip", "Country")


def call_fields(call: TwilioCall, habits: Habits, status: str | None = None) -> dict[str, str]:
    """The fields that every voice request and status callback has."""
    leg = call.leg
    fields = {
        "CallSid": call.sid,
        "AccountSid": call.account.sid,
        "From": leg.from_,
        "To": leg.to,
        "Caller": leg.from_,
        "Called": leg.to,
        "CallStatus": status or call.status,
        "ApiVersion": API_VERSION,
        "Direction": call.direction,
    }
    for role, address in (("From", leg.from_), ("Caller", leg.from_), ("To", leg.to), ("Called", leg.to)):
        for place in PLACES:
            fields[role + place] = "US" if place == "Country" and address.startswith("+1") else ""
    if leg.parent is not None:
        fields["ParentCallSid"] = leg.parent.id
    if call.direction == "inbound" and habits.stir_verstat:
        fields["StirVerstat"] = habits.stir_verstat
    return fields | habits.extra_fields


def voice_fields(call: TwilioCall, habits: Habits, status: str | None = None) -> dict[str, str]:
    """Of a request for TwiML."""
    fields = call_fields(call, habits, status)
    if call.leg.direction is Direction.INBOUND:
        token = {"parentCallInfoToken": call.sid[2:], "identityHeaderTokens": []}
        fields["CallToken"] = quote(json.dumps(token))
    if call.amd is not None and not call.amd.is_async and call.answered_by:
        fields["AnsweredBy"] = call.answered_by
    return fields


def progress_fields(
    call: TwilioCall, habits: Habits, status: str, sequence: int, at: datetime
) -> dict[str, str]:
    """Of a status callback. `CallDuration` is seconds, `Duration` billed minutes."""
    fields = call_fields(call, habits, status)
    fields |= {
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(sequence),
        "Timestamp": rfc2822(at),
    }
    return fields | (_terminal_fields(call) if call.leg.outcome is not None else {})


def amd_fields(call: TwilioCall, answered_by: str, duration_ms: int) -> dict[str, str]:
    """Of the asynchronous machine detection callback: no CallStatus, From or To."""
    return {
        "CallSid": call.sid,
        "AccountSid": call.account.sid,
        "AnsweredBy": answered_by,
        "MachineDetectionDuration": str(duration_ms),
    }


def recording_fields(recording: Recording, media_url: str) -> dict[str, str]:
    """Of a recording status callback. `CallSid` is the parent leg's."""
    options = recording.options
    fields = {
        "AccountSid": recording.call.account.sid,
        "CallSid": recording.call.sid,
        "RecordingSid": recording.sid,
        "RecordingUrl": media_url,
        "RecordingStatus": recording.status,
        "RecordingChannels": str(options.channels),
        "RecordingStartTime": rfc2822(recording.started_at),
        "RecordingSource": options.source,
        "RecordingTrack": options.track,
    }
    if recording.duration_s is not None:
        fields["RecordingDuration"] = str(recording.duration_s)
    return fields


def stream_fields(
    call: TwilioCall, stream_sid: str, name: str, event: str, at: datetime, error: str | None = None
) -> dict[str, str]:
    """Of a <Stream> status callback."""
    fields = {
        "AccountSid": call.account.sid,
        "CallSid": call.sid,
        "StreamSid": stream_sid,
        "StreamName": name,
        "StreamEvent": event,
        "Timestamp": at.isoformat(),
    }
    return fields | ({"StreamError": error} if error else {})


class Sender:
    """Sends Twilio's webhooks: signed, with an idempotency token that retries repeat, under the URL's own rules."""

    def __init__(self, core: Core, habits: Habits) -> None:
        self._core = core
        self._habits = habits

    async def send(
        self, call: TwilioCall, endpoint: Endpoint, fields: Mapping[str, str], *, hook: str, event: str
    ) -> WebhookAnswer:
        """Sends and awaits the answer; a GET carries the fields in its query."""
        return await self.send_for(
            call.account, endpoint, fields, hook=hook, event=event, call_id=call.leg.root.id
        )

    async def send_for(
        self,
        account: TwilioAccount,
        endpoint: Endpoint,
        fields: Mapping[str, str],
        *,
        hook: str,
        event: str,
        call_id: str | None = None,
    ) -> WebhookAnswer:
        """The same, of an account; `call_id` is None where it is about no call of the exchange."""
        url, is_get = endpoint.url, endpoint.method == "GET"
        form = urlencode(fields)
        if is_get:
            form, url = "", with_query(url, form)
        webhook = Webhook(
            provider="twilio",
            hook=hook,
            event=event,
            call_id=call_id,
            url=url,
            method=endpoint.method,
            body=form.encode(),
            headers={
                "User-Agent": "TwilioProxy/1.1",
                "Accept": "*/*",
                "I-Twilio-Idempotency-Token": str(
                    uuid.UUID(int=self._core.random.getrandbits(128), version=4)
                ),
            },
            sign=signer(
                account.auth_token,
                shared_key=self._habits.shared_key,
                writes_port=self._habits.signs_with_port,
            ),
            policy=policy_of(endpoint.url),
        )
        return await self._core.delivery.deliver(webhook)


def policy_of(url: str) -> RetryPolicy:
    """The rules in the URL's fragment: `#ct=..&rt=..&tt=..&rc=..&rp=..`; default one retry, on connect failures only.

    Values beyond the documented ranges are taken as the nearest one in them (unconfirmed).
    """
    given = {name: values[-1] for name, values in parse_qs(urlsplit(url).fragment).items()}
    retried = set(given.get("rp", "ct").split(","))
    read_ms, total_ms = (
        _within(given.get("rt"), 100, 15000, 15000),
        _within(given.get("tt"), 100, 15000, 15000),
    )
    return RetryPolicy(
        attempts=1 + _within(given.get("rc"), 0, 5, 1),
        retry_on=lambda answer: bool({failure_of(answer), "all"} & retried) and not answer.is_ok,
        connect_timeout_s=min(_within(given.get("ct"), 100, 10000, 5000) / 1000, CONNECT_LIMIT_S),
        total_timeout_s=min(read_ms / 1000, total_ms / 1000, HARD_LIMIT_S),
        follow_redirects=10,
    )


def failure_of(answer: WebhookAnswer) -> str | None:
    """The retry policy's word for what went wrong."""
    if answer.error is not None:
        return "ct" if answer.error.startswith("connect") else "rt"
    status = answer.status or 0
    return "4xx" if 400 <= status < 500 else "5xx" if status >= 500 else None


def with_query(url: str, query: str) -> str:
    """The URL with more query, its fragment kept."""
    base, mark, fragment = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{query}{mark}{fragment}"


def rfc2822(at: datetime) -> str:
    """`Wed, 04 Mar 2026 09:15:02 +0000`."""
    return format_datetime(at)


def whole_seconds(duration_s: float) -> int:
    """Begun seconds count: at 20 times the speed a call of 2 s may have taken 2.01."""
    return max(1, round(duration_s)) if duration_s > 0 else 0


def _terminal_fields(call: TwilioCall) -> dict[str, str]:
    seconds = whole_seconds(call.leg.duration_s)
    fields = {
        "CallDuration": str(seconds),
        "Duration": str(math.ceil(seconds / 60)),
        "SipResponseCode": str(call.leg.sip_code or 200),
    }
    if call.answered_by:
        fields["AnsweredBy"] = call.answered_by
    return fields


def _within(text: str | None, low: int, high: int, default: int) -> int:
    if text is None or not text.isdigit():
        return default
    return min(max(int(text), low), high)
