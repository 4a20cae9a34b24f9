"""Media streams of the simulated Twilio: frames, echo, keys, marks, refusals."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from providers.simulator import Account, Caller, Kind, SimCall, Simulator
from providers.simulator.carriers.twilio.frames import TwilioFrames
from providers.simulator.media import AudioIn, BadIn, ClearIn, MarkIn
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS = "+14155550100", "+14155550123"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=10) as simulator:
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio")
    sim.add_number(account, OURS)
    return account


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Customer(replies={"/next": "<Response><Say>What now</Say></Response>"}) as customer:
        yield customer


def connect(url: str, inner: str = "") -> str:
    stream = f"<Stream url='{url}' name='main' statusCallback='/stream'>{inner}</Stream>"
    return f"<Response><Connect action='/next'>{stream}</Connect></Response>"


def ring(sim: Simulator, customer: Customer, twiml: str, caller: Caller) -> SimCall:
    customer.replies["/voice"] = twiml
    sim.configure_number(OURS, voice_url=customer.url("/voice"))
    call = sim.ring(OURS, THEIRS, caller)
    sim.wait(call)
    return call


def stream_events(customer: Customer) -> list[str]:
    return [got.fields["StreamEvent"] for got in customer.at("/stream")]


def test_an_echoing_agent_is_heard_as_an_echo(sim: Simulator, account: Account, customer: Customer) -> None:
    parameter = "<Parameter name='token' value='t-1'/>"
    call = ring(sim, customer, connect(customer.stream_url(), parameter), Caller(talk_s=4, keys="12#"))
    kind, size, is_echo = call.heard[0]
    assert (kind, is_echo) == ("audio", True)
    assert size >= 160 * 20
    events = [frame["event"] for frame in customer.frames if frame["event"] not in ("media", "dtmf")]
    assert events == ["connected", "start", "stop"]
    start = customer.frames[1]["start"]
    assert (start["callSid"], start["customParameters"]) == (call.id, {"token": "t-1"})
    assert start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert [frame["dtmf"]["digit"] for frame in customer.frames if frame["event"] == "dtmf"] == [
        "1",
        "2",
        "#",
    ]
    assert [int(frame["sequenceNumber"]) for frame in customer.frames[1:]] == list(
        range(1, len(customer.frames))
    )
    assert sorted(stream_events(customer)) == ["stream-started", "stream-stopped"]


def test_media_frames_are_twenty_milliseconds_each(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    ring(sim, customer, connect(customer.stream_url()), Caller(talk_s=2))
    media = [frame["media"] for frame in customer.frames if frame["event"] == "media"]
    assert [int(frame["chunk"]) for frame in media] == list(range(1, len(media) + 1))
    assert [int(frame["timestamp"]) for frame in media[:3]] == [0, 20, 40]
    assert {len(base64.b64decode(frame["payload"])) for frame in media} == {160}
    assert {frame["track"] for frame in media} == {"inbound"}


def test_a_socket_the_agent_closes_moves_on_to_the_action(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.closes_after = 20
    call = ring(sim, customer, connect(customer.stream_url()), Caller(talk_s=None))
    assert call.heard[-1] == ("say", "What now")
    assert customer.at("/next")[0].fields["CallStatus"] == "in-progress"
    assert sim.journal.find(Kind.MEDIA, call=call, what="closed")[0].data["by"] == "agent"


def test_without_action_the_next_verb_runs(sim: Simulator, account: Account, customer: Customer) -> None:
    customer.closes_after = 5
    twiml = (
        f"<Response><Connect><Stream url='{customer.stream_url()}'/></Connect><Say>Next verb</Say></Response>"
    )
    call = ring(sim, customer, twiml, Caller(talk_s=None))
    assert call.heard[-1] == ("say", "Next verb")


def test_a_socket_nobody_listens_on_is_told_and_moves_on(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = ring(sim, customer, connect(f"ws://127.0.0.1:{port}/media"), Caller(talk_s=None))
    assert stream_events(customer) == ["stream-error"]
    assert call.heard == [("say", "What now")]
    assert [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER, call=call)] == [31920]


def test_a_handshake_answered_with_http_is_told_with_its_status(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/deaf"] = (403, "no")
    call = ring(sim, customer, connect(customer.stream_url("/deaf")), Caller(talk_s=None))
    refused = sim.journal.find(Kind.MEDIA, call=call, what="refused")[0]
    assert (refused.data["reason"], refused.data["status"]) == ("http", 403)
    assert call.heard == [("say", "What now")]


def test_marks_come_back_when_played_and_at_once_after_a_clear(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    second = base64.b64encode(b"\x20" * 8000).decode()
    minute = base64.b64encode(b"\x20" * 8000 * 30).decode()
    customer.sends = [
        {"event": "media", "media": {"payload": second}},
        {"event": "mark", "mark": {"name": "one"}},
    ]
    ring(sim, customer, connect(customer.stream_url()), Caller(talk_s=6))
    assert [frame["mark"]["name"] for frame in customer.frames if frame["event"] == "mark"] == ["one"]
    customer.frames.clear()
    customer.sends = [
        {"event": "media", "media": {"payload": minute}},
        {"event": "mark", "mark": {"name": "late"}},
        {"event": "clear"},
    ]
    call = ring(sim, customer, connect(customer.stream_url()), Caller(talk_s=3))
    assert [frame["mark"]["name"] for frame in customer.frames if frame["event"] == "mark"] == ["late"]
    assert call.heard[0][1] < 8000 * 10


def test_a_message_twilio_does_not_know_is_an_error_in_its_journal(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.sends = [{"event": "hangup"}]
    call = ring(sim, customer, connect(customer.stream_url()), Caller(talk_s=2))
    bad = sim.journal.find(Kind.MEDIA, call=call, what="bad_message")
    assert [entry.data["reason"] for entry in bad] == ["unknown event 'hangup'"]


def test_a_fork_does_not_hold_up_the_verbs_and_is_never_heard(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    fork = f"<Start><Stream url='{customer.stream_url()}' name='f'/></Start>"
    twiml = (
        f"<Response>{fork}<Say>Meanwhile</Say><Pause length='5'/><Stop><Stream name='f'/></Stop></Response>"
    )
    call = ring(sim, customer, twiml, Caller(talk_s=None))
    assert call.heard == [("say", "Meanwhile"), ("silence", 5.0)]
    sim.wait(lambda: customer.frames[-1]["event"] == "stop")


def test_a_redirect_closes_the_stream(sim: Simulator, account: Account, customer: Customer) -> None:
    customer.replies["/voice"] = connect(customer.stream_url())
    sim.configure_number(OURS, voice_url=customer.url("/voice"))
    call = sim.ring(OURS, THEIRS)
    sim.wait(lambda: len(customer.frames) > 5)
    moved = [("Twiml", "<Response><Say>Moved</Say></Response>")]
    assert Api(sim=sim, account=account)("POST", f"/Calls/{call.id}.json", moved)[0] == 200
    sim.wait(call)
    assert call.heard[-1] == ("say", "Moved")
    sim.wait(lambda: customer.frames[-1]["event"] == "stop")


@pytest.mark.parametrize(
    "url",
    ["ws://agents.example.com/media", "wss://agents.example.com/media?x=1", "https://agents.example.com/"],
)
def test_a_stream_url_is_wss_without_query(
    sim: Simulator, account: Account, customer: Customer, url: str
) -> None:
    call = ring(sim, customer, connect(url.replace("&", "&amp;")), Caller(talk_s=None))
    assert [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER, call=call)] == [12200]
    assert not sim.journal.find(Kind.MEDIA, call=call)


def test_the_codec_reads_what_agents_may_send_and_refuses_the_rest() -> None:
    codec = TwilioFrames(stream_sid="MZ1", account_sid="AC1", call_sid="CA1", parameters={})
    head = '{"streamSid":"MZ1","event":'
    assert codec.read(head + '"media","media":{"payload":"//8="}}') == AudioIn(payload=b"\xff\xff")
    assert codec.read(head + '"mark","mark":{"name":"m"}}') == MarkIn(name="m")
    assert codec.read(head + '"clear"}') == ClearIn()
    for bad in (
        "",
        "[]",
        "null",
        '{"event":"clear"}',
        head + '"media"}',
        head + '"media","media":{"payload":"?"}}',
    ):
        assert isinstance(codec.read(bad), BadIn), bad
    one_way = TwilioFrames(
        stream_sid="MZ1", account_sid="AC1", call_sid="CA1", parameters={}, is_bidirectional=False
    )
    assert isinstance(one_way.read(head + '"clear"}'), BadIn)
    assert one_way.key("1") is None
