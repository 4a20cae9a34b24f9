"""The SDK under our transport: one request, no environment, no leak; and the account's secrets."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from gateway.errors import ConfigurationError, MissingExtra, ValidationError
from gateway.interface import DialResult, LegRef
from gateway.registry import open_provider
from providers.telnyx import TelnyxProvider
from tests.adapters.telnyx.support import (
    ATTEMPT,
    CONTROL_ID,
    OURS,
    SECRETS,
    THEIRS,
    Script,
    dial_request,
    ok,
    provider,
    refused,
)
from tests.faultserver import FaultServer, refused_url, reply, reset_after

KEY = SECRETS["public_key"]


def test_importing_and_opening_the_adapter_loads_no_sdk_no_web_and_no_store() -> None:
    code = (
        "import sys; from gateway.registry import open_provider;"
        f"open_provider('telnyx', {SECRETS!r});"
        "print([n for n in ('telnyx', 'httpx', 'flask', 'sqlalchemy', 'twilio', 'plivo') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_sdk_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "telnyx", None)
    with pytest.raises(MissingExtra, match=r"telephony-gateway\[telnyx\]"):
        provider()[0].hang_up(LegRef(leg_id=CONTROL_ID))


@pytest.mark.parametrize("status", [500, 503, 429, 409, 408, 307])
def test_over_a_real_socket_a_dial_is_one_post(status: int) -> None:
    with FaultServer(reply(status, b"{}")) as server:
        telnyx = open_provider("telnyx", SECRETS, base_url=server.url)
        assert telnyx.dial(dial_request()).result is DialResult.UNKNOWN
        assert len(server.posts) == 1


def test_over_a_real_socket_a_reset_is_one_post() -> None:
    with FaultServer(reset_after()) as server:
        telnyx = open_provider("telnyx", SECRETS, base_url=server.url)
        assert telnyx.dial(dial_request()).result is DialResult.UNKNOWN
        assert len(server.posts) == 1


def test_a_port_where_nobody_listens_is_not_sent() -> None:
    assert (
        open_provider("telnyx", SECRETS, base_url=refused_url()).dial(dial_request()).result
        is DialResult.NOT_SENT
    )


@pytest.mark.parametrize(
    ("base", "root"),
    [
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099/v2/calls"),
        ("http://127.0.0.1:8099/", "http://127.0.0.1:8099/v2/calls"),
        ("http://127.0.0.1:8099/telnyx/v2", "http://127.0.0.1:8099/telnyx/v2/calls"),
        (None, "https://api.telnyx.com/v2/calls"),
    ],
)
def test_the_base_url_is_the_host_and_the_version_is_added(base: str | None, root: str) -> None:
    script = Script([ok({})])
    TelnyxProvider(SECRETS, transport=script, base_url=base).dial(dial_request())
    assert script.sent[0].url == root


def test_nothing_of_the_environment_reaches_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TELNYX_API_KEY": "KEYfromenv",
        "TELNYX_PUBLIC_KEY": "fromenv",
        "TELNYX_CLIENT_ID": "idfromenv",
        "TELNYX_CLIENT_SECRET": "secretfromenv",
        "TELNYX_BASE_URL": "https://fromenv.example/v2",
        "TELNYX_CUSTOM_HEADERS": "Authorization: Bearer fromenv\nX-From: fromenv",
        "HTTPS_PROXY": "http://fromenv.example:1",
    }.items():
        monkeypatch.setenv(name, value)
    telnyx, script = provider(ok({}))
    telnyx.dial(dial_request())
    assert "fromenv" not in repr((script.sent[0].url, script.sent[0].headers, script.sent[0].body))
    assert len(script.sent) == 1


def test_no_secret_token_or_number_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[Any] = []
    for answer in (refused(422, "10016", f"{THEIRS} is wrong", detail=THEIRS), refused(500, "10007"), ok({})):
        telnyx, _ = provider(answer)
        shown += [telnyx, telnyx.dial(dial_request())]
    telnyx, _ = provider(refused(422, "10015", detail=f"{OURS} {SECRETS['api_key']}"))
    with pytest.raises(Exception, match="10015") as caught:
        telnyx.hang_up(LegRef(leg_id=CONTROL_ID))
    text = caplog.text + repr(shown) + repr(caught.value) + caught.exconly() + str(caught.getrepr())
    for secret in (SECRETS["api_key"], ATTEMPT, OURS[1:], THEIRS[1:]):
        assert secret not in text


@pytest.mark.parametrize("missing", ["api_key", "public_key"])
def test_an_absent_secret_is_refused_by_name(missing: str) -> None:
    for secrets in ({**SECRETS, missing: ""}, {key: SECRETS[key] for key in SECRETS if key != missing}):
        with pytest.raises(ConfigurationError, match=missing):
            TelnyxProvider(secrets)


def test_a_secret_that_the_carrier_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="auth_token"):
        TelnyxProvider({**SECRETS, "auth_token": "x"})
    with pytest.raises(ValidationError, match="auth_token"):
        TelnyxProvider.check_secrets({**SECRETS, "auth_token": "x"})


@pytest.mark.parametrize(
    "good", [SECRETS, {**SECRETS, "public_key": f"{KEY},{KEY}"}, {"api_key": "x", "public_key": KEY}]
)
def test_good_secrets_pass(good: dict[str, str]) -> None:
    TelnyxProvider.check_secrets(good)
    TelnyxProvider(good)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", ""),
        ("api_key", "KEY with space"),
        ("api_key", "KEY\n"),
        ("api_key", "KÉY"),
        ("public_key", ""),
        ("public_key", "hello"),
        ("public_key", KEY + ","),
        ("public_key", f"{KEY},AAAA"),
        ("public_key", KEY[:-1]),
        ("connection_id", ""),
        ("connection_id", "../x"),
        ("connection_id", "1 2"),
    ],
)
def test_the_shape_of_each_secret_is_checked_without_showing_it(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TelnyxProvider.check_secrets({**SECRETS, name: value})
    assert caught.value.field == name
    assert len(value) < 4 or value not in str(caught.value)


def test_the_account_is_named_by_its_application() -> None:
    assert TelnyxProvider(SECRETS).account_ref == SECRETS["connection_id"]


@pytest.mark.parametrize("base", ["http://api.example.com", "ftp://x", "nonsense"])
def test_a_base_url_that_is_not_safe_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        TelnyxProvider(SECRETS, base_url=base)


def test_what_is_said_of_the_carrier_is_what_the_adapter_does() -> None:
    said = TelnyxProvider.capabilities
    assert said.control == "command"
    assert (said.join_timeout_s.low, said.join_timeout_s.high) == (5, 600)
    assert (said.max_duration_s.low, said.max_duration_s.high) == (30, 14400)
    assert not said.reports_ringing
    assert all(
        (
            said.reports_human,
            said.reports_fax,
            said.reports_greeting_end,
            said.dial_idempotency,
            said.signs_timestamp,
            said.cost_in_webhook,
            said.finds_by_token,
            said.number_setup,
        )
    )
