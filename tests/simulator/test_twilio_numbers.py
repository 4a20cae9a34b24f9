"""Accounts, numbers, inventory and verified caller ids of the simulated Twilio, as a gateway sets them up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from providers.simulator import Account, Answer, Caller, Fault, Simulator
from providers.simulator.carriers.twilio.face import Face
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS = "+14155550100", "+14155550123"
TALK = "<Response><Pause length='3600'/></Response>"
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


@pytest.fixture
def face(sim: Simulator) -> Face:
    face = sim.face("twilio")
    assert isinstance(face, Face)
    return face


def number_path(api: Api, number: str = OURS) -> str:
    listed = api("GET", f"/IncomingPhoneNumbers.json?PhoneNumber=%2B{number[1:]}")[1]
    return f"/IncomingPhoneNumbers/{listed['incoming_phone_numbers'][0]['sid']}.json"


def code_of(answer: tuple[int, Any]) -> tuple[int, int]:
    return answer[0], answer[1]["code"]


# -- accounts and keys


def test_a_sub_account_has_its_own_token_and_its_parents_opens_it_too(
    sim: Simulator, account: Account
) -> None:
    sub = sim.add_sub_account(account, "Branch")
    sim.add_number(sub, "+14155550111")
    parent, own = Api(sim=sim, account=account), Api(sim=sim, account=sub)
    by_parent = Api(
        sim=sim,
        account=sub,
        user=account.secrets["account_sid"],
        password=account.secrets["auth_token"],
    )
    assert own("GET", ".json")[1]["owner_account_sid"] == account.account_ref
    assert parent("GET", ".json")[1]["owner_account_sid"] == account.account_ref
    for api in (own, by_parent):
        listed = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"]
        assert [number["phone_number"] for number in listed] == ["+14155550111"]
    reversed_ = Api(sim=sim, account=account, user=sub.account_ref, password=sub.secrets["auth_token"])
    assert code_of(reversed_("GET", ".json")) == (404, 20404)
    assert own("GET", "/Balance.json")[0] == 404
    with pytest.raises(ValueError, match="no sub-accounts"):
        sim.add_sub_account(sub, "Twig")


def test_a_sub_account_is_made_listed_and_suspended_over_the_api(sim: Simulator, account: Account) -> None:
    api = Api(sim=sim, account=account)
    status, made = api("POST", "/2010-04-01/Accounts.json", [("FriendlyName", "Branch")])
    assert (status, made["owner_account_sid"], made["status"]) == (201, account.account_ref, "active")
    listed = api("GET", "/2010-04-01/Accounts.json?Status=active")[1]["accounts"]
    assert [one["friendly_name"] for one in listed] == ["Acme", "Branch"]
    path = f"/2010-04-01/Accounts/{made['sid']}.json"
    assert api("POST", path, [("Status", "suspended")])[1]["status"] == "suspended"
    assert api("GET", path)[1]["status"] == "suspended"
    below = path.removesuffix(".json")
    assert code_of(api("GET", f"{below}/IncomingPhoneNumbers.json")) == (403, 20005)
    assert api("POST", path, [("Status", "closed")])[1]["status"] == "closed"
    assert code_of(api("POST", path, [("Status", "active")])) == (409, 20409)
    assert code_of(api("POST", ".json", [("Status", "closed")])) == (403, 20403)
    tokens = [entry.data["answer"] for entry in sim.journal.requests("twilio", "account")]
    assert not any(made["auth_token"] in text for text in tokens if text)


def test_an_inactive_account_shows_itself_and_does_nothing_else(
    sim: Simulator, account: Account, api: Api, face: Face
) -> None:
    sim.change_account(account, status="suspended", balance="-3.50000")
    assert api("GET", ".json")[1]["status"] == "suspended"
    assert code_of(api("GET", "/IncomingPhoneNumbers.json")) == (403, 20005)
    assert code_of(api.dial(To=THEIRS, From=OURS, Twiml=TALK)) == (403, 20005)
    call = sim.ring(OURS, THEIRS, Caller(talk_s=1))
    sim.wait(call)
    assert call.truth == "failed"
    face.habits.hides_inactive_account = True
    assert code_of(api("GET", ".json")) == (403, 20005)
    sim.change_account(account, status="active")
    assert api("GET", "/Balance.json")[1]["balance"] == "-3.50000"
    with pytest.raises(ValueError, match="status="):
        sim.change_account(account, status="asleep")


def test_a_standard_key_reads_numbers_and_not_the_account(
    sim: Simulator, account: Account, face: Face
) -> None:
    sid, secret = face.add_api_key(account)
    key = Api(sim=sim, account=account, user=sid, password=secret)
    assert code_of(key("GET", ".json")) == (401, 20003)
    assert code_of(key("GET", "/2010-04-01/Accounts.json")) == (401, 20003)
    assert key("GET", "/IncomingPhoneNumbers.json?PageSize=1")[0] == 200
    main_sid, main_secret = face.add_api_key(account, is_main=True)
    assert Api(sim=sim, account=account, user=main_sid, password=main_secret)("GET", ".json")[0] == 200


def test_a_trial_account_calls_verified_numbers_only_and_has_one_number(
    sim: Simulator, account: Account, api: Api
) -> None:
    sim.change_account(account, kind="trial")
    sim.add_inventory("twilio", "+14155550188")
    assert api("GET", ".json")[1]["type"] == "Trial"
    assert code_of(api.dial(To=THEIRS, From=OURS, Twiml=TALK)) == (400, 21219)
    assert code_of(api("POST", "/IncomingPhoneNumbers.json", [("PhoneNumber", "+14155550188")])) == (
        400,
        21404,
    )
    sim.verify_caller_id(account, THEIRS)
    assert api.dial(To=THEIRS, From=OURS, Twiml=BYE)[0] == 201


# -- numbers


def test_ten_thousand_numbers_are_paged_to_the_end_once_each(sim: Simulator) -> None:
    account = sim.add_account("twilio")
    numbers = sim.add_numbers(account, 10_000)
    api, uri, seen, pages = Api(sim=sim, account=account), "", [], 0
    uri = f"/2010-04-01/Accounts/{account.account_ref}/IncomingPhoneNumbers.json?PageSize=1000"
    while uri:
        page = api("GET", uri)[1]
        pages += 1
        seen += [number["phone_number"] for number in page["incoming_phone_numbers"]]
        uri = page["next_page_uri"]
    assert (pages, seen) == (10, numbers)


def test_a_page_holds_a_thousand_at_most_and_a_wrong_token_is_refused(sim: Simulator) -> None:
    account = sim.add_account("twilio")
    sim.add_numbers(account, 1_500)
    api = Api(sim=sim, account=account)
    page = api("GET", "/IncomingPhoneNumbers.json?PageSize=5000")[1]
    assert (page["page_size"], len(page["incoming_phone_numbers"])) == (1000, 1000)
    assert "PageToken=PA1000" in page["next_page_uri"]
    last = api("GET", page["next_page_uri"])[1]
    assert (len(last["incoming_phone_numbers"]), last["next_page_uri"]) == (500, None)
    assert code_of(api("GET", "/IncomingPhoneNumbers.json?PageToken=../x")) == (400, 20001)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("PhoneNumber=555", 2),
        ("PhoneNumber=%2B1415*55010*", 1),
        ("PhoneNumber=%2B44", 1),
        ("FriendlyName=front", 1),
        ("Origin=twilio", 3),
        ("Origin=hosted", 0),
    ],
)
def test_numbers_are_filtered_by_parts_with_wildcards(
    sim: Simulator, account: Account, api: Api, query: str, count: int
) -> None:
    sim.add_number(account, "+14165550101", kind="toll_free", settings={"friendly_name": "front"})
    sim.add_number(account, "+442071838750", kind="mobile")
    assert len(api("GET", f"/IncomingPhoneNumbers.json?{query}")[1]["incoming_phone_numbers"]) == count


def test_numbers_are_listed_by_their_kind(sim: Simulator, account: Account, api: Api) -> None:
    sim.add_number(account, "+18005550101", kind="toll_free")
    for word, number in (("Local", OURS), ("TollFree", "+18005550101")):
        listed = api("GET", f"/IncomingPhoneNumbers/{word}.json")[1]["incoming_phone_numbers"]
        assert [one["phone_number"] for one in listed] == [number]
    assert api("GET", "/IncomingPhoneNumbers/Mobile.json")[1]["incoming_phone_numbers"] == []


def test_a_number_without_voice_says_so_and_takes_no_calls(
    sim: Simulator, account: Account, api: Api
) -> None:
    sim.add_number(account, "+14155550199", voice=False, settings={"voice_url": "https://gw.example.net/v"})
    assert api("GET", number_path(api, "+14155550199"))[1]["capabilities"]["voice"] is False
    call = sim.ring("+14155550199", THEIRS, Caller(talk_s=1))
    sim.wait(call)
    assert call.truth == "failed"


def test_an_emergency_address_is_registered_and_shown(sim: Simulator, account: Account, api: Api) -> None:
    given = [("EmergencyStatus", "Active"), ("EmergencyAddressSid", "AD" + "1" * 32)]
    changed = api("POST", number_path(api), given)[1]
    assert (changed["emergency_status"], changed["emergency_address_status"]) == ("Active", "registered")
    sim.change_number(account, OURS, emergency_address_sid=None, emergency_address_status="unregistered")
    assert api("GET", number_path(api))[1]["emergency_address_sid"] is None


def test_a_number_moves_between_a_main_account_and_its_sub_accounts_only(
    sim: Simulator, account: Account, api: Api
) -> None:
    sub, stranger = sim.add_sub_account(account, "Branch"), sim.add_account("twilio")
    path = number_path(api)
    assert code_of(api("POST", path, [("AccountSid", stranger.account_ref)])) == (404, 20404)
    moved = api("POST", path, [("AccountSid", sub.account_ref)])[1]
    assert moved["account_sid"] == sub.account_ref
    assert code_of(api("GET", path)) == (404, 20404)
    assert sim.number_settings(sub, OURS)["sid"] == moved["sid"]
    assert sim.ring(OURS, THEIRS).account_ref == sub.account_ref


@pytest.mark.parametrize(
    ("name", "prefix", "code"), [("VoiceApplicationSid", "AP", 21218), ("TrunkSid", "TK", 20001)]
)
def test_a_number_points_at_nothing_that_is_not_there(api: Api, name: str, prefix: str, code: int) -> None:
    assert code_of(api("POST", number_path(api), [(name, prefix + "0" * 32)])) == (400, code)


# -- a call follows the number's settings


def test_a_call_follows_what_the_api_has_set(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/voice": (500, "no"), "/fallback": BYE}) as customer:
        settings = [
            ("VoiceUrl", customer.url("/voice")),
            ("VoiceFallbackUrl", customer.url("/fallback")),
            ("VoiceFallbackMethod", "GET"),
            ("StatusCallback", customer.url("/status")),
        ]
        assert api("POST", number_path(api), settings)[0] == 200
        call = sim.ring(OURS, THEIRS)
        sim.wait(call)
        assert (call.truth, len(customer.at("/fallback"))) == ("answered", 1)
        assert [got.fields["CallStatus"] for got in customer.at("/status")] == ["completed"]


def test_an_application_goes_before_the_voice_url(sim: Simulator, account: Account, api: Api) -> None:
    with Customer(replies={"/app": BYE, "/voice": BYE}) as customer:
        form = [("VoiceUrl", customer.url("/app")), ("StatusCallback", customer.url("/app-status"))]
        status, application = api("POST", "/Applications.json", form)
        assert (status, application["voice_method"]) == (201, "POST")
        pointing = [("VoiceUrl", customer.url("/voice")), ("VoiceApplicationSid", application["sid"])]
        assert api("POST", number_path(api), pointing)[1]["voice_application_sid"] == application["sid"]
        sim.wait(sim.ring(OURS, THEIRS))
        assert [got.path for got in customer.received] == ["/app", "/app-status"]
        sim.change_application(account, application["sid"], voice_url=customer.url("/voice"))
        sim.wait(sim.ring(OURS, THEIRS))
        assert customer.received[2].path == "/voice"
        sim.remove_application(account, application["sid"])
        assert sim.applications(account) == []
        call = sim.ring(OURS, THEIRS, Caller(talk_s=1))
        sim.wait(call)
        assert call.truth == "failed"
        with pytest.raises(KeyError):
            sim.remove_application(account, application["sid"])


def test_an_elastic_trunk_goes_before_everything_and_asks_nobody(
    sim: Simulator, account: Account, api: Api
) -> None:
    with Customer(replies={"/voice": BYE, "/disaster": BYE}) as customer:
        trunk = api("POST", "/v1/Trunks", [("DisasterRecoveryUrl", customer.url("/disaster"))])[1]
        sim.change_number(
            account, OURS, trunk_sid=trunk["sid"], voice_url=customer.url("/voice"), status_callback=""
        )
        sim.wait(sim.ring(OURS, THEIRS))
        assert [got.path for got in customer.received] == ["/disaster"]
        way = [("SipUrl", "sip:pbx.example.com"), ("Weight", "1"), ("Priority", "1"), ("Enabled", "true")]
        made = api("POST", f"/v1/Trunks/{trunk['sid']}/OriginationUrls", [*way, ("FriendlyName", "pbx")])
        assert made[0] == 201
        call = sim.ring(OURS, THEIRS, Caller(talk_s=2))
        sim.wait(call)
        assert (call.truth, len(customer.received)) == ("answered", 1)
        assert api("GET", f"/Calls/{call.id}.json")[1]["trunk_sid"] == trunk["sid"]
        assert api("DELETE", f"/v1/Trunks/{trunk['sid']}/PhoneNumbers/{_sid_of(api)}")[0] == 204
        sim.wait(sim.ring(OURS, THEIRS))
        assert customer.received[-1].path == "/voice"


def test_an_outbound_call_runs_its_application(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/app": BYE}) as customer:
        form = [("VoiceUrl", customer.url("/app")), ("StatusCallback", customer.url("/status"))]
        application = api("POST", "/Applications.json", form)[1]
        call = api.dial(To=THEIRS, From=OURS, ApplicationSid=application["sid"])[1]
        sim.wait(call["sid"])
        assert (len(customer.at("/app")), customer.statuses()) == (1, ["completed"])


def _sid_of(api: Api) -> str:
    return number_path(api).rpartition("/")[2].removesuffix(".json")


# -- search and buy


@pytest.fixture
def shop(sim: Simulator) -> None:
    sim.add_inventory("twilio", "+14155550201", locality="San Francisco", region="CA", monthly="1.15")
    sim.add_inventory("twilio", "+14155550202", region="CA", needs_address=True)
    sim.add_inventory("twilio", "+12125550203", region="NY", voice=False)
    sim.add_inventory("twilio", "+18005550204", kind="toll_free", monthly="2.15")
    sim.add_inventory("twilio", "+442071838750", country="GB")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("US/Local.json", ["+14155550201", "+14155550202", "+12125550203"]),
        ("US/Local.json?AreaCode=415", ["+14155550201", "+14155550202"]),
        ("US/Local.json?Contains=%2B1415%250202$", ["+14155550202"]),
        ("US/Local.json?Contains=55502*3", ["+12125550203"]),
        ("US/Local.json?VoiceEnabled=true&InRegion=CA", ["+14155550201", "+14155550202"]),
        ("US/Local.json?ExcludeAllAddressRequired=true&AreaCode=415", ["+14155550201"]),
        ("US/Local.json?InLocality=San+Francisco", ["+14155550201"]),
        ("US/TollFree.json", ["+18005550204"]),
        ("GB/Local.json", ["+442071838750"]),
        ("FR/Mobile.json", []),
    ],
)
def test_the_inventory_is_searched(api: Api, query: str, found: list[str]) -> None:
    status, page = api("GET", f"/AvailablePhoneNumbers/{query}")
    assert (status, [one["phone_number"] for one in page["available_phone_numbers"]]) == (200, found)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("XX/Local.json", 404, 20404),
        ("US/Satellite.json", 404, 20404),
        ("GB/Local.json?AreaCode=415", 400, 21451),
        ("US/Local.json?AreaCode=41", 400, 21451),
        ("US/Local.json?Contains=4", 400, 20001),
        ("US/Local.json?VoiceEnabled=yes", 400, 20001),
        ("US/Local.json?Colour=red", 400, 20001),
        ("US/Local.json?NearNumber=%2B14155550100", 400, 20001),
    ],
)
def test_a_wrong_search_is_refused(api: Api, query: str, status: int, code: int) -> None:
    assert code_of(api("GET", f"/AvailablePhoneNumbers/{query}")) == (status, code)


@pytest.mark.usefixtures("shop")
def test_countries_and_prices_are_told(api: Api) -> None:
    countries = api("GET", "/AvailablePhoneNumbers.json")[1]["countries"]
    assert [one["country_code"] for one in countries] == ["GB", "US"]
    assert "local" in api("GET", "/AvailablePhoneNumbers/US.json")[1]["subresource_uris"]
    prices = api("GET", "/v1/PhoneNumbers/Countries/US")[1]
    by_kind = {one["number_type"]: one["current_price"] for one in prices["phone_number_prices"]}
    assert (by_kind, prices["price_unit"]) == ({"local": "1.15", "toll free": "2.15"}, "USD")


@pytest.mark.usefixtures("shop")
def test_a_bought_number_is_held_with_its_settings_and_rings(
    sim: Simulator, account: Account, api: Api
) -> None:
    with Customer(replies={"/voice": BYE}) as customer:
        form = [("PhoneNumber", "+14155550201"), ("VoiceUrl", customer.url("/voice"))]
        status, bought = api("POST", "/IncomingPhoneNumbers.json", form)
        assert (status, bought["phone_number"], bought["voice_url"]) == (201, form[0][1], form[1][1])
        assert code_of(api("POST", "/IncomingPhoneNumbers.json", form)) == (400, 21422)
        call = sim.ring("+14155550201", THEIRS)
        sim.wait(call)
        assert call.truth == "answered"
        assert api("DELETE", f"/IncomingPhoneNumbers/{bought['sid']}.json")[0] == 204
        assert [entry.data["operation"] for entry in sim.writes("twilio")] == ["buy", "release"]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, 21421),
        ({"PhoneNumber": "4155550201"}, 21421),
        ({"PhoneNumber": "+14155550299"}, 21422),
        ({"PhoneNumber": "+14155550202"}, 21631),
        ({"AreaCode": "041"}, 21451),
        ({"AreaCode": "907"}, 21452),
        ({"PhoneNumber": "+14155550201", "VoiceUrl": "nonsense"}, 21402),
        ({"PhoneNumber": "+14155550201", "VoiceFallbackUrl": "https://gw.example.net/f"}, 21405),
        ({"PhoneNumber": "+14155550201", "Price": "0"}, 20001),
    ],
)
def test_a_purchase_is_refused_with_its_code_and_nothing_is_bought(
    api: Api, form: dict[str, str], code: int
) -> None:
    assert code_of(api("POST", "/IncomingPhoneNumbers.json", list(form.items()))) == (400, code)
    assert len(api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"]) == 1


@pytest.mark.usefixtures("shop")
def test_a_purchase_whose_answer_is_lost_was_made_once(sim: Simulator, api: Api) -> None:
    sim.faults.api("twilio", "buy", Fault.SERVER_ERROR_AFTER)
    assert api("POST", "/IncomingPhoneNumbers.json", [("AreaCode", "415")])[0] == 503
    assert api("GET", number_path(api, "+14155550201"))[0] == 200


# -- verified caller ids


def test_a_caller_id_is_verified_by_the_code_typed_on_the_phone(
    sim: Simulator, account: Account, api: Api
) -> None:
    theirs = "+442071838750"
    with Customer() as customer:
        form = [
            ("PhoneNumber", theirs),
            ("FriendlyName", "desk"),
            ("StatusCallback", customer.url("/verified")),
        ]
        assert code_of(api.dial(To=THEIRS, From=theirs, Twiml=BYE)) == (400, 21210)
        status, begun = api("POST", "/OutgoingCallerIds.json", form)
        assert (status, len(begun["validation_code"]), begun["phone_number"]) == (200, 6, theirs)
        wrong = "000000" if begun["validation_code"] != "000000" else "000001"
        assert sim.type_code(account, theirs, wrong) is False
        assert api("GET", "/OutgoingCallerIds.json")[1]["outgoing_caller_ids"] == []
        assert sim.type_code(account, theirs, begun["validation_code"]) is True
        shown = api("GET", f"/OutgoingCallerIds.json?PhoneNumber=%2B{theirs[1:]}")[1]["outgoing_caller_ids"]
        assert [one["friendly_name"] for one in shown] == ["desk"]
        sim.wait(lambda: customer.at("/verified"))
        told = customer.at("/verified")[0].fields
        assert (told["VerificationStatus"], told["OutgoingCallerIdSid"]) == ("success", shown[0]["sid"])
        assert api.dial(To=THEIRS, From=theirs, Twiml=BYE)[0] == 201
        assert code_of(api("POST", "/OutgoingCallerIds.json", form)) == (400, 21450)
        path = f"/OutgoingCallerIds/{shown[0]['sid']}.json"
        assert api("POST", path, [("FriendlyName", "front desk")])[1]["friendly_name"] == "front desk"
        assert api("DELETE", path) == (204, None)
        assert code_of(api("GET", path)) == (404, 20404)
        assert code_of(api.dial(To=THEIRS, From=theirs, Twiml=BYE)) == (400, 21210)


def test_a_validation_fails_after_three_wrong_codes(sim: Simulator, account: Account, api: Api) -> None:
    with Customer() as customer:
        form = [("PhoneNumber", THEIRS), ("StatusCallback", customer.url("/verified"))]
        code = api("POST", "/OutgoingCallerIds.json", form)[1]["validation_code"]
        assert [sim.type_code(account, THEIRS, code + "0") for _ in range(3)] == [False] * 3
        sim.wait(lambda: customer.at("/verified"))
        assert customer.at("/verified")[0].fields["VerificationStatus"] == "failed"
        with pytest.raises(KeyError, match="no validation"):
            sim.type_code(account, THEIRS, code)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, 21201),
        ({"PhoneNumber": "020 7183 8750"}, 21211),
        ({"PhoneNumber": OURS}, 21450),
        ({"PhoneNumber": THEIRS, "CallDelay": "61"}, 20001),
        ({"PhoneNumber": THEIRS, "FriendlyName": "x" * 65}, 20001),
        ({"PhoneNumber": THEIRS, "Sms": "true"}, 20001),
    ],
)
def test_a_wrong_validation_request_is_refused(api: Api, form: dict[str, str], code: int) -> None:
    assert code_of(api("POST", "/OutgoingCallerIds.json", list(form.items()))) == (400, code)


# -- dialing permissions


def test_a_country_without_permission_is_not_called(sim: Simulator, account: Account, api: Api) -> None:
    british = "+442071838750"
    sim.script(british, Answer(talk_s=1))
    path = "/v1/DialingPermissions/Countries/GB"
    assert api("GET", path)[1]["low_risk_numbers_enabled"] is True
    sim.permit(account, "GB", False)
    permission = api("GET", path)[1]
    assert (permission["low_risk_numbers_enabled"], permission["country_codes"]) == (False, ["+44"])
    assert code_of(api.dial(To=british, From=OURS, Twiml=BYE)) == (400, 21215)
    forward = f"<Response><Dial><Number>{british}</Number></Dial></Response>"
    sim.script(THEIRS, Answer(talk_s=5))
    call = api.dial(To=THEIRS, From=OURS, Twiml=forward)[1]["sid"]
    sim.wait(call)
    assert sim.call(call).legs == []
    notes = api("GET", f"/Calls/{call}/Notifications.json")[1]["notifications"]
    assert [note["error_code"] for note in notes] == ["13227"]
    forbidden = api("GET", "/v1/DialingPermissions/Countries?LowRiskNumbersEnabled=false")[1]["content"]
    assert [one["iso_code"] for one in forbidden] == ["GB"]
    sim.permit(account, "GB", True)
    assert api.dial(To=british, From=OURS, Twiml=BYE)[0] == 201


def test_a_sub_account_has_its_parents_permissions_unless_it_inherits_none(
    sim: Simulator, account: Account
) -> None:
    sub = sim.add_sub_account(account, "Branch")
    api = Api(sim=sim, account=sub)
    sim.permit(account, "CA", False)
    path = "/v1/DialingPermissions/Countries/US"
    assert (
        api("GET", path)[1]["low_risk_numbers_enabled"] is False
    )  # "United States/Canada" is one permission
    status, settings = api("POST", "/v1/Settings", [("DialingPermissionsInheritance", "false")])
    assert (status, settings["dialing_permissions_inheritance"]) == (202, False)
    assert api("GET", path)[1]["low_risk_numbers_enabled"] is True
    assert code_of(api("GET", "/v1/DialingPermissions/Countries/XX")) == (404, 20404)
