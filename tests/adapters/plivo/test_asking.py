"""Ending, redirecting and asking about calls; recordings; the account and its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.errors import (
    Conflict,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    ValidationError,
)
from gateway.interface import AccountInfo, DialQuery, LegRef
from gateway.status import Authority, CallStatus, Cost, Direction, Duration, EndCause, resolve
from gateway.transport import HttpResponse, NotSent, OutcomeUnknown
from providers.plivo import PlivoProvider
from tests.adapters.plivo.support import (
    ACCOUNT,
    ATTEMPT,
    CALL,
    CHILD,
    GONE,
    NO_CONTENT,
    RECORDING,
    REF,
    REQUEST,
    SECRETS,
    SUB_ACCOUNT,
    StubTransport,
    fault,
    provider,
    record,
    reply,
    waiting,
)
from tests.faultserver import FaultServer
from tests.faultserver import reply as served

BOTH = LegRef(leg_id=REQUEST, other_ids=(CALL,))
HOSTILE = [
    "",
    "/",
    "../Account",
    f"{CALL}/Record",
    f"{CALL}?x=1",
    f"{CALL}#",
    "%2e%2e",
    f"{CALL}\n",
    "x" * 36,
    "a@b",
]


# -- ending and redirecting --------------------------------------------------------------------------------------------


def test_a_call_is_ended_by_its_own_id() -> None:
    plivo, transport = provider(NO_CONTENT)
    plivo.hang_up(REF)
    assert transport.lines == [f"DELETE /Call/{CALL}/"]


def test_a_call_known_by_two_ids_is_ended_by_the_one_that_plivo_knows() -> None:
    plivo, transport = provider(GONE, NO_CONTENT)
    plivo.hang_up(BOTH)
    assert transport.lines == [f"DELETE /Call/{REQUEST}/", f"DELETE /Call/{CALL}/"]


def test_a_call_that_may_be_queued_is_cancelled_as_a_request_too() -> None:
    plivo, transport = provider(GONE, NO_CONTENT)
    plivo.hang_up(REF)
    assert transport.lines == [f"DELETE /Call/{CALL}/", f"DELETE /Request/{CALL}/"]


@pytest.mark.parametrize("answers", [[GONE, GONE], [GONE, fault(400, "invalid request uuid")]])
def test_a_call_that_has_ended_is_a_success(answers: list[HttpResponse]) -> None:
    plivo, transport = provider(*answers)
    plivo.hang_up(REF)
    assert transport.answers == []
    answered, only = provider(GONE)
    answered.hang_up(replace(REF, is_answered=True))
    assert only.lines == [f"DELETE /Call/{CALL}/"]


@pytest.mark.parametrize(
    "page", [b"<html>no such page</html>", b"not found", b"", b'{"message": "not found"}']
)
def test_a_proxys_page_does_not_say_that_a_call_is_gone(page: bytes) -> None:
    foreign = reply(404, page)
    for verb in (lambda it: it.hang_up(REF), lambda it: it.fetch_call(REF)):
        plivo, transport = provider(foreign)
        with pytest.raises(ProviderUnavailable):
            verb(plivo)
        assert len(transport.requests) == 1


def test_a_call_is_gone_also_in_the_short_form_that_was_seen() -> None:
    short = reply(404, {"error": "call not found"})
    plivo, transport = provider(short, short)
    plivo.hang_up(REF)
    assert transport.answers == []


# -- recording a live call ---------------------------------------------------------------------------------------------

STARTED = reply(
    202, {"api_id": "x", "message": "call recording started", "url": "u", "recording_id": RECORDING}
)
RECORD = f"/Call/{CALL}/Record/"


def start(plivo: PlivoProvider, ref: LegRef = REF, **said: Any) -> None:
    plivo.start_recording(ref, recording_url="https://gw.example.net/recording", max_duration_s=600, **said)


def test_a_recording_is_started_with_its_limit_and_our_address() -> None:
    plivo, transport = provider(STARTED)
    start(plivo)
    assert transport.lines == [f"POST {RECORD}"]
    sent = transport.json()
    callback = sent.pop("callback_url")
    assert callback.startswith(f"https://gw.example.net/recording?leg={CALL}#")
    assert sent == {
        "call_uuid": CALL,  # the SDK's own doing
        "time_limit": 600,
        "file_format": "mp3",
        "record_channel_type": "stereo",
        "callback_method": "POST",
    }


def test_a_recording_that_may_run_is_ended_before_another_is_started() -> None:
    plivo, transport = provider(NO_CONTENT, STARTED)
    start(plivo, may_run=True)
    assert transport.lines == [f"DELETE {RECORD}", f"POST {RECORD}"]


def test_a_call_that_is_gone_is_not_recorded() -> None:
    plivo, transport = provider(GONE, GONE)
    with pytest.raises(Conflict):
        start(plivo, BOTH)
    assert len(transport.requests) == 2


@pytest.mark.parametrize("answer", [NO_CONTENT, GONE])
def test_a_recording_is_ended_and_that_there_is_none_is_fine(answer: HttpResponse) -> None:
    plivo, transport = provider(answer)
    plivo.stop_recording(REF)
    assert transport.lines == [f"DELETE {RECORD}"]


@pytest.mark.parametrize("answer", [fault(500, "oops"), reply(404, b"<html>"), OutcomeUnknown("timed out")])
def test_a_recording_that_may_still_run_is_an_error(answer: Any) -> None:
    for verb in (start, lambda plivo: plivo.stop_recording(REF)):
        plivo, transport = provider(answer)
        with pytest.raises(ProviderUnavailable):
            verb(plivo)
        assert len(transport.requests) == 1


@pytest.mark.parametrize("ident", HOSTILE)
def test_an_id_that_is_none_never_becomes_a_path(ident: str) -> None:
    plivo, transport = provider()
    ref = LegRef(leg_id=ident)
    for verb in (
        plivo.hang_up,
        plivo.stop_recording,
        lambda ref: start(plivo, ref),
        plivo.fetch_call,
        lambda ref: plivo.redirect(ref, "https://gw.example.net/next"),
    ):
        with pytest.raises(ValidationError):
            verb(ref)  # DELETE /Call/ without an id ends every call of the account
    with pytest.raises(ValidationError):
        plivo.fetch_recording(ident)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fault(401, "bad credentials"), RequestRefused),
        (fault(429, "slow down"), RateLimited),
        (fault(500, "oops"), ProviderUnavailable),
        (reply(302, b"", Location="https://elsewhere.example/"), ProviderUnavailable),
        (NotSent("refused"), ProviderUnavailable),
        (OutcomeUnknown("timed out"), ProviderUnavailable),
    ],
)
def test_what_stands_in_the_way_of_a_hangup_is_told(
    answer: HttpResponse | Exception, error: type[Exception]
) -> None:
    plivo, transport = provider(answer)
    with pytest.raises(error):
        plivo.hang_up(REF)
    assert len(transport.requests) == 1


def test_a_redirect_transfers_the_leg_to_our_url_with_retries() -> None:
    plivo, transport = provider(GONE, reply(202, {"api_id": "x", "message": "call transferred"}))
    plivo.redirect(BOTH, "https://gw.example.net/voice/k3y/next/abc")
    assert transport.lines == [f"POST /Call/{REQUEST}/", f"POST /Call/{CALL}/"]
    body = transport.json()
    assert body["legs"] == "aleg"
    assert body["aleg_method"] == "POST"
    assert body["aleg_url"] == "https://gw.example.net/voice/k3y/next/abc#ct=2000&rt=10000&rc=3&rp=all"


def test_a_call_that_is_not_live_cannot_be_redirected() -> None:
    plivo, _ = provider(GONE)
    with pytest.raises(Conflict):
        plivo.redirect(REF, "https://gw.example.net/voice/k3y/next/abc")


# -- what became of a call ---------------------------------------------------------------------------------------------


def test_a_finished_call_is_told_by_its_record_in_one_request() -> None:
    plivo, transport = provider(reply(200, record()))
    snapshot = plivo.fetch_call(REF)
    (event,) = snapshot.events
    assert transport.lines == [f"GET /Call/{CALL}/"]
    assert (snapshot.is_known, snapshot.is_live) == (True, False)
    assert event.facts.answered_at == datetime(2026, 3, 4, 9, 15, 10, tzinfo=UTC)
    assert event.facts.ended_at == datetime(2026, 3, 4, 9, 15, 47, tzinfo=UTC)
    assert event.facts.duration == Duration(seconds=37, authority=Authority.RECORD)
    assert event.facts.cost == Cost(amount=Decimal("0.01"), currency="USD", authority=Authority.RECORD)
    assert event.facts.attestation == "A"
    assert event.facts.ends[0].reconciled
    assert (event.to, event.from_number) == ("+14155550100", "+12125550123")
    assert resolve(event.facts, Direction.OUTBOUND).status is CallStatus.COMPLETED


def test_a_record_without_an_answer_proves_that_nobody_answered() -> None:
    plivo, _ = provider(
        reply(200, record(answer_time=None, bill_duration=0, hangup_cause_code=4000, hangup_source="Callee"))
    )
    (event,) = plivo.fetch_call(REF).events
    assert event.facts.ends[0].proves_answered is False
    assert (event.facts.answered, event.facts.answered_at) == (False, None)
    assert resolve(event.facts, Direction.OUTBOUND).status is CallStatus.NO_ANSWER


def test_a_time_without_an_offset_is_no_time() -> None:
    plivo, _ = provider(reply(200, record(answer_time="2026-03-04 14:45:10", end_time="2026-03-04 14:45:47")))
    (event,) = plivo.fetch_call(REF).events
    assert (event.facts.answered, event.facts.answered_at, event.facts.ended_at) == (True, None, None)


def test_a_second_leg_is_known_by_its_parent() -> None:
    plivo, _ = provider(reply(200, record(call_uuid=CHILD, parent_call_uuid=CALL)))
    assert plivo.fetch_call(LegRef(leg_id=CHILD)).events[0].is_child_leg


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([GONE, reply(200, waiting("queued"))], CallStatus.QUEUED),
        ([GONE, GONE, reply(200, waiting("ringing"))], CallStatus.RINGING),
        ([GONE, GONE, reply(200, waiting("in-progress"))], CallStatus.IN_PROGRESS),
    ],
)
def test_a_call_that_lives_is_found_where_it_lives(answers: list[HttpResponse], status: CallStatus) -> None:
    plivo, transport = provider(*answers)
    snapshot = plivo.fetch_call(REF)
    assert (snapshot.is_known, snapshot.is_live) == (True, True)
    assert resolve(snapshot.events[0].facts, Direction.OUTBOUND).status is status
    expected = [f"GET /Call/{CALL}/", f"GET /Call/{CALL}/ queued", f"GET /Call/{CALL}/ live"]
    assert transport.lines == expected[: len(answers)]


def test_a_call_that_ends_while_we_ask_is_not_missed() -> None:
    plivo, _ = provider(GONE, GONE, GONE, reply(200, record()))
    assert plivo.fetch_call(REF).is_live is False


def test_a_call_that_plivo_does_not_know_is_unknown() -> None:
    plivo, transport = provider(GONE, GONE, GONE, GONE)
    assert plivo.fetch_call(REF).is_known is False
    assert transport.answers == []


@pytest.mark.parametrize(
    "body", [{}, {"call_uuid": "x"}, {"call_uuid": CALL}, {"call_uuid": None, "end_time": 5}]
)
def test_a_record_that_names_no_ended_call_is_none(body: dict[str, Any]) -> None:
    plivo, _ = provider(reply(200, body), GONE, GONE, reply(200, body))
    assert plivo.fetch_call(REF).is_known is False


@pytest.mark.parametrize("answer", [reply(200, b"<html>"), fault(503), OutcomeUnknown("timed out")])
def test_garbage_and_outages_are_errors_and_no_snapshot(answer: HttpResponse | Exception) -> None:
    plivo, _ = provider(answer)
    with pytest.raises(ProviderUnavailable):
        plivo.fetch_call(REF)


def test_an_unknown_code_in_a_record_is_reported() -> None:
    plivo, _ = provider(reply(200, record(hangup_cause_code=3999)))
    (event,) = plivo.fetch_call(REF).events
    assert event.facts.ends[0].cause is EndCause.UNKNOWN
    assert [(each.table, each.word) for each in event.unmapped] == [("hangup_cause_code", "3999")]


# -- the call of an unknown dial ---------------------------------------------------------------------------------------

DIALED_AT = datetime(2026, 3, 4, 9, 15, 0, tzinfo=UTC)
QUERY = DialQuery(
    to="+14155550100",
    caller_id="+12125550123",
    attempt_token=ATTEMPT,
    created_from=DIALED_AT - timedelta(minutes=2),
    created_until=DIALED_AT + timedelta(minutes=2),
)


def ids(*found: str) -> HttpResponse:
    return reply(200, {"api_id": "x", "calls": list(found)})


def finished(*objects: dict[str, Any], next_page: str | None = None) -> HttpResponse:
    meta = {"limit": 20, "offset": 0, "next": next_page, "previous": None, "total_count": len(objects)}
    return reply(200, {"api_id": "x", "meta": meta, "objects": list(objects)})


def test_no_trace_in_three_complete_lists_is_none() -> None:
    plivo, transport = provider(ids(), ids(), finished())
    found = plivo.find_calls(QUERY)
    assert (found.calls, found.is_complete) == ((), True)
    assert transport.lines == ["GET /Call/ queued", "GET /Call/ live", "GET /Call/"]
    assert transport.query(1) == {
        "status": ["live"],
        "call_direction": ["outbound"],
        "from_number": ["12125550123"],
        "to_number": ["14155550100"],
        "limit": ["20"],
        "offset": ["0"],
    }
    assert transport.query(2) == {
        "call_direction": ["outbound"],
        "from_number": ["12125550123"],
        "to_number": ["14155550100"],
        "end_time__gte": ["2026-03-04 09:13:00"],
        "limit": ["20"],
        "offset": ["0"],
    }


def test_a_queued_call_has_no_time_and_may_be_ours() -> None:
    queued = waiting("queued", request_uuid=REQUEST, session_start=None)
    plivo, transport = provider(ids(CALL), reply(200, queued), ids(), finished())
    (found,) = plivo.find_calls(QUERY).calls
    assert (found.leg_id, found.other_ids, found.created_at) == (CALL, (REQUEST,), None)
    assert not found.has_our_token
    assert transport.lines[1] == f"GET /Call/{CALL}/ queued"


def test_a_live_call_counts_when_it_began_in_the_window() -> None:
    plivo, _ = provider(ids(), ids(CALL), reply(200, waiting()), finished())
    (found,) = plivo.find_calls(QUERY).calls
    assert found.created_at == datetime(2026, 3, 4, 9, 15, 2, tzinfo=UTC)
    late = waiting(session_start="2026-03-04 09:30:00.000000")
    plivo, _ = provider(ids(), ids(CALL), reply(200, late), finished())
    assert plivo.find_calls(QUERY).calls == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"to_number": "14155550199"},
        {"from_number": "+12125550199"},
        {"initiation_time": "2026-03-04 15:45:02+05:30"},
        {"initiation_time": "2026-03-04 14:42:58+05:30"},
        {"call_direction": "inbound"},
        {"parent_call_uuid": CHILD},
        {"call_uuid": "../x"},
    ],
)
def test_a_finished_call_of_somebody_else_is_not_ours(changes: dict[str, Any]) -> None:
    plivo, _ = provider(ids(), ids(), finished(record(**changes)))
    found = plivo.find_calls(QUERY)
    assert (found.calls, found.is_complete) == ((), True)


@pytest.mark.parametrize(
    "begun", ["2026-03-04 14:43:00+05:30", "2026-03-04 14:47:00+05:30", "2026-03-04 14:45:02"]
)
def test_a_finished_call_with_both_numbers_in_the_window_may_be_ours(begun: str) -> None:
    plivo, _ = provider(ids(), ids(), finished(record(initiation_time=begun)))
    assert [call.leg_id for call in plivo.find_calls(QUERY).calls] == [CALL]


def test_a_call_that_moves_from_list_to_list_is_one_call() -> None:
    plivo, _ = provider(
        ids(CALL), reply(200, waiting("queued")), ids(CALL), reply(200, waiting()), finished(record())
    )
    assert len(plivo.find_calls(QUERY).calls) == 1


def test_a_call_that_left_its_list_meanwhile_is_looked_for_in_the_next() -> None:
    plivo, _ = provider(ids(CALL), GONE, ids(CALL), GONE, finished(record()))
    found = plivo.find_calls(QUERY)
    assert ([call.leg_id for call in found.calls], found.is_complete) == ([CALL], True)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("/v1/Account/X/Call/?limit=20&offset=20", {"offset": ["20"]}),
        ("/v1/Account/X/Call/?limit=20&cursor=b3BhcXVl&offset=20", {"cursor": ["b3BhcXVl"]}),
    ],
)
def test_every_page_is_read_by_offset_or_by_cursor(page: str, query: dict[str, list[str]]) -> None:
    plivo, transport = provider(ids(), ids(), finished(next_page=page), finished(record()))
    found = plivo.find_calls(QUERY)
    assert (len(found.calls), found.is_complete) == (1, True)
    paging = {name: value for name, value in transport.query().items() if name in ("offset", "cursor")}
    assert paging == query
    assert transport.query()["to_number"] == ["14155550100"]


def test_a_full_page_of_ids_is_followed_by_another() -> None:
    others = [f"00000000-0000-4000-8000-0000000000{n:02d}" for n in range(20)]
    answers = [reply(200, waiting("queued", call_uuid=other, to="14155550199")) for other in others]
    plivo, transport = provider(
        ids(*others), *answers, ids(CALL), reply(200, waiting("queued")), ids(), finished()
    )
    assert [call.leg_id for call in plivo.find_calls(QUERY).calls] == [CALL]
    assert transport.query(21)["offset"] == ["20"]


@pytest.mark.parametrize(
    "broken",
    [
        fault(500),
        fault(429),
        OutcomeUnknown("timed out"),
        reply(200, {"api_id": "x"}),
        reply(200, b"[]"),
        finished(next_page="/v1/Account/X/Call/?page=2"),
        finished(next_page="/v1/Account/X/Call/?offset=0"),
    ],
)
def test_a_list_that_was_not_read_to_its_end_proves_nothing(broken: HttpResponse | Exception) -> None:
    plivo, _ = provider(ids(CALL), reply(200, waiting("queued")), ids(), broken)
    found = plivo.find_calls(QUERY)
    assert ([call.leg_id for call in found.calls], found.is_complete) == ([CALL], False)


# -- recordings --------------------------------------------------------------------------------------------------------

AUDIO = b"\xff\xfb" + b"audio" * 20_000


@pytest.fixture
def media() -> Iterator[FaultServer]:
    with FaultServer(served(200, AUDIO, ("Content-Type", "audio/mpeg"))) as server:
        yield server


def test_a_recording_is_streamed_with_our_credentials(media: FaultServer) -> None:
    plivo = PlivoProvider(SECRETS, base_url=media.url)
    stream = plivo.fetch_recording(RECORDING, f"{media.url}/v1/Account/{ACCOUNT}/Recording/{RECORDING}.mp3")
    assert (stream.content_type, stream.length) == ("audio/mpeg", len(AUDIO))
    assert b"".join(stream.chunks) == AUDIO
    assert (media.requests[0].header("Authorization") or "").startswith("Basic ")


def test_a_recordings_address_is_asked_for_when_it_is_not_known() -> None:
    plivo, transport = provider(
        reply(200, {"recording_id": RECORDING, "recording_url": "https://evil.example/x.mp3"})
    )
    with pytest.raises(RequestRefused, match="allowlist"):
        plivo.fetch_recording(RECORDING)
    assert transport.lines == [f"GET /Recording/{RECORDING}/"]


@pytest.mark.parametrize(
    "url",
    [
        "https://plivo.com.evil.example/x.mp3",
        "https://evilplivo.com/x.mp3",
        "https://media.plivo.com@evil.example/x.mp3",
        "https://evil.example/?plivo.com",
        "http://media.plivo.com/x.mp3",
        "https://media.plivo.com:8443/x.mp3",
        "https://s3.amazonaws.com/recordings/x.mp3",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://127.0.0.1/x.mp3",
        "//evil.example/x.mp3",
    ],
)
def test_a_recording_comes_from_plivos_own_hosts_only(url: str) -> None:
    plivo, transport = provider()
    with pytest.raises(RequestRefused):
        plivo.fetch_recording(RECORDING, url)
    assert transport.requests == []


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (410, NotFound), (401, RequestRefused), (503, ProviderUnavailable)]
)
def test_a_recording_that_is_not_there_is_told(status: int, error: type[Exception]) -> None:
    with FaultServer(served(status, b"no")) as server:
        plivo = PlivoProvider(SECRETS, base_url=server.url)
        with pytest.raises(error):
            plivo.fetch_recording(RECORDING, f"{server.url}/x.mp3")


def test_a_recording_that_plivo_does_not_know_is_not_found() -> None:
    with pytest.raises(NotFound):
        provider(GONE)[0].fetch_recording(RECORDING)
    with pytest.raises(NotFound):
        provider(reply(200, {"recording_id": RECORDING}))[0].fetch_recording(RECORDING)


# -- the account -------------------------------------------------------------------------------------------------------

ACCOUNT_BODY = {
    "account_type": "standard",
    "api_id": "x",
    "auth_id": ACCOUNT,
    "cash_credits": "25.00000",
    "name": "Acme",
    "timezone": "Asia/Kolkata",
}


@pytest.mark.parametrize(("kind", "expected"), [("standard", "main"), ("developer", "trial")])
def test_the_account_tells_its_name_balance_and_kind(kind: str, expected: str) -> None:
    plivo, transport = provider(reply(200, ACCOUNT_BODY | {"account_type": kind}))
    notes = ("A trial account calls verified numbers only: add credit in the Plivo console.",)
    assert plivo.check_account() == AccountInfo(
        account_ref=ACCOUNT,
        name="Acme",
        status="active",
        kind=expected,
        balance="25.00000",
        currency="USD",
        notes=notes if expected == "trial" else (),
    )
    assert transport.lines == ["GET /"]


def test_bad_secrets_are_refused() -> None:
    with pytest.raises(RequestRefused, match="copy both from the Plivo console") as refused:
        provider(reply(401, b"Could not verify your access level"))[0].check_account()
    assert refused.value.http_status == 401


def test_a_sub_account_that_may_not_read_its_account_is_proved_by_its_numbers() -> None:
    transport = StubTransport(fault(403, "not allowed"), finished())
    plivo = PlivoProvider(SECRETS | {"auth_id": SUB_ACCOUNT}, transport=transport)
    info = plivo.check_account()
    assert (info.account_ref, info.kind, info.status) == (SUB_ACCOUNT, "sub_account", "unknown")
    assert len(info.notes) == 1
    assert transport.requests[1].url.startswith(
        f"https://api.plivo.com/v1/Account/{SUB_ACCOUNT}/Number/?limit=1"
    )


def number(digits: str, **changes: Any) -> dict[str, Any]:
    return {
        "number": digits,
        "application": f"/v1/Account/{ACCOUNT}/Application/77506472735179788/",
        "sub_account": None,
        "alias": "main line",
        "active": True,
        "voice_enabled": True,
        "sms_enabled": True,
        "carrier": "Plivo",
    } | changes


def test_numbers_are_listed_to_the_end_with_what_they_point_at() -> None:
    plivo, transport = provider(
        finished(
            number("14155550100"), number("12345"), next_page="/v1/Account/X/Number/?limit=20&offset=20"
        ),
        finished(number("+442071838750", voice_enabled=False, application=None)),
    )
    first, second = plivo.list_numbers()
    assert (first.e164, first.carrier_ref, first.has_voice) == ("+14155550100", "14155550100", True)
    assert first.settings == {
        "application": f"/v1/Account/{ACCOUNT}/Application/77506472735179788/",
        "sub_account": None,
        "alias": "main line",
        "active": True,
        "compliance_status": None,
    }
    assert (second.e164, second.has_voice, second.settings["application"]) == ("+442071838750", False, None)
    assert transport.lines == ["GET /Number/", "GET /Number/"]


def test_a_list_of_numbers_that_breaks_off_is_an_error() -> None:
    plivo, _ = provider(finished(number("14155550100"), next_page="/v1/x/?limit=20&offset=20"), fault(500))
    numbers = plivo.list_numbers()
    assert next(numbers).e164 == "+14155550100"
    with pytest.raises(ProviderUnavailable):
        next(numbers)


def test_every_request_names_the_account_and_ends_with_a_slash() -> None:
    plivo, transport = provider(reply(200, ACCOUNT_BODY), finished(), GONE, GONE)
    plivo.check_account()
    list(plivo.list_numbers())
    plivo.hang_up(REF)
    for request in transport.requests:
        path = request.url.partition("?")[0]
        assert path.startswith(f"https://api.plivo.com/v1/Account/{ACCOUNT}/")
        assert path.endswith("/")
