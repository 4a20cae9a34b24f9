"""Twilio Programmable Voice: calls out and in, controlled by TwiML."""

from __future__ import annotations

from providers.twilio.adapter import TwilioProvider

__all__ = ["TwilioProvider"]
