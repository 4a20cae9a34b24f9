"""An account at a carrier of our own making, of each of the two kinds: for the set-up of numbers, by several processes.

What stands at the carrier is a JSON file, so a process that is killed leaves there what it wrote. Each write can be
refused, lost before or after it took effect, or followed by a kill.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway import Agent, Gateway, Stream
from gateway.byoc import (
    ApplicationRequest,
    AvailableNumber,
    CallerId,
    CallerIdVerification,
    CarrierApplication,
    CarrierNumber,
    Difference,
    NumberOrder,
    NumberQuery,
    NumberSetup,
    OrderState,
    Place,
    SipRemoval,
    SipRequest,
    SipStays,
    SipTrunk,
    Target,
    TargetKind,
)
from gateway.errors import NotFound, ProviderUnavailable, RequestRefused, UnsupportedFeature
from gateway.interface import AccountInfo
from gateway.services import Services
from gateway.settings import load_settings
from gateway.store import Store
from gateway.vault import Vault
from providers.plivo import PlivoProvider
from providers.telnyx import TelnyxProvider
from providers.twilio import TwilioProvider
from tests.linekit import SECRETS
from tests.wires import Clock

OURS = "+14155550100"
OTHER = "+14155550101"
THIRD = "+14155550102"
PUBLIC = "https://gw.example.com"
MOVED = "https://new.example.com"
THEIRS = {"voice_url": "https://theirs.example.com/calls", "app": "", "note": "kept ☎"}
CLASSES = {"plivo": PlivoProvider, "telnyx": TelnyxProvider, "twilio": TwilioProvider}
HAS_APPLICATIONS = ("plivo", "telnyx")
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()  # the same in every process


def secrets_of(kind: str) -> dict[str, str]:
    """The account's secrets, without an application's id: one is made when it is needed."""
    return {name: value for name, value in SECRETS[kind].items() if name != "connection_id"}


@dataclass
class Account:
    """One account: numbers that hold their URLs ("twilio"), or point at applications that do."""

    file: Path
    kind: str = "twilio"
    refuses: set[str] = field(default_factory=set)  # writes that are refused
    loses: dict[str, str] = field(default_factory=dict)  # write -> "before" or "after": its answer is lost
    on_write: Callable[[str], None] = lambda _: None  # told before and after each write
    status: str = "active"
    account_ref: str = "ACCOUNT"

    def __post_init__(self) -> None:
        self.name = self.kind
        self.capabilities = replace(
            CLASSES[self.kind].capabilities,
            has_applications=self.kind in HAS_APPLICATIONS,
            application_setting="connection_id" if self.kind == "telnyx" else None,
            number_search=True,
            caller_id_verification=True,
            sip_setup=True,
        )
        if not self.file.exists():
            self.file.write_text(json.dumps(EMPTY))

    def open(self, *_: Any, **__: Any) -> Any:
        return self

    def prepare(self) -> None:
        """Nothing to load."""

    # -- what stands there --------------------------------------------------------------------------------------------

    @contextmanager
    def state(self) -> Iterator[dict[str, Any]]:
        """Read and change the file; one process at a time."""
        with (self.file.parent / "carrier.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = json.loads(self.file.read_text())
            yield found
            draft = self.file.with_suffix(".new")
            draft.write_text(json.dumps(found))
            draft.replace(self.file)

    def read(self) -> dict[str, Any]:
        with self.state() as found:
            return dict(found)

    def add(self, *numbers: str, **settings: Any) -> None:
        with self.state() as found:
            for number in numbers:
                found["numbers"][number] = {**THEIRS, **settings}

    def settings(self, number: str) -> dict[str, Any]:
        return dict(self.read()["numbers"][number])

    def change(self, number: str, **settings: Any) -> None:
        """Somebody clicks in the carrier's console."""
        with self.state() as found:
            found["numbers"][number].update(settings)

    def where(self, number: str) -> str:
        """The URL that the carrier asks when the number is called."""
        found = self.read()
        settings = found["numbers"][number]
        app = found["applications"].get(settings["app"])
        return str(app["url"] if app else settings["voice_url"])

    @property
    def writes(self) -> list[str]:
        return list(self.read()["writes"])

    @contextmanager
    def _writing(self, what: str) -> Iterator[dict[str, Any]]:
        if what in self.refuses:
            raise RequestRefused("address required", provider=self.name, http_status=400, vendor_code="21631")
        if self.loses.get(what) == "before":
            raise ProviderUnavailable("timed out", provider=self.name)
        self.on_write(f"before {what}")
        with self.state() as found:
            found["writes"].append(what)
            yield found
        self.on_write(f"after {what}")
        if self.loses.get(what) == "after":
            raise ProviderUnavailable("timed out", provider=self.name)

    # -- the adapter's verbs ------------------------------------------------------------------------------------------

    def check_account(self) -> AccountInfo:
        if "check" in self.refuses:
            raise RequestRefused("authenticate", provider=self.name, http_status=401, vendor_code="20003")
        return AccountInfo(account_ref=self.account_ref, name="Test", status=self.status, kind="main")

    def list_numbers(self) -> Iterator[CarrierNumber]:
        self._reading()
        yield from [_listed(e164, settings) for e164, settings in self.read()["numbers"].items()]

    def find_number(self, e164: str) -> CarrierNumber | None:
        self._reading()
        settings = self.read()["numbers"].get(e164)
        return None if settings is None else _listed(e164, settings)

    def _reading(self) -> None:
        if "read" in self.loses:
            raise ProviderUnavailable("timed out", provider=self.name)

    def target_of(self, number: CarrierNumber) -> Target:
        app = self.read()["applications"].get(number.settings["app"])
        url = app["url"] if app else number.settings["voice_url"]
        if not url:
            return Target(kind=TargetKind.NOTHING, text="nothing")
        kind = TargetKind.APPLICATION if app else TargetKind.URL
        return Target(kind=kind, text=f"{kind.value} {url}", urls=(url,))

    def ensure_application(self, request: ApplicationRequest) -> CarrierApplication | None:
        if not self.capabilities.has_applications:
            return None
        found = self.read()["applications"]
        named = [ref for ref, app in found.items() if app["name"] == request.name]
        ref = request.ref or (named[0] if named else None)
        if ref is not None and ref not in found:
            raise NotFound("application", ref)
        if ref is None or found[ref]["url"] != request.urls.answer:
            with self._writing("application") as changed:
                ref = ref or str(7000 + len(changed["applications"]))
                kept = changed["applications"].get(ref, {"name": request.name, "color": "none"})
                changed["applications"][ref] = {**kept, "url": request.urls.answer}
        return self.fetch_application(ref)

    def fetch_application(self, ref: str) -> CarrierApplication:
        app = self.read()["applications"].get(ref)
        if app is None:
            raise NotFound("application", ref)
        return CarrierApplication(ref=ref, name=app["name"], settings=app)

    def restore_application(self, ref: str, settings: Any) -> None:
        with self._writing("restore application") as found:
            found["applications"][ref] = dict(settings)

    def delete_application(self, ref: str) -> None:
        with self._writing("delete application") as found:
            found["applications"].pop(ref, None)

    def configure_number(self, number: CarrierNumber, setup: NumberSetup) -> CarrierNumber:
        with self._writing("number") as found:
            if self.capabilities.has_applications:
                found["numbers"][number.e164]["app"] = setup.application_ref
            else:
                found["numbers"][number.e164]["voice_url"] = setup.urls.answer
        return self._found(number.e164)

    def restore_number(self, number: CarrierNumber, settings: Any) -> CarrierNumber:
        with self._writing("restore number") as found:
            found["numbers"][number.e164] = dict(settings)
        return self._found(number.e164)

    def _found(self, e164: str) -> CarrierNumber:
        found = self.find_number(e164)
        assert found is not None
        return found

    def is_ours(self, number: CarrierNumber, setup: NumberSetup) -> bool:
        if self.capabilities.has_applications:
            return setup.application_ref is not None and number.settings["app"] == setup.application_ref
        return bool(number.settings["voice_url"] == setup.urls.answer)

    def differences(
        self, number: CarrierNumber, application: CarrierApplication | None, setup: NumberSetup
    ) -> tuple[Difference, ...]:
        wanted, found = setup.urls.answer, number.settings["voice_url"]
        if not self.capabilities.has_applications:
            return () if wanted == found else (_difference(Place.NUMBER, "voice_url", wanted, found),)
        differing = []
        if number.settings["app"] != setup.application_ref:
            place = Place.NUMBER
            differing.append(
                _difference(place, "app", str(setup.application_ref), str(number.settings["app"]))
            )
        if application is not None and application.settings["url"] != wanted:
            differing.append(_difference(Place.APPLICATION, "url", wanted, application.settings["url"]))
        return tuple(differing)

    def account_differences(
        self, application: CarrierApplication | None, countries: tuple[str, ...]
    ) -> tuple[Difference, ...]:
        closed = [each for each in countries if each in self.read()["closed"]]
        return tuple(
            Difference(
                place=Place.ACCOUNT,
                setting=f"permission {each}",
                wanted="on",
                found="off",
                is_repairable=False,
                advice="switch it on in the console",
            )
            for each in closed
        )

    def search_numbers(self, query: NumberQuery) -> list[AvailableNumber]:
        shop = self.read()["shop"]
        return [
            AvailableNumber(
                e164=e164,
                kind=query.kind,
                country=query.country,
                monthly_price=price,
                currency="USD",
            )
            for e164, price in shop.items()
            if query.kind == "local" and (query.contains or "") in e164
        ][: query.limit]

    def buy_number(self, e164: str, *, reference: str) -> NumberOrder:
        with self._writing("buy") as found:
            found["numbers"][e164] = dict(THEIRS)
        return NumberOrder(state=OrderState.BOUGHT, number=self._found(e164))

    def release_number(self, carrier_ref: str) -> None:
        with self._writing("release") as found:
            found["numbers"].pop(f"+{carrier_ref[2:]}", None)

    def list_caller_ids(self) -> Iterator[CallerId]:
        yield from [CallerId(e164=each, carrier_ref=f"ID{each[1:]}") for each in self.read()["caller_ids"]]

    def start_caller_id(self, e164: str, *, by: str = "call") -> CallerIdVerification:
        return CallerIdVerification(verification_ref="V1", code_to_type="123456" if by == "call" else None)

    def confirm_caller_id(self, e164: str, verification_ref: str | None, code: str | None) -> CallerId:
        if code not in (None, "4242"):
            raise RequestRefused("wrong code", provider=self.name)
        with self._writing("caller id") as found:
            found["caller_ids"].append(e164)
        return CallerId(e164=e164, carrier_ref="ID")

    def check_sip_request(self, request: SipRequest) -> None:
        if request.carrier_host == "cannot.example.net":
            raise UnsupportedFeature(self.name, "calls to that host")

    def ensure_sip(self, request: SipRequest) -> SipTrunk:
        with self._writing("sip") as found:
            found["sip"][request.name] = {"host": request.carrier_host, "password": request.password}
        return SipTrunk(
            refs={"trunk": "BY1"}, trunk_ref="BY1", instructions=(("send calls to", "sip.example.net"),)
        )

    def remove_sip(self, removal: SipRemoval) -> tuple[str, ...]:
        if removal.stays is not SipStays.LINK:
            with self._writing("remove sip") as found:
                found["sip"].pop(removal.name, None)
        return ()

    def check_sip(self, request: SipRequest) -> tuple[Difference, ...]:
        there = request.name in self.read()["sip"]
        return () if there else (_difference(Place.ACCOUNT, "trunk", request.name, ""),)


EMPTY: dict[str, Any] = {
    "numbers": {},
    "applications": {},
    "writes": [],
    "closed": [],
    "shop": {},
    "caller_ids": [],
    "sip": {},
}


def _listed(e164: str, settings: dict[str, Any]) -> CarrierNumber:
    return CarrierNumber(
        e164=e164,
        carrier_ref=f"PN{e164[1:]}",
        has_voice=settings.get("voice", True),
        settings={name: value for name, value in settings.items() if name != "voice"},
    )


def _difference(place: Place, setting: str, wanted: str, found: str) -> Difference:
    return Difference(place=place, setting=setting, wanted=wanted, found=found)


def open_byoc(
    store: Store, account: Account, clock: Clock | None = None, public_url: str | None = PUBLIC
) -> Gateway:
    """A gateway over the account, with nothing in it."""
    settings = load_settings(env={}, public_url=public_url)
    services = Services(
        store=store,
        settings=settings,
        vault=Vault((KEY,)),
        clock=clock or Clock(),
        sleep=lambda _: None,
        open_provider=account.open,
    )
    return Gateway(services)


def stock(gateway: Gateway, account: Account, *numbers: str, **secrets: str) -> None:
    """Give the account these numbers, and the gateway the account, its numbers and the agents a, b."""
    account.add(*numbers)
    gateway.credentials.add(account.kind, **{**secrets_of(account.kind), **secrets})
    gateway.numbers.import_from(account.kind)
    for name in ("a", "b"):
        gateway.agents.put(Agent(id=name, connect=Stream("wss://agents.example.com/media")))


def die(_: str = "") -> None:
    os.kill(os.getpid(), signal.SIGKILL)
