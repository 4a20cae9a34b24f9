from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest

from gateway.byoc import SipRequest
from gateway.errors import ProviderUnavailable, ValidationError
from gateway.interface import Hook
from gateway.transport import HttpResponse
from tests.adapters.kit import DIAL, SETUP_URLS
from tests.adapters.twilio.support import ACCOUNT, page, provider, reply, rest_call, v1_page, webhook
from tests.adapters.twilio.test_webhooks import VOICE

POLICY, TARGET, TRUNK = "NY" + "1" * 32, "NE" + "2" * 32, "BY" + "3" * 32
DOMAIN, ACL, LOGINS = "SD" + "4" * 32, "AL" + "5" * 32, "CL" + "6" * 32
LINK = SipRequest(
    name="acme-sip",
    urls=SETUP_URLS,
    numbers=("+14155550100",),
    carrier_host="sbc.carrier.example:5060",
    carrier_ips=("203.0.113.10",),
    username="acmegw",
    password="Correct4horse",
)
GW = "https://gw.example.net/voice/k3y"
NAMED = {"friendly_name": "acme-sip"}
TARGETED = {"sid": TARGET, "target": "sip:sbc.carrier.example:5060", "enabled": True}
OUR_TRUNK = {
    "sid": TRUNK,
    **NAMED,
    "voice_url": f"{GW}/answer#rc=3&rp=all",
    "voice_method": "POST",
    "voice_fallback_url": f"{GW}/fallback#rc=3&rp=all",
    "voice_fallback_method": "POST",
    "status_callback_url": f"{GW}/status#rc=3&rp=all",
    "status_callback_method": "POST",
    "connection_policy_sid": POLICY,
}
OUR_DOMAIN = {"sid": DOMAIN, "domain_name": "acme-sip.sip.twilio.com", "byoc_trunk_sid": TRUNK}


def new_link() -> list[HttpResponse]:
    """Answers for an account that has nothing yet, in the order of the requests."""
    return [
        v1_page("connection_policies", []),
        reply(201, {"sid": POLICY, **NAMED}),
        v1_page("targets", []),
        reply(201, TARGETED),
        v1_page("byoc_trunks", []),
        reply(201, OUR_TRUNK),
        page("domains", []),
        reply(201, OUR_DOMAIN),
        page("ip_access_control_lists", []),
        reply(201, {"sid": ACL, **NAMED}),
        page("ip_addresses", []),
        reply(201, {"sid": "IP" + "7" * 32}),
        page("contents", []),
        reply(201, {"sid": ACL}),
        page("credential_lists", []),
        reply(201, {"sid": LOGINS, **NAMED}),
        page("credentials", []),
        reply(201, {"sid": "CR" + "8" * 32}),
        page("contents", []),
        reply(201, {"sid": LOGINS}),
    ]


def known_link(**trunk: str) -> list[HttpResponse]:
    """Answers for an account that has all of it; the password is written again, and the trunk when it differs."""
    return [
        v1_page("connection_policies", [{"sid": POLICY, **NAMED}]),
        v1_page("targets", [TARGETED]),
        v1_page("byoc_trunks", [OUR_TRUNK | trunk]),
        *([reply(200, OUR_TRUNK)] if trunk else []),
        page("domains", [OUR_DOMAIN]),
        page("ip_access_control_lists", [{"sid": ACL, **NAMED}]),
        page("ip_addresses", [{"sid": "IP" + "7" * 32, "ip_address": "203.0.113.10"}]),
        page("contents", [{"sid": ACL}]),
        page("credential_lists", [{"sid": LOGINS, **NAMED}]),
        page("credentials", [{"sid": "CR" + "8" * 32, "username": "acmegw"}]),
        reply(200, {"sid": "CR" + "8" * 32}),
        page("contents", [{"sid": LOGINS}]),
    ]


def checked_link(addresses: tuple[str, ...] = ("203.0.113.10",), **trunk: str) -> list[HttpResponse]:
    """Answers for a check of an account that has all of it."""
    return [
        v1_page("connection_policies", [{"sid": POLICY, **NAMED}]),
        v1_page("targets", [TARGETED]),
        v1_page("byoc_trunks", [OUR_TRUNK | trunk]),
        page("domains", [OUR_DOMAIN]),
        page("ip_access_control_lists", [{"sid": ACL, **NAMED}]),
        page("ip_addresses", [{"sid": "IP" + "7" * 32, "ip_address": each} for each in addresses]),
        page("contents", [{"sid": ACL}]),
        page("credential_lists", [{"sid": LOGINS, **NAMED}]),
        page("contents", [{"sid": LOGINS}]),
        page("credentials", [{"sid": "CR" + "8" * 32, "username": "acmegw"}]),
    ]


def test_a_new_link_makes_policy_target_trunk_domain_and_both_access_lists() -> None:
    adapter, transport = provider(*new_link())
    trunk = adapter.ensure_sip(LINK)
    assert trunk.refs == {
        "connection_policy": POLICY,
        "policy_target": TARGET,
        "byoc_trunk": TRUNK,
        "sip_domain": DOMAIN,
        "ip_acl": ACL,
        "credential_list": LOGINS,
    }
    assert trunk.trunk_ref == TRUNK
    sent = [index for index, request in enumerate(transport.requests) if request.method == "POST"]
    assert [transport.form(index) for index in sent] == [
        {"FriendlyName": ["acme-sip"]},
        {"Target": ["sip:sbc.carrier.example:5060"], "FriendlyName": ["acme-sip"]},
        {
            "FriendlyName": ["acme-sip"],
            "VoiceUrl": [f"{GW}/answer#rc=3&rp=all"],
            "VoiceMethod": ["POST"],
            "VoiceFallbackUrl": [f"{GW}/fallback#rc=3&rp=all"],
            "VoiceFallbackMethod": ["POST"],
            "StatusCallbackUrl": [f"{GW}/status#rc=3&rp=all"],
            "StatusCallbackMethod": ["POST"],
            "ConnectionPolicySid": [POLICY],
        },
        {
            "DomainName": ["acme-sip.sip.twilio.com"],
            "FriendlyName": ["acme-sip"],
            "ByocTrunkSid": [TRUNK],
        },
        {"FriendlyName": ["acme-sip"]},
        {"FriendlyName": ["acme-sip"], "IpAddress": ["203.0.113.10"]},
        {"IpAccessControlListSid": [ACL]},
        {"FriendlyName": ["acme-sip"]},
        {"Username": ["acmegw"], "Password": ["Correct4horse"]},
        {"CredentialListSid": [LOGINS]},
    ]
    assert transport.requests[0].url.startswith("https://voice.twilio.com/v1/ConnectionPolicies")
    assert f"/Accounts/{ACCOUNT}/SIP/Domains/{DOMAIN}/Auth/Calls/" in transport.requests[-1].url


def test_the_person_is_told_word_for_word_what_to_enter() -> None:
    adapter, _ = provider(*new_link())
    lines = dict(adapter.ensure_sip(LINK).instructions)
    assert lines["Route +14155550100 to"] == "sip:+14155550100@acme-sip.sip.twilio.com"
    assert lines["Send calls from"] == "203.0.113.10"
    assert lines["Twilio sends calls to"] == "sip:sbc.carrier.example:5060"
    assert "Correct4horse" not in str(lines)


def test_what_exists_under_the_name_is_taken_and_never_doubled() -> None:
    adapter, transport = provider(*known_link())
    adapter.ensure_sip(LINK)
    written = [request.url for request in transport.requests if request.method == "POST"]
    assert len(written) == 1
    assert "/Credentials/CR" in written[0]


def test_a_trunk_that_was_changed_is_mended() -> None:
    adapter, transport = provider(*known_link(voice_url="https://other.example.net/"))
    adapter.ensure_sip(LINK)
    assert transport.form(3)["VoiceUrl"] == [f"{GW}/answer#rc=3&rp=all"]


def test_an_inbound_only_link_has_no_policy_and_nothing_to_dial_by() -> None:
    adapter, transport = provider(*new_link()[4:14])
    trunk = adapter.ensure_sip(replace(LINK, carrier_host=None, username=None, password=None))
    assert trunk.trunk_ref is None
    assert "ConnectionPolicySid" not in transport.form(1)


def test_a_link_that_stands_has_no_differences() -> None:
    adapter, transport = provider(*checked_link())
    assert adapter.check_sip(LINK) == ()
    assert {request.method for request in transport.requests} == {"GET"}


def test_a_check_names_what_was_changed_behind_our_back() -> None:
    adapter, _ = provider(*checked_link(addresses=(), voice_url="https://other.example.net/"))
    found = {each.setting: (each.wanted, each.found) for each in adapter.check_sip(LINK)}
    assert found == {
        "voice_url": (f"{GW}/answer#rc=3&rp=all", "https://other.example.net/"),
        "allowed address": ("203.0.113.10", ""),
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"carrier_ips": (), "username": None, "password": None}, "carrier_ips"),
        ({"carrier_ips": ("10.0.0.999",)}, "carrier_ips"),
        ({"carrier_host": "sbc.example/../x"}, "carrier_host"),
        ({"name": "a b c"}, "name"),
        ({"password": None}, "password"),
        ({"password": "short"}, "password"),
        ({"numbers": ("4155550100",)}, "numbers"),
    ],
)
def test_a_link_that_cannot_be_is_refused_before_anything_is_sent(changes: dict, field: str) -> None:
    adapter, transport = provider()
    with pytest.raises(ValidationError) as caught:
        adapter.ensure_sip(replace(LINK, **changes))
    assert (caught.value.field, transport.requests) == (field, [])


def test_a_dial_goes_by_the_trunk_it_names() -> None:
    adapter, transport = provider(reply(201, rest_call()))
    adapter.dial(replace(DIAL, trunk_ref=TRUNK))
    assert transport.form()["Byoc"] == [TRUNK]


@pytest.mark.parametrize("trunk", ["TK" + "0" * 32, "BY1", "../x"])
def test_a_trunk_that_is_none_is_refused(trunk: str) -> None:
    with pytest.raises(ValidationError, match="trunk"):
        provider()[0].check_dial(replace(DIAL, trunk_ref=trunk))


def test_a_call_that_another_carrier_hands_over_is_for_the_number_in_its_address() -> None:
    handed = VOICE | {
        "To": "sip:+14155550100@acme-sip.sip.us1.twilio.com",
        "From": "sip:+12125550123@192.0.2.1",
    }
    (event,) = provider()[0].read_webhook(Hook.ANSWER, webhook(handed))
    assert (event.to, event.from_number) == ("+14155550100", "+12125550123")
    (event,) = provider()[0].read_webhook(
        Hook.ANSWER, webhook(VOICE | {"To": "sip:+14155550100@pbx.example.net"})
    )
    assert event.to == "sip:+14155550100@pbx.example.net"


@pytest.mark.parametrize("ident", ["../../Accounts", "BY1/../x", "?a=b", "", None, "BY" + "0" * 31 + "/"])
def test_an_id_in_an_answer_leads_no_request_elsewhere(ident: str | None) -> None:
    for at, answer in enumerate(new_link()):
        if answer.status != 201 or b'"sid"' not in answer.body:
            continue
        answers = new_link()
        answers[at] = reply(201, json.loads(answer.body) | {"sid": ident})
        adapter, transport = provider(*answers)
        with suppress(ProviderUnavailable):
            adapter.ensure_sip(LINK)
        told = ident or "None"
        assert not [each for each in transport.requests if told in unquote(urlsplit(each.url).path)]
        assert {each.url.partition("?")[2].partition("=")[0] for each in transport.requests} <= {
            "",
            "PageSize",
        }
