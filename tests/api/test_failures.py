"""What goes wrong on our side is told in one general sentence with the request's id, and in full in the log (R85)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.errors import ConfigurationError, RateLimited, StoreUnavailable, UnsupportedFeature
from tests.api.support import NEW_CALL, Client, Site, error_of

SECRETIVE = "SELECT secret FROM /etc/key"


@pytest.mark.parametrize(
    ("error", "said", "retry"),
    [
        (RuntimeError(SECRETIVE), (500, "internal_error"), None),
        (ConfigurationError(SECRETIVE), (503, "unavailable"), None),
        (StoreUnavailable(SECRETIVE, retry_after_s=7), (503, "unavailable"), "7"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_failure_of_ours_shows_its_id_and_not_its_insides(
    site: Site,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    said: Any,
    retry: str | None,
) -> None:
    def fail(_: Any) -> None:
        raise error

    site.gw.authorize_call = fail
    web = site.app.test_client()
    with caplog.at_level(logging.ERROR):
        answer = web.post(
            "/api/public/v1/calls", json=NEW_CALL, headers={"Authorization": f"Bearer {client.secret}"}
        )
    assert error_of(answer) == said
    assert SECRETIVE not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json["meta"]["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["X-Request-Id"] in caplog.text
    assert SECRETIVE in caplog.text
    assert answer.headers.get("Retry-After") == retry
    assert site.carrier.dials == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnsupportedFeature("twilio", "that"), (422, "validation_error")),
        (RateLimited("slow down", provider="twilio"), (502, "provider_error")),
    ],
)
def test_what_the_carrier_cannot_or_will_not_do_is_told(
    site: Site, client: Client, error: Exception, said: Any
) -> None:
    def fail(_: Any) -> None:
        raise error

    site.carrier.check_dial = fail  # type: ignore[method-assign]
    assert error_of(client.post("/calls", json=NEW_CALL)) == said


def test_every_answer_has_its_own_id(client: Client) -> None:
    ids = {
        client.get(path).headers["X-Request-Id"]
        for path in ("/calls", "/calls", "/nothing", "/calls?limit=0")
    }
    assert len(ids) == 4


def test_a_key_is_in_no_log(site: Site, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("/calls")
        Client(site, (client.secret or "")[:-1] + "x").get("/calls")
        client.post("/calls", json=NEW_CALL)
    assert (client.secret or "")[12:30] not in caplog.text


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("POST", "/calls/x/y/z"), ("GET", "/calls/")]
)
def test_an_unknown_path_is_404(client: Client, method: str, path: str) -> None:
    assert error_of(client.send(method, path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/calls", "GET, POST"),
        ("TRACE", "/calls/stats", "DELETE, GET, PATCH"),
        ("GET", "/calls/x/hangup", "POST"),
        ("POST", "/agents/a/b", "DELETE, GET, PUT"),
        ("DELETE", "/recordings/x", "GET"),
    ],
)
def test_another_method_is_405_and_says_which_there_are(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = client.send(method, path)
    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed
