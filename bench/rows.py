"""A gateway full of calls, quickly: a million in about a minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gateway import Gateway
from gateway.ids import new_id
from gateway.models import DEFAULT_SETTINGS, Call
from gateway.settings import load_settings
from gateway.status import (
    Authority,
    CallFacts,
    CallStatus,
    CarrierWords,
    Cost,
    Direction,
    Duration,
    EndCause,
    EndedBy,
    EndReport,
    Recording,
    resolve,
)
from gateway.store import calls
from gateway.store.workspaces import ensure_workspace

NEWEST = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
APART = timedelta(seconds=1)
AGENTS = 20
_INDEXES = (
    "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'call' AND type = 'index' AND sql IS NOT NULL"
)
STATUSES = ("completed", "busy", "completed", "no_answer", "completed", "voicemail", "completed", "failed")


@contextmanager
def opened(database_url: str) -> Iterator[Gateway]:
    """Open a gateway on a new database, with limits that no measurement meets."""
    settings = load_settings(env={}, database_url=database_url, rate_limit_per_key="1000000/minute")
    with Gateway.open(settings, background=False, upgrade=True) as gateway:
        yield gateway


def fill_calls(gateway: Gateway, count: int) -> list[str]:
    """Store `count` calls that are over, one a second up to `NEWEST`, and return their ids, oldest first.

    One is stored as every call is, the others as its copies, under indexes that are made when all are there.
    """
    store = gateway.services.store
    first = _a_call()
    with store.transaction() as tx:
        ensure_workspace(tx, first.workspace_id, first.created_at)
        calls.insert_call(tx, first)
    with closing(sqlite3.connect(store.url.database or "", isolation_level=None)) as raw:
        raw.row_factory = sqlite3.Row
        template = dict(raw.execute("SELECT * FROM call").fetchone())
        made = raw.execute(_INDEXES).fetchall()
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN")
        for index in made:
            raw.execute(f'DROP INDEX "{index["name"]}"')
        raw.execute("DELETE FROM call")
        names = ", ".join(template)
        statement = f"INSERT INTO call ({names}) VALUES ({', '.join('?' * len(template))})"  # noqa: S608 # our own names
        idents = [new_id() for _ in range(count)]
        raw.executemany(
            statement, (_row(template, number, count, ident) for number, ident in enumerate(idents))
        )
        for index in made:
            raw.execute(index["sql"])
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return idents


def _row(template: dict[str, object], number: int, count: int, ident: str) -> list[object]:
    at = (NEWEST - (count - 1 - number) * APART).isoformat(timespec="microseconds").replace("+00:00", "Z")
    said = {
        "id": ident,
        "status": STATUSES[number // 7 % len(STATUSES)],
        "direction": ("outbound", "inbound")[number % 3 == 0],
        "agent_id": f"agent-{number % AGENTS}",
        "created_at": at,
        "updated_at": at,
    }
    return [said.get(name, value) for name, value in template.items()]


def _a_call() -> Call:
    ended = NEWEST + timedelta(seconds=61)
    end = EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, words=CarrierWords(status="completed"))
    facts = CallFacts(
        ringing=True,
        answered=True,
        answered_at=NEWEST,
        ended_at=ended,
        ends=(end,),
        duration=Duration(seconds=61, authority=Authority.RECORD),
        cost=Cost(amount=Decimal("0.0140"), currency="USD", authority=Authority.RECORD),
        recordings=(Recording(ref="RE" + "0" * 32, duration_s=61),),
    )
    return Call(
        id=new_id(),
        workspace_id="default",
        direction=Direction.OUTBOUND,
        status=CallStatus.COMPLETED,
        to="+14155550123",
        from_number="+14155550100",
        agent_id="agent-0",
        credential_id=None,
        provider="twilio",
        settings=DEFAULT_SETTINGS,
        variables={"first_name": "Ada"},
        context={"crm_id": "4711"},
        facts=facts,
        end_reason=resolve(facts, Direction.OUTBOUND).end_reason,
        created_at=NEWEST,
        updated_at=NEWEST,
    )
