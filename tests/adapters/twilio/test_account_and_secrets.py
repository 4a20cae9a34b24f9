from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from gateway.byoc import CarrierNumber
from gateway.errors import ConfigurationError, MissingExtra, RequestRefused, ValidationError
from gateway.interface import AccountInfo
from gateway.registry import open_provider
from providers.twilio import TwilioProvider
from tests.adapters.twilio.support import (
    ACCOUNT,
    ACCOUNT_RESOURCE,
    API_KEY,
    BALANCE,
    DIAL,
    NUMBER,
    SECRETS,
    StubTransport,
    fault,
    page,
    provider,
    reply,
)

SHARED = {"shared_key_id": "webhooks_sharedkey_01", "shared_key_secret": "x" * 32}


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"account_sid": ACCOUNT},
        {"auth_token": "a" * 32},
        SECRETS | {"auth_token": ""},
        SECRETS | {"auth_token_secondary": ""},
        SECRETS | {"api_key": "x"},
        SECRETS | {"api_key_sid": API_KEY["api_key_sid"]},
        SECRETS | {"api_key_secret": API_KEY["api_key_secret"]},
        SECRETS | {"shared_key_secret": "x" * 32},
    ],
)
def test_absent_empty_unknown_and_half_secrets_are_refused(secrets: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        TwilioProvider(secrets)


@pytest.mark.parametrize(
    "secrets", [SECRETS, SECRETS | API_KEY, SECRETS | SHARED, SECRETS | API_KEY | SHARED]
)
def test_well_formed_secrets_are_taken(secrets: dict[str, str]) -> None:
    TwilioProvider.check_secrets(secrets)
    assert open_provider("twilio", secrets).account_ref == ACCOUNT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account_sid", "AC123"),
        ("account_sid", " " + ACCOUNT),
        ("account_sid", "SK" + ACCOUNT[2:]),
        ("account_sid", ACCOUNT + "\n"),
        ("auth_token", "short"),
        ("auth_token", "g" * 32),
        ("auth_token", "a" * 33),
        ("api_key_sid", "AC" + "1" * 32),
        ("api_key_secret", "with space in it ok"),
        ("shared_key_id", "a,algorithm=HMAC_SHA1"),
    ],
)
def test_a_malformed_secret_is_named_and_never_shown(field: str, value: str) -> None:
    secrets = SECRETS | API_KEY | SHARED | {field: value}
    with pytest.raises(ValidationError) as caught:
        TwilioProvider.check_secrets(secrets)
    assert caught.value.field == field
    assert value.strip() not in str(caught.value)


def test_an_unencrypted_base_url_is_refused_unless_it_is_on_loopback() -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        TwilioProvider(SECRETS, base_url="http://api.example.net")
    assert TwilioProvider(SECRETS, base_url="http://127.0.0.1:9/twilio").account_ref == ACCOUNT


def test_requests_go_below_a_given_base_url() -> None:
    from tests.adapters.twilio.support import rest_call

    transport = StubTransport(reply(201, rest_call()))
    TwilioProvider(SECRETS, transport=transport, base_url="http://127.0.0.1:9/twilio/").dial(DIAL)
    assert transport.requests[0].url == f"http://127.0.0.1:9/twilio/2010-04-01/Accounts/{ACCOUNT}/Calls.json"


def test_importing_and_constructing_load_no_vendor_library_no_flask_and_no_database() -> None:
    code = (
        "import sys\n"
        "from gateway.registry import open_provider\n"
        f"open_provider('twilio', {SECRETS!r})\n"
        "print(sorted({'twilio', 'requests', 'flask', 'sqlalchemy', 'httpx'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_library_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twilio.rest", None)
    adapter, transport = provider()
    with pytest.raises(MissingExtra, match=r"telephony-gateway\[twilio\]"):
        adapter.dial(DIAL)
    assert transport.requests == []


# -- the account ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "kind", "voice"),
    [
        ({}, "active", "main", True),
        ({"type": "Trial"}, "active", "trial", True),
        ({"owner_account_sid": "AC" + "9" * 32}, "active", "sub_account", True),
        ({"status": "suspended"}, "suspended", "main", False),
        ({"status": "closed"}, "closed", "main", False),
        ({"status": "dreaming"}, "unknown", "main", None),
    ],
)
def test_the_account_tells_its_status_its_kind_and_its_balance(
    changes: dict[str, str], status: str, kind: str, voice: bool | None
) -> None:
    adapter, transport = provider(reply(200, ACCOUNT_RESOURCE | changes), BALANCE)
    info = adapter.check_account()
    assert (info.account_ref, info.name, info.status, info.kind) == (ACCOUNT, "Acme", status, kind)
    assert (info.voice_allowed, info.balance, info.currency) == (voice, "12.34", "USD")
    assert ["trial account" in note for note in info.notes] == ([True] if kind == "trial" else [])
    assert [(r.method, r.url) for r in transport.requests] == [
        ("GET", f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}.json"),
        ("GET", f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Balance.json"),
    ]


def test_an_account_without_a_balance_is_no_worse() -> None:
    adapter, _ = provider(reply(200, ACCOUNT_RESOURCE), fault(404, 20404))
    assert adapter.check_account() == AccountInfo(
        account_ref=ACCOUNT, name="Acme", status="active", kind="main", voice_allowed=True
    )


def test_a_bad_token_is_refused_with_twilios_code_and_what_to_do() -> None:
    adapter, transport = provider(fault(401, 20003, "Authenticate"))
    with pytest.raises(RequestRefused, match="Authenticate: Account SID and auth token do not fit") as caught:
        adapter.check_account()
    assert (caught.value.vendor_code, caught.value.http_status) == ("20003", 401)
    assert len(transport.requests) == 1


def logins(transport: StubTransport) -> list[str]:
    told = [dict(request.headers)["Authorization"].removeprefix("Basic ") for request in transport.requests]
    return [base64.b64decode(each).decode().partition(":")[0] for each in told]


def test_with_token_and_key_the_token_reads_the_account_and_the_key_proves_itself() -> None:
    adapter, transport = provider(
        reply(200, ACCOUNT_RESOURCE), BALANCE, page("incoming_phone_numbers", []), **API_KEY
    )
    assert adapter.check_account().status == "active"
    assert logins(transport) == [ACCOUNT, ACCOUNT, API_KEY["api_key_sid"]]
    assert (transport.path(), transport.query()) == ("/IncomingPhoneNumbers.json", {"PageSize": ["1"]})


def test_a_wrong_key_beside_a_right_token_is_refused_with_what_to_do() -> None:
    adapter, _ = provider(reply(200, ACCOUNT_RESOURCE), BALANCE, fault(401, 20003, "Authenticate"), **API_KEY)
    with pytest.raises(RequestRefused, match="does not take the API key"):
        adapter.check_account()


def test_a_key_without_a_token_works_and_says_that_it_cannot_verify_webhooks() -> None:
    transport = StubTransport(fault(401, 20003, "Authenticate"), page("incoming_phone_numbers", []))
    info = TwilioProvider({"account_sid": ACCOUNT, **API_KEY}, transport=transport).check_account()
    assert (info.account_ref, info.status, info.voice_allowed) == (ACCOUNT, "unknown", None)
    assert info.notes == (
        "A Twilio API key cannot verify webhooks: give the auth token too, or a shared key.",
        "This API key may not read the account: its status and balance are not known.",
    )
    assert logins(transport) == [API_KEY["api_key_sid"]] * 2


def test_a_wrong_key_alone_is_refused_by_both_reads() -> None:
    transport = StubTransport(fault(401, 20003, "Authenticate"), fault(401, 20003, "Authenticate"))
    with pytest.raises(RequestRefused):
        TwilioProvider({"account_sid": ACCOUNT, **API_KEY}, transport=transport).check_account()


# -- numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_are_listed_to_the_last_page_with_what_they_point_at() -> None:
    fax = NUMBER | {"sid": "PN" + "1" * 32, "phone_number": "+14155550101", "capabilities": {"voice": False}}
    following = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json?PageSize=200&Page=1&PageToken=PAx"
    adapter, transport = provider(
        page("incoming_phone_numbers", [NUMBER], following), page("incoming_phone_numbers", [fax])
    )
    first, second = adapter.list_numbers()
    assert first == CarrierNumber(
        e164="+14155550100",
        carrier_ref="PN00112233445566778899aabbccddeeff",
        has_voice=True,
        settings={
            "friendly_name": "Front desk",
            "trunk_sid": "",
            "voice_application_sid": "",
            "voice_url": "https://old.example.net/voice",
            "voice_method": "GET",
            "voice_fallback_url": "",
            "voice_fallback_method": "POST",
            "status_callback": "",
            "status_callback_method": "POST",
            "voice_receive_mode": "voice",
        },
    )
    assert (second.e164, second.has_voice) == ("+14155550101", False)
    assert transport.requests[1].url == f"https://api.twilio.com{following}"


@pytest.mark.parametrize("capabilities", [None, {}, {"voice": "true"}, {"sms": True}])
def test_only_a_plain_true_makes_a_voice_number(capabilities: object) -> None:
    adapter, _ = provider(page("incoming_phone_numbers", [NUMBER | {"capabilities": capabilities}]))
    assert [number.has_voice for number in adapter.list_numbers()] == [False]
