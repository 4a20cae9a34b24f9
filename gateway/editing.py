"""Use case: change or delete what is known of a call.

Only the caller's own notes (`context`) and two settings can be changed; what happened to a call cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.acting import request_recording
from gateway.errors import Conflict, ValidationError
from gateway.journaling import note
from gateway.models import Call, CallSettings
from gateway.publishing import publish
from gateway.services import Services
from gateway.store import calls

LARGEST_CONTEXT: Final = 32 * 1024  # bytes of JSON
LONGEST_NAME: Final = 200
LONGEST_TEXT: Final = 20_000  # what the store keeps of a text; more would be cut off
DEEPEST: Final = 16
MOST_IDS: Final = 1000
OWN_ENTRIES: Final = frozenset({"dial", "last_error"})  # what the gateway itself says in a context


def edit_call(
    services: Services,
    workspace_id: str,
    call_id: str,
    *,
    context: Mapping[str, Any] | None = None,
    recording_enabled: bool | None = None,
    transcription_enabled: bool | None = None,
) -> Call:
    """Change a call's context and settings; None leaves each as it is. Fires `call.updated` when something changed.

    Args:
        context: entries to set, in the place of those of the same name; an entry of None is removed.
        recording_enabled: whether the conversation is recorded. A live call's recording starts or stops at the
            carrier: shortly after this returns, or with the answer.
        transcription_enabled: for the agent, which is told when it claims its stream.

    Raises:
        NotFound: no such call. ValidationError: a context that cannot be kept as it is; it names the entry.
        Conflict: a setting of a call that is over.
    """
    entries = context or {}
    _check_entries(entries)
    said = CallSettings(recording_enabled=recording_enabled, transcription_enabled=transcription_enabled)
    now = services.clock()
    with services.store.transaction() as tx:
        before = calls.load_call_for_update(tx, calls.load_call(tx, call_id, workspace_id=workspace_id).id)
        settings, merged = said.over(before.settings), _merged(before.context, entries)
        changed = _changes(before, settings, merged)
        if not changed:
            return before
        after = replace(
            before, settings=settings, context=merged, sequence=before.sequence + 1, updated_at=now
        )
        after = calls.save_call(tx, after, expected_version=before.version)
        note(tx, after, "call edited", now, detail=", ".join(changed))
        has_action = "recording_enabled" in changed and request_recording(services, tx, before, after, now)
        fired = publish(tx, before, after, now)
    services.notifier.fire(fired)
    if has_action:
        services.wake()
    return after


def delete_call(services: Services, workspace_id: str, call_id: str) -> None:
    """Delete a call that is over, with everything that belongs to it. Raises NotFound; Conflict while it is live."""
    with services.store.transaction() as tx:
        calls.delete_call(tx, workspace_id, call_id, at=services.clock())


def delete_calls(
    services: Services, workspace_id: str, call_ids: Iterable[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Delete the workspace's calls that are over.

    Returns:
        the ids of the deleted ones and of the others (live, or not the workspace's), both in the order given.

    Raises:
        ValidationError: no id, or more than 1000.
    """
    wanted = list(dict.fromkeys(call_ids))
    if not 1 <= len(wanted) <= MOST_IDS:
        raise ValidationError("ids", f"give 1 to {MOST_IDS} ids")
    with services.store.transaction() as tx:
        return calls.delete_calls(tx, workspace_id, wanted, at=services.clock())


def _changes(call: Call, settings: CallSettings, context: Mapping[str, Any]) -> list[str]:
    """Return the names of what changes. Raises Conflict for what cannot be changed now."""
    names = [
        name
        for name in ("recording_enabled", "transcription_enabled")
        if getattr(settings, name) is not getattr(call.settings, name)
    ]
    if names and call.status.is_final:
        raise Conflict(f"call {call.id} is {call.status.value}: its settings cannot be changed any more")
    return names if dict(context) == dict(call.context) else [*names, "context"]


def _merged(base: Mapping[str, Any], entries: Mapping[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in {**base, **entries}.items() if value is not None}
    own = {key: value for key, value in merged.items() if key not in OWN_ENTRIES}
    if len(json.dumps(own).encode()) > LARGEST_CONTEXT:
        raise ValidationError("context", f"at most {LARGEST_CONTEXT // 1024} KiB together")
    return merged


def _check_entries(entries: Mapping[str, Any]) -> None:
    for name, value in entries.items():
        if name in OWN_ENTRIES:
            raise ValidationError(f"context.{name}", "the gateway itself writes this entry")
        _check_value(name, f"context.{name[:60]}", 0)
        _check_value(value, f"context.{name[:60]}", 1)


def _check_value(value: Any, field: str, depth: int) -> None:
    """Refuse what the store would cut off: it keeps a context whole or not at all."""
    if depth > DEEPEST:
        raise ValidationError(field, f"nested deeper than {DEEPEST} levels")
    if isinstance(value, str) and len(value) > (LONGEST_NAME if depth == 0 else LONGEST_TEXT):
        raise ValidationError(field, f"names have at most {LONGEST_NAME} characters, texts {LONGEST_TEXT}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_value(str(key), field, 0)
            _check_value(item, field, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, field, depth + 1)
