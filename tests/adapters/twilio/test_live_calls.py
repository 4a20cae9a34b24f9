"""Hanging up, redirecting, asking and looking for calls, over a stub transport."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.errors import (
    Conflict,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    ValidationError,
)
from gateway.interface import CallSnapshot, FoundCall, LegRef
from gateway.status import (
    AnsweredBy,
    Authority,
    CallStatus,
    Cost,
    Direction,
    Duration,
    resolve,
)
from gateway.transport import HttpResponse, NotSent, OutcomeUnknown
from tests.adapters.twilio.support import (
    ACCOUNT,
    CALL,
    GATEWAY,
    QUERY,
    STEP,
    fault,
    page,
    provider,
    reply,
    rest_call,
    rest_recording,
)

LEG = LegRef(leg_id=CALL)
ANSWERED = LegRef(leg_id=CALL, is_answered=True)

# -- hanging up -------------------------------------------------------------------------------------------------------


def test_an_answered_call_is_completed() -> None:
    adapter, transport = provider(reply(200, rest_call(status="completed")))
    adapter.hang_up(ANSWERED)
    assert (transport.path(), transport.form()) == (f"/Calls/{CALL}.json", {"Status": ["completed"]})


@pytest.mark.parametrize("is_answered", [False, None])
@pytest.mark.parametrize("told", ["queued", "ringing", "canceled", "completed"])
def test_a_call_that_may_be_unanswered_is_cancelled_so_that_it_ends_as_cancelled(
    is_answered: bool | None, told: str
) -> None:
    adapter, transport = provider(reply(200, rest_call(status=told)))
    adapter.hang_up(LegRef(leg_id=CALL, is_answered=is_answered))
    assert [transport.form(i) for i in range(len(transport.requests))] == [{"Status": ["canceled"]}]


@pytest.mark.parametrize(
    "first", [reply(200, rest_call(status="in-progress")), fault(400, 21220), fault(400, 20001)]
)
def test_a_cancel_that_came_too_late_is_followed_by_completed(first: HttpResponse) -> None:
    adapter, transport = provider(first, reply(200, rest_call(status="completed")))
    adapter.hang_up(LEG)
    assert [transport.form(0), transport.form(1)] == [{"Status": ["canceled"]}, {"Status": ["completed"]}]


@pytest.mark.parametrize("gone", [fault(400, 21220, "Call is not in-progress."), fault(404, 20404)])
@pytest.mark.parametrize("look", [reply(200, rest_call(status="completed")), fault(404, 20404)])
def test_a_call_that_is_over_or_not_known_is_a_success(gone: HttpResponse, look: HttpResponse) -> None:
    adapter, transport = provider(gone, look)
    adapter.hang_up(ANSWERED)
    assert [request.method for request in transport.requests] == ["POST", "GET"]


def test_a_refusal_while_the_call_is_live_after_all_is_no_success() -> None:
    adapter, _ = provider(fault(404, 20404), reply(200, rest_call(status="ringing")))
    with pytest.raises(ProviderUnavailable, match="live"):
        adapter.hang_up(ANSWERED)


def test_wrong_credentials_are_no_success() -> None:
    adapter, _ = provider(fault(401, 20003, "Authenticate"))
    with pytest.raises(RequestRefused, match="Authenticate"):
        adapter.hang_up(ANSWERED)


@pytest.mark.parametrize("failure", [fault(500, 20500), reply(502, b"x"), OutcomeUnknown("t"), NotSent("r")])
def test_no_usable_answer_to_a_hang_up_is_raised(failure: HttpResponse | Exception) -> None:
    adapter, _ = provider(failure)
    with pytest.raises(ProviderUnavailable):
        adapter.hang_up(ANSWERED)


@pytest.mark.parametrize(
    "leg_id",
    [
        "",
        "CA",
        "../Accounts",
        CALL + "/..",
        CALL + "?x=1",
        CALL + "%2F",
        CALL + "\n",
        "AC" + CALL[2:],
        CALL[:-1] + "٣",
    ],
)
def test_an_id_that_is_none_never_gets_into_a_path(leg_id: str) -> None:
    adapter, transport = provider()
    ref = LegRef(leg_id=leg_id)
    for verb in (adapter.hang_up, adapter.fetch_call, lambda leg: adapter.redirect(leg, GATEWAY)):
        with pytest.raises(ValidationError):
            verb(ref)
    with pytest.raises(ValidationError):
        adapter.fetch_recording(leg_id)
    assert transport.requests == []


# -- redirecting ------------------------------------------------------------------------------------------------------


def test_a_live_call_is_sent_to_its_next_url() -> None:
    adapter, transport = provider(reply(200, rest_call(status="in-progress")))
    adapter.redirect(LEG, f"{GATEWAY}/next/{STEP}")
    assert transport.form() == {"Url": [f"{GATEWAY}/next/{STEP}#rc=3&rp=all"], "Method": ["POST"]}
    assert transport.path() == f"/Calls/{CALL}.json"


@pytest.mark.parametrize(
    "gone", [fault(400, 21220, "Call is not in-progress. Cannot redirect."), fault(404, 20404)]
)
def test_a_call_that_is_not_live_cannot_be_redirected(gone: HttpResponse) -> None:
    adapter, _ = provider(gone)
    with pytest.raises(Conflict):
        adapter.redirect(LEG, GATEWAY)


def test_another_refusal_of_a_redirect_is_a_refusal() -> None:
    adapter, _ = provider(fault(400, 21205, "Url is not a valid URL"))
    with pytest.raises(RequestRefused) as caught:
        adapter.redirect(LEG, GATEWAY)
    assert caught.value.vendor_code == "21205"


# -- asking -----------------------------------------------------------------------------------------------------------


def fetched(**changes: Any) -> CallSnapshot:
    adapter, transport = provider(reply(200, rest_call(**changes)))
    snapshot = adapter.fetch_call(LEG)
    assert (transport.requests[0].method, transport.path()) == ("GET", f"/Calls/{CALL}.json")
    return snapshot


@pytest.mark.parametrize(
    ("status", "canonical", "is_live"),
    [
        ("queued", CallStatus.QUEUED, True),
        ("ringing", CallStatus.RINGING, True),
        ("in-progress", CallStatus.IN_PROGRESS, True),
        ("completed", CallStatus.COMPLETED, False),
        ("busy", CallStatus.BUSY, False),
        ("failed", CallStatus.FAILED, False),
        ("no-answer", CallStatus.NO_ANSWER, False),
        ("canceled", CallStatus.CANCELLED, False),
    ],
)
def test_a_fetched_call_tells_its_status_and_its_end_is_marked(
    status: str, canonical: CallStatus, is_live: bool
) -> None:
    snapshot = fetched(status=status)
    (event,) = snapshot.events
    assert (snapshot.is_known, snapshot.is_live) == (True, is_live)
    assert resolve(event.facts, Direction.OUTBOUND).status is canonical
    assert all(end.reconciled for end in event.facts.ends)
    assert bool(event.facts.ends) is not is_live


def test_a_completed_call_tells_duration_cost_verdict_and_end() -> None:
    snapshot = fetched(
        status="completed",
        duration="37",
        price="-0.01400",
        price_unit="USD",
        answered_by="machine_end_beep",
        start_time="Wed, 04 Mar 2026 09:15:05 +0000",
        end_time="Wed, 04 Mar 2026 09:15:52 +0000",
    )
    facts = snapshot.events[0].facts
    assert facts.duration == Duration(seconds=37, authority=Authority.RECORD)
    assert facts.cost == Cost(amount=Decimal("0.01400"), currency="USD", authority=Authority.RECORD)
    assert facts.ended_at == datetime(2026, 3, 4, 9, 15, 52, tzinfo=UTC)
    assert facts.answered_by is AnsweredBy.MACHINE
    assert facts.greeting_over
    assert resolve(facts, Direction.OUTBOUND).status is CallStatus.VOICEMAIL


@pytest.mark.parametrize(
    ("price", "unit"),
    [(None, "USD"), ("", "USD"), ("abc", "USD"), ("NaN", "USD"), ("-0.1", None), ("-0.1", "dollar")],
)
def test_a_price_that_is_not_known_or_unreadable_is_no_cost(price: str | None, unit: str | None) -> None:
    assert fetched(status="completed", price=price, price_unit=unit).events[0].facts.cost is None


@pytest.mark.parametrize("duration", [None, "", "-3", "1e9", "12345678", "x"])
def test_a_duration_that_is_none_is_left_out(duration: str | None) -> None:
    assert fetched(status="completed", duration=duration).events[0].facts.duration is None


def test_an_unknown_status_changes_nothing_and_is_kept() -> None:
    snapshot = fetched(status="exploded", answered_by="parrot", direction="sideways")
    (event,) = snapshot.events
    assert snapshot.is_live is True
    assert (event.facts.ends, event.facts.answered, event.facts.verdicts) == ((), False, ())
    assert {(word.table, word.word) for word in event.unmapped} == {
        ("call_status", "exploded"),
        ("answered_by", "parrot"),
        ("direction", "sideways"),
    }


def test_the_same_answer_has_the_same_event_id_and_a_later_price_another() -> None:
    first, again = fetched(status="completed"), fetched(status="completed")
    later = fetched(status="completed", price="-0.014")
    assert first.events[0].event_id == again.events[0].event_id != later.events[0].event_id


def test_a_call_that_twilio_does_not_know_is_not_known() -> None:
    adapter, _ = provider(fault(404, 20404, "The requested resource was not found"))
    assert adapter.fetch_call(LEG) == CallSnapshot(is_known=False)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(404, b"<html>nginx</html>"), ProviderUnavailable),
        (fault(401, 20003), RequestRefused),
        (fault(429, 20429, Retry_After="3"), RateLimited),
        (reply(429, b"slow"), ProviderUnavailable),
        (fault(503, 20503), ProviderUnavailable),
        (reply(200, b"{"), ProviderUnavailable),
        (reply(200, rest_call(end_time="Wed, 99 Mar 2026 09:15:02 +0000")), ProviderUnavailable),
        (OutcomeUnknown("timed out"), ProviderUnavailable),
    ],
)
def test_every_other_answer_is_one_of_our_errors(
    answer: HttpResponse | Exception, kind: type[ProviderError]
) -> None:
    adapter, _ = provider(answer)
    with pytest.raises(kind):
        adapter.fetch_call(LEG)


def test_an_error_carries_twilios_request_id_and_waiting_time() -> None:
    adapter, _ = provider(
        fault(400, 20001, "bad", Twilio_Request_Id="RQ1"), fault(429, 20429, Retry_After="3")
    )
    with pytest.raises(RequestRefused) as refused:
        adapter.fetch_call(LEG)
    assert (refused.value.vendor_request_id, refused.value.vendor_code) == ("RQ1", "20001")
    with pytest.raises(RateLimited) as limited:
        adapter.fetch_call(LEG)
    assert limited.value.retry_after_s == 3.0


# -- recording a live call --------------------------------------------------------------------------------------------

RECORDINGS = f"/Calls/{CALL}/Recordings"
RUNNING = rest_recording()


def record(adapter: Any) -> None:
    adapter.start_recording(ANSWERED, recording_url=f"{GATEWAY}/recording/x", max_duration_s=600)


def test_a_recording_is_created_with_both_sides_apart_and_our_address() -> None:
    adapter, transport = provider(page("recordings", []), reply(201, RUNNING))
    record(adapter)
    assert transport.path() == f"{RECORDINGS}.json"
    sent = transport.form()
    [callback] = sent.pop("RecordingStatusCallback")
    assert callback.startswith(f"{GATEWAY}/recording/x#")
    assert sent == {
        "RecordingChannels": ["dual"],
        "RecordingStatusCallbackMethod": ["POST"],
        "RecordingStatusCallbackEvent": ["completed"],
    }


@pytest.mark.parametrize("status", ["in-progress", "paused"])
def test_a_call_that_is_being_recorded_gets_no_second_recording(status: str) -> None:
    adapter, transport = provider(page("recordings", [rest_recording(status=status)]))
    record(adapter)
    assert [request.method for request in transport.requests] == ["GET"]


@pytest.mark.parametrize("other", [{"status": "completed"}, {"source": "RecordVerb"}])
def test_a_recording_that_is_over_or_a_message_is_not_the_conversations(other: dict[str, str]) -> None:
    adapter, transport = provider(page("recordings", [rest_recording(**other)]), reply(201, RUNNING))
    record(adapter)
    assert [request.method for request in transport.requests] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([page("recordings", []), fault(400, 21220)], Conflict),
        ([fault(404, 20404)], Conflict),
        ([page("recordings", []), fault(401, 20003)], RequestRefused),
        ([page("recordings", []), reply(404, b"<html>")], ProviderUnavailable),
        ([page("recordings", []), OutcomeUnknown("timed out")], ProviderUnavailable),
    ],
)
def test_what_stands_in_the_way_of_a_recording_is_told(answers: list[Any], kind: type[Exception]) -> None:
    adapter, transport = provider(*answers)
    with pytest.raises(kind):
        record(adapter)
    assert transport.answers == []


def test_every_running_recording_is_stopped_by_its_id() -> None:
    second = rest_recording(sid="RE" + "1" * 32, source="OutboundAPI")
    over = rest_recording(sid="RE" + "2" * 32, status="completed")
    adapter, transport = provider(
        page("recordings", [RUNNING, over, second]), reply(200, RUNNING), reply(200, second)
    )
    adapter.stop_recording(ANSWERED)
    assert [transport.path(n) for n in (1, 2)] == [
        f"{RECORDINGS}/{each['sid']}.json" for each in (RUNNING, second)
    ]
    assert transport.form() == {"Status": ["stopped"]}


@pytest.mark.parametrize("answer", [reply(200, RUNNING), fault(404, 20404), fault(400, 21220)])
def test_a_recording_that_is_not_listed_is_stopped_as_the_current_one(answer: HttpResponse) -> None:
    adapter, transport = provider(page("recordings", []), answer)
    adapter.stop_recording(ANSWERED)
    assert transport.path() == f"{RECORDINGS}/Twilio.CURRENT.json"


@pytest.mark.parametrize("answer", [fault(503, 20503), reply(404, b"<html>"), OutcomeUnknown("timed out")])
def test_a_recording_that_may_still_run_is_an_error(answer: Any) -> None:
    adapter, _ = provider(page("recordings", [RUNNING]), answer)
    with pytest.raises(ProviderUnavailable):
        adapter.stop_recording(ANSWERED)


# -- looking for an unknown dial --------------------------------------------------------------------------------------

NONE = page("calls", [])


def test_calls_are_listed_by_both_numbers_without_a_start_time_then_the_queued_ones() -> None:
    adapter, transport = provider(page("calls", [rest_call()]), NONE)
    found = adapter.find_calls(QUERY)
    created = datetime(2026, 3, 4, 9, 15, 2, tzinfo=UTC)
    assert found.calls == (FoundCall(leg_id=CALL, has_our_token=False, created_at=created),)
    assert found.is_complete
    assert [transport.path(0), transport.path(1)] == ["/Calls.json", "/Calls.json"]
    assert transport.query(0) == {"To": ["+14155550100"], "From": ["+12125550123"], "PageSize": ["200"]}
    assert transport.query(1) == transport.query(0) | {"Status": ["queued"]}


def test_a_call_in_both_lists_is_one_call() -> None:
    adapter, _ = provider(page("calls", [rest_call()]), page("calls", [rest_call()]))
    assert [call.leg_id for call in adapter.find_calls(QUERY).calls] == [CALL]


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": "inbound"},
        {"direction": "outbound-dial"},
        {"parent_call_sid": "CA" + "1" * 32},
        {"to": "+14155550101"},
        {"from": "+12125550124"},
        {"date_created": "Wed, 04 Mar 2026 09:13:01 +0000"},
        {"date_created": "Wed, 04 Mar 2026 09:17:03 +0000"},
        {"sid": "CA1"},
        {"sid": None},
    ],
)
def test_a_call_that_cannot_be_the_dial_is_left_out(changes: dict[str, Any]) -> None:
    adapter, _ = provider(page("calls", [rest_call(**changes)]), NONE)
    found = adapter.find_calls(QUERY)
    assert (found.calls, found.is_complete) == ((), True)


@pytest.mark.parametrize(
    "changes",
    [
        {"direction": None},
        {"date_created": "Wed, 04 Mar 2026 09:13:02 +0000"},
        {"date_created": "Wed, 04 Mar 2026 09:17:02 +0000"},
    ],
)
def test_the_windows_ends_and_a_fresh_call_without_direction_count(changes: dict[str, Any]) -> None:
    adapter, _ = provider(page("calls", [rest_call(**changes)]), NONE)
    assert len(adapter.find_calls(QUERY).calls) == 1


def test_a_call_without_a_readable_creation_time_makes_the_answer_incomplete() -> None:
    adapter, _ = provider(page("calls", [rest_call(date_created=None)]), NONE)
    found = adapter.find_calls(QUERY)
    assert (found.calls, found.is_complete) == ((), False)


def test_a_list_is_read_to_its_last_page() -> None:
    other = rest_call(sid="CA" + "1" * 32)
    following = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json?PageSize=200&Page=1&PageToken=PAx"
    adapter, transport = provider(page("calls", [rest_call()], following), page("calls", [other]), NONE)
    assert [call.leg_id for call in adapter.find_calls(QUERY).calls] == [CALL, "CA" + "1" * 32]
    assert transport.requests[1].url == f"https://api.twilio.com{following}"


@pytest.mark.parametrize(
    "failure", [fault(500, 20500), OutcomeUnknown("t"), reply(200, b"{}"), reply(200, b"")]
)
def test_a_list_that_breaks_off_is_not_complete(failure: HttpResponse | Exception) -> None:
    following = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json?Page=1"
    adapter, _ = provider(page("calls", [rest_call()], following), failure, NONE)
    found = adapter.find_calls(QUERY)
    assert ([call.leg_id for call in found.calls], found.is_complete) == ([CALL], False)


@pytest.mark.parametrize(
    "failure", [fault(500, 20500), OutcomeUnknown("t"), fault(429, 20429), reply(200, b"{}")]
)
def test_a_list_that_cannot_be_read_at_all_raises(failure: HttpResponse | Exception) -> None:
    adapter, _ = provider(failure)
    with pytest.raises(ProviderError):
        adapter.find_calls(QUERY)


def test_a_number_in_a_failing_request_is_not_shown_by_its_error() -> None:
    adapter, _ = provider(page("calls", [], None), reply(200, {"calls": [], "surprise": []}))
    with pytest.raises(ProviderUnavailable) as caught:
        adapter.find_calls(replace(QUERY, to="+14155550199"))
    assert "0199" not in str(caught.value)
