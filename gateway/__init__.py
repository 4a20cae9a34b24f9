"""One interface over the voice APIs of Twilio, Telnyx and Plivo."""
