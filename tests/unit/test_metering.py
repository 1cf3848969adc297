"""What a worker adds to what its training child tells it."""

from __future__ import annotations

import pytest

from carbon_aware_trainer.records import Intensity, Reading
from work.messages import Spent
from work.metering import cost_of

INTENSITY = Intensity("USA", 400.0, "static", "average", 2023, "a test")
S = 10**9


class SteadyMeter:
    """A meter of a load of 360 W, read for its first 100 s."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        span_s = (end_ns - start_ns) / S
        if end_ns > 100 * S:
            return Reading(span_s, reason="The meter was not running.")
        return Reading(span_s, energy_j=360 * span_s, quality="measured")


def test_the_cost_of_a_span_has_energy_and_co2() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(5 * S, 15 * S)), SteadyMeter(), INTENSITY, attempt=2)
    assert [cost.energy_kwh, cost.co2_g] == pytest.approx([0.001, 0.4])
    assert (cost.name, cost.attempt, cost.energy_quality) == ("compile", 2, "measured")
    assert (cost.span_s, cost.duration_s, cost.intensity_g_per_kwh) == (10, 10, 400)


def test_the_energy_of_the_building_is_that_of_the_meter_times_its_pue() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(0, 10 * S)), SteadyMeter(), INTENSITY, attempt=1, pue=1.5)
    assert [cost.energy_kwh, cost.co2_g] == pytest.approx([0.0015, 0.6])


def test_time_that_an_epoch_has_already_is_not_counted_twice() -> None:
    spent = Spent(name="unfinished_epoch", span_ns=(0, 10 * S), is_in_an_epoch=True)
    cost = cost_of(spent, SteadyMeter(), INTENSITY, attempt=1)
    assert (cost.span_s, cost.duration_s) == (10, 0)
    assert cost.energy_kwh == pytest.approx(0.001)


def test_what_no_meter_read_is_unknown_with_the_reason() -> None:
    cost = cost_of(Spent(name="compile", span_ns=(90 * S, 101 * S)), SteadyMeter(), INTENSITY, attempt=1)
    assert (cost.energy_kwh, cost.co2_g, cost.energy_quality) == (None, None, None)
    assert cost.energy_reason == "The meter was not running."
