"""`gateway db upgrade`, `gateway doctor` and `gateway doctor webhook`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.captures import MOST_BYTES, Capture, read_capture
from gateway.cli import screen
from gateway.cli.options import Misused
from gateway.cli.session import Failed, Json, answer, print_json, session_of
from gateway.diagnosing import Finding, Level, diagnose
from gateway.errors import ConfigurationError
from gateway.examining import Verdict, examination, examine
from gateway.refusals import load_last
from gateway.settings import Settings
from gateway.store import Store
from gateway.store.schema import HEAD

database = typer.Typer(help="The database.", no_args_is_help=True)


@database.callback()
def _database() -> None:
    """The database."""


@database.command("upgrade")
def upgrade(context: typer.Context, as_json: Json = False) -> None:
    """Bring the database to this version's schema, whole or not at all; make it when there is none."""
    store = Store.open(session_of(context).settings().database_url)
    try:
        store.upgrade()
    finally:
        store.close()
    answer(
        {"database": store.name, "schema": HEAD},
        as_json=as_json,
        show=lambda: screen.say(f"✓ {store.name} has schema {HEAD}", style="green"),
    )


doctor = typer.Typer(
    help="Is everything in order, and why was a webhook refused?", invoke_without_command=True
)


@doctor.callback()
def check(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no carrier, call no address.")] = False,
    as_json: Json = False,
) -> None:
    """Check settings, database, secret key, public URL, credentials and clock. Exit 1 when something is wrong."""
    if context.invoked_subcommand is not None:
        return
    try:
        settings: Settings | None = session_of(context).settings()
        findings = [] if settings is None else diagnose(settings, is_offline=offline)
    except ConfigurationError as error:
        settings = None
        findings = [Finding(check="settings", level=Level.PROBLEM, message=str(error))]
    if as_json:
        print_json(_document(settings, findings))
    else:
        _show(settings, findings)
    if any(each.level is Level.PROBLEM for each in findings):
        raise typer.Exit(1)


@doctor.command("webhook")
def webhook(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="The refused request, JSON or as on the wire; -: stdin."),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The last one that the gateway kept.")] = False,
    urls: Annotated[
        list[str] | None, typer.Option("--url", help="An address to try: the one entered at the carrier.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say why a webhook was refused and what to change. Exit 1 while the gateway refuses it."""
    if (file is None) is not last:
        raise Misused("FILE", "give a file, or --last for the last refused webhook that was kept")
    settings = session_of(context).settings()
    with examination(settings) as services:
        capture = load_last(settings, services.vault) if file is None else read_capture(_content(file))
        verdict = examine(services, capture, addresses=urls or ())
    answer(_told(verdict, capture), as_json=as_json, show=lambda: _show_verdict(verdict, capture))
    if not verdict.is_accepted:
        raise typer.Exit(1)


def _content(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(MOST_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}") from None


def _told(verdict: Verdict, capture: Capture) -> dict[str, Any]:
    return {
        "accepted": verdict.is_accepted,
        "reason": verdict.reason.value if verdict.reason else None,
        "refused_then": capture.reason or None,
        "aspects": [each.value for each in verdict.aspects],
        "proven": verdict.is_proven,
        "message": verdict.message,
        "remedy": verdict.remedy,
        "credential": verdict.credential,
        "provider": verdict.provider,
        "request": verdict.place,
        "received_at": capture.received_at.isoformat() if capture.received_at else None,
        "tried": verdict.tried,
    }


def _show_verdict(verdict: Verdict, capture: Capture) -> None:
    came = f", {capture.received_at:%Y-%m-%d %H:%M:%S} UTC" if capture.received_at else ""
    whose = f", credential {verdict.credential} ({verdict.provider})" if verdict.credential else ""
    screen.say(f"{verdict.place}{came}{whose}")
    if verdict.reason is None:
        screen.say(f"✓ {verdict.message}", style="green")
    else:
        screen.say(f"✗ {verdict.reason.value}: {verdict.message}", style="red")
    if verdict.remedy:
        screen.say(verdict.remedy, style="yellow")


def _document(settings: Settings | None, findings: list[Finding]) -> dict[str, Any]:
    described = [] if settings is None else settings.describe()
    return {
        "ok": all(each.level is not Level.PROBLEM for each in findings),
        "settings": {name: {"value": value, "origin": origin} for name, value, origin in described},
        "checks": [
            {"check": each.check, "level": each.level.value, "message": each.message} for each in findings
        ],
    }


def _show(settings: Settings | None, findings: list[Finding]) -> None:
    described = [] if settings is None else settings.describe()
    if described:
        screen.show_table(("setting", "value", "from"), described, empty="")
        screen.say("")
    screen.show_table(("", "check", "what was found"), [_row(each) for each in findings], empty="")


def _row(finding: Finding) -> tuple[Text, str, Text]:
    icon, style = screen.LEVEL_LOOK[finding.level.value]
    is_fine = finding.level is Level.OK
    return (
        Text(icon, style=style),
        finding.check,
        Text(screen.clean(finding.message), style="" if is_fine else style),
    )
