"""One thing is put wrong, on each carrier: the signature doctor names exactly that, and nothing that is secret."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import registry
from gateway.captures import Capture, read_capture
from gateway.errors import RejectionReason
from gateway.examining import Verdict, examine
from gateway.interface import Aspect, WebhookRequest
from tests.linekit import PUBLIC, RINGING, SECRETS, SIGNERS, Line, about, open_lines

SIGNS_ADDRESS = ("plivo", "twilio")
BAD = RejectionReason.BAD_SIGNATURE
LEG = uuid.UUID("3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36")


@dataclass
class Patient:
    """One account, and the webhooks that it gets."""

    line: Line
    lines: dict[str, Line]

    @property
    def provider(self) -> str:
        return self.line.provider

    @property
    def target(self) -> str:
        hook, _ = RINGING[self.provider]
        return f"/voice/{self.line.account.key}/{hook.value}/{'t' * 32}"

    def capture(self, signed_for: str | None = None, target: str | None = None, **changes: Any) -> Capture:
        """A webhook that the carrier signed for one address, and that came to another."""
        body, headers = SIGNERS[self.provider](signed_for or PUBLIC + self.target, self.fields())
        made = Capture(
            method="POST",
            target=target or self.target,
            headers=tuple(headers),
            body=body,
            received_at=datetime.now(UTC),
        )
        return replace(made, **changes)

    def fields(self) -> dict[str, Any]:
        _, make = RINGING[self.provider]
        return about(self.provider, LEG, make(""))

    def examine(self, capture: Capture, *addresses: str, **settings: Any) -> Verdict:
        services = self.line.gw.services
        before = services.settings
        services.settings = replace(before, **settings)
        try:
            verdict = examine(services, capture, addresses=addresses)
        finally:
            services.settings = before
        self.keeps_secrets(verdict, capture)
        return verdict

    def keeps_secrets(self, verdict: Verdict, capture: Capture) -> None:
        told = repr(verdict)
        secrets = [each for one in SECRETS.values() for each in one.values() if len(each) > 12]
        signatures = [value for name, value in capture.headers if len(value) > 20 and name != "Content-Type"]
        for each in (*secrets, *signatures, self.line.account.key, "t" * 32, "+1415"):
            assert each not in told


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    with open_lines(tmp_path_factory.mktemp("doctor")) as opened:
        yield opened


@pytest.fixture(params=sorted(registry.BUILT_IN))
def patient(request: pytest.FixtureRequest, lines: dict[str, Line]) -> Patient:
    return Patient(lines[request.param], lines)


def without(capture: Capture, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in capture.headers if pair[0].lower() not in names)


def test_a_webhook_that_is_right_is_taken_and_that_is_said(patient: Patient) -> None:
    verdict = patient.examine(patient.capture())
    assert (verdict.is_accepted, verdict.aspects, verdict.reason) == (True, (), None)
    assert "signature is right" in verdict.message


@pytest.mark.parametrize(
    ("signed", "public_url", "aspect"),
    [
        ("http://127.0.0.1:8080", "https://127.0.0.1:8080", Aspect.SCHEME),
        ("https://gw.example.net", "https://old.example.net", Aspect.HOST),
        ("https://gw.example.net:8443", "https://gw.example.net", Aspect.PORT),
        ("https://gw.example.net", "https://gw.example.net/telephony", Aspect.PATH),
        ("https://gw.example.net/telephony", "https://gw.example.net", Aspect.PATH),
    ],
)
def test_a_wrong_public_url_is_named_with_the_right_one(
    patient: Patient, signed: str, public_url: str, aspect: Aspect
) -> None:
    capture = patient.capture(signed_for=signed + patient.target)
    told = (("Host", "gw.example.net"), ("X-Forwarded-Prefix", "/telephony"))  # by the proxy in front
    verdict = patient.examine(replace(capture, headers=(*capture.headers, *told)), public_url=public_url)
    if patient.provider not in SIGNS_ADDRESS:
        assert verdict.is_accepted, "its signature does not cover the address"
        return
    assert (verdict.reason, verdict.aspects, verdict.is_proven) == (BAD, (aspect,), True)
    assert verdict.message == f"The signature matches {signed} instead of {public_url}."
    assert f"Set GATEWAY_PUBLIC_URL to {signed} " in verdict.remedy


def test_an_address_without_encryption_is_to_be_mended_at_the_carrier(patient: Patient) -> None:
    verdict = patient.examine(patient.capture(signed_for=f"http://gw.example.net{patient.target}"))
    if patient.provider in SIGNS_ADDRESS:
        assert verdict.aspects == (Aspect.SCHEME,)
        assert "GATEWAY_PUBLIC_URL" not in verdict.remedy
        assert "enter https://" in verdict.remedy


def test_an_address_that_nobody_told_is_found_once_it_is_given(patient: Patient) -> None:
    if patient.provider not in SIGNS_ADDRESS:
        pytest.skip("its signature does not cover the address")
    capture = patient.capture(signed_for=f"https://calls.example.org/in{patient.target}")
    first = patient.examine(capture)
    assert (first.is_proven, first.reason) == (False, BAD)
    assert "--url" in first.remedy
    second = patient.examine(capture, f"https://calls.example.org/in{patient.target}")
    assert second.aspects == (Aspect.HOST, Aspect.PATH)
    assert "Set GATEWAY_PUBLIC_URL to https://calls.example.org/in " in second.remedy


def test_a_trailing_slash_is_a_path(patient: Patient) -> None:
    if patient.provider not in SIGNS_ADDRESS:
        pytest.skip("its signature does not cover the address")
    verdict = patient.examine(patient.capture(signed_for=f"{PUBLIC}{patient.target}/"))
    assert verdict.aspects == (Aspect.PATH,)


def test_a_query_that_a_proxy_dropped_or_added_is_a_query(patient: Patient) -> None:
    if patient.provider not in SIGNS_ADDRESS:
        pytest.skip("its signature does not cover the address")
    added = patient.examine(patient.capture(target=f"{patient.target}?utm=1"))
    assert added.aspects == (Aspect.QUERY,)
    signed = f"{PUBLIC}{patient.target}?tenant=t1"
    dropped = patient.examine(patient.capture(signed_for=signed), signed)
    assert dropped.aspects == (Aspect.QUERY,)


def test_a_sorted_query_is_a_query_order_where_the_order_is_signed(patient: Patient) -> None:
    capture = patient.capture(
        signed_for=f"{PUBLIC}{patient.target}?b=2&a=1&c=3", target=f"{patient.target}?a=1&b=2&c=3"
    )
    verdict = patient.examine(capture)
    if patient.provider == "twilio":
        assert verdict.aspects == (Aspect.QUERY_ORDER,)
    else:
        assert verdict.is_accepted


def test_a_query_that_was_spelt_anew_is_an_encoding(patient: Patient) -> None:
    capture = patient.capture(
        signed_for=f"{PUBLIC}{patient.target}?who=%7Ejo%20M", target=f"{patient.target}?who=%7ejo%20M"
    )
    verdict = patient.examine(capture)
    if patient.provider == "twilio":
        assert verdict.aspects == (Aspect.ENCODING,)
        assert "address" in verdict.message
    else:
        assert verdict.is_accepted


def test_a_body_that_was_decoded_once_too_often_is_an_encoding(patient: Patient) -> None:
    capture = patient.capture()
    if patient.provider == "telnyx":
        document = json.loads(capture.body)
        body = json.dumps(document).replace("/", "\\/").replace("+", "\\u002b").encode()
        assert json.loads(body) == document
        capture = replace(capture, body=body)
    elif patient.provider == "twilio":
        capture = replace(capture, body=capture.body.replace(b"%2B", b"+"))
    else:
        capture = replace(capture, body=capture.body.replace(b"From", b"%46rom").replace(b"%", b"%25"))
    verdict = patient.examine(capture)
    assert (verdict.reason, verdict.is_proven) == (BAD, True)
    assert verdict.aspects in ((Aspect.ENCODING,), (Aspect.BODY,))
    assert "body" in verdict.message


def test_a_body_that_was_written_anew_is_a_body_or_an_order(patient: Patient) -> None:
    if patient.provider != "telnyx":
        pytest.skip("a form's fields are signed sorted: their order does not matter")
    capture = patient.capture()
    document = json.loads(capture.body)
    compact = patient.examine(replace(capture, body=json.dumps(document, separators=(",", ":")).encode()))
    assert compact.aspects == (Aspect.BODY,)
    data = dict(sorted(document["data"].items()))
    _, headers = SIGNERS["telnyx"]("", {"data": {**data, "payload": dict(sorted(data["payload"].items()))}})
    reordered = replace(capture, headers=tuple(headers))
    assert patient.examine(reordered).aspects == (Aspect.PARAMETER_ORDER,)


def test_parameters_signed_in_the_order_of_the_body_are_named(patient: Patient) -> None:
    if patient.provider != "twilio":
        pytest.skip("only there can the order be tried")
    import hashlib
    import hmac

    capture, fields = patient.capture(), patient.fields()
    unsorted = PUBLIC + patient.target + "".join(name + value for name, value in fields.items())
    key = SECRETS["twilio"]["auth_token"].encode()
    made = base64.b64encode(hmac.new(key, unsorted.encode(), hashlib.sha1).digest()).decode()
    headers = (*without(capture, "x-twilio-signature"), ("X-Twilio-Signature", made))
    assert patient.examine(replace(capture, headers=headers)).aspects == (Aspect.PARAMETER_ORDER,)


def test_a_lost_content_type_is_a_header(patient: Patient) -> None:
    capture = patient.capture()
    verdict = patient.examine(replace(capture, headers=without(capture, "content-type")))
    assert verdict.reason is RejectionReason.UNSUPPORTED_MEDIA
    if patient.provider != "telnyx":
        assert verdict.aspects == (Aspect.HEADERS,)


def test_a_lost_signature_is_said_to_be_lost(patient: Patient) -> None:
    capture = patient.capture()
    kept = tuple(pair for pair in capture.headers if pair[0] == "Content-Type")
    verdict = patient.examine(replace(capture, headers=kept))
    assert (verdict.reason, verdict.is_proven) == (RejectionReason.MISSING_SIGNATURE, False)
    assert "proxy drops its headers" in verdict.remedy


def test_another_secret_is_told_apart_from_another_address(patient: Patient) -> None:
    capture = patient.capture()
    spoiled = tuple((name, value.swapcase() if len(value) > 27 else value) for name, value in capture.headers)
    verdict = patient.examine(replace(capture, headers=spoiled))
    assert (verdict.reason, verdict.is_proven, verdict.aspects) == (BAD, False, ())
    assert "another secret" in verdict.message
    assert verdict.tried > 10


def test_the_token_of_another_credential_is_named(patient: Patient) -> None:
    """A sub-account's number at the main account's address."""
    gw = patient.line.gw
    other = OTHER[patient.provider]
    moved = gw.credentials.add(patient.provider, check=False, name=f"sub {patient.provider}", **other)
    try:
        key = moved.key
        own = patient.line.account.key
        capture = patient.capture()
        target = patient.target.replace(own, key)
        if patient.provider in SIGNS_ADDRESS:
            capture = patient.capture(signed_for=PUBLIC + target)
        verdict = patient.examine(replace(capture, target=target))
        assert (verdict.reason, verdict.aspects, verdict.is_proven) == (BAD, (Aspect.TOKEN,), True)
        assert repr(patient.line.account.name) in verdict.message
        assert verdict.credential == moved.name
    finally:
        gw.credentials.remove(moved.id)


OTHER = {
    "twilio": {"account_sid": "AC" + "9" * 32, "auth_token": "9" * 32},
    "telnyx": {
        "api_key": "KEY_other_madeup_0123",
        "public_key": base64.b64encode(bytes(range(32))).decode(),
        "connection_id": "999",
    },
    "plivo": {"auth_id": "MA" + "9" * 18, "auth_token": "9" * 40},
}


def test_the_second_of_two_live_secrets_is_named(patient: Patient) -> None:
    if patient.provider == "telnyx":
        pytest.skip("its keys stand in one setting")
    gw = patient.line.gw
    own = SECRETS[patient.provider]
    both = {
        **own,
        "auth_token": OTHER[patient.provider]["auth_token"],
        "auth_token_secondary": own["auth_token"],
    }
    rotated = gw.credentials.add(patient.provider, check=False, name=f"rotating {patient.provider}", **both)
    try:
        target = patient.target.replace(patient.line.account.key, rotated.key)
        verdict = patient.examine(replace(patient.capture(signed_for=PUBLIC + target), target=target))
        assert verdict.is_accepted
        assert "auth_token_secondary" in verdict.message
    finally:
        gw.credentials.remove(rotated.id)


def test_a_key_of_no_credential_is_named_with_the_credential_that_signed(patient: Patient) -> None:
    target = patient.target.replace(patient.line.account.key, "0" * 32)
    verdict = patient.examine(patient.capture(signed_for=PUBLIC + target, target=target))
    assert (verdict.reason, verdict.is_proven) == (RejectionReason.UNKNOWN_KEY, True)
    assert repr(patient.line.account.name) in verdict.message


def test_a_wrong_clock_is_named_where_the_time_is_signed(patient: Patient) -> None:
    late = datetime.now(UTC) + timedelta(minutes=20)
    verdict = patient.examine(patient.capture(received_at=late))
    if patient.provider == "telnyx":
        assert (verdict.reason, verdict.aspects) == (RejectionReason.STALE, (Aspect.CLOCK,))
        assert "s before it came" in verdict.message
        assert patient.examine(patient.capture(received_at=None)).is_accepted, "nobody knows when it came"
    else:
        assert verdict.is_accepted


def test_another_account_in_the_body_is_named(patient: Patient) -> None:
    changed = {"twilio": ("AccountSid", "AC" + "8" * 32), "telnyx": ("connection_id", "77")}
    if patient.provider not in changed:
        pytest.skip("its webhooks name no account")
    name, value = changed[patient.provider]
    fields = patient.fields()
    (fields["data"]["payload"] if patient.provider == "telnyx" else fields)[name] = value
    body, headers = SIGNERS[patient.provider](PUBLIC + patient.target, fields)
    verdict = patient.examine(replace(patient.capture(), body=body, headers=tuple(headers)))
    assert (verdict.reason, verdict.aspects) == (RejectionReason.WRONG_ACCOUNT, (Aspect.TOKEN,))


def test_what_a_gateway_kept_is_examined_with_the_same_word_as_its_log_and_counter(
    patient: Patient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from gateway.refusals import Refusals, load_last

    services = patient.line.gw.services
    settings = replace(
        services.settings, record_refused_webhooks=2, secret_key_file=str(tmp_path / "gateway.key")
    )
    refusals = Refusals(settings, services.vault, services.clock)
    gw = patient.line.gw
    gw.refusals, kept = refusals, gw.refusals
    try:
        capture = patient.capture()
        spoiled = tuple(
            (name, value.swapcase() if len(value) > 27 else value) for name, value in capture.headers
        )
        hook, _ = RINGING[patient.provider]
        request = WebhookRequest(
            method="POST", url=PUBLIC + patient.target, headers=spoiled, body=capture.body, token="t" * 32
        )
        assert patient.line.hand_over(hook, request) == 403
    finally:
        gw.refusals = kept
    assert refusals.counts[BAD] == 1
    assert [each.getMessage() for each in caplog.records if "refused" in each.getMessage()] == [
        f"webhook refused: bad_signature ({hook.value})"
    ]
    found = load_last(settings, services.vault)
    assert (found.body, found.target, found.reason) == (capture.body, patient.target, "bad_signature")
    [file] = (tmp_path / "refused-webhooks").iterdir()
    assert capture.body not in file.read_bytes()
    verdict = patient.examine(found)
    assert verdict.reason is not None
    assert verdict.reason.value == found.reason


def test_a_dump_made_by_hand_is_examined(patient: Patient) -> None:
    """As a person copies it from a proxy's log: the request on the wire."""
    capture = patient.capture(signed_for=f"http://gw.example.net{patient.target}")
    lines_ = [f"POST {capture.target} HTTP/1.1", "Host: gw.example.net"]
    lines_ += [f"{name}: {value}" for name, value in capture.headers]
    lines_ += [f"Content-Length: {len(capture.body)}", "", ""]
    found = read_capture("\r\n".join(lines_).encode() + capture.body + b"\n")
    assert found.body == capture.body
    verdict = patient.examine(found)
    if patient.provider in SIGNS_ADDRESS:
        assert verdict.aspects == (Aspect.SCHEME,)
    else:
        assert verdict.is_accepted


def test_asking_changes_nothing(patient: Patient) -> None:
    calls = patient.line.gw.calls.list().calls
    patient.examine(patient.capture())
    assert patient.line.gw.calls.list().calls == calls
