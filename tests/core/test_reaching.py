"""Whether the public URL leads here, unchanged: a real server, and in front of it whatever goes wrong."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway import Gateway
from gateway.diagnosing import diagnose
from gateway.reaching import NONCE_HEADER, certificate_days, is_short, problems_on_the_way
from gateway.settings import Settings, load_settings
from gateway.vault import Vault
from gateway.web import create_app
from tests.bench import WebServer
from tests.faultserver import Authority, FaultServer, hang_after, raw, redirect, refused_url, reply

KEY = Fernet.generate_key().decode()
OTHER = Fernet.generate_key().decode()
VAULT = Vault([KEY])

App = Callable[[dict[str, Any], Any], Any]


def settings_of(url: str, folder: Path | None = None, key: str = KEY) -> Settings:
    database = f"sqlite:///{folder / 'gateway.db'}" if folder else None
    return load_settings(env={}, database_url=database, public_url=url, secret_keys=[key])


@contextmanager
def served(
    folder: Path, wrap: Callable[[App], App] = lambda app: app, *, path: str = "", key: str = KEY
) -> Iterator[Settings]:
    """A gateway on loopback behind what `wrap` does; its settings are the doctor's, too."""
    web = WebServer()
    settings = settings_of(web.url + path, folder, key)
    with Gateway.open(settings, background=False) as gw:
        web.start(wrap(create_app(gw)))
        try:
            yield settings
        finally:
            web.stop()


def problems(settings: Settings, **more: Any) -> list[str]:
    return list(problems_on_the_way(settings, VAULT, **more))


def changing(**changes: Any) -> Callable[[App], App]:
    """A proxy that changes the request: parts of WSGI's environment, or the body."""

    def wrap(app: App) -> App:
        def passed(environ: dict[str, Any], start_response: Any) -> Any:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            for name, change in changes.items():
                if name == "body":
                    body = change(body)
                else:
                    environ[name] = change(environ.get(name, ""))
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
            return app(environ, start_response)

        return passed

    return wrap


def test_an_address_that_leads_here_unchanged_has_no_problem(tmp_path: Path) -> None:
    with served(tmp_path) as settings:
        assert problems(settings) == []


def test_a_path_that_the_proxy_takes_off_is_no_problem(tmp_path: Path) -> None:
    def off(target: str) -> str:
        return target.removeprefix("/gw")

    with served(tmp_path, changing(RAW_URI=off, PATH_INFO=off), path="/gw") as settings:
        assert problems(settings) == []


def test_a_dropped_query_is_named(tmp_path: Path) -> None:
    wrap = changing(RAW_URI=lambda uri: uri.partition("?")[0], QUERY_STRING=lambda _: "")
    with served(tmp_path, wrap) as settings:
        [problem] = problems(settings)
    assert "drops the query" in problem


@pytest.mark.parametrize("ending", ["&", "&utm=1"])
@pytest.mark.parametrize("escape", ["%2fx", "%2Fx"])
def test_a_changed_address_is_named(tmp_path: Path, ending: str, escape: str) -> None:
    with served(tmp_path, changing(RAW_URI=lambda uri: uri.replace("%2fx", escape) + ending)) as settings:
        [problem] = problems(settings)
    assert "changes path or query" in problem


@pytest.mark.parametrize(
    "change", [lambda body: body.replace(b"%20", b"+"), lambda body: body + b"\n", lambda _: b""]
)
def test_a_changed_body_is_named(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    with served(tmp_path, changing(body=change)) as settings:
        [problem] = problems(settings)
    assert "changes the body" in problem


def test_another_gateway_is_told_by_its_key(tmp_path: Path) -> None:
    with served(tmp_path, key=OTHER) as settings:
        [problem] = problems(settings)
    assert "another gateway answers" in problem


def test_a_gateway_started_with_another_public_url_is_named(tmp_path: Path) -> None:
    with served(tmp_path) as settings:
        url = (settings.public_url or "").replace("127.0.0.1", "localhost")
        [problem] = problems(replace(settings, public_url=url))
    assert "started with another GATEWAY_PUBLIC_URL" in problem


def test_a_path_too_much_is_named_with_the_right_address(tmp_path: Path) -> None:
    with served(tmp_path) as settings:
        [problem] = problems(replace(settings, public_url=f"{settings.public_url}/gw"))
    assert problem.endswith(f"set GATEWAY_PUBLIC_URL to {settings.public_url}")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (reply(404, b"nothing here"), "webhook_prefix"),
        (reply(200, b"<html>welcome</html>"), "not this gateway"),
        (reply(200, b"[]"), "not this gateway"),
        (redirect(301, "https://www.example.com/x?secret=1"), "to https://www.example.com:"),
        (redirect(302, "/login"), "to another path"),
        (reply(502), "start `gateway serve` behind it"),
        (reply(403), "without a login"),
        (reply(405), "let POST requests"),
        (raw(b"SSH-2.0-OpenSSH\r\n"), "no whole HTTP answer"),
    ],
)
def test_what_answers_instead_is_said_in_plain_words(script: Any, said: str) -> None:
    with FaultServer(script) as server:
        [problem] = problems(settings_of(server.url))
    assert said in problem
    assert "secret" not in problem


def test_nobody_who_listens_and_nobody_who_answers_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing listens" in problems(settings_of(refused_url()))[0]
    assert "is not known" in problems(settings_of("https://nowhere.invalid"))[0]
    monkeypatch.setattr("gateway.reaching.TIMEOUT_S", 0.3)
    with FaultServer(hang_after()) as server:
        [problem] = problems(settings_of(server.url))
    assert "in time" in problem


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "said"),
    [
        ("127.0.0.1", -1, True, "it has expired"),
        ("voice.example.com", 30, True, "it is not for 127.0.0.1"),
        ("127.0.0.1", 30, False, "public authority"),
    ],
)
def test_a_certificate_that_carriers_refuse_is_named(
    tmp_path: Path, name: str, days: int, is_trusted: bool, said: str
) -> None:
    authority = Authority(tmp_path)
    with FaultServer(reply(200), tls=authority.server_context(name, days=days)) as server:
        [problem] = problems(settings_of(server.url), ca_file=authority.ca_file if is_trusted else None)
    assert said in problem


def test_a_plain_port_called_by_https_is_named(tmp_path: Path) -> None:
    with FaultServer(reply(200), reads_request=False) as server:
        [problem] = problems(
            settings_of(server.url.replace("http:", "https:")), ca_file=Authority(tmp_path).ca_file
        )
    assert "plain http port" in problem


def test_the_days_of_a_certificate_are_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FaultServer(reply(200), tls=authority.server_context(days=5)) as server:
        days = certificate_days(server.url, ca_file=authority.ca_file)
    assert days in (4, 5)
    assert [is_short(each) for each in (5, 13, 14, 80)] == [True, True, False, False]
    assert certificate_days("http://127.0.0.1:1") is None
    assert certificate_days(refused_url().replace("http:", "https:")) is None


def test_the_doctor_calls_the_address_unless_it_is_to_ask_nobody(tmp_path: Path) -> None:
    with served(tmp_path) as settings:
        [found] = [each for each in diagnose(settings) if each.check == "way in"]
        assert (found.level, "called from this machine" in found.message) == ("ok", True)
        wrong = replace(settings, public_url=refused_url())
        [missed] = [each for each in diagnose(wrong) if each.check == "way in"]
        assert missed.level == "problem"
        [silent] = [each for each in diagnose(wrong, is_offline=True) if each.check == "way in"]
        assert silent.level == "ok"


def test_a_stranger_learns_nothing_from_the_answer(tmp_path: Path) -> None:
    """Proofs of the same request differ by nonce, and without a nonce there are none."""
    with served(tmp_path) as settings:
        first, second = ask(settings, "0" * 32), ask(settings, "1" * 32)
        assert first[0] == second[0] == 200
        assert not set(json.loads(first[1]).values()) & set(json.loads(second[1]).values())
        assert all(len(value) == 32 for value in json.loads(first[1]).values())
        for nonce in ("", "x" * 32, "0" * 31, "0" * 33):
            assert ask(settings, nonce)[0] == 400
        assert ask(settings, "0" * 32, b"a" * 5000)[0] == 413


def ask(settings: Settings, nonce: str, body: bytes = b"") -> tuple[int, bytes]:
    host = (settings.public_url or "").removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("POST", "/voice/ping", body=body, headers={NONCE_HEADER: nonce})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
