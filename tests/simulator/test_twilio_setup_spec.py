"""What an account holds at the simulated Twilio, against Twilio's own OpenAPI files, where those are present."""

from __future__ import annotations

import re
from typing import Any

import pytest

from providers.simulator import Simulator
from providers.simulator.carriers.twilio.catalog import COLLECTIONS, Collection
from providers.simulator.carriers.twilio.checks import BUY_RULES, CALLER_ID_RULES
from providers.simulator.carriers.twilio.numbers import ACCOUNT_RULES, NAME_RULES, SETTINGS_RULES
from tests.simulator.twilio_customer import Api
from tests.simulator.twilio_openapi import API, NOT_CHECKED, TRUNKING, VOICE, load, parameters, problems

pytestmark = pytest.mark.skipif(
    not (API.exists() and VOICE.exists() and TRUNKING.exists()), reason=NOT_CHECKED
)
ROOT = "/2010-04-01/Accounts"
ACCOUNT = ROOT + "/{AccountSid}"


@pytest.fixture(scope="module")
def specs() -> list[dict[str, Any]]:
    return [load(path) for path in (API, VOICE, TRUNKING)]


def spec_path(specs: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], str]:
    """The document that describes a path, and the path as it is written there; names of parts differ."""
    shape = re.sub(r"{\w+}", "{}", path)
    for spec in specs:
        for known in spec["paths"]:
            if re.sub(r"{\w+}", "{}", known) == shape:
                return spec, known
    raise AssertionError(f"no document describes {path}")


def paths_of(collection: Collection) -> tuple[str, str]:
    end = "" if collection.is_v1 else ".json"
    return collection.path + end, f"{collection.path}/{{sid}}{end}"


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda collection: collection.key)
def test_a_collection_takes_exactly_the_documented_parameters(
    specs: list[dict[str, Any]], collection: Collection
) -> None:
    many, one = paths_of(collection)
    assert parameters(*spec_path(specs, many)) == set(collection.rules)
    assert parameters(*spec_path(specs, one)) == set(collection.rules) - collection.only_create


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        (f"{ROOT}.json", set(NAME_RULES)),
        (f"{ROOT}/{{Sid}}.json", set(ACCOUNT_RULES)),
        (f"{ACCOUNT}/IncomingPhoneNumbers.json", set(BUY_RULES)),
        (f"{ACCOUNT}/OutgoingCallerIds.json", set(CALLER_ID_RULES)),
        (f"{ACCOUNT}/OutgoingCallerIds/{{Sid}}.json", set(NAME_RULES)),
        ("/v1/Settings", set(SETTINGS_RULES)),
    ],
)
def test_an_account_is_changed_by_exactly_the_documented_parameters(
    specs: list[dict[str, Any]], path: str, rules: set[str]
) -> None:
    assert parameters(*spec_path(specs, path)) == rules


def test_every_answer_is_valid_and_has_exactly_the_documented_fields(specs: list[dict[str, Any]]) -> None:
    checked = 0

    def ask(method: str, path: str, parts: dict[str, str] | None = None, query: str = "", **form: str) -> Any:
        nonlocal checked
        here = path.replace("{account}", api.account.account_ref).format(**(parts or {}))
        sent = list(form.items()) if method == "POST" else None
        status, body = api(method, here + query, sent)
        spec, known = spec_path(specs, path)
        assert problems(spec, method, known, status, body) == []
        checked += 1
        return body

    with Simulator() as sim:
        account = sim.add_account("twilio", name="Acme")
        sim.add_number(account, "+14155550100")
        sim.add_inventory("twilio", "+14155550201", locality="San Francisco", region="CA")
        sim.add_inventory("twilio", "+18005550202", kind="toll_free")
        api, account_path = Api(sim=sim, account=account), ROOT + "/{account}"

        made: dict[str, str] = {}
        needed = {
            "Target": "sip:sbc.carrier.example",
            "DomainName": "acme.sip.twilio.com",
            "IpAddress": "192.0.2.10",
            "Username": "carrier",
            "Password": "Long3nough-and-good",
            "Weight": "1",
            "Priority": "1",
            "Enabled": "true",
            "SipUrl": "sip:pbx.example.com",
            "FriendlyName": "carrier",
        }
        for collection in COLLECTIONS:
            many, one = paths_of(collection)
            parts = {"parent": made.get(collection.parent_key or "", "")}
            form = {name: needed[name] for name in collection.required}
            made[collection.key] = parts["sid"] = ask("POST", many, parts, **form)["sid"]
            ask("GET", many, parts)
            ask("GET", one, parts)
            changeable = set(collection.rules) - collection.only_create
            ask(
                "POST",
                one,
                parts,
                **{name: needed[name] for name in changeable & {"FriendlyName", "Password"}},
            )

        tied = account_path + "/SIP/Domains/{domain}/Auth/Calls/{list}Mappings"
        for name, key in (
            ("IpAccessControlList", "ip_access_control_lists"),
            ("CredentialList", "credential_lists"),
        ):
            path = tied.replace("{list}", name)
            parts = {"domain": made["domains"], "sid": made[key]}
            ask("POST", f"{path}.json", parts, **{f"{name}Sid": made[key]})
            ask("GET", f"{path}.json", parts)
            ask("GET", f"{path}/{{sid}}.json", parts)
            ask("DELETE", f"{path}/{{sid}}.json", parts)

        number = ask("GET", account_path + "/IncomingPhoneNumbers.json")["incoming_phone_numbers"][0]["sid"]
        parts = {"trunk": made["trunks"], "number": number}
        ask("POST", "/v1/Trunks/{trunk}/PhoneNumbers", parts, PhoneNumberSid=number)
        ask("GET", "/v1/Trunks/{trunk}/PhoneNumbers", parts)
        ask("GET", "/v1/Trunks/{trunk}/PhoneNumbers/{number}", parts)
        ask("DELETE", "/v1/Trunks/{trunk}/PhoneNumbers/{number}", parts)

        available = account_path + "/AvailablePhoneNumbers"
        ask("GET", f"{available}.json")
        ask("GET", available + "/{country}.json", {"country": "US"})
        for word in ("Local", "Mobile", "TollFree", "National"):
            ask("GET", available + "/{country}/" + f"{word}.json", {"country": "US"})
        held = account_path + "/IncomingPhoneNumbers"
        bought = ask("POST", f"{held}.json", AreaCode="415")["sid"]
        ask("POST", f"{held}/TollFree.json", PhoneNumber="+18005550202")
        ask("GET", f"{held}/Local.json")
        ask("DELETE", held + "/{sid}.json", {"sid": bought})

        caller_ids = account_path + "/OutgoingCallerIds"
        code = ask("POST", f"{caller_ids}.json", PhoneNumber="+442071838750")["validation_code"]
        assert sim.type_code(account, "+442071838750", code)
        verified = {"sid": ask("GET", f"{caller_ids}.json")["outgoing_caller_ids"][0]["sid"]}
        for method in ("GET", "POST", "DELETE"):
            ask(method, caller_ids + "/{sid}.json", verified)

        ask("GET", "/v1/DialingPermissions/Countries", query="?PageSize=1000")
        ask("GET", "/v1/DialingPermissions/Countries/{country}", {"country": "GB"})
        ask("GET", "/v1/DialingPermissions/Countries/{country}/HighRiskSpecialPrefixes", {"country": "GB"})
        ask("GET", "/v1/Settings")
        ask("POST", "/v1/Settings", DialingPermissionsInheritance="true")
        sub = ask("POST", f"{ROOT}.json", FriendlyName="Branch")["sid"]
        ask("GET", f"{ROOT}.json")
        ask("POST", ROOT + "/{sub}.json", {"sub": sub}, Status="suspended")
        for collection in reversed(COLLECTIONS):
            parts = {"sid": made[collection.key], "parent": made.get(collection.parent_key or "", "")}
            ask("DELETE", paths_of(collection)[1], parts)
    assert checked == 5 * len(COLLECTIONS) + 36


def test_an_invented_and_a_missing_field_are_found(specs: list[dict[str, Any]]) -> None:
    with Simulator() as sim:
        policy = Api(sim=sim, account=sim.add_account("twilio"))("POST", "/v1/ConnectionPolicies", [])[1]
    where = ("POST", "/v1/ConnectionPolicies", 201)
    assert problems(specs[1], *where, policy) == []
    assert len(problems(specs[1], *where, policy | {"invented": 1})) == 1
    del policy["url"]
    assert len(problems(specs[1], *where, policy)) == 1
