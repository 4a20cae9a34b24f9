"""R86: everything of the gateway that speaks TLS meets bad certificates; short in the tests, long in `make proof`."""

from __future__ import annotations

import os
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest.mock import patch

from gateway.egress import Egress, EgressError, EgressPolicy
from gateway.errors import GatewayError
from gateway.interface import DialResult, Provider
from gateway.registry import open_provider
from gateway.transport import HttpRequest, OneShotTransport, TransportError, stream_get
from tests.adapters.kit import DIAL
from tests.adapters.telnyx.support import LEG
from tests.faultserver import Authority, FaultServer, reply
from tests.linekit import SECRETS

HOST: Final = "127.0.0.1"
LOGIN: Final = (("Authorization", "Basic Y2FuYXJ5"),)
RECORDINGS: Final = {"plivo": LEG, "telnyx": LEG, "twilio": f"RE{'0' * 32}"}

# What is wrong -> the name on the certificate, the days it is valid for, whether its authority is trusted.
BAD: Final[Mapping[str, tuple[str, int, bool]]] = {
    "an authority that nobody trusts": (HOST, 30, False),
    "another name": ("api.evil.example", 30, True),
    "another address": ("127.0.0.2", 30, True),
    "expired": (HOST, -1, True),
    "expired, of another name": ("api.evil.example", -1, True),
    "expired, of nobody's authority": (HOST, -1, False),
}

Caller = Callable[[], object]


@dataclass(slots=True)
class Handshakes:
    """What servers with bad certificates saw: how each handshake ended there, and requests."""

    tried: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    requests: int = 0
    endings: Counter[str] = field(
        default_factory=Counter
    )  # an alert of the client's: it sent nothing in the clear


def shake_hands(folder: Path, *, rounds: int) -> Handshakes:
    """R86: each caller meets each bad certificate so many times; a good one first, which it must accept."""
    trusted, foreign = _authority(folder, "trusted"), _authority(folder, "foreign")
    found = Handshakes()
    with patch.dict(
        os.environ, {"SSL_CERT_FILE": trusted.ca_file}
    ):  # what OpenSSL takes for the system's trust
        with FaultServer(reply(200, b"{}"), tls=trusted.server_context(HOST)) as server:
            for name, call in _callers(server.port).items():
                before = len(server.requests)
                call()
                assert len(server.requests) > before, f"{name} takes no good certificate either"
        for name, days, is_trusted in BAD.values():
            context = (trusted if is_trusted else foreign).server_context(name, days=days)
            context.sslsocket_class = _counting(found)
            with FaultServer(reply(200, b"{}"), tls=context) as server:
                for caller, call in _callers(server.port).items():
                    for _ in range(rounds):
                        found.tried[caller] += 1
                        call()
            found.requests += len(server.requests)
    return found


def _authority(folder: Path, name: str) -> Authority:
    (folder / name).mkdir()
    return Authority(folder / name)


def _counting(found: Handshakes) -> type[ssl.SSLSocket]:
    class Counting(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as failed:
                found.endings[str(getattr(failed, "reason", None) or failed)] += 1
                raise
            found.accepted += 1

    return Counting


def _callers(port: int) -> dict[str, Caller]:
    """Return what speaks TLS; each must be refused, or fail, in its own words."""
    url = f"https://{HOST}:{port}"
    transport = OneShotTransport([url])
    egress = Egress(EgressPolicy(allowed_hosts=(HOST,)))
    callers: dict[str, Caller] = {
        "one-shot transport": lambda: transport.send(
            HttpRequest(method="POST", url=url, headers=LOGIN, body=b"to=x")
        ),
        "reader of recordings": lambda: stream_get(url, LOGIN, allowed_hosts=(f"{HOST}:{port}",)).close(),
        "egress": lambda: egress.post(f"{url}/hook", {"webhook-signature": "v1,x"}, b"{}"),
    }
    for name, secrets in SECRETS.items():
        adapter = open_provider(name, secrets, base_url=url)
        callers[f"{name} account"] = adapter.check_account
        callers[f"{name} dial"] = _dial(adapter)
        callers[f"{name} recording"] = _fetch(adapter)
    return {name: _failing(call) for name, call in callers.items()}


def _dial(adapter: Provider) -> Caller:
    return lambda: adapter.dial(DIAL)


def _fetch(adapter: Provider) -> Caller:
    return lambda: b"".join(adapter.fetch_recording(RECORDINGS[adapter.name]).chunks)


def _failing(call: Caller) -> Caller:
    """Return the call without its own error; what the servers saw is what counts."""

    def made() -> None:
        with suppress(TransportError, EgressError, GatewayError):
            call()

    return made


def dial_bad_certificate(folder: Path, provider: str) -> DialResult:
    """Return what an adapter says of a dial to a server whose authority nobody trusts."""
    context = Authority(folder).server_context(HOST)
    with FaultServer(reply(200, b"{}"), tls=context) as server:
        return (
            open_provider(provider, SECRETS[provider], base_url=f"https://{HOST}:{server.port}")
            .dial(DIAL)
            .result
        )
