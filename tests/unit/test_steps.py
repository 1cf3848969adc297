"""A counter that moves in steps, sampled more often than it moves: every span gets its part of the step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_aware_trainer.energy.host import Sample
from carbon_aware_trainer.energy.ledger import Ledger
from carbon_aware_trainer.energy.sample_log import Header
from carbon_aware_trainer.records import Source

ME, MS, S = 100, 10**6, 10**9
POWER_W = 400.0
GPUS = {"gpu:0": "GPU-a"}
approx: Any = pytest.approx


def counter_j(at_ns: int, step_ns: int) -> float:
    """What a device of a constant power shows that renews its counter once in a step."""
    return at_ns // step_ns * POWER_W * step_ns / 1e9


def sampled(moments_ns: list[int], *, step_ns: int = 100 * MS, idle_until_ns: int = 0) -> Ledger:
    """The ledger of a worker that has the device to itself from the first sample on."""
    ledger = Ledger(ME)
    source = Source("GPU-a", "measured", "a fake GPU", "±0.2 s", step_ns / 1e9)
    ledger.add(Header("one", 1, 1, (source,)), now_ns=10**15)
    for at_ns in moments_ns:
        joules = {"GPU-a": counter_j(max(0, at_ns - idle_until_ns), step_ns)}
        ledger.add(Sample(at_ns, joules, {ME: joules}, 1), now_ns=10**15)
    return ledger


def used_j(ledger: Ledger, start_ns: int, end_ns: int) -> float:
    return ledger.reading(start_ns, end_ns, GPUS, {}).by_source_j["gpu:0"]


def test_epochs_shorter_than_a_step_get_their_part_of_it_though_each_rings_for_a_sample() -> None:
    ends_ns = [S + 30 * MS * number for number in range(40)]
    moments = sorted({*ends_ns, *range(0, 3 * S, 100 * MS)})
    ledger = sampled(moments)
    for start_ns, end_ns in pairwise(ends_ns):
        assert used_j(ledger, start_ns, end_ns) == approx(POWER_W * 0.03, rel=0.05)


def test_a_step_of_two_seconds_is_divided_among_epochs_of_a_third_of_one() -> None:
    ledger = sampled(list(range(0, 20 * S, 100 * MS)), step_ns=2 * S)
    for start_ns in range(3 * S, 12 * S, 300 * MS):
        reading = ledger.reading(start_ns, start_ns + 300 * MS, GPUS, {})
        assert reading.energy_j == approx(POWER_W * 0.3, rel=0.05)
        assert reading.window_epochs == 7


def test_an_idle_device_answers_after_a_bounded_time_and_is_charged_nothing_later() -> None:
    early = list(range(0, 5 * S, 30 * MS))
    ledger = sampled(early, idle_until_ns=5 * S)
    settled_ns = ledger.settled_ns(GPUS.values()) or 0
    assert early[-1] - settled_ns <= 250 * MS
    assert used_j(ledger, S, settled_ns) == 0
    later = sampled([*early, *range(5 * S, 6 * S, 30 * MS)], idle_until_ns=5 * S)
    assert used_j(later, S, settled_ns) == 0
    assert used_j(later, 5 * S + 200 * MS, 5 * S + 500 * MS) == approx(POWER_W * 0.3, rel=0.1)


def test_a_worker_that_came_within_a_step_has_no_more_than_the_device_gave() -> None:
    ledger = Ledger(ME)
    source = Source("GPU-a", "measured", "a fake GPU", "±0.2 s", 0.1)
    ledger.add(Header("one", 1, 1, (source,)), now_ns=10**15)
    for at_ns in (0, 90 * MS, 110 * MS, 180 * MS, 199 * MS, 210 * MS, 290 * MS, 310 * MS, 420 * MS):
        joules = {"GPU-a": counter_j(at_ns, 100 * MS)}
        own = {ME: {"GPU-a": joules["GPU-a"] - 40}} if at_ns >= 180 * MS else {}
        ledger.add(Sample(at_ns, joules, own, 1), now_ns=10**15)
    assert used_j(ledger, 185 * MS, 195 * MS) == approx(POWER_W * 0.01)


@given(
    gaps_ms=st.lists(st.integers(1, 250), min_size=4, max_size=80),
    used=st.lists(st.integers(0, 60), min_size=80, max_size=80),
)
def test_what_was_said_once_never_changes(gaps_ms: list[int], used: list[int]) -> None:
    ledger = Ledger(ME)
    source = Source("GPU-a", "measured", "a fake GPU", "±0.2 s", 0.1)
    ledger.add(Header("one", 1, 1, (source,)), now_ns=10**15)
    at_ns, joules, said = 0, 0.0, {0: 0.0}
    for gap_ms, used_now in zip([0, *gaps_ms], [0, *used], strict=False):
        at_ns, joules = at_ns + gap_ms * MS, joules + max(0, used_now - 30)
        counter = {"GPU-a": joules}
        ledger.add(Sample(at_ns, counter, {ME: counter}, 1), now_ns=10**15)
        settled_ns = ledger.settled_ns(GPUS.values()) or 0
        if settled_ns > 0:
            said[settled_ns] = used_j(ledger, 0, settled_ns)
    for moment_ns in filter(None, said):
        assert used_j(ledger, 0, moment_ns) == approx(said[moment_ns], abs=1e-6)
