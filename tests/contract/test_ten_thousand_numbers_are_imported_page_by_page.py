"""An account of 10,000 numbers is read page by page to its end, each page once, and no number is asked for alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.importing import Verdict
from gateway.models import OperationState
from tests.bench import OURS
from tests.ownerkit import open_owner

COUNT = 10_000
PAGE = {"plivo": 20, "telnyx": 250, "twilio": 200}


@pytest.mark.parametrize("provider", sorted(PAGE))
def test_every_number_is_taken_in_with_a_request_a_page(provider: str, tmp_path: Path) -> None:
    with open_owner(provider, tmp_path, sweeps=False) as owner:
        numbers = owner.sim.add_numbers(owner.account, COUNT, prefix="+141588", digits=11)
        credential = owner.gw.credentials.add(provider, secrets=dict(owner.account.secrets))
        before = len(owner.asked())
        begun = owner.gw.operations.start_import(credential.id, claim=True)
        seen: list[int] = []
        done = owner.gw.operations.perform(begun, lambda operation: seen.append(operation.done))
        assert (done.state, done.done, done.total) == (OperationState.DONE, COUNT + 2, COUNT + 2)
        assert seen == sorted(seen), "progress goes one way"
        assert len(seen) > 50
        asked = owner.asked()[before:]
        pages = [
            each
            for each in asked
            if "limit" in str(each["parameters"]).lower() or "page" in str(each["parameters"]).lower()
        ]
        most = -(-(COUNT + 2) // PAGE[provider]) + 1
        assert len(pages) <= most, (len(pages), most)
        assert len(asked) - len(pages) <= 5, "what numbers point at is read once for many"
        assert owner.writes() == []
        held = owner.gw.numbers.page(limit=1)
        assert held.total == COUNT + 2
        assert owner.gw.numbers.get(numbers[-1]).e164 == numbers[-1]
        again = owner.gw.numbers.import_from(credential.id, only=[OURS])
        assert [each.verdict for each in again] == [Verdict.ALREADY_HERE]
