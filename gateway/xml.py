"""A tiny writer for the call-control documents that carriers fetch: text in, well-formed XML 1.0 out.

Its own because it is on the path of every inbound call, where the vendors' builders cost an import each and let
characters through that no XML parser accepts (R90). Tests compare its documents with the builders' as canonical XML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

# Everything outside the Char production of XML 1.0 (section 2.2), surrogates and U+FFFE/U+FFFF included.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean_text(text: str) -> str:
    """Return `text` with every character that XML 1.0 cannot hold replaced by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def element(name: str, attributes: Mapping[str, str | int | bool | None], *children: str) -> str:
    """Return one element. Attributes that are None are left out; booleans become true / false.

    `children` are already rendered: elements, or `text()`.
    """
    said = "".join(f" {key}={_quoted(value)}" for key, value in attributes.items() if value is not None)
    inner = "".join(children)
    return f"<{name}{said}>{inner}</{name}>" if inner else f"<{name}{said}/>"


def text(value: str) -> str:
    """Return character data, escaped and cleaned."""
    return escape(clean_text(value))


def document(root: str) -> bytes:
    """Return the encoded document with its declaration."""
    return f'<?xml version="1.0" encoding="UTF-8"?>{root}'.encode()


def _quoted(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    return quoteattr(clean_text(str(value)), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
