"""Telnyx Voice through Call Control: REST commands out, signed JSON events in."""

from providers.telnyx.adapter import TelnyxProvider

__all__ = ["TelnyxProvider"]
