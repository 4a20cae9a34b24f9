"""Each instruction as the commands that Telnyx gets, spelt out literally."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import (
    Conflict,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnsupportedFeature,
)
from gateway.instructions import (
    Forward,
    HangUp,
    Instruction,
    LeaveMessage,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.interface import LegRef, WebhookReply
from gateway.status import Direction, RejectAs
from gateway.transport import HttpResponse, OutcomeUnknown
from providers.telnyx.calls import command_id
from providers.telnyx.instructions import commands
from tests.adapters.telnyx.support import (
    ATTEMPT,
    CONTROL_ID,
    OURS,
    STEP,
    check_request,
    live_call,
    ok,
    provider,
    refused,
    state,
)

AGENT = Stream("wss://agents.example.test/media", {"call_id": "call-1", "token": "t"})
RETRIES = {"retries_ms": [1000, 4000, 10000, 20000, 25000]}
STREAMED = {
    "stream_url": "wss://agents.example.test/media",
    "stream_track": "inbound_track",
    "stream_codec": "PCMU",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
    "stream_bidirectional_sampling_rate": 8000,
    "custom_parameters": [{"name": "call_id", "value": "call-1"}, {"name": "token", "value": "t"}],
    "client_state": state("stream"),
}
STOPPED = {"client_state": state("stop")}
FORWARDED = {
    "to": "+13125550177",
    "from": OURS,
    "timeout_secs": 30,
    "time_limit_secs": 1800,
    "client_state": state("forward"),
    "target_leg_client_state": state("leg"),
    "webhook_url": "https://voice.example.test/voice/key/events",
    "webhook_url_method": "POST",
}
CONVERSATION = {"format": "mp3", "channels": "dual", "play_beep": False}

PLANS: list[tuple[str, dict[str, Any], Instruction, list[tuple[str, dict[str, Any]]]]] = [
    (
        "an inbound call that waits is answered first, whatever comes next",
        {"answered": False},
        AGENT,
        [
            (
                "answer",
                {
                    "client_state": state("answer"),
                    "webhook_retries_policies": {"call.answered": RETRIES, "call.hangup": RETRIES},
                },
            )
        ],
    ),
    (
        "an outbound call that rings gets nothing until it is answered",
        {"answered": False, "direction": Direction.OUTBOUND},
        AGENT,
        [],
    ),
    ("a busy refusal", {"answered": False}, Reject(), [("reject", {"cause": "USER_BUSY"})]),
    (
        "another refusal",
        {"answered": False},
        Reject(RejectAs.REJECTED),
        [("reject", {"cause": "CALL_REJECTED"})],
    ),
    ("a refusal that comes too late hangs up", {}, Reject(), [("hangup", {})]),
    (
        "an outbound call cannot be refused, only ended",
        {"answered": False, "direction": Direction.OUTBOUND},
        Reject(),
        [("hangup", {})],
    ),
    ("the end", {}, HangUp(), [("hangup", {})]),
    ("the end of a ringing call", {"answered": False}, HangUp(), [("hangup", {})]),
    ("an agent's media socket", {}, AGENT, [("streaming_start", STREAMED)]),
    (
        "the state names the attempt of an outbound call",
        {"direction": Direction.OUTBOUND, "attempt_token": ATTEMPT},
        AGENT,
        [("streaming_start", STREAMED | {"client_state": state("stream", ATTEMPT)})],
    ),
    (
        "a recording of the conversation starts with it",
        {"record": True},
        AGENT,
        [("record_start", CONVERSATION), ("streaming_start", STREAMED)],
    ),
    (
        "a phone number",
        {},
        Forward("+13125550177"),
        [("streaming_stop", STOPPED), ("transfer", FORWARDED)],
    ),
    (
        "a phone number shown as another",
        {"caller_id": None},
        Forward("+13125550177", caller_id="+13125550178"),
        [("streaming_stop", STOPPED), ("transfer", FORWARDED | {"from": "+13125550178"})],
    ),
    (
        "a forward for a shorter time than the carrier can count",
        {"max_duration_s": 20},
        Forward("+13125550177"),
        [
            ("streaming_stop", STOPPED),
            ("transfer", {key: FORWARDED[key] for key in FORWARDED if key != "time_limit_secs"}),
        ],
    ),
    (
        "a SIP address, recorded",
        {"record": True},
        Sip("sip:desk@pbx.example.test"),
        [
            ("record_start", CONVERSATION),
            ("streaming_stop", STOPPED),
            ("transfer", FORWARDED | {"to": "sip:desk@pbx.example.test"}),
        ],
    ),
    (
        "a sentence",
        {},
        Say("Hello."),
        [
            ("streaming_stop", STOPPED),
            (
                "speak",
                {
                    "payload": "Hello.",
                    "payload_type": "text",
                    "voice": "AWS.Polly.Joanna",
                    "language": "en-US",
                    "client_state": state("say"),
                },
            ),
        ],
    ),
    (
        "a sentence in the nearest language",
        {},
        Say("Grüezi.", "de-CH"),
        [
            ("streaming_stop", STOPPED),
            (
                "speak",
                {
                    "payload": "Grüezi.",
                    "payload_type": "text",
                    "voice": "AWS.Polly.Vicki",
                    "language": "de-DE",
                    "client_state": state("say"),
                },
            ),
        ],
    ),
    (
        "a message left on a machine",
        {"record": True},
        LeaveMessage("Call us."),
        [
            ("streaming_stop", STOPPED),
            (
                "speak",
                {
                    "payload": "Call us.",
                    "payload_type": "text",
                    "voice": "AWS.Polly.Joanna",
                    "language": "en-US",
                    "client_state": state("say"),
                },
            ),
        ],
    ),
    (
        "a message taken",
        {},
        TakeMessage("", 60),
        [
            ("streaming_stop", STOPPED),
            (
                "record_start",
                {
                    "format": "mp3",
                    "channels": "single",
                    "play_beep": True,
                    "max_length": 60,
                    "client_state": state("message"),
                },
            ),
        ],
    ),
]


@pytest.mark.parametrize(
    ("changes", "instruction", "expected"),
    [plan[1:] for plan in PLANS],
    ids=[plan[0] for plan in PLANS],
)
def test_an_instruction_becomes_these_commands(
    changes: dict[str, Any], instruction: Instruction, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    telnyx, script = provider(*[ok() for _ in expected])
    assert telnyx.answer(live_call(**changes), instruction) == WebhookReply()
    assert script.lines == [f"POST /calls/{CONTROL_ID}/actions/{action}" for action, _ in expected]
    for body, (_, params) in zip(script.bodies, expected, strict=True):
        assert body.pop("command_id")
        assert body == params


@pytest.mark.parametrize(
    ("changes", "instruction"), [plan[1:3] for plan in PLANS], ids=[plan[0] for plan in PLANS]
)
def test_every_command_is_one_that_the_carrier_documents(
    changes: dict[str, Any], instruction: Instruction
) -> None:
    telnyx, script = provider(*[ok() for _ in range(4)])
    telnyx.answer(live_call(**changes), instruction)
    for request in script.sent:
        check_request(request)


def test_the_same_step_sends_the_same_command_ids_and_another_step_others() -> None:
    def ids(step: str) -> list[str]:
        telnyx, script = provider(*[ok() for _ in range(4)])
        call = live_call(step_token=step, record=True)
        telnyx.answer(call, Sip("sip:desk@pbx.example.test"))
        return [body["command_id"] for body in script.bodies]

    assert ids(STEP) == ids(STEP)
    assert len({*ids(STEP), *ids("0" * 32)}) == 6


def test_a_command_id_is_a_uuid_fixed_for_all_time() -> None:
    # A literal: after an upgrade in the middle of a call the same step must still send the same id.
    assert command_id(STEP, "speak") == "8c44dacc-7857-5a75-bc41-b498f49c520a"


def test_a_stream_that_still_runs_is_ended_before_the_new_one() -> None:
    telnyx, script = provider(refused(422, "90045", "Media streaming in use"), ok(), ok())
    telnyx.answer(live_call(), AGENT)
    assert [line.rpartition("/")[2] for line in script.lines] == [
        "streaming_start",
        "streaming_stop",
        "streaming_start",
    ]
    first, stop, again = script.bodies
    assert first["command_id"] != again["command_id"]
    assert stop["client_state"] == state("stop")
    assert {**first, "command_id": again["command_id"]} == again
    for request in script.sent:
        check_request(request)


def test_a_new_stream_is_tried_again_while_the_old_one_ends_but_not_for_ever() -> None:
    pauses, ids = [], set()
    (command,) = commands(live_call(), AGENT)
    while True:
        pauses.append(command.pause_s)
        ids.add(command.params["command_id"])
        if not command.instead:
            break
        *_, command = command.instead["90045"]
    assert pauses == [0.0, 0.1, 0.3, 0.6]
    assert len(ids) == 4


def test_that_there_was_no_stream_to_end_is_fine() -> None:
    telnyx, script = provider(refused(422, "90048", "Media streaming is not used"), ok())
    telnyx.answer(live_call(), Say("Hello."))
    assert len(script.sent) == 2


OVER = [
    refused(422, "90018", "Call has already ended"),
    refused(422, 90018, "Call has already ended"),
    refused(422, "90015", "Invalid call control ID"),
    refused(404, "10005", "Resource not found"),
]


@pytest.mark.parametrize("answer", OVER)
def test_a_call_that_is_over_needs_no_instruction(answer: HttpResponse) -> None:
    telnyx, script = provider(answer)
    assert telnyx.answer(live_call(), Say("Hello.")) == WebhookReply()
    assert len(script.sent) == 1


@pytest.mark.parametrize("answer", [ok(), *OVER])
def test_hanging_up_succeeds_also_when_it_is_over(answer: HttpResponse) -> None:
    telnyx, script = provider(answer)
    telnyx.hang_up(LegRef(leg_id=CONTROL_ID))
    assert script.lines == [f"POST /calls/{CONTROL_ID}/actions/hangup"]
    check_request(script.sent[0])


def start(telnyx: Any, **said: Any) -> None:
    telnyx.start_recording(LegRef(leg_id=CONTROL_ID), recording_url="unused", max_duration_s=600, **said)


def test_a_recording_of_a_live_call_is_a_command_without_a_state() -> None:
    telnyx, script = provider(ok())
    start(telnyx)
    assert script.lines == [f"POST /calls/{CONTROL_ID}/actions/record_start"]
    [body] = script.bodies
    assert body.pop("command_id")
    assert body == {"format": "mp3", "channels": "dual", "play_beep": False}
    check_request(script.sent[0])


def test_a_recording_that_may_run_is_ended_before_another_is_started() -> None:
    telnyx, script = provider(ok(), ok())
    start(telnyx, may_run=True)
    assert [line.rpartition("/")[2] for line in script.lines] == ["record_stop", "record_start"]
    for request in script.sent:
        check_request(request)


@pytest.mark.parametrize(
    "answer", [*OVER, refused(422, "90034", "Call not answered yet"), refused(422, "90020", "Too early")]
)
def test_a_call_that_is_not_connected_is_not_recorded(answer: HttpResponse) -> None:
    telnyx, _ = provider(answer)
    with pytest.raises(Conflict):
        start(telnyx)


@pytest.mark.parametrize("answer", [ok(), *OVER, refused(422, "90099", "Nothing is recorded")])
def test_a_recording_is_ended_and_that_there_is_none_is_fine(answer: HttpResponse) -> None:
    telnyx, script = provider(answer)
    telnyx.stop_recording(LegRef(leg_id=CONTROL_ID))
    assert script.lines == [f"POST /calls/{CONTROL_ID}/actions/record_stop"]
    check_request(script.sent[0])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(401, "10009"), RequestRefused),
        (refused(500, "10007"), ProviderUnavailable),
        (HttpResponse(status=422, body=b"<html>"), ProviderUnavailable),
        (OutcomeUnknown("timed out"), ProviderUnavailable),
    ],
)
def test_a_recording_that_may_still_run_is_an_error(answer: Any, error: type[ProviderError]) -> None:
    for act in (start, lambda telnyx: telnyx.stop_recording(LegRef(leg_id=CONTROL_ID))):
        telnyx, script = provider(answer)
        with pytest.raises(error):
            act(telnyx)
        assert len(script.sent) == 1


def test_each_request_to_hang_up_counts_for_itself() -> None:
    telnyx, script = provider(ok(), ok())
    telnyx.hang_up(LegRef(leg_id=CONTROL_ID))
    telnyx.hang_up(LegRef(leg_id=CONTROL_ID))
    first, second = script.bodies
    assert first["command_id"] != second["command_id"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(422, "90034", "Call not answered yet"), RequestRefused),
        (refused(401, "10009"), RequestRefused),
        (HttpResponse(status=404, body=b"<html>"), ProviderUnavailable),
        (refused(429, "10011", headers={"x-ratelimit-reset": "7"}), RateLimited),
        (refused(500, "10007"), ProviderUnavailable),
        (refused(408, "10008"), ProviderUnavailable),
        (HttpResponse(status=302), ProviderUnavailable),
        (OutcomeUnknown("timed out"), ProviderUnavailable),
    ],
)
def test_any_other_answer_is_an_error_and_sent_once(answer: Any, error: type[ProviderError]) -> None:
    for act in (
        lambda telnyx: telnyx.hang_up(LegRef(leg_id=CONTROL_ID)),
        lambda telnyx: telnyx.answer(live_call(), AGENT),
    ):
        telnyx, script = provider(answer, ok(), ok())
        with pytest.raises(error) as caught:
            act(telnyx)
        assert type(caught.value) is error
        assert len(script.sent) == 1
        if isinstance(caught.value, RateLimited):
            assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    "ident", ["", "../calls", "v3:a/b", "v3:%2e%2e%2f", "x?y=1", "a#b", "é" * 20, "a" * 300]
)
def test_an_id_that_is_none_never_reaches_a_url(ident: str) -> None:
    telnyx, script = provider(ok())
    for act in (
        lambda: telnyx.hang_up(LegRef(leg_id=ident)),
        lambda: telnyx.answer(live_call(leg_id=ident), HangUp()),
        lambda: telnyx.fetch_call(LegRef(leg_id=ident)),
    ):
        with pytest.raises(RequestRefused):
            act()
    assert script.sent == []


@pytest.mark.parametrize(
    ("changes", "instruction", "hint"),
    [
        ({}, TakeMessage("Please speak.", 60), "step"),
        ({}, TakeMessage("", 14_401), "14400"),
        ({}, Say("x" * 3_001), "3000"),
        ({}, Say(""), "3000"),
        ({}, Say("Tere.", "et-EE"), "sv-SE"),
        ({"join_timeout_s": 4}, Forward("+13125550177"), "5 to 600"),
        ({"join_timeout_s": 601}, Sip("sip:a@b.example"), "5 to 600"),
    ],
)
def test_what_the_carrier_cannot_do_is_refused_before_anything_is_sent(
    changes: dict[str, Any], instruction: Instruction, hint: str
) -> None:
    telnyx, script = provider()
    with pytest.raises(UnsupportedFeature, match=hint):
        telnyx.answer(live_call(**changes), instruction)
    assert script.sent == []


def test_there_is_no_document_to_be_sent_to() -> None:
    telnyx, script = provider()
    with pytest.raises(UnsupportedFeature):
        telnyx.redirect(LegRef(leg_id=CONTROL_ID), "https://voice.example.test/next")
    assert script.sent == []


def test_text_that_no_json_can_hold_is_cleaned() -> None:
    telnyx, script = provider(ok(), ok())
    telnyx.answer(live_call(), Say("a\x00b\ud800c"))
    assert script.bodies[1]["payload"] == "a\ufffdb\ufffdc"
