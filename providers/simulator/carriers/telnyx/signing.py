"""Signs Telnyx webhooks: Ed25519 over `<timestamp>|<raw body>`, one key pair per account.

Written from the vendor's description of the scheme (Mission Control, "Keys & Credentials", read 2026-06), with
`cryptography`; it shares nothing with the adapter that checks these signatures.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# Header names are case-insensitive; the carrier mixes case, so a receiver that compares them literally fails here too.
SIGNATURE_HEADER: Final = "Telnyx-Signature-ED25519"
TIMESTAMP_HEADER: Final = "telnyx-Timestamp"
SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AccountKey:
    """The signing key of one account."""

    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> AccountKey:
        """Make the key pair that belongs to 32 random bytes.

        Raises:
            ValueError: `seed` is not 32 bytes long.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_key(self) -> str:
        """Give what the portal shows: standard base64 of the raw 32 bytes, 44 characters."""
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    def sign(self, timestamp: str, body: bytes) -> str:
        """Sign one delivery; the answer is base64 of 64 bytes, 88 characters."""
        return base64.b64encode(self._private.sign(timestamp.encode("ascii") + b"|" + body)).decode("ascii")

    def headers(self, body: bytes, *, at_s: int) -> dict[str, str]:
        """Make both signature headers of a delivery sent at `at_s` (Unix seconds)."""
        timestamp = str(at_s)
        return {SIGNATURE_HEADER: self.sign(timestamp, body), TIMESTAMP_HEADER: timestamp}
