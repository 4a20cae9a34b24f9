"""Calls through the simulated Telnyx: real HTTP both ways, webhooks received by a real server."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import wave
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from providers.simulator import (
    Answer,
    Busy,
    Caller,
    Decline,
    Fault,
    HangUpWhileRinging,
    NoAnswer,
    Simulator,
    Unreachable,
    Voicemail,
)
from tests.simulator.telnyx_customer import (
    CALLEE,
    CALLER,
    OURS,
    STATE,
    Agent,
    Bench,
    Hook,
    Receiver,
    receiving,
    telnyx_bench,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as box:
        yield box


@pytest.fixture
def bench(receiver: Receiver) -> Iterator[Bench]:
    with telnyx_bench(receiver) as made:
        yield made


def cause(hangup: dict[str, Any]) -> tuple[str, str, str]:
    return hangup["hangup_cause"], hangup["hangup_source"], hangup["sip_hangup_cause"]


# --- outbound ----------------------------------------


def test_an_answered_call_reports_initiated_answered_and_hangup(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=2))
    answer = bench.dial(client_state=STATE)
    data = answer.json()["data"]
    assert (answer.status_code, data["record_type"], data["is_alive"]) == (200, "call", False)
    assert data["client_state"] == STATE
    assert len(data["call_control_id"]) == 57
    assert data["call_control_id"].startswith("v3:")
    call = bench.sim.call(data["call_control_id"])
    hangup = bench.end(call)
    assert sorted(bench.receiver.types()) == ["call.answered", "call.hangup", "call.initiated"]
    assert cause(hangup) == ("normal_clearing", "callee", "200")
    assert bench.sim.truth(call) == "answered"
    initiated = bench.receiver.one("call.initiated")
    assert (initiated["direction"], initiated["state"]) == ("outgoing", "bridging")
    for hook in bench.receiver.hooks:
        assert hook.payload["client_state"] == STATE
        assert hook.payload["call_leg_id"] == data["call_leg_id"]
        assert hook.payload["call_session_id"] == data["call_session_id"]
        assert (hook.payload["from"], hook.payload["to"]) == (OURS, CALLEE)
        assert hook.document["meta"] == {"attempt": 1, "delivered_to": bench.receiver.url()}
    assert len({hook.document["data"]["id"] for hook in bench.receiver.hooks}) == 3


def test_every_webhook_is_signed_with_the_accounts_key(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    bench.end(bench.call())
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(bench.account.secrets["public_key"]))
    for hook in bench.receiver.hooks:
        lower = {name.lower(): value for name, value in hook.headers.items()}
        assert lower["user-agent"] == "telnyx-webhooks"
        assert lower["content-type"] == "application/json"
        assert abs(int(lower["telnyx-timestamp"]) - time.time()) < 10
        signed = lower["telnyx-timestamp"].encode() + b"|" + hook.raw
        key.verify(base64.b64decode(lower["telnyx-signature-ed25519"]), signed)


@pytest.mark.parametrize(
    ("script", "fields", "expected", "truth"),
    [
        (Busy(), {}, ("user_busy", "callee", "486"), "busy"),
        (Decline(), {}, ("call_rejected", "callee", "603"), "declined"),
        (Unreachable(), {}, ("not_found", "callee", "404"), "unreachable"),
        (Unreachable(sip_code=503), {}, ("unspecified", "unknown", "503"), "unreachable"),
        (NoAnswer(), {"timeout_secs": 5}, ("timeout", "caller", "487"), "no_answer"),
        (
            NoAnswer(),
            {"timeout_secs": 5, "retry_on_timeout": False},
            ("no_answer", "caller", "487"),
            "no_answer",
        ),
        (NoAnswer(rings_s=3), {"timeout_secs": 20}, ("no_answer", "callee", "480"), "no_answer"),
        (Answer(), {"time_limit_secs": 30}, ("time_limit", "unknown", "200"), "answered"),
    ],
)
def test_each_end_has_the_documented_cause(
    bench: Bench, script: Any, fields: dict[str, Any], expected: tuple[str, str, str], truth: str
) -> None:
    bench.sim.script(CALLEE, script)
    call = bench.call(**fields)
    assert cause(bench.end(call)) == expected
    assert bench.sim.truth(call) == truth
    assert "call.ringing" not in bench.receiver.types()


def test_hanging_up_while_it_rings_cancels(bench: Bench) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = bench.call()
    assert bench.do(call, "hangup").json() == {"data": {"result": "ok"}}
    assert cause(bench.end(call)) == ("originator_cancel", "caller", "487")
    assert bench.sim.truth(call) == "cancelled"
    again = bench.do(call, "hangup")
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "90018")


def test_hanging_up_after_the_answer_is_a_normal_end(bench: Bench) -> None:
    call = bench.call()
    bench.until("call.answered")
    bench.do(call, "hangup", client_state="Ynll")
    hangup = bench.end(call)
    assert cause(hangup) == ("normal_clearing", "caller", "200")
    assert hangup["client_state"] == "Ynll"


@pytest.mark.parametrize(
    ("mode", "script", "expected"),
    [
        ("premium", Answer(talk_s=4), [("call.machine.premium.detection.ended", "human_residence")]),
        (
            "premium",
            Voicemail(records_s=2),
            [
                ("call.machine.premium.detection.ended", "machine"),
                ("call.machine.premium.greeting.ended", "beep_detected"),
            ],
        ),
        ("premium", Voicemail(verdict="fax", records_s=1, beep=False), [
            ("call.machine.premium.detection.ended", "fax_detected"),
        ]),
        (
            "detect_beep",
            Voicemail(records_s=2),
            [("call.machine.detection.ended", "machine"), ("call.machine.greeting.ended", "beep_detected")],
        ),
        ("disabled", Voicemail(records_s=1), []),
    ],
)  # fmt: skip
def test_machine_detection_reports_by_its_mode(
    bench: Bench, mode: str, script: Any, expected: list[tuple[str, str]]
) -> None:
    bench.sim.script(CALLEE, script)
    bench.end(bench.call(answering_machine_detection=mode))
    results = [(h.type, h.payload["result"]) for h in bench.receiver.hooks if ".machine." in h.type]
    assert results == expected


def test_a_hangup_before_the_verdict_leaves_it_out(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=0.5))
    bench.end(bench.call(answering_machine_detection="premium"))
    assert not [one for one in bench.receiver.types() if ".machine." in one]


def test_a_repeated_command_id_gets_the_first_answer_and_no_second_call(bench: Bench) -> None:
    first, second = (bench.dial(command_id="id-1") for _ in range(2))
    assert first.json() == second.json()
    assert len(bench.sim.calls("telnyx")) == 1
    assert bench.dial(command_id="id-2").json() != first.json()
    assert len(bench.sim.calls("telnyx")) == 2
    assert len(bench.sim.dials("telnyx")) == 3


def test_a_refused_dial_does_not_use_up_its_command_id(bench: Bench) -> None:
    assert bench.dial(command_id="id-1", **{"from": "+14155550199"}).status_code == 403
    assert bench.dial(command_id="id-1").status_code == 200


def test_who_may_dial_is_checked(bench: Bench) -> None:
    def d_code(answer: requests.Response) -> str:
        assert answer.status_code == 403
        return str(answer.json()["telnyx_error"]["error_code"])

    assert d_code(bench.dial(**{"from": "+14155550199"})) == "D51"
    bench.sim.verify_caller_id(bench.account, "+14155550199")
    assert bench.dial(**{"from": "+14155550199"}).status_code == 200
    assert d_code(bench.dial(to="+442079460000")) == "D13"
    assert d_code(bench.dial(to=OURS)) == "D53"
    assert bench.dial(connection_id="1").json()["errors"][0]["code"] == "10015"
    bench.sim.configure_application(bench.account, webhook_url="")
    assert bench.dial().json()["errors"][0]["source"] == {"pointer": "/connection_id"}
    assert [call.truth for call in bench.sim.calls("telnyx")].count("failed") == 0
    assert len(bench.sim.calls("telnyx")) == 1


def test_two_accounts_know_nothing_of_each_other(bench: Bench) -> None:
    call = bench.call()
    other = bench.sim.add_account("telnyx", name="Other")
    bench.http.headers["Authorization"] = f"Bearer {other.secrets['api_key']}"
    assert bench.do(call, "hangup").json()["errors"][0]["code"] == "90015"
    assert bench.request("GET", f"/v2/calls/{call.id}").status_code == 404
    assert bench.dial(connection_id=other.connection_id).status_code == 422
    assert bench.account.secrets["public_key"] != other.secrets["public_key"]


def test_the_webhook_can_come_before_the_answer_to_the_dial(bench: Bench) -> None:
    face: Any = bench.sim.face("telnyx")
    face.habits.answers_dial_last = True
    bench.dial()
    assert bench.receiver.types()[0] == "call.initiated"


# --- commands ----------------------------------------


@pytest.mark.parametrize(
    ("action", "fields", "code"),
    [
        ("speak", {"payload": "Hello", "voice": "female"}, "90034"),
        ("playback_start", {"audio_url": "https://x.test/a.mp3"}, "90034"),
        ("send_dtmf", {"digits": "1"}, "90034"),
        ("streaming_start", {"stream_url": "ws://127.0.0.1:1/"}, "90034"),
        ("transfer", {"to": "+14155550199"}, "90034"),
        ("record_start", {"format": "wav", "channels": "dual"}, "90020"),
        ("answer", {}, "90102"),
        ("reject", {"cause": "USER_BUSY"}, "90033"),
    ],
)
def test_a_command_before_the_answer_is_refused(
    bench: Bench, action: str, fields: dict[str, Any], code: str
) -> None:
    bench.sim.script(CALLEE, NoAnswer())
    call = bench.call(client_state=STATE)
    answer = bench.do(call, action, client_state="Ynll", **fields)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    status = bench.request("GET", f"/v2/calls/{call.id}").json()["data"]
    assert status["client_state"] == STATE  # a refused command changes nothing


def test_speech_takes_time_and_is_heard(bench: Bench) -> None:
    call = bench.call()
    bench.until("call.answered")
    text = "Please call us back about your appointment."
    assert bench.do(call, "speak", payload=text, voice="female", command_id="s-1").status_code == 200
    assert bench.do(call, "speak", payload=text, voice="female", command_id="s-1").status_code == 200
    bench.until("call.speak.ended")
    bench.do(call, "hangup")
    bench.end(call)
    assert call.heard == [("say", text)]
    assert bench.receiver.one("call.speak.ended")["status"] == "completed"
    started, ended = (
        bench.receiver.of(name)[0].document["data"]["occurred_at"]
        for name in ("call.speak.started", "call.speak.ended")
    )
    assert ended > started


def test_a_hangup_cuts_speech_short(bench: Bench) -> None:
    call = bench.call()
    bench.until("call.answered")
    bench.do(call, "speak", payload="word " * 500, voice="female")
    bench.until("call.speak.started")
    time.sleep(0.1)
    bench.do(call, "hangup")
    bench.end(call)
    assert bench.receiver.one("call.speak.ended")["status"] == "call_hangup"
    assert [item[0] for item in call.heard] == ["say"]
    assert 0 < len(call.heard[0][1]) < 2000


def test_endless_playback_is_stopped_by_command(bench: Bench) -> None:
    call = bench.call()
    bench.until("call.answered")
    bench.do(call, "playback_start", audio_url="https://media.example.test/hold.mp3", loop="infinity")
    bench.until("call.playback.started")
    bench.do(call, "playback_stop")
    bench.until("call.playback.ended")
    assert bench.receiver.one("call.playback.ended")["status"] == "cancelled"
    assert call.heard[0] == ("play", "https://media.example.test/hold.mp3")


def test_keys_go_both_ways(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(keys="4#"))
    call = bench.call(send_digits_on_answer="12w3")
    bench.until("call.dtmf.received", 2)
    bench.do(call, "send_dtmf", digits="9")
    assert [hook.payload["digit"] for hook in bench.receiver.of("call.dtmf.received")] == ["4", "#"]
    assert call.heard == [("keys", "12w3"), ("keys", "9")]


def test_a_client_state_update_shows_in_what_follows(bench: Bench) -> None:
    call = bench.call(client_state=STATE)
    bench.until("call.answered")
    update = bench.request(
        "PUT", f"/v2/calls/{call.id}/actions/client_state_update", json={"client_state": "bmV3"}
    )
    assert update.status_code == 200
    active = bench.request("GET", f"/v2/connections/{bench.account.connection_id}/active_calls").json()
    assert [item["client_state"] for item in active["data"]] == ["bmV3"]
    bench.do(call, "hangup")
    assert bench.end(call)["client_state"] == "bmV3"


# --- inbound ----------------------------------------


def test_an_inbound_call_is_parked_until_answered(bench: Bench) -> None:
    call = bench.sim.ring(OURS, from_=CALLER, caller=Caller(talk_s=2))
    bench.until("call.initiated")
    initiated = bench.receiver.one("call.initiated")
    assert (initiated["direction"], initiated["state"]) == ("incoming", "parked")
    assert (initiated["from"], initiated["to"], initiated["client_state"]) == (CALLER, OURS, None)
    assert "shaken_stir_attestation" not in initiated
    assert bench.do(call, "answer", client_state=STATE).status_code == 200
    hangup = bench.end(call)
    assert cause(hangup) == ("normal_clearing", "caller", "200")
    assert hangup["client_state"] == STATE
    assert call.heard[0] == ("ringback",)
    assert call.heard[-1][0] == "silence"  # nothing was played to the caller


@pytest.mark.parametrize(
    ("command", "expected", "truth"),
    [
        ("USER_BUSY", ("user_busy", "callee", "486"), "refused_busy"),
        ("CALL_REJECTED", ("call_rejected", "callee", "603"), "declined"),
        (None, ("normal_clearing", "callee", "unspecified"), "declined"),
    ],
)
def test_a_refused_inbound_call(
    bench: Bench, command: str | None, expected: tuple[str, str, str], truth: str
) -> None:
    call = bench.sim.ring(OURS, from_=CALLER)
    bench.until("call.initiated")
    answer = bench.do(call, "reject", cause=command) if command else bench.do(call, "hangup")
    assert answer.status_code == 200
    assert cause(bench.end(call)) == expected
    assert bench.sim.truth(call) == truth
    assert (("busy_tone",) in call.heard) is (command == "USER_BUSY")


def test_a_caller_who_gives_up_is_an_originator_cancel(bench: Bench) -> None:
    call = bench.sim.ring(OURS, from_=CALLER, caller=HangUpWhileRinging(after_s=1))
    assert cause(bench.end(call)) == ("originator_cancel", "caller", "487")
    assert bench.sim.truth(call) == "caller_gave_up"


def test_the_first_command_timeout_ends_an_unhandled_call(bench: Bench) -> None:
    path = f"/v2/call_control_applications/{bench.account.connection_id}"
    changed = bench.request("PATCH", path, json={
        "application_name": "Acme", "webhook_event_url": bench.receiver.url(),
        "first_command_timeout": True, "first_command_timeout_secs": 3,
        "inbound": {"shaken_stir_enabled": True},
    })  # fmt: skip
    assert changed.status_code == 200
    call = bench.sim.ring(OURS, from_=CALLER)
    assert cause(bench.end(call)) == ("timeout", "unknown", "unspecified")
    assert bench.receiver.one("call.initiated")["shaken_stir_attestation"] == "A"


def test_a_transfer_makes_a_second_leg_and_bridges(bench: Bench) -> None:
    bench.sim.script("+14155550199", Answer(talk_s=2))
    call = bench.sim.ring(OURS, from_=CALLER)
    bench.until("call.initiated")
    bench.do(call, "answer")
    answer = bench.do(
        call, "transfer", to="+14155550199", target_leg_client_state="bGVnLWI=", client_state=STATE
    )
    assert answer.status_code == 200, answer.text
    bench.end(call)
    second = call.legs[0]
    legs = {h.payload["call_control_id"] for h in bench.receiver.of("call.bridged")}
    assert legs == {call.id, second.id}
    own = [h for h in bench.receiver.hooks if h.payload["call_control_id"] == second.id]
    first = [h for h in bench.receiver.hooks if h.payload["call_control_id"] == call.id]
    assert {h.payload["client_state"] for h in own} == {"bGVnLWI="}
    assert own[0].payload["from"] == OURS
    assert {h.payload["call_session_id"] for h in own} == {first[0].payload["call_session_id"]}
    assert {h.payload["call_leg_id"] for h in own}.isdisjoint({h.payload["call_leg_id"] for h in first})
    assert {h.type for h in own} == {"call.initiated", "call.answered", "call.bridged", "call.hangup"}
    assert ("connected_to", "+14155550199") in call.heard
    assert second.heard == [("connected_to", CALLER)]


def test_a_failed_transfer_leaves_the_first_leg_up(bench: Bench) -> None:
    bench.sim.script("+14155550199", Busy())
    call = bench.sim.ring(OURS, from_=CALLER)
    bench.until("call.initiated")
    bench.do(call, "answer")
    bench.do(call, "transfer", to="+14155550199")
    bench.until("call.hangup")
    assert bench.receiver.one("call.hangup")["hangup_cause"] == "user_busy"
    assert call.state == "in_progress"
    assert bench.do(call, "speak", payload="Nobody is there.", voice="female").status_code == 200
    bench.sim.hang_up(call)
    bench.end(call)


def test_hanging_up_while_a_transfer_rings_cancels_it(bench: Bench) -> None:
    bench.sim.script("+14155550199", NoAnswer())
    call = bench.sim.ring(OURS, from_=CALLER)
    bench.until("call.initiated")
    bench.do(call, "answer")
    bench.do(call, "transfer", to="+14155550199", timeout_secs=60)
    bench.sim.hang_up(call)
    bench.end(call)
    assert call.legs[0].truth == "cancelled"


def test_an_unattached_number_is_refused_by_the_carrier(bench: Bench) -> None:
    number = bench.request("GET", "/v2/phone_numbers").json()["data"][0]
    detached = bench.request("PATCH", f"/v2/phone_numbers/{number['id']}", json={"connection_id": None})
    assert detached.json()["data"]["connection_id"] is None
    call = bench.sim.ring(OURS, from_=CALLER)
    bench.sim.wait(call)
    assert bench.receiver.hooks == []


# --- media ----------------------------------------


def echo(frame: dict[str, Any]) -> str | None:
    if frame["event"] != "media":
        return None
    return json.dumps({"event": "media", "media": {"payload": frame["media"]["payload"]}})


def test_an_echoing_agent_is_heard(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=3, keys="5"))
    with Agent(echo) as agent:
        call = bench.call(
            stream_url=agent.url,
            stream_bidirectional_mode="rtp",
            stream_auth_token="t-1",
            client_state=STATE,
        )
        bench.end(call)
        assert agent.events()[:2] == ["connected", "start"]
        assert agent.events()[-1] == "stop"
        assert "dtmf" in agent.events()
        start = agent.frames[1]["start"]
        assert (start["call_control_id"], start["client_state"]) == (call.id, STATE)
        headers = {name.lower(): value for name, value in agent.headers.items()}
        assert headers["x-telnyx-streaming-auth-token"] == "t-1"
    kind, size, is_echo = next(item for item in call.heard if item[0] == "audio")
    assert (kind, is_echo) == ("audio", True)
    assert size > 1600
    assert bench.receiver.one("streaming.started")["stream_url"] == agent.url
    assert bench.receiver.one("streaming.stopped")["stream_url"] == agent.url
    assert bench.receiver.one("call.answered")["stream_url"] == agent.url
    assert bench.receiver.one("call.dtmf.received")["digit"] == "5"


def test_an_inbound_call_answered_with_a_stream_reaches_the_agent(bench: Bench) -> None:
    with Agent(echo) as agent:
        call = bench.sim.ring(OURS, from_=CALLER, caller=Caller(talk_s=3, keys="12"))
        bench.until("call.initiated")
        stream = {"stream_url": agent.url, "stream_bidirectional_mode": "rtp"}
        assert bench.do(call, "answer", client_state=STATE, **stream).status_code == 200
        bench.end(call)
        digits = [frame["dtmf"]["digit"] for frame in agent.frames if frame["event"] == "dtmf"]
    assert digits == ["1", "2"]
    assert [item[2] for item in call.heard if item[0] == "audio"] == [True]
    assert not [item for item in call.heard if item[0] == "silence"]


def test_an_agent_that_hangs_up_its_socket_leaves_the_call_and_its_keys(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=20, keys="1" * 40))
    with Agent(lambda frame: "close" if frame["event"] == "dtmf" else None) as agent:
        call = bench.call(stream_url=agent.url)
        bench.until("streaming.stopped")
        bench.until("call.dtmf.received", 5)
        assert agent.events().count("dtmf") == 1
        assert call.state == "in_progress"


def test_streaming_is_started_and_stopped_by_command_and_only_once(bench: Bench) -> None:
    with Agent(lambda _frame: None) as agent:
        call = bench.call()
        bench.until("call.answered")
        parameters = [{"name": "token", "value": "x"}]
        start = {"stream_url": agent.url, "custom_parameters": parameters}
        assert bench.do(call, "streaming_stop").json()["errors"][0]["code"] == "90048"
        assert bench.do(call, "streaming_start", **start).status_code == 200
        assert bench.do(call, "streaming_start", **start).json()["errors"][0]["code"] == "90045"
        bench.until("streaming.started")
        assert bench.do(call, "streaming_stop").status_code == 200
        bench.until("streaming.stopped")
        assert agent.frames[1]["start"]["custom_parameters"] == {"token": "x"}
        assert call.state == "in_progress"  # the call outlives its stream


def test_an_agent_that_is_down_fails_the_stream_but_not_the_call(bench: Bench) -> None:
    call = bench.call(stream_url="ws://127.0.0.1:9/media")
    bench.until("streaming.failed")
    failed = bench.receiver.one("streaming.failed")
    assert failed["failure_reason"] == "connection_failed"
    assert failed["stream_params"] == {"stream_url": "ws://127.0.0.1:9/media", "track": "inbound_track"}
    assert call.state == "in_progress"


def test_audio_without_rtp_mode_is_answered_with_an_error_frame(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=2))
    with Agent(echo) as agent:
        call = bench.call(stream_url=agent.url)
        bench.end(call)
        errors = [frame["payload"]["title"] for frame in agent.frames if frame["event"] == "error"]
    assert "invalid_media" in errors
    assert not [item for item in call.heard if item[0] == "audio"]


# --- recordings and cost ----------------------------------------


@pytest.mark.parametrize(("form", "start"), [("wav", b"RIFF"), ("mp3", b"\xff\xfb")])
def test_a_recording_is_announced_listed_and_fetched_without_the_key(
    bench: Bench, form: str, start: bytes
) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=3))
    answer = bench.dial(record="record-from-answer", record_format=form, record_channels="dual")
    call = bench.sim.call(answer.json()["data"]["call_control_id"])
    bench.end(call)
    saved = bench.receiver.one("call.recording.saved")
    assert saved["recording_id"] == answer.json()["data"]["recording_id"]
    assert "from" not in saved
    leg_id = answer.json()["data"]["call_leg_id"]
    listed = bench.request("GET", f"/v2/recordings?filter[call_leg_id]={leg_id}").json()
    assert [item["id"] for item in listed["data"]] == [saved["recording_id"]]
    assert bench.request("GET", "/v2/recordings?filter[call_leg_id]=x").json()["data"] == []
    item = bench.request("GET", f"/v2/recordings/{saved['recording_id']}").json()["data"]
    assert 2000 < item["duration_millis"] < 6000
    link = item["download_urls"][form]
    assert "/v2/" not in link
    fetched = requests.get(link, timeout=5)
    assert (fetched.status_code, fetched.content[: len(start)]) == (200, start)
    if form == "wav":
        with wave.open(io.BytesIO(fetched.content)) as audio:
            assert (audio.getnchannels(), audio.getframerate()) == (2, 8000)
    with_key = requests.get(link, headers=dict(bench.http.headers), timeout=5)
    assert (with_key.status_code, b"Only one auth" in with_key.content) == (400, True)
    assert requests.get(link + "0", timeout=5).status_code == 403


def test_a_recording_link_expires_after_ten_minutes(receiver: Receiver) -> None:
    with Simulator(speed=2000) as sim, requests.Session() as http:
        account = sim.add_account("telnyx")
        sim.add_number(account, OURS)
        sim.configure_application(account, webhook_url=receiver.url())
        sim.script(CALLEE, Answer(talk_s=100))
        http.headers["Authorization"] = f"Bearer {account.secrets['api_key']}"
        bench = Bench(sim, account, receiver, http)
        call = bench.call(record="record-from-answer")
        bench.end(call)
        link = receiver.one("call.recording.saved")["recording_urls"]["mp3"]
        sim.wait(lambda: requests.get(link, timeout=5).status_code == 403, 5)
        assert b"expired" in requests.get(link, timeout=5).content
        assert bench.request("GET", f"/v2/calls/{call.id}").status_code == 404  # status is kept as long


def test_recording_by_command(bench: Bench) -> None:
    call = bench.call()
    bench.until("call.answered")
    bench.do(call, "record_start", format="mp3", channels="single", play_beep=True)
    assert call.heard == [("beep",)]
    bench.do(call, "record_stop")
    bench.until("call.recording.saved")
    assert bench.receiver.one("call.recording.saved")["channels"] == "single"
    assert call.state == "in_progress"


def test_cost_is_reported_when_the_application_asks(bench: Bench) -> None:
    bench.sim.configure_application(bench.account, call_cost_in_webhooks=True)
    bench.sim.script(CALLEE, Answer(talk_s=2))
    bench.end(bench.call())
    cost = bench.receiver.one("call.cost")
    assert (cost["status"], cost["total_cost"], cost["billed_duration_secs"]) == ("success", "0.0090", 60)
    assert {part["currency"] for part in cost["cost_parts"]} == {"USD"}


# --- delivery ----------------------------------------


def test_a_failing_endpoint_gets_two_tries_then_the_failover(bench: Bench) -> None:
    bench.sim.configure_application(bench.account, failover_url=bench.receiver.url("/fallback"))
    bench.receiver.status = lambda hook: 200 if hook.path == "/fallback" else 503
    bench.sim.script(CALLEE, Busy())
    call = bench.call()
    bench.sim.wait(call)
    hangups = bench.receiver.of("call.hangup")
    assert [hook.path for hook in hangups] == ["/events", "/events", "/fallback"]
    assert [hook.document["meta"]["attempt"] for hook in hangups] == [1, 2, 3]
    assert hangups[2].document["meta"]["delivered_to"] == bench.receiver.url("/fallback")
    assert len({hook.document["data"]["id"] for hook in hangups}) == 1
    assert len({hook.raw for hook in hangups}) == 3


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (404, 1), (408, 3), (429, 3), (500, 3), (302, 1)])
def test_only_passing_failures_are_tried_again(bench: Bench, status: int, tries: int) -> None:
    bench.receiver.status = lambda _hook: status
    bench.sim.script(CALLEE, Busy())
    policy = {"call.hangup": {"retries_ms": [10, 10]}, "call.initiated": {"retries_ms": []}}
    call = bench.call(webhook_retries_policies=policy)
    bench.sim.wait(call)
    assert len(bench.receiver.of("call.hangup")) == tries
    assert len(bench.receiver.of("call.initiated")) == 1


def test_an_endpoint_that_does_not_answer_in_time_is_tried_again(bench: Bench) -> None:
    face: Any = bench.sim.face("telnyx")
    application = face.customer(bench.account).applications[bench.account.connection_id]
    application["webhook_timeout_secs"] = 1
    released = threading.Event()

    def slow_at_first(hook: Hook) -> int:
        if hook.type == "call.hangup" and hook.document["meta"]["attempt"] == 1:
            released.wait(5)
        return 200

    bench.receiver.status = slow_at_first
    bench.sim.script(CALLEE, Busy())
    call = bench.call(webhook_retries_policies={"call.hangup": {"retries_ms": [10]}})
    bench.sim.wait(call)
    released.set()
    tries = bench.sim.journal.webhooks(call=call, event="call.hangup")
    assert [(entry.data["attempt"], entry.data["error"]) for entry in tries] == [(1, "timeout"), (2, None)]


def test_the_calls_own_url_overrides_the_applications(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    bench.end(bench.call(webhook_url=bench.receiver.url("/events/token-1")))
    assert {hook.path for hook in bench.receiver.hooks} == {"/events/token-1"}


def test_version_one_webhooks_have_the_old_envelope(bench: Bench) -> None:
    path = f"/v2/call_control_applications/{bench.account.connection_id}"
    change = {
        "application_name": "Acme",
        "webhook_event_url": bench.receiver.url(),
        "webhook_api_version": "1",
    }
    bench.request("PATCH", path, json=change)
    bench.sim.script(CALLEE, Busy())
    bench.sim.wait(bench.call())
    documents = [hook.document for hook in bench.receiver.hooks]
    assert {document["event_type"] for document in documents} == {"call_initiated", "call_hangup"}
    assert all("data" not in document for document in documents)


def test_webhook_faults_are_applied(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    bench.sim.faults.webhooks("telnyx", event="call.hangup", repeat=1, forge=True)
    bench.sim.wait(bench.call())
    forged, real, repeated = bench.receiver.of("call.hangup")
    assert forged.raw == real.raw == repeated.raw
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(bench.account.secrets["public_key"]))

    def verify(hook: Hook) -> None:
        lower = {name.lower(): value for name, value in hook.headers.items()}
        signed = lower["telnyx-timestamp"].encode() + b"|" + hook.raw
        key.verify(base64.b64decode(lower["telnyx-signature-ed25519"]), signed)

    verify(real)
    verify(repeated)
    with pytest.raises(InvalidSignature):
        verify(forged)


def test_a_dropped_hangup_is_still_in_the_call_events(bench: Bench) -> None:
    bench.sim.faults.webhooks("telnyx", event="call.hangup", drop=True)
    bench.sim.script(CALLEE, Decline())
    answer = bench.dial()
    bench.sim.wait(answer.json()["data"]["call_control_id"])
    leg_id = answer.json()["data"]["call_leg_id"]
    assert "call.hangup" not in bench.receiver.types()
    query = f"filter[leg_id]={leg_id}&filter[type]=webhook&filter[name]=call.hangup"
    lines = bench.request("GET", f"/v2/call_events?{query}").json()["data"]
    assert len(lines) == 1
    assert lines[0]["metadata"]["event"]["payload"]["hangup_cause"] == "call_rejected"
    assert lines[0]["metadata"]["status"] == "failed"


# --- faults of the API ----------------------------------------


def test_a_server_error_after_the_dial_leaves_a_call_and_a_retry_with_the_id_makes_no_second(
    bench: Bench,
) -> None:
    bench.sim.faults.api("telnyx", "dial", Fault.SERVER_ERROR_AFTER, status=500)
    first = bench.dial(command_id="id-1")
    assert (first.status_code, first.json()["errors"][0]["code"]) == (500, "10007")
    again = bench.dial(command_id="id-1")
    assert again.status_code == 200
    assert [call.id for call in bench.sim.calls("telnyx")] == [again.json()["data"]["call_control_id"]]


def test_the_rate_limit_has_its_headers_and_code(bench: Bench) -> None:
    bench.sim.faults.api("telnyx", "dial", Fault.RATE_LIMITED)
    answer = bench.dial()
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "10011")
    assert answer.headers["x-ratelimit-reset"] == "1"
    assert bench.sim.calls("telnyx") == []


def test_the_key_is_needed_and_checked(bench: Bench) -> None:
    face: Any = bench.sim.face("telnyx")
    del bench.http.headers["Authorization"]
    assert bench.request("GET", "/v2/balance").status_code == 404
    face.habits.missing_key_status = 401
    assert bench.request("GET", "/v2/balance").status_code == 401
    for wrong in ("Bearer KEYwrong", "Basic abc", bench.account.secrets["api_key"]):
        bench.http.headers["Authorization"] = wrong
        answer = bench.request("GET", "/v2/balance")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "10009")


def test_no_secret_is_journaled(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    bench.end(bench.call(stream_url="ws://127.0.0.1:9/", stream_auth_token="stream-secret-1"))
    text = json.dumps(bench.sim.journal.as_json())
    assert bench.account.secrets["api_key"] not in text
    assert "stream-secret-1" not in text


def test_the_simulator_wants_the_application_not_the_number_configured(bench: Bench) -> None:
    with pytest.raises(ValueError, match="configure_application"):
        bench.sim.configure_number(OURS, voice_url="https://x.test/")
