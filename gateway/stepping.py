"""The steps of a live call: which instruction is current, what follows it, and how it is handed to the carrier.

The store keeps one row a step; the highest position is the current one. A step is written in the transaction that
decided it and rendered afterwards, so a repeat of the question, a restart or another worker renders the same step
again, with the same stream token.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from gateway import guards
from gateway.errors import GatewayError, ValidationError
from gateway.folding import fold
from gateway.ids import new_token
from gateway.instructions import (
    Connection,
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.interface import CallbackUrls, Capabilities, Hook, LiveCall
from gateway.journaling import note
from gateway.models import Call, Credential, EventOutcome
from gateway.numbers import parse_e164
from gateway.publishing import publish
from gateway.routing import Candidate, Chain, Chosen, choose_step
from gateway.services import ConnectFunction, Services
from gateway.status import CallFacts, Direction, EndCause
from gateway.store import Tx, calls, steps
from gateway.store.rows import Step, StepState

log = logging.getLogger(__name__)

STREAM_TOKEN_LIFE: Final = timedelta(seconds=60)
_ASK_TIMEOUT_S: Final = (
    2.0  # R95: a caller hears something within two seconds, whatever the agent's own code does
)
_asking: Final = ThreadPoolExecutor(max_workers=16, thread_name_prefix="gateway-connect")


def take_next(
    services: Services, tx: Tx, call: Call, chain: Chain, current: Step | None, now: datetime
) -> tuple[Call, Step]:
    """Write the next step of the call and return it with the call as it then is (not saved yet).

    `current` is the step it takes the place of, already closed by the caller; None at the beginning.
    """
    chosen = choose_step(
        chain,
        is_answered=_is_answered(call, current),
        has_spoken=_has_spoken(current),
        direction=call.direction,
        find_agent=lambda agent_id: _candidate(services, tx, call, agent_id),
        unavailable_text=services.settings.unavailable_message,
    )
    for reason in chosen.skipped:
        note(tx, call, "step skipped", now, detail=reason, outcome=EventOutcome.REFUSED)
    return _write_step(services, tx, call, chosen, current, now)


def _write_step(
    services: Services, tx: Tx, call: Call, chosen: Chosen, current: Step | None, now: datetime
) -> tuple[Call, Step]:
    if isinstance(chosen.instruction, Reject):
        call = fold(call, CallFacts(rejected_as=chosen.instruction.reason), now)
    elif isinstance(chosen.instruction, HangUp):
        call = fold(call, CallFacts(hangup_requested=EndCause.HUNG_UP), now)
    elif chosen.is_last and isinstance(chosen.instruction, Say | TakeMessage | LeaveMessage):
        call = fold(call, CallFacts(ends_by_itself=True), now)
    step = Step(
        token=new_token(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        position=0 if current is None else current.position + 1,
        instruction=chosen.instruction or NextAgent(chosen.agent_id or ""),
        remaining=chosen.rest,
        tried_agents=_tried(current),
        agent_id=chosen.agent_id,
        created_at=now,
    )
    step = _with_stream(services, call, step, now)
    steps.insert_step(tx, step)
    note(tx, call, "step", now, detail=describe(step))
    if chosen.agent_id is not None and chosen.agent_id != call.agent_id:
        call = replace(call, agent_id=chosen.agent_id, sequence=call.sequence + 1, updated_at=now)
    return call, step


def _tried(current: Step | None) -> tuple[str, ...]:
    """Who was connected before, or tried to be: agents by id, other connections by their kind."""
    if current is None:
        return ()
    if not isinstance(current.instruction, Connection) or current.state is StepState.SUPERSEDED:
        return current.tried_agents
    return (*current.tried_agents, current.agent_id or type(current.instruction).__name__)


def _with_stream(services: Services, call: Call, step: Step, now: datetime) -> Step:
    """Add what a stream needs: until when the agent must have joined, and the hash of its one-use token (R26)."""
    if not isinstance(step.instruction, Stream):
        return step
    patience = timedelta(seconds=call.settings.join_timeout_s)
    return replace(
        step,
        join_deadline=now + patience,
        stream_token_hash=hashlib.sha256(stream_token(services, step.token).encode()).hexdigest(),
        stream_expires_at=now + max(STREAM_TOKEN_LIFE, patience),
    )


def stream_token(services: Services, step_token: str) -> str:
    """Return the one-use token of a stream step. Derived, so that rendering a step again gives the same one."""
    return services.vault.derive(b"stream token", step_token)


def describe(step: Step) -> str:
    """Return a step in one line for the timeline: no token, no whole number."""
    name = type(step.instruction).__name__
    return f"{name} to agent {step.agent_id}" if step.agent_id else name


def take_over(
    services: Services, tx: Tx, call: Call, instruction: Instruction, now: datetime
) -> tuple[Call, Step]:
    """Put `instruction` in the place of whatever the call is doing; nothing follows it."""
    current = steps.current_step(tx, call.id)
    if current is not None and current.state.is_open:
        steps.set_step_state(tx, current.token, StepState.SUPERSEDED)
    chosen = Chosen(instruction=instruction, has_spoken=True)
    return _write_step(services, tx, call, chosen, current, now)


def _candidate(services: Services, tx: Tx, call: Call, agent_id: str) -> Candidate | None:
    agent = services.agent(call.workspace_id, agent_id, tx)
    if agent is None:
        return None
    if agent.max_concurrent_calls is None:
        return Candidate(agent=agent, live_calls=0)
    others = calls.count_live_calls(tx, call.workspace_id, agent_id, except_call_id=call.id)
    return Candidate(agent=agent, live_calls=others)


def _is_answered(call: Call, current: Step | None) -> bool:
    """A first instruction other than Reject answers the call, whether or not the carrier has told us yet."""
    return call.facts.answered or call.direction is not Direction.INBOUND or current is not None


def _has_spoken(current: Step | None) -> bool:
    if current is None:
        return False
    if isinstance(current.instruction, Say):
        return current.state not in (StepState.FAILED, StepState.SUPERSEDED)
    return isinstance(current.instruction, TakeMessage | LeaveMessage) or current.state is StepState.JOINED


# -- from a step to what the carrier is told -----------------------------------------------------------------------


def settle_connection(services: Services, call: Call, step: Step) -> tuple[Call, Step]:
    """Return the call and its current step with a connection to carry out.

    An agent whose `connect` is a function is asked now, outside any transaction, for two seconds at most. One that
    fails, hangs or answers with something that is not allowed is passed over.
    """
    while isinstance(step.instruction, NextAgent):
        connection = _ask(services, call, step)
        now = services.clock()
        with services.store.transaction() as tx:
            before = call = calls.load_call_for_update(tx, call.id)
            latest = steps.current_step(tx, call.id)
            if latest is None or latest.token != step.token or not isinstance(latest.instruction, NextAgent):
                step = latest or step
                continue
            if connection is not None:
                step = _with_stream(services, call, replace(step, instruction=connection), now)
                steps.set_step_connection(tx, step)
                steps.set_step_state(tx, step.token, StepState.STARTED)
                note(tx, call, "step", now, detail=describe(step))
                continue
            note(
                tx,
                call,
                "agent did not say how to connect",
                now,
                detail=f"agent {step.agent_id}",
                outcome=EventOutcome.REFUSED,
            )
            call, step = _pass_over(services, tx, call, step, now)
            fired = publish(tx, before, call, now)
        services.notifier.fire(fired)
    return call, step


def pass_over(services: Services, call: Call, step: Step, reason: str) -> tuple[Call, Step]:
    """Give up a step that the carrier has no way to carry out; return the call and what is current then."""
    now = services.clock()
    with services.store.transaction() as tx:
        before = after = calls.load_call_for_update(tx, call.id)
        latest = steps.current_step(tx, call.id) or step
        if latest.token == step.token:
            note(tx, before, "step skipped", now, detail=reason, outcome=EventOutcome.REFUSED)
            after, latest = _pass_over(services, tx, before, latest, now)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    return after, latest


def _pass_over(services: Services, tx: Tx, call: Call, step: Step, now: datetime) -> tuple[Call, Step]:
    """Close a step that nobody heard; what follows is handed over in its place, in answer to the same question."""
    call, following = advance(services, tx, call, step, StepState.SUPERSEDED, now)
    if not isinstance(following.instruction, NextAgent):
        steps.set_step_state(tx, following.token, StepState.STARTED)
        following = replace(following, state=StepState.STARTED)
    return call, following


def advance(
    services: Services, tx: Tx, call: Call, step: Step, outcome: StepState, now: datetime
) -> tuple[Call, Step]:
    """Close a step, write the next one, and save the call when it changed."""
    after, following = advance_in(services, tx, call, step, outcome, now)
    if after is not call:
        after = calls.save_call(tx, after, expected_version=call.version)
    return after, following


def advance_in(
    services: Services, tx: Tx, call: Call, step: Step, outcome: StepState, now: datetime
) -> tuple[Call, Step]:
    """Close a step and write the next one; the call is left to the caller to save."""
    steps.set_step_state(tx, step.token, outcome)
    is_finished = _is_finished(step, outcome)
    # Somebody was there: a hang-up, not an apology, follows.
    closed = replace(step, state=StepState.JOINED if is_finished else outcome)
    return take_next(services, tx, call, () if is_finished else step.remaining, closed, now)


def _is_finished(step: Step, outcome: StepState) -> bool:
    """Whether the conversation is over: somebody had been connected by this step."""
    if outcome is not StepState.OVER or not isinstance(step.instruction, Connection):
        return False
    return step.state is StepState.JOINED or not isinstance(step.instruction, Stream)


def _ask(services: Services, call: Call, step: Step) -> Connection | None:
    agent = services.agent(call.workspace_id, step.agent_id or "")
    if agent is None:
        return None
    if isinstance(agent.connect, Connection):
        return agent.connect
    connect: ConnectFunction = agent.connect
    future: Future[Connection] = _asking.submit(connect, call)
    try:
        return check_connection(services, future.result(timeout=_ASK_TIMEOUT_S))
    except TimeoutError:
        future.cancel()
        log.warning("the connect function of agent %s took more than %s s", step.agent_id, _ASK_TIMEOUT_S)
    except GatewayError as error:
        log.warning("the connect function of agent %s gave nothing usable: %s", step.agent_id, error)
    except Exception:  # the agent's own code: the caller goes on to the next step of the chain
        log.exception("the connect function of agent %s raised", step.agent_id)
    return None


def check_connection(services: Services, connection: object) -> Connection:
    """Return the connection when it may be used (R70, R71, R93).

    Raises:
        ValidationError: not a connection, or a host or number that is not allowed; DialRefused, InvalidNumber.
    """
    if not isinstance(connection, Connection):
        raise ValidationError("connect", "give Stream, Sip or Forward")
    if isinstance(connection, Forward):
        guards.check_destination(connection.number, services.settings.allowed_countries, "forward number")
        if connection.caller_id is not None:
            parse_e164(connection.caller_id, "forward caller_id")
    if isinstance(connection, Sip):
        guards.check_sip_user(connection.uri)
    if isinstance(connection, Stream):
        check_stream_host(connection, services.settings.allowed_stream_hosts)
    return connection


def check_stream_host(stream: Stream, allowed: tuple[str, ...]) -> None:
    """Refuse a media socket on a host that is not configured; an empty list allows every host."""
    host = urlsplit(stream.url).hostname or ""
    if allowed and host not in allowed:
        raise ValidationError(
            "stream url", f"host {host!r} is not allowed (allowed_stream_hosts: {', '.join(allowed)})"
        )


def rendered(
    services: Services, call: Call, credential: Credential, step: Step, attempt_token: str | None
) -> tuple[LiveCall, Instruction]:
    """Return what the adapter's `answer` is given for a step. Pure but for the vault's key."""
    urls: CallbackUrls = services.urls.of_call(credential.key, attempt_token)
    instruction = step.instruction
    if isinstance(instruction, NextAgent):
        raise ValidationError("step", "has no connection yet")
    if isinstance(instruction, Stream):
        instruction = Stream(instruction.url, _stream_parameters(services, call, step, instruction))
    live = LiveCall(
        call_id=call.id,
        leg_id=call.leg_id or "",
        direction=call.direction,
        answered=call.facts.answered,
        to=call.to,
        from_number=call.from_number,
        step_token=step.token,
        next_url=services.urls.hook(credential.key, Hook.NEXT, step.token),
        status_url=urls.status,
        recording_url=urls.recording,
        events_url=urls.events,
        attempt_token=attempt_token,
        caller_id=_shown_caller(call, instruction),
        join_timeout_s=call.settings.join_timeout_s,
        max_duration_s=call.settings.max_duration_s,
        record=_starts_recording(call, step, services.provider_of(credential).capabilities),
        is_last=not step.remaining,
    )
    return live, instruction


def _stream_parameters(services: Services, call: Call, step: Step, stream: Stream) -> dict[str, str]:
    ours = {
        "call_id": call.id,
        "agent_id": step.agent_id or call.agent_id or "",
        "token": stream_token(services, step.token),
    }
    return {**stream.parameters, **ours}


def _shown_caller(call: Call, instruction: Instruction) -> str | None:
    """A forwarded call shows our own number of the call: no carrier accepts a number that the account does not hold."""
    if isinstance(instruction, Forward) and instruction.caller_id:
        return instruction.caller_id
    return call.to if call.direction is Direction.INBOUND else call.from_number


def _starts_recording(call: Call, step: Step, capabilities: Capabilities) -> bool:
    """The first connection of a call starts its recording, unless the dial did that already."""
    wanted = bool(call.settings.recording_enabled) and records_with_connection(call, capabilities)
    return wanted and isinstance(step.instruction, Connection) and not step.tried_agents


def records_with_connection(call: Call, capabilities: Capabilities) -> bool:
    """Whether the first connection of a call starts its recording, not the dial."""
    return call.direction is Direction.INBOUND or not capabilities.records_from_dial
