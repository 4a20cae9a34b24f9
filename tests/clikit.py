"""The command line for tests: in this process, in a folder of its own, with no environment but what a test says."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli.root import app
from gateway.store import Store

SID = "AC" + "0" * 32
SECRET = "5ec7e7" + "a" * 26
TWILIO = ("--set", f"account_sid={SID}", "--set", f"auth_token={SECRET}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything more or less fails."""
        return json.loads(self.out)


@dataclass(slots=True)
class Cli:
    """Runs commands on the database of one folder."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'gateway.db'}"

    @property
    def environment(self) -> dict[str, str]:
        return {"GATEWAY_DATABASE_URL": self.database_url, **self.env}

    def run(self, *words: str, stdin: str = "", **env: str) -> Ran:
        """Run one command; whatever it does to the process's logging is undone."""
        root = logging.getLogger()
        before = root.level, list(root.handlers)
        try:
            result = CliRunner().invoke(app, [*words], input=stdin, env={**self.environment, **env})
        finally:
            root.setLevel(before[0])
            root.handlers[:] = before[1]
        return Ran(code=result.exit_code, out=result.stdout, err=result.stderr)

    def ok(self, *words: str, **env: str) -> Ran:
        """Run a command that must work."""
        ran = self.run(*words, **env)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_") and k != "FORCE_COLOR"}
        return subprocess.Popen(
            [sys.executable, "-c", "from gateway.cli import main; main()", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(Path(__file__).parents[1]), **self.environment, **env},
        )

    def store(self) -> Store:
        """Open the database beside the commands."""
        opened = Store.open(self.database_url)
        opened.upgrade()
        return opened
