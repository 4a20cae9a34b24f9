"""R69: a text is one E.164 number exactly, or it is refused; what is forwarded is what was given."""

from __future__ import annotations

import json
import random
from contextlib import suppress

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from gateway.errors import InvalidNumber
from gateway.interface import CallbackUrls, DialRequest
from gateway.numbers import ANONYMOUS, mask, parse_e164, read_party
from providers.plivo.calls import dial_params as plivo_dial
from providers.telnyx.calls import dial_params as telnyx_dial
from providers.twilio.calls import dial_params as twilio_dial

ASCII = "0123456789"
OTHER_DIGITS = "０１２３４５６７８９٠١٢٣٤٥٦٧٨٩०१२३४५६७८९𝟎𝟏𝟐𝟑²³¹①"
SEPARATORS = " -.()/\t\n\r\0\x0b\u00a0\u200b\u2011\ufeff\u202e"
INTRUDERS = [
    *SEPARATORS,
    *OTHER_DIGITS,
    "<",
    ">",
    ",",
    ";",
    "#",
    "*",
    "w",
    "W",
    "x",
    "+",
    "%2B",
    "&",
    '"',
    "\ud800",
]
WRAPPERS = [
    *("sip:{}", "sips:{}", "tel:{}", "client:{}", "00{}", "0{}", "{}<+14155550199", "{},+14155550199"),
    *("{}@example.net", "{};ext=5", "{}x5", "{} ext. 5", "{}#", "{}\n", "\n{}", " {}", "{} ", "<{}>", "'{}'"),
    *("{}\r\nX-Evil: 1", "{}%0a", "＋{}", "{}\u2028", "{}\0"),
]


def is_canonical(text: str) -> bool:
    """An independent judge: the text is what the library itself prints of a valid number, in ASCII."""
    if (
        not text.isascii()
        or not text.startswith("+")
        or not set(text[1:]) <= set(ASCII)
        or not 8 <= len(text) <= 16
    ):
        return False
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return False
    printed = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return phonenumbers.is_valid_number(number) and printed == text


def example_numbers() -> list[str]:
    found = set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (0, 1, 3, 6):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                found.add(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    return sorted(number for number in found if len(number) > 7)


NUMBERS = st.sampled_from(example_numbers())
TEXTS = st.one_of(
    st.text(st.characters(codec=None)),
    st.text(st.sampled_from("+" + ASCII + OTHER_DIGITS + SEPARATORS + "<,;x#"), max_size=20),
    st.from_regex(r"\A\+[0-9]{5,17}\Z"),
)


def refusal(text: str) -> InvalidNumber | None:
    """Return the error for a text that is refused; None for a number, which came back as it was given."""
    try:
        number = parse_e164(text)
    except InvalidNumber as error:
        return error
    assert number == text
    return None


def assert_number_or_refusal(text: str) -> None:
    refused = refusal(text)
    assert (refused is None) is is_canonical(text)
    if refused is not None:
        digits = "".join(c for c in text if c in ASCII)
        said = refused.message.replace("+14155550123", "the form")
        assert len(digits) <= 4 or digits not in said, "masked"


@given(TEXTS)
@example("+14155550123\n")
@example("+1415555012３")
@example("+" + "9" * 400)
@settings(max_examples=300, deadline=None)
def test_any_text_is_exactly_one_number_or_refused(text: str) -> None:
    assert_number_or_refusal(text)


@pytest.mark.proof
def test_a_million_spoiled_numbers_are_each_one_number_or_refused() -> None:
    chance, numbers = random.Random(69), example_numbers()
    alphabet = [*ASCII * 3, *INTRUDERS]
    accepted = 0
    for _ in range(1_000_000):
        letters = list(chance.choice(numbers))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(letters))
            letters[at : at + chance.randrange(2)] = chance.choice(alphabet)
        text = "".join(letters)
        assert_number_or_refusal(text)
        accepted += is_canonical(text)
    assert accepted > 300_000, "two in five are left whole or become another number"


@given(NUMBERS)
@settings(max_examples=300, deadline=None)
def test_what_is_printed_is_read_back_and_what_is_read_is_printed_the_same(number: str) -> None:
    assert parse_e164(number) == number
    parsed = phonenumbers.parse(number, None)
    assert parse_e164(phonenumbers.format_number(parsed, PhoneNumberFormat.E164)) == number
    assert read_party(number) == read_party(number[1:]) == number


@given(NUMBERS)
@settings(max_examples=100, deadline=None)
def test_other_ways_to_write_a_number_are_not_guessed_at(number: str) -> None:
    parsed = phonenumbers.parse(number, None)
    for form in (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.RFC3966):
        with pytest.raises(InvalidNumber):
            parse_e164(phonenumbers.format_number(parsed, form) + ("" if form else " "))


@given(NUMBERS, st.sampled_from(INTRUDERS), st.integers(0, 16))
@settings(max_examples=300, deadline=None)
def test_one_strange_character_anywhere_is_refused(number: str, intruder: str, position: int) -> None:
    changed = number[:position] + intruder + number[position:]
    with pytest.raises(InvalidNumber):
        parse_e164(changed)


@given(NUMBERS, st.sampled_from(OTHER_DIGITS), st.integers(1, 16))
@settings(max_examples=300, deadline=None)
def test_a_digit_of_another_script_is_refused(number: str, digit: str, position: int) -> None:
    at = min(position, len(number) - 1)
    with pytest.raises(InvalidNumber):
        parse_e164(number[:at] + digit + number[at + 1 :])


@given(NUMBERS, st.sampled_from(WRAPPERS))
@settings(max_examples=300, deadline=None)
def test_a_number_with_anything_around_it_is_refused(number: str, wrapper: str) -> None:
    for inside in (number, number[1:]):
        with pytest.raises(InvalidNumber):
            parse_e164(wrapper.format(inside))


# -- what a carrier is given ---------------------------------------------------------------------------------------

URLS = CallbackUrls(
    **dict.fromkeys(("answer", "status", "amd", "recording", "fallback", "events"), "https://gw.example")
)


@given(NUMBERS, NUMBERS)
@settings(max_examples=100, deadline=None)
def test_every_carrier_is_given_one_destination_and_that_one(to: str, caller_id: str) -> None:
    request = DialRequest(
        call_id="c",
        to=to,
        caller_id=caller_id,
        attempt_token="a" * 32,
        command_id="0190a1b2-0000-7000-8000-000000000000",
        join_timeout_s=30,
        max_duration_s=600,
        urls=URLS,
    )
    sent = {"twilio": twilio_dial(request), "telnyx": telnyx_dial(request, "1"), "plivo": plivo_dial(request)}
    assert {name: params["to"] for name, params in sent.items()} == {
        "twilio": to,
        "telnyx": to,
        "plivo": to[1:],
    }
    assert (sent["twilio"]["from_"], sent["telnyx"]["from_"], sent["plivo"]["from"]) == (
        caller_id,
        caller_id,
        caller_id[1:],
    )
    assert "<" not in json.dumps(sent)


# -- what a carrier says -------------------------------------------------------------------------------------------


@given(st.one_of(TEXTS, st.none()))
@settings(max_examples=500, deadline=None)
def test_a_party_is_a_number_an_address_or_withheld_and_reading_it_never_fails(text: str | None) -> None:
    party = read_party(text)
    assert party == ANONYMOUS or party.startswith(("sip:", "sips:", "client:")) or party[1:].isdigit()
    assert read_party(party) == party
    assert party.isprintable()
    if party.startswith("+"):
        assert party.isascii()
        assert text is not None
        assert party.lstrip("+") == text.strip().lstrip("+"), "no digit is added, dropped or translated"


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_mask_shows_at_most_four_digits(text: str) -> None:
    shown = mask(text)
    assert len(shown) in (1, 5)
    assert shown[0] == "…"
    with suppress(InvalidNumber):
        assert mask(parse_e164(text)) == "…" + text[-4:]
