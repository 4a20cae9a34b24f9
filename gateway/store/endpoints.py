"""Webhook endpoints: where events go, with their secrets as the vault sealed them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, func, insert, or_, select, update

from gateway.errors import NotFound
from gateway.models import WebhookEndpoint
from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.rows import SealedEndpoint
from gateway.store.tables import webhook_endpoint
from gateway.store.workspaces import ensure_workspace

_c = webhook_endpoint.c
_INSERT: Final = insert(webhook_endpoint)
_BY_ID: Final = select(webhook_endpoint).where(_c.id == bindparam("id"))
# Events of the workspace may go on being written (they hold a key-share lock), other changes of it wait.
_LOCK: Final = _BY_ID.with_for_update(key_share=True)
_LIST: Final = (
    select(webhook_endpoint)
    .where(_c.workspace_id == bindparam("workspace_id"))
    .order_by(_c.created_at, _c.id)
)
_WRITTEN: Final = (
    "url",
    "event_types",
    "include_numbers",
    "is_enabled",
    "disabled_reason",
    "failing_since",
    "updated_at",
)
_THIS: Final = update(webhook_endpoint).where(_c.id == bindparam("of_id"))
_SAVE: Final = _THIS.where(_c.workspace_id == bindparam("of_workspace")).values(
    {name: bindparam(f"new_{name}") for name in _WRITTEN}
)
_RESEAL: Final = _THIS.where(_c.workspace_id == bindparam("of_workspace")).values(
    sealed=bindparam("new_sealed"), previous_until=bindparam("new_until"), updated_at=bindparam("at")
)
_RESEAL_SAME: Final = _THIS.where(_c.sealed == bindparam("old_sealed")).values(sealed=bindparam("new_sealed"))
_ALL: Final = select(webhook_endpoint).order_by(_c.id)
_SUCCEEDED: Final = _THIS.where(_c.failing_since.is_not(None)).values(failing_since=None)
_FAILED: Final = _THIS.values(
    failing_since=func.coalesce(_c.failing_since, bindparam("at", type_=_c.failing_since.type))
).returning(_c.failing_since)
_PAUSE: Final = _THIS.where(
    or_(_c.paused_until.is_(None), _c.paused_until < bindparam("until", type_=_c.paused_until.type))
).values(paused_until=bindparam("until", type_=_c.paused_until.type))
_RESUME: Final = _THIS.values(paused_until=None)
_DISABLE: Final = _THIS.where(_c.is_enabled).values(
    is_enabled=False, disabled_reason=bindparam("reason"), updated_at=bindparam("at")
)
_REMOVE: Final = delete(webhook_endpoint).where(
    _c.workspace_id == bindparam("workspace_id"), _c.id == bindparam("id")
)


def insert_endpoint(tx: Tx, new: WebhookEndpoint, *, sealed: str) -> None:
    """Add an endpoint with its sealed secrets; its workspace is made when it is new."""
    ensure_workspace(tx, new.workspace_id, new.created_at)
    fixed = {
        "id": new.id,
        "workspace_id": new.workspace_id,
        "sealed": sealed,
        "previous_until": None,
        "paused_until": None,
        "created_at": new.created_at,
    }
    tx.write(_INSERT, {**fixed, **_written(new)})


def load_endpoint(source: Reader, workspace_id: str, endpoint_id: str) -> WebhookEndpoint:
    """Return an endpoint. Raises NotFound, also for another workspace's."""
    return load_sealed_endpoint(source, workspace_id, endpoint_id).endpoint


def load_sealed_endpoint(source: Reader, workspace_id: str, endpoint_id: str) -> SealedEndpoint:
    """Return an endpoint with its sealed secrets; a transaction holds it until its end. Raises NotFound."""
    row = source.one(_LOCK if isinstance(source, Tx) else _BY_ID, {"id": endpoint_id})
    if row is None or row.workspace_id != workspace_id:
        raise NotFound("webhook endpoint", endpoint_id)
    return _sealed(row)


def find_sealed_endpoint(source: Reader, endpoint_id: str) -> SealedEndpoint | None:
    """Return an endpoint with its sealed secrets, or None when it was removed."""
    row = source.one(_BY_ID, {"id": endpoint_id})
    return None if row is None else _sealed(row)


def list_endpoints(source: Reader, workspace_id: str) -> list[WebhookEndpoint]:
    """Return the workspace's endpoints, oldest first."""
    return [_endpoint(row) for row in source.rows(_LIST, {"workspace_id": workspace_id})]


def save_endpoint(tx: Tx, changed: WebhookEndpoint) -> None:
    """Store a changed endpoint, loaded in the same transaction; its secrets stay. Raises NotFound."""
    values = {f"new_{name}": value for name, value in _written(changed).items()}
    if not tx.write(_SAVE, {**values, "of_id": changed.id, "of_workspace": changed.workspace_id}):
        raise NotFound("webhook endpoint", changed.id)


def save_endpoint_secrets(
    tx: Tx, workspace_id: str, endpoint_id: str, sealed: str, *, previous_until: datetime | None, at: datetime
) -> None:
    """Replace the sealed secrets and say until when the previous one still signs. Raises NotFound."""
    values = {"of_id": endpoint_id, "of_workspace": workspace_id, "at": at}
    if not tx.write(_RESEAL, {**values, "new_sealed": sealed, "new_until": previous_until}):
        raise NotFound("webhook endpoint", endpoint_id)


def list_sealed_endpoints(source: Reader) -> list[SealedEndpoint]:
    """Return the endpoints of every workspace."""
    return [_sealed(row) for row in source.rows(_ALL)]


def save_resealed(tx: Tx, endpoint_id: str, *, old: str, new: str) -> bool:
    """Replace the sealed secrets where they are still `old`; return whether they were."""
    return bool(tx.write(_RESEAL_SAME, {"of_id": endpoint_id, "old_sealed": old, "new_sealed": new}))


def remove_endpoint(tx: Tx, workspace_id: str, endpoint_id: str) -> None:
    """Remove an endpoint, its secrets and its deliveries. Raises NotFound."""
    if not tx.write(_REMOVE, {"workspace_id": workspace_id, "id": endpoint_id}):
        raise NotFound("webhook endpoint", endpoint_id)


# -- what deliveries tell about it ----------------------------------------------------------------------------------


def note_success(tx: Tx, endpoint_id: str) -> None:
    """Note that the endpoint took an event."""
    tx.write(_SUCCEEDED, {"of_id": endpoint_id})


def note_failure(tx: Tx, endpoint_id: str, at: datetime) -> datetime:
    """Note that the endpoint did not take an event; return since when it takes none (`at` for the first failure)."""
    row = tx.one(_FAILED, {"of_id": endpoint_id, "at": at})
    since: datetime | None = None if row is None else row.failing_since
    return since or at


def pause_endpoint(tx: Tx, endpoint_id: str, until: datetime | None) -> None:
    """Claim nothing for the endpoint before `until`; a longer pause stands. None: at once again."""
    if until is None:
        tx.write(_RESUME, {"of_id": endpoint_id})
    else:
        tx.write(_PAUSE, {"of_id": endpoint_id, "until": until})


def disable_endpoint(tx: Tx, endpoint_id: str, reason: str, *, at: datetime) -> bool:
    """Send nothing to the endpoint until somebody enables it; what is pending waits. False: it was disabled before."""
    values = {"of_id": endpoint_id, "reason": clean_text(reason, 500), "at": at}
    return bool(tx.write(_DISABLE, values))


# -- rows -----------------------------------------------------------------------------------------------------------


def _written(value: WebhookEndpoint) -> dict[str, Any]:
    reason = value.disabled_reason
    return {
        "url": clean_text(value.url, 2000),
        "event_types": write_json(value.event_types),
        "include_numbers": value.include_numbers,
        "is_enabled": value.is_enabled,
        "disabled_reason": None if reason is None else clean_text(reason, 500),
        "failing_since": value.failing_since,
        "updated_at": value.updated_at,
    }


def _endpoint(row: Row[Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=row.id,
        workspace_id=row.workspace_id,
        url=row.url,
        event_types=tuple(read_json(row.event_types)),
        include_numbers=row.include_numbers,
        is_enabled=row.is_enabled,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _sealed(row: Row[Any]) -> SealedEndpoint:
    return SealedEndpoint(endpoint=_endpoint(row), sealed=row.sealed, previous_until=row.previous_until)
