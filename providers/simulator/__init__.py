"""A carrier on loopback that plays Twilio, Telnyx and Plivo: the whole product on a laptop, with no account.

It speaks the used part of the three REST APIs, executes TwiML, Plivo XML and Call Control commands, opens the media
WebSocket, signs its webhooks, and knows what really happened to every call. It shares no code with the adapters.

>>> from providers.simulator import Busy, Simulator
>>> with Simulator(speed=20) as sim:
...     account = sim.add_account("twilio", name="Acme")
...     sim.add_number(account, "+14155550100")
...     sim.script("+14155550123", Busy())
"""

from __future__ import annotations

from providers.simulator.agent import Conversation, EchoAgent
from providers.simulator.carriers.base import Account, Offer, UnknownNumber
from providers.simulator.faults import Fault, Faults
from providers.simulator.journal import Entry, Journal, Kind
from providers.simulator.scripts import (
    Answer,
    Busy,
    Caller,
    Decline,
    HangUpWhileRinging,
    NoAnswer,
    Unreachable,
    Voicemail,
)
from providers.simulator.simulator import SimCall, Simulator, SimulatorError, SimulatorTimeout

__all__ = [
    "Account",
    "Answer",
    "Busy",
    "Caller",
    "Conversation",
    "Decline",
    "EchoAgent",
    "Entry",
    "Fault",
    "Faults",
    "HangUpWhileRinging",
    "Journal",
    "Kind",
    "NoAnswer",
    "Offer",
    "SimCall",
    "Simulator",
    "SimulatorError",
    "SimulatorTimeout",
    "UnknownNumber",
    "Unreachable",
    "Voicemail",
]
