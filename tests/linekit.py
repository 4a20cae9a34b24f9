"""Requests of each carrier made by hand, signed by its own library (or an implementation of the published scheme).

A `Line` is one account in a gateway without any network: it rings calls and hands signed reports to `receive`.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import Call, CallStatus, Gateway, WebhookRejected
from gateway.interface import Hook, WebhookRequest
from gateway.models import AttemptState, Credential
from gateway.settings import load_settings
from tests.adapters.plivo.support import SECRETS as PLIVO
from tests.adapters.twilio.support import SECRETS as TWILIO
from tests.bench import CALLEE, OURS
from tests.storekit import put_agent, put_attempt, put_call

PUBLIC = "https://gw.example.net"
FORM = "application/x-www-form-urlencoded"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return the key as Telnyx's portal shows it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


TELNYX = {
    "api_key": "KEY0123456789ABCDEF_madeup",
    "public_key": public_key_of(KEY),
    "connection_id": "1234567890",
}
SECRETS = {"plivo": PLIVO, "telnyx": TELNYX, "twilio": TWILIO}

Fields = dict[str, Any]
Signed = tuple[bytes, list[tuple[str, str]]]
_nonces = itertools.count(10**19)


def sign_twilio(url: str, fields: Fields, token: str = TWILIO["auth_token"]) -> Signed:
    from twilio.request_validator import RequestValidator

    made = RequestValidator(token).compute_signature(url, fields)
    return urlencode(fields).encode(), [("Content-Type", FORM), ("X-Twilio-Signature", made)]


def sign_plivo(url: str, fields: Fields, token: str = PLIVO["auth_token"]) -> Signed:
    from plivo.utils import signature_v3

    nonce = str(next(_nonces))
    signed = signature_v3.construct_post_url(url, fields).decode()
    made = signature_v3.get_signature_v3(token, signed, nonce).decode()
    headers = [("X-Plivo-Signature-V3", made), ("X-Plivo-Signature-V3-Nonce", nonce)]
    return urlencode(fields).encode(), [("Content-Type", FORM), *headers]


def sign_telnyx(url: str, fields: Fields, key: Ed25519PrivateKey = KEY) -> Signed:
    body, stamp = json.dumps(fields).encode(), str(int(time.time()))
    made = base64.b64encode(key.sign(stamp.encode() + b"|" + body)).decode()
    headers = [("telnyx-signature-ed25519", made), ("telnyx-timestamp", stamp)]
    return body, [("Content-Type", "application/json"), *headers]


SIGNERS = {"plivo": sign_plivo, "telnyx": sign_telnyx, "twilio": sign_twilio}


# -- what the carriers send about one outbound call ----------------------------------------------------------------

UUID = "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"


def twilio(**said: str) -> Fields:
    base = {"AccountSid": TWILIO["account_sid"], "From": OURS, "To": CALLEE}
    return {**base, "Direction": "outbound-api", "CallStatus": "ringing", "SequenceNumber": "1", **said}


def plivo(**said: str) -> Fields:
    base = {"From": OURS[1:], "To": CALLEE[1:], "Direction": "outbound"}
    return {**base, "CallStatus": "ringing", **said}


def telnyx(event_type: str, **said: Any) -> Fields:
    payload = {
        "connection_id": TELNYX["connection_id"],
        "from": OURS,
        "to": CALLEE,
        **said,
    }
    return {"data": {"event_type": event_type, "id": str(uuid.uuid4()), "payload": payload}}


def about(provider: str, leg: uuid.UUID, fields: Fields) -> Fields:
    """Return the report with the leg that it is about."""
    if provider == "twilio":
        return {"CallSid": f"CA{leg.hex}", **fields}
    if provider == "plivo":
        return {"CallUUID": str(leg), **fields}
    data = fields["data"]
    ids = {"call_control_id": f"v3:{leg.hex}", "call_leg_id": str(leg)}
    return {"data": {**data, "payload": {**ids, **data["payload"]}}}


Make = Callable[[str], Fields]
RINGING: dict[str, tuple[Hook, Make]] = {
    "twilio": (Hook.STATUS, lambda _: twilio(SequenceNumber="0")),
    "plivo": (Hook.STATUS, lambda _: plivo(Event="Ring")),
    "telnyx": (Hook.EVENTS, lambda _: telnyx("call.initiated", direction="outgoing")),
}


# -- a gateway with one call that rings ----------------------------------------------------------------------------


@dataclass
class Line:
    """One account of one carrier, and calls of it."""

    gw: Gateway
    provider: str
    account: Credential
    tokens: dict[str, str] = field(default_factory=dict)

    def ringing_call(self) -> Call:
        store = self.gw.services.store
        call = put_call(store, self.account, to=CALLEE, from_number=OURS)
        self.tokens[call.id] = put_attempt(store, call, state=AttemptState.ACCEPTED, lease_until=None).token
        assert self.ring(call) == 200
        found = self.gw.calls.get(call.id)
        assert found.status is CallStatus.RINGING
        return found

    def ring(self, call: Call) -> int:
        hook, make = RINGING[self.provider]
        return self.send(call, hook, make(""))

    def send(self, call: Call, hook: Hook, fields: Fields) -> int:
        """Sign a report about the call and hand it to the gateway; return the HTTP status."""
        return self.hand_over(hook, self.signed(call, hook, fields))

    def signed(self, call: Call, hook: Hook, fields: Fields) -> WebhookRequest:
        """Return a report about the call as the carrier would send it."""
        token = self.tokens[call.id]
        url = f"{PUBLIC}/voice/{self.account.key}/{hook.value}/{token}"
        whole = about(self.provider, uuid.UUID(call.id), fields)
        body, headers = SIGNERS[self.provider](url, whole)
        return WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body, token=token)

    def hand_over(self, hook: Hook, request: WebhookRequest) -> int:
        """Hand a request to the gateway; return the HTTP status."""
        try:
            return self.gw.receive(self.account.key, hook, request).status
        except WebhookRejected as refused:
            return refused.http_status


@contextmanager
def open_lines(folder: Path) -> Iterator[dict[str, Line]]:
    """Open one gateway with an account at each carrier."""
    settings = load_settings(env={}, database_url=f"sqlite:///{folder / 'gateway.db'}", public_url=PUBLIC)
    with Gateway.open(settings, background=False) as gw:
        put_agent(gw.services.store)
        yield {
            name: Line(gw, name, gw.credentials.add(name, check=False, **secrets))
            for name, secrets in SECRETS.items()
        }
