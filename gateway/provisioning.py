"""Use case: what is kept of accounts, numbers and agents, and how each is found again.

Bringing an account is in `gateway.crediting`, its numbers in `gateway.importing` and `gateway.buying`, pointing them at
agents in `gateway.assigning`, keeping them pointed in `gateway.checking`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from gateway import stepping
from gateway.errors import NotFound, ValidationError
from gateway.ids import new_id
from gateway.instructions import Connection, FallbackStep, NextAgent, Say
from gateway.models import DEFAULT_WORKSPACE, Agent, Credential, Number
from gateway.numbers import area_code_of, mask, parse_e164, region_of
from gateway.services import Services
from gateway.store import agents, credentials, numbers

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


# -- credentials ---------------------------------------------------------------------------------------------------


def find_credential(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> Credential:
    """Return the credential of that id, name or account. Raises NotFound, also when several have the name."""
    matching = [
        each
        for each in credentials.list_credentials(services.store, workspace_id)
        if ident in (each.id, each.name, each.account_ref)
    ]
    if len(matching) != 1:
        raise NotFound("credential" if not matching else "single credential named", ident)
    return services.credential(workspace_id, matching[0].id)


# -- numbers -------------------------------------------------------------------------------------------------------


def add_number(
    services: Services,
    e164: str,
    credential: str,
    *,
    carrier_ref: str | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Number:
    """Store a number of an account.

    Raises:
        InvalidNumber: not E.164. NotFound: no such credential. Conflict: the credential has the number already.
    """
    number = new_number(
        services.clock(),
        parse_e164(e164, "number"),
        find_credential(services, credential, workspace_id),
        carrier_ref,
    )
    with services.store.transaction() as tx:
        numbers.insert_number(tx, number)
    return number


def new_number(now: datetime, e164: str, credential: Credential, carrier_ref: str | None) -> Number:
    """Return a number of a credential, not stored yet."""
    return Number(
        id=new_id(),
        workspace_id=credential.workspace_id,
        credential_id=credential.id,
        provider=credential.provider,
        e164=e164,
        country=region_of(e164),
        area_code=area_code_of(e164),
        carrier_ref=carrier_ref,
        created_at=now,
    )


def find_number(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> Number:
    """Return the workspace's number of that id, or E.164. Raises InvalidNumber, NotFound."""
    if _ID.fullmatch(ident):
        return numbers.load_number(services.store, ident, workspace_id=workspace_id)
    wanted = parse_e164(ident, "number")
    number = numbers.find_number(services.store, workspace_id, wanted)
    if number is None:
        raise NotFound("number", mask(wanted))
    return number


# -- agents --------------------------------------------------------------------------------------------------------


def put_agent(services: Services, agent: Agent) -> Agent:
    """Add an agent or replace the one of the same id.

    Raises:
        ValidationError: a number or a host of its connection or fallback chain is not allowed.
    """
    if isinstance(agent.connect, Connection):
        stepping.check_connection(services, agent.connect)
    elif not callable(agent.connect):
        raise ValidationError(
            "connect", "give Stream, Sip, Forward, or a function of the call that returns one"
        )
    for step in agent.fallback:
        _check_step(services, agent, step)
    with services.store.transaction() as tx:
        agents.put_agent(tx, agent, at=services.clock())
    services.keep_function(agent)
    return agent


def remove_agent(services: Services, agent_id: str, workspace_id: str = DEFAULT_WORKSPACE) -> None:
    """Remove an agent; its calls stay. Raises NotFound; Conflict while a number is assigned to it."""
    with services.store.transaction() as tx:
        agents.remove_agent(tx, workspace_id, agent_id)


def _check_step(services: Services, agent: Agent, step: object) -> None:
    if isinstance(step, Connection):
        stepping.check_connection(services, step)
    elif not isinstance(step, FallbackStep):
        raise ValidationError(
            "fallback", "give NextAgent, Stream, Sip, Forward, Say, TakeMessage or Reject as its steps"
        )
    elif isinstance(step, NextAgent) and step.agent_id == agent.id:
        raise ValidationError("fallback", "an agent cannot be its own fallback")
    elif isinstance(step, Say) and not step.text.strip():
        raise ValidationError("fallback", "Say needs a text: the caller would hear silence")
