"""Accounts and numbers at the figures of R24, R25, R76, R79, R86 and R91. Run by `make proof`; some minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import Gateway
from gateway.settings import load_settings
from tests.pathproofs import send_hostile_ids
from tests.secretproofs import rekey_under_load, rotate_under_load, search_files, swap_rows
from tests.tenantproofs import forge_elsewhere, open_scene, replay_elsewhere, show_every_number
from tests.tlsproofs import BAD, shake_hands

pytestmark = pytest.mark.proof

PROVIDERS = ("plivo", "telnyx", "twilio")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_ten_thousand_webhooks_pass_while_a_secret_is_swapped(tmp_path: Path, provider: str) -> None:
    found = rotate_under_load(tmp_path, provider, webhooks=10_000, workers=2)
    print(found)
    assert set(found.statuses) == {200}
    assert found.statuses.total() >= 10_000
    assert max(found.dead_after_s) <= 1.0
    assert found.late == 0


def test_ten_thousand_rows_are_sealed_anew_under_load_and_by_a_run_that_was_killed(tmp_path: Path) -> None:
    found = rekey_under_load(tmp_path, rows=10_000, readers=2)
    print(found)
    assert (found.failures, found.failed) == ((), [])
    assert found.resealed + found.unchanged == found.open_alone == 10_000
    assert found.unchanged >= found.killed_at >= 4_000
    assert min(found.read["webhook"], found.read["dial"]) > 100


def test_a_thousand_swaps_of_two_rows_are_noticed(tmp_path: Path) -> None:
    assert swap_rows(tmp_path, swaps=1000, seed=79) == (1000, 0)


def test_no_file_holds_a_secret(tmp_path: Path) -> None:
    searched = search_files(tmp_path)
    print(searched)
    assert searched.found == []
    assert min(searched.controls["gateway.db-wal"], searched.controls["backup.db"]) >= 3


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
