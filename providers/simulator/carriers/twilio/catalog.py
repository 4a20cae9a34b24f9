"""The collections of Twilio that only keep what they are given: applications, BYOC trunks, SIP domains, access lists.

Source: the OpenAPI files of api.twilio.com (2010-04-01), voice.twilio.com (v1) and trunking.twilio.com (v1); limits and
codes from the resource pages and the error dictionary. `things.py` serves them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from providers.simulator.carriers.twilio.access import ACCOUNT
from providers.simulator.carriers.twilio.checks import (
    BOOLEAN,
    METHOD,
    Rule,
    callback_url,
    is_url,
    one_of,
    optional,
    sid,
    whole,
)
from providers.simulator.carriers.twilio.model import API_VERSION

NAME: Final[Rule] = (20001, lambda text: len(text) <= 64)
LONG_NAME: Final[Rule] = (20001, lambda text: len(text) <= 255)
URL: Final[Rule] = (21402, optional(is_url))
CALLBACK: Final[Rule] = (21402, optional(callback_url))
VERB: Final[Rule] = (21403, METHOD)
FLAG: Final[Rule] = (20001, BOOLEAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One collection of resources.

    Attributes:
        path: with `{parent}` where its resources belong to one of another collection.
        key: of the list in a page; no two collections share one.
        prefix: of the sids.
        first: the fields as a new resource has them, in the API's names; their types are those of the parameters.
        rules: the parameters; `only_create` are those that an update does not know.
        parent: the field that shows the parent's sid.
        parts: sub-resources, shown as links: name -> last part of their path.
        secret: parameters that are kept and never shown.
        limit: how many one account (or one parent) may have, and the code when there are more.
    """

    path: str
    key: str
    prefix: str
    operation: str = "trunks"
    first: Mapping[str, Any]
    rules: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    only_create: frozenset[str] = frozenset()
    filters: tuple[str, ...] = ()
    parent: str | None = None
    parent_key: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    limit: tuple[int, int] | None = None

    @property
    def is_v1(self) -> bool:
        """Whether it is of the newer hosts: ISO dates, absolute links, and a page with `meta`."""
        return self.path.startswith("/v1/")


def _is_target(text: str) -> bool:
    return re.fullmatch(r"sip:[^\s@/]+(:\d{1,5})?(;[^\s]*)?", text) is not None


def _is_sip_url(text: str) -> bool:
    return re.fullmatch(r"sips?:[^\s]+", text) is not None


def _is_ip(text: str) -> bool:
    try:
        return ip_address(text).version == 4
    except ValueError:
        return False


def _is_domain(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\.sip\.twilio\.com", text) is not None


def _is_trunk_domain(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\.pstn\.twilio\.com", text) is not None


def _is_password(text: str) -> bool:
    """Twelve characters, with a digit, a capital and a small letter."""
    return len(text) >= 12 and all(re.search(kind, text) for kind in ("[0-9]", "[A-Z]", "[a-z]"))


VOICE_FIELDS: Final = {
    "voice_url": None,
    "voice_method": "POST",
    "voice_fallback_url": None,
    "voice_fallback_method": "POST",
}
VOICE_RULES: Final[dict[str, Rule]] = {
    "VoiceUrl": URL,
    "VoiceMethod": VERB,
    "VoiceFallbackUrl": URL,
    "VoiceFallbackMethod": VERB,
}

APPLICATIONS: Final = Collection(
    path=f"{ACCOUNT}/Applications",
    key="applications",
    prefix="AP",
    operation="application_write",
    filters=("FriendlyName",),
    first={
        "friendly_name": "",
        "api_version": API_VERSION,
        **VOICE_FIELDS,
        "voice_caller_id_lookup": False,
        "status_callback": None,
        "status_callback_method": "POST",
        "sms_url": None,
        "sms_method": "POST",
        "sms_fallback_url": None,
        "sms_fallback_method": "POST",
        "sms_status_callback": None,
        "message_status_callback": None,
        "public_application_connect_enabled": False,
    },
    rules={
        "FriendlyName": NAME,
        "ApiVersion": (20001, one_of(API_VERSION, "2008-08-01")),
        **VOICE_RULES,
        "VoiceCallerIdLookup": FLAG,
        "StatusCallback": CALLBACK,
        "StatusCallbackMethod": VERB,
        "SmsUrl": URL,
        "SmsMethod": VERB,
        "SmsFallbackUrl": URL,
        "SmsFallbackMethod": VERB,
        "SmsStatusCallback": URL,
        "MessageStatusCallback": URL,
        "PublicApplicationConnectEnabled": FLAG,
    },
)
CONNECTION_POLICIES: Final = Collection(
    path="/v1/ConnectionPolicies",
    key="connection_policies",
    prefix="NY",
    first={"friendly_name": None},
    rules={"FriendlyName": LONG_NAME},
    parts={"targets": "Targets"},
    limit=(10_000, 20001),
)
TARGETS: Final = Collection(
    path="/v1/ConnectionPolicies/{parent}/Targets",
    key="targets",
    prefix="NE",
    parent="connection_policy_sid",
    parent_key="connection_policies",
    first={"friendly_name": None, "target": None, "priority": 10, "weight": 10, "enabled": True},
    rules={
        "Target": (20001, _is_target),
        "FriendlyName": LONG_NAME,
        "Priority": (20001, whole(0, 65535)),
        "Weight": (20001, whole(1, 65535)),
        "Enabled": FLAG,
    },
    required=("Target",),
    limit=(10, 20001),
)
BYOC_TRUNKS: Final = Collection(
    path="/v1/ByocTrunks",
    key="byoc_trunks",
    prefix="BY",
    first={
        "friendly_name": None,
        **VOICE_FIELDS,
        "status_callback_url": None,
        "status_callback_method": "POST",
        "cnam_lookup_enabled": False,
        "connection_policy_sid": None,
        "from_domain_sid": None,
    },
    rules={
        "FriendlyName": LONG_NAME,
        **VOICE_RULES,
        "StatusCallbackUrl": CALLBACK,
        "StatusCallbackMethod": VERB,
        "CnamLookupEnabled": FLAG,
        "ConnectionPolicySid": (20001, optional(sid("NY"))),
        "FromDomainSid": (20001, optional(sid("SD"))),
    },
)
SIP_DOMAINS: Final = Collection(
    path=f"{ACCOUNT}/SIP/Domains",
    key="domains",
    prefix="SD",
    first={
        "api_version": API_VERSION,
        "domain_name": "",
        "friendly_name": "",
        **VOICE_FIELDS,
        "voice_status_callback_url": None,
        "voice_status_callback_method": "POST",
        "sip_registration": False,
        "emergency_calling_enabled": False,
        "secure": False,
        "byoc_trunk_sid": None,
        "emergency_caller_sid": None,
    },
    rules={
        "DomainName": (21232, _is_domain),
        "FriendlyName": NAME,
        **VOICE_RULES,
        "VoiceStatusCallbackUrl": CALLBACK,
        "VoiceStatusCallbackMethod": VERB,
        "SipRegistration": FLAG,
        "EmergencyCallingEnabled": FLAG,
        "Secure": FLAG,
        "ByocTrunkSid": (20001, optional(sid("BY"))),
        "EmergencyCallerSid": (20001, optional(sid("PN"))),
    },
    required=("DomainName",),
    parts={
        "auth": "Auth",
        "credential_list_mappings": "CredentialListMappings",
        "ip_access_control_list_mappings": "IpAccessControlListMappings",
    },
)
ACCESS_LISTS: Final = Collection(
    path=f"{ACCOUNT}/SIP/IpAccessControlLists",
    key="ip_access_control_lists",
    prefix="AL",
    first={"friendly_name": ""},
    rules={"FriendlyName": NAME},
    required=("FriendlyName",),
    parts={"ip_addresses": "IpAddresses"},
    limit=(1000, 20001),
)
IP_ADDRESSES: Final = Collection(
    path=f"{ACCOUNT}/SIP/IpAccessControlLists/{{parent}}/IpAddresses",
    key="ip_addresses",
    prefix="IP",
    parent="ip_access_control_list_sid",
    parent_key="ip_access_control_lists",
    first={"friendly_name": "", "ip_address": "", "cidr_prefix_length": 32},
    rules={
        "FriendlyName": NAME,
        "IpAddress": (20001, _is_ip),
        "CidrPrefixLength": (20001, whole(1, 32)),
    },
    required=("FriendlyName", "IpAddress"),
    limit=(25, 20001),
)
CREDENTIAL_LISTS: Final = Collection(
    path=f"{ACCOUNT}/SIP/CredentialLists",
    key="credential_lists",
    prefix="CL",
    first={"friendly_name": ""},
    rules={"FriendlyName": NAME},
    required=("FriendlyName",),
    parts={"credentials": "Credentials"},
)
CREDENTIALS: Final = Collection(
    path=f"{ACCOUNT}/SIP/CredentialLists/{{parent}}/Credentials",
    key="credentials",
    prefix="CR",
    parent="credential_list_sid",
    parent_key="credential_lists",
    first={"username": "", "password": ""},
    rules={
        "Username": (20001, lambda text: 0 < len(text) <= 32),
        "Password": (20001, _is_password),
    },
    required=("Username", "Password"),
    only_create=frozenset({"Username"}),
    secret=frozenset({"password"}),
    limit=(1000, 20001),
)
TRUNKS: Final = Collection(
    path="/v1/Trunks",
    key="trunks",
    prefix="TK",
    first={
        "domain_name": None,
        "disaster_recovery_method": None,
        "disaster_recovery_url": None,
        "friendly_name": None,
        "secure": False,
        "transfer_mode": "disable-all",
        "transfer_caller_id": "from-transferee",
        "cnam_lookup_enabled": False,
        "recording": {"mode": "do-not-record", "trim": "do-not-trim"},
        "auth_type": "",
        "symmetric_rtp_enabled": False,
        "auth_type_set": [],
    },
    rules={
        "FriendlyName": NAME,
        "DomainName": (21232, _is_trunk_domain),
        "DisasterRecoveryUrl": URL,
        "DisasterRecoveryMethod": VERB,
        "TransferMode": (20001, one_of("disable-all", "enable-all", "sip-only")),
        "Secure": FLAG,
        "CnamLookupEnabled": FLAG,
        "TransferCallerId": (20001, one_of("from-transferee", "from-transferor")),
    },
    parts={
        "origination_urls": "OriginationUrls",
        "credential_lists": "CredentialLists",
        "ip_access_control_lists": "IpAccessControlLists",
        "phone_numbers": "PhoneNumbers",
    },
)
ORIGINATION_URLS: Final = Collection(
    path="/v1/Trunks/{parent}/OriginationUrls",
    key="origination_urls",
    prefix="OU",
    parent="trunk_sid",
    parent_key="trunks",
    first={"weight": 10, "enabled": True, "sip_url": "", "friendly_name": "", "priority": 10},
    rules={
        "Weight": (20001, whole(1, 65535)),
        "Priority": (20001, whole(0, 65535)),
        "Enabled": FLAG,
        "FriendlyName": NAME,
        "SipUrl": (20001, _is_sip_url),
    },
    required=("Weight", "Priority", "Enabled", "FriendlyName", "SipUrl"),
)

COLLECTIONS: Final = (
    APPLICATIONS,
    CONNECTION_POLICIES,
    TARGETS,
    BYOC_TRUNKS,
    SIP_DOMAINS,
    ACCESS_LISTS,
    IP_ADDRESSES,
    CREDENTIAL_LISTS,
    CREDENTIALS,
    TRUNKS,
    ORIGINATION_URLS,
)
# A parameter that names another resource of the account, and the collection it must be in.
REFERENCES: Final = {
    "ConnectionPolicySid": "connection_policies",
    "FromDomainSid": "domains",
    "ByocTrunkSid": "byoc_trunks",
}
