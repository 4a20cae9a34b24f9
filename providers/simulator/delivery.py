"""Sends webhooks as a carrier does: signed at the moment of sending, timed, retried, with faults, all journaled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from providers.simulator.faults import Faults, WebhookFault
from providers.simulator.journal import Journal, Kind

BODY_LIMIT = 64 * 1024
HELD_BACK_S = 5.0
AN_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSign:
    """What a signer gets: the URL without fragment, the raw body, the time, and whether to forge.

    A forged request must be well formed and signed with a key that is not the account's.
    """

    method: str
    url: str
    body: bytes
    content_type: str
    unix_time: float
    forged: bool


Signer = Callable[[ToSign], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAnswer:
    """What came back: a status, or an error ("connect", "timeout", "protocol", "dropped")."""

    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_ok(self) -> bool:
        """A 2xx answer."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def content_type(self) -> str:
        """The media type, lower case, without parameters."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()


def never(_answer: WebhookAnswer) -> bool:
    """Retries on nothing."""
    return False


def failed(answer: WebhookAnswer) -> bool:
    """Anything but a 2xx answer."""
    return not answer.is_ok


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a carrier sends to one URL. Seconds here are real ones: they are network timeouts.

    `pauses_s` are the pauses between the tries one by one; `spacing_s` is every pause beyond them.
    """

    attempts: int = 1
    retry_on: Callable[[WebhookAnswer], bool] = never
    spacing_s: float = 0.1
    pauses_s: tuple[float, ...] = ()
    connect_timeout_s: float = 5.0
    total_timeout_s: float = 15.0
    follow_redirects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook. `failover_url` gets the same body when every try of `url` failed in a way `failover_on` names.

    Attributes:
        hook: the carrier-neutral name that faults and tests use: "answer", "status", "amd", "recording", "next",
            "fallback", "stream", "events".
        event: the carrier's own word, e.g. "ringing" or "call.hangup".
        headers_for_attempt: headers that differ by attempt (1, 2, ...), before signing.
        body_for_attempt: a body that differs by attempt; None: `body` every time.
    """

    provider: str
    hook: str
    event: str
    call_id: str | None
    url: str
    sign: Signer
    method: str = "POST"
    body: bytes = b""
    content_type: str = "application/x-www-form-urlencoded"
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_for_attempt: Callable[[int], Mapping[str, str]] | None = None
    body_for_attempt: Callable[[int], bytes] | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    failover_url: str | None = None
    failover_policy: RetryPolicy | None = None
    failover_on: Callable[[WebhookAnswer], bool] = failed


class Delivery:
    """`deliver` awaits the answer; `post` sends in the background. `is_idle(call_id)` tells when all has been sent."""

    def __init__(self, journal: Journal, faults: Faults) -> None:
        self._journal = journal
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None
        self._pending: dict[str | None, int] = {}
        self._answered: dict[str | None, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[WebhookAnswer]] = set()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one HTTP client, made on first use inside the loop."""
        if self._session is None:
            # a connection each: a kept-alive one that the receiver closes just then would lose the webhook;
            # no limit: media sockets live in this session, too, and must not starve the webhooks
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                auto_decompress=True,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Drops what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def post(self, webhook: Webhook) -> asyncio.Task[WebhookAnswer]:
        """Sends in the background."""
        task = asyncio.get_running_loop().create_task(self.deliver(webhook))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._count(webhook.call_id, 1)
        task.add_done_callback(lambda _done: self._count(webhook.call_id, -1))
        return task

    def is_idle(self, call_id: str | None) -> bool:
        """Whether nothing posted for the call is under way."""
        return self._pending.get(call_id, 0) == 0

    async def deliver(self, webhook: Webhook) -> WebhookAnswer:
        """Sends the webhook under whatever fault is armed for it, and returns the last answer."""
        fault = self._faults.take_webhook(webhook.provider, webhook.hook, webhook.event, webhook.call_id)
        if fault is None:
            return await self._send_all(webhook, None)
        self._note_fault(webhook, fault)
        if fault.drop:
            return WebhookAnswer(error="dropped")
        await self._hold_back(webhook, fault)
        if fault.forge:
            await self._send(webhook, webhook.url, 1, webhook.policy, forged=True)
        answer = await self._send_all(webhook, fault)
        for _ in range(fault.repeat):
            await self._send(webhook, webhook.url, 1, webhook.policy, note="repeat")
        return answer

    async def _send_all(self, webhook: Webhook, fault: WebhookFault | None) -> WebhookAnswer:
        answer = await self._tries(webhook, webhook.url, webhook.policy, 0, fault)
        if webhook.failover_url and webhook.failover_on(answer):
            policy = webhook.failover_policy or webhook.policy
            answer = await self._tries(webhook, webhook.failover_url, policy, webhook.policy.attempts, None)
        self._answered.pop(webhook.call_id, asyncio.Event()).set()
        return answer

    async def _tries(
        self, webhook: Webhook, url: str, policy: RetryPolicy, done: int, fault: WebhookFault | None
    ) -> WebhookAnswer:
        answer = WebhookAnswer(error="not sent")
        for attempt in range(1, max(1, policy.attempts) + 1):
            first = attempt == 1
            answer = await self._send(
                webhook,
                url,
                done + attempt,
                policy,
                stale=first and fault is not None and fault.stale,
                corrupt=first and fault is not None and fault.corrupt,
            )
            if attempt == policy.attempts or not policy.retry_on(answer):
                break
            pauses_s = policy.pauses_s[attempt - 1 :] or (policy.spacing_s,)
            await asyncio.sleep(pauses_s[0])
        return answer

    async def _send(
        self,
        webhook: Webhook,
        url: str,
        attempt: int,
        policy: RetryPolicy,
        *,
        forged: bool = False,
        stale: bool = False,
        corrupt: bool = False,
        note: str | None = None,
    ) -> WebhookAnswer:
        body = webhook.body if webhook.body_for_attempt is None else webhook.body_for_attempt(attempt)
        target = url.split("#")[0]
        signed_at = time.time() - (AN_HOUR_S if stale else 0.0)
        to_sign = ToSign(
            method=webhook.method,
            url=target,
            body=body,
            content_type=webhook.content_type,
            unix_time=signed_at,
            forged=forged,
        )
        extra = webhook.headers_for_attempt(attempt) if webhook.headers_for_attempt else {}
        headers = {**webhook.headers, **extra, **webhook.sign(to_sign)}
        if webhook.method != "GET":
            headers.setdefault("Content-Type", webhook.content_type)
        flags = {"forged": forged, "stale": stale, "corrupt": corrupt, "repeat": note == "repeat"}
        entry = self._journal.add(
            Kind.WEBHOOK,
            webhook.provider,
            webhook.call_id,
            hook=webhook.hook,
            event=webhook.event,
            method=webhook.method,
            url=target,
            headers=dict(headers),
            body=body.decode("utf-8", "replace"),
            attempt=attempt,
            faults=[name for name, on in flags.items() if on],
            status=None,
            answer=None,
            error=None,
        )
        answer = await self._exchange(
            webhook.method, target, headers, damaged(body) if corrupt else body, policy
        )
        entry.data.update(
            status=answer.status,
            answer=answer.body[:BODY_LIMIT].decode("utf-8", "replace"),
            error=answer.error,
        )
        return answer

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, policy: RetryPolicy
    ) -> WebhookAnswer:
        timeout = aiohttp.ClientTimeout(total=policy.total_timeout_s, sock_connect=policy.connect_timeout_s)
        try:
            async with self.session.request(
                method,
                encoded(url),
                data=body if method != "GET" else None,
                headers=headers,
                timeout=timeout,
                allow_redirects=policy.follow_redirects > 0,
                max_redirects=max(1, policy.follow_redirects),
            ) as response:
                content = await response.content.read(BODY_LIMIT + 1)
                while len(content) <= BODY_LIMIT and (more := await response.content.read(BODY_LIMIT + 1)):
                    content += more
                return WebhookAnswer(status=response.status, body=content, headers=response.headers)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError) as error:
            return WebhookAnswer(error=f"connect: {type(error).__name__}")
        except TimeoutError:
            return WebhookAnswer(error="timeout")
        except (aiohttp.ClientError, OSError) as error:
            return WebhookAnswer(error=f"protocol: {type(error).__name__}")

    async def _hold_back(self, webhook: Webhook, fault: WebhookFault) -> None:
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.reorder:
            next_one = self._answered.setdefault(webhook.call_id, asyncio.Event())
            try:
                await asyncio.wait_for(next_one.wait(), HELD_BACK_S)
            except TimeoutError:
                self._journal.add(
                    Kind.FAULT,
                    webhook.provider,
                    webhook.call_id,
                    fault="reorder",
                    result="no later webhook came",
                )

    def _note_fault(self, webhook: Webhook, fault: WebhookFault) -> None:
        self._journal.add(
            Kind.FAULT,
            webhook.provider,
            webhook.call_id,
            faults=fault.names(),
            hook=webhook.hook,
            event=webhook.event,
        )

    def _count(self, call_id: str | None, change: int) -> None:
        self._pending[call_id] = self._pending.get(call_id, 0) + change


def damaged(body: bytes) -> bytes:
    """The body with its middle byte changed; an empty one gains a byte."""
    if not body:
        return b"?"
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0x01]) + body[middle + 1 :]


def encoded(url: str) -> URL:
    """The URL exactly as it is written, so that what was signed is what is requested."""
    return URL(url, encoded=True)
