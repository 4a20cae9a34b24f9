"""Recordings by signed link: found, heard whole or in part, over after a day."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway import CallStatus
from gateway.errors import NotFound, ProviderUnavailable
from gateway.web.api import PREFIX
from tests.api.support import AUDIO, Client, Site, error_of


def link_of(client: Client, call_id: str) -> str:
    url: str = client.get(f"/calls/{call_id}/recording").json["recording_url"]
    assert url.startswith(f"https://gw.example.com{PREFIX}/recordings/")
    return urlsplit(url).path.removeprefix(PREFIX)


@pytest.fixture
def nobody(site: Site) -> Client:
    """A client without a key: the link is the right to listen."""
    return Client(site, None)


def test_a_recording_is_heard_by_its_link_without_a_key(site: Site, client: Client, nobody: Client) -> None:
    call = site.put_recorded_call()
    answer = nobody.get(link_of(client, call.id))
    assert (answer.status_code, answer.data) == (200, AUDIO)
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Length"] == str(len(AUDIO))
    assert answer.headers["Accept-Ranges"] == "bytes"
    answer.close()
    assert site.carrier.closed == 1


def test_the_call_object_has_the_link_too(site: Site, client: Client, nobody: Client) -> None:
    call = site.put_recorded_call()
    for shown in (client.get(f"/calls/{call.id}").json, client.get("/calls").json["data"][0]):
        assert nobody.get(urlsplit(shown["recording_url"]).path.removeprefix(PREFIX)).data == AUDIO


def test_a_call_without_a_recording_has_no_link(site: Site, client: Client) -> None:
    for status in (CallStatus.COMPLETED, CallStatus.RINGING):
        call = site.put_call(status=status)
        assert error_of(client.get(f"/calls/{call.id}/recording")) == (404, "not_found")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=0-0", 0, 1),
        ("bytes=50-149", 50, 150),
        ("bytes=100-", 100, 2048),
        ("bytes=-48", 2000, 2048),
        ("bytes=2000-9999", 2000, 2048),
        ("bytes=-9999", 0, 2048),
    ],
)
def test_a_range_is_sent_as_it_is_asked_for(
    site: Site, client: Client, nobody: Client, asked: str, start: int, stop: int
) -> None:
    answer = nobody.get(link_of(client, site.put_recorded_call().id), headers={"Range": asked})
    assert (answer.status_code, answer.data) == (206, AUDIO[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/2048"
    assert answer.headers["Content-Length"] == str(stop - start)
    answer.close()
    assert site.carrier.closed == 1


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=b-a", "0-5", "bytes="])
def test_what_is_no_single_range_of_bytes_gets_the_whole(
    site: Site, client: Client, nobody: Client, asked: str
) -> None:
    answer = nobody.get(link_of(client, site.put_recorded_call().id), headers={"Range": asked})
    assert (answer.status_code, answer.data) == (200, AUDIO)


def test_a_range_beyond_the_end_is_416(site: Site, client: Client, nobody: Client) -> None:
    answer = nobody.get(link_of(client, site.put_recorded_call().id), headers={"Range": "bytes=2048-"})
    assert error_of(answer) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == "bytes */2048"


def test_of_a_recording_of_unknown_length_all_is_sent(site: Site, client: Client, nobody: Client) -> None:
    site.carrier.tells_length = False
    answer = nobody.get(link_of(client, site.put_recorded_call().id), headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.data) == (200, AUDIO)
    assert answer.headers["Accept-Ranges"] == "none"


def test_a_link_is_over_after_24_hours(site: Site, client: Client, nobody: Client) -> None:
    link = link_of(client, site.put_recorded_call().id)
    site.clock.ahead(hours=23, minutes=59)
    assert nobody.get(link).status_code == 200
    site.clock.ahead(hours=24, minutes=1)
    assert error_of(nobody.get(link)) == (404, "not_found")


def test_a_link_that_was_changed_opens_nothing(site: Site, client: Client, nobody: Client) -> None:
    link, other = link_of(client, site.put_recorded_call().id), site.put_recorded_call()
    ident, expires, signature = link.removeprefix("/recordings/").split(".")
    forged = [
        f"{other.id}.{expires}.{signature}",
        f"{ident}.{int(expires) + 1}.{signature}",
        f"{ident}.{expires}.{'0' * 32}",
        f"{ident}.{expires}.{signature[:-1]}",
        f"{ident}.{expires}.",
        f"{ident}.{expires}",
        ident,
        "%00",
        "x" * 500,
    ]
    for each in forged:
        assert error_of(nobody.get(f"/recordings/{each}")) == (404, "not_found"), each
    assert site.carrier.closed == 0


def test_a_link_to_a_deleted_call_opens_nothing(site: Site, client: Client, nobody: Client) -> None:
    call = site.put_recorded_call()
    link = link_of(client, call.id)
    assert client.delete(f"/calls/{call.id}").status_code == 204
    assert error_of(nobody.get(link)) == (404, "not_found")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotFound("recording", "RE1"), (404, "not_found")),
        (ProviderUnavailable("timed out", provider="twilio"), (502, "provider_error")),
    ],
)
def test_a_recording_that_the_carrier_does_not_give_is_told(
    site: Site, client: Client, nobody: Client, error: Exception, said: Any
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    link = link_of(client, site.put_recorded_call().id)
    site.carrier.fetch_recording = fail  # type: ignore[method-assign]
    assert error_of(nobody.get(link)) == said


def test_what_is_no_audio_is_not_shown_by_a_browser(site: Site, client: Client, nobody: Client) -> None:
    link = link_of(client, site.put_recorded_call().id)
    site.carrier.content_type = "text/html"
    answer = nobody.get(link)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_link_stands_on_the_public_url_whatever_the_host_header_says(site: Site, client: Client) -> None:
    call = site.put_recorded_call()
    answer = client.get(f"/calls/{call.id}/recording", headers={"Host": "evil.example"})
    assert answer.json["recording_url"].startswith("https://gw.example.com/")


def test_without_a_public_url_a_link_is_a_path(make_site: Callable[..., Site]) -> None:
    site = make_site(public_url=None)
    url = site.client().get(f"/calls/{site.put_recorded_call().id}/recording").json["recording_url"]
    assert re.match(rf"{PREFIX}/recordings/[0-9a-f-]{{36}}\.", url)
