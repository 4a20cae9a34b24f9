"""Use case: keep numbers pointed at us: what the carrier has now against what we set, and mending it.

A look at one number compares the number, its application, and what of the account would keep its calls from working.
What it finds is kept with the number; `number.drifted` is told once for each new set of differences, not at each look.
Repairing finishes what a kill interrupted, in either direction: what is assigned is pointed at us, the rest put back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final

from gateway import linking, pointing
from gateway.byoc import CarrierApplication, CarrierNumber, Difference, NumberSetup, Place
from gateway.errors import ConfigurationError, GatewayError, NotFound, StoreUnavailable, UnsupportedFeature
from gateway.interface import Provider
from gateway.models import DEFAULT_WORKSPACE, Assignment, Credential, Number, NumberKind, SetupState
from gateway.pointing import CHECK_EVERY, Hold, holding, lease_name
from gateway.provisioning import find_credential, find_number
from gateway.publishing import publish_number_drifted
from gateway.services import Services
from gateway.status import Direction
from gateway.store import numbers, upkeep

log = logging.getLogger(__name__)
describe = pointing.describe

# Reading an account's whole list costs fewer requests than asking for so many numbers one by one.
_WORTH_A_LIST: Final = 25
_AT_ONCE: Final = 500  # numbers of one account that one round of the sweeper checks
_AFTER_TROUBLE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberCheck:
    """What a look at one number found. `error`: it could not be looked at, and why; then nothing is known."""

    number: Number
    differences: tuple[Difference, ...] = ()
    error: str = ""

    @property
    def is_fine(self) -> bool:
        """True when the carrier has what we set."""
        return not self.differences and not self.error


def check_number(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> NumberCheck:
    """Look at one number at its carrier.

    Raises:
        InvalidNumber, NotFound: not a number of ours. ConfigurationError: no public URL to compare with.
    """
    [found] = _check(services, [find_number(services, ident, workspace_id)])
    return found


def check_numbers(
    services: Services,
    workspace_id: str = DEFAULT_WORKSPACE,
    *,
    credential: str | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> list[NumberCheck]:
    """Look at every number that is assigned or points at us; one that fails does not stop the others.

    Args:
        credential: only its numbers. on_progress: told how many are done, of how many.
    """
    watched = numbers.watched_numbers(services.store, workspace_id)
    if credential is not None:
        wanted = find_credential(services, credential, workspace_id).id
        watched = [number for number in watched if number.credential_id == wanted]
    checks = []
    for check in _check(services, watched):
        checks.append(check)
        on_progress(len(checks), len(watched))
    return checks


def check_due(services: Services) -> int:
    """Check the numbers of one account that were not looked at for an hour; return how many.

    Of several workers each takes others: a claim puts off their next check.
    """
    if services.urls.public_url is None:
        return 0
    now = services.clock()
    with services.store.transaction() as tx:
        claimed = numbers.claim_due_checks(tx, now, now + CHECK_EVERY, _AT_ONCE)
    for check in _check(services, claimed):
        if check.error:
            log.warning("number %s could not be checked: %s", check.number.id, check.error)
            with services.store.transaction() as tx:
                numbers.schedule_check(tx, check.number.id, services.clock() + _AFTER_TROUBLE)
    return len(claimed)


def _check(services: Services, wanted: Sequence[Number]) -> Iterator[NumberCheck]:
    by_credential: dict[str, list[Number]] = {}
    for number in wanted:
        by_credential.setdefault(number.credential_id, []).append(number)
    for held in by_credential.values():
        yield from _check_account(services, held)


def _check_account(services: Services, held: list[Number]) -> Iterator[NumberCheck]:
    look = _Look(services, services.credential(held[0].workspace_id, held[0].credential_id), len(held))
    for number in held:
        try:
            found = look.at(number)
        except ConfigurationError:
            raise
        except GatewayError as error:
            yield NumberCheck(number=number, differences=number.differences, error=str(error))
        else:
            yield _keep(services, number, found)


def _keep(services: Services, number: Number, found: tuple[Difference, ...]) -> NumberCheck:
    """Keep what was found, unless the number was changed meanwhile; tell of it when it is news."""
    now = services.clock()
    with services.store.transaction() as tx:
        latest = numbers.load_number_for_update(tx, number.id)
        is_changing = upkeep.is_leased(tx, lease_name(number.id), now)
        if is_changing or latest.setup_state is not number.setup_state:
            return NumberCheck(number=latest, error="it is being changed now: check it again in a minute")
        numbers.save_found(tx, number.id, found, now)
        after = numbers.load_number(tx, number.id)
        if found and set(found) != set(number.differences):
            publish_number_drifted(tx, after, found, now)
    services.wake()
    return NumberCheck(number=after, differences=found)


class _Look:
    """One look at numbers of one account; what they share is asked for once."""

    def __init__(self, services: Services, credential: Credential, count: int) -> None:
        self._services, self._credential, self._count = services, credential, count
        self._provider: Provider = services.provider_of(credential)
        self._setup: NumberSetup = pointing.setup_of(services, credential)
        self._links: dict[str, tuple[Difference, ...]] = {}

    def at(self, number: Number) -> tuple[Difference, ...]:
        """Return what of a number is not as it should be. Raises ProviderError."""
        directions = {each.direction for each in self._assignments.get(number.id, ())}
        found = {
            NumberKind.OWNED: self._of_owned,
            NumberKind.CALLER_ID: self._of_caller_id,
            NumberKind.SIP: self._of_sip,
        }[number.kind](number, Direction.INBOUND in directions)
        return (*found, *(self._of_account if Direction.OUTBOUND in directions else ()))

    def _of_owned(self, number: Number, is_inbound: bool) -> tuple[Difference, ...]:
        listed = self._listed(number.e164)
        if listed is None:
            return (_GONE,)
        found: list[Difference] = []
        is_half_done = number.setup_state in (SetupState.APPLYING, SetupState.RESTORING)
        if is_half_done or (number.setup_state is SetupState.APPLIED and not is_inbound):
            found.append(_HALF_DONE[is_inbound])
        if is_inbound:
            found.extend(self._application_gone)
            found.extend(self._provider.differences(listed, self._application, self._setup))
        if listed.needs_address:
            found.append(_NO_ADDRESS)
        return tuple(dict.fromkeys(found))

    def _of_caller_id(self, number: Number, is_inbound: bool) -> tuple[Difference, ...]:
        return () if number.e164 in self._caller_ids else (_NOT_VERIFIED,)

    def _of_sip(self, number: Number, is_inbound: bool) -> tuple[Difference, ...]:
        link = number.sip_link_id or ""
        if link not in self._links:
            self._links[link] = linking.check_link(self._services, link)
        return self._links[link]

    def _listed(self, e164: str) -> CarrierNumber | None:
        return self._all.get(e164) if self._count >= _WORTH_A_LIST else self._provider.find_number(e164)

    @cached_property
    def _all(self) -> Mapping[str, CarrierNumber]:
        return {each.e164: each for each in self._provider.list_numbers()}

    @cached_property
    def _caller_ids(self) -> frozenset[str]:
        return frozenset(each.e164 for each in self._provider.list_caller_ids())

    @cached_property
    def _assignments(self) -> Mapping[str, list[Assignment]]:
        found: dict[str, list[Assignment]] = {}
        for each in numbers.list_assignments(self._services.store, self._credential.workspace_id):
            found.setdefault(each.number_id, []).append(each)
        return found

    @cached_property
    def _application(self) -> CarrierApplication | None:
        ref = self._setup.application_ref
        if not self._provider.capabilities.has_applications or ref is None:
            return None
        try:
            return self._provider.fetch_application(ref)
        except NotFound:
            return None

    @cached_property
    def _application_gone(self) -> tuple[Difference, ...]:
        needs_one = self._provider.capabilities.has_applications
        if not needs_one or self._application is not None:
            return ()
        wanted = self._setup.application_ref or "one of the gateway's"
        return (Difference(place=Place.APPLICATION, setting="application", wanted=wanted, found=""),)

    @cached_property
    def _of_account(self) -> tuple[Difference, ...]:
        try:
            return self._provider.account_differences(
                self._application, self._services.settings.allowed_countries
            )
        except UnsupportedFeature:
            return ()


_GONE: Final = Difference(
    place=Place.NUMBER,
    setting="number",
    wanted="in the account",
    found="",
    is_repairable=False,
    advice="the account no longer has it: get it back at the carrier, or release it here",
)
_NO_ADDRESS: Final = Difference(
    place=Place.NUMBER,
    setting="emergency address",
    wanted="an address",
    found="",
    is_repairable=False,
    advice="the carrier demands one for this number: add it in the carrier's console",
)
_NOT_VERIFIED: Final = Difference(
    place=Place.NUMBER,
    setting="caller ID",
    wanted="verified",
    found="",
    is_repairable=False,
    advice="the account may no longer show it: verify it again (gateway numbers caller-ids verify)",
)
_HALF_DONE: Final = {
    True: Difference(place=Place.NUMBER, setting="set-up", wanted="finished", found="interrupted"),
    False: Difference(place=Place.NUMBER, setting="putting back", wanted="finished", found="interrupted"),
}


# -- mending -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair found and what it left. `error`: it could not be done, and why. `notes`: what to know."""

    number: Number
    found: tuple[Difference, ...] = ()
    left: tuple[Difference, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_fine(self) -> bool:
        """True when nothing is left to be done."""
        return not self.left and not self.error


def repair_number(
    services: Services,
    ident: str,
    *,
    dry_run: bool = False,
    take_over: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Repair:
    """Make the carrier have what we set, for one number; what was there before us stays kept.

    Args:
        dry_run: only say what differs. take_over: also when the number points at another gateway by now.

    Raises:
        InvalidNumber, NotFound, Conflict, ConfigurationError. ProviderError: not mended; it can be repeated.
    """
    number = find_number(services, ident, workspace_id)
    [found] = _check(services, [number])
    if dry_run or (found.is_fine and number.setup_state in (SetupState.NONE, SetupState.APPLIED)):
        return Repair(number=found.number, found=found.differences, left=found.differences, error=found.error)
    note = None
    if number.kind is NumberKind.SIP:
        linking.mend_link(services, number)
    elif number.kind is NumberKind.OWNED:
        with holding(services, number) as hold:
            note = _settle(hold, take_over=take_over)
    [after] = _check(services, [numbers.load_number(services.store, number.id)])
    return Repair(
        number=after.number,
        found=found.differences,
        left=after.differences,
        error=after.error,
        notes=(note,) if note else (),
    )


def _settle(hold: Hold, *, take_over: bool) -> str | None:
    """Point at us what is assigned for inbound calls; put back the rest."""
    held = numbers.list_assignments(hold.services.store, hold.number.workspace_id, number_id=hold.number.id)
    if held and pointing.lacks_application(hold.services, hold.credential):
        pointing.ensure_application(hold)
    if not any(each.direction is Direction.INBOUND for each in held):
        return None if hold.number.setup_state is SetupState.NONE else pointing.put_back(hold)
    found, target = pointing.read_with_target(hold)
    if not take_over:
        pointing.refuse_claimed(hold, target)
    hold.save(pointing.begin(hold, found, target))
    pointing.carry_out(hold, found)
    return None


def repair_or_say(
    services: Services, ident: str, workspace_id: str, *, take_over: bool = False
) -> Repair | None:
    """Repair one of many numbers: what stands in the way is said, not raised; None: it was released meanwhile."""
    try:
        return repair_number(services, ident, take_over=take_over, workspace_id=workspace_id)
    except StoreUnavailable:
        raise
    except GatewayError as error:
        try:
            return Repair(number=find_number(services, ident, workspace_id), error=str(error))
        except NotFound:
            return None
