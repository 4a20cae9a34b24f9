"""`gateway numbers ...`: the accounts' numbers, and whom they serve."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli import options, screen
from gateway.cli.session import Json, Session, answer, session_of, show_webhooks, webhooks_of
from gateway.errors import NotFound
from gateway.gateway import Gateway
from gateway.models import Assignment, Number
from gateway.numbers import mask
from gateway.showing import number_document

group = typer.Typer(help="Add, import, list, assign and unassign numbers.", no_args_is_help=True)

E164 = Annotated[str, typer.Argument(metavar="NUMBER", help="E.164, like +14155550100.")]


@group.command("add")
def add(
    context: typer.Context,
    e164: E164,
    credential: Annotated[str, typer.Option("--credential", help="Its id, name or account.")],
    as_json: Json = False,
) -> None:
    """Add one number of an account, and print the URLs that the carrier must be given for it."""
    session = session_of(context)
    with session.gateway() as gateway:
        added = gateway.numbers.add(e164, credential=credential, workspace_id=session.workspace_id)
        holder = gateway.credentials.get(added.credential_id, workspace_id=session.workspace_id)
        webhooks = webhooks_of(gateway, holder)

    def show() -> None:
        screen.say(f"✓ {added.e164} ({added.country}), {added.provider} account {holder.name}", style="green")
        show_webhooks(webhooks)

    document = {
        **number_document(added, []),
        "webhooks": None if webhooks is None else dict(webhooks),
    }
    answer(document, as_json=as_json, show=show)


@group.command("import")
def import_numbers(
    context: typer.Context,
    credential: Annotated[str, typer.Argument(metavar="CREDENTIAL", help="Its id, name or account.")],
    as_json: Json = False,
) -> None:
    """Add every voice number that the carrier lists for an account."""
    session = session_of(context)
    with session.gateway() as gateway:
        verdicts = gateway.numbers.import_from(credential, workspace_id=session.workspace_id)
    documents = [{"e164": each.e164, "verdict": each.verdict} for each in verdicts]
    answer(
        {"data": documents},
        as_json=as_json,
        show=lambda: screen.show_table(
            ("number", "verdict"),
            [(each.e164, each.verdict) for each in verdicts],
            empty="The account has no numbers.",
        ),
    )


@group.command("list")
def list_numbers(context: typer.Context, as_json: Json = False) -> None:
    """List the numbers and whom they serve."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.numbers.list(workspace_id=session.workspace_id)
        assignments = gateway.numbers.assignments(workspace_id=session.workspace_id)
    documents = [number_document(each, assignments) for each in found]
    answer({"data": documents}, as_json=as_json, show=lambda: screen.show_numbers(found, assignments))


@group.command("assign")
def assign(
    context: typer.Context,
    e164: E164,
    agent: Annotated[str, typer.Option("--agent", help="Whom it serves.")],
    inbound: Annotated[bool, typer.Option("--inbound", help="The agent takes its calls.")] = False,
    outbound: Annotated[bool, typer.Option("--outbound", help="The agent calls from it.")] = False,
    as_json: Json = False,
) -> None:
    """Let a number serve an agent: inbound, outbound or both."""
    session = session_of(context)
    with session.gateway() as gateway:
        gateway.numbers.assign(
            e164, agent=agent, inbound=inbound, outbound=outbound, workspace_id=session.workspace_id
        )
        _answer_number(gateway, session, e164, as_json=as_json)


@group.command("unassign")
def unassign(
    context: typer.Context,
    e164: E164,
    agent: Annotated[str | None, typer.Option("--agent", help="Only this agent.")] = None,
    direction: Annotated[str | None, typer.Option("--direction", help="Only inbound or outbound.")] = None,
    as_json: Json = False,
) -> None:
    """Take a number away from its agents: from one or all, in one direction or both."""
    session = session_of(context)
    with session.gateway() as gateway:
        gateway.numbers.unassign(
            e164,
            agent=agent,
            direction=options.direction(direction),
            workspace_id=session.workspace_id,
        )
        _answer_number(gateway, session, e164, as_json=as_json)


def _answer_number(gateway: Gateway, session: Session, e164: str, *, as_json: bool) -> None:
    number, assignments = _found(gateway, session, e164)
    document: dict[str, Any] = number_document(number, assignments)
    answer(document, as_json=as_json, show=lambda: screen.show_numbers([number], assignments))


def _found(gateway: Gateway, session: Session, e164: str) -> tuple[Number, list[Assignment]]:
    held = gateway.numbers.list(workspace_id=session.workspace_id)
    number = next((each for each in held if each.e164 == e164), None)
    if number is None:
        raise NotFound("number", mask(e164))
    return number, list(gateway.numbers.assignments(workspace_id=session.workspace_id))
