"""Use case: is everything in order? What `gateway doctor` asks, and nothing is changed by asking.

Each check is a function that yields findings; one that fails does not stop the others. A `problem` is wrong now and
names its remedy, a `warning` is something to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from gateway import registry
from gateway.errors import ConfigurationError, GatewayError
from gateway.models import Attempt, AttemptState, Credential
from gateway.reaching import certificate_days, is_short, problems_on_the_way
from gateway.reconciling import QUIET_LIMIT
from gateway.services import Services, utc_now
from gateway.settings import Settings
from gateway.store import Store, attempts, calls, credentials, upkeep, workspaces
from gateway.transport import HttpRequest, OneShotTransport, TransportError
from gateway.vault import Vault, load_or_create_key

# A signed webhook is refused when it is more than five minutes old; half of that is too much for a clock.
_WORST_CLOCK: Final = timedelta(seconds=150)
_BAD_CLOCK: Final = timedelta(seconds=5)
_CLOCK_TIMEOUT_S: Final = 5.0
_SHOWN_WORDS: Final = 10


class Level(StrEnum):
    """How bad it is; only a problem makes `gateway doctor` exit 1."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `check` is its short name, `message` says what to do where something is to be done."""

    check: str
    level: Level
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patient:
    settings: Settings
    store: Store
    vault: Vault | None
    is_offline: bool
    now: datetime


def diagnose(
    settings: Settings, *, is_offline: bool = False, clock: Callable[[], datetime] = utc_now
) -> list[Finding]:
    """Return the findings of every check, in a fixed order. Reads only: no database and no key file is made.

    Args:
        is_offline: ask no carrier.
    """
    found = list(_check_public_url(settings))
    vault, key_finding = _check_key(settings)
    found.append(key_finding)
    found.extend(_check_reach(settings, vault, is_offline))
    store, database = _open_store(settings)
    found.extend(database)
    if store is None:
        return found
    patient = _Patient(settings=settings, store=store, vault=vault, is_offline=is_offline, now=clock())
    try:
        for name, check in _CHECKS:
            found.extend(_findings(name, check, patient))
    finally:
        store.close()
    return found


def _findings(
    name: str, check: Callable[[_Patient], Iterator[Finding]], patient: _Patient
) -> Sequence[Finding]:
    try:
        return list(check(patient))
    except GatewayError as error:
        return [_problem(name, str(error))]


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, level=Level.OK, message=message)


def _warning(check: str, message: str) -> Finding:
    return Finding(check=check, level=Level.WARNING, message=message)


def _problem(check: str, message: str) -> Finding:
    return Finding(check=check, level=Level.PROBLEM, message=message)


# -- without a database ----------------------------------------------------------------------------------------------


def _check_public_url(settings: Settings) -> Iterator[Finding]:
    url = settings.public_url
    if url is None:
        yield _problem(
            "public URL", "not set: set GATEWAY_PUBLIC_URL to the https address under which carriers reach us"
        )
    elif url.startswith("https://"):
        yield _ok("public URL", url)
    else:
        yield _warning("public URL", f"{url} is on this machine: only the simulator reaches it")


def _check_key(settings: Settings) -> tuple[Vault | None, Finding]:
    file = settings.key_file
    if not settings.secret_keys and not file.exists():
        return None, _warning("secret key", f"none yet: {file} is made when it is first needed")
    try:
        keys = settings.secret_keys or (load_or_create_key(file),)
        where = f"{len(keys)} in GATEWAY_SECRET_KEY" if settings.secret_keys else str(file)
        return Vault(keys), _ok("secret key", where)
    except ConfigurationError as error:
        return None, _problem("secret key", str(error))


def _open_store(settings: Settings) -> tuple[Store | None, list[Finding]]:
    try:
        store = Store.open(settings.database_url, read_only=True)
    except GatewayError as error:
        return None, [_problem("database", str(error))]
    try:
        store.check_schema()
        store.check_integrity()
    except GatewayError as error:
        store.close()
        return None, [_problem("database", str(error))]
    return store, [_ok("database", f"{store.name}: schema and structure are in order")]


def _check_reach(settings: Settings, vault: Vault | None, is_offline: bool) -> Iterator[Finding]:
    """Call the public URL, as a carrier would; from here, for no carrier's API calls an address on request."""
    if settings.public_url is None or vault is None:
        return
    if is_offline:
        yield _ok("way in", "not tried: --offline")
        return
    problems = list(problems_on_the_way(settings, vault))
    yield from (_problem("way in", problem) for problem in problems)
    days = certificate_days(settings.public_url)
    if days is not None and is_short(days):
        yield _warning("way in", f"the certificate ends in {days} days: renew it")
    if not problems:
        where = "called from this machine: no carrier's API calls an address on request"
        yield _ok("way in", f"{settings.public_url} leads to this gateway, unchanged ({where})")


# -- with it ---------------------------------------------------------------------------------------------------------


def _check_credentials(patient: _Patient) -> Iterator[Finding]:
    sealed = credentials.list_credentials(patient.store)
    if not sealed:
        yield _warning("credentials", "none: add one with `gateway credentials add`")
    if sealed and patient.vault is None:
        yield _problem(
            "credentials",
            "their key is missing: restore the key file, or set GATEWAY_SECRET_KEY to the old key",
        )
        return
    for credential in sealed:
        yield _check_credential(patient, credential)


def _check_credential(patient: _Patient, credential: Credential) -> Finding:
    name = f"credential {credential.name}"
    assert patient.vault is not None
    services = Services(store=patient.store, settings=patient.settings, vault=patient.vault)
    try:
        provider = services.provider_of(services.credential(credential.workspace_id, credential.id))
        if patient.is_offline:
            return _ok(name, f"{credential.provider}: its secrets open; the carrier was not asked")
        account = provider.check_account()
    except GatewayError as error:
        return _problem(name, str(error))
    if account.status != "active":
        return _warning(name, f"{credential.provider}: the account is {account.status}")
    return _ok(name, f"{credential.provider}: {account.name or 'the account'} is active")


def _check_dials(patient: _Patient) -> Iterator[Finding]:
    unclear = [each for each in attempts.open_attempts(patient.store) if _is_unclear(each, patient.now)]
    if not unclear:
        yield _ok("dials", "none of unknown outcome")
    for attempt in unclear:
        age = int((patient.now - attempt.created_at).total_seconds())
        yield _warning(
            "dials",
            f"call {attempt.call_id}: the outcome of its dial {age} s ago is unknown; the phone may have rung. "
            "`gateway serve` keeps asking the carrier, `gateway calls reconcile` asks now; nothing dials it again",
        )


def _is_unclear(attempt: Attempt, now: datetime) -> bool:
    if attempt.state is AttemptState.UNKNOWN:
        return True
    return attempt.lease_until is not None and attempt.lease_until < now


def _check_open_calls(patient: _Patient) -> Iterator[Finding]:
    stuck = 0
    for workspace_id in workspaces.list_workspaces(patient.store):
        for call in calls.live_calls(patient.store, workspace_id):
            longest = timedelta(seconds=call.settings.join_timeout_s + call.settings.max_duration_s)
            if patient.now - call.created_at < longest + QUIET_LIMIT:
                continue
            stuck += 1
            yield _problem(
                "open calls",
                f"call {call.id} is {call.status.value} since {call.created_at:%Y-%m-%d %H:%M} UTC, longer than it "
                "can last: run `gateway serve` (its sweeper asks the carrier) or `gateway calls reconcile`",
            )
    if not stuck:
        yield _ok("open calls", "none open for too long")


def _check_words(patient: _Patient) -> Iterator[Finding]:
    words = upkeep.list_unmapped(patient.store)
    if not words:
        yield _ok("carriers' words", "all of them known")
    for word in words[:_SHOWN_WORDS]:
        yield _warning(
            "carriers' words",
            f"{word.provider} said {word.word[:60]!r} ({word.table}) {word.count} times: no table lists it; "
            "it is kept and changes nothing. Please report it",
        )


def _check_clock(patient: _Patient) -> Iterator[Finding]:
    """Compare this clock with the carriers': their answers carry a Date, and their signatures a time."""
    names = sorted({each.provider for each in credentials.list_credentials(patient.store)})
    if patient.is_offline or not names:
        yield _ok("clock", f"{patient.now:%Y-%m-%d %H:%M:%S} UTC; not compared with a carrier's")
        return
    for name in names:
        yield _compared(name, patient.settings)


def _compared(provider: str, settings: Settings) -> Finding:
    built_in = registry.BUILT_IN.get(provider)
    url = settings.base_urls.get(provider) or (built_in.base_url if built_in else None)
    theirs = None if url is None else _date_at(url)
    if theirs is None:
        return _warning("clock", f"{provider} did not tell its time: check that this clock is set by NTP")
    skew = abs(datetime.now(UTC) - theirs)
    message = f"{skew.total_seconds():.0f} s from {provider}'s"
    if skew > _WORST_CLOCK:
        return _problem(
            "clock", f"{message}: signed webhooks will be refused as stale; set this clock by NTP"
        )
    return (
        _warning("clock", f"{message}: set this clock by NTP") if skew > _BAD_CLOCK else _ok("clock", message)
    )


def _date_at(url: str) -> datetime | None:
    """Return the Date of any answer of the carrier's API; it costs no account and needs no secret."""
    transport = OneShotTransport([url], total_timeout_s=_CLOCK_TIMEOUT_S)
    try:
        said = transport.send(HttpRequest(method="GET", url=f"{url}/")).header("date")
        return parsedate_to_datetime(said) if said else None
    except (TransportError, ValueError):
        return None


_CHECKS: Final = (
    ("credentials", _check_credentials),
    ("dials", _check_dials),
    ("open calls", _check_open_calls),
    ("carriers' words", _check_words),
    ("clock", _check_clock),
)
