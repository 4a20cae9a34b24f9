"""Use case: the call engine hands in what it found out about a call: transcript, summary, outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.errors import NotFound, ValidationError
from gateway.journaling import note
from gateway.models import Analysis, Call
from gateway.notifying import EventType, GatewayEvent
from gateway.publishing import announce
from gateway.services import Services
from gateway.store import analyses, calls

MAX_LINES: Final = 10_000
MAX_LINE: Final = 20_000  # characters, of one line and of a summary
MAX_TRANSCRIPT: Final = 2_000_000  # characters
MAX_OUTCOME: Final = 200


def put_analysis(services: Services, workspace_id: str, call_id: str, analysis: Analysis) -> Call:
    """Keep the analysis of a call, live or over, in the place of the one before, and fire `call.analyzed`.

    The same analysis once more changes nothing and fires nothing.

    Raises:
        NotFound: the workspace has no such call. ValidationError: a text is too long; it names the field.
    """
    check_analysis(analysis)
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, calls.load_call(tx, call_id, workspace_id=workspace_id).id)
        if not analyses.put_analysis(tx, workspace_id, call_id, analysis, at=now):
            return before
        after = replace(before, sequence=before.sequence + 1, updated_at=now)
        after = calls.save_call(tx, after, expected_version=before.version)
        note(tx, after, "analysis stored", now, detail=f"{len(analysis.transcript)} lines")
        fired = [GatewayEvent(type=EventType.ANALYZED, call=after, occurred_at=now)]
        announce(tx, fired)
    services.notifier.fire(fired)
    return after


def load_analysis(services: Services, workspace_id: str, call_id: str) -> Analysis:
    """Return the analysis of a call. Raises NotFound: no such call, or nobody handed in an analysis yet."""
    found = analyses.find_analysis(
        services.store, calls.load_call(services.store, call_id, workspace_id=workspace_id).id
    )
    if found is None:
        raise NotFound("analysis of call", call_id)
    return found


def check_analysis(analysis: Analysis) -> None:
    """Raise ValidationError for an analysis that is too long to keep whole."""
    if len(analysis.summary) > MAX_LINE:
        raise ValidationError("summary", f"give at most {MAX_LINE} characters")
    if len(analysis.outcome) > MAX_OUTCOME:
        raise ValidationError("outcome", f"give at most {MAX_OUTCOME} characters")
    if len(analysis.transcript) > MAX_LINES:
        raise ValidationError("transcript", f"give at most {MAX_LINES} lines")
    for position, line in enumerate(analysis.transcript):
        if len(line.text) > MAX_LINE:
            raise ValidationError(f"transcript.{position}.text", f"give at most {MAX_LINE} characters")
    if sum(len(line.text) for line in analysis.transcript) > MAX_TRANSCRIPT:
        raise ValidationError("transcript", f"give at most {MAX_TRANSCRIPT} characters")
