"""`gateway call` and `gateway calls ...`: place, list, show, follow, end and reconcile calls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from gateway.cli import options, screen
from gateway.cli.session import Failed, Json, answer, print_json, session_of
from gateway.durations import parse_duration
from gateway.errors import NotFound
from gateway.gateway import Gateway
from gateway.models import Call, EventRecord
from gateway.showing import call_document, event_document, timeline_document
from gateway.status import CallStatus

group = typer.Typer(help="List, show, follow, end and reconcile calls.", no_args_is_help=True)

POLL_S: Final = 0.25
MOST_LISTED: Final = 100
WAIT_MARGIN_S: Final = 30  # past the longest that the call can take


def call(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="TO", help="E.164, like +14155550123.")],
    agent: Annotated[str, typer.Option("--agent", help="Who talks.")],
    from_number: Annotated[
        str | None, typer.Option("--from", help="Caller ID: a number assigned to the agent for outbound.")
    ] = None,
    join_timeout: options.JoinTimeout = None,
    max_duration: options.MaxDuration = None,
    voicemail: options.Voicemail = None,
    on_voicemail: options.OnVoicemail = None,
    voicemail_message: options.VoicemailMessage = None,
    record: options.Record = None,
    greeting: options.Greeting = None,
    var: Annotated[list[str] | None, typer.Option("--var", help="name=value, for the agent.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key never places a second call.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the call is over.")] = False,
    as_json: Json = False,
) -> None:
    """Place an outbound call. Needs `gateway serve`, which takes what the carrier reports."""
    session = session_of(context)
    settings = options.call_settings(
        join_timeout=join_timeout,
        max_duration=max_duration,
        voicemail=voicemail,
        on_voicemail=on_voicemail,
        voicemail_message=voicemail_message,
        record=record,
        greeting=greeting,
    )
    with session.gateway() as gateway:
        placed = gateway.place_call(
            agent,
            to,
            from_number=from_number,
            variables=options.pairs(var or [], "--var"),
            settings=settings,
            idempotency_key=idempotency_key,
            workspace_id=session.workspace_id,
        )
        if wait and not placed.status.is_final:
            placed = _wait(gateway, placed, shows=not as_json)
        answer(call_document(placed), as_json=as_json, show=lambda: screen.show_call(placed))
    _judge(placed, waited=wait)


def _judge(placed: Call, *, waited: bool) -> None:
    """A call that failed, or outlasted the wait, is a failed command; busy or no answer is an answer."""
    if placed.status is CallStatus.FAILED and placed.end_reason is not None:
        words = placed.end_reason.carrier.text
        said = f" ({words})" if words else ""
        raise Failed(f"the call failed: {screen.WHY[placed.end_reason.why]}{said}")
    if waited and not placed.status.is_final:
        raise Failed(
            f"the call is still {placed.status.value}: is `gateway serve` running where the carrier reaches it? "
            "`gateway calls reconcile` asks the carrier"
        )


def _wait(gateway: Gateway, placed: Call, *, shows: bool) -> Call:
    """Follow a call until it is over, or longer than it can last."""
    limit = placed.settings.join_timeout_s + placed.settings.max_duration_s + WAIT_MARGIN_S
    deadline = time.monotonic() + limit
    seen: CallStatus | None = None
    while True:
        latest = gateway.calls.get(placed.id, workspace_id=placed.workspace_id)
        if latest.status is not seen and shows:
            screen.stdout().print(screen.status_text(latest.status))
        seen = latest.status
        if latest.status.is_final or time.monotonic() > deadline:
            return latest
        time.sleep(POLL_S)


@group.command("list")
def list_calls(
    context: typer.Context,
    status: Annotated[str | None, typer.Option("--status", help="Like completed or no_answer.")] = None,
    direction: Annotated[str | None, typer.Option("--direction", help="inbound or outbound.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="The agent's id.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_LISTED)] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    as_json: Json = False,
) -> None:
    """List calls, newest first."""
    session = session_of(context)
    with session.gateway() as gateway:
        page = gateway.calls.list(
            status=options.call_status(status),
            direction=options.direction(direction),
            agent_id=agent,
            limit=limit,
            cursor=cursor,
            workspace_id=session.workspace_id,
        )
    document = {
        "data": [call_document(each) for each in page.calls],
        "pagination": {
            "limit": limit,
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        },
    }

    def show() -> None:
        screen.show_calls(page.calls)
        if page.next_cursor is not None:
            screen.say(f"more: --cursor {page.next_cursor}", style="dim")

    answer(document, as_json=as_json, show=show)


@group.command("show")
def show_call(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> None:
    """Show one call: what happened, each event, when it came, and what became of it."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.calls.get(call_id, workspace_id=session.workspace_id)
        events = gateway.calls.events(call_id, workspace_id=session.workspace_id)
        attempts = gateway.calls.attempts(call_id, workspace_id=session.workspace_id)

    def show() -> None:
        screen.show_call(found)
        screen.show_timeline(found, events, attempts)

    answer(timeline_document(found, events, attempts), as_json=as_json, show=show)


@group.command("tail")
def tail(
    context: typer.Context,
    seconds: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help='Stop after "30s", "10m"; else by Ctrl-C.')
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow what happens to every call, live. With --json: one document a line, one line an event."""
    session = session_of(context)
    limit = None if seconds is None else parse_duration(seconds, "--for")
    with session.gateway() as gateway:
        if not as_json:
            screen.stderr().print("Following every call; Ctrl-C stops.", style="dim")
        try:
            for event in _new_events(gateway, session.workspace_id, limit):
                _show_event(gateway, event, as_json=as_json)
        except KeyboardInterrupt:
            return


def _new_events(gateway: Gateway, workspace_id: str, limit_s: int | None) -> Iterator[EventRecord]:
    """Yield the events stored from now on, in their order."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    last = gateway.calls.latest_event_id()
    while True:
        fresh: Sequence[EventRecord] = gateway.calls.tail(after_id=last, workspace_id=workspace_id)
        for event in fresh:
            last = event.id
            yield event
        if deadline is not None and time.monotonic() > deadline:
            return
        if not fresh:
            time.sleep(POLL_S)


def _show_event(gateway: Gateway, event: EventRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(event_document(event), indent=None)
        return
    found = None
    if event.call_id is not None:
        try:
            found = gateway.calls.get(event.call_id)
        except NotFound:  # deleted meanwhile: its events are still told
            found = None
    screen.stdout().print(screen.tail_line(event, found), soft_wrap=True)


@group.command("hangup")
def hang_up(
    context: typer.Context,
    call_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> None:
    """End a call, also while it is queued or ringing. A call that is over already is no error."""
    session = session_of(context)
    with session.gateway() as gateway:
        ended = gateway.hang_up(call_id, workspace_id=session.workspace_id)
    answer(call_document(ended), as_json=as_json, show=lambda: screen.show_call(ended))


@group.command("reconcile")
def reconcile(context: typer.Context, as_json: Json = False) -> None:
    """Ask the carriers now about every open call and every dial of unknown outcome. Nothing is dialed."""
    session = session_of(context)
    with session.gateway() as gateway:
        asked = gateway.reconcile(workspace_id=session.workspace_id)

    def show() -> None:
        screen.show_calls(asked)
        still = sum(1 for each in asked if not each.status.is_final)
        screen.say(f"{len(asked)} asked about, {still} still open.")

    answer({"data": [call_document(each) for each in asked]}, as_json=as_json, show=show)
