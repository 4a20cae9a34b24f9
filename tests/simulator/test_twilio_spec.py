"""The simulated Twilio's answers and parameters against Twilio's own OpenAPI file, where that is present."""

from __future__ import annotations

from typing import Any

import pytest

from providers.simulator import Answer, Caller, Simulator
from providers.simulator.carriers.twilio.checks import (
    CREATE_RULES,
    NUMBER_RULES,
    RECORDING_RULES,
    RECORDING_UPDATE_RULES,
    UPDATE_RULES,
)
from tests.simulator.twilio_customer import Api, Customer
from tests.simulator.twilio_openapi import API, NOT_CHECKED, load, parameters, problems

ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
ONLY_IN_NEWER_SDKS = {"RecordingConfigurationId", "Passports"}

pytestmark = pytest.mark.skipif(not API.exists(), reason=NOT_CHECKED)


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return load(API)


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str, str], Any]:
    """One answer of each resource: (method, path of the spec, status) -> body."""
    ours, theirs = "+14155550100", "+14155550123"
    with Simulator(speed=50) as sim, Customer() as customer:
        account = sim.add_account("twilio")
        sim.add_number(account, ours)
        sim.verify_caller_id(account, "+442071838750")
        sim.script(theirs, Answer(after_s=1, talk_s=4))
        api = Api(sim=sim, account=account)
        fields = {"To": theirs, "From": ours, "Url": customer.url("/gone"), "Record": "true"}
        made = api.dial(**fields)
        sid = made[1]["sid"]
        sim.wait(sid)
        talking = api.dial(To=theirs, From=ours, Twiml="<Response><Pause length='99'/></Response>")[1]["sid"]
        sim.wait(lambda: sim.truth(talking) == "in_progress")
        recording = api("GET", "/Recordings.json")[1]["recordings"][0]["sid"]
        number = api("GET", "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"][0]["sid"]
        started = api("POST", f"/Calls/{talking}/Recordings.json", [])
        stopping = f"/Calls/{talking}/Recordings/{started[1]['sid']}.json"
        calls = {
            ("post", "/Calls.json"): made,
            ("get", "/Calls.json"): api("GET", "/Calls.json"),
            ("get", "/Calls/{Sid}.json"): api("GET", f"/Calls/{sid}.json"),
            ("post", "/Calls/{CallSid}/Recordings.json"): started,
            ("post", "/Calls/{CallSid}/Recordings/{Sid}.json"): api(
                "POST", stopping, [("Status", "stopped")]
            ),
            ("post", "/Calls/{Sid}.json"): api("POST", f"/Calls/{talking}.json", [("Status", "completed")]),
            ("get", "/Calls/{CallSid}/Notifications.json"): api("GET", f"/Calls/{sid}/Notifications.json"),
            ("get", "/Calls/{CallSid}/Events.json"): api("GET", f"/Calls/{sid}/Events.json"),
            ("get", "/Calls/{CallSid}/Recordings.json"): api("GET", f"/Calls/{sid}/Recordings.json"),
            ("get", "/Calls/{CallSid}/Recordings/{Sid}.json"): api(
                "GET", f"/Calls/{sid}/Recordings/{recording}.json"
            ),
            ("get", "/Recordings.json"): api("GET", "/Recordings.json"),
            ("get", "/Recordings/{Sid}.json"): api("GET", f"/Recordings/{recording}.json"),
            ("get", "/IncomingPhoneNumbers.json"): api("GET", "/IncomingPhoneNumbers.json"),
            ("get", "/IncomingPhoneNumbers/{Sid}.json"): api("GET", f"/IncomingPhoneNumbers/{number}.json"),
            ("post", "/IncomingPhoneNumbers/{Sid}.json"): api(
                "POST", f"/IncomingPhoneNumbers/{number}.json", [("VoiceUrl", "https://gw.example.net/v")]
            ),
            ("get", "/OutgoingCallerIds.json"): api("GET", "/OutgoingCallerIds.json"),
            ("get", "/Balance.json"): api("GET", "/Balance.json"),
            ("get", ".json"): api("GET", ".json"),
        }
        sim.configure_number(ours, voice_url="")
        sim.wait(sim.ring(ours, theirs, Caller(talk_s=1)))
    return {(method, path, str(status)): body for (method, path), (status, body) in calls.items()}


def test_every_answer_is_valid_and_has_exactly_the_documented_fields(
    spec: dict[str, Any], answers: dict[tuple[str, str, str], Any]
) -> None:
    assert len(answers) == 18
    for (method, path, status), body in answers.items():
        where = f"/2010-04-01/Accounts/{{Sid}}{path}" if path == ".json" else ACCOUNT + path
        assert problems(spec, method, where, int(status), body) == []


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/Calls.json", {"To", "From", *CREATE_RULES} - ONLY_IN_NEWER_SDKS),
        ("/Calls/{Sid}.json", set(UPDATE_RULES)),
        ("/IncomingPhoneNumbers/{Sid}.json", set(NUMBER_RULES)),
        ("/Calls/{CallSid}/Recordings.json", set(RECORDING_RULES)),
        ("/Calls/{CallSid}/Recordings/{Sid}.json", set(RECORDING_UPDATE_RULES)),
    ],
)
def test_exactly_the_documented_parameters_are_known(
    spec: dict[str, Any], path: str, rules: set[str]
) -> None:
    assert parameters(spec, ACCOUNT + path) == rules
