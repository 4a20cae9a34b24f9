"""Signatures of the simulated Twilio, against the official validator and against literals."""

from __future__ import annotations

import warnings

import pytest
from twilio.request_validator import RequestValidator

from providers.simulator import Caller, Simulator
from providers.simulator.carriers.twilio.face import Face
from providers.simulator.carriers.twilio.signing import SharedKey, signature, with_default_port
from tests.simulator.twilio_customer import Customer

TOKEN = "5f0c2e9a7b4d41c6a1e8f3d2c0b9a876"
URL = "https://gw.example.net/twilio/voice?tenant=t1"
FORM = [
    ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA89abcdef0123456789abcdef01234567"),
    ("CallStatus", "ringing"),
    ("Called", "+14155550100"),
    ("Caller", "+12125550123"),
    ("Direction", "inbound"),
    ("From", "+12125550123"),
    ("To", "+14155550100"),
]


def test_a_form_request_has_the_signature_of_the_official_generator() -> None:
    assert signature(TOKEN, URL, FORM) == "lyxrtWAfl2AirbWh8qcmxwHLGso="
    with_port = "https://gw.example.net:443/twilio/voice?tenant=t1"
    assert with_default_port(URL) == with_port
    assert signature(TOKEN, with_port, FORM) == "AyAQWzDhyCLhcEAyPb10MmNNqxM="


def test_a_get_request_is_its_url_alone() -> None:
    url = "https://gw.example.net/twilio/status?attempt=a-17&CallSid=CA89abcdef0123456789abcdef01234567&CallStatus=busy"
    assert signature(TOKEN, url, []) == "TxzRmzcctrzHR1ev9Scmx8+C8t0="


def test_a_shared_key_signs_with_sha256() -> None:
    assert signature(TOKEN, URL, FORM, "sha256") == "HDVWqn/rkyt0FOEdLmrrbzt8rauJgqerKSRf6e/R0Gg="


def test_repeated_values_are_signed_once_and_sorted() -> None:
    twice = signature(TOKEN, URL, [("a", "2"), ("a", "1"), ("a", "2")])
    assert twice == signature(TOKEN, URL, [("a", "1"), ("a", "2")])
    assert RequestValidator(TOKEN).validate(URL, _Multi([("a", "2"), ("a", "1")]), twice)


@pytest.mark.parametrize("signs_with_port", [False, True])
def test_webhooks_are_accepted_by_the_official_validator(signs_with_port: bool) -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": "<Response/>"}) as our:
        account = sim.add_account("twilio")
        face = sim.face("twilio")
        assert isinstance(face, Face)
        face.habits.signs_with_port = signs_with_port
        face.habits.extra_fields = {"Zusatz": "grün & gut", "Empty": ""}
        sim.add_number(account, "+14155550100")
        sim.configure_number(
            "+14155550100", voice_url=our.url("/answer?tenant=t1"), status_url=our.url("/status")
        )
        sim.wait(sim.ring("+14155550100", "+12125550123", Caller(talk_s=1)))
        validator = RequestValidator(account.secrets["auth_token"])
        assert len(our.received) == 2
        for got in our.received:
            assert validator.validate(got.url, got.fields, got.headers["X-Twilio-Signature"])
            assert not validator.validate(
                got.url, {**got.fields, "To": "+1"}, got.headers["X-Twilio-Signature"]
            )


def test_a_forged_webhook_is_refused_by_the_official_validator() -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": "<Response/>"}) as our:
        account = sim.add_account("twilio")
        sim.add_number(account, "+14155550100")
        sim.configure_number("+14155550100", voice_url=our.url("/answer"), status_url=our.url("/status"))
        sim.faults.webhooks("twilio", hook="status", forge=True)
        sim.wait(sim.ring("+14155550100", "+12125550123"))
        validator = RequestValidator(account.secrets["auth_token"])
        verdicts = [
            validator.validate(got.url, got.fields, got.headers["X-Twilio-Signature"])
            for got in our.at("/status")
        ]
        assert verdicts == [False, True]


def test_a_shared_key_is_announced_and_verifies() -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": "<Response/>"}) as our:
        account = sim.add_account("twilio")
        face = sim.face("twilio")
        assert isinstance(face, Face)
        face.habits.shared_key = SharedKey(key_id="WK1", secret="a shared secret")
        sim.add_number(account, "+14155550100")
        sim.configure_number("+14155550100", voice_url=our.url("/answer"))
        sim.wait(sim.ring("+14155550100", "+12125550123"))
        got = our.received[0]
        assert got.headers["X-Twilio-Webhooks-Signature-Settings"] == "key=WK1,algorithm=HMAC_SHA256"
        validator = RequestValidator("a shared secret")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert validator.validate(got.url, got.fields, got.headers["X-Twilio-Signature"], "HMAC_SHA256")


class _Multi(dict[str, str]):
    """Just enough of a werkzeug MultiDict for the official validator."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def getlist(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]
