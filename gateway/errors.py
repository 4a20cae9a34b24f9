"""Every error the gateway raises, by what the caller can do about it.

::

    GatewayError
    ├── ConfigurationError          fix the setup: settings, keys, a missing extra
    │   ├── MissingExtra            install the named extra
    │   └── SchemaMismatch          run `gateway db upgrade`, or install a newer gateway
    ├── ValidationError             fix the argument; names the field
    │   ├── InvalidNumber           not one strict E.164 number
    │   ├── DialRefused             a guard forbids this destination (emergency, country, number type)
    │   ├── CallerIdRefused         `from_number` may not be shown by this agent
    │   └── NoOutboundNumber        the agent has no number to call from
    ├── NotFound                    no such agent, number, credential, call, recording
    ├── Conflict                    the state forbids it now (agent at capacity, number taken, key reused)
    ├── PaymentRequired             the embedding program does not pay for this call (its `authorize_call` hook)
    ├── UnsupportedFeature          this carrier has no way to express it; nothing was sent
    ├── WebhookRejected             refused webhook: reason and HTTP status
    ├── StoreUnavailable            the database cannot store now: locked, full, read-only, gone
    └── ProviderError               what the carrier answered: provider, http_status, vendor_code, vendor_request_id
        ├── RequestRefused          the carrier says no; the same request will be refused again
        ├── RateLimited             try again after `retry_after_s`
        └── ProviderUnavailable     no usable answer: whether it took effect is not known

A dial's outcome is a value (`gateway.interface.DialOutcome`), not an error: `unknown` matters most.
"""

from __future__ import annotations

from enum import StrEnum


class GatewayError(Exception):
    """Base of every error raised by the gateway."""


class ConfigurationError(GatewayError):
    """The setup is wrong: the message says what to change and where it was looked for."""


class MissingExtra(ConfigurationError):
    """A vendor library is not installed; the message names the extra to install."""

    def __init__(self, provider: str, extra: str) -> None:
        super().__init__(
            f"{provider} needs a library that is not installed: pip install 'telephony-gateway[{extra}]'"
        )
        self.extra = extra


class SchemaMismatch(ConfigurationError):
    """The database has an older schema (upgrade it) or a newer, unknown one (install a newer gateway)."""


class ValidationError(GatewayError):
    """An argument is wrong. `field` is its public name, `message` says what is accepted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InvalidNumber(ValidationError):
    """Not one strict E.164 number."""


class DialRefused(ValidationError):
    """A guard forbids this destination; nothing was stored or sent. `reason` is a closed word."""

    def __init__(self, field: str, message: str, *, reason: str) -> None:
        super().__init__(field, message)
        self.reason = reason


class CallerIdRefused(ValidationError):
    """The `from_number` given is not assigned to the agent for outbound calls."""


class NoOutboundNumber(ValidationError):
    """The agent has no number assigned for outbound calls."""


class NotFound(GatewayError):
    """No such thing in this workspace. `kind` is its word ("agent", "number", "credential", "call" ...)."""

    def __init__(self, kind: str, ident: str) -> None:
        super().__init__(f"no {kind} {ident!r}")
        self.kind = kind
        self.ident = ident


class Conflict(GatewayError):
    """What is stored forbids this now; the message says what stands in the way."""


class PaymentRequired(GatewayError):
    """The embedding program's `authorize_call` hook says no; nothing was stored or sent. Its message is shown."""


class UnsupportedFeature(GatewayError):
    """The carrier has no way to express the request; nothing was sent."""

    def __init__(self, provider: str, feature: str, hint: str = "") -> None:
        super().__init__(f"{provider} does not support {feature}" + (f": {hint}" if hint else ""))
        self.provider = provider
        self.feature = feature


class RejectionReason(StrEnum):
    """Why a webhook was refused: the same word in the log line, the counter and the answer's status."""

    NO_SECRET = "no_secret"  # noqa: S105 - a word, not a secret: nothing to check against: fail closed
    MISSING_SIGNATURE = "missing_signature"
    BAD_SIGNATURE = "bad_signature"
    STALE = "stale"
    MALFORMED = "malformed"
    WRONG_ACCOUNT = "wrong_account"
    UNSUPPORTED_MEDIA = "unsupported_media"
    TOO_LARGE = "too_large"
    UNKNOWN_KEY = "unknown_key"


STATUS_BY_REJECTION: dict[RejectionReason, int] = {
    RejectionReason.NO_SECRET: 403,
    RejectionReason.MISSING_SIGNATURE: 403,
    RejectionReason.BAD_SIGNATURE: 403,
    RejectionReason.STALE: 403,
    RejectionReason.MALFORMED: 400,
    RejectionReason.WRONG_ACCOUNT: 403,
    RejectionReason.UNSUPPORTED_MEDIA: 415,
    RejectionReason.TOO_LARGE: 413,
    RejectionReason.UNKNOWN_KEY: 404,
}


class WebhookRejected(GatewayError):
    """A webhook is refused. Never carries the body, a signature or a secret."""

    def __init__(self, reason: RejectionReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail

    @property
    def http_status(self) -> int:
        """The HTTP status to answer with."""
        return STATUS_BY_REJECTION[self.reason]


class StoreUnavailable(GatewayError):
    """The database cannot take this now; nothing was half written. `retry_after_s` is a hint."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderError(GatewayError):
    """What the carrier answered to anything but a dial."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        http_status: int | None = None,
        vendor_code: str | None = None,
        vendor_request_id: str | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.message = message
        self.provider = provider
        self.http_status = http_status
        self.vendor_code = vendor_code
        self.vendor_request_id = vendor_request_id


class RequestRefused(ProviderError):
    """The carrier refused; sending the same again changes nothing."""


class RateLimited(ProviderError):
    """The carrier asks to wait; `retry_after_s` is its figure, or None."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retry_after_s: float | None = None,
        http_status: int | None = None,
        vendor_code: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, http_status=http_status, vendor_code=vendor_code)
        self.retry_after_s = retry_after_s


class ProviderUnavailable(ProviderError):
    """No usable answer came: refused connection, timeout, 5xx, garbage."""
