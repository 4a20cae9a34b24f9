"""The routes of webhook endpoints: where the gateway's events go. All of them need an admin's key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from gateway import endpoints
from gateway.models import ApiKey, Scope
from gateway.showing import endpoint_document
from gateway.web.api import schemas
from gateway.web.api.operations import Api

_TAG: Final = "webhook endpoints"


def add_endpoints(api: Api) -> None:
    """Add the routes of webhook endpoints."""
    services = api.gateway.services

    def list_webhook_endpoints(key: ApiKey) -> dict[str, Any]:
        """List the webhook endpoints, oldest first, without their secrets."""
        found = endpoints.list_endpoints(services, key.workspace_id)
        return {"data": [endpoint_document(each) for each in found], "meta": api.meta()}

    def create_webhook_endpoint(key: ApiKey, body: schemas.NewEndpoint) -> dict[str, Any]:
        """Add a webhook endpoint; its secret is shown this once."""
        made, secret = endpoints.create_endpoint(
            services,
            body.url,
            event_types=body.event_types,
            include_numbers=body.include_numbers,
            workspace_id=key.workspace_id,
        )
        return {**endpoint_document(made), "secret": secret}

    def get_webhook_endpoint(key: ApiKey, path: schemas.EndpointPath) -> dict[str, Any]:
        """Fetch a webhook endpoint, without its secret."""
        return endpoint_document(endpoints.load_endpoint(services, path.id, key.workspace_id))

    def update_webhook_endpoint(
        key: ApiKey, path: schemas.EndpointPath, body: schemas.EndpointChange
    ) -> dict[str, Any]:
        """Change where events go, or which, or switch the endpoint on or off."""
        changed = endpoints.change_endpoint(
            services,
            path.id,
            url=body.url,
            event_types=body.event_types,
            include_numbers=body.include_numbers,
            workspace_id=key.workspace_id,
        )
        if body.is_enabled is not None and body.is_enabled is not changed.is_enabled:
            switch = endpoints.enable_endpoint if body.is_enabled else endpoints.disable_endpoint
            changed = switch(services, path.id, workspace_id=key.workspace_id)
        return endpoint_document(changed)

    def delete_webhook_endpoint(key: ApiKey, path: schemas.EndpointPath) -> None:
        """Delete a webhook endpoint; nothing more is sent to it."""
        endpoints.remove_endpoint(services, path.id, workspace_id=key.workspace_id)

    def rotate_webhook_secret(
        key: ApiKey, path: schemas.EndpointPath, body: schemas.Rotation
    ) -> dict[str, Any]:
        """Make a new secret, shown this once; for a while the one before it signs too."""
        changed, secret = endpoints.rotate_secret(
            services, path.id, overlap=timedelta(hours=body.overlap_hours), workspace_id=key.workspace_id
        )
        return {**endpoint_document(changed), "secret": secret}

    admin, many, one = Scope.ADMIN, "/webhook-endpoints", "/webhook-endpoints/<id>"
    api.add("GET", many, list_webhook_endpoints, scope=admin, answer=schemas.EndpointList, tag=_TAG)
    api.add(
        "POST",
        many,
        create_webhook_endpoint,
        scope=admin,
        answer=schemas.EndpointWithSecret,
        status=201,
        tag=_TAG,
    )
    api.add("GET", one, get_webhook_endpoint, scope=admin, answer=schemas.Endpoint, tag=_TAG)
    api.add("PATCH", one, update_webhook_endpoint, scope=admin, answer=schemas.Endpoint, tag=_TAG)
    api.add("DELETE", one, delete_webhook_endpoint, scope=admin, answer=None, status=204, tag=_TAG)
    api.add(
        "POST",
        f"{one}/rotate",
        rotate_webhook_secret,
        scope=admin,
        answer=schemas.EndpointWithSecret,
        tag=_TAG,
    )
