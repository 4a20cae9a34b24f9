"""`gateway db upgrade` and `gateway doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from gateway.cli import screen
from gateway.cli.session import Json, answer, print_json, session_of
from gateway.diagnosing import Finding, Level, diagnose
from gateway.errors import ConfigurationError
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


def doctor(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no carrier.")] = False,
    as_json: Json = False,
) -> None:
    """Check settings, database, secret key, public URL, credentials and clock. Exit 1 when something is wrong."""
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
