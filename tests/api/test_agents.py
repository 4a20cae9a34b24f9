"""Agents through the API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from gateway import Agent, Stream
from tests.api.support import OURS, Client, Site, error_of, fields_of

STREAM = {"kind": "stream", "url": "wss://agents.example.com/media", "parameters": {"tenant": "a"}}
WHOLE = {
    "name": "Night desk",
    "connect": STREAM,
    "settings": {"join_timeout": "20s", "recording_enabled": True},
    "fallback": [
        {"kind": "agent", "agent_id": "desk"},
        {"kind": "sip", "uri": "sip:desk@pbx.example.com"},
        {"kind": "forward", "number": "+14155550199", "caller_id": OURS},
        {"kind": "say", "text": "One moment.", "language": "en-GB"},
        {"kind": "message", "prompt": "After the tone.", "max_length_s": 60, "language": "en-US"},
        {"kind": "reject", "reason": "rejected"},
    ],
    "max_concurrent_calls": 3,
    "caller_id_strategy": "round_robin",
}


def test_an_agent_is_put_whole_and_shown_as_it_was_put(site: Site, client: Client) -> None:
    answer = client.put("/agents/night", json=WHOLE)
    assert (answer.status_code, answer.json) == (200, {"id": "night", **WHOLE})
    assert client.get("/agents/night").json == answer.json
    assert client.put("/agents/night", json=answer.json).json == answer.json
    assert [each["id"] for each in client.get("/agents").json["data"]] == ["desk", "night"]


@pytest.mark.parametrize("ident", ["/a", "a//b", "a/", "..", "a?b", "%2F", "Zoë"])
def test_an_id_may_have_any_printable_character(client: Client, ident: str) -> None:
    path = f"/agents/{quote(ident, safe='')}"
    assert error_of(client.get(path)) == (404, "not_found")
    assert client.put(path, json={"connect": STREAM}).json["id"] == ident
    assert client.get(path).json["id"] == ident
    assert client.delete(path).status_code == 204


@pytest.mark.parametrize("ident", ["a\nb", "a\n", "\n", "/\n", "\u2028"])
def test_an_id_that_breaks_a_line_is_nobodys(client: Client, ident: str) -> None:
    path = f"/agents/{quote(ident, safe='')}"
    assert error_of(client.get(path)) == error_of(client.delete(path)) == (404, "not_found")
    assert "agent_id" in fields_of(client.put(path, json={"connect": STREAM}))


def test_what_is_left_out_goes_back_to_its_default(site: Site, client: Client) -> None:
    client.put("/agents/night", json=WHOLE)
    shown = client.put("/agents/night", json={"connect": {"kind": "stream", "url": STREAM["url"]}}).json
    assert (shown["fallback"], shown["settings"], shown["max_concurrent_calls"]) == ([], {}, None)


@pytest.mark.parametrize("ident", ["a b", "a/b", "ü", "x" * 200, "%25", "a.b"])
def test_an_agents_id_is_any_text(client: Client, ident: str) -> None:
    path = f"/agents/{ident}"
    shown = client.put(path, json={"connect": {"kind": "sip", "uri": "sip:a@b.example"}}).json
    assert client.get(path).json["id"] == shown["id"] == ident.replace("%25", "%")
    assert client.delete(path).status_code == 204
    assert error_of(client.get(path)) == (404, "not_found")


def test_an_agent_with_numbers_cannot_be_deleted(site: Site, client: Client) -> None:
    assert error_of(client.delete("/agents/desk")) == (409, "conflict")
    site.gw.numbers.unassign(OURS)
    assert client.delete("/agents/desk").status_code == 204


def test_an_agent_that_connects_by_a_function_says_so(site: Site, client: Client) -> None:
    site.gw.agents.put(Agent(id="made", connect=lambda call: Stream("wss://agents.example.com/x")))
    assert client.get("/agents/made").json["connect"] == {"kind": "function"}
    assert fields_of(client.put("/agents/made", json={"connect": {"kind": "function"}}))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "connect"),
        ({"connect": {"kind": "carrier pigeon"}}, "connect"),
        ({"connect": {"url": "wss://a.example"}}, "connect"),
        ({"connect": {"kind": "say", "text": "x"}}, "connect"),
        ({"connect": {"kind": "stream", "url": "https://a.example"}}, "stream url"),
        ({"connect": {"kind": "stream", "url": "wss://a.example", "token": "x"}}, "connect.stream.token"),
        ({"connect": {"kind": "sip", "uri": "a@b"}}, "sip uri"),
        ({"connect": {"kind": "forward", "number": "911"}}, "forward number"),
        ({"connect": STREAM, "id": "another"}, "id"),
        ({"connect": STREAM, "max_concurrent_calls": 0}, "max_concurrent_calls"),
        ({"connect": STREAM, "caller_id_strategy": "best"}, "caller_id_strategy"),
        ({"connect": STREAM, "settings": {"join_timeout": "2d"}}, "settings.join_timeout"),
        ({"connect": STREAM, "fallback": [{"kind": "say", "text": " "}]}, "fallback"),
        ({"connect": STREAM, "fallback": [{"kind": "agent", "agent_id": "night"}]}, "fallback"),
        ({"connect": STREAM, "fallback": [{"kind": "reject"}] * 21}, "fallback"),
        ({"connect": STREAM, "workspace_id": "tenant-b"}, "workspace_id"),
    ],
    ids=str,
)
def test_a_wrong_agent_is_refused(client: Client, body: dict[str, Any], field: str) -> None:
    assert list(fields_of(client.put("/agents/night", json=body))) == [field]
