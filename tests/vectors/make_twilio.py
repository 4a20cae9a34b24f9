"""Writes the signature vectors in tests/vectors/twilio/.

The signatures written here as literals were computed before this adapter existed, by somebody else; the others are made
now. All are made by the signing code of the official library, `twilio.request_validator`, which shares nothing with
ours. Run: python tests/vectors/make_twilio.py. The tests read the files only.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from twilio.request_validator import RequestValidator

HERE = Path(__file__).parent / "twilio"

TOKEN = "5f0c2e9a7b4d41c6a1e8f3d2c0b9a876"
SECOND = "00112233445566778899aabbccddeeff"
SHARED_ID = "webhooks_sharedkey_01example"
SHARED = "a-shared-key-secret-of-the-test"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
CALL = "CA89abcdef0123456789abcdef01234567"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"

SECRETS = {"account_sid": ACCOUNT, "auth_token": TOKEN}
WITH_SHARED_KEY = SECRETS | {"shared_key_id": SHARED_ID, "shared_key_secret": SHARED}

INBOUND_URL = "https://gw.example.net/twilio/voice?tenant=t1"
INBOUND = urlencode(
    {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallSid": CALL,
        "CallStatus": "ringing",
        "Called": "+14155550100",
        "Caller": "+12125550123",
        "Direction": "inbound",
        "From": "+12125550123",
        "To": "+14155550100",
    }
)
COMPLETED_URL = "https://gw.example.net/voice/k3y/status/0123456789abcdef0123456789abcdef"
COMPLETED = urlencode(
    [
        ("CallSid", CALL),
        ("AccountSid", ACCOUNT),
        ("CallStatus", "completed"),
        ("CallDuration", "37"),
        ("Duration", "1"),
        ("SequenceNumber", "3"),
        ("SipResponseCode", "200"),
        ("Timestamp", "Wed, 04 Mar 2026 09:16:02 +0000"),
        ("Direction", "outbound-api"),
        ("From", "+12125550123"),
        ("To", "+14155550100"),
        ("FromCity", ""),
        ("ToCity", "São José & Söhne / 東京"),
        ("SipHeader_X-Tag", "b"),
        ("SipHeader_X-Tag", "a"),
        ("SipHeader_X-Tag", "b"),
        ("aLowerCaseName", "sorts after Z"),
    ]
)
GET_URL = f"https://gw.example.net/twilio/status?attempt=a-17&CallSid={CALL}&CallStatus=busy"
JSON_BODY = '{"event":"x","n":1}'
JSON_URL = "https://gw.example.net/twilio/json?bodySHA256=" + hashlib.sha256(JSON_BODY.encode()).hexdigest()


def signature(secret: str, url: str, body: str = "", algorithm: str | None = None) -> str:
    """Sign as the official library does; it takes repeated values from an object with `getlist`."""
    validator = RequestValidator(secret)
    fields = parse_qs(body, keep_blank_values=True)
    return str(validator.compute_signature(url, _MultiDict(fields), algorithm))


class _MultiDict(dict[str, list[str]]):
    def getlist(self, name: str) -> list[str]:
        return self[name]


def settings(algorithm: str, key: str = SHARED_ID) -> dict[str, str]:
    return {"X-Twilio-Webhooks-Signature-Settings": f"key={key},algorithm={algorithm}"}


def write(
    case: str,
    signed: str,
    url: str,
    body: str = "",
    *,
    method: str = "POST",
    content_type: str = FORM,
    headers: dict[str, str] | None = None,
    secrets: dict[str, str] = SECRETS,
    canonical: str | None = None,
    refused: str | None = None,
    source: str,
) -> None:
    """Write one case. `canonical` is the text that was signed; `refused` the reason of a refusal."""
    folder = HERE / case
    folder.mkdir(parents=True, exist_ok=True)
    sent = {"X-Twilio-Signature": signed} | (headers or {})
    sent |= {} if method == "GET" else {"Content-Type": content_type}
    expected: dict[str, Any] = {"method": method, "url": url, "secrets": secrets}
    expected |= {"canonical": canonical} if canonical is not None else {"refused": refused}
    (folder / "headers.json").write_text(json.dumps(sent, indent=1) + "\n")
    (folder / "body").write_bytes(body.encode())
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    (folder / "SOURCE").write_text(source + "\n")


GIVEN = (
    "Computed with twilio 9.13.0, request_validator, in 2026-11 by somebody else than the adapter's author; "
    "ids, numbers and token invented."
)
MADE = "Made by tests/vectors/make_twilio.py with twilio 9.13.0, request_validator; ids invented."

INBOUND_TEXT = (
    f"AccountSid{ACCOUNT}ApiVersion2010-04-01CallSid{CALL}CallStatusringingCalled+14155550100"
    "Caller+12125550123Directioninbound"
    "From+12125550123To+14155550100"
)
COMPLETED_TEXT = (
    f"AccountSid{ACCOUNT}CallDuration37CallSid{CALL}CallStatuscompletedDirectionoutbound-apiDuration1"
    "From+12125550123FromCitySequenceNumber3SipHeader_X-TagaSipHeader_X-TagbSipResponseCode200"
    "TimestampWed, 04 Mar 2026 09:16:02 +0000To+14155550100ToCitySão José & Söhne / 東京"
    "aLowerCaseNamesorts after Z"
)


def main() -> None:
    """Write every case."""
    with_port = INBOUND_URL.replace(".net/", ".net:443/")
    write(
        "form-inbound-voice",
        "lyxrtWAfl2AirbWh8qcmxwHLGso=",
        INBOUND_URL,
        INBOUND,
        canonical=INBOUND_URL + INBOUND_TEXT,
        source=GIVEN,
    )
    write(
        "form-signed-with-default-port",
        "AyAQWzDhyCLhcEAyPb10MmNNqxM=",
        INBOUND_URL,
        INBOUND,
        canonical=with_port + INBOUND_TEXT,
        source=GIVEN,
    )
    write(
        "form-configured-with-port-signed-without",
        "lyxrtWAfl2AirbWh8qcmxwHLGso=",
        with_port,
        INBOUND,
        canonical=INBOUND_URL + INBOUND_TEXT,
        source=GIVEN,
    )
    write("get", "TxzRmzcctrzHR1ev9Scmx8+C8t0=", GET_URL, method="GET", canonical=GET_URL, source=GIVEN)
    write(
        "json",
        "2dTgwWiR6s/Vw8nPqSe9h9WDsWA=",
        JSON_URL,
        JSON_BODY,
        content_type="application/json",
        canonical=JSON_URL,
        source=GIVEN,
    )
    write(
        "json-other-body",
        "2dTgwWiR6s/Vw8nPqSe9h9WDsWA=",
        JSON_URL,
        JSON_BODY.replace("1", "2"),
        content_type="application/json",
        refused="bad_signature",
        source=GIVEN,
    )
    write(
        "shared-key-sha256",
        "HDVWqn/rkyt0FOEdLmrrbzt8rauJgqerKSRf6e/R0Gg=",
        INBOUND_URL,
        INBOUND,
        headers=settings("HMAC_SHA256"),
        # the given example takes the auth token's text for the shared key's secret
        secrets=SECRETS | {"auth_token": SECOND, "shared_key_id": SHARED_ID, "shared_key_secret": TOKEN},
        canonical=INBOUND_URL + INBOUND_TEXT,
        source=GIVEN,
    )
    write(
        "form-all-kinds-of-fields",
        signature(TOKEN, COMPLETED_URL, COMPLETED),
        COMPLETED_URL,
        COMPLETED,
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "form-signed-with-secondary-token",
        signature(SECOND, COMPLETED_URL, COMPLETED),
        COMPLETED_URL,
        COMPLETED,
        secrets=SECRETS | {"auth_token_secondary": SECOND},
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "form-signed-with-unknown-token",
        signature(SECOND, COMPLETED_URL, COMPLETED),
        COMPLETED_URL,
        COMPLETED,
        refused="bad_signature",
        source=MADE,
    )
    on_8443 = COMPLETED_URL.replace(".net/", ".net:8443/")
    write(
        "form-other-port-signed-with-it",
        signature(TOKEN, on_8443, COMPLETED),
        on_8443,
        COMPLETED,
        canonical=on_8443 + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "form-other-port-signed-without-it",
        signature(TOKEN, COMPLETED_URL, COMPLETED),
        on_8443,
        COMPLETED,
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "form-fragment-is-not-signed",
        signature(TOKEN, COMPLETED_URL, COMPLETED),
        COMPLETED_URL + "#rc=3&rp=all",
        COMPLETED,
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "shared-key-cannot-be-downgraded",
        signature(SHARED, COMPLETED_URL, COMPLETED, "HMAC_SHA1"),
        COMPLETED_URL,
        COMPLETED,
        headers=settings("HMAC_SHA1"),
        secrets=WITH_SHARED_KEY,
        refused="bad_signature",
        source=MADE,
    )
    write(
        "shared-key-header-without-algorithm",
        signature(SHARED, COMPLETED_URL, COMPLETED, "HMAC_SHA256"),
        COMPLETED_URL,
        COMPLETED,
        headers={"X-Twilio-Webhooks-Signature-Settings": f"key={SHARED_ID}"},
        secrets=WITH_SHARED_KEY,
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )
    write(
        "shared-key-does-not-take-the-auth-token",
        signature(TOKEN, COMPLETED_URL, COMPLETED, "HMAC_SHA256"),
        COMPLETED_URL,
        COMPLETED,
        headers=settings("HMAC_SHA256"),
        secrets=WITH_SHARED_KEY,
        refused="bad_signature",
        source=MADE,
    )
    write(
        "shared-key-not-configured",
        signature(SHARED, COMPLETED_URL, COMPLETED, "HMAC_SHA256"),
        COMPLETED_URL,
        COMPLETED,
        headers=settings("HMAC_SHA256", "webhooks_sharedkey_other"),
        secrets=WITH_SHARED_KEY,
        refused="no_secret",
        source=MADE,
    )
    write(
        "auth-token-still-signs-beside-a-shared-key",
        signature(TOKEN, COMPLETED_URL, COMPLETED),
        COMPLETED_URL,
        COMPLETED,
        headers={"X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA1"},
        secrets=WITH_SHARED_KEY,
        canonical=COMPLETED_URL + COMPLETED_TEXT,
        source=MADE,
    )


if __name__ == "__main__":
    main()
