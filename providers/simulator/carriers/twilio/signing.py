"""Signatures of Twilio's requests, written from the description of the algorithm.

Source: Twilio security page and the behavior of the official validators: HMAC over the URL followed, for a form, by
every name and value in the order of the names; key is the Auth Token. Newer: HMAC-SHA256 with a shared key, announced
in `X-Twilio-Webhooks-Signature-Settings`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from providers.simulator.delivery import Signer, ToSign

DEFAULT_PORTS = {"https": 443, "http": 80}
FORGED_KEY = "0" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKey:
    """A key made with Twilio's webhook configuration; it replaces the Auth Token."""

    key_id: str
    secret: str = field(repr=False)


def signature(key: str, url: str, form: list[tuple[str, str]], algorithm: str = "sha1") -> str:
    """The base64 signature of a request: `form` is empty for GET and JSON requests."""
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    digest = hmac.new(key.encode(), text.encode(), getattr(hashlib, algorithm)).digest()
    return base64.b64encode(digest).decode()


def with_default_port(url: str) -> str:
    """The URL with `:443` or `:80` written out, as Twilio sometimes signs it."""
    parts = urlsplit(url)
    if parts.port is not None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{DEFAULT_PORTS[parts.scheme]}"))


def signer(auth_token: str, *, shared_key: SharedKey | None = None, writes_port: bool = False) -> Signer:
    """A signer for the account's webhooks."""

    def sign(what: ToSign) -> Mapping[str, str]:
        url = with_default_port(what.url) if writes_port else what.url
        is_form = what.method == "POST" and what.content_type.startswith("application/x-www-form-urlencoded")
        form = parse_qsl(what.body.decode(), keep_blank_values=True) if is_form else []
        if shared_key is None:
            key = FORGED_KEY if what.forged else auth_token
            return {"X-Twilio-Signature": signature(key, url, form)}
        key = FORGED_KEY if what.forged else shared_key.secret
        return {
            "X-Twilio-Signature": signature(key, url, form, "sha256"),
            "X-Twilio-Webhooks-Signature-Settings": f"key={shared_key.key_id},algorithm=HMAC_SHA256",
        }

    return sign
