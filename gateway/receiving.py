"""Use case: a webhook. Verify, parse, refuse replays, fold into the call, decide the reply.

The order of work is fixed (R29): credential by path key, signature over the configured URL and the raw body, strict
parse, then one transaction that stores everything. Before the signature has passed nothing is written and no agent is
asked. Events to the embedding program and commands to the carrier follow after the commit.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from gateway import stepping
from gateway.acting import hasten_recording, request_hang_up, request_perform, request_step
from gateway.errors import GatewayError, RejectionReason, StoreUnavailable, WebhookRejected
from gateway.folding import fold
from gateway.ids import new_id
from gateway.instructions import HangUp, LeaveMessage, NextAgent, Say
from gateway.interface import CallEvent, Hook, LiveCall, Provider, StepOutcome, WebhookReply, WebhookRequest
from gateway.journaling import note
from gateway.models import (
    DEFAULT_WORKSPACE,
    Attempt,
    AttemptState,
    Call,
    Credential,
    EventOutcome,
    EventRecord,
    OnVoicemail,
)
from gateway.notifying import GatewayEvent
from gateway.numbers import ANONYMOUS
from gateway.publishing import publish
from gateway.routing import Chain, chain_of
from gateway.services import Services, shown_context
from gateway.status import AnsweredBy, CallFacts, CallStatus, Direction, EndCause
from gateway.store import (
    Tx,
    attempts,
    calls,
    credentials,
    events,
    numbers,
    steps,
    tombstones,
    upkeep,
    webhooks,
)
from gateway.store.rows import UNSET, SeenReply, Step, StepState, Unset
from gateway.urls import BEGIN

log = logging.getLogger(__name__)

ASK_AGAIN: Final = timedelta(
    minutes=5
)  # how often the carrier is asked about a call that is silent but may be live
GRACE: Final = timedelta(seconds=15)  # the carrier's own cut-off comes first, where it has one
FIRST_COST_LOOK: Final = timedelta(seconds=60)


def receive(services: Services, key: str, hook: Hook, request: WebhookRequest) -> WebhookReply:
    """Take one webhook and return the HTTP answer.

    Raises:
        WebhookRejected: unknown key, bad signature, malformed, another account's. Nothing was stored.
        StoreUnavailable: cannot store now; the carrier tries again.
    """
    credential = services.credential_by_key(key)
    if credential is None:
        raise WebhookRejected(RejectionReason.UNKNOWN_KEY)
    provider = services.provider_of(credential)
    now = services.clock()
    verified = provider.verify_webhook(request, now)
    found = provider.read_webhook(hook, request)
    for event in found:
        check_account(provider, event)
    replay_key = hashlib.sha256(
        credential.id.encode() + b"\0" + hook.value.encode() + b"\0" + verified.canonical
    ).hexdigest()
    return _Receipt(services, credential, provider, hook, request, now).take(found, replay_key)


def check_account(provider: Provider, event: CallEvent) -> None:
    """R25: what the body names must be the account that the path key stands for."""
    if event.account_ref and provider.account_ref and event.account_ref != provider.account_ref:
        raise WebhookRejected(RejectionReason.WRONG_ACCOUNT, "the body names another account")


@dataclass(slots=True)
class _Taken:
    """One event, found and stored. `step` is the step whose instruction answers it, when it asks for one."""

    event: CallEvent
    call: Call | None
    step: Step | None = None
    turn_away: bool = False  # answered with a hang-up, whatever the call is doing


@dataclass(slots=True)
class _Receipt:
    """One webhook being taken: what the transaction gathers for the work behind the commit."""

    services: Services
    credential: Credential
    provider: Provider
    hook: Hook
    request: WebhookRequest
    now: datetime
    fired: list[GatewayEvent] = field(default_factory=list)
    has_actions: bool = False

    @property
    def _commands(self) -> bool:
        return self.provider.capabilities.control == "command"

    def take(self, found: list[CallEvent], replay_key: str) -> WebhookReply:
        taken: list[_Taken] = []
        with self.services.store.transaction() as tx:
            seen = webhooks.see_webhook(tx, replay_key, self.credential.id, self.now)
            if seen is None:
                taken = [self._take_event(tx, event) for event in found]
                asking = next((each for each in taken if each.event.wants_instruction), None)
                token = asking.step.token if asking and asking.step else None
                webhooks.set_seen_reply(tx, replay_key, status=200, step_token=token)
        if seen is not None:
            return self._repeat(seen, found)
        self.services.notifier.fire(self.fired)
        if self.has_actions:
            self.services.wake()
        return self._reply(taken)

    # -- one event ---------------------------------------------------------------------------------------------

    def _take_event(self, tx: Tx, event: CallEvent) -> _Taken:
        for unmapped in event.unmapped:
            upkeep.count_unmapped(tx, self.provider.name, unmapped.table, unmapped.word, self.now)
            log.warning(
                "%s: no meaning for %s %r; kept, changes nothing",
                self.provider.name,
                unmapped.table,
                unmapped.word,
            )
        attempt = self._attempt_of(tx, event)
        before = self._call_of(tx, event, attempt)
        if before is None:
            self._store(tx, event, None, EventOutcome.REFUSED, "belongs to no call of this gateway")
            return _Taken(event, None, turn_away=True)
        if attempt is not None and not event.is_child_leg:
            bound = self._bind(tx, event, attempt, before)
            if bound is None:
                return _Taken(event, before, turn_away=True)
            before = bound
        elif not event.is_child_leg:
            calls.bind_legs(tx, before.id, self.credential.id, (event.leg_id, *event.other_ids))
        return self._fold_in(tx, event, before)

    def _attempt_of(self, tx: Tx, event: CallEvent) -> Attempt | None:
        if event.attempt_token is None:
            return None
        attempt = attempts.load_attempt_by_token(tx, event.attempt_token)
        if attempt is not None and attempt.credential_id != self.credential.id:
            raise WebhookRejected(RejectionReason.WRONG_ACCOUNT, "the attempt belongs to another credential")
        return attempt

    def _call_of(self, tx: Tx, event: CallEvent, attempt: Attempt | None) -> Call | None:
        if attempt is not None:
            return calls.load_call_for_update(tx, attempt.call_id)
        if not event.is_child_leg:
            known = calls.find_call_by_leg(tx, self.credential.id, (event.leg_id, *event.other_ids))
            if known is not None:
                return known
        step = steps.load_step_by_token(tx, event.step_token) if event.step_token else None
        if step is not None and step.workspace_id == self.credential.workspace_id:
            return calls.load_call_for_update(tx, step.call_id)
        if event.direction is not Direction.INBOUND or event.is_child_leg or event.attempt_token is not None:
            return None
        if tombstones.is_deleted_leg(tx, self.credential.id, (event.leg_id, *event.other_ids)):
            return None  # late news of a call that was deleted makes no new one
        return self._new_inbound(tx, event)

    def _new_inbound(self, tx: Tx, event: CallEvent) -> Call | None:
        called = event.to or ANONYMOUS
        if self._is_twins(tx, called):
            raise WebhookRejected(
                RejectionReason.WRONG_ACCOUNT, "the called number belongs to another credential"
            )
        held = numbers.inbound_agent(tx, self.credential.id, called)
        agent_id = held[1] if held else None
        settings = self.services.settings.default_settings
        agent = self.services.agent(self.credential.workspace_id, agent_id, tx) if agent_id else None
        call = Call(
            id=new_id(),
            workspace_id=self.credential.workspace_id or DEFAULT_WORKSPACE,
            direction=Direction.INBOUND,
            status=CallStatus.QUEUED,
            to=called,
            from_number=event.from_number or ANONYMOUS,
            agent_id=agent.id if agent else None,
            credential_id=self.credential.id,
            provider=self.provider.name,
            leg_id=event.leg_id,
            settings=agent.settings.over(settings) if agent else settings,
            created_at=self.now,
            updated_at=self.now,
        )
        calls.insert_call(tx, call, next_look_at=self.now + ASK_AGAIN)
        calls.bind_legs(tx, call.id, self.credential.id, (event.leg_id, *event.other_ids))
        return call

    def _is_twins(self, tx: Tx, called: str) -> bool:
        """R25: whether the number is held by a second credential of the same account, in the same workspace, only.

        The signature proves that the account gets the number's calls, whatever anybody has written down: a row of
        another account, or of another tenant, takes no call away. It cannot tell two credentials of one account apart.
        """
        own, holders = self.credential, numbers.holders_of(tx, called)
        if not holders or own.id in holders or not own.account_ref:
            return False
        return any(
            other.id in holders and (other.provider, other.account_ref) == (own.provider, own.account_ref)
            for other in credentials.list_credentials(tx, own.workspace_id)
        )

    # -- outbound: which leg is ours (protocol, steps 7 and 10) -------------------------------------------------

    def _bind(self, tx: Tx, event: CallEvent, attempt: Attempt, call: Call) -> Call | None:
        """Bind the leg to its attempt; None when it is a second leg for one dial, which is ended at once (R8)."""
        ids = (event.leg_id, *event.other_ids)
        known = calls.list_legs(tx, call.id)
        latest = attempts.latest_attempt(tx, call.id)
        is_latest = latest is None or latest.id == attempt.id
        overlaps = bool(set(ids) & set(known))
        if not overlaps and (known or not is_latest or self._was_closed(attempt, call)):
            detail = "a second leg for one dial" if known else "a dial that had been given up"
            self._store(tx, event, call, EventOutcome.REFUSED, f"{detail}: it is ended")
            log.error("call %s: %s appeared; it is ended", call.id, detail)
            if not event.facts.ends:
                request_hang_up(tx, call, event.leg_id, self.now)
                self.has_actions = True
            return None
        calls.bind_legs(tx, call.id, self.credential.id, ids)
        changed = replace(call, leg_id=call.leg_id or event.leg_id)
        if attempt.state is not AttemptState.ACCEPTED:
            accepted = replace(
                attempt,
                state=AttemptState.ACCEPTED,
                leg_id=event.leg_id,
                lease_until=None,
                next_look_at=None,
                settled_at=self.now,
            )
            attempts.save_attempt(tx, accepted, expected_version=attempt.version)
            changed = replace(changed, context=shown_context(changed, dial=None))
            if call.facts.hangup_requested is not None and not call.status.is_final:
                request_hang_up(tx, changed, event.leg_id, self.now)
                self.has_actions = True
        if changed != call:
            changed = calls.save_call(tx, changed, expected_version=call.version)
        return changed

    @staticmethod
    def _was_closed(attempt: Attempt, call: Call) -> bool:
        """A call that we ended for want of a trace: the person must not be connected to it any more."""
        return call.status.is_final and not attempt.state.is_open

    # -- folding --------------------------------------------------------------------------------------------------

    def _fold_in(self, tx: Tx, event: CallEvent, before: Call) -> _Taken:
        step = self._step_of(tx, event, before)
        facts = CallFacts() if event.is_child_leg else event.facts
        if (
            event.step is not None
            and event.step.outcome is StepOutcome.JOINED
            and before.direction is Direction.INBOUND
        ):
            facts = facts.merge(CallFacts(answered=True, answered_at=event.occurred_at))
        folded = fold(before, facts, self.now)
        is_new = self._store(tx, event, folded, _outcome(event, before, folded), _detail(before, folded))
        if not is_new:
            folded = before
        after, answering = self._go_on(tx, event, before, folded, step, is_new)
        if hasten_recording(tx, before, after, self.now):
            self.has_actions = True
        if after is not before:
            after = calls.save_call(
                tx,
                after,
                expected_version=before.version,
                next_look_at=self._next_look(before, after),
                cost_look_at=self._cost_look(before, after),
            )
        self.fired.extend(publish(tx, before, after, self.now))
        if event.wants_instruction and after.status.is_final:
            return _Taken(event, after, turn_away=True)
        return _Taken(event, after, step=answering)

    def _step_of(self, tx: Tx, event: CallEvent, call: Call) -> Step | None:
        if event.step_token is None:
            return None
        step = steps.load_step_by_token(tx, event.step_token)
        return step if step is not None and step.call_id == call.id else None

    def _store(self, tx: Tx, event: CallEvent, call: Call | None, outcome: EventOutcome, detail: str) -> bool:
        record = EventRecord(
            id=new_id(),
            call_id=call.id if call else None,
            provider=self.provider.name,
            name=event.name,
            source="webhook",
            outcome=outcome,
            detail=detail,
            status_after=call.status if call else None,
            occurred_at=event.occurred_at or self.now,
            received_at=self.now,
            raw=event.raw,
        )
        return events.add_event(
            tx,
            record,
            workspace_id=self.credential.workspace_id,
            credential_id=self.credential.id,
            event_id=event.event_id,
            facts=event.facts,
        )

    def _next_look(self, before: Call, after: Call) -> datetime | Unset | None:
        """When the carrier is asked about the end, unless it says something before."""
        if after.status.is_final:
            return None
        return UNSET if after.status is before.status else self.now + next_look_in(after, self.now)

    def _cost_look(self, before: Call, after: Call) -> datetime | Unset | None:
        """When the carrier is asked about the cost: after the end, where no webhook tells it."""
        if before.status.is_final or not after.status.is_final or after.cost is not None:
            return UNSET
        return UNSET if self.provider.capabilities.cost_in_webhook else self.now + FIRST_COST_LOOK

    # -- what now -------------------------------------------------------------------------------------------------

    def _go_on(
        self, tx: Tx, event: CallEvent, before: Call, call: Call, step: Step | None, is_new: bool
    ) -> tuple[Call, Step | None]:
        """Move the call's steps on; return the call and the step that answers the webhook (None: nothing to say)."""
        current = steps.current_step(tx, call.id)
        if call.status.is_final:
            return call, None
        if (
            self.hook is Hook.NEXT
            and step is not None
            and current is not None
            and (current.state is StepState.PENDING or self.request.url.endswith(BEGIN))
        ):
            # Redirected to a step that is to begin: never a sign that it is over, also when the carrier had fetched it
            # by itself a moment before. The caller would hear nothing of it.
            return self._on_question(tx, event, call, step, current)
        if (
            event.step is not None
            and step is not None
            and current is not None
            and step.token == current.token
        ):
            call, current = self._on_report(tx, event, call, current)
        if is_new:
            call, current = self._on_verdict(tx, call, current)
        if not event.wants_instruction:
            return call, None
        return self._on_question(tx, event, call, step, current)

    def _on_report(self, tx: Tx, event: CallEvent, call: Call, current: Step) -> tuple[Call, Step]:
        """The carrier told how the current step stands."""
        assert event.step is not None
        outcome = event.step.outcome
        if outcome is StepOutcome.JOINED:
            steps.set_step_state(tx, current.token, StepState.JOINED)
            return call, replace(current, state=StepState.JOINED)
        if not self._commands and not event.wants_instruction:
            if outcome is StepOutcome.FAILED and current.state is not StepState.JOINED:
                steps.set_step_state(tx, current.token, StepState.FAILED, detail=event.step.detail)
                current = replace(current, state=StepState.FAILED)
            return call, current  # a document carrier asks for the next step itself
        call, following = self._advance(tx, call, current, outcome)
        if self._commands:
            request_perform(tx, call, following, self.now)
            self.has_actions = True
        return call, following

    def _advance(self, tx: Tx, call: Call, current: Step, outcome: StepOutcome) -> tuple[Call, Step]:
        failed = outcome is StepOutcome.FAILED or current.state is StepState.FAILED
        state = StepState.FAILED if failed and current.state is not StepState.JOINED else StepState.OVER
        return stepping.advance_in(self.services, tx, call, current, state, self.now)

    def _on_verdict(self, tx: Tx, call: Call, current: Step | None) -> tuple[Call, Step | None]:
        """A machine answered: do what the settings say, once."""
        wants = call.settings.on_voicemail
        if (
            call.facts.answered_by is not AnsweredBy.MACHINE
            or call.direction is not Direction.OUTBOUND
            or wants in (None, OnVoicemail.CONTINUE)
            or call.facts.hangup_requested is not None
            or any(isinstance(step.instruction, LeaveMessage) for step in steps.list_steps(tx, call.id))
        ):
            return call, current
        if wants is OnVoicemail.HANG_UP:
            request_hang_up(tx, call, None, self.now)
            self.has_actions = True
            return fold(call, CallFacts(hangup_requested=EndCause.MACHINE), self.now), current
        if self.provider.capabilities.reports_greeting_end and not call.facts.greeting_over:
            return call, current
        message = LeaveMessage(call.settings.voicemail_message or "")
        call, step = stepping.take_over(self.services, tx, call, message, self.now)
        request_step(tx, self.provider, call, step, self.now)
        self.has_actions = True
        return call, step

    def _on_question(
        self, tx: Tx, event: CallEvent, call: Call, step: Step | None, current: Step | None
    ) -> tuple[Call, Step | None]:
        """The carrier asks what to do. Asked again about a step that is already behind, it gets the current one."""
        if current is None:
            chain = self._chain(tx, call)
            call, current = stepping.take_next(self.services, tx, call, chain, None, self.now)
        elif self.hook is Hook.FALLBACK:
            call, current = stepping.advance_in(self.services, tx, call, current, StepState.FAILED, self.now)
        elif (
            self.hook is Hook.NEXT
            and step is not None
            and step.token == current.token
            and event.step is None
            and not self.request.url.endswith(BEGIN)
        ):
            call, current = stepping.advance_in(self.services, tx, call, current, StepState.OVER, self.now)
        if self._commands:
            request_perform(tx, call, current, self.now)
            self.has_actions = True
        elif current.state is StepState.PENDING and not isinstance(current.instruction, NextAgent):
            steps.set_step_state(tx, current.token, StepState.STARTED)
        return call, current

    def _chain(self, tx: Tx, call: Call) -> Chain:
        if call.agent_id is None:
            note(tx, call, "number not assigned", self.now, detail="the gateway's own message is played")
            return (Say(self.services.settings.unassigned_message),)
        agent = self.services.agent(call.workspace_id, call.agent_id, tx)
        return chain_of(agent) if agent else (NextAgent(call.agent_id),)

    # -- the answer -----------------------------------------------------------------------------------------------

    def _reply(self, taken: list[_Taken]) -> WebhookReply:
        asking = next((each for each in taken if each.event.wants_instruction), None)
        if asking is None or self._commands:
            return WebhookReply()
        if asking.turn_away or asking.call is None or asking.step is None:
            return self._turn_away(asking)
        return self._render(asking.call, asking.step)

    def _render(self, call: Call, step: Step) -> WebhookReply:
        """Return the document of the current step, or of the first one behind it that the carrier can express.

        The chain ends with a text in the default language and then a hang-up, which every carrier can.
        """
        attempt = attempts.latest_attempt(self.services.store, call.id)
        token = attempt.token if attempt else None
        while True:
            call, step = stepping.settle_connection(self.services, call, step)
            try:
                live, instruction = stepping.rendered(self.services, call, self.credential, step, token)
                return self.provider.answer(live, instruction)
            except StoreUnavailable:
                raise
            except GatewayError as error:
                if isinstance(step.instruction, HangUp):
                    raise
                log.warning("call %s: a step cannot be carried out: %s", call.id, error)
                call, step = stepping.pass_over(self.services, call, step, str(error))

    def _turn_away(self, asking: _Taken) -> WebhookReply:
        """R8 and the guard at the door: a leg that must not be connected hears nothing but the end."""
        event = asking.event
        urls = self.services.urls
        live = LiveCall(
            call_id=asking.call.id if asking.call else "",
            leg_id=event.leg_id,
            direction=event.direction or Direction.OUTBOUND,
            answered=True,
            to=event.to or ANONYMOUS,
            from_number=event.from_number or ANONYMOUS,
            step_token="",
            next_url=urls.hook(self.credential.key, Hook.FALLBACK),
            status_url=urls.hook(self.credential.key, Hook.STATUS),
            recording_url=urls.hook(self.credential.key, Hook.RECORDING),
            events_url=urls.hook(self.credential.key, Hook.EVENTS),
            is_last=True,
        )
        return self.provider.answer(live, HangUp())

    def _repeat(self, seen: SeenReply, found: list[CallEvent]) -> WebhookReply:
        """Answer a repeat as the first time, without effects; a stream token that was used is not given out again."""
        asking = next((event for event in found if event.wants_instruction), None)
        if asking is None or self._commands:
            return WebhookReply(status=seen.status or 200)
        step = steps.load_step_by_token(self.services.store, seen.step_token) if seen.step_token else None
        if step is None or step.claimed_at is not None:
            return self._turn_away(_Taken(asking, None))
        call = calls.load_call(self.services.store, step.call_id)
        if call.status.is_final:
            return self._turn_away(_Taken(asking, call))
        return self._render(call, step)


def next_look_in(call: Call, now: datetime) -> timedelta:
    """Return how long to wait for a call's next word before the carrier is asked."""
    if call.status is CallStatus.IN_PROGRESS:
        return min(max(time_left(call, now), timedelta(seconds=1)), ASK_AGAIN)
    return timedelta(seconds=call.settings.join_timeout_s + 60)


def time_left(call: Call, now: datetime) -> timedelta:
    """Return how long a conversation may still last. Not every carrier cuts an inbound call off by itself."""
    longest = timedelta(seconds=call.settings.max_duration_s) + GRACE
    return (call.started_at or now) + longest - now


def _outcome(event: CallEvent, before: Call, after: Call) -> EventOutcome:
    if event.is_child_leg or event.step is not None or event.wants_instruction:
        return EventOutcome.APPLIED
    return EventOutcome.NOTHING_NEW if after is before else EventOutcome.APPLIED


def _detail(before: Call, after: Call) -> str:
    if after.status is before.status:
        return ""
    corrected = " (corrects the end)" if before.status.is_final else ""
    return f"{before.status.value} -> {after.status.value}{corrected}"
