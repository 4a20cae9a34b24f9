"""No id leads a request elsewhere (R91); at its full figure in `tests/proof/test_bringing_numbers.py`."""

from __future__ import annotations

import pytest

from tests.pathproofs import send_hostile_ids


@pytest.mark.parametrize("provider", ["plivo", "telnyx", "twilio"])
def test_no_hostile_id_leads_a_request_off_its_path(provider: str) -> None:
    found = send_hostile_ids(provider, ids=300, seed=91)
    assert found.strays == []
    assert len(found.tried) >= 16
    assert set(found.tried.values()) == {300}
