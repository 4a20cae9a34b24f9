"""Provider name -> adapter class, imported on first use.

A carrier from outside the repository registers a class under the entry-point group `gateway.providers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.interface import Provider
    from gateway.transport import Transport

ENTRY_POINT_GROUP: Final = "gateway.providers"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Location:
    module: str
    attribute: str
    base_url: str  # where the carrier's API lives; GATEWAY_<NAME>_BASE_URL replaces it


BUILT_IN: Final[Mapping[str, _Location]] = {
    "plivo": _Location(module="providers.plivo", attribute="PlivoProvider", base_url="https://api.plivo.com"),
    "telnyx": _Location(
        module="providers.telnyx", attribute="TelnyxProvider", base_url="https://api.telnyx.com"
    ),
    "twilio": _Location(
        module="providers.twilio", attribute="TwilioProvider", base_url="https://api.twilio.com"
    ),
}


def known_providers() -> list[str]:
    """Return the names of the built-in and the registered carriers, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


@cache
def provider_class(name: str) -> type[Provider]:
    """Return the adapter class of a carrier.

    Raises:
        ConfigurationError: no carrier of that name; the message lists the known ones.
    """
    if name in BUILT_IN:
        where = BUILT_IN[name]
        found: type[Provider] = getattr(import_module(where.module), where.attribute)
        return found
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded: type[Provider] = point.load()
        return loaded
    raise ConfigurationError(f"no provider {name[:40]!r}; known: {', '.join(known_providers())}")


def open_provider(
    name: str, secrets: Mapping[str, str], *, transport: Transport | None = None, base_url: str | None = None
) -> Provider:
    """Return the adapter for one account.

    Args:
        secrets: by the carrier's field names (design, section 4).
        transport: carries every request; None makes a one-shot transport fixed to the carrier's host.
        base_url: another host for the carrier's API (the simulator, a region); server configuration only.

    Raises:
        ConfigurationError: unknown provider, or a secret is absent.
    """
    return provider_class(name)(secrets, transport=transport, base_url=base_url)
