"""`gateway serve` and `gateway demo`."""

from __future__ import annotations

import importlib
import os
from typing import Annotated

import typer

from gateway.cli import screen
from gateway.cli.session import Json, log_to_stderr, print_json, session_of


def serve(
    context: typer.Context,
    bind: Annotated[str | None, typer.Option("--bind", help="host:port; port 0: any free one.")] = None,
    as_json: Json = False,
) -> None:
    """Serve the carriers' webhooks, and sweep. Stops on Ctrl-C or SIGTERM, after what is under way."""
    from gateway import serving

    session = session_of(context)
    if session.config_file is not None:
        os.environ["GATEWAY_CONFIG"] = (
            session.config_file
        )  # gunicorn's configuration reads the settings again
    settings = session.settings(bind=bind)
    serving.prepare(settings)
    bound = serving.listen(settings.bind)
    if not session.debug:
        log_to_stderr(settings.log_level)
    url = f"http://{serving.address_of(bound)}"
    document = {
        "url": url,
        "public_url": settings.public_url,
        "webhook_prefix": settings.webhook_prefix,
        "workers": settings.workers,
        "threads": settings.threads,
        "pid": os.getpid(),
    }
    if as_json:
        print_json(document)
    else:
        screen.say(
            f"Serving on {url}; carriers call {settings.public_url or 'nothing yet: set GATEWAY_PUBLIC_URL'}"
        )
    serving.serve(settings, bound)


def demo(
    context: typer.Context,
    provider: Annotated[
        list[str] | None, typer.Option("--provider", help="Only this carrier; repeat for several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run calls out and in at every carrier, on the simulator, in a live table. Ends by itself."""
    session_of(context)
    # By name, and only now: it brings the simulator, which other commands must work without.
    run = importlib.import_module("gateway.demo").run
    raise typer.Exit(run(as_json=as_json, providers=provider or ()))
