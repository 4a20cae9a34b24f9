"""What of a URL may be shown: ids, numbers and query values are hidden."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_PATH_PART: Final = re.compile(r"(.*?)(\.(?:json|mp3|wav|xml))?", re.DOTALL)
_PATH_WORD: Final = re.compile(
    r"[a-z]+(?:[_-][a-z]+)*|(?:[A-Z][a-z]+)+|[A-Z]{2,3}|v[0-9]{1,2}|[0-9]{4}-[0-9]{2}-[0-9]{2}|"
)
_QUERY_NAME: Final = re.compile(r"[A-Za-z_.<>\[\]-]+")


def redact_url(url: str) -> str:
    """Return the URL as a log may show it: ids, numbers and every query value hidden, last four characters kept.

    A path part is shown only when it looks like a word of an API ("Calls.json", "available_phone_numbers", "v2").
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "***"
    path = "/".join(_masked_part(part) for part in parts.path.split("/"))
    query = "&".join(_masked_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    return f"{parts.scheme}://{host}{path}" + (f"?{query}" if query else "")


def _masked_part(part: str) -> str:
    match = _PATH_PART.fullmatch(part)
    stem, suffix = match.groups(default="") if match else (part, "")
    if _PATH_WORD.fullmatch(stem):
        return part
    return "***" + (stem[-4:] if len(stem) > 8 else "") + suffix


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    shown = name if _QUERY_NAME.fullmatch(unquote(name)) else "***"
    return f"{shown}=***" if equals else shown
