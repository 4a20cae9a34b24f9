"""A number is put back although somebody gave it another name at its carrier meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway import Agent, Gateway, Stream
from gateway.models import SetupState
from providers.simulator import Simulator

OURS = "+14155550100"
OLD = "https://old.example.com/calls"


@pytest.mark.parametrize(
    ("provider", "renamed"),
    [
        ("plivo", {"alias": "Front desk"}),
        ("telnyx", {"customer_reference": "Front desk"}),
        ("twilio", {"friendly_name": "Front desk"}),
    ],
)
def test_a_number_with_a_new_name_is_put_back_and_keeps_the_name(
    tmp_path: Path, provider: str, renamed: dict[str, Any]
) -> None:
    with Simulator() as sim:
        account = sim.add_account(provider)
        sim.add_number(account, OURS)
        sim.point(OURS, OLD)
        with Gateway.open(
            database_url=f"sqlite:///{tmp_path / 'gateway.db'}",
            public_url="http://127.0.0.1:1",
            base_urls={provider: sim.base_url(provider)},
            background=False,
        ) as gateway:
            gateway.credentials.add(provider, secrets=account.secrets)
            gateway.agents.put(Agent(id="support", connect=Stream("wss://agents.example.com/media")))
            gateway.numbers.import_from(provider)
            gateway.numbers.assign(OURS, agent="support", inbound=True)
            assert sim.asks(OURS).startswith("http://127.0.0.1:1/voice/")
            sim.change_number(account, OURS, **renamed)
            change = gateway.numbers.unassign(OURS)
        assert (change.number.setup_state, change.notes) == (SetupState.NONE, ())
        assert sim.asks(OURS) == OLD
        assert sim.number_settings(account, OURS).items() >= renamed.items()
