"""No adapter, and no library under it, shows a whole number, a token or a secret at any level of logging (R80)."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from gateway.errors import GatewayError
from gateway.interface import DialOutcome, DialRequest, DialResult, LegRef
from gateway.registry import open_provider
from gateway.transport import HttpRequest, HttpResponse, NotSent, OutcomeUnknown
from tests.adapters.plivo import support as plivo
from tests.adapters.telnyx import support as telnyx
from tests.adapters.twilio import support as twilio

TO, FROM, ATTEMPT = "+14155550187", "+12125550143", "c4n4ry" + "7" * 26
WORDS = f"{TO} was dialed from {FROM[1:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """One adapter with canaries for secrets, and what its carrier answers."""

    secrets: dict[str, str]
    dial: DialRequest
    leg_id: str
    accepted: HttpResponse
    refused: Callable[[int], HttpResponse]

    def opened(self, answer: HttpResponse | Exception) -> Any:
        return open_provider(self.name, self.secrets, transport=Always(answer))

    @property
    def name(self) -> str:
        return next(name for name, carrier in CARRIERS.items() if carrier is self)

    @property
    def needles(self) -> list[str]:
        """What must not be seen: as it is, percent-encoded, and inside of base64."""
        account = self.secrets.get("account_sid") or self.secrets.get("auth_id") or ""
        shown_to_all = {
            "public_key",
            "account_sid",
            "auth_id",
            "connection_id",
        }  # names of things, no secrets
        secrets = [value for name, value in self.secrets.items() if name not in shown_to_all]
        login = base64.b64encode(f"{account}:{self.secrets.get('auth_token', '')}".encode()).decode()
        plain = [TO[1:], FROM[1:], TO[2:], FROM[2:], ATTEMPT, *secrets]
        return [*plain, *map(quote, plain), login, base64.b64encode(f"gw1:dial:{ATTEMPT}:".encode()).decode()]


class Always:
    """A transport that gives one answer to everything."""

    def __init__(self, answer: HttpResponse | Exception) -> None:
        self.answer = answer

    def send(self, request: HttpRequest) -> HttpResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def dial_of(request: DialRequest) -> DialRequest:
    urls = request.urls
    named = {name: f"https://gw.example.net/voice/k3y/{name}/{ATTEMPT}" for name in urls.__dataclass_fields__}
    return replace(
        request, to=TO, caller_id=FROM, attempt_token=ATTEMPT, detect_machine=True, urls=type(urls)(**named)
    )


CARRIERS = {
    "twilio": Carrier(
        secrets={**twilio.SECRETS, "auth_token": "cafe" * 8},
        dial=dial_of(twilio.DIAL),
        leg_id=twilio.CALL,
        accepted=twilio.reply(201, twilio.rest_call(to=TO, **{"from": FROM})),
        refused=lambda status: twilio.fault(status, 21211, WORDS),
    ),
    "telnyx": Carrier(
        secrets={**telnyx.SECRETS, "api_key": "KEYc4n4ryc4n4ryc4n4ry"},
        dial=dial_of(telnyx.dial_request()),
        leg_id=telnyx.CONTROL_ID,
        accepted=telnyx.ok({"call_control_id": telnyx.CONTROL_ID, "call_leg_id": telnyx.LEG, "to": TO}),
        refused=lambda status: telnyx.refused(status, "10016", WORDS, detail=f"{WORDS} {ATTEMPT}"),
    ),
    "plivo": Carrier(
        secrets={**plivo.SECRETS, "auth_token": "c4n4ry" * 6},
        dial=dial_of(plivo.DIAL),
        leg_id=plivo.CALL,
        accepted=plivo.fired(),
        refused=lambda status: plivo.fault(status, WORDS),
    ),
}

PAGE = HttpResponse(status=404, body=f"<html>{WORDS} {ATTEMPT}</html>".encode())
ANSWERS: dict[str, Callable[[Carrier], HttpResponse | Exception]] = {
    "accepted": lambda carrier: carrier.accepted,
    "refused": lambda carrier: carrier.refused(400),
    "too many": lambda carrier: carrier.refused(429),
    "broken": lambda carrier: carrier.refused(500),
    "a page": lambda carrier: PAGE,
    "no byte left": lambda carrier: NotSent("api.example.net:443: refused"),
    "timed out": lambda carrier: OutcomeUnknown("api.example.net:443: timed out"),
    "a surprise": lambda carrier: RuntimeError(f"{WORDS} {ATTEMPT}"),
}


def at_debug() -> None:
    """Open every logger that exists: a level that a library or an adapter set for itself counts for nothing."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.setLevel(logging.DEBUG)


@pytest.fixture
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    levels = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    caplog.set_level(logging.DEBUG)
    yield
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))


def seen(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    """Return everything that was logged, formatted and unformatted, and printed."""
    records = "\n".join(repr(record.__dict__) for record in caplog.records)
    return caplog.text + records + "".join(capfd.readouterr())


@pytest.mark.usefixtures("everything_is_logged")
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", CARRIERS)
def test_a_dial_and_a_hangup_show_no_number_token_or_secret(
    name: str, answer: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    carrier = CARRIERS[name]
    adapter = carrier.opened(ANSWERS[answer](carrier))
    adapter.prepare()
    at_debug()
    outcome: DialOutcome = adapter.dial(carrier.dial)
    shown = [repr(adapter), repr(outcome), repr(carrier.dial)]
    try:
        adapter.hang_up(LegRef(leg_id=carrier.leg_id, is_answered=True))
    except GatewayError as error:
        shown += [str(error), repr(error)]
    text = seen(caplog, capfd) + "".join(shown)
    assert [needle for needle in carrier.needles if needle and needle in text] == []
    assert (outcome.result is DialResult.ACCEPTED) is (answer == "accepted")


@pytest.mark.usefixtures("everything_is_logged")
def test_this_test_would_notice(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    carrier = CARRIERS["telnyx"]
    adapter = carrier.opened(carrier.accepted)
    adapter.prepare()
    at_debug()
    sdk_log = logging.getLogger("telnyx._base_client")
    filters, sdk_log.filters = sdk_log.filters, []
    try:
        adapter.dial(carrier.dial)
    finally:
        sdk_log.filters = filters
    text = seen(caplog, capfd)
    assert TO[1:] in text
    assert ATTEMPT in text
