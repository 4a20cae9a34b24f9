"""The way out to addresses that customers choose: one POST, guarded against server-side request forgery (R66).

A customer's URL may point anywhere, inward too. So each request, every time anew: the URL is read strictly, its name is
resolved once, *every* address it has is checked, and the connection goes to one of the addresses that were checked;
a name that changes its address meanwhile changes nothing. Only https, on few ports, without user name, redirect or
proxy; the certificate is checked against the name. The operator may name hosts (`allowed_webhook_hosts`) that are
reached by http as well, on any port, on this machine or in its network.

Everything, from the name to the last byte, happens within 15 s; at most 16 kB of an answer are read. Addresses:
IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and what was added to them), and the clouds' own.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import re
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import ValidationError
from gateway.transport import HostRefused
from gateway.transport.connecting import (
    AddressInfo,
    Resolver,
    connect,
    system_resolver,
    time_left,
    tls_context,
)
from gateway.transport.targets import Target
from gateway.transport.wire import Wire

TOTAL_TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
MOST_ANSWER_BYTES: Final = 16 * 1024
PORTS: Final = frozenset({443, 8443})
LONGEST_URL: Final = 2000

_DRAIN_S: Final = 0.5  # for the rest of an answer, so that the peer is not reset while it still writes
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")  # what `inet_aton` may take for an address
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")

# Names that never lead outside: refused before anybody is asked about them (RFC 6761, 6762, 8375, 9476, IANA).
_INNER_SUFFIXES: Final = (
    *("localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain"),
    *("arpa", "onion", "test", "example", "invalid", "alt"),
)

# -- addresses: pure ------------------------------------------------------------------------------------------------

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Never, whatever the operator allows: nothing of a platform lives there, but the clouds' own services do.
_NEVER: Final[Mapping[str, str]] = {
    "0.0.0.0/8": "this network",
    "168.63.129.16/32": "Azure's wire server",
    "100.100.100.200/32": "Alibaba Cloud's metadata",
    "192.0.0.192/32": "Oracle Cloud's metadata",
    "169.254.0.0/16": "link-local, and the clouds' metadata",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, and broadcast",
    "::/128": "unspecified",
    "fd00:ec2::254/128": "Amazon's metadata",
    "fd20:ce::254/128": "Google's metadata",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
}
# Reached only where the operator names the host.
_INNER: Final[Mapping[str, str]] = {
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "::1/128": "loopback",
    "fc00::/7": "unique local",
}
_SPECIAL: Final[Mapping[str, str]] = {
    "192.0.0.0/24": "for protocols",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT",
    "192.88.99.0/24": "6to4 relay",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "local NAT64",
    "100::/64": "discarded",
    "2001::/23": "for protocols, Teredo among them",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fec0::/10": "site-local",
}
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out


def _networks(*tables: Mapping[str, str]) -> tuple[tuple[_Network, str], ...]:
    return tuple((ipaddress.ip_network(cidr), why) for table in tables for cidr, why in table.items())


_FORBIDDEN: Final = _networks(_NEVER, _INNER, _SPECIAL)
_FORBIDDEN_IF_ALLOWED: Final = _networks(_NEVER)


def why_forbidden(address: str, *, is_allowed_host: bool = False) -> str | None:
    """Return why nothing is sent to an IP address, in a few words, or None when it may be. Pure.

    Args:
        address: as `getaddrinfo` writes it; a scope ("%eth0") is never accepted.
        is_allowed_host: the operator named the host: addresses inside are accepted, metadata services never.
    """
    try:
        read: _Address = ipaddress.ip_address(address)
    except ValueError:
        return "no plain IP address"
    if read.version == 6 and read.scope_id is not None:
        return "an address with a scope"
    if read.version == 6 and (inner := _v4_within(read)) is not None and is_allowed_host:
        read = inner
    table = _FORBIDDEN_IF_ALLOWED if is_allowed_host else _FORBIDDEN
    for network, why in table:
        if read.version == network.version and read in network:
            return why
    if read.version == 6 and not is_allowed_host and read not in _GLOBAL_V6:
        return "not global"
    return None


def _v4_within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a mapped one stands for: what an allowed host may be, it may be in this form."""
    return address.ipv4_mapped


# -- URLs: pure -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """Where requests may go.

    Attributes:
        allowed_hosts: names and addresses the operator vouches for, lower case: http too, any port, inner addresses.
        ports: what may be connected to elsewhere.
    """

    allowed_hosts: Collection[str] = ()
    ports: Collection[int] = PORTS

    def allows(self, host: str) -> bool:
        """Return whether the operator named this host."""
        return host in self.allowed_hosts

    def target(self, url: str) -> Target:
        """Read a URL, without resolving it.

        Raises:
            ValidationError: nothing may be sent there; field "url".
        """
        if len(url) > LONGEST_URL:
            raise ValidationError("url", f"give at most {LONGEST_URL} characters")
        try:
            target = Target.of(url)
        except HostRefused as error:
            raise ValidationError("url", str(error)) from None
        is_allowed = self.allows(target.host)
        if target.scheme != "https" and not is_allowed:
            raise ValidationError("url", "give an https:// address")
        if not is_allowed and target.port not in self.ports:
            known = ", ".join(map(str, sorted(self.ports)))
            raise ValidationError("url", f"port {target.port} is not allowed; allowed: {known}")
        if why := self._why_not(target.host, is_allowed):
            raise ValidationError("url", f"nothing is sent to this host: {why}")
        return target

    def _why_not(self, host: str, is_allowed: bool) -> str | None:
        if ":" in host or _is_dotted_quad(host):
            return why_forbidden(host, is_allowed_host=is_allowed)
        if len(host) > 253 or not _NAME.fullmatch(host):
            return "it is no host name"
        if _NUMERIC.fullmatch(host):
            return "it is an odd spelling of an address"
        if is_allowed:
            return None
        if "." not in host or host.rpartition(".")[2] in _INNER_SUFFIXES:
            return "the name does not lead outside"
        return None

    def check(self, target: Target, found: Iterable[AddressInfo]) -> None:
        """Check every address that a name has.

        Raises:
            AddressForbidden: one of them is nothing to connect to; then none of them is.
        """
        for family, _, _, _, address in found:
            is_ip = family in (socket.AF_INET, socket.AF_INET6)
            scope = address[3] if family == socket.AF_INET6 and len(address) > 3 else 0
            why = (
                why_forbidden(str(address[0]), is_allowed_host=self.allows(target.host)) if is_ip else "no IP"
            )
            if why or scope:
                raise AddressForbidden(
                    f"{target.host} leads to a forbidden address ({why or 'with a scope'})"
                )


def _is_dotted_quad(host: str) -> bool:
    """Whether the host is an IPv4 address in its one proper spelling: four decimal parts, no leading zeros."""
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


# -- sending --------------------------------------------------------------------------------------------------------


class AddressForbidden(OSError):
    """A name has an address that nothing is sent to; nothing was connected to."""


class EgressError(Exception):
    """No answer was had. The text names host and cause, never path, body or what the answer said."""


class EgressRefused(EgressError):
    """The guard refused the URL or an address of it: no connection was made."""


class NoAnswer(EgressError):
    """It could not be reached, or did not answer in time, or not in HTTP. It may have got the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What matters of an answer: its status, 100 to 599, and how long it asks to wait, as it was said."""

    status: int
    retry_after: str | None = None


class Egress:
    """Sends one POST at a time to where a customer wants it. Threads may share one: it keeps no state.

    Args:
        policy: where to.
        total_timeout_s: for everything; name, TCP and TLS get `CONNECT_TIMEOUT_S` of it.
        ca_file: certificates to trust instead of the system's.
        resolve: name resolution, for tests; asked once for each request.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
        ca_file: str | None = None,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._policy = policy
        self._total_timeout_s = total_timeout_s
        self._tls = tls_context(ca_file)
        self._resolve = resolve

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST and return the answer's status, whatever it is; a redirect is an answer like any other.

        Raises:
            EgressRefused: nothing was connected to. NoAnswer.
        """
        try:
            target = self._policy.target(url)
        except ValidationError as error:
            raise EgressRefused(error.message) from None
        try:
            return self._exchange(target, _message(target, headers, body))
        except AddressForbidden as error:
            raise EgressRefused(str(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"{target.host}:{target.port}: {_why(error)}") from None

    def _exchange(self, target: Target, message: bytes) -> Answer:
        begun = time.monotonic()
        deadline = begun + self._total_timeout_s
        connect_deadline = min(deadline, begun + CONNECT_TIMEOUT_S)

        def resolve_checked(host: str, port: int) -> Sequence[AddressInfo]:
            found = self._resolve(host, port)
            self._policy.check(target, found)
            return found  # and `connect` goes to these, whatever the name says by then

        sock = connect(target, connect_deadline, resolve=resolve_checked, tls=self._tls)
        with contextlib.closing(Wire(sock, deadline=deadline, max_bytes=MOST_ANSWER_BYTES)) as wire:
            wire.send_all(message)
            head = _read_head(wire)
            _drain(sock, head, min(deadline, time.monotonic() + _DRAIN_S))
        return Answer(status=head.status, retry_after=head.fields.get("retry-after"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    status: int
    fields: http.client.HTTPMessage
    body_left: int  # bytes that are still on their way, as far as we read at all


def _message(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    own = {"Host": target.authority, "Connection": "close", "Content-Length": str(len(body))}
    lines = [
        f"POST {target.path or '/'} HTTP/1.1",
        *(f"{name}: {value}" for name, value in {**own, **headers}.items()),
    ]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header has characters that no header has")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _read_head(wire: Wire) -> _Head:
    """Read status and headers, past interim ones (100, 102, 103)."""
    data, room = b"", MOST_ANSWER_BYTES
    while True:
        end = _HEAD_END.search(data)
        if end is None:
            piece = wire.read(min(room, 4096))
            if not piece:
                raise http.client.HTTPException(
                    "the answer's head is cut short" if room else "the answer's head is too long"
                )
            data, room = data + piece, room - len(piece)
            continue
        line = _STATUS_LINE.match(data)
        if line is None:
            raise http.client.HTTPException("the answer is not HTTP/1")
        status, rest = int(line[1]), data[end.end() :]
        if status not in (100, 102, 103):
            fields = http.client.parse_headers(io.BytesIO(data[line.end() : end.end()]))
            return _Head(status=status, fields=fields, body_left=min(_length(fields) - len(rest), room))
        data = rest


def _length(fields: http.client.HTTPMessage) -> int:
    said = (fields.get("content-length") or "").strip()
    return int(said) if re.fullmatch(r"[0-9]{1,9}", said) else MOST_ANSWER_BYTES


def _drain(sock: socket.socket, head: _Head, deadline: float) -> None:
    """Read what is left of the answer, for a moment. Nothing that happens here changes what was answered."""
    left = head.body_left
    with contextlib.suppress(OSError):
        while left > 0:
            sock.settimeout(time_left(deadline))
            piece = sock.recv(min(left, 4096))
            if not piece:
                return
            left -= len(piece)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
