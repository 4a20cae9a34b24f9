"""Who is never dialed: emergency lines however spelled (R70), expensive or unknown kinds, other countries (R71)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from gateway.errors import DialRefused, InvalidNumber, ValidationError
from gateway.guards import check_destination, check_sip_user, is_emergency

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
EVERYWHERE = frozenset(REGIONS)

# Ways people and programs write a short number, `{n}` the number, `{c}` the country code.
SPELLINGS = (
    *("{n}", "+{n}", " {n} ", "{n}#", "*{n}#", "({n})", "tel:{n}", "{n}\n"),
    *("+{c}{n}", "+{c} {n}", "+{c}-{n}", "00{c}{n}", "{c}{n}"),
)


@cache
def emergency_numbers() -> dict[str, list[str]]:
    """Each region's emergency numbers of up to five digits, spelled out from the numbering plans' own patterns."""
    patterns = {region: _pattern(region) for region in REGIONS}
    every = re.compile("|".join(f"(?:{pattern})" for pattern in patterns.values() if pattern))
    shorts = [
        digits
        for length in range(2, 6)
        for n in range(10**length)
        if every.fullmatch(digits := f"{n:0{length}}")
    ]
    return {
        region: [n for n in shorts if pattern and re.fullmatch(pattern, n)] or ["112", "911"]
        for region, pattern in patterns.items()
    }


def _pattern(region: str) -> str | None:
    metadata = PhoneMetadata.short_metadata_for_region(region)
    return metadata.emergency.national_number_pattern if metadata and metadata.emergency else None


def spelled(region: str, number: str) -> Iterator[str]:
    code = phonenumbers.country_code_for_region(region)
    parted = "-".join(number)
    for spelling in SPELLINGS:
        yield spelling.format(n=number, c=code)
    yield from (parted, f"+{code}-{parted}", " ".join(number))


def assert_never_dialed(region: str, number: str) -> None:
    for spelling in spelled(region, number):
        assert is_emergency(spelling), (region, spelling)
        with pytest.raises(DialRefused) as refused:
            check_destination(spelling, EVERYWHERE)
        assert refused.value.reason == "emergency"


def test_the_numbering_plans_are_those_of_every_region() -> None:
    numbers = emergency_numbers()
    assert len(numbers) >= 245
    assert {"911", "112"} <= set(numbers["US"])
    assert {"999", "112"} <= set(numbers["GB"])
    assert set(numbers["DE"]) == {"110", "112"}
    assert "000" in numbers["AU"]


@pytest.mark.parametrize("region", REGIONS[::8])
def test_a_regions_first_emergency_number_is_never_dialed(region: str) -> None:
    assert_never_dialed(region, emergency_numbers()[region][0])


@pytest.mark.proof
@pytest.mark.parametrize("region", REGIONS)
def test_no_emergency_number_of_any_region_is_ever_dialed(region: str) -> None:
    for number in emergency_numbers()[region]:
        assert_never_dialed(region, number)


@pytest.mark.parametrize("number", ["112", "911", "999", "000", "933", "988"])
@pytest.mark.parametrize("region", ["US", "GB", "JM", "TK"])
def test_some_numbers_are_refused_whatever_the_numbering_plan_says(number: str, region: str) -> None:
    assert_never_dialed(region, number)


@pytest.mark.parametrize(
    "value",
    [
        "+1911",
        "9-1-1",
        "911#",
        "+1 (911)",
        "0044999",
        "+61 000",
        "+49-112",
        "1911",
        "9 1 1",
        "+1933",
        "+1988",
    ],
)
def test_spellings_seen_in_the_wild_are_refused_as_emergency(value: str) -> None:
    with pytest.raises(DialRefused, match="emergency and crisis lines are never dialed") as refused:
        check_destination(value, ("US", "GB", "AU", "DE"), "to")
    assert (refused.value.reason, refused.value.field) == ("emergency", "to")


@pytest.mark.parametrize(
    "value",
    ["９１１", "112;phone-context=+1", "٩١١", "+1９１１", "sip:911@pbx.example.net", "nine one one", "", "#"],
)
def test_what_is_neither_emergency_digits_nor_e164_is_refused_all_the_same(value: str) -> None:
    with pytest.raises(ValidationError):
        check_destination(value, EVERYWHERE)


SIP_EMERGENCIES = (
    *(
        "sip:911@pbx.example.net",
        "sip:+1911@pbx.example.net",
        "sip:9-1-1@10.0.0.1:5060",
        "sip:112#@pbx.example.net",
    ),
    *("sip:911;phone-context=+1@pbx.example.net;user=phone", "sip:999@pbx.example.net;user=phone?Subject=x"),
    *("sip:tel:911@pbx.example.net", "sip:911:password@pbx.example.net", "sip:%39%31%31@pbx.example.net"),
    *(
        "sip:tel:+1-911;ext=2@pbx.example.net",
        "sip:(911)@pbx.example.net",
        "sip:0044999@pbx.example.net",
        "sip:1911@pbx.example.net",
    ),
)


@pytest.mark.parametrize("uri", SIP_EMERGENCIES)
def test_a_sip_address_of_an_emergency_line_is_refused(uri: str) -> None:
    with pytest.raises(DialRefused, match="emergency and crisis lines are never dialed") as refused:
        check_sip_user(uri)
    assert refused.value.reason == "emergency"


@pytest.mark.parametrize(
    "uri",
    [
        *("sip:desk@pbx.example.net", "sip:desk911@pbx.example.net", "sip:+14155550123@pbx.example.net"),
        *(
            "sip:2001@911.example.net",
            "sip:desk;phone-context=+911@pbx.example.net",
            "sip:%zz@pbx.example.net",
        ),
    ],
)
def test_any_other_sip_address_passes(uri: str) -> None:
    check_sip_user(uri)


# -- kinds and countries (R71) -------------------------------------------------------------------------------------

ORDINARY = {
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.MOBILE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.VOIP,
}
REFUSED = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER,
    PhoneNumberType.UAN,
    PhoneNumberType.VOICEMAIL,
}


def examples(types: set[int]) -> Iterator[tuple[str, int, str]]:
    """Each region's own example of each type: region, type, number."""
    for region in REGIONS:
        for kind in sorted(types):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                yield region, kind, phonenumbers.format_number(example, PhoneNumberFormat.E164)


def test_an_ordinary_number_of_any_region_may_be_dialed_where_its_country_is_listed() -> None:
    seen = 0
    for region, kind, number in examples(ORDINARY):
        own = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
        assert check_destination(number, {own}) == number, (region, kind)
        seen += 1
    assert seen > 600


def test_an_expensive_or_odd_number_of_any_region_is_never_dialed() -> None:
    seen = 0
    for region, kind, number in examples(REFUSED):
        with pytest.raises(ValidationError) as refused:
            check_destination(number, EVERYWHERE)
        assert number not in str(refused.value), "masked"
        if len(number) > 7:  # a shorter one is no E.164 number for us, whatever its kind
            assert isinstance(refused.value, DialRefused)
            assert refused.value.reason == "number_type", (region, kind)
        seen += 1
    assert seen > 250


def test_a_number_of_another_country_is_refused_by_its_own_region_not_by_its_code() -> None:
    seen = set()
    for region, _, number in examples(ORDINARY):
        if phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) in ("US", "CA"):
            continue
        with pytest.raises(DialRefused, match=r"allowed_countries: CA, US") as refused:
            check_destination(number, ("US", "CA"))
        assert refused.value.reason == "country"
        seen.add(region)
    assert {"JM", "BS", "PR", "DO", "GB", "DE"} <= seen


@pytest.mark.parametrize(
    ("number", "region"),
    [
        ("+18765550123", "JM"),  # +1 876 is Jamaica
        ("+12423456789", "BS"),
        ("+77012345678", "KZ"),  # +7 is not Russia only
        ("+441534456789", "JE"),  # +44 is not Great Britain only
        ("+390669812345", "VA"),
    ],
)
def test_a_country_is_told_by_its_numbers(number: str, region: str) -> None:
    with pytest.raises(DialRefused, match=f"numbers of {region} are not allowed"):
        check_destination(number, ("US", "CA", "RU", "GB", "IT"))
    assert check_destination(number, (region,)) == number


@pytest.mark.parametrize(
    "number", ["+870773111632", "+881612345678", "+80012345678", "+979123456789", "+882345678901"]
)
def test_numbers_of_no_country_are_never_dialed(number: str) -> None:
    """Satellite phones, shared cost, universal and international premium numbers."""
    with pytest.raises(ValidationError):
        check_destination(number, {*EVERYWHERE, "001", "ZZ"} - {"001"})


def test_no_country_is_a_list_too() -> None:
    with pytest.raises(DialRefused, match="allowed_countries: none"):
        check_destination("+14155550123", ())


@pytest.mark.parametrize("value", [None, 14155550123, b"+14155550123", ["+14155550123"], "+1415555012"])
def test_what_is_no_number_is_told_as_such(value: object) -> None:
    with pytest.raises(InvalidNumber):
        check_destination(value, EVERYWHERE)
