"""An import says of each number what became of it and where it goes now; it changes nothing at the carrier."""

from __future__ import annotations

import pytest

from gateway.errors import NotFound, ProviderUnavailable
from gateway.importing import Verdict
from providers.simulator import Fault
from tests.bench import OURS
from tests.ownerkit import OTHER, Owner

MUTE, GONE, AWAY = "+14155550177", "+14155550188", "+14155550199"


def verdicts(found: object) -> dict[str, Verdict]:
    return {each.e164: each.verdict for each in found}  # type: ignore[attr-defined]


def test_each_number_is_told_what_became_of_it_and_where_it_goes(owner: Owner) -> None:
    owner.hold(MUTE, voice=False)
    owner.hold(AWAY, way="trunk")
    before = owner.stands()
    first = owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    found = owner.gw.numbers.import_from(first.id)
    assert verdicts(found) == {
        OURS: Verdict.IMPORTED,
        OTHER: Verdict.IMPORTED,
        AWAY: Verdict.IMPORTED,
        MUTE: Verdict.NO_VOICE,
    }
    points_at = {each.e164: each.points_at for each in found}
    assert "elsewhere.example.net" in points_at[OURS]
    assert "trunk" in points_at[AWAY] or "connection" in points_at[AWAY]
    again = owner.gw.numbers.import_from(first.id)
    assert verdicts(again) == {
        OURS: Verdict.ALREADY_HERE,
        OTHER: Verdict.ALREADY_HERE,
        AWAY: Verdict.ALREADY_HERE,
        MUTE: Verdict.NO_VOICE,
    }
    assert {each.e164 for each in owner.gw.numbers.list()} == {OURS, OTHER, AWAY}
    assert owner.stands() == before
    assert owner.writes() == []


def test_a_number_of_another_workspace_is_told_and_left(owner: Owner) -> None:
    owner.bring(name="theirs", workspace_id="theirs")
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    found = owner.gw.numbers.import_from(owner.provider)
    assert verdicts(found) == {OURS: Verdict.IN_ANOTHER_WORKSPACE, OTHER: Verdict.IN_ANOTHER_WORKSPACE}
    assert owner.gw.numbers.list() == []
    assert len(owner.gw.numbers.list(workspace_id="theirs")) == 2


def test_a_dry_run_says_the_same_and_stores_nothing(owner: Owner) -> None:
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    dry = owner.gw.numbers.import_from(owner.provider, dry_run=True)
    assert owner.gw.numbers.list() == []
    assert owner.gw.numbers.import_from(owner.provider) == dry
    assert owner.writes() == []


def test_only_the_named_numbers_are_taken_and_a_wrong_one_is_told(owner: Owner) -> None:
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    found = owner.gw.numbers.import_from(owner.provider, only=[OURS, GONE, OURS])
    assert verdicts(found) == {OURS: Verdict.IMPORTED, GONE: Verdict.ABSENT}
    assert [each.e164 for each in owner.gw.numbers.list()] == [OURS]


def test_a_list_that_breaks_off_is_told_and_taken_up_again(owner: Owner) -> None:
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    owner.sim.faults.api(owner.provider, "numbers", Fault.SERVER_ERROR_BEFORE)
    with pytest.raises(ProviderUnavailable):
        owner.gw.numbers.import_from(owner.provider)
    assert set(verdicts(owner.gw.numbers.import_from(owner.provider)).values()) == {Verdict.IMPORTED}


def test_an_account_that_is_not_here_has_no_numbers(owner: Owner) -> None:
    with pytest.raises(NotFound, match="credential"):
        owner.gw.numbers.import_from(owner.provider)
