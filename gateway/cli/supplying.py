"""`gateway numbers import|search|buy|caller-ids|add-sip`: how numbers come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.byoc import AvailableNumber, OrderState
from gateway.cli import options, screen
from gateway.cli.numbers import Account, Configure, TakeOver, Yes, finish_operation, group
from gateway.cli.options import Misused
from gateway.cli.session import Json, Session, answer, session_of
from gateway.errors import ValidationError
from gateway.gateway import Gateway
from gateway.showing import (
    available_document,
    drift_document,
    number_document,
    sip_document,
)

caller_ids = typer.Typer(
    help="Other carriers' numbers that an account may show: outbound only.", no_args_is_help=True
)
group.add_typer(caller_ids, name="caller-ids")

__all__ = ["group"]

_LARGEST_FILE: Final = 2_000_000  # bytes


@group.command("import")
def import_numbers(
    context: typer.Context,
    credential: Annotated[
        str | None,
        typer.Argument(metavar="[CREDENTIAL]", help="Its id, name or account; default: the only one."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NUMBER", help="Only this number; repeatable.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="A file with the columns number,agent,inbound,outbound."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    take_over: TakeOver = False,
    configure: Configure = True,
    as_json: Json = False,
) -> None:
    """Add the voice numbers that the carrier lists for an account; nothing is changed there. Or those of a CSV file."""
    session = session_of(context)
    if file is not None:
        if only or dry_run:
            raise Misused("--csv", "goes without --only and --dry-run: the file says which numbers")
        text = _read(file)
        with session.gateway() as gateway:
            started = gateway.operations.start_csv_import(
                text,
                credential=credential,
                configure=configure,
                take_over=take_over,
                claim=True,
                workspace_id=session.workspace_id,
            )
            finish_operation(gateway, session, started, as_json=as_json, bad=("error",))
        return
    with session.gateway() as gateway:
        credential = credential or _only_account(gateway, session)
        if dry_run:
            _preview(gateway, session, credential, only, take_over=take_over, as_json=as_json)
            return
        started = gateway.operations.start_import(
            credential, only=only, take_over=take_over, claim=True, workspace_id=session.workspace_id
        )
        finish_operation(
            gateway, session, started, as_json=as_json, bad=("not in the account",), detail="points at"
        )


def _only_account(gateway: Gateway, session: Session) -> str:
    """Return the one account there is. Raises Misused when there are others, or none."""
    found = gateway.credentials.list(workspace_id=session.workspace_id)
    if len(found) != 1:
        names = (
            f"name one of: {', '.join(each.name for each in found[:10])}" if found else "add an account first"
        )
        raise Misused("CREDENTIAL", names)
    return found[0].id


def _preview(
    gateway: Gateway,
    session: Session,
    credential: str,
    only: list[str] | None,
    *,
    take_over: bool,
    as_json: bool,
) -> None:
    verdicts = gateway.numbers.import_from(
        credential, only=only, dry_run=True, take_over=take_over, workspace_id=session.workspace_id
    )
    rows = [(each.e164, each.verdict.value, each.points_at) for each in verdicts]
    documents = [dict(zip(("number", "verdict", "detail"), row, strict=True)) for row in rows]
    answer(
        {"dry_run": True, "results": documents},
        as_json=as_json,
        show=lambda: screen.show_table(
            ("number", "would be", "points at"), rows, empty="The account has no numbers."
        ),
    )


def _read(file: Path) -> str:
    try:
        content = file.read_bytes()[: _LARGEST_FILE + 1]
    except OSError as error:
        raise ValidationError("file", f"{file} cannot be read ({error.strerror})") from None
    if len(content) > _LARGEST_FILE:
        raise ValidationError("file", f"give at most {_LARGEST_FILE:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValidationError("file", f"{file} is not UTF-8 text") from None


# -- search and buy ------------------------------------------------------------------------------------------------


@group.command("search")
def search(
    context: typer.Context,
    credential: Account,
    country: Annotated[str, typer.Option("--country", help="ISO 3166 alpha-2, like US.")],
    kind: Annotated[str, typer.Option("--kind", help="local, mobile, toll_free or national.")] = "local",
    area_code: Annotated[str | None, typer.Option("--area-code", help="National digits.")] = None,
    contains: Annotated[
        str | None, typer.Option("--contains", help="Digits that the number contains.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 20,
    as_json: Json = False,
) -> None:
    """Search the carrier's inventory of voice numbers, with prices; costs nothing."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.numbers.search(
            credential,
            country=country.upper(),
            kind=kind,
            area_code=area_code,
            contains=contains,
            limit=limit,
            workspace_id=session.workspace_id,
        )
    rows = [
        (each.e164, each.kind, f"{each.locality} {each.region}".strip(), _price(each), each.restriction)
        for each in found
    ]
    answer(
        {"data": [available_document(each) for each in found]},
        as_json=as_json,
        show=lambda: screen.show_table(
            ("number", "kind", "where", "price", "demands"), rows, empty="Nothing was found."
        ),
    )


def _price(number: AvailableNumber) -> str:
    parts = [
        f"{price:f} {number.currency or ''} {each}".replace("  ", " ")
        for price, each in ((number.monthly_price, "a month"), (number.setup_price, "once"))
        if price is not None
    ]
    return ", ".join(parts) or "a price that the carrier does not say"


@group.command("buy")
def buy(
    context: typer.Context,
    e164: Annotated[str, typer.Argument(metavar="NUMBER", help="One that `search` found.")],
    credential: Account,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Buy a number: this spends money. Asks first, and names the price."""
    session = session_of(context)
    with session.gateway() as gateway:
        if not yes:
            options.confirm(
                f"Buy {e164} for {_asking_price(gateway, session, credential, e164)}?",
                yes=yes,
                option="--yes",
            )
        bought = gateway.numbers.buy(e164, credential=credential, workspace_id=session.workspace_id)

    def show() -> None:
        if bought.state is OrderState.PENDING:
            screen.say(
                f"… {bought.e164} is ordered; the carrier is still working on it: run `gateway numbers import "
                f"{credential} --only {bought.e164}` later",
                style="yellow",
            )
        else:
            words = "was in the account already, and is here now" if bought.was_there else "bought"
            screen.say(f"✓ {bought.e164} {words}", style="green")

    document: dict[str, Any] = {
        "e164": bought.e164,
        "state": bought.state.value,
        "was_there": bought.was_there,
        "order_ref": bought.order_ref,
        "number": None if bought.number is None else number_document(bought.number, []),
    }
    answer(document, as_json=as_json, show=show)


def _asking_price(gateway: Gateway, session: Session, credential: str, e164: str) -> str:
    found = gateway.numbers.quote(e164, credential=credential, workspace_id=session.workspace_id)
    return "a price that the carrier does not say" if found is None else _price(found)


# -- verified caller IDs -------------------------------------------------------------------------------------------


@caller_ids.command("list")
def list_caller_ids(context: typer.Context, credential: Account, as_json: Json = False) -> None:
    """List the foreign numbers that the account may show."""
    session = session_of(context)
    with session.gateway() as gateway:
        found = gateway.numbers.caller_ids(credential, workspace_id=session.workspace_id)
    answer(
        {"data": [{"e164": each.e164, "name": each.name} for each in found]},
        as_json=as_json,
        show=lambda: screen.show_table(
            ("number", "name"), [(each.e164, each.name) for each in found], empty="None is verified."
        ),
    )


@caller_ids.command("verify")
def verify_caller_id(
    context: typer.Context,
    e164: Annotated[str, typer.Argument(metavar="NUMBER", help="A phone that you can answer.")],
    credential: Account,
    by: Annotated[str, typer.Option("--by", help="call or sms.")] = "call",
    as_json: Json = False,
) -> None:
    """Have the carrier call a foreign number, or send it a text, so that it may be shown."""
    session = session_of(context)
    with session.gateway() as gateway:
        begun = gateway.numbers.verify_caller_id(
            e164, credential=credential, by=by, workspace_id=session.workspace_id
        )

    def show() -> None:
        confirm = f"gateway numbers caller-ids confirm {e164} --credential {credential}"
        if begun.verification_ref is not None:
            confirm += f" --ref {begun.verification_ref}"
        if begun.code_to_type is not None:
            screen.say(f"The carrier calls {e164} now: type {begun.code_to_type} on its keypad, then run")
        else:
            screen.say(f"The carrier sends a code to {e164}: run")
            confirm += " --code CODE"
        screen.say(f"  {confirm}", style="cyan")

    document = {
        "e164": e164,
        "verification_ref": begun.verification_ref,
        "code_to_type": begun.code_to_type,
    }
    answer(document, as_json=as_json, show=show)


@caller_ids.command("confirm")
def confirm_caller_id(
    context: typer.Context,
    e164: Annotated[str, typer.Argument(metavar="NUMBER")],
    credential: Account,
    ref: Annotated[str | None, typer.Option("--ref", help="What `verify` printed, where it did.")] = None,
    code: Annotated[
        str | None, typer.Option("--code", help="What the phone got; neither: verified before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Finish a verification, and add the number: it can be assigned for outbound calls."""
    session = session_of(context)
    with session.gateway() as gateway:
        if ref is None and code is None:
            added = gateway.numbers.add_caller_id(
                e164, credential=credential, workspace_id=session.workspace_id
            )
        else:
            added = gateway.numbers.confirm_caller_id(
                e164,
                credential=credential,
                verification_ref=ref,
                code=code,
                workspace_id=session.workspace_id,
            )
    answer(
        number_document(added, []),
        as_json=as_json,
        show=lambda: screen.say(f"✓ {added.e164} can be shown: assign it with --outbound", style="green"),
    )


# -- SIP -----------------------------------------------------------------------------------------------------------


@group.command("add-sip")
def add_sip(
    context: typer.Context,
    e164s: Annotated[
        list[str], typer.Argument(metavar="NUMBER...", help="Numbers that stay with your SIP carrier.")
    ],
    credential: Account,
    name: Annotated[str, typer.Option("--name", help="Yours, one a SIP carrier.")] = "sip",
    host: Annotated[
        str | None, typer.Option("--host", help="host:port where outbound calls go; none: inbound only.")
    ] = None,
    ips: Annotated[
        list[str] | None, typer.Option("--ip", help="IPv4 address that its calls come from; repeatable.")
    ] = None,
    username: Annotated[
        str | None, typer.Option("--username", help="What its calls authenticate with instead.")
    ] = None,
    password: Annotated[
        str | None, typer.Option("--password", help="- asks for it, or reads a line of stdin.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Link an account to your own SIP carrier, and print exactly what you enter there. Run it again to mend it."""
    session = session_of(context)
    asked = options.asked_secret("password") if password == "-" else password  # noqa: S105 - the sign for "ask"
    with session.gateway() as gateway:
        added = gateway.numbers.add_sip(
            e164s,
            credential=credential,
            name=name,
            carrier_host=host,
            carrier_ips=ips or (),
            username=username,
            password=asked,
            workspace_id=session.workspace_id,
        )

    def show() -> None:
        count = len(added.numbers)
        screen.say(f"✓ link {added.link.name} with {count} number{'s' * (count != 1)}", style="green")
        screen.say("Enter at your SIP carrier:")
        for label, value in added.instructions:
            screen.say(f"  {label:<24} {value}", style="cyan")
        for each in map(drift_document, added.differences):
            screen.say(f"  not right yet: {each['setting']} {each['advice']}".rstrip(), style="yellow")

    document = {
        **sip_document(added.link, added.numbers, added.instructions),
        "drift": [drift_document(each) for each in added.differences],
    }
    answer(document, as_json=as_json, show=show)
