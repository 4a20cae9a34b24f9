"""How things look in a terminal: tables, icons and the timeline of a call. Nothing here decides or changes anything.

Colors are for terminals only: piped, or with NO_COLOR, there is no escape code, and every color has a word or an icon
beside it. What carriers and callers wrote is cleaned of control characters before it is shown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.models import Agent, Assignment, Attempt, AttemptState, Call, Credential, EventRecord, Number
from gateway.showing import step_document
from gateway.status import CallStatus, Direction, EndCause, EndedBy, EndReason, RetryAdvice

WIDE: Final = 240  # columns when nobody's terminal limits them: a piped table is cut by whoever reads it

STATUS_LOOK: Final[Mapping[CallStatus, tuple[str, str]]] = {
    CallStatus.QUEUED: ("…", "dim"),
    CallStatus.RINGING: ("~", "yellow"),
    CallStatus.IN_PROGRESS: (">", "bold green"),
    CallStatus.COMPLETED: ("✓", "green"),
    CallStatus.BUSY: ("-", "yellow"),
    CallStatus.NO_ANSWER: ("-", "yellow"),
    CallStatus.VOICEMAIL: ("v", "magenta"),
    CallStatus.CANCELLED: ("×", "blue"),
    CallStatus.FAILED: ("!", "bold red"),
}
OUTCOME_LOOK: Final = {"applied": ("✓", "green"), "nothing_new": ("=", "dim"), "refused": ("✗", "red")}
SOURCE_WORDS: Final = {"webhook": "carrier", "reconciled": "asked", "gateway": "gateway"}
LEVEL_LOOK: Final = {"ok": ("✓", "green"), "warning": ("?", "yellow"), "problem": ("✗", "bold red")}

WHO: Final[Mapping[EndedBy, str]] = {
    EndedBy.CALLER: "the caller",
    EndedBy.CALLEE: "the called party",
    EndedBy.US: "we",
    EndedBy.CARRIER: "the carrier",
    EndedBy.UNKNOWN: "not known who",
}
WHY: Final[Mapping[EndCause, str]] = {
    EndCause.HUNG_UP: "hung up in the normal way",
    EndCause.MAX_DURATION: "the maximum duration was over",
    EndCause.BUSY: "the line was busy",
    EndCause.DECLINED: "the call was declined",
    EndCause.NO_ANSWER: "nobody answered",
    EndCause.UNREACHABLE: "the phone could not be reached",
    EndCause.INVALID_NUMBER: "the number does not exist or cannot be dialed",
    EndCause.CANCELLED: "ended from our side before the answer",
    EndCause.ABANDONED: "the caller gave up before the answer",
    EndCause.REJECTED: "the inbound call was refused",
    EndCause.MACHINE: "a machine answered",
    EndCause.NOT_PERMITTED: "the account may not call there",
    EndCause.CALLER_ID_REFUSED: "the caller ID was refused",
    EndCause.BLOCKED: "blocked as unwanted",
    EndCause.CAPACITY: "too many calls at once",
    EndCause.ACCOUNT: "the account has no funds, is suspended, or its secrets are wrong",
    EndCause.REQUEST_REFUSED: "the carrier refused the request",
    EndCause.CARRIER_ERROR: "trouble in the carrier's network",
    EndCause.MEDIA_ERROR: "no audio could be agreed on",
    EndCause.APPLICATION_ERROR: "the carrier could not use our answer",
    EndCause.NOT_SENT: "the dial never left this machine",
    EndCause.NOT_PLACED: "no trace at the carrier: probably never placed",
    EndCause.INDETERMINATE: "the outcome of the dial stayed unknown",
    EndCause.LOST: "the end was never reported, and the carrier no longer knows",
    EndCause.UNKNOWN: "for a reason that the carrier did not say, or that we do not know",
}
RETRY: Final[Mapping[RetryAdvice, str]] = {
    RetryAdvice.NO: "no need to try again",
    RetryAdvice.LATER: "trying again later may work",
    RetryAdvice.AFTER_CHANGE: "change something before trying again",
    RetryAdvice.ASK: "whether the person was called is not known: decide yourself before calling again",
}
DIAL: Final[Mapping[str, str]] = {
    "unconfirmed": "DIAL NOT CONFIRMED: the phone may be ringing; the carrier is being asked, nothing is dialed again",
    "not_placed_probable": "dial probably never placed: three looks at the carrier found no trace",
    "indeterminate": "DIAL STILL UNKNOWN after 24 hours: look at the carrier's console",
}


def stdout() -> Console:
    """Return a console for answers."""
    return _console(sys.stdout.isatty(), is_error=False)


def stderr() -> Console:
    """Return a console for errors."""
    return _console(sys.stderr.isatty(), is_error=True)


def _console(is_terminal: bool, *, is_error: bool) -> Console:
    is_plain = not is_terminal or bool(os.environ.get("NO_COLOR"))
    return Console(
        stderr=is_error,
        highlight=False,
        markup=False,
        emoji=False,
        color_system=None if is_plain else "auto",
        force_terminal=False if not is_terminal else None,
        width=None if is_terminal else WIDE,
    )


def clean(value: object) -> str:
    """Return text without control characters: what a carrier wrote must not steer a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(value))


def say(line: str, *, style: str = "") -> None:
    """Print one line."""
    stdout().print(Text(clean(line), style=style), soft_wrap=True)


def say_error(line: str) -> None:
    """Print one line beside the answer, on stderr."""
    stderr().print(Text(f"error: {clean(line)}"), soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on a terminal's stderr while the block runs; yields what is told (done, total)."""
    console = stderr()
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, empty: str) -> None:
    """Print a table, or the sentence `empty` when there is no row."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "number")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    if table.row_count:
        stdout().print(table)
    else:
        say(empty, style="dim")


# -- calls -----------------------------------------------------------------------------------------------------------


def status_text(status: CallStatus) -> Text:
    """Return a status with its icon."""
    icon, style = STATUS_LOOK[status]
    return Text(f"{icon} {status.value}", style=style)


def arrow(direction: Direction) -> str:
    """Return a sign for a direction."""
    return "← in" if direction is Direction.INBOUND else "→ out"


def moment(value: datetime | None) -> str:
    """Return a time for people, in UTC."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds_text(seconds: float | None) -> str:
    """Return a duration for people: "12 s", "3 min 05 s"."""
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def show_calls(calls: Iterable[Call]) -> None:
    """Print a table of calls."""
    rows = (
        (
            status_text(call.status),
            arrow(call.direction),
            call.phone_number,
            call.agent_id or "",
            call.provider or "",
            moment(call.created_at),
            seconds_text(call.duration_seconds),
            _note(call),
            call.id,
        )
        for call in calls
    )
    columns = ("status", "", "party", "agent", "provider", "placed (UTC)", "talked", "", "id")
    show_table(columns, rows, empty="No calls.")


def _note(call: Call) -> str:
    if call.context.get("dial") == "unconfirmed":
        return "dial not confirmed"
    if call.end_reason is None or call.status is CallStatus.COMPLETED:
        return ""
    return WHY[call.end_reason.why]


def call_line(call: Call) -> Text:
    """Return a call in one line."""
    line = Text.assemble(status_text(call.status), "  ", clean(f"{call.from_number} → {call.to}"))
    if call.agent_id:
        line.append(clean(f"  agent {call.agent_id}"))
    return line.append(clean(f"  {call.provider or ''}  {call.id}"), style="dim")


def show_call(call: Call) -> None:
    """Print a call's head: what happened, how long, at what cost, and why it ended."""
    console = stdout()
    console.print(call_line(call), soft_wrap=True)
    for label, value in _head(call):
        console.print(Text.assemble((f"  {label:<10}", "dim"), clean(value)), soft_wrap=True)


def _head(call: Call) -> list[tuple[str, str]]:
    facts = [("placed", f"{moment(call.created_at)} UTC")]
    if call.started_at is not None:
        # The carrier's clock may run behind ours, or count whole seconds.
        waited = seconds_text(max(0.0, (call.started_at - call.created_at).total_seconds()))
        facts.append(("answered", f"{moment(call.started_at)} UTC, after {waited}"))
    if call.facts.answered_by is not None:
        facts.append(("by", call.facts.answered_by.value))
    if call.ended_at is not None:
        facts.append(("ended", f"{moment(call.ended_at)} UTC, talked {seconds_text(call.duration_seconds)}"))
    if call.end_reason is not None:
        facts.extend(_reason_lines(call.end_reason))
    if call.cost is not None:
        facts.append(("cost", f"{call.cost.amount:f} {call.cost.currency}"))
    if call.recording is not None:
        facts.append(("recording", call.recording.ref))
    dial = call.context.get("dial")
    if dial is not None:
        facts.append(("dial", DIAL.get(str(dial), str(dial))))
    error = call.context.get("last_error")
    if isinstance(error, Mapping):
        facts.append(("error", " ".join(str(part) for part in error.values() if part)))
    return facts


def _reason_lines(reason: EndReason) -> list[tuple[str, str]]:
    lines = [("ended by", WHO[reason.who]), ("why", WHY[reason.why]), ("again", RETRY[reason.retry])]
    words = [getattr(reason.carrier, name) for name in type(reason.carrier).__dataclass_fields__]
    if any(words):
        lines.append(("said", ", ".join(word for word in words if word)))
    if reason.contradictory:
        lines.append(("note", "two reports of the end contradicted each other"))
    return lines


def show_timeline(call: Call, events: Iterable[EventRecord], attempts: Iterable[Attempt]) -> None:
    """Print a call's dial attempts and every event: when, from whom, what became of it."""
    for attempt in attempts:
        stdout().print(_attempt_line(attempt), soft_wrap=True)
    say("")
    rows = (_event_row(call, event) for event in events)
    show_table(("when", "from", "", "event", "", "status then"), rows, empty="No events.")


def _attempt_line(attempt: Attempt) -> Text:
    is_unclear = attempt.state in (AttemptState.UNKNOWN, AttemptState.INDETERMINATE)
    line = Text.assemble(
        (f"  dial {attempt.number:<5}", "dim"),
        (attempt.state.value, "bold red" if is_unclear else "default"),
    )
    said = [attempt.message or "", attempt.vendor_code or ""]
    if attempt.looks:
        said.append(f"{attempt.looks} looks at the carrier")
    if attempt.next_look_at is not None:
        said.append(f"next look {moment(attempt.next_look_at)} UTC")
    return line.append(clean("".join(f", {part}" for part in said if part)))


def _event_row(call: Call, event: EventRecord) -> tuple[str | Text, ...]:
    icon, style = OUTCOME_LOOK[event.outcome.value]
    # By our clock: a carrier's counts whole seconds, or runs ahead, and would turn the order around.
    since = (event.received_at - call.created_at).total_seconds()
    return (
        f"{since:+.3f} s",
        SOURCE_WORDS.get(event.source, event.source),
        Text(icon, style=style),
        Text(clean(event.name), style="dim" if event.outcome.value == "nothing_new" else ""),
        clean(event.detail),
        status_text(event.status_after) if event.status_after else "",
    )


def tail_line(event: EventRecord, call: Call | None) -> Text:
    """Return one event of a live tail: when, which call, what, and what became of it."""
    icon, style = OUTCOME_LOOK[event.outcome.value]
    line = Text(f"{event.received_at.astimezone(UTC):%H:%M:%S}  ", style="dim")
    if call is not None:
        line.append(clean(f"{arrow(call.direction):<5} {call.phone_number:<16} "))
    if event.status_after is not None:
        line.append_text(status_text(event.status_after)).append(
            " " * max(1, 14 - len(event.status_after.value))
        )
    line.append(f"{icon} ", style=style)
    line.append(f"{SOURCE_WORDS.get(event.source, event.source)}: {clean(event.name)}")
    if event.detail:
        line.append(f"  {clean(event.detail)}", style="dim")
    return line.append(f"  {event.call_id or ''}", style="dim")


# -- what is set up --------------------------------------------------------------------------------------------------


def show_credentials(credentials: Iterable[Credential]) -> None:
    """Print a table of accounts."""
    rows = (
        (each.name, each.provider, each.account_ref, moment(each.created_at), each.key, each.id)
        for each in credentials
    )
    show_table(
        ("name", "provider", "account", "added (UTC)", "path key", "id"),
        rows,
        empty="No credentials: add one with `gateway credentials add`.",
    )


def show_numbers(numbers: Iterable[Number], assignments: Sequence[Assignment]) -> None:
    """Print a table of numbers and whom they serve; it fits into 80 columns."""
    rows = (
        (
            each.e164,
            each.country,
            each.provider,
            _served(each, assignments, Direction.INBOUND),
            _served(each, assignments, Direction.OUTBOUND),
            _carrier_side(each),
        )
        for each in numbers
    )
    show_table(
        ("number", "country", "provider", "inbound to", "outbound of", "at the carrier"),
        rows,
        empty="No numbers: add one with `gateway numbers add` or `gateway numbers import`.",
    )


def _carrier_side(number: Number) -> str:
    if number.is_drifted:
        return "✗ differs"
    return {"none": "", "applied": "✓ points here"}.get(
        number.setup_state.value, f"… {number.setup_state.value}"
    )


def _served(number: Number, assignments: Sequence[Assignment], direction: Direction) -> str:
    return ", ".join(
        each.agent_id for each in assignments if each.number_id == number.id and each.direction is direction
    )


def show_agents(agents: Iterable[Agent]) -> None:
    """Print a table of agents."""
    rows = (
        (
            each.id,
            each.name,
            _steps_text([each.connect]),
            _steps_text(each.fallback),
            str(each.max_concurrent_calls or ""),
            each.caller_id_strategy.value,
            ", ".join(f"{name}={value}" for name, value in each.settings.as_dict().items()),
        )
        for each in agents
    )
    show_table(
        ("agent", "name", "connect", "fallback", "limit", "caller id", "settings"),
        rows,
        empty="No agents: put one with `gateway agents put`.",
    )


def _steps_text(steps: Iterable[object]) -> str:
    return ", then ".join("a function" if callable(step) else _step_text(step) for step in steps)


def _step_text(step: object) -> str:
    document = step_document(step)  # type: ignore[arg-type]
    return " ".join(str(document[name]) for name in document if name not in ("language", "max_length_s"))
