"""`gateway numbers ...`: which numbers there are, whom they serve, and whether their carriers still send calls to us.

Getting new ones is in `gateway.cli.supplying`; both are one group of commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from gateway.assigning import NumberChange
from gateway.byoc import Difference
from gateway.checking import NumberCheck, Repair
from gateway.cli import options, screen
from gateway.cli.session import Json, Session, answer, session_of, show_webhooks, webhooks_of
from gateway.gateway import Gateway
from gateway.models import Number, Operation, OperationResult, SetupState
from gateway.showing import drift_document, found_document, number_document, operation_document

group = typer.Typer(
    help="The accounts' numbers: take in, assign, check, repair, release.", no_args_is_help=True
)

E164 = Annotated[str, typer.Argument(metavar="NUMBER", help="E.164, like +14155550100, or its id.")]
AnyNumber = Annotated[
    str | None, typer.Argument(metavar="[NUMBER]", help="One number; default: every one in use.")
]
Account = Annotated[str, typer.Option("--credential", help="Its id, name or account.")]
Configure = Annotated[
    bool,
    typer.Option("--configure/--no-configure", help="Whether the carrier's settings are changed too."),
]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Also what points at another gateway by now.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@group.command("add")
def add(
    context: typer.Context,
    e164: E164,
    credential: Account,
    as_json: Json = False,
) -> None:
    """Add one number of an account without asking the carrier, and print the URLs that it would be given."""
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


@group.command("list")
def list_numbers(
    context: typer.Context,
    credential: Annotated[str | None, typer.Option("--credential", help="Only this account's.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only those that serve it.")] = None,
    drifted: Annotated[
        bool, typer.Option("--drifted", help="Only those whose carrier has something else.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the numbers and whom they serve."""
    session = session_of(context)
    with session.gateway() as gateway:
        wanted = None
        if credential is not None:
            wanted = gateway.credentials.get(credential, workspace_id=session.workspace_id).id
        assignments = gateway.numbers.assignments(workspace_id=session.workspace_id)
        served = {each.number_id for each in assignments if each.agent_id == agent}
        found = [
            each
            for each in gateway.numbers.list(workspace_id=session.workspace_id)
            if wanted in (None, each.credential_id)
            and (agent is None or each.id in served)
            and (each.is_drifted or not drifted)
        ]
    documents = [number_document(each, assignments) for each in found]
    answer({"data": documents}, as_json=as_json, show=lambda: screen.show_numbers(found, assignments))


# -- whom it serves ------------------------------------------------------------------------------------------------


@group.command("assign")
def assign(
    context: typer.Context,
    e164: E164,
    agent: Annotated[str, typer.Option("--agent", help="Whom it serves.")],
    inbound: Annotated[bool, typer.Option("--inbound", help="The agent takes its calls.")] = False,
    outbound: Annotated[bool, typer.Option("--outbound", help="The agent calls from it.")] = False,
    configure: Configure = True,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Let a number serve an agent, and point it at this gateway at its carrier, keeping what it pointed at before."""
    session = session_of(context)
    with session.gateway() as gateway:
        change = gateway.numbers.assign(
            e164,
            agent=agent,
            inbound=inbound,
            outbound=outbound,
            configure=configure,
            take_over=take_over,
            workspace_id=session.workspace_id,
        )
        _answer_change(gateway, session, change, as_json=as_json)


@group.command("unassign")
def unassign(
    context: typer.Context,
    e164: E164,
    agent: Annotated[str | None, typer.Option("--agent", help="Only this agent.")] = None,
    direction: Annotated[str | None, typer.Option("--direction", help="Only inbound or outbound.")] = None,
    configure: Configure = True,
    as_json: Json = False,
) -> None:
    """Take a number away from its agents, and put back what it pointed at before."""
    session = session_of(context)
    with session.gateway() as gateway:
        before = gateway.numbers.get(e164, workspace_id=session.workspace_id)
        change = gateway.numbers.unassign(
            e164,
            agent=agent,
            direction=options.direction(direction),
            configure=configure,
            workspace_id=session.workspace_id,
        )
        _answer_change(gateway, session, change, as_json=as_json, done=_taken_away(before, change, configure))


@group.command("release")
def release(
    context: typer.Context,
    e164: E164,
    give_back: Annotated[
        bool,
        typer.Option(
            "--give-back", help="Also give it back to the carrier, for good: somebody else may get it."
        ),
    ] = False,
    configure: Configure = True,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Unassign a number, put back what it pointed at before, and forget it here."""
    session = session_of(context)
    with session.gateway() as gateway:
        number = gateway.numbers.get(e164, workspace_id=session.workspace_id)
        if give_back:
            options.confirm(
                f"Give {number.e164} back to {number.provider}, for good?", yes=yes, option="--yes"
            )
        change = gateway.numbers.release(
            number.id, give_back=give_back, configure=configure, workspace_id=session.workspace_id
        )
    document = {
        "id": number.id,
        "e164": number.e164,
        "released": True,
        "given_back": give_back,
        "notes": list(change.notes),
    }

    def show() -> None:
        where = f"given back to {number.provider}" if give_back else "released; the account keeps it"
        screen.say(f"✓ {number.e164} {where}", style="green")
        _show_notes(change.notes)

    answer(document, as_json=as_json, show=show)


def _taken_away(before: Number, change: NumberChange, configure: bool) -> str:
    """Say what became of a number that was unassigned; the notes say the rest."""
    if not change.assignments and before.setup_state is SetupState.NONE:
        return "nothing to take away: it served nobody so"
    is_back = configure and before.pointed_at is not None and change.number.setup_state is SetupState.NONE
    return f"it points again at {before.pointed_at}" if is_back and not change.notes else ""


def _answer_change(
    gateway: Gateway, session: Session, change: NumberChange, *, as_json: bool, done: str = ""
) -> None:
    assignments = gateway.numbers.assignments(workspace_id=session.workspace_id)
    number = gateway.numbers.get(change.number.id, workspace_id=session.workspace_id)

    def show() -> None:
        screen.show_numbers([number], assignments)
        if done:
            screen.say(f"  {done}")
        _show_notes(change.notes)

    document = {**number_document(number, assignments), "notes": list(change.notes)}
    answer(document, as_json=as_json, show=show)


def _show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        screen.say(f"  {note}", style="yellow")


# -- what its carrier has ------------------------------------------------------------------------------------------


@group.command("check")
def check(
    context: typer.Context,
    e164: AnyNumber = None,
    credential: Annotated[str | None, typer.Option("--credential", help="Only this account's.")] = None,
    as_json: Json = False,
) -> None:
    """Compare what the carrier has with what was set. Exit 1 when something differs, or cannot be looked at."""
    session = session_of(context)
    with session.gateway() as gateway:
        if e164 is not None:
            found = [gateway.numbers.check(e164, workspace_id=session.workspace_id)]
        else:
            with screen.progress("checking") as advance:
                found = list(
                    gateway.numbers.check_all(
                        credential=credential, on_progress=advance, workspace_id=session.workspace_id
                    )
                )
        assignments = gateway.numbers.assignments(workspace_id=session.workspace_id)
    documents = [found_document(each.number, assignments, each.differences, each.error) for each in found]
    is_fine = all(each.is_fine for each in found)
    document = documents[0] if e164 is not None else {"ok": is_fine, "data": documents}
    answer(document, as_json=as_json, show=lambda: _show_checks(found))
    if not is_fine:
        raise typer.Exit(1)


@group.command("repair")
def repair(
    context: typer.Context,
    e164: AnyNumber = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what differs.")] = False,
    credential: Annotated[str | None, typer.Option("--credential", help="Only this account's.")] = None,
    take_over: TakeOver = False,
    as_json: Json = False,
) -> None:
    """Make the carrier have what was set: one number, or all, as after a change of GATEWAY_PUBLIC_URL.

    Killed in between, run it again. Exit 1 when something is left to be done.
    """
    session = session_of(context)
    with session.gateway() as gateway:
        if e164 is not None:
            _repair_one(gateway, session, e164, dry_run=dry_run, take_over=take_over, as_json=as_json)
        elif dry_run:
            check(context, None, credential, as_json)
        else:
            _repair_all(gateway, session, credential, take_over=take_over, as_json=as_json)


def _repair_one(
    gateway: Gateway, session: Session, e164: str, *, dry_run: bool, take_over: bool, as_json: bool
) -> None:
    done = gateway.numbers.repair(
        e164, dry_run=dry_run, take_over=take_over, workspace_id=session.workspace_id
    )
    assignments = gateway.numbers.assignments(workspace_id=session.workspace_id)
    document = found_document(done.number, assignments, done.left, done.error)
    found = found_document(done.number, assignments, done.found)["drift"]
    document |= {"found": found, "notes": list(done.notes)}
    answer(document, as_json=as_json, show=lambda: _show_repair(done, dry_run=dry_run))
    if not done.is_fine:
        raise typer.Exit(1)


def _repair_all(
    gateway: Gateway, session: Session, credential: str | None, *, take_over: bool, as_json: bool
) -> None:
    started = gateway.operations.start_repair(
        credential=credential, take_over=take_over, claim=True, workspace_id=session.workspace_id
    )
    finish_operation(gateway, session, started, as_json=as_json, bad=("error", "left"))


def finish_operation(
    gateway: Gateway,
    session: Session,
    started: Operation,
    *,
    as_json: bool,
    bad: tuple[str, ...],
    detail: str = "",
) -> None:
    """Do an operation with a progress bar and answer with its results; exit 1 when one of them is `bad`.

    Args:
        detail: what stands beside each verdict, for the head of the table.
    """
    with screen.progress(started.kind.value.replace("_", " ")) as advance:

        def tell(operation: Operation) -> None:
            advance(operation.done, operation.total)

        ended = gateway.operations.perform(started, tell)
    results = all_results(gateway, session, ended)
    document = operation_document(ended, results)
    columns = ("number", "verdict", detail)

    def show() -> None:
        rows = [(each.subject, each.verdict, each.detail) for _, each in results]
        screen.show_table(columns, rows, empty="No numbers.")

    answer(document, as_json=as_json, show=show)
    if ended.last_error is not None:
        screen.say_error(ended.last_error)
    if ended.last_error is not None or any(each.verdict in bad for _, each in results):
        raise typer.Exit(1)


def all_results(
    gateway: Gateway, session: Session, operation: Operation
) -> list[tuple[int, OperationResult]]:
    """Return everything that an operation did."""
    found: list[tuple[int, OperationResult]] = []
    while True:
        page = gateway.operations.results(operation.id, after=len(found), workspace_id=session.workspace_id)
        if not page:
            return found
        found.extend(page)


def _show_checks(found: Sequence[NumberCheck]) -> None:
    rows = []
    for each in found:
        look = ("✓", "green") if each.is_fine else ("?", "yellow") if each.error else ("✗", "red")
        what = (
            each.error or "as it was set"
            if not each.differences or each.error
            else _sentence(each.differences)
        )
        rows.append((Text(look[0], style=look[1]), each.number.e164, what))
    screen.show_table(("", "number", "at the carrier"), rows, empty="No number is in use.")
    if any(each.differences for each in found):
        screen.say("`gateway numbers repair` mends what can be mended from here.")


def _show_repair(done: Repair, *, dry_run: bool) -> None:
    number = done.number.e164
    if dry_run and done.found and not done.error:
        screen.say(f"✗ {number}: {_sentence(done.found)}", style="red")
    elif done.is_fine:
        screen.say(f"✓ {number}: {_mended(done)}", style="green")
    else:
        screen.say(f"✗ {number}: {done.error or _sentence(done.left)}", style="red")
    _show_notes(done.notes)


def _mended(done: Repair) -> str:
    return f"mended ({_sentence(done.found)})" if done.found else "as it was set"


def _sentence(differences: Sequence[Difference]) -> str:
    return "; ".join(
        f"{each['setting']}: {each['found'] or 'nothing'} instead of {each['wanted'] or 'nothing'}"
        + (f" ({each['advice']})" if each["advice"] else "")
        for each in map(drift_document, differences)
    )
