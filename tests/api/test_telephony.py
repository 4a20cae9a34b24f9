"""Accounts and numbers by the public API, from the first secret to a number that is given back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import operating
from gateway.models import Scope
from tests.api.support import NO_ID, Client, Site, error_of, fields_of
from tests.byockit import OTHER, THIRD, Account, secrets_of

FIRST = "+14155550177"
THEIRS = "https://theirs.example.com/calls"


@pytest.fixture(params=["twilio", "telnyx", "plivo"])
def account(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Account:
    """An account at a carrier of our own making, with numbers that another program uses."""
    made = Account(file=tmp_path / "carrier.json", kind=request.param)
    made.add(FIRST, OTHER)
    site.gw.services.open_provider = made.open
    return made


def bring(client: Client, account: Account) -> dict[str, Any]:
    body = {"provider": account.kind, "name": "mine", "secrets": secrets_of(account.kind)}
    answer = client.post("/telephony/credentials", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def taken_in(site: Site, client: Client, account: Account) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring the account and its numbers; return the credential and the first number."""
    credential = bring(client, account)
    begun = client.post(f"/telephony/credentials/{credential['id']}/import", json={})
    done = finished(site, client, begun)
    assert {each["verdict"] for each in done["results"]} == {"imported"}
    listed = client.get(f"/telephony/numbers?credential_id={credential['id']}").json["data"]
    return credential, next(each for each in listed if each["e164"] == FIRST)


def finished(site: Site, client: Client, begun: Any) -> dict[str, Any]:
    """Poll the operation that was begun, as a client does; `gateway serve` does the work."""
    assert begun.status_code == 202, begun.text
    path = begun.headers["Location"].partition("/api/public/v1")[2]
    assert client.get(path).json["state"] == "pending"
    while operating.run_due(site.gw.services):
        pass
    done: dict[str, Any] = client.get(path).json
    assert (done["state"], done["error"]) == ("done", None)
    return done


def test_a_number_goes_from_a_secret_to_an_agent_and_back(
    site: Site, client: Client, account: Account
) -> None:
    credential, number = taken_in(site, client, account)
    one = f"/telephony/numbers/{number['id']}"
    assigned = client.post(f"{one}/assign", json={"agent_id": "desk", "inbound": True, "outbound": True})
    assert assigned.status_code == 200
    assert assigned.json["setup_state"] == "applied"
    assert [each["direction"] for each in assigned.json["assignments"]] == ["inbound", "outbound"]
    assert any(THEIRS in note for note in assigned.json["notes"])
    assert account.where(FIRST) in str(credential["webhooks"])
    assert client.post(f"{one}/check").json["ok"] is True
    unassigned = client.post(f"{one}/unassign", json={})
    assert (unassigned.json["assignments"], unassigned.json["setup_state"]) == ([], "none")
    assert account.where(FIRST) == THEIRS
    assert client.delete(one).status_code == 204
    assert error_of(client.get(one)) == (404, "not_found")
    assert FIRST in account.read()["numbers"], "the account keeps it"


def test_an_account_is_shown_without_its_secrets(client: Client, account: Account) -> None:
    credential = bring(client, account)
    assert (credential["account"]["status"], credential["provider"]) == ("active", account.kind)
    one = f"/telephony/credentials/{credential['id']}"
    answers = [
        client.get("/telephony/credentials"),
        client.get(one),
        client.post(f"{one}/check"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        for value in secrets_of(account.kind).values():
            assert value == credential["account_ref"] or value not in answer.text
    assert client.delete(one).status_code == 204
    assert error_of(client.get(one)) == (404, "not_found")


def test_secrets_that_the_carrier_refuses_are_not_kept(client: Client, account: Account) -> None:
    account.refuses.add("check")
    body = {"provider": account.kind, "secrets": secrets_of(account.kind)}
    answer = client.post("/telephony/credentials", json=body)
    assert error_of(answer) == (502, "provider_error")
    assert "copy them again" in answer.json["error"]["message"]
    account.refuses.clear()
    account.status = "suspended"
    assert error_of(client.post("/telephony/credentials", json=body)) == (409, "conflict")
    assert [each["name"] for each in client.get("/telephony/credentials").json["data"]] == ["twilio"]


def test_an_account_in_use_stays_unless_its_numbers_are_released(
    site: Site, client: Client, account: Account
) -> None:
    credential, number = taken_in(site, client, account)
    client.post(f"/telephony/numbers/{number['id']}/assign", json={"agent_id": "desk", "inbound": True})
    one = f"/telephony/credentials/{credential['id']}"
    assert error_of(client.delete(one)) == (409, "conflict")
    assert client.delete(f"{one}?release_numbers=true").status_code == 204
    assert account.where(FIRST) == THEIRS


def test_drift_is_found_filtered_and_mended(site: Site, client: Client, account: Account) -> None:
    _, number = taken_in(site, client, account)
    one = f"/telephony/numbers/{number['id']}"
    client.post(f"{one}/assign", json={"agent_id": "desk", "inbound": True})
    ours = account.where(FIRST)
    account.change(FIRST, voice_url="https://console.example.com", app="")
    checked = client.post(f"{one}/check").json
    assert (checked["ok"], len(checked["drift"])) == (False, 1)
    assert [each["id"] for each in client.get("/telephony/numbers?drifted=true").json["data"]] == [
        number["id"]
    ]
    only_said = client.post(f"{one}/repair", json={"dry_run": True}).json
    assert (only_said["ok"], account.where(FIRST)) == (False, "https://console.example.com")
    mended = client.post(f"{one}/repair", json={}).json
    assert (mended["ok"], mended["drift"], len(mended["found"])) == (True, [], 1)
    assert account.where(FIRST) == ours
    assert client.get("/telephony/numbers?drifted=true").json["pagination"]["total"] == 0


def test_a_repair_of_everything_is_polled(site: Site, client: Client, account: Account) -> None:
    credential, number = taken_in(site, client, account)
    client.post(f"/telephony/numbers/{number['id']}/assign", json={"agent_id": "desk", "inbound": True})
    account.change(FIRST, voice_url="https://console.example.com", app="")
    begun = client.post("/telephony/numbers/repair", json={"credential_id": credential["id"]})
    done = finished(site, client, begun)
    assert (done["kind"], done["done"], done["total"]) == ("repair", 1, 1)
    assert "console" not in account.where(FIRST)
    path = f"/telephony/operations/{done['id']}"
    assert client.get(f"{path}?after=1").json["results"] == []


def test_the_background_does_long_work_and_leaves_it_on_a_stop(
    site: Site, client: Client, account: Account
) -> None:
    credential = bring(client, account)
    account.add(*(f"+1415555{number:04}" for number in range(1000, 1400)))
    begun = client.post(f"/telephony/credentials/{credential['id']}/import", json={})
    path = f"/telephony/operations/{begun.json['id']}"
    background = site.gw.background
    background.start(sweeps=True)
    until(lambda: client.get(path).json["done"])
    background.stop()
    left = client.get(path).json
    assert left["state"] in ("pending", "done")
    site.clock.ahead(minutes=4)  # the claim of the process that stopped has run out
    while operating.run_due(site.gw.services):
        pass
    done = client.get(path).json
    assert (done["state"], done["done"], len(done["results"])) == ("done", 402, 402)


def until(is_true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)


def test_numbers_are_found_and_bought_once(site: Site, client: Client, account: Account) -> None:
    with account.state() as found:
        found["shop"][THIRD] = 1
    credential = bring(client, account)
    query = f"/telephony/available-numbers?credential_id={credential['id']}&country=US"
    [offered] = client.get(query).json["data"]
    assert (offered["e164"], offered["currency"]) == (THIRD, "USD")
    wanted = {"credential_id": credential["id"], "phone_number": THIRD}
    bought = client.post("/telephony/numbers", json=wanted)
    assert (bought.status_code, bought.json["state"], bought.json["was_there"]) == (201, "bought", False)
    again = client.post("/telephony/numbers", json=wanted)
    assert (again.status_code, again.json["was_there"]) == (201, True)
    assert account.writes.count("buy") == 1
    one = f"/telephony/numbers/{bought.json['number']['id']}"
    assert client.delete(f"{one}?give_back=true").status_code == 204
    assert account.writes.count("release") == 1


def test_numbers_come_in_pages_and_by_each_filter(site: Site, client: Client, account: Account) -> None:
    credential, number = taken_in(site, client, account)
    client.post(
        f"/telephony/numbers/{number['id']}/assign",
        json={"agent_id": "desk", "outbound": True, "configure": False},
    )
    of_account = f"/telephony/numbers?credential_id={credential['id']}"
    first = client.get(f"{of_account}&limit=1").json
    assert (first["pagination"]["total"], first["pagination"]["has_more"]) == (2, True)
    second = client.get(f"{of_account}&limit=1&cursor={first['pagination']['next_cursor']}").json
    assert {first["data"][0]["e164"], second["data"][0]["e164"]} == {FIRST, OTHER}
    assert second["pagination"]["next_cursor"] is None
    found = client.get(f"{of_account}&agent_id=desk&direction=outbound&country=US&drifted=false").json["data"]
    assert [each["e164"] for each in found] == [FIRST]
    assert client.get(f"{of_account}&direction=inbound").json["data"] == []
    assert client.get(f"{of_account}&country=CA").json["data"] == []


def test_what_the_carrier_refuses_changes_nothing_and_says_why(
    site: Site, client: Client, account: Account
) -> None:
    _, number = taken_in(site, client, account)
    account.refuses.add("number")
    one = f"/telephony/numbers/{number['id']}"
    answer = client.post(f"{one}/assign", json={"agent_id": "desk", "inbound": True})
    assert error_of(answer) == (502, "provider_error")
    assert "address required" in answer.json["error"]["message"]
    assert client.get(one).json["assignments"] == []
    assert account.where(FIRST) == THEIRS


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/credentials", {"provider": "acme", "secrets": {"a": "b"}}, "provider"),
        ("POST", "/credentials", {"provider": "twilio", "secrets": {"pin": "b"}}, "secrets"),
        ("POST", "/credentials", {"provider": "twilio", "secrets": {"auth_token": 1}}, "secrets.auth_token"),
        ("POST", "/credentials", {"provider": "twilio", "secrets": {}, "colour": 1}, "colour"),
        ("GET", "/numbers?direction=webrtc", None, "direction"),
        ("GET", "/numbers?country=us", None, "country"),
        ("GET", "/numbers?drifted=maybe", None, "drifted"),
        ("GET", "/numbers?limit=0", None, "limit"),
        ("GET", "/numbers?cursor=forged", None, "cursor"),
        ("GET", "/available-numbers?country=US", None, "credential_id"),
        ("POST", f"/numbers/{NO_ID}/assign", {"inbound": True}, "agent_id"),
        ("POST", "/numbers", {"credential_id": "x", "phone_number": FIRST}, "credential_id"),
    ],
)
def test_bad_input_names_its_field(client: Client, method: str, path: str, body: Any, field: str) -> None:
    said = {} if body is None else {"json": body}
    answer = client.send(method, f"/telephony{path}", **said)
    assert field in fields_of(answer)
    assert "auth_token" in str(body) or "0" * 32 not in answer.text


def test_buying_needs_a_scope_of_its_own(site: Site, account: Account) -> None:
    with account.state() as found:
        found["shop"][THIRD] = 1
    credential = bring(site.client(), account)
    wanted = {"credential_id": credential["id"], "phone_number": THIRD}
    for scope in (Scope.NUMBERS_READ, Scope.NUMBERS_WRITE, Scope.CREDENTIALS_WRITE, Scope.CALLS_WRITE):
        assert error_of(site.client(scope).post("/telephony/numbers", json=wanted)) == (403, "forbidden")
    assert account.writes == []
    assert site.client(Scope.NUMBERS_BUY).post("/telephony/numbers", json=wanted).status_code == 201
