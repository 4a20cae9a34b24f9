"""Every route has its guard: no key, wrong scope, another workspace's ids (R83, R84)."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from gateway import Agent, Stream, endpoints, keys
from gateway.models import Scope
from gateway.web import create_app
from gateway.web.api import PREFIX
from gateway.web.api.auth import TRUSTED_S
from gateway.web.api.operations import Operation
from tests.api.support import NEW_CALL, NO_ID, OTHERS, Client, Site, error_of

BODIES: dict[str, Any] = {
    "place_call": NEW_CALL,
    "update_call": {"context": {"note": "mine now"}},
    "delete_calls": {"ids": [NO_ID]},
    "put_analysis": {"summary": "mine now"},
    "put_agent": {"connect": {"kind": "sip", "uri": "sip:a@b.example"}},
    "create_webhook_endpoint": {"url": "https://93.184.216.34/events"},
    "update_webhook_endpoint": {"is_enabled": False},
    "rotate_webhook_secret": {},
    "create_credential": {"provider": "twilio", "secrets": {"auth_token": "0" * 32}},  # without its account
    "import_numbers": {},
    "buy_number": {"credential_id": NO_ID, "phone_number": "+14155550177"},
    "assign_number": {"agent_id": "desk", "inbound": True},
    "unassign_number": {},
    "repair_number": {},
    "repair_numbers": {},
}
# Public on purpose: the link is the right to listen, the document and its page hold nothing of anybody's.
PUBLIC = {"hear_recording", "openapi_json", "docs", "docs_start", "docs_file", "unknown"}


def path_of(operation: Operation, ident: str) -> str:
    return operation.rule.replace("<id>", ident).replace("<path:id>", ident).replace("<link>", ident)


def send(client: Client, operation: Operation, ident: str = NO_ID) -> Any:
    said = {"json": BODIES[operation.endpoint]} if operation.endpoint in BODIES else {}
    return client.send(operation.method, path_of(operation, ident), **said)


def guarded(site: Site) -> list[Operation]:
    return [each for each in site.api.operations if each.scope is not None]


def test_every_route_of_the_blueprint_is_guarded_or_listed_as_public(site: Site) -> None:
    routed = {
        rule.endpoint.removeprefix("gateway_api.")
        for rule in site.app.url_map.iter_rules()
        if rule.endpoint.startswith("gateway_api.")
    }
    assert routed == {each.endpoint for each in guarded(site)} | PUBLIC
    assert len(guarded(site)) == 39


def test_without_a_key_every_guarded_route_answers_401(site: Site) -> None:
    for operation in guarded(site):
        answer = send(Client(site, None), operation)
        assert error_of(answer) == (401, "unauthorized"), operation
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} x", "Bearer x{}", "Token {}"]
)
def test_a_key_is_taken_only_as_a_bearer(site: Site, client: Client, header: str) -> None:
    said = {"Authorization": header.format(client.secret)}
    assert error_of(Client(site, None).get("/calls", headers=said)) == (401, "unauthorized")


def test_a_key_in_the_query_or_given_twice_is_none(site: Site, client: Client) -> None:
    nobody = Client(site, None)
    assert nobody.get(f"/calls?api_key={client.secret}").status_code == 401
    bearer = f"Bearer {client.secret}"
    answer = site.app.test_client().get(
        f"{PREFIX}/calls", headers=[("Authorization", bearer), ("Authorization", bearer)]
    )
    assert answer.status_code == 401


def test_malformed_unknown_revoked_and_expired_keys_get_one_answer(site: Site) -> None:
    key, revoked = keys.create_key(site.gw.services, "a", ["admin"])
    keys.revoke_key(site.gw.services, key.id)
    soon = site.clock() + timedelta(seconds=60)
    _, expired = keys.create_key(site.gw.services, "b", ["admin"], expires_at=soon)
    assert Client(site, expired).get("/calls").status_code == 200
    site.clock.ahead(seconds=61)
    answers = [
        Client(site, secret).get("/calls").json["error"]
        for secret in ("gwk_", "x" * 5000, "gwk_" + "A" * 43, revoked[:-1] + "_", revoked, expired)
    ]
    assert [each["code"] for each in answers] == ["unauthorized"] * 6
    assert len({str(each) for each in answers}) == 1


def test_a_revoked_key_is_refused_within_a_second_whatever_it_did_before(site: Site) -> None:
    key, secret = keys.create_key(site.gw.services, "a", ["calls:read"])
    client = Client(site, secret)
    assert client.get("/calls").status_code == 200
    keys.revoke_key(site.gw.services, key.prefix)
    time.sleep(TRUSTED_S)
    assert TRUSTED_S <= 0.5
    assert {client.get("/calls").status_code for _ in range(20)} == {401}


def test_a_key_that_was_revoked_before_it_came_is_refused_at_once(site: Site) -> None:
    key, secret = keys.create_key(site.gw.services, "a", ["calls:read"])
    keys.revoke_key(site.gw.services, key.id)
    assert Client(site, secret).get("/calls").status_code == 401


def test_a_key_opens_the_routes_of_its_scope_and_no_other(site: Site) -> None:
    for scope in Scope:
        client = site.client(scope)
        for operation in guarded(site):
            is_refused = (
                error_of(answer) == (403, "forbidden")
                if (answer := send(client, operation)).status_code == 403
                else False
            )
            is_allowed = scope in (operation.scope, Scope.ADMIN)
            assert is_refused is not is_allowed, (scope, operation, answer.text)


def test_another_workspaces_things_are_as_if_they_were_not(site: Site) -> None:
    """Each route with an id, each scope, an id of another workspace and an id of nothing: one answer, and no effect."""
    call = site.put_recorded_call()
    analysis = {"transcript": [{"speaker": "agent", "text": "hi", "timestamp": 0}], "summary": "theirs"}
    owner = site.client()
    assert owner.put(f"/calls/{call.id}/analysis", json=analysis).status_code == 200
    site.gw.agents.put(Agent(id="theirs", connect=Stream("wss://agents.example.com/media")))
    endpoint, _ = endpoints.create_endpoint(site.gw.services, "https://93.184.216.34/events")
    [number] = site.gw.numbers.list()
    begun = site.gw.operations.start_repair()
    foreign = {
        "calls": call.id,
        "agents": "theirs",
        "webhook-endpoints": endpoint.id,
        "telephony/credentials": site.credential.id,
        "telephony/numbers": number.id,
        "telephony/operations": begun.id,
    }
    before = snapshot(site, call.id, endpoint.id)
    for scope in Scope:
        client = site.client(scope, workspace_id=OTHERS)
        for operation in guarded(site):
            if "id>" not in operation.rule or operation.endpoint == "put_agent":
                continue
            theirs = foreign[operation.rule.partition("/<")[0].lstrip("/")]
            nothing = NO_ID if theirs != "theirs" else "nobody"
            got, none = send(client, operation, theirs), send(client, operation, nothing)
            expected = (404, "not_found") if client_may(scope, operation) else (403, "forbidden")
            assert error_of(got) == expected, operation
            assert shape(got, theirs) == shape(none, nothing), operation
        assert client.get("/calls").json.get("data", []) == []
        assert client.get("/agents").json.get("data", []) == []
        assert client.get("/webhook-endpoints").json.get("data", []) == []
        assert client.get("/telephony/credentials").json.get("data", []) == []
        assert client.get("/telephony/numbers").json.get("data", []) == []
        if client_may(scope, bulk(site)):
            answer = client.post("/calls/bulk-delete", json={"ids": [call.id, NO_ID]}).json
            assert (answer["deleted_ids"], answer["failed_ids"]) == ([], [call.id, NO_ID])
            placed = client.post("/calls", json=NEW_CALL)
            assert error_of(placed) == (404, "not_found"), "the agent is another workspace's"
    assert snapshot(site, call.id, endpoint.id) == before


def client_may(scope: Scope, operation: Operation) -> bool:
    return scope in (operation.scope, Scope.ADMIN)


def bulk(site: Site) -> Operation:
    return next(each for each in site.api.operations if each.endpoint == "delete_calls")


def shape(answer: Any, ident: str) -> Any:
    """An error without what differs between any two requests."""
    return answer.text.split('"meta"')[0].replace(ident, "ID"), sorted(name for name, _ in answer.headers)


def snapshot(site: Site, call_id: str, endpoint_id: str) -> Any:
    return (
        site.gw.calls.get(call_id),
        site.gw.calls.analysis(call_id),
        site.gw.agents.get("theirs"),
        site.gw.credentials.list(),
        site.gw.numbers.list(),
        site.gw.numbers.assignments(),
        endpoints.load_endpoint(site.gw.services, endpoint_id),
        len(site.carrier.dials),
    )


def test_putting_an_agent_of_a_foreign_id_makes_ones_own(site: Site) -> None:
    mine = site.client(workspace_id=OTHERS)
    assert mine.put("/agents/desk", json=BODIES["put_agent"]).status_code == 200
    assert site.gw.agents.get("desk").connect == Stream("wss://agents.example.com/media")


def test_nothing_is_said_about_other_origins(site: Site, client: Client) -> None:
    for method in ("GET", "OPTIONS"):
        answer = client.send(method, "/calls", headers={"Origin": "https://evil.example"})
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]
    assert client.send("OPTIONS", "/calls").status_code == 405


def test_the_application_that_is_served_has_the_api(site: Site, client: Client) -> None:
    served = create_app(site.gw).test_client()
    bearer = {"Authorization": f"Bearer {client.secret}"}
    assert served.get(f"{PREFIX}/calls", headers=bearer).status_code == 200
    assert served.get(f"{PREFIX}/calls").status_code == 401
