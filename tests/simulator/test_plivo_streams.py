"""Media sockets of the simulated Plivo, against a real WebSocket server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plivo.utils.signature_v3 import validate_v3_signature

from providers.simulator import Caller, Simulator
from tests.simulator.plivo_customer import OURS, THEIRS, Customer, EchoAgent

NOBODY = "ws://127.0.0.1:1/media"


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Simulator(speed=10, seed=3) as sim:
        account = sim.add_account("plivo", name="Acme")
        sim.add_number(account, OURS)
        with Customer(sim=sim, account=account) as customer:
            sim.configure_number(OURS, voice_url=customer.url("/inbound"), status_url=customer.url("/hangup"))
            yield customer


def stream(customer: Customer, url: str, **attributes: str) -> str:
    shown = {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "contentType": "audio/x-mulaw;rate=8000",
        "extraHeaders": "call=42",
        "statusCallbackUrl": customer.url("/stream"),
        **attributes,
    }
    written = " ".join(f'{name}="{value}"' for name, value in shown.items())
    return f"<Stream {written}>{url}</Stream>"


def ring(customer: Customer, document: str, caller: Any = None) -> dict[str, str]:
    customer.answers["/inbound"] = f"<Response>{document}</Response>"
    call = customer.sim.ring(OURS, THEIRS, caller or Caller(talk_s=3))
    customer.sim.wait(call)
    return customer.end_of(call.id)


def events(customer: Customer) -> list[str]:
    return [params["Event"] for params in customer.params_at("/stream")]


@pytest.mark.parametrize(
    "content_type", ["audio/x-mulaw;rate=8000", "audio/x-l16;rate=8000", "audio/x-l16;rate=16000"]
)
def test_the_caller_hears_his_own_voice_from_an_echo_agent(customer: Customer, content_type: str) -> None:
    with EchoAgent() as agent:
        end = ring(
            customer, stream(customer, agent.url, contentType=content_type), Caller(talk_s=3, keys="1#")
        )
    (audio,) = customer.sim.journal.heard(end["CallUUID"])
    assert audio[0] == "audio"
    assert audio[1] >= 160
    assert audio[2] is True
    start = agent.frames[0]
    assert (start["event"], start["sequenceNumber"], start["extra_headers"]) == ("start", 1, "call=42")
    assert start["start"]["callId"] == end["CallUUID"]
    assert start["start"]["accountId"] == customer.account.account_ref
    keys = [frame["dtmf"]["digit"] for frame in agent.frames if frame["event"] == "dtmf"]
    assert keys == ["1", "#"]
    assert not [frame for frame in agent.frames if frame["event"] == "stop"]
    assert events(customer) == ["StartStream", "StopStream"]
    assert end["HangupSource"] == "Caller"


def test_the_opening_request_is_signed_over_the_http_form(customer: Customer) -> None:
    with EchoAgent() as agent:
        ring(customer, stream(customer, agent.url))
        (headers,) = agent.headers
        assert validate_v3_signature(
            "GET",
            agent.url.replace("ws://", "http://"),
            headers["X-Plivo-Signature-V3-Nonce"],
            customer.account.secrets["auth_token"],
            headers["X-Plivo-Signature-V3"],
        )


def test_when_the_agent_closes_the_next_element_runs(customer: Customer) -> None:
    with EchoAgent(closes_after=5) as agent:
        end = ring(customer, stream(customer, agent.url) + "<Speak>Bye</Speak>", Caller())
    assert customer.sim.journal.heard(end["CallUUID"])[-1] == ("say", "Bye")
    assert end["HangupCauseCode"] == "4010"


@pytest.mark.parametrize(("status", "error"), [(503, "connection_failed"), (403, "authentication_failed")])
def test_a_refused_stream_is_tried_three_times_then_dropped(
    customer: Customer, status: int, error: str
) -> None:
    with EchoAgent() as agent:
        agent.refuse_with = status
        end = ring(customer, stream(customer, agent.url) + "<Speak>Sorry</Speak>", Caller())
        assert len(agent.headers) == 3
    (dropped,) = customer.params_at("/stream")
    assert (dropped["Event"], dropped["Error"]) == ("DroppedStream", error)
    assert dropped["CallUUID"] == end["CallUUID"]
    assert customer.sim.journal.heard(end["CallUUID"]) == [("say", "Sorry")]


def test_an_agent_that_is_down_leaves_the_caller_to_the_next_element(customer: Customer) -> None:
    end = ring(customer, stream(customer, NOBODY) + "<Speak>Sorry</Speak>", Caller())
    assert events(customer) == ["DroppedStream"]
    assert customer.sim.journal.heard(end["CallUUID"]) == [("say", "Sorry")]


def test_the_other_published_event_names_are_a_habit(customer: Customer) -> None:
    customer.sim.face("plivo").habits.stream_events = "B"  # type: ignore[attr-defined]
    ring(customer, stream(customer, NOBODY), Caller())
    (failed,) = customer.params_at("/stream")
    assert (failed["Event"], failed["StatusReason"]) == ("failed", "connection_failed")


def test_without_keep_call_alive_the_document_runs_on_beside_the_stream(customer: Customer) -> None:
    with EchoAgent() as agent:
        end = ring(customer, stream(customer, agent.url, keepCallAlive="false"), Caller())
    assert end["HangupCauseCode"] == "4010"
    assert int(end["BillDuration"]) <= 3


def test_a_call_has_one_stream_at_a_time(customer: Customer) -> None:
    with EchoAgent() as agent:
        document = stream(customer, agent.url, keepCallAlive="false") + stream(customer, agent.url)
        ring(customer, document + "<Speak>After</Speak>", Caller())
        assert len(agent.headers) == 1
    assert events(customer) == ["StartStream", "StopStream"]


def test_checkpoints_are_answered_and_cleared_ones_are_not(customer: Customer) -> None:
    says = [
        {"event": "checkpoint", "name": "first"},
        {"event": "clearAudio"},
        {"event": "checkpoint", "name": "second"},
        {"event": "sendDTMF", "dtmf": "9"},
        {"event": "hello"},
    ]
    with EchoAgent(says=says) as agent:
        end = ring(customer, stream(customer, agent.url))
    told = [frame["event"] for frame in agent.frames if frame["event"] in ("playedStream", "clearedAudio")]
    assert sorted(told) in (
        ["clearedAudio", "playedStream"],
        ["clearedAudio", "playedStream", "playedStream"],
    )
    assert ("keys", "9") in customer.sim.journal.heard(end["CallUUID"])


def test_audio_of_another_format_ends_the_stream(customer: Customer) -> None:
    wrong = {
        "event": "playAudio",
        "media": {"contentType": "audio/x-l16", "sampleRate": 8000, "payload": "AAAA"},
    }
    with EchoAgent(says=[wrong]) as agent:
        ring(customer, stream(customer, agent.url))
    failed = customer.params_at("/stream")[-1]
    assert (failed["Event"], failed["Error"]) == ("DroppedStream", "invalid_content_type")


def test_a_stream_is_started_shown_and_stopped_over_the_api(customer: Customer) -> None:
    customer.answers["/inbound"] = "<Response><Speak>Hi</Speak><Wait length='600'/></Response>"
    call = customer.sim.ring(OURS, THEIRS)
    customer.sim.wait(lambda: customer.sim.call(call.id).answered)
    path = f"Call/{call.id}/Stream/"
    with EchoAgent() as agent:
        order = {"service_url": agent.url, "bidirectional": True, "content_type": "audio/x-mulaw;rate=8000"}
        assert customer.api("POST", path, {**order, "audio_track": "both"}).status_code == 400
        started = customer.api("POST", path, order)
        assert (started.status_code, started.json()["message"]) == (201, "audio streaming started")
        stream_id = started.json()["stream_id"]
        assert customer.api("POST", path, order).status_code == 400
        customer.sim.wait(lambda: agent.frames)
        assert customer.api("GET", f"{path}{stream_id}/").json()["service_url"] == agent.url
        assert customer.api("DELETE", f"{path}{stream_id}/").status_code == 204
        customer.sim.wait(lambda: customer.api("GET", f"{path}{stream_id}/").json()["status"] == "stopped")
    customer.api("DELETE", f"Call/{call.id}/")
    customer.sim.wait(call)
