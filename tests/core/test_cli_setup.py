"""Accounts, numbers and agents on the command line: what is printed, for people and for programs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clikit import SECRET, SID, TWILIO, Cli

PUBLIC = "https://voice.example.com"
NUMBER = "+14155550100"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(tmp_path, {"GATEWAY_PUBLIC_URL": PUBLIC})


def test_an_account_shows_its_path_key_and_urls_and_never_a_secret(cli: Cli) -> None:
    added = cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO, "--name", "main", "--json").document
    assert (added["provider"], added["name"], added["account_ref"]) == ("twilio", "main", SID)
    assert added["webhooks"]["answer"] == f"{PUBLIC}/voice/{added['key']}/answer"
    listed = cli.ok("credentials", "list", "--json")
    assert listed.document == {"data": [added]}
    assert SECRET not in listed.out + str(added)


def test_without_a_public_url_an_account_has_no_webhook_urls_yet(cli: Cli) -> None:
    del cli.env["GATEWAY_PUBLIC_URL"]
    assert (
        cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO, "--json").document["webhooks"] is None
    )
    assert (
        "GATEWAY_PUBLIC_URL"
        in cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO, "--name", "two").out
    )


def test_secrets_come_from_variables_too(cli: Cli) -> None:
    cli.env |= {"GATEWAY_CREDENTIAL_ACCOUNT_SID": SID, "GATEWAY_CREDENTIAL_AUTH_TOKEN": SECRET}
    assert cli.ok("credentials", "add", "twilio", "--no-check", "--json").document["account_ref"] == SID


def test_a_secret_written_as_a_dash_is_read_from_stdin(cli: Cli) -> None:
    words = (
        "credentials",
        "add",
        "twilio",
        "--no-check",
        "--set",
        f"account_sid={SID}",
        "--set",
        "auth_token=-",
        "--json",
    )
    ran = cli.run(*words, stdin=f"{SECRET}\n")
    assert ran.code == 0
    assert ran.document["account_ref"] == SID


@pytest.mark.parametrize("word", ["auth_token", f"={SECRET}", f"a b={SECRET}"])
def test_a_malformed_secret_is_refused_without_being_repeated(cli: Cli, word: str) -> None:
    ran = cli.run("credentials", "add", "twilio", "--no-check", "--set", word)
    assert ran.code == 2
    assert ran.err.startswith("error: --set: give FIELD=VALUE")
    assert SECRET not in ran.err


def test_a_person_who_names_no_secret_is_asked_for_each_unseen(cli: Cli) -> None:
    ours, theirs = pty.openpty()
    words = ("credentials", "add", "twilio", "--no-check")
    typing = subprocess.Popen(
        [sys.executable, "-c", "from gateway.cli import main; main()", *words],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **cli.environment},
        start_new_session=True,  # without a terminal of its own, so that it asks where stdin is
    )
    assert typing.stderr is not None
    asked = b""
    for field, value in (("account_sid", SID), ("auth_token", SECRET)):
        while not asked.endswith(f"{field}: ".encode()):
            letter = typing.stderr.read(1)
            assert letter, asked
            asked += letter
        os.write(ours, f"{value}\n".encode())
    told, rest = typing.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert typing.returncode == 0, rest
    assert f"twilio account {SID}" in told.decode()
    assert "gateway numbers import twilio" in told.decode()
    assert SECRET.encode() not in told + asked + rest


def test_a_program_that_names_no_secret_is_told_which_there_are(cli: Cli) -> None:
    ran = cli.run("credentials", "add", "plivo")
    assert ran.code == 2
    assert ran.err == "error: --set: give --set auth_id=... --set auth_token=...\n"
    assert "known: " in cli.run("credentials", "add", "carrier-pigeon").err


def test_numbers_fit_into_eighty_columns(cli: Cli) -> None:
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    cli.ok("numbers", "add", NUMBER, "--credential", "twilio")
    cli.ok("agents", "put", "support", "--stream", "wss://agents.example.com/media")
    cli.ok("numbers", "assign", NUMBER, "--agent", "support", "--inbound", "--outbound", "--no-configure")
    assert max(map(len, cli.ok("numbers", "list").out.splitlines())) <= 80


def test_what_is_not_there_is_told_with_the_command_that_shows_what_is(cli: Cli) -> None:
    for _ in range(2):
        cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    account_sid = TWILIO[1].partition("=")[2]
    assert "give its id: `gateway credentials list`" in cli.run("numbers", "import", account_sid).err
    assert cli.run("numbers", "import").err == "error: CREDENTIAL: name one of: twilio, twilio-2\n"
    cli.ok(
        "numbers",
        "add",
        NUMBER,
        "--credential",
        cli.ok("credentials", "list", "--json").document["data"][0]["id"],
    )
    assert (
        "`gateway agents list`" in cli.run("numbers", "assign", NUMBER, "--agent", "support", "--inbound").err
    )


def test_an_account_is_removed_by_its_name(cli: Cli) -> None:
    added = cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO, "--json").document
    assert cli.ok("credentials", "remove", "twilio", "--json").document == {
        "id": added["id"],
        "name": "twilio",
        "provider": "twilio",
        "removed": True,
        "notes": [],
    }
    assert cli.ok("credentials", "list", "--json").document == {"data": []}


def test_taking_away_what_was_not_given_says_so(cli: Cli) -> None:
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    cli.ok("numbers", "add", NUMBER, "--credential", "twilio")
    assert "nothing to take away" in cli.ok("numbers", "unassign", NUMBER).out


def test_adding_a_number_prints_the_urls_that_the_carrier_must_be_given(cli: Cli) -> None:
    key = cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO, "--json").document["key"]
    ran = cli.ok("numbers", "add", NUMBER, "--credential", "twilio")
    for hook in ("answer", "status", "fallback"):
        assert f"{PUBLIC}/voice/{key}/{hook}" in ran.out


def test_a_number_shows_whom_it_serves(cli: Cli) -> None:
    cli.ok("credentials", "add", "twilio", "--no-check", *TWILIO)
    added = cli.ok("numbers", "add", NUMBER, "--credential", "twilio", "--json").document
    assert (added["e164"], added["country"], added["area_code"], added["assignments"]) == (
        NUMBER,
        "US",
        "415",
        [],
    )
    cli.ok("agents", "put", "support", "--stream", "wss://agents.example.com/media")
    words = (
        "numbers",
        "assign",
        NUMBER,
        "--no-configure",
        "--agent",
        "support",
        "--inbound",
        "--outbound",
        "--json",
    )
    directions = [each["direction"] for each in cli.ok(*words).document["assignments"]]
    assert sorted(directions) == ["inbound", "outbound"]
    left = cli.ok("numbers", "unassign", NUMBER, "--direction", "inbound", "--json").document
    assert left.pop("notes") == []
    assert left["assignments"] == [{"agent_id": "support", "direction": "outbound"}]
    assert cli.ok("numbers", "list", "--json").document["data"] == [left]


def test_an_agent_is_put_with_its_whole_chain(cli: Cli) -> None:
    words = ["agents", "put", "support", "--stream", "wss://agents.example.com/media", "--name", "Support"]
    chain = [
        "agent:second",
        "forward:+14155550177",
        "stream:wss://b.example.com/m",
        "sip:desk@example.com",
        "say:One: two",
        "message",
        "message:After the tone.",
        "busy",
    ]
    words += [word for step in chain for word in ("--fallback", step)]
    words += ["--max-concurrent", "3", "--join-timeout", "1m", "--strategy", "same_region", "--record"]
    put = cli.ok(*words, "--json").document
    assert put["connect"] == {"kind": "stream", "url": "wss://agents.example.com/media"}
    assert [step["kind"] for step in put["fallback"]] == [
        "agent",
        "forward",
        "stream",
        "sip",
        "say",
        "message",
        "message",
        "reject",
    ]
    assert put["fallback"][0] == {"kind": "agent", "agent_id": "second"}
    assert put["fallback"][3] == {"kind": "sip", "uri": "sip:desk@example.com"}
    assert put["fallback"][4]["text"] == "One: two"
    assert put["fallback"][6]["prompt"] == "After the tone."
    assert put["settings"] == {"join_timeout": "60s", "recording_enabled": True}
    assert (put["max_concurrent_calls"], put["caller_id_strategy"]) == (3, "same_region")
    assert cli.ok("agents", "list", "--json").document == {"data": [put]}


def test_workspaces_do_not_see_each_other(cli: Cli) -> None:
    cli.ok("--workspace", "other", "credentials", "add", "twilio", "--no-check", *TWILIO)
    assert cli.ok("credentials", "list", "--json").document == {"data": []}
    assert len(cli.ok("--workspace", "other", "credentials", "list", "--json").document["data"]) == 1


@pytest.mark.parametrize("group", ["credentials", "numbers", "agents", "calls"])
def test_an_empty_list_is_a_document_for_programs_and_a_sentence_for_people(cli: Cli, group: str) -> None:
    assert cli.ok(group, "list", "--json").document["data"] == []
    assert cli.ok(group, "list").out.startswith("No ")
