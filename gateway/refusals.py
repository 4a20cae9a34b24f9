"""Refused webhooks: one word a refusal, in the log, in the counter and, where the operator asked for it, on disk.

By default nothing of a refused webhook is kept: anybody can send one (R29). With `record_refused_webhooks` the last few
of each reason are written to files beside the key file, sealed with the vault's key, for `gateway doctor webhook`.
A stranger can neither fill the disk (a bounded number of bounded files, one a second at most) nor push out what a
carrier sent: whoever does not know a path key only ever causes other reasons.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.captures import Capture, read_capture
from gateway.errors import ConfigurationError, RejectionReason, WebhookRejected
from gateway.interface import Hook, WebhookRequest
from gateway.settings import Settings
from gateway.vault import Vault

log = logging.getLogger(__name__)

_PAUSE_S: Final = 1.0
_MOST_HEADER_BYTES: Final = 32_768
_NAME: Final = re.compile(r"([a-z_]+)-([0-9]{13})-[0-9a-f]{8}\.sealed", re.ASCII)


class Refusals:
    """Counts, logs and, where asked to, keeps what was refused. Threads may share one."""

    def __init__(self, settings: Settings, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._kept_each: Final = settings.record_refused_webhooks
        self._folder: Final = settings.refused_folder
        self._public_url: Final = settings.public_url or ""
        self._vault: Final = vault
        self._clock: Final = clock
        self._lock: Final = threading.Lock()
        self._counts: Counter[RejectionReason] = Counter()
        self._next_at: dict[RejectionReason, float] = {}

    @property
    def counts(self) -> Mapping[RejectionReason, int]:
        """How many webhooks this process has refused since it started, for every reason there is."""
        with self._lock:
            return {reason: self._counts[reason] for reason in RejectionReason}

    def note(self, error: WebhookRejected, hook: Hook, request: WebhookRequest | None = None) -> None:
        """Count and log a refusal, and keep the request when it is to be kept; never raises."""
        log.warning("webhook refused: %s (%s)", error.reason.value, hook.value)
        with self._lock:
            self._counts[error.reason] += 1
            now = time.monotonic()
            is_kept = (
                request is not None and self._kept_each > 0 and now >= self._next_at.get(error.reason, 0.0)
            )
            if is_kept:
                self._next_at[error.reason] = now + _PAUSE_S
        if is_kept and request is not None:
            self._keep(error.reason, request)

    def _keep(self, reason: RejectionReason, request: WebhookRequest) -> None:
        if sum(len(name) + len(value) for name, value in request.headers) > _MOST_HEADER_BYTES:
            log.warning("a refused webhook was not kept: its headers are too long")
            return
        at = self._clock()
        capture = Capture(
            method=request.method,
            target=request.url.removeprefix(self._public_url),
            headers=request.headers,
            body=request.body,
            received_at=at,
            reason=reason.value,
        )
        name = f"{reason.value}-{int(at.timestamp() * 1000):013d}-{os.urandom(4).hex()}.sealed"
        sealed = self._vault.seal({"capture": capture.as_json()}, workspace_id="", row_id=name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(sealed)
            for old in _kept(self._folder, reason)[: -self._kept_each]:
                old.unlink(missing_ok=True)
        except OSError as problem:  # the refusal stands, kept or not
            log.warning("a refused webhook was not kept in %s: %s", self._folder, problem.strerror)


def _kept(folder: Path, reason: RejectionReason | None = None) -> list[Path]:
    """Return the files of one reason or all, oldest first."""
    found = [(match, file) for file in folder.iterdir() if (match := _NAME.fullmatch(file.name))]
    wanted = [(match[2], file) for match, file in found if reason is None or match[1] == reason.value]
    return [file for _, file in sorted(wanted)]


def load_last(settings: Settings, vault: Vault) -> Capture:
    """Return the refused webhook that was kept last.

    Raises:
        ConfigurationError: none was kept, or it was sealed with a key that is not ours.
    """
    folder = settings.refused_folder
    files = _kept(folder) if folder.is_dir() else []
    if not files:
        raise ConfigurationError(
            f"no refused webhook is kept in {folder}: set GATEWAY_RECORD_REFUSED_WEBHOOKS=20 for `gateway serve` and "
            "wait for the next one"
        )
    newest = files[-1]
    content = vault.open(newest.read_text("ascii"), workspace_id="", row_id=newest.name)
    return read_capture(content["capture"].encode())
