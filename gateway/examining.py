"""Use case: why was this webhook refused? What `gateway doctor webhook` answers; nothing is changed by asking.

A signature cannot be read backwards: so requests that may have been signed are tried one after the other, by the same
`Provider.verify_webhook` that refused, until one fits. What differs then is what is wrong. A verdict is proven or says
that it is not; it never holds a secret, a token, a body or a whole path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.captures import Capture
from gateway.errors import ConfigurationError, RejectionReason, WebhookRejected
from gateway.interface import Aspect, Clue, Hook, Provider, WebhookRequest
from gateway.models import Credential
from gateway.receiving import check_account
from gateway.services import Services
from gateway.settings import Settings
from gateway.store import Store, credentials
from gateway.variants import Address, Changes, variants
from gateway.vault import Vault, load_or_create_key

_SHOWN_SEGMENT: Final = 16  # longer parts of a path are keys and tokens
_SECOND: Final = "_secondary"  # the name of a secret's successor (design, section 4)

_REMEDIES: Final[dict[Aspect, tuple[str, str]]] = {
    Aspect.PATH: (
        "another path",
        "Something between the carrier and the gateway changes the path: have the proxy pass it unchanged, or point "
        "the number at the gateway's own address again (gateway numbers repair)",
    ),
    Aspect.QUERY: (
        "another query",
        "Something between the carrier and the gateway drops or adds query parameters: have the proxy pass the request "
        "line unchanged",
    ),
    Aspect.QUERY_ORDER: (
        "the query parameters in another order",
        "Something between the carrier and the gateway sorts the query: have the proxy pass the request line unchanged",
    ),
    Aspect.PARAMETER_ORDER: (
        "the parameters of the body in another order",
        "A proxy or a middleware reads the body and writes it again: have it pass the bytes unchanged",
    ),
    Aspect.METHOD: (
        "another method",
        "The number's address is called by another method than arrives here: set it to POST at the carrier (gateway "
        "numbers repair), and have the proxy follow no redirect",
    ),
    Aspect.BODY: (
        "another body",
        "A proxy or a middleware reads the body and writes it again: have it pass the bytes unchanged",
    ),
    Aspect.HEADERS: ("another Content-Type", "Have the proxy pass the carrier's headers unchanged"),
}
_ENCODED_URL: Final = (
    "the address in another spelling (%-escapes, + and %20)",
    "Something between the carrier and the gateway decodes the address and encodes it again: have the proxy pass the "
    "request line unchanged",
)
_ENCODED_BODY: Final = (
    "the body in another encoding",
    "A proxy or a middleware decodes the parameters and encodes them again: have it pass the bytes unchanged",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the doctor found.

    `reason`: what the gateway says of the webhook today, the word of the log line and the counter; None: it is taken.
    `aspects`: what differs, where that is proven or likely. `is_proven`: a signature fits once that is put right.
    `message`: one paragraph; `remedy`: what to do. `tried`: how many requests were judged.
    """

    reason: RejectionReason | None
    message: str
    remedy: str = ""
    aspects: tuple[Aspect, ...] = ()
    is_proven: bool = False
    credential: str | None = None
    provider: str | None = None
    place: str = ""
    tried: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether the gateway would take it."""
        return self.reason is None


@contextmanager
def examination(settings: Settings) -> Iterator[Services]:
    """Open what `examine` reads, for reading only: neither a database nor a key is made.

    Raises:
        ConfigurationError: no secret key. StoreUnavailable, SchemaMismatch.
    """
    if not settings.secret_keys and not settings.key_file.exists():
        raise ConfigurationError(
            f"no secret key: {settings.key_file} is not there, and GATEWAY_SECRET_KEY is not set"
        )
    vault = Vault(settings.secret_keys or (load_or_create_key(settings.key_file),))
    store = Store.open(settings.database_url, read_only=True)
    try:
        store.check_schema()
        yield Services(store=store, settings=settings, vault=vault)
    finally:
        store.close()


def examine(services: Services, capture: Capture, *, addresses: Sequence[str] = ()) -> Verdict:
    """Say why a webhook is refused, and what would have to be otherwise. Reads the store only; asks no carrier.

    Args:
        addresses: what may be entered at the carrier instead of our own address, to be tried as well.

    Raises:
        ConfigurationError: no public URL is set, or the credential's secrets do not open.
    """
    public_url = services.settings.public_url
    if public_url is None:
        raise ConfigurationError(
            "no public URL: set GATEWAY_PUBLIC_URL to the https address that carriers call, and ask again"
        )
    return _Examination(services, capture, public_url, tuple(addresses)).verdict()


@dataclass(frozen=True, slots=True)
class _Judge:
    credential: Credential
    provider: Provider

    @property
    def name(self) -> str:
        return f"{self.credential.name!r} ({self.credential.provider})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A request that verifies, by whom, and what of it differs from what came."""

    judge: _Judge
    request: WebhookRequest
    changes: Changes = ()
    clue: Clue | None = None


@dataclass(slots=True)
class _Examination:
    services: Services
    capture: Capture
    public_url: str
    addresses: tuple[str, ...]
    tried: int = 0
    unopened: list[str] = field(default_factory=list)

    def verdict(self) -> Verdict:
        key, hook, token = self._route()
        request = WebhookRequest(
            method=self.capture.method,
            url=self.public_url + self.capture.target,
            headers=self.capture.headers,
            body=self.capture.body,
            token=token,
        )
        own = self._own(key)
        verdict = self._of(own, hook, request)
        return Verdict(
            reason=verdict.reason,
            message=verdict.message,
            remedy=verdict.remedy,
            aspects=verdict.aspects,
            is_proven=verdict.is_proven,
            credential=own.credential.name if own else None,
            provider=own.credential.provider if own else None,
            place=f"{self.capture.method} {_shown_path(self.capture.target)}",
            tried=self.tried,
        )

    def _of(self, own: _Judge | None, hook: Hook | None, request: WebhookRequest) -> Verdict:
        most = self.services.settings.max_webhook_bytes
        if len(request.body) > most:
            return Verdict(
                reason=RejectionReason.TOO_LARGE,
                message=f"Its body has {len(request.body)} bytes; more than {most} are refused before they are read.",
                remedy="Carriers send nothing so long; when yours does, raise max_webhook_bytes.",
                is_proven=True,
                aspects=(Aspect.BODY,),
            )
        if own is None:
            return self._of_unknown_key(request)
        at = self._moment(own, request)
        refused = self._refusal(own, request, at)
        if refused is None:
            return self._of_signed(own, hook, request)
        fit = self._fit(own, request, at)
        if fit is not None:
            return self._explained(refused.reason, fit, own, request)
        return self._unexplained(refused, own, request)

    # -- who judges --------------------------------------------------------------------------------------------

    def _route(self) -> tuple[str, Hook | None, str | None]:
        """Return key, hook and token of the path, wherever a proxy has put them; "" where there is no key."""
        parts = self.capture.target.partition("?")[0].split("/")
        for at in range(1, len(parts) - 1):
            if parts[at + 1] in {hook.value for hook in Hook} and parts[at]:
                return parts[at], Hook(parts[at + 1]), "/".join(parts[at + 2 :]) or None
        return "", None, None

    def _own(self, key: str) -> _Judge | None:
        credential = self.services.credential_by_key(key) if key else None
        return None if credential is None else _Judge(credential, self.services.provider_of(credential))

    def _others(self, own: _Judge | None) -> Iterator[_Judge]:
        """Every other credential of the carrier, or all where the carrier is not known."""
        for each in credentials.list_credentials(self.services.store):
            if own is not None and (each.id == own.credential.id or each.provider != own.credential.provider):
                continue
            try:
                opened = self.services.credential(each.workspace_id, each.id)
            except ConfigurationError:
                self.unopened.append(each.name)
                continue
            yield _Judge(opened, self.services.provider_of(opened))

    def _moment(self, own: _Judge, request: WebhookRequest) -> datetime:
        """When it came. Where nobody wrote that down: when it was signed, so that its age does not count."""
        if self.capture.received_at is not None:
            return self.capture.received_at
        told = (clue.at for clue in own.provider.diagnose_webhook(request) if clue.at is not None)
        return next(told, self.services.clock())

    def _refusal(self, judge: _Judge, request: WebhookRequest, at: datetime) -> WebhookRejected | None:
        self.tried += 1
        try:
            judge.provider.verify_webhook(request, at)
        except WebhookRejected as refused:
            return refused
        return None

    # -- what fits ---------------------------------------------------------------------------------------------

    def _fit(self, own: _Judge, request: WebhookRequest, at: datetime) -> _Fit | None:
        found = self._fit_of(own, request, at, is_deep=True)
        if found is not None:
            return found
        for judge in self._others(own):
            found = self._fit_of(judge, request, at, is_deep=False)
            if found is not None:
                return found
        return None

    def _fit_of(self, judge: _Judge, request: WebhookRequest, at: datetime, *, is_deep: bool) -> _Fit | None:
        """Try the request as it came, what the carrier's adapter guesses, then what every carrier shares."""
        refused = self._refusal(judge, request, at)
        if refused is None:
            return _Fit(judge=judge, request=request)
        moment = at
        for clue in judge.provider.diagnose_webhook(request):
            if (
                refused.reason is RejectionReason.STALE
            ):  # then everything else is judged at the time that was signed
                moment = clue.at or moment
            if clue.request is not None and self._refusal(judge, clue.request, clue.at or at) is None:
                return _Fit(judge=judge, request=clue.request, changes=(clue.aspect,), clue=clue)
        settings, is_signed = self.services.settings, judge.provider.capabilities.signs_url
        for variant in variants(
            request, self.capture, prefix=settings.webhook_prefix, bind=settings.bind, hints=self.addresses
        ):
            if (not is_signed and variant.request.url != request.url) or (
                not is_deep and len(variant.changes) > 1
            ):
                continue
            if self._refusal(judge, variant.request, moment) is None:
                late = () if moment == at else (Aspect.CLOCK,)
                return _Fit(judge=judge, request=variant.request, changes=(*variant.changes, *late))
        return None

    # -- what is said ------------------------------------------------------------------------------------------

    def _of_signed(self, own: _Judge, hook: Hook | None, request: WebhookRequest) -> Verdict:
        """The signature is right: say what else there is, as `gateway.receiving` decides."""
        by = self._secret_of(own, request)
        if hook is None:
            return Verdict(reason=None, message=f"The signature is right{by}.", is_proven=True)
        try:
            for event in own.provider.read_webhook(hook, request):
                check_account(own.provider, event)
        except WebhookRejected as refused:
            is_other = refused.reason is RejectionReason.WRONG_ACCOUNT
            return Verdict(
                reason=refused.reason,
                message=f"The signature is right{by}, but it is refused: {refused.detail or refused.reason.value}.",
                remedy="Point the number at the addresses of its own account's credential (gateway numbers repair)."
                if is_other
                else "The carrier's part is in order: look whether a proxy changes the request, or report it to us.",
                aspects=(Aspect.TOKEN,) if is_other else (Aspect.BODY,),
                is_proven=True,
            )
        return Verdict(
            reason=None,
            message=f"The signature is right{by}: today the gateway takes this webhook.",
            remedy="It was refused before a setting was changed, or at another process with other settings."
            if self.capture.reason
            else "",
            is_proven=True,
        )

    def _secret_of(self, own: _Judge, request: WebhookRequest) -> str:
        """Say which of two live secrets signed, where there are two."""
        second = {
            name.removesuffix(_SECOND): name for name in own.credential.secrets if name.endswith(_SECOND)
        }
        if not second:
            return ""
        first = {name: value for name, value in own.credential.secrets.items() if not name.endswith(_SECOND)}
        alone = self.services.open_provider(own.credential.provider, first)
        is_first = self._refusal(_Judge(own.credential, alone), request, self._moment(own, request)) is None
        name = next(iter(second)) if is_first else second[next(iter(second))]
        return f", by the secret {name}"

    def _of_unknown_key(self, request: WebhookRequest) -> Verdict:
        reason = RejectionReason.UNKNOWN_KEY
        for judge in self._others(None):
            at = self._moment(judge, request)
            if self._refusal(judge, request, at) is None:
                return Verdict(
                    reason=reason,
                    message=f"No credential has the key in its path, but credential {judge.name} has its secret: the "
                    "carrier still calls the address of a credential that was removed.",
                    remedy="Point the number at the addresses of the credential of today (gateway numbers repair).",
                    aspects=(Aspect.PATH,),
                    is_proven=True,
                )
        return Verdict(
            reason=reason,
            message="No credential has the key in its path, and none of the secrets kept here has signed it: it is of "
            f"a credential that was removed, of another gateway, or forged.{self._said_of_unopened()}",
            remedy="When it is your number: look at `gateway credentials list` and point the number at its addresses "
            "(gateway numbers repair).",
            aspects=(Aspect.PATH,),
        )

    def _explained(self, reason: RejectionReason, fit: _Fit, own: _Judge, request: WebhookRequest) -> Verdict:
        said, remedies = [], []
        changes = fit.changes
        if fit.clue is not None:
            said.append(self._clue_said(fit.clue))
            remedies.append(fit.clue.remedy)
        elif changes:
            what, remedy = self._differs(fit, request)
            said.append(f"The signature matches {what}.")
            remedies.append(remedy)
        if fit.judge.credential.id != own.credential.id:
            changes = (*changes, Aspect.TOKEN)
            said.append(f"It is signed with the secret of credential {fit.judge.name}, not of {own.name}.")
            remedies.append(
                f"Point the number at the addresses of {fit.judge.credential.name!r} (gateway numbers repair): each "
                "account and sub-account signs with its own token."
            )
        return Verdict(
            reason=reason,
            message=" ".join(said),
            remedy=" ".join(remedies),
            aspects=tuple(dict.fromkeys(changes)),
            is_proven=True,
        )

    def _clue_said(self, clue: Clue) -> str:
        came = self.capture.received_at
        if clue.at is None or came is None:
            return clue.said
        seconds = int((came - clue.at).total_seconds())
        when = f"{seconds} s before" if seconds >= 0 else f"{-seconds} s after"
        return f"{clue.said} It was signed {when} it came."

    def _differs(self, fit: _Fit, request: WebhookRequest) -> tuple[str, str]:
        """Say what was signed instead of what came, and the remedy."""
        words, remedies = [], []
        changes = [each for each in fit.changes if each is not Aspect.CLOCK]
        moved = self._moved(fit.request.url, request.url)
        if moved is not None:
            words.append(moved[0])
            remedies.append(moved[1])
            of_address = (Aspect.SCHEME, Aspect.HOST, Aspect.PORT, Aspect.PATH)
            changes = [each for each in changes if each not in of_address]
        for aspect in changes:
            if aspect is Aspect.ENCODING:
                word, remedy = _ENCODED_BODY if fit.request.url == request.url else _ENCODED_URL
            else:
                word, remedy = _REMEDIES[aspect]
            words.append(word)
            remedies.append(remedy + ".")
        if Aspect.CLOCK in fit.changes:
            remedies.append("Its time is too far from the time it came: set this machine's clock by NTP.")
        return " and ".join(words), " ".join(dict.fromkeys(remedies))

    def _moved(self, signed_url: str, own_url: str) -> tuple[str, str] | None:
        """Say that another base address was signed; None when what differs is not the part before our routes."""
        signed, own = Address.of(signed_url), Address.of(own_url)
        tail = self.capture.target.partition("?")[0]
        if signed is None or own is None or (signed.origin, signed.path) == (own.origin, own.path):
            return None
        if not signed.path.endswith(tail):
            if signed.origin == own.origin:
                return None
            word = f"{signed.origin}{_shown_path(signed.path)} instead of {own.origin}{_shown_path(own.path)}"
            return word, "Enter the gateway's own address at the carrier again (gateway numbers repair)."
        base = signed.origin + signed.path[: len(signed.path) - len(tail)]
        said = f"{base} instead of {self.public_url}"
        if signed.scheme == "http" and not signed.host.startswith(("127.", "localhost", "[::1]")):
            return said, (
                f"The carrier calls {base}, which is not encrypted: enter https:// there (gateway numbers repair "
                f"writes {self.public_url} again)."
            )
        return said, f"Set GATEWAY_PUBLIC_URL to {base} and start the gateway again."

    def _unexplained(self, refused: WebhookRejected, own: _Judge, request: WebhookRequest) -> Verdict:
        clues = [each for each in own.provider.diagnose_webhook(request) if each.request is None]
        remedy = " ".join(each.remedy for each in clues)
        said = " ".join([self._why(refused, own), *(each.said for each in clues)]) + self._said_of_unopened()
        return Verdict(
            reason=refused.reason,
            message=said,
            remedy=remedy or self._advice(refused.reason, own),
            aspects=tuple(dict.fromkeys(each.aspect for each in clues)),
        )

    def _why(self, refused: WebhookRejected, own: _Judge) -> str:
        detail = f" ({refused.detail})" if refused.detail else ""
        if refused.reason is RejectionReason.MISSING_SIGNATURE:
            return f"It carries no whole signature of {own.credential.provider}{detail}."
        if refused.reason is RejectionReason.NO_SECRET:
            return f"Credential {own.name} has nothing to check its signature with{detail}."
        return (
            f"The signature fits none of {self.tried} ways in which it may have been made{detail}: neither address nor "
            "body explain it, so it was made with another secret, or of a body that is lost."
        )

    @staticmethod
    def _advice(reason: RejectionReason, own: _Judge) -> str:
        if reason is RejectionReason.MISSING_SIGNATURE:
            return "When it came from the carrier, a proxy drops its headers: have it pass them all. Else it is forged."
        return (
            f"Compare the secret of credential {own.credential.name!r} with the carrier's console (gateway credentials "
            "check); when the number's address at the carrier is another than ours, ask again with --url."
        )

    def _said_of_unopened(self) -> str:
        names = ", ".join(map(repr, self.unopened))
        return f" Not tried, for their secrets do not open: {names}." if names else ""


def _shown_path(path: str) -> str:
    """Return a path for people: keys and tokens cut short, no query."""
    whole, asks, _ = path.partition("?")
    parts = [part if len(part) <= _SHOWN_SEGMENT else f"{part[:4]}…" for part in whole.split("/")]
    return re.sub(r"[^!-~…]", "?", "/".join(parts)) + ("?…" if asks else "")
