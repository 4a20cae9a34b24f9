"""The account itself, its subaccounts, and the foreign numbers that it verified as caller IDs.

Source: Plivo's API reference (plivo.com/docs, read 2026). Unconfirmed: a subaccount reading its own account, the
statuses of the verification requests, how often a wrong code may be sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from providers.simulator.api import ApiAnswer, ApiRequest
from providers.simulator.carriers.plivo import resources, rest
from providers.simulator.carriers.plivo.accounts import CallerId, PlivoAccount, Verification
from providers.simulator.carriers.plivo.numbers import country
from providers.simulator.carriers.plivo.rest import RestError, Table
from providers.simulator.carriers.plivo.verbs import NO_CONTENT, Json, Line, Verbs

OTP_VALID_S: Final = 15 * 60
OTP_TRIES: Final = 3  # invented
PROFILE: Final[Table] = dict.fromkeys(("name", "city", "address", "state", "timezone"), rest.any_text)
SUBACCOUNT: Final[Table] = {"name": rest.text(), "enabled": rest.flag}
SUBACCOUNT_DELETE: Final[Table] = {"cascade": rest.flag}
VERIFY: Final[Table] = {
    "phone_number": rest.text(),
    "alias": rest.text(),
    "channel": rest.one_of("sms", "call"),
    "country": country,
    "subaccount": rest.text(),
}
CALLER_ID_UPDATE: Final[Table] = {"alias": rest.any_text, "subaccount": rest.any_text}
CALLER_ID_LIST: Final[Table] = {
    **rest.PAGED,
    "country": country,
    "subaccount": rest.text(),
    "alias": rest.text(),
}


class People(Verbs):
    """The account, `Subaccount`, `VerifiedCallerId`."""

    def lines(self) -> Iterable[Line]:
        """Give the requests."""
        return (
            ("GET", "", "account", self._account),
            ("POST", "", "account", self._change_account),
            ("GET", "Subaccount/", "account", self._list),
            ("POST", "Subaccount/", "account", self._create),
            ("GET", "Subaccount/{subauth_id}/", "account", self._get),
            ("POST", "Subaccount/{subauth_id}/", "account", self._update),
            ("DELETE", "Subaccount/{subauth_id}/", "account", self._delete),
            ("GET", "VerifiedCallerId/", "caller_ids", self._list_caller_ids),
            ("POST", "VerifiedCallerId/", "caller_ids", self._start),
            ("POST", "VerifiedCallerId/Verification/{verification_uuid}/", "caller_ids", self._confirm),
            ("GET", "VerifiedCallerId/{phone_number}/", "caller_ids", self._get_caller_id),
            ("POST", "VerifiedCallerId/{phone_number}/", "caller_ids", self._update_caller_id),
            ("DELETE", "VerifiedCallerId/{phone_number}/", "caller_ids", self._delete_caller_id),
        )

    # --- the account

    def _account(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        if owner.parent is not None and not self._face.habits.subaccount_reads_itself:
            raise RestError(401, "authentication failed")
        return self._shown(resources.account(owner, self._base(owner), self._face.habits))

    def _change_account(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        owner.profile.update(self._given(request, PROFILE))
        return self._done("changed")

    # --- subaccounts

    def _main(self, owner: PlivoAccount) -> PlivoAccount:
        if owner.parent is not None:
            raise RestError(403, "subaccounts have no subaccounts")
        return owner

    def _sub(self, owner: PlivoAccount, request: ApiRequest) -> PlivoAccount:
        found = self._face.subaccount(self._main(owner), request.parts["subauth_id"])
        if found is None:
            raise RestError(404, "not found")
        return found

    def _list(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        self._query(request, rest.PAGED)
        main = self._main(owner)
        rows = [each for each in self._face.accounts.values() if each.parent is main]
        return self._page(request, rows, lambda each: resources.subaccount(each, self._base(main)))

    def _create(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, SUBACCOUNT, "name")
        made = self._face.open_subaccount(self._main(owner), given["name"])
        made.is_enabled = given.get("enabled", False)
        return self._done("created", 201, auth_id=made.auth_id, auth_token=made.tokens[0])

    def _get(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(resources.subaccount(self._sub(owner, request), self._base(owner)))

    def _update(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        sub = self._sub(owner, request)
        given = self._given(request, SUBACCOUNT, "name")
        sub.account.name = given["name"]
        sub.is_enabled = given.get("enabled", sub.is_enabled)
        return self._done("changed")

    def _delete(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        sub = self._sub(owner, request)
        rest.read_params(
            {**self._query(request, SUBACCOUNT_DELETE), **self._body(request)}, SUBACCOUNT_DELETE
        )
        del self._face.accounts[sub.auth_id]
        for held in owner.numbers.values():
            held.sub_account = "" if held.sub_account == sub.auth_id else held.sub_account
        for app in owner.applications.values():
            app.subaccount = "" if app.subaccount == sub.auth_id else app.subaccount
        return NO_CONTENT

    # --- verified caller ids

    def _start(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, VERIFY, "phone_number")
        number = rest.digits(given["phone_number"])
        if not rest.is_destination(number):
            raise RestError(400, "phone_number parameter is invalid")
        if number.startswith("91"):
            raise RestError(400, "phone_number parameter is invalid: not available for India")
        if number in owner.root.caller_ids:
            raise RestError(400, "phone_number is already verified")
        self._check_subaccount(owner, given)
        verification_uuid = self._face.new_uuid()
        wanted = CallerId(
            number=number,
            verified_at=self._face.clock.now(),
            verification_uuid=verification_uuid,
            alias=given.get("alias", ""),
            country=given.get("country", ""),
            channel=given.get("channel", "sms"),
            sub_account=given.get("subaccount", owner.sub_account),
        )
        owner.root.verifications[verification_uuid] = Verification(
            caller_id=wanted,
            code=f"{self._face.core.random.randrange(10**6):06}",
            begun_mark=self._face.clock.mark(),
            tries_left=OTP_TRIES,
        )
        return self._done(
            "Verification code is sent to the phone number", 201, verification_uuid=verification_uuid
        )

    def _check_subaccount(self, owner: PlivoAccount, given: Json) -> None:
        wanted = given.get("subaccount")
        if wanted and self._face.subaccount(owner.root, wanted) is None:
            raise RestError(400, "subaccount parameter is invalid")

    def _confirm(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._given(request, {"otp": rest.text()}, "otp")
        begun = owner.root.verifications.get(request.parts["verification_uuid"])
        if begun is None:
            raise RestError(404, "verification not found")
        if self._face.clock.elapsed_s(begun.begun_mark) > OTP_VALID_S or begun.tries_left == 0:
            raise RestError(400, "otp has expired")
        if given["otp"] != begun.code:
            begun.tries_left -= 1
            raise RestError(400, "otp parameter is invalid")
        del owner.root.verifications[request.parts["verification_uuid"]]
        begun.caller_id.verified_at = self._face.clock.now()
        self._face.keep_caller_id(owner.root, begun.caller_id)
        shown = resources.caller_id(begun.caller_id)
        del shown["modified_at"]
        return self._shown({**shown, "channel": begun.caller_id.channel}, 201)

    def _caller_id(self, owner: PlivoAccount, request: ApiRequest) -> CallerId:
        found = owner.root.caller_ids.get(rest.digits(request.parts["phone_number"]))
        if found is None or not owner.sees(found.sub_account):
            raise RestError(404, "not found")
        return found

    def _list_caller_ids(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        given = self._query(request, CALLER_ID_LIST)
        rows = [
            known
            for known in owner.root.caller_ids.values()
            if owner.sees(known.sub_account)
            and given.get("country", known.country) == known.country
            and given.get("alias", known.alias) == known.alias
            and given.get("subaccount", known.sub_account) == known.sub_account
        ]
        return self._page(request, rows, resources.caller_id)

    def _get_caller_id(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        return self._shown(resources.caller_id(self._caller_id(owner, request)))

    def _update_caller_id(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        known = self._caller_id(owner, request)
        given = self._given(request, CALLER_ID_UPDATE)
        self._check_subaccount(owner, given)
        known.alias = given.get("alias", known.alias)
        known.sub_account = given.get("subaccount", known.sub_account)
        known.changed_at = self._face.clock.now()
        return self._shown(resources.caller_id(known), 202)

    def _delete_caller_id(self, owner: PlivoAccount, request: ApiRequest) -> ApiAnswer:
        known = self._caller_id(owner, request)
        del owner.root.caller_ids[known.number]
        owner.root.account.verified_caller_ids.discard(f"+{known.number}")
        return NO_CONTENT
