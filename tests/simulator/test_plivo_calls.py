"""Calls on the simulated Plivo, over real HTTP: what it sends, when, and how each call ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

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
from tests.simulator.plivo_customer import OURS, THEIRS, Customer

WAITING = "<Response><Wait length='600'/></Response>"
END = (
    "HangupCauseCode",
    "HangupCauseName",
    "HangupSource",
    "HangupCause",
    "CallStatus",
)


@pytest.fixture
def customer() -> Iterator[Customer]:
    with Simulator(speed=50, seed=1) as sim:
        account = sim.add_account("plivo", name="Acme")
        sim.add_number(account, OURS)
        with Customer(sim=sim, account=account, answers={"/answer": WAITING}) as customer:
            sim.configure_number(OURS, voice_url=customer.url("/inbound"), status_url=customer.url("/hangup"))
            yield customer


def test_an_answered_call_rings_starts_and_ends_and_every_request_is_signed(customer: Customer) -> None:
    customer.sim.script(THEIRS, Answer(after_s=1, talk_s=5))
    call_uuid = customer.dial(sip_headers="CallId=42")
    customer.sim.wait(call_uuid)
    assert customer.events(call_uuid) == ["Ring", "StartApp", "Hangup"]
    assert all(hook.is_signed and hook.method == "POST" for hook in customer.hooks)
    ring, answer, end = (dict(hook.params) for hook in customer.hooks)
    for params in (ring, answer, end):
        assert params["RequestUUID"] == params["ALegRequestUUID"] == call_uuid
        assert (params["From"], params["To"], params["Direction"]) == (
            "14155550100",
            "14155550123",
            "outbound",
        )
        assert params["X-PH-CallId"] == "42"
    assert (ring["CallStatus"], answer["CallStatus"], end["CallStatus"]) == (
        "ringing",
        "in-progress",
        "completed",
    )
    assert not {"ALegUUID", "BillRate", "ParentAuthID"} & set(ring)
    assert answer["ALegUUID"] == call_uuid
    assert tuple(end[name] for name in END[:4]) == ("4000", "Normal Hangup", "Callee", "NORMAL_CLEARING")
    assert (end["BillDuration"], end["TotalCost"]) in (("5", "0.01000"), ("6", "0.01000"))
    assert end["AnswerTime"]
    assert end["EndTime"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Busy(after_s=1), ("3010", "Busy Line", "Callee", "USER_BUSY", "busy")),
        (Decline(after_s=1), ("3020", "Rejected", "Callee", "CALL_REJECTED", "busy")),
        (NoAnswer(), ("6010", "Ring Timeout Reached", "Plivo", "NO_ANSWER", "timeout")),
        (NoAnswer(rings_s=5), ("3000", "No Answer", "Carrier", "NO_ANSWER", "no-answer")),
        (Unreachable(), ("3050", "Unallocated number", "Carrier", "UNALLOCATED_NUMBER", "failed")),
        (
            Unreachable(sip_code=503),
            (
                "3080",
                "Internal server error from carrier",
                "Carrier",
                "NORMAL_TEMPORARY_FAILURE",
                "failed",
            ),
        ),
        (
            Answer(after_s=60),
            ("6010", "Ring Timeout Reached", "Plivo", "NO_ANSWER", "timeout"),
        ),
    ],
)
def test_a_call_that_nobody_takes_ends_as_the_hangup_table_says(
    customer: Customer, script: Any, expected: tuple[str, ...]
) -> None:
    customer.sim.script(THEIRS, script)
    end = customer.call_to_end(ring_timeout=20)
    assert tuple(end[name] for name in END) == expected
    assert (end["AnswerTime"], end["BillDuration"], end["TotalCost"]) == ("", "0", "0.00000")
    assert not customer.params_at("/answer")


def test_a_finished_call_can_be_read_and_a_live_one_only_with_its_status(customer: Customer) -> None:
    customer.sim.script(THEIRS, Answer(after_s=1, talk_s=None))
    call_uuid = customer.dial()
    customer.sim.wait(lambda: customer.sim.call(call_uuid).answered)
    assert customer.api("GET", f"Call/{call_uuid}/").status_code == 404
    live = customer.api("GET", f"Call/{call_uuid}/", status="live").json()
    assert (live["call_status"], live["request_uuid"], live["to"]) == (
        "in-progress",
        call_uuid,
        "14155550123",
    )
    assert customer.api("GET", "Call/", status="live").json()["calls"] == [call_uuid]
    assert customer.api("DELETE", f"Call/{call_uuid}/").status_code == 204
    customer.sim.wait(call_uuid)
    assert customer.api("GET", f"Call/{call_uuid}/", status="live").status_code == 404
    cdr = customer.api("GET", f"Call/{call_uuid}/", call_uuid=call_uuid).json()
    assert (cdr["hangup_cause_code"], cdr["hangup_source"]) == (4000, "API Request")
    assert cdr["answer_time"].endswith("+00:00")
    assert cdr["parent_call_uuid"] is None
    assert customer.api("GET", "Call/", to_number=THEIRS, limit=1).json()["meta"]["total_count"] == 1
    again = customer.api("DELETE", f"Call/{call_uuid}/")
    assert (again.status_code, again.json()["error"]) == (404, "call not found")


@pytest.mark.parametrize("path", ["Call/{}/", "Request/{}/"])
def test_a_call_hung_up_while_ringing_is_canceled(customer: Customer, path: str) -> None:
    customer.sim.script(THEIRS, NoAnswer())
    call_uuid = customer.dial()
    customer.sim.wait(lambda: customer.sim.call(call_uuid).state == "ringing")
    assert customer.api("DELETE", path.format(call_uuid)).status_code == 204
    customer.sim.wait(call_uuid)
    end = customer.end_of(call_uuid)
    assert tuple(end[name] for name in END) == (
        "1000",
        "Canceled",
        "API Request",
        "ORIGINATOR_CANCEL",
        "cancel",
    )
    assert customer.sim.truth(call_uuid) == "cancelled"


def test_a_request_uuid_can_differ_from_the_call_uuid(customer: Customer) -> None:
    customer.sim.face("plivo").habits.request_uuid_differs = True  # type: ignore[attr-defined]
    customer.sim.script(THEIRS, Busy())
    request_uuid = customer.dial()
    (call,) = customer.sim.calls("plivo")
    customer.sim.wait(call)
    assert call.id != request_uuid
    end = customer.end_of(call.id)
    assert (end["RequestUUID"], end["ALegUUID"]) == (request_uuid, call.id)


def test_calls_over_the_rate_wait_in_the_queue_and_can_be_canceled_there(customer: Customer) -> None:
    customer.sim.face("plivo").habits.calls_per_second = 0.01  # type: ignore[attr-defined]
    customer.sim.script(THEIRS, NoAnswer())
    first = customer.api("POST", "Call/", customer.order()).json()
    second = customer.api("POST", "Call/", customer.order()).json()
    assert (first["message"], second["message"]) == ("call fired", "call queued")
    waiting = second["request_uuid"]
    assert customer.api("GET", "Call/", status="queued").json()["calls"] == [waiting]
    assert customer.api("GET", f"Call/{waiting}/", status="queued").json()["call_status"] == "queued"
    assert customer.api("DELETE", f"Call/{waiting}/").status_code == 204
    customer.sim.wait(waiting)
    assert customer.end_of(waiting)["HangupCauseCode"] == "1000"
    assert "Ring" not in customer.events(waiting)
    customer.api("DELETE", f"Call/{first['request_uuid']}/")


def test_several_destinations_give_a_list_of_ids(customer: Customer) -> None:
    customer.sim.script(THEIRS, Busy())
    customer.sim.script("+14155550124", Busy())
    answer = customer.api("POST", "Call/", customer.order(to="14155550123<14155550124<nobody")).json()
    assert answer["message"] == "calls fired"
    assert len(answer["request_uuid"]) == 2
    for call_uuid in answer["request_uuid"]:
        customer.sim.wait(call_uuid)


def test_deleting_all_calls_ends_them_with_code_0(customer: Customer) -> None:
    call_uuid = customer.dial()
    assert customer.api("DELETE", "Call/").status_code == 204
    customer.sim.wait(call_uuid)
    assert customer.end_of(call_uuid)["HangupCauseCode"] == "0"


# --- limits ----------------------------------------------------------------------------------------------------


def test_the_time_limit_counts_from_the_answer(customer: Customer) -> None:
    customer.sim.script(THEIRS, Answer(after_s=2, talk_s=None))
    end = customer.call_to_end(time_limit=10)
    assert (end["HangupCauseCode"], end["HangupSource"], end["CallStatus"]) == ("6000", "Plivo", "completed")
    assert 10 <= int(end["BillDuration"]) <= 12


def test_hangup_on_ring_counts_from_the_first_ring(customer: Customer) -> None:
    customer.sim.script(THEIRS, NoAnswer())
    end = customer.call_to_end(hangup_on_ring=5)
    assert (end["HangupCauseCode"], end["AnswerTime"]) == ("6000", "")


# --- machines --------------------------------------------------------------------------------------------------


def test_a_machine_is_reported_and_the_call_goes_on(customer: Customer) -> None:
    customer.sim.script(THEIRS, Voicemail(after_s=1, greeting_s=4, records_s=6))
    end = customer.call_to_end(machine_detection="true", machine_detection_url=customer.url("/amd"))
    (verdict,) = customer.params_at("/amd")
    assert (verdict["Event"], verdict["Machine"], verdict["IfMachine"]) == (
        "MachineDetection",
        "true",
        "continue",
    )
    assert verdict["RequestUUID"] == end["CallUUID"]
    assert (end["HangupCauseCode"], end["Machine"]) == ("4000", "true")


def test_a_machine_ends_the_call_when_asked_to(customer: Customer) -> None:
    customer.sim.script(THEIRS, Voicemail(after_s=1))
    end = customer.call_to_end(machine_detection="hangup", machine_detection_url=customer.url("/amd"))
    assert customer.params_at("/amd")[0]["IfMachine"] == "hangup"
    assert (end["HangupCauseCode"], end["HangupCauseName"], end["HangupSource"]) == (
        "9100",
        "Machine Detected",
        "Plivo",
    )


@pytest.mark.parametrize("script", [Answer(talk_s=10), Voicemail(verdict="not_sure", records_s=6)])
def test_a_human_or_a_doubt_is_never_reported(customer: Customer, script: Any) -> None:
    customer.sim.script(THEIRS, script)
    end = customer.call_to_end(machine_detection="hangup", machine_detection_url=customer.url("/amd"))
    assert not customer.params_at("/amd")
    assert "Machine" not in end


# --- answers that are no good ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "name"),
    [
        (500, "7011", "Error Reaching Answer URL"),
        (404, "7011", "Error Reaching Answer URL"),
        ("<Response><Say>hi</Say></Response>", "8011", "Invalid Answer XML"),
        ("", "8011", "Invalid Answer XML"),
    ],
)
def test_a_useless_answer_ends_the_answered_call_which_is_billed(
    customer: Customer, answer: str | int, code: str, name: str
) -> None:
    customer.answers["/answer"] = answer
    end = customer.call_to_end()
    assert (end["HangupCauseCode"], end["HangupCauseName"], end["HangupSource"]) == (code, name, "Error")
    assert end["AnswerTime"]
    assert end["TotalCost"] == "0.01000"
    assert len(customer.params_at("/answer")) == 1, "a 4xx or 5xx is not tried again by default"


def test_the_fallback_is_asked_when_the_answer_is_useless(customer: Customer) -> None:
    customer.answers |= {"/answer": 503, "/fallback": "<Response><Speak>Sorry</Speak></Response>"}
    end = customer.call_to_end(fallback_url=customer.url("/fallback"))
    assert customer.params_at("/fallback")[0]["Event"] == "StartApp"
    assert (end["HangupCauseCode"], end["HangupCauseName"]) == ("4010", "End Of XML Instructions")
    assert customer.sim.journal.heard(end["CallUUID"]) == [("say", "Sorry")]


def test_the_fragment_of_an_address_sets_its_retries_and_is_not_sent(customer: Customer) -> None:
    customer.answers["/answer"] = 503
    customer.call_to_end(answer_url=customer.url("/answer") + "?a=1#rc=3&rp=5xx,ct")
    answers = [hook for hook in customer.hooks if hook.path == "/answer"]
    assert len(answers) == 4
    assert all(hook.is_signed for hook in answers)


def test_a_method_of_get_puts_the_parameters_in_the_query(customer: Customer) -> None:
    customer.sim.script(THEIRS, Answer(talk_s=2))
    customer.call_to_end(answer_url=customer.url("/answer") + "?a=1", answer_method="GET")
    (hook,) = [hook for hook in customer.hooks if hook.path == "/answer"]
    assert hook.method == "GET"
    assert (hook.params["a"], hook.params["Event"]) == ("1", "StartApp")
    assert hook.is_signed


def test_an_empty_response_ends_the_call_at_once(customer: Customer) -> None:
    customer.answers["/answer"] = "<Response/>"
    assert customer.call_to_end()["HangupCauseCode"] == "4010"


# --- inbound ---------------------------------------------------------------------------------------------------


def ring(customer: Customer, document: str | int, caller: Any = None) -> dict[str, str]:
    customer.answers["/inbound"] = document
    call = customer.sim.ring(OURS, THEIRS, caller or Caller(talk_s=5))
    customer.sim.wait(call)
    return customer.end_of(call.id)


def test_an_inbound_call_is_ringing_until_its_document_runs(customer: Customer) -> None:
    ring(customer, WAITING)
    (asked,) = customer.params_at("/inbound")
    assert (asked["CallStatus"], asked["Event"], asked["Direction"]) == ("ringing", "StartApp", "inbound")
    assert (asked["From"], asked["To"]) == ("14155550123", "14155550100")
    assert "RequestUUID" not in asked
    assert "ALegUUID" not in asked


def test_a_caller_who_hangs_up_is_the_source_of_the_end(customer: Customer) -> None:
    end = ring(customer, "<Response><Speak>Hello</Speak><Wait length='100'/></Response>")
    assert (end["HangupCauseCode"], end["HangupSource"], end["CallStatus"]) == ("4000", "Caller", "completed")
    assert end["AnswerTime"]


@pytest.mark.parametrize(
    ("reason", "code", "truth"), [("busy", "3010", "refused_busy"), ("rejected", "3020", "declined")]
)
def test_a_leading_hangup_with_reason_refuses_the_call_unanswered(
    customer: Customer, reason: str, code: str, truth: str
) -> None:
    end = ring(customer, f"<Response><Hangup reason='{reason}'/></Response>")
    assert (end["HangupCauseCode"], end["HangupSource"], end["BillDuration"]) == (code, "Answer XML", "0")
    assert end["AnswerTime"] == ""
    assert customer.sim.truth(end["CallUUID"]) == truth


def test_a_bare_hangup_answers_first(customer: Customer) -> None:
    end = ring(customer, "<Response><Hangup/></Response>")
    assert (end["HangupCauseCode"], end["HangupSource"]) == ("4000", "Answer XML")
    assert end["AnswerTime"]


def test_a_caller_who_gives_up_while_it_rings_leaves_an_unanswered_call(customer: Customer) -> None:
    end = ring(customer, "<Response><Wait length='60'/></Response>", HangUpWhileRinging(after_s=3))
    assert (end["HangupCauseCode"], end["HangupSource"], end["HangupCause"]) == (
        "4000",
        "Caller",
        "ORIGINATOR_CANCEL",
    )
    assert end["AnswerTime"] == ""
    assert end["CallStatus"] == "completed"


def test_without_a_hangup_address_the_answer_address_gets_the_hangup(customer: Customer) -> None:
    customer.sim.configure_number(OURS, status_url="")
    ring(customer, "<Response><Hangup/></Response>")
    assert [params["Event"] for params in customer.params_at("/inbound")] == ["StartApp", "Hangup"]


def test_an_applications_fallback_is_asked(customer: Customer) -> None:
    customer.sim.configure_number(OURS, fallback_url=customer.url("/fallback"))
    customer.answers["/fallback"] = "<Response><Hangup reason='busy'/></Response>"
    assert ring(customer, 500)["HangupCauseCode"] == "3010"


def test_a_number_without_application_fails_the_call(customer: Customer) -> None:
    customer.sim.add_number(customer.account, "+14155550101")
    call = customer.sim.ring("+14155550101", THEIRS)
    customer.sim.wait(call)
    assert customer.sim.truth(call) == "failed"
    assert not customer.hooks


# --- faults and habits -----------------------------------------------------------------------------------------


def test_a_server_error_after_the_order_leaves_a_real_call(customer: Customer) -> None:
    customer.sim.faults.api("plivo", "dial", Fault.SERVER_ERROR_AFTER, status=502)
    answer = customer.api("POST", "Call/", customer.order())
    assert answer.status_code == 502
    assert "error" in answer.json()
    assert len(customer.sim.calls("plivo")) == 1
    customer.api("DELETE", "Call/")


def test_webhook_faults_strike_plivos_requests(customer: Customer) -> None:
    customer.sim.script(THEIRS, Busy())
    customer.sim.faults.webhooks("plivo", event="Hangup", repeat=1, forge=True)
    call_uuid = customer.dial()
    customer.sim.wait(call_uuid)
    assert [hook.is_signed for hook in customer.hooks] == [False, True, True]


def test_habits_change_what_the_hangup_says(customer: Customer) -> None:
    habits = customer.sim.face("plivo").habits  # type: ignore[attr-defined]
    habits.call_status_always_completed = habits.hangup_codes_missing = True
    customer.sim.script(THEIRS, Busy())
    end = customer.call_to_end()
    assert (end["CallStatus"], end["HangupCause"]) == ("completed", "USER_BUSY")
    assert not {"HangupCauseCode", "HangupCauseName", "HangupSource"} & set(end)


def test_times_are_written_in_the_accounts_own_zone(customer: Customer) -> None:
    customer.sim.face("plivo").habits.timezone_offset_hours = -8  # type: ignore[attr-defined]
    customer.sim.script(THEIRS, Answer(talk_s=2))
    end = customer.call_to_end()
    started = datetime.fromisoformat(end["SessionStart"])
    shown = datetime.fromisoformat(end["StartTime"])
    assert round((started - shown).total_seconds() / 3600) == 8
    cdr = customer.api("GET", f"Call/{end['CallUUID']}/").json()
    assert cdr["end_time"] == end["EndTime"] + "-08:00"
    assert customer.api("GET", "").json()["timezone"] == "Etc/GMT+8"
