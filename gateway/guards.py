"""Who may be dialed at all: no emergency service, no expensive or unknown kind of number, only listed countries.

Pure. Each guard looks at a number and raises `DialRefused` with a closed reason; there is no override. They apply to
every number the gateway makes a carrier ring: dials, forwards, fallbacks, and the user part of SIP addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import phonenumbers
from phonenumbers import PhoneNumberType, shortnumberinfo

from gateway.errors import DialRefused
from gateway.numbers import mask, number_type, parse_e164, region_of

# R70. `phonenumbers` knows the emergency numbers of 245 regions; these are refused whatever it says (it does not flag
# 933, the US address read-back line, nor 988, the US crisis line).
ALWAYS_EMERGENCY: Final = frozenset({"112", "911", "999", "000", "933", "988"})

# R71. Ordinary types only: premium, shared-cost, satellite, personal, pager, universal and unknown types are refused.
ORDINARY_TYPES: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.VOIP,
    }
)

_DIALABLE: Final = re.compile(r"[0-9+*#()./_~ -]+", re.ASCII)  # digits, and what people put between them

_LONGEST_EMERGENCY: Final = 6  # digits; the longest emergency number known to phonenumbers has five
_LONGEST_COUNTRY_CODE: Final = 3


def check_destination(value: object, allowed_countries: Collection[str], field: str = "phone_number") -> str:
    """Return the E.164 number when it may be dialed.

    Args:
        allowed_countries: ISO 3166 alpha-2 codes of the *numbers'* regions (+1 876 is JM, not US).

    Raises:
        DialRefused: reason "emergency", "number_type" or "country".
        InvalidNumber: not one strict E.164 number.
    """
    if isinstance(value, str) and is_emergency(value):
        raise DialRefused(field, "emergency and crisis lines are never dialed", reason="emergency")
    number = parse_e164(value, field)
    if number_type(number) not in ORDINARY_TYPES:
        what = "premium, shared-cost, satellite, personal and pager numbers are never dialed"
        raise DialRefused(field, f"{mask(number)}: {what}", reason="number_type")
    region = region_of(number)
    if region not in allowed_countries:
        allowed = ", ".join(sorted(allowed_countries)) or "none"
        raise DialRefused(
            field, f"numbers of {region} are not allowed (allowed_countries: {allowed})", reason="country"
        )
    return number


def check_sip_user(uri: str, field: str = "sip uri") -> None:
    """Refuse a `sip:user@host` whose user part is an emergency number, escaped or with parameters, in any spelling.

    Whoever takes the address may be a telephone exchange, which dials the user part as it stands.

    Raises:
        DialRefused: reason "emergency".
    """
    user = unquote(uri.removeprefix("sip:").rpartition("@")[0]).partition(";")[0]
    if any(_DIALABLE.fullmatch(part) and _is_emergency_extension(part) for part in user.split(":")):
        refusal = "emergency and crisis lines are never dialed: give an extension of that number a name"
        raise DialRefused(field, refusal, reason="emergency")


def _is_emergency_extension(user: str) -> bool:
    """Like `is_emergency`; digits without an international prefix are mostly an extension: "2001" is not +20 01."""
    digits = re.sub(r"[^0-9]", "", user)
    if "+" in user or digits.startswith("00"):
        return is_emergency(user)
    return _is_emergency_digits(digits) or not ALWAYS_EMERGENCY.isdisjoint(_behind_country_code(digits))


def is_emergency(value: str) -> bool:
    """Whether `value`, in whatever spelling, is an emergency number anywhere: "911", "+1911", "9-1-1", "911#"."""
    digits = re.sub(r"[^0-9]", "", value)
    dialed = digits.removeprefix("00")
    if not digits or len(dialed) > _LONGEST_EMERGENCY + _LONGEST_COUNTRY_CODE:
        return False
    return any(_is_emergency_digits(rest) for rest in (digits, *_behind_country_code(dialed)))


def _behind_country_code(digits: str) -> list[str]:
    """Return what is left of the digits behind each country code they could begin with."""
    return [
        digits[length:]
        for length in range(1, _LONGEST_COUNTRY_CODE + 1)
        if digits[length:] and int(digits[:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    ]


@lru_cache(maxsize=4096)
def _is_emergency_digits(digits: str) -> bool:
    if digits in ALWAYS_EMERGENCY:
        return True
    if len(digits) > _LONGEST_EMERGENCY:
        return False
    return any(
        shortnumberinfo.is_emergency_number(digits, region) for region in phonenumbers.SUPPORTED_REGIONS
    )
