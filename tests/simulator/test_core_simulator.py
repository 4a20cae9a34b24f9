"""The simulator's front: life, consoles, phones, waiting; carried by the Twilio face."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from providers.simulator import (
    Answer,
    Busy,
    Caller,
    Decline,
    HangUpWhileRinging,
    NoAnswer,
    Simulator,
    SimulatorError,
    SimulatorTimeout,
    UnknownNumber,
    Unreachable,
    Voicemail,
)
from tests.simulator.twilio_customer import Api, Customer

OURS, THEIRS = "+14155550100", "+14155550123"
SAY = "<Response><Say>Hello</Say><Pause length='60'/></Response>"


@pytest.mark.parametrize(
    ("script", "truth"),
    [
        (Answer(after_s=1, talk_s=2), "answered"),
        (Busy(), "busy"),
        (NoAnswer(), "no_answer"),
        (Decline(after_s=1), "declined"),
        (Unreachable(), "unreachable"),
        (Voicemail(after_s=1, greeting_s=1, records_s=1), "voicemail"),
    ],
)
def test_the_truth_of_a_call_is_what_the_callee_did(script: object, truth: str) -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": SAY}) as customer:
        account = sim.add_account("twilio")
        sim.add_number(account, OURS)
        sim.script(THEIRS, script)  # type: ignore[arg-type]
        _, call = Api(sim=sim, account=account).dial(
            To=THEIRS, From=OURS, Url=customer.url("/answer"), Timeout="5"
        )
        sim.wait(call["sid"])
        assert sim.truth(call["sid"]) == truth
        assert sim.call(call["sid"]).answered == (truth in ("answered", "voicemail"))
        assert sim.call(call["sid"]).billable == (truth in ("answered", "voicemail"))


def test_a_caller_gives_up_when_nobody_answers() -> None:
    with (
        Simulator(speed=50) as sim,
        Customer(replies={"/answer": "<Response><Pause length='60'/></Response>"}) as our,
    ):
        sim.add_number(sim.add_account("twilio"), OURS)
        sim.configure_number(OURS, voice_url=our.url("/answer"))
        patient = sim.ring(OURS, THEIRS, Caller(gives_up_after_s=3))
        hasty = sim.ring(OURS, THEIRS, HangUpWhileRinging(after_s=1))
        sim.wait(patient)
        sim.wait(hasty)
        assert (patient.outcome, hasty.outcome) == ("caller_gave_up", "caller_gave_up")
        assert patient.ended_by == "party"


def test_the_far_party_can_be_made_to_hang_up_at_once() -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": SAY}) as our:
        sim.add_number(sim.add_account("twilio"), OURS)
        sim.configure_number(OURS, voice_url=our.url("/answer"))
        call = sim.ring(OURS, THEIRS)
        sim.wait(lambda: call.heard)
        sim.hang_up(call)
        sim.wait(call)
        assert (call.truth, call.ended_by) == ("answered", "party")


def test_a_live_call_says_where_it_is() -> None:
    with Simulator(speed=50) as sim, Customer(replies={"/answer": SAY}) as customer:
        account = sim.add_account("twilio")
        sim.add_number(account, OURS)
        sim.script(THEIRS, Answer(after_s=10, talk_s=20))
        _, body = Api(sim=sim, account=account).dial(To=THEIRS, From=OURS, Url=customer.url("/answer"))
        call = sim.call(body["sid"])
        seen = []
        for truth in ("ringing", "in_progress", "answered"):
            sim.wait(lambda truth=truth: call.truth == truth)  # type: ignore[misc]
            seen.append(call.truth)
        assert seen == ["ringing", "in_progress", "answered"]


def test_waiting_is_bounded_and_says_for_what() -> None:
    with Simulator() as sim, pytest.raises(SimulatorTimeout, match="predicate"):
        sim.wait(lambda: False, timeout_s=0.05)


def test_only_loopback_is_listened_on() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Simulator(host="0.0.0.0")


def test_a_port_in_use_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            Simulator(port=taken.getsockname()[1]).start()


def test_what_is_unknown_is_refused_by_name() -> None:
    with Simulator() as sim:
        with pytest.raises(ValueError, match="unknown provider 'acme'"):
            sim.add_account("acme")
        with pytest.raises(UnknownNumber, match="0100"):
            sim.ring(OURS, from_=THEIRS)
        with pytest.raises(KeyError):
            sim.call("CA0")
        with pytest.raises(ValueError, match="unknown operation"):
            sim.faults.api("twilio", "dail")
        with pytest.raises(ValueError, match="no webhook fault"):
            sim.faults.webhooks("twilio")


def test_an_unknown_carrier_is_a_404() -> None:
    with Simulator() as sim:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(f"http://127.0.0.1:{sim.port}/acme/v1/calls", timeout=5)
        with refused.value as answer:
            assert answer.code == 404


def test_nothing_answers_after_the_stop_and_no_thread_is_left() -> None:
    import threading

    sim = Simulator().start()
    port = sim.port
    sim.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    assert not [thread for thread in threading.enumerate() if thread.name == "carrier-simulator"]


def test_a_failure_of_the_simulator_itself_is_raised_by_its_stop() -> None:
    sim = Simulator().start()
    face = sim.face("twilio")
    sim._call(lambda: face.core.spawn(_broken()))
    sim.wait(lambda: sim.journal.errors())
    with pytest.raises(SimulatorError, match="ZeroDivisionError"):
        sim.stop()


async def _broken() -> None:
    raise ZeroDivisionError


def test_the_same_seed_makes_the_same_ids() -> None:
    refs = []
    for _ in range(2):
        with Simulator(seed=7) as sim:
            refs.append(sim.add_account("twilio").account_ref)
    assert refs[0] == refs[1]


def test_secrets_are_in_no_repr_and_not_in_the_journal() -> None:
    with Simulator() as sim:
        account = sim.add_account("twilio")
        token = account.secrets["auth_token"]
        status, _ = Api(sim=sim, account=account)("GET", ".json")
        assert status == 200
        assert token not in repr(account)
        assert token not in str(sim.journal.as_json())
        assert sim.journal.requests("twilio")[0].data["headers"]["Authorization"] == "***"


def test_scripted_time_passes_faster_and_is_told_unscaled() -> None:
    with Simulator(speed=100) as sim, Customer(replies={"/answer": SAY}) as customer:
        account = sim.add_account("twilio")
        sim.add_number(account, OURS)
        sim.script(THEIRS, Answer(after_s=1, talk_s=40))
        _, call = Api(sim=sim, account=account).dial(To=THEIRS, From=OURS, Url=customer.url("/answer"))
        sim.wait(call["sid"])
        call_s = sim.call(call["sid"]).duration_s
        real = sim.call(call["sid"])
        assert call_s >= 40
        assert real.answered_at is not None
        assert real.ended_at is not None
        assert (real.ended_at - real.answered_at).total_seconds() == pytest.approx(call_s / 100, abs=0.05)


# -- what accounts hold


@pytest.mark.parametrize("provider", ["twilio", "telnyx", "plivo"])
def test_ten_thousand_numbers_are_added_at_once_and_ring(provider: str) -> None:
    with Simulator(speed=50) as sim:
        account = sim.add_account(provider)
        numbers = sim.add_numbers(account, 10_000, "+1415555")
        assert (numbers[0], numbers[-1], len(set(numbers))) == ("+14155550000", "+14155559999", 10_000)
        assert sim.ring(numbers[-1], "+12125550123").to == numbers[-1]


def test_numbers_that_do_not_fit_behind_the_prefix_are_refused() -> None:
    with Simulator() as sim, pytest.raises(ValueError, match="101 numbers do not fit"):
        sim.add_numbers(sim.add_account("twilio"), 101, "+1415555012", digits=12)


def test_a_number_is_changed_and_removed_behind_the_customers_back() -> None:
    with Simulator() as sim:
        account, other = sim.add_account("twilio"), sim.add_account("twilio")
        sim.add_number(
            account, "+14155550100", settings={"voice_url": "https://old.example.net/"}, voice=False
        )
        assert sim.number_settings(account, "+14155550100")["voice_url"] == "https://old.example.net/"
        assert sim.number_settings(account, "+14155550100")["capabilities"]["voice"] is False
        sim.change_number(account, "+14155550100", voice_url="https://new.example.net/")
        assert sim.number_settings(account, "+14155550100")["voice_url"] == "https://new.example.net/"
        with pytest.raises(ValueError, match="no setting 'voice_uri'"):
            sim.change_number(account, "+14155550100", voice_uri="")
        with pytest.raises(UnknownNumber):
            sim.change_number(other, "+14155550100", voice_url="")
        sim.remove_number(account, "+14155550100")
        with pytest.raises(UnknownNumber):
            sim.ring("+14155550100", "+12125550123")


@pytest.mark.parametrize("provider", ["twilio", "telnyx", "plivo"])
def test_where_a_call_goes_is_told_and_typed_alike_at_every_carrier(provider: str) -> None:
    with Simulator() as sim:
        sim.add_number(sim.add_account(provider), "+14155550100")
        assert sim.asks("+14155550100") == ""
        sim.point("+14155550100", "https://new.example.net/")
        assert sim.asks("+14155550100") == "https://new.example.net/"


def test_a_trunk_or_an_application_is_asked_before_the_numbers_own_url() -> None:
    with Simulator() as sim:
        account = sim.add_account("twilio")
        sim.add_number(account, "+14155550100", settings={"voice_url": "https://own.example.net/"})
        sim.change_number(account, "+14155550100", voice_application_sid="AP0")
        assert sim.asks("+14155550100") == "", "it is not there"
        sim.change_number(account, "+14155550100", trunk_sid="TK0", voice_application_sid=None)
        assert sim.asks("+14155550100") == ""


def test_what_a_carrier_does_not_play_says_so() -> None:
    with (
        Simulator() as sim,
        pytest.raises(NotImplementedError, match="twilio does not play verification codes"),
    ):
        sim.sent_code(sim.add_account("twilio"), "+14155550100")
