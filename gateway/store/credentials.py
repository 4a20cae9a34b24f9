"""Credentials: one account at one provider, with its secrets as the vault sealed them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, exists, func, insert, or_, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import Credential
from gateway.store.codec import clean_text
from gateway.store.engine import Reader, Tx
from gateway.store.rows import SealedCredential
from gateway.store.tables import LIVE, assignment, attempt, call, credential, number
from gateway.store.workspaces import ensure_workspace

_c = credential.c
_PRESENT: Final = select(credential).where(_c.removed_at.is_(None))
_INSERT: Final = insert(credential)
_BY_ID: Final = _PRESENT.where(_c.id == bindparam("id"))
_BY_KEY: Final = _PRESENT.where(_c.key == bindparam("key"))
_ALL: Final = _PRESENT.order_by(_c.created_at, _c.id)
_IN_WORKSPACE: Final = _ALL.where(_c.workspace_id == bindparam("workspace_id"))
_RESEAL: Final = (
    update(credential)
    .where(_c.id == bindparam("credential_id"), _c.removed_at.is_(None))
    .values(sealed=bindparam("new_sealed"))
)
_ASSIGNED: Final = (
    select(number.c.e164)
    .where(
        number.c.credential_id == bindparam("credential_id"),
        exists().where(assignment.c.number_id == number.c.id),
    )
    .order_by(number.c.e164)
)
_LIVE_CALLS: Final = (
    select(func.count())
    .select_from(call)
    .where(
        call.c.credential_id == bindparam("credential_id"),
        or_(
            call.c.status.in_(LIVE),
            exists().where(attempt.c.call_id == call.c.id, attempt.c.state.in_(("dialing", "unknown"))),
        ),
    )
)
_DROP_NUMBERS: Final = number.delete().where(number.c.credential_id == bindparam("id"))
_REMOVE: Final = (
    update(credential)
    .where(_c.id == bindparam("credential_id"))
    .values(removed_at=bindparam("at"), sealed="", name="")
)


def insert_credential(tx: Tx, new: Credential, *, sealed: str) -> None:
    """Add a credential; its workspace is made when it is new. `new.secrets` is not stored, `sealed` is.

    Raises:
        Conflict: the id or the path key is taken.
    """
    ensure_workspace(tx, new.workspace_id, new.created_at)
    tx.write(
        _INSERT,
        {
            "id": new.id,
            "workspace_id": new.workspace_id,
            "provider": new.provider,
            "name": clean_text(new.name, 200),
            "key": new.key,
            "account_ref": clean_text(new.account_ref, 200),
            "sealed": sealed,
            "exclusive": new.exclusive,
            "created_at": new.created_at,
            "removed_at": None,
        },
    )


def load_credential(source: Reader, credential_id: str, *, workspace_id: str | None = None) -> Credential:
    """Return a credential without its secrets. Raises NotFound, also for another workspace's."""
    return load_sealed_credential(source, credential_id, workspace_id=workspace_id).credential


def load_sealed_credential(
    source: Reader, credential_id: str, *, workspace_id: str | None = None
) -> SealedCredential:
    """Return a credential with its sealed secrets. Raises NotFound, also for another workspace's."""
    row = source.one(_BY_ID, {"id": credential_id})
    if row is None or workspace_id not in (None, row.workspace_id):
        raise NotFound("credential", credential_id)
    return _sealed_credential(row)


def load_credential_by_key(source: Reader, key: str) -> SealedCredential | None:
    """Return the credential whose webhook URLs have this path key, or None."""
    row = source.one(_BY_KEY, {"key": key})
    return None if row is None else _sealed_credential(row)


def list_credentials(source: Reader, workspace_id: str | None = None) -> list[Credential]:
    """Return the credentials of a workspace (None: of all), oldest first, without secrets."""
    return [found.credential for found in list_sealed_credentials(source, workspace_id)]


def list_sealed_credentials(source: Reader, workspace_id: str | None = None) -> list[SealedCredential]:
    """Return the same with their sealed secrets."""
    if workspace_id is None:
        return [_sealed_credential(row) for row in source.rows(_ALL)]
    return [_sealed_credential(row) for row in source.rows(_IN_WORKSPACE, {"workspace_id": workspace_id})]


def save_sealed(tx: Tx, credential_id: str, sealed: str) -> None:
    """Replace the sealed secrets. Raises NotFound."""
    if not tx.write(_RESEAL, {"credential_id": credential_id, "new_sealed": sealed}):
        raise NotFound("credential", credential_id)


def remove_credential(tx: Tx, credential_id: str, *, workspace_id: str, at: datetime) -> None:
    """Remove a credential and its unassigned numbers; its secrets are erased, its calls stay.

    Raises:
        NotFound: no such credential.
        Conflict: a number of it is assigned, or a call is live or its outcome unknown; the message says which.
    """
    load_credential(tx, credential_id, workspace_id=workspace_id)
    assigned = [row.e164 for row in tx.rows(_ASSIGNED, {"credential_id": credential_id})]
    if assigned:
        shown = ", ".join(f"…{e164[-4:]}" for e164 in assigned[:5]) + (" …" if len(assigned) > 5 else "")
        raise Conflict(
            f"{len(assigned)} numbers of this credential are assigned ({shown}): unassign them first"
        )
    live = tx.rows(_LIVE_CALLS, {"credential_id": credential_id})[0][0]
    if live:
        raise Conflict(
            f"{live} calls of this credential are live or of unknown outcome: end or reconcile them first"
        )
    tx.write(_DROP_NUMBERS, {"id": credential_id})
    tx.write(_REMOVE, {"credential_id": credential_id, "at": at})


def _sealed_credential(row: Row[Any]) -> SealedCredential:
    found = Credential(
        id=row.id,
        workspace_id=row.workspace_id,
        provider=row.provider,
        name=row.name,
        key=row.key,
        account_ref=row.account_ref,
        exclusive=row.exclusive,
        created_at=row.created_at,
    )
    return SealedCredential(credential=found, sealed=row.sealed)
