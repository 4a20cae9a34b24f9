"""The refusals of the Telnyx API: HTTP status, code, title, pointer and, for a dial, the D-code.

Titles and details are those of the vendor's OpenAPI examples (2026-07) where it has one; codes without an example
are from the vendor's error list. Statuses marked *unconfirmed* there are said so here.
"""

from __future__ import annotations

from typing import Any, Final

ERRORS_PAGE: Final = "https://developers.telnyx.com/docs/overview/errors/"


class Refused(Exception):
    """A request the carrier does not accept; `body` is what it answers."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        d_code: str | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {title}: {detail}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail if d_code is None else f"{detail} {d_code}"  # the D-code is repeated at the end
        self.pointer = pointer
        self.parameter = parameter
        self.d_code = d_code

    @property
    def body(self) -> dict[str, Any]:
        """Make the error document."""
        error: dict[str, Any] = {"code": self.code, "title": self.title, "detail": self.detail}
        source = {"pointer": self.pointer, "parameter": self.parameter}
        if present := {name: value for name, value in source.items() if value is not None}:
            error["source"] = present
        error["meta"] = {"url": f"{ERRORS_PAGE}{self.code}"}
        document: dict[str, Any] = {"errors": [error]}
        if self.d_code is not None:
            document["telnyx_error"] = {"error_code": self.d_code}
        return document


# --- the request ----------------------------------------


def wrong_key() -> Refused:
    """The key is not one of this carrier's."""
    return Refused(401, "10009", "Authentication failed", "Could not understand the provided credentials.")


def no_such_page() -> Refused:
    """Unknown URL, and also what the vendor's notes report for a request without credentials."""
    return Refused(
        404, "10005", "Resource not found", "The requested resource or URL could not be found.", pointer="/"
    )


def not_found(what: str) -> Refused:
    """The resource named in the path is not there."""
    return Refused(
        404, "10005", "Resource not found", f"The requested {what} could not be found.", pointer="/"
    )


def malformed() -> Refused:
    """The body is not a JSON object of the documented content type."""
    return Refused(
        400, "10015", "Bad Request", "The request failed because it was not well-formed.", pointer="/"
    )


def bad_encoding(position: int) -> Refused:
    """The body is not UTF-8."""
    detail = f"Error decoding request body at position {position}"
    return Refused(400, "10028", "Character encoding error", detail)


# --- one field ----------------------------------------


def missing(name: str) -> Refused:
    """A required field is absent or blank."""
    detail = f"The '{name}' parameter is required and cannot be blank."
    return Refused(422, "10004", "Missing required parameter", detail, pointer=f"/{name}")


def unknown_field(name: str) -> Refused:
    """The carrier documents no such field (that it refuses one is a choice: strict finds misspellings)."""
    return Refused(422, "10015", "Bad Request", f"Unknown parameter '{name}'.", pointer=f"/{name}")


def not_played(name: str) -> Refused:
    """A documented field whose effect this simulator cannot produce: refused rather than silently ignored."""
    detail = f"'{name}' is documented by the carrier, but the simulator does not play it."
    return Refused(422, "10015", "Not played by the simulator", detail, pointer=f"/{name}")


def wrong_type(name: str, kind: str) -> Refused:
    """The field has another JSON type."""
    detail = f"The '{name}' parameter must be of type '{kind}'"
    return Refused(422, "10026", "Invalid parameter type", detail, pointer=f"/{name}")


def not_in_enum(name: str, values: tuple[str | int, ...]) -> Refused:
    """The value is not one of the documented ones."""
    listed = ", ".join(sorted(str(value) for value in values))
    return Refused(
        422, "10032", "Invalid enumerated value", f"The value must be one of: {listed}.", pointer=f"/{name}"
    )


def outside_range(name: str, low: int, high: int, code: str = "10033") -> Refused:
    """The number is too small or too large; two fields have a code of their own."""
    title = {"90028": "Invalid value for timeout_secs", "90029": "Invalid value for time_limit_secs"}.get(
        code, "Value outside of range"
    )
    detail = f"The value is outside of allowed range {low} to {high}"
    return Refused(422, code, title, detail, pointer=f"/{name}")


def not_e164(name: str) -> Refused:
    """The number is not in +E.164 form."""
    detail = f"The '{name}' parameter must be in E164 format."
    return Refused(422, "10016", "Phone number must be in +E164 format", detail, pointer=f"/{name}")


def bad_value(name: str, detail: str) -> Refused:
    """Any other value the carrier cannot use."""
    return Refused(422, "10015", f"Invalid value for {name}", detail, pointer=f"/{name}")


def bad_parameter(name: str, detail: str) -> Refused:
    """A query parameter the carrier cannot use."""
    return Refused(422, "10015", "Bad Request", detail, parameter=name)


def not_authorized() -> Refused:
    """The key lacks the right to this resource."""
    detail = "You are not authorized to access the requested resource."
    return Refused(403, "10010", "Not authorized", detail, pointer="/")


def bad_url(name: str) -> Refused:
    """Not an absolute URL of at most 2000 characters."""
    detail = "The URL must be absolute and at most 2000 characters long."
    return Refused(422, "10003", "Invalid URL", detail, pointer=f"/{name}")


def bad_client_state(name: str) -> Refused:
    """Not base64."""
    detail = f"The '{name}' parameter must be a valid Base64 encoded string."
    return Refused(422, "90017", f"Invalid value for {name}", detail, pointer=f"/{name}")


def bad_digits(name: str) -> Refused:
    """Characters that are no keys of a phone."""
    detail = f"The '{name}' parameter must be a 'string' made of 0-9, A-D, w, W, * or #"
    return Refused(422, "90014", f"Invalid value for {name}", detail, pointer=f"/{name}")


def unknown_event(name: str, event: str) -> Refused:
    """A map of event types names one that does not exist."""
    return Refused(
        422, "90057", "Invalid event type", f"'{event}' is not an event type.", pointer=f"/{name}/{event}"
    )


# --- the dial ----------------------------------------


def no_such_connection() -> Refused:
    """No Call Control application has this id, or it has no webhook URL."""
    return Refused(
        422,
        "10015",
        "Invalid value for connection_id (Call Control App ID)",
        "The requested connection_id (Call Control App ID) is either invalid or does not exist. "
        "Only Call Control Apps with valid webhook URL are accepted.",
        pointer="/connection_id",
    )


# Source: vendor's list of D-codes (read 2026-06). All are 403 here, as seen for dials.
DIAL_REFUSALS: Final = {
    "D1": "Account outbound channel limit exceeded",
    "D2": "Outbound voice profile channel limit exceeded",
    "D3": "Connection outbound channel limit exceeded",
    "D13": "Dialed number is not included in whitelisted countries",
    "D15": "Outbound voice profile is disabled",
    "D16": "Connection is disabled",
    "D17": "Account is disabled",
    "D35": "Invalid caller origination number",
    "D36": "Caller origination number belongs to another account",
    "D38": "No outbound voice profile is assigned to the connection",
    "D51": "Unverified caller origination number",
    "D53": "Caller and callee numbers are the same",
    "D60": "Only verified numbers can be called at this account level",
}


def dial_refused(d_code: str) -> Refused:
    """The voice core does not place the call."""
    return Refused(403, "10010", "Not authorized", DIAL_REFUSALS[d_code], pointer="/", d_code=d_code)


# --- the state of a call ----------------------------------------


def no_such_call() -> Refused:
    """No call has this `call_control_id`."""
    return Refused(
        422,
        "90015",
        "Invalid Call Control ID",
        "The call_control_id provided was not valid.",
        pointer="/call_control_id",
    )


def too_many_requests() -> Refused:
    """Above the request rate; the numbers are not published."""
    return Refused(
        429, "10011", "Too many requests", "You have exceeded the maximum number of allowed requests."
    )


def server_error(status: int) -> Refused:
    """Any other failure of the carrier itself: 408 has a code of its own, the rest share one."""
    code, title = {408: ("10008", "Request timed out"), 503: ("10007", "Service unavailable")}.get(
        status, ("10007", "Internal server error")
    )
    return Refused(status, code, title, title)


def call_ended() -> Refused:
    """The call is over."""
    return Refused(
        422, "90018", "Call has already ended", "This call is no longer active and can't receive commands."
    )


def not_answered() -> Refused:
    """The command needs an answered call."""
    return Refused(
        422,
        "90034",
        "Call not answered yet",
        "This call can't receive this command because it has not been answered yet.",
    )


def recording_before_audio() -> Refused:
    """Recording was asked before the answer."""
    return Refused(
        422,
        "90020",
        "Call recording triggered before audio started",
        "Call recording cannot be started until audio has commenced on the call.",
    )


def streaming_in_use() -> Refused:
    """One stream a call."""
    return Refused(
        422, "90045", "Media Streaming is used", "This command can't be issued when media streaming is used."
    )


def not_streaming() -> Refused:
    """Nothing to stop."""
    return Refused(422, "90048", "Media Streaming is not used", "The call has no media streaming to stop.")


def answer_to_outbound() -> Refused:
    """`answer` is for incoming calls."""
    return Refused(422, "90102", "Unable to answer outbound call", "Only incoming calls can be answered.")


def not_executable(detail: str) -> Refused:
    """The call is in no state for this command; that the carrier uses this code for it is unconfirmed."""
    return Refused(422, "90033", "Unable to execute command", detail)
