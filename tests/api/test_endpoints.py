"""Webhook endpoints through the API: secrets are shown once."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints import live_secrets
from gateway.store import endpoints as stored
from tests.api.support import NO_ID, Client, Site, error_of, fields_of

URL = "https://93.184.216.34/events"


def made(client: Client, **said: Any) -> dict[str, Any]:
    answer = client.post("/webhook-endpoints", json={"url": URL, **said})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def secrets_of(site: Site, ident: str) -> tuple[str, ...]:
    found = stored.find_sealed_endpoint(site.gw.services.store, ident)
    assert found is not None
    return live_secrets(site.gw.services, found, site.clock())


def test_a_secret_is_shown_when_it_is_made_and_never_again(site: Site, client: Client) -> None:
    endpoint = made(client, event_types=["call.ended", "call.failed"])
    secret = endpoint.pop("secret")
    assert secrets_of(site, endpoint["id"]) == (secret,)
    assert client.get(f"/webhook-endpoints/{endpoint['id']}").json == endpoint
    listed = client.get("/webhook-endpoints")
    assert (listed.json["data"], secret in listed.text) == ([endpoint], False)


def test_a_rotation_shows_the_new_secret_and_lets_the_old_one_sign_on(site: Site, client: Client) -> None:
    endpoint = made(client)
    path = f"/webhook-endpoints/{endpoint['id']}/rotate"
    second = client.post(path, json={}).json["secret"]
    assert secrets_of(site, endpoint["id"]) == (second, endpoint["secret"])
    site.clock.ahead(hours=25)
    assert secrets_of(site, endpoint["id"]) == (second,)
    third = client.post(path, json={"overlap_hours": 0}).json["secret"]
    assert secrets_of(site, endpoint["id"]) == (third,)


def test_whole_numbers_are_sent_to_who_asks_for_them(client: Client) -> None:
    shy, frank = made(client), made(client, include_numbers=True)
    assert (shy["include_numbers"], frank["include_numbers"]) == (False, True)
    path = f"/webhook-endpoints/{frank['id']}"
    assert client.patch(path, json={"event_types": ["number.drifted"]}).json["include_numbers"] is True
    assert client.patch(path, json={"include_numbers": False}).json["include_numbers"] is False
    assert fields_of(client.patch(path, json={"include_numbers": "yes"}))["include_numbers"]


def test_an_endpoint_is_changed_switched_and_deleted(client: Client) -> None:
    path = f"/webhook-endpoints/{made(client)['id']}"
    assert client.patch(path, json={"event_types": ["call.ended"]}).json["event_types"] == ["call.ended"]
    off = client.patch(path, json={"is_enabled": False}).json
    assert (off["is_enabled"], off["event_types"]) == (False, ["call.ended"])
    assert off["disabled_reason"]
    on = client.patch(path, json={"is_enabled": True, "url": f"{URL}/2"}).json
    assert (on["is_enabled"], on["disabled_reason"], on["url"]) == (True, None, f"{URL}/2")
    assert client.delete(path).status_code == 204
    for answer in (client.get(path), client.delete(path), client.post(f"{path}/rotate", json={})):
        assert error_of(answer) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 5}, "url"),
        ({"url": "http://93.184.216.34/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": URL, "event_types": ["call.started"]}, "event_types"),
        ({"url": URL, "event_types": "call.ended"}, "event_types"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
    ids=str,
)
def test_a_wrong_endpoint_is_refused(client: Client, body: Any, field: str) -> None:
    assert list(fields_of(client.post("/webhook-endpoints", json=body))) == [field]


def test_a_wrong_overlap_is_refused(client: Client) -> None:
    for hours in (-1, 721, "24", 1.5):
        answer = client.post(f"/webhook-endpoints/{NO_ID}/rotate", json={"overlap_hours": hours})
        assert list(fields_of(answer)) == ["overlap_hours"]
