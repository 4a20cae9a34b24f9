"""The tables. Every row belongs to a workspace; times are aware UTC; what SQL never looks into is JSON text.

The migrations are what makes a database; a test holds them equal to this module. `to_number` is spelled so because
`to` is a word of SQL.

Choices that are costly to change later:

* JSON is kept as text on both databases: what is stored is the same, byte by byte (R36), and is read whole.
* A credential that was removed keeps its row, without secrets, because calls and attempts point at it.
* `attempt` has a partial unique index: one open dial per (credential, caller ID, person), whatever workers do.
* Calls page by (created_at, id); each filter of the public list, and each combination of them, has its index, so a
  page costs the same at any depth and however rare what it looks for is.
* What statistics add up stands in columns of `call` beside the facts it comes from; money in millionths of its unit,
  because SQLite would add decimals as floating point.
* A deleted call leaves tombstones: its idempotency key places no second call, its late webhooks make no new one.
* Deliveries are claimed endpoint by endpoint, so one that hangs does not stand in the way of the others (R63): the
  index of what is pending begins with the endpoint.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeEngine

from gateway.status import CallStatus


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds: timestamptz on PostgreSQL, text of fixed width on SQLite, so it sorts."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of this database."""
        kind: TypeEngine[Any] = DateTime(timezone=True) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Write an instant. Raises ValueError for a naive time: it would be a different instant on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored; give an aware one")
        instant = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return instant
        return instant.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read an instant."""
        if value is None:
            return None
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return instant.astimezone(UTC)


# SQLite numbers rows by itself only in an INTEGER primary key.
RowNumber: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LIVE: Final = tuple(status.value for status in CallStatus if not status.is_final)
_IS_OPEN: Final = text("state IN ('dialing', 'unknown')")


def _partial(name: str, *columns: str, where: Any, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


workspace = Table(
    "workspace",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("account_ref", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # by the vault; "" once removed
    Column("exclusive", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    Index("ix_credential_workspace", "workspace_id", "created_at", "id"),
)

agent = Table(
    "agent",
    metadata,
    Column("workspace_id", Text, ForeignKey("workspace.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("connect", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("fallback", Text, nullable=False),
    Column("max_concurrent_calls", Integer),
    Column("caller_id_strategy", Text, nullable=False),
    Column("outbound_uses", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

number = Table(
    "number",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("credential_id", Text, ForeignKey("credential.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("e164", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("area_code", Text, nullable=False),
    Column("carrier_ref", Text),
    Column("last_used_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("credential_id", "e164"),
    Index("ix_number_e164", "e164"),
    Index("ix_number_workspace", "workspace_id", "created_at", "id"),
)

assignment = Table(
    "assignment",
    metadata,
    Column("id", RowNumber, primary_key=True),  # the order in which numbers were assigned
    Column("workspace_id", Text, nullable=False),
    Column("number_id", Text, ForeignKey("number.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    ForeignKeyConstraint(["workspace_id", "agent_id"], ["agent.workspace_id", "agent.id"]),
    UniqueConstraint("number_id", "agent_id", "direction"),
    _partial("uq_assignment_inbound", "number_id", where=text("direction = 'inbound'"), unique=True),
    Index("ix_assignment_agent", "workspace_id", "agent_id", "direction", "id"),
)

call = Table(
    "call",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("direction", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("from_number", Text, nullable=False),
    Column("agent_id", Text),
    Column("credential_id", Text, ForeignKey("credential.id")),
    Column("provider", Text),
    Column("leg_id", Text),
    Column("settings", Text, nullable=False),
    Column("variables", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("end_reason", Text),
    Column("idempotency_key", Text),
    Column("fingerprint", Text),  # of the request that the idempotency key came with
    Column("sequence", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("next_look_at", UtcTime),  # when to ask the carrier, unless it says something before; None: never
    Column("cost_look_at", UtcTime),  # when to ask for the cost; None: never
    Column("cost_looks", Integer, nullable=False, server_default=text("0")),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("is_answered", Boolean, nullable=False, server_default=false()),
    Column("talk_s", Integer),  # None until it ended
    Column("cost_micros", BigInteger),  # millionths of `cost_currency`
    Column("cost_currency", Text),
    UniqueConstraint("workspace_id", "idempotency_key"),
    UniqueConstraint("credential_id", "leg_id"),
    Index("ix_call_page", "workspace_id", "created_at", "id"),
    Index("ix_call_status", "workspace_id", "status", "created_at", "id"),
    Index("ix_call_agent", "workspace_id", "agent_id", "created_at", "id"),
    Index("ix_call_direction", "workspace_id", "direction", "created_at", "id"),
    Index("ix_call_agent_status", "workspace_id", "agent_id", "status", "created_at", "id"),
    Index("ix_call_agent_direction", "workspace_id", "agent_id", "direction", "created_at", "id"),
    Index("ix_call_direction_status", "workspace_id", "direction", "status", "created_at", "id"),
    Index("ix_call_all", "workspace_id", "agent_id", "direction", "status", "created_at", "id"),
    _partial("ix_call_look", "next_look_at", where=text("next_look_at IS NOT NULL")),
    _partial("ix_call_cost_look", "cost_look_at", where=text("cost_look_at IS NOT NULL")),
)

call_leg = Table(
    "call_leg",
    metadata,
    Column("credential_id", Text, ForeignKey("credential.id"), primary_key=True),
    Column("leg_id", Text, primary_key=True),
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Index("ix_call_leg_call", "call_id"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", Text, ForeignKey("credential.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("from_number", Text, nullable=False),
    Column("token", Text, nullable=False, unique=True),
    Column("command_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("leg_id", Text),
    Column("message", Text),
    Column("vendor_code", Text),
    Column("http_status", Integer),
    Column("version", BigInteger, nullable=False),
    Column("lease_until", UtcTime),
    Column("next_look_at", UtcTime),
    Column("looks", Integer, nullable=False),
    Column("clean_looks", Integer, nullable=False),
    Column("first_clean_look_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),
    UniqueConstraint("call_id", "number"),
    _partial("uq_attempt_open", "credential_id", "from_number", "to_number", where=_IS_OPEN, unique=True),
    _partial("ix_attempt_lease", "lease_until", where=text("state = 'dialing'")),
    _partial("ix_attempt_look", "next_look_at", where=text("state = 'unknown'")),
)

call_event = Table(
    "call_event",
    metadata,
    Column("position", RowNumber, primary_key=True),  # the order in which they were stored
    Column("id", Text, nullable=False, unique=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE")),
    Column("credential_id", Text, ForeignKey("credential.id")),
    Column("event_id", Text),  # the adapter's dedupe key; None for what the gateway did itself
    Column("provider", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("status_after", Text),
    Column("occurred_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("facts", Text),
    Column("raw", Text, nullable=False),
    UniqueConstraint("credential_id", "event_id"),
    Index("ix_call_event_call", "call_id", "position"),
)

seen_webhook = Table(
    "seen_webhook",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("credential_id", Text, ForeignKey("credential.id"), nullable=False),
    Column("status", Integer),  # of the first answer; None until it is known
    Column("step_token", Text),  # the step that the first answer rendered
    Column("received_at", UtcTime, nullable=False),
    Index("ix_seen_webhook_received", "received_at"),
)

step = Table(
    "step",
    metadata,
    Column("token", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("instruction", Text, nullable=False),
    Column("remaining", Text, nullable=False),
    Column("tried_agents", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("agent_id", Text),
    Column("join_deadline", UtcTime),
    Column("stream_token_hash", Text, unique=True),
    Column("stream_expires_at", UtcTime),
    Column("claimed_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("call_id", "position"),
    _partial(
        "ix_step_join",
        "join_deadline",
        where=text("join_deadline IS NOT NULL AND state IN ('pending', 'started')"),
    ),
)

action = Table(
    "action",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", Text, ForeignKey("credential.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("lease_until", UtcTime),
    Column("tries", Integer, nullable=False),
    Column("last_error", Text),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_action_call", "call_id"),
    _partial("ix_action_due", "due_at", "id", where=text("state = 'pending'")),
)

unmapped_word = Table(
    "unmapped_word",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("word", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", UtcTime, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


# -- the public API -------------------------------------------------------------------------------------------------

tombstone = Table(
    "tombstone",
    metadata,
    Column("kind", Text, primary_key=True),  # "key": an idempotency key; "leg": a carrier's id of a leg
    Column("owner", Text, primary_key=True),  # the workspace of a key, the credential of a leg
    Column("name", Text, primary_key=True),
    Column("deleted_at", UtcTime, nullable=False),
    Index("ix_tombstone_deleted", "deleted_at"),
)

call_analysis = Table(
    "call_analysis",
    metadata,
    Column("call_id", Text, ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("summary", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("transcript", Text, nullable=False),  # last: a list of calls is read without it
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    Column("key_hash", Text, nullable=False),  # SHA-256 of the whole key, in hex
    Column("scopes", Text, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_api_key_workspace", "workspace_id", "created_at", "id"),
)

rate_count = Table(
    "rate_count",
    metadata,
    Column("key", Text, primary_key=True),
    Column("window_start", UtcTime, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Index("ix_rate_count_window", "window_start"),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", Text, nullable=False),  # [] for all
    Column("sealed", Text, nullable=False),  # by the vault: the current secret and the previous one
    Column("previous_until", UtcTime),  # until when the previous secret still signs
    Column("is_enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("failing_since", UtcTime),
    Column("paused_until", UtcTime),  # it asked for slower deliveries: nothing is claimed before
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_webhook_endpoint_workspace", "workspace_id", "created_at", "id"),
)

notification = Table(
    "notification",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", Text, ForeignKey("call.id", ondelete="SET NULL")),
    Column("type", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("payload", Text, nullable=False),
    Index("ix_notification_page", "workspace_id", "id"),
    Index("ix_notification_created", "created_at"),
    _partial("ix_notification_call", "call_id", where=text("call_id IS NOT NULL")),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("notification_id", Text, ForeignKey("notification.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoint.id", ondelete="CASCADE"), nullable=False),
    Column("workspace_id", Text, ForeignKey("workspace.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcTime, nullable=False),  # while it is claimed: the end of the claim
    Column("lease_until", UtcTime),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    UniqueConstraint("notification_id", "endpoint_id"),
    Index("ix_delivery_page", "workspace_id", "id"),
    Index("ix_delivery_state", "workspace_id", "state", "id"),
    Index("ix_delivery_endpoint", "endpoint_id", "id"),
    Index("ix_delivery_endpoint_state", "endpoint_id", "state", "id"),
    _partial("ix_delivery_pending", "endpoint_id", "due_at", "id", where=text("state = 'pending'")),
    _partial(
        "ix_delivery_leased",
        "endpoint_id",
        "lease_until",
        where=text("state = 'pending' AND lease_until IS NOT NULL"),
    ),
)
