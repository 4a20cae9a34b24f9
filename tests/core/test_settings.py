"""Settings: order of the places, refusals by name, secrets never shown, and the example file that lists them all."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.models import DEFAULT_SETTINGS, CallSettings, OnVoicemail
from gateway.settings import _FILE_KEYS, Settings, load_settings, mask_database_url

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def file(text: str) -> Path:
    path = Path("my.toml")
    path.write_text(text, "utf-8")
    return path


def test_without_anything_every_setting_has_its_default() -> None:
    assert load_settings(env={}) == Settings()


def test_an_argument_goes_before_the_environment_before_the_file_before_the_default() -> None:
    path = file('log_level = "ERROR"\nbind = "127.0.0.1:1"\nthreads = 2')
    env = {"GATEWAY_LOG_LEVEL": "DEBUG", "GATEWAY_BIND": "127.0.0.1:2"}
    found = load_settings(path, env, log_level="WARNING", workers=None)
    assert (found.log_level, found.bind, found.threads, found.workers) == ("WARNING", "127.0.0.1:2", 2, 1)
    origins = {name: origin for name, _, origin in found.describe()}
    assert origins["log_level"] == "argument"
    assert origins["bind"] == "environment GATEWAY_BIND"
    assert origins["threads"] == "file my.toml"
    assert origins["workers"] == "default"


def test_the_file_is_named_by_the_environment_or_lies_in_the_current_folder() -> None:
    file("threads = 2")
    assert load_settings(env={"GATEWAY_CONFIG": "my.toml"}).threads == 2
    assert load_settings(env={}).threads == Settings().threads
    Path("gateway.toml").write_text("threads = 3", "utf-8")
    assert load_settings(env={}).threads == 3
    assert load_settings("my.toml", env={}).threads == 2


def test_every_scalar_can_be_said_in_the_environment() -> None:
    found = load_settings(
        env={
            "GATEWAY_DATABASE_URL": "sqlite:////var/lib/gateway/gw.db",
            "GATEWAY_PUBLIC_URL": "https://voice.example.com/tel/",
            "GATEWAY_SECRET_KEY": "new, old",
            "GATEWAY_ALLOWED_COUNTRIES": "us,de",
            "GATEWAY_ALLOWED_STREAM_HOSTS": "Agents.example.com",
            "GATEWAY_WEBHOOK_PREFIX": "/hooks/",
            "GATEWAY_MAX_WEBHOOK_BYTES": "100000",
            "GATEWAY_SWEEP_INTERVAL_S": "0.5",
            "GATEWAY_DIAL_RETRY_BACKOFF_S": "1,2.5",
            "GATEWAY_QUIET_MARGIN_S": "60",
            "GATEWAY_TWILIO_BASE_URL": "http://127.0.0.1:9000/twilio",
            "GATEWAY_ALLOWED_WEBHOOK_HOSTS": "LocalHost, 10.0.0.7",
            "GATEWAY_RATE_LIMIT_PER_KEY": "5 / Second",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "PATH": "/bin",
        }
    )
    assert found.database_url == "sqlite:////var/lib/gateway/gw.db"
    assert found.public_url == "https://voice.example.com/tel"
    assert found.secret_keys == ("new", "old")
    assert found.allowed_countries == ("US", "DE")
    assert found.allowed_stream_hosts == ("agents.example.com",)
    assert found.webhook_prefix == "/hooks"
    assert (found.max_webhook_bytes, found.sweep_interval_s, found.quiet_margin_s) == (100_000, 0.5, 60)
    assert found.dial_retry_backoff_s == (1.0, 2.5)
    assert found.allowed_webhook_hosts == ("localhost", "10.0.0.7")
    assert (found.rate_limit_per_key, found.rate_limit_failed_auth) == ("5/second", "20/minute")
    assert found.base_urls == {"twilio": "http://127.0.0.1:9000/twilio"}


def test_an_empty_list_is_a_list() -> None:
    assert load_settings(env={"GATEWAY_ALLOWED_COUNTRIES": ""}).allowed_countries == ()
    assert load_settings(file("allowed_countries = []"), env={}).allowed_countries == ()


def test_base_urls_of_several_places_add_up_carrier_by_carrier() -> None:
    path = file('[base_urls]\ntwilio = "https://a.example"\nplivo = "https://b.example"')
    found = load_settings(path, {"GATEWAY_PLIVO_BASE_URL": "https://c.example"})
    assert found.base_urls == {"twilio": "https://a.example", "plivo": "https://c.example"}


def test_call_settings_of_the_file_lie_over_the_built_in_ones() -> None:
    path = file('[call_settings]\njoin_timeout = "20s"\non_voicemail = "hang_up"')
    found = load_settings(path, env={}).default_settings
    assert found == CallSettings(join_timeout="20s", on_voicemail=OnVoicemail.HANG_UP).over(DEFAULT_SETTINGS)


# -- refusals -------------------------------------------------------------------------------------------------------


def refused(
    match: str, *, text: str | None = None, env: dict[str, str] | None = None, **arguments: Any
) -> str:
    path = None if text is None else file(text)
    with pytest.raises(ConfigurationError, match=match) as caught:
        load_settings(path, env or {}, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_name_is_refused_wherever_it_stands_with_the_places_and_the_likely_name() -> None:
    message = refused("GATEWAY_PUBLC_URL", env={"GATEWAY_PUBLC_URL": "https://a.example"})
    assert "did you mean GATEWAY_PUBLIC_URL?" in message
    assert "arguments, environment" in message
    assert "did you mean public_url?" in refused("public_ulr", text='public_ulr = "https://a.example"')
    assert "did you mean threads?" in refused("thread ", thread=3)
    assert "my.toml" in refused("colour", text='colour = "red"')


@pytest.mark.parametrize(
    "name", ["GATEWAY_ACME_BASE_URL", "GATEWAY_BASE_URLS", "GATEWAY_SECRET_KEYS", "GATEWAY_DEFAULT_SETTINGS"]
)
def test_a_variable_that_looks_like_a_setting_is_refused(name: str) -> None:
    refused(name, env={name: "https://a.example"})


@pytest.mark.parametrize(
    ("match", "text"),
    [
        ("acme.*known: plivo, telnyx, twilio", '[base_urls]\nacme = "https://a.example"'),
        ("no such call setting", '[call_settings]\ncolour = "red"'),
        ("max_duration", '[call_settings]\nmax_duration = "soon"'),
        ("GATEWAY_SECRET_KEY", 'secret_key = "canary"'),
        ("there is no such setting", "default_settings = 1"),
        ("not TOML", "threads = "),
        ("not TOML", "threads = 1\nthreads = 2"),
    ],
)
def test_a_file_with_something_wrong_is_refused(match: str, text: str) -> None:
    assert "canary" not in refused(match, text=text)


def test_a_file_that_was_named_must_be_there() -> None:
    refused("missing.toml", env={"GATEWAY_CONFIG": "missing.toml"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "gateway.db"),
        ("database_url", "mysql://u@h/d"),
        ("database_url", ""),
        ("public_url", "voice.example.com"),
        ("public_url", "http://voice.example.com"),
        ("public_url", "ftp://voice.example.com"),
        ("public_url", "https://u:p@voice.example.com"),
        ("public_url", "https://voice.example.com/?a=b"),
        ("public_url", "https://voice.example.com/#x"),
        ("public_url", "https://voice.example.com:port"),
        ("public_url", "https://vöice.example.com"),
        ("public_url", "https://"),
        ("public_url", 7),
        ("allowed_countries", ["USA"]),
        ("allowed_countries", 7),
        ("allowed_stream_hosts", ["wss://a.example"]),
        ("webhook_prefix", "voice"),
        ("webhook_prefix", "/"),
        ("webhook_prefix", "/a b"),
        ("max_webhook_bytes", 0),
        ("max_webhook_bytes", 1.5),
        ("max_webhook_bytes", True),
        ("max_webhook_bytes", "many"),
        ("threads", "nan"),
        ("sweep_interval_s", "nan"),
        ("sweep_interval_s", 0),
        ("dial_retry_backoff_s", ["soon"]),
        ("bind", "8080"),
        ("bind", "127.0.0.1:http"),
        ("bind", "127.0.0.1:99999"),
        ("log_level", "LOUD"),
        ("allowed_webhook_hosts", ["http://localhost:3000"]),
        ("rate_limit_per_key", "600"),
        ("rate_limit_per_key", "0/minute"),
        ("rate_limit_per_key", 600),
        ("rate_limit_failed_auth", "20/fortnight"),
        ("unassigned_message", " "),
        ("default_settings", 7),
        ("base_urls", {"twilio": "http://carrier.example"}),
        ("base_urls", "https://a.example"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_name_and_what_is_accepted(name: str, value: Any) -> None:
    message = refused(rf"^{name} \(argument\): ", **{name: value})
    assert "give" in message


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"])
def test_plain_http_is_accepted_on_loopback(url: str) -> None:
    assert load_settings(env={}, public_url=url).public_url == url


# -- what is shown --------------------------------------------------------------------------------------------------


def test_secrets_are_shown_nowhere() -> None:
    found = load_settings(
        env={"GATEWAY_SECRET_KEY": "canary-key"}, database_url="postgresql://user:canary-pw@host/name"
    )
    shown = repr(found) + str(found) + str(found.describe())
    assert "canary" not in shown
    assert ("secret_keys", "***", "environment GATEWAY_SECRET_KEY") in found.describe()
    assert "postgresql://user:***@host/name" in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///gateway.db", "sqlite:///gateway.db"),
        ("postgresql://u:p%40q@h:5432/d?x=y", "postgresql://u:***@h:5432/d?x=y"),
        ("postgresql://u:p@q@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=p", "postgresql://h/d?user=u&password=***"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mask_database_url(url) == shown


def test_the_key_file_lies_next_to_the_database() -> None:
    assert Settings().key_file == Path("gateway.key")
    assert Settings(database_url="sqlite:////var/gw/a.db").key_file == Path("/var/gw/gateway.key")
    assert Settings(database_url="postgresql://h/d").key_file == Path("gateway.key")
    assert Settings(secret_key_file="/etc/gw.key").key_file == Path("/etc/gw.key")


# -- the files that are shipped -------------------------------------------------------------------------------------


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    text = (CONFIG / "gateway.example.toml").read_text("utf-8")
    assert tomllib.loads(text) == {}  # as it is, it changes nothing
    uncommented = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    content = tomllib.loads(uncommented)
    without_default = {"public_url", "secret_key_file", "base_urls"}
    assert set(content) == set(_FILE_KEYS)
    path = file(uncommented)
    found = load_settings(path, env={})
    for name in set(_FILE_KEYS) - without_default - {"call_settings"}:
        assert getattr(found, name) == getattr(Settings(), name), name
    assert found.default_settings == DEFAULT_SETTINGS
    assert found.key_file == Settings().key_file


def test_the_demo_file_can_be_read() -> None:
    found = load_settings(CONFIG / "demo.toml", env={})
    assert found.default_settings.join_timeout_s == 60
