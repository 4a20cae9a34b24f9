"""A dial through the SDK and the real transport, against a server that misbehaves: one POST, and the right class."""

from __future__ import annotations

import pytest

from gateway.interface import DialResult
from gateway.transport import OneShotTransport
from providers.plivo import PlivoProvider
from tests.adapters.plivo.support import DIAL, SECRETS
from tests.faultserver import WIRE_FAULTS, FaultServer, reply

API = "https://api.plivo.com"


def dialed(server: FaultServer) -> DialResult:
    transport = OneShotTransport(
        [API], rewrites={API: server.url}, connect_timeout_s=1, total_timeout_s=0.3, max_body_bytes=100_000
    )
    return PlivoProvider(SECRETS, transport=transport).dial(DIAL).result


@pytest.mark.parametrize("fault", WIRE_FAULTS)
def test_a_dial_whose_answer_breaks_is_unknown_after_one_post(fault: str) -> None:
    with FaultServer(WIRE_FAULTS[fault]) as server:
        assert dialed(server) is DialResult.UNKNOWN
        assert len(server.posts) == 1


@pytest.mark.parametrize(
    "status", [200, 204, 307, 308, 400, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504]
)
def test_an_answer_that_proves_nothing_is_unknown_after_one_post(status: int) -> None:
    with FaultServer(reply(status, b"<html>", ("Location", "/v1/elsewhere"))) as server:
        assert dialed(server) is DialResult.UNKNOWN
        assert len(server.posts) == 1
