"""The account at Twilio: who it is, its numbers, what they point at, what can be bought, caller IDs, SIP links.

Here: the requests. What is sent and how answers are read is in `numbers`, `inventory` and `trunks`.
"""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
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
from gateway.errors import (
    Conflict,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.interface import AccountInfo, Provider
from gateway.numbers import parse_e164
from providers.twilio import inventory, numbers, trunks
from providers.twilio.calls import checked_sid
from providers.twilio.client import translated

_LOG: Final = logging.getLogger(__name__)

_PAGE_SIZE: Final = 200  # Twilio takes 1000; an answer of the transport is 1 MB at most
_MAY_NOT: Final = frozenset({401, 403})
_LOGIN_ADVICE: Final = (
    "Account SID and auth token do not fit: copy both from the Twilio console, Account info"
)
_KEY_ADVICE: Final = "Twilio does not take the API key: copy its SID and secret again, or create another one"


class TwilioAccount(Provider):
    """The verbs about the account, for one that has a library's client."""

    _secrets: dict[str, str]

    @abstractmethod
    def _client(self) -> Any:
        """Return the library's client with the login for REST requests."""

    @abstractmethod
    def _owner_client(self) -> Any:
        """Return the library's client that logs in as the account itself, with its auth token."""

    # -- who we are ---------------------------------------------------------------------------------------------------

    def check_account(self) -> AccountInfo:
        """Fetch the account with its auth token, and one number with the API key where there is one: both are proved.

        Without a token the key alone is tried; a standard key may not read the account.
        """
        has_key, has_token = "api_key_sid" in self._secrets, "auth_token" in self._secrets
        notes = () if has_token or "shared_key_id" in self._secrets else (numbers.KEY_NOTE,)
        info = self._read_account(self._owner_client() if has_token else self._client(), notes)
        if info is None and not has_key:
            raise ProviderUnavailable("an answer without an account", provider=self.name)
        if has_key:
            self._prove_key()
        return info or unread_account(self.account_ref, *notes, numbers.STANDARD_KEY_NOTE)

    def _read_account(self, client: Any, notes: tuple[str, ...]) -> AccountInfo | None:
        """Return the account; None when an API key may not read it."""
        try:
            with translated():
                account = client.api.v2010.accounts(self.account_ref).fetch()
        except RequestRefused as refused:
            if "auth_token" in self._secrets:
                raise with_advice(refused, _LOGIN_ADVICE) if refused.http_status == 401 else refused from None
            return None
        return numbers.read_account(account, self.account_ref, self._balance(client), notes)

    def _balance(self, client: Any) -> Any | None:
        """Return the balance, None where there is none to read: a sub-account, a key without the right."""
        try:
            with translated():
                return client.api.v2010.accounts(self.account_ref).balance.fetch()
        except RequestRefused:
            return None

    def _prove_key(self) -> None:
        try:
            with translated():
                self._client().incoming_phone_numbers.page(page_size=1)
        except RequestRefused as refused:
            raise with_advice(refused, _KEY_ADVICE) if refused.http_status == 401 else refused from None

    # -- numbers ------------------------------------------------------------------------------------------------------

    def list_numbers(self) -> Iterator[CarrierNumber]:
        """Yield every number of the account."""
        with translated():
            for number in self._client().incoming_phone_numbers.stream(page_size=_PAGE_SIZE):
                yield numbers.read_number(number)

    def find_number(self, e164: str) -> CarrierNumber | None:
        """List by the number; Twilio's filter also takes parts, so the whole must match."""
        with translated():
            found = self._client().incoming_phone_numbers.stream(
                phone_number=parse_e164(e164, "number"), page_size=_PAGE_SIZE
            )
            return next((numbers.read_number(each) for each in found if each.phone_number == e164), None)

    def target_of(self, number: CarrierNumber) -> Target:
        """Say what comes first: trunk, application (read for its URLs, where we may), voice URL."""
        app = number.settings.get("voice_application_sid")
        if not app or number.settings.get("trunk_sid"):
            return numbers.target_of(number.settings)
        try:
            with translated():
                application = self._client().applications(checked_sid("AP", app, "application")).fetch()
        except RequestRefused:
            return numbers.target_of(number.settings)
        return numbers.target_of(number.settings, application)

    def ensure_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        """Return None: a number holds its URLs itself."""
        return None

    def configure_number(self, number: CarrierNumber, setup: NumberSetup) -> CarrierNumber:
        """Write the URLs and clear trunk and application, with one POST."""
        return self._write(number, numbers.setup_params(setup))

    def restore_number(self, number: CarrierNumber, settings: Mapping[str, Any]) -> CarrierNumber:
        """Write back the URLs, and the trunk or the application, with one POST."""
        return self._write(number, numbers.restore_params(settings))

    def is_ours(self, number: CarrierNumber, setup: NumberSetup) -> bool:
        """Look at trunk, application and voice URL."""
        return numbers.is_ours(number, setup)

    def differences(
        self, number: CarrierNumber, application: CarrierApplication | None, setup: NumberSetup
    ) -> tuple[Difference, ...]:
        """Compare the number's settings; there is no application."""
        return numbers.differences(number, setup)

    def account_differences(
        self, application: CarrierApplication | None, countries: tuple[str, ...]
    ) -> tuple[Difference, ...]:
        """Read the account's status and the geo permission of each country; what a key may not read is left out."""
        if not all(re.fullmatch("[A-Z]{2}", country, re.ASCII) for country in countries):
            raise ValidationError("countries", "give ISO 3166 codes, like US")
        client = self._owner_client() if "auth_token" in self._secrets else self._client()
        permissions = client.voice.v1.dialing_permissions
        found: list[Difference] = []
        account = self._readable(client.api.v2010.accounts(self.account_ref).fetch)
        if account is not None:
            found += numbers.account_status_difference(str(account.status or ""))
        for country in countries:
            permission = self._readable(permissions.countries(country).fetch)
            if permission is not None:
                found += numbers.country_difference(country, permission.low_risk_numbers_enabled)
        return tuple(found)

    def _readable(self, ask: Callable[[], Any]) -> Any | None:
        """Return the answer; None when the key may not read it, or Twilio has no such thing."""
        try:
            with translated():
                return ask()
        except RequestRefused as refused:
            if refused.http_status in _MAY_NOT or refused.http_status == 404:
                return None
            raise

    def _write(self, number: CarrierNumber, params: Mapping[str, str]) -> CarrierNumber:
        """Update a number and read it back with a request of its own: the answer to a write proves less."""
        resource = self._client().incoming_phone_numbers(checked_sid("PN", number.carrier_ref, "number"))
        try:
            with translated():
                resource.update(**params)
                return numbers.read_number(resource.fetch())
        except RequestRefused as refused:
            if refused.http_status == 404:
                raise NotFound("number", number.carrier_ref) from None
            raise

    # -- search and buy -----------------------------------------------------------------------------------------------

    def search_numbers(self, query: NumberQuery) -> list[AvailableNumber]:
        """Search the inventory of one country and kind, and read the price list beside it."""
        params = inventory.search_params(query)
        listing = getattr(self._client().available_phone_numbers(query.country), query.kind)
        try:
            with translated():
                items = listing.list(**params)
        except RequestRefused as refused:
            if refused.http_status == 404:
                raise ValidationError(
                    "country", f"twilio sells no {query.kind} numbers of {query.country}"
                ) from None
            raise
        prices = self._prices(query.country) if items else ({}, None)
        return inventory.read_available(items, query, prices)

    def _prices(self, country: str) -> tuple[Mapping[str, Decimal], str | None]:
        """Return the monthly prices of a country; none when they cannot be read: a search is no less good."""
        try:
            with translated():
                listed = self._client().pricing.v1.phone_numbers.countries(country).fetch()
        except ProviderError as unread:
            _LOG.warning("the prices of numbers could not be read: %s", unread)
            return {}, None
        return inventory.read_prices(listed.phone_number_prices, listed.price_unit)

    def buy_number(self, e164: str, *, reference: str) -> NumberOrder:
        """Buy with one POST. Twilio has no place for `reference`."""
        wanted = parse_e164(e164, "number")
        with translated():
            bought = self._client().incoming_phone_numbers.create(phone_number=wanted)
        return NumberOrder(state=OrderState.BOUGHT, number=numbers.read_number(bought))

    def release_number(self, carrier_ref: str) -> None:
        """Delete the number."""
        resource = self._client().incoming_phone_numbers(checked_sid("PN", carrier_ref, "number"))
        try:
            with translated():
                resource.delete()
        except RequestRefused as refused:
            if refused.http_status != 404:
                raise

    # -- verified caller IDs ------------------------------------------------------------------------------------------

    def list_caller_ids(self) -> Iterator[CallerId]:
        """Yield the account's outgoing caller IDs."""
        with translated():
            for item in self._client().outgoing_caller_ids.stream(page_size=_PAGE_SIZE):
                caller_id = inventory.read_caller_id(item)
                if caller_id is not None:
                    yield caller_id

    def start_caller_id(self, e164: str, *, by: str = "call") -> CallerIdVerification:
        """Let Twilio call the number: the person types the six digits that are returned."""
        wanted = parse_e164(e164, "number")
        if by != "call":
            raise UnsupportedFeature(self.name, "verifying a caller ID by text", "verify it by a call")
        with translated():
            begun = self._client().validation_requests.create(phone_number=wanted)
        return CallerIdVerification(
            verification_ref=str(begun.call_sid or ""), code_to_type=str(begun.validation_code or "")
        )

    def confirm_caller_id(self, e164: str, verification_ref: str | None, code: str | None) -> CallerId:
        """Look whether the number is listed by now; a code is of no use here."""
        wanted = parse_e164(e164, "number")
        with translated():
            for item in self._client().outgoing_caller_ids.stream(phone_number=wanted, page_size=_PAGE_SIZE):
                caller_id = inventory.read_caller_id(item)
                if caller_id is not None and caller_id.e164 == wanted:
                    return caller_id
        raise Conflict("the number is not verified yet: answer Twilio's call and type the digits")

    # -- SIP ----------------------------------------------------------------------------------------------------------

    def check_sip_request(self, request: SipRequest) -> None:
        """Refuse a link without both addresses and a login."""
        trunks.check_request(request)

    def ensure_sip(self, request: SipRequest) -> SipTrunk:
        """Make a connection policy, a BYOC trunk and a SIP domain with its access lists."""
        with translated():
            return trunks.ensure(self._client(), request)

    def check_sip(self, request: SipRequest) -> tuple[Difference, ...]:
        """Read all of it and compare."""
        with translated():
            return trunks.check(self._client(), request)

    def remove_sip(self, removal: SipRemoval) -> tuple[str, ...]:
        """Delete the domain, then what it leads to and its access lists."""
        if removal.stays is SipStays.LINK:
            return ()
        with translated():
            found = list(trunks.pieces(self._client(), removal))
        told = ((what, self._refused_delete(piece)) for what, piece in found)
        return tuple(f"{what} stays at Twilio: {why}" for what, why in told if why)

    def _refused_delete(self, piece: Any | None) -> str:
        """Delete; what is gone is deleted. Return why it stays, else "". Raises ProviderError."""
        if piece is None:
            return "it was given another trunk since"
        try:
            with translated():
                piece.delete()
        except RequestRefused as refused:
            return "" if refused.http_status == 404 else f"{refused.message}: delete it in the console"
        return ""
