"""A link to another SIP carrier: Twilio's BYOC trunk, and a SIP domain that takes that carrier's calls.

Source: Twilio docs "Bring Your Own Carrier" (https://www.twilio.com/docs/voice/bring-your-own-carrier-byoc), the
OpenAPI files of voice v1 and of the API 2010-04-01 (SIP), read 2026-11. Unconfirmed: that a trunk on the domain is
asked before the domain's own voice URL, and what caller IDs a trunk may show (a refusal with 21210 asks to verify the
number).

Each step finds by its name what the step before a crash made. The client is the library's, given by the adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.adapting import check_link, differing
from gateway.byoc import Difference, Place, SipRemoval, SipRequest, SipTrunk
from gateway.errors import ProviderUnavailable, ValidationError
from providers.twilio.calls import NAME, is_sid, with_retries

_PAGE_SIZE: Final = 100


def check_request(request: SipRequest) -> None:
    """Refuse a link that Twilio would take no calls by. Raises ValidationError."""
    check_link(request)
    if not request.carrier_ips and request.username is None:
        raise ValidationError(
            "carrier_ips",
            "give your carrier's addresses, or a user name and a password: without them Twilio takes no calls",
        )


def ensure(client: Any, request: SipRequest) -> SipTrunk:
    """Make what is missing, mend what differs.

    Raises:
        ValidationError: names the field. What the client raises.
    """
    check_request(request)
    refs: dict[str, str] = {}
    if request.carrier_host is not None:
        refs |= _ensure_policy(client, request)
    trunks = client.voice.v1.byoc_trunks
    wanted = trunk_params(request, refs.get("connection_policy"))
    trunk = _named(trunks, request, "byoc_trunk")
    if trunk is None:
        trunk = _checked(trunks.create(friendly_name=request.name, **wanted))
    elif _differs(trunk, wanted):
        trunks(trunk.sid).update(**wanted)
    refs["byoc_trunk"] = trunk.sid
    refs |= _ensure_domain(client, request, trunk.sid)
    return SipTrunk(
        refs=refs,
        trunk_ref=trunk.sid if request.carrier_host is not None else None,
        instructions=instructions(request),
    )


def check(client: Any, request: SipRequest) -> tuple[Difference, ...]:
    """Compare what stands with what `ensure` makes; raises what the client raises."""
    check_request(request)
    found: list[Difference] = []
    policy = None
    if request.carrier_host is not None:
        policy = _named(client.voice.v1.connection_policies, request, "connection_policy")
        targets = [] if policy is None else _all(client.voice.v1.connection_policies(policy.sid).targets)
        calls = [target.target for target in targets if target.enabled is not False]
        found += _one("connection policy", request.name, request.name if policy else "")
        if policy:
            found += _one("target", _target(request), ", ".join(map(str, calls)))
    trunk = _named(client.voice.v1.byoc_trunks, request, "byoc_trunk")
    domain = _domain(client, request)
    found += _one("BYOC trunk", request.name, request.name if trunk else "")
    found += _one("SIP domain", domain_name(request), domain_name(request) if domain else "")
    if trunk:
        wanted = trunk_params(request, policy.sid if policy else None)
        found += differing(Place.LINK, wanted, {name: getattr(trunk, name, None) for name in wanted})
    if domain:
        found += _one("byoc_trunk_sid", trunk.sid if trunk else "", str(domain.byoc_trunk_sid or ""))
        found += _missing_logins(client, request, domain.sid)
    return tuple(found)


def pieces(client: Any, removal: SipRemoval) -> Iterator[tuple[str, Any | None]]:
    """Yield what stands of a link in the order of its deletion: its name for a person, and what is to be deleted.

    A domain that somebody gave another trunk is theirs now, with its access lists: None. Raises what the client raises.
    """
    voice, sip, trunk = client.voice.v1, client.sip, removal.refs.get("byoc_trunk")
    domain = _domain(client, removal)
    is_theirs = domain is not None and bool(trunk) and domain.byoc_trunk_sid not in (None, "", trunk)
    if domain is not None:
        yield f"SIP domain {domain.domain_name}", None if is_theirs else sip.domains(domain.sid)
    for what, ref, resource, is_kept in (
        ("BYOC trunk", "byoc_trunk", voice.byoc_trunks, False),
        ("connection policy", "connection_policy", voice.connection_policies, False),
        ("IP access control list", "ip_acl", sip.ip_access_control_lists, is_theirs),
        ("credential list", "credential_list", sip.credential_lists, is_theirs),
    ):
        found = _named(resource, removal, ref)
        if found is not None:
            yield f"{what} {found.friendly_name} ({found.sid})", None if is_kept else resource(found.sid)


def trunk_params(request: SipRequest, policy_sid: str | None) -> dict[str, str]:
    """Return the trunk's settings besides its name, which are also the library's arguments."""
    urls = request.urls
    params = {
        "voice_url": with_retries(urls.answer),
        "voice_method": "POST",
        "voice_fallback_url": with_retries(urls.fallback),
        "voice_fallback_method": "POST",
        "status_callback_url": with_retries(urls.status),
        "status_callback_method": "POST",
    }
    return params | ({"connection_policy_sid": policy_sid} if policy_sid else {})


def domain_name(request: SipRequest | SipRemoval) -> str:
    """Return the SIP domain that the carrier sends its calls to; it must be free in all of Twilio."""
    return f"{request.name.lower()}.sip.twilio.com"


def instructions(request: SipRequest) -> tuple[tuple[str, str], ...]:
    """Return what the person enters at the own SIP carrier."""
    domain = domain_name(request)
    lines = [(f"Route {number} to", f"sip:{number}@{domain}") for number in request.numbers]
    lines = lines or [("Route each number to", f"sip:+<number>@{domain}")]
    lines.append(("Transport", "UDP or TCP port 5060, TLS port 5061"))
    if request.carrier_ips:
        lines.append(("Send calls from", ", ".join(request.carrier_ips)))
    if request.username is not None:
        lines.append(
            ("Log in as", f"{request.username} (digest authentication, with the password that you gave)")
        )
    if request.carrier_host is not None:
        lines.append(("Twilio sends calls to", _target(request)))
        lines.append(
            (
                "Accept calls from",
                "Twilio's signaling addresses: https://www.twilio.com/docs/sip-trunking/ip-addresses",
            )
        )
    return tuple(lines)


# -- private ----------------------------------------------------------------------------------------------------------


def _ensure_policy(client: Any, request: SipRequest) -> Mapping[str, str]:
    policies = client.voice.v1.connection_policies
    policy = _named(policies, request, "connection_policy") or _checked(
        policies.create(friendly_name=request.name)
    )
    targets = policies(policy.sid).targets
    known = _all(targets)
    target = next((each for each in known if each.target == _target(request)), None)
    if target is None:
        ours = next((each for each in known if each.friendly_name == request.name), None)
        if ours is None:
            target = _checked(targets.create(target=_target(request), friendly_name=request.name))
        else:
            target = targets(ours.sid).update(target=_target(request), enabled=True)
    elif target.enabled is False:
        targets(target.sid).update(enabled=True)
    return {"connection_policy": policy.sid, "policy_target": target.sid}


def _ensure_domain(client: Any, request: SipRequest, trunk_sid: str) -> Mapping[str, str]:
    domains = client.sip.domains
    domain = _domain(client, request)
    if domain is None:
        domain = _checked(
            domains.create(
                domain_name=domain_name(request), friendly_name=request.name, byoc_trunk_sid=trunk_sid
            )
        )
    elif domain.byoc_trunk_sid != trunk_sid:
        domains(domain.sid).update(byoc_trunk_sid=trunk_sid)
    refs = {"sip_domain": domain.sid}
    logins = domains(domain.sid).auth.calls
    if request.carrier_ips:
        acl = _ensure_addresses(client, request)
        if acl not in _sids(logins.ip_access_control_list_mappings):
            logins.ip_access_control_list_mappings.create(ip_access_control_list_sid=acl)
        refs["ip_acl"] = acl
    if request.username is not None:
        held = _ensure_login(client, request)
        if held not in _sids(logins.credential_list_mappings):
            logins.credential_list_mappings.create(credential_list_sid=held)
        refs["credential_list"] = held
    return refs


def _ensure_addresses(client: Any, request: SipRequest) -> str:
    lists = client.sip.ip_access_control_lists
    acl = _named(lists, request, "ip_acl") or _checked(lists.create(friendly_name=request.name))
    addresses = lists(acl.sid).ip_addresses
    known = {each.ip_address for each in _all(addresses)}
    for address in request.carrier_ips:
        if address not in known:
            addresses.create(friendly_name=request.name, ip_address=address)
    return str(acl.sid)


def _ensure_login(client: Any, request: SipRequest) -> str:
    """Put user name and password on the list; a password cannot be read back, so it is written each time."""
    lists = client.sip.credential_lists
    held = _named(lists, request, "credential_list") or _checked(lists.create(friendly_name=request.name))
    credentials = lists(held.sid).credentials
    known = next((each for each in _all(credentials) if each.username == request.username), None)
    if known is None:
        credentials.create(username=request.username, password=request.password)
    else:
        credentials(known.sid).update(password=request.password)
    return str(held.sid)


def _missing_logins(client: Any, request: SipRequest, domain_sid: str) -> Iterable[Difference]:
    logins = client.sip.domains(domain_sid).auth.calls
    if request.carrier_ips:
        acl = _named(client.sip.ip_access_control_lists, request, "ip_acl")
        listed = _all(client.sip.ip_access_control_lists(acl.sid).ip_addresses) if acl else []
        known = {each.ip_address for each in listed}
        is_mapped = acl is not None and acl.sid in _sids(logins.ip_access_control_list_mappings)
        yield from _one("IP access control list", request.name, request.name if is_mapped else "")
        for address in request.carrier_ips:
            yield from _one("allowed address", address, address if address in known else "")
    if request.username is not None:
        held = _named(client.sip.credential_lists, request, "credential_list")
        is_mapped = held is not None and held.sid in _sids(logins.credential_list_mappings)
        users = _all(client.sip.credential_lists(held.sid).credentials) if held else []
        yield from _one("credential list", request.name, request.name if is_mapped else "")
        is_known = any(each.username == request.username for each in users)
        yield from _one("user name", request.username, request.username if is_known else "")


def _named(resource: Any, request: SipRequest | SipRemoval, ref: str) -> Any | None:
    """Return the object that `request.refs` names, else the one with our name."""
    known, sid = _all(resource), request.refs.get(ref)
    by_ref = next((each for each in known if sid and each.sid == sid), None)
    return by_ref or next((each for each in known if each.friendly_name == request.name), None)


def _domain(client: Any, request: SipRequest | SipRemoval) -> Any | None:
    name = domain_name(request)
    return next((each for each in _all(client.sip.domains) if each.domain_name == name), None)


def _all(resource: Any) -> list[Any]:
    return [_checked(each) for each in resource.stream(page_size=_PAGE_SIZE)]


def _checked(answered: Any) -> Any:
    """Return an object of Twilio's whose id is fit to stand in a path (R91). Raises ProviderUnavailable."""
    sid = str(answered.sid or "")
    if not is_sid(sid[:2], sid):
        raise ProviderUnavailable("an answer without an id", provider=NAME)
    return answered


def _sids(resource: Any) -> set[str]:
    return {each.sid for each in _all(resource)}


def _target(request: SipRequest) -> str:
    return f"sip:{request.carrier_host}"


def _differs(held: Any, wanted: Mapping[str, str]) -> bool:
    return any(str(getattr(held, name, None) or "") != value for name, value in wanted.items())


def _one(setting: str, wanted: str, found: str) -> tuple[Difference, ...]:
    return differing(Place.LINK, {setting: wanted}, {setting: found})
