"""The carrier simulator as a test or a program uses it: a synchronous, thread-safe front of a loop in a thread.

>>> with Simulator(speed=20) as sim:
...     account = sim.add_account("twilio", name="Acme")
...     sim.add_number(account, "+14155550100")
...     sim.script("+14155550123", Busy())

A carrier is added by a face: see `providers.simulator.carriers.base`.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Self, TypeVar

from providers.simulator.carriers.base import Account, CarrierFace, Core, Offer, UnknownNumber
from providers.simulator.clock import Clock
from providers.simulator.exchange import EndedBy, Leg, LegEvent, LegState, Outcome, truth_of
from providers.simulator.faults import Faults
from providers.simulator.journal import Entry, Journal, call_id_of
from providers.simulator.scripts import CalleeScript, Caller, CallerScript
from providers.simulator.server import Server

T = TypeVar("T")

FACES: Final = {name: f"providers.simulator.carriers.{name}.face" for name in ("twilio", "telnyx", "plivo")}
COMMAND_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01


class SimulatorError(RuntimeError):
    """The simulator was misused, or failed itself."""


class SimulatorTimeout(SimulatorError):
    """What `wait` waited for did not happen in time."""


class SimCall:
    """A live view of one call as the exchange knows it. Equal to any other view of the same call."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    @property
    def id(self) -> str:
        """The carrier's id of the call."""
        return self._leg.id

    @property
    def provider(self) -> str:
        """`twilio`, `telnyx` or `plivo`."""
        return self._leg.provider

    @property
    def account_ref(self) -> str:
        """The carrier's id of the account."""
        return self._leg.account_ref

    @property
    def direction(self) -> str:
        """`inbound` or `outbound`, as the carrier's customer sees it."""
        return str(self._leg.direction)

    @property
    def to(self) -> str:
        """The called number or SIP URI."""
        return self._leg.to

    @property
    def from_(self) -> str:
        """The number shown."""
        return self._leg.from_

    @property
    def state(self) -> str:
        """`queued`, `dialing`, `ringing`, `in_progress` or `ended`."""
        return str(self._leg.state)

    @property
    def truth(self) -> str:
        """What really happened, or where the call is now; see `Simulator.truth`."""
        return truth_of(self._leg)

    @property
    def outcome(self) -> str | None:
        """What really happened; None while the call lives."""
        return None if self._leg.outcome is None else str(self._leg.outcome)

    @property
    def ended_by(self) -> str | None:
        """`party`, `us` or `carrier`."""
        return None if self._leg.ended_by is None else str(self._leg.ended_by)

    @property
    def answered(self) -> bool:
        """Whether it was ever answered."""
        return self._leg.is_answered

    @property
    def sip_code(self) -> int | None:
        """The far end's final SIP answer; None while the call lives."""
        return self._leg.sip_code

    @property
    def billable(self) -> bool:
        """Whether this leg or one it led to was answered."""
        return self._leg.is_answered or any(child.is_answered for child in self._leg.children)

    @property
    def created_at(self) -> datetime:
        """When the carrier took the call; UTC."""
        return self._leg.created_at

    @property
    def started_at(self) -> datetime | None:
        """When the phone was dialed, or dialed us; UTC."""
        return self._leg.dialed_at

    @property
    def answered_at(self) -> datetime | None:
        """When it was answered; UTC."""
        return self._leg.answered_at

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; UTC."""
        return self._leg.ended_at

    @property
    def duration_s(self) -> float:
        """Scripted seconds between answer and end; 0 when never answered or still talking."""
        return self._leg.duration_s

    @property
    def heard(self) -> list[tuple[Any, ...]]:
        """What the far party heard, in order: ("say", text), ("play", url), ("audio", n_bytes, is_echo) ..."""
        return list(self._leg.party.heard)

    @property
    def legs(self) -> list[SimCall]:
        """The legs this call led to: forwarded parties, transfers."""
        return [SimCall(child) for child in self._leg.children]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimCall) and other._leg is self._leg

    def __hash__(self) -> int:
        return hash(self._leg.id)

    def __repr__(self) -> str:
        return f"SimCall({self.provider} {self.direction} {self.id[:6]}... {self.truth})"


class Simulator:
    """Twilio, Telnyx and Plivo on one loopback port.

    Args:
        host: a loopback address; anything else is refused.
        port: 0 for any free one; see `port` after the start.
        speed: how many times faster scripted seconds pass.
        seed: of the ids, for repeatable runs.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, speed: float = 1.0, seed: int | None = None
    ) -> None:
        _require_loopback(host)
        self._host = host
        self._wanted_port = port
        self._core = Core(Clock(speed), seed)
        self._faces: dict[str, CarrierFace] = {}
        self._faces_lock = threading.RLock()
        self._numbers: dict[str, str] = {}
        self._server = Server(self._core, self._face_or_none)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # -- life

    def start(self) -> Self:
        """Listens, in a daemon thread. Raises OSError when the port is in use."""
        if self._thread is not None:
            raise SimulatorError("the simulator was started already; make a new one to start again")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="carrier-simulator", daemon=True)
        self._thread.start()
        try:
            self._run(self._server.start(self._host, self._wanted_port))
        except BaseException:
            self._stop_loop()
            raise
        for name in FACES:
            self._core.base_urls[name] = self.base_url(name)
        return self

    def stop(self) -> None:
        """Stops everything; raises SimulatorError when the simulator itself failed in its run."""
        if self._loop is None:
            return
        self._run(self._close())
        self._stop_loop()
        errors = self.journal.errors()
        if errors:
            raise SimulatorError(
                f"the simulator failed {len(errors)} times; first: {errors[0].data['error']}"
            )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        try:
            self.stop()
        except SimulatorError:
            if kind is None:
                raise

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the start."""
        return self._server.port

    def base_url(self, provider: str) -> str:
        """What a gateway is given as the carrier's base URL."""
        if provider not in FACES:
            raise ValueError(f"unknown provider {provider!r}: one of {', '.join(FACES)}")
        if not self.port:
            raise SimulatorError("the simulator is not started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/{provider}"

    # -- the carriers' consoles

    def add_account(self, provider: str, name: str = "Test account", *, seed: int | None = None) -> Account:
        """A new account; its `secrets` are what a gateway is given.

        `seed`: of its ids and secrets only, so that the next run has the same account; calls are never the same.
        """
        face = self.face(provider)
        return self._call(lambda: self._add_account(face, name, seed))

    def add_sub_account(self, account: Account, name: str) -> Account:
        """An account under another one, with secrets of its own."""
        return self._call(lambda: self.face(account.provider).add_sub_account(account, name))

    def change_account(self, account: Account, **changes: Any) -> None:
        """`status`: "active", "suspended" or "closed"; `kind`: "full" or "trial"; `balance`: a decimal as text."""
        self._call(lambda: self.face(account.provider).change_account(account, changes))

    def add_number(
        self,
        account: Account,
        number: str,
        *,
        voice: bool = True,
        kind: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """A number (E.164) that the account holds.

        Args:
            voice: whether it takes calls.
            kind: "local", "mobile", "toll_free" or "national".
            settings: what it is set to, by the carrier's own field names.
        """
        face = self.face(account.provider)
        self._call(lambda: face.add_number(account, number, voice=voice, kind=kind, settings=settings))
        self._numbers[number] = account.provider

    def add_numbers(
        self, account: Account, count: int, prefix: str = "+1415555", digits: int = 11
    ) -> list[str]:
        """So many numbers at once: the prefix, then 0, 1, 2 ... in what is left of `digits`. Raises ValueError."""
        width = digits - len(prefix.removeprefix("+"))
        if width < len(str(count - 1)):
            raise ValueError(f"{count} numbers do not fit behind {prefix!r} in {digits} digits")
        face, numbers = self.face(account.provider), [f"{prefix}{index:0{width}}" for index in range(count)]

        def add() -> None:
            for number in numbers:
                face.add_number(account, number)

        self._call(add)
        self._numbers.update(dict.fromkeys(numbers, account.provider))
        return numbers

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """The number as the carrier's console shows it, in the carrier's field names. Raises UnknownNumber."""
        return self._call(lambda: self.face(account.provider).number_settings(account, number))

    def change_number(self, account: Account, number: str, **changes: Any) -> None:
        """A change behind the customer's back, by the carrier's field names. Raises UnknownNumber, ValueError."""
        self._call(lambda: self.face(account.provider).change_number(account, number, changes))

    def remove_number(self, account: Account, number: str) -> None:
        """The number leaves the account. Raises UnknownNumber."""
        self._call(lambda: self.face(account.provider).remove_number(account, number))

    def applications(self, account: Account) -> list[dict[str, Any]]:
        """What the account's numbers can point at, as the carrier's API shows it."""
        return self._call(lambda: self.face(account.provider).applications(account))

    def change_application(self, account: Account, ref: str, **changes: Any) -> None:
        """A change behind the customer's back, by the carrier's field names. Raises KeyError, ValueError."""
        self._call(lambda: self.face(account.provider).change_application(account, ref, changes))

    def remove_application(self, account: Account, ref: str) -> None:
        """It is deleted behind the customer's back, whatever points at it. Raises KeyError."""
        self._call(lambda: self.face(account.provider).remove_application(account, ref))

    def add_inventory(
        self,
        where: Account | str,
        number: str,
        *,
        country: str = "US",
        kind: str = "local",
        monthly: str = "1.00",
        setup: str = "0.00",
        locality: str | None = None,
        region: str | None = None,
        voice: bool = True,
        sms: bool = True,
        needs_address: bool = False,
    ) -> None:
        """A number that can be searched and bought, by one account or by every one of a provider; see `Offer`."""
        provider, ref = (where, None) if isinstance(where, str) else (where.provider, where.account_ref)
        offer = Offer(
            number=number,
            country=country,
            kind=kind,
            monthly=monthly,
            setup=setup,
            locality=locality,
            region=region,
            voice=voice,
            sms=sms,
            needs_address=needs_address,
            account_ref=ref,
        )
        self._call(lambda: self.face(provider).add_inventory(offer))

    def permit(self, account: Account, country: str, allowed: bool) -> None:
        """Geographic permission: whether the account may call a country (ISO code of two letters)."""
        self._call(lambda: self.face(account.provider).permit(account, country, allowed))

    def verify_caller_id(self, account: Account, number: str) -> None:
        """A foreign number that the account may show."""
        self._call(lambda: self.face(account.provider).verify_caller_id(account, number))

    def sent_code(self, account: Account, number: str) -> str:
        """Telnyx, Plivo: the code that the phone got, to be given to the API. Raises KeyError: none was sent."""
        return self._call(lambda: self.face(account.provider).sent_code(account, number))

    def type_code(self, account: Account, number: str, code: str) -> bool:
        """Twilio: the called person types the code that the API told; whether it was right. Raises KeyError."""
        return self._call(lambda: self.face(account.provider).type_code(account, number, code))

    def configure_number(
        self,
        number: str,
        *,
        voice_url: str | None = None,
        status_url: str | None = None,
        fallback_url: str | None = None,
    ) -> None:
        """Types webhook URLs into the carrier's console; None leaves a setting, "" clears it."""
        face = self._face_of_number(number)
        self._call(
            lambda: face.configure_number(
                number, voice_url=voice_url, status_url=status_url, fallback_url=fallback_url
            )
        )

    def asks(self, number: str) -> str:
        """The URL that the carrier asks first when the number is called; "" where it asks none."""
        face = self._face_of_number(number)
        return self._call(lambda: face.asks(number))

    def point(self, number: str, url: str) -> None:
        """Somebody types another URL to ask first into the carrier's console: the number's, or its application's."""
        face = self._face_of_number(number)
        self._call(lambda: face.point(number, url))

    def configure_application(
        self,
        account: Account,
        *,
        webhook_url: str | None = None,
        failover_url: str | None = None,
        call_cost_in_webhooks: bool | None = None,
    ) -> None:
        """Telnyx: the webhooks of the account's Call Control application."""
        face = self.face(account.provider)
        self._call(
            lambda: face.configure_application(
                account,
                webhook_url=webhook_url,
                failover_url=failover_url,
                call_cost_in_webhooks=call_cost_in_webhooks,
            )
        )

    def face(self, provider: str) -> CarrierFace:
        """The carrier itself, imported on first use; its `habits` are the switches that only it has."""
        if provider not in FACES:
            raise ValueError(f"unknown provider {provider!r}: one of {', '.join(FACES)}")
        with self._faces_lock:
            if provider not in self._faces:
                module = importlib.import_module(FACES[provider])
                face: CarrierFace = module.Face(self._core)
                self._faces[provider] = face
                self._core.exchange.listen(provider, _listener(face))
            return self._faces[provider]

    # -- phones

    def script(self, address: str, script: CalleeScript) -> None:
        """What the phone with that number (or SIP URI) does when called. Unscripted: `Answer()`."""
        self._core.exchange.script(address, script)

    def ring(self, number: str, from_: str, caller: CallerScript | None = None) -> SimCall:
        """A phone calls one of our numbers, or a SIP carrier one of our SIP URIs. Returns at once; see `wait`."""
        face = self._face_of_number(number)
        return self._call(lambda: self._ring(face, number, from_, caller or Caller()))

    def hang_up(self, call: SimCall | str) -> None:
        """The far party hangs up now, whatever its script says."""
        leg = self._leg(call)
        self._call(lambda: self._core.exchange.end(leg, EndedBy.PARTY, Outcome.CALLER_GAVE_UP))

    # -- what happened

    @property
    def faults(self) -> Faults:
        """The fault switches."""
        return self._core.faults

    @property
    def journal(self) -> Journal:
        """The record of everything that happened."""
        return self._core.journal

    def calls(self, provider: str | None = None) -> list[SimCall]:
        """Every call, oldest first; the legs a call led to are in its `legs`."""
        return [SimCall(leg) for leg in self._core.exchange.legs(provider) if leg.parent is None]

    def call(self, call_id: str) -> SimCall:
        """Raises KeyError."""
        return SimCall(self._leg(call_id))

    def writes(self, provider: str | None = None, operation: str | None = None) -> list[Entry]:
        """Every change of numbers, applications, trunks ... that the carriers carried out, one entry each."""
        return self.journal.writes(provider, operation)

    def dials(self, provider: str | None = None) -> list[Entry]:
        """Every request that asked for a call, also those that met a fault or were refused."""
        return self.journal.requests(provider, "dial")

    def truth(self, call: SimCall | str) -> str:
        """What really happened to the call.

        One of "answered", "voicemail", "busy", "no_answer", "declined", "unreachable", "cancelled",
        "caller_gave_up", "refused_busy", "failed"; of a live call "queued", "ringing" or "in_progress".
        """
        return truth_of(self._leg(call))

    def wait(self, what: SimCall | str | Callable[[], object], timeout_s: float = 10.0) -> None:
        """Waits (real seconds) until a call ended and its webhooks are delivered, or a predicate is true."""
        if callable(what):
            self._until(what, timeout_s, "the predicate")
            return
        leg = self._leg(what)

        def is_over() -> bool:
            return not leg.is_live and self._core.is_idle(leg.root.id)

        # looked at from inside the loop: between the end and its webhooks there is no moment to see there
        self._until(lambda: self._call(is_over), timeout_s, f"the end of {SimCall(leg)!r}")

    # -- inside

    def _add_account(self, face: CarrierFace, name: str, seed: int | None) -> Account:
        source = self._core.random
        before = source.getstate()
        if seed is not None:
            source.seed(seed)
        try:
            return face.add_account(name)
        finally:
            if seed is not None:
                source.setstate(before)

    def _ring(self, face: CarrierFace, number: str, from_: str, caller: CallerScript) -> SimCall:
        leg = face.ring(number, from_)
        self._core.exchange.call_in(leg, caller)
        return SimCall(leg)

    def _until(self, is_true: Callable[[], object], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            if time.monotonic() > deadline:
                raise SimulatorTimeout(f"waited {timeout_s:g} s in vain for {what}")
            time.sleep(POLL_S)

    def _leg(self, call: SimCall | str) -> Leg:
        call_id = call_id_of(call)
        leg = self._core.exchange.leg(call_id or "")
        if leg is None:
            raise KeyError(f"the simulator knows no call {call_id!r}")
        return leg

    def _face_of_number(self, number: str) -> CarrierFace:
        """Where the number is now: it may have been bought or released through the API."""
        with self._faces_lock:
            faces = dict(self._faces)
        first = faces.get(self._numbers.get(number, ""))
        for face in [first, *faces.values()] if first else faces.values():
            if self._call(partial(face.holds, number)):
                return face
        raise UnknownNumber(f"no account holds the number ...{number[-4:]}: add_number first")

    def _face_or_none(self, provider: str) -> CarrierFace | None:
        return self.face(provider) if provider in FACES else None

    def _call(self, function: Callable[[], T]) -> T:
        """Runs a plain function in the loop."""

        async def inside() -> T:
            return function()

        return self._run(inside())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise SimulatorError("the simulator is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(COMMAND_TIMEOUT_S)

    async def _close(self) -> None:
        await self._server.stop()
        await self._core.close()
        # what was cancelled a moment ago and is not through yet would be destroyed pending
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _stop_loop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(COMMAND_TIMEOUT_S)
        loop.close()


def _listener(face: CarrierFace) -> Callable[[Leg, LegEvent], None]:
    """Tells the face; an exception in it is the simulator's own failure, never the script's."""

    def listen(leg: Leg, event: LegEvent) -> None:
        try:
            face.on_leg_event(leg, event)
        except Exception as error:
            face.core.report(face.name, leg.root.id, error)

    return listen


def _require_loopback(host: str) -> None:
    if host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise ValueError(f"the simulator listens on loopback only, not on {host!r}")


__all__ = ["FACES", "Account", "LegState", "SimCall", "Simulator", "SimulatorError", "SimulatorTimeout"]
