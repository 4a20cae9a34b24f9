"""The Call Control application that numbers point at, and the outbound voice profile that it dials by. Pure.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, operations
CreateCallControlApplication, UpdateCallControlApplication, ListOutboundVoiceProfiles), read 2026-11.

Whether an update merges `inbound` and `outbound` with what is there is unconfirmed: both are always sent whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.adapting import differing
from gateway.byoc import ApplicationRequest, CarrierApplication, Difference, Place, SetupUrls
from gateway.errors import ConfigurationError, ProviderUnavailable, ValidationError
from providers.telnyx.calls import NAME
from providers.telnyx.numbers import is_id

_PROFILE: Final = "outbound_voice_profile_id"

# The fields of an application that can be written (schema UpdateCallControlApplicationRequest).
WRITABLE: Final = (
    "application_name",
    "webhook_event_url",
    "webhook_event_failover_url",
    "webhook_api_version",
    "webhook_timeout_secs",
    "active",
    "anchorsite_override",
    "call_cost_in_webhooks",
    "dtmf_type",
    "first_command_timeout",
    "first_command_timeout_secs",
    "inbound",
    "outbound",
    "redact_dtmf_debug_logging",
    "tags",
)

_NULLABLE: Final = frozenset({"webhook_event_failover_url", "webhook_timeout_secs"})


def read_application(data: Mapping[str, Any]) -> CarrierApplication:
    """Return an application as the API gives it, its settings verbatim. Raises ProviderUnavailable for none."""
    ident = data.get("id")
    if isinstance(ident, bool) or not is_id(str(ident) if isinstance(ident, int) else ident):
        raise ProviderUnavailable("an answer without an application", provider=NAME)
    return CarrierApplication(
        ref=str(ident),
        name=str(data.get("application_name") or ""),
        settings={name: data[name] for name in WRITABLE if name in data},
    )


def wanted_settings(urls: SetupUrls) -> dict[str, Any]:
    """Return the settings of an application of ours.

    The failover URL is the same: Telnyx has one kind of webhook, and a second try at the same address is worth more
    than none. The cost of a call comes by webhook only.
    """
    return {
        "webhook_event_url": urls.events,
        "webhook_event_failover_url": urls.events,
        "webhook_api_version": "2",
        "active": True,
        "call_cost_in_webhooks": True,
    }


def profile_of(application: CarrierApplication | None) -> str:
    """Return the id of the outbound voice profile that an application dials by, "" for none."""
    outbound = application.settings.get("outbound") if application else None
    profile = outbound.get(_PROFILE) if isinstance(outbound, Mapping) else None
    return profile if isinstance(profile, str) else ""


def needs_profile(request: ApplicationRequest, held: CarrierApplication | None) -> bool:
    """True when the account's profiles must be looked at to know which one the application is to have."""
    return bool(request.outbound_profile) or not profile_of(held)


def choose_profile(request: ApplicationRequest, profiles: Iterable[Mapping[str, Any]]) -> str:
    """Return the id of the profile asked for, by id or name, else of the only one there is.

    Raises:
        ValidationError: no such one, or several to choose from. ConfigurationError: there is none; we make none,
            because it decides what is billed.
    """
    known = {str(each.get("id")): str(each.get("name") or "")[:100] for each in profiles if each.get("id")}
    shown = ", ".join(f"{ident} ({name})" for ident, name in list(known.items())[:20])
    if request.outbound_profile:
        for ident, name in known.items():
            if request.outbound_profile in (ident, name):
                return ident
        raise ValidationError(
            "outbound_profile", f"telnyx has no such outbound voice profile; it has: {shown or 'none'}"
        )
    if not known:
        raise ConfigurationError(
            "telnyx: the account has no outbound voice profile, so nothing can be dialed: create one in the portal "
            "(Voice, Outbound voice profiles), with the countries that you call, and try again"
        )
    if len(known) > 1:
        raise ValidationError(
            "outbound_profile", f"telnyx has several outbound voice profiles: name one of {shown}"
        )
    return next(iter(known))


def create_params(request: ApplicationRequest, profile: str) -> dict[str, Any]:
    """Return the fields of a new application."""
    return {
        "application_name": request.name,
        **wanted_settings(request.urls),
        "outbound": {_PROFILE: profile},
    }


def update_params(request: ApplicationRequest, held: CarrierApplication, profile: str) -> dict[str, Any]:
    """Return the fields that make an application ours: its name and everything else of it stay."""
    return {
        "application_name": held.name or request.name,
        **wanted_settings(request.urls),
        "inbound": whole(held.settings.get("inbound")),
        "outbound": {**whole(held.settings.get("outbound")), _PROFILE: profile},
    }


def restore_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that bring back verbatim settings: null only where Telnyx takes it."""
    params = {
        name: settings[name]
        for name in WRITABLE
        if name in settings and (settings[name] is not None or name in _NULLABLE)
    }
    for name in ("inbound", "outbound"):
        params[name] = whole(settings.get(name))
    return params


def whole(part: Any) -> dict[str, Any]:
    """Return `inbound` or `outbound` to be sent whole, without what is not set."""
    return (
        {name: value for name, value in part.items() if value is not None}
        if isinstance(part, Mapping)
        else {}
    )


def differences(application: CarrierApplication, urls: SetupUrls) -> tuple[Difference, ...]:
    """Return each setting of the application that is not as we set it. Any profile will do."""
    found = differing(Place.APPLICATION, wanted_settings(urls), application.settings)
    if profile_of(application):
        return found
    return (
        *found,
        Difference(
            place=Place.APPLICATION,
            setting=f"outbound.{_PROFILE}",
            wanted="an outbound voice profile",
            found="",
            advice="Without one every dial is refused (D38).",
        ),
    )


def profile_differences(profile: Mapping[str, Any], countries: tuple[str, ...]) -> tuple[Difference, ...]:
    """Return what of an outbound voice profile keeps calls from these countries."""
    name = str(profile.get("name") or profile.get("id"))[:100]
    found = []
    if profile.get("enabled") is False:
        found.append(
            _of_account(
                "enabled", "true", "false", f"Enable the outbound voice profile {name!r} in the portal."
            )
        )
    allowed = profile.get("whitelisted_destinations")
    if isinstance(allowed, list):
        listed = ", ".join(sorted(map(str, allowed)))
        found += [
            _of_account(
                f"whitelisted_destinations {country}",
                country,
                listed[:200],
                f"Add {country} to the allowed destinations of the outbound voice profile {name!r} in the portal.",
            )
            for country in countries
            if country not in allowed
        ]
    return tuple(found)


def _of_account(setting: str, wanted: str, found: str, advice: str) -> Difference:
    return Difference(
        place=Place.ACCOUNT, setting=setting, wanted=wanted, found=found, is_repairable=False, advice=advice
    )
