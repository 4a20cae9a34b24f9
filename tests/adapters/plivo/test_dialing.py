"""What is sent to dial, and what each answer proves (the outcome classes of reliability.md, section 5.2)."""

from __future__ import annotations

import socket
from base64 import b64encode
from dataclasses import replace

import pytest

from gateway.errors import ConfigurationError, ValidationError
from gateway.interface import DialResult
from gateway.status import EndCause
from gateway.transport import HostRefused, NotSent, OutcomeUnknown, TransportError
from providers.plivo import PlivoProvider
from tests.adapters.plivo.support import (
    API,
    ATTEMPT,
    CALL,
    DIAL,
    REQUEST,
    SECRETS,
    TOKEN,
    StubTransport,
    fault,
    fired,
    provider,
    reply,
)

RETRIES = "#ct=2000&rt=10000&rc=3&rp=all"
PLAIN = {
    "from": "12125550123",
    "to": "14155550100",
    "answer_url": f"https://gw.example.net/voice/k3y/answer/{ATTEMPT}{RETRIES}",
    "answer_method": "POST",
    "ring_url": f"https://gw.example.net/voice/k3y/status/{ATTEMPT}{RETRIES}",
    "ring_method": "POST",
    "hangup_url": f"https://gw.example.net/voice/k3y/status/{ATTEMPT}{RETRIES}",
    "hangup_method": "POST",
    "fallback_url": f"https://gw.example.net/voice/k3y/fallback{RETRIES}",
    "fallback_method": "POST",
    "ring_timeout": 30,
    "time_limit": 1800,
}


def test_a_dial_is_one_post_with_exactly_this_body() -> None:
    plivo, transport = provider(fired())
    outcome = plivo.dial(DIAL)
    assert (outcome.result, outcome.leg_id, outcome.message) == (DialResult.ACCEPTED, REQUEST, "call fired")
    (sent,) = transport.requests
    assert (sent.method, sent.url) == ("POST", f"{API}/Call/")
    assert transport.json() == PLAIN


def test_a_dial_carries_the_accounts_credentials_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLIVO_AUTH_ID", "MAOTHER0000000000000")
    monkeypatch.setenv("PLIVO_AUTH_TOKEN", "other-token-other-token")
    plivo, transport = provider(fired())
    plivo.dial(DIAL)
    headers = dict(transport.requests[0].headers)
    given = b64encode(f"MAEXAMPLE0000000TEST:{TOKEN}".encode()).decode()
    assert headers["Authorization"] == f"Basic {given}"
    assert headers["Content-Type"] == "application/json"


def test_machine_detection_is_asynchronous_and_sent_only_when_asked_for() -> None:
    plivo, transport = provider(fired())
    plivo.dial(replace(DIAL, detect_machine=True, await_greeting_end=True))
    assert transport.json() == PLAIN | {
        "machine_detection": "true",
        "machine_detection_url": f"https://gw.example.net/voice/k3y/amd/{ATTEMPT}{RETRIES}",
        "machine_detection_method": "POST",
    }


def test_recording_is_left_to_the_document() -> None:
    plivo, transport = provider(fired())
    plivo.dial(replace(DIAL, record=True))
    assert transport.json() == PLAIN


def test_extra_parameters_travel_as_they_are() -> None:
    plivo, transport = provider(fired())
    plivo.dial(replace(DIAL, extra={"caller_name": "Acme", "machine_detection_time": 3000}))
    assert transport.json() == PLAIN | {"caller_name": "Acme", "machine_detection_time": 3000}


@pytest.mark.parametrize("name", ["to", "answer_url", "callback_url", "machine_detection", "time_limit"])
def test_extra_parameters_cannot_replace_what_the_gateway_sets(name: str) -> None:
    plivo, transport = provider()
    request = replace(DIAL, extra={name: "14155550100<14155550101"})
    with pytest.raises(ValidationError, match=f"extra: set by the gateway: {name}"):
        plivo.check_dial(request)
    assert transport.requests == []


def test_even_unchecked_extra_parameters_cannot_add_a_destination() -> None:
    plivo, transport = provider(fired())
    plivo.dial(replace(DIAL, extra={"to": "14155550100<14155550101"}))
    assert transport.json()["to"] == "14155550100"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"join_timeout_s": 0}, "join_timeout: plivo takes 1 to 600 s"),
        ({"join_timeout_s": 601}, "join_timeout: plivo takes 1 to 600 s"),
        ({"max_duration_s": 86_401}, "max_duration: plivo takes 1 to 86400 s"),
        ({"to": "+12125550123"}, "phone_number: plivo cannot call a number from itself"),
        ({"to": "+14155550100<+14155550101"}, "phone_number: not one E.164 number"),
        ({"to": "+١٤١٥٥٥٥٠١٠٠"}, "phone_number: not one E.164 number"),
        ({"to": "sip:agent@phone.plivo.com"}, "phone_number: not one E.164 number"),
        ({"caller_id": "anonymous"}, "from_number: not one E.164 number"),
    ],
)
def test_what_plivo_cannot_take_is_refused_before_anything_is_sent(
    changes: dict[str, object], message: str
) -> None:
    plivo, transport = provider()
    with pytest.raises(ValidationError) as refused:
        plivo.check_dial(replace(DIAL, **changes))  # type: ignore[arg-type]
    assert str(refused.value) == message
    assert transport.requests == []


@pytest.mark.parametrize(("low", "high"), [(1, 1), (600, 86_400)])
def test_the_ends_of_the_ranges_are_taken(low: int, high: int) -> None:
    provider()[0].check_dial(replace(DIAL, join_timeout_s=low, max_duration_s=high))


@pytest.mark.parametrize("message", ["call fired", "call queued"])
@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_2xx_with_one_request_uuid_is_accepted(status: int, message: str) -> None:
    answer = reply(status, {"api_id": "x", "message": message, "request_uuid": REQUEST})
    outcome = provider(answer)[0].dial(DIAL)
    assert (outcome.result, outcome.leg_id, outcome.other_ids) == (DialResult.ACCEPTED, REQUEST, ())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>fine</html>",
        b"[]",
        b"null",
        b"7",
        b'{"request_uuid": "' + REQUEST.encode() + b'"',
        b"{" * 50_000,
        b'{"request_uuid": NaN}',
        b'{"message": "async api spawned", "api_id": "x"}',
        b'{"request_uuid": ["' + REQUEST.encode() + b'", "' + CALL.encode() + b'"]}',
        b'{"request_uuid": null}',
        b'{"request_uuid": ""}',
        b'{"request_uuid": "../Call"}',
        b'{"request_uuid": 12}',
        b"\xff\xfe",
    ],
)
def test_a_2xx_without_one_well_formed_id_is_unknown(body: bytes) -> None:
    plivo, transport = provider(reply(201, body))
    outcome = plivo.dial(DIAL)
    assert (outcome.result, outcome.leg_id) == (DialResult.UNKNOWN, None)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 422])
def test_a_refusal_in_plivos_own_format_is_rejected(status: int) -> None:
    plivo, transport = provider(fault(status, "something is invalid"))
    outcome = plivo.dial(DIAL)
    assert (outcome.result, outcome.http_status, outcome.leg_id) == (DialResult.REJECTED, status, None)
    assert outcome.cause is not None
    assert outcome.message == "something is invalid"
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>blocked by policy</html>",
        b'{"error": "a proxy says no"}',
        b'{"api_id": "x"}',
        b'{"api_id": "x", "error": {"code": 1}}',
        b'["error"]',
        b'{"message": "forbidden"}',
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_foreign_looking_4xx_is_unknown(status: int, body: bytes) -> None:
    outcome = provider(reply(status, body))[0].dial(DIAL)
    assert (outcome.result, outcome.http_status) == (DialResult.UNKNOWN, status)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504, 599])
def test_every_other_answer_is_unknown_after_one_post(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"Location": "https://api.plivo.com/elsewhere"}
    plivo, transport = provider(fault(status, "try again", **headers))
    outcome = plivo.dial(DIAL)
    assert (outcome.result, outcome.http_status) == (DialResult.UNKNOWN, status)
    assert len(transport.requests) == 1
    assert capsys.readouterr() == ("", "")  # the SDK prints when it falls back


def test_a_dial_after_several_failures_is_still_one_post() -> None:
    plivo, transport = provider(*[fault(503) for _ in range(6)], fired())
    for _ in range(6):
        assert plivo.dial(DIAL).result is DialResult.UNKNOWN
    assert plivo.dial(DIAL).result is DialResult.ACCEPTED
    assert len(transport.requests) == 7


def test_the_wait_that_a_429_asks_for_is_told() -> None:
    outcome = provider(fault(429, "slow down", Retry_After="7"))[0].dial(DIAL)
    assert (outcome.result, outcome.retry_after_s) == (DialResult.UNKNOWN, 7.0)
    assert provider(fault(429, "x", Retry_After="Tue, 1 Jan"))[0].dial(DIAL).retry_after_s is None


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (NotSent("api.plivo.com:443: refused"), DialResult.NOT_SENT),
        (HostRefused("not ours"), DialResult.NOT_SENT),
        (OutcomeUnknown("api.plivo.com:443: timed out"), DialResult.UNKNOWN),
    ],
)
def test_what_the_transport_knows_decides_when_no_answer_came(
    error: TransportError, result: DialResult
) -> None:
    plivo, transport = provider(error)
    assert plivo.dial(DIAL).result is result
    assert len(transport.requests) == 1


def test_a_timeout_before_the_first_byte_is_not_sent() -> None:
    error = NotSent("timed out")
    error.__cause__ = TimeoutError()
    assert provider(error)[0].dial(DIAL).result is DialResult.NOT_SENT


def test_anything_unexpected_after_the_request_is_unknown() -> None:
    outcome = provider(RuntimeError("14155550100"))[0].dial(DIAL)
    assert (outcome.result, outcome.message) == (DialResult.UNKNOWN, "no usable answer (RuntimeError)")


def test_an_error_text_loses_its_whole_numbers() -> None:
    text = "from parameter is invalid. 12125550123 is not associated with your account."
    outcome = provider(fault(400, text))[0].dial(DIAL)
    assert outcome.message == "from parameter is invalid. …0123 is not associated with your account."
    assert outcome.cause is EndCause.CALLER_ID_REFUSED


def test_nothing_of_a_dial_leaves_for_another_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.close()
        plivo = PlivoProvider(SECRETS, base_url=f"http://127.0.0.1:{port}")
        assert plivo.dial(DIAL).result is DialResult.NOT_SENT


def test_a_base_url_that_would_send_secrets_in_the_clear_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="only https"):
        PlivoProvider(SECRETS, base_url="http://api.example.com").check_dial(DIAL)


def test_an_auth_id_that_is_none_is_refused_before_the_dial() -> None:
    transport = StubTransport()
    plivo = PlivoProvider(SECRETS | {"auth_id": "nonsense"}, transport=transport)
    with pytest.raises(ConfigurationError, match="auth_id"):
        plivo.prepare()
    assert transport.requests == []


def test_every_thread_has_a_client_of_its_own() -> None:
    import threading

    plivo, _ = provider()
    clients: list[object] = [plivo._client(), plivo._client()]
    thread = threading.Thread(target=lambda: clients.append(plivo._client()))
    thread.start()
    thread.join()
    assert clients[0] is clients[1]
    assert clients[0] is not clients[2]


def test_a_missing_sdk_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from gateway.errors import MissingExtra
    from providers.plivo import client

    client._client_class.cache_clear()
    monkeypatch.setitem(sys.modules, "plivo.rest", None)
    with pytest.raises(MissingExtra, match=r"telephony-gateway\[plivo\]"):
        provider()[0].prepare()
    client._client_class.cache_clear()
