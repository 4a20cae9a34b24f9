"""What Twilio's REST API refuses, and in which words. Source: Twilio OpenAPI, REST reference and error dictionary.

Twilio is lenient about parameters it does not know; the simulator refuses them (20001), so that a test notices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from providers.simulator.api import ApiAnswer, ApiRequest, json_answer
from providers.simulator.carriers.twilio.documents import BadDocument, parse
from providers.simulator.carriers.twilio.model import (
    TRIAL,
    Amd,
    Endpoint,
    Habits,
    RecordingOptions,
    TwilioAccount,
)

E164: Final = re.compile(r"\+[1-9]\d{6,14}")
CALL_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
TWIML_LIMIT: Final = 4000
STATUS_OF_CODE: Final = {20003: 401, 20403: 403, 20404: 404, 20004: 405, 20409: 409, 20429: 429, 20009: 409}
CODE_OF_STATUS: Final = {
    400: 20001,
    401: 20003,
    403: 20403,
    404: 20404,
    409: 20409,
    429: 20429,
    503: 20503,
}

# name -> (code when refused, check); Source: Twilio Call resource, create parameters.
Rule = tuple[int, Callable[[str], bool]]


def whole(low: int, high: int) -> Callable[[str], bool]:
    """A whole number in an inclusive range."""
    return lambda text: text.isascii() and text.isdigit() and low <= int(text) <= high


def one_of(*words: str) -> Callable[[str], bool]:
    """One of these words."""
    return lambda text: text in words


def sid(prefix: str) -> Callable[[str], bool]:
    """An id of a kind of resource."""
    return lambda text: re.fullmatch(prefix + "[0-9a-fA-F]{32}", text) is not None


def is_url(text: str) -> bool:
    """Absolute http or https, with a host, without spaces."""
    if re.search(r"\s", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def callback_url(text: str) -> bool:
    """A status callback's host must not contain underscores."""
    return is_url(text) and "_" not in (urlsplit(text).hostname or "_")


def optional(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Empty, which clears a setting, or right."""
    return lambda text: text == "" or check(text)


def _words_of(*words: str) -> Callable[[str], bool]:
    return lambda text: bool(text.split()) and set(text.split()) <= set(words)


METHOD: Final = one_of("GET", "POST")
BOOLEAN: Final = one_of("true", "false")
RECORDING_RULES: Final[dict[str, Rule]] = {
    "RecordingChannels": (20001, one_of("mono", "dual")),
    "RecordingTrack": (20001, one_of("inbound", "outbound", "both")),
    "RecordingStatusCallback": (20001, callback_url),
    "RecordingStatusCallbackMethod": (21209, METHOD),
    "RecordingStatusCallbackEvent": (20001, _words_of("in-progress", "completed", "absent")),
    "Trim": (20001, one_of("trim-silence", "do-not-trim")),
}
CREATE_RULES: Final[dict[str, Rule]] = {
    "Url": (21205, is_url),
    "Method": (21209, METHOD),
    "Twiml": (32018, lambda text: len(text) <= TWIML_LIMIT),
    "ApplicationSid": (21218, sid("AP")),
    "FallbackUrl": (21205, is_url),
    "FallbackMethod": (21209, METHOD),
    "StatusCallback": (20001, callback_url),
    "StatusCallbackMethod": (21209, METHOD),
    "StatusCallbackEvent": (20001, one_of(*CALL_EVENTS)),
    "Timeout": (21208, whole(1, 600)),
    "TimeLimit": (20001, whole(1, 86400)),
    "SendDigits": (21206, lambda text: re.fullmatch(r"[0-9A-D#*wW]{1,32}", text) is not None),
    "MachineDetection": (20001, one_of("Enable", "DetectMessageEnd")),
    "MachineDetectionTimeout": (21234, whole(3, 59)),
    "MachineDetectionSpeechThreshold": (21234, whole(1000, 6000)),
    "MachineDetectionSpeechEndThreshold": (21234, whole(500, 5000)),
    "MachineDetectionSilenceTimeout": (21234, whole(2000, 10000)),
    "AsyncAmd": (20001, BOOLEAN),
    "AsyncAmdStatusCallback": (20001, callback_url),
    "AsyncAmdStatusCallbackMethod": (21209, METHOD),
    "Record": (20001, BOOLEAN),
    **RECORDING_RULES,
    "RecordingConfigurationId": (20001, bool),
    "SipAuthUsername": (21221, lambda text: len(text) < 256),
    "SipAuthPassword": (21222, lambda text: len(text) < 256),
    "Byoc": (20001, sid("BY")),
    "CallerId": (20001, bool),
    "CallReason": (20001, bool),
    "CallToken": (20001, bool),
    "Passports": (20001, lambda text: len(text.split(",")) <= 5),
    "ClientNotificationUrl": (20001, is_url),
}
UPDATE_RULES: Final[dict[str, Rule]] = {
    "Status": (20001, one_of("canceled", "completed")),
    **{
        name: CREATE_RULES[name]
        for name in (
            "Url",
            "Method",
            "Twiml",
            "FallbackUrl",
            "FallbackMethod",
            "StatusCallback",
            "StatusCallbackMethod",
            "TimeLimit",
        )
    },
}
NUMBER_RULES: Final[dict[str, Rule]] = {
    "AccountSid": (20001, sid("AC")),
    "ApiVersion": (20001, bool),
    "FriendlyName": (20001, lambda text: len(text) <= 64),
    "VoiceUrl": (21402, optional(is_url)),
    "VoiceMethod": (21403, METHOD),
    "VoiceFallbackUrl": (21402, optional(is_url)),
    "VoiceFallbackMethod": (21403, METHOD),
    "StatusCallback": (21402, optional(is_url)),
    "StatusCallbackMethod": (21403, METHOD),
    "VoiceApplicationSid": (20001, optional(sid("AP"))),
    "TrunkSid": (20001, optional(sid("TK"))),
    "VoiceCallerIdLookup": (20001, BOOLEAN),
    "VoiceReceiveMode": (20001, one_of("voice", "fax")),
    "SmsApplicationSid": (20001, optional(sid("AP"))),
    "SmsUrl": (20001, optional(is_url)),
    "SmsMethod": (20001, METHOD),
    "SmsFallbackUrl": (20001, optional(is_url)),
    "SmsFallbackMethod": (20001, METHOD),
    "EmergencyStatus": (20001, one_of("Active", "Inactive")),
    "EmergencyAddressSid": (20001, optional(sid("AD"))),
    "IdentitySid": (20001, optional(sid("RI"))),
    "AddressSid": (20001, optional(sid("AD"))),
    "BundleSid": (20001, optional(sid("BU"))),
}
BUY_RULES: Final[dict[str, Rule]] = {
    "PhoneNumber": (21421, lambda text: E164.fullmatch(text) is not None),
    "AreaCode": (21451, lambda text: re.fullmatch(r"[2-9]\d{2}", text) is not None),
    **{name: rule for name, rule in NUMBER_RULES.items() if name != "AccountSid"},
}
SEARCH_RULES: Final[dict[str, Rule]] = {
    "AreaCode": (21451, lambda text: re.fullmatch(r"[2-9]\d{2}", text) is not None),
    "Contains": (20001, lambda text: re.fullmatch(r"\+?[0-9A-Za-z*%]{2,16}\$?", text) is not None),
    "SmsEnabled": (20001, BOOLEAN),
    "MmsEnabled": (20001, BOOLEAN),
    "VoiceEnabled": (20001, BOOLEAN),
    "FaxEnabled": (20001, BOOLEAN),
    "Beta": (20001, BOOLEAN),
    "ExcludeAllAddressRequired": (20001, BOOLEAN),
    "ExcludeLocalAddressRequired": (20001, BOOLEAN),
    "ExcludeForeignAddressRequired": (20001, BOOLEAN),
    "InRegion": (20001, bool),
    "InLocality": (20001, bool),
}
SEARCH_NOT_PLAYED: Final = ("NearNumber", "NearLatLong", "Distance", "InPostalCode", "InRateCenter", "InLata")
CALLER_ID_RULES: Final[dict[str, Rule]] = {
    "PhoneNumber": (21211, lambda text: E164.fullmatch(text) is not None),
    "FriendlyName": (20001, lambda text: len(text) <= 64),
    "CallDelay": (20001, whole(0, 60)),
    "Extension": (20001, lambda text: re.fullmatch(r"[0-9w*#]{1,32}", text) is not None),
    "StatusCallback": (20001, callback_url),
    "StatusCallbackMethod": (21209, METHOD),
}
RECORDING_UPDATE_RULES: Final[dict[str, Rule]] = {
    "Status": (20001, one_of("paused", "in-progress", "stopped")),
    "PauseBehavior": (20001, one_of("skip", "silence")),
}
REPEATABLE: Final = frozenset({"StatusCallbackEvent", "RecordingStatusCallbackEvent"})


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A request Twilio refuses: its code, message and, where it is not the code's own, the HTTP status."""

    code: int
    message: str
    http_status: int | None = None

    def answer(self) -> ApiAnswer:
        """Twilio's error body."""
        status = self.http_status or STATUS_OF_CODE.get(self.code, 400)
        return error_answer(self.code, self.message, status)


def error_answer(code: int, message: str, status: int) -> ApiAnswer:
    """`{"code", "message", "more_info", "status"}`."""
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return json_answer({"code": code, "message": message, "more_info": more_info, "status": status}, status)


def not_found(path: str) -> Refusal:
    """No such resource, or one of another account."""
    return Refusal(20404, f"The requested resource {path} was not found")


class Fields:
    """A checked form: every name known, nothing repeated that is single."""

    def __init__(
        self, pairs: Iterable[tuple[str, str]], rules: dict[str, Rule], others: Sequence[str] = ()
    ) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in rules and name not in others:
                raise Refusal(20001, f"Unknown parameter '{name}'")
            self._values.setdefault(name, []).append(value)
        for name, values in self._values.items():
            if len(values) > 1 and name not in REPEATABLE:
                raise Refusal(20001, f"Parameter '{name}' was given {len(values)} times")
        self._rules = rules

    def check(self) -> None:
        """Refuses the first value that its rule refuses, in the order of the rules."""
        for name, (code, is_right) in self._rules.items():
            for value in self._values.get(name, ()):
                if not is_right(value):
                    raise Refusal(code, f"Invalid '{name}' parameter: {value[:200]}")

    def get(self, name: str) -> str | None:
        """The single value, or None."""
        values = self._values.get(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a repeatable parameter; each may hold several words."""
        return [word for value in self._values.get(name, ()) for word in value.split()]

    def given(self) -> dict[str, str]:
        """The single values by name."""
        return {name: values[-1] for name, values in self._values.items()}

    def flag(self, name: str) -> bool:
        """Whether the value is `true`."""
        return self.get(name) == "true"

    def endpoint(self, name: str, method_name: str | None = None) -> Endpoint | None:
        """A URL with its method (POST); an empty URL is none."""
        url = self.get(name)
        return Endpoint(url=url, method=self.get(method_name or f"{name}Method") or "POST") if url else None


def form_of(request: ApiRequest) -> list[tuple[str, str]]:
    """The pairs of a form request; refuses other content types."""
    if request.content_type != "application/x-www-form-urlencoded" and request.body:
        raise Refusal(20001, f"Unsupported content type '{request.content_type}'", 415)
    try:
        return request.form_pairs()
    except UnicodeDecodeError:
        raise Refusal(20001, "The body is not UTF-8") from None


def check_new_call(fields: Fields, account: TwilioAccount, habits: Habits) -> None:
    """All of Twilio's refusals of a create; see the module's rules."""
    to, from_ = fields.get("To"), fields.get("From")
    if not to:
        raise Refusal(21201, "No 'To' number is specified")
    if not from_:
        raise Refusal(21213, "No 'From' number is specified")
    _check_ends(to, from_)
    fields.check()
    _check_source(fields, account)
    if to.startswith("+"):
        if not (fields.get("Byoc") and habits.byoc_shows_any_number):
            _check_caller(from_, account, habits)
        _check_destination(to, account, habits)


def _check_ends(to: str, from_: str) -> None:
    is_number = E164.fullmatch(to) is not None
    is_sip = re.fullmatch(r"sips?:[^@\s]+@[^@\s]+", to) is not None
    is_client = re.fullmatch(r"client:[^\s]{1,256}", to) is not None
    if not (is_number or is_sip or is_client):
        raise Refusal(21211, f"The phone number you are attempting to call, {to[:64]}, is not valid.")
    if to == from_:
        raise Refusal(21211, "The 'To' and 'From' numbers are the same.")
    if is_sip and "?" in to and len(to.partition("?")[2]) >= 1024:
        raise Refusal(21227, "The SIP headers are longer than 1024 characters.")
    if is_number and not E164.fullmatch(from_):
        raise Refusal(21212, f"The source phone number provided, {from_[:64]}, is not a valid phone number.")


def _check_source(fields: Fields, account: TwilioAccount) -> None:
    if not any(fields.get(name) for name in ("Url", "Twiml", "ApplicationSid")):
        raise Refusal(21205, "Url parameter is required.")
    if fields.get("ApplicationSid") and fields.get("ApplicationSid") not in account.things:
        raise Refusal(21218, "Invalid ApplicationSid: the account has no such application")
    if fields.get("Byoc") and fields.get("Byoc") not in account.things:
        raise Refusal(20001, "Invalid 'Byoc' parameter: the account has no such trunk")
    twiml = fields.get("Twiml")
    if twiml and not fields.get("Url"):
        try:
            parse(twiml)
        except BadDocument as error:
            raise Refusal(error.code, f"Invalid 'Twiml' parameter: {error}") from None


def _check_caller(from_: str, account: TwilioAccount, habits: Habits) -> None:
    if from_ in habits.refused_callers:
        raise Refusal(21212, f"The source phone number provided, {from_}, is on the do-not-originate list.")
    if not account.may_show(from_):
        raise Refusal(
            21210,
            f"The source phone number provided, {from_}, is not yet verified for your account. You may only make "
            "calls from phone numbers that you've verified or purchased from Twilio.",
        )


def _check_destination(to: str, account: TwilioAccount, habits: Habits) -> None:
    if to in habits.invalid_numbers:
        raise Refusal(21217, f"Phone number does not appear to be valid: {to}")
    if not account.may_call(to) or any(to.startswith(prefix) for prefix in habits.blocked_countries):
        raise Refusal(21215, f"Account not authorized to call {to}. Check your geographic permissions.")
    if to in habits.blocked_numbers:
        raise Refusal(21216, f"Account not allowed to call {to}.")
    if to in habits.unreachable_numbers:
        raise Refusal(21214, f"'To' phone number cannot be reached: {to}")
    is_unverified = account.type == TRIAL and to not in account.caller_ids
    if is_unverified or to in habits.unverified_numbers:
        raise Refusal(21219, f"The number {to} is unverified. Trial accounts may only call verified numbers.")


def amd_of(fields: Fields) -> Amd | None:
    """The machine detection asked for; `SendDigits` switches it off."""
    mode = fields.get("MachineDetection")
    if mode is None or fields.get("SendDigits"):
        return None
    return Amd(
        until_greeting_end=mode == "DetectMessageEnd",
        timeout_s=float(fields.get("MachineDetectionTimeout") or 30),
        is_async=fields.flag("AsyncAmd"),
        callback=fields.endpoint("AsyncAmdStatusCallback"),
    )


def recording_of(fields: Fields, source: str) -> RecordingOptions:
    """How to record, from the Recording* parameters."""
    return RecordingOptions(
        source=source,
        channels=2 if fields.get("RecordingChannels") == "dual" else 1,
        track=fields.get("RecordingTrack") or "both",
        callback=fields.endpoint("RecordingStatusCallback"),
        events=frozenset(fields.all("RecordingStatusCallbackEvent") or ["completed"]),
    )
