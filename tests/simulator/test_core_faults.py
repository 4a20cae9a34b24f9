"""Faults of the API and of webhooks, carried by the Twilio face."""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Iterator

import pytest

from providers.simulator import Account, Answer, Busy, Fault, Journal, Kind, Simulator
from providers.simulator.delivery import damaged
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS = "+14155550100", "+14155550123"
SILENT = "<Response><Pause length='600'/></Response>"
EVENTS = [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(speed=50) as simulator:
        simulator.script(THEIRS, Answer(after_s=1, talk_s=2))
        yield simulator


@pytest.fixture
def account(sim: Simulator) -> Account:
    account = sim.add_account("twilio")
    sim.add_number(account, OURS)
    return account


@pytest.fixture
def api(sim: Simulator, account: Account) -> Api:
    return Api(sim=sim, account=account)


@pytest.mark.parametrize(
    ("fault", "status", "was_placed"),
    [
        (Fault.SERVER_ERROR_BEFORE, 503, False),
        (Fault.SERVER_ERROR_AFTER, 503, True),
        (Fault.RATE_LIMITED, 429, False),
        (Fault.CONFLICT, 409, False),
        (Fault.REDIRECT, 307, False),
        (Fault.STATUS, 503, False),
    ],
)
def test_a_faulted_dial_was_placed_or_not_as_its_fault_says(
    sim: Simulator, api: Api, fault: Fault, status: int, was_placed: bool
) -> None:
    sim.faults.api("twilio", "dial", fault)
    answered, _, headers = api.raw("POST", "/Calls.json", _dial())
    assert answered == status
    assert len(sim.calls()) == int(was_placed)
    assert len(sim.dials("twilio")) == 1
    assert ("Location" in headers) == (fault is Fault.REDIRECT)


def test_an_error_has_the_carriers_own_form_and_a_foreign_one_has_not(sim: Simulator, api: Api) -> None:
    sim.faults.api("twilio", "dial", Fault.RATE_LIMITED, retry_after_s=3)
    status, body = api("POST", "/Calls.json", _dial())
    assert (status, body["code"], body["status"]) == (429, 20429, 429)
    sim.faults.api("twilio", "dial", Fault.RATE_LIMITED_FOREIGN)
    status, text, headers = api.raw("POST", "/Calls.json", _dial())
    assert (status, headers["Content-Type"], text[:6]) == (429, "text/html", b"<html>")


@pytest.mark.parametrize("fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER])
def test_a_reset_cuts_the_connection(sim: Simulator, api: Api, fault: Fault) -> None:
    sim.faults.api("twilio", "dial", fault)
    with pytest.raises((ConnectionError, http.client.HTTPException, urllib.error.URLError)):
        api.raw("POST", "/Calls.json", _dial())
    assert len(sim.calls()) == (1 if fault is Fault.RESET_AFTER else 0)


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.HANG_AFTER, Fault.DRIP])
def test_a_hanging_request_never_gets_its_answer(sim: Simulator, account: Account, fault: Fault) -> None:
    sim.faults.api("twilio", "dial", fault)
    client = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=0.3)
    api = Api(sim=sim, account=account)
    client.request("POST", f"/twilio/2010-04-01/Accounts/{account.account_ref}/Calls.json", *_raw(api))
    with pytest.raises(TimeoutError):
        client.getresponse().read()
    client.close()
    assert len(sim.calls()) == (0 if fault is Fault.HANG_BEFORE else 1)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(Fault.GARBAGE, b"<html>"), (Fault.EMPTY, b""), (Fault.WRONG_TYPE, b'["unex')],
)
def test_a_spoiled_answer_still_placed_the_call(
    sim: Simulator, api: Api, fault: Fault, expected: bytes
) -> None:
    sim.faults.api("twilio", "dial", fault)
    status, body, _ = api.raw("POST", "/Calls.json", _dial())
    assert (status, body[:6], len(sim.calls())) == (201, expected, 1)


def test_an_answer_without_id_is_otherwise_whole(sim: Simulator, api: Api) -> None:
    sim.faults.api("twilio", "dial", Fault.NO_ID)
    _, body = api("POST", "/Calls.json", _dial())
    assert body["status"] == "queued"
    assert "sid" not in body


def test_a_fault_strikes_as_often_as_asked_and_only_its_operation(sim: Simulator, api: Api) -> None:
    sim.faults.api("twilio", "list", Fault.STATUS, status=500, times=2)
    statuses = [api("GET", "/Calls.json")[0] for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert [entry.data["fault"] for entry in sim.journal.find(Kind.FAULT)] == ["status", "status"]


# -- webhooks


def test_a_repeated_webhook_is_the_same_to_the_byte(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="ringing", repeat=2)
        _place(sim, api, customer)
        ringing = [got for got in customer.at("/status") if got.fields["CallStatus"] == "ringing"]
        assert len(ringing) == 3
        assert len({(got.body, got.headers["X-Twilio-Signature"]) for got in ringing}) == 1
        assert len({got.headers["I-Twilio-Idempotency-Token"] for got in ringing}) == 1


def test_a_reordered_webhook_comes_after_the_next(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="initiated", reorder=True)
        _place(sim, api, customer)
        arrived = [got.fields["CallStatus"] for got in customer.at("/status")]
        assert arrived.index("initiated") > arrived.index("ringing")
        assert customer.statuses() == ["initiated", "ringing", "in-progress", "completed"]


def test_a_dropped_webhook_never_arrives(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="completed", drop=True)
        _place(sim, api, customer)
        assert customer.statuses() == ["initiated", "ringing", "in-progress"]


def test_a_forged_copy_has_another_signature_and_the_true_one_follows(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="completed", forge=True)
        call = _place(sim, api, customer)
        forged, true = sim.journal.webhooks("twilio", call=call, event="completed")
        assert (forged.data["faults"], true.data["faults"]) == (["forged"], [])
        assert forged.data["body"] == true.data["body"]
        assert forged.data["headers"]["X-Twilio-Signature"] != true.data["headers"]["X-Twilio-Signature"]


def test_a_corrupt_webhook_differs_from_what_was_signed(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="completed", corrupt=True)
        call = _place(sim, api, customer)
        sent = sim.journal.webhooks("twilio", call=call, event="completed")[0].data["body"].encode()
        arrived = customer.at("/status")[-1].body
        assert arrived == damaged(sent) != sent


def test_a_delayed_webhook_comes_late_but_comes(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT}) as customer:
        sim.faults.webhooks("twilio", event="initiated", delay_s=0.4)
        _place(sim, api, customer)
        assert customer.at("/status")[-1].fields["CallStatus"] == "initiated"


def test_every_webhook_is_journaled_with_its_answer(sim: Simulator, api: Api) -> None:
    with Customer(replies={"/answer": SILENT, "/status": (403, "no")}) as customer:
        call = _place(sim, api, customer)
        told = sim.journal.webhooks("twilio", call=call, hook="status")
        assert [(entry.data["status"], entry.data["answer"]) for entry in told] == [(403, "no")] * 4
        answer = sim.journal.webhooks("twilio", call=call, hook="answer")[0]
        assert answer.data["answer"] == SILENT
        assert sim.journal.all() == sorted(sim.journal.all(), key=lambda entry: entry.sequence)


def _place(sim: Simulator, api: Api, customer: Customer) -> str:
    status, call = api.dial(
        *EVENTS, To=THEIRS, From=OURS, Url=customer.url("/answer"), StatusCallback=customer.url("/status")
    )
    assert status == 201
    sim.wait(call["sid"])
    return str(call["sid"])


def _dial() -> list[tuple[str, str]]:
    return [("To", THEIRS), ("From", OURS), ("Twiml", "<Response/>")]


def _raw(api: Api) -> tuple[bytes, dict[str, str]]:
    import base64
    import urllib.parse

    secrets = api.account.secrets
    basic = base64.b64encode(f"{secrets['account_sid']}:{secrets['auth_token']}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return urllib.parse.urlencode(_dial()).encode(), headers


def test_busy_calls_have_no_answer_webhook(sim: Simulator, api: Api) -> None:
    sim.script(THEIRS, Busy())
    with Customer() as customer:
        call = _place(sim, api, customer)
        assert not sim.journal.webhooks("twilio", call=call, hook="answer")
        assert customer.statuses() == ["initiated", "busy"]


def test_a_hang_up_is_an_operation_of_its_own(sim: Simulator, api: Api) -> None:
    _, call = api.dial(To=THEIRS, From=OURS, Twiml=SILENT)
    sim.faults.api("twilio", "hang_up", Fault.SERVER_ERROR_AFTER)
    path = f"/Calls/{call['sid']}.json"
    assert api("POST", path, [("TimeLimit", "600")])[0] == 200
    assert api("POST", path, [("Status", "completed")])[0] == 503
    assert sim.call(call["sid"]).state == "ended"


def test_the_journal_keeps_its_last_entries_only() -> None:
    journal = Journal(limit=3)
    for number in range(5):
        journal.add(Kind.HEARD, "twilio", f"CA{number}", party="x", item=["say", str(number)])
    assert [entry.sequence for entry in journal.all()] == [3, 4, 5]
    assert journal.heard("CA4") == [("say", "4")]
    assert journal.heard("CA4", party="y") == []


# -- writes of what an account holds


def test_a_slow_request_is_carried_out_and_answered_late(sim: Simulator, account: Account, api: Api) -> None:
    sim.faults.api("twilio", "number_write", Fault.SLOW, delay_s=0.3)
    began = time.monotonic()
    status, body = api("POST", _number_path(api), [("VoiceUrl", "https://gw.example.net/v")])
    assert (status, body["voice_url"]) == (200, "https://gw.example.net/v")
    assert time.monotonic() - began >= 0.3
    assert sim.number_settings(account, OURS)["voice_url"] == "https://gw.example.net/v"


def test_a_fault_in_the_middle_lets_the_first_requests_pass(sim: Simulator, api: Api) -> None:
    sim.faults.api("twilio", "number_write", Fault.SERVER_ERROR_BEFORE, skip=1)
    path = _number_path(api)
    statuses = [api("POST", path, [("VoiceUrl", f"https://gw.example.net/{n}")])[0] for n in range(3)]
    assert statuses == [200, 503, 200]


def test_each_write_that_was_carried_out_is_journaled_once(sim: Simulator, api: Api) -> None:
    path = _number_path(api)
    sim.faults.api("twilio", "number_write", Fault.SERVER_ERROR_AFTER)
    sim.faults.api("twilio", "number_write", Fault.SERVER_ERROR_BEFORE)
    answers = [api("POST", path, [("VoiceUrl", f"https://gw.example.net/{n}")])[0] for n in range(3)]
    assert answers == [503, 503, 200]
    assert api("POST", path, [("VoiceUrl", "nonsense")])[0] == 400
    written = [entry.data["parameters"]["VoiceUrl"] for entry in sim.writes("twilio", "number_write")]
    assert written == ["https://gw.example.net/0", "https://gw.example.net/2"]
    assert len(sim.journal.requests("twilio", "number_write")) == 4


def test_a_fault_of_writes_strikes_whatever_is_written_and_no_read(sim: Simulator, api: Api) -> None:
    path = _number_path(api)
    sim.faults.api("twilio", "write", Fault.SERVER_ERROR_BEFORE, skip=1, times=2)
    assert api("POST", "/Applications.json", [])[0] == 201
    assert api("GET", path)[0] == 200
    assert api("POST", path, [])[0] == 503
    assert api("POST", "/v1/ByocTrunks", [])[0] == 503
    assert api("POST", path, [])[0] == 200


def _number_path(api: Api) -> str:
    number = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"][0]
    return f"/IncomingPhoneNumbers/{number['sid']}.json"
