"""The simulator's Plivo signatures: the published vectors, and agreement with the vendor's own code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulator.carriers.plivo import signing

TOKEN = "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIyOTc4"  # published with the vectors
NONCE = "31627761595286130198"
URL = "https://plivobin.non-prod.plivops.com/api/v1/validate_signature03.xml"
UUID = "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"
PARAMS = (
    ("Direction", "outbound"),
    ("From", "19792014278"),
    ("CallStatus", "in-progress"),
    ("BillRate", "0.002"),
    ("ParentAuthID", "MANWVLYTK4ZWU1YTY4QA"),
    ("Event", "StartApp"),
    ("ALegUUID", UUID),
    ("ALegRequestUUID", UUID),
    ("CallUUID", UUID),
    ("RequestUUID", UUID),
    ("To", "sip:PlivoSignature382029104058171078704104@phone-qa.voice.plivodev.com"),
    ("SIP-H-To", "<sip:PlivoSignature382029104058171078704104@52.9.11.55;transport=udp>;tag=1"),
    ("SessionStart", "2020-04-08 11:34:33.238707"),
)


@pytest.mark.parametrize(
    ("method", "url", "signature"),
    [
        ("POST", URL + "/?a=b&c=d", "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c="),
        ("GET", URL + "/?a=b&c=d", "UBq8jAtd32wR8EK9VgxbBn4n5rpI/l1H9iN4WfSEHFQ="),
        ("POST", URL, "iAjE5QqI37mbkYe4w3jTMudqEzbDufdqi7sYwTu64e0="),
        ("GET", URL, "i/MQsaQSAd6fiKhOh2qeeeLHZ9faldADSb3/7+Akfbc="),
    ],
)
def test_published_v3_vectors_are_reproduced(method: str, url: str, signature: str) -> None:
    assert signing.signature_v3(method, url, PARAMS, NONCE, TOKEN) == signature


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("https://answer.url", "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="),
        ("https://answer.url/", "do1CXv+k99A6+B+eTcyqbxWlezFIxJ/1vz72787r37g="),
        ("https://answer.url:8000", "Gm7Z7AGBmf5JpSHrtUmeofrGyA4xV0ZiV0rH8JPXWGU="),
    ],
)
def test_published_v2_vectors_are_reproduced(url: str, signature: str) -> None:
    assert signing.signature_v2(url, "12345", "my_auth_token") == signature


@pytest.mark.parametrize(
    ("method", "url", "params", "canonical"),
    [
        ("POST", "https://gw.example.com/a", "B=2 a=1 A=0", "https://gw.example.com/a?A0B2a1"),
        ("POST", "https://gw.example.com/a?z=1&b=2", "X=1", "https://gw.example.com/a?b=2&z=1.X1"),
        ("POST", "https://gw.example.com/a?z=1&b=2", "", "https://gw.example.com/a?b=2&z=1"),
        ("POST", "https://gw.example.com/a", "", "https://gw.example.com/a"),
        ("POST", "https://gw.example.com:8443/a/", "X=1", "https://gw.example.com:8443/a/?X1"),
        ("POST", "https://gw.example.com/a", "k=2 k=1 j=", "https://gw.example.com/a?jk1k2"),
        ("POST", "https://gw.example.com/a?q=a%20b+c&e=", "X=1", "https://gw.example.com/a?e=&q=a b c.X1"),
        ("GET", "https://gw.example.com/a?z=1&b=2", "", "https://gw.example.com/a?b=2&z=1"),
        ("GET", "https://gw.example.com/a#rc=2", "", "https://gw.example.com/a"),
    ],
)
def test_the_signed_text_has_the_documented_form(method: str, url: str, params: str, canonical: str) -> None:
    pairs = tuple((name, value) for name, _, value in (item.partition("=") for item in params.split()))
    assert signing.canonical_v3(method, url, pairs) == canonical


WORD = st.text(alphabet="abcXYZ019-_.~ é/<>", max_size=8)
NAME = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=6)


@given(
    method=st.sampled_from(["POST", "GET"]),
    params=st.dictionaries(NAME, WORD, max_size=6),
    query=st.dictionaries(NAME, st.text(alphabet="abc019-_", max_size=5), max_size=4),
)
def test_the_vendor_accepts_what_the_simulator_signs(
    method: str, params: dict[str, str], query: dict[str, str]
) -> None:
    from plivo.utils.signature_v3 import validate_v3_signature

    url = "https://gw.example.com:8443/plivo/answer"
    if query:
        url += "?" + "&".join(f"{name}={value}" for name, value in query.items())
    signature = signing.signature_v3(method, url, tuple(params.items()), NONCE, TOKEN)
    assert validate_v3_signature(method, url, NONCE, TOKEN, signature, params)


def test_a_request_carries_both_signatures_and_each_has_its_own_key() -> None:
    headers = signing.signed_headers("POST", URL, PARAMS, nonce=NONCE, tokens=["sub"], main_token=TOKEN)
    assert headers["X-Plivo-Signature-Ma-V3"] == "iAjE5QqI37mbkYe4w3jTMudqEzbDufdqi7sYwTu64e0="
    assert headers["X-Plivo-Signature-V3"] == signing.signature_v3("POST", URL, PARAMS, NONCE, "sub")
    assert headers["X-Plivo-Signature-V3-Nonce"] == headers["X-Plivo-Signature-V2-Nonce"] == NONCE
    assert headers["X-Plivo-Signature-V2"] != headers["X-Plivo-Signature-Ma-V2"]


def test_a_token_in_rotation_adds_a_second_signature() -> None:
    headers = signing.signed_headers("POST", URL, PARAMS, nonce=NONCE, tokens=["a", "b"], main_token="a")
    first, second = headers["X-Plivo-Signature-V3"].split(",")
    assert first == headers["X-Plivo-Signature-Ma-V3"]
    assert second == signing.signature_v3("POST", URL, PARAMS, NONCE, "b")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_the_websocket_upgrade_is_signed_over_the_http_form(scheme: str) -> None:
    headers = signing.upgrade_headers(
        f"{scheme}://gw.example.com:8443/ws/42?a=1", nonce=NONCE, tokens=[TOKEN], main_token=TOKEN
    )
    expected = signing.signature_v3("GET", "http://gw.example.com:8443/ws/42?a=1", (), NONCE, TOKEN)
    assert headers["X-Plivo-Signature-V3"] == expected
