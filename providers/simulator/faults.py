"""Fault switches: what goes wrong on purpose, how many times, and for whom.

>>> sim.faults.api("twilio", "dial", Fault.SERVER_ERROR_AFTER, times=1, status=503)
>>> sim.faults.webhooks("telnyx", event="call.hangup", repeat=1)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum

from providers.simulator.journal import call_id_of


class Fault(StrEnum):
    """What an API request meets. BEFORE: nothing was done; AFTER: it was done, and the answer is lost."""

    RATE_LIMITED = "rate_limited"  # 429 in the carrier's own format, nothing done
    RATE_LIMITED_FOREIGN = "rate_limited_foreign"  # 429 of some proxy, nothing done
    SERVER_ERROR_BEFORE = "server_error_before"
    SERVER_ERROR_AFTER = "server_error_after"
    HANG_BEFORE = "hang_before"  # never answers
    HANG_AFTER = "hang_after"
    RESET_BEFORE = "reset_before"  # TCP reset
    RESET_AFTER = "reset_after"
    DRIP = "drip"  # done; the answer comes at one byte a second
    GARBAGE = "garbage"  # done; the answer is HTML
    EMPTY = "empty"  # done; the answer has no body
    WRONG_TYPE = "wrong_type"  # done; the answer is valid JSON of another shape
    NO_ID = "no_id"  # done; the answer lacks the call's id
    REDIRECT = "redirect"  # 307 to the same resource, nothing done
    CONFLICT = "conflict"  # 409, nothing done
    SLOW = "slow"  # done; the answer comes `delay_s` late
    STATUS = "status"  # any other status in the carrier's own error format, nothing done


RUNS_FIRST = frozenset(
    {
        Fault.SERVER_ERROR_AFTER,
        Fault.HANG_AFTER,
        Fault.RESET_AFTER,
        Fault.DRIP,
        Fault.GARBAGE,
        Fault.EMPTY,
        Fault.WRONG_TYPE,
        Fault.NO_ID,
        Fault.SLOW,
    }
)
"""Faults that strike after the request was carried out."""

WRITES = frozenset({"number_write", "application_write", "buy", "release", "caller_ids", "trunks", "account"})
"""Operations that change what an account holds; their reads, where they have some, are GET requests."""

OPERATIONS = WRITES | {
    "dial",
    "hang_up",
    "update",
    "fetch",
    "list",
    "recording",
    "numbers",  # reads of numbers and applications
    "write",  # every request that changes what an account holds, whichever of WRITES it is
    "search",
    "command",
    "any",
}


@dataclass(slots=True, kw_only=True)
class ApiFault:
    """One armed API fault; `times` counts down, after `skip` did."""

    provider: str
    operation: str
    fault: Fault
    times: int
    skip: int
    status: int
    retry_after_s: int | None
    delay_s: float


@dataclass(slots=True, kw_only=True)
class WebhookFault:
    """One armed webhook fault; None matches everything; `times` counts the webhooks it strikes."""

    provider: str
    hook: str | None
    event: str | None
    call_id: str | None
    times: int
    repeat: int
    reorder: bool
    delay_s: float
    drop: bool
    forge: bool
    stale: bool
    corrupt: bool

    def matches(self, provider: str, hook: str, event: str, call_id: str | None) -> bool:
        """Whether it strikes this webhook."""
        return (
            self.times > 0
            and self.provider == provider
            and self.hook in (None, hook)
            and self.event in (None, event)
            and self.call_id in (None, call_id)
        )

    def names(self) -> list[str]:
        """The faults switched on, in words for the journal."""
        on = {
            "repeat": self.repeat,
            "reorder": self.reorder,
            "delay": self.delay_s,
            "drop": self.drop,
            "forge": self.forge,
            "stale": self.stale,
            "corrupt": self.corrupt,
        }
        return [name for name, value in on.items() if value]


class Faults:
    """What is armed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._api: list[ApiFault] = []
        self._webhooks: list[WebhookFault] = []

    def api(
        self,
        provider: str,
        operation: str,
        fault: Fault = Fault.STATUS,
        *,
        times: int = 1,
        skip: int = 0,
        status: int = 503,
        retry_after_s: int | None = None,
        delay_s: float = 1.0,
    ) -> None:
        """Arms a fault for the next `times` requests of an operation (see OPERATIONS; "any" is all of them).

        Args:
            skip: so many requests of it pass first: for a failure in the middle.
            delay_s: of Fault.SLOW, in real seconds.
        """
        if operation not in OPERATIONS:
            raise ValueError(f"unknown operation {operation!r}: one of {', '.join(sorted(OPERATIONS))}")
        armed = ApiFault(
            provider=provider,
            operation=operation,
            fault=Fault(fault),
            times=times,
            skip=skip,
            status=status,
            retry_after_s=retry_after_s,
            delay_s=delay_s,
        )
        with self._lock:
            self._api.append(armed)

    def webhooks(
        self,
        provider: str,
        *,
        hook: str | None = None,
        event: str | None = None,
        call: object = None,
        times: int = 1,
        repeat: int = 0,
        reorder: bool = False,
        delay_s: float = 0.0,
        drop: bool = False,
        forge: bool = False,
        stale: bool = False,
        corrupt: bool = False,
    ) -> None:
        """Arms a fault for the next `times` webhooks that match.

        Args:
            hook: "answer", "status", "amd", "recording", "next", "fallback", "stream" or "events" (Telnyx).
            event: the carrier's own word for it, for example "ringing" or "call.hangup".
            repeat: sent that many times more, byte for byte.
            reorder: held back until the next webhook of the call was answered (5 s at most).
            delay_s: held back for so many real seconds.
            drop: never sent.
            forge: a copy with a wrong signature is sent before the true one.
            stale: the first try is signed an hour ago.
            corrupt: the first try's body is damaged after it was signed.
        """
        armed = WebhookFault(
            provider=provider,
            hook=hook,
            event=event,
            call_id=call_id_of(call),
            times=times,
            repeat=repeat,
            reorder=reorder,
            delay_s=delay_s,
            drop=drop,
            forge=forge,
            stale=stale,
            corrupt=corrupt,
        )
        if not armed.names():
            raise ValueError(
                "no webhook fault was named: repeat, reorder, delay_s, drop, forge, stale, corrupt"
            )
        with self._lock:
            self._webhooks.append(armed)

    def clear(self) -> None:
        """Disarms everything."""
        with self._lock:
            self._api.clear()
            self._webhooks.clear()

    def take_api(self, provider: str, operation: str, *, is_write: bool = False) -> ApiFault | None:
        """The fault that this request meets, counted down; or None."""
        names = {operation, "any", "write"} if is_write else {operation, "any"}
        with self._lock:
            for fault in self._api:
                if fault.provider != provider or fault.operation not in names:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def take_webhook(self, provider: str, hook: str, event: str, call_id: str | None) -> WebhookFault | None:
        """The fault that this webhook meets, counted down; or None."""
        with self._lock:
            for fault in self._webhooks:
                if fault.matches(provider, hook, event, call_id):
                    fault.times -= 1
                    return fault
        return None
