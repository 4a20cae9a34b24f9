"""A client that a generator makes from the OpenAPI document works as it is, against a live server."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from gateway.store import calls
from tests.api.support import CALLEE, PREFIX, REFUSED, Site

NAME = "generated_calls_client"


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def generated(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client's package, made by the generator and imported; any warning of the generator fails."""
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(site.document), "utf-8")
    words = ("generate", "--path", str(document), "--output-path", str(tmp_path / NAME), "--meta", "none")
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", *words, "--fail-on-warning"],
        cwd=tmp_path,
        env={"PATH": str(Path(sys.executable).parent)},  # the generator formats with ruff
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(NAME)
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]


def part(name: str) -> Any:
    return importlib.import_module(f"{NAME}.{name}")


def test_it_places_reads_lists_changes_and_deletes_calls(site: Site, url: str, generated: Any) -> None:
    models, api = part("models"), "api.calls"
    secret = str(site.client("calls:read", "calls:write").secret)
    with generated.AuthenticatedClient(base_url=url, token=secret) as client:
        body = models.NewCall(agent_id="desk", phone_number=CALLEE, variables=models.NewCallVariables())
        body.variables["first_name"] = "Jane"
        placed = part(f"{api}.place_call").sync(client=client, body=body, x_idempotency_key="jane-1")
        assert isinstance(placed, models.Call)
        assert (placed.status, placed.phone_number) == ("queued", CALLEE)
        again = part(f"{api}.place_call").sync(client=client, body=body, x_idempotency_key="jane-1")
        assert (again.id, len(site.carrier.dials)) == (placed.id, 1)

        assert part(f"{api}.get_call").sync(str(placed.id), client=client) == again
        page = part(f"{api}.list_calls").sync(
            client=client, status=models.ListCallsStatus.QUEUED, agent_id="desk", limit=1
        )
        assert ([each.id for each in page.data], page.pagination.total) == ([placed.id], 1)

        change = models.CallChange.from_dict({"context": {"follow_up": "tomorrow"}})
        changed = part(f"{api}.update_call").sync(placed.id, client=client, body=change)
        assert changed.context.to_dict() == {"follow_up": "tomorrow"}
        assert calls.load_call(site.gw.services.store, str(placed.id)).context["follow_up"] == "tomorrow"

        refused = part(f"{api}.delete_call").sync_detailed(placed.id, client=client)
        assert (refused.status_code, refused.parsed.error.code) == (409, "conflict"), "it is live"

        site.carrier.on_dial = lambda _: REFUSED
        failed = part(f"{api}.place_call").sync(client=client, body=body)
        assert isinstance(failed, models.Error)
        assert failed.error.code == "provider_error"
        call_id = failed.error.details.call_id
        assert part(f"{api}.delete_call").sync_detailed(call_id, client=client).status_code == 204
        assert part(f"{api}.get_call").sync(call_id, client=client).error.code == "not_found"


def test_every_operation_of_the_document_is_in_it(site: Site, generated: Any) -> None:
    package = Path(str(generated.__file__)).parent
    made = {path.stem for path in package.glob("api/*/*.py") if path.stem != "__init__"}
    described = {
        operation["operationId"]
        for methods in site.document["paths"].values()
        for operation in methods.values()
    }
    assert made == described
    assert all(path.startswith(PREFIX) for path in site.document["paths"])


def test_a_wrong_key_is_an_error_that_it_reads(url: str, generated: Any) -> None:
    with generated.AuthenticatedClient(base_url=url, token="gwk_wrong") as client:
        answer = part("api.calls.list_calls").sync_detailed(client=client)
    assert (answer.status_code, answer.parsed.error.code) == (401, "unauthorized")
