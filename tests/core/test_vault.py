"""Secrets at rest: sealed for one row, opened by any of the keys, and clear about what to do when they do not open."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.vault import Vault, load_or_create_key

KEY = Fernet.generate_key().decode()
OTHER_KEY = Fernet.generate_key().decode()
SECRETS = {"account_sid": "AC1", "auth_token": "canary-token"}
ROW = {"workspace_id": "default", "row_id": "row-1"}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_what_was_sealed_opens_equal(values: dict[str, str]) -> None:
    vault = Vault([KEY])
    assert vault.open(vault.seal(values, **ROW), **ROW) == values


def test_a_sealed_text_shows_nothing_and_no_two_are_equal() -> None:
    vault = Vault([KEY])
    first, second = vault.seal(SECRETS, **ROW), vault.seal(SECRETS, **ROW)
    assert first != second
    assert "canary" not in first
    assert first.isascii()


@pytest.mark.parametrize(
    "moved", [{"workspace_id": "other", "row_id": "row-1"}, {"workspace_id": "default", "row_id": "row-2"}]
)
def test_a_sealed_text_that_was_moved_to_another_row_does_not_open(moved: dict[str, str]) -> None:
    vault = Vault([KEY])
    sealed = vault.seal(SECRETS, **ROW)
    with pytest.raises(ConfigurationError, match="another row") as caught:
        vault.open(sealed, **moved)
    assert "canary" not in str(caught.value)


def test_an_old_key_opens_and_the_newest_one_seals() -> None:
    sealed = Vault([KEY]).seal(SECRETS, **ROW)
    rotated = Vault([OTHER_KEY, KEY])
    assert rotated.open(sealed, **ROW) == SECRETS
    resealed = rotated.seal(SECRETS, **ROW)
    assert Vault([OTHER_KEY]).open(resealed, **ROW) == SECRETS
    with pytest.raises(ConfigurationError, match="another key"):
        Vault([KEY]).open(resealed, **ROW)


@pytest.mark.parametrize("damaged", ["", "x", "gAAAAA", "ÿ"])
def test_damaged_text_names_the_row_and_the_fix(damaged: str) -> None:
    with pytest.raises(ConfigurationError, match=r"row-1.*GATEWAY_SECRET_KEY"):
        Vault([KEY]).open(damaged, **ROW)


def test_every_changed_byte_is_noticed() -> None:
    vault = Vault([KEY])
    sealed = vault.seal(SECRETS, **ROW)
    for i in range(0, len(sealed) - 4, 7):
        changed = sealed[:i] + ("A" if sealed[i] != "A" else "B") + sealed[i + 1 :]
        with pytest.raises(ConfigurationError):
            vault.open(changed, **ROW)


@pytest.mark.parametrize("keys", [[], ["short"], [KEY, "not a key"], ["ÿ" * 44]])
def test_a_key_that_is_none_is_refused_with_how_to_make_one(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_SECRET_KEY") as caught:
        Vault(keys)
    assert KEY not in str(caught.value)


def test_the_vault_shows_no_key() -> None:
    assert KEY not in repr(Vault([KEY])) + str(Vault([KEY]))


def test_a_derived_token_depends_on_key_purpose_and_message() -> None:
    vault = Vault([KEY])
    token = vault.derive(b"stream", "step-1")
    assert token == Vault([KEY, OTHER_KEY]).derive(b"stream", "step-1")
    others = {
        vault.derive(b"stream", "step-2"),
        vault.derive(b"recording", "step-1"),
        Vault([OTHER_KEY]).derive(b"stream", "step-1"),
    }
    assert len(others) == 3
    assert token not in others
    assert len(token) == 32
    assert set(token) <= set("0123456789abcdef")


# -- the key file ---------------------------------------------------------------------------------------------------


def test_a_key_file_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    key = load_or_create_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_or_create_key(file) == key
    assert Vault([key]).open(Vault([key]).seal(SECRETS, **ROW), **ROW) == SECRETS
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.key"]


def test_a_generous_umask_does_not_open_the_key_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create_key(tmp_path / "gateway.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "gateway.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "gateway.key"
    load_or_create_key(file)
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_key(file)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\xff" * 44, b"x" * 5000])
def test_a_file_that_holds_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gateway.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"gateway\.key"):
        load_or_create_key(file)
    assert file.read_bytes() == content


def test_a_place_where_no_key_file_can_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="secret_key_file"):
        load_or_create_key(tmp_path / "missing" / "gateway.key")
    with pytest.raises(ConfigurationError):
        load_or_create_key(tmp_path)


def test_workers_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(load_or_create_key(tmp_path / "gateway.key")))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(keys) == 12
    assert len(set(keys)) == 1
