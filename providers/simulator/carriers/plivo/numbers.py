"""Numbers: rented, searched, bought, brought from another carrier; and the applications they point at.

Source: Plivo's API reference (plivo.com/docs, read 2026). That a carrier's numbers go with it, what a purchase is
refused with, and that only one application is the default one, is unconfirmed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest
from providers.simulator.carriers.base import Offer
from providers.simulator.carriers.plivo import resources, rest
from providers.simulator.carriers.plivo.accounts import PlivoAccount
from providers.simulator.carriers.plivo.resources import Application, HeldNumber
from providers.simulator.carriers.plivo.rest import RestError, Table
from providers.simulator.carriers.plivo.verbs import NO_CONTENT, Json, Line, Verbs

SERVICES: Final = ("voice", "sms", "mms")


def services(value: Any) -> frozenset[str]:
    """Check for a comma list of `voice`, `sms`, `mms`."""
    words = frozenset(str(value).split(","))
    if not words <= set(SERVICES):
        raise ValueError(f"must be a comma list of {', '.join(SERVICES)}")
    return words


def country(value: Any) -> str:
    """Check for an ISO code of two letters."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{2}", value):
        raise ValueError("must be an ISO code of two letters")
    return value


def ip_set(value: Any) -> str:
    """Check for a comma list of IP addresses or networks."""
    try:
        for part in str(value).split(","):
            ipaddress.ip_network(part.strip(), strict=False)
    except ValueError:
        raise ValueError("must be a comma list of IP addresses") from None
    return str(value)


def number_list(value: Any) -> tuple[str, ...]:
    """Check for a comma list of numbers, digits only."""
    numbers = tuple(part.strip().removeprefix("+") for part in str(value).split(","))
    if not all(re.fullmatch(r"[1-9]\d{4,14}", number) for number in numbers):
        raise ValueError("must be a comma list of numbers with their country code")
    return numbers


_TYPE: Final = rest.one_of("local", "mobile", "fixed", "national", "tollfree")
_APP_NAME = re.compile(r"[A-Za-z0-9_-]+")
NUMBER_LIST: Final[Table] = {
    **rest.PAGED,
    "type": _TYPE,
    "number_startswith": rest.matching(re.compile(r"\d+"), "must be digits"),
    "subaccount": rest.text(),
    "alias": rest.text(),
    "services": services,
    "cnam_lookup": rest.one_of("enabled", "disabled"),
}
NUMBER_UPDATE: Final[Table] = {
    "app_id": rest.any_text,
    "subaccount": rest.any_text,
    "alias": rest.any_text,
    "cnam_lookup": rest.one_of("enabled", "disabled"),
    "cnam": rest.any_text,
    "compliance_id": rest.text(),
    "caller_reputation": rest.any_text,
}
NUMBERS_BROUGHT: Final[Table] = {
    "numbers": number_list,
    "carrier": rest.text(),
    "region": rest.text(),
    "number_type": _TYPE,
    "app_id": rest.any_text,
    "subaccount": rest.any_text,
}
CARRIER: Final[Table] = {"name": rest.text(), "ip_set": ip_set}
SEARCH: Final[Table] = {
    **rest.PAGED,
    "country_iso": country,
    "type": _TYPE,
    "pattern": rest.matching(re.compile(r"[\d*]+"), "must be digits, * for any"),
    "npanxx": rest.matching(re.compile(r"\d{6}"), "must be 6 digits"),
    "local_calling_area": rest.flag,
    "region": rest.text(),
    "city": rest.text(),
    "services": services,
    "lata": rest.text(),
    "rate_center": rest.text(),
}
BUY: Final[Table] = {
    "app_id": rest.text(),
    "cnam_lookup": rest.one_of("enabled", "disabled"),
    "ha_enable": rest.flag,
    "compliance_application_id": rest.text(),
}
_APPLICATION: Final[Table] = {
    "answer_url": rest.url,
    "answer_method": rest.method,
    "hangup_url": rest.url,
    "hangup_method": rest.method,
    "fallback_answer_url": rest.url,
    "fallback_method": rest.method,
    "message_url": rest.url,
    "message_method": rest.method,
    "default_number_app": rest.flag,
    "default_endpoint_app": rest.flag,
    "subaccount": rest.any_text,
    "log_incoming_messages": rest.flag,
    "public_uri": rest.flag,
    "sip_auth_type": rest.one_of("ip_acl", "credential", "ip_acl_and_credential", ""),
    "ip_acl_uuid": rest.any_text,
    "credential_uuid": rest.any_text,
}
APPLICATION_CREATE: Final[Table] = {
    "app_name": rest.matching(_APP_NAME, "may hold letters, digits, - and _"),
    **_APPLICATION,
}
APPLICATION_UPDATE: Final[Table] = _APPLICATION
APPLICATION_DELETE: Final[Table] = {"cascade": rest.flag, "new_endpoint_application": rest.text()}
APPLICATION_LIST: Final[Table] = {**rest.PAGED, "app_name": rest.text(), "subaccount": rest.text()}


class Numbers(Verbs):
    """`Number`, `PhoneNumber`, `IncomingCarrier`."""

    def lines(self) -> Iterable[Line]:
        """Give the requests."""
        return (
            ("GET", "Number/", "numbers", self._list),
            ("POST", "Number/", "trunks", self._bring),
            ("GET", "Number/{number}/", "numbers", self._get),
            ("POST", "Number/{number}/", "number_write", self._update),
            ("DELETE", "Number/{number}/", "release", self._unrent),
            ("GET", "PhoneNumber/", "search", self._search),
            ("POST", "PhoneNumber/{number}/", "buy", self._buy),
            ("GET", "IncomingCarrier/", "trunks", self._list_carriers),
            ("POST", "IncomingCarrier/", "trunks", self._create_carrier),
            ("GET", "IncomingCarrier/{carrier_id}/", "trunks", self._get_carrier),
            ("POST", "IncomingCarrier/{carrier_id}/", "trunks", self._update_carrier),
            ("DELETE", "IncomingCarrier/{carrier_id}/", "trunks", self._delete_carrier),
        )

    # --- rented numbers

    def _held(self, owner: PlivoAccount, request: ApiRequest) -> HeldNumber:
        held = owner.number(request.parts["number"])
        if held is None:
            raise RestError(404, "not found")
        return held

    def shown(self, owner: PlivoAccount, held: HeldNumber) -> Json:
        """The number's JSON."""
        is_trunk = bool(held.app_id) and owner.trunk(held.app_id) is not None
        return resources.number(held, self._base(owner.root), is_trunk=is_trunk)

    def _list(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, NUMBER_LIST)
        rows = [
            held
            for held in owner.root.numbers.values()
            if owner.sees(held.sub_account)
            and held.number.startswith(given.get("number_startswith", ""))
            and given.get("alias", held.alias) == held.alias
            and given.get("subaccount", held.sub_account) == held.sub_account
            and given.get("type", held.number_type) == held.number_type
            and given.get("cnam_lookup", held.cnam_lookup) == held.cnam_lookup
            and given.get("services", frozenset())
            <= _services(voice=held.voice_enabled, sms=held.sms_enabled)
        ]
        return self._page(request, rows, lambda held: self.shown(owner, held))

    def _get(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(self.shown(owner, self._held(owner, request)))

    def _update(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        held = self._held(owner, request)
        given = self._given(request, NUMBER_UPDATE)
        self._check_links(owner, given)
        changes = {
            {"subaccount": "sub_account", "compliance_id": "compliance_application_id"}.get(name, name): value
            for name, value in given.items()
        }
        for name, value in changes.items():
            setattr(held, name, value)
        return self._done("changed")

    def _check_links(self, owner: PlivoAccount, given: Json) -> None:
        app_id, sub_account = given.get("app_id"), given.get("subaccount")
        if app_id and owner.application(app_id) is None and owner.trunk(app_id) is None:
            raise RestError(400, "app_id parameter is invalid")
        if sub_account and self._face.subaccount(owner.root, sub_account) is None:
            raise RestError(400, "subaccount parameter is invalid")

    def _unrent(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        del owner.root.numbers[self._held(owner, request).number]
        return NO_CONTENT

    # --- search and buy

    def _search(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, SEARCH, "country_iso")
        pattern = str(given.get("pattern") or given.get("npanxx") or "").replace("*", r"\d")
        rows = [
            offer
            for offer in self._face.offers(owner.root.account)
            if offer.country == given["country_iso"]
            and given.get("type", _kind(offer)) == _kind(offer)
            and re.match(pattern, _national(offer.number))
            and given.get("services", frozenset()) <= _services(voice=offer.voice, sms=offer.sms)
            and all(
                given[name].lower() == (value or "").lower()
                for name, value in (
                    ("region", offer.region),
                    ("city", offer.locality),
                    ("rate_center", offer.locality),
                )
                if name in given
            )
            and "lata" not in given
        ]
        return self._page(request, rows, lambda offer: resources.offered(offer, self._base(owner)))

    def _buy(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        """Rent a number: at once, or `pending` for `habits.rental_takes_s`."""
        given = self._given(request, BUY)
        self._check_links(owner, given)
        digits = request.parts["number"]
        offer = self._face.inventory.get(f"+{digits}")
        if offer is None or offer not in self._face.offers(owner.root.account):
            raise RestError(404, "not found")
        if offer.needs_address and "compliance_application_id" not in given:
            raise RestError(400, "compliance_application_id is required to rent this number.")
        del self._face.inventory[offer.number]
        held = HeldNumber(
            number=digits,
            app_id=given.get("app_id") or _default_app(owner),
            sub_account=owner.sub_account,
            cnam_lookup=given.get("cnam_lookup", "disabled"),
            compliance_application_id=given.get("compliance_application_id"),
            number_type=_kind(offer),
            country=offer.country,
            region=offer.region or "",
            city=offer.locality or "",
            voice_enabled=offer.voice,
            sms_enabled=offer.sms,
            monthly_rental_rate=resources.five(offer.monthly),
        )
        is_pending = self._face.habits.rental_takes_s > 0
        if is_pending:
            self._face.core.spawn(self._rent_later(owner, held), keeps_open=False)
        else:
            owner.root.numbers[digits] = held
        line = {"number": digits, "status": "pending" if is_pending else "Success"}
        status = "pending" if is_pending else "fulfilled"
        return self._shown({"message": "created", "numbers": [line], "status": status}, 201)

    async def _rent_later(self, owner: PlivoAccount, held: HeldNumber) -> None:
        await self._face.clock.sleep(self._face.habits.rental_takes_s)
        owner.root.numbers[held.number] = held

    # --- numbers of another carrier

    def _carriers(self, owner: PlivoAccount) -> dict[str, Json]:
        return owner.root.things.setdefault("carrier", {})

    def _carrier(self, owner: PlivoAccount, request: ApiRequest) -> Json:
        found = self._carriers(owner).get(request.parts["carrier_id"])
        if found is None:
            raise RestError(404, "not found")
        return found

    def _bring(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, NUMBERS_BROUGHT, "numbers", "carrier", "region")
        carrier = self._carriers(owner).get(given["carrier"])
        if carrier is None:
            raise RestError(400, "carrier parameter is invalid")
        self._check_links(owner, given)
        if any(self._face.holds(f"+{number}") for number in given["numbers"]):
            raise RestError(400, "numbers parameter is invalid: a number is already in use")
        for number in given["numbers"]:
            owner.root.numbers[number] = HeldNumber(
                number=number,
                app_id=given.get("app_id", ""),
                sub_account=given.get("subaccount", owner.sub_account),
                number_type=given.get("number_type", "local"),
                region=given["region"],
                carrier=carrier["name"],
                monthly_rental_rate="0.00000",
            )
        return self._done("changed")

    def _list_carriers(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        self._query(request, {**rest.PAGED, "name": rest.text()})
        return self._page(request, list(self._carriers(owner).values()), dict)

    def _create_carrier(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, CARRIER, "name", "ip_set")
        carrier_id = str(self._face.core.random.randrange(10**13, 10**14))
        uri = f"{self._base(owner.root)}IncomingCarrier/{carrier_id}/"
        made = {"carrier_id": carrier_id, **given, "resource_uri": uri, "voice": True, "sms": False}
        self._carriers(owner)[carrier_id] = made
        return self._done("created", 201, carrier_id=carrier_id)

    def _get_carrier(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(self._carrier(owner, request))

    def _update_carrier(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        carrier = self._carrier(owner, request)
        carrier.update(self._given(request, CARRIER))
        return self._done("changed")

    def _delete_carrier(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        carrier = self._carrier(owner, request)
        del self._carriers(owner)[carrier["carrier_id"]]
        for held in list(owner.root.numbers.values()):
            if held.carrier == carrier["name"]:
                del owner.root.numbers[held.number]
        return NO_CONTENT


class Applications(Verbs):
    """`Application`."""

    def lines(self) -> Iterable[Line]:
        """Give the requests."""
        return (
            ("GET", "Application/", "numbers", self._list),
            ("POST", "Application/", "application_write", self._create),
            ("GET", "Application/{app_id}/", "numbers", self._get),
            ("POST", "Application/{app_id}/", "application_write", self._update),
            ("DELETE", "Application/{app_id}/", "application_write", self._delete),
        )

    def _app(self, owner: PlivoAccount, request: ApiRequest) -> Application:
        app = owner.application(request.parts["app_id"])
        if app is None:
            raise RestError(404, "not found")
        return app

    def _list(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, APPLICATION_LIST)
        rows = [
            app
            for app in owner.root.applications.values()
            if owner.sees(app.subaccount)
            and app.app_name.startswith(given.get("app_name", ""))
            and given.get("subaccount", app.subaccount) == app.subaccount
        ]
        return self._page(request, rows, lambda app: resources.application(app, self._base(owner.root)))

    def _get(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(resources.application(self._app(owner, request), self._base(owner.root)))

    def _check(self, owner: PlivoAccount, given: Json) -> None:
        sub_account = given.get("subaccount")
        if sub_account and self._face.subaccount(owner.root, sub_account) is None:
            raise RestError(400, "subaccount parameter is invalid")
        for name, kind in (("credential_uuid", "sip_credential"), ("ip_acl_uuid", "sip_acl")):
            if given.get(name) and given[name] not in owner.root.things.get(kind, {}):
                raise RestError(400, f"{name} parameter is invalid")

    def _create(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, APPLICATION_CREATE, "app_name", "answer_url")
        self._check(owner, given)
        app = Application(app_id="", **{"subaccount": owner.sub_account, **given})
        self._face.add_application(owner.root, app)
        self._be_only_default(owner, app)
        return self._done("created", 201, app_id=app.app_id)

    def _update(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        app = self._app(owner, request)
        given = self._given(request, APPLICATION_UPDATE)
        self._check(owner, given)
        for name, value in given.items():
            setattr(app, name, value)
        self._be_only_default(owner, app)
        return self._done("changed")

    def _be_only_default(self, owner: PlivoAccount, app: Application) -> None:
        for name in ("default_number_app", "default_endpoint_app"):
            if getattr(app, name):
                for other in owner.root.applications.values():
                    setattr(other, name, other is app)

    def _delete(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        app = self._app(owner, request)
        rest.read_params(
            {**self._query(request, APPLICATION_DELETE), **self._body(request)}, APPLICATION_DELETE
        )
        del owner.root.applications[app.app_id]
        owner.root.unlink(app.app_id)
        return NO_CONTENT


def _services(*, voice: bool, sms: bool) -> set[str]:
    return {name for name, offered in (("voice", voice), ("sms", sms)) if offered}


def _kind(offer: Offer) -> str:
    return resources.KINDS.get(offer.kind, offer.kind)


def _default_app(owner: PlivoAccount) -> str:
    defaults = [app.app_id for app in owner.root.applications.values() if app.default_number_app]
    return defaults[0] if defaults else ""


def _national(number: str) -> str:
    """Cut the country code off, where it is known by its length here; else the digits."""
    digits = number.removeprefix("+")
    return digits[1:] if digits.startswith("1") else digits[2:]
