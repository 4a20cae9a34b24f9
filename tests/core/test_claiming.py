"""An agent's server claims the token its stream began with: once, in time, for the right call (R26)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, Stream
from gateway.errors import Conflict, NotFound
from gateway.settings import load_settings
from gateway.status import CallFacts, CallStatus, Direction
from gateway.store import calls
from gateway.store.rows import Step, StepState
from tests.storekit import SECOND, T0, a_call, a_step, put_agent, put_call, put_step

TOKEN = "c0ffee" * 6
STREAM = Stream("wss://agents.example.com/media")


@pytest.fixture
def gw(tmp_path: Path) -> Iterator[Gateway]:
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with Gateway.open(settings, background=False) as opened:
        set_clock(opened, T0 + SECOND)
        put_agent(opened.services.store)
        yield opened


def set_clock(gw: Gateway, at: datetime) -> None:
    gw.services.clock = lambda: at


def offer(gw: Gateway, token: str = TOKEN, call: dict[str, Any] | None = None, **step: Any) -> Step:
    """Store a call whose agent has been offered a stream."""
    ringing = {"direction": Direction.INBOUND, "status": CallStatus.RINGING}
    made = put_call(gw.services.store, **(ringing | (call or {})))
    said = {
        "instruction": STREAM,
        "agent_id": "support",
        "state": StepState.STARTED,
        "join_deadline": T0 + 30 * SECOND,
        "stream_token_hash": hashlib.sha256(token.encode()).hexdigest(),
        "stream_expires_at": T0 + 60 * SECOND,
    }
    return put_step(gw.services.store, made, **(said | step))


def test_a_claim_tells_the_agent_what_the_call_is_and_answers_it(gw: Gateway) -> None:
    heard: list[Any] = []
    gw.on("call.answered")(heard.append)
    step = offer(gw, call={"variables": {"name": "Ann"}, "context": {"ticket": 7}})
    told = gw.claim_stream(TOKEN)
    call = gw.calls.get(step.call_id)
    assert told == {
        "call_id": step.call_id,
        "agent_id": "support",
        "direction": "inbound",
        "to": call.to,
        "from_number": call.from_number,
        "phone_number": call.from_number,
        "variables": {"name": "Ann"},
        "settings": call.settings.as_dict(),
        "greeting": None,
        "context": {"ticket": 7},
    }
    assert (call.status, call.started_at) == (CallStatus.IN_PROGRESS, T0 + SECOND)
    assert [event.call.id for event in heard] == [step.call_id]
    assert [event.name for event in gw.calls.events(step.call_id)] == ["agent joined"]


def test_a_token_is_taken_once(gw: Gateway) -> None:
    offer(gw)
    gw.claim_stream(TOKEN)
    for _ in range(3):
        with pytest.raises(Conflict, match="claimed before"):
            gw.claim_stream(TOKEN)


def test_of_many_claims_at_once_one_wins(gw: Gateway) -> None:
    offer(gw)
    won: list[object] = []
    lost: list[str] = []
    start = threading.Barrier(8)

    def claim() -> None:
        start.wait(5)
        try:
            won.append(gw.claim_stream(TOKEN))
        except Conflict as error:
            lost.append(str(error))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(won), len(lost)) == (1, 7)


@pytest.mark.parametrize(
    "token",
    ["", "x", TOKEN[:-1], TOKEN.upper(), TOKEN + "\n", "\0", "\ud800", "é" * 40, "x" * 100_000, "../x"],
)
def test_another_token_is_unknown_and_nothing_happens(gw: Gateway, token: str) -> None:
    step = offer(gw)
    with pytest.raises(NotFound, match="unknown or expired") as refused:
        gw.claim_stream(token)
    assert TOKEN not in str(refused.value)
    assert gw.calls.get(step.call_id).status is CallStatus.RINGING
    assert gw.calls.events(step.call_id) == []


@pytest.mark.parametrize(("after_s", "is_taken"), [(0, True), (59, True), (60, False), (3600, False)])
def test_a_token_expires(gw: Gateway, after_s: int, is_taken: bool) -> None:
    offer(gw)
    set_clock(gw, T0 + timedelta(seconds=after_s))
    if is_taken:
        assert gw.claim_stream(TOKEN)["agent_id"] == "support"
    else:
        with pytest.raises(NotFound, match="unknown or expired"):
            gw.claim_stream(TOKEN)


@pytest.mark.parametrize("state", [state for state in StepState if not state.is_open])
def test_a_step_that_is_over_is_not_joined(gw: Gateway, state: StepState) -> None:
    offer(gw, state=state)
    with pytest.raises(NotFound):
        gw.claim_stream(TOKEN)


def test_a_call_that_is_over_is_not_joined_and_the_token_stays_unused(gw: Gateway) -> None:
    step = offer(gw)
    with gw.services.store.transaction() as tx:
        call = calls.load_call_for_update(tx, step.call_id)
        over = a_call(id=call.id, status=CallStatus.CANCELLED, direction=Direction.INBOUND)
        calls.save_call(tx, over, expected_version=call.version)
    with pytest.raises(NotFound, match="of a call that is over"):
        gw.claim_stream(TOKEN)
    assert gw.calls.get(step.call_id).status is CallStatus.CANCELLED
    assert gw.calls.events(step.call_id) == []


def test_an_answered_call_is_joined_without_being_answered_again(gw: Gateway) -> None:
    answered = CallFacts(answered=True, answered_at=T0)
    step = offer(gw, call={"facts": answered, "status": CallStatus.IN_PROGRESS, "sequence": 3})
    heard: list[Any] = []
    for name in ("answered", "updated"):
        gw.on(f"call.{name}")(heard.append)
    gw.claim_stream(TOKEN)
    call = gw.calls.get(step.call_id)
    assert (call.started_at, call.sequence) == (T0, 3)
    assert heard == []


def test_the_token_itself_is_in_no_row(gw: Gateway, tmp_path: Path) -> None:
    offer(gw)
    gw.claim_stream(TOKEN)
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    assert TOKEN.encode() not in stored
    assert hashlib.sha256(TOKEN.encode()).hexdigest().encode() in stored


def test_a_fresh_step_is_not_claimed_by_the_token_of_another(gw: Gateway) -> None:
    first, second = offer(gw, "first" * 8), offer(gw, "second" * 8)
    assert gw.claim_stream("second" * 8)["call_id"] == second.call_id
    assert gw.claim_stream("first" * 8)["call_id"] == first.call_id


def test_a_step_without_a_stream_has_no_token(gw: Gateway) -> None:
    call = put_call(gw.services.store)
    put_step(gw.services.store, call)
    assert a_step(call).stream_token_hash is None
    with pytest.raises(NotFound):
        gw.claim_stream("")
