"""Long checks of outgoing events, run short by the tests and long by `make proof`."""

from __future__ import annotations

import base64
import json
import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from gateway import delivering, endpoints
from gateway.folding import fold
from gateway.models import DEFAULT_WORKSPACE, WebhookEndpoint
from gateway.notifying import changes
from gateway.publishing import _notification
from gateway.showing import call_document
from gateway.status import (
    AnsweredBy,
    Authority,
    CallFacts,
    Cost,
    Duration,
    EndCause,
    EndedBy,
    EndReport,
    MachineVerdict,
    Recording,
)
from gateway.store.rows import ClaimedDelivery
from tests.outkit import URL, Post, Sent
from tests.storekit import SECOND, T0, a_call

OTHER = "another-tenant"
FOLLOWED = ("status", "end_reason", "duration_seconds", "cost", "answered_by")
REPORTS = (
    CallFacts(ringing=True),
    CallFacts(answered=True),
    CallFacts(answered=True, answered_at=T0),
    CallFacts(verdicts=(MachineVerdict(answered_by=AnsweredBy.HUMAN, at=T0),)),
    CallFacts(verdicts=(MachineVerdict(answered_by=AnsweredBy.MACHINE, at=T0 + SECOND),)),
    CallFacts(ends=(EndReport(cause=EndCause.HUNG_UP, ended_by=EndedBy.CALLEE, proves_answered=True),)),
    CallFacts(ends=(EndReport(cause=EndCause.BUSY, proves_answered=False),)),
    CallFacts(ends=(EndReport(cause=EndCause.INVALID_NUMBER),)),
    CallFacts(duration=Duration(seconds=61, authority=Authority.REPORTED)),
    CallFacts(duration=Duration(seconds=62, authority=Authority.RECORD)),
    CallFacts(cost=Cost(amount=Decimal("0.01"), currency="USD", authority=Authority.REPORTED)),
    CallFacts(cost=Cost(amount=Decimal("0.02"), currency="USD", authority=Authority.RECORD)),
    CallFacts(recordings=(Recording(ref="R1", duration_s=3),)),
    CallFacts(hangup_requested=EndCause.CANCELLED),
)


def a_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def is_accepted(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError):  # ValueError: not even of the form that it reads
        return False
    return True


def accepted_mutants(count: int, seed: int) -> int:
    """Change one thing of a signed event at random, `count` times; return how many the package still accepts."""
    rng = random.Random(seed)
    now = datetime.now(UTC)
    body = json.dumps({"type": "call.ended", "data": {"id": "4f1c", "n": 12}})
    secret, other = a_secret(), a_secret()
    headers = delivering.signed_headers([secret], "evt_018f4e0c", body, now)
    assert is_accepted(secret, body.encode(), dict(headers))
    accepted = 0
    for _ in range(count):
        changed_body, changed, used = bytearray(body.encode()), dict(headers), secret
        kind = rng.choice(("byte", "cut", "add", "id", "timestamp", "signature", "secret"))
        if kind == "byte":
            changed_body[rng.randrange(len(changed_body))] ^= 1 << rng.randrange(7)
        elif kind == "cut":
            del changed_body[rng.randrange(len(changed_body)) :]
        elif kind == "add":
            changed_body.insert(rng.randrange(len(changed_body) + 1), rng.randrange(32, 127))
        elif kind == "id":
            changed["webhook-id"] = _changed(rng, changed["webhook-id"])
        elif kind == "timestamp":
            changed["webhook-timestamp"] = str(
                int(changed["webhook-timestamp"]) + rng.choice((-200, -1, 1, 99))
            )
        elif kind == "signature":
            changed["webhook-signature"] = "v1," + _changed(rng, changed["webhook-signature"][3:-2]) + "A="
        else:
            used = other
        accepted += is_accepted(used, bytes(changed_body), changed)
    return accepted


def _changed(rng: random.Random, text: str) -> str:
    place = rng.randrange(len(text))
    return text[:place] + ("b" if text[place] == "a" else "a") + text[place + 1 :]


def wrongly_rebuilt(runs: int, seed: int) -> int:
    """R67: tell of random calls in any order, some events twice; return how many a plain consumer gets wrong.

    The consumer keeps, of each call, the event with the highest sequence, and nothing else.
    """
    rng = random.Random(seed)
    wrong = 0
    for _ in range(runs):
        call = a_call()
        events = []
        for at, facts in enumerate(rng.choices(REPORTS, k=rng.randint(1, 8))):
            after = fold(call, facts, T0 + at * SECOND)
            events += changes(call, after, T0 + at * SECOND)
            call = after
        told = [_notification(event, None).payload for event in events]
        told += rng.choices(told, k=rng.randint(0, 3)) if told else []
        rng.shuffle(told)
        kept: dict[str, Any] = {"sequence": 0, "status": "queued"}
        for payload in told:
            data = json.loads(payload)["data"]
            kept = data if data["sequence"] >= kept["sequence"] else kept
        now = call_document(call)
        wrong += any(kept.get(name) != now[name] for name in FOLLOWED)
    return wrong


def walk_two_tenants(post: Post, *, steps: int, seed: int) -> int:
    """Take random steps; check each request against a plain model of who may get what at that moment (R68).

    Returns:
        how many requests were checked.
    """
    rng = random.Random(seed)
    kinds = ("call.ringing", "call.ended", "call.failed")
    held: dict[str, WebhookEndpoint] = {}
    owner_of_event: dict[str, tuple[str, str]] = {}
    claimed: list[ClaimedDelivery] = []
    checked = 0
    strays: list[tuple[Sent, list[WebhookEndpoint]]] = []

    def react(sent: Sent) -> int:
        nonlocal checked
        workspace, kind = owner_of_event[sent.id]
        now = [e for e in held.values() if e.url == sent.url and e.is_enabled and e.wants(kind)]
        if [e.workspace_id for e in now] != [workspace]:
            strays.append((sent, now))
        checked += 1
        return rng.choice((200, 200, 500))

    def types() -> list[str]:
        return rng.sample(kinds, rng.randint(0, 3))

    post.react(react)
    for step in range(steps):
        workspace = rng.choice((DEFAULT_WORKSPACE, OTHER))
        mine = [e for e in held.values() if e.workspace_id == workspace]
        action = rng.choice(
            ("create", "event", "event", "event", "change", "move", "switch", "remove", "round")
        )
        if action == "create" and len(mine) < 4:
            made = post.endpoint(f"{URL}/{step}", event_types=types(), workspace_id=workspace)
            held[made.id] = made
        elif action == "event":
            event = post.event(rng.choice(kinds), workspace_id=workspace)
            owner_of_event[event.id] = (workspace, event.type)
        elif action == "round":
            post.clock.move(timedelta(seconds=rng.choice((0, 6, 600))))
            claimed += delivering.claim(post.services, rng.randint(1, 10))
            rng.shuffle(claimed)
            sending, claimed = claimed[2:], claimed[:2]  # two are sent later, when more has changed
            sent = [delivering.send(post.services, post.egress, one) for one in sending]  # type: ignore[arg-type]
            delivering.settle(post.services, sent)
        elif mine:
            each = rng.choice(mine)
            held.pop(each.id)
            if action == "change":
                each = endpoints.change_endpoint(
                    post.services, each.id, event_types=types(), workspace_id=workspace
                )
            elif action == "move":
                each = endpoints.change_endpoint(
                    post.services, each.id, url=f"{URL}/{step}", workspace_id=workspace
                )
            elif action == "switch":
                switch = endpoints.disable_endpoint if each.is_enabled else endpoints.enable_endpoint
                each = switch(post.services, each.id, workspace_id=workspace)
            if action == "remove":
                endpoints.remove_endpoint(post.services, each.id, workspace_id=workspace)
            else:
                held[each.id] = each
    assert strays == []
    assert checked > steps // 20
    return checked
