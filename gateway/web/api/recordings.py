"""The route behind a recording's signed link."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request

from gateway.web.api import schemas
from gateway.web.api.links import stream_response
from gateway.web.api.operations import Api

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
# Generators of clients know the first kind; it is also what a carrier's unlikely kind is sent as.
_AUDIO: Final[dict[str, Any]] = {
    "description": "The recording.",
    "content": {"application/octet-stream": _BINARY, "audio/*": _BINARY},
}
_RANGE: Final[dict[str, Any]] = {**_AUDIO, "description": "The range of bytes that was asked for."}


def add_recordings(api: Api) -> None:
    """Add the route: the link itself is the right to listen."""
    gateway = api.gateway

    def hear_recording(path: schemas.LinkPath) -> Response:
        """Hear a recording by its signed link; one range of bytes may be asked for."""
        call = api.links.call_of(path.link, gateway.services.clock())
        stream = gateway.fetch_recording(call.id, workspace_id=call.workspace_id)
        return stream_response(request, call, stream)

    api.add(
        "GET",
        "/recordings/<link>",
        hear_recording,
        scope=None,
        answer=_AUDIO,
        others={206: _RANGE},
        errors=(404, 416, 502),
        tag="recordings",
    )
