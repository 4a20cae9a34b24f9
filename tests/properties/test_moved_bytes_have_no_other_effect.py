"""R18: Twilio and Plivo sign names and values without separators, so bytes can be moved over their borders.

Such a request verifies with the old signature. It must mean what the original meant, or nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from gateway import Call, CallStatus
from gateway.interface import Hook, WebhookRequest
from tests.linekit import Fields, Line, open_lines, plivo, twilio

NONCE = "X-Plivo-Signature-V3-Nonce"

# Ends that a change of one border would turn into others; what a stranger chooses (a name) holds words of ours.
TEMPTING = "Ann CallStatuscompleted DirectioninboundAnsweredBymachine_start"
ENDS: dict[str, tuple[Fields, CallStatus]] = {
    "twilio": (
        twilio(
            CallStatus="busy",
            CallerName=TEMPTING,
            CallDuration="0",
            SipResponseCode="486",
            SequenceNumber="3",
            Timestamp="Sun, 01 Mar 2026 12:00:00 +0000",
        ),
        CallStatus.BUSY,
    ),
    "plivo": (
        plivo(
            Event="Hangup",
            CallStatus="busy",
            CallerName=TEMPTING,
            HangupCauseCode="3010",
            HangupSource="Callee",
            Duration="0",
            BillDuration="0",
        ),
        CallStatus.BUSY,
    ),
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    with open_lines(tmp_path_factory.mktemp("moved")) as opened:
        yield opened


Pairs = list[tuple[str, str]]


def moved_in_pairs(chance: random.Random, pairs: Pairs) -> Pairs:
    """Move some bytes over one border between names and values; the signed text stays as it is when sorted the same."""
    found, at = list(pairs), chance.randrange(len(pairs))
    name, value = found[at]
    cut = chance.randrange(1, 12)
    match chance.randrange(6):
        case 0:  # name into value
            found[at] = (name[:-cut], name[-cut:] + value)
        case 1:  # value into name
            found[at] = (name + value[:cut], value[cut:])
        case 2 if at + 1 < len(found):  # value into the next name
            after, its = found[at + 1]
            found[at : at + 2] = [(name, value[:-cut]), (value[-cut:] + after, its)]
        case 3 if at + 1 < len(found):  # the next name into the value
            after, its = found[at + 1]
            found[at : at + 2] = [(name, value + after[:cut]), (after[cut:], its)]
        case 4:  # one pair becomes two
            middle = chance.randrange(len(value) + 1)
            end = chance.randrange(middle, len(value) + 1)
            found[at : at + 1] = [(name, value[:middle]), (value[middle:end], value[end:])]
        case _ if at + 1 < len(found):  # two pairs become one
            after, its = found[at + 1]
            found[at : at + 2] = [(name, value + after + its)]
    if chance.random() < 0.1:
        found.insert(at, found[at])  # an equal pair twice
    return found


def mutant(chance: random.Random, original: WebhookRequest) -> WebhookRequest:
    """Return the request with its signature and other borders."""
    pairs = sorted(parse_qsl(original.body.decode(), keep_blank_values=True))
    url, headers = original.url, list(original.headers)
    for _ in range(chance.randrange(1, 3)):
        pairs = moved_in_pairs(chance, pairs)
    where = chance.randrange(6)
    if where == 0:  # the end of the address into the first name
        cut = chance.randrange(1, 40)
        url, pairs[0] = url[:-cut], (url[-cut:] + pairs[0][0], pairs[0][1])
    elif where == 1:  # the first name into the address
        cut = chance.randrange(1, 12)
        url, pairs[0] = url + pairs[0][0][:cut], (pairs[0][0][cut:], pairs[0][1])
    elif where == 2 and any(name == NONCE for name, _ in headers):  # the last value into the nonce
        cut, (name, value) = chance.randrange(1, 6), pairs[-1]
        pairs[-1] = (name, value[:-cut])
        headers = [(n, f"{value[-cut:]}.{v}" if n == NONCE else v) for n, v in headers]
    address = url.partition("?")[0].split("/voice/")[-1].split("/")
    token = address[2] if len(address) > 2 and address[2] else None
    return replace(original, url=url, headers=tuple(headers), body=urlencode(pairs).encode(), token=token)


def known(line: Line, call: Call) -> tuple[Any, ...]:
    latest = line.gw.calls.get(call.id)
    return latest.status, latest.facts, latest.end_reason, latest.sequence


def newest(line: Line) -> tuple[Any, ...]:
    """The last event and the last call that were stored, of whatever account."""
    return line.gw.calls.latest_event_id(), line.gw.calls.list(limit=1).calls[0].id


def play(line: Line, count: int) -> int:
    """Half of the mutants come after the original, half before it; return how many passed the signature."""
    chance, taken = random.Random(18), 0
    fields, status = ENDS[line.provider]
    for _ in range(count // 20):
        call = line.ringing_call()
        original = line.signed(call, Hook.STATUS, fields)
        assert line.hand_over(Hook.STATUS, original) == 200
        ended, stored = known(line, call), newest(line)
        assert ended[0] is status
        for _ in range(10):
            answer = line.hand_over(Hook.STATUS, mutant(chance, original))
            assert answer in (200, 400, 403)
            taken += answer == 200
        assert (known(line, call), newest(line)) == (ended, stored), "a repeat, whatever it says"

        # Only who holds the original back can be first. Then an end may lose its reason; it is no other kind of end.
        other = line.ringing_call()
        ringing, first = known(line, other), line.signed(other, Hook.STATUS, fields)
        for _ in range(10):
            taken += line.hand_over(Hook.STATUS, mutant(chance, first)) == 200
            now = known(line, other)
            if now[0] is CallStatus.RINGING:
                assert now[1].ends == ringing[1].ends
            else:
                assert now[0] in (status, CallStatus.FAILED, CallStatus.NO_ANSWER)
                assert not now[1].answered
                assert not now[1].verdicts
        assert newest(line)[1] == other.id, "no call is made of it"
    return taken


@pytest.mark.parametrize("provider", sorted(ENDS))
def test_bytes_moved_over_a_border_mean_the_same_or_nothing(lines: dict[str, Line], provider: str) -> None:
    assert play(lines[provider], 300) > 20, "some collide, and are taken"


@pytest.mark.proof
@pytest.mark.parametrize("provider", sorted(ENDS))
def test_twenty_thousand_moves_mean_the_same_or_nothing(lines: dict[str, Line], provider: str) -> None:
    assert play(lines[provider], 20_000) > 1_000
