"""Writes the signature vectors in tests/vectors/plivo/.

Four signatures are published (the same in Plivo's Go and Ruby libraries) and stand here as literals. The others are
made by the signing code of the official library, `plivo.utils.signature_v3`, which shares nothing with ours.
Run: python tests/vectors/make_plivo.py. The tests read the files only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3

HERE = Path(__file__).parent / "plivo"
FORM = "application/x-www-form-urlencoded; charset=utf-8"

PUBLISHED_TOKEN = "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIyOTc4"
PUBLISHED_NONCE = "31627761595286130198"
PUBLISHED_URL = "https://plivobin.non-prod.plivops.com/api/v1/validate_signature03.xml"
PUBLISHED_FIELDS = urlencode(
    {
        "Direction": "outbound",
        "From": "19792014278",
        "CallStatus": "in-progress",
        "BillRate": "0.002",
        "ParentAuthID": "MANWVLYTK4ZWU1YTY4QA",
        "Event": "StartApp",
        "ALegUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
        "ALegRequestUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
        "CallUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
        "RequestUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
        "To": "sip:PlivoSignature382029104058171078704104@phone-qa.voice.plivodev.com",
        "SIP-H-To": "<sip:PlivoSignature382029104058171078704104@52.9.11.55;transport=udp>;tag=1",
        "SessionStart": "2020-04-08 11:34:33.238707",
    }
)
PUBLISHED = {  # name: method, url, signature
    "published_post_query": ("POST", "/?a=b&c=d", "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c="),
    "published_get_query": ("GET", "/?a=b&c=d", "UBq8jAtd32wR8EK9VgxbBn4n5rpI/l1H9iN4WfSEHFQ="),
    "published_post": ("POST", "", "iAjE5QqI37mbkYe4w3jTMudqEzbDufdqi7sYwTu64e0="),
    "published_get": ("GET", "", "i/MQsaQSAd6fiKhOh2qeeeLHZ9faldADSb3/7+Akfbc="),
}

MAIN = {"auth_id": "MAEXAMPLE0000000TEST", "auth_token": "bWFkZS11cC10b2tlbi1mb3ItdGhlLXRlc3RzLTAx"}
SUB = {"auth_id": "SAEXAMPLE0000000TEST", "auth_token": "c3ViLWFjY291bnQtdG9rZW4tb2YtdGhlLXRlc3Rz"}
NEW = "bmV3LXRva2VuLW9mLXRoZS10ZXN0cy1hYmNkZWZn"
PARENT = "bWFpbi1hY2NvdW50LXRva2VuLW9mLXRoZS10ZXN0"
OTHER = "c29tZWJvZHktZWxzZXMtdG9rZW4tMDEyMzQ1Njc4"
NONCE = "58271937401923847561"
GW = "https://gw.example.com/a"

V3, MA, NONCE_HEADER = "X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3", "X-Plivo-Signature-V3-Nonce"


def signature(token: str, url: str, body: str = "", method: str = "POST", nonce: str = NONCE) -> str:
    """Sign as the official library does."""
    fields: dict[str, Any] = parse_qs(body, keep_blank_values=True)
    made = construct_get_url(url, fields) if method == "GET" else construct_post_url(url, fields)
    return str(get_signature_v3(token.encode(), made.decode(), nonce.encode()).decode())


def write(
    name: str,
    headers: dict[str, str],
    body: str,
    *,
    url: str = GW,
    method: str = "POST",
    secrets: dict[str, str] = MAIN,
    rejected: str | None = None,
    canonical: str | None = None,
    source: str = "Made by tests/vectors/make_plivo.py with the official library's signing code; all values invented.",
) -> None:
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    headers = ({"Content-Type": FORM} if body else {}) | headers
    (folder / "headers.json").write_text(json.dumps(headers, indent=1) + "\n")
    (folder / "body").write_bytes(body.encode())
    expected = {
        "method": method,
        "url": url,
        "secrets": secrets,
        "rejected": rejected,
        "canonical": canonical,
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "SOURCE").write_text(source + "\n")


def signed(
    token: str, url: str = GW, body: str = "", method: str = "POST", nonce: str = NONCE
) -> dict[str, str]:
    return {V3: signature(token, url, body, method, nonce), NONCE_HEADER: nonce}


def published() -> None:
    for name, (method, tail, made) in PUBLISHED.items():
        write(
            name,
            {V3: made, NONCE_HEADER: PUBLISHED_NONCE},
            PUBLISHED_FIELDS,
            url=PUBLISHED_URL + tail,
            method=method,
            secrets=MAIN | {"auth_token": PUBLISHED_TOKEN},
            source="Published with Plivo's Go and Ruby libraries; nothing masked.",
        )


def forms() -> None:
    """The signed text of each is a literal from Plivo's description; the signature is the library's."""
    cases = {  # name: url, body, signed text
        "form_sorted_by_code_point": (GW, "B=2&a=1&A=0", "https://gw.example.com/a?A0B2a1"),
        "form_and_query": (f"{GW}?z=1&b=2", "X=1", "https://gw.example.com/a?b=2&z=1.X1"),
        "query_only": (f"{GW}?z=1&b=2", "", "https://gw.example.com/a?b=2&z=1"),
        "nothing_but_the_url": (GW, "", "https://gw.example.com/a"),
        "explicit_port": ("https://gw.example.com:8443/a/", "X=1", "https://gw.example.com:8443/a/?X1"),
        "repeated_and_blank": (GW, "k=2&k=1&j=", "https://gw.example.com/a?jk1k2"),
        "decoded_query": (f"{GW}?q=a%20b+c&e=", "X=1", "https://gw.example.com/a?e=&q=a b c.X1"),
        "fragment_is_not_signed": (f"{GW}#rc=3&rp=all", "X=1", "https://gw.example.com/a?X1"),
        "unicode_in_the_body": (
            GW,
            urlencode({"CallerName": "Zoë Ångström 東京"}),
            "https://gw.example.com/a?CallerNameZoë Ångström 東京",
        ),
    }
    for name, (url, body, text) in cases.items():
        write(name, signed(MAIN["auth_token"], url, body), body, url=url, canonical=f"{text}.{NONCE}")
    url = f"{GW}?b=2&z=1"
    write("get_query", signed(MAIN["auth_token"], url, method="GET"), "", url=url, method="GET")


def tokens() -> None:
    body = "CallUUID=3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36&Event=Ring"
    own, ma = signed(MAIN["auth_token"], body=body), signature(PARENT, GW, body)
    two = {"auth_token_secondary": NEW}
    rotating = ",".join([signature(OTHER, GW, body), signature(NEW, GW, body)])
    write("second_token", signed(NEW, body=body), body, secrets=MAIN | two)
    write("several_signatures", {V3: rotating, NONCE_HEADER: NONCE}, body, secrets=MAIN | two)
    write("several_signatures_spaced", own | {V3: "x, " + own[V3]}, body)
    write("main_header_of_a_main_account", {MA: own[V3], NONCE_HEADER: NONCE}, body)
    write("sub_account", signed(SUB["auth_token"], body=body) | {MA: ma}, body, secrets=SUB)
    by_parent = {MA: ma, NONCE_HEADER: NONCE}
    write("sub_account_by_its_parent", by_parent, body, secrets=SUB | {"main_auth_token": PARENT})
    bad = "bad_signature"
    write("sub_account_without_the_parents_token", by_parent, body, secrets=SUB, rejected=bad)
    by_wrong_header = {V3: ma, NONCE_HEADER: NONCE}
    write(
        "parents_token_in_the_wrong_header",
        by_wrong_header,
        body,
        secrets=SUB | {"main_auth_token": PARENT},
        rejected=bad,
    )
    write("other_token", signed(OTHER, body=body), body, rejected=bad)


def refused() -> None:
    body = "CallUUID=3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36&Event=Ring"
    own = signed(MAIN["auth_token"], body=body)
    missing, bad = "missing_signature", "bad_signature"
    write("no_headers", {}, body, rejected=missing)
    write("no_nonce", {V3: own[V3]}, body, rejected=missing)
    write("no_signature", {NONCE_HEADER: NONCE}, body, rejected=missing)
    write("empty_signature", own | {V3: ""}, body, rejected=bad)
    write("empty_nonce", own | {NONCE_HEADER: ""}, body, rejected=bad)
    write("other_nonce", own | {NONCE_HEADER: NONCE[:-1] + "0"}, body, rejected=bad)
    write("body_changed", own, body.replace("Ring", "Rung"), rejected=bad)
    write("body_dropped", own, "", rejected=bad)
    write("other_path", own, body, url=GW + "/b", rejected=bad)
    write("other_scheme", own, body, url=GW.replace("https", "http"), rejected=bad)
    write("query_added", own, body, url=GW + "?x=1", rejected=bad)
    write("default_port_added", own, body, url="https://gw.example.com:443/a", rejected=bad)
    nonce = "dotted.1"
    write("dotted_nonce", signed(MAIN["auth_token"], body=body, nonce=nonce), body, rejected=bad)
    v2 = {
        "X-Plivo-Signature-V2": "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc=",
        "X-Plivo-Signature-V2-Nonce": "12345",
    }
    write(
        "version_2_alone",
        v2,
        body,
        url="https://answer.url",
        secrets=MAIN | {"auth_token": "my_auth_token"},
        rejected=missing,
        source="The V2 signature is published with Plivo's Python library; the body is invented.",
    )
    write("json_body", own | {"Content-Type": "application/json"}, body, rejected="unsupported_media")
    write("broken_escape", own, "CallUUID=%zz", rejected="malformed")


if __name__ == "__main__":
    published()
    forms()
    tokens()
    refused()
