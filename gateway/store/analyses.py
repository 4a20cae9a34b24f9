"""What call engines found out about calls: transcript, summary, outcome."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, or_, select

from gateway.models import Analysis, AnalysisSummary, TranscriptLine
from gateway.store.codec import clean_text, read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.statements import upsert
from gateway.store.tables import call_analysis

_c = call_analysis.c
_PUT: Final = upsert(
    call_analysis,
    lambda statement: statement.on_conflict_do_update(
        index_elements=["call_id"],
        set_={
            name: statement.excluded[name]
            for name in ("summary", "outcome", "line_count", "updated_at", "transcript")
        },
        where=or_(*(_c[name] != statement.excluded[name] for name in ("summary", "outcome", "transcript"))),
    ),
)
_OF_CALL: Final = select(call_analysis).where(_c.call_id == bindparam("call_id"))
_OF_CALLS: Final = select(_c.call_id, _c.summary, _c.outcome, _c.line_count).where(
    _c.call_id.in_(bindparam("call_ids", expanding=True))
)


def put_analysis(tx: Tx, workspace_id: str, call_id: str, analysis: Analysis, *, at: datetime) -> bool:
    """Keep a call's analysis in the place of the one before; return False when it was the same.

    Raises:
        Conflict: there is no such call.
    """
    values = {
        "call_id": call_id,
        "workspace_id": workspace_id,
        "summary": clean_text(analysis.summary),
        "outcome": clean_text(analysis.outcome, 200),
        "line_count": len(analysis.transcript),
        "updated_at": at,
        "transcript": write_json([_line(line) for line in analysis.transcript]),
    }
    return bool(tx.write(_PUT, values))


def find_analysis(source: Reader, call_id: str) -> Analysis | None:
    """Return a call's analysis, or None."""
    row = source.one(_OF_CALL, {"call_id": call_id})
    return None if row is None else _analysis(row)


def analyses_of(source: Reader, call_ids: Iterable[str]) -> dict[str, AnalysisSummary]:
    """Return the analyses of calls, by call id, without their transcripts; calls that have none are left out."""
    wanted = list(call_ids)
    if not wanted:
        return {}
    return {
        row.call_id: AnalysisSummary(
            summary=row.summary, outcome=row.outcome, has_transcript=row.line_count > 0
        )
        for row in source.rows(_OF_CALLS, {"call_ids": wanted})
    }


def _line(line: TranscriptLine) -> list[Any]:
    return [str(line.speaker), line.timestamp_s, line.text]


def _analysis(row: Row[Any]) -> Analysis:
    lines = (
        TranscriptLine(speaker=speaker, timestamp_s=timestamp_s, text=text)
        for speaker, timestamp_s, text in read_json(row.transcript)
    )
    return Analysis(transcript=tuple(lines), summary=row.summary, outcome=row.outcome)
