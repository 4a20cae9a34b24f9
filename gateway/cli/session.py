"""What every command needs: the gateway, opened as the options say, and the two ways to answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gateway.cli import screen
from gateway.errors import ConfigurationError
from gateway.gateway import Gateway
from gateway.models import DEFAULT_WORKSPACE, Credential
from gateway.settings import Settings, load_settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]


class Failed(Exception):
    """A command did not reach its end; the message is its one line on stderr, the exit code is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The options before the command's name."""

    config_file: str | None = None
    workspace_id: str = DEFAULT_WORKSPACE
    debug: bool = False

    def settings(self, **arguments: Any) -> Settings:
        """Read the settings. Raises ConfigurationError."""
        return load_settings(self.config_file, **arguments)

    @contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """Open the gateway for one command. A database that is not there is made; an older one is refused."""
        with Gateway.open(self.settings(), upgrade=False, create=True, background=False) as gateway:
            yield gateway


def log_to_stderr(level: str | None) -> None:
    """Write the log from `level` on to stderr. None: nowhere, for a command's one line there is its own."""
    handlers: list[logging.Handler] = [logging.NullHandler() if level is None else logging.StreamHandler()]
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(handlers=handlers, level=level or logging.WARNING, format=form, force=True)


def session_of(context: typer.Context) -> Session:
    """Return the options before the command's name."""
    found: Session = context.obj
    return found


def answer(document: Any, *, as_json: bool, show: Callable[[], None]) -> None:
    """Print the one document, or show the same to a person."""
    if as_json:
        print_json(document)
    else:
        show()


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document, whole, at once."""
    typer.echo(json.dumps(document, indent=indent, ensure_ascii=False))


def webhooks_of(gateway: Gateway, credential: Credential) -> Mapping[str, str] | None:
    """Return the URLs that the carrier must be given, or None while no public URL is configured."""
    try:
        return gateway.credentials.webhooks(credential)
    except ConfigurationError:
        return None


def show_webhooks(webhooks: Mapping[str, str] | None) -> None:
    """Show what `numbers assign` sets, and a person enters who sets the carrier up by hand."""
    if webhooks is None:
        screen.say("Set GATEWAY_PUBLIC_URL to see the URLs that the carrier must be given.", style="yellow")
        return
    screen.say("`gateway numbers assign` gives the carrier these URLs; by hand (POST):")
    for name, url in webhooks.items():
        screen.say(f"  {name:<10} {url}", style="cyan")
