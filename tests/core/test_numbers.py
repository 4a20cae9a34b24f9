"""Numbers: one strict form in, one form kept, one masked form for people and logs."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidNumber
from gateway.numbers import (
    ANONYMOUS,
    area_code_of,
    mask,
    number_in,
    number_type,
    parse_e164,
    read_party,
    region_of,
)


@pytest.mark.parametrize("number", ["+14155550123", "+442079460104", "+4930901820", "+6834002"])
def test_a_number_in_its_one_form_is_taken_as_it_is(number: str) -> None:
    assert parse_e164(number) == number


@pytest.mark.parametrize(
    "value",
    [
        *("", "+", "14155550123", "0014155550123", "+0014155550123", "+04155550123"),
        *("+1 415 555 0123", "+1-415-555-0123", "+1(415)5550123", "+1.415.555.0123", "(415) 555-0123"),
        *(
            " +14155550123",
            "+14155550123 ",
            "+14155550123\n",
            "\n+14155550123",
            "+1415555\n0123",
            "+14155550123\0",
        ),
        *("+14155550123x5", "+14155550123;ext=5", "+14155550123,,5", "+14155550123#", "+14155550123w12"),
        *("+14155550123<+14155550124", "+14155550123,+14155550124", "14155550123<14155550124"),
        *("sip:+14155550123@pbx.example.net", "tel:+14155550123", "client:anna", "anonymous"),
        *("+１４１５５５５０１２３", "+1415555012３", "+١٤١٥٥٥٥٠١٢٣", "＋14155550123", "+1415555012²"),
        *("+1415555012O", "+1-800-FLOWERS", "++14155550123", "+14155550123+", "+1415555012\u200b3"),
        *("+123456", "+1234567890123456", "+14155550123" * 1000),
        *(None, 14155550123, 1.4e10, b"+14155550123", ["+14155550123"], True),
    ],
)
def test_anything_else_is_refused_with_the_form_to_use(value: object) -> None:
    with pytest.raises(InvalidNumber, match=r"give \+ and 7 to 15 digits, like \+14155550123") as refused:
        parse_e164(value, "from_number")
    assert refused.value.field == "from_number"
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "number", ["+11234567890", "+14150000000", "+9991234567", "+442079460", "+390100000000000", "+4900000000"]
)
def test_a_number_that_no_plan_holds_is_refused_and_masked(number: str) -> None:
    with pytest.raises(InvalidNumber, match="exists in any numbering plan") as refused:
        parse_e164(number)
    assert number not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "party"),
    [
        ("+14155550123", "+14155550123"),
        ("14155550123", "+14155550123"),  # Plivo writes no plus
        (" 14155550123 ", "+14155550123"),
        ("+266696687", "+266696687"),
        ("sip:agent@phone.example.com", "sip:agent@phone.example.com"),
        ("sips:agent@phone.example.com", "sips:agent@phone.example.com"),
        ("client:agent_7", "client:agent_7"),
    ],
)
def test_a_party_is_read_as_the_carrier_wrote_it(said: str, party: str) -> None:
    assert read_party(said) == party


@pytest.mark.parametrize(
    "said",
    [
        *(None, "", " ", "anonymous", "Anonymous", "unknown", "Restricted", "unavailable", "+", "00", "0"),
        *(
            "911",
            "+1415555012a",
            "+1 415 555 0123",
            "１４１５５５５０１２３",
            "14155550123<14155550124",
            "1" * 16,
        ),
        *(
            "sip:a\nb@c",
            "sip:" + "a" * 300,
            "sip:\u202e@c",
            "javascript:alert(1)",
            "<script>",
            "\0",
            "\ud800",
        ),
    ],
)
def test_whatever_is_no_party_is_withheld(said: str | None) -> None:
    assert read_party(said) == ANONYMOUS


@pytest.mark.parametrize(
    ("number", "region"),
    [
        ("+14155550123", "US"),
        ("+14165550123", "CA"),
        ("+18765230123", "JM"),
        ("+17875550123", "PR"),
        ("+442079460104", "GB"),
        ("+441534456789", "JE"),
        ("+77123456789", "KZ"),
        ("+390669812345", "VA"),
        ("+80012345678", "001"),  # international toll-free: no country's
        ("+9991234567", "ZZ"),
        ("anonymous", "ZZ"),
        ("", "ZZ"),
    ],
)
def test_a_number_belongs_to_its_own_region(number: str, region: str) -> None:
    assert region_of(number) == region


@pytest.mark.parametrize(
    ("number", "area"),
    [
        ("+14155550123", "415"),
        ("+442079460104", "20"),
        ("+441614960105", "161"),
        ("+4930901820", "30"),
        ("+447400123456", ""),  # a mobile phone
        ("+18005550123", ""),  # toll-free
        ("anonymous", ""),
        ("", ""),
    ],
)
def test_only_a_geographic_number_has_an_area(number: str, area: str) -> None:
    assert area_code_of(number) == area


def test_the_type_of_what_is_no_number_is_unknown() -> None:
    assert number_type("anonymous") == number_type("+9991234567") == 99
    assert number_type("+19002123456") == 4, "premium"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("+14155550123", "…0123"),
        ("+1 (415) 555-0123", "…0123"),
        ("12345", "…2345"),
        ("1234", "…"),  # a short number would be shown whole
        ("911", "…"),
        ("", "…"),
        ("anonymous", "…"),
        ("+１４１５５５５０１２３", "…"),
    ],
)
def test_at_most_the_last_four_digits_are_shown(value: str, shown: str) -> None:
    assert mask(value) == shown


@pytest.mark.parametrize(
    ("party", "domain", "expected"),
    [
        ("sip:+14155550123@acme.sip.carrier.example", ".sip.carrier.example", "+14155550123"),
        (
            "sip:14155550123@ACME.sip.carrier.example:5060;transport=tcp",
            ".sip.carrier.example",
            "+14155550123",
        ),
        ("sip:+14155550123@203.0.113.10", "", "+14155550123"),
        ("sip:+14155550123@evil.example", ".sip.carrier.example", "sip:+14155550123@evil.example"),
        ("sip:desk7@acme.sip.carrier.example", ".sip.carrier.example", "sip:desk7@acme.sip.carrier.example"),
        ("+14155550123", "", "+14155550123"),
        ("anonymous", "", "anonymous"),
        (None, "", None),
    ],
)
def test_a_sip_address_of_a_number_stands_for_the_number(
    party: str | None, domain: str, expected: str | None
) -> None:
    assert number_in(party, domain) == expected
