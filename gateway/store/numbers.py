"""Numbers and their assignments to agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    outerjoin,
    select,
    update,
)

from gateway.byoc import Difference
from gateway.errors import Conflict, NotFound
from gateway.models import Assignment, Number, NumberKind, SetupState
from gateway.status import Direction
from gateway.store.codec import clean_text, read_json, read_value, write_json, write_value
from gateway.store.engine import Reader, Tx
from gateway.store.paging import read_cursor, write_cursor
from gateway.store.rows import NumberPage
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
_THIS: Final = update(number).where(_n.id == bindparam("number_id"))
_USED: Final = _THIS.values(last_used_at=bindparam("at"))
_SETUP_FIELDS: Final = ("setup_state", "before", "pointed_at", "carrier_ref")
_SAVE_SETUP: Final = _THIS.values({name: bindparam(f"new_{name}") for name in _SETUP_FIELDS})
_FOUND_FIELDS: Final = ("differences", "is_drifted", "checked_at")
_SAVE_FOUND: Final = _THIS.values({name: bindparam(f"new_{name}") for name in _FOUND_FIELDS})
_CHECK_AT: Final = _THIS.values(next_check_at=bindparam("at", type_=_n.next_check_at.type))
_SAVE_TRUNK: Final = (
    update(number).where(_n.sip_link_id == bindparam("link_id")).values(trunk_ref=bindparam("ref"))
)
_DUE: Final = (
    select(number)
    .where(_n.next_check_at <= bindparam("now", type_=_n.next_check_at.type))
    .order_by(_n.next_check_at, _n.id)
    .limit(bindparam("at_most"))
)
_DUE_OF: Final = _DUE.where(_n.credential_id == bindparam("credential_id")).with_for_update(skip_locked=True)
_WATCHED: Final = (
    select(number)
    .where(
        _n.workspace_id == bindparam("workspace_id"),
        or_(_n.setup_state != SetupState.NONE.value, exists().where(assignment.c.number_id == _n.id)),
    )
    .order_by(_n.created_at, _n.id)
)

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
_HOLDING_WORKSPACES: Final = select(_n.e164, _n.workspace_id).where(
    _n.e164.in_(bindparam("numbers", expanding=True))
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
    if not insert_numbers(tx, [new]):
        raise Conflict(f"number …{new.e164[-4:]} is already here, under the same credential")


_PLAIN_FIELDS: Final = (
    "id",
    "workspace_id",
    "credential_id",
    "provider",
    "e164",
    "country",
    "area_code",
    "carrier_ref",
    "created_at",
    "sip_link_id",
    "trunk_ref",
)


def insert_numbers(tx: Tx, new: Sequence[Number]) -> int:
    """Add numbers; return how many were not there yet."""
    if not new:
        return 0
    ensure_workspace(tx, new[0].workspace_id, new[0].created_at)
    added = 0
    for each in new:
        values = {name: getattr(each, name) for name in _PLAIN_FIELDS}
        added += tx.write(_INSERT, {**values, "kind": each.kind.value})
    return added


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


@cache
def _page(names: frozenset[str]) -> Select[Any]:
    """Return the query of a page of numbers with these filters; they are few, so each is built once."""
    is_ours = and_(assignment.c.number_id == _n.id)
    conditions = {
        "credential_id": _n.credential_id == bindparam("credential_id"),
        "country": _n.country == bindparam("country"),
        "is_drifted": _n.is_drifted == bindparam("is_drifted"),
        "agent_id": exists().where(is_ours, assignment.c.agent_id == bindparam("agent_id")),
        "direction": exists().where(is_ours, assignment.c.direction == bindparam("direction")),
        "both": exists().where(
            is_ours,
            assignment.c.agent_id == bindparam("agent_id"),
            assignment.c.direction == bindparam("direction"),
        ),
        "after": or_(
            _n.created_at > bindparam("after_at", type_=_n.created_at.type),
            and_(
                _n.created_at == bindparam("after_at", type_=_n.created_at.type),
                _n.id > bindparam("after_id"),
            ),
        ),
    }
    if {"agent_id", "direction"} <= names:  # one assignment must meet both
        names = names - {"agent_id", "direction"} | {"both"}
    return select(number).where(
        _n.workspace_id == bindparam("workspace_id"), *(conditions[name] for name in sorted(names))
    )


@cache
def _list_page(names: frozenset[str]) -> Select[Any]:
    return _page(names).order_by(_n.created_at, _n.id).limit(bindparam("at_most"))


@cache
def _count_page(names: frozenset[str]) -> Select[Any]:
    return select(func.count().label("found")).select_from(_page(names).subquery())


def page_numbers(
    source: Reader,
    workspace_id: str,
    *,
    credential_id: str | None = None,
    agent_id: str | None = None,
    direction: Direction | None = None,
    country: str | None = None,
    is_drifted: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> NumberPage:
    """Return one page of the workspace's numbers in the order in which they were added, and how many there are.

    Raises:
        ValidationError: the cursor is not one of ours, or belongs to other filters.
    """
    said = {
        "credential_id": credential_id,
        "agent_id": agent_id,
        "direction": direction.value if direction else None,
        "country": country,
        "is_drifted": is_drifted,
    }
    filters = {name: value for name, value in said.items() if value is not None}
    values: dict[str, Any] = {**filters, "workspace_id": workspace_id}
    total = source.rows(_count_page(frozenset(filters)), values)[0].found
    names = frozenset(filters)
    if cursor is not None:
        at, ident = read_cursor(cursor, {**filters, "workspace": workspace_id})
        values |= {"after_at": at, "after_id": ident}
        names |= {"after"}
    rows = source.rows(_list_page(names), {**values, "at_most": limit + 1})
    found = [_number(row) for row in rows[:limit]]
    more = len(rows) > limit
    following = (
        write_cursor(found[-1].created_at, found[-1].id, {**filters, "workspace": workspace_id})
        if more
        else None
    )
    return NumberPage(numbers=tuple(found), total=total, next_cursor=following)


def watched_numbers(source: Reader, workspace_id: str) -> list[Number]:
    """Return the workspace's numbers that are assigned, or of which something stands at the carrier."""
    return [_number(row) for row in source.rows(_WATCHED, {"workspace_id": workspace_id})]


def remove_number(tx: Tx, number_id: str) -> None:
    """Forget a number. Raises NotFound; Conflict while it is assigned, or points at us at its carrier."""
    found = load_number_for_update(tx, number_id)
    if tx.one(_OF_NUMBER, {"number_id": number_id}) is not None:
        raise Conflict("the number is assigned: unassign it first")
    if found.setup_state is not SetupState.NONE:
        raise Conflict("the number's settings at the carrier are not put back yet: repair it first")
    tx.write(_DELETE, {"id": number_id})


def load_number_for_update(tx: Tx, number_id: str) -> Number:
    """Return a number, locked until the transaction ends. Raises NotFound."""
    row = tx.one(_LOCK, {"id": number_id})
    if row is None:
        raise NotFound("number", number_id)
    return _number(row)


def save_setup(tx: Tx, changed: Number) -> None:
    """Keep how far the number points at us, and what was there before. Raises NotFound when it is gone."""
    values = {
        "number_id": changed.id,
        "new_setup_state": changed.setup_state.value,
        "new_before": None if changed.before is None else write_json(changed.before),
        "new_pointed_at": None if changed.pointed_at is None else clean_text(changed.pointed_at, 1000),
        "new_carrier_ref": changed.carrier_ref,
    }
    if not tx.write(_SAVE_SETUP, values):
        raise NotFound("number", changed.id)


def save_found(tx: Tx, number_id: str, differences: Sequence[Difference], at: datetime) -> None:
    """Keep what a look at the carrier found; nothing happens when the number is gone by now."""
    values = {
        "number_id": number_id,
        "new_differences": write_value(_Found(differences=tuple(differences))),
        "new_is_drifted": bool(differences),
        "new_checked_at": at,
    }
    tx.write(_SAVE_FOUND, values)


def schedule_check(tx: Tx, number_id: str, at: datetime | None) -> None:
    """Say when the carrier is to be asked about the number next; None: never."""
    tx.write(_CHECK_AT, {"number_id": number_id, "at": at})


def save_trunk(tx: Tx, link_id: str, trunk_ref: str | None) -> None:
    """Keep what dials from the numbers of a SIP link must name."""
    tx.write(_SAVE_TRUNK, {"link_id": link_id, "ref": trunk_ref})


def claim_due_checks(tx: Tx, now: datetime, next_at: datetime, limit: int) -> list[Number]:
    """Claim the numbers of one account that are due to be checked, by putting off their next check."""
    first = tx.one(_DUE, {"now": now, "at_most": 1})
    if first is None:
        return []
    rows = tx.rows(_DUE_OF, {"now": now, "at_most": limit, "credential_id": first.credential_id})
    for row in rows:
        schedule_check(tx, row.id, next_at)
    return [_number(row) for row in rows]


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


def holding_workspaces(source: Reader, e164s: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return the workspaces that hold each of these numbers; a number that nobody holds is left out."""
    found: dict[str, set[str]] = {}
    for row in source.rows(_HOLDING_WORKSPACES, {"numbers": list(e164s)}):
        found.setdefault(row.e164, set()).add(row.workspace_id)
    return {e164: frozenset(ids) for e164, ids in found.items()}


def outbound_numbers(source: Reader, workspace_id: str, agent_id: str) -> list[Number]:
    """Return the numbers that the agent may call from, in the order in which they were assigned."""
    values = {"workspace_id": workspace_id, "agent_id": agent_id}
    return [_number(row) for row in source.rows(_OUTBOUND, values)]


def _refuse_second_inbound(held: Sequence[Row[Any]], direction: Direction, agent_id: str) -> None:
    for row in held:
        if direction is Direction.INBOUND and row.direction == direction.value and row.agent_id != agent_id:
            raise Conflict(f"agent {row.agent_id!r} takes this number's inbound calls: unassign it first")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is stored of the last look at the carrier."""

    differences: tuple[Difference, ...] = ()


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
        kind=NumberKind(row.kind),
        setup_state=SetupState(row.setup_state),
        before=None if row.before is None else read_json(row.before),
        pointed_at=row.pointed_at,
        checked_at=row.checked_at,
        next_check_at=row.next_check_at,
        differences=read_value(_Found, row.differences).differences,
        is_drifted=row.is_drifted,
        sip_link_id=row.sip_link_id,
        trunk_ref=row.trunk_ref,
    )


def _assignment(row: Row[Any], e164: str) -> Assignment:
    return Assignment(
        number_id=row.number_id, e164=e164, agent_id=row.agent_id, direction=Direction(row.direction)
    )
