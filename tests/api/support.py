"""The public API with a carrier of our own making, and a client that holds every answer against the document."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from gateway import Agent, Call, CallStatus, EndCause, Gateway, Stream, keys
from gateway.interface import DialOutcome, DialRequest, DialResult, RecordingStream
from gateway.models import Scope
from gateway.settings import load_settings
from gateway.status import CallFacts, Recording
from gateway.store import calls
from gateway.store.workspaces import ensure_workspace
from gateway.web.api import PREFIX, make_api
from gateway.web.api.operations import Api
from tests.storekit import a_call
from tests.wires import Clock

OURS = "+14155550100"
CALLEE = "+14155550123"
OTHERS = "tenant-b"
SECRETS = {"account_sid": "AC" + "0" * 32, "auth_token": "0" * 32}
NEW_CALL = {"agent_id": "desk", "phone_number": CALLEE}
NO_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
AUDIO = bytes(range(256)) * 8

UNKNOWN = DialOutcome(result=DialResult.UNKNOWN, message="no usable answer: timed out")
REFUSED = DialOutcome(
    result=DialResult.REJECTED,
    cause=EndCause.ACCOUNT,
    message="suspended",
    vendor_code="20005",
    http_status=403,
)


class StubCarrier:
    """Stands in for an adapter: notes dials, answers them by `on_dial`, has one recording."""

    name = "twilio"

    def __init__(self) -> None:
        from providers.twilio import TwilioProvider

        self.capabilities = TwilioProvider.capabilities
        self.dials: list[DialRequest] = []
        self.hung_up: list[str] = []
        self.recorded: list[tuple[str, str, bool]] = []  # "start" or "stop", the leg, what may run
        self.on_record: Callable[[], object] = lambda: None
        self.on_dial: Callable[[DialRequest], DialOutcome] = self._accept
        self.on_hang_up: Callable[[], None] = lambda: None
        self.tells_length = True
        self.content_type = "audio/mpeg"
        self.closed = 0
        self._lock = threading.Lock()

    def _accept(self, _: DialRequest) -> DialOutcome:
        return DialOutcome(result=DialResult.ACCEPTED, leg_id=f"CA{len(self.dials):032}")

    def open(self, *_: Any, **__: Any) -> Any:
        return self

    def prepare(self) -> None:
        """There is no library to load."""

    def check_dial(self, request: DialRequest) -> None:
        """Take everything."""

    def dial(self, request: DialRequest) -> DialOutcome:
        with self._lock:
            self.dials.append(request)
            return self.on_dial(request)

    def hang_up(self, ref: Any) -> None:
        self.hung_up.append(ref.leg_id)
        self.on_hang_up()

    def start_recording(
        self, ref: Any, *, recording_url: str, max_duration_s: int, may_run: bool = False
    ) -> None:
        self.recorded.append(("start", ref.leg_id, may_run))
        self.on_record()

    def stop_recording(self, ref: Any) -> None:
        self.recorded.append(("stop", ref.leg_id, False))
        self.on_record()

    def fetch_recording(self, ref: str, url: str | None = None) -> RecordingStream:
        def chunks() -> Any:
            try:
                for at in range(0, len(AUDIO), 100):
                    yield AUDIO[at : at + 100]
            finally:
                self.closed += 1

        length = len(AUDIO) if self.tells_length else None
        return RecordingStream(content_type=self.content_type, chunks=chunks(), length=length)


class Client:
    """Sends requests with one key; every answer must be one that the document knows."""

    def __init__(self, site: Site, secret: str | None) -> None:
        self.site = site
        self.secret = secret

    def send(self, method: str, path: str, headers: Any = (), **said: Any) -> TestResponse:
        given = {} if self.secret is None else {"Authorization": f"Bearer {self.secret}"}
        answer = self.site.app.test_client().open(
            PREFIX + path, method=method, headers={**given, **dict(headers)}, **said
        )
        self.site.check(method, path, answer)
        return answer

    def get(self, path: str, **said: Any) -> TestResponse:
        return self.send("GET", path, **said)

    def post(self, path: str, json: Any = None, **said: Any) -> TestResponse:
        return self.send("POST", path, json=json, **said)

    def put(self, path: str, json: Any = None, **said: Any) -> TestResponse:
        return self.send("PUT", path, json=json, **said)

    def patch(self, path: str, json: Any = None, **said: Any) -> TestResponse:
        return self.send("PATCH", path, json=json, **said)

    def delete(self, path: str, **said: Any) -> TestResponse:
        return self.send("DELETE", path, **said)


class Site:
    """A gateway, its API mounted on a plain Flask application, and two workspaces."""

    def __init__(self, folder: Path, template: Path, **settings: Any) -> None:
        """`template` is an empty database with its schema, which takes long to make."""
        said: dict[str, Any] = {
            "rate_limit_per_key": "100000000/minute",
            "rate_limit_failed_auth": "100000000/minute",
            "public_url": "https://gw.example.com",
            "dial_retry_backoff_s": (0.01, 0.01),
        }
        shutil.copy(template, folder / "gateway.db")
        found = load_settings(env={}, database_url=f"sqlite:///{folder / 'gateway.db'}", **(said | settings))
        self.clock = Clock()
        self.carrier = StubCarrier()
        self.gw = Gateway.open(found, background=False)
        self.gw.services.clock = self.clock
        self.gw.services.open_provider = self.carrier.open
        self.app = Flask("an embedding program")
        self.api: Api = make_api(self.gw)
        self.app.register_blueprint(self.api.blueprint)
        self._set_up()

    def _set_up(self) -> None:
        credential = self.gw.credentials.add("twilio", check=False, **SECRETS)
        self.gw.numbers.add(OURS, credential=credential.id)
        self.gw.agents.put(Agent(id="desk", connect=Stream("wss://agents.example.com/media")))
        self.gw.numbers.assign(OURS, configure=False, agent="desk", outbound=True)
        with self.gw.services.store.transaction() as tx:
            ensure_workspace(tx, OTHERS, self.clock())
        self.credential = credential

    def client(self, *scopes: Scope | str, workspace_id: str = "default") -> Client:
        """Return a client with a key of these scopes; none: an admin's."""
        _, secret = keys.create_key(
            self.gw.services, "test", scopes or (Scope.ADMIN,), workspace_id=workspace_id
        )
        return Client(self, secret)

    def put_call(self, **said: Any) -> Call:
        """Store a call, over unless said otherwise."""
        made = a_call(self.credential, **({"status": CallStatus.COMPLETED, "agent_id": "desk"} | said))
        with self.gw.services.store.transaction() as tx:
            ensure_workspace(tx, made.workspace_id, made.created_at)
            calls.insert_call(tx, made)
        return made

    def put_recorded_call(self, **said: Any) -> Call:
        recording = Recording(ref="RE1", duration_s=3)
        return self.put_call(facts=CallFacts(recordings=(recording,)), **said)

    @cached_property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = self.app.test_client().get(f"{PREFIX}/openapi.json").json
        return found

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """Return what the document says of a request, the most exact path first; None: nothing."""
        target = PREFIX + path.split("?")[0]
        for template in sorted(self.document["paths"], key=lambda each: each.count("{")):
            any_id = ".+" if "/agents/" in template else "[^/]+"
            pattern = re.sub(r"\\{\w+\\}", any_id, re.escape(template))
            if (
                re.fullmatch(pattern, target, re.DOTALL)
                and method.lower() in self.document["paths"][template]
            ):
                found: dict[str, Any] = self.document["paths"][template][method.lower()]
                return found
        return None

    def check(self, method: str, path: str, answer: TestResponse) -> None:
        """Fail unless the document knows this answer to this request, body and all."""
        assert answer.headers["X-Request-Id"]
        assert answer.status_code < 500 or answer.status_code in (502, 503), answer.text
        operation = self.operation(method, path)
        if operation is None:
            schema: dict[str, Any] = {"$ref": "#/components/schemas/Error"}
            if answer.status_code == 200:
                return
        else:
            known = operation["responses"]
            assert str(answer.status_code) in known, (method, path, answer.text)
            described = known.get(str(answer.status_code), {}).get("content", {}).get("application/json")
            if described is None:
                return
            schema = described["schema"]
        root = {**schema, "components": self.document["components"]}
        Draft202012Validator(root).validate(json.loads(answer.data))


def error_of(answer: TestResponse) -> tuple[int, str]:
    """Return an error's status and code."""
    return answer.status_code, answer.json["error"]["code"]


def fields_of(answer: TestResponse) -> dict[str, str]:
    """Return the wrong fields with what is said of them."""
    assert error_of(answer) == (422, "validation_error"), answer.text
    return {each["field"]: each["message"] for each in answer.json["error"]["details"]["fields"]}
