"""Signatures, from the vectors in tests/vectors/twilio (literals) and by attacks on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import WebhookRequest
from providers.twilio import TwilioProvider
from providers.twilio.webhooks import url_forms
from tests.adapters.twilio.support import StubTransport

VECTORS = Path(__file__).parents[2] / "vectors" / "twilio"
CASES = sorted(path.name for path in VECTORS.iterdir())
ACCEPTED = "form-inbound-voice"
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"


def vector(case: str) -> tuple[WebhookRequest, dict[str, Any]]:
    folder = VECTORS / case
    expected = json.loads((folder / "expected.json").read_text())
    request = WebhookRequest(
        method=expected["method"],
        url=expected["url"],
        headers=tuple(json.loads((folder / "headers.json").read_text()).items()),
        body=(folder / "body").read_bytes(),
    )
    return request, expected


def adapter_with(secrets: dict[str, str]) -> TwilioProvider:
    return TwilioProvider(secrets, transport=StubTransport())


def reason(request: WebhookRequest, secrets: dict[str, str]) -> RejectionReason | None:
    """Return why the request is refused; None when it is accepted."""
    try:
        adapter_with(secrets).verify_webhook(request)
    except WebhookRejected as refused:
        return refused.reason
    return None


def changed(request: WebhookRequest, **changes: Any) -> WebhookRequest:
    fields = {name: getattr(request, name) for name in ("method", "url", "headers", "body", "token")}
    return WebhookRequest(**fields | changes)


def with_header(request: WebhookRequest, name: str, value: str | None) -> WebhookRequest:
    kept = tuple(header for header in request.headers if header[0] != name)
    return changed(request, headers=kept + (((name, value),) if value is not None else ()))


@pytest.mark.parametrize("case", CASES)
def test_each_vector_is_accepted_with_what_was_signed_or_refused_for_its_reason(case: str) -> None:
    request, expected = vector(case)
    if "refused" in expected:
        with pytest.raises(WebhookRejected) as caught:
            adapter_with(expected["secrets"]).verify_webhook(request)
        assert caught.value.reason == expected["refused"]
    else:
        verified = adapter_with(expected["secrets"]).verify_webhook(request)
        assert verified.canonical.decode() == expected["canonical"]


@pytest.mark.parametrize("case", CASES)
def test_each_vector_says_where_it_is_from(case: str) -> None:
    assert (VECTORS / case / "SOURCE").read_text().strip()


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("form-", "json"))])
def test_the_official_validator_agrees_about_the_auth_tokens_vectors(case: str) -> None:
    from urllib.parse import parse_qs

    from twilio.request_validator import RequestValidator

    class MultiDict(dict[str, list[str]]):
        def getlist(self, name: str) -> list[str]:
            return self[name]

    request, expected = vector(case)
    text = request.body.decode()
    is_json = case.startswith("json")
    params: Any = text if is_json else MultiDict(parse_qs(text, keep_blank_values=True))
    url = expected["url"].partition("#")[0]
    signature = request.header("X-Twilio-Signature")
    tokens = [value for name, value in expected["secrets"].items() if name.startswith("auth_token")]
    valid = any(RequestValidator(token).validate(url, params, signature) for token in tokens)
    assert valid is ("refused" not in expected)


@pytest.mark.parametrize("case", [case for case in CASES if "refused" not in vector(case)[1]])
def test_changing_any_byte_of_body_url_or_signature_is_refused(case: str) -> None:
    request, expected = vector(case)
    signature = request.header("X-Twilio-Signature") or ""
    url = request.url.partition("#")[0]
    mutants = [
        *(changed(request, body=cut) for cut in _mutants(request.body)),
        *(changed(request, url=cut.decode()) for cut in _mutants(url.encode())[len("https://gw") :]),
        *(with_header(request, "X-Twilio-Signature", cut.decode()) for cut in _mutants(signature.encode())),
    ]
    survivors = [mutant for mutant in mutants if reason(mutant, expected["secrets"]) is None]
    canonical = adapter_with(expected["secrets"]).verify_webhook(request).canonical
    # what survives spells the same signed text in another way: it is the same delivery for the replay store
    verify = adapter_with(expected["secrets"]).verify_webhook
    assert all(verify(mutant).canonical == canonical for mutant in survivors)
    assert len(survivors) < len(mutants) / 20


def _mutants(raw: bytes) -> list[bytes]:
    flipped = [raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :] for i in range(len(raw)) if raw[i] ^ 1 < 128]
    return flipped + [raw[:i] + raw[i + 1 :] for i in range(len(raw))]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, RejectionReason.MISSING_SIGNATURE),
        ("", RejectionReason.MISSING_SIGNATURE),
        ("x", RejectionReason.BAD_SIGNATURE),
        ("é" * 28, RejectionReason.BAD_SIGNATURE),
        ("\ud800", RejectionReason.BAD_SIGNATURE),
        ("A" * 10_000, RejectionReason.BAD_SIGNATURE),
        (" lyxrtWAfl2AirbWh8qcmxwHLGso= ", RejectionReason.BAD_SIGNATURE),
    ],
)
def test_a_missing_or_odd_signature_is_refused(header: str | None, why: RejectionReason) -> None:
    request, expected = vector(ACCEPTED)
    assert reason(with_header(request, "X-Twilio-Signature", header), expected["secrets"]) is why


def test_a_doubled_signature_header_counts_as_none() -> None:
    request, expected = vector(ACCEPTED)
    twice = changed(request, headers=(*request.headers, request.headers[0]))
    assert reason(twice, expected["secrets"]) is RejectionReason.MISSING_SIGNATURE


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("", None),
        ("algorithm=HMAC_SHA1", None),
        ("algorithm=HMAC_SHA256", RejectionReason.NO_SECRET),
        ("algorithm=HMAC_MD5", RejectionReason.NO_SECRET),
        ("key=webhooks_sharedkey_x,algorithm=HMAC_SHA1", RejectionReason.NO_SECRET),
        ("key=webhooks_sharedkey_x", RejectionReason.NO_SECRET),
        ("key=,algorithm=", RejectionReason.NO_SECRET),
        ("é=\ud800,,,==", None),
    ],
)
def test_the_settings_header_only_names_a_key(settings: str, why: RejectionReason | None) -> None:
    request, expected = vector(ACCEPTED)
    assert reason(with_header(request, SETTINGS, settings), expected["secrets"]) is why


def test_a_doubled_settings_header_is_refused() -> None:
    request, expected = vector("shared-key-sha256")
    twice = changed(request, headers=(*request.headers, (SETTINGS.lower(), "algorithm=HMAC_SHA1")))
    assert reason(twice, expected["secrets"]) is RejectionReason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("content_type", "why"),
    [
        (None, RejectionReason.UNSUPPORTED_MEDIA),
        ("text/plain", RejectionReason.UNSUPPORTED_MEDIA),
        ("multipart/form-data; boundary=x", RejectionReason.UNSUPPORTED_MEDIA),
        ("application/x-www-form-urlencoded; charset=latin-1", RejectionReason.UNSUPPORTED_MEDIA),
        ("application/json", RejectionReason.BAD_SIGNATURE),  # no bodySHA256 in the URL
    ],
)
def test_another_content_type_is_refused(content_type: str | None, why: RejectionReason) -> None:
    request, expected = vector(ACCEPTED)
    assert reason(with_header(request, "Content-Type", content_type), expected["secrets"]) is why


@pytest.mark.parametrize("body", [b"a=%ff", b"a=\xff", b"a=%zz"])
def test_a_form_that_is_not_utf8_is_malformed(body: bytes) -> None:
    request, expected = vector(ACCEPTED)
    assert reason(changed(request, body=body), expected["secrets"]) is RejectionReason.MALFORMED


@pytest.mark.parametrize(
    "spelled", [str.upper, lambda told: told + "0", lambda told: told[:-1], lambda _: ""]
)
def test_the_body_hash_is_taken_in_lower_case_hex_only(spelled: Any) -> None:
    request, expected = vector("json")
    start, _, told = request.url.partition("bodySHA256=")
    mutant = changed(request, url=f"{start}bodySHA256={spelled(told)}")
    assert reason(mutant, expected["secrets"]) is RejectionReason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("url", "forms"),
    [
        (
            "https://gw.example.net/a?b=c",
            ("https://gw.example.net/a?b=c", "https://gw.example.net:443/a?b=c"),
        ),
        ("http://gw.example.net", ("http://gw.example.net", "http://gw.example.net:80")),
        ("https://gw.example.net:8443/a", ("https://gw.example.net/a", "https://gw.example.net:8443/a")),
        ("https://gw.example.net/a#rc=3", ("https://gw.example.net/a", "https://gw.example.net:443/a")),
        ("https://gw.example.net/a?", ("https://gw.example.net/a?", "https://gw.example.net:443/a?")),
        (
            "https://u:p@gw.example.net:1/a",
            ("https://u:p@gw.example.net/a", "https://u:p@gw.example.net:1/a"),
        ),
        ("https://[::1]:8443/a", ("https://[::1]/a", "https://[::1]:8443/a")),
        ("https://[::1]/a:1/b@c", ("https://[::1]/a:1/b@c", "https://[::1]:443/a:1/b@c")),
        ("https://gw.example.net:x/", ("https://gw.example.net:x/",)),
        ("", ("",)),
    ],
)
def test_a_url_is_tried_with_and_without_its_port(url: str, forms: tuple[str, ...]) -> None:
    assert url_forms(url) == forms


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.text(max_size=40),
    st.binary(max_size=80),
    st.sampled_from(["POST", "GET", "PUT", ""]),
)
def test_nothing_but_a_refusal_comes_out_of_garbage(
    url: str, signature: str, settings: str, body: bytes, method: str
) -> None:
    headers = (
        ("X-Twilio-Signature", signature),
        (SETTINGS, settings),
        ("Content-Type", "application/x-www-form-urlencoded"),
    )
    request = WebhookRequest(method=method, url=url, headers=headers, body=body)
    assert reason(request, {"account_sid": "AC" + "0" * 32, "auth_token": "0" * 32}) is not None
