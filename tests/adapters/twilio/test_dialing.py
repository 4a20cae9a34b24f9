from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import ValidationError
from gateway.interface import DialResult
from gateway.status import EndCause
from gateway.transport import HostRefused, HttpResponse, NotSent, OutcomeUnknown
from tests.adapters.twilio.support import (
    ACCOUNT,
    API_KEY,
    CALL,
    DIAL,
    GATEWAY,
    TOKEN,
    fault,
    provider,
    reply,
    rest_call,
)

PLAIN = {
    "To": ["+14155550100"],
    "From": ["+12125550123"],
    "Url": [f"{GATEWAY}/answer/{'a' * 32}#rc=3&rp=all"],
    "Method": ["POST"],
    "FallbackUrl": [f"{GATEWAY}/fallback#rc=3&rp=all"],
    "FallbackMethod": ["POST"],
    "StatusCallback": [f"{GATEWAY}/status/{'a' * 32}#rc=3&rp=all"],
    "StatusCallbackMethod": ["POST"],
    "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    "Timeout": ["30"],
    "TimeLimit": ["1800"],
}
AMD = {
    "AsyncAmd": ["true"],
    "AsyncAmdStatusCallback": [f"{GATEWAY}/amd/{'a' * 32}#rc=3&rp=all"],
    "AsyncAmdStatusCallbackMethod": ["POST"],
}


def sent(**changes: Any) -> dict[str, list[str]]:
    adapter, transport = provider(reply(201, rest_call()))
    adapter.dial(replace(DIAL, **changes))
    return transport.form()


def test_a_plain_dial_asks_for_no_recording_and_no_machine_detection() -> None:
    assert sent() == PLAIN


def test_machine_detection_is_asynchronous_so_that_nobody_waits_in_silence() -> None:
    assert sent(detect_machine=True) == PLAIN | AMD | {"MachineDetection": ["Enable"]}


def test_waiting_for_the_greetings_end_is_the_other_mode_of_machine_detection() -> None:
    expected = PLAIN | AMD | {"MachineDetection": ["DetectMessageEnd"]}
    assert sent(detect_machine=True, await_greeting_end=True) == expected


def test_recording_is_sent_only_when_asked_for() -> None:
    assert sent(record=True) == PLAIN | {
        "Record": ["true"],
        "RecordingStatusCallback": [f"{GATEWAY}/recording/{'a' * 32}#rc=3&rp=all"],
        "RecordingStatusCallbackMethod": ["POST"],
        "RecordingStatusCallbackEvent": ["completed"],
    }


def test_extra_parameters_are_sent_as_they_are() -> None:
    extra = {"Byoc": "BY" + "0" * 32, "CallReason": "Your appointment", "SendDigits": "ww1#"}
    assert sent(extra=extra) == PLAIN | {name: [value] for name, value in extra.items()}


def test_the_request_goes_to_the_account_with_its_token() -> None:
    adapter, transport = provider(reply(201, rest_call()))
    adapter.dial(DIAL)
    request = transport.requests[0]
    assert request.method == "POST"
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    headers = dict(request.headers)
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    # AC0123456789abcdef0123456789abcdef:5f0c2e9a7b4d41c6a1e8f3d2c0b9a876
    assert headers["Authorization"] == (
        "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjo1ZjBjMmU5YTdiNGQ0MWM2YTFlOGYzZDJjMGI5YTg3Ng=="
    )


def test_an_api_key_replaces_the_token_but_not_the_account_in_the_path() -> None:
    adapter, transport = provider(reply(201, rest_call()), **API_KEY)
    adapter.dial(DIAL)
    request = transport.requests[0]
    assert f"/Accounts/{ACCOUNT}/Calls.json" in request.url
    # SK111…:S3cret…
    assert dict(request.headers)["Authorization"] == (
        "Basic U0sxMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTpTM2NyZXRTM2NyZXRTM2NyZXRTM2NyZXRTM2NyZXR4eA=="
    )


def test_variables_of_the_librarys_environment_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TWILIO_ACCOUNT_SID": "AC" + "9" * 32,
        "TWILIO_AUTH_TOKEN": "9" * 32,
        "TWILIO_EDGE": "dublin",
        "TWILIO_REGION": "ie1",
    }.items():
        monkeypatch.setenv(name, value)
    adapter, transport = provider(reply(201, rest_call()))
    adapter.dial(DIAL)
    assert transport.requests[0].url.startswith(f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/")
    assert "OTk5" not in dict(transport.requests[0].headers)["Authorization"]


# -- refused before anything is sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"join_timeout_s": 0}, "join_timeout", "twilio takes 1 to 600 s"),
        ({"join_timeout_s": 601}, "join_timeout", "twilio takes 1 to 600 s"),
        ({"max_duration_s": 0}, "max_duration", "twilio takes 1 to 14400 s"),
        ({"max_duration_s": 14_401}, "max_duration", "twilio takes 1 to 14400 s"),
        ({"to": "+12125550123"}, "to", "does not call a number from itself"),
        ({"extra": {"Url": "https://evil.example.net"}}, "extra", "'Url' is not a twilio parameter to add"),
        ({"extra": {"NoSuch": "1"}}, "extra", "known: Byoc"),
    ],
)
def test_what_twilio_cannot_take_is_refused_with_the_range(
    changes: dict[str, Any], field: str, text: str
) -> None:
    adapter, transport = provider()
    with pytest.raises(ValidationError, match=text) as caught:
        adapter.check_dial(replace(DIAL, **changes))
    assert caught.value.field == field
    assert transport.requests == []


def test_a_callback_host_with_an_underscore_is_refused() -> None:
    adapter, _ = provider()
    urls = replace(DIAL.urls, status="https://gw_1.example.net/voice/k/status/t")
    with pytest.raises(ValidationError, match="underscore"):
        adapter.check_dial(replace(DIAL, urls=urls))


@pytest.mark.parametrize(("join", "longest"), [(1, 1), (600, 14_400)])
def test_the_ends_of_the_ranges_are_taken(join: int, longest: int) -> None:
    adapter, _ = provider()
    adapter.check_dial(replace(DIAL, join_timeout_s=join, max_duration_s=longest))


# -- outcome classes ---------------------------------------------------------------------------------------------


def test_a_created_call_is_accepted_with_its_id() -> None:
    adapter, transport = provider(reply(201, rest_call()))
    outcome = adapter.dial(DIAL)
    assert (outcome.result, outcome.leg_id) == (DialResult.ACCEPTED, CALL)
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(201, {}),
        reply(201, rest_call(sid=None)),
        reply(201, rest_call(sid="")),
        reply(201, rest_call(sid=7)),
        reply(201, rest_call(sid="CA123")),
        reply(201, rest_call(sid="SM89abcdef0123456789abcdef01234567")),
        reply(201, rest_call(sid=CALL + "/../x")),
        reply(201, rest_call(sid=CALL + "\n")),
        reply(200, b""),
        reply(200, b"<html>hello</html>"),
        reply(201, [rest_call()]),
        reply(201, "text"),
        reply(201, b"\xff\xfe"),
        reply(201, b"[" * 100_000),
        reply(201, rest_call(date_created="Wed, 99 Mar 2026 09:15:02 +0000")),  # the library cannot read it
        reply(204, b""),
        reply(301, b"", Location="https://api.twilio.com/elsewhere"),
        reply(302, b"", Location="https://evil.example.net/"),
        reply(307, b""),
        reply(308, rest_call()),
        reply(408, {"code": 20408, "message": "timeout", "status": 408}),
        fault(409, 20409),
        fault(425, 20425),
        reply(429, b"slow down"),
        fault(500, 20500),
        fault(502, 20502),
        fault(503, 20503, Retry_After="1"),
        reply(504, b"<html>gateway timeout</html>"),
        reply(400, b"<html>proxy</html>"),
        reply(401, {"error": "login to the proxy"}),
        reply(403, {"code": "denied", "message": "no"}),
        reply(404, {"code": True, "message": "no"}),
        reply(400, {"code": 21211}),
        reply(400, {"code": 21211, "message": "no", "status": 404}),
        reply(422, [21211]),
        OutcomeUnknown("api.twilio.com:443: timed out"),
        RuntimeError("something else broke"),
    ],
)
def test_anything_that_proves_nothing_is_unknown_after_one_post(answer: HttpResponse | Exception) -> None:
    adapter, transport = provider(answer)
    outcome = adapter.dial(DIAL)
    assert outcome.result is DialResult.UNKNOWN
    assert (outcome.leg_id, outcome.cause) == (None, None)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("failure", [NotSent("refused"), HostRefused("elsewhere")])
def test_a_request_of_which_no_byte_left_is_not_sent(failure: Exception) -> None:
    adapter, transport = provider(failure)
    assert adapter.dial(DIAL).result is DialResult.NOT_SENT
    assert len(transport.requests) == 1


@pytest.mark.parametrize(("header", "wait"), [("7", 7.0), (None, None), ("soon", None), ("-1", None)])
def test_too_many_requests_in_twilios_own_format_was_not_processed(
    header: str | None, wait: float | None
) -> None:
    headers = {"Retry_After": header} if header is not None else {}
    adapter, _ = provider(fault(429, 20429, "Too many concurrent requests", **headers))
    outcome = adapter.dial(DIAL)
    assert (outcome.result, outcome.retry_after_s, outcome.vendor_code) == (
        DialResult.NOT_SENT,
        wait,
        "20429",
    )


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (400, 21211, EndCause.INVALID_NUMBER),
        (400, 21210, EndCause.CALLER_ID_REFUSED),
        (400, 21215, EndCause.NOT_PERMITTED),
        (400, 21216, EndCause.BLOCKED),
        (400, 10004, EndCause.CAPACITY),
        (401, 20003, EndCause.ACCOUNT),
        (402, 99999, EndCause.ACCOUNT),
        (403, 20403, EndCause.NOT_PERMITTED),
        (404, 20404, EndCause.REQUEST_REFUSED),
        (405, 20004, EndCause.REQUEST_REFUSED),
        (422, 20422, EndCause.REQUEST_REFUSED),
    ],
)
def test_a_refusal_in_twilios_own_format_is_rejected_with_its_cause(
    status: int, code: int, cause: EndCause
) -> None:
    adapter, _ = provider(fault(status, code, "The number is not valid"))
    outcome = adapter.dial(DIAL)
    assert (outcome.result, outcome.cause) == (DialResult.REJECTED, cause)
    assert (outcome.vendor_code, outcome.http_status) == (str(code), status)
    assert outcome.message == "The number is not valid"


def test_the_newer_error_format_counts_as_twilios_own() -> None:
    body = {"type": "https://twilio.com/x", "title": "Bad login", "status": 401, "code": 20003, "detail": "?"}
    adapter, _ = provider(reply(401, body))
    outcome = adapter.dial(DIAL)
    assert (outcome.result, outcome.cause, outcome.message) == (
        DialResult.REJECTED,
        EndCause.ACCOUNT,
        "Bad login",
    )


@pytest.mark.parametrize("spelled", ["+14155550100", "14155550100", "+1 (415) 555-0100"])
def test_a_carriers_message_shows_four_digits_of_a_number_at_most(spelled: str) -> None:
    adapter, _ = provider(fault(400, 21211, f"The 'To' number {spelled} is not a valid phone number."))
    assert adapter.dial(DIAL).message == "The 'To' number …0100 is not a valid phone number."


def test_no_secret_is_shown_by_the_adapter_or_an_outcome() -> None:
    adapter, _ = provider(OutcomeUnknown("timed out"), **API_KEY)
    shown = repr(adapter) + repr(adapter._keys) + repr(adapter.dial(DIAL))
    assert TOKEN not in shown
    assert API_KEY["api_key_secret"] not in shown
