"""The OpenAPI document of the public API and the page to browse it; both are public and need no network beyond us."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

from flask import Response, send_from_directory
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.openapi import OpenAPI

import gateway
from gateway.web.api import schemas
from gateway.web.api.operations import SECURITY, Api

_ABOUT: Final = """
Place calls, watch them, and read what became of them. Every request carries a key of one workspace, made by
`gateway keys create`: `Authorization: Bearer gwk_…`. Errors have one form, and every answer has its `X-Request-Id`.
""".strip()
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Calls API</title>
<link rel="icon" href="docs/images/swagger.svg">
<link rel="stylesheet" href="docs/css/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/js/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", validatorUrl: null, deepLinking: true, persistAuthorization: false,
});
"""
# The page can load nothing from anywhere else, whatever its library tries.
_ONLY_OURS: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def make_document(api: Api) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes added so far."""
    scheme = SecurityScheme(type="http", scheme="bearer", description="A key made by `gateway keys create`.")
    maker = OpenAPI(
        __name__,
        info=Info(title="Calls API", version=gateway.__version__, description=_ABOUT),
        security_schemes={SECURITY: scheme},
        validation_error_model=schemas.Error,
        doc_ui=False,
    )
    maker.register_api(api.blueprint)
    made: dict[str, Any] = json.loads(json.dumps(maker.api_doc))
    return made


def add_document(api: Api) -> None:
    """Add the routes of the document and of its page."""
    text = ""

    def openapi_json() -> Response:
        nonlocal text
        text = text or json.dumps(make_document(api), indent=1)
        return Response(text, content_type="application/json")

    def docs() -> Response:
        return _served(Response(_PAGE, content_type="text/html; charset=utf-8"))

    def docs_start() -> Response:
        return _served(Response(_START, content_type="text/javascript; charset=utf-8"))

    def docs_file(name: str) -> Response:
        folder = files("flask_openapi3_swagger") / "templates" / "swagger"
        return _served(send_from_directory(str(folder), name))

    options: dict[str, Any] = {"methods": ["GET"], "provide_automatic_options": False}
    api.blueprint.add_url_rule("/openapi.json", view_func=openapi_json, **options)
    api.blueprint.add_url_rule("/docs", view_func=docs, **options)
    api.blueprint.add_url_rule("/docs/start.js", view_func=docs_start, **options)
    api.blueprint.add_url_rule("/docs/<path:name>", view_func=docs_file, **options)


def _served(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _ONLY_OURS
    return response
