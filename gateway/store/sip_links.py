"""Links between an account and another SIP carrier, with their passwords as the vault sealed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, exists, insert, select, update

from gateway.errors import NotFound
from gateway.models import SipLink
from gateway.store.codec import read_json, write_json
from gateway.store.engine import Reader, Tx
from gateway.store.rows import SealedSipLink
from gateway.store.tables import number, sip_link

_c = sip_link.c
_INSERT: Final = insert(sip_link)
_BY_ID: Final = select(sip_link).where(_c.id == bindparam("id"))
_BY_NAME: Final = select(sip_link).where(
    _c.credential_id == bindparam("credential_id"), _c.name == bindparam("name")
)
_ALL: Final = select(sip_link).order_by(_c.id)
_THIS: Final = update(sip_link).where(_c.id == bindparam("link_id"))
_WRITTEN: Final = ("carrier_host", "carrier_ips", "username", "sealed", "refs", "trunk_ref")
_SAVE: Final = _THIS.values({name: bindparam(f"new_{name}") for name in _WRITTEN})
_REMOVE_UNUSED: Final = delete(sip_link).where(
    _c.id == bindparam("link_id"), ~exists().where(number.c.sip_link_id == bindparam("link_id"))
)
_RESEAL: Final = _THIS.where(_c.sealed == bindparam("old_sealed")).values(sealed=bindparam("new_sealed"))


def insert_sip_link(tx: Tx, new: SipLink, *, sealed: str) -> None:
    """Add a link. Raises Conflict when the account has one of that name."""
    fixed = {
        name: getattr(new, name) for name in ("id", "workspace_id", "credential_id", "name", "created_at")
    }
    tx.write(_INSERT, {**fixed, **_written(new, sealed)})


def save_sip_link(tx: Tx, changed: SipLink, *, sealed: str) -> None:
    """Write what may change of a link. Raises NotFound."""
    values = {f"new_{name}": value for name, value in _written(changed, sealed).items()}
    if not tx.write(_SAVE, {**values, "link_id": changed.id}):
        raise NotFound("SIP link", changed.name)


def load_sip_link(source: Reader, link_id: str) -> SealedSipLink:
    """Return a link. Raises NotFound."""
    row = source.one(_BY_ID, {"id": link_id})
    if row is None:
        raise NotFound("SIP link", link_id)
    return _sealed(row)


def find_sip_link(source: Reader, credential_id: str, name: str) -> SealedSipLink | None:
    """Return the account's link of that name, or None."""
    row = source.one(_BY_NAME, {"credential_id": credential_id, "name": name})
    return None if row is None else _sealed(row)


def list_sip_links(source: Reader) -> list[SealedSipLink]:
    """Return the links of every workspace."""
    return [_sealed(row) for row in source.rows(_ALL)]


def save_resealed_link(tx: Tx, link_id: str, *, old: str, new: str) -> bool:
    """Replace the sealed password where it is still `old`; return whether it was."""
    return bool(tx.write(_RESEAL, {"link_id": link_id, "old_sealed": old, "new_sealed": new}))


def remove_unused_link(tx: Tx, link_id: str) -> None:
    """Remove a link that no number is at any more; another one stays."""
    tx.write(_REMOVE_UNUSED, {"link_id": link_id})


def _written(link: SipLink, sealed: str) -> Mapping[str, Any]:
    return {
        "carrier_host": link.carrier_host,
        "carrier_ips": write_json(list(link.carrier_ips)),
        "username": link.username,
        "sealed": sealed,
        "refs": write_json(dict(link.refs)),
        "trunk_ref": link.trunk_ref,
    }


def _sealed(row: Row[Any]) -> SealedSipLink:
    link = SipLink(
        id=row.id,
        workspace_id=row.workspace_id,
        credential_id=row.credential_id,
        name=row.name,
        carrier_host=row.carrier_host,
        carrier_ips=tuple(read_json(row.carrier_ips)),
        username=row.username,
        refs=read_json(row.refs),
        trunk_ref=row.trunk_ref,
        created_at=row.created_at,
    )
    return SealedSipLink(link=link, sealed=row.sealed)
