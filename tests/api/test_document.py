"""The OpenAPI document is valid, whole and true, and its page needs nobody else."""

from __future__ import annotations

import re
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gateway.web.api import PREFIX
from tests.api.support import Site


def test_the_document_is_valid_openapi_3_1(site: Site) -> None:
    validate(site.document, cls=OpenAPIV31SpecValidator)
    assert site.document["openapi"].startswith("3.1.")


def test_the_document_has_every_guarded_route_with_its_scope(site: Site) -> None:
    described = {
        (method.upper(), path.removeprefix(PREFIX)): operation
        for path, item in site.document["paths"].items()
        for method, operation in item.items()
    }
    for each in site.api.operations:
        rule = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", each.rule)
        operation = described.pop((each.method, rule))
        wanted = [{"api_key": [each.scope.value]}] if each.scope else None
        assert operation.get("security") == wanted
        assert operation["operationId"] == each.endpoint
        assert operation["summary"]
        always = {"401", "403", "429", "500", "503"} if each.scope else {"500", "503"}
        assert always <= operation["responses"].keys()
    assert described == {}


def test_every_good_answer_but_an_empty_one_has_a_schema(site: Site) -> None:
    for path, item in site.document["paths"].items():
        for method, operation in item.items():
            good = {code: said for code, said in operation["responses"].items() if code < "300"}
            assert good, (method, path)
            for code, said in good.items():
                assert ("content" in said) is (code != "204"), (method, path)


def test_what_comes_in_refuses_unknown_fields_by_the_document_too(site: Site) -> None:
    schemas = site.document["components"]["schemas"]
    for item in site.document["paths"].values():
        for operation in item.values():
            for name in bodies(operation):
                assert schemas[name]["additionalProperties"] is False, name


def bodies(operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return [each["schema"]["$ref"].rpartition("/")[2] for each in content.values()]


def test_the_page_loads_only_what_we_serve_ourselves(site: Site) -> None:
    web = site.app.test_client()
    page = web.get(f"{PREFIX}/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    wanted = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert len(wanted) == 4
    for each in wanted:
        assert "//" not in each
        with web.get(f"{PREFIX}/{each}") as answer:
            assert answer.status_code == 200, each
    assert web.get(f"{PREFIX}/docs/start.js").text.count("openapi.json") == 1
    for wrong in ("docs/../../x", "docs/nothing.js", "docs/..%2f__init__.py"):
        assert web.get(f"{PREFIX}/{wrong}").status_code == 404
