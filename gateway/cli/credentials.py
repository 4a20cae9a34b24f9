"""`gateway credentials ...`: accounts at carriers. No command ever shows a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

import typer

from gateway import registry
from gateway.cli import options, screen
from gateway.cli.options import Misused
from gateway.cli.session import Failed, Json, answer, session_of, show_webhooks, webhooks_of
from gateway.crediting import SECOND
from gateway.interface import AccountInfo
from gateway.models import Credential
from gateway.settings import CREDENTIAL_VARIABLE
from gateway.showing import account_document, credential_document

group = typer.Typer(help="Accounts at carriers: add, list, check, rotate, remove.", no_args_is_help=True)

ASK: Final = "-"


Ident = Annotated[str, typer.Argument(metavar="ID", help="Its id, name or account.")]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="One of the account's secrets; FIELD=- asks for it, or reads a line of stdin.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check/--no-check", help="Whether the carrier is asked if the secrets work.")
]


@group.command("add")
def add(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER")],
    given: Given = None,
    name: Annotated[str, typer.Option("--name", help="Your name of it; default: the provider's.")] = "",
    shared: Annotated[
        bool, typer.Option("--shared", help="Other programs place calls with this account too.")
    ] = False,
    check: Check = True,
    profile: Annotated[
        str | None,
        typer.Option("--outbound-profile", help="The carrier's object that outbound calls are billed by."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add an account. Its secrets come from --set or variables GATEWAY_CREDENTIAL_<FIELD>; else a terminal asks."""
    session = session_of(context)
    secrets = {**_from_environment(os.environ), **_from_options(given or [])} or _asked(provider)
    with session.gateway() as gateway:
        checked = gateway.credentials.add_checked(
            provider,
            secrets,
            name=name,
            exclusive=not shared,
            check=check,
            outbound_profile=profile,
            workspace_id=session.workspace_id,
        )
        added, account = checked.credential, checked.account
        webhooks = webhooks_of(gateway, added)
        is_set_up_by_us = registry.provider_class(added.provider).capabilities.number_setup
    document = credential_document(added, webhooks)
    if account is not None:
        document["account"] = account_document(account)

    def show() -> None:
        whose = f"account {added.account_ref}" if added.account_ref else "account"
        screen.say(f"✓ {added.name}: {added.provider} {whose}  {added.id}", style="green")
        if account is not None:
            _show_account(account)
        if webhooks is not None and is_set_up_by_us:
            screen.say("Next, take in its numbers; assigning one gives the carrier our URLs:")
            screen.say(f"  gateway numbers import {added.name}", style="cyan")
        else:
            show_webhooks(webhooks)

    answer(document, as_json=as_json, show=show)


def _asked(provider: str) -> dict[str, str]:
    """Ask a person for what this carrier's accounts usually have; a program must say it."""
    usual = registry.provider_class(provider).usual_secrets
    if not sys.stdin.isatty():
        words = " ".join(f"--set {field}=..." for field in usual) or "each secret as FIELD=VALUE"
        raise Misused("--set", f"give {words}")
    return {field: options.asked_secret(field) for field in usual}


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
        found[field] = options.asked_secret(field) if value == ASK else value
    return found


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
    ident: Ident,
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
    balance = f", balance {_money(account.balance)} {account.currency or ''}" if account.balance else ""
    named = f"{account.name}: " if account.name else ""
    screen.say(f"{icon} {named}{account.status}, {account.kind}{balance}", style=style)
    for note in account.notes:
        screen.say(f"  {note}", style="yellow")


def _money(amount: str) -> str:
    """Return a carrier's amount with two decimals; what is none, as it came."""
    try:
        return f"{Decimal(amount):.2f}"
    except InvalidOperation:
        return amount


@group.command("rotate")
def rotate(
    context: typer.Context, ident: Ident, given: Given = None, check: Check = True, as_json: Json = False
) -> None:
    """Add new secrets: beside the old ones where both can be live, then `retire` ends the old; else in their place."""
    session = session_of(context)
    secrets = _from_options(given or [])
    with session.gateway() as gateway:
        found = gateway.credentials.rotate(
            ident, check=check, secrets=secrets, workspace_id=session.workspace_id
        )
        webhooks = webhooks_of(gateway, found)
    pending = [name for name in found.secrets if name.endswith(SECOND)]

    def show() -> None:
        screen.say(f"✓ {found.name} has the new secrets", style="green")
        if pending:
            screen.say("The old ones work too. Make the new ones primary at the carrier, then run")
            screen.say(f"  gateway credentials retire {found.name}", style="cyan")

    document = {**credential_document(found, webhooks), "rotating": bool(pending)}
    answer(document, as_json=as_json, show=show)


@group.command("retire")
def retire(context: typer.Context, ident: Ident, check: Check = True, as_json: Json = False) -> None:
    """End the old secrets of a rotation, at once and everywhere."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.credentials.retire(ident, check=check, workspace_id=session.workspace_id)
        webhooks = webhooks_of(gateway, found)
    answer(
        {**credential_document(found, webhooks), "rotating": False},
        as_json=as_json,
        show=lambda: screen.say(f"✓ the old secrets of {found.name} are gone", style="green"),
    )


@group.command("rekey")
def rekey(context: typer.Context, as_json: Json = False) -> None:
    """Seal all secrets with the newest key of GATEWAY_SECRET_KEY, while the gateway runs. Killed, run it again."""
    session = session_of(context)
    with session.gateway() as gateway, screen.progress("sealing") as advance:
        done = gateway.credentials.rekey(lambda count: advance(count, None))
    document = {
        "resealed": done.resealed,
        "unchanged": done.unchanged,
        "failures": list(done.failures),
    }
    answer(
        document,
        as_json=as_json,
        show=lambda: screen.say(
            f"✓ {done.resealed} sealed anew, {done.unchanged} were already", style="green"
        ),
    )
    if done.failures:
        raise Failed(f"{len(done.failures)} rows do not open: {'; '.join(done.failures[:3])}")


@group.command("remove")
def remove(
    context: typer.Context,
    ident: Ident,
    release_numbers: Annotated[
        bool,
        typer.Option(
            "--release-numbers", help="Unassign its numbers first, and put them back at the carrier."
        ),
    ] = False,
    configure: Annotated[
        bool,
        typer.Option("--configure/--no-configure", help="Whether the carrier's settings are changed too."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Remove an account and erase its secrets. Refused while its numbers are assigned."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.credentials.get(ident, workspace_id=session.workspace_id)
        notes = gateway.credentials.remove(
            found.id,
            release_numbers=release_numbers,
            configure=configure,
            workspace_id=session.workspace_id,
        )

    def show() -> None:
        screen.say(f"✓ {found.name} removed, its secrets erased", style="green")
        for note in notes:
            screen.say(note, style="yellow")

    document = {"id": found.id, "name": found.name, "provider": found.provider, "removed": True}
    answer({**document, "notes": list(notes)}, as_json=as_json, show=show)
