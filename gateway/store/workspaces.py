"""Workspaces: the tenants of the embedding platform."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select

from gateway.store.engine import Reader, Tx
from gateway.store.statements import insert_new
from gateway.store.tables import workspace

_ENSURE: Final = insert_new(workspace)
_ALL: Final = select(workspace.c.id).order_by(workspace.c.id)


def ensure_workspace(tx: Tx, workspace_id: str, at: datetime) -> None:
    """Make the workspace when it does not exist yet."""
    tx.write(_ENSURE, {"id": workspace_id, "created_at": at})


def list_workspaces(source: Reader) -> list[str]:
    """Return the ids of all workspaces."""
    return [row.id for row in source.rows(_ALL)]
