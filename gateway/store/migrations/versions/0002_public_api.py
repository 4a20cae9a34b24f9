"""The public API: keys, limits, webhook endpoints and their outbox, analyses, figures of calls for statistics.

A migration never changes once released, so it spells its types out and imports nothing of the gateway. Calls that are
there already get the figures that their facts hold.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002_public_api"
down_revision = "0001_base"
branch_labels = None
depends_on = None

TIME = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")
BATCH = 1000
CALL = sa.table(
    "call",
    sa.column("id", sa.Text()),
    sa.column("facts", sa.Text()),
    sa.column("is_answered", sa.Boolean()),
    sa.column("talk_s", sa.Integer()),
    sa.column("cost_micros", sa.BigInteger()),
    sa.column("cost_currency", sa.Text()),
)


def upgrade() -> None:
    op.add_column("call", sa.Column("is_answered", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("call", sa.Column("talk_s", sa.Integer(), nullable=True))
    op.add_column("call", sa.Column("cost_micros", sa.BigInteger(), nullable=True))
    op.add_column("call", sa.Column("cost_currency", sa.Text(), nullable=True))
    fill_figures()
    op.drop_index("ix_call_live", table_name="call")  # ix_call_agent_status answers it too
    op.create_index("ix_call_agent_status", "call", ["workspace_id", "agent_id", "status", "created_at", "id"])
    op.create_index("ix_call_agent_direction", "call", ["workspace_id", "agent_id", "direction", "created_at", "id"])
    op.create_index("ix_call_direction_status", "call", ["workspace_id", "direction", "status", "created_at", "id"])
    op.create_index("ix_call_all", "call", ["workspace_id", "agent_id", "direction", "status", "created_at", "id"])
    op.create_table(
        "tombstone",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("deleted_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "name", name="pk_tombstone"),
    )
    op.create_index("ix_tombstone_deleted", "tombstone", ["deleted_at"])
    op.create_table(
        "call_analysis",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("transcript", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_call_analysis_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_call_analysis_workspace_id"),
        sa.PrimaryKeyConstraint("call_id", name="pk_call_analysis"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_api_key_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("prefix", name="uq_api_key_prefix"),
    )
    op.create_index("ix_api_key_workspace", "api_key", ["workspace_id", "created_at", "id"])
    op.create_table(
        "rate_count",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("window_start", TIME, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "window_start", name="pk_rate_count"),
    )
    op.create_index("ix_rate_count_window", "rate_count", ["window_start"])
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("previous_until", TIME, nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("paused_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_webhook_endpoint_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoint"),
    )
    op.create_index("ix_webhook_endpoint_workspace", "webhook_endpoint", ["workspace_id", "created_at", "id"])
    op.create_table(
        "notification",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_notification_call_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_notification_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
    )
    op.create_index("ix_notification_page", "notification", ["workspace_id", "id"])
    op.create_index("ix_notification_created", "notification", ["created_at"])
    partial_index("ix_notification_call", "notification", ["call_id"], "call_id IS NOT NULL")
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.id"], name="fk_delivery_notification_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoint.id"], name="fk_delivery_endpoint_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_delivery_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("notification_id", "endpoint_id", name="uq_delivery_notification_id_endpoint_id"),
    )
    op.create_index("ix_delivery_page", "delivery", ["workspace_id", "id"])
    op.create_index("ix_delivery_state", "delivery", ["workspace_id", "state", "id"])
    op.create_index("ix_delivery_endpoint", "delivery", ["endpoint_id", "id"])
    op.create_index("ix_delivery_endpoint_state", "delivery", ["endpoint_id", "state", "id"])
    partial_index("ix_delivery_pending", "delivery", ["endpoint_id", "due_at", "id"], "state = 'pending'")
    partial_index(
        "ix_delivery_leased",
        "delivery",
        ["endpoint_id", "lease_until"],
        "state = 'pending' AND lease_until IS NOT NULL",
    )


def partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


# -- calls that are there already -----------------------------------------------------------------------------------


def fill_figures() -> None:
    connection = op.get_bind()
    batch = (
        sa.select(CALL.c.id, CALL.c.facts)
        .where(CALL.c.id > sa.bindparam("after"))
        .order_by(CALL.c.id)
        .limit(BATCH)
    )
    names = ("is_answered", "talk_s", "cost_micros", "cost_currency")
    fill = (
        sa.update(CALL)
        .where(CALL.c.id == sa.bindparam("of_id"))
        .values({name: sa.bindparam(f"new_{name}") for name in names})
    )
    after = ""
    while rows := connection.execute(batch, {"after": after}).all():
        connection.execute(fill, [{"of_id": row.id, **figures(read_facts(row.facts))} for row in rows])
        after = rows[-1].id


def read_facts(text: str) -> dict[str, Any]:
    """A call whose facts are damaged adds nothing to statistics; whoever loads it is told."""
    try:
        facts: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return facts


def figures(facts: dict[str, Any]) -> dict[str, Any]:
    """Read what statistics add up from a call's facts, by the rules of the version that this migration came with."""
    proofs = {end.get("proves_answered") for end in facts.get("ends", [])}
    answered = True in proofs or (bool(facts.get("answered")) and False not in proofs)
    micros, currency = cost(facts.get("cost"))
    return {
        "new_is_answered": answered,
        "new_talk_s": talk_s(facts, answered),
        "new_cost_micros": micros,
        "new_cost_currency": currency,
    }


def talk_s(facts: dict[str, Any], answered: bool) -> int | None:
    if not facts.get("ends"):
        return None
    if facts.get("duration"):
        return int(facts["duration"]["seconds"])
    if not answered or not facts.get("answered_at") or not facts.get("ended_at"):
        return 0
    lasted = datetime.fromisoformat(facts["ended_at"]) - datetime.fromisoformat(facts["answered_at"])
    return max(0, round(lasted.total_seconds()))


def cost(said: dict[str, Any] | None) -> tuple[int | None, str | None]:
    if not said:
        return None, None
    try:
        amount = Decimal(said["amount"])
    except InvalidOperation:
        return None, None
    if not amount.is_finite() or abs(amount) >= 1_000_000_000:
        return None, None
    return round(amount * 1_000_000), said["currency"]
