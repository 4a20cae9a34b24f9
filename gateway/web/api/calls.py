"""The routes of calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from gateway.errors import NotFound, ProviderError, ValidationError
from gateway.models import Analysis, ApiKey, CallSettings, Scope, TranscriptLine
from gateway.models import Call as CallModel
from gateway.showing import call_document, event_document, time_text, transcript_document
from gateway.status import CallStatus
from gateway.store.calls import COUNT_CAP
from gateway.store.rows import CallPage, Tally
from gateway.web.api import schemas
from gateway.web.api.errors import ApiError
from gateway.web.api.operations import Api

LARGEST_ANALYSIS: Final = 1_048_576  # bytes
_TAG: Final = "calls"
_DAYS: Final = 30
_MOST_DAYS: Final = 366


def add_calls(api: Api) -> None:
    """Add the routes of calls."""
    gateway = api.gateway

    def shown(call: CallModel) -> dict[str, Any]:
        analysis = gateway.calls.analyses_of([call]).get(call.id)
        return call_document(call, analysis, recording_url=api.links.url(call, gateway.services.clock()))

    def shown_all(found: list[CallModel]) -> list[dict[str, Any]]:
        analyses, now = gateway.calls.analyses_of(found), gateway.services.clock()
        return [
            call_document(call, analyses.get(call.id), recording_url=api.links.url(call, now))
            for call in found
        ]

    def list_calls(key: ApiKey, query: schemas.CallsQuery) -> dict[str, Any]:
        """List calls, newest first."""
        if query.cursor is not None and query.offset:
            raise ValidationError("offset", "give either a cursor or an offset")
        filters: dict[str, Any] = {
            "status": query.status,
            "direction": query.direction,
            "agent_id": query.agent_id,
            "created_after": query.created_after,
            "created_before": query.created_before,
            "workspace_id": key.workspace_id,
        }
        page = gateway.calls.list(**filters, limit=query.limit, cursor=query.cursor, offset=query.offset)
        counted = gateway.calls.count(**filters)
        return {
            "data": shown_all(list(page.calls)),
            "pagination": pagination_of(query, page, counted),
            "meta": api.meta(),
        }

    def get_call(key: ApiKey, path: schemas.CallPath) -> dict[str, Any]:
        """Fetch a call."""
        call, analysis = gateway.calls.get_with_analysis(path.id, workspace_id=key.workspace_id)
        return call_document(call, analysis, recording_url=api.links.url(call, gateway.services.clock()))

    def place_call(key: ApiKey, header: schemas.PlaceCallHeader, body: schemas.NewCall) -> dict[str, Any]:
        """Place a call.

        The answer comes when the carrier has taken the call. When it is not known whether it has, the call is
        `queued` with `context.dial` "unconfirmed": the phone may be ringing, and the gateway finds out by itself. A
        call that the carrier refused exists too, `failed`: error 502 with its id in `details.call_id`.
        """
        call = gateway.place_call(
            body.agent_id,
            body.phone_number,
            from_number=body.from_number,
            variables=body.variables,
            settings=settings_of(body.call_settings),
            idempotency_key=header.idempotency_key,
            workspace_id=key.workspace_id,
        )
        refusal = call.context.get("last_error") if call.status is CallStatus.FAILED else None
        if isinstance(refusal, Mapping):
            message = refusal.get("message") or "the carrier did not take the call"
            raise ApiError(502, str(message), details={"call_id": call.id})
        return shown(call)

    def update_call(key: ApiKey, path: schemas.CallPath, body: schemas.CallChange) -> dict[str, Any]:
        """Change a call's context or settings."""
        settings = body.call_settings or schemas.ChangedSettings()
        return shown(
            gateway.calls.edit(
                path.id,
                context=body.context,
                recording_enabled=settings.recording_enabled,
                transcription_enabled=settings.transcription_enabled,
                workspace_id=key.workspace_id,
            )
        )

    def hang_up_call(key: ApiKey, path: schemas.CallPath) -> dict[str, Any]:
        """End a live call.

        A call that is over stays as it is. The status turns final when the carrier says that the call has ended.
        """
        try:
            return shown(gateway.hang_up(path.id, workspace_id=key.workspace_id))
        except ProviderError as error:
            raise ApiError(502, str(error), details={"call_id": path.id}) from None

    def delete_call(key: ApiKey, path: schemas.CallPath) -> None:
        """Delete a call that is over, with its events and its transcript."""
        gateway.calls.delete(path.id, workspace_id=key.workspace_id)

    def delete_calls(key: ApiKey, body: schemas.CallIds) -> dict[str, Any]:
        """Delete many calls; those that are not over are left."""
        deleted, failed = gateway.calls.delete_many(body.ids, workspace_id=key.workspace_id)
        return {
            "deleted_count": len(deleted),
            "failed_count": len(failed),
            "deleted_ids": list(deleted),
            "failed_ids": list(failed),
        }

    def get_recording(key: ApiKey, path: schemas.CallPath) -> dict[str, Any]:
        """Get a link to a call's recording, valid for 24 hours."""
        call = gateway.calls.get(path.id, workspace_id=key.workspace_id)
        url = api.links.url(call, gateway.services.clock())
        if url is None:
            raise NotFound("recording of call", path.id)
        return {"recording_url": url}

    def get_transcript(key: ApiKey, path: schemas.CallPath) -> dict[str, Any]:
        """Fetch what was said in a call."""
        analysis = gateway.calls.analysis(path.id, workspace_id=key.workspace_id)
        if not analysis.transcript:
            raise NotFound("transcript of call", path.id)
        return transcript_document(analysis)

    def put_analysis(key: ApiKey, path: schemas.CallPath, body: schemas.AnalysisBody) -> dict[str, Any]:
        """Hand in a call's transcript, summary and outcome, in the place of those before."""
        lines = tuple(
            TranscriptLine(speaker=line.speaker, text=line.text, timestamp_s=line.timestamp)
            for line in body.transcript
        )
        analysis = Analysis(transcript=lines, summary=body.summary, outcome=body.outcome)
        return shown(gateway.calls.put_analysis(path.id, analysis, workspace_id=key.workspace_id))

    def list_call_events(key: ApiKey, path: schemas.CallPath, query: schemas.EventsQuery) -> dict[str, Any]:
        """List what was reported of a call, when, and what became of it."""
        found = gateway.calls.events(
            path.id, after_id=query.cursor, limit=query.limit + 1, workspace_id=key.workspace_id
        )
        page, has_more = list(found[: query.limit]), len(found) > query.limit
        pagination = {
            "limit": query.limit,
            "has_more": has_more,
            "next_cursor": page[-1].id if has_more else None,
        }
        return {"data": [event_document(each) for each in page], "pagination": pagination, "meta": api.meta()}

    def get_call_stats(key: ApiKey, query: schemas.StatsQuery) -> dict[str, Any]:
        """Sum up calls: statuses, answer rate, handle time and cost, by agent, number and day."""
        until = query.created_before or gateway.services.clock()
        since = query.created_after or until - timedelta(days=_DAYS)
        if not timedelta(0) < until - since <= timedelta(days=_MOST_DAYS):
            raise ValidationError("created_after", f"give a time before the end, {_MOST_DAYS} days at most")
        stats = gateway.calls.stats(since, until, workspace_id=key.workspace_id)
        return {
            "created_after": time_text(since),
            "created_before": time_text(until),
            "total": _sums(stats.total),
            "by_agent": [{"agent_id": each, **_sums(tally)} for each, tally in stats.by_agent.items()],
            "by_number": [{"number": each, **_sums(tally)} for each, tally in stats.by_number.items()],
            "by_day": [{"day": each.isoformat(), **_sums(tally)} for each, tally in stats.by_day.items()],
            "meta": api.meta(),
        }

    read, write = Scope.CALLS_READ, Scope.CALLS_WRITE
    one = "/calls/<id>"
    api.add("GET", "/calls", list_calls, scope=read, answer=schemas.CallList, tag=_TAG)
    api.add(
        "POST",
        "/calls",
        place_call,
        scope=write,
        answer=schemas.Call,
        status=201,
        errors=(402, 404, 409, 502),
        tag=_TAG,
    )
    api.add("GET", "/calls/stats", get_call_stats, scope=read, answer=schemas.Stats, tag=_TAG)
    api.add("POST", "/calls/bulk-delete", delete_calls, scope=write, answer=schemas.Deleted, tag=_TAG)
    api.add("GET", one, get_call, scope=read, answer=schemas.Call, tag=_TAG)
    api.add("PATCH", one, update_call, scope=write, answer=schemas.Call, errors=(409, 502), tag=_TAG)
    api.add("DELETE", one, delete_call, scope=write, answer=None, status=204, errors=(409,), tag=_TAG)
    api.add(
        "POST", f"{one}/hangup", hang_up_call, scope=write, answer=schemas.Call, errors=(409, 502), tag=_TAG
    )
    api.add("GET", f"{one}/recording", get_recording, scope=read, answer=schemas.RecordingLink, tag=_TAG)
    api.add("GET", f"{one}/transcript", get_transcript, scope=read, answer=schemas.Transcript, tag=_TAG)
    api.add(
        "PUT",
        f"{one}/analysis",
        put_analysis,
        scope=write,
        answer=schemas.Call,
        errors=(409,),
        tag=_TAG,
        largest_body=LARGEST_ANALYSIS,
    )
    api.add("GET", f"{one}/events", list_call_events, scope=read, answer=schemas.EventList, tag=_TAG)


def pagination_of(query: schemas.CallsQuery, page: CallPage, counted: int) -> dict[str, Any]:
    """Return where a page stands. Counting stops at a cap: then there are at least so many, and it is said."""
    return {
        "total": min(counted, COUNT_CAP - 1),
        "total_is_exact": counted < COUNT_CAP,
        "limit": query.limit,
        "offset": query.offset,
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
    }


def settings_of(body: schemas.CallSettingsBody | None) -> CallSettings:
    """Return settings as the gateway has them."""
    return CallSettings() if body is None else CallSettings.from_dict(body.model_dump(exclude_none=True))


def _sums(tally: Tally) -> dict[str, Any]:
    return {
        "calls": tally.calls,
        "ended": tally.ended,
        "answered": tally.answered,
        "by_status": dict(tally.by_status),
        "answer_rate": tally.answer_rate,
        "average_handle_seconds": tally.average_handle_s,
        "cost": [
            {"amount": format(amount.normalize(), "f"), "currency": currency}
            for currency, amount in tally.cost.items()
        ],
    }
