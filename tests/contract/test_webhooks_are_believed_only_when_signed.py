"""A webhook counts only with the account's own signature, over the configured URL and the raw body; once."""

from __future__ import annotations

import random

import pytest

from gateway import CallStatus
from gateway.store import events
from providers.simulator import Answer, Caller
from tests.bench import CALLEE, Bench, Delivered

NEW = "+14155550109"
SIGNATURES = {
    "twilio": ("X-Twilio-Signature",),
    "telnyx": ("Telnyx-Signature-Ed25519", "Telnyx-Timestamp"),
    "plivo": ("X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3", "X-Plivo-Signature-V3-Nonce"),
}


def play(bench: Bench) -> list[Delivered]:
    """An answered call; return its webhooks as they were delivered."""
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=3))
    bench.ended(bench.place())
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].is_over)
    bench.settled()
    found = [each for each in bench.web.delivered if "/streams/" not in each.target]
    assert len(found) >= 3
    return found


def rows(bench: Bench) -> int:
    return len(events.tail_events(bench.gw.services.store, "default", limit=500))


def without(one: Delivered, *names: str) -> tuple[tuple[str, str], ...]:
    lowered = {name.lower() for name in names}
    return tuple(pair for pair in one.headers if pair[0].lower() not in lowered)


def test_an_unsigned_webhook_is_refused(bench: Bench) -> None:
    delivered, before = play(bench), rows(bench)
    for one in delivered:
        for name in SIGNATURES[bench.provider]:
            if name == "X-Plivo-Signature-Ma-V3":
                continue
            names = (name, "X-Plivo-Signature-Ma-V3") if name == "X-Plivo-Signature-V3" else (name,)
            assert bench.web.again(one, headers=without(one, *names))[0] == 403
    assert rows(bench) == before


def test_a_changed_byte_is_refused(bench: Bench) -> None:
    delivered, before = play(bench), rows(bench)
    chance = random.Random(7)
    for one in delivered:
        for _ in range(12):
            at = chance.randrange(len(one.body))
            flipped = one.body[:at] + bytes([one.body[at] ^ (1 << chance.randrange(8))]) + one.body[at + 1 :]
            assert bench.web.again(one, body=flipped)[0] in (400, 403)
        name = SIGNATURES[bench.provider][0]
        for changed in ("", "A", "é" * 20, "A" * 10_000, "=" * 44):
            headers = [(key, changed) for key, _ in one.headers if key.lower() == name.lower()]
            wrong = (*without(one, *SIGNATURES["plivo"][:2], name), *headers)
            assert bench.web.again(one, headers=wrong)[0] in (400, 403)
    assert rows(bench) == before


def test_another_path_or_query_is_refused_where_the_url_is_signed(bench: Bench) -> None:
    if bench.provider == "telnyx":
        pytest.skip("Telnyx does not sign the URL: the body's own ids bind it (tested apart)")
    delivered = play(bench)
    for one in delivered:
        separator = "&" if "?" in one.target else "?"
        assert bench.web.again(one, target=f"{one.target}{separator}x=1")[0] == 403


def test_a_forged_host_or_forwarding_header_changes_nothing(bench: Bench) -> None:
    delivered = play(bench)
    for one in delivered:
        lies = (
            ("Host", "evil.example"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Port", "1"),
            ("X-Forwarded-Prefix", "/x"),
            ("Forwarded", "host=evil.example;proto=https"),
        )
        status, _ = bench.web.again(one, headers=(*without(one, "Host"), *lies))
        assert status == one.status == 200


def test_a_repeat_gets_the_same_answer_and_has_no_effect(bench: Bench) -> None:
    delivered, before = play(bench), rows(bench)
    calls = bench.gw.calls.list().calls
    for one in delivered:
        first, second = bench.web.again(one), bench.web.again(one)
        assert first == second
        assert first[0] == one.status
    assert rows(bench) == before
    assert bench.gw.calls.list().calls == calls


def test_a_replayed_answer_request_gives_out_no_second_stream_token(bench: Bench) -> None:
    if bench.provider == "telnyx":
        pytest.skip("Telnyx is answered by commands")
    bench.ring(caller=Caller(talk_s=30))
    bench.until(lambda: bench.agent.conversations and bench.agent.conversations[0].claim)
    one = next(each for each in bench.web.delivered if each.hook == "answer")
    status, body = bench.web.again(one)
    assert status == 200
    assert b"token" not in body
    assert b"Stream" not in body
    assert b"Hangup" in body or b"Reject" in body
    assert len(bench.agent.conversations) == 1


def test_another_accounts_webhook_is_refused(bench: Bench) -> None:
    delivered, before = play(bench), rows(bench)
    other = bench.sim.add_account(bench.provider, name="Other")
    extra = {"connection_id": other.connection_id} if bench.provider == "telnyx" else {}
    second = bench.gw.credentials.add(bench.provider, check=False, name="other", **other.secrets, **extra)
    for one in delivered:
        moved = one.target.replace(bench.credential.key, second.key)
        assert bench.web.again(one, target=moved)[0] == 403
        assert bench.web.again(one, target=one.target.replace(bench.credential.key, "0" * 32))[0] == 404
    assert rows(bench) == before


def test_an_event_of_another_credentials_attempt_is_refused_where_the_url_is_not_signed(bench: Bench) -> None:
    """The same account added twice: its signature fits both paths, its attempt belongs to one."""
    if bench.provider != "telnyx":
        pytest.skip("the URL is signed: a request for one path does not fit another")
    delivered = play(bench)
    twin = bench.gw.credentials.add(
        "telnyx", check=False, name="twin", connection_id=bench.account.connection_id, **bench.account.secrets
    )
    for one in delivered:
        assert bench.web.again(one, target=one.target.replace(bench.credential.key, twin.key))[0] == 403


def test_an_inbound_event_for_the_number_of_a_twin_credential_is_refused(bench: Bench) -> None:
    if bench.provider != "telnyx":
        pytest.skip("the URL is signed: a request for one path does not fit another")
    bench.ended(bench.the_call(bench.ring(caller=Caller(talk_s=2))))
    twin = bench.gw.credentials.add(
        "telnyx", check=False, name="twin", connection_id=bench.account.connection_id, **bench.account.secrets
    )
    before = len(bench.gw.calls.list().calls)
    one = next(each for each in bench.web.delivered if b"call.initiated" in each.body)
    assert bench.web.again(one, target=one.target.replace(bench.credential.key, twin.key))[0] == 403
    assert len(bench.gw.calls.list().calls) == before


@pytest.mark.parametrize(
    "squatter", ["another tenant", "another tenant with the same account", "another account"]
)
def test_a_number_that_somebody_else_wrote_down_still_rings_at_its_owner(bench: Bench, squatter: str) -> None:
    theirs = bench.account if "same" in squatter else bench.sim.add_account(bench.provider, name="Theirs")
    secrets = dict(theirs.secrets)
    if bench.provider == "telnyx":
        secrets["connection_id"] = theirs.connection_id
    workspace = "theirs" if "tenant" in squatter else "default"
    other = bench.gw.credentials.add(
        bench.provider, check=False, name="squatter", workspace_id=workspace, **secrets
    )
    bench.gw.numbers.add(NEW, credential=other.id, workspace_id=workspace)
    urls = bench.gw.credentials.webhooks(bench.credential)
    bench.sim.add_number(bench.account, NEW)
    if bench.provider != "telnyx":
        bench.sim.configure_number(
            NEW, voice_url=urls["answer"], status_url=urls["status"], fallback_url=urls["fallback"]
        )
    ringing = bench.ring(NEW)
    call = bench.ended(bench.the_call(ringing))
    assert (call.credential_id, call.workspace_id, call.to) == (bench.credential.id, "default", NEW)
    assert ["say", bench.gw.settings.unassigned_message] in [list(item[:2]) for item in ringing.heard]
    assert {each.status for each in bench.web.delivered} == {200}
    assert not bench.gw.calls.list(workspace_id="theirs").calls


def test_a_body_over_the_limit_is_refused_whatever_its_framing(bench: Bench) -> None:
    target = f"/voice/{bench.credential.key}/status"
    large = b"a" * 65_537
    assert bench.web.post(target, [("Content-Length", str(len(large)))], large)[0] == 413
    exact = b"a" * 65_536
    assert bench.web.post(target, [("Content-Length", str(len(exact)))], exact)[0] in (400, 403, 415)


def test_garbage_never_causes_a_server_error(bench: Bench) -> None:
    chance, before = random.Random(11), rows(bench)
    hooks = ("answer", "status", "recording", "fallback", "events", "amd/x", "next/x", "status/%ff%00")
    for number in range(120):
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(60)))
        kind = chance.choice(["application/x-www-form-urlencoded", "application/json", "text/xml", "", "é"])
        headers = [
            ("Content-Length", str(len(body))),
            ("Content-Type", kind.encode("latin-1").decode("latin-1")),
        ]
        for name in SIGNATURES[bench.provider]:
            junk = "".join(chr(chance.randrange(32, 256)) for _ in range(chance.randrange(90)))
            headers.append((name, junk.replace("\x7f", "")))
        status, _ = bench.web.post(
            f"/voice/{bench.credential.key}/{hooks[number % len(hooks)]}", headers, body
        )
        assert 400 <= status < 500, (status, body, headers)
    assert rows(bench) == before


def test_only_post_is_taken(bench: Bench) -> None:
    assert bench.web.post(f"/voice/{bench.credential.key}/status", method="GET")[0] == 405


def test_a_forgery_from_the_carriers_direction_is_refused_and_the_call_goes_on(bench: Bench) -> None:
    bench.sim.script(CALLEE, Answer(after_s=1, talk_s=3))
    bench.sim.faults.webhooks(bench.provider, forge=True, times=3)
    call = bench.ended(bench.place())
    assert call.status is CallStatus.COMPLETED
    refused = [each for each in bench.web.delivered if each.status == 403]
    assert len(refused) == 3
    assert {each.status for each in bench.web.delivered} == {200, 403}
