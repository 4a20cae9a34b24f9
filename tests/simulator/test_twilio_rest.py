"""The REST API of the simulated Twilio: what it refuses, and what its resources do."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import pytest

from providers.simulator import Account, Answer, NoAnswer, Simulator
from providers.simulator.carriers.twilio.face import Face
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS = "+14155550100", "+14155550123"
TALK = "<Response><Pause length='3600'/></Response>"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=50) as simulator:
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio", name="Acme")
    sim.add_number(account, OURS)
    return account


@pytest.fixture
def api(sim: Simulator, account: Account) -> Api:
    return Api(sim=sim, account=account)


@pytest.fixture
def face(sim: Simulator) -> Face:
    face = sim.face("twilio")
    assert isinstance(face, Face)
    return face


# -- creating calls


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"To": "4155550123"}, 21211),
        ({"To": "+0155550123"}, 21211),
        ({"To": "+1415555012345678"}, 21211),
        ({"To": OURS}, 21211),
        ({"From": "Acme"}, 21212),
        ({"From": "+14155550199"}, 21210),
        ({"Twiml": ""}, 21205),
        ({"Url": "gw.example.net/answer"}, 21205),
        ({"Url": "http://gw.example.net/a b"}, 21205),
        ({"Url": "http://gw.example.net/", "Method": "PUT"}, 21209),
        ({"Twiml": "<Response>" + " " * 4000 + "</Response>"}, 32018),
        ({"Twiml": "<Response><Dance/></Response>"}, 12200),
        ({"ApplicationSid": "AP1"}, 21218),
        ({"ApplicationSid": "AP" + "0" * 32}, 21218),
        ({"Timeout": "0"}, 21208),
        ({"Timeout": "601"}, 21208),
        ({"Timeout": "30s"}, 21208),
        ({"TimeLimit": "0"}, 20001),
        ({"SendDigits": "12x"}, 21206),
        ({"MachineDetection": "enable"}, 20001),
        ({"MachineDetectionTimeout": "60"}, 21234),
        ({"MachineDetectionSpeechThreshold": "999"}, 21234),
        ({"MachineDetectionSpeechEndThreshold": "5001"}, 21234),
        ({"MachineDetectionSilenceTimeout": "1999"}, 21234),
        ({"AsyncAmd": "True"}, 20001),
        ({"Record": "yes"}, 20001),
        ({"RecordingChannels": "stereo"}, 20001),
        ({"RecordingTrack": "all"}, 20001),
        ({"RecordingStatusCallbackEvent": "done"}, 20001),
        ({"Trim": "true"}, 20001),
        ({"StatusCallback": "http://my_host.example.net/"}, 20001),
        ({"StatusCallbackEvent": "progress"}, 20001),
        ({"Byoc": "BY1"}, 20001),
        ({"Color": "red"}, 20001),
    ],
)
def test_a_create_is_refused_with_the_code_of_its_fault(
    sim: Simulator, api: Api, changes: dict[str, str], code: int
) -> None:
    status, body = api.dial(**{"To": THEIRS, "From": OURS, "Twiml": "<Response/>", **changes})
    assert (status, body["code"], body["status"]) == (400, code, 400)
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert not sim.calls()
    assert len(sim.dials()) == 1


@pytest.mark.parametrize(
    ("habit", "value", "code"),
    [
        ("blocked_countries", "+1415", 21215),
        ("blocked_numbers", THEIRS, 21216),
        ("invalid_numbers", THEIRS, 21217),
        ("unreachable_numbers", THEIRS, 21214),
        ("unverified_numbers", THEIRS, 21219),
        ("refused_callers", OURS, 21212),
    ],
)
def test_a_destination_can_be_barred(face: Face, api: Api, habit: str, value: str, code: int) -> None:
    getattr(face.habits, habit).add(value)
    status, body = api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")
    assert (status, body["code"]) == (400, code)


def test_a_single_parameter_given_twice_is_refused(api: Api) -> None:
    status, body = api.dial(("To", THEIRS), To=THEIRS, From=OURS, Twiml="<Response/>")
    assert (status, body["code"]) == (400, 20001)


def test_json_bodies_are_refused(api: Api) -> None:
    status, body = api("POST", "/Calls.json", [("To", THEIRS)], Content_Type="application/json")
    assert (status, body["code"]) == (415, 20001)


def test_a_verified_caller_id_may_be_shown(sim: Simulator, account: Account, api: Api) -> None:
    sim.verify_caller_id(account, "+442071838750")
    status, call = api.dial(To=THEIRS, From="+442071838750", Twiml="<Response/>")
    assert status == 201
    _, listed = api("GET", "/OutgoingCallerIds.json?PhoneNumber=%2B442071838750")
    assert call["phone_number_sid"] == listed["outgoing_caller_ids"][0]["sid"]


def test_sip_and_client_targets_take_any_caller(api: Api) -> None:
    assert api.dial(To="sip:desk7@pbx.example.net?X-Ref=1", From="anything", Twiml="<Response/>")[0] == 201
    assert api.dial(To="client:alice", From="client:bob", Twiml="<Response/>")[0] == 201


def test_a_fresh_call_is_queued_and_mostly_null(api: Api) -> None:
    status, call = api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")
    assert status == 201
    assert (call["status"], call["direction"], call["duration"], call["price"]) == (
        "queued",
        "outbound-api",
        None,
        None,
    )
    assert (call["to_formatted"], call["queue_time"]) == ("(415) 555-0123", "0")
    assert len(call["sid"]) == 34


def test_calls_above_the_rate_are_accepted_and_queued(sim: Simulator, face: Face, api: Api) -> None:
    sim.script(THEIRS, NoAnswer())
    queue_times = [
        int(api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")[1]["queue_time"]) for _ in range(3)
    ]
    assert queue_times[0] == 0
    assert 0 < queue_times[1] < queue_times[2]
    face.habits.calls_per_second = None
    assert api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")[1]["queue_time"] == "0"


# -- who may ask


def test_wrong_credentials_are_a_401(sim: Simulator, account: Account) -> None:
    for user, password in ((None, "0" * 32), ("AC" + "0" * 32, None), (" " + account.account_ref, None)):
        status, body = Api(sim=sim, account=account, user=user, password=password)("GET", ".json")
        assert (status, body["code"], body["message"]) == (401, 20003, "Authenticate")


def test_another_accounts_path_is_a_404(sim: Simulator, account: Account) -> None:
    other = sim.add_account("twilio")
    api = Api(sim=sim, account=other, user=account.account_ref, password=account.secrets["auth_token"])
    assert api("GET", "/Calls.json")[1]["code"] == 20404


def test_a_standard_key_may_dial_but_not_read_the_account(
    sim: Simulator, account: Account, face: Face
) -> None:
    sid, secret = face.add_api_key(account)
    api = Api(sim=sim, account=account, user=sid, password=secret)
    assert api("GET", "/IncomingPhoneNumbers.json?PageSize=1")[0] == 200
    assert api("GET", ".json")[0] == 401
    sid, secret = face.add_api_key(account, is_main=True)
    assert Api(sim=sim, account=account, user=sid, password=secret)("GET", ".json")[0] == 200


def test_a_rotated_token_dies_at_once(sim: Simulator, account: Account, face: Face) -> None:
    old = account.secrets["auth_token"]
    face.rotate_token(account)
    assert Api(sim=sim, account=account, password=old)("GET", ".json")[0] == 401
    assert Api(sim=sim, account=account)("GET", ".json")[0] == 200


def test_unknown_paths_and_methods_are_refused_in_twilios_form(api: Api) -> None:
    assert api("GET", "/Calls")[1]["code"] == 20404
    assert api("PUT", "/Calls.json", [])[0] == 405
    assert api("GET", "/Calls/CA" + "0" * 32 + ".json")[1]["code"] == 20404


def test_answers_carry_twilios_headers(api: Api) -> None:
    _, _, headers = api.raw("GET", "/Balance.json")
    assert headers["Twilio-Request-Id"].startswith("RQ")
    assert headers["X-Home-Region"] == "us1"


# -- live calls


def test_a_queued_call_is_canceled_without_any_callback(sim: Simulator, face: Face, api: Api) -> None:
    sim.script(THEIRS, NoAnswer())
    face.habits.calls_per_second = 0.01
    with Customer() as customer:
        api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")
        _, call = api.dial(To=THEIRS, From=OURS, Twiml="<Response/>", StatusCallback=customer.url("/status"))
        status, ended = api("POST", f"/Calls/{call['sid']}.json", [("Status", "canceled")])
        sim.wait(call["sid"])
        assert (status, ended["status"]) == (200, "canceled")
        assert not customer.received
        assert sim.truth(call["sid"]) == "cancelled"


@pytest.mark.parametrize("word", ["canceled", "completed"])
def test_a_ringing_call_is_canceled_with_a_callback(sim: Simulator, api: Api, word: str) -> None:
    sim.script(THEIRS, NoAnswer())
    with Customer() as customer:
        _, call = api.dial(
            To=THEIRS, From=OURS, Twiml="<Response/>", StatusCallback=customer.url("/status"), Timeout="600"
        )
        sim.wait(lambda: sim.truth(call["sid"]) == "ringing")
        api("POST", f"/Calls/{call['sid']}.json", [("Status", word)])
        sim.wait(call["sid"])
        assert customer.statuses() == ["canceled"]
        assert customer.received[0].fields["SequenceNumber"] == "0"


def test_a_live_call_is_completed_and_an_ended_one_refuses(sim: Simulator, face: Face, api: Api) -> None:
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
    path = f"/Calls/{call['sid']}.json"
    sim.wait(lambda: sim.truth(call["sid"]) == "in_progress")
    assert api("POST", path, [("Status", "canceled")])[1]["code"] == 21220
    assert api("POST", path, [("Status", "completed")])[1]["status"] == "completed"
    status, body = api("POST", path, [("Status", "completed")])
    assert (status, body["code"]) == (400, 21220)
    face.habits.ended_is_an_error = False
    assert api("POST", path, [("Status", "completed")])[0] == 200
    assert sim.call(call["sid"]).ended_by == "us"


def test_a_live_call_is_redirected_to_inline_twiml(sim: Simulator, api: Api) -> None:
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
    path = f"/Calls/{call['sid']}.json"
    assert api("POST", path, [("Twiml", "<Response/>")])[1]["code"] == 21220
    sim.wait(lambda: sim.truth(call["sid"]) == "in_progress")
    assert api("POST", path, [("Twiml", "<Response/>"), ("Url", "http://gw.example.net/")])[0] == 400
    api("POST", path, [("Twiml", "<Response><Say>Moved on</Say></Response>")])
    sim.wait(call["sid"])
    assert ("say", "Moved on") in sim.call(call["sid"]).heard


def test_a_new_time_limit_ends_a_live_call(sim: Simulator, api: Api) -> None:
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
    sim.wait(lambda: sim.truth(call["sid"]) == "in_progress")
    api("POST", f"/Calls/{call['sid']}.json", [("TimeLimit", "5")])
    sim.wait(call["sid"])
    assert sim.call(call["sid"]).ended_by == "carrier"


def test_a_call_is_deleted_only_when_it_has_ended(sim: Simulator, api: Api) -> None:
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
    path = f"/Calls/{call['sid']}.json"
    assert api("DELETE", path)[1]["code"] == 20009
    api("POST", path, [("Status", "completed")])
    assert api("DELETE", path) == (204, None)
    assert api("GET", path)[0] == 404


# -- lists


def test_calls_are_listed_newest_first_in_pages(sim: Simulator, face: Face, api: Api) -> None:
    face.habits.calls_per_second = None
    sim.script(THEIRS, NoAnswer())
    sids = [api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")[1]["sid"] for _ in range(3)]
    _, first = api("GET", "/Calls.json?PageSize=2&To=%2B14155550123")
    assert [call["sid"] for call in first["calls"]] == [sids[2], sids[1]]
    assert (first["page"], first["page_size"], first["start"], first["end"]) == (0, 2, 0, 1)
    _, second = api(
        "GET", first["next_page_uri"].removeprefix(f"/2010-04-01/Accounts/{api.account.account_ref}")
    )
    assert [call["sid"] for call in second["calls"]] == [sids[0]]
    assert second["next_page_uri"] is None


def test_calls_are_filtered_and_unknown_filters_refused(sim: Simulator, face: Face, api: Api) -> None:
    sim.script(THEIRS, NoAnswer())
    face.habits.calls_per_second = 0.01
    for _ in range(2):
        api.dial(To=THEIRS, From=OURS, Twiml="<Response/>", Timeout="600")
    sim.wait(lambda: sim.calls()[0].started_at)

    def count(query: str) -> int:
        return len(api("GET", f"/Calls.json?{query}")[1]["calls"])

    assert count("From=%2B14155550100") == 2
    assert count("From=%2B14155550199") == 0
    assert count("Status=ringing") == 1
    assert count("StartTime%3E=2020-01-01") == 1  # a queued call has no start time yet
    assert count("StartTime%3C=2020-01-01T00%3A00%3A00Z") == 0
    assert count("EndTime%3E=2020-01-01") == 0
    assert api("GET", "/Calls.json?Colour=red")[1]["code"] == 20001
    assert api("GET", "/Calls.json?StartTime=yesterday")[1]["code"] == 20001


# -- numbers and account


def test_numbers_are_listed_fetched_and_updated(api: Api) -> None:
    _, page = api("GET", "/IncomingPhoneNumbers.json?PhoneNumber=%2B14155550100")
    number = page["incoming_phone_numbers"][0]
    assert number["capabilities"]["voice"] is True
    path = f"/IncomingPhoneNumbers/{number['sid']}.json"
    changes = [("VoiceUrl", "https://gw.example.net/v"), ("StatusCallback", "https://gw.example.net/s")]
    _, updated = api("POST", path, changes)
    assert (updated["voice_url"], updated["status_callback"]) == tuple(value for _, value in changes)
    assert api("GET", path)[1] == updated
    assert api("GET", "/IncomingPhoneNumbers.json?PhoneNumber=999")[1]["incoming_phone_numbers"] == []


def test_an_application_and_a_trunk_exclude_each_other_and_empty_clears(api: Api) -> None:
    number = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"][0]
    path = f"/IncomingPhoneNumbers/{number['sid']}.json"
    trunk, application = (
        api("POST", "/v1/Trunks", [])[1]["sid"],
        api("POST", "/Applications.json", [])[1]["sid"],
    )
    assert api("POST", path, [("TrunkSid", trunk)])[1]["trunk_sid"] == trunk
    _, with_app = api("POST", path, [("VoiceApplicationSid", application)])
    assert (with_app["trunk_sid"], with_app["voice_application_sid"]) == (None, application)
    _, with_trunk = api("POST", path, [("TrunkSid", trunk)])
    assert (with_trunk["trunk_sid"], with_trunk["voice_application_sid"]) == (trunk, None)
    _, cleared = api("POST", path, [("VoiceApplicationSid", ""), ("TrunkSid", "")])
    assert (cleared["trunk_sid"], cleared["voice_application_sid"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("VoiceUrl", "gw.example.net", 21402),
        ("VoiceMethod", "PUT", 21403),
        ("VoiceFallbackUrl", "https://gw.example.net/f", 21405),
        ("FriendlyName", "x" * 65, 20001),
        ("Voice", "https://gw.example.net", 20001),
    ],
)
def test_a_number_update_is_refused_with_its_code(api: Api, name: str, value: str, code: int) -> None:
    number = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"][0]
    status, body = api("POST", f"/IncomingPhoneNumbers/{number['sid']}.json", [(name, value)])
    assert (status, body["code"]) == (400, code)


def test_the_account_shows_its_name_token_and_balance(api: Api, account: Account) -> None:
    _, body = api("GET", ".json")
    assert (body["friendly_name"], body["status"], body["type"]) == ("Acme", "active", "Full")
    assert body["auth_token"] == account.secrets["auth_token"]
    assert api("GET", "/Balance.json")[1]["currency"] == "USD"


def test_a_released_number_is_gone(api: Api) -> None:
    number = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"][0]
    assert api("DELETE", f"/IncomingPhoneNumbers/{number['sid']}.json") == (204, None)
    assert api.dial(To=THEIRS, From=OURS, Twiml="<Response/>")[1]["code"] == 21210


# -- recordings


def test_a_recording_is_a_valid_file_with_the_accounts_credentials_only(
    sim: Simulator, account: Account, api: Api
) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=10))
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK, Record="true", RecordingChannels="dual")
    sim.wait(call["sid"])
    recording = api("GET", f"/Calls/{call['sid']}/Recordings.json")[1]["recordings"][0]
    path = f"/Recordings/{recording['sid']}"
    assert (recording["status"], recording["source"], recording["channels"]) == (
        "completed",
        "OutboundAPI",
        2,
    )
    for extension in ("", ".wav"):
        _, body, headers = api.raw("GET", path + extension)
        with wave.open(io.BytesIO(body)) as audio:
            assert (audio.getnchannels(), audio.getnframes()) == (2, 8000 * int(recording["duration"]))
        assert headers["Content-Type"] == "audio/x-wav"
    status, body, headers = api.raw("GET", path + ".mp3")
    assert (status, body[:2], headers["Content-Type"]) == (200, b"\xff\xfb", "audio/mpeg")
    assert Api(sim=sim, account=account, password="0" * 32).raw("GET", path)[0] == 401
    assert api.raw("GET", path + ".wav?RequestedChannels=1")[0] == 200
    assert api("DELETE", f"{path}.json") == (204, None)
    assert api.raw("GET", path)[0] == 404
    assert api("GET", f"/Recordings.json?CallSid={call['sid']}")[1]["recordings"] == []
    assert len(api("GET", "/Recordings.json?IncludeSoftDeleted=true")[1]["recordings"]) == 1


def test_a_mono_recording_has_no_second_channel(sim: Simulator, api: Api) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=3))
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK, Record="true")
    sim.wait(call["sid"])
    sid = api("GET", "/Recordings.json")[1]["recordings"][0]["sid"]
    assert api.raw("GET", f"/Recordings/{sid}.wav?RequestedChannels=2")[0] == 400


def test_a_recording_is_started_paused_and_stopped_on_a_live_call(sim: Simulator, api: Api) -> None:
    with Customer() as customer:
        _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
        base = f"/Calls/{call['sid']}/Recordings"
        callback = [("RecordingStatusCallback", customer.url("/rec"))]
        assert api("POST", f"{base}.json", callback)[1]["code"] == 21220
        sim.wait(lambda: sim.truth(call["sid"]) == "in_progress")
        events = [("RecordingStatusCallbackEvent", event) for event in ("in-progress", "completed")]
        status, recording = api("POST", f"{base}.json", callback + events)
        assert (status, recording["status"], recording["source"]) == (
            201,
            "in-progress",
            "StartCallRecordingAPI",
        )
        path = f"{base}/{recording['sid']}.json"
        assert api.raw("GET", f"/Recordings/{recording['sid']}")[0] == 404
        assert api("POST", path, [("Status", "paused")])[1]["status"] == "paused"
        assert api("POST", path, [("Status", "stopped")])[1]["status"] == "processing"
        current = f"{base}/Twilio.CURRENT.json"
        assert api("POST", current, [("Status", "stopped")])[1]["code"] == 20404
        second = api("POST", f"{base}.json", [])[1]["sid"]
        assert api("POST", current, [("Status", "stopped")])[1]["sid"] == second
        sim.wait(lambda: api("GET", path)[1]["status"] == "completed")
        sim.wait(lambda: len(customer.at("/rec")) == 2)
        assert [got.fields["RecordingStatus"] for got in customer.at("/rec")] == ["in-progress", "completed"]
        assert "RecordingDuration" in customer.at("/rec")[1].fields


def test_the_price_comes_after_the_end_as_a_negative_string(sim: Simulator, face: Face, api: Api) -> None:
    face.habits.price_after_s = 20
    sim.script(THEIRS, Answer(after_s=1, talk_s=70))
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK)
    sim.wait(call["sid"])
    path = f"/Calls/{call['sid']}.json"
    assert api("GET", path)[1]["price"] is None
    sim.wait(lambda: api("GET", path)[1]["price"])
    assert api("GET", path)[1]["price"] == "-0.02800"


def test_events_and_notifications_tell_what_happened_to_the_webhooks(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": (500, "broken")}) as customer:
        _, call = api.dial(To=THEIRS, From=OURS, Url=customer.url("/answer"))
        sim.wait(call["sid"])
        notes = api("GET", f"/Calls/{call['sid']}/Notifications.json")[1]["notifications"]
        assert [(note["error_code"], note["log"]) for note in notes] == [("11200", "0")]
        events = api("GET", f"/Calls/{call['sid']}/Events.json")[1]["events"]
        assert events[0]["response"]["response_code"] == 500
