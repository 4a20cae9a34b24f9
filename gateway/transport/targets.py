"""Where a URL leads, and whether a request may go there: fixed hosts, rewrites, allowlists."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.transport.messages import HostRefused
from gateway.transport.redaction import redact_url

DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_URL: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart: where to connect, and what to ask for there (`path` has the query with it)."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Read an absolute URL without user, fragment or odd characters, or raise HostRefused."""
        if not _URL.fullmatch(url):
            raise HostRefused("the URL has characters that no URL has")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise HostRefused("the URL cannot be read") from None
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc or "#" in url:
            raise HostRefused("the URL is not a plain absolute http(s) URL")
        path = parts.path + ("?" + parts.query if "?" in url else "")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=DEFAULT_PORTS[parts.scheme] if port is None else port,
            path=path,
        )

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what must match for a request to be let through."""
        return (self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL again, in its normal spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def moved(self, prefix: Target, base: Target) -> Target | None:
        """Return this target with `prefix` replaced by `base`, or None when it does not lie under `prefix`."""
        stem, rest = prefix.path.rstrip("/"), self.path[len(prefix.path.rstrip("/")) :]
        if self.origin != prefix.origin or not self.path.startswith(stem) or rest[:1] not in ("", "/", "?"):
            return None
        path = base.path.rstrip("/") + rest
        path = path if path.startswith("/") else "/" + path
        return Target(scheme=base.scheme, host=base.host, port=base.port, path=path)

    def is_encrypted_or_local(self) -> bool:
        """Whether credentials may go there: https, or anything on loopback."""
        if self.scheme == "https" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def routes_of(origins: Iterable[str], rewrites: Mapping[str, str]) -> tuple[tuple[Target, Target], ...]:
    """Return (prefix, base) pairs, longest prefix first; what is not rewritten goes where it says."""
    moved = [(_base(prefix), _base(base)) for prefix, base in rewrites.items()]
    rewritten = {prefix.origin for prefix, _ in moved}
    kept = [target for target in map(_base, origins) if target.origin not in rewritten]
    bases = [base for _, base in moved if base.origin not in rewritten]
    routes = moved + [(target, target) for target in kept + bases]
    return tuple(sorted(routes, key=lambda route: -len(route[0].path)))


def _base(url: str) -> Target:
    try:
        target = Target.of(url)
    except HostRefused as exc:
        raise ValueError(f"{redact_url(url)}: {exc}") from None
    if "?" in target.path:
        raise ValueError(f"{redact_url(url)}: a base URL has no query")
    if not target.is_encrypted_or_local():
        raise ValueError(f"{redact_url(url)}: only https, or http on loopback")
    return target


def allowed_target(url: str, hosts: Sequence[str]) -> Target:
    """Read a URL that must lie on one of the hosts (or their subdomains), or raise HostRefused."""
    target = Target.of(url)
    if not target.is_encrypted_or_local() or not any(_is_within(target, host) for host in hosts):
        raise HostRefused(f"{target.scheme}://{target.host}:{target.port} is not on the allowlist")
    return target


def _is_within(target: Target, allowed: str) -> bool:
    name, _, port = allowed.lower().partition(":")
    if target.port != int(port or DEFAULT_PORTS[target.scheme]):
        return False
    return bool(name) and (target.host == name or target.host.endswith("." + name))
