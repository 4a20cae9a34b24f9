"""Asking Telnyx: what became of a call, where an unknown dial went, the account, its numbers, a recording."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.byoc import CarrierNumber
from gateway.errors import NotFound, ProviderUnavailable, RequestRefused
from gateway.interface import DialQuery, FoundCall, LegRef
from gateway.status import CallFacts, CallStatus, Direction, EndCause, resolve
from gateway.transport import HttpRequest, HttpResponse, OutcomeUnknown
from providers.telnyx import TelnyxProvider
from tests.adapters.telnyx.support import (
    ATTEMPT,
    CONNECTION,
    CONTROL_ID,
    LEG,
    OURS,
    SECRETS,
    SESSION,
    THEIRS,
    Script,
    check_request,
    event_data,
    ok,
    provider,
    refused,
    reply,
    state,
)

REF = LegRef(leg_id=CONTROL_ID, other_ids=(LEG,))
ALIVE = {
    "record_type": "call",
    "call_control_id": CONTROL_ID,
    "call_leg_id": LEG,
    "call_session_id": SESSION,
    "is_alive": True,
    "call_duration": 20,
}
ENDED = {**ALIVE, "is_alive": False, "end_time": "2026-03-02T15:05:00.000Z"}
HANGUP = {"hangup_cause": "user_busy", "hangup_source": "callee", "sip_hangup_cause": "486"}


def recorded(
    event_type: str, ident: str = "10000000-0000-4000-8000-000000000001", **payload: Any
) -> dict[str, Any]:
    """Return an item of /call_events that holds its webhook."""
    return {
        "record_type": "call_event",
        "type": "webhook",
        "name": event_type,
        "call_leg_id": LEG,
        "call_session_id": SESSION,
        "event_timestamp": "2026-03-02T15:04:01.000000Z",
        "metadata": {"attempt": 1, "status": "delivered", "event": event_data(event_type, ident, **payload)},
    }


def page(*items: Any, number: int = 1, total: int = 1) -> HttpResponse:
    meta = {"page_number": number, "page_size": 250, "total_pages": total, "total_results": len(items)}
    return reply({"data": list(items), "meta": meta})


# -- what became of a call ---------------------------------------------------------------------------------------------


def test_a_live_call_is_live() -> None:
    telnyx, script = provider(ok(ALIVE), page(recorded("call.answered")))
    found = telnyx.fetch_call(REF)
    assert (found.is_known, found.is_live) == (True, True)
    assert found.events[0].facts.answered
    assert not found.events[0].wants_instruction
    assert script.lines[0] == f"GET /calls/{CONTROL_ID}"
    query = {name: value[0] for name, value in parse_qs(urlsplit(script.sent[1].url).query).items()}
    assert query == {
        "filter[leg_id]": LEG,
        "filter[type]": "webhook",
        "page[number]": "1",
        "page[size]": "250",
    }
    for request in script.sent:
        check_request(request)


@pytest.mark.parametrize("status", [ok(ENDED), refused(404, "10005"), refused(422, "90015")])
def test_an_ended_call_is_explained_by_its_recorded_events(status: HttpResponse) -> None:
    telnyx, _ = provider(
        status, page(recorded("call.initiated", direction="outgoing"), recorded("call.hangup", **HANGUP))
    )
    found = telnyx.fetch_call(REF)
    assert (found.is_known, found.is_live) == (True, False)
    facts = CallFacts()
    for event in found.events:
        facts = facts.merge(event.facts)
    ended = resolve(facts, Direction.OUTBOUND)
    assert ended.status is CallStatus.BUSY
    assert ended.end_reason is not None
    assert ended.end_reason.reconciled


def test_a_proxys_page_does_not_say_that_a_call_is_gone() -> None:
    telnyx, script = provider(HttpResponse(status=404, body=b"<html>no such page</html>"))
    with pytest.raises(ProviderUnavailable):
        telnyx.fetch_call(REF)
    assert len(script.sent) == 1


def test_a_call_that_nobody_knows_is_unknown() -> None:
    telnyx, _ = provider(refused(404, "10005"), page())
    found = telnyx.fetch_call(REF)
    assert (found.is_known, found.is_live, found.events) == (False, None, ())


def test_without_the_leg_only_the_status_is_asked() -> None:
    telnyx, script = provider(refused(422, "90015"))
    assert not telnyx.fetch_call(LegRef(leg_id=CONTROL_ID)).is_known
    assert len(script.sent) == 1


def test_a_call_that_is_being_set_up_is_neither_live_nor_over() -> None:
    telnyx, _ = provider(
        ok({**ALIVE, "is_alive": False}), page(recorded("call.initiated", direction="outgoing"))
    )
    found = telnyx.fetch_call(REF)
    assert (found.is_known, found.is_live) == (True, None)


def test_an_end_that_no_event_explains_is_an_end_with_an_unknown_cause() -> None:
    telnyx, _ = provider(ok(ENDED), page())
    found = telnyx.fetch_call(REF)
    assert found.is_live is False
    (event,) = found.events
    assert event.facts.ended_at == datetime(2026, 3, 2, 15, 5, tzinfo=UTC)
    assert [(end.cause, end.reconciled) for end in event.facts.ends] == [(EndCause.UNKNOWN, True)]


def test_recorded_events_that_are_not_whole_prove_nothing() -> None:
    broken = [
        {},
        {"metadata": None},
        {"metadata": {"event": "call.hangup"}},
        {"metadata": {"event": {"event_type": "call.hangup"}}},
        {"metadata": {"event": {"event_type": "call.hangup", "id": "x", "payload": {}}}},
    ]
    telnyx, _ = provider(refused(404, "10005"), page(*broken))
    assert telnyx.fetch_call(REF).events == ()


def test_the_recorded_events_are_read_to_the_last_page() -> None:
    first = page(recorded("call.initiated", direction="outgoing"), number=1, total=2)
    second = page(recorded("call.hangup", **HANGUP), number=2, total=2)
    telnyx, script = provider(ok(ENDED), first, second)
    assert [event.name for event in telnyx.fetch_call(REF).events] == ["call.initiated", "call.hangup"]
    assert "page%5Bnumber%5D=2" in script.sent[2].url


@pytest.mark.parametrize(
    "answer", [refused(500, "10007"), OutcomeUnknown("timed out"), reply("x"), reply({"data": {}})]
)
def test_an_answer_that_tells_nothing_is_an_error_not_an_end(answer: Any) -> None:
    telnyx, _ = provider(ok(ENDED), answer)
    with pytest.raises(ProviderUnavailable):
        telnyx.fetch_call(REF)


# -- where an unknown dial went ----------------------------------------------------------------------------------------


def query(**changes: Any) -> DialQuery:
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "to": THEIRS,
        "caller_id": OURS,
        "attempt_token": ATTEMPT,
        "created_from": now - timedelta(minutes=5),
        "created_until": now + timedelta(minutes=5),
    }
    return DialQuery(**{**asked, **changes})


def active(client_state: str | None, ident: str = CONTROL_ID) -> dict[str, Any]:
    return {**ALIVE, "call_control_id": ident, "client_state": client_state}


def cursors(*items: Any, after: str | None = None) -> HttpResponse:
    following = f"https://api.telnyx.com/v2/x?page[after]={after}" if after else None
    meta = {"cursors": {"after": after, "before": None}, "next": following, "previous": None}
    return reply({"data": list(items), "meta": {**meta, "total_items": len(items)}})


def started(at: datetime, client_state: str | None, **payload: Any) -> dict[str, Any]:
    item = recorded("call.initiated", direction="outgoing", client_state=client_state, **payload)
    item["event_timestamp"] = item["metadata"]["event"]["occurred_at"] = at.isoformat().replace("+00:00", "Z")
    return item


def test_a_live_call_with_the_token_is_ours() -> None:
    ours, other = (
        active(state("stream", ATTEMPT)),
        active(state("dial", "f" * 32, ""), "v3:other-other-other"),
    )
    telnyx, script = provider(cursors(other, ours, active(None, "v3:third-third-third")), page())
    found = telnyx.find_calls(query())
    assert found.calls == (FoundCall(leg_id=CONTROL_ID, other_ids=(LEG,), has_our_token=True),)
    assert found.is_complete
    for request in script.sent:
        check_request(request)
    assert urlsplit(script.sent[0].url).path == f"/v2/connections/{CONNECTION}/active_calls"


def test_the_cursor_list_is_read_to_its_end() -> None:
    telnyx, script = provider(
        cursors(active(None, "v3:first-first-first"), after="c2"),
        cursors(active(state("dial", ATTEMPT, ""))),
        page(),
    )
    found = telnyx.find_calls(query())
    assert [call.leg_id for call in found.calls] == [CONTROL_ID]
    assert parse_qs(urlsplit(script.sent[1].url).query)["page[after]"] == ["c2"]


def test_a_list_without_end_is_given_up_and_said_to_be_incomplete() -> None:
    endless = cursors(active(None, "v3:first-first-first"), after="c2")
    telnyx, script = provider(endless, endless, page())
    assert not telnyx.find_calls(query()).is_complete
    assert len(script.sent) == 3


def test_a_second_leg_is_not_the_call() -> None:
    telnyx, _ = provider(cursors(active(state("leg", ATTEMPT))), page())
    assert telnyx.find_calls(query()).calls == ()


def test_a_recorded_start_with_the_token_is_ours_and_another_token_is_not() -> None:
    now = datetime.now(UTC)
    items = (
        started(now, state("dial", ATTEMPT, "")),
        started(now, state("dial", "f" * 32, ""), call_control_id="v3:other-other-other"),
    )
    telnyx, script = provider(cursors(), page(*items))
    asked = query()
    found = telnyx.find_calls(asked)
    assert found.calls == (
        FoundCall(leg_id=CONTROL_ID, other_ids=(LEG,), has_our_token=True, created_at=now),
    )
    sent = {name: value[0] for name, value in parse_qs(urlsplit(script.sent[1].url).query).items()}
    assert sent == {
        "filter[connection_id]": CONNECTION,
        "filter[from]": OURS,
        "filter[to]": THEIRS,
        "filter[name]": "call.initiated",
        "filter[type]": "webhook",
        "filter[occurred_at][gte]": asked.created_from.isoformat(),
        "page[number]": "1",
        "page[size]": "250",
    }


def test_a_recorded_start_without_any_state_may_be_ours_inside_the_window_only() -> None:
    now = datetime.now(UTC)
    items = (
        started(now, None),
        started(now - timedelta(hours=1), None, call_control_id="v3:early-early-early"),
        started(now + timedelta(hours=1), None, call_control_id="v3:later-later-later"),
        {**started(now, None), "metadata": {}, "call_leg_id": "8c1f6a2e-e6a1-11f0-9b1a-02420a0d1a2b"},
    )
    inbound = started(now, None, call_control_id="v3:inbound-inbound")
    inbound["metadata"]["event"]["payload"]["direction"] = "incoming"
    telnyx, _ = provider(cursors(), page(*items, inbound))
    found = telnyx.find_calls(query())
    assert [(call.leg_id, call.has_our_token) for call in found.calls] == [
        (CONTROL_ID, False),
        ("8c1f6a2e-e6a1-11f0-9b1a-02420a0d1a2b", False),
    ]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_list_that_could_not_be_read_makes_the_answer_incomplete(failing: int) -> None:
    answers: list[Any] = [cursors(), page()]
    answers[failing] = refused(503, "10007")
    telnyx, script = provider(*answers)
    found = telnyx.find_calls(query())
    assert (found.calls, found.is_complete) == ((), False)
    assert len(script.sent) == 2


def test_an_empty_answer_is_complete_only_within_the_day_that_events_reach_back() -> None:
    for age, complete in ((timedelta(hours=23), True), (timedelta(hours=25), False)):
        telnyx, _ = provider(cursors(), page())
        assert telnyx.find_calls(query(created_from=datetime.now(UTC) - age)).is_complete is complete


# -- the account -------------------------------------------------------------------------------------------------------

BALANCE = {
    "record_type": "balance",
    "balance": "12.34",
    "credit_limit": "0.00",
    "available_credit": "12.34",
    "currency": "USD",
}


def test_the_account_is_read_from_its_balance() -> None:
    telnyx, script = provider(ok(BALANCE))
    info = telnyx.check_account()
    assert (info.account_ref, info.status, info.kind) == (CONNECTION, "active", "main")
    assert (info.balance, info.currency) == ("12.34", "USD")
    assert script.lines == ["GET /balance"]
    check_request(script.sent[0])


def test_a_key_without_billing_rights_still_works() -> None:
    telnyx, script = provider(refused(403, "10010"), page())
    assert telnyx.check_account().status == "unknown"
    assert script.lines == ["GET /balance", "GET /phone_numbers?page%5Bsize%5D=1"]
    check_request(script.sent[1])


def test_a_wrong_key_is_refused() -> None:
    for answers in ((refused(401, "10009"),), (refused(403, "10010"), refused(401, "10009"))):
        with pytest.raises(RequestRefused) as caught:
            provider(*answers)[0].check_account()
        assert (caught.value.http_status, caught.value.vendor_code) == (401, "10009")


def number(e164: Any, ident: Any = "1293384261075731499", status: str = "active") -> dict[str, Any]:
    return {
        "id": ident,
        "phone_number": e164,
        "status": status,
        "connection_id": CONNECTION,
        "tags": [],
        "x": 1,
    }


def test_every_number_is_listed_over_all_pages() -> None:
    telnyx, script = provider(
        page(number(OURS), number("not a number"), number(THEIRS, ident=None), number=1, total=2),
        page(number(THEIRS, status="port-pending"), number=2, total=2),
    )
    assert list(telnyx.list_numbers()) == [
        CarrierNumber(
            e164=OURS,
            carrier_ref="1293384261075731499",
            has_voice=True,
            settings={"connection_id": CONNECTION, "status": "active", "tags": []},
        ),
        CarrierNumber(
            e164=THEIRS,
            carrier_ref="1293384261075731499",
            has_voice=False,
            settings={"connection_id": CONNECTION, "status": "port-pending", "tags": []},
        ),
    ]
    assert [unquote(line) for line in script.lines] == [
        "GET /phone_numbers?page[number]=1&page[size]=250",
        "GET /phone_numbers?page[number]=2&page[size]=250",
    ]
    for request in script.sent:
        check_request(request)


# -- recordings --------------------------------------------------------------------------------------------------------

RECORDING_ID = "4e2f4d62-7b0e-4f4b-8d3f-1d1f7f0c9a11"
AUDIO = b"ID3 audio"


@pytest.fixture
def store() -> Iterator[ThreadingHTTPServer]:
    """A store on loopback: /good.mp3, anything else is gone. Keeps the headers that it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append(dict(self.headers.items()))  # type: ignore[attr-defined]
            good = self.path.startswith("/good.mp3")
            body = AUDIO if good else b"<Error/>"
            self.send_response(200 if good else 403)
            self.send_header("Content-Type", "audio/mpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def with_store(server: ThreadingHTTPServer, *replies: Any) -> tuple[TelnyxProvider, Script]:
    script = Script(list(replies))
    base = f"http://127.0.0.1:{server.server_port}"
    return TelnyxProvider(SECRETS, transport=script, base_url=base), script


def test_a_recording_is_streamed_from_a_fresh_link_without_our_key(store: ThreadingHTTPServer) -> None:
    link = f"http://127.0.0.1:{store.server_port}/good.mp3?X-Amz-Signature=s"
    telnyx, script = with_store(store, ok({"id": RECORDING_ID, "download_urls": {"mp3": link}}))
    stream = telnyx.fetch_recording(RECORDING_ID, "https://old.example/link")
    assert (stream.content_type, stream.length) == ("audio/mpeg", len(AUDIO))
    assert b"".join(stream.chunks) == AUDIO
    assert urlsplit(script.sent[0].url).path == f"/v2/recordings/{RECORDING_ID}"
    check_request(script.sent[0])
    assert "Authorization" not in store.seen[0]  # type: ignore[attr-defined]


def test_a_recording_known_by_its_leg_is_looked_up(store: ThreadingHTTPServer) -> None:
    link = f"http://127.0.0.1:{store.server_port}/good.mp3"
    telnyx, script = with_store(store, page({"id": RECORDING_ID, "download_urls": {"wav": link}}))
    assert b"".join(telnyx.fetch_recording(f"leg:{LEG}").chunks) == AUDIO
    assert parse_qs(urlsplit(script.sent[0].url).query)["filter[call_leg_id]"] == [LEG]
    check_request(script.sent[0])


@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/latest",
        "https://evil.example/good.mp3",
        "https://s3.amazonaws.com.evil.example/x",
        "https://user@s3.amazonaws.com/x",
        "file:///etc/passwd",
        "http://s3.amazonaws.com/x",
    ],
)
def test_a_link_to_anywhere_else_is_refused(link: str) -> None:
    telnyx, _ = provider(ok({"download_urls": {"mp3": link}}))
    with pytest.raises(RequestRefused):
        telnyx.fetch_recording(RECORDING_ID)


@pytest.mark.parametrize(
    "answer",
    [
        refused(404, "10005"),
        refused(422, "10015"),
        ok({"download_urls": {}}),
        ok({"download_urls": {"mp3": None}}),
        ok({}),
        reply([]),
    ],
)
def test_a_recording_that_is_gone_is_not_found(answer: HttpResponse) -> None:
    with pytest.raises(NotFound):
        provider(answer)[0].fetch_recording(RECORDING_ID)


def test_a_link_that_has_expired_is_not_found(store: ThreadingHTTPServer) -> None:
    link = f"http://127.0.0.1:{store.server_port}/gone.mp3"
    telnyx, _ = with_store(store, ok({"download_urls": {"mp3": link}}))
    with pytest.raises(NotFound):
        telnyx.fetch_recording(RECORDING_ID)


@pytest.mark.parametrize("ref", ["", "../x", "a/b", "x?y", "leg:", "other:x", "é"])
def test_a_reference_that_is_none_never_reaches_a_url(ref: str) -> None:
    telnyx, script = provider()
    with pytest.raises(NotFound):
        telnyx.fetch_recording(ref)
    assert script.sent == []


def test_every_request_carries_the_key_and_goes_to_the_carrier_only() -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        assert request.url.startswith("https://api.telnyx.com/v2/")
        assert dict(request.headers)["Authorization"] == f"Bearer {SECRETS['api_key']}"
        return reply({"data": {"balance": "1.00"} if request.url.endswith("/balance") else []})

    script = Script(answer)
    telnyx = TelnyxProvider(SECRETS, transport=script)
    list(telnyx.list_numbers())
    telnyx.find_calls(query())
    telnyx.check_account()
    assert len(script.sent) == 4
