"""Numbers that stay with the person's own SIP carrier ring their agents, and calls go out by that carrier."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway import CallStatus
from gateway.errors import NotFound, UnsupportedFeature, ValidationError
from gateway.models import NumberKind
from gateway.store import sip_links
from providers.simulator import Answer, Caller
from tests.bench import CALLEE, CALLER
from tests.ownerkit import Owner

THEIRS: Final = "+12125550150"
LINKS: Final[dict[str, dict[str, Any]]] = {
    "twilio": {
        "carrier_host": "sbc.example.net:5060",
        "carrier_ips": ["203.0.113.10"],
        "username": "acmegw",
        "password": "Correct4horse",
    },
    "telnyx": {"carrier_host": "sbc.example.net:5060"},
    "plivo": {"carrier_ips": ["203.0.113.10"]},
}
CANNOT: Final[dict[str, tuple[dict[str, Any], str]]] = {  # what the carrier cannot make, and why
    "twilio": ({"carrier_host": "sbc.example.net"}, "Twilio takes no calls"),
    "telnyx": ({"carrier_ips": ["203.0.113.10"]}, "hard to guess"),
    "plivo": ({"carrier_ips": ["203.0.113.10"], "carrier_host": "sbc.example.net"}, "inbound only"),
}


def link(owner: Owner, **changes: Any) -> Any:
    asked = {**LINKS[owner.provider], **changes}
    return owner.gw.numbers.add_sip([THEIRS], credential=owner.provider, name="acme", **asked)


def address(owner: Owner, instructions: tuple[tuple[str, str], ...]) -> str:
    """Return where the other carrier's calls for the number arrive, as the person was told."""
    told = next(text for label, text in instructions if label == f"Route {THEIRS} to")
    return THEIRS if told.endswith("@sbc.plivo.com") else told  # there it is a number of the account


def test_a_link_is_made_whole_and_its_settings_are_told(owner: Owner) -> None:
    owner.gw.credentials.add(owner.provider, secrets=dict(owner.account.secrets))
    added = link(owner)
    assert [(each.e164, each.kind) for each in added.numbers] == [(THEIRS, NumberKind.SIP)]
    assert added.instructions
    assert added.differences == ()
    again = link(owner)
    assert (again.link.refs, again.instructions) == (added.link.refs, added.instructions), (
        "all of it is found again"
    )
    assert len(owner.gw.numbers.list()) == 1
    assert "Correct4horse" not in repr(added)


def test_a_call_of_the_other_carrier_rings_the_agent(owner: Owner) -> None:
    owner.bring()
    added = link(owner)
    owner.gw.numbers.assign(THEIRS, agent="echo", inbound=True)
    ringing = owner.sim.ring(address(owner, added.instructions), CALLER, Caller(talk_s=5))
    call = owner.bench.ended(owner.bench.the_call(ringing))
    assert (call.status, call.agent_id) == (CallStatus.COMPLETED, "echo"), owner.bench.story()
    owner.bench.settled()


def test_a_call_goes_out_by_the_other_carrier(owner: Owner) -> None:
    owner.bring()
    if owner.provider == "plivo":  # its trunks run no document
        with pytest.raises(UnsupportedFeature, match="inbound only"):
            link(owner, carrier_host="sbc.example.net:5060")
        return
    link(owner)
    owner.gw.numbers.assign(THEIRS, agent="echo", outbound=True)
    address = CALLEE if owner.provider == "twilio" else f"sip:{CALLEE}@sbc.example.net:5060"
    owner.sim.script(address, Answer(talk_s=2))
    if owner.provider == "telnyx":  # it shows only numbers that it knows
        owner.sim.verify_caller_id(owner.account, THEIRS)
    placed = owner.bench.ended(owner.bench.place())
    assert (placed.status, placed.from_number) == (CallStatus.COMPLETED, THEIRS), owner.bench.story()
    [dial] = [entry.data["parameters"] for entry in owner.sim.dials(owner.provider)]
    by = dial.get("Byoc") if owner.provider == "twilio" else dial["to"]
    assert by == owner.gw.numbers.get(THEIRS).trunk_ref or by == address
    owner.bench.settled()


def test_what_is_missing_of_a_link_is_named_and_mended(owner: Owner) -> None:
    owner.bring()
    added = link(owner)
    owner.gw.numbers.assign(THEIRS, agent="echo", inbound=True)
    assert owner.gw.numbers.check(THEIRS).is_fine
    match owner.provider:
        case "twilio":
            owner.console("DELETE", f"/v1/ByocTrunks/{added.link.refs['byoc_trunk']}")
        case "telnyx":
            owner.sim.change_application(owner.account, owner.ref_of_ours(), inbound={"sip_subdomain": None})
        case _:
            owner.sim.remove_number(owner.account, THEIRS)
    check = owner.gw.numbers.check(THEIRS)
    assert check.differences
    assert owner.gw.numbers.repair(THEIRS).is_fine
    assert owner.gw.numbers.check(THEIRS).is_fine


def test_what_cannot_be_a_link_is_refused_before_anything_is_made(owner: Owner) -> None:
    owner.bring()
    for name, field in (("Not a name", "name"), ("", "name")):
        with pytest.raises(ValidationError, match=field):
            owner.gw.numbers.add_sip([THEIRS], credential=owner.provider, name=name, **LINKS[owner.provider])
    with pytest.raises(ValidationError, match="number"):
        owner.gw.numbers.add_sip([], credential=owner.provider, **LINKS[owner.provider])
    wish, refusal = CANNOT[owner.provider]
    with pytest.raises((ValidationError, UnsupportedFeature), match=refusal):
        owner.gw.numbers.add_sip([THEIRS], credential=owner.provider, **wish)
    assert owner.writes() == []
    assert sip_links.list_sip_links(owner.gw.services.store) == []
    with pytest.raises(NotFound):
        owner.gw.numbers.get(THEIRS)
