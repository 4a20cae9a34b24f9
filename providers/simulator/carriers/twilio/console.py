"""What a person does in Twilio's console, or what happens to an account there: no API, no calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from providers.simulator.carriers.base import Account, CarrierFace, Core, Offer, UnknownNumber
from providers.simulator.carriers.twilio.access import Access
from providers.simulator.carriers.twilio.catalog import APPLICATIONS
from providers.simulator.carriers.twilio.model import (
    TRIAL,
    CallerId,
    Habits,
    Thing,
    TwilioAccount,
    TwilioNumber,
    permission_of,
)
from providers.simulator.carriers.twilio.resources import formatted, number_json
from providers.simulator.carriers.twilio.things import Things
from providers.simulator.carriers.twilio.webhooks import Sender

CODE_TRIES: Final = 3  # invented: how often the person may type the code of a validation
KINDS_OF_ACCOUNT: Final = {"full": "Full", "trial": TRIAL}
STATUSES: Final = ("active", "suspended", "closed")

# What can be changed about a number, as Twilio sets it for a new one.
NO_SETTINGS: Final[dict[str, str | bool | None]] = {
    "friendly_name": "",
    "voice_url": "",
    "voice_method": "POST",
    "voice_fallback_url": "",
    "voice_fallback_method": "POST",
    "status_callback": "",
    "status_callback_method": "POST",
    "voice_application_sid": None,
    "trunk_sid": None,
    "voice_caller_id_lookup": False,
    "voice_receive_mode": "voice",
    "sms_application_sid": None,
    "sms_url": "",
    "sms_method": "POST",
    "sms_fallback_url": "",
    "sms_fallback_method": "POST",
    "address_requirements": "none",
    "address_sid": None,
    "bundle_sid": None,
    "identity_sid": None,
    "emergency_status": "Inactive",
    "emergency_address_sid": None,
    "emergency_address_status": "unregistered",
}


class Console(CarrierFace):
    """Accounts and what they hold."""

    name: ClassVar[str] = "twilio"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.habits = Habits()
        self.accounts: dict[str, TwilioAccount] = {}
        self.sender = Sender(core, self.habits)
        self.access = Access(self)
        self.things = Things(self, self.access)

    def new_sid(self, prefix: str) -> str:
        """A fresh sid."""
        return prefix + self.core.hex(32)

    # -- accounts

    def add_account(self, name: str) -> Account:
        """An account with a SID and an Auth Token."""
        return self._open(name, None)

    def add_sub_account(self, account: Account, name: str) -> Account:
        """With a token of its own; the parent's opens it too. Raises ValueError: it is no main account."""
        parent = self.accounts[account.account_ref]
        if parent.parent is not None:
            raise ValueError("a Twilio sub-account has no sub-accounts")
        return self._open(name, parent)

    def _open(self, name: str, parent: TwilioAccount | None) -> Account:
        sid, now = self.new_sid("AC"), self.core.clock.now()
        secrets = {"account_sid": sid, "auth_token": self.core.hex(32)}
        account = Account(provider=self.name, name=name, account_ref=sid, secrets=secrets)
        self.accounts[sid] = TwilioAccount(account=account, created_at=now, updated_at=now, parent=parent)
        return account

    def change_account(self, account: Account, changes: Mapping[str, Any]) -> None:
        """A trial account calls verified numbers only and has one number; one that is not active has no calls."""
        owner = self.accounts[account.account_ref]
        for name, value in changes.items():
            match name:
                case "status" if value in STATUSES:
                    owner.status = value
                case "kind" if value in KINDS_OF_ACCOUNT:
                    owner.type = KINDS_OF_ACCOUNT[value]
                case "balance":
                    owner.balance = str(value)
                case _:
                    raise ValueError(
                        f"an account has no {name}={value!r}: status {STATUSES}, kind full or trial"
                    )
        owner.updated_at = self.core.clock.now()

    def add_api_key(self, account: Account, *, is_main: bool = False) -> tuple[str, str]:
        """A standard (or main) API key: its SID and secret."""
        sid, secret = self.new_sid("SK"), self.core.hex(32)
        self.accounts[account.account_ref].api_keys[sid] = (secret, is_main)
        return sid, secret

    def add_secondary_token(self, account: Account) -> str:
        """A second Auth Token, which opens the API too; the primary one signs until the second is promoted."""
        self.accounts[account.account_ref].secondary_token = self.core.hex(32)
        return self.accounts[account.account_ref].secondary_token

    def rotate_token(self, account: Account) -> str:
        """Promotes the second Auth Token, or a new one; the old one dies at once. The account's secrets hold it."""
        owner = self.accounts[account.account_ref]
        account.secrets["auth_token"] = owner.secondary_token or self.core.hex(32)
        owner.secondary_token = ""
        return account.secrets["auth_token"]

    def permit(self, account: Account, country: str, allowed: bool) -> None:
        """Low-risk numbers of the country; the United States and Canada are one."""
        forbidden = self.accounts[account.account_ref].forbidden
        if allowed:
            forbidden.discard(permission_of(country))
        else:
            forbidden.add(permission_of(country))

    # -- numbers

    def add_number(
        self,
        account: Account,
        number: str,
        *,
        voice: bool = True,
        kind: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """An IncomingPhoneNumber without URLs, unless `settings` has some."""
        owner = self.accounts[account.account_ref]
        self._hold(owner, number, kind, voice, self.new_settings(number))
        if settings:
            self.change_number(account, number, settings)

    def new_settings(self, number: str) -> dict[str, str | bool | None]:
        """What a number is set to when it is bought."""
        return NO_SETTINGS | {"friendly_name": formatted(number)}

    def take(
        self, owner: TwilioAccount, offer: Offer, settings: dict[str, str | bool | None]
    ) -> TwilioNumber:
        """Buys a number out of the inventory."""
        del self.inventory[offer.number]
        settings["address_requirements"] = "any" if offer.needs_address else "none"
        return self._hold(owner, offer.number, offer.kind, offer.voice, settings)

    def _hold(
        self,
        owner: TwilioAccount,
        number: str,
        kind: str,
        has_voice: bool,
        settings: dict[str, str | bool | None],
    ) -> TwilioNumber:
        now = self.core.clock.now()
        held = TwilioNumber(
            sid=self.new_sid("PN"),
            number=number,
            kind=kind,
            has_voice=has_voice,
            created_at=now,
            updated_at=now,
            settings=settings,
        )
        owner.hold(held)
        return held

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """The IncomingPhoneNumber."""
        owner, held = self._held_by(account, number)
        return number_json(owner, held)

    def change_number(self, account: Account, number: str, changes: Mapping[str, Any]) -> None:
        """Settings of the IncomingPhoneNumber; nothing is checked but their names."""
        _, held = self._held_by(account, number)
        _require_known(changes, held.settings, "number")
        held.settings |= changes
        held.updated_at = self.core.clock.now()

    def remove_number(self, account: Account, number: str) -> None:
        """Released, or moved to another account."""
        owner, held = self._held_by(account, number)
        owner.release(held)

    def configure_number(
        self, number: str, *, voice_url: str | None, status_url: str | None, fallback_url: str | None
    ) -> None:
        """The number's voice URL, status callback and fallback URL, as typed into the console."""
        _, held = self._holder(number)
        given = {"voice_url": voice_url, "status_callback": status_url, "voice_fallback_url": fallback_url}
        held.settings.update({name: value for name, value in given.items() if value is not None})
        held.updated_at = self.core.clock.now()

    def asks(self, number: str) -> str:
        """The voice URL; a trunk or an application comes before the number's own, as in a call."""
        account, held = self._holder(number)
        if held.settings["trunk_sid"]:
            return ""
        application = held.settings["voice_application_sid"]
        thing = account.things.get(str(application)) if application else None
        settings = held.settings if not application else thing.fields if thing else {}
        return str(settings.get("voice_url") or "")

    def holds(self, address: str) -> bool:
        """Whether an account holds the number, or the SIP domain of a URI."""
        if address.startswith("sip"):
            return self._domain(address) is not None
        return any(account.number(address) is not None for account in self.accounts.values())

    # -- applications

    def applications(self, account: Account) -> list[dict[str, Any]]:
        """TwiML applications."""
        owner = self.accounts[account.account_ref]
        return [self.things.document(owner, thing) for thing in owner.of_kind(APPLICATIONS.key)]

    def change_application(self, account: Account, ref: str, changes: Mapping[str, Any]) -> None:
        """Settings of a TwiML application; nothing is checked but their names."""
        thing = self._application(account, ref)
        _require_known(changes, thing.fields, "application")
        thing.fields |= changes
        thing.updated_at = self.core.clock.now()

    def remove_application(self, account: Account, ref: str) -> None:
        """A number that points at it rings nowhere then."""
        self.things.drop(self.accounts[account.account_ref], self._application(account, ref))

    def _application(self, account: Account, ref: str) -> Thing:
        thing = self.accounts[account.account_ref].things.get(ref)
        if thing is None or thing.key != APPLICATIONS.key:
            raise KeyError(f"the account has no application {ref}")
        return thing

    # -- caller ids

    def verify_caller_id(self, account: Account, number: str) -> None:
        """An OutgoingCallerId."""
        super().verify_caller_id(account, number)
        self._verified(account, number, formatted(number))

    def type_code(self, account: Account, number: str, code: str) -> bool:
        """After the right code the number is an OutgoingCallerId; after three wrong ones the validation has failed."""
        owner = self.accounts[account.account_ref]
        begun = owner.validations.get(number)
        if begun is None:
            raise KeyError(f"no validation of the number ...{number[-4:]} is open")
        begun.tries += 1
        is_right = code == begun.code
        if not is_right and begun.tries < CODE_TRIES:
            return False
        del owner.validations[number]
        fields = {
            "AccountSid": owner.sid,
            "CallSid": begun.call_sid,
            "To": number,
            "Called": number,
            "VerificationStatus": "success" if is_right else "failed",
        }
        if is_right:
            super().verify_caller_id(account, number)
            fields["OutgoingCallerIdSid"] = self._verified(account, number, begun.friendly_name).sid
        endpoint = begun.callback
        if endpoint is not None:

            async def tell() -> None:
                event = fields["VerificationStatus"]
                await self.sender.send_for(owner, endpoint, fields, hook="caller_id", event=event)

            self.core.spawn(tell())
        return is_right

    def _verified(self, account: Account, number: str, name: str) -> CallerId:
        now = self.core.clock.now()
        caller_id = CallerId(
            sid=self.new_sid("PN"), number=number, friendly_name=name, created_at=now, updated_at=now
        )
        self.accounts[account.account_ref].caller_ids[number] = caller_id
        return caller_id

    # -- small things

    def _held_by(self, account: Account, number: str) -> tuple[TwilioAccount, TwilioNumber]:
        owner = self.accounts[account.account_ref]
        held = owner.number(number)
        if held is None:
            raise UnknownNumber(f"the Twilio account does not hold the number ...{number[-4:]}")
        return owner, held

    def _holder(self, number: str) -> tuple[TwilioAccount, TwilioNumber]:
        for account in self.accounts.values():
            held = account.number(number)
            if held is not None:
                return account, held
        raise UnknownNumber(f"no Twilio account holds the number ...{number[-4:]}")

    def _domain(self, uri: str) -> tuple[TwilioAccount, Thing] | None:
        """The SIP domain of a URI, and whose it is."""
        host = uri.partition("@")[2].partition(";")[0].partition(":")[0].lower()
        for account in self.accounts.values():
            for domain in account.of_kind("domains"):
                if domain.fields["domain_name"] == host:
                    return account, domain
        return None


def _require_known(changes: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for name in sorted(set(changes) - set(known)):
        raise ValueError(f"a Twilio {what} has no setting {name!r}: one of {', '.join(known)}")
