"""Every request that the adapter sends is one that Twilio's OpenAPI file knows: path, method, fields, types, enums.

The file is not part of the repository: https://github.com/twilio/twilio-oai. The test looks for it beside the
repository and says so when it is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.interface import LegRef
from gateway.transport import HttpRequest, HttpResponse
from providers.twilio import TwilioProvider
from providers.twilio.calls import EXTRA
from tests.adapters.twilio.support import (
    ACCOUNT_RESOURCE,
    CALL,
    DIAL,
    GATEWAY,
    QUERY,
    page,
    provider,
    reply,
    rest_call,
)

SPEC = Path(__file__).parents[4] / "shared" / "providers" / "specs" / "twilio_api_v2010.json"
FORM = "application/x-www-form-urlencoded"
NEWER_THAN_THE_FILE = {"Passports", "RecordingConfigurationId"}  # known to the official library 9.13.0 only

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason=f"no OpenAPI file of Twilio at {SPEC}")

Verb = Callable[[TwilioProvider], object]
LEG = LegRef(leg_id=CALL, is_answered=True)
SENT: dict[str, tuple[Verb, list[HttpResponse]]] = {
    "plain dial": (lambda a: a.dial(DIAL), [reply(201, rest_call())]),
    "full dial": (
        lambda a: a.dial(replace(DIAL, detect_machine=True, await_greeting_end=True, record=True)),
        [reply(201, rest_call())],
    ),
    "detecting dial": (lambda a: a.dial(replace(DIAL, detect_machine=True)), [reply(201, rest_call())]),
    "redirect": (lambda a: a.redirect(LEG, GATEWAY), [reply(200, rest_call())]),
    "hang up answered": (lambda a: a.hang_up(LEG), [reply(200, rest_call())]),
    "hang up unanswered": (
        lambda a: a.hang_up(LegRef(leg_id=CALL)),
        [reply(200, rest_call(status="in-progress")), reply(200, rest_call())],
    ),
    "fetch": (lambda a: a.fetch_call(LEG), [reply(200, rest_call())]),
    "find": (lambda a: a.find_calls(QUERY), [page("calls", []), page("calls", [])]),
    "account": (lambda a: a.check_account(), [reply(200, ACCOUNT_RESOURCE)]),
    "numbers": (lambda a: list(a.list_numbers()), [page("incoming_phone_numbers", [])]),
}


@cache
def spec() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SPEC.read_text())
    return loaded


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = spec()
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def operation(request: HttpRequest) -> dict[str, Any]:
    """Return the operation of a request; its path parameters are checked against their patterns."""
    path = urlsplit(request.url).path
    for template, item in spec()["paths"].items():
        names = re.findall(r"\{(\w+)\}", template)
        match = re.fullmatch(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(template)), path)
        if match is None or request.method.lower() not in item:
            continue
        found: dict[str, Any] = item[request.method.lower()]
        shapes = {p["name"]: p["schema"] for p in found.get("parameters", []) + item.get("parameters", [])}
        if all(not faults(shapes[name], [value]) for name, value in zip(names, match.groups(), strict=True)):
            return found
    raise AssertionError(f"{request.method} {path} is not in the OpenAPI file")


def faults(schema: dict[str, Any], values: list[str]) -> list[str]:
    """Return what is wrong with a field's values, as they stand in a form or query."""
    shape = resolved(schema)
    if shape.get("type") == "array":
        return [fault for value in values for fault in faults(shape["items"], [value])]
    if len(values) != 1:
        return ["repeated"]
    value = values[0]
    checks = {
        "integer": lambda: re.fullmatch("-?[0-9]+", value) is not None,
        "boolean": lambda: value in ("true", "false"),
        "string": lambda: True,
    }
    found = [] if checks[shape.get("type", "string")]() else [f"{value!r} is no {shape['type']}"]
    if "enum" in shape and value not in shape["enum"]:
        found.append(f"{value!r} is not one of {shape['enum']}")
    if "pattern" in shape and not re.search(shape["pattern"], value):
        found.append(f"{value!r} is not {shape['pattern']}")
    if shape.get("format") == "uri" and not urlsplit(value).hostname:
        found.append(f"{value!r} is no URL")
    if "maximum" in shape and int(value) > shape["maximum"]:
        found.append(f"{value!r} is over {shape['maximum']}")
    return found


def check(known: dict[str, Any], required: list[str], sent: dict[str, list[str]]) -> None:
    assert set(sent) <= set(known), f"unknown fields: {set(sent) - set(known)}"
    assert set(required) <= set(sent), f"missing fields: {set(required) - set(sent)}"
    wrong = {name: found for name, values in sent.items() if (found := faults(known[name], values))}
    assert wrong == {}


@pytest.mark.parametrize("name", SENT)
def test_each_request_is_one_that_the_openapi_file_knows(name: str) -> None:
    verb, answers = SENT[name]
    adapter, transport = provider(*answers)
    verb(adapter)
    assert len(transport.requests) == len(answers)
    for request in transport.requests:
        known = operation(request)
        query = {p["name"]: p["schema"] for p in known.get("parameters", []) if p["in"] == "query"}
        check(query, [], parse_qs(urlsplit(request.url).query, keep_blank_values=True))
        content = resolved(known.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {}))
        sent = parse_qs(request.body.decode(), keep_blank_values=True)
        check(content.get("properties", {}), content.get("required", []), sent)


def test_each_extra_parameter_is_one_of_the_openapi_file() -> None:
    create = spec()["paths"]["/2010-04-01/Accounts/{AccountSid}/Calls.json"]["post"]
    known = create["requestBody"]["content"][FORM]["schema"]["properties"]
    assert set(EXTRA) - set(known) == NEWER_THAN_THE_FILE


def test_a_wrong_request_would_fail_this_test() -> None:
    create = operation(
        HttpRequest(method="POST", url=f"https://api.twilio.com/2010-04-01/Accounts/AC{'0' * 32}/Calls.json")
    )
    known = create["requestBody"]["content"][FORM]["schema"]["properties"]
    assert faults(known["Timeout"], ["30s"])
    assert faults(known["Record"], ["True"])
    assert faults(known["Url"], ["not a url"])
    assert faults({"$ref": "#/components/schemas/call_enum_update_status"}, ["cancelled"])
    with pytest.raises(AssertionError, match="not in the OpenAPI file"):
        operation(HttpRequest(method="POST", url="https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json"))


def test_the_call_that_our_stubs_answer_with_has_only_fields_of_the_openapi_file() -> None:
    fields = spec()["components"]["schemas"]["api.v2010.account.call"]["properties"]
    assert set(rest_call()) <= set(fields)
