"""`gateway keys ...`: keys of the public API. A key is shown once, when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from gateway import keys
from gateway.cli import screen
from gateway.cli.session import Json, answer, session_of
from gateway.durations import parse_duration
from gateway.models import ApiKey, Scope
from gateway.showing import time_text

group = typer.Typer(help="Make, list and revoke keys of the public API.", no_args_is_help=True)

DEFAULT_SCOPES = [Scope.CALLS_READ.value, Scope.CALLS_WRITE.value]


@group.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="Repeatable; default: calls:read and calls:write."),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="DURATION", help='Like "720h"; default: never.')
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it: it cannot be had again."""
    session = session_of(context)
    with session.gateway() as gateway:
        expires_at = (
            gateway.services.clock() + timedelta(seconds=parse_duration(expires_in, "expires-in"))
            if expires_in
            else None
        )
        made, secret = keys.create_key(
            gateway.services,
            name,
            scopes or DEFAULT_SCOPES,
            expires_at=expires_at,
            workspace_id=session.workspace_id,
        )

    def show() -> None:
        screen.say(f"✓ {made.name}  {made.id}", style="green")
        screen.say(secret)
        screen.say("Keep it now: it is not stored and cannot be shown again.")

    answer({**key_document(made), "key": secret}, as_json=as_json, show=show)


@group.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the keys: what they may do, whether they still count."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = keys.list_keys(gateway.services, session.workspace_id)
        now = gateway.services.clock()

    def show() -> None:
        for each in found:
            state = "live" if each.is_valid(now) else "revoked" if each.revoked_at else "expired"
            scopes = " ".join(sorted(scope.value for scope in each.scopes))
            screen.say(f"{each.prefix}…  {state:8} {each.name}  {scopes}  {each.id}")
        if not found:
            screen.say("no keys: gateway keys create NAME")

    answer({"data": [key_document(each) for each in found]}, as_json=as_json, show=show)


@group.command("revoke")
def revoke(
    context: typer.Context,
    ident: Annotated[str, typer.Argument(metavar="KEY", help="Its id, its prefix, or the whole key.")],
    as_json: Json = False,
) -> None:
    """Refuse a key from now on, in every process."""
    session = session_of(context)
    with session.gateway() as gateway:
        gone = keys.revoke_key(gateway.services, ident, session.workspace_id)
    answer(
        key_document(gone),
        as_json=as_json,
        show=lambda: screen.say(f"✓ {gone.name} ({gone.prefix}…) is revoked", style="green"),
    )


def key_document(key: ApiKey) -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(scope.value for scope in key.scopes),
        "expires_at": time_text(key.expires_at),
        "revoked_at": time_text(key.revoked_at),
        "created_at": time_text(key.created_at),
    }
