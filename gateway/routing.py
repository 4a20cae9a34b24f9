"""Which agent gets a call, and what happens when it cannot take it: the fallback chain. Pure.

A chain is a tuple of steps. `choose_step` takes the first one that can be carried out and says what is left; the
store keeps both, so any worker can go on from there. Whatever the chain holds, the caller never hears silence: a chain
that ran out without anyone or anything having spoken ends with a message, then a hang-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.instructions import (
    Connection,
    FallbackStep,
    Forward,
    HangUp,
    Instruction,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import Agent
from gateway.status import Direction

Chain = tuple[FallbackStep, ...]

BUSY_TEXT: Final = "All our lines are busy at the moment. Please call again later. Goodbye."


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An agent that a step names, with the number of its calls that live now."""

    agent: Agent
    live_calls: int

    @property
    def has_room(self) -> bool:
        """False at its concurrency limit."""
        limit = self.agent.max_concurrent_calls
        return limit is None or self.live_calls < limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The step to carry out now.

    `instruction` is None when the agent's connect function must be asked first. `rest` is the chain behind it.
    `has_spoken`: after this step the caller has heard somebody or something. `skipped`: why earlier steps were
    passed over, for the timeline.
    """

    instruction: Instruction | None
    agent_id: str | None = None
    rest: Chain = ()
    has_spoken: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def is_last(self) -> bool:
        """Nothing follows: the carrier may hang up when the step is over."""
        return not self.rest


def chain_of(agent: Agent) -> Chain:
    """Return the whole chain of an agent: itself, then its fallback."""
    return (NextAgent(agent.id), *agent.fallback)


def choose_step(
    chain: Chain,
    *,
    is_answered: bool,
    has_spoken: bool,
    direction: Direction,
    find_agent: Callable[[str], Candidate | None],
    unavailable_text: str,
) -> Chosen:
    """Return the first step of the chain that can be carried out.

    Args:
        find_agent: returns the agent of that id, or None; called only for steps that name one.
        unavailable_text: spoken when the chain ran out and nothing has been spoken.
    """
    skipped: list[str] = []
    for position, step in enumerate(chain):
        rest = chain[position + 1 :]
        if isinstance(step, NextAgent):
            candidate = find_agent(step.agent_id)
            if candidate is None or not candidate.has_room:
                skipped.append(f"agent {step.agent_id}: {'at capacity' if candidate else 'unknown'}")
                continue
            connect = candidate.agent.connect
            instruction = connect if isinstance(connect, Connection) else None
            return Chosen(
                instruction=instruction,
                agent_id=step.agent_id,
                rest=rest,
                has_spoken=has_spoken,
                skipped=tuple(skipped),
            )
        return _ordinary_step(step, rest, is_answered, has_spoken, direction, tuple(skipped))
    if has_spoken:
        return Chosen(instruction=HangUp(), has_spoken=True, skipped=tuple(skipped))
    return Chosen(instruction=Say(unavailable_text), has_spoken=True, skipped=tuple(skipped))


def _ordinary_step(
    step: Stream | Sip | Forward | Say | TakeMessage | Reject,
    rest: Chain,
    is_answered: bool,
    has_spoken: bool,
    direction: Direction,
    skipped: tuple[str, ...],
) -> Chosen:
    if isinstance(step, Reject) and (is_answered or direction is not Direction.INBOUND):
        step, rest = Say(BUSY_TEXT), ()  # too late to refuse: say so instead of cutting the line
    if isinstance(step, TakeMessage) and step.prompt:
        record = TakeMessage(prompt="", max_length_s=step.max_length_s, language=step.language)
        step, rest = Say(step.prompt, step.language), (record, *rest)
    if isinstance(step, Reject):
        rest = ()
    speaks = isinstance(step, Say | TakeMessage)
    return Chosen(instruction=step, rest=rest, has_spoken=has_spoken or speaks, skipped=skipped)
