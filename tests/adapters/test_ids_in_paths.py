"""No id leads a request elsewhere (R91); at its full figure in `tests/proof/test_bringing_numbers.py`."""

from __future__ import annotations

import pytest

from gateway.errors import ProviderUnavailable
from providers.plivo import applications as plivo
from providers.telnyx import applications as telnyx
from tests.pathproofs import send_hostile_ids


@pytest.mark.parametrize("provider", ["plivo", "telnyx", "twilio"])
def test_no_hostile_id_leads_a_request_off_its_path(provider: str) -> None:
    found = send_hostile_ids(provider, ids=300, seed=91)
    assert found.strays == []
    assert len(found.tried) >= 16
    assert set(found.tried.values()) == {300}


@pytest.mark.parametrize("ident", ["../../Number", "1/../2", "1?a=b", "", None, "1#"])
def test_an_application_with_an_id_that_is_none_is_not_asked_for(ident: str | None) -> None:
    with pytest.raises(ProviderUnavailable, match="without an application"):
        plivo.read_application({"app_id": ident, "app_name": "gateway-x"})
    with pytest.raises(ProviderUnavailable, match="without an application"):
        telnyx.read_application({"id": ident, "application_name": "gateway-x"})
