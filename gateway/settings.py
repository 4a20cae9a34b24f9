"""The gateway's settings: typed, frozen, read once at start.

Order: argument, then environment (`GATEWAY_…`), then the TOML file, then default. The file is the one given, or named
by `GATEWAY_CONFIG`, or `gateway.toml` in the current folder when there is one. An unknown name is refused wherever it
stands, so a misspelt setting cannot be ignored in silence. Nothing is read at import.

A secret is never read from the file: keys come from `GATEWAY_SECRET_KEY` or from the key file. What prints settings
shows `***` in their place, and in place of the password in `database_url`.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import ConfigurationError, ValidationError
from gateway.models import DEFAULT_SETTINGS, CallSettings
from gateway.registry import known_providers

DEFAULT_FILE: Final = "gateway.toml"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. Each name is also a key of the file, and `GATEWAY_` + upper case in the environment.

    Attributes:
        database_url: `sqlite:///file` or `postgresql://user:password@host/name`.
        public_url: under which carriers call; signatures are checked against it. https, or http on loopback.
        secret_keys: Fernet keys, newest first (environment: `GATEWAY_SECRET_KEY`, comma separated; never in the file).
        secret_key_file: where the key is kept when none is given; None: `gateway.key` next to the database.
        base_urls: provider -> another address of its API (file: table `base_urls`; environment:
            `GATEWAY_TWILIO_BASE_URL` ...). https, or http on loopback.
        allowed_countries: ISO 3166 alpha-2 codes of the numbers that may be dialed or forwarded to.
        allowed_stream_hosts: hosts that agents' streams may name; empty: any host, by wss, or ws on loopback.
        webhook_prefix: path under which the carriers' webhooks are mounted.
        max_webhook_bytes: a longer body is refused before it is read.
        default_settings: call settings of last resort (file: table `call_settings`).
        unassigned_message: said to who calls a number without an agent.
        unavailable_message: said when no agent could be had.
        bind: host:port of `gateway serve`; `workers` processes of `threads` threads.
        sweep_interval_s: seconds between two looks for work that is due.
        dial_retry_backoff_s: seconds before each further try of a dial that never left this machine.
        quiet_margin_s: seconds past its longest duration before the carrier is asked about a silent call.
        log_level: DEBUG, INFO, WARNING or ERROR.
        allowed_webhook_hosts: hosts that event webhooks may go to although they are private or speak http, on any
            port; every other host must be public and speak https.
        rate_limit_per_key: requests that an API key may make, as `600/minute` (second, minute, hour or day).
        rate_limit_failed_auth: refused keys that one address may present, in the same form.
        record_refused_webhooks: how many refused webhooks are kept for each reason, sealed with the secret key, in
            `refused-webhooks` next to the key file, for `gateway doctor webhook --last`; 0: none.
        origins: field name -> where its value came from.
    """

    database_url: str = "sqlite:///gateway.db"
    public_url: str | None = None
    secret_keys: tuple[str, ...] = ()
    secret_key_file: str | None = None
    base_urls: Mapping[str, str] = field(default_factory=lambda: _NOTHING, hash=False)
    allowed_countries: tuple[str, ...] = ("US", "CA")
    allowed_stream_hosts: tuple[str, ...] = ()
    webhook_prefix: str = "/voice"
    max_webhook_bytes: int = 65_536
    default_settings: CallSettings = DEFAULT_SETTINGS
    unassigned_message: str = "The number you have called is not in service. Goodbye."
    unavailable_message: str = (
        "We are sorry, nobody can take your call right now. Please try again later. Goodbye."
    )
    bind: str = "127.0.0.1:8080"
    workers: int = 1  # SQLite wants one process that writes; PostgreSQL takes more
    threads: int = 16
    sweep_interval_s: float = 1.0
    dial_retry_backoff_s: tuple[float, ...] = (1.0, 2.0, 4.0)
    quiet_margin_s: int = 900
    log_level: str = "INFO"
    allowed_webhook_hosts: tuple[str, ...] = ()
    rate_limit_per_key: str = "600/minute"
    rate_limit_failed_auth: str = "20/minute"
    record_refused_webhooks: int = 0
    origins: Mapping[str, str] = field(
        default_factory=lambda: _NOTHING, repr=False, compare=False, hash=False
    )

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value, _ in self.describe())})"

    def describe(self) -> list[tuple[str, str, str]]:
        """Return (name, value as text with secrets as ***, where it came from) of every setting."""
        names = [f.name for f in fields(self) if f.name != "origins"]
        return [
            (name, _shown(name, getattr(self, name)), self.origins.get(name, "default")) for name in names
        ]

    @property
    def key_file(self) -> Path:
        """Where the vault's key is kept when `secret_keys` is empty."""
        if self.secret_key_file is not None:
            return Path(self.secret_key_file)
        kind, _, path = self.database_url.partition(":///")
        return (
            Path(path).with_name("gateway.key") if kind.startswith("sqlite") and path else Path("gateway.key")
        )

    @property
    def refused_folder(self) -> Path:
        """Where refused webhooks are kept, when they are."""
        return self.key_file.with_name("refused-webhooks")


def load_settings(
    config_file: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    **arguments: Any,
) -> Settings:
    """Read the settings.

    Args:
        config_file: the TOML file; None: the one `GATEWAY_CONFIG` names, else `gateway.toml` here when there is one.
        env: the environment; None: that of this process.
        arguments: fields of `Settings`; None counts as not given.

    Raises:
        ConfigurationError: an unknown name or a value that cannot be; it says where it stood and what to write.
    """
    environment = os.environ if env is None else env
    file = _file_named(config_file, environment)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    base_urls: dict[str, str] = {}
    for place in (_from_file(file), _from_environment(environment, file), _from_arguments(arguments, file)):
        for name, (raw, origin) in place.items():
            values[name], origins[name] = _parsed(name, raw, origin, file), origin
        base_urls.update(values.get("base_urls", {}))  # carrier by carrier: one place adds to another
    values["base_urls"] = MappingProxyType(base_urls)
    return Settings(**values, origins=MappingProxyType(origins))


def mask_database_url(url: str) -> str:
    """Return a database URL with *** in place of its password."""
    return re.sub(r"([?&]password=)[^&]*", r"\1***", re.sub(r"(://[^:/@]*:).*@", r"\1***@", url))


# -- the three places -----------------------------------------------------------------------------------------------

_VARIABLE: Final = "GATEWAY_"
CREDENTIAL_VARIABLE: Final = "GATEWAY_CREDENTIAL_"  # secrets for `gateway credentials add`; no settings
_SPECIAL: Final = {
    "GATEWAY_SECRET_KEY": "secret_keys",
    "GATEWAY_CONFIG": "",
    "GATEWAY_INTERFACE": "",  # CGI's own variable
}
_BASE_URL: Final = re.compile(r"GATEWAY_([A-Z0-9_]+)_BASE_URL")
_ONLY_BY_ARGUMENT_OR_VARIABLE: Final = ("secret_keys",)
_TABLES: Final = {"base_urls": "base_urls", "call_settings": "default_settings"}


def _file_named(config_file: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Path | None:
    named = os.fspath(config_file) if config_file is not None else env.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None


def _from_file(file: Path | None) -> dict[str, tuple[Any, str]]:
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the config file {file} cannot be read ({error.strerror}): it was named by an argument, by "
            f"GATEWAY_CONFIG, or is {DEFAULT_FILE} in the current folder"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the config file {file} is not TOML: {error}") from None
    found = {}
    for key, value in content.items():
        if key in ("secret_key", "secret_keys"):
            raise ConfigurationError(
                f"{key} (file {file}): a key does not belong in the file: set GATEWAY_SECRET_KEY"
            )
        if key not in _FILE_KEYS:
            raise _unknown(key, f"file {file}", file, [*_FILE_KEYS])
        found[_TABLES.get(key, key)] = (value, f"file {file}")
    return found


def _from_environment(env: Mapping[str, str], file: Path | None) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    base_urls = {}
    for variable, value in env.items():
        if not variable.startswith(_VARIABLE) or _SPECIAL.get(variable) == "":
            continue
        if variable.startswith(CREDENTIAL_VARIABLE):
            continue
        origin = f"environment {variable}"
        name = _SPECIAL.get(variable, variable.removeprefix(_VARIABLE).lower())
        carrier = _BASE_URL.fullmatch(variable)
        if carrier is not None and carrier[1].lower() in known_providers():
            base_urls[carrier[1].lower()] = value
        elif name in _BY_VARIABLE and (name != "secret_keys" or variable in _SPECIAL):
            found[name] = (value, origin)
        else:
            raise _unknown(
                variable, "environment", file, [*_SPECIAL, *(_VARIABLE + n.upper() for n in _BY_VARIABLE)]
            )
    if base_urls:
        found["base_urls"] = (base_urls, "environment GATEWAY_…_BASE_URL")
    return found


def _from_arguments(arguments: Mapping[str, Any], file: Path | None) -> dict[str, tuple[Any, str]]:
    for name in arguments:
        if name not in _PARSERS:
            raise _unknown(name, "argument", file, [*_PARSERS])
    return {name: (value, "argument") for name, value in arguments.items() if value is not None}


def _unknown(name: str, origin: str, file: Path | None, known: list[str]) -> ConfigurationError:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else "config/gateway.example.toml lists every setting."
    return ConfigurationError(
        f"{name[:80]} ({origin}): there is no such setting; {hint} Looked at: {_places(file)}"
    )


def _places(file: Path | None) -> str:
    return f"arguments, environment (GATEWAY_…), file {file or '(none)'}, defaults"


def _parsed(name: str, raw: Any, origin: str, file: Path | None) -> Any:
    try:
        return _PARSERS[name](raw)
    except ValidationError as error:
        raise ConfigurationError(f"{name} ({origin}): {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{name} ({origin}): {error}. Looked at: {_places(file)}") from None


def _shown(name: str, value: Any) -> str:
    if name == "secret_keys":
        return "***" if value else "()"
    if name == "database_url":
        return mask_database_url(value)
    if isinstance(value, CallSettings):
        return str({key: str(v) if isinstance(v, str) else v for key, v in value.as_dict().items()})
    return str(dict(value)) if isinstance(value, Mapping) else str(value)


# -- one parser a field: from the environment's text or from TOML's types; ValueError says what is accepted ----------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("it is empty: give text, or leave it out")
    return value.strip()


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        wanted = "a whole number" if kind is int else "a number"
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"give {wanted}")
        try:
            parsed = kind(value) if isinstance(value, str) or kind is float or value == int(value) else None
        except (ValueError, OverflowError):
            parsed = None
        if parsed is None or not low <= parsed <= high:
            raise ValueError(f"give {wanted} from {low:g} to {high:g}")
        return parsed

    return parse


def _list(parse: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Read a list of TOML, or text separated by commas."""

    def read(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ValueError("give a list (in the environment: separated by commas)")
        return tuple(parse(item) for item in value)

    return read


def _country(value: Any) -> str:
    word = _text(value).upper()
    if re.fullmatch(r"[A-Z]{2}", word) is None:
        raise ValueError(f"{word[:20]!r} is not a country code: give ISO 3166 alpha-2, like US")
    return word


def _host(value: Any) -> str:
    word = _text(value).lower()
    if re.fullmatch(r"[a-z0-9.-]{1,253}|[0-9a-f:]{2,39}", word) is None:
        raise ValueError(f"{word[:80]!r} is not a host name: give the bare name, like agents.example.com")
    return word


def _database_url(value: Any) -> str:
    url = _text(value)
    if not re.match(r"(sqlite|postgres|postgresql)(\+[a-z]+)?://", url):
        raise ValueError("give sqlite:///path/to/gateway.db or postgresql://user:password@host/name")
    return url


def _web_url(value: Any) -> str:
    """Read an https address (http on loopback), without query, fragment or user, and without its last slash."""
    url = _text(value).rstrip("/")
    wanted = "give an address like https://voice.example.com (http:// only on loopback)"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise ValueError(wanted)
    if parts.query or parts.fragment or "?" in url or "#" in url or "@" in parts.netloc:
        raise ValueError(f"{wanted}, without query, fragment or user name")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError(wanted)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _base_urls(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError('give a table, like twilio = "http://127.0.0.1:9000/twilio"')
    for name in value:
        if name not in known_providers():
            raise ValueError(f"no provider {str(name)[:40]!r}; known: {', '.join(known_providers())}")
    return {name: _web_url(url) for name, url in value.items()}


def _prefix(value: Any) -> str:
    path = _text(value).rstrip("/")
    if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path) is None:
        raise ValueError("give a path like /voice")
    return path


def _call_settings(value: Any) -> CallSettings:
    if isinstance(value, CallSettings):
        return value.over(DEFAULT_SETTINGS)
    if not isinstance(value, Mapping):
        raise ValueError("give a table of call settings")
    return CallSettings.from_dict(value).over(DEFAULT_SETTINGS)


def _bind(value: Any) -> str:
    host, _, port = _text(value).rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or not 0 <= int(port) <= 65_535:
        raise ValueError("give host:port, like 127.0.0.1:8080")
    return f"{host}:{int(port)}"


def _log_level(value: Any) -> str:
    level = _text(value).upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("give DEBUG, INFO, WARNING or ERROR")
    return level


def _rate(value: Any) -> str:
    rate = "".join(_text(value).lower().split())
    if re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", rate) is None:
        raise ValueError("give a rate like 600/minute (per second, minute, hour or day)")
    return rate


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "database_url": _database_url,
    "public_url": _web_url,
    "secret_keys": _list(_text),
    "secret_key_file": _text,
    "base_urls": _base_urls,
    "allowed_countries": _list(_country),
    "allowed_stream_hosts": _list(_host),
    "webhook_prefix": _prefix,
    "max_webhook_bytes": _number(int, 1024, 10_000_000),
    "default_settings": _call_settings,
    "unassigned_message": _text,
    "unavailable_message": _text,
    "bind": _bind,
    "workers": _number(int, 1, 256),
    "threads": _number(int, 1, 512),
    "sweep_interval_s": _number(float, 0.01, 3600),
    "dial_retry_backoff_s": _list(_number(float, 0, 600)),
    "quiet_margin_s": _number(int, 1, 86_400),
    "log_level": _log_level,
    "allowed_webhook_hosts": _list(_host),
    "rate_limit_per_key": _rate,
    "rate_limit_failed_auth": _rate,
    "record_refused_webhooks": _number(int, 0, 1000),
}
_BY_VARIABLE: Final = tuple(name for name in _PARSERS if name not in ("base_urls", "default_settings"))
_FILE_KEYS: Final = (*(name for name in _BY_VARIABLE if name not in _ONLY_BY_ARGUMENT_OR_VARIABLE), *_TABLES)
