"""The HTTP server of the simulator: finds the carrier, applies API faults, journals, and lets the face answer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from providers.simulator.api import ApiAnswer, ApiRequest, Route, find_route, json_answer, parameters_of
from providers.simulator.carriers.base import CarrierFace, Core
from providers.simulator.faults import RUNS_FIRST, WRITES, ApiFault, Fault
from providers.simulator.journal import Kind, without_secrets

BODY_LIMIT = 4 * 1024 * 1024
HANG_LIMIT_S = 600.0
HTML = b"<html><head><title>Bad Gateway</title></head><body><h1>The upstream said something odd</h1></body></html>"
SHOWN_HEADERS = ("Content-Type", "User-Agent", "Accept", "Idempotency-Key")
JOURNALED_BODY = 64 * 1024


class Server:
    """Dispatches `/{provider}/...` to the faces. `face_of` imports a face on first use; None: no such carrier."""

    def __init__(self, core: Core, face_of: Callable[[str], CarrierFace | None]) -> None:
        self._core = core
        self._face_of = face_of
        self._runner: web.AppRunner | None = None
        self._hanging: set[asyncio.Task[Any]] = set()
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listens; raises OSError when the port is in use."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening and ends what hangs."""
        for task in list(self._hanging):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        provider, path = _split(http.rel_url.raw_path)
        face = self._face_of(provider)
        if face is None:
            return web.json_response({"error": "the simulator plays no such carrier"}, status=404)
        request = ApiRequest(
            method=http.method,
            path=path,
            query=http.rel_url.raw_query_string,
            headers=http.headers,
            body=await http.read(),
            url=str(http.url),
        )
        route, parts, allowed = find_route(face.routes(), http.method, path)
        operation = face.operation_of(route, request) if route else "unknown"
        is_write = operation in WRITES and http.method != "GET"
        faults = self._core.faults
        fault = faults.take_api(provider, operation, is_write=is_write) if route else None
        entry = self._core.journal.add(
            Kind.REQUEST,
            provider,
            method=request.method,
            path=path,
            operation=operation,
            parts=dict(parts),
            parameters=without_secrets(parameters_of(request)),
            headers=_shown(request),
            fault=str(fault.fault) if fault else None,
            answer_status=None,
            answer=None,
            answer_call_id=None,
        )
        request = replace(request, parts=parts)
        answer: ApiAnswer | None = None
        if fault is None or fault.fault in RUNS_FIRST:
            answer = await self._answer(face, route, request, allowed)
            entry.data.update(
                answer_status=answer.status, answer_call_id=answer.call_id, answer=_text(answer)
            )
            if is_write and answer.status < 300:
                done = {name: entry.data[name] for name in ("operation", "method", "path", "parameters")}
                self._core.journal.add(Kind.WRITE, provider, **done)
        if fault is None and answer is not None:
            return _response(answer)
        assert fault is not None
        return await self._faulty(http, face, fault, request, answer, entry.data)

    async def _answer(
        self, face: CarrierFace, route: Route | None, request: ApiRequest, allowed: list[str]
    ) -> ApiAnswer:
        try:
            answer = face.unmatched(request, allowed) if route is None else await route.handler(request)
        except Exception as error:
            self._core.report(face.name, None, error)
            answer = json_answer({"error": "the simulator itself failed; see its journal"}, 500)
        return face.decorate(request, answer)

    async def _faulty(
        self,
        http: web.Request,
        face: CarrierFace,
        fault: ApiFault,
        request: ApiRequest,
        answer: ApiAnswer | None,
        noted: dict[str, Any],
    ) -> web.StreamResponse:
        self._core.journal.add(
            Kind.FAULT,
            face.name,
            answer.call_id if answer else None,
            fault=str(fault.fault),
            path=request.path,
        )
        match fault.fault:
            case Fault.HANG_BEFORE | Fault.HANG_AFTER:
                return await self._hang(http)
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                return _reset(http)
            case Fault.DRIP:
                assert answer is not None
                return await self._drip(http, answer)
            case Fault.SLOW:
                assert answer is not None
                return await self._late(answer, fault.delay_s)
        spoiled = _spoiled(face, fault, request, answer)
        noted.update(answer_status=spoiled.status)
        return _response(spoiled)

    async def _hang(self, http: web.Request) -> web.StreamResponse:
        """Says nothing until the client goes away; aiohttp cancels nothing then, so the transport is watched."""
        task = asyncio.current_task()
        assert task is not None
        self._hanging.add(task)
        try:
            deadline = asyncio.get_running_loop().time() + HANG_LIMIT_S
            while asyncio.get_running_loop().time() < deadline:
                if http.transport is None or http.transport.is_closing():
                    break
                await asyncio.sleep(0.05)
        finally:
            self._hanging.discard(task)
        return _reset(http)

    async def _late(self, answer: ApiAnswer, delay_s: float) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._hanging.add(task)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._hanging.discard(task)
        return _response(answer)

    async def _drip(self, http: web.Request, answer: ApiAnswer) -> web.StreamResponse:
        """The answer at one byte a second, until the client has had enough."""
        task = asyncio.current_task()
        assert task is not None
        self._hanging.add(task)
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": answer.content_type or ""}
        )
        response.content_length = len(answer.body)
        try:
            await response.prepare(http)
            for byte in answer.body:
                await response.write(bytes([byte]))
                await asyncio.sleep(1.0)
        except ConnectionError:
            return response
        finally:
            self._hanging.discard(task)
        return response


def _split(raw_path: str) -> tuple[str, str]:
    provider, _, rest = raw_path.lstrip("/").partition("/")
    return provider, "/" + rest


def _shown(request: ApiRequest) -> dict[str, str]:
    shown = {name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers}
    return shown | ({"Authorization": "***"} if "Authorization" in request.headers else {})


def _text(answer: ApiAnswer) -> str | None:
    """The answer for the journal; account resources carry the auth token, so their secrets are cut out."""
    if answer.content_type != "application/json":
        return None
    try:
        document = json.loads(answer.body)
    except ValueError:
        return None
    if isinstance(document, dict):
        document = without_secrets(document)
    return json.dumps(document)[:JOURNALED_BODY]


def _response(answer: ApiAnswer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
    if answer.content_type and (answer.body or answer.status != 204):
        response.headers["Content-Type"] = answer.content_type
    return response


def _spoiled(face: CarrierFace, fault: ApiFault, request: ApiRequest, answer: ApiAnswer | None) -> ApiAnswer:
    status = answer.status if answer else fault.status
    retry_after = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s is not None else {}
    match fault.fault:
        case Fault.GARBAGE:
            return ApiAnswer(status=status, body=HTML, content_type="text/html")
        case Fault.EMPTY:
            return ApiAnswer(status=status)
        case Fault.WRONG_TYPE:
            return json_answer(["unexpected"], status)
        case Fault.NO_ID:
            assert answer is not None
            return json_answer(face.without_id(json.loads(answer.body)), status)
        case Fault.REDIRECT:
            mark = "&" if request.query else "?"
            return ApiAnswer(status=307, headers={"Location": f"{request.url}{mark}redirected=1"})
        case Fault.RATE_LIMITED_FOREIGN:
            return ApiAnswer(
                status=429, body=HTML, content_type="text/html", headers=retry_after or {"Retry-After": "1"}
            )
        case Fault.CONFLICT:
            fault = replace(fault, status=409)
        case Fault.RATE_LIMITED:
            fault = replace(fault, status=429)
    own = face.decorate(request, face.fault_answer(fault, request))
    return replace(own, headers={**own.headers, **retry_after})


def _reset(http: web.Request) -> web.StreamResponse:
    """Cuts the connection with a TCP reset."""
    transport = http.transport
    if transport is not None and not transport.is_closing():
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
