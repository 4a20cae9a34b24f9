"""A link to another SIP carrier: a SIP sub-domain of the Call Control application in, a SIP address out. Pure.

Source: OpenAPI document of Telnyx (https://github.com/team-telnyx/openapi, `openapi/spec3.yml`, schema
CallControlApplicationInbound: `sip_subdomain`, `sip_subdomain_receive_settings`), read 2026-11.

A foreign carrier is none of the account's connections, so the sub-domain must take calls from anyone; it knows neither
addresses nor a login to limit that to. A connection of the account's own (`/ip_connections`, `/fqdn_connections`) would
not bring its inbound calls to the application.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.adapting import check_link, differing
from gateway.byoc import CarrierApplication, Difference, Place, SipRemoval, SipRequest, SipTrunk
from gateway.errors import UnsupportedFeature, ValidationError
from gateway.numbers import mask
from providers.telnyx.applications import whole
from providers.telnyx.calls import NAME

_ANYONE: Final = "from_anyone"
_CLOSED: Final = "only_my_connections"


def check_request(request: SipRequest) -> None:
    """Refuse what Telnyx has no way to do.

    Raises:
        ValidationError, UnsupportedFeature.
    """
    check_link(request)
    if request.carrier_ips or request.username is not None:
        raise UnsupportedFeature(
            NAME,
            "limiting a SIP sub-domain to addresses or a login",
            "leave both out, and choose a name that is hard to guess: the sub-domain takes calls from anyone",
        )


def application_of(request: SipRequest) -> str:
    """Return the id of the application that the link leads to. Raises as `check_request`; ValidationError without."""
    check_request(request)
    if not request.application_ref:
        raise ValidationError(
            "application", "assign a number or set up the credential first: telnyx needs its application"
        )
    return request.application_ref


def subdomain_of(application: CarrierApplication, request: SipRequest) -> str:
    """Return the sub-domain that the application has, else the one that it is to get: there is one an application."""
    inbound = application.settings.get("inbound")
    held = inbound.get("sip_subdomain") if isinstance(inbound, Mapping) else None
    return held if isinstance(held, str) and held else request.name.lower()


def inbound_settings(application: CarrierApplication, request: SipRequest) -> dict[str, Any]:
    """Return the application's `inbound`, whole, with the sub-domain open to foreign carriers."""
    return {
        **whole(application.settings.get("inbound")),
        "sip_subdomain": subdomain_of(application, request),
        "sip_subdomain_receive_settings": _ANYONE,
    }


def differences(application: CarrierApplication, request: SipRequest) -> tuple[Difference, ...]:
    """Compare the application's inbound settings with what the link needs."""
    inbound = whole(application.settings.get("inbound"))
    wanted = {
        "sip_subdomain": request.refs.get("sip_subdomain") or request.name.lower(),
        "sip_subdomain_receive_settings": _ANYONE,
    }
    return differing(Place.LINK, wanted, inbound)


def unverified(request: SipRequest, verified: Iterable[str]) -> tuple[Difference, ...]:
    """Return the numbers that Telnyx would refuse to show on calls out (D51): each must be a verified caller ID."""
    known = set(verified)
    return tuple(
        Difference(
            place=Place.LINK,
            setting=f"verified caller ID {mask(number)}",
            wanted="verified",
            found="",
            is_repairable=False,
            advice="calls out that show it are refused (D51): verify it (gateway numbers caller-ids verify)",
        )
        for number in request.numbers
        if number not in known
    )


def closed_settings(application: CarrierApplication, removal: SipRemoval) -> dict[str, Any] | None:
    """Return the application's `inbound` with our sub-domain closed; None: there is none, or not ours, or it is."""
    inbound = whole(application.settings.get("inbound"))
    is_open = inbound.get("sip_subdomain_receive_settings") != _CLOSED
    is_ours = inbound.get("sip_subdomain") == removal.name.lower()
    return {**inbound, "sip_subdomain_receive_settings": _CLOSED} if is_ours and is_open else None


def what_stays(application: CarrierApplication, removal: SipRemoval) -> tuple[str, ...]:
    """Say what a link leaves on an application that stays: Telnyx documents no way to take a sub-domain away."""
    inbound = whole(application.settings.get("inbound"))
    subdomain = inbound.get("sip_subdomain")
    if not subdomain:
        return ()
    is_closed = inbound.get("sip_subdomain_receive_settings") == _CLOSED
    state = (
        "closed to other carriers"
        if is_closed
        else "and still takes calls from anyone, as it is not this link's"
    )
    return (
        f"the SIP sub-domain {subdomain}.sip.telnyx.com stays at Telnyx on the application {application.name} "
        f"({application.ref}), {state}: clear it in the portal, Voice, Programmable Voice",
    )


def read_link(application: CarrierApplication, request: SipRequest) -> SipTrunk:
    """Return the link as it stands on the application, with what the person enters at the own carrier."""
    subdomain = subdomain_of(application, request)
    host = f"{subdomain}.sip.telnyx.com"
    lines = [(f"Route {number} to", f"sip:{number}@{host}") for number in request.numbers]
    lines = lines or [("Route each number to", f"sip:+<number>@{host}")]
    lines += [
        ("Transport", "UDP or TCP, port 5060 (no TLS on sub-domains)"),
        ("Take care", "the sub-domain takes calls from anyone who knows its name"),
    ]
    if request.carrier_host is not None:
        lines.append(
            ("Verify as caller ID", "each number that is shown on calls out: Telnyx refuses others (D51)")
        )
        lines.append(("Telnyx sends calls to", f"sip:+<number>@{request.carrier_host}"))
        lines.append(("Accept calls from", "Telnyx's signaling addresses: https://sip.telnyx.com"))
    return SipTrunk(
        refs={"sip_subdomain": subdomain}, trunk_ref=request.carrier_host, instructions=tuple(lines)
    )
