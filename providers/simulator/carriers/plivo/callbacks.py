"""Timeouts and retries of a callback address, which Plivo reads from the address's own fragment.

Source: Plivo's page on callback timeouts and retries (plivo.com/docs, read 2026).
`https://gw.example.com/answer#ct=2000&rt=5000&rc=2&rp=ct,rt,5xx`. By default only connect and read timeouts are
tried again, once; a 4xx or 5xx is not (the same page's prose says any status other than 200 is: unconfirmed). What
Plivo does with a value out of range is unconfirmed: here it counts as the default. The edge `er` changes nothing
here, and the fragment does not apply to a stream's status callback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from providers.simulator.delivery import RetryPolicy, WebhookAnswer

RANGES: Final = {
    "ct": (100, 10_000, 2000),
    "rt": (100, 40_000, 40_000),
    "tt": (100, 55_000, 55_000),
    "rc": (0, 5, 1),
}  # key: lowest, highest, default; milliseconds, and tries for `rc`
DEFAULT_RETRY_ON: Final = "ct,rt"
RETRY_WORDS: Final = frozenset({"4xx", "5xx", "ct", "rt", "all"})


def policy_of(url: str, *, has_fragment_keys: bool = True) -> tuple[RetryPolicy, float]:
    """Read how an address is to be called.

    Returns:
        the policy, and the seconds that all tries together may take.
    """
    fragment = url.partition("#")[2] if has_fragment_keys else ""
    given = dict(parse_qsl(fragment, keep_blank_values=True))
    words = frozenset(given.get("rp", DEFAULT_RETRY_ON).split(",")) & RETRY_WORDS
    connect_ms, read_ms, total_ms = (_value(given, key) for key in ("ct", "rt", "tt"))
    policy = RetryPolicy(
        attempts=1 + _value(given, "rc"),
        retry_on=lambda answer: bool(words & _troubles(answer)),
        connect_timeout_s=connect_ms / 1000,
        total_timeout_s=(connect_ms + read_ms) / 1000,
    )
    return policy, total_ms / 1000


def _value(given: Mapping[str, str], key: str) -> int:
    low, high, default = RANGES[key]
    text = given.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and low <= int(text) <= high else default


def _troubles(answer: WebhookAnswer) -> frozenset[str]:
    """The retry words that an answer falls under; `ct` stands for every failure to connect."""
    if answer.is_ok:
        return frozenset()
    if answer.status is not None:
        return frozenset({"all", f"{answer.status // 100}xx"})
    error = answer.error or ""
    return frozenset(
        {"all", "ct" if error.startswith("connect") else "rt" if error == "timeout" else "other"}
    )
