"""Use case: numbers that stay with the person's own SIP carrier, by a link between it and an account.

What the link needs at the account is found or made by its name, so adding it again mends it; the person then enters the
printed settings at their SIP carrier. Its password is sealed with the vault.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway import pointing
from gateway.byoc import Difference, SipRemoval, SipRequest, SipStays, SipTrunk
from gateway.errors import Conflict, NotFound, ProviderUnavailable, UnsupportedFeature, ValidationError
from gateway.ids import new_id
from gateway.models import DEFAULT_WORKSPACE, Credential, Number, NumberKind, SipLink
from gateway.numbers import parse_e164
from gateway.provisioning import find_credential, new_number
from gateway.services import Services
from gateway.store import Tx, numbers, sip_links
from gateway.store.rows import SealedSipLink

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAdded:
    """A link that stands, its numbers, and what the person enters at their SIP carrier, line by line."""

    link: SipLink
    numbers: tuple[Number, ...]
    instructions: tuple[tuple[str, str], ...]
    differences: tuple[Difference, ...] = ()


def add_sip(
    services: Services,
    credential: str,
    e164s: Sequence[str],
    *,
    name: str = "sip",
    carrier_host: str | None = None,
    carrier_ips: Sequence[str] = (),
    username: str | None = None,
    password: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> SipAdded:
    """Make what a link to a SIP carrier needs at the account, and add the numbers that stay with that carrier.

    Args:
        e164s: its numbers. name: ours, one a link: lower-case letters, digits and dashes. A link of that name that is
            there gets the numbers too, and keeps whatever is not given anew.
        carrier_host: where outbound calls go; None: inbound only. carrier_ips: where its calls come from.
        username, password: what its calls authenticate with instead.

    Raises:
        ValidationError: names the field. NotFound: no such credential. Conflict: a number is here by another way.
        UnsupportedFeature. ConfigurationError: no public URL. ProviderError: asking again is safe.
    """
    if _NAME.fullmatch(name) is None:
        raise ValidationError("name", "give 1 to 40 lower-case letters, digits and dashes")
    wanted = tuple(dict.fromkeys(parse_e164(each, "number") for each in e164s))
    if not wanted:
        raise ValidationError("number", "name at least one number that stays with the SIP carrier")
    account = find_credential(services, credential, workspace_id)
    if not services.provider_of(account).capabilities.sip_setup:
        raise UnsupportedFeature(account.provider, "SIP links through the API", "see its page in the docs")
    pointing.setup_of(services, account)
    _refuse_owned(services, account, wanted)
    known = sip_links.find_sip_link(services.store, account.id, name)
    base = known.link if known else _new_link(services, account, name)
    wished = replace(
        base,
        carrier_host=carrier_host or base.carrier_host,
        carrier_ips=tuple(carrier_ips) or base.carrier_ips,
        username=username or base.username,
    )
    link = _sealed(services, wished, password, known)
    services.provider_of(account).check_sip_request(_request(services, account, link, wanted))
    _write_ahead(services, link, is_new=known is None)
    held = _numbers_of(services, link.link)
    every = tuple(dict.fromkeys((*(number.e164 for number in held), *wanted)))
    trunk, link = _ensure(services, account, link, every)
    with services.store.transaction() as tx:
        _store_numbers(tx, services, account, link.link, wanted)
    return SipAdded(
        link=link.link,
        numbers=tuple(_numbers_of(services, link.link)),
        instructions=trunk.instructions,
        differences=check_link(services, link.link.id),
    )


def check_link(services: Services, link_id: str) -> tuple[Difference, ...]:
    """Say what of a link is not right yet. Raises NotFound, ProviderError."""
    sealed = sip_links.load_sip_link(services.store, link_id)
    account = services.credential(sealed.link.workspace_id, sealed.link.credential_id)
    held = tuple(number.e164 for number in _numbers_of(services, sealed.link))
    return services.provider_of(account).check_sip(_request(services, account, sealed, held))


def mend_link(services: Services, number: Number) -> None:
    """Make again what is missing of a number's link. Raises NotFound, ProviderError: asking again is safe."""
    sealed = sip_links.load_sip_link(services.store, number.sip_link_id or "")
    account = services.credential(number.workspace_id, number.credential_id)
    _ensure(services, account, sealed, tuple(each.e164 for each in _numbers_of(services, sealed.link)))


# -- taking it away ------------------------------------------------------------------------------------------------


def remove_number(hold: pointing.Hold) -> tuple[str, ...]:
    """Forget a number of a link and delete what was made for it; with the link's last number, the link.

    Returns:
        a sentence for each thing that stays at the carrier.

    Raises:
        ProviderError: the number is still here; asking again is safe.
    """
    services, number = hold.services, hold.number
    link_id = number.sip_link_id or ""
    with pointing.leased(services, f"SIP link {link_id}", "the number's SIP link", hold.renew):
        left = _release(hold, link_id)
        with services.store.transaction() as tx:
            numbers.remove_number(tx, number.id)
            sip_links.remove_unused_link(tx, link_id)
    return left


def _release(hold: pointing.Hold, link_id: str) -> tuple[str, ...]:
    services, number = hold.services, hold.number
    try:
        link = sip_links.load_sip_link(services.store, link_id).link
    except NotFound:
        return ()
    stays = SipStays.APPLICATION
    if any(each.link.id != link.id for each in _links_of(services, hold.credential.id)):
        stays = SipStays.OTHER_LINKS
    if any(each.id != number.id for each in _numbers_of(services, link)):
        stays = SipStays.LINK
    return _take_apart(services, hold.credential, link, (number.e164,), stays)


def remove_links(
    services: Services, credential_id: str, workspace_id: str, *, configure: bool = True
) -> tuple[str, ...]:
    """Delete what an account's links made at the carrier, before the account and its links are forgotten.

    Args:
        configure: False: delete nothing.

    Returns:
        a sentence for each thing that stays at the carrier. Raises ProviderError: asking again is safe.
    """
    links = [each.link for each in _links_of(services, credential_id)]
    if not links:
        return ()
    account = services.credential(workspace_id, credential_id)
    if not configure:
        return tuple(
            f"SIP link {link.name!r} stays at {account.provider} as it is: "
            + (", ".join(f"{what} {ref}" for what, ref in link.refs.items()) or "it was not made whole")
            for link in links
        )
    stays = SipStays.APPLICATION if account.application_ref else SipStays.NOTHING
    left: list[str] = []
    for link in links:
        held = tuple(number.e164 for number in _numbers_of(services, link))
        left += _take_apart(services, account, link, held, stays)
    return tuple(dict.fromkeys(left))


def _take_apart(
    services: Services, account: Credential, link: SipLink, e164s: tuple[str, ...], stays: SipStays
) -> tuple[str, ...]:
    removal = SipRemoval(
        name=_name_there(account, link),
        numbers=e164s,
        username=link.username,
        application_ref=account.application_ref,
        refs=link.refs,
        stays=stays,
    )
    try:
        left = services.provider_of(account).remove_sip(removal)
    except ProviderUnavailable as error:
        raise ProviderUnavailable(
            f"it cannot be told whether all that SIP link {link.name!r} made is deleted ({error.message}): "
            "ask again, which deletes the rest",
            provider=account.provider,
        ) from error
    for each in left:
        log.warning("left by SIP link %s of credential %s: %s", link.name, account.id, each)
    return left


def _links_of(services: Services, credential_id: str) -> list[SealedSipLink]:
    return [
        each for each in sip_links.list_sip_links(services.store) if each.link.credential_id == credential_id
    ]


# -- private ---------------------------------------------------------------------------------------------------------


def _new_link(services: Services, account: Credential, name: str) -> SipLink:
    return SipLink(
        id=new_id(),
        workspace_id=account.workspace_id,
        credential_id=account.id,
        name=name,
        created_at=services.clock(),
    )


def _sealed(
    services: Services, link: SipLink, password: str | None, known: SealedSipLink | None
) -> SealedSipLink:
    sealed = known.sealed if known else ""
    if password is not None:
        bound = {"workspace_id": link.workspace_id, "row_id": link.id}
        sealed = services.vault.seal({"password": password}, **bound)
    return SealedSipLink(link=link, sealed=sealed)


def _write_ahead(services: Services, asked: SealedSipLink, *, is_new: bool) -> None:
    """Keep what is asked for before anything is made: what a kill interrupts is found again by its name."""
    write = sip_links.insert_sip_link if is_new else sip_links.save_sip_link
    with services.store.transaction() as tx:
        write(tx, asked.link, sealed=asked.sealed)


def _ensure(
    services: Services, account: Credential, sealed: SealedSipLink, e164s: tuple[str, ...]
) -> tuple[SipTrunk, SealedSipLink]:
    held = pointing.Held(services=services, credential=account, provider=services.provider_of(account))
    pointing.ensure_application(held)  # what the link leads to, where the carrier has that
    trunk = held.provider.ensure_sip(_request(services, held.credential, sealed, e164s))
    link = replace(sealed.link, refs=dict(trunk.refs), trunk_ref=trunk.trunk_ref)
    with services.store.transaction() as tx:
        sip_links.save_sip_link(tx, link, sealed=sealed.sealed)
        numbers.save_trunk(tx, link.id, trunk.trunk_ref)
    return trunk, SealedSipLink(link=link, sealed=sealed.sealed)


def _request(
    services: Services, account: Credential, sealed: SealedSipLink, e164s: tuple[str, ...]
) -> SipRequest:
    link = sealed.link
    opened: Mapping[str, str] = {}
    if sealed.sealed:
        opened = services.vault.open(sealed.sealed, workspace_id=link.workspace_id, row_id=link.id)
    return SipRequest(
        name=_name_there(account, link),
        urls=services.urls.of_setup(account.key),
        numbers=e164s,
        carrier_host=link.carrier_host,
        carrier_ips=link.carrier_ips,
        username=link.username,
        password=opened.get("password"),
        application_ref=pointing.application_ref_of(services, account),
        refs=link.refs,
    )


def _name_there(account: Credential, link: SipLink) -> str:
    """Return the name of what is made at the carrier."""
    return f"gateway-{link.name}-{account.id[-12:]}"


def _numbers_of(services: Services, link: SipLink) -> list[Number]:
    held = numbers.list_numbers(services.store, link.workspace_id, credential_id=link.credential_id)
    return [number for number in held if number.sip_link_id == link.id]


def _refuse_owned(services: Services, account: Credential, wanted: Sequence[str]) -> None:
    for e164 in wanted:
        held = numbers.find_number(services.store, account.workspace_id, e164, credential_id=account.id)
        if held is not None and held.kind is not NumberKind.SIP:
            raise Conflict(f"number …{e164[-4:]} is here as the account's own: release it first")


def _store_numbers(
    tx: Tx, services: Services, account: Credential, link: SipLink, wanted: Sequence[str]
) -> None:
    for e164 in wanted:
        new = new_number(services.clock(), e164, account, None)
        number = replace(new, kind=NumberKind.SIP, sip_link_id=link.id, trunk_ref=link.trunk_ref)
        if not numbers.insert_numbers(tx, [number]):
            held = numbers.find_number(tx, account.workspace_id, e164, credential_id=account.id)
            if held is None or held.sip_link_id != link.id:
                raise Conflict(f"number …{e164[-4:]} belongs to another SIP link: release it first")
