"""The first schema: everything the main job keeps.

A migration never changes once released, so it spells its types out and imports nothing of the gateway. Times are
timestamptz on PostgreSQL and text of fixed width on SQLite; numbers of rows are bigint and INTEGER.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_base"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "unmapped_word",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("provider", "table_name", "word", name="pk_unmapped_word"),
    )
    op.create_table(
        "workspace",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspace"),
    )
    op.create_table(
        "agent",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connect", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Text(), nullable=False),
        sa.Column("max_concurrent_calls", sa.Integer(), nullable=True),
        sa.Column("caller_id_strategy", sa.Text(), nullable=False),
        sa.Column("outbound_uses", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_agent_workspace_id"),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_agent"),
    )
    op.create_table(
        "credential",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("removed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_credential_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
        sa.UniqueConstraint("key", name="uq_credential_key"),
    )
    op.create_index("ix_credential_workspace", "credential", ["workspace_id", "created_at", "id"])
    op.create_table(
        "call",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("leg_id", sa.Text(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("variables", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("next_look_at", TIME, nullable=True),
        sa.Column("cost_look_at", TIME, nullable=True),
        sa.Column("cost_looks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_call_credential_id"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_call_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_call"),
        sa.UniqueConstraint("credential_id", "leg_id", name="uq_call_credential_id_leg_id"),
        sa.UniqueConstraint("workspace_id", "idempotency_key", name="uq_call_workspace_id_idempotency_key"),
    )
    op.create_index("ix_call_agent", "call", ["workspace_id", "agent_id", "created_at", "id"])
    op.create_index(
        "ix_call_cost_look",
        "call",
        ["cost_look_at"],
        sqlite_where=sa.text("cost_look_at IS NOT NULL"),
        postgresql_where=sa.text("cost_look_at IS NOT NULL"),
    )
    op.create_index("ix_call_direction", "call", ["workspace_id", "direction", "created_at", "id"])
    op.create_index(
        "ix_call_live",
        "call",
        ["workspace_id", "agent_id"],
        sqlite_where=sa.text("status IN ('queued', 'ringing', 'in_progress')"),
        postgresql_where=sa.text("status IN ('queued', 'ringing', 'in_progress')"),
    )
    op.create_index(
        "ix_call_look",
        "call",
        ["next_look_at"],
        sqlite_where=sa.text("next_look_at IS NOT NULL"),
        postgresql_where=sa.text("next_look_at IS NOT NULL"),
    )
    op.create_index("ix_call_page", "call", ["workspace_id", "created_at", "id"])
    op.create_index("ix_call_status", "call", ["workspace_id", "status", "created_at", "id"])
    op.create_table(
        "number",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("e164", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("area_code", sa.Text(), nullable=False),
        sa.Column("carrier_ref", sa.Text(), nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_number_credential_id"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_number_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_number"),
        sa.UniqueConstraint("credential_id", "e164", name="uq_number_credential_id_e164"),
    )
    op.create_index("ix_number_e164", "number", ["e164"])
    op.create_index("ix_number_workspace", "number", ["workspace_id", "created_at", "id"])
    op.create_table(
        "seen_webhook",
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("step_token", sa.Text(), nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_seen_webhook_credential_id"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_seen_webhook"),
    )
    op.create_index("ix_seen_webhook_received", "seen_webhook", ["received_at"])
    op.create_table(
        "action",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_action_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_action_credential_id"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_action_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_action"),
    )
    op.create_index("ix_action_call", "action", ["call_id"])
    op.create_index(
        "ix_action_due",
        "action",
        ["due_at", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", ROW_NUMBER, nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("number_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["number_id"], ["number.id"], name="fk_assignment_number_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "agent_id"],
            ["agent.workspace_id", "agent.id"],
            name="fk_assignment_workspace_id_agent_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_assignment"),
        sa.UniqueConstraint(
            "number_id", "agent_id", "direction", name="uq_assignment_number_id_agent_id_direction"
        ),
    )
    op.create_index("ix_assignment_agent", "assignment", ["workspace_id", "agent_id", "direction", "id"])
    op.create_index(
        "uq_assignment_inbound",
        "assignment",
        ["number_id"],
        unique=True,
        sqlite_where=sa.text("direction = 'inbound'"),
        postgresql_where=sa.text("direction = 'inbound'"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("leg_id", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("vendor_code", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("next_look_at", TIME, nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("clean_looks", sa.Integer(), nullable=False),
        sa.Column("first_clean_look_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("settled_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_attempt_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_attempt_credential_id"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_attempt_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
        sa.UniqueConstraint("call_id", "number", name="uq_attempt_call_id_number"),
        sa.UniqueConstraint("token", name="uq_attempt_token"),
    )
    op.create_index(
        "ix_attempt_lease",
        "attempt",
        ["lease_until"],
        sqlite_where=sa.text("state = 'dialing'"),
        postgresql_where=sa.text("state = 'dialing'"),
    )
    op.create_index(
        "ix_attempt_look",
        "attempt",
        ["next_look_at"],
        sqlite_where=sa.text("state = 'unknown'"),
        postgresql_where=sa.text("state = 'unknown'"),
    )
    op.create_index(
        "uq_attempt_open",
        "attempt",
        ["credential_id", "from_number", "to_number"],
        unique=True,
        sqlite_where=sa.text("state IN ('dialing', 'unknown')"),
        postgresql_where=sa.text("state IN ('dialing', 'unknown')"),
    )
    op.create_table(
        "call_event",
        sa.Column("position", ROW_NUMBER, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("status_after", sa.Text(), nullable=True),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("facts", sa.Text(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_call_event_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_call_event_credential_id"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_call_event_workspace_id"),
        sa.PrimaryKeyConstraint("position", name="pk_call_event"),
        sa.UniqueConstraint("credential_id", "event_id", name="uq_call_event_credential_id_event_id"),
        sa.UniqueConstraint("id", name="uq_call_event_id"),
    )
    op.create_index("ix_call_event_call", "call_event", ["call_id", "position"])
    op.create_table(
        "call_leg",
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("leg_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_call_leg_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_call_leg_credential_id"),
        sa.PrimaryKeyConstraint("credential_id", "leg_id", name="pk_call_leg"),
    )
    op.create_index("ix_call_leg_call", "call_leg", ["call_id"])
    op.create_table(
        "step",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Text(), nullable=False),
        sa.Column("tried_agents", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("join_deadline", TIME, nullable=True),
        sa.Column("stream_token_hash", sa.Text(), nullable=True),
        sa.Column("stream_expires_at", TIME, nullable=True),
        sa.Column("claimed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name="fk_step_call_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_step_workspace_id"),
        sa.PrimaryKeyConstraint("token", name="pk_step"),
        sa.UniqueConstraint("call_id", "position", name="uq_step_call_id_position"),
        sa.UniqueConstraint("stream_token_hash", name="uq_step_stream_token_hash"),
    )
    op.create_index(
        "ix_step_join",
        "step",
        ["join_deadline"],
        sqlite_where=sa.text("join_deadline IS NOT NULL AND state IN ('pending', 'started')"),
        postgresql_where=sa.text("join_deadline IS NOT NULL AND state IN ('pending', 'started')"),
    )
