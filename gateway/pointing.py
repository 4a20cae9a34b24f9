"""How one number is pointed at us at its carrier, and put back: the steps that several use cases share.

The order is the protocol (ADR 19): hold the number by a lease; read what it points at; write that down together with
the state `applying`, **commit**; then one write at the carrier after another, each safe to repeat; read back and
compare; write `applied`. A process that is killed in between leaves the state, what was there before, and therefore all
that `gateway.checking` needs to tell and to mend it. Putting back goes the same way by `restoring`.

Not here: assignments (`gateway.assigning`), drift (`gateway.checking`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from gateway.byoc import (
    ApplicationRequest,
    CarrierApplication,
    CarrierNumber,
    Difference,
    NumberSetup,
    Place,
    Target,
)
from gateway.errors import (
    ConfigurationError,
    Conflict,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    StoreUnavailable,
)
from gateway.ids import new_token
from gateway.interface import Provider
from gateway.models import Credential, Number, SetupState
from gateway.numbers import mask
from gateway.services import Services
from gateway.store import credentials, numbers, upkeep
from gateway.transport import redact_url
from gateway.urls import key_in

log = logging.getLogger(__name__)

# A step at the carrier takes some requests of 15 s at most; the lease is renewed before each of them.
LEASE: Final = timedelta(seconds=90)
CHECK_EVERY: Final = timedelta(hours=1)
_PAUSE_S: Final = 0.2
_PAUSES: Final = 50  # 10 s


class LeaseLost(Conflict):
    """The lease ran out in the middle and another process has the number: it decides now."""


@dataclass(slots=True, kw_only=True)
class Held:
    """An account whose application is set up: that has a lease of its own."""

    services: Services
    credential: Credential
    provider: Provider

    def renew(self) -> None:
        """Keep what is held besides: nothing."""

    def reload_credential(self) -> None:
        """Read the credential again: the application it names may have changed."""
        self.credential = self.services.credential(self.credential.workspace_id, self.credential.id)
        self.provider = self.services.provider_of(self.credential)


@dataclass(slots=True, kw_only=True)
class Hold(Held):
    """A number that only this process changes at its carrier while it has the lease."""

    number: Number
    owner: str

    def renew(self) -> None:
        """Keep the lease for the next step. Raises LeaseLost when it ran out and another process has it."""
        now = self.services.clock()
        with self.services.store.transaction() as tx:
            if not upkeep.take_lease(tx, lease_name(self.number.id), self.owner, now + LEASE, now):
                raise LeaseLost(f"another process took over number {mask(self.number.e164)}: check it")

    def save(self, changed: Number) -> None:
        """Commit how far the number is."""
        with self.services.store.transaction() as tx:
            numbers.save_setup(tx, changed)
        self.number = changed


def lease_name(number_id: str) -> str:
    """Return the name of the lease on a number."""
    return f"number {number_id}"


@contextmanager
def holding(
    services: Services, number: Number, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[Hold]:
    """Hold a number; yields it as it stands then.

    Args:
        meanwhile: called while another process has the number; raises when waiting is of no use any more.

    Raises:
        Conflict: another process changes the number, and is not through with it in 10 s.
    """
    with leased(services, lease_name(number.id), f"number {mask(number.e164)}", meanwhile) as owner:
        credential = services.credential(number.workspace_id, number.credential_id)
        yield Hold(
            services=services,
            number=numbers.load_number(services.store, number.id),
            credential=credential,
            provider=services.provider_of(credential),
            owner=owner,
        )


@contextmanager
def leased(services: Services, name: str, shown: str, meanwhile: Callable[[], object]) -> Iterator[str]:
    """Hold what has that name; yields the lease's owner. `shown` names it to a person. See `holding`."""
    owner = new_token()
    for attempt in range(_PAUSES + 1):
        meanwhile()
        now = services.clock()
        if not upkeep.is_leased(services.store, name, now):
            with services.store.transaction() as tx:
                if upkeep.take_lease(tx, name, owner, now + LEASE, now):
                    break
        if attempt == _PAUSES:
            raise Conflict(
                f"another process is changing {shown} at its carrier: try again when it is through "
                f"(at the latest {LEASE.seconds} s after it was killed)"
            )
        services.sleep(_PAUSE_S)
    try:
        yield owner
    finally:
        try:
            with services.store.transaction() as tx:
                upkeep.release_lease(tx, name, owner)
        except StoreUnavailable as error:  # it ends by itself; what was done must not look undone
            log.warning("the lease on %s could not be given back: %s", shown, error)


# -- what is there -------------------------------------------------------------------------------------------------


def read(hold: Hold) -> CarrierNumber:
    """Return the number as it stands at the carrier. Raises NotFound when the account does not have it."""
    found = hold.provider.find_number(hold.number.e164)
    if found is None:
        raise NotFound(
            f"number in {hold.provider.name} account {hold.credential.name!r}", mask(hold.number.e164)
        )
    return found


def read_with_target(hold: Hold) -> tuple[CarrierNumber, Target]:
    """Return the number as it stands, and what it points at. Raises NotFound, ProviderError."""
    found = read(hold)
    return found, hold.provider.target_of(found)


def setup_of(services: Services, credential: Credential) -> NumberSetup:
    """Return what the credential's numbers are to point at. Raises ConfigurationError without a public URL."""
    return NumberSetup(
        urls=services.urls.of_setup(credential.key), application_ref=application_ref_of(services, credential)
    )


def application_ref_of(services: Services, credential: Credential) -> str | None:
    """Return the application that the credential's numbers point at: made before, or named by the person."""
    setting = services.provider_of(credential).capabilities.application_setting
    return credential.application_ref or (credential.secrets.get(setting) if setting else None)


def lacks_application(services: Services, credential: Credential) -> bool:
    """Whether dials of the credential must name an application, and there is none yet."""
    capabilities = services.provider_of(credential).capabilities
    must_name = capabilities.has_applications and capabilities.application_setting is not None
    return must_name and application_ref_of(services, credential) is None


def is_ours(hold: Hold, found: CarrierNumber, target: Target | None = None) -> bool:
    """Whether inbound calls of the number come to us, under whatever public URL we had when it was set."""
    if hold.services.urls.public_url is not None:
        setup = setup_of(hold.services, hold.credential)
        if hold.provider.is_ours(found, setup):
            return True
    urls = (target or hold.provider.target_of(found)).urls
    return any(key_in(url) == hold.credential.key for url in urls)


def claimed_by_other(target: Target, credential: Credential) -> bool:
    """Whether the number points at a gateway, by another credential or in another installation."""
    keys = {key_in(url) for url in target.urls} - {None}
    return bool(keys) and credential.key not in keys


def refuse_claimed(hold: Hold, target: Target) -> None:
    """Raise Conflict when the number is another gateway's."""
    if claimed_by_other(target, hold.credential):
        raise Conflict(
            f"number {mask(hold.number.e164)} is claimed by another gateway: it points at {target.text}; unassign "
            "it there, or take it over (--take-over)"
        )


def same_settings(found: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether the carrier has again what it had before us."""
    return all(found.get(name) == value for name, value in before.items())


# -- pointing at us ------------------------------------------------------------------------------------------------


def begin(hold: Hold, found: CarrierNumber, target: Target) -> Number:
    """Return the number with what is there now and the state `applying`: to be committed before the first write.

    What was there before us is written down once; it is not touched while the number is ours.
    """
    held = hold.number
    is_kept = held.before is not None and (
        held.setup_state is not SetupState.NONE or is_ours(hold, found, target)
    )
    return replace(
        held,
        setup_state=SetupState.APPLYING,
        carrier_ref=found.carrier_ref,
        before=held.before if is_kept else dict(found.settings),
        pointed_at=held.pointed_at if is_kept else target.text,
    )


def carry_out(hold: Hold, found: CarrierNumber) -> tuple[Difference, ...]:
    """Point the number at us: the application, then the number, each read back; then commit `applied`.

    Returns:
        what one of our writes cannot mend, with what to do.

    Raises:
        ProviderUnavailable: whether it took effect cannot be told. Any other error: a write was refused.
    """
    application = ensure_application(hold)
    hold.renew()
    setup = setup_of(hold.services, hold.credential)
    try:
        written = hold.provider.configure_number(found, setup)
    except ProviderUnavailable:
        written = read(hold)  # it may have arrived all the same
    left = hold.provider.differences(written, application, setup)
    wrong = [each for each in left if each.is_repairable]
    if wrong:
        raise RequestRefused(
            f"the carrier does not have what was set: {describe(wrong)}", provider=hold.provider.name
        )
    now = hold.services.clock()
    applied = replace(hold.number, setup_state=SetupState.APPLIED, carrier_ref=written.carrier_ref)
    with hold.services.store.transaction() as tx:
        numbers.save_setup(tx, applied)
        numbers.save_found(tx, applied.id, left, now)
        numbers.schedule_check(tx, applied.id, now + CHECK_EVERY)
    hold.number = applied
    return left


def describe(differences: list[Difference] | tuple[Difference, ...]) -> str:
    """Return differences in one line for a person. A webhook's path holds its account's key: it is hidden."""
    return "; ".join(
        f"{each.setting} is {_shown(each.found)}, should be {_shown(each.wanted)}"
        + (f" ({each.advice})" if each.advice else "")
        for each in differences
    )


def _shown(value: str) -> str:
    return (redact_url(value) if "://" in value else value) or "empty"


def ensure_application(hold: Held) -> CarrierApplication | None:
    """Find, make or mend what the credential's numbers point at, and keep its name; None: they hold the URLs.

    One process at a time for a credential: two would make two. What an application of the person's had before us is
    committed before it is changed.
    """
    if not hold.provider.capabilities.has_applications:
        return None
    name = f"application {hold.credential.id}"
    with leased(hold.services, name, f"the application of {hold.credential.name!r}", hold.renew):
        hold.reload_credential()
        return _ensure_application(hold)


def _ensure_application(hold: Held) -> CarrierApplication:
    services, credential, provider = hold.services, hold.credential, hold.provider
    ref = application_ref_of(services, credential)
    if ref is not None and not credential.application_is_ours and credential.application_before is None:
        _keep_application(hold, ref, provider.fetch_application(ref).settings)
    request = ApplicationRequest(
        name=f"gateway-{credential.id}",
        urls=services.urls.of_setup(credential.key),
        ref=ref,
        outbound_profile=credential.outbound_profile,
    )
    try:
        made = _asked_twice(lambda: provider.ensure_application(request))
    except NotFound:
        if not credential.application_is_ours:
            raise ConfigurationError(
                f"the application {ref!r} of credential {credential.name!r} is no longer at {provider.name}: name "
                "another one, or add the credential again without it, and one is made"
            ) from None
        made = _asked_twice(
            lambda: provider.ensure_application(replace(request, ref=None))
        )  # ours was deleted
    assert made is not None
    if made.ref != ref:
        _name_application(hold, made.ref)
    return made


def _asked_twice(ask: Callable[[], CarrierApplication | None]) -> CarrierApplication | None:
    """An answer that was lost is asked for once more: what is made is found again by its name."""
    try:
        return ask()
    except ProviderUnavailable:
        return ask()


def _keep_application(hold: Held, ref: str, settings: Mapping[str, Any]) -> None:
    with hold.services.store.transaction() as tx:
        credentials.save_application(tx, hold.credential.id, ref, before=dict(settings), is_ours=False)
    hold.reload_credential()


def _name_application(hold: Held, ref: str) -> None:
    """Keep the application that was made; where dials must name it, with the secrets too."""
    services, setting = hold.services, hold.provider.capabilities.application_setting
    with services.store.transaction() as tx:
        credentials.save_application(tx, hold.credential.id, ref, before=None, is_ours=True)
        if setting is not None:
            sealed = credentials.load_sealed_credential_for_update(tx, hold.credential.id).sealed
            bound = {"workspace_id": hold.credential.workspace_id, "row_id": hold.credential.id}
            secrets = {**services.vault.open(sealed, **bound), setting: ref}
            credentials.save_sealed(tx, hold.credential.id, services.vault.seal(secrets, **bound))
    hold.reload_credential()


# -- putting back --------------------------------------------------------------------------------------------------


def put_back(hold: Hold) -> str | None:
    """Write back what the number had before us, unless somebody else has changed it since; then commit `none`.

    Returns:
        what the person should know, or None.

    Raises:
        ProviderError: refused, or not known whether it took effect; the number stays `restoring` and keeps everything.
    """
    found = hold.provider.find_number(hold.number.e164)
    note = None
    if found is None:
        note = f"the {hold.provider.name} account no longer has the number: nothing was put back"
    elif hold.number.before is not None and not same_settings(found.settings, hold.number.before):
        note = _restore(hold, found, hold.number.before)
    done = replace(hold.number, setup_state=SetupState.NONE, before=None, pointed_at=None)
    with hold.services.store.transaction() as tx:
        numbers.save_setup(tx, done)
        numbers.save_found(tx, done.id, (), hold.services.clock())
    hold.number = done
    left = leave_application(hold, found)
    return " ".join(each for each in (note, left) if each) or None


def _restore(hold: Hold, found: CarrierNumber, before: Mapping[str, Any]) -> str | None:
    target = hold.provider.target_of(found)
    if not is_ours(hold, found, target):
        return f"left as it is: it no longer points at us but at {target.text}"
    hold.renew()
    try:
        restored = hold.provider.restore_number(found, before)
    except ProviderUnavailable:
        restored = read(hold)
    except NotFound as error:
        raise RequestRefused(
            f"what the number pointed at before ({hold.number.pointed_at}) cannot be put back: {error}",
            provider=hold.provider.name,
        ) from None
    if not _is_back(hold, found.settings, restored.settings, before):
        raise RequestRefused("the carrier does not have what was put back", provider=hold.provider.name)
    return None


def _is_back(
    hold: Hold, found: Mapping[str, Any], restored: Mapping[str, Any], before: Mapping[str, Any]
) -> bool:
    """Whether what we had changed is as before; what somebody else changed meanwhile, like its name, stays."""
    ours = [each for each in (hold.credential.key, hold.credential.application_ref) if each]
    return restored != found and all(
        restored.get(name) == value
        or (
            restored.get(name) == found.get(name)
            and not any(each in str(restored.get(name)) for each in ours)
        )
        for name, value in before.items()
    )


def leave_application(hold: Hold, found: CarrierNumber | None) -> str | None:
    """Put an application of the person's back once no number needs it any more; return what they should know of it."""
    hold.reload_credential()
    if found is None or hold.credential.application_before is None:
        return None
    services, ident = hold.services, hold.credential.id
    if credentials.is_in_use(services.store, ident):
        return None
    try:
        with leased(services, f"application {ident}", "the application", hold.renew):
            return _leave_application(hold, found)
    except LeaseLost:
        raise
    except (Conflict, ProviderError, ConfigurationError) as error:
        ref = hold.credential.application_ref
        return f"application {ref} could not be put back ({error}); the next unassignment tries again"


def _leave_application(hold: Hold, found: CarrierNumber) -> str | None:
    hold.reload_credential()
    services, credential = hold.services, hold.credential
    before, ref = credential.application_before, credential.application_ref
    if ref is None or before is None or credentials.is_in_use(services.store, credential.id):
        return None  # another process was faster, or needs it
    try:
        application = hold.provider.fetch_application(ref)
        if not same_settings(application.settings, before):
            left = hold.provider.differences(found, application, setup_of(services, credential))
            if any(each.place is Place.APPLICATION for each in left):
                return f"application {ref} was changed since and is left as it is"
            hold.provider.restore_application(ref, before)
    except NotFound:
        log.info("the application of credential %s is gone: nothing was put back", credential.id)
    with services.store.transaction() as tx:
        credentials.save_application(tx, credential.id, ref, before=None, is_ours=False)
    hold.reload_credential()
    return None
