"""Telnyx's own OpenAPI document, closed: what it does not name is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

SPEC_FILE: Final = Path(__file__).parents[3] / "shared" / "providers" / "specs" / "telnyx_voice.json"


def read_spec() -> Any:
    """The document; without it the test is skipped, loudly."""
    if not SPEC_FILE.exists():
        pytest.skip(f"the vendor's OpenAPI document is not here: {SPEC_FILE.name} was NOT checked")
    return json.loads(SPEC_FILE.read_text())


def closed(spec: Any, schema: Any) -> Any:
    """The schema with references filled in and unknown properties forbidden wherever it names properties."""
    while "$ref" in schema:
        target: Any = spec
        for part in schema["$ref"].split("/")[1:]:
            target = target[part.replace("~1", "/").replace("~0", "~")]
        schema = target
    made = {
        key: value for key, value in schema.items() if key not in ("example", "examples", "discriminator")
    }
    for key in ("oneOf", "anyOf", "allOf"):
        if key in made:
            made[key] = [closed(spec, one) for one in made[key]]
    if "allOf" in made:
        for one in made.pop("allOf"):
            made.setdefault("properties", {}).update(one.get("properties", {}))
            made.setdefault("required", []).extend(one.get("required", []))
    if "items" in made:
        made["items"] = closed(spec, made["items"])
    if made.get("properties"):
        made["properties"] = {name: closed(spec, one) for name, one in made["properties"].items()}
        made["additionalProperties"] = False
    return made


def answer_schema(spec: Any, method: str, path: str, status: int) -> Any:
    responses = spec["paths"][path][method.lower()]["responses"]
    response = responses.get(str(status)) or responses.get("default", {})
    if "$ref" in response:
        name = response["$ref"].rsplit("/", 1)[1]
        response = spec["components"]["responses"][name]
    if not response.get("content"):
        response = responses.get("default", {})
    if not response.get("content"):  # applications document a 401 alone: every error has one form
        return closed(spec, spec["components"]["schemas"]["ErrorResponse"])
    return closed(spec, next(iter(response["content"].values()))["schema"])


def complaints(schema: Any, document: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)
    ]


def drop_nulls(document: Any, name: str) -> None:
    if isinstance(document, dict):
        if document.get(name, "") is None:
            del document[name]
        for value in document.values():
            drop_nulls(value, name)
    elif isinstance(document, list):
        for value in document:
            drop_nulls(value, name)


def fields_of(spec: Any, method: str, path: str) -> set[str]:
    """The names that a request's body may hold."""
    content = spec["paths"][path][method]["requestBody"]
    if "$ref" in content:
        content = spec["components"]["requestBodies"][content["$ref"].rsplit("/", 1)[1]]
    schema = closed(spec, next(iter(content["content"].values()))["schema"])
    return set(schema["properties"])
