"""A number that points at another gateway is refused, unless it is taken over; then it can be given back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import Agent, Gateway, Stream
from gateway.errors import Conflict
from gateway.importing import Verdict
from gateway.settings import load_settings
from tests.bench import OURS, PROVIDERS
from tests.ownerkit import OTHER, Owner


def rival(owner: Owner, tmp_path: Path) -> Gateway:
    """Open another installation that has the same account; its agent takes the number's calls first."""
    settings = load_settings(
        env={},
        database_url=f"sqlite:///{tmp_path / 'rival.db'}",
        public_url="https://rival.example.net",
        base_urls={name: owner.sim.base_url(name) for name in PROVIDERS},
    )
    gateway = Gateway.open(settings, background=False)
    gateway.agents.put(Agent(id="theirs", connect=Stream("wss://rival.example.net/media")))
    gateway.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    gateway.numbers.import_from(owner.provider)
    gateway.numbers.assign(OURS, agent="theirs", inbound=True)
    return gateway


def test_a_claimed_number_is_refused_and_taken_only_on_demand(owner: Owner, tmp_path: Path) -> None:
    with rival(owner, tmp_path) as other:
        theirs = owner.sim.number_settings(owner.account, OURS)
        credential = owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
        owner.gw.numbers.add(OURS, credential=credential.id)
        with pytest.raises(Conflict, match="--take-over") as refused:
            owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
        assert "rival.example.net" in str(refused.value)
        assert owner.sim.number_settings(owner.account, OURS) == theirs
        assert owner.gw.numbers.assignments() == []

        owner.gw.numbers.assign(OURS, agent="echo", inbound=True, take_over=True)
        assert owner.rings()[1].agent_id == "echo"

        assert not other.numbers.check(OURS).is_fine, "the rival sees that it lost the number"
        with pytest.raises(Conflict, match="--take-over"):
            other.numbers.repair(OURS)
        assert owner.rings()[1].agent_id == "echo"

        owner.gw.numbers.unassign(OURS)
        assert other.numbers.check(OURS).is_fine, "what was there before us is the rival's again"
        owner.bench.settled()


def test_an_import_leaves_out_what_is_claimed_and_says_by_whom(owner: Owner, tmp_path: Path) -> None:
    with rival(owner, tmp_path):
        owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
        found = {each.e164: each for each in owner.gw.numbers.import_from(owner.provider)}
        assert {e164: each.verdict for e164, each in found.items()} == {
            OURS: Verdict.CLAIMED,
            OTHER: Verdict.IMPORTED,
        }
        assert "rival.example.net" in found[OURS].points_at
        assert [each.e164 for each in owner.gw.numbers.list()] == [OTHER]
        taken = owner.gw.numbers.import_from(owner.provider, only=[OURS], take_over=True)
        assert [each.verdict for each in taken] == [Verdict.IMPORTED]
