"""Use case: numbers that are not there yet: search and buy them, or have foreign ones verified to be shown.

Buying spends money: one POST at most, and none where the account has the number already. What an order's lost answer
did is found out by looking, never by ordering again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.byoc import (
    AvailableNumber,
    CallerId,
    CallerIdVerification,
    CarrierNumber,
    NumberQuery,
    OrderState,
)
from gateway.errors import (
    Conflict,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.ids import new_id
from gateway.models import DEFAULT_WORKSPACE, Credential, Number, NumberKind
from gateway.numbers import mask, national_digits, parse_e164, region_of
from gateway.provisioning import find_credential, new_number
from gateway.services import Services
from gateway.store import numbers

KINDS: Final = ("local", "mobile", "toll_free", "national")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """What became of an order. `number` is None while the carrier is still working on it."""

    e164: str = field(repr=False)
    state: OrderState
    number: Number | None = None
    was_there: bool = False  # the account had it already: nothing was ordered
    order_ref: str | None = None


def search_numbers(
    services: Services,
    credential: str,
    *,
    country: str,
    kind: str = "local",
    area_code: str | None = None,
    contains: str | None = None,
    limit: int = 20,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[AvailableNumber]:
    """Search the carrier's inventory of voice numbers; costs nothing.

    Raises:
        ValidationError: names the field. NotFound, UnsupportedFeature, ProviderError.
    """
    account = find_credential(services, credential, workspace_id)
    if re.fullmatch(r"[A-Z]{2}", country) is None:
        raise ValidationError("country", "give ISO 3166 alpha-2, like US")
    if kind not in KINDS:
        raise ValidationError("kind", f"{kind[:20]!r} is not one of: {', '.join(KINDS)}")
    if area_code is not None and re.fullmatch(r"[0-9]{1,8}", area_code) is None:
        raise ValidationError("area_code", "give its digits, like 415")
    if contains is not None and re.fullmatch(r"[0-9]{2,16}", contains) is None:
        raise ValidationError("contains", "give 2 to 16 digits")
    if not 1 <= limit <= 100:
        raise ValidationError("limit", "give 1 to 100")
    query = NumberQuery(country=country, kind=kind, area_code=area_code, contains=contains, limit=limit)
    return services.provider_of(account).search_numbers(query)


def quote_number(
    services: Services, credential: str, e164: str, workspace_id: str = DEFAULT_WORKSPACE
) -> AvailableNumber | None:
    """Return what the carrier says about a number that can be bought, with its price; None: it is not found.

    Raises:
        InvalidNumber, NotFound, UnsupportedFeature, ProviderError.
    """
    wanted = parse_e164(e164, "number")
    account = find_credential(services, credential, workspace_id)
    provider = services.provider_of(account)
    country, national = region_of(wanted), national_digits(wanted)
    for kind in KINDS:
        for query in (
            NumberQuery(country=country, kind=kind, contains=national, limit=10),
            NumberQuery(country=country, kind=kind, area_code=national[:6], limit=100),
        ):
            try:
                found = provider.search_numbers(query)
            except (ValidationError, RequestRefused, UnsupportedFeature):
                continue  # not every carrier searches by every digit, not every country has every kind
            for each in found:
                if each.e164 == wanted:
                    return each
    return None


def buy_number(
    services: Services, credential: str, e164: str, *, workspace_id: str = DEFAULT_WORKSPACE
) -> Bought:
    """Buy a number and take it in. Spends money.

    Raises:
        InvalidNumber, NotFound, UnsupportedFeature. RequestRefused: not available, not allowed: nothing was bought.
        ProviderUnavailable: it cannot be told whether it was bought; asking again looks before it orders.
    """
    account = find_credential(services, credential, workspace_id)
    wanted = parse_e164(e164, "number")
    provider = services.provider_of(account)
    held = provider.find_number(wanted)
    if held is not None:
        return _bought(services, account, held, was_there=True)
    reference = f"gateway-{new_id()}"
    try:
        order = provider.buy_number(wanted, reference=reference)
    except ProviderUnavailable as error:
        try:
            held = provider.find_number(wanted)
        except ProviderError:
            held = None
        if held is None:
            raise ProviderUnavailable(
                f"it cannot be told whether {mask(wanted)} was bought ({error.message}): ask again in a minute, which "
                f"looks before it orders, or look for order {reference} in the carrier's console",
                provider=provider.name,
            ) from error
        return _bought(services, account, held)
    if order.number is None:
        return Bought(e164=wanted, state=order.state, order_ref=order.order_ref)
    return _bought(services, account, order.number, order_ref=order.order_ref)


def _bought(
    services: Services,
    account: Credential,
    held: CarrierNumber,
    *,
    was_there: bool = False,
    order_ref: str | None = None,
) -> Bought:
    if held.is_ordered:
        return Bought(e164=held.e164, state=OrderState.PENDING, was_there=was_there, order_ref=order_ref)
    new = new_number(services.clock(), held.e164, account, held.carrier_ref)
    return Bought(
        e164=held.e164,
        state=OrderState.BOUGHT,
        number=_take_in(services, account, new),
        was_there=was_there,
        order_ref=order_ref,
    )


def _take_in(services: Services, account: Credential, new: Number) -> Number:
    with services.store.transaction() as tx:
        numbers.insert_numbers(tx, [new])
        found = numbers.find_number(tx, account.workspace_id, new.e164, credential_id=account.id)
    assert found is not None
    return found


# -- verified caller IDs -------------------------------------------------------------------------------------------


def list_caller_ids(
    services: Services, credential: str, workspace_id: str = DEFAULT_WORKSPACE
) -> list[CallerId]:
    """Return the foreign numbers that the account may show. Raises NotFound, UnsupportedFeature, ProviderError."""
    account = find_credential(services, credential, workspace_id)
    return list(services.provider_of(account).list_caller_ids())


def start_caller_id(
    services: Services,
    credential: str,
    e164: str,
    *,
    by: str = "call",
    workspace_id: str = DEFAULT_WORKSPACE,
) -> CallerIdVerification:
    """Have the carrier call a foreign number, or send it a text, to verify that it may be shown.

    Raises:
        InvalidNumber, ValidationError, NotFound, UnsupportedFeature, ProviderError.
    """
    if by not in ("call", "sms"):
        raise ValidationError("by", "give call or sms")
    account = find_credential(services, credential, workspace_id)
    return services.provider_of(account).start_caller_id(parse_e164(e164, "number"), by=by)


def confirm_caller_id(
    services: Services,
    credential: str,
    e164: str,
    verification_ref: str | None = None,
    code: str | None = None,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Number:
    """Finish a verification, and take the number in for outbound calls.

    Raises:
        as `add_caller_id`; RequestRefused: a wrong or stale code.
    """
    account = find_credential(services, credential, workspace_id)
    if code is not None and re.fullmatch(r"[0-9]{3,10}", code) is None:
        raise ValidationError("code", "give the digits that the phone got")
    services.provider_of(account).confirm_caller_id(parse_e164(e164, "number"), verification_ref, code)
    return add_caller_id(services, credential, e164, workspace_id=workspace_id)


def add_caller_id(
    services: Services, credential: str, e164: str, *, workspace_id: str = DEFAULT_WORKSPACE
) -> Number:
    """Take in a foreign number that the account may show: it can be assigned for outbound calls only.

    Raises:
        InvalidNumber, NotFound, UnsupportedFeature, ProviderError. Conflict: not verified, or here as another kind.
    """
    account = find_credential(services, credential, workspace_id)
    wanted = parse_e164(e164, "number")
    known = {each.e164: each for each in services.provider_of(account).list_caller_ids()}
    if wanted not in known:
        raise Conflict(f"{mask(wanted)} is not verified at {account.provider}: have it verified first")
    new = new_number(services.clock(), wanted, account, known[wanted].carrier_ref)
    number = _take_in(services, account, replace(new, kind=NumberKind.CALLER_ID))
    if number.kind is not NumberKind.CALLER_ID:
        raise Conflict(f"{mask(wanted)} is the account's own number: it can be assigned as it is")
    return number
