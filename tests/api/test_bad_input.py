"""What is wrong is refused, by the name of the field, with the status that says what to do (R36, R37, R69, R87)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.paging import write_cursor
from tests.api.support import CALLEE, NEW_CALL, NO_ID, Client, Site, error_of, fields_of
from tests.storekit import SECOND, T0

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'agent_id': 'desk'}",
        b'{"agent_id": "desk",}',
        b'{"agent_id": "desk", "agent_id": "desk", "phone_number": "+14155550123"}',
        b'{"variables": {"a": NaN}}',
        b'{"variables": {"a": Infinity}}',
        b'{"variables": {"a": -Infinity}}',
        b'{"limit": ' + b"9" * 50_000 + b"}",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'"\xff"',
        '{"agent_id": "desk"}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_json_is_400(client: Client, body: bytes) -> None:
    assert error_of(client.send("POST", "/calls", headers=JSON, data=body)) == (400, "bad_request")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b'"{}"'])
def test_json_that_is_no_object_is_422(client: Client, body: bytes) -> None:
    assert "body" in fields_of(client.send("POST", "/calls", headers=JSON, data=body))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_another_kind_of_body_is_415(client: Client, headers: dict[str, str]) -> None:
    answer = client.send("POST", "/calls", headers=headers, data=json.dumps(NEW_CALL))
    assert error_of(answer) == (415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_413(client: Client) -> None:
    for length in (65_537, 10_000_000):
        answer = client.send("POST", "/calls", headers=JSON, data=b" " * length)
        assert error_of(answer) == (413, "too_large")


def test_an_utf8_body_in_another_spelling_is_taken(client: Client) -> None:
    for kind in ("application/json; charset=UTF-8", "application/json;charset=utf8", "Application/JSON"):
        answer = client.send("POST", "/calls", headers={"Content-Type": kind}, data=json.dumps(NEW_CALL))
        assert answer.status_code in (201, 409), "the second one is a conflict: the first still rings"


WRONG: list[tuple[str, Any]] = [
    ("agent_id", None),
    ("agent_id", 7),
    ("agent_id", ""),
    ("agent_id", "x" * 201),
    ("phone_number", None),
    ("phone_number", 14155550123),
    ("phone_number", "4155550123"),
    ("phone_number", "+1 415 555 0123"),
    ("phone_number", "+14155550123;ext=1"),
    ("phone_number", "+1415555012３"),
    ("phone_number", "911"),
    ("phone_number", "+442079460018"),
    ("phone_number", "sip:a@b.example"),
    ("phone_number", "+" + "1" * 100),
    ("from_number", "anonymous"),
    ("from_number", "+14155550199"),
    ("from_number", True),
    ("variables", []),
    ("variables.a", 1),
    ("variables.a", None),
    ("variables.a", {"b": "c"}),
    ("variables.a", "x" * 20_001),
    ("variables", {str(n): "x" * 1000 for n in range(34)}),
    ("call_settings", "none"),
    ("call_settings.max_duration", "ten minutes"),
    ("call_settings.max_duration", 0),
    ("call_settings.max_duration", 1.5),
    ("call_settings.join_timeout", True),
    ("call_settings.join_timeout", "-30s"),
    ("call_settings.recording_enabled", "yes"),
    ("call_settings.recording_enabled", 1),
    ("call_settings.greeting", 5),
    ("call_settings.voicemail_detection", "maybe"),
    ("call_settings.on_voicemail", "leave_message"),
    ("call_settings.recording", True),
    ("workspace_id", "tenant-b"),
    ("__proto__", {}),
    ("\u202egnp", 1),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda each: str(each)[:40])
def test_a_wrong_field_is_refused_by_its_name(site: Site, client: Client, field: str, value: Any) -> None:
    body: dict[str, Any] = dict(NEW_CALL)
    outer, dot, inner = field.partition(".")
    body[outer] = {inner: value} if dot else value
    named = fields_of(client.post("/calls", json=body))
    wanted = {field.encode("ascii", "backslashreplace").decode(), *([inner] if dot else [])}
    assert wanted & named.keys(), named
    assert site.carrier.dials == []


def test_every_wrong_field_is_named_at_once(client: Client) -> None:
    named = fields_of(client.post("/calls", json={"agent": "desk", "phone_number": 5, "variables": {"a": 1}}))
    assert named.keys() == {"agent", "agent_id", "phone_number", "variables.a"}
    assert (named["agent"], named["agent_id"]) == ("there is no such field", "is missing")


def test_what_was_sent_is_not_repeated_to_who_sent_it(client: Client) -> None:
    answer = client.post("/calls", json={**NEW_CALL, "call_settings": {"join_timeout": "<script>" * 2}})
    assert "<script>" not in json.dumps(
        fields_of(client.post("/calls", json={**NEW_CALL, "agent_id": ["<script>"]}))
    )
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_1_to_255_characters(client: Client, key: str) -> None:
    answer = client.post("/calls", json=NEW_CALL, headers={"X-Idempotency-Key": key})
    assert list(fields_of(answer)) == ["X-Idempotency-Key"]


def test_an_idempotency_key_of_255_odd_characters_is_taken(site: Site, client: Client) -> None:
    key = {"X-Idempotency-Key": "é%;'\"--" + "x" * 248}
    calls = [client.post("/calls", json=NEW_CALL, headers=key).json["id"] for _ in range(2)]
    assert (len(set(calls)), len(site.carrier.dials)) == (1, 1)


BAD_QUERIES = {
    "limit=0": "limit",
    "limit=101": "limit",
    "limit=-1": "limit",
    "limit=1.0": "limit",
    "limit=ten": "limit",
    "limit=５": "limit",
    "limit=%2050": "limit",
    "limit=5_0": "limit",
    "limit=" + "9" * 400: "limit",
    "limit=": "limit",
    "limit=1&limit=2": "limit",
    "offset=-1": "offset",
    "offset=1000001": "offset",
    "status=": "status",
    "status=Busy": "status",
    "status=done": "status",
    "status=busy&status=busy": "status",
    "direction=out": "direction",
    "agent_id=": "agent_id",
    "agent_id=" + "x" * 201: "agent_id",
    "created_after=2026-03-01T12:00:00": "created_after",
    "created_after=2026-03-01": "created_after",
    "created_after=yesterday": "created_after",
    "created_before=0001-01-01T00:00:00%2B23:59": "created_before",
    "created_before=9999-12-31T23:59:59-23:59": "created_before",
    "created_before=1e9": "created_before",
    "cursor=": "cursor",
    "cursor=abc": "cursor",
    "cursor=%00": "cursor",
    "cursor=" + "A" * 501: "cursor",
    "cursor=W10": "cursor",
    "sort=created_at": "sort",
    "api_key=x": "api_key",
}


@pytest.mark.parametrize(("query", "field"), BAD_QUERIES.items(), ids=lambda each: str(each)[:40])
def test_a_wrong_parameter_is_refused_by_its_name(client: Client, query: str, field: str) -> None:
    assert list(fields_of(client.get(f"/calls?{query}"))) == [field]


def test_a_cursor_belongs_to_its_filters_and_its_workspace(site: Site, client: Client) -> None:
    for n in range(3):
        site.put_call(created_at=T0 + n * SECOND)
    cursor = client.get("/calls?limit=1").json["pagination"]["next_cursor"]
    assert client.get(f"/calls?limit=2&cursor={cursor}").status_code == 200
    forged = write_cursor(T0, NO_ID, {"workspace_id": "tenant-b"})
    for path in (
        f"/calls?status=busy&cursor={cursor}",
        f"/calls?cursor={forged}",
        f"/calls?cursor={cursor[:-4]}",
    ):
        assert list(fields_of(client.get(path))) == ["cursor"]
    assert list(fields_of(client.get(f"/calls?cursor={cursor}&offset=1"))) == ["offset"]


@pytest.mark.parametrize(
    "ident", ["abc", "1", NO_ID[:-1], NO_ID + "0", NO_ID.replace("-", ""), "{" + NO_ID + "}", "%00", "..%2f"]
)
def test_a_malformed_id_is_the_id_of_nothing(client: Client, ident: str) -> None:
    for path in (f"/calls/{ident}", f"/calls/{ident}/events", f"/webhook-endpoints/{ident}"):
        assert error_of(client.get(path)) == (404, "not_found")


def test_an_id_is_taken_in_either_case(site: Site, client: Client) -> None:
    call = site.put_call()
    assert client.get(f"/calls/{call.id.upper()}").json["id"] == call.id


@pytest.mark.parametrize("ids", [[], [NO_ID] * 1001, ["abc"], [None], "all", {"a": 1}, None])
def test_a_wrong_list_of_ids_is_refused(client: Client, ids: Any) -> None:
    assert all(
        each.startswith("ids") for each in fields_of(client.post("/calls/bulk-delete", json={"ids": ids}))
    )


def test_a_thousand_ids_are_taken(client: Client) -> None:
    answer = client.post("/calls/bulk-delete", json={"ids": [f"{n:08x}{NO_ID[8:]}" for n in range(1000)]})
    assert answer.json["failed_count"] == 1000


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"transcript": [{"speaker": "robot", "text": "", "timestamp": 0}]}, "transcript.0.speaker"),
        ({"transcript": [{"speaker": "agent", "text": "", "timestamp": -1}]}, "transcript.0.timestamp"),
        ({"transcript": [{"speaker": "agent", "text": "", "timestamp": "1"}]}, "transcript.0.timestamp"),
        ({"transcript": [{"speaker": "agent", "text": "", "timestamp": True}]}, "transcript.0.timestamp"),
        ({"transcript": [{"speaker": "agent", "timestamp": 1}]}, "transcript.0.text"),
        ({"transcript": "hello"}, "transcript"),
        ({"summary": "x" * 20_001}, "summary"),
        ({"outcome": "x" * 201}, "outcome"),
        ({"score": 1}, "score"),
    ],
    ids=str,
)
def test_a_wrong_analysis_is_refused(site: Site, client: Client, wrong: Any, field: str) -> None:
    assert list(fields_of(client.put(f"/calls/{site.put_call().id}/analysis", json=wrong))) == [field]


ODD_TEXT = [
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff x",
    "\ufffe",
    "\u202e",
    "\u200b",
    "😀" * 50,
    "'; DROP TABLE call; --",
    "%",
    "_",
]


@pytest.mark.parametrize("text", ODD_TEXT, ids=ascii)
def test_odd_text_is_kept_and_nul_and_half_characters_are_replaced(
    site: Site, client: Client, text: str
) -> None:
    call = site.put_call()
    body = json.dumps({"context": {"note": text}, "call_settings": {}})
    answer = client.send("PATCH", f"/calls/{call.id}", headers=JSON, data=body)
    wanted = text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert answer.json["context"]["note"] == wanted


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(min_size=1, max_size=60),
    name=st.sampled_from(["status", "direction", "agent_id", "created_after", "cursor", "limit"]),
)
def test_no_text_in_a_filter_breaks_anything(site: Site, text: str, name: str) -> None:
    client = site.client("calls:read")
    answer = client.send("GET", "/calls", query_string={name: text})
    assert answer.status_code in (200, 422)


def test_random_bodies_never_end_in_an_error_of_ours(site: Site, client: Client) -> None:
    dice = random.Random(20260301)
    values = [None, True, 0, -1, 1e308, "", "x", CALLEE, [], {}, [[]], {"a": {}}, "\ud800", 2**70]
    names = ["agent_id", "phone_number", "from_number", "variables", "call_settings", "context", "x"]
    for _ in range(300):
        body = {name: dice.choice(values) for name in dice.sample(names, dice.randrange(7))}
        answer = client.send("POST", "/calls", headers=JSON, data=json.dumps(body))
        assert answer.status_code in (404, 422), answer.text
