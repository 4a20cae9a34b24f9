"""Bad input on the command line: one line on stderr that says what to do, nothing on stdout, the right exit code."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway.cli.root import exit_code
from tests.clikit import SECRET, TWILIO, Cli

NUMBER = "+14155550100"
CALLEE = "+14155550123"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose gateway has one account, two numbers and two agents."""
    folder = tmp_path_factory.mktemp("prepared")
    made = Cli(folder)
    made.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    made.ok("agents", "put", "support", "--stream", "wss://agents.example.com/media")
    made.ok("agents", "put", "silent", "--stream", "wss://agents.example.com/media")
    for number in (NUMBER, "+14155550101"):
        made.ok("numbers", "add", number, "--credential", "twilio")
    made.ok("numbers", "assign", NUMBER, "--no-configure", "--agent", "support", "--inbound", "--outbound")
    return folder


@pytest.fixture
def cli(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A copy of it, to be spoiled."""
    folder = tmp_path / "gateway"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return Cli(folder, {"GATEWAY_PUBLIC_URL": "https://voice.example.com"})


# What is typed -> exit code, and words that the one line must hold.
BAD_INPUT = {
    **{
        f"credentials add twilio --set {name}=x": (1, "account_sid")
        for name in ("name", "exclusive", "workspace_id", "provider", "secrets")
    },
    f"call {CALLEE} --agent nobody": (1, "no agent 'nobody'"),
    "call 4155550123 --agent support": (1, "E.164"),
    "call +1415555012 --agent support": (1, "numbering plan"),
    "call +19005550123 --agent support": (1, "premium"),
    "call +1911 --agent support": (1, "emergency"),
    "call +442079460123 --agent support": (1, "allowed_countries"),
    f"call {NUMBER} --agent support": (1, "number"),
    f"call {CALLEE} --agent support --from {CALLEE}": (1, "from_number"),
    f"call {CALLEE} --agent support --from +14155550101": (1, "not assigned"),
    f"call {CALLEE} --agent silent": (1, "silent"),
    f"call {CALLEE} --agent support --join-timeout soon": (1, "join_timeout"),
    f"call {CALLEE} --agent support --join-timeout 601s": (1, "600"),
    f"call {CALLEE} --agent support --max-duration 0": (1, "max_duration"),
    f"call {CALLEE} --agent support --max-duration 30d": (1, "max_duration"),
    f"call {CALLEE} --agent support --voicemail maybe": (1, "off, detect"),
    f"call {CALLEE} --agent support --on-voicemail hang_up": (1, "voicemail_detection"),
    f"call {CALLEE} --agent support --var first": (2, "name=value"),
    f"call {CALLEE}": (2, "--agent"),
    "calls show 01900000-0000-7000-8000-000000000000": (1, "no call"),
    "calls hangup nothing": (1, "no call"),
    "calls list --status strange": (2, "completed"),
    "calls list --direction up": (2, "inbound"),
    "calls list --limit 0": (2, "--limit"),
    "calls list --limit 101": (2, "--limit"),
    "calls list --cursor forged": (1, "cursor"),
    "calls tail --for ever": (1, "--for"),
    "credentials add sinch": (1, "known: plivo, telnyx, twilio"),
    "credentials add twilio": (2, "account_sid"),
    "credentials add twilio --set account_sid=AC1 --set auth_token=x": (1, "account_sid"),
    "credentials check nobody": (1, "no credential"),
    "credentials remove twilio": (1, "unassign"),
    f"numbers add {NUMBER} --credential nobody": (1, "no credential"),
    "numbers add 0100 --credential twilio": (1, "E.164"),
    f"numbers add {NUMBER} --credential twilio": (1, "already"),
    f"numbers assign {NUMBER} --agent support": (1, "inbound, outbound or both"),
    f"numbers assign {NUMBER} --agent nobody --inbound": (1, "no agent"),
    f"numbers assign {NUMBER} --agent silent --inbound": (1, "unassign it first"),
    "numbers assign +14155550177 --agent support --inbound": (1, "no number"),
    f"numbers unassign {NUMBER} --direction both": (2, "--direction"),
    "agents put a": (2, "exactly one of"),
    "agents put a --stream wss://a.example.com/m --forward +14155550177": (2, "exactly one of"),
    "agents put a --stream http://a.example.com": (1, "wss://"),
    "agents put a --stream ws://a.example.com": (1, "loopback"),
    "agents put a --stream wss://a.example.com/m?x=1": (1, "query"),
    "agents put a --forward +19005550123": (1, "premium"),
    "agents put a --sip desk": (1, "sip:user@host"),
    "agents put a --sip sip:d@x --fallback wait": (2, "--fallback"),
    "agents put a --sip sip:d@x --fallback agent:a": (1, "its own fallback"),
    "agents put a --sip sip:d@x --max-concurrent 0": (1, "at least 1"),
    "agents put a --sip sip:d@x --strategy best": (1, "round_robin"),
    "serve --bind everywhere": (1, "host:port"),
    "--config missing.toml calls list": (1, "missing.toml"),
    "call": (2, "TO"),
    "fly": (2, "No such command"),
    "calls list --loud": (2, "--loud"),
}


@pytest.mark.parametrize("typed", BAD_INPUT)
def test_bad_input_gets_one_line_and_its_exit_code(cli: Cli, typed: str) -> None:
    code, words = BAD_INPUT[typed]
    for extra in ([], ["--json"]):
        ran = cli.run(*typed.split(" "), *extra)
        assert (ran.code, ran.out) == (code, "")
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        assert words in ran.err
    assert cli.ok("calls", "list", "--json").document["data"] == []


def test_a_stream_host_that_is_not_allowed_is_refused(cli: Cli) -> None:
    cli.env["GATEWAY_ALLOWED_STREAM_HOSTS"] = "agents.example.com"
    ran = cli.run("agents", "put", "a", "--stream", "wss://elsewhere.example.com/m")
    assert ran.code == 1
    assert "allowed_stream_hosts" in ran.err


def test_a_config_file_with_an_unknown_key_is_refused(cli: Cli) -> None:
    (cli.folder / "gateway.toml").write_text("public_ulr = 'https://voice.example.com'\n")
    ran = cli.run("calls", "list")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "did you mean public_url" in ran.err


def test_an_unknown_variable_is_refused(cli: Cli) -> None:
    assert "GATEWAY_BINDD" in cli.run("calls", "list", GATEWAY_BINDD="x").err


def test_another_secret_key_is_told_without_any_secret(cli: Cli) -> None:
    ran = cli.run("credentials", "check", "twilio", GATEWAY_SECRET_KEY=Fernet.generate_key().decode())
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "sealed with another key" in ran.err
    assert SECRET not in ran.err


def test_a_key_that_is_none_is_told(cli: Cli) -> None:
    assert "not a Fernet key" in cli.run("calls", "list", GATEWAY_SECRET_KEY="short").err


def test_a_key_file_that_others_can_read_is_refused(cli: Cli) -> None:
    (cli.folder / "gateway.key").chmod(0o644)
    assert "chmod 600" in cli.run("calls", "list").err


def test_an_older_schema_is_upgraded_only_when_told(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.ok("calls", "list")
    _set_schema(tmp_path, "0000_before")
    for words in (("calls", "list"), ("serve", "--bind", "127.0.0.1:0")):
        ran = cli.run(*words)
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert "0000_before" in ran.err


def test_a_newer_schema_is_refused_by_every_command(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.ok("calls", "list")
    _set_schema(tmp_path, "9999_later")
    for words in (("calls", "list"), ("db", "upgrade"), ("serve", "--bind", "127.0.0.1:0")):
        ran = cli.run(*words)
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert "newer gateway" in ran.err


def _set_schema(folder: Path, version: str) -> None:
    connection = sqlite3.connect(folder / "gateway.db")
    with connection:
        connection.execute("UPDATE gateway_schema SET version_num = ?", (version,))
    connection.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_text("dear diary " * 100)
    ran = Cli(tmp_path).run("calls", "list")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "nothing was changed" in ran.err
    assert (tmp_path / "gateway.db").read_text().startswith("dear diary")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_access_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ran = Cli(tmp_path).run("calls", "list")
    tmp_path.chmod(0o700)
    assert (ran.code, ran.err.count("\n")) == (1, 1)


def test_a_port_in_use_is_told_in_one_line(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli.run("serve", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "in use" in ran.err
        ran = cli.run("simulate", "--port", str(taken.getsockname()[1]))
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "--port" in ran.err


def test_an_unexpected_error_is_one_line_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise RuntimeError("a secret detail")

    assert exit_code(broken) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "RuntimeError" in said
    assert "--debug" in said
    assert "detail" not in said


def test_with_debug_the_log_says_where_an_error_comes_from(cli: Cli) -> None:
    said = cli.run("--debug", "calls", "show", "nothing").err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "error: no call 'nothing'"
