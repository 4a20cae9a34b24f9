"""The simulated Telnyx signs as the vendor says: checked with other code than signed it."""

from __future__ import annotations

import base64
import time
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from providers.simulator.carriers.telnyx.signing import AccountKey

BODY: Final = b'{"data":{"event_type":"call.initiated","payload":{"from":"+14155550100"}}}'

# RFC 8032, section 7.1, test 1: secret key and the public key that belongs to it.
RFC_SEED: Final = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC: Final = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def header(headers: dict[str, str], name: str) -> str:
    return next(value for key, value in headers.items() if key.lower() == name)


def verify(public_key: str, headers: dict[str, str], body: bytes) -> None:
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    signature = base64.b64decode(header(headers, "telnyx-signature-ed25519"), validate=True)
    key.verify(signature, header(headers, "telnyx-timestamp").encode() + b"|" + body)


def test_the_public_key_is_that_of_the_rfc_vector() -> None:
    assert base64.b64decode(AccountKey.from_seed(RFC_SEED).public_key) == RFC_PUBLIC


def test_a_delivery_verifies_with_the_account_key() -> None:
    key = AccountKey.from_seed(RFC_SEED)
    verify(key.public_key, key.headers(BODY, at_s=1_772_463_841), BODY)


@pytest.mark.parametrize("changed", ["body", "timestamp", "key"])
def test_a_delivery_changed_anywhere_does_not_verify(changed: str) -> None:
    key, other = AccountKey.from_seed(RFC_SEED), AccountKey.from_seed(bytes(32))
    headers = key.headers(BODY, at_s=1_772_463_841)
    public_key, body = key.public_key, BODY
    if changed == "body":
        body = BODY.replace(b"0100", b"0101")
    elif changed == "timestamp":
        headers = {n: v if "ignature" in n else "1772463842" for n, v in headers.items()}
    else:
        public_key = other.public_key
    with pytest.raises(InvalidSignature):
        verify(public_key, headers, body)


def test_header_names_are_in_mixed_case() -> None:
    names = list(AccountKey.from_seed(RFC_SEED).headers(BODY, at_s=1))
    assert all(name not in (name.lower(), name.upper()) for name in names)


def test_the_key_shows_no_secret_in_its_repr() -> None:
    assert RFC_SEED.hex() not in repr(AccountKey.from_seed(RFC_SEED))
    assert "Ed25519PrivateKey" not in repr(AccountKey.from_seed(RFC_SEED))


def test_the_vendor_sdk_accepts_the_signature_and_refuses_an_old_one() -> None:
    pytest.importorskip("nacl", reason="the SDK's helper needs PyNaCl")
    lib = pytest.importorskip("telnyx.lib", reason="the SDK is not installed")
    key, now_s = AccountKey.from_seed(RFC_SEED), int(time.time())
    lib.verify_webhook_signature(BODY, key.headers(BODY, at_s=now_s), key.public_key)
    with pytest.raises(lib.WebhookVerificationError):
        lib.verify_webhook_signature(BODY, key.headers(BODY, at_s=now_s - 400), key.public_key)
    with pytest.raises(lib.WebhookVerificationError):
        lib.verify_webhook_signature(BODY + b" ", key.headers(BODY, at_s=now_s), key.public_key)
