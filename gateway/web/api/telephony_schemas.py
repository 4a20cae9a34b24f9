"""What goes in and out of the routes of accounts and numbers; as `schemas`, whose kinds are used here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.byoc import OrderState, Place
from gateway.models import NumberKind, OperationKind, OperationState, SetupState
from gateway.registry import known_providers
from gateway.web.api.schemas import (
    LARGEST_LIMIT,
    Given,
    Id,
    Meta,
    PhoneNumber,
    Shown,
    ShownTime,
    Whole,
    optional,
    whole,
    words,
)


def _read_provider(value: Any) -> str:
    if value not in known_providers():
        raise ValueError(f"give one of: {', '.join(known_providers())}")
    return str(value)


def _read_switch(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("give true or false")


Provider = Annotated[str, BeforeValidator(_read_provider), WithJsonSchema(words(known_providers()))]
Switch = Annotated[bool, BeforeValidator(_read_switch), WithJsonSchema({"type": "boolean"})]
InOrOut = Literal["inbound", "outbound"]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Digits = Annotated[str, Field(pattern=r"^[0-9]{1,16}$")]
Agent = Annotated[str, Field(min_length=1, max_length=200)]
Cursor = Annotated[str, Field(min_length=1, max_length=500)]
Secret = Annotated[str, Field(min_length=1, max_length=2000)]
_NAMES = Annotated[str, Field(min_length=1, max_length=60)]


# -- in --------------------------------------------------------------------------------------------------------------


class CredentialPath(Given):
    """Which account."""

    id: Id


class NumberPath(Given):
    """Which number."""

    id: Id


class OperationPath(Given):
    """Which operation."""

    id: Id


class NewCredential(Given):
    """An account at a carrier. It is asked whether the secrets work before anything is stored."""

    provider: Provider
    secrets: dict[_NAMES, Secret] = Field(
        max_length=20,
        description="By the carrier's field names; never shown again.",
        examples=[{"auth_token": "…"}],
    )
    name: Annotated[str, Field(max_length=200)] = ""
    exclusive: bool = Field(
        default=True, description="Whether only this gateway places calls with the account."
    )
    outbound_profile: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class CredentialRemoval(Given):
    """How an account is removed."""

    release_numbers: Switch = Field(
        default=False, description="Release its numbers first; else they are in the way."
    )


class NewImport(Given):
    """Which numbers of an account are taken in."""

    only: list[PhoneNumber] | None = Field(
        default=None, min_length=1, max_length=1000, description="Default: all."
    )
    take_over: bool = Field(default=False, description="Also those that point at another gateway.")


class NumbersQuery(Given):
    """Which numbers, and which part of them."""

    credential_id: Id | None = optional("Only numbers of this account.")
    agent_id: Agent | None = optional("Only numbers that serve this agent.")
    direction: InOrOut | None = optional("Only numbers that serve an agent in this direction.")
    country: Country | None = optional("Only numbers of this country.")
    drifted: Switch | None = optional(
        "Only numbers whose carrier has (true) or has not something else than we set."
    )
    limit: Whole = whole(50, 1, LARGEST_LIMIT, "How many numbers a page has at most.")
    cursor: Cursor | None = optional("`next_cursor` of the page before, with the same filters.")


class NewAssignment(Given):
    """Whom a number serves."""

    agent_id: Agent
    inbound: bool = False
    outbound: bool = False
    configure: bool = Field(default=True, description="Point the number at this gateway at its carrier.")
    take_over: bool = Field(default=False, description="Also when it points at another gateway.")


class Unassignment(Given):
    """From whom a number is taken away; by default from everybody."""

    agent_id: Agent | None = None
    direction: InOrOut | None = None
    configure: bool = Field(default=True, description="Put back what it pointed at before.")


class Repairs(Given):
    """How a number is mended."""

    dry_run: bool = Field(default=False, description="Only say what differs.")
    take_over: bool = Field(default=False, description="Also when it points at another gateway by now.")


class RepairsOfAll(Given):
    """Which numbers are mended."""

    credential_id: Id | None = Field(default=None, description="Only those of this account.")
    take_over: bool = Field(default=False, description="Also those that point at another gateway by now.")


class Release(Given):
    """How a number is released."""

    give_back: Switch = Field(default=False, description="Also give it back to the carrier, for good.")


class AvailableQuery(Given):
    """What to look for in a carrier's inventory."""

    credential_id: Id
    country: Country
    kind: Literal["local", "mobile", "toll_free", "national"] = "local"
    area_code: Annotated[str, Field(pattern=r"^[0-9]{1,8}$")] | None = optional("National digits, like 415.")
    contains: Annotated[str, Field(pattern=r"^[0-9]{2,16}$")] | None = optional(
        "Digits of the national number."
    )
    limit: Whole = whole(20, 1, LARGEST_LIMIT, "How many at most.")


class NewPurchase(Given):
    """A number to be bought: spends money."""

    credential_id: Id
    phone_number: PhoneNumber


class ResultsQuery(Given):
    """Which part of an operation's results."""

    after: Whole = whole(0, 0, 1_000_000_000, "The position of the last result that is known already.")
    limit: Whole = whole(1000, 1, 1000, "How many results at most.")


# -- out -------------------------------------------------------------------------------------------------------------


class Credential(Shown):
    """An account. `webhooks`: the URLs that its numbers are given; null while no public URL is set."""

    id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    provider: str
    name: str
    account_ref: str
    key: str
    webhooks: dict[str, str] | None
    exclusive: bool
    application_ref: str | None
    created_at: ShownTime


class CredentialList(Shown):
    """Every account."""

    data: list[Credential]
    meta: Meta


class Account(Shown):
    """What the carrier says about an account. `notes`: what the secrets may not do, and how to mend it."""

    account_ref: str
    name: str
    status: str
    kind: str
    balance: str | None
    currency: str | None
    voice_allowed: bool | None
    notes: list[str]


class CheckedCredential(Credential):
    """An account with what its carrier says about it."""

    account: Account | None


class ShownAssignment(Shown):
    """Whom a number serves."""

    agent_id: str
    direction: str


class Number(Shown):
    """A number, whom it serves, and how it stands at its carrier. `pointed_at`: what it pointed at before us."""

    id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    e164: str
    country: str | None
    area_code: str
    credential_id: str
    provider: str
    assignments: list[ShownAssignment]
    kind: Annotated[str, WithJsonSchema(words(NumberKind))]
    setup_state: Annotated[str, WithJsonSchema(words(SetupState))]
    pointed_at: str | None
    is_drifted: bool
    checked_at: ShownTime | None
    last_used_at: ShownTime | None
    created_at: ShownTime


class ChangedNumber(Number):
    """A number after a change. `notes`: what to know, one sentence each."""

    notes: list[str]


class NumberPagination(Shown):
    """Where a page of numbers stands."""

    total: int
    limit: int
    has_more: bool
    next_cursor: str | None


class NumberList(Shown):
    """One page of numbers, in the order in which they were added."""

    data: list[Number]
    pagination: NumberPagination
    meta: Meta


class Drift(Shown):
    """One setting at the carrier that is not what we set."""

    place: Annotated[str, WithJsonSchema(words(Place))]
    setting: str
    wanted: str
    found: str
    advice: str


class CheckedNumber(Number):
    """A number with what is not as we set it at its carrier. `error`: why it could not be looked at."""

    ok: bool
    drift: list[Drift]
    error: str | None


class RepairedNumber(CheckedNumber):
    """A number after a repair: `found` before, `drift` is what is left."""

    found: list[Drift]
    notes: list[str]


class AvailableNumber(Shown):
    """A number that can be bought; prices are decimal text, per month and once. null: the carrier does not say."""

    e164: str
    kind: str
    country: str
    locality: str
    region: str
    monthly_price: str | None
    setup_price: str | None
    currency: str | None
    has_voice: bool
    restriction: str


class AvailableList(Shown):
    """Numbers that can be bought."""

    data: list[AvailableNumber]
    meta: Meta


class Purchase(Shown):
    """What became of an order; `number` is null while the carrier is still working on it."""

    phone_number: str
    state: Annotated[str, WithJsonSchema(words(OrderState))]
    was_there: bool
    order_ref: str | None
    number: Number | None


class OperationResult(Shown):
    """What an operation did with one number."""

    position: int
    number: str
    verdict: str
    detail: str


class Operation(Shown):
    """Long work: `done` of `total` numbers (null: not known yet). `error`: why it cannot go on, or waits."""

    id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    kind: Annotated[str, WithJsonSchema(words(OperationKind))]
    state: Annotated[str, WithJsonSchema(words(OperationState))]
    done: int
    total: int | None
    error: str | None
    created_at: ShownTime
    updated_at: ShownTime
    finished_at: ShownTime | None


class OperationWithResults(Operation):
    """Long work with a part of what it did."""

    results: list[OperationResult]
