"""Use case: the embedding program ends a call, whatever it is doing."""

from __future__ import annotations

from gateway import acting
from gateway.errors import ProviderUnavailable
from gateway.folding import fold
from gateway.journaling import note
from gateway.models import Call
from gateway.publishing import publish
from gateway.services import Services
from gateway.status import CallFacts, EndCause
from gateway.store import actions, calls
from gateway.store.rows import ActionState


def hang_up(services: Services, workspace_id: str, call_id: str) -> Call:
    """End a call, also while queued or ringing (the end is then `cancelled`); a call that is over is a success.

    The wish is stored first and sent to the carrier until it is known to have arrived. A dial that is under way, or
    whose outcome is not known, is ended as soon as the carrier names it.

    Raises:
        NotFound: no such call. ProviderUnavailable: the carrier could not be told yet; the gateway keeps trying.
    """
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, calls.load_call(tx, call_id, workspace_id=workspace_id).id)
        if before.status.is_final:
            return before
        after = fold(before, CallFacts(hangup_requested=EndCause.CANCELLED), now)
        note(tx, after, "hang-up requested", now)
        action = acting.request_hang_up(tx, after, None, now, is_claimed=True) if after.leg_id else None
        if after is not before:
            after = calls.save_call(tx, after, expected_version=before.version)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    if action is None:
        return after
    acting.run(services, action)
    mine = next((a for a in actions.list_actions(services.store, call_id) if a.id == action.id), None)
    if mine is not None and mine.state is not ActionState.DONE and mine.last_error:
        what_next = "it is sent again" if mine.state is ActionState.PENDING else "it was given up"
        raise ProviderUnavailable(
            f"the hang-up has not arrived, {what_next}: {mine.last_error}", provider=after.provider or ""
        )
    return calls.load_call(services.store, call_id)
