from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import WebhookRequest
from gateway.wire import FORM, JSON, media_type, parse_form, parse_json, single


def request(*headers: tuple[str, str]) -> WebhookRequest:
    return WebhookRequest(method="POST", url="https://gw.example.net/voice", headers=headers, body=b"")


def test_a_form_keeps_blank_values_order_and_repeats() -> None:
    assert parse_form(b"a=1&b=&a=2&c&d=x+y%2Bz&e=%C3%A9%3D%26") == {
        "a": ["1", "2"],
        "b": [""],
        "c": [""],
        "d": ["x y+z"],
        "e": ["é=&"],
    }


def test_an_equals_sign_in_a_value_belongs_to_the_value() -> None:
    assert parse_form(b"a=b=c") == {"a": ["b=c"]}


def test_an_empty_body_is_an_empty_form() -> None:
    assert parse_form(b"") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"a=\xff",
        b"a=%FF",
        b"%ff=a",
        b"a=%C3",
        b"a=%C0%AF",  # an overlong slash
        b"a=%ED%A0%80",  # a surrogate
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=1&" * 513,
    ],
)
def test_a_form_that_no_carrier_sends_is_refused_and_not_repaired(body: bytes) -> None:
    with pytest.raises(WebhookRejected) as caught:
        parse_form(body)
    assert caught.value.reason is RejectionReason.MALFORMED


def test_single_returns_the_value_or_none() -> None:
    fields = parse_form(b"a=1&b=")
    assert (single(fields, "a"), single(fields, "b"), single(fields, "c")) == ("1", "", None)


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=1&a=1"])
def test_single_refuses_a_repeated_field_even_with_equal_values(body: bytes) -> None:
    with pytest.raises(WebhookRejected, match="repeated"):
        single(parse_form(body), "a")


def test_json_is_read_as_it_is() -> None:
    body = '{"data": {"n": 1, "x": -2.5, "t": true, "z": null, "l": ["é", "\\u0000"]}}'.encode()
    assert parse_json(body) == {"data": {"n": 1, "x": -2.5, "t": True, "z": None, "l": ["é", "\0"]}}


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert parse_json(b'{"a\\ud800": ["\\udfff"], "b": "\\ud83d\\ude00"}') == {
        "a\ufffd": ["\ufffd"],
        "b": "😀",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"{",
        b'{"a": 1} {}',
        b'{"a": 1, "a": 1}',
        b'{"d": {"a": 1, "a": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 26 + b"}",
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": 0.' + b"9" * 100_000 + b"}",
        b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
    ],
)
def test_json_that_no_carrier_sends_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookRejected) as caught:
        parse_json(body)
    assert caught.value.reason is RejectionReason.MALFORMED


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse_json(b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}")["a"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"; x=1'],
)
def test_the_media_type_is_read_without_its_parameters(content_type: str) -> None:
    assert media_type(request(("content-type", content_type)), FORM, JSON) == JSON


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Content-Type", "multipart/form-data; boundary=x"),),
        (("Content-Type", "application/json; charset=latin-1"),),
        (("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
        (("Content-Type", "application/json"), ("Content-Type", "application/json")),
    ],
)
def test_another_media_type_charset_or_compression_is_unsupported(
    headers: tuple[tuple[str, str], ...],
) -> None:
    with pytest.raises(WebhookRejected) as caught:
        media_type(request(*headers), FORM, JSON)
    assert caught.value.http_status == 415


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else_is_raised(body: bytes) -> None:
    for read in (parse_form, parse_json):
        with suppress(WebhookRejected):
            read(body)
