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
* What a number pointed at before us is kept verbatim, and is never overwritten while the number is ours.
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
from gateway.store.codec import storable_text


class CleanText(TypeDecorator[str]):
    """Text that both databases take: a look-up by a hostile word finds nothing instead of failing (R87)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write text, without what cannot be stored (R36)."""
        return None if value is None else storable_text(value)


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
    Column("id", CleanText, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("provider", CleanText, nullable=False),
    Column("name", CleanText, nullable=False),
    Column("key", CleanText, nullable=False, unique=True),
    Column("account_ref", CleanText, nullable=False),
    Column("sealed", CleanText, nullable=False),  # by the vault; "" once removed
    Column("exclusive", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    Column("application_ref", CleanText),  # what its numbers point at, where the carrier has such a thing
    Column("application_before", CleanText),  # its settings before us, verbatim; None when we made it
    Column("application_is_ours", Boolean, nullable=False, server_default=false()),
    Column("outbound_profile", CleanText),
    Index("ix_credential_workspace", "workspace_id", "created_at", "id"),
)

agent = Table(
    "agent",
    metadata,
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("name", CleanText, nullable=False),
    Column("connect", CleanText, nullable=False),
    Column("settings", CleanText, nullable=False),
    Column("fallback", CleanText, nullable=False),
    Column("max_concurrent_calls", Integer),
    Column("caller_id_strategy", CleanText, nullable=False),
    Column("outbound_uses", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

number = Table(
    "number",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("credential_id", CleanText, ForeignKey("credential.id"), nullable=False),
    Column("provider", CleanText, nullable=False),
    Column("e164", CleanText, nullable=False),
    Column("country", CleanText, nullable=False),
    Column("area_code", CleanText, nullable=False),
    Column("carrier_ref", CleanText),
    Column("last_used_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("kind", CleanText, nullable=False, server_default=text("'owned'")),
    Column("setup_state", CleanText, nullable=False, server_default=text("'none'")),
    Column(
        "before", CleanText
    ),  # the carrier's settings before us, verbatim: written once, kept until put back
    Column("pointed_at", CleanText),  # the same in one line for a person
    Column("checked_at", UtcTime),
    Column("next_check_at", UtcTime),  # None: nothing of it is ours to watch
    Column("differences", CleanText, nullable=False, server_default=text("'{}'")),
    Column("is_drifted", Boolean, nullable=False, server_default=false()),
    Column("sip_link_id", CleanText),
    Column("trunk_ref", CleanText),
    UniqueConstraint("credential_id", "e164"),
    _partial("ix_number_check", "next_check_at", "id", where=text("next_check_at IS NOT NULL")),
    Index("ix_number_e164", "e164"),
    Index("ix_number_workspace", "workspace_id", "created_at", "id"),
)

assignment = Table(
    "assignment",
    metadata,
    Column("id", RowNumber, primary_key=True),  # the order in which numbers were assigned
    Column("workspace_id", CleanText, nullable=False),
    Column("number_id", CleanText, ForeignKey("number.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", CleanText, nullable=False),
    Column("direction", CleanText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    ForeignKeyConstraint(["workspace_id", "agent_id"], ["agent.workspace_id", "agent.id"]),
    UniqueConstraint("number_id", "agent_id", "direction"),
    _partial("uq_assignment_inbound", "number_id", where=text("direction = 'inbound'"), unique=True),
    Index("ix_assignment_agent", "workspace_id", "agent_id", "direction", "id"),
)

call = Table(
    "call",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("direction", CleanText, nullable=False),
    Column("status", CleanText, nullable=False),
    Column("to_number", CleanText, nullable=False),
    Column("from_number", CleanText, nullable=False),
    Column("agent_id", CleanText),
    Column("credential_id", CleanText, ForeignKey("credential.id")),
    Column("provider", CleanText),
    Column("leg_id", CleanText),
    Column("settings", CleanText, nullable=False),
    Column("variables", CleanText, nullable=False),
    Column("context", CleanText, nullable=False),
    Column("facts", CleanText, nullable=False),
    Column("end_reason", CleanText),
    Column("idempotency_key", CleanText),
    Column("fingerprint", CleanText),  # of the request that the idempotency key came with
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
    Column("cost_currency", CleanText),
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
    Column("credential_id", CleanText, ForeignKey("credential.id"), primary_key=True),
    Column("leg_id", CleanText, primary_key=True),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Index("ix_call_leg_call", "call_id"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", CleanText, ForeignKey("credential.id"), nullable=False),
    Column("provider", CleanText, nullable=False),
    Column("to_number", CleanText, nullable=False),
    Column("from_number", CleanText, nullable=False),
    Column("token", CleanText, nullable=False, unique=True),
    Column("command_id", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("number", Integer, nullable=False),
    Column("leg_id", CleanText),
    Column("message", CleanText),
    Column("vendor_code", CleanText),
    Column("http_status", Integer),
    Column("version", BigInteger, nullable=False),
    Column("lease_until", UtcTime),
    Column("next_look_at", UtcTime),
    Column("looks", Integer, nullable=False),
    Column("clean_looks", Integer, nullable=False),
    Column("first_clean_look_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),
    Column("trunk_ref", CleanText),  # the link to another SIP carrier that it was dialed by
    UniqueConstraint("call_id", "number"),
    _partial("uq_attempt_open", "credential_id", "from_number", "to_number", where=_IS_OPEN, unique=True),
    _partial("ix_attempt_lease", "lease_until", where=text("state = 'dialing'")),
    _partial("ix_attempt_look", "next_look_at", where=text("state = 'unknown'")),
)

call_event = Table(
    "call_event",
    metadata,
    Column("position", RowNumber, primary_key=True),  # the order in which they were stored
    Column("id", CleanText, nullable=False, unique=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE")),
    Column("credential_id", CleanText, ForeignKey("credential.id")),
    Column("event_id", CleanText),  # the adapter's dedupe key; None for what the gateway did itself
    Column("provider", CleanText, nullable=False),
    Column("name", CleanText, nullable=False),
    Column("source", CleanText, nullable=False),
    Column("outcome", CleanText, nullable=False),
    Column("detail", CleanText, nullable=False),
    Column("status_after", CleanText),
    Column("occurred_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("facts", CleanText),
    Column("raw", CleanText, nullable=False),
    UniqueConstraint("credential_id", "event_id"),
    Index("ix_call_event_call", "call_id", "position"),
)

seen_webhook = Table(
    "seen_webhook",
    metadata,
    Column("key_hash", CleanText, primary_key=True),
    Column("credential_id", CleanText, ForeignKey("credential.id"), nullable=False),
    Column("status", Integer),  # of the first answer; None until it is known
    Column("step_token", CleanText),  # the step that the first answer rendered
    Column("received_at", UtcTime, nullable=False),
    Index("ix_seen_webhook_received", "received_at"),
)

step = Table(
    "step",
    metadata,
    Column("token", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("instruction", CleanText, nullable=False),
    Column("remaining", CleanText, nullable=False),
    Column("tried_agents", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("detail", CleanText, nullable=False),
    Column("agent_id", CleanText),
    Column("join_deadline", UtcTime),
    Column("stream_token_hash", CleanText, unique=True),
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
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", CleanText, ForeignKey("credential.id"), nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("payload", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("lease_until", UtcTime),
    Column("tries", Integer, nullable=False),
    Column("last_error", CleanText),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_action_call", "call_id"),
    _partial("ix_action_due", "due_at", "id", where=text("state = 'pending'")),
)

unmapped_word = Table(
    "unmapped_word",
    metadata,
    Column("provider", CleanText, primary_key=True),
    Column("table_name", CleanText, primary_key=True),
    Column("word", CleanText, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("owner", CleanText, nullable=False),
    Column("until", UtcTime, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("value", CleanText, nullable=False),
)


# -- the public API -------------------------------------------------------------------------------------------------

tombstone = Table(
    "tombstone",
    metadata,
    Column("kind", CleanText, primary_key=True),  # "key": an idempotency key; "leg": a carrier's id of a leg
    Column("owner", CleanText, primary_key=True),  # the workspace of a key, the credential of a leg
    Column("name", CleanText, primary_key=True),
    Column("deleted_at", UtcTime, nullable=False),
    Index("ix_tombstone_deleted", "deleted_at"),
)

call_analysis = Table(
    "call_analysis",
    metadata,
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("summary", CleanText, nullable=False),
    Column("outcome", CleanText, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("transcript", CleanText, nullable=False),  # last: a list of calls is read without it
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("prefix", CleanText, nullable=False, unique=True),
    Column("key_hash", CleanText, nullable=False),  # SHA-256 of the whole key, in hex
    Column("scopes", CleanText, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_api_key_workspace", "workspace_id", "created_at", "id"),
)

rate_count = Table(
    "rate_count",
    metadata,
    Column("key", CleanText, primary_key=True),
    Column("window_start", UtcTime, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Index("ix_rate_count_window", "window_start"),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("url", CleanText, nullable=False),
    Column("event_types", CleanText, nullable=False),  # [] for all
    Column("include_numbers", Boolean, nullable=False, server_default=false()),
    Column("sealed", CleanText, nullable=False),  # by the vault: the current secret and the previous one
    Column("previous_until", UtcTime),  # until when the previous secret still signs
    Column("is_enabled", Boolean, nullable=False),
    Column("disabled_reason", CleanText),
    Column("failing_since", UtcTime),
    Column("paused_until", UtcTime),  # it asked for slower deliveries: nothing is claimed before
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_webhook_endpoint_workspace", "workspace_id", "created_at", "id"),
)

notification = Table(
    "notification",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("call_id", CleanText, ForeignKey("call.id", ondelete="SET NULL")),
    Column("type", CleanText, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("payload", CleanText, nullable=False),
    Index("ix_notification_page", "workspace_id", "id"),
    Index("ix_notification_created", "created_at"),
    _partial("ix_notification_call", "call_id", where=text("call_id IS NOT NULL")),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("notification_id", CleanText, ForeignKey("notification.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint_id", CleanText, ForeignKey("webhook_endpoint.id", ondelete="CASCADE"), nullable=False),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("state", CleanText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcTime, nullable=False),  # while it is claimed: the end of the claim
    Column("lease_until", UtcTime),
    Column("last_status", Integer),
    Column("last_error", CleanText),
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


# -- bringing an account --------------------------------------------------------------------------------------------

sip_link = Table(
    "sip_link",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("credential_id", CleanText, ForeignKey("credential.id"), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("carrier_host", CleanText),
    Column("carrier_ips", CleanText, nullable=False),
    Column("username", CleanText),
    Column("sealed", CleanText, nullable=False),  # by the vault: the password; "" without one
    Column("refs", CleanText, nullable=False),
    Column("trunk_ref", CleanText),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("credential_id", "name"),
)

operation = Table(
    "operation",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("workspace_id", CleanText, ForeignKey("workspace.id"), nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("payload", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer),  # None until it is known
    Column("tries", BigInteger, nullable=False),
    Column("due_at", UtcTime, nullable=False),  # while it is claimed: the end of the claim
    Column("last_error", CleanText),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Index("ix_operation_workspace", "workspace_id", "created_at", "id"),
    _partial("ix_operation_due", "due_at", "id", where=text("state = 'pending'")),
    _partial("ix_operation_finished", "finished_at", where=text("finished_at IS NOT NULL")),
)

operation_result = Table(
    "operation_result",
    metadata,
    Column("operation_id", CleanText, ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("subject", CleanText, nullable=False),  # the number, as it was given
    Column("verdict", CleanText, nullable=False),
    Column("detail", CleanText, nullable=False),
)
