"""Accounts and numbers at the figures of R24, R25, R76, R79, R86 and R91. Run by `make proof`; some minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import Gateway
from gateway.settings import load_settings
from tests.pathproofs import send_hostile_ids
from tests.tenantproofs import forge_elsewhere, open_scene, replay_elsewhere, show_every_number
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


@pytest.mark.parametrize("provider", PROVIDERS)
def test_ten_thousand_replays_have_no_effect_elsewhere(tmp_path: Path, provider: str) -> None:
    with open_scene(tmp_path, provider, calls=50) as scene:
        done = replay_elsewhere(scene, replays=10_000, seed=25)
        forged = forge_elsewhere(scene, forgeries=10_000, seed=25)
    print(dict(done.statuses), dict(forged.statuses))
    assert (done.effects, forged.effects) == ([], [])
    assert not [each for each in done.statuses if each.endswith(" 200") and not each.startswith("ours")]


def test_no_foreign_number_is_shown_in_ten_thousand_pairs(tmp_path: Path) -> None:
    settings = load_settings(
        env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}", public_url="https://a.dev"
    )
    with Gateway.open(settings, background=False) as gw:
        shown = show_every_number(gw, workspaces=10, numbers=25)
    print(shown.pairs, shown.dials, dict(shown.refused))
    assert shown.foreign == []
    assert shown.pairs == 10_000
    assert shown.dials == 20 * 20 + 10 + 20
