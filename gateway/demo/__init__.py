"""`gateway demo`: the whole product on one machine, with no account, in some ten seconds.

It starts a carrier simulator, an echo agent and a real gateway server on loopback, brings an account of each carrier
to the gateway, plays every way a call can go on all of them at once, and lets somebody break a number at its carrier.
What the gateway says is held against what the simulator knows. Nothing stays behind: no process, no file.

| module | what |
| --- | --- |
| `stage` | what is started and stopped: simulator, agent, server process, accounts |
| `bringing` | each account is brought to the gateway, its numbers are set up, broken, mended and put back |
| `scenarios` | what is played: one table |
| `playing` | plays it, all at once |
| `truth` | what the gateway must say about what really happened |
| `report` | the figures at the end, for people and for programs |
| `show` | how it looks: a live table, plain lines, or one JSON document |
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from gateway.demo.bringing import BREAKING, BRINGING, perform
from gateway.demo.playing import play, rehearsed
from gateway.demo.report import Report, gather
from gateway.demo.show import Screen, open_screen
from gateway.demo.stage import AREA_CODES, go_live, open_stage
from gateway.errors import ConfigurationError
from gateway.registry import BUILT_IN

SPEED: Final = 10.0
INTERRUPTED: Final = 130
CALLS: Final = "Calls: every way they can go, in both directions"


def run(*, as_json: bool = False, speed: float = SPEED, providers: Sequence[str] = ()) -> int:
    """Play the demo; return the exit code: 0 when gateway and exchange agree on every call, 1 when not, 130 stopped.

    Args:
        as_json: print one JSON document at the end instead of anything for people.
        speed: how many times faster than life the phones are.
        providers: carriers to play; none: all of them.

    Raises:
        ConfigurationError: no such carrier, the simulator's extra is not installed, the server does not start.
    """
    chosen = tuple(dict.fromkeys(providers)) or tuple(sorted(BUILT_IN, reverse=True))
    _check(chosen, speed)
    screen = open_screen(chosen, as_json=as_json)
    try:
        with _stopped_by_signals():
            report = _run(screen, chosen, speed)
    except KeyboardInterrupt:
        screen.stopped()
        return INTERRUPTED
    return 0 if report.agrees else 1


def _check(providers: Sequence[str], speed: float) -> None:
    unknown = [name for name in providers if name not in BUILT_IN]
    if unknown or len(providers) > len(AREA_CODES):
        raise ConfigurationError(f"no carrier {unknown[0][:40]!r} in the demo; known: {', '.join(BUILT_IN)}")
    if not 0.5 <= speed <= 50:
        raise ConfigurationError("speed: give 0.5 to 50; at 10 a phone that rings 20 s rings 2 s")


def _run(screen: Screen, providers: Sequence[str], speed: float) -> Report:
    screen.opening()
    with open_stage(providers, speed, screen.step) as stage:
        done = perform(stage, BRINGING, screen.chapter, screen.did)
        screen.chapter(CALLS)
        go_live(stage, screen.step)
        with rehearsed(stage) as (scenes, stopping):
            began = time.monotonic()
            with screen.playing(scenes):
                play(scenes, stopping, screen.over)
            done += perform(stage, BREAKING, screen.chapter, screen.did)
            report = gather(stage, scenes, done, time.monotonic() - began)
            screen.closing(report)
    return report


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Have Ctrl-C, a termination or a closed terminal stop the demo in order, so that nothing is left running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    caught = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def stop(number: int, frame: FrameType | None) -> None:
        for each in caught:
            signal.signal(
                each, signal.SIG_IGN
            )  # impatience must not cut the cleaning up short; it is bounded
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in caught}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


__all__ = ["run"]
