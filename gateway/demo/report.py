"""The demo's figures, once everything has been played: for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.demo.bringing import Done, step_document
from gateway.demo.playing import Scene
from gateway.demo.stage import Stage
from gateway.demo.truth import Check
from gateway.showing import call_document, event_document
from gateway.status import Direction

if TYPE_CHECKING:
    from providers.simulator import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of the demo. `checks` are about the whole; each scene has its own."""

    scenes: Sequence[Scene]
    steps: Sequence[Done]
    checks: Sequence[Check]
    seconds: float
    webhooks: int
    frames_echoed: int
    server_log: str

    @property
    def agreeing(self) -> int:
        """How many calls are as they must be."""
        return sum(scene.agrees for scene in self.scenes)

    @property
    def agrees(self) -> bool:
        """Whether everything is as it must be."""
        return self.agreeing == len(self.scenes) and all(check.ok for check in self.checks)


def gather(stage: Stage, scenes: Sequence[Scene], steps: Sequence[Done], seconds: float) -> Report:
    """Count what was played. Call it while the stage still stands."""
    sent = stage.sim.journal.webhooks()
    frames = sum(conversation.frames_out for conversation in stage.agent.conversations)
    return Report(
        scenes=scenes,
        steps=steps,
        checks=[
            _check_steps(steps),
            _check_dials(stage, scenes),
            _check_webhooks(sent),
            _check_audio(frames),
        ],
        seconds=seconds,
        webhooks=len(sent),
        frames_echoed=frames,
        server_log=stage.server.log_tail(),
    )


def _check_steps(steps: Sequence[Done]) -> Check:
    """Each carrier had what the gateway said, after each step."""
    wrong = [f"{each.step} at {each.provider}" for each in steps if not each.ok]
    carriers = len({each.provider for each in steps})
    detail = f"{len(steps)} steps at {carriers} carriers, each then had what it must"
    return Check(
        name="set-up", ok=not wrong, detail=f"not as it must be: {', '.join(wrong)}" if wrong else detail
    )


def _check_dials(stage: Stage, scenes: Sequence[Scene]) -> Check:
    """Nobody was rung twice: as many requests for a call as calls."""
    placed = sum(scene.scenario.direction is Direction.OUTBOUND for scene in scenes)
    dials = len(stage.sim.dials())
    return Check(
        name="dials",
        ok=dials == placed,
        detail=f"{placed} calls placed, with {dials} requests to the carriers",
    )


def _check_webhooks(sent: Sequence[Entry]) -> Check:
    """Every true webhook was taken, at the latest when the carrier sent it again; every forged one was refused."""
    forged = [each for each in sent if "forged" in each.data["faults"]]
    accepted = [each for each in forged if each.data["status"] != 403]
    taken = {_named(each): each.sequence for each in sent if each.data["status"] == 200}
    true = [each for each in sent if each not in forged]
    lost = [each for each in true if taken.get(_named(each), 0) < each.sequence]
    detail = f"{len(sent)} sent, {len(forged)} of them forged and refused, all others taken"
    if accepted or lost:
        detail = f"{len(accepted)} forged ones taken; not taken: {_answers(lost) or 'none'}"
    return Check(name="webhooks", ok=not accepted and not lost, detail=detail)


def _named(webhook: Entry) -> tuple[str, ...]:
    """What a webhook and its later tries have in common."""
    return webhook.provider, webhook.call_id or "", webhook.data["hook"], webhook.data["event"]


def _answers(entries: Sequence[Entry]) -> str:
    return ", ".join(
        f"{e.provider} {e.data['event']} ({e.data['status'] or e.data['error'] or 'no answer yet'})"
        for e in entries
    )


def _check_audio(frames: int) -> Check:
    """Sound went both ways."""
    return Check(name="audio", ok=frames > 0, detail=f"{frames * 0.02:.0f} s of it came back from the agent")


# -- for programs --------------------------------------------------------------------------------------------------


def document(report: Report) -> dict[str, Any]:
    """Return the report as one JSON-able document."""
    return {
        "agrees": report.agrees,
        "setup": [step_document(step) for step in report.steps],
        "calls": [_scene_document(scene) for scene in report.scenes],
        "checks": [_check_document(check) for check in report.checks],
        "seconds": round(report.seconds, 2),
        "webhooks": report.webhooks,
        "frames_echoed": report.frames_echoed,
    }


def _scene_document(scene: Scene) -> dict[str, Any]:
    call, known = scene.latest(), scene.exchange_call
    shown: Mapping[str, Any] = {} if call is None else {"call": call_document(call)}
    timeline = {} if scene.agrees else {"events": [event_document(event) for event in scene.events()]}
    return {
        "scenario": scene.scenario.name,
        "provider": scene.provider,
        "direction": scene.scenario.direction.value,
        "agrees": scene.agrees,
        "truth": known.truth if known else None,
        "ended_by": known.ended_by if known else None,
        "checks": [_check_document(check) for check in scene.checks],
        **shown,
        **timeline,
    }


def _check_document(check: Check) -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "detail": check.detail}
