"""Sends a leg's webhooks: which URL, which version, how often, and what `call_events` will say of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import webhooks
from providers.simulator.carriers.telnyx.rest import Document
from providers.simulator.carriers.telnyx.signing import AccountKey
from providers.simulator.carriers.telnyx.state import CallEvent, Customer, LegRecord, record_of, uuid4_like
from providers.simulator.delivery import RetryPolicy, Signer, ToSign, Webhook, WebhookAnswer
from providers.simulator.exchange import Leg

TIMEOUT_S: Final = 2.0
PRIMARY_TRIES: Final = 2
# How often and how far apart the carrier tries without a policy is unconfirmed ("exponential backoff").
DEFAULT_PAUSES_S: Final = (0.1, 0.5, 1.0)
FORGER: Final = AccountKey.from_seed(bytes(32))  # a key that is no account's


class Outbox:
    """The webhooks of one simulated Telnyx."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def send(
        self, leg: Leg, event_type: str, payload: webhooks.Payload
    ) -> asyncio.Task[WebhookAnswer] | None:
        """Send an event in the background; None when neither the call nor its application has a URL."""
        record = record_of(leg)
        now = self._core.clock.now()
        data = webhooks.event(event_type, payload, event_id=uuid4_like(self._core.random), occurred_at=now)
        application = record.application
        url = _url_for(event_type, record, application)
        line = self._note_event(leg, "webhook", event_type, {"event": data, "status": "pending"})
        if not url:
            line.metadata["status"] = "failed"
            return None
        task = self._core.delivery.post(self._webhook(leg, data, url, application))
        task.add_done_callback(lambda done: _note_result(line, done))
        return task

    def note_command(self, leg: Leg, name: str, body: Document) -> None:
        """Keep a command for `call_events`."""
        self._note_event(leg, "command", name, {"command": dict(body), "status": "completed"})

    def _note_event(self, leg: Leg, kind: str, name: str, metadata: Document) -> CallEvent:
        record = record_of(leg)
        line = CallEvent(
            leg=leg,
            record=record,
            type=kind,
            name=name,
            at=self._core.clock.now(),
            mark=self._core.clock.mark(),
            metadata=metadata,
        )
        record.customer.events.append(line)
        return line

    def _webhook(self, leg: Leg, data: Document, url: str, application: Document) -> Webhook:
        record = record_of(leg)
        pauses_s = _pauses_s(data["event_type"], record)
        failover = application["webhook_event_failover_url"] or None
        if len(pauses_s) < PRIMARY_TRIES:
            failover = None
        version = application["webhook_api_version"]
        timeout_s = application["webhook_timeout_secs"] or TIMEOUT_S
        primary = len(pauses_s) + 1 if failover is None else PRIMARY_TRIES

        def body_of(attempt: int) -> bytes:
            target = url if attempt <= primary else failover or url
            return webhooks.body(data, attempt=attempt, url=target, api_version=version)

        return Webhook(
            provider=leg.provider,
            hook="events",
            event=data["event_type"],
            call_id=leg.root.id,
            url=url,
            sign=_signer(record.customer),
            body_for_attempt=body_of,
            content_type="application/json",
            headers={"User-Agent": webhooks.USER_AGENT},
            policy=_policy(primary, pauses_s, timeout_s),
            failover_url=failover,
            failover_policy=_policy(len(pauses_s) + 1 - PRIMARY_TRIES, pauses_s[PRIMARY_TRIES:], timeout_s),
            failover_on=is_tried_again,
        )


def is_tried_again(answer: WebhookAnswer) -> bool:
    """Say whether the carrier tries again: no answer, 408, 429, 5xx. Other 4xx (a bad signature) are final."""
    if answer.error == "dropped":  # the fault says it never left the carrier
        return False
    return answer.status is None or answer.status in (408, 429) or answer.status >= 500


def _policy(attempts: int, pauses_s: tuple[float, ...], timeout_s: float) -> RetryPolicy:
    return RetryPolicy(
        attempts=attempts,
        retry_on=is_tried_again,
        pauses_s=pauses_s,
        connect_timeout_s=timeout_s,
        total_timeout_s=timeout_s,
    )


def _pauses_s(event_type: str, record: LegRecord) -> tuple[float, ...]:
    policy = record.retry_policies.get(event_type)
    if policy is None:
        return DEFAULT_PAUSES_S
    return tuple(delay_ms / 1000 for delay_ms in policy["retries_ms"])


def _url_for(event_type: str, record: LegRecord, application: Document) -> str:
    named = record.webhook_urls.get(event_type)
    if named:
        return str(named[0] if isinstance(named, list) else named)
    return record.webhook_url or application["webhook_event_url"]


def _signer(customer: Customer) -> Signer:
    def sign(to_sign: ToSign) -> Mapping[str, str]:
        key = FORGER if to_sign.forged else customer.key
        return key.headers(to_sign.body, at_s=int(to_sign.unix_time))

    return sign


def _note_result(line: CallEvent, done: asyncio.Task[WebhookAnswer]) -> None:
    if done.cancelled() or done.exception() is not None:
        return
    line.metadata["status"] = "delivered" if done.result().is_ok else "failed"


def take_webhook_fields(record: LegRecord, fields: Mapping[str, Any]) -> None:
    """Let `webhook_url` and its relatives of a dial or a command count from now on."""
    record.webhook_url = fields.get("webhook_url") or record.webhook_url
    record.webhook_urls |= fields.get("webhook_urls") or {}
    record.retry_policies |= fields.get("webhook_retries_policies") or {}
