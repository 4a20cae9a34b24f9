"""A carrier of our own making, and a gateway that uses it: for tests of what the gateway does by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet

from gateway import Agent, EndCause, Gateway, Stream
from gateway.interface import (
    CallSnapshot,
    DialOutcome,
    DialQuery,
    DialRequest,
    DialResult,
    FoundCalls,
    LegRef,
)
from gateway.services import Services
from gateway.settings import load_settings
from gateway.store import Store
from gateway.vault import Vault
from tests.wires import Clock

OURS = "+14155550100"
OTHER = "+14155550101"
CALLEE = "+14155550123"
SECRETS = {"account_sid": "AC" + "0" * 32, "auth_token": "0" * 32}
LEG = "CA" + "1" * 32


def accepted(leg_id: str = LEG) -> DialOutcome:
    return DialOutcome(result=DialResult.ACCEPTED, leg_id=leg_id)


UNKNOWN = DialOutcome(result=DialResult.UNKNOWN, message="no usable answer: timed out")
NOT_SENT = DialOutcome(result=DialResult.NOT_SENT, message="nobody listens")
REFUSED = DialOutcome(
    result=DialResult.REJECTED,
    cause=EndCause.ACCOUNT,
    message="suspended",
    vendor_code="20005",
    http_status=403,
)


class StubCarrier:
    """Stands in for an adapter: what it is asked is noted, what it answers is set by the test."""

    name = "twilio"

    def __init__(self) -> None:
        from providers.twilio import TwilioProvider

        self.capabilities = TwilioProvider.capabilities
        self.dials: list[DialRequest] = []
        self.hung_up: list[LegRef] = []
        self.fetched: list[LegRef] = []
        self.refuses: Exception | None = None
        self.on_dial: Callable[[DialRequest], DialOutcome] = lambda _: accepted(f"CA{len(self.dials):032}")
        self.on_fetch: Callable[[LegRef], CallSnapshot] = lambda _: CallSnapshot(is_known=True, is_live=True)
        self.on_find: Callable[[DialQuery], FoundCalls] = lambda _: FoundCalls(calls=(), is_complete=True)
        self._lock = threading.Lock()

    def open(self, *_: Any, **__: Any) -> Any:
        return self

    def prepare(self) -> None:
        """Nothing to load."""

    def check_dial(self, request: DialRequest) -> None:
        if self.refuses:
            raise self.refuses

    def dial(self, request: DialRequest) -> DialOutcome:
        with self._lock:
            self.dials.append(request)
        return self.on_dial(request)

    def hang_up(self, ref: LegRef) -> None:
        self.hung_up.append(ref)

    def fetch_call(self, ref: LegRef) -> CallSnapshot:
        self.fetched.append(ref)
        return self.on_fetch(ref)

    def find_calls(self, query: DialQuery) -> FoundCalls:
        return self.on_find(query)


def stub_gateway(store: Store, carrier: StubCarrier, clock: Clock, *, exclusive: bool = True) -> Gateway:
    """A gateway with one account, two numbers, of which one is assigned, and the agent "desk"."""
    settings = load_settings(
        env={}, public_url="https://gw.example.com", dial_retry_backoff_s=(1.0, 2.0, 4.0)
    )
    services = Services(
        store=store,
        settings=settings,
        vault=Vault((Fernet.generate_key().decode(),)),
        clock=clock,
        sleep=lambda _: None,
        open_provider=carrier.open,
    )
    gateway = Gateway(services)
    credential = gateway.credentials.add("twilio", check=False, exclusive=exclusive, **SECRETS)
    for number in (OURS, OTHER):
        gateway.numbers.add(number, credential=credential.id)
    gateway.agents.put(Agent(id="desk", connect=Stream("wss://agents.example.com/media")))
    gateway.numbers.assign(OURS, configure=False, agent="desk", outbound=True)
    return gateway
