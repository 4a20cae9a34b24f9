"""Make the signature vectors in `telnyx/`: run it to write them again.

Telnyx publishes no vectors and its SDK can only verify, so the signatures come from the reference algorithm of RFC
8032 (sections 5.1.5 to 5.1.7, in plain Python): an implementation that shares nothing with the library under test. It
is checked here against three test vectors of the RFC (section 7.1) before anything is written.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return (e * f, g * h, f * g, e * h)


def multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def base_point() -> Point:
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = x if x % 2 == 0 else P - x
    return (x, y, 1, x * y % P)


def compress(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(secret: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, digest[32:]


def public_of(secret: bytes) -> bytes:
    return compress(multiply(expand(secret)[0], base_point()))


def signature_of(secret: bytes, message: bytes) -> bytes:
    scalar, prefix = expand(secret)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = compress(multiply(nonce, base_point()))
    challenge = int.from_bytes(hashlib.sha512(point + public_of(secret) + message).digest(), "little") % L
    return point + ((nonce + challenge * scalar) % L).to_bytes(32, "little")


# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
PUBLISHED = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bb"
        "e24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302"
        "aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed"
        "28dc027beceea1ec40a",
    ),
)

SECRET, OTHER = bytes(range(1, 33)), bytes(range(101, 133))
NOW = 1_772_463_841  # 2026-03-02T15:04:01Z
EVENT = (
    b'{"data":{"event_type":"call.initiated","id":"10000000-0000-4000-8000-000000000001",'
    b'"occurred_at":"2026-03-02T15:04:01.000000Z","payload":{"call_control_id":"v3:Qm9vS2VlcGVyLTEyMzQ1",'
    b'"call_leg_id":"7c1f6a2e-e6a1-11f0-9b1a-02420a0d1a2b","call_session_id":"7c1f5d90-e6a1-11f0-8f3d-02420a0d1a2b",'
    b'"client_state":null,"connection_id":"2900000000000000001","direction":"incoming","from":"+13125550111",'
    b'"state":"parked","to":"+13125550100"},"record_type":"event"},'
    b'"meta":{"attempt":1,"delivered_to":"https://voice.example.test/voice/k/events"}}'
)
UNICODE = EVENT.replace(b'"state":"parked"', '"state":"parked","caller_id_name":"Zoë 你好 🙂"'.encode())


def signed(
    body: bytes, stamp: str, *, secret: bytes = SECRET, message: bytes | None = None
) -> dict[str, str]:
    raw = signature_of(secret, message if message is not None else stamp.encode() + b"|" + body)
    return {"telnyx-signature-ed25519": base64.b64encode(raw).decode(), "telnyx-timestamp": stamp}


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def with_signature(headers: dict[str, str], text: str) -> dict[str, str]:
    return {**headers, "telnyx-signature-ed25519": text}


def cases() -> dict[str, tuple[dict[str, str], bytes, str | None]]:
    """Return name -> (headers, body, reason of the refusal or None)."""
    good = signed(EVENT, str(NOW))
    text = good["telnyx-signature-ed25519"]
    raw = base64.b64decode(text)
    high_s = raw[:32] + (int.from_bytes(raw[32:], "little") + L).to_bytes(32, "little")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = text[:85] + alphabet[alphabet.index(text[85]) + 1] + "=="  # the same 64 bytes, spelt otherwise
    odd_stamps = {
        "empty": "",
        "negative": f"-{NOW}",
        "float": f"{NOW}.0",
        "nan": "NaN",
        "huge": "1" + "0" * 30,
        "spaces": f" {NOW} ",
        "full_width": "".join(chr(ord(digit) + 0xFEE0) for digit in str(NOW)),
        "hexadecimal": hex(NOW),
        "underscores": f"{NOW:_}",
    }
    found: dict[str, tuple[dict[str, str], bytes, str | None]] = {
        "genuine": (good, EVENT, None),
        "genuine_unicode": (signed(UNICODE, str(NOW)), UNICODE, None),
        "genuine_empty_body": (signed(b"", str(NOW)), b"", None),
        "genuine_mixed_case_headers": (
            {"Telnyx-Signature-Ed25519": text, "Telnyx-Timestamp": str(NOW)},
            EVENT,
            None,
        ),
        "age_299": (signed(EVENT, str(NOW - 299)), EVENT, None),
        "age_300": (signed(EVENT, str(NOW - 300)), EVENT, None),
        "age_301": (signed(EVENT, str(NOW - 301)), EVENT, "stale"),
        "ahead_300": (signed(EVENT, str(NOW + 300)), EVENT, None),
        "ahead_301": (signed(EVENT, str(NOW + 301)), EVENT, "stale"),
        "other_key": (signed(EVENT, str(NOW), secret=OTHER), EVENT, "bad_signature"),
        "body_changed": (good, EVENT.replace(b"incoming", b"outgoing"), "bad_signature"),
        "body_longer": (good, EVENT + b"\n", "bad_signature"),
        "stamp_changed": ({**good, "telnyx-timestamp": str(NOW + 1)}, EVENT, "bad_signature"),
        "border_moved": (
            signed(EVENT, str(NOW), message=str(NOW).encode() + EVENT),
            EVENT,
            "bad_signature",
        ),
        "signature_missing": (without(good, "telnyx-signature-ed25519"), EVENT, "missing_signature"),
        "stamp_missing": (without(good, "telnyx-timestamp"), EVENT, "missing_signature"),
        "signature_empty": (with_signature(good, ""), EVENT, "bad_signature"),
        "signature_short": (
            with_signature(good, base64.b64encode(raw[:63]).decode()),
            EVENT,
            "bad_signature",
        ),
        "signature_url_safe": (
            with_signature(good, base64.urlsafe_b64encode(b"\xfb\xff" + raw[2:]).decode()),
            EVENT,
            "bad_signature",
        ),
        "signature_spelt_otherwise": (with_signature(good, loose), EVENT, "bad_signature"),
        "signature_with_large_s": (
            with_signature(good, base64.b64encode(high_s).decode()),
            EVENT,
            "bad_signature",
        ),
        "signature_hexadecimal": (with_signature(good, raw.hex()), EVENT, "bad_signature"),
    }
    for name, stamp in odd_stamps.items():
        found[f"stamp_{name}"] = (signed(EVENT, stamp), EVENT, "stale")
    return found


def write(folder: Path, headers: dict[str, str], body: bytes, expected: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "headers.json").write_text(json.dumps(headers, indent=1) + "\n")
    (folder / "body").write_bytes(body)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (folder / "SOURCE").write_text(
        "Made by tests/vectors/make_telnyx.py (RFC 8032 reference algorithm); numbers, ids and keys are invented.\n"
    )


def main() -> None:
    for secret, public, message, signature in PUBLISHED:
        key, text = bytes.fromhex(secret), bytes.fromhex(message)
        if public_of(key).hex() != public or signature_of(key, text).hex() != signature:
            raise SystemExit("the reference algorithm does not give the published signatures")
    public_key = base64.b64encode(public_of(SECRET)).decode()
    both = f"{base64.b64encode(public_of(OTHER)).decode()},{public_key}"
    root = Path(__file__).parent / "telnyx"
    for name, (headers, body, reason) in cases().items():
        write(root / name, headers, body, {"public_key": public_key, "now": NOW, "rejected": reason})
    write(
        root / "genuine_second_key",
        signed(EVENT, str(NOW)),
        EVENT,
        {"public_key": both, "now": NOW, "rejected": None},
    )


if __name__ == "__main__":
    main()
