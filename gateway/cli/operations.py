"""`gateway numbers operations ...`: long work over many numbers that was begun, and what was left of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.text import Text

from gateway.cli import screen
from gateway.cli.numbers import finish_operation
from gateway.cli.session import Json, answer, session_of
from gateway.models import Operation, OperationState
from gateway.showing import operation_document

group = typer.Typer(
    help="Imports and repairs of many numbers, and those that were left.", no_args_is_help=True
)

_BAD: Final = ("error", "left", "not in the account")


@group.command("list")
def list_operations(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also what is over (kept for 30 days).")] = False,
    as_json: Json = False,
) -> None:
    """List the long work that is not over. `gateway serve` goes on with it by itself; so does `resume`."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.operations.list(also_ended=everything, workspace_id=session.workspace_id)
    documents = [operation_document(each) for each in found]
    answer({"data": documents}, as_json=as_json, show=lambda: _show(found))


@group.command("resume")
def resume(
    context: typer.Context,
    operation_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    as_json: Json = False,
) -> None:
    """Go on with one where it stands. Exit 1 when something of it could not be done."""
    session = session_of(context)
    with session.gateway() as gateway:
        claimed = gateway.operations.claim(operation_id, workspace_id=session.workspace_id)
        finish_operation(gateway, session, claimed, as_json=as_json, bad=_BAD)


def _show(found: Sequence[Operation]) -> None:
    rows = [
        (
            each.id,
            each.kind.value.replace("_", " "),
            _state(each),
            f"{each.done} of {'?' if each.total is None else each.total}",
            screen.moment(each.created_at),
            each.last_error or "",
        )
        for each in found
    ]
    screen.show_table(("id", "what", "state", "done", "begun", "error"), rows, empty="Nothing was left.")


def _state(operation: Operation) -> Text:
    style = {OperationState.DONE: "green", OperationState.FAILED: "red"}.get(operation.state, "yellow")
    return Text(operation.state.value, style=style)
