"""Does the public URL lead to this gateway, and unchanged? Both ends of one question: the answer, and the asking.

`gateway doctor` sends one request, as a carrier would, through name, TLS and proxy to `POST {public URL}/voice/ping`.
The answer is what only a holder of the secret key can make of the address and the body as they arrived, so it shows
whether it is this gateway, and what was changed on the way, and tells a stranger nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.settings import Settings
from gateway.transport import HttpRequest, HttpResponse, OneShotTransport, OutcomeUnknown, TransportError
from gateway.transport.connecting import connect, system_resolver, tls_context
from gateway.transport.targets import Target
from gateway.vault import Vault

NONCE_HEADER: Final = "X-Gateway-Nonce"
MOST_BYTES: Final = 4096
TIMEOUT_S: Final = 10.0

# What proxies like to change: order, small letters in escapes, blank values, a plus that is none.
_QUERY: Final = "?b=%2fx&a=1%2B1&blank="
_BODY: Final = b"To=%2B15005550006&Blank=&Text=a+b%20c%e9&A=1"
_NONCE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FEW_DAYS: Final = 14
_DAY_S: Final = 86_400


def answer_ping(
    vault: Vault, settings: Settings, nonce: str, target: str, body: bytes
) -> dict[str, str] | None:
    """Return the proofs of what arrived, by name; None for what is no nonce.

    Args:
        target: raw path and query, as for a webhook.
    """
    if not _NONCE.fullmatch(nonce):
        return None
    return _proofs(vault, nonce, (settings.public_url or "") + target, target, body)


def _proofs(vault: Vault, nonce: str, url: str, target: str, body: bytes) -> dict[str, str]:
    said = {"gateway": "", "url": url, "target": target, "body": hashlib.sha256(body).hexdigest()}
    return {name: vault.derive(b"ping", f"{nonce} {name} {value}") for name, value in said.items()}


def problems_on_the_way(settings: Settings, vault: Vault, *, ca_file: str | None = None) -> Iterator[str]:
    """Call the public URL and yield what is wrong with it, in plain words, with the remedy; nothing when all is well.

    One request within `TIMEOUT_S`, and a second one to name the right address where the path is wrong. From this
    machine: no carrier's API calls an address on request.

    Args:
        ca_file: certificates to trust instead of the system's.
    """
    assert settings.public_url is not None
    asked = _Asked(settings.public_url, settings.webhook_prefix, vault, ca_file)
    try:
        answer = asked.send(settings.public_url)
    except TransportError as error:
        yield _unreachable(error, settings.public_url)
        return
    proofs = _read(answer)
    if proofs is None:
        yield asked.of_no_gateway(answer)
        return
    yield from asked.differences(proofs, settings.public_url)


def certificate_days(public_url: str, *, ca_file: str | None = None) -> int | None:
    """Return for how many whole days the certificate is still good; None without TLS, or when it cannot be had."""
    target = Target.of(public_url)
    if target.scheme != "https":
        return None
    try:
        deadline = time.monotonic() + TIMEOUT_S
        with connect(target, deadline, resolve=system_resolver, tls=tls_context(ca_file)) as sock:
            assert isinstance(sock, ssl.SSLSocket)
            until = (sock.getpeercert() or {}).get("notAfter")
    except OSError:  # said already, with its cause, by what called the address
        return None
    return None if until is None else int((ssl.cert_time_to_seconds(str(until)) - time.time()) // _DAY_S)


def is_short(days: int) -> bool:
    """Whether a certificate with so many days left is to be renewed by hand: what renews by itself did so before."""
    return days < _FEW_DAYS


class _Asked:
    """One question: its nonce, and what its answer must be."""

    def __init__(self, public_url: str, prefix: str, vault: Vault, ca_file: str | None) -> None:
        self._public_url, self._prefix, self._vault, self._ca_file = public_url, prefix, vault, ca_file
        self._nonce = os.urandom(16).hex()

    def send(self, base: str) -> HttpResponse:
        """Send the question to a base address. Raises TransportError."""
        transport = OneShotTransport([base], total_timeout_s=TIMEOUT_S, ca_file=self._ca_file)
        headers = (
            (NONCE_HEADER, self._nonce),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("User-Agent", "telephony-gateway doctor"),
        )
        url = f"{base}{self._prefix}/ping{_QUERY}"
        return transport.send(HttpRequest(method="POST", url=url, headers=headers, body=_BODY))

    def is_ours(self, proofs: Mapping[str, Any]) -> bool:
        """Whether whoever answered has our secret key."""
        return proofs.get("gateway") == self._expected("")["gateway"]

    def _expected(self, target: str, body: bytes = _BODY) -> dict[str, str]:
        return _proofs(self._vault, self._nonce, self._public_url + target, target, body)

    def differences(self, proofs: Mapping[str, Any], base: str) -> Iterator[str]:
        """Yield what is not as it was sent."""
        target = f"{self._prefix}/ping{_QUERY}"
        expected = self._expected(target)
        if not self.is_ours(proofs):
            yield (
                f"another gateway answers at {base}: it has another secret key. Point the address at this one, or run "
                "the doctor with that one's settings"
            )
            return
        if proofs.get("target") != expected["target"]:
            yield self._of_target(proofs)
        elif proofs.get("url") != expected["url"]:
            yield (
                f"the gateway behind {base} was started with another GATEWAY_PUBLIC_URL: it refuses every signature "
                "over the address. Start it again with this one"
            )
        if proofs.get("body") != expected["body"]:
            yield (
                "a proxy changes the body on the way: signatures over it cannot match. Have it pass the bytes "
                "unchanged (no firewall or middleware that reads forms and writes them again)"
            )

    def _of_target(self, proofs: Mapping[str, Any]) -> str:
        path = f"{self._prefix}/ping"
        without = self._expected(path)["target"], self._expected(path + "?")["target"]
        if proofs.get("target") in without:
            return (
                "a proxy drops the query on the way: signatures over the address cannot match. Have it pass the "
                "request line unchanged (nginx: proxy_pass without a path behind the host)"
            )
        return (
            "a proxy changes path or query on the way: signatures over the address cannot match. Have it pass the "
            "request line unchanged (nginx: proxy_pass without a path behind the host, no rewrite)"
        )

    def of_no_gateway(self, answer: HttpResponse) -> str:
        """Say what it means that no gateway answered."""
        base, status = self._public_url, answer.status
        if status in (301, 302, 303, 307, 308):
            there = urlsplit(answer.header("location") or "")
            to = f"{there.scheme}://{there.netloc}" if there.netloc else "another path"
            return (
                f"{base} redirects ({status}) to {to}: a carrier's request loses its body or its signature there. Set "
                "GATEWAY_PUBLIC_URL to the address that answers itself"
            )
        if status in (502, 503, 504):
            return f"a proxy answers at {base} ({status}), but reaches no gateway: start `gateway serve` behind it"
        if status in (401, 403, 405, 413):
            return (
                f"something in front of {base} refuses the request ({status}): let POST requests under {self._prefix} "
                "pass without a login"
            )
        nearer = self._nearer()
        if nearer is not None:
            return f"the gateway answers at {nearer}, not at {base}: set GATEWAY_PUBLIC_URL to {nearer}"
        return (
            f"a server answers at {base} ({status}), but not this gateway under {self._prefix}: the path of "
            "GATEWAY_PUBLIC_URL, webhook_prefix or the proxy's routes are wrong, or the gateway is of an older version"
        )

    def _nearer(self) -> str | None:
        """Return the address without its path, when the gateway answers there."""
        parts = urlsplit(self._public_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin == self._public_url:
            return None
        try:
            proofs = _read(self.send(origin))
        except TransportError:
            return None
        return origin if proofs is not None and self.is_ours(proofs) else None


def _read(answer: HttpResponse) -> dict[str, Any] | None:
    """Return a gateway's answer, or None for anybody else's."""
    try:
        found = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "gateway" in found else None


def _unreachable(error: TransportError, url: str) -> str:
    parts = urlsplit(url)
    cause = error.__cause__
    if isinstance(cause, socket.gaierror):
        return f"the name {parts.hostname} is not known here: make its DNS record, or mend GATEWAY_PUBLIC_URL"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate at {url} is not accepted, by carriers neither: {_certificate(cause, parts.hostname)}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS fails at {url} ({cause.reason or 'no handshake'}): is it a plain http port?"
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens at {url}: start `gateway serve`, or the proxy in front of it"
    if isinstance(cause, TimeoutError):
        return f"{url} does not answer in time: a firewall, a wrong address, or a gateway that hangs"
    if isinstance(error, OutcomeUnknown):
        return f"{url} takes the connection, but gives no whole HTTP answer: what listens there?"
    return f"{url} cannot be reached: {error}"


def _certificate(error: ssl.SSLCertVerificationError, host: str | None) -> str:
    # OpenSSL's codes (x509_vfy.h): 10 expired, 62 and 64 another name or address
    if error.verify_code == 10:
        return "it has expired. Renew it"
    if error.verify_code in (62, 64):
        return f"it is not for {host}. Get one for that name"
    return f"{error.verify_message}. Send the whole chain of a public authority"
