"""Setting numbers up at Telnyx: the application, what numbers point at, what keeps calls away, buying, caller IDs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

import pytest

from gateway.byoc import (
    ApplicationRequest,
    CallerId,
    CarrierApplication,
    CarrierNumber,
    NumberQuery,
    NumberSetup,
    OrderState,
    Place,
    TargetKind,
)
from gateway.errors import (
    ConfigurationError,
    Conflict,
    InvalidNumber,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.transport import HttpResponse
from tests.adapters.kit import SETUP_URLS
from tests.adapters.telnyx.support import (
    CONNECTION,
    OURS,
    Script,
    check_request,
    ok,
    provider,
    refused,
    reply,
)

EVENTS: Final = "https://gw.example.net/voice/k3y/events"
PROFILE: Final = "1293384261075731461"
OTHER: Final = "2900000000000000777"
NUMBER: Final = "1293384261075731499"
SETUP: Final = NumberSetup(urls=SETUP_URLS, application_ref=CONNECTION)
ASKED: Final = ApplicationRequest(name="gw-k3y", urls=SETUP_URLS)
APPLICATION: Final[dict[str, Any]] = {
    "id": CONNECTION,
    "record_type": "call_control_application",
    "application_name": "gw-k3y",
    "webhook_event_url": EVENTS,
    "webhook_event_failover_url": EVENTS,
    "webhook_api_version": "2",
    "webhook_timeout_secs": None,
    "active": True,
    "call_cost_in_webhooks": True,
    "anchorsite_override": "Latency",
    "inbound": {"channel_limit": None, "shaken_stir_enabled": True, "sip_subdomain": None},
    "outbound": {"channel_limit": 5, "outbound_voice_profile_id": PROFILE},
    "created_at": "2026-03-02T15:04:01.000000Z",
}
PROFILES: Final = [{"id": PROFILE, "name": "office", "enabled": True}]
VOICE: Final = {
    "call_forwarding": {"call_forwarding_enabled": True, "forwards_to": "", "forwarding_type": None}
}


def page(*items: Any) -> HttpResponse:
    meta = {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": len(items)}
    return reply({"data": list(items), "meta": meta})


def listed(connection: str | None = CONNECTION, **more: Any) -> dict[str, Any]:
    known = {"id": NUMBER, "phone_number": OURS, "status": "active", "connection_id": connection}
    return {**known, "phone_number_type": "local", **more}


def number(connection: str | None = CONNECTION, **settings: Any) -> CarrierNumber:
    known = {"connection_id": connection, "status": "active", **settings}
    return CarrierNumber(e164=OURS, carrier_ref=NUMBER, has_voice=True, settings=known)


def application(**changes: Any) -> CarrierApplication:
    found, _ = provider(ok({**APPLICATION, **changes}))
    return found.fetch_application(CONNECTION)


def lines(script: Script) -> list[str]:
    for request in script.sent:
        check_request(request)
    return [unquote(line) for line in script.lines]


# -- find, target ------------------------------------------------------------------------------------------------------


def test_a_number_is_found_whole_and_with_its_forward() -> None:
    longer = listed(id="1", phone_number=OURS + "0")
    telnyx, script = provider(page(longer, listed()), ok(VOICE))
    found = telnyx.find_number(OURS)
    assert found is not None
    assert (found.carrier_ref, found.kind) == (NUMBER, "local")
    assert found.settings["call_forwarding"] == VOICE["call_forwarding"]
    assert lines(script) == [
        "GET /phone_numbers?filter[phone_number]=13125550100&page[number]=1&page[size]=250",
        f"GET /phone_numbers/{NUMBER}/voice",
    ]


def test_a_number_is_found_also_where_its_voice_settings_may_not_be_read() -> None:
    found = provider(page(listed()), refused(403, "10010"))[0].find_number(OURS)
    assert found is not None
    assert "call_forwarding" not in found.settings


def test_a_number_that_is_not_there_is_none() -> None:
    assert provider(page())[0].find_number(OURS) is None


def test_the_target_is_the_application_with_its_urls() -> None:
    telnyx, script = provider(ok(APPLICATION))
    target = telnyx.target_of(number())
    assert (target.kind, target.urls) == (TargetKind.APPLICATION, (EVENTS, EVENTS))
    assert target.text == f"Call Control application 'gw-k3y' ({CONNECTION}) at {EVENTS}"
    assert lines(script) == [f"GET /call_control_applications/{CONNECTION}"]


@pytest.mark.parametrize(
    ("record_type", "kind"),
    [("ip_connection", TargetKind.TRUNK), ("texml_application", TargetKind.OTHER)],
)
def test_a_connection_of_another_kind_is_named(record_type: str, kind: TargetKind) -> None:
    other = {
        "id": OTHER,
        "record_type": record_type,
        "connection_name": "pbx",
        "webhook_event_url": "https://a.test/x",
    }
    telnyx, script = provider(refused(404, "10005"), ok(other))
    target = telnyx.target_of(number(OTHER))
    assert (target.kind, target.urls) == (kind, ("https://a.test/x",))
    assert "pbx" in target.text
    assert lines(script)[1] == f"GET /connections/{OTHER}"


def test_a_forward_goes_before_everything_and_is_masked() -> None:
    forward = {"call_forwarding_enabled": True, "forwards_to": "+13125550177"}
    target = provider()[0].target_of(number(call_forwarding=forward))
    assert target.kind is TargetKind.OTHER
    assert "+13125550177" not in target.text


@pytest.mark.parametrize("connection", [None, ""])
def test_a_number_may_point_at_nothing(connection: str | None) -> None:
    assert provider()[0].target_of(number(connection)).kind is TargetKind.NOTHING


# -- the application ---------------------------------------------------------------------------------------------------


def test_a_new_application_gets_version_2_both_urls_and_the_only_profile() -> None:
    telnyx, script = provider(page(), page(*PROFILES), ok(APPLICATION, 201))
    made = telnyx.ensure_application(ASKED)
    assert made is not None
    assert (made.ref, made.name) == (CONNECTION, "gw-k3y")
    assert script.bodies[2] == {
        "application_name": "gw-k3y",
        "webhook_event_url": EVENTS,
        "webhook_event_failover_url": EVENTS,
        "webhook_api_version": "2",
        "active": True,
        "call_cost_in_webhooks": True,
        "outbound": {"outbound_voice_profile_id": PROFILE},
    }
    assert [line.split("?")[0] for line in lines(script)] == [
        "GET /call_control_applications",
        "GET /outbound_voice_profiles",
        "POST /call_control_applications",
    ]


def test_an_application_of_that_very_name_is_taken_and_left_alone_when_it_is_right() -> None:
    similar = {**APPLICATION, "id": "1", "application_name": "gw-k3y-old"}
    telnyx, script = provider(page(similar, APPLICATION), ok(APPLICATION))
    assert telnyx.ensure_application(ASKED) == application()
    assert [request.method for request in script.sent] == ["GET", "GET"]


def test_an_application_that_differs_is_mended_with_its_name_and_its_whole_inbound_and_outbound() -> None:
    named = {**APPLICATION, "application_name": "My voice app", "webhook_api_version": "1"}
    telnyx, script = provider(ok(named), ok(APPLICATION), ok(APPLICATION))
    telnyx.ensure_application(replace(ASKED, ref=CONNECTION))
    assert script.bodies[1] == {
        "application_name": "My voice app",
        "webhook_event_url": EVENTS,
        "webhook_event_failover_url": EVENTS,
        "webhook_api_version": "2",
        "active": True,
        "call_cost_in_webhooks": True,
        "inbound": {"shaken_stir_enabled": True},
        "outbound": {"channel_limit": 5, "outbound_voice_profile_id": PROFILE},
    }
    assert lines(script)[1] == f"PATCH /call_control_applications/{CONNECTION}"


def test_an_application_that_is_gone_is_looked_for_by_name_and_made_again() -> None:
    telnyx, script = provider(refused(404, "10005"), page(), page(*PROFILES), ok(APPLICATION, 201))
    telnyx.ensure_application(replace(ASKED, ref="111"))
    assert [request.method for request in script.sent] == ["GET", "GET", "GET", "POST"]


def test_no_profile_is_ever_made_silently() -> None:
    telnyx, script = provider(page(), page())
    with pytest.raises(ConfigurationError, match="create one in the portal"):
        telnyx.ensure_application(ASKED)
    assert {request.method for request in script.sent} == {"GET"}


def test_several_profiles_must_be_chosen_from() -> None:
    several = page(*PROFILES, {"id": "22", "name": "sales"})
    with pytest.raises(ValidationError, match=rf"{PROFILE} \(office\), 22 \(sales\)"):
        provider(page(), several)[0].ensure_application(ASKED)


@pytest.mark.parametrize("asked", ["22", "sales"])
def test_a_profile_is_chosen_by_id_or_name(asked: str) -> None:
    several = page(*PROFILES, {"id": "22", "name": "sales"})
    telnyx, script = provider(page(APPLICATION), several, ok(APPLICATION), ok(APPLICATION))
    telnyx.ensure_application(replace(ASKED, outbound_profile=asked))
    assert script.bodies[2]["outbound"] == {"channel_limit": 5, "outbound_voice_profile_id": "22"}


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match=r"it has: .*office"):
        provider(page(APPLICATION), page(*PROFILES))[0].ensure_application(
            replace(ASKED, outbound_profile="nobody")
        )


def test_restoring_an_application_writes_all_of_it_back() -> None:
    before = application(
        webhook_event_url="https://old.test/x", webhook_event_failover_url=None, webhook_api_version="1"
    )
    telnyx, script = provider(ok(APPLICATION))
    telnyx.restore_application(CONNECTION, before.settings)
    assert script.bodies[0] == {
        "application_name": "gw-k3y",
        "webhook_event_url": "https://old.test/x",
        "webhook_event_failover_url": None,
        "webhook_api_version": "1",
        "webhook_timeout_secs": None,
        "active": True,
        "anchorsite_override": "Latency",
        "call_cost_in_webhooks": True,
        "inbound": {"shaken_stir_enabled": True},
        "outbound": {"channel_limit": 5, "outbound_voice_profile_id": PROFILE},
    }
    lines(script)


@pytest.mark.parametrize("answer", [ok(APPLICATION), refused(404, "10005")])
def test_deleting_an_application_that_is_gone_is_a_success(answer: HttpResponse) -> None:
    telnyx, script = provider(answer)
    telnyx.delete_application(CONNECTION)
    assert lines(script) == [f"DELETE /call_control_applications/{CONNECTION}"]


def test_an_application_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        provider(refused(404, "10005"))[0].fetch_application(CONNECTION)


# -- configure, restore ------------------------------------------------------------------------------------------------


def test_configuring_is_one_patch_and_a_read_back() -> None:
    telnyx, script = provider(ok(listed()), ok(listed()), ok(VOICE))
    configured = telnyx.configure_number(number(OTHER), SETUP)
    assert script.bodies[0] == {"connection_id": CONNECTION}
    assert lines(script) == [
        f"PATCH /phone_numbers/{NUMBER}",
        f"GET /phone_numbers/{NUMBER}",
        f"GET /phone_numbers/{NUMBER}/voice",
    ]
    assert telnyx.is_ours(configured, SETUP)
    assert telnyx.differences(configured, application(), SETUP) == ()


@pytest.mark.parametrize(("before", "sent"), [(OTHER, OTHER), (None, ""), ("", "")])
def test_restoring_attaches_the_number_to_what_it_was_attached_to(before: str | None, sent: str) -> None:
    telnyx, script = provider(ok(listed(before)), ok(listed(before)), ok(VOICE))
    restored = telnyx.restore_number(number(), number(before).settings)
    assert script.bodies[0] == {"connection_id": sent}
    assert restored.settings["connection_id"] == before
    lines(script)


def test_a_number_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound):
        provider(refused(404, "10005"))[0].configure_number(number(), SETUP)


def test_a_number_is_not_configured_without_an_application() -> None:
    with pytest.raises(ValidationError, match="application"):
        provider()[0].configure_number(number(), NumberSetup(urls=SETUP_URLS))


@pytest.mark.parametrize("ref", ["../balance", "a/b", "a?b", "", "é", "1" * 65])
def test_no_other_id_gets_into_a_path(ref: str) -> None:
    telnyx, script = provider()
    for verb in (
        lambda: telnyx.configure_number(replace(number(), carrier_ref=ref), SETUP),
        lambda: telnyx.restore_number(replace(number(), carrier_ref=ref), {"connection_id": OTHER}),
        lambda: telnyx.release_number(ref),
        lambda: telnyx.fetch_application(ref),
        lambda: telnyx.restore_application(ref, {}),
        lambda: telnyx.delete_application(ref),
    ):
        with pytest.raises(ValidationError):
            verb()
    assert script.sent == []


# -- ours, differences -------------------------------------------------------------------------------------------------


def test_a_number_is_ours_when_it_points_at_our_application() -> None:
    telnyx, _ = provider()
    assert telnyx.is_ours(number(), SETUP)
    assert not telnyx.is_ours(number(OTHER), SETUP)
    assert not telnyx.is_ours(number(None), NumberSetup(urls=SETUP_URLS))


def test_each_difference_says_where_it_is_and_who_can_mend_it() -> None:
    forward = {"call_forwarding_enabled": True, "forwards_to": "+13125550177"}
    held = application(
        webhook_event_url="https://other.test/x",
        webhook_api_version="1",
        active=False,
        outbound={"outbound_voice_profile_id": ""},
    )
    found = provider()[0].differences(
        number(OTHER, call_forwarding=forward, status="port-out-pending"), held, SETUP
    )
    assert [(each.place, each.setting, each.is_repairable) for each in found] == [
        (Place.NUMBER, "connection_id", True),
        (Place.NUMBER, "call_forwarding", False),
        (Place.NUMBER, "status", False),
        (Place.APPLICATION, "webhook_event_url", True),
        (Place.APPLICATION, "webhook_api_version", True),
        (Place.APPLICATION, "active", True),
        (Place.APPLICATION, "outbound.outbound_voice_profile_id", True),
    ]
    assert (found[4].wanted, found[4].found, found[5].found) == ("2", "1", "false")


def test_a_profile_that_is_disabled_or_forbids_a_country_is_told() -> None:
    profile = {"id": PROFILE, "name": "office", "enabled": False, "whitelisted_destinations": ["US", "CA"]}
    telnyx, script = provider(ok(profile))
    found = telnyx.account_differences(application(), ("US", "DE"))
    assert [(each.setting, each.wanted, each.found) for each in found] == [
        ("enabled", "true", "false"),
        ("whitelisted_destinations DE", "DE", "CA, US"),
    ]
    assert lines(script) == [f"GET /outbound_voice_profiles/{PROFILE}"]


def test_a_profile_that_may_not_be_read_is_left_out() -> None:
    assert provider(refused(403, "10010"))[0].account_differences(application(), ("US",)) == ()
    assert provider()[0].account_differences(None, ("US",)) == ()


# -- search, buy, release ----------------------------------------------------------------------------------------------

AVAILABLE: Final = {
    "phone_number": "+13125550199",
    "record_type": "available_phone_number",
    "cost_information": {"upfront_cost": "1.00", "monthly_cost": "2.50", "currency": "USD"},
    "features": [{"name": "voice"}, {"name": "sms"}],
    "region_information": [
        {"region_type": "country_code", "region_name": "US"},
        {"region_type": "state", "region_name": "IL"},
        {"region_type": "rate_center", "region_name": "CHICAGO"},
    ],
}


def test_a_search_names_each_number_with_its_prices() -> None:
    telnyx, script = provider(reply({"data": [AVAILABLE], "meta": {}}))
    (found,) = telnyx.search_numbers(NumberQuery(country="US", area_code="312", contains="5501"))
    assert (found.e164, found.locality, found.region) == ("+13125550199", "CHICAGO", "IL")
    assert (found.monthly_price, found.setup_price, found.currency) == (
        Decimal("2.50"),
        Decimal("1.00"),
        "USD",
    )
    (line,) = lines(script)
    assert "filter[country_code]=US" in line
    assert "filter[national_destination_code]=312" in line
    assert "filter[phone_number][contains]=5501" in line
    assert "=voice" in line


def test_a_search_that_cannot_be_is_refused_before_anything_is_sent() -> None:
    telnyx, script = provider()
    with pytest.raises(ValidationError, match="country"):
        telnyx.search_numbers(NumberQuery(country="usa"))
    assert script.sent == []


ORDER: Final = {"id": "12ade33a-21c0-473b-b055-b3c836e1c292", "status": "success"}


def test_buying_is_one_post_under_our_reference() -> None:
    telnyx, script = provider(ok(ORDER), page(listed(None)), ok(VOICE))
    order = telnyx.buy_number(OURS, reference="order-1")
    assert (order.state, order.order_ref) == (OrderState.BOUGHT, ORDER["id"])
    assert order.number is not None
    assert order.number.carrier_ref == NUMBER
    assert script.bodies[0] == {"phone_numbers": [{"phone_number": OURS}], "customer_reference": "order-1"}
    assert [request.method for request in script.sent] == ["POST", "GET", "GET"]
    lines(script)


@pytest.mark.parametrize(
    "answers",
    [
        (ok({**ORDER, "status": "pending"}),),
        (ok(ORDER), page()),
        (ok(ORDER), refused(503, "10007")),
    ],
)
def test_an_order_that_is_not_finished_is_pending(answers: tuple[HttpResponse, ...]) -> None:
    order = provider(*answers)[0].buy_number(OURS, reference="order-1")
    assert (order.state, order.number, order.order_ref) == (OrderState.PENDING, None, ORDER["id"])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ok({**ORDER, "status": "failure"}), RequestRefused),
        (refused(422, "85001"), RequestRefused),
        (refused(404, "10005"), RequestRefused),
        (refused(500, "10007"), ProviderUnavailable),
        (reply({"data": {}}), ProviderUnavailable),
        (TimeoutError(), ProviderUnavailable),
    ],
)
def test_a_purchase_is_never_repeated_whatever_comes_back(answer: Any, error: type[Exception]) -> None:
    telnyx, script = provider(answer)
    with pytest.raises(error):
        telnyx.buy_number(OURS, reference="order-1")
    assert len(script.sent) == 1


def test_what_is_no_number_is_not_bought() -> None:
    with pytest.raises(InvalidNumber):
        provider()[0].buy_number("3125550100", reference="order-1")


@pytest.mark.parametrize("answer", [ok(listed()), refused(404, "10005")])
def test_a_release_is_done_also_when_the_number_is_gone(answer: HttpResponse) -> None:
    telnyx, script = provider(answer)
    telnyx.release_number(NUMBER)
    assert lines(script) == [f"DELETE /phone_numbers/{NUMBER}"]


# -- verified caller IDs -----------------------------------------------------------------------------------------------

VERIFIED: Final = {
    "phone_number": OURS,
    "record_type": "verified_number",
    "verified_at": "2026-03-02T15:04:01.000000Z",
}


def test_only_numbers_that_are_verified_are_listed() -> None:
    telnyx, script = provider(page(VERIFIED, {"phone_number": "+13125550188", "verified_at": None}))
    assert list(telnyx.list_caller_ids()) == [CallerId(e164=OURS, carrier_ref=OURS)]
    lines(script)


@pytest.mark.parametrize("by", ["call", "sms"])
def test_a_verification_sends_a_code_by_call_or_text(by: str) -> None:
    telnyx, script = provider(ok({"phone_number": OURS, "verification_method": by}))
    begun = telnyx.start_caller_id(OURS, by=by)
    assert begun.code_to_type is None
    assert OURS not in repr(begun)
    assert script.bodies == [{"phone_number": OURS, "verification_method": by}]
    lines(script)


def test_a_verification_is_confirmed_with_the_code() -> None:
    telnyx, script = provider(ok(VERIFIED))
    assert telnyx.confirm_caller_id(OURS, "", "123456").e164 == OURS
    assert lines(script) == [f"POST /verified_numbers/{OURS}/actions/verify"]
    assert script.bodies == [{"verification_code": "123456"}]


def test_a_wrong_code_is_refused_and_no_verdict_is_a_conflict() -> None:
    with pytest.raises(RequestRefused):
        provider(refused(400, "10015"))[0].confirm_caller_id(OURS, "", "000000")
    with pytest.raises(Conflict):
        provider(ok({"phone_number": OURS}))[0].confirm_caller_id(OURS, "", "000000")
    for code in (None, "", "12 34", "x" * 3):
        with pytest.raises(ValidationError, match="code"):
            provider()[0].confirm_caller_id(OURS, "", code)


# -- the account -------------------------------------------------------------------------------------------------------


def test_a_key_without_billing_rights_says_so_and_a_wrong_one_says_what_to_do() -> None:
    info = provider(refused(403, "10010"), page())[0].check_account()
    assert info.notes == (
        "This API key has no billing rights: the balance and the account's state are not known.",
    )
    with pytest.raises(RequestRefused, match="copy it again"):
        provider(refused(401, "10009"))[0].check_account()
