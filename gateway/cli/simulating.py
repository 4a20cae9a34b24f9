"""`gateway simulate`: the carriers on loopback, and, with --connect, the gateway of this folder set up for them.

The simulator is imported by name, when it is asked for: the gateway knows no carrier, and this is one.
"""

from __future__ import annotations

import importlib
import itertools
import signal
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from gateway.cli import screen
from gateway.cli.session import Failed, Json, Session, print_json, session_of
from gateway.durations import parse_duration
from gateway.errors import MissingExtra, NotFound
from gateway.gateway import Gateway
from gateway.models import Credential

# Made-up numbers: 555-01xx is reserved for fiction.
FIRST_NUMBER: Final = 4_155_550_100
FIRST_FOR_SALE, FOR_SALE = 4_155_550_150, 5  # of each carrier, to be searched and bought
SEED: Final = 1  # the accounts are the same in each run, so a gateway that was set up once stays set up
CALLER: Final = "+12125550123"
PHONES: Final = (
    ("+14155550123", "answers", "Answer"),
    ("+14155550124", "is busy", "Busy"),
    ("+14155550125", "rings out", "NoAnswer"),
    ("+14155550126", "declines", "Decline"),
    ("+14155550127", "cannot be reached", "Unreachable"),
    ("+14155550128", "is a voicemail box", "Voicemail"),
)


def simulate(
    context: typer.Context,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 9000,
    speed: Annotated[float, typer.Option("--speed", min=0.1, max=1000, help="Times faster.")] = 1.0,
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Add the accounts and numbers here, and give the carriers our URLs."),
    ] = False,
    ring_every: Annotated[
        str | None,
        typer.Option(
            "--ring-every",
            metavar="DURATION",
            help="Let a phone call the numbers in turn, wherever they point.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Play the carriers on loopback: their APIs, webhooks, phones and media. Runs until Ctrl-C."""
    session = session_of(context)
    pause_s = None if ring_every is None else parse_duration(ring_every, "--ring-every")
    module = _simulator_module()
    simulator = module.Simulator(port=port, speed=speed)
    try:
        simulator.start()
    except OSError as error:
        raise Failed(f"cannot listen on port {port} ({error.strerror}): give another --port") from None
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        accounts = _open_accounts(module, simulator)
        document = _document(simulator, accounts)
        if connect:
            _connect(session, simulator, accounts)
        if as_json:
            print_json(document)
        else:
            _show(document, is_connected=connect)
        _run(simulator, [number for _, number in accounts], pause_s, stopped)
    except KeyboardInterrupt:
        pass  # the usual end
    finally:
        _stop(module, simulator)
        signal.signal(signal.SIGTERM, before)


def _simulator_module() -> Any:
    try:
        return importlib.import_module("providers.simulator")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("providers"):
            raise
        raise MissingExtra("the simulator", "simulator") from None


def _stop(module: Any, simulator: Any) -> None:
    try:
        simulator.stop()
    except module.SimulatorError as error:
        raise Failed(str(error)) from None


# -- the carriers' side ----------------------------------------------------------------------------------------------


def _open_accounts(module: Any, simulator: Any) -> list[tuple[Any, str]]:
    """Open an account with one number at each carrier, offer some more, and script the phones that can be called."""
    carriers = importlib.import_module("providers.simulator.simulator").FACES
    accounts = []
    for position, provider in enumerate(sorted(carriers)):
        account = simulator.add_account(provider, name="Simulated account", seed=SEED + position)
        number = f"+1{FIRST_NUMBER + position}"
        simulator.add_number(account, number)
        for index in range(FOR_SALE):
            offered = f"+1{FIRST_FOR_SALE + FOR_SALE * position + index}"
            simulator.add_inventory(provider, offered, locality="San Francisco", region="CA", monthly="1.15")
        accounts.append((account, number))
    for number, _, script in PHONES:
        simulator.script(number, getattr(module, script)())
    return accounts


def _document(simulator: Any, accounts: list[tuple[Any, str]]) -> dict[str, Any]:
    return {
        "port": simulator.port,
        "environment": {
            f"GATEWAY_{account.provider.upper()}_BASE_URL": simulator.base_url(account.provider)
            for account, _ in accounts
        },
        "accounts": [
            {
                "provider": account.provider,
                "account_ref": account.account_ref,
                "base_url": simulator.base_url(account.provider),
                "secrets": _secrets(account),
                "numbers": [number],
            }
            for account, number in accounts
        ],
        "phones": [{"number": number, "behavior": words} for number, words, _ in PHONES],
    }


def _secrets(account: Any) -> dict[str, str]:
    """Return what `credentials add` needs; a carrier that has applications needs the id of one to dial."""
    extra = {} if account.connection_id is None else {"connection_id": account.connection_id}
    return {**account.secrets, **extra}


def _show(document: dict[str, Any], *, is_connected: bool) -> None:
    screen.say(f"The simulated carriers listen on port {document['port']}; Ctrl-C stops them.", style="green")
    screen.say("Point a gateway at them, in every terminal that runs it:")
    for name, value in document["environment"].items():
        screen.say(f"  export {name}={value}", style="cyan")
    if is_connected:
        screen.say("This folder's gateway has their accounts and numbers (`gateway numbers list`).")
    else:
        screen.say("Their made-up accounts (or let --connect add them):")
        for account in document["accounts"]:
            _show_account(account)
    screen.say("Phones that can be called:")
    for phone in document["phones"]:
        screen.say(f"  {phone['number']}  {phone['behavior']}")


def _show_account(account: dict[str, Any]) -> None:
    fields = " ".join(f"--set {field}={value}" for field, value in account["secrets"].items())
    provider = account["provider"]
    screen.say(f"  gateway credentials add {provider} {fields}", style="cyan")
    screen.say(f"  gateway numbers import {provider}", style="cyan")
    screen.say(
        f"  gateway numbers assign {account['numbers'][0]} --agent AGENT --inbound --outbound", style="cyan"
    )


def _run(simulator: Any, numbers: list[str], pause_s: int | None, stopped: threading.Event) -> None:
    """Wait until it is stopped; meanwhile, let a phone call the numbers in turn."""
    for number in _called(numbers, pause_s):
        if stopped.wait(pause_s):
            return
        simulator.ring(number, CALLER)


def _called(numbers: list[str], pause_s: int | None) -> Iterator[str]:
    """Yield the numbers over and over; without a pause the first wait never ends by itself."""
    return itertools.cycle(numbers if pause_s is not None else numbers[:1])


# -- the gateway's side ----------------------------------------------------------------------------------------------


def _connect(session: Session, simulator: Any, accounts: list[tuple[Any, str]]) -> None:
    """Add the accounts and numbers to this folder's gateway, and type its URLs into the carriers' consoles.

    The simulator's accounts are the same in each run, so what an earlier run added is found again and kept.
    """
    base_urls = {account.provider: simulator.base_url(account.provider) for account, _ in accounts}
    settings = session.settings(base_urls=base_urls)
    with Gateway.open(settings, upgrade=False, create=True, background=False) as gateway:
        for account, number in accounts:
            credential = _added_account(gateway, session.workspace_id, account)
            _add_number(gateway, session.workspace_id, number, credential)
            _give_urls(simulator, account, number, gateway.credentials.webhooks(credential))


def _added_account(gateway: Gateway, workspace_id: str, account: Any) -> Credential:
    name = f"simulated-{account.provider}"
    try:
        return gateway.credentials.get(name, workspace_id=workspace_id)
    except NotFound:
        secrets: dict[str, Any] = _secrets(account)
        return gateway.credentials.add(
            account.provider, name=name, workspace_id=workspace_id, secrets=secrets
        )


def _add_number(gateway: Gateway, workspace_id: str, number: str, credential: Credential) -> None:
    held = {
        each.e164
        for each in gateway.numbers.list(workspace_id=workspace_id)
        if each.credential_id == credential.id
    }
    if number not in held:
        gateway.numbers.add(number, credential=credential.id, workspace_id=workspace_id)


def _give_urls(simulator: Any, account: Any, number: str, urls: dict[str, str]) -> None:
    if account.connection_id is not None:
        simulator.configure_application(account, webhook_url=urls["events"], call_cost_in_webhooks=True)
        return
    simulator.configure_number(
        number, voice_url=urls["answer"], status_url=urls["status"], fallback_url=urls["fallback"]
    )
