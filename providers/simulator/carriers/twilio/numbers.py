"""Twilio's accounts, numbers, inventory, verified caller ids, prices and dialing permissions over REST."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import phonenumbers

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.base import Offer
from providers.simulator.carriers.twilio.access import ACCOUNT, PAGING, Access
from providers.simulator.carriers.twilio.checks import (
    BOOLEAN,
    BUY_RULES,
    CALLER_ID_RULES,
    NUMBER_RULES,
    SEARCH_NOT_PLAYED,
    SEARCH_RULES,
    Fields,
    Refusal,
    Rule,
    form_of,
    not_found,
    one_of,
)
from providers.simulator.carriers.twilio.model import (
    TRIAL,
    CallerId,
    TwilioAccount,
    TwilioNumber,
    Validation,
    permission_of,
)
from providers.simulator.carriers.twilio.resources import (
    KINDS,
    account_json,
    available_json,
    balance_json,
    caller_id_json,
    country_json,
    number_json,
    page_json,
    permission_json,
    price_json,
    snake,
    v1_page_json,
)

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.console import Console

NUMBERS: Final = f"{ACCOUNT}/IncomingPhoneNumbers"
AVAILABLE: Final = f"{ACCOUNT}/AvailablePhoneNumbers"
CALLER_IDS: Final = f"{ACCOUNT}/OutgoingCallerIds"
COUNTRIES: Final = "/v1/DialingPermissions/Countries"
PREFIXES: Final = f"{COUNTRIES}/{{country}}/HighRiskSpecialPrefixes"
NUMBER_FILTERS: Final = ("Beta", "FriendlyName", "PhoneNumber", "Origin")
PERMISSION_FILTERS: Final = {
    "LowRiskNumbersEnabled": "low_risk_numbers_enabled",
    "HighRiskSpecialNumbersEnabled": "high_risk_special_numbers_enabled",
    "HighRiskTollfraudNumbersEnabled": "high_risk_tollfraud_numbers_enabled",
}
NAME_RULES: Final[dict[str, Rule]] = {"FriendlyName": (20001, lambda text: len(text) <= 64)}
ACCOUNT_RULES: Final[dict[str, Rule]] = {
    **NAME_RULES,
    "Status": (20001, one_of("active", "suspended", "closed")),
}
SETTINGS_RULES: Final[dict[str, Rule]] = {"DialingPermissionsInheritance": (20001, BOOLEAN)}


class Numbers:
    """The routes of what an account is, has and may."""

    def __init__(self, face: Console, access: Access) -> None:
        self._face = face
        self._guard = access.guard

    def routes(self) -> Sequence[Route]:
        """Every resource of this module."""
        guard = self._guard
        number, caller_id = f"{NUMBERS}/{{number}}.json", f"{CALLER_IDS}/{{caller_id}}.json"
        by_kind = [
            route
            for word, kind in KINDS.items()
            if word in ("Local", "Mobile", "TollFree")
            for route in (
                Route("GET", f"{NUMBERS}/{word}.json", "numbers", guard(self._list_numbers(kind))),
                Route("POST", f"{NUMBERS}/{word}.json", "buy", guard(self._buy(kind))),
            )
        ]
        return (
            Route("GET", "/2010-04-01/Accounts.json", "account", guard(self._list_accounts, is_account=True)),
            Route("POST", "/2010-04-01/Accounts.json", "account", guard(self._make_account, is_account=True)),
            Route("GET", f"{ACCOUNT}.json", "account", guard(self._fetch_account, is_account=True)),
            Route("POST", f"{ACCOUNT}.json", "account", guard(self._update_account, is_account=True)),
            Route("GET", f"{ACCOUNT}/Balance.json", "account", guard(self._balance)),
            Route("GET", f"{NUMBERS}.json", "numbers", guard(self._list_numbers(None))),
            Route("POST", f"{NUMBERS}.json", "buy", guard(self._buy(None))),
            *by_kind,
            Route("GET", number, "numbers", guard(self._fetch_number)),
            Route("POST", number, "number_write", guard(self._update_number)),
            Route("DELETE", number, "release", guard(self._release_number)),
            Route("GET", f"{AVAILABLE}.json", "search", guard(self._list_countries)),
            Route("GET", f"{AVAILABLE}/{{country}}.json", "search", guard(self._fetch_country)),
            Route("GET", f"{AVAILABLE}/{{country}}/{{kind}}.json", "search", guard(self._search)),
            Route("GET", "/v1/PhoneNumbers/Countries/{country}", "search", guard(self._prices)),
            Route("GET", f"{CALLER_IDS}.json", "caller_ids", guard(self._list_caller_ids)),
            Route("POST", f"{CALLER_IDS}.json", "caller_ids", guard(self._validate)),
            Route("GET", caller_id, "caller_ids", guard(self._fetch_caller_id)),
            Route("POST", caller_id, "caller_ids", guard(self._rename_caller_id)),
            Route("DELETE", caller_id, "caller_ids", guard(self._delete_caller_id)),
            Route("GET", COUNTRIES, "account", guard(self._list_permissions)),
            Route("GET", f"{COUNTRIES}/{{country}}", "account", guard(self._fetch_permission)),
            Route("GET", PREFIXES, "account", guard(self._list_prefixes)),
            Route("GET", "/v1/Settings", "account", guard(self._settings)),
            Route("POST", "/v1/Settings", "account", guard(self._change_settings)),
        )

    # -- accounts

    def _list_accounts(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, ("FriendlyName", "Status", *PAGING)).given()
        shown = [
            one
            for one in self._face.accounts.values()
            if account in (one, one.parent)
            and given.get("FriendlyName") in (None, one.account.name)
            and given.get("Status") in (None, one.status)
        ]
        return json_answer(page_json(request, "accounts", shown, account_json))

    def _make_account(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        fields = Fields(form_of(request), NAME_RULES)
        fields.check()
        if account.parent is not None:
            raise Refusal(20403, "A sub-account has no sub-accounts")
        made = self._face.add_sub_account(account.account, fields.get("FriendlyName") or "Sub-account")
        return json_answer(account_json(self._face.accounts[made.account_ref]), 201)

    def _fetch_account(self, _request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(account_json(account))

    def _update_account(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        fields = Fields(form_of(request), ACCOUNT_RULES)
        fields.check()
        status = fields.get("Status")
        if status and account.parent is None:
            raise Refusal(20403, "Only the status of a sub-account can be changed")
        if status and account.status == "closed":
            raise Refusal(20409, "A closed account stays closed")
        account.status = status or account.status
        account.account.name = fields.get("FriendlyName") or account.account.name
        account.updated_at = self._face.core.clock.now()
        return json_answer(account_json(account))

    def _balance(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        if account.parent is not None:
            raise not_found(request.path)
        return json_answer(balance_json(account))

    # -- numbers

    def _list_numbers(self, kind: str | None) -> Callable[[ApiRequest, TwilioAccount], ApiAnswer]:
        def handle(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            given = Fields(request.query_pairs(), {}, (*NUMBER_FILTERS, *PAGING)).given()
            is_wanted = _number_filter(given)
            shown = [
                number
                for number in account.numbers.values()
                if kind in (None, number.kind) and is_wanted(number)
            ]
            return json_answer(
                page_json(
                    request,
                    "incoming_phone_numbers",
                    shown,
                    lambda number: _number_json(account, number, kind),
                )
            )

        return handle

    def _fetch_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(number_json(account, self._number(request, account)))

    def _update_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        number = self._number(request, account)
        fields = Fields(form_of(request), NUMBER_RULES)
        fields.check()
        holder = self._new_holder(account, fields.get("AccountSid"))
        number.settings = _changed(account, number.settings, fields.given())
        number.updated_at = self._face.core.clock.now()
        if holder is not account:
            account.release(number)
            holder.hold(number)
        return json_answer(number_json(holder, number))

    def _new_holder(self, account: TwilioAccount, account_sid: str | None) -> TwilioAccount:
        """A number moves between a main account and its sub-accounts only."""
        holder = self._face.accounts.get(account_sid or account.sid)
        if holder is None or (holder.parent or holder) is not (account.parent or account):
            raise Refusal(20404, "The number cannot be moved to that account")
        return holder

    def _release_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        account.release(self._number(request, account))
        return ApiAnswer(status=204, content_type=None)

    def _number(self, request: ApiRequest, account: TwilioAccount) -> TwilioNumber:
        number = account.numbers.get(request.parts["number"])
        if number is None:
            raise not_found(request.path)
        return number

    # -- search and buy

    def _buy(self, kind: str | None) -> Callable[[ApiRequest, TwilioAccount], ApiAnswer]:
        def handle(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            fields = Fields(form_of(request), BUY_RULES)
            fields.check()
            given = fields.given()
            if account.type == TRIAL and account.numbers:
                raise Refusal(21404, "A trial account has one number at most")
            offer = self._wanted_offer(account, kind, given)
            if offer.needs_address and not given.get("AddressSid"):
                raise Refusal(21631, "The number needs an address, but 'AddressSid' is empty")
            first = self._face.new_settings(offer.number)
            settings = _changed(account, first, given)  # nothing is bought when a setting is refused
            number = self._face.take(account, offer, settings)
            return json_answer(_number_json(account, number, kind), 201)

        return handle

    def _wanted_offer(self, account: TwilioAccount, kind: str | None, given: dict[str, str]) -> Offer:
        number, area = given.get("PhoneNumber"), given.get("AreaCode")
        if not number and not area:
            raise Refusal(21421, "Either 'PhoneNumber' or 'AreaCode' is required")
        for offer in self._face.offers(account.account):
            is_it = offer.number == number if number else offer.number.startswith(f"+1{area}")
            if is_it and kind in (None, offer.kind):
                return offer
        if number:
            raise Refusal(21422, f"{number} is not available")
        raise Refusal(21452, f"No numbers are available in area code {area}")

    def _list_countries(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        Fields(request.query_pairs(), {}, PAGING)
        codes = sorted({offer.country for offer in self._face.offers(account.account)})
        uri = f"{request.path}"
        return json_answer({"countries": [country_json(account, code) for code in codes], "uri": uri})

    def _fetch_country(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(country_json(account, _country(request)))

    def _search(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        country, kind = _country(request), KINDS.get(request.parts["kind"])
        if kind is None:
            raise not_found(request.path)
        pairs = request.query_pairs()
        unplayed = [name for name, _ in pairs if name in SEARCH_NOT_PLAYED]
        if unplayed:
            raise Refusal(20001, f"The simulated inventory has no '{unplayed[0]}'")
        fields = Fields(pairs, SEARCH_RULES, PAGING)
        fields.check()
        if fields.get("AreaCode") and country not in ("US", "CA"):
            raise Refusal(21451, "Area codes are of the United States and Canada only")
        is_wanted = _offer_filter(fields)
        shown = [
            offer
            for offer in self._face.offers(account.account)
            if (offer.country, offer.kind) == (country, kind) and is_wanted(offer)
        ]
        return json_answer(page_json(request, "available_phone_numbers", shown, available_json))

    def _prices(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        """Of pricing.twilio.com: by kind of number, the dearest that is on offer."""
        country = _country(request)
        offers = [offer for offer in self._face.offers(account.account) if offer.country == country]
        url = self._face.core.base_url("twilio") + request.path
        return json_answer(price_json(country, offers, url))

    # -- caller ids

    def _list_caller_ids(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        given = Fields(request.query_pairs(), {}, ("PhoneNumber", "FriendlyName", *PAGING)).given()
        shown = [
            one
            for one in account.caller_ids.values()
            if given.get("PhoneNumber") in (None, one.number)
            and given.get("FriendlyName") in (None, one.friendly_name)
        ]
        return json_answer(
            page_json(request, "outgoing_caller_ids", shown, lambda one: caller_id_json(account, one))
        )

    def _validate(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        fields = Fields(form_of(request), CALLER_ID_RULES)
        number = fields.get("PhoneNumber")
        if not number:
            raise Refusal(21201, "Missing required parameter 'PhoneNumber'")
        fields.check()
        if account.may_show(number):
            raise Refusal(21450, "Phone number already validated for your account")
        begun = Validation(
            call_sid=self._face.new_sid("CA"),
            code=f"{self._face.core.random.randrange(10**6):06}",
            friendly_name=fields.get("FriendlyName") or number,
            callback=fields.endpoint("StatusCallback"),
        )
        account.validations[number] = begun
        return json_answer(
            {
                "account_sid": account.sid,
                "call_sid": begun.call_sid,
                "friendly_name": begun.friendly_name,
                "phone_number": number,
                "validation_code": begun.code,
            }
        )

    def _fetch_caller_id(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(caller_id_json(account, _caller_id(request, account)))

    def _rename_caller_id(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        caller_id = _caller_id(request, account)
        fields = Fields(form_of(request), NAME_RULES)
        fields.check()
        caller_id.friendly_name = fields.get("FriendlyName") or caller_id.friendly_name
        caller_id.updated_at = self._face.core.clock.now()
        return json_answer(caller_id_json(account, caller_id))

    def _delete_caller_id(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        number = _caller_id(request, account).number
        del account.caller_ids[number]
        account.account.verified_caller_ids.discard(number)
        return ApiAnswer(status=204, content_type=None)

    # -- dialing permissions: voice.twilio.com

    def _list_permissions(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        names = ("IsoCode", "Continent", "CountryCode", *PERMISSION_FILTERS, *PAGING)
        given = Fields(request.query_pairs(), {}, names).given()
        codes = sorted({permission_of(code) for code in phonenumbers.SUPPORTED_REGIONS})
        shown = [
            document
            for document in (self._permission(account, code) for code in codes)
            if given.get("IsoCode", "").upper() in ("", document["iso_code"])
            and given.get("Continent") in (None, document["continent"])
            and (
                "CountryCode" not in given
                or "+" + given["CountryCode"].lstrip("+") in document["country_codes"]
            )
            and all(
                given.get(name) in (None, str(document[field]).lower())
                for name, field in PERMISSION_FILTERS.items()
            )
        ]
        base_url = self._face.core.base_url("twilio")
        return json_answer(v1_page_json(request, "content", shown, dict, base_url))

    def _fetch_permission(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(self._permission(account, permission_of(_country(request))))

    def _list_prefixes(self, request: ApiRequest, _account: TwilioAccount) -> ApiAnswer:
        """The simulated numbering plans have none."""
        _country(request)
        Fields(request.query_pairs(), {}, PAGING)
        base_url = self._face.core.base_url("twilio")
        return json_answer(v1_page_json(request, "content", [], dict, base_url))

    def _permission(self, account: TwilioAccount, country: str) -> dict[str, Any]:
        source = account.parent if account.parent and account.inherits_permissions else account
        url = f"{self._face.core.base_url('twilio')}{COUNTRIES}/{country}"
        return permission_json(country, country not in source.forbidden, url)

    def _settings(self, _request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(self._settings_json(account))

    def _change_settings(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        fields = Fields(form_of(request), SETTINGS_RULES)
        fields.check()
        if fields.get("DialingPermissionsInheritance"):
            account.inherits_permissions = fields.flag("DialingPermissionsInheritance")
        return json_answer(self._settings_json(account), 202)

    def _settings_json(self, account: TwilioAccount) -> dict[str, Any]:
        url = f"{self._face.core.base_url('twilio')}/v1/Settings"
        return {"dialing_permissions_inheritance": account.inherits_permissions, "url": url}


def _number_json(account: TwilioAccount, number: TwilioNumber, kind: str | None) -> dict[str, Any]:
    """In the lists of one kind of number its `type` is left out."""
    document = number_json(account, number)
    if kind is not None:
        del document["type"]
    return document


def _changed(
    account: TwilioAccount, settings: dict[str, str | bool | None], given: dict[str, str]
) -> dict[str, str | bool | None]:
    """The settings after a change. An application and a trunk exclude each other; an empty sid is null."""
    changes: dict[str, str | bool | None] = {}
    for name, value in given.items():
        if name in ("AccountSid", "ApiVersion", "PhoneNumber", "AreaCode"):
            continue
        empty = None if name.endswith("Sid") else ""
        changes[snake(name)] = value == "true" if value in ("true", "false") else value or empty
    for name, key, code in (
        ("voice_application_sid", "applications", 21218),
        ("sms_application_sid", "applications", 21218),
        ("trunk_sid", "trunks", 20001),
    ):
        found = account.things.get(str(changes.get(name)))
        if changes.get(name) and (found is None or found.key != key):
            raise Refusal(code, f"The account has no such resource: {name}")
    if changes.get("voice_application_sid"):
        changes["trunk_sid"] = None
    elif changes.get("trunk_sid"):
        changes["voice_application_sid"] = None
    changed = settings | changes
    if changed["voice_fallback_url"] and not changed["voice_url"]:
        raise Refusal(21405, "A fallback URL needs a voice URL")
    if changes.keys() & {"emergency_status", "emergency_address_sid"}:
        has_address = changed["emergency_status"] == "Active" and changed["emergency_address_sid"]
        changed["emergency_address_status"] = "registered" if has_address else "unregistered"
    return changed


def _number_filter(given: dict[str, str]) -> Callable[[TwilioNumber], bool]:
    """`PhoneNumber` is a part of the number, with `*` for any digit."""
    wanted = given.get("PhoneNumber", "")
    pattern = re.compile(
        "".join("[0-9]" if letter == "*" else re.escape(letter) for letter in wanted.replace(" ", ""))
    )
    name, origin = given.get("FriendlyName"), given.get("Origin")
    if origin not in (None, "twilio", "hosted"):
        raise Refusal(20001, "Invalid 'Origin' parameter: one of twilio, hosted")

    def is_wanted(number: TwilioNumber) -> bool:
        is_named = name in (None, number.settings["friendly_name"])
        return is_named and origin != "hosted" and pattern.search(number.number) is not None

    return is_wanted


def _offer_filter(fields: Fields) -> Callable[[Offer], bool]:
    """`Contains`: `*` is one character, `%` any number of them, `+` and `$` hold on to the start and the end."""
    contains = fields.get("Contains") or ""
    pattern = re.compile(
        "".join(
            {"*": ".", "%": ".*", "+": r"^\+", "$": "$"}.get(letter, re.escape(letter)) for letter in contains
        )
    )
    area = fields.get("AreaCode")
    flags = {"VoiceEnabled": "voice", "SmsEnabled": "sms", "MmsEnabled": "sms"}
    refuses_address = any(
        fields.flag(name) for name in ("ExcludeAllAddressRequired", "ExcludeLocalAddressRequired")
    )

    def is_wanted(offer: Offer) -> bool:
        return (
            pattern.search(offer.number) is not None
            and (area is None or offer.number.startswith(f"+1{area}"))
            and all(
                fields.get(name) in (None, str(getattr(offer, has)).lower()) for name, has in flags.items()
            )
            and not fields.flag("FaxEnabled")
            and not (refuses_address and offer.needs_address)
            and fields.get("InRegion") in (None, offer.region)
            and fields.get("InLocality") in (None, offer.locality)
        )

    return is_wanted


def _country(request: ApiRequest) -> str:
    country = request.parts["country"].upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise not_found(request.path)
    return country


def _caller_id(request: ApiRequest, account: TwilioAccount) -> CallerId:
    for caller_id in account.caller_ids.values():
        if caller_id.sid == request.parts["caller_id"]:
            return caller_id
    raise not_found(request.path)
