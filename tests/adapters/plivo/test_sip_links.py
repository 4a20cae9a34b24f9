from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from gateway.byoc import SipRequest
from gateway.errors import UnsupportedFeature, ValidationError
from gateway.interface import Hook
from tests.adapters.kit import SETUP_URLS
from tests.adapters.plivo.support import inbound, provider, reply, webhook
from tests.adapters.plivo.test_numbers import APP, APPLICATION, CHANGED, GONE, OURS, app_uri, listed, page

LOGIN: Final = "5d1f0a30-1111-4222-8333-944455566677"
CARRIER: Final = "90210000000000000"
BY_LOGIN: Final = SipRequest(
    name="acme-sip",
    urls=SETUP_URLS,
    username="acmegw",
    password="Correct4horse",
    application_ref=APP,
)
BY_ADDRESS: Final = SipRequest(
    name="acme-sip",
    urls=SETUP_URLS,
    numbers=(OURS, "+442071838750"),
    carrier_ips=("203.0.113.10", "203.0.113.11"),
    application_ref=APP,
)
LOCKED: Final = APPLICATION | {"sip_auth_type": "credential", "credential_uuid": LOGIN}
HELD: Final = {"carrier_id": CARRIER, "name": "acme-sip", "ip_set": "203.0.113.11,203.0.113.10"}


def test_a_login_is_made_and_the_application_asks_for_it() -> None:
    made = reply(201, {"api_id": "x", "credential_uuid": LOGIN, "message": "created"})
    plivo, transport = provider(page(), made, reply(200, APPLICATION), CHANGED, reply(200, LOCKED))
    trunk = plivo.ensure_sip(BY_LOGIN)
    assert transport.lines == [
        "GET /SipAuth/Credential/",
        "POST /SipAuth/Credential/",
        f"GET /Application/{APP}/",
        f"POST /Application/{APP}/",
        f"GET /Application/{APP}/",
    ]
    assert transport.json(1) == {"username": "acmegw", "password": "Correct4horse"}
    assert transport.json(3) == {"sip_auth_type": "credential", "credential_uuid": LOGIN}
    assert (trunk.refs, trunk.trunk_ref) == ({"sip_login": LOGIN, "made_login": LOGIN}, None)
    assert trunk.instructions[0] == ("Send calls to", f"sip:{APP}@app.plivo.com")
    assert "Correct4horse" not in str(trunk.instructions)


def test_a_login_that_stands_gets_its_password_again_and_nothing_else() -> None:
    known = {"credential_uuid": LOGIN, "username": "acmegw"}
    plivo, transport = provider(page(known), CHANGED, reply(200, LOCKED), reply(200, LOCKED))
    plivo.ensure_sip(BY_LOGIN)
    assert [line for line in transport.lines if line.startswith("POST")] == [
        f"POST /SipAuth/Credential/{LOGIN}/"
    ]
    assert transport.json(1) == {"password": "Correct4horse"}


def test_known_addresses_make_an_incoming_carrier_with_the_numbers_that_are_missing() -> None:
    made = reply(201, {"api_id": "x", "carrier_id": CARRIER, "message": "created"})
    plivo, transport = provider(page(), made, GONE, GONE, CHANGED, CHANGED, reply(200, APPLICATION))
    trunk = plivo.ensure_sip(BY_ADDRESS)
    assert transport.json(1) == {"name": "acme-sip", "ip_set": "203.0.113.10,203.0.113.11"}
    common = {"carrier": CARRIER, "app_id": APP}
    assert [transport.json(index) for index in (4, 5)] == [
        {**common, "numbers": "14155550100", "region": "US"},
        {**common, "numbers": "442071838750", "region": "GB"},
    ]
    assert trunk.refs == {"incoming_carrier": CARRIER}
    assert trunk.instructions[0] == (f"Route {OURS} to", "sip:14155550100@sbc.plivo.com")


def test_a_carrier_that_stands_is_neither_doubled_nor_written_again() -> None:
    answers = (page(HELD), listed(app_uri()), listed(app_uri()), reply(200, APPLICATION))
    plivo, transport = provider(*answers)
    plivo.ensure_sip(BY_ADDRESS)
    assert {request.method for request in transport.requests} == {"GET"}


def test_a_carrier_with_other_addresses_is_mended() -> None:
    answers = (
        page(HELD | {"ip_set": "192.0.2.1"}),
        CHANGED,
        listed(None),
        listed(None),
        reply(200, APPLICATION),
    )
    plivo, transport = provider(*answers)
    plivo.ensure_sip(BY_ADDRESS)
    assert transport.lines[1] == f"POST /IncomingCarrier/{CARRIER}/"


def test_a_link_that_stands_has_no_differences() -> None:
    known = {"credential_uuid": LOGIN, "username": "acmegw"}
    assert provider(reply(200, LOCKED), page(known))[0].check_sip(BY_LOGIN) == ()
    assert provider(page(HELD), listed(None), listed(None))[0].check_sip(BY_ADDRESS) == ()


def test_a_check_names_what_was_changed_behind_our_back() -> None:
    found = provider(reply(200, APPLICATION), page())[0].check_sip(BY_LOGIN)
    assert [(each.setting, each.wanted, each.found) for each in found] == [
        ("SIP login", "acmegw", ""),
        ("sip_auth_type", "credential", ""),
    ]
    found = provider(page(HELD | {"ip_set": "192.0.2.1"}), listed(None), GONE)[0].check_sip(BY_ADDRESS)
    assert [(each.setting, each.wanted, each.found) for each in found] == [
        ("ip_set", "203.0.113.10,203.0.113.11", "192.0.2.1"),
        ("numbers", "2", "1"),
    ]
    (gone,) = provider(page())[0].check_sip(BY_ADDRESS)
    assert (gone.setting, gone.found) == ("incoming carrier", "")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"carrier_host": "sbc.carrier.example"}, UnsupportedFeature, "inbound only"),
        ({"carrier_ips": ()}, ValidationError, "carrier_ips"),
        ({"numbers": ()}, ValidationError, "numbers"),
        ({"application_ref": None}, ValidationError, "application"),
        ({"application_ref": "../x"}, ValidationError, "application"),
    ],
)
def test_a_link_that_cannot_be_is_refused_before_anything_is_sent(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    plivo, transport = provider()
    with pytest.raises(error, match=words):
        plivo.ensure_sip(replace(BY_ADDRESS, **changes))
    assert transport.requests == []


@pytest.mark.parametrize("host", ["app.plivo.com", "sbc.plivo.com"])
def test_a_call_that_another_carrier_hands_over_is_for_the_number_in_its_address(host: str) -> None:
    handed = inbound(Event="StartApp", To=f"sip:14155550100@{host}", From="sip:+12125550123@192.0.2.1")
    (event,) = provider()[0].read_webhook(Hook.ANSWER, webhook(handed))
    assert (event.to, event.from_number) == (OURS, "+12125550123")


def test_an_address_that_names_no_number_stays_as_it_is() -> None:
    for address in (f"sip:{APP}@app.plivo.com", "sip:14155550100@phone.plivo.com"):
        (event,) = provider()[0].read_webhook(Hook.ANSWER, webhook(inbound(Event="StartApp", To=address)))
        assert event.to == address
