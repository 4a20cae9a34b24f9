"""Who asks: the key in `Authorization: Bearer …`, and nowhere else; its scopes; its rate.

Every route names the scope that it needs. A key is read from the database at least twice a second, so one that was
revoked is refused by every worker within half a second (R81). A good key is never refused for the wrong ones that came
from the same address.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

from flask import Request

from gateway import keys
from gateway.gateway import Gateway
from gateway.models import ApiKey, Scope
from gateway.web.api.errors import ApiError
from gateway.web.api.limits import RateLimit

TRUSTED_S: Final = 0.5
_MOST_KNOWN: Final = 10_000
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class Doorkeeper:
    """Lets requests in. Thread-safe."""

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        self._services = gateway.services
        self._per_key = RateLimit(gateway.services, "key", settings.rate_limit_per_key)
        self._known: dict[bytes, tuple[float, ApiKey]] = {}
        self._failed = RateLimit(gateway.services, "failed_auth", settings.rate_limit_failed_auth)

    def let_in(self, request: Request, scope: Scope) -> ApiKey:
        """Return the key that a request comes with.

        Raises:
            ApiError: 401 no key that is valid; 429 too many requests; 403 the key lacks the scope.
        """
        secret = _bearer(request)
        key = None if secret is None else self._key_of(secret)
        if key is None:
            if secret is not None:
                _check(self._failed.hit(request.remote_addr or "unknown"), "too many wrong keys")
            raise ApiError(401, "give a valid API key: Authorization: Bearer gwk_…", headers=_CHALLENGE)
        _check(self._per_key.hit(key.id), "too many requests")
        if not key.allows(scope):
            raise ApiError(403, f"this key lacks the scope {scope.value}")
        return key

    def _key_of(self, secret: str) -> ApiKey | None:
        """Return the key that `secret` is; a valid one is asked for again after `TRUSTED_S`."""
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        until, known = self._known.get(digest, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known if known.is_valid(self._services.clock()) else None
        key = keys.authenticate(self._services, secret)
        if key is None:
            self._known.pop(digest, None)
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = (time.monotonic() + TRUSTED_S, key)
        return key


def _bearer(request: Request) -> str | None:
    """Return what follows "Bearer" in the Authorization header, or None. Two of them come joined, which is no key."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def _check(wait_s: int | None, what: str) -> None:
    if wait_s is not None:
        raise ApiError(429, f"{what}: wait {wait_s} s", headers={"Retry-After": str(wait_s)})
