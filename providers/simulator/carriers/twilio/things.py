"""Serves the collections of the catalog: create, list, fetch, update and delete, and who may send to a SIP domain.

The hosts voice.twilio.com and trunking.twilio.com are played under the base URL of api.twilio.com: their paths begin
with `/v1/` and collide with nothing. A client with one base URL a host gets the same one for each of them: in Twilio's
Python library `client.api.base_url`, `client.voice.base_url`, `client.trunking.base_url` and `client.pricing.base_url`
are each `sim.base_url("twilio")`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from providers.simulator.api import ApiAnswer, ApiRequest, Route, json_answer
from providers.simulator.carriers.twilio.access import ACCOUNT, PAGING, Access
from providers.simulator.carriers.twilio.catalog import (
    ACCESS_LISTS,
    COLLECTIONS,
    CREDENTIAL_LISTS,
    REFERENCES,
    SIP_DOMAINS,
    Collection,
)
from providers.simulator.carriers.twilio.checks import Fields, Refusal, Rule, form_of, not_found, sid
from providers.simulator.carriers.twilio.model import Thing, TwilioAccount, TwilioNumber
from providers.simulator.carriers.twilio.resources import (
    account_uri,
    camel,
    number_json,
    page_json,
    snake,
    v1_page_json,
)
from providers.simulator.carriers.twilio.webhooks import rfc2822

if TYPE_CHECKING:
    from providers.simulator.carriers.twilio.console import Console

DOMAIN_AUTH: Final = f"{ACCOUNT}/SIP/Domains/{{domain}}/Auth/Calls"
MAPPINGS: Final = {
    "IpAccessControlListMappings": ("IpAccessControlListSid", ACCESS_LISTS, "IP_ACL"),
    "CredentialListMappings": ("CredentialListSid", CREDENTIAL_LISTS, "CREDENTIAL_LIST"),
}
TRUNK_NUMBERS: Final = "/v1/Trunks/{trunk}/PhoneNumbers"
TRUNK_NUMBER_RULES: Final[dict[str, Rule]] = {"PhoneNumberSid": (20001, sid("PN"))}
# Of an IncomingPhoneNumber, what a trunk's PhoneNumber does not show.
NOT_OF_TRUNKS: Final = frozenset(
    {
        "address_sid",
        "bundle_sid",
        "emergency_address_sid",
        "emergency_address_status",
        "emergency_status",
        "identity_sid",
        "origin",
        "status",
        "type",
        "uri",
        "voice_receive_mode",
    }
)


class Things:
    """The routes of the collections."""

    def __init__(self, face: Console, access: Access) -> None:
        self._face = face
        self._guard = access.guard

    def routes(self) -> Sequence[Route]:
        """Every resource of the catalog, the mappings of SIP domains, and the numbers of elastic trunks."""
        served = [route for collection in COLLECTIONS for route in self._routes_of(collection)]
        for name in MAPPINGS:
            served += self._mapping_routes(name)
        guard = self._guard
        return (
            *served,
            Route("GET", TRUNK_NUMBERS, "trunks", guard(self._list_trunk_numbers)),
            Route("POST", TRUNK_NUMBERS, "trunks", guard(self._attach_number)),
            Route("GET", f"{TRUNK_NUMBERS}/{{number}}", "trunks", guard(self._fetch_trunk_number)),
            Route("DELETE", f"{TRUNK_NUMBERS}/{{number}}", "trunks", guard(self._detach_number)),
        )

    # -- as the console does it

    def document(self, account: TwilioAccount, thing: Thing) -> dict[str, Any]:
        """The resource as the API shows it."""
        collection = next(collection for collection in COLLECTIONS if collection.key == thing.key)
        shown = {name: value for name, value in thing.fields.items() if name not in collection.secret}
        document = {"sid": thing.sid, "account_sid": account.sid, **shown}
        if collection.parent:
            document[collection.parent] = thing.parent
        if collection is SIP_DOMAINS:
            document["auth_type"] = self.auth_type(account, thing)
        path = collection.path.format(account=account.sid, parent=thing.parent) + f"/{thing.sid}"
        if collection.is_v1:
            url = self._face.core.base_url("twilio") + path
            document |= {"date_created": _iso(thing.created_at), "date_updated": _iso(thing.updated_at)}
            document["url"] = url
            if collection.parts:
                document["links"] = {name: f"{url}/{part}" for name, part in collection.parts.items()}
        else:
            document |= {"date_created": rfc2822(thing.created_at), "date_updated": rfc2822(thing.updated_at)}
            document["uri"] = f"{path}.json"
            if collection.parts:
                links = {name: f"{path}/{part}.json" for name, part in collection.parts.items()}
                document["subresource_uris"] = links
        return document

    def auth_type(self, account: TwilioAccount, domain: Thing) -> str:
        """How a SIP domain knows who sends; empty: it takes no calls."""
        kinds = [kind for name, (_, _, kind) in MAPPINGS.items() if account.mappings.get((domain.sid, name))]
        return ",".join(kinds)

    # -- collections

    def _routes_of(self, collection: Collection) -> list[Route]:
        end = "" if collection.is_v1 else ".json"
        many, one = collection.path + end, f"{collection.path}/{{sid}}{end}"
        read = "numbers" if collection.operation == "application_write" else collection.operation
        write = collection.operation

        def create(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            thing = self._create(collection, request, account)
            return json_answer(self.document(account, thing), 201)

        def fetch(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            return json_answer(self.document(account, self._thing(collection, request, account)))

        def update(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            thing = self._thing(collection, request, account)
            names = {n: rule for n, rule in collection.rules.items() if n not in collection.only_create}
            self._change(collection, account, thing, self._given(request, names, account))
            thing.updated_at = self._face.core.clock.now()
            return json_answer(self.document(account, thing))

        def delete(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            self.drop(account, self._thing(collection, request, account))
            return ApiAnswer(status=204, content_type=None)

        def list_(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            given = Fields(request.query_pairs(), {}, (*collection.filters, *PAGING)).given()
            wanted = {snake(name): given[name] for name in collection.filters if name in given}
            shown = [
                thing
                for thing in account.of_kind(collection.key, self._parent(collection, request, account))
                if all(thing.fields[name] == value for name, value in wanted.items())
            ]
            return self._page(request, collection, shown, account)

        return [
            Route("POST", many, write, self._guard(create)),
            Route("GET", many, read, self._guard(list_)),
            Route("GET", one, read, self._guard(fetch)),
            Route("POST", one, write, self._guard(update)),
            Route("DELETE", one, write, self._guard(delete)),
        ]

    def _create(self, collection: Collection, request: ApiRequest, account: TwilioAccount) -> Thing:
        parent = self._parent(collection, request, account)
        given = self._given(request, collection.rules, account)
        for name in collection.required:
            if not given.get(name):
                raise Refusal(20001, f"Missing required parameter '{name}'")
        if collection.limit and len(account.of_kind(collection.key, parent)) >= collection.limit[0]:
            raise Refusal(collection.limit[1], f"There are {collection.limit[0]} of them already")
        now = self._face.core.clock.now()
        thing = Thing(
            sid=self._face.new_sid(collection.prefix),
            key=collection.key,
            parent=parent,
            fields=dict(collection.first),
            created_at=now,
            updated_at=now,
        )
        self._change(collection, account, thing, given)
        account.things[thing.sid] = thing
        return thing

    def _given(
        self, request: ApiRequest, rules: Mapping[str, Rule], account: TwilioAccount
    ) -> dict[str, str]:
        fields = Fields(form_of(request), dict(rules))
        fields.check()
        given = fields.given()
        for name, key in REFERENCES.items():
            found = account.things.get(given.get(name, ""))
            if given.get(name) and (found is None or found.key != key):
                raise Refusal(20001, f"Invalid '{name}' parameter: the account has no such resource")
        return given

    def _change(
        self, collection: Collection, account: TwilioAccount, thing: Thing, given: Mapping[str, str]
    ) -> None:
        fields = dict(thing.fields)
        for name, value in given.items():
            field, first = snake(name), collection.first[snake(name)]
            if isinstance(first, bool):
                fields[field] = value == "true"
            else:
                fields[field] = int(value) if isinstance(first, int) else value or first
        if fields.get("voice_fallback_url") and not fields.get("voice_url"):
            raise Refusal(21405, "A fallback URL needs a voice URL")
        domain = fields.get("domain_name")
        if domain and any(
            other is not thing and other.fields.get("domain_name") == domain
            for owner in self._face.accounts.values()
            for other in owner.things.values()
        ):
            raise Refusal(21232, "The domain name is in use already")
        thing.fields = fields

    def drop(self, account: TwilioAccount, thing: Thing) -> None:
        """Deletes it with what belongs to it; what names it keeps the name."""
        del account.things[thing.sid]
        for child in [other for other in account.things.values() if other.parent == thing.sid]:
            del account.things[child.sid]
        for tied in account.mappings.values():
            tied.pop(thing.sid, None)
        for number in account.numbers.values():
            if number.settings["trunk_sid"] == thing.sid:
                number.settings["trunk_sid"] = None

    def _thing(self, collection: Collection, request: ApiRequest, account: TwilioAccount) -> Thing:
        thing = account.things.get(request.parts["sid"])
        if thing is None or thing.key != collection.key or thing.parent != request.parts.get("parent"):
            raise not_found(request.path)
        return thing

    def _parent(self, collection: Collection, request: ApiRequest, account: TwilioAccount) -> str | None:
        if collection.parent is None:
            return None
        parent = account.things.get(request.parts["parent"])
        if parent is None or parent.key != collection.parent_key:
            raise not_found(request.path)
        return parent.sid

    def _page(
        self, request: ApiRequest, collection: Collection, shown: list[Thing], account: TwilioAccount
    ) -> ApiAnswer:
        def render(thing: Thing) -> dict[str, Any]:
            return self.document(account, thing)

        if collection.is_v1:
            base_url = self._face.core.base_url("twilio")
            return json_answer(v1_page_json(request, collection.key, shown, render, base_url))
        return json_answer(page_json(request, collection.key, shown, render))

    # -- who may send to a SIP domain

    def _mapping_routes(self, name: str) -> list[Route]:
        parameter, collection, _ = MAPPINGS[name]

        def mapped(request: ApiRequest, account: TwilioAccount) -> dict[str, datetime]:
            domain = account.things.get(request.parts["domain"])
            if domain is None or domain.key != SIP_DOMAINS.key:
                raise not_found(request.path)
            return account.mappings.setdefault((domain.sid, name), {})

        def document(account: TwilioAccount, list_sid: str, at: datetime) -> dict[str, Any]:
            return {
                "sid": list_sid,
                "account_sid": account.sid,
                "friendly_name": account.things[list_sid].fields["friendly_name"],
                "date_created": rfc2822(at),
                "date_updated": rfc2822(at),
            }

        def create(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            tied = mapped(request, account)
            fields = Fields(form_of(request), {parameter: (20001, sid(collection.prefix))})
            fields.check()
            list_sid = fields.get(parameter)
            if not list_sid:
                raise Refusal(20001, f"Missing required parameter '{parameter}'")
            found = account.things.get(list_sid)
            if found is None or found.key != collection.key:
                raise not_found(request.path)
            if list_sid in tied:
                raise Refusal(21231, "The list is associated with the domain already")
            tied[list_sid] = self._face.core.clock.now()
            return json_answer(document(account, list_sid, tied[list_sid]), 201)

        def fetch(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            tied, list_sid = mapped(request, account), request.parts["sid"]
            if list_sid not in tied:
                raise not_found(request.path)
            return json_answer(document(account, list_sid, tied[list_sid]))

        def delete(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            if mapped(request, account).pop(request.parts["sid"], None) is None:
                raise not_found(request.path)
            return ApiAnswer(status=204, content_type=None)

        def list_(request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
            Fields(request.query_pairs(), {}, PAGING)
            tied = list(mapped(request, account).items())
            return json_answer(page_json(request, "contents", tied, lambda item: document(account, *item)))

        many, one = f"{DOMAIN_AUTH}/{name}.json", f"{DOMAIN_AUTH}/{name}/{{sid}}.json"
        return [
            Route("POST", many, "trunks", self._guard(create)),
            Route("GET", many, "trunks", self._guard(list_)),
            Route("GET", one, "trunks", self._guard(fetch)),
            Route("DELETE", one, "trunks", self._guard(delete)),
        ]

    # -- numbers of an elastic trunk

    def _list_trunk_numbers(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        Fields(request.query_pairs(), {}, PAGING)
        trunk = self._trunk(request, account)
        held = [number for number in account.numbers.values() if number.settings["trunk_sid"] == trunk]
        base_url = self._face.core.base_url("twilio")
        return json_answer(
            v1_page_json(
                request, "phone_numbers", held, lambda number: self._trunk_number(account, number), base_url
            )
        )

    def _attach_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        trunk = self._trunk(request, account)
        fields = Fields(form_of(request), TRUNK_NUMBER_RULES)
        fields.check()
        number = account.numbers.get(fields.get("PhoneNumberSid") or "")
        if number is None:
            raise Refusal(20001, "Missing or unknown 'PhoneNumberSid' parameter")
        number.settings |= {"trunk_sid": trunk, "voice_application_sid": None}
        return json_answer(self._trunk_number(account, number), 201)

    def _fetch_trunk_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        return json_answer(self._trunk_number(account, self._number_of_trunk(request, account)))

    def _detach_number(self, request: ApiRequest, account: TwilioAccount) -> ApiAnswer:
        self._number_of_trunk(request, account).settings["trunk_sid"] = None
        return ApiAnswer(status=204, content_type=None)

    def _trunk(self, request: ApiRequest, account: TwilioAccount) -> str:
        trunk = account.things.get(request.parts["trunk"])
        if trunk is None or trunk.key != "trunks":
            raise not_found(request.path)
        return trunk.sid

    def _number_of_trunk(self, request: ApiRequest, account: TwilioAccount) -> TwilioNumber:
        trunk, number = self._trunk(request, account), account.numbers.get(request.parts["number"])
        if number is None or number.settings["trunk_sid"] != trunk:
            raise not_found(request.path)
        return number

    def _trunk_number(self, account: TwilioAccount, number: TwilioNumber) -> dict[str, Any]:
        document = number_json(account, number)
        shown = {name: value for name, value in document.items() if name not in NOT_OF_TRUNKS}
        base_url = self._face.core.base_url("twilio")
        return {
            **shown,
            "date_created": _iso(number.created_at),
            "date_updated": _iso(number.updated_at),
            "url": f"{base_url}/v1/Trunks/{number.settings['trunk_sid']}/PhoneNumbers/{number.sid}",
            "links": {
                "phone_number": f"{base_url}{account_uri(account.sid)}/{camel('incoming_phone_numbers')}"
            },
        }


def _iso(at: datetime) -> str:
    """`2026-03-04T09:15:02Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
