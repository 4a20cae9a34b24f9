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

from gateway.byoc import NumberQuery
from gateway.interface import LegRef
from gateway.transport import HttpRequest, HttpResponse
from providers.twilio import TwilioProvider
from providers.twilio.calls import EXTRA
from tests.adapters.twilio.support import (
    ACCOUNT_RESOURCE,
    BALANCE,
    CALL,
    DIAL,
    GATEWAY,
    NUMBER,
    OURS,
    QUERY,
    SETUP,
    number,
    page,
    provider,
    reply,
    rest_call,
    rest_recording,
)
from tests.adapters.twilio.test_sip_links import LINK, checked_link, known_link, new_link

SPECS = Path(__file__).parents[4] / "shared" / "providers" / "specs"
SPEC, VOICE = SPECS / "twilio_api_v2010.json", SPECS / "twilio_voice_v1.json"
FORM = "application/x-www-form-urlencoded"
NEWER_THAN_THE_FILE = {"Passports", "RecordingConfigurationId"}  # known to the official library 9.13.0 only

pytestmark = pytest.mark.skipif(
    not SPEC.exists() or not VOICE.exists(), reason=f"no OpenAPI files of Twilio at {SPECS}"
)

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
    "start recording": (
        lambda a: a.start_recording(LEG, recording_url=GATEWAY, max_duration_s=600),
        [page("recordings", []), reply(201, rest_recording())],
    ),
    "stop recording": (
        lambda a: a.stop_recording(LEG),
        [page("recordings", [rest_recording()]), reply(200, rest_recording(status="stopped"))],
    ),
    "stop a recording that is not listed yet": (
        lambda a: a.stop_recording(LEG),
        [page("recordings", []), reply(200, rest_recording(status="stopped"))],
    ),
    "fetch": (lambda a: a.fetch_call(LEG), [reply(200, rest_call())]),
    "find": (lambda a: a.find_calls(QUERY), [page("calls", []), page("calls", [])]),
    "account": (lambda a: a.check_account(), [reply(200, ACCOUNT_RESOURCE), BALANCE]),
    "numbers": (lambda a: list(a.list_numbers()), [page("incoming_phone_numbers", [])]),
    "find a number": (lambda a: a.find_number(OURS), [page("incoming_phone_numbers", [NUMBER])]),
    "target": (
        lambda a: a.target_of(number(voice_application_sid="AP" + "0" * 32)),
        [reply(200, {"sid": "AP" + "0" * 32})],
    ),
    "configure": (lambda a: a.configure_number(number(), SETUP), [reply(200, NUMBER)] * 2),
    "restore": (lambda a: a.restore_number(number(), number().settings), [reply(200, NUMBER)] * 2),
    "restore a trunk": (
        lambda a: a.restore_number(number(), number(trunk_sid="TK" + "0" * 32).settings),
        [reply(200, NUMBER)] * 2,
    ),
    "account differences": (
        lambda a: a.account_differences(None, ("US",)),
        [reply(200, ACCOUNT_RESOURCE), reply(200, {"iso_code": "US", "low_risk_numbers_enabled": True})],
    ),
    "search": (
        lambda a: a.search_numbers(NumberQuery(country="US", area_code="415", contains="55")),
        [page("available_phone_numbers", [])],
    ),
    "buy": (lambda a: a.buy_number(OURS, reference="order-1"), [reply(201, NUMBER)]),
    "release": (lambda a: a.release_number(NUMBER["sid"]), [reply(204, b"")]),
    "caller ids": (lambda a: list(a.list_caller_ids()), [page("outgoing_caller_ids", [])]),
    "verify": (lambda a: a.start_caller_id(OURS), [reply(200, {"call_sid": CALL, "validation_code": "1"})]),
    "confirm": (
        lambda a: a.confirm_caller_id(OURS, CALL, None),
        [page("outgoing_caller_ids", [{"sid": NUMBER["sid"], "phone_number": OURS}])],
    ),
    "dial by a trunk": (
        lambda a: a.dial(replace(DIAL, trunk_ref="BY" + "0" * 32)),
        [reply(201, rest_call())],
    ),
    "a new SIP link": (lambda a: a.ensure_sip(LINK), new_link()),
    "a known SIP link": (lambda a: a.ensure_sip(LINK), known_link()),
    "check of a SIP link": (lambda a: a.check_sip(LINK), checked_link()),
}


@cache
def spec() -> dict[str, Any]:
    """Return both files as one: their paths and schemas have different names."""
    loaded: dict[str, Any] = json.loads(SPEC.read_text())
    voice = json.loads(VOICE.read_text())
    loaded["paths"] |= voice["paths"]
    loaded["components"]["schemas"] |= voice["components"]["schemas"]
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
    product = "voice" if path.startswith("/v1/") else "api"
    assert urlsplit(request.url).netloc == f"{product}.twilio.com"
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
    if shape.get("format") == "uri" and not (urlsplit(value).hostname or value.startswith("sip:")):
        found.append(f"{value!r} is no URL")
    if "maximum" in shape and int(value) > shape["maximum"]:
        found.append(f"{value!r} is over {shape['maximum']}")
    return found


def check(known: dict[str, Any], required: list[str], sent: dict[str, list[str]]) -> None:
    """An empty text clears an optional field, whatever its pattern says (that it does is unconfirmed)."""
    assert set(sent) <= set(known), f"unknown fields: {set(sent) - set(known)}"
    assert set(required) <= set(sent), f"missing fields: {set(required) - set(sent)}"
    given = {name: values for name, values in sent.items() if values != [""] or name in required}
    wrong = {name: found for name, values in given.items() if (found := faults(known[name], values))}
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


def test_the_recording_that_our_stubs_answer_with_has_only_fields_of_the_openapi_file() -> None:
    fields = spec()["components"]["schemas"]["api.v2010.account.call.call_recording"]["properties"]
    assert set(rest_recording()) <= set(fields)


def test_the_call_that_our_stubs_answer_with_has_only_fields_of_the_openapi_file() -> None:
    fields = spec()["components"]["schemas"]["api.v2010.account.call"]["properties"]
    assert set(rest_call()) <= set(fields)
