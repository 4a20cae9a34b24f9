"""Signature V3, from the vectors in tests/vectors/plivo (literals) and by attacks on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, RejectionReason, ValidationError, WebhookRejected
from gateway.interface import WebhookRequest
from providers.plivo import PlivoProvider
from providers.plivo.webhooks import sign, verify
from tests.adapters.plivo.support import SECRETS, SUB_ACCOUNT, TOKEN

VECTORS = Path(__file__).parents[2] / "vectors" / "plivo"
CASES = sorted(path.name for path in VECTORS.iterdir())
ACCEPTED = "published_post_query"
SIGNATURE, NONCE = "X-Plivo-Signature-V3", "X-Plivo-Signature-V3-Nonce"


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


def reason(request: WebhookRequest, secrets: dict[str, str]) -> RejectionReason | None:
    """Return why the request is refused; None when it is accepted."""
    try:
        PlivoProvider(secrets).verify_webhook(request)
    except WebhookRejected as refused:
        return refused.reason
    return None


def changed(request: WebhookRequest, **changes: Any) -> WebhookRequest:
    fields = {name: getattr(request, name) for name in ("method", "url", "headers", "body", "token")}
    return WebhookRequest(**fields | changes)


def with_header(request: WebhookRequest, name: str, value: str) -> WebhookRequest:
    kept = tuple(header for header in request.headers if header[0] != name)
    return changed(request, headers=(*kept, (name, value)))


@pytest.mark.parametrize("case", CASES)
def test_each_vector_is_accepted_or_refused_for_its_reason(case: str) -> None:
    request, expected = vector(case)
    assert (VECTORS / case / "SOURCE").read_text().strip()
    assert reason(request, expected["secrets"]) == expected["rejected"]


@pytest.mark.parametrize("case", CASES)
def test_what_was_signed_is_handed_to_the_replay_store_with_its_nonce(case: str) -> None:
    request, expected = vector(case)
    if expected["canonical"] is None:
        return
    verified = PlivoProvider(expected["secrets"]).verify_webhook(request)
    assert verified.canonical.decode() == expected["canonical"]
    assert verified.canonical.endswith(b"." + (request.header(NONCE) or "").encode())


def test_there_are_vectors() -> None:
    assert len(CASES) > 35


def test_the_published_signatures_are_still_in_their_files() -> None:
    published = {
        "published_post_query": "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c=",
        "published_get_query": "UBq8jAtd32wR8EK9VgxbBn4n5rpI/l1H9iN4WfSEHFQ=",
        "published_post": "iAjE5QqI37mbkYe4w3jTMudqEzbDufdqi7sYwTu64e0=",
        "published_get": "i/MQsaQSAd6fiKhOh2qeeeLHZ9faldADSb3/7+Akfbc=",
    }
    for case, signature in published.items():
        assert vector(case)[0].header(SIGNATURE) == signature


def test_headers_are_found_in_any_case_of_letters() -> None:
    request, expected = vector(ACCEPTED)
    shouted = tuple((name.upper(), value) for name, value in request.headers)
    assert reason(changed(request, headers=shouted), expected["secrets"]) is None


def test_a_doubled_signature_or_nonce_header_is_not_trusted() -> None:
    request, expected = vector(ACCEPTED)
    for name, value in request.headers:
        if name in (SIGNATURE, NONCE):
            doubled = changed(request, headers=(*request.headers, (name, value)))
            assert reason(doubled, expected["secrets"]) is RejectionReason.MISSING_SIGNATURE


def test_without_any_token_nothing_is_accepted() -> None:
    request, _ = vector(ACCEPTED)
    for own, main in (([], []), ([""], [""])):
        with pytest.raises(WebhookRejected) as refused:
            verify(request, own_tokens=own, main_tokens=main)
        assert refused.value.reason is RejectionReason.NO_SECRET


def test_the_empty_token_signs_nothing() -> None:
    request, _ = vector("query_only")
    forged = with_header(
        request, SIGNATURE, sign("", b"https://gw.example.com/a?b=2&z=1.58271937401923847561").decode()
    )
    with pytest.raises(WebhookRejected) as refused:
        verify(forged, own_tokens=["", TOKEN], main_tokens=[""])
    assert refused.value.reason is RejectionReason.BAD_SIGNATURE


def test_an_eleventh_signature_is_not_looked_at() -> None:
    request, expected = vector(ACCEPTED)
    good = request.header(SIGNATURE) or ""
    tenth = ",".join(["A" * 43 + "="] * 9 + [good])
    assert reason(with_header(request, SIGNATURE, tenth), expected["secrets"]) is None
    eleventh = ",".join(["A" * 43 + "="] * 10 + [good])
    assert (
        reason(with_header(request, SIGNATURE, eleventh), expected["secrets"])
        is RejectionReason.BAD_SIGNATURE
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_byte_of_body_url_or_nonce_is_refused(data: st.DataObject) -> None:
    request, expected = vector(ACCEPTED)
    part = data.draw(st.sampled_from(["body", "url", "nonce", "signature"]))
    whole = {
        "body": request.body,
        "url": request.url.encode(),
        "nonce": (request.header(NONCE) or "").encode(),
        "signature": (request.header(SIGNATURE) or "").encode(),
    }[part]
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(33, 126).filter(lambda value: value != whole[place]))
    mutant = whole[:place] + bytes([byte]) + whole[place + 1 :]
    forged = {
        "body": lambda: changed(request, body=mutant),
        "url": lambda: changed(request, url=mutant.decode()),
        "nonce": lambda: with_header(request, NONCE, mutant.decode()),
        "signature": lambda: with_header(request, SIGNATURE, mutant.decode()),
    }[part]()
    provider = PlivoProvider(expected["secrets"])
    try:
        verified = provider.verify_webhook(forged)
    except WebhookRejected:
        return
    # The signed text has no separators: a mutant that spells the same text is a repeat to the replay store (R18, R22).
    assert verified.canonical == provider.verify_webhook(request).canonical


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["POST", "GET", "PUT", "", "post", "\ud800"]),
    url=st.text(max_size=60),
    headers=st.lists(
        st.tuples(
            st.sampled_from([SIGNATURE, NONCE, "X-Plivo-Signature-Ma-V3", "Content-Type"]),
            st.one_of(st.text(max_size=80), st.just("application/x-www-form-urlencoded")),
        ),
        max_size=5,
    ),
    body=st.binary(max_size=80),
)
def test_no_input_raises_anything_but_a_refusal(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    request = WebhookRequest(method=method, url=url, headers=tuple(headers), body=body)
    assert isinstance(reason(request, SECRETS), RejectionReason)


@pytest.mark.parametrize("query", ["?q=%C3%A9", "?q=%ff", "?q=%", "?\ud800", "?é=1"])
def test_a_query_that_makes_the_sdk_raise_is_only_refused(query: str) -> None:
    request, expected = vector(ACCEPTED)
    assert isinstance(reason(changed(request, url=request.url + query), expected["secrets"]), RejectionReason)


# -- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["auth_id", "auth_token"])
def test_an_absent_or_empty_secret_is_refused_when_the_provider_is_opened(missing: str) -> None:
    for secrets in ({k: v for k, v in SECRETS.items() if k != missing}, SECRETS | {missing: ""}):
        with pytest.raises(ConfigurationError, match=missing):
            PlivoProvider(secrets)


def test_a_secret_that_plivo_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        PlivoProvider(SECRETS | {"api_key": "x"})
    with pytest.raises(ValidationError, match="api_key"):
        PlivoProvider.check_secrets(SECRETS | {"api_key": "x"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"auth_id": "MA1"}, "auth_id"),
        ({"auth_id": "AC00000000000000000X"}, "auth_id"),
        ({"auth_id": "MAEXAMPLE0000000TEST\n"}, "auth_id"),
        ({"auth_id": ""}, "auth_id"),
        ({"auth_token": "short"}, "auth_token"),
        ({"auth_token": ""}, "auth_token"),
        ({"auth_token_secondary": "with a space in the middle of it"}, "auth_token_secondary"),
        ({"main_auth_token": "x" * 129}, "main_auth_token"),
    ],
)
def test_the_shape_of_a_secret_is_checked_without_showing_it(changes: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PlivoProvider.check_secrets(SECRETS | changes)
    assert refused.value.field == field
    value = changes[field]
    assert not value or value not in str(refused.value)


def test_well_formed_secrets_are_taken() -> None:
    PlivoProvider.check_secrets(SECRETS)
    PlivoProvider.check_secrets({"auth_id": SUB_ACCOUNT, "auth_token": TOKEN, "main_auth_token": TOKEN[::-1]})


def test_a_provider_shows_no_secret() -> None:
    plivo = PlivoProvider(SECRETS)
    assert TOKEN not in repr(plivo)
    assert plivo.account_ref == SECRETS["auth_id"]
