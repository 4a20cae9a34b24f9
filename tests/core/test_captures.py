"""A webhook in a file: both forms, and what is none of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.captures import Capture, read_capture
from gateway.errors import ValidationError

WIRE = b"POST /voice/k/status?a=1 HTTP/1.1\r\nHost: gw.example.net\r\nX-Empty:\r\n\r\nA=1&B=%2B2"


def test_the_request_on_the_wire_is_read_byte_for_byte() -> None:
    found = read_capture(WIRE)
    assert (found.method, found.target, found.origin) == ("POST", "/voice/k/status?a=1", None)
    assert found.headers == (("Host", "gw.example.net"), ("X-Empty", ""))
    assert found.body == b"A=1&B=%2B2"


def test_line_ends_of_an_editor_are_read() -> None:
    assert read_capture(WIRE.replace(b"\r\n", b"\n")).body == b"A=1&B=%2B2"
    assert read_capture(b"GET /x HTTP/1.1").body == b""


def test_a_last_line_end_is_left_out_only_where_the_length_says_so() -> None:
    sized = WIRE.replace(b"X-Empty:", b"Content-Length: 10")
    assert read_capture(sized + b"\n").body == b"A=1&B=%2B2"
    assert read_capture(WIRE + b"\n").body == b"A=1&B=%2B2\n"


def test_an_absolute_address_is_taken_apart() -> None:
    found = read_capture(
        json.dumps({"url": "https://gw.example.net:8443/voice/k?x=1#rc=2", "headers": []}).encode()
    )
    assert (found.method, found.origin, found.target) == (
        "POST",
        "https://gw.example.net:8443",
        "/voice/k?x=1",
    )


def test_what_is_written_is_read_again() -> None:
    made = Capture(
        method="POST",
        target="/voice/k/status",
        headers=(("A", "1"), ("A", "2")),
        body=bytes(range(256)),
        received_at=datetime(2026, 11, 21, 15, 4, 5, tzinfo=UTC),
        reason="stale",
    )
    assert read_capture(made.as_json().encode()) == made
    assert "/voice" not in repr(made)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins like POST"),
        (b"\xff\xfe", "begins like POST"),
        (b"{", "not JSON"),
        (b'{"url": "/x", "headers": {}, "cookie": 1}', "no such name: 'cookie'"),
        (b'{"headers": {}}', '"url" is'),
        (b'{"url": "ftp://x/", "headers": {}}', "begins with https"),
        (b'{"url": "https://[/", "headers": {}}', "no address"),
        (b'{"url": "https://x:99999/", "headers": {}}', "no address"),
        (b'{"url": "/x"}', '"headers" is'),
        (b'{"url": "/x", "headers": {"A": 1}}', '"headers" is'),
        (b'{"url": "/x", "headers": [["A"]]}', '"headers" is'),
        (b'{"url": "/x", "headers": {}, "method": "post it"}', '"method" is'),
        (b'{"url": "/x", "headers": {}, "body": 1}', '"body" is text'),
        (b'{"url": "/x", "headers": {}, "body_base64": "*"}', '"body" is text'),
        (b'{"url": "/x", "headers": {}, "body": "a", "body_base64": "YQ=="}', "not both"),
        (b'{"url": "/x", "headers": {}, "received_at": "today"}', '"received_at" is'),
        (b'{"url": "/x", "headers": {}, "received_at": "2026-11-21T15:04:05"}', "needs its zone"),
        (b"POST /x HTTP/1.1\r\nno header\r\n\r\n", "line 2 is no header"),
        (b"POST /x HTTP/1.1 and more\r\n\r\n", "first line"),
        (b" " * 12_000_001, "larger than"),
    ],
)
def test_what_is_neither_is_refused_with_what_to_give(content: bytes, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_capture(content)
    assert message in str(refused.value)
    assert refused.value.field == "FILE"
