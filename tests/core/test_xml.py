"""The writer of call-control documents: what goes in comes out of any XML parser, and nothing else."""

from __future__ import annotations

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from gateway.xml import clean_text, document, element, text

ANY_TEXT = st.text(st.characters(codec=None))  # surrogates, NUL and non-characters included


def test_a_document_has_its_declaration_and_its_encoding() -> None:
    assert document(element("Response", {})) == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert document(element("Say", {}, text("Grüße"))).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><Say>Grüße</Say>'
    )


def test_attributes_that_are_none_are_left_out_and_booleans_are_words() -> None:
    assert element("Dial", {"a": None, "b": True, "c": False, "d": 30, "e": ""}) == (
        '<Dial b="true" c="false" d="30" e=""/>'
    )


def test_children_stand_in_their_order() -> None:
    assert element("A", {"x": 1}, element("B", {}), text("<c>"), element("D", {})) == (
        '<A x="1"><B/>&lt;c&gt;<D/></A>'
    )


@pytest.mark.parametrize(
    "forbidden",
    ["\0", "\x01", "\x0b", "\x0c", "\x1f", "\ud800", "\ufffe", "\uffff"],
)
def test_what_xml_cannot_hold_is_replaced(forbidden: str) -> None:
    assert clean_text(f"a{forbidden}b") == "a\ufffdb"
    parsed = fromstring(document(element("Say", {"x": forbidden}, text(forbidden))))
    assert (parsed.text, parsed.get("x")) == ("\ufffd", "\ufffd")


@pytest.mark.parametrize(
    "kept", ["\t", "\n", " ", "\x7f", "\x85", "\ud7ff", "\ue000", "\ufffd", "😀", "\u202e"]
)
def test_what_xml_can_hold_is_kept(kept: str) -> None:
    assert clean_text(kept) == kept
    assert fromstring(document(element("Say", {"x": kept}, text(kept)))).get("x") == kept


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_is_one_text_and_any_attribute_is_one_attribute(said: str, value: str) -> None:
    parsed = fromstring(document(element("Say", {"x": value}, text(said))))
    assert (parsed.tag, list(parsed), list(parsed.attrib)) == ("Say", [], ["x"])
    assert parsed.get("x") == clean_text(value)
    # A parser reads every line end of a text as a line feed; of an attribute it was written as a reference.
    assert (parsed.text or "") == clean_text(said).replace("\r\n", "\n").replace("\r", "\n")
