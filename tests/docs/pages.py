"""What the docs' tests read: the pages, their code blocks, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")],
    key=lambda path: path.relative_to(ROOT).parts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. `line` is that of its first line of code, from 1."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it is, for the name of a test."""
        return f"{name_of(self.path)}:{self.line}"


def name_of(path: Path) -> str:
    """The page's path below the root."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, of one language or all."""
    found: list[Block] = []
    inside: tuple[str, int, list[str]] | None = None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if inside is None and fence:
            inside = (fence[1], number + 1, [])
        elif inside is not None and line == "```":
            found.append(
                Block(path=path, line=inside[1], language=inside[0], text="\n".join(inside[2]) + "\n")
            )
            inside = None
        elif inside is not None:
            inside[2].append(line)
    assert inside is None, f"{name_of(path)}: a block is not closed"
    return [block for block in found if language in (None, block.language)]


def prose(path: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(path: Path) -> list[str]:
    """The targets of the page's links."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def anchors(path: Path) -> set[str]:
    """The names by which the page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
