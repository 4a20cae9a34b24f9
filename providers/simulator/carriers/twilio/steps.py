"""Where control moves between documents, and how a verb learns that its call is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.simulator.carriers.twilio.model import Endpoint


class CallOver(Exception):
    """The call ended while a verb ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The next document is at this endpoint. `extra` fields go with the request."""

    endpoint: Endpoint
    hook: str
    event: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """The next document is this text."""

    twiml: str


Step = Ask | Inline | None
"""None: the next verb, or the end of the document."""


async def any_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Until one of the events is set, or the time (real seconds) is over."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
