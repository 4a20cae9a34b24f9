"""A fresh, verified connection within a deadline: name, TCP, TLS."""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from gateway.transport.targets import Target

AddressInfo: TypeAlias = tuple[int, int, int, str, Any]
Resolver: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]


def system_resolver(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the operating system for the addresses of a host."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies chain and name, for TLS 1.2 or newer; `ca_file` replaces the system's trust.

    All who trust the same share one: it takes 0.5 MB and 15 ms, too much for each of thousands of accounts.
    """
    return _shared_context(ca_file, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=8)
def _shared_context(ca_file: str | None, *system: str | None) -> ssl.SSLContext:
    """Make the context; `system`: where OpenSSL looks for the system's trust."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def time_left(deadline: float) -> float:
    """Return the seconds until a monotonic deadline, always positive; raise TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def connect(
    target: Target, deadline: float, *, resolve: Resolver, tls: ssl.SSLContext | None
) -> socket.socket:
    """Open a connection to the first address that takes one; verified where the target is https."""
    addresses = _resolve(resolve, target, deadline)
    error: OSError = OSError("the name has no address")
    for index, info in enumerate(addresses):
        try:
            # a dead address must not use up the time of the next
            sock = _opened(info, time_left(deadline) / (len(addresses) - index), target, tls)
        except OSError as exc:
            error = exc
        else:
            return _verified(sock, deadline)
    raise error


def _opened(info: AddressInfo, timeout_s: float, target: Target, tls: ssl.SSLContext | None) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        if target.scheme == "https":
            sock = _wrapped(sock, target, tls)
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _wrapped(sock: socket.socket, target: Target, tls: ssl.SSLContext | None) -> ssl.SSLSocket:
    """Put TLS around a socket that is not connected yet: `ssl` leaks a connected one that is reset meanwhile."""
    if tls is None:
        raise ValueError("no TLS context")
    return tls.wrap_socket(
        sock, server_hostname=target.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )


def _verified(sock: socket.socket, deadline: float) -> socket.socket:
    if isinstance(sock, ssl.SSLSocket):
        try:
            sock.settimeout(time_left(deadline))
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
    return sock


def _resolve(resolve: Resolver, target: Target, deadline: float) -> Sequence[AddressInfo]:
    """Resolve within the deadline. `getaddrinfo` knows no timeout: a thread asks, and is left behind if need be."""
    answers: queue.SimpleQueue[Sequence[AddressInfo] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(target.host, target.port))
        except (OSError, ValueError) as exc:
            answers.put(exc)

    threading.Thread(target=ask, name="gateway-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=time_left(deadline))
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
