"""The simulated Telnyx refuses what the carrier refuses, with its codes and in its order."""

from __future__ import annotations

from typing import Any, Final

import pytest

from providers.simulator.carriers.telnyx import rest
from providers.simulator.carriers.telnyx.errors import Refused
from providers.simulator.carriers.telnyx.memory import CommandMemory

DIAL: Final = {"connection_id": "2900000000000000001", "to": "+14155550123", "from": "+14155550100"}

# The request example of the fact sheet, field by field documented.
FULL_DIAL: Final = {
    **DIAL,
    "from_display_name": "Example Clinic",
    "timeout_secs": 40,
    "retry_on_timeout": False,
    "time_limit_secs": 3600,
    "answering_machine_detection": "premium",
    "answering_machine_detection_config": {"total_analysis_time_millis": 5000},
    "command_id": "3f0d4c1a-6f5e-4a0e-9a61-0d5f0c8e7b21",
    "client_state": "eyJjYWxsX2lkIjoiYy0xMDAxIn0=",
    "webhook_url": "https://voice.example.test/webhooks/telnyx",
    "webhook_retries_policies": {"call.hangup": {"retries_ms": [1000, 2000, 5000]}},
    "record": "record-from-answer",
    "record_channels": "dual",
    "record_format": "mp3",
    "custom_headers": [{"name": "X-Tenant", "value": "t-7"}],
    "stream_url": "wss://agents.example.test/media",
    "stream_bidirectional_mode": "rtp",
}


def refusal(call: Any, *args: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*args)
    return caught.value


def test_the_documented_dial_is_accepted() -> None:
    rest.check_dial(dict(FULL_DIAL))


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"to": None}, "10004", "/to"),
        ({"from": ""}, "10004", "/from"),
        ({"connection_id": None}, "10004", "/connection_id"),
        ({"connection_id": 29}, "10026", "/connection_id"),
        ({"to": "4155550123"}, "10016", "/to"),
        ({"to": "+0415555"}, "10016", "/to"),
        ({"to": "+14155550123,12x"}, "10016", "/to"),
        ({"to": "sip:nobody"}, "10015", "/to"),
        ({"to": 14155550123}, "10026", "/to"),
        ({"to": ["+14155550123"]}, "10015", "/to"),
        ({"from": "Anonymous"}, "10016", "/from"),
        ({"timeout_secs": 4}, "90028", "/timeout_secs"),
        ({"timeout_secs": 601}, "90028", "/timeout_secs"),
        ({"timeout_secs": "30"}, "10026", "/timeout_secs"),
        ({"timeout_secs": 30.5}, "10026", "/timeout_secs"),
        ({"timeout_secs": True}, "10026", "/timeout_secs"),
        ({"time_limit_secs": 29}, "90029", "/time_limit_secs"),
        ({"time_limit_secs": 14401}, "90029", "/time_limit_secs"),
        ({"retry_on_timeout": 0}, "10026", "/retry_on_timeout"),
        ({"client_state": "not base64!"}, "90017", "/client_state"),
        ({"client_state": "YQ"}, "90017", "/client_state"),
        ({"answering_machine_detection": "on"}, "10032", "/answering_machine_detection"),
        (
            {"answering_machine_detection_config": {"speed": 1}},
            "10015",
            "/answering_machine_detection_config/speed",
        ),
        ({"webhook_url": "/relative"}, "10003", "/webhook_url"),
        ({"webhook_url": "https://x.test/" + "a" * 2000}, "10003", "/webhook_url"),
        ({"webhook_url_method": "PUT"}, "10032", "/webhook_url_method"),
        ({"webhook_url_method": "GET"}, "10015", "/webhook_url_method"),
        ({"webhook_retries_policies": {"call.ended": {"retries_ms": [1]}}}, "90057", None),
        ({"webhook_retries_policies": {"call.hangup": {"retries_ms": [1] * 6}}}, "10033", None),
        ({"webhook_retries_policies": {"call.hangup": {"retries_ms": [60_001]}}}, "10033", None),
        ({"webhook_urls": {"call.hung": "https://x.test/"}}, "90057", None),
        ({"custom_headers": [{"name": "X"}]}, "10015", "/custom_headers"),
        ({"sip_headers": [{"name": "X-Other", "value": "1"}]}, "10032", "/sip_headers"),
        ({"stream_url": "https://agents.example.test"}, "10015", "/stream_url"),
        ({"stream_bidirectional_codec": "pcmu"}, "10032", "/stream_bidirectional_codec"),
        ({"stream_auth_token": "t" * 4001}, "10033", "/stream_auth_token"),
        ({"record": "yes"}, "10032", "/record"),
        ({"record_custom_file_name": ""}, "10033", "/record_custom_file_name"),
        ({"send_digits_on_answer": "12x"}, "90014", "/send_digits_on_answer"),
        ({"from_display_name": "Jané"}, "10015", "/from_display_name"),
        ({"media_encryption": "SRTP"}, "10011", "/media_encryption"),
        ({"audio_url": "https://x.test/a.mp3", "media_name": "a"}, "10015", "/media_name"),
        ({"conference_config": {}}, "10015", "/conference_config"),
        ({"fallback_url": "https://x.test/"}, "10015", "/fallback_url"),
        ({"from_": "+14155550100"}, "10015", "/from_"),
    ],
)
def test_a_wrong_dial_field_is_refused_by_name(
    change: dict[str, Any], code: str, pointer: str | None
) -> None:
    refused = refusal(rest.check_dial, {**DIAL, **change})
    assert (refused.status, refused.code) == (422, code)
    if pointer is not None:
        assert refused.body["errors"][0]["source"] == {"pointer": pointer}


@pytest.mark.parametrize(
    "to", ["sip:agent@pbx.example.test;secure=srtp", "+14155550123,200", "+442079460000"]
)
def test_numbers_digits_and_sip_addresses_are_targets(to: str) -> None:
    rest.check_dial({**DIAL, "to": to})


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("answer", {"stream_url": "ws://127.0.0.1:9000/media", "stream_track": "both_tracks"}),
        ("reject", {"cause": "USER_BUSY"}),
        ("hangup", {}),
        ("transfer", {"to": "sip:pbx@sip.example.test", "target_leg_client_state": "YQ=="}),
        ("speak", {"payload": "Hello", "voice": "female", "language": "en-US", "loop": 2}),
        ("playback_start", {"audio_url": "https://x.test/a.mp3", "loop": "infinity"}),
        ("playback_stop", {"stop": "all"}),
        ("record_start", {"format": "wav", "channels": "dual", "max_length": 14400}),
        ("record_stop", {}),
        (
            "streaming_start",
            {"stream_url": "wss://a.test/m", "custom_parameters": [{"name": "k", "value": "v"}]},
        ),
        ("streaming_stop", {}),
        ("send_dtmf", {"digits": "12wW#", "duration_millis": 500}),
        ("client_state_update", {"client_state": "YQ=="}),
    ],
)
def test_the_documented_form_of_each_command_is_accepted(action: str, body: dict[str, Any]) -> None:
    rest.check_action(action, body)


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("reject", {}, "10004"),
        ("reject", {"cause": "BUSY"}, "10032"),
        ("transfer", {}, "10004"),
        ("transfer", {"to": "+14155550199", "timeout_secs": 4}, "90028"),
        ("speak", {"voice": "female"}, "10004"),
        ("speak", {"payload": "Hello"}, "10004"),
        ("speak", {"payload": "x" * 3001, "voice": "female"}, "10033"),
        ("speak", {"payload": "Hello", "voice": "female", "language": "en"}, "10032"),
        ("speak", {"payload": "Hello", "voice": "female", "loop": 0}, "10015"),
        ("playback_start", {}, "10004"),
        ("playback_start", {"audio_url": "https://x.test/a", "playback_content": "YQ=="}, "10004"),
        ("record_start", {"format": "wav"}, "10004"),
        ("record_start", {"format": "ogg", "channels": "dual"}, "10032"),
        ("record_start", {"format": "wav", "channels": "dual", "max_length": 14401}, "10033"),
        ("streaming_start", {}, "10004"),
        ("send_dtmf", {"digits": "0-9"}, "90014"),
        ("send_dtmf", {"digits": "1", "duration_millis": 99}, "10033"),
        ("client_state_update", {}, "10004"),
        ("hangup", {"cause": "x"}, "10015"),
        ("hangup", {"client_state": "%"}, "90017"),
        ("gather", {}, "10005"),
    ],
)
def test_a_wrong_command_is_refused(action: str, body: dict[str, Any], code: str) -> None:
    assert refusal(rest.check_action, action, body).code == code


@pytest.mark.parametrize(
    ("content_type", "raw", "status", "code"),
    [
        ("application/json", b"{", 400, "10015"),
        ("application/json", b"[]", 400, "10015"),
        ("application/json", b'{"a": NaN}', 400, "10015"),
        ("application/json", b'{"a": "\xff"}', 400, "10028"),
        ("application/x-www-form-urlencoded", b"to=1", 400, "10015"),
        ("application/json", b"[" * 100_000, 400, "10015"),
    ],
)
def test_a_body_that_is_no_json_object_is_malformed(
    content_type: str, raw: bytes, status: int, code: str
) -> None:
    refused = refusal(rest.read_body, content_type, raw)
    assert (refused.status, refused.code) == (status, code)


def may(**changes: Any) -> rest.Permission:
    base: dict[str, Any] = {
        "app_active": True,
        "profile": rest.Profile(id="1"),
        "owned": frozenset({DIAL["from"]}),
        "elsewhere": frozenset({"+14155550177"}),
    }
    return rest.Permission(**{**base, **changes})


def country_of(number: str) -> str | None:
    return {"+1": "US", "+4": "GB"}.get(number[:2])


@pytest.mark.parametrize(
    ("permission", "dial", "d_code"),
    [
        ({"app_active": False, "profile": None}, {}, "D16"),
        ({"profile": None}, {"from": "+14155550177"}, "D38"),
        ({"profile": rest.Profile(id="1", enabled=False)}, {"from": "+14155550177"}, "D15"),
        ({}, {"from": "+1415"}, "D35"),
        ({}, {"from": "+14155550177"}, "D36"),
        ({}, {"from": "+14155550199", "to": "+442079460000"}, "D51"),
        ({}, {"to": DIAL["from"]}, "D53"),
        ({"account_limit": 0}, {"to": "+442079460000"}, "D13"),
        ({"account_limit": 2, "account_live": 2, "app_limit": 0}, {}, "D1"),
        ({"profile": rest.Profile(id="1", channel_limit=1), "account_live": 1}, {}, "D2"),
        ({"app_limit": 1, "app_live": 1}, {}, "D3"),
    ],
)
def test_a_dial_is_refused_by_the_first_check_that_fails(
    permission: dict[str, Any], dial: dict[str, Any], d_code: str
) -> None:
    refused = refusal(rest.check_permission, {**DIAL, **dial}, may(**permission), country_of)
    assert (refused.status, refused.code) == (403, "10010")
    assert refused.body["telnyx_error"] == {"error_code": d_code}
    assert refused.body["errors"][0]["detail"].endswith(d_code)


def test_an_unknown_application_is_refused_before_anything_else() -> None:
    refused = refusal(rest.check_permission, DIAL, may(app_active=None, profile=None), country_of)
    assert (refused.status, refused.code) == (422, "10015")
    assert refused.body["errors"][0]["source"] == {"pointer": "/connection_id"}
    assert "telnyx_error" not in refused.body


def test_what_is_allowed_is_dialed() -> None:
    rest.check_permission(DIAL, may(account_limit=2, account_live=1), country_of)


def test_cursor_pages_lead_through_the_whole_list_and_back() -> None:
    items: list[dict[str, Any]] = [{"id": f"v3:{n}"} for n in range(5)]
    seen, query = [], {"page[limit]": "2"}
    while True:
        page = rest.cursor_page(items, "id", query, "/x")
        seen += page["data"]
        if "after" not in page["meta"]["cursors"]:
            break
        query = {"page[limit]": "2", "page[after]": page["meta"]["cursors"]["after"]}
    assert seen == items
    back = rest.cursor_page(items, "id", {"page[limit]": "2", "page[before]": "v3:4"}, "/x")
    assert back["data"] == items[2:4]
    assert refusal(rest.cursor_page, items, "id", {"page[after]": "v3:9"}, "/x").status == 422
    numbered = rest.cursor_page(items, "id", {"page[size]": "2", "page[number]": "3"}, "/x")
    assert numbered["data"] == items[4:]
    assert rest.cursor_page(items, "id", {"page[number]": "2"}, "/x")["data"] == []


def test_numbered_pages_say_how_many_there_are() -> None:
    items: list[dict[str, Any]] = [{"n": n} for n in range(5)]
    page = rest.listed(items, {"page[size]": "2", "page[number]": "3"})
    assert page["data"] == [{"n": 4}]
    assert page["meta"] == {"page_number": 3, "page_size": 2, "total_pages": 3, "total_results": 5}
    for wrong in ({"page[size]": "0"}, {"page[size]": "251"}, {"page[number]": "x"}):
        assert refusal(rest.listed, items, wrong).code == "10033"


def test_a_command_id_is_remembered_for_sixty_seconds() -> None:
    now = [100.0]
    memory = CommandMemory(lambda: now[0])
    memory.remember("account", "id-1", (200, {"first": True}))
    now[0] = 160.0
    assert memory.recall("account", "id-1") == (200, {"first": True})
    assert memory.recall("other account", "id-1") is None
    assert memory.recall("account", None) is None
    now[0] = 160.1
    assert memory.recall("account", "id-1") is None
