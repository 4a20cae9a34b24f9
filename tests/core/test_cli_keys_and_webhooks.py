"""Keys of the public API and events to the outside, on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.byoc import Difference, Place
from gateway.models import DEFAULT_WORKSPACE
from gateway.publishing import publish_number_drifted
from gateway.store import Store, numbers, outbox
from tests.clikit import Cli


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path, {})


def test_a_key_is_shown_once_and_listed_without_itself(cli: Cli) -> None:
    made = cli.ok("keys", "create", "Dashboard", "--scope", "calls:read", "--json").document
    assert made["key"].startswith(made["prefix"])
    assert made["scopes"] == ["calls:read"]
    listed = cli.ok("keys", "list", "--json")
    assert listed.document == {"data": [{name: value for name, value in made.items() if name != "key"}]}
    assert made["key"] not in listed.out
    assert "live" in cli.ok("keys", "list").out


def test_a_revoked_key_says_so(cli: Cli) -> None:
    made = cli.ok("keys", "create", "Old", "--json").document
    revoked = cli.ok("keys", "revoke", made["prefix"], "--json").document
    assert revoked["revoked_at"] is not None
    assert "revoked" in cli.ok("keys", "list").out


def test_a_key_can_expire(cli: Cli) -> None:
    made = cli.ok("keys", "create", "Short", "--expires-in", "1h", "--json").document
    assert made["expires_at"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "create", "Bad", "--scope", "calls:fly"), "calls:fly"),
        (("keys", "create", "Bad", "--expires-in", "soon"), "expires-in"),
        (("keys", "revoke", "gwk_unknown"), "no API key"),
        (("webhooks", "replay", "evt_unknown"), "no event"),
    ],
)
def test_a_wrong_word_is_one_line(cli: Cli, words: tuple[str, ...], said: str) -> None:
    ran = cli.run(*words)
    assert ran.code == 1
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_listening_ends_by_itself_and_prints_nothing_when_nothing_happens(cli: Cli) -> None:
    assert cli.ok("webhooks", "listen", "--for", "0.5", "--json").out == ""


@pytest.mark.parametrize(("options", "shown"), [((), "…0100"), (("--include-numbers",), "+14155550100")])
def test_listening_names_the_number_that_drifted(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], shown: str
) -> None:
    secrets = ("--set", f"account_sid=AC{'0' * 32}", "--set", f"auth_token={'1' * 32}")
    cli.ok("credentials", "add", "twilio", "--no-check", *secrets)
    cli.ok("numbers", "add", "+14155550100", "--credential", "twilio")
    latest = outbox.latest_notification_id

    def drift_meanwhile(store: Store, workspace_id: str) -> str | None:
        before = latest(store, workspace_id)
        [number] = numbers.list_numbers(store, DEFAULT_WORKSPACE)
        changed = Difference(place=Place.NUMBER, setting="voice_url", wanted="", found="other")
        with store.transaction() as tx:
            publish_number_drifted(tx, number, [changed], datetime.now(UTC))
        return before

    monkeypatch.setattr(outbox, "latest_notification_id", drift_meanwhile)
    [line] = cli.ok("webhooks", "listen", "--for", "0.2", *options).out.splitlines()
    assert "number.drifted" in line
    assert shown in line.split()
    assert ("+14155550100" in line) is bool(options)
