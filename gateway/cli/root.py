"""The command tree, and how a command ends: exit codes, and every error in one line on stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Protocol, runtime_checkable

import typer
from typer.core import TyperGroup

from gateway import __version__
from gateway.cli import (
    agents,
    calls,
    credentials,
    keys,
    operations,
    running,
    simulating,
    supplying,
    upkeep,
    webhooks,
)
from gateway.cli.options import Misused
from gateway.cli.screen import clean
from gateway.cli.session import Failed, Session, log_to_stderr
from gateway.errors import GatewayError, NotFound
from gateway.models import DEFAULT_WORKSPACE

log = logging.getLogger(__name__)

# What is not there -> the command that shows what is.
WHERE_TO_LOOK: Final = {
    "agent": "`gateway agents list`",
    "credential": "`gateway credentials list`",
    "single credential named": "give its id: `gateway credentials list`",
    "number": "`gateway numbers list`",
}


@runtime_checkable
class _CommandLineError(Protocol):
    """What Typer raises for a command line it cannot read, whichever release defines it."""

    exit_code: int

    def format_message(self) -> str:
        """Return what is wrong, for people."""


class Commands(TyperGroup):
    """The tree's root: runs one command and turns whatever it raises into one line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run one command and leave the process. `standalone_mode` is ours to decide."""
        extra["standalone_mode"] = False
        sys.exit(exit_code(lambda: TyperGroup.main(self, args, *rest, **extra)))


def exit_code(run: Callable[[], object]) -> int:
    """Run a command; say in one line on stderr what it raised, and return the process's exit code."""
    try:
        code = run()
    except Misused as error:
        return _fail(str(error), 2, error)
    except NotFound as error:
        hint = WHERE_TO_LOOK.get(error.kind)
        return _fail(f"{error} ({hint} shows what there is)" if hint else str(error), 1, error)
    except (GatewayError, Failed) as error:
        return _fail(str(error), 1, error)
    except typer.Abort:
        return _fail("stopped", 130)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone: nothing is left to say, also not for the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if isinstance(error, _CommandLineError):
            return _fail(f"{error.format_message()} (`gateway --help` lists every command)", error.exit_code)
        what = (
            f"unexpected {type(error).__name__}: run `gateway --debug ...` again to see where it comes from"
        )
        return _fail(what, 1, error)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int, error: BaseException | None = None) -> int:
    """Say what is wrong in one line; with --debug, say where too."""
    if error is not None:
        log.debug("the command failed", exc_info=error)
    line = " ".join(clean(message.replace("\n", " ")).split())
    typer.echo(f"error: {line}", err=True)
    return code


app = typer.Typer(
    name="gateway",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="One interface over the voice APIs of several carriers, with a carrier simulator.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"telephony-gateway {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    workspace: Annotated[str, typer.Option("--workspace", help="Tenant.")] = DEFAULT_WORKSPACE,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything to stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that stand before the command's name."""
    context.obj = Session(config_file=config, workspace_id=workspace, debug=debug)
    log_to_stderr("DEBUG" if debug else None)


app.command("demo")(running.demo)
app.command("serve")(running.serve)
app.command("simulate")(simulating.simulate)
app.command("call")(calls.call)
app.add_typer(calls.group, name="calls")
app.add_typer(credentials.group, name="credentials")
supplying.group.add_typer(operations.group, name="operations")
app.add_typer(supplying.group, name="numbers")
app.add_typer(agents.group, name="agents")
app.add_typer(keys.group, name="keys")
app.add_typer(webhooks.group, name="webhooks")
app.add_typer(upkeep.database, name="db")
app.add_typer(upkeep.doctor, name="doctor")
