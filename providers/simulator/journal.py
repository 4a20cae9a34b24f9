"""What the simulator did, in order: the evidence a test reads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

SECRET_FIELDS = frozenset(
    {
        "authorization",
        "sipauthpassword",
        "password",
        "auth_token",
        "new_auth_token",
        "sip_auth_password",
        "stream_auth_token",
    }
)


class Kind(StrEnum):
    """What an entry reports."""

    REQUEST = "request"  # an API request: method, path, operation, parameters, answer_status, fault
    WRITE = "write"  # a request changed what an account holds: operation, method, path, parameters
    WEBHOOK = "webhook"  # a webhook sent: hook, event, url, body, attempt, answer status and body or error
    DOCUMENT = "document"  # a call-control document or one of its elements was executed
    COMMAND = "command"  # a call-control command was executed
    HEARD = "heard"  # a party heard something
    MEDIA = "media"  # a media socket opened, was refused, closed, with frame counts
    FAULT = "fault"  # a fault was applied
    EXCHANGE = "exchange"  # a leg changed its state
    DEBUGGER = "debugger"  # the carrier's own complaint about its customer's answer
    ERROR = "error"  # the simulator itself failed: a bug in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `data` is JSON-able; a request's answer is filled in when it was given."""

    sequence: int
    at: datetime
    kind: Kind
    provider: str
    call_id: str | None
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        head = {"sequence": self.sequence, "at": self.at.isoformat(), "kind": str(self.kind)}
        return {**head, "provider": self.provider, "call_id": self.call_id, **self.data}


class Journal:
    """Append-only and thread-safe. `call` arguments take a call id or anything with an `id`.

    Keeps the last `limit` entries, so that a simulator can run for days.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._sequence = 0
        self._lock = threading.Lock()

    def add(self, kind: Kind, provider: str, call_id: str | None = None, **data: Any) -> Entry:
        """Appends and returns an entry."""
        with self._lock:
            self._sequence += 1
            entry = Entry(
                sequence=self._sequence,
                at=datetime.now(UTC),
                kind=kind,
                provider=provider,
                call_id=call_id,
                data=data,
            )
            self._entries.append(entry)
        return entry

    def all(self) -> list[Entry]:
        """Everything so far, in order."""
        with self._lock:
            return list(self._entries)

    def find(self, kind: Kind, provider: str | None = None, call: object = None, **data: Any) -> list[Entry]:
        """Entries of a kind whose data has all the given values, for example `operation="dial"`."""
        call_id = call_id_of(call)
        return [
            entry
            for entry in self.all()
            if entry.kind == kind
            and (provider is None or entry.provider == provider)
            and (call_id is None or entry.call_id == call_id)
            and all(entry.data.get(name) == value for name, value in data.items())
        ]

    def requests(self, provider: str | None = None, operation: str | None = None) -> list[Entry]:
        """API requests, one entry each."""
        found = self.find(Kind.REQUEST, provider)
        return [entry for entry in found if operation is None or entry.data["operation"] == operation]

    def writes(self, provider: str | None = None, operation: str | None = None) -> list[Entry]:
        """Changes of numbers, applications, trunks ... that were carried out, also where the answer was lost."""
        found = self.find(Kind.WRITE, provider)
        return [entry for entry in found if operation is None or entry.data["operation"] == operation]

    def webhooks(
        self,
        provider: str | None = None,
        call: object = None,
        hook: str | None = None,
        event: str | None = None,
    ) -> list[Entry]:
        """Every webhook sent, one entry an attempt."""
        found = self.find(Kind.WEBHOOK, provider, call)
        return [
            entry
            for entry in found
            if (hook is None or entry.data["hook"] == hook)
            and (event is None or entry.data["event"] == event)
        ]

    def heard(self, call: object, party: str | None = None) -> list[tuple[Any, ...]]:
        """What the far party of the call (or the party with that number) heard, in order."""
        found = self.find(Kind.HEARD, call=call)
        return [tuple(entry.data["item"]) for entry in found if party is None or entry.data["party"] == party]

    def errors(self) -> list[Entry]:
        """Failures of the simulator itself: bugs."""
        return self.find(Kind.ERROR)

    def as_json(self) -> list[dict[str, Any]]:
        """JSON-able."""
        return [entry.as_json() for entry in self.all()]


def call_id_of(call: object) -> str | None:
    """The id of a call, given as an id or as anything with one."""
    if call is None or isinstance(call, str):
        return call
    call_id = getattr(call, "id", None)
    if not isinstance(call_id, str):
        raise TypeError(f"a call or a call id was expected, not {type(call).__name__}")
    return call_id


def without_secrets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, and those within them, with passwords and tokens shown as `***`."""
    return {name: "***" if name.lower() in SECRET_FIELDS else _clean(value) for name, value in fields.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    return [_clean(item) for item in value] if isinstance(value, list) else value
