"""Alembic's entry: runs the migrations on the connection, and inside the transaction, that `schema.upgrade` opened."""

from __future__ import annotations

from alembic import context

from gateway.store.schema import VERSION_TABLE
from gateway.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
