"""Bringing an account: what stood at the carrier before us, what was set, what is wrong with it, and long work.

A migration never changes once released, so it spells its types out and imports nothing of the gateway.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_byoc"
down_revision = "0003_numbers_in_events"
branch_labels = None
depends_on = None

TIME = sa.Text().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.add_column("credential", sa.Column("application_ref", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("application_before", sa.Text(), nullable=True))
    op.add_column(
        "credential", sa.Column("application_is_ours", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("credential", sa.Column("outbound_profile", sa.Text(), nullable=True))
    op.add_column("attempt", sa.Column("trunk_ref", sa.Text(), nullable=True))
    op.add_column("number", sa.Column("kind", sa.Text(), server_default=sa.text("'owned'"), nullable=False))
    op.add_column("number", sa.Column("setup_state", sa.Text(), server_default=sa.text("'none'"), nullable=False))
    op.add_column("number", sa.Column("before", sa.Text(), nullable=True))
    op.add_column("number", sa.Column("pointed_at", sa.Text(), nullable=True))
    op.add_column("number", sa.Column("checked_at", TIME, nullable=True))
    op.add_column("number", sa.Column("next_check_at", TIME, nullable=True))
    op.add_column("number", sa.Column("differences", sa.Text(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("number", sa.Column("is_drifted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("number", sa.Column("sip_link_id", sa.Text(), nullable=True))
    op.add_column("number", sa.Column("trunk_ref", sa.Text(), nullable=True))
    partial_index("ix_number_check", "number", ["next_check_at", "id"], "next_check_at IS NOT NULL")
    op.create_table(
        "sip_link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("carrier_host", sa.Text(), nullable=True),
        sa.Column("carrier_ips", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("refs", sa.Text(), nullable=False),
        sa.Column("trunk_ref", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_sip_link_workspace_id"),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name="fk_sip_link_credential_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sip_link"),
        sa.UniqueConstraint("credential_id", "name", name="uq_sip_link_credential_id_name"),
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_operation_workspace_id"),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
    )
    op.create_index("ix_operation_workspace", "operation", ["workspace_id", "created_at", "id"])
    partial_index("ix_operation_due", "operation", ["due_at", "id"], "state = 'pending'")
    partial_index("ix_operation_finished", "operation", ["finished_at"], "finished_at IS NOT NULL")
    op.create_table(
        "operation_result",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operation.id"], name="fk_operation_result_operation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("operation_id", "position", name="pk_operation_result"),
    )


def partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
