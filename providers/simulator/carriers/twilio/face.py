"""Twilio as its customers meet it: accounts, numbers, and the life of a call with all its webhooks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route
from providers.simulator.carriers.base import Account, CarrierFace, Core, UnknownNumber
from providers.simulator.carriers.twilio.checks import (
    CODE_OF_STATUS,
    Fields,
    amd_of,
    error_answer,
    recording_of,
)
from providers.simulator.carriers.twilio.executor import Executor
from providers.simulator.carriers.twilio.model import (
    Amd,
    Endpoint,
    Habits,
    Notification,
    Recording,
    RecordingOptions,
    TwilioAccount,
    TwilioCall,
    TwilioNumber,
)
from providers.simulator.carriers.twilio.resources import account_uri, formatted, number_json
from providers.simulator.carriers.twilio.rest import Rest
from providers.simulator.carriers.twilio.steps import Ask, Inline, Step, any_of
from providers.simulator.carriers.twilio.webhooks import (
    Sender,
    amd_fields,
    progress_fields,
    recording_fields,
    whole_seconds,
)
from providers.simulator.exchange import Detection, Direction, EndedBy, Leg, LegEvent, Outcome
from providers.simulator.faults import ApiFault, Fault
from providers.simulator.journal import Kind

CHILD_DIRECTION: Final = "outbound-dial"
STATUS_OF_EVENT: Final = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}

# Source: Twilio answering machine detection guide: AnsweredBy of `Enable`, and of `DetectMessageEnd`.
ANSWERED_BY: Final = {"human": "human", "machine": "machine_start", "fax": "fax", "not_sure": "unknown"}

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
}


class Face(CarrierFace):
    """The simulated Twilio. `habits` has its switches."""

    name: ClassVar[str] = "twilio"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.habits = Habits()
        self.accounts: dict[str, TwilioAccount] = {}
        self.calls: dict[str, TwilioCall] = {}
        self.recordings: dict[str, Recording] = {}
        self.sender = Sender(core, self.habits)
        self._routes = Rest(self).routes()

    # -- the console

    def add_account(self, name: str) -> Account:
        """An account with a SID and an Auth Token."""
        sid = self._sid("AC")
        secrets = {"account_sid": sid, "auth_token": self.core.hex(32)}
        account = Account(provider=self.name, name=name, account_ref=sid, secrets=secrets)
        self.accounts[sid] = TwilioAccount(account=account, created_at=self.core.clock.now())
        return account

    def add_api_key(self, account: Account, *, is_main: bool = False) -> tuple[str, str]:
        """A standard (or main) API key: its SID and secret."""
        sid, secret = self._sid("SK"), self.core.hex(32)
        self.accounts[account.account_ref].api_keys[sid] = (secret, is_main)
        return sid, secret

    def rotate_token(self, account: Account) -> str:
        """Promotes a new Auth Token; the old one dies at once. The account's secrets hold the new one."""
        account.secrets["auth_token"] = self.core.hex(32)
        return account.secrets["auth_token"]

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
        now = self.core.clock.now()
        owner = self.accounts[account.account_ref]
        held = TwilioNumber(
            sid=self._sid("PN"),
            number=number,
            kind=kind,
            has_voice=voice,
            created_at=now,
            updated_at=now,
            settings=NO_SETTINGS | {"friendly_name": formatted(number)},
        )
        owner.hold(held)
        if settings:
            self.change_number(account, number, settings)

    def holds(self, address: str) -> bool:
        """Whether an account holds the number."""
        return any(account.number(address) is not None for account in self.accounts.values())

    def number_settings(self, account: Account, number: str) -> dict[str, Any]:
        """The IncomingPhoneNumber."""
        owner, held = self._held_by(account, number)
        return number_json(owner, held)

    def change_number(self, account: Account, number: str, changes: Mapping[str, Any]) -> None:
        """Settings of the IncomingPhoneNumber; nothing is checked but their names."""
        _, held = self._held_by(account, number)
        unknown = sorted(set(changes) - set(held.settings))
        if unknown:
            raise ValueError(
                f"a Twilio number has no setting {unknown[0]!r}: one of {', '.join(held.settings)}"
            )
        held.settings |= changes
        held.updated_at = self.core.clock.now()

    def remove_number(self, account: Account, number: str) -> None:
        """Released, or moved to another account."""
        owner, held = self._held_by(account, number)
        owner.release(held)

    def verify_caller_id(self, account: Account, number: str) -> None:
        """An OutgoingCallerId."""
        super().verify_caller_id(account, number)
        self.accounts[account.account_ref].caller_ids[number] = (self._sid("PN"), self.core.clock.now())

    def configure_number(
        self, number: str, *, voice_url: str | None, status_url: str | None, fallback_url: str | None
    ) -> None:
        """The number's voice URL, status callback and fallback URL, as typed into the console."""
        _, held = self._holder(number)
        given = {"voice_url": voice_url, "status_callback": status_url, "voice_fallback_url": fallback_url}
        held.settings.update({name: value for name, value in given.items() if value is not None})
        held.updated_at = self.core.clock.now()

    # -- the API

    def routes(self) -> Sequence[Route]:
        """See `rest`."""
        return self._routes

    def operation_of(self, route: Route, request: ApiRequest) -> str:
        """Hanging up is an update with a `Status`."""
        is_hang_up = route.operation == "update" and b"Status=c" in request.body
        return "hang_up" if is_hang_up else route.operation

    def unmatched(self, request: ApiRequest, allowed: Sequence[str]) -> ApiAnswer:
        """404, or 405 for a known path."""
        if allowed:
            return error_answer(20004, "Method not allowed", 405)
        return error_answer(20404, f"The requested resource {request.path} was not found", 404)

    def fault_answer(self, fault: ApiFault, request: ApiRequest) -> ApiAnswer:
        """An error body in Twilio's form."""
        code = CODE_OF_STATUS.get(fault.status, 20500)
        words = (
            "Too Many Requests" if fault.fault is Fault.RATE_LIMITED else "The request could not be handled"
        )
        return error_answer(code, words, fault.status)

    def decorate(self, request: ApiRequest, answer: ApiAnswer) -> ApiAnswer:
        """The headers seen on every answer."""
        seen = {
            "Twilio-Request-Id": "RQ" + self.core.hex(32),
            "Twilio-Concurrent-Requests": "1",
            "Twilio-Request-Duration": "0.080",
            "X-Home-Region": "us1",
        }
        return replace(answer, headers={**seen, **answer.headers})

    # -- calls begin

    def place(self, account: TwilioAccount, fields: Fields) -> TwilioCall:
        """A create that passed its checks: queued, then dialed when the account's rate allows."""
        to, from_ = fields.get("To") or "", fields.get("From") or ""
        call = self._call(account, Direction.OUTBOUND, "outbound-api", to=to, from_=from_)
        call.voice, call.twiml = fields.endpoint("Url", "Method"), fields.get("Twiml")
        call.fallback = fields.endpoint("FallbackUrl", "FallbackMethod")
        call.callback = fields.endpoint("StatusCallback")
        call.events = frozenset(fields.all("StatusCallbackEvent") or ["completed"])
        call.ring_timeout_s = float(fields.get("Timeout") or 60)
        call.time_limit_s = float(fields.get("TimeLimit") or 14400)
        call.send_digits = fields.get("SendDigits")
        call.amd = amd_of(fields)
        call.record = recording_of(fields, "OutboundAPI") if fields.flag("Record") else None
        wait_s = self._queue_s(account)
        call.queue_time_ms = round(wait_s * 1000)
        self.core.spawn(self._dial(call, wait_s), call_id=call.leg.root.id)
        return call

    def new_child(self, parent: TwilioCall, to: str, from_: str) -> TwilioCall:
        """A leg made by <Dial>: never queued, not dialed yet."""
        return self._call(
            parent.account, Direction.OUTBOUND, CHILD_DIRECTION, to=to, from_=from_, parent=parent.leg
        )

    def ring(self, number: str, from_: str) -> Leg:
        """An inbound call to one of the numbers; see the precedence of trunk, application and URL."""
        account, held = self._holder(number)
        call = self._call(account, Direction.INBOUND, "inbound", to=number, from_=from_)
        settings = held.settings
        call.phone_number_sid = held.sid
        if not settings["trunk_sid"] and not settings["voice_application_sid"]:
            call.voice = _setting(settings, "voice_url", "voice_method")
            call.fallback = _setting(settings, "voice_fallback_url", "voice_fallback_method")
        call.callback = _setting(settings, "status_callback", "status_callback_method")
        return call.leg

    def _call(
        self,
        account: TwilioAccount,
        direction: Direction,
        word: str,
        *,
        to: str,
        from_: str,
        parent: Leg | None = None,
    ) -> TwilioCall:
        leg = self.core.exchange.create(
            self._sid("CA"),
            provider=self.name,
            account_ref=account.sid,
            direction=direction,
            to=to,
            from_=from_,
            parent=parent,
        )
        call = TwilioCall(leg=leg, account=account, direction=word, updated_at=leg.created_at)
        shown = account.number(from_)
        if direction is Direction.OUTBOUND and (shown or from_ in account.caller_ids):
            call.phone_number_sid = shown.sid if shown else account.caller_ids[from_][0]
        self.calls[leg.id] = call
        return call

    def _queue_s(self, account: TwilioAccount) -> float:
        """Scripted seconds the call waits for its turn: excess creates are accepted and queued."""
        rate = self.habits.calls_per_second
        if rate is None:
            return 0.0
        now = self.core.clock.mark()
        turn = max(now, account.next_dial_mark)
        account.next_dial_mark = turn + 1.0 / rate
        return turn - now

    async def _dial(self, call: TwilioCall, wait_s: float) -> None:
        await any_of(call.leg.ended, timeout_s=self.core.clock.real_s(wait_s))
        self.core.exchange.dial(call.leg, ring_timeout_s=call.ring_timeout_s)

    # -- calls go on

    def on_leg_event(self, leg: Leg, event: LegEvent) -> None:
        """The call's life: callbacks as subscribed, and TwiML once it is answered (or rings, inbound)."""
        call = self.calls.get(leg.id)
        if call is None:
            return
        call.updated_at = self.core.clock.now()
        is_inbound = leg.direction is Direction.INBOUND
        match event:
            case LegEvent.DIALING:
                call.was_dialed = True
                self._progress(call, "initiated")
            case LegEvent.RINGING if is_inbound:
                call.was_dialed = True
                self._run(call, self._first_step(call, "ringing"))
            case LegEvent.RINGING:
                self._progress(call, "ringing")
            case LegEvent.ANSWERED:
                self._on_answer(call, is_inbound)
            case LegEvent.ENDED:
                self._on_end(call)

    def redirect(self, call: TwilioCall, endpoint: Endpoint | None, twiml: str | None) -> None:
        """The running document is dropped (with its streams and dialed legs), and a new one runs."""
        old, step = call.runner, _step(endpoint, twiml, "redirect", "next")

        async def swap() -> None:
            if old is not None and not old.done():
                old.cancel()
                await asyncio.wait({old})
            await Executor(self, call).run(step)

        call.runner = self.core.spawn(swap(), call_id=call.leg.root.id)

    def limit(self, call: TwilioCall, seconds: float) -> None:
        """A new time limit, counted from the answer."""
        call.time_limit_s = seconds
        if call.leg.is_answered:
            self.core.spawn(self._enforce_limit(call), call_id=call.leg.root.id)

    def rejection(self, is_busy: bool) -> Outcome:
        """What <Reject> makes of the call."""
        return Outcome.REFUSED_BUSY if is_busy else Outcome.DECLINED

    def _on_answer(self, call: TwilioCall, is_inbound: bool) -> None:
        call_id = call.leg.root.id
        self.core.spawn(self._enforce_limit(call), call_id=call_id)
        if is_inbound:
            return
        self._progress(call, "answered")
        if call.send_digits:
            self.core.exchange.heard(call.leg, "keys", call.send_digits)
        if call.record is not None:
            self.start_recording(call, call.record)
        amd = call.amd
        if amd is not None and amd.is_async:
            self.core.spawn(self._detect_async(call, amd), call_id=call_id)
        if call.direction != CHILD_DIRECTION:
            call.runner = self.core.spawn(self._begin(call), call_id=call_id)

    async def _begin(self, call: TwilioCall) -> None:
        """Synchronous machine detection holds the call first: the person hears silence."""
        if call.amd is not None and not call.amd.is_async:
            found = await self._detect(call, call.amd)
            if found is None:
                return
            self.core.exchange.heard(call.leg, "silence", found.at_ms / 1000)
        await Executor(self, call).run(self._first_step(call, "in-progress"))

    def _run(self, call: TwilioCall, step: Step) -> None:
        if step is None:  # the number has no URL: the network says so, and nobody answers
            self.core.exchange.end(call.leg, EndedBy.CARRIER, Outcome.FAILED)
            return
        call.runner = self.core.spawn(Executor(self, call).run(step), call_id=call.leg.root.id)

    def _first_step(self, call: TwilioCall, status: str) -> Step:
        return _step(call.voice, call.twiml, status, "answer")

    async def _enforce_limit(self, call: TwilioCall) -> None:
        mark, limit_s = call.leg.answer_mark or self.core.clock.mark(), call.time_limit_s
        left_s = limit_s - self.core.clock.elapsed_s(mark)
        await any_of(call.leg.ended, timeout_s=max(0.0, self.core.clock.real_s(left_s)))
        if call.time_limit_s == limit_s:
            self.core.exchange.end(call.leg, EndedBy.CARRIER)

    # -- machine detection

    async def _detect_async(self, call: TwilioCall, amd: Amd) -> None:
        found = await self._detect(call, amd)
        if found is None:
            return
        if amd.callback is None:
            self.complain(call, 21262, "AsyncAmdStatusCallback is missing", Endpoint(url=""), log="1")
            return
        fields = amd_fields(call, call.answered_by or "unknown", found.at_ms)
        self.tell(call, amd.callback, fields, hook="amd", event=call.answered_by or "unknown")

    async def _detect(self, call: TwilioCall, amd: Amd) -> Detection | None:
        """The verdict, also put on the call; None when the call ended before it (unless `late_amd`)."""
        work = asyncio.create_task(
            self.core.exchange.detect(
                call.leg, until_greeting_end=amd.until_greeting_end, timeout_s=amd.timeout_s
            )
        )
        over = asyncio.create_task(call.leg.ended.wait())
        try:
            waits = {work} if self.habits.late_amd else {work, over}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return None
            found = work.result()
            call.answered_by = answered_by(found)
            return found
        finally:
            work.cancel()
            over.cancel()

    # -- calls end

    def _on_end(self, call: TwilioCall) -> None:
        for recording in list(call.recordings):
            self.finish_recording(recording)
        if call.was_dialed:  # canceled in the queue: no callback at all
            self._progress(call, "completed")
        if call.leg.is_answered:
            self.core.spawn(self._settle_price(call), call_id=call.leg.root.id, keeps_open=False)

    async def _settle_price(self, call: TwilioCall) -> None:
        """The price is known some time after the end: negative, a string, for begun minutes."""
        await self.core.clock.sleep(self.habits.price_after_s)
        minutes = math.ceil(whole_seconds(call.leg.duration_s) / 60)
        call.price = f"{-self.habits.price_per_minute * minutes:.5f}"
        call.updated_at = self.core.clock.now()

    # -- recordings

    def start_recording(self, call: TwilioCall, options: RecordingOptions) -> Recording:
        """Records from now on, until `finish_recording` or the call's end."""
        now = self.core.clock.now()
        recording = Recording(
            sid=self._sid("RE"), call=call, options=options, started_at=now, mark=self.core.clock.mark()
        )
        call.recordings.append(recording)
        self.recordings[recording.sid] = recording
        self._tell_recording(recording)
        return recording

    def finish_recording(self, recording: Recording) -> None:
        """Ends it; the file is ready a little later, and then its callback comes. A repeat changes nothing."""
        if recording.duration_s is not None:
            return
        recording.duration_s = whole_seconds(self.core.clock.elapsed_s(recording.mark))
        recording.status = "processing"
        self.core.spawn(self._process(recording), call_id=recording.call.leg.root.id)

    def media_url(self, recording: Recording) -> str:
        """Without extension, as webhooks carry it."""
        uri = account_uri(recording.call.account.sid)
        return f"{self.core.base_url(self.name)}{uri}/Recordings/{recording.sid}"

    async def _process(self, recording: Recording) -> None:
        await self.core.clock.sleep(self.habits.recording_after_s)
        if not recording.is_deleted:
            recording.status = "completed"
            self._tell_recording(recording)

    def _tell_recording(self, recording: Recording) -> None:
        options = recording.options
        if options.callback is not None and recording.status in options.events:
            fields = recording_fields(recording, self.media_url(recording))
            self.tell(recording.call, options.callback, fields, hook="recording", event=recording.status)

    # -- callbacks

    def tell(
        self, call: TwilioCall, endpoint: Endpoint, fields: Mapping[str, str], *, hook: str, event: str
    ) -> None:
        """A callback whose answer is not executed; a bad answer is a warning in the debugger."""

        async def send() -> None:
            answer = await self.sender.send(call, endpoint, fields, hook=hook, event=event)
            if not answer.is_ok and answer.error != "dropped":
                why = answer.error or f"HTTP {answer.status}"
                self.complain(call, 15003, f"{hook} callback: {why}", endpoint, log="1")

        self.core.spawn(send(), call_id=call.leg.root.id)

    def complain(self, call: TwilioCall, code: int, message: str, endpoint: Endpoint, log: str = "0") -> None:
        """An entry in Twilio's debugger."""
        url = endpoint.url.split("#")[0]
        note = Notification(
            sid=self._sid("NO"),
            code=code,
            log=log,
            message=message,
            url=url,
            method=endpoint.method,
            at=self.core.clock.now(),
        )
        call.notifications.append(note)
        self.core.journal.add(
            Kind.DEBUGGER, self.name, call.leg.root.id, call_sid=call.sid, code=code, message=message, url=url
        )

    def _progress(self, call: TwilioCall, event: str) -> None:
        """A status callback, when it was subscribed: `SequenceNumber` counts those."""
        if call.callback is None or event not in call.events:
            return
        sequence, call.sequence = call.sequence, call.sequence + 1
        status = STATUS_OF_EVENT.get(event) or call.status
        fields = progress_fields(call, self.habits, status, sequence, self.core.clock.now())
        if event == "completed" and call.record is not None and call.recordings:
            recording = call.recordings[0]
            fields |= {
                "RecordingUrl": self.media_url(recording),
                "RecordingSid": recording.sid,
                "RecordingDuration": str(recording.duration_s or 0),
            }
        self.tell(call, call.callback, fields, hook="status", event=event)

    # -- small things

    def _holder(self, number: str) -> tuple[TwilioAccount, TwilioNumber]:
        for account in self.accounts.values():
            held = account.number(number)
            if held is not None:
                return account, held
        raise UnknownNumber(f"no Twilio account holds the number ...{number[-4:]}")

    def _held_by(self, account: Account, number: str) -> tuple[TwilioAccount, TwilioNumber]:
        owner = self.accounts[account.account_ref]
        held = owner.number(number)
        if held is None:
            raise UnknownNumber(f"the Twilio account does not hold the number ...{number[-4:]}")
        return owner, held

    def _sid(self, prefix: str) -> str:
        return prefix + self.core.hex(32)


def answered_by(found: Detection) -> str:
    """Twilio's word for a verdict."""
    if found.verdict == "machine" and found.greeting_ended:
        return "machine_end_beep" if found.beep else "machine_end_silence"
    return ANSWERED_BY[found.verdict]


def _setting(settings: Mapping[str, str | bool | None], url: str, method: str) -> Endpoint | None:
    value = settings[url]
    return Endpoint(url=str(value), method=str(settings[method])) if value else None


def _step(endpoint: Endpoint | None, twiml: str | None, event: str, hook: str) -> Step:
    """The URL wins over inline TwiML."""
    if endpoint is not None:
        return Ask(endpoint=endpoint, hook=hook, event=event)
    return Inline(twiml=twiml) if twiml else None
