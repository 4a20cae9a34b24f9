"""How the demo looks: a live table in a terminal, plain lines when piped, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli import screen
from gateway.demo.bringing import Done
from gateway.demo.playing import Scene
from gateway.demo.report import Report, document
from gateway.demo.truth import Check
from gateway.status import CallStatus

REDRAWS_A_SECOND: Final = 8
WIDEST: Final = 120

TITLE: Final = "Telephony gateway: demo"
WHAT: Final = (
    "One interface over the voice APIs of {carriers}. Here a simulator plays the carriers on this machine: "
    "real requests, signed webhooks and audio, but no account, no cost, nothing leaves the machine."
)
COLUMNS: Final = (
    ("What happens", "one call a row, the same on each carrier"),
    ("Exchange", "what really happened, as the simulator's switch knows"),
    ("{carriers}", "what the gateway says, by webhooks alone; ✓ both agree"),
)
NEXT: Final = (
    ("README.md", "what it is, and a first program of ten lines"),
    ("gateway --help", "every command"),
    ("gateway simulate", "a simulator that keeps running, for calls of your own"),
)


class Screen(Protocol):
    """Where the demo is shown, from beginning to end."""

    def opening(self) -> None:
        """Say what this is."""

    def step(self, part: str, text: str) -> None:
        """Say what has been set up."""

    def chapter(self, title: str) -> None:
        """Say what the next steps are about."""

    def did(self, done: Done) -> None:
        """A step has been done at a carrier."""

    def playing(self, scenes: Sequence[Scene]) -> AbstractContextManager[object]:
        """Show the scenes while they are played."""

    def over(self, scene: Scene) -> None:
        """One scene is over."""

    def closing(self, report: Report) -> None:
        """Show what came of it."""

    def stopped(self) -> None:
        """Somebody stopped the demo."""


def open_screen(providers: Sequence[str], *, as_json: bool) -> Screen:
    """Return the screen that fits what stdout is."""
    if as_json:
        return JsonScreen()
    console = screen.stdout()
    return PeopleScreen(console, providers, is_live=console.is_terminal and not console.is_dumb_terminal)


class JsonScreen:
    """Prints one document at the end, and nothing before."""

    def opening(self) -> None:
        """Nothing."""

    def step(self, part: str, text: str) -> None:
        """Nothing."""

    def chapter(self, title: str) -> None:
        """Nothing."""

    def did(self, done: Done) -> None:
        """Nothing."""

    def playing(self, scenes: Sequence[Scene]) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def over(self, scene: Scene) -> None:
        """Nothing."""

    def closing(self, report: Report) -> None:
        """Print the document."""
        sys.stdout.write(json.dumps(document(report), indent=2, ensure_ascii=False) + "\n")

    def stopped(self) -> None:
        """Nothing."""


class PeopleScreen:
    """For people: a table that lives in a terminal, a line for each call otherwise."""

    def __init__(self, console: Console, providers: Sequence[str], *, is_live: bool) -> None:
        self._console = console
        self._is_live = is_live
        self._carriers = _listed([name.capitalize() for name in providers])
        if console.width > WIDEST:
            console.width = WIDEST

    def opening(self) -> None:
        """Print title, sentence and what each column means."""
        self._console.print(Text(TITLE, style="bold"))
        self._console.print(Text(WHAT.format(carriers=self._carriers)))
        self._console.print()

    def step(self, part: str, text: str) -> None:
        """Print what has been set up."""
        self._console.print(Text.assemble(("✓ ", "green"), (f"{part:<10}", "bold"), text))

    def chapter(self, title: str) -> None:
        """Print what the next steps are about."""
        self._console.print()
        self._console.print(Text(title, style="bold"))

    def did(self, done: Done) -> None:
        """Print the step."""
        self._console.print(step_line(done), soft_wrap=True)

    @contextmanager
    def playing(self, scenes: Sequence[Scene]) -> Iterator[None]:
        """Keep the table up to date in a terminal; elsewhere it stands below the lines of `over`."""
        self._console.print()
        self._legend()
        if not self._is_live:
            yield
            self._console.print()
            self._console.print(table(scenes))
            return
        with Live(
            console=self._console,
            get_renderable=lambda: table(scenes),
            refresh_per_second=REDRAWS_A_SECOND,
        ):
            yield

    def over(self, scene: Scene) -> None:
        """Print the scene in one line, where there is no live table."""
        if not self._is_live:
            self._console.print(line(scene), soft_wrap=True)

    def closing(self, report: Report) -> None:
        """Print the figures, and the timeline of each call that does not agree."""
        self._console.print()
        self._console.print(verdict(report))
        for check in report.checks:
            self._console.print(check_line(check))
        for scene in report.scenes:
            if not scene.agrees:
                self._explain(scene)
        if not report.agrees:
            self._console.print(Text(f"\nThe end of the server's log:\n{report.server_log}", style="dim"))
        self._console.print()
        self._definitions(NEXT, "Next: ")

    def stopped(self) -> None:
        """Say that everything was stopped."""
        self._console.print(Text("\nStopped; nothing is left running.", style="yellow"))

    def _legend(self) -> None:
        self._definitions([(name.format(carriers=self._carriers), text) for name, text in COLUMNS], "")
        self._console.print()

    def _definitions(self, rows: Sequence[tuple[str, str]], lead: str) -> None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for number, (name, text) in enumerate(rows):
            first = lead if number == 0 else " " * len(lead)
            grid.add_row(Text(first + name, style="bold"), Text(text))
        self._console.print(grid)

    def _explain(self, scene: Scene) -> None:
        self._console.print(Text.assemble("\n", line(scene)), soft_wrap=True)
        for check in scene.checks:
            self._console.print(check_line(check))
        call = scene.latest()
        if call is None:
            self._console.print(Text("  The gateway has no record of this call."))
            return
        screen.show_call(call)
        screen.show_timeline(call, scene.events(), scene.stage.gateway.calls.attempts(call.id))


# -- the table -----------------------------------------------------------------------------------------------------


def table(scenes: Sequence[Scene]) -> Table:
    """Return the table as it is now: a row for each scenario, a column for each carrier."""
    providers = list(dict.fromkeys(scene.provider for scene in scenes))
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    shown.add_column("What happens", min_width=28)
    shown.add_column("Exchange", min_width=11)
    for provider in providers:
        shown.add_column(provider.capitalize(), min_width=11, no_wrap=True)
    group = ""
    for number in dict.fromkeys(scene.index for scene in scenes):
        row = [scene for scene in scenes if scene.index == number]
        scenario = row[0].scenario
        if scenario.group != group:
            group = scenario.group
            shown.add_row(Text(group, style="bold cyan"))
        shown.add_row(f" {scenario.title}", _truth(row), *(_cell(scene) for scene in row))
    return shown


def _truth(row: Sequence[Scene]) -> Text:
    """What the exchange knows; carriers that differ are all named."""
    known = dict.fromkeys(scene.exchange_state for scene in row if scene.is_over and scene.exchange_state)
    return Text(", ".join(known))


def _cell(scene: Scene) -> Text:
    call = scene.call
    word = call.status.value if call else "no call"
    if scene.is_over:
        return Text(f"✓ {word}", style="green") if scene.agrees else Text(f"✗ {word}", style="bold red")
    if call is None:
        return Text("· waiting", style="dim")
    icon, style = screen.STATUS_LOOK[call.status]
    return Text(word if call.status is CallStatus.IN_PROGRESS else f"{icon} {word}", style=style)


# -- lines ---------------------------------------------------------------------------------------------------------


def step_line(done: Done) -> Text:
    """Return a step of one carrier in one line."""
    return Text.assemble(_mark(done.ok), (f" {done.step:<8}", "bold"), f" {done.provider:<7} {done.text}")


def line(scene: Scene) -> Text:
    """Return a scene that is over in one line."""
    call = scene.call
    said = call.status.value if call else "no call"
    if call is not None and call.end_reason is not None:
        said += f" ({call.end_reason.why.value}, by {call.end_reason.who.value})"
    return Text.assemble(
        _mark(scene.agrees),
        f" {scene.provider:<7} {scene.scenario.name:<20} exchange: {scene.exchange_state:<12} gateway: {said}",
    )


def check_line(check: Check) -> Text:
    """Return one check in one line."""
    return Text.assemble("  ", _mark(check.ok), f" {check.name}: {check.detail}")


def verdict(report: Report) -> Text:
    """Return the result in one sentence."""
    total = len(report.scenes)
    if report.agrees:
        text = f"Gateway and exchange agree on all {total} calls: status, who ended it, and why."
    elif report.agreeing == total:
        text = f"Gateway and exchange agree on all {total} calls, but not all else is as it must be:"
    else:
        text = f"Gateway and exchange do NOT agree on {total - report.agreeing} of {total} calls."
    style = "bold green" if report.agrees else "bold red"
    return Text.assemble(_mark(report.agrees), " ", (text, style))


def _mark(ok: bool) -> Text:
    return Text("✓", style="green") if ok else Text("✗", style="bold red")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
