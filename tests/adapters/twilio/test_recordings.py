"""Recordings come from a local server: the bytes, the credentials, the refusals."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.errors import NotFound, ProviderUnavailable, RequestRefused
from providers.twilio import TwilioProvider
from tests.adapters.twilio.support import ACCOUNT, API_KEY, RECORDING, SECRETS

AUDIO = b"RIFF" + bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Answers every GET with `answer` and keeps what was asked."""

    answer: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "audio/x-wav"}, AUDIO)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append((self.path, self.headers.get("Authorization")))
        status, headers, body = server.answer
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_recording_is_streamed_with_our_credentials_from_the_accounts_own_path(server: Server) -> None:
    adapter = TwilioProvider(SECRETS | API_KEY, base_url=server.base_url)
    recording = adapter.fetch_recording(RECORDING, url="https://evil.example.net/x")
    assert (recording.content_type, recording.length) == ("audio/x-wav", len(AUDIO))
    assert b"".join(recording.chunks) == AUDIO
    login = f"{API_KEY['api_key_sid']}:{API_KEY['api_key_secret']}".encode()
    assert server.asked == [
        (
            f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{RECORDING}.wav",
            "Basic " + base64.b64encode(login).decode(),
        )
    ]


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (500, ProviderUnavailable), (302, ProviderUnavailable)]
)
def test_a_recording_that_cannot_be_had_is_one_of_our_errors(
    server: Server, status: int, kind: type[Exception]
) -> None:
    server.answer = (status, {}, b"")
    with pytest.raises(kind):
        TwilioProvider(SECRETS, base_url=server.base_url).fetch_recording(RECORDING)


def test_wrong_credentials_are_refused_not_missing(server: Server) -> None:
    server.answer = (401, {}, b'{"code": 20003, "message": "Authenticate", "status": 401}')
    with pytest.raises(RequestRefused) as caught:
        TwilioProvider(SECRETS, base_url=server.base_url).fetch_recording(RECORDING)
    assert caught.value.vendor_code == "20003"


def test_a_redirect_to_another_host_is_refused_and_gets_no_credentials(server: Server) -> None:
    with Server() as elsewhere:
        server.answer = (302, {"Location": f"{elsewhere.base_url}/audio"}, b"")
        with pytest.raises(RequestRefused, match="allowlist"):
            TwilioProvider(SECRETS, base_url=server.base_url).fetch_recording(RECORDING)
        assert elsewhere.asked == []


def test_a_recording_that_breaks_off_raises_our_error(server: Server) -> None:
    server.answer = (200, {"Content-Length": str(len(AUDIO) + 1)}, AUDIO)
    recording = TwilioProvider(SECRETS, base_url=server.base_url).fetch_recording(RECORDING)
    with pytest.raises(ProviderUnavailable, match="cut short"):
        list(recording.chunks)
