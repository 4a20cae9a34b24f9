"""What Plivo's REST API takes: each request's parameters with their ranges, and the error body it answers with.

Source: Plivo's API reference (plivo.com/docs, read 2026). Stricter than the service on purpose: a parameter that
the reference does not list is refused, so a misspelling cannot pass here and be ignored there. Error texts are
Plivo's where one is published, else in its style: treat them as unstable. Numbers, booleans and text arrive as JSON
values or as text (query string); both forms are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

Check = Callable[[Any], Any]
Table = Mapping[str, Check]

MAX_DESTINATIONS: Final = 1000
DEFAULT_TIME_LIMIT_S: Final = 14_400
MAX_TIME_LIMIT_S: Final = 86_400  # a longer limit is cut, not refused
DEFAULT_RING_TIMEOUT_S: Final = 120
PAGE: Final = 20
LOOK_BACK: Final = timedelta(days=7)
LONGEST_RANGE: Final = timedelta(days=30)
KEPT_FOR: Final = timedelta(days=90)

_NUMBER = re.compile(r"\+?[1-9]\d{4,14}")
_SIP = re.compile(r"sip:[^\s@<>]+@[^\s@<>]+")
_SIP_HEADERS = re.compile(r"[A-Za-z0-9]+=[A-Za-z0-9]*(,[A-Za-z0-9]+=[A-Za-z0-9]*)*")
_SEND_DIGITS = re.compile(r"[0-9*#A-DwW]+(@\d+)?")
_TIME_FORMATS: Final = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")


class RestError(Exception):
    """A refusal: the HTTP status and the free text that Plivo puts under `error`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text


def error_body(api_id: str, text: str) -> dict[str, str]:
    """Make Plivo's error body; there is no error code in it."""
    return {"api_id": api_id, "error": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How answering machine detection was asked for; `mode` is `true` (go on) or `hangup`."""

    mode: str
    url: str | None = None
    method: str = "POST"
    time_ms: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A checked `POST /Call/`: callback addresses still with their fragment, times in whole seconds."""

    from_: str
    destinations: tuple[str, ...]
    answer_url: str
    answer_method: str = "POST"
    ring_url: str | None = None
    ring_method: str = "POST"
    hangup_url: str | None = None
    hangup_method: str = "POST"
    fallback_url: str | None = None
    fallback_method: str = "POST"
    caller_name: str | None = None
    send_digits: str | None = None
    time_limit_s: int = DEFAULT_TIME_LIMIT_S
    hangup_on_ring_s: int | None = None
    ring_timeout_s: int = DEFAULT_RING_TIMEOUT_S
    detection: Detection | None = None
    sip_headers: Mapping[str, str] = field(default_factory=dict)
    parent_call_uuid: str | None = None


# --- single values ---------------------------------------------------------------------------------------------


def text(longest: int | None = None) -> Check:
    """Check for text that is not empty; longer than `longest` characters is refused."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("must be a non-empty string")
        if longest is not None and len(value) > longest:
            raise ValueError(f"must have at most {longest} characters")
        return value

    return check


def any_text(value: Any) -> str:
    """Check for text that may be empty (an empty `app_id` unlinks a number)."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def url(value: Any) -> str:
    """Check for an absolute http or https address."""
    return _address(value, ("http", "https"))


def stream_url(value: Any) -> str:
    """Check for an absolute ws or wss address of at most 2048 characters."""
    if isinstance(value, str) and len(value) > 2048:
        raise ValueError("must have at most 2048 characters")
    return _address(value, ("ws", "wss"))


def _address(value: Any, schemes: tuple[str, ...]) -> str:
    if not isinstance(value, str) or re.search(r"\s", value):
        raise ValueError("must be a valid url")
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError("must be a valid url")
    return value


def whole(low: int, high: float = math.inf) -> Check:
    """Check for a whole number in `low..high`, as JSON number or as digits."""

    def check(value: Any) -> int:
        digits = isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value)
        if not digits and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError("must be an integer")
        if not low <= int(value) <= high:
            raise ValueError(f"must be at least {low}" if high == math.inf else f"must be {low}..{high}")
        return int(value)

    return check


def flag(value: Any) -> bool:
    """Check for true or false, as JSON boolean or as text."""
    known = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}
    if isinstance(value, bool | str) and value in known:
        return known[value]
    raise ValueError("must be true or false")


def one_of(*words: str) -> Check:
    """Check for one of `words`, exactly as written."""

    def check(value: Any) -> str:
        shown = str(value).lower() if isinstance(value, bool) else value
        if shown not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(shown)

    return check


method: Final = one_of("GET", "POST")


def matching(pattern: re.Pattern[str], wanted: str, longest: int | None = None) -> Check:
    """Check for text that matches `pattern` from end to end."""
    base = text(longest)

    def check(value: Any) -> str:
        if not pattern.fullmatch(base(value)):
            raise ValueError(wanted)
        return str(value)

    return check


def utc_time(value: Any) -> datetime:
    """Check for `YYYY-MM-DD HH:MM[:ss[.uuuuuu]]`, which list filters read as UTC."""
    for pattern in _TIME_FORMATS:
        try:
            return datetime.strptime(str(value), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError("must be YYYY-MM-DD HH:MM[:ss[.uuuuuu]]")


def is_destination(value: str) -> bool:
    """Tell whether `value` is a number (country code, no separators) or a SIP address."""
    return bool(_NUMBER.fullmatch(value) or _SIP.fullmatch(value))


def digits(value: str) -> str:
    """Write a number as Plivo compares it: digits only. A SIP address stays as it is."""
    return value if value.startswith("sip:") else re.sub(r"\D", "", value)


# --- requests --------------------------------------------------------------------------------------------------

_AMD_MS: Final = {
    "machine_detection_time": whole(2000, 10_000),
    "machine_detection_maximum_speech_length": whole(1000, 6000),
    "machine_detection_initial_silence": whole(2000, 10_000),
    "machine_detection_maximum_words": whole(2, 10),  # range unconfirmed
    "machine_detection_initial_greeting": whole(1000, 5000),  # range unconfirmed
}

CALL: Final[Table] = {
    "from": text(),
    "to": text(),
    "answer_url": url,
    "answer_method": method,
    "ring_url": url,
    "ring_method": method,
    "hangup_url": url,
    "hangup_method": method,
    "fallback_url": url,
    "fallback_method": method,
    "caller_name": text(50),
    "send_digits": matching(_SEND_DIGITS, "may hold 0-9 * # A-D w W, then @ and milliseconds"),
    "send_on_preanswer": flag,
    "time_limit": whole(1),
    "hangup_on_ring": whole(1),
    "ring_timeout": whole(0),  # upper bound unconfirmed
    "machine_detection": one_of("true", "hangup", "false"),
    "machine_detection_url": url,
    "machine_detection_method": method,
    **_AMD_MS,
    "sip_headers": matching(_SIP_HEADERS, "must be key=value pairs of letters and digits"),
    "parent_call_uuid": text(),
    "error_if_parent_not_found": flag,
    "call_type": one_of("whatsapp_voice"),
}

_LEGS: Final = one_of("aleg", "bleg", "both")
TRANSFER: Final[Table] = {
    "legs": _LEGS,
    "aleg_url": url,
    "aleg_method": method,
    "bleg_url": url,
    "bleg_method": method,
}
RECORD: Final[Table] = {
    "time_limit": whole(1),
    "file_format": one_of("mp3", "wav"),
    "record_channel_type": one_of("mono", "stereo"),
    "callback_url": url,
    "callback_method": method,
    "transcription_type": one_of("auto"),
    "transcription_url": url,
    "transcription_method": method,
    "transcription_report_type": text(),
}
PLAY: Final[Table] = {"urls": text(), "length": whole(1), "legs": _LEGS, "loop": flag, "mix": flag}
SPEAK: Final[Table] = {
    "text": text(),
    "voice": text(),
    "language": text(),
    "legs": _LEGS,
    "loop": flag,
    "mix": flag,
    "type": text(),
}
DTMF: Final[Table] = {
    "digits": matching(_SEND_DIGITS, "may hold 0-9 * # A-D w W"),
    "leg": one_of("aleg", "bleg"),
}
CONTENT_TYPES: Final = (
    "audio/x-mulaw;rate=8000",
    "audio/x-l16;rate=8000",
    "audio/x-l16;rate=16000",
    "audio/x-l16;rate=24000",  # on a newer page only
)
STREAM: Final[Table] = {
    "service_url": stream_url,
    "bidirectional": flag,
    "audio_track": one_of("inbound", "outbound", "both"),
    "stream_timeout": whole(1),
    "content_type": one_of(*CONTENT_TYPES),
    "status_callback_url": url,
    "status_callback_method": method,
    "extra_headers": text(512),
    "noise_cancellation": flag,
    "noise_cancellation_level": whole(60, 100),
    "cx_bot": text(),  # the SDK's, in no documentation page
}
PAGED: Final[Table] = {"limit": whole(1, PAGE), "offset": whole(0)}


def _ranged(name: str, check: Check) -> Table:
    return {name: check, **{f"{name}__{bound}": check for bound in ("gt", "gte", "lt", "lte")}}


CALL_LIST: Final[Table] = {
    **PAGED,
    **_ranged("end_time", utc_time),
    **_ranged("bill_duration", whole(0)),
    "subaccount": text(),
    "call_direction": one_of("inbound", "outbound"),
    "from_number": text(),
    "to_number": text(),
    "parent_call_uuid": text(),
    "hangup_cause_code": whole(0),
    "hangup_source": text(),
    "stir_verification": text(),
    "cursor": text(),
}
CALL_IDS: Final[Table] = {
    **PAGED,
    "status": one_of("live", "queued"),
    "call_direction": one_of("inbound", "outbound"),
    "from_number": text(),
    "to_number": text(),
}
CALL_GET: Final[Table] = {"status": one_of("live", "queued")}
RECORDING_LIST: Final[Table] = {
    **PAGED,
    **_ranged("add_time", utc_time),
    **_ranged("recording_storage_duration", whole(0)),
    "call_uuid": text(),
    "from_number": text(),
    "to_number": text(),
    "subaccount": text(),
    "conference_name": text(),
    "cursor": text(),
}


def read_params(given: Mapping[str, Any], table: Table, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Check parameters against their table.

    Returns:
        the given parameters only, each as its check returns it; a JSON null counts as not given.

    Raises:
        RestError: 400 for a missing, unknown or malformed parameter.
    """
    present = {name: value for name, value in given.items() if value is not None}
    for name in required:
        if present.get(name) in (None, ""):
            raise RestError(400, f"{name} parameter is missing")
    unknown = sorted(set(present) - set(table))
    if unknown:
        raise RestError(400, f"{unknown[0]} parameter is unknown")
    return {name: _checked(name, value, table[name]) for name, value in present.items()}


def _checked(name: str, value: Any, check: Check) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise RestError(400, f"{name} parameter is invalid: {error}") from error


def read_call_order(body: Mapping[str, Any], may_call_from: Callable[[str], bool]) -> CallOrder:
    """Check a `POST /Call/`.

    Args:
        body: the JSON object as sent.
        may_call_from: tells whether the account holds or has verified this number (digits only).

    Raises:
        RestError: 400 with Plivo's text.
    """
    given = read_params(body, CALL, required=("from", "to", "answer_url"))
    _check_caller(given["from"], may_call_from)
    known = {
        "time_limit": "time_limit_s",
        "hangup_on_ring": "hangup_on_ring_s",
        "ring_timeout": "ring_timeout_s",
    }
    plain = {
        known.get(name, name): value
        for name, value in given.items()
        if known.get(name, name) in _PLAIN_FIELDS
    }
    if "time_limit_s" in plain:
        plain["time_limit_s"] = min(plain["time_limit_s"], MAX_TIME_LIMIT_S)
    return CallOrder(
        from_=given["from"],
        destinations=read_destinations(given["to"]),
        detection=_detection(given),
        sip_headers=read_sip_headers(given.get("sip_headers")),
        **plain,
    )


_PLAIN_FIELDS: Final = frozenset(CallOrder.__dataclass_fields__) - {
    "from_",
    "destinations",
    "detection",
    "sip_headers",
}


def _check_caller(caller: str, may_call_from: Callable[[str], bool]) -> None:
    if not is_destination(caller) or not may_call_from(digits(caller)):
        shown = caller if is_destination(caller) else "number"
        raise RestError(
            400,
            f"from parameter is invalid. {shown} is not associated with your account. "
            "Use a phone number rented on your account.",
        )


def read_destinations(to: str) -> tuple[str, ...]:
    """Split the bulk form `a<b`; a malformed destination of several vanishes, a single one is refused.

    Raises:
        RestError: 400 when none is left, or for more than 1000.
    """
    parts = tuple(dict.fromkeys(to.split("<")))
    if len(parts) > MAX_DESTINATIONS:
        raise RestError(400, f"to parameter is invalid: at most {MAX_DESTINATIONS} unique destinations")
    kept = tuple(part for part in parts if is_destination(part))
    if not kept:
        raise RestError(400, "to parameter is invalid")
    return kept


def _detection(given: Mapping[str, Any]) -> Detection | None:
    mode = given.get("machine_detection", "false")
    if mode == "false":
        return None
    if "call_type" in given:
        raise RestError(400, "machine_detection is not available for whatsapp_voice calls")
    return Detection(
        mode=mode,
        url=given.get("machine_detection_url"),
        method=given.get("machine_detection_method", "POST"),
        time_ms=given.get("machine_detection_time", 5000),
    )


def read_sip_headers(given: str | None) -> dict[str, str]:
    """Read `k=v,k2=v2` into the `X-PH-<k>` parameters that every callback then carries."""
    if not given:
        return {}
    pairs = (item.partition("=") for item in given.split(","))
    return {f"X-PH-{name}": value for name, _, value in pairs}


def time_range(given: Mapping[str, Any], name: str, now: datetime) -> tuple[datetime, datetime]:
    """Read a list's window: the last 7 days unless told, refused over 30, nothing older than 90.

    Returns:
        first and last instant, both included, aware UTC.

    Raises:
        RestError: 400 when the window is longer than 30 days.
    """
    instant = timedelta(microseconds=1)
    bounds = {
        "low": [given.get(name), given.get(f"{name}__gte"), _plus(given.get(f"{name}__gt"), instant)],
        "high": [given.get(name), given.get(f"{name}__lte"), _plus(given.get(f"{name}__lt"), -instant)],
    }
    lows = [bound for bound in bounds["low"] if bound is not None]
    highs = [bound for bound in bounds["high"] if bound is not None]
    high = min(highs, default=now)
    low = max(lows, default=high - LOOK_BACK)
    if high - low > LONGEST_RANGE:
        raise RestError(400, f"{name} range must be at most 30 days")
    return max(low, now - KEPT_FOR), high


def _plus(moment: datetime | None, step: timedelta) -> datetime | None:
    return None if moment is None else moment + step


def in_range(given: Mapping[str, Any], name: str, value: int) -> bool:
    """Tell whether `value` meets the `name`, `name__gt`, `__gte`, `__lt`, `__lte` filters that were given."""
    tests: dict[str, Callable[[int], bool]] = {
        name: lambda bound: value == bound,
        f"{name}__gt": lambda bound: value > bound,
        f"{name}__gte": lambda bound: value >= bound,
        f"{name}__lt": lambda bound: value < bound,
        f"{name}__lte": lambda bound: value <= bound,
    }
    return all(test(given[key]) for key, test in tests.items() if key in given)
