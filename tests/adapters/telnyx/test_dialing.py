"""What is sent to dial, and what each kind of answer means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import ConfigurationError, ValidationError
from gateway.interface import DialResult
from gateway.status import EndCause
from gateway.transport import HostRefused, HttpResponse, NotSent, OutcomeUnknown
from tests.adapters.telnyx.support import (
    API,
    ATTEMPT,
    CONNECTION,
    CONTROL_ID,
    EVENTS_URL,
    LEG,
    OURS,
    SECRETS,
    SESSION,
    THEIRS,
    check_request,
    dial_request,
    ok,
    provider,
    refused,
    reply,
    state,
)

ACCEPTED = {
    "record_type": "call",
    "call_control_id": CONTROL_ID,
    "call_leg_id": LEG,
    "call_session_id": SESSION,
    "is_alive": False,
}
RETRIES = {"retries_ms": [1000, 4000, 10000, 20000, 25000]}
PLAIN_DIAL = {
    "connection_id": CONNECTION,
    "to": THEIRS,
    "from": OURS,
    "timeout_secs": 40,
    "retry_on_timeout": False,
    "time_limit_secs": 3600,
    "command_id": "3f0d4c1a-6f5e-4a0e-9a61-0d5f0c8e7b21",
    "client_state": state("dial", ATTEMPT, ""),
    "webhook_url": EVENTS_URL,
    "webhook_url_method": "POST",
    "webhook_retries_policies": {"call.initiated": RETRIES, "call.answered": RETRIES, "call.hangup": RETRIES},
}


def test_a_plain_dial_is_sent_literally() -> None:
    telnyx, script = provider(ok(ACCEPTED))
    outcome = telnyx.dial(dial_request())
    assert outcome.result is DialResult.ACCEPTED
    assert (outcome.leg_id, outcome.other_ids) == (CONTROL_ID, (LEG,))
    assert script.lines == ["POST /calls"]
    assert script.bodies == [PLAIN_DIAL]
    headers = {name.lower(): value for name, value in script.sent[0].headers}
    assert headers["authorization"] == f"Bearer {SECRETS['api_key']}"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"detect_machine": True}, {"answering_machine_detection": "premium"}),
        (
            {"detect_machine": True, "await_greeting_end": True},
            {
                "answering_machine_detection": "greeting_end",
                "answering_machine_detection_config": {"greeting_total_analysis_time_millis": 30000},
            },
        ),
        ({"await_greeting_end": True}, {}),
        (
            {"record": True},
            {"record": "record-from-answer", "record_channels": "dual", "record_format": "mp3"},
        ),
        ({"extra": {"privacy": "id"}}, {"privacy": "id"}),
    ],
)
def test_each_wish_adds_its_fields_and_nothing_else(changes: dict[str, Any], added: dict[str, Any]) -> None:
    telnyx, script = provider(ok(ACCEPTED))
    telnyx.dial(dial_request(**changes))
    assert script.bodies == [PLAIN_DIAL | added]


def test_what_is_sent_is_what_the_carrier_documents() -> None:
    for changes in (
        {},
        {"record": True},
        {"detect_machine": True},
        {"detect_machine": True, "await_greeting_end": True},
    ):
        telnyx, script = provider(ok(ACCEPTED))
        telnyx.dial(dial_request(**changes))
        check_request(script.sent[0])


@pytest.mark.parametrize(
    ("changes", "field", "accepted"),
    [
        ({"join_timeout_s": 4}, "join_timeout", "5 to 600 s"),
        ({"join_timeout_s": 601}, "join_timeout", "5 to 600 s"),
        ({"max_duration_s": 29}, "max_duration", "30 to 14400 s"),
        ({"max_duration_s": 14401}, "max_duration", "30 to 14400 s"),
        ({"extra": {"to": "+13125550199", "privacy": "id"}}, "extra", "to"),
        ({"extra": {"command_id": "x"}}, "extra", "command_id"),
    ],
)
def test_what_the_carrier_cannot_take_is_refused_with_its_range(
    changes: dict[str, Any], field: str, accepted: str
) -> None:
    telnyx, script = provider()
    with pytest.raises(ValidationError) as caught:
        telnyx.check_dial(dial_request(**changes))
    assert caught.value.field == field
    assert accepted in caught.value.message
    assert script.sent == []


@pytest.mark.parametrize(
    "changes", [{"join_timeout_s": 5, "max_duration_s": 30}, {"join_timeout_s": 600, "max_duration_s": 14400}]
)
def test_the_ends_of_the_ranges_are_taken(changes: dict[str, Any]) -> None:
    provider()[0].check_dial(dial_request(**changes))


def test_every_field_that_is_sent_is_closed_to_extra() -> None:
    for name in (*PLAIN_DIAL, "answering_machine_detection", "record"):
        with pytest.raises(ValidationError):
            provider()[0].check_dial(dial_request(extra={name: "x"}))


def test_without_a_connection_nothing_is_dialed_and_the_message_says_what_to_add() -> None:
    telnyx, script = provider(connection_id="")
    for attempt in (telnyx.check_dial, telnyx.dial):
        with pytest.raises(ConfigurationError, match="connection_id"):
            attempt(dial_request())
    assert script.sent == []


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_a_refusal_in_the_carriers_own_form_is_rejected(status: int) -> None:
    telnyx, script = provider(refused(status, "10015", "Invalid value"))
    outcome = telnyx.dial(dial_request())
    assert outcome.result is DialResult.REJECTED
    assert outcome.cause is not None
    assert (outcome.http_status, outcome.vendor_code) == (status, "10015")
    assert len(script.sent) == 1


UNKNOWN: dict[str, Any] = {
    "timeout or reset after the first byte": OutcomeUnknown("api.telnyx.com:443: timed out"),
    "an error nobody expected": RuntimeError("boom"),
    **{
        f"own {status}": refused(status, "10011")
        for status in (408, 409, 425, 429, 500, 502, 503, 504, 418, 451)
    },
    **{
        f"redirect {status}": HttpResponse(status=status, headers=(("location", API),))
        for status in (301, 302, 307, 308)
    },
    "a 404 of some proxy": HttpResponse(status=404, body=b"<html>not here</html>"),
    "a 403 in JSON of somebody else": reply({"error": "forbidden"}, 403),
    "a 422 with errors that have no code": reply({"errors": [{"title": "x"}]}, 422),
    "a 422 with a code that is no word": reply({"errors": [{"code": True, "title": "x"}]}, 422),
    "a 422 with an empty list": reply({"errors": []}, 422),
    "a 200 without a body": HttpResponse(status=200),
    "a 200 of HTML": HttpResponse(status=200, body=b"<html>"),
    "a 200 with JSON of another type": reply(["x"]),
    "a 200 without data": reply({}),
    "a 200 without an id": ok({"record_type": "call"}),
    "a 200 with a bad id": ok({**ACCEPTED, "call_control_id": "../../phone_numbers"}),
    "a 200 with a number as id": ok({**ACCEPTED, "call_control_id": 7}),
    "a 204": HttpResponse(status=204),
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_whatever_leaves_doubt_is_unknown_and_sent_once(answer: Any) -> None:
    telnyx, script = provider(answer, ok(ACCEPTED), ok(ACCEPTED))
    outcome = telnyx.dial(dial_request())
    assert outcome.result is DialResult.UNKNOWN
    assert outcome.leg_id is None
    assert len(script.sent) == 1


@pytest.mark.parametrize("failure", [NotSent("name not found"), HostRefused("not a host of this transport")])
def test_what_never_left_is_not_sent(failure: Exception) -> None:
    telnyx, script = provider(failure, ok(ACCEPTED))
    outcome = telnyx.dial(dial_request())
    assert outcome.result is DialResult.NOT_SENT
    assert len(script.sent) == 1


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_a_good_id_is_accepted(status: int) -> None:
    telnyx, _ = provider(ok(ACCEPTED, status))
    assert telnyx.dial(dial_request()).result is DialResult.ACCEPTED


@pytest.mark.parametrize(
    ("answer", "cause", "code"),
    [
        (refused(401, "10009"), EndCause.ACCOUNT, "10009"),
        (refused(402, "99999"), EndCause.ACCOUNT, "99999"),
        (refused(403, "10010"), EndCause.NOT_PERMITTED, "10010"),
        (refused(403, "10010", telnyx_error={"error_code": "D38"}), EndCause.NOT_PERMITTED, "D38"),
        (refused(403, 10010, telnyx_error={"error_code": "D51"}), EndCause.CALLER_ID_REFUSED, "D51"),
        (refused(403, "10010", detail="User channel limit exceeded D1"), EndCause.CAPACITY, "D1"),
        (refused(403, "10010", telnyx_error={"error_code": "D11"}), EndCause.INVALID_NUMBER, "D11"),
        (refused(403, "10010", telnyx_error={"error_code": "D41"}), EndCause.BLOCKED, "D41"),
        (refused(403, "10010", telnyx_error={"error_code": "D999"}), EndCause.NOT_PERMITTED, "D999"),
        (refused(403, "10010", telnyx_error=None), EndCause.NOT_PERMITTED, "10010"),
        (refused(422, "10016", source={"pointer": "/to"}), EndCause.INVALID_NUMBER, "10016"),
        (refused(422, "10016", source={"pointer": "/from"}), EndCause.CALLER_ID_REFUSED, "10016"),
        (refused(422, "10015", source={"pointer": "/connection_id"}), EndCause.REQUEST_REFUSED, "10015"),
        (refused(422, "90041"), EndCause.CAPACITY, "90041"),
        (refused(422, "90103"), EndCause.CAPACITY, "90103"),
        (refused(422, "77777"), EndCause.REQUEST_REFUSED, "77777"),
    ],
)
def test_a_refusal_says_why(answer: HttpResponse, cause: EndCause, code: str) -> None:
    telnyx, _ = provider(answer)
    outcome = telnyx.dial(dial_request())
    assert (outcome.cause, outcome.vendor_code) == (cause, code)


def test_a_refusals_text_shows_no_number() -> None:
    answer = refused(422, "10016", f"{THEIRS} is not allowed", detail=f"{OURS} to {THEIRS}")
    outcome = provider(answer)[0].dial(dial_request())
    assert "10016" in outcome.message
    assert "3125550" not in json.dumps([outcome.message, repr(outcome)])
    assert "0111" in outcome.message
