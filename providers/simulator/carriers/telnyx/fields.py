"""What the body of a dial and of each command may hold: types, closed sets, ranges.

Source: the vendor's OpenAPI document of 2026-07 (`POST /calls` and `/calls/{id}/actions/*`); values that only the
Python SDK 4.189.0 knows are marked. Where two sources differ, the wider one is taken. Fields whose effect the
simulator cannot produce are in `NOT_PLAYED` and refused by name, so that nothing is silently ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from providers.simulator.carriers.telnyx import errors


class Kind(StrEnum):
    """JSON types, in the words of the carrier's error text."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    ANY = "any"


PYTHON_TYPES: Final[Mapping[Kind, tuple[type, ...]]] = {
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.BOOLEAN: (bool,),
    Kind.OBJECT: (dict,),
    Kind.ARRAY: (list,),
}

Check = Callable[[str, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: its type, and what else its value must be."""

    kind: Kind = Kind.STRING
    values: tuple[str | int, ...] = ()
    low: int | None = None
    high: int | None = None
    range_code: str = "10033"
    longest: int | None = None
    check: Check | None = None

    def verify(self, name: str, value: Any) -> None:
        """Raise the carrier's refusal if `value` is not one this field takes."""
        if not self._has_type(value):
            raise errors.wrong_type(name, self.kind)
        if self.values and value not in self.values:
            raise errors.not_in_enum(name, self.values)
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise errors.outside_range(name, self.low, self.high, self.range_code)
        if self.longest is not None and not 1 <= len(value) <= self.longest:
            raise errors.outside_range(name, 1, self.longest)
        if self.check is not None:
            self.check(name, value)

    def _has_type(self, value: Any) -> bool:
        if self.kind is Kind.ANY:
            return True
        if isinstance(value, bool):  # in Python a bool is an int; in JSON it is not
            return self.kind is Kind.BOOLEAN
        return isinstance(value, PYTHON_TYPES[self.kind])


# --- checks of single values ----------------------------------------

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
NUMBER_LIKE: Final = re.compile(r"\+[0-9]+")
SIP_URI: Final = re.compile(r"sips?:[^@\s;]+@[A-Za-z0-9.\-]+(:[0-9]+)?(;secure=(true|srtp|dtls))?")
DIGITS: Final = re.compile(r"[0-9A-DwW*#]+")
DISPLAY_NAME: Final = re.compile(r"[A-Za-z0-9 \-_~!.+]*")
URL_MAX: Final = 2000
RETRIES_MAX: Final = 5
RETRIES_TOTAL_MS: Final = 60_000

# Every event type of a call that this carrier documents; Call Control version 2.
# fmt: off
EVENT_TYPES: Final = frozenset({
    "call.initiated", "call.answered", "call.bridged", "call.hangup", "call.hold", "call.unhold",
    "call.cost", "call.dtmf.received", "call.machine.detection.ended", "call.machine.greeting.ended",
    "call.machine.premium.detection.started", "call.machine.premium.detection.ended",
    "call.machine.premium.greeting.ended", "call.machine.premium.call_screening.detected",
    "call.playback.started", "call.playback.ended", "call.speak.started", "call.speak.ended",
    "call.recording.saved", "call.recording.error", "call.recording.transcription.saved",
    "call.refer.started", "call.refer.completed", "call.refer.failed", "call.gather.ended",
    "call.enqueued", "call.dequeued", "call.left_queue", "call.fork.started", "call.fork.stopped",
    "call.transcription", "call.bridge", "streaming.started", "streaming.stopped", "streaming.failed",
})
# fmt: on


def is_base64(value: str) -> bool:
    """Say whether this is standard base64, padding included."""
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def check_client_state(name: str, value: str) -> None:
    """Raise unless the value is base64; the greatest length is unconfirmed."""
    if not is_base64(value):
        raise errors.bad_client_state(name)


def check_url(name: str, value: str) -> None:
    """Raise unless the value is an absolute http(s) URL the carrier takes."""
    if len(value) > URL_MAX or not _is_absolute(value, {"http", "https"}):
        raise errors.bad_url(name)


def check_stream_url(name: str, value: str) -> None:
    """Raise unless the value is a WebSocket URL; plain `ws:` is taken too, for agents on loopback."""
    if not _is_absolute(value, {"ws", "wss"}):
        raise errors.bad_value(name, "The stream URL must be an absolute WebSocket address.")


def _is_absolute(url: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a malformed host or port
        return False


def check_digits(name: str, value: str) -> None:
    """Raise unless the value is keys and pauses (`w` half a second, `W` a second)."""
    if not DIGITS.fullmatch(value):
        raise errors.bad_digits(name)


def check_display_name(name: str, value: str) -> None:
    """Raise if a caller's name has characters the carrier does not send."""
    if not DISPLAY_NAME.fullmatch(value):
        raise errors.bad_value(name, "Only letters, digits, spaces and -_~!.+ are allowed.")


def check_target(name: str, value: Any) -> None:
    """Raise unless `to` is a number in E.164, optionally with keys after a comma, or a SIP URI."""
    if isinstance(value, list):
        raise errors.not_played(name)  # whether several targets ring at once or in turn is unconfirmed
    if not isinstance(value, str):
        raise errors.wrong_type(name, "string")
    if not value:
        raise errors.missing(name)
    if value.startswith(("sip:", "sips:")):
        if not SIP_URI.fullmatch(value):
            raise errors.bad_value(name, "The SIP URI is not well-formed.")
        return
    number, comma, digits = value.partition(",")
    if not E164.fullmatch(number) or (comma and not DIGITS.fullmatch(digits)):
        raise errors.not_e164(name)


def check_caller(name: str, value: str) -> None:
    """Raise unless `from` looks like a number; one of a wrong length is refused later, as D35."""
    if not NUMBER_LIKE.fullmatch(value):
        raise errors.not_e164(name)


def check_headers(name: str, value: list[Any]) -> None:
    """Raise unless this is a list of `{"name": …, "value": …}`."""
    for entry in value:
        if not isinstance(entry, dict) or set(entry) != {"name", "value"}:
            raise errors.bad_value(name, "Each header needs exactly a name and a value.")
        if not all(isinstance(part, str) for part in entry.values()):
            raise errors.wrong_type(name, "string")


def check_sip_headers(name: str, value: list[Any]) -> None:
    """Raise unless the only header is the one the carrier lets through."""
    check_headers(name, value)
    for entry in value:
        if entry["name"] != "User-to-User":
            raise errors.not_in_enum(name, ("User-to-User",))


def check_retry_policies(name: str, value: dict[str, Any]) -> None:
    """Raise unless each event type has at most five delays, together at most a minute."""
    for event, policy in value.items():
        _check_event(name, event)
        if not isinstance(policy, dict) or set(policy) != {"retries_ms"}:
            raise errors.bad_value(name, "A retry policy needs exactly the key retries_ms.")
        delays = policy["retries_ms"]
        if not isinstance(delays, list) or any(type(delay) is not int or delay < 0 for delay in delays):
            raise errors.wrong_type(name, "array")
        if len(delays) > RETRIES_MAX or sum(delays) > RETRIES_TOTAL_MS:
            raise errors.outside_range(name, 0, RETRIES_TOTAL_MS)


def check_webhook_urls(name: str, value: dict[str, Any]) -> None:
    """Raise unless each event type has a URL (the document says string, the SDK a list of strings)."""
    for event, urls in value.items():
        _check_event(name, event)
        for url in urls if isinstance(urls, list) and urls else [urls]:
            if not isinstance(url, str):
                raise errors.wrong_type(name, "string")
            check_url(name, url)


def _check_event(name: str, event: str) -> None:
    if event not in EVENT_TYPES:
        raise errors.unknown_event(name, event)


# fmt: off
AMD_CONFIG_KEYS: Final = frozenset({
    "total_analysis_time_millis", "after_greeting_silence_millis", "between_words_silence_millis",
    "greeting_duration_millis", "initial_silence_millis", "maximum_number_of_words",
    "maximum_word_length_millis", "silence_threshold", "greeting_total_analysis_time_millis",
    "greeting_silence_duration_millis",
})
# fmt: on


def check_amd_config(name: str, value: dict[str, Any]) -> None:
    """Raise on an unknown key or a value that is no whole number."""
    for key, amount in value.items():
        if key not in AMD_CONFIG_KEYS:
            raise errors.unknown_field(f"{name}/{key}")
        if type(amount) is not int or amount < 0:
            raise errors.wrong_type(f"{name}/{key}", "integer")


def check_loop(name: str, value: Any) -> None:
    """Raise unless the value is a count from 1, or `infinity`."""
    counts = type(value) is int or (isinstance(value, str) and value.isdigit())
    if value != "infinity" and not (counts and int(value) >= 1):
        raise errors.bad_value(name, "The value must be a positive number or 'infinity'.")


def check_custom_parameters(name: str, value: list[Any]) -> None:
    """Raise unless this is a list of `{"name": …, "value": …}`: the form of the headers."""
    check_headers(name, value)


def check_base64(name: str, value: str) -> None:
    """Raise unless the inline audio is base64."""
    if not is_base64(value):
        raise errors.bad_value(name, "The content must be Base64 encoded.")


# --- the tables ----------------------------------------

TEXT: Final = Field()
FLAG: Final = Field(kind=Kind.BOOLEAN)
WEB_URL: Final = Field(check=check_url)
STATE: Final = Field(check=check_client_state)
LOOP: Final = Field(kind=Kind.ANY, check=check_loop)
ON_HOLD: Final = Field(values=("self",))
TRACKS: Final = ("both", "inbound", "outbound")

# fmt: off
LANGUAGES: Final = (
    "arb", "cmn-CN", "cy-GB", "da-DK", "de-DE", "en-AU", "en-GB", "en-GB-WLS", "en-IN", "en-US",
    "es-ES", "es-MX", "es-US", "fr-CA", "fr-FR", "hi-IN", "is-IS", "it-IT", "ja-JP", "ko-KR", "nb-NO",
    "nl-NL", "pl-PL", "pt-BR", "pt-PT", "ro-RO", "ru-RU", "sv-SE", "tr-TR",
)
# fmt: on

Table = Mapping[str, Field]

COMMON: Final[Table] = {"client_state": STATE, "command_id": TEXT}

WEBHOOKS: Final[Table] = {
    "webhook_url": WEB_URL,
    "webhook_url_method": Field(values=("POST", "GET")),
    "webhook_urls": Field(kind=Kind.OBJECT, check=check_webhook_urls),
    "webhook_urls_method": Field(values=("POST", "GET")),
    "webhook_retries_policies": Field(kind=Kind.OBJECT, check=check_retry_policies),
}

HEADERS: Final[Table] = {
    "custom_headers": Field(kind=Kind.ARRAY, check=check_headers),
    "sip_headers": Field(kind=Kind.ARRAY, check=check_sip_headers),
}

RECORD: Final[Table] = {
    "record": Field(values=("record-from-answer",)),
    "record_channels": Field(values=("single", "dual")),
    "record_format": Field(values=("wav", "mp3")),
    "record_track": Field(values=TRACKS),
    "record_max_length": Field(kind=Kind.INTEGER, low=0, high=43_200),
    "record_timeout_secs": Field(kind=Kind.INTEGER, low=0, high=2**31 - 1),
    "record_trim": Field(values=("trim-silence",)),
    "record_custom_file_name": Field(longest=40),
}

STREAM: Final[Table] = {
    "stream_url": Field(check=check_stream_url),
    "stream_track": Field(values=("inbound_track", "outbound_track", "both_tracks")),
    "stream_codec": Field(values=("PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16", "default")),
    "stream_bidirectional_mode": Field(values=("mp3", "rtp")),
    "stream_bidirectional_codec": Field(values=("PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16")),
    "stream_bidirectional_target_legs": Field(values=("both", "self", "opposite")),
    "stream_bidirectional_sampling_rate": Field(kind=Kind.INTEGER, values=(8000, 16000, 22050, 24000, 48000)),
    "stream_auth_token": Field(longest=4000),
}

RINGING: Final[Table] = {
    "from_display_name": Field(longest=128, check=check_display_name),
    "timeout_secs": Field(kind=Kind.INTEGER, low=5, high=600, range_code="90028"),
    "time_limit_secs": Field(kind=Kind.INTEGER, low=30, high=14_400, range_code="90029"),
    "answering_machine_detection": Field(
        values=(
            "premium",
            "detect",
            "detect_beep",
            "detect_words",
            "greeting_end",
            "disabled",
            "premium_ios_call_screening_detection",  # the SDK only
        )
    ),
    "answering_machine_detection_config": Field(kind=Kind.OBJECT, check=check_amd_config),
    "sip_auth_username": TEXT,
    "sip_auth_password": TEXT,
    "sip_transport_protocol": Field(values=("UDP", "TCP", "TLS")),
    "sip_region": Field(values=("US", "Europe", "Canada", "Australia", "Middle East")),
    "media_encryption": Field(values=("disabled", "SRTP", "DTLS")),
    "preferred_codecs": TEXT,
    "privacy": Field(values=("id", "none")),
    "audio_url": TEXT,
    "media_name": TEXT,
    "send_digits_on_answer": Field(longest=64, check=check_digits),
    "park_after_unbridge": ON_HOLD,
}

DIAL: Final[Table] = {
    "connection_id": TEXT,
    "to": Field(kind=Kind.ANY, check=check_target),
    "from": Field(check=check_caller),
    "retry_on_timeout": FLAG,
    "billing_group_id": TEXT,
    "link_to": TEXT,
    "send_silence_when_idle": FLAG,
    **RINGING,
    **COMMON,
    **WEBHOOKS,
    **HEADERS,
    **RECORD,
    **STREAM,
}

ACTIONS: Final[Mapping[str, Table]] = {
    "answer": {
        **COMMON,
        **WEBHOOKS,
        **HEADERS,
        **RECORD,
        **STREAM,
        "billing_group_id": TEXT,
        "preferred_codecs": TEXT,
        "send_silence_when_idle": FLAG,
    },
    "reject": {
        **COMMON,
        # the last two: the SDK only
        "cause": Field(values=("CALL_REJECTED", "USER_BUSY", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE")),
    },
    "hangup": {**COMMON, **HEADERS, "reason": TEXT},  # reason: the SDK only
    "transfer": {
        **COMMON,
        **WEBHOOKS,
        **HEADERS,
        **RECORD,
        **RINGING,
        "to": Field(kind=Kind.ANY, check=check_target),
        "from": Field(check=check_caller),
        "early_media": FLAG,
        "target_leg_client_state": STATE,
        "mute_dtmf": Field(values=("none", "both", "self", "opposite")),
    },
    "speak": {
        **COMMON,
        "payload": Field(longest=3000),
        "voice": TEXT,
        "payload_type": Field(values=("text", "ssml")),
        "service_level": Field(values=("basic", "premium")),
        "language": Field(values=LANGUAGES),
        "voice_settings": Field(kind=Kind.OBJECT),
        "loop": LOOP,
        "stop": Field(values=("current", "all")),
        "target_legs": Field(values=("self", "opposite", "both")),
    },
    "playback_start": {
        **COMMON,
        "audio_url": WEB_URL,
        "media_name": TEXT,
        "playback_content": Field(check=check_base64),
        "audio_type": Field(values=("mp3", "wav")),
        "loop": LOOP,
        "overlay": FLAG,
        "cache_audio": FLAG,
        "stop": Field(values=("current", "all")),
        "target_legs": Field(values=("self", "opposite", "both")),
    },
    "playback_stop": {**COMMON, "stop": Field(values=("current", "all")), "overlay": FLAG},
    "record_start": {
        **COMMON,
        "format": RECORD["record_format"],
        "channels": RECORD["record_channels"],
        "play_beep": FLAG,
        "max_length": Field(kind=Kind.INTEGER, low=0, high=14_400),
        "timeout_secs": RECORD["record_timeout_secs"],
        "recording_track": Field(values=TRACKS),
        "trim": RECORD["record_trim"],
        "custom_file_name": RECORD["record_custom_file_name"],
    },
    "record_stop": {**COMMON, "recording_id": TEXT},
    "streaming_start": {
        **COMMON,
        **STREAM,
        "custom_parameters": Field(kind=Kind.ARRAY, check=check_custom_parameters),
    },
    "streaming_stop": {**COMMON, "stream_id": TEXT},
    "send_dtmf": {
        **COMMON,
        "digits": Field(check=check_digits),
        "duration_millis": Field(kind=Kind.INTEGER, low=100, high=500),
    },
    "client_state_update": {"client_state": STATE},
}

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "dial": ("connection_id", "to", "from"),
    "reject": ("cause",),
    "transfer": ("to",),
    "speak": ("payload", "voice"),
    "record_start": ("format", "channels"),
    "streaming_start": ("stream_url",),  # optional in the document; without it there is nothing to connect to
    "send_dtmf": ("digits",),
    "client_state_update": ("client_state",),
}

# Documented, and refused by name: the simulator has no conferences, queues, supervisors, transcription or AI.
# fmt: off
NOT_PLAYED: Final = frozenset({
    "assistant", "bridge_intent", "bridge_on_answer", "conference_config", "conversation_relay_config",
    "deepfake_detection", "dialogflow_config", "diversion", "enable_dialogflow",
    "prevent_double_bridge", "route_to_mobile", "sound_modifications",
    "stream_establish_before_call_originate", "supervise_call_control_id",
    "supervisor_role", "transcription", "transcription_config", "transcription_engine",
    "transcription_language", "transcription_max_speaker_count", "transcription_min_speaker_count",
    "transcription_profanity_filter", "transcription_speaker_diarization",
})
# fmt: on
