"""What one tenant's webhooks and numbers can do to another: nothing (R25, R76); full figures in `tests/proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import Gateway
from gateway.settings import load_settings
from tests.tenantproofs import forge_elsewhere, open_scene, replay_elsewhere, show_every_number

PROVIDERS = ["plivo", "telnyx", "twilio"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_signed_webhook_has_no_effect_on_any_other_route(tmp_path: Path, provider: str) -> None:
    with open_scene(tmp_path, provider, calls=3) as scene:
        done = replay_elsewhere(scene, replays=300, seed=25)
    assert done.effects == []
    assert not [each for each in done.statuses if each.endswith(" 200") and not each.startswith("ours")]
    assert all(each.split()[-1] in ("200", "400", "403", "404", "405") for each in done.statuses), (
        done.statuses
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_another_tenant_signs_about_ones_calls_changes_nothing_of_them(
    tmp_path: Path, provider: str
) -> None:
    with open_scene(tmp_path, provider, calls=3) as scene:
        done = forge_elsewhere(scene, forgeries=150, seed=25)
    assert done.effects == []
    assert done.statuses.total() == 150


def test_no_agent_shows_a_number_that_is_not_its_own(tmp_path: Path) -> None:
    settings = load_settings(
        env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}", public_url="https://a.dev"
    )
    with Gateway.open(settings, background=False) as gw:
        shown = show_every_number(gw, workspaces=3, numbers=5)
    assert shown.foreign == []
    assert shown.pairs == 6 * 30
    assert shown.dials == 6 * 4 + 3 + 6, "every pair that is right, and one choice for each agent"
