"""Numbers that stay with the person's own SIP carrier ring their agents, and calls go out by that carrier."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway import CallStatus
from gateway.errors import NotFound, ProviderUnavailable, UnsupportedFeature, ValidationError
from gateway.models import NumberKind
from gateway.store import sip_links
from providers.simulator import Answer, Caller, Fault
from tests.bench import CALLEE, CALLER, OURS
from tests.ownerkit import Owner

THEIRS: Final = "+12125550150"
ALSO_THEIRS: Final = "+12125550151"
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
    if owner.provider == "telnyx":  # it shows only numbers that it knows
        owner.sim.verify_caller_id(owner.account, THEIRS)
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


def test_a_number_that_may_not_be_shown_on_calls_out_is_named(owner: Owner) -> None:
    owner.bring()
    added = owner.gw.numbers.add_sip([THEIRS], credential=owner.provider, **LINKS[owner.provider])
    wanted = ["verified caller ID …0150"] if owner.provider == "telnyx" else []
    assert [each.setting for each in added.differences] == wanted
    assert [each.setting for each in owner.gw.numbers.check(THEIRS).differences] == wanted
    owner.sim.verify_caller_id(owner.account, THEIRS)
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


# -- taking it away

EVERY_WISH: Final[dict[str, dict[str, Any]]] = LINKS | {
    "plivo": {"carrier_ips": ["203.0.113.10"], "username": "acmegw", "password": "Correct4horse"}
}


def test_a_link_goes_with_its_last_number_and_what_stays_is_told(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.assign(OURS, agent="echo", outbound=True)  # the application stays
    owner.sim.verify_caller_id(owner.account, THEIRS)
    owner.gw.numbers.add_sip([THEIRS, ALSO_THEIRS], credential=owner.provider, **EVERY_WISH[owner.provider])
    made = owner.links()
    assert owner.gw.numbers.release(ALSO_THEIRS).notes == ()
    left = [each for each in made if each != f"number {ALSO_THEIRS[1:]}"]
    assert owner.links() == left, "the link has another number"
    assert owner.gw.numbers.check(THEIRS).is_fine
    notes = owner.gw.numbers.release(THEIRS).notes
    match owner.provider:
        case "twilio":
            assert (owner.links(), notes) == ([], ())
        case "telnyx":
            [subdomain] = made
            assert owner.links() == [subdomain.replace("from_anyone", "only_my_connections")]
            assert f"{subdomain.split()[0]}.sip.telnyx.com stays at Telnyx" in notes[0]
            assert owner.ref_of_ours() in notes[0]
            assert "closed to other carriers" in notes[0]
        case _:
            assert owner.links() == ["login acmegw"]
            assert "login acmegw" in notes[0]
            assert f"application {owner.ref_of_ours()} asks for it" in notes[0]
    assert sip_links.list_sip_links(owner.gw.services.store) == []
    assert [each.kind for each in owner.gw.numbers.list() if each.e164 == THEIRS] == []


def test_a_link_goes_with_its_account(owner: Owner) -> None:
    owner.bring()
    owner.gw.numbers.add_sip([THEIRS], credential=owner.provider, **EVERY_WISH[owner.provider])
    assert owner.gw.credentials.remove(owner.provider) == ()
    assert owner.links() == []


def test_a_link_that_is_left_as_it_is_is_named(owner: Owner) -> None:
    owner.bring()
    added = link(owner)
    made = owner.links()
    [note] = owner.gw.credentials.remove(owner.provider, configure=False)
    assert owner.links() == made
    assert "SIP link 'acme' stays" in note
    assert all(ref in note for ref in added.link.refs.values())


def test_a_link_whose_deletion_is_lost_is_deleted_by_asking_again(owner: Owner) -> None:
    if owner.provider == "telnyx":  # one write, to the application
        pytest.skip("its link is no thing of its own")
    owner.bring()
    link(owner)
    owner.sim.faults.api(owner.provider, "trunks", Fault.SERVER_ERROR_AFTER, times=1)
    with pytest.raises(ProviderUnavailable):
        owner.gw.numbers.release(THEIRS)
    assert owner.gw.numbers.get(THEIRS).kind is NumberKind.SIP
    assert owner.gw.numbers.release(THEIRS).notes == ()
    assert owner.links() == []


def test_what_somebody_else_uses_by_now_is_left(owner: Owner) -> None:
    if owner.provider == "telnyx":
        pytest.skip("a sub-domain is used by nobody else")
    owner.bring()
    added = link(owner)
    if owner.provider == "twilio":
        trunk = owner.console("POST", "/v1/ByocTrunks", FriendlyName="PBX")["sid"]
        account = f"/2010-04-01/Accounts/{owner.account.account_ref}"
        path = f"{account}/SIP/Domains/{added.link.refs['sip_domain']}.json"
        owner.console("POST", path, ByocTrunkSid=trunk)
    else:
        path = f"/v1/Account/{owner.account.account_ref}/Number/"
        carrier = added.link.refs["incoming_carrier"]
        owner.console("POST", path, numbers=ALSO_THEIRS[1:], carrier=carrier, region="US")
    notes = owner.gw.numbers.release(THEIRS).notes
    if owner.provider == "twilio":
        assert {each.split()[0] for each in owner.links()} == {
            "byoc_trunks",
            "domains",
            "ip_access_control_lists",
            "credential_lists",
        }
        assert all("it was given another trunk since" in note for note in notes)
        assert len(notes) == 3
    else:
        assert "has 1 numbers besides" in notes[0]
        assert f"number {ALSO_THEIRS[1:]}" in owner.links()
