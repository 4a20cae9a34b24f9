"""`gateway doctor webhook`: files, --last, exit codes, JSON, and nothing that is secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from tests.clikit import SECRET, SID, TWILIO, Cli

PUBLIC = "https://voice.example.com"
BODY = f"AccountSid={SID}&CallSid=CA{'1' * 32}&CallStatus=ringing&To=%2B14155550100"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    opened = Cli(tmp_path, {"GATEWAY_PUBLIC_URL": PUBLIC})
    opened.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    return opened


def key_of(cli: Cli) -> str:
    found: str = cli.run("credentials", "list", "--json").document["data"][0]["key"]
    return found


def dump(cli: Cli, signed_for: str = PUBLIC) -> Path:
    """Write down a webhook that was signed for an address; signed here by the published scheme."""
    target = f"/voice/{key_of(cli)}/status"
    fields = f"AccountSid{SID}CallSidCA{'1' * 32}CallStatusringingTo+14155550100"
    made = hmac.new(SECRET.encode(), (signed_for + target + fields).encode(), hashlib.sha1).digest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": base64.b64encode(made).decode(),
    }
    file = cli.folder / "refused.json"
    file.write_text(json.dumps({"url": target, "headers": headers, "body": BODY}))
    return file


def test_a_webhook_that_would_be_taken_exits_0(cli: Cli) -> None:
    ran = cli.ok("doctor", "webhook", str(dump(cli)))
    assert "signature is right" in ran.out


def test_a_refused_one_exits_1_and_says_what_to_set(cli: Cli) -> None:
    ran = cli.run("doctor", "webhook", str(dump(cli, "https://www.voice.example.com")))
    assert (ran.code, ran.err) == (1, "")
    assert "bad_signature: The signature matches https://www.voice.example.com instead of" in ran.out
    assert "Set GATEWAY_PUBLIC_URL to https://www.voice.example.com " in ran.out
    assert not [word for word in (SECRET, key_of(cli), "CA1111", "1415555") if word in ran.out]


def test_programs_get_one_document(cli: Cli) -> None:
    said = cli.run("doctor", "webhook", str(dump(cli, "http://voice.example.com")), "--json").document
    assert (said["accepted"], said["reason"], said["aspects"], said["proven"]) == (
        False,
        "bad_signature",
        ["scheme"],
        True,
    )
    assert set(said) >= {"message", "remedy", "credential", "provider", "request", "tried"}


def test_an_address_is_given_with_url(cli: Cli) -> None:
    file = dump(cli, "https://calls.example.org")
    assert cli.run("doctor", "webhook", str(file), "--json").document["proven"] is False
    told = cli.run("doctor", "webhook", str(file), "--url", "https://calls.example.org/", "--json").document
    assert (told["aspects"], told["proven"]) == (["host"], True)


def test_neither_or_both_is_a_wrong_usage(cli: Cli) -> None:
    for words in ((), ("--last", "refused.json")):
        ran = cli.run("doctor", "webhook", *words)
        assert ran.code == 2
        assert "--last" in ran.err


def test_what_cannot_be_read_is_one_line(cli: Cli) -> None:
    assert "No such file" in cli.run("doctor", "webhook", "nowhere.json").err
    ran = cli.run("doctor", "webhook", "-", stdin="nothing")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "begins like POST" in ran.err


def test_last_says_how_to_keep_one(cli: Cli) -> None:
    ran = cli.run("doctor", "webhook", "--last")
    assert ran.code == 1
    assert "GATEWAY_RECORD_REFUSED_WEBHOOKS" in ran.err


def test_without_a_public_url_or_a_key_it_says_so_and_makes_nothing(cli: Cli, tmp_path: Path) -> None:
    file = dump(cli)
    del cli.env["GATEWAY_PUBLIC_URL"]
    assert "GATEWAY_PUBLIC_URL" in cli.run("doctor", "webhook", str(file)).err
    (tmp_path / "gateway.key").unlink()
    assert "no secret key" in cli.run("doctor", "webhook", str(file)).err
    assert not (tmp_path / "gateway.key").exists()
