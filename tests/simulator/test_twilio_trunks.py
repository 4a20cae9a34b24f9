"""Bring your own carrier at the simulated Twilio: policies, BYOC trunks, SIP domains, access lists, and their calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from providers.simulator import Account, Answer, Caller, Simulator, UnknownNumber
from providers.simulator.carriers.twilio.face import Face
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS, CARRIED = "+14155550100", "+14155550123", "+14155550155"
DOMAIN = "acme.sip.twilio.com"
BYE = "<Response><Say>Bye</Say></Response>"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=50) as simulator:
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio", name="Acme")
    sim.add_number(account, OURS)
    return account


@pytest.fixture
def api(sim: Simulator, account: Account) -> Api:
    return Api(sim=sim, account=account)


def make(api: Api, path: str, **form: str) -> dict[str, Any]:
    status, body = api("POST", path, list(form.items()))
    assert status == 201, body
    return dict(body)


def code_of(answer: tuple[int, Any]) -> tuple[int, int]:
    return answer[0], answer[1]["code"]


def open_domain(api: Api, **settings: str) -> dict[str, Any]:
    """A SIP domain that takes calls of one address."""
    domain = make(api, "/SIP/Domains.json", DomainName=DOMAIN, **settings)
    allowed = make(api, "/SIP/IpAccessControlLists.json", FriendlyName="carrier")
    addresses = f"/SIP/IpAccessControlLists/{allowed['sid']}/IpAddresses.json"
    make(api, addresses, FriendlyName="sbc", IpAddress="192.0.2.10")
    tied = f"/SIP/Domains/{domain['sid']}/Auth/Calls/IpAccessControlListMappings.json"
    assert make(api, tied, IpAccessControlListSid=allowed["sid"])["sid"] == allowed["sid"]
    return domain


# -- calls in


def test_a_call_of_the_own_carrier_asks_the_byoc_trunk_on_the_domain(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/trunk": BYE, "/domain": BYE}) as customer:
        trunk = make(
            api,
            "/v1/ByocTrunks",
            VoiceUrl=customer.url("/trunk"),
            StatusCallbackUrl=customer.url("/trunk-status"),
        )
        open_domain(api, ByocTrunkSid=trunk["sid"], VoiceUrl=customer.url("/domain"))
        uri = f"sip:{CARRIED}@{DOMAIN}"
        call = sim.ring(uri, from_=THEIRS)
        sim.wait(call)
        assert call.truth == "answered"
        assert [got.path for got in customer.received] == ["/trunk", "/trunk-status"]
        assert customer.received[0].fields["To"] == uri


def test_a_domain_without_a_byoc_trunk_asks_its_own_url(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/domain": (500, ""), "/fallback": BYE}) as customer:
        open_domain(
            api,
            VoiceUrl=customer.url("/domain"),
            VoiceFallbackUrl=customer.url("/fallback"),
            VoiceStatusCallbackUrl=customer.url("/status"),
        )
        sim.wait(sim.ring(f"sip:{CARRIED}@{DOMAIN}:5060;transport=udp", from_=THEIRS))
        assert [got.path for got in customer.received] == ["/domain", "/fallback", "/status"]


def test_a_domain_without_an_access_list_takes_no_call(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/domain": BYE}) as customer:
        domain = make(api, "/SIP/Domains.json", DomainName=DOMAIN, VoiceUrl=customer.url("/domain"))
        assert domain["auth_type"] == ""
        call = sim.ring(f"sip:{CARRIED}@{DOMAIN}", from_=THEIRS, caller=Caller(talk_s=1))
        sim.wait(call)
        assert (call.truth, call.sip_code, customer.at("/domain")) == ("failed", 403, [])
        with pytest.raises(UnknownNumber):
            sim.ring(f"sip:{CARRIED}@other.sip.twilio.com", from_=THEIRS)


def test_a_domain_tells_how_it_knows_who_sends(api: Api) -> None:
    domain = open_domain(api)
    path = f"/SIP/Domains/{domain['sid']}"
    assert api("GET", f"{path}.json")[1]["auth_type"] == "IP_ACL"
    logins = make(api, "/SIP/CredentialLists.json", FriendlyName="logins")
    form = {"Username": "carrier", "Password": "Long3nough-and-good"}
    login = make(api, f"/SIP/CredentialLists/{logins['sid']}/Credentials.json", **form)
    assert "password" not in login
    tied = f"{path}/Auth/Calls/CredentialListMappings"
    make(api, f"{tied}.json", CredentialListSid=logins["sid"])
    assert api("GET", f"{path}.json")[1]["auth_type"] == "IP_ACL,CREDENTIAL_LIST"
    assert code_of(api("POST", f"{tied}.json", [("CredentialListSid", logins["sid"])])) == (400, 21231)
    assert [one["sid"] for one in api("GET", f"{tied}.json")[1]["contents"]] == [logins["sid"]]
    assert api("DELETE", f"{tied}/{logins['sid']}.json") == (204, None)
    assert code_of(api("GET", f"{tied}/{logins['sid']}.json")) == (404, 20404)
    listed = api("GET", f"{path}/Auth/Calls/IpAccessControlListMappings.json")[1]["contents"]
    assert api("DELETE", f"/SIP/IpAccessControlLists/{listed[0]['sid']}.json") == (204, None)
    assert api("GET", f"{path}.json")[1]["auth_type"] == ""


# -- calls out


def test_a_call_over_a_byoc_trunk_needs_a_target_that_is_enabled(sim: Simulator, api: Api) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=1))
    policy = make(api, "/v1/ConnectionPolicies", FriendlyName="carrier")
    trunk = make(api, "/v1/ByocTrunks", ConnectionPolicySid=policy["sid"])
    with Customer() as customer:
        events = [("StatusCallbackEvent", event) for event in ("initiated", "completed")]
        form = {"To": THEIRS, "From": OURS, "Twiml": BYE, "StatusCallback": customer.url("/status")}
        first = api.dial(*events, **form, Byoc=trunk["sid"])[1]["sid"]
        sim.wait(first)
        assert (sim.truth(first), customer.statuses()) == ("failed", ["initiated", "failed"])
        notes = api("GET", f"/Calls/{first}/Notifications.json")[1]["notifications"]
        assert [note["error_code"] for note in notes] == ["32400"]
    targets = f"/v1/ConnectionPolicies/{policy['sid']}/Targets"
    target = make(api, targets, Target="sip:sbc.carrier.example:5060")
    assert (target["priority"], target["weight"], target["enabled"]) == (10, 10, True)
    second = api.dial(To=THEIRS, From=OURS, Twiml=BYE, Byoc=trunk["sid"])[1]["sid"]
    sim.wait(second)
    assert sim.truth(second) == "answered"
    assert api("POST", f"{targets}/{target['sid']}", [("Enabled", "false")])[1]["enabled"] is False
    third = api.dial(To=THEIRS, From=OURS, Twiml=BYE, Byoc=trunk["sid"])[1]["sid"]
    sim.wait(third)
    assert sim.truth(third) == "failed"


def test_what_a_byoc_call_may_show_is_a_habit_of_the_carrier(sim: Simulator, api: Api) -> None:
    policy = make(api, "/v1/ConnectionPolicies")
    make(api, f"/v1/ConnectionPolicies/{policy['sid']}/Targets", Target="sip:sbc.carrier.example")
    trunk = make(api, "/v1/ByocTrunks", ConnectionPolicySid=policy["sid"])
    assert api.dial(To=THEIRS, From=CARRIED, Twiml=BYE, Byoc=trunk["sid"])[0] == 201
    face = sim.face("twilio")
    assert isinstance(face, Face)
    face.habits.byoc_shows_any_number = False
    assert code_of(api.dial(To=THEIRS, From=CARRIED, Twiml=BYE, Byoc=trunk["sid"])) == (400, 21210)
    assert code_of(api.dial(To=THEIRS, From=OURS, Twiml=BYE, Byoc="BY" + "0" * 32)) == (400, 20001)


# -- the collections


@pytest.mark.parametrize(
    ("path", "form", "code"),
    [
        ("/v1/ByocTrunks", {"VoiceUrl": "nonsense"}, 21402),
        ("/v1/ByocTrunks", {"VoiceMethod": "PUT"}, 21403),
        ("/v1/ByocTrunks", {"VoiceFallbackUrl": "https://gw.example.net/f"}, 21405),
        ("/v1/ByocTrunks", {"StatusCallback": "https://gw.example.net/s"}, 20001),
        ("/v1/ByocTrunks", {"ConnectionPolicySid": "NY" + "0" * 32}, 20001),
        ("/v1/ConnectionPolicies", {"FriendlyName": "x" * 256}, 20001),
        ("/v1/ConnectionPolicies/{policy}/Targets", {}, 20001),
        ("/v1/ConnectionPolicies/{policy}/Targets", {"Target": "sips:sbc.carrier.example"}, 20001),
        ("/v1/ConnectionPolicies/{policy}/Targets", {"Target": "sip:a.example", "Weight": "0"}, 20001),
        ("/v1/ConnectionPolicies/{policy}/Targets", {"Target": "sip:a.example", "Priority": "65536"}, 20001),
        ("/SIP/Domains.json", {}, 20001),
        ("/SIP/Domains.json", {"DomainName": "acme.example.com"}, 21232),
        ("/SIP/Domains.json", {"DomainName": "taken.sip.twilio.com"}, 21232),
        ("/SIP/Domains.json", {"DomainName": DOMAIN, "ByocTrunkSid": "BY" + "0" * 32}, 20001),
        ("/SIP/IpAccessControlLists.json", {}, 20001),
        (
            "/SIP/IpAccessControlLists/{acl}/IpAddresses.json",
            {"FriendlyName": "a", "IpAddress": "300.1.1.1"},
            20001,
        ),
        ("/SIP/CredentialLists/{logins}/Credentials.json", {"Username": "a", "Password": "short1A"}, 20001),
        ("/v1/Trunks", {"DomainName": "acme.sip.twilio.com"}, 21232),
        ("/Applications.json", {"FriendlyName": "x" * 65}, 20001),
        ("/Applications.json", {"AnswerUrl": "https://gw.example.net/v"}, 20001),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_is_made(
    sim: Simulator, api: Api, path: str, form: dict[str, str], code: int
) -> None:
    other = Api(sim=sim, account=sim.add_account("twilio"))
    make(other, "/SIP/Domains.json", DomainName="taken.sip.twilio.com")
    places = {
        "policy": make(api, "/v1/ConnectionPolicies")["sid"],
        "acl": make(api, "/SIP/IpAccessControlLists.json", FriendlyName="a")["sid"],
        "logins": make(api, "/SIP/CredentialLists.json", FriendlyName="a")["sid"],
    }
    before = len(sim.writes("twilio"))
    assert code_of(api("POST", path.format(**places), list(form.items()))) == (400, code)
    assert len(sim.writes("twilio")) == before


def test_a_policy_has_ten_targets_and_an_access_list_25_addresses_at_most(api: Api) -> None:
    policy = make(api, "/v1/ConnectionPolicies")
    targets = f"/v1/ConnectionPolicies/{policy['sid']}/Targets"
    for index in range(10):
        make(api, targets, Target=f"sip:{index}.carrier.example")
    assert code_of(api("POST", targets, [("Target", "sip:11.carrier.example")])) == (400, 20001)
    allowed = make(api, "/SIP/IpAccessControlLists.json", FriendlyName="carrier")
    addresses = f"/SIP/IpAccessControlLists/{allowed['sid']}/IpAddresses.json"
    for index in range(25):
        make(api, addresses, FriendlyName="sbc", IpAddress=f"192.0.2.{index}")
    form = [("FriendlyName", "sbc"), ("IpAddress", "192.0.2.99")]
    assert code_of(api("POST", addresses, form)) == (400, 20001)


def test_a_list_of_the_newer_hosts_is_paged_by_absolute_links(sim: Simulator, api: Api) -> None:
    names = [f"policy {index}" for index in range(7)]
    for name in names:
        make(api, "/v1/ConnectionPolicies", FriendlyName=name)
    seen, path = [], "/v1/ConnectionPolicies?PageSize=3"
    while path:
        page = api("GET", path)[1]
        seen += [one["friendly_name"] for one in page[page["meta"]["key"]]]
        path = (page["meta"]["next_page_url"] or "").removeprefix(sim.base_url("twilio"))
    assert seen == names


def test_a_thing_is_changed_and_deleted_with_what_belongs_to_it(api: Api) -> None:
    policy = make(api, "/v1/ConnectionPolicies", FriendlyName="carrier")
    path = f"/v1/ConnectionPolicies/{policy['sid']}"
    target = make(api, f"{path}/Targets", Target="sip:sbc.carrier.example")
    changed = api("POST", f"{path}/Targets/{target['sid']}", [("Weight", "7"), ("FriendlyName", "main")])[1]
    assert (changed["weight"], changed["friendly_name"], changed["target"]) == (7, "main", target["target"])
    assert api("GET", f"{path}/Targets/{target['sid']}")[1] == changed
    assert api("DELETE", path) == (204, None)
    assert code_of(api("GET", f"{path}/Targets/{target['sid']}")) == (404, 20404)
    assert code_of(api("GET", path)) == (404, 20404)


@pytest.mark.parametrize("path", ["/v1/ByocTrunks", "/SIP/Domains.json", "/Applications.json", "/v1/Trunks"])
def test_what_another_account_has_is_not_there(sim: Simulator, api: Api, path: str) -> None:
    made = make(api, path, **({"DomainName": DOMAIN} if "Domains" in path else {}))
    other = Api(sim=sim, account=sim.add_account("twilio"))
    stem, dot, end = path.partition(".")
    assert api("GET", f"{stem}/{made['sid']}{dot}{end}")[0] == 200
    assert code_of(other("GET", f"{stem}/{made['sid']}{dot}{end}")) == (404, 20404)
    assert code_of(other("DELETE", f"{stem}/{made['sid']}{dot}{end}")) == (404, 20404)
    assert Api(sim=sim, account=api.account, password="0" * 32)("GET", path)[0] == 401


def test_a_password_is_nowhere_in_the_journal(sim: Simulator, api: Api) -> None:
    logins = make(api, "/SIP/CredentialLists.json", FriendlyName="logins")
    form = {"Username": "carrier", "Password": "Long3nough-and-good"}
    make(api, f"/SIP/CredentialLists/{logins['sid']}/Credentials.json", **form)
    assert form["Password"] not in str(sim.journal.as_json())
