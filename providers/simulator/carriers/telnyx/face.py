"""Telnyx as the simulator plays it: the REST API of Call Control v2 over one account's things, and its calls.

Played: dialing, the commands a gateway uses, call status, active calls, call events, recordings, balance, and what
numbers.py, applications.py and connections.py hold. Not played: SIP itself, TeXML, conferences, queues, gather, refer,
fork, transcription, AI; a documented field for one of these is refused by name, an undocumented one as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.base import Account, CarrierFace, Core, UnknownNumber
from providers.simulator.carriers.common import account_changes, country_of, require_known
from providers.simulator.carriers.telnyx import (
    applications,
    connections,
    errors,
    numbers,
    recordings,
    resources,
    rest,
)
from providers.simulator.carriers.telnyx.asked import Asked, Handler, Row, one
from providers.simulator.carriers.telnyx.commands import Commands, ring_timeout_s
from providers.simulator.carriers.telnyx.errors import Refused
from providers.simulator.carriers.telnyx.life import Life
from providers.simulator.carriers.telnyx.memory import CommandMemory
from providers.simulator.carriers.telnyx.outbox import take_webhook_fields
from providers.simulator.carriers.telnyx.rest import Document, Permission
from providers.simulator.carriers.telnyx.signing import SEED_BYTES, AccountKey
from providers.simulator.carriers.telnyx.state import (
    BALANCE,
    NOTE,
    Customer,
    Habits,
    LegRecord,
    Recording,
    call_control_id,
    numeric_id,
    record_of,
    uuid1_like,
    uuid4_like,
)
from providers.simulator.exchange import Direction, EndedBy, Leg, LegEvent, Outcome
from providers.simulator.faults import ApiFault, Fault

STATUS_KEPT_S: Final = 600.0
KEY_SCHEME: Final = "Bearer "


FORWARDED: Final = "telnyx forwarded"
SIP_DOMAIN: Final = re.compile(r"sips?:[^@]+@([^.@]+)\.sip\.telnyx\.com", re.IGNORECASE)
NOT_REACHED: Final = 480
FORWARD_RING_S: Final = 30.0
FALLBACK_COUNTRY: Final = "US"


class Face(CarrierFace):
    """One simulated Telnyx. `habits` are the switches that only it has."""

    name: ClassVar[str] = "telnyx"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.habits = Habits()
        self._customers: dict[str, Customer] = {}
        self._life = Life(core, self.habits)
        self._applications = applications.Applications(core, self._customers)
        self._numbers = numbers.Numbers(self, self.habits)
        self._connections = connections.Connections(core)
        self._commands = Commands(self._life, self._permit_transfer)
        self._routes = self._make_routes()

    # --- the console ----------------------------------------

    def add_account(self, name: str) -> Account:
        """Open an account with a key, one Call Control application without URLs, and a voice profile."""
        source = self.core.random
        api_key = f"KEY{self.core.hex(32).upper()}_{self.core.hex(22)}"
        key = AccountKey.from_seed(source.randbytes(SEED_BYTES))
        now = self.core.clock.now()
        profile = applications.new_profile(numeric_id(source), "Default", now)
        application = applications.new_application(numeric_id(source), f"{name} voice", now)
        application["webhook_api_version"] = "2"
        application["outbound"]["outbound_voice_profile_id"] = profile["id"]
        account = Account(
            provider=self.name,
            name=name,
            account_ref=uuid4_like(source),
            secrets={"api_key": api_key, "public_key": key.public_key},
            connection_id=application["id"],
        )
        self._customers[account.account_ref] = Customer(
            account=account,
            key=key,
            memory=CommandMemory(),
            opened_at=now,
            profiles={profile["id"]: profile},
            applications={application["id"]: application},
        )
        return account

    def add_number(
        self,
        account: Account,
        number: str,
        *,
        voice: bool = True,
        kind: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Give the account an active number, attached to its first application.

        `settings`: fields of the number, and of its voice settings; a `connection_id` of None attaches it to nothing.
        """
        customer = self.customer(account)
        now = self.core.clock.now()
        country = country_of(number) or FALLBACK_COUNTRY
        made = numbers.new_number(numeric_id(self.core.random), number, country, kind, now)
        made["status"] = "active" if voice else "emergency-only"
        if account.connection_id in customer.applications:
            numbers.attach(customer, made, account.connection_id)
        customer.numbers[made["id"]] = made
        self._write_number(customer, made, settings or {})

    def holds(self, address: str) -> bool:
        """Tell whether an account has the number, or the sub-domain of the SIP URI."""
        if found := SIP_DOMAIN.fullmatch(address):
            return self._applications.holder_of(found[1]) is not None
        return any(address in customer.own_numbers for customer in self._customers.values())

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """Give the number with its voice settings, as the two resources show them."""
        customer, held = self._held_by(account, number)
        return deepcopy({**numbers.voice_settings(customer, held), **held})

    def change_number(self, account: Account, number: str, changes: Mapping[str, Any]) -> None:
        """Change fields of the number or of its voice settings; objects are merged."""
        customer, held = self._held_by(account, number)
        self._write_number(customer, held, changes)

    def remove_number(self, account: Account, number: str) -> None:
        """Take the number away."""
        customer, held = self._held_by(account, number)
        customer.drop_number(held)

    def _write_number(self, customer: Customer, number: Document, changes: Mapping[str, Any]) -> None:
        now = self.core.clock.now()
        voice = {name: value for name, value in changes.items() if name in numbers.VOICE_PATCH}
        plain = {name: value for name, value in changes.items() if name not in voice}
        require_known(plain, number, "Telnyx number")
        try:
            numbers.check_voice(voice)
            numbers.write(customer, number, plain, now)
        except Refused as refused:
            raise ValueError(refused.detail) from refused
        if voice:
            numbers.write_voice(customer, number, voice, now)

    def _held_by(self, account: Account, number: str) -> tuple[Customer, Document]:
        customer = self.customer(account)
        held = customer.number(number)
        if held is None:
            raise UnknownNumber(f"the Telnyx account does not hold the number ...{number[-4:]}")
        return customer, held

    def applications(self, account: Account) -> list[dict[str, Any]]:
        """Give the Call Control applications."""
        return deepcopy(list(self.customer(account).applications.values()))

    def change_application(self, account: Account, ref: str, changes: Mapping[str, Any]) -> None:
        """Change an application; `inbound` and `outbound` are merged."""
        customer = self.customer(account)
        application = customer.applications[ref]
        require_known(changes, application, "Telnyx application")
        self._applications.write(customer, application, changes)

    def remove_application(self, account: Account, ref: str) -> None:
        """Delete an application; its numbers point at nothing then."""
        customer = self.customer(account)
        self._applications.remove(customer, customer.applications[ref])

    def change_account(self, account: Account, changes: Mapping[str, Any]) -> None:
        """Change `status`, `kind` or `balance`; a balance of None: the key has no right to read it."""
        customer = self.customer(account)
        checked = account_changes(changes)
        customer.status = checked.get("status", customer.status)
        customer.is_trial = checked.get("kind", "trial" if customer.is_trial else "full") == "trial"
        if "balance" in checked:
            amount = checked["balance"]
            customer.balance = (
                None if amount is None else {**BALANCE, "balance": amount, "available_credit": amount}
            )

    def permit(self, account: Account, country: str, allowed: bool) -> None:
        """Write the country into the destinations of every outbound voice profile, or strike it out."""
        for profile in self.customer(account).profiles.values():
            others = [code for code in profile["whitelisted_destinations"] if code != country]
            profile["whitelisted_destinations"] = [*others, country] if allowed else others

    def sent_code(self, account: Account, number: str) -> str:
        """Give the code of a verification under way."""
        return self.customer(account).codes[number]

    def configure_number(
        self, number: str, *, voice_url: str | None, status_url: str | None, fallback_url: str | None
    ) -> None:
        """Refuse: numbers of this carrier have no URLs of their own.

        Raises:
            ValueError: always.
        """
        raise ValueError("a Telnyx number has no URLs of its own: use configure_application")

    def configure_application(
        self,
        account: Account,
        *,
        webhook_url: str | None,
        failover_url: str | None,
        call_cost_in_webhooks: bool | None,
    ) -> None:
        """Type the webhook settings into the application; None leaves one, an empty string clears it."""
        typed = {
            "webhook_event_url": webhook_url,
            "webhook_event_failover_url": failover_url,
            "call_cost_in_webhooks": call_cost_in_webhooks,
        }
        application = self.customer(account).applications[account.connection_id or ""]
        application.update({name: value for name, value in typed.items() if value is not None})

    def asks(self, number: str) -> str:
        """Give the webhook URL of the number's application."""
        _, application, forward = self._destination(number)
        return str(application["webhook_event_url"]) if application is not None and forward is None else ""

    def point(self, number: str, url: str) -> None:
        """Type a URL into the number's application. Raises ValueError: it points at none."""
        _, application, _ = self._destination(number)
        if application is None:
            raise ValueError("the number points at no application: give it a connection_id first")
        application["webhook_event_url"] = url

    def customer(self, account: Account) -> Customer:
        """Give what the account holds: its profiles, limits and all else can be changed there."""
        return self._customers[account.account_ref]

    # --- calls ----------------------------------------

    def ring(self, number: str, from_: str) -> Leg:
        """Create the inbound leg of a call to one of the numbers, or to a SIP sub-domain."""
        customer, application, forward = self._destination(number)
        leg = self.core.exchange.create(
            call_control_id(self.core.random),
            provider=self.name,
            account_ref=customer.account.account_ref,
            direction=Direction.INBOUND,
            to=number,
            from_=from_,
        )
        if forward is not None:
            leg.notes[FORWARDED] = forward
        elif application is not None and application["active"]:
            leg.notes[NOTE] = LegRecord(
                customer=customer,
                application=application,
                call_leg_id=uuid1_like(self.core.random),
                call_session_id=uuid1_like(self.core.random),
            )
        return leg

    def on_leg_event(self, leg: Leg, event: LegEvent) -> None:
        """Pass a turn on; a call that reaches no application is forwarded or refused by the carrier itself."""
        if NOTE in leg.notes:
            self._life.on_leg_event(leg, event)
        elif leg.parent is not None:
            self._on_forward(leg, leg.parent, event)
        elif event is LegEvent.RINGING and FORWARDED in leg.notes:
            self._forward(leg, leg.notes[FORWARDED])
        elif event is LegEvent.RINGING:
            self.core.exchange.end(leg, EndedBy.CARRIER, Outcome.FAILED, NOT_REACHED)
        elif event is LegEvent.ENDED:
            for child in leg.children:
                self.core.exchange.end(child, EndedBy.PARTY, Outcome.CANCELLED)

    def _forward(self, leg: Leg, target: str) -> None:
        child = self.core.exchange.create(
            call_control_id(self.core.random),
            provider=self.name,
            account_ref=leg.account_ref,
            direction=Direction.OUTBOUND,
            to=target,
            from_=leg.from_,
            parent=leg,
        )
        self.core.exchange.dial(child, ring_timeout_s=FORWARD_RING_S)

    def _on_forward(self, child: Leg, leg: Leg, event: LegEvent) -> None:
        if event is LegEvent.ANSWERED:
            self.core.exchange.answer(leg)
            self.core.exchange.bridge(leg, child)
        elif event is LegEvent.ENDED:
            self.core.exchange.end(leg, EndedBy.CARRIER, child.outcome, child.sip_code)

    def _destination(self, address: str) -> tuple[Customer, Document | None, str | None]:
        """Give who is called, with the application and the number that calls are forwarded to, if any."""
        if found := SIP_DOMAIN.fullmatch(address):
            holder = self._applications.holder_of(found[1])
            if holder is not None:
                return *holder, None
        for customer in self._customers.values():
            held = customer.number(address)
            if held is not None:
                usable = held["status"] == "active" and customer.status == "active"
                application = customer.applications.get(held["connection_id"] or "") if usable else None
                return customer, application, numbers.forwards_to(customer, held) if usable else None
        raise UnknownNumber(f"no Telnyx account holds the number ...{address[-4:]}")

    # --- the API ----------------------------------------

    def routes(self) -> Sequence[Route]:
        """Give every resource that is played."""
        return self._routes

    def unmatched(self, request: ApiRequest, allowed: Sequence[str]) -> ApiAnswer:
        """Answer an unknown URL or method."""
        return _refusal(errors.no_such_page())

    def fault_answer(self, fault: ApiFault, request: ApiRequest) -> ApiAnswer:
        """Answer in the carrier's own error format; above the rate with its three headers."""
        if fault.fault is Fault.RATE_LIMITED or fault.status == 429:
            reset_s = fault.retry_after_s if fault.retry_after_s is not None else 1
            headers = {
                "x-ratelimit-limit": "20",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(reset_s),
            }
            return json_answer(errors.too_many_requests().body, 429, headers=headers)
        return _refusal(errors.server_error(fault.status))

    def decorate(self, request: ApiRequest, answer: ApiAnswer) -> ApiAnswer:
        """Give every answer a request id."""
        headers = {**answer.headers, "x-request-id": uuid4_like(self.core.random)}
        return ApiAnswer(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers=headers,
            call_id=answer.call_id,
        )

    def _make_routes(self) -> tuple[Route, ...]:
        call = "/v2/calls/{call_control_id}"
        table: tuple[Row, ...] = (
            ("POST", "/v2/calls", "dial", self._dial),
            ("GET", call, "fetch", self._fetch_call),
            ("PUT", f"{call}/actions/client_state_update", "command", self._update_state),
            ("POST", f"{call}/actions/hangup", "hang_up", self._hang_up),
            ("POST", f"{call}/actions/{{action}}", "command", self._command),
            ("GET", "/v2/connections/{connection_id}/active_calls", "list", self._active_calls),
            ("GET", "/v2/call_events", "list", self._call_events),
            ("GET", "/v2/balance", "account", self._balance),
            ("GET", "/v2/whoami", "account", self._whoami),
            ("GET", "/v2/recordings", "recording", self._list_recordings),
            ("GET", "/v2/recordings/{id}", "recording", self._fetch_recording),
            ("DELETE", "/v2/recordings/{id}", "recording", self._delete_recording),
            *self._numbers.rows(),
            *self._applications.rows(),
            *self._connections.rows(),
        )
        served = [Route(method, path, name, self._guarded(handler)) for method, path, name, handler in table]
        storage = Route("GET", "/storage/{file}", "recording", self._life.recorder.download)
        return (*served, storage)

    def _guarded(self, handler: Handler) -> Callable[[ApiRequest], Awaitable[ApiAnswer]]:
        async def handle(request: ApiRequest) -> ApiAnswer:
            try:
                return await handler(self._take_apart(request))
            except Refused as refused:
                return _refusal(refused)

        return handle

    def _take_apart(self, request: ApiRequest) -> Asked:
        customer = self._authenticate(request)
        has_body = request.method in ("POST", "PUT", "PATCH")
        return Asked(
            customer=customer,
            parts=request.parts,
            query=_joined(request.query_pairs()),
            body=rest.read_body(request.content_type, request.body) if has_body else {},
            path=request.path,
        )

    def _authenticate(self, request: ApiRequest) -> Customer:
        given = request.headers.get("Authorization")
        if given is None:
            raise errors.no_such_page() if self.habits.missing_key_status == 404 else errors.wrong_key()
        for customer in self._customers.values():
            right = KEY_SCHEME + customer.account.secrets["api_key"]
            if given == right and customer.status != "closed":
                return customer
        raise errors.wrong_key()

    # --- dialing ----------------------------------------

    async def _dial(self, asked: Asked) -> ApiAnswer:
        customer, body = asked.customer, asked.body
        rest.check_dial(body)
        if known := customer.memory.recall("dial", body.get("command_id")):
            return json_answer(known[1], known[0])
        rest.check_permission(body, self._permission(customer, body["connection_id"]), country_of)
        leg = self._create(customer, body)
        self.core.exchange.dial(leg, ring_timeout_s=record_of(leg).ring_timeout_s)
        recording_id = record_of(leg).request.get("recording_id")
        extra = {} if recording_id is None else {"recording_id": recording_id}
        document = {"data": resources.dialed(leg, extra)}
        customer.memory.remember("dial", body.get("command_id"), (200, document))
        announced = record_of(leg).announced
        if self.habits.answers_dial_last and announced is not None:
            await announced
        return json_answer(document, call_id=leg.id)

    def _create(self, customer: Customer, body: Document) -> Leg:
        linked = self.core.exchange.leg(body.get("link_to") or "")
        if body.get("link_to") and (linked is None or NOTE not in linked.notes):
            raise errors.no_such_call()
        leg = self.core.exchange.create(
            call_control_id(self.core.random),
            provider=self.name,
            account_ref=customer.account.account_ref,
            direction=Direction.OUTBOUND,
            to=rest.target_number(body["to"]),
            from_=body["from"],
        )
        record = LegRecord(
            customer=customer,
            application=customer.applications[body["connection_id"]],
            call_leg_id=uuid1_like(self.core.random),
            call_session_id=uuid1_like(self.core.random)
            if linked is None
            else record_of(linked).call_session_id,
            client_state=body.get("client_state"),
            request=dict(body),
            ring_timeout_s=ring_timeout_s(body, self.habits.further_routes_s),
        )
        take_webhook_fields(record, body)
        if body.get("record"):
            record.request["recording_id"] = self._life.recorder.new_id()
        leg.notes[NOTE] = record
        return leg

    def _permission(self, customer: Customer, connection_id: str) -> Permission:
        application = customer.applications.get(connection_id)
        usable = application if application and application["webhook_event_url"] else None
        known = customer.own_numbers | customer.account.verified_caller_ids
        live = [
            leg
            for leg in self.core.exchange.legs(self.name, customer.account.account_ref)
            if leg.is_live and leg.direction is Direction.OUTBOUND and NOTE in leg.notes
        ]
        return Permission(
            app_active=usable["active"] if usable else None,
            profile=applications.profile_of(customer, usable) if usable else None,
            owned=known,
            elsewhere=frozenset().union(*(other.own_numbers for other in self._customers.values())),
            account_limit=customer.channel_limit,
            app_limit=usable["outbound"]["channel_limit"] if usable else None,
            account_live=len(live),
            app_live=sum(record_of(leg).connection_id == connection_id for leg in live),
            account_active=customer.status == "active",
            reachable=known if customer.is_trial else None,
        )

    def _permit_transfer(self, record: LegRecord, body: Document) -> None:
        """Check a transfer as a dial; the default caller id, the called number of the first leg, always may."""
        customer = record.customer
        shown = body.get("from")
        caller = shown or next(iter(customer.own_numbers), "")
        permission = self._permission(customer, record.connection_id)
        rest.check_permission({"to": body["to"], "from": caller}, permission, country_of)

    # --- commands ----------------------------------------

    async def _hang_up(self, asked: Asked) -> ApiAnswer:
        return self._perform("hangup", asked)

    async def _update_state(self, asked: Asked) -> ApiAnswer:
        return self._perform("client_state_update", asked)

    async def _command(self, asked: Asked) -> ApiAnswer:
        if asked.parts["action"] == "client_state_update":  # that one is a PUT
            raise errors.no_such_page()
        return self._perform(asked.parts["action"], asked)

    def _perform(self, name: str, asked: Asked) -> ApiAnswer:
        rest.check_action(name, asked.body)
        leg = self._leg(asked)
        memory, command_id = asked.customer.memory, asked.body.get("command_id")
        if known := memory.recall(leg.id, command_id):
            return json_answer(known[1], known[0], call_id=leg.root.id)
        document = {"data": {"result": "ok", **self._commands.perform(name, leg, asked.body)}}
        memory.remember(leg.id, command_id, (200, document))
        return json_answer(document, call_id=leg.root.id)

    def _leg(self, asked: Asked) -> Leg:
        leg = self.core.exchange.leg(asked.parts["call_control_id"])
        if leg is None or NOTE not in leg.notes or record_of(leg).customer is not asked.customer:
            raise errors.no_such_call()
        return leg

    # --- calls, as resources ----------------------------------------

    async def _fetch_call(self, asked: Asked) -> ApiAnswer:
        try:
            leg = self._leg(asked)
        except Refused as refused:
            raise self._gone() from refused
        ended = record_of(leg).ended_mark
        if ended is not None and self.core.clock.elapsed_s(ended) > STATUS_KEPT_S:
            raise self._gone()
        return json_answer({"data": resources.call_status(leg, self._duration_s(leg))}, call_id=leg.root.id)

    def _gone(self) -> Refused:
        return errors.not_found("call") if self.habits.gone_call_status == 404 else errors.no_such_call()

    def _duration_s(self, leg: Leg) -> float:
        if not leg.is_live or leg.answer_mark is None:
            return leg.duration_s
        return self.core.clock.elapsed_s(leg.answer_mark)

    async def _active_calls(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, resources.CURSOR_PAGING)
        connection_id = asked.parts["connection_id"]
        if connection_id not in asked.customer.applications:
            raise errors.not_found("connection")
        lines = [
            resources.active_call(leg, self._duration_s(leg))
            for leg in self.core.exchange.legs(self.name, asked.customer.account.account_ref)
            if leg.is_live and NOTE in leg.notes and record_of(leg).connection_id == connection_id
        ]
        return json_answer(rest.cursor_page(lines, "call_control_id", asked.query, asked.path))

    async def _call_events(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, resources.EVENT_FILTERS)
        events = resources.find_events(asked.customer, asked.query, self.core.clock.mark())
        return json_answer(rest.listed(resources.event_documents(events), asked.query))

    # --- the account ----------------------------------------

    async def _balance(self, asked: Asked) -> ApiAnswer:
        if asked.customer.balance is None:
            raise errors.not_authorized()
        return json_answer({"data": asked.customer.balance})

    async def _whoami(self, asked: Asked) -> ApiAnswer:
        """Answer what is seen in use; this resource is not in the vendor's document."""
        reference = asked.customer.account.account_ref
        return json_answer(
            {"data": {"record_type": "user", "organization_id": reference, "user_id": reference}}
        )

    # --- recordings ----------------------------------------

    async def _list_recordings(self, asked: Asked) -> ApiAnswer:
        rest.check_query(asked.query, recordings.FILTERS)
        recorder = self._life.recorder
        documents = [recorder.document(found) for found in recordings.found(asked.customer, asked.query)]
        return json_answer(rest.listed(documents, asked.query))

    async def _fetch_recording(self, asked: Asked) -> ApiAnswer:
        return json_answer({"data": self._life.recorder.document(_recording(asked))})

    async def _delete_recording(self, asked: Asked) -> ApiAnswer:
        recording = _recording(asked)
        document = self._life.recorder.document(recording)
        del asked.customer.recordings[recording.id]
        return json_answer({"data": document})


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in pairs:
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def _recording(asked: Asked) -> Recording:
    return one(asked.customer.recordings, asked, "recording")


def _refusal(refused: Refused) -> ApiAnswer:
    return json_answer(refused.body, refused.status)
