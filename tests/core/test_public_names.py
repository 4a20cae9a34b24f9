"""What is public is importable, what is importable is public, and importing it loads nothing that it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gateway
from gateway import registry
from gateway.errors import ConfigurationError
from gateway.interface import Provider

ROOT = Path(gateway.__file__).parent

# Held here a second time: what embedding programs import.
PUBLIC = {
    *("Gateway", "Settings", "Agent", "Call", "CallSettings"),
    *("Stream", "Sip", "Forward", "NextAgent", "Say", "TakeMessage", "Reject"),
    *("CallStatus", "Direction", "EndReason", "EndCause", "EndedBy", "RetryAdvice", "AnsweredBy", "RejectAs"),
    *("CallerIdStrategy", "VoicemailDetection", "OnVoicemail", "EventType", "GatewayEvent"),
    *(
        "GatewayError",
        "ConfigurationError",
        "MissingExtra",
        "ValidationError",
        "InvalidNumber",
        "DialRefused",
    ),
    *("CallerIdRefused", "NoOutboundNumber", "NotFound", "Conflict", "UnsupportedFeature", "WebhookRejected"),
    *("StoreUnavailable", "ProviderError", "RequestRefused", "RateLimited", "ProviderUnavailable"),
    "PaymentRequired",
}

# What must not be loaded for nothing: web framework, database toolkit, command line, other HTTP clients.
HEAVY = (
    "flask",
    "werkzeug",
    "sqlalchemy",
    "alembic",
    "typer",
    "rich",
    "aiohttp",
    "requests",
    "httpx",
    "gunicorn",
)
VENDORS = ("twilio", "telnyx", "plivo")


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(gateway.__all__) == PUBLIC
    assert gateway.__all__ == sorted(gateway.__all__)


def test_every_public_name_is_importable_and_comes_from_one_home() -> None:
    for name in gateway.__all__:
        found = getattr(gateway, name)
        assert found.__name__ == name
        assert found.__module__.startswith("gateway.")
    assert set(dir(gateway)) == {*gateway.__all__, "__version__"}


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    for name in ("Nothing", "gateways", "HangUp", "_homes"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(gateway, name)


def test_type_checkers_see_the_names_that_are_imported_lazily() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (f"{node.module}", alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name for _, name in seen} == PUBLIC
    for module, name in seen:
        assert getattr(import_module(module), name) is getattr(gateway, name)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_class_says_what_it_is(name: str) -> None:
    assert getattr(gateway, name).__doc__


def test_every_error_is_a_gateway_error() -> None:
    from gateway import errors

    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert all(issubclass(getattr(errors, name), gateway.GatewayError) for name in raised)
    assert raised - {"SchemaMismatch"} <= PUBLIC, "the missing one is an operator's, not an embedder's"


def test_importing_the_gateway_loads_neither_web_nor_database_nor_a_carrier() -> None:
    assert not loaded_by("import gateway") & {*HEAVY, *VENDORS, "providers", "cryptography", "phonenumbers"}


def test_the_interface_and_the_pure_core_load_neither_web_nor_database_nor_a_carrier() -> None:
    modules = (
        "interface",
        "status",
        "folding",
        "routing",
        "guards",
        "caller_id",
        "xml",
        "wire",
        "notifying",
        "registry",
    )
    assert not loaded_by("import " + ", ".join(f"gateway.{name}" for name in modules)) & {
        *HEAVY,
        *VENDORS,
        "providers",
    }


@pytest.mark.parametrize("name", sorted(registry.BUILT_IN))
def test_importing_an_adapter_loads_no_web_no_database_and_no_library_of_a_carrier(name: str) -> None:
    loaded = loaded_by(f"import providers.{name}")
    assert "providers" in loaded
    assert not loaded & {*HEAVY, *VENDORS}


def test_reading_and_answering_a_webhook_needs_no_library_of_a_carrier() -> None:
    """Inbound answering stays quick in a fresh process: the libraries cost up to a second each."""
    code = (
        "from gateway.registry import open_provider;"
        "p = open_provider('plivo', {'auth_id': 'MAEXAMPLE0000000TEST', 'auth_token': 'x' * 40});"
        "t = open_provider('twilio', {'account_sid': 'AC' + '0' * 32, 'auth_token': 'x' * 32})"
    )
    assert not loaded_by(code) & {*HEAVY, *VENDORS}


def test_opening_a_gateway_loads_the_database_but_no_web_and_no_carrier(tmp_path: Path) -> None:
    code = f"from gateway import Gateway; Gateway.open(database_url='sqlite:///{tmp_path}/g.db').close()"
    loaded = loaded_by(code)
    assert "sqlalchemy" in loaded
    assert not loaded & {"flask", "werkzeug", "typer", "rich", "aiohttp", *VENDORS, "providers"}


# -- the registry --------------------------------------------------------------------------------------------------


def test_the_registry_knows_the_three_carriers() -> None:
    assert registry.known_providers() == ["plivo", "telnyx", "twilio"]
    for name in registry.known_providers():
        kind = registry.provider_class(name)
        assert issubclass(kind, Provider)
        assert kind.name == name
        assert kind is registry.provider_class(name)


@pytest.mark.parametrize("name", ["", "Twilio", "twilio ", "../twilio", "os", "x" * 400])
def test_an_unknown_carrier_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigurationError, match="known: plivo, telnyx, twilio") as refused:
        registry.open_provider(name, {})
    assert len(str(refused.value)) < 120


def test_each_built_in_carrier_is_reached_by_tls_at_its_own_host() -> None:
    assert {name: where.base_url for name, where in registry.BUILT_IN.items()} == {
        "plivo": "https://api.plivo.com",
        "telnyx": "https://api.telnyx.com",
        "twilio": "https://api.twilio.com",
    }
