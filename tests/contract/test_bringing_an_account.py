"""An account is brought, its numbers imported and pointed at an agent, kept pointed and put back, on each carrier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import Agent, Gateway, Stream, registry
from gateway.errors import RequestRefused
from gateway.models import SetupState
from gateway.settings import load_settings
from providers.simulator import Account, Simulator

OURS, OTHER = "+14155550100", "+14155550101"


@dataclass(kw_only=True)
class Person:
    """Somebody with an account at one carrier, and a gateway with nothing in it."""

    gw: Gateway
    sim: Simulator
    account: Account
    provider: str

    def bring(self) -> Any:
        return self.gw.credentials.add(self.provider, secrets=dict(self.account.secrets))

    def settings(self, number: str = OURS) -> dict[str, Any]:
        [credential] = self.gw.credentials.list()
        adapter = self.gw.services.provider_of(self.gw.credentials.get(credential.id))
        found = adapter.find_number(number)
        assert found is not None
        return dict(found.settings)


@pytest.fixture(params=sorted(registry.BUILT_IN))
def person(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Person]:
    name = request.param
    with Simulator(speed=20) as sim:
        account = sim.add_account(name)
        for number in (OURS, OTHER):
            sim.add_number(account, number)
        settings = load_settings(
            env={},
            database_url=f"sqlite:///{tmp_path / 'gateway.db'}",
            public_url="https://gw.example.com",
            base_urls={name: sim.base_url(name)},
        )
        with Gateway.open(settings, background=False) as gw:
            gw.agents.put(Agent(id="support", connect=Stream("wss://agents.example.com/media")))
            yield Person(gw=gw, sim=sim, account=account, provider=name)


def test_an_account_is_brought_used_and_left_as_it_was(person: Person) -> None:
    gw = person.gw
    person.bring()
    verdicts = {each.e164: each.verdict for each in gw.numbers.import_from(person.provider)}
    assert verdicts == {OURS: "imported", OTHER: "imported"}
    before, untouched = person.settings(), person.settings(OTHER)
    gw.numbers.assign(OURS, agent="support", inbound=True, outbound=True)
    assert gw.numbers.get(OURS).setup_state is SetupState.APPLIED
    assert person.settings() != before
    assert person.settings(OTHER) == untouched
    found = gw.numbers.check(OURS)
    assert [each for each in found.differences if each.is_repairable] == []
    assert gw.numbers.repair(OURS, dry_run=True).left == found.differences
    gw.numbers.unassign(OURS)
    assert person.settings() == before
    gw.credentials.remove(person.provider)
    assert gw.credentials.list() == []


def test_a_change_of_the_public_url_is_repaired_and_still_put_back(person: Person) -> None:
    gw = person.gw
    person.bring()
    gw.numbers.import_from(person.provider)
    before = person.settings()
    gw.numbers.assign(OURS, agent="support", inbound=True)
    gw.services.urls = type(gw.services.urls)("https://new.example.com", gw.services.urls.prefix)
    [found] = gw.numbers.check_all()
    assert any(each.is_repairable for each in found.differences)
    done = gw.operations.perform(gw.operations.start_repair(claim=True))
    assert (done.state, done.done, done.total) == ("done", 1, 1)
    [(_, result)] = gw.operations.results(done.id)
    assert result.verdict in ("repaired", "left"), result
    assert [each for each in gw.numbers.check(OURS).differences if each.is_repairable] == []
    gw.numbers.unassign(OURS)
    assert person.settings() == before


def test_secrets_that_the_carrier_refuses_are_not_stored(person: Person) -> None:
    wrong = dict(person.account.secrets)
    name = "api_key" if "api_key" in wrong else "auth_token"
    wrong[name] = wrong[name][:4] + wrong[name][4:][::-1]
    with pytest.raises(RequestRefused, match="the account was not added: the carrier refuses these secrets"):
        person.gw.credentials.add(person.provider, secrets=wrong)
    assert person.gw.credentials.list() == []
