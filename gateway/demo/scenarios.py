"""What the demo plays: a table of calls, each the same on every carrier.

A scenario says what the phone at the other end does, what is done while the call lives, and what must have come of it
besides a status and an end reason that agree with the exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gateway.demo.stage import DOWN_TEXT, UNASSIGNED_TEXT, VOICEMAIL_TEXT, Called
from gateway.demo.truth import Check
from gateway.models import CallSettings, OnVoicemail, VoicemailDetection
from gateway.status import Direction

if TYPE_CHECKING:
    from gateway.demo.playing import Scene

ENOUGH_FRAMES: Final = 100  # two seconds of audio


def _nothing(scene: Scene) -> None:
    """Leave the call to itself."""


def _no_checks(scene: Scene) -> Sequence[Check]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table.

    Attributes:
        name: a word for programs. group, title: for people.
        phone: what the callee (outbound) or the caller (inbound) does: a script of the simulator.
        called: which of our numbers an inbound call goes to, or an outbound call shows.
        truth: what must really happen, in the exchange's word.
        during: done while the call lives. checks: looked at once it is over.
        alone: not at the same time as another call of its carrier.
    """

    name: str
    group: str
    title: str
    direction: Direction
    phone: Any
    truth: str
    called: Called = Called.ECHO
    settings: CallSettings = field(default_factory=CallSettings)
    before: Callable[[Scene], None] = _nothing
    during: Callable[[Scene], None] = _nothing
    checks: Callable[[Scene], Sequence[Check]] = _no_checks
    alone: bool = False


# -- while the call lives ------------------------------------------------------------------------------------------


def talk(scene: Scene) -> None:
    """Let agent and phone hear each other for a while, then the phone hangs up."""
    scene.wait("the agent to echo audio", lambda: scene.frames_echoed >= ENOUGH_FRAMES)
    scene.far_party_hangs_up()


def talk_until_forged(scene: Scene) -> None:
    """Talk; before the report of the end, a copy of it with a wrong signature is sent."""
    scene.wait("the agent to echo audio", lambda: scene.frames_echoed >= ENOUGH_FRAMES)
    scene.misdeliver(forge=True)
    scene.far_party_hangs_up()


def talk_until_repeated(scene: Scene) -> None:
    """Talk; the report of the end is sent three times."""
    scene.wait("the agent to echo audio", lambda: scene.frames_echoed >= ENOUGH_FRAMES)
    scene.misdeliver(repeat=2)
    scene.far_party_hangs_up()


def cancel(scene: Scene) -> None:
    """End the call from our side while the phone rings."""
    scene.wait("the phone to ring", lambda: scene.exchange_state == "ringing")
    scene.hang_up()


def swap_next_two(scene: Scene) -> None:
    """Hold the first report of the next call back until the second one was answered."""
    scene.misdeliver(reorder=True)


# -- once it is over -----------------------------------------------------------------------------------------------


def hears_itself(scene: Scene) -> Sequence[Check]:
    """The phone heard its own voice, sent back by the agent, which had claimed the call."""
    echoes = [item for item in scene.heard("audio") if item[2]]
    claimed = scene.claim_status
    return (
        Check(name="audio", ok=bool(echoes), detail=f"{scene.frames_echoed} frames echoed"),
        Check(name="claim", ok=claimed == 200, detail=f"the agent's claim was answered {claimed}"),
    )


def hears(text: str) -> Callable[[Scene], Sequence[Check]]:
    """Return a check that the phone heard this text."""

    def check(scene: Scene) -> Sequence[Check]:
        said = [str(item[1]) for item in scene.heard("say")]
        return (Check(name="heard", ok=text in said, detail=" / ".join(said) or "nothing was said"),)

    return check


def was_forged(scene: Scene) -> Sequence[Check]:
    """The forged copy was refused; the true one was taken."""
    answers = scene.answers_to("forged")
    return (
        *hears_itself(scene),
        Check(name="forged webhook", ok=answers == [403], detail=f"{len(answers)} sent, answered {answers}"),
    )


def was_repeated(scene: Scene) -> Sequence[Check]:
    """Each repeat was answered like the first, and stands in the timeline once."""
    answers = scene.answers_to("repeat")
    doubles = scene.doubled_events()
    return (
        *hears_itself(scene),
        Check(name="repeated webhook", ok=answers == [200, 200], detail=f"repeats were answered {answers}"),
        Check(name="no effect", ok=not doubles, detail=f"{len(doubles)} events stand there twice"),
    )


def was_reordered(scene: Scene) -> Sequence[Check]:
    """Two reports really changed places."""
    swapped = scene.swapped_reports()
    detail = f"{swapped[1]} came before {swapped[0]}" if swapped else "no two reports changed places"
    return (*hears_itself(scene), Check(name="reordered pair", ok=swapped is not None, detail=detail))


# -- the table -----------------------------------------------------------------------------------------------------


def scenarios() -> tuple[Scenario, ...]:
    """Return the demo's table, top to bottom."""
    phones: Any = import_module("providers.simulator")
    out, into, hooks = "We call, and the phone", "Somebody calls us", "The carrier's webhooks"
    outbound: Mapping[str, Any] = {"group": out, "direction": Direction.OUTBOUND}
    inbound: Mapping[str, Any] = {"group": into, "direction": Direction.INBOUND, "truth": "answered"}
    misbehaving: Mapping[str, Any] = {
        "group": hooks,
        "direction": Direction.OUTBOUND,
        "phone": phones.Answer(after_s=2.0),
        "truth": "answered",
    }
    patient = phones.Caller(gives_up_after_s=600.0)
    return (
        Scenario(
            name="answered",
            title="answers, the agent echoes",
            phone=phones.Answer(after_s=4.0),
            truth="answered",
            during=talk,
            checks=hears_itself,
            **outbound,
        ),
        Scenario(name="busy", title="is busy", phone=phones.Busy(after_s=3.0), truth="busy", **outbound),
        Scenario(
            name="no_answer",
            title="rings past the join timeout",
            phone=phones.NoAnswer(),
            truth="no_answer",
            settings=CallSettings(join_timeout="20s"),
            **outbound,
        ),
        Scenario(
            name="voicemail",
            title="takes a message (voicemail)",
            phone=phones.Voicemail(after_s=4.0, greeting_s=4.0),
            truth="voicemail",
            settings=CallSettings(
                voicemail_detection=VoicemailDetection.DETECT,
                on_voicemail=OnVoicemail.LEAVE_MESSAGE,
                voicemail_message=VOICEMAIL_TEXT,
            ),
            checks=hears(VOICEMAIL_TEXT),
            **outbound,
        ),
        Scenario(
            name="unreachable",
            title="does not exist",
            phone=phones.Unreachable(after_s=2.0),
            truth="unreachable",
            **outbound,
        ),
        Scenario(
            name="cancelled",
            title="rings until we hang up",
            phone=phones.NoAnswer(),
            truth="cancelled",
            settings=CallSettings(join_timeout="120s"),
            during=cancel,
            **outbound,
        ),
        Scenario(
            name="inbound_answered",
            title="and the agent echoes",
            phone=patient,
            during=talk,
            checks=hears_itself,
            **inbound,
        ),
        Scenario(
            name="inbound_unassigned",
            title="on a number with no agent",
            phone=patient,
            called=Called.UNASSIGNED,
            checks=hears(UNASSIGNED_TEXT),
            **inbound,
        ),
        Scenario(
            name="inbound_agent_down",
            title="but the agent is down",
            phone=patient,
            called=Called.DOWN,
            checks=hears(DOWN_TEXT),
            **inbound,
        ),
        Scenario(
            name="webhook_forged",
            title="one is forged: refused",
            during=talk_until_forged,
            checks=was_forged,
            **misbehaving,
        ),
        Scenario(
            name="webhook_repeated",
            title="one is repeated: no effect",
            during=talk_until_repeated,
            checks=was_repeated,
            **misbehaving,
        ),
        Scenario(
            name="webhooks_reordered",
            title="two swap places: no effect",
            before=swap_next_two,
            during=talk,
            checks=was_reordered,
            alone=True,
            **misbehaving,
        ),
    )
