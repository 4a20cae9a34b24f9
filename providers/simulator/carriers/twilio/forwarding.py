"""`<Dial>`: other parties ring, the first to answer is connected, and the action is told how it ended."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # parsed and checked by documents.parse
from typing import TYPE_CHECKING, Final

from providers.simulator.carriers.twilio.checks import E164
from providers.simulator.carriers.twilio.documents import text_of
from providers.simulator.carriers.twilio.model import Amd, Recording, TwilioCall
from providers.simulator.carriers.twilio.steps import Ask, Step, any_of
from providers.simulator.carriers.twilio.webhooks import whole_seconds
from providers.simulator.exchange import EndedBy

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.executor import Executor

BAD_CALLER_ID, BAD_NUMBER, FORBIDDEN_COUNTRY = 13214, 13223, 13227
BY_WORTH: Final = ("busy", "no-answer", "failed", "canceled")
"""Of several parties that did not answer, the first of these is told."""


async def dial(run: Executor, verb: ET.Element) -> Step:
    """Rings, connects, and moves to the action."""
    return await Forwarding(run, verb).forward()


class Forwarding:
    """One `<Dial>`."""

    def __init__(self, run: Executor, verb: ET.Element) -> None:
        self._run = run
        self._verb = verb
        self._leg = run.leg
        self._exchange = run.exchange
        self._children: list[TwilioCall] = []
        self._winner: TwilioCall | None = None
        self._recording: Recording | None = None

    async def forward(self) -> Step:
        """Whatever ends it, no dialed party is left behind."""
        if self._verb.get("answerOnBridge") != "true":
            self._run.answer()
        try:
            self._ring_all()
            self._winner = await self._first_answer()
            if self._winner is not None:
                await self._talk(self._winner)
        finally:
            for child in self._children:
                self._exchange.end(child.leg, EndedBy.US)
            if self._recording is not None:
                self._run.face.finish_recording(self._recording)
        return await self._run.after(self._run.link(self._verb, "action"), "dial", self._fields())

    def _ring_all(self) -> None:
        """A leg for each noun, all ringing at once; none when the caller id may not be shown."""
        run, nouns = self._run, list(self._verb) or [_number(text_of(self._verb))]
        from_ = self._verb.get("callerId", self._leg.from_)
        may_show = from_ in (self._leg.from_, self._leg.to) or run.call.account.may_show(from_)
        if not may_show and any(noun.tag == "Number" for noun in nouns):
            run.face.complain(run.call, BAD_CALLER_ID, "<Dial> callerId is not allowed", run.here)
            return
        for noun in nouns:
            address = _address(noun)
            if noun.tag == "Number" and not E164.fullmatch(address):
                run.face.complain(run.call, BAD_NUMBER, "<Dial> needs an E.164 number", run.here)
            elif noun.tag == "Number" and not run.call.account.may_call(address):
                run.face.complain(
                    run.call, FORBIDDEN_COUNTRY, "<Dial> to a country without permission", run.here
                )
            else:
                self._children.append(self._ring(noun, address, from_))
        if self._children:
            self._exchange.heard(self._leg, "ringback")

    def _ring(self, noun: ET.Element, address: str, from_: str) -> TwilioCall:
        run = self._run
        child = run.face.new_child(run.call, address, from_)
        child.callback = run.link(noun, "statusCallback", "statusCallbackMethod")
        child.events = frozenset(noun.get("statusCallbackEvent", "completed").split())
        child.voice = run.link(noun, "url")
        child.send_digits = noun.get("sendDigits")
        if noun.get("machineDetection"):
            child.amd = Amd(
                until_greeting_end=noun.get("machineDetection") == "DetectMessageEnd",
                timeout_s=float(noun.get("machineDetectionTimeout", "30")),
                is_async=True,
                callback=run.link(noun, "amdStatusCallback", "amdStatusCallbackMethod"),
            )
        self._exchange.dial(child.leg, ring_timeout_s=float(self._verb.get("timeout", "30")))
        return child

    async def _first_answer(self) -> TwilioCall | None:
        """The first party to pick up, the others ring no more; None when nobody did or the caller left."""
        while self._leg.is_live:
            answered = [child for child in self._children if child.leg.is_answered and child.leg.is_live]
            if answered:
                for child in self._children:
                    if child is not answered[0]:
                        self._exchange.end(child.leg, EndedBy.US)
                return answered[0]
            ringing = [child.leg for child in self._children if child.leg.is_live]
            if not ringing:
                return None
            await any_of(self._leg.ended, *(event for leg in ringing for event in (leg.answered, leg.ended)))
        return None

    async def _talk(self, child: TwilioCall) -> None:
        if child.voice is not None:
            await self._run.whisper(child, Ask(endpoint=child.voice, hook="next", event="whisper"))
        if not (self._leg.is_live and child.leg.is_live):
            return
        self._exchange.answer(self._leg)
        self._exchange.bridge(self._leg, child.leg)
        self._record(self._verb.get("record", "do-not-record"))
        limit_s = self._run.clock.real_s(float(self._verb.get("timeLimit", "14400")))
        await any_of(self._leg.ended, child.leg.ended, timeout_s=limit_s)

    def _record(self, mode: str) -> None:
        if mode in ("do-not-record", "false"):
            return
        options = self._run.recording_options(self._verb, "DialVerb", 2 if mode.endswith("-dual") else 1)
        self._recording = self._run.face.start_recording(self._run.call, options)

    def _fields(self) -> dict[str, str]:
        """What the action is told: of the party that answered, else of the one that got furthest."""
        if not self._children:
            return {"DialCallStatus": "failed", "DialBridged": "false"}
        shown = self._winner or min(self._children, key=lambda child: BY_WORTH.index(child.status))
        fields = {
            "DialCallStatus": "completed" if self._winner else shown.status,
            "DialCallSid": shown.sid,
            "DialBridged": "true" if self._winner else "false",
        }
        if self._winner:
            fields["DialCallDuration"] = str(whole_seconds(shown.leg.duration_s))
        if shown.leg.to.startswith("sip"):
            fields |= {"DialSipCallId": shown.sid[2:], "DialSipResponseCode": str(shown.leg.sip_code or 0)}
        if self._recording is not None:
            fields["RecordingUrl"] = self._run.face.media_url(self._recording)
        return fields


def _number(text: str) -> ET.Element:
    """`<Dial>+1415...</Dial>` is short for a <Number>."""
    noun = ET.Element("Number")
    noun.text = text
    return noun


def _address(noun: ET.Element) -> str:
    """A number, a SIP URI, or `client:` and the identity."""
    inner = noun.find("Identity") if noun.tag == "Client" else noun.find("Uri")
    text = text_of(inner if inner is not None else noun)
    return f"client:{text}" if noun.tag == "Client" else text
