"""A foreign number that the account may show is verified, placed calls from, and never rings an agent."""

from __future__ import annotations

import pytest

from gateway import CallStatus
from gateway.errors import Conflict, RequestRefused, ValidationError
from gateway.models import NumberKind
from providers.simulator import Answer
from tests.bench import CALLEE
from tests.ownerkit import Owner

FOREIGN = "+12125550199"


def verify(owner: Owner) -> None:
    """Do what the person does: answer the carrier's call, or read the code."""
    begun = owner.gw.numbers.verify_caller_id(FOREIGN, credential=owner.provider)
    code = None
    if begun.code_to_type is None:
        code = owner.sim.sent_code(owner.account, FOREIGN)
    else:
        assert owner.sim.type_code(owner.account, FOREIGN, begun.code_to_type)
    number = owner.gw.numbers.confirm_caller_id(
        FOREIGN, credential=owner.provider, verification_ref=begun.verification_ref, code=code
    )
    assert number.kind is NumberKind.CALLER_ID


def test_a_verified_number_is_shown_and_takes_no_calls(owner: Owner) -> None:
    owner.bring()
    with pytest.raises(Conflict, match="not verified"):
        owner.gw.numbers.add_caller_id(FOREIGN, credential=owner.provider)
    verify(owner)
    assert [each.e164 for each in owner.gw.numbers.caller_ids(owner.provider)] == [FOREIGN]
    with pytest.raises(ValidationError, match="outbound only"):
        owner.gw.numbers.assign(FOREIGN, agent="echo", inbound=True)
    owner.gw.numbers.assign(FOREIGN, agent="echo", outbound=True)
    assert "number_write" not in owner.writes()
    owner.sim.script(CALLEE, Answer(talk_s=2))
    placed = owner.bench.ended(owner.gw.place_call("echo", CALLEE, from_number=FOREIGN))
    assert (placed.status, placed.from_number) == (CallStatus.COMPLETED, FOREIGN), owner.bench.story()
    owner.bench.settled()
    assert owner.gw.numbers.check(FOREIGN).is_fine


def test_a_wrong_code_verifies_nothing(owner: Owner) -> None:
    owner.bring()
    begun = owner.gw.numbers.verify_caller_id(FOREIGN, credential=owner.provider)
    with pytest.raises((RequestRefused, Conflict, ValidationError)):
        owner.gw.numbers.confirm_caller_id(
            FOREIGN, credential=owner.provider, verification_ref=begun.verification_ref, code="000"
        )
    assert FOREIGN not in {each.e164 for each in owner.gw.numbers.list()}
    assert list(owner.gw.numbers.caller_ids(owner.provider)) == []
