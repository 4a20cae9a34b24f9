"""Identifiers: sortable UUIDv7 for rows, 128-bit random tokens for URLs."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random bits; text sorts by time."""
    millis = time.time_ns() // 1_000_000
    value = (millis & ((1 << 48) - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | secrets.randbits(62)))


def new_token() -> str:
    """Return 128 random bits as 32 lower-case hex digits: safe in a URL path, a SIP header and client state."""
    return secrets.token_hex(16)
