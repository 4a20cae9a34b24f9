"""Use case: a number begins or ceases to serve an agent, here and at its carrier, in one step.

A refusal in the middle takes both sides back. When it cannot be told what the carrier did, the number stays `applying`
or `restoring`, and the error says what stands where and which command mends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway import linking, pointing
from gateway.byoc import TargetKind
from gateway.errors import (
    ConfigurationError,
    Conflict,
    GatewayError,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.models import DEFAULT_WORKSPACE, Assignment, Number, NumberKind, SetupState
from gateway.numbers import mask
from gateway.pointing import CHECK_EVERY, Hold, LeaseLost, holding
from gateway.provisioning import find_number
from gateway.services import Services
from gateway.status import Direction
from gateway.store import Tx, agents, credentials, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberChange:
    """What became of a number.

    `assignments`: those to the agent, or those that were taken away. `notes`: what the person should know, one
    sentence each.
    """

    number: Number
    assignments: tuple[Assignment, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An assignment that is asked for."""

    agent: str
    inbound: bool
    outbound: bool

    def store(self, tx: Tx, services: Services, number: Number) -> list[Assignment]:
        return numbers.assign(
            tx,
            number.id,
            self.agent,
            inbound=self.inbound,
            outbound=self.outbound,
            at=services.clock(),
        )


def assign_number(
    services: Services,
    e164: str,
    agent: str,
    *,
    inbound: bool = False,
    outbound: bool = False,
    configure: bool = True,
    take_over: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> NumberChange:
    """Let a number serve an agent, in one direction or both; at most one agent takes a number's inbound calls.

    Args:
        configure: point the number at us at its carrier, keeping what was there; False: the person does it.
        take_over: also when it points at another gateway.

    Raises:
        ValidationError: no direction, or one that the number has not. NotFound: no such number or agent, or the
            account does not have the number. Conflict: another agent takes the inbound calls, another gateway has the
            number, it takes no calls, or another process is at it. ConfigurationError: no public URL. RequestRefused:
            the carrier's reason; nothing stays changed. ProviderUnavailable: it cannot be told whether the carrier
            took it.
    """
    if not inbound and not outbound:
        raise ValidationError("direction", "say inbound, outbound or both")
    number = find_number(services, e164, workspace_id)
    if inbound and number.kind is NumberKind.CALLER_ID:
        raise ValidationError("direction", "a verified caller ID is another carrier's number: outbound only")
    agents.load_agent(services.store, workspace_id, agent)
    asked = _Asked(agent=agent, inbound=inbound, outbound=outbound)
    if not (configure and _needs_carrier(services, number, asked)):
        return _assign_here(services, number, asked, watch=configure)
    _check_public_url(services)
    with holding(services, number, lambda: _refuse_taken(services, number, asked)) as hold:
        if not (inbound and number.kind is NumberKind.OWNED):
            return _assign_outbound(hold, asked)
        return _assign_inbound(hold, asked, take_over=take_over)


def _needs_carrier(services: Services, number: Number, asked: _Asked) -> bool:
    """Whether something must stand at the carrier first: the number's URLs, or the application that dials name."""
    if asked.inbound and number.kind is NumberKind.OWNED:
        return True
    credential = services.credential(number.workspace_id, number.credential_id)
    return asked.outbound and pointing.lacks_application(services, credential)


def _check_public_url(services: Services) -> None:
    if services.urls.public_url is None:
        raise ConfigurationError(
            "no public URL, so the carrier cannot be told where to send calls: set GATEWAY_PUBLIC_URL to the https "
            "address under which it reaches this gateway, or assign without touching the carrier (--no-configure)"
        )


def _refuse_taken(services: Services, number: Number, asked: _Asked) -> None:
    """Lose at once against another agent, instead of waiting for a number that will be taken."""
    for held in numbers.list_assignments(services.store, number.workspace_id, number_id=number.id):
        if asked.inbound and held.direction is Direction.INBOUND and held.agent_id != asked.agent:
            raise Conflict(f"agent {held.agent_id!r} takes this number's inbound calls: unassign it first")


def _assign_here(services: Services, number: Number, asked: _Asked, *, watch: bool) -> NumberChange:
    with services.store.transaction() as tx:
        assigned = asked.store(tx, services, number)
        if watch:
            numbers.schedule_check(tx, number.id, services.clock() + CHECK_EVERY)
        return NumberChange(number=numbers.load_number(tx, number.id), assignments=tuple(assigned))


def _assign_outbound(hold: Hold, asked: _Asked) -> NumberChange:
    """Nothing is written to the number: only what dials must name is made, and can stay if the rest fails."""
    pointing.ensure_application(hold)
    return _assign_here(hold.services, hold.number, asked, watch=True)


def _assign_inbound(hold: Hold, asked: _Asked, *, take_over: bool) -> NumberChange:
    found, target = pointing.read_with_target(hold)
    if not found.has_voice:
        raise Conflict(
            f"number {mask(hold.number.e164)} takes no calls at {hold.provider.name} (yet): see its state in the "
            "carrier's console, or assign another one"
        )
    if not take_over:
        pointing.refuse_claimed(hold, target)
    before = hold.number
    held = numbers.list_assignments(hold.services.store, before.workspace_id, number_id=before.id)
    applying = pointing.begin(hold, found, target)
    with hold.services.store.transaction() as tx:
        assigned = asked.store(tx, hold.services, before)
        numbers.save_setup(tx, applying)
    hold.number = applying
    try:
        left = pointing.carry_out(hold, found)
    except ProviderUnavailable as error:
        raise _cannot_tell(hold, error) from error
    except LeaseLost:
        raise
    except GatewayError:
        _take_back(hold, before, [each for each in assigned if each not in held])
        raise
    notes = [f"{each.setting}: {each.advice}" for each in left if each.advice]
    if before.setup_state is SetupState.NONE and target.kind is not TargetKind.NOTHING:
        notes.insert(0, f"it pointed at {applying.pointed_at}; unassigning it puts that back")
    return NumberChange(number=hold.number, assignments=tuple(assigned), notes=tuple(notes))


def _cannot_tell(hold: Hold, error: ProviderError) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"it cannot be told whether the carrier took the change ({error.message}); number {mask(hold.number.e164)} is "
        "assigned here and may not point at us yet, and what it pointed at before is kept: run `gateway numbers "
        "repair` for it, or `gateway numbers unassign` to put it back",
        provider=hold.provider.name,
    )


def _take_back(hold: Hold, before: Number, added: Sequence[Assignment]) -> None:
    """Undo a refused assignment on both sides.

    Raises:
        RequestRefused, ProviderUnavailable: the carrier's side cannot be put back now; the number stays `restoring`.
    """
    is_first = before.setup_state is SetupState.NONE
    state = SetupState.RESTORING if is_first else before.setup_state
    hold.number = replace(hold.number, setup_state=state)
    with hold.services.store.transaction() as tx:
        for each in added:
            numbers.unassign(tx, before.id, agent_id=each.agent_id, direction=each.direction)
        numbers.save_setup(tx, hold.number)
    if is_first:
        _finish_put_back(hold, "the carrier refused the assignment, which was taken back here;")
        hold.save(before)


def _finish_put_back(hold: Hold, happened: str) -> str | None:
    """Put the number back at its carrier; when that fails, say what stands where."""
    try:
        return pointing.put_back(hold)
    except (ProviderError, NotFound, UnsupportedFeature) as error:
        kind = ProviderUnavailable if isinstance(error, ProviderUnavailable) else RequestRefused
        raise kind(
            f"{happened} number {mask(hold.number.e164)} may still point at us at the carrier ({error}); what it "
            f"pointed at before ({hold.number.pointed_at}) is kept: run `gateway numbers repair` for it to put that "
            "back",
            provider=hold.provider.name,
        ) from error


# -- taking a number away ------------------------------------------------------------------------------------------


def unassign_number(
    services: Services,
    e164: str,
    *,
    agent: str | None = None,
    direction: Direction | None = None,
    configure: bool = True,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> NumberChange:
    """Take a number away from its agents: from one or all, in one direction or both.

    With its last inbound agent the number is put back to what it pointed at before us, unless somebody changed it
    since: then it is left, and a note says so.

    Args:
        configure: False: leave the carrier's side as it is; what was there before us stays kept.

    Raises:
        NotFound: no such number. Conflict: another process is at it. RequestRefused, ProviderUnavailable: taken away
            here, but not put back at the carrier (yet).
    """
    number = find_number(services, e164, workspace_id)
    with holding(services, number) as hold:
        return _unassign(hold, agent, direction, configure=configure)


def _unassign(hold: Hold, agent: str | None, direction: Direction | None, *, configure: bool) -> NumberChange:
    services, number = hold.services, hold.number
    with services.store.transaction() as tx:
        gone = numbers.unassign(tx, number.id, agent_id=agent, direction=direction)
        left = numbers.list_assignments(tx, number.workspace_id, number_id=number.id)
        is_served = any(each.direction is Direction.INBOUND for each in left)
        if not is_served and number.setup_state is not SetupState.NONE:
            state = SetupState.RESTORING if configure else SetupState.NONE
            hold.number = replace(number, setup_state=state)
            numbers.save_setup(tx, hold.number)
        if not left:
            numbers.schedule_check(tx, number.id, None)
            numbers.save_found(tx, number.id, (), services.clock())
    note = None
    if hold.number.setup_state is SetupState.RESTORING:
        note = _finish_put_back(hold, "it is unassigned here;")
    elif configure and gone and hold.credential.application_before is not None:
        note = pointing.leave_application(hold, hold.provider.find_number(number.e164))
    return NumberChange(
        number=numbers.load_number(services.store, number.id),
        assignments=tuple(gone),
        notes=(note,) if note else (),
    )


def release_number(
    services: Services,
    e164: str,
    *,
    give_back: bool = False,
    configure: bool = True,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> NumberChange:
    """Unassign a number, put it back at its carrier, and forget it here.

    Args:
        give_back: also give it back to the carrier, for good: somebody else may get it.

    Raises:
        as `unassign_number`; ProviderError: not given back, and still here.
    """
    number = find_number(services, e164, workspace_id)
    if give_back and number.kind is not NumberKind.OWNED:
        raise ValidationError("give_back", "the number is another carrier's: it can only be given back there")
    with holding(services, number) as hold:
        change = _unassign(hold, None, None, configure=configure)
        if give_back:
            _give_back(hold)
        if configure and number.sip_link_id is not None:
            return replace(change, notes=(*change.notes, *linking.remove_number(hold)))
        with services.store.transaction() as tx:
            numbers.remove_number(tx, number.id)
    return change


def _give_back(hold: Hold) -> None:
    if not hold.provider.capabilities.number_search:
        raise UnsupportedFeature(hold.provider.name, "giving numbers back", "do it in the carrier's console")
    found = hold.provider.find_number(hold.number.e164)
    if found is None:
        return
    hold.renew()
    try:
        hold.provider.release_number(found.carrier_ref)
    except ProviderUnavailable:
        if hold.provider.find_number(hold.number.e164) is not None:
            raise


def release_all(
    services: Services, credential_id: str, workspace_id: str, *, configure: bool = True
) -> list[NumberChange]:
    """Release every number of a credential that is assigned or points at us, those of SIP links but for the links.

    Raises as `release_number`.
    """
    held = numbers.list_numbers(services.store, workspace_id, credential_id=credential_id)
    watched = {number.id for number in numbers.watched_numbers(services.store, workspace_id)}
    return [
        (release_number if each.sip_link_id is None else unassign_number)(
            services, each.id, configure=configure, workspace_id=workspace_id
        )
        for each in held
        if each.id in watched
    ]


def forget_application(services: Services, credential_id: str, workspace_id: str) -> None:
    """Delete the application that we made for a credential, before the credential goes. Raises ProviderError."""
    credential = services.credential(workspace_id, credential_id)
    if credential.application_is_ours and credential.application_ref is not None:
        services.provider_of(credential).delete_application(credential.application_ref)
        with services.store.transaction() as tx:
            credentials.save_application(tx, credential_id, None, before=None, is_ours=False)
