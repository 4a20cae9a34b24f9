"""A leg's life at Telnyx: what it reports of every turn the exchange tells, and what it does by itself.

Outbound: `call.initiated` (never a ringing event) - `call.answered` - machine detection - `call.hangup`. Inbound:
`call.initiated`, parked, until a command, the caller's patience or `first_command_timeout` ends it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, Final

from providers.simulator.carriers.base import Core
from providers.simulator.carriers.telnyx import plans, webhooks
from providers.simulator.carriers.telnyx.frames import StreamOptions
from providers.simulator.carriers.telnyx.outbox import Outbox
from providers.simulator.carriers.telnyx.recordings import Recorder, from_answer_fields, initiator
from providers.simulator.carriers.telnyx.sounds import Player, Sound
from providers.simulator.carriers.telnyx.state import Habits, LegRecord, record_of, view
from providers.simulator.carriers.telnyx.streams import Streams
from providers.simulator.exchange import Direction, EndedBy, Leg, LegEvent, Outcome

TIME_LIMIT_S: Final = 14_400
CLOCK_SLACK_S: Final = 0.05


class Life:
    """Turns of the exchange into webhooks; holds the machinery that commands use too."""

    def __init__(self, core: Core, habits: Habits) -> None:
        self.core = core
        self.habits = habits
        self.outbox = Outbox(core)
        self.recorder = Recorder(core, self.outbox, habits)
        self.streams = Streams(core, self.outbox, on_key=self.report_key, on_over=self.read_keys)

    def on_leg_event(self, leg: Leg, event: LegEvent) -> None:
        """Take a turn of a leg."""
        match event:
            case LegEvent.DIALING:
                self._initiated(leg)
            case LegEvent.RINGING:
                self._ringing(leg)
            case LegEvent.ANSWERED:
                self._answered(leg)
            case LegEvent.ENDED:
                self._ended(leg)

    # --- before the answer ----------------------------------------

    def _initiated(self, leg: Leg) -> None:
        record = record_of(leg)
        application = record.application
        asks_stir = application["inbound"]["shaken_stir_enabled"] and leg.direction is Direction.INBOUND
        payload = webhooks.initiated(
            view(leg),
            headers=record.request.get("custom_headers") or [],
            caller_name=record.request.get("from_display_name") or leg.from_,
            stir=webhooks.stir("A" if asks_stir else None),
        )
        record.announced = self.outbox.send(leg, "call.initiated", payload)

    def _ringing(self, leg: Leg) -> None:
        record = record_of(leg)
        record.ring_mark = self.core.clock.mark()
        if leg.direction is Direction.OUTBOUND:
            return  # this carrier reports no ringing
        self.core.exchange.heard(leg, "ringback")
        self._initiated(leg)
        application = record.application
        if application["first_command_timeout"]:
            self.later(leg, self._expect_command(leg, application["first_command_timeout_secs"]))

    async def _expect_command(self, leg: Leg, within_s: float) -> None:
        await self.core.clock.sleep(within_s)
        record = record_of(leg)
        if not record.commanded and leg.is_live:
            record.ending = plans.FIRST_COMMAND_TIMEOUT
            self.core.exchange.end(leg, EndedBy.CARRIER, Outcome.NO_ANSWER)

    # --- the answer ----------------------------------------

    def _answered(self, leg: Leg) -> None:
        record = record_of(leg)
        payload = webhooks.answered(view(leg), stream=record.request)
        self.outbox.send(leg, "call.answered", payload)
        self.later(leg, self._limit(leg, record.request.get("time_limit_secs") or TIME_LIMIT_S))
        self._detect(leg)
        self._begin_media(leg)
        if leg.parent is not None and record_of(leg.parent).transferring is leg:
            self._join(leg.parent, leg)

    async def _limit(self, leg: Leg, limit_s: float) -> None:
        await self.core.clock.sleep(limit_s)
        record_of(leg).ending = plans.TIME_LIMIT
        self.core.exchange.end(leg, EndedBy.CARRIER)

    def _detect(self, leg: Leg) -> None:
        request = record_of(leg).request
        party = leg.party
        listening = plans.Listening(
            verdict=party.verdict,
            recognized_after_s=party.recognized_after_s,
            greeting_s=party.greeting_s,
            beep=party.beep,
        )
        mode = request.get("answering_machine_detection") or "disabled"
        found = plans.detection_plan(mode, listening, request.get("answering_machine_detection_config") or {})
        if found:
            self.later(leg, self._report_findings(leg, found), keeps_open=True)

    async def _report_findings(self, leg: Leg, findings: list[plans.Finding]) -> None:
        mark = self.core.clock.mark()
        for finding in findings:
            await self.core.clock.sleep(finding.at_s - self.core.clock.elapsed_s(mark))
            self.outbox.send(leg, finding.event_type, webhooks.machine(view(leg), finding.result))

    def _begin_media(self, leg: Leg) -> None:
        request = record_of(leg).request
        if request.get("record"):
            self.recorder.start(
                leg,
                from_answer_fields(request),
                recording_id=request.get("recording_id") or self.recorder.new_id(),
                by=initiator(leg),
            )
        if request.get("stream_url"):
            self.streams.start(leg, StreamOptions.from_fields(request))
        if request.get("audio_url") or request.get("media_name"):
            self.player(leg).play(Sound(request=request, listeners=(leg,)))
        if digits := digits_on_answer(request):
            self.core.exchange.heard(leg, "keys", digits)
        self.read_keys(leg)

    def read_keys(self, leg: Leg) -> None:
        """Report keys from now on, until a media socket takes them or the leg ends."""
        record = record_of(leg)
        if leg.is_live and record.stream is None:
            record.key_reader = self.later(leg, self._read_keys(leg))

    async def _read_keys(self, leg: Leg) -> None:
        while True:
            self.report_key(leg, await leg.party.keys.get())

    def report_key(self, leg: Leg, digit: str) -> None:
        """Send `call.dtmf.received`."""
        if self.habits.reports_keys:
            self.outbox.send(leg, "call.dtmf.received", webhooks.dtmf(view(leg), digit))

    def _join(self, first: Leg, second: Leg) -> None:
        """Bridge a transfer's legs. That an unanswered first leg is answered by it is unconfirmed."""
        first_record, second_record = record_of(first), record_of(second)
        first_record.transferring = None
        self.core.exchange.answer(first)
        first_record.peer, second_record.peer = second, first
        if first_record.player is not None:
            first_record.player.stop(everything=True)
        self.core.exchange.bridge(first, second)
        for leg in (first, second):
            self.outbox.send(leg, "call.bridged", webhooks.bridged(view(leg)))

    # --- the end ----------------------------------------

    def _ended(self, leg: Leg) -> None:
        record = record_of(leg)
        record.ended_mark = self.core.clock.mark()
        self._stop_timers(record)
        ended_at = leg.ended_at or self.core.clock.now()
        payload = webhooks.hangup(view(leg), self.ending(leg), ended_at=ended_at, had_audio=leg.is_answered)
        self.outbox.send(leg, "call.hangup", payload)
        if record.player is not None:
            record.player.stop(everything=True, why="call_hangup")
        self.recorder.stop(leg)
        self._part(leg)
        if leg.is_answered:
            self.core.spawn(self._settle(leg), call_id=leg.root.id)

    def ending(self, leg: Leg) -> webhooks.Ending:
        """Give the reason of a leg's end in the carrier's words."""
        record = record_of(leg)
        if record.ending is not None:
            return record.ending
        if leg.is_answered:
            side = plans.ANSWERED_BY_PARTY if leg.ended_by is EndedBy.PARTY else plans.ANSWERED_BY_US
            return side[str(leg.direction)]
        match leg.outcome:
            case Outcome.CANCELLED:
                cancelled = plans.CANCELLED
                return webhooks.Ending(
                    cause=self.habits.cancel_cause, source=cancelled.source, sip=cancelled.sip
                )
            case Outcome.CALLER_GAVE_UP:
                return plans.CALLER_GAVE_UP
            case Outcome.NO_ANSWER:
                return self._unanswered(leg, record)
        if leg.direction is Direction.INBOUND and leg.ended_by is EndedBy.US:
            return plans.HUNG_UP_UNANSWERED
        return plans.ending_by_sip(leg.sip_code or 503)

    def _unanswered(self, leg: Leg, record: LegRecord) -> webhooks.Ending:
        rang_s = self.core.clock.elapsed_s(record.ring_mark) if record.ring_mark is not None else 0.0
        if rang_s + CLOCK_SLACK_S < record.ring_timeout_s:
            return plans.ending_by_sip(480)  # the called network gave up first
        retries = record.request.get("retry_on_timeout") is not False
        return plans.RING_TIMEOUT if retries else plans.RING_TIMEOUT_NO_RETRY

    def _part(self, leg: Leg) -> None:
        """End what hangs on the leg: the other side of its bridge unless that parks, a transfer still ringing."""
        record = record_of(leg)
        if record.transferring is not None:
            self.core.exchange.end(record.transferring, EndedBy.US, Outcome.CANCELLED)
        peer, record.peer = record.peer, None
        if peer is None:
            self._transfer_failed(leg)
            return
        peer_record = record_of(peer)
        peer_record.peer = None
        if peer.is_live and not peer_record.parks:
            peer_record.ending = plans.ANSWERED_BY_US[str(peer.direction)]
            self.core.exchange.end(peer, EndedBy.CARRIER)

    def _transfer_failed(self, leg: Leg) -> None:
        if leg.parent is not None and record_of(leg.parent).transferring is leg:
            record_of(leg.parent).transferring = None  # the first leg stays as it is

    async def _settle(self, leg: Leg) -> None:
        """Note silence if nothing was heard, and report the cost if the application asks for it."""
        record = record_of(leg)
        while record.stream is not None or (record.player is not None and record.player.is_playing):
            await asyncio.sleep(0.01)
        if not any(item[0] != "ringback" for item in leg.party.heard):
            self.core.exchange.heard(leg, "silence", round(leg.duration_s, 1))
        if record.application["call_cost_in_webhooks"]:
            await self.core.clock.sleep(self.habits.cost_ready_s)
            billed_s, now = math.ceil(leg.duration_s), self.core.clock.now()
            self.outbox.send(leg, "call.cost", webhooks.cost(view(leg), billed_s=billed_s, occurred_at=now))

    # --- machinery ----------------------------------------

    def player(self, leg: Leg) -> Player:
        """Give the leg's player, made on first use."""
        record = record_of(leg)
        if record.player is None:
            record.player = Player(self.core, self.outbox, leg)
        return record.player

    def later(
        self, leg: Leg, work: Coroutine[Any, Any, None], *, keeps_open: bool = False
    ) -> asyncio.Task[None]:
        """Run work that ends with the leg at the latest."""
        task = self.core.spawn(work, call_id=leg.root.id, keeps_open=keeps_open)
        record_of(leg).timers.append(task)
        return task

    def _stop_timers(self, record: LegRecord) -> None:
        for task in record.timers:
            if task is not asyncio.current_task():
                task.cancel()
        record.timers.clear()


def digits_on_answer(request: dict[str, Any]) -> str:
    """Give the keys to send at the answer; the field wins over what follows a comma in `to`."""
    return str(request.get("send_digits_on_answer") or str(request.get("to", "")).partition(",")[2])
