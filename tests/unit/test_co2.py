"""CO₂ of a span: the energy in each interval times the intensity in force, or unknown with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_aware_trainer.accounting import (
    Co2,
    PowerSample,
    Span,
    co2_of,
    facility_energy_kwh,
    sum_co2,
)
from carbon_aware_trainer.equivalents import CAR, PHONE, equivalents_of
from carbon_aware_trainer.errors import BasesMixed, IntensityUnavailable
from carbon_aware_trainer.figures import (
    above_idle_kwh,
    accuracy_per_kwh,
    error_share,
    g_per_correct_prediction,
)
from carbon_aware_trainer.records import Basis, Intensity, IntensitySeries, Interval

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def series(*figures: tuple[float, float, float], basis: Basis = "average lifecycle") -> IntensitySeries:
    intervals = tuple(Interval(at(start), at(end), g_per_kwh) for start, end, g_per_kwh in figures)
    return IntensitySeries("DE", "grid", basis, intervals)


def test_each_part_of_a_span_counts_with_the_intensity_in_force() -> None:
    found = co2_of(Span(at(0.5), at(2), 3.0), series((0, 1, 100), (1, 2, 400)))
    assert found.co2_g == pytest.approx(1.0 * 100 + 2.0 * 400)
    assert found.g_per_kwh == pytest.approx(300)
    assert (found.zone, found.provider, found.basis) == ("DE", "grid", "average lifecycle")
    assert (found.start, found.end) == (at(0.5), at(2))


def test_power_samples_say_how_the_energy_spreads_over_the_span() -> None:
    power = [PowerSample(at(0.5), 300.0), PowerSample(at(1), 300.0), PowerSample(at(2), 100.0)]
    found = co2_of(Span(at(0), at(2), 4.0), series((0, 1, 100), (1, 2, 500)), power)
    assert found.co2_g == pytest.approx(3.0 * 100 + 1.0 * 500)


def test_a_sample_is_the_mean_up_to_its_time_and_the_last_one_is_held() -> None:
    power = [PowerSample(at(-1), 900.0), PowerSample(at(0.5), 0.0), PowerSample(at(1.5), 100.0)]
    found = co2_of(Span(at(0), at(2), 3.0), series((0, 1, 100), (1, 2, 500)), power)
    assert found.co2_g == pytest.approx(1.0 * 100 + 2.0 * 500)


def test_power_samples_of_zero_leave_the_energy_even() -> None:
    power = [PowerSample(at(0), 0.0), PowerSample(at(2), 0.0)]
    found = co2_of(Span(at(0), at(2), 4.0), series((0, 1, 100), (1, 2, 500)), power)
    assert found.co2_g == pytest.approx(1200)


@pytest.mark.parametrize(
    ("figures", "first_lacking"),
    [
        (((1, 2, 100),), "12:00:00 to 2026-03-01 13:00:00"),
        (((0, 1, 100),), "13:00:00 to 2026-03-01 14:00:00"),
        (((0, 0.5, 100), (1, 2, 100)), "12:30:00 to 2026-03-01 13:00:00"),
        (((4, 5, 100),), "12:00:00 to 2026-03-01 14:00:00"),
    ],
)
def test_a_span_partly_without_intensity_is_unknown(
    figures: tuple[tuple[float, float, float], ...], first_lacking: str
) -> None:
    found = co2_of(Span(at(0), at(2), 4.0), series(*figures))
    assert (found.co2_g, found.g_per_kwh) == (None, None)
    assert found.reason is not None
    assert first_lacking in found.reason


def test_unknown_energy_gives_unknown_co2() -> None:
    found = co2_of(Span(at(0), at(2), None), series((0, 2, 100)))
    assert (found.co2_g, found.reason) == (None, "Its energy is unknown.")


def test_a_span_of_no_length_takes_the_intensity_of_its_moment() -> None:
    figures = series((0, 1, 100), (1, 2, 400))
    assert co2_of(Span(at(1), at(1), 2.0), figures).co2_g == 800
    assert co2_of(Span(at(2), at(2), 2.0), figures).co2_g is None


def test_an_intensity_of_all_times_gives_energy_times_it_exactly() -> None:
    intensity = Intensity("DE", 381.7, "static", "average", 2023, "a test")
    found = co2_of(Span(at(0), at(2), 0.1), intensity.as_series())
    assert found.co2_g == 0.1 * 381.7


@given(
    borders=st.lists(st.integers(1, 99), unique=True, max_size=8),
    watts=st.lists(st.floats(0, 500), min_size=2, max_size=12),
    energy_kwh=st.floats(0, 100),
)
def test_however_it_is_cut_the_same_intensity_gives_the_same_co2(
    borders: list[int], watts: list[float], energy_kwh: float
) -> None:
    edges = [0, *sorted(borders), 100]
    even = series(*((a / 10, b / 10, 250.0) for a, b in pairwise(edges)))
    power = [PowerSample(at(10 * place / len(watts)), w) for place, w in enumerate(watts)]
    assert co2_of(Span(at(0), at(10), energy_kwh), even, power).co2_g == pytest.approx(energy_kwh * 250)


@pytest.mark.parametrize("figures", [((0, 1, 1), (0.5, 2, 1)), ((1, 2, 1), (0, 1, 1)), ((1, 1, 1),)])
def test_intervals_that_overlap_or_are_empty_are_refused(
    figures: tuple[tuple[float, float, float], ...],
) -> None:
    with pytest.raises(IntensityUnavailable):
        series(*figures)


def test_average_and_marginal_figures_are_never_added() -> None:
    span = Span(at(0), at(1), 1.0)
    average, marginal = get_args(Basis)[0], get_args(Basis)[2]
    parts = [co2_of(span, series((0, 1, 100), basis=basis)) for basis in (average, marginal)]
    with pytest.raises(BasesMixed, match="average lifecycle and marginal lifecycle"):
        sum_co2(parts)
    assert sum_co2([parts[0], parts[0]]) == 200


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    unknown = Co2(None, "DE", "grid", "average lifecycle", at(0), at(1))
    assert sum_co2([co2_of(Span(at(0), at(1), 1.0), series((0, 1, 100))), unknown]) is None


def test_a_building_uses_its_pue_times_as_much() -> None:
    assert facility_energy_kwh(2.0, 1.5) == 3.0
    with pytest.raises(ValueError, match="below 1"):
        facility_energy_kwh(2.0, 0.9)


def test_grams_per_correct_prediction_are_unknown_rather_than_infinite() -> None:
    assert g_per_correct_prediction(9.0, 0.9, 1000) == pytest.approx(0.01)
    for lacking in ((None, 0.9, 10), (9.0, None, 10), (9.0, 0.0, 10), (9.0, 0.9, None), (9.0, 0.9, 0)):
        assert g_per_correct_prediction(*lacking) is None


def test_accuracy_per_kwh_is_unknown_rather_than_infinite() -> None:
    assert accuracy_per_kwh(0.9, 2.0) == 0.45
    for lacking in ((None, 1.0), (0.9, None), (0.9, 0.0)):
        assert accuracy_per_kwh(*lacking) is None


def test_energy_above_idle_is_never_negative() -> None:
    assert above_idle_kwh(2.0, 1000.0, 3600.0) == 1.0
    assert above_idle_kwh(0.5, 1000.0, 3600.0) == 0.0


def test_the_error_of_a_counter_shrinks_with_the_window() -> None:
    assert error_share("measured", 10.0) == pytest.approx(0.02)
    assert error_share("measured", 60.0) == pytest.approx(0.0033, rel=0.02)
    assert error_share("estimated", 60.0) == 0.4
    assert error_share("simulated", 60.0) is None


def test_equivalents_follow_the_published_figures() -> None:
    # 3.93e-4 t of CO2e per mile, 1.24e-5 t of CO2 per charge
    car, phone = equivalents_of(1e6)
    for found, measure in ((car, CAR), (phone, PHONE)):
        assert (found.name, found.unit, found.source) == (measure.name, measure.unit, measure.source)
    assert car.amount == pytest.approx(1 / 3.93e-4 * 1.609344)
    assert phone.amount == pytest.approx(1 / 1.24e-5)
    assert equivalents_of(None) == ()
    assert [found.amount for found in equivalents_of(0.0)] == [0, 0]
