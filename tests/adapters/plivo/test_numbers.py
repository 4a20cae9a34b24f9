"""Setting numbers up at Plivo: the application, what numbers point at, what keeps calls away, buying, caller IDs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

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
    InvalidNumber,
    NotFound,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.transport import HttpResponse
from tests.adapters.kit import DIAL, SETUP_URLS
from tests.adapters.plivo.support import ACCOUNT, GATEWAY, NO_CONTENT, StubTransport, fault, provider, reply

APP: Final = "77506472735179788"
OURS: Final = "+14155550100"
DIGITS: Final = "14155550100"
RETRIES: Final = "#ct=2000&rt=10000&rc=3&rp=all"
SETUP: Final = NumberSetup(urls=SETUP_URLS, application_ref=APP)
ASKED: Final = ApplicationRequest(name="gw-k3y", urls=SETUP_URLS)
WANTED: Final = {
    "answer_url": f"{GATEWAY}/answer{RETRIES}",
    "answer_method": "POST",
    "hangup_url": f"{GATEWAY}/status{RETRIES}",
    "hangup_method": "POST",
    "fallback_answer_url": f"{GATEWAY}/fallback{RETRIES}",
    "fallback_method": "POST",
}
APPLICATION: Final[dict[str, Any]] = {
    "api_id": "x",
    "app_id": APP,
    "app_name": "gw-k3y",
    **WANTED,
    "message_url": "",
    "message_method": "POST",
    "default_number_app": False,
    "enabled": True,
    "public_uri": False,
    "sip_auth_type": None,
    "sip_uri": f"sip:{APP}@app.plivo.com",
    "sub_account": None,
}
CHANGED: Final = reply(202, {"api_id": "x", "message": "changed"})
GONE: Final = fault(404, "not found")


def app_uri(ident: str = APP) -> str:
    return f"/v1/Account/{ACCOUNT}/Application/{ident}/"


def trunk_uri(ident: str = "56346220117356701") -> str:
    return f"/v1/Account/{ACCOUNT}/Zentrunk/Trunk/{ident}/"


def listed(application: str | None, **more: Any) -> HttpResponse:
    known = {"number": DIGITS, "application": application, "active": True, "voice_enabled": True}
    return reply(200, {"api_id": "x", "number_type": "fixed", **known, **more})


def number(application: str | None, **settings: Any) -> CarrierNumber:
    known = {"application": application, "active": True, **settings}
    return CarrierNumber(e164=OURS, carrier_ref=DIGITS, has_voice=True, settings=known)


def application(**changes: Any) -> CarrierApplication:
    return provider(reply(200, APPLICATION | changes))[0].fetch_application(APP)


def page(*items: Any) -> HttpResponse:
    meta = {"limit": 20, "offset": 0, "next": None, "previous": None, "total_count": len(items)}
    return reply(200, {"api_id": "x", "meta": meta, "objects": list(items)})


# -- find, target ------------------------------------------------------------------------------------------------------


def test_a_number_is_fetched_by_its_digits() -> None:
    plivo, transport = provider(listed(app_uri()))
    found = plivo.find_number(OURS)
    assert found is not None
    assert (found.e164, found.kind, found.settings["application"]) == (OURS, "local", app_uri())
    assert transport.lines == [f"GET /Number/{DIGITS}/"]
    assert provider(GONE)[0].find_number(OURS) is None


def test_a_proxys_404_does_not_say_that_a_number_is_gone() -> None:
    with pytest.raises(ProviderUnavailable):
        provider(reply(404, b"<html>"))[0].find_number(OURS)


@pytest.mark.parametrize(
    ("uri", "answers", "kind", "text"),
    [
        (None, (), TargetKind.NOTHING, "nothing"),
        (trunk_uri("123"), (), TargetKind.TRUNK, "SIP trunk 123"),
        ("/v1/Account/x/Phlo/9/", (), TargetKind.OTHER, "/v1/Account/x/Phlo/9/"),
        (app_uri(), (GONE,), TargetKind.APPLICATION, f"application {APP}"),
        (
            app_uri(),
            (reply(200, APPLICATION),),
            TargetKind.APPLICATION,
            f"application 'gw-k3y' ({APP}) at {GATEWAY}/answer",
        ),
    ],
)
def test_the_target_is_an_application_a_trunk_or_nothing(
    uri: str | None, answers: tuple[HttpResponse, ...], kind: TargetKind, text: str
) -> None:
    target = provider(*answers)[0].target_of(number(uri))
    assert (target.kind, target.text) == (kind, text)
    is_read = bool(answers) and answers[0] is not GONE
    assert target.urls == ((WANTED["answer_url"], WANTED["fallback_answer_url"]) if is_read else ())


# -- the application ---------------------------------------------------------------------------------------------------


def test_a_new_application_gets_every_url_by_post_and_is_read_back() -> None:
    created = reply(201, {"api_id": "x", "app_id": APP, "message": "created"})
    plivo, transport = provider(page(), created, reply(200, APPLICATION))
    made = plivo.ensure_application(ASKED)
    assert made == application()
    assert transport.lines == ["GET /Application/", "POST /Application/", f"GET /Application/{APP}/"]
    assert transport.query(0)["app_name"] == ["gw-k3y"]
    assert transport.json(1) == {"app_name": "gw-k3y", **WANTED}


def test_an_application_of_that_very_name_is_taken_and_left_alone_when_it_is_right() -> None:
    similar = APPLICATION | {"app_id": "1", "app_name": "gw-k3y-2"}
    plivo, transport = provider(page(similar, APPLICATION), reply(200, APPLICATION))
    assert plivo.ensure_application(ASKED) == application()
    assert transport.lines == ["GET /Application/", f"GET /Application/{APP}/"]


def test_an_application_that_differs_is_mended() -> None:
    broken = APPLICATION | {"hangup_url": WANTED["answer_url"]}
    plivo, transport = provider(reply(200, broken), CHANGED, reply(200, APPLICATION))
    plivo.ensure_application(replace(ASKED, ref=APP))
    assert transport.lines[1] == f"POST /Application/{APP}/"
    assert transport.json(1) == WANTED


def test_an_application_that_is_gone_is_looked_for_by_name_and_made_again() -> None:
    created = reply(201, {"api_id": "x", "app_id": APP, "message": "created"})
    _, transport = made = provider(GONE, page(), created, reply(200, APPLICATION))
    made[0].ensure_application(replace(ASKED, ref="111"))
    assert [request.method for request in transport.requests] == ["GET", "GET", "POST", "GET"]


def test_a_name_that_plivo_does_not_take_is_refused_before_anything_is_sent() -> None:
    plivo, transport = provider()
    with pytest.raises(ValidationError, match="name"):
        plivo.ensure_application(replace(ASKED, name="my app"))
    assert transport.requests == []


def test_restoring_an_application_writes_all_of_it_back() -> None:
    before = application(answer_url="https://old.test/x", fallback_answer_url=None, fallback_method=None)
    plivo, transport = provider(CHANGED)
    plivo.restore_application(APP, before.settings)
    assert transport.json() == {
        "answer_url": "https://old.test/x",
        "answer_method": "POST",
        "hangup_url": WANTED["hangup_url"],
        "hangup_method": "POST",
        "fallback_answer_url": "https://old.test/x",
        "message_method": "POST",
        "default_number_app": False,
        "public_uri": False,
        "sip_auth_type": "",
    }


@pytest.mark.parametrize("answer", [NO_CONTENT, GONE])
def test_deleting_an_application_that_is_gone_is_a_success(answer: HttpResponse) -> None:
    plivo, transport = provider(answer)
    plivo.delete_application(APP)
    assert transport.lines == [f"DELETE /Application/{APP}/"]


def test_an_application_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        provider(GONE)[0].fetch_application(APP)


# -- configure, restore ------------------------------------------------------------------------------------------------


def test_configuring_is_one_post_and_a_read_back() -> None:
    plivo, transport = provider(CHANGED, listed(app_uri()))
    configured = plivo.configure_number(number(trunk_uri()), SETUP)
    assert transport.lines == [f"POST /Number/{DIGITS}/", f"GET /Number/{DIGITS}/"]
    assert transport.json(0) == {"app_id": APP}
    assert plivo.is_ours(configured, SETUP)
    assert plivo.differences(configured, application(), SETUP) == ()


@pytest.mark.parametrize(
    ("before", "sent"), [(app_uri("42"), "42"), (trunk_uri("17"), "17"), (None, ""), ("", "")]
)
def test_restoring_points_the_number_at_what_was_there(before: str | None, sent: str) -> None:
    plivo, transport = provider(CHANGED, listed(before))
    restored = plivo.restore_number(number(app_uri()), number(before).settings)
    assert transport.json(0) == {"app_id": sent}
    assert restored.settings["application"] == before


def test_a_link_that_no_documentation_knows_is_not_restored_as_something_else() -> None:
    plivo, transport = provider()
    with pytest.raises(ValidationError, match="Phlo"):
        plivo.restore_number(number(app_uri()), {"application": f"/v1/Account/{ACCOUNT}/Phlo/1/"})
    assert transport.requests == []


@pytest.mark.parametrize("answers", [(GONE,), (CHANGED, GONE)])
def test_a_number_that_is_gone_is_not_found(answers: tuple[HttpResponse, ...]) -> None:
    with pytest.raises(NotFound) as caught:
        provider(*answers)[0].configure_number(number(None), SETUP)
    assert DIGITS not in str(caught.value)


def test_a_number_is_not_configured_without_an_application() -> None:
    with pytest.raises(ValidationError, match="application"):
        provider()[0].configure_number(number(None), NumberSetup(urls=SETUP_URLS))


@pytest.mark.parametrize("ref", ["../Call", "a/b", "1?b", "", "é", "1" * 65])
def test_no_other_id_gets_into_a_path(ref: str) -> None:
    plivo, transport = provider()
    for verb in (
        lambda: plivo.configure_number(replace(number(None), carrier_ref=ref), SETUP),
        lambda: plivo.restore_number(replace(number(None), carrier_ref=ref), {}),
        lambda: plivo.release_number(ref),
        lambda: plivo.fetch_application(ref),
        lambda: plivo.restore_application(ref, {}),
        lambda: plivo.delete_application(ref),
        lambda: plivo.confirm_caller_id(OURS, ref, "123456"),
    ):
        with pytest.raises(ValidationError):
            verb()
    assert transport.requests == []


# -- ours, differences -------------------------------------------------------------------------------------------------


def test_a_number_is_ours_when_it_points_at_our_application() -> None:
    plivo, _ = provider()
    assert plivo.is_ours(number(app_uri()), SETUP)
    assert not plivo.is_ours(number(app_uri("42")), SETUP)
    assert not plivo.is_ours(number(trunk_uri(APP)), SETUP)
    assert not plivo.is_ours(number(None), NumberSetup(urls=SETUP_URLS))


def test_each_difference_says_where_it_is_and_who_can_mend_it() -> None:
    held = application(answer_url=f"{GATEWAY}/answer", hangup_method="GET", enabled=False)
    broken = replace(number(app_uri("42"), active=False, compliance_status="pending"), has_voice=False)
    found = provider()[0].differences(broken, held, SETUP)
    assert [(each.place, each.setting, each.is_repairable) for each in found] == [
        (Place.NUMBER, "app_id", True),
        (Place.NUMBER, "voice_enabled", False),
        (Place.NUMBER, "active", False),
        (Place.NUMBER, "compliance_status", False),
        (Place.APPLICATION, "answer_url", True),
        (Place.APPLICATION, "hangup_method", True),
        (Place.APPLICATION, "enabled", False),
    ]
    assert (found[0].wanted, found[0].found) == (APP, "42")
    assert all(each.advice for each in found if not each.is_repairable)


@pytest.mark.parametrize(
    ("mode", "credit", "settings"),
    [("prepaid", "0.00000", ["cash_credits"]), ("prepaid", "1.00000", []), ("postpaid", "-3.00000", [])],
)
def test_a_prepaid_account_without_credit_is_told(mode: str, credit: str, settings: list[str]) -> None:
    body = {"api_id": "x", "auth_id": ACCOUNT, "billing_mode": mode, "cash_credits": credit}
    found = provider(reply(200, body))[0].account_differences(None, ("US",))
    assert [each.setting for each in found] == settings
    assert provider(fault(403))[0].account_differences(None, ("US",)) == ()


# -- search, buy, release ----------------------------------------------------------------------------------------------

AVAILABLE: Final = {
    "number": "14155550199",
    "city": "San Francisco",
    "region": "California",
    "setup_rate": "0.00000",
    "monthly_rental_rate": "0.80000",
    "voice_enabled": True,
    "restriction": None,
    "restriction_text": None,
}


def test_a_search_names_each_number_with_its_prices() -> None:
    needy = AVAILABLE | {"number": "14155550198", "restriction": "city-address"}
    plivo, transport = provider(page(AVAILABLE, needy, AVAILABLE))
    first, second = plivo.search_numbers(
        NumberQuery(country="US", kind="toll_free", area_code="415", limit=2)
    )
    assert (first.e164, first.locality, first.region) == ("+14155550199", "San Francisco", "California")
    assert (first.monthly_price, first.setup_price, first.currency) == (
        Decimal("0.80000"),
        Decimal("0"),
        "USD",
    )
    assert (first.restriction, second.restriction) == ("", "city-address")
    assert transport.query(0) == {
        "country_iso": ["US"],
        "type": ["tollfree"],
        "services": ["voice"],
        "pattern": ["415"],
        "limit": ["20"],
        "offset": ["0"],
    }


def test_a_search_by_digits_inside_is_refused_with_what_to_do() -> None:
    plivo, transport = provider()
    with pytest.raises(ValidationError, match="use area_code"):
        plivo.search_numbers(NumberQuery(country="US", contains="55"))
    assert transport.requests == []


def ordered(status: str) -> HttpResponse:
    numbers = [{"number": DIGITS, "status": status}]
    return reply(201, {"api_id": "x", "message": "created", "numbers": numbers, "status": "fulfilled"})


def test_buying_is_one_post() -> None:
    plivo, transport = provider(ordered("Success"), listed(None))
    order = plivo.buy_number(OURS, reference="order-1")
    assert (order.state, order.number and order.number.carrier_ref) == (OrderState.BOUGHT, DIGITS)
    assert transport.lines == [f"POST /PhoneNumber/{DIGITS}/", f"GET /Number/{DIGITS}/"]


@pytest.mark.parametrize(
    "answers", [(ordered("pending"),), (ordered("Success"), GONE), (ordered("Success"), fault(500))]
)
def test_an_order_that_is_not_finished_is_pending(answers: tuple[HttpResponse, ...]) -> None:
    order = provider(*answers)[0].buy_number(OURS, reference="order-1")
    assert (order.state, order.number) == (OrderState.PENDING, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ordered("failed"), RequestRefused),
        (fault(400, "not available"), RequestRefused),
        (fault(500), ProviderUnavailable),
        (reply(201, {"api_id": "x"}), ProviderUnavailable),
        (TimeoutError(), ProviderUnavailable),
    ],
)
def test_a_purchase_is_never_repeated_whatever_comes_back(answer: Any, error: type[Exception]) -> None:
    plivo, transport = provider(answer)
    with pytest.raises(error):
        plivo.buy_number(OURS, reference="order-1")
    assert len(transport.requests) == 1


def test_what_is_no_number_is_not_bought() -> None:
    with pytest.raises(InvalidNumber):
        provider()[0].buy_number(DIGITS, reference="order-1")


@pytest.mark.parametrize("answer", [NO_CONTENT, GONE])
def test_a_release_is_done_also_when_the_number_is_gone(answer: HttpResponse) -> None:
    plivo, transport = provider(answer)
    plivo.release_number(DIGITS)
    assert transport.lines == [f"DELETE /Number/{DIGITS}/"]


# -- verified caller IDs -----------------------------------------------------------------------------------------------

UUID: Final = "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36"


def test_verified_caller_ids_are_listed() -> None:
    plivo, _ = provider(page({"phone_number": DIGITS, "alias": "Jane"}, {"phone_number": ""}))
    assert list(plivo.list_caller_ids()) == [CallerId(e164=OURS, carrier_ref=DIGITS, name="Jane")]


@pytest.mark.parametrize("by", ["call", "sms"])
def test_a_verification_sends_a_code_by_call_or_text(by: str) -> None:
    plivo, transport = provider(reply(202, {"api_id": "x", "message": "sent", "verification_uuid": UUID}))
    begun = plivo.start_caller_id(OURS, by=by)
    assert (begun.verification_ref, begun.code_to_type) == (UUID, None)
    assert (transport.lines, transport.json()) == (
        ["POST /VerifiedCallerId/"],
        {"phone_number": DIGITS, "channel": by},
    )


def test_a_verification_is_confirmed_with_the_code() -> None:
    plivo, transport = provider(reply(200, {"api_id": "x", "message": "verified"}))
    assert plivo.confirm_caller_id(OURS, UUID, "123456").carrier_ref == DIGITS
    assert (transport.lines, transport.json()) == (
        [f"POST /VerifiedCallerId/Verification/{UUID}/"],
        {"otp": "123456"},
    )
    with pytest.raises(RequestRefused):
        provider(fault(400, "wrong otp"))[0].confirm_caller_id(OURS, UUID, "000000")
    for code in (None, "", "12 34"):
        with pytest.raises(ValidationError, match="code"):
            provider()[0].confirm_caller_id(OURS, UUID, code)


# -- dialing by a link -------------------------------------------------------------------------------------------------


def test_a_dial_by_a_link_to_another_carrier_is_refused() -> None:
    transport = StubTransport()
    with pytest.raises(UnsupportedFeature, match="another SIP carrier"):
        provider()[0].check_dial(replace(DIAL, trunk_ref="x"))
    assert transport.requests == []
