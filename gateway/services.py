"""What every use case is given: the store, the settings, the vault, the carriers, the clock. No decision here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from gateway import registry
from gateway.errors import GatewayError, NotFound
from gateway.instructions import Connection
from gateway.interface import Provider
from gateway.models import Agent, Call, Credential
from gateway.notifying import Notifier
from gateway.settings import Settings
from gateway.store import Reader, Store, agents, credentials
from gateway.store.rows import SealedCredential
from gateway.urls import Urls
from gateway.vault import Vault

log = logging.getLogger(__name__)

ConnectFunction = Callable[[Call], Connection]


def utc_now() -> datetime:
    """Return the time now, aware UTC."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Services:
    """The gateway's parts, put together once. `clock`, `sleep` and `open_provider` are replaced by tests."""

    store: Store
    settings: Settings
    vault: Vault
    notifier: Notifier = field(default_factory=Notifier)
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    open_provider: Callable[..., Provider] = registry.open_provider
    authorize_call: Callable[[Any], object] | None = None  # the embedder's; given the `dialing.PlaceCall`
    wake: Callable[[], None] = lambda: None  # follow-up actions are due: whoever performs them may look now
    urls: Urls = field(init=False)
    _opened: dict[str, tuple[SealedCredential, Credential, Provider]] = field(default_factory=dict)
    _functions: dict[tuple[str, str], ConnectFunction] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.urls = Urls(self.settings.public_url, self.settings.webhook_prefix)

    def credential(self, workspace_id: str, credential_id: str, source: Reader | None = None) -> Credential:
        """Return a credential with its secrets opened. Raises NotFound."""
        reader = source or self.store
        return self._open(
            credentials.load_sealed_credential(reader, credential_id, workspace_id=workspace_id)
        )[0]

    def credential_by_key(self, key: str) -> Credential | None:
        """Return the credential whose webhook URLs carry this path key, or None."""
        sealed = credentials.load_credential_by_key(self.store, key)
        return None if sealed is None else self._open(sealed)[0]

    def provider_of(self, credential: Credential) -> Provider:
        """Return the adapter of an opened credential."""
        return self._opened[credential.id][2]

    def _open(self, found: SealedCredential) -> tuple[Credential, Provider]:
        """Open a credential once; kept until its row changes."""
        known = found.credential
        kept = self._opened.get(known.id)
        if kept is not None and kept[0] == found:
            return kept[1], kept[2]
        secrets = self.vault.open(found.sealed, workspace_id=known.workspace_id, row_id=known.id)
        credential = replace(known, secrets=secrets)
        base_url = self.settings.base_urls.get(known.provider)
        provider = self.open_provider(known.provider, secrets, base_url=base_url)
        with self._lock:
            self._opened[known.id] = (found, credential, provider)
        return credential, provider

    def prepare_providers(self) -> None:
        """Load what the first request to each stored account would wait for, so that no caller does."""
        for found in credentials.list_sealed_credentials(self.store):
            try:
                self._open(found)[1].prepare()
            except GatewayError as error:
                log.warning("credential %s cannot be used: %s", found.credential.id, error)

    def provider_for(self, call: Call) -> tuple[Credential, Provider]:
        """Return the credential and the adapter of a call. Raises NotFound when the credential is gone."""
        if call.credential_id is None:
            raise NotFound("credential", "of a call that has none")
        credential = self.credential(call.workspace_id, call.credential_id)
        return credential, self.provider_of(credential)

    def agent(self, workspace_id: str, agent_id: str, source: Reader | None = None) -> Agent | None:
        """Return an agent, its connect function put back where this process has it; None when there is none."""
        agent = agents.find_agent(source or self.store, workspace_id, agent_id)
        function = self._functions.get((workspace_id, agent_id))
        if agent is None or function is None or isinstance(agent.connect, Connection):
            return agent
        return replace(agent, connect=function)

    def keep_function(self, agent: Agent) -> None:
        """Keep (or forget) the connect function of an agent in this process."""
        key = (agent.workspace_id, agent.id)
        with self._lock:
            if isinstance(agent.connect, Connection):
                self._functions.pop(key, None)
            else:
                self._functions[key] = agent.connect


def shown_context(call: Call, **entries: Any) -> dict[str, Any]:
    """Return the call's context with entries added; None takes one out."""
    merged = {**call.context, **entries}
    return {key: value for key, value in merged.items() if value is not None}
