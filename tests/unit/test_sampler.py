from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_aware_trainer.energy.history import History
from carbon_aware_trainer.energy.sampler import PowerSampler
from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Counter, Quality, Reading

MS = 10**6
S = 10**9


class FakeMeter:
    """A meter whose time and joules the test sets; ``errors`` are raised first, one per read."""

    quality: Quality = "measured"
    source = "a fake"
    step_s = 0.1

    def __init__(self) -> None:
        self.now_ns = 0
        self.joules = 0.0
        self.errors: list[Exception] = []

    def clock(self) -> int:
        return self.now_ns

    def read(self) -> Counter:
        if self.errors:
            raise self.errors.pop(0)
        return Counter(self.joules, self.now_ns)

    def close(self) -> None:
        pass


def sampler_on(meter: FakeMeter) -> PowerSampler:
    return PowerSampler(meter, clock=meter.clock)


def run_load(meter: FakeMeter, sampler: PowerSampler, *, power_w: float, seconds: float) -> None:
    """Sample at 10 Hz while the meter counts a constant power."""
    for _ in range(round(seconds * 10)):
        meter.now_ns += S // 10
        meter.joules += power_w / 10
        sampler.sample()


def test_a_linear_load_reads_as_power_times_time() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=250, seconds=20)
    reading = sampler.reading(2 * S, 12 * S)
    assert reading.energy_j == pytest.approx(2500)
    assert reading.power_w == pytest.approx(250)
    assert (reading.quality, reading.reason, reading.window_epochs) == ("measured", None, None)


def test_an_epoch_shorter_than_the_step_gets_its_share_and_says_so() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=200, seconds=1)
    reading = sampler.reading(510 * MS, 540 * MS)
    assert reading.energy_j == pytest.approx(200 * 0.03)
    assert reading.window_epochs == 4  # 0.03 s of a step of 0.1 s


def test_a_span_before_the_first_sample_is_unknown() -> None:
    meter = FakeMeter()
    meter.now_ns = 5 * S
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=200, seconds=1)
    reading = sampler.reading(4 * S, 6 * S)
    assert (reading.energy_j, reading.quality) == (None, None)
    assert reading.reason == "The meter was not running through all of that time."


def test_an_empty_span_is_unknown() -> None:
    assert sampler_on(FakeMeter()).reading(S, S) == Reading(0.0, reason="The span has no length.")


def test_a_newer_span_than_any_sample_is_unknown_when_the_sampler_does_not_run() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    assert sampler.reading(0, S).reason == "The power sampler is not running."


def test_a_meter_that_fails_gives_the_reason_and_a_later_read_makes_good(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=100, seconds=1)
    meter.errors = [MeterUnavailable("GPU is lost"), MeterUnavailable("GPU is lost"), ZeroDivisionError()]
    run_load(meter, sampler, power_w=100, seconds=0.2)
    assert sampler.reading(S, S + 200 * MS).reason == "GPU is lost"
    run_load(meter, sampler, power_w=100, seconds=0.1)
    assert sampler.reading(S, S + 300 * MS).reason == "ZeroDivisionError"
    assert [record.getMessage() for record in caplog.records] == [
        "energy unknown: GPU is lost source='a fake'",
        "energy unknown: ZeroDivisionError source='a fake'",
    ]
    run_load(meter, sampler, power_w=100, seconds=0.1)
    made_good = sampler.reading(S, S + 400 * MS)
    assert made_good.energy_j == pytest.approx(40), "the counter went on counting while it could not be read"
    assert sampler.reading(S + 100 * MS, S + 200 * MS).window_epochs == 4


def test_a_reset_loses_its_own_interval_only() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    run_load(meter, sampler, power_w=100, seconds=1)
    meter.errors = [IntervalLost("The energy counter was reset.")]
    run_load(meter, sampler, power_w=100, seconds=1)
    assert sampler.reading(0, S).energy_j == pytest.approx(100)
    assert sampler.reading(500 * MS, 1500 * MS).reason == "The energy counter was reset."
    assert sampler.reading(S + 50 * MS, S + 60 * MS).reason == "The energy counter was reset."
    assert sampler.reading(S + 100 * MS, 2 * S).energy_j == pytest.approx(90)


def test_a_reset_while_the_meter_cannot_be_read_loses_all_of_that_time() -> None:
    meter = FakeMeter()
    sampler = sampler_on(meter)
    sampler.sample()
    meter.errors = [IntervalLost("reset"), MeterUnavailable("away")]
    run_load(meter, sampler, power_w=100, seconds=1)
    assert sampler.reading(0, 50 * MS).reason == "reset"
    assert sampler.reading(150 * MS, 180 * MS).reason == "reset"
    assert sampler.reading(200 * MS, S).energy_j == pytest.approx(80)


def test_a_long_epoch_is_known_from_few_samples() -> None:
    history = History()
    tenths = 24 * 36_000
    for tick in range(0, tenths, 5):  # 100 W at 2 Hz for a day
        history.add(Counter(tick * 10.0, tick * S // 10))
    span = history.between(7 * S, (tenths - 5) * S // 10)
    assert span.joules == pytest.approx(100 * ((tenths - 5) / 10 - 7))
    assert span.window_s <= 10.5
    assert len(history) < 24 * 360 + 10_000


def test_a_sample_that_is_not_later_is_ignored() -> None:
    history = History()
    for counter in (Counter(0, 0), Counter(10, S), Counter(11, S), Counter(99, S // 2)):
        history.add(counter)
    assert history.newest == Counter(10, S)


@given(
    deltas=st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1e4)), min_size=2, max_size=60),
    cuts=st.lists(st.floats(0, 1), max_size=20),
)
def test_the_parts_of_a_span_sum_to_the_whole(deltas: list[tuple[int, float]], cuts: list[float]) -> None:
    history = History()
    at_ns, joules = 0, 0.0
    for step_ms, used_j in deltas:
        at_ns += step_ms * MS
        joules += used_j
        history.add(Counter(joules, at_ns))
    first_ns, first_j = deltas[0][0] * MS, deltas[0][1]
    moments = sorted({first_ns, at_ns, *(first_ns + round(cut * (at_ns - first_ns)) for cut in cuts)})
    parts = [history.between(start, end).joules for start, end in pairwise(moments)]
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(joules - first_j, abs=1e-6)
