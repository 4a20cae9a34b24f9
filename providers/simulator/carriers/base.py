"""What a carrier face implements, and the core it is given.

A face is a class `Face(CarrierFace)` in `providers/simulator/carriers/<name>/face.py`. It lives in the simulator's
loop: every method is called there, `async` or not, and none may block. It reads and drives legs through
`core.exchange`, sends webhooks through `core.delivery`, opens media sockets by `core.open_stream(...)`, and runs
everything that takes time in `core.spawn(coroutine, call_id=...)`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from providers.simulator.api import ApiAnswer, ApiRequest, Route
from providers.simulator.clock import Clock
from providers.simulator.delivery import Delivery
from providers.simulator.exchange import Exchange, Leg, LegEvent
from providers.simulator.faults import ApiFault, Faults
from providers.simulator.journal import Journal, Kind
from providers.simulator.media import FrameCodec, MediaStream

log = logging.getLogger("providers.simulator")


@dataclass(slots=True, kw_only=True, eq=False)
class Account:
    """A customer's account at a carrier.

    Attributes:
        account_ref: the carrier's id of the account (Twilio account SID, Plivo auth id, Telnyx: an id of our own).
        secrets: what the customer types into a gateway, by the names the gateway's credentials use.
        connection_id: Telnyx only: the Call Control application.
    """

    provider: str
    name: str
    account_ref: str
    secrets: dict[str, str] = field(repr=False)
    connection_id: str | None = None
    verified_caller_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A number in a carrier's inventory: it can be searched and bought.

    Attributes:
        country: ISO code of two letters.
        kind: "local", "mobile", "toll_free" or "national"; a face has its carrier's word for it.
        monthly, setup: decimal numbers in US dollars.
        account_ref: the only account that is offered it; None: all of the carrier.
        needs_address: it is sold only to who gives an address.
    """

    number: str
    country: str = "US"
    kind: str = "local"
    monthly: str = "1.00"
    setup: str = "0.00"
    locality: str | None = None
    region: str | None = None
    voice: bool = True
    sms: bool = True
    needs_address: bool = False
    account_ref: str | None = None


class Core:
    """The carrier-neutral parts, as a face uses them."""

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self.clock = clock
        self.journal = Journal()
        self.faults = Faults()
        self.exchange = Exchange(clock, self.journal)
        self.delivery = Delivery(self.journal, self.faults)
        self.random = random.Random(seed)  # noqa: S311 - made-up ids, the same for the same seed
        self.base_urls: dict[str, str] = {}
        self._tasks: dict[asyncio.Task[Any], tuple[str | None, bool]] = {}

    def hex(self, digits: int) -> str:
        """Random lower-case hex digits, the same for the same seed."""
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"

    def base_url(self, provider: str) -> str:
        """`http://127.0.0.1:PORT/<provider>`, for links in answers and webhooks."""
        return self.base_urls[provider]

    def spawn(
        self, work: Coroutine[Any, Any, None], *, call_id: str | None = None, keeps_open: bool = True
    ) -> asyncio.Task[None]:
        """Runs work in the background. `Simulator.wait(call)` waits for it, unless `keeps_open` is False.

        An exception in it is a bug of the simulator: journaled as an error, logged, and raised by `stop()`.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = (call_id, keeps_open)
        task.add_done_callback(self._finished)
        return task

    def is_idle(self, call_id: str | None) -> bool:
        """Whether nothing is under way for the call any more: no task, no webhook."""
        busy = any(owner == call_id and keeps_open for owner, keeps_open in self._tasks.values())
        return not busy and self.delivery.is_idle(call_id)

    def open_stream(
        self,
        leg: Leg,
        url: str,
        codec: FrameCodec,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        uses_party: bool = True,
    ) -> MediaStream:
        """A media stream, not connected yet: `await stream.connect()`, then `await stream.run()`."""
        return MediaStream(
            clock=self.clock,
            journal=self.journal,
            exchange=self.exchange,
            session=self.delivery.session,
            leg=leg,
            url=url,
            codec=codec,
            headers=headers,
            subprotocols=subprotocols,
            uses_party=uses_party,
        )

    async def close(self) -> None:
        """Stops every task, script and webhook under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.exchange.close()
        await self.delivery.close()

    def report(self, provider: str, call_id: str | None, error: BaseException) -> None:
        """Journals and logs a failure of the simulator itself."""
        self.journal.add(Kind.ERROR, provider, call_id, error=f"{type(error).__name__}: {error}")
        log.error("the simulator failed (%s)", provider, exc_info=error)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        call_id, _ = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            leg = self.exchange.leg(call_id) if call_id else None
            self.report(leg.provider if leg else "", call_id, error)


class CarrierFace(ABC):
    """One carrier. Construct with the core; `self.core.exchange.listen` is done by the simulator."""

    name: ClassVar[str]

    def __init__(self, core: Core) -> None:
        self.core = core
        self.inventory: dict[str, Offer] = {}
        """By number; a purchase takes it out."""

    # -- set-up: what a person does in the carrier's console

    @abstractmethod
    def add_account(self, name: str) -> Account:
        """A new account with fresh secrets."""

    def add_sub_account(self, account: Account, name: str) -> Account:
        """An account under another one, with secrets of its own."""
        raise self._unplayed("sub-accounts")

    def change_account(self, account: Account, changes: Mapping[str, Any]) -> None:
        """What happened to the account, by `status`, `kind` and `balance`.

        `status` is "active", "suspended" or "closed"; `kind` "full" or "trial"; `balance` a decimal as text.
        Raises ValueError for another name or word.
        """
        raise self._unplayed("changes of an account")

    @abstractmethod
    def add_number(
        self,
        account: Account,
        number: str,
        *,
        voice: bool = True,
        kind: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """A number the account holds; `number` is E.164 with its `+`.

        Args:
            voice: whether it takes calls.
            kind: as in `Offer`.
            settings: by the carrier's own field names, as `change_number` takes them.
        """

    @abstractmethod
    def holds(self, address: str) -> bool:
        """Whether a call to the number (E.164), or to the SIP URI, arrives at an account of this carrier."""

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """The number as the console shows it: a copy, in the carrier's field names. Raises UnknownNumber."""
        raise self._unplayed("settings of a number")

    def change_number(self, account: Account, number: str, changes: Mapping[str, Any]) -> None:
        """Changes settings without the API, by the carrier's field names. Raises UnknownNumber, ValueError."""
        raise self._unplayed("changes of a number")

    def remove_number(self, account: Account, number: str) -> None:
        """The number leaves the account. Raises UnknownNumber."""
        raise self._unplayed("removal of a number")

    def applications(self, account: Account) -> list[dict[str, Any]]:
        """What numbers can point at, as the API shows it: copies."""
        raise self._unplayed("applications")

    def change_application(self, account: Account, ref: str, changes: Mapping[str, Any]) -> None:
        """Changes settings without the API, by the carrier's field names. Raises KeyError, ValueError."""
        raise self._unplayed("applications")

    def remove_application(self, account: Account, ref: str) -> None:
        """Deletes it without the API, whatever points at it. Raises KeyError."""
        raise self._unplayed("applications")

    def add_inventory(self, offer: Offer) -> None:
        """A number that can be searched and bought."""
        self.inventory[offer.number] = offer

    def offers(self, account: Account) -> list[Offer]:
        """What the account can buy."""
        return [
            offer for offer in self.inventory.values() if offer.account_ref in (None, account.account_ref)
        ]

    def permit(self, account: Account, country: str, allowed: bool) -> None:
        """Whether the account may call a country (ISO code)."""
        raise self._unplayed("geographic permissions")

    def sent_code(self, account: Account, number: str) -> str:
        """The code that the phone got, of a verification begun through the API. Raises KeyError: none is open."""
        raise self._unplayed("verification codes that the phone gets")

    def type_code(self, account: Account, number: str, code: str) -> bool:
        """The called person types a code; whether it was the right one. Raises KeyError: no verification is open."""
        raise self._unplayed("verification codes typed on the phone")

    def verify_caller_id(self, account: Account, number: str) -> None:
        """A foreign number the account may show."""
        account.verified_caller_ids.add(number)

    @abstractmethod
    def configure_number(
        self, number: str, *, voice_url: str | None, status_url: str | None, fallback_url: str | None
    ) -> None:
        """Where the number's webhooks go; None leaves a setting, an empty string clears it."""

    def asks(self, number: str) -> str:
        """The URL that is asked first when the number is called; "" where none is. Raises UnknownNumber."""
        raise self._unplayed("where a call goes")

    def point(self, number: str, url: str) -> None:
        """Another URL to ask first, wherever this carrier keeps it: the number's, or its application's."""
        self.configure_number(number, voice_url=url, status_url=None, fallback_url=None)

    def configure_application(
        self,
        account: Account,
        *,
        webhook_url: str | None,
        failover_url: str | None,
        call_cost_in_webhooks: bool | None,
    ) -> None:
        """Carriers whose applications hold the webhooks (Telnyx) override this."""
        raise NotImplementedError(f"{self.name} has no such application: use configure_number")

    def _unplayed(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"the simulated {self.name} does not play {what}")

    # -- the API

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Every resource below the carrier's base URL. A handler checks auth and parameters itself."""

    def operation_of(self, route: Route, request: ApiRequest) -> str:
        """What faults and tests call this request; for resources that do several things."""
        return route.operation

    @abstractmethod
    def unmatched(self, request: ApiRequest, allowed: Sequence[str]) -> ApiAnswer:
        """The answer for a path without route (`allowed` is empty) or with another method."""

    @abstractmethod
    def fault_answer(self, fault: ApiFault, request: ApiRequest) -> ApiAnswer:
        """The carrier's own error of `fault.status`, or its 429 for Fault.RATE_LIMITED."""

    def decorate(self, request: ApiRequest, answer: ApiAnswer) -> ApiAnswer:
        """Headers every answer of this carrier has."""
        return answer

    def without_id(self, document: dict[str, Any]) -> dict[str, Any]:
        """The answer to a dial without what identifies the call, for Fault.NO_ID."""
        id_names = {
            "sid",
            "call_control_id",
            "call_leg_id",
            "call_session_id",
            "request_uuid",
            "call_uuid",
            "uri",
        }
        kept = {name: value for name, value in document.items() if name not in id_names}
        return {
            name: self.without_id(value) if isinstance(value, dict) else value for name, value in kept.items()
        }

    # -- calls

    @abstractmethod
    def ring(self, number: str, from_: str) -> Leg:
        """A phone calls one of our numbers: creates the inbound leg with the carrier's call id, not ringing yet.

        The simulator then runs the caller's script by `exchange.call_in`, and the face hears of it by
        `on_leg_event(leg, RINGING)`: that is when it asks the customer what to do. Raises UnknownNumber.
        """

    @abstractmethod
    def on_leg_event(self, leg: Leg, event: LegEvent) -> None:
        """A leg of this carrier moved on. Synchronous: spawn what takes time."""


class UnknownNumber(LookupError):
    """No account of this simulator holds the number."""
