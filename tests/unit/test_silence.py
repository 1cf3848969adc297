"""When runs whose scripts are silent are ended."""

from __future__ import annotations

from collections.abc import Sequence

from housekeeping import Silence


class Scripts:
    """Counts how often it was asked to end what is silent."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    def end_silent(self, silent_s: float, *, limit: int = 100) -> Sequence[str]:  # noqa: ARG002 # one call is all
        self.asked_s.append(silent_s)
        return []


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def listen(silence: Silence, clock: Clock, scripts: Scripts, *, seconds: int) -> None:
    for _ in range(seconds):
        clock.now_s += 1
        silence.end(scripts)


def test_nothing_is_silent_before_somebody_has_listened_for_as_long() -> None:
    clock, scripts = Clock(), Scripts()
    silence = Silence(900, clock=clock)
    listen(silence, clock, scripts, seconds=899)
    assert scripts.asked_s == []
    listen(silence, clock, scripts, seconds=1)
    assert scripts.asked_s == [900]


def test_after_an_outage_every_script_can_be_heard_first() -> None:
    clock, scripts = Clock(), Scripts()
    silence = Silence(900, clock=clock)
    listen(silence, clock, scripts, seconds=1_000)
    scripts.asked_s.clear()
    clock.now_s += 61
    listen(silence, clock, scripts, seconds=900)
    assert scripts.asked_s == []
    listen(silence, clock, scripts, seconds=1)
    assert scripts.asked_s == [900]


def test_a_clock_that_is_set_back_begins_anew() -> None:
    clock, scripts = Clock(), Scripts()
    silence = Silence(30, clock=clock)
    listen(silence, clock, scripts, seconds=29)
    clock.now_s -= 10
    listen(silence, clock, scripts, seconds=30)
    assert scripts.asked_s == []


def test_a_busy_machine_is_no_outage() -> None:
    clock, scripts = Clock(), Scripts()
    silence = Silence(900, clock=clock)
    for _ in range(15):
        clock.now_s += 59
        silence.end(scripts)
    clock.now_s += 15
    silence.end(scripts)
    assert scripts.asked_s == [900]
