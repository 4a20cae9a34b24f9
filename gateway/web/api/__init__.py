"""The public API as a Flask blueprint: calls, agents, accounts, numbers, webhook endpoints, and their document.

No decision here: a request in, a use case, its answer out. Who may ask is `auth.py`; how a request is read
`reading.py`; the shapes `schemas.py`; how routes are put together `operations.py`. There is no CORS: keys belong to
servers, not into browsers.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint

from gateway.gateway import Gateway
from gateway.web.api.agents import add_agents
from gateway.web.api.calls import add_calls
from gateway.web.api.document import add_document
from gateway.web.api.endpoints import add_endpoints
from gateway.web.api.operations import Api
from gateway.web.api.recordings import add_recordings
from gateway.web.api.telephony import add_credentials, add_numbers

PREFIX: Final = "/api/public/v1"


def make_api(gateway: Gateway, prefix: str = PREFIX) -> Api:
    """Return the whole API: its blueprint, and the list of its routes with their guards."""
    api = Api(gateway, prefix)
    for add in (
        add_calls,
        add_agents,
        add_credentials,
        add_numbers,
        add_endpoints,
        add_recordings,
        add_document,
    ):
        add(api)
    api.close()
    return api


def api_blueprint(gateway: Gateway, *, prefix: str = PREFIX) -> Blueprint:
    """Return the blueprint of the public API; register it as it is, without another prefix.

    Args:
        prefix: the path under which the API stands.
    """
    return make_api(gateway, prefix).blueprint


__all__ = ["PREFIX", "api_blueprint", "make_api"]
