"""Cursors: where a page of a list ended, as opaque text that belongs to the filters it was made with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.errors import ValidationError


def write_cursor(at: datetime, ident: str, filters: Mapping[str, Any]) -> str:
    """Return the cursor after the row (at, ident) of a list with these filters."""
    text = json.dumps([at.isoformat(), ident, _digest(filters)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, filters: Mapping[str, Any]) -> tuple[datetime, str]:
    """Return the row after which the list goes on.

    Raises:
        ValidationError: not a cursor of ours, or one of other filters.
    """
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        at_text, ident, digest = json.loads(raw)
        at = datetime.fromisoformat(at_text)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValidationError("cursor", "not a cursor of this list: leave it out to start again") from None
    if at.tzinfo is None or not isinstance(ident, str) or not ident.isascii() or not ident.isprintable():
        raise ValidationError("cursor", "not a cursor of this list: leave it out to start again")
    if digest != _digest(filters):
        raise ValidationError("cursor", "belongs to other filters: leave it out to start again")
    return at, ident


def _digest(filters: Mapping[str, Any]) -> str:
    named = json.dumps({name: str(value) for name, value in filters.items()}, sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()[:12]
