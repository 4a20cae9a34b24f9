"""Identifiers: sortable UUIDv7 for rows, 128-bit random tokens for URLs."""

from __future__ import annotations

import os
import secrets
import time
from typing import Final

_62_BITS: Final = (1 << 62) - 1


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random bits; text sorts by time."""
    drawn = int.from_bytes(os.urandom(10), "big")
    digits = (
        f"{time.time_ns() // 1_000_000:012x}7{drawn >> 64 & 0xFFF:03x}{0b10 << 62 | drawn & _62_BITS:016x}"
    )
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_token() -> str:
    """Return 128 random bits as 32 lower-case hex digits: safe in a URL path, a SIP header and client state."""
    return secrets.token_hex(16)
