"""The simulator's parameter checks for Plivo's REST API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.simulator.carriers.plivo import rest

ORDER = {"from": "14155550100", "to": "14155550111", "answer_url": "https://gw.example.com/plivo/answer"}
NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


def read(**changes: Any) -> rest.CallOrder:
    return rest.read_call_order({**ORDER, **changes}, lambda number: number == "14155550100")


def test_a_plain_order_gets_the_documented_defaults() -> None:
    order = read()
    assert (order.ring_timeout_s, order.time_limit_s, order.answer_method) == (120, 14_400, "POST")
    assert order.destinations == ("14155550111",)
    assert order.detection is None


def test_the_body_that_the_sdk_sends_is_accepted() -> None:
    order = read(
        answer_method="POST",
        ring_method="POST",
        hangup_method="POST",
        fallback_method="POST",
        machine_detection_time=5000,
        machine_detection_method="POST",
        ring_timeout=120,
        error_if_parent_not_found=False,
    )
    assert order == read()


@pytest.mark.parametrize("name", ["from", "to", "answer_url"])
def test_a_missing_parameter_is_named(name: str) -> None:
    body = {key: value for key, value in ORDER.items() if key != name}
    with pytest.raises(rest.RestError, match=f"400 {name} parameter is missing"):
        rest.read_call_order(body, lambda number: True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answer_url", "gw.example.com"),
        ("answer_url", "ftp://gw.example.com/"),
        ("answer_method", "PUT"),
        ("ring_timeout", -1),
        ("ring_timeout", "soon"),
        ("ring_timeout", True),
        ("time_limit", 0),
        ("hangup_on_ring", 0),
        ("machine_detection", "maybe"),
        ("machine_detection_time", 1999),
        ("machine_detection_time", 10_001),
        ("machine_detection_initial_silence", 1999),
        ("machine_detection_maximum_speech_length", 6001),
        ("caller_name", "x" * 51),
        ("send_digits", "12x"),
        ("sip_headers", "Call-Id=42"),
        ("sip_headers", "CallId=4 2"),
        ("to", "+1-415-555-0111"),
        ("to", "0415"),
        ("from", "14155550999"),
        ("call_type", "video"),
        ("callback_url", "https://gw.example.com/async"),
        ("Url", "https://gw.example.com/"),
    ],
)
def test_a_value_out_of_range_or_an_unknown_name_is_refused(name: str, value: Any) -> None:
    with pytest.raises(rest.RestError) as refused:
        read(**{name: value})
    assert refused.value.status == 400
    assert refused.value.text.startswith(name)


def test_a_caller_id_of_somebody_else_is_refused_in_plivos_words() -> None:
    with pytest.raises(rest.RestError, match="is not associated with your account"):
        read(**{"from": "+12125550199"})


def test_a_time_limit_over_a_day_is_cut_and_not_refused() -> None:
    assert read(time_limit=100_000).time_limit_s == 86_400


def test_bulk_destinations_are_split_and_a_malformed_one_vanishes() -> None:
    assert read(to="14155550111<abc<sip:joe@phone.plivo.com").destinations == (
        "14155550111",
        "sip:joe@phone.plivo.com",
    )


def test_over_a_thousand_destinations_are_refused() -> None:
    with pytest.raises(rest.RestError, match="at most 1000"):
        read(to="<".join(str(14155550000 + i) for i in range(1001)))


def test_sip_headers_become_the_parameters_that_callbacks_echo() -> None:
    assert read(sip_headers="CallId=42,Tenant=acme").sip_headers == {
        "X-PH-CallId": "42",
        "X-PH-Tenant": "acme",
    }


def test_detection_keeps_its_mode_and_address() -> None:
    order = read(machine_detection="hangup", machine_detection_url="https://gw.example.com/amd")
    assert order.detection == rest.Detection(mode="hangup", url="https://gw.example.com/amd", method="POST")
    assert read(machine_detection=True).detection == rest.Detection(mode="true", url=None, method="POST")


def test_whatsapp_calls_take_no_detection() -> None:
    with pytest.raises(rest.RestError, match="whatsapp_voice"):
        read(call_type="whatsapp_voice", machine_detection="true")


@pytest.mark.parametrize("limit", ["0", "21", "x"])
def test_a_page_holds_one_to_twenty_rows(limit: str) -> None:
    with pytest.raises(rest.RestError, match="limit"):
        rest.read_params({"limit": limit}, rest.CALL_LIST)


def test_a_list_looks_back_seven_days_unless_told() -> None:
    assert rest.time_range({}, "end_time", NOW) == (NOW - timedelta(days=7), NOW)


def test_a_list_over_thirty_days_is_refused_and_nothing_over_ninety_is_kept() -> None:
    early = rest.read_params({"end_time__gte": "2026-02-13 11:00"}, rest.CALL_LIST)
    with pytest.raises(rest.RestError, match="30 days"):
        rest.time_range(early, "end_time", NOW)
    old = rest.read_params({"end_time__gte": "2025-12-01", "end_time__lt": "2025-12-20"}, rest.CALL_LIST)
    low, high = rest.time_range(old, "end_time", NOW)
    assert low == NOW - timedelta(days=90)
    assert high < datetime(2025, 12, 20, tzinfo=UTC)


def test_duration_filters_are_combined() -> None:
    given = rest.read_params({"bill_duration__gt": "5", "bill_duration__lte": "10"}, rest.CALL_LIST)
    assert [value for value in (5, 6, 10, 11) if rest.in_range(given, "bill_duration", value)] == [6, 10]
