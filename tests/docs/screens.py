"""What a page shows of a terminal: each command with the screen behind it, and whether a real screen is that one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.docs.pages import blocks, name_of

_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What differs from run to run, by the name that stands for it on the page. Nothing else may differ.
PLACEHOLDERS: Final[Mapping[str, str]] = {
    "CREDENTIAL_ID": _ID,
    "NUMBER_ID": _ID,
    "OPERATION_ID": _ID,
    "CALL_ID": _ID,
    "KEY_ID": _ID,
    "PATH_KEY": r"[0-9a-f]{32}",
    "LAST4": r"[0-9a-f]{4}",  # of a path key
    "API_KEY": r"\S{30,80}",
    "SECRET_KEY": r"[\w-]{43}=",
    "NEW_SECRET_KEY": r"[\w-]{43}=",
    "SCHEMA": r"\d{4}_\w+",
    "APP_ID": r"\d{16,20}",
    "SUFFIX": r"[0-9a-f]{12}",
    "REF": r"[\w-]{20,40}",
    "DIGITS": r"\d{4,8}",
    "TIME": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?",
    "SECONDS": r"\d+ s",
}
_PLACEHOLDER: Final = re.compile(r"(?<![A-Z_])(" + "|".join(PLACEHOLDERS) + r")(?![A-Z_])")
_STEP: Final = re.compile(r"^<!-- then: (.+) -->$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One command with what it prints, as the page has it. `line`: of the command, from 1."""

    line: int
    command: str
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens outside the terminal before the next command: `<!-- then: ... -->`."""

    line: int
    what: str


def scenes(path: Path) -> list[Screen | Step]:
    """Everything of a page that is to be run, from top to bottom."""
    found: list[Screen | Step] = []
    for block in blocks(path, "console"):
        assert block.text.startswith("$ "), f"{block.name}: begin a command with `$ `"
        found.extend(_screens(block.line, block.text))
    text = path.read_text("utf-8")
    found.extend(
        Step(line=text.count("\n", 0, step.start()) + 1, what=step[1]) for step in _STEP.finditer(text)
    )
    assert found, f"{name_of(path)} shows nothing"
    return sorted(found, key=lambda each: each.line)


def _screens(first: int, text: str) -> Iterator[Screen]:
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        command = " ".join(line.rstrip("\\").strip() for line in lines[start : last + 1])
        shown = "\n".join(lines[last + 1 : end])
        yield Screen(line=first + start, command=command.removeprefix("$ "), shown=shown.strip("\n"))


def filled(command: str, seen: Mapping[str, str]) -> str:
    """Put what was seen last in the place of each placeholder."""
    return _PLACEHOLDER.sub(lambda found: seen[found[1]], command)


def difference(shown: str, real: str) -> str | dict[str, str]:
    """What the placeholders stand for, where the real screen is the one shown; else the two, to be read."""
    names: list[str] = []

    def group(found: re.Match[str]) -> str:
        names.append(found[1])
        return f"({PLACEHOLDERS[found[1]]})"

    wanted = _PLACEHOLDER.sub(group, re.escape(_plain(shown)).replace(r"\ ", " ").replace(r"\-", "-"))
    found = re.fullmatch(wanted, _plain(real))
    if found is None:
        return f"the page shows\n\n{_plain(shown)}\n\nbut it is\n\n{_plain(real)}\n"
    return dict(zip(names, found.groups(), strict=True))


def _plain(screen: str) -> str:
    """A screen without the width of its columns, which hangs on ids and addresses."""
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in screen.strip("\n").splitlines())


def part_difference(shown: str, real: str) -> str | dict[str, str]:
    """As `difference`, of JSON: the page shows the members that matter, a real answer has more."""
    found: dict[str, str] = {}
    wrong = _missing(json.loads(shown), json.loads(real), "", found)
    return f"the page shows\n\n{shown}\n\nbut {wrong} of\n\n{real}\n" if wrong else found


def _missing(wanted: Any, real: Any, where: str, found: dict[str, str]) -> str:
    if isinstance(wanted, dict) and isinstance(real, dict):
        parts = [(value, real.get(name), f"{where}.{name}") for name, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(real, list) and len(wanted) == len(real):
        parts = [(one, other, f"{where}[]") for one, other in zip(wanted, real, strict=True)]
    elif isinstance(wanted, str) and isinstance(real, str):
        told = difference(wanted, real)
        if isinstance(told, str):
            return f"{where} is {real!r}"
        found.update(told)
        return ""
    else:
        return "" if wanted == real and type(wanted) is type(real) else f"{where} is {real!r}"
    return next((wrong for part in parts if (wrong := _missing(*part, found))), "")
