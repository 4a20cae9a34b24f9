"""Follow-up commands to carriers: durable, done after the commit, done again until they are known to be done.

Every piece of work is one row: claim it with a lease, do one step, write what became of it. A thread, a command or
another machine can drive `run_due` (roadmap: many machines). Commands are safe to repeat: an adapter gives each a
command id made of the step's token, and ending an ended call is a success.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.errors import (
    ConfigurationError,
    Conflict,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnsupportedFeature,
    ValidationError,
)
from gateway.ids import new_id
from gateway.instructions import Connection, HangUp
from gateway.interface import Capabilities, LegRef, Provider
from gateway.journaling import note
from gateway.models import Call, Credential, EventOutcome
from gateway.publishing import publish
from gateway.services import Services
from gateway.status import Direction
from gateway.stepping import advance, records_with_connection, rendered, settle_connection
from gateway.store import Reader, Tx, actions, attempts, calls, steps
from gateway.store.rows import Action, ActionKind, ActionState, Step, StepState
from gateway.urls import BEGIN

log = logging.getLogger(__name__)

LEASE_S: Final = 30.0
_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)  # seconds before the next try; then the action has failed
AFTER_HANG_UP: Final = timedelta(
    seconds=3
)  # a call cancelled in a carrier's queue may end without a word: ask soon


LONGEST_WAIT: Final = timedelta(hours=24)  # a dial may stay that long in a carrier's queue


def request_hang_up(
    tx: Tx, call: Call, leg_id: str | None, now: datetime, *, is_claimed: bool = False
) -> Action:
    """Ask for a leg to be ended. `leg_id` None: whatever leg the call has when the action runs.

    `is_claimed`: the caller carries it out itself, right after the commit, with `run`.
    """
    return _insert(tx, call, ActionKind.HANG_UP, {"leg_id": leg_id}, now, is_claimed=is_claimed)


def request_perform(tx: Tx, call: Call, step: Step, now: datetime) -> Action:
    """Ask for a step to be carried out by commands."""
    return _insert(tx, call, ActionKind.PERFORM, {"step": step.token}, now)


def request_redirect(tx: Tx, call: Call, step: Step, now: datetime) -> Action:
    """Ask a document carrier to fetch `step`, which has just taken another one's place."""
    return _insert(tx, call, ActionKind.REDIRECT, {"step": step.token}, now)


def request_step(tx: Tx, provider: Provider, call: Call, step: Step, now: datetime) -> Action:
    """Ask for a step that the carrier did not ask for itself, by commands or by a redirect."""
    if provider.capabilities.control == "command":
        return request_perform(tx, call, step, now)
    return request_redirect(tx, call, step, now)


def request_recording(services: Services, tx: Tx, before: Call, call: Call, now: datetime) -> bool:
    """Ask for the recording of a live call to follow its setting, which was another one `before`.

    One action a call does it, however often the setting changes meanwhile. Carried out now, or once the call is
    answered. Where the first connection is still to come and starts the recording, there is nothing to ask for.

    Returns:
        whether there is an action. Raises NotFound when the call's account is gone.
    """
    credential = services.credential(call.workspace_id, call.credential_id or "", tx)
    capabilities = services.provider_of(credential).capabilities
    step = steps.current_step(tx, call.id)
    if records_with_connection(call, capabilities) and not _is_connecting(call, step, capabilities):
        return False
    due_at = now if _is_connected(call, step) else now + LONGEST_WAIT
    known = actions.list_actions(tx, call.id)
    if any(each.kind is ActionKind.RECORD and each.state is ActionState.PENDING for each in known):
        actions.hasten_actions(tx, call.id, ActionKind.RECORD, due_at)
    else:
        was = bool(before.settings.recording_enabled)
        _insert(tx, call, ActionKind.RECORD, {"was": was}, now, due_at=due_at)
    return True


def hasten_recording(tx: Tx, before: Call, after: Call, now: datetime) -> bool:
    """Make a recording that waits for the answer due when that (or the end) has come; return whether one does."""
    is_due = after.facts.answered or after.status.is_final
    was_due = before.facts.answered or before.status.is_final
    return is_due and not was_due and actions.hasten_actions(tx, after.id, ActionKind.RECORD, now) > 0


def _is_connecting(call: Call, step: Step | None, capabilities: Capabilities) -> bool:
    """Whether a connection was handed to the carrier, with what the settings said about recording then."""
    if step is None or not (isinstance(step.instruction, Connection) or step.tried_agents):
        return False
    return capabilities.control == "document" or call.facts.answered


def _is_connected(call: Call, step: Step | None) -> bool:
    return call.facts.answered or (call.direction is Direction.INBOUND and step is not None)


def _insert(
    tx: Tx,
    call: Call,
    kind: ActionKind,
    payload: Mapping[str, Any],
    now: datetime,
    *,
    is_claimed: bool = False,
    due_at: datetime | None = None,
) -> Action:
    action = Action(
        id=new_id(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        credential_id=call.credential_id or "",
        kind=kind,
        payload=payload,
        due_at=due_at or now,
        lease_until=now + timedelta(seconds=LEASE_S) if is_claimed else None,
        tries=1 if is_claimed else 0,
        created_at=now,
    )
    actions.insert_action(tx, action)
    return action


def run_due(services: Services, limit: int = 20) -> int:
    """Claim and carry out what is due; return how many actions were tried."""
    claimed = claim_due(services, limit)
    for action in claimed:
        run(services, action)
    return len(claimed)


def claim_due(services: Services, limit: int) -> list[Action]:
    """Claim what is due: nobody else carries it out while the lease runs."""
    with services.store.transaction() as tx:
        return actions.claim_actions(tx, services.clock(), limit, LEASE_S)


def run(services: Services, action: Action) -> bool:
    """Carry out one claimed action; return whether it is done. What went wrong is kept with it."""
    try:
        _RUNNERS[action.kind](services, action)
    except (ProviderUnavailable, RateLimited) as error:
        _try_later(services, action, str(error))
        return False
    except (
        RequestRefused,
        Conflict,
        NotFound,
        UnsupportedFeature,
        ValidationError,
        ConfigurationError,
    ) as error:
        _give_up(services, action, str(error))
        return False
    with services.store.transaction() as tx:
        actions.finish_action(tx, action)
    return True


def own_leg(source: Reader, call: Call) -> LegRef:
    """Return the leg that we talk on, with every id the carrier has used for it."""
    others = tuple(leg for leg in calls.list_legs(source, call.id) if leg != call.leg_id)
    return LegRef(leg_id=call.leg_id or "", other_ids=others, is_answered=call.facts.answered)


def _hang_up(services: Services, action: Action) -> None:
    call = calls.load_call(services.store, action.call_id)
    _, provider = services.provider_for(call)
    leg_id = action.payload.get("leg_id") or call.leg_id
    if leg_id is None:
        raise Conflict("the carrier has not named the call yet; it is ended as soon as it does")
    own = leg_id == call.leg_id
    provider.hang_up(own_leg(services.store, call) if own else LegRef(leg_id=leg_id))
    with services.store.transaction() as tx:
        latest = calls.load_call_for_update(tx, call.id)
        note(tx, latest, "hang-up sent", services.clock())
        if own and not latest.status.is_final:
            calls.schedule_look(tx, call.id, services.clock() + AFTER_HANG_UP)


def _perform(services: Services, action: Action) -> None:
    found = _current(services, action)
    if found is None:
        return
    call, step, credential, provider = found
    if isinstance(step.instruction, HangUp):
        provider.hang_up(own_leg(services.store, call))
    else:
        live, instruction = rendered(services, call, credential, step, _attempt_token(services, call))
        provider.answer(live, instruction)
        if live.record:
            _follow_setting(services, call)
    _mark_started(services, step)


def _follow_setting(services: Services, call: Call) -> None:
    """Have a recording that has just begun ended again when the setting was changed meanwhile."""
    now = services.clock()
    with services.store.transaction() as tx:
        latest = calls.load_call_for_update(tx, call.id)
        if not latest.settings.recording_enabled:
            request_recording(services, tx, call, latest, now)


def _redirect(services: Services, action: Action) -> None:
    found = _current(services, action)
    if found is None:
        return
    call, step, credential, provider = found
    if step.state is not StepState.PENDING:
        return  # the carrier asked by itself meanwhile, and has it: a redirect would cut it short
    live, _ = rendered(services, call, credential, step, None)
    provider.redirect(replace(own_leg(services.store, call), is_answered=True), live.next_url + BEGIN)


def _current(services: Services, action: Action) -> tuple[Call, Step, Credential, Provider] | None:
    """Return the step an action is about, with a connection to carry out; None when it is no longer current."""
    call = calls.load_call(services.store, action.call_id)
    step = steps.current_step(services.store, call.id)
    if call.status.is_final or step is None or step.token != action.payload["step"]:
        return None
    call, step = settle_connection(services, call, step)
    credential, provider = services.provider_for(call)
    return call, step, credential, provider


def _attempt_token(services: Services, call: Call) -> str | None:
    attempt = attempts.latest_attempt(services.store, call.id)
    return attempt.token if attempt else None


def _mark_started(services: Services, step: Step) -> None:
    with services.store.transaction() as tx:
        steps.set_step_state(tx, step.token, StepState.STARTED, only_from=(StepState.PENDING,))


def _record(services: Services, action: Action) -> None:
    """Start or stop the recording until it is as the setting says, which may change while the carrier is asked."""
    known: bool | None = action.payload["was"] if action.tries == 1 else None
    while (call := _unrecorded(services, action, known)) is not None:
        if not _is_connected(call, steps.current_step(services.store, call.id)):
            raise Conflict(
                "the call was not answered"
            )  # a recording asked for in the dial begins with the answer
        credential, provider = services.provider_for(call)
        known = bool(call.settings.recording_enabled)
        if known:
            _start_recording(services, action, call, credential, provider)
        else:
            provider.stop_recording(own_leg(services.store, call))
        with services.store.transaction() as tx:
            latest = calls.load_call_for_update(tx, call.id)
            note(tx, latest, f"recording {'started' if known else 'stopped'}", services.clock())


def _unrecorded(services: Services, action: Action, known: bool | None) -> Call | None:
    """Return the call when its recording is not `known` to be as the setting says; else finish the action.

    In one transaction, so that a change of the setting finds the action pending, or asks for a new one.
    """
    with services.store.transaction() as tx:
        call = calls.load_call_for_update(tx, action.call_id)
        if call.status.is_final or known is bool(call.settings.recording_enabled):
            actions.finish_action(tx, action)
            return None
        return call


def _start_recording(
    services: Services, action: Action, call: Call, credential: Credential, provider: Provider
) -> None:
    urls = services.urls.of_call(credential.key, _attempt_token(services, call))
    try:
        provider.start_recording(
            own_leg(services.store, call),
            recording_url=urls.recording,
            max_duration_s=call.settings.max_duration_s,
            may_run=action.tries > 1,
        )
    except Conflict as error:  # for us it lives: it is about to be connected, or its end about to be told
        raise ProviderUnavailable(str(error), provider=provider.name) from None


_RUNNERS: Final = {
    ActionKind.RECORD: _record,
    ActionKind.HANG_UP: _hang_up,
    ActionKind.PERFORM: _perform,
    ActionKind.REDIRECT: _redirect,
}


def _try_later(services: Services, action: Action, error: str) -> None:
    if action.tries > len(_PAUSES):
        _give_up(services, action, error)
        return
    pause = timedelta(seconds=_PAUSES[action.tries - 1])
    with services.store.transaction() as tx:
        actions.fail_action(tx, action, error, retry_at=services.clock() + pause)
    log.warning(
        "%s for call %s failed, tried again in %s: %s", action.kind.value, action.call_id, pause, error
    )


def _give_up(services: Services, action: Action, error: str) -> None:
    """Write an action off. A step that cannot be carried out is over: the caller goes on along the chain."""
    now = services.clock()
    with services.store.transaction() as tx:
        actions.fail_action(tx, action, error, retry_at=None)
        before = calls.load_call_for_update(tx, action.call_id)
        note(tx, before, f"{action.kind.value} failed", now, detail=error, outcome=EventOutcome.REFUSED)
        after = before
        step = steps.current_step(tx, before.id)
        is_ours = step is not None and step.token == action.payload.get("step")
        if (
            step is not None
            and is_ours
            and not before.status.is_final
            and not isinstance(step.instruction, HangUp)
        ):
            after, following = advance(services, tx, before, step, StepState.FAILED, now)
            if action.kind is ActionKind.PERFORM:
                request_perform(tx, after, following, now)
        fired = publish(tx, before, after, now)
    log.warning("%s for call %s given up: %s", action.kind.value, action.call_id, error)
    services.notifier.fire(fired)
    services.wake()
