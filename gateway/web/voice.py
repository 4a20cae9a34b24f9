"""Carrier webhooks as a Flask blueprint (design, section 7). No decision here: bytes in, the use case's answer out.

What carriers sign is checked against the *configured* public URL with the path and query as they stood in the request
line; Host and the forwarding headers are never looked at (R19).
"""

from __future__ import annotations

import logging
from typing import Final

from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from gateway.errors import (
    ConfigurationError,
    Conflict,
    NotFound,
    RejectionReason,
    StoreUnavailable,
    WebhookRejected,
)
from gateway.gateway import Gateway
from gateway.interface import Hook, WebhookRequest
from gateway.reaching import MOST_BYTES, NONCE_HEADER

log = logging.getLogger(__name__)

# Which hooks exist without and with a token behind them.
ROUTES: Final = {
    "/<key>/answer": Hook.ANSWER,
    "/<key>/answer/<token>": Hook.ANSWER,
    "/<key>/status": Hook.STATUS,
    "/<key>/status/<token>": Hook.STATUS,
    "/<key>/amd/<token>": Hook.AMD,
    "/<key>/recording": Hook.RECORDING,
    "/<key>/recording/<token>": Hook.RECORDING,
    "/<key>/next/<token>": Hook.NEXT,
    "/<key>/fallback": Hook.FALLBACK,
    "/<key>/fallback/<token>": Hook.FALLBACK,
    "/<key>/events": Hook.EVENTS,
    "/<key>/events/<token>": Hook.EVENTS,
}


def voice_blueprint(gateway: Gateway) -> Blueprint:
    """Return the blueprint with every route a carrier, or an agent's own server, calls.

    Register it under the gateway's `webhook_prefix` (default "/voice"): the URLs that carriers are given are built
    from `public_url` and that prefix.

    Raises:
        ConfigurationError: at registration, when the prefix is another one.
    """
    blueprint = Blueprint("gateway_voice", __name__)

    def check_prefix(state: BlueprintSetupState) -> None:
        wanted = gateway.settings.webhook_prefix
        if (state.url_prefix or "") != wanted:
            raise ConfigurationError(
                f"the voice blueprint is registered under {state.url_prefix!r} but carriers are given {wanted!r}: "
                f"register it with url_prefix={wanted!r} or set webhook_prefix"
            )

    def take(hook: Hook, key: str, token: str | None) -> Response:
        try:
            body = _read_body(gateway.settings.max_webhook_bytes)
        except WebhookRejected as error:
            gateway.refusals.note(error, hook)
            raise
        inbound = WebhookRequest(
            method=request.method,
            url=f"{gateway.settings.public_url or ''}{_raw_target()}",
            headers=tuple(request.headers.items()),
            body=body,
            token=token,
        )
        reply = gateway.receive(key, hook, inbound)
        return Response(reply.body, status=reply.status, content_type=reply.content_type)

    def view(hook: Hook) -> object:
        return lambda key, token=None: take(hook, key, token)

    def claim(token: str) -> Response:
        return jsonify(gateway.claim_stream(token))

    def ping() -> Response:
        proofs = gateway.answer_ping(
            request.headers.get(NONCE_HEADER, ""), _raw_target(), _read_body(MOST_BYTES)
        )
        return _plain(400, "no nonce") if proofs is None else jsonify(proofs)

    blueprint.record(check_prefix)
    for rule, hook in ROUTES.items():
        name = rule.replace("/<key>/", "").replace("/<token>", "_of_call")
        blueprint.add_url_rule(rule, name, view(hook), methods=["POST"])  # type: ignore[arg-type]
    blueprint.add_url_rule("/streams/<token>/claim", "claim", claim, methods=["POST"])
    blueprint.add_url_rule("/ping", "ping", ping, methods=["POST"])
    blueprint.register_error_handler(WebhookRejected, _rejected)
    blueprint.register_error_handler(StoreUnavailable, _unavailable)
    blueprint.register_error_handler(NotFound, lambda error: _plain(404, "not found"))
    blueprint.register_error_handler(Conflict, lambda error: _plain(409, str(error)))
    blueprint.register_error_handler(Exception, _unexpected)
    return blueprint


def _read_body(limit: int) -> bytes:
    """Return the raw body, whatever its framing; stop at one byte over the limit (R30).

    Raises:
        WebhookRejected: TOO_LARGE.
    """
    if (request.content_length or 0) > limit:
        raise WebhookRejected(RejectionReason.TOO_LARGE)
    body: bytes = request.stream.read(limit + 1)
    if len(body) > limit:
        raise WebhookRejected(RejectionReason.TOO_LARGE)
    return body


def _raw_target() -> str:
    """Return path and query exactly as they stood in the request line; an absolute-form target loses its host."""
    target = str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or "")
    if not target:
        target = request.full_path if request.query_string else request.path
    if "://" in target.split("?", 1)[0]:
        rest = target.split("://", 1)[1]
        target = rest[rest.find("/") :] if "/" in rest else "/"
    return target.encode("latin-1", "replace").decode("latin-1")


def _plain(status: int, text: str) -> Response:
    return Response(text + "\n", status=status, content_type="text/plain; charset=utf-8")


def _rejected(error: WebhookRejected) -> Response:
    return _plain(error.http_status, error.reason.value)


def _unavailable(error: StoreUnavailable) -> Response:
    log.error("webhook not stored: %s", error)
    response = _plain(503, "try again")
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _unexpected(error: Exception) -> Response | HTTPException:
    if isinstance(error, HTTPException):
        return error
    log.exception("webhook failed at %s", request.endpoint)
    return _plain(500, "internal error")
