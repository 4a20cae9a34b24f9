"""Plivo Voice: calls out and in, controlled by Plivo XML."""

from __future__ import annotations

from providers.plivo.adapter import PlivoProvider

__all__ = ["PlivoProvider"]
