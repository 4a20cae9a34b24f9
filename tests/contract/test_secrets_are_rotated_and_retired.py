"""A new secret lives beside the old one, then alone: no call is lost on the way, and the old one is dead after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, RequestRefused
from providers.simulator import Answer
from tests.bench import CALLEE, OURS
from tests.ownerkit import Owner, open_owner


@pytest.fixture(params=["plivo", "twilio"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """An account with a token that signs its webhooks, assigned in both directions."""
    with open_owner(request.param, tmp_path, sweeps=False) as opened:
        opened.bring()
        opened.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
        yield opened


def second_token(owner: Owner) -> tuple[str, Callable[[], object]]:
    """Make a second token in the console; return it, and what makes it the only one there."""
    face: Any = owner.sim.face(owner.provider)
    if owner.provider == "twilio":
        return face.add_secondary_token(owner.account), lambda: face.rotate_token(owner.account)
    secrets = owner.account.secrets
    secrets["auth_token_secondary"] = "b" * 40

    def promote() -> None:
        secrets["auth_token"] = secrets.pop("auth_token_secondary")

    return secrets["auth_token_secondary"], promote


def calls_work(owner: Owner) -> bool:
    """Whether a call comes in, and another goes out."""
    owner.sim.script(CALLEE, Answer(talk_s=2))
    _, came = owner.rings()
    went = owner.bench.ended(owner.bench.place())
    owner.bench.settled()
    refused = [each for each in owner.bench.web.delivered if each.status >= 400]
    return came.agent_id == "echo" and went.status == "completed" and not refused


def test_calls_go_on_at_every_moment_of_a_rotation(owner: Owner) -> None:
    new, promote = second_token(owner)
    rotated = owner.gw.credentials.rotate(owner.provider, auth_token=new)
    assert new not in repr(rotated)
    assert calls_work(owner)
    promote()
    assert calls_work(owner), "the old token is dead at the carrier, and ours was not retired yet"
    retired = owner.gw.credentials.retire(owner.provider)
    assert retired.secrets["auth_token"] == new
    assert "auth_token_secondary" not in retired.secrets
    assert calls_work(owner)


def test_a_webhook_signed_with_a_retired_token_is_refused(owner: Owner) -> None:
    old = owner.account.secrets["auth_token"]
    new, promote = second_token(owner)
    owner.gw.credentials.rotate(owner.provider, auth_token=new)
    promote()
    owner.gw.credentials.retire(owner.provider)
    owner.account.secrets["auth_token"] = old  # whoever signs now has the old one
    owner.bench.ring()
    owner.bench.until(lambda: owner.bench.web.delivered)
    owner.bench.settled()
    assert {each.status for each in owner.bench.web.delivered} == {403}
    assert not owner.gw.calls.list().calls


def test_a_new_token_that_the_carrier_refuses_changes_nothing(owner: Owner) -> None:
    before = owner.gw.credentials.get(owner.provider).secrets
    with pytest.raises(RequestRefused, match="nothing was changed"):
        owner.gw.credentials.rotate(owner.provider, auth_token="c" * len(before["auth_token"]))
    assert owner.gw.credentials.get(owner.provider).secrets == before
    with pytest.raises(Conflict, match="no rotation is under way"):
        owner.gw.credentials.retire(owner.provider)
    assert calls_work(owner)


def test_an_api_key_is_replaced_at_once_for_webhooks_do_not_hang_on_it(tmp_path: Path) -> None:
    with open_owner("telnyx", tmp_path, sweeps=False) as owner:
        owner.bring()
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
        old = owner.account.secrets["api_key"]
        owner.account.secrets["api_key"] = new = old[:-4] + "ABCD"
        owner.gw.credentials.rotate("telnyx", api_key=new)
        assert owner.gw.credentials.get("telnyx").secrets["api_key"] == new
        assert calls_work(owner)
