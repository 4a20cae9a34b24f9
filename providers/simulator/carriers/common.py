"""What the simulated carriers have in common beside calls: checks of what a test changes, and where numbers belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import phonenumbers

WORDS: Final = {"status": ("active", "suspended", "closed"), "kind": ("full", "trial")}


def account_changes(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give changes of an account back: `status`, `kind`, `balance` (a decimal as text, or None: not readable).

    Raises:
        ValueError: another name, or a word or an amount that is none.
    """
    require_known(changes, (*WORDS, "balance"), "account")
    for name, words in WORDS.items():
        if name in changes and changes[name] not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}, not {changes[name]!r}")
    balance = changes.get("balance")
    try:
        Decimal(balance if balance is not None else "0")
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"balance is a decimal number as text, not {balance!r}") from None
    return changes


def require_known(changes: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise ValueError for a name that is not one of the `known`."""
    names = set(known)
    for name in changes:
        if name not in names:
            raise ValueError(f"a {what} has no setting {name!r}: one of {', '.join(sorted(names))}")


def country_of(number: str) -> str | None:
    """Give the country of a number as alpha-2; made-up numbers count for the main country of their code."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    known = phonenumbers.region_code_for_number(parsed)
    return known or phonenumbers.region_code_for_country_code(parsed.country_code or 0)
