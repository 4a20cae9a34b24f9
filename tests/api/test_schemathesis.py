"""Thousands of requests made from the OpenAPI document: no server error, no answer that it does not tell of."""

from __future__ import annotations

from tests.api.support import Site
from tests.fuzzing import fuzz

REQUESTS = 2200


def test_every_answer_to_made_up_requests_is_one_that_the_document_tells_of(site: Site) -> None:
    sent = fuzz(site, REQUESTS)
    assert sent.total >= REQUESTS
    described = {
        f"{method.upper()} {path}" for path, methods in site.document["paths"].items() for method in methods
    }
    assert sent.operations.keys() == described
    assert len(site.carrier.dials) > 5, "calls were placed"
    assert {200, 201, 204, 404, 422} <= sent.statuses.keys(), "good requests and bad ones got through"
