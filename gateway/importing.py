"""Use case: take an account's numbers in: all that the carrier lists, some of them, or those of a CSV file.

Nothing is changed at the carrier by an import; a row of a CSV file may also assign. Each number gets a verdict, and one
that cannot be taken stops no other. What is here already is left as it is, so an import can be killed and run again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from gateway import assigning, pointing
from gateway.byoc import CarrierNumber, Target, TargetKind
from gateway.errors import GatewayError, UnsupportedFeature, ValidationError
from gateway.models import DEFAULT_WORKSPACE, Credential, Number, OperationResult
from gateway.numbers import mask, parse_e164
from gateway.provisioning import find_credential, new_number
from gateway.services import Services
from gateway.store import numbers

_BATCH: Final = 100
_WORTH_A_LIST: Final = 25
COLUMNS: Final = ("number", "agent", "inbound", "outbound")
MOST_ROWS: Final = 10_000


class Verdict(StrEnum):
    """What an import did with one number."""

    IMPORTED = "imported"
    ALREADY_HERE = "already here"
    NO_VOICE = "no voice"
    IN_ANOTHER_WORKSPACE = "in another workspace"
    CLAIMED = "claimed"  # it points at another gateway: imported only when told to take over
    ABSENT = "not in the account"
    ASSIGNED = "assigned"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportVerdict:
    """What an import did with one number of the account. `points_at`: what it points at now, in one line."""

    e164: str = field(repr=False)
    verdict: Verdict
    points_at: str = field(default="", repr=False)

    def as_result(self) -> OperationResult:
        """Return it as the result of an operation."""
        return OperationResult(subject=self.e164, verdict=self.verdict.value, detail=self.points_at)


def import_numbers(
    services: Services,
    credential: str,
    *,
    only: Sequence[str] | None = None,
    dry_run: bool = False,
    take_over: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[ImportVerdict]:
    """Store the voice numbers of an account, paged to the end; one verdict a number.

    Args:
        only: only these. dry_run: say what would be done. take_over: also those that point at another gateway.

    Raises:
        InvalidNumber, NotFound: no such credential. ProviderError: what was stored before stays.
    """
    account = find_credential(services, credential, workspace_id)
    batches = import_batches(services, account, only=only, dry_run=dry_run, take_over=take_over)
    return [verdict for batch in batches for verdict in batch]


def import_batches(
    services: Services,
    account: Credential,
    *,
    only: Sequence[str] | None = None,
    dry_run: bool = False,
    take_over: bool = False,
    skip: frozenset[str] = frozenset(),
) -> Iterator[list[ImportVerdict]]:
    """Do an import batch by batch; each is stored when it is yielded. `skip`: numbers that are through."""
    provider = services.provider_of(account)
    pointed: dict[str, Target] = {}

    def target_of(listed: CarrierNumber) -> Target:
        # Reading an application costs a request, and thousands of numbers may point at the same one.
        known = json.dumps(listed.settings, sort_keys=True, default=str)
        if known not in pointed:
            try:
                pointed[known] = provider.target_of(listed)
            except UnsupportedFeature:  # an adapter from outside that only lists numbers
                pointed[known] = Target(kind=TargetKind.OTHER, text="")
        return pointed[known]

    wanted = None if only is None else tuple(dict.fromkeys(parse_e164(each, "only") for each in only))
    listed = _listed(services, account, wanted)
    while batch := list(islice(listed, _BATCH)):
        fresh = [each for each in batch if each[0] not in skip]
        held = numbers.holding_workspaces(services.store, [e164 for e164, _ in fresh])
        verdicts = []
        new: list[Number] = []
        for e164, found in fresh:
            verdict, target = _judge(
                account, found, held.get(e164, frozenset()), target_of, take_over=take_over
            )
            if found is not None and verdict is Verdict.IMPORTED:
                new.append(new_number(services.clock(), e164, account, found.carrier_ref))
            verdicts.append(ImportVerdict(e164=e164, verdict=verdict, points_at=target))
        if new and not dry_run:
            with services.store.transaction() as tx:
                numbers.insert_numbers(tx, new)
        yield verdicts


def _judge(
    account: Credential,
    found: CarrierNumber | None,
    holders: frozenset[str],
    target_of: Callable[[CarrierNumber], Target],
    *,
    take_over: bool,
) -> tuple[Verdict, str]:
    """Return what is to become of one number, and what it points at now."""
    if found is None:
        return Verdict.ABSENT, ""
    if not found.has_voice:
        return Verdict.NO_VOICE, ""
    target = target_of(found)
    if account.workspace_id in holders:
        return Verdict.ALREADY_HERE, target.text
    if holders:
        return Verdict.IN_ANOTHER_WORKSPACE, target.text
    if pointing.claimed_by_other(target, account) and not take_over:
        return Verdict.CLAIMED, target.text
    return Verdict.IMPORTED, target.text


def _listed(
    services: Services, account: Credential, wanted: tuple[str, ...] | None
) -> Iterator[tuple[str, CarrierNumber | None]]:
    """Yield the account's numbers, or the wanted ones of them; None for one that it does not have."""
    provider = services.provider_of(account)
    if wanted is not None and len(wanted) < _WORTH_A_LIST:
        for e164 in wanted:
            yield e164, provider.find_number(e164)
        return
    missing = dict.fromkeys(wanted or ())
    for each in provider.list_numbers():
        if wanted is None or each.e164 in missing:
            missing.pop(each.e164, None)
            yield each.e164, each
    for e164 in missing:
        yield e164, None


# -- CSV -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One row as it was written."""

    line: int
    number: str = field(repr=False)
    agent: str
    inbound: str
    outbound: str


def read_csv(text: str) -> list[CsvRow]:
    """Read the rows of a CSV file with the columns number, agent, inbound, outbound; what is in them is not judged.

    Raises:
        ValidationError: not such a file, or over 10,000 rows.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise ValidationError("file", f"line {reader.line_num} is not CSV: {error}") from None
    header = tuple(cell.lower() for cell in rows[0][1]) if rows else ()
    if (
        not header
        or "number" not in header
        or not set(header) <= set(COLUMNS)
        or len(set(header)) != len(header)
    ):
        raise ValidationError("file", f"its first line must name its columns: {','.join(COLUMNS)}")
    if len(rows) - 1 > MOST_ROWS:
        raise ValidationError("file", f"give at most {MOST_ROWS:,} rows")
    found = []
    for line, cells in rows[1:]:
        named = dict(zip(header, cells, strict=False)) if len(cells) <= len(header) else {}
        found.append(CsvRow(line=line, **{name: named.get(name, "") for name in COLUMNS}))
    return found


def import_row(
    services: Services,
    row: CsvRow,
    *,
    credential: str | None = None,
    configure: bool = True,
    take_over: bool = False,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> OperationResult:
    """Take one row in: add its number where it is not here yet, and assign it where the row names an agent.

    Never raises for what is wrong with the row: the verdict is `error`, with what to do.
    """
    try:
        verdict, detail = _import_row(services, row, credential, configure, take_over, workspace_id)
    except GatewayError as error:
        verdict, detail = Verdict.ERROR, f"line {row.line}: {error}"
    return OperationResult(subject=row.number, verdict=verdict.value, detail=detail)


def _import_row(
    services: Services,
    row: CsvRow,
    credential: str | None,
    configure: bool,
    take_over: bool,
    workspace_id: str,
) -> tuple[Verdict, str]:
    e164 = parse_e164(row.number, "number")
    inbound, outbound = _yes(row.inbound, "inbound"), _yes(row.outbound, "outbound")
    if row.agent and not inbound and not outbound:
        raise ValidationError("inbound", "say yes to inbound, outbound or both for the agent")
    if not row.agent and (inbound or outbound):
        raise ValidationError("agent", "name the agent that the number is to serve")
    verdict = _take_in(services, e164, credential, workspace_id, take_over=take_over)
    if not row.agent:
        return verdict, ""
    change = assigning.assign_number(
        services,
        e164,
        row.agent,
        inbound=inbound,
        outbound=outbound,
        configure=configure,
        take_over=take_over,
        workspace_id=workspace_id,
    )
    return Verdict.ASSIGNED, " ".join(change.notes)


def _take_in(
    services: Services, e164: str, credential: str | None, workspace_id: str, *, take_over: bool
) -> Verdict:
    if numbers.find_number(services.store, workspace_id, e164) is not None:
        return Verdict.ALREADY_HERE
    if credential is None:
        raise ValidationError(
            "number", f"{mask(e164)} is not here yet: name the account that has it (--credential)"
        )
    [found] = import_numbers(
        services, credential, only=[e164], take_over=take_over, workspace_id=workspace_id
    )
    if found.verdict is not Verdict.IMPORTED:
        raise ValidationError("number", f"not imported: {found.verdict.value} {found.points_at}".rstrip())
    return found.verdict


_YES: Final = frozenset({"yes", "y", "true", "1", "x"})
_NO: Final = frozenset({"", "no", "n", "false", "0"})


def _yes(word: str, column: str) -> bool:
    if word.lower() not in _YES | _NO:
        raise ValidationError(column, f"{word[:20]!r} is neither yes nor no")
    return word.lower() in _YES


def rows_of(documents: Iterable[dict[str, object]]) -> list[CsvRow]:
    """Return rows that were kept as JSON."""
    return [CsvRow(**document) for document in documents]  # type: ignore[arg-type]
