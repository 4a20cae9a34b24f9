"""Canonical events to the embedding program, in process.

A handler runs after the change is committed, in the thread that committed it. What a handler raises is logged and
goes no further: it never breaks a webhook, a dial or another handler.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.errors import ValidationError
from gateway.models import Call
from gateway.status import CallStatus, was_answered

log = logging.getLogger(__name__)


class EventType(StrEnum):
    """What can happen to a call, as the embedding program hears it."""

    RINGING = "call.ringing"  # the phone rings
    ANSWERED = "call.answered"  # somebody, or a machine, took the call
    ENDED = "call.ended"  # it is over: completed, busy, no_answer, voicemail or cancelled
    FAILED = "call.failed"  # it is over, and failed
    RECORDING_READY = "call.recording_ready"  # there is a recording to hear
    ANALYZED = "call.analyzed"  # the call engine handed in what it found out
    NUMBER_DRIFTED = "number.drifted"  # its settings at the carrier are no longer ours; only to the outside
    UPDATED = "call.updated"  # anything else that changed: cost, machine verdict, a corrected end, context


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """One change of one call. `call` is the call after it; `sequence` counts the call's changes from 1."""

    type: EventType
    call: Call
    occurred_at: datetime

    @property
    def sequence(self) -> int:
        """The call's own counter: a consumer that keeps the highest one has the newest state."""
        return self.call.sequence


Handler = Callable[[GatewayEvent], object]


def changes(before: Call | None, after: Call, at: datetime) -> list[GatewayEvent]:
    """Return the events that turn `before` into `after`; at most one of each type. Pure."""
    types: list[EventType] = []
    old = before.status if before else CallStatus.QUEUED
    answered_before = before is not None and was_answered(before.facts)
    if after.status is CallStatus.RINGING and old is not CallStatus.RINGING:
        types.append(EventType.RINGING)
    if was_answered(after.facts) and not answered_before:
        types.append(EventType.ANSWERED)
    if after.status.is_final and not old.is_final:
        types.append(EventType.FAILED if after.status is CallStatus.FAILED else EventType.ENDED)
    recordings_before = {r.ref for r in before.facts.recordings} if before else set()
    if {r.ref for r in after.facts.recordings} - recordings_before:
        types.append(EventType.RECORDING_READY)
    if not types and before is not None and _seen_outside(before) != _seen_outside(after):
        types.append(EventType.UPDATED)
    return [GatewayEvent(type=kind, call=after, occurred_at=at) for kind in types]


def _seen_outside(call: Call) -> tuple[object, ...]:
    return (
        call.status,
        call.agent_id,
        call.end_reason,
        call.cost,
        call.facts.answered_by,
        call.duration_seconds,
        dict(call.context),
        call.settings,
    )


class Notifier:
    """Keeps the handlers and calls them. Thread-safe."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._handlers: dict[EventType, tuple[Handler, ...]] = {}

    def on(self, name: str) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for one event type.

        Raises:
            ValidationError: no such event; the message lists them.
        """
        try:
            kind = EventType(name)
        except ValueError:
            known = ", ".join(member.value for member in EventType)
            raise ValidationError("event", f"{name[:40]!r} is not one of: {known}") from None

        def register(handler: Handler) -> Handler:
            with self._lock:
                self._handlers[kind] = (*self._handlers.get(kind, ()), handler)
            return handler

        return register

    def fire(self, events: Iterable[GatewayEvent]) -> None:
        """Call every handler of each event, in the order of registration."""
        for event in events:
            for handler in self._handlers.get(event.type, ()):
                try:
                    handler(event)
                except Exception:  # an embedder's bug must not lose the webhook that is being answered
                    log.exception("a handler of %s raised for call %s", event.type.value, event.call.id)
