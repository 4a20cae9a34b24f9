"""The application that numbers point at: what we set on it, how it is read. Pure.

Source: Plivo's API reference, resource Application (plivo.com/docs, read 2026-11). Unconfirmed: whether an empty URL in
an update clears it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.adapting import differing
from gateway.byoc import CarrierApplication, Difference, Place, SetupUrls
from gateway.errors import ProviderUnavailable, ValidationError
from providers.plivo.calls import NAME, text_of, with_retries
from providers.plivo.numbers import is_id

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)

# The fields that an update takes and a look shows under the same name; `sub_account` and the name are not changed.
KEPT: Final = (
    "answer_url",
    "answer_method",
    "hangup_url",
    "hangup_method",
    "fallback_answer_url",
    "fallback_method",
    "message_url",
    "message_method",
    "default_number_app",
    "default_endpoint_app",
    "log_incoming_messages",
    "public_uri",
    "sip_auth_type",
    "ip_acl_uuid",
    "credential_uuid",
)


def checked_name(name: str) -> str:
    """Return a name that Plivo takes. Raises ValidationError."""
    if _NAME.fullmatch(name) is None:
        raise ValidationError("name", "plivo names applications with letters, digits, - and _ only")
    return name


def read_application(reply: Mapping[str, Any]) -> CarrierApplication:
    """Return an application as the API gives it, its settings verbatim. Raises ProviderUnavailable for none."""
    ident = text_of(reply, "app_id")
    if not is_id(ident):
        raise ProviderUnavailable("an answer without an application", provider=NAME)
    return CarrierApplication(
        ref=ident,
        name=text_of(reply, "app_name"),
        settings={name: reply[name] for name in (*KEPT, "enabled") if name in reply},
    )


def wanted_settings(urls: SetupUrls) -> dict[str, str]:
    """Return the settings of an application of ours. Without a hangup URL the end of a call goes to the answer URL."""
    return {
        "answer_url": with_retries(urls.answer),
        "answer_method": "POST",
        "hangup_url": with_retries(urls.status),
        "hangup_method": "POST",
        "fallback_answer_url": with_retries(urls.fallback),
        "fallback_method": "POST",
    }


def restore_params(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that bring back verbatim settings.

    What was empty is left out, for an empty URL is none to Plivo; but our fallback URL must not stay: where there was
    none, the answer URL takes its place.
    """
    params = {name: settings[name] for name in KEPT if settings.get(name) not in (None, "")}
    if "fallback_answer_url" not in params and "answer_url" in params:
        params["fallback_answer_url"] = params["answer_url"]
    if "sip_auth_type" in settings:
        params["sip_auth_type"] = settings["sip_auth_type"] or ""
    return params


def differences(application: CarrierApplication, urls: SetupUrls) -> tuple[Difference, ...]:
    """Return each setting of the application that is not as we set it."""
    found = differing(Place.APPLICATION, wanted_settings(urls), application.settings)
    if application.settings.get("enabled") is not False:
        return found
    return (
        *found,
        Difference(
            place=Place.APPLICATION,
            setting="enabled",
            wanted="true",
            found="false",
            is_repairable=False,
            advice="The application is switched off at Plivo: see its console, Voice, Applications.",
        ),
    )
