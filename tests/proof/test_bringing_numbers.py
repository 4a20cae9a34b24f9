"""Accounts and numbers at the figures of R24, R25, R76, R79, R86 and R91. Run by `make proof`; some minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pathproofs import send_hostile_ids
from tests.tlsproofs import BAD, shake_hands

pytestmark = pytest.mark.proof

PROVIDERS = ("plivo", "telnyx", "twilio")


def test_no_bad_certificate_is_accepted_in_fourteen_thousand_handshakes(tmp_path: Path) -> None:
    found = shake_hands(tmp_path, rounds=200)
    print(dict(found.tried), dict(found.endings))
    assert (found.accepted, found.requests) == (0, 0)
    assert found.endings.total() == found.tried.total() == len(BAD) * 12 * 200
    assert all("ALERT" in ending for ending in found.endings)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_hundred_thousand_ids_for_each_verb_lead_nowhere_else(provider: str) -> None:
    found = send_hostile_ids(provider, ids=100_000, seed=91)
    print(dict(found.sent))
    assert found.strays == []
    assert set(found.tried.values()) == {100_000}
