"""Measure what users wait for: one line a figure, and all of them as JSON at the end.

Nothing here fails: figures are for people to compare. Other work on the machine moves single figures by a third, so
run it twice. `python -m bench listing` measures one subject.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

SUBJECTS = ("dialing", "fetching", "listing", "delivering")


def main(wanted: list[str]) -> None:
    """Measure the subjects wanted, all of them when none is named."""
    unknown = set(wanted) - set(SUBJECTS)
    if unknown:
        raise SystemExit(f"nothing measures {', '.join(sorted(unknown))}; there is: {', '.join(SUBJECTS)}")
    found = []
    for subject in wanted or SUBJECTS:
        for figure in import_module(f"bench.{subject}").figures():
            print(figure.line(), flush=True)  # noqa: T201 # what this program is for
            found.append({"subject": subject, **figure.document()})
    print(json.dumps({"figures": found}, ensure_ascii=False))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
