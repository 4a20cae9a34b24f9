"""Steps: the instructions of a call, one after the other, and the agents' claims of their streams."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, literal_column, null, select, update

from gateway.errors import Conflict
from gateway.store.codec import (
    clean_text,
    read_chain,
    read_instruction,
    read_json,
    write_chain,
    write_instruction,
    write_json,
)
from gateway.store.engine import Reader, Tx
from gateway.store.rows import OPEN_STEPS, ClaimResult, Step, StepState, StreamClaim
from gateway.store.statements import insert_new
from gateway.store.tables import step

_c = step.c
_INSERT: Final = insert_new(step)
_BY_TOKEN: Final = select(step).where(_c.token == bindparam("token"))
_OF_CALL: Final = select(step).where(_c.call_id == bindparam("call_id")).order_by(_c.position)
_CURRENT: Final = select(step).where(_c.call_id == bindparam("call_id")).order_by(_c.position.desc()).limit(1)
_MOVE: Final = (
    update(step)
    .where(_c.token == bindparam("of_token"), _c.state.in_(bindparam("only_from", expanding=True)))
    .values(state=bindparam("new_state"), detail=bindparam("new_detail"))
)
_END_JOIN: Final = _MOVE.values(join_deadline=null())
_SET_DEADLINE: Final = (
    update(step).where(_c.token == bindparam("of_token")).values(join_deadline=bindparam("new_deadline"))
)
_CONNECT: Final = (
    update(step)
    .where(_c.token == bindparam("of_token"), _c.state == literal_column("'pending'"))
    .values(
        instruction=bindparam("new_instruction"),
        join_deadline=bindparam("new_deadline"),
        stream_token_hash=bindparam("new_hash"),
        stream_expires_at=bindparam("new_expiry"),
    )
)
_BY_STREAM: Final = select(step).where(_c.stream_token_hash == bindparam("token_hash"))
_CLAIM: Final = (
    update(step)
    .where(
        _c.stream_token_hash == bindparam("token_hash"),
        _c.claimed_at.is_(None),
        _c.stream_expires_at > bindparam("now"),
        _c.state.in_([literal_column(f"'{state.value}'") for state in OPEN_STEPS]),
    )
    .values(claimed_at=bindparam("at"), state=StepState.JOINED.value, join_deadline=null())
    .returning(step)
)
_DUE_JOINS: Final = (
    select(step)
    .where(
        _c.join_deadline <= bindparam("now"),
        _c.join_deadline.is_not(None),
        _c.state.in_(
            [literal_column(f"'{state.value}'") for state in (StepState.PENDING, StepState.STARTED)]
        ),
    )
    .order_by(_c.join_deadline)
    .limit(bindparam("most"))
)


def insert_step(tx: Tx, new: Step) -> None:
    """Add a step to a call. Raises Conflict when another worker has already decided the step at this position."""
    values = {
        "token": new.token,
        "workspace_id": new.workspace_id,
        "call_id": new.call_id,
        "position": new.position,
        "instruction": write_instruction(new.instruction),
        "remaining": write_chain(new.remaining),
        "tried_agents": write_json(new.tried_agents),
        "state": new.state.value,
        "detail": clean_text(new.detail, 1000),
        "agent_id": new.agent_id,
        "join_deadline": new.join_deadline,
        "stream_token_hash": new.stream_token_hash,
        "stream_expires_at": new.stream_expires_at,
        "claimed_at": new.claimed_at,
        "created_at": new.created_at,
    }
    if not tx.write(_INSERT, values):
        raise Conflict(f"call {new.call_id} has a step {new.position} already")


def load_step_by_token(source: Reader, token: str) -> Step | None:
    """Return the step of a token, or None."""
    row = source.one(_BY_TOKEN, {"token": token})
    return None if row is None else _step(row)


def current_step(source: Reader, call_id: str) -> Step | None:
    """Return the call's last step, whatever its state, or None when it had none."""
    row = source.one(_CURRENT, {"call_id": call_id})
    return None if row is None else _step(row)


def list_steps(source: Reader, call_id: str) -> list[Step]:
    """Return the call's steps, the first one first."""
    return [_step(row) for row in source.rows(_OF_CALL, {"call_id": call_id})]


def set_step_state(
    tx: Tx,
    token: str,
    state: StepState,
    *,
    only_from: Collection[StepState] = OPEN_STEPS,
    detail: str = "",
) -> bool:
    """Move a step to `state` when it is in one of `only_from`; return whether it was moved, exactly once.

    From JOINED on nobody waits for the join any more.
    """
    statement = _MOVE if state in (StepState.PENDING, StepState.STARTED) else _END_JOIN
    values = {
        "of_token": token,
        "new_state": state.value,
        "new_detail": clean_text(detail, 1000),
        "only_from": [known.value for known in only_from],
    }
    return bool(tx.write(statement, values))


def set_step_connection(tx: Tx, changed: Step) -> bool:
    """Store what a step whose agent had to be asked is to do; return False when it is no longer pending."""
    values = {
        "of_token": changed.token,
        "new_instruction": write_instruction(changed.instruction),
        "new_deadline": changed.join_deadline,
        "new_hash": changed.stream_token_hash,
        "new_expiry": changed.stream_expires_at,
    }
    return bool(tx.write(_CONNECT, values))


def set_join_deadline(tx: Tx, token: str, at: datetime | None) -> None:
    """Set until when the step must be joined (None: no limit)."""
    tx.write(_SET_DEADLINE, {"of_token": token, "new_deadline": at})


def claim_stream(tx: Tx, token_hash: str, now: datetime) -> StreamClaim:
    """Let an agent claim a stream by the hash of its one-use token: once, in time, while the step is open (R26)."""
    row = tx.one(_CLAIM, {"token_hash": token_hash, "now": now, "at": now})
    if row is not None:
        return StreamClaim(result=ClaimResult.CLAIMED, step=_step(row))
    row = tx.one(_BY_STREAM, {"token_hash": token_hash})
    if row is None:
        return StreamClaim(result=ClaimResult.UNKNOWN)
    result = ClaimResult.EXPIRED if row.claimed_at is None else ClaimResult.ALREADY
    return StreamClaim(result=result, step=_step(row))


def due_joins(source: Reader, now: datetime, limit: int) -> list[Step]:
    """Return the steps that should have been joined by now, the most overdue first."""
    return [_step(row) for row in source.rows(_DUE_JOINS, {"now": now, "most": limit})]


def _step(row: Row[Any]) -> Step:
    return Step(
        token=row.token,
        workspace_id=row.workspace_id,
        call_id=row.call_id,
        position=row.position,
        instruction=read_instruction(row.instruction),
        remaining=read_chain(row.remaining),
        tried_agents=tuple(read_json(row.tried_agents)),
        state=StepState(row.state),
        detail=row.detail,
        agent_id=row.agent_id,
        join_deadline=row.join_deadline,
        stream_token_hash=row.stream_token_hash,
        stream_expires_at=row.stream_expires_at,
        claimed_at=row.claimed_at,
        created_at=row.created_at,
    )
