"""Requests made from the API's own document by Schemathesis, good ones and bad ones, sent to a site over WSGI.

Every answer is held against the document: no server error, no status, header or body that it does not tell of, no bad
request taken, no request without a key answered. One of its checks is left out: `positive_data_acceptance` wants every
request of the right shape to be taken, and no pattern tells which phone numbers exist, or which addresses are public.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from gateway import Agent, CallStatus, Stream, endpoints
from gateway.web.api import PREFIX
from tests.api.support import NEW_CALL, NO_ID, Site

CHECKS: Final[list[CheckFunction]] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
    checks.ignored_auth,
]
# What a bad request may be answered with; 413 is ours: the body is measured before it is read.
_REFUSALS: Final = [400, 401, 403, 404, 405, 409, 413, 415, 422]
_CONFIG: Final = {"checks": {"negative_data_rejection": {"expected-statuses": _REFUSALS}}}
MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_SETTINGS: Final = settings(
    phases=[Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(slots=True)
class Sent:
    """How many requests were sent, by operation and by the status of the answer."""

    operations: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.operations.total()


def fuzz(site: Site, requests: int, *, chunk: int = 25, first_seed: int = 0) -> Sent:
    """Send at least `requests` requests, the same share to each operation; raise what a check finds.

    Args:
        chunk: how many in a row to one operation; to begin is slow.
    """
    secret = site.client().secret
    schema = schemathesis.openapi.from_wsgi(
        f"{PREFIX}/openapi.json", site.app, config=SchemathesisConfig.from_dict(_CONFIG)
    )
    operations = [found.ok() for found in schema.get_all_operations()]
    sent = Sent()
    for round_ in itertools.count(first_seed):
        for operation, mode in itertools.product(operations, MODES):
            if sent.total >= requests:
                return sent
            send_some(site, operation, mode, settings(_SETTINGS, max_examples=chunk), round_, secret, sent)
    raise AssertionError("unreachable")


def send_some(
    site: Site, operation: Any, mode: GenerationMode, how: settings, round_: int, secret: Any, sent: Sent
) -> None:
    """Send one chunk of requests to an operation; half of those that name something name what exists."""
    anything = operation.as_strategy(generation_mode=mode)
    ids = known_ids(site, operation.label)
    named = [operation.as_strategy(generation_mode=mode, path_parameters={"id": ident}) for ident in ids]
    if mode is GenerationMode.POSITIVE:
        named += [operation.as_strategy(body=body) for body in good_bodies(operation.label)]

    @seed(round_)
    @how
    @given(st.one_of(anything, st.one_of(*named)) if named else anything)
    def one(case: Any) -> None:
        assume(not any(vanishes(value) for value in (case.query or {}).values()))
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {secret}"}, checks=CHECKS)
        sent.operations[operation.label] += 1
        sent.statuses[answer.status_code] += 1

    one()


def vanishes(value: Any) -> bool:
    """Whether a value of a query leaves no trace in the URL: a request that was to be wrong by it would be right."""
    return value is None or (isinstance(value, list | dict) and not value)


def good_bodies(label: str) -> list[dict[str, Any]]:
    """What an operation does not only read but carry out; no pattern tells which numbers and hosts there are."""
    if label == f"POST {PREFIX}/calls":
        return [NEW_CALL, {**NEW_CALL, "phone_number": "+911"}, {**NEW_CALL, "variables": {"a": "b"}}]
    if label == f"POST {PREFIX}/webhook-endpoints":
        return [{"url": "https://93.184.216.34/events"}]
    return []


def known_ids(site: Site, label: str) -> Iterator[str]:
    """Make what an operation may name: calls that are over, live or recorded, endpoints, an agent."""
    if "/calls/{id}" in label:
        yield site.put_call().id
        yield site.put_call(status=CallStatus.IN_PROGRESS, leg_id=f"CA{uuid4().hex}").id
        yield site.put_recorded_call().id
        yield NO_ID
    elif "/webhook-endpoints/{id}" in label:
        yield endpoints.create_endpoint(site.gw.services, "https://93.184.216.34/events")[0].id
    elif "/telephony/operations/{id}" in label:
        yield site.gw.operations.start_repair().id
    elif "/agents/{id}" in label:
        site.gw.agents.put(Agent(id="spare", connect=Stream("wss://agents.example.com/media")))
        yield from ("desk", "spare")
