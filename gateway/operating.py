"""Use case: long work over many numbers, which can be watched, and goes on after a kill.

An operation is a row with a list of results. Whoever drives it (a command with its progress bar, the background thread
of `gateway serve`) claims it, does piece after piece, and commits each with the claim's renewal; the work of one that
dies is claimed by the next when the claim runs out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final

from gateway import checking, importing
from gateway.errors import ConfigurationError, Conflict, GatewayError, StoreUnavailable, ValidationError
from gateway.ids import new_id
from gateway.models import (
    DEFAULT_WORKSPACE,
    Operation,
    OperationKind,
    OperationResult,
    OperationState,
)
from gateway.numbers import parse_e164
from gateway.provisioning import find_credential
from gateway.services import Services
from gateway.store import numbers, operations

log = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=3)  # the longest piece is one number's repair

Progress = Callable[[Operation], object]


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What one piece of work did; `done` of `total` pieces are through with it."""

    results: Sequence[OperationResult]
    done: int
    total: int | None


# -- beginning one -------------------------------------------------------------------------------------------------


def start_import(
    services: Services,
    credential: str,
    *,
    only: Sequence[str] | None = None,
    take_over: bool = False,
    claim: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Operation:
    """Begin the import of an account's numbers; see `importing.import_numbers`.

    Args:
        claim: who asks also does the work (`perform`); else the background thread of `gateway serve` does.

    Raises:
        NotFound: no such credential. InvalidNumber.
    """
    account = find_credential(services, credential, workspace_id)
    wanted = None if only is None else [parse_e164(each, "only") for each in only]
    payload = {"credential_id": account.id, "only": wanted, "take_over": take_over}
    return _start(services, OperationKind.IMPORT, payload, None, claim, workspace_id)


def start_csv_import(
    services: Services,
    text: str,
    *,
    credential: str | None = None,
    configure: bool = True,
    take_over: bool = False,
    claim: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Operation:
    """Begin the import of a CSV file's rows; see `importing.import_row`. Raises ValidationError, NotFound."""
    rows = importing.read_csv(text)
    account = None if credential is None else find_credential(services, credential, workspace_id).id
    payload = {
        "credential_id": account,
        "rows": [asdict(row) for row in rows],
        "configure": configure,
        "take_over": take_over,
    }
    return _start(services, OperationKind.IMPORT_CSV, payload, len(rows), claim, workspace_id)


def start_repair(
    services: Services,
    *,
    credential: str | None = None,
    take_over: bool = False,
    claim: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> Operation:
    """Begin the repair of every number that is assigned or points at us: what a change of the public URL asks for.

    Raises:
        NotFound: no such credential. ConfigurationError: no public URL.
    """
    if services.urls.public_url is None:
        raise ConfigurationError("no public URL: set GATEWAY_PUBLIC_URL to what the carriers are to be told")
    watched = numbers.watched_numbers(services.store, workspace_id)
    if credential is not None:
        wanted = find_credential(services, credential, workspace_id).id
        watched = [number for number in watched if number.credential_id == wanted]
    payload = {"numbers": [number.id for number in watched], "take_over": take_over}
    return _start(services, OperationKind.REPAIR, payload, len(watched), claim, workspace_id)


def _start(
    services: Services,
    kind: OperationKind,
    payload: Mapping[str, object],
    total: int | None,
    claim: bool,
    workspace_id: str,
) -> Operation:
    now = services.clock()
    new = Operation(
        id=new_id(),
        workspace_id=workspace_id,
        kind=kind,
        payload=payload,
        total=total,
        tries=1 if claim else 0,
        due_at=now + LEASE if claim else now,
        created_at=now,
        updated_at=now,
    )
    with services.store.transaction() as tx:
        operations.insert_operation(tx, new)
    services.wake()
    return new


def claim(services: Services, operation_id: str, workspace_id: str = DEFAULT_WORKSPACE) -> Operation:
    """Claim an operation that was left, so that `perform` goes on with it where it stands.

    Raises:
        NotFound; Conflict: it is over, or another process is at it.
    """
    found = load_operation(services, operation_id, workspace_id)
    if found.state is not OperationState.PENDING:
        raise Conflict(f"operation {found.id} is over ({found.state.value}): begin another one")
    now = services.clock()
    with services.store.transaction() as tx:
        claimed = operations.claim_operation(tx, found.id, now=now, until=now + LEASE)
    if claimed is None:
        raise Conflict(
            f"another process is at operation {found.id}, or was so less than {LEASE.seconds // 60} minutes ago: wait"
        )
    return claimed


# -- doing it ------------------------------------------------------------------------------------------------------


def run_due(services: Services, keep_going: Callable[[], bool] = _always) -> bool:
    """Do the operation that has been due longest; return False when none is due.

    Args:
        keep_going: asked after each piece; when it says no, what is left is due at once for the next worker.
    """
    now = services.clock()
    with services.store.transaction() as tx:
        claimed = operations.claim_due_operation(tx, now=now, until=now + LEASE)
    if claimed is None:
        return False
    perform(services, claimed, keep_going=keep_going)
    return True


def perform(
    services: Services,
    claimed: Operation,
    on_progress: Progress = lambda operation: None,
    keep_going: Callable[[], bool] = _always,
) -> Operation:
    """Do a claimed operation piece by piece, from where it stands; return it as it stands then.

    Raises:
        Conflict: another worker claimed it meanwhile, and goes on with it. StoreUnavailable: it is due again later.
    """
    state, error = OperationState.DONE, None
    try:
        for piece in _WORK[claimed.kind](services, claimed):
            _commit(services, claimed, piece)
            on_progress(operations.load_operation(services.store, claimed.id))
            if not keep_going():
                _commit(services, claimed, replace(piece, results=()), lease=timedelta())
                return operations.load_operation(services.store, claimed.id)
    except (_Overtaken, StoreUnavailable):
        raise
    except GatewayError as refusal:
        state, error = OperationState.FAILED, str(refusal)
    with services.store.transaction() as tx:
        operations.finish_operation(tx, claimed, state, at=services.clock(), error=error)
    return operations.load_operation(services.store, claimed.id)


class _Overtaken(Conflict):
    """Another worker has claimed the operation."""


def _commit(services: Services, claimed: Operation, piece: _Piece, lease: timedelta = LEASE) -> None:
    now = services.clock()
    with services.store.transaction() as tx:
        is_ours = operations.save_progress(
            tx,
            claimed,
            piece.results,
            done=piece.done,
            total=piece.total,
            at=now,
            until=now + lease,
        )
    if not is_ours:
        raise _Overtaken(f"operation {claimed.id} is another worker's by now, which goes on with it")


def _import(services: Services, claimed: Operation) -> Iterator[_Piece]:
    account = services.credential(claimed.workspace_id, claimed.payload["credential_id"])
    through = operations.result_subjects(services.store, claimed.id)
    done = len(through)
    for batch in importing.import_batches(
        services,
        account,
        only=claimed.payload["only"],
        take_over=claimed.payload["take_over"],
        skip=through,
    ):
        done += len(batch)
        yield _Piece(results=[each.as_result() for each in batch], done=done, total=None)
    yield _Piece(results=(), done=done, total=done)


def _import_csv(services: Services, claimed: Operation) -> Iterator[_Piece]:
    rows = importing.rows_of(claimed.payload["rows"])
    for done, row in enumerate(rows[claimed.done :], start=claimed.done + 1):
        result = importing.import_row(
            services,
            row,
            credential=claimed.payload["credential_id"],
            configure=claimed.payload["configure"],
            take_over=claimed.payload["take_over"],
            workspace_id=claimed.workspace_id,
        )
        yield _Piece(results=[result], done=done, total=len(rows))


def _repair(services: Services, claimed: Operation) -> Iterator[_Piece]:
    wanted = claimed.payload["numbers"]
    left = wanted[claimed.done :]
    take_over = claimed.payload["take_over"]
    for done, ident in enumerate(left, start=claimed.done + 1):
        found = checking.repair_or_say(services, ident, claimed.workspace_id, take_over=take_over)
        results = [] if found is None else [_as_result(found)]
        yield _Piece(results=results, done=done, total=len(wanted))


def _as_result(repair: checking.Repair) -> OperationResult:
    if repair.error:
        verdict, detail = "error", repair.error
    elif repair.left:
        verdict, detail = "left", checking.describe(repair.left)
    else:
        verdict = "repaired" if repair.found else "fine"
        detail = ", ".join(dict.fromkeys(each.setting for each in repair.found))
    return OperationResult(subject=repair.number.e164, verdict=verdict, detail=detail)


_WORK: Final[Mapping[OperationKind, Callable[[Services, Operation], Iterator[_Piece]]]] = {
    OperationKind.IMPORT: _import,
    OperationKind.IMPORT_CSV: _import_csv,
    OperationKind.REPAIR: _repair,
}


# -- watching it ---------------------------------------------------------------------------------------------------


def load_operation(services: Services, operation_id: str, workspace_id: str = DEFAULT_WORKSPACE) -> Operation:
    """Return an operation as it stands. Raises NotFound."""
    return operations.load_operation(services.store, operation_id, workspace_id=workspace_id)


def list_operations(
    services: Services,
    *,
    also_ended: bool = False,
    limit: int = 100,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[Operation]:
    """Return the operations that are not over, or all that are kept, the newest first. Raises ValidationError."""
    if not 1 <= limit <= 1000:
        raise ValidationError("limit", "give 1 to 1000")
    return operations.list_operations(services.store, workspace_id, also_ended=also_ended, limit=limit)


def list_results(
    services: Services,
    operation_id: str,
    *,
    after: int = 0,
    limit: int = 1000,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[tuple[int, OperationResult]]:
    """Return what an operation did, in order, each with its position from 1 on. Raises NotFound."""
    if not 1 <= limit <= 10_000:
        raise ValidationError("limit", "give 1 to 10000")
    load_operation(services, operation_id, workspace_id)
    return operations.list_results(services.store, operation_id, after=after, limit=limit)
