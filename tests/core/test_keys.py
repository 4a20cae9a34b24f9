"""Keys of the public API: shown once, kept as a hash, refused at once when revoked (R81)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, keys
from gateway.errors import NotFound, ValidationError
from gateway.models import ApiKey, Scope
from gateway.services import Services
from gateway.settings import load_settings
from gateway.store import api_keys
from tests.storekit import SECOND, T0

OTHER = "another-tenant"
DAY = timedelta(days=1)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with Gateway.open(settings, background=False) as opened:
        opened.services.clock = lambda: T0
        yield opened.services


def at(services: Services, moment: datetime) -> Services:
    services.clock = lambda: moment
    return services


def made(services: Services, *scopes: str, **said: Any) -> tuple[ApiKey, str]:
    return keys.create_key(services, "dashboard", scopes or ("calls:read",), **said)


def test_a_key_is_a_mark_and_256_random_bits_and_is_what_it_authenticates_as(services: Services) -> None:
    key, secret = made(services, "calls:read", "numbers:buy", workspace_id=OTHER, expires_at=T0 + DAY)
    assert re.fullmatch(r"gwk_[A-Za-z0-9_-]{43}", secret)
    assert (key.prefix, key.name, key.workspace_id) == (secret[:12], "dashboard", OTHER)
    assert (key.created_at, key.expires_at, key.revoked_at) == (T0, T0 + DAY, None)
    assert key.scopes == {Scope.CALLS_READ, Scope.NUMBERS_BUY}
    assert keys.authenticate(services, secret) == key
    assert made(services)[1] != secret


def test_the_database_holds_a_hash_and_nothing_that_could_be_used(services: Services, tmp_path: Path) -> None:
    key, secret = made(services)
    stored = api_keys.find_key_by_prefix(services.store, key.prefix)
    assert stored is not None
    assert stored.key_hash == hashlib.sha256(secret.encode()).hexdigest()
    services.store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.prefix.encode() in content
    assert secret[12:].encode() not in content
    assert stored.key_hash not in repr(stored)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda secret: "",
        lambda secret: secret[:-1],
        lambda secret: secret + "A",
        lambda secret: secret[:12] + "A" * 35,
        lambda secret: secret[:12],
        lambda secret: secret.upper(),
        lambda secret: secret + "\n",
        lambda secret: " " + secret,
        lambda secret: "gwk_" + "A" * 43,
        lambda secret: "gwk_" + "é" * 43,
        lambda secret: "\udc80" * 47,
        lambda secret: secret[:12] + "%" * 35,
        lambda secret: "x" * 100_000,
    ],
)
def test_anything_but_the_key_authenticates_as_nobody(services: Services, spoil: Any) -> None:
    _, secret = made(services)
    spoiled = spoil(secret)
    assert spoiled != secret
    assert keys.authenticate(services, spoiled) is None


def test_the_hash_itself_does_not_authenticate(services: Services) -> None:
    _, secret = made(services)
    assert keys.authenticate(services, hashlib.sha256(secret.encode()).hexdigest()) is None


def test_a_key_is_refused_from_its_expiry_on(services: Services) -> None:
    key, secret = made(services, expires_at=T0 + DAY)
    assert keys.authenticate(at(services, T0 + DAY - SECOND), secret) == key
    assert keys.authenticate(at(services, T0 + DAY), secret) is None


def test_a_revoked_key_is_refused_by_another_worker_at_the_next_request(
    services: Services, tmp_path: Path
) -> None:
    key, secret = made(services)
    settings = load_settings(env={}, database_url=f"sqlite:///{tmp_path / 'gateway.db'}")
    with Gateway.open(settings, background=False) as another:
        assert keys.authenticate(another.services, secret) == key
        keys.revoke_key(at(services, T0 + SECOND), key.id)
        refused = [keys.authenticate(another.services, secret) for _ in range(1000)]
    assert refused == [None] * 1000
    assert keys.list_keys(services)[0].revoked_at == T0 + SECOND


@pytest.mark.parametrize("name", ["id", "prefix", "secret"])
def test_a_key_is_revoked_by_its_id_its_prefix_or_itself(services: Services, name: str) -> None:
    key, secret = made(services)
    kept, _ = made(services)
    ident = {"id": key.id, "prefix": key.prefix, "secret": secret}[name]
    assert keys.revoke_key(services, ident).id == key.id
    assert keys.revoke_key(at(services, T0 + DAY), ident).revoked_at == T0
    assert [each.id for each in keys.list_keys(services) if each.revoked_at is None] == [kept.id]


def test_another_workspaces_key_is_not_found_and_a_mistaken_key_is_not_shown(services: Services) -> None:
    key, secret = made(services, workspace_id=OTHER)
    for ident in (key.id, key.prefix, secret, "missing"):
        with pytest.raises(NotFound) as caught:
            keys.revoke_key(services, ident)
        assert secret[12:] not in str(caught.value)
    assert keys.list_keys(services) == []
    assert keys.authenticate(services, secret) == key


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 201}),
        ("name", {"name": "a\nb"}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["calls:write", "calls:delete"]}),
        ("scopes", {"scopes": ["CALLS:READ"]}),
        ("expires_at", {"expires_at": T0}),
        ("expires_at", {"expires_at": T0.replace(tzinfo=None) + DAY}),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_field_and_nothing_is_kept(
    services: Services, field: str, said: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        keys.create_key(services, **{"name": "dashboard", "scopes": ["calls:read"], **said})
    assert caught.value.field == field
    assert keys.list_keys(services) == []


def test_a_scope_allows_itself_and_admin_allows_everything(services: Services) -> None:
    reader, _ = made(services, "calls:read")
    admin, _ = made(services, "admin")
    assert [scope for scope in Scope if reader.allows(scope)] == [Scope.CALLS_READ]
    assert all(admin.allows(scope) for scope in Scope)
