"""Keys of the public API: found by their prefix, proved by a hash; the key itself is never stored (R81)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, func, select, update

from gateway.errors import Conflict, NotFound
from gateway.models import ApiKey, Scope
from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.rows import StoredKey
from gateway.store.statements import insert_new
from gateway.store.tables import api_key
from gateway.store.workspaces import ensure_workspace

_c = api_key.c
_INSERT: Final = insert_new(api_key)
_BY_PREFIX: Final = select(api_key).where(_c.prefix == bindparam("prefix"))
_LIST: Final = (
    select(api_key).where(_c.workspace_id == bindparam("workspace_id")).order_by(_c.created_at, _c.id)
)
_REVOKE: Final = (
    update(api_key)
    .where(_c.workspace_id == bindparam("of_workspace"), _c.id == bindparam("of_id"))
    .values(revoked_at=func.coalesce(_c.revoked_at, bindparam("at", type_=_c.revoked_at.type)))
    .returning(api_key)
)


def insert_key(tx: Tx, new: ApiKey, *, key_hash: str) -> None:
    """Add a key; its workspace is made when it is new.

    Args:
        key_hash: SHA-256 of the whole key, in hex.

    Raises:
        Conflict: another key has this prefix.
    """
    ensure_workspace(tx, new.workspace_id, new.created_at)
    values = {
        "id": new.id,
        "workspace_id": new.workspace_id,
        "name": clean_text(new.name, 200),
        "prefix": new.prefix,
        "key_hash": key_hash,
        "scopes": write_json(sorted(new.scopes)),
        "expires_at": new.expires_at,
        "revoked_at": new.revoked_at,
        "created_at": new.created_at,
    }
    if not tx.write(_INSERT, values):
        raise Conflict("another key has this prefix")


def find_key_by_prefix(source: Reader, prefix: str) -> StoredKey | None:
    """Return the key with this prefix, also a revoked or expired one, and its hash; or None."""
    row = source.one(_BY_PREFIX, {"prefix": clean_text(prefix, 200)})
    return None if row is None else StoredKey(key=_key(row), key_hash=row.key_hash)


def list_keys(source: Reader, workspace_id: str) -> list[ApiKey]:
    """Return the workspace's keys, oldest first, revoked ones too."""
    return [_key(row) for row in source.rows(_LIST, {"workspace_id": workspace_id})]


def revoke_key(tx: Tx, workspace_id: str, key_id: str, *, at: datetime) -> ApiKey:
    """Revoke a key and return it; one that is revoked already stays as it is. Raises NotFound."""
    row = tx.one(_REVOKE, {"of_workspace": workspace_id, "of_id": key_id, "at": at})
    if row is None:
        raise NotFound("API key", key_id)
    return _key(row)


def _key(row: Row[Any]) -> ApiKey:
    known = {scope.value for scope in Scope}  # a scope of a newer gateway gives nothing here
    return ApiKey(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(Scope(word) for word in read_json(row.scopes) if word in known),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )
