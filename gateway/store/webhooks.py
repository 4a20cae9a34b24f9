"""Webhooks seen before, by a hash of exactly what was signed (R22)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select, update

from gateway.store.engine import Tx
from gateway.store.rows import SeenReply
from gateway.store.statements import insert_new
from gateway.store.tables import seen_webhook

_c = seen_webhook.c
_SEE: Final = insert_new(seen_webhook)
_SEEN: Final = select(seen_webhook).where(_c.key_hash == bindparam("key_hash"))
_REPLY: Final = (
    update(seen_webhook)
    .where(_c.key_hash == bindparam("of_hash"))
    .values(status=bindparam("new_status"), step_token=bindparam("new_token"))
)
_PURGE: Final = delete(seen_webhook).where(
    _c.key_hash.in_(
        select(_c.key_hash)
        .where(_c.received_at < bindparam("before"))
        .order_by(_c.received_at)
        .limit(bindparam("most"))
    )
)


def see_webhook(tx: Tx, key_hash: str, credential_id: str, now: datetime) -> SeenReply | None:
    """Note a webhook: None when it is new, else what it was answered the first time."""
    values = {"key_hash": key_hash, "credential_id": credential_id, "received_at": now}
    if tx.write(_SEE, {**values, "status": None, "step_token": None}):
        return None
    row = tx.rows(_SEEN, {"key_hash": key_hash})[0]
    return SeenReply(
        credential_id=row.credential_id,
        status=row.status,
        step_token=row.step_token,
        received_at=row.received_at,
    )


def set_seen_reply(tx: Tx, key_hash: str, *, status: int, step_token: str | None = None) -> None:
    """Keep what the webhook was answered: the HTTP status and the step that was rendered."""
    tx.write(_REPLY, {"of_hash": key_hash, "new_status": status, "new_token": step_token})


def purge_seen(tx: Tx, before: datetime, *, limit: int = 5000) -> int:
    """Forget webhooks received before `before` (keep at least 24 h); return how many, at most `limit` a transaction."""
    return tx.write(_PURGE, {"before": before, "most": limit})
