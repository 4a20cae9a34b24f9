"""Which number is shown: the one asked for when it is ours to show, else the strategy's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway import caller_id
from gateway.errors import CallerIdRefused, InvalidNumber, NoOutboundNumber
from gateway.models import CallerIdStrategy, Number
from gateway.numbers import area_code_of, region_of
from tests.storekit import T0, a_credential, a_number

CREDENTIAL = a_credential()
SF, SF_TOO, NEW_YORK = "+14155550100", "+14155550101", "+12125550102"
TORONTO, LONDON, MANCHESTER = "+14165550103", "+442079460104", "+441614960105"


def number(e164: str, used_s: int | None = None) -> Number:
    """A number as it is stored; `used_s`: seconds since T0 when it was used last."""
    return a_number(
        CREDENTIAL,
        e164=e164,
        country=region_of(e164),
        area_code=area_code_of(e164),
        last_used_at=None if used_s is None else T0 + timedelta(seconds=used_s),
    )


class Turns:
    """A round-robin counter as the store keeps it."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> int:
        self.taken += 1
        return self.taken - 1


def chosen(strategy: CallerIdStrategy, numbers: list[Number], to: str, turns: Turns | None = None) -> str:
    return caller_id.choose(strategy, numbers, to, turns or Turns(), "support").e164


def test_the_number_asked_for_is_shown_when_it_is_the_agents() -> None:
    assert caller_id.explicit(NEW_YORK, [number(SF), number(NEW_YORK)], "support").e164 == NEW_YORK


def test_another_number_is_refused_without_being_shown_whole() -> None:
    with pytest.raises(CallerIdRefused) as refused:
        caller_id.explicit("+12125550199", [number(SF)], "support")
    assert refused.value.field == "from_number"
    assert "…0199" in str(refused.value)
    assert "+12125550199" not in str(refused.value)
    assert "'support'" in str(refused.value)


@pytest.mark.parametrize("word", ["", "14155550100", "anonymous", "+1415555010O", SF + " ", SF + "\n"])
def test_what_is_no_number_is_told_apart_from_a_number_that_is_not_ours(word: str) -> None:
    with pytest.raises(InvalidNumber, match="from_number"):
        caller_id.explicit(word, [number(SF)], "support")


@pytest.mark.parametrize("strategy", list(CallerIdStrategy))
def test_an_agent_without_a_number_cannot_call(strategy: CallerIdStrategy) -> None:
    with pytest.raises(NoOutboundNumber, match="no outbound number assigned to agent 'support'"):
        chosen(strategy, [], NEW_YORK)


@pytest.mark.parametrize("strategy", list(CallerIdStrategy))
def test_no_strategy_calls_a_number_from_itself(strategy: CallerIdStrategy) -> None:
    assert chosen(strategy, [number(SF), number(SF_TOO)], SF) == SF_TOO
    with pytest.raises(NoOutboundNumber):
        chosen(strategy, [number(SF)], SF)


def test_first_is_the_first_assigned() -> None:
    numbers = [number(NEW_YORK, 9), number(SF)]
    assert [chosen(CallerIdStrategy.FIRST, numbers, LONDON) for _ in range(3)] == [NEW_YORK] * 3


def test_round_robin_takes_every_number_in_turn() -> None:
    numbers, turns = [number(SF), number(SF_TOO), number(NEW_YORK)], Turns()
    shown = [chosen(CallerIdStrategy.ROUND_ROBIN, numbers, LONDON, turns) for _ in range(7)]
    assert shown == [SF, SF_TOO, NEW_YORK, SF, SF_TOO, NEW_YORK, SF]


@pytest.mark.parametrize("strategy", [each for each in CallerIdStrategy if each != "round_robin"])
def test_only_round_robin_takes_a_turn(strategy: CallerIdStrategy) -> None:
    turns = Turns()
    chosen(strategy, [number(SF), number(SF_TOO)], LONDON, turns)
    assert turns.taken == 0


def test_least_recently_used_prefers_one_that_was_never_used() -> None:
    assert chosen(CallerIdStrategy.LEAST_RECENTLY_USED, [number(SF, 1), number(SF_TOO)], LONDON) == SF_TOO
    used = [number(SF, 5), number(SF_TOO, 2), number(NEW_YORK, 9)]
    assert chosen(CallerIdStrategy.LEAST_RECENTLY_USED, used, LONDON) == SF_TOO
    assert chosen(CallerIdStrategy.LEAST_RECENTLY_USED, [number(SF), number(SF_TOO)], LONDON) == SF


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        pytest.param("+14155550123", SF, id="same country, same area"),
        pytest.param("+12125550123", NEW_YORK, id="same country, same other area"),
        pytest.param("+13125550123", NEW_YORK, id="same country only: the least recently used of it"),
        pytest.param("+14165550123", TORONTO, id="+1 is not one country"),
        pytest.param("+442079460999", LONDON, id="London from London"),
        pytest.param("+441614960999", MANCHESTER, id="Manchester from Manchester"),
        pytest.param("+447400123456", LONDON, id="a mobile phone has no area"),
        pytest.param("+4930901820", SF_TOO, id="no number of that country: the least recently used of all"),
    ],
)
def test_same_region_is_the_country_then_the_area(to: str, shown: str) -> None:
    numbers = [
        number(SF, 50),
        number(NEW_YORK, 10),
        number(TORONTO, 30),
        number(LONDON, 20),
        number(MANCHESTER, 40),
        number(SF_TOO, 5) if to.startswith("+49") else number(SF_TOO, 60),
    ]
    assert chosen(CallerIdStrategy.SAME_REGION, numbers, to) == shown


def test_same_region_takes_turns_inside_the_region() -> None:
    numbers = [number(SF, 50), number(SF_TOO, 40), number(NEW_YORK)]
    assert chosen(CallerIdStrategy.SAME_REGION, numbers, "+14155550123") == SF_TOO


def test_a_toll_free_number_has_no_area_to_match() -> None:
    free = number("+18005550100", 1)
    assert free.area_code == ""
    assert chosen(CallerIdStrategy.SAME_REGION, [free, number(SF, 9)], "+18885550123") == "+18005550100"
