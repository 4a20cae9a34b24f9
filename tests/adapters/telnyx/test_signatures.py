"""Signatures, checked against vectors that another implementation of Ed25519 made."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RejectionReason, WebhookRejected
from gateway.interface import WebhookRequest
from providers.telnyx import TelnyxProvider, webhooks
from tests.adapters.telnyx.support import EVENTS_URL, Script

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "telnyx"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def load(case: str) -> tuple[WebhookRequest, dict[str, Any]]:
    headers = json.loads((FOLDER / case / "headers.json").read_text())
    body = (FOLDER / case / "body").read_bytes()
    request = WebhookRequest(method="POST", url=EVENTS_URL, headers=tuple(headers.items()), body=body)
    return request, json.loads((FOLDER / case / "expected.json").read_text())


def check(request: WebhookRequest, expected: dict[str, Any]) -> None:
    telnyx = TelnyxProvider({"api_key": "KEY", "public_key": expected["public_key"]}, transport=Script([]))
    verified = telnyx.verify_webhook(request, now=datetime.fromtimestamp(expected["now"], UTC))
    stamp = request.header("telnyx-timestamp")
    assert stamp is not None
    assert verified.canonical == stamp.encode() + b"|" + request.body


def test_there_are_vectors() -> None:
    assert len(CASES) >= 30
    for case in CASES:
        assert (FOLDER / case / "SOURCE").read_text()


@pytest.mark.parametrize("case", CASES)
def test_each_vector_is_taken_or_refused_for_its_reason(case: str) -> None:
    request, expected = load(case)
    if expected["rejected"] is None:
        check(request, expected)
        return
    with pytest.raises(WebhookRejected) as caught:
        check(request, expected)
    assert caught.value.reason is RejectionReason(expected["rejected"])
    assert caught.value.http_status == 403


def test_a_doubled_header_is_not_trusted() -> None:
    request, expected = load("genuine")
    for name in ("telnyx-signature-ed25519", "telnyx-timestamp"):
        twice = (*request.headers, (name.upper(), request.header(name) or ""))
        with pytest.raises(WebhookRejected) as caught:
            check(WebhookRequest(method="POST", url="", headers=twice, body=request.body), expected)
        assert caught.value.reason is RejectionReason.MISSING_SIGNATURE


@pytest.mark.parametrize(
    "key", ["x", "AAAA", base64.b64encode(b"k" * 31).decode(), base64.b64encode(b"k" * 33).decode()]
)
def test_without_a_usable_key_nothing_is_taken(key: str) -> None:
    request, expected = load("genuine")
    with pytest.raises(WebhookRejected) as caught:
        check(request, {**expected, "public_key": key})
    assert caught.value.reason is RejectionReason.NO_SECRET


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_changed_byte_is_refused(data: st.DataObject) -> None:
    request, expected = load("genuine")
    signature = request.header("telnyx-signature-ed25519") or ""
    place = data.draw(st.integers(0, len(request.body) + len(signature) - 1))
    bit = 1 << data.draw(st.integers(0, 6))
    body, text = bytearray(request.body), bytearray(signature.encode())
    if place < len(body):
        body[place] ^= bit
    else:
        text[place - len(body)] ^= bit
    headers = (
        ("telnyx-signature-ed25519", text.decode("latin-1")),
        ("telnyx-timestamp", str(expected["now"])),
    )
    with pytest.raises(WebhookRejected):
        check(WebhookRequest(method="POST", url="", headers=headers, body=bytes(body)), expected)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120), st.text(max_size=40), st.binary(max_size=60))
def test_no_header_and_no_body_raises_anything_but_a_refusal(signature: str, stamp: str, body: bytes) -> None:
    _, expected = load("genuine")
    headers = (("Telnyx-Signature-Ed25519", signature), ("Telnyx-Timestamp", stamp))
    with pytest.raises(WebhookRejected):
        check(WebhookRequest(method="POST", url="", headers=headers, body=body), expected)


def test_a_clock_far_off_refuses_but_does_not_fail() -> None:
    request, expected = load("genuine")
    keys = webhooks.read_public_keys(expected["public_key"])
    for year in (1970, 2400):
        with pytest.raises(WebhookRejected) as caught:
            webhooks.verify(request, keys, datetime(year, 1, 2, tzinfo=UTC))
        assert caught.value.reason is RejectionReason.STALE
