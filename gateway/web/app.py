"""The Flask application that `gateway serve` runs: the voice blueprint, the public API and health."""

from __future__ import annotations

import os
import shutil
from typing import Final

from flask import Flask, Response, jsonify

from gateway.errors import ConfigurationError, GatewayError
from gateway.gateway import Gateway
from gateway.web.api import api_blueprint
from gateway.web.voice import voice_blueprint

EXTENSION_KEY: Final = "telephony_gateway"
_LEAST_DISK_BYTES: Final = 50_000_000


def create_app(gateway: Gateway | None = None) -> Flask:
    """Return the application. Its one key in `app.extensions` is "telephony_gateway": the `Gateway`.

    Args:
        gateway: the gateway to serve; None opens one from the environment, without touching the database's schema.
    """
    served = gateway or Gateway.open(upgrade=False)
    app = Flask(__name__)
    app.extensions[EXTENSION_KEY] = served
    app.register_blueprint(voice_blueprint(served), url_prefix=served.settings.webhook_prefix)
    app.register_blueprint(api_blueprint(served))
    app.add_url_rule("/healthz", "healthz", lambda: jsonify(status="ok"))
    app.add_url_rule("/readyz", "readyz", lambda: _readiness(served))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(served))
    return app


def _readiness(gateway: Gateway) -> tuple[Response, int]:
    """Whether this process can do its job: database, disk, sweeper."""
    checks = {
        "database": _check_database(gateway),
        "disk": _check_disk(gateway),
        "sweeper": "ok" if gateway.background.is_sweeping else "not running in this process",
    }
    is_ready = checks["database"] == "ok" and checks["disk"] == "ok"
    return jsonify(status="ok" if is_ready else "unready", checks=checks), 200 if is_ready else 503


def _metrics(gateway: Gateway) -> Response:
    """What this process has counted, in Prometheus' text form; each process counts its own."""
    name = "gateway_webhooks_refused_total"
    lines = [f"# HELP {name} Webhooks refused since this process started.", f"# TYPE {name} counter"]
    lines += [
        f'{name}{{reason="{reason.value}",process="{os.getpid()}"}} {count}'
        for reason, count in gateway.refusals.counts.items()
    ]
    return Response("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def _check_database(gateway: Gateway) -> str:
    try:
        gateway.services.store.ping()
    except (GatewayError, ConfigurationError) as error:
        return str(error)
    return "ok"


def _check_disk(gateway: Gateway) -> str:
    folder = gateway.services.store.folder
    if folder is None:
        return "ok"
    free = shutil.disk_usage(folder).free
    return "ok" if free > _LEAST_DISK_BYTES else f"only {free} bytes free"
