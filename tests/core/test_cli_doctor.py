"""`gateway doctor`: what it finds, what it makes of it, and that it changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.models import AttemptState
from gateway.store import upkeep
from tests.clikit import TWILIO, Cli
from tests.storekit import put_attempt, put_call, put_credential


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path, {"GATEWAY_PUBLIC_URL": "https://voice.example.com"})


def found(cli: Cli, code: int = 0) -> dict[str, Any]:
    ran = cli.run("doctor", "--offline", "--json")
    assert (ran.code, ran.err) == (code, "")
    assert ran.document["ok"] is (code == 0)
    return {each["check"]: each for each in ran.document["checks"]}


def test_a_gateway_that_is_set_up_is_in_order(cli: Cli) -> None:
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    checks = found(cli)
    assert {each["level"] for each in checks.values()} == {"ok"}
    assert {
        "public URL",
        "secret key",
        "database",
        "credential twilio",
        "dials",
        "open calls",
        "clock",
    } <= set(checks)
    shown = cli.ok("doctor", "--offline").out
    assert "environment GATEWAY_PUBLIC_URL" in shown
    assert "\x1b" not in shown


def test_settings_come_with_their_origin(cli: Cli) -> None:
    (cli.folder / "gateway.toml").write_text("threads = 3\n")
    settings = cli.run("doctor", "--offline", "--json").document["settings"]
    assert settings["threads"] == {"value": "3", "origin": "file gateway.toml"}
    assert settings["workers"]["origin"] == "default"


def test_asking_makes_no_database_and_no_key(cli: Cli) -> None:
    assert "gateway db upgrade" in found(cli, code=1)["database"]["message"]
    assert list(cli.folder.iterdir()) == []


def test_no_public_url_is_a_problem(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    del cli.env["GATEWAY_PUBLIC_URL"]
    assert "GATEWAY_PUBLIC_URL" in found(cli, code=1)["public URL"]["message"]


def test_a_wrong_setting_is_the_only_finding(cli: Cli) -> None:
    checks = found(Cli(cli.folder, {"GATEWAY_BIND": "nowhere"}), code=1)
    assert list(checks) == ["settings"]


def test_secrets_that_do_not_open_are_a_problem(cli: Cli) -> None:
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    (cli.folder / "gateway.key").unlink()
    assert "restore the key file" in found(cli, code=1)["credentials"]["message"]
    cli.ok("calls", "list")  # makes a new key, which is another one
    assert "another key" in found(cli, code=1)["credential twilio"]["message"]


def test_a_damaged_database_is_a_problem(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    file = cli.folder / "gateway.db"
    content = bytearray(file.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    file.write_bytes(content)
    assert found(cli, code=1)["database"]["level"] == "problem"


def test_unknown_dials_words_and_calls_open_too_long_are_found(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    store = cli.store()
    now = datetime.now(UTC)
    credential = put_credential(store)
    unclear = put_call(store, credential, created_at=now - timedelta(minutes=2))
    put_attempt(
        store, unclear, state=AttemptState.UNKNOWN, lease_until=None, created_at=now - timedelta(minutes=2)
    )
    died = put_call(store, credential, created_at=now - timedelta(minutes=1), to="+14155550124")
    put_attempt(store, died, state=AttemptState.DIALING, lease_until=now - timedelta(seconds=10))
    stuck = put_call(store, credential, created_at=now - timedelta(hours=2))
    with store.transaction() as tx:
        upkeep.count_unmapped(tx, "twilio", "call_status", "wandering", now)
    store.close()
    ran = cli.run("doctor", "--offline", "--json")
    assert ran.code == 1
    found_ = [(each["check"], each["level"], each["message"]) for each in ran.document["checks"]]
    dials = [message for check, level, message in found_ if (check, level) == ("dials", "warning")]
    assert sorted(message.split()[1].rstrip(":") for message in dials) == sorted([unclear.id, died.id])
    assert [m.split()[1] for c, level, m in found_ if (c, level) == ("open calls", "problem")] == [stuck.id]
    assert any(c == "carriers' words" and "'wandering'" in m for c, _, m in found_)
