"""Twilio Programmable Voice, played from its documentation: REST 2010-04-01, TwiML, webhooks, Media Streams."""
