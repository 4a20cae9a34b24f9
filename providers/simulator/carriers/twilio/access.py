"""Who asks Twilio's REST API: Basic authentication, and what a key or an inactive account may not do."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Handler
from providers.simulator.carriers.twilio.checks import Refusal, not_found
from providers.simulator.carriers.twilio.model import TwilioAccount

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.console import Console

ACCOUNT: Final = "/2010-04-01/Accounts/{account}"
PAGING: Final = ("PageSize", "Page", "PageToken")

AccountHandler = Callable[[ApiRequest, TwilioAccount], ApiAnswer | Awaitable[ApiAnswer]]


class Access:
    """Puts handlers behind authentication."""

    def __init__(self, face: Console) -> None:
        self._face = face

    def guard(self, handler: AccountHandler, *, is_account: bool = False) -> Handler:
        """The handler behind authentication; refusals become Twilio's error bodies.

        Args:
            is_account: an Account resource: no standard key may read it, and it is shown of an inactive account too.
        """

        async def guarded(request: ApiRequest) -> ApiAnswer:
            try:
                account = self._authenticate(request, is_account)
                answer = handler(request, account)
                return answer if isinstance(answer, ApiAnswer) else await answer
            except Refusal as refusal:
                return refusal.answer()

        return guarded

    def _authenticate(self, request: ApiRequest, is_account: bool) -> TwilioAccount:
        """The account of the path: the caller's own, or one of its sub-accounts; without one in it, the caller's."""
        user, password = _credentials(request.headers.get("Authorization", ""))
        owner, is_main = self._owner(user, password)
        if owner is None or (is_account and not is_main):
            raise Refusal(20003, "Authenticate")
        account = self._face.accounts.get(request.parts.get("account", owner.sid))
        if account is None or owner not in (account, account.parent):
            raise not_found(request.path)
        shows_inactive = is_account and not self._face.habits.hides_inactive_account
        if not shows_inactive and not (owner.status == account.status == "active"):
            raise Refusal(20005, "Account not active", 403)
        return account

    def _owner(self, user: str, password: str) -> tuple[TwilioAccount | None, bool]:
        for account in self._face.accounts.values():
            secret, is_main = account.api_keys.get(user, ("", False))
            tokens = filter(None, (account.auth_token, account.secondary_token))
            if user == account.sid and any(_same(password, token) for token in tokens):
                return account, True
            if secret and _same(password, secret):
                return account, is_main
        return None, False


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
