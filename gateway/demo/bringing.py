"""Brings each carrier's account to the gateway and looks after its numbers, as a person with an account does.

Every step is the gateway's own use case; what the carrier has before and after it is asked of the simulator. By hand
only one thing is done, and it is the accident: somebody types another URL into the carrier's console.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from gateway.demo.playing import Scene, Watch
from gateway.demo.scenarios import scenarios
from gateway.demo.stage import DOWN, ECHO, OLD_URL, Called, Line, Stage, settings_of
from gateway.errors import GatewayError

TYPO_URL: Final = "https://typo.example.com/calls"
LAST_CALLER: Final = 48  # the phone that calls once all is mended; scenes use the first ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One step of one carrier. `ok`: the carrier then had what it must; `before`, `after`: where a call goes there."""

    provider: str
    step: str
    ok: bool
    detail: str = ""
    before: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """What happened, in one line."""
        moved = f"{self.before} → {self.after}" if self.after else ""
        return "; ".join(each for each in (moved, self.detail) if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One carrier's account while a step is done."""

    stage: Stage
    line: Line
    stopping: threading.Event

    @property
    def number(self) -> str:
        """The number that is broken and mended."""
        return self.line.number(Called.ECHO)

    @property
    def asked(self) -> str:
        """The URL that the carrier asks when the number is called."""
        return str(self.stage.sim.asks(self.number))

    def is_ours(self, url: str) -> bool:
        """Whether a URL leads to the demo's gateway."""
        return url.startswith(f"{self.stage.gateway.settings.public_url}/voice/")

    def shown(self, url: str) -> str:
        """Return a URL in few words: the middle of ours is the account's key, and what follows is for retries."""
        if self.is_ours(url):
            return f"this gateway (…/{url.partition('#')[0].rpartition('/')[2]})"
        return url.partition("://")[2] or "nothing"

    def done(self, step: str, ok: bool, detail: str = "", before: str | None = None) -> Done:
        """Return what came of a step; `before`: the URL that was asked before it, where the step changes that."""
        moved = {} if before is None else {"before": self.shown(before), "after": self.shown(self.asked)}
        return Done(provider=self.line.provider, step=step, ok=ok, detail=detail, **moved)


Step = Callable[[str, Account], Done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """Steps, one after the other; each is done on all carriers at once."""

    title: str
    steps: tuple[tuple[str, Step], ...]


def perform(
    stage: Stage, chapter: Chapter, begin: Callable[[str], None], tell: Callable[[Done], None]
) -> list[Done]:
    """Do every step on every carrier; `begin` hears of the chapter, `tell` of each step, carrier by carrier."""
    begin(chapter.title)
    stopping, found = threading.Event(), []
    accounts = [Account(stage=stage, line=line, stopping=stopping) for line in stage.lines.values()]
    pool = ThreadPoolExecutor(max(1, len(accounts)), thread_name_prefix="demo-account")
    try:
        for name, step in chapter.steps:
            for done in pool.map(partial(_try, name, step), accounts):
                tell(done)
                found.append(done)
    finally:
        stopping.set()
        pool.shutdown(cancel_futures=True)
    return found


def _try(name: str, step: Step, account: Account) -> Done:
    try:
        return step(name, account)
    except GatewayError as error:
        return account.done(name, False, str(error))


# -- a person with an account --------------------------------------------------------------------------------------


def _add(name: str, account: Account) -> Done:
    """Give the gateway the account's secrets; it asks the carrier who that is."""
    line = account.line
    added = account.stage.gateway.credentials.add_checked(line.provider, line.account.secrets)
    told = added.account
    assert told is not None
    is_usable = (told.status, told.kind) == ("active", "main")
    return account.done(
        name,
        is_usable,
        f"{told.status} {told.kind} account, {Decimal(told.balance or 0):.2f} {told.currency}",
    )


def _import(name: str, account: Account) -> Done:
    """Take in what the account has. Nothing changes at the carrier."""
    before = account.asked
    verdicts = account.stage.gateway.numbers.import_from(account.line.provider)
    imported = [each for each in verdicts if each.verdict == "imported"]
    is_all = {each.e164 for each in imported} == set(account.line.numbers) and account.asked == before
    points_at = account.shown(account.asked)
    knows = all(OLD_URL in each.points_at for each in imported)
    return account.done(name, is_all and knows, f"{len(imported)} numbers; calls go to {points_at}")


def _assign(name: str, account: Account) -> Done:
    """Point each number at the gateway, which remembers what was there. One is then left without an agent."""
    numbers, line, before = account.stage.gateway.numbers, account.line, account.asked
    numbers.assign(line.number(Called.ECHO), agent=ECHO, inbound=True, outbound=True)
    numbers.assign(line.number(Called.DOWN), agent=DOWN, inbound=True)
    numbers.assign(line.number(Called.UNASSIGNED), agent=ECHO, inbound=True)
    numbers.unassign(line.number(Called.UNASSIGNED), configure=False)
    pointed = all(account.is_ours(account.stage.sim.asks(each)) for each in line.numbers)
    remembers = OLD_URL in (numbers.get(account.number).pointed_at or "")
    return account.done(name, pointed and remembers, before=before)


# -- an accident ---------------------------------------------------------------------------------------------------


def _break(name: str, account: Account) -> Done:
    """Somebody types a wrong URL where all was well."""
    before = account.asked
    was_fine = account.stage.gateway.numbers.check(account.number).is_fine
    account.stage.sim.point(account.number, TYPO_URL)
    return account.done(name, was_fine and account.asked == TYPO_URL, before=before)


def _check(name: str, account: Account) -> Done:
    """The gateway sees what it was not told."""
    found = account.stage.gateway.numbers.check(account.number).differences
    told = ", ".join(f"{each.setting} is {account.shown(each.found)}" for each in found) or "nothing differs"
    return account.done(name, [each.found for each in found] == [account.asked], f"reported: {told}")


def _repair(name: str, account: Account) -> Done:
    """One command mends it."""
    before = account.asked
    repaired = account.stage.gateway.numbers.repair(account.number)
    return account.done(name, repaired.is_fine and account.is_ours(account.asked), before=before)


def _ring(name: str, account: Account) -> Done:
    """Somebody calls the number."""
    inbound = next(each for each in scenarios() if each.name == "inbound_answered")
    with Watch(account.stage) as watch:
        scene = Scene(
            stage=account.stage,
            watch=watch,
            line=account.line,
            scenario=inbound,
            index=LAST_CALLER,
            stopping=account.stopping,
        )
        scene.play()
    wrong = "; ".join(each.detail for each in scene.checks if not each.ok)
    return account.done(name, scene.agrees, wrong or "rings the agent, and the caller hears it")


def _unassign(name: str, account: Account) -> Done:
    """Give the numbers back; each points again at what it pointed at before."""
    numbers, line, before = account.stage.gateway.numbers, account.line, account.asked
    numbers.assign(line.number(Called.UNASSIGNED), agent=ECHO, inbound=True)
    for number in line.numbers:
        numbers.unassign(number)
    is_as_before = [settings_of(account.stage.sim, line.account, each) for each in line.numbers] == list(
        line.before
    )
    return account.done(name, is_as_before and account.asked == OLD_URL, before=before)


BRINGING: Final = Chapter(
    title="Bring your own carrier: three commands, nothing is set by hand at the carrier",
    steps=(("add", _add), ("import", _import), ("assign", _assign)),
)
BREAKING: Final = Chapter(
    title="Then somebody breaks the webhook in the carrier's console",
    steps=(
        ("console", _break),
        ("check", _check),
        ("repair", _repair),
        ("a call", _ring),
        ("unassign", _unassign),
    ),
)


def step_document(done: Done) -> dict[str, Any]:
    """Return a step as a JSON-able document."""
    return {
        "step": done.step,
        "provider": done.provider,
        "ok": done.ok,
        "detail": done.detail or None,
        "before": done.before or None,
        "after": done.after or None,
    }
