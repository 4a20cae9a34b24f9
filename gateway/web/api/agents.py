"""The routes of agents."""

from __future__ import annotations

from typing import Any, Final

from gateway.errors import ValidationError
from gateway.instructions import (
    Connection,
    FallbackStep,
    Forward,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import Agent, ApiKey, CallerIdStrategy, Scope
from gateway.showing import agent_document
from gateway.status import RejectAs
from gateway.web.api import schemas
from gateway.web.api.calls import settings_of
from gateway.web.api.operations import Api

_TAG: Final = "agents"


def add_agents(api: Api) -> None:
    """Add the routes of agents. Changing one decides who talks to callers, so it needs an admin's key."""
    gateway = api.gateway

    def list_agents(key: ApiKey) -> dict[str, Any]:
        """List the agents, in the order in which they were first put."""
        found = gateway.agents.list(workspace_id=key.workspace_id)
        return {"data": [agent_document(each) for each in found], "meta": api.meta()}

    def get_agent(key: ApiKey, path: schemas.AgentPath) -> dict[str, Any]:
        """Fetch an agent."""
        return agent_document(gateway.agents.get(path.id, workspace_id=key.workspace_id))

    def put_agent(key: ApiKey, path: schemas.AgentPath, body: schemas.AgentBody) -> dict[str, Any]:
        """Add an agent, or replace the one of the same id as a whole."""
        if body.id not in (None, path.id):
            raise ValidationError("id", "is not the id of the path")
        agent = Agent(
            id=path.id,
            name=body.name,
            connect=_connection(body.connect),
            settings=settings_of(body.settings),
            fallback=tuple(_step(each) for each in body.fallback),
            max_concurrent_calls=body.max_concurrent_calls,
            caller_id_strategy=CallerIdStrategy(body.caller_id_strategy),
            workspace_id=key.workspace_id,
        )
        return agent_document(gateway.agents.put(agent))

    def delete_agent(key: ApiKey, path: schemas.AgentPath) -> None:
        """Delete an agent to which no number is assigned."""
        gateway.agents.remove(path.id, workspace_id=key.workspace_id)

    one = f"/agents/{api.rest('id')}"
    api.add("GET", "/agents", list_agents, scope=Scope.CALLS_READ, answer=schemas.AgentList, tag=_TAG)
    api.add("GET", one, get_agent, scope=Scope.CALLS_READ, answer=schemas.Agent, tag=_TAG)
    api.add("PUT", one, put_agent, scope=Scope.ADMIN, answer=schemas.Agent, tag=_TAG)
    api.add("DELETE", one, delete_agent, scope=Scope.ADMIN, answer=None, status=204, errors=(409,), tag=_TAG)


def _connection(body: schemas.StreamStep | schemas.SipStep | schemas.ForwardStep) -> Connection:
    if isinstance(body, schemas.StreamStep):
        return Stream(body.url, body.parameters)
    if isinstance(body, schemas.SipStep):
        return Sip(body.uri)
    return Forward(body.number, body.caller_id)


def _step(body: schemas.FallbackBody) -> FallbackStep:
    if isinstance(body, schemas.AgentStep):
        return NextAgent(body.agent_id)
    if isinstance(body, schemas.SayStep):
        return Say(body.text, body.language)
    if isinstance(body, schemas.MessageStep):
        return TakeMessage(body.prompt, body.max_length_s, body.language)
    if isinstance(body, schemas.RejectStep):
        return Reject(RejectAs(body.reason))
    return _connection(body)
