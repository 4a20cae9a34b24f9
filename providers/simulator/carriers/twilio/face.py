"""Twilio as its customers meet it: the API, and the life of a call with all its webhooks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route
from providers.simulator.carriers.base import Core, UnknownNumber
from providers.simulator.carriers.twilio.checks import (
    CODE_OF_STATUS,
    Fields,
    amd_of,
    error_answer,
    recording_of,
)
from providers.simulator.carriers.twilio.console import Console
from providers.simulator.carriers.twilio.executor import Executor
from providers.simulator.carriers.twilio.model import (
    Amd,
    Endpoint,
    Notification,
    Recording,
    RecordingOptions,
    TwilioAccount,
    TwilioCall,
)
from providers.simulator.carriers.twilio.numbers import Numbers
from providers.simulator.carriers.twilio.resources import account_uri
from providers.simulator.carriers.twilio.rest import Rest
from providers.simulator.carriers.twilio.steps import Ask, Inline, Step, any_of
from providers.simulator.carriers.twilio.webhooks import (
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


class Face(Console):
    """The simulated Twilio. `habits` has its switches."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.calls: dict[str, TwilioCall] = {}
        self.recordings: dict[str, Recording] = {}
        self._routes = (
            *Rest(self, self.access).routes(),
            *Numbers(self, self.access).routes(),
            *self.things.routes(),
        )

    # -- the API

    def routes(self) -> Sequence[Route]:
        """See `rest`, `numbers` and `things`; those of other hosts begin with `/v1/`."""
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
        application = account.things.get(fields.get("ApplicationSid") or "")
        if application is not None:  # it wins over the call's own URLs
            _ask(call, application.fields, "status_callback")
        else:
            call.voice, call.twiml = fields.endpoint("Url", "Method"), fields.get("Twiml")
            call.fallback = fields.endpoint("FallbackUrl", "FallbackMethod")
            call.callback = fields.endpoint("StatusCallback")
        call.byoc = fields.get("Byoc")
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
        if number.startswith("sip"):
            return self._ring_domain(number, from_)
        account, held = self._holder(number)
        call = self._call(account, Direction.INBOUND, "inbound", to=number, from_=from_)
        settings = held.settings
        call.phone_number_sid = held.sid
        if account.status != "active" or not held.has_voice:
            call.refusal = (480, 20005, "The number takes no calls")
        elif settings["trunk_sid"]:
            self._ring_trunk(call, str(settings["trunk_sid"]))
        elif settings["voice_application_sid"]:
            found = account.things.get(str(settings["voice_application_sid"]))
            _ask(call, found.fields if found else {}, "status_callback")
        else:
            _ask(call, settings, "status_callback")
        return call.leg

    def _ring_domain(self, uri: str, from_: str) -> Leg:
        """A SIP carrier sends a call to one of our SIP domains; a BYOC trunk on the domain is asked instead of it."""
        found = self._domain(uri)
        if found is None:
            raise UnknownNumber("no Twilio account has the SIP domain of the called URI")
        account, domain = found
        call = self._call(account, Direction.INBOUND, "inbound", to=uri, from_=from_)
        trunk = account.things.get(domain.fields["byoc_trunk_sid"] or "")
        if account.status != "active" or not self.things.auth_type(account, domain):
            call.refusal = (403, 32201, "The SIP domain has no access list, or the account is not active")
        elif trunk is not None:
            _ask(call, trunk.fields, "status_callback_url", "status_callback_method")
        else:
            _ask(call, domain.fields, "voice_status_callback_url", "voice_status_callback_method")
        return call.leg

    def _ring_trunk(self, call: TwilioCall, trunk_sid: str) -> None:
        """An elastic trunk hands the call to the customer's own switch, which takes it: no webhooks at all."""
        call.trunk_sid = trunk_sid
        trunk = call.account.things.get(trunk_sid)
        ways = call.account.of_kind("origination_urls", trunk_sid)
        if trunk is None or not any(way.fields["enabled"] for way in ways):
            call.voice = (
                _setting(trunk.fields, "disaster_recovery_url", "disaster_recovery_method") if trunk else None
            )
            call.refusal = None if call.voice else (404, 32010, "The trunk has no origination URI")

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
            self.new_sid("CA"),
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
            call.phone_number_sid = shown.sid if shown else account.caller_ids[from_].sid
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
        if call.byoc is not None and call.leg.is_live and not self._has_way_out(call):
            call.was_dialed = True
            self._progress(call, "initiated")
            call.refusal = (503, 32400, "The BYOC trunk has no connection policy with an enabled target")
            self._fail(call)
            return
        self.core.exchange.dial(call.leg, ring_timeout_s=call.ring_timeout_s)

    def _has_way_out(self, call: TwilioCall) -> bool:
        """Whether the call's BYOC trunk knows where the carrier is."""
        trunk = call.account.things.get(call.byoc or "")
        policy = trunk.fields["connection_policy_sid"] if trunk else None
        targets = call.account.of_kind("targets", policy) if policy else []
        return any(target.fields["enabled"] for target in targets)

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
        if step is None and call.trunk_sid and call.refusal is None:
            self.core.exchange.answer(call.leg)  # the customer's own switch
            return
        if step is None:  # the number has no URL: the network says so, and nobody answers
            self._fail(call)
            return
        call.runner = self.core.spawn(Executor(self, call).run(step), call_id=call.leg.root.id)

    def _fail(self, call: TwilioCall) -> None:
        sip_code, code, words = call.refusal or (None, 0, "")
        if code:
            self.complain(call, code, words, Endpoint(url=""))
        self.core.exchange.end(call.leg, EndedBy.CARRIER, Outcome.FAILED, sip_code)

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
            sid=self.new_sid("RE"), call=call, options=options, started_at=now, mark=self.core.clock.mark()
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
            sid=self.new_sid("NO"),
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


def answered_by(found: Detection) -> str:
    """Twilio's word for a verdict."""
    if found.verdict == "machine" and found.greeting_ended:
        return "machine_end_beep" if found.beep else "machine_end_silence"
    return ANSWERED_BY[found.verdict]


def _ask(
    call: TwilioCall,
    settings: Mapping[str, Any],
    callback: str,
    callback_method: str = "status_callback_method",
) -> None:
    """The call is handled as a number, an application, a SIP domain or a BYOC trunk is set."""
    call.voice = _setting(settings, "voice_url", "voice_method")
    call.fallback = _setting(settings, "voice_fallback_url", "voice_fallback_method")
    call.callback = _setting(settings, callback, callback_method)


def _setting(settings: Mapping[str, Any], url: str, method: str) -> Endpoint | None:
    value = settings.get(url)
    return Endpoint(url=str(value), method=str(settings[method] or "POST")) if value else None


def _step(endpoint: Endpoint | None, twiml: str | None, event: str, hook: str) -> Step:
    """The URL wins over inline TwiML."""
    if endpoint is not None:
        return Ask(endpoint=endpoint, hook=hook, event=event)
    return Inline(twiml=twiml) if twiml else None
