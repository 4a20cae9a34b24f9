"""Use case: bring an account, keep its secrets fresh, and take it away again.

Secrets are checked for their shape, then live with one harmless read, then sealed (R79). A rotation adds a second live
secret where the carrier's webhooks can be checked against two, and dropping the old one works at once on every worker,
because each reads the sealed secrets anew (R24).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway import assigning, linking, registry
from gateway.errors import (
    ConfigurationError,
    Conflict,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    ValidationError,
)
from gateway.ids import new_id, new_token
from gateway.interface import AccountInfo, Provider
from gateway.models import DEFAULT_WORKSPACE, Credential
from gateway.provisioning import find_credential
from gateway.services import Services
from gateway.store import Tx, credentials, endpoints, sip_links

log = logging.getLogger(__name__)

SECOND: Final = "_secondary"  # a second live secret is named so, after the first
_LONGEST_NAME: Final = 200
_UNUSABLE: Final = ("suspended", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialAdded:
    """A credential that was added; `account` is what the carrier says about it, None when it was not asked."""

    credential: Credential
    account: AccountInfo | None = None


def add_credential(
    services: Services,
    provider: str,
    secrets: Mapping[str, str],
    *,
    name: str = "",
    exclusive: bool = True,
    check: bool = True,
    outbound_profile: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> CredentialAdded:
    """Check the shape of the secrets, ask the carrier whether they work, seal them and store them.

    Args:
        check: False: do not ask the carrier. outbound_profile: the carrier's object that outbound calls are billed by.

    Raises:
        ConfigurationError: no such provider, a secret is absent or unknown. ValidationError: a malformed secret.
        Conflict: the account is suspended or closed, or the name is another account's. ProviderError: the carrier's
            reason; nothing was stored.
    """
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValidationError("name", f"give at most {_LONGEST_NAME} printable characters")
    for option, value in (("exclusive", exclusive), ("check", check)):
        if not isinstance(value, bool):
            raise ValidationError(option, "give true or false; a secret of that name goes into `secrets`")
    adapter = _shaped(provider, secrets)
    account = _ask(services, provider, secrets, "the account was not added") if check else None
    setting = adapter.capabilities.application_setting
    credential = Credential(
        id=new_id(),
        workspace_id=workspace_id,
        provider=provider,
        name=name or provider,
        key=new_token(),
        account_ref=adapter.account_ref,
        secrets=dict(secrets),
        exclusive=exclusive,
        created_at=services.clock(),
        application_ref=secrets.get(setting) if setting else None,
        outbound_profile=outbound_profile,
    )
    sealed = services.vault.seal(secrets, workspace_id=workspace_id, row_id=credential.id)
    with services.store.transaction() as tx:
        credential = replace(credential, name=_free_name(tx, workspace_id, provider, name))
        credentials.insert_credential(tx, credential, sealed=sealed)
    return CredentialAdded(credential=credential, account=account)


def _free_name(tx: Tx, workspace_id: str, provider: str, name: str) -> str:
    """Return the name asked for, or the provider, numbered: commands find an account by its name, so it has one owner.

    Raises:
        Conflict: another account has the name.
    """
    taken = {each.name for each in credentials.list_credentials(tx, workspace_id)}
    if not name:
        numbered = (f"{provider}-{number}" for number in itertools.count(2))
        return next(each for each in itertools.chain((provider,), numbered) if each not in taken)
    if name in taken:
        raise Conflict(f"another account is named {name!r}: give this one another name")
    return name


def check_credential(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> AccountInfo:
    """Ask the carrier who the account is, with one harmless read. Raises NotFound, ProviderError."""
    credential = find_credential(services, ident, workspace_id)
    return services.provider_of(credential).check_account()


def _shaped(provider: str, secrets: Mapping[str, str]) -> Provider:
    """Check the names and the shape of secrets; return their adapter. Raises ConfigurationError, ValidationError."""
    kind = registry.provider_class(provider)
    adapter = kind(secrets)
    kind.check_secrets(secrets)
    return adapter


def _ask(services: Services, provider: str, secrets: Mapping[str, str], otherwise: str) -> AccountInfo:
    """Return what the carrier says about the account; refuse one that cannot be used, in plain words."""
    adapter = services.open_provider(provider, secrets, base_url=services.settings.base_urls.get(provider))
    try:
        account = adapter.check_account()
    except RequestRefused as error:
        raise RequestRefused(
            f"{otherwise}: the carrier refuses these secrets ({error.message}); copy them again from its console",
            provider=error.provider,
            http_status=error.http_status,
            vendor_code=error.vendor_code,
            vendor_request_id=error.vendor_request_id,
        ) from None
    except RateLimited:
        raise
    except ProviderError as error:
        raise ProviderUnavailable(
            f"{otherwise}: the carrier could not be asked ({error.message}); try again, or go on without asking "
            "(--no-check)",
            provider=error.provider,
            http_status=error.http_status,
        ) from None
    if account.status in _UNUSABLE:
        raise Conflict(
            f"{otherwise}: {provider} says that account {account.account_ref} is {account.status}; settle that "
            "with the carrier first"
        )
    return account


# -- secrets -------------------------------------------------------------------------------------------------------


def rotate_credential(
    services: Services,
    ident: str,
    secrets: Mapping[str, str],
    *,
    check: bool = True,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Credential:
    """Add new secrets beside the old ones where both can be live, else in their place.

    With two live secrets webhooks signed by either are believed; `retire_credential` ends the old one.

    Raises:
        NotFound; ConfigurationError, ValidationError: as `add_credential`. Conflict: what numbers point at cannot be
        exchanged while they do. ProviderError: the carrier refuses the new secrets; nothing was changed.
    """
    if not secrets:
        raise ValidationError("secret", "name at least one new secret, as field=value")
    found = find_credential(services, ident, workspace_id)
    setting = services.provider_of(found).capabilities.application_setting
    if setting in secrets and credentials.is_in_use(services.store, found.id):
        raise Conflict(
            f"numbers of this credential are assigned by way of its {setting}: unassign them first"
        )

    def changed(old: Mapping[str, str]) -> dict[str, str]:
        new = dict(old)
        for name, value in secrets.items():
            new[name + SECOND if _has_second(found.provider, old, name) else name] = value
        return new

    _shaped(found.provider, changed(found.secrets))
    if check:
        _ask(services, found.provider, {**found.secrets, **secrets}, "nothing was changed")
    _reseal(services, found, changed)
    if setting in secrets:
        with services.store.transaction() as tx:
            credentials.save_application(tx, found.id, secrets[setting or ""], before=None, is_ours=False)
    return services.credential(found.workspace_id, found.id)


def retire_credential(
    services: Services, ident: str, *, check: bool = True, workspace_id: str = DEFAULT_WORKSPACE
) -> Credential:
    """End the old secrets of a rotation: the second ones take their place.

    Raises:
        NotFound; Conflict: no rotation is under way. ProviderError: the carrier refuses the new ones alone; nothing
        was changed.
    """
    found = find_credential(services, ident, workspace_id)
    if not any(name.endswith(SECOND) for name in found.secrets):
        raise Conflict("no rotation is under way: give the new secret first (gateway credentials rotate)")
    if check:
        _ask(services, found.provider, _retired(found.secrets), "nothing was changed")
    _reseal(services, found, _retired)
    return services.credential(found.workspace_id, found.id)


def _retired(old: Mapping[str, str]) -> dict[str, str]:
    seconds = {name.removesuffix(SECOND): value for name, value in old.items() if name.endswith(SECOND)}
    return {**{name: value for name, value in old.items() if not name.endswith(SECOND)}, **seconds}


def _has_second(provider: str, secrets: Mapping[str, str], name: str) -> bool:
    """Whether the carrier's adapter takes a second secret of this kind."""
    try:
        registry.provider_class(provider)({**secrets, name + SECOND: secrets.get(name, "x")})
    except ConfigurationError:
        return False
    return True


def _reseal(
    services: Services, found: Credential, change: Callable[[Mapping[str, str]], dict[str, str]]
) -> None:
    """Change the sealed secrets of a row, whatever another process did to them meanwhile."""
    bound = {"workspace_id": found.workspace_id, "row_id": found.id}
    with services.store.transaction() as tx:
        sealed = credentials.load_sealed_credential_for_update(tx, found.id).sealed
        changed = change(services.vault.open(sealed, **bound))
        _shaped(found.provider, changed)
        credentials.save_sealed(tx, found.id, services.vault.seal(changed, **bound))


# -- the vault's key -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """What became of the sealed rows: sealed anew, sealed with the newest key already, and those that do not open."""

    resealed: int = 0
    unchanged: int = 0
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """One sealed text, the row it is bound to, and how it is replaced where it is still the same."""

    what: str
    workspace_id: str
    row_id: str
    sealed: str
    replace: Callable[[str], bool]


def rekey(services: Services, on_progress: Callable[[int], object] = lambda done: None) -> Rekeyed:
    """Seal with the newest key whatever an older one sealed, in every workspace, while the gateway goes on working.

    Row by row, each in a transaction of its own and only where nobody changed it meanwhile, so that it can be killed
    and run again. A row whose text was moved there from another one does not open and is named.
    """
    resealed = unchanged = 0
    failures = []
    for done, row in enumerate(_sealed_rows(services), start=1):
        try:
            values = services.vault.open(row.sealed, workspace_id=row.workspace_id, row_id=row.row_id)
        except ConfigurationError as error:
            failures.append(f"{row.what}: {error}")
        else:
            if services.vault.is_newest(row.sealed):
                unchanged += 1
            else:
                new = services.vault.seal(values, workspace_id=row.workspace_id, row_id=row.row_id)
                resealed += row.replace(new)  # else it was changed, and sealed anew, by somebody else
        on_progress(done)
    return Rekeyed(resealed=resealed, unchanged=unchanged, failures=tuple(failures))


def _sealed_rows(services: Services) -> Iterator[_Sealed]:
    store = services.store

    def replace_in(save: Callable[..., bool], ident: str, old: str) -> Callable[[str], bool]:
        def save_new(new: str) -> bool:
            with store.transaction() as tx:
                return save(tx, ident, old=old, new=new)

        return save_new

    for found in credentials.list_sealed_credentials(store):
        known = found.credential
        put = replace_in(credentials.save_resealed, known.id, found.sealed)
        yield _Sealed(
            what=f"credential {known.id}",
            workspace_id=known.workspace_id,
            row_id=known.id,
            sealed=found.sealed,
            replace=put,
        )
    for endpoint in endpoints.list_sealed_endpoints(store):
        ident = endpoint.endpoint.id
        yield _Sealed(
            what=f"webhook endpoint {ident}",
            workspace_id=endpoint.endpoint.workspace_id,
            row_id=ident,
            sealed=endpoint.sealed,
            replace=replace_in(endpoints.save_resealed, ident, endpoint.sealed),
        )
    for link in sip_links.list_sip_links(store):
        if link.sealed:
            yield _Sealed(
                what=f"SIP link {link.link.name}",
                workspace_id=link.link.workspace_id,
                row_id=link.link.id,
                sealed=link.sealed,
                replace=replace_in(sip_links.save_resealed_link, link.link.id, link.sealed),
            )


# -- taking it away ------------------------------------------------------------------------------------------------


def remove_credential(
    services: Services,
    ident: str,
    *,
    release_numbers: bool = False,
    configure: bool = True,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> tuple[str, ...]:
    """Remove a credential and erase its secrets; what we made for it is deleted at the carrier.

    Args:
        release_numbers: unassign its numbers first and put them back at the carrier. configure: False: leave the
            carrier's side as it is.

    Returns:
        a sentence for each thing of its SIP links that stays at the carrier.

    Raises:
        NotFound; Conflict: its numbers are assigned or point at us, or a call is live. ProviderError: the carrier's
        side cannot be put back now; the credential stays.
    """
    credential = find_credential(services, ident, workspace_id)
    if release_numbers:
        assigning.release_all(services, credential.id, workspace_id, configure=configure)
    with services.store.transaction() as tx:
        credentials.check_removable(tx, credential.id, workspace_id=workspace_id)
    if configure:
        assigning.forget_application(services, credential.id, workspace_id)
    left = linking.remove_links(services, credential.id, workspace_id, configure=configure)
    with services.store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id=workspace_id, at=services.clock())
    return left
