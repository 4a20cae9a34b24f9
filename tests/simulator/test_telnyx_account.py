"""What a Telnyx account holds: numbers, applications, profiles, orders, verified numbers, SIP connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from providers.simulator import Caller, Fault
from providers.simulator.carriers.base import UnknownNumber
from providers.simulator.carriers.telnyx import applications, connections, numbers
from tests.simulator.telnyx_customer import CALLEE, CALLER, OURS, Bench, Receiver, receiving, telnyx_bench
from tests.simulator.telnyx_spec import answer_schema, complaints, drop_nulls, fields_of, read_spec

APPS: Final = "/v2/call_control_applications"
PROFILES: Final = "/v2/outbound_voice_profiles"
NUMBERS: Final = "/v2/phone_numbers"
URL: Final = "https://voice.example.test/events"
FOREIGN: Final = "+14155550177"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as box:
        yield box


@pytest.fixture
def bench(receiver: Receiver) -> Iterator[Bench]:
    with telnyx_bench(receiver) as made:
        yield made


def made(bench: Bench, path: str, **fields: Any) -> Any:
    """What a POST made."""
    answer = bench.request("POST", path, json=fields)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["data"]


def refusal(bench: Bench, method: str, path: str, **fields: Any) -> tuple[int, str, str]:
    """Status, code, and what the error points at."""
    answer = bench.request(method, path, json=fields or None)
    (error,) = answer.json()["errors"]
    source = error.get("source", {})
    return answer.status_code, error["code"], source.get("pointer") or source.get("parameter") or ""


def number_id(bench: Bench, number: str = OURS) -> str:
    found = bench.request("GET", f"{NUMBERS}?filter[phone_number]={number[1:]}").json()["data"]
    return str(found[0]["id"])


# --- the account ----------------------------------------


def test_a_key_without_billing_rights_is_still_a_key(bench: Bench) -> None:
    bench.sim.change_account(bench.account, balance="12.34")
    assert bench.request("GET", "/v2/balance").json()["data"]["balance"] == "12.34"
    bench.sim.change_account(bench.account, balance=None)
    assert refusal(bench, "GET", "/v2/balance") == (403, "10010", "/")
    assert bench.request("GET", f"{NUMBERS}?page[size]=1").status_code == 200


def test_a_suspended_account_may_look_but_not_call_and_a_closed_one_has_no_key(bench: Bench) -> None:
    bench.sim.change_account(bench.account, status="suspended")
    assert bench.dial().json()["telnyx_error"] == {"error_code": "D17"}
    assert bench.request("GET", NUMBERS).status_code == 200
    bench.sim.wait(bench.sim.ring(OURS, CALLER))
    assert bench.receiver.types() == []
    bench.sim.change_account(bench.account, status="closed")
    assert refusal(bench, "GET", NUMBERS)[:2] == (401, "10009")


def test_a_trial_account_calls_only_numbers_it_verified(bench: Bench) -> None:
    bench.sim.change_account(bench.account, kind="trial")
    assert bench.dial().json()["telnyx_error"] == {"error_code": "D60"}
    bench.sim.verify_caller_id(bench.account, CALLEE)
    assert bench.dial().status_code == 200


@pytest.mark.parametrize("wrong", [{"status": "gone"}, {"kind": "tiny"}, {"balance": "much"}, {"name": "x"}])
def test_a_change_of_an_account_that_makes_no_sense_is_refused(bench: Bench, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        bench.sim.change_account(bench.account, **wrong)


# --- numbers ----------------------------------------


def test_ten_thousand_numbers_are_listed_quickly_each_once(bench: Bench) -> None:
    held = {OURS, *bench.sim.add_numbers(bench.account, 10_000, "+1628")}
    listed: list[str] = []
    began = time.process_time()
    page, pages = 1, 1
    while page <= pages:
        answer = bench.request("GET", f"{NUMBERS}?page[size]=250&page[number]={page}").json()
        pages = answer["meta"]["total_pages"]
        listed += [number["phone_number"] for number in answer["data"]]
        page += 1
    assert time.process_time() - began < 10
    assert pages == 41
    assert len(listed) == len(held) == 10_001
    assert set(listed) == held


def test_filters_and_orders_of_the_number_list(bench: Bench) -> None:
    sim, account = bench.sim, bench.account
    sim.add_number(account, "+442071838750", settings={"connection_id": None, "tags": ["desk"]})
    sim.add_number(account, "+18005550100", kind="toll_free", voice=False)

    def found(query: str) -> list[str]:
        answer = bench.request("GET", f"{NUMBERS}?{query}")
        assert answer.status_code == 200, answer.text
        return [number["phone_number"] for number in answer.json()["data"]]

    assert found("filter[tag]=desk") == ["+442071838750"]
    assert found("filter[country_iso_alpha2]=GB") == ["+442071838750"]
    assert found("filter[country_iso_alpha2][]=GB&filter[country_iso_alpha2][]=FR") == ["+442071838750"]
    assert found("filter[status]=emergency-only") == ["+18005550100"]
    assert found("filter[number_type][eq]=toll_free") == ["+18005550100"]
    assert found(f"filter[connection_id]={account.connection_id}") == [OURS, "+18005550100"]
    assert found("filter[voice.connection_name][contains]=acme") == [OURS, "+18005550100"]
    assert found("filter[without_tags]=true") == [OURS, "+18005550100"]
    assert found("filter[source]=ported") == []
    assert found("sort=phone_number") == [OURS, "+18005550100", "+442071838750"]
    for wrong in (
        "filter[phone_number]=14",
        "filter[status]=live",
        "filter[colour]=red",
        "sort=price",
        "page[size]=251",
        "page[number]=0",
        "filter[voice.usage_payment_method]=cash",
    ):
        assert bench.request("GET", f"{NUMBERS}?{wrong}").status_code == 422, wrong


def test_voice_settings_are_changed_apart_from_the_connection(bench: Bench) -> None:
    path = f"{NUMBERS}/{number_id(bench)}"
    assert refusal(bench, "PATCH", f"{path}/voice", connection_id="1") == (422, "10015", "/connection_id")
    wrong = {"forwarding_type": "sometimes"}
    assert refusal(bench, "PATCH", f"{path}/voice", call_forwarding=wrong) == (
        422,
        "10032",
        "/call_forwarding/forwarding_type",
    )
    body = {
        "inbound_call_screening": "flag_calls",
        "call_recording": {"inbound_call_recording_enabled": True},
    }
    voice = bench.request("PATCH", f"{path}/voice", json=body).json()["data"]
    assert voice["call_recording"]["inbound_call_recording_format"] == "wav"
    shown = bench.request("GET", path).json()["data"]
    assert (shown["call_recording_enabled"], shown["inbound_call_screening"]) == (True, "flag_calls")


def test_a_forwarded_number_rings_the_other_phone_and_tells_no_application(bench: Bench) -> None:
    forwarding = {"call_forwarding_enabled": True, "forwards_to": CALLEE}
    bench.sim.change_number(bench.account, OURS, call_forwarding=forwarding)
    call = bench.sim.ring(OURS, CALLER, Caller(talk_s=2))
    bench.sim.wait(call)
    assert call.truth == "answered"
    assert [leg.to for leg in call.legs] == [CALLEE]
    assert bench.receiver.types() == []


@pytest.mark.parametrize("broken", ["detached", "inactive", "no voice", "deleted"])
def test_a_number_that_reaches_no_active_application_is_refused_by_the_carrier(
    bench: Bench, broken: str
) -> None:
    sim, account = bench.sim, bench.account
    ref = account.connection_id or ""
    match broken:
        case "detached":
            sim.change_number(account, OURS, connection_id=None)
        case "inactive":
            sim.change_application(account, ref, active=False)
        case "no voice":
            sim.change_number(account, OURS, status="port-pending")
        case "deleted":
            sim.remove_application(account, ref)
            assert sim.number_settings(account, OURS)["connection_name"] is None
    call = sim.ring(OURS, CALLER)
    sim.wait(call)
    assert (call.truth, call.sip_code) == ("failed", 480)
    assert bench.receiver.types() == []


def test_an_inbound_call_follows_its_number_to_another_application(bench: Bench) -> None:
    app = made(bench, APPS, application_name="Other", webhook_event_url=bench.receiver.url("/other"))
    bench.request("PATCH", f"{NUMBERS}/{number_id(bench)}", json={"connection_id": app["id"]})
    call = bench.sim.ring(OURS, CALLER, Caller(gives_up_after_s=1))
    bench.sim.wait(call)
    (first, *_) = bench.receiver.hooks
    assert first.path == "/other"
    assert first.document["event_type"] == "call_initiated"  # an application of version 1 unless told
    assert "data" not in first.document


def test_a_number_of_a_sip_connection_is_not_an_application_s(bench: Bench) -> None:
    trunk = made(bench, "/v2/ip_connections", connection_name="PBX")
    number = f"{NUMBERS}/{number_id(bench)}"
    assert bench.request("PATCH", number, json={"connection_id": trunk["id"]}).json()["data"][
        "connection_name"
    ] == ("PBX")
    call = bench.sim.ring(OURS, CALLER)
    bench.sim.wait(call)
    assert call.truth == "failed"
    bench.request("DELETE", f"/v2/ip_connections/{trunk['id']}")
    assert bench.request("GET", number).json()["data"]["connection_id"] is None


def test_a_released_number_is_gone(bench: Bench) -> None:
    path = f"{NUMBERS}/{number_id(bench)}"
    assert bench.request("DELETE", path).json()["data"]["status"] == "deleted"
    assert refusal(bench, "GET", path)[:2] == (404, "10005")
    assert refusal(bench, "DELETE", path)[:2] == (404, "10005")
    with pytest.raises(UnknownNumber):
        bench.sim.ring(OURS, CALLER)


def test_ownership_tells_ids_and_strangers(bench: Bench) -> None:
    data = made(bench, f"{NUMBERS}/actions/verify_ownership", phone_numbers=[OURS, FOREIGN])
    assert data["found"] == [{"number_val_e164": OURS, "id": number_id(bench)}]
    assert data["not_found"] == [FOREIGN]


# --- behind the customer's back ----------------------------------------


def test_a_test_changes_numbers_and_applications_without_the_api(bench: Bench) -> None:
    sim, account = bench.sim, bench.account
    ref = account.connection_id or ""
    sim.change_application(account, ref, webhook_api_version="1", inbound={"sip_subdomain": "acme"})
    (shown,) = sim.applications(account)
    assert shown == bench.request("GET", f"{APPS}/{ref}").json()["data"]
    assert shown["inbound"] == {
        "channel_limit": None,
        "shaken_stir_enabled": False,
        "sip_subdomain": "acme",
        "sip_subdomain_receive_settings": "from_anyone",
    }
    shown["webhook_event_url"] = "changed only in the copy"
    assert sim.applications(account)[0]["webhook_event_url"] == bench.receiver.url()
    assert sim.writes("telnyx") == []
    for wrong in ({"voice_url": "x"}, {"connection_id": "1"}, {"call_forwarding": {"to": "x"}}):
        with pytest.raises(ValueError, match=r"voice_url|connection|Unknown parameter"):
            sim.change_number(account, OURS, **wrong)
    with pytest.raises(ValueError, match="colour"):
        sim.change_application(account, ref, colour="red")
    with pytest.raises(KeyError):
        sim.change_application(account, "1", active=False)
    with pytest.raises(UnknownNumber):
        sim.number_settings(account, FOREIGN)


def test_a_write_can_be_refused_or_done_and_its_answer_lost(bench: Bench) -> None:
    path = f"{NUMBERS}/{number_id(bench)}"
    bench.sim.faults.api("telnyx", "number_write", Fault.STATUS, status=403)
    bench.sim.faults.api("telnyx", "number_write", Fault.SERVER_ERROR_AFTER)
    bench.sim.faults.api("telnyx", "application_write", Fault.SLOW, delay_s=0.05)
    assert bench.request("PATCH", path, json={"tags": ["a"]}).status_code == 403
    assert bench.sim.number_settings(bench.account, OURS)["tags"] == []
    assert bench.request("PATCH", path, json={"tags": ["b"]}).status_code == 503
    assert bench.sim.number_settings(bench.account, OURS)["tags"] == ["b"]
    made(bench, APPS, application_name="Slow", webhook_event_url=URL)
    done = [entry.data["operation"] for entry in bench.sim.writes("telnyx")]
    assert done == ["number_write", "application_write"]


# --- applications and profiles ----------------------------------------


def test_an_application_is_made_with_the_carriers_defaults(bench: Bench) -> None:
    app = made(bench, APPS, application_name="Gateway", webhook_event_url=URL)
    assert app["webhook_api_version"] == "1"
    assert app["outbound"]["outbound_voice_profile_id"] is None
    assert bench.dial(connection_id=app["id"]).json()["telnyx_error"] == {"error_code": "D38"}
    assert bench.request("DELETE", f"{APPS}/{app['id']}").status_code == 200
    assert refusal(bench, "GET", f"{APPS}/{app['id']}")[:2] == (404, "10005")


def test_applications_are_found_by_a_part_of_their_name(bench: Bench) -> None:
    for name in ("gateway-a", "gateway-b"):
        made(bench, APPS, application_name=name, webhook_event_url=URL)
    path = f"{APPS}?filter[application_name][contains]"
    found = bench.request("GET", f"{path}=GATEWAY&sort=connection_name").json()["data"]
    assert [app["application_name"] for app in found] == ["gateway-a", "gateway-b"]
    assert refusal(bench, "GET", f"{path}=ga")[:2] == (422, "10015")
    assert refusal(bench, "GET", f"{APPS}?sort=name")[:2] == (422, "10032")


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"application_name": "x"}, "10004", "/webhook_event_url"),
        ({"webhook_event_url": URL}, "10004", "/application_name"),
        ({"application_name": "x", "webhook_event_url": "voice"}, "10003", "/webhook_event_url"),
        ({"application_name": "x", "webhook_event_url": URL, "voice_url": URL}, "10015", "/voice_url"),
        (
            {
                "application_name": "x",
                "webhook_event_url": URL,
                "outbound": {"outbound_voice_profile_id": "1"},
            },
            "10015",
            "/outbound/outbound_voice_profile_id",
        ),
        (
            {"application_name": "x", "webhook_event_url": URL, "inbound": {"sip_subdomain": "a.b"}},
            "10015",
            "/inbound/sip_subdomain",
        ),
    ],
)
def test_a_wrong_application_is_refused(bench: Bench, body: dict[str, Any], code: str, pointer: str) -> None:
    assert refusal(bench, "POST", APPS, **body) == (422, code, pointer)


def test_a_dial_needs_an_enabled_profile_that_lists_the_destination(bench: Bench) -> None:
    (profile,) = bench.request("GET", PROFILES).json()["data"]
    assert (profile["connections_count"], profile["whitelisted_destinations"]) == (1, ["US", "CA"])
    path = f"{PROFILES}/{profile['id']}"
    assert bench.dial(to="+442071838750").json()["telnyx_error"] == {"error_code": "D13"}
    bench.sim.permit(bench.account, "GB", True)
    assert bench.dial(to="+442071838750").status_code == 200
    assert bench.request("PATCH", path, json={"name": "Default", "enabled": False}).status_code == 200
    assert bench.dial().json()["telnyx_error"] == {"error_code": "D15"}
    bench.request("DELETE", path)
    assert bench.dial().json()["telnyx_error"] == {"error_code": "D38"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "ab"}, "/name"),
        ({"name": "abc", "whitelisted_destinations": ["USA"]}, "/whitelisted_destinations"),
        ({"name": "abc", "daily_spend_limit": "much"}, "/daily_spend_limit"),
        ({"name": "abc", "max_destination_rate": "1"}, "/max_destination_rate"),
        ({"name": "abc", "colour": "red"}, "/colour"),
        (
            {"name": "abc", "call_recording": {"call_recording_type": "some"}},
            "/call_recording/call_recording_type",
        ),
    ],
)
def test_a_wrong_profile_is_refused(bench: Bench, body: dict[str, Any], pointer: str) -> None:
    assert refusal(bench, "POST", PROFILES, **body)[::2] == (422, pointer)


def test_a_sip_sub_domain_leads_to_one_application_of_all_customers(bench: Bench) -> None:
    body = {"application_name": "Acme", "webhook_event_url": bench.receiver.url()}
    inbound = {"sip_subdomain": "acme"}
    path = f"{APPS}/{bench.account.connection_id}"
    assert bench.request("PATCH", path, json={**body, "inbound": inbound}).status_code == 200
    assert bench.request("PATCH", path, json={**body, "inbound": inbound}).status_code == 200
    refused = refusal(bench, "POST", APPS, application_name="b", webhook_event_url=URL, inbound=inbound)
    assert refused == (422, "10015", "/inbound/sip_subdomain")
    call = bench.sim.ring("sip:desk-7f3a@acme.sip.telnyx.com", CALLER, Caller(gives_up_after_s=1))
    bench.sim.wait(call)
    assert bench.receiver.one("call.initiated")["to"] == "sip:desk-7f3a@acme.sip.telnyx.com"
    with pytest.raises(UnknownNumber):
        bench.sim.ring("sip:desk@other.sip.telnyx.com", CALLER)


# --- search and buy ----------------------------------------


def test_the_inventory_is_searched_by_every_filter(bench: Bench) -> None:
    sim = bench.sim
    sim.add_inventory("telnyx", "+14155550190", locality="San Francisco", region="CA", monthly="1.10")
    sim.add_inventory("telnyx", "+12125550191", locality="New York", region="NY", sms=False)
    sim.add_inventory(bench.account, "+18005550192", kind="toll_free", voice=False)
    sim.add_inventory(sim.add_account("telnyx", name="Other"), "+14155550193")

    def found(query: str) -> list[str]:
        answer = bench.request("GET", f"/v2/available_phone_numbers?{query}")
        assert answer.status_code == 200, answer.text
        return [each["phone_number"] for each in answer.json()["data"]]

    assert found("") == ["+14155550190", "+12125550191", "+18005550192"]
    assert found("filter[national_destination_code]=415") == ["+14155550190"]
    assert found("filter[features][]=voice&filter[features][]=sms") == ["+14155550190"]
    assert found("filter[phone_number_type]=toll_free") == ["+18005550192"]
    assert found("filter[locality]=new+york") == ["+12125550191"]
    assert found("filter[administrative_area]=CA") == ["+14155550190"]
    assert found("filter[phone_number][contains]=5550191") == ["+12125550191"]
    assert found("filter[phone_number][starts_with]=212&filter[country_code]=US") == ["+12125550191"]
    assert found("filter[country_code]=GB") == []
    assert found("filter[limit]=1") == ["+14155550190"]
    for wrong in (
        "filter[country_code]=usa",
        "filter[features]=fly",
        "filter[limit]=0",
        "filter[phone_number_type]=cell",
        "filter[phone_number][contains]=CALL",
        "filter[area_code]=415",
    ):
        assert bench.request("GET", f"/v2/available_phone_numbers?{wrong}").status_code == 422, wrong


def test_an_ordered_number_is_pending_then_the_accounts_and_takes_calls(bench: Bench) -> None:
    bought = "+14155550190"
    bench.sim.add_inventory("telnyx", bought)
    order = made(
        bench,
        "/v2/number_orders",
        phone_numbers=[{"phone_number": bought}],
        connection_id=bench.account.connection_id,
        customer_reference="order-1",
    )
    assert (order["status"], order["phone_numbers"][0]["status"]) == ("pending", "pending")
    path = f"/v2/number_orders/{order['id']}"
    bench.sim.wait(lambda: bench.request("GET", path).json()["data"]["status"] == "success")
    held = bench.request("GET", f"{NUMBERS}?filter[customer_reference]=order-1").json()["data"]
    assert [(number["phone_number"], number["status"]) for number in held] == [(bought, "active")]
    listed = bench.request("GET", "/v2/number_orders?filter[customer_reference]=order-1").json()
    assert [each["id"] for each in listed["data"]] == [order["id"]]
    assert bench.request("GET", "/v2/available_phone_numbers").json()["data"] == []
    bench.sim.wait(bench.sim.ring(bought, CALLER, Caller(gives_up_after_s=1)))
    assert bench.receiver.one("call.initiated")["to"] == bought


def test_a_failed_order_leaves_a_number_that_cannot_be_used(bench: Bench) -> None:
    face: Any = bench.sim.face("telnyx")
    face.habits.orders_fail, face.habits.order_takes_s = True, 0
    bench.sim.add_inventory("telnyx", "+14155550190")
    order = made(bench, "/v2/number_orders", phone_numbers=[{"phone_number": "+14155550190"}])
    assert order["status"] == "failure"
    assert bench.request("GET", f"{NUMBERS}?filter[status]=active").json()["meta"]["total_results"] == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"customer_reference": "x"}, "/phone_numbers"),
        ({"phone_numbers": []}, "/phone_numbers"),
        ({"phone_numbers": ["+14155550190"]}, "/phone_numbers/0"),
        ({"phone_numbers": [{"phone_number": "4155550190"}]}, "/phone_numbers/0/phone_number"),
        ({"phone_numbers": [{"phone_number": "+14155550199"}]}, "/phone_numbers/0/phone_number"),
        ({"phone_numbers": [{"phone_number": "+14155550191"}]}, "/phone_numbers/0/phone_number"),
        ({"phone_numbers": [{"phone_number": "+14155550190"}], "connection_id": "1"}, "/connection_id"),
    ],
)
def test_a_wrong_order_buys_nothing(bench: Bench, body: dict[str, Any], pointer: str) -> None:
    bench.sim.add_inventory("telnyx", "+14155550190")
    bench.sim.add_inventory("telnyx", "+14155550191", needs_address=True)
    assert refusal(bench, "POST", "/v2/number_orders", **body)[::2] == (422, pointer)
    assert bench.request("GET", NUMBERS).json()["meta"]["total_results"] == 1
    assert bench.request("GET", "/v2/number_orders").json()["data"] == []


# --- verified numbers ----------------------------------------


def test_a_foreign_number_is_verified_by_the_code_its_phone_got(bench: Bench) -> None:
    assert bench.dial(**{"from": FOREIGN}).json()["telnyx_error"] == {"error_code": "D51"}
    verified = "/v2/verified_numbers"
    started = bench.request(
        "POST", verified, json={"phone_number": FOREIGN, "verification_method": "call", "extension": "12w"}
    )
    assert started.json() == {"phone_number": FOREIGN, "verification_method": "call"}
    code = bench.sim.sent_code(bench.account, FOREIGN)
    verify = f"{verified}/{FOREIGN}/actions/verify"
    assert refusal(bench, "POST", verify, verification_code="x" + code) == (
        422,
        "10015",
        "/verification_code",
    )
    assert bench.request("GET", f"{verified}/{FOREIGN}").status_code == 404
    assert made(bench, verify, verification_code=code)["phone_number"] == FOREIGN
    assert bench.dial(**{"from": FOREIGN}).status_code == 200
    listed = bench.request("GET", verified).json()
    assert ([each["phone_number"] for each in listed["data"]], listed["meta"]["page_size"]) == ([FOREIGN], 25)
    assert bench.request("DELETE", f"{verified}/{FOREIGN}").status_code == 200
    assert bench.dial(**{"from": FOREIGN}).json()["telnyx_error"] == {"error_code": "D51"}
    assert refusal(bench, "POST", verify, verification_code=code)[:2] == (404, "10005")
    assert code not in str(bench.sim.journal.requests("telnyx")[0].data)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"phone_number": FOREIGN}, "/verification_method"),
        ({"phone_number": "4155550177", "verification_method": "sms"}, "/phone_number"),
        ({"phone_number": FOREIGN, "verification_method": "fax"}, "/verification_method"),
        ({"phone_number": FOREIGN, "verification_method": "call", "extension": "x"}, "/extension"),
        ({"phone_number": FOREIGN, "verification_method": "sms", "extension": "12"}, "/extension"),
    ],
)
def test_a_wrong_verification_is_refused(bench: Bench, body: dict[str, str], pointer: str) -> None:
    assert refusal(bench, "POST", "/v2/verified_numbers", **body)[::2] == (422, pointer)


# --- SIP connections ----------------------------------------


def test_a_link_to_another_carrier_is_made_listed_changed_and_deleted(bench: Bench) -> None:
    trunk = made(
        bench, "/v2/fqdn_connections", connection_name="Acme SBC", inbound={"sip_subdomain": "acme-sbc"}
    )
    host = made(
        bench,
        "/v2/fqdns",
        connection_id=trunk["id"],
        fqdn="sbc.acme.example",
        dns_record_type="a",
        port=5080,
    )
    address = made(bench, "/v2/ips", ip_address="192.0.2.10")
    assert (host["port"], address["port"], address["connection_id"]) == (5080, 5060, "")
    user = made(
        bench,
        "/v2/credential_connections",
        connection_name="Phones",
        user_name="acme2026",
        password="correct-horse",
    )
    listed = bench.request("GET", "/v2/connections").json()["data"]
    assert [each["record_type"] for each in listed] == [
        "call_control_application",
        "fqdn_connection",
        "credential_connection",
    ]
    by_host = bench.request("GET", "/v2/fqdn_connections?filter[fqdn]=sbc.acme.example").json()["data"]
    assert [each["id"] for each in by_host] == [trunk["id"]]
    status = bench.request(
        "POST", f"/v2/credential_connections/{user['id']}/actions/check_registration_status"
    )
    assert status.json()["data"]["status"] == "Not Registered"
    changed = bench.request(
        "PATCH", f"/v2/fqdn_connections/{trunk['id']}", json={"inbound": {"sip_region": "Europe"}}
    ).json()["data"]
    assert (changed["inbound"]["sip_region"], changed["inbound"]["sip_subdomain"]) == ("Europe", "acme-sbc")
    assert bench.request("GET", f"/v2/ip_connections/{trunk['id']}").status_code == 404
    assert bench.request("DELETE", f"/v2/fqdn_connections/{trunk['id']}").status_code == 200
    assert bench.request("GET", f"/v2/fqdns/{host['id']}").json()["data"]["connection_id"] == ""
    assert "correct-horse" not in str(bench.sim.journal.as_json())


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("fqdn_connections", {}, "/connection_name"),
        ("ip_connections", {"inbound": {"dnis_number_format": "test"}}, "/inbound/dnis_number_format"),
        (
            "ip_connections",
            {"outbound": {"outbound_voice_profile_id": "1"}},
            "/outbound/outbound_voice_profile_id",
        ),
        ("ips", {"ip_address": "acme"}, "/ip_address"),
        ("ips", {"ip_address": "192.0.2.1", "connection_id": "1"}, "/connection_id"),
        (
            "fqdns",
            {"fqdn": "sbc.acme.example", "dns_record_type": "mx", "connection_id": "1"},
            "/dns_record_type",
        ),
        (
            "credential_connections",
            {"connection_name": "x", "user_name": "a b", "password": "long-enough"},
            "/user_name",
        ),
        (
            "credential_connections",
            {"connection_name": "x", "user_name": "abcd", "password": "short"},
            "/password",
        ),
    ],
)
def test_a_wrong_connection_is_refused(bench: Bench, path: str, body: dict[str, Any], pointer: str) -> None:
    assert refusal(bench, "POST", f"/v2/{path}", **body)[::2] == (422, pointer)


# --- the vendor's document ----------------------------------------

# Fields that are null in practice, where the document gives a type only.
NULLS: Final = ("channel_limit", "sip_subdomain", "outbound_voice_profile_id")
NOT_PLAYED: Final = frozenset(
    {
        "android_push_credential_id",
        "ios_push_credential_id",
        "default_on_hold_comfort_noise_enabled",
        "encode_contact_header_enabled",
        "jitter_buffer",
        "noise_suppression",
        "noise_suppression_details",
        "onnet_t38_passthrough_enabled",
        "rtcp_settings",
        "microsoft_teams_sbc",
        "calling_window",
    }
)


@pytest.fixture(scope="module")
def spec() -> Any:
    return read_spec()


def test_every_answer_has_the_documented_form(bench: Bench, spec: Any) -> None:
    sim = bench.sim
    sim.add_inventory("telnyx", "+14155550190", locality="San Francisco", region="CA")
    sim.verify_caller_id(bench.account, CALLEE)
    app = made(bench, APPS, application_name="Gateway", webhook_event_url=URL)
    profile = made(bench, PROFILES, name="Europe", whitelisted_destinations=["GB"])
    trunk = made(bench, "/v2/fqdn_connections", connection_name="SBC")
    number, number_name = number_id(bench), "/phone_numbers/{id}"
    credential = {"connection_name": "P", "user_name": "acme2026", "password": "correct-horse"}
    fqdn = {"connection_id": trunk["id"], "fqdn": "sbc.acme.example", "dns_record_type": "a"}
    order = {"phone_numbers": [{"phone_number": "+14155550190"}]}
    asked: list[tuple[str, str, str, Any]] = [
        ("GET", "/phone_numbers", "", None),
        ("GET", "/phone_numbers", "?filter[status]=x", None),
        ("GET", number_name, number, None),
        ("GET", number_name, "1", None),
        ("PATCH", number_name, number, {"tags": ["x"]}),
        ("PATCH", "/phone_numbers/{id}/voice", number, {"call_forwarding": {"forwards_to": CALLEE}}),
        ("GET", "/phone_numbers/{id}/voice", number, None),
        ("POST", "/phone_numbers/actions/verify_ownership", "", {"phone_numbers": [OURS, FOREIGN]}),
        ("GET", "/available_phone_numbers", "", None),
        ("GET", "/available_phone_numbers", "?filter[limit]=0", None),
        ("POST", "/number_orders", "", order),
        ("POST", "/number_orders", "", order),
        ("GET", "/number_orders", "", None),
        ("POST", "/verified_numbers", "", {"phone_number": FOREIGN, "verification_method": "sms"}),
        ("POST", "/verified_numbers", "", {"phone_number": FOREIGN}),
        ("GET", "/verified_numbers", "", None),
        ("GET", "/verified_numbers/{phone_number}", CALLEE, None),
        ("DELETE", "/verified_numbers/{phone_number}", CALLEE, None),
        ("POST", "/call_control_applications", "", {"application_name": "b", "webhook_event_url": URL}),
        ("POST", "/call_control_applications", "", {}),
        ("GET", "/call_control_applications", "", None),
        ("DELETE", "/call_control_applications/{id}", app["id"], None),
        ("POST", "/outbound_voice_profiles", "", {"name": "Asia", "concurrent_call_limit": 3}),
        ("GET", "/outbound_voice_profiles", "", None),
        ("GET", "/outbound_voice_profiles/{id}", profile["id"], None),
        ("PATCH", "/outbound_voice_profiles/{id}", profile["id"], {"name": "Europe 2"}),
        ("DELETE", "/outbound_voice_profiles/{id}", profile["id"], None),
        ("GET", "/connections", "", None),
        ("GET", "/connections/{id}", trunk["id"], None),
        ("POST", "/ip_connections", "", {"connection_name": "PBX"}),
        ("POST", "/ip_connections", "", {"inbound": {"dnis_number_format": "x"}}),
        ("GET", "/ip_connections", "", None),
        ("POST", "/credential_connections", "", credential),
        ("GET", "/credential_connections", "", None),
        ("POST", "/ips", "", {"ip_address": "192.0.2.10"}),
        ("GET", "/ips", "", None),
        ("POST", "/fqdns", "", fqdn),
        ("GET", "/fqdns", "", None),
        ("PATCH", "/fqdn_connections/{id}", trunk["id"], {"active": False}),
        ("GET", "/fqdn_connections", "", None),
        ("DELETE", "/fqdn_connections/{id}", trunk["id"], None),
        ("DELETE", number_name, number, None),
    ]
    found = []
    for method, name, last, body in asked:
        path = name if name.endswith("}") or "{" in name else name + last
        for part in ("{id}", "{phone_number}"):
            path = path.replace(part, last)
        answer = bench.request(method, f"/v2{path}", json=body)
        document = deepcopy(answer.json())
        for each in NULLS:
            drop_nulls(document, each)
        schema = answer_schema(spec, method, name, answer.status_code)
        found += [f"{method} {path} {answer.status_code} {text}" for text in complaints(schema, document)]
    assert found == []


def test_exactly_the_documented_fields_are_known(spec: Any) -> None:
    tables = {
        ("patch", "/phone_numbers/{id}"): numbers.NUMBER_PATCH,
        ("patch", "/phone_numbers/{id}/voice"): numbers.VOICE_PATCH,
        ("post", "/number_orders"): numbers.ORDER,
        ("post", "/verified_numbers"): numbers.VERIFY,
        ("patch", "/call_control_applications/{id}"): applications.APPLICATION,
        ("post", "/outbound_voice_profiles"): applications.PROFILE,
        **{("post", f"/{each.name}"): each.table for each in connections.COLLECTIONS},
    }
    for (method, path), table in tables.items():
        assert set(table) == fields_of(spec, method, path) - NOT_PLAYED, path
