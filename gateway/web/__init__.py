"""The web side, on Flask: carrier webhooks (`voice.py`), the public API (`api`), and the application that
`gateway serve` runs (`app.py`).
"""

from __future__ import annotations

from gateway.web.api import api_blueprint
from gateway.web.app import create_app
from gateway.web.voice import voice_blueprint

__all__ = ["api_blueprint", "create_app", "voice_blueprint"]
