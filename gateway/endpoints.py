"""Use case: where events go to the outside, and the secrets that sign them.

A secret has 32 random bytes, is shown once, when it is made, and is kept sealed. A rotation makes a new one and lets
the one before sign too for a day, so that receivers change over without losing an event (R60).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.egress import EgressPolicy
from gateway.errors import ValidationError
from gateway.ids import new_id
from gateway.models import DEFAULT_WORKSPACE, WebhookEndpoint
from gateway.notifying import EventType
from gateway.services import Services
from gateway.store import endpoints as stored
from gateway.store.rows import SealedEndpoint

OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=30)
_SECRET_BYTES: Final = 32
_CURRENT: Final = "current"
_PREVIOUS: Final = "previous"


def create_endpoint(
    services: Services,
    url: str,
    *,
    event_types: Iterable[str] = (),
    include_numbers: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> tuple[WebhookEndpoint, str]:
    """Add an endpoint; return it with its secret ("whsec_…"), which is shown this once.

    Args:
        url: https, to a public host; others the operator must allow (`allowed_webhook_hosts`).
        event_types: what it hears of; none: everything.
        include_numbers: whole phone numbers; else their last four digits (R67).

    Raises:
        ValidationError: nothing may be sent to this URL, or there is no such event; it names the field.
    """
    now = services.clock()
    made = WebhookEndpoint(
        id=new_id(),
        workspace_id=workspace_id,
        url=_checked_url(services, url),
        event_types=_checked_types(event_types),
        include_numbers=include_numbers,
        created_at=now,
        updated_at=now,
    )
    secret = _new_secret()
    sealed = _seal(services, made, secret, "")
    with services.store.transaction() as tx:
        stored.insert_endpoint(tx, made, sealed=sealed)
    return made, secret


def list_endpoints(services: Services, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[WebhookEndpoint]:
    """Return the workspace's endpoints, oldest first."""
    return stored.list_endpoints(services.store, workspace_id)


def load_endpoint(
    services: Services, endpoint_id: str, workspace_id: str = DEFAULT_WORKSPACE
) -> WebhookEndpoint:
    """Return an endpoint. Raises NotFound, also for another workspace's."""
    return stored.load_endpoint(services.store, workspace_id, endpoint_id)


def change_endpoint(
    services: Services,
    endpoint_id: str,
    *,
    url: str | None = None,
    event_types: Iterable[str] | None = None,
    include_numbers: bool | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> WebhookEndpoint:
    """Change where events go, which, or with what numbers; None leaves it as it is.

    From then on the old address gets nothing (R68).

    Raises:
        NotFound, ValidationError.
    """
    checked_url = None if url is None else _checked_url(services, url)
    types = None if event_types is None else _checked_types(event_types)
    with services.store.transaction() as tx:
        found = stored.load_endpoint(tx, workspace_id, endpoint_id)
        changed = replace(
            found,
            url=found.url if checked_url is None else checked_url,
            event_types=found.event_types if types is None else types,
            include_numbers=found.include_numbers if include_numbers is None else include_numbers,
            updated_at=services.clock(),
        )
        stored.save_endpoint(tx, changed)
    return changed


def rotate_secret(
    services: Services,
    endpoint_id: str,
    *,
    overlap: timedelta = OVERLAP,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> tuple[WebhookEndpoint, str]:
    """Make a new secret, shown this once; the one before it signs too until `overlap` is over.

    Args:
        overlap: nothing to 30 days; nothing, where the old secret is known to others.

    Raises:
        NotFound, ValidationError.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValidationError("overlap", f"give nothing to {LONGEST_OVERLAP.days} days")
    now, secret = services.clock(), _new_secret()
    with services.store.transaction() as tx:
        found = stored.load_sealed_endpoint(tx, workspace_id, endpoint_id)
        previous = _open(services, found)[_CURRENT] if overlap else ""
        sealed = _seal(services, found.endpoint, secret, previous)
        until = now + overlap if overlap else None
        stored.save_endpoint_secrets(tx, workspace_id, endpoint_id, sealed, previous_until=until, at=now)
    return replace(found.endpoint, updated_at=now), secret


def enable_endpoint(
    services: Services, endpoint_id: str, *, workspace_id: str = DEFAULT_WORKSPACE
) -> WebhookEndpoint:
    """Send events again, those that waited while it was disabled first. Raises NotFound."""
    changed = _switch(services, workspace_id, endpoint_id, reason=None)
    services.wake()
    return changed


def disable_endpoint(
    services: Services,
    endpoint_id: str,
    *,
    reason: str = "disabled by its owner",
    workspace_id: str = DEFAULT_WORKSPACE,
) -> WebhookEndpoint:
    """Send nothing until it is enabled; what is pending waits, what happens meanwhile it does not hear of.

    Raises:
        NotFound.
    """
    return _switch(services, workspace_id, endpoint_id, reason=reason)


def remove_endpoint(services: Services, endpoint_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> None:
    """Remove an endpoint, its secrets and its deliveries; nothing more is sent to it. Raises NotFound."""
    with services.store.transaction() as tx:
        stored.remove_endpoint(tx, workspace_id, endpoint_id)


def live_secrets(services: Services, found: SealedEndpoint, now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign an event now: the current one, then the previous one while it is live.

    Raises:
        ConfigurationError: the secrets do not open with the keys we have.
    """
    opened = _open(services, found)
    is_rotating = found.previous_until is not None and now < found.previous_until
    both = (opened[_CURRENT], opened[_PREVIOUS]) if is_rotating else (opened[_CURRENT],)
    return tuple(secret for secret in both if secret)


def policy_of(services: Services) -> EgressPolicy:
    """Return where events may go by the settings in force."""
    return EgressPolicy(allowed_hosts=services.settings.allowed_webhook_hosts)


def _switch(services: Services, workspace_id: str, endpoint_id: str, reason: str | None) -> WebhookEndpoint:
    with services.store.transaction() as tx:
        found = stored.load_endpoint(tx, workspace_id, endpoint_id)
        changed = replace(
            found,
            is_enabled=reason is None,
            disabled_reason=reason,
            failing_since=None if reason is None else found.failing_since,
            updated_at=services.clock(),
        )
        stored.save_endpoint(tx, changed)
        stored.pause_endpoint(tx, endpoint_id, None)
    return changed


def _checked_url(services: Services, url: str) -> str:
    policy_of(services).target(url)
    return url


def _checked_types(event_types: Iterable[str]) -> tuple[str, ...]:
    known = [kind.value for kind in EventType]
    given = list(dict.fromkeys(event_types))
    for name in given:
        if name not in known:
            raise ValidationError("event_types", f"{str(name)[:40]!r} is not one of: {', '.join(known)}")
    return tuple(name for name in known if name in given)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def _seal(services: Services, endpoint: WebhookEndpoint, current: str, previous: str) -> str:
    values = {_CURRENT: current, _PREVIOUS: previous}
    return services.vault.seal(values, workspace_id=endpoint.workspace_id, row_id=endpoint.id)


def _open(services: Services, found: SealedEndpoint) -> dict[str, str]:
    owner = found.endpoint
    return services.vault.open(found.sealed, workspace_id=owner.workspace_id, row_id=owner.id)
