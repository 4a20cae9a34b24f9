from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport import HttpRequest, HttpResponse, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://api.c.example/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Calls.json",
            "https://api.c.example/2010-04-01/Accounts/***cdef/Calls.json",
        ),
        (
            "https://api.c.example/2010-04-01/Accounts/ACx/Calls/CA0123456789abcdef0123456789abcd77.json",
            "https://api.c.example/2010-04-01/Accounts/***/Calls/***cd77.json",
        ),
        ("https://api.c.example/v2/calls/v3%3AKH-abc_dEF/actions/hangup", "https://api.c.example/v2/calls/***_dEF/actions/hangup"),
        ("https://api.c.example/v2/available_phone_numbers", "https://api.c.example/v2/available_phone_numbers"),
        ("https://api.c.example/v1/Number/14155550123/", "https://api.c.example/v1/Number/***0123/"),
        ("https://api.c.example/v1/Number/%2B14155550123/", "https://api.c.example/v1/Number/***0123/"),
        ("https://api.c.example/AvailablePhoneNumbers/US/Local.json", "https://api.c.example/AvailablePhoneNumbers/US/Local.json"),
        ("https://c.example/Calls.json?To=%2B1415&Start%3E=2026&page%5Bsize%5D=20", "https://c.example/Calls.json?To=***&Start%3E=***&page%5Bsize%5D=***"),
        ("https://c.example/x?14155550123&flag", "https://c.example/x?***&flag"),
        ("https://user:secret@c.example:8443/x#14155550123", "https://c.example:8443/x"),
        ("http://127.0.0.1:8080/carrier", "http://127.0.0.1:8080/carrier"),
        ("https://[broken/14155550123", "***"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_ids_numbers_and_query_values(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(
    digits=st.text("0123456789", min_size=7, max_size=15),
    before=st.sampled_from(["", "+", "%2B", "sip:", "tel:+"]),
)
def test_a_number_anywhere_in_a_path_keeps_at_most_its_last_four_digits(digits: str, before: str) -> None:
    shown = redact_url(f"https://c.example/a/{before}{digits}/b/{before}{digits}.json?q={digits}&{digits}")
    assert sum(character.isdigit() for character in shown) <= 8


def test_reprs_show_names_and_sizes_only() -> None:
    request = HttpRequest(
        method="POST",
        url="https://c.example/a?k=secret",
        headers=(("Authorization", "secret"),),
        body=b"secret",
    )
    response = HttpResponse(status=200, headers=(("Set-Cookie", "secret"),), body=b"secret")
    assert (
        repr(request) == "HttpRequest(POST https://c.example/a?k=***, headers: Authorization, body: 6 bytes)"
    )
    assert repr(response) == "HttpResponse(200, headers: Set-Cookie, body: 6 bytes)"
