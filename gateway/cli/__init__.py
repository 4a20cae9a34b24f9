"""The command `gateway` (design, section 8). Thin: each command reads its options, asks `Gateway`, shows the answer.

| module | what |
| --- | --- |
| `root` | the command tree, errors in one line, exit codes |
| `session` | what a command needs: the open gateway, the two ways to answer |
| `options` | words on the command line -> models |
| `screen` | tables, icons, the timeline |
| `calls` `credentials` `numbers` `agents` | one group of commands each |
| `running` `simulating` | `serve`, `demo`, `simulate` |
| `supplying` `operations` | more of `numbers`: how they come in, long work that was left |
| `upkeep` | `db upgrade`, `doctor` |

Every command takes `--json`: exactly one JSON document on stdout (`calls tail` alone writes one a line, one an event).
Errors go to stderr in one line that says what to do. Exit codes: 0 ok, 1 refused or failed, 2 usage.
"""

from __future__ import annotations


def main() -> None:
    """Run the command that the process was started with; the console script's entry."""
    from gateway.cli.root import app

    app()


__all__ = ["main"]
