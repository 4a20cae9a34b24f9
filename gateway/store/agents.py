"""Agents: how to connect to them, their settings, their fallback chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import Agent, CallerIdStrategy
from gateway.store.codec import (
    clean_text,
    read_chain,
    read_connect,
    read_settings,
    write_chain,
    write_connect,
    write_settings,
)
from gateway.store.engine import Reader, Tx
from gateway.store.statements import upsert
from gateway.store.tables import agent, assignment
from gateway.store.workspaces import ensure_workspace

_c = agent.c
_CHANGED: Final = (
    "name",
    "connect",
    "settings",
    "fallback",
    "max_concurrent_calls",
    "caller_id_strategy",
    "updated_at",
)
_PUT: Final = upsert(
    agent,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["workspace_id", "id"], set_={name: statement.excluded[name] for name in _CHANGED}
    ),
)
_BY_ID: Final = select(agent).where(_c.workspace_id == bindparam("workspace_id"), _c.id == bindparam("id"))
_LOCK: Final = _BY_ID.with_for_update()
_LIST: Final = (
    select(agent).where(_c.workspace_id == bindparam("workspace_id")).order_by(_c.created_at, _c.id)
)
_TAKE_TURN: Final = (
    update(agent)
    .where(_c.workspace_id == bindparam("of_workspace"), _c.id == bindparam("of_agent"))
    .values(outbound_uses=_c.outbound_uses + 1)
    .returning(_c.outbound_uses)
)
_IS_ASSIGNED: Final = (
    select(assignment.c.id)
    .where(
        assignment.c.workspace_id == bindparam("workspace_id"),
        assignment.c.agent_id == bindparam("agent_id"),
    )
    .limit(1)
)
_DELETE: Final = delete(agent).where(_c.workspace_id == bindparam("workspace_id"), _c.id == bindparam("id"))


def put_agent(tx: Tx, new: Agent, *, at: datetime) -> None:
    """Add an agent, or replace the one of the same id; its workspace is made when it is new.

    A `connect` function is not kept: only that there was one (`codec.lost_function` is loaded in its place).
    """
    ensure_workspace(tx, new.workspace_id, at)
    tx.write(
        _PUT,
        {
            "workspace_id": new.workspace_id,
            "id": clean_text(new.id, 200),
            "name": clean_text(new.name, 200),
            "connect": write_connect(new.connect),
            "settings": write_settings(new.settings),
            "fallback": write_chain(new.fallback),
            "max_concurrent_calls": new.max_concurrent_calls,
            "caller_id_strategy": CallerIdStrategy(new.caller_id_strategy).value,
            "outbound_uses": 0,
            "created_at": at,
            "updated_at": at,
        },
    )


def load_agent(source: Reader, workspace_id: str, agent_id: str) -> Agent:
    """Return an agent. Raises NotFound."""
    found = find_agent(source, workspace_id, agent_id)
    if found is None:
        raise NotFound("agent", agent_id)
    return found


def find_agent(source: Reader, workspace_id: str, agent_id: str) -> Agent | None:
    """Return an agent, or None."""
    row = source.one(_BY_ID, {"workspace_id": workspace_id, "id": agent_id})
    return None if row is None else _agent(row)


def load_agent_for_update(tx: Tx, workspace_id: str, agent_id: str) -> Agent:
    """Return an agent, held until the transaction ends so that its live calls can be counted. Raises NotFound."""
    row = tx.one(_LOCK, {"workspace_id": workspace_id, "id": agent_id})
    if row is None:
        raise NotFound("agent", agent_id)
    return _agent(row)


def list_agents(source: Reader, workspace_id: str) -> list[Agent]:
    """Return the workspace's agents in the order in which they were first put."""
    return [_agent(row) for row in source.rows(_LIST, {"workspace_id": workspace_id})]


def remove_agent(tx: Tx, workspace_id: str, agent_id: str) -> None:
    """Remove an agent. Raises NotFound; Conflict while a number is assigned to it."""
    load_agent(tx, workspace_id, agent_id)
    if tx.one(_IS_ASSIGNED, {"workspace_id": workspace_id, "agent_id": agent_id}) is not None:
        raise Conflict(f"numbers are assigned to agent {agent_id!r}: unassign them first")
    tx.write(_DELETE, {"workspace_id": workspace_id, "id": agent_id})


def take_round_robin(tx: Tx, workspace_id: str, agent_id: str) -> int:
    """Return how many outbound calls the agent's rotation has served before this one (0, 1, 2 ...), and count this one.

    Raises:
        NotFound: no such agent.
    """
    row = tx.one(_TAKE_TURN, {"of_workspace": workspace_id, "of_agent": agent_id})
    if row is None:
        raise NotFound("agent", agent_id)
    return int(row.outbound_uses) - 1


def _agent(row: Row[Any]) -> Agent:
    return Agent(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        connect=read_connect(row.connect),
        settings=read_settings(row.settings),
        fallback=read_chain(row.fallback),
        max_concurrent_calls=row.max_concurrent_calls,
        caller_id_strategy=CallerIdStrategy(row.caller_id_strategy),
    )
