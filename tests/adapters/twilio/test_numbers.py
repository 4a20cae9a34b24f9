from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.byoc import (
    CallerId,
    CallerIdVerification,
    Difference,
    NumberQuery,
    OrderState,
    Place,
    TargetKind,
)
from gateway.errors import (
    Conflict,
    InvalidNumber,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from tests.adapters.twilio.support import (
    ACCOUNT_RESOURCE,
    API_KEY,
    CALL,
    GATEWAY,
    NUMBER,
    OURS,
    SETUP,
    fault,
    number,
    page,
    provider,
    reply,
)

TRUNK, APP = "TK" + "1" * 32, "AP" + "2" * 32
OUR_SETTINGS = {
    "trunk_sid": "",
    "voice_application_sid": "",
    "voice_url": f"{GATEWAY}/answer#rc=3&rp=all",
    "voice_method": "POST",
    "voice_fallback_url": f"{GATEWAY}/fallback#rc=3&rp=all",
    "voice_fallback_method": "POST",
    "status_callback": f"{GATEWAY}/status#rc=3&rp=all",
    "status_callback_method": "POST",
}
OTHERS = {"voice_url": "https://other.example.net/voice"}


# -- find, target -----------------------------------------------------------------------------------------------------


def test_a_number_is_found_by_the_whole_of_it() -> None:
    longer = NUMBER | {"phone_number": "+141555501001", "sid": "PN" + "1" * 32}
    adapter, transport = provider(page("incoming_phone_numbers", [longer, NUMBER]))
    found = adapter.find_number(OURS)
    assert found is not None
    assert found.carrier_ref == NUMBER["sid"]
    assert transport.query()["PhoneNumber"] == [OURS]


def test_a_number_that_is_not_there_is_none() -> None:
    assert provider(page("incoming_phone_numbers", []))[0].find_number(OURS) is None


@pytest.mark.parametrize(
    ("settings", "kind", "urls"),
    [
        (
            {"trunk_sid": TRUNK, "voice_application_sid": APP},
            TargetKind.TRUNK,
            (),
        ),
        ({"voice_url": ""}, TargetKind.NOTHING, ()),
        (
            {"voice_fallback_url": "https://b.example.net/"},
            TargetKind.URL,
            ("https://old.example.net/voice", "https://b.example.net/"),
        ),
    ],
)
def test_the_target_follows_twilios_order(settings: dict[str, str], kind: TargetKind, urls: tuple) -> None:
    adapter, transport = provider()
    target = adapter.target_of(number(**settings))
    assert (target.kind, target.urls, transport.requests) == (kind, urls, [])


def test_the_target_names_the_urls_of_an_application() -> None:
    answer = {
        "sid": APP,
        "friendly_name": "IVR",
        "voice_url": "https://ivr.example.net/",
        "voice_fallback_url": "",
    }
    adapter, _ = provider(reply(200, answer))
    target = adapter.target_of(number(voice_application_sid=APP))
    assert (target.kind, target.urls) == (TargetKind.APPLICATION, ("https://ivr.example.net/",))
    assert target.text == f"TwiML application {APP} 'IVR'"


def test_an_application_that_cannot_be_read_is_still_named() -> None:
    adapter, _ = provider(fault(404, 20404))
    target = adapter.target_of(number(voice_application_sid=APP))
    assert (target.kind, target.text, target.urls) == (TargetKind.APPLICATION, APP, ())


def test_a_target_shows_no_login_and_no_query() -> None:
    shown = provider()[0].target_of(number(voice_url="https://me:secret@a.example.net/x?key=secret")).text
    assert shown == "voice URL https://a.example.net/x"


# -- configure, restore ---------------------------------------------------------------------------------------------


def test_configuring_is_one_post_that_clears_what_comes_first_and_a_read_back() -> None:
    adapter, transport = provider(reply(200, NUMBER), reply(200, NUMBER | OUR_SETTINGS))
    configured = adapter.configure_number(number(trunk_sid=TRUNK), SETUP)
    assert [request.method for request in transport.requests] == ["POST", "GET"]
    assert transport.path(0) == f"/IncomingPhoneNumbers/{NUMBER['sid']}.json"
    assert transport.form(0) == {
        "TrunkSid": [""],
        "VoiceApplicationSid": [""],
        "VoiceUrl": [f"{GATEWAY}/answer#rc=3&rp=all"],
        "VoiceMethod": ["POST"],
        "VoiceFallbackUrl": [f"{GATEWAY}/fallback#rc=3&rp=all"],
        "VoiceFallbackMethod": ["POST"],
        "StatusCallback": [f"{GATEWAY}/status#rc=3&rp=all"],
        "StatusCallbackMethod": ["POST"],
    }
    assert adapter.is_ours(configured, SETUP)
    assert adapter.differences(configured, None, SETUP) == ()


@pytest.mark.parametrize(
    ("before", "sent", "left_out"),
    [
        ({"trunk_sid": TRUNK}, {"TrunkSid": [TRUNK]}, "VoiceApplicationSid"),
        ({"voice_application_sid": APP}, {"VoiceApplicationSid": [APP]}, "TrunkSid"),
        ({}, {"TrunkSid": [""], "VoiceApplicationSid": [""]}, "FriendlyName"),
    ],
)
def test_restoring_writes_what_was_there_and_names_only_one_of_trunk_and_application(
    before: dict[str, str], sent: dict[str, list[str]], left_out: str
) -> None:
    adapter, transport = provider(reply(200, NUMBER | before), reply(200, NUMBER | before))
    was = number(**before)
    now = adapter.restore_number(number(**OUR_SETTINGS), was.settings)
    form = transport.form(0)
    assert form["VoiceUrl"] == ["https://old.example.net/voice"]
    assert form["VoiceMethod"] == ["GET"]
    assert {name: form[name] for name in sent} == sent
    assert left_out not in form
    assert now.settings == was.settings


@pytest.mark.parametrize("verb", ["configure_number", "restore_number"])
def test_a_number_that_is_gone_is_not_found(verb: str) -> None:
    adapter, _ = provider(fault(404, 20404))
    argument = {"configure_number": SETUP, "restore_number": number().settings}[verb]
    with pytest.raises(NotFound):
        getattr(adapter, verb)(number(), argument)


@pytest.mark.parametrize("ref", ["../Calls", "PN1", "PN" + "0" * 32 + "/x", ""])
def test_no_other_id_gets_into_a_path(ref: str) -> None:
    adapter, transport = provider()
    for verb in (
        lambda: adapter.configure_number(replace(number(), carrier_ref=ref), SETUP),
        lambda: adapter.release_number(ref),
    ):
        with pytest.raises(ValidationError):
            verb()
    assert transport.requests == []


def test_no_other_application_or_country_gets_into_a_path() -> None:
    adapter, transport = provider()
    with pytest.raises(ValidationError):
        adapter.target_of(number(voice_application_sid="../x"))
    with pytest.raises(ValidationError):
        adapter.account_differences(None, ("U/",))
    assert transport.requests == []


# -- ours, differences ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"voice_url": f"{GATEWAY}/answer"}, True),
        ({"voice_method": "GET"}, True),
        ({"voice_url": f"{GATEWAY}/answer/"}, False),
        ({"voice_url": ""}, False),
        ({"trunk_sid": TRUNK}, False),
        ({"voice_application_sid": APP}, False),
        (OTHERS, False),
    ],
)
def test_a_number_is_ours_when_calls_reach_our_answer_route(changes: dict[str, str], expected: bool) -> None:
    assert provider()[0].is_ours(number(**OUR_SETTINGS | changes), SETUP) is expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("voice_url", f"{GATEWAY}/answer"),
        ("voice_method", "GET"),
        ("voice_fallback_url", ""),
        ("status_callback", "https://other.example.net/"),
        ("trunk_sid", TRUNK),
        ("voice_application_sid", APP),
    ],
)
def test_each_setting_that_was_changed_is_a_difference(setting: str, value: str) -> None:
    found = provider()[0].differences(number(**OUR_SETTINGS | {setting: value}), None, SETUP)
    assert found == (
        Difference(place=Place.NUMBER, setting=setting, wanted=OUR_SETTINGS[setting], found=value),
    )


def test_what_we_cannot_mend_comes_with_what_to_do() -> None:
    broken = OUR_SETTINGS | {
        "voice_receive_mode": "fax",
        "capabilities": {"voice": False},
        "address_requirements": "local",
    }
    found = provider()[0].differences(number(**broken), None, SETUP)
    assert [each.setting for each in found] == ["voice_receive_mode", "capabilities.voice", "address_sid"]
    assert not any(each.is_repairable for each in found)
    assert all(each.advice for each in found)


def test_geo_permissions_and_a_suspended_account_are_told_with_advice() -> None:
    adapter, transport = provider(
        reply(200, ACCOUNT_RESOURCE | {"status": "suspended"}),
        reply(200, {"iso_code": "US", "low_risk_numbers_enabled": True}),
        reply(200, {"iso_code": "LV", "low_risk_numbers_enabled": False}),
    )
    found = adapter.account_differences(None, ("US", "LV"))
    assert [(each.place, each.setting) for each in found] == [
        (Place.ACCOUNT, "status"),
        (Place.ACCOUNT, "low_risk_numbers_enabled LV"),
    ]
    assert transport.requests[1].url == "https://voice.twilio.com/v1/DialingPermissions/Countries/US"


def test_what_a_key_may_not_read_of_the_account_is_left_out() -> None:
    adapter, _ = provider(fault(401, 20003), fault(403, 20403), **API_KEY)
    assert adapter.account_differences(None, ("US",)) == ()


def test_in_a_region_the_other_products_have_hosts_of_their_own() -> None:
    from providers.twilio.client import product_host

    assert product_host("voice", "https://api.dublin.ie1.twilio.com") == "https://voice.dublin.ie1.twilio.com"
    assert product_host("voice", "http://127.0.0.1:9/twilio") == "http://127.0.0.1:9/twilio"


# -- search, buy, release -------------------------------------------------------------------------------------------

AVAILABLE = {
    "friendly_name": "(415) 555-0199",
    "phone_number": "+14155550199",
    "locality": "San Francisco",
    "region": "CA",
    "iso_country": "US",
    "address_requirements": "none",
    "capabilities": {"voice": True, "SMS": True},
}
PRICES = {
    "country": "United States",
    "iso_country": "US",
    "price_unit": "usd",
    "phone_number_prices": [
        {"number_type": "local", "base_price": "1.15", "current_price": "1.15"},
        {"number_type": "toll free", "base_price": "2.15", "current_price": "2.15"},
    ],
}


def test_a_search_names_each_number_with_its_price() -> None:
    needy = AVAILABLE | {"phone_number": "+14155550198", "address_requirements": "local"}
    adapter, transport = provider(page("available_phone_numbers", [AVAILABLE, needy]), reply(200, PRICES))
    first, second = adapter.search_numbers(
        NumberQuery(country="US", area_code="415", contains="5501", limit=2)
    )
    assert (first.e164, first.locality, first.monthly_price) == (
        "+14155550199",
        "San Francisco",
        Decimal("1.15"),
    )
    assert (first.currency, first.restriction, first.has_voice) == ("USD", "", True)
    assert second.restriction == "needs an address: local"
    assert transport.path(0) == "/AvailablePhoneNumbers/US/Local.json"
    assert transport.query(0) == {
        "AreaCode": ["415"],
        "Contains": ["5501"],
        "VoiceEnabled": ["true"],
        "PageSize": ["2"],
    }
    assert transport.requests[1].url == "https://pricing.twilio.com/v1/PhoneNumbers/Countries/US"


def test_prices_that_cannot_be_read_leave_a_search_as_good() -> None:
    adapter, _ = provider(page("available_phone_numbers", [AVAILABLE]), fault(403, 20403))
    (found,) = adapter.search_numbers(NumberQuery(country="US"))
    assert (found.monthly_price, found.currency) == (None, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (NumberQuery(country="us"), "country"),
        (NumberQuery(country="U/"), "country"),
        (NumberQuery(country="US", kind="vanity"), "kind"),
        (NumberQuery(country="US", area_code="4x5"), "area_code"),
        (NumberQuery(country="GB", area_code="20"), "area_code"),
        (NumberQuery(country="US", contains="5"), "contains"),
        (NumberQuery(country="US", limit=0), "limit"),
        (NumberQuery(country="US", limit=101), "limit"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_sent(query: NumberQuery, field: str) -> None:
    adapter, transport = provider()
    with pytest.raises(ValidationError) as caught:
        adapter.search_numbers(query)
    assert (caught.value.field, transport.requests) == (field, [])


def test_a_country_without_such_numbers_is_named() -> None:
    with pytest.raises(ValidationError, match="twilio sells no mobile numbers of US"):
        provider(fault(404, 20404))[0].search_numbers(NumberQuery(country="US", kind="mobile"))


def test_buying_is_one_post() -> None:
    adapter, transport = provider(reply(201, NUMBER))
    order = adapter.buy_number(OURS, reference="order-1")
    assert (order.state, order.number and order.number.carrier_ref) == (OrderState.BOUGHT, NUMBER["sid"])
    assert [(r.method, transport.form()) for r in transport.requests] == [("POST", {"PhoneNumber": [OURS]})]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fault(400, 21422, "not available"), RequestRefused),
        (fault(500, 20500), ProviderUnavailable),
        (reply(502, b"<html>"), ProviderUnavailable),
        (TimeoutError(), ProviderUnavailable),
    ],
)
def test_a_purchase_is_never_repeated_whatever_comes_back(answer: object, error: type[Exception]) -> None:
    adapter, transport = provider(answer)  # type: ignore[arg-type]
    with pytest.raises(error):
        adapter.buy_number(OURS, reference="order-1")
    assert len(transport.requests) == 1


def test_what_is_no_number_is_not_bought() -> None:
    adapter, transport = provider()
    with pytest.raises(InvalidNumber):
        adapter.buy_number("4155550100", reference="order-1")
    assert transport.requests == []


@pytest.mark.parametrize("answer", [reply(204, b""), fault(404, 20404)])
def test_a_release_is_done_also_when_the_number_is_gone(answer: object) -> None:
    adapter, transport = provider(answer)  # type: ignore[arg-type]
    adapter.release_number(NUMBER["sid"])
    assert [(r.method, transport.path()) for r in transport.requests] == [
        ("DELETE", f"/IncomingPhoneNumbers/{NUMBER['sid']}.json")
    ]


def test_a_refused_release_says_so() -> None:
    with pytest.raises(RequestRefused):
        provider(fault(403, 20403))[0].release_number(NUMBER["sid"])


# -- verified caller IDs --------------------------------------------------------------------------------------------

VERIFIED = {"sid": "PN" + "9" * 32, "phone_number": OURS, "friendly_name": "Jane"}


def test_verified_caller_ids_are_listed() -> None:
    odd = {"sid": "CA" + "9" * 32, "phone_number": "x", "friendly_name": None}
    adapter, _ = provider(page("outgoing_caller_ids", [VERIFIED, odd]))
    assert list(adapter.list_caller_ids()) == [CallerId(e164=OURS, carrier_ref="PN" + "9" * 32, name="Jane")]


def test_a_verification_returns_the_digits_that_the_person_types() -> None:
    adapter, transport = provider(
        reply(200, {"call_sid": CALL, "validation_code": "482913", "phone_number": OURS})
    )
    begun = adapter.start_caller_id(OURS)
    assert begun == CallerIdVerification(verification_ref=CALL, code_to_type="482913")
    assert transport.form() == {"PhoneNumber": [OURS]}


def test_a_verification_by_text_is_not_offered() -> None:
    adapter, transport = provider()
    with pytest.raises(UnsupportedFeature, match="by a call"):
        adapter.start_caller_id(OURS, by="sms")
    assert transport.requests == []


def test_a_verification_is_confirmed_by_looking() -> None:
    assert (
        provider(page("outgoing_caller_ids", [VERIFIED]))[0].confirm_caller_id(OURS, CALL, None).e164 == OURS
    )
    with pytest.raises(Conflict, match="not verified yet"):
        provider(page("outgoing_caller_ids", []))[0].confirm_caller_id(OURS, CALL, None)
