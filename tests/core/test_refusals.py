"""What is kept of refused webhooks: nothing, unless asked for; then little, sealed, and out of a stranger's reach."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.errors import ConfigurationError, RejectionReason, WebhookRejected
from gateway.interface import Hook, WebhookRequest
from gateway.refusals import Refusals, load_last
from gateway.settings import Settings, load_settings
from gateway.vault import Vault

VAULT = Vault([Fernet.generate_key().decode()])
BAD = WebhookRejected(RejectionReason.BAD_SIGNATURE)
NOBODY = WebhookRejected(RejectionReason.UNKNOWN_KEY)


class Hours:
    """A clock that goes on by an hour each time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


def settings(folder: Path, kept: int = 3) -> Settings:
    return load_settings(
        env={},
        database_url=f"sqlite:///{folder / 'gateway.db'}",
        public_url="https://gw.example.net/in",
        record_refused_webhooks=kept,
    )


def a_request(body: bytes = b"To=%2B14155550100", **changes: Any) -> WebhookRequest:
    said = {"method": "POST", "url": "https://gw.example.net/in/voice/k/status?x=1", "headers": (("A", "b"),)}
    return WebhookRequest(body=body, **{**said, **changes})


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.refusals._PAUSE_S", 0.0)


def files(folder: Path) -> list[Path]:
    kept = folder / "refused-webhooks"
    return sorted(kept.iterdir()) if kept.exists() else []


def test_by_default_nothing_is_kept_and_everything_is_counted(tmp_path: Path) -> None:
    assert Settings().record_refused_webhooks == 0
    refusals = Refusals(settings(tmp_path, 0), VAULT, Hours())
    for _ in range(3):
        refusals.note(BAD, Hook.STATUS, a_request())
    assert (files(tmp_path), refusals.counts[RejectionReason.BAD_SIGNATURE]) == ([], 3)
    assert set(refusals.counts) == set(RejectionReason)
    with pytest.raises(ConfigurationError, match="GATEWAY_RECORD_REFUSED_WEBHOOKS"):
        load_last(settings(tmp_path, 0), VAULT)


@pytest.mark.usefixtures("no_pause")
def test_the_last_few_are_kept_sealed_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    refusals = Refusals(settings(tmp_path), VAULT, Hours())
    for number in range(9):
        refusals.note(BAD, Hook.STATUS, a_request(b"To=%%2B1415555010%d" % number))
    kept = files(tmp_path)
    assert len(kept) == 3
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700
    assert not any(b"1415" in file.read_bytes() for file in kept)
    last = load_last(settings(tmp_path), VAULT)
    assert (last.body, last.target, last.reason) == (
        b"To=%2B14155550108",
        "/voice/k/status?x=1",
        "bad_signature",
    )


@pytest.mark.usefixtures("no_pause")
def test_a_stranger_without_a_path_key_pushes_nothing_out(tmp_path: Path) -> None:
    refusals = Refusals(settings(tmp_path), VAULT, Hours())
    refusals.note(BAD, Hook.STATUS, a_request())
    for _ in range(20):
        refusals.note(NOBODY, Hook.STATUS, a_request(b"x"))
    assert len(files(tmp_path)) == 4
    assert any(file.name.startswith("bad_signature-") for file in files(tmp_path))


def test_of_a_flood_one_a_second_is_kept(tmp_path: Path) -> None:
    refusals = Refusals(settings(tmp_path), VAULT, Hours())
    for _ in range(500):
        refusals.note(BAD, Hook.STATUS, a_request())
    assert len(files(tmp_path)) <= 2
    assert refusals.counts[RejectionReason.BAD_SIGNATURE] == 500


@pytest.mark.usefixtures("no_pause")
def test_what_is_too_long_or_cannot_be_written_is_said_and_refused_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = Refusals(settings(tmp_path), VAULT, Hours())
    refusals.note(BAD, Hook.STATUS, a_request(headers=(("A", "b" * 40_000),)))
    (tmp_path / "refused-webhooks").write_text("in the way")
    refusals.note(BAD, Hook.STATUS, a_request())
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "not kept" in line and "too long" in line]
    assert [line for line in said if "not kept in" in line and "File exists" in line]
    assert not any("1415" in line for line in said)


@pytest.mark.usefixtures("no_pause")
def test_one_that_another_key_sealed_does_not_open(tmp_path: Path) -> None:
    Refusals(settings(tmp_path), VAULT, Hours()).note(BAD, Hook.STATUS, a_request())
    with pytest.raises(ConfigurationError, match="another key"):
        load_last(settings(tmp_path), Vault([Fernet.generate_key().decode()]))
