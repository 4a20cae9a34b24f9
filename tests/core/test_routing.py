"""Which step of a fallback chain is carried out, what is left of it, and that nobody is left in silence."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.instructions import (
    FallbackStep,
    Forward,
    HangUp,
    NextAgent,
    Reject,
    Say,
    Sip,
    Stream,
    TakeMessage,
)
from gateway.models import Agent
from gateway.routing import BUSY_TEXT, Candidate, Chosen, chain_of, choose_step
from gateway.status import Direction, RejectAs

STREAM = Stream("wss://agents.example.com/media")
SIP = Sip("sip:desk@pbx.example.net")
FORWARD = Forward("+14155550199")
SORRY = "Nobody is here."


def an_agent(name: str, **said: object) -> Agent:
    return Agent(id=name, connect=STREAM, **said)  # type: ignore[arg-type]


KNOWN = {
    "free": Candidate(agent=an_agent("free"), live_calls=7),
    "one left": Candidate(agent=an_agent("one left", max_concurrent_calls=2), live_calls=1),
    "full": Candidate(agent=an_agent("full", max_concurrent_calls=2), live_calls=2),
    "overfull": Candidate(agent=an_agent("overfull", max_concurrent_calls=1), live_calls=9),
    "asks": Candidate(agent=Agent(id="asks", connect=lambda call: STREAM), live_calls=0),
}


def choose(
    *chain: FallbackStep,
    is_answered: bool = False,
    has_spoken: bool = False,
    direction: Direction = Direction.INBOUND,
) -> Chosen:
    return choose_step(
        chain,
        is_answered=is_answered,
        has_spoken=has_spoken,
        direction=direction,
        find_agent=KNOWN.get,
        unavailable_text=SORRY,
    )


def test_a_chain_begins_with_the_agent_itself() -> None:
    agent = an_agent("free", fallback=(NextAgent("one left"), Say("Bye")))
    assert chain_of(agent) == (NextAgent("free"), NextAgent("one left"), Say("Bye"))


def test_the_first_agent_with_room_is_connected_and_the_rest_is_kept() -> None:
    found = choose(NextAgent("free"), NextAgent("one left"), Say("Bye"))
    assert (found.instruction, found.agent_id) == (STREAM, "free")
    assert found.rest == (NextAgent("one left"), Say("Bye"))
    assert not found.has_spoken
    assert not found.is_last


def test_an_agent_that_connects_by_a_function_is_to_be_asked() -> None:
    found = choose(NextAgent("asks"))
    assert (found.instruction, found.agent_id) == (None, "asks")


@pytest.mark.parametrize("name", ["full", "overfull"])
def test_an_agent_at_its_limit_is_passed_over_and_the_timeline_says_why(name: str) -> None:
    found = choose(NextAgent(name), NextAgent("one left"))
    assert found.agent_id == "one left"
    assert found.skipped == (f"agent {name}: at capacity",)


def test_an_agent_that_is_gone_is_passed_over_and_the_timeline_says_why() -> None:
    found = choose(NextAgent("gone"), NextAgent("full"), FORWARD, Say("Bye"))
    assert (found.instruction, found.rest) == (FORWARD, (Say("Bye"),))
    assert found.skipped == ("agent gone: unknown", "agent full: at capacity")


@pytest.mark.parametrize("step", [STREAM, SIP, FORWARD])
def test_a_connection_is_a_step_of_its_own(step: FallbackStep) -> None:
    found = choose(step)
    assert (found.instruction, found.agent_id, found.rest, found.has_spoken) == (step, None, (), False)


def test_what_is_said_has_been_heard() -> None:
    found = choose(Say("Hello", "de-DE"), STREAM)
    assert (found.instruction, found.rest, found.has_spoken) == (Say("Hello", "de-DE"), (STREAM,), True)


def test_a_message_is_taken_in_two_steps_the_prompt_and_the_recording() -> None:
    first = choose(TakeMessage("Speak after the tone.", 60, "fr-FR"), Say("Bye"))
    assert first.instruction == Say("Speak after the tone.", "fr-FR")
    assert first.rest == (TakeMessage("", 60, "fr-FR"), Say("Bye"))
    second = choose(*first.rest, has_spoken=True)
    assert (second.instruction, second.rest) == (TakeMessage("", 60, "fr-FR"), (Say("Bye"),))


@pytest.mark.parametrize("reason", list(RejectAs))
def test_a_caller_who_is_not_answered_yet_can_be_refused(reason: RejectAs) -> None:
    found = choose(Reject(reason), Say("never"))
    assert (found.instruction, found.rest) == (Reject(reason), ())


@pytest.mark.parametrize(
    ("is_answered", "direction"),
    [(True, Direction.INBOUND), (False, Direction.OUTBOUND), (True, Direction.OUTBOUND)],
)
def test_who_cannot_be_refused_any_more_is_told_instead(is_answered: bool, direction: Direction) -> None:
    found = choose(Reject(), Say("never"), is_answered=is_answered, direction=direction)
    assert (found.instruction, found.rest, found.has_spoken) == (Say(BUSY_TEXT), (), True)


def test_a_chain_that_ran_out_in_silence_ends_with_a_message() -> None:
    for chain in ((), (NextAgent("gone"),), (NextAgent("full"), NextAgent("overfull"))):
        found = choose(*chain)
        assert (found.instruction, found.rest, found.has_spoken) == (Say(SORRY), (), True)
        assert found.is_last


def test_a_chain_that_ran_out_after_something_was_said_hangs_up() -> None:
    assert choose(has_spoken=True).instruction == HangUp()
    assert choose(NextAgent("full"), has_spoken=True).instruction == HangUp()


STEPS: list[FallbackStep] = [
    NextAgent("free"),
    NextAgent("full"),
    NextAgent("gone"),
    FORWARD,
    Say("Hello"),
    TakeMessage(),
    Reject(),
]


@pytest.mark.parametrize("length", [0, 1, 2, 3])
@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.OUTBOUND])
def test_every_chain_ends_and_nobody_hears_only_silence(length: int, direction: Direction) -> None:
    """Walk every chain of up to three steps in which no connection ever works."""
    for chain in product(STEPS, repeat=length):
        rest, heard, is_answered, refused = chain, False, direction is Direction.OUTBOUND, False
        for _ in range(3 * length + 2):
            found = choose(*rest, is_answered=is_answered, has_spoken=heard, direction=direction)
            rest, heard = found.rest, found.has_spoken
            refused = refused or isinstance(found.instruction, Reject)
            if isinstance(found.instruction, HangUp | Reject):
                break
            is_answered = True
        else:
            raise AssertionError(f"{chain} does not end")
        assert heard or refused, chain
