"""Whatever somebody changes in the console is named by a check and mended by a repair, or told with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.errors import RequestRefused
from providers.simulator import Fault
from tests.bench import OURS
from tests.ownerkit import ELSEWHERE, OTHER, Owner, open_owner


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One change in a console: `setting` is what a check must name."""

    setting: str
    change: Callable[[Owner], None]
    is_repairable: bool = True


def number(**changes: Any) -> Callable[[Owner], None]:
    return lambda owner: owner.sim.change_number(owner.account, OURS, **changes)


def application(**changes: Any) -> Callable[[Owner], None]:
    return lambda owner: owner.sim.change_application(owner.account, owner.ref_of_ours(), **changes)


def elsewhere(way: str) -> Callable[[Owner], None]:
    return lambda owner: owner.point(OURS, way)


def forbidden(owner: Owner) -> None:
    owner.sim.permit(owner.account, "US", False)


def deleted(owner: Owner) -> None:
    owner.sim.remove_application(owner.account, owner.ref_of_ours())


def left(owner: Owner) -> None:
    owner.sim.remove_number(owner.account, OURS)


GONE: Final = Drift(setting="number", change=left, is_repairable=False)
DRIFTS: Final = {
    "twilio": [
        Drift(setting="voice_url", change=number(voice_url=ELSEWHERE)),
        Drift(setting="voice_method", change=number(voice_method="GET")),
        Drift(setting="status_callback", change=number(status_callback="")),
        Drift(setting="status_callback_method", change=number(status_callback_method="GET")),
        Drift(setting="voice_fallback_url", change=number(voice_fallback_url=ELSEWHERE)),
        Drift(setting="voice_application_sid", change=elsewhere("application")),
        Drift(setting="trunk_sid", change=elsewhere("trunk")),
        Drift(setting="voice_receive_mode", change=number(voice_receive_mode="fax"), is_repairable=False),
        Drift(setting="address_sid", change=number(address_requirements="any"), is_repairable=False),
        Drift(setting="low_risk_numbers_enabled US", change=forbidden, is_repairable=False),
        GONE,
    ],
    "telnyx": [
        Drift(setting="webhook_event_url", change=application(webhook_event_url=ELSEWHERE)),
        Drift(setting="webhook_event_failover_url", change=application(webhook_event_failover_url=None)),
        Drift(setting="webhook_api_version", change=application(webhook_api_version="1")),
        Drift(setting="active", change=application(active=False)),
        Drift(
            setting="outbound.outbound_voice_profile_id",
            change=application(outbound={"outbound_voice_profile_id": None}),
        ),
        Drift(setting="connection_id", change=elsewhere("application")),
        Drift(setting="application", change=deleted),
        Drift(
            setting="call_forwarding",
            change=number(call_forwarding={"call_forwarding_enabled": True, "forwards_to": "+14155550123"}),
            is_repairable=False,
        ),
        Drift(setting="status", change=number(status="port-out-pending"), is_repairable=False),
        Drift(setting="whitelisted_destinations US", change=forbidden, is_repairable=False),
        GONE,
    ],
    "plivo": [
        Drift(setting="answer_url", change=application(answer_url=ELSEWHERE)),
        Drift(setting="answer_method", change=application(answer_method="GET")),
        Drift(setting="hangup_url", change=application(hangup_url=None)),
        Drift(setting="fallback_answer_url", change=application(fallback_answer_url="")),
        Drift(setting="app_id", change=elsewhere("application")),
        Drift(setting="app_id", change=number(app_id="")),
        Drift(setting="application", change=deleted),
        Drift(setting="enabled", change=application(enabled=False), is_repairable=False),
        Drift(setting="active", change=number(active=False), is_repairable=False),
        GONE,
    ],
}
CASES: Final = [(provider, drift) for provider, drifts in DRIFTS.items() for drift in drifts]


@pytest.fixture
def assigned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Owner]:
    """An account whose number serves an agent; `request.param`: of which carrier."""
    with open_owner(request.param, tmp_path, sweeps=False, allowed_countries=("US",)) as owner:
        owner.bring()
        owner.gw.numbers.assign(OURS, agent="echo", inbound=True, outbound=True)
        yield owner


@pytest.mark.parametrize(
    ("assigned", "drift"),
    CASES,
    indirect=["assigned"],
    ids=[f"{provider}-{drift.setting}-{index}" for index, (provider, drift) in enumerate(CASES)],
)
def test_a_change_in_the_console_is_named_and_mended(assigned: Owner, drift: Drift) -> None:
    owner, kept = assigned, assigned.gw.numbers.get(OURS).before
    assert owner.gw.numbers.check(OURS).is_fine
    drift.change(owner)
    written = len(owner.writes())
    check = owner.gw.numbers.check(OURS)
    named = {each.setting: each for each in check.differences}
    assert drift.setting in named, named
    assert named[drift.setting].is_repairable is drift.is_repairable
    assert drift.is_repairable or named[drift.setting].advice

    dry = owner.gw.numbers.repair(OURS, dry_run=True)
    assert dry.found == dry.left == check.differences
    assert len(owner.writes()) == written, "a dry run only looks"
    if drift is GONE:
        return
    repaired = owner.gw.numbers.repair(OURS)
    assert [each for each in repaired.left if each.is_repairable] == []
    assert (drift.setting in {each.setting for each in repaired.left}) is not drift.is_repairable
    assert owner.gw.numbers.get(OURS).before == kept, "what was there before us is still known"
    if drift.is_repairable:
        assert owner.gw.numbers.check(OURS).is_fine
        assert owner.rings()[1].agent_id == "echo"


def test_a_repair_that_fails_is_repeated(owner: Owner) -> None:
    before = owner.stands()
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", inbound=True)
    owner.point(OURS, "trunk")
    owner.sim.faults.api(owner.provider, "number_write", Fault.SERVER_ERROR_BEFORE)
    with pytest.raises(RequestRefused, match="does not have what was set"):
        owner.gw.numbers.repair(OURS)
    assert owner.gw.numbers.repair(OURS).is_fine
    assert owner.rings()[1].agent_id == "echo"
    owner.gw.numbers.unassign(OURS)
    assert owner.stands() == before


def test_all_numbers_are_checked_together_and_one_that_fails_stops_no_other(owner: Owner) -> None:
    owner.bring()
    for e164 in (OURS, OTHER):
        owner.gw.numbers.assign(e164, agent="echo", inbound=True)
    owner.sim.remove_number(owner.account, OURS)
    seen: list[tuple[int, int]] = []
    checks = owner.gw.numbers.check_all(on_progress=lambda done, total: seen.append((done, total)))
    assert {each.number.e164: each.is_fine for each in checks} == {OURS: False, OTHER: True}
    assert seen == [(1, 2), (2, 2)]
    owner.sim.faults.api(owner.provider, "numbers", Fault.SERVER_ERROR_BEFORE)
    checks = owner.gw.numbers.check_all()
    assert [bool(each.error) for each in checks].count(True) == 1


def test_a_number_that_is_not_assigned_is_not_repaired(owner: Owner) -> None:
    owner.bring()
    owner.point(OURS, "trunk")
    theirs = owner.stands()
    assert owner.gw.numbers.repair(OURS).is_fine
    assert owner.stands() == theirs
