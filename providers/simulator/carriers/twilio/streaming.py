"""`<Connect><Stream>`, `<Start>` and `<Stop>`: media sockets and recordings beside the other verbs."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET  # parsed and checked by documents.parse
from typing import TYPE_CHECKING, Final

from providers.simulator.carriers.twilio.frames import TwilioFrames
from providers.simulator.carriers.twilio.model import Endpoint
from providers.simulator.carriers.twilio.signing import signature
from providers.simulator.carriers.twilio.steps import Step
from providers.simulator.carriers.twilio.webhooks import stream_fields
from providers.simulator.media import MediaStream, StreamEnd, StreamRefused

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.executor import Executor

TRACKS: Final = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}
# Source: Twilio error dictionary. That a refused connection is 31920, as a refused handshake is, is unconfirmed.
REFUSED, CONNECT_TIMEOUT, BAD_MESSAGE = 31920, 31901, 31951


async def connect(run: Executor, verb: ET.Element) -> Step:
    """Blocks until the agent closes the socket (or never opened it); then the action, or the next verb."""
    run.answer()
    await StreamRun(run, verb[0], is_bidirectional=True).stream()
    return await run.after(run.link(verb, "action"), "connect", {})


async def start(run: Executor, verb: ET.Element) -> Step:
    """A fork of the audio, or a recording: the next verb runs at once."""
    noun = verb[0]
    if noun.tag == "Recording":
        channels = 1 if noun.get("channels") == "mono" else 2
        run.face.start_recording(run.call, run.recording_options(noun, "StartCallRecordingAPI", channels))
    else:
        fork = StreamRun(run, noun, is_bidirectional=False)
        run.face.core.spawn(fork.stream(), call_id=run.leg.root.id)
    return None


async def stop(run: Executor, verb: ET.Element) -> Step:
    """Ends a fork by its name, or the recordings. A `<Connect>` stream cannot be stopped so."""
    noun = verb[0]
    if noun.tag == "Recording":
        for recording in list(run.call.recordings):
            run.face.finish_recording(recording)
        return None
    stream = run.call.streams.get(noun.get("name", ""))
    if stream is not None:
        stream.close()
    return None


class StreamRun:
    """One `<Stream>`, from the connect to its last status callback."""

    def __init__(self, run: Executor, noun: ET.Element, *, is_bidirectional: bool) -> None:
        self._face = run.face
        self._call = run.call
        self._noun = noun
        self._is_bidirectional = is_bidirectional
        self._sid = "MZ" + run.face.core.hex(32)
        self._name = noun.get("name", self._sid)
        self._url = noun.get("url", "")
        self._callback = run.link(noun, "statusCallback", "statusCallbackMethod")

    async def stream(self) -> None:
        """Connects, streams until either side ends it, and tells the customer about each."""
        stream = self._open()
        try:
            await stream.connect()
        except StreamRefused as refused:
            self._fail(CONNECT_TIMEOUT if refused.kind == "timeout" else REFUSED, str(refused))
            return
        self._tell("stream-started")
        end = await self._run(stream)
        if end.by == "error":
            self._fail(BAD_MESSAGE, end.reason or "bad message")
        self._tell("stream-stopped")

    def _open(self) -> MediaStream:
        noun, call = self._noun, self._call
        codec = TwilioFrames(
            stream_sid=self._sid,
            account_sid=call.account.sid,
            call_sid=call.sid,
            parameters={item.get("name", ""): item.get("value", "") for item in noun.findall("Parameter")},
            tracks=TRACKS[noun.get("track", "inbound_track")],
            is_bidirectional=self._is_bidirectional,
        )
        # The header is documented for ConversationRelay; for Media Streams it is unconfirmed.
        headers = {"X-Twilio-Signature": signature(call.account.auth_token, self._url, [])}
        return self._face.core.open_stream(
            call.leg, self._url, codec, headers=headers, uses_party=self._is_bidirectional
        )

    async def _run(self, stream: MediaStream) -> StreamEnd:
        """A redirect cancels the verb: the stream is closed in order then, too."""
        if not self._is_bidirectional:
            self._call.streams[self._name] = stream
        running = asyncio.create_task(stream.run())
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stream.close()
            await running
            self._tell("stream-stopped")
            raise
        finally:
            self._call.streams.pop(self._name, None)

    def _fail(self, code: int, why: str) -> None:
        self._face.complain(self._call, code, why, Endpoint(url=self._url, method="GET"))
        self._tell("stream-error", why)

    def _tell(self, event: str, error: str | None = None) -> None:
        if self._callback is None:
            return
        now = self._face.core.clock.now()
        fields = stream_fields(self._call, self._sid, self._name, event, now, error)
        self._face.tell(self._call, self._callback, fields, hook="stream", event=event)
