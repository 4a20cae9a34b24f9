"""Which of an agent's outbound numbers to show. Pure: the store supplies the numbers and the round-robin counter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.errors import CallerIdRefused, NoOutboundNumber
from gateway.models import CallerIdStrategy, Number
from gateway.numbers import area_code_of, mask, parse_e164, region_of

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def explicit(from_number: str, numbers: Sequence[Number], agent_id: str) -> Number:
    """Return the agent's outbound number that `from_number` names.

    Raises:
        InvalidNumber: not E.164. CallerIdRefused: not assigned to this agent for outbound calls (R76).
    """
    wanted = parse_e164(from_number, "from_number")
    for number in numbers:
        if number.e164 == wanted:
            return number
    raise CallerIdRefused(
        "from_number",
        f"{mask(wanted)} is not assigned to agent {agent_id!r} for outbound calls: "
        "assign it (gateway numbers assign … --outbound) or leave it out",
    )


def choose(
    strategy: CallerIdStrategy,
    numbers: Sequence[Number],
    to: str,
    take_turn: Callable[[], int],
    agent_id: str,
) -> Number:
    """Return the number that the strategy shows to `to`.

    Args:
        numbers: the agent's outbound numbers in the order of their assignment; one that equals `to` is left out.
        take_turn: returns 0, 1, 2 ... and counts; called for `round_robin` only.

    Raises:
        NoOutboundNumber: there is none.
    """
    usable = [number for number in numbers if number.e164 != to]
    if not usable:
        raise NoOutboundNumber(
            "from_number",
            f"no outbound number assigned to agent {agent_id!r}: gateway numbers assign … --outbound",
        )
    return _STRATEGIES[strategy](usable, to, take_turn)


def _first(numbers: Sequence[Number], to: str, take_turn: Callable[[], int]) -> Number:
    return numbers[0]


def _round_robin(numbers: Sequence[Number], to: str, take_turn: Callable[[], int]) -> Number:
    return numbers[take_turn() % len(numbers)]


def _least_recently_used(numbers: Sequence[Number], to: str, take_turn: Callable[[], int]) -> Number:
    return min(numbers, key=lambda number: number.last_used_at or _NEVER)


def _same_region(numbers: Sequence[Number], to: str, take_turn: Callable[[], int]) -> Number:
    """Same country first, then same area code; among equals the least recently used."""
    country, area = region_of(to), area_code_of(to)

    def closeness(number: Number) -> int:
        if number.country != country:
            return 0
        return 2 if area and number.area_code == area else 1

    best = max(closeness(number) for number in numbers)
    return _least_recently_used([number for number in numbers if closeness(number) == best], to, take_turn)


_STRATEGIES: Final[
    Mapping[CallerIdStrategy, Callable[[Sequence[Number], str, Callable[[], int]], Number]]
] = {
    CallerIdStrategy.FIRST: _first,
    CallerIdStrategy.ROUND_ROBIN: _round_robin,
    CallerIdStrategy.LEAST_RECENTLY_USED: _least_recently_used,
    CallerIdStrategy.SAME_REGION: _same_region,
}
