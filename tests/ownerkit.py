"""A person with an account at a carrier, whose numbers were set up in its console before the gateway came.

Over the whole bench: adapter, SDK and one-shot transport, the simulated carrier, web server, store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from gateway import Agent, Call, Gateway, Stream
from gateway.models import Credential
from providers.simulator import Account, Caller, SimCall, Simulator
from tests.bench import OURS, UNASSIGNED, Bench, open_bench

OTHER: Final = UNASSIGNED
ELSEWHERE: Final = "https://elsewhere.example.net/voice"
STRANGERS: Final = "somebody-else"  # the name of their application

# Where a person's number can have gone before us, besides nowhere.
WAYS: Final = {
    "plivo": ("nothing", "application", "trunk"),
    "telnyx": ("nothing", "application", "trunk"),
    "twilio": ("nothing", "url", "application", "trunk"),
}
WAYS_OF_EACH: Final = [(provider, way) for provider, ways in sorted(WAYS.items()) for way in ways]

# What differs in an account that was only looked at.
_STAMPS: Final = ("date_updated", "updated_at")


@dataclass(kw_only=True)
class Owner:
    """The person, with the account, its console and the gateway."""

    bench: Bench
    account: Account
    held: list[str] = field(default_factory=list)
    left_console: int = 0
    before: dict[str, Any] = field(default_factory=dict)  # what stood in the console, for a test to keep

    @property
    def gw(self) -> Gateway:
        return self.bench.gw

    @property
    def sim(self) -> Simulator:
        return self.bench.sim

    @property
    def provider(self) -> str:
        return self.bench.provider

    # -- at the carrier

    def hold(self, *numbers: str, way: str | None = None, **settings: Any) -> None:
        """Get numbers that go somewhere else; `way`: one of WAYS, the the usual one when left out."""
        for number in numbers:
            self.sim.add_number(self.account, number, **settings)
            self.held.append(number)
            self.point(number, way or USUAL[self.provider])

    def point(self, number: str, way: str) -> None:
        """Point a number somewhere else in the console."""
        if way == "url":
            self.sim.change_number(
                self.account,
                number,
                voice_url=ELSEWHERE,
                voice_method="GET",
                status_callback=f"{ELSEWHERE}/status",
            )
        elif way == "nothing":
            if self.provider == "telnyx":  # its console attaches a new number at once
                self.sim.change_number(self.account, number, connection_id=None)
        else:
            setting = {
                "plivo": "app_id",
                "telnyx": "connection_id",
                "twilio": f"{way.replace('application', 'voice_application')}_sid",
            }
            made = self.application() if way == "application" else self._trunk()
            self.sim.change_number(self.account, number, **{setting[self.provider]: made})

    def application(self) -> str:
        """Make, or find, somebody else's application; return its id."""
        for each in self.sim.applications(self.account):
            if STRANGERS in (each.get("app_name"), each.get("application_name"), each.get("friendly_name")):
                return str(each.get("app_id") or each.get("id") or each.get("sid"))
        match self.provider:
            case "twilio":
                made = self.console(
                    "POST", f"{self._account}/Applications.json", FriendlyName=STRANGERS, VoiceUrl=ELSEWHERE
                )
                return str(made["sid"])
            case "telnyx":
                made = self.console(
                    "POST",
                    "/v2/call_control_applications",
                    application_name=STRANGERS,
                    webhook_event_url=ELSEWHERE,
                )
                return str(made["data"]["id"])
            case _:
                made = self.console(
                    "POST", f"{self._account}/Application/", app_name=STRANGERS, answer_url=ELSEWHERE
                )
                return str(made["app_id"])

    def _trunk(self) -> str:
        match self.provider:
            case "twilio":
                return str(self.console("POST", "/v1/Trunks", FriendlyName="PBX")["sid"])
            case "telnyx":
                return str(self.console("POST", "/v2/fqdn_connections", connection_name="PBX")["data"]["id"])
            case _:
                uri = self.console(
                    "POST", f"{self._account}/Zentrunk/URI/", name="PBX", uri="sbc.acme.example:5060"
                )
                fields = {"name": "PBX", "trunk_direction": "inbound", "primary_uri_uuid": uri["uri_uuid"]}
                return str(self.console("POST", f"{self._account}/Zentrunk/Trunk/", **fields)["trunk_id"])

    @property
    def _account(self) -> str:
        return {"twilio": "/2010-04-01/Accounts/", "plivo": "/v1/Account/"}[
            self.provider
        ] + self.account.account_ref

    def console(self, method: str, path: str, **fields: Any) -> Any:
        """Do in the console what only its own requests do: not through the gateway."""
        secrets = self.account.secrets
        url = self.sim.base_url(self.provider) + path
        if self.provider == "twilio":
            login = (secrets["account_sid"], secrets["auth_token"])
            answer = requests.request(method, url, data=fields or None, auth=login, timeout=10)
        elif self.provider == "telnyx":
            key = {"Authorization": f"Bearer {secrets['api_key']}"}
            answer = requests.request(method, url, json=fields or None, headers=key, timeout=10)
        else:
            pair = (secrets["auth_id"], secrets["auth_token"])
            answer = requests.request(method, url, json=fields or None, auth=pair, timeout=10)
        assert answer.ok, (path, answer.text)
        self.left_console = self.sim.journal.all()[-1].sequence
        return answer.json() if answer.content else None

    def settings(self, number: str = OURS) -> dict[str, Any]:
        """A number as the console shows it, but for when it was changed."""
        return _lasting(self.sim.number_settings(self.account, number))

    def stands(self) -> dict[str, Any]:
        """Every number and every application of somebody else as the console shows it."""
        applications = [_lasting(each) for each in self.sim.applications(self.account)]
        return {
            **{number: self.settings(number) for number in self.held},
            "applications": [each for each in applications if "gateway-" not in str(each)],
        }

    def ours(self) -> dict[str, Any]:
        """The one application that the gateway made, as the console shows it."""
        [made] = [each for each in self.sim.applications(self.account) if "gateway-" in str(each)]
        return made

    def ref_of_ours(self) -> str:
        """Its id."""
        made = self.ours()
        return str(made.get("app_id") or made["id"])

    def asked(self) -> list[dict[str, Any]]:
        """The requests that the carrier got since the console was left, in order; see `journal.Kind.REQUEST`."""
        entries = self.sim.journal.requests(self.provider)
        return [entry.data for entry in entries if entry.sequence > self.left_console]

    def writes(self) -> list[str]:
        """What was changed at the carrier by its API since then, in order."""
        entries = self.sim.writes(self.provider)
        return [str(each.data["operation"]) for each in entries if each.sequence > self.left_console]

    def links(self) -> list[str]:
        """What the console shows of links to other SIP carriers, by name; of a sub-domain, who may call it too."""
        match self.provider:
            case "twilio":
                sip = f"{self._account}/SIP"
                found = {
                    name: self.console("GET", path)[name]
                    for name, path in (
                        ("byoc_trunks", "/v1/ByocTrunks"),
                        ("connection_policies", "/v1/ConnectionPolicies"),
                        ("domains", f"{sip}/Domains.json"),
                        ("ip_access_control_lists", f"{sip}/IpAccessControlLists.json"),
                        ("credential_lists", f"{sip}/CredentialLists.json"),
                    )
                }
                return [f"{name} {each['friendly_name']}" for name, held in found.items() for each in held]
            case "telnyx":
                inbound = [each["inbound"] for each in self.sim.applications(self.account)]
                return [
                    f"{each['sip_subdomain']} {each['sip_subdomain_receive_settings']}"
                    for each in inbound
                    if each["sip_subdomain"]
                ]
            case _:
                carriers = self.console("GET", f"{self._account}/IncomingCarrier/")["objects"]
                logins = self.console("GET", f"{self._account}/SipAuth/Credential/")["objects"]
                numbers = self.console("GET", f"{self._account}/Number/")["objects"]
                return [
                    *(f"carrier {each['name']}" for each in carriers),
                    *(f"login {each['username']}" for each in logins),
                    *(
                        f"number {each['number']}"
                        for each in numbers
                        if each["carrier"].startswith("gateway-")
                    ),
                ]

    # -- at the gateway

    def bring(self, account: Account | None = None, **options: Any) -> Credential:
        """Add the account, checked live, and import its numbers."""
        credential = self.gw.credentials.add(
            self.provider, secrets=dict((account or self.account).secrets), **options
        )
        self.gw.numbers.import_from(credential.id, **_workspace(options))
        self.gw.services.prepare_providers()  # a vendor's library takes seconds on a loaded machine
        return credential

    def agents(self, *names: str) -> None:
        """Add agents that nothing but assignments is asked of."""
        for name in names:
            self.gw.agents.put(Agent(id=name, connect=Stream(self.bench.agent.url)))

    def rings(self, number: str = OURS) -> tuple[SimCall, Call]:
        """Call a number, talk, hang up; both sides' record of the call."""
        ringing = self.bench.ring(number, caller=Caller(talk_s=5))
        return ringing, self.bench.ended(self.bench.the_call(ringing))


USUAL: Final = {"plivo": "application", "telnyx": "application", "twilio": "url"}


def _lasting(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in _STAMPS}


def _workspace(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name == "workspace_id"}


@contextmanager
def open_owner(
    provider: str, folder: Path, *numbers: str, way: str | None = None, **settings: Any
) -> Iterator[Owner]:
    """Start a whole bench whose account holds OURS and OTHER, or `numbers`; the gateway knows nothing of it."""
    with open_bench(provider, folder, stocked=False, **settings) as bench:
        owner = Owner(bench=bench, account=bench.account)
        owner.hold(*(numbers or (OURS, OTHER)), way=way)
        yield owner
