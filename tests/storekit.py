"""Rows for the tests of the store: valid values, with what a test cares about said by keyword."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.ids import new_id, new_token
from gateway.instructions import Say, Stream
from gateway.models import (
    DEFAULT_WORKSPACE,
    Agent,
    Attempt,
    AttemptState,
    Call,
    Credential,
    EventOutcome,
    EventRecord,
    Number,
)
from gateway.status import CallStatus, Direction
from gateway.store import Store, agents, attempts, calls, credentials, events, numbers, steps
from gateway.store.rows import Action, ActionKind, Step
from gateway.store.workspaces import ensure_workspace

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CALLER = "+14155550100"
CALLEE = "+14155550123"


def a_credential(**said: Any) -> Credential:
    made = Credential(
        id=new_id(),
        workspace_id=DEFAULT_WORKSPACE,
        provider="twilio",
        name="main",
        key=new_token(),
        account_ref="AC1",
        created_at=T0,
    )
    return replace(made, **said)


def an_agent(**said: Any) -> Agent:
    return replace(Agent(id="support", connect=Stream("wss://agents.example.com/media")), **said)


def a_number(credential: Credential, **said: Any) -> Number:
    made = Number(
        id=new_id(),
        workspace_id=credential.workspace_id,
        credential_id=credential.id,
        provider=credential.provider,
        e164=CALLER,
        country="US",
        area_code="415",
        created_at=T0,
    )
    return replace(made, **said)


def a_call(credential: Credential | None = None, **said: Any) -> Call:
    made = Call(
        id=new_id(),
        workspace_id=DEFAULT_WORKSPACE,
        direction=Direction.OUTBOUND,
        status=CallStatus.QUEUED,
        to=CALLEE,
        from_number=CALLER,
        agent_id="support",
        credential_id=credential.id if credential else None,
        provider=credential.provider if credential else None,
        created_at=T0,
        updated_at=T0,
    )
    return replace(made, **said)


def an_attempt(call: Call, **said: Any) -> Attempt:
    made = Attempt(
        id=new_id(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        credential_id=call.credential_id or "",
        provider=call.provider or "",
        to=call.to,
        from_number=call.from_number,
        token=new_token(),
        command_id=new_id(),
        state=AttemptState.DIALING,
        lease_until=T0 + 30 * SECOND,
        created_at=T0,
    )
    return replace(made, **said)


def a_step(call: Call, **said: Any) -> Step:
    made = Step(
        token=new_token(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        position=0,
        instruction=Say("Hello"),
        created_at=T0,
    )
    return replace(made, **said)


def an_event(call: Call | None, **said: Any) -> EventRecord:
    made = EventRecord(
        id=new_id(),
        call_id=call.id if call else None,
        provider="twilio",
        name="ringing",
        source="webhook",
        outcome=EventOutcome.APPLIED,
        occurred_at=T0,
        received_at=T0,
    )
    return replace(made, **said)


def an_action(call: Call, **said: Any) -> Action:
    made = Action(
        id=new_id(),
        workspace_id=call.workspace_id,
        call_id=call.id,
        credential_id=call.credential_id or "",
        kind=ActionKind.HANG_UP,
        due_at=T0,
        created_at=T0,
    )
    return replace(made, **said)


def put_credential(store: Store, **said: Any) -> Credential:
    made = a_credential(**said)
    with store.transaction() as tx:
        credentials.insert_credential(tx, made, sealed="sealed")
    return made


def put_agent(store: Store, **said: Any) -> Agent:
    made = an_agent(**said)
    with store.transaction() as tx:
        agents.put_agent(tx, made, at=T0)
    return made


def put_number(store: Store, credential: Credential, **said: Any) -> Number:
    made = a_number(credential, **said)
    with store.transaction() as tx:
        numbers.insert_number(tx, made)
    return made


def put_call(store: Store, credential: Credential | None = None, **said: Any) -> Call:
    made = a_call(credential, **said)
    with store.transaction() as tx:
        ensure_workspace(tx, made.workspace_id, T0)
        calls.insert_call(tx, made)
    return made


def put_attempt(store: Store, call: Call, **said: Any) -> Attempt:
    made = an_attempt(call, **said)
    with store.transaction() as tx:
        attempts.insert_attempt(tx, made)
    return made


def put_step(store: Store, call: Call, **said: Any) -> Step:
    made = a_step(call, **said)
    with store.transaction() as tx:
        steps.insert_step(tx, made)
    return made


def put_event(store: Store, call: Call, *, event_id: str | None = None, **said: Any) -> EventRecord:
    made = an_event(call, **said)
    with store.transaction() as tx:
        events.add_event(
            tx, made, workspace_id=call.workspace_id, credential_id=call.credential_id, event_id=event_id
        )
    return made
