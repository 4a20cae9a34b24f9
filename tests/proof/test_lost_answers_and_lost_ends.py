"""R6 and R45 in numbers: lost answers, half of them really placed, and ends that nobody told. Run by `make proof`."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from gateway.models import AttemptState
from providers.simulator import Answer, Busy, Fault, NoAnswer, Unreachable
from tests.bench import PROVIDERS, Bench, open_bench
from tests.kills import people
from tests.wires import Clock

pytestmark = pytest.mark.proof

DIALS = 500
CALLS = 340  # three times that is R45's thousand
LOOKS_S = (6, 16, 61, 301, 901)
PATIENCE_S = 60.0


def unhurried(bench: Bench) -> None:
    """No rate limit of the carrier: what is measured is not its queue."""
    bench.gw.services.clock = Clock()
    bench.sim.face("twilio").habits.calls_per_second = None
    bench.sim.face("plivo").habits.calls_per_second = 10_000


def sweep_all(bench: Bench) -> None:
    while bench.gw.sweep().total:
        pass


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_placed_call_is_found_and_the_rest_is_reported(provider: str, tmp_path: Path) -> None:
    chance = random.Random(6)
    with open_bench(provider, tmp_path, sweeps=False, speed=100) as bench:
        unhurried(bench)
        bench.sim.faults.webhooks(provider, drop=True, times=1_000_000)
        placed: dict[str, bool] = {}
        for person in islice(people(), DIALS):
            bench.sim.script(person, Busy(after_s=1))
            fault = chance.choice((Fault.SERVER_ERROR_AFTER, Fault.SERVER_ERROR_BEFORE))
            bench.sim.faults.api(provider, "dial", fault)
            placed[bench.place(person).id] = fault is Fault.SERVER_ERROR_AFTER
        bench.sim.wait(lambda: all(call.outcome for call in bench.sim.calls()), PATIENCE_S)
        for seconds in LOOKS_S:
            bench.gw.services.clock.ahead(seconds=seconds)  # type: ignore[attr-defined]
            sweep_all(bench)
        wrong = []
        counted: Counter[tuple[bool, str, str]] = Counter()
        for call_id, was_placed in placed.items():
            call, [attempt] = bench.gw.calls.get(call_id), bench.gw.calls.attempts(call_id)
            counted[was_placed, attempt.state.value, call.status.value] += 1
            expected = AttemptState.ACCEPTED if was_placed else AttemptState.NOT_PLACED_PROBABLE
            if attempt.state is not expected or not call.status.is_final:
                wrong.append((call_id, attempt.state, call.status))
        print(provider, dict(counted))
        assert wrong == []
        assert len(bench.sim.dials()) == DIALS, "0 second dials"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_call_whose_end_was_lost_is_closed(provider: str, tmp_path: Path) -> None:
    truths = {"answered": "completed", "busy": "busy", "no_answer": "no_answer", "unreachable": "failed"}
    scripts = (Answer(after_s=1, talk_s=5), Busy(), NoAnswer(), Unreachable())
    with open_bench(provider, tmp_path, sweeps=False, speed=100) as bench:
        unhurried(bench)
        clock = bench.gw.services.clock
        bench.lose_ends()
        placed = []
        for index, person in enumerate(islice(people(), CALLS)):
            bench.sim.script(person, scripts[index % len(scripts)])
            placed.append(bench.place(person, join_timeout="10s"))
        bench.sim.wait(lambda: all(call.outcome for call in bench.sim.calls()), PATIENCE_S)
        clock.ahead(minutes=6)  # type: ignore[attr-defined]
        sweep_all(bench)
        wrong = []
        for call in map(bench.gw.calls.get, (each.id for each in placed)):
            truth = bench.sim_call(call).truth
            is_closed = call.status.is_final and call.end_reason.reconciled
            if not is_closed or call.status.value != truths[truth]:
                wrong.append((truth, call.status, call.end_reason))
        assert wrong == []
        assert len(bench.sim.dials()) == CALLS
