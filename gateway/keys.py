"""Use case: keys of the public API.

A key is "gwk_" and 256 random bits. It is shown once, when it is made; what is kept is its SHA-256 (a slow hash is for
passwords, which can be guessed; 256 random bits cannot) and its first characters, by which it is found (R81). Nothing
is remembered here: `authenticate` reads the database, so a revoked key is none at once. The web side asks at least
twice a second.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gateway.errors import NotFound, ValidationError
from gateway.ids import new_id
from gateway.models import DEFAULT_WORKSPACE, ApiKey, Scope
from gateway.services import Services
from gateway.store import api_keys

KEY_MARK: Final = "gwk_"
PREFIX_LENGTH: Final = 12
_RANDOM_BYTES: Final = 32
_SHAPE: Final = re.compile(r"gwk_[A-Za-z0-9_-]{43}")
_LONGEST_NAME: Final = 200
_NO_HASH: Final = "0" * 64  # what an unknown key is compared with: no key has it


def create_key(
    services: Services,
    name: str,
    scopes: Iterable[Scope | str],
    *,
    expires_at: datetime | None = None,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> tuple[ApiKey, str]:
    """Make a key.

    Args:
        name: what it is for, 1 to 200 characters.
        scopes: what it may do, at least one; `admin` is all of them.
        expires_at: from when on it is refused (aware); None: never.

    Returns:
        the key as it is kept, and the key itself, which cannot be had again.

    Raises:
        ValidationError: a wrong name, scope or expiry.
    """
    now = services.clock()
    if not 1 <= len(name.strip()) <= _LONGEST_NAME or not name.isprintable():
        raise ValidationError("name", f"give 1 to {_LONGEST_NAME} printable characters")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise ValidationError("expires_at", "give a time with its zone, in the future")
    secret = KEY_MARK + secrets.token_urlsafe(_RANDOM_BYTES)
    key = ApiKey(
        id=new_id(),
        workspace_id=workspace_id,
        name=name.strip(),
        prefix=secret[:PREFIX_LENGTH],
        scopes=read_scopes(scopes),
        expires_at=expires_at,
        created_at=now,
    )
    with services.store.transaction() as tx:
        api_keys.insert_key(tx, key, key_hash=_hash(secret))
    return key, secret


def authenticate(services: Services, secret: str) -> ApiKey | None:
    """Return the key that `secret` is, or None: malformed, unknown, revoked or expired, and it is not said which."""
    well_formed = _SHAPE.fullmatch(secret) is not None
    found = api_keys.find_key_by_prefix(services.store, secret[:PREFIX_LENGTH]) if well_formed else None
    wanted = _NO_HASH if found is None else found.key_hash
    is_right = hmac.compare_digest(_hash(secret), wanted)
    if found is None or not is_right or not found.key.is_valid(services.clock()):
        return None
    return found.key


def list_keys(services: Services, workspace_id: str = DEFAULT_WORKSPACE) -> list[ApiKey]:
    """Return the workspace's keys, oldest first, revoked and expired ones too."""
    return api_keys.list_keys(services.store, workspace_id)


def revoke_key(services: Services, ident: str, workspace_id: str = DEFAULT_WORKSPACE) -> ApiKey:
    """Refuse a key from now on, on every worker. A key that is revoked already stays as it is.

    Args:
        ident: the key's id, its prefix, or the whole key (which leaked, say).

    Raises:
        NotFound: the workspace has no such key.
    """
    named = ident[:PREFIX_LENGTH] if ident.startswith(KEY_MARK) else ident[:40]
    known = next(
        (each for each in list_keys(services, workspace_id) if named in (each.id, each.prefix)), None
    )
    if known is None:
        raise NotFound("API key", named)
    with services.store.transaction() as tx:
        return api_keys.revoke_key(tx, workspace_id, known.id, at=services.clock())


def read_scopes(words: Iterable[Scope | str]) -> frozenset[Scope]:
    """Return the scopes of these words. Raises ValidationError for another word, and when there is none."""
    known = [scope.value for scope in Scope]
    given = list(words)
    for word in given:
        if word not in known:
            raise ValidationError("scopes", f"{str(word)[:40]!r} is not one of: {', '.join(known)}")
    if not given:
        raise ValidationError("scopes", f"give at least one of: {', '.join(known)}")
    return frozenset(Scope(word) for word in given)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
