"""Plivo as a carrier of the simulator: accounts, numbers and the life of a call, from the order to its hangup request.

Source: Plivo's call, callback and streaming pages (plivo.com/docs, read 2026). `handlers.py` is the REST API on top
of this, `performer.py` carries the documents out. Everything that Plivo may do either way is a switch in
`Face.habits`.

Not played: SIP itself, conferences, what streams cost, and the total time `tt` of a
callback address is kept for the address as a whole but the fallback has its own.
"""

from __future__ import annotations

import asyncio
import re
import string
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode

from providers.simulator.api import ApiAnswer, ApiRequest, Route
from providers.simulator.carriers.base import Account, CarrierFace, Core, UnknownNumber
from providers.simulator.carriers.common import account_changes, country_of, require_known
from providers.simulator.carriers.plivo import audio, endings, signing, webhooks
from providers.simulator.carriers.plivo.accounts import CallerId, PlivoAccount
from providers.simulator.carriers.plivo.callbacks import policy_of
from providers.simulator.carriers.plivo.calls import (
    Habits,
    PlivoCall,
    Recording,
    StreamRecord,
    Target,
    plivo_number,
)
from providers.simulator.carriers.plivo.documents import Element, InvalidDocument, read_document
from providers.simulator.carriers.plivo.endings import Ending
from providers.simulator.carriers.plivo.frames import AudioFormat, Codec, Writer
from providers.simulator.carriers.plivo.handlers import NOT_PLACED, Handlers
from providers.simulator.carriers.plivo.numbers import Applications, Numbers
from providers.simulator.carriers.plivo.people import People
from providers.simulator.carriers.plivo.performer import CallEnds, Document, Performer
from providers.simulator.carriers.plivo.resources import KINDS, Application, HeldNumber, application, five
from providers.simulator.carriers.plivo.rest import CallOrder, is_destination
from providers.simulator.carriers.plivo.trunks import Trunks
from providers.simulator.delivery import ToSign, Webhook, WebhookAnswer
from providers.simulator.exchange import Direction, EndedBy, Leg, LegEvent, Outcome
from providers.simulator.faults import ApiFault
from providers.simulator.journal import Kind
from providers.simulator.media import StreamEnd, StreamRefused
from providers.simulator.scripts import NoAnswer

RECORDING_DELAY_S: Final = 1.0  # invented: between the end of a recording and its callback
STREAM_TRIES: Final = 3  # one, and two more
STREAM_RETRY_S: Final = 1.0  # invented
FORGED_TOKEN: Final = "not-the-token-of-this-account"  # noqa: S105 - the key of forged signatures
SIP_APPLICATION: Final = re.compile(r"sips?:(\d+)@app\.plivo\.com", re.IGNORECASE)
_ID_LETTERS: Final = string.ascii_uppercase + string.digits

ENDED_BY: Final = {
    endings.Source.CALLER: EndedBy.US,
    endings.Source.API: EndedBy.US,
    endings.Source.XML: EndedBy.US,
}  # of endings that the carrier itself brings about; the others: EndedBy.CARRIER
OUTCOMES: Final = {
    endings.REFUSED_AS_BUSY: Outcome.REFUSED_BUSY,
    endings.REFUSED: Outcome.DECLINED,
    endings.RING_TIMEOUT: Outcome.NO_ANSWER,
    endings.SCHEDULED: Outcome.NO_ANSWER,
    endings.LOST_RACE: Outcome.CANCELLED,
    endings.INVALID_DESTINATION: Outcome.UNREACHABLE,
}
UNREACHABLE_BY_SIP: Final = {404: endings.UNALLOCATED, 480: endings.NO_ANSWER}  # else a carrier error, 3080


class Face(CarrierFace):
    """The simulated Plivo."""

    name: ClassVar[str] = "plivo"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.habits = Habits()
        self.clock = core.clock
        self.exchange = core.exchange
        self.accounts: dict[str, PlivoAccount] = {}
        self.calls: dict[str, PlivoCall] = {}
        self.recordings: dict[str, Recording] = {}
        self._handlers = Handlers(self)
        self._numbers = Numbers(self)
        parts = (self._handlers, self._numbers, Applications(self), People(self), Trunks(self))
        self._routes = [route for part in parts for route in part.routes()]

    # --- the console

    def add_account(self, name: str) -> Account:
        """A main account; its secrets are `auth_id` and `auth_token`."""
        return self._open(name, "MA", None).account

    def add_sub_account(self, account: Account, name: str) -> Account:
        """A subaccount: it sees the numbers and applications that carry its id."""
        return self.open_subaccount(self.accounts[account.account_ref], name).account

    def open_subaccount(self, parent: PlivoAccount, name: str) -> PlivoAccount:
        """The same, for the API."""
        return self._open(name, "SA", parent)

    def _open(self, name: str, prefix: str, parent: PlivoAccount | None) -> PlivoAccount:
        auth_id = prefix + "".join(self.core.random.choice(_ID_LETTERS) for _ in range(18))
        account = Account(
            provider=self.name,
            name=name,
            account_ref=auth_id,
            secrets={"auth_id": auth_id, "auth_token": self.core.hex(40)},
        )
        made = PlivoAccount(account=account, parent=parent, opened_at=self.clock.now())
        self.accounts[auth_id] = made
        return made

    def subaccount(self, parent: PlivoAccount, auth_id: str) -> PlivoAccount | None:
        """The subaccount of this id, if it is one of `parent`."""
        found = self.accounts.get(auth_id)
        return found if found is not None and found.parent is parent else None

    def is_of(self, auth_id: str, owner: PlivoAccount) -> bool:
        """Whether what belongs to `auth_id` is the account's, or that of one of its subaccounts."""
        found = self.accounts.get(auth_id)
        return auth_id == owner.auth_id or (found is not None and found.parent is owner)

    def change_account(self, account: Account, changes: Mapping[str, Any]) -> None:
        """`status`, `kind` and `balance` of a main account; the money is never hidden here."""
        checked = account_changes(changes)
        if checked.get("balance", "0") is None:
            raise ValueError("Plivo always shows the balance: give an amount")
        owner = self.accounts[account.account_ref].root
        owner.status = checked.get("status", owner.status)
        owner.is_trial = checked.get("kind", "trial" if owner.is_trial else "full") == "trial"
        owner.balance = five(checked.get("balance", owner.balance))

    def permit(self, account: Account, country: str, allowed: bool) -> None:
        """Geo permission, which the API cannot read; every country is permitted at first."""
        forbidden = self.accounts[account.account_ref].root.forbidden
        if allowed:
            forbidden.discard(country)
        else:
            forbidden.add(country)

    def add_number(
        self,
        account: Account,
        number: str,
        *,
        voice: bool = True,
        kind: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Rent a number; it points at no application yet. A subaccount's is its parent's, with its id."""
        owner = self.accounts[account.account_ref]
        held = HeldNumber(
            number=plivo_number(number),
            sub_account=owner.sub_account,
            number_type=KINDS.get(kind, kind),
            voice_enabled=voice,
            country=country_of(number) or "US",
        )
        owner.root.numbers[held.number] = held
        self._change(held, settings or {})

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """The number as the API shows it."""
        owner = self.accounts[account.account_ref]
        return self._numbers.shown(owner, self._held_by(account, number))

    def change_number(self, account: Account, number: str, changes: Mapping[str, Any]) -> None:
        """Settings of the number, among them `app_id`; nothing is checked but their names."""
        self._change(self._held_by(account, number), changes)

    def _change(self, held: HeldNumber, changes: Mapping[str, Any]) -> None:
        require_known(changes, {each.name for each in fields(held)} - {"number"}, "Plivo number")
        for name, value in changes.items():
            setattr(held, name, value or "" if name == "app_id" else value)

    def remove_number(self, account: Account, number: str) -> None:
        """The number is given back."""
        held = self._held_by(account, number)
        del self.accounts[account.account_ref].root.numbers[held.number]

    def _held_by(self, account: Account, number: str) -> HeldNumber:
        held = self.accounts[account.account_ref].number(plivo_number(number))
        if held is None:
            raise UnknownNumber(f"the Plivo account does not hold the number ...{number[-4:]}")
        return held

    def applications(self, account: Account) -> list[dict[str, Any]]:
        """The applications as the API shows them."""
        owner = self.accounts[account.account_ref]
        base = f"/v1/Account/{owner.root.auth_id}/"
        return [
            application(app, base) for app in owner.root.applications.values() if owner.sees(app.subaccount)
        ]

    def change_application(self, account: Account, ref: str, changes: Mapping[str, Any]) -> None:
        """Settings of the application; nothing is checked but their names."""
        app = self._application(account, ref)
        require_known(changes, {each.name for each in fields(app)} - {"app_id"}, "Plivo application")
        for name, value in changes.items():
            setattr(app, name, value)

    def remove_application(self, account: Account, ref: str) -> None:
        """The application is deleted; its numbers are linked to nothing then."""
        owner = self.accounts[account.account_ref].root
        del owner.applications[self._application(account, ref).app_id]
        owner.unlink(ref)

    def _application(self, account: Account, ref: str) -> Application:
        app = self.accounts[account.account_ref].application(ref)
        if app is None:
            raise KeyError(ref)
        return app

    def verify_caller_id(self, account: Account, number: str) -> None:
        """A verified caller ID of the main account, or of the subaccount."""
        owner = self.accounts[account.account_ref]
        self.keep_caller_id(
            owner.root,
            CallerId(
                number=plivo_number(number),
                verified_at=self.clock.now(),
                verification_uuid=self.new_uuid(),
                country=country_of(number) or "",
                sub_account=owner.sub_account,
            ),
        )

    def keep_caller_id(self, owner: PlivoAccount, known: CallerId) -> None:
        """The number was verified."""
        owner.caller_ids[known.number] = known
        super().verify_caller_id(owner.account, f"+{known.number}")

    def sent_code(self, account: Account, number: str) -> str:
        """The one-time password of the newest verification of the number."""
        begun = self.accounts[account.account_ref].root.verifications.values()
        codes = [each.code for each in begun if each.caller_id.number == plivo_number(number)]
        if not codes:
            raise KeyError(f"no verification of ...{number[-4:]} is under way")
        return codes[-1]

    def configure_number(
        self, number: str, *, voice_url: str | None, status_url: str | None, fallback_url: str | None
    ) -> None:
        """Set the addresses of the number's application, which is made when there is none."""
        owner, held = self._holder(number)
        app = owner.root.applications.get(held.app_id)
        if app is None:
            app = self.add_application(
                owner.root, Application(app_id="", app_name=f"app-{held.number}", answer_url="")
            )
            held.app_id = app.app_id
        if voice_url is not None:
            app.answer_url = voice_url
        if status_url is not None:
            app.hangup_url = status_url or None
        if fallback_url is not None:
            app.fallback_answer_url = fallback_url

    def asks(self, number: str) -> str:
        """The answer URL of the number's application."""
        owner, held = self._holder(number)
        app = owner.root.applications.get(held.app_id)
        return app.answer_url if app is not None else ""

    def add_application(self, owner: PlivoAccount, app: Application) -> Application:
        """Give an application its id: digits, as text."""
        app.app_id = str(self.core.random.randrange(10**16, 10**17))
        owner.applications[app.app_id] = app
        return app

    def holds(self, address: str) -> bool:
        """Whether an account rents the number, or has the application of the SIP address."""
        return self._destination(address) is not None

    def _holder(self, number: str) -> tuple[PlivoAccount, HeldNumber]:
        for owner in self.accounts.values():
            held = owner.number(plivo_number(number)) if owner.parent is None else None
            if held is not None:
                return self.accounts.get(held.sub_account, owner), held
        raise UnknownNumber(f"no account holds the number ...{number[-4:]}")

    def _destination(self, address: str) -> tuple[PlivoAccount, Application | None] | None:
        """Who is called, and the application that answers; None: nobody has the address."""
        if found := SIP_APPLICATION.fullmatch(address):
            for owner in self.accounts.values():
                app = owner.root.applications.get(found[1])
                if app is not None:
                    return self.accounts.get(app.subaccount, owner.root), app
            return None
        try:
            owner, held = self._holder(address)
        except UnknownNumber:
            return None
        usable = held.active and held.voice_enabled and owner.root.status == "active"
        return owner, owner.root.applications.get(held.app_id) if usable else None

    # --- the API

    def routes(self) -> Sequence[Route]:
        """The resources under `/v1/Account/{auth_id}/`."""
        return self._routes

    def unmatched(self, request: ApiRequest, allowed: Sequence[str]) -> ApiAnswer:
        """404 or 405; a missing trailing slash is a 404 here (what Plivo does is unconfirmed)."""
        return self._handlers.error(405 if allowed else 404)

    def fault_answer(self, fault: ApiFault, request: ApiRequest) -> ApiAnswer:
        """Plivo's error body of a status; a call that is not permitted has a text of its own."""
        is_call = (fault.operation, fault.status) == ("dial", 403)
        return self._handlers.error(fault.status, NOT_PLACED if is_call else None)

    def new_uuid(self) -> str:
        """A random uuid, the same for the same seed."""
        return str(uuid.UUID(int=self.core.random.getrandbits(128), version=4))

    # --- calls begin

    def place(self, owner: PlivoAccount, order: CallOrder, to: str) -> tuple[PlivoCall, bool]:
        """Accept one destination; the flag tells whether it has to wait for the calls-per-second limit."""
        shown = owner.number(plivo_number(order.from_))
        signer = self.accounts.get(shown.sub_account, owner) if shown is not None else owner
        call = self._add(signer, Direction.OUTBOUND, to=_e164(to), from_=_e164(order.from_), parent=None)
        call.request_uuid = self.new_uuid() if self.habits.request_uuid_differs else call.uuid
        call.caller_name = order.caller_name or ""
        call.answer = Target(url=order.answer_url, method=order.answer_method)
        call.ring = _target(order.ring_url, order.ring_method)
        call.hangup = _target(order.hangup_url, order.hangup_method)
        call.fallback = _target(order.fallback_url, order.fallback_method)
        call.detection, call.extra, call.send_digits = order.detection, order.sip_headers, order.send_digits
        call.ring_timeout_s, call.time_limit_s = order.ring_timeout_s, order.time_limit_s
        call.hangup_on_ring_s = order.hangup_on_ring_s
        call.parent_call_uuid = order.parent_call_uuid
        now = self.clock.mark()
        main = owner.root  # subaccounts share its rate
        waits_s = max(0.0, main.next_slot - now)
        main.next_slot = now + waits_s + 1 / self.habits.calls_per_second
        self.core.spawn(self._dial(call, waits_s), call_id=call.uuid)
        return call, waits_s > 0

    async def _dial(self, call: PlivoCall, waits_s: float) -> None:
        await self.clock.sleep(waits_s)
        self.exchange.dial(call.leg, ring_timeout_s=call.ring_timeout_s)

    def ring(self, number: str, from_: str) -> Leg:
        """A phone calls a number, or a SIP carrier an application: its addresses are read now."""
        found = self._destination(number)
        if found is None:
            raise UnknownNumber(f"no account holds the number ...{number[-4:]}")
        owner, app = found
        call = self._add(owner, Direction.INBOUND, to=number, from_=from_, parent=None)
        if app is not None and app.answer_url and app.enabled:
            call.answer = Target(url=app.answer_url, method=app.answer_method)
            call.fallback = _target(app.fallback_answer_url or None, app.fallback_method)
            # an application without hangup_url sends the hangup to its answer_url
            call.hangup = Target(url=app.hangup_url or app.answer_url, method=app.hangup_method)
        return call.leg

    def place_b_leg(self, call: PlivoCall, to: str, *, caller_id: str, ring_s: int) -> PlivoCall:
        """Dial another phone for a call, with its own uuid."""
        b_leg = self._add(
            self.accounts[call.auth_id],
            Direction.OUTBOUND,
            to=_e164(to),
            from_=_e164(caller_id),
            parent=call.leg,
        )
        b_leg.ring_timeout_s, b_leg.parent_call_uuid = ring_s, call.uuid
        if is_destination(to):
            self.exchange.dial(b_leg.leg, ring_timeout_s=ring_s)
        else:
            self.finish(b_leg, endings.INVALID_DESTINATION)
        return b_leg

    def _add(
        self, owner: PlivoAccount, direction: Direction, *, to: str, from_: str, parent: Leg | None
    ) -> PlivoCall:
        leg = self.exchange.create(
            self.new_uuid(),
            provider=self.name,
            account_ref=owner.auth_id,
            direction=direction,
            to=to,
            from_=from_,
            parent=parent,
        )
        call = PlivoCall(
            leg=leg,
            auth_id=owner.auth_id,
            parent_auth_id=owner.root.auth_id,
            from_=plivo_number(from_),
            to=plivo_number(to),
        )
        self.calls[leg.id] = call
        return call

    # --- calls move on

    def on_leg_event(self, leg: Leg, event: LegEvent) -> None:
        """Hear of a leg from the exchange."""
        call = self.calls[leg.id]
        if event is LegEvent.ENDED:
            self._ended(call)
        elif leg.parent is None and event is LegEvent.RINGING:
            self._ringing(call)
        elif leg.parent is None and event is LegEvent.ANSWERED:
            self._answered(call)

    def _ringing(self, call: PlivoCall) -> None:
        if not call.is_outbound:
            self._ask_for_document(call)
            return
        self.tell(call, "status", "Ring", call.ring, webhooks.ring_params(call))
        if call.hangup_on_ring_s is not None:
            self.after(call, call.hangup_on_ring_s, lambda: self.finish(call, endings.SCHEDULED))

    def _answered(self, call: PlivoCall) -> None:
        self.after(call, call.time_limit_s, lambda: self.finish(call, endings.SCHEDULED))
        if not call.is_outbound:
            return
        if call.send_digits:
            self.exchange.heard(call.leg, "keys", call.send_digits)
        if call.detection is not None:
            self._spawn(call, self._detect(call))
        self._ask_for_document(call)

    def _ask_for_document(self, call: PlivoCall) -> None:
        if call.answer is None:
            self.finish(call, endings.url_unreachable("answer"))
            return
        self.perform(call, "answer", call.answer, webhooks.answer_params(call))

    def perform(self, call: PlivoCall, kind: str, target: Target, params: webhooks.Params) -> None:
        """Carry out the document of an address, instead of the one that runs."""
        call.stop_document.set()
        if not call.leg.is_live:
            return
        call.stop_document = asyncio.Event()
        self._spawn(call, Performer(self, call).run(kind, target, params))

    async def _detect(self, call: PlivoCall) -> None:
        """Machine detection, which reports machines only (a fax counts as one; unconfirmed)."""
        asked = call.detection
        assert asked is not None
        found = await self.exchange.detect(call.leg, until_greeting_end=False, timeout_s=asked.time_ms / 1000)
        if found.verdict not in ("machine", "fax") or not call.leg.is_live:
            return
        call.machine = True
        target = _target(asked.url, asked.method)
        if target is not None:
            params = webhooks.machine_params(call, asked.mode)
            await self._deliver(call, "amd", "MachineDetection", target, params)
        if asked.mode == "hangup":
            self.finish(call, endings.MACHINE)

    # --- calls end

    def finish(self, call: PlivoCall, ending: Ending) -> None:
        """End a call for a reason of the carrier's or the customer's."""
        if not call.leg.is_live:
            return
        call.ending = ending
        self.exchange.end(call.leg, ENDED_BY.get(ending.source, EndedBy.CARRIER), OUTCOMES.get(ending))

    def hang_up(self, call: PlivoCall) -> None:
        """End a call by the API."""
        if not call.leg.is_answered or self.habits.live_hangup_is_1000:
            self.finish(call, endings.CANCELED_BY_API)
        else:
            self.finish(call, endings.HUNG_UP_BY_API)

    def ending_of(self, call: PlivoCall) -> Ending:
        """Why a call ended: as set, else read from what the phones did."""
        if call.ending is not None:
            return call.ending
        outcome, leg = call.leg.outcome, call.leg
        if leg.is_answered:
            return endings.CALLEE_HUNG_UP if call.is_outbound else endings.CALLER_HUNG_UP
        if outcome is Outcome.UNREACHABLE:
            return UNREACHABLE_BY_SIP.get(leg.sip_code or 404, endings.CARRIER_ERROR)
        if outcome is Outcome.NO_ANSWER:
            return self._unanswered(call)
        return {
            Outcome.BUSY: endings.BUSY,
            Outcome.DECLINED: endings.DECLINED,
            Outcome.CALLER_GAVE_UP: endings.DECLINED if call.is_outbound else endings.CALLER_GAVE_UP,
        }.get(outcome or Outcome.FAILED, endings.CARRIER_ERROR)

    def _unanswered(self, call: PlivoCall) -> Ending:
        """3000 when the network gave up before the call's own ring timeout (6010)."""
        script = self.exchange.script_of(call.leg.to)
        gave_up_s = script.rings_s if isinstance(script, NoAnswer) else None
        network = gave_up_s is not None and gave_up_s < call.ring_timeout_s
        return endings.NO_ANSWER if network else endings.RING_TIMEOUT

    def _ended(self, call: PlivoCall) -> None:
        call.ended_mark = self.clock.mark()
        call.ending = self.ending_of(call)
        call.stop_document.set()
        for recording in call.recordings:
            self.stop_recording(call, recording)
        for child in call.leg.children:
            b_leg = self.calls[child.id]
            if not b_leg.taken.is_set():
                self.finish(b_leg, endings.CALLER_HUNG_UP if child.is_answered else endings.CALLER_GAVE_UP)
        for action in call.on_end:
            action()
        params = webhooks.hangup_params(call, call.ending, self.habits)
        self.tell(call, "status", "Hangup", call.hangup, params)

    # --- requests to the customer

    async def fetch(self, call: PlivoCall, kind: str, target: Target, params: webhooks.Params) -> Document:
        """Ask an address for a document; an answer address has the fallback behind it.

        Raises:
            CallEnds: neither gave a Plivo document (7011 to 7014, 8011 to 8014).
        """
        hook, event = ("answer", params["Event"]) if kind == "answer" else ("next", kind)
        answer = await self._deliver(call, hook, event, target, params)
        try:
            return self._read(call, kind, answer)
        except CallEnds:
            if kind != "answer" or call.fallback is None:
                raise
        answer = await self._deliver(call, "fallback", "StartApp", call.fallback, params)
        return self._read(call, kind, answer)

    def _read(self, call: PlivoCall, kind: str, answer: WebhookAnswer) -> Document:
        if not answer.is_ok:
            self._complain(call, kind, answer.error or f"status {answer.status}")
            raise CallEnds(endings.url_unreachable(kind))
        try:
            document = read_document(answer.body, answer.headers.get("Content-Type", ""))
        except InvalidDocument as invalid:
            self._complain(call, kind, str(invalid))
            raise CallEnds(endings.document_invalid(kind)) from invalid
        names = [element.name for element in document]
        self.core.journal.add(Kind.DOCUMENT, self.name, call.leg.root.id, of=kind, elements=names)
        return document

    def _complain(self, call: PlivoCall, kind: str, reason: str) -> None:
        self.core.journal.add(Kind.DEBUGGER, self.name, call.leg.root.id, of=kind, reason=reason)

    def tell(
        self, call: PlivoCall, hook: str, event: str, target: Target | None, params: webhooks.Params
    ) -> None:
        """Send a webhook in the background; without a target nothing is sent."""
        if target is not None:
            self._spawn(call, self._tell(call, hook, event, target, params))

    async def _tell(
        self, call: PlivoCall, hook: str, event: str, target: Target, params: webhooks.Params
    ) -> None:
        await self._deliver(call, hook, event, target, params)

    async def _deliver(
        self, call: PlivoCall, hook: str, event: str, target: Target, params: webhooks.Params
    ) -> WebhookAnswer:
        policy, total_s = policy_of(target.url, has_fragment_keys=hook != "stream")
        url, body = target.url.partition("#")[0], urlencode(params).encode()
        if target.method == "GET":
            url, body = url + ("&" if "?" in url else "?") + body.decode(), b""
        webhook = Webhook(
            provider=self.name,
            hook=hook,
            event=event,
            call_id=call.leg.root.id,
            url=url,
            sign=lambda request: self._sign(call.auth_id, request),
            method=target.method,
            body=body,
            policy=policy,
        )
        try:
            return await asyncio.wait_for(self.core.delivery.deliver(webhook), total_s)
        except TimeoutError:
            return WebhookAnswer(error="timeout")

    def _sign(self, auth_id: str, request: ToSign) -> dict[str, str]:
        tokens, main_token = self._keys(auth_id, forged=request.forged)
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        return signing.signed_headers(
            request.method, request.url, pairs, nonce=self._nonce(), tokens=tokens, main_token=main_token
        )

    def _keys(self, auth_id: str, *, forged: bool = False) -> tuple[list[str], str]:
        """The tokens of the account or subaccount that owns the number, and the main account's."""
        owner = self.accounts[auth_id]
        return ([FORGED_TOKEN], FORGED_TOKEN) if forged else (owner.tokens, owner.root.tokens[0])

    def _nonce(self) -> str:
        return str(self.core.random.randrange(10**19, 10**20))

    # --- recordings

    def record(
        self, call: PlivoCall, *, file_format: str, limit_s: float | None, callback: Target | None
    ) -> Recording:
        """Start a recording; with a limit it stops by itself."""
        recording = Recording(
            recording_id=self.new_uuid(),
            call_uuid=call.uuid,
            from_number=call.from_,
            to_number=call.to,
            file_format=file_format,
            started_at=self.clock.now(),
            started_mark=self.clock.mark(),
            callback=callback,
        )
        self.recordings[recording.recording_id] = recording
        call.recordings.append(recording)
        if limit_s is not None:
            self.after(call, limit_s, lambda: self.stop_recording(call, recording))
        return recording

    def stop_recording(self, call: PlivoCall, recording: Recording) -> None:
        """Stop a recording; a repeat changes nothing."""
        if recording.ended_at is not None:
            return
        recording.ended_at = self.clock.now()
        recording.duration_s = self.clock.elapsed_s(recording.started_mark)
        self._spawn(call, self._keep_recording(call, recording))

    async def _keep_recording(self, call: PlivoCall, recording: Recording) -> None:
        """The file exists when its callback is sent, not before."""
        await self.clock.sleep(RECORDING_DELAY_S)
        recording.audio = audio.recording_file(recording.file_format, recording.duration_s)
        url = self.recording_url(recording)
        if recording.callback is None:
            return
        if recording.by_api:
            params = webhooks.api_record_params(recording, url)
        else:
            params = webhooks.record_callback_params(call, recording, url)
        await self._deliver(call, "recording", "Record", recording.callback, params)

    def recording_url(self, recording: Recording) -> str:
        """On the real service the host is a media host; here it is the simulator's own."""
        auth_id = self.calls[recording.call_uuid].auth_id
        name = f"{recording.recording_id}.{recording.file_format}"
        return f"{self.core.base_url(self.name)}/v1/Account/{auth_id}/Recording/{name}"

    # --- streams

    def new_stream(self, element: Element) -> StreamRecord:
        """A stream as `<Stream>` asks for it."""
        return StreamRecord(
            stream_id=self.new_uuid(),
            service_url=element.text,
            audio_track=element["audioTrack"],
            bidirectional=element["bidirectional"],
            content_type=element["contentType"],
            callback=_target(element["statusCallbackUrl"], element["statusCallbackMethod"]),
        )

    def open_stream(
        self, call: PlivoCall, record: StreamRecord, *, extra_headers: str, timeout_s: float
    ) -> asyncio.Task[None]:
        """Connect (three tries) and stream until the agent, the call or the timeout ends it."""
        if call.has_stream:  # one at a time; what Plivo does with a second one is unconfirmed
            record.status = "failed"
            self._complain(call, "stream", "a stream is already running on this call")
            return self._spawn(call, asyncio.sleep(0))
        call.streams.append(record)
        return self._spawn(call, self._stream(call, record, extra_headers, timeout_s))

    async def _stream(self, call: PlivoCall, record: StreamRecord, extra: str, timeout_s: float) -> None:
        refused = await self._connect(call, record, extra)
        if refused is not None or record.media is None:
            record.status = "failed"
            self._tell_stream(call, record, "failed", refused or "connection_failed")
            return
        record.start_time, mark = self.clock.now(), self.clock.mark()
        record.status = "connected"
        self._tell_stream(call, record, "started")
        media = record.media
        self.after(call, timeout_s, media.close)
        end = await media.run()
        record.end_time = self.clock.now()
        failed = end.by == "error"
        record.status = "failed" if failed else "stopped"
        self._tell_stream(
            call, record, "failed" if failed else "stopped", _reason(end), self.clock.elapsed_s(mark)
        )

    async def _connect(self, call: PlivoCall, record: StreamRecord, extra: str) -> str | None:
        """Open the socket; returns the error after the last try."""
        error: str | None = "connection_failed"
        for attempt in range(STREAM_TRIES):
            if attempt:
                await self.clock.sleep(STREAM_RETRY_S)
            if not call.leg.is_live:
                return error
            record.media = self.core.open_stream(
                call.leg,
                record.service_url,
                self._codec(call, record, extra),
                headers=self._upgrade_headers(call, record),
                uses_party=record.bidirectional,
            )
            try:
                await record.media.connect()
            except StreamRefused as refused:
                error = "authentication_failed" if refused.status in (401, 403) else "connection_failed"
                continue
            return None
        return error

    def _codec(self, call: PlivoCall, record: StreamRecord, extra: str) -> Codec:
        tracks = ("inbound", "outbound") if record.audio_track == "both" else (record.audio_track,)
        writer = Writer(
            call_uuid=call.uuid,
            stream_id=record.stream_id,
            account_id=call.auth_id,
            format=AudioFormat(content_type=record.content_type),
            tracks=tracks,
            extra_headers=extra,
        )
        started_ms = int(self.clock.unix() * 1000)
        return Codec(writer, started_ms=started_ms, sends_stop=self.habits.stream_stop_frame)

    def _upgrade_headers(self, call: PlivoCall, record: StreamRecord) -> dict[str, str]:
        tokens, main_token = self._keys(call.auth_id)
        return signing.upgrade_headers(
            record.service_url, nonce=self._nonce(), tokens=tokens, main_token=main_token
        )

    def _tell_stream(
        self, call: PlivoCall, record: StreamRecord, what: str, reason: str = "", duration_s: float = 0.0
    ) -> None:
        params = webhooks.stream_params(
            call,
            record.stream_id,
            what,
            self.habits,
            now=self.clock.now(),
            reason=reason,
            duration_s=duration_s,
        )
        self.tell(call, "stream", params["Event"], record.callback, params)

    # --- tools

    def note(self, call: PlivoCall, element: Element) -> None:
        """Journal that an element runs."""
        self.core.journal.add(
            Kind.DOCUMENT,
            self.name,
            call.leg.root.id,
            leg_id=call.uuid,
            element=element.name,
            text=element.text,
        )

    def after(self, call: PlivoCall, seconds: float, action: Callable[[], None]) -> None:
        """Do something in scripted `seconds`, if the call lives that long."""
        self._spawn(call, self._after(call, seconds, action))

    async def _after(self, call: PlivoCall, seconds: float, action: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(call.leg.ended.wait(), self.clock.real_s(seconds))
        except TimeoutError:
            action()

    def _spawn(self, call: PlivoCall, work: Any) -> asyncio.Task[None]:
        return self.core.spawn(work, call_id=call.leg.root.id)

    def transfer(self, call: PlivoCall, targets: Iterable[tuple[PlivoCall, Target]]) -> None:
        """Give legs another document: what ran on them stops."""
        legs = list(targets)
        for leg, _ in legs:
            if leg is not call:
                leg.taken.set()
        for leg, target in legs:
            self.exchange.unbridge(leg.leg)
            self.perform(leg, "transfer", target, webhooks.step_params(leg))


def _target(url: str | None, method: str) -> Target | None:
    return None if url is None else Target(url=url, method=method)


def _e164(address: str) -> str:
    """An address as the exchange knows phones: a number with its `+`."""
    return address if address.startswith(("+", "sip:")) else f"+{address}"


def _reason(end: StreamEnd) -> str:
    return (end.reason or "connection_failed") if end.by == "error" else ""
