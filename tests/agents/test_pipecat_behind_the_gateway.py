"""A third party's agent runtime on the media socket: pipecat's own serializers, with the agent of docs/agents.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from typing import Any

import pytest

from gateway import CallStatus, EndCause, EndedBy
from providers.simulator import Answer, Caller, SimCall
from providers.simulator.journal import Kind
from providers.simulator.media import Voice
from tests.agents.audio import likeness
from tests.agents.runtime import PAGE, PageAgent, Wire
from tests.bench import CALLEE, CALLER, Bench

pytestmark = [
    pytest.mark.agents,
    # what other people's code imports is not ours to mend; our own use of it stays strict
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:pipecat\."),
]

KEYS = "0123456789*#"
CLEARS = {"twilio": "clear", "telnyx": "clear", "plivo": "clearAudio"}


def heard_audio(sim_call: SimCall) -> tuple[int, bool]:
    """How many bytes of the agent's audio the party heard, and whether they are a piece of its own voice."""
    [(_, size, is_echo)] = [item for item in sim_call.heard if item[0] == "audio"]
    return size, is_echo


def assert_understood(bench: Bench) -> None:
    """The carrier took every frame of the agent's: none of an unknown form, of another stream or codec."""
    bad = [e for e in bench.sim.journal.all() if e.kind is Kind.MEDIA and e.data["what"] == "bad_message"]
    assert not bad


def test_the_page_names_the_version_that_is_tested(pipecat_is_there: None) -> None:
    assert f"pipecat-ai {version('pipecat-ai')}" in PAGE.read_text("utf-8")


def test_the_caller_hears_itself_and_the_agent_the_keys(
    bench: Bench, page: PageAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    ringing = bench.ring(caller=Caller(talk_s=4, keys=KEYS.replace("#", "")))
    call = bench.ended(bench.the_call(ringing))
    page.wire()
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.CALLER,
        EndCause.HUNG_UP,
    ), bench.story()
    size, is_echo = heard_audio(ringing)
    assert is_echo, "the caller's own voice, byte for byte"
    assert size > 8000, "more than a second of it"
    assert_understood(bench)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"talking to {CALLER} {{}}", "the claim told the agent who calls"
    assert shown[1:] == [f"key {key}" for key in KEYS if key != "#"]
    assert "agent joined" in [event.name for event in bench.gw.calls.events(call.id)]


def test_the_agent_hangs_up_by_ending_its_pipeline(bench: Bench, page: PageAgent) -> None:
    ringing = bench.ring(caller=Caller(keys="#"))
    call = bench.ended(bench.the_call(ringing))
    assert page.wire().closed_with == 1000
    assert (call.status, call.end_reason.who, call.end_reason.why) == (
        CallStatus.COMPLETED,
        EndedBy.US,
        EndCause.HUNG_UP,
    ), bench.story()
    assert_understood(bench)


def test_the_voice_survives_pipecats_own_rates(bench: Bench, page: PageAgent) -> None:
    from pipecat.pipeline.worker import PipelineParams

    page.names["RATES"] = PipelineParams()
    ringing = bench.ring(caller=Caller(talk_s=4))
    bench.ended(bench.the_call(ringing))
    size, _ = heard_audio(ringing)
    assert size > 8000, "more than a second"
    voice = Voice(says_tone=True)
    assert likeness(page.wire().said(), b"".join(voice.next_frame() for _ in range(250))) > 0.9
    assert_understood(bench)


def test_an_outbound_call_brings_its_variables(
    bench: Bench, page: PageAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.sim.script(CALLEE, Answer(after_s=0.5, talk_s=2))
    placed = bench.gw.place_call("echo", CALLEE, variables={"first_name": "Jane"})
    call = bench.ended(placed)
    page.wire()
    assert (call.status, call.end_reason.who) == (CallStatus.COMPLETED, EndedBy.CALLEE), bench.story()
    _, is_echo = heard_audio(bench.sim_call(call))
    assert is_echo
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"talking to {CALLEE} {{'first_name': 'Jane'}}"


def test_an_interruption_takes_back_what_was_not_played(bench: Bench, page: PageAgent) -> None:
    from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams

    page.names["Echo"] = talkative()
    # half a second at a time, so that there is something to take back
    page.names["FastAPIWebsocketParams"] = partial(FastAPIWebsocketParams, audio_out_10ms_chunks=50)
    ringing = bench.ring(caller=Caller(talk_s=5, keys="1444442"))
    bench.ended(bench.the_call(ringing))
    wire = page.wire()
    assert CLEARS[bench.provider] in wire.events()
    size, _ = heard_audio(ringing)
    assert 0 < size < len(wire.said()) - 800, "the rest would have been played before the caller hung up"
    assert_understood(bench)


def test_the_last_words_are_heard_before_the_agent_hangs_up(bench: Bench, page: PageAgent) -> None:
    page.names["Echo"] = talkative()
    ringing = bench.ring(caller=Caller(keys="13"))
    call = bench.ended(bench.the_call(ringing))
    assert call.end_reason.who is EndedBy.US, bench.story()
    size, _ = heard_audio(ringing)
    assert 24_000 - 800 < size <= 24_000, "three seconds but for the last moment"
    assert_understood(bench)


def talkative() -> type:
    """Return a processor that at key 1 speaks for three seconds, at 2 is interrupted, at 3 hangs up."""
    from pipecat.frames.frames import EndWorkerFrame, InputAudioRawFrame, InputDTMFFrame, OutputAudioRawFrame
    from pipecat.processors.frame_processor import FrameProcessor

    class Talkative(FrameProcessor):
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if not isinstance(frame, InputAudioRawFrame):
                await self.push_frame(frame, direction)
            match frame.button.value if isinstance(frame, InputDTMFFrame) else "":
                case "1":
                    await self.push_frame(OutputAudioRawFrame(b"\x00\x40\x00\xc0" * 12000, 8000, 1))
                case "2":
                    await self.broadcast_interruption()
                case "3":
                    await self.push_frame(EndWorkerFrame())

    return Talkative


def test_pipecat_recognizes_the_start_frame(bench: Bench, page: PageAgent) -> None:
    """A reader of the carriers' start frames that is not ours finds the same in the simulator's as we do."""
    from pipecat.runner.utils import parse_telephony_websocket

    ringing = bench.ring(caller=Caller(talk_s=1))
    bench.ended(bench.the_call(ringing))
    wire = page.wire()
    provider, found = asyncio.run(parse_telephony_websocket(Replay(wire)))
    assert (provider, found.call_id) == (bench.provider, ringing.id)
    start = next(frame for frame in wire.received if frame["event"] == "start")
    assert found.stream_id == stream_id(start)


def stream_id(start: dict[str, Any]) -> str:
    """Return the stream's id, from where the page's table says it is."""
    return start.get("streamSid") or start.get("stream_id") or start["start"]["streamId"]


class Replay:
    """What pipecat's reader needs of a WebSocket: the texts that came."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def iter_text(self) -> AsyncIterator[str]:
        for frame in self._wire.received:
            yield json.dumps(frame)


def test_a_stranger_gets_no_agent(bench: Bench, page: PageAgent, capsys: pytest.CaptureFixture[str]) -> None:
    """The start frame of a call, sent again by somebody who saw it: its token has been claimed."""
    ringing = bench.ring(caller=Caller(talk_s=1))
    bench.ended(bench.the_call(ringing))
    start = next(frame for frame in page.wire().received if frame["event"] == "start")
    capsys.readouterr()
    assert asyncio.run(open_with(page.url, start)) == 1008
    assert capsys.readouterr().out == "", "nobody is talked to"


async def open_with(url: str, frame: dict[str, Any]) -> int | None:
    """Open the agent's socket as a carrier does; return the code that the agent closes it with."""
    from aiohttp import ClientSession

    async with ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json(frame)
        await asyncio.wait_for(socket.receive(), 10)
        return socket.close_code
