"""A million requests made from the OpenAPI document: no server error, no answer that it does not tell of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.store import Store
from tests.api.support import Site
from tests.fuzzing import fuzz

pytestmark = pytest.mark.proof

REQUESTS = int(os.environ.get("PROOF_REQUESTS", "1000000"))
PARTS = 10  # they can run side by side: pytest -n


@pytest.mark.parametrize("part", range(PARTS))
def test_every_answer_to_a_million_requests_is_one_that_the_document_tells_of(
    tmp_path: Path, part: int
) -> None:
    template = tmp_path / "template.db"
    store = Store.open(f"sqlite:///{template}")
    store.upgrade()
    store.close()
    site = Site(tmp_path, template)
    try:
        sent = fuzz(site, REQUESTS // PARTS, chunk=500, first_seed=1000 * part)
    finally:
        site.gw.close()
    print(sent)
    assert sent.total >= REQUESTS // PARTS
