"""Use case: ask the carrier about calls and attempts that went quiet.

Each piece of work is a function that claims what is due, does one step and commits, so a thread, a command or another
machine can drive it (roadmap). `sweep` does one round of all of them. Nothing here ever dials.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway import acting, stepping
from gateway.acting import request_hang_up, request_step
from gateway.errors import GatewayError
from gateway.folding import fold
from gateway.ids import new_id
from gateway.interface import CallEvent, CallSnapshot, DialQuery, FoundCall, FoundCalls
from gateway.journaling import note
from gateway.models import Attempt, AttemptState, Call, EventOutcome, EventRecord
from gateway.publishing import publish
from gateway.receiving import next_look_in, time_left
from gateway.services import Services, shown_context
from gateway.status import CallFacts, EndCause, EndedBy, EndReport
from gateway.store import Tx, actions, attempts, calls, events, operations, steps, tombstones, webhooks
from gateway.store.rows import UNSET, ActionKind, CostLook, Step, StepState

log = logging.getLogger(__name__)

# Protocol, step 8: when an unknown dial is looked for, counted from the dial.
LOOKS: Final = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900, 3600, 21_600, 86_400))
# Protocol, step 9.
CLEAN_LOOKS_NEEDED: Final = 3
CLEAN_LOOKS_SPREAD: Final = timedelta(minutes=10)
LONGEST_QUEUE: Final = timedelta(hours=24)
# Protocol, step 8b: what was created this long before or after the dial may be it.
WINDOW: Final = timedelta(seconds=120)
DIAL_DEADLINE: Final = timedelta(seconds=15)
# R45: no call stays open longer than its maximum duration and this.
QUIET_LIMIT: Final = timedelta(minutes=15)
AFTER_TROUBLE: Final = timedelta(minutes=1)
# A carrier's answers lag behind its webhooks: that it does not know a call means nothing so soon after the last word.
LAG: Final = timedelta(minutes=2)
COST_LOOKS: Final = tuple(timedelta(seconds=s) for s in (600, 3600, 21_600, 86_400))
SEEN_KEPT: Final = timedelta(hours=48)  # R22: at least 24 h
TOMBSTONES_KEPT: Final = timedelta(days=30)  # R9: at least 7 days
OPERATIONS_KEPT: Final = timedelta(days=30)  # once they have ended
BATCH: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one round did, by kind of work; zero everywhere when nothing was due."""

    expired_dials: int = 0
    looked_for: int = 0
    asked_about: int = 0
    costs: int = 0
    late_joins: int = 0
    actions: int = 0
    failures: int = 0

    @property
    def total(self) -> int:
        """Everything that was done."""
        return (
            self.expired_dials
            + self.looked_for
            + self.asked_about
            + self.costs
            + self.late_joins
            + self.actions
        )


def sweep(services: Services) -> Swept:
    """Do one round of everything that is due. One failing piece does not stop the others."""
    now = services.clock()
    expired = recover(services)
    joins, late = fail_late_joins(services)
    looked, lost = _each(services, attempts.due_unknown_attempts(services.store, now, BATCH), look_for)
    asked, mute = _each(services, calls.due_quiet_calls(services.store, now, BATCH), ask_about)
    costs, free = _each(services, calls.due_cost_looks(services.store, now, BATCH), ask_cost)
    done = acting.run_due(services)
    with services.store.transaction() as tx:
        webhooks.purge_seen(tx, now - SEEN_KEPT)
        tombstones.purge_tombstones(tx, now - TOMBSTONES_KEPT)
        operations.purge_operations(tx, now - OPERATIONS_KEPT)
    return Swept(
        expired_dials=expired,
        looked_for=looked,
        asked_about=asked,
        costs=costs,
        late_joins=joins,
        actions=done,
        failures=late + lost + mute + free,
    )


def _each(services: Services, items: list[Any], work: Callable[[Services, Any], object]) -> tuple[int, int]:
    """Do one kind of work for each item; return how many there were and how many failed."""
    failed = 0
    for item in items:
        try:
            work(services, item)
        except GatewayError as error:
            failed += 1
            log.warning("%s: %s", work.__name__, error)
        except Exception:  # a bug in one adapter must not keep the others' calls from being asked about
            failed += 1
            log.exception("%s failed", work.__name__)
    return len(items), failed


def recover(services: Services) -> int:
    """Protocol, step 11: a dial whose process died comes back as unknown, never as ready. Returns how many."""
    now = services.clock()
    fired = []
    with services.store.transaction() as tx:
        expired = attempts.expire_leases(tx, now)
        for attempt in expired:
            before = calls.load_call_for_update(tx, attempt.call_id)
            note(tx, before, "dial outcome unknown", now, detail="the process that dialed did not come back")
            if before.status.is_final:
                continue
            after = _changed(before, now, context=shown_context(before, dial="unconfirmed"))
            after = calls.save_call(tx, after, expected_version=before.version)
            fired.extend(publish(tx, before, after, now))
    services.notifier.fire(fired)
    return len(expired)


# -- unknown dials (protocol, steps 8 and 9) -----------------------------------------------------------------------


def look_for(services: Services, attempt: Attempt) -> AttemptState:
    """Look for the call of one unknown dial at the carrier; return where the attempt stands then."""
    credential = services.credential(attempt.workspace_id, attempt.credential_id)
    query = DialQuery(
        to=attempt.to,
        caller_id=attempt.from_number,
        attempt_token=attempt.token,
        created_from=attempt.created_at - WINDOW,
        created_until=attempt.created_at + DIAL_DEADLINE + WINDOW,
        trunk_ref=attempt.trunk_ref,
    )
    try:
        found = services.provider_of(credential).find_calls(query)
    except GatewayError as error:
        log.warning("looking for attempt %s: %s", attempt.id, error)
        found = FoundCalls(calls=(), is_complete=False)
    now = services.clock()
    with services.store.transaction() as tx:
        latest = attempts.load_attempt_for_update(tx, attempt.id)
        before = calls.load_call_for_update(tx, attempt.call_id)
        if latest.state is not AttemptState.UNKNOWN:
            return latest.state
        ours = _ours(tx, found, latest, exclusive=credential.exclusive)
        after, state = _settle_look(tx, services, latest, before, ours, found.is_complete, now)
        if after is not before:
            after = calls.save_call(tx, after, expected_version=before.version)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    services.wake()
    return state


def _ours(tx: Tx, found: FoundCalls, attempt: Attempt, *, exclusive: bool) -> list[FoundCall]:
    """Return the found calls that are this attempt's, oldest first.

    Its token proves it; else nobody but this library places calls with the credential.
    """
    ours = [call for call in found.calls if call.has_our_token]
    if not ours and exclusive:
        ours = [call for call in found.calls if _is_unbound(tx, call, attempt)]
    return sorted(ours, key=lambda call: (call.created_at is None, call.created_at, call.leg_id))


def _is_unbound(tx: Tx, found: FoundCall, attempt: Attempt) -> bool:
    holder = calls.find_call_by_leg(tx, attempt.credential_id, (found.leg_id, *found.other_ids))
    return holder is None or holder.id == attempt.call_id


def _settle_look(
    tx: Tx,
    services: Services,
    attempt: Attempt,
    call: Call,
    ours: list[FoundCall],
    is_complete: bool,
    now: datetime,
) -> tuple[Call, AttemptState]:
    if ours:
        return _found(tx, attempt, call, ours, now)
    clean = attempt.clean_looks + is_complete
    first_clean = attempt.first_clean_look_at or (now if is_complete else None)
    looked = replace(attempt, looks=attempt.looks + 1, clean_looks=clean, first_clean_look_at=first_clean)
    spread = now - first_clean if first_clean else timedelta()
    if is_complete and clean >= CLEAN_LOOKS_NEEDED and spread >= CLEAN_LOOKS_SPREAD:
        return _closed(tx, looked, call, AttemptState.NOT_PLACED_PROBABLE, EndCause.NOT_PLACED, now)
    if now - attempt.created_at >= LONGEST_QUEUE:
        return _closed(tx, looked, call, AttemptState.INDETERMINATE, EndCause.INDETERMINATE, now)
    following = next((at for at in LOOKS if attempt.created_at + at > now), LOOKS[-1])
    saved = replace(looked, next_look_at=max(attempt.created_at + following, now + timedelta(seconds=1)))
    attempts.save_attempt(tx, saved, expected_version=attempt.version)
    what = "no trace" if is_complete else "the carrier could not be asked"
    note(tx, call, "looked for at the carrier", now, detail=what, outcome=EventOutcome.NOTHING_NEW)
    return call, AttemptState.UNKNOWN


def _found(
    tx: Tx, attempt: Attempt, call: Call, ours: list[FoundCall], now: datetime
) -> tuple[Call, AttemptState]:
    """One is ours; every further one is a second ring for the same person and is ended (R8)."""
    first, *others = ours
    for other in others:
        note(tx, call, "second leg found", now, detail="it is ended", outcome=EventOutcome.REFUSED)
        log.error("call %s: a second leg was found for one dial; it is ended", call.id)
        request_hang_up(tx, call, other.leg_id, now)
    calls.bind_legs(tx, call.id, attempt.credential_id, (first.leg_id, *first.other_ids))
    bound = replace(
        attempt,
        state=AttemptState.ACCEPTED,
        leg_id=first.leg_id,
        looks=attempt.looks + 1,
        next_look_at=None,
        settled_at=now,
    )
    attempts.save_attempt(tx, bound, expected_version=attempt.version)
    note(tx, call, "found at the carrier", now)
    after = _changed(call, now, context=shown_context(call, dial=None), leg_id=call.leg_id or first.leg_id)
    if call.facts.hangup_requested is not None and not call.status.is_final:
        request_hang_up(tx, after, first.leg_id, now)
    calls.schedule_look(tx, call.id, now)  # it may be over already: ask at once
    return after, AttemptState.ACCEPTED


def _closed(
    tx: Tx, attempt: Attempt, call: Call, state: AttemptState, cause: EndCause, now: datetime
) -> tuple[Call, AttemptState]:
    closed = replace(attempt, state=state, next_look_at=None, settled_at=now)
    attempts.save_attempt(tx, closed, expected_version=attempt.version)
    calls.schedule_look(tx, call.id, None)
    end = EndReport(cause=cause, ended_by=EndedBy.UNKNOWN, reconciled=True)
    after = fold(call, CallFacts(ends=(end,), ended_at=now), now)
    after = _changed(after, now, context=shown_context(after, dial=state.value))
    note(tx, after, f"dial {state.value}", now, detail=f"after {attempt.looks} looks")
    return after, state


# -- calls whose end never came (R45) ------------------------------------------------------------------------------


def ask_about(services: Services, call: Call) -> Call:
    """Ask the carrier what became of one call and fold in what it says; return the call as it then is."""
    if call.leg_id is None:
        return _postpone(services, call)
    _, provider = services.provider_for(call)
    try:
        snapshot = provider.fetch_call(acting.own_leg(services.store, call))
    except GatewayError as error:
        log.warning("asking about call %s: %s", call.id, error)
        snapshot = CallSnapshot(is_known=True, is_live=None)
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, call.id)
        after = before
        for event in snapshot.events:
            after = _fold_fetched(tx, after, event, now)
        after = _when_overdue(tx, before, after, snapshot, now)
        acting.hasten_recording(tx, before, after, now)
        wants_cost = after.cost is None and not provider.capabilities.cost_in_webhook
        next_look = None if after.status.is_final else now + _pause(after, snapshot, now)
        is_ending = after.status.is_final and not before.status.is_final
        after = calls.save_call(
            tx,
            after,
            expected_version=before.version,
            next_look_at=next_look,
            cost_look_at=now + COST_LOOKS[0] if is_ending and wants_cost else UNSET,
        )
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    services.wake()
    return after


def _pause(call: Call, snapshot: CallSnapshot, now: datetime) -> timedelta:
    """How long until the carrier is asked again: soon when it could not tell, and when the call should be over."""
    if time_left(call, now) <= timedelta():
        return AFTER_TROUBLE
    return (
        min(next_look_in(call, now), AFTER_TROUBLE) if snapshot.is_live is None else next_look_in(call, now)
    )


def _postpone(services: Services, call: Call) -> Call:
    """The carrier never named this call: its attempt is looked for, or was refused; here is nothing to ask about."""
    with services.store.transaction() as tx:
        calls.schedule_look(tx, call.id, None if call.status.is_final else services.clock() + QUIET_LIMIT)
    return call


def _fold_fetched(tx: Tx, call: Call, event: CallEvent, now: datetime) -> Call:
    after = fold(call, event.facts, now)
    record = EventRecord(
        id=new_id(),
        call_id=call.id,
        provider=event.provider,
        name=event.name,
        source="reconciled",
        outcome=EventOutcome.NOTHING_NEW if after is call else EventOutcome.APPLIED,
        detail="" if after.status is call.status else f"{call.status.value} -> {after.status.value}",
        status_after=after.status,
        occurred_at=event.occurred_at or now,
        received_at=now,
        raw=event.raw,
    )
    if after is not call:
        events.add_event(
            tx,
            record,
            workspace_id=call.workspace_id,
            credential_id=call.credential_id,
            event_id=record.id,
            facts=event.facts,
        )
    return after


def _when_overdue(tx: Tx, before: Call, call: Call, snapshot: CallSnapshot, now: datetime) -> Call:
    """Close what the carrier no longer knows, and end what has outlived its maximum duration."""
    if call.status.is_final:
        return call
    is_overdue = now >= _latest_end(call)
    if snapshot.is_live and (is_overdue or time_left(call, now) <= timedelta()):
        return _cut_off(tx, call, now)
    is_gone = not snapshot.is_known and now - call.updated_at >= LAG
    if snapshot.is_live or not (is_gone or is_overdue):
        return call
    end = EndReport(cause=EndCause.LOST, ended_by=EndedBy.UNKNOWN, reconciled=True)
    lost = fold(call, CallFacts(ends=(end,), ended_at=now), now)
    why = "cannot tell what became of the call" if snapshot.is_known else "no longer knows the call"
    note(tx, lost, "end lost", now, detail=f"the carrier {why}")
    return lost


def _latest_end(call: Call) -> datetime:
    """When a call must be over: its maximum duration, counted from the answer where one is known, and the slack."""
    longest = timedelta(seconds=call.settings.max_duration_s) + QUIET_LIMIT
    if call.facts.answered_at is not None:
        return call.facts.answered_at + longest
    return call.created_at + timedelta(seconds=call.settings.join_timeout_s) + longest


def _cut_off(tx: Tx, call: Call, now: datetime) -> Call:
    """End a call that has outlived its maximum duration; not again while the last hang-up is taking effect."""
    asked = [each.created_at for each in actions.list_actions(tx, call.id) if each.kind is ActionKind.HANG_UP]
    if asked and now - asked[-1] < AFTER_TROUBLE:
        return call
    request_hang_up(tx, call, None, now)
    note(tx, call, "outlived its maximum duration", now, detail="it is ended")
    return fold(call, CallFacts(hangup_requested=EndCause.MAX_DURATION), now)


def ask_cost(services: Services, due: CostLook) -> None:
    """Ask for the cost of an ended call; again later while the carrier has not settled it."""
    call = due.call
    _, provider = services.provider_for(call)
    try:
        snapshot = provider.fetch_call(acting.own_leg(services.store, call))
    except GatewayError as error:
        log.warning("asking for the cost of call %s: %s", call.id, error)
        snapshot = CallSnapshot(is_known=True)
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, call.id)
        after = before
        for event in snapshot.events:
            after = _fold_fetched(tx, after, event, now)
        if after is not before:
            after = calls.save_call(tx, after, expected_version=before.version)
        has_more = after.cost is None and due.looks < len(COST_LOOKS)
        calls.schedule_cost_look(tx, call.id, now + COST_LOOKS[due.looks] if has_more else None)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)


# -- agents that did not join --------------------------------------------------------------------------------------


def fail_late_joins(services: Services) -> tuple[int, int]:
    """Move on every caller whose agent did not join in time; return how many, and how many of them failed."""
    return _each(services, steps.due_joins(services.store, services.clock(), BATCH), fail_late_join)


def fail_late_join(services: Services, step: Step) -> None:
    """The agent did not take the media socket in time: the caller goes on along the chain."""
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, step.call_id)
        latest = steps.current_step(tx, step.call_id)
        if (
            latest is None
            or latest.token != step.token
            or latest.state not in (StepState.PENDING, StepState.STARTED)
        ):
            return
        if before.status.is_final:
            steps.set_step_state(tx, step.token, StepState.OVER)
            return
        note(
            tx,
            before,
            "agent did not join in time",
            now,
            detail=stepping.describe(step),
            outcome=EventOutcome.REFUSED,
        )
        after, following = stepping.advance(services, tx, before, latest, StepState.FAILED, now)
        _, provider = services.provider_for(after)
        request_step(tx, provider, after, following, now)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    services.wake()


# -- everything at once ---------------------------------------------------------------------------------------------


def reconcile(services: Services, workspace_id: str) -> list[Call]:
    """Ask now about every open call and every unknown attempt of a workspace; return the calls as they then are."""
    recover(services)
    open_calls = calls.live_calls(services.store, workspace_id)
    for attempt in attempts.open_attempts(services.store):
        if attempt.workspace_id == workspace_id and attempt.state is AttemptState.UNKNOWN:
            look_for(services, attempt)
    for call in open_calls:
        latest = calls.load_call(services.store, call.id)
        if not latest.status.is_final and latest.leg_id is not None:
            ask_about(services, latest)
    acting.run_due(services)
    return [calls.load_call(services.store, call.id) for call in open_calls]


def _changed(call: Call, now: datetime, **fields: Any) -> Call:
    return replace(call, sequence=call.sequence + 1, updated_at=now, **fields)
