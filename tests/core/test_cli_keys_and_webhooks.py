"""Keys of the public API and events to the outside, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

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
