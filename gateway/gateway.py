"""`Gateway`: what an embedding program talks to. It composes the use cases and decides nothing itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from gateway import (
    acting,
    analyzing,
    assigning,
    buying,
    checking,
    claiming,
    crediting,
    dialing,
    editing,
    ending,
    importing,
    linking,
    operating,
    provisioning,
    reaching,
    receiving,
    reconciling,
)
from gateway.background import Background
from gateway.byoc import AvailableNumber, CallerId, CallerIdVerification
from gateway.errors import NotFound, ValidationError, WebhookRejected
from gateway.interface import AccountInfo, Hook, RecordingStream, WebhookReply, WebhookRequest
from gateway.models import (
    DEFAULT_WORKSPACE,
    Agent,
    Analysis,
    AnalysisSummary,
    Assignment,
    Attempt,
    Call,
    CallSettings,
    Credential,
    EventRecord,
    Number,
    Operation,
    OperationResult,
)
from gateway.notifying import Handler
from gateway.refusals import Refusals
from gateway.services import Services
from gateway.settings import Settings, load_settings
from gateway.status import CallStatus, Direction
from gateway.store import Store, agents, analyses, attempts, calls, credentials, events, numbers
from gateway.store.rows import CallPage, CallStats, NumberPage
from gateway.vault import Vault, load_or_create_key


class Gateway:
    """One interface over the carriers. Thread-safe; one per process is enough.

    `credentials`, `numbers`, `operations`, `agents` and `calls` hold the verbs of each thing. Everything belongs to a
    workspace; leave it out when there are no tenants.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.credentials = Credentials(services)
        self.numbers = Numbers(services)
        self.operations = Operations(services)
        self.agents = Agents(services)
        self.calls = Calls(services)
        self.background = Background(services)
        self.refusals = Refusals(services.settings, services.vault, services.clock)

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        config_file: str | os.PathLike[str] | None = None,
        upgrade: bool | None = None,
        create: bool = False,
        background: bool = True,
        **arguments: Any,
    ) -> Gateway:
        """Open a gateway.

        Args:
            settings: all settings at once; else they are read: argument, then GATEWAY_*, then file, then default.
            upgrade: bring the database to this version's schema; None: yes for SQLite, no for a server.
            create: make the schema where there is none yet, whatever `upgrade` says; an older one stays as it is.
            background: carry out follow-up commands in a thread of this process, started on first need. False:
                call `run_due` and `sweep` yourself.

        Raises:
            ConfigurationError: a wrong setting, a wrong secret key, a schema that does not fit.
            StoreUnavailable: the database cannot be opened now.
        """
        found = settings or load_settings(config_file, **arguments)
        store = Store.open(found.database_url)
        try:
            if store.is_sqlite if upgrade is None else upgrade:
                store.upgrade()
            elif create:
                store.create()
            else:
                store.check_schema()
            keys = found.secret_keys or (load_or_create_key(found.key_file),)
            gateway = cls(Services(store=store, settings=found, vault=Vault(keys)))
        except BaseException:
            store.close()
            raise
        if background:
            gateway.services.wake = gateway.background.wake
        return gateway

    def close(self) -> None:
        """Stop the background thread and close the database."""
        self.background.stop()
        self.services.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.services.settings

    # -- calls --------------------------------------------------------------------------------------------------

    def place_call(
        self,
        agent: str,
        to: str,
        *,
        from_number: str | None = None,
        variables: Mapping[str, str] | None = None,
        settings: CallSettings | None = None,
        context: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
        extra: Mapping[str, Any] | None = None,
    ) -> Call:
        """Place an outbound call; return it once the carrier has answered the request (or not).

        Whatever happens, at most one dial request is handed to the carrier, unless there is proof that the earlier
        one was not processed. When its outcome is not known the call stays `queued` with `context["dial"] ==
        "unconfirmed"` until a webhook or the sweeper settles it.

        Args:
            to: E.164. from_number: E.164, assigned to the agent for outbound; None: the agent's strategy chooses.
            variables: strings for the agent's templates. extra: carrier parameters sent as they are.

        Raises:
            ValidationError and its kinds (InvalidNumber, DialRefused, CallerIdRefused, NoOutboundNumber), NotFound,
            Conflict, PaymentRequired, ConfigurationError, StoreUnavailable: nothing was sent.
        """
        asked = dialing.PlaceCall(
            agent=agent,
            to=to,
            from_number=from_number,
            variables=variables or {},
            settings=settings or CallSettings(),
            context=context or {},
            workspace_id=workspace_id,
            idempotency_key=idempotency_key,
            extra=extra or {},
        )
        return dialing.place_call(self.services, asked)

    def hang_up(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Call:
        """End a call, also while queued or ringing; see `gateway.ending.hang_up`."""
        return ending.hang_up(self.services, workspace_id, call_id)

    def fetch_recording(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> RecordingStream:
        """Stream a call's recording from the carrier with our credentials.

        Raises:
            NotFound: no such call, or no recording (yet). ProviderError.
        """
        call = calls.load_call(self.services.store, call_id, workspace_id=workspace_id)
        if call.recording is None:
            raise NotFound("recording of call", call_id)
        _, provider = self.services.provider_for(call)
        return provider.fetch_recording(call.recording.ref, call.recording.url)

    @property
    def authorize_call(self) -> Callable[[dialing.PlaceCall], object] | None:
        """Your say before a call is placed: a function of what was asked for that raises `PaymentRequired`.

        It is asked once a call, before anything is stored or sent, and not again when a request is repeated under its
        idempotency key. Whatever else it raises stops the call too. None (the default): every call is placed.
        """
        return self.services.authorize_call

    @authorize_call.setter
    def authorize_call(self, hook: Callable[[dialing.PlaceCall], object] | None) -> None:
        self.services.authorize_call = hook

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Return a decorator for a handler of "call.ringing", "call.answered", "call.ended" and so on."""
        return self.services.notifier.on(event)

    # -- the web side -------------------------------------------------------------------------------------------

    def receive(self, key: str, hook: Hook, request: WebhookRequest) -> WebhookReply:
        """Take one carrier webhook; see `gateway.receiving.receive`."""
        try:
            return receiving.receive(self.services, key, hook, request)
        except WebhookRejected as error:
            self.refusals.note(error, hook, request)
            raise

    def answer_ping(self, nonce: str, target: str, body: bytes) -> dict[str, str] | None:
        """Prove that a request under the public URL reached this gateway; see `gateway.reaching.answer_ping`."""
        return reaching.answer_ping(self.services.vault, self.settings, nonce, target, body)

    def claim_stream(self, token: str) -> dict[str, Any]:
        """Claim a media stream for its agent; see `gateway.claiming.claim_stream`."""
        return claiming.claim_stream(self.services, token)

    # -- upkeep -------------------------------------------------------------------------------------------------

    def sweep(self) -> reconciling.Swept:
        """Do one round of everything that is due: quiet calls, unknown dials, late joins, costs, follow-ups."""
        return reconciling.sweep(self.services)

    def run_due(self) -> int:
        """Carry out follow-up commands that are due; return how many. The background thread does this by itself."""
        return acting.run_due(self.services)

    def reconcile(self, *, workspace_id: str = DEFAULT_WORKSPACE) -> list[Call]:
        """Ask the carriers now about every open call and unknown dial; return the calls as they then are."""
        return reconciling.reconcile(self.services, workspace_id)


class Credentials:
    """Accounts at carriers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def add(
        self,
        provider: str,
        *,
        name: str = "",
        exclusive: bool = True,
        check: bool = True,
        outbound_profile: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
        secrets: Mapping[str, str] | None = None,
        **more_secrets: str,
    ) -> Credential:
        """Add an account; its secrets by the carrier's field names, as arguments or in `secrets`.

        A name that is an argument of this method (`name`, `exclusive` ...) can be a secret in `secrets` only.

        Args:
            check: ask the carrier whether the secrets work. outbound_profile: what outbound calls are billed by.

        Raises:
            as `gateway.crediting.add_credential`.
        """
        return self.add_checked(
            provider,
            _merged(secrets, more_secrets),
            name=name,
            exclusive=exclusive,
            check=check,
            outbound_profile=outbound_profile,
            workspace_id=workspace_id,
        ).credential

    def add_checked(
        self,
        provider: str,
        secrets: Mapping[str, str],
        *,
        name: str = "",
        exclusive: bool = True,
        check: bool = True,
        outbound_profile: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> crediting.CredentialAdded:
        """Do the same; return what the carrier says about the account too."""
        return crediting.add_credential(
            self._services,
            provider,
            secrets,
            name=name,
            exclusive=exclusive,
            check=check,
            outbound_profile=outbound_profile,
            workspace_id=workspace_id,
        )

    def get(self, ident: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Credential:
        """Return the credential of that id, name or account. Raises NotFound."""
        return provisioning.find_credential(self._services, ident, workspace_id)

    def list(self, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[Credential]:
        """Return the workspace's credentials, oldest first, without secrets."""
        return credentials.list_credentials(self._services.store, workspace_id)

    def check(self, ident: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> AccountInfo:
        """Ask the carrier who the account is. Raises NotFound, ProviderError."""
        return crediting.check_credential(self._services, ident, workspace_id)

    def rotate(
        self,
        ident: str,
        *,
        check: bool = True,
        workspace_id: str = DEFAULT_WORKSPACE,
        secrets: Mapping[str, str] | None = None,
        **more_secrets: str,
    ) -> Credential:
        """Add new secrets, beside the old ones where both can live; see `gateway.crediting.rotate_credential`."""
        return crediting.rotate_credential(
            self._services,
            ident,
            _merged(secrets, more_secrets),
            check=check,
            workspace_id=workspace_id,
        )

    def retire(self, ident: str, *, check: bool = True, workspace_id: str = DEFAULT_WORKSPACE) -> Credential:
        """End the old secrets of a rotation; see `gateway.crediting.retire_credential`."""
        return crediting.retire_credential(self._services, ident, check=check, workspace_id=workspace_id)

    def rekey(self, on_progress: Callable[[int], object] = lambda done: None) -> crediting.Rekeyed:
        """Seal every workspace's secrets with the newest key; see `gateway.crediting.rekey`."""
        return crediting.rekey(self._services, on_progress)

    def remove(
        self,
        ident: str,
        *,
        release_numbers: bool = False,
        configure: bool = True,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[str]:
        """Remove an account, return what stays at the carrier; see `gateway.crediting.remove_credential`."""
        return crediting.remove_credential(
            self._services,
            ident,
            release_numbers=release_numbers,
            configure=configure,
            workspace_id=workspace_id,
        )

    def webhooks(self, credential: Credential) -> dict[str, str]:
        """Return the URLs that the carrier must be given for the account's numbers. Raises ConfigurationError."""
        return self._services.urls.webhooks(credential.key)


class Numbers:
    """Numbers of the accounts, and whom they serve. A number is named by its E.164 text, or by its id."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def add(self, e164: str, *, credential: str, workspace_id: str = DEFAULT_WORKSPACE) -> Number:
        """Add a number of an account, without asking the carrier. Raises InvalidNumber, NotFound, Conflict."""
        return provisioning.add_number(self._services, e164, credential, workspace_id=workspace_id)

    def get(self, ident: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Number:
        """Return a number. Raises InvalidNumber, NotFound."""
        return provisioning.find_number(self._services, ident, workspace_id)

    def list(self, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[Number]:
        """Return the workspace's numbers in the order in which they were added."""
        return numbers.list_numbers(self._services.store, workspace_id)

    def page(
        self,
        *,
        credential: str | None = None,
        agent: str | None = None,
        direction: Direction | None = None,
        country: str | None = None,
        drifted: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> NumberPage:
        """Return one page of numbers, in the order in which they were added, and how many meet the filters.

        Raises:
            NotFound: no such credential. ValidationError: the cursor is not one of ours, or of other filters.
        """
        account = None
        if credential is not None:
            account = provisioning.find_credential(self._services, credential, workspace_id).id
        return numbers.page_numbers(
            self._services.store,
            workspace_id,
            credential_id=account,
            agent_id=agent,
            direction=direction,
            country=country,
            is_drifted=drifted,
            limit=limit,
            cursor=cursor,
        )

    def assignments(self, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[Assignment]:
        """Return who is served by which number, in the order of assignment."""
        return numbers.list_assignments(self._services.store, workspace_id)

    def assign(
        self,
        ident: str,
        *,
        agent: str,
        inbound: bool = False,
        outbound: bool = False,
        configure: bool = True,
        take_over: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> assigning.NumberChange:
        """Let a number serve an agent, and point it at us; see `gateway.assigning.assign_number`."""
        return assigning.assign_number(
            self._services,
            ident,
            agent,
            inbound=inbound,
            outbound=outbound,
            configure=configure,
            take_over=take_over,
            workspace_id=workspace_id,
        )

    def unassign(
        self,
        ident: str,
        *,
        agent: str | None = None,
        direction: Direction | None = None,
        configure: bool = True,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> assigning.NumberChange:
        """Take a number away from its agents, and put it back; see `gateway.assigning.unassign_number`."""
        return assigning.unassign_number(
            self._services,
            ident,
            agent=agent,
            direction=direction,
            configure=configure,
            workspace_id=workspace_id,
        )

    def release(
        self,
        ident: str,
        *,
        give_back: bool = False,
        configure: bool = True,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> assigning.NumberChange:
        """Unassign a number, put it back and forget it; see `gateway.assigning.release_number`."""
        return assigning.release_number(
            self._services, ident, give_back=give_back, configure=configure, workspace_id=workspace_id
        )

    # -- keeping them pointed -----------------------------------------------------------------------------------

    def check(self, ident: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> checking.NumberCheck:
        """Compare what the carrier has with what we set; see `gateway.checking.check_number`."""
        return checking.check_number(self._services, ident, workspace_id)

    def check_all(
        self,
        *,
        credential: str | None = None,
        on_progress: Callable[[int, int], object] = lambda done, total: None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[checking.NumberCheck]:
        """Do the same for every number in use; see `gateway.checking.check_numbers`."""
        return checking.check_numbers(
            self._services, workspace_id, credential=credential, on_progress=on_progress
        )

    def repair(
        self,
        ident: str,
        *,
        dry_run: bool = False,
        take_over: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> checking.Repair:
        """Make the carrier have what we set; see `gateway.checking.repair_number`."""
        return checking.repair_number(
            self._services, ident, dry_run=dry_run, take_over=take_over, workspace_id=workspace_id
        )

    # -- taking them in -----------------------------------------------------------------------------------------

    def import_from(
        self,
        credential: str,
        *,
        only: Sequence[str] | None = None,
        dry_run: bool = False,
        take_over: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[importing.ImportVerdict]:
        """Add every voice number of an account; see `gateway.importing.import_numbers`."""
        return importing.import_numbers(
            self._services,
            credential,
            only=only,
            dry_run=dry_run,
            take_over=take_over,
            workspace_id=workspace_id,
        )

    def search(
        self,
        credential: str,
        *,
        country: str,
        kind: str = "local",
        area_code: str | None = None,
        contains: str | None = None,
        limit: int = 20,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[AvailableNumber]:
        """Search the carrier's inventory; see `gateway.buying.search_numbers`."""
        return buying.search_numbers(
            self._services,
            credential,
            country=country,
            kind=kind,
            area_code=area_code,
            contains=contains,
            limit=limit,
            workspace_id=workspace_id,
        )

    def quote(
        self, e164: str, *, credential: str, workspace_id: str = DEFAULT_WORKSPACE
    ) -> AvailableNumber | None:
        """Return a number that can be bought, with its price; see `gateway.buying.quote_number`."""
        return buying.quote_number(self._services, credential, e164, workspace_id)

    def buy(self, e164: str, *, credential: str, workspace_id: str = DEFAULT_WORKSPACE) -> buying.Bought:
        """Buy a number: spends money; see `gateway.buying.buy_number`."""
        return buying.buy_number(self._services, credential, e164, workspace_id=workspace_id)

    def caller_ids(self, credential: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[CallerId]:
        """Return the foreign numbers that an account may show. Raises as `gateway.buying.list_caller_ids`."""
        return buying.list_caller_ids(self._services, credential, workspace_id)

    def verify_caller_id(
        self, e164: str, *, credential: str, by: str = "call", workspace_id: str = DEFAULT_WORKSPACE
    ) -> CallerIdVerification:
        """Begin to verify a foreign number; see `gateway.buying.start_caller_id`."""
        return buying.start_caller_id(self._services, credential, e164, by=by, workspace_id=workspace_id)

    def confirm_caller_id(
        self,
        e164: str,
        *,
        credential: str,
        verification_ref: str | None = None,
        code: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Number:
        """Finish a verification and add the number; see `gateway.buying.confirm_caller_id`."""
        return buying.confirm_caller_id(
            self._services, credential, e164, verification_ref, code, workspace_id=workspace_id
        )

    def add_caller_id(self, e164: str, *, credential: str, workspace_id: str = DEFAULT_WORKSPACE) -> Number:
        """Add a foreign number that the account may show already; see `gateway.buying.add_caller_id`."""
        return buying.add_caller_id(self._services, credential, e164, workspace_id=workspace_id)

    def add_sip(
        self,
        e164s: Sequence[str],
        *,
        credential: str,
        name: str = "sip",
        carrier_host: str | None = None,
        carrier_ips: Sequence[str] = (),
        username: str | None = None,
        password: str | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> linking.SipAdded:
        """Link an account to the SIP carrier that has these numbers; see `gateway.linking.add_sip`."""
        return linking.add_sip(
            self._services,
            credential,
            e164s,
            name=name,
            carrier_host=carrier_host,
            carrier_ips=carrier_ips,
            username=username,
            password=password,
            workspace_id=workspace_id,
        )


class Operations:
    """Long work over many numbers. It is done by `gateway serve`, unless `claim` and `perform` do it here."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def start_import(
        self,
        credential: str,
        *,
        only: Sequence[str] | None = None,
        take_over: bool = False,
        claim: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Operation:
        """Begin the import of an account's numbers; see `gateway.operating.start_import`."""
        return operating.start_import(
            self._services,
            credential,
            only=only,
            take_over=take_over,
            claim=claim,
            workspace_id=workspace_id,
        )

    def start_csv_import(
        self,
        text: str,
        *,
        credential: str | None = None,
        configure: bool = True,
        take_over: bool = False,
        claim: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Operation:
        """Begin the import of a CSV file; see `gateway.operating.start_csv_import`."""
        return operating.start_csv_import(
            self._services,
            text,
            credential=credential,
            configure=configure,
            take_over=take_over,
            claim=claim,
            workspace_id=workspace_id,
        )

    def start_repair(
        self,
        *,
        credential: str | None = None,
        take_over: bool = False,
        claim: bool = False,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Operation:
        """Begin the repair of every number in use; see `gateway.operating.start_repair`."""
        return operating.start_repair(
            self._services,
            credential=credential,
            take_over=take_over,
            claim=claim,
            workspace_id=workspace_id,
        )

    def claim(self, operation_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Operation:
        """Claim an operation that was left, for `perform`. Raises NotFound, Conflict."""
        return operating.claim(self._services, operation_id, workspace_id)

    def perform(
        self, claimed: Operation, on_progress: operating.Progress = lambda operation: None
    ) -> Operation:
        """Do a claimed operation; see `gateway.operating.perform`."""
        return operating.perform(self._services, claimed, on_progress)

    def get(self, operation_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Operation:
        """Return an operation as it stands. Raises NotFound."""
        return operating.load_operation(self._services, operation_id, workspace_id)

    def list(
        self, *, also_ended: bool = False, limit: int = 100, workspace_id: str = DEFAULT_WORKSPACE
    ) -> Sequence[Operation]:
        """Return the operations that are not over, or all that are kept, the newest first. Raises ValidationError."""
        return operating.list_operations(
            self._services, also_ended=also_ended, limit=limit, workspace_id=workspace_id
        )

    def results(
        self,
        operation_id: str,
        *,
        after: int = 0,
        limit: int = 1000,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[tuple[int, OperationResult]]:
        """Return what an operation did, each with its position from 1 on. Raises NotFound."""
        return operating.list_results(
            self._services, operation_id, after=after, limit=limit, workspace_id=workspace_id
        )


class Agents:
    """What talks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def put(self, agent: Agent) -> Agent:
        """Add an agent or replace the one of the same id. Raises ValidationError."""
        return provisioning.put_agent(self._services, agent)

    def get(self, agent_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Agent:
        """Return an agent. Raises NotFound."""
        agent = self._services.agent(workspace_id, agent_id)
        if agent is None:
            raise NotFound("agent", agent_id)
        return agent

    def list(self, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[Agent]:
        """Return the workspace's agents in the order in which they were first put."""
        return agents.list_agents(self._services.store, workspace_id)

    def remove(self, agent_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> None:
        """Remove an agent. Raises NotFound; Conflict while a number is assigned to it."""
        provisioning.remove_agent(self._services, agent_id, workspace_id)


class Calls:
    """What was and is being said."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def get(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Call:
        """Return a call. Raises NotFound, also for another workspace's."""
        return calls.load_call(self._services.store, call_id, workspace_id=workspace_id)

    def list(
        self,
        *,
        status: CallStatus | None = None,
        direction: Direction | None = None,
        agent_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
        offset: int = 0,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> CallPage:
        """Return one page of calls, newest first; `next_cursor` continues it, at the same cost however deep.

        Raises:
            ValidationError: the cursor is not one of ours, or belongs to other filters.
        """
        return calls.list_calls(
            self._services.store,
            workspace_id,
            status=status,
            direction=direction,
            agent_id=agent_id,
            created_after=created_after,
            created_before=created_before,
            limit=limit,
            cursor=cursor,
            offset=offset,
        )

    def count(
        self,
        *,
        status: CallStatus | None = None,
        direction: Direction | None = None,
        agent_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        cap: int = calls.COUNT_CAP,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> int:
        """Return how many calls the filters meet, counted up to `cap`: a result of `cap` means "at least so many"."""
        return calls.count_calls(
            self._services.store,
            workspace_id,
            status=status,
            direction=direction,
            agent_id=agent_id,
            created_after=created_after,
            created_before=created_before,
            cap=cap,
        )

    def stats(self, since: datetime, until: datetime, *, workspace_id: str = DEFAULT_WORKSPACE) -> CallStats:
        """Return sums over the calls created from `since` on and before `until`. Reads each of them: bound the span."""
        return calls.call_stats(self._services.store, workspace_id, since, until)

    def edit(
        self,
        call_id: str,
        *,
        context: Mapping[str, Any] | None = None,
        recording_enabled: bool | None = None,
        transcription_enabled: bool | None = None,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Call:
        """Change what may change of a call; see `gateway.editing.edit_call`."""
        return editing.edit_call(
            self._services,
            workspace_id,
            call_id,
            context=context,
            recording_enabled=recording_enabled,
            transcription_enabled=transcription_enabled,
        )

    def delete(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> None:
        """Delete a call that is over, with its events and its analysis. Raises NotFound; Conflict while it is live."""
        editing.delete_call(self._services, workspace_id, call_id)

    def delete_many(
        self, call_ids: Iterable[str], *, workspace_id: str = DEFAULT_WORKSPACE
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Delete the calls that are over; return the ids of the deleted ones and of the others, in the order given."""
        return editing.delete_calls(self._services, workspace_id, call_ids)

    def put_analysis(
        self, call_id: str, analysis: Analysis, *, workspace_id: str = DEFAULT_WORKSPACE
    ) -> Call:
        """Keep what was found out about a call; see `gateway.analyzing.put_analysis`."""
        return analyzing.put_analysis(self._services, workspace_id, call_id, analysis)

    def analysis(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Analysis:
        """Return a call's analysis. Raises NotFound: no such call, or nobody handed one in yet."""
        return analyzing.load_analysis(self._services, workspace_id, call_id)

    def get_with_analysis(
        self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE
    ) -> tuple[Call, AnalysisSummary | None]:
        """Return a call with its analysis, if there is one, but for the transcript. Raises NotFound."""
        return calls.load_call_with_analysis(self._services.store, call_id, workspace_id=workspace_id)

    def analyses_of(self, found: Iterable[Call]) -> Mapping[str, AnalysisSummary]:
        """Return the analyses of these calls by call id, without transcripts; calls that have none are left out."""
        return analyses.analyses_of(self._services.store, [call.id for call in found])

    def events(
        self,
        call_id: str,
        *,
        after_id: str | None = None,
        limit: int = 1000,
        workspace_id: str = DEFAULT_WORKSPACE,
    ) -> Sequence[EventRecord]:
        """Return the call's timeline: each event, when, what became of it. Raises NotFound."""
        self.get(call_id, workspace_id=workspace_id)
        return events.list_events(self._services.store, call_id, after_id=after_id, limit=limit)

    def latest_event_id(self) -> str | None:
        """Return where a tail of events starts: the id of the last one, of any workspace; None: there is none."""
        return events.latest_event_id(self._services.store)

    def tail(
        self, *, after_id: str | None = None, limit: int = 500, workspace_id: str = DEFAULT_WORKSPACE
    ) -> Sequence[EventRecord]:
        """Return the events of every call of the workspace after `after_id`, in the order they were stored."""
        return events.tail_events(self._services.store, workspace_id, after_id=after_id, limit=limit)

    def attempts(self, call_id: str, *, workspace_id: str = DEFAULT_WORKSPACE) -> Sequence[Attempt]:
        """Return the call's dial attempts, the first one first. Raises NotFound."""
        self.get(call_id, workspace_id=workspace_id)
        return attempts.list_attempts(self._services.store, call_id)


def _merged(secrets: Mapping[str, str] | None, more: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of both. Raises ValidationError for one that is given twice."""
    given = dict(secrets or {})
    if twice := sorted(given.keys() & more.keys()):
        raise ValidationError("secrets", f"given twice: {', '.join(twice)}")
    return {**given, **more}
