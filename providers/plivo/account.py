"""The account at Plivo: who it is, its numbers, the application they point at, what can be bought, caller IDs, SIP.

Here: the requests. What is sent and how answers are read is in `numbers`, `applications`, `inventory` and `trunks`.
Requests go through the library's `request`: its resources leave fields out or add some of their own.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.adapting import unread_account, with_advice
from gateway.byoc import (
    ApplicationRequest,
    AvailableNumber,
    CallerId,
    CallerIdVerification,
    CarrierApplication,
    CarrierNumber,
    Difference,
    NumberOrder,
    NumberQuery,
    NumberSetup,
    OrderState,
    SipRemoval,
    SipRequest,
    SipStays,
    SipTrunk,
    Target,
)
from gateway.errors import NotFound, ProviderError, ProviderUnavailable, RequestRefused, ValidationError
from gateway.interface import AccountInfo, Provider
from gateway.numbers import mask, parse_e164
from providers.plivo import applications, calls, inventory, numbers, trunks
from providers.plivo.calls import text_of
from providers.plivo.client import translated
from providers.plivo.numbers import checked_digits, checked_id

_LOG: Final = logging.getLogger(__name__)

_MAX_PAGES: Final = 5000  # of 20: the largest page
_MAY_NOT: Final = frozenset({401, 403, 404})
_WAYS: Final = ("call", "sms")
_LOGIN_ADVICE: Final = "auth id and auth token do not fit: copy both from the Plivo console, Overview"


class PlivoAccount(Provider):
    """The verbs about the account, for one that has the library's client."""

    @abstractmethod
    def _client(self) -> Any:
        """Return the library's client."""

    # -- who we are ---------------------------------------------------------------------------------------------------

    def check_account(self) -> AccountInfo:
        """Read the account. Whether a sub-account may is unconfirmed: else its numbers are listed, which proves it."""
        try:
            reply = self._ask("GET")
        except RequestRefused as refused:
            if self.account_ref.startswith("SA") and refused.http_status in _MAY_NOT:
                self._ask("GET", "Number", limit=1)
                return unread_account(self.account_ref, numbers.SUB_ACCOUNT_NOTE, kind="sub_account")
            raise with_advice(refused, _LOGIN_ADVICE) if refused.http_status == 401 else refused from None
        if not text_of(reply, "auth_id"):
            raise ProviderUnavailable("an answer without an account", provider=self.name)
        return numbers.read_account(reply, self.account_ref)

    # -- numbers ------------------------------------------------------------------------------------------------------

    def list_numbers(self) -> Iterator[CarrierNumber]:
        """Yield every number that a call can come from."""
        for item in self._listed(("Number",), {}, "objects"):
            number = numbers.read_number(item)
            if number is not None:
                yield number

    def find_number(self, e164: str) -> CarrierNumber | None:
        """Fetch the number by its digits."""
        reply = self._known("Number", parse_e164(e164, "number").removeprefix("+"))
        return None if reply is None else numbers.read_number(reply)

    def target_of(self, number: CarrierNumber) -> Target:
        """Read the application that the number points at."""
        ident = numbers.application_of(number)
        reply = self._known("Application", checked_id(ident, "application")) if ident else None
        return numbers.target_of(number, None if reply is None else applications.read_application(reply))

    def ensure_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Find by id, then by the exact name; make it, or mend what differs."""
        wanted = applications.wanted_settings(request.urls)
        held = self._held_application(request)
        if held is None:
            made = self._ask("POST", "Application", app_name=request.name, **wanted)
            return self.fetch_application(text_of(made, "app_id"))
        if applications.differences(held, request.urls):
            self._ask("POST", "Application", held.ref, **wanted)
        return self.fetch_application(held.ref)

    def fetch_application(self, ref: str) -> CarrierApplication:
        """Fetch the application."""
        reply = self._known("Application", checked_id(ref, "application"))
        if reply is None:
            raise NotFound("application", ref)
        return applications.read_application(reply)

    def restore_application(self, ref: str, settings: Mapping[str, Any]) -> None:
        """Write every setting back."""
        self._ask(
            "POST", "Application", checked_id(ref, "application"), **applications.restore_params(settings)
        )

    def delete_application(self, ref: str) -> None:
        """Delete the application."""
        self._delete("Application", checked_id(ref, "application"))

    def configure_number(self, number: CarrierNumber, setup: NumberSetup) -> CarrierNumber:
        """Point the number at the application, with one POST. That takes it away from what it pointed at."""
        if not setup.application_ref:
            raise ValidationError("application", "plivo numbers point at an application: set one up first")
        return self._point(number, checked_id(setup.application_ref, "application"))

    def restore_number(self, number: CarrierNumber, settings: Mapping[str, Any]) -> CarrierNumber:
        """Point the number at the application or trunk that it pointed at; "" unlinks."""
        return self._point(number, numbers.restore_ref(settings))

    def is_ours(self, number: CarrierNumber, setup: NumberSetup) -> bool:
        """Look at the number's application."""
        return numbers.is_ours(number, setup)

    def differences(
        self, number: CarrierNumber, application: CarrierApplication | None, setup: NumberSetup
    ) -> tuple[Difference, ...]:
        """Compare the number's application and state, and the application's own settings."""
        found = numbers.differences(number, setup)
        return found if application is None else found + applications.differences(application, setup.urls)

    def account_differences(
        self, application: CarrierApplication | None, countries: tuple[str, ...]
    ) -> tuple[Difference, ...]:
        """Read the credit. Which countries may be called is in Plivo's console only."""
        try:
            return numbers.account_differences(self._ask("GET"))
        except RequestRefused as refused:
            if refused.http_status in _MAY_NOT:
                return ()
            raise

    # -- search and buy -----------------------------------------------------------------------------------------------

    def search_numbers(self, query: NumberQuery) -> list[AvailableNumber]:
        """Search the inventory, page by page, until there are enough."""
        found: list[AvailableNumber] = []
        for item in self._listed(("PhoneNumber",), inventory.search_params(query), "objects"):
            number = inventory.read_available(item, query)
            if number is not None:
                found.append(number)
            if len(found) == query.limit:
                break
        return found

    def buy_number(self, e164: str, *, reference: str) -> NumberOrder:
        """Rent with one POST. Plivo has no place for `reference`."""
        state = inventory.read_order(
            self._ask("POST", "PhoneNumber", parse_e164(e164, "number").removeprefix("+"))
        )
        number = self._bought(e164) if state is OrderState.BOUGHT else None
        return NumberOrder(state=OrderState.PENDING if number is None else state, number=number)

    def _bought(self, e164: str) -> CarrierNumber | None:
        """Return the number once it is listed; a look that fails changes nothing about the order, which is made."""
        try:
            return self.find_number(e164)
        except ProviderError as unread:
            _LOG.warning("a number that was bought could not be read yet: %s", unread)
            return None

    def release_number(self, carrier_ref: str) -> None:
        """Unrent the number."""
        self._delete("Number", checked_digits(carrier_ref))

    # -- verified caller IDs ------------------------------------------------------------------------------------------

    def list_caller_ids(self) -> Iterator[CallerId]:
        """Yield the verified caller IDs."""
        for item in self._listed(("VerifiedCallerId",), {}, "objects"):
            caller_id = inventory.read_caller_id(item)
            if caller_id is not None:
                yield caller_id

    def start_caller_id(self, e164: str, *, by: str = "call") -> CallerIdVerification:
        """Let Plivo tell the phone a code, by a call or a text; it is valid for 15 minutes."""
        digits = parse_e164(e164, "number").removeprefix("+")
        if by not in _WAYS:
            raise ValidationError("by", f"give {' or '.join(_WAYS)}")
        ref = text_of(
            self._ask("POST", "VerifiedCallerId", phone_number=digits, channel=by), "verification_uuid"
        )
        if not calls.is_call_id(ref):
            raise ProviderUnavailable("an answer without a verification", provider=self.name)
        return CallerIdVerification(verification_ref=ref)

    def confirm_caller_id(self, e164: str, verification_ref: str | None, code: str | None) -> CallerId:
        """Hand in the code that the phone got."""
        wanted, otp = parse_e164(e164, "number"), inventory.checked_code(code)
        if verification_ref is None or not calls.is_call_id(verification_ref):
            raise ValidationError(
                "verification", "not a verification of plivo: give the one that it began with"
            )
        self._ask("POST", "VerifiedCallerId", "Verification", verification_ref, otp=otp)
        return CallerId(e164=wanted, carrier_ref=wanted.removeprefix("+"))

    # -- SIP ----------------------------------------------------------------------------------------------------------

    def check_sip_request(self, request: SipRequest) -> None:
        """Refuse calls out, and a link without both login and addresses."""
        trunks.check_request(request)

    def ensure_sip(self, request: SipRequest) -> SipTrunk:
        """Give the application a SIP login, and make an incoming carrier with its numbers, as the request asks."""
        ident = checked_id(trunks.application_of(request), "application")
        refs: dict[str, str] = {}
        if request.username is not None:
            refs |= self._ensure_login(ident, request)
        if request.carrier_ips:
            refs["incoming_carrier"] = self._ensure_carrier(request)
        sip_uri = text_of(self._known("Application", ident) or {}, "sip_uri")
        return trunks.read_link(refs, request, sip_uri or f"sip:{ident}@app.plivo.com")

    def check_sip(self, request: SipRequest) -> tuple[Difference, ...]:
        """Read login, carrier and numbers, and compare."""
        ident = checked_id(trunks.application_of(request), "application")
        found: tuple[Difference, ...] = ()
        if request.username is not None:
            application = self.fetch_application(ident).settings
            found += trunks.login_differences(application, self._login_of(request), request)
        if request.carrier_ips:
            carrier = self._carrier_of(request)
            missing = self._missing_numbers(request) if carrier is not None else ()
            found += trunks.carrier_differences(carrier, missing, request)
        return found

    def remove_sip(self, removal: SipRemoval) -> tuple[str, ...]:
        """Delete the carrier's numbers, with the last of them the carrier, and with the application the login."""
        left: tuple[str, ...] = ()
        carrier = self._carrier_of(removal) if "incoming_carrier" in removal.refs else None
        if carrier is not None:
            left = tuple(filter(None, (self._remove_brought(each, carrier) for each in removal.numbers)))
        if removal.stays is SipStays.LINK:
            return left
        return (*left, *self._remove_carrier(carrier), *self._remove_login(removal))

    def _remove_brought(self, number: str, carrier: Mapping[str, Any]) -> str:
        """Delete a number of the incoming carrier. Return why it stays, else "": another one is the account's own."""
        digits = checked_digits(number.removeprefix("+"))
        held = self._known("Number", digits)
        if held is None:
            return ""
        if text_of(held, "carrier") != text_of(carrier, "name"):
            return f"number {mask(number)} stays at Plivo: it is not the incoming carrier's"
        self._delete("Number", digits)
        return ""

    def _remove_carrier(self, carrier: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Delete the incoming carrier, unless it has numbers that somebody else gave it: they might go with it."""
        if carrier is None:
            return ()
        ident, name = checked_id(text_of(carrier, "carrier_id"), "carrier_id"), text_of(carrier, "name")
        others = sum(text_of(item, "carrier") == name for item in self._listed(("Number",), {}, "objects"))
        if others:
            return (
                f"the incoming carrier {name} ({ident}) stays at Plivo: it has {others} numbers besides; delete it in "
                "the console when nothing needs them",
            )
        self._delete("IncomingCarrier", ident)
        return ()

    def _remove_login(self, removal: SipRemoval) -> tuple[str, ...]:
        """Delete a login that we made once no application asks for it: without one, it takes anybody's calls."""
        uuid = removal.refs.get("sip_login")
        if uuid is None or self._known("SipAuth", "Credential", checked_id(uuid, "credential_uuid")) is None:
            return ()
        if removal.stays is SipStays.NOTHING and removal.refs.get("made_login") == uuid:
            self._delete("SipAuth", "Credential", uuid)
            return ()
        if removal.stays is SipStays.NOTHING:
            why = "it was there before the link"
        else:
            why = f"the application {removal.application_ref} asks for it, and would take anybody's calls without"
        return (
            f"the SIP login {removal.username} ({uuid}) stays at Plivo: {why}; delete it in the console, Voice, when "
            "nothing needs it",
        )

    def _ensure_login(self, ident: str, request: SipRequest) -> dict[str, str]:
        """Make the login and let the application ask for it; a password cannot be read back, so it is written again."""
        uuid, made_before = self._login_of(request), request.refs.get("made_login")
        is_ours = uuid is None or uuid == made_before
        if uuid is None:
            made = self._ask(
                "POST", "SipAuth", "Credential", username=request.username, password=request.password
            )
            uuid = checked_id(text_of(made, "credential_uuid"), "credential_uuid")
        else:
            self._ask("POST", "SipAuth", "Credential", uuid, password=request.password)
        if trunks.login_differences(self.fetch_application(ident).settings, uuid, request):
            self._ask("POST", "Application", ident, sip_auth_type=trunks.BY_LOGIN, credential_uuid=uuid)
        return {"sip_login": uuid} | ({"made_login": uuid} if is_ours else {})

    def _login_of(self, request: SipRequest) -> str | None:
        for item in self._listed(("SipAuth", "Credential"), {}, "objects"):
            if text_of(item, "username") == request.username:
                return checked_id(text_of(item, "credential_uuid"), "credential_uuid")
        return None

    def _ensure_carrier(self, request: SipRequest) -> str:
        params, carrier = trunks.carrier_params(request), self._carrier_of(request)
        if carrier is None:
            carrier = self._ask("POST", "IncomingCarrier", **params)
        elif not trunks.has_addresses(carrier, request):
            ident = checked_id(text_of(carrier, "carrier_id"), "carrier_id")
            self._ask("POST", "IncomingCarrier", ident, **params)
        ident = checked_id(text_of(carrier, "carrier_id"), "carrier_id")
        for numbered in trunks.number_params(request, self._missing_numbers(request), ident):
            self._ask("POST", "Number", **numbered)
        return ident

    def _carrier_of(self, request: SipRequest | SipRemoval) -> dict[str, Any] | None:
        """Return the incoming carrier that `request.refs` names, else the one with our name."""
        known = list(self._listed(("IncomingCarrier",), {}, "objects"))
        ref = request.refs.get("incoming_carrier")
        by_ref = (item for item in known if ref and text_of(item, "carrier_id") == ref)
        return next(by_ref, None) or next(
            (item for item in known if text_of(item, "name") == request.name), None
        )

    def _missing_numbers(self, request: SipRequest) -> tuple[str, ...]:
        return tuple(number for number in request.numbers if self.find_number(number) is None)

    # -- private ------------------------------------------------------------------------------------------------------

    def _held_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Return the application of `request.ref`, else the one of that very name: the filter takes its beginning."""
        name = applications.checked_name(request.name)
        if request.ref:
            try:
                return self.fetch_application(request.ref)
            except NotFound:
                _LOG.warning("the application %s is gone at plivo", request.ref)
        for item in self._listed(("Application",), {"app_name": name}, "objects"):
            if text_of(item, "app_name") == name:
                return applications.read_application(item)
        return None

    def _point(self, number: CarrierNumber, app_id: str) -> CarrierNumber:
        """Write what a number points at, and read it back with a request of its own."""
        digits = checked_digits(number.carrier_ref)
        try:
            self._ask("POST", "Number", digits, app_id=app_id)
        except RequestRefused as refused:
            if refused.http_status == 404:
                raise NotFound("number", digits[-4:]) from None
            raise
        reply = self._known("Number", digits)
        found = None if reply is None else numbers.read_number(reply)
        if found is None:
            raise NotFound("number", digits[-4:])
        return found

    def _ask(self, method: str, *path: str, **fields: Any) -> dict[str, Any]:
        """Send one request below the account and return the answer's object. Raises ProviderError."""
        with translated():
            reply: dict[str, Any] = self._client().request(method, path, fields or None)
            return reply

    def _known(self, *path: str) -> dict[str, Any] | None:
        """Fetch; None when Plivo knows no such thing. Raises ProviderError."""
        try:
            return self._ask("GET", *path)
        except RequestRefused as refused:
            if refused.http_status == 404:
                return None
            raise

    def _delete(self, *path: str) -> None:
        """Delete; what is gone is deleted."""
        try:
            self._ask("DELETE", *path)
        except RequestRefused as refused:
            if refused.http_status != 404:
                raise

    def _listed(self, path: tuple[str, ...], filters: Mapping[str, str], key: str) -> Iterator[Any]:
        """Yield the items of a list, page after page, to its end. Raises ProviderError."""
        page: dict[str, Any] | None = {**filters, "limit": numbers.PAGE, "offset": 0}
        for _ in range(_MAX_PAGES):
            reply = self._ask("GET", *path, **(page or {}))
            items = reply.get(key)
            if not isinstance(items, list):
                raise ProviderUnavailable("a list without its items", provider=self.name)
            yield from items
            page = numbers.next_page(reply, page or {}, len(items))
            if page is None:
                return
        raise ProviderUnavailable(f"a list of more than {_MAX_PAGES} pages", provider=self.name)
