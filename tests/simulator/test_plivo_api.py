"""The rest of the simulated Plivo's REST API, with raw requests and with the vendor's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import plivo
import pytest
import requests
from requests.adapters import HTTPAdapter

from providers.simulator import Busy, Fault, Simulator
from tests.simulator.plivo_customer import OURS, THEIRS, Customer


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Simulator(speed=100, seed=4) as sim:
        account = sim.add_account("plivo", name="Acme")
        sim.add_number(account, OURS)
        with Customer(sim=sim, account=account) as customer:
            yield customer


class Redirected(HTTPAdapter):
    """Sends the SDK's requests to the simulator."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **kwargs)


@pytest.fixture
def sdk(customer: Customer) -> Iterator[plivo.RestClient]:
    secrets = customer.account.secrets
    with plivo.RestClient(secrets["auth_id"], secrets["auth_token"]) as client:
        client.session.mount("https://api.plivo.com", Redirected(customer.sim.base_url("plivo")))
        yield client


def test_the_account_is_shown_to_its_owner(customer: Customer) -> None:
    shown = customer.api("GET", "").json()
    assert (shown["auth_id"], shown["name"], shown["account_type"]) == (
        customer.account.account_ref,
        "Acme",
        "standard",
    )
    assert set(shown) >= {"api_id", "cash_credits", "billing_mode", "timezone"}


def test_wrong_credentials_or_another_account_get_401_with_plivos_error_body(customer: Customer) -> None:
    other = customer.sim.add_account("plivo", name="Other")
    base = f"{customer.sim.base_url('plivo')}/v1/Account/"
    own = (customer.account.secrets["auth_id"], customer.account.secrets["auth_token"])
    for path, auth in (
        (other.account_ref, own),
        (own[0], (own[0], "wrong")),
        (own[0], (other.account_ref, own[1])),
        (own[0], None),
    ):
        answer = requests.get(f"{base}{path}/", auth=auth, timeout=5)
        assert answer.status_code == 401
        assert set(answer.json()) == {"api_id", "error"}


def test_a_missing_slash_or_an_unknown_path_is_not_found(customer: Customer) -> None:
    assert customer.api("POST", "Call", customer.order()).status_code == 404
    assert customer.api("GET", "Nothing/").status_code == 404
    assert customer.api("PUT", "Call/").status_code == 405
    assert not customer.sim.calls("plivo")


def test_a_body_that_is_not_json_is_refused(customer: Customer) -> None:
    url = f"{customer.sim.base_url('plivo')}/v1/Account/{customer.account.account_ref}/Call/"
    auth = (customer.account.secrets["auth_id"], customer.account.secrets["auth_token"])
    for body, kind in (
        ("a=1", "application/x-www-form-urlencoded"),
        ("{", "application/json"),
        ("[]", "application/json"),
    ):
        answer = requests.post(url, data=body, headers={"Content-Type": kind}, auth=auth, timeout=5)
        assert answer.status_code == 400


def test_a_foreign_caller_id_is_refused_until_it_is_verified(customer: Customer) -> None:
    foreign = "+12125550177"
    refused = customer.api("POST", "Call/", customer.order(**{"from": foreign}))
    assert refused.status_code == 400
    assert refused.json()["error"].startswith(f"from parameter is invalid. {foreign} is not associated")
    customer.sim.verify_caller_id(customer.account, foreign)
    assert customer.api("POST", "Call/", customer.order(**{"from": foreign})).status_code == 201


def test_lists_are_paged_by_at_most_twenty(customer: Customer) -> None:
    customer.sim.face("plivo").habits.calls_per_second = 1000  # type: ignore[attr-defined]
    customer.sim.script(THEIRS, Busy())
    for call_uuid in [customer.dial() for _ in range(3)]:
        customer.sim.wait(call_uuid)
    first = customer.api("GET", "Call/", limit=2, call_direction="outbound").json()
    assert [first["meta"][name] for name in ("limit", "offset", "total_count", "previous")] == [2, 0, 3, None]
    follow = first["meta"]["next"].partition("/Call/")[2]
    second = customer.api("GET", f"Call/{follow}").json()
    assert len(second["objects"]) == 1
    assert second["meta"]["next"] is None
    assert customer.api("GET", "Call/", limit=21).status_code == 400
    assert customer.api("GET", "Call/", colour="red").status_code == 400
    assert customer.api("GET", "Call/", end_time__gte="2020-01-01").status_code == 400
    assert customer.api("GET", "Call/", hangup_cause_code=3010).json()["meta"]["total_count"] == 3
    assert customer.api("GET", "Call/", from_number="1212").json()["objects"] == []


def test_a_call_is_readable_only_after_the_delay(customer: Customer) -> None:
    customer.sim.face("plivo").habits.cdr_delay_s = 10_000.0  # type: ignore[attr-defined]
    customer.sim.script(THEIRS, Busy())
    end = customer.call_to_end()
    assert customer.api("GET", f"Call/{end['CallUUID']}/").status_code == 404


def test_a_number_moves_between_applications(customer: Customer) -> None:
    made = customer.api(
        "POST", "Application/", {"app_name": "gw", "answer_url": customer.url("/inbound")}
    ).json()
    app_id = made["app_id"]
    assert made["message"] == "created"
    assert app_id.isdigit()
    shown = customer.api("GET", f"Application/{app_id}/").json()
    assert shown["hangup_url"] == shown["answer_url"]
    assert shown["sip_uri"] == f"sip:{app_id}@app.plivo.com"
    assert customer.api("GET", "Number/14155550100/").json()["application"] is None
    changed = customer.api("POST", "Number/14155550100/", {"app_id": app_id})
    assert (changed.status_code, changed.json()["message"]) == (202, "changed")
    (number,) = customer.api("GET", "Number/").json()["objects"]
    assert number["application"] == f"/v1/Account/{customer.account.account_ref}/Application/{app_id}/"
    assert customer.api("POST", "Number/14155550100/", {"app_id": "1"}).status_code == 400
    customer.api("POST", "Number/14155550100/", {"app_id": ""})
    assert customer.api("GET", "Number/14155550100/").json()["application"] is None
    assert customer.api("GET", "Number/14155550999/").status_code == 404


def test_an_application_is_checked_and_only_what_is_given_changes(customer: Customer) -> None:
    body = {"app_name": "gw", "answer_url": customer.url("/a"), "hangup_url": customer.url("/h")}
    assert customer.api("POST", "Application/", {**body, "app_name": "a b"}).status_code == 400
    assert customer.api("POST", "Application/", {"app_name": "gw"}).status_code == 400
    assert customer.api("POST", "Application/", {**body, "ring_url": customer.url("/r")}).status_code == 400
    app_id = customer.api("POST", "Application/", {**body, "answer_method": "GET"}).json()["app_id"]
    changed = customer.api("POST", f"Application/{app_id}/", {"answer_url": customer.url("/b")})
    assert changed.status_code == 202
    (shown,) = customer.api("GET", "Application/", app_name="g").json()["objects"]
    assert (shown["answer_url"], shown["answer_method"], shown["hangup_url"]) == (
        customer.url("/b"),
        "GET",
        customer.url("/h"),
    )
    assert customer.api("DELETE", f"Application/{app_id}/").status_code == 204
    assert customer.api("GET", f"Application/{app_id}/").status_code == 404


def test_the_vendors_sdk_works_against_it(customer: Customer, sdk: plivo.RestClient) -> None:
    customer.sim.script(THEIRS, Busy())
    made = sdk.calls.create(
        "14155550100", "14155550123", customer.url("/answer"), hangup_url=customer.url("/hangup")
    )
    assert made.message == "call fired"
    customer.sim.wait(made.request_uuid)
    assert sdk.calls.get(made.request_uuid).hangup_cause_code == 3010
    assert len(sdk.calls.list(call_direction="outbound").objects) == 1
    assert sdk.live_calls.list_ids().calls == []
    with pytest.raises(plivo.exceptions.ResourceNotFoundError):
        sdk.calls.delete(made.request_uuid)
    app = sdk.applications.create("gw", answer_url=customer.url("/inbound"))
    sdk.numbers.update("14155550100", app_id=app.app_id)
    assert app.app_id in sdk.numbers.get("14155550100").application
    sdk.applications.update(app.app_id, answer_url=customer.url("/other"))
    assert sdk.applications.get(app.app_id).answer_url == customer.url("/other")
    assert sdk.account.get().cash_credits == "25.00000"
    assert sdk.recordings.list().meta.total_count == 0


def test_the_vendors_sdk_sets_an_account_up(customer: Customer, sdk: plivo.RestClient) -> None:
    customer.sim.add_inventory("plivo", "+14155550190")
    (offer,) = sdk.numbers.search(country_iso="US").objects
    assert sdk.numbers.buy(offer.number).status == "fulfilled"
    begun = sdk.verify_callerids.initiate_verify(phone_number="14155550177")
    code = customer.sim.sent_code(customer.account, "+14155550177")
    known = sdk.verify_callerids.verify_caller_id(begun.verification_uuid, otp=code)
    assert known.phone_number == "14155550177"
    made = sdk.subaccounts.create("Shop", True)
    assert sdk.subaccounts.get(made.auth_id).name == "Shop"
    sdk.numbers.update(offer.number, subaccount=made.auth_id)
    sdk.numbers.delete(offer.number)
    assert sdk.numbers.list().meta.total_count == 1
    sdk.verify_callerids.delete_verified_caller_id("14155550177")
    sdk.subaccounts.delete(made.auth_id, cascade=True)
    assert sdk.subaccounts.list().meta.total_count == 0


def test_faults_answer_in_plivos_own_format(customer: Customer) -> None:
    customer.sim.faults.api("plivo", "dial", Fault.RATE_LIMITED)
    customer.sim.faults.api("plivo", "dial", Fault.STATUS, status=403)
    limited = customer.api("POST", "Call/", customer.order())
    refused = customer.api("POST", "Call/", customer.order())
    assert (limited.status_code, refused.status_code) == (429, 403)
    assert set(limited.json()) == set(refused.json()) == {"api_id", "error"}
    assert refused.json()["error"].startswith("call could not be placed")
    assert not customer.sim.calls("plivo")
    assert len(customer.sim.dials("plivo")) == 2


def test_a_second_token_signs_and_signs_in_while_it_is_rotated_in(customer: Customer) -> None:
    customer.account.secrets["auth_token_secondary"] = "next-token"
    auth = (customer.account.account_ref, "next-token")
    url = f"{customer.sim.base_url('plivo')}/v1/Account/{customer.account.account_ref}/"
    assert requests.get(url, auth=auth, timeout=5).status_code == 200
    customer.sim.script(THEIRS, Busy())
    customer.call_to_end()
    assert customer.hooks[-1].headers["X-Plivo-Signature-V3"].count(",") == 1
    assert customer.hooks[-1].is_signed


def test_no_secret_reaches_the_journal(customer: Customer) -> None:
    customer.sim.script(THEIRS, Busy())
    customer.call_to_end()
    customer.api("GET", "")
    assert customer.account.secrets["auth_token"] not in str(customer.sim.journal.as_json())
    assert customer.account.secrets["auth_token"] not in repr(customer.account)
