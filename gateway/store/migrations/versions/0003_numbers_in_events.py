"""Webhook endpoints say whether they want whole phone numbers; those that are there did not ask for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_numbers_in_events"
down_revision = "0002_public_api"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "webhook_endpoint",
        sa.Column("include_numbers", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
