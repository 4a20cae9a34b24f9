"""`gateway credentials ...`: accounts at carriers. No command ever shows a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from gateway.cli import screen
from gateway.cli.options import Misused
from gateway.cli.session import Json, answer, session_of, show_webhooks, webhooks_of
from gateway.interface import AccountInfo
from gateway.models import Credential
from gateway.settings import CREDENTIAL_VARIABLE
from gateway.showing import account_document, credential_document

group = typer.Typer(help="Add, list, check and remove accounts at carriers.", no_args_is_help=True)

ASK: Final = "-"


@group.command("add")
def add(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="One of the account's secrets; FIELD=- asks for it, or reads a line of stdin.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Your name of it; default: the provider's.")] = "",
    shared: Annotated[
        bool, typer.Option("--shared", help="Other programs place calls with this account too.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Ask the carrier at once whether the secrets work.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add an account. Its secrets come from --set, or from variables GATEWAY_CREDENTIAL_<FIELD>."""
    session = session_of(context)
    secrets = {**_from_environment(os.environ), **_from_options(given or [])}
    account: AccountInfo | None = None
    with session.gateway() as gateway:
        added = gateway.credentials.add(
            provider,
            name=name,
            exclusive=not shared,
            workspace_id=session.workspace_id,
            secrets=secrets,
        )
        webhooks = webhooks_of(gateway, added)
        if check:
            account = gateway.credentials.check(added.id, workspace_id=session.workspace_id)
    document = credential_document(added, webhooks)
    if account is not None:
        document["account"] = account_document(account)

    def show() -> None:
        screen.say(f"✓ {added.name}: {added.provider} account {added.account_ref}  {added.id}", style="green")
        if account is not None:
            _show_account(account)
        show_webhooks(webhooks)

    answer(document, as_json=as_json, show=show)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(CREDENTIAL_VARIABLE).lower(): value
        for name, value in environment.items()
        if name.startswith(CREDENTIAL_VARIABLE)
    }


def _from_options(given: list[str]) -> dict[str, str]:
    """Read FIELD=VALUE words. Unlike other options, no part of a malformed one is repeated: it may be a secret."""
    found: dict[str, str] = {}
    for word in given:
        field, equals, value = word.partition("=")
        if not equals or not field.isidentifier():
            raise Misused("--set", "give FIELD=VALUE, or FIELD=- to be asked")
        if field in found:
            raise Misused("--set", f"{field} is given twice")
        found[field] = _asked(field) if value == ASK else value
    return found


def _asked(field: str) -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt(field, hide_input=True, err=True)
        return asked.strip()
    return sys.stdin.readline().strip()


@group.command("list")
def list_credentials(context: typer.Context, as_json: Json = False) -> None:
    """List the accounts."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.credentials.list(workspace_id=session.workspace_id)
        documents = [credential_document(each, webhooks_of(gateway, each)) for each in found]
    answer({"data": documents}, as_json=as_json, show=lambda: screen.show_credentials(found))


@group.command("check")
def check_credential(
    context: typer.Context,
    ident: Annotated[str, typer.Argument(metavar="ID", help="Its id, name or account.")],
    as_json: Json = False,
) -> None:
    """Ask the carrier, with one harmless read, whether the secrets work."""
    session = session_of(context)
    with session.gateway() as gateway:
        found: Credential = gateway.credentials.get(ident, workspace_id=session.workspace_id)
        account = gateway.credentials.check(ident, workspace_id=session.workspace_id)
        webhooks = webhooks_of(gateway, found)

    def show() -> None:
        _show_account(account)
        show_webhooks(webhooks)

    document = {**credential_document(found, webhooks), "account": account_document(account)}
    answer(document, as_json=as_json, show=show)


def _show_account(account: AccountInfo) -> None:
    icon, style = ("✓", "green") if account.status == "active" else ("?", "yellow")
    balance = f", balance {account.balance} {account.currency or ''}" if account.balance else ""
    named = f"{account.name}: " if account.name else ""
    screen.say(f"{icon} {named}{account.status}, {account.kind}{balance}", style=style)


@group.command("remove")
def remove(
    context: typer.Context,
    ident: Annotated[str, typer.Argument(metavar="ID", help="Its id, name or account.")],
    as_json: Json = False,
) -> None:
    """Remove an account and erase its secrets. Refused while its numbers are assigned."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.credentials.get(ident, workspace_id=session.workspace_id)
        gateway.credentials.remove(found.id, workspace_id=session.workspace_id)
    answer(
        {"id": found.id, "name": found.name, "provider": found.provider, "removed": True},
        as_json=as_json,
        show=lambda: screen.say(f"✓ {found.name} removed, its secrets erased", style="green"),
    )
