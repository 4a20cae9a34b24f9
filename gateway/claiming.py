"""Use case: the agent's own server claims the token that its media stream began with, and learns what the call is."""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.acting import hasten_recording
from gateway.errors import Conflict, NotFound
from gateway.folding import fold
from gateway.journaling import note
from gateway.models import Call
from gateway.publishing import publish
from gateway.receiving import next_look_in
from gateway.services import Services
from gateway.status import CallFacts
from gateway.store import calls, steps
from gateway.store.rows import ClaimResult


def claim_stream(services: Services, token: str) -> dict[str, Any]:
    """Claim a stream: once, in time. The agent counts as joined from now on.

    Returns:
        The call as its agent needs it: `call_id`, `agent_id`, `to`, `from_number`, `phone_number`, `direction`,
        `variables`, `settings`, `greeting`, `context`.

    Raises:
        Conflict: claimed before. NotFound: unknown or expired token, or the call is over.
    """
    hashed = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
    now = services.clock()
    with services.store.transaction() as tx:
        claim = steps.claim_stream(tx, hashed, now)
        if claim.result is ClaimResult.ALREADY:
            raise Conflict("this stream token was claimed before")
        if claim.step is None or claim.result is not ClaimResult.CLAIMED:
            raise NotFound("stream token", "unknown or expired")
        before = calls.load_call_for_update(tx, claim.step.call_id)
        if before.status.is_final:
            raise NotFound("stream token", "of a call that is over")
        after = fold(before, CallFacts(answered=True), now)
        note(tx, after, "agent joined", now, detail=f"agent {claim.step.agent_id}")
        if after is not before:
            look_at = now + next_look_in(after, now)
            after = calls.save_call(tx, after, expected_version=before.version, next_look_at=look_at)
        has_action = hasten_recording(tx, before, after, now)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    if has_action:
        services.wake()
    return claimed_call(after, claim.step.agent_id)


def claimed_call(call: Call, agent_id: str | None) -> dict[str, Any]:
    """Return what a claim answers. Pure."""
    return {
        "call_id": call.id,
        "agent_id": agent_id or call.agent_id,
        "direction": call.direction.value,
        "to": call.to,
        "from_number": call.from_number,
        "phone_number": call.phone_number,
        "variables": dict(call.variables),
        "settings": call.settings.as_dict(),
        "greeting": call.settings.greeting,
        "context": dict(call.context),
    }
