"""One authenticated request to the simulated Telnyx, taken apart; and what its handlers are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from providers.simulator.api import ApiAnswer
from providers.simulator.carriers.telnyx import errors
from providers.simulator.carriers.telnyx.rest import Document
from providers.simulator.carriers.telnyx.state import Customer

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked, and by whom. A query parameter that repeats is one value, with commas."""

    customer: Customer
    parts: Mapping[str, str]
    query: Mapping[str, str]
    body: Document
    path: str


Handler = Callable[[Asked], Awaitable[ApiAnswer]]
Row = tuple[str, str, str, Handler]
"""A line of a route table: method, path, what faults call it, handler."""


def one(found_by_id: Mapping[str, Found], asked: Asked, what: str) -> Found:
    """Give the resource that the path names. Raises the carrier's 404."""
    found = found_by_id.get(asked.parts["id"])
    if found is None:
        raise errors.not_found(what)
    return found
