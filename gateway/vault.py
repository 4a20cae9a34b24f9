"""Secrets at rest: sealed with keys that are never in the database (R79).

A sealed text holds its workspace and row, so one that was copied to another row does not open. Keys are Fernet keys,
newest first: the first seals, all of them open, so a key is rotated without a pause. Everything raised here is a
`ConfigurationError` that names the fix; no message holds a key or a secret.
"""

from __future__ import annotations

import hmac
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.errors import ConfigurationError


class Vault:
    """Seals and opens secrets.

    Args:
        keys: Fernet keys (32 bytes in URL-safe base64), newest first.

    Raises:
        ConfigurationError: no key, or one that is no Fernet key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ConfigurationError(
                "no secret key: set GATEWAY_SECRET_KEY, or let secret_key_file name a key file"
            )
        self._fernet = MultiFernet([_fernet(key, position) for position, key in enumerate(keys, start=1)])
        self._newest = keys[0].encode()
        self._first = _fernet(keys[0], 1)

    def __repr__(self) -> str:
        return "Vault(keys=***)"

    def seal(self, values: Mapping[str, str], *, workspace_id: str, row_id: str) -> str:
        """Return `values` sealed for one row of one workspace."""
        bound = {"workspace": workspace_id, "row": row_id, "values": dict(values)}
        return self._fernet.encrypt(json.dumps(bound).encode()).decode("ascii")

    def open(self, sealed: str, *, workspace_id: str, row_id: str) -> dict[str, str]:
        """Return what was sealed for this row.

        Raises:
            ConfigurationError: sealed with a key that is not among ours, damaged, or moved here from another row.
        """
        try:
            bound: dict[str, Any] = json.loads(self._fernet.decrypt(sealed))
        except (InvalidToken, ValueError, TypeError):
            raise ConfigurationError(
                f"the secrets of {row_id} do not open: they were sealed with another key (put the old key after the "
                "new one in GATEWAY_SECRET_KEY, or restore the key file), or they are damaged (add it again)"
            ) from None
        if (bound["workspace"], bound["row"]) != (workspace_id, row_id):
            raise ConfigurationError(
                f"the secrets stored with {row_id} were sealed for another row: the database was changed from outside; "
                "restore a backup, or remove the credential and add it again"
            )
        values: dict[str, str] = bound["values"]
        return values

    def is_newest(self, sealed: str) -> bool:
        """Return whether the text was sealed with the newest key."""
        try:
            self._first.decrypt(sealed)
        except (InvalidToken, ValueError, TypeError):
            return False
        return True

    def derive(self, purpose: bytes, message: str) -> str:
        """Return 32 hex digits that only a holder of the newest key can make; another purpose gives other digits.

        A rotation of keys changes what is derived: use it for what lives for minutes, such as stream tokens.
        """
        own_key = hmac.digest(self._newest, b"derive:" + purpose, "sha256")
        return hmac.digest(own_key, message.encode(), "sha256").hex()[:32]


def load_or_create_key(path: str | os.PathLike[str]) -> str:
    """Return the key in a file; make the file, mode 0600, when there is none. An existing file is never written to.

    Raises:
        ConfigurationError: readable by others, no key in it, or it cannot be read or made.
    """
    file = Path(path)
    try:
        _create(file)
        return _read(file)
    except OSError as error:
        raise ConfigurationError(
            f"the key file {file} cannot be used ({error.strerror}): set GATEWAY_SECRET_KEY, or secret_key_file "
            "to a place where this user may write"
        ) from None


def _create(file: Path) -> None:
    """Make the key file whole or not at all: another process never reads half a key."""
    if file.exists():
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(Fernet.generate_key() + b"\n")
            new.flush()
            os.fsync(new.fileno())
        os.link(draft, file)  # fails when another process was first: its key is the one
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: Path) -> str:
    state = file.stat()
    if not stat.S_ISREG(state.st_mode):
        raise ConfigurationError(f"the key file {file} is not a file")
    if state.st_mode & 0o077:
        raise ConfigurationError(f"the key file {file} can be read by other users: run chmod 600 {file}")
    key = file.read_bytes()[:1000].decode("ascii", "replace").strip()
    _fernet(key, 1, str(file))
    return key


def _fernet(key: str, position: int, place: str = "GATEWAY_SECRET_KEY") -> Fernet:
    try:
        return Fernet(key)
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"key {position} of {place} is not a Fernet key (44 characters of URL-safe base64): make one with "
            '`python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"`'
        ) from None
