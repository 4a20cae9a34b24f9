"""What the outside is told: within 20 kB, with masked numbers unless an endpoint asks for whole ones (R67)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import endpoints
from gateway.byoc import Difference, Place
from gateway.models import CallSettings
from gateway.publishing import LARGEST_PAYLOAD, LEFT_OUT_FIRST, masked_payload, payload_text, publish
from gateway.publishing import publish_number_drifted as publish_drift
from gateway.showing import call_document
from gateway.status import CallStatus
from gateway.store import Store, numbers, outbox
from gateway.store.rows import Notification
from tests.outkit import Clock, Post
from tests.outproofs import is_accepted, wrongly_rebuilt
from tests.storekit import CALLEE, CALLER, T0, a_call, put_agent, put_call, put_credential, put_number

SECRET_PATH = "https://gw.example.com/voice/twilio/0123456789abcdefghijkl/status"
DIFFERENCE = Difference(
    place=Place.NUMBER, setting="voice_url", wanted=SECRET_PATH, found="https://old.example.com/answer"
)


@pytest.fixture
def post(store: Store) -> Post:
    return Post(store, clock=Clock(datetime.now(UTC)))  # signatures are compared with the real time


def bodies(post: Post) -> dict[str, dict[str, Any]]:
    return {one.url: json.loads(one.body) for one in post.egress.sent}


def test_an_endpoint_gets_the_last_digits_unless_it_asks_for_the_numbers(post: Post) -> None:
    shy, shy_secret = post.endpoint_and_secret("https://shy.receiver.dev/")
    frank, open_secret = post.endpoint_and_secret("https://open.receiver.dev/", include_numbers=True)
    call = put_call(post.store, variables={"callback": CALLEE}, status=CallStatus.RINGING)
    with post.store.transaction() as tx:
        publish(tx, None, call, T0)
    assert post.rounds() == 2
    masked, whole = (bodies(post)[url]["data"] for url in (shy.url, frank.url))
    assert (whole["phone_number"], whole["from_number"], whole["to"]) == (CALLEE, CALLER, CALLEE)
    assert (masked["phone_number"], masked["from_number"], masked["to"]) == ("…0123", "…0100", "…0123")
    assert masked["variables"] == {"callback": CALLEE}, "what the app put there is the app's"
    hidden = ("phone_number", "from_number", "to")
    assert {**masked, **{name: whole[name] for name in hidden}} == whole, "nothing else differs"
    for one in post.egress.sent:
        assert is_accepted(shy_secret if one.url == shy.url else open_secret, one.body, dict(one.headers))


def test_the_choice_can_be_changed_and_holds_for_what_waits(post: Post) -> None:
    made = post.endpoint()
    call = put_call(post.store, status=CallStatus.RINGING)
    with post.store.transaction() as tx:
        publish(tx, None, call, T0)
    endpoints.change_endpoint(post.services, made.id, include_numbers=True)
    assert post.load(made).include_numbers is True
    post.rounds()
    assert bodies(post)[made.url]["data"]["phone_number"] == CALLEE
    endpoints.change_endpoint(post.services, made.id, event_types=["call.ended"])
    assert post.load(made).include_numbers is True, "another change leaves it"


@pytest.mark.parametrize(
    ("party", "shown"),
    [("anonymous", "anonymous"), ("sip:+14155550123@sbc.example.com", "…0123"), ("client:anna", "…")],
)
def test_parties_that_are_no_numbers_are_hidden_too(party: str, shown: str) -> None:
    told = payload_text("call.ended", T0, {"phone_number": party})
    assert json.loads(masked_payload(told))["data"]["phone_number"] == shown


def test_a_number_in_a_carriers_words_is_hidden() -> None:
    words = {"carrier": {"code": "21211", "text": "+1 (415) 555-0123 is not reachable"}}
    told = payload_text("call.failed", T0, {"failure_reason": "no route to 14155550123", "end_reason": words})
    shown = json.loads(masked_payload(told))["data"]
    assert shown["failure_reason"] == "no route to …0123"
    assert shown["end_reason"] == {"carrier": {"code": "21211", "text": "…0123 is not reachable"}}


def test_a_large_event_loses_one_thing_after_the_other_and_says_which() -> None:
    big = dict.fromkeys(("outcome", "summary", "variables", "context"), "x" * 9000)
    data = json.loads(payload_text("call.ended", T0, {"id": "1", "status": "completed", **big}))["data"]
    assert data.pop("left_out") == ["variables", "context"]
    assert data == {"id": "1", "status": "completed", "summary": big["summary"], "outcome": big["outcome"]}
    assert "left_out" not in payload_text("call.ended", T0, {"id": "1", "variables": {"a": "x" * 9000}})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the texts are long
@given(
    st.dictionaries(
        st.sampled_from([*LEFT_OUT_FIRST, "phone_number", "agent_id", "recording", "provider"]),
        st.builds(lambda text, times: text * times, st.text(max_size=5), st.integers(0, 40_000)),
    )
)
def test_no_event_is_ever_larger_than_20_kb(fields: dict[str, str]) -> None:
    document = {"id": "call-1", "sequence": 3, **fields, "status": "completed"}
    for text in (told := payload_text("call.updated", T0, document), masked_payload(told)):
        data = json.loads(text)["data"]
        assert len(text.encode()) <= LARGEST_PAYLOAD
        assert (data["id"], data["sequence"], data["status"]) == ("call-1", 3, "completed")
        gone = {name for name, value in fields.items() if value} - data.keys()
        assert gone == set(data.get("left_out", ()))


def test_the_largest_call_that_can_be_is_told(store: Store) -> None:
    variables = {f"key{n}": "ä" * 300 for n in range(50)}
    settings = CallSettings(greeting="ü" * 9000, voicemail_message="ö" * 9000)
    call = put_call(
        store, variables=variables, context=variables, settings=settings, status=CallStatus.RINGING
    )
    with store.transaction() as tx:
        publish(tx, None, call, T0)
    [told] = outbox.list_notifications(store, "default")
    assert len(told.payload.encode()) <= LARGEST_PAYLOAD
    data = json.loads(told.payload)["data"]
    assert data["left_out"] == ["variables", "context", "call_settings"]
    assert data.keys() | set(data["left_out"]) >= call_document(a_call()).keys()


# -- number.drifted -------------------------------------------------------------------------------------------------


def drifted(post: Post, *differences: Difference) -> Notification:
    """A number that serves an agent has drifted."""
    credential = put_credential(post.store)
    number = put_number(post.store, credential)
    put_agent(post.store)
    with post.store.transaction() as tx:
        numbers.assign(tx, number.id, "support", inbound=True, outbound=False, at=T0)
        ident = publish_drift(tx, number, differences, T0)
    found = outbox.find_notification(post.store, "default", ident)
    assert found is not None
    return found


def test_who_subscribed_to_drift_hears_what_differs(post: Post) -> None:
    post.endpoint("https://calls.receiver.dev/", event_types=["call.ended"])
    told = post.endpoint("https://drift.receiver.dev/", event_types=["number.drifted"])
    event = drifted(post, DIFFERENCE)
    assert post.rounds() == 1
    [(url, body)] = bodies(post).items()
    assert (url, body["type"], body["timestamp"]) == (told.url, "number.drifted", "2026-03-01T12:00:00.123Z")
    data = body["data"]
    assert (data["e164"], data["provider"]) == ("…0100", "twilio")
    assert data["assignments"] == [{"agent_id": "support", "direction": "inbound"}]
    [drift] = data["drift"]
    assert drift == {
        "place": "number",
        "setting": "voice_url",
        "wanted": "https://gw.example.com/voice/twilio/***ijkl/status",
        "found": "https://old.example.com/answer",
        "advice": "",
    }
    assert "0123456789abcdef" not in event.payload, "the id in our path is nobody's to read"
    assert json.loads(event.payload)["data"]["e164"] == CALLER


def test_a_transaction_that_fails_tells_of_no_drift(post: Post) -> None:
    number = put_number(post.store, put_credential(post.store))

    def check() -> None:
        with post.store.transaction() as tx:
            publish_drift(tx, number, [DIFFERENCE], T0)
            raise RuntimeError("the check failed after all")

    with pytest.raises(RuntimeError):
        check()
    assert outbox.list_notifications(post.store, "default") == []


@pytest.mark.parametrize("count", [2, 60, 3000])
def test_drift_of_any_length_fits_and_says_when_it_is_not_all(post: Post, count: int) -> None:
    long = Difference(
        place=Place.APPLICATION, setting="x" * 600, wanted="ä" * 9000, found="", advice="ö" * 9000
    )
    event = drifted(post, *[long] * count)
    data = json.loads(event.payload)["data"]
    assert len(event.payload.encode()) <= LARGEST_PAYLOAD
    assert 1 <= len(data["drift"]) <= count
    assert ("left_out" in data) is (len(data["drift"]) < count)


def test_a_consumer_rebuilds_a_call_from_events_in_any_order() -> None:
    assert wrongly_rebuilt(500, seed=1) == 0
