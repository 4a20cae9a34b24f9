"""`gateway serve`, `gateway simulate` and `gateway demo`: what runs until it is stopped."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from typing import Annotated, Any, Final

import typer

from gateway.cli import screen
from gateway.cli.session import Failed, Json, log_to_stderr, print_json, session_of
from gateway.errors import MissingExtra

# Made-up numbers of the simulated accounts and phones: 555-01xx is reserved for fiction.
FIRST_NUMBER: Final = 4_155_550_100
PHONES: Final = (
    ("+14155550123", "answers", "Answer"),
    ("+14155550124", "is busy", "Busy"),
    ("+14155550125", "rings out", "NoAnswer"),
    ("+14155550126", "declines", "Decline"),
    ("+14155550127", "cannot be reached", "Unreachable"),
    ("+14155550128", "is a voicemail box", "Voicemail"),
)


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


def simulate(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 9000,
    speed: Annotated[float, typer.Option("--speed", min=0.1, max=1000, help="Times faster.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Play the carriers on loopback: their APIs, webhooks, phones and media. Runs until Ctrl-C."""
    session_of(context)
    try:
        # By name, because the gateway knows no carrier: the simulator is one to it.
        module = importlib.import_module("providers.simulator")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("providers"):
            raise
        raise MissingExtra("the simulator", "simulator") from None
    simulator = module.Simulator(port=port, speed=speed)
    try:
        simulator.start()
    except OSError as error:
        raise Failed(f"cannot listen on port {port} ({error.strerror}): give another --port") from None
    try:
        document = _set_up(module, simulator)
        if as_json:
            print_json(document)
        else:
            _show_simulator(document)
        _until_stopped()
    finally:
        _stop(module, simulator)


def _stop(module: Any, simulator: Any) -> None:
    try:
        simulator.stop()
    except module.SimulatorError as error:
        raise Failed(str(error)) from None


def _set_up(module: Any, simulator: Any) -> dict[str, Any]:
    """Open an account with one number at each carrier and script the phones; return what a user needs to know."""
    carriers = importlib.import_module("providers.simulator.simulator").FACES
    accounts = []
    for position, provider in enumerate(sorted(carriers)):
        account = simulator.add_account(provider, name="Simulated account")
        number = f"+1{FIRST_NUMBER + position}"
        simulator.add_number(account, number)
        accounts.append(
            {
                "provider": provider,
                "account_ref": account.account_ref,
                "base_url": simulator.base_url(provider),
                "secrets": _secrets(account),
                "numbers": [number],
            }
        )
    for number, _, script in PHONES:
        simulator.script(number, getattr(module, script)())
    return {
        "port": simulator.port,
        "environment": {
            f"GATEWAY_{each['provider'].upper()}_BASE_URL": each["base_url"] for each in accounts
        },
        "accounts": accounts,
        "phones": [{"number": number, "behavior": words} for number, words, _ in PHONES],
    }


def _secrets(account: Any) -> dict[str, str]:
    """Return what `credentials add` needs; a carrier that has applications needs the id of one to dial."""
    extra = {} if account.connection_id is None else {"connection_id": account.connection_id}
    return {**account.secrets, **extra}


def _show_simulator(document: dict[str, Any]) -> None:
    screen.say(
        f"The simulated carriers listen on port {document['port']}; Ctrl-C stops them.", style="bold green"
    )
    screen.say("Point a gateway at them:")
    for name, value in document["environment"].items():
        screen.say(f"  export {name}={value}", style="cyan")
    screen.say("Their made-up accounts:")
    for account in document["accounts"]:
        fields = " ".join(f"--set {field}={value}" for field, value in account["secrets"].items())
        provider, number = account["provider"], account["numbers"][0]
        screen.say(f"  gateway credentials add {provider} {fields}", style="cyan")
        screen.say(f"  gateway numbers add {number} --credential {provider}", style="cyan")
    screen.say("Phones that can be called:")
    for phone in document["phones"]:
        screen.say(f"  {phone['number']}  {phone['behavior']}")


def _until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        stopped.wait()
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def demo(context: typer.Context, as_json: Json = False) -> None:
    """Run calls out and in at every carrier, on the simulator, in a live table. Ends by itself."""
    session_of(context)
    run = importlib.import_module("gateway.demo").run
    raise typer.Exit(run(as_json=as_json))
