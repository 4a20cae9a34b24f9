"""What a Plivo account holds: numbers, applications, subaccounts, verified caller IDs, carriers and trunks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from providers.simulator import Busy, Caller, Fault, Simulator
from providers.simulator.carriers.base import UnknownNumber
from tests.simulator.plivo_customer import OURS, THEIRS, Customer

FOREIGN = "+14155550177"
ANSWER = "https://voice.example.test/answer"
GOOD_PASSWORD = "Correct-Horse-7"


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Simulator(speed=50, seed=11) as sim:
        account = sim.add_account("plivo", name="Acme")
        sim.add_number(account, OURS)
        with Customer(sim, account) as made:
            yield made


@pytest.fixture
def sub(customer: Customer) -> Iterator[Customer]:
    """A subaccount with its own endpoint, and its own number."""
    account = customer.sim.add_sub_account(customer.account, "Branch")
    customer.sim.add_number(account, FOREIGN)
    with Customer(customer.sim, account) as made:
        yield made


def body(answer: requests.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def refusal(customer: Customer, path: str, fields: dict[str, Any]) -> str:
    """The text of a 400."""
    return str(body(customer.api("POST", path, fields), 400)["error"])


def application(customer: Customer, name: str = "gateway", **fields: Any) -> str:
    made = customer.api(
        "POST", "Application/", {"app_name": name, "answer_url": customer.url("/a"), **fields}
    )
    return str(body(made, 201)["app_id"])


def link(customer: Customer, app_id: str, number: str = OURS) -> None:
    answer = customer.api("POST", f"Number/{number[1:]}/", {"app_id": app_id})
    assert body(answer, 202)["message"] == "changed"


# --- the account


def test_the_account_shows_money_and_whether_it_is_on_trial(customer: Customer) -> None:
    customer.sim.change_account(customer.account, kind="trial", balance="3.5")
    shown = body(customer.api("GET", ""))
    assert (shown["account_type"], shown["cash_credits"], shown["name"]) == ("developer", "3.50000", "Acme")
    assert body(customer.api("POST", "", {"city": "Austin"}), 202)["message"] == "changed"
    assert body(customer.api("GET", ""))["city"] == "Austin"


def test_a_trial_a_suspended_and_a_closed_account_are_refused_what_they_may_not(customer: Customer) -> None:
    sim, account = customer.sim, customer.account
    sim.change_account(account, kind="trial")
    assert customer.api("POST", "Call/", customer.order()).status_code == 403
    sim.verify_caller_id(account, THEIRS)
    assert customer.api("POST", "Call/", customer.order()).status_code == 201
    sim.change_account(account, kind="full", status="suspended")
    assert customer.api("POST", "Call/", customer.order()).status_code == 403
    assert customer.api("GET", "Number/").status_code == 200
    sim.change_account(account, status="closed")
    assert customer.api("GET", "").status_code == 401
    for wrong in ({"status": "gone"}, {"balance": None}, {"colour": "red"}):
        with pytest.raises(ValueError, match=r"status|balance|colour"):
            sim.change_account(account, **wrong)


def test_a_country_without_geo_permission_is_not_called(customer: Customer) -> None:
    customer.sim.permit(customer.account, "GB", False)
    assert customer.api("POST", "Call/", customer.order(to="+442071838750")).status_code == 403
    customer.sim.permit(customer.account, "GB", True)
    assert customer.api("POST", "Call/", customer.order(to="+442071838750")).status_code == 201


# --- numbers


def test_ten_thousand_numbers_are_listed_quickly_each_once(customer: Customer) -> None:
    held = {OURS[1:], *(number[1:] for number in customer.sim.add_numbers(customer.account, 10_000, "+1628"))}
    secrets = customer.account.secrets
    listed: list[str] = []
    began = time.process_time()
    with requests.Session() as http:
        http.auth = (secrets["auth_id"], secrets["auth_token"])
        path: str | None = f"/v1/Account/{secrets['auth_id']}/Number/?limit=20"
        while path is not None:
            page = http.get(customer.sim.base_url("plivo") + path, timeout=10).json()
            listed += [number["number"] for number in page["objects"]]
            path = page["meta"]["next"]
    assert time.process_time() - began < 20
    assert page["meta"]["total_count"] == len(listed) == len(held)
    assert set(listed) == held


def test_filters_of_the_number_list(customer: Customer) -> None:
    customer.sim.add_number(customer.account, "+442071838750", kind="mobile", settings={"alias": "desk"})
    customer.sim.add_number(customer.account, "+18005550100", kind="toll_free", voice=False)

    def found(**query: Any) -> list[str]:
        return [each["number"] for each in body(customer.api("GET", "Number/", **query))["objects"]]

    assert found(services="voice") == [OURS[1:], "442071838750"]
    assert found(type="tollfree") == ["18005550100"]
    assert found(type="mobile") == found(alias="desk") == found(number_startswith="44") == ["442071838750"]
    for wrong in (
        {"limit": 21},
        {"type": "cell"},
        {"services": "fax"},
        {"number_startswith": "+1"},
        {"x": 1},
    ):
        assert customer.api("GET", "Number/", **wrong).status_code == 400, wrong


def test_an_inbound_call_follows_its_number_from_one_application_to_another(customer: Customer) -> None:
    first = application(customer, "first", answer_url=customer.url("/first"))
    second = application(
        customer,
        "second",
        answer_url=customer.url("/second"),
        fallback_answer_url=customer.url("/fallback"),
        hangup_url=customer.url("/over"),
    )
    customer.answers["/second"] = 500
    link(customer, first)
    customer.sim.wait(customer.sim.ring(OURS, THEIRS, Caller(talk_s=1)))
    assert [hook.path for hook in customer.hooks] == ["/first", "/first"]  # without hangup_url: the answer's
    customer.hooks.clear()
    link(customer, second)
    customer.sim.wait(customer.sim.ring(OURS, THEIRS, Caller(talk_s=1)))
    assert {hook.path for hook in customer.hooks} == {"/second", "/fallback", "/over"}
    assert all(hook.is_signed for hook in customer.hooks)


@pytest.mark.parametrize(
    "broken", ["unlinked", "deleted", "switched off", "no voice", "a trunk", "suspended"]
)
def test_a_number_that_reaches_no_application_asks_nobody(customer: Customer, broken: str) -> None:
    sim, account = customer.sim, customer.account
    app_id = application(customer)
    link(customer, app_id)
    match broken:
        case "unlinked":
            link(customer, "")
            assert body(customer.api("GET", f"Number/{OURS[1:]}/"))["application"] is None
        case "deleted":
            assert customer.api("DELETE", f"Application/{app_id}/").status_code == 204
            assert sim.number_settings(account, OURS)["application"] is None
        case "switched off":
            sim.change_application(account, app_id, enabled=False)
        case "no voice":
            sim.change_number(account, OURS, voice_enabled=False)
        case "a trunk":
            link(customer, trunk(customer))
            assert "/Zentrunk/Trunk/" in sim.number_settings(account, OURS)["application"]
        case "suspended":
            sim.change_account(account, status="suspended")
    call = sim.ring(OURS, THEIRS)
    sim.wait(call)
    assert call.truth == "failed"
    assert customer.hooks == []


def test_a_released_number_is_gone(customer: Customer) -> None:
    assert customer.api("DELETE", f"Number/{OURS[1:]}/").status_code == 204
    assert customer.api("DELETE", f"Number/{OURS[1:]}/").status_code == 404
    with pytest.raises(UnknownNumber):
        customer.sim.ring(OURS, THEIRS)


def test_an_indian_number_calls_only_with_an_accepted_compliance_application(customer: Customer) -> None:
    customer.sim.change_number(customer.account, OURS, compliance_status="pending")
    assert "compliance application is not in 'accepted' status" in refusal(
        customer, "Call/", customer.order()
    )
    customer.sim.change_number(customer.account, OURS, compliance_status="accepted")
    assert customer.api("POST", "Call/", customer.order()).status_code == 201


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"app_id": "123"}, "app_id parameter is invalid"),
        ({"subaccount": "SAXXXXXXXXXXXXXXXXXX"}, "subaccount parameter is invalid"),
        ({"voice_url": ANSWER}, "voice_url parameter is unknown"),
        ({"cnam_lookup": "yes"}, "cnam_lookup parameter is invalid: must be one of enabled, disabled"),
    ],
)
def test_a_wrong_update_of_a_number_changes_nothing(
    customer: Customer, fields: dict[str, str], text: str
) -> None:
    before = customer.sim.number_settings(customer.account, OURS)
    assert refusal(customer, f"Number/{OURS[1:]}/", {**fields, "alias": "x"}) == text
    assert customer.sim.number_settings(customer.account, OURS) == before


# --- behind the customer's back


def test_a_test_changes_numbers_and_applications_without_the_api(customer: Customer) -> None:
    sim, account = customer.sim, customer.account
    app_id = application(customer)
    sim.change_number(account, OURS, app_id=app_id, alias="moved")
    sim.change_application(account, app_id, answer_url=ANSWER)
    (shown,) = sim.applications(account)
    read = body(customer.api("GET", f"Application/{app_id}/"))
    assert shown == {name: value for name, value in read.items() if name != "api_id"}
    assert shown["answer_url"] == shown["hangup_url"] == ANSWER
    assert sim.number_settings(account, OURS)["application"].endswith(f"/Application/{app_id}/")
    assert [entry.data["operation"] for entry in sim.writes("plivo")] == ["application_write"]
    sim.remove_application(account, app_id)
    assert sim.applications(account) == []
    with pytest.raises(KeyError):
        sim.change_application(account, app_id, answer_url=ANSWER)
    with pytest.raises(ValueError, match="voice_url"):
        sim.change_number(account, OURS, voice_url=ANSWER)
    sim.remove_number(account, OURS)
    with pytest.raises(UnknownNumber):
        sim.number_settings(account, OURS)


def test_a_write_can_be_refused_or_done_and_its_answer_lost(customer: Customer) -> None:
    faults, path = customer.sim.faults, f"Number/{OURS[1:]}/"
    faults.api("plivo", "number_write", Fault.STATUS, status=403)
    faults.api("plivo", "number_write", Fault.SERVER_ERROR_AFTER)
    assert (
        body(customer.api("POST", path, {"alias": "a"}), 403)["error"] == "you are not permitted to do this"
    )
    assert customer.sim.number_settings(customer.account, OURS)["alias"] == ""
    assert customer.api("POST", path, {"alias": "b"}).status_code == 503
    assert customer.sim.number_settings(customer.account, OURS)["alias"] == "b"


# --- applications


def test_applications_are_found_by_the_beginning_of_their_name(customer: Customer) -> None:
    for name in ("gateway-1", "gateway-2", "my-gateway"):
        application(customer, name)
    rows = body(customer.api("GET", "Application/", app_name="gateway"))["objects"]
    assert [row["app_name"] for row in rows] == ["gateway-1", "gateway-2"]
    assert rows[0]["sip_uri"] == f"sip:{rows[0]['app_id']}@app.plivo.com"
    assert customer.api("GET", "Application/", name="gateway").status_code == 400


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"answer_url": ANSWER}, "app_name parameter is missing"),
        ({"app_name": "gateway"}, "answer_url parameter is missing"),
        ({"app_name": "my app", "answer_url": ANSWER}, "app_name parameter is invalid: may hold letters"),
        ({"app_name": "x", "answer_url": "voice"}, "answer_url parameter is invalid"),
        ({"app_name": "x", "answer_url": ANSWER, "ring_url": ANSWER}, "ring_url parameter is unknown"),
        (
            {"app_name": "x", "answer_url": ANSWER, "answer_method": "PUT"},
            "answer_method parameter is invalid",
        ),
        (
            {"app_name": "x", "answer_url": ANSWER, "credential_uuid": "1"},
            "credential_uuid parameter is invalid",
        ),
        ({"app_name": "x", "answer_url": ANSWER, "subaccount": "SA1"}, "subaccount parameter is invalid"),
    ],
)
def test_a_wrong_application_is_refused(customer: Customer, fields: dict[str, str], text: str) -> None:
    assert refusal(customer, "Application/", fields).startswith(text)
    assert customer.sim.applications(customer.account) == []


def test_the_name_of_an_application_cannot_be_changed(customer: Customer) -> None:
    app_id = application(customer)
    assert (
        refusal(customer, f"Application/{app_id}/", {"app_name": "other"}) == "app_name parameter is unknown"
    )


# --- subaccounts


def test_a_subaccount_sees_its_own_numbers_and_applications_only(customer: Customer, sub: Customer) -> None:
    mine, theirs = application(sub, "branch"), application(customer, "main")
    assert [row["number"] for row in body(sub.api("GET", "Number/"))["objects"]] == [FOREIGN[1:]]
    assert body(customer.api("GET", "Number/"))["meta"]["total_count"] == 2
    assert [row["app_id"] for row in body(sub.api("GET", "Application/"))["objects"]] == [mine]
    assert sub.api("GET", f"Application/{theirs}/").status_code == 404
    assert sub.api("GET", f"Number/{OURS[1:]}/").status_code == 404
    assert refusal(sub, f"Number/{FOREIGN[1:]}/", {"app_id": theirs}) == "app_id parameter is invalid"
    ref = sub.account.account_ref
    filtered = body(customer.api("GET", "Number/", subaccount=ref))["objects"]
    assert [row["sub_account"] for row in filtered] == [ref]


def test_calls_of_a_subaccounts_number_are_signed_with_its_token(customer: Customer, sub: Customer) -> None:
    link(sub, application(sub, "branch"), FOREIGN)
    sub.sim.wait(sub.sim.ring(FOREIGN, THEIRS, Caller(talk_s=1)))
    sub.sim.script(THEIRS, Busy())
    end = sub.call_to_end(**{"from": FOREIGN})
    assert all(hook.is_signed for hook in sub.hooks)
    assert end["ParentAuthID"] == customer.account.account_ref
    calls = body(customer.api("GET", "Call/"))["meta"]["total_count"]
    assert calls == body(sub.api("GET", "Call/"))["meta"]["total_count"] == 2
    assert body(customer.api("GET", "Call/", subaccount=sub.account.account_ref))["meta"]["total_count"] == 2


def test_the_parent_makes_lists_disables_and_deletes_subaccounts(customer: Customer, sub: Customer) -> None:
    made = body(customer.api("POST", "Subaccount/", {"name": "Shop", "enabled": True}), 201)
    assert made["auth_id"].startswith("SA")
    assert len(made["auth_id"]) == 20
    url = f"{customer.sim.base_url('plivo')}/v1/Account/{made['auth_id']}/"
    auth = (made["auth_id"], made["auth_token"])
    assert requests.get(url, auth=auth, timeout=5).json()["name"] == "Shop"
    path = f"Subaccount/{made['auth_id']}/"
    assert body(customer.api("GET", path))["auth_token"] == made["auth_token"]
    customer.api("POST", path, {"name": "Shop", "enabled": False})
    assert requests.get(url, auth=auth, timeout=5).status_code == 401
    assert customer.api("DELETE", path, cascade="true").status_code == 204
    listed = body(customer.api("GET", "Subaccount/"))["objects"]
    assert [row["auth_id"] for row in listed] == [sub.account.account_ref]
    assert sub.api("GET", "Subaccount/").status_code == 403
    assert made["auth_token"] not in str(customer.sim.journal.as_json())


def test_whether_a_subaccount_reads_its_account_is_a_switch(sub: Customer) -> None:
    assert body(sub.api("GET", ""))["auth_id"] == sub.account.account_ref
    sub.sim.face("plivo").habits.subaccount_reads_itself = False  # type: ignore[attr-defined]
    assert sub.api("GET", "").status_code == 401


# --- search and buy


def test_the_inventory_is_searched_by_every_filter(customer: Customer) -> None:
    sim = customer.sim
    sim.add_inventory("plivo", "+14155550190", locality="San Francisco", region="California", monthly="1.1")
    sim.add_inventory("plivo", "+12125550191", locality="New York", sms=False)
    sim.add_inventory(customer.account, "+18005550192", kind="toll_free")
    sim.add_inventory(sim.add_account("plivo", name="Other"), "+14155550193")

    def found(**query: Any) -> list[str]:
        rows = body(customer.api("GET", "PhoneNumber/", country_iso="US", **query))["objects"]
        return [row["number"] for row in rows]

    assert found() == ["14155550190", "12125550191", "18005550192"]
    assert found(pattern="415") == found(pattern="4*5") == found(npanxx="415555") == ["14155550190"]
    assert found(type="tollfree") == ["18005550192"]
    assert found(services="voice,sms", type="local") == ["14155550190"]
    assert found(city="NEW YORK") == ["12125550191"]
    assert found(region="California") == ["14155550190"]
    first = body(customer.api("GET", "PhoneNumber/", country_iso="US", limit=1))["objects"][0]
    assert (first["monthly_rental_rate"], first["setup_rate"]) == ("1.10000", "0.00000")
    for wrong in (
        {},
        {"country_iso": "us"},
        {"country_iso": "US", "pattern": "x"},
        {"country_iso": "US", "q": 1},
    ):
        assert customer.api("GET", "PhoneNumber/", **wrong).status_code == 400, wrong


def test_a_bought_number_is_the_accounts_and_takes_calls(customer: Customer) -> None:
    customer.sim.add_inventory("plivo", "+14155550190")
    app_id = application(customer)
    bought = body(customer.api("POST", "PhoneNumber/14155550190/", {"app_id": app_id}), 201)
    assert bought["numbers"] == [{"number": "14155550190", "status": "Success"}]
    assert (bought["message"], bought["status"]) == ("created", "fulfilled")
    assert customer.api("POST", "PhoneNumber/14155550190/", {}).status_code == 404
    customer.sim.wait(customer.sim.ring("+14155550190", THEIRS, Caller(talk_s=1)))
    assert customer.hooks[0].params["To"] == "14155550190"


def test_a_purchase_can_stay_pending_for_a_while(customer: Customer) -> None:
    customer.sim.face("plivo").habits.rental_takes_s = 5.0  # type: ignore[attr-defined]
    customer.sim.add_inventory("plivo", "+14155550190")
    bought = body(customer.api("POST", "PhoneNumber/14155550190/", {}), 201)
    assert (bought["status"], bought["numbers"][0]["status"]) == ("pending", "pending")
    customer.sim.wait(lambda: customer.api("GET", "Number/14155550190/").status_code == 200)


def test_a_number_that_needs_an_address_is_not_sold_without(customer: Customer) -> None:
    customer.sim.add_inventory("plivo", "+442071838750", country="GB", needs_address=True)
    needed = "compliance_application_id is required to rent this number."
    assert refusal(customer, "PhoneNumber/442071838750/", {}) == needed
    answer = customer.api("POST", "PhoneNumber/442071838750/", {"compliance_application_id": "c-1"})
    assert answer.status_code == 201


# --- verified caller ids


def test_a_foreign_number_is_verified_by_the_code_its_phone_got(customer: Customer) -> None:
    assert customer.api("POST", "Call/", customer.order(**{"from": FOREIGN})).status_code == 400
    begun = body(customer.api("POST", "VerifiedCallerId/", {"phone_number": FOREIGN, "channel": "call"}), 201)
    path = f"VerifiedCallerId/Verification/{begun['verification_uuid']}/"
    code = customer.sim.sent_code(customer.account, FOREIGN)
    assert refusal(customer, path, {"otp": "x"}) == "otp parameter is invalid"
    assert customer.api("GET", f"VerifiedCallerId/{FOREIGN[1:]}/").status_code == 404
    assert body(customer.api("POST", path, {"otp": code}), 201)["phone_number"] == FOREIGN[1:]
    assert customer.api("POST", "Call/", customer.order(**{"from": FOREIGN})).status_code == 201
    renamed = customer.api("POST", f"VerifiedCallerId/{FOREIGN[1:]}/", {"alias": "desk"})
    assert body(renamed, 202)["alias"] == "desk"
    assert body(customer.api("GET", "VerifiedCallerId/", alias="desk"))["meta"]["total_count"] == 1
    assert customer.api("DELETE", f"VerifiedCallerId/{FOREIGN[1:]}/").status_code == 204
    assert customer.api("POST", "Call/", customer.order(**{"from": FOREIGN})).status_code == 400


def test_a_code_is_good_for_fifteen_minutes_and_three_tries(customer: Customer) -> None:
    def begin() -> tuple[str, str]:
        begun = body(customer.api("POST", "VerifiedCallerId/", {"phone_number": FOREIGN}), 201)
        path = f"VerifiedCallerId/Verification/{begun['verification_uuid']}/"
        return path, customer.sim.sent_code(customer.account, FOREIGN)

    path, code = begin()
    for _ in range(3):
        assert refusal(customer, path, {"otp": "x"}) == "otp parameter is invalid"
    assert refusal(customer, path, {"otp": code}) == "otp has expired"
    path, code = begin()
    face: Any = customer.sim.face("plivo")
    (*_, begun) = face.accounts[customer.account.account_ref].verifications.values()
    begun.begun_mark -= 15 * 60 + 1
    assert refusal(customer, path, {"otp": code}) == "otp has expired"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "phone_number parameter is missing"),
        ({"phone_number": "desk"}, "phone_number parameter is invalid"),
        ({"phone_number": "+919876543210"}, "phone_number parameter is invalid: not available for India"),
        (
            {"phone_number": FOREIGN, "channel": "fax"},
            "channel parameter is invalid: must be one of sms, call",
        ),
        ({"phone_number": FOREIGN, "subaccount": "SA1"}, "subaccount parameter is invalid"),
    ],
)
def test_a_wrong_verification_is_refused(customer: Customer, fields: dict[str, str], text: str) -> None:
    assert refusal(customer, "VerifiedCallerId/", fields) == text


# --- numbers and links of other carriers


def trunk(customer: Customer) -> str:
    uri = body(customer.api("POST", "Zentrunk/URI/", {"name": "PBX", "uri": "sbc.acme.example:5060"}), 201)
    fields = {"name": "PBX", "trunk_direction": "inbound", "primary_uri_uuid": uri["uri_uuid"]}
    return str(body(customer.api("POST", "Zentrunk/Trunk/", fields), 201)["trunk_id"])


def test_numbers_of_another_carrier_are_brought_and_ring_the_application(customer: Customer) -> None:
    carrier = body(
        customer.api("POST", "IncomingCarrier/", {"name": "Acme SIP", "ip_set": "192.0.2.10,192.0.2.11"}), 201
    )
    fields = {
        "numbers": "14155550150,14155550151",
        "carrier": carrier["carrier_id"],
        "region": "United States",
        "app_id": application(customer),
    }
    assert body(customer.api("POST", "Number/", fields), 202)["message"] == "changed"
    assert body(customer.api("GET", "Number/14155550151/"))["carrier"] == "Acme SIP"
    customer.sim.wait(customer.sim.ring("+14155550151", THEIRS, Caller(talk_s=1)))
    assert customer.hooks[0].params["To"] == "14155550151"
    assert "already in use" in refusal(customer, "Number/", fields)
    path = f"IncomingCarrier/{carrier['carrier_id']}/"
    assert customer.api("POST", path, {"ip_set": "192.0.2.12"}).status_code == 202
    assert body(customer.api("GET", path))["ip_set"] == "192.0.2.12"
    assert customer.api("DELETE", path).status_code == 204
    assert customer.api("GET", "Number/14155550151/").status_code == 404
    assert refusal(customer, "Number/", {**fields, "numbers": "1415x"}).startswith(
        "numbers parameter is invalid"
    )
    assert refusal(customer, "Number/", fields) == "carrier parameter is invalid"


def test_a_sip_call_reaches_the_application_of_its_address(customer: Customer) -> None:
    address = f"sip:{application(customer)}@app.plivo.com"
    customer.sim.wait(customer.sim.ring(address, THEIRS, Caller(talk_s=1)))
    assert customer.hooks[0].params["To"] == address
    with pytest.raises(UnknownNumber):
        customer.sim.ring("sip:123@app.plivo.com", THEIRS)


def test_sip_credentials_guard_an_application_and_are_never_shown(customer: Customer) -> None:
    fields = {"username": "acme", "password": GOOD_PASSWORD}
    made = body(customer.api("POST", "SipAuth/Credential/", fields), 201)
    shown = body(customer.api("GET", f"SipAuth/Credential/{made['credential_uuid']}/"))
    assert shown["realm"] == "app.plivo.com"
    assert "password" not in shown
    assert customer.api("POST", "SipAuth/Credential/", fields).status_code == 409
    app_id = application(customer, sip_auth_type="credential", credential_uuid=made["credential_uuid"])
    assert body(customer.api("GET", f"Application/{app_id}/"))["credential_uuid"] == made["credential_uuid"]
    for wrong in ("short", "no-digits-Here", "no-capitals-77"):
        assert "password" in refusal(customer, "SipAuth/Credential/", {"username": "b77", "password": wrong})
    assert GOOD_PASSWORD not in str(customer.sim.journal.as_json())


def test_a_trunk_needs_what_its_direction_says(customer: Customer) -> None:
    trunk_id = trunk(customer)
    shown = body(customer.api("GET", f"Zentrunk/Trunk/{trunk_id}/"))
    assert (shown["trunk_domain"], shown["trunk_status"]) == (f"{trunk_id}.zt.plivo.com", "enabled")
    fields = {"name": "Out", "trunk_direction": "outbound"}
    assert refusal(customer, "Zentrunk/Trunk/", fields) == "ipacl_uuid parameter is missing"
    acl = {"name": "SBC", "ip_addresses": ["192.0.2.10", "198.51.100.0/24"]}
    made = body(customer.api("POST", "Zentrunk/IPAccessControlList/", acl), 201)
    fields["ipacl_uuid"] = made["ipacl_uuid"]
    assert (
        body(customer.api("POST", "Zentrunk/Trunk/", fields), 201)["message"] == "Trunk created successfully."
    )
    named = body(customer.api("GET", "Zentrunk/Trunk/", name="Out"))["objects"]
    assert [each["trunk_direction"] for each in named] == ["outbound"]
    link(customer, trunk_id)
    assert customer.api("DELETE", f"Zentrunk/Trunk/{trunk_id}/").status_code == 204
    assert customer.sim.number_settings(customer.account, OURS)["application"] is None
    assert refusal(customer, "Zentrunk/IPAccessControlList/", {"name": "x", "ip_addresses": ["x"]})
