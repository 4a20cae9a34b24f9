"""One idempotency key is one call, however many requests with it come at once (R9)."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.api.support import NEW_CALL, Client, Site

THREADS = 16
KEYS = 12


def test_of_many_requests_at_once_with_one_key_one_dials(site: Site, client: Client) -> None:
    barriers = [threading.Barrier(THREADS) for _ in range(KEYS)]

    def race(worker: int) -> list[Any]:
        answers = []
        for number, barrier in enumerate(barriers):
            barrier.wait(60)
            body = {**NEW_CALL, "phone_number": f"+1415555{1000 + number}"}
            key = {"X-Idempotency-Key": f"key {number}"}
            answers.append(client.post("/calls", json=body, headers=key))
        return answers

    _ = site.document
    with ThreadPoolExecutor(THREADS) as pool:
        rounds = list(zip(*pool.map(race, range(THREADS)), strict=True))
    for answers in rounds:
        assert Counter(answer.status_code for answer in answers) == {201: THREADS}
        assert len({answer.json["id"] for answer in answers}) == 1
    assert len(site.carrier.dials) == KEYS


def test_of_many_requests_with_one_key_and_different_bodies_one_is_taken(site: Site, client: Client) -> None:
    barrier = threading.Barrier(THREADS)
    _ = site.document

    def race(worker: int) -> int:
        barrier.wait(60)
        body = {**NEW_CALL, "variables": {"worker": str(worker)}}
        return client.post("/calls", json=body, headers={"X-Idempotency-Key": "k"}).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = Counter(pool.map(race, range(THREADS)))
    assert statuses == {201: 1, 409: THREADS - 1}
    assert len(site.carrier.dials) == 1


def test_a_key_belongs_to_its_workspace(site: Site, client: Client) -> None:
    header = {"X-Idempotency-Key": "k"}
    assert client.post("/calls", json=NEW_CALL, headers=header).status_code == 201
    stranger = site.client(workspace_id="tenant-b")
    assert stranger.post("/calls", json=NEW_CALL, headers=header).status_code == 404, (
        "their agent, not our call"
    )


def test_a_key_of_a_deleted_call_places_no_second_one(site: Site, client: Client) -> None:
    call = site.put_call(idempotency_key="k")
    assert client.delete(f"/calls/{call.id}").status_code == 204
    answer = client.post("/calls", json=NEW_CALL, headers={"X-Idempotency-Key": "k"})
    assert (answer.status_code, site.carrier.dials) == (409, [])


def test_what_was_refused_may_be_sent_again_under_its_key(site: Site, client: Client) -> None:
    header = {"X-Idempotency-Key": "k"}
    wrong = client.post("/calls", json={**NEW_CALL, "phone_number": "911"}, headers=header)
    assert wrong.status_code == 422
    assert client.post("/calls", json=NEW_CALL, headers=header).status_code == 201
