"""Use case: deliver what the outbox holds, at least once, signed by Standard Webhooks.

Three pieces: `claim` takes what is due under a lease, `send` makes one request outside of any transaction, `settle`
writes what became of it. `deliver_due` does one round of them; a thread, a command or another machine can drive it, and
`gateway.background` keeps them going side by side. Whoever dies between two of them leaves a lease that runs out: the
event is sent once more, under the same id (R62).

* Schedule (R61): ten attempts over 75.6 hours, each gap ±20 %; a longer Retry-After is honored, up to a day.
* Statuses (R64): 2xx is delivered, everything else is tried again. 410 disables the endpoint. 429, 502, 504 and silence
  slow it: nothing is sent to it for as long as it has been failing, 4 s to 5 min, or as it asked.
* After the last attempt a delivery is dead: kept for 30 days, listed, replayed on request (R65). An endpoint that took
  nothing for five days is disabled, and the operator reads it in the log; what is pending waits until it is enabled.
* Isolation (R63): a request has 15 s in all, and an endpoint only so many at once, over all processes.
* Right receiver (R68): the endpoint is read anew right before each request: an event goes to its own workspace's
  endpoint, at its present address, if it still subscribes, with whole phone numbers only if it asks for them (R67).

Sources: the Standard Webhooks specification, 1.0.0, and its Python package, which makes the signatures.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache
from random import SystemRandom
from typing import Final

from standardwebhooks import Webhook

from gateway import endpoints
from gateway.egress import Answer, Egress, EgressError, EgressPolicy
from gateway.errors import GatewayError
from gateway.models import DEFAULT_WORKSPACE
from gateway.publishing import masked_payload
from gateway.services import Services
from gateway.store import Tx, outbox
from gateway.store import endpoints as stored
from gateway.store.rows import ClaimedDelivery, Delivery

log = logging.getLogger(__name__)

# Seconds from one attempt to the next; the first attempt is made at once.
GAPS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_ATTEMPTS: Final = len(GAPS_S) + 1
JITTER: Final = 0.2
LONGEST_RETRY_AFTER_S: Final = 86_400.0
SHORTEST_PAUSE_S: Final = 4.0
LONGEST_PAUSE_S: Final = 300.0
LEASE_S: Final = 45.0  # a request ends within 15 s
PER_ENDPOINT: Final = 4
DISABLED_AFTER: Final = timedelta(days=5)
KEPT: Final = timedelta(days=30)
_REPLAY_BATCH: Final = 500
_PURGE_BATCH: Final = 500
_RANDOM: Final = SystemRandom()

# -- decisions: pure ------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SLOW = "slow"  # failed, and the endpoint wants less
    GONE = "gone"  # failed, and the endpoint wants nothing any more
    OURS = "ours"  # nothing was sent, for a reason on our side
    STRAY = "stray"  # must not be sent to this endpoint
    HELD = "held"  # the endpoint was disabled meanwhile


_VERDICT_BY_STATUS: Final = {410: Verdict.GONE, 429: Verdict.SLOW, 502: Verdict.SLOW, 504: Verdict.SLOW}


def verdict_of(status: int) -> Verdict:
    """Return what an HTTP status means: only 2xx is a delivery, a redirect is none (R64)."""
    if 200 <= status <= 299:
        return Verdict.DELIVERED
    return _VERDICT_BY_STATUS.get(status, Verdict.FAILED)


def gap_after(attempts: int, retry_after_s: float | None, jitter: float) -> timedelta:
    """Return the time from the attempt of this number (from 1) to the next one.

    Args:
        retry_after_s: what the endpoint asked for; only a longer wait counts, up to a day.
        jitter: -1 to 1.
    """
    planned = GAPS_S[min(max(attempts, 1), len(GAPS_S)) - 1] * (1 + JITTER * jitter)
    asked = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    return timedelta(seconds=max(planned, asked))


def pause_of(failing_for: timedelta, retry_after_s: float | None) -> timedelta:
    """Return for how long a slow endpoint gets nothing: as long as it has been failing, within bounds, or as asked."""
    own = min(max(failing_for.total_seconds(), SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
    return timedelta(seconds=max(own, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)))


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3), seconds or a date; None for what is neither or is over."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    left = (until - now).total_seconds()
    return left if left > 0 else None


def signed_headers(secrets: Iterable[str], event_id: str, payload: str, now: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks: one signature for each live secret, the current one's first."""
    signatures = [Webhook(secret).sign(event_id, now, payload) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(math.floor(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


# -- claim, send, settle --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt, to be written. `status` is None where there was no answer."""

    delivery: Delivery
    verdict: Verdict
    status: int | None = None
    error: str = ""
    retry_after_s: float | None = None


def deliver_due(services: Services, limit: int = 20, *, egress: Egress | None = None) -> int:
    """Claim up to `limit` deliveries that are due, send them side by side, write what became of each.

    Returns:
        how many were claimed.
    """
    claimed = claim(services, limit)
    if not claimed:
        return 0
    way_out = egress or egress_of(services)
    with ThreadPoolExecutor(len(claimed), thread_name_prefix="gateway-delivery") as pool:
        sent = [pool.submit(send, services, way_out, each) for each in claimed]
        for done in as_completed(sent):
            settle(services, [done.result()])
    return len(claimed)


def claim(services: Services, limit: int) -> list[ClaimedDelivery]:
    """Claim what is due; begin with each at once, because the lease runs."""
    with services.store.transaction() as tx:
        return outbox.claim_deliveries(tx, services.clock(), limit, LEASE_S, PER_ENDPOINT)


def next_due(services: Services) -> datetime | None:
    """Return when there is something to claim, or None while there is nothing."""
    return outbox.next_due(services.store, services.clock(), PER_ENDPOINT)


def send(services: Services, egress: Egress, claimed: ClaimedDelivery) -> Outcome:
    """Make one attempt, outside of any transaction. Raises nothing: what went wrong is in the outcome."""
    delivery = claimed.delivery
    try:
        return _send(services, egress, claimed)
    except EgressError as error:
        return Outcome(delivery=delivery, verdict=Verdict.SLOW, error=str(error))
    except GatewayError as error:  # the database is away, or the secrets do not open
        log.warning("delivery %s will be tried again: %s", delivery.id, error)
        return Outcome(delivery=delivery, verdict=Verdict.OURS, error=str(error))
    except Exception as error:  # a bug must not keep the outcomes of others from being written
        log.exception("delivery %s failed and will be tried again", delivery.id)
        return Outcome(delivery=delivery, verdict=Verdict.OURS, error=type(error).__name__)


def _send(services: Services, egress: Egress, claimed: ClaimedDelivery) -> Outcome:
    delivery, event = claimed.delivery, claimed.notification
    found = stored.find_sealed_endpoint(services.store, delivery.endpoint_id)
    if found is None or len({delivery.workspace_id, event.workspace_id, found.endpoint.workspace_id}) > 1:
        return Outcome(delivery=delivery, verdict=Verdict.STRAY, error="the endpoint is gone")
    if not found.endpoint.wants(event.type):
        return Outcome(delivery=delivery, verdict=Verdict.STRAY, error="the endpoint no longer wants it")
    if not found.endpoint.is_enabled:
        return Outcome(delivery=delivery, verdict=Verdict.HELD, error="the endpoint is disabled")
    now = services.clock()
    payload = event.payload if found.endpoint.include_numbers else masked_payload(event.payload)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "telephony-gateway",
        **signed_headers(endpoints.live_secrets(services, found, now), event.id, payload, now),
    }
    answer = egress.post(found.endpoint.url, headers, payload.encode())
    return _outcome(delivery, answer, services.clock())


def settle(services: Services, outcomes: Sequence[Outcome]) -> None:
    """Write what became of claimed deliveries, in one transaction. One that was claimed anew since is left alone."""
    now = services.clock()
    notes: list[tuple[str, str]] = []
    with services.store.transaction() as tx:
        for outcome in sorted(outcomes, key=lambda each: each.delivery.endpoint_id):  # one order of locks
            reason = _settle(tx, outcome, now)
            if reason is not None:
                notes.append((outcome.delivery.endpoint_id, reason))
    for endpoint_id, reason in notes:
        log.error("webhook endpoint %s was disabled: %s", endpoint_id, reason)


@cache
def _shared_egress(policy: EgressPolicy) -> Egress:
    return Egress(policy)


def egress_of(services: Services) -> Egress:
    """Return the way out under the settings in force: one for all, because to read the certificates takes long."""
    return _shared_egress(endpoints.policy_of(services))


def _outcome(delivery: Delivery, answer: Answer, now: datetime) -> Outcome:
    verdict = verdict_of(answer.status)
    return Outcome(
        delivery=delivery,
        verdict=verdict,
        status=answer.status,
        error="" if verdict is Verdict.DELIVERED else f"answered {answer.status}",
        retry_after_s=read_retry_after(answer.retry_after, now),
    )


def _settle(tx: Tx, outcome: Outcome, now: datetime) -> str | None:
    """Write one outcome; return why the endpoint was disabled by it, if it was."""
    delivery, verdict = outcome.delivery, outcome.verdict
    if verdict is Verdict.DELIVERED:
        outbox.finish_delivery(tx, delivery, at=now, status=outcome.status or 0)
        stored.note_success(tx, delivery.endpoint_id)
        return None
    if verdict is Verdict.STRAY:
        outbox.drop_delivery(tx, delivery, at=now, reason=outcome.error)
        return None
    if verdict is Verdict.HELD:
        outbox.retry_delivery(tx, delivery, due_at=now, status=None, error=outcome.error)
        return None
    _plan_next(tx, outcome, now)
    return None if verdict is Verdict.OURS else _note_failure(tx, outcome, now)


def _plan_next(tx: Tx, outcome: Outcome, now: datetime) -> None:
    delivery = outcome.delivery
    if delivery.attempts >= MOST_ATTEMPTS:
        outbox.bury_delivery(tx, delivery, at=now, status=outcome.status, error=outcome.error)
        return
    wait = gap_after(delivery.attempts, outcome.retry_after_s, _RANDOM.uniform(-1, 1))
    outbox.retry_delivery(tx, delivery, due_at=now + wait, status=outcome.status, error=outcome.error)


def _note_failure(tx: Tx, outcome: Outcome, now: datetime) -> str | None:
    endpoint_id = outcome.delivery.endpoint_id
    failing_for = now - stored.note_failure(tx, endpoint_id, now)
    if outcome.verdict is Verdict.GONE:
        reason = "it answered 410: it is gone"
    elif failing_for >= DISABLED_AFTER:
        reason = f"it took nothing for {DISABLED_AFTER.days} days; the last time: {outcome.error}"
    else:
        if outcome.verdict is Verdict.SLOW:
            stored.pause_endpoint(tx, endpoint_id, now + pause_of(failing_for, outcome.retry_after_s))
        return None
    return reason if stored.disable_endpoint(tx, endpoint_id, reason, at=now) else None


# -- dead letters ---------------------------------------------------------------------------------------------------


def replay_delivery(
    services: Services, delivery_id: str, *, workspace_id: str = DEFAULT_WORKSPACE
) -> Delivery:
    """Send a delivery again from its first attempt on, whatever became of it; the event keeps its id.

    Raises:
        NotFound. Conflict: it is being sent right now.
    """
    with services.store.transaction() as tx:
        found = outbox.replay_delivery(tx, workspace_id, delivery_id, services.clock())
    services.wake()
    return found


def replay_event(services: Services, event_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> int:
    """Send an event again to every endpoint that it went to; return to how many. Raises NotFound."""
    with services.store.transaction() as tx:
        count = outbox.replay_notification(tx, workspace_id, event_id, services.clock())
    services.wake()
    return count


def replay_dead(
    services: Services,
    *,
    endpoint_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> int:
    """Send dead deliveries again, of events from `since` on and before `until`; return how many. Raises NotFound."""
    count, moved = 0, _REPLAY_BATCH
    while moved == _REPLAY_BATCH:
        with services.store.transaction() as tx:
            moved = outbox.replay_deliveries(
                tx,
                workspace_id,
                services.clock(),
                endpoint_id=endpoint_id,
                since=since,
                until=until,
                limit=_REPLAY_BATCH,
            )
        count += moved
    services.wake()
    return count


def purge(services: Services) -> int:
    """Forget events older than 30 days with their deliveries, except what is still to be sent; return how many."""
    count, gone = 0, _PURGE_BATCH
    while gone == _PURGE_BATCH:
        with services.store.transaction() as tx:
            gone = outbox.purge_outbox(tx, services.clock() - KEPT, limit=_PURGE_BATCH)
        count += gone
    return count
