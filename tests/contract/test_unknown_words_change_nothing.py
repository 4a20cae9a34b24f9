"""R39: a word that no table lists is kept as it came, counted and warned about, and changes nothing else.

The requests are made here and signed by the carriers' own libraries, or by an implementation of the published scheme.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import Call, CallStatus, EndCause, Gateway, RetryAdvice, WebhookRejected
from gateway.interface import Hook, WebhookRequest
from gateway.models import AttemptState, Credential
from gateway.settings import load_settings
from gateway.store.upkeep import list_unmapped
from tests.adapters.plivo.support import SECRETS as PLIVO
from tests.adapters.twilio.support import SECRETS as TWILIO
from tests.bench import CALLEE, OURS
from tests.storekit import put_agent, put_attempt, put_call

PUBLIC = "https://gw.example.net"
FORM = "application/x-www-form-urlencoded"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
TELNYX = {
    "api_key": "KEY0123456789ABCDEF_madeup",
    "public_key": base64.b64encode(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
    "connection_id": "1234567890",
}
SECRETS = {"plivo": PLIVO, "telnyx": TELNYX, "twilio": TWILIO}

WORDS = ["reticulating", "in_progress", "COMPLETED-ISH", "call.teleported", "0", "-1", "nil", "x" * 100]

Fields = dict[str, Any]
Signed = tuple[bytes, list[tuple[str, str]]]
_nonces = itertools.count(10**19)


def sign_twilio(url: str, fields: Fields) -> Signed:
    from twilio.request_validator import RequestValidator

    made = RequestValidator(TWILIO["auth_token"]).compute_signature(url, fields)
    return urlencode(fields).encode(), [("Content-Type", FORM), ("X-Twilio-Signature", made)]


def sign_plivo(url: str, fields: Fields) -> Signed:
    from plivo.utils import signature_v3

    nonce = str(next(_nonces))
    signed = signature_v3.construct_post_url(url, fields).decode()
    made = signature_v3.get_signature_v3(PLIVO["auth_token"], signed, nonce).decode()
    headers = [("X-Plivo-Signature-V3", made), ("X-Plivo-Signature-V3-Nonce", nonce)]
    return urlencode(fields).encode(), [("Content-Type", FORM), *headers]


def sign_telnyx(url: str, fields: Fields) -> Signed:
    body, stamp = json.dumps(fields).encode(), str(int(time.time()))
    made = base64.b64encode(KEY.sign(stamp.encode() + b"|" + body)).decode()
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
# Every field with a closed list of words, in a report that is otherwise about a call that rings.
PROGRESS: dict[str, dict[str, tuple[Hook, Make]]] = {
    "twilio": {
        "CallStatus": (Hook.STATUS, lambda word: twilio(CallStatus=word)),
        "Direction": (Hook.STATUS, lambda word: twilio(Direction=word)),
        "StirVerstat": (Hook.STATUS, lambda word: twilio(StirVerstat=word)),
        "StirStatus": (Hook.STATUS, lambda word: twilio(StirStatus=word)),
        "AnsweredBy": (Hook.AMD, lambda word: twilio(AnsweredBy=word)),
        "StreamEvent": (Hook.STATUS, lambda word: twilio(StreamEvent=word, StreamSid="MZ" + "1" * 32)),
        "RecordingStatus": (
            Hook.RECORDING,
            lambda word: twilio(RecordingStatus=word, RecordingSid="RE" + "1" * 32),
        ),
    },
    "plivo": {
        "Event": (Hook.STATUS, lambda word: plivo(Event=word)),
        "CallStatus": (Hook.STATUS, lambda word: plivo(Event="Ring", CallStatus=word)),
        "Direction": (Hook.STATUS, lambda word: plivo(Event="Ring", CallStatus="queued", Direction=word)),
        "STIRAttestation": (
            Hook.STATUS,
            lambda word: plivo(Event="Ring", CallStatus="queued", STIRAttestation=word),
        ),
        "Machine": (Hook.AMD, lambda word: plivo(Event="MachineDetection", Machine=word)),
        "StreamEvent": (Hook.STATUS, lambda word: plivo(Event=word, StreamID=UUID)),
        "StatusReason": (Hook.STATUS, lambda word: plivo(Event="stopped", StreamID=UUID, StatusReason=word)),
        "DialAction": (Hook.STATUS, lambda word: plivo(DialAction=word)),
    },
    "telnyx": {
        "event_type": (Hook.EVENTS, lambda word: telnyx(word)),
        "direction": (Hook.EVENTS, lambda word: telnyx("call.initiated", direction=word)),
        "attestation": (
            Hook.EVENTS,
            lambda word: telnyx("call.initiated", direction="outgoing", shaken_stir_attestation=word),
        ),
        "result": (Hook.EVENTS, lambda word: telnyx("call.machine.premium.detection.ended", result=word)),
        "greeting": (Hook.EVENTS, lambda word: telnyx("call.machine.greeting.ended", result=word)),
        "status": (Hook.EVENTS, lambda word: telnyx("call.speak.ended", status=word)),
        "cost": (Hook.EVENTS, lambda word: telnyx("call.cost", status=word)),
    },
}
# A report of the end is an end whatever it says: the call must not stay open for ever.
ENDS: dict[str, dict[str, tuple[Hook, Make]]] = {
    "twilio": {},  # its end is a status: an unknown one is no end, and the carrier is asked
    "plivo": {
        "HangupCauseCode": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupCauseCode=word)),
        "HangupCause": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupCause=word)),
        "HangupSource": (Hook.STATUS, lambda word: plivo(Event="Hangup", HangupSource=word)),
    },
    "telnyx": {
        "hangup_cause": (Hook.EVENTS, lambda word: telnyx("call.hangup", hangup_cause=word)),
    },
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
        token = self.tokens[call.id]
        url = f"{PUBLIC}/voice/{self.account.key}/{hook.value}/{token}"
        whole = about(self.provider, uuid.UUID(call.id), fields)
        body, headers = SIGNERS[self.provider](url, whole)
        request = WebhookRequest(method="POST", url=url, headers=tuple(headers), body=body, token=token)
        try:
            return self.gw.receive(self.account.key, hook, request).status
        except WebhookRejected as refused:
            return refused.http_status


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    """One gateway with an account at each carrier; each test takes a call of its own."""
    folder: Path = tmp_path_factory.mktemp("words")
    settings = load_settings(env={}, database_url=f"sqlite:///{folder / 'gateway.db'}", public_url=PUBLIC)
    with Gateway.open(settings, background=False) as gw:
        put_agent(gw.services.store)
        yield {name: Line(gw, name, gw.credentials.add(name, **secrets)) for name, secrets in SECRETS.items()}


def known(call: Call) -> tuple[Any, ...]:
    return call.status, call.facts, call.end_reason, call.sequence


def counted(line: Line, word: str) -> int:
    return sum(
        each.count
        for each in list_unmapped(line.gw.services.store)
        if each.provider == line.provider and each.word.lower() == word.lower()
    )


def rows(of: dict[str, dict[str, tuple[Hook, Make]]]) -> list[Any]:
    return [
        pytest.param(provider, *row, id=f"{provider} {name}")
        for provider, table in of.items()
        for name, row in table.items()
    ]


@pytest.mark.parametrize(("provider", "hook", "make"), rows(PROGRESS))
def test_an_unknown_word_is_kept_counted_and_warned_about_and_changes_nothing(
    lines: dict[str, Line], provider: str, hook: Hook, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    line, heard = lines[provider], []
    line.gw.on("call.updated")(heard.append)
    for word in WORDS:
        call = line.ringing_call()
        before, seen = known(call), counted(line, word)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert line.send(call, hook, make(word)) == 200
        assert known(line.gw.calls.get(call.id)) == before, word
        assert counted(line, word) == seen + 1
        assert f"{provider}: no meaning for" in caplog.text
        last = line.gw.calls.events(call.id)[-1]
        assert word in json.dumps(dict(last.raw)), "kept as it came"
    assert heard == []


@pytest.mark.parametrize(("provider", "hook", "make"), rows(ENDS))
def test_an_end_for_an_unknown_reason_is_an_end_and_a_person_must_decide(
    lines: dict[str, Line], provider: str, hook: Hook, make: Make
) -> None:
    line = lines[provider]
    for word in WORDS[:4]:
        call = line.ringing_call()
        seen = counted(line, word)
        assert line.send(call, hook, make(word)) == 200
        ended = line.gw.calls.get(call.id)
        assert ended.end_reason is not None
        assert (ended.status, ended.end_reason.why) == (CallStatus.FAILED, EndCause.UNKNOWN)
        assert ended.end_reason.retry is RetryAdvice.ASK
        words = ended.end_reason.carrier
        assert word[:60] in (words.cause, words.source)
        assert counted(line, word) == seen + 1
        assert line.ring(call) == 200
        assert line.gw.calls.get(call.id).status is CallStatus.FAILED, "nothing brings it back"


# -- any text at all -----------------------------------------------------------------------------------------------

STRANGE = "aZ09._- :;/\\'\"<>&%+=,|{}\t\n\r\0\x7f\u0085\u00e9\u0130\u202e\u2028\ufeff\ufffe\U0001f600名"


def strange_words(chance: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        length = chance.choice((1, 2, 5, 30, 300))
        yield "".join(chance.choice(STRANGE) for _ in range(length))


def play_strange_words(line: Line, count: int) -> None:
    """Each word in each field: taken or refused as malformed, never a fault, and never another status."""
    chance = random.Random(39)
    table = list(PROGRESS[line.provider].values())
    call = line.ringing_call()
    status, end = call.status, call.end_reason
    for n, word in enumerate(strange_words(chance, count)):
        hook, make = table[n % len(table)]
        assert line.send(call, hook, make(word)) in (200, 400), word
        if n % 50 == 0 or n == count - 1:
            latest = line.gw.calls.get(call.id)
            assert (latest.status, latest.end_reason) == (status, end), word


@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_any_text_in_the_place_of_a_word_is_no_fault_and_no_change(
    lines: dict[str, Line], provider: str
) -> None:
    play_strange_words(lines[provider], 80)


@pytest.mark.proof
@pytest.mark.parametrize("provider", sorted(SECRETS))
def test_ten_thousand_texts_in_the_place_of_a_word_are_no_fault_and_no_change(
    lines: dict[str, Line], provider: str
) -> None:
    play_strange_words(lines[provider], 10_000)
