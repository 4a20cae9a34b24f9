"""Numbers on the command line, against the simulated carrier: taken in, watched, mended, bought, given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway
from gateway.settings import load_settings
from providers.simulator import Account, Simulator
from tests.clikit import Cli

PUBLIC = "https://voice.example.com"
OURS, OTHER, FOREIGN, FOR_SALE = "+14155550100", "+14155550101", "+12125550199", "+14155550142"
BROKEN = "https://broken.example.com/voice"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=20) as running:
        yield running


@pytest.fixture
def account(sim: Simulator) -> Account:
    made = sim.add_account("twilio")
    for number in (OURS, OTHER):
        sim.add_number(made, number)
    return made


@pytest.fixture
def cli(sim: Simulator, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A gateway with the account and the agent "support"."""
    monkeypatch.chdir(tmp_path)
    made = Cli(
        tmp_path,
        {"GATEWAY_PUBLIC_URL": PUBLIC, "GATEWAY_TWILIO_BASE_URL": sim.base_url("twilio")},
    )
    secrets = [word for name, value in account.secrets.items() for word in ("--set", f"{name}={value}")]
    added = made.ok("credentials", "add", "twilio", *secrets, "--json").document
    assert added["account"]["status"] == "active", "it was asked"
    made.ok("agents", "put", "support", "--stream", "wss://agents.example.com/media")
    return made


def assigned(cli: Cli) -> None:
    cli.ok("numbers", "import", "twilio")
    cli.ok("numbers", "assign", OURS, "--agent", "support", "--inbound", "--outbound")


def settings(sim: Simulator, account: Account) -> dict[str, Any]:
    """What the carrier has of the number, but for when it was last written to."""
    found = sim.number_settings(account, OURS)
    return {name: value for name, value in found.items() if name != "date_updated"}


def test_an_import_shows_what_it_would_do_and_then_does_it(cli: Cli) -> None:
    preview = cli.ok("numbers", "import", "twilio", "--dry-run", "--json").document
    assert {row["number"]: row["verdict"] for row in preview["results"]} == {
        OURS: "imported",
        OTHER: "imported",
    }
    assert cli.ok("numbers", "list", "--json").document["data"] == []
    one = cli.ok("numbers", "import", "twilio", "--only", OURS, "--json").document
    assert (one["state"], one["done"], [row["number"] for row in one["results"]]) == ("done", 1, [OURS])
    shown = cli.ok("numbers", "import", "twilio").out
    assert "already here" in shown
    assert "imported" in shown


def test_what_is_broken_in_the_console_is_told_and_mended(cli: Cli, sim: Simulator, account: Account) -> None:
    assigned(cli)
    assert cli.ok("numbers", "check", "--json").document["ok"] is True
    sim.change_number(account, OURS, voice_url=BROKEN)
    for words in (("numbers", "check"), ("numbers", "check", OURS), ("numbers", "repair", OURS, "--dry-run")):
        ran = cli.run(*words)
        assert (ran.code, ran.err) == (1, "")
        assert "broken.example.com" in ran.out
    [drifted] = cli.ok("numbers", "list", "--drifted", "--json").document["data"]
    assert (drifted["e164"], drifted["is_drifted"]) == (OURS, True)
    mended = cli.ok("numbers", "repair", OURS, "--json").document
    assert (mended["ok"], len(mended["found"]), mended["drift"]) == (True, 1, [])
    assert "as it was set" in cli.ok("numbers", "check", OURS).out


def test_a_new_public_url_is_one_command(cli: Cli) -> None:
    assigned(cli)
    cli.env["GATEWAY_PUBLIC_URL"] = "https://new.example.com"
    assert cli.run("numbers", "check").code == 1
    done = cli.ok("numbers", "repair", "--json").document
    assert (done["kind"], done["done"], done["total"]) == ("repair", 1, 1)
    assert [row["verdict"] for row in done["results"]] == ["repaired"]
    assert cli.ok("numbers", "check").code == 0


def test_a_number_is_released_and_given_back_only_when_that_is_said(
    cli: Cli, sim: Simulator, account: Account
) -> None:
    before = settings(sim, account)
    assigned(cli)
    released = cli.ok("numbers", "release", OURS, "--json").document
    assert (released["released"], released["given_back"]) == (True, False)
    assert settings(sim, account) == before
    refused = cli.run("numbers", "release", OTHER, "--give-back")
    assert (refused.code, refused.err) == (2, "error: --yes: needed where nobody can be asked\n")
    cli.ok("numbers", "release", OTHER, "--give-back", "--yes")
    assert (
        cli.ok("numbers", "import", "twilio", "--dry-run", "--json").document["results"][0]["number"] == OURS
    )
    assert cli.ok("numbers", "list", "--json").document["data"] == []


def test_a_file_takes_in_and_assigns_and_names_its_bad_rows(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text(f"number,agent,inbound,outbound\n{OURS},support,yes,yes\n{OTHER},nobody,yes,\n")
    ran = cli.run("numbers", "import", "twilio", "--csv", str(file), "--json")
    assert ran.code == 1
    good, bad = ran.document["results"]
    assert (good["verdict"], bad["verdict"]) == ("assigned", "error")
    assert bad["detail"] == "line 3: no agent 'nobody'"
    for words, said in (
        (("--csv", "absent.csv"), "cannot be read"),
        (("--csv", str(file), "--dry-run"), "goes without"),
    ):
        assert said in cli.run("numbers", "import", *words).err


def test_a_number_is_searched_and_bought_after_its_price_was_agreed_to(cli: Cli, sim: Simulator) -> None:
    sim.add_inventory("twilio", FOR_SALE, monthly="1.50")
    found = cli.ok(
        "numbers", "search", "--credential", "twilio", "--country", "US", "--contains", "0142", "--json"
    ).document["data"]
    assert [each["e164"] for each in found] == [FOR_SALE]
    refused = cli.run("numbers", "buy", FOR_SALE, "--credential", "twilio")
    assert (refused.code, sim.writes("twilio", "buy")) == (2, [])
    bought = cli.ok("numbers", "buy", FOR_SALE, "--credential", "twilio", "--yes", "--json").document
    assert (bought["state"], bought["was_there"], bought["number"]["e164"]) == ("bought", False, FOR_SALE)
    again = cli.ok("numbers", "buy", FOR_SALE, "--credential", "twilio", "--yes", "--json").document
    assert again["was_there"] is True


def test_a_verification_that_its_carrier_does_not_name_is_confirmed_as_it_was_printed(
    cli: Cli, sim: Simulator
) -> None:
    held = sim.add_account("telnyx")
    secrets = [word for name, value in held.secrets.items() for word in ("--set", f"{name}={value}")]
    cli.env["GATEWAY_TELNYX_BASE_URL"] = sim.base_url("telnyx")
    cli.ok("credentials", "add", "telnyx", *secrets)
    said = cli.ok("numbers", "caller-ids", "verify", FOREIGN, "--credential", "telnyx").out
    [printed] = [line.strip() for line in said.splitlines() if line.startswith("  gateway ")]
    assert printed == f"gateway numbers caller-ids confirm {FOREIGN} --credential telnyx --code CODE"
    command = printed.replace("CODE", str(sim.sent_code(held, FOREIGN))).split()[1:]
    assert cli.ok(*command, "--json").document["kind"] == "caller_id"


def test_a_foreign_number_that_may_be_shown_is_added_for_outbound_calls(
    cli: Cli, sim: Simulator, account: Account
) -> None:
    assert cli.run("numbers", "caller-ids", "confirm", FOREIGN, "--credential", "twilio").code == 1
    sim.verify_caller_id(account, FOREIGN)
    listed = cli.ok("numbers", "caller-ids", "list", "--credential", "twilio", "--json").document["data"]
    assert [each["e164"] for each in listed] == [FOREIGN]
    added = cli.ok("numbers", "caller-ids", "confirm", FOREIGN, "--credential", "twilio", "--json").document
    assert added["kind"] == "caller_id"
    refused = cli.run("numbers", "assign", FOREIGN, "--agent", "support", "--inbound")
    assert "outbound only" in refused.err
    cli.ok("numbers", "assign", FOREIGN, "--agent", "support", "--outbound")


def test_a_sip_carriers_numbers_are_added_with_what_to_enter_there(cli: Cli) -> None:
    words = ("numbers", "add-sip", FOREIGN, "--credential", "twilio", "--host", "sbc.example.net")
    added = cli.ok(*words, "--ip", "203.0.113.7", "--json").document
    assert added["numbers"] == [FOREIGN]
    assert added["instructions"], "what the person enters at their SIP carrier"


def test_an_accounts_secrets_are_rotated_and_sealed_anew(cli: Cli, account: Account) -> None:
    token = account.secrets["auth_token"]
    rotated = cli.ok("credentials", "rotate", "twilio", "--set", f"auth_token={token}", "--json")
    assert rotated.document["rotating"] is True
    assert token not in rotated.out
    assert cli.ok("credentials", "retire", "twilio", "--json").document["rotating"] is False
    assert cli.run("credentials", "retire", "twilio").err.startswith("error: no rotation is under way")
    assert cli.ok("credentials", "rekey", "--json").document == {
        "resealed": 0,
        "unchanged": 1,
        "failures": [],
    }
    assigned(cli)
    assert "--release-numbers" in cli.run("credentials", "remove", "twilio").err
    assert (
        cli.ok("credentials", "remove", "twilio", "--release-numbers", "--json").document["removed"] is True
    )


def test_an_import_that_was_left_is_shown_and_resumed(cli: Cli) -> None:
    with Gateway.open(load_settings(env=cli.environment), background=False) as gateway:
        left = gateway.operations.start_import("twilio")  # and its process dies before it begins
    [listed] = cli.ok("numbers", "operations", "list", "--json").document["data"]
    assert (listed["id"], listed["state"], listed["done"]) == (left.id, "pending", 0)
    assert left.id in cli.ok("numbers", "operations", "list").out
    done = cli.ok("numbers", "operations", "resume", left.id, "--json").document
    assert (done["state"], {each["number"] for each in done["results"]}) == ("done", {OURS, OTHER})
    assert cli.ok("numbers", "operations", "list", "--json").document["data"] == []
    assert cli.ok("numbers", "operations", "list", "--all", "--json").document["data"][0]["state"] == "done"
    assert "is over (done)" in cli.run("numbers", "operations", "resume", left.id).err
    assert "no operation" in cli.run("numbers", "operations", "resume", "nobody").err
