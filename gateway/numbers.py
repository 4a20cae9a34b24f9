"""Phone numbers: one strict form in, one form kept (E.164), one masked form for people and logs.

R69: the whole text must be `+` and 7 to 15 ASCII digits, and a number that `phonenumbers` calls valid. Nothing is
guessed, completed or stripped: "00", "(0)", spaces and extensions are refused with a message that shows the form.
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

from gateway.errors import InvalidNumber

ANONYMOUS: Final = "anonymous"
_STRICT = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_IN_TEXT: Final = re.compile(r"\+?[0-9][0-9() .-]{5,}[0-9]", re.ASCII)

_SIP_NUMBER = re.compile(
    r"sips?:\+?([1-9][0-9]{6,14})@([A-Za-z0-9.-]{1,253})(?:[:;?].*)?", re.ASCII | re.DOTALL
)


def parse_e164(value: object, field: str = "phone_number") -> str:
    """Return the number when it is exactly one valid E.164 number.

    Raises:
        InvalidNumber: anything else; the message masks what was given.
    """
    if not isinstance(value, str) or _STRICT.fullmatch(value) is None:
        raise InvalidNumber(
            field, f"{mask(str(value))!r} is not E.164: give + and 7 to 15 digits, like +14155550123"
        )
    number = _parsed(value)
    if number is None or not phonenumbers.is_valid_number(number) or _format(number) != value:
        raise InvalidNumber(field, f"{mask(value)!r} is not a number that exists in any numbering plan")
    return value


def read_party(value: str | None) -> str:
    """Return a party as a carrier wrote it: E.164 when it is a number (a missing + is added), a `sip:` or `client:`
    address verbatim (at most 255 characters), else "anonymous". Never raises.
    """
    if not value:
        return ANONYMOUS
    word = value.strip()
    digits = word if word.startswith("+") else f"+{word}"
    if _STRICT.fullmatch(digits):
        return digits
    if word.startswith(("sip:", "sips:", "client:")) and word.isprintable() and len(word) <= 255:
        return word
    return ANONYMOUS


def number_in(party: str | None, domain: str = "") -> str | None:
    """Return the number that a SIP address at a host ending in `domain` stands for, else the party as it is.

    Calls that another SIP carrier hands over name their parties so: "sip:+14155550123@acme.sip.carrier.example".
    """
    match = _SIP_NUMBER.fullmatch(party or "")
    return f"+{match[1]}" if match and match[2].lower().endswith(domain) else party


def region_of(e164: str) -> str:
    """Return the ISO 3166 alpha-2 code of the number's own region (+1 876 is JM), or "ZZ" when none is known."""
    number = _parsed(e164)
    return (phonenumbers.region_code_for_number(number) if number else None) or "ZZ"


def area_code_of(e164: str) -> str:
    """Return the geographic area code (national destination code), or "" when the number has none."""
    number = _parsed(e164)
    if number is None:
        return ""
    length = phonenumbers.length_of_geographical_area_code(number)
    return phonenumbers.national_significant_number(number)[:length]


def national_digits(e164: str) -> str:
    """Return the number's digits without its country code."""
    number = _parsed(e164)
    return "" if number is None else phonenumbers.national_significant_number(number)


def number_type(e164: str) -> int:
    """Return the `phonenumbers.PhoneNumberType` of the number; UNKNOWN when it cannot be told."""
    number = _parsed(e164)
    return phonenumbers.number_type(number) if number else phonenumbers.PhoneNumberType.UNKNOWN


def mask(value: str) -> str:
    """Return a number with all but its last four digits hidden, "+1415***0123"-like but shorter: "…0123"."""
    digits = re.sub(r"[^0-9]", "", value, flags=re.ASCII)
    return "…" + digits[-4:] if len(digits) > 4 else "…"


def mask_text(text: str) -> str:
    """Return a text with each number in it as `mask` shows it."""
    return _IN_TEXT.sub(lambda found: mask(found[0]), text)


def _parsed(e164: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return None


def _format(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
