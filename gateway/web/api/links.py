"""Signed links to recordings: whoever holds one may listen for 24 hours, without a key.

A link names its call and its end, and carries a signature that only a holder of the gateway's secret key can make; a
rotation of that key ends the links made before. Links stand on the configured public URL: the Host header of a request
is never believed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from flask import Request, Response
from werkzeug.http import parse_range_header

from gateway.gateway import Gateway
from gateway.interface import RecordingStream
from gateway.models import Call
from gateway.store import calls
from gateway.web.api.errors import ApiError

LIFETIME: Final = timedelta(hours=24)
_PURPOSE: Final = b"recording link"
_FORM: Final = re.compile(r"([0-9a-f-]{36})\.([0-9]{10,12})\.([0-9a-f]{32})", re.ASCII)
_AUDIO: Final = re.compile(r"audio/[a-z0-9.+-]{1,40}", re.ASCII)


class Links:
    """Makes and reads links. `prefix` is where the API is mounted."""

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self._gateway = gateway
        self._base = f"{gateway.settings.public_url or ''}{prefix}/recordings/"

    def url(self, call: Call, now: datetime) -> str | None:
        """Return a link to the call's recording that is valid from now on, or None when there is no recording."""
        if call.recording is None:
            return None
        expires = int((now + LIFETIME).timestamp())
        return f"{self._base}{call.id}.{expires}.{self._signature(call.id, expires)}"

    def call_of(self, link: str, now: datetime) -> Call:
        """Return the call that a link stands for. Raises ApiError: 404: no link of ours, or its time is over."""
        found = _FORM.fullmatch(link)
        if found is None or not hmac.compare_digest(self._signature(found[1], int(found[2])), found[3]):
            raise ApiError(404, "there is no such recording link")
        if now.timestamp() >= int(found[2]):
            raise ApiError(404, "this recording link is over: fetch a new one")
        return calls.load_call(self._gateway.services.store, found[1])

    def _signature(self, call_id: str, expires: int) -> str:
        return self._gateway.services.vault.derive(_PURPOSE, f"{call_id}:{expires}")


def stream_response(request: Request, call: Call, stream: RecordingStream) -> Response:
    """Return a recording, or the one range of it that is asked for, as the carrier sends it.

    A range needs the recording's length; of a recording whose length the carrier does not tell, all is sent.
    """
    kind = stream.content_type.split(";")[0].strip().lower()
    headers = {
        "Content-Disposition": f'inline; filename="{call.id}"',
        "Accept-Ranges": "none" if stream.length is None else "bytes",
    }
    body, status = stream.chunks, 200
    if stream.length is not None:
        start, stop = 0, stream.length
        wanted = _range(request, stream.length)
        if wanted is not None:
            (start, stop), status = wanted, 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stream.length}"
            body = _part(stream.chunks, start, stop)
        headers["Content-Length"] = str(stop - start)
    response = Response(body, status=status, headers=headers)
    response.content_type = kind if _AUDIO.fullmatch(kind) else "application/octet-stream"
    response.call_on_close(lambda: _close(stream))
    return response


def _range(request: Request, length: int) -> tuple[int, int] | None:
    """Return (start, stop) of the one range asked for; None for the whole. Raises ApiError: 416."""
    asked = parse_range_header(request.headers.get("Range"))
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    [(first, stop)] = asked.ranges
    start = (
        max(0, length + first) if first < 0 else first
    )  # "-500": the last 500, or all when there are fewer
    if start >= length:
        raise ApiError(416, "the recording is shorter", headers={"Content-Range": f"bytes */{length}"})
    return start, length if stop is None else min(stop, length)


def _part(chunks: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield what stands from `start` on and before `stop`; what comes before is read and dropped."""
    at = 0
    for chunk in chunks:
        part = chunk[max(0, start - at) : max(0, stop - at)]
        at += len(chunk)
        if part:
            yield part
        if at >= stop:
            return


def _close(stream: RecordingStream) -> None:
    close = getattr(stream.chunks, "close", None)
    if close is not None:
        with suppress(ValueError):  # a generator that another thread is reading closes at its end
            close()
