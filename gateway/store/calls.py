"""Calls, the carrier's ids of their legs, lists and statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    Text,
    Update,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    type_coerce,
    union_all,
    update,
)

from gateway.errors import Conflict, NotFound
from gateway.models import AnalysisSummary, Call
from gateway.status import CallStatus, Cost, Direction, was_answered
from gateway.store.codec import (
    clean_text,
    read_end_reason,
    read_facts,
    read_json,
    read_settings,
    write_end_reason,
    write_facts,
    write_json,
    write_settings,
)
from gateway.store.engine import PerDialect, Reader, Tx
from gateway.store.paging import read_cursor, write_cursor
from gateway.store.rows import UNSET, CallPage, CallStats, CostLook, Tally, Unset
from gateway.store.statements import insert_new
from gateway.store.tables import LIVE, UtcTime, call, call_analysis, call_leg
from gateway.store.tombstones import bury_keys, bury_legs, is_spent_key

_MILLION: Final = 1_000_000
_BEYOND_BELIEF: Final = 10**9  # of any currency for one call
COUNT_CAP: Final = 10_001  # an exact total of a million calls costs 30 ms; a capped one costs 0.4 ms

_c = call.c
_INSERT: Final = insert_new(call)
_BY_ID: Final = select(call).where(_c.id == bindparam("id"))
_WITH_ANALYSIS: Final = (
    select(call, call_analysis.c.summary, call_analysis.c.outcome, call_analysis.c.line_count)
    .select_from(call.outerjoin(call_analysis, call_analysis.c.call_id == _c.id))
    .where(_c.id == bindparam("id"))
)
_LOCK: Final = _BY_ID.with_for_update()
_BY_KEY: Final = select(call).where(
    _c.workspace_id == bindparam("workspace_id"), _c.idempotency_key == bindparam("idempotency_key")
)
_WRITTEN: Final = (
    "direction",
    "status",
    "to_number",
    "from_number",
    "agent_id",
    "credential_id",
    "provider",
    "leg_id",
    "settings",
    "variables",
    "context",
    "facts",
    "end_reason",
    "sequence",
    "version",
    "updated_at",
    "is_answered",
    "talk_s",
    "cost_micros",
    "cost_currency",
)
_SAVE: Final = (
    update(call)
    .where(_c.id == bindparam("call_id"), _c.version == bindparam("expected_version"))
    .values({name: bindparam(f"new_{name}") for name in _WRITTEN})
)
_SAVE_WITH: Final[dict[tuple[str, ...], Update]] = {
    names: _SAVE.values({name: bindparam(f"new_{name}") for name in names})
    for names in ((), ("next_look_at",), ("cost_look_at",), ("next_look_at", "cost_look_at"))
}
_LIVE_OF_AGENT: Final = (
    select(func.count())
    .select_from(call)
    .where(
        _c.workspace_id == bindparam("workspace_id"),
        _c.agent_id == bindparam("agent_id"),
        _c.status.in_([literal_column(f"'{word}'") for word in LIVE]),
        _c.id != bindparam("except_call_id"),
    )
)
_LIVE_OF_WORKSPACE: Final = (
    select(call)
    .where(
        _c.workspace_id == bindparam("workspace_id"),
        _c.status.in_([literal_column(f"'{word}'") for word in LIVE]),
    )
    .order_by(_c.created_at, _c.id)
)

_ENDED: Final = (
    select(_c.id, _c.idempotency_key)
    .where(
        _c.workspace_id == bindparam("workspace_id"),
        _c.id.in_(bindparam("ids", expanding=True)),
        _c.status.not_in([literal_column(f"'{word}'") for word in LIVE]),
    )
    .with_for_update()
)
_DELETE: Final = delete(call).where(_c.id.in_(bindparam("ids", expanding=True)))

_BIND: Final = insert_new(call_leg)
_LEGS_OF: Final = select(call_leg.c.credential_id, call_leg.c.leg_id).where(
    call_leg.c.call_id.in_(bindparam("ids", expanding=True))
)
_OWNERS: Final = select(call_leg).where(
    call_leg.c.credential_id == bindparam("credential_id"),
    call_leg.c.leg_id.in_(bindparam("leg_ids", expanding=True)),
)
_BY_LEG: Final = (
    select(call)
    .join(call_leg, call_leg.c.call_id == _c.id)
    .where(
        call_leg.c.credential_id == bindparam("credential_id"),
        call_leg.c.leg_id.in_(bindparam("leg_ids", expanding=True)),
    )
    .order_by(_c.created_at, _c.id)
    .limit(1)
)
_LOCK_BY_LEG: Final = _BY_LEG.with_for_update(of=call)
_LEGS: Final = (
    select(call_leg.c.leg_id).where(call_leg.c.call_id == bindparam("call_id")).order_by(call_leg.c.leg_id)
)

_QUIET: Final = (
    select(call).where(_c.next_look_at <= bindparam("now")).order_by(_c.next_look_at).limit(bindparam("most"))
)
_LOOK_LATER: Final = update(call).where(_c.id == bindparam("call_id")).values(next_look_at=bindparam("at"))
_COST: Final = (
    select(call).where(_c.cost_look_at <= bindparam("now")).order_by(_c.cost_look_at).limit(bindparam("most"))
)
_COST_LATER: Final = (
    update(call)
    .where(_c.id == bindparam("call_id"))
    .values(cost_look_at=bindparam("at"), cost_looks=_c.cost_looks + 1)
)


# -- one call -------------------------------------------------------------------------------------------------------


def insert_call(
    tx: Tx, new: Call, *, fingerprint: str | None = None, next_look_at: datetime | None = None
) -> None:
    """Add a call.

    Args:
        fingerprint: of the request that `new.idempotency_key` came with, to tell a repeat from a reuse (R9).
        next_look_at: when to ask the carrier about it, unless something is heard before.

    Raises:
        Conflict: the workspace used the idempotency key before (be it for a call that was deleted since), or the
            credential's leg belongs to another call.
    """
    key = new.idempotency_key
    if key is not None and is_spent_key(tx, new.workspace_id, key):
        raise Conflict("the call placed with this idempotency key was deleted; use a new key for a new call")
    values = {
        **_written(new),
        "id": new.id,
        "workspace_id": new.workspace_id,
        "idempotency_key": new.idempotency_key,
        "fingerprint": fingerprint,
        "version": new.version,
        "next_look_at": next_look_at,
        "cost_look_at": None,
        "cost_looks": 0,
        "created_at": new.created_at,
    }
    if not tx.write(_INSERT, values):
        raise Conflict("a call with this idempotency key or carrier id exists already")


def load_call(source: Reader, call_id: str, *, workspace_id: str | None = None) -> Call:
    """Return a call. Raises NotFound, also for another workspace's."""
    row = source.one(_BY_ID, {"id": call_id})
    if row is None or workspace_id not in (None, row.workspace_id):
        raise NotFound("call", call_id)
    return _call(row)


def load_call_with_analysis(
    source: Reader, call_id: str, *, workspace_id: str
) -> tuple[Call, AnalysisSummary | None]:
    """Return a call and what is shown of its analysis, in one query. Raises NotFound, also for another workspace's."""
    row = source.one(_WITH_ANALYSIS, {"id": call_id})
    if row is None or workspace_id != row.workspace_id:
        raise NotFound("call", call_id)
    if row.line_count is None:
        return _call(row), None
    return _call(row), AnalysisSummary(
        summary=row.summary, outcome=row.outcome, has_transcript=row.line_count > 0
    )


def load_call_for_update(tx: Tx, call_id: str) -> Call:
    """Return a call and hold it until the transaction ends. Raises NotFound."""
    row = tx.one(_LOCK, {"id": call_id})
    if row is None:
        raise NotFound("call", call_id)
    return _call(row)


def find_by_idempotency_key(
    source: Reader, workspace_id: str, idempotency_key: str
) -> tuple[Call, str | None] | None:
    """Return the call that was placed with this key and the fingerprint of its request, or None."""
    row = source.one(_BY_KEY, {"workspace_id": workspace_id, "idempotency_key": idempotency_key})
    return None if row is None else (_call(row), row.fingerprint)


def save_call(
    tx: Tx,
    changed: Call,
    *,
    expected_version: int,
    next_look_at: datetime | Unset | None = UNSET,
    cost_look_at: datetime | Unset | None = UNSET,
) -> Call:
    """Store a changed call and return it with its new version.

    Args:
        next_look_at: also set when to ask the carrier (None: never); left out: stays.
        cost_look_at: also set when to ask for the cost (None: never); left out: stays.

    Raises:
        Conflict: somebody else changed the call since `expected_version`; nothing was stored.
    """
    saved = replace(changed, version=expected_version + 1)
    looks = {"next_look_at": next_look_at, "cost_look_at": cost_look_at}
    also = {name: at for name, at in looks.items() if not isinstance(at, Unset)}
    values = {f"new_{name}": value for name, value in ({**_written(saved), **also}).items()}
    keys = {"call_id": saved.id, "expected_version": expected_version}
    if not tx.write(_SAVE_WITH[tuple(also)], {**values, **keys}):
        raise Conflict(f"call {saved.id} was changed by somebody else: load it again")
    return saved


def count_live_calls(
    tx: Reader, workspace_id: str, agent_id: str, *, except_call_id: str | None = None
) -> int:
    """Return how many calls of the agent are not final. Exact against others only after `load_agent_for_update`."""
    values = {"workspace_id": workspace_id, "agent_id": agent_id, "except_call_id": except_call_id or ""}
    return int(tx.rows(_LIVE_OF_AGENT, values)[0][0])


def delete_call(tx: Tx, workspace_id: str, call_id: str, *, at: datetime) -> None:
    """Delete a call with everything that belongs to it: legs, attempts, events, steps, actions, analysis.

    Events to the outside that told of it stay, without their link to it.

    Raises:
        NotFound: no such call in the workspace. Conflict: it is queued, ringing or in progress.
    """
    deleted, _ = delete_calls(tx, workspace_id, [call_id], at=at)
    if not deleted:
        found = load_call(tx, call_id, workspace_id=workspace_id)
        raise Conflict(f"call {call_id} is {found.status.value}: it can be deleted when it is over")


def delete_calls(
    tx: Tx, workspace_id: str, call_ids: Iterable[str], *, at: datetime
) -> tuple[list[str], list[str]]:
    """Delete the workspace's calls that are over, each with everything that belongs to it.

    Returns:
        the ids of the deleted ones and of the others (live, or not the workspace's), both in the order given.
    """
    wanted = list(dict.fromkeys(call_ids))
    found = tx.rows(_ENDED, {"workspace_id": workspace_id, "ids": wanted}) if wanted else []
    ended = [row.id for row in found]
    if ended:
        bury_keys(tx, workspace_id, (row.idempotency_key for row in found if row.idempotency_key), at)
        legs = tx.rows(_LEGS_OF, {"ids": ended})
        bury_legs(tx, ((row.credential_id, row.leg_id) for row in legs), at)
        tx.write(_DELETE, {"ids": ended})
    gone = set(ended)
    return [each for each in wanted if each in gone], [each for each in wanted if each not in gone]


# -- legs -----------------------------------------------------------------------------------------------------------


def bind_legs(tx: Tx, call_id: str, credential_id: str, leg_ids: Iterable[str]) -> str | None:
    """Note the carrier's ids of the call's own leg; ids that are known already stay with their call.

    Returns:
        another call that one of the ids belongs to, or None when all of them are this call's.
    """
    wanted = list(dict.fromkeys(leg_id for leg_id in leg_ids if leg_id))
    for leg_id in wanted:
        tx.write(_BIND, {"credential_id": credential_id, "leg_id": leg_id, "call_id": call_id})
    owners = tx.rows(_OWNERS, {"credential_id": credential_id, "leg_ids": wanted})
    return next((row.call_id for row in owners if row.call_id != call_id), None)


def find_call_by_leg(source: Reader, credential_id: str, leg_ids: Sequence[str]) -> Call | None:
    """Return the call that one of the carrier's ids belongs to, or None; a transaction holds it until its end."""
    statement = _LOCK_BY_LEG if isinstance(source, Tx) else _BY_LEG
    row = source.one(statement, {"credential_id": credential_id, "leg_ids": list(leg_ids)})
    return None if row is None else _call(row)


def list_legs(source: Reader, call_id: str) -> list[str]:
    """Return the carrier's ids of the call's own leg."""
    return [row.leg_id for row in source.rows(_LEGS, {"call_id": call_id})]


# -- what the sweeper asks about ------------------------------------------------------------------------------------


def due_quiet_calls(source: Reader, now: datetime, limit: int) -> list[Call]:
    """Return the calls whose carrier is to be asked, the most overdue first (R45)."""
    return [_call(row) for row in source.rows(_QUIET, {"now": now, "most": limit})]


def live_calls(source: Reader, workspace_id: str) -> list[Call]:
    """Return the workspace's calls that are not final, oldest first."""
    return [_call(row) for row in source.rows(_LIVE_OF_WORKSPACE, {"workspace_id": workspace_id})]


def schedule_look(tx: Tx, call_id: str, at: datetime | None) -> None:
    """Set when the carrier is asked about the call (None: never), without a new version of the call."""
    tx.write(_LOOK_LATER, {"call_id": call_id, "at": at})


def due_cost_looks(source: Reader, now: datetime, limit: int) -> list[CostLook]:
    """Return the ended calls whose cost is to be asked for, the most overdue first."""
    rows = source.rows(_COST, {"now": now, "most": limit})
    return [CostLook(call=_call(row), looks=row.cost_looks) for row in rows]


def schedule_cost_look(tx: Tx, call_id: str, at: datetime | None) -> None:
    """Count a look for the cost and set when to look again (None: never)."""
    tx.write(_COST_LATER, {"call_id": call_id, "at": at})


# -- lists ----------------------------------------------------------------------------------------------------------


def list_calls(
    source: Reader,
    workspace_id: str,
    *,
    status: CallStatus | None = None,
    direction: Direction | None = None,
    agent_id: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
    offset: int = 0,
) -> CallPage:
    """Return one page of calls, newest first; both bounds of the time are exclusive.

    Args:
        cursor: `next_cursor` of the page before, with the same filters; costs the same at any depth. `offset` does not.

    Raises:
        ValidationError: the cursor is not one of ours, or belongs to other filters.
    """
    filters = _filters(workspace_id, status, direction, agent_id, created_after, created_before)
    values = {**filters, "most": limit + 1}
    # Newest first, the lower bound only cuts the end of a page; two bounds would mislead SQLite's planner.
    oldest = values.pop("created_after", None)
    if cursor is not None:
        values["cursor_at"], values["cursor_id"] = read_cursor(cursor, filters)
        values.pop("created_before", None)  # the cursor is a tighter bound
    if offset:
        values["skip"] = offset
    rows = source.rows(_page(frozenset(values)), values)
    rows = [row for row in rows if oldest is None or row.created_at > oldest]
    calls = tuple(_call(row) for row in rows[:limit])
    is_last = len(rows) <= limit
    last = calls[-1] if calls else None
    following = None if is_last or last is None else write_cursor(last.created_at, last.id, filters)
    return CallPage(calls=calls, next_cursor=following)


def count_calls(
    source: Reader,
    workspace_id: str,
    *,
    status: CallStatus | None = None,
    direction: Direction | None = None,
    agent_id: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    cap: int = COUNT_CAP,
) -> int:
    """Return how many calls the filters meet, counted up to `cap`: a result of `cap` means "at least so many"."""
    filters = _filters(workspace_id, status, direction, agent_id, created_after, created_before)
    return int(source.rows(_count(frozenset(filters)), {**filters, "cap": cap})[0][0])


_CONDITIONS: Final[dict[str, Any]] = {
    "workspace_id": _c.workspace_id == bindparam("workspace_id"),
    "status": _c.status == bindparam("status"),
    "direction": _c.direction == bindparam("direction"),
    "agent_id": _c.agent_id == bindparam("agent_id"),
    "created_after": _c.created_at > bindparam("created_after"),
    "created_before": _c.created_at < bindparam("created_before"),
    "cursor_at": tuple_(_c.created_at, _c.id)
    < tuple_(bindparam("cursor_at", type_=UtcTime()), bindparam("cursor_id")),
}


@cache
def _page(names: frozenset[str]) -> Select[Any]:
    page = select(call).where(*(_CONDITIONS[name] for name in sorted(names & _CONDITIONS.keys())))
    page = page.order_by(_c.created_at.desc(), _c.id.desc()).limit(bindparam("most"))
    return page.offset(bindparam("skip")) if "skip" in names else page


@cache
def _count(names: frozenset[str]) -> Select[Any]:
    found = select(_c.id).where(*(_CONDITIONS[name] for name in sorted(names))).limit(bindparam("cap"))
    return select(func.count()).select_from(found.subquery())


def _filters(
    workspace_id: str,
    status: CallStatus | None,
    direction: Direction | None,
    agent_id: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
) -> dict[str, Any]:
    given = {
        "workspace_id": workspace_id,
        "status": None if status is None else status.value,
        "direction": None if direction is None else direction.value,
        "agent_id": None if agent_id is None else clean_text(agent_id, 200),
        "created_after": created_after,
        "created_before": created_before,
    }
    return {name: value for name, value in given.items() if value is not None}


# -- statistics -----------------------------------------------------------------------------------------------------

# Our own number: the one that was called, or that we showed.
_OUR_NUMBER: Final = case(
    (_c.direction == literal_column(f"'{Direction.INBOUND.value}'"), _c.to_number), else_=_c.from_number
)


def _sums(day: ColumnElement[Any]) -> CompoundSelect[Any]:
    """Read the calls once, into sums by everything; then add those up by agent, by number and by day."""
    by = (
        _c.status,
        _c.agent_id,
        _OUR_NUMBER.label("our_number"),
        day.label("day"),
        _c.is_answered,
        _c.cost_currency,
    )
    sums = (
        select(
            *by,
            func.count().label("calls"),
            func.coalesce(func.sum(_c.talk_s), 0).label("talk_s"),
            func.coalesce(func.sum(_c.cost_micros), 0).label("micros"),
        )
        .where(
            _c.workspace_id == bindparam("workspace_id"),
            _c.created_at >= bindparam("since"),
            _c.created_at < bindparam("until"),
        )
        .group_by(*by)
        .cte("sums")
    )
    return union_all(*(_sums_by(sums, name) for name in ("agent_id", "our_number", "day")))


def _sums_by(sums: CTE, name: str) -> Select[Any]:
    by = (sums.c[name].label("value"), sums.c.status, sums.c.is_answered, sums.c.cost_currency)
    figures = (func.sum(sums.c[each]).label(each) for each in ("calls", "talk_s", "micros"))
    return select(literal_column(f"'{name}'").label("name"), *by, *figures).group_by(sums.c[name], *by[1:])


_SUMS: Final = PerDialect(
    sqlite=_sums(func.substr(type_coerce(_c.created_at, Text), 1, 10)),
    postgresql=_sums(func.to_char(func.timezone("UTC", _c.created_at), "YYYY-MM-DD", type_=Text)),
)


def call_stats(source: Reader, workspace_id: str, since: datetime, until: datetime) -> CallStats:
    """Return sums over the calls created from `since` on and before `until`; days are UTC's.

    Reads every call of that time once, by the index of pages, and nothing else: give a bounded span. What comes back
    from the database does not grow with the calls. Measured on SQLite: 5 to 9 µs of CPU for each call of the span,
    with 10,000 calls in the table as with 1,000,000.
    """
    rows = source.rows(_SUMS, {"workspace_id": workspace_id, "since": since, "until": until})
    kinds = {"agent_id": [], "our_number": [], "day": [], **_grouped(rows, "name")}
    agents, numbers, days = (_grouped(kinds[name], "value") for name in ("agent_id", "our_number", "day"))
    return CallStats(
        total=_tally(kinds["day"]),
        by_agent={agent: _tally(group) for agent, group in agents.items()},
        by_number={number: _tally(group) for number, group in numbers.items()},
        by_day={date.fromisoformat(day): _tally(group) for day, group in sorted(days.items())},
    )


def _grouped(rows: Sequence[Row[Any]], name: str) -> dict[Any, list[Row[Any]]]:
    groups: dict[Any, list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault(row._mapping[name], []).append(row)
    return groups


def _tally(rows: Sequence[Row[Any]]) -> Tally:
    answered = [row for row in rows if row.is_answered and row.status not in LIVE]
    currencies = _grouped([row for row in rows if row.cost_currency is not None], "cost_currency")
    return Tally(
        calls=int(sum(row.calls for row in rows)),  # the sums of some databases are decimals
        ended=int(sum(row.calls for row in rows if row.status not in LIVE)),
        answered=int(sum(row.calls for row in answered)),
        talk_s=int(sum(row.talk_s for row in answered)),
        by_status={
            status: int(sum(row.calls for row in group)) for status, group in _grouped(rows, "status").items()
        },
        cost={
            currency: sum((Decimal(row.micros) for row in group), Decimal(0)) / _MILLION
            for currency, group in currencies.items()
        },
    )


# -- rows -----------------------------------------------------------------------------------------------------------


def _written(value: Call) -> dict[str, Any]:
    micros, currency = _micros(value.cost)
    return {
        "direction": value.direction.value,
        "status": value.status.value,
        "to_number": clean_text(value.to, 255),
        "from_number": clean_text(value.from_number, 255),
        "agent_id": value.agent_id,
        "credential_id": value.credential_id,
        "provider": value.provider,
        "leg_id": value.leg_id,
        "settings": write_settings(value.settings),
        "variables": write_json(value.variables),
        "context": write_json(value.context),
        "facts": write_facts(value.facts),
        "end_reason": write_end_reason(value.end_reason),
        "sequence": value.sequence,
        "version": value.version,
        "updated_at": value.updated_at,
        "is_answered": was_answered(value.facts),
        "talk_s": value.duration_seconds,
        "cost_micros": micros,
        "cost_currency": currency,
    }


def _micros(cost: Cost | None) -> tuple[int | None, str | None]:
    """Return an amount in millionths with its currency; (None, None) for none and for one beyond belief."""
    if cost is None or not cost.amount.is_finite() or abs(cost.amount) >= _BEYOND_BELIEF:
        return None, None
    return round(cost.amount * _MILLION), clean_text(cost.currency, 20)


def _call(row: Row[Any]) -> Call:
    return Call(
        id=row.id,
        workspace_id=row.workspace_id,
        direction=Direction(row.direction),
        status=CallStatus(row.status),
        to=row.to_number,
        from_number=row.from_number,
        agent_id=row.agent_id,
        credential_id=row.credential_id,
        provider=row.provider,
        leg_id=row.leg_id,
        settings=read_settings(row.settings),
        variables=read_json(row.variables),
        context=read_json(row.context),
        facts=read_facts(row.facts),
        end_reason=read_end_reason(row.end_reason),
        idempotency_key=row.idempotency_key,
        sequence=row.sequence,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
