"""The account at Telnyx: who it is, its numbers, the application they point at, what can be bought, caller IDs, SIP.

Here: the requests. What is sent and how answers are read is in `numbers`, `applications`, `inventory` and `trunks`.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

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
from gateway.errors import (
    Conflict,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    ValidationError,
)
from gateway.interface import AccountInfo, Provider
from gateway.numbers import parse_e164
from providers.telnyx import applications, calls, inventory, numbers, trunks
from providers.telnyx.client import Answer, send, translated
from providers.telnyx.numbers import checked_id

if TYPE_CHECKING:
    from telnyx import Telnyx

_LOG: Final = logging.getLogger(__name__)

_KEY_ADVICE: Final = "Telnyx does not take the API key: copy it again from the portal, Keys & Credentials"
_WAYS: Final = ("call", "sms")


class TelnyxAccount(Provider):
    """The verbs about the account, for one that has an SDK's client."""

    @abstractmethod
    def _client(self) -> Telnyx:
        """Return the SDK's client."""

    # -- who we are ---------------------------------------------------------------------------------------------------

    def check_account(self) -> AccountInfo:
        """Read the balance; a key without billing rights reads one number instead."""
        client = self._client()
        try:
            body = self._ask(lambda: client.balance.with_raw_response.retrieve())
        except RequestRefused as refused:
            if refused.http_status == 401:
                raise with_advice(refused, _KEY_ADVICE) from None
            if refused.http_status != 403:
                raise
            self._ask(lambda: client.phone_numbers.with_raw_response.list(page_size=1))
            return unread_account(self.account_ref, numbers.NO_BILLING_NOTE)
        data = calls.read_data(body)
        if not data:
            raise ProviderUnavailable("an answer without an account", provider=self.name)
        return numbers.read_account(data, self.account_ref)

    # -- numbers ------------------------------------------------------------------------------------------------------

    def list_numbers(self) -> Iterator[CarrierNumber]:
        """Yield every number; one whose status is not `active` has no voice."""
        for item in self._items(self._client().phone_numbers.with_raw_response.list):
            number = numbers.read_number(item)
            if number is not None:
                yield number

    def find_number(self, e164: str) -> CarrierNumber | None:
        """List by the digits, which also match parts; then read where the number's calls are forwarded to."""
        digits = parse_e164(e164, "number").removeprefix("+")
        ask = partial(self._client().phone_numbers.with_raw_response.list, filter={"phone_number": digits})
        for item in self._items(ask):
            found = numbers.read_number(item)
            if found is not None and found.e164 == e164:
                return numbers.read_number(item, self._voice_settings(found.carrier_ref))
        return None

    def target_of(self, number: CarrierNumber) -> Target:
        """Read the application that the number points at; where it is none, the connection of another kind."""
        ident = numbers.connection_of(number)
        if not ident or numbers.forwarded_to(number):
            return numbers.target_of(number, None, None)
        try:
            return numbers.target_of(number, self.fetch_application(ident), None)
        except NotFound:
            client, known = self._client(), checked_id(ident, "connection_id")
            data = self._known(lambda: client.connections.with_raw_response.retrieve(known))
            return numbers.target_of(number, None, data)

    def ensure_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Find by id, then by the exact name; make it with version 2 and a profile, or mend what differs."""
        held = self._held_application(request)
        profile = applications.profile_of(held)
        if applications.needs_profile(request, held):
            profile = applications.choose_profile(request, self._profiles())
        resource = self._client().call_control_applications.with_raw_response
        if held is None:
            made = applications.create_params(request, profile)
            return applications.read_application(self._data(lambda: resource.create(**made)))
        if profile != applications.profile_of(held) or applications.differences(held, request.urls):
            mended = applications.update_params(request, held, profile)
            self._ask(lambda: resource.update(held.ref, **mended))
        return self.fetch_application(held.ref)

    def fetch_application(self, ref: str) -> CarrierApplication:
        """Fetch the Call Control application."""
        resource, ident = self._client().call_control_applications, checked_id(ref, "connection_id")
        data = self._known(lambda: resource.with_raw_response.retrieve(ident))
        if data is None:
            raise NotFound("application", ident)
        return applications.read_application(data)

    def restore_application(self, ref: str, settings: Mapping[str, Any]) -> None:
        """Write every setting back."""
        resource, ident = self._client().call_control_applications, checked_id(ref, "connection_id")
        params = applications.restore_params(settings)
        self._ask(lambda: resource.with_raw_response.update(ident, **params))

    def delete_application(self, ref: str) -> None:
        """Delete the application."""
        resource, ident = self._client().call_control_applications, checked_id(ref, "connection_id")
        self._delete(lambda: resource.with_raw_response.delete(ident))

    def configure_number(self, number: CarrierNumber, setup: NumberSetup) -> CarrierNumber:
        """Attach the number to the application, with one PATCH."""
        if not setup.application_ref:
            raise ValidationError("application", "telnyx numbers point at an application: set one up first")
        return self._attach(number, checked_id(setup.application_ref, "connection_id"))

    def restore_number(self, number: CarrierNumber, settings: Mapping[str, Any]) -> CarrierNumber:
        """Attach the number to what it was attached to. That "" detaches it is unconfirmed."""
        before = settings.get("connection_id") or ""
        return self._attach(number, checked_id(before, "connection_id") if before else "")

    def is_ours(self, number: CarrierNumber, setup: NumberSetup) -> bool:
        """Look at the number's application."""
        return numbers.is_ours(number, setup)

    def differences(
        self, number: CarrierNumber, application: CarrierApplication | None, setup: NumberSetup
    ) -> tuple[Difference, ...]:
        """Compare the number's application, forward and state, and the application's own settings."""
        found = numbers.differences(number, setup)
        return found if application is None else found + applications.differences(application, setup.urls)

    def account_differences(
        self, application: CarrierApplication | None, countries: tuple[str, ...]
    ) -> tuple[Difference, ...]:
        """Read the outbound voice profile: is it enabled, does it allow the countries."""
        profile = applications.profile_of(application)
        if not profile:
            return ()
        resource, ident = self._client().outbound_voice_profiles, checked_id(profile, "outbound_profile")
        try:
            data = self._known(lambda: resource.with_raw_response.retrieve(ident))
        except RequestRefused as refused:
            if refused.http_status in (401, 403):  # the key may not read it
                return ()
            raise
        return () if data is None else applications.profile_differences(data, countries)

    # -- search and buy -----------------------------------------------------------------------------------------------

    def search_numbers(self, query: NumberQuery) -> list[AvailableNumber]:
        """Search the inventory, numbers on hold left out."""
        asked, resource = inventory.search_filter(query), self._client().available_phone_numbers
        document = self._ask_list(lambda: resource.with_raw_response.list(filter=asked))  # type: ignore[arg-type]
        return inventory.read_available(numbers.items_of(document), query)[: query.limit]

    def buy_number(self, e164: str, *, reference: str) -> NumberOrder:
        """Order with one POST, under `reference`."""
        wanted, resource = parse_e164(e164, "number"), self._client().number_orders
        params = inventory.order_params(wanted, reference)
        order = self._data(lambda: resource.with_raw_response.create(**params))
        ref, status = order.get("id"), order.get("status")
        if status == "failure":
            raise RequestRefused("the order of the number failed", provider=self.name)
        if not isinstance(ref, str) or status not in ("success", "pending"):
            raise ProviderUnavailable("an answer without an order", provider=self.name)
        number = self._bought(wanted) if status == "success" else None
        return NumberOrder(
            state=OrderState.PENDING if number is None else OrderState.BOUGHT,
            number=number,
            order_ref=ref[:64],
        )

    def _bought(self, e164: str) -> CarrierNumber | None:
        """Return the number once it is listed; a look that fails changes nothing about the order, which is made."""
        try:
            return self.find_number(e164)
        except ProviderError as unread:
            _LOG.warning("a number that was bought could not be read yet: %s", unread)
            return None

    def release_number(self, carrier_ref: str) -> None:
        """Delete the number."""
        resource, ident = self._client().phone_numbers, checked_id(carrier_ref, "number")
        self._delete(lambda: resource.with_raw_response.delete(ident))

    # -- verified caller IDs ------------------------------------------------------------------------------------------

    def list_caller_ids(self) -> Iterator[CallerId]:
        """Yield the verified numbers."""
        for item in self._items(self._client().verified_numbers.with_raw_response.list):
            caller_id = inventory.read_caller_id(item)
            if caller_id is not None:
                yield caller_id

    def start_caller_id(self, e164: str, *, by: str = "call") -> CallerIdVerification:
        """Let Telnyx tell the phone a code, by a call or a text. Telnyx names the verification by the number only."""
        wanted, resource = parse_e164(e164, "number"), self._client().verified_numbers
        if by not in _WAYS:
            raise ValidationError("by", f"give {' or '.join(_WAYS)}")
        self._ask(
            lambda: resource.with_raw_response.create(
                phone_number=wanted,
                verification_method=by,  # type: ignore[arg-type]
            )
        )
        return CallerIdVerification(verification_ref=None)

    def confirm_caller_id(self, e164: str, verification_ref: str | None, code: str | None) -> CallerId:
        """Hand in the code that the phone got."""
        wanted, resource = parse_e164(e164, "number"), self._client().verified_numbers.actions
        if code is None or not (code.isascii() and code.isdecimal() and len(code) <= 12):
            raise ValidationError("code", "give the digits that the phone got")
        data = self._data(
            lambda: resource.with_raw_response.submit_verification_code(wanted, verification_code=code)
        )
        caller_id = inventory.read_caller_id({"phone_number": wanted, **data})
        if caller_id is None:
            raise Conflict("the number is not verified: begin again")
        return caller_id

    # -- SIP ----------------------------------------------------------------------------------------------------------

    def check_sip_request(self, request: SipRequest) -> None:
        """Refuse a login and addresses: a sub-domain knows neither."""
        trunks.check_request(request)

    def ensure_sip(self, request: SipRequest) -> SipTrunk:
        """Give the application a SIP sub-domain that takes calls from anyone."""
        application = self.fetch_application(trunks.application_of(request))
        inbound = trunks.inbound_settings(application, request)
        if inbound != applications.whole(application.settings.get("inbound")):
            application = self._write_inbound(application, inbound)
        return trunks.read_link(application, request)

    def check_sip(self, request: SipRequest) -> tuple[Difference, ...]:
        """Read the application's inbound settings and compare; for calls out, the verified caller IDs too."""
        found = trunks.differences(self.fetch_application(trunks.application_of(request)), request)
        return found + self._unverified(request)

    def _unverified(self, request: SipRequest) -> tuple[Difference, ...]:
        if request.carrier_host is None or not request.numbers:
            return ()
        try:
            return trunks.unverified(request, (each.e164 for each in self.list_caller_ids()))
        except RequestRefused as refused:
            if refused.http_status in (401, 403):  # the key may not read them
                return ()
            raise

    def remove_sip(self, removal: SipRemoval) -> tuple[str, ...]:
        """Close the sub-domain, which is the application's: it goes with it, and stays while other links need it."""
        if removal.stays is not SipStays.APPLICATION or removal.application_ref is None:
            return ()
        try:
            application = self.fetch_application(removal.application_ref)
        except NotFound:
            return ()
        closed = trunks.closed_settings(application, removal)
        if closed is not None:
            application = self._write_inbound(application, closed)
        return trunks.what_stays(application, removal)

    def _write_inbound(
        self, application: CarrierApplication, inbound: Mapping[str, Any]
    ) -> CarrierApplication:
        params = applications.restore_params({**application.settings, "inbound": inbound})
        resource = self._client().call_control_applications
        self._ask(lambda: resource.with_raw_response.update(application.ref, **params))
        return self.fetch_application(application.ref)

    # -- private ------------------------------------------------------------------------------------------------------

    def _held_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Return the application of `request.ref`, else the one of that very name: the filter takes parts of it."""
        if request.ref:
            try:
                return self.fetch_application(request.ref)
            except NotFound:
                _LOG.warning("the application %s is gone at telnyx", request.ref)
        ask = partial(
            self._client().call_control_applications.with_raw_response.list,
            filter={"application_name": {"contains": request.name}},
        )
        found = next(
            (each for each in self._items(ask) if each.get("application_name") == request.name), None
        )
        return None if found is None else applications.read_application(found)

    def _profiles(self) -> Iterator[dict[str, Any]]:
        return self._items(self._client().outbound_voice_profiles.with_raw_response.list)

    def _voice_settings(self, ident: str) -> dict[str, Any] | None:
        """Return a number's voice settings; None where the key may not read them."""
        resource = self._client().phone_numbers.voice
        try:
            return self._known(lambda: resource.with_raw_response.retrieve(checked_id(ident, "number")))
        except RequestRefused as refused:
            if refused.http_status in (401, 403):
                return None
            raise

    def _attach(self, number: CarrierNumber, connection_id: str) -> CarrierNumber:
        """Write what a number points at, and read it back with a request of its own."""
        resource, ident = self._client().phone_numbers, checked_id(number.carrier_ref, "number")
        written = self._known(lambda: resource.with_raw_response.update(ident, connection_id=connection_id))
        data = None if written is None else self._known(lambda: resource.with_raw_response.retrieve(ident))
        found = None if data is None else numbers.read_number(data, self._voice_settings(ident))
        if found is None:
            raise NotFound("number", ident)
        return found

    def _ask(self, request: Callable[[], Answer]) -> bytes:
        """Return the body of a 2xx answer, or raise ProviderError."""
        with translated():
            return send(request)

    def _data(self, request: Callable[[], Answer]) -> dict[str, Any]:
        """Return the `data` of an answer. Raises ProviderError."""
        return calls.read_data(self._ask(request))

    def _known(self, request: Callable[[], Answer]) -> dict[str, Any] | None:
        """Return the `data` of an answer; None when Telnyx knows no such thing. Raises ProviderError."""
        try:
            return self._data(request)
        except RequestRefused as refused:
            if refused.http_status == 404:
                return None
            raise

    def _delete(self, request: Callable[[], Answer]) -> None:
        """Delete; what is gone is deleted."""
        try:
            self._ask(request)
        except RequestRefused as refused:
            if refused.http_status != 404:
                raise

    def _items(self, ask: Callable[..., Answer]) -> Iterator[dict[str, Any]]:
        """Yield the items of a list with page numbers, to its end; `ask` takes the page's number and size."""
        page, more = 1, True
        while more:
            document = self._ask_list(partial(ask, page_number=page, page_size=numbers.PAGE_SIZE))
            items = numbers.items_of(document)
            yield from items
            more = bool(items) and numbers.has_next_page(document, page, len(items))
            page += 1

    def _ask_list(self, request: Callable[[], Answer]) -> dict[str, Any]:
        document = calls.read_document(self._ask(request))
        if not isinstance(document.get("data"), list):
            raise ProviderUnavailable("a list without items", provider=self.name)
        return document
