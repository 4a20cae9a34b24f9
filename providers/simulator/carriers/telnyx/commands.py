"""What each Call Control command makes its leg do, and when the carrier refuses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from providers.simulator.carriers.telnyx import errors, plans
from providers.simulator.carriers.telnyx.frames import StreamOptions
from providers.simulator.carriers.telnyx.life import Life
from providers.simulator.carriers.telnyx.outbox import take_webhook_fields
from providers.simulator.carriers.telnyx.rest import Document, target_number
from providers.simulator.carriers.telnyx.sounds import Sound, speech, targets
from providers.simulator.carriers.telnyx.state import NOTE, LegRecord, call_control_id, record_of, uuid1_like
from providers.simulator.exchange import Direction, EndedBy, Leg, Outcome
from providers.simulator.journal import Kind, without_secrets

RING_TIMEOUT_S: Final = 30
# Commands that need an answered call, and the refusal until then. A transfer may also come before an inbound answer.
NEED_ANSWER: Final[Mapping[str, Callable[[], errors.Refused]]] = {
    "speak": errors.not_answered,
    "playback_start": errors.not_answered,
    "playback_stop": errors.not_answered,
    "send_dtmf": errors.not_answered,
    "streaming_start": errors.not_answered,
    "streaming_stop": errors.not_answered,
    "record_start": errors.recording_before_audio,
    "record_stop": errors.recording_before_audio,
}


class Commands:
    """The verbs of this carrier. Checks of form are done before; a refusal here is about the call's state."""

    def __init__(self, life: Life, permit: Callable[[LegRecord, Document], None]) -> None:
        self._life = life
        self._exchange = life.core.exchange
        self._permit = permit
        self._verbs: dict[str, Callable[[Leg, Document], Document]] = {
            "answer": self._answer,
            "reject": self._reject,
            "hangup": self._hangup,
            "transfer": self._transfer,
            "speak": self._speak,
            "playback_start": self._playback_start,
            "playback_stop": self._playback_stop,
            "record_start": self._record_start,
            "record_stop": self._record_stop,
            "streaming_start": self._streaming_start,
            "streaming_stop": self._streaming_stop,
            "send_dtmf": self._send_dtmf,
            "client_state_update": lambda _leg, _body: {},
        }

    def perform(self, name: str, leg: Leg, body: Document) -> Document:
        """Carry out a command.

        Returns:
            what the answer says beside `"result": "ok"`.

        Raises:
            Refused: the call has ended, is not answered yet, or is of the wrong kind.
        """
        if not leg.is_live:
            raise errors.call_ended()
        if name in NEED_ANSWER and not leg.is_answered:
            raise NEED_ANSWER[name]()
        record = record_of(leg)
        state = record.client_state
        if body.get("client_state") is not None:
            record.client_state = body["client_state"]  # its own webhooks echo it already
        try:
            extra = self._verbs[name](leg, body)
        except errors.Refused:
            record.client_state = state
            raise
        record.commanded = True
        self._note(name, leg, body)
        return extra

    def _note(self, name: str, leg: Leg, body: Document) -> None:
        shown = without_secrets(body)
        self._life.outbox.note_command(leg, name, shown)
        self._life.core.journal.add(
            Kind.COMMAND, leg.provider, leg.root.id, leg_id=leg.id, command=name, parameters=shown
        )

    # --- the call itself ----------------------------------------

    def _answer(self, leg: Leg, body: Document) -> Document:
        if leg.direction is Direction.OUTBOUND:
            raise errors.answer_to_outbound()
        if leg.is_answered:
            raise errors.not_executable("The call has been answered already.")
        record = record_of(leg)
        take_webhook_fields(record, body)
        record.request = dict(body)
        extra = self._recording_id(record.request)
        self._exchange.answer(leg)
        return extra

    def _recording_id(self, request: Document) -> Document:
        if not request.get("record"):
            return {}
        request["recording_id"] = self._life.recorder.new_id()
        return {"recording_id": request["recording_id"]}

    def _reject(self, leg: Leg, body: Document) -> Document:
        if leg.direction is Direction.OUTBOUND or leg.is_answered:
            raise errors.not_executable("Only an incoming call that is not answered can be rejected.")
        record_of(leg).ending = plans.REJECT_CAUSES[body["cause"]]
        busy = body["cause"] == "USER_BUSY"
        if busy:
            self._exchange.heard(leg, "busy_tone")
        outcome = Outcome.REFUSED_BUSY if busy else Outcome.DECLINED
        self._exchange.end(leg, EndedBy.US, outcome, int(plans.REJECT_CAUSES[body["cause"]].sip))
        return {}

    def _hangup(self, leg: Leg, body: Document) -> Document:
        self._exchange.end(leg, EndedBy.US)
        return {}

    def _transfer(self, leg: Leg, body: Document) -> Document:
        record = record_of(leg)
        if leg.direction is Direction.OUTBOUND and not leg.is_answered:
            raise errors.not_answered()
        if record.transferring is not None or record.peer is not None:
            raise errors.not_executable("The call is being transferred already.")
        self._permit(record, body)
        second = self._second_leg(leg, record, body)
        record.transferring = second
        record.parks = body.get("park_after_unbridge") == "self"
        self._exchange.heard(leg, "ringback")
        self._exchange.dial(second, ring_timeout_s=record_of(second).ring_timeout_s)
        return {}

    def _second_leg(self, leg: Leg, record: LegRecord, body: Document) -> Leg:
        source = self._life.core.random
        second = self._exchange.create(
            call_control_id(source),
            provider=leg.provider,
            account_ref=leg.account_ref,
            direction=Direction.OUTBOUND,
            to=target_number(body["to"]),
            from_=body.get("from") or leg.to,
            parent=leg,
        )
        second.notes[NOTE] = second_record = LegRecord(
            customer=record.customer,
            application=record.application,
            call_leg_id=uuid1_like(source),
            call_session_id=record.call_session_id,
            client_state=body.get("target_leg_client_state"),
            request=dict(body),
            webhook_url=record.webhook_url,
            webhook_urls=dict(record.webhook_urls),
            retry_policies=dict(record.retry_policies),
            ring_timeout_s=float(body.get("timeout_secs") or RING_TIMEOUT_S),
        )
        take_webhook_fields(second_record, body)
        return second

    # --- sounds ----------------------------------------

    def _speak(self, leg: Leg, body: Document) -> Document:
        self._stop_first(leg, body)
        self._life.player(leg).play(speech(body, self._listeners(leg, body)))
        return {}

    def _playback_start(self, leg: Leg, body: Document) -> Document:
        self._stop_first(leg, body)
        self._life.player(leg).play(Sound(request=body, listeners=self._listeners(leg, body)))
        return {}

    def _playback_stop(self, leg: Leg, body: Document) -> Document:
        self._life.player(leg).stop(everything=body.get("stop") != "current")
        return {}

    def _stop_first(self, leg: Leg, body: Document) -> None:
        if body.get("stop"):
            self._life.player(leg).stop(everything=body["stop"] == "all")

    def _listeners(self, leg: Leg, body: Document) -> tuple[Leg, ...]:
        return targets(leg, leg.bridged_to, body.get("target_legs"))

    def _send_dtmf(self, leg: Leg, body: Document) -> Document:
        self._exchange.heard(leg, "keys", body["digits"])
        return {}

    # --- recording and streaming ----------------------------------------

    def _record_start(self, leg: Leg, body: Document) -> Document:
        recorder = self._life.recorder
        recorder.start(leg, body, recording_id=recorder.new_id(), by="StartCallRecordingAPI")
        return {}

    def _record_stop(self, leg: Leg, body: Document) -> Document:
        self._life.recorder.stop(leg, body.get("recording_id"))
        return {}

    def _streaming_start(self, leg: Leg, body: Document) -> Document:
        if record_of(leg).stream is not None:
            raise errors.streaming_in_use()
        self._life.streams.start(leg, StreamOptions.from_fields(body))
        return {}

    def _streaming_stop(self, leg: Leg, body: Document) -> Document:
        record = record_of(leg)
        if record.stream is None or body.get("stream_id") not in (None, record.stream_id):
            raise errors.not_streaming()
        self._life.streams.stop(leg)
        return {}


def ring_timeout_s(body: Mapping[str, Any], further_routes_s: float) -> float:
    """Tell how long a dial rings; with `retry_on_timeout` further routes may be tried."""
    timeout_s = float(body.get("timeout_secs") or RING_TIMEOUT_S)
    return timeout_s if body.get("retry_on_timeout") is False else timeout_s + further_routes_s
