"""Use case: bring an account, its numbers and the agents they serve.

Here: credentials (shape-checked, sealed, checked live when asked), numbers and their assignments, agents. Setting and
watching what the carrier has on its side belongs here too and comes with BYOC set-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway import registry, stepping
from gateway.errors import NotFound, ValidationError
from gateway.ids import new_id, new_token
from gateway.instructions import Connection, FallbackStep, NextAgent, Say
from gateway.interface import AccountInfo
from gateway.models import DEFAULT_WORKSPACE, Agent, Assignment, Credential, Number
from gateway.numbers import area_code_of, mask, parse_e164, region_of
from gateway.services import Services
from gateway.status import Direction
from gateway.store import agents, credentials, numbers

_LONGEST_NAME: Final = 200


# -- credentials ---------------------------------------------------------------------------------------------------


def add_credential(
    services: Services,
    provider: str,
    secrets: Mapping[str, str],
    *,
    name: str = "",
    exclusive: bool = True,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Credential:
    """Check the shape of the secrets, seal them and store them.

    Raises:
        ConfigurationError: no such provider, a secret is absent or unknown. ValidationError: a malformed secret.
    """
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValidationError("name", f"give at most {_LONGEST_NAME} printable characters")
    if not isinstance(exclusive, bool):
        raise ValidationError("exclusive", "give true or false; a secret of that name goes into `secrets`")
    kind = registry.provider_class(provider)
    adapter = kind(secrets)
    kind.check_secrets(secrets)
    credential = Credential(
        id=new_id(),
        workspace_id=workspace_id,
        provider=provider,
        name=name or provider,
        key=new_token(),
        account_ref=adapter.account_ref,
        secrets=dict(secrets),
        exclusive=exclusive,
        created_at=services.clock(),
    )
    sealed = services.vault.seal(secrets, workspace_id=workspace_id, row_id=credential.id)
    with services.store.transaction() as tx:
        credentials.insert_credential(tx, credential, sealed=sealed)
    return credential


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


def check_credential(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> AccountInfo:
    """Ask the carrier who the account is, with one harmless read. Raises NotFound, ProviderError."""
    credential = find_credential(services, ident, workspace_id)
    return services.provider_of(credential).check_account()


def remove_credential(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> None:
    """Remove a credential and erase its secrets. Raises NotFound; Conflict while its numbers are assigned."""
    credential = find_credential(services, ident, workspace_id)
    with services.store.transaction() as tx:
        credentials.remove_credential(tx, credential.id, workspace_id=workspace_id, at=services.clock())


# -- numbers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportVerdict:
    """What an import did with one number of the account: "imported", "already here" or "no voice"."""

    e164: str = field(repr=False)
    verdict: str


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
    number = _new_number(
        services.clock(),
        parse_e164(e164, "number"),
        find_credential(services, credential, workspace_id),
        carrier_ref,
    )
    with services.store.transaction() as tx:
        numbers.insert_number(tx, number)
    return number


def import_numbers(
    services: Services, credential: str, workspace_id: str = DEFAULT_WORKSPACE
) -> list[ImportVerdict]:
    """Store every voice number of an account, paged to the end; one verdict a number. Raises ProviderError."""
    found = find_credential(services, credential, workspace_id)
    held = {
        number.e164 for number in numbers.list_numbers(services.store, workspace_id, credential_id=found.id)
    }
    verdicts = []
    for listed in services.provider_of(found).list_numbers():
        verdict = (
            "no voice" if not listed.has_voice else "already here" if listed.e164 in held else "imported"
        )
        if verdict == "imported":
            with services.store.transaction() as tx:
                numbers.insert_number(
                    tx, _new_number(services.clock(), listed.e164, found, listed.carrier_ref)
                )
            held.add(listed.e164)
        verdicts.append(ImportVerdict(e164=listed.e164, verdict=verdict))
    return verdicts


def _new_number(now: datetime, e164: str, credential: Credential, carrier_ref: str | None) -> Number:
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


def find_number(services: Services, e164: str, workspace_id: str = DEFAULT_WORKSPACE) -> Number:
    """Return the workspace's number. Raises InvalidNumber, NotFound."""
    wanted = parse_e164(e164, "number")
    number = numbers.find_number(services.store, workspace_id, wanted)
    if number is None:
        raise NotFound("number", mask(wanted))
    return number


def assign_number(
    services: Services,
    e164: str,
    agent: str,
    *,
    inbound: bool = False,
    outbound: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[Assignment]:
    """Let a number serve an agent, in one direction or both; at most one agent takes a number's inbound calls.

    Raises:
        NotFound: no such number or agent. Conflict: another agent takes the inbound calls.
        ValidationError: no direction.
    """
    if not inbound and not outbound:
        raise ValidationError("direction", "say inbound, outbound or both")
    number = find_number(services, e164, workspace_id)
    agents.load_agent(services.store, workspace_id, agent)
    with services.store.transaction() as tx:
        return numbers.assign(tx, number.id, agent, inbound=inbound, outbound=outbound, at=services.clock())


def unassign_number(
    services: Services,
    e164: str,
    *,
    agent: str | None = None,
    direction: Direction | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[Assignment]:
    """Take a number away from its agents: from one or all, in one direction or both. Raises NotFound."""
    number = find_number(services, e164, workspace_id)
    with services.store.transaction() as tx:
        return numbers.unassign(tx, number.id, agent_id=agent, direction=direction)


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
