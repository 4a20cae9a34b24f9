"""`gateway agents ...`: what talks, and how a call reaches it."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import options, screen
from gateway.cli.session import Json, answer, session_of
from gateway.models import Agent, CallerIdStrategy
from gateway.showing import agent_document

group = typer.Typer(help="Put and list agents.", no_args_is_help=True)


@group.command("put")
def put(
    context: typer.Context,
    agent_id: Annotated[str, typer.Argument(metavar="ID", help="The engine's own id.")],
    stream: Annotated[str | None, typer.Option("--stream", help="Media WebSocket, wss://...")] = None,
    sip: Annotated[str | None, typer.Option("--sip", help="sip:user@host")] = None,
    forward: Annotated[str | None, typer.Option("--forward", help="A phone number, E.164.")] = None,
    name: Annotated[str, typer.Option("--name", help="For people.")] = "",
    fallback: Annotated[
        list[str] | None,
        typer.Option(
            "--fallback",
            help="When it cannot be reached; repeat for a chain: agent:ID, forward:+NUMBER, say:TEXT, "
            "message, message:PROMPT, busy, reject, stream:URL, sip:user@host.",
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option("--max-concurrent", help="Calls at once; default: no limit.")
    ] = None,
    strategy: Annotated[
        str,
        typer.Option("--strategy", help="Caller ID: first, round_robin, least_recently_used, same_region."),
    ] = CallerIdStrategy.FIRST.value,
    join_timeout: options.JoinTimeout = None,
    max_duration: options.MaxDuration = None,
    voicemail: options.Voicemail = None,
    on_voicemail: options.OnVoicemail = None,
    voicemail_message: options.VoicemailMessage = None,
    record: options.Record = None,
    greeting: options.Greeting = None,
    as_json: Json = False,
) -> None:
    """Add an agent, or replace the one of the same id as a whole."""
    session = session_of(context)
    agent = Agent(
        id=agent_id,
        connect=options.connection(stream=stream, sip=sip, forward=forward),
        name=name,
        settings=options.call_settings(
            join_timeout=join_timeout,
            max_duration=max_duration,
            voicemail=voicemail,
            on_voicemail=on_voicemail,
            voicemail_message=voicemail_message,
            record=record,
            greeting=greeting,
        ),
        fallback=tuple(options.fallback(word) for word in fallback or []),
        max_concurrent_calls=max_concurrent,
        caller_id_strategy=strategy,  # type: ignore[arg-type] # the model reads the word and names the known ones
        workspace_id=session.workspace_id,
    )
    with session.gateway() as gateway:
        stored = gateway.agents.put(agent)
    answer(agent_document(stored), as_json=as_json, show=lambda: screen.show_agents([stored]))


@group.command("list")
def list_agents(context: typer.Context, as_json: Json = False) -> None:
    """List the agents."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.agents.list(workspace_id=session.workspace_id)
    documents = [agent_document(each) for each in found]
    answer({"data": documents}, as_json=as_json, show=lambda: screen.show_agents(found))
