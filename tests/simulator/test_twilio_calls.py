"""The life of a call at the simulated Twilio: webhooks, detection, TwiML, fallbacks, forwarding."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from providers.simulator import (
    Account,
    Answer,
    Busy,
    Caller,
    Decline,
    Kind,
    NoAnswer,
    SimCall,
    Simulator,
    Unreachable,
    Voicemail,
)
from providers.simulator.carriers.twilio.executor import APPLICATION_ERROR
from providers.simulator.carriers.twilio.face import Face
from tests.simulator.twilio_customer import Api, Customer, Reply

OURS, THEIRS, OTHER = "+14155550100", "+14155550123", "+14155550177"
EVENTS = [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]
TALK = "<Response><Pause length='3600'/></Response>"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=50) as simulator:
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio")
    sim.add_number(account, OURS)
    return account


@pytest.fixture
def api(sim: Simulator, account: Account) -> Api:
    return Api(sim=sim, account=account)


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Customer(replies={"/answer": TALK}) as customer:
        yield customer


def dial(sim: Simulator, api: Api, customer: Customer, *form: tuple[str, str], **fields: str) -> SimCall:
    given = {
        "To": THEIRS,
        "From": OURS,
        "Url": customer.url("/answer"),
        "StatusCallback": customer.url("/status"),
    }
    status, call = api.dial(*EVENTS, *form, **{**given, **fields})
    assert status == 201, call
    sim.wait(call["sid"])
    return sim.call(call["sid"])


def ring(sim: Simulator, customer: Customer, reply: Reply, caller: Caller | None = None) -> SimCall:
    customer.replies["/voice"] = reply
    urls = {"voice_url": "/voice", "status_url": "/status", "fallback_url": "/fallback"}
    sim.configure_number(OURS, **{name: customer.url(path) for name, path in urls.items()})
    call = sim.ring(OURS, THEIRS, caller or Caller(talk_s=30))
    sim.wait(call)
    return call


# -- outbound


@pytest.mark.parametrize(
    ("script", "statuses", "sip_code"),
    [
        (Answer(after_s=1, talk_s=2), ["initiated", "ringing", "in-progress", "completed"], "200"),
        (Busy(), ["initiated", "busy"], "486"),
        (NoAnswer(), ["initiated", "ringing", "no-answer"], "487"),
        (Decline(after_s=1), ["initiated", "ringing", "busy"], "603"),
        (Unreachable(), ["initiated", "failed"], "404"),
        (Unreachable(sip_code=484), ["initiated", "failed"], "484"),
    ],
)
def test_status_callbacks_tell_the_call_in_sequence(
    sim: Simulator, api: Api, customer: Customer, script: object, statuses: list[str], sip_code: str
) -> None:
    sim.script(THEIRS, script)  # type: ignore[arg-type]
    call = dial(sim, api, customer, Timeout="5")
    assert customer.statuses() == statuses
    last = max(customer.at("/status"), key=lambda got: int(got.fields["SequenceNumber"])).fields
    assert last["SipResponseCode"] == sip_code
    assert last["CallbackSource"] == "call-progress-events"
    assert parsedate_to_datetime(last["Timestamp"]).utcoffset() is not None
    assert api("GET", f"/Calls/{call.id}.json")[1]["status"] == statuses[-1]
    assert bool(customer.at("/answer")) == (statuses[-1] == "completed")


def test_seconds_and_billed_minutes_are_told_apart(sim: Simulator, api: Api, customer: Customer) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=65))
    dial(sim, api, customer)
    last = customer.at("/status")[-1].fields
    seconds, minutes = int(last["CallDuration"]), int(last["Duration"])
    assert seconds >= 65
    assert minutes == -(-seconds // 60)


def test_only_the_end_is_told_by_default(sim: Simulator, api: Api, customer: Customer) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=1))
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=TALK, StatusCallback=customer.url("/status"))
    sim.wait(call["sid"])
    assert [(got.fields["CallStatus"], got.fields["SequenceNumber"]) for got in customer.received] == [
        ("completed", "0")
    ]


def test_a_webhook_has_twilios_fields_and_headers(sim: Simulator, api: Api, customer: Customer) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=1))
    call = dial(sim, api, customer, Url=customer.url("/answer?attempt=a-17#rc=2&rp=5xx"))
    got = customer.at("/answer")[0]
    assert got.url == customer.url("/answer?attempt=a-17")
    assert got.headers["User-Agent"] == "TwilioProxy/1.1"
    assert len(got.headers["I-Twilio-Idempotency-Token"]) == 36
    fields = got.fields
    assert (fields["CallSid"], fields["From"], fields["Caller"]) == (call.id, OURS, OURS)
    assert (fields["CallStatus"], fields["Direction"]) == ("in-progress", "outbound-api")
    assert fields["FromCity"] == ""
    assert "AnsweredBy" not in fields


def test_a_get_callback_carries_its_fields_in_the_query(sim: Simulator, api: Api, customer: Customer) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=1))
    dial(sim, api, customer, Method="GET", Url=customer.url("/answer?a=1"))
    got = customer.at("/answer")[0]
    assert got.body == b""
    assert "?a=1&CallSid=CA" in got.url


@pytest.mark.parametrize(
    ("script", "mode", "verdict"),
    [
        (Answer(after_s=1, talk_s=20), "Enable", "human"),
        (Voicemail(after_s=1, greeting_s=4, records_s=5), "Enable", "machine_start"),
        (Voicemail(after_s=1, greeting_s=4, records_s=5), "DetectMessageEnd", "machine_end_beep"),
        (
            Voicemail(after_s=1, greeting_s=4, beep=False, records_s=5),
            "DetectMessageEnd",
            "machine_end_silence",
        ),
        (Voicemail(after_s=1, verdict="fax", records_s=5), "DetectMessageEnd", "fax"),
        (Voicemail(after_s=1, greeting_s=9, records_s=5), "DetectMessageEnd", "unknown"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_machine_detection_tells_its_verdict(
    sim: Simulator, api: Api, customer: Customer, script: object, mode: str, verdict: str, is_async: bool
) -> None:
    sim.script(THEIRS, script)  # type: ignore[arg-type]
    wish = {"MachineDetection": mode, "MachineDetectionTimeout": "6"}
    if is_async:
        wish |= {"AsyncAmd": "true", "AsyncAmdStatusCallback": customer.url("/amd")}
    call = dial(sim, api, customer, **wish)
    asked = customer.at("/answer")[0].fields
    assert asked.get("AnsweredBy") == (None if is_async else verdict)
    assert [got.fields["AnsweredBy"] for got in customer.at("/amd")] == ([verdict] if is_async else [])
    assert customer.at("/status")[-1].fields["AnsweredBy"] == verdict
    assert api("GET", f"/Calls/{call.id}.json")[1]["answered_by"] == verdict
    assert any(item[0] == "silence" and item[1] < 10 for item in call.heard) != is_async


def test_an_async_verdict_may_come_after_the_end(sim: Simulator, api: Api, customer: Customer) -> None:
    face = sim.face("twilio")
    assert isinstance(face, Face)
    sim.script(THEIRS, Answer(after_s=1, talk_s=1, recognized_after_s=5))
    amd = {"MachineDetection": "Enable", "AsyncAmd": "true", "AsyncAmdStatusCallback": customer.url("/amd")}
    dial(sim, api, customer, **amd)
    assert not customer.at("/amd")
    face.habits.late_amd = True
    dial(sim, api, customer, **amd)
    assert customer.received[-1].path == "/amd"
    assert "CallStatus" not in customer.received[-1].fields


def test_a_recording_is_told_after_the_end(sim: Simulator, api: Api, customer: Customer) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=10))
    dial(sim, api, customer, Record="true", RecordingStatusCallback=customer.url("/recording"))
    end, told = customer.at("/status")[-1].fields, customer.at("/recording")[0].fields
    assert customer.received[-1].path == "/recording"
    assert end["RecordingSid"] == told["RecordingSid"]
    assert (told["RecordingStatus"], told["RecordingSource"]) == ("completed", "OutboundAPI")
    assert told[
        "RecordingUrl"
    ] == f"{sim.base_url('twilio')}/2010-04-01/Accounts/{api.account.account_ref}" + (
        f"/Recordings/{told['RecordingSid']}"
    )
    assert int(told["RecordingDuration"]) >= 10


def test_digits_are_sent_after_the_answer_and_switch_detection_off(
    sim: Simulator, api: Api, customer: Customer
) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=5))
    call = dial(sim, api, customer, SendDigits="ww12#", MachineDetection="Enable")
    assert call.heard[0] == ("keys", "ww12#")
    assert "AnsweredBy" not in customer.at("/answer")[0].fields


def test_the_time_limit_ends_the_call(sim: Simulator, api: Api, customer: Customer) -> None:
    call = dial(sim, api, customer, TimeLimit="5")
    assert (call.ended_by, call.truth) == ("carrier", "answered")
    assert customer.statuses()[-1] == "completed"


# -- delivery rules


def test_a_failed_callback_is_retried_only_as_its_url_says(
    sim: Simulator, api: Api, customer: Customer
) -> None:
    sim.script(THEIRS, Busy())
    customer.replies |= {"/status": (500, "no"), "/retried": (500, "no")}
    dial(sim, api, customer)
    assert len(customer.at("/status")) == 2  # initiated and busy, each once
    dial(sim, api, customer, StatusCallback=customer.url("/retried#rc=3&rp=5xx"))
    retried = customer.at("/retried")
    assert len(retried) == 2 * 4
    assert len({got.headers["I-Twilio-Idempotency-Token"] for got in retried}) == 2
    codes = [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER)]
    assert codes == [15003] * 4


def test_a_refused_connection_is_tried_twice(sim: Simulator, api: Api) -> None:
    sim.script(THEIRS, Answer(after_s=1, talk_s=60))
    _, call = api.dial(To=THEIRS, From=OURS, Url="http://127.0.0.1:9/answer")
    sim.wait(call["sid"])
    tries = sim.journal.webhooks("twilio", call=call["sid"], hook="answer")
    assert [entry.data["attempt"] for entry in tries] == [1, 2]
    assert sim.call(call["sid"]).heard == [("say", APPLICATION_ERROR)]


# -- inbound


def test_an_inbound_call_is_asked_while_ringing_and_its_end_told_once(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    call = ring(sim, customer, "<Response><Say>Welcome to Acme</Say></Response>")
    asked, ended = customer.received
    assert (asked.fields["CallStatus"], asked.fields["Direction"]) == ("ringing", "inbound")
    assert "CallToken" in asked.fields
    assert (ended.path, ended.fields["CallStatus"], ended.fields["SequenceNumber"]) == (
        "/status",
        "completed",
        "0",
    )
    assert call.heard == [("say", "Welcome to Acme")]
    assert (call.truth, call.ended_by) == ("answered", "us")


@pytest.mark.parametrize(
    ("reason", "truth", "status", "heard"),
    [
        ("busy", "refused_busy", "busy", ("busy_tone",)),
        ("rejected", "declined", "no-answer", ("say", "The number is not in service.")),
    ],
)
def test_a_rejected_call_was_never_answered(
    sim: Simulator,
    account: Account,
    customer: Customer,
    reason: str,
    truth: str,
    status: str,
    heard: tuple[str, ...],
) -> None:
    call = ring(sim, customer, f"<Response><Reject reason='{reason}'/></Response>")
    assert (call.truth, call.answered, call.heard) == (truth, False, [heard])
    assert customer.at("/status")[0].fields["CallStatus"] == status


def test_a_number_without_url_is_not_answered(sim: Simulator, account: Account) -> None:
    call = sim.ring(OURS, THEIRS)
    sim.wait(call)
    assert (call.truth, call.answered) == ("failed", False)


def test_a_hangup_as_first_verb_answers_all_the_same(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    assert ring(sim, customer, "<Response><Hangup/></Response>").answered


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((500, "<Response/>"), 11200),
        ((404, ""), 11200),
        ("<Response><Say>", 12100),
        ("<Answer/>", 12100),
        ("not xml", 12100),
        ((200, ""), 12100),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><Response/>", 12100),
        ("<Response><Dance/></Response>", 12200),
        ("<Response><Say tone='high'>x</Say></Response>", 12200),
        ("<Response><Dial timeout='4'>+14155550177</Dial></Response>", 12200),
        ("<Response><Say>" + "x" * 70_000 + "</Say></Response>", 11750),
    ],
)
def test_a_useless_answer_goes_to_the_fallback_once(
    sim: Simulator, account: Account, customer: Customer, reply: Reply, code: int
) -> None:
    customer.replies["/fallback"] = "<Response><Say>Sorry</Say></Response>"
    call = ring(sim, customer, reply)
    asked = customer.at("/fallback")
    assert [got.fields["ErrorCode"] for got in asked] == [str(code)]
    assert asked[0].fields["ErrorUrl"] == customer.url("/voice")
    assert call.heard == [("say", "Sorry")]
    assert [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER, call=call)] == [code]


def test_without_a_usable_fallback_the_caller_hears_an_error(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/fallback"] = (500, "no")
    call = ring(sim, customer, (500, "no"))
    assert call.heard == [("say", APPLICATION_ERROR)]
    assert (len(customer.at("/fallback")), call.ended_by) == (1, "carrier")


# -- verbs


def test_say_play_pause_and_redirect_are_heard_in_order(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/more"] = "<Response><Play loop='2'>/hold.mp3</Play></Response>"
    first = "<Response><Say>One <break time='1s'/>two</Say><Pause length='2'/><Redirect>/more</Redirect></Response>"
    call = ring(sim, customer, first, Caller(talk_s=None))
    hold = ("play", customer.url("/hold.mp3"))
    assert call.heard == [("say", "One two"), ("silence", 2.0), hold, hold]
    assert customer.at("/more")[0].fields["CallStatus"] == "in-progress"


def test_a_forwarded_call_connects_the_two_parties(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    sim.script(OTHER, Answer(after_s=2, talk_s=10))
    customer.replies["/dialed"] = "<Response><Say>Goodbye</Say></Response>"
    dial_verb = (
        "<Response><Dial action='/dialed' timeout='20' answerOnBridge='true'><Number "
        f"statusCallback='/leg' statusCallbackEvent='initiated ringing answered completed'>{OTHER}</Number>"
        "</Dial></Response>"
    )
    call = ring(sim, customer, dial_verb, Caller(talk_s=None))
    child = call.legs[0]
    assert call.heard == [("ringback",), ("connected_to", OTHER), ("say", "Goodbye")]
    assert child.heard == [("connected_to", THEIRS)]
    after = customer.at("/dialed")[0].fields
    assert (after["DialCallStatus"], after["DialCallSid"], after["DialBridged"]) == (
        "completed",
        child.id,
        "true",
    )
    assert int(after["DialCallDuration"]) >= 10
    assert customer.statuses("/leg") == ["initiated", "ringing", "in-progress", "completed"]
    leg = customer.at("/leg")[0].fields
    assert (leg["ParentCallSid"], leg["Direction"], leg["From"]) == (call.id, "outbound-dial", THEIRS)


@pytest.mark.parametrize(
    ("script", "status"),
    [(Busy(), "busy"), (NoAnswer(), "no-answer"), (Unreachable(), "failed"), (Decline(after_s=1), "busy")],
)
def test_a_forward_that_is_not_answered_asks_what_next(
    sim: Simulator, account: Account, customer: Customer, script: object, status: str
) -> None:
    sim.script(OTHER, script)  # type: ignore[arg-type]
    customer.replies["/dialed"] = "<Response><Say>Nobody is here</Say></Response>"
    call = ring(
        sim,
        customer,
        f"<Response><Dial action='/dialed' timeout='5'>{OTHER}</Dial></Response>",
        Caller(talk_s=None),
    )
    assert customer.at("/dialed")[0].fields["DialCallStatus"] == status
    assert call.heard == [("ringback",), ("say", "Nobody is here")]


def test_a_forward_to_a_sip_target_runs_its_script(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    sim.script("sip:desk7@pbx.example.net", Busy())
    sip = "<Sip username='u' password='p'>sip:desk7@pbx.example.net;transport=tls?X-Ref=1</Sip>"
    customer.replies["/dialed"] = "<Response/>"
    ring(sim, customer, f"<Response><Dial action='/dialed'>{sip}</Dial></Response>", Caller(talk_s=None))
    after = customer.at("/dialed")[0].fields
    assert (after["DialCallStatus"], after["DialSipResponseCode"]) == ("busy", "486")


def test_the_first_of_several_parties_wins_and_the_others_stop_ringing(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    sim.script(OTHER, Answer(after_s=3, talk_s=5))
    sim.script("+14155550178", NoAnswer())
    nouns = f"<Number>+14155550178</Number><Number>{OTHER}</Number>"
    call = ring(sim, customer, f"<Response><Dial>{nouns}</Dial></Response>", Caller(talk_s=None))
    assert [leg.truth for leg in call.legs] == ["cancelled", "answered"]


def test_a_caller_who_leaves_while_it_rings_cancels_the_forward(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    sim.script(OTHER, NoAnswer())
    call = ring(
        sim, customer, f"<Response><Dial action='/dialed'>{OTHER}</Dial></Response>", Caller(talk_s=3)
    )
    assert call.legs[0].truth == "cancelled"
    told = customer.at("/dialed")[0].fields
    assert (told["CallStatus"], told["DialCallStatus"]) == ("completed", "canceled")


@pytest.mark.parametrize(
    ("dial_verb", "code"),
    [
        ("<Dial action='/dialed'>4155550177</Dial>", 13223),
        (f"<Dial action='/dialed' callerId='+19998887777'>{OTHER}</Dial>", 13214),
    ],
)
def test_a_dial_that_cannot_be_is_failed_at_once(
    sim: Simulator, account: Account, customer: Customer, dial_verb: str, code: int
) -> None:
    customer.replies["/dialed"] = "<Response/>"
    call = ring(sim, customer, f"<Response>{dial_verb}</Response>", Caller(talk_s=None))
    assert customer.at("/dialed")[0].fields["DialCallStatus"] == "failed"
    assert [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER, call=call)] == [code]


def test_a_redirect_of_the_parent_ends_the_forward(sim: Simulator, api: Api, customer: Customer) -> None:
    customer.replies["/voice"] = f"<Response><Dial>{OTHER}</Dial></Response>"
    sim.configure_number(OURS, voice_url=customer.url("/voice"))
    call = sim.ring(OURS, THEIRS)
    sim.wait(lambda: ("connected_to", OTHER) in call.heard)
    api("POST", f"/Calls/{call.id}.json", [("Twiml", "<Response><Say>Back</Say></Response>")])
    sim.wait(call)
    assert call.heard[-1] == ("say", "Back")
    assert call.legs[0].state == "ended"


def test_a_message_is_recorded_until_the_caller_hangs_up(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    record = (
        "<Response><Record action='/done' maxLength='60' playBeep='true' "
        "recordingStatusCallback='/recording'/></Response>"
    )
    call = ring(sim, customer, record, Caller(talk_s=8))
    done, told = customer.at("/done")[0].fields, customer.at("/recording")[0].fields
    assert call.heard == [("beep",)]
    assert (done["Digits"], done["CallStatus"]) == ("hangup", "completed")
    assert (told["RecordingSid"], told["RecordingSource"]) == (done["RecordingSid"], "RecordVerb")
    assert int(told["RecordingDuration"]) >= 7


def test_a_message_ends_by_key_or_by_its_longest_time(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/done"] = "<Response><Hangup/></Response>"
    record = "<Response><Record action='/done' maxLength='20' finishOnKey='#'/></Response>"
    ring(sim, customer, record, Caller(talk_s=None, keys="1#"))
    ring(sim, customer, record, Caller(talk_s=None))
    by_key, by_time = (got.fields for got in customer.at("/done"))
    assert (by_key["Digits"], by_time["Digits"]) == ("#", "")
    assert int(by_time["RecordingDuration"]) >= 20


def test_gather_collects_keys_and_falls_through_without(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/keys"] = "<Response><Say>Thank you</Say></Response>"
    gather = (
        "<Response><Gather action='/keys' numDigits='2' timeout='3'><Say>Press two keys</Say></Gather>"
        "<Say>No keys</Say></Response>"
    )
    pressed = ring(sim, customer, gather, Caller(talk_s=None, keys="42"))
    silent = ring(sim, customer, gather, Caller(talk_s=None))
    assert customer.at("/keys")[0].fields["Digits"] == "42"
    assert pressed.heard[-1] == ("say", "Thank you")
    assert silent.heard == [("say", "Press two keys"), ("say", "No keys")]
    assert len(customer.at("/keys")) == 1


def test_a_recording_beside_other_verbs_runs_until_the_end(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    start = "<Start><Recording recordingStatusCallback='/recording' recordingStatusCallbackEvent='completed'/></Start>"
    ring(sim, customer, f"<Response>{start}<Say>Hello there</Say></Response>")
    assert customer.at("/recording")[0].fields["RecordingStatus"] == "completed"


def test_a_whisper_is_heard_by_the_dialed_party_only(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    sim.script(OTHER, Answer(after_s=1, talk_s=10))
    customer.replies["/whisper"] = "<Response><Say>A call for Acme</Say></Response>"
    number = f"<Number url='/whisper'>{OTHER}</Number>"
    call = ring(sim, customer, f"<Response><Dial>{number}</Dial></Response>", Caller(talk_s=None))
    assert call.legs[0].heard == [("say", "A call for Acme"), ("connected_to", THEIRS)]
    assert ("say", "A call for Acme") not in call.heard


def test_a_withheld_caller_is_passed_as_it_is(sim: Simulator, account: Account, customer: Customer) -> None:
    customer.replies["/voice"] = "<Response/>"
    sim.configure_number(OURS, voice_url=customer.url("/voice"))
    sim.wait(sim.ring(OURS, "anonymous"))
    assert customer.received[0].fields["From"] == "anonymous"


def test_a_forward_is_recorded_for_its_own_time(sim: Simulator, account: Account, customer: Customer) -> None:
    sim.script(OTHER, Answer(after_s=1, talk_s=8))
    customer.replies["/dialed"] = "<Response/>"
    verb = f"<Dial action='/dialed' record='record-from-answer-dual' recordingStatusCallback='/rec'>{OTHER}</Dial>"
    ring(sim, customer, f"<Response>{verb}</Response>", Caller(talk_s=None))
    told = customer.at("/rec")[0].fields
    assert (told["RecordingSource"], told["RecordingChannels"]) == ("DialVerb", "2")
    assert customer.at("/dialed")[0].fields["RecordingUrl"] == told["RecordingUrl"]


def test_a_reject_after_another_verb_is_refused_and_the_fallback_asked(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    customer.replies["/fallback"] = "<Response><Say>Sorry</Say></Response>"
    call = ring(sim, customer, "<Response><Say>Hi</Say><Reject/></Response>", Caller(talk_s=None))
    assert call.heard == [("say", "Hi"), ("say", "Sorry")]
    assert [entry.data["code"] for entry in sim.journal.find(Kind.DEBUGGER, call=call)] == [12200]


def test_executed_documents_are_journaled_with_their_verbs(
    sim: Simulator, account: Account, customer: Customer
) -> None:
    call = ring(sim, customer, "<Response><Say>Hi</Say><Hangup/></Response>")
    assert [entry.data["verbs"] for entry in sim.journal.find(Kind.DOCUMENT, call=call)] == [
        ["Say", "Hangup"]
    ]
