"""SIP: credentials and access lists of applications (`SipAuth`), and trunks with all that belongs to them (`Zentrunk`).

Source: Plivo's API reference (plivo.com/docs, read 2026). Kept and shown, not played: no SIP is spoken, so that a
number at a trunk is not answered. The path of SipAuth's access lists, the statuses and the texts of Zentrunk are
unconfirmed; so is that a thing in use can be deleted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest
from providers.simulator.carriers.plivo import rest
from providers.simulator.carriers.plivo.accounts import PlivoAccount
from providers.simulator.carriers.plivo.rest import RestError, Table
from providers.simulator.carriers.plivo.verbs import NO_CONTENT, Json, Line, Verb, Verbs

ACL_ENTRIES: Final = 50
REALM: Final = "app.plivo.com"
TRUNK_ID_DIGITS: Final = 17


def addresses(value: Any) -> list[str]:
    """Check for a list of IP addresses or networks, at most 50."""
    if not isinstance(value, list) or not 1 <= len(value) <= ACL_ENTRIES:
        raise ValueError(f"must be a list of 1..{ACL_ENTRIES} IP addresses")
    for each in value:
        ipaddress.ip_network(str(each), strict=False)  # its ValueError says what is wrong
    return value


def password(value: Any) -> str:
    """Check for 12 to 128 characters with an upper case letter, a lower case one and a digit."""
    if not isinstance(value, str) or not 12 <= len(value) <= 128:
        raise ValueError("must have 12..128 characters")
    if not all(re.search(kind, value) for kind in ("[A-Z]", "[a-z]", "[0-9]")):
        raise ValueError("must have an upper case letter, a lower case letter and a digit")
    return value


def user_name(value: Any) -> str:
    """Check for 3 to 64 characters without spaces."""
    if not isinstance(value, str) or not re.fullmatch(r"[^\s:@]{3,64}", value):
        raise ValueError("must have 3..64 characters without spaces, : and @")
    return value


@dataclass(frozen=True, slots=True)
class Collection:
    """One resource with its five requests.

    Attributes:
        key: the name of its id.
        kind: under which an account keeps it.
        required: of a create.
        hidden: taken, and never shown.
        limit: how many an account may have.
        says: the messages of a create and an update.
    """

    path: str
    key: str
    kind: str
    table: Table
    required: tuple[str, ...]
    says: tuple[str, str]
    hidden: frozenset[str] = frozenset()
    limit: int = 1000


_NAME: Final[Table] = {"name": rest.text()}
_ACL: Final[Table] = {**_NAME, "ip_addresses": addresses}
_CREDENTIAL: Final[Table] = {**_NAME, "username": user_name, "password": password}
_SECRET: Final = frozenset({"password"})
# fmt: off
COLLECTIONS: Final = (
    Collection("SipAuth/Credential/", "credential_uuid", "sip_credential", _CREDENTIAL, ("username", "password"),
               ("created", "changed"), _SECRET, 200),
    Collection("SipAuth/IpAcl/", "ipacl_uuid", "sip_acl", _ACL, ("name", "ip_addresses"), ("created", "changed"),
               limit=100),
    Collection("Zentrunk/Credential/", "credential_uuid", "credential", _CREDENTIAL, ("name", "username", "password"),
               ("Credential created successfully.", "Credential updated successfully."), _SECRET),
    Collection("Zentrunk/IPAccessControlList/", "ipacl_uuid", "acl", _ACL, ("name", "ip_addresses"),
               ("IP ACL created successfully.", "IP ACL updated successfully.")),
    Collection("Zentrunk/URI/", "uri_uuid", "uri",
               {**_NAME, "uri": rest.text(), "authentication_needed": rest.flag, "username": user_name,
                "password": password},
               ("name", "uri"), ("URI created successfully.", "URI updated successfully."), _SECRET),
    Collection("Zentrunk/Trunk/", "trunk_id", "trunk",
               {**_NAME, "trunk_direction": rest.one_of("inbound", "outbound"),
                "trunk_status": rest.one_of("enabled", "disabled"), "secure": rest.flag, "ipacl_uuid": rest.any_text,
                "credential_uuid": rest.any_text, "primary_uri_uuid": rest.any_text,
                "fallback_uri_uuid": rest.any_text},
               ("name", "trunk_direction"), ("Trunk created successfully.", "Trunk updated successfully.")),
)
# fmt: on
REFERENCES: Final = {
    "ipacl_uuid": "acl",
    "credential_uuid": "credential",
    "primary_uri_uuid": "uri",
    "fallback_uri_uuid": "uri",
}
OF_DIRECTION: Final = {
    "inbound": ("primary_uri_uuid",),
    "outbound": ("ipacl_uuid", "credential_uuid"),
}
"""What a trunk needs one of."""
DEFAULTS: Final[dict[str, Json]] = {
    "sip_credential": {"realm": REALM},
    "uri": {"authentication_needed": False},
    "trunk": {
        "trunk_status": "enabled",
        "secure": False,
        "ipacl_uuid": None,
        "credential_uuid": None,
        "primary_uri_uuid": None,
        "fallback_uri_uuid": None,
    },
}


class Trunks(Verbs):
    """Every collection."""

    def lines(self) -> Iterable[Line]:
        """Give the requests."""
        return [line for collection in COLLECTIONS for line in self._lines_of(collection)]

    def _lines_of(self, of: Collection) -> list[Line]:
        def bound(method: Callable[[Collection, PlivoAccount, ApiRequest], ApiAnswer]) -> Verb:
            return lambda owner, request: method(of, owner, request)

        single = f"{of.path}{{{of.key}}}/"
        return [
            ("GET", of.path, "trunks", bound(self._list)),
            ("POST", of.path, "trunks", bound(self._create)),
            ("GET", single, "trunks", bound(self._get)),
            ("POST", single, "trunks", bound(self._update)),
            ("DELETE", single, "trunks", bound(self._delete)),
        ]

    def _kept(self, of: Collection, owner: PlivoAccount) -> dict[str, Json]:
        return owner.root.things.setdefault(of.kind, {})

    def _one(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> Json:
        found = self._kept(of, owner).get(request.parts[of.key])
        if found is None:
            raise RestError(404, "not found")
        return found

    def _list(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, {**rest.PAGED, **_NAME})
        rows = [
            each
            for each in self._kept(of, owner).values()
            if given.get("name", each.get("name")) == each.get("name")
        ]
        return self._page(request, rows, lambda each: _shown(of, each))

    def _create(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, of.table, *of.required)
        kept = self._kept(of, owner)
        if len(kept) >= of.limit:
            raise RestError(400, f"at most {of.limit} are allowed")
        if of.kind == "sip_credential" and any(
            each["username"] == given["username"] for each in kept.values()
        ):
            raise RestError(409, "username already exists")
        made = {**DEFAULTS.get(of.kind, {}), **given}
        self._check(of, owner, made)
        made_id = self._new_id(of)
        now = self._face.clock.now().isoformat(timespec="seconds")
        kept[made_id] = {of.key: made_id, **made, "created_at": now, "updated_at": now}
        if of.kind == "trunk":
            kept[made_id]["trunk_domain"] = f"{made_id}.zt.plivo.com"
        return self._shown({"message": of.says[0], of.key: made_id}, 201)

    def _new_id(self, of: Collection) -> str:
        if of.kind != "trunk":
            return self._face.new_uuid()
        return str(self._face.core.random.randrange(10 ** (TRUNK_ID_DIGITS - 1), 10**TRUNK_ID_DIGITS))

    def _check(self, of: Collection, owner: PlivoAccount, made: Json) -> None:
        if of.kind != "trunk":
            return
        for name, kind in REFERENCES.items():
            if made.get(name) and made[name] not in owner.root.things.get(kind, {}):
                raise RestError(400, f"{name} parameter is invalid")
        needed = OF_DIRECTION[made["trunk_direction"]]
        if not any(made.get(name) for name in needed):
            raise RestError(400, f"{needed[0]} parameter is missing")

    def _get(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(_shown(of, self._one(of, owner, request)))

    def _update(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        found = self._one(of, owner, request)
        changed = {**found, **self._given(request, of.table)}
        self._check(of, owner, changed)
        found.update(changed, updated_at=self._face.clock.now().isoformat(timespec="seconds"))
        return self._done(of.says[1])

    def _delete(self, of: Collection, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        found = self._one(of, owner, request)
        del self._kept(of, owner)[found[of.key]]
        if of.kind == "trunk":
            owner.root.unlink(found[of.key])
        return NO_CONTENT


def _shown(of: Collection, found: Json) -> Json:
    return {name: value for name, value in found.items() if name not in of.hidden}
