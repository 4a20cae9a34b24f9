"""`gateway webhooks ...`: events to the outside, for development and for mending."""

from __future__ import annotations

import json
import time
from typing import Annotated, Final

import typer

from gateway.cli import screen
from gateway.cli.session import Json, answer, print_json, session_of
from gateway.publishing import masked_payload
from gateway.store import outbox

group = typer.Typer(help="Watch and replay events to the outside.", no_args_is_help=True)

POLL_S: Final = 0.3


@group.command("listen")
def listen(
    context: typer.Context,
    duration_s: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="Stop after so long; default: never.")
    ] = None,
    include_numbers: Annotated[
        bool, typer.Option("--include-numbers", help="Whole phone numbers, not only their last four digits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print each event as it happens, whether or not an endpoint hears of it. With --json: one document a line."""
    session = session_of(context)
    with session.gateway() as gateway:
        store = gateway.services.store
        after = outbox.latest_notification_id(store, session.workspace_id)
        deadline = None if duration_s is None else time.monotonic() + duration_s
        while deadline is None or time.monotonic() < deadline:
            for event in outbox.list_notifications(store, session.workspace_id, after=after):
                after = event.id
                payload = event.payload if include_numbers else masked_payload(event.payload)
                document = json.loads(payload)
                if as_json:
                    print_json({"id": event.id, **document}, indent=None)
                else:
                    whose = event.call_id or document["data"].get(
                        "e164", ""
                    )  # a call that is gone has neither
                    screen.say(f"{event.created_at:%H:%M:%S}  {event.type:22} {whose}  {event.id}")
            time.sleep(POLL_S)


@group.command("replay")
def replay(
    context: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Of the event: evt_…")],
    as_json: Json = False,
) -> None:
    """Send an event again to every endpoint it went to; it keeps its id."""
    session = session_of(context)
    with session.gateway() as gateway, gateway.services.store.transaction() as tx:
        count = outbox.replay_notification(tx, session.workspace_id, event_id, gateway.services.clock())
    answer(
        {"id": event_id, "deliveries": count},
        as_json=as_json,
        show=lambda: screen.say(f"✓ {event_id}: {count} deliveries will be sent again", style="green"),
    )
