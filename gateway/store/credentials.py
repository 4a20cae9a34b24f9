"""Credentials: one account at one provider, with its secrets as the vault sealed them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, exists, func, insert, or_, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import Credential
from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.rows import SealedCredential
from gateway.store.tables import LIVE, assignment, attempt, call, credential, number, sip_link
from gateway.store.workspaces import ensure_workspace

_c = credential.c
_PRESENT: Final = select(credential).where(_c.removed_at.is_(None))
_INSERT: Final = insert(credential)
_BY_ID: Final = _PRESENT.where(_c.id == bindparam("id"))
_BY_KEY: Final = _PRESENT.where(_c.key == bindparam("key"))
_ALL: Final = _PRESENT.order_by(_c.created_at, _c.id)
_IN_WORKSPACE: Final = _ALL.where(_c.workspace_id == bindparam("workspace_id"))
_LOCK: Final = _BY_ID.with_for_update()
_THIS: Final = update(credential).where(_c.id == bindparam("credential_id"), _c.removed_at.is_(None))
_RESEAL: Final = _THIS.values(sealed=bindparam("new_sealed"))
_RESEAL_SAME: Final = _RESEAL.where(_c.sealed == bindparam("old_sealed"))
_PUT_APPLICATION: Final = _THIS.values(
    application_ref=bindparam("ref"),
    application_before=bindparam("before"),
    application_is_ours=bindparam("is_ours"),
)
_IN_USE: Final = select(number.c.id).where(
    number.c.credential_id == bindparam("credential_id"),
    or_(
        number.c.setup_state != "none",
        exists().where(assignment.c.number_id == number.c.id),
    ),
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
_DROP_LINKS: Final = sip_link.delete().where(sip_link.c.credential_id == bindparam("id"))
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
            "application_ref": new.application_ref,
            "application_is_ours": new.application_is_ours,
            "outbound_profile": new.outbound_profile,
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


def load_sealed_credential_for_update(tx: Tx, credential_id: str) -> SealedCredential:
    """Return the same, locked until the transaction ends. Raises NotFound."""
    row = tx.one(_LOCK, {"id": credential_id})
    if row is None:
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


def save_resealed(tx: Tx, credential_id: str, *, old: str, new: str) -> bool:
    """Replace the sealed secrets where they are still `old`; return whether they were."""
    values = {"credential_id": credential_id, "old_sealed": old, "new_sealed": new}
    return bool(tx.write(_RESEAL_SAME, values))


def save_application(
    tx: Tx, credential_id: str, ref: str | None, *, before: Mapping[str, Any] | None, is_ours: bool
) -> None:
    """Keep what the credential's numbers point at; `before`: its settings before us. Raises NotFound."""
    text = None if before is None else write_json(before)
    values = {"credential_id": credential_id, "ref": ref, "before": text, "is_ours": is_ours}
    if not tx.write(_PUT_APPLICATION, values):
        raise NotFound("credential", credential_id)


def is_in_use(source: Reader, credential_id: str) -> bool:
    """Return whether a number of the credential is assigned, or points at us."""
    return source.one(_IN_USE, {"credential_id": credential_id}) is not None


def check_removable(source: Reader, credential_id: str, *, workspace_id: str) -> None:
    """Check that nothing stands in the way of removing a credential.

    Raises:
        NotFound: no such credential.
        Conflict: a number of it is assigned or points at us, or a call is live or its outcome unknown.
    """
    load_credential(source, credential_id, workspace_id=workspace_id)
    assigned = [row.e164 for row in source.rows(_ASSIGNED, {"credential_id": credential_id})]
    if assigned:
        shown = ", ".join(f"…{e164[-4:]}" for e164 in assigned[:5]) + (" …" if len(assigned) > 5 else "")
        raise Conflict(
            f"{len(assigned)} numbers of this credential are assigned ({shown}): unassign them first, or have them "
            "released (--release-numbers)"
        )
    if is_in_use(source, credential_id):
        raise Conflict(
            "a number of this credential is not put back at its carrier yet: repair it first (gateway numbers repair)"
        )
    live = source.rows(_LIVE_CALLS, {"credential_id": credential_id})[0][0]
    if live:
        raise Conflict(
            f"{live} calls of this credential are live or of unknown outcome: end or reconcile them first"
        )


def remove_credential(tx: Tx, credential_id: str, *, workspace_id: str, at: datetime) -> None:
    """Remove a credential and its numbers; its secrets are erased, its calls stay. Raises as `check_removable`."""
    check_removable(tx, credential_id, workspace_id=workspace_id)
    tx.write(_DROP_NUMBERS, {"id": credential_id})
    tx.write(_DROP_LINKS, {"id": credential_id})
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
        application_ref=row.application_ref,
        application_before=None if row.application_before is None else read_json(row.application_before),
        application_is_ours=row.application_is_ours,
        outbound_profile=row.outbound_profile,
    )
    return SealedCredential(credential=found, sealed=row.sealed)
