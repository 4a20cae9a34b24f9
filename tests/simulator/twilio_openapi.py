"""Twilio's own OpenAPI files, where they are beside the repository, as schemas that allow no more than they say."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema

SPECS = Path(__file__).parents[2].parent / "shared" / "providers" / "specs"
API, VOICE, TRUNKING = (SPECS / f"twilio_{name}.json" for name in ("api_v2010", "voice_v1", "trunking_v1"))
NOT_CHECKED = "NOT CHECKED: Twilio's OpenAPI files are not beside the repository (shared/providers/specs)"


def load(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    _as_json_schema(document)
    return dict(document)


def parameters(spec: dict[str, Any], path: str) -> set[str]:
    """What a POST of a form takes."""
    content = spec["paths"][path]["post"]["requestBody"]["content"]
    return set(content["application/x-www-form-urlencoded"]["schema"]["properties"])


def problems(spec: dict[str, Any], method: str, path: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer."""
    content = spec["paths"][path][method.lower()]["responses"][str(status)].get("content")
    if content is None:
        return [] if body is None else ["it has a body"]
    found = validator(spec, next(iter(content.values()))["schema"]).iter_errors(body)
    return [f"{method} {path}: {error.json_path} {error.message}" for error in found]


def validator(spec: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    """Of one schema of the document; RFC 2822 dates are checked too."""
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("date-time-rfc-2822", raises=(TypeError, ValueError))(
        lambda value: value is None or parsedate_to_datetime(value) is not None
    )
    return jsonschema.Draft7Validator({**schema, "components": spec["components"]}, format_checker=checker)


def _as_json_schema(node: Any) -> None:
    """OpenAPI's `nullable` in JSON Schema's words; every object with properties is closed and whole."""
    if isinstance(node, list):
        for item in node:
            _as_json_schema(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        node["additionalProperties"] = False
        if "capabilities" not in node["properties"] or "sid" in node["properties"]:
            node.setdefault("required", sorted(node["properties"]))
    if node.pop("nullable", False) and "type" in node:
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    for child in list(node.values()):
        _as_json_schema(child)
