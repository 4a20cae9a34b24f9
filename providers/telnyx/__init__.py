"""Telnyx Voice: calls out and in, controlled by Call Control commands."""

from __future__ import annotations

from providers.telnyx.adapter import TelnyxProvider

__all__ = ["TelnyxProvider"]
