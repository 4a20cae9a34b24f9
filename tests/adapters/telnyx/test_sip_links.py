from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.byoc import SipRequest
from gateway.errors import UnsupportedFeature, ValidationError
from gateway.interface import DialQuery
from tests.adapters.kit import SETUP_URLS
from tests.adapters.telnyx.support import (
    CONNECTION,
    OURS,
    THEIRS,
    check_request,
    dial_request,
    ok,
    provider,
    read,
    reply,
)
from tests.adapters.telnyx.test_numbers import APPLICATION

LINK: Final = SipRequest(
    name="Acme-7f3k",
    urls=SETUP_URLS,
    numbers=(OURS,),
    carrier_host="sbc.carrier.example:5070",
    application_ref=CONNECTION,
)
OPEN: Final[dict[str, Any]] = {
    **APPLICATION,
    "inbound": {
        "shaken_stir_enabled": True,
        "sip_subdomain": "acme-7f3k",
        "sip_subdomain_receive_settings": "from_anyone",
    },
}

VERIFIED: Final = reply(
    {"data": [{"phone_number": OURS, "verified_at": "2026-11-02T10:00:00Z"}], "meta": {"total_pages": 1}}
)


def test_a_link_opens_a_sub_domain_on_the_application_and_sends_everything_else_as_it_was() -> None:
    telnyx, script = provider(ok(APPLICATION), ok(OPEN), ok(OPEN))
    trunk = telnyx.ensure_sip(LINK)
    body = script.bodies[1]
    assert body["inbound"] == OPEN["inbound"]
    assert body["outbound"] == APPLICATION["outbound"]
    assert (body["application_name"], body["webhook_event_url"]) == (
        "gw-k3y",
        APPLICATION["webhook_event_url"],
    )
    assert (trunk.refs, trunk.trunk_ref) == ({"sip_subdomain": "acme-7f3k"}, "sbc.carrier.example:5070")
    assert trunk.instructions[0] == (f"Route {OURS} to", f"sip:{OURS}@acme-7f3k.sip.telnyx.com")
    for request in script.sent:
        check_request(request)


def test_a_link_that_stands_is_not_written_again() -> None:
    telnyx, script = provider(ok(OPEN))
    telnyx.ensure_sip(LINK)
    assert [request.method for request in script.sent] == ["GET"]


def test_a_sub_domain_that_the_application_has_is_taken() -> None:
    named = {**OPEN, "inbound": {**OPEN["inbound"], "sip_subdomain": "older"}}
    assert provider(ok(named))[0].ensure_sip(LINK).refs == {"sip_subdomain": "older"}


def test_a_check_names_what_was_changed_behind_our_back() -> None:
    closed = {**OPEN, "inbound": {"sip_subdomain_receive_settings": "only_my_connections"}}
    found = provider(ok(closed), VERIFIED)[0].check_sip(LINK)
    assert [(each.setting, each.wanted, each.found) for each in found] == [
        ("sip_subdomain", "acme-7f3k", ""),
        ("sip_subdomain_receive_settings", "from_anyone", "only_my_connections"),
    ]
    assert provider(ok(OPEN), VERIFIED)[0].check_sip(LINK) == ()


def test_a_number_of_a_link_must_be_verified_to_be_shown_on_calls_out() -> None:
    none = reply({"data": [], "meta": {"total_pages": 1}})
    [unverified] = provider(ok(OPEN), none)[0].check_sip(LINK)
    assert (unverified.setting, unverified.is_repairable) == (f"verified caller ID …{OURS[-4:]}", False)
    assert "D51" in unverified.advice
    assert provider(ok(OPEN))[0].check_sip(replace(LINK, carrier_host=None)) == (), "no calls out"
    forbidden = reply({"errors": [{"code": "10010", "title": "Forbidden"}]}, 403)
    assert provider(ok(OPEN), forbidden)[0].check_sip(LINK) == (), "the key may not read them"
    lines = dict(provider(ok(OPEN))[0].ensure_sip(LINK).instructions)
    assert "refuses others" in lines["Verify as caller ID"]


@pytest.mark.parametrize(
    "changes", [{"carrier_ips": ("203.0.113.10",)}, {"username": "acme", "password": "Correct4horse"}]
)
def test_a_limit_that_telnyx_cannot_keep_is_refused(changes: dict[str, Any]) -> None:
    telnyx, script = provider()
    with pytest.raises(UnsupportedFeature, match="hard to guess"):
        telnyx.ensure_sip(replace(LINK, **changes))
    assert script.sent == []


def test_a_link_needs_an_application() -> None:
    with pytest.raises(ValidationError, match="application"):
        provider()[0].ensure_sip(replace(LINK, application_ref=None))


def test_a_dial_by_a_link_goes_to_the_number_at_the_carriers_host() -> None:
    telnyx, script = provider(ok({"call_control_id": "v3:" + "x" * 20}))
    request = dial_request(trunk_ref="sbc.carrier.example:5070")
    telnyx.check_dial(request)
    telnyx.dial(request)
    assert script.bodies[0]["to"] == f"sip:{THEIRS}@sbc.carrier.example:5070"
    check_request(script.sent[0])


@pytest.mark.parametrize("host", ["", "sbc/x", "user@host", "host:port", "a b"])
def test_a_link_that_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="trunk"):
        provider()[0].check_dial(dial_request(trunk_ref=host))


def test_an_unknown_dial_by_a_link_is_looked_for_under_the_address_that_was_dialed() -> None:
    empty = {"data": [], "meta": {"total_pages": 1}}
    telnyx, script = provider(reply(empty), reply(empty))
    now = datetime.now(UTC)
    telnyx.find_calls(
        DialQuery(
            to=THEIRS,
            caller_id=OURS,
            attempt_token="a" * 32,
            created_from=now,
            created_until=now,
            trunk_ref="sbc.carrier.example",
        )
    )
    assert parse_qs(urlsplit(script.sent[1].url).query)["filter[to]"] == [f"sip:{THEIRS}@sbc.carrier.example"]


def test_a_call_that_another_carrier_hands_over_is_for_the_number_in_its_address() -> None:
    called = f"sip:{OURS}@acme-7f3k.sip.telnyx.com"
    event = read(
        "call.initiated",
        direction="incoming",
        state="parked",
        to=called,
        **{"from": f"sip:{THEIRS}@192.0.2.1"},
    )
    assert (event.to, event.from_number) == (OURS, THEIRS)
    elsewhere = read(
        "call.initiated", direction="outgoing", to="sip:+13125550111@sbc.example", **{"from": OURS}
    )
    assert elsewhere.to == "sip:+13125550111@sbc.example"
