"""Our own URLs, built from the configured public base URL: what carriers and agents call (design, section 7). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.byoc import SetupUrls
from gateway.errors import ConfigurationError
from gateway.interface import CallbackUrls, Hook

_OF_A_GATEWAY: Final = re.compile(r"/([0-9a-f]{32})/(?:answer|events)(?:[?#].*)?", re.ASCII)


def key_in(url: str) -> str | None:
    """Return the path key when the URL is one that a gateway (any one) has its numbers point at, else None."""
    found = _OF_A_GATEWAY.search(url)
    return found[1] if found and found.end() == len(url) else None


# At the end of the URL that a call is redirected to: the step begins, whatever was asked about it before.
BEGIN: Final = "?begin=1"


@dataclass(frozen=True, slots=True)
class Urls:
    """Builds URLs under `public_url` + `prefix`; `public_url` None means that carriers cannot reach us."""

    public_url: str | None
    prefix: str = "/voice"

    def hook(self, key: str, hook: Hook, token: str | None = None) -> str:
        """Return the absolute URL of one hook of a credential.

        Raises:
            ConfigurationError: no public URL is configured.
        """
        if self.public_url is None:
            raise ConfigurationError(
                "no public URL: set GATEWAY_PUBLIC_URL to the https address under which carriers reach this gateway"
            )
        tail = f"/{token}" if token else ""
        return f"{self.public_url}{self.prefix}/{key}/{hook.value}{tail}"

    def of_call(self, key: str, token: str | None) -> CallbackUrls:
        """Return every URL of one call; `token` is its attempt token, None for an inbound call."""
        return CallbackUrls(
            answer=self.hook(key, Hook.ANSWER, token),
            status=self.hook(key, Hook.STATUS, token),
            amd=self.hook(key, Hook.AMD, token),
            recording=self.hook(key, Hook.RECORDING, token),
            fallback=self.hook(key, Hook.FALLBACK, token),
            events=self.hook(key, Hook.EVENTS, token),
        )

    def of_setup(self, key: str) -> SetupUrls:
        """Return what a credential's numbers are to point at. Raises ConfigurationError without a public URL."""
        return SetupUrls(
            answer=self.hook(key, Hook.ANSWER),
            status=self.hook(key, Hook.STATUS),
            fallback=self.hook(key, Hook.FALLBACK),
            events=self.hook(key, Hook.EVENTS),
        )

    def webhooks(self, key: str) -> dict[str, str]:
        """Return what a person enters at the carrier for a credential's numbers, by the name of the hook."""
        hooks = (Hook.ANSWER, Hook.STATUS, Hook.FALLBACK, Hook.EVENTS, Hook.RECORDING)
        return {hook.value: self.hook(key, hook) for hook in hooks}
