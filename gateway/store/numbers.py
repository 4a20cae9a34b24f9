"""Numbers and their assignments to agents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, bindparam, delete, insert, outerjoin, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import Assignment, Number
from gateway.status import Direction
from gateway.store.engine import Reader, Tx
from gateway.store.statements import insert_new
from gateway.store.tables import assignment, number
from gateway.store.workspaces import ensure_workspace

_n, _a = number.c, assignment.c
_INSERT: Final = insert_new(number)
_BY_ID: Final = select(number).where(_n.id == bindparam("id"))
_LOCK: Final = _BY_ID.with_for_update()
_BY_E164: Final = (
    select(number)
    .where(_n.workspace_id == bindparam("workspace_id"), _n.e164 == bindparam("e164"))
    .order_by(_n.created_at, _n.id)
)
_BY_CREDENTIAL: Final = _BY_E164.where(_n.credential_id == bindparam("credential_id"))
_LIST: Final = (
    select(number).where(_n.workspace_id == bindparam("workspace_id")).order_by(_n.created_at, _n.id)
)
_LIST_OF: Final = _LIST.where(_n.credential_id == bindparam("credential_id"))
_DELETE: Final = delete(number).where(_n.id == bindparam("id"))
_USED: Final = update(number).where(_n.id == bindparam("number_id")).values(last_used_at=bindparam("at"))

_ASSIGN: Final = insert(assignment)
_OF_NUMBER: Final = select(assignment).where(_a.number_id == bindparam("number_id")).order_by(_a.id)
_UNASSIGN: Final = delete(assignment).where(
    _a.number_id == bindparam("number_id"),
    _a.agent_id.in_(bindparam("agents", expanding=True)),
    _a.direction.in_(bindparam("directions", expanding=True)),
)
_ASSIGNMENTS: Final = (
    select(assignment, _n.e164)
    .join(number, _n.id == _a.number_id)
    .where(_a.workspace_id == bindparam("workspace_id"))
    .order_by(_a.id)
)
_INBOUND: Final = (
    select(number, _a.agent_id)
    .select_from(
        outerjoin(number, assignment, and_(_a.number_id == _n.id, _a.direction == Direction.INBOUND.value))
    )
    .where(_n.credential_id == bindparam("credential_id"), _n.e164 == bindparam("e164"))
)
_HOLDERS: Final = select(_n.credential_id).where(_n.e164 == bindparam("e164")).order_by(_n.created_at, _n.id)
_OUTBOUND: Final = (
    select(number)
    .join(assignment, _a.number_id == _n.id)
    .where(
        _a.workspace_id == bindparam("workspace_id"),
        _a.agent_id == bindparam("agent_id"),
        _a.direction == Direction.OUTBOUND.value,
    )
    .order_by(_a.id)
)


def insert_number(tx: Tx, new: Number) -> None:
    """Add a number to its credential. Raises Conflict when the credential has it already."""
    ensure_workspace(tx, new.workspace_id, new.created_at)
    values = {name: getattr(new, name) for name in _n.keys()}  # noqa: SIM118 - a column collection is no dict
    if not tx.write(_INSERT, values):
        raise Conflict(f"number …{new.e164[-4:]} is already here, under the same credential")


def load_number(source: Reader, number_id: str, *, workspace_id: str | None = None) -> Number:
    """Return a number. Raises NotFound, also for another workspace's."""
    row = source.one(_BY_ID, {"id": number_id})
    if row is None or workspace_id not in (None, row.workspace_id):
        raise NotFound("number", number_id)
    return _number(row)


def find_number(
    source: Reader, workspace_id: str, e164: str, *, credential_id: str | None = None
) -> Number | None:
    """Return the workspace's number, or None; of several credentials that hold it, the one added first."""
    values = {"workspace_id": workspace_id, "e164": e164}
    if credential_id is None:
        row = source.one(_BY_E164, values)
    else:
        row = source.one(_BY_CREDENTIAL, {**values, "credential_id": credential_id})
    return None if row is None else _number(row)


def list_numbers(source: Reader, workspace_id: str, *, credential_id: str | None = None) -> list[Number]:
    """Return the workspace's numbers in the order in which they were added."""
    if credential_id is None:
        return [_number(row) for row in source.rows(_LIST, {"workspace_id": workspace_id})]
    values = {"workspace_id": workspace_id, "credential_id": credential_id}
    return [_number(row) for row in source.rows(_LIST_OF, values)]


def remove_number(tx: Tx, number_id: str) -> None:
    """Forget a number. Raises NotFound; Conflict while it is assigned."""
    load_number(tx, number_id)
    if tx.one(_OF_NUMBER, {"number_id": number_id}) is not None:
        raise Conflict("the number is assigned: unassign it first")
    tx.write(_DELETE, {"id": number_id})


def mark_number_used(tx: Tx, number_id: str, at: datetime) -> None:
    """Note that the number was shown as caller ID now."""
    tx.write(_USED, {"number_id": number_id, "at": at})


# -- assignments ----------------------------------------------------------------------------------------------------


def assign(
    tx: Tx, number_id: str, agent_id: str, *, inbound: bool, outbound: bool, at: datetime
) -> list[Assignment]:
    """Point a number at an agent, in the directions that are True; what is assigned already stays.

    Returns:
        every assignment of the number to this agent.

    Raises:
        NotFound: no such number.
        Conflict: another agent takes the number's inbound calls, or there is no such agent in the workspace.
    """
    found = tx.one(_LOCK, {"id": number_id})
    if found is None:
        raise NotFound("number", number_id)
    held = tx.rows(_OF_NUMBER, {"number_id": number_id})
    wanted = [d for d, asked in ((Direction.INBOUND, inbound), (Direction.OUTBOUND, outbound)) if asked]
    for direction in wanted:
        _refuse_second_inbound(held, direction, agent_id)
        if not any((row.agent_id, row.direction) == (agent_id, direction.value) for row in held):
            values = {"number_id": number_id, "agent_id": agent_id, "direction": direction.value}
            tx.write(_ASSIGN, {**values, "workspace_id": found.workspace_id, "created_at": at})
    now = tx.rows(_OF_NUMBER, {"number_id": number_id})
    return [_assignment(row, found.e164) for row in now if row.agent_id == agent_id]


def unassign(
    tx: Tx, number_id: str, *, agent_id: str | None = None, direction: Direction | None = None
) -> list[Assignment]:
    """Take a number's assignments away: of one agent or of all, in one direction or in both.

    Returns:
        the assignments that were taken away. Raises NotFound.
    """
    e164 = load_number(tx, number_id).e164
    held = [
        row
        for row in tx.rows(_OF_NUMBER, {"number_id": number_id})
        if agent_id in (None, row.agent_id) and direction in (None, row.direction)
    ]
    agents, directions = [row.agent_id for row in held], [row.direction for row in held]
    tx.write(_UNASSIGN, {"number_id": number_id, "agents": agents, "directions": directions})
    return [_assignment(row, e164) for row in held]


def list_assignments(
    source: Reader, workspace_id: str, *, number_id: str | None = None, agent_id: str | None = None
) -> list[Assignment]:
    """Return the workspace's assignments in the order in which they were made."""
    return [
        _assignment(row, row.e164)
        for row in source.rows(_ASSIGNMENTS, {"workspace_id": workspace_id})
        if number_id in (None, row.number_id) and agent_id in (None, row.agent_id)
    ]


def inbound_agent(source: Reader, credential_id: str, e164: str) -> tuple[Number, str | None] | None:
    """Return the called number with the agent that takes its inbound calls (None: unassigned); None: not our number."""
    row = source.one(_INBOUND, {"credential_id": credential_id, "e164": e164})
    return None if row is None else (_number(row), row.agent_id)


def holders_of(source: Reader, e164: str) -> list[str]:
    """Return the ids of every credential, of any workspace, that holds the number."""
    return [row.credential_id for row in source.rows(_HOLDERS, {"e164": e164})]


def outbound_numbers(source: Reader, workspace_id: str, agent_id: str) -> list[Number]:
    """Return the numbers that the agent may call from, in the order in which they were assigned."""
    values = {"workspace_id": workspace_id, "agent_id": agent_id}
    return [_number(row) for row in source.rows(_OUTBOUND, values)]


def _refuse_second_inbound(held: Sequence[Row[Any]], direction: Direction, agent_id: str) -> None:
    for row in held:
        if direction is Direction.INBOUND and row.direction == direction.value and row.agent_id != agent_id:
            raise Conflict(f"agent {row.agent_id!r} takes this number's inbound calls: unassign it first")


def _number(row: Row[Any]) -> Number:
    return Number(
        id=row.id,
        workspace_id=row.workspace_id,
        credential_id=row.credential_id,
        provider=row.provider,
        e164=row.e164,
        country=row.country,
        area_code=row.area_code,
        carrier_ref=row.carrier_ref,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
    )


def _assignment(row: Row[Any], e164: str) -> Assignment:
    return Assignment(
        number_id=row.number_id, e164=e164, agent_id=row.agent_id, direction=Direction(row.direction)
    )
