"""One interface over the voice APIs of Twilio, Telnyx and Plivo.

What an embedding program uses stands in `__all__`; each name is imported on first use, so that `import gateway` loads
neither Flask, SQLAlchemy nor a vendor's library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.errors import (
        CallerIdRefused,
        ConfigurationError,
        Conflict,
        DialRefused,
        GatewayError,
        InvalidNumber,
        MissingExtra,
        NoOutboundNumber,
        NotFound,
        PaymentRequired,
        ProviderError,
        ProviderUnavailable,
        RateLimited,
        RequestRefused,
        StoreUnavailable,
        UnsupportedFeature,
        ValidationError,
        WebhookRejected,
    )
    from gateway.gateway import Gateway
    from gateway.instructions import Forward, NextAgent, Reject, Say, Sip, Stream, TakeMessage
    from gateway.models import Agent, Call, CallerIdStrategy, CallSettings, OnVoicemail, VoicemailDetection
    from gateway.notifying import EventType, GatewayEvent
    from gateway.settings import Settings
    from gateway.status import (
        AnsweredBy,
        CallStatus,
        Direction,
        EndCause,
        EndedBy,
        EndReason,
        RejectAs,
        RetryAdvice,
    )

__version__ = "0.1.0"

_HOMES = {
    "gateway.gateway": ("Gateway",),
    "gateway.settings": ("Settings",),
    "gateway.notifying": ("EventType", "GatewayEvent"),
    "gateway.models": (
        "Agent",
        "Call",
        "CallSettings",
        "CallerIdStrategy",
        "OnVoicemail",
        "VoicemailDetection",
    ),
    "gateway.instructions": ("Forward", "NextAgent", "Reject", "Say", "Sip", "Stream", "TakeMessage"),
    "gateway.status": (
        "AnsweredBy",
        "CallStatus",
        "Direction",
        "EndCause",
        "EndReason",
        "EndedBy",
        "RejectAs",
        "RetryAdvice",
    ),
    "gateway.errors": (
        "CallerIdRefused",
        "ConfigurationError",
        "Conflict",
        "DialRefused",
        "GatewayError",
        "InvalidNumber",
        "MissingExtra",
        "NoOutboundNumber",
        "NotFound",
        "PaymentRequired",
        "ProviderError",
        "ProviderUnavailable",
        "RateLimited",
        "RequestRefused",
        "StoreUnavailable",
        "UnsupportedFeature",
        "ValidationError",
        "WebhookRejected",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Agent",
    "AnsweredBy",
    "Call",
    "CallSettings",
    "CallStatus",
    "CallerIdRefused",
    "CallerIdStrategy",
    "ConfigurationError",
    "Conflict",
    "DialRefused",
    "Direction",
    "EndCause",
    "EndReason",
    "EndedBy",
    "EventType",
    "Forward",
    "Gateway",
    "GatewayError",
    "GatewayEvent",
    "InvalidNumber",
    "MissingExtra",
    "NextAgent",
    "NoOutboundNumber",
    "NotFound",
    "OnVoicemail",
    "PaymentRequired",
    "ProviderError",
    "ProviderUnavailable",
    "RateLimited",
    "Reject",
    "RejectAs",
    "RequestRefused",
    "RetryAdvice",
    "Say",
    "Settings",
    "Sip",
    "StoreUnavailable",
    "Stream",
    "TakeMessage",
    "UnsupportedFeature",
    "ValidationError",
    "VoicemailDetection",
    "WebhookRejected",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
