"""Use case: place a call, dialing at most once (reliability.md, section 5.3).

The order is the protocol: check everything, choose the number, write the call and its attempt, **commit**, and only
then let one POST leave. What the POST's outcome is not known for is never dialed again: it is listened for (webhooks
carry the attempt's token) and asked for (`gateway.reconciling`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from gateway import caller_id, guards
from gateway.acting import request_hang_up
from gateway.errors import ConfigurationError, Conflict, NotFound, StoreUnavailable, ValidationError
from gateway.folding import fold
from gateway.ids import new_id, new_token
from gateway.interface import DialOutcome, DialRequest, DialResult, Provider
from gateway.journaling import note
from gateway.models import (
    DEFAULT_WORKSPACE,
    Agent,
    Attempt,
    AttemptState,
    Call,
    CallSettings,
    Credential,
    EventOutcome,
    Number,
    OnVoicemail,
)
from gateway.publishing import publish
from gateway.services import Services, shown_context
from gateway.status import CallFacts, CallStatus, CarrierWords, Direction, EndCause, EndedBy, EndReport
from gateway.store import Reader, Tx, agents, attempts, calls, numbers
from gateway.store.rows import UNSET

log = logging.getLogger(__name__)

# A dial takes 15 s at most; an attempt that is older and still `dialing` belongs to a process that died (step 11).
LEASE: Final = timedelta(seconds=30)
FIRST_LOOK: Final = timedelta(seconds=5)
RING_SLACK: Final = timedelta(seconds=60)
LONGEST_PAUSE_S: Final = 10.0  # before the next try; with the dial's own 15 s it stays within the lease
_LARGEST_VARIABLES: Final = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCall:
    """What the caller of `place_call` asked for, unchecked."""

    agent: str
    to: str = field(repr=False)
    from_number: str | None = field(default=None, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: CallSettings = field(default_factory=CallSettings)
    context: Mapping[str, Any] = field(default_factory=dict)
    workspace_id: str = DEFAULT_WORKSPACE
    idempotency_key: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return the hash of everything asked for: the same idempotency key must come with the same one (R9)."""
        asked = [
            self.agent,
            self.to,
            self.from_number,
            dict(self.variables),
            self.settings.as_dict(),
            dict(self.context),
            dict(self.extra),
        ]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def place_call(services: Services, asked: PlaceCall) -> Call:
    """Place a call and return it as it stands when the carrier has answered (or has not).

    Raises:
        ValidationError: a wrong argument (its subclasses say which); nothing was stored or sent.
        PaymentRequired: the embedding program's `authorize_call` hook said no.
        NotFound: no such agent. Conflict: the agent is at its limit, a call to the same person is still being dialed
            or its outcome is not known, or the idempotency key was used with another body.
        ConfigurationError: the carrier's library is missing; nothing was stored or sent.
        StoreUnavailable: nothing was sent.
    """
    to = guards.check_destination(asked.to, services.settings.allowed_countries)
    _check_variables(asked.variables)
    if asked.idempotency_key is not None and (known := _same_intent(services, asked)):
        return known
    agent = services.agent(asked.workspace_id, asked.agent)
    if agent is None:
        raise NotFound("agent", asked.agent)
    settings = asked.settings.over(agent.settings.over(services.settings.default_settings))
    _check_voicemail(settings)
    if services.authorize_call is not None:
        services.authorize_call(asked)
    planned = _write_once(services, asked, agent, settings, to)
    if isinstance(planned, Call):
        return planned
    try:
        return _dial_until_settled(services, planned)
    except StoreUnavailable as error:
        # It was dialed, or may have been: who is told otherwise dials again. The attempt's lease runs out, and the
        # sweeper asks the carrier.
        log.error("call %s: what became of its dial cannot be stored now: %s", planned.call.id, error)
        return replace(planned.call, context=shown_context(planned.call, dial="unconfirmed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A committed call with its attempt, ready to be dialed once."""

    call: Call
    attempt: Attempt
    provider: Provider
    request: DialRequest


def _same_intent(services: Services, asked: PlaceCall, source: Reader | None = None) -> Call | None:
    """Return the call that this idempotency key already stands for, or None."""
    if not 1 <= len(asked.idempotency_key or "") <= 255:
        raise ValidationError("idempotency_key", "give 1 to 255 characters")
    reader = source or services.store
    known = calls.find_by_idempotency_key(reader, asked.workspace_id, asked.idempotency_key or "")
    if known is None:
        return None
    call, fingerprint = known
    if fingerprint != asked.fingerprint():
        raise Conflict("this idempotency key was used with another body; use a new key for a new call")
    return call


def _write_once(
    services: Services, asked: PlaceCall, agent: Agent, settings: CallSettings, to: str
) -> _Planned | Call:
    """Write the intent. A race for its idempotency key that is lost shows as a conflict where writers do not wait."""
    try:
        return _write(services, asked, agent, settings, to)
    except Conflict:
        known = _same_intent(services, asked) if asked.idempotency_key is not None else None
        if known is None:
            raise
        return known


def _write(
    services: Services, asked: PlaceCall, agent: Agent, settings: CallSettings, to: str
) -> _Planned | Call:
    """Check what depends on stored state and write the intent, in one transaction. Steps 1 to 4 of the protocol.

    Returns the call that the idempotency key stands for when another worker was faster.
    """
    now = services.clock()
    with services.store.transaction() as tx:
        if asked.idempotency_key is not None:
            raced = _same_intent(services, asked, tx)
            if raced is not None:
                return raced
        _check_capacity(tx, agent)
        number = _choose_number(tx, asked, agent, to)
        credential = services.credential(asked.workspace_id, number.credential_id, tx)
        provider = services.provider_of(credential)
        call = Call(
            id=new_id(),
            workspace_id=asked.workspace_id,
            direction=Direction.OUTBOUND,
            status=CallStatus.QUEUED,
            to=to,
            from_number=number.e164,
            agent_id=agent.id,
            credential_id=credential.id,
            provider=credential.provider,
            settings=settings,
            variables=dict(asked.variables),
            context=dict(asked.context),
            idempotency_key=asked.idempotency_key,
            created_at=now,
            updated_at=now,
        )
        attempt = _new_attempt(call, 1, now, number.trunk_ref)
        request = _dial_request(services, credential, call, attempt, asked.extra)
        provider.check_dial(request)
        quiet_at = now + timedelta(seconds=settings.join_timeout_s) + RING_SLACK
        calls.insert_call(tx, call, fingerprint=asked.fingerprint(), next_look_at=quiet_at)
        attempts.insert_attempt(tx, attempt)
        numbers.mark_number_used(tx, number.id, now)
        note(tx, call, "dial requested", now, detail=f"attempt 1 from {number.e164[-4:].rjust(5, '…')}")
        provider.prepare()  # without its library nothing stays; the background has loaded it long before
    return _Planned(call=call, attempt=attempt, provider=provider, request=request)


def _check_capacity(tx: Tx, agent: Agent) -> None:
    limit = agent.max_concurrent_calls
    if limit is None:
        return
    agents.load_agent_for_update(tx, agent.workspace_id, agent.id)
    if calls.count_live_calls(tx, agent.workspace_id, agent.id) >= limit:
        raise Conflict(
            f"agent {agent.id!r} is at its limit of {limit} calls: wait for one to end or raise the limit"
        )


def _choose_number(tx: Tx, asked: PlaceCall, agent: Agent, to: str) -> Number:
    owned = numbers.outbound_numbers(tx, asked.workspace_id, agent.id)
    if asked.from_number is None:
        return caller_id.choose(
            agent.caller_id_strategy,
            owned,
            to,
            lambda: agents.take_round_robin(tx, asked.workspace_id, agent.id),
            agent.id,
        )
    number = caller_id.explicit(asked.from_number, owned, agent.id)
    if number.e164 == to:
        raise ValidationError("from_number", "is the number that is to be called")
    return number


def _new_attempt(call: Call, number: int, now: datetime, trunk_ref: str | None) -> Attempt:
    token = new_token()
    return Attempt(
        id=new_id(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        credential_id=call.credential_id or "",
        provider=call.provider or "",
        to=call.to,
        from_number=call.from_number,
        token=token,
        command_id=str(uuid.uuid5(uuid.NAMESPACE_OID, token)),
        state=AttemptState.DIALING,
        number=number,
        lease_until=now + LEASE,
        created_at=now,
        trunk_ref=trunk_ref,
    )


def _dial_request(
    services: Services,
    credential: Credential,
    call: Call,
    attempt: Attempt,
    extra: Mapping[str, Any],
) -> DialRequest:
    settings = call.settings
    return DialRequest(
        call_id=call.id,
        to=call.to,
        caller_id=call.from_number,
        attempt_token=attempt.token,
        command_id=attempt.command_id,
        join_timeout_s=settings.join_timeout_s,
        max_duration_s=settings.max_duration_s,
        detect_machine=settings.detects_machines,
        await_greeting_end=settings.detects_machines and settings.on_voicemail is OnVoicemail.LEAVE_MESSAGE,
        record=bool(settings.recording_enabled),
        urls=services.urls.of_call(credential.key, attempt.token),
        trunk_ref=attempt.trunk_ref,
        extra=extra,
    )


def _dial_until_settled(services: Services, planned: _Planned) -> Call:
    """Dial once; again, with a new attempt, only on proof that nothing was processed (5.2)."""
    pauses: Sequence[float] = services.settings.dial_retry_backoff_s
    for pause in (*pauses[: max(0, len(pauses) - 1)], None):
        outcome = _dial(services, planned)
        again = None
        if outcome.result is DialResult.NOT_SENT and pause is not None:
            again = _write_again(services, planned, outcome)
        if again is None:
            return settle(services, planned.attempt.id, outcome)
        planned = again
        services.sleep(max(pause or 0.0, min(outcome.retry_after_s or 0.0, LONGEST_PAUSE_S)))
        if _is_withdrawn(services, planned.call):
            return settle(
                services, planned.attempt.id, _unsent("the call was ended before it could be dialed")
            )
    raise AssertionError("the last round returns")


def _dial(services: Services, planned: _Planned) -> DialOutcome:
    """Send the one POST of an attempt. Whatever an adapter raises, only what is proven counts."""
    lease = planned.attempt.lease_until
    # A paused twin: the others take this dial for sent by now.
    if lease is not None and services.clock() >= lease:
        return _unsent("this process stood still for longer than its lease")
    try:
        return planned.provider.dial(planned.request)
    except ConfigurationError as error:  # without its library an adapter cannot send
        settle(services, planned.attempt.id, _unsent(str(error)))
        raise
    except Exception as error:  # an adapter's bug must not pass for a dial that was not sent
        log.error("call %s: the adapter raised %s while dialing", planned.call.id, type(error).__name__)
        return DialOutcome(result=DialResult.UNKNOWN, message=f"the adapter raised {type(error).__name__}")


def _unsent(message: str) -> DialOutcome:
    return DialOutcome(result=DialResult.NOT_SENT, message=message)


def _is_withdrawn(services: Services, call: Call) -> bool:
    latest = calls.load_call(services.store, call.id)
    return latest.status.is_final or latest.facts.hangup_requested is not None


def _write_again(services: Services, planned: _Planned, outcome: DialOutcome) -> _Planned | None:
    """Close an attempt that was not processed and write the next one, in one transaction.

    Returns None when there is to be no next one: a webhook or another worker knows better.
    """
    now = services.clock()
    with services.store.transaction() as tx:
        attempt = attempts.load_attempt_for_update(tx, planned.attempt.id)
        call = calls.load_call_for_update(tx, planned.call.id)
        if attempt.state is not AttemptState.DIALING or call.status.is_final:
            return None
        attempts.save_attempt(
            tx, _closed(attempt, AttemptState.NOT_SENT, outcome, now), expected_version=attempt.version
        )
        note(tx, call, "dial not sent", now, detail=outcome.message)
        following = _new_attempt(call, attempt.number + 1, now, attempt.trunk_ref)
        attempts.insert_attempt(tx, following)
        note(tx, call, "dial requested", now, detail=f"attempt {following.number}")
    credential = services.credential(call.workspace_id, attempt.credential_id)
    request = _dial_request(services, credential, call, following, planned.request.extra)
    return replace(planned, attempt=following, request=request)


def settle(services: Services, attempt_id: str, outcome: DialOutcome) -> Call:
    """Write what is known after the POST. A webhook may have been faster: then what it proved stands (step 6, 7)."""
    now = services.clock()
    with services.store.transaction() as tx:
        attempt = attempts.load_attempt_for_update(tx, attempt_id)
        before = calls.load_call_for_update(tx, attempt.call_id)
        after = _SETTLERS[outcome.result](tx, services, attempt, before, outcome, now)
        if after is not before:
            quiet_at = None if after.status.is_final else UNSET
            after = calls.save_call(tx, after, expected_version=before.version, next_look_at=quiet_at)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    services.wake()
    return after


def _accepted(
    tx: Tx, services: Services, attempt: Attempt, call: Call, outcome: DialOutcome, now: datetime
) -> Call:
    ids = (*((outcome.leg_id,) if outcome.leg_id else ()), *outcome.other_ids)
    known = calls.list_legs(tx, call.id)
    if known and not set(ids) & set(known):
        return _ended_leg(tx, call, outcome, now, "a second leg for one dial")
    if not attempt.state.is_open and attempt.state is not AttemptState.ACCEPTED:
        return _ended_leg(tx, call, outcome, now, "a dial that had been given up")
    calls.bind_legs(tx, call.id, attempt.credential_id, ids)
    leg_id = attempt.leg_id or outcome.leg_id
    if attempt.state is not AttemptState.ACCEPTED:
        accepted = replace(_closed(attempt, AttemptState.ACCEPTED, outcome, now), leg_id=leg_id)
        attempts.save_attempt(tx, accepted, expected_version=attempt.version)
    note(tx, call, "dial accepted", now, outcome=EventOutcome.APPLIED)
    after = replace(
        call, leg_id=call.leg_id or outcome.leg_id, context=shown_context(call, dial=None), updated_at=now
    )
    if call.facts.hangup_requested is not None and not call.status.is_final:
        request_hang_up(tx, after, leg_id, now)  # it was cancelled while the POST was under way
    return after


def _ended_leg(tx: Tx, call: Call, outcome: DialOutcome, now: datetime, what: str) -> Call:
    """The answer names a leg that must not ring: of two for one dial the one known first stays (R8)."""
    note(tx, call, "dial accepted", now, outcome=EventOutcome.REFUSED, detail=f"{what}: it is ended")
    log.error("call %s: %s appeared; it is ended", call.id, what)
    request_hang_up(tx, call, outcome.leg_id, now)
    return call


def _rejected(
    tx: Tx, services: Services, attempt: Attempt, call: Call, outcome: DialOutcome, now: datetime
) -> Call:
    if attempt.state is AttemptState.ACCEPTED:
        note(
            tx,
            call,
            "dial refused",
            now,
            outcome=EventOutcome.REFUSED,
            detail="a webhook proved that it was placed",
        )
        return call
    attempts.save_attempt(
        tx, _closed(attempt, AttemptState.REJECTED, outcome, now), expected_version=attempt.version
    )
    note(tx, call, "dial refused", now, detail=outcome.message)
    return _ended(call, outcome.cause or EndCause.REQUEST_REFUSED, EndedBy.CARRIER, outcome, now)


def _not_sent(
    tx: Tx, services: Services, attempt: Attempt, call: Call, outcome: DialOutcome, now: datetime
) -> Call:
    if not attempt.state.is_open:
        return call
    attempts.save_attempt(
        tx, _closed(attempt, AttemptState.NOT_SENT, outcome, now), expected_version=attempt.version
    )
    note(tx, call, "dial not sent", now, detail=outcome.message)
    return _ended(call, call.facts.hangup_requested or EndCause.NOT_SENT, EndedBy.US, outcome, now)


def _unknown(
    tx: Tx, services: Services, attempt: Attempt, call: Call, outcome: DialOutcome, now: datetime
) -> Call:
    if not attempt.state.is_open:
        return call
    closed = _closed(attempt, AttemptState.UNKNOWN, outcome, now)
    unsettled = replace(closed, settled_at=None, next_look_at=now + FIRST_LOOK)
    attempts.save_attempt(tx, unsettled, expected_version=attempt.version)
    note(tx, call, "dial outcome unknown", now, detail=outcome.message)
    return replace(
        call,
        context=shown_context(call, dial="unconfirmed"),
        sequence=call.sequence + 1,
        updated_at=now,
    )


_SETTLERS: Final = {
    DialResult.ACCEPTED: _accepted,
    DialResult.REJECTED: _rejected,
    DialResult.NOT_SENT: _not_sent,
    DialResult.UNKNOWN: _unknown,
}


def _closed(attempt: Attempt, state: AttemptState, outcome: DialOutcome, now: datetime) -> Attempt:
    return replace(
        attempt,
        state=state,
        message=outcome.message or None,
        vendor_code=outcome.vendor_code,
        http_status=outcome.http_status,
        lease_until=None,
        next_look_at=None,
        settled_at=now,
    )


def _ended(call: Call, cause: EndCause, who: EndedBy, outcome: DialOutcome, now: datetime) -> Call:
    words = CarrierWords(cause=outcome.vendor_code or "", text=outcome.message)
    end = EndReport(cause=cause, ended_by=who, proves_answered=False, words=words)
    ended = fold(call, CallFacts(ends=(end,), ended_at=now), now)
    error = {"message": outcome.message, "code": outcome.vendor_code, "http_status": outcome.http_status}
    return replace(ended, context=shown_context(ended, last_error=error, dial=None))


def _check_variables(variables: Mapping[str, str]) -> None:
    for key, value in variables.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValidationError("variables", f"{str(key)[:40]!r}: names and values are strings")
    if len(json.dumps(dict(variables)).encode()) > _LARGEST_VARIABLES:
        raise ValidationError("variables", "at most 32 KiB together")


def _check_voicemail(settings: CallSettings) -> None:
    if settings.on_voicemail is OnVoicemail.CONTINUE:
        return
    if not settings.detects_machines:
        raise ValidationError("on_voicemail", 'needs voicemail_detection "detect"')
    if settings.on_voicemail is OnVoicemail.LEAVE_MESSAGE and not settings.voicemail_message:
        raise ValidationError("voicemail_message", 'is needed for on_voicemail "leave_message"')
