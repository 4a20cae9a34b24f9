"""REST resources of the simulated Telnyx, and everything it says held against the vendor's OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

import pytest

from providers.simulator import Answer, Busy, Voicemail
from tests.simulator.telnyx_customer import (
    CALLEE,
    CALLER,
    OURS,
    STATE,
    Agent,
    Bench,
    Receiver,
    receiving,
    telnyx_bench,
)
from tests.simulator.telnyx_spec import answer_schema, closed, complaints, drop_nulls, read_spec


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as box:
        yield box


@pytest.fixture
def bench(receiver: Receiver) -> Iterator[Bench]:
    with telnyx_bench(receiver) as made:
        yield made


# --- the account's things ----------------------------------------


def test_numbers_are_listed_filtered_and_fetched(bench: Bench) -> None:
    bench.sim.add_number(bench.account, "+14155550101")
    listed = bench.request("GET", "/v2/phone_numbers").json()
    assert [number["phone_number"] for number in listed["data"]] == [OURS, "+14155550101"]
    assert {number["connection_id"] for number in listed["data"]} == {bench.account.connection_id}
    assert listed["meta"]["total_results"] == 2
    found = bench.request("GET", "/v2/phone_numbers?filter[phone_number]=5550101").json()["data"]
    assert [number["phone_number"] for number in found] == ["+14155550101"]
    one = bench.request("GET", f"/v2/phone_numbers/{found[0]['id']}").json()["data"]
    assert one == found[0]
    assert bench.request("GET", f"/v2/phone_numbers/{OURS}").status_code == 404
    assert bench.request("GET", "/v2/phone_numbers?filter[number]=1").status_code == 422


def test_a_number_is_attached_by_a_patch_of_the_number(bench: Bench) -> None:
    number = bench.request("GET", "/v2/phone_numbers").json()["data"][0]
    path = f"/v2/phone_numbers/{number['id']}"
    assert bench.request("PATCH", path, json={"connection_id": "1"}).status_code == 422
    assert bench.request("PATCH", path, json={"voice_url": "x"}).status_code == 422
    patched = bench.request(
        "PATCH", path, json={"connection_id": number["connection_id"], "tags": ["gateway"]}
    )
    assert patched.json()["data"]["tags"] == ["gateway"]
    assert bench.request("GET", path).json()["data"]["tags"] == ["gateway"]


def test_an_application_needs_its_name_and_url_again_in_a_patch(bench: Bench) -> None:
    path = f"/v2/call_control_applications/{bench.account.connection_id}"
    refused = bench.request("PATCH", path, json={"active": False})
    assert refused.json()["errors"][0]["code"] == "10004"
    assert bench.request("GET", path).json()["data"]["active"] is True
    url = "https://voice.example.test/events"
    body = {"application_name": "Acme", "webhook_event_url": url, "outbound": {"channel_limit": 1}}
    changed = bench.request("PATCH", path, json=body).json()["data"]
    assert changed["webhook_event_url"] == url
    assert changed["outbound"]["outbound_voice_profile_id"]  # nested objects are merged
    for wrong in ({"webhook_api_version": "3"}, {"webhook_timeout_secs": 31}, {"inbound": {"x": 1}}):
        assert bench.request("PATCH", path, json={**body, **wrong}).status_code == 422


def test_the_applications_channel_limit_holds(bench: Bench) -> None:
    path = f"/v2/call_control_applications/{bench.account.connection_id}"
    bench.request(
        "PATCH",
        path,
        json={
            "application_name": "Acme",
            "webhook_event_url": bench.receiver.url(),
            "outbound": {"channel_limit": 1},
        },
    )
    bench.call()
    assert bench.dial().json()["telnyx_error"] == {"error_code": "D3"}


def test_active_calls_come_in_cursor_pages_with_their_client_state(bench: Bench) -> None:
    states = ["YQ==", "Yg==", "Yw=="]
    calls = [bench.call(client_state=state) for state in states]
    path = f"/v2/connections/{bench.account.connection_id}/active_calls"
    first = bench.request("GET", f"{path}?page[limit]=2").json()
    second = bench.request("GET", first["meta"]["next"]).json()
    assert [item["client_state"] for item in first["data"] + second["data"]] == states
    assert "next" not in second["meta"]
    bench.do(calls[0], "hangup")
    assert len(bench.request("GET", path).json()["data"]) == 2
    assert bench.request("GET", "/v2/connections/1/active_calls").status_code == 404


def test_the_status_of_a_call_says_alive_then_ended_and_nothing_else(bench: Bench) -> None:
    bench.sim.script(CALLEE, Busy())
    call = bench.call(client_state=STATE)
    alive = bench.request("GET", f"/v2/calls/{call.id}").json()["data"]
    bench.end(call)
    over = bench.request("GET", f"/v2/calls/{call.id}").json()["data"]
    assert (alive["is_alive"], over["is_alive"]) == (True, False)
    assert "end_time" not in alive
    assert over["end_time"].endswith("Z")
    assert set(over) == {
        "record_type", "call_control_id", "call_leg_id", "call_session_id", "is_alive", "call_duration",
        "start_time", "end_time", "client_state",
    }  # fmt: skip


def test_call_events_list_webhooks_and_commands_of_a_leg(bench: Bench) -> None:
    call = bench.call(command_id="dial-1")
    bench.until("call.answered")
    bench.do(call, "speak", payload="Hello", voice="female")
    bench.do(call, "hangup")
    bench.end(call)
    leg_id = bench.receiver.of("call.hangup")[0].payload["call_leg_id"]

    def names(query: str) -> list[str]:
        answer = bench.request("GET", f"/v2/call_events?filter[leg_id]={leg_id}&{query}")
        assert answer.status_code == 200, answer.text
        return [line["name"] for line in answer.json()["data"]]

    assert set(names("filter[type]=command")) == {"speak", "hangup"}
    assert {"call.initiated", "call.answered", "call.hangup"} <= set(names("filter[type]=webhook"))
    assert names("filter[name]=call.hangup") == ["call.hangup"]
    assert names("filter[occurred_at][gt]=2099-01-01T00:00:00Z") == []
    assert names("filter[from]=%2B14155550199") == []
    for wrong in (
        "filter[type]=event",
        "filter[occurred_at][gt]=yesterday",
        "filter[occurred_at][gt]=2026-01-01T00:00:00Z&filter[occurred_at][lt]=2027-01-01T00:00:00Z",
        "filter[cause]=busy",
        "page[size]=0",
    ):
        answer = bench.request("GET", f"/v2/call_events?{wrong}")
        assert answer.status_code == 422, wrong


def test_call_events_without_a_leg_reach_back_a_day(receiver: Receiver) -> None:
    with telnyx_bench(receiver, speed=200_000) as bench:
        bench.sim.script(CALLEE, Busy())
        answer = bench.dial()
        leg_id = answer.json()["data"]["call_leg_id"]
        bench.sim.wait(answer.json()["data"]["call_control_id"])
        bench.sim.wait(lambda: bench.request("GET", "/v2/call_events").json()["data"] == [], 5)
        scoped = bench.request("GET", f"/v2/call_events?filter[leg_id]={leg_id}").json()["data"]
        assert {line["name"] for line in scoped} == {"call.initiated", "call.hangup"}


def test_unknown_urls_and_methods_are_404(bench: Bench) -> None:
    for method, path in (("GET", "/v2/calls"), ("POST", "/v2/conferences"), ("GET", "/calls")):
        answer = bench.request(method, path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "10005")
    call = bench.call()
    assert bench.do(call, "gather").status_code == 404
    assert bench.do(call, "client_state_update", client_state=STATE).status_code == 404  # a PUT
    assert bench.request("POST", "/v2/calls", data={"to": CALLEE}).status_code == 400


# --- the vendor's document ----------------------------------------

# Said by the documentation pages or seen in live traffic, but absent from the vendor's OpenAPI document.
BESIDE_THE_SPEC: Final[Mapping[str, tuple[str, ...]]] = {
    "call.hangup": ("end_time",),
    "call.answered": ("stream_url", "stream_track"),
    "call.recording.saved": ("call_control_id", "recording_id", "format", "start_time", "end_time"),
}
WEBHOOK_NAMES: Final = {
    "call.initiated": "callInitiated",
    "call.answered": "callAnswered",
    "call.bridged": "callBridged",
    "call.hangup": "callHangup",
    "call.cost": "callCost",
    "call.dtmf.received": "callDtmfReceived",
    "call.machine.detection.ended": "callMachineDetectionEnded",
    "call.machine.greeting.ended": "callMachineGreetingEnded",
    "call.machine.premium.detection.ended": "callMachinePremiumDetectionEnded",
    "call.machine.premium.greeting.ended": "callMachinePremiumGreetingEnded",
    "call.playback.started": "callPlaybackStarted",
    "call.playback.ended": "callPlaybackEnded",
    "call.speak.started": "callSpeakStarted",
    "call.speak.ended": "callSpeakEnded",
    "call.recording.saved": "callRecordingSaved",
    "streaming.started": "callStreamingStarted",
    "streaming.stopped": "callStreamingStopped",
    "streaming.failed": "callStreamingFailed",
}


@pytest.fixture(scope="module")
def spec() -> Any:
    return read_spec()


def test_the_answers_have_the_documented_form(bench: Bench, spec: Any) -> None:
    bench.sim.script(CALLEE, Answer(talk_s=600))
    answer = bench.dial(client_state=STATE, record="record-from-answer")
    call = bench.sim.call(answer.json()["data"]["call_control_id"])
    bench.until("call.answered")
    number_id = bench.request("GET", "/v2/phone_numbers").json()["data"][0]["id"]
    app = bench.account.connection_id
    patch = {"application_name": "Acme", "webhook_event_url": bench.receiver.url()}
    answers = [
        ("POST", "/calls", answer),
        ("POST", "/calls", bench.dial(to="123")),
        ("POST", "/calls", bench.dial(timeout_secs=1)),
        ("GET", "/calls/{call_control_id}", bench.request("GET", f"/v2/calls/{call.id}")),
        (
            "GET",
            "/connections/{connection_id}/active_calls",
            bench.request("GET", f"/v2/connections/{app}/active_calls"),
        ),
        ("POST", "/calls/{call_control_id}/actions/answer", bench.do(call, "answer")),
        (
            "POST",
            "/calls/{call_control_id}/actions/speak",
            bench.do(call, "speak", payload="Hello", voice="female"),
        ),
        ("POST", "/calls/{call_control_id}/actions/send_dtmf", bench.do(call, "send_dtmf", digits="x")),
        ("POST", "/calls/{call_control_id}/actions/hangup", bench.do(call, "hangup")),
        ("POST", "/calls/{call_control_id}/actions/hangup", bench.do(call, "hangup")),
        ("GET", "/balance", bench.request("GET", "/v2/balance")),
        ("GET", "/call_events", bench.request("GET", "/v2/call_events")),
        ("GET", "/call_events", bench.request("GET", "/v2/call_events?filter[type]=x")),
        ("GET", "/phone_numbers", bench.request("GET", "/v2/phone_numbers")),
        ("GET", "/phone_numbers/{id}", bench.request("GET", f"/v2/phone_numbers/{number_id}")),
        ("GET", "/phone_numbers/{id}/voice", bench.request("GET", f"/v2/phone_numbers/{number_id}/voice")),
        ("PATCH", "/phone_numbers/{id}", bench.request("PATCH", f"/v2/phone_numbers/{number_id}", json={})),
        ("GET", "/call_control_applications", bench.request("GET", "/v2/call_control_applications")),
        (
            "GET",
            "/call_control_applications/{id}",
            bench.request("GET", f"/v2/call_control_applications/{app}"),
        ),
        (
            "PATCH",
            "/call_control_applications/{id}",
            bench.request("PATCH", f"/v2/call_control_applications/{app}", json=patch),
        ),
    ]
    bench.end(call)
    recording = answer.json()["data"]["recording_id"]
    answers += [
        ("GET", "/recordings", bench.request("GET", "/v2/recordings")),
        ("GET", "/recordings/{recording_id}", bench.request("GET", f"/v2/recordings/{recording}")),
    ]
    found = []
    for method, path, one in answers:
        document = deepcopy(one.json())
        for name in ("channel_limit", "sip_subdomain"):  # "none" is null in practice, no type in the document
            drop_nulls(document, name)
        schema = answer_schema(spec, method, path, one.status_code)
        found += [f"{method} {path} {one.status_code} {text}" for text in complaints(schema, document)]
    assert found == []


def test_the_webhooks_have_the_documented_form(bench: Bench, spec: Any) -> None:
    bench.sim.configure_application(bench.account, call_cost_in_webhooks=True)
    bench.sim.script(CALLEE, Voicemail(records_s=2))
    bench.sim.script("+14155550198", Answer(talk_s=2, keys="1"))
    with Agent(lambda _frame: None) as agent:
        premium = bench.call(client_state=STATE, answering_machine_detection="premium", stream_url=agent.url)
        standard = bench.call(
            client_state=STATE, answering_machine_detection="greeting_end", record="record-from-answer"
        )
        down = bench.call(client_state=STATE, to="+14155550198", stream_url="ws://127.0.0.1:9/")
        inbound = bench.sim.ring(OURS, from_=CALLER)
        bench.sim.wait(lambda: bench.do(inbound, "answer", client_state=STATE).status_code == 200, 5)
        bench.do(inbound, "speak", payload="One moment.", voice="female")
        bench.do(inbound, "playback_start", audio_url="https://media.example.test/a.mp3")
        bench.until("call.playback.ended")
        bench.do(inbound, "transfer", to="+14155550198", target_leg_client_state=STATE)
        for call in (premium, standard, down, inbound):
            bench.end(call)
    seen = set()
    found = []
    for hook in bench.receiver.hooks:
        data = hook.document["data"]
        for name in BESIDE_THE_SPEC.get(hook.type, ()):
            data["payload"].pop(name, None)
        if data["payload"]["client_state"] is None:  # documented as string, null in practice
            del data["payload"]["client_state"]
        operation = spec["webhooks"][WEBHOOK_NAMES[hook.type]]["post"]
        content = operation["requestBody"]["content"]["application/json"]["schema"]
        document = {"data": data}
        found += [f"{hook.type} {text}" for text in complaints(closed(spec, content), document)]
        seen.add(hook.type)
    assert found == []
    assert seen == set(WEBHOOK_NAMES)
