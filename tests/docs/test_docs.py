"""The docs are true: links lead somewhere, commands exist, settings are read, generated parts are up to date."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from gateway.settings import load_settings
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, links, name_of

# Words that a console line may begin with besides `gateway` and `make`; these are not ours to check.
OTHER_PROGRAMS = {"cat", "curl", "export", "pip", "python", "sqlite3", "git", "gunicorn", "nginx"}
LANGUAGES = {"", "bash", "console", "json", "nginx", "python", "text", "toml"}


def all_blocks(language: str) -> list[Any]:
    return [pytest.param(block, id=block.name) for path in PAGES for block in blocks(path, language)]


@pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in PAGES])
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if re.match(r"(https|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading; there are {sorted(anchors(target))}"


@pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in PAGES])
def test_every_block_says_what_it_is(path: Path) -> None:
    for block in blocks(path):
        assert block.language in LANGUAGES, f"{block.name}: nothing checks a block of {block.language!r}"


def test_generated_parts_are_up_to_date() -> None:
    stale = [name_of(path) for path, text in generate.pages() if path.read_text("utf-8") != text]
    assert not stale, f"run `make docs` and commit: {stale}"


@pytest.mark.parametrize("block", all_blocks("console"))
def test_commands_exist(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.text.startswith("$ ") and not line.startswith("$ "):
            continue  # what the command before it prints
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if not words:
            continue
        if words[0] == "gateway":
            check_gateway(words[1:])
        elif words[0] == "make":
            check_make(words[1:])
        else:
            assert words[0] in OTHER_PROGRAMS, f"{line}: what is {words[0]}?"


def check_gateway(words: list[str]) -> None:
    """Walk to the command and let it read its own options and arguments; it raises when it does not know them."""
    from typer.main import get_command

    from gateway.cli.root import app

    command: Any = get_command(app)
    while getattr(command, "commands", None):
        if command.invoke_without_command and (not words or words[0].startswith("-")):
            break
        name, *words = words
        assert name in command.commands, f"no command {name!r}: there are {sorted(command.commands)}"
        command = command.commands[name]
    command.make_context(command.name, words)


def check_make(targets: list[str]) -> None:
    """Each target stands in the Makefile, and is a command rather than a file."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    for target in targets:
        if "=" not in target:
            assert target in phony[1].split(), f"make {target}: no such target"


@pytest.mark.parametrize("block", all_blocks("toml"))
def test_settings_are_read(block: Block, tmp_path: Path) -> None:
    if "[tool." in block.text or "[project" in block.text:
        tomllib.loads(block.text)
        return
    file = tmp_path / "gateway.toml"
    file.write_text(block.text, "utf-8")
    load_settings(file, env={})


@pytest.mark.parametrize("block", all_blocks("nginx"))
def test_proxy_settings_are_those_that_are_shipped(block: Block) -> None:
    shipped = {line.strip() for line in (ROOT / "config/nginx.conf").read_text("utf-8").splitlines()}
    for line in block.text.splitlines():
        assert line.strip() in shipped


@pytest.mark.parametrize("path", [pytest.param(path, id=name_of(path)) for path in PAGES])
def test_variables_that_are_named_exist(path: Path) -> None:
    table = generate.settings_table()
    known = {*re.findall(r"GATEWAY_[A-Z_]+", table), "GATEWAY_CONFIG", "GATEWAY_CREDENTIAL_"}
    assert set(re.findall(r"\bGATEWAY_[A-Z_]+", path.read_text("utf-8"))) <= known


def test_every_decision_record_has_the_same_shape() -> None:
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    index = (ROOT / "docs/adr/README.md").read_text("utf-8")
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], (
            path.name
        )
        assert f"({path.name})" in index, f"{path.name} is not in docs/adr/README.md"


def test_no_page_names_a_path_of_somebodys_machine() -> None:
    for path in PAGES:
        assert not re.search(r"/(home|root|work|Users|tmp)/", path.read_text("utf-8")), name_of(path)
