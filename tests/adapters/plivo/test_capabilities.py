"""Each capability, said or denied, with what proves it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from gateway.interface import Capabilities, Hook
from gateway.registry import BUILT_IN, open_provider
from gateway.status import AnsweredBy
from providers.plivo import PlivoProvider
from providers.plivo.calls import dial_params, read_dial
from providers.plivo.vocabulary import EVENT, MACHINE
from providers.plivo.webhooks import read
from tests.adapters.plivo.support import ATTEMPT, DIAL, REQUEST, SECRETS, outbound, webhook

CAN: Capabilities = PlivoProvider.capabilities


def test_the_registry_opens_it_and_knows_its_host() -> None:
    assert isinstance(open_provider("plivo", SECRETS), PlivoProvider)
    assert BUILT_IN["plivo"].base_url == "https://api.plivo.com"


def test_it_is_a_document_carrier() -> None:
    assert CAN.control == "document"


def test_ringing_is_reported() -> None:
    (event,) = read(Hook.STATUS, webhook(outbound(Event="Ring")))
    assert CAN.reports_ringing
    assert event.facts.ringing


def test_machines_are_reported_and_nothing_else_is() -> None:
    assert set(MACHINE.values()) == {AnsweredBy.MACHINE}
    assert (CAN.reports_human, CAN.reports_fax, CAN.reports_greeting_end) == (False, False, False)


def test_a_dial_carries_no_idempotency_key() -> None:
    assert not CAN.dial_idempotency
    assert DIAL.command_id not in str(dial_params(DIAL))


def test_the_token_is_in_callback_paths_only_so_lists_cannot_find_it() -> None:
    assert not CAN.finds_by_token
    named = {name for name, value in dial_params(DIAL).items() if ATTEMPT in str(value)}
    assert named == {"answer_url", "ring_url", "hangup_url"}


def test_the_cost_comes_with_the_end() -> None:
    (event,) = read(Hook.STATUS, webhook(outbound(Event="Hangup", TotalCost="0.01000")))
    assert CAN.cost_in_webhook
    assert event.facts.cost is not None


def test_no_time_is_signed_and_numbers_can_be_set_up() -> None:
    assert (CAN.signs_timestamp, CAN.number_setup) == (False, True)


def test_a_dial_cannot_start_a_recording() -> None:
    assert not CAN.records_from_dial
    assert dial_params(replace(DIAL, record=True)) == dial_params(DIAL)


def test_every_documented_event_is_one_report() -> None:
    assert len(set(EVENT.values())) == len(EVENT)


def test_an_accepted_dial_is_known_by_its_request() -> None:
    assert read_dial({"request_uuid": REQUEST}).leg_id == REQUEST


def test_importing_and_opening_loads_no_library_of_the_vendor() -> None:
    code = (
        "import sys; from providers.plivo import PlivoProvider as P; "
        "P({'auth_id': 'MA', 'auth_token': 'x'}); "
        "loaded = {m.split('.')[0] for m in sys.modules}; "
        "bad = {'plivo', 'requests', 'lxml', 'flask', 'sqlalchemy', 'aiohttp'} & loaded; "
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
