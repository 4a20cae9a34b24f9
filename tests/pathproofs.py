"""R91: hostile ids in every adapter verb that puts one into a path; run short by the tests and long by `make proof`."""

from __future__ import annotations

import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.byoc import ApplicationRequest, CarrierApplication, CarrierNumber, NumberSetup, SipRequest
from gateway.errors import GatewayError
from gateway.instructions import HangUp
from gateway.interface import LegRef, Provider
from gateway.transport import HttpRequest, HttpResponse, NotSent
from providers.plivo import PlivoProvider
from providers.telnyx import TelnyxProvider
from providers.twilio import TwilioProvider
from tests.adapters.kit import SETUP_URLS, live_call, reply
from tests.adapters.plivo import support as plivo
from tests.adapters.telnyx import support as telnyx
from tests.adapters.twilio import support as twilio

NUMBER: Final = "+14155550100"
NEXT: Final = "https://gw.example.net/voice/k3y/next/1"
GONE: Final = {
    "plivo": reply(404, {"api_id": "2f6d8e10-aa11-4b22-9c33-d44e55f66a77", "error": "not found"}),
    "telnyx": reply(404, {"errors": [{"code": "10005", "title": "Resource not found"}]}),
    "twilio": reply(404, {"code": 20404, "message": "not found", "status": 404}),
}

# What a request is, with the id taken out: method, host, path in segments, names of the query.
Shape = tuple[str, str, tuple[str, ...], tuple[str, ...]]
Verb = tuple[str, Callable[[str], object]]  # an id that is good, and what is done with one


class Ledger:
    """A transport of a carrier that knows nothing; keeps the requests."""

    def __init__(self, gone: HttpResponse) -> None:
        self.requests: list[HttpRequest] = []
        self._gone = gone

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self._gone

    def stream_get(self, url: str, headers: Any = (), **_: Any) -> Any:
        """Stand in for the reader of recordings, which takes no transport."""
        self.requests.append(HttpRequest(method="GET", url=url, headers=tuple(headers)))
        raise NotSent("stopped by the test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strayed:
    """What became of hostile ids: how many each verb was given, how many were sent as they should, and the strays."""

    tried: Counter[str]
    sent: Counter[str]
    strays: list[str]


def send_hostile_ids(provider: str, *, ids: int, seed: int) -> Strayed:
    """R91: give each verb of an adapter each id; return the requests that went elsewhere than a good id's."""
    ledger = Ledger(GONE[provider])
    adapter, verbs = _VERBS[provider](ledger)
    tried: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    strays = []
    with patch.object(sys.modules[type(adapter).__module__], "stream_get", ledger.stream_get):
        for name, (good, act) in verbs.items():
            intended = {_shape(each, good) for each in _requests_of(ledger, act, good)}
            assert intended, f"{provider}: {name} sends nothing, so it proves nothing"
            rng = random.Random(f"{seed} {provider} {name}")
            for _ in range(ids):
                ident = hostile_id(rng, good)
                tried[name] += 1
                for each in _requests_of(ledger, act, ident):
                    sent[name] += 1
                    if not any(_fits(each, ident, shape) for shape in intended):
                        strays.append(f"{provider} {name} {ident!r}: {each.method} {each.url}")
    return Strayed(tried=tried, sent=sent, strays=strays)


def _requests_of(ledger: Ledger, act: Callable[[str], object], ident: str) -> list[HttpRequest]:
    """Return what was sent; an error of the gateway's own is an answer, any other one fails the proof."""
    ledger.requests.clear()
    with suppress(GatewayError):
        act(ident)
    return list(ledger.requests)


def _shape(request: HttpRequest, good: str) -> Shape:
    method, host, path, names = _parts(request)
    return method, host, tuple("{id}" if each in _spelled(good) else each for each in path), names


def _fits(request: HttpRequest, ident: str, intended: Shape) -> bool:
    method, host, path, names = _parts(request)
    spelled = _spelled(ident) - {"", ".", ".."}
    return (method, host, names) == (intended[0], intended[1], intended[3]) and all(
        found == wanted or (wanted == "{id}" and found in spelled)
        for found, wanted in zip_longest(path, intended[2])
    )


def _parts(request: HttpRequest) -> Shape:
    assert re.fullmatch(r"[!-~]+", request.url), f"{request.url!r} is no URL"
    where = urlsplit(request.url)
    assert not where.fragment, request.url
    segments = [unquote(each) for each in where.path.split("/")]
    path = tuple(each.removesuffix(".json").removesuffix(".wav") for each in segments)
    names = tuple(name for name, _ in parse_qsl(where.query, keep_blank_values=True))
    return request.method, f"{where.scheme}://{where.netloc}", path, names


def _spelled(ident: str) -> set[str]:
    """Return how an id may stand in a path: whole, or a number by its digits."""
    return {ident, ident.removeprefix("+")}


_TRICKS: Final = (
    *("../", "..", "./", "/", "//", "\\", "..\\", "%2F", "%2f", "%2e%2e%2f", "%252F", "%5c", "%00", "\x00"),
    *(
        "?",
        "?x=1",
        "#",
        "#x",
        "@",
        "@evil.example/",
        "evil.example",
        ":",
        ":80",
        ";",
        "&",
        "=",
        "+",
        "%",
        " ",
    ),
    *(
        "\r\n",
        "\n",
        "\t",
        "\x7f",
        "\u00e9",
        "\uff0f",
        "\u2215",
        "\uff0e\uff0e\uff0f",
        "\u0661",
        "\ud800",
        "\u202e",
    ),
    *("http://evil.example/", "//evil.example/", ".json", "*", "{id}", "/None", "../Calls", "../../v2", "'"),
)


def hostile_id(rng: random.Random, good: str) -> str:
    """Return an id that leads elsewhere if it can: around, inside or instead of a good one, or one like it."""
    trick = "".join(rng.choice(_TRICKS) for _ in range(rng.randint(1, 3)))
    at = rng.randrange(len(good) + 1)
    if rng.random() < 0.02:
        return good[:at] + rng.choice(string.printable) + good[at + 1 :]
    ways = (
        lambda: trick,
        lambda: trick + good,
        lambda: good + trick,
        lambda: good[:at] + trick + good[at:],
        lambda: "".join(rng.choice(string.printable) for _ in range(rng.randint(4, 40))),
        lambda: good * 100,
    )
    return rng.choice(ways)()


# -- the verbs that take an id -------------------------------------------------------------------------------------


def _number(ref: str, **settings: Any) -> CarrierNumber:
    return CarrierNumber(e164=NUMBER, carrier_ref=ref, has_voice=True, settings=settings)


def _of_any(
    adapter: Provider, *, leg: str, number: str, recording: str, setup: NumberSetup
) -> dict[str, Verb]:
    """The verbs that every carrier has."""
    return {
        "hang up": (leg, lambda ident: adapter.hang_up(LegRef(leg_id=ident))),
        "hang up an answered call": (
            leg,
            lambda ident: adapter.hang_up(LegRef(leg_id=ident, is_answered=True)),
        ),
        "start a recording": (
            leg,
            lambda ident: adapter.start_recording(
                LegRef(leg_id=ident), recording_url=NEXT, max_duration_s=60
            ),
        ),
        "stop a recording": (leg, lambda ident: adapter.stop_recording(LegRef(leg_id=ident))),
        "fetch a call": (leg, lambda ident: adapter.fetch_call(LegRef(leg_id=ident))),
        "fetch a recording": (recording, adapter.fetch_recording),
        "find a number": (NUMBER, adapter.find_number),
        "buy a number": (NUMBER, lambda e164: adapter.buy_number(e164, reference="r1")),
        "release a number": (number, adapter.release_number),
        "configure a number": (number, lambda ident: adapter.configure_number(_number(ident), setup)),
        "restore a number": (number, lambda ident: adapter.restore_number(_number(ident), {})),
        "start a caller id": (NUMBER, adapter.start_caller_id),
    }


def _with_applications(adapter: Provider, *, app: str, number: str) -> dict[str, Verb]:
    """The verbs of the carriers whose numbers point at applications."""
    settings = {"application_name": "theirs", "webhook_event_url": NEXT, "answer_url": NEXT}
    way = (
        {"username": "desk7", "password": "Aa1" * 4}
        if adapter.name == "plivo"
        else {"carrier_host": "sbc.example.net"}
    )

    def sip(ident: str) -> SipRequest:
        return SipRequest(name="pbx", urls=SETUP_URLS, application_ref=ident, **way)

    def ensure(ident: str) -> object:
        return adapter.ensure_application(ApplicationRequest(name="gateway-x", urls=SETUP_URLS, ref=ident))

    def point(ident: str) -> object:
        return adapter.configure_number(_number(number), NumberSetup(urls=SETUP_URLS, application_ref=ident))

    return {
        "fetch an application": (app, adapter.fetch_application),
        "restore an application": (app, lambda ident: adapter.restore_application(ident, settings)),
        "delete an application": (app, adapter.delete_application),
        "ensure an application": (app, ensure),
        "point a number at an application": (app, point),
        "ensure a SIP link": (app, lambda ident: adapter.ensure_sip(sip(ident))),
        "check a SIP link": (app, lambda ident: adapter.check_sip(sip(ident))),
    }


def _plivo(ledger: Ledger) -> tuple[Provider, Mapping[str, Verb]]:
    adapter = PlivoProvider(plivo.SECRETS, transport=ledger)
    app, digits, setup = "21686794894743506", NUMBER[1:], NumberSetup(urls=SETUP_URLS, application_ref="1")

    def linked(ident: str) -> CarrierNumber:
        return _number(digits, application=f"/v1/Account/{plivo.ACCOUNT}/Application/{ident}/")

    own: dict[str, Verb] = {
        "redirect": (
            plivo.CALL,
            lambda ident: adapter.redirect(LegRef(leg_id=ident, is_answered=True), NEXT),
        ),
        "hang up by another id": (
            plivo.REQUEST,
            lambda ident: adapter.hang_up(LegRef(leg_id=plivo.CALL, other_ids=(ident,))),
        ),
        "read what a number points at": (app, lambda ident: adapter.target_of(linked(ident))),
        "put a number back": (
            app,
            lambda ident: adapter.restore_number(_number(digits), linked(ident).settings),
        ),
        "confirm a caller id": (
            plivo.RECORDING,
            lambda ident: adapter.confirm_caller_id(NUMBER, ident, "123456"),
        ),
    }
    common = _of_any(adapter, leg=plivo.CALL, number=digits, recording=plivo.RECORDING, setup=setup)
    return adapter, {**common, **_with_applications(adapter, app=app, number=digits), **own}


def _telnyx(ledger: Ledger) -> tuple[Provider, Mapping[str, Verb]]:
    adapter = TelnyxProvider(telnyx.SECRETS, transport=ledger)
    app, number = telnyx.CONNECTION, "1293384261075731499"
    setup = NumberSetup(urls=SETUP_URLS, application_ref=app)

    def profile(ident: str) -> object:
        settings = {"outbound": {"outbound_voice_profile_id": ident}}
        application = CarrierApplication(ref=app, name="gateway-x", settings=settings)
        return adapter.account_differences(application, ("US",))

    own: dict[str, Verb] = {
        "perform a command": (telnyx.CONTROL_ID, lambda ident: adapter.answer(live_call(ident), HangUp())),
        "fetch the recording of a leg": (telnyx.LEG, lambda ident: adapter.fetch_recording(f"leg:{ident}")),
        "read what a number points at": (
            app,
            lambda ident: adapter.target_of(_number(number, connection_id=ident)),
        ),
        "put a number back": (
            app,
            lambda ident: adapter.restore_number(_number(number), {"connection_id": ident}),
        ),
        "read the outbound profile": (app, profile),
        "confirm a caller id": (NUMBER, lambda e164: adapter.confirm_caller_id(e164, "x", "123456")),
    }
    common = _of_any(adapter, leg=telnyx.CONTROL_ID, number=number, recording=telnyx.LEG, setup=setup)
    return adapter, {**common, **_with_applications(adapter, app=app, number=number), **own}


def _twilio(ledger: Ledger) -> tuple[Provider, Mapping[str, Verb]]:
    adapter = TwilioProvider(twilio.SECRETS, transport=ledger)
    own: dict[str, Verb] = {
        "redirect": (
            twilio.CALL,
            lambda ident: adapter.redirect(LegRef(leg_id=ident, is_answered=True), NEXT),
        ),
        "read what a number points at": (
            f"AP{'0' * 32}",
            lambda ident: adapter.target_of(_number("", voice_application_sid=ident)),
        ),
        "read the permission of a country": ("US", lambda code: adapter.account_differences(None, (code,))),
        "confirm a caller id": (NUMBER, lambda e164: adapter.confirm_caller_id(e164, "", None)),
    }
    common = _of_any(
        adapter,
        leg=twilio.CALL,
        number=f"PN{'0' * 32}",
        recording=twilio.RECORDING,
        setup=NumberSetup(urls=SETUP_URLS),
    )
    return adapter, {**common, **own}


_VERBS: Final[Mapping[str, Callable[[Ledger], tuple[Provider, Mapping[str, Verb]]]]] = {
    "plivo": _plivo,
    "telnyx": _telnyx,
    "twilio": _twilio,
}
