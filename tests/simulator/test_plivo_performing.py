"""Documents carried out by the simulated Plivo: what the phones hear, which address is asked next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from providers.simulator import Answer, Busy, Caller, Decline, NoAnswer, Simulator, Voicemail
from tests.simulator.plivo_customer import OURS, THEIRS, Customer

THIRD = "+14155550188"
FOURTH = "+14155550189"


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Simulator(speed=50, seed=2) as sim:
        account = sim.add_account("plivo", name="Acme")
        sim.add_number(account, OURS)
        with Customer(sim=sim, account=account) as customer:
            sim.configure_number(OURS, voice_url=customer.url("/inbound"), status_url=customer.url("/hangup"))
            yield customer


def ring(customer: Customer, document: str, caller: Any = None) -> dict[str, str]:
    """A caller rings in and gets this document (without `<Response>`); returns the hangup request."""
    customer.answers["/inbound"] = f"<Response>{document}</Response>"
    call = customer.sim.ring(OURS, THEIRS, caller or Caller())
    customer.sim.wait(call)
    return customer.end_of(call.id)


def heard(customer: Customer, end: dict[str, str], party: str = THEIRS) -> list[tuple[Any, ...]]:
    return customer.sim.journal.heard(end["CallUUID"], party)


def test_elements_run_in_their_order_and_the_end_of_the_document_ends_the_call(customer: Customer) -> None:
    end = ring(
        customer,
        "<PreAnswer><Speak>One moment</Speak></PreAnswer><Speak loop='2'>Hi</Speak>"
        "<Play>https://a.example/x.mp3</Play><Wait length='2'/><DTMF>12#</DTMF>",
    )
    assert heard(customer, end) == [
        ("say", "One moment"),
        ("say", "Hi"),
        ("say", "Hi"),
        ("play", "https://a.example/x.mp3"),
        ("silence", 2.0),
        ("keys", "12#"),
    ]
    assert end["HangupCauseCode"] == "4010"


def test_a_sound_that_loops_for_ever_ends_with_the_call(customer: Customer) -> None:
    end = ring(customer, "<Play loop='0'>https://a.example/x.mp3</Play>", Caller(talk_s=10))
    assert len(heard(customer, end)) >= 2
    assert end["HangupSource"] == "Caller"


def test_a_redirect_replaces_the_document(customer: Customer) -> None:
    customer.answers["/next"] = "<Response><Speak>Next</Speak></Response>"
    end = ring(customer, f"<Redirect>{customer.url('/next')}</Redirect><Speak>never</Speak>")
    assert heard(customer, end) == [("say", "Next")]
    assert customer.params_at("/next")[0]["CallStatus"] == "in-progress"


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("<Redirect>mailto:a@b.example</Redirect>", "7024"),
        ("<Redirect method='PUT'>http://127.0.0.1/</Redirect>", "7034"),
        ("<Redirect>http://127.0.0.1:1/#ct=500&amp;rc=0</Redirect>", "7014"),
        ("<Redirect>{bad}</Redirect>", "8014"),
        ("<GetDigits action='{bad}' timeout='1'/><Record action='{bad}' maxLength='1'/>", "8012"),
        ("<Record action='ftp://a.example' maxLength='1'/>", "7022"),
    ],
)
def test_an_address_in_a_document_that_is_no_good_ends_the_call(
    customer: Customer, element: str, code: str
) -> None:
    customer.answers["/bad"] = "{}"
    assert ring(customer, element.replace("{bad}", customer.url("/bad")))["HangupCauseCode"] == code


def test_a_scheduled_hangup_ends_the_call_later(customer: Customer) -> None:
    end = ring(customer, "<Hangup schedule='4'/><Wait length='60'/>")
    assert (end["HangupCauseCode"], end["HangupSource"]) == ("6000", "Answer XML")


def test_keys_are_collected_and_sent_to_the_action(customer: Customer) -> None:
    customer.answers["/keys"] = "<Response><Speak>Thanks</Speak></Response>"
    document = f"<GetDigits action='{customer.url('/keys')}' numDigits='5'><Speak>Press</Speak></GetDigits>"
    end = ring(customer, document, Caller(keys="12a#9"))
    assert customer.params_at("/keys")[0]["Digits"] == "12"
    assert heard(customer, end) == [("say", "Press"), ("say", "Thanks")]


def test_without_keys_the_next_element_runs(customer: Customer) -> None:
    document = f"<GetDigits action='{customer.url('/keys')}' timeout='2' retries='2'/><Speak>Bye</Speak>"
    end = ring(customer, document)
    assert heard(customer, end) == [("say", "Bye")]
    assert not customer.params_at("/keys")


def test_waiting_for_silence_lasts_until_the_greeting_is_over(customer: Customer) -> None:
    customer.sim.script(THEIRS, Voicemail(after_s=1, greeting_s=6))
    customer.answers["/answer"] = (
        "<Response><Wait length='60' silence='true' minSilence='2000'/><Speak>Message</Speak></Response>"
    )
    end = customer.call_to_end()
    (silence, said) = heard(customer, end)
    assert silence[0] == "silence"
    assert 6 <= silence[1] <= 8
    assert said == ("say", "Message")


# --- forwarding ------------------------------------------------------------------------------------------------


def dial(customer: Customer, inside: str, **attributes: str) -> str:
    shown = {"action": customer.url("/dialed"), "callbackUrl": customer.url("/legs"), **attributes}
    written = " ".join(f"{name}='{value}'" for name, value in shown.items())
    return f"<Dial {written}>{inside}</Dial>"


def test_a_forwarded_call_connects_both_parties_and_reports_the_b_leg(customer: Customer) -> None:
    customer.answers["/dialed"] = "<Response><Speak>Bye</Speak></Response>"
    customer.sim.script(THIRD, Answer(after_s=2, talk_s=5))
    end = ring(customer, dial(customer, f"<Number>{THIRD}</Number>", callerId="14155550100"))
    (call,) = customer.sim.calls("plivo")
    (leg,) = call.legs
    (action,) = customer.params_at("/dialed")
    assert (action["DialStatus"], action["DialRingStatus"], action["DialHangupCause"]) == (
        "completed",
        "true",
        "NORMAL_CLEARING",
    )
    assert (action["DialALegUUID"], action["DialBLegUUID"]) == (call.id, leg.id)
    assert sorted(params["DialAction"] for params in customer.params_at("/legs")) == [
        "answer",
        "connected",
        "hangup",
    ]
    assert heard(customer, end) == [("ringback",), ("connected_to", THIRD), ("say", "Bye")]
    assert leg.from_ == "+14155550100"
    cdr = customer.api("GET", f"Call/{leg.id}/").json()
    assert (cdr["parent_call_uuid"], cdr["hangup_cause_code"]) == (call.id, 4000)
    listed = customer.api("GET", "Call/", parent_call_uuid=call.id).json()["objects"]
    assert [each["call_uuid"] for each in listed] == [leg.id]


@pytest.mark.parametrize(
    ("script", "status", "cause"),
    [
        (Busy(), "busy", "USER_BUSY"),
        (Decline(), "busy", "CALL_REJECTED"),
        (NoAnswer(), "timeout", "NO_ANSWER"),
        (NoAnswer(rings_s=3), "no-answer", "NO_ANSWER"),
    ],
)
def test_a_forward_that_nobody_takes_goes_on_at_the_action(
    customer: Customer, script: Any, status: str, cause: str
) -> None:
    customer.answers["/dialed"] = "<Response><Speak>Nobody</Speak></Response>"
    customer.sim.script(THIRD, script)
    end = ring(customer, dial(customer, f"<Number>{THIRD}</Number>", timeout="10"))
    (action,) = customer.params_at("/dialed")
    assert (action["DialStatus"], action["DialHangupCause"], action["DialBLegUUID"]) == (status, cause, "")
    assert heard(customer, end) == [("ringback",), ("say", "Nobody")]


def test_a_malformed_number_fails_the_forward_and_the_document_goes_on(customer: Customer) -> None:
    end = ring(customer, "<Dial><Number>not-a-number</Number></Dial><Speak>Next</Speak>")
    assert heard(customer, end) == [("ringback",), ("say", "Next")]


def test_of_several_phones_the_first_to_answer_wins(customer: Customer) -> None:
    customer.sim.script(THIRD, Answer(after_s=3, talk_s=3))
    customer.sim.script(FOURTH, Answer(after_s=20))
    ring(customer, f"<Dial><Number>{THIRD}</Number><Number>{FOURTH}</Number></Dial>")
    codes = {
        cdr["to_number"]: cdr["hangup_cause_code"]
        for cdr in customer.api("GET", "Call/", call_direction="outbound").json()["objects"]
    }
    assert codes == {"14155550188": 4000, "14155550189": 9000}


def test_a_caller_who_hangs_up_ends_the_phone_that_rings_for_him(customer: Customer) -> None:
    customer.sim.script(THIRD, NoAnswer())
    end = ring(customer, f"<Dial><Number>{THIRD}</Number></Dial>", Caller(talk_s=4))
    (call,) = customer.sim.calls("plivo")
    assert [leg.truth for leg in call.legs] == ["cancelled"]
    assert end["HangupSource"] == "Caller"


def test_a_phone_must_press_the_confirm_key(customer: Customer) -> None:
    customer.sim.script(THIRD, Answer(talk_s=None))
    ring(customer, f"<Dial confirmKey='1' confirmTimeout='2'><Number>{THIRD}</Number></Dial>")
    (listed,) = customer.api("GET", "Call/", call_direction="outbound").json()["objects"]
    assert listed["hangup_cause_code"] == 9110


def test_a_transfer_gives_the_caller_another_document(customer: Customer) -> None:
    customer.answers |= {
        "/inbound": "<Response><Wait length='600'/></Response>",
        "/moved": "<Response><Speak>Moved</Speak></Response>",
    }
    call = customer.sim.ring(OURS, THEIRS)
    customer.sim.wait(lambda: customer.sim.journal.heard(call))
    assert customer.api("POST", f"Call/{call.id}/", {"legs": "aleg"}).status_code == 400
    answer = customer.api("POST", f"Call/{call.id}/", {"legs": "aleg", "aleg_url": customer.url("/moved")})
    assert (answer.status_code, answer.json()["message"]) == (202, "call transferred")
    customer.sim.wait(call)
    assert customer.sim.journal.heard(call)[-1] == ("say", "Moved")
    assert customer.end_of(call.id)["HangupCauseCode"] == "4010"


def test_a_transfer_can_part_a_forwarded_call_and_give_both_phones_a_document(customer: Customer) -> None:
    customer.sim.script(THIRD, Answer(talk_s=None))
    customer.answers |= {
        "/inbound": f"<Response><Dial><Number>{THIRD}</Number></Dial></Response>",
        "/a": "<Response><Speak>A</Speak></Response>",
        "/b": "<Response><Speak>B</Speak><Wait length='5'/></Response>",
    }
    call = customer.sim.ring(OURS, THEIRS)
    customer.sim.wait(lambda: ("connected_to", THIRD) in customer.sim.journal.heard(call, THEIRS))
    order = {"legs": "both", "aleg_url": customer.url("/a"), "bleg_url": customer.url("/b")}
    assert customer.api("POST", f"Call/{call.id}/", order).status_code == 202
    customer.sim.wait(call)
    (leg,) = customer.sim.calls("plivo")[0].legs
    customer.sim.wait(lambda: leg.state == "ended")
    assert customer.sim.journal.heard(call, THEIRS)[-1] == ("say", "A")
    assert customer.sim.journal.heard(call, THIRD)[-2:] == [("say", "B"), ("silence", 5.0)]


def test_a_transfer_of_the_b_leg_alone_lets_the_first_document_go_on(customer: Customer) -> None:
    customer.sim.script(THIRD, Answer(talk_s=None))
    customer.answers |= {
        "/inbound": f"<Response><Dial><Number>{THIRD}</Number></Dial><Speak>Left</Speak></Response>",
        "/b": "<Response><Wait length='5'/></Response>",
    }
    call = customer.sim.ring(OURS, THEIRS)
    customer.sim.wait(lambda: ("connected_to", THIRD) in customer.sim.journal.heard(call, THEIRS))
    order = {"legs": "bleg", "bleg_url": customer.url("/b")}
    assert customer.api("POST", f"Call/{call.id}/", order).status_code == 202
    customer.sim.wait(call)
    assert customer.sim.journal.heard(call, THEIRS)[-1] == ("say", "Left")
    (leg,) = customer.sim.calls("plivo")[0].legs
    customer.sim.wait(lambda: leg.state == "ended")


# --- recordings and sounds -------------------------------------------------------------------------------------


def test_a_message_is_recorded_and_can_be_fetched_once_its_callback_came(customer: Customer) -> None:
    customer.answers["/taken"] = "<Response><Speak>Saved</Speak></Response>"
    document = (
        f"<Record action='{customer.url('/taken')}' callbackUrl='{customer.url('/file')}' fileFormat='wav' "
        "maxLength='4'/>"
    )
    end = ring(customer, document)
    assert heard(customer, end) == [("beep",), ("say", "Saved")]
    (taken,), (ready,) = customer.params_at("/taken"), customer.params_at("/file")
    assert taken["RecordingID"] == ready["RecordingID"]
    assert (taken["Digits"], "Digits" in ready) == ("", False)
    assert ready["RecordingDuration"] in ("4", "5")
    file = requests.get(ready["RecordUrl"], timeout=5)
    assert (file.status_code, file.content[:4], file.headers["Content-Type"]) == (200, b"RIFF", "audio/wav")
    recording = customer.api("GET", f"Recording/{ready['RecordingID']}/").json()
    assert (recording["recording_url"], recording["recording_format"]) == (ready["RecordUrl"], "wav")
    assert customer.api("GET", "Recording/", call_uuid=end["CallUUID"]).json()["meta"]["total_count"] == 1
    assert customer.api("DELETE", f"Recording/{ready['RecordingID']}/").status_code == 204
    assert requests.get(ready["RecordUrl"], timeout=5).status_code == 404


def test_a_finish_key_ends_the_message(customer: Customer) -> None:
    customer.answers["/taken"] = "<Response/>"
    ring(customer, f"<Record action='{customer.url('/taken')}' maxLength='60'/>", Caller(keys="#"))
    assert customer.params_at("/taken")[0]["Digits"] == "#"


def test_a_session_is_recorded_until_the_call_ends(customer: Customer) -> None:
    document = (
        f"<Record recordSession='true' maxLength='3600' callbackUrl='{customer.url('/file')}'/>"
        "<Wait length='6'/>"
    )
    end = ring(customer, document)
    (ready,) = customer.params_at("/file")
    assert ready["RecordingDuration"] in ("6", "7")
    assert ready["CallUUID"] == end["CallUUID"]
    assert ready["RecordUrl"].endswith(".mp3")


def test_recordings_can_be_behind_the_accounts_credentials(customer: Customer) -> None:
    customer.sim.face("plivo").habits.recordings_need_auth = True  # type: ignore[attr-defined]
    ring(customer, f"<Record callbackUrl='{customer.url('/file')}' maxLength='1'/>")
    url = customer.params_at("/file")[0]["RecordUrl"]
    secrets = customer.account.secrets
    assert requests.get(url, timeout=5).status_code == 401
    signed_in = requests.get(url, auth=(secrets["auth_id"], secrets["auth_token"]), timeout=5)
    assert signed_in.content[:2] == b"\xff\xfb"


def test_a_live_call_can_be_recorded_spoken_to_and_sent_keys(customer: Customer) -> None:
    customer.answers["/inbound"] = "<Response><Speak>Hi</Speak><Wait length='600'/></Response>"
    call = customer.sim.ring(OURS, THEIRS)
    customer.sim.wait(lambda: customer.sim.call(call.id).answered)
    path = f"Call/{call.id}/"
    started = customer.api("POST", path + "Record/", {"callback_url": customer.url("/file")}).json()
    assert started["message"] == "call recording started"
    assert customer.api("POST", path + "Speak/", {"text": "Psst"}).json()["message"] == "speak started"
    played = customer.api("POST", path + "Play/", {"urls": "https://a.example/1.mp3,https://a.example/2.mp3"})
    assert played.json()["message"] == "play started"
    assert customer.api("POST", path + "DTMF/", {"digits": "12"}).json()["message"] == "digits sent"
    assert customer.api("POST", path + "DTMF/", {"digits": "x"}).status_code == 400
    assert customer.api("DELETE", path + "Speak/").status_code == 204
    assert customer.api("DELETE", path + "Record/").status_code == 204
    customer.api("DELETE", path)
    customer.sim.wait(call)
    told = customer.sim.journal.heard(call)
    for item in (("say", "Psst"), ("play", "https://a.example/2.mp3"), ("keys", "12")):
        assert item in told
    (ready,) = customer.params_at("/file")
    assert ready["recording_id"] == started["recording_id"]
    assert ready["record_url"] == started["url"]
    assert "RecordUrl" not in ready
