"""Who ended an answered call, when our own hang-up and the other party's cross."""

from __future__ import annotations

import pytest

from gateway.status import CallFacts, Direction, EndCause, EndedBy, EndReport, resolve


@pytest.mark.parametrize(
    ("direction", "named", "who"),
    [
        (Direction.OUTBOUND, EndedBy.CALLEE, EndedBy.CALLEE),
        (Direction.INBOUND, EndedBy.CALLER, EndedBy.CALLER),
        (Direction.OUTBOUND, EndedBy.CALLER, EndedBy.US),
        (Direction.INBOUND, EndedBy.CALLEE, EndedBy.US),
        (Direction.OUTBOUND, EndedBy.UNKNOWN, EndedBy.US),
    ],
)
def test_the_other_party_is_named_even_when_we_asked_for_the_end_too(
    direction: Direction, named: EndedBy, who: EndedBy
) -> None:
    end = EndReport(cause=EndCause.HUNG_UP, ended_by=named, proves_answered=True)
    facts = CallFacts(answered=True, ends=(end,), hangup_requested=EndCause.HUNG_UP)
    reason = resolve(facts, direction).end_reason
    assert reason is not None
    assert (reason.who, reason.why) == (who, EndCause.HUNG_UP)
