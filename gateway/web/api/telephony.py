"""The routes of accounts, their numbers, and the long work over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from flask import Response, url_for

from gateway.assigning import NumberChange
from gateway.byoc import OrderState
from gateway.errors import ConfigurationError, MissingExtra, ValidationError
from gateway.models import ApiKey, Assignment, Credential, Operation, Scope
from gateway.showing import (
    account_document,
    available_document,
    credential_document,
    drift_document,
    found_document,
    number_document,
    operation_document,
)
from gateway.status import Direction
from gateway.web.api import telephony_schemas as schemas
from gateway.web.api.errors import json_response
from gateway.web.api.operations import Api

_CREDENTIALS: Final = "credentials"
_NUMBERS: Final = "numbers"
_ROOT: Final = "/telephony"


def add_credentials(api: Api) -> None:
    """Add the routes of accounts."""
    gateway = api.gateway

    def shown(credential: Credential) -> dict[str, Any]:
        is_reached = gateway.settings.public_url is not None
        return credential_document(
            credential, gateway.credentials.webhooks(credential) if is_reached else None
        )

    def list_credentials(key: ApiKey) -> dict[str, Any]:
        """List the accounts, oldest first, without their secrets."""
        found = gateway.credentials.list(workspace_id=key.workspace_id)
        return {"data": [shown(each) for each in found], "meta": api.meta()}

    def create_credential(key: ApiKey, body: schemas.NewCredential) -> dict[str, Any]:
        """Add an account, after its carrier was asked whether the secrets work."""
        try:
            added = gateway.credentials.add_checked(
                body.provider,
                body.secrets,
                name=body.name,
                exclusive=body.exclusive,
                outbound_profile=body.outbound_profile,
                workspace_id=key.workspace_id,
            )
        except MissingExtra:
            raise
        except ConfigurationError as error:  # here it is the client that named the secrets
            raise ValidationError("secrets", str(error)) from None
        account = None if added.account is None else account_document(added.account)
        return {**shown(added.credential), "account": account}

    def get_credential(key: ApiKey, path: schemas.CredentialPath) -> dict[str, Any]:
        """Fetch an account, without its secrets."""
        return shown(gateway.credentials.get(path.id, workspace_id=key.workspace_id))

    def delete_credential(
        key: ApiKey, path: schemas.CredentialPath, query: schemas.CredentialRemoval
    ) -> None:
        """Remove an account and erase its secrets."""
        gateway.credentials.remove(
            path.id, release_numbers=query.release_numbers, workspace_id=key.workspace_id
        )

    def check_credential(key: ApiKey, path: schemas.CredentialPath) -> dict[str, Any]:
        """Ask the carrier about the account: its state, its balance, what its secrets may not do."""
        found = gateway.credentials.get(path.id, workspace_id=key.workspace_id)
        account = gateway.credentials.check(path.id, workspace_id=key.workspace_id)
        return {**shown(found), "account": account_document(account)}

    def import_numbers(key: ApiKey, path: schemas.CredentialPath, body: schemas.NewImport) -> Response:
        """Begin to take in the account's voice numbers; nothing is changed at the carrier."""
        begun = gateway.operations.start_import(
            path.id, only=body.only, take_over=body.take_over, workspace_id=key.workspace_id
        )
        return _begun(begun)

    read, write = Scope.NUMBERS_READ, Scope.CREDENTIALS_WRITE
    many, one, tag = f"{_ROOT}/credentials", f"{_ROOT}/credentials/<id>", _CREDENTIALS
    checked = schemas.CheckedCredential
    api.add("GET", many, list_credentials, scope=read, answer=schemas.CredentialList, tag=tag)
    api.add(
        "POST", many, create_credential, scope=write, answer=checked, status=201, errors=(409, 502), tag=tag
    )
    api.add("GET", one, get_credential, scope=read, answer=schemas.Credential, tag=tag)
    api.add(
        "DELETE", one, delete_credential, scope=write, answer=None, status=204, errors=(409, 502), tag=tag
    )
    api.add("POST", f"{one}/check", check_credential, scope=read, answer=checked, errors=(502,), tag=tag)
    api.add(
        "POST",
        f"{one}/import",
        import_numbers,
        scope=Scope.NUMBERS_WRITE,
        answer=schemas.Operation,
        status=202,
        tag=tag,
    )


def add_numbers(api: Api) -> None:
    """Add the routes of numbers."""
    gateway = api.gateway

    def assignments_of(key: ApiKey) -> list[Assignment]:
        return list(gateway.numbers.assignments(workspace_id=key.workspace_id))

    def list_numbers(key: ApiKey, query: schemas.NumbersQuery) -> dict[str, Any]:
        """List numbers in the order in which they were added, page by page."""
        page = gateway.numbers.page(
            credential=query.credential_id,
            agent=query.agent_id,
            direction=Direction(query.direction) if query.direction else None,
            country=query.country,
            drifted=query.drifted,
            limit=query.limit,
            cursor=query.cursor,
            workspace_id=key.workspace_id,
        )
        served = _by_number(assignments_of(key))
        pagination = {
            "total": page.total,
            "limit": query.limit,
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
        data = [number_document(each, served.get(each.id, [])) for each in page.numbers]
        return {"data": data, "pagination": pagination, "meta": api.meta()}

    def get_number(key: ApiKey, path: schemas.NumberPath) -> dict[str, Any]:
        """Fetch a number."""
        return number_document(
            gateway.numbers.get(path.id, workspace_id=key.workspace_id), assignments_of(key)
        )

    def release_number(key: ApiKey, path: schemas.NumberPath, query: schemas.Release) -> None:
        """Unassign a number, put back what it pointed at before, and forget it; give it back where that is asked."""
        gateway.numbers.release(path.id, give_back=query.give_back, workspace_id=key.workspace_id)

    def assign_number(key: ApiKey, path: schemas.NumberPath, body: schemas.NewAssignment) -> dict[str, Any]:
        """Let a number serve an agent, and point it at this gateway; what it pointed at before is kept."""
        change = gateway.numbers.assign(
            path.id,
            agent=body.agent_id,
            inbound=body.inbound,
            outbound=body.outbound,
            configure=body.configure,
            take_over=body.take_over,
            workspace_id=key.workspace_id,
        )
        return changed(key, change)

    def unassign_number(key: ApiKey, path: schemas.NumberPath, body: schemas.Unassignment) -> dict[str, Any]:
        """Take a number away from its agents, and put back what it pointed at before with the last inbound one."""
        change = gateway.numbers.unassign(
            path.id,
            agent=body.agent_id,
            direction=Direction(body.direction) if body.direction else None,
            configure=body.configure,
            workspace_id=key.workspace_id,
        )
        return changed(key, change)

    def changed(key: ApiKey, change: NumberChange) -> dict[str, Any]:
        number = gateway.numbers.get(change.number.id, workspace_id=key.workspace_id)
        return {**number_document(number, assignments_of(key)), "notes": list(change.notes)}

    def check_number(key: ApiKey, path: schemas.NumberPath) -> dict[str, Any]:
        """Compare what the carrier has with what we set."""
        found = gateway.numbers.check(path.id, workspace_id=key.workspace_id)
        return found_document(found.number, assignments_of(key), found.differences, found.error)

    def repair_number(key: ApiKey, path: schemas.NumberPath, body: schemas.Repairs) -> dict[str, Any]:
        """Make the carrier have what we set, or only say what differs."""
        done = gateway.numbers.repair(
            path.id, dry_run=body.dry_run, take_over=body.take_over, workspace_id=key.workspace_id
        )
        return {
            **found_document(done.number, assignments_of(key), done.left, done.error),
            "found": [drift_document(each) for each in done.found],
            "notes": list(done.notes),
        }

    def repair_numbers(key: ApiKey, body: schemas.RepairsOfAll) -> Response:
        """Begin the repair of every number in use: what a change of the public URL asks for."""
        begun = gateway.operations.start_repair(
            credential=body.credential_id, take_over=body.take_over, workspace_id=key.workspace_id
        )
        return _begun(begun)

    def list_available_numbers(key: ApiKey, query: schemas.AvailableQuery) -> dict[str, Any]:
        """Search a carrier's inventory of voice numbers; costs nothing."""
        found = gateway.numbers.search(
            query.credential_id,
            country=query.country,
            kind=query.kind,
            area_code=query.area_code,
            contains=query.contains,
            limit=query.limit,
            workspace_id=key.workspace_id,
        )
        return {"data": [available_document(each) for each in found], "meta": api.meta()}

    def buy_number(key: ApiKey, body: schemas.NewPurchase) -> Response:
        """Buy a number: spends money. Asked again it orders nothing that the account has already."""
        bought = gateway.numbers.buy(
            body.phone_number, credential=body.credential_id, workspace_id=key.workspace_id
        )
        number = None if bought.number is None else number_document(bought.number, assignments_of(key))
        document = {
            "phone_number": bought.e164,
            "state": bought.state.value,
            "was_there": bought.was_there,
            "order_ref": bought.order_ref,
            "number": number,
        }
        return json_response(document, 201 if bought.state is OrderState.BOUGHT else 202)

    def get_operation(
        key: ApiKey, path: schemas.OperationPath, query: schemas.ResultsQuery
    ) -> dict[str, Any]:
        """Look how far long work is, and what it did."""
        found = gateway.operations.get(path.id, workspace_id=key.workspace_id)
        results = gateway.operations.results(
            path.id, after=query.after, limit=query.limit, workspace_id=key.workspace_id
        )
        return operation_document(found, results)

    read, write, buy = Scope.NUMBERS_READ, Scope.NUMBERS_WRITE, Scope.NUMBERS_BUY
    many, one, tag = f"{_ROOT}/numbers", f"{_ROOT}/numbers/<id>", _NUMBERS
    api.add("GET", many, list_numbers, scope=read, answer=schemas.NumberList, errors=(404,), tag=tag)
    api.add(
        "POST",
        many,
        buy_number,
        scope=buy,
        answer=schemas.Purchase,
        status=201,
        others={202: schemas.Purchase},
        errors=(404, 409, 502),
        tag=tag,
    )
    api.add(
        "POST",
        f"{many}/repair",
        repair_numbers,
        scope=write,
        answer=schemas.Operation,
        status=202,
        errors=(404,),
        tag=tag,
    )
    api.add("GET", one, get_number, scope=read, answer=schemas.Number, tag=tag)
    api.add("DELETE", one, release_number, scope=buy, answer=None, status=204, errors=(409, 502), tag=tag)
    for word, view, scope, answer in (
        ("assign", assign_number, write, schemas.ChangedNumber),
        ("unassign", unassign_number, write, schemas.ChangedNumber),
        ("check", check_number, read, schemas.CheckedNumber),
        ("repair", repair_number, write, schemas.RepairedNumber),
    ):
        api.add("POST", f"{one}/{word}", view, scope=scope, answer=answer, errors=(409, 502), tag=tag)
    api.add(
        "GET",
        f"{_ROOT}/available-numbers",
        list_available_numbers,
        scope=read,
        answer=schemas.AvailableList,
        errors=(404, 502),
        tag=tag,
    )
    api.add(
        "GET",
        f"{_ROOT}/operations/<id>",
        get_operation,
        scope=read,
        answer=schemas.OperationWithResults,
        tag=tag,
    )


def _begun(operation: Operation) -> Response:
    """Answer that long work has begun, and where to look how far it is."""
    response = json_response(operation_document(operation), 202)
    response.headers["Location"] = url_for(".get_operation", id=operation.id)
    return response


def _by_number(assignments: Iterable[Assignment]) -> Mapping[str, list[Assignment]]:
    found: dict[str, list[Assignment]] = {}
    for each in assignments:
        found.setdefault(each.number_id, []).append(each)
    return found
