"""A link to another SIP carrier: SIP straight to the application, or an incoming carrier with its numbers. Pure.

Source: Plivo's API reference, SIP authentication of applications and IncomingCarrier (plivo.com/docs, read 2026-11).
With a login, the carrier calls the application's own SIP address; with known addresses, it is an incoming carrier
whose numbers are added to the account. Inbound only: Plivo's SIP trunks (Zentrunk) run no document. Unconfirmed: what
`region` of a carrier's number must be (its ISO country is sent), what is shown of a SIP login besides its user name,
and that the called number of a call straight to the application is the one of its To header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.adapting import check_link, differing
from gateway.byoc import Difference, Place, SipRequest, SipTrunk
from gateway.errors import UnsupportedFeature, ValidationError
from gateway.numbers import region_of
from providers.plivo.calls import NAME, text_of

BY_LOGIN: Final = "credential"


def check_request(request: SipRequest) -> None:
    """Refuse what Plivo has no way to do.

    Raises:
        ValidationError, UnsupportedFeature.
    """
    check_link(request)
    if request.carrier_host is not None:
        raise UnsupportedFeature(
            NAME, "calls out by another SIP carrier", "leave the carrier's host out: inbound only"
        )
    if not request.carrier_ips and request.username is None:
        raise ValidationError("carrier_ips", "give your carrier's addresses, or a user name and a password")
    if request.carrier_ips and not request.numbers:
        raise ValidationError("numbers", "plivo takes a carrier's calls for numbers that it knows: name them")


def application_of(request: SipRequest) -> str:
    """Return the id of the application that the link leads to. Raises as `check_request`; ValidationError without."""
    check_request(request)
    if not request.application_ref:
        raise ValidationError(
            "application", "assign a number or set up the credential first: plivo needs its application"
        )
    return request.application_ref


def carrier_params(request: SipRequest) -> dict[str, str]:
    """Return the fields of an incoming carrier. An update replaces all addresses."""
    return {"name": request.name, "ip_set": ",".join(request.carrier_ips)}


def has_addresses(carrier: Mapping[str, Any], request: SipRequest) -> bool:
    """True when the carrier has exactly our addresses, in any order."""
    listed = {each.strip() for each in text_of(carrier, "ip_set").split(",") if each.strip()}
    return listed == set(request.carrier_ips)


def number_params(request: SipRequest, missing: Iterable[str], carrier_id: str) -> list[dict[str, str]]:
    """Return the requests that add a carrier's numbers: one a country, which is what the region says."""
    by_region: dict[str, list[str]] = {}
    for number in missing:
        by_region.setdefault(region_of(number), []).append(number.removeprefix("+"))
    return [
        {
            "numbers": ",".join(digits),
            "carrier": carrier_id,
            "region": region,
            "app_id": request.application_ref or "",
        }
        for region, digits in by_region.items()
    ]


def login_differences(
    application: Mapping[str, Any], credential_uuid: str | None, request: SipRequest
) -> tuple[Difference, ...]:
    """Compare the application's SIP authentication with the login that the link needs."""
    wanted = {"SIP login": request.username, "sip_auth_type": BY_LOGIN, "credential_uuid": credential_uuid}
    found = {**application, "SIP login": request.username if credential_uuid else ""}
    return differing(Place.LINK, wanted, found)


def carrier_differences(
    carrier: Mapping[str, Any] | None, missing: Iterable[str], request: SipRequest
) -> tuple[Difference, ...]:
    """Compare the incoming carrier and its numbers with what the link needs. Numbers are counted, not named."""
    if carrier is None:
        return differing(Place.LINK, {"incoming carrier": request.name}, {})
    absent = len(tuple(missing))
    wanted = {"ip_set": ",".join(sorted(request.carrier_ips)), "numbers": len(request.numbers)}
    listed = wanted["ip_set"] if has_addresses(carrier, request) else text_of(carrier, "ip_set")
    return differing(Place.LINK, wanted, {"ip_set": listed, "numbers": len(request.numbers) - absent})


def read_link(refs: Mapping[str, str], request: SipRequest, sip_uri: str) -> SipTrunk:
    """Return the link with what the person enters at the own carrier."""
    lines: list[tuple[str, str]] = []
    if request.username is not None:
        lines += [
            ("Send calls to", sip_uri),
            (
                "Log in as",
                f"{request.username} (digest authentication, realm app.plivo.com, with your password)",
            ),
            ("Name the number in", "the To header, with its country code"),
        ]
    if request.carrier_ips:
        lines += [(f"Route {n} to", f"sip:{n.removeprefix('+')}@sbc.plivo.com") for n in request.numbers]
        lines.append(("Send calls from", ", ".join(request.carrier_ips)))
    return SipTrunk(refs=refs, trunk_ref=None, instructions=tuple(lines))
