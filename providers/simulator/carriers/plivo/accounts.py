"""A Plivo account with what it holds, or a subaccount with its part of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from providers.simulator.carriers.base import Account
from providers.simulator.carriers.plivo.resources import Application, HeldNumber

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class CallerId:
    """A foreign number that the account may show. `number` is digits."""

    number: str
    verified_at: datetime
    verification_uuid: str
    alias: str = ""
    country: str = ""
    channel: str = "sms"
    sub_account: str = ""
    changed_at: datetime | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Verification:
    """One under way: the code that the phone got, and since when (scripted time)."""

    caller_id: CallerId
    code: str = field(repr=False)
    begun_mark: float
    tries_left: int


@dataclass(slots=True, kw_only=True, eq=False)
class PlivoAccount:
    """One account. A subaccount (`parent`) holds nothing itself: numbers and applications carry its id.

    Attributes:
        status: "active", "suspended" (it places no calls) or "closed" (its token is none any more).
        is_trial: it may call verified numbers only.
        is_enabled: of a subaccount.
        profile: what `GET` of the account shows beside ids and money.
        next_slot: when the calls-per-second limit lets the next call go.
        forbidden: countries (ISO codes) without geo permission.
        things: carriers, trunks, credentials, access lists, URIs: rows by their id, by collection.
    """

    account: Account
    opened_at: datetime
    parent: PlivoAccount | None = None
    status: str = "active"
    is_trial: bool = False
    is_enabled: bool = True
    balance: str = "25.00000"
    profile: dict[str, str] = field(default_factory=dict)
    next_slot: float = 0.0
    forbidden: set[str] = field(default_factory=set)
    numbers: dict[str, HeldNumber] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    caller_ids: dict[str, CallerId] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)
    things: dict[str, dict[str, Json]] = field(default_factory=dict)

    @property
    def auth_id(self) -> str:
        """`MA`, or `SA` for a subaccount, and 18 letters or digits."""
        return self.account.account_ref

    @property
    def root(self) -> PlivoAccount:
        """The main account, which holds everything."""
        return self.parent or self

    @property
    def sub_account(self) -> str:
        """What marks the things of a subaccount; empty for a main account."""
        return self.auth_id if self.parent else ""

    @property
    def tokens(self) -> list[str]:
        """The auth token, and a second one while it is being rotated in."""
        names = ("auth_token", "auth_token_secondary")
        return [self.account.secrets[name] for name in names if self.account.secrets.get(name)]

    @property
    def is_open(self) -> bool:
        """Whether its credentials are taken."""
        return self.root.status != "closed" and self.is_enabled

    def sees(self, sub_account: str) -> bool:
        """Whether things marked so are its own; a main account sees all."""
        return self.parent is None or sub_account == self.auth_id

    def number(self, digits: str) -> HeldNumber | None:
        """The number, if it is one of its own."""
        held = self.root.numbers.get(digits)
        return held if held is not None and self.sees(held.sub_account) else None

    def application(self, app_id: str) -> Application | None:
        """The application, if it is one of its own."""
        app = self.root.applications.get(app_id)
        return app if app is not None and self.sees(app.subaccount) else None

    def trunk(self, trunk_id: str) -> Json | None:
        """The inbound or outbound trunk."""
        return self.root.things.get("trunk", {}).get(trunk_id)

    def may_call_from(self, number: str) -> bool:
        """Whether it holds or has verified the number (digits only)."""
        return self.number(number) is not None or f"+{number}" in self.root.account.verified_caller_ids

    def unlink(self, target: str) -> None:
        """Point at nothing what pointed at an application or a trunk."""
        for held in self.root.numbers.values():
            if held.app_id == target:
                held.app_id = ""
